package embed

import (
	"fmt"
	"math"
)

// bertWeights are the parameters of the encoder. Every matrix has one row per
// output, as product needs it.
type bertWeights struct {
	words, positions matrix
	kind             []float32 // the vector of token type 0, the only type used
	norm             layerNorm
	layers           []bertLayer
}

type bertLayer struct {
	qkv           linear // queries (divided by the root of the head's width), keys, values
	out           linear
	attentionNorm layerNorm
	up, down      linear
	outputNorm    layerNorm
}

type linear struct {
	weight matrix
	bias   []float32
}

type layerNorm struct {
	scale, shift []float32
	epsilon      float64
}

// bertScratch holds the activations of one text. The slices grow as needed.
type bertScratch struct {
	x, qkv, mixed, inner, tmp []float32
	heads                     [][]float32
}

// sized returns a matrix that uses the memory of *buf, which it grows if needed.
func sized(buf *[]float32, rows, cols int) matrix {
	if cap(*buf) < rows*cols {
		*buf = make([]float32, rows*cols)
	}
	return newMatrix((*buf)[:rows*cols], rows, cols)
}

// forward runs the encoder over ids and returns one row per token, in memory of
// the scratch. It stops early if halted returns an error.
func (b *BERT) forward(s *bertScratch, ids []int32, spread bool, halted func() error) (matrix, error) {
	w := &b.weights
	n, width := len(ids), w.words.cols
	x := sized(&s.x, n, width)
	for i, id := range ids {
		row := x.row(i)
		word, pos := w.words.row(int(id)), w.positions.row(i)
		for j := range row {
			row[j] = word[j] + w.kind[j] + pos[j]
		}
		w.norm.apply(row)
	}
	for i := range w.layers {
		if err := halted(); err != nil {
			return matrix{}, err
		}
		l := &w.layers[i]
		qkv := sized(&s.qkv, n, 3*width)
		product(qkv, x, l.qkv.weight, l.qkv.bias, nil, spread)
		mixed := sized(&s.mixed, n, width)
		b.attend(s, mixed, qkv, spread)
		tmp := sized(&s.tmp, n, width)
		product(tmp, mixed, l.out.weight, l.out.bias, nil, spread)
		l.attentionNorm.residual(x, tmp)
		inner := sized(&s.inner, n, l.up.weight.rows)
		product(inner, x, l.up.weight, l.up.bias, b.activation, spread)
		product(tmp, inner, l.down.weight, l.down.bias, nil, spread)
		l.outputNorm.residual(x, tmp)
	}
	return x, nil
}

// attend sets mixed to softmax(QKᵀ)V for every head.
func (b *BERT) attend(s *bertScratch, mixed, qkv matrix, spread bool) {
	n, width := mixed.rows, mixed.cols
	size := width / b.heads
	// Pad rows to 16 floats so that the vector routines round all alike.
	stride := (n + 15) &^ 15
	for len(s.heads) < b.heads {
		s.heads = append(s.heads, nil)
	}
	each(spread, b.heads, func(h int) {
		buf := sized(&s.heads[h], 2*size+1, stride)
		q := qkv.columns(h*size, size)
		keys := transpose(buf, 0, qkv.columns(width+h*size, size))
		values := transpose(buf, size, qkv.columns(2*width+h*size, size))
		scores := buf.row(2 * size)[:n]
		for i := range n {
			clear(scores)
			for d, v := range q.row(i) {
				addScaled(scores, v, keys.row(d))
			}
			softmax(scores)
			out := mixed.row(i)[h*size : (h+1)*size]
			if fastBLAS {
				dots(out, scores, values, 0)
			} else {
				dotsGo(out, scores, values, 0)
			}
		}
	})
}

