package predict

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carrot-router/carrot"
	"gonum.org/v1/gonum/blas/blas32"
)

// BenchmarkKNN44k is the exact search of the paper's router at SPROUT's size:
// 44,000 vectors of 384 float32, 13 models, k = 128.
func BenchmarkKNN44k(b *testing.B) {
	const n, dim, models = 44_000, 384, 13
	r := rand.New(rand.NewPCG(1, 1))
	vector := func(out []float32) {
		var sum float64
		for j := range out {
			v := r.NormFloat64()
			out[j], sum = float32(v), sum+v*v
		}
		for j := range out {
			out[j] /= float32(math.Sqrt(sum))
		}
	}
	t := targetsOf(models)
	l := &knn{k: [3]int{128, 128, 128}, targets: t, mean: make([]float64, t), target: make([]float32, n*t),
		x: blas32.General{Rows: n, Cols: dim, Stride: dim, Data: make([]float32, n*dim)}}
	for i := range n {
		vector(l.x.Data[i*dim:][:dim])
	}
	query := carrot.Representation{Dense: make([]float32, dim)}
	vector(query.Dense)
	var w workspace
	raw, variance := make([]float64, t), make([]float64, models)
	b.ReportAllocs()
	for b.Loop() {
		l.predict(&query, &w, raw, variance)
	}
}
