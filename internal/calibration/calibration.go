// Package calibration compares forecasts with what was observed.
package calibration

import (
	"math"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/table"
)

// Figures are over all queries and models, unless a comment says otherwise. A
// figure is NaN if there is nothing to compute it from.
type Figures struct {
	Brier float64 // mean squared error of quality
	ECE   float64 // expected calibration error of quality, over the bins of Reliability
	R2    float64 // of quality: the mean over models

	OutputTokensMAE         float64 // mean absolute error
	OutputTokensRelativeMAE float64 // the same over the mean observed
	OutputTokensBias        float64 // mean predicted over mean observed, less 1
	OutputTokensP90         float64 // share of answers within the 90% quantile

	// QualityZ is the mean squared residual of quality over the squared total
	// deviation (standard error and noise), for forecasts that have one.
	QualityZ float64

	CostBias            float64 // mean predicted over mean observed, less 1
	CostRelativeMAE     float64 // mean absolute error over the mean observed
	CostRankCorrelation float64 // Spearman's

	Reliability []frontier.Bin // of quality, without empty ones
}

// bins is the number of bins of quality, of equal width.
const bins = 15

// sample holds predictions beside what was observed.
type sample struct{ predicted, observed []float64 }

func (s *sample) add(predicted, observed float64) {
	s.predicted, s.observed = append(s.predicted, predicted), append(s.observed, observed)
}

// Of compares predictions, one for each query of the table, with the outcomes on
// rows. Every model must have a score on each of these.
func Of(t *table.Table, rows []int, predictions []carrot.Prediction) Figures {
	var quality, tokens, p90, cost sample
	var z, uncertain, r2 float64
	for m := range t.Candidates {
		var own sample
		for _, i := range rows {
			f, y := &predictions[i].Forecasts[m], t.Set.Score.At(i, m)
			own.add(f.Quality, y)
			if v := f.QualitySE*f.QualitySE + f.QualityNoise*f.QualityNoise; v > 0 {
				z += (f.Quality - y) * (f.Quality - y) / v
				uncertain++
			}
			if usd := t.Cost.At(i, m); !math.IsNaN(usd) && (t.PerCall != nil || !f.CostUnknown) {
				cost.add(t.PredictedCost(i, m, f), usd)
			}
			if out := t.Set.OutputTokens.At(i, m); !math.IsNaN(out) && !f.Direct && !f.CostUnknown {
				tokens.add(f.OutputTokens, out)
				p90.add(f.OutputTokensP90, out)
			}
		}
		r2 += frontier.R2(own.predicted, own.observed) / float64(len(t.Candidates))
		quality.predicted, quality.observed = append(quality.predicted, own.predicted...), append(quality.observed, own.observed...)
	}
	return Figures{
		Brier:                   frontier.Brier(quality.predicted, quality.observed),
		ECE:                     frontier.ECE(quality.predicted, quality.observed, bins),
		R2:                      r2,
		OutputTokensMAE:         frontier.MAE(tokens.predicted, tokens.observed),
		OutputTokensRelativeMAE: frontier.RelativeMAE(tokens.predicted, tokens.observed),
		OutputTokensBias:        frontier.Bias(tokens.predicted, tokens.observed),
		OutputTokensP90:         frontier.Coverage(p90.predicted, p90.observed),
		QualityZ:                z / uncertain,
		CostBias:                frontier.Bias(cost.predicted, cost.observed),
		CostRelativeMAE:         frontier.RelativeMAE(cost.predicted, cost.observed),
		CostRankCorrelation:     frontier.RankCorrelation(cost.predicted, cost.observed),
		Reliability: slices.DeleteFunc(frontier.Reliability(quality.predicted, quality.observed, bins),
			func(b frontier.Bin) bool { return b.Count == 0 }),
	}
}
