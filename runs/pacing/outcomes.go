package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
	"github.com/carrot-router/carrot/train"
)

// outcomes are queries with what is forecast and what is recorded of every model.
// Rows are queries, columns are models. Costs are in USD.
type outcomes struct {
	name          string
	models        []string
	quality, cost [][]float64 // forecasts
	score, paid   [][]float64 // recorded

	objective string
	base      float64 // the policy's willingness to pay, in USD per unit of quality
}

// forecast makes the forecasts of each fold with a predictor that is fitted on the
// others. Rows marked test are left out, and so are queries on which a model of the
// pool was not observed.
func forecast(ctx context.Context, set *dataset.Set, embedder carrot.Embedder, spec predict.Spec, policy carrot.Objective, folds int, say func(string)) (*outcomes, error) {
	set = set.Subset(table.Trainable(set), nil)
	t, err := table.New(ctx, set, embedder, table.Options{})
	if err != nil {
		return nil, err
	}
	fit, held := make([][]int, folds), make([][]int, folds)
	for i := range set.Queries {
		for f := range folds {
			if dataset.Fold(set.Queries[i].Prompt, folds) == f {
				held[f] = append(held[f], i)
			} else {
				fit[f] = append(fit[f], i)
			}
		}
	}
	predictions := make([]carrot.Prediction, len(t.X))
	for f := range folds {
		if len(held[f]) == 0 {
			continue
		}
		say(fmt.Sprintf("%s: fold %d of %d", set.Name, f+1, folds))
		p, err := train.Fit(ctx, t, fit[f], spec, nil)
		if err != nil {
			return nil, err
		}
		x, out := make([]carrot.Representation, len(held[f])), make([]carrot.Prediction, len(held[f]))
		for k, i := range held[f] {
			x[k] = t.X[i]
		}
		if err := p.Predict(x, out); err != nil {
			return nil, err
		}
		for k, i := range held[f] {
			predictions[i] = out[k]
		}
	}
	rows := table.Trainable(set)
	o := &outcomes{name: set.Name, models: t.ModelNames(), objective: policy.String()}
	if o.base, err = policy.Resolve(train.Frontier(t, rows, predictions)); err != nil {
		return nil, err
	}
	if math.IsInf(o.base, 1) || o.base <= 0 {
		return nil, fmt.Errorf("objective %s has no willingness to pay that could be multiplied", policy)
	}
	for _, i := range t.CompleteOf(rows) {
		var quality, cost []float64
		for m := range o.models {
			f := &predictions[i].Forecasts[m]
			quality, cost = append(quality, f.Quality), append(cost, t.PredictedCost(i, m, f))
		}
		o.quality, o.cost = append(o.quality, quality), append(o.cost, cost)
		o.score, o.paid = append(o.score, t.Set.Score.Row(i)), append(o.paid, t.Cost.Row(i))
	}
	if len(o.score) == 0 {
		return nil, errors.New("no query has a score and a cost of every model")
	}
	return o, nil
}

// choose returns the model that the router chooses for a query.
func (o *outcomes) choose(row int, w float64) int {
	return carrot.Choose(o.quality[row], o.cost[row], w)
}
