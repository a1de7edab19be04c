// Package frontier holds the metrics of routing: curves of cost against
// quality, their hulls, and the numbers read off them. All are pure functions
// of recorded choices; nothing here predicts, prices or reads files.
//
// A router's curve is its mean cost and mean quality at every setting of a
// [Grid]. AIQ, QNC and the other metrics compare curves on one axis, which the
// single models fix ([Scale]):
//
//	grid := frontier.Grid()
//	choose := func(query, setting int) int { return carrot.Choose(predicted[query], cost[query], grid[setting]) }
//	outcome := func(query, model int) (float64, float64) { return cost[query][model], score[query][model] }
//	curve := frontier.NewTrace(len(score), len(grid), choose, outcome).Curve(nil)
//	metrics := frontier.NewScale(singles).Measure(curve)
package frontier

import (
	"cmp"
	"math"
	"slices"
)

// Point is a mean cost (USD per query) and a mean quality in [0,1].
type Point struct{ Cost, Quality float64 }

// Grid returns the settings of a curve as willingness to pay w in USD per unit
// of quality: +Inf and 400 values of 1/w evenly spaced in log from 1e-3 to 1e6
// per USD.
func Grid() []float64 {
	const n = 400
	w := make([]float64, 0, n+1)
	w = append(w, math.Inf(1))
	for i := range n {
		w = append(w, 1/math.Pow(10, -3+9*float64(i)/(n-1)))
	}
	return w
}

// Hull returns the non-decreasing part of the upper convex hull of points, by
// rising cost: what a router can reach by mixing two settings (RouterBench,
// arXiv 2403.12031, section 3). It is empty for no points.
func Hull(points []Point) []Point {
	sorted := slices.Clone(points)
	slices.SortFunc(sorted, func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.Cost, b.Cost), cmp.Compare(b.Quality, a.Quality))
	})
	var hull []Point
	for _, p := range sorted {
		if len(hull) > 0 && p.Quality <= hull[len(hull)-1].Quality {
			continue // more expensive and no better
		}
		for len(hull) > 1 && !turnsRight(hull[len(hull)-2], hull[len(hull)-1], p) {
			hull = hull[:len(hull)-1]
		}
		hull = append(hull, p)
	}
	return hull
}

// turnsRight reports whether b lies strictly above the line from a to c.
func turnsRight(a, b, c Point) bool {
	return (b.Quality-a.Quality)*(c.Cost-a.Cost) > (c.Quality-a.Quality)*(b.Cost-a.Cost)
}

// AIQ is the Average Improvement in Quality (RouterBench, section 3.2): the
// mean height of the curve's hull h over the linear cost axis from low to high,
// flat beyond the hull's ends:
//
//	AIQ = ∫ h(c) dc / (high - low),   c from low to high
//
// If low equals high, it is the height there. It is NaN without points, if high
// is below low, and if a point or an end of the axis is not finite.
func AIQ(points []Point, low, high float64) float64 {
	if !measurable(points, low, high) {
		return math.NaN()
	}
	return meanHeight(Hull(points), low, high)
}

// segment is the height of the line through a and b at the given cost.
func segment(a, b Point, cost float64) float64 {
	return a.Quality + (b.Quality-a.Quality)*(cost-a.Cost)/(b.Cost-a.Cost)
}

// heightAt is the height of a hull at the given cost, flat beyond its ends.
func heightAt(hull []Point, cost float64) float64 {
	if cost <= hull[0].Cost {
		return hull[0].Quality
	}
	for i := 1; i < len(hull); i++ {
		if cost <= hull[i].Cost {
			return segment(hull[i-1], hull[i], cost)
		}
	}
	return hull[len(hull)-1].Quality
}

// Peak is the highest mean quality among points. It is NaN without points and if
// a quality is NaN.
func Peak(points []Point) float64 {
	if len(points) == 0 {
		return math.NaN()
	}
	peak := math.Inf(-1)
	for _, p := range points {
		peak = max(peak, p.Quality)
	}
	return peak
}

// Reach is the least cost of the points whose quality is at least the given one;
// no points are mixed. It is +Inf if there is no such point.
func Reach(points []Point, quality float64) float64 {
	least := math.Inf(1)
	for _, p := range points {
		if p.Quality >= quality {
			least = min(least, p.Cost)
		}
	}
	return least
}

// Scale is what all routers on one set of queries are measured against.
type Scale struct {
	Low, High float64 // mean cost of the cheapest and the most expensive single model
	Best      int     // index of the best single model
	Single    Point   // its mean cost and quality
}

// NewScale returns the scale of the single models: their cost range and the best
// of them, which has the highest mean quality. Ties go to the cheaper, then to
// the lower index.
func NewScale(singles []Point) Scale {
	s := Scale{Low: math.Inf(1), High: math.Inf(-1), Best: -1}
	for i, p := range singles {
		s.Low, s.High = min(s.Low, p.Cost), max(s.High, p.Cost)
		if s.Best < 0 || p.Quality > s.Single.Quality || p.Quality == s.Single.Quality && p.Cost < s.Single.Cost {
			s.Best, s.Single = i, p
		}
	}
	return s
}

// Metrics are the figures of one curve on a scale.
type Metrics struct {
	AIQ    float64
	Peak   float64
	QNC    float64 // +Inf if the best single's quality is never reached
	Cost95 float64 // +Inf if 95% of it is never reached
}

// tolerance absorbs the rounding of a mean, so that a router that always
// chooses the best single reaches its quality.
const tolerance = 1e-12

// Measure computes the metrics of a curve: its AIQ from Low to High, its Peak
// and, from its own points without mixing, with the best single's cost c* and
// quality q*,
//
//	QNC    = min { cost : quality >= q* } / c*
//	Cost95 = min { cost : quality >= 0.95·q* } / c*
//
// QNC is UniRoute's quality-neutral cost (arXiv 2502.08773, section 7); it may
// exceed 1. If the best single is free, both are infinite, or NaN if the curve
// reaches the quality for free too.
func (s Scale) Measure(points []Point) Metrics {
	return Metrics{
		AIQ:    AIQ(points, s.Low, s.High),
		Peak:   Peak(points),
		QNC:    Reach(points, s.Single.Quality-tolerance) / s.Single.Cost,
		Cost95: Reach(points, 0.95*s.Single.Quality-tolerance) / s.Single.Cost,
	}
}

// GapClosed is how much of the gap between the zero router's AIQ and the
// oracle's a router closes:
//
//	(aiq - zero) / (oracle - zero)
//
// It is NaN if the zero router's and the oracle's are equal.
func GapClosed(aiq, zero, oracle float64) float64 { return PGR(aiq, zero, oracle) }
