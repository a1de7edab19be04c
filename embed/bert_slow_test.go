package embed

import (
	"fmt"
	"math"
	"slices"
)

// slowBERT is the encoder as its paper defines it, computed one number at a time
// in float64. It returns the vector of every position.
type slowBERT struct {
	w   map[string][]float64
	act func(float64) float64
}

func (m slowBERT) linear(x []float64, name string) []float64 {
	out := slices.Clone(m.w[name+".bias"])
	for i := range out {
		for j, v := range x {
			out[i] += m.w[name+".weight"][i*len(x)+j] * v
		}
	}
	return out
}

func (m slowBERT) norm(x, y []float64, name string) []float64 {
	n := float64(len(x))
	var mean, variance float64
	sum := make([]float64, len(x))
	for i := range x {
		sum[i] = x[i] + y[i]
		mean += sum[i] / n
	}
	for _, v := range sum {
		variance += (v - mean) * (v - mean) / n
	}
	for i := range sum {
		sum[i] = (sum[i]-mean)/math.Sqrt(variance+1e-12)*m.w[name+".weight"][i] + m.w[name+".bias"][i]
	}
	return sum
}

func (m slowBERT) run(ids []int32) [][]float64 {
	x := make([][]float64, len(ids))
	for i, id := range ids {
		x[i] = make([]float64, tinyHidden)
		for j := range x[i] {
			x[i][j] = m.w["embeddings.word_embeddings.weight"][int(id)*tinyHidden+j] +
				m.w["embeddings.position_embeddings.weight"][i*tinyHidden+j]
		}
		x[i] = m.norm(x[i], m.w["embeddings.token_type_embeddings.weight"][:tinyHidden], "embeddings.LayerNorm")
	}
	for l := range tinyLayers {
		layer := fmt.Sprintf("encoder.layer.%d.", l)
		var q, k, v [][]float64
		for _, row := range x {
			q = append(q, m.linear(row, layer+"attention.self.query"))
			k = append(k, m.linear(row, layer+"attention.self.key"))
			v = append(v, m.linear(row, layer+"attention.self.value"))
		}
		next := make([][]float64, len(x))
		for i := range x {
			mixed := m.attend(q[i], k, v)
			y := m.norm(x[i], m.linear(mixed, layer+"attention.output.dense"), layer+"attention.output.LayerNorm")
			inner := m.linear(y, layer+"intermediate.dense")
			for j := range inner {
				inner[j] = m.act(inner[j])
			}
			next[i] = m.norm(y, m.linear(inner, layer+"output.dense"), layer+"output.LayerNorm")
		}
		x = next
	}
	return x
}

func (m slowBERT) attend(q []float64, k, v [][]float64) []float64 {
	const size = tinyHidden / tinyHeads
	out := make([]float64, tinyHidden)
	for h := range tinyHeads {
		weights := make([]float64, len(k))
		var sum float64
		for i := range k {
			for d := h * size; d < (h+1)*size; d++ {
				weights[i] += q[d] * k[i][d] / math.Sqrt(size)
			}
			weights[i] = math.Exp(weights[i])
			sum += weights[i]
		}
		for i := range v {
			for d := h * size; d < (h+1)*size; d++ {
				out[d] += weights[i] / sum * v[i][d]
			}
		}
	}
	return out
}

func slowGelu(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) }

func slowGeluTanh(x float64) float64 {
	return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

func slowPool(rows [][]float64, cls bool) []float64 {
	if cls {
		return rows[0]
	}
	mean := make([]float64, len(rows[0]))
	for _, row := range rows {
		for j, v := range row {
			mean[j] += v / float64(len(rows))
		}
	}
	return mean
}
