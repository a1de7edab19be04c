package pricelist_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/pricelist"
	"github.com/carrot-router/carrot/price"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

var options = pricelist.Options{Date: "2026-11-29", Source: "the list"}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The golden files have the book that is made of a list, and after it what was left out and
// why. testdata/litellm.json and genai.json have an entry for every kind of field.
func TestImport(t *testing.T) {
	for _, test := range []struct {
		list, golden string
		read         func([]byte, pricelist.Options) (*pricelist.Imported, error)
		all          bool
	}{
		{"litellm.json", "litellm.golden", pricelist.LiteLLM, false},
		{"litellm.json", "litellm-all.golden", pricelist.LiteLLM, true},
		{"genai.json", "genai.golden", pricelist.GenAIPrices, false},
		{"genai.json", "genai-all.golden", pricelist.GenAIPrices, true},
	} {
		t.Run(test.golden, func(t *testing.T) {
			o := options
			o.All = test.all
			list, err := test.read(read(t, filepath.Join("testdata", test.list)), o)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "book.json")
			if err := list.Book.WriteFile(path); err != nil {
				t.Fatal(err)
			}
			if back, err := price.Open(path); err != nil {
				t.Errorf("the book cannot be read back: %v", err)
			} else if diff := cmp.Diff(list.Book.Entries, back.Entries); diff != "" {
				t.Errorf("the book read back (-want +got):\n%s", diff)
			}
			if sum := len(list.Book.Entries) + list.Same + len(list.LeftOut); sum != list.Read {
				t.Errorf("%d entries read, %d accounted for", list.Read, sum)
			}
			var got strings.Builder
			got.Write(read(t, path))
			fmt.Fprintf(&got, "%d read, %d as other names, %d incomplete\n", list.Read, list.Same, len(list.Incomplete()))
			for _, l := range list.LeftOut {
				fmt.Fprintf(&got, "left out: %s: %s\n", l.Name, l.Reason)
			}
			golden := filepath.Join("testdata", test.golden)
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(read(t, golden)), got.String()); diff != "" {
				t.Errorf("%s (-file +import); -update rewrites it:\n%s", golden, diff)
			}
		})
	}
}

