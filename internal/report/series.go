package report

import (
	"strconv"

	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/svg"
)

// emphasised is how many routers have their own colour, line style and label; the
// others are thin lines.
const emphasised = 5

// series is a router as the charts draw it.
type series struct {
	index int // of the report's routers
	line  *eval.RouterLine
	// class is the style: s1 to s5, thin, mean, zero, oracle or single.
	class string
	shape svg.Shape // of its markers; emphasised series are numbered by it
	label string    // beside the curve, "" for none
	// points are the distinct settings in order.
	points []eval.CurvePoint
}

// scattered reports whether the settings are points of their own rather than a curve.
func (s *series) scattered() bool { return len(s.points) > 0 && s.points[0].Setting != "" }

// key numbers an emphasised series.
func (s *series) key() string {
	if s.shape == 0 {
		return ""
	}
	return strconv.Itoa(int(s.shape))
}

// series lists the routers in the report's order. The first router and the best
// learned rivals are emphasised; the references have styles of their own.
func (b *board) series() []series {
	ranks := b.ranks()
	out := make([]series, len(b.Routers))
	for k := range b.Routers {
		l := &b.Routers[k]
		s := series{index: k, line: l, class: "thin", points: distinct(l.Curve)}
		switch l.Name {
		case meanName:
			s.class, s.label = "mean", "mean"
		case singleName:
			s.class = "single"
		case zeroName:
			s.class, s.label = "zero", "zero router (hull)"
		case oracleName:
			s.class, s.label = "oracle", "oracle"
		default:
			if r := ranks[k]; r > 0 {
				s.class, s.shape, s.label = "s"+strconv.Itoa(r), svg.Shape(r), l.Name
			} else if k == b.order[0] {
				s.label = l.Name // thin, but ahead of all others
			}
		}
		out[k] = s
	}
	return out
}

// ranks numbers the emphasised routers from 1: the first router of the report,
// then the best learned ones by AIQ, or the first ones if the report's order is kept.
func (b *board) ranks() map[int]int {
	ranks := map[int]int{}
	if len(b.Routers) > 0 && !isReference(b.Routers[0].Name) {
		ranks[0] = 1
	}
	if b.given {
		for k, i := range b.shown[:min(emphasised, len(b.shown))] {
			if !isReference(b.Routers[i].Name) {
				ranks[i] = k + 1
			}
		}
		return ranks
	}
	for _, learned := range []bool{true, false} {
		for _, i := range b.order {
			name := b.Routers[i].Name
			if _, done := ranks[i]; done || isReference(name) || isLearned(name) != learned || len(ranks) == emphasised {
				continue
			}
			ranks[i] = len(ranks) + 1
		}
		// Constants and cascades count only if there is little else.
		if len(ranks) > 1 {
			break
		}
	}
	return ranks
}

// distinct drops settings that reach the same point as the one before, and points
// that are not finite.
func distinct(curve []eval.CurvePoint) []eval.CurvePoint {
	var out []eval.CurvePoint
	for _, p := range curve {
		if !finite(p.CostUSD) || !finite(p.Quality) {
			continue
		}
		if n := len(out); n > 0 && p.Model == "" && p.Setting == "" && out[n-1].CostUSD == p.CostUSD && out[n-1].Quality == p.Quality {
			continue
		}
		out = append(out, p)
	}
	return out
}

// window is the part of the plane that a chart of curves shows. Costs are those
// of 1,000 queries.
type window struct{ x0, x1, y0, y1 float64 }

// nearFrom is the share of the best single model's quality at which the near
// window begins.
const nearFrom = 0.88

// window spans all curves or, if near is set, the qualities around the best
// single model's, where routers compete.
func (b *board) window(all []series, log, near bool) window {
	var points []frontier.Point
	least := 0.0 // positive
	top := 0.0
	for _, s := range all {
		for _, p := range s.points {
			points = append(points, frontier.Point{Cost: 1000 * p.CostUSD, Quality: p.Quality})
			if p.CostUSD > 0 && (least == 0 || 1000*p.CostUSD < least) {
				least = 1000 * p.CostUSD
			}
		}
		if s.class != "oracle" && !isCascade(s.line.Name) {
			top = max(top, frontier.Peak(append(pointsOf(s), frontier.Point{})))
		}
	}
	if len(points) == 0 {
		return window{0.1, 1, 0, 1}
	}
	w := window{points[0].Cost, points[0].Cost, points[0].Quality, points[0].Quality}
	for _, p := range points {
		w.x0, w.x1, w.y0, w.y1 = min(w.x0, p.Cost), max(w.x1, p.Cost), min(w.y0, p.Quality), max(w.y1, p.Quality)
	}
	if p, ok := b.single(); ok && near {
		w.y0, w.y1 = max(w.y0, nearFrom*p.Quality), max(top, p.Quality)
		if high := 1000 * b.CostRangeUSD[1]; high > 0 {
			w.x1 = min(w.x1, max(high, 1000*p.Cost))
		}
	}
	return w.pad(least, log)
}

func (w window) pad(least float64, log bool) window {
	y := max((w.y1-w.y0)*0.05, 0.005)
	w.y0, w.y1 = w.y0-y, w.y1+y
	if !log {
		w.x0, w.x1 = 0, w.x1*1.04
		if w.x1 == 0 {
			w.x1 = 1
		}
		return w
	}
	if least == 0 {
		least = 0.1
	}
	w.x0 = max(w.x0, least)
	w.x0, w.x1 = w.x0/1.15, max(w.x1, w.x0)*1.15
	return w
}

func pointsOf(s series) []frontier.Point { return points(s.points) }
