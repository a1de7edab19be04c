package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
)

// priced is a model with everything that a price can depend on.
const priced = `
providers:
  - {name: claude, kind: anthropic, base_url: $a}
  - {name: open, kind: openai, base_url: $a/v1, apis: [chat, responses]}
models:
  - name: claude-3-5-sonnet-20241022
    provider: claude
    price:
      {input: 5, cached_input: 0.5, cache_write: 6.25, cache_writes: {1h: 10}, output: 25,
       tiers: {batch: {factor: 0.5}, fast: {factor: 2}}, regions: {us: 1.1}, tools: {web_search: 0.01}}
  - name: gpt-4o-2024-08-06
    provider: open
    price:
      input: 5
      cached_input: 0.5
      cache_writes: {30m: 6, 12h: 9}
      output: 30
      audio_input: 40
      above: [{tokens: 1000, input: 10, cached_input: 1, output: 45}]
      tiers:
        flex: {input: 2.5, output: 15, above: [{tokens: 1000, input: 5, output: 22.5}]}
  - {name: gemma-2-2b-it, provider: open, upstream: adviser, price: {input: 1, output: 2}}
`

// The bill of an answer follows from everything that the answer reports and the
// configuration prices. What it does not price makes the cost unknown, which is not
// zero.
func TestTariff(t *testing.T) {
	const (
		anthropic = `{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hello there."}],"stop_reason":"end_turn","usage":USAGE}`
		chat      = `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there."},"finish_reason":"stop"}],"usage":USAGE}`
		responses = `{"id":"r","status":"completed","model":"m","output":[{"type":"web_search_call","status":"completed","action":{"type":"search"}},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello there."}]}],"usage":USAGE}`
	)
	for _, test := range []struct {
		name, model, path, answer, usage string
		want                             string // X-Carrot-Cost; empty: unknown
		estimated                        bool
	}{
		{"cache writes by lifetime", "claude-3-5-sonnet-20241022", "messages", anthropic,
			`{"input_tokens":100,"cache_creation_input_tokens":300,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},"cache_read_input_tokens":1000,"output_tokens":10,"service_tier":"standard"}`,
			"0.003875", false}, // 500 + 625 + 2000 + 500 + 250 millionths
		{"tier, speed, region and searches", "claude-3-5-sonnet-20241022", "messages", anthropic,
			`{"input_tokens":100,"output_tokens":10,"service_tier":"batch","speed":"fast","inference_geo":"us","server_tool_use":{"web_search_requests":2}}`, "0.020825", false},
		{"a tier without a price", "claude-3-5-sonnet-20241022", "messages", anthropic, `{"input_tokens":100,"output_tokens":10,"service_tier":"priority"}`, "", false},
		{"compaction", "claude-3-5-sonnet-20241022", "messages", anthropic,
			`{"input_tokens":100,"output_tokens":10,"iterations":[{"type":"compaction","input_tokens":1000,"output_tokens":20},{"type":"message","input_tokens":100,"output_tokens":10}]}`, "0.00625", false},
		{"an advisor whose price is known", "claude-3-5-sonnet-20241022", "messages", anthropic,
			`{"input_tokens":100,"output_tokens":10,"iterations":[{"type":"advisor_message","model":"adviser","input_tokens":1000,"output_tokens":20}]}`, "0.00179", false},
		{"an advisor whose price is not known", "claude-3-5-sonnet-20241022", "messages", anthropic,
			`{"input_tokens":100,"output_tokens":10,"iterations":[{"type":"advisor_message","model":"sage","input_tokens":1000,"output_tokens":20}]}`, "", false},
		{"a long prompt", "gpt-4o-2024-08-06", "chat/completions", chat, `{"prompt_tokens":2000,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":1000}}`, "0.01145", false},
		{"a prompt at the threshold", "gpt-4o-2024-08-06", "chat/completions", chat, `{"prompt_tokens":1000,"completion_tokens":10}`, "0.0053", false},
		{"sounds", "gpt-4o-2024-08-06", "chat/completions", chat, `{"prompt_tokens":100,"completion_tokens":10,"prompt_tokens_details":{"audio_tokens":60}}`, "0.0029", false},
		{"sounds in the answer, which have no price", "gpt-4o-2024-08-06", "chat/completions", chat, `{"prompt_tokens":100,"completion_tokens":10,"completion_tokens_details":{"audio_tokens":6}}`, "", false},
		{"flex", "gpt-4o-2024-08-06", "chat/completions", strings.Replace(chat, `"id"`, `"service_tier":"flex","id"`, 1), `{"prompt_tokens":2000,"completion_tokens":10}`, "0.010225", false},
		{"a search without a price", "gpt-4o-2024-08-06", "responses", responses, `{"input_tokens":100,"output_tokens":10}`, "", false},
		{"hidden thinking", "gpt-4o-2024-08-06", "chat/completions", chat, `{"prompt_tokens":100,"completion_tokens":10,"total_tokens":610}`, "0.0158", false},
		{"nothing but zeros beside a text", "gemma-2-2b-it", "chat/completions", chat, `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`, "0.000013", true},
		{"nulls", "gemma-2-2b-it", "chat/completions", chat, `{"prompt_tokens":null,"completion_tokens":null}`, "0.000013", true},
		{"no output beside a text", "gemma-2-2b-it", "chat/completions", chat, `{"prompt_tokens":500,"completion_tokens":0}`, "0.000506", true},
		{"no input", "gemma-2-2b-it", "chat/completions", chat, `{"prompt_tokens":0,"completion_tokens":7}`, "0.000021", true},
		{"beyond belief", "gemma-2-2b-it", "chat/completions", chat, `{"prompt_tokens":500,"completion_tokens":1099511627776}`, "0.000013", true},
		{"below zero", "gemma-2-2b-it", "chat/completions", chat, `{"prompt_tokens":500,"completion_tokens":-3}`, "0.000013", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, priced, map[string]http.Handler{"a": said(200, "application/json", strings.Replace(test.answer, "USAGE", test.usage, 1))})
			body := `{"model":"` + test.model + `","max_tokens":99,"messages":[{"role":"user","content":"Say hi."}]}`
			if test.path == "responses" {
				body = `{"model":"` + test.model + `","input":"Say hi."}`
			}
			got := r.post(t, "/v1/"+test.path, body)
			if got.status != 200 || got.header.Get("X-Carrot-Cost") != test.want {
				t.Errorf("status %d, cost %q, want %q: %s", got.status, got.header.Get("X-Carrot-Cost"), test.want, got.body)
			}
			if _, there := got.header["X-Carrot-Cost"]; there != (test.want != "") {
				t.Error("an unknown cost is not absent")
			}
			if a := r.records.list()[0]; a.CostUnknown != (test.want == "") || a.Estimated != test.estimated {
				t.Errorf("recorded %+v at %v, unknown %v, estimated %v", a.Usage, a.Cost, a.CostUnknown, a.Estimated)
			}
		})
	}
}

