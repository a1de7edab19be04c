package price_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/price"
)

// book is a price book with the given entries, one per line from line 2 on.
func book(entries ...string) string {
	return `{"schema": "carrot.prices/1", "unit": "USD per million tokens", "models": [` + "\n" +
		strings.Join(entries, ",\n") + "\n]}\n"
}

const (
	small = `{"name": "small", "input": 0.15, "output": 0.6, "date": "2024-12-01", "source": "list"}`
	large = `{"name": "large", "input": 3, "cached_input": 0.3, "cache_write": 3.75, "output": 15, "reasoning": 16, "date": "2025-01-31", "source": "list"}`
)

// facts is an entry without a price.
const facts = `{"name": "facts", "efforts": ["low"], "tool_calls": false, "date": "2025-01-31", "source": "list"}`

// book2 is a book of the newer form.
func book2(entries ...string) string {
	return strings.Replace(book(entries...), "carrot.prices/1", price.Schema, 1)
}

func parse(t *testing.T, text string) *price.Book {
	t.Helper()
	b, err := price.Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return b
}

func TestParse(t *testing.T) {
	b := parse(t, book(small, large))
	if len(b.Entries) != 2 || b.Entries[0].Name != "small" || b.Entries[1].Source != "list" || b.Date() != "2025-01-31" {
		t.Errorf("Parse = %+v, newest %s", b, b.Date())
	}
	if empty := parse(t, book()); len(empty.Entries) != 0 || empty.Date() != "" {
		t.Errorf("Parse of an empty book = %+v", empty)
	}
}

