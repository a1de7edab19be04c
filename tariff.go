package carrot

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Tariff is the part of a [Price] that few models have: rates for further kinds of
// tokens, and what changes the rates. What is not set is unknown when it is used, except
// where a field says otherwise. Sources: the price lists of OpenAI, Anthropic, Google,
// Alibaba and others; docs/prices.md has an example of each.
type Tariff struct {
	// CacheWrites are the rates of tokens written to the provider's prompt cache,
	// by their lifetime in seconds. Tokens of a lifetime that has no rate here are
	// billed at Price.CacheWrite if they live for five minutes or less, which is
	// what that rate is for.
	CacheWrites map[int]Rate `json:"cache_writes,omitempty"`
	AudioInput  Rate         `json:"audio_input,omitzero"`
	AudioOutput Rate         `json:"audio_output,omitzero"`
	ImageInput  Rate         `json:"image_input,omitzero"`  // not set: billed as input
	ImageOutput Rate         `json:"image_output,omitzero"` // not set: billed as output
	// Above are the prices of long prompts, by increasing length. Those of the
	// last one that the prompt is longer than apply.
	Above []LongPrice `json:"above,omitempty"`
	// Tiers are the prices at a service tier or speed, by the name that the answer
	// gives it, such as flex, priority, batch or fast. The names default, standard,
	// auto and on_demand need none.
	Tiers map[string]TierPrice `json:"tiers,omitempty"`
	// Regions are the factors on all tokens by the region in which the call was
	// served. In other regions the factor is 1.
	Regions map[string]float64 `json:"regions,omitempty"`
	// Tools are the prices of one use of the provider's tools, such as web_search.
	Tools map[string]USD `json:"tools,omitempty"`
}

// LongPrice is the price of prompts with more tokens than a number.
type LongPrice struct {
	Tokens int `json:"tokens"`
	// Part says that only the tokens beyond that number have this price, and output
	// keeps its own. Tokens read from the cache come first in a prompt, and those
	// written to it next.
	Part bool `json:"part,omitempty"`
	Price
}

// TierPrice is the price at a service tier: rates of its own, or a factor on the rates.
type TierPrice struct {
	Factor float64 `json:"factor,omitzero"` // 0: the rates below
	Price
}

// standardCacheSeconds is the longest lifetime for which [Price.CacheWrite] is meant.
const standardCacheSeconds = 300

// standardTiers are the names that answers have for the tier of the rates themselves.
var standardTiers = []string{"", "default", "standard", "auto", "on_demand"}

// maxUSDPerMillion is the highest price that is believed, in USD per million tokens.
const maxUSDPerMillion = 100_000

// maxFactor is the highest factor on a price.
const maxFactor = 1000

// Check returns an error that names the first part of the price that makes no sense:
// one below zero or
// above 100,000 USD per million tokens, a threshold or lifetime that is not positive, thresholds that do not
// increase, a factor that is not between 0 and 1000, conditions within conditions.
func (p *Price) Check() error { return p.check("", true, true) }

