package gateway_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// If no model that can read the reasoning of the turn answers, one whose provider gets a
// translated conversation finishes the turn, without the reasoning.
func TestThinkingMovesOnFailure(t *testing.T) {
	const large = "gpt-4o-2024-08-06"
	const user = `{"role":"user","content":"Use the tool to look it up."}`
	const tools = `"tools":[{"name":"look","input_schema":{"type":"object"}}],"max_tokens":50,"messages":[` + user
	const back = `,{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"tool_use","id":"t1","name":"look","input":{}}]},` +
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"42"}]}]}`
	for _, test := range []struct {
		name, settings   string
		begun            bool
		status, attempts int
		model            string
	}{
		{"its model is known", "", true, 200, 2, "gemma-2-2b-it"},
		{"its model is unknown", "", false, 200, 2, "gemma-2-2b-it"},
		{"no fallback is allowed", "fallbacks: 0", true, 503, 1, large},
		{"nothing may be left out", "fallbacks: 3}\ntranslation: strict\nsessions: {ttl: 1m", true, 503, 1, large},
	} {
		t.Run(test.name, func(t *testing.T) {
			var down atomic.Bool
			sim := simulated(0)
			r := newRig(t, `
providers:
  - {name: claude, kind: anthropic, base_url: $claude/v1}
  - {name: other, kind: openai, base_url: $sim/v1, apis: [chat]}
models:
  - {name: gpt-4o-2024-08-06, provider: claude}
  - {name: gemma-2-2b-it, provider: other}
retry: {retries: 0, `+test.settings+`}
`, map[string]http.Handler{"sim": sim, "claude": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if down.Load() {
					http.Error(w, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, http.StatusServiceUnavailable)
					return
				}
				sim.ServeHTTP(w, r)
			})})
			if test.begun {
				if a := r.post(t, "/v1/messages", `{"model":"auto:usd-per-quality=inf",`+tools+`]}`); a.status != 200 || a.header.Get("X-Carrot-Model") != large {
					t.Fatal(a.status, a.header, a.body)
				}
			}
			before := len(r.records.list())
			down.Store(true)
			a := r.post(t, "/v1/messages", `{"model":"auto",`+tools+back)
			attempts := r.records.list()[before:]
			if a.status != test.status || len(attempts) != test.attempts || attempts[len(attempts)-1].Candidate != test.model {
				t.Fatalf("status %d after %d attempts, the last at %s: %s", a.status, len(attempts), attempts[len(attempts)-1].Candidate, a.body)
			}
			if test.status == 200 && (a.header.Get("X-Carrot-Reason") != "fallback" || !strings.Contains(a.header.Get("X-Carrot-Dropped"), "messages[].thinking")) {
				t.Errorf("the client is not told: %v", a.header)
			}
		})
	}
}
