package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/record"
)

// threeAPIs has a model at a provider of each API, and one at a provider of two. The
// first is the cheapest.
const threeAPIs = `
providers:
  - {name: claude, kind: anthropic, base_url: $claude/v1}
  - {name: chat, kind: openai, base_url: $openai/v1, apis: [chat]}
  - {name: responses, kind: openai, base_url: $openai/v1, apis: [responses]}
  - {name: other, kind: openai, base_url: $openai/v1, apis: [responses], api_key: another-account}
models:
  - {name: m-msg, provider: claude, like: gpt-4o-2024-08-06, price: {input: 1, output: 1}}
  - {name: m-chat, provider: chat, like: gpt-4o-2024-08-06, price: {input: 2, output: 2}}
  - {name: m-resp, provider: responses, like: gpt-4o-2024-08-06, price: {input: 3, output: 3}}
  - {name: m-other, provider: other, like: gpt-4o-2024-08-06, price: {input: 1, output: 1}}
  - {name: plain, provider: chat, like: gpt-4o-2024-08-06, price: {input: 1, output: 1}, sampling: false}
  - {name: thinker, provider: claude, like: gpt-4o-2024-08-06, price: {input: 1, output: 1}, max_output: 9000, settings: {thinking: {type: adaptive}}}
  - {name: gpt-5-mini, provider: chat, upstream: openai/gpt-5-mini, like: gpt-4o-2024-08-06, price: {input: 1, output: 1}}
  - {name: kimi, provider: chat, upstream: moonshotai/kimi-k2.6, like: gpt-4o-2024-08-06, price: {input: 1, output: 1}}
  - {name: long, provider: chat, like: gpt-4o-2024-08-06, price: {input: 1, output: 1}, settings: {max_completion_tokens: 50}}
  - {name: claude-opus-4-8, provider: claude, like: gpt-4o-2024-08-06, price: {input: 1, output: 1}}
policies:
  - {name: mixed, objective: usd-per-quality=0, models: [m-msg, m-resp, m-chat]}
  - {name: translated, objective: usd-per-quality=0, models: [m-msg, m-resp]}
  - {name: sampled, models: [plain]}
  - {name: reasoning, models: [gpt-5-mini]}
  - {name: makers, objective: usd-per-quality=0, models: [m-resp, m-other]}
aliases: {claude-sonnet-4-5: m-chat, "claude-*": mixed, "claude-haiku*": "mixed:usd-per-quality=0.5", gpt-5: m-msg}
retry: {retries: 0, backoff: 1ms, max_wait: 1ms}
`

// upstreams answers for all providers of threeAPIs, and keeps what it received.
type upstreams struct {
	mu     sync.Mutex
	bodies []string
	refuse map[string]string // by path: the bodies of answers with status 400

	answers map[string]string // by path: other answers than usual
}

func (u *upstreams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	u.mu.Lock()
	u.bodies = append(u.bodies, string(body))
	refusal, other := u.refuse[r.URL.Path], u.answers[r.URL.Path]
	u.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if refusal != "" {
		w.WriteHeader(400)
		fmt.Fprint(w, refusal)
		return
	}
	if other != "" {
		fmt.Fprint(w, other)
		return
	}
	fmt.Fprint(w, map[string]string{
		"/v1/messages":         `{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[{"type":"tool_use","id":"t","name":"crm__get","input":{"input":"x"}}],"stop_reason":"tool_use","usage":{"input_tokens":10,"output_tokens":2}}`,
		"/v1/chat/completions": `{"id":"c","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}`,
		"/v1/responses":        `{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"up","output":[{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hello","annotations":[]}]}],"usage":{"input_tokens":10,"output_tokens":2,"total_tokens":12}}`,
	}[r.URL.Path])
}

// received returns the bodies since the last call.
func (u *upstreams) received() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := u.bodies
	u.bodies = nil
	return out
}

func newUpstreams(t *testing.T, config string) (*rig, *upstreams) {
	u := &upstreams{refuse: map[string]string{}}
	return newRig(t, config, map[string]http.Handler{"claude": u, "openai": u}), u
}

