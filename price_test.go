package carrot_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/carrot-router/carrot"
)

// gpt4o is what a model of late 2024 costs: 2.50 USD per million input
// tokens, 10 USD per million output tokens.
var gpt4o = carrot.Price{Input: carrot.PerMillion(2.5), CachedInput: carrot.PerMillion(1.25), Output: carrot.PerMillion(10)}

func TestPerMillion(t *testing.T) {
	f := func(usd float64, want carrot.Rate) {
		t.Helper()
		if got := carrot.PerMillion(usd); got != want {
			t.Errorf("PerMillion(%v) = %d, want %d", usd, got, want)
		}
	}
	f(0, carrot.Free)
	f(1, 1_000_000)
	f(0.075, 75_000)
	f(0.000001, 1)
	f(2.0/3, 666_667) // to the nearest
	f(100_000, 100_000_000_000)
	for rate, want := range map[carrot.Rate]float64{carrot.PerMillion(3.75): 3.75, carrot.Free: 0} {
		if got, ok := rate.PerMillion(); got != want || !ok {
			t.Errorf("Rate(%d).PerMillion() = %v, %v, want %v, true", rate, got, ok, want)
		}
	}
	if _, ok := carrot.Rate(0).PerMillion(); ok {
		t.Error("the zero rate is set")
	}
}

// A price reads back equal: what is free stays free, and what is not set stays
// unset.
func TestPriceJSON(t *testing.T) {
	for _, p := range []carrot.Price{{}, gpt4o, {Input: carrot.Free, CacheWrite: 1, Output: carrot.PerMillion(2.0 / 3), Reasoning: carrot.Free}} {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back carrot.Price
		if err := json.Unmarshal(text, &back); err != nil || back != p {
			t.Errorf("Unmarshal(%s) = %+v, %v, want %+v", text, back, err, p)
		}
	}
	for _, bad := range []string{`{"input":-1}`, `{"input":"1"}`, `{"input":NaN}`, `{"input":true}`} {
		var p carrot.Price
		if err := json.Unmarshal([]byte(bad), &p); err == nil {
			t.Errorf("Unmarshal(%s) = %+v, want an error", bad, p)
		}
	}
}

func cost(t *testing.T, p carrot.Price, u carrot.Usage) carrot.USD {
	t.Helper()
	usd, err := p.Cost(u)
	if err != nil {
		t.Fatalf("Cost(%+v): %v", u, err)
	}
	return usd
}

// expected is the cost of a call of gpt4o.
func expected(input int, output float64) carrot.USD {
	usd, err := gpt4o.Expected(carrot.Usage{Input: input}, output)
	if err != nil {
		panic(err)
	}
	return usd
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
			if got := cost(t, p, test.usage); got != test.want {
				t.Errorf("Cost(%+v) = %d pico-dollars, want %d", test.usage, got, test.want)
			}
		})
	}
	if got := cost(t, gpt4o, carrot.Usage{Input: 1_000_000, Output: 100_000}); got != carrot.Dollars(3.5) {
		t.Errorf("a million tokens in and a tenth out = %v, want $3.5", got)
	}
}

