package train

import (
	"math"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/calibration"
	"github.com/carrot-router/carrot/internal/plan"
	"github.com/carrot-router/carrot/table"
)

// metrics returns the figures that are recorded in an artefact. predictions[k] is
// for rows[k] and should be out of fold. The figures come from the complete rows;
// there are none without any. Figures that are not finite are left out.
func metrics(t *table.Table, rows []int, predictions []carrot.Prediction) map[string]float64 {
	out := map[string]float64{}
	complete := t.CompleteOf(rows)
	if len(complete) == 0 || len(t.Unpriced()) == len(t.Candidates) {
		return out
	}
	all := make([]carrot.Prediction, len(t.X))
	for k, i := range rows {
		all[i] = predictions[k]
	}
	out = curveMetrics(t, rows, predictions, nil)
	c := calibration.Of(t, complete, all)
	for name, v := range map[string]float64{"brier": c.Brier, "ece": c.ECE, "r2": c.R2,
		"output_tokens_p90_coverage": c.OutputTokensP90, "output_tokens_mae": c.OutputTokensMAE, "quality_z_variance": c.QualityZ} {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out[name] = v
		}
	}
	return out
}

// curveMetrics returns those of the figures that come from the choices of a router, which
// may choose plans if there are some.
func curveMetrics(t *table.Table, rows []int, predictions []carrot.Prediction, plans *plan.Outcomes) map[string]float64 {
	out, complete := map[string]float64{}, t.CompleteOf(rows)
	if len(complete) == 0 || len(t.Unpriced()) == len(t.Candidates) {
		return out
	}
	j := &judged{t: t}
	for k, i := range rows {
		if t.Complete(i) {
			j.add(i, k, t.Observed(i))
		}
	}
	singles := t.Singles(complete).Curve(nil)
	scale := frontier.NewScale(singles)
	m := scale.Measure(j.traceWith(predictions, plans).Curve(nil))
	zero, oracle := scale.Measure(singles).AIQ, scale.Measure(t.Oracle(complete).Curve(nil)).AIQ
	for name, v := range map[string]float64{"queries": float64(len(complete)), "aiq": m.AIQ, "peak": m.Peak, "qnc": m.QNC, "cost95": m.Cost95,
		"gap_closed": frontier.GapClosed(m.AIQ, zero, oracle)} {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out[name] = v
		}
	}
	return out
}
