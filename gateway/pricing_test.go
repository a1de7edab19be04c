package gateway_test

import (
	"testing"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/price"
)

// Operators see by which prices models are billed, where the prices are from, when a model is
// shut down and whose estimates it borrows.
func TestPricing(t *testing.T) {
	usd := 2.5
	c := &gateway.Config{
		Providers: []gateway.ProviderConfig{{Name: "openai", Kind: "openai", APIKey: "k"}, {Name: "other", Kind: "openai", BaseURL: "https://elsewhere.example/v1"}},
		Models: []gateway.ModelConfig{
			{Name: "gpt-5.5", Provider: "openai"},
			{Name: "own", Provider: "openai", Upstream: "gpt-5.5", Like: "gpt-4o-2024-08-06", Price: &gateway.PriceConfig{RatesConfig: gateway.RatesConfig{Input: &usd, Output: &usd}}},
			{Name: "old", Provider: "openai", Upstream: "old-1", Like: "gpt-4o-2024-08-06"},
			{Name: "elsewhere", Provider: "other", Upstream: "old-1", Like: "gpt-4o-2024-08-06"},
		},
		Embeddings: []gateway.EmbeddingConfig{{Name: "vectors", Provider: "openai", Price: &gateway.PriceConfig{RatesConfig: gateway.RatesConfig{Input: &usd}}}},
	}
	old := price.Entry{Name: "old-1", Date: "2026-01-02", Source: "https://prices.example"}
	old.Provider, old.Shutdown, old.Successor, old.Input, old.Output = "openai", "2027-01-20", "new-1", 1_000_000, 4_000_000
	s := source()
	s.Prices = price.Default().Overlay(&price.Book{Entries: []price.Entry{old}})
	g, err := gateway.New(c, s, gateway.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := send(g.Admin(gateway.AdminOptions{}), "GET", "/models", "")
	catalogued, err := price.Default().Lookup("gpt-5.5")
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"data.#.name":                   `["gpt-5.5","own","old","elsewhere","vectors"]`,
		"data.#.provider":               `["openai","openai","openai","other","openai"]`,
		"data.#.upstream":               `["gpt-5.5","gpt-5.5","old-1","old-1","vectors"]`,
		"data.#.price.input":            `[5,2.5,1,1,2.5]`,
		"data.0.price_source":           catalogued.Source,
		"data.0.price.date":             catalogued.Date,
		"data.0.borrowed":               "gpt-4o-2024-08-06",
		"data.1.price_source":           "the configuration",
		"data.1.borrowed":               "",
		"data.2.price_source":           "https://prices.example",
		"data.2.shutdown":               "2027-01-20",
		"data.2.successor":              "new-1",
		"data.3.price_source":           "https://prices.example", // a book's own entry holds everywhere
		"data.3.shutdown":               "",                       // which is OpenAI's
		`data.#(name=="vectors").price`: `{"input":2.5}`,
	} {
		if got := gjson.Get(w.Body.String(), query); got.String() != want {
			t.Errorf("%s is %s, want %s", query, got, want)
		}
	}
}