// Bills at imported prices, by hand.
func TestImportedBills(t *testing.T) {
	list, err := pricelist.LiteLLM(read(t, "testdata/litellm.json"), options)
	if err != nil {
		t.Fatal(err)
	}
	usage := func(tier string, writes map[int]int, tools map[string]int) carrot.Usage {
		return carrot.Usage{Input: 1000, CachedInput: 1000, Output: 100, Details: &carrot.UsageDetails{Tier: tier, CacheWrites: writes, Tools: tools}}
	}
	for _, test := range []struct {
		name, model string
		usage       carrot.Usage
		want        string // "" if the cost is unknown
	}{
		{"standard", "alpha", usage("", nil, nil), "$0.0064"},
		{"half an hour in the cache", "alpha", usage("", map[int]int{1800: 1000}, nil), "$0.0114"},
		{"twelve hours in the cache", "alpha", usage("", map[int]int{43200: 1000}, nil), "$0.0164"},
		{"an hour in the cache", "alpha", usage("", map[int]int{3600: 1000}, nil), ""},
		{"a search", "alpha", usage("", nil, map[string]int{"web_search": 2}), "$0.0264"},
		{"a search by size", "alpha-search", usage("", nil, map[string]int{"web_search": 2}), ""},
		{"batch has no price of cached input", "alpha", usage("batch", nil, nil), "$0.005"},
		{"batch has no price of cache writes", "alpha", usage("batch", map[int]int{1800: 1}, nil), ""},
		{"a tier that the list does not have", "alpha", usage("priority", nil, nil), ""},
		{"long", "alpha", carrot.Usage{Input: 272_001, Output: 100}, "$2.179008"},
		{"not yet long", "alpha", carrot.Usage{Input: 272_000, Output: 100}, "$1.09"},
		{"batch has no price of long prompts", "alpha", carrot.Usage{Input: 272_001, Details: &carrot.UsageDetails{Tier: "batch"}}, ""},
		{"long for xAI from the length on", "grok-alpha", carrot.Usage{Input: 200_000}, "$0.8"},
		{"not yet long for xAI", "grok-alpha", carrot.Usage{Input: 199_999}, "$0.399998"},
		{"fast and in a region", "claude-alpha", carrot.Usage{Input: 1000, Details: &carrot.UsageDetails{Speed: "fast", Region: "us"}}, "$0.011"},
		{"the first range", "qwen-alpha", carrot.Usage{Input: 32_000, Reasoning: 100}, "$0.0325"},
		{"the last range", "qwen-alpha", carrot.Usage{Input: 200_000, Reasoning: 100}, "$0.362"},
		{"by the hour", "deepseek-alpha", carrot.Usage{Input: 1}, ""},
		{"a cache of two prices", "qwen-beta", carrot.Usage{CachedInput: 1000}, "$0.002"},
		{"free searches", "gemini-alpha", usage("", nil, map[string]int{"web_search": 1}), ""},
		{"an embedding in a batch", "gemini-vectors", carrot.Usage{Input: 1000, Details: &carrot.UsageDetails{Tier: "batch"}}, "$0.0001"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, err := list.Book.Lookup(test.model)
			if err != nil {
				t.Fatal(err)
			}
			got, err := e.Price.Cost(test.usage)
			switch {
			case test.want == "" && !errors.Is(err, carrot.ErrUnknownCost):
				t.Errorf("Cost = %v, %v, want an unknown cost", got, err)
			case test.want != "" && (err != nil || got.String() != test.want):
				t.Errorf("Cost = %v, %v, want %s", got, err, test.want)
			}
		})
	}
}

// Errors name the entry and the field.
func TestImportErrors(t *testing.T) {
	lite := func(fields string) string {
		return `{"m": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-6, ` + fields + `}}`
	}
	genai := func(prices string) string {
		return `[{"id": "openai", "models": [{"id": "m", "match": {}, "prices": ` + prices + `}]}]`
	}
	for _, test := range []struct {
		read func([]byte, pricelist.Options) (*pricelist.Imported, error)
		text string
		want []string
	}{
		{pricelist.LiteLLM, "[]", []string{"LiteLLM"}},
		{pricelist.LiteLLM, `{"m": 7}`, []string{`"m"`}},
		{pricelist.LiteLLM, lite(`"output_cost_per_token": "a lot"`), []string{`"m"`, "field output_cost_per_token", `"a lot" is not a price`}},
		{pricelist.LiteLLM, lite(`"output_cost_per_token": -1e-6`), []string{`"m"`, "field output_cost_per_token", "not a price"}},
		{pricelist.LiteLLM, lite(`"output_cost_per_token_above_99999999999k_tokens": 1`), []string{"field output_cost_per_token_above", "a length of"}},
		{pricelist.LiteLLM, lite(`"output_cost_per_token_above_1hr": 1`), []string{"a lifetime of 1 hours"}},
		{pricelist.LiteLLM, lite(`"search_context_cost_per_query": {"low": -1}`), []string{"field search_context_cost_per_query", "not a price"}},
		{pricelist.LiteLLM, lite(`"search_context_cost_per_query": 5`), []string{"field search_context_cost_per_query"}},
		{pricelist.LiteLLM, lite(`"provider_specific_entry": []`), []string{"field provider_specific_entry"}},
		{pricelist.LiteLLM, lite(`"fedramp_uplift_multiplier": "x"`), []string{"field fedramp_uplift_multiplier"}},
		{pricelist.LiteLLM, lite(`"tiered_pricing": [{"input_cost_per_token": 1}]`), []string{"field tiered_pricing", "[0]", "field range"}},
		{pricelist.LiteLLM, lite(`"tiered_pricing": [{"range": [5, 9]}]`), []string{"field tiered_pricing", "[0]", "begin at 0"}},
		{pricelist.LiteLLM, lite(`"tiered_pricing": [{"range": [0, 9], "input_cost_per_token": true}]`), []string{"[0]", "field input_cost_per_token"}},
		{pricelist.GenAIPrices, "{}", []string{"genai-prices"}},
		{pricelist.GenAIPrices, genai("7"), []string{`"openai/m"`, "field prices"}},
		{pricelist.GenAIPrices, genai(`{"input_mtok": "a lot"}`), []string{`"openai/m"`, "field input_mtok"}},
		{pricelist.GenAIPrices, genai(`{"input_mtok": -1}`), []string{"field input_mtok", "not a price"}},
		{pricelist.GenAIPrices, genai(`{"input_mtok": {"base": 1, "tiers": [{"start": 0, "price": 1}]}}`), []string{"field input_mtok", "a length of 0"}},
		{pricelist.GenAIPrices, genai(`{"input_mtok": {"tiers": []}}`), []string{"field input_mtok", "not a price"}},
		{pricelist.GenAIPrices, genai(`{"input_mtok": 1, "web_searches_kcount": -5}`), []string{"field web_searches_kcount", "not a price"}},
	} {
		list, err := test.read([]byte(test.text), options)
		if err == nil {
			t.Errorf("%s: %+v, want an error", test.text, list.Book)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q, want it to say %q", test.text, err, want)
			}
		}
	}
}