// A rate that is not set is not zero: cached input is billed as input and
// reasoning as output; everything else is unknown as soon as it is used.
func TestPriceNotSet(t *testing.T) {
	for _, test := range []struct {
		name  string
		price carrot.Price
		usage carrot.Usage
		want  carrot.USD
		err   error
	}{
		{"nothing is used", carrot.Price{}, carrot.Usage{}, 0, nil},
		{"input", carrot.Price{Output: 7}, carrot.Usage{Input: 1}, 0, carrot.ErrUnknownCost},
		{"output", carrot.Price{Input: 7}, carrot.Usage{Input: 1, Output: 1}, 0, carrot.ErrUnknownCost},
		{"cached input is input", carrot.Price{Input: 7}, carrot.Usage{CachedInput: 2}, 14, nil},
		{"reasoning is output", carrot.Price{Output: 7}, carrot.Usage{Reasoning: 2}, 14, nil},
		{"reasoning of free output", carrot.Price{Output: carrot.Free}, carrot.Usage{Reasoning: 2}, 0, nil},
		{"cache writes", carrot.Price{Input: 7, Output: 7}, carrot.Usage{Input: 1, CacheWrite: 2}, 0, carrot.ErrUnknownCost},
		{"free cache writes", carrot.Price{Input: 7, CacheWrite: carrot.Free}, carrot.Usage{Input: 1, CacheWrite: 2}, 7, nil},
		{"free cached input", carrot.Price{Input: 7, CachedInput: carrot.Free}, carrot.Usage{Input: 1, CachedInput: 2}, 7, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.price.Cost(test.usage)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("Cost(%+v) = %v, %v, want %v, %v", test.usage, got, err, test.want, test.err)
			}
		})
	}
}

// No count and no price makes a negative amount, or one that wraps around.
func TestPriceOutOfRange(t *testing.T) {
	p := carrot.Price{Input: carrot.PerMillion(3), Output: carrot.PerMillion(15)}
	for _, test := range []struct {
		name  string
		price carrot.Price
		usage carrot.Usage
	}{
		{"an answer that claims 2^40 tokens", p, carrot.Usage{Input: 1, Output: 1 << 40}},
		{"the largest count", p, carrot.Usage{Output: math.MaxInt}},
		{"parts that fit, a sum that does not", p, carrot.Usage{Input: math.MaxInt64 / 3_000_000, Output: math.MaxInt64 / 15_000_000}},
		{"below zero", p, carrot.Usage{Input: 5, Output: -1}},
		{"a price below zero", carrot.Price{Input: carrot.PerMillion(-1)}, carrot.Usage{Input: 1}},
		{"the smallest price below zero", carrot.Price{Input: carrot.PerMillion(-0.000001)}, carrot.Usage{Input: 1}},
		{"no number", carrot.Price{Input: carrot.PerMillion(math.NaN())}, carrot.Usage{Input: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, err := test.price.Cost(test.usage); got != 0 || !errors.Is(err, carrot.ErrCostRange) {
				t.Errorf("Cost(%+v) = %v, %v, want ErrCostRange", test.usage, got, err)
			}
			if got, err := test.price.Expected(test.usage, float64(test.usage.Output)); got != 0 || !errors.Is(err, carrot.ErrCostRange) {
				t.Errorf("Expected(%+v) = %v, %v, want ErrCostRange", test.usage, got, err)
			}
		})
	}
	if got := cost(t, carrot.Price{Input: 1}, carrot.Usage{Input: math.MaxInt64}); got != math.MaxInt64 {
		t.Errorf("the largest amount = %d", got)
	}
}

// An expected cost is that of the expected tokens, whole or not.
func TestPriceExpected(t *testing.T) {
	if got, want := expected(1200, 300), cost(t, gpt4o, carrot.Usage{Input: 1200, Output: 300}); got != want {
		t.Errorf("Expected(1200, 300) = %v, want the cost of these tokens, %v", got, want)
	}
	if got, want := expected(0, 0.5), carrot.Dollars(0.000005); got != want {
		t.Errorf("Expected(0, 0.5) = %v, want %v", got, want)
	}
	cached, err := gpt4o.Expected(carrot.Usage{Input: 200, CachedInput: 1000}, 300)
	if want := cost(t, gpt4o, carrot.Usage{Input: 200, CachedInput: 1000, Output: 300}); err != nil || cached != want {
		t.Errorf("with cached input = %v, %v, want %v", cached, err, want)
	}
	if _, err := (carrot.Price{Input: 1}).Expected(carrot.Usage{Input: 1}, 0.5); !errors.Is(err, carrot.ErrUnknownCost) {
		t.Errorf("without a price of output: %v, want ErrUnknownCost", err)
	}
}
