package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/record"
)

const threeModels = simulatedConfig + `
policies:
  - {name: pair, objective: usd-per-quality=0.001, models: [gpt-4o-mini-2024-07-18, gemma-2-2b-it], default: gemma-2-2b-it}
  - {name: sure, objective: "min-quality=0.8@0.8"}
  - {name: frugal, objective: "quality,max-cost=0.0005@0.9"}
`

// chat returns the body of a chat request, with further members.
func chat(model, text string, more ...string) string {
	return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]%s}`, model, text, strings.Join(append([]string{""}, more...), ","))
}

const sumQuestion = "What is 17 * 23?"

// Clients select models, policies and objectives. For invalid selections they receive an
// error that says what is valid.
func TestSelection(t *testing.T) {
	r := newRig(t, threeModels, map[string]http.Handler{"sim": simulated(0)})
	const large, cheap, mini = "gpt-4o-2024-08-06", "gemma-2-2b-it", "gpt-4o-mini-2024-07-18"
	for _, test := range []struct {
		name    string
		body    string
		headers []string
		status  int
		want    string // the served model, or a part of the error's message
		policy  string
		reason  string
	}{
		{"auto", chat("auto", sumQuestion), nil, 200, mini, "auto", "trade-off"},
		{"best quality", chat("auto:usd-per-quality=1e9", sumQuestion), nil, 200, large, "auto:usd-per-quality=1e9", "trade-off"},
		{"least cost", chat("auto:usd-per-quality=0", sumQuestion), nil, 200, cheap, "auto:usd-per-quality=0", "trade-off"},
		{"a policy", chat("pair", sumQuestion), nil, 200, mini, "pair", "trade-off"},
		{"a policy with an objective", chat("pair:usd-per-quality=0", sumQuestion), nil, 200, cheap, "pair:usd-per-quality=0", "trade-off"},
		{"a policy that promises a quality", chat("sure", sumQuestion), nil, 200, mini, "sure", "trade-off"},
		{"a policy that promises a cost", chat("frugal", sumQuestion), nil, 200, mini, "frugal", "trade-off"},
		{"promises in a header", chat("auto", sumQuestion), []string{"X-Carrot-Objective: quality,max-cost=0.00005"}, 200, cheap, "auto", "only-candidate"},
		{"a model by name, whatever its policy promises", chat(cheap, sumQuestion), []string{"X-Carrot-Objective: min-quality=0.8@0.8"}, 200, cheap, cheap, "named"},
		{"a model by name", chat(cheap, sumQuestion), nil, 200, cheap, cheap, "named"},
		{"an objective in a header", chat("auto", sumQuestion), []string{"X-Carrot-Objective: usd-per-quality=0"}, 200, cheap, "auto", "trade-off"},
		{"an objective in the metadata", chat("auto", sumQuestion, `"metadata":{"carrot_objective":"usd-per-quality=0"}`), nil, 200, cheap, "auto", "trade-off"},
		{"the header replaces the metadata", chat("auto", sumQuestion, `"metadata":{"carrot_objective":"usd-per-quality=0"}`),
			[]string{"X-Carrot-Objective: usd-per-quality=1e9"}, 200, large, "auto", "trade-off"},
		{"models in a header", chat("auto", sumQuestion), []string{"X-Carrot-Models: gemma-2-2b-it"}, 200, cheap, "auto", "only-candidate"},
		{"routing off", chat("pair", sumQuestion), []string{"X-Carrot-Route: off"}, 200, cheap, "pair", "routing-off"},

		{"an unknown model", chat("gpt-4o-mini", sumQuestion), nil, 404, `unknown model "gpt-4o-mini"; did you mean "gpt-4o-mini-2024-07-18"? Valid models: pair, sure, frugal, auto, `, "", ""},
		{"a bad inline objective", chat("auto:cheapest", sumQuestion), nil, 400, `"auto:cheapest": objective "cheapest": want quality, balanced`, "", ""},
		{"an empty inline objective", chat("auto:", sumQuestion), nil, 400, `the objective after the colon is missing`, "", ""},
		{"a bad objective", chat("auto", sumQuestion), []string{"X-Carrot-Objective: mu=2"}, 400, `mu=2`, "", ""},
		{"an unknown model in the list", chat("auto", sumQuestion), []string{"X-Carrot-Models: gemma-2-2b-it, gema"}, 400, `unknown model "gema"`, "", ""},
		{"a model outside the pool", chat("pair", sumQuestion), []string{"X-Carrot-Models: gpt-4o-2024-08-06"}, 400, `not in the pool of "pair", which is gpt-4o-mini-2024-07-18, gemma-2-2b-it`, "", ""},
		{"another model than the one named", chat(cheap, sumQuestion), []string{"X-Carrot-Models: gpt-4o-2024-08-06"}, 400, `the request is for model "gemma-2-2b-it", so its list of models may not contain "gpt-4o-2024-08-06"`, "", ""},
		{"a bad switch", chat("auto", sumQuestion), []string{"X-Carrot-Route: no"}, 400, `x-carrot-route is "no": want on or off`, "", ""},
		{"an unknown header of ours", chat("auto", sumQuestion), []string{"X-Carrot-Objectiv: cheap"}, 400, `unknown header x-carrot-objectiv: valid headers are x-carrot-labels, x-carrot-models`, "", ""},
		{"the model twice, in two cases", `{"model":"auto","Model":"gpt-4o-2024-08-06","messages":[{"role":"user","content":"x"}]}`, nil, 400, `"Model" differs from "model" only in case`, "", ""},
		{"a setting twice", chat("auto", sumQuestion, `"temperature":0,"temperature":2`), nil, 400, `"temperature" appears twice`, "", ""},
		{"unknown metadata of ours", chat("auto", sumQuestion, `"metadata":{"carrot_objectiv":"x"}`), nil, 400, `unknown metadata key carrot_objectiv: valid keys are carrot_labels, carrot_models, carrot_objective`, "", ""},
		{"a budget that is too low", chat("auto:budget=1e-9", sumQuestion), nil, 400, `budget below the cheapest`, "", ""},
		{"a promise that nothing keeps", chat("auto:max-cost=0.000001@0.9", sumQuestion), nil, 400, `no candidate keeps the promise max-cost=0.000001@0.9: gemma-2-2b-it could be held to about $0.0000`, "", ""},
		{"a promise that is none", chat("auto:max-cost=0@0.9", sumQuestion), nil, 400, `"max-cost=0@0.9" is no promise: "0" is not a number above 0`, "", ""},
		{"tags that no model has", chat("auto", sumQuestion), []string{"X-Carrot-Tags: eu"}, 400, `no model has the tag "eu". Valid tags: none`, "", ""},
		{"an unknown objective", chat("auto", sumQuestion), []string{"X-Carrot-Objective: zzz=3"}, 400, `want quality, balanced, cheap, mu=`, "", ""},
		{"models in two headers", chat("auto", sumQuestion), []string{"X-Carrot-Models: gpt-4o-2024-08-06", "X-Carrot-Models: gema"}, 400, `unknown model "gema"`, "", ""},
		{"no messages", `{"model":"auto"}`, nil, 400, `the field "messages" is missing`, "", ""},
		{"not JSON", `hello`, nil, 400, `not valid JSON`, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := r.post(t, "/v1/chat/completions", test.body, test.headers...)
			var got struct {
				Model string
				Error struct {
					Message, Type string
					RequestID     string `json:"request_id"`
				}
			}
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != test.status {
				t.Fatalf("status %d, want %d: %s", a.status, test.status, a.body)
			}
			if a.header.Get("X-Carrot-Request-Id") == "" {
				t.Error("no request id")
			}
			if test.status != 200 {
				if !strings.Contains(got.Error.Message, test.want) || got.Error.Type != "invalid_request_error" || got.Error.RequestID != a.header.Get("X-Carrot-Request-Id") {
					t.Errorf("error %+v, want %q with the request id", got.Error, test.want)
				}
				return
			}
			h := a.header
			if got.Model != test.want || h.Get("X-Carrot-Model") != test.want || h.Get("X-Carrot-Policy") != test.policy || h.Get("X-Carrot-Reason") != test.reason {
				t.Errorf("served by %s (header %s), policy %s, reason %s, want %s, %s, %s", got.Model, h.Get("X-Carrot-Model"), h.Get("X-Carrot-Policy"), h.Get("X-Carrot-Reason"),
					test.want, test.policy, test.reason)
			}
		})
	}
	for _, record := range r.records.list() {
		if strings.Contains(fmt.Sprintf("%+v", record), "17 * 23") {
			t.Fatalf("a record contains the prompt: %+v", record)
		}
	}
}

// A dry run returns the decision and calls no provider.
func TestDryRun(t *testing.T) {
	provider := simulated(0)
	r := newRig(t, threeModels, map[string]http.Handler{"sim": provider})
	a := r.post(t, "/v1/route", chat("pair", sumQuestion))
	var d struct {
		Schema, Model string
		Candidates    []struct {
			Name     string
			Excluded *string
		}
		Fallback []string
	}
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || d.Schema != carrot.DecisionSchema || d.Model != "gpt-4o-mini-2024-07-18" {
		t.Fatalf("%v: %s", err, a.body)
	}
	if len(d.Candidates) != 3 || d.Candidates[0].Excluded == nil || !slices.Equal(d.Fallback, []string{"gemma-2-2b-it"}) {
		t.Errorf("decision %s", a.body)
	}
	if cost := provider.Bill().Cost(); cost != 0 || len(r.records.list()) != 0 {
		t.Errorf("a dry run cost %v and left %d records", cost, len(r.records.list()))
	}
}

// Candidates without the abilities that a request needs are not called.
func TestAbilities(t *testing.T) {
	r := newRig(t, `
