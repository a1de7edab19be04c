package rivals

import (
	"context"
	"fmt"
	"math"

	"github.com/carrot-router/carrot"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/optimize"
)

// classifier predicts which model is the best on a query by multinomial
// logistic regression, fitted as scikit-learn's LogisticRegression is. A model's
// worth is its probability, its cost is fixed. If several models have the highest
// score, LLMRouter takes the first as the class; Label has other choices.
type classifier struct {
	C     float64 // inverse regularisation
	Label label
	W     []float64 // M × (d+1), the intercept last
	Cost  []float64
}

// label says how a query is labelled if several models are the best on it.
type label string

const (
	firstBest    label = "first"    // the first of them in the pool
	cheapestBest label = "cheapest" // the cheapest of them
	everyBest    label = "every"    // all of them, in equal shares
)

func classifiers(int) []model {
	var out []model
	for _, s := range []classifier{{C: 1, Label: firstBest}, {C: 1, Label: cheapestBest}, {C: 0.1, Label: cheapestBest}, {C: 10, Label: cheapestBest},
		{C: 0.1, Label: everyBest}, {C: 1, Label: everyBest}, {C: 10, Label: everyBest}, {C: 0.01, Label: everyBest}} {
		out = append(out, &s)
	}
	return out
}

func (c *classifier) String() string { return fmt.Sprintf("label=%s:c=%g", c.Label, c.C) }

func (c *classifier) fit(ctx context.Context, d *Data) error {
	m := len(d.Models)
	c.Cost = d.meanCost
	rows := d.complete
	if len(rows) == 0 {
		return fmt.Errorf("classifier: no query was answered by every model")
	}
	x, y := make([]float64, 0, len(rows)*d.dense.Cols), make([]float64, len(rows)*m)
	for k, i := range rows {
		for _, v := range d.X[i].Dense {
			x = append(x, float64(v))
		}
		c.label(d.Score[i*m:][:m], d.CostUSD[i*m:][:m], y[k*m:][:m])
	}
	var err error
	c.W, err = fitLogistic(ctx, x, y, len(rows), d.dense.Cols, m, c.C)
	return err
}

// label writes the shares of the classes of one query.
func (c *classifier) label(score, cost, y []float64) {
	top := first(score)
	switch c.Label {
	case firstBest:
		y[top] = 1
	case cheapestBest:
		at := top
		for j, s := range score {
			if s == score[top] && cost[j] < cost[at] {
				at = j
			}
		}
		y[at] = 1
	case everyBest:
		count := 0.0
		for _, s := range score {
			if s == score[top] {
				count++
			}
		}
		for j, s := range score {
			if s == score[top] {
				y[j] = 1 / count
			}
		}
	}
}

func (c *classifier) forecast(x *carrot.Representation, w *workspace, out []carrot.Forecast) bool {
	d := len(x.Dense)
	w.sum = append(w.sum[:0], make([]float64, len(out))...)
	for j := range out {
		row := c.W[j*(d+1):][:d+1]
		w.sum[j] = row[d]
		for k, v := range x.Dense {
			w.sum[j] += row[k] * float64(v)
		}
	}
	softmax(w.sum)
	for j, p := range w.sum {
		out[j] = static(p, c.Cost[j])
	}
	return false
}

// softmax replaces logits by probabilities and returns the logarithm of the sum
// of the logits' exponentials.
func softmax(z []float64) float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range z {
		top = max(top, v)
	}
	for j, v := range z {
		z[j] = math.Exp(v - top)
		sum += z[j]
	}
	for j := range z {
		z[j] /= sum
	}
	return top + math.Log(sum)
}

// fitLogistic minimises C·Σ cross-entropy + ½|W|² by L-BFGS, without a penalty on
// the intercepts. x is n×d; y is n×m, and its rows sum to 1. It returns W,
// m × (d+1).
func fitLogistic(ctx context.Context, x, y []float64, n, d, m int, c float64) ([]float64, error) {
	features := blas64.General{Rows: n, Cols: d, Stride: d, Data: x}
	probability := make([]float64, n*m)
	p := blas64.General{Rows: n, Cols: m, Stride: m, Data: probability}
	scale := 1 / (c * float64(n)) // of the penalty, as the loss is a mean
	evaluate := func(grad, w []float64) float64 {
		var value float64
		weights := blas64.General{Rows: m, Cols: d, Stride: d + 1, Data: w}
		blas64.Gemm(blas.NoTrans, blas.Trans, 1, features, weights, 0, p)
		for i := range n {
			z := probability[i*m:][:m]
			for j := range z {
				z[j] += w[j*(d+1)+d]
				value -= y[i*m+j] * z[j]
			}
			value += softmax(z)
		}
		value /= float64(n)
		for j := range m {
			for _, v := range w[j*(d+1):][:d] {
				value += scale * v * v / 2
			}
		}
		if grad == nil {
			return value
		}
		for at := range probability {
			probability[at] = (probability[at] - y[at]) / float64(n)
		}
		blas64.Gemm(blas.Trans, blas.NoTrans, 1, p, features, 0, blas64.General{Rows: m, Cols: d, Stride: d + 1, Data: grad})
		for j := range m {
			row := grad[j*(d+1):][:d+1]
			row[d] = 0
			for i := range n {
				row[d] += probability[i*m+j]
			}
			for k := range d {
				row[k] += scale * w[j*(d+1)+k]
			}
		}
		return value
	}
	problem := optimize.Problem{
		Func:   func(w []float64) float64 { return evaluate(nil, w) },
		Grad:   func(grad, w []float64) { evaluate(grad, w) },
		Status: func() (optimize.Status, error) { return optimize.NotTerminated, ctx.Err() },
	}
	result, err := optimize.Minimize(problem, make([]float64, m*(d+1)),
		&optimize.Settings{GradientThreshold: 1e-6, MajorIterations: 300, Converger: optimize.NeverTerminate{}}, &optimize.LBFGS{})
	if result == nil || result.X == nil || ctx.Err() != nil {
		return nil, fmt.Errorf("logistic regression: %w", err)
	}
	return result.X, nil // an error of the line search means that it cannot improve further
}
