package frontier

import (
	"cmp"
	"math"
	"slices"
)

// AUDC is the area under the deferral curve (UniRoute, arXiv 2502.08773,
// section 6): the mean height over the linear cost axis from low to high of the
// line through the router's own points by rising cost, flat beyond its ends.
// Nothing is mixed, so it is at most AIQ; of points of equal cost the best
// counts. It is NaN for no points or an empty axis.
func AUDC(points []Point, low, high float64) float64 {
	if len(points) == 0 || high < low {
		return math.NaN()
	}
	sorted := slices.Clone(points)
	slices.SortFunc(sorted, func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.Cost, b.Cost), cmp.Compare(b.Quality, a.Quality))
	})
	sorted = slices.CompactFunc(sorted, func(a, b Point) bool { return a.Cost == b.Cost })
	return meanHeight(sorted, low, high)
}

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
// 3.2): (quality - weak) / (strong - weak), where weak and strong are the mean
// qualities of a pair of models. It may exceed 1, and is NaN for equal models.
func PGR(quality, weak, strong float64) float64 {
	if strong == weak {
		return math.NaN()
	}
	return (quality - weak) / (strong - weak)
}

// APGR is the average PGR over all shares of calls to the stronger of two
// models (RouteLLM, section 3.2), where a point's Cost is that share: the mean
// height over [0,1] of the line through the router's points, from the weak
// model alone at 0 to the strong alone at 1.
func APGR(points []Point, weak, strong float64) float64 {
	line := append(slices.Clone(points), Point{0, weak}, Point{1, strong})
	return PGR(AUDC(line, 0, 1), weak, strong)
}

// CPT is the call-performance threshold (RouteLLM, section 3.2): the least
// share of calls to the stronger of two models, on the line of APGR, at which
// the PGR reaches x. It is +Inf where it never does.
func CPT(points []Point, weak, strong, x float64) float64 {
	line := append(slices.Clone(points), Point{0, weak}, Point{1, strong})
	slices.SortFunc(line, func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.Cost, b.Cost), cmp.Compare(b.Quality, a.Quality))
	})
	line = slices.CompactFunc(line, func(a, b Point) bool { return a.Cost == b.Cost })
	for i, p := range line {
		here := PGR(p.Quality, weak, strong)
		if here < x-tolerance {
			continue
		}
		if i == 0 {
			return p.Cost
		}
		before := PGR(line[i-1].Quality, weak, strong)
		return line[i-1].Cost + (p.Cost-line[i-1].Cost)*(x-before)/(here-before)
	}
	return math.Inf(1)
}

// ArenaScore is RouterArena's score (arXiv 2510.00202): with the accuracy A and
// the cost c in USD per 1,000 queries,
//
//	S = 1.1·A·C / (0.1·A + C),   C = log2(200/c) / log2(200/0.0044)
//
// C is clamped to [0,1]; a free router has C = 1. The score is 0 where both are.
func ArenaScore(accuracy, usdPerThousand float64) float64 {
	c := min(max(math.Log2(200/usdPerThousand)/math.Log2(200/0.0044), 0), 1)
	if accuracy == 0 && c == 0 {
		return 0
	}
	return 1.1 * accuracy * c / (0.1*accuracy + c)
}
