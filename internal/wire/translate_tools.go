package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// In translation, every tool is a function with a name of its own. The names of those
// that the client declared otherwise (in a namespace, with text for input, under a
// name that the other API does not take) are made when the request is read, and the
// calls in the answer get their original form back.

// toolKind is what a function stands for.
type toolKind int

const (
	functionTool toolKind = iota
	customTool            // its input is text
	searchTool            // the client's own search for tools
)

// toolName is how the client names a tool. Its strings are plain.
type toolName struct {
	kind            toolKind
	namespace, name string
}

// toolNames are the names of the functions of a translated request.
type toolNames struct {
	flats     map[toolName]string
	originals map[string]toolName
	functions bool // the client declared them as functions of chat, which came before tools
}

// The longest names of functions that the APIs take, in bytes.
const (
	longestName          = 64
	longestAnthropicName = 128
)

// flat returns the name of the function for a tool, as JSON. raw is the JSON of the
// client's name.
func (n *toolNames) flat(to API, original toolName, raw string) string {
	if flat, ok := n.flats[original]; ok {
		return quote(flat)
	}
	flat, longest := original.name, longestName
	if to == Messages {
		longest = longestAnthropicName
	}
	if s := original.namespace; s != "" && strings.HasSuffix(s, "_") {
		flat = s + flat
	} else if s != "" {
		flat = s + "__" + flat
	}
	if len(flat) > longest || flat != callID(flat) {
		sum := sha256.Sum256([]byte(flat))
		flat = callID(flat)
		flat = flat[:min(len(flat), longest-9)] + "_" + hex.EncodeToString(sum[:4])
	}
	for i := 2; ; i++ {
		if _, taken := n.originals[flat]; !taken {
			break
		}
		end := "_" + strconv.Itoa(i)
		flat = flat[:min(len(flat), longest-len(end))] + end
	}
	if n.flats == nil {
		n.flats, n.originals = map[toolName]string{}, map[string]toolName{}
	}
	n.flats[original], n.originals[flat] = flat, original
	if flat == original.name && raw != "" {
		return raw
	}
	return quote(flat)
}

// tools returns what restores the calls for the client's API, or nil if all have the
// name and form that the client declared.
func (n *toolNames) tools(client API) *Tools {
	t := &Tools{api: client, originals: map[string]toolName{}, functions: n.functions}
	for flat, original := range n.originals {
		if original != (toolName{name: flat}) {
			t.originals[flat] = original
		}
	}
	if len(t.originals) == 0 && !t.functions {
		return nil
	}
	return t
}

// Tools restore the calls of tools in a translated answer to the form in which the
// client declared them. A nil *Tools changes nothing. It is safe for concurrent use.
type Tools struct {
	api       API // the client's
	originals map[string]toolName
	functions bool // chat: the answer has its call as function_call
}

// Answer restores the calls in a whole answer, which is already in the client's API.
func (t *Tools) Answer(body []byte) []byte {
	if t == nil || !valid(body) {
		return body
	}
	text := string(body)
	switch v := gjson.Parse(text); t.api {
	case Messages:
		text = with(text, "content", mapped(v.Get("content"), t.block))
	case Responses:
		text = with(text, "output", mapped(v.Get("output"), t.item))
	case Chat:
		text = with(text, "choices", mapped(v.Get("choices"), func(choice gjson.Result) string {
			message := choice.Get("message")
			if !message.Get("tool_calls").IsArray() {
				return choice.Raw
			}
			if t.functions {
				return t.functionChoice(choice, message)
			}
			return with(choice.Raw, "message", with(message.Raw, "tool_calls", mapped(message.Get("tool_calls"), t.chatCall)))
		}))
	}
	return []byte(text)
}

// with returns an object with another value of a member. It is unchanged if the
// value is empty.
func with(object, key, value string) string {
	if value == "" {
		return object
	}
	o := readTop(object)
	return string(apply(object, []splice{o.set(key, value)}))
}

// mapped returns a list with its elements changed by f, or "" if it is no list.
func mapped(v gjson.Result, f func(gjson.Result) string) string {
	if !v.IsArray() {
		return ""
	}
	var out []string
	elements(v, func(v gjson.Result) { out = append(out, f(v)) })
	return list(out)
}

// block restores a block of messages.
func (t *Tools) block(v gjson.Result) string {
	original, ok := t.originals[v.Get("name").Str]
	if !ok || v.Get("type").Str != "tool_use" {
		return v.Raw
	}
	return with(v.Raw, "name", quote(original.name))
}

// chatCall restores a call of chat completions.
func (t *Tools) chatCall(v gjson.Result) string {
	function := v.Get("function")
	original, ok := t.originals[function.Get("name").Str]
	switch {
	case !ok:
		return v.Raw
	case original.kind == customTool:
		return customCall(new(builder), v.Get("id").Str, original, function.Get("arguments").Str)
	}
	return with(v.Raw, "function", t.renamed(function))
}

// renamed returns a function that is called, with the name that the client declared.
func (t *Tools) renamed(function gjson.Result) string {
	original, ok := t.originals[function.Get("name").Str]
	if !ok {
		return function.Raw
	}
	return with(function.Raw, "name", quote(original.name))
}

