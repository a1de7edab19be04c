package rivals

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/carrot-router/carrot"
)

// Neural is what all rivals that are networks have in common.
type Neural struct {
	Net    *network
	Cost   []float64
	Hidden int
	Epochs int
	Batch  int
	Rate   float64
	Decay  float64
	Noise  float64
}

func (n *Neural) String() string {
	s := fmt.Sprintf("hidden=%d:epochs=%d:decay=%g", n.Hidden, n.Epochs, n.Decay)
	if n.Noise > 0 {
		s += fmt.Sprintf(":noise=%g", n.Noise)
	}
	return s
}

func (n *Neural) training(d *Data) training {
	return training{rate: n.Rate, decay: n.Decay, batch: n.Batch, epochs: n.Epochs, noise: n.Noise, seed: d.Seed}
}

func (n *Neural) start(d *Data, outputs int, act activation) {
	n.Cost = d.meanCost
	n.Net = newNetwork(d.dense.Cols, n.Hidden, outputs, act, rand.New(rand.NewPCG(d.Seed, 0x77656967687473)))
}

// carrotMLP is CARROT's neural variant with a frozen encoder: one hidden layer,
// cross-entropy for the scores and squared error for the standardised logarithms
// of the output tokens (of the costs, if no tokens were recorded).
type carrotMLP struct {
	Neural
	Mean, Deviation []float64 // of the volumes
	Factor          []float64 // scales volumes to the right mean on the training queries
	Costs           bool
}

func carrotMLPs(int) []model {
	var out []model
	for _, s := range []Neural{
		{Hidden: 100, Epochs: 20}, {Hidden: 100, Epochs: 5}, {Hidden: 100, Epochs: 10, Decay: 1e-4}, {Hidden: 100, Epochs: 20, Decay: 1e-3},
		{Hidden: 200, Epochs: 20, Decay: 1e-3}, {Hidden: 50, Epochs: 40, Decay: 1e-3}, {Hidden: 100, Epochs: 60, Decay: 3e-3}, {Hidden: 50, Epochs: 100, Decay: 1e-3},
	} {
		s.Batch, s.Rate = 64, 1e-3
		out = append(out, &carrotMLP{Neural: s})
	}
	return out
}

func (c *carrotMLP) fit(ctx context.Context, d *Data) error {
	m := len(d.Models)
	c.start(d, 2*m, relu)
	volume := d.OutputTokens
	if c.Costs = d.forecastsCosts(); c.Costs {
		volume = make([]float64, len(d.CostUSD))
		for i, v := range d.CostUSD {
			volume[i] = v * 1e6 // in millionths, where log1p is not almost linear
		}
	}
	for j := range m { // so that the untrained network predicts about each model's mean
		p := min(max(d.meanScore[j], 1e-3), 1-1e-3)
		c.Net.B2[j] = float32(math.Log(p / (1 - p)))
	}
	target := make([]float64, len(volume))
	for i, v := range volume {
		target[i] = math.Log1p(v)
	}
	c.Mean, c.Deviation = d.means(target), make([]float64, m)
	for i := range target {
		target[i] -= c.Mean[i%m]
	}
	for j := range m {
		var squares, count float64
		for i := j; i < len(target); i += m {
			if !math.IsNaN(target[i]) {
				squares, count = squares+target[i]*target[i], count+1
			}
		}
		c.Deviation[j] = max(math.Sqrt(squares/max(count, 1)), 1e-9)
	}
	err := c.Net.train(ctx, d.dense, c.training(d), func(row int, out, grad []float32) {
		for j := range m {
			grad[j], grad[m+j] = 0, 0
			if y := d.Score[row*m+j]; !math.IsNaN(y) {
				grad[j] = sigmoid(out[j]) - float32(y)
			}
			if y := target[row*m+j] / c.Deviation[j]; !math.IsNaN(y) {
				grad[m+j] = out[m+j] - float32(y)
			}
		}
	})
	if err != nil {
		return err
	}
	c.calibrate(d, volume)
	return nil
}

