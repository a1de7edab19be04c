package frontier

import (
	"cmp"
	"math"
	"slices"
)

// AUDC is the area under the deferral curve (UniRoute, arXiv 2502.08773,
// section 7 and appendix E.2), as the mean height of the line q through the
// router's own points by rising cost:
//
//	AUDC = ∫ q(c) dc / (high - low),   c from low to high
//
// The paper does not say between which costs, nor how to extend the line. Here
// the axis is that of [AIQ], from the mean cost of the cheapest single model to
// that of the most expensive, and q is flat beyond its ends. If points have the
// same cost, the best of them counts. Nothing is mixed, so AUDC is at most AIQ.
// If low equals high, it is the height there. It is NaN without points, if high
// is below low, and if a point or an end of the axis is not finite.
func AUDC(points []Point, low, high float64) float64 {
	if !measurable(points, low, high) {
		return math.NaN()
	}
	return meanHeight(line(points), low, high)
}

// line sorts points by rising cost and keeps the best at each cost.
func line(points []Point) []Point {
	sorted := slices.Clone(points)
	slices.SortFunc(sorted, func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.Cost, b.Cost), cmp.Compare(b.Quality, a.Quality))
	})
	return slices.CompactFunc(sorted, func(a, b Point) bool { return a.Cost == b.Cost })
}

// measurable reports whether there are points and an axis to measure them on.
func measurable(points []Point, low, high float64) bool {
	for _, p := range points {
		if !finite(p.Cost) || !finite(p.Quality) {
			return false
		}
	}
	return len(points) > 0 && finite(low) && finite(high) && low <= high
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// meanHeight is the mean height of the line through points of rising cost over
// the axis from low to high, flat beyond its ends.
func meanHeight(line []Point, low, high float64) float64 {
	if high == low {
		return heightAt(line, low)
	}
	first, last := line[0], line[len(line)-1]
	area := first.Quality * max(0, min(first.Cost, high)-low)
	for i := 1; i < len(line); i++ {
		a, b := max(line[i-1].Cost, low), min(line[i].Cost, high)
		if a < b {
			area += (b - a) * (segment(line[i-1], line[i], a) + segment(line[i-1], line[i], b)) / 2
		}
	}
	area += last.Quality * max(0, high-max(last.Cost, low))
	return area / (high - low)
}

// PGR is the performance gap recovered (RouteLLM, arXiv 2406.18665, section
// 3.2) by a router between a weak and a strong model, from mean qualities:
//
//	PGR = (quality - weak) / (strong - weak)
//
// It is 0 for the weak model and 1 for the strong one; a router may exceed 1 or
// fall below 0. It is NaN if the two models are equally good.
func PGR(quality, weak, strong float64) float64 {
	if strong == weak {
		return math.NaN()
	}
	return (quality - weak) / (strong - weak)
}

// APGR is the average performance gap recovered (RouteLLM, section 3.2) over
// all shares c of calls to the stronger of two models:
//
//	APGR = ∫ PGR(c) dc,   c from 0 to 1
//
// A point's Cost is its share of calls. PGR(c) is read off the line through the
// points, from the weak model alone at 0 to the strong model alone at 1, and the
// integral is exact; the paper averages over ten shares, its code sums
// trapezoids between measured shares. Calling the strong model at random reaches
// 1/2. Points with a share outside [0,1] are ignored, and if points have the same
// share, the best of them counts. It is NaN if the two models are equally good
// and if an argument is not finite.
func APGR(points []Point, weak, strong float64) float64 {
	return PGR(AUDC(callLine(points, weak, strong), 0, 1), weak, strong)
}

// CPT is the call-performance threshold (RouteLLM, section 3.2): the least
// share of calls to the stronger of two models at which the PGR reaches x, on
// the line of [APGR]:
//
//	CPT(x) = min { c in [0,1] : PGR(c) >= x }
//
// The paper writes CPT(50%) for x = 0.5. It is +Inf if the PGR never reaches x,
// and NaN if the two models are equally good or an argument is not finite.
func CPT(points []Point, weak, strong, x float64) float64 {
	calls := callLine(points, weak, strong)
	if weak == strong || !finite(x) || !measurable(calls, 0, 1) {
		return math.NaN()
	}
	var before Point // of share and PGR
	for _, p := range calls {
		here := Point{p.Cost, PGR(p.Quality, weak, strong)}
		switch {
		case here.Quality < x-tolerance:
			before = here
			continue
		case here.Cost == 0:
			return 0
		}
		return before.Cost + (here.Cost-before.Cost)*min((x-before.Quality)/(here.Quality-before.Quality), 1)
	}
	return math.Inf(1)
}

// callLine is the line through the two models alone and the points, without
// those whose share lies outside [0,1]; a share that is NaN is kept.
func callLine(points []Point, weak, strong float64) []Point {
	calls := []Point{{0, weak}, {1, strong}}
	for _, p := range points {
		if !(p.Cost < 0 || p.Cost > 1) {
			calls = append(calls, p)
		}
	}
	return line(calls)
}

// ArenaScore is RouterArena's score (arXiv 2510.00202): a weighted harmonic mean
// of the accuracy A in [0,1] and the cheapness C of a cost c, in USD per 1,000
// queries, with β = 0.1:
//
//	S = (1+β)·A·C / (β·A + C),   C = log2(200/c) / log2(200/0.0044)
//
// The constants are those of the benchmark's code, which does not clamp C. Here
// C is clamped to [0,1], so that costing less than $0.0044 gains nothing and a
// free router has C = 1. The leaderboard shows 100·S. The score is 0 if A or C is
// 0, and NaN if an argument is negative or NaN.
func ArenaScore(accuracy, usdPerThousand float64) float64 {
	const beta, expensive, cheap = 0.1, 200, 0.0044
	if !(accuracy >= 0 && usdPerThousand >= 0) {
		return math.NaN()
	}
	c := min(max(math.Log2(expensive/usdPerThousand)/math.Log2(expensive/cheap), 0), 1)
	if accuracy == 0 || c == 0 {
		return 0
	}
	return (1 + beta) * accuracy * c / (beta*accuracy + c)
}
