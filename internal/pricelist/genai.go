package pricelist

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/price"
)

// genaiProvider is a provider of genai-prices' list.
type genaiProvider struct {
	ID     string       `json:"id"`
	Models []genaiModel `json:"models"`
}

// genaiModel is a model of genai-prices' list.
type genaiModel struct {
	ID       string          `json:"id"`
	Match    genaiMatch      `json:"match"`
	Context  int             `json:"context_window"`
	Prices   json.RawMessage `json:"prices"` // rates, or a list of rates with constraints
	Variants []genaiPrices   `json:"price_variants"`
}

// genaiMatch says which names mean a model. Only the parts that are whole names are read.
type genaiMatch struct {
	Equals     string       `json:"equals"`
	StartsWith string       `json:"starts_with"`
	Or         []genaiMatch `json:"or"`
}

// genaiPrices are rates with the conditions under which they hold.
type genaiPrices struct {
	When       map[string]string          `json:"when"`
	Constraint map[string]string          `json:"constraint"`
	Prices     map[string]json.RawMessage `json:"prices"`
}

// genaiVendors are the vendors by the ids of providers, with the beginnings of the names of
// their own models, if they serve those of others as well.
var genaiVendors = map[string]struct {
	name string
	own  []string
}{
	"openai": {"openai", nil}, "anthropic": {"anthropic", nil}, "google": {"google", []string{"gemini", "gemma"}},
	"deepseek": {"deepseek", nil}, "mistral": {"mistral", nil}, "x-ai": {"xai", nil}, "moonshotai": {"moonshot", nil},
	"zai": {"zhipu", nil}, "minimax": {"minimax", nil}, "aws": {"amazon", []string{"amazon", "nova", "titan"}},
}

// GenAIPrices reads prices/data.json of pydantic's genai-prices (MIT), of both of its
// versions.
func GenAIPrices(text []byte, o Options) (*Imported, error) {
	var list []genaiProvider
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("read genai-prices' list: %w", err)
	}
	c := &collector{}
	for _, provider := range list {
		for _, m := range provider.Models {
			c.Read++
			listed := provider.ID + "/" + m.ID
			e := price.Entry{Name: listed, Date: o.Date, Source: o.Source, Facts: price.Facts{Provider: provider.ID, Context: m.Context}}
			if !o.All {
				v, ok := genaiVendors[provider.ID]
				if !ok {
					c.leave(listed, "not one of the vendors' own APIs")
					continue
				}
				if v.own != nil && !slices.ContainsFunc(v.own, func(own string) bool { return strings.HasPrefix(m.ID, own) }) {
					c.leave(listed, "another vendor's model")
					continue
				}
				e.Name, e.Provider, e.Aliases = m.ID, v.name, m.Match.names(m.ID)
			}
			t := newTariff()
			missing, err := m.read(t, o.Date)
			switch {
			case err != nil:
				return nil, fmt.Errorf("read genai-prices' list: %q: %w", listed, err)
			case !t.perToken():
				c.leave(listed, "no price per token")
				continue
			}
			if slices.Contains(missing, "constraint.start_time") || slices.Contains(missing, "requests_kcount") {
				t = newTariff() // every call's cost depends on them
			}
			e.Price, e.Incomplete = t.price(), missing
			c.add(listed, e)
		}
	}
	return c.finish(), nil
}

