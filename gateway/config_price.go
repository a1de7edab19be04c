package gateway

import (
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/strictyaml"
)

// check refuses prices that make no sense, and those without a required part.
func (c *PriceConfig) check(p *strictyaml.Problems, field string, required ...string) {
	if c == nil {
		return
	}
	c.RatesConfig.check(p, field, required...)
	checkLong(p, field, c.Above)
	for name, tier := range c.Tiers {
		at := field + ".tiers." + name
		if tier.Factor != 0 || p.Given(at+".factor") {
			checkFactor(p, at+".factor", tier.Factor)
		}
		tier.RatesConfig.check(p, at)
		checkLong(p, at, tier.Above)
	}
	for name, factor := range c.Regions {
		checkFactor(p, field+".regions."+name, factor)
	}
	for name, usd := range c.Tools {
		checkRange(p, field+".tools."+name, usd, 0, maxPrice)
	}
	if p.Err() != nil {
		return
	}
	price := c.price()
	if err := price.Check(); err != nil { // what only the whole can tell
		p.Add(field, "%v", err)
	}
}

func checkFactor(p *strictyaml.Problems, field string, factor float64) {
	if !(factor > 0 && factor <= 1000) {
		p.Add(field, "is %v: want a factor above 0, at most 1000", factor)
	}
}

func checkLong(p *strictyaml.Problems, field string, above []LongPriceConfig) {
	for i := range above {
		at := strictyaml.Element(field+".above", i)
		checkRange(p, at+".tokens", above[i].Tokens, 1, 1<<40)
		above[i].RatesConfig.check(p, at)
	}
}

// rates lists the prices with their names and where they are put.
func (c *RatesConfig) rates(p *carrot.Price) []struct {
	name string
	usd  *float64
	to   *carrot.Rate
} {
	if p.Tariff == nil {
		p.Tariff = &carrot.Tariff{}
	}
	return []struct {
		name string
		usd  *float64
		to   *carrot.Rate
	}{
		{"input", c.Input, &p.Input}, {"cached_input", c.CachedInput, &p.CachedInput}, {"cache_write", c.CacheWrite, &p.CacheWrite},
		{"output", c.Output, &p.Output}, {"reasoning", c.Reasoning, &p.Reasoning},
		{"audio_input", c.AudioInput, &p.AudioInput}, {"audio_output", c.AudioOutput, &p.AudioOutput},
		{"image_input", c.ImageInput, &p.ImageInput}, {"image_output", c.ImageOutput, &p.ImageOutput},
	}
}

func (c *RatesConfig) check(p *strictyaml.Problems, field string, required ...string) {
	for _, r := range c.rates(&carrot.Price{}) {
		if r.usd != nil {
			checkRange(p, field+"."+r.name, *r.usd, 0, maxPrice)
		} else if slices.Contains(required, r.name) {
			p.Add(field+"."+r.name, "is missing: a price needs %s", strings.Join(required, " and "))
		}
	}
	for kept, usd := range c.CacheWrites {
		at := field + ".cache_writes." + kept
		if _, ok := keptFor(kept); !ok {
			p.Add(at, "is not a time in whole seconds: want one such as 5m or 1h")
		}
		checkRange(p, at, usd, 0, maxPrice)
	}
}

// keptFor returns the seconds of a time for which a provider's cache keeps tokens.
func keptFor(text string) (seconds int, ok bool) {
	d, err := time.ParseDuration(text)
	return int(d / time.Second), err == nil && d >= time.Second && d%time.Second == 0
}

// price returns the configured price. Omitted numbers stay unset.
func (c *PriceConfig) price() *carrot.Price {
	p := c.RatesConfig.price()
	t := p.Tariff
	if t == nil {
		t = &carrot.Tariff{}
	}
	t.Above = longPrices(c.Above)
	for name, factor := range c.Regions {
		if t.Regions == nil {
			t.Regions = map[string]float64{}
		}
		t.Regions[strings.ToLower(name)] = factor
	}
	for name, tier := range c.Tiers {
		if t.Tiers == nil {
			t.Tiers = map[string]carrot.TierPrice{}
		}
		at := carrot.TierPrice{Factor: tier.Factor, Price: tier.RatesConfig.price()}
		if long := longPrices(tier.Above); long != nil {
			if at.Tariff == nil {
				at.Tariff = &carrot.Tariff{}
			}
			at.Above = long
		}
		t.Tiers[strings.ToLower(name)] = at
	}
	for name, usd := range c.Tools {
		if t.Tools == nil {
			t.Tools = map[string]carrot.USD{}
		}
		t.Tools[name] = carrot.Dollars(usd)
	}
	if p.Tariff == nil && (t.Above != nil || t.Regions != nil || t.Tiers != nil || t.Tools != nil) {
		p.Tariff = t
	}
	return &p
}

// price returns the prices of tokens. It has a tariff only if it needs one.
func (c *RatesConfig) price() carrot.Price {
	p := carrot.Price{}
	for _, r := range c.rates(&p) {
		if r.usd != nil {
			*r.to = carrot.PerMillion(*r.usd)
		}
	}
	for kept, usd := range c.CacheWrites {
		if p.CacheWrites == nil {
			p.CacheWrites = map[int]carrot.Rate{}
		}
		seconds, _ := keptFor(kept)
		p.CacheWrites[seconds] = carrot.PerMillion(usd)
	}
	if t := p.Tariff; t.CacheWrites == nil && max(t.AudioInput, t.AudioOutput, t.ImageInput, t.ImageOutput) == 0 && min(t.AudioInput, t.AudioOutput, t.ImageInput, t.ImageOutput) == 0 {
		p.Tariff = nil
	}
	return p
}

func longPrices(above []LongPriceConfig) (out []carrot.LongPrice) {
	for _, a := range above {
		out = append(out, carrot.LongPrice{Tokens: a.Tokens, Part: a.Part, Price: a.RatesConfig.price()})
	}
	return out
}
