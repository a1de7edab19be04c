package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// threads is the header by which clients ask Anthropic to hold a conversation.
const threads = "message-threads-2026-08-12"

// thread returns a request with the conversation of the thread that it continues, if
// it continues one.
func (w *account) thread(o object, beta string) (object, *refusal) {
	th := get(o, "thread")
	if th == nil {
		return o, nil
	}
	var c rules
	c.must(strings.Contains(beta, threads), "", extra, "thread")
	c.known(th, "thread", "type previous_message_id", extra)
	c.oneOf(th, "type", "thread.type", "create continue")
	id := str(th, "previous_message_id")
	if c.broken != nil || str(th, "type") == "create" {
		c.must(id == "", "", extra, "thread.create.previous_message_id")
		return o, c.broken
	}
	c.must(id != "", "", "thread.continue.previous_message_id: Field required")
	for _, key := range []string{"system", "tools"} {
		c.must(!has(o, key), "", "%s: cannot be set when continuing a thread", key)
	}
	if c.broken != nil {
		return nil, c.broken
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	held, ok := w.threads[id]
	if !ok {
		return nil, &refusal{http.StatusNotFound, "not_found_error", "No usable thread state was found for `previous_message_id`.", "", "thread_not_found"}
	}
	out := object{}
	for key, v := range o {
		out[key] = v
	}
	for _, key := range []string{"system", "tools"} {
		if has(held, key) {
			out[key] = held[key]
		}
	}
	out["messages"] = slices.Concat(list(held, "messages"), list(o, "messages"))
	return out, nil
}

// hold keeps the conversation of a request that asks for it, with the answer.
func (w *account) hold(o object, id string, content []any) {
	if !has(o, "thread") {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var said any
	if err := json.Unmarshal(marshal(content), &said); err != nil {
		panic(err)
	}
	answer := object{"role": "assistant", "content": said}
	w.threads[id] = object{"system": o["system"], "tools": o["tools"], "messages": append(slices.Clone(list(o, "messages")), answer)}
}
