package report

import (
	"math"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/frontier"
)

// Options of a report. The zero value works.
type Options struct {
	// OutOfDomain is a second report on other queries, such as one that leaves
	// a source out at a time; routers are matched by name. Nil: none.
	OutOfDomain *eval.Report
	// InOrder keeps the routers in the report's order, such as that of Select. By
	// default tables sort them by AIQ.
	InOrder bool
}

// The rows that every report ends with, by name.
const (
	meanName   = "mean"
	singleName = "best-single"
	zeroName   = "zero-router"
	oracleName = "oracle"
)

func isReference(name string) bool {
	return slices.Contains([]string{meanName, singleName, zeroName, oracleName}, name)
}

// isLearned reports whether a row is a router that decides by the prompt: not a
// reference, a constant or a cascade, whose judge sees answers.
func isLearned(name string) bool {
	return !isReference(name) && name != "random" && name != "cheapest" && !isCascade(name)
}

func isCascade(name string) bool {
	kind, _, _ := strings.Cut(name, "=")
	kind, _, _ = strings.Cut(kind, ":")
	return kind == "cascade"
}

// board is a report with indexes for repeated lookups.
type board struct {
	*eval.Report
	order  []int          // routers by falling AIQ, the references after them as given
	shown  []int          // the same in the order of tables
	given  bool           // that order is the report's
	groups map[string]int // by router, from 0; see group
	pairs  map[[2]string]*eval.Pair
	unit   unit
}

func newBoard(r *eval.Report, o Options) *board {
	b := &board{Report: r, pairs: map[[2]string]*eval.Pair{}, groups: map[string]int{}, unit: unit{perCall: r.Provenance.PerCall}}
	for k := range r.Pairs {
		b.pairs[[2]string{r.Pairs[k].A, r.Pairs[k].B}] = &r.Pairs[k]
	}
	var references []int
	for k := range r.Routers {
		if isReference(r.Routers[k].Name) {
			references = append(references, k)
		} else {
			b.order = append(b.order, k)
		}
	}
	slices.SortStableFunc(b.order, func(i, j int) int { return falling(r.Routers[i].AIQ, r.Routers[j].AIQ) })
	b.group()
	given := slices.Sorted(slices.Values(b.order))
	b.order = append(b.order, references...)
	b.shown, b.given = b.order, o.InOrder
	if o.InOrder {
		b.shown = append(given, references...)
	}
	return b
}

// falling orders larger numbers first and those that are not finite last.
func falling(a, b eval.Number) int {
	switch {
	case finite(a) && finite(b) && a != b:
		if a > b {
			return -1
		}
		return 1
	case finite(a) && !finite(b):
		return -1
	case finite(b) && !finite(a):
		return 1
	}
	return 0
}

// group puts the best router and those that cannot be told apart from it into the
// first group, the best of the others and those that cannot be told apart from
// that one into the second, and so on.
func (b *board) group() {
	next := 0
	for k, i := range b.order {
		leader := b.Routers[i].Name
		if _, done := b.groups[leader]; done || !finite(b.Routers[i].AIQ) {
			continue
		}
		b.groups[leader] = next
		for _, j := range b.order[k+1:] {
			name := b.Routers[j].Name
			if _, done := b.groups[name]; done {
				continue
			}
			if d, ok := b.difference(leader, name); ok && d.verdict() == same {
				b.groups[name] = next
			}
		}
		next++
	}
}

// intervals reports whether differences have bootstrap intervals.
func (b *board) intervals() bool {
	return slices.ContainsFunc(b.Pairs, func(p eval.Pair) bool { return len(p.Interval) == 2 })
}

// The outcomes of a paired comparison.
const (
	worse = iota - 1
	same
	better
)

// difference is a paired difference of AIQ with its interval.
type difference struct{ value, low, high float64 }

func (d difference) verdict() int {
	switch {
	case d.low > 0:
		return better
	case d.high < 0:
		return worse
	}
	return same
}

// difference returns a's AIQ minus b's; ok is false without an interval.
func (b *board) difference(a, other string) (difference, bool) {
	if p := b.pairs[[2]string{a, other}]; p != nil && len(p.Interval) == 2 {
		return difference{float64(p.AIQDiff), float64(p.Interval[0]), float64(p.Interval[1])}, true
	}
	if p := b.pairs[[2]string{other, a}]; p != nil && len(p.Interval) == 2 {
		return difference{-float64(p.AIQDiff), -float64(p.Interval[1]), -float64(p.Interval[0])}, true
	}
	return difference{}, false
}

// router finds a row by name, nil if there is none.
func (b *board) router(name string) *eval.RouterLine {
	for k := range b.Routers {
		if b.Routers[k].Name == name {
			return &b.Routers[k]
		}
	}
	return nil
}

// bestLearned is the router with the highest AIQ among those that decide by
// the prompt, nil if there is none.
func (b *board) bestLearned() *eval.RouterLine {
	for _, i := range b.order {
		if l := &b.Routers[i]; isLearned(l.Name) && finite(l.AIQ) {
			return l
		}
	}
	return nil
}

// single is the point of the best single model; ok is false if it is missing.
func (b *board) single() (p frontier.Point, ok bool) {
	if l := b.router(singleName); l != nil && len(l.Curve) > 0 {
		return frontier.Point{Cost: l.Curve[0].CostUSD, Quality: l.Curve[0].Quality}, true
	}
	return p, false
}

func finite[T ~float64](v T) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }

func points(curve []eval.CurvePoint) []frontier.Point {
	out := make([]frontier.Point, 0, len(curve))
	for _, p := range curve {
		if finite(p.CostUSD) && finite(p.Quality) {
			out = append(out, frontier.Point{Cost: p.CostUSD, Quality: p.Quality})
		}
	}
	return out
}
