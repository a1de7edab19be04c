// Package pricelist makes price books of the lists that other projects publish, and
// compares books.
//
// The lists are read as data; nothing of the projects is run. What a list says of a
// model that a price cannot express is named in the entry, and what depends on it is
// not set. Descriptions and comments are not carried over.
package pricelist

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/readfile"
	"github.com/carrot-router/carrot/price"
)

// Options are the options of an import.
type Options struct {
	// Date is the day whose prices are meant, as YYYY-MM-DD. It becomes the date of
	// all entries.
	Date string
	// Source becomes the beginning of every entry's source.
	Source string
	// All imports every entry that has a price for tokens. Otherwise only the models
	// that the twelve vendors serve on their own APIs and that are not shut down on
	// the date are imported: chat models and embeddings.
	All bool
}

// Imported is a list that was read.
type Imported struct {
	Book    *price.Book
	Read    int       // entries of the list
	Same    int       // entries that became an alias of another one
	LeftOut []LeftOut // the other entries, by name
}

// LeftOut is an entry of a list that is not in the book.
type LeftOut struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Incomplete returns the entries that the list knows more of than a price can express.
func (i *Imported) Incomplete() []price.Entry {
	return slices.DeleteFunc(slices.Clone(i.Book.Entries), func(e price.Entry) bool { return len(e.Incomplete) == 0 })
}

// limit is the size of the largest file that is read.
const limit = 64 << 20

