package predict

import (
	"math"
	"testing"

	"github.com/carrot-router/carrot"
)

// TestUnknownCosts: a model with scores alone has forecasts whose cost is
// unknown, as fitted, out of fold, restricted to some models and loaded again.
// A model whose tokens are all zero costs nothing, which is known.
func TestUnknownCosts(t *testing.T) {
	const unknown, silent = 1, 2
	for _, recorded := range []bool{false, true} {
		d, _ := world(200, 41)
		if recorded { // by other models
			d.CostUSD = make([]float64, len(d.Score))
		}
		for i := range d.X {
			d.OutputTokens[i*testModels+unknown], d.OutputTokens[i*testModels+silent] = math.NaN(), 0
			if recorded {
				for m := range testModels {
					d.CostUSD[i*testModels+m] = math.NaN()
				}
			}
		}
		for _, text := range conforming {
			t.Run(text, func(t *testing.T) {
				p := fit(t, text, d)
				reload := loaded(t, saved(t, p), p)
				for name, predictions := range map[string][]carrot.Prediction{
					"fitted": predictAll(t, p, d.X[:20]), "out of fold": p.OutOfFold().Predictions(0), "loaded": predictAll(t, reload, d.X[:20]),
				} {
					for _, prediction := range predictions {
						for m, f := range prediction.Forecasts {
							if f.CostUnknown != (m == unknown) {
								t.Fatalf("%s: model %d: %+v, want the cost of model %d alone unknown", name, m, f, unknown)
							}
						}
						if f := prediction.Forecasts[unknown]; f.Direct || f.OutputTokens != 0 || f.OutputTokensP90 != 0 || f.CostUSD != 0 || !(f.Quality > 0) {
							t.Fatalf("%s: %+v, want a quality and nothing of the cost", name, f)
						}
					}
				}
			})
		}
	}
}

// TestUnknownCostsAbstained: a query unlike any seen has an unknown cost, too.
func TestUnknownCostsAbstained(t *testing.T) {
	h := head{models: make([]calibration, 1)}
	h.models[0].fitVolume(nil, false)
	f := make([]carrot.Forecast, 1)
	h.apply(make([]float64, 3), make([]float64, 1), 0, f)
	if !f[0].CostUnknown {
		t.Errorf("apply = %+v, want an unknown cost", f[0])
	}
}
