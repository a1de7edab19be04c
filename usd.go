package carrot

import (
	"fmt"
	"math"

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

// usdDecimals is the number of decimals of a dollar down to a pico-dollar.
const usdDecimals = 12

// AppendJSON appends what MarshalJSON writes.
func (u USD) AppendJSON(b []byte) []byte { return appendjson.Decimal(b, int64(u), usdDecimals) }

// UnmarshalJSON reads a number of dollars: exactly if it has at most twelve
// decimals and no exponent, otherwise the nearest amount. A number out of range
// is an error, and so is null: an unknown amount is not zero, and whoever allows
// it decodes into a *USD.
func (u *USD) UnmarshalJSON(b []byte) error {
	v, err := appendjson.ParseDecimal(string(b), usdDecimals)
	if err != nil {
		return fmt.Errorf("parse amount in USD: %w", err)
	}
	*u = USD(v)
	return nil
}
