package wire

import (
	"strings"

	"github.com/carrot-router/carrot"
)

// chatWriter writes chunks of chat completions.
type chatWriter struct {
	output
	head head
}

// chunk adds a chunk with one choice.
func (w *chatWriter) chunk(d *builder, finish string) {
	choice := new(builder).num("index", 0).raw("delta", d.String()).raw("logprobs", "null").raw("finish_reason", finish)
	w.add("", w.head.chat("chat.completion.chunk").raw("choices", list([]string{choice.String()})).bytes())
}

func (w *chatWriter) begin(h head) {
	w.head = h
	w.chunk(new(builder).str("role", "assistant").str("content", ""), "null")
}

func (w *chatWriter) say(kind saidKind, s string) {
	key := "content"
	switch kind {
	case saidRefusal:
		key = "refusal"
	case saidThinking:
		key = "reasoning_content"
	}
	w.chunk(new(builder).str(key, s), "null")
}

func (w *chatWriter) call(i int, id, name string) {
	function := new(builder).str("name", name).str("arguments", "")
	w.part(new(builder).num("index", i).str("id", id).str("type", "function").raw("function", function.String()))
}

func (w *chatWriter) arguments(i int, s string) {
	w.part(new(builder).num("index", i).raw("function", new(builder).str("arguments", s).String()))
}

// part adds a part of a call.
func (w *chatWriter) part(b *builder) {
	w.chunk(new(builder).raw("tool_calls", list([]string{b.String()})), "null")
}

func (w *chatWriter) own(string) {} // there are none

func (w *chatWriter) finish(s stop, _ string, u carrot.Usage, hasUsage bool) {
	w.chunk(new(builder), quote(s.chat()))
	if hasUsage {
		w.add("", w.head.chat("chat.completion.chunk").raw("choices", "[]").raw("usage", chatUsage(u)).bytes())
	}
	w.add("", []byte(Done))
}

func (w *chatWriter) fail(e *Error) { w.list = append(w.list, e.Events(Chat, 0, "", "")...) }

// messagesWriter writes the events of Anthropic's messages, in which blocks do not
// overlap.
type messagesWriter struct {
	output
	blocks int
	open   bool // the last block is open
	inText bool // the last block is a text

	refusal strings.Builder // what was said of why the model refused
}

func (w *messagesWriter) held() int { return w.refusal.Len() }

func (w *messagesWriter) event(name string, b *builder) { w.add(name, b.bytes()) }

func (w *messagesWriter) begin(h head) {
	m := new(builder).str("id", h.id).str("type", "message").str("role", "assistant").str("model", h.model).raw("content", "[]").
		raw("stop_reason", "null").raw("stop_sequence", "null").raw("usage", messagesUsage(carrot.Usage{Input: h.input}))
	w.event("message_start", typed("message_start").raw("message", m.String()))
	w.event("ping", typed("ping"))
}

// block begins a block.
func (w *messagesWriter) block(inText bool, block string) {
	w.close()
	w.event("content_block_start", typed("content_block_start").num("index", w.blocks).raw("content_block", block))
	w.open, w.inText = true, inText
	w.blocks++
}

// part adds a part of the open block.
func (w *messagesWriter) part(d *builder) {
	w.event("content_block_delta", typed("content_block_delta").num("index", w.blocks-1).raw("delta", d.String()))
}

// close ends the open block.
func (w *messagesWriter) close() {
	if w.open {
		w.event("content_block_stop", typed("content_block_stop").num("index", w.blocks-1))
		w.open = false
	}
}

func (w *messagesWriter) say(kind saidKind, s string) {
	if kind == saidThinking {
		return // as in writeMessages
	}
	if kind == saidRefusal {
		w.refusal.WriteString(s)
	}
	if !w.open || !w.inText {
		w.block(true, `{"type":"text","text":""}`)
	}
	w.part(typed("text_delta").str("text", s))
}

func (w *messagesWriter) call(_ int, id, name string) {
	w.block(false, messagesCall(&said{id: id, name: name}, "{}"))
}

func (w *messagesWriter) arguments(_ int, s string) {
	w.part(typed("input_json_delta").str("partial_json", s))
}

func (w *messagesWriter) own(raw string) {
	w.block(false, raw)
	w.close()
}

func (w *messagesWriter) finish(s stop, sequence string, u carrot.Usage, _ bool) {
	w.close()
	d := new(builder).str("stop_reason", s.messages(sequence)).raw("stop_sequence", textOrNull(sequence)).
		raw("stop_details", stopDetails(s, w.refusal.String()))
	w.event("message_delta", typed("message_delta").raw("delta", d.String()).raw("usage", messagesUsage(u)))
	w.event("message_stop", typed("message_stop"))
}

func (w *messagesWriter) fail(e *Error) { w.list = append(w.list, e.Events(Messages, 0, "", "")...) }

// responsesWriter writes the events of OpenAI's responses.
type responsesWriter struct {
	output
	head  head
	n     int      // events so far
	items []string // complete items
	kept  int      // bytes of the complete items and parts

	id    string          // of the open item, empty if none is open
	kind  saidKind        // of the open part
	parts []string        // complete parts of the open item
	said  strings.Builder // text of the open part
	open  said            // the open call
}

// held counts what the last event repeats.
func (w *responsesWriter) held() int { return w.kept + w.said.Len() }

// event adds an event with its number.
func (w *responsesWriter) event(name string, b *builder) {
	w.add(name, b.num("sequence_number", w.n).bytes())
	w.n++
}

// itemEvent begins an event about the open item.
func (w *responsesWriter) itemEvent(name string) *builder {
	return typed(name).str("item_id", w.id).num("output_index", len(w.items))
}

// partEvent begins an event about the open part. Parts of summaries are counted
// separately.
func (w *responsesWriter) partEvent(name string) *builder {
	place := "content_index"
	if w.kind == saidThinking {
		place = "summary_index"
	}
	return w.itemEvent(name).num(place, len(w.parts))
}

func (w *responsesWriter) begin(h head) {
	w.head = h
	response := h.response(nil, stopNone, "null")
	for _, name := range []string{"response.created", "response.in_progress"} {
		w.event(name, typed(name).raw("response", response))
	}
}

// item begins an item.
func (w *responsesWriter) item(kind saidKind, item func(id string) string) {
	w.kind, w.id = kind, w.head.itemID(kind, len(w.items))
	const name = "response.output_item.added"
	w.event(name, typed(name).num("output_index", len(w.items)).raw("item", item(w.id)))
}

// partNames returns the beginnings of the names of the events about a part and
// about its text.
func partNames(kind saidKind) (part, text string) {
	switch kind {
	case saidThinking:
		return "response.reasoning_summary_part", "response.reasoning_summary_text"
	case saidRefusal:
		return "response.content_part", "response.refusal"
	}
	return "response.content_part", "response.output_text"
}

// writePart writes a part.
func writePart(kind saidKind, s string) string {
	if kind == saidThinking {
		return summaryPart(s)
	}
	return contentPart(kind, s)
}

func (w *responsesWriter) say(kind saidKind, s string) {
	part, name := partNames(kind)
	if w.id == "" || w.kind != kind {
		w.openPart(kind, part)
	}
	w.said.WriteString(s)
	b := w.partEvent(name+".delta").str("delta", s)
	if kind == saidText {
		b.raw("logprobs", "[]")
	}
	w.event(name+".delta", b)
}

// openPart begins a part. A text or refusal is added to the open item if that is a
// message. Other parts begin a new item.
func (w *responsesWriter) openPart(kind saidKind, part string) {
	message := func(k saidKind) bool { return k == saidText || k == saidRefusal }
	if w.id != "" && message(w.kind) && message(kind) {
		w.closePart()
		w.kind = kind
	} else {
		w.close()
		w.item(kind, func(id string) string {
			if kind == saidThinking {
				return reasoningItem(id, nil)
			}
			return messageItem(id, nil, "in_progress")
		})
	}
	w.event(part+".added", w.partEvent(part+".added").raw("part", writePart(kind, "")))
}

// closePart ends the open part.
func (w *responsesWriter) closePart() {
	part, name := partNames(w.kind)
	s := w.said.String()
	w.said.Reset()
	key := "text"
	if w.kind == saidRefusal {
		key = "refusal"
	}
	b := w.partEvent(name+".done").str(key, s)
	if w.kind == saidText {
		b.raw("logprobs", "[]")
	}
	w.event(name+".done", b)
	whole := writePart(w.kind, s)
	w.event(part+".done", w.partEvent(part+".done").raw("part", whole))
	w.parts = append(w.parts, whole)
	w.kept += len(whole)
}

// close ends the open item.
func (w *responsesWriter) close() {
	var item string
	switch {
	case w.id == "":
		return
	case w.kind == saidCall:
		const name = "response.function_call_arguments.done"
		w.event(name, w.itemEvent(name).str("name", w.open.name).str("arguments", w.said.String()))
		w.open.text = w.said.String()
		item = callItem(w.id, &w.open, w.open.text, itemStatus(&w.open))
		w.said.Reset()
	case w.kind == saidThinking:
		w.closePart()
		item = reasoningItem(w.id, w.parts)
	default:
		w.closePart()
		item = messageItem(w.id, w.parts, "completed")
	}
	const name = "response.output_item.done"
	w.event(name, typed(name).num("output_index", len(w.items)).raw("item", item))
	w.items = append(w.items, item)
	w.kept += len(item)
	for _, part := range w.parts { // they are in the item
		w.kept -= len(part)
	}
	w.id, w.parts = "", nil
}

func (w *responsesWriter) call(_ int, id, name string) {
	w.close()
	w.open = said{kind: saidCall, id: id, name: name}
	w.item(saidCall, func(itemID string) string { return callItem(itemID, &w.open, "", "in_progress") })
}

func (w *responsesWriter) arguments(_ int, s string) {
	w.said.WriteString(s)
	const name = "response.function_call_arguments.delta"
	w.event(name, w.itemEvent(name).str("delta", s))
}

func (w *responsesWriter) own(raw string) {
	w.close()
	for _, name := range []string{"response.output_item.added", "response.output_item.done"} {
		w.event(name, typed(name).num("output_index", len(w.items)).raw("item", raw))
	}
	w.items = append(w.items, raw)
	w.kept += len(raw)
}

func (w *responsesWriter) finish(s stop, _ string, u carrot.Usage, hasUsage bool) {
	w.close()
	usage := "null"
	if hasUsage {
		usage = responsesUsage(u)
	}
	name := "response.completed"
	if s == stopLength || s == stopFilter {
		name = "response.incomplete"
	}
	w.event(name, typed(name).raw("response", w.head.response(w.items, s, usage)))
}

func (w *responsesWriter) fail(e *Error) {
	events := e.Events(Responses, w.n, w.head.id, w.head.model)
	w.list = append(w.list, events...)
	w.n += len(events)
}