// Open tells the forms of files apart.
func TestOpen(t *testing.T) {
	book := filepath.Join(t.TempDir(), "book.json")
	if err := (&price.Book{Entries: []price.Entry{{Name: "m", Price: carrot.Price{Input: 1, Output: 1}, Date: "2026-01-01", Source: "us"}}}).WriteFile(book); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"testdata/litellm.json": "alpha", "testdata/genai.json": "alpha-mini", book: "m"} {
		b, err := pricelist.Open(path, options)
		if err != nil {
			t.Errorf("Open(%s): %v", path, err)
		} else if _, err := b.Lookup(want); err != nil {
			t.Errorf("Open(%s): %v", path, err)
		}
	}
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`[7]`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := pricelist.Open(bad, options); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("Open of another list: %v, want an error naming the file", err)
	}
	if _, err := pricelist.Open("testdata/missing.json", options); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of a missing file: %v", err)
	}
}

func TestDiff(t *testing.T) {
	parse := func(models string) *price.Book {
		b, err := price.Parse([]byte(`{"schema": "carrot.prices/2", "unit": "USD per million tokens", "models": [` + models + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const rest = `"date": "2026-01-01", "source": "list"}`
	a := parse(`{"name": "same", "input": 1, "output": 2, ` + rest + `,
		{"name": "m-1", "aliases": ["m"], "input": 1, "cached_input": 0.5, "output": 2, "above": [{"tokens": 199999, "input": 3, "output": 4}], "regions": {"us": 1.1}, ` + rest + `,
		{"name": "only-a", "input": 1, "output": 2, ` + rest + `,
		{"name": "facts", "efforts": ["low"], ` + rest)
	b := parse(`{"name": "Same", "input": 1, "output": 2, ` + rest + `,
		{"name": "M", "input": 1.5, "output": 2, "above": [{"tokens": 200000, "input": 3, "output": 5}], "tiers": {"fast": {"factor": 2}, "flex": {"input": 0.5}}, "tools": {"web_search": 0.01}, ` + rest + `,
		{"name": "facts", "input": 1, "output": 2, ` + rest)
	got, models := pricelist.Diff(a, b)
	want := []pricelist.Difference{
		{"m-1", "input", new(1.0), new(1.5)},
		{"m-1", "cached_input", new(0.5), nil},
		{"m-1", "above.200000.output", new(4.0), new(5.0)},
		{"m-1", "regions.us", new(1.1), nil},
		{"m-1", "tiers.fast.factor", nil, new(2.0)},
		{"m-1", "tiers.flex.input", nil, new(0.5)},
		{"m-1", "tools.web_search", nil, new(0.01)},
	}
	if diff := cmp.Diff(want, got); diff != "" || models != 2 {
		t.Errorf("Diff: %d models, want 2 (-want +got):\n%s", models, diff)
	}
	if got, models := pricelist.Diff(a, a); len(got) != 0 || models != 3 {
		t.Errorf("Diff of a book and itself = %v, %d models", got, models)
	}
}

func TestCheck(t *testing.T) {
	b := &price.Book{Entries: []price.Entry{
		{Name: "old", Date: "2026-01-01"},
		{Name: "new", Date: "2026-11-01"},
		{Name: "gone", Date: "2026-11-01", Facts: price.Facts{Shutdown: "2026-11-29", Successor: "new"}},
		{Name: "going", Date: "2026-11-01", Facts: price.Facts{Shutdown: "2026-12-11"}},
		{Name: "later", Date: "2026-11-01", Facts: price.Facts{Shutdown: "2027-12-11"}},
		{Name: "partly", Date: "2026-11-01", Facts: price.Facts{Incomplete: []string{"x"}}},
	}}
	want := []pricelist.Notice{
		{Model: "gone", What: pricelist.ShutDown, Date: "2026-11-29", Successor: "new"},
		{Model: "going", What: pricelist.ShutsDown, Date: "2026-12-11"},
		{Model: "old", What: pricelist.Old, Date: "2026-01-01"},
		{Model: "partly", What: pricelist.Incomplete, Fields: []string{"x"}},
	}
	got := pricelist.Check(b, time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), 180, 60)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
}

// fuzz checks that a reader never panics, and that a book that it makes reads back.
func fuzz(f *testing.F, read func([]byte, pricelist.Options) (*pricelist.Imported, error)) {
	f.Fuzz(func(t *testing.T, data []byte, all bool) {
		o := options
		o.All = all
		list, err := read(data, o)
		if err != nil {
			return
		}
		if sum := len(list.Book.Entries) + list.Same + len(list.LeftOut); sum != list.Read {
			t.Errorf("%d entries read, %d accounted for", list.Read, sum)
		}
		text, err := list.Book.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := price.Parse(text); err != nil {
			t.Errorf("the book %s cannot be read back: %v", text, err)
		}
		for _, e := range list.Book.Entries {
			_, _ = e.Price.Cost(carrot.Usage{Input: 300_000, CachedInput: 5, Output: 7, Details: &carrot.UsageDetails{Tier: "batch"}})
		}
	})
}

func FuzzLiteLLM(f *testing.F) {
	var list map[string]json.RawMessage
	text, err := os.ReadFile("testdata/litellm.json")
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		f.Fatal(err)
	}
	for _, key := range slices.Sorted(maps.Keys(list)) {
		f.Add([]byte(`{"`+key+`": `+string(list[key])+`}`), false)
	}
	fuzz(f, pricelist.LiteLLM)
}

func FuzzGenAIPrices(f *testing.F) {
	for _, model := range []string{
		`"prices": {"input_mtok": {"base": 4, "tiers": [{"start": 272000, "price": 8}]}, "output_mtok": 2}`,
		`"prices": [{"prices": {"input_mtok": 2}}, {"constraint": {"start_date": "2026-09-01"}, "prices": {"input_mtok": 3}}]`,
		`"prices": {"input_mtok": 2}, "price_variants": [{"when": {"service_tier": "flex"}, "prices": {"input_mtok": 1}}]`,
		`"prices": {"cache_write_1h_mtok": 2, "web_searches_kcount": 10, "requests_kcount": 1}`,
	} {
		f.Add([]byte(`[{"id": "openai", "models": [{"id": "m", "match": {"or": [{"equals": "n"}]}, `+model+`}]}]`), false)
	}
	fuzz(f, pricelist.GenAIPrices)
}
