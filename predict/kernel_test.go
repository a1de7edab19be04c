package predict

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestExp: exp agrees with math.Exp to 11 digits and, as a float32, is zero or
// infinite where math.Exp is.
func TestExp(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		x := 1 - 60*random.Float64()*random.Float64()
		if got, want := exp(x), math.Exp(x); math.Abs(got-want) > 1e-10*want {
			t.Fatalf("exp(%v) = %v, want %v", x, got, want)
		}
	}
	for x, want := range map[float64]float32{0: 1, -1e300: 0, math.Inf(-1): 0, 1e300: float32(math.Inf(1)), math.Inf(1): float32(math.Inf(1))} {
		if got := float32(exp(x)); got != want {
			t.Errorf("exp(%v) = %v, want %v", x, got, want)
		}
	}
	if got := exp(math.NaN()); !math.IsNaN(got) {
		t.Errorf("exp(NaN) = %v", got)
	}
}
