package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carrot-router/carrot/gateway"
)

// cachedTokens returns from a dry run the chosen model, and how many input tokens are
// assumed to be in the prompt cache of each candidate's provider.
func cachedTokens(t *testing.T, r *rig, path, body string, headers ...string) (model string, cached map[string]int) {
	t.Helper()
	a := r.post(t, path, body, headers...)
	var d struct {
		Model      string
		Candidates []struct {
			Name   string
			Cached int `json:"cached_tokens"`
		}
	}
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || d.Model == "" {
		t.Fatalf("%v: %s", err, a.body)
	}
	cached = map[string]int{}
	for _, c := range d.Candidates {
		if c.Cached > 0 {
			cached[c.Name] = c.Cached
		}
	}
	return d.Model, cached
}

// turns returns a conversation whose first turn is long enough for a prompt cache.
func turns(model string, users ...string) string {
	messages := []map[string]string{{"role": "system", "content": strings.Repeat("You are a patient tutor of arithmetic. ", 300)}}
	for i, text := range users {
		if i > 0 {
			messages = append(messages, map[string]string{"role": "assistant", "content": "An answer."})
		}
		messages = append(messages, map[string]string{"role": "user", "content": text})
	}
	b, err := json.Marshal(map[string]any{"model": model, "messages": messages})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// A conversation stays with its model while the provider has it in the prompt cache, unless
// another model is worth the loss of the cache.
func TestConversationStays(t *testing.T) {
	now := time.Now()
	r := &rig{records: &records{}}
	c := parse(t, simulatedConfig, map[string]http.Handler{"sim": simulated(0)})
	g, err := gateway.New(c, source(), gateway.Options{Recorder: r.records, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	r.serve(t, g)
	const large = "gpt-4o-2024-08-06"
	// Just below the worth of quality above which the large model is chosen.
	var d struct {
		Flips []struct {
			Worth float64 `json:"usd_per_quality"`
			Model string
		}
	}
	if err := json.Unmarshal([]byte(r.post(t, "/v1/route", turns("auto", sumQuestion, "And 18 * 23?")).body), &d); err != nil || d.Flips[0].Model != large {
		t.Fatalf("%v: %+v", err, d)
	}
	worth := strconv.FormatFloat(0.9*d.Flips[1].Worth, 'g', -1, 64)
	auto := "auto:usd-per-quality=" + worth
	second := turns(auto, sumQuestion, "And 18 * 23?")
	if model, cached := cachedTokens(t, r, "/v1/route", second); model == large || len(cached) != 0 {
		t.Fatalf("before anything was served: %s, cached %v", model, cached)
	}
	if a := r.post(t, "/v1/chat/completions", turns(large, sumQuestion)); a.status != 200 {
		t.Fatal(a.body)
	}
	input := r.records.list()[0].Usage.Input
	model, cached := cachedTokens(t, r, "/v1/route", second)
	if cached[large] != input || len(cached) != 1 {
		t.Errorf("cached %v, want %d tokens of %s", cached, input, large)
	}
	if model != large {
		t.Errorf("the conversation switches to %s at once", model)
	}
	if _, cached := cachedTokens(t, r, "/v1/route", turns(auto, "Another question.", "And another?")); len(cached) != 0 {
		t.Errorf("another conversation: cached %v", cached)
	}
	if _, cached := cachedTokens(t, r, "/v1/route", turns(auto, sumQuestion)); len(cached) != 0 {
		t.Errorf("the same first turn again: cached %v, though its last message is not in the cache", cached)
	}
	now = now.Add(6 * time.Minute)
	if model, cached := cachedTokens(t, r, "/v1/route", second); model == large || len(cached) != 0 {
		t.Errorf("after 6 minutes: %s, cached %v", model, cached)
	}
}

// Candidates that call the same model of the same provider with other settings share what
// is in its prompt cache, so that the effort changes before the model does.
func TestSettingsShareCache(t *testing.T) {
	const low, high, large = "gemma-low", "gemma-high", "gpt-4o-2024-08-06"
	r := newRig(t, `
providers:
  - {name: sim, kind: openai, base_url: $sim/v1}
  - {name: other, kind: openai, base_url: $sim/v1}
models:
  - {name: gemma-low, like: gemma-2-2b-it, upstream: gemma-2-2b-it, provider: sim, settings: {reasoning_effort: low}, price: {input: 1, output: 1}}
  - {name: gemma-high, like: gemma-2-2b-it, upstream: gemma-2-2b-it, provider: sim, settings: {reasoning_effort: high}, price: {input: 1, output: 1}}
  - {name: gemma-other, like: gemma-2-2b-it, upstream: gemma-2-2b-it, provider: other, price: {input: 1, output: 1}}
  - {name: gpt-4o-2024-08-06, provider: sim}
`, map[string]http.Handler{"sim": simulated(0)})
	if a := r.post(t, "/v1/chat/completions", turns(low, sumQuestion)); a.status != 200 {
		t.Fatal(a.body)
	}
	input := r.records.list()[0].Usage.Input
	second := turns("auto", sumQuestion, "And 18 * 23?")
	if _, cached := cachedTokens(t, r, "/v1/route", second); cached[low] != input || cached[high] != input || len(cached) != 2 {
		t.Errorf("cached %v, want %d tokens of %s and %s", cached, input, low, high)
	}
	// What one of them served last counts, and others are as before.
	if a := r.post(t, "/v1/chat/completions", turns(large, sumQuestion, "And 18 * 23?")); a.status != 200 {
		t.Fatal(a.body)
	}
	if _, cached := cachedTokens(t, r, "/v1/route", turns("auto", sumQuestion, "And 18 * 23?", "And 19 * 23?")); cached[high] != input || cached[large] <= input || len(cached) != 3 {
		t.Errorf("cached %v, want %d tokens of %s and more of %s", cached, input, high, large)
	}
}

// A session that the client names is recognized even if its text changes.
func TestNamedSession(t *testing.T) {
	r := newRig(t, simulatedConfig, map[string]http.Handler{"sim": simulated(0)})
	const large, session = "gpt-4o-2024-08-06", "X-Carrot-Session: s-1"
	r.post(t, "/v1/chat/completions", turns(large, sumQuestion), session)
	if _, cached := cachedTokens(t, r, "/v1/route", turns("auto", "Something else."), session); cached[large] == 0 {
		t.Errorf("cached %v, want some of %s", cached, large)
	}
	if _, cached := cachedTokens(t, r, "/v1/route", turns("auto", "Something else."), "X-Carrot-Session: s-2"); len(cached) != 0 {
		t.Errorf("another session: cached %v", cached)
	}
	if got := r.records.list()[0].Session; got != "s-1" {
		t.Errorf("recorded session %q", got)
	}
}

// A response is continued by the model that made it.
func TestPreviousResponse(t *testing.T) {
	r := newRig(t, strings.Replace(simulatedConfig, "/v1}", "/v1, apis: [responses, chat]}", 1), map[string]http.Handler{"sim": simulated(0)})
	const large = "gpt-4o-2024-08-06"
	body := func(model, more string) string {
		return fmt.Sprintf(`{"model":%q,"input":%q%s}`, model, sumQuestion, more)
	}
	for _, stream := range []string{"", `,"stream":true`} {
		first := r.post(t, "/v1/responses", body(large, stream))
		at := strings.Index(first.body, `"resp_`)
		if first.status != 200 || at < 0 {
			t.Fatalf("status %d: %s", first.status, first.body)
		}
		id := first.body[at+1 : at+1+strings.IndexByte(first.body[at+1:], '"')]
		next := r.post(t, "/v1/responses", body("auto:usd-per-quality=0", `,"previous_response_id":"`+id+`"`))
		if next.status != 200 || next.header.Get("X-Carrot-Model") != large || next.header.Get("X-Carrot-Reason") != "continues-response" {
			t.Errorf("status %d, served by %s for %s: %.300s", next.status, next.header.Get("X-Carrot-Model"), next.header.Get("X-Carrot-Reason"), next.body)
		}
	}
	if a := r.post(t, "/v1/responses", body("auto", `,"previous_response_id":"resp_unknown"`)); a.status != 400 || !strings.Contains(a.body, "unknown_previous_response") {
		t.Errorf("an unknown response: status %d: %s", a.status, a.body)
	}
}

// If a model reasons and then calls a tool, the same model finishes the turn.
func TestThinkingStays(t *testing.T) {
	r := newRig(t, strings.Replace(simulatedConfig, "kind: openai", "kind: anthropic", 1), map[string]http.Handler{"sim": simulated(0)})
	const large = "gpt-4o-2024-08-06"
	const user = `{"role":"user","content":"Use the tool to look it up."}`
	tools := `"tools":[{"name":"look","input_schema":{"type":"object"}}],"max_tokens":50,"messages":[` + user
	if a := r.post(t, "/v1/messages", `{"model":"`+large+`",`+tools+`]}`); a.status != 200 {
		t.Fatal(a.body)
	}
	result := `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"42"}]}`
	for _, test := range []struct{ name, call, want string }{
		{"with reasoning", `,{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"tool_use","id":"t1","name":"look","input":{}}]}`, "continues-reasoning"},
		{"without", `,{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"look","input":{}}]}`, "trade-off"},
	} {
		a := r.post(t, "/v1/messages", `{"model":"auto:usd-per-quality=0",`+tools+test.call+result+`]}`)
		if served := a.header.Get("X-Carrot-Model"); a.status != 200 || a.header.Get("X-Carrot-Reason") != test.want || (served == large) != (test.want == "continues-reasoning") {
			t.Errorf("%s: status %d, served by %s for %s, want %s", test.name, a.status, served, a.header.Get("X-Carrot-Reason"), test.want)
		}
	}
}

// If reasoning was translated for the client, the model that made it still finishes the
// turn, whichever API its provider has.
func TestThinkingStaysTranslated(t *testing.T) {
	r := newRig(t, strings.Replace(simulatedConfig, "/v1}", "/v1, apis: [chat]}", 1), map[string]http.Handler{"sim": simulated(0)})
	const large = "gpt-4o-2024-08-06"
	const user = `{"role":"user","content":"Use the tool to look it up."}`
	const tools = `"tools":[{"type":"function","name":"look","parameters":{"type":"object"},"strict":false}],"input":[` + user
	const back = `,{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}]},` +
		`{"type":"function_call","call_id":"c1","name":"look","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"42"}]}`
	// It is unknown which model began the turn, as after a restart. The request is
	// answered nevertheless.
	if a := r.post(t, "/v1/responses", `{"model":"auto",`+tools+back); a.status != 200 {
		t.Errorf("without a known model: status %d: %s", a.status, a.body)
	}
	if a := r.post(t, "/v1/responses", `{"model":"`+large+`",`+tools+`]}`); a.status != 200 {
		t.Fatal(a.body)
	}
	a := r.post(t, "/v1/responses", `{"model":"auto:usd-per-quality=0",`+tools+back)
	if a.status != 200 || a.header.Get("X-Carrot-Model") != large || a.header.Get("X-Carrot-Reason") != "continues-reasoning" {
		t.Errorf("status %d, served by %s for %s: %s", a.status, a.header.Get("X-Carrot-Model"), a.header.Get("X-Carrot-Reason"), a.body)
	}
}

// Reasoning is recognized even if the first turn was sent as text before and is an item
// now.
func TestThinkingStaysAfterText(t *testing.T) {
	r := newRig(t, strings.Replace(simulatedConfig, "/v1}", "/v1, apis: [chat]}", 1), map[string]http.Handler{"sim": simulated(0)})
	const large = "gpt-4o-2024-08-06"
	const tools = `"tools":[{"type":"function","name":"look","parameters":{"type":"object"},"strict":false}],"input":`
	r.post(t, "/v1/responses", `{"model":"`+large+`",`+tools+`"hello"}`)
	a := r.post(t, "/v1/responses", `{"model":"auto:usd-per-quality=0",`+tools+`[{"role":"user","content":"hello"},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}]},`+
		`{"type":"function_call","call_id":"c1","name":"look","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"42"}]}`)
	if a.header.Get("X-Carrot-Model") != large || a.header.Get("X-Carrot-Reason") != "continues-reasoning" {
		t.Errorf("status %d, served by %s for %s: %s", a.status, a.header.Get("X-Carrot-Model"), a.header.Get("X-Carrot-Reason"), a.body)
	}
}

// A response cannot be continued if the request excludes the model that made it, or if the
// provider does not store responses.
func TestPreviousResponseRefused(t *testing.T) {
	r := newRig(t, `
providers:
  - {name: native, kind: openai, base_url: $sim/v1, apis: [responses]}
  - {name: chat, kind: openai, base_url: $sim/v1, apis: [chat]}
models:
  - {name: gpt-4o-2024-08-06, provider: native}
  - {name: gemma-2-2b-it, provider: chat}
policies: [{name: small, models: [gemma-2-2b-it]}]
`, map[string]http.Handler{"sim": simulated(0)})
	for model, want := range map[string]string{
		"gpt-4o-2024-08-06": "gpt-4o-2024-08-06 must continue this conversation, but is not among the models of the request: gemma-2-2b-it",
		"gemma-2-2b-it":     "through an API that does not keep responses: send the earlier turns in input",
	} {
		first := r.post(t, "/v1/responses", `{"model":"`+model+`","input":"hello"}`)
		var made struct{ ID string }
		if err := json.Unmarshal([]byte(first.body), &made); err != nil || made.ID == "" {
			t.Fatalf("%v: %s", err, first.body)
		}
		if a := r.post(t, "/v1/responses", `{"model":"small","input":"and?","previous_response_id":"`+made.ID+`"}`); a.status != 400 || !strings.Contains(a.body, want) {
			t.Errorf("after %s: status %d, want %q: %s", model, a.status, want, a.body)
		}
	}
}

// A thread, which Anthropic holds, is continued by the model that holds it. If no model
// that may answer does, the error is Anthropic's own, by which clients know that they
// have to send the whole conversation.
func TestThread(t *testing.T) {
	var mu sync.Mutex
	var got []string
	native := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Header.Get("X-Api-Key")+" "+r.Header.Get("Anthropic-Beta")+" "+string(b))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"msg_%d","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hello."}],"stop_reason":"end_turn","usage":{"input_tokens":9,"output_tokens":3}}`, len(got))
	}
	r := newRig(t, `
