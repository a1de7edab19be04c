// Package promise calibrates promises with a probability on queries that were held
// out of training.
//
// A rule looks at candidates in order of preference and takes the first whose
// confidence that the promise will be kept reaches a threshold. Taking the first that
// fits is a selection, so confidences that are right one by one are too high for the
// candidates taken. [Calibrate] therefore finds the threshold at which the whole rule
// keeps its promise as often as it says, on the queries where it makes it.
package promise

import (
	"cmp"
	"math"
	"slices"
)

// Result is a calibrated promise.
type Result struct {
	// Threshold is what the confidence of a candidate must reach. It is +Inf if the
	// promise cannot be made.
	Threshold float64
	// Made is the share of the queries on which a candidate reaches it, and Kept the
	// share of these on which the promise was kept.
	Made, Kept float64
	// Binds says that with a lower threshold the promise would have been broken too
	// often. If it does not bind, the candidate preferred most keeps it well enough.
	Binds bool

	levels, promised []float64 // see Promised
}

// leastMade is the number of queries below which a share says too little to promise it.
const leastMade = 30

// event is a candidate that reaches a higher confidence than those preferred to it: the
// choice for its query at thresholds down from its own to that of the next event.
type event struct {
	at   float64
	row  int32
	kept float32 // 1, 0, or NaN if unknown
}

// Calibrate finds the lowest threshold at which the share of kept promises, less a margin
// for chance, is at least stated. order has for each query the candidates to choose
// from, beginning with the one that the rule prefers most; confidence and kept have a
// row for each query, with an entry for each candidate. A confidence of -Inf never
// reaches a threshold. kept is 1 or 0, or NaN if it is unknown, and then the query does
// not count where that candidate is chosen.
func Calibrate(order [][]int32, confidence, kept [][]float64, stated float64) Result {
	rows := len(order)
	var events []event
	for i, candidates := range order {
		top := math.Inf(-1)
		for _, m := range candidates {
			if s := confidence[i][m]; s > top {
				top = s
				events = append(events, event{s, int32(i), float32(kept[i][m])})
			}
		}
	}
	// Down from the highest threshold, each event takes its query over.
	slices.SortFunc(events, func(a, b event) int {
		return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.row, b.row))
	})
	r := Result{Threshold: math.Inf(1)}
	last, made := make([]float32, rows), make([]bool, rows)
	var queries, known, good float64
	for k, e := range events {
		if !made[e.row] {
			made[e.row] = true
			queries++
		} else if before := last[e.row]; before == before {
			known--
			good -= float64(before)
		}
		if last[e.row] = e.kept; e.kept == e.kept {
			known++
			good += float64(e.kept)
		}
		if k+1 < len(events) && events[k+1].at == e.at || known < leastMade {
			continue
		}
		sure := lower(good, known)
		if r.levels = append(r.levels, e.at); sure >= stated {
			r.Threshold, r.Made, r.Kept = e.at, queries/float64(rows), good/known
		}
		r.promised = append(r.promised, sure)
	}
	// What can be promised at a confidence is the most at any threshold up to it.
	slices.Reverse(r.levels)
	slices.Reverse(r.promised)
	for k := 1; k < len(r.promised); k++ {
		r.promised[k] = max(r.promised[k], r.promised[k-1])
	}
	r.Binds = len(r.levels) > 0 && r.Threshold > r.levels[0]
	r.thin()
	return r
}

// lower is a share less its standard error, which is not zero if all or none of few were
// good. Of few it is twice the error and more: a search over thresholds finds luck first
// where few queries are left.
func lower(good, of float64) float64 {
	const few = 100
	p := (good + 1) / (of + 2)
	return good/of - (1+math.Sqrt(few/of))*math.Sqrt(p*(1-p)/of)
}

// thin keeps the levels at which more can be promised than below.
func (r *Result) thin() {
	const step = 0.001
	n := 0
	for k, p := range r.promised {
		if n == 0 || p >= r.promised[n-1]+step {
			r.levels[n], r.promised[n] = r.levels[k], p
			n++
		}
	}
	r.levels, r.promised = slices.Clone(r.levels[:n]), slices.Clone(r.promised[:n])
}

// Promised returns the highest probability that could be stated so that a candidate of
// this confidence may be chosen, 0 if there is none.
func (r *Result) Promised(confidence float64) float64 {
	best := 0.0
	for k, at := range r.levels {
		if at <= confidence {
			best = max(best, r.promised[k])
		}
	}
	return best
}

// Most returns the highest probability that can be stated at all, 0 if there is none.
func (r *Result) Most() float64 { return r.Promised(math.Inf(1)) }
