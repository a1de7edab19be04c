package carrot

import (
	"fmt"
	"math"
	"strconv"

	"github.com/carrot-router/carrot/internal/appendjson"
)

// USD is an amount of money in pico-dollars (1e-12 USD), so that sums of
// token prices are exact. The largest amount is about 9.2 million USD.
// Amounts are written and shown in dollars.
type USD int64

// Dollar is one US dollar.
const Dollar USD = 1_000_000_000_000

// Dollars returns the amount nearest to d dollars. NaN gives zero and
// amounts out of range are clamped.
func Dollars(d float64) USD {
	switch pico := math.Round(d * float64(Dollar)); {
	case math.IsNaN(pico):
		return 0
	case pico >= math.MaxInt64:
		return math.MaxInt64
	case pico <= math.MinInt64:
		return math.MinInt64
	default:
		return USD(pico)
	}
}

// Float returns the amount in dollars.
func (u USD) Float() float64 { return float64(u) / float64(Dollar) }

// String writes the amount in dollars, exactly and without trailing zeros:
// "$0.00025".
func (u USD) String() string {
	b := u.AppendJSON(make([]byte, 1, 24))
	b[0] = '$'
	if u < 0 {
		b[0], b[1] = '-', '$'
	}
	return string(b)
}

// MarshalJSON writes the amount as a number of dollars, exactly.
func (u USD) MarshalJSON() ([]byte, error) { return u.AppendJSON(nil), nil }

// usdDecimals are the decimals of a pico-dollar.
const usdDecimals = 12

// AppendJSON appends what MarshalJSON writes.
func (u USD) AppendJSON(b []byte) []byte { return appendjson.Decimal(b, int64(u), usdDecimals) }

// UnmarshalJSON reads a number of dollars.
func (u *USD) UnmarshalJSON(b []byte) error {
	d, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("parse amount %q: want a number of USD", b)
	}
	*u = Dollars(d)
	return nil
}

// Rate is a price per token in pico-dollars. One USD per million tokens is a
// Rate of 1,000,000, so prices are exact to a millionth of a dollar per
// million tokens.
type Rate int64

// PerMillion returns the rate nearest to usd dollars per million tokens.
func PerMillion(usd float64) Rate { return Rate(math.Round(float64(Dollars(usd)) / 1_000_000)) }

// PerMillion returns the rate in USD per million tokens.
func (r Rate) PerMillion() float64 { return float64(r) / 1e6 }

// Price is what a model's provider charges per token, by what is billed.
type Price struct {
	Input       Rate // input tokens not served from a cache
	CachedInput Rate // input tokens read from the provider's prompt cache
	CacheWrite  Rate // input tokens written to the provider's prompt cache
	Output      Rate // output tokens that are not reasoning
	Reasoning   Rate // hidden reasoning tokens
}

// Usage counts the tokens of one call. The parts do not overlap: Input
// excludes CachedInput and CacheWrite, Output excludes Reasoning.
type Usage struct {
	Input, CachedInput, CacheWrite, Output, Reasoning int
}

// Cost returns the exact cost of the usage u.
func (p Price) Cost(u Usage) USD {
	return USD(int64(p.Input)*int64(u.Input) +
		int64(p.CachedInput)*int64(u.CachedInput) +
		int64(p.CacheWrite)*int64(u.CacheWrite) +
		int64(p.Output)*int64(u.Output) +
		int64(p.Reasoning)*int64(u.Reasoning))
}

// Expected returns the cost of a call with the given input tokens and an
// expected, fractional number of output tokens, rounded to a pico-dollar.
func (p Price) Expected(input int, output float64) USD {
	return USD(int64(p.Input)*int64(input) + int64(math.Round(float64(p.Output)*output)))
}