providers:
  - {name: sim, kind: openai, base_url: $sim/v1}
models:
  - {name: gpt-4o-2024-08-06, provider: sim, abilities: [tools, vision, json], context: 100000}
  - {name: gemma-2-2b-it, provider: sim, abilities: [], context: 60}
`, map[string]http.Handler{"sim": simulated(0)})
	const cheapest = "auto:usd-per-quality=0"
	f := func(name, body, want string) {
		t.Helper()
		if a := r.post(t, "/v1/chat/completions", body); a.header.Get("X-Carrot-Model") != want {
			t.Errorf("%s: served by %q, want %s: %.300s", name, a.header.Get("X-Carrot-Model"), want, a.body)
		}
	}
	const able, plain = "gpt-4o-2024-08-06", "gemma-2-2b-it"
	f("text", chat(cheapest, "Hi"), plain)
	f("tools", chat(cheapest, "Hi", `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]`), able)
	f("JSON", chat(cheapest, "Hi", `"response_format":{"type":"json_object"}`), able)
	f("vision", `{"model":"`+cheapest+`","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]}]}`, able)
	f("a long prompt", chat(cheapest, strings.Repeat("word ", 100)), able)
	f("room for a long answer", chat(cheapest, "Hi", `"max_tokens":80`), able)
	if a := r.post(t, "/v1/chat/completions", chat(cheapest, "Hi", `"tools":[{}]`), "X-Carrot-Models: "+plain); a.status != 400 || !strings.Contains(a.body, plain+": the model lacks tools") {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// With a shadow policy the default answers, and the records say what routing would have
// saved.
func TestShadow(t *testing.T) {
	r := newRig(t, simulatedConfig+`
policies:
  - {name: trial, objective: usd-per-quality=0, default: gpt-4o-2024-08-06, shadow: true}
`, map[string]http.Handler{"sim": simulated(0)})
	a := r.post(t, "/v1/chat/completions", chat("trial", sumQuestion))
	if a.header.Get("X-Carrot-Model") != "gpt-4o-2024-08-06" || a.header.Get("X-Carrot-Reason") != "shadow" {
		t.Fatalf("served by %s for %s", a.header.Get("X-Carrot-Model"), a.header.Get("X-Carrot-Reason"))
	}
	record := r.records.list()[0]
	if s := record.Shadow; s == nil || s.Model != "gemma-2-2b-it" || s.Saved <= 0 || s.Gain >= 0 || record.Decision.Model != "gemma-2-2b-it" {
		t.Errorf("shadow %+v of decision %s", record.Shadow, record.Decision.Model)
	}
}

// If the default may not answer, the router's choice does. The answer and the record say
// so, and the record claims no savings.
func TestDefaultMayNot(t *testing.T) {
	r := newRig(t, simulatedConfig+`
policies:
  - {name: trial, objective: usd-per-quality=0, default: gpt-4o-2024-08-06, shadow: true}
  - {name: careful, objective: usd-per-quality=0, default: gpt-4o-2024-08-06, novel_to_default: 0.000001}
`, map[string]http.Handler{"sim": simulated(0)})
	const others = "X-Carrot-Models: gemma-2-2b-it,gpt-4o-mini-2024-07-18"
	for _, test := range []struct {
		policy  string
		headers []string
		shadow  bool
	}{{"trial", []string{others}, true}, {"auto", []string{others, "X-Carrot-Objective: usd-per-quality=0", "X-Carrot-Route: off"}, false}, {"careful", []string{others}, false}} {
		a := r.post(t, "/v1/chat/completions", chat(test.policy, sumQuestion), test.headers...)
		if a.header.Get("X-Carrot-Model") != "gemma-2-2b-it" || a.header.Get("X-Carrot-Reason") != "fallback" {
			t.Errorf("%s: status %d, served by %s for %s", test.policy, a.status, a.header.Get("X-Carrot-Model"), a.header.Get("X-Carrot-Reason"))
		}
		list := r.records.list()
		if s := list[len(list)-1].Shadow; (s != nil) != test.shadow || s != nil && (s.Saved != 0 || s.Gain != 0) {
			t.Errorf("%s: shadow %+v", test.policy, s)
		}
	}
}

// A request that names a model is recorded without a policy.
func TestNamedHasNoPolicy(t *testing.T) {
	r := newRig(t, simulatedConfig, map[string]http.Handler{"sim": simulated(0)})
	a := r.post(t, "/v1/chat/completions", chat("gemma-2-2b-it", sumQuestion))
	if policy := r.records.list()[0].Policy; a.status != 200 || policy != "" {
		t.Errorf("status %d, recorded under policy %q", a.status, policy)
	}
}

// Exploration chooses random candidates at its rate, and records the probabilities of the
// choices.
func TestExploration(t *testing.T) {
	r := newRig(t, simulatedConfig+`
policies:
  - {name: curious, objective: usd-per-quality=0, exploration: {rate: 0.3, seed: 5}}
`, map[string]http.Handler{"sim": &simulate.Provider{Models: []simulate.Model{{Name: "gpt-4o-2024-08-06"}, {Name: "gpt-4o-mini-2024-07-18"}, {Name: "gemma-2-2b-it"}}}})
	const requests = 400
	for range requests {
		r.post(t, "/v1/chat/completions", chat("curious", sumQuestion))
	}
	counts := map[string]int{}
	for _, a := range r.records.list() {
		counts[a.Candidate]++
		want, reason := 0.1, record.Exploration
		if a.Candidate == "gemma-2-2b-it" {
			want, reason = 0.8, record.TradeOff
		}
		if math.Abs(a.Propensity-want) > 1e-12 || a.Reason != reason || a.Decision.Model != "gemma-2-2b-it" {
			t.Fatalf("%s for %s with propensity %v, decision %s, want %v for %s", a.Candidate, a.Reason, a.Propensity, a.Decision.Model, want, reason)
		}
	}
	for name, share := range map[string]float64{"gpt-4o-2024-08-06": 0.1, "gpt-4o-mini-2024-07-18": 0.1, "gemma-2-2b-it": 0.8} {
		if sd := math.Sqrt(share * (1 - share) / requests); math.Abs(float64(counts[name])/requests-share) > 4*sd {
			t.Errorf("%s served %d of %d, want about %v", name, counts[name], requests, share)
		}
	}
}

// With novel_to_default, the default answers queries that are unlike the training data.
func TestNovelToDefault(t *testing.T) {
	r := newRig(t, simulatedConfig+`
policies:
  - {name: careful, objective: usd-per-quality=0, default: gpt-4o-2024-08-06, novel_to_default: 0.98}
`, map[string]http.Handler{"sim": simulated(0)})
	for text, want := range map[string]string{sumQuestion: "trade-off", "Wie spät ist es in Berlin, und warum singt der Hahn?": "novel"} {
		if a := r.post(t, "/v1/chat/completions", chat("careful", text)); a.header.Get("X-Carrot-Reason") != want {
			t.Errorf("%q: %s for %s, want %s", text, a.header.Get("X-Carrot-Model"), a.header.Get("X-Carrot-Reason"), want)
		}
	}
}

// failingEmbedder is an embedder that fails.
type failingEmbedder struct {
	carrot.Embedder
	panics bool
}

func (e failingEmbedder) Embed(context.Context, []string, []carrot.Representation) error {
	if e.panics {
		panic("broken")
	}
	return errors.New("broken")
}

// If the router returns an error or panics, the default answers, and the headers say so.
func TestRouterFails(t *testing.T) {
	for _, panics := range []bool{false, true} {
		known := source().Router
		broken, err := carrot.NewRouter(carrot.Config{Candidates: known.Candidates(), Embedder: failingEmbedder{known.Embedder(), panics},
			Predictor: known.Predictor(), Frontier: known.Frontier(), CountTokens: func(string) int { return 1 }})
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, simulatedConfig+`
policies:
  - {name: auto, default: gpt-4o-mini-2024-07-18}
`, map[string]http.Handler{"sim": simulated(0)})
		c := parse(t, simulatedConfig+"policies:\n  - {name: auto, default: gpt-4o-mini-2024-07-18}\n", map[string]http.Handler{"sim": simulated(0)})
		if _, err := r.Reload(c, gateway.Source{Router: broken, MeanQuality: source().MeanQuality}); err != nil {
			t.Fatal(err)
		}
		a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion))
		if a.status != 200 || a.header.Get("X-Carrot-Model") != "gpt-4o-mini-2024-07-18" || a.header.Get("X-Carrot-Reason") != "router-failed" {
			t.Errorf("panics %v: status %d, served by %s for %s", panics, a.status, a.header.Get("X-Carrot-Model"), a.header.Get("X-Carrot-Reason"))
		}
		if record := r.records.list()[0]; record.Decision != nil || record.Cost == 0 {
			t.Errorf("record %+v", record)
		}
		if a := r.post(t, "/v1/route", chat("auto", sumQuestion)); a.status != 503 || !strings.Contains(a.body, "gpt-4o-mini-2024-07-18 would answer") {
			t.Errorf("dry run: status %d: %s", a.status, a.body)
		}
	}
}

// If a policy names no default, that is its model with the highest mean quality.
func TestDefaultOfPolicy(t *testing.T) {
	r := newRig(t, simulatedConfig, map[string]http.Handler{"sim": simulated(0)})
	if a := r.post(t, "/v1/chat/completions", chat("cheap", sumQuestion), "X-Carrot-Route: off"); a.header.Get("X-Carrot-Model") != "gpt-4o-2024-08-06" {
		t.Errorf("served by %s", a.header.Get("X-Carrot-Model"))
	}
}

// remote is a server's embedder with the id of the one that a router expects.
type remote struct {
	*provider.Embeddings
	id string
}

func (r remote) ID() string { return r.id }

func (r remote) Embed(ctx context.Context, texts []string, _ []carrot.Representation) error {
	_, err := r.Encode(ctx, texts)
	return err
}

// An error of an embedder's server, which may quote the prompt, is not logged.
func TestRouterErrorQuotesNoPrompt(t *testing.T) {
	server := httptest.NewServer(said(400, "application/json", `{"error":{"message":"invalid input: `+sumQuestion+`"}}`))
	defer server.Close()
	known, log := source().Router, &syncBuffer{}
	broken, err := carrot.NewRouter(carrot.Config{Candidates: known.Candidates(), Embedder: remote{&provider.Embeddings{BaseURL: server.URL + "/v1", Model: "m"}, known.Embedder().ID()},
		Predictor: known.Predictor(), Frontier: known.Frontier(), CountTokens: func(string) int { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(parse(t, simulatedConfig, map[string]http.Handler{"sim": simulated(0)}), gateway.Source{Router: broken, MeanQuality: source().MeanQuality},
		gateway.Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{}
	r.serve(t, g)
	if a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion)); a.header.Get("X-Carrot-Reason") != "router-failed" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if text := log.String(); strings.Contains(text, "17 * 23") || !strings.Contains(text, "status 400") {
		t.Errorf("log %s", text)
	}
}

// A decision names the policy of the request, with the objective if it is another one.
func TestDecisionNamesPolicy(t *testing.T) {
	r := newRig(t, threeModels, map[string]http.Handler{"sim": simulated(0)})
	for model, want := range map[string]string{"pair": "pair", "cheap": "cheap", "pair:usd-per-quality=0": "pair:usd-per-quality=0", "gemma-2-2b-it": "auto"} {
		if a := r.post(t, "/v1/route", chat(model, sumQuestion)); !strings.Contains(a.body, `"policy":"`+want+`"`) {
			t.Errorf("%s: want %s: %s", model, want, a.body)
		}
	}
}
