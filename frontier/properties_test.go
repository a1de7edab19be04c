package frontier_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/carrot-router/carrot/frontier"
)

// Mixing never hurts: AUDC is at least the lowest quality and at most AIQ, which
// is at most the peak. No metric changes its input.
func TestAUDCIsAtMostAIQ(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	for range 5_000 {
		in := curve(random)
		before := slices.Clone(in)
		low := 2 * random.Float64()
		high := low + float64(random.IntN(3))*random.Float64()
		least := in[0].Quality
		for _, p := range in {
			least = min(least, p.Quality)
		}
		audc, aiq, peak := frontier.AUDC(in, low, high), frontier.AIQ(in, low, high), frontier.Peak(in)
		if !(least-1e-12 <= audc && audc <= aiq+1e-12 && aiq <= peak+1e-12) {
			t.Fatalf("%v from %v to %v: least %v, AUDC %v, AIQ %v, peak %v, want them in rising order", in, low, high, least, audc, aiq, peak)
		}
		if !slices.Equal(in, before) {
			t.Fatalf("points changed from %v to %v", before, in)
		}
	}
}

// A point on the line between the two models changes neither APGR nor CPT:
// calls at random recover half of the gap.
func TestRandomCallsRecoverHalf(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	for range 1_000 {
		weak := random.Float64()
		strong := weak + 0.01 + random.Float64()
		in := make(points, random.IntN(10))
		for i := range in {
			share := random.Float64()
			in[i] = frontier.Point{Cost: share, Quality: weak + share*(strong-weak)}
		}
		if got := frontier.APGR(in, weak, strong); !near(got, 0.5, 1e-12) {
			t.Fatalf("APGR(%v, %v, %v) = %v, want .5", in, weak, strong, got)
		}
		if x := random.Float64(); !near(frontier.CPT(in, weak, strong, x), x, 1e-10) {
			t.Fatalf("CPT(%v, %v, %v, %v) = %v, want the same", in, weak, strong, x, frontier.CPT(in, weak, strong, x))
		}
	}
}

// Recovering more of the gap takes no fewer calls, and at CPT(x) the line is at x.
func TestCPTIsMonotone(t *testing.T) {
	const weak, strong = 0.25, 0.75
	random := rand.New(rand.NewPCG(7, 7))
	for range 2_000 {
		in := curve(random)
		ends := append(points{{0, weak}, {1, strong}}, in...)
		last := 0.0
		for x := -0.25; x <= 1.5; x += 1.0 / 64 {
			at := frontier.CPT(in, weak, strong, x)
			if at < last {
				t.Fatalf("CPT(%v, %v, %v, %v) = %v, but %v for a smaller share of the gap", in, weak, strong, x, at, last)
			}
			last = at
			if math.IsInf(at, 1) || at == 0 {
				continue
			}
			// AUDC over an axis of one cost is the height there.
			if pgr := frontier.PGR(frontier.AUDC(ends, at, at), weak, strong); !near(pgr, x, 1e-9) {
				t.Fatalf("%v: the PGR at CPT(%v) = %v is %v", in, x, at, pgr)
			}
		}
	}
}

// A router that costs more or knows less does not score better.
func TestArenaScoreIsMonotone(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	for range 5_000 {
		accuracy, usd := random.Float64(), math.Exp(random.NormFloat64()*5)
		s := frontier.ArenaScore(accuracy, usd)
		if worse, costlier := frontier.ArenaScore(accuracy*random.Float64(), usd), frontier.ArenaScore(accuracy, usd*(1+random.Float64())); !(0 <= s && s <= 1) || worse > s || costlier > s {
			t.Fatalf("ArenaScore(%v, %v) = %v, %v if less accurate, %v if more expensive", accuracy, usd, s, worse, costlier)
		}
	}
}

// ECE lies in [0,1], is 0 for exact predictions, and with one bin is the
// difference of the means, which more bins can only raise.
func TestECEBounds(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	for range 1_000 {
		n := 1 + random.IntN(50)
		predicted, observed := make([]float64, n), make([]float64, n)
		for i := range n {
			predicted[i], observed[i] = math.Round(20*random.Float64())/20, float64(random.IntN(2))
		}
		bins := 1 + random.IntN(20)
		ece := frontier.ECE(predicted, observed, bins)
		if one := frontier.ECE(predicted, observed, 1); !(one-1e-12 <= ece && ece <= 1) {
			t.Fatalf("ECE(%v, %v, %d) = %v, of one bin %v", predicted, observed, bins, ece, one)
		}
		if exact := frontier.ECE(observed, observed, bins); exact != 0 {
			t.Fatalf("ECE(%v, itself, %d) = %v, want 0", observed, bins, exact)
		}
		count := 0
		for _, b := range frontier.Reliability(predicted, observed, bins) {
			count += b.Count
		}
		if count != n {
			t.Fatalf("bins hold %d, want %d", count, n)
		}
	}
}

// Rank correlation lies in [-1,1], is symmetric, and depends only on the order.
func TestRankCorrelationOfMaps(t *testing.T) {
	random := rand.New(rand.NewPCG(10, 10))
	for range 2_000 {
		n := 3 + random.IntN(50)
		a, b := make([]float64, n), make([]float64, n)
		rising, falling := make([]float64, n), make([]float64, n)
		for i := range n {
			a[i], b[i] = math.Round(4*random.NormFloat64()), random.NormFloat64()
			rising[i], falling[i] = math.Exp(a[i])-7, -a[i]*a[i]*a[i]
		}
		r := frontier.RankCorrelation(a, b)
		if math.IsNaN(r) && slices.Min(a) == slices.Max(a) {
			continue
		}
		if !(-1 <= r && r <= 1) {
			t.Fatalf("RankCorrelation(%v, %v) = %v, want it in [-1,1]", a, b, r)
		}
		if got := frontier.RankCorrelation(rising, b); got != r {
			t.Fatalf("RankCorrelation of a rising map = %v, want %v", got, r)
		}
		if got := frontier.RankCorrelation(falling, b); got != -r {
			t.Fatalf("RankCorrelation of a falling map = %v, want %v", got, -r)
		}
		if got := frontier.RankCorrelation(b, a); got != r {
			t.Fatalf("RankCorrelation with the sides swapped = %v, want %v", got, r)
		}
		if got := frontier.RankCorrelation(a, rising); got != 1 {
			t.Fatalf("RankCorrelation with a rising map of itself = %v, want 1", got)
		}
	}
}
