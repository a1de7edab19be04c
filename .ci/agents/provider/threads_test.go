package main

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

// A thread continues after each of its answers, streamed or not, for its account only.
func TestThreads(t *testing.T) {
	server := httptest.NewServer(newProvider())
	defer server.Close()
	status, body := post(t, server.URL, "messages", "a", threads, `{"model":"m","max_tokens":9,"tools":[{"name":"f","input_schema":{"type":"object"}}],
		"messages":[{"role":"user","content":"[[call f {}]]"}],"thread":{"type":"create"}}`)
	var first struct {
		ID      string
		Content []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(body), &first); err != nil || status != 200 || len(first.Content) != 1 {
		t.Fatalf("%v: %d %s", err, status, body)
	}
	next := func(id, more string) string {
		return `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"` + first.Content[0].ID + `","content":"42"}]}],
			"thread":{"type":"continue","previous_message_id":"` + id + `"}` + more + `}`
	}
	for _, c := range []struct{ name, account, betas, body, want string }{
		{"as it is", "a", threads, next(first.ID, ""), "Done: 42"},
		{"streamed", "a", threads, next(first.ID, `,"stream":true`), "Done: 42"},
		{"without the header", "a", "", next(first.ID, ""), "thread: Extra inputs are not permitted"},
		{"of another account", "b", threads, next(first.ID, ""), `"details":{"error_code":"thread_not_found"}`},
		{"unknown", "a", threads, next("msg_1", ""), `"details":{"error_code":"thread_not_found"}`},
		{"with tools again", "a", threads, next(first.ID, `,"tools":[]`), "tools: cannot be set"},
	} {
		if _, body := post(t, server.URL, "messages", c.account, c.betas, c.body); !strings.Contains(body, c.want) {
			t.Errorf("%s: no %q in %s", c.name, c.want, body)
		}
	}
}
