package price

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Facts are what is known of a model besides its price. What is not set is unknown, and
// nothing may be assumed of it.
type Facts struct {
	Provider string   `json:"provider,omitempty"` // whose API it is: openai, anthropic, google, …
	Aliases  []string `json:"aliases,omitempty"`  // other names of the same model at the same price

	// Limits, in tokens: of the prompt, of the output, and of the two together.
	MaxInput  int `json:"max_input_tokens,omitempty"`
	MaxOutput int `json:"max_output_tokens,omitempty"`
	Context   int `json:"context_tokens,omitempty"`

	// Abilities: calls of the client's tools, pictures in the prompt, and output by a
	// JSON schema. Nil: unknown.
	ToolCalls *bool `json:"tool_calls,omitempty"`
	Vision    *bool `json:"vision,omitempty"`
	JSON      *bool `json:"json,omitempty"`

	// Sampling says whether the model accepts temperature, top_p and the like, at
	// the efforts SamplingEfforts if there are any, or else at all. Nil: unknown.
	Sampling        *bool    `json:"sampling,omitempty"`
	SamplingEfforts []string `json:"sampling_efforts,omitempty"`
	Efforts         []string `json:"efforts,omitempty"` // reasoning efforts that it accepts

	CacheMin    int     `json:"cache_min_tokens,omitempty"` // shortest prefix that the provider's prompt cache keeps
	Shutdown    string  `json:"shutdown,omitempty"`         // YYYY-MM-DD: requests fail from that day on
	Successor   string  `json:"successor,omitempty"`        // the model that the provider names in its place
	TokenFactor float64 `json:"token_factor,omitempty"`     // tokens that it counts for each one of [CountTokens]

	FactsSource string `json:"facts_source,omitempty"` // where facts were found that the price's source lacks

	// Incomplete are the fields of the source that a [carrot.Price] cannot express.
	// What depends on them is not set.
	Incomplete []string `json:"incomplete,omitempty"`
}

// check returns an error that begins with the name of the first bad field.
func (f *Facts) check() error {
	for _, limit := range []struct {
		field  string
		tokens int
	}{{"max_input_tokens", f.MaxInput}, {"max_output_tokens", f.MaxOutput}, {"context_tokens", f.Context}, {"cache_min_tokens", f.CacheMin}} {
		if limit.tokens < 0 || limit.tokens > maxTokens {
			return fmt.Errorf("%s: %d: want a number of tokens above 0, at most %d", limit.field, limit.tokens, maxTokens)
		}
	}
	for _, list := range []struct {
		field string
		names []string
	}{{"aliases", f.Aliases}, {"sampling_efforts", f.SamplingEfforts}, {"efforts", f.Efforts}, {"incomplete", f.Incomplete}} {
		for _, name := range list.names {
			if name == "" {
				return fmt.Errorf("%s: an empty name", list.field)
			}
		}
	}
	if f.Shutdown != "" {
		if _, err := time.Parse(time.DateOnly, f.Shutdown); err != nil {
			return fmt.Errorf("shutdown: %q is not a date, want YYYY-MM-DD", f.Shutdown)
		}
	}
	if f.TokenFactor != 0 && !(f.TokenFactor >= 0.1 && f.TokenFactor <= 10) {
		return errors.New("token_factor: want a number from 0.1 to 10")
	}
	return nil
}

// maxTokens is the highest limit on tokens that is believed.
const maxTokens = 1 << 40

// merge returns what is known of a model by two entries: the price of over if it has
// one, and its facts where it has any.
func merge(under, over Entry) Entry {
	e := over
	if !over.priced() {
		e.Price, e.Date, e.Source = under.Price, under.Date, under.Source
		or(&e.FactsSource, over.Source)
	}
	if e.Name != under.Name {
		under.Aliases = nil // are other names of the other model
	}
	or(&e.Provider, under.Provider)
	or(&e.MaxInput, under.MaxInput)
	or(&e.MaxOutput, under.MaxOutput)
	or(&e.Context, under.Context)
	or(&e.ToolCalls, under.ToolCalls)
	or(&e.Vision, under.Vision)
	or(&e.JSON, under.JSON)
	if e.Sampling == nil {
		e.Sampling, e.SamplingEfforts = under.Sampling, under.SamplingEfforts
	}
	or(&e.CacheMin, under.CacheMin)
	or(&e.Shutdown, under.Shutdown)
	or(&e.Successor, under.Successor)
	or(&e.TokenFactor, under.TokenFactor)
	or(&e.FactsSource, under.FactsSource)
	if len(e.Efforts) == 0 {
		e.Efforts = under.Efforts
	}
	for _, alias := range under.Aliases {
		if !slices.Contains(e.Aliases, alias) {
			e.Aliases = append(slices.Clip(e.Aliases), alias)
		}
	}
	if !over.priced() && len(e.Incomplete) == 0 {
		e.Incomplete = under.Incomplete
	}
	return e
}

// or sets a value that is not set.
func or[T comparable](value *T, other T) {
	var zero T
	if *value == zero {
		*value = other
	}
}

// catalogue is a book that is read when something is first looked up in it.
type catalogue struct{ read func() (*index, error) }

// index finds entries by name.
type index struct {
	entries []Entry
	names   map[string]int // of a name or alias, the entry
}