// A price that makes no sense is refused with the place in the file.
func TestTariffRefused(t *testing.T) {
	for _, test := range []struct{ price, want string }{
		{"{input: 1, output: 1, cache_writes: {soon: 1}}", "models[0].price.cache_writes.soon"},
		{"{input: 1, output: 1, above: [{input: 1}]}", "models[0].price.above[0].tokens"},
		{"{input: 1, output: 1, above: [{tokens: 5}, {tokens: 4}]}", "above[1].tokens"},
		{"{input: 1, output: 1, tiers: {flex: {factor: 0}}}", "models[0].price.tiers.flex.factor"},
		{"{input: 1, output: 1, tiers: {flex: {factor: 2, input: 1}}}", "tiers.flex"},
		{"{input: 1, output: 1, tiers: {default: {factor: 2}}}", "tiers.default"},
		{"{input: 1, output: 1, tiers: {flex: {input: -1}}}", "models[0].price.tiers.flex.input"},
		{"{input: 1, output: 1, regions: {us: -1}}", "models[0].price.regions.us"},
		{"{input: 1, output: 1, tools: {web_search: -1}}", "models[0].price.tools.web_search"},
		{"{input: 1, output: 1, tiers: {flex: {inptu: 1}}}", `unknown key "inptu", did you mean "input"?`},
		{"{input: 1}", "models[0].price.output"},
	} {
		_, err := gateway.ParseFile([]byte("providers: [{name: a, kind: openai}]\nmodels: [{name: gemma-2-2b-it, provider: a, price: "+test.price+"}]"), func(string) (string, bool) { return "", false })
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error with %q", test.price, err, test.want)
		}
	}
}

// The expected cost of a call follows from the length of its prompt.
func TestForecastByLength(t *testing.T) {
	config := strings.Replace(priced, "tokens: 1000", "tokens: 20", 1)
	r := newRig(t, config, map[string]http.Handler{"a": said(200, "application/json", hello)})
	per := map[bool]carrot.USD{}
	for _, long := range []bool{false, true} {
		text := "Say hi."
		if long {
			text = strings.Repeat("Say hi. ", 50)
		}
		got := r.post(t, "/v1/chat/completions", chat("gpt-4o-2024-08-06", text))
		a := r.records.list()[len(r.records.list())-1]
		e := a.Estimate()
		if got.status != 200 || e == nil {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
		per[long] = (e.Cost - carrot.USD(e.OutputTokens*map[bool]float64{false: 30e6, true: 45e6}[long])) / carrot.USD(e.InputTokens)
	}
	if short, long := per[false], per[true]; short < 4_900_000 || short > 5_100_000 || long < 9_900_000 || long > 10_100_000 {
		t.Errorf("input is expected to cost %d and %d pico-dollars a token, want about 5,000,000 and 10,000,000", short, long)
	}
}

// A call that may have been billed although nothing came back has an unknown cost, which is
// not zero. One that the provider never got costs nothing.
func TestCostWithoutAnswer(t *testing.T) {
	cut := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, test := range []struct {
		name, address string
		unknown       bool
	}{
		{"the connection breaks after the request", "$sim/v1", true},
		{"nobody listens", "http://127.0.0.1:1/v1", false},
	} {
		r := newRigWith(t, strings.ReplaceAll(simulatedConfig, "$sim/v1", test.address), cut, source(), gateway.Options{})
		r.post(t, "/v1/chat/completions", chat("auto", sumQuestion))
		made := r.records.list()
		if len(made) == 0 {
			t.Fatalf("%s: nothing was recorded", test.name)
		}
		for _, a := range made {
			if a.CostUnknown != test.unknown || a.Cost != 0 {
				t.Errorf("%s: attempt %d costs %v, unknown %v", test.name, a.Number, a.Cost, a.CostUnknown)
			}
		}
	}
}