// calibrate scales each model's volumes to the right mean, because the
// exponential of a mean logarithm is less than the mean.
func (c *carrotMLP) calibrate(d *Data, volume []float64) {
	m := len(d.Models)
	observed, predicted := make([]float64, m), make([]float64, m)
	var w workspace
	c.Factor = make([]float64, m)
	for i := range d.X {
		out := c.Net.outputs(d.X[i].Dense, &w)
		for j := range m {
			if y := volume[i*m+j]; !math.IsNaN(y) {
				observed[j] += y
				predicted[j] += c.volume(j, out[m+j])
			}
		}
	}
	for j := range m {
		c.Factor[j] = 1
		if predicted[j] > 0 {
			c.Factor[j] = observed[j] / predicted[j]
		}
	}
}

func (c *carrotMLP) volume(j int, out float32) float64 {
	return max(math.Expm1(min(c.Mean[j]+c.Deviation[j]*float64(out), 20)), 0)
}

func (c *carrotMLP) forecast(x *carrot.Representation, w *workspace, out []carrot.Forecast) bool {
	y := c.Net.outputs(x.Dense, w)
	for j := range out {
		q, v := float64(sigmoid(y[j])), c.Factor[j]*c.volume(j, y[len(out)+j])
		if c.Costs {
			out[j] = static(q, v/1e6)
		} else {
			out[j].Quality, out[j].OutputTokens, out[j].OutputTokensP90 = q, v, v
		}
	}
	return false
}

// benchMLP is RouterBench's network: squared error on the scores, with a fixed
// cost for each model. RouterBench has one network for each model; here the
// models share a hidden layer.
type benchMLP struct{ Neural }

func benchMLPs(int) []model {
	var out []model
	for _, s := range []Neural{
		{Hidden: 100, Epochs: 20, Decay: 1e-4}, {Hidden: 100, Epochs: 5, Decay: 1e-4}, {Hidden: 100, Epochs: 10, Decay: 1e-4},
		{Hidden: 100, Epochs: 20, Decay: 1e-3}, {Hidden: 200, Epochs: 10, Decay: 1e-3}, {Hidden: 100, Epochs: 10, Decay: 3e-3}, {Hidden: 100, Epochs: 40, Decay: 3e-3},
	} {
		s.Batch, s.Rate = 200, 1e-3 // scikit-learn's defaults
		out = append(out, &benchMLP{s})
	}
	return out
}

func (b *benchMLP) fit(ctx context.Context, d *Data) error {
	m := len(d.Models)
	b.start(d, m, relu)
	for j := range b.Net.B2 {
		b.Net.B2[j] = float32(d.meanScore[j])
	}
	return b.Net.train(ctx, d.dense, b.training(d), func(row int, out, grad []float32) {
		for j := range m {
			grad[j] = 0
			if y := d.Score[row*m+j]; !math.IsNaN(y) {
				grad[j] = out[j] - float32(y)
			}
		}
	})
}

func (b *benchMLP) forecast(x *carrot.Representation, w *workspace, out []carrot.Forecast) bool {
	for j, q := range b.Net.outputs(x.Dense, w) {
		out[j] = static(min(max(float64(q), 0), 1), b.Cost[j])
	}
	return false
}

// itemResponse is IRT-Router's MIRT: the probability of a right answer is
//
//	σ(Σ_k softplus(A·x)_k θ_mk - B·x)
//
// with the query's discrimination A·x and difficulty B·x and the model's
// ability θ_m. The authors compute θ from a text about the model; here it is a
// free parameter.
type itemResponse struct{ Neural }

func itemResponses(int) []model {
	var out []model
	for _, s := range []Neural{
		{Hidden: 25, Epochs: 9, Batch: 512}, {Hidden: 25, Epochs: 30, Batch: 128}, {Hidden: 10, Epochs: 30, Batch: 128}, {Hidden: 25, Epochs: 60, Batch: 128},
		{Hidden: 50, Epochs: 30, Batch: 128, Decay: 1e-4}, {Hidden: 25, Epochs: 60, Batch: 128, Decay: 1e-3}, {Hidden: 25, Epochs: 60, Batch: 64, Decay: 3e-4},
		{Hidden: 25, Epochs: 200, Batch: 64, Decay: 1e-3},
	} {
		s.Rate = 1e-3
		out = append(out, &itemResponse{s})
	}
	return out
}