providers:
  - {name: native, kind: anthropic, base_url: $native/v1, api_keys: [k1, k2]}
  - {name: chat, kind: openai, base_url: $sim/v1, apis: [chat]}
models:
  - {name: gpt-4o-2024-08-06, provider: native}
  - {name: gemma-2-2b-it, provider: chat}
policies: [{name: small, models: [gemma-2-2b-it]}]
`, map[string]http.Handler{"sim": simulated(0), "native": http.HandlerFunc(native)})
	const large = "gpt-4o-2024-08-06"
	body := func(model, thread, messages string) string {
		return `{"model":"` + model + `","max_tokens":50,"thread":` + thread + `,"messages":[` + messages + `]}`
	}
	const create, hello, and = `{"type":"create"}`, `{"role":"user","content":"Hello"}`, `{"role":"user","content":"And?"}`
	next := func(id string) string { return `{"type":"continue","previous_message_id":"` + id + `"}` }
	const beta = "Anthropic-Beta: message-threads-2026-08-12"
	for range 2 { // with both keys
		if a := r.post(t, "/v1/messages", body(large, create, hello), beta); a.status != 200 {
			t.Fatal(a.body)
		}
	}
	for i, id := range []string{"msg_1", "msg_2"} {
		a := r.post(t, "/v1/messages", body("auto:usd-per-quality=0", next(id), and), beta)
		if a.status != 200 || a.header.Get("X-Carrot-Model") != large || a.header.Get("X-Carrot-Reason") != "continues-response" {
			t.Errorf("%s: status %d, served by %s for %s: %s", id, a.status, a.header.Get("X-Carrot-Model"), a.header.Get("X-Carrot-Reason"), a.body)
		}
		key, _, _ := strings.Cut(got[i], " ")
		if sent := got[len(got)-1]; !strings.HasPrefix(sent, key+" message-threads-2026-08-12 ") || !strings.Contains(sent, next(id)) {
			t.Errorf("%s was made with key %s; its continuation is %s", id, key, sent)
		}
	}
	// How the turn in progress began is unknown, so thinking stays on.
	const result = `{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"42"}]}`
	thinking := strings.Replace(body("auto", next("msg_3"), result), `"thread"`, `"thinking":{"type":"enabled","budget_tokens":2000},"thread"`, 1)
	if a := r.post(t, "/v1/messages", thinking, beta); a.status != 200 || a.header.Get("X-Carrot-Dropped") != "" {
		t.Errorf("with thinking: dropped %q: %s", a.header.Get("X-Carrot-Dropped"), a.body)
	}
	// It may continue an answer that was paused, with nothing new.
	if a := r.post(t, "/v1/messages", body("auto", next("msg_3"), ""), beta); a.status != 200 {
		t.Errorf("without messages: %s", a.body)
	}
	// A model whose provider holds no threads answers, and says so.
	a := r.post(t, "/v1/messages", body("small", create, hello), beta)
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.status != 200 || a.header.Get("X-Carrot-Dropped") != "thread" {
		t.Fatalf("status %d, dropped %q: %s", a.status, a.header.Get("X-Carrot-Dropped"), a.body)
	}
	calls := len(r.records.list())
	for _, test := range []struct{ name, model, id string }{
		{"of that model", "auto", made.ID},
		{"unknown", "auto", "msg_unknown"},
		{"of a model that may not answer", "small", "msg_1"},
		{"at a model of another API", "gemma-2-2b-it", "msg_1"},
	} {
		a := r.post(t, "/v1/messages", body(test.model, next(test.id), and), beta)
		if a.status != 404 || !strings.Contains(a.body, `"type":"not_found_error"`) || !strings.Contains(a.body, `"details":{"error_code":"thread_not_found"}`) {
			t.Errorf("a thread %s: status %d: %s", test.name, a.status, a.body)
		}
	}
	if n := len(r.records.list()); n != calls {
		t.Errorf("%d calls of providers for threads that cannot be continued", n-calls)
	}
}