func newIndex(entries []Entry) *index {
	x := &index{entries, make(map[string]int, 2*len(entries))}
	for i, e := range entries {
		for _, alias := range e.Aliases {
			x.names[alias] = i
		}
	}
	for i, e := range entries {
		x.names[e.Name] = i
	}
	return x
}

// find returns the entry of a name or alias, or nil.
func (x *index) find(name string) *Entry {
	if i, ok := x.names[name]; ok {
		return &x.entries[i]
	}
	return nil
}

// catalogue.json.gz is catalogue.json, compressed by go test -run TestCatalogueFiles -update
// because the binary is large already.
//
//go:embed catalogue.json.gz
var catalogueText []byte

//go:embed facts.json
var factsText []byte

// embedded is the catalogue in the binary: what carrot price import made of LiteLLM's
// list, and over it the facts that this list lacks.
var embedded = catalogue{sync.OnceValues(func() (*index, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(catalogueText))
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	text, err := io.ReadAll(unzipped)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	listed, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	facts, err := Parse(factsText)
	if err != nil {
		return nil, fmt.Errorf("facts: %w", err)
	}
	return newIndex(listed.Overlay(facts).Entries), nil
})}

// index returns the index of the catalogue, which is empty if there is none.
func (c *catalogue) index() *index {
	if c == nil {
		return &index{}
	}
	x, err := c.read()
	if err != nil {
		panic("price book in the binary: " + err.Error())
	}
	return x
}

// Lookup returns the entry of a model, with what the catalogue under the book knows of
// it. A model is found by its name, then by an alias, and then by its name without the
// prefix of its own provider, as in openai/gpt-5.5, and without a date at the end, as in
// gpt-5.5-2026-04-23. Nothing else is resolved: not another version of a model, not a
// model that is served by someone else, as in bedrock/gpt-5.5 or gpt-5.5@azure. The
// error wraps [ErrNoPrice]. The price's Tariff is shared and must not be changed.
func (b *Book) Lookup(model string) (Entry, error) {
	for _, s := range spellings(model) {
		if e, ok := b.named(s.name); ok && (s.provider == "" || s.provider == e.Provider) {
			return e, nil
		}
	}
	return Entry{}, noPrice(model)
}

// named returns the entry of a name or alias.
func (b *Book) named(name string) (Entry, bool) {
	own, under := b.own(name), b.under.index().find(name)
	if own == nil && under != nil {
		own = b.own(under.Name)
	}
	if own == nil && (under == nil || under.Name != name) {
		if at := slices.IndexFunc(b.Entries, func(e Entry) bool { return slices.Contains(e.Aliases, name) }); at >= 0 {
			own, under = &b.Entries[at], nil
		}
	}
	if own != nil && under == nil {
		under = b.under.index().find(own.Name)
	}
	switch {
	case own == nil && under == nil:
		return Entry{}, false
	case own == nil:
		return *under, true
	case under == nil:
		return *own, true
	}
	return merge(*under, *own), true
}

// All returns all entries: the book's own, in their order, or if there is a catalogue
// under it, what Lookup says of every name, sorted by name. A name or alias that several
// entries have is an alias of none or one of them.
func (b *Book) All() []Entry {
	all := slices.Clone(b.Entries)
	names := map[string]bool{}
	for _, e := range b.Entries {
		names[e.Name] = true
	}
	if b.under != nil {
		for _, e := range b.under.index().entries {
			names[e.Name] = true
		}
		all = make([]Entry, 0, len(names))
		for name := range names {
			if e, ok := b.named(name); ok {
				all = append(all, e)
			}
		}
		slices.SortFunc(all, func(a, z Entry) int { return strings.Compare(a.Name, z.Name) })
	}
	for i := range all {
		var aliases []string
		for _, alias := range all[i].Aliases {
			if !names[alias] {
				aliases = append(aliases, alias)
			}
			names[alias] = true
		}
		all[i].Aliases = aliases
	}
	return all
}

// spelling is a name under which a model may be listed, by a provider if one is named.
type spelling struct{ name, provider string }

// spellings returns the names under which a model may be listed, the likeliest first.
func spellings(model string) []spelling {
	list := []spelling{{model, ""}}
	if strings.Contains(model, "@") {
		return list
	}
	if prefix, rest, ok := strings.Cut(model, "/"); ok && prefixes[prefix] != "" {
		list = append(list, spelling{rest, prefixes[prefix]})
	}
	for _, s := range slices.Clone(list) {
		if name := undated(s.name); name != s.name {
			list = append(list, spelling{name, s.provider})
		}
	}
	return list
}

// prefixes are the prefixes of names by which LiteLLM and others say that a model is
// called at its own provider.
var prefixes = map[string]string{
	"openai": "openai", "anthropic": "anthropic", "gemini": "google", "google": "google", "deepseek": "deepseek",
	"dashscope": "qwen", "mistral": "mistral", "meta": "meta", "meta_llama": "meta", "xai": "xai", "moonshot": "moonshot",
	"zai": "zhipu", "minimax": "minimax", "amazon-nova": "amazon", "bedrock": "amazon",
}

// undated returns a name without a date at its end, in the form -2026-04-23 or -20260423.
func undated(name string) string {
	for _, layout := range []string{"-2006-01-02", "-20060102"} {
		at := len(name) - len(layout)
		if at <= 0 {
			continue
		}
		if day, err := time.Parse(layout, name[at:]); err == nil && day.Year() >= 2020 && day.Year() < 2100 {
			return name[:at]
		}
	}
	return name
}
