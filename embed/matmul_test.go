package embed

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

func randomMatrix(r *rand.Rand, rows, cols int) matrix {
	m := newMatrix(make([]float32, rows*cols), rows, cols)
	for i := range m.data {
		m.data[i] = float32(r.NormFloat64())
	}
	return m
}

func TestProduct(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(5))
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][3]int{{1, 1, 1}, {3, 5, 7}, {17, 130, 33}, {2, 9, 1600}, {40, 384, 64}} {
		a, b := randomMatrix(r, size[0], size[2]), randomMatrix(r, size[1], size[2])
		bias := randomMatrix(r, 1, size[1]).data
		one, many := randomMatrix(r, size[0], size[1]), randomMatrix(r, size[0], size[1])
		product(one, a, b, bias, relu, false)
		product(many, a, b, bias, relu, true)
		if !slices.Equal(one.data, many.data) {
			t.Errorf("product of %v depends on whether it is spread over the cores", size)
		}
		plain := make([]float32, size[1])
		for i := range size[0] {
			dotsGo(plain, a.row(i), b, 0)
			for j := range size[1] {
				var want float64
				for k := range size[2] {
					want += float64(a.row(i)[k]) * float64(b.row(j)[k])
				}
				tolerance := 1e-6 * float64(size[2]+1)
				if math.Abs(float64(plain[j])-want) > tolerance {
					t.Fatalf("dotsGo of %v at %d,%d = %v, want %v", size, i, j, plain[j], want)
				}
				want = max(want+float64(bias[j]), 0)
				if got := float64(one.row(i)[j]); math.Abs(got-want) > tolerance {
					t.Fatalf("product of %v at %d,%d = %v, want %v", size, i, j, got, want)
				}
			}
		}
	}
}

func TestExp32(t *testing.T) {
	for x := float32(0); x > -86; x -= 0.0137 {
		want := math.Exp(float64(x))
		if got := float64(exp32(x)); math.Abs(got-want) > 3e-7*want {
			t.Fatalf("exp32(%v) = %v, want %v", x, got, want)
		}
	}
	for _, x := range []float32{-87, -88, -1e30, float32(math.Inf(-1))} {
		if got := exp32(x); got < 0 || got > 2e-38 {
			t.Errorf("exp32(%v) = %v, want about 0", x, got)
		}
	}
}

func TestErf32(t *testing.T) {
	for x := float32(-9); x < 9; x += 0.00137 {
		if got, want := float64(erf32(x)), math.Erf(float64(x)); math.Abs(got-want) > 6e-7 {
			t.Fatalf("erf32(%v) = %v, want %v", x, got, want)
		}
	}
}

func BenchmarkProduct(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	a, w := randomMatrix(r, 150, 384), randomMatrix(r, 1536, 384)
	c, bias := randomMatrix(r, 150, 1536), make([]float32, 1536)
	rate := func(b *testing.B) {
		b.ReportMetric(150*384*1536*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
	}
	b.Run("used", func(b *testing.B) {
		for b.Loop() {
			product(c, a, w, bias, nil, false)
		}
		rate(b)
	})
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			for from := 0; from < w.rows; from += 16 {
				for i := range a.rows {
					dotsGo(c.row(i)[from:from+16], a.row(i), w, from)
				}
			}
		}
		rate(b)
	})
}
