package train

import (
	"context"
	"fmt"
	"math"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/plan"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

// labelled leaves out plans of which too little is known, and warns of them.
func labelled(t *table.Table, rows []int, plans []plan.Plan, warn func(string)) (kept []plan.Plan, err error) {
	if len(plans) == 0 {
		return nil, nil
	}
	outcomes, err := plan.NewOutcomes(t, plans)
	if err != nil {
		return nil, err
	}
	for k, p := range plans {
		if n := outcomes.Labels(k, rows); n < plan.LeastLabels {
			if warn != nil {
				warn(fmt.Sprintf("plan %s is left out: its first answer is kept and scored on %s, and fewer than %d do not tell how often it is right",
					p, phrase.Count(n, "query"), plan.LeastLabels))
			}
			continue
		}
		kept = append(kept, p)
	}
	return kept, nil
}

// addPlans adds plans to a fitted predictor, and says in the manifest what a router
// reaches that may choose them too.
func addPlans(ctx context.Context, m *artifact.Manifest, t *table.Table, rows []int, p *predict.Predictor, plans []plan.Plan, say func(string)) error {
	outcomes, err := plan.NewOutcomes(t, plans)
	if err != nil {
		return err
	}
	if err := outcomes.Attach(ctx, p, rows, say); err != nil {
		return err
	}
	predictions := p.OutOfFold().Predictions(0)
	m.PlanFrontier, m.PlanMetrics = frontierOf(t, rows, predictions, outcomes).Points, curveMetrics(t, rows, predictions, outcomes)
	for k, one := range plans {
		out := artifact.Model{Name: one.String(), Steps: make([]carrot.Step, len(one.Models))}
		tokens, usd := make([]float64, len(one.Models)), make([]float64, len(one.Models))
		var within, costs float64
		for n, i := range rows {
			cost, score := outcomes.At(i, k)
			if t.Set.Queries[i].Split == dataset.SplitExtra || math.IsNaN(score) {
				continue
			}
			out.Observed++
			out.MeanScore += score
			for s, call := range outcomes.Calls(i, k) {
				out.Steps[s].Called += call.Calls
				tokens[s] += call.OutputTokens
				usd[s] += call.CostUSD
			}
			if !math.IsNaN(cost) {
				costs++
				ratio := predictions[n].Forecasts[len(t.Candidates)+k].CostRatioP90
				if cost <= ratio*outcomes.PredictedCost(i, k, &predictions[n], outcomes.Columns()) {
					within++
				}
			}
		}
		observed := float64(max(out.Observed, 1))
		out.MeanScore /= observed
		for s := range out.Steps {
			step := &out.Steps[s]
			step.Model = one.Models[s]
			if step.Called > 0 && !math.IsNaN(tokens[s]) {
				step.OutputTokens = tokens[s] / step.Called
			}
			if step.Called > 0 && !math.IsNaN(usd[s]) {
				step.Cost = carrot.Dollars(usd[s] / step.Called)
			}
			step.Called /= observed
		}
		if costs > 0 {
			share := within / costs
			out.CostP90 = &share
		}
		m.Plans = append(m.Plans, out)
	}
	return nil
}
