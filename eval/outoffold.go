package eval

import (
	"context"
	"math"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/table"
)

// OutOfFoldMetrics returns the figures of out-of-fold predictions, one for each
// of rows, on the queries on which the whole pool was observed: aiq, peak, qnc,
// cost95 and the calibration. It is empty where there is no such query, and
// leaves out what is not finite.
func OutOfFoldMetrics(ctx context.Context, t *table.Table, rows []int, predictions []carrot.Prediction) map[string]float64 {
	e := NewEntry("router", t)
	for k, i := range rows {
		e.Set(i, predictions[k])
	}
	r, err := Compare(ctx, t, rows, []*Entry{e}, nil, Options{})
	if err != nil {
		return map[string]float64{}
	}
	l, c := r.Routers[0], r.Routers[0].Calibration
	out := map[string]float64{"queries": float64(r.Queries)}
	for name, v := range map[string]Number{"aiq": l.AIQ, "peak": l.Peak, "qnc": l.QNC, "cost95": l.Cost95, "gap_closed": l.GapClosed,
		"brier": c.Brier, "ece": c.ECE, "r2": c.R2, "output_tokens_p90_coverage": c.OutputTokensP90, "output_tokens_mae": c.OutputTokensMAE,
		"quality_z_variance": c.QualityZ} {
		if v := float64(v); !math.IsNaN(v) && !math.IsInf(v, 0) {
			out[name] = v
		}
	}
	return out
}

// ModelSummary is what was observed of one model and how well its output
// tokens were predicted.
type ModelSummary struct {
	Observed  int     // queries with a score
	MeanScore float64 // over them
	// TokensP90 is the share of output tokens within the 90% quantile; NaN
	// where none were observed.
	TokensP90 float64
}

// Summarize summarises model m over rows; predictions has one for each.
func Summarize(t *table.Table, rows []int, predictions []carrot.Prediction, m int) ModelSummary {
	var s ModelSummary
	var within, tokens float64
	for k, i := range rows {
		if y := t.Set.Score.At(i, m); !math.IsNaN(y) {
			s.Observed++
			s.MeanScore += y
		}
		if out := t.Set.OutputTokens.At(i, m); !math.IsNaN(out) {
			tokens++
			if out <= predictions[k].Forecasts[m].OutputTokensP90 {
				within++
			}
		}
	}
	s.MeanScore /= float64(max(s.Observed, 1))
	s.TokensP90 = within / tokens
	return s
}
