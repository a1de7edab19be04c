package calibration_test

import (
	"math"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/calibration"
	"github.com/carrot-router/carrot/table"
)

// Of two models with a cost on 1,000 queries, one stays within its quantile on 900, the
// other on 960; the cost of a third is never forecast.
func TestCostCoverage(t *testing.T) {
	const n = 1000
	tab := &table.Table{Set: &dataset.Set{InputTokens: dataset.NewMatrix(n+1, 3)}, Candidates: make([]carrot.Candidate, 3), Cost: dataset.NewMatrix(n+1, 3)}
	predictions := make([]carrot.Prediction, n+1) // that of the last query was not asked for
	var rows []int
	for i := range n + 1 {
		rows = append(rows, i)
	}
	for i := range n {
		predictions[i].Forecasts = []carrot.Forecast{{Direct: true, CostUSD: 1, CostUSDP90: 2}, {Direct: true, CostUSD: 1, CostUSDP90: 2}, {CostUnknown: true}}
		for m, within := range []int{900, 960, 0} {
			cost := 3.0
			if i < within {
				cost = 2
			}
			tab.Cost.Set(i, m, cost)
		}
	}
	c := calibration.CostCoverage(tab, rows, predictions)
	if math.Abs(c.Mean-0.93) > 1e-12 || c.Models != 2 || c.Outside != 1 || c.ByModel[0] != 0.9 || c.ByModel[1] != 0.96 || !math.IsNaN(c.ByModel[2]) {
		t.Errorf("%+v, want .9 and .96, which is outside the range of 99.9%%", c)
	}
}