// Open reads a file as a price book, or as a list of one of the projects, whichever it
// is.
func Open(path string, o Options) (*price.Book, error) {
	text, err := readfile.Read(path, limit)
	if err != nil {
		return nil, err
	}
	var imported *Imported
	switch text := bytes.TrimLeft(text, "\ufeff \t\r\n"); {
	case bytes.HasPrefix(text, []byte("[")):
		imported, err = GenAIPrices(text, o)
	case bytes.Contains(text, []byte(`"litellm_provider"`)):
		imported, err = LiteLLM(text, o)
	default:
		return price.Open(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return imported.Book, nil
}

// collector gathers the entries of a list.
type collector struct {
	Imported
	at map[string]int // of a name, its entry
}

func (c *collector) leave(name, reason string, args ...any) {
	c.LeftOut = append(c.LeftOut, LeftOut{name, fmt.Sprintf(reason, args...)})
}

// add adds the entry that is called listed in the list.
func (c *collector) add(listed string, e price.Entry) {
	if err := (&price.Book{}).Set(e); err != nil {
		c.leave(listed, "makes no sense: %v", err)
		return
	}
	if c.at == nil {
		c.Book, c.at = &price.Book{}, map[string]int{}
	}
	at, ok := c.at[e.Name]
	switch {
	case !ok:
		c.at[e.Name] = len(c.Book.Entries)
		c.Book.Entries = append(c.Book.Entries, e)
	case samePrice(&c.Book.Entries[at].Price, &e.Price):
		c.Same++
	default:
		c.leave(listed, "another entry for the model has other prices")
	}
}

// finish sorts the entries and makes those that differ from another one in nothing but a
// date at the end of the name, or the region of an inference profile, aliases of it.
func (c *collector) finish() *Imported {
	if c.Book == nil {
		c.Book = &price.Book{}
	}
	slices.SortFunc(c.Book.Entries, func(a, z price.Entry) int { return strings.Compare(a.Name, z.Name) })
	at := map[string]int{}
	for i, e := range c.Book.Entries {
		at[e.Name] = i
	}
	alias := map[int]bool{}
	for i, e := range c.Book.Entries {
		of, ok := at[general(e.Name)]
		if !ok || of == i || alias[of] {
			continue
		}
		if main := &c.Book.Entries[of]; sameModel(main, &e) {
			main.Aliases = append(main.Aliases, e.Name)
			main.Aliases = append(main.Aliases, e.Aliases...)
			alias[i] = true
			c.Same++
		}
	}
	var entries []price.Entry
	taken := map[string]bool{}
	for i, e := range c.Book.Entries {
		if taken[e.Name] = !alias[i]; !alias[i] {
			entries = append(entries, e)
		}
	}
	for i := range entries { // a name or an earlier model's alias is not an alias
		e := &entries[i]
		slices.Sort(e.Aliases)
		e.Aliases = slices.DeleteFunc(slices.Compact(e.Aliases), func(name string) bool {
			was := taken[name]
			taken[name] = true
			return was
		})
		if len(e.Aliases) == 0 {
			e.Aliases = nil
		}
	}
	c.Book.Entries = entries
	slices.SortFunc(c.LeftOut, func(a, z LeftOut) int {
		return cmp.Or(strings.Compare(a.Name, z.Name), strings.Compare(a.Reason, z.Reason))
	})
	return &c.Imported
}

// general returns the name without a date at its end, or without the region of an
// inference profile of Amazon's at its beginning.
func general(name string) string {
	if region, rest, ok := strings.Cut(name, "."); ok && strings.HasPrefix(rest, "amazon.") && slices.Contains(profiles, region) {
		return rest
	}
	for _, layout := range []string{"-2006-01-02", "-20060102"} {
		if at := len(name) - len(layout); at > 0 {
			if _, err := time.Parse(layout, name[at:]); err == nil {
				return name[:at]
			}
		}
	}
	return name
}

// profiles are the regions of Amazon's inference profiles.
var profiles = []string{"us", "eu", "apac", "jp", "global"}

// sameModel reports whether two entries differ in nothing but name, date and source.
func sameModel(a, b *price.Entry) bool {
	x, y := a.Facts, b.Facts
	x.Aliases, y.Aliases = nil, nil
	return samePrice(&a.Price, &b.Price) && same(x, y)
}

func samePrice(a, b *carrot.Price) bool { return same(a, b) }

// same compares values by their JSON.
func same(a, b any) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return errors.Join(err, err2) == nil && bytes.Equal(x, y)
}

// cell says for which calls a rate is meant: at a tier, and for prompts with more tokens
// than a number.
type cell struct {
	tier  string
	above int
}

// rates are rates by their kind: the name of the JSON field, or for cache writes of a
// lifetime, its seconds.
type rates struct {
	kinds  map[string]carrot.Rate
	writes map[int]carrot.Rate
}

// tariff gathers the prices of one model.
type tariff struct {
	cells   map[cell]*rates
	factors map[string]float64 // on tiers
	regions map[string]float64
	tools   map[string]carrot.USD
}

func newTariff() *tariff {
	return &tariff{map[cell]*rates{}, map[string]float64{}, map[string]float64{}, map[string]carrot.USD{}}
}

// set sets a rate in USD per token.
func (t *tariff) set(at cell, kind string, perToken float64) error {
	if !(perToken >= 0) {
		return fmt.Errorf("%v is not a price", perToken)
	}
	t.at(at).kinds[kind] = carrot.PerMillion(perToken * 1e6)
	return nil
}

// setWrite sets the rate of cache writes of a lifetime.
func (t *tariff) setWrite(at cell, seconds int, perToken float64) error {
	if !(perToken >= 0) {
		return fmt.Errorf("%v is not a price", perToken)
	}
	t.at(at).writes[seconds] = carrot.PerMillion(perToken * 1e6)
	return nil
}

func (t *tariff) at(at cell) *rates {
	if t.cells[at] == nil {
		t.cells[at] = &rates{map[string]carrot.Rate{}, map[int]carrot.Rate{}}
	}
	return t.cells[at]
}

// forget makes a kind of tokens unknown at all tiers and lengths.
func (t *tariff) forget(kinds ...string) {
	for _, r := range t.cells {
		for _, kind := range kinds {
			delete(r.kinds, kind)
		}
	}
}

// price returns the price. Where prompts above a length have prices of their own, they
// have them at all tiers: if the list does not say which, they are unknown.
func (t *tariff) price() carrot.Price {
	var lengths []int
	tiers := map[string]bool{}
	for at := range t.cells {
		if at.above > 0 && !slices.Contains(lengths, at.above) {
			lengths = append(lengths, at.above)
		}
		tiers[at.tier] = true
	}
	slices.Sort(lengths)
	long := func(tier string) (above []carrot.LongPrice) {
		for _, tokens := range lengths {
			above = append(above, carrot.LongPrice{Tokens: tokens, Price: t.cells[cell{tier, tokens}].price(nil)})
		}
		return above
	}
	p := carrot.Tariff{Above: long("")}
	for _, tier := range slices.Sorted(maps.Keys(tiers)) {
		if tier != "" {
			set(&p.Tiers, tier, carrot.TierPrice{Price: t.cells[cell{tier, 0}].price(long(tier))})
		}
	}
	for tier, factor := range t.factors {
		set(&p.Tiers, tier, carrot.TierPrice{Factor: factor})
	}
	for region, factor := range t.regions {
		set(&p.Regions, region, factor)
	}
	for tool, usd := range t.tools {
		set(&p.Tools, tool, usd)
	}
	base := t.cells[cell{}].price(nil)
	if base.Tariff != nil {
		p.CacheWrites, p.AudioInput, p.AudioOutput, p.ImageInput, p.ImageOutput =
			base.CacheWrites, base.AudioInput, base.AudioOutput, base.ImageInput, base.ImageOutput
	}
	if base.Tariff = &p; same(p, carrot.Tariff{}) {
		base.Tariff = nil
	}
	return base
}

// set adds an entry to a map that may be nil.
func set[K comparable, V any](m *map[K]V, key K, value V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[key] = value
}

// price returns the rates, of which there may be none, as a price.
func (r *rates) price(above []carrot.LongPrice) carrot.Price {
	if r == nil {
		r = &rates{}
	}
	k := r.kinds
	p := carrot.Price{Input: k["input"], CachedInput: k["cached_input"], CacheWrite: k["cache_write"], Output: k["output"], Reasoning: k["reasoning"]}
	t := carrot.Tariff{AudioInput: k["audio_input"], AudioOutput: k["audio_output"], ImageInput: k["image_input"], ImageOutput: k["image_output"], Above: above}
	if len(r.writes) > 0 {
		t.CacheWrites = r.writes
	}
	if !same(t, carrot.Tariff{}) {
		p.Tariff = &t
	}
	return p
}