// functionChoice writes a choice with its call as function_call, of which there can be
// only one.
func (t *Tools) functionChoice(choice, message gjson.Result) string {
	call := t.renamed(message.Get("tool_calls.0.function"))
	return functionStop(with(choice.Raw, "message", withFunction(message.Raw, call)))
}

// withFunction returns a message, or a part of one, with function_call in place of
// tool_calls.
func withFunction(message, call string) string {
	message = with(message, "function_call", call)
	o := readTop(message)
	return string(apply(message, o.remove(func(key string) bool { return key == "tool_calls" })))
}

// functionStop replaces the reason why a choice ended by that for a function_call.
func functionStop(choice string) string {
	if gjson.Get(choice, "finish_reason").Str != "tool_calls" {
		return choice
	}
	return with(choice, "finish_reason", `"function_call"`)
}

// customCall completes a call, in chat, of a tool whose input is text.
func customCall(b *builder, id string, original toolName, arguments string) string {
	custom := new(builder).str("name", original.name).str("input", customInput(arguments))
	return b.str("id", id).str("type", "custom").raw("custom", custom.String()).String()
}

// customInput returns the text that the arguments of a function contain if it stands
// for a tool whose input is text.
func customInput(arguments string) string {
	input := gjson.Parse(arguments).Get("input")
	switch {
	case !valid([]byte(arguments)) || !input.Exists():
		return arguments
	case input.Type == gjson.String:
		return input.Str
	}
	return input.Raw
}

// item restores an item of responses.
func (t *Tools) item(v gjson.Result) string {
	original, ok := t.originals[v.Get("name").Str]
	if !ok || v.Get("type").Str != "function_call" {
		return v.Raw
	}
	id, status, call, arguments := itemID(original, v.Get("id").Str), v.Get("status").Str, v.Get("call_id").Str, v.Get("arguments").Str
	switch original.kind {
	case customTool:
		b := new(builder).str("id", id).str("type", "custom_tool_call").str("status", status).str("call_id", call).str("name", original.name)
		if original.namespace != "" {
			b.str("namespace", original.namespace)
		}
		return b.str("input", customInput(arguments)).String()
	case searchTool:
		if !valid([]byte(arguments)) {
			arguments = "{}"
		}
		return new(builder).str("id", id).str("type", "tool_search_call").str("status", status).str("call_id", call).
			str("execution", "client").raw("arguments", arguments).String()
	}
	out := with(v.Raw, "name", quote(original.name))
	if original.namespace != "" {
		out = with(out, "namespace", quote(original.namespace))
	}
	return out
}

// itemID returns the id of an item with the beginning that OpenAI gives to its kind.
func itemID(original toolName, id string) string {
	begin := map[toolKind]string{functionTool: "fc_", customTool: "ctc_", searchTool: "tsc_"}[original.kind]
	return begin + strings.TrimPrefix(id, "fc_")
}

// Stream returns what restores the calls in one stream, or nil if t is nil.
func (t *Tools) Stream() *ToolStream {
	if t == nil {
		return nil
	}
	return &ToolStream{tools: t, open: map[int64]*openCall{}}
}

// ToolStream restores the calls in one translated stream. A nil *ToolStream changes
// nothing. It is not safe for concurrent use.
type ToolStream struct {
	tools    *Tools
	open     map[int64]*openCall // by the index that the API gives them
	order    []int64             // of the open calls, in chat
	sequence int                 // of the next event of responses
	last     Event               // a chunk of chat, as a pattern for others
	held     int                 // bytes of arguments that are held back
}

// openCall is a call whose form is changed, so that its arguments are held back.
type openCall struct {
	original  toolName
	id        string
	arguments strings.Builder
}

// Restore returns events, which are already in the client's API, with restored calls. It
// is an error if the stream has more arguments than can be held back.
func (s *ToolStream) Restore(events []Event) ([]Event, error) {
	if s == nil {
		return events, nil
	}
	var out []Event
	for _, e := range events {
		switch s.tools.api {
		case Messages:
			out = append(out, s.messages(e))
		case Chat:
			out = append(out, s.chat(e)...)
		default:
			out = append(out, s.responses(e)...)
		}
		if s.held > maxHeld {
			return out, errTooLong
		}
	}
	return out, nil
}

func (s *ToolStream) messages(e Event) Event {
	v := gjson.ParseBytes(e.Data)
	if v.Get("type").Str == "content_block_start" {
		e.Data = []byte(with(string(e.Data), "content_block", s.tools.block(v.Get("content_block"))))
	}
	return e
}

