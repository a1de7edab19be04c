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

// Coverage is the share of calls that cost no more than the 90% quantile of their cost.
type Coverage struct {
	Mean    float64   // over models; NaN if no quantile is forecast
	ByModel []float64 // NaN for a model without one
	// Outside is the number of models whose share is not where 99.9% of such shares lie if
	// the quantile is right and queries are alike; Models is the number of shares.
	Outside, Models int
}

// CostCoverage compares the 90% quantiles of costs with what calls cost, on all of the rows
// on which that was observed.
func CostCoverage(t *table.Table, rows []int, predictions []carrot.Prediction) Coverage {
	var c Coverage
	for m := range t.Candidates {
		var within, calls float64
		for _, i := range rows {
			usd := t.Cost.At(i, m)
			if len(predictions[i].Forecasts) == 0 { // no answer was asked for
				continue
			}
			if p90, ok := costP90(t, i, m, &predictions[i].Forecasts[m]); ok && !math.IsNaN(usd) {
				calls++
				if usd <= p90 {
					within++
				}
			}
		}
		share := within / calls
		c.ByModel = append(c.ByModel, share)
		if calls == 0 {
			continue
		}
		c.Mean += share
		c.Models++
		if b := band(int(calls), 0.9, 0.999); share < b[0] || share > b[1] {
			c.Outside++
		}
	}
	c.Mean /= float64(c.Models)
	return c
}

// costP90 returns the 90% quantile of the cost of a call in USD. ok is false if none is
// forecast. A millionth is for rounding.
func costP90(t *table.Table, i, m int, f *carrot.Forecast) (usd float64, ok bool) {
	in := t.Set.InputTokens.At(i, m)
	if t.PerCall != nil || !(f.OutputTokensP90 > 0 || f.CostUSDP90 > 0) || !f.Direct && math.IsNaN(in) {
		return 0, false
	}
	input := 0 // of no effect on a cost that is forecast itself
	if !math.IsNaN(in) {
		input = int(math.Round(in))
	}
	e, err := t.Candidates[m].Estimate(&carrot.Query{InputTokens: input}, f)
	if err != nil || e.CostUnknown {
		return 0, false
	}
	return e.CostP90.Float() * (1 + 1e-6), true
}

// band returns the shares of n draws, each with probability p, between which the share
// lies with the probability level, as nearly as whole draws allow.
func band(n int, p, level float64) [2]float64 {
	if n == 0 {
		return [2]float64{math.NaN(), math.NaN()}
	}
	choose := func(k int) float64 {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(k + 1))
		c, _ := math.Lgamma(float64(n - k + 1))
		return a - b - c
	}
	below, low, high := 0.0, -1, n
	for k := range n + 1 {
		mass := math.Exp(choose(k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
		below += mass
		if low < 0 && below > (1-level)/2 {
			low = k
		}
		if below >= 1-(1-level)/2 {
			high = k
			break
		}
	}
	return [2]float64{float64(low) / float64(n), float64(high) / float64(n)}
}