// names returns the names that mean a model, except its own.
func (m *genaiMatch) names(own string) (names []string) {
	for _, name := range []string{m.Equals, m.StartsWith} {
		if name != "" && name != own && !strings.HasSuffix(name, "-") {
			names = append(names, name)
		}
	}
	for _, other := range m.Or {
		names = append(names, other.names(own)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// read reads the prices that hold on a day, and returns what they do not say.
func (m *genaiModel) read(t *tariff, day string) (missing []string, err error) {
	list := []genaiPrices{{}}
	if err := json.Unmarshal(m.Prices, &list); err != nil {
		if err := json.Unmarshal(m.Prices, &list[0].Prices); err != nil {
			return nil, fmt.Errorf("field prices: %w", err)
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	lacks := map[string]bool{}
	base := list[0].Prices
	for _, p := range list {
		if start, ok := p.Constraint["start_date"]; ok && start > day {
			lacks["constraint.start_date "+start] = true // other prices from then on
		} else if len(p.Constraint) > 0 && !ok {
			lacks["constraint.start_time"] = true
		} else {
			base = p.Prices
		}
	}
	tiers := map[string]map[string]json.RawMessage{"": base}
	for _, v := range m.Variants {
		tier, reason := v.tier(day)
		if reason != "" {
			lacks[reason] = true
		}
		if tier == "" {
			continue
		}
		if tiers[tier] == nil {
			tiers[tier] = map[string]json.RawMessage{}
		}
		for field, rate := range v.Prices { // the first variant that has a rate counts
			if tiers[tier][field] == nil {
				tiers[tier][field] = rate
			}
		}
	}
	lengths := []int{0}
	rates := map[string]map[string]genaiRate{}
	for _, tier := range slices.Sorted(maps.Keys(tiers)) {
		for field, rate := range base { // hold at the tiers as well, if the tiers have none
			if tiers[tier][field] == nil {
				tiers[tier][field] = rate
			}
		}
		if rates[tier], err = t.readGenAI(tier, tiers[tier], lacks); err != nil {
			return nil, fmt.Errorf("field prices: %w", err)
		}
		for _, r := range rates[tier] {
			for _, at := range r.Tiers {
				lengths = append(lengths, at.Start)
			}
		}
	}
	slices.Sort(lengths)
	for _, tier := range slices.Sorted(maps.Keys(rates)) {
		for _, length := range slices.Compact(lengths) {
			for _, field := range slices.Sorted(maps.Keys(rates[tier])) {
				r := rates[tier][field]
				if err := t.setGenAI(cell{tier, length}, field, r.at(length)); err != nil {
					return nil, fmt.Errorf("field prices: field %s: %w", field, err)
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(lacks)), nil
}

// tier returns the tier at which a variant holds, and if it is not that alone, what else it
// depends on.
func (p *genaiPrices) tier(day string) (tier, reason string) {
	if start := p.Constraint["start_date"]; start > day {
		return "", "price_variants.constraint.start_date " + start
	} else if len(p.Constraint) > 0 && start == "" {
		return "", "price_variants.constraint"
	}
	if len(p.When) == 1 {
		for _, key := range []string{"processing", "service_tier", "speed"} {
			switch value := p.When[key]; value {
			case "":
			case "default", "standard":
				return "", ""
			default:
				return value, ""
			}
		}
	}
	return "", "price_variants.when." + strings.Join(slices.Sorted(maps.Keys(p.When)), ",")
}

// genaiKinds are the kinds of tokens by the names of genai-prices' fields.
var genaiKinds = map[string]string{
	"input_mtok": "input", "output_mtok": "output", "cache_read_mtok": "cached_input", "cache_write_mtok": "cache_write",
	"output_reasoning_mtok": "reasoning", "input_audio_mtok": "audio_input", "output_audio_mtok": "audio_output",
	"input_image_mtok": "image_input", "output_image_mtok": "image_output",
}

// genaiWrites are lifetimes in seconds by the names of genai-prices' fields.
var genaiWrites = map[string]int{"cache_write_5m_mtok": 300, "cache_write_1h_mtok": 3600}

// genaiRate is a rate, or rates by the length of the prompt.
type genaiRate struct {
	Base  json.Number `json:"base"`
	Tiers []struct {
		Start int         `json:"start"`
		Price json.Number `json:"price"`
	} `json:"tiers"`
}

func (r *genaiRate) UnmarshalJSON(text []byte) error {
	if err := json.Unmarshal(text, &r.Base); err == nil {
		return nil
	}
	type plain genaiRate
	return json.Unmarshal(text, (*plain)(r))
}

// at returns the rate of prompts above a length. A rate that has no price above it keeps
// the one that it has.
func (r *genaiRate) at(length int) json.Number {
	rate, from := r.Base, 0
	for _, tier := range r.Tiers {
		if tier.Start <= length && tier.Start > from {
			rate, from = tier.Price, tier.Start
		}
	}
	return rate
}

// readGenAI returns the rates per token of a tier, sets the prices of tools, and notes the
// fields that it cannot express.
func (t *tariff) readGenAI(tier string, fields map[string]json.RawMessage, lacks map[string]bool) (map[string]genaiRate, error) {
	rates := map[string]genaiRate{}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if string(fields[field]) == "null" {
			continue
		}
		var r genaiRate
		if err := json.Unmarshal(fields[field], &r); err != nil {
			return nil, fmt.Errorf("field %s: %w", field, err)
		}
		for _, at := range r.Tiers {
			if at.Start <= 0 || at.Start > 1<<40 {
				return nil, fmt.Errorf("field %s: a length of %d tokens", field, at.Start)
			}
		}
		switch {
		case genaiKinds[field] != "" || genaiWrites[field] != 0:
			rates[field] = r
		case field == "web_searches_kcount" && len(r.Tiers) == 0:
			usd, err := r.Base.Float64()
			if err != nil || !(usd >= 0 && usd <= 1e6) {
				return nil, fmt.Errorf("field %s: %q is not a price", field, r.Base)
			}
			if tier == "" {
				t.tools["web_search"] = carrot.Dollars(usd / 1000)
			} else if was, ok := t.tools["web_search"]; !ok || was != carrot.Dollars(usd/1000) {
				lacks["price_variants."+field] = true
			}
		default:
			lacks[field] = true
		}
	}
	return rates, nil
}

// setGenAI sets a rate in USD per million tokens.
func (t *tariff) setGenAI(at cell, field string, rate json.Number) error {
	usd, err := rate.Float64()
	if err != nil {
		return fmt.Errorf("%q is not a price", rate)
	}
	if seconds := genaiWrites[field]; seconds != 0 {
		return t.setWrite(at, seconds, usd/1e6)
	}
	return t.set(at, genaiKinds[field], usd/1e6)
}

// perToken reports whether there is a rate for input or output.
func (t *tariff) perToken() bool {
	r := t.cells[cell{}]
	return r != nil && (r.kinds["input"] != 0 || r.kinds["output"] != 0)
}