// chat holds the calls of tools whose input is text back until the answer ends,
// because their form has no parts.
func (s *ToolStream) chat(e Event) []Event {
	if string(e.Data) == Done {
		return append(s.flush(), e)
	}
	v := gjson.ParseBytes(e.Data)
	choice := v.Get("choices.0")
	delta := choice.Get("delta")
	if s.tools.functions {
		return s.functionChunk(e, v)
	}
	var out []Event
	if given(choice.Get("finish_reason")) {
		out = s.flush()
	}
	if !delta.Get("tool_calls").IsArray() {
		return append(out, e)
	}
	s.last = Event{Name: e.Name, Data: slices.Clone(e.Data)}
	var kept []string
	elements(delta.Get("tool_calls"), func(call gjson.Result) {
		i, function := call.Get("index").Int(), call.Get("function")
		original, changed := s.tools.originals[function.Get("name").Str]
		if changed && original.kind == customTool {
			s.open[i] = &openCall{original: original, id: strings.Clone(call.Get("id").Str)}
			s.order = append(s.order, i)
			s.held += len(s.open[i].id)
		}
		switch open := s.open[i]; {
		case open != nil:
			open.arguments.WriteString(function.Get("arguments").Str)
			s.held += len(function.Get("arguments").Str)
		case changed:
			kept = append(kept, with(call.Raw, "function", with(function.Raw, "name", quote(original.name))))
		default:
			kept = append(kept, call.Raw)
		}
	})
	if len(kept) == 0 {
		return out
	}
	return append(out, Event{Name: e.Name, Data: []byte(chunkWith(v, kept))})
}

// functionChunk restores a chunk for a client that declared functions. Parts of other
// calls than the first are left out.
func (s *ToolStream) functionChunk(e Event, v gjson.Result) []Event {
	choice := v.Get("choices.0")
	delta := choice.Get("delta")
	if call := delta.Get("tool_calls.0"); call.Exists() {
		if call.Get("index").Int() > 0 {
			return nil
		}
		choice = gjson.Parse(with(choice.Raw, "delta", withFunction(delta.Raw, s.tools.renamed(call.Get("function")))))
	} else if choice.Get("finish_reason").Str != "tool_calls" {
		return []Event{e}
	}
	e.Data = []byte(with(string(e.Data), "choices", list([]string{functionStop(choice.Raw)})))
	return []Event{e}
}

// chunkWith returns a chunk with other calls.
func chunkWith(v gjson.Result, calls []string) string {
	choice := v.Get("choices.0")
	delta := with(choice.Get("delta").Raw, "tool_calls", list(calls))
	return with(v.Raw, "choices", list([]string{with(choice.Raw, "delta", delta)}))
}

// flush returns the calls that were held back.
func (s *ToolStream) flush() []Event {
	var out []Event
	for _, i := range s.order {
		open := s.open[i]
		call := customCall(new(builder).num("index", int(i)), open.id, open.original, open.arguments.String())
		out = append(out, Event{Name: s.last.Name, Data: []byte(chunkWith(gjson.ParseBytes(s.last.Data), []string{call}))})
	}
	s.order, s.held = nil, 0
	clear(s.open)
	return out
}

func (s *ToolStream) responses(e Event) []Event {
	v := gjson.ParseBytes(e.Data)
	text, i := string(e.Data), v.Get("output_index").Int()
	switch kind := v.Get("type").Str; kind {
	case "response.output_item.added", "response.output_item.done":
		item := v.Get("item")
		if original, ok := s.tools.originals[item.Get("name").Str]; ok && item.Get("type").Str == "function_call" {
			s.open[i] = &openCall{original: original}
			text = with(text, "item", s.tools.item(item))
		}
		if kind == "response.output_item.done" {
			delete(s.open, i)
		}
	case "response.function_call_arguments.delta":
		if open := s.open[i]; open != nil && open.original.kind != functionTool {
			return nil
		}
	case "response.function_call_arguments.done":
		if open := s.open[i]; open != nil {
			return s.arguments(e, v, open.original)
		}
	case "response.completed", "response.incomplete", "response.failed":
		if output := v.Get("response.output"); output.IsArray() {
			text = with(text, "response", with(v.Get("response").Raw, "output", mapped(output, s.tools.item)))
		}
	}
	return []Event{s.numbered(e.Name, text)}
}

// arguments returns the events for the complete arguments of a call.
func (s *ToolStream) arguments(e Event, v gjson.Result, original toolName) []Event {
	switch original.kind {
	case searchTool: // it has no events for arguments
		return nil
	case functionTool:
		text := string(e.Data)
		if v.Get("name").Exists() {
			text = with(text, "name", quote(original.name))
		}
		return []Event{s.numbered(e.Name, text)}
	}
	input := customInput(v.Get("arguments").Str)
	event := func(name, key string) Event {
		return s.numbered(name, typed(name).str("item_id", itemID(original, v.Get("item_id").Str)).raw("output_index", v.Get("output_index").Raw).
			str(key, input).num("sequence_number", 0).String())
	}
	return []Event{event("response.custom_tool_call_input.delta", "delta"), event("response.custom_tool_call_input.done", "input")}
}

// numbered returns an event with the next number, because the number of events
// changes.
func (s *ToolStream) numbered(name, text string) Event {
	if gjson.Get(text, "sequence_number").Exists() {
		text = with(text, "sequence_number", strconv.Itoa(s.sequence))
		s.sequence++
	}
	return Event{Name: name, Data: []byte(text)}
}
