package carrot

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

// ErrUnknownCost is returned where a cost follows from a price that is not
// set. An unknown cost is not zero.
var ErrUnknownCost = errors.New("the cost is unknown")

// ErrCostRange is returned where token counts cannot be true: negative ones, or
// ones that cost more than a [USD] can hold.
var ErrCostRange = errors.New("the cost is out of range")

// Rate is a price per token in pico-dollars. The zero value means that no price
// is set, which is not the same as [Free]. One USD per million tokens is a Rate
// of 1,000,000, so prices are exact to a millionth of a dollar per million
// tokens.
type Rate int64

// Free is the rate of what costs nothing.
const Free Rate = -1

// PerMillion returns the rate nearest to usd dollars per million tokens: Free
// for 0. A price below zero or NaN gives a rate that [Price.Cost] refuses.
func PerMillion(usd float64) Rate {
	switch r := math.Round(float64(Dollars(usd)) / 1_000_000); {
	case usd != usd || r < 0:
		return math.MinInt64
	case r == 0:
		return Free
	default:
		return Rate(r)
	}
}

// PerMillion returns the rate in USD per million tokens, and whether it is set.
func (r Rate) PerMillion() (usd float64, ok bool) {
	if r == Free {
		return 0, true
	}
	return float64(r) / 1e6, r != 0
}

// Or returns the rate, or other if it is not set.
func (r Rate) Or(other Rate) Rate {
	if r == 0 {
		return other
	}
	return r
}

// MarshalJSON writes the rate in USD per million tokens, null if it is not set.
func (r Rate) MarshalJSON() ([]byte, error) {
	usd, ok := r.PerMillion()
	if !ok {
		return []byte("null"), nil
	}
	return json.Marshal(usd)
}

// UnmarshalJSON reads a price in USD per million tokens, from 0 to 100,000;
// null is a rate that is not set.
func (r *Rate) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*r = 0
		return nil
	}
	usd, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(usd >= 0 && usd <= maxUSDPerMillion) {
		return fmt.Errorf("%s is not a price in USD per million tokens", b)
	}
	*r = PerMillion(usd)
	return nil
}

// Price is what a model's provider charges. The five rates are all that most prices
// have; everything else that a bill can depend on is in the Tariff, which is nil if
// there is nothing else.
//
// What is not set is not zero: cached input without a rate is billed as input, which
// is an upper bound, and reasoning as output; anything else without a rate has an
// unknown cost as soon as it is used.
type Price struct {
	Input       Rate `json:"input,omitzero"`        // input tokens not served from a cache
	CachedInput Rate `json:"cached_input,omitzero"` // input tokens read from the provider's prompt cache
	CacheWrite  Rate `json:"cache_write,omitzero"`  // input tokens written to that cache, see Tariff.CacheWrites
	Output      Rate `json:"output,omitzero"`       // output tokens that are not reasoning
	Reasoning   Rate `json:"reasoning,omitzero"`    // hidden reasoning tokens
	*Tariff
	// Date is the day on which the price was looked up, YYYY-MM-DD. Empty: unknown.
	Date string `json:"date,omitzero"`
}

// Threshold returns the number of tokens beyond which the rates that apply to a prompt of
// n tokens begin: one of Tariff.Above, or 0 if the prompt has the rates for all.
func (p *Price) Threshold(n int) int {
	above := 0
	if p.Tariff != nil {
		for i := range p.Tariff.Above {
			if t := p.Tariff.Above[i].Tokens; n > t {
				above = t
			}
		}
	}
	return above
}

// Cost returns the exact cost of the usage u, rounded to a pico-dollar where a factor
// applies. The error wraps [ErrUnknownCost] if u has something whose price is not set,
// or [ErrCostRange] if a count is negative or the sum is more than a USD can hold; the
// cost is then zero and means nothing.
func (p Price) Cost(u Usage) (USD, error) {
	var b bill
	p.bill(&u, &b)
	return b.total()
}

// Expected returns the expected cost of a call before it is made, rounded to a
// pico-dollar: of the input of u, which is counted, and of output, the expected number
// of output tokens. The output of u does not count. Errors are those of Cost.
func (p Price) Expected(u Usage, output float64) (USD, error) {
	b := bill{expected: true, output: output}
	p.bill(&u, &b)
	return b.total()
}

// Lines returns the parts of the bill for a usage, in a fixed order, without those
// that were not used. A part whose cost is unknown has an Err.
func (p Price) Lines(u Usage) []BillLine {
	b := bill{lines: []BillLine{}}
	p.bill(&u, &b)
	return b.lines
}

// BillLine is a part of a bill: Count units of What at Rate each, times Factor.
type BillLine struct {
	What   string  // such as "cached input", or "web_search" for a tool
	Count  int     // tokens, or uses of a tool
	Rate   Rate    // per token; not set for a tool
	Each   USD     // per use of a tool
	Factor float64 // 1 if none applies
	Cost   USD
	Err    error // wraps ErrUnknownCost or ErrCostRange
}