// The error for a bad book names the place, the model and the field.
func TestParseErrors(t *testing.T) {
	// entry returns small with one piece of its text replaced.
	entry := func(old, new string) string {
		if !strings.Contains(small, old) {
			t.Fatalf("%s does not contain %s", small, old)
		}
		return strings.Replace(small, old, new, 1)
	}
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"empty file", "", []string{"line 1", "EOF"}},
		{"not JSON", "schema: carrot.prices/1", []string{"line 1", "invalid character"}},
		{"cut off", book(small)[:120], []string{"line 2", "unexpected EOF"}},
		{"syntax error", book(large, entry(`"input":`, `"input"`)), []string{"line 3", "invalid character"}},
		{"text after", book(small) + "\n{}", []string{"line 5", "text after the book"}},
		{"brace after", book(small) + "}", []string{"text after the book"}},
		{"a list of another type", strings.Replace(book(), `"models": [`, `"models": 7, "more": [`, 1), []string{"line 1", "models"}},
		{"wrong schema", strings.Replace(book(), "prices/1", "prices/3", 1), []string{`"carrot.prices/3"`, `want "carrot.prices/2"`}},
		{"wrong unit", strings.Replace(book(), "million", "thousand", 1), []string{`"USD per thousand tokens"`}},
		{"unknown field of the book", strings.Replace(book(), `"unit"`, `"units"`, 1), []string{`unknown field "units"`}},
		{"unknown field of a model", book(large, entry(`"input"`, `"inptu": 1, "input"`)), []string{"models[1]", `"small"`, `unknown field "inptu"`}},
		{"unknown field before the name", book(entry(`"name"`, `"inptu": 1, "name"`)), []string{`"small"`, `"inptu"`}},
		{"not an object", book(`"small"`), []string{"models[0]"}},
		{"null", book(`null`), []string{"models[0]", "field name: missing"}},
		{"repeated name", book(small, large, small), []string{"models[2]", `"small" appears twice`}},
		{"no name", book(entry(`"name": "small", `, "")), []string{"models[0]", "field name: missing"}},
		{"no input price", book(entry(`"input": 0.15, `, "")), []string{`"small"`, "field input: missing"}},
		{"null input price", book(entry(`0.15`, "null")), []string{`"small"`, "field input: missing"}},
		{"no output price", book(entry(`"output": 0.6, `, "")), []string{`"small"`, "field output: missing"}},
		{"no date", book(entry(`"date": "2024-12-01", `, "")), []string{`"small"`, "field date: missing"}},
		{"no source", book(entry(`, "source": "list"`, "")), []string{`"small"`, "field source: missing"}},
		{"price in words", book(entry(`0.15`, `"0.15"`)), []string{`"small"`, "input"}},
		{"price beyond a float", book(entry(`0.15`, `1e999`)), []string{`"small"`, "input"}},
		{"negative", book(entry(`0.15`, `-0.15`)), []string{`"small"`, "field input: -0.15 is not a price"}},
		{"absurd", book(entry(`0.6`, `100001`)), []string{`"small"`, "field output: 100001 is not a price"}},
		{"negative cached input", book(entry(`"output"`, `"cached_input": -1, "output"`)), []string{`"small"`, "field cached_input: -1"}},
		{"absurd cache write", book(entry(`"output"`, `"cache_write": 1e9, "output"`)), []string{`"small"`, "field cache_write: 1e9"}},
		{"negative reasoning", book(entry(`"output"`, `"reasoning": -2, "output"`)), []string{`"small"`, "field reasoning: -2"}},
		{"date of another form", book(entry(`2024-12-01`, `01.12.2024`)), []string{`"small"`, `field date: "01.12.2024" is not a date`}},
		{"no such day", book(entry(`2024-12-01`, `2024-02-30`)), []string{`"small"`, "field date"}},
		{"negative limit", book(entry(`"output"`, `"max_input_tokens": -1, "output"`)), []string{`"small"`, "field max_input_tokens: -1"}},
		{"absurd limit", book(entry(`"output"`, `"max_output_tokens": 2e15, "output"`)), []string{`"small"`, "field max_output_tokens"}},
		{"ability in words", book(entry(`"output"`, `"vision": "yes", "output"`)), []string{`"small"`, "field vision"}},
		{"ability and tool", book(entry(`"output"`, `"tools": true, "output"`)), []string{`"small"`, "field tools"}},
		{"empty effort", book(entry(`"output"`, `"efforts": [""], "output"`)), []string{`"small"`, "field efforts: an empty name"}},
		{"shutdown of another form", book(entry(`"output"`, `"shutdown": "soon", "output"`)), []string{`"small"`, `field shutdown: "soon" is not a date`}},
		{"absurd token factor", book(entry(`"output"`, `"token_factor": 100, "output"`)), []string{`"small"`, "field token_factor: want"}},
		{"alias of two models", book(entry(`"output"`, `"aliases": ["s"], "output"`), strings.Replace(large, `"output"`, `"aliases": ["s"], "output"`, 1)), []string{`"large"`, `field aliases: "s" is the name or alias of another model`}},
		{"alias that is a name", book(entry(`"output"`, `"aliases": ["large"], "output"`), large), []string{`"small"`, `field aliases: "large"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := price.Parse([]byte(test.text))
			if err == nil {
				t.Fatalf("Parse(%s) = %+v, want an error", test.text, b)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Parse: %q, want it to say %q", err, want)
				}
			}
		})
	}
}

// A price that is not given is not set, and a price of 0 is free.
func TestEntryPrice(t *testing.T) {
	b := parse(t, book(small, large))
	f := func(model string, want carrot.Price) {
		t.Helper()
		got, err := b.Price(model)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Price(%q) (-want +got):\n%s", model, diff)
		}
	}
	// In pico-dollars per token.
	f("small", carrot.Price{Input: 150_000, Output: 600_000, Date: "2024-12-01"})
	f("large", carrot.Price{Input: 3_000_000, CachedInput: 300_000, CacheWrite: 3_750_000, Output: 15_000_000, Reasoning: 16_000_000, Date: "2025-01-31"})

	if got, err := parse(t, book(strings.Replace(large, "0.3,", "0,", 1))).Price("large"); err != nil || got.CachedInput != carrot.Free {
		t.Errorf("cached input at 0 USD has the rate %v, want Free: %v", got.CachedInput, err)
	}
}

// A book reads back equal, whether it was written as a value or by a pointer.
func TestBookReadsBackEqual(t *testing.T) {
	for _, want := range []price.Book{{}, *parse(t, book(small, large)), *price.Default()} {
		for _, form := range []any{want, &want} {
			text, err := json.Marshal(form)
			if err != nil {
				t.Fatal(err)
			}
			var got price.Book
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatalf("Unmarshal(%s): %v", text, err)
			}
			if diff := cmp.Diff(want.All(), got.All()); diff != "" {
				t.Errorf("%T reads back differently (-want +got):\n%s", form, diff)
			}
		}
	}
}

func TestOverlay(t *testing.T) {
	base, own := parse(t, book(small, large)), parse(t, book(strings.Replace(large, "15", "25", 1), strings.Replace(small, "small", "mine", 1)))
	both := base.Overlay(own)
	for model, want := range map[string]float64{"small": 0.6, "large": 25, "mine": 0.6} {
		p, err := both.Price(model)
		if err != nil {
			t.Fatal(err)
		}
		if usd, _ := p.Output.PerMillion(); usd != want {
			t.Errorf("output of %s at %v, want %v", model, usd, want)
		}
	}
	if p, err := base.Price("large"); err != nil || p.Output != carrot.PerMillion(15) {
		t.Errorf("the book under the overlay says %v, %v, want its own price", p, err)
	}
}

func TestErrNoPrice(t *testing.T) {
	for _, b := range []*price.Book{{}, parse(t, book(small))} {
		if _, err := b.Price("medium"); !errors.Is(err, price.ErrNoPrice) || !strings.Contains(err.Error(), `"medium"`) {
			t.Errorf("Price(medium): %v, want ErrNoPrice naming the model", err)
		}
	}
}

// Every price in the binary has a date and a source.
func TestDefault(t *testing.T) {
	b := price.Default()
	if len(b.Entries) < 20 {
		t.Errorf("the default book has %d entries", len(b.Entries))
	}
	for _, e := range b.Entries {
		date, err := time.Parse(time.DateOnly, e.Date)
		if err != nil || date.Year() < 2023 || e.Source == "" {
			t.Errorf("%s: date %q, source %q", e.Name, e.Date, e.Source)
		}
		if e.CachedInput > e.Input {
			t.Errorf("%s: cached input at %v is more expensive than input at %v", e.Name, e.CachedInput, e.Input)
		}
		if e.Input <= 0 || e.Output < e.Input {
			t.Errorf("%s: input at %v, output at %v, want output no cheaper", e.Name, e.Input, e.Output)
		}
	}
	if _, err := b.Price("gpt-4o-2024-05-13"); err != nil {
		t.Error(err)
	}
}

// Setting a price in one copy of the default book does not change another copy.
func TestDefaultIsACopy(t *testing.T) {
	name := price.Default().Entries[0].Name
	if err := price.Default().Set(price.Entry{Name: name, Price: carrot.Price{Input: 99_999}, Date: "2030-01-01"}); err != nil {
		t.Fatal(err)
	}
	if e := price.Default().Entries[0]; e.Input == 99_999 {
		t.Errorf("Default() = %+v after another's Set", e)
	}
}

func TestSet(t *testing.T) {
	b := &price.Book{}
	for _, e := range []price.Entry{
		{Name: "a", Price: carrot.Price{Input: 1, Output: 2}, Date: "2025-01-01"},
		{Name: "b", Price: carrot.Price{Input: 3, Output: 4}, Date: "2025-01-01"},
		{Name: "a", Price: carrot.Price{Input: 5, Output: 6}, Date: "2025-02-01"}, // takes the place of the first
	} {
		if err := b.Set(e); err != nil {
			t.Fatalf("Set(%+v): %v", e, err)
		}
	}
	want := []price.Entry{{Name: "a", Price: carrot.Price{Input: 5, Output: 6}, Date: "2025-02-01"}, {Name: "b", Price: carrot.Price{Input: 3, Output: 4}, Date: "2025-01-01"}}
	if diff := cmp.Diff(want, b.Entries); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}

	f := func(e price.Entry, want string) {
		t.Helper()
		if err := b.Set(e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Set(%+v): %v, want %q", e, err, want)
		}
	}
	f(price.Entry{Date: "2025-01-01"}, "field name: missing")
	f(price.Entry{Name: "c"}, `model "c": field date: "" is not a date`)
	f(price.Entry{Name: "c", Date: "2025-01-01", Price: carrot.Price{Input: -2}}, `model "c": field input: -2e-06`)
	if diff := cmp.Diff(want, b.Entries); diff != "" {
		t.Errorf("entries after refused ones (-want +got):\n%s", diff)
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prices.json")
	want := price.Default()
	for range 2 { // the second replaces the first
		if err := want.WriteFile(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := price.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.All(), got.All()); diff != "" {
		t.Errorf("the book read back (-want +got):\n%s", diff)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("WriteFile left %v, %v, want the book alone", files, err)
	}
}

func TestWriteFileErrors(t *testing.T) {
	b, dir := parse(t, book(small)), t.TempDir()
	f := func(path string) {
		t.Helper()
		if err := b.WriteFile(path); err == nil || !strings.Contains(err.Error(), "write price book") {
			t.Errorf("WriteFile(%s): %v, want an error", path, err)
		}
	}
	f(filepath.Join(dir, "missing", "prices.json"))
	f(dir) // a folder
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("WriteFile left %v, %v, want nothing", files, err)
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := price.Open("testdata/missing.json"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "testdata/missing.json") {
		t.Errorf("Open: %v, want fs.ErrNotExist naming the file", err)
	}
	path := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(path, []byte(book(strings.Replace(small, "0.6", "-1", 1))), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := price.Open(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), `"small"`) {
		t.Errorf("Open: %v, want an error naming the file and the model", err)
	}
}

// Parse never panics, and a book that it accepts reads back equal.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		book(), book(small), book(small, large), book(small, small), book(`null`), book(`{}`), "", "null", "{}", "[]",
		strings.Replace(book(small), "0.15", "1e-320", 1), strings.Replace(book(small), "0.15", "-0", 1),
		strings.Replace(book(small), "small", `\ud800<&>`, 1), `{"schema":"carrot.prices/1","unit":"USD per million tokens"}`,
		book2(facts), book2(strings.Replace(small, `"output"`, `"aliases": ["s", "t"], "sampling": false, "output"`, 1), facts),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := price.Parse(data)
		if err != nil {
			return
		}
		for _, e := range b.Entries {
			if p, err := b.Price(e.Name); err != nil && e.Price != (carrot.Price{}) || p.Input < carrot.Free || p.Output < carrot.Free {
				t.Errorf("Price(%q) = %+v, %v", e.Name, p, err)
			}
			for _, alias := range e.Aliases {
				if found, err := b.Lookup(alias); err != nil || found.Name != e.Name {
					t.Errorf("Lookup(%q) = %q, %v, want %q", alias, found.Name, err, e.Name)
				}
			}
		}
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatalf("marshal %+v: %v", b, err)
		}
		back := new(price.Book)
		if err := json.Unmarshal(text, back); err != nil {
			t.Fatalf("Unmarshal(%s): %v", text, err)
		}
		if again, err := json.Marshal(back); err != nil || string(again) != string(text) { // an empty list is none
			t.Errorf("the book read back from %s is %s, %v", text, again, err)
		}
	})
}
