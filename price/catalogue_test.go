package price_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/price"
)

var update = flag.Bool("update", false, "write catalogue.json.gz")

// Names are resolved by name, alias, provider and date, and never to another model.
func TestLookup(t *testing.T) {
	var entries []string
	for _, e := range []struct{ name, provider, aliases string }{
		{"gpt-4", "openai", ""},
		{"gpt-4o", "openai", `"gpt-4o-2024-08-06", "gpt-4o-latest"`},
		{"gpt-4o-mini", "openai", ""},
		{"gpt-4o-2024-05-13", "openai", ""}, // has a price of its own
		{"o1", "openai", ""},
		{"claude-sonnet-5-5", "anthropic", ""},
		{"claude-3-5-sonnet-20241022", "anthropic", ""},
		{"gemini-2.5-flash", "google", ""},
		{"gemini-2.5-flash-lite", "google", ""},
		{"llama@fast", "", ""},
	} {
		entries = append(entries, `{"name": "`+e.name+`", "provider": "`+e.provider+`", "aliases": [`+e.aliases+`], "input": 1, "output": 2, "date": "2026-01-01", "source": "list"}`)
	}
	b := parse(t, book2(entries...))
	for model, want := range map[string]string{
		"gpt-4":                      "gpt-4",
		"gpt-4o":                     "gpt-4o",
		"gpt-4o-2024-08-06":          "gpt-4o",
		"gpt-4o-2024-05-13":          "gpt-4o-2024-05-13",
		"gpt-4o-2025-01-31":          "gpt-4o", // a date that the book does not know
		"gpt-4o-latest":              "gpt-4o", // as the book says
		"openai/gpt-4o":              "gpt-4o",
		"openai/gpt-4o-2024-05-13":   "gpt-4o-2024-05-13",
		"openai/gpt-4o-2025-01-31":   "gpt-4o",
		"gemini/gemini-2.5-flash":    "gemini-2.5-flash",
		"google/gemini-2.5-flash":    "gemini-2.5-flash",
		"gemini-2.5-flash-lite":      "gemini-2.5-flash-lite",
		"claude-sonnet-5-5-20261001": "claude-sonnet-5-5",
		"claude-3-5-sonnet-20241022": "claude-3-5-sonnet-20241022",
		"llama@fast":                 "llama@fast",

		"claude-3-5-sonnet":             "", // not the version of a date, and not 5.5
		"claude-sonnet-5":               "",
		"claude-sonnet":                 "",
		"claude-sonnet-5-5-latest":      "", // the book does not say which this is
		"gpt-4o-mini-latest":            "",
		"gpt-4-turbo":                   "",
		"gpt-4.1":                       "",
		"gpt-4-0613":                    "", // not a date with a year
		"gpt-4-2024-13-01":              "", // not a date
		"gpt-4o-20240230":               "",
		"o1-mini":                       "",
		"o1-preview":                    "",
		"o3":                            "",
		"o":                             "",
		"gemini-2.5-flash-image":        "",
		"gemini-2.5-flash-preview":      "",
		"anthropic/gpt-4o":              "", // not that provider's model
		"azure/gpt-4o":                  "", // someone else's API
		"openrouter/openai/gpt-4o":      "",
		"openai/openai/gpt-4o":          "",
		"gpt-4o@azure":                  "",
		"openai/gpt-4o@azure":           "",
		"claude-sonnet-5-5@20261001":    "",
		"llama":                         "",
		"GPT-4o":                        "",
		"gpt-4o ":                       "",
		"":                              "",
		"/":                             "",
		"-2024-01-01":                   "",
		"openai/":                       "",
		"openai/-20240101":              "",
		"gpt-4o-2024-05-13-2024-05-13x": "",
	} {
		e, err := b.Lookup(model)
		switch {
		case want == "" && !errors.Is(err, price.ErrNoPrice):
			t.Errorf("Lookup(%q) = %q, %v, want ErrNoPrice", model, e.Name, err)
		case want != "" && (err != nil || e.Name != want):
			t.Errorf("Lookup(%q) = %q, %v, want %q", model, e.Name, err, want)
		}
	}
}

