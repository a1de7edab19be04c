package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/learn"
	"github.com/carrot-router/carrot/internal/offpolicy"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
	"github.com/carrot-router/carrot/train"
)

// fitted is a router that was fitted on one part of recorded outcomes, with its forecasts
// on another part, whose queries are sent to it, and on a third, which is held out.
type fitted struct {
	t             *table.Table
	models        []string
	traffic, held []int               // rows of t with all outcomes
	forecast      []carrot.Prediction // by row of t
	start         time.Time           // of the requests
	w             float64             // balanced on the router's own out-of-fold frontier
}

// fit fits a router on a random part of the rows. Shares are those of the part that it
// is fitted on and of the part that is sent to it.
func fit(ctx context.Context, t *table.Table, spec predict.Spec, seed uint64, fit, traffic float64) (*fitted, error) {
	r := rand.New(rand.NewPCG(seed, 17))
	rows := table.Trainable(t.Set)
	r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	n := float64(len(rows))
	a, b := int(fit*n), int((fit+traffic)*n)
	spec.Seed = seed
	p, err := train.Fit(ctx, t, rows[:a], spec, nil)
	if err != nil {
		return nil, err
	}
	out := &fitted{t: t, models: t.ModelNames(), traffic: t.CompleteOf(rows[a:b]), held: t.CompleteOf(rows[b:]), forecast: make([]carrot.Prediction, len(t.X))}
	if err := p.Predict(t.X, out.forecast); err != nil {
		return nil, err
	}
	if out.w, err = carrot.Balanced.Resolve(train.Frontier(t, rows[:a], p.OutOfFold().Predictions(0))); err != nil {
		return nil, fmt.Errorf("the objective balanced: %w", err)
	}
	return out, nil
}

// off adds a mistake to the forecasts of quality of one model.
func (f *fitted) off(model int, by float64) *fitted {
	out := *f
	out.forecast = make([]carrot.Prediction, len(f.forecast))
	for i, p := range f.forecast {
		out.forecast[i] = carrot.Prediction{Forecasts: append([]carrot.Forecast(nil), p.Forecasts...)}
		q := &out.forecast[i].Forecasts[model].Quality
		*q = min(max(*q+by, 0), 1)
	}
	return &out
}

// bias is the mean of what the router expects of a model beyond its scores, on the
// queries that are sent to it.
func (f *fitted) bias(model int, shift float64) (sum float64) {
	for _, i := range f.traffic {
		sum += min(max(f.forecast[i].Forecasts[model].Quality+shift, 0), 1) - f.t.Set.Score.At(i, model)
	}
	return sum / float64(len(f.traffic))
}

// row returns the router's decision on a row of the table.
func (f *fitted) row(i int, w float64) offpolicy.Row {
	x := offpolicy.Row{Session: strconv.Itoa(i), USDPerQuality: w, Propensity: 1}
	for m := range f.models {
		e := &f.forecast[i].Forecasts[m]
		x.Candidates = append(x.Candidates, offpolicy.Candidate{Name: f.models[m], Quality: e.Quality, Noise: e.QualityNoise, Cost: f.t.PredictedCost(i, m, e),
			InputTokens: f.t.Set.InputTokens.At(i, m), OutputTokens: e.OutputTokens})
	}
	x.Greedy = offpolicy.Objective(w)(&x)
	x.Action = x.Greedy
	return x
}

// served draws requests: queries of the traffic, with replacement, with exploration. What
// was recorded of a query and a model is always the same, so that the requests with one
// query are a session.
func (f *fitted) served(r *rand.Rand, n int, w, rate float64) []offpolicy.Row {
	decided := map[int]offpolicy.Row{}
	rows := make([]offpolicy.Row, n)
	for k := range rows {
		i := f.traffic[r.IntN(len(f.traffic))]
		x, ok := decided[i]
		if !ok {
			x = f.row(i, w)
			decided[i] = x
		}
		x.Request = strconv.Itoa(k)
		f.serve(&x, r, i, rate)
		rows[k] = x
	}
	return rows
}

// serve draws which model answers query i, and sets what was recorded of it.
func (f *fitted) serve(x *offpolicy.Row, r *rand.Rand, i int, rate float64) {
	n := float64(len(f.models))
	x.Propensity = 1 - rate + rate/n
	if pick := r.IntN(len(f.models)); r.Float64() < rate && pick != x.Greedy {
		x.Action, x.Propensity = pick, rate/n
	}
	x.Score, x.Cost, x.OutputTokens = f.t.Set.Score.At(i, x.Action), f.t.Cost.At(i, x.Action), f.t.Set.OutputTokens.At(i, x.Action)
}

// worth returns what a policy is worth beyond the router's choices, on average over all
// the queries that are sent to it: in utility at a willingness to pay, quality and USD.
func (f *fitted) worth(target offpolicy.Policy, w, at float64) (utility, quality, cost float64) {
	n := float64(len(f.traffic))
	for _, i := range f.traffic {
		x := f.row(i, w)
		a, b := target(&x), x.Greedy
		quality += (f.t.Set.Score.At(i, a) - f.t.Set.Score.At(i, b)) / n
		cost += (f.t.Cost.At(i, a) - f.t.Cost.At(i, b)) / n
	}
	return carrot.Utility(quality, cost, at), quality, cost
}

// aiq returns the AIQ on the held-out rows, with corrected forecasts. Nil corrects
// nothing.
func (f *fitted) aiq(quality, tokens []float64) float64 {
	grid := frontier.Grid()
	q, c := make([][]float64, len(f.held)), make([][]float64, len(f.held))
	for k, i := range f.held {
		for m := range f.models {
			e := f.forecast[i].Forecasts[m]
			if quality != nil {
				e.Quality = min(max(e.Quality+quality[m], 0), 1)
				e.OutputTokens *= tokens[m]
			}
			q[k], c[k] = append(q[k], e.Quality), append(c[k], f.t.PredictedCost(i, m, &e))
		}
	}
	curve := f.t.Trace(f.held, len(grid), func(k, s int) int { return carrot.Choose(q[k], c[k], grid[s]) }).Curve(nil)
	return frontier.NewScale(f.t.Singles(f.held).Curve(nil)).Measure(curve).AIQ
}

// estimate is learn.Estimate on the models of the router.
func (f *fitted) estimate(rows []offpolicy.Row, use learn.Weights) (quality, tokens []float64) {
	l := learn.Estimate(rows, f.models, use)
	return l.Quality, l.Tokens
}

// most returns the model that the rows chose most often, of those that they chose.
func most(rows []offpolicy.Row, models int) int {
	count := make([]int, models)
	best := 0
	for i := range rows {
		count[rows[i].Greedy]++
		if count[rows[i].Greedy] > count[best] {
			best = rows[i].Greedy
		}
	}
	return best
}

func meanOf(v []float64) (sum float64) {
	for _, x := range v {
		sum += x / float64(len(v))
	}
	return sum
}

// absolute returns the mean of the absolute values.
func absolute(v []float64) (sum float64) {
	for _, x := range v {
		sum += math.Abs(x) / float64(len(v))
	}
	return sum
}
