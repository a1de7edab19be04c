package rivals

import (
	"context"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// activation is the function that a hidden unit applies to its input.
type activation string

const (
	identity activation = "identity"
	relu     activation = "relu"
	softplus activation = "softplus"
)

// network maps a vector to Out numbers over one hidden layer:
//
//	out = act(x·W1 + B1)·W2 + B2 + (x·Skip)·1
//
// Skip adds the same linear term to all outputs; it is nil if there is none.
type network struct {
	In, Hidden, Out int
	Act             activation
	W1, B1, W2, B2  []float32
	Skip            []float32
}

// newNetwork draws the weights as scikit-learn's MLPs do: uniform within
// ±√(6/(in+out)).
func newNetwork(in, hidden, out int, act activation, random *rand.Rand) *network {
	draw := func(a, b int) []float32 {
		w, bound := make([]float32, a*b), math.Sqrt(6/float64(a+b))
		for i := range w {
			w[i] = float32((2*random.Float64() - 1) * bound)
		}
		return w
	}
	return &network{In: in, Hidden: hidden, Out: out, Act: act,
		W1: draw(in, hidden), B1: make([]float32, hidden), W2: draw(hidden, out), B2: make([]float32, out)}
}

func general(rows, cols int, data []float32) blas32.General {
	return blas32.General{Rows: rows, Cols: cols, Stride: max(cols, 1), Data: data[:rows*cols]}
}

// forward computes the outputs of a batch. It writes the hidden layer to hidden
// and its inputs to z.
func (n *network) forward(x blas32.General, z, hidden, out []float32) {
	b := x.Rows
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, x, general(n.In, n.Hidden, n.W1), 0, general(b, n.Hidden, z))
	for i := range b {
		for k := range n.Hidden {
			v := z[i*n.Hidden+k] + n.B1[k]
			z[i*n.Hidden+k] = v
			hidden[i*n.Hidden+k] = n.Act.of(v)
		}
	}
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, general(b, n.Hidden, hidden), general(n.Hidden, n.Out, n.W2), 0, general(b, n.Out, out))
	for i := range b {
		var common float32
		for k, w := range n.Skip {
			common += w * x.Data[i*x.Stride+k]
		}
		for j := range n.Out {
			out[i*n.Out+j] += n.B2[j] + common
		}
	}
}

// outputs computes the outputs of one vector in the workspace.
func (n *network) outputs(x []float32, w *workspace) []float32 {
	need := 2*n.Hidden + n.Out
	if cap(w.a) < need {
		w.a = make([]float32, need)
	}
	w.a = w.a[:need]
	out := w.a[2*n.Hidden:]
	n.forward(general(1, n.In, x), w.a[:n.Hidden], w.a[n.Hidden:2*n.Hidden], out)
	return out
}

func (a activation) of(v float32) float32 {
	switch a {
	case relu:
		return max(v, 0)
	case softplus:
		if v > 20 {
			return v
		}
		return float32(math.Log1p(math.Exp(float64(v))))
	}
	return v
}

// slope is the derivative at v.
func (a activation) slope(v float32) float32 {
	switch a {
	case relu:
		if v > 0 {
			return 1
		}
		return 0
	case softplus:
		return sigmoid(v)
	}
	return 1
}

func sigmoid(v float32) float32 { return float32(1 / (1 + math.Exp(-float64(v)))) }

// training says how a network is trained, by Adam (β 0.9, 0.999) on batches of
// shuffled rows.
type training struct {
	rate, decay   float64 // learning rate; weight decay, added to the gradient
	batch, epochs int
	noise         float64 // standard deviation of the noise added to the vectors
	frozenBias    bool    // biases stay at zero
	seed          uint64
}

// loss writes the gradient of the loss on a row, by its outputs, to grad.
type loss func(row int, out, grad []float32)

