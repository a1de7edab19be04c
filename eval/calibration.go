package eval

import (
	"math"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/table"
)

// Calibration compares predictions with outcomes, over all queries and models.
type Calibration struct {
	Brier Number `json:"brier"` // mean squared error of quality
	// ECE is the expected calibration error of quality over 15 bins of equal
	// width.
	ECE Number `json:"ece"`
	// R2 of quality: the mean over models.
	R2 Number `json:"r2"`
	// OutputTokensMAE is the mean absolute error of the output tokens; null,
	// as the next four, for a router that does not forecast them.
	OutputTokensMAE Number `json:"output_tokens_mae"`
	// OutputTokensRelativeMAE is the same over the mean observed.
	OutputTokensRelativeMAE Number `json:"output_tokens_relative_mae"`
	// OutputTokensBias is the mean predicted over the mean observed, less 1.
	OutputTokensBias Number `json:"output_tokens_bias"`
	// OutputTokensP90 is the share of outcomes within the 90% quantile.
	OutputTokensP90 Number `json:"output_tokens_p90_coverage"`
	// QualityZ is the mean squared residual of quality over the squared
	// total deviation (standard error and noise): 1 if both mean what they say.
	// Forecasts without deviation are left out.
	QualityZ Number `json:"quality_z_variance"`
	// CostBias is the mean predicted cost over the mean observed, less 1.
	CostBias Number `json:"cost_bias"`
	// CostRelativeMAE is the mean absolute error of the cost over its mean.
	CostRelativeMAE Number `json:"cost_relative_mae"`
	// CostRankCorrelation is Spearman's, over all queries and models.
	CostRankCorrelation Number `json:"cost_rank_correlation"`
	// Reliability has the bins of ECE.
	Reliability []ReliabilityBin `json:"reliability"`
}

// ReliabilityBin is a bin of quality that is not empty.
type ReliabilityBin struct {
	Count     int     `json:"count"`
	Predicted float64 `json:"predicted"`
	Observed  float64 `json:"observed"`
}

// calibrationBins are the bins of ECE.
const calibrationBins = 15

// sample is predictions beside what was observed.
type sample struct{ predicted, observed []float64 }

func (s *sample) add(predicted, observed float64) {
	s.predicted, s.observed = append(s.predicted, predicted), append(s.observed, observed)
}

// calibrate fills a Calibration from the predictions on rows.
func calibrate(t *table.Table, rows []int, predictions []carrot.Prediction) Calibration {
	var quality, tokens, p90, cost sample
	var z, uncertain, r2 float64
	models := len(t.Set.Models)
	for m := range models {
		var own sample
		for _, i := range rows {
			f, y := &predictions[i].Forecasts[m], t.Set.Score.At(i, m)
			own.add(f.Quality, y)
			if v := f.QualitySE*f.QualitySE + f.QualityNoise*f.QualityNoise; v > 0 {
				z += (f.Quality - y) * (f.Quality - y) / v
				uncertain++
			}
			cost.add(t.PredictedCost(i, m, f), t.Cost.At(i, m))
			if out := t.Set.OutputTokens.At(i, m); !math.IsNaN(out) && !f.Direct {
				tokens.add(f.OutputTokens, out)
				p90.add(f.OutputTokensP90, out)
			}
		}
		r2 += frontier.R2(own.predicted, own.observed) / float64(models)
		quality.predicted, quality.observed = append(quality.predicted, own.predicted...), append(quality.observed, own.observed...)
	}
	c := Calibration{
		Brier:                   Number(frontier.Brier(quality.predicted, quality.observed)),
		ECE:                     Number(frontier.ECE(quality.predicted, quality.observed, calibrationBins)),
		R2:                      Number(r2),
		OutputTokensMAE:         Number(frontier.MAE(tokens.predicted, tokens.observed)),
		OutputTokensRelativeMAE: Number(frontier.RelativeMAE(tokens.predicted, tokens.observed)),
		OutputTokensBias:        Number(frontier.Bias(tokens.predicted, tokens.observed)),
		OutputTokensP90:         Number(frontier.Coverage(p90.predicted, p90.observed)),
		QualityZ:                Number(z / uncertain),
		CostBias:                Number(frontier.Bias(cost.predicted, cost.observed)),
		CostRelativeMAE:         Number(frontier.RelativeMAE(cost.predicted, cost.observed)),
		CostRankCorrelation:     Number(frontier.RankCorrelation(cost.predicted, cost.observed)),
		Reliability:             []ReliabilityBin{},
	}
	for _, b := range frontier.Reliability(quality.predicted, quality.observed, calibrationBins) {
		if b.Count > 0 {
			c.Reliability = append(c.Reliability, ReliabilityBin(b))
		}
	}
	return c
}
