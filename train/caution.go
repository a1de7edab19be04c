package train

import (
	"context"
	"math"
	"slices"

	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

const (
	// fewSources is the fewest sources with which caution is chosen by leaving
	// sources out.
	fewSources = 5
	// defaultCaution is used where there are fewer.
	defaultCaution = 0.8
	// cautionLoss is the most AIQ that caution may cost on random folds.
	cautionLoss = 0.002
)

// cautions are the factors tried, mildest first.
var cautions = []float64{1, 0.9, 0.8, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3}

// chooseCaution chooses the factor by which quality estimates are shrunk towards
// each model's mean. With every source left out in turn, the best quality that
// routing reaches should not fall below the best single model's; on random
// folds AIQ may fall by at most cautionLoss. Among the factors that meet the
// second condition, it returns the mildest whose peak out of source is within
// rounding of the best such peak or reaches the best single's quality. Noise in
// the ranking costs more than it seems: out of domain, every learned router
// loses without this.
func chooseCaution(ctx context.Context, t *table.Table, p *predict.Predictor, rows []int) (float64, error) {
	group, parts := table.Sources(t.Set, rows)
	j := judge(t, rows)
	if parts < fewSources || len(j.rows) == 0 {
		return defaultCaution, nil
	}
	singles, best := j.singles()
	scale := frontier.NewScale(singles)
	inFold := p.OutOfFold()
	outOfSource, err := p.CrossFit(ctx, group, parts)
	if err != nil {
		return 0, err
	}
	type result struct{ caution, aiq, peak float64 }
	var results []result
	for _, c := range cautions {
		results = append(results, result{c,
			frontier.AIQ(j.trace(inFold.Predictions(c)).Curve(nil), scale.Low, scale.High),
			frontier.Peak(j.trace(outOfSource.Predictions(c)).Curve(nil))})
	}
	allowed := slices.DeleteFunc(slices.Clone(results), func(r result) bool { return r.aiq < results[0].aiq-cautionLoss })
	goal := math.Inf(-1)
	for _, r := range allowed {
		goal = max(goal, min(r.peak, best.Quality))
	}
	for _, r := range allowed {
		if r.peak >= goal-0.0002 {
			return r.caution, nil
		}
	}
	return defaultCaution, nil
}