// check checks a price. path is its name with a dot; tiers and long say whether it may
// have prices by tier, region and use, and by length.
func (p *Price) check(path string, tiers, long bool) error {
	rates := []struct {
		name string
		rate Rate
	}{{"input", p.Input}, {"cached_input", p.CachedInput}, {"cache_write", p.CacheWrite}, {"output", p.Output}, {"reasoning", p.Reasoning}}
	t := p.Tariff
	if t == nil {
		t = &Tariff{}
	}
	rates = append(rates, []struct {
		name string
		rate Rate
	}{{"audio_input", t.AudioInput}, {"audio_output", t.AudioOutput}, {"image_input", t.ImageInput}, {"image_output", t.ImageOutput}}...)
	for _, seconds := range slices.Sorted(maps.Keys(t.CacheWrites)) {
		name := "cache_writes." + strconv.Itoa(seconds)
		if seconds <= 0 {
			return fmt.Errorf("%s%s: want a lifetime in seconds above 0", path, name)
		}
		rates = append(rates, struct {
			name string
			rate Rate
		}{name, t.CacheWrites[seconds]})
	}
	for _, r := range rates {
		if usd, _ := r.rate.PerMillion(); r.rate < Free || usd > maxUSDPerMillion {
			return fmt.Errorf("%s%s: %v is not a price in USD per million tokens", path, r.name, usd)
		}
	}
	if !long && len(t.Above) > 0 {
		return fmt.Errorf("%sabove: a price of long prompts has no further thresholds", path)
	}
	for i := range t.Above {
		a, name := &t.Above[i], fmt.Sprintf("%sabove[%d]", path, i)
		if a.Tokens <= 0 || i > 0 && a.Tokens <= t.Above[i-1].Tokens {
			return fmt.Errorf("%s.tokens: want more than 0, and more than the one before", name)
		}
		if err := a.Price.check(name+".", false, false); err != nil {
			return err
		}
	}
	if !tiers && (len(t.Tiers) > 0 || len(t.Regions) > 0 || len(t.Tools) > 0) {
		return fmt.Errorf("%stiers, regions and tools: want them for the whole price only", path)
	}
	return t.checkConditions()
}

