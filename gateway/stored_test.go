package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// Clients of the responses API may refer to what a model said by its id. Where no
// provider stores it, because the answer was translated, the gateway does.
func TestStoredItems(t *testing.T) {
	const config = `
providers:
  - {name: chat, kind: openai, base_url: $openai/v1, apis: [chat]}
  - {name: responses, kind: openai, base_url: $openai/v1, apis: [responses]}
models:
  - {name: m-chat, provider: chat, like: gpt-4o-2024-08-06, price: {input: 1, output: 1}}
  - {name: m-resp, provider: responses, like: gpt-4o-2024-08-06, price: {input: 2, output: 2}}
clients: [{name: a, key: key-of-client-a-00}, {name: b, key: key-of-client-b-00}]
`
	const a, b = "Authorization: Bearer key-of-client-a-00", "Authorization: Bearer key-of-client-b-00"
	const user, and = `{"role":"user","content":"Hi"}`, `{"role":"user","content":"And?"}`
	body := func(model, more string, items ...string) string {
		return `{"model":"` + model + `",` + more + `"input":[` + strings.Join(items, ",") + `]}`
	}
	reference := func(id string) string { return `{"type":"item_reference","id":"` + id + `"}` }
	// said returns the ids of a message and of reasoning in an answer.
	said := func(body string) (message, reasoning string) {
		for line := range strings.SplitSeq(body, "\n") {
			line = strings.TrimPrefix(line, "data: ")
			var event struct {
				Response json.RawMessage
			}
			if strings.Contains(line, `"response.completed"`) && json.Unmarshal([]byte(line), &event) == nil {
				line = string(event.Response)
			}
			var response struct {
				Output []struct{ ID, Type string }
			}
			if json.Unmarshal([]byte(line), &response) != nil {
				continue
			}
			for _, item := range response.Output {
				if item.Type == "message" {
					message = item.ID
				} else {
					reasoning = item.ID
				}
			}
		}
		return message, reasoning
	}
	r, u := newUpstreams(t, config)
	for _, stream := range []string{"", `"stream":true,`} {
		first := r.post(t, "/v1/responses", body("m-chat", stream, user), a)
		id, _ := said(first.body)
		if first.status != 200 || id == "" {
			t.Fatalf("status %d: %s", first.status, first.body)
		}
		for model, want := range map[string]string{"m-chat": `{"role":"assistant","content":"Hello"}`, "m-resp": `"text":"Hello"`} {
			u.received()
			next := r.post(t, "/v1/responses", body(model, stream, user, reference(id), and), a)
			if got := u.received(); next.status != 200 || !strings.Contains(got[0], want) || strings.Contains(got[0], id) {
				t.Errorf("%s, %q: status %d: %s; the provider received %s, want %s", model, stream, next.status, next.body, got, want)
			}
		}
		for _, test := range []struct{ name, id, client string }{{"of another client", id, b}, {"unknown", "msg_unknown", a}} {
			next := r.post(t, "/v1/responses", body("m-chat", stream, user, reference(test.id), and), test.client)
			if next.status != 400 || !strings.Contains(next.body, "let the client send whole items (store: false)") {
				t.Errorf("an item %s: status %d: %s", test.name, next.status, next.body)
			}
		}
	}
	// The client did not want it stored, or the configuration does not.
	unasked, _ := newUpstreams(t, config)
	id, _ := said(unasked.post(t, "/v1/responses", body("m-chat", `"store":false,`, user), a).body)
	if next := unasked.post(t, "/v1/responses", body("m-chat", "", user, reference(id), and), a); id == "" || next.status != 400 {
		t.Errorf("store: false: status %d: %s", next.status, next.body)
	}
	off, _ := newUpstreams(t, "sessions: {store_mb: -1}\n"+config)
	id, _ = said(off.post(t, "/v1/responses", body("m-chat", "", user), a).body)
	if next := off.post(t, "/v1/responses", body("m-chat", "", user, reference(id), and), a); id == "" || next.status != 400 {
		t.Errorf("store_mb: -1: status %d: %s", next.status, next.body)
	}
	// A provider that gives two answers the same id.
	u.mu.Lock()
	u.answers = map[string]string{"/v1/chat/completions": `{"id":"c","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"Another"},"finish_reason":"stop"}]}`}
	u.mu.Unlock()
	id, _ = said(r.post(t, "/v1/responses", body("m-chat", "", user), a).body)
	if next := r.post(t, "/v1/responses", body("m-chat", "", user, reference(id), and), a); id == "" || next.status != 400 {
		t.Errorf("two items with one id: status %d: %s", next.status, next.body)
	}
	// A short request does not become longer than any request may be.
	long, _ := newUpstreams(t, "limits: {body_mb: 1}\n"+config)
	id, _ = said(long.post(t, "/v1/responses", body("m-chat", "", user), a).body)
	many := strings.Split(strings.TrimSuffix(strings.Repeat(reference(id)+" ", 10_000), " "), " ")
	if next := long.post(t, "/v1/responses", body("m-chat", "", append(many, user)...), a); next.status != 400 || !strings.Contains(next.body, "store: false") {
		t.Errorf("many references: status %d: %.300s", next.status, next.body)
	}
	// Reasoning is left out, and that is said.
	thinking := newRig(t, config, map[string]http.Handler{"openai": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "responses") {
			u.ServeHTTP(w, r)
			return
		}
		w.Write([]byte(`{"id":"c","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"Hello","reasoning_content":"Hm."},"finish_reason":"stop"}]}`))
	})})
	id, reasoning := said(thinking.post(t, "/v1/responses", body("m-chat", "", user), a).body)
	u.received()
	next := thinking.post(t, "/v1/responses", body("m-resp", "", user, reference(reasoning), reference(id), and), a)
	if got := u.received(); next.status != 200 || strings.Contains(got[0], `"rs_`) || next.header.Get("X-Carrot-Dropped") != "input[].reasoning" {
		t.Errorf("reasoning: status %d, dropped %q: %s; the provider received %s", next.status, next.header.Get("X-Carrot-Dropped"), next.body, got)
	}
}
