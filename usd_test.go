package carrot_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carrot-router/carrot"
)

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
		cost, err := p.Cost(carrot.Usage{Input: 7, Output: 1})
		if err != nil {
			t.Fatal(err)
		}
		sum += cost
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

	// Exactly, where a float64 could not hold them.
	for _, text := range []string{"9223372.036854775807", "-9223372.036854775808", "1234567.000000000001", "4000000.123456789012"} {
		var u carrot.USD
		if err := json.Unmarshal([]byte(text), &u); err != nil {
			t.Errorf("Unmarshal(%s): %v", text, err)
		} else if back, _ := json.Marshal(u); string(back) != text {
			t.Errorf("Unmarshal(%s) = %s", text, back)
		}
	}
	for text, want := range map[string]carrot.USD{"1e-6": carrot.Dollar / 1e6, "2.5E2": 250 * carrot.Dollar, "0.0000000000004": 0, "0.0000000000006": 1, "-0": 0} {
		var u carrot.USD
		if err := json.Unmarshal([]byte(text), &u); err != nil || u != want {
			t.Errorf("Unmarshal(%s) = %d, %v, want %d", text, u, err, want)
		}
	}

	for _, bad := range []string{"9223372.036854775808", "-1e7", "1e400", `"5"`, `true`, `[1]`, `null`, `{}`} {
		u := carrot.Dollar
		if err := json.Unmarshal([]byte(bad), &u); err == nil || u != carrot.Dollar {
			t.Errorf("Unmarshal(%s) = %v, %v, want an error and no change", bad, u, err)
		}
	}
}
