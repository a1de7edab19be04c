package gateway_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/price"
)

// catalogued is a catalogue of one model.
const catalogued = `{"schema": "carrot.prices/2", "unit": "USD per million tokens", "models": [
	{"name": "new-1", "input": 5, "cached_input": 1, "output": 30, "date": "2026-11-01", "source": "list", "provider": "openai", "aliases": ["new-latest"],
	 "max_input_tokens": 50, "max_output_tokens": 10, "vision": false, "tool_calls": true, "token_factor": 2, "cache_min_tokens": 7}]}`

// redirected sends every request to a test server, whatever its address is.
type redirected struct{ to *url.URL }

func (t redirected) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = t.to.Scheme, t.to.Host
	return http.DefaultTransport.RoundTrip(r)
}

// What the configuration of a model omits is taken from the catalogue: price, limits,
// abilities. The configuration wins, and a vendor's price holds only at the vendor.
func TestCatalogue(t *testing.T) {
	server := httptest.NewServer(said(200, "application/json", hello))
	defer server.Close()
	to, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	book, err := price.Parse([]byte(catalogued))
	if err != nil {
		t.Fatal(err)
	}
	const image = `{"model":"auto","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a.example/b.png"}}]}]}`
	short, long := chat("auto", "Say hi."), chat("auto", strings.Repeat("Say hi. ", 10)) // 7 and 34 tokens as counted here
	for _, test := range []struct {
		name, base, model string // fields of the provider and the model
		body              string
		status            int
		cost              string
	}{
		{"all from the catalogue", "", "upstream: new-1", short, 200, "0.000075"},
		{"by an alias", "", "upstream: new-latest", short, 200, "0.000075"},
		{"its price in the configuration", "", "upstream: new-1, price: {input: 1, output: 2}", short, 200, "0.000011"},
		{"an unknown model without a price", "", "upstream: new-2", short, 0, ""},
		{"another server of the model, at the price of a book of one's own", "base_url: https://elsewhere.example/v1", "upstream: new-1", short, 200, "0.000075"},
		{"too long for it, as it counts", "", "upstream: new-1", long, 400, ""},
		{"its context in the configuration", "", "upstream: new-1, context: 1000", long, 200, "0.000075"},
		{"an image, which it cannot read", "", "upstream: new-1, context: 10000", image, 400, ""},
		{"its abilities in the configuration", "", "upstream: new-1, context: 10000, abilities: [vision]", image, 200, "0.000075"},
		{"an unknown model, of which nothing is assumed", "", "upstream: new-2, price: {input: 5, output: 30}", image, 200, "0.000075"},
	} {
		t.Run(test.name, func(t *testing.T) {
			base := test.base
			if base != "" {
				base = ", " + base
			}
			c, err := gateway.ParseFile([]byte("providers: [{name: a, kind: openai, api_key: k"+base+"}]\nmodels: [{name: mine, like: gpt-4o-2024-08-06, provider: a, "+test.model+"}]"), func(string) (string, bool) { return "", false })
			if err != nil {
				t.Fatal(err)
			}
			s := source()
			s.Prices = book
			g, err := gateway.New(&c.Config, s, gateway.Options{Transport: redirected{to}})
			if test.status == 0 {
				if err == nil || !strings.Contains(err.Error(), "its price is unknown") {
					t.Errorf("New = %v, want an unknown price", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r := &rig{records: &records{}}
			r.serve(t, g)
			got := r.post(t, "/v1/chat/completions", test.body)
			if got.status != test.status || got.header.Get("X-Carrot-Cost") != test.cost {
				t.Errorf("status %d, cost %q, want %d, %q: %s", got.status, got.header.Get("X-Carrot-Cost"), test.status, test.cost, got.body)
			}
		})
	}
}

// A vendor's price in the catalogue holds only at the vendor's own address, and the error
// says so.
func TestCatalogueElsewhere(t *testing.T) {
	for base, want := range map[string]string{
		"":                             "",
		"https://elsewhere.example/v1": "that in the catalogue holds at the address of openai, not at that of provider a",
	} {
		c := &gateway.Config{Providers: []gateway.ProviderConfig{{Name: "a", Kind: "openai", BaseURL: base, APIKey: "k"}},
			Models: []gateway.ModelConfig{{Name: "mine", Like: "gpt-4o-2024-08-06", Provider: "a", Upstream: "gpt-5.5"}}}
		s := source()
		s.Prices = price.Default()
		if _, err := gateway.New(c, s, gateway.Options{}); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("at %q: %v, want %q", base, err, want)
		}
	}
}

// The gateway warns of models that are shut down, or soon will be, at their vendor's own
// address.
func TestShutdownWarnings(t *testing.T) {
	c := &gateway.Config{
		Providers: []gateway.ProviderConfig{{Name: "vendor", Kind: "openai", APIKey: "k"}, {Name: "other", Kind: "openai", BaseURL: "https://elsewhere.example/v1"}},
		Models: []gateway.ModelConfig{
			{Name: "past", Provider: "vendor", Upstream: "old-1"}, {Name: "near", Provider: "vendor", Upstream: "old-2"}, {Name: "far", Provider: "vendor", Upstream: "old-3"},
			{Name: "lasting", Provider: "vendor", Upstream: "new-1"}, {Name: "elsewhere", Provider: "other", Upstream: "old-1"}, {Name: "own", Provider: "other", Upstream: "mine"},
		},
		Embeddings: []gateway.EmbeddingConfig{{Name: "vectors", Provider: "vendor", Upstream: "old-1", Price: &gateway.PriceConfig{}}},
	}
	usd := 1.0
	c.Embeddings[0].Price.Input = &usd
	for i := range c.Models {
		c.Models[i].Like, c.Models[i].Price = "gpt-4o-2024-08-06", &gateway.PriceConfig{RatesConfig: gateway.RatesConfig{Input: &usd, Output: &usd}}
	}
	entry := func(name, provider, shutdown, successor string) price.Entry {
		e := price.Entry{Name: name, Date: "2026-01-01", Source: "https://prices.example"}
		e.Provider, e.Shutdown, e.Successor = provider, shutdown, successor
		return e
	}
	s := source()
	s.Prices = &price.Book{Entries: []price.Entry{entry("old-1", "openai", "2026-11-29", "new-1"), entry("old-2", "openai", "2027-01-20", ""),
		entry("old-3", "openai", "2027-03-01", "new-1"), entry("new-1", "openai", "", ""), entry("mine", "", "2026-12-01", "")}}
	var log syncBuffer
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	g, err := gateway.New(c, s, gateway.Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"models[0] past: old-1 was shut down on 2026-11-29, and its successor is new-1",
		"models[1] near: old-2 will be shut down on 2027-01-20",
		"models[5] own: mine will be shut down on 2026-12-01",
		"embeddings[0] vectors: old-1 was shut down on 2026-11-29, and its successor is new-1",
	}
	for _, text := range want {
		if !strings.Contains(log.String(), `level=WARN msg="`+text+`"`) {
			t.Errorf("the log lacks %q", text)
		}
	}
	if n := strings.Count(log.String(), "shut down"); n != len(want) {
		t.Errorf("%d warnings, want %d:\n%s", n, len(want), log.String())
	}
	if _, err := g.Reload(c, s); err != nil || strings.Count(log.String(), "shut down") != 2*len(want) {
		t.Errorf("a reload does not warn again: %v", err)
	}
}