// What is known of a model in several books comes together: the price is that of the
// upper book, if it has one, and so is every fact that it has.
func TestOverlayFacts(t *testing.T) {
	base := parse(t, book2(`{"name": "m", "provider": "acme", "aliases": ["m-1"], "input": 1, "cache_write": 3, "output": 2, "max_input_tokens": 1000, "vision": true, "sampling": true, "sampling_efforts": ["none"], "incomplete": ["x"], "date": "2026-01-01", "source": "list"}`))
	for _, test := range []struct {
		name, over string
		want       price.Entry
	}{
		{"facts alone", `{"name": "m", "vision": false, "efforts": ["low"], "max_input_tokens": 500, "date": "2026-02-02", "source": "us"}`,
			price.Entry{Name: "m", Price: carrot.Price{Input: 1e6, CacheWrite: 3e6, Output: 2e6}, Date: "2026-01-01", Source: "list", Facts: price.Facts{
				Provider: "acme", Aliases: []string{"m-1"}, MaxInput: 500, Vision: new(false), Sampling: new(true), SamplingEfforts: []string{"none"},
				Efforts: []string{"low"}, FactsSource: "us", Incomplete: []string{"x"}}}},
		{"a price", `{"name": "m", "input": 5, "output": 6, "sampling": false, "date": "2026-02-02", "source": "us"}`,
			price.Entry{Name: "m", Price: carrot.Price{Input: 5e6, Output: 6e6}, Date: "2026-02-02", Source: "us", Facts: price.Facts{
				Provider: "acme", Aliases: []string{"m-1"}, MaxInput: 1000, Vision: new(true), Sampling: new(false)}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			both := base.Overlay(parse(t, book2(test.over)))
			for _, name := range []string{"m", "m-1", "acme/m-1"} {
				got, err := both.Lookup(name)
				if name == "acme/m-1" { // a prefix that nobody uses for a provider
					if err == nil {
						t.Errorf("Lookup(%q) = %+v", name, got)
					}
					continue
				}
				if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
					t.Errorf("Lookup(%q): %v (-want +got):\n%s", name, err, diff)
				}
			}
		})
	}
}

// An entry without a price adds facts and has no cost. The error says why, if the source
// says more than a price can express.
func TestEntryWithoutPrice(t *testing.T) {
	b := parse(t, book2(facts, strings.Replace(facts, `"facts", "efforts": ["low"]`, `"hourly", "incomplete": ["off_peak_pricing"]`, 1)))
	for model, want := range map[string]string{
		"facts":  `model "facts": no price in the price book`,
		"hourly": `model "hourly": no price in the price book, because it depends on off_peak_pricing`,
	} {
		if p, err := b.Price(model); !errors.Is(err, price.ErrNoPrice) || err.Error() != want {
			t.Errorf("Price(%q) = %+v, %v, want %q", model, p, err, want)
		}
		if e, err := b.Lookup(model); err != nil || e.Price != (carrot.Price{}) {
			t.Errorf("Lookup(%q) = %+v, %v", model, e, err)
		}
	}
	if _, err := price.Parse([]byte(book(facts))); err == nil || !strings.Contains(err.Error(), "field input: missing") {
		t.Errorf("Parse of the older form: %v, want an error", err)
	}
}

// The entries of the default book win over the catalogue under it, which is where names
// are found that they lack.
func TestDefaultCatalogue(t *testing.T) {
	b := price.Default()
	for model, want := range map[string]struct {
		entry  string
		input  float64
		output float64
	}{
		"gpt-4o-2024-05-13":         {"gpt-4o-2024-05-13", 5, 15}, // of the book, which has no gpt-4o
		"gpt-4o":                    {"gpt-4o", 2.5, 10},
		"openai/gpt-5.5-2026-04-23": {"gpt-5.5", 5, 30},
		"claude-opus-5-5":           {"claude-opus-5-5", 4, 20},
		"gemini/gemini-4-argon":     {"gemini-4-argon", 2, 10},
	} {
		e, err := b.Lookup(model)
		if err != nil || e.Name != want.entry || e.Input != carrot.PerMillion(want.input) || e.Output != carrot.PerMillion(want.output) {
			t.Errorf("Lookup(%q) = %+v, %v, want %+v", model, e, err, want)
		}
		dated := e.Price
		dated.Date = e.Date
		if p, err := b.Price(model); err != nil || p != dated {
			t.Errorf("Price(%q) = %+v, %v, want that of Lookup", model, p, err)
		}
	}

	// The mini model that the book has lends its price, the catalogue its facts.
	mini, err := b.Lookup("gpt-4o-mini-2024-07-18")
	if err != nil || mini.Date != "2024-12-01" || mini.Provider != "openai" || mini.MaxInput == 0 || len(mini.Aliases) > 0 {
		t.Errorf("Lookup(gpt-4o-mini-2024-07-18) = %+v, %v", mini, err)
	}

	// A model whose price depends on the hour has facts and no price.
	if e, err := b.Lookup("deepseek-v4-pro"); err != nil || e.Price != (carrot.Price{}) || !slices.Equal(e.Incomplete, []string{"off_peak_pricing"}) {
		t.Errorf("Lookup(deepseek-v4-pro) = %+v, %v", e, err)
	}

	for _, model := range []string{"gpt-4o-maxi", "claude-3-5-sonnet", "o1-mini", "gpt-5.5@azure", "azure/gpt-5.5", "claude-sonnet"} {
		if e, err := b.Lookup(model); !errors.Is(err, price.ErrNoPrice) {
			t.Errorf("Lookup(%q) = %q, %v, want ErrNoPrice", model, e.Name, err)
		}
	}
}

