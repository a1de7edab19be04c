package eval

import (
	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/calibration"
	"github.com/carrot-router/carrot/table"
)

// Calibration compares predictions with outcomes, over all queries and models.
type Calibration struct {
	Brier Number `json:"brier"` // mean squared error of quality
	// ECE is the expected calibration error of quality, over 15 bins of equal
	// width.
	ECE Number `json:"ece"`
	// R2 of quality: the mean over models.
	R2 Number `json:"r2"`
	// OutputTokensMAE is the mean absolute error of the output tokens. It and
	// the next three are null for a router that does not forecast tokens.
	OutputTokensMAE Number `json:"output_tokens_mae"`
	// OutputTokensRelativeMAE is the same, over the mean observed.
	OutputTokensRelativeMAE Number `json:"output_tokens_relative_mae"`
	// OutputTokensBias is the mean predicted over the mean observed, less 1.
	OutputTokensBias Number `json:"output_tokens_bias"`
	// OutputTokensP90 is the share of answers within the 90% quantile.
	OutputTokensP90 Number `json:"output_tokens_p90_coverage"`
	// QualityZ is the mean squared residual of quality over the squared total
	// deviation (standard error and noise). It is 1 if these are right.
	// Forecasts without a deviation are left out.
	QualityZ Number `json:"quality_z_variance"`
	// CostBias is the mean predicted cost over the mean observed, less 1.
	CostBias Number `json:"cost_bias"`
	// CostRelativeMAE is the mean absolute error of the cost over the mean
	// observed.
	CostRelativeMAE Number `json:"cost_relative_mae"`
	// CostRankCorrelation is Spearman's, over all queries and models.
	CostRankCorrelation Number `json:"cost_rank_correlation"`
	// CostP90 is the share of calls that cost at most the 90% quantile of their cost: the
	// mean over models, and then for each, in the order of the report. It also counts
	// queries on which other models were not observed. CostP90Outside is the number of models
	// whose share is outside the range in which 99.9% of such shares are if the quantile is
	// right.
	CostP90        Number   `json:"cost_p90_coverage"`
	CostP90ByModel []Number `json:"cost_p90_coverage_by_model,omitempty"`
	CostP90Outside int      `json:"cost_p90_outside"`
	// Reliability has the bins of ECE that are not empty.
	Reliability []ReliabilityBin `json:"reliability"`
}

// ReliabilityBin is a bin of forecasts of quality.
type ReliabilityBin struct {
	Count     int     `json:"count"`
	Predicted float64 `json:"predicted"`
	Observed  float64 `json:"observed"`
}

// calibrate compares the predictions with the outcomes on complete rows, and costs on
// all.
func calibrate(t *table.Table, complete, all []int, predictions []carrot.Prediction) *Calibration {
	f, costs := calibration.Of(t, complete, predictions), calibration.CostCoverage(t, all, predictions)
	c := &Calibration{
		Brier:                   number(f.Brier),
		ECE:                     number(f.ECE),
		R2:                      number(f.R2),
		OutputTokensMAE:         number(f.OutputTokensMAE),
		OutputTokensRelativeMAE: number(f.OutputTokensRelativeMAE),
		OutputTokensBias:        number(f.OutputTokensBias),
		OutputTokensP90:         number(f.OutputTokensP90),
		QualityZ:                number(f.QualityZ),
		CostBias:                number(f.CostBias),
		CostRelativeMAE:         number(f.CostRelativeMAE),
		CostRankCorrelation:     number(f.CostRankCorrelation),
		CostP90:                 number(costs.Mean),
		CostP90ByModel:          numbers(costs.ByModel),
		CostP90Outside:          costs.Outside,
		Reliability:             []ReliabilityBin{},
	}
	for _, b := range f.Reliability {
		c.Reliability = append(c.Reliability, ReliabilityBin(b))
	}
	return c
}