func (r *itemResponse) String() string {
	return fmt.Sprintf("dimensions=%d:epochs=%d:batch=%d:decay=%g", r.Hidden, r.Epochs, r.Batch, r.Decay)
}

func (r *itemResponse) fit(ctx context.Context, d *Data) error {
	m := len(d.Models)
	r.start(d, m, softplus)
	r.Net.Skip = make([]float32, d.dense.Cols)
	t := r.training(d)
	t.frozenBias = true
	return r.Net.train(ctx, d.dense, t, func(row int, out, grad []float32) { crossEntropy(d.Score[row*m:][:m], out, grad) })
}

// crossEntropy is the gradient of the cross-entropy of scores, which may lie
// between 0 and 1.
func crossEntropy(score []float64, out, grad []float32) {
	for j, y := range score {
		grad[j] = 0
		if !math.IsNaN(y) {
			grad[j] = sigmoid(out[j]) - float32(y)
		}
	}
}

func (r *itemResponse) forecast(x *carrot.Representation, w *workspace, out []carrot.Forecast) bool {
	for j, v := range r.Net.outputs(x.Dense, w) {
		out[j] = static(float64(sigmoid(v)), r.Cost[j])
	}
	return false
}

// factorization is RouteLLM's matrix factorisation: a model's strength on a query
// is bilinear in the query's vector and the model's, and it beats another with
// probability σ(difference in strength). It is trained on all pairs of models
// with unequal scores; ties are dropped. With more than two models, a model's
// worth is its mean probability of beating another.
type factorization struct{ Neural }

func factorizations(int) []model {
	var out []model
	for _, s := range []Neural{
		{Hidden: 128, Epochs: 100, Decay: 1e-5, Noise: 0.1}, {Hidden: 128, Epochs: 10, Decay: 1e-5}, {Hidden: 32, Epochs: 30, Decay: 1e-5},
		{Hidden: 32, Epochs: 30, Decay: 1e-3}, {Hidden: 16, Epochs: 60, Decay: 1e-3}, {Hidden: 32, Epochs: 30, Decay: 3e-4, Noise: 0.05},
	} {
		s.Batch, s.Rate = 64, 3e-4
		out = append(out, &factorization{s})
	}
	return out
}

func (f *factorization) fit(ctx context.Context, d *Data) error {
	m := len(d.Models)
	f.start(d, m, identity)
	return f.Net.train(ctx, d.dense, f.training(d), func(row int, out, grad []float32) {
		clear(grad)
		score := d.Score[row*m:][:m]
		for a := range m {
			for b := range a {
				switch {
				case score[a] > score[b]:
					lost := sigmoid(out[b] - out[a])
					grad[a], grad[b] = grad[a]-lost, grad[b]+lost
				case score[b] > score[a]:
					lost := sigmoid(out[a] - out[b])
					grad[b], grad[a] = grad[b]-lost, grad[a]+lost
				}
			}
		}
		for j := range grad {
			grad[j] /= float32(max(m-1, 1))
		}
	})
}

func (f *factorization) forecast(x *carrot.Representation, w *workspace, out []carrot.Forecast) bool {
	strength := f.Net.outputs(x.Dense, w)
	for j := range out {
		out[j] = static(meanWin(strength, j), f.Cost[j])
	}
	return false
}

// meanWin is the mean probability that model j beats another, in the model of
// Bradley and Terry.
func meanWin(strength []float32, j int) float64 {
	if len(strength) == 1 {
		return 0.5
	}
	var sum float64
	for b, s := range strength {
		if b != j {
			sum += float64(sigmoid(strength[j] - s))
		}
	}
	return sum / float64(len(strength)-1)
}
