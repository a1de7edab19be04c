package pricelist

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/price"
)

// Dimension is one number of a price: a rate in USD per million tokens, a factor, or USD
// per use of a tool.
type Dimension struct {
	Name  string // such as input, above.200000.output or tiers.batch.cached_input
	Value float64
}

// Dimensions returns what is set of a price, in a fixed order.
func Dimensions(p *carrot.Price) (list []Dimension) {
	rates := func(prefix string, p *carrot.Price) {
		t := p.Tariff
		if t == nil {
			t = &carrot.Tariff{}
		}
		add := func(name string, r carrot.Rate) {
			if usd, ok := r.PerMillion(); ok {
				list = append(list, Dimension{prefix + name, usd})
			}
		}
		add("input", p.Input)
		add("cached_input", p.CachedInput)
		add("cache_write", p.CacheWrite)
		for _, seconds := range slices.Sorted(maps.Keys(t.CacheWrites)) {
			add("cache_writes."+strconv.Itoa(seconds), t.CacheWrites[seconds])
		}
		add("output", p.Output)
		add("reasoning", p.Reasoning)
		add("audio_input", t.AudioInput)
		add("audio_output", t.AudioOutput)
		add("image_input", t.ImageInput)
		add("image_output", t.ImageOutput)
	}
	long := func(prefix string, p *carrot.Price) {
		rates(prefix, p)
		if p.Tariff == nil {
			return
		}
		for i := range p.Above {
			rates(fmt.Sprintf("%sabove.%d.", prefix, p.Above[i].Tokens), &p.Above[i].Price)
		}
	}
	long("", p)
	t := p.Tariff
	if t == nil {
		return list
	}
	for _, name := range slices.Sorted(maps.Keys(t.Tiers)) {
		tier := t.Tiers[name]
		if tier.Factor != 0 {
			list = append(list, Dimension{"tiers." + name + ".factor", tier.Factor})
		}
		long("tiers."+name+".", &tier.Price)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Regions)) {
		list = append(list, Dimension{"regions." + name, t.Regions[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(t.Tools)) {
		list = append(list, Dimension{"tools." + name, t.Tools[name].Float()})
	}
	return list
}

// Difference is a number of a model's price of which two books do not say the same. What
// a book does not say is nil.
type Difference struct {
	Model     string   `json:"model"`
	Dimension string   `json:"dimension"`
	A         *float64 `json:"a"`
	B         *float64 `json:"b"`
}

// Diff returns the differences between the prices of two books, for the models that both
// price, and the number of those. A model has the name that it has in a; it is found in b
// by names and aliases, in upper or lower case. Lengths of prompts within a thousand
// tokens count as one.
func Diff(a, b *price.Book) (differences []Difference, models int) {
	index := map[string]*price.Entry{}
	entries := b.All()
	for i := range entries {
		for _, alias := range entries[i].Aliases {
			index[strings.ToLower(alias)] = &entries[i]
		}
	}
	for i := range entries {
		index[strings.ToLower(entries[i].Name)] = &entries[i]
	}
	for _, e := range a.All() {
		other := index[strings.ToLower(e.Name)]
		for _, alias := range e.Aliases {
			if other == nil {
				other = index[strings.ToLower(alias)]
			}
		}
		if other == nil || e.Price == (carrot.Price{}) || other.Price == (carrot.Price{}) {
			continue
		}
		models++
		differences = append(differences, diffPrices(e.Name, &e.Price, &other.Price)...)
	}
	return differences, models
}

func diffPrices(model string, a, b *carrot.Price) (differences []Difference) {
	var order []string
	values := [2]map[string]float64{{}, {}}
	for i, p := range []*carrot.Price{a, b} {
		for _, d := range Dimensions(p) {
			name := rounded(d.Name)
			if !slices.Contains(order, name) {
				order = append(order, name)
			}
			values[i][name] = d.Value
		}
	}
	for _, name := range order {
		x, inA := values[0][name]
		y, inB := values[1][name]
		switch {
		case inA && inB && x == y:
		case inA && inB:
			differences = append(differences, Difference{model, name, &x, &y})
		case inA:
			differences = append(differences, Difference{model, name, &x, nil})
		default:
			differences = append(differences, Difference{model, name, nil, &y})
		}
	}
	return differences
}

// rounded returns the name of a dimension with the length of prompts rounded to a thousand.
func rounded(name string) string {
	parts := strings.Split(name, ".")
	for i := range parts {
		if tokens, err := strconv.Atoi(parts[i]); err == nil && i > 0 && parts[i-1] == "above" {
			parts[i] = strconv.Itoa((tokens + 500) / 1000 * 1000)
		}
	}
	return strings.Join(parts, ".")
}

// Notice is something about an entry that someone should look at.
type Notice struct {
	Model string `json:"model"`
	// What is old, shut down, shuts down or incomplete.
	What      string   `json:"what"`
	Date      string   `json:"date,omitempty"` // of the price or of the shutdown
	Successor string   `json:"successor,omitempty"`
	Fields    []string `json:"fields,omitempty"` // of an incomplete entry
}

// The kinds of notices.
const (
	Old        = "old"
	ShutDown   = "shut down"
	ShutsDown  = "shuts down"
	Incomplete = "incomplete"
)

// Check returns what is to be noticed on a day about the entries of a book: prices that are
// older than a number of days, models that are shut down or will be within another number
// of days, and what the prices do not express. Notices are sorted by kind, date and model.
func Check(b *price.Book, today time.Time, old, near int) (notices []Notice) {
	day := func(days int) string { return today.AddDate(0, 0, days).Format(time.DateOnly) }
	for _, e := range b.All() {
		switch {
		case e.Shutdown == "":
		case e.Shutdown <= day(0):
			notices = append(notices, Notice{Model: e.Name, What: ShutDown, Date: e.Shutdown, Successor: e.Successor})
		case e.Shutdown <= day(near):
			notices = append(notices, Notice{Model: e.Name, What: ShutsDown, Date: e.Shutdown, Successor: e.Successor})
		}
		if e.Date < day(-old) {
			notices = append(notices, Notice{Model: e.Name, What: Old, Date: e.Date})
		}
		if len(e.Incomplete) > 0 {
			notices = append(notices, Notice{Model: e.Name, What: Incomplete, Fields: e.Incomplete})
		}
	}
	order := []string{ShutDown, ShutsDown, Old, Incomplete}
	slices.SortFunc(notices, func(a, z Notice) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.What), slices.Index(order, z.What)), cmp.Compare(a.Date, z.Date), cmp.Compare(a.Model, z.Model))
	})
	return notices
}
