package carrot_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carrot-router/carrot"
)

// gpt4o is what a model of late 2024 costs: 2.50 USD per million input
// tokens, 10 USD per million output tokens.
var gpt4o = carrot.Price{
	Input: carrot.PerMillion(2.5), CachedInput: carrot.PerMillion(1.25), CacheWrite: carrot.PerMillion(2.5),
	Output: carrot.PerMillion(10), Reasoning: carrot.PerMillion(10),
}

func TestDollars(t *testing.T) {
	f := func(dollars float64, want carrot.USD) {
		t.Helper()
		if got := carrot.Dollars(dollars); got != want {
			t.Errorf("Dollars(%v) = %d pico-dollars, want %d", dollars, got, want)
		}
	}
	f(0, 0)
	f(1, carrot.Dollar)
	f(0.1, carrot.Dollar/10)
	f(-2.5, -5*carrot.Dollar/2)
	f(1e-12, 1)
	f(0.4e-12, 0) // less than half a pico-dollar
	f(0.6e-12, 1)
	f(-0.6e-12, -1)
	f(math.NaN(), 0)
	f(math.Inf(1), math.MaxInt64)
	f(math.Inf(-1), math.MinInt64)
	f(1e7, math.MaxInt64) // the largest amount is about 9.2 million
	f(-1e7, math.MinInt64)
}

func TestUSDString(t *testing.T) {
	f := func(u carrot.USD, want string) {
		t.Helper()
		if got := u.String(); got != want {
			t.Errorf("USD(%d).String() = %q, want %q", u, got, want)
		}
	}
	f(0, "$0")
	f(1, "$0.000000000001")
	f(carrot.Dollar, "$1")
	f(100*carrot.Dollar, "$100")
	f(carrot.Dollars(0.00025), "$0.00025")
	f(carrot.Dollars(-1.5), "-$1.5")
	f(math.MaxInt64, "$9223372.036854775807")
	f(math.MinInt64, "-$9223372.036854775808")
}

// Ten cents ten times is a dollar, which it is not in floating point, and a
// million odd token prices sum to what they sum to in integers.
func TestSumsAreExact(t *testing.T) {
	var dimes carrot.USD
	var inFloat float64
	for range 10 {
		dimes += carrot.Dollars(0.1)
		inFloat += 0.1
	}
	if dimes != carrot.Dollar || inFloat == 1 {
		t.Errorf("ten times $0.1 = %v, want $1 (in floating point %v)", dimes, inFloat)
	}

	p := carrot.Price{Input: carrot.PerMillion(0.075), Output: carrot.PerMillion(0.3)}
	var sum carrot.USD
	for range 1_000_000 {
		sum += p.Cost(carrot.Usage{Input: 7, Output: 1})
	}
	if want := carrot.Dollars(7*0.075 + 0.3); sum != want {
		t.Errorf("a million calls of 7 input tokens and 1 output token cost %v, want %v", sum, want)
	}
}

func TestUSDJSON(t *testing.T) {
	f := func(u carrot.USD, want string) {
		t.Helper()
		text, err := json.Marshal(u)
		if err != nil || string(text) != want {
			t.Errorf("Marshal(%v) = %s, %v, want %s", u, text, err, want)
		}
	}
	f(0, "0")
	f(1, "0.000000000001")
	f(carrot.Dollar/2, "0.5")
	f(-3*carrot.Dollar, "-3")
	f(carrot.Dollars(0.00025), "0.00025")

	// What a call may cost comes back to the pico-dollar.
	random := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		u := carrot.USD(random.Int64N(int64(2000*carrot.Dollar)) >> random.IntN(50))
		text, err := json.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		var back carrot.USD
		if err := json.Unmarshal(text, &back); err != nil || back != u {
			t.Fatalf("Unmarshal(%s) = %d, %v, want %d", text, back, err, u)
		}
	}

	for _, bad := range []string{`"5"`, `true`, `[1]`, `null`, `{}`} {
		u := carrot.Dollar
		if err := json.Unmarshal([]byte(bad), &u); err == nil || u != carrot.Dollar {
			t.Errorf("Unmarshal(%s) = %v, %v, want an error and no change", bad, u, err)
		}
	}
}

func TestPerMillion(t *testing.T) {
	f := func(usd float64, want carrot.Rate) {
		t.Helper()
		if got := carrot.PerMillion(usd); got != want {
			t.Errorf("PerMillion(%v) = %d, want %d", usd, got, want)
		}
	}
	f(0, 0)
	f(1, 1_000_000)
	f(0.075, 75_000)
	f(0.000001, 1)
	f(2.0/3, 666_667) // to the nearest
	f(-2.0/3, -666_667)
	f(100_000, 100_000_000_000)
	if got := carrot.PerMillion(3.75).PerMillion(); got != 3.75 {
		t.Errorf("PerMillion(3.75).PerMillion() = %v, want 3.75", got)
	}
}

// Every kind of token has its own price, and none is billed twice.
func TestPriceCost(t *testing.T) {
	p := carrot.Price{Input: 1, CachedInput: 10, CacheWrite: 100, Output: 1_000, Reasoning: 10_000}
	for _, test := range []struct {
		name  string
		usage carrot.Usage
		want  carrot.USD
	}{
		{"nothing", carrot.Usage{}, 0},
		{"input", carrot.Usage{Input: 2}, 2},
		{"cached input", carrot.Usage{CachedInput: 3}, 30},
		{"cache write", carrot.Usage{CacheWrite: 4}, 400},
		{"output", carrot.Usage{Output: 5}, 5_000},
		{"reasoning", carrot.Usage{Reasoning: 6}, 60_000},
		{"all five", carrot.Usage{Input: 2, CachedInput: 3, CacheWrite: 4, Output: 5, Reasoning: 6}, 65_432},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := p.Cost(test.usage); got != test.want {
				t.Errorf("Cost(%+v) = %d pico-dollars, want %d", test.usage, got, test.want)
			}
		})
	}
	if got := gpt4o.Cost(carrot.Usage{Input: 1_000_000, Output: 100_000}); got != carrot.Dollars(3.5) {
		t.Errorf("a million tokens in and a tenth out = %v, want $3.5", got)
	}
}

// An expected cost is that of the expected tokens, whole or not.
func TestPriceExpected(t *testing.T) {
	if got, want := gpt4o.Expected(1200, 300), gpt4o.Cost(carrot.Usage{Input: 1200, Output: 300}); got != want {
		t.Errorf("Expected(1200, 300) = %v, want the cost of these tokens, %v", got, want)
	}
	if got, want := gpt4o.Expected(0, 0.5), carrot.Dollars(0.000005); got != want {
		t.Errorf("Expected(0, 0.5) = %v, want %v", got, want)
	}
}
