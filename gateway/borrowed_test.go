package gateway_test

import (
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/price"
)

// A configuration that names models of today needs no like: they are found by their name,
// the provider's name or that in the catalogue, have the catalogue's prices, and every
// decision, record and list says whose estimates they borrow.
func TestModelsOfToday(t *testing.T) {
	key := gateway.Secret("k")
	c := &gateway.Config{
		Providers: []gateway.ProviderConfig{{Name: "openai", Kind: "openai", APIKey: key}, {Name: "anthropic", Kind: "anthropic", APIKey: key}},
		Models: []gateway.ModelConfig{
			{Name: "gpt-5.5", Provider: "openai"},
			{Name: "small", Provider: "openai", Upstream: "gpt-5.4-mini-2026-03-17"},
			{Name: "twice", Provider: "openai", Upstream: "gpt-5.5", Like: "gpt-4.1", Adjust: gateway.AdjustConfig{OutputTokens: 2}},
			{Name: "claude-opus-5", Provider: "anthropic"},
			{Name: "gpt-4o-2024-08-06", Provider: "openai"},
		},
	}
	s := source()
	s.Prices = price.Default()
	var log syncBuffer
	g, err := gateway.New(c, s, gateway.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"gpt-5.5": "gpt-4o-2024-08-06", "small": "gpt-4o-mini-2024-07-18", "twice": "gpt-4o-2024-08-06",
		"claude-opus-5": "claude-3-5-sonnet-20241022", "gpt-4o-2024-08-06": ""}
	d := send(g, "POST", "/v1/route", `{"model":"auto","messages":[{"role":"user","content":"What is 17 * 23?"}]}`, "Content-Type", "application/json").Body.String()
	list := send(g, "GET", "/v1/models", "").Body.String()
	candidates := map[string]gjson.Result{}
	for name, lender := range want {
		of := gjson.Get(d, `candidates.#(name=="`+name+`")`)
		candidates[name] = of
		if got := of.Get("borrowed"); !of.Exists() || got.String() != lender || got.Exists() != (lender != "") {
			t.Errorf("%s: borrowed %s, want %q: %s", name, got.Raw, lender, d)
		}
		if got := gjson.Get(list, `data.#(id=="`+name+`").borrowed`).String(); got != lender {
			t.Errorf("the list of models has %q for %s, want %q: %s", got, name, lender, list)
		}
	}
	own, new, twice := candidates["gpt-4o-2024-08-06"], candidates["gpt-5.5"], candidates["twice"]
	if se := new.Get("quality_se").Float(); se < 0.12 || new.Get("quality").Float() <= own.Get("quality").Float() {
		t.Errorf("gpt-5.5 has quality %v ± %v, want more than %v with a wide interval", new.Get("quality"), se, own.Get("quality"))
	}
	tokens := own.Get("output_tokens").Float()
	for of, times := range map[*gjson.Result]float64{&new: 2336.0 / 495, &twice: 2 * 872.0 / 495} {
		if got := of.Get("output_tokens").Float() / tokens; math.Abs(got-times) > 1e-6 {
			t.Errorf("%s: output tokens × %v, want × %v", of.Get("name"), got, times)
		}
		if got, want := of.Get("output_tokens_p90").Float()/own.Get("output_tokens_p90").Float(), 1.34*times; math.Abs(got-want) > 1e-6 {
			t.Errorf("%s: the 90%% quantile × %v, want × %v", of.Get("name"), got, want)
		}
	}
	if got, want := new.Get("cost_usd").Float(), new.Get("input_tokens").Float()*5e-6+new.Get("output_tokens").Float()*30e-6; math.Abs(got-want) > 1e-9 {
		t.Errorf("gpt-5.5 costs %v, want %v at $5 and $30 per million tokens", got, want)
	}
	for _, name := range []string{"gpt-5.5 from gpt-4o-2024-08-06", "small from gpt-4o-mini-2024-07-18"} {
		if !strings.Contains(log.String(), name) || strings.Count(log.String(), "borrows their estimates") != 1 {
			t.Errorf("the log does not say once that %s is borrowed:\n%s", name, log.String())
		}
	}
}

// The default is the model with the best mean quality, less its standard error if it is
// borrowed.
func TestBorrowedDefault(t *testing.T) {
	r := newRig(t, `
providers: [{name: sim, kind: openai, base_url: $sim/v1}]
models:
  - {name: gpt-4o, provider: sim, price: {input: 1, output: 1}}
  - {name: gpt-4o-mini-2024-07-18, provider: sim, price: {input: 1, output: 1}}
`, map[string]http.Handler{"sim": simulated(0)})
	got := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion), "X-Carrot-Route: off")
	if got.header.Get("X-Carrot-Model") != "gpt-4o-mini-2024-07-18" {
		t.Errorf("%s answered, want gpt-4o-mini-2024-07-18: .779 is above .829 - .11", got.header.Get("X-Carrot-Model"))
	}
	if a := r.records.list(); len(a) != 1 || a[0].Decision == nil || a[0].Decision.Candidates[0].Borrowed != "gpt-4o-2024-08-06" {
		t.Errorf("records %+v", a)
	}
}

// A model that neither the router nor the table knows is an error that names both.
func TestNotOfToday(t *testing.T) {
	c := &gateway.Config{Providers: []gateway.ProviderConfig{{Name: "a", Kind: "openai", APIKey: "k"}}, Models: []gateway.ModelConfig{{Name: "nobody", Provider: "a"}}}
	_, err := gateway.New(c, source(), gateway.Options{})
	if err == nil || !strings.Contains(err.Error(), `the router does not know "nobody"`) || !strings.Contains(err.Error(), "docs/default-router.md lists the models of today") {
		t.Errorf("%v", err)
	}
}