// checkConditions checks the prices by tier, region and use.
func (t *Tariff) checkConditions() error {
	for _, name := range slices.Sorted(maps.Keys(t.Tiers)) {
		tier := t.Tiers[name]
		switch {
		case slices.Contains(standardTiers, name):
			return fmt.Errorf("tiers.%s: this is the tier of the rates themselves", name)
		case tier.Factor == 0 && tier.Price == (Price{}):
			return fmt.Errorf("tiers.%s: want a factor or rates", name)
		case tier.Factor != 0 && tier.Price != (Price{}):
			return fmt.Errorf("tiers.%s: want a factor or rates, not both", name)
		case tier.Factor != 0:
			if err := checkFactor(tier.Factor); err != nil {
				return fmt.Errorf("tiers.%s.factor: %w", name, err)
			}
		}
		if err := tier.Price.check("tiers."+name+".", false, true); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Regions)) {
		if err := checkFactor(t.Regions[name]); err != nil {
			return fmt.Errorf("regions.%s: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Tools)) {
		if t.Tools[name] < 0 {
			return fmt.Errorf("tools.%s: want 0 USD or more", name)
		}
	}
	return nil
}

func checkFactor(f float64) error {
	if !(f > 0 && f <= maxFactor) {
		return errors.New("want a number above 0, at most 1000")
	}
	return nil
}

// billAll adds the cost of a usage with everything that it can depend on.
func (p *Price) billAll(u *Usage, b *bill) {
	t, d := p.Tariff, u.Details
	if t == nil {
		t = &Tariff{}
	}
	if d == nil {
		d = &UsageDetails{}
	}
	rates := p
	for _, name := range [...]string{d.Tier, d.Speed} {
		if slices.Contains(standardTiers, name) {
			continue
		}
		tier, ok := t.Tiers[name]
		switch {
		case !ok:
			b.unknown("tier "+name, fmt.Errorf("%w: tier %q has no price", ErrUnknownCost, name))
		case tier.Factor != 0:
			b.scale(tier.Factor)
		default:
			rates = &tier.Price
		}
	}
	if f, ok := t.Regions[d.Region]; ok {
		b.scale(f)
	}
	b.tokens(rates, u, d)
	b.factor = 0
	for _, name := range slices.Sorted(maps.Keys(d.Tools)) {
		b.use(t, name, d.Tools[name])
	}
	for _, model := range slices.Sorted(maps.Keys(d.Also)) {
		b.unknown("model "+model, fmt.Errorf("%w: model %q also used tokens", ErrUnknownCost, model))
	}
}

// scale multiplies the cost of the tokens that follow.
func (b *bill) scale(f float64) {
	was := 1.0
	if b.factor != 0 {
		was = float64(b.factor) / millionth
	}
	b.factor = max(uint64(math.Round(was*f*millionth)), 1)
}

// tokens adds the cost of the tokens of a usage at the rates for the length of its
// prompt.
func (b *bill) tokens(p *Price, u *Usage, d *UsageDetails) {
	beyond := 0 // tokens that have the second price, if it is only for a part
	second := p
	if p.Tariff != nil {
		above := p.Above
		for i := range above {
			a := &above[i]
			if u.Prompt() <= a.Tokens {
				break
			}
			if second = &a.Price; a.Part {
				beyond = u.Prompt() - a.Tokens
			} else {
				p, beyond = second, 0
			}
		}
	}
	if beyond == 0 {
		b.prompt(p, u, d)
	} else {
		first, rest := u.split(d, beyond)
		b.prompt(p, &first, first.Details)
		b.prompt(second, &rest, rest.Details)
	}
	b.out(p, u)
	if t := p.Tariff; t != nil && !b.expected {
		b.add("audio output", t.AudioOutput, d.AudioOutput)
		b.add("image output", t.ImageOutput.Or(p.Output), d.ImageOutput)
	} else if !b.expected {
		b.add("audio output", 0, d.AudioOutput)
		b.add("image output", p.Output, d.ImageOutput)
	}
}

// prompt adds the input tokens of a usage.
func (b *bill) prompt(p *Price, u *Usage, d *UsageDetails) {
	b.input(p, u)
	t := p.Tariff
	if t == nil {
		t = &Tariff{}
	}
	for _, seconds := range d.lifetimes() {
		rate, ok := t.CacheWrites[seconds]
		if !ok && seconds <= standardCacheSeconds {
			rate = p.CacheWrite
		}
		b.add("cache write for "+lifetime(seconds), rate, d.CacheWrites[seconds])
	}
	b.add("audio input", t.AudioInput, d.AudioInput)
	b.add("image input", t.ImageInput.Or(p.Input), d.ImageInput)
}

// lifetime writes a number of seconds for people.
func lifetime(seconds int) string {
	switch {
	case seconds%3600 == 0:
		return strconv.Itoa(seconds/3600) + "h"
	case seconds%60 == 0:
		return strconv.Itoa(seconds/60) + "m"
	}
	return strconv.Itoa(seconds) + "s"
}

// split divides the input of a usage into the first tokens and the given number of last
// ones. Tokens read from the cache come first, then those written to it, then the rest.
func (u *Usage) split(d *UsageDetails, last int) (first, rest Usage) {
	left := u.Prompt() - last // of the first part
	take := func(n int) (int, int) {
		k := max(min(n, left), 0)
		left -= k
		return k, n - k
	}
	a, z := &UsageDetails{CacheWrites: map[int]int{}}, &UsageDetails{CacheWrites: map[int]int{}}
	first.Details, rest.Details = a, z
	first.CachedInput, rest.CachedInput = take(u.CachedInput)
	first.CacheWrite, rest.CacheWrite = take(u.CacheWrite)
	for _, seconds := range d.lifetimes() {
		a.CacheWrites[seconds], z.CacheWrites[seconds] = take(d.CacheWrites[seconds])
	}
	first.Input, rest.Input = take(u.Input)
	a.AudioInput, z.AudioInput = take(d.AudioInput)
	a.ImageInput, z.ImageInput = take(d.ImageInput)
	return first, rest
}

// use adds uses of a tool.
func (b *bill) use(t *Tariff, name string, n int) {
	each, ok := t.Tools[name]
	cost, err := USD(0), countable(name, n)
	switch {
	case n == 0:
		return
	case err != nil:
	case !ok:
		err = fmt.Errorf("%w: the tool %q has no price", ErrUnknownCost, name)
	case each < 0:
		err = fmt.Errorf("%w: the tool %q has a price below zero", ErrCostRange, name)
	default:
		cost, err = b.times(uint64(each), n, name)
	}
	if cost, err = b.sumUp(cost, err); b.lines != nil {
		b.line(BillLine{What: name, Count: n, Each: each, Cost: cost, Err: err})
	}
}

// unknown adds a part whose cost is unknown.
func (b *bill) unknown(what string, err error) {
	if b.sumUp(0, err); b.lines != nil {
		b.line(BillLine{What: what, Err: err})
	}
}
