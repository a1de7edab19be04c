package ledger

import (
	"fmt"

	"github.com/carrot-router/carrot"
)

// Amount is a sum of costs in USD. It is exact to a pico-dollar and has room for 10¹²
// dollars, where carrot.USD ends at nine million. The zero value is 0.
type Amount struct {
	micro int64 // micro-dollars
	rest  int64 // and pico-dollars, less than a micro-dollar
}

const perMicro = 1_000_000 // pico-dollars in a micro-dollar

// amountOf adds micro-dollars and any number of pico-dollars.
func amountOf(micro, rest int64) Amount { return Amount{micro + rest/perMicro, rest % perMicro} }

// Add adds a cost.
func (a *Amount) Add(u carrot.USD) {
	*a = amountOf(a.micro+int64(u)/perMicro, a.rest+int64(u)%perMicro)
}

// Plus returns the sum of two amounts.
func (a Amount) Plus(b Amount) Amount { return amountOf(a.micro+b.micro, a.rest+b.rest) }

// Minus returns an amount less another.
func (a Amount) Minus(b Amount) Amount {
	micro, rest := a.micro-b.micro, a.rest-b.rest
	if rest < 0 {
		micro, rest = micro-1, rest+perMicro
	}
	return Amount{micro, rest}
}

// Float returns the amount in USD.
func (a Amount) Float() float64 { return float64(a.micro)/1e6 + float64(a.rest)/1e12 }

// String returns the exact amount in USD, such as 0.000123.
func (a Amount) String() string {
	digits := fmt.Sprintf("%d.%06d%06d", a.micro/1_000_000, a.micro%1_000_000, a.rest)
	end := len(digits)
	for digits[end-1] == '0' {
		end--
	}
	if digits[end-1] == '.' {
		end--
	}
	return digits[:end]
}

// MarshalJSON writes the exact amount as a number.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }
