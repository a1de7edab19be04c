package appendjson_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carrot-router/carrot/internal/appendjson"
)

// marshal returns the JSON that must be written.
func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"", "gpt-4o", `"`, `\`, "<&>", "\x00\n\x7f", "é\u2028", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := string(appendjson.String(nil, s)), marshal(t, s); got != want {
			t.Errorf("String(%q) = %s, want %s", s, got, want)
		}
	})
}

func TestFloat(t *testing.T) {
	f := func(v float64) {
		t.Helper()
		if got, want := string(appendjson.Float(nil, v)), marshal(t, v); got != want {
			t.Errorf("Float(%v) = %s, want %s", v, got, want)
		}
	}
	for _, v := range []float64{
		0, math.Copysign(0, -1), 1, -1, 0.5, 0.1, 0.3, 0.1 + 0.2, 1e-5, 1e-6, 1e-7, 5e-9, 1e-9, 1e-10, -1.5e-6, 999999.999999999, 1e6, 1e15, 1e20, 1e21, 1e22, 1.0 / 3,
		math.MaxFloat64, math.SmallestNonzeroFloat64, math.Nextafter(0.25, 1), math.Nextafter(999999.5, 0), 1 << 53,
	} {
		f(v)
		f(-v)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		v := random.Float64() * math.Pow(10, float64(random.IntN(24)-8))
		f(v)
		f(math.Round(v*1e9) / 1e9)
		f(math.Nextafter(math.Round(v*1e9)/1e9, 0))
		f(math.Round(v))
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got := string(appendjson.Float(nil, v)); got != "null" {
			t.Errorf("Float(%v) = %s, want null", v, got)
		}
	}
}

func TestDecimal(t *testing.T) {
	for _, test := range []struct {
		v        int64
		decimals int
		want     string
	}{
		{0, 12, "0"},
		{1, 12, "0.000000000001"},
		{-1, 12, "-0.000000000001"},
		{250_000_000, 12, "0.00025"},
		{1_000_000_000_000, 12, "1"},
		{10_000_000_000_000, 12, "10"},
		{math.MaxInt64, 12, "9223372.036854775807"},
		{math.MinInt64, 12, "-9223372.036854775808"},
		{math.MaxInt64, 18, "9.223372036854775807"},
		{71_234, 3, "71.234"},
		{70, 3, "0.07"},
		{-70, 0, "-70"},
	} {
		if got := string(appendjson.Decimal(nil, test.v, test.decimals)); got != test.want {
			t.Errorf("Decimal(%d, %d) = %q, want %q", test.v, test.decimals, got, test.want)
		}
	}
}

func BenchmarkFloat(b *testing.B) {
	for _, v := range []struct {
		name string
		of   float64
	}{{"short", 0.731204518}, {"long", 0.7312045183402117}} {
		b.Run(v.name, func(b *testing.B) {
			var buf []byte
			for b.Loop() {
				buf = appendjson.Float(buf[:0], v.of)
			}
		})
	}
}

func TestParseDecimal(t *testing.T) {
	f := func(s string, want int64) {
		t.Helper()
		got, err := appendjson.ParseDecimal(s, 3)
		if got != want || err != nil {
			t.Errorf("ParseDecimal(%q, 3) = %d, %v, want %d", s, got, err, want)
		}
	}
	f("-0", 0)
	f("1.5", 1500)
	f("-0.001", -1)
	f("0.0015", 2) // more decimals than are kept
	f("1e-3", 1)   // other programs write it so
	f("2.5E2", 250_000)
	for _, s := range []string{"9223372036854775808", "1e300", "1e400", "-1e30", "9300000000000000.001", "", "x", "1.x", "0x10", "1e"} {
		if got, err := appendjson.ParseDecimal(s, 3); err == nil {
			t.Errorf("ParseDecimal(%q, 3) = %d, want an error", s, got)
		}
	}
}
