package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/plan"
	"github.com/carrot-router/carrot/table"
)

// judged has the queries of a table on which predictions are judged, and the models
// that may be chosen on each.
type judged struct {
	t       *table.Table
	rows    []int   // of the table
	at      []int   // for each, its index among the rows given to judge
	choices [][]int // for each, the models with a score and a cost
}

func (j *judged) add(row, at int, choices []int) {
	j.rows, j.at, j.choices = append(j.rows, row), append(j.at, at), append(j.choices, choices)
}

// judge picks the complete queries that were drawn at random. If these are fewer than half, as in sets that
// were joined, it picks all queries on which several models were observed, and
// only the observed models may be chosen.
func judge(t *table.Table, rows []int) *judged {
	complete, several, extra := &judged{t: t}, &judged{t: t}, 0
	for k, i := range rows {
		if t.Set.Queries[i].Split == dataset.SplitExtra {
			extra++
			continue
		}
		observed := t.Observed(i)
		if len(observed) > 0 && t.Complete(i) {
			complete.add(i, k, observed)
		}
		if len(observed) > 1 {
			several.add(i, k, observed)
		}
	}
	if 2*len(complete.rows) >= len(rows)-extra {
		return complete
	}
	return several
}

// trace records the choices along the grid. There is one prediction for each of
// the rows given to judge.
func (j *judged) trace(predictions []carrot.Prediction) frontier.Trace {
	return j.traceWith(predictions, nil)
}

// traceWith is trace with plans, if there are some: they may be chosen on a query on which
// all that they ask was observed.
func (j *judged) traceWith(predictions []carrot.Prediction, plans *plan.Outcomes) frontier.Trace {
	grid, models := frontier.Grid(), len(j.t.Candidates)
	var columns []int
	quality, cost, choices := make([][]float64, len(j.rows)), make([][]float64, len(j.rows)), j.choices
	if plans != nil {
		choices, columns = make([][]int, len(j.rows)), plans.Columns()
	}
	for n, i := range j.rows {
		for _, m := range j.choices[n] {
			f := &predictions[j.at[n]].Forecasts[m]
			quality[n] = append(quality[n], f.Quality)
			cost[n] = append(cost[n], j.t.PredictedCost(i, m, f))
		}
		if plans == nil {
			continue
		}
		choices[n] = slices.Clone(j.choices[n])
		for _, k := range plans.Observed(i) {
			choices[n] = append(choices[n], models+k)
			quality[n] = append(quality[n], predictions[j.at[n]].Forecasts[models+k].Quality)
			cost[n] = append(cost[n], plans.PredictedCost(i, k, &predictions[j.at[n]], columns))
		}
	}
	return frontier.NewTrace(len(j.rows), len(grid), func(n, s int) int {
		return choices[n][carrot.Choose(quality[n], cost[n], grid[s])]
	}, func(n, c int) (float64, float64) {
		if c >= models {
			return plans.At(j.rows[n], c-models)
		}
		return j.t.Cost.At(j.rows[n], c), j.t.Set.Score.At(j.rows[n], c)
	})
}

// singles returns the mean cost and quality of each model over the judged queries
// on which it could be chosen, and those of the best single. If queries have
// different choices, that is the best one for each kind of query.
func (j *judged) singles() (singles []frontier.Point, best frontier.Point) {
	kinds := map[string][]int{}
	var order []string
	for n, choices := range j.choices {
		key := fmt.Sprint(choices)
		if kinds[key] == nil {
			order = append(order, key)
		}
		kinds[key] = append(kinds[key], n)
	}
	models := len(j.t.Candidates)
	sums, counts := make([]frontier.Point, models), make([]float64, models)
	for _, key := range order {
		members := kinds[key]
		points := make([]frontier.Point, len(j.choices[members[0]]))
		for c, m := range j.choices[members[0]] {
			for _, n := range members {
				points[c].Cost += j.t.Cost.At(j.rows[n], m) / float64(len(members))
				points[c].Quality += j.t.Set.Score.At(j.rows[n], m) / float64(len(members))
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

// Frontier returns the operating points that predictions reach on rows of a table.
// predictions[k] is for rows[k] and should be out of fold. There are no points if
// no query has a score and a cost for two models. Models whose cost is unknown are
// left out. As a router may choose them where cost does not matter, there is then
// no point at that setting.
func Frontier(t *table.Table, rows []int, predictions []carrot.Prediction) carrot.Frontier {
	return frontierOf(t, rows, predictions, nil)
}

// frontierOf is Frontier of a router that may choose plans, if there are some.
func frontierOf(t *table.Table, rows []int, predictions []carrot.Prediction, plans *plan.Outcomes) carrot.Frontier {
	j := judge(t, rows)
	if len(j.rows) == 0 {
		return carrot.Frontier{}
	}
	var f carrot.Frontier
	grid := frontier.Grid()
	for s, p := range j.traceWith(predictions, plans).Curve(nil) {
		if math.IsInf(grid[s], 1) && len(t.Unpriced()) > 0 {
			continue
		}
		f.Points = append(f.Points, carrot.Point{USDPerQuality: grid[s], CostUSD: p.Cost, Quality: p.Quality})
	}
	_, best := j.singles()
	f.BestSingle = carrot.Point{USDPerQuality: math.Inf(1), CostUSD: best.Cost, Quality: best.Quality}
	return f
}
