package rivals

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/parallel"
)

// tuningFolds is how many folds settings are compared on.
const tuningFolds = 3

// Fit fits the method on d. If it has several settings, each predicts the queries
// out of fold, in three folds by the hash of the prompt; the one whose pooled
// curve has the highest AIQ (ties: the first) is then fitted on all queries.
// progress, if not nil, is told what Fit is doing.
func (m *Method) Fit(ctx context.Context, d *Data, progress func(string)) (*Router, error) {
	if progress == nil {
		progress = func(string) {}
	}
	if err := d.prepare(); err != nil {
		return nil, err
	}
	trials := m.trials(len(d.Models))
	chosen := 0
	if len(trials) > 1 {
		var err error
		if chosen, err = m.tune(ctx, d, trials, progress); err != nil {
			return nil, err
		}
		trials = m.trials(len(d.Models)) // fresh ones: those tried hold the fit of a fold
	}
	best := trials[chosen]
	progress("fitting " + best.String())
	if err := best.fit(ctx, d); err != nil {
		return nil, fmt.Errorf("fit %s: %w", m.Name, err)
	}
	return &Router{state: state{Method: m.Name, Setting: best.String(), Columns: d.Models, Dim: d.dense.Cols, Fitted: best}}, nil
}

// tune returns the index of the best trial.
func (m *Method) tune(ctx context.Context, d *Data, trials []model, progress func(string)) (int, error) {
	var fit [tuningFolds]*Data
	var held [tuningFolds][]int
	for f := range fit {
		var rows []int
		for i := range d.X {
			switch {
			case d.hash(i)/tuningFolds%tuningFolds != uint64(f):
				rows = append(rows, i)
			case d.isComplete(i):
				held[f] = append(held[f], i)
			}
		}
		if len(rows) == 0 || len(held[f]) == 0 {
			return 0, nil // too few queries to compare settings: keep the authors' defaults
		}
		var err error
		if fit[f], err = d.subset(rows); err != nil {
			return 0, nil // some model is only observed on the held-out queries
		}
	}
	aiq, errs := make([]float64, len(trials)), make([]error, len(trials))
	var mu sync.Mutex
	begun := 0
	parallel.Each(len(trials), func(k int) {
		mu.Lock()
		begun++
		progress(fmt.Sprintf("trial %d of %d: %s", begun, len(trials), trials[k]))
		mu.Unlock()
		aiq[k], errs[k] = try(ctx, d, trials[k], fit, held)
		trials[k] = nil // frees it: a fitted forest is large
	})
	if err := errors.Join(errs...); err != nil {
		return 0, fmt.Errorf("fit %s: %w", m.Name, err)
	}
	chosen := 0
	for k := range aiq {
		if aiq[k] > aiq[chosen] {
			chosen = k
		}
	}
	return chosen, ctx.Err()
}

// try returns the AIQ of a setting out of fold.
func try(ctx context.Context, d *Data, t model, fit [tuningFolds]*Data, held [tuningFolds][]int) (float64, error) {
	var out judged
	for f := range fit {
		if err := t.fit(ctx, fit[f]); err != nil {
			return 0, err
		}
		r := Router{state: state{Columns: d.Models, Dim: d.dense.Cols, Fitted: t}}
		if err := out.add(d, &r, held[f]); err != nil {
			return 0, err
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
	return out.aiq(d), nil
}

// judged holds a router's forecasts on some complete rows.
type judged struct {
	rows        []int
	worth, cost []float64 // a row of M for each
}

func (j *judged) add(d *Data, r *Router, rows []int) error {
	x, predictions := make([]carrot.Representation, len(rows)), make([]carrot.Prediction, len(rows))
	for k, i := range rows {
		x[k] = d.X[i]
	}
	if err := r.Predict(x, predictions); err != nil {
		return err
	}
	j.rows = append(j.rows, rows...)
	for k, i := range rows {
		for m := range d.Models {
			f := &predictions[k].Forecasts[m]
			j.worth, j.cost = append(j.worth, f.Quality), append(j.cost, d.PredictedCost(i, m, f))
		}
	}
	return nil
}

// aiq is the AIQ of the plug-in rule with these forecasts.
func (j *judged) aiq(d *Data) float64 {
	m := len(d.Models)
	outcome := func(k, c int) (float64, float64) {
		return d.CostUSD[j.rows[k]*m+c], d.Score[j.rows[k]*m+c]
	}
	grid := frontier.Grid()
	curve := frontier.NewTrace(len(j.rows), len(grid), func(k, s int) int {
		return carrot.Choose(j.worth[k*m:][:m], j.cost[k*m:][:m], grid[s])
	}, outcome).Curve(nil)
	scale := frontier.NewScale(frontier.NewTrace(len(j.rows), m, func(_, c int) int { return c }, outcome).Curve(nil))
	return frontier.AIQ(curve, scale.Low, scale.High)
}
