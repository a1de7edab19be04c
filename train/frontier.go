package train

import (
	"math"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
)

// Complete reports whether every model of the pool has a score and a cost on
// query i.
func (t *Task) Complete(i int) bool {
	for m := range t.Set.Models {
		if math.IsNaN(t.Set.Score.At(i, m)) || math.IsNaN(t.Cost.At(i, m)) {
			return false
		}
	}
	return true
}

// judged is what predictions can be judged on: queries, and for each the
// models that may be chosen.
type judged struct {
	rows    []int   // indices into the predictions
	choices [][]int // models with score and cost
}

// judge picks the complete queries; where they are fewer than half (sets that
// were joined), all queries on which two models were observed, choosing among
// the observed.
func (t *Task) judge(rows []int) judged {
	var j judged
	all := make([]int, len(t.Set.Models))
	for m := range all {
		all[m] = m
	}
	for k, i := range rows {
		if t.Complete(i) {
			j.rows, j.choices = append(j.rows, k), append(j.choices, all)
		}
	}
	if 2*len(j.rows) >= len(rows) {
		return j
	}
	j = judged{}
	for k, i := range rows {
		var seen []int
		for m := range t.Set.Models {
			if !math.IsNaN(t.Set.Score.At(i, m)) && !math.IsNaN(t.Cost.At(i, m)) {
				seen = append(seen, m)
			}
		}
		if len(seen) > 1 {
			j.rows, j.choices = append(j.rows, k), append(j.choices, seen)
		}
	}
	return j
}

// trace records the choices made with predictions, one per row, along the grid.
func (t *Task) trace(j judged, rows []int, predictions []carrot.Prediction) frontier.Trace {
	grid := frontier.Grid()
	quality, cost := make([][]float64, len(j.rows)), make([][]float64, len(j.rows))
	for n, k := range j.rows {
		for _, m := range j.choices[n] {
			f := &predictions[k].Forecasts[m]
			quality[n] = append(quality[n], f.Quality)
			cost[n] = append(cost[n], t.PredictedCost(rows[k], m, f))
		}
	}
	return frontier.NewTrace(len(j.rows), len(grid),
		func(n, s int) int { return carrot.Choose(quality[n], cost[n], grid[s]) },
		func(n, c int) (float64, float64) {
			i, m := rows[j.rows[n]], j.choices[n][c]
			return t.Cost.At(i, m), t.Set.Score.At(i, m)
		})
}

// singles returns the mean cost and quality of each model over the judged
// queries on which it could be chosen, and of the best single: where queries
// have different choices, the best of each kind of query.
func (t *Task) singles(j judged, rows []int) (singles []frontier.Point, best frontier.Point) {
	kinds := map[string][]int{}
	var order []string
	for n, choices := range j.choices {
		key := string(slices.Collect(func(yield func(rune) bool) {
			for _, m := range choices {
				if !yield(rune(m)) {
					return
				}
			}
		}))
		if kinds[key] == nil {
			order = append(order, key)
		}
		kinds[key] = append(kinds[key], n)
	}
	sums, counts := make([]frontier.Point, len(t.Set.Models)), make([]float64, len(t.Set.Models))
	for _, key := range order {
		members := kinds[key]
		points := make([]frontier.Point, len(j.choices[members[0]]))
		for c, m := range j.choices[members[0]] {
			for _, n := range members {
				i := rows[j.rows[n]]
				points[c].Cost += t.Cost.At(i, m) / float64(len(members))
				points[c].Quality += t.Set.Score.At(i, m) / float64(len(members))
			}
			sums[m].Cost += points[c].Cost * float64(len(members))
			sums[m].Quality += points[c].Quality * float64(len(members))
			counts[m] += float64(len(members))
		}
		share := float64(len(members)) / float64(len(j.rows))
		top := frontier.NewScale(points).Single
		best.Cost += share * top.Cost
		best.Quality += share * top.Quality
	}
	for m, n := range counts {
		if n > 0 {
			singles = append(singles, frontier.Point{Cost: sums[m].Cost / n, Quality: sums[m].Quality / n})
		}
	}
	return singles, best
}

// Frontier returns the operating points that predictions reach on rows, which
// should be out of fold: predictions[k] is for rows[k].
func (t *Task) Frontier(rows []int, predictions []carrot.Prediction) carrot.Frontier {
	j := t.judge(rows)
	if len(j.rows) == 0 {
		return carrot.Frontier{}
	}
	var f carrot.Frontier
	grid := frontier.Grid()
	for s, p := range t.trace(j, rows, predictions).Curve(nil) {
		f.Points = append(f.Points, carrot.Point{USDPerQuality: grid[s], CostUSD: p.Cost, Quality: p.Quality})
	}
	_, best := t.singles(j, rows)
	f.BestSingle = carrot.Point{USDPerQuality: math.Inf(1), CostUSD: best.Cost, Quality: best.Quality}
	return f
}

// Trace records, for the given queries, the observed cost and score of the
// models that choose picks along a number of settings; k counts rows.
func (t *Task) Trace(rows []int, settings int, choose func(k, setting int) (model int)) frontier.Trace {
	return frontier.NewTrace(len(rows), settings, choose, func(k, m int) (float64, float64) {
		return t.Cost.At(rows[k], m), t.Set.Score.At(rows[k], m)
	})
}
