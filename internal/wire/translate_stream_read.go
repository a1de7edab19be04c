package wire

import (
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// callBytes is about how much memory a reader needs to remember a call, in
// addition to the texts that it keeps.
const callBytes = 128

// chatReader reads chunks of chat completions.
type chatReader struct {
	choice int64                     // that is read
	calls  map[int64]*chatCallState  // the latest call of each index
	ids    map[string]*chatCallState // calls without an index
	last   *chatCallState            // the latest call
	begun  int                       // number of calls that have begun
	kept   int                       // bytes
}

// chatCallState is a call that arrives in parts.
type chatCallState struct {
	id, name string
	begun    bool   // its name has arrived
	ordinal  int    // position among the calls that have begun
	pending  []byte // arguments that arrived before the name
	args     nesting
}

// follows reports whether a part of a call belongs to the call. Servers that use one
// index for all calls, or none, begin another call with another id. If they send no ids
// either, with a name.
func (s *chatCallState) follows(id, name, text string) bool {
	switch {
	case id != "" && s.id != "" && id != s.id:
		return s.begun && name == "" && !s.args.complete() // some servers make a new id for every part
	case id == "" && name != "" && s.begun:
		return name == s.name && (text == "" || !s.args.complete())
	}
	return true
}

func (r *chatReader) held() int { return r.kept }

func (r *chatReader) read(v gjson.Result, take func(delta)) error {
	if e := v.Get("error"); e.IsObject() || e.Type == gjson.String {
		take(delta{kind: failDelta, err: streamError(v)})
		return nil
	}
	h := readHead(v)
	if v.Get("choices.0").Exists() || h.model != "" { // Azure's first chunk only describes the prompt
		take(delta{kind: beginDelta, head: h})
	}
	elements(v.Get("choices"), func(choice gjson.Result) {
		if choice.Get("index").Int() == r.choice {
			r.part(choice, take)
		}
	})
	if u, ok := readUsage(Chat, v.Get("usage")); ok {
		take(delta{kind: usageDelta, usage: u})
	}
	return nil
}

func (r *chatReader) part(choice gjson.Result, take func(delta)) {
	d := choice.Get("delta")
	if !d.IsObject() {
		d = choice.Get("message") // of servers that send the answer in one chunk
	}
	say := func(kind saidKind, text string) { take(delta{kind: saidDelta, said: kind, text: text}) }
	say(saidThinking, reasoningOf(d).Str)
	eachContent(d.Get("content"), say)
	say(saidRefusal, d.Get("refusal").Str)
	calls := d.Get("tool_calls")
	elements(calls, func(c gjson.Result) {
		r.call(c.Get("index"), c.Get("id").Str, c.Get("function"), take)
	})
	if f := d.Get("function_call"); f.IsObject() && !calls.Get("0").Exists() {
		r.call(gjson.Result{Type: gjson.Number, Num: -1, Raw: "-1"}, "", f, take)
	}
	if s := chatStop(choice.Get("finish_reason").Str); s != stopNone {
		take(delta{kind: stopDelta, stop: s})
	}
}

// call reads a part of a call.
func (r *chatReader) call(index gjson.Result, id string, function gjson.Result, take func(delta)) {
	if r.kept > maxHeld {
		return // Next refuses the stream after this event
	}
	name, text := function.Get("name").Str, argumentsOf(function.Get("arguments"))
	state := r.last
	numbered := index.Type == gjson.Number
	switch {
	case numbered:
		state = r.calls[index.Int()]
	case id != "" && r.ids[id] != nil:
		state = r.ids[id]
	}
	if state == nil || !state.follows(id, name, text) {
		state = &chatCallState{}
		if r.calls == nil {
			r.calls = map[int64]*chatCallState{}
		}
		r.calls[index.Int()], r.last = state, state
		r.kept += callBytes
	}
	if state.id == "" && id != "" {
		state.id = strings.Clone(id) // not the whole event
		r.kept += len(id)
		if !numbered {
			if r.ids == nil {
				r.ids = map[string]*chatCallState{}
			}
			r.ids[state.id] = state
		}
	}
	if !state.begun && name != "" {
		state.begun, state.ordinal, state.name = true, r.begun, strings.Clone(name)
		r.kept += len(name)
		r.begun++
		take(delta{kind: callDelta, id: state.id, name: name})
		if len(state.pending) > 0 {
			r.kept -= len(state.pending)
			text, state.pending = string(append(state.pending, text...)), nil
		}
	}
	if !state.begun {
		state.pending = append(state.pending, text...)
		r.kept += len(text)
		return
	}
	state.args.add(text)
	take(delta{kind: argumentsDelta, call: state.ordinal, text: text})
}

// messagesReader reads the events of Anthropic's messages.
type messagesReader struct {
	usage  Report
	calls  int
	blocks map[int64]*messagesBlock // calls that have not ended, by their index
	kept   int                      // bytes
}

func (r *messagesReader) held() int { return r.kept }

type messagesBlock struct {
	call  int    // position among the calls
	input string // sent at the beginning
	parts bool   // parts of the input have arrived
}

// end ends a block that is a call.
func (r *messagesReader) end(index int64, take func(delta)) {
	b := r.blocks[index]
	if b == nil {
		return
	}
	if !b.parts {
		take(delta{kind: argumentsDelta, call: b.call, text: b.input})
	}
	take(delta{kind: callEndDelta, call: b.call})
	delete(r.blocks, index)
	r.kept -= callBytes + len(b.input)
}

// endAll ends the blocks whose end is missing.
func (r *messagesReader) endAll(take func(delta)) {
	for _, index := range slices.Sorted(maps.Keys(r.blocks)) {
		r.end(index, take)
	}
}

func (r *messagesReader) read(v gjson.Result, take func(delta)) error {
	switch v.Get("type").Str {
	case "error":
		take(delta{kind: failDelta, err: streamError(v)})
	case "message_start":
		m := v.Get("message")
		take(delta{kind: beginDelta, head: readHead(m)})
		r.count(m.Get("usage"), take)
	case "content_block_start":
		block := v.Get("content_block")
		switch block.Get("type").Str {
		case "text":
			take(delta{kind: saidDelta, said: saidText, text: block.Get("text").Str})
		case "thinking":
			take(delta{kind: saidDelta, said: saidThinking, text: block.Get("thinking").Str})
		case "tool_use":
			take(delta{kind: callDelta, id: block.Get("id").Str, name: block.Get("name").Str})
			index := v.Get("index").Int()
			r.end(index, take) // in case that servers do not end blocks
			b := &messagesBlock{call: r.calls}
			if input := block.Get("input"); input.IsObject() && len(input.Map()) > 0 {
				b.input = strings.Clone(input.Raw) // not the whole event
			}
			if r.blocks == nil {
				r.blocks = map[int64]*messagesBlock{}
			}
			r.blocks[index] = b
			r.calls++
			r.kept += callBytes + len(b.input)
		}
	case "content_block_delta":
		r.part(v, take)
	case "content_block_stop":
		r.end(v.Get("index").Int(), take)
	case "message_delta":
		take(delta{kind: saidDelta, said: saidRefusal, text: refusalIn(v.Get("delta"))})
		if s := messagesStop(v.Get("delta.stop_reason").Str); s != stopNone {
			r.endAll(take)
			take(delta{kind: stopDelta, stop: s, sequence: v.Get("delta.stop_sequence").Str})
		}
		r.count(v.Get("usage"), take)
	case "message_stop":
		r.endAll(take)
		take(delta{kind: endDelta})
	}
	return nil
}

// part reads a part of a block. It omits signatures and citations, which only
// Anthropic has.
func (r *messagesReader) part(v gjson.Result, take func(delta)) {
	d := v.Get("delta")
	switch d.Get("type").Str {
	case "text_delta":
		take(delta{kind: saidDelta, said: saidText, text: d.Get("text").Str})
	case "thinking_delta":
		take(delta{kind: saidDelta, said: saidThinking, text: d.Get("thinking").Str})
	case "input_json_delta":
		if b := r.blocks[v.Get("index").Int()]; b != nil {
			text := d.Get("partial_json").Str
			b.parts = b.parts || text != ""
			take(delta{kind: argumentsDelta, call: b.call, text: text})
		}
	}
}

// count updates the usage. The input is reported at the beginning, and may be
// reported again.
func (r *messagesReader) count(v gjson.Result, take func(delta)) {
	if r.usage.add(Messages, v) {
		take(delta{kind: usageDelta, usage: r.usage.Usage()})
	}
}

// responsesReader reads the events of OpenAI's responses. Texts and arguments arrive in
// parts, and again as a whole with the event that ends them, with the end of their item
// and with the end of the response. Some servers send only some of these.
type responsesReader struct {
	calls map[int64]*responsesCall // the latest call of each index among the items
	items map[string]int64         // the index of items that have none of their own, by their id
	said  map[responsesPart]int    // bytes of each text that have arrived
	begun int                      // number of calls
	kept  int                      // bytes of their ids
}

type responsesCall struct {
	id      string
	ordinal int // position among the calls
	read    int // bytes of the arguments that have arrived
	ended   bool
}

// responsesPart is a text within an item.
type responsesPart struct {
	item  int64
	kind  saidKind
	inner bool // the text is a reasoning itself, not its summary
	index int64
}

func (r *responsesReader) held() int { return (len(r.calls)+len(r.said))*callBytes + r.kept }

// responsesTexts holds the beginnings of the names of events about texts, and the member
// that holds the whole text.
var responsesTexts = map[string]struct {
	kind  saidKind
	inner bool
	key   string
}{
	"response.output_text":            {saidText, false, "text"},
	"response.refusal":                {saidRefusal, false, "refusal"},
	"response.reasoning_summary_text": {saidThinking, false, "text"},
	"response.reasoning_text":         {saidThinking, true, "text"},
}

func (r *responsesReader) read(v gjson.Result, take func(delta)) error {
	response, kind, at := v.Get("response"), v.Get("type").Str, r.at(v)
	switch kind {
	case "error":
		take(delta{kind: failDelta, err: streamError(v)})
	case "response.failed", "response.cancelled":
		take(delta{kind: failDelta, err: streamError(response)})
	case "response.created", "response.in_progress", "response.queued":
		take(delta{kind: beginDelta, head: readHead(response)})
	case "response.output_item.added":
		if item := v.Get("item"); item.Get("type").Str == "function_call" {
			if c := r.calls[at]; c != nil && !c.ended && c.id != item.Get("call_id").Str { // of servers with one index for all
				at = r.own(item.Get("id").Str)
			}
			r.call(at, item, take)
		}
	case "response.output_item.done":
		r.item(at, v.Get("item"), take)
	case "response.function_call_arguments.delta":
		r.arguments(at, v.Get("delta").Str, false, take)
	case "response.function_call_arguments.done":
		r.arguments(at, v.Get("arguments").Str, true, take)
	case "response.completed", "response.incomplete":
		take(delta{kind: beginDelta, head: readHead(response)})
		if item := int64(0); r.begun == 0 && len(r.said) == 0 { // some servers number items differently before
			elements(response.Get("output"), func(v gjson.Result) {
				r.item(item, v, take)
				item++
			})
		}
		if u, ok := readUsage(Responses, response.Get("usage")); ok {
			take(delta{kind: usageDelta, usage: u})
		}
		s := responsesStop(response)
		if s == stopNone { // the event says it, if not the response
			s = stopEnd
			if kind == "response.incomplete" {
				s = stopLength
			}
		}
		take(delta{kind: stopDelta, stop: s})
		take(delta{kind: endDelta})
	default:
		r.text(kind, at, v, take)
	}
	return nil
}

// at returns the index of the item of an event: its own, except for servers that send none,
// or the same one for all. The ids of items are not enough, because some servers change
// them with every event.
func (r *responsesReader) at(v gjson.Result) int64 {
	index := v.Get("output_index")
	if index.Exists() && len(r.items) == 0 {
		return index.Int()
	}
	id := v.Get("item_id").Str
	if id == "" {
		id = v.Get("item.id").Str
	}
	if at, ok := r.items[id]; ok {
		return at
	}
	if index.Exists() || id == "" {
		return index.Int()
	}
	return r.own(id)
}

// own returns an index for an item without one of its own.
func (r *responsesReader) own(id string) int64 {
	if r.items == nil {
		r.items = map[string]int64{}
	}
	at := int64(-1 - len(r.items))
	r.items[strings.Clone(id)] = at
	r.kept += callBytes + len(id)
	return at
}

// text reads an event about a text, if it is one.
func (r *responsesReader) text(kind string, at int64, v gjson.Result, take func(delta)) {
	name, end, _ := cutLast(kind, ".")
	of, ok := responsesTexts[name]
	part := responsesPart{at, of.kind, of.inner, v.Get("content_index").Int() + v.Get("summary_index").Int()}
	switch {
	case ok && end == "delta":
		text := v.Get("delta").Str
		r.begin(part, take)
		r.said[part] += len(text)
		take(delta{kind: saidDelta, said: of.kind, text: text})
	case ok && end == "done":
		r.whole(part, v.Get(of.key).Str, take)
	}
}

// cutLast cuts text around the last separator.
func cutLast(text, separator string) (before, after string, found bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(separator):], true
}

