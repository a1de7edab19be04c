package wire

import (
	"strings"

	"github.com/tidwall/gjson"
)

// callBytes is about how much memory a reader needs to remember a call, in
// addition to the texts that it keeps.
const callBytes = 128

// chatReader reads chunks of chat completions.
type chatReader struct {
	calls map[int64]*chatCallState // the latest call of each index
	last  *chatCallState           // the latest call
	begun int                      // number of calls that have begun
	kept  int                      // bytes
}

// chatCallState is a call that arrives in parts.
type chatCallState struct {
	id      string
	begun   bool   // its name has arrived
	ordinal int    // position among the calls that have begun
	pending []byte // arguments that arrived before the name
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
		if choice.Get("index").Int() == 0 {
			r.choice(choice, take)
		}
	})
	if u, ok := readUsage(Chat, v.Get("usage")); ok {
		take(delta{kind: usageDelta, usage: u})
	}
	return nil
}

func (r *chatReader) choice(choice gjson.Result, take func(delta)) {
	d := choice.Get("delta")
	take(delta{kind: saidDelta, said: saidThinking, text: reasoningOf(d).Str})
	take(delta{kind: saidDelta, said: saidText, text: d.Get("content").Str})
	take(delta{kind: saidDelta, said: saidRefusal, text: d.Get("refusal").Str})
	elements(d.Get("tool_calls"), func(c gjson.Result) {
		r.call(c, take)
	})
	if s := chatStop(choice.Get("finish_reason").Str); s != stopNone {
		take(delta{kind: stopDelta, stop: s})
	}
}

// call reads a part of a call. Some servers omit the index, or use the same index
// for all calls. A new id is then a new call.
func (r *chatReader) call(c gjson.Result, take func(delta)) {
	if r.kept > maxHeld {
		return // Next refuses the stream after this event
	}
	index, id := c.Get("index"), c.Get("id").Str
	state := r.last
	if index.Exists() {
		state = r.calls[index.Int()]
	}
	if state == nil || id != "" && state.id != "" && state.id != id {
		state = &chatCallState{}
		if r.calls == nil {
			r.calls = map[int64]*chatCallState{}
		}
		r.calls[index.Int()], r.last = state, state
		r.kept += callBytes
	}
	if state.id == "" {
		state.id = strings.Clone(id) // not the whole event
		r.kept += len(id)
	}
	text := c.Get("function.arguments").Str
	if name := c.Get("function.name").Str; !state.begun && name != "" {
		state.begun, state.ordinal = true, r.begun
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
	take(delta{kind: argumentsDelta, call: state.ordinal, text: text})
}

// messagesReader reads the events of Anthropic's messages.
type messagesReader struct {
	usage Report
	calls int
	block messagesBlock // the latest block that is a call
}

func (r *messagesReader) held() int { return len(r.block.input) }

type messagesBlock struct {
	index int64
	input string // sent at the beginning
	open  bool
	parts bool // parts of the input have arrived
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
			r.calls++
			r.block = messagesBlock{index: v.Get("index").Int(), open: true}
			if input := block.Get("input"); input.IsObject() && len(input.Map()) > 0 {
				r.block.input = strings.Clone(input.Raw) // not the whole event
			}
		}
	case "content_block_delta":
		r.part(v, take)
	case "content_block_stop":
		if r.block.open && r.block.index == v.Get("index").Int() {
			if !r.block.parts {
				take(delta{kind: argumentsDelta, call: r.calls - 1, text: r.block.input})
			}
			r.block.open = false
		}
	case "message_delta":
		if s := messagesStop(v.Get("delta.stop_reason").Str); s != stopNone {
			take(delta{kind: stopDelta, stop: s, sequence: v.Get("delta.stop_sequence").Str})
		}
		r.count(v.Get("usage"), take)
	case "message_stop":
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
		if r.block.open && r.block.index == v.Get("index").Int() {
			text := d.Get("partial_json").Str
			r.block.parts = r.block.parts || text != ""
			take(delta{kind: argumentsDelta, call: r.calls - 1, text: text})
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

// responsesReader reads the events of OpenAI's responses.
type responsesReader struct {
	calls map[int64]*responsesCall // the latest call of each index among the items
	begun int                      // number of calls
}

type responsesCall struct {
	ordinal int  // position among the calls
	parts   bool // parts of the arguments have arrived
}

func (r *responsesReader) held() int { return len(r.calls) * callBytes }

func (r *responsesReader) read(v gjson.Result, take func(delta)) error {
	response := v.Get("response")
	switch v.Get("type").Str {
	case "error":
		take(delta{kind: failDelta, err: streamError(v)})
	case "response.failed":
		take(delta{kind: failDelta, err: streamError(response)})
	case "response.created", "response.in_progress":
		take(delta{kind: beginDelta, head: readHead(response)})
	case "response.output_item.added":
		if item := v.Get("item"); item.Get("type").Str == "function_call" {
			take(delta{kind: callDelta, id: item.Get("call_id").Str, name: item.Get("name").Str})
			if r.calls == nil {
				r.calls = map[int64]*responsesCall{}
			}
			r.calls[v.Get("output_index").Int()] = &responsesCall{ordinal: r.begun}
			r.begun++
		}
	case "response.output_text.delta":
		take(delta{kind: saidDelta, said: saidText, text: v.Get("delta").Str})
	case "response.refusal.delta":
		take(delta{kind: saidDelta, said: saidRefusal, text: v.Get("delta").Str})
	case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
		take(delta{kind: saidDelta, said: saidThinking, text: v.Get("delta").Str})
	case "response.reasoning_summary_part.added":
		if v.Get("summary_index").Int() > 0 {
			take(delta{kind: saidDelta, said: saidThinking, text: "\n\n"})
		}
	case "response.function_call_arguments.delta":
		r.arguments(v, v.Get("delta").Str, true, take)
	case "response.function_call_arguments.done":
		r.arguments(v, v.Get("arguments").Str, false, take)
	case "response.completed", "response.incomplete":
		take(delta{kind: beginDelta, head: readHead(response)})
		if u, ok := readUsage(Responses, response.Get("usage")); ok {
			take(delta{kind: usageDelta, usage: u})
		}
		take(delta{kind: stopDelta, stop: responsesStop(response)})
		take(delta{kind: endDelta})
	}
	return nil
}

// arguments reads a part of a call's arguments, or all of them. All of them are
// used only if no part has arrived.
func (r *responsesReader) arguments(v gjson.Result, text string, part bool, take func(delta)) {
	c := r.calls[v.Get("output_index").Int()]
	if c == nil || !part && c.parts {
		return
	}
	c.parts = c.parts || text != ""
	take(delta{kind: argumentsDelta, call: c.ordinal, text: text})
}
