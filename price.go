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

// UnmarshalJSON reads a price in USD per million tokens, of 0 or more; null is
// a rate that is not set.
func (r *Rate) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*r = 0
		return nil
	}
	usd, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(usd >= 0) {
		return fmt.Errorf("parse price %s: want USD per million tokens, 0 or more", b)
	}
	*r = PerMillion(usd)
	return nil
}

// Price is what a model's provider charges per token, by kind of token. A rate
// that is not set is not zero: cached input without a rate is billed as input,
// which is an upper bound, and reasoning as output; any other kind of token
// without a rate has an unknown cost as soon as there is one.
type Price struct {
	Input       Rate `json:"input"`                 // input tokens not served from a cache
	CachedInput Rate `json:"cached_input,omitzero"` // input tokens read from the provider's prompt cache
	CacheWrite  Rate `json:"cache_write,omitzero"`  // input tokens written to the provider's prompt cache
	Output      Rate `json:"output"`                // output tokens that are not reasoning
	Reasoning   Rate `json:"reasoning,omitzero"`    // hidden reasoning tokens
}

// Usage counts the tokens of one call. The parts do not overlap: Input
// excludes CachedInput and CacheWrite, Output excludes Reasoning.
type Usage struct {
	Input, CachedInput, CacheWrite, Output, Reasoning int
}

// Cost returns the exact cost of the usage u. The error wraps [ErrUnknownCost]
// if u has tokens whose price is not set, or [ErrCostRange] if a count is
// negative or the sum is more than a USD can hold; the cost is then zero and
// means nothing.
func (p Price) Cost(u Usage) (USD, error) {
	var b bill
	b.input(&p, &u)
	b.add("output", p.Output, u.Output)
	b.add("reasoning", p.Reasoning.Or(p.Output), u.Reasoning)
	return b.total()
}

// Expected returns the expected cost of a call before it is made, rounded to a
// pico-dollar: of the input tokens of u, which are counted, and of output, the
// expected number of output tokens. The output and reasoning tokens of u do not
// count. Errors are those of Cost.
func (p Price) Expected(u Usage, output float64) (USD, error) {
	var b bill
	b.input(&p, &u)
	if output != 0 {
		b.addExpected(p.Output, output)
	}
	return b.total()
}

// bill adds up parts of a cost. The first part that has no cost is its error.
type bill struct {
	sum USD
	err error
}

func (b *bill) total() (USD, error) {
	if b.err != nil {
		return 0, b.err
	}
	return b.sum, nil
}

func (b *bill) input(p *Price, u *Usage) {
	b.add("input", p.Input, u.Input)
	b.add("cached input", p.CachedInput.Or(p.Input), u.CachedInput)
	b.add("cache write", p.CacheWrite, u.CacheWrite)
}

// add bills n tokens of a kind.
func (b *bill) add(kind string, r Rate, n int) {
	switch {
	case n == 0 || b.err != nil:
		return
	case n < 0:
		b.err = fmt.Errorf("%w: %d %s tokens", ErrCostRange, n, kind)
		return
	}
	if r <= 0 {
		b.unpriced(kind, r)
		return
	}
	high, cost := bits.Mul64(uint64(r), uint64(n))
	if sum := uint64(b.sum) + cost; high == 0 && cost <= math.MaxInt64 && sum <= math.MaxInt64 {
		b.sum = USD(sum)
		return
	}
	b.err = fmt.Errorf("%w: %d %s tokens", ErrCostRange, n, kind)
}

// addExpected bills an expected number of output tokens.
func (b *bill) addExpected(r Rate, tokens float64) {
	switch {
	case b.err != nil:
		return
	case !(tokens > 0):
		b.err = fmt.Errorf("%w: %v output tokens", ErrCostRange, tokens)
		return
	}
	if r <= 0 {
		b.unpriced("output", r)
		return
	}
	cost := math.Round(float64(r) * tokens)
	if cost < math.MaxInt64-float64(b.sum) {
		b.sum += USD(cost)
		return
	}
	b.err = fmt.Errorf("%w: %v output tokens", ErrCostRange, tokens)
}

// unpriced bills tokens whose rate is no positive number.
func (b *bill) unpriced(kind string, r Rate) {
	switch r {
	case Free:
	case 0:
		b.err = fmt.Errorf("%w: %s tokens have no price", ErrUnknownCost, kind)
	default:
		b.err = fmt.Errorf("%w: %s tokens have a price below zero", ErrCostRange, kind)
	}
}