// What a request loses on its way to a model is in the headers, in the record, in the
// dry run and in a metric. Where nothing is lost, nothing is said.
func TestLosses(t *testing.T) {
	r, u := newUpstreams(t, threeAPIs)
	for _, test := range []struct {
		name, path, body  string
		dropped, narrowed string
		sent              string // what the provider received contains this; "!" before it: it does not
	}{
		{"nothing is translated", "/v1/chat/completions", chat("m-chat", "Hi", `"seed":1,"brand_new":2`), "", "", `"seed":1,"brand_new":2`},
		{"labels", "/v1/chat/completions", chat("m-msg", "Hi", `"seed":1,"brand_new":2,"temperature":1.5,"max_tokens":9`), "seed,brand_new", "temperature=1", `!seed`},
		{"a limit that the provider requires", "/v1/chat/completions", chat("m-msg", "Hi"), "", "max_tokens=32000", `"max_tokens":32000`},
		{"the model's own limit", "/v1/chat/completions", chat("thinker", "Hi"), "", "", `"max_tokens":9000`},
		{"sampling that the vendor's newer models refuse", "/v1/chat/completions", chat("claude-opus-4-8", "Hi", `"temperature":0,"max_tokens":9`), "temperature", "", `!temperature`},
		{"sampling, routed", "/v1/chat/completions", chat("sampled", "Hi", `"temperature":0,"top_p":1`), "temperature", "", `!temperature`},
		{"sampling of a model that the client names", "/v1/chat/completions", chat("plain", "Hi", `"temperature":0`), "", "", `"temperature":0`},
		{"thinking that the turn cannot continue", "/v1/chat/completions", `{"model":"thinker","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"y"}]}`,
			"settings.thinking", "", `!thinking`},
		{"the limit of a server that knows only the shorter name", "/v1/responses", `{"model":"m-chat","input":"Hi","max_output_tokens":20}`, "", "", `"max_tokens":20`},
		{"the limit of OpenAI's reasoning models, wherever they are served", "/v1/responses", `{"model":"gpt-5-mini","input":"Hi","max_output_tokens":20}`, "", "", `"max_completion_tokens":20`},
		{"the limit under the name in the settings", "/v1/responses", `{"model":"long","input":"Hi","max_output_tokens":20}`, "", "", `"max_completion_tokens":20`},
		{"the limit of a reasoning model, routed", "/v1/chat/completions", chat("reasoning", "Hi", `"max_tokens":20`), "", "", `"max_completion_tokens":20`},
		{"both limits of a reasoning model, routed", "/v1/chat/completions", chat("reasoning", "Hi", `"max_tokens":20,"max_completion_tokens":30`), "", "", `!max_tokens`},
		{"the limit of a reasoning model that the client names", "/v1/chat/completions", chat("gpt-5-mini", "Hi", `"max_tokens":20`), "", "", `"max_tokens":20`},
		{"thinking before a call that is demanded", "/v1/chat/completions", chat("thinker", "Hi", `"max_tokens":9,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required"`), "settings.thinking", "", `!thinking`},
		{"thinking before a function that is demanded", "/v1/chat/completions", chat("thinker", "Hi", `"max_tokens":9,"functions":[{"name":"f"}],"function_call":{"name":"f"}`), "settings.thinking", "", `!thinking`},
		{"thinking where a call is possible", "/v1/chat/completions", chat("thinker", "Hi", `"max_tokens":9,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"auto"`), "", "", `"thinking":{"type":"adaptive"}`},
		{"sampling of a model that thinks", "/v1/chat/completions", chat("thinker", "Hi", `"max_tokens":9,"temperature":0`), "temperature", "", `!temperature`},
		{"labels at a server that is not OpenAI's", "/v1/responses", `{"model":"m-chat","input":"Hi","prompt_cache_key":"k","safety_identifier":"s","text":{"verbosity":"low"}}`, "prompt_cache_key,safety_identifier,text.verbosity", "", `!prompt_cache_key`},
		{"reasoning that a model wants back", "/v1/messages", `{"model":"kimi","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"y"}]}]}`,
			"", "", `"reasoning_content":" "`},
		{"an answer of its own that a model does not continue", "/v1/chat/completions", `{"model":"claude-opus-4-8","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}`,
			"", "messages[]=user", `{"role":"user","content":"Continue."}`},
		{"thinking about a question", "/v1/chat/completions", chat("thinker", "Hi", `"max_tokens":9`), "", "", `"thinking":{"type":"adaptive"}`},
	} {
		a := r.post(t, test.path, test.body)
		all := r.records.list()
		rec, sent := all[len(all)-1], u.received()
		if a.status != 200 || a.header.Get("X-Carrot-Dropped") != test.dropped || a.header.Get("X-Carrot-Narrowed") != test.narrowed {
			t.Errorf("%s: status %d, dropped %q, narrowed %q, want %q and %q: %s", test.name, a.status, a.header.Get("X-Carrot-Dropped"), a.header.Get("X-Carrot-Narrowed"), test.dropped, test.narrowed, a.body)
		}
		if strings.Join(rec.Dropped, ",") != test.dropped || strings.Join(rec.Narrowed, ",") != test.narrowed {
			t.Errorf("%s: the record has %q and %q", test.name, rec.Dropped, rec.Narrowed)
		}
		if want, not := strings.CutPrefix(test.sent, "!"); len(sent) != 1 || strings.Contains(sent[0], want) == not {
			t.Errorf("%s: the provider got %s", test.name, sent)
		}
	}

	a := r.post(t, "/v1/route", chat("mixed", "Hi", `"seed":1`))
	var got struct {
		Losses map[string]map[string][]string
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || fmt.Sprint(got.Losses) != "map[m-msg:map[dropped:[seed] narrowed:[max_tokens=32000]] m-resp:map[dropped:[seed]]]" {
		t.Errorf("the dry run says %v, %v: %s", got.Losses, err, a.body)
	}
	if a := r.post(t, "/v1/route", chat("mixed", "Hi", `"max_tokens":20`)); strings.Contains(a.body, "losses") {
		t.Errorf("without losses, the dry run says %s", a.body)
	}
}

// The metric counts fields by name, but only those of a list.
func TestNarrowedMetric(t *testing.T) {
	registry := prometheus.NewRegistry()
	u := &upstreams{}
	g, err := gateway.New(parse(t, threeAPIs, map[string]http.Handler{"claude": u, "openai": u}), source(), gateway.Options{Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	send(g, "POST", "/v1/chat/completions", chat("m-msg", "Hi", `"seed":1,"brand_new":1,"another":1,"max_tokens":9,"tools":[{"type":"function","function":{"name":"f","x":1}}]`))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range families {
		if f.GetName() == "carrot_narrowed_total" {
			for _, m := range f.GetMetric() {
				counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if fmt.Sprint(counts) != "map[other:2 seed:1 tools[]:1]" {
		t.Errorf("carrot_narrowed_total is %v", counts)
	}
}

// With strict translation, a candidate for which a field would be lost may not answer.
func TestStrictTranslation(t *testing.T) {
	r, u := newUpstreams(t, threeAPIs+"translation: strict\n")
	for _, test := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"lost by all", chat("translated", "Hi", `"seed":1`), 400, "m-msg: translation is strict, and these fields would be left out or changed: seed"},
		{"lost by some", chat("mixed", "Hi", `"seed":1`), 200, `"model":"m-chat"`},
		{"lost by a named model", chat("m-msg", "Hi", `"temperature":2`), 400, "temperature=1"},
		{"a limit that is only added", chat("m-msg", "Hi"), 200, `"model":"m-msg"`},
		{"sampling without translation", chat("sampled", "Hi", `"temperature":0`), 400, "changed: temperature"},
	} {
		a := r.post(t, "/v1/chat/completions", test.body)
		if a.status != test.status || !strings.Contains(a.body, test.want) {
			t.Errorf("%s: status %d: %s, want %d with %s", test.name, a.status, a.body, test.status, test.want)
		}
	}
	if n := len(u.received()); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

// If a provider refuses a translated request, the next candidate is tried, first one that
// speaks the client's API. Its refusal goes back, and so does that of the client's own
// API at once.
func TestRefusedTranslation(t *testing.T) {
	const anthropic, openAI = `{"type":"error","error":{"type":"invalid_request_error","message":"minimum is not supported"}}`, `{"error":{"message":"chat refuses","type":"invalid_request_error","code":null}}`
	r, u := newUpstreams(t, threeAPIs)
	for _, test := range []struct {
		name     string
		refuse   []string
		model    string
		status   int
		want     string
		outcomes string
	}{
		{"the client's API is next", []string{"/v1/messages"}, "mixed", 200, `"content":"Hello"`, "m-msg failed, m-chat served"},
		{"and refuses too", []string{"/v1/messages", "/v1/chat/completions"}, "mixed", 400, openAI, "m-msg failed, m-chat refused"},
		{"another translation", []string{"/v1/messages"}, "translated", 200, `"content":"Hello"`, "m-msg failed, m-resp served"},
		{"all translations refuse", []string{"/v1/messages", "/v1/responses"}, "translated", 400, "chat refuses", "m-msg failed, m-resp refused"},
		{"no other candidate", []string{"/v1/messages"}, "m-msg", 400, "minimum is not supported", "m-msg refused"},
		{"nothing was translated", []string{"/v1/chat/completions"}, "m-chat", 400, openAI, "m-chat refused"},
	} {
		u.mu.Lock()
		u.refuse = map[string]string{}
		for _, path := range test.refuse {
			u.refuse[path] = openAI
			if path == "/v1/messages" {
				u.refuse[path] = anthropic
			}
		}
		u.mu.Unlock()
		before := len(r.records.list())
		a := r.post(t, "/v1/chat/completions", chat(test.model, "Hi", `"max_tokens":20`))
		var outcomes []string
		for _, rec := range r.records.list()[before:] {
			outcomes = append(outcomes, rec.Candidate+" "+string(rec.Outcome))
		}
		if got := strings.Join(outcomes, ", "); a.status != test.status || !strings.Contains(a.body, test.want) || got != test.outcomes {
			t.Errorf("%s: status %d, %s: %s, want %d, %s: %s", test.name, a.status, got, a.body, test.status, test.outcomes, test.want)
		}
		if a.status == 200 && a.header.Get("X-Carrot-Narrowed") != "" {
			t.Errorf("%s: the answer has the losses of another attempt: %v", test.name, a.header)
		}
	}
}

// Names that agents have built in reach a policy or a model.
func TestAliases(t *testing.T) {
	r, _ := newUpstreams(t, threeAPIs)
	for name, want := range map[string]string{"claude-sonnet-4-5": "named m-chat ", "claude-opus-4-1": "trade-off m-msg mixed", "claude-haiku-4-5": "trade-off m-msg mixed", "gpt-5": "named m-msg ", "claude-opus-4-8": "named claude-opus-4-8 "} {
		a := r.post(t, "/v1/chat/completions", chat(name, "Hi", `"max_tokens":20`))
		all := r.records.list()
		rec := all[len(all)-1]
		if got := fmt.Sprint(rec.Reason, " ", rec.Candidate, " ", rec.Policy); a.status != 200 || got != want || a.header.Get("X-Carrot-Policy") != name {
			t.Errorf("%s: status %d, %q, want %q: %s", name, a.status, got, want, a.body)
		}
	}
	if a := r.post(t, "/v1/chat/completions", chat("gpt-6", "Hi")); a.status != 404 {
		t.Errorf("a name that is no alias has status %d: %s", a.status, a.body)
	}
	if w := send(r.Gateway, "GET", "/v1/models", ""); !strings.Contains(w.Body.String(), `"id":"gpt-5"`) || strings.Contains(w.Body.String(), "claude-*") {
		t.Errorf("the list of models is %s", w.Body)
	}
}

// An answer that can never be fetched is refused before anybody is called.
func TestBackground(t *testing.T) {
	r, u := newUpstreams(t, threeAPIs)
	a := r.post(t, "/v1/responses", `{"model":"m-resp","input":"Hi","background":true}`)
	if a.status != 400 || !strings.Contains(a.body, "cannot be fetched later") || len(u.received()) > 0 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if a := r.post(t, "/v1/responses", `{"model":"m-resp","input":"Hi","background":false}`); a.status != 200 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// Calls of tools in a namespace come back in it, from a provider that has none.
func TestToolsRestored(t *testing.T) {
	r, u := newUpstreams(t, threeAPIs)
	a := r.post(t, "/v1/responses", `{"model":"m-msg","input":"Hi","tools":[{"type":"namespace","name":"crm","description":"c","tools":[{"type":"custom","name":"get"}]}]}`)
	if sent := u.received(); len(sent) != 1 || !strings.Contains(sent[0], `"name":"crm__get"`) {
		t.Errorf("the provider got %s", sent)
	}
	if a.status != 200 || !strings.Contains(a.body, `"type":"custom_tool_call","status":"completed","call_id":"t","name":"get","namespace":"crm","input":"x"`) {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// Reasoning that one provider encrypted is not sent to another, and items that are stored
// at a provider stay with it while that is known.
func TestOtherMakersItems(t *testing.T) {
	r, u := newUpstreams(t, threeAPIs)
	const first = `{"role":"user","content":"Hi"}`
	start := func() {
		a := r.post(t, "/v1/responses", `{"model":"m-resp","input":[`+first+`]}`)
		if a.status != 200 {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		u.received()
	}
	start()
	a := r.post(t, "/v1/responses", `{"model":"makers","input":[`+first+`,{"type":"reasoning","id":"rs_1","encrypted_content":"x","summary":[]},{"role":"assistant","content":"Ho"},{"role":"user","content":"And?"}]}`)
	if sent := u.received(); a.header.Get("X-Carrot-Model") != "m-other" || a.header.Get("X-Carrot-Dropped") != "input[].reasoning" || strings.Contains(sent[0], "rs_1") {
		t.Errorf("status %d by %s, dropped %q: %s", a.status, a.header.Get("X-Carrot-Model"), a.header.Get("X-Carrot-Dropped"), sent)
	}
	start()
	a = r.post(t, "/v1/responses", `{"model":"makers","input":[`+first+`,{"type":"item_reference","id":"msg_1"},{"role":"user","content":"And?"}]}`)
	if sent := u.received(); a.header.Get("X-Carrot-Model") != "m-resp" || a.header.Get("X-Carrot-Reason") != string(record.ContinuesResponse) || !strings.Contains(sent[0], "item_reference") {
		t.Errorf("status %d by %s, %s: %s", a.status, a.header.Get("X-Carrot-Model"), a.header.Get("X-Carrot-Reason"), sent)
	}
}

// A turn of tools that a model of another API began has no signed thinking, so Anthropic's
// models refuse to continue it if the request asks for thinking with a budget. It is
// continued by others; and if there are none, without thinking.
func TestUnsignedTurn(t *testing.T) {
	r, u := newUpstreams(t, strings.Replace(threeAPIs, "  - {name: plain,",
		"  - {name: always, provider: claude, like: gpt-4o-2024-08-06, price: {input: 1, output: 1}, settings: {thinking: {type: enabled, budget_tokens: 2000}}}\n  - {name: plain,", 1))
	const turn = `"max_tokens":9000,"tools":[{"name":"f","input_schema":{"type":"object"}}],"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[%s{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"y"}]}]}`
	body := func(model, more, signed string) string {
		return fmt.Sprintf(`{"model":%q,%s`+turn, model, more, signed)
	}
	const budget, adaptive = `"thinking":{"type":"enabled","budget_tokens":2000},`, `"thinking":{"type":"adaptive"},`
	const edits = `"context_management":{"edits":[{"type":"clear_thinking_20251015"}]},`
	const signed = `{"type":"thinking","thinking":"hm","signature":"s"},`
	const only = "X-Carrot-Models: m-msg"
	const thread = `"thread":{"type":"create"},`
	for _, test := range []struct {
		name, body, header    string
		served, dropped, sent string // "!" before sent: it is not in what the provider received
	}{
		{"by a model of another API", body("mixed", budget, ""), "", "m-chat", "", `"reasoning_effort":"low"`},
		{"without thinking", body("mixed", budget+edits, ""), only, "m-msg", "thinking,context_management", "!thinking"},
		{"if there is thinking", body("mixed", budget, signed), "", "m-msg", "", budget},
		{"if the model decides whether to think", body("mixed", adaptive, ""), "", "m-msg", "", adaptive},
		{"if the client names the model", body("m-msg", budget, ""), "", "m-msg", "", budget},
		{"in a thread that begins with it", body("mixed", budget+thread, ""), "", "m-chat", "thread", ""},
		{"without the thinking of a setting", body("always", "", ""), "", "always", "settings.thinking", "!thinking"},
		{"with the thinking of a setting", body("always", "", signed), "", "always", "", `"budget_tokens":2000`},
	} {
		u.received()
		var headers []string
		if test.header != "" {
			headers = []string{test.header}
		}
		a := r.post(t, "/v1/messages", test.body, headers...)
		sent := u.received()
		if a.status != 200 || a.header.Get("X-Carrot-Model") != test.served || a.header.Get("X-Carrot-Dropped") != test.dropped {
			t.Errorf("%s: status %d, served by %s, dropped %q: %s", test.name, a.status, a.header.Get("X-Carrot-Model"), a.header.Get("X-Carrot-Dropped"), a.body)
		}
		if want, not := strings.CutPrefix(test.sent, "!"); len(sent) != 1 || strings.Contains(sent[0], want) == not {
			t.Errorf("%s: the provider got %s", test.name, sent)
		}
	}
}