// transpose writes m's columns into the rows of buf, starting at row from.
func transpose(buf matrix, from int, m matrix) matrix {
	t := matrix{buf.data[from*buf.stride:], m.cols, m.rows, buf.stride}
	for i := range m.rows {
		for j, v := range m.row(i) {
			t.data[j*t.stride+i] = v
		}
	}
	return t
}

// softmax replaces scores by weights that sum to one.
func softmax(x []float32) {
	top := x[0]
	for _, v := range x {
		top = max(top, v)
	}
	var sum float32
	for i, v := range x {
		e := exp32(v - top)
		x[i] = e
		sum += e
	}
	inv := 1 / sum
	for i := range x {
		x[i] *= inv
	}
}

// residual sets x to the normalised x + y, row by row.
func (l *layerNorm) residual(x, y matrix) {
	for i := range x.rows {
		row := x.row(i)
		for j, v := range y.row(i) {
			row[j] += v
		}
		l.apply(row)
	}
}

// apply normalises one row to zero mean and unit variance, then scales and
// shifts it.
func (l *layerNorm) apply(row []float32) {
	var sum float64
	for _, v := range row {
		sum += float64(v)
	}
	mean := sum / float64(len(row))
	var squares float64
	for _, v := range row {
		d := float64(v) - mean
		squares += d * d
	}
	inv := float32(1 / math.Sqrt(squares/float64(len(row))+l.epsilon))
	m := float32(mean)
	scale, shift := l.scale[:len(row)], l.shift[:len(row)]
	for i, v := range row {
		row[i] = (v-m)*inv*scale[i] + shift[i]
	}
}

// exp32 returns e^x for x <= 0 to within two units in the last place.
func exp32(x float32) float32 {
	if x < -87 {
		return 0
	}
	const (
		log2e = 1.44269504088896341
		ln2Hi = 0.693359375 // few bits, so that n·ln2Hi is exact
		ln2Lo = -2.12194440e-4
	)
	n := float32(int32(x*log2e - 0.5))
	r := x - n*ln2Hi - n*ln2Lo
	p := float32(1.9875691500e-4)
	p = p*r + 1.3981999507e-3
	p = p*r + 8.3334519073e-3
	p = p*r + 4.1665795894e-2
	p = p*r + 1.6666665459e-1
	p = p*r + 5.0000001201e-1
	p = p*r*r + r + 1
	return p * math.Float32frombits(uint32(int32(n)+127)<<23)
}

// activationNamed returns the activation with the given name in config.json.
func activationNamed(name string) (func([]float32), error) {
	switch name {
	case "gelu":
		return gelu, nil
	case "gelu_new", "gelu_pytorch_tanh":
		return geluTanh, nil
	case "relu":
		return relu, nil
	}
	return nil, fmt.Errorf("field hidden_act: %q is not supported, want gelu, gelu_new or relu", name)
}

// gelu is x·Φ(x), where Φ is the normal distribution function.
func gelu(x []float32) {
	for i, v := range x {
		x[i] = 0.5 * v * (1 + erf32(v*(1/math.Sqrt2)))
	}
}

// erf32 is the error function to within 6e-7 (Abramowitz and Stegun, 7.1.26). It
// takes a fifth of the time of math.Erf.
func erf32(x float32) float32 {
	a := x
	if x < 0 {
		a = -x
	}
	t := 1 / (1 + 0.3275911*a)
	p := ((((1.061405429*t-1.453152027)*t+1.421413741)*t-0.284496736)*t + 0.254829592) * t
	e := 1 - p*exp32(-a*a)
	if x < 0 {
		return -e
	}
	return e
}

// geluTanh is the approximation of gelu by the hyperbolic tangent.
func geluTanh(x []float32) {
	c := math.Sqrt(2 / math.Pi)
	for i, v := range x {
		d := float64(v)
		x[i] = float32(0.5 * d * (1 + math.Tanh(c*(d+0.044715*d*d*d))))
	}
}

func relu(x []float32) {
	for i, v := range x {
		x[i] = max(v, 0)
	}
}