// begin begins a text. Further parts of a reasoning are paragraphs.
func (r *responsesReader) begin(part responsesPart, take func(delta)) {
	if _, ok := r.said[part]; ok {
		return
	}
	if r.said == nil {
		r.said = map[responsesPart]int{}
	}
	r.said[part] = 0
	if part.kind == saidThinking && part.index > 0 {
		take(delta{kind: saidDelta, said: saidThinking, text: "\n\n"})
	}
}

// whole reads a whole text, of which parts may have arrived.
func (r *responsesReader) whole(part responsesPart, text string, take func(delta)) {
	if have := r.said[part]; len(text) > have {
		r.begin(part, take)
		r.said[part] = len(text)
		take(delta{kind: saidDelta, said: part.kind, text: text[have:]})
	}
}

// item reads a whole item, of which parts may have arrived.
func (r *responsesReader) item(at int64, item gjson.Result, take func(delta)) {
	texts := func(in, key string, kind saidKind, inner bool) {
		index := int64(0)
		elements(item.Get(in), func(v gjson.Result) {
			r.whole(responsesPart{at, kind, inner, index}, v.Get(key).Str, take)
			index++
		})
	}
	switch item.Get("type").Str {
	case "message":
		texts("content", "text", saidText, false)
		texts("content", "refusal", saidRefusal, false)
	case "reasoning":
		texts("summary", "text", saidThinking, false)
		if !item.Get("summary.0").Exists() {
			texts("content", "text", saidThinking, true)
		}
	case "function_call":
		if c := r.calls[at]; c == nil || c.id != item.Get("call_id").Str {
			r.call(at, item, take)
		}
		r.arguments(at, argumentsOf(item.Get("arguments")), true, take)
	}
}

// call begins a call.
func (r *responsesReader) call(at int64, item gjson.Result, take func(delta)) {
	if r.calls == nil {
		r.calls = map[int64]*responsesCall{}
	}
	id := strings.Clone(item.Get("call_id").Str) // not the whole event
	r.calls[at] = &responsesCall{id: id, ordinal: r.begun}
	r.begun++
	r.kept += len(id)
	take(delta{kind: callDelta, id: id, name: item.Get("name").Str})
}

// arguments reads a part of a call's arguments, or all of them.
func (r *responsesReader) arguments(at int64, text string, whole bool, take func(delta)) {
	c := r.calls[at]
	switch {
	case c == nil || c.ended:
		return
	case whole:
		text = text[min(c.read, len(text)):]
	}
	c.read += len(text)
	take(delta{kind: argumentsDelta, call: c.ordinal, text: text})
	if whole {
		c.ended = true
		take(delta{kind: callEndDelta, call: c.ordinal})
	}
}