// bill adds up the parts of a cost. The first part that has no cost is its error.
type bill struct {
	sum   USD
	err   error
	lines []BillLine // if not nil, every part is listed

	expected bool    // the output is an expectation
	output   float64 // its tokens
	factor   uint64  // in millionths; 0 stands for 1
}

func (b *bill) total() (USD, error) {
	if b.err != nil {
		return 0, b.err
	}
	return b.sum, nil
}

// bill adds the cost of a usage. It is the only place where prices meet counts.
func (p *Price) bill(u *Usage, b *bill) {
	if p.Tariff != nil || u.Details != nil {
		p.billAll(u, b)
		return
	}
	b.input(p, u)
	b.out(p, u)
}

func (b *bill) input(p *Price, u *Usage) {
	b.add("input", p.Input, u.Input)
	b.add("cached input", p.CachedInput.Or(p.Input), u.CachedInput)
	b.add("cache write", p.CacheWrite, u.CacheWrite)
}

// out adds output and reasoning, or the expected output.
func (b *bill) out(p *Price, u *Usage) {
	if b.expected {
		if b.output != 0 {
			b.addExpected(p.Output, b.output)
		}
		return
	}
	b.add("output", p.Output, u.Output)
	b.add("reasoning", p.Reasoning.Or(p.Output), u.Reasoning)
}

// add adds n tokens of a kind.
func (b *bill) add(kind string, r Rate, n int) {
	if n == 0 {
		return
	}
	var cost USD
	err := countable(kind, n)
	if err == nil {
		err = r.usable(kind)
	}
	if err == nil && r != Free {
		cost, err = b.times(uint64(r), n, kind)
	}
	if cost, err = b.sumUp(cost, err); b.lines != nil {
		b.line(BillLine{What: kind, Count: n, Rate: r, Cost: cost, Err: err})
	}
}

// sumUp adds the cost of a part, or notes why it has none. It returns both as they
// count.
func (b *bill) sumUp(cost USD, err error) (USD, error) {
	if sum := uint64(b.sum) + uint64(cost); err == nil && sum > math.MaxInt64 {
		err = fmt.Errorf("%w: the sum is more than can be counted", ErrCostRange)
	} else if err == nil {
		b.sum = USD(sum)
	}
	if b.err == nil {
		b.err = err
	}
	return cost, err
}

// line lists a part.
func (b *bill) line(l BillLine) {
	if l.Factor = 1; b.factor != 0 {
		l.Factor = float64(b.factor) / millionth
	}
	b.lines = append(b.lines, l)
}

func countable(kind string, n int) error {
	if n < 0 {
		return fmt.Errorf("%w: %d %s tokens", ErrCostRange, n, kind)
	}
	return nil
}

// millionth is the number of units in the factor 1.
const millionth = 1_000_000

// times returns n times each pico-dollars, times the bill's factor, rounded to the
// nearest pico-dollar.
func (b *bill) times(each uint64, n int, kind string) (USD, error) {
	high, cost := bits.Mul64(each, uint64(n))
	if high == 0 && b.factor != 0 {
		var carry uint64
		high, cost = bits.Mul64(cost, b.factor)
		cost, carry = bits.Add64(cost, millionth/2, 0)
		if high += carry; high < millionth {
			cost, _ = bits.Div64(high, cost, millionth)
			high = 0
		}
	}
	if high != 0 || cost > math.MaxInt64 {
		return 0, fmt.Errorf("%w: %d %s tokens", ErrCostRange, n, kind)
	}
	return USD(cost), nil
}

// addExpected adds an expected number of output tokens. Nobody lists an expectation.
func (b *bill) addExpected(r Rate, tokens float64) {
	if !(tokens > 0) {
		b.sumUp(0, fmt.Errorf("%w: %v output tokens", ErrCostRange, tokens))
		return
	}
	err, cost := r.usable("output"), 0.0
	if err == nil && r != Free {
		if cost = float64(r) * tokens; b.factor != 0 {
			cost *= float64(b.factor) / millionth
		}
		if cost = math.Round(cost); !(cost < math.MaxInt64-float64(b.sum)) {
			cost, err = 0, fmt.Errorf("%w: %v output tokens", ErrCostRange, tokens)
		}
	}
	b.sumUp(USD(cost), err)
}

// usable returns an error if tokens cannot be billed at the rate.
func (r Rate) usable(kind string) error {
	switch {
	case r > 0 || r == Free:
		return nil
	case r == 0:
		return fmt.Errorf("%w: %s tokens have no price", ErrUnknownCost, kind)
	}
	return fmt.Errorf("%w: %s tokens have a price below zero", ErrCostRange, kind)
}