// A user's own price for a model applies to the model's aliases as well.
func TestOverlayOnCatalogue(t *testing.T) {
	b := price.Default().Overlay(parse(t, book2(`{"name": "gpt-5.5", "input": 1, "output": 2, "date": "2026-11-30", "source": "contract"}`)))
	for _, model := range []string{"gpt-5.5", "gpt-5.5-2026-04-23", "openai/gpt-5.5"} {
		if e, err := b.Lookup(model); err != nil || e.Source != "contract" || e.Input != carrot.PerMillion(1) || len(e.Efforts) == 0 {
			t.Errorf("Lookup(%q) = %+v, %v, want the contract's price and the catalogue's facts", model, e, err)
		}
	}
}

// A book that says that a name is an alias of its own model is believed.
func TestOwnAlias(t *testing.T) {
	b := price.Default().Overlay(parse(t, book2(`{"name": "house", "aliases": ["gpt-5.5-2026-04-23"], "input": 1, "output": 2, "date": "2026-11-30", "source": "us"}`)))
	e, err := b.Lookup("gpt-5.5-2026-04-23")
	if err != nil || e.Name != "house" || e.Provider != "" {
		t.Errorf("Lookup = %+v, %v, want the book's own model and nothing of another one", e, err)
	}
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := price.Parse(text); err != nil {
		t.Errorf("the book cannot be read back: %v", err)
	}
}

// Everything in the catalogue has a date, a source and a provider, and the facts of our own
// are about models that the catalogue has.
func TestCatalogueFiles(t *testing.T) {
	read := func(path string) *price.Book {
		b, err := price.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	listed, facts := read("catalogue.json"), read("facts.json")
	providers := map[string]int{}
	for _, e := range listed.Entries {
		providers[e.Provider]++
		if e.Date == "" || !strings.HasPrefix(e.Source, "LiteLLM ") {
			t.Errorf("%s: date %q, source %q", e.Name, e.Date, e.Source)
		}
		if e.Price == (carrot.Price{}) && len(e.Incomplete) == 0 {
			t.Errorf("%s has no price", e.Name)
		}
		if p := e.Price; p.Input > 0 && p.CachedInput > p.Input {
			t.Errorf("%s: cached input at %v is more expensive than input at %v", e.Name, p.CachedInput, p.Input)
		}
	}
	for _, provider := range []string{"openai", "anthropic", "google", "deepseek", "qwen", "mistral", "meta", "xai", "moonshot", "zhipu", "minimax", "amazon"} {
		if providers[provider] == 0 {
			t.Errorf("the catalogue has no model of %s", provider)
		}
	}
	if len(providers) != 12 {
		t.Errorf("the catalogue has models of %v, want twelve providers", providers)
	}
	for _, e := range facts.Entries {
		if e.Price != (carrot.Price{}) || e.Source == "" {
			t.Errorf("facts of %s: price %+v, source %q", e.Name, e.Price, e.Source)
		}
		if !slices.ContainsFunc(listed.Entries, func(l price.Entry) bool { return l.Name == e.Name }) {
			t.Errorf("there are facts of %s, which is not in the catalogue", e.Name)
		}
	}

	text, err := os.ReadFile("catalogue.json")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		var zipped bytes.Buffer
		w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
		if err == nil {
			_, err = w.Write(text)
		}
		if err := errors.Join(err, w.Close(), os.WriteFile("catalogue.json.gz", zipped.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open("catalogue.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if unzipped, err := io.ReadAll(r); err != nil || !bytes.Equal(unzipped, text) {
		t.Errorf("catalogue.json.gz is not catalogue.json (%v): go test ./price -run TestCatalogueFiles -update", err)
	}
	if info, err := f.Stat(); err != nil || info.Size() > 40_000 {
		t.Errorf("the catalogue is too large for the binary: %v, %v", info, err)
	}
}

func BenchmarkDefaultPrice(b *testing.B) {
	book := price.Default()
	for _, model := range []string{"gpt-4o-2024-05-13", "openai/gpt-5.5-2026-04-23"} {
		b.Run(model, func(b *testing.B) {
			for b.Loop() {
				if _, err := book.Price(model); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseCatalogue(b *testing.B) {
	text, err := os.ReadFile("catalogue.json")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := price.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
