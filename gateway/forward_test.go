package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/simulate"
)

// The provider gets the client's bytes, but for what must change.
func TestBytesStay(t *testing.T) {
	const answer = "A provider that answers.\n-- response --\nHTTP/1.1 200 OK\nContent-Type: application/json\n\n" +
		`{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1},"x_unknown":{"b":1,"a":[ 2 ]}}` + "\n"
	script, err := simulate.ParseScript([]byte(answer))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, `
providers:
  - {name: a, kind: openai, base_url: $a/v1, api_key: secret, headers: {X-Team: t}}
models:
  - {name: gpt-4o-2024-08-06, provider: a, upstream: deployed-name}
  - {name: high, like: gpt-4o-2024-08-06, provider: a, upstream: deployed-name, price: {input: 1, output: 2},
     settings: {reasoning_effort: high, temperature: 0, max_completion_tokens: 300, extra_body: {k: [1, two]}}}
`, map[string]http.Handler{"a": script})
	for _, test := range []struct{ name, sent, got string }{
		{"spaces, order, escapes and unknown fields",
			"{ \"z\":1,\n\t\"messages\" : [ {\"content\":\"h\\u00e9\\/\", \"role\":\"user\", \"x\":null} ] ,\"model\":\"gpt-4o-2024-08-06\",\"a\":{\"y\":2,\"b\":[]},\"num\":1.0e2 }",
			"{ \"z\":1,\n\t\"messages\" : [ {\"content\":\"h\\u00e9\\/\", \"role\":\"user\", \"x\":null} ] ,\"model\":\"deployed-name\",\"a\":{\"y\":2,\"b\":[]},\"num\":1.0e2 }"},
		{"our metadata goes", `{"model":"gpt-4o-2024-08-06","metadata":{"carrot_session":"s","k":"v"},"messages":[{"role":"user","content":"x"}]}`,
			`{"model":"deployed-name","metadata":{"k":"v"},"messages":[{"role":"user","content":"x"}]}`},
		{"settings come in, of token limits the lower one", `{"model":"high","temperature":1,"max_tokens":500,"messages":[{"role":"user","content":"x"}]}`,
			`{"reasoning_effort":"high","extra_body":{"k":[1,"two"]},"model":"deployed-name","temperature":0,"max_tokens":300,"messages":[{"role":"user","content":"x"}]}`},
		{"a lower limit of the client stays", `{"model":"high","temperature":1,"max_tokens":50,"reasoning_effort":"low","messages":[{"role":"user","content":"x"}]}`,
			`{"extra_body":{"k":[1,"two"]},"model":"deployed-name","temperature":0,"max_tokens":50,"reasoning_effort":"high","messages":[{"role":"user","content":"x"}]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			script.Reset()
			a := r.post(t, "/v1/chat/completions", test.sent, "X-Secret: client", "Cookie: c=1", "Idempotency-Key: i-1")
			if a.status != 200 || !strings.Contains(a.body, `"x_unknown":{"b":1,"a":[ 2 ]}`) {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			got := script.Requests()[0]
			if string(got.Body) != test.got {
				t.Errorf("the provider got\n%s\nwant\n%s", got.Body, test.got)
			}
			h := got.Header
			if h.Get("Authorization") != "Bearer secret" || h.Get("X-Team") != "t" || h.Get("Idempotency-Key") != "i-1" || h.Get("X-Secret") != "" || h.Get("Cookie") != "" {
				t.Errorf("headers %v", h)
			}
		})
	}
}

// What cannot be said in a provider's API takes its models out of the pool for
// that request, and the decision says why.
func TestUntranslatable(t *testing.T) {
	both := simulated(0)
	r := newRig(t, `
providers:
  - {name: a, kind: anthropic, base_url: $sim/v1}
  - {name: o, kind: openai, base_url: $sim/v1}
models:
  - {name: gpt-4o-2024-08-06, provider: o}
  - {name: gemma-2-2b-it, provider: a}
`, map[string]http.Handler{"sim": both})
	const cheapest = "auto:usd-per-quality=0"
	if a := r.post(t, "/v1/chat/completions", chat(cheapest, "Hi")); a.status != 200 || a.header.Get("X-Carrot-Model") != "gemma-2-2b-it" {
		t.Errorf("translated: status %d, served by %s: %s", a.status, a.header.Get("X-Carrot-Model"), a.body)
	}
	body := chat(cheapest, "Hi", `"logprobs":true`)
	if a := r.post(t, "/v1/chat/completions", body); a.status != 200 || a.header.Get("X-Carrot-Model") != "gpt-4o-2024-08-06" || a.header.Get("X-Carrot-Reason") != "only-candidate" {
		t.Errorf("logprobs: status %d, served by %s for %s", a.status, a.header.Get("X-Carrot-Model"), a.header.Get("X-Carrot-Reason"))
	}
	if a := r.post(t, "/v1/route", body); !strings.Contains(a.body, "chat cannot be sent as messages: field logprobs") {
		t.Errorf("the decision does not say why: %s", a.body)
	}
	if a := r.post(t, "/v1/chat/completions", chat("gemma-2-2b-it", "Hi", `"logprobs":true`)); a.status != 400 || !strings.Contains(a.body, "field logprobs") {
		t.Errorf("named: status %d: %s", a.status, a.body)
	}
}

// Prompts and answers are recorded where the configuration says so, and the
// explanation is there for who asks.
func TestContentAndDebug(t *testing.T) {
	r := newRig(t, simulatedConfig+"record: {path: unused.jsonl, content: true}", map[string]http.Handler{"sim": simulated(0)})
	for _, stream := range []string{`"stream":false`, `"stream":true`} {
		a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion, stream, `"max_tokens":5`), "X-Carrot-Debug: true")
		if why := a.header.Get("X-Carrot-Explanation"); !strings.Contains(why, "best trade-off") {
			t.Errorf("explanation %q", why)
		}
	}
	for _, a := range r.records.list() {
		line, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		back, err := gateway.ParseAttempt(line)
		if err != nil || !strings.Contains(string(back.Prompt), "17 * 23") || len(back.Answer) < 5 {
			t.Errorf("%v: prompt %s, answer %q", err, back.Prompt, back.Answer)
		}
	}
}