// train fits the network to the rows of x.
func (n *network) train(ctx context.Context, x blas32.General, t training, gradient loss) error {
	random := rand.New(rand.NewPCG(t.seed, 0x6e6574))
	b := min(t.batch, x.Rows)
	batch := make([]float32, b*n.In)
	z, hidden, back := make([]float32, b*n.Hidden), make([]float32, b*n.Hidden), make([]float32, b*n.Hidden)
	out, grad := make([]float32, b*n.Out), make([]float32, b*n.Out)
	parameters := [][]float32{n.W1, n.W2, n.B1, n.B2, n.Skip}
	if t.frozenBias {
		parameters[2], parameters[3] = nil, nil
	}
	adam := newAdam(parameters, t)
	order := make([]int, x.Rows)
	for i := range order {
		order[i] = i
	}
	for range t.epochs {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for from := 0; from < len(order); from += b {
			rows := order[from:min(from+b, len(order))]
			for k, i := range rows {
				copy(batch[k*n.In:][:n.In], x.Data[i*x.Stride:][:n.In])
			}
			if t.noise > 0 {
				for k := range batch[:len(rows)*n.In] {
					batch[k] += float32(t.noise * random.NormFloat64())
				}
			}
			in := general(len(rows), n.In, batch)
			n.forward(in, z, hidden, out)
			for k, i := range rows {
				gradient(i, out[k*n.Out:][:n.Out], grad[k*n.Out:][:n.Out])
			}
			n.backward(in, z, hidden, grad, back, adam.grad)
			adam.step(1 / float64(len(rows)))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// backward writes the gradients of the parameters, summed over the batch.
func (n *network) backward(x blas32.General, z, hidden, grad, back []float32, to [][]float32) {
	b := x.Rows
	g := general(b, n.Out, grad)
	blas32.Gemm(blas.Trans, blas.NoTrans, 1, general(b, n.Hidden, hidden), g, 0, general(n.Hidden, n.Out, to[1]))
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, g, general(n.Hidden, n.Out, n.W2), 0, general(b, n.Hidden, back))
	for i := range back[:b*n.Hidden] {
		back[i] *= n.Act.slope(z[i])
	}
	blas32.Gemm(blas.Trans, blas.NoTrans, 1, x, general(b, n.Hidden, back), 0, general(n.In, n.Hidden, to[0]))
	columnSums(to[2], back, b, n.Hidden)
	columnSums(to[3], grad, b, n.Out)
	if to[4] == nil {
		return
	}
	clear(to[4])
	for i := range b {
		var common float32
		for _, v := range grad[i*n.Out:][:n.Out] {
			common += v
		}
		for k := range n.In {
			to[4][k] += common * x.Data[i*x.Stride+k]
		}
	}
}

func columnSums(to, table []float32, rows, cols int) {
	if to == nil {
		return
	}
	clear(to)
	for i := range rows {
		for k, v := range table[i*cols:][:cols] {
			to[k] += v
		}
	}
}

// adam is the state of the optimiser (Kingma and Ba, arXiv 1412.6980).
type adam struct {
	parameters, grad, m, v [][]float32
	t                      training
	steps                  float64
}

func newAdam(parameters [][]float32, t training) *adam {
	a := &adam{parameters: parameters, t: t}
	for _, p := range parameters {
		var grad, m, v []float32
		if p != nil {
			grad, m, v = make([]float32, len(p)), make([]float32, len(p)), make([]float32, len(p))
		}
		a.grad, a.m, a.v = append(a.grad, grad), append(a.m, m), append(a.v, v)
	}
	return a
}

// step moves the parameters against the gradients times scale.
func (a *adam) step(scale float64) {
	const beta1, beta2, epsilon = 0.9, 0.999, 1e-8
	a.steps++
	rate := a.t.rate * math.Sqrt(1-math.Pow(beta2, a.steps)) / (1 - math.Pow(beta1, a.steps))
	decay, s, r := float32(a.t.decay), float32(scale), float32(rate)
	for p, w := range a.parameters {
		grad, m, v := a.grad[p], a.m[p], a.v[p]
		for i := range w {
			g := grad[i]*s + decay*w[i]
			m[i] = beta1*m[i] + (1-beta1)*g
			v[i] = beta2*v[i] + (1-beta2)*g*g
			w[i] -= r * m[i] / (float32(math.Sqrt(float64(v[i]))) + epsilon)
		}
	}
}
