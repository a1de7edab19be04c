// Package eval runs routers over recorded outcomes and says how good they
// are: curves, AIQ and the other metrics of package frontier with bootstrap
// intervals, paired differences and calibration.
//
// A router is given as its predictions, one per query: [OutOfFold] and
// [LeaveOut] make honest ones by fitting without the queries they predict,
// [Split] fits on the other rows and predicts a split. [Compare] measures
// routers on the queries on which the whole pool was observed.
package eval

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/train"
)

// Entry is one router on the queries of a task.
type Entry struct {
	Name string
	// Task holds the data and the prices; all entries of a comparison share
	// its outcomes and may differ in their representations.
	Task *train.Task
	// Predictions has one per query of the task; those outside the compared
	// rows are ignored.
	Predictions []carrot.Prediction
}

// fitMissing predicts the rows of each part by a predictor fitted on the
// trainable rows of the others.
func fitMissing(ctx context.Context, t *train.Task, spec predict.Spec, rows []int, part func(row int) int, parts int, progress func(string)) ([]carrot.Prediction, error) {
	out := make([]carrot.Prediction, len(t.X))
	for f := range parts {
		var fit, held []int
		for _, i := range rows {
			if part(i) == f {
				held = append(held, i)
			} else {
				fit = append(fit, i)
			}
		}
		if len(held) == 0 {
			continue
		}
		if len(fit) == 0 {
			return nil, errors.New("all queries are in one part: nothing is left to fit on")
		}
		say := func(s string) { progress(fmt.Sprintf("part %d of %d: %s", f+1, parts, s)) }
		if err := fitPredict(ctx, t, spec, fit, held, out, say); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fitPredict fits on some rows and writes the predictions of others to out.
func fitPredict(ctx context.Context, t *train.Task, spec predict.Spec, fit, held []int, out []carrot.Prediction, progress func(string)) error {
	p, err := t.Fit(ctx, fit, spec, progress)
	if err != nil {
		return err
	}
	x, predictions := make([]carrot.Representation, len(held)), make([]carrot.Prediction, len(held))
	for k, i := range held {
		x[k] = t.X[i]
	}
	if err := p.Predict(x, predictions); err != nil {
		return err
	}
	for k, i := range held {
		out[i] = predictions[k]
	}
	return nil
}

// OutOfFold predicts every row by a predictor fitted on the other folds; folds
// go by prompt hash. Rows marked test are left out.
func OutOfFold(ctx context.Context, t *train.Task, spec predict.Spec, folds int, progress func(string)) ([]carrot.Prediction, error) {
	rows := train.Trainable(t.Set)
	return fitMissing(ctx, t, spec, rows, func(i int) int { return dataset.Fold(t.Set.Queries[i].Prompt, folds) }, folds, progress)
}

// LeaveOut predicts every row by a predictor fitted on the other sources: how
// a router fares on a subject it never saw. Rows marked test are left out.
func LeaveOut(ctx context.Context, t *train.Task, spec predict.Spec, progress func(string)) ([]carrot.Prediction, error) {
	rows := train.Trainable(t.Set)
	number := map[string]int{}
	for _, i := range rows {
		if s := t.Set.Queries[i].Source; number[s] == 0 {
			number[s] = len(number) + 1
		}
	}
	if len(number) < 2 {
		return nil, fmt.Errorf("data set %s has %d source: leaving one out needs two", t.Set.Name, len(number))
	}
	return fitMissing(ctx, t, spec, rows, func(i int) int { return number[t.Set.Queries[i].Source] - 1 }, len(number), progress)
}

// Split predicts the rows of a split by a predictor fitted on all rows outside
// it that are not marked test. It returns no predictions where there are none.
func Split(ctx context.Context, t *train.Task, spec predict.Spec, split dataset.Split, progress func(string)) ([]carrot.Prediction, error) {
	var fit []int
	for _, i := range train.Trainable(t.Set) {
		if t.Set.Queries[i].Split != split {
			fit = append(fit, i)
		}
	}
	if len(fit) == 0 {
		return nil, nil
	}
	out := make([]carrot.Prediction, len(t.X))
	return out, fitPredict(ctx, t, spec, fit, t.Set.Rows(split), out, progress)
}

// Calibration compares predictions with outcomes, over all queries and models.
type Calibration struct {
	Brier float64 `json:"brier"` // mean squared error of quality
	// ECE is the expected calibration error of quality over 15 bins of equal
	// width.
	ECE float64 `json:"ece"`
	// R2 of quality: the mean over models of 1 - squared error / variance.
	R2 float64 `json:"r2"`
	// OutputTokensMAE is the mean absolute error of the output tokens.
	OutputTokensMAE float64 `json:"output_tokens_mae"`
	// OutputTokensBias is the mean predicted over the mean observed, less 1.
	OutputTokensBias float64 `json:"output_tokens_bias"`
	// OutputTokensP90 is the share of outcomes within the 90% quantile.
	OutputTokensP90 float64 `json:"output_tokens_p90_coverage"`
	// QualityZ is the mean squared residual of quality over the squared
	// total deviation (standard error and noise): 1 if both mean what they say.
	// Forecasts without deviation are left out.
	QualityZ float64 `json:"quality_z_variance"`
}

// calibrate fills a Calibration from the predictions on rows.
func calibrate(t *train.Task, rows []int, predictions []carrot.Prediction) Calibration {
	const bins = 15
	var c Calibration
	var n, uncertain, tokens, observed, predicted float64
	var count, sumQ, sumY [bins]float64
	models := len(t.Set.Models)
	r2 := 0.0
	for m := range models {
		var residual, sum, squares, k float64
		for _, i := range rows {
			f, y := &predictions[i].Forecasts[m], t.Set.Score.At(i, m)
			residual += (f.Quality - y) * (f.Quality - y)
			sum, squares, k = sum+y, squares+y*y, k+1
			if v := f.QualitySE*f.QualitySE + f.QualityNoise*f.QualityNoise; v > 0 {
				c.QualityZ += (f.Quality - y) * (f.Quality - y) / v
				uncertain++
			}
			bin := min(int(f.Quality*bins), bins-1)
			count[bin], sumQ[bin], sumY[bin] = count[bin]+1, sumQ[bin]+f.Quality, sumY[bin]+y
			n++
			if out := t.Set.OutputTokens.At(i, m); !math.IsNaN(out) && !f.Direct {
				tokens++
				observed, predicted = observed+out, predicted+f.OutputTokens
				c.OutputTokensMAE += math.Abs(out - f.OutputTokens)
				if out <= f.OutputTokensP90 {
					c.OutputTokensP90++
				}
			}
		}
		c.Brier += residual
		if spread := squares - sum*sum/k; spread > 0 {
			r2 += 1 - residual/spread
		} else if residual == 0 {
			r2++
		}
	}
	for b := range bins {
		if count[b] > 0 {
			c.ECE += math.Abs(sumQ[b]-sumY[b]) / n
		}
	}
	c.Brier, c.QualityZ, c.R2 = c.Brier/n, c.QualityZ/max(uncertain, 1), r2/float64(models)
	if tokens > 0 {
		c.OutputTokensMAE, c.OutputTokensP90 = c.OutputTokensMAE/tokens, c.OutputTokensP90/tokens
		c.OutputTokensBias = predicted/max(observed, 1) - 1
	}
	return c
}

// trace records the choices of a router on rows along the grid.
func (e *Entry) trace(rows []int) frontier.Trace {
	t, grid := e.Task, frontier.Grid()
	models := len(t.Set.Models)
	quality, cost := make([]float64, len(rows)*models), make([]float64, len(rows)*models)
	for k, i := range rows {
		for m := range models {
			f := &e.Predictions[i].Forecasts[m]
			quality[k*models+m], cost[k*models+m] = f.Quality, t.PredictedCost(i, m, f)
		}
	}
	return t.Trace(rows, len(grid), func(k, s int) int {
		return carrot.Choose(quality[k*models:][:models], cost[k*models:][:models], grid[s])
	})
}
