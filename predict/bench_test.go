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

// BenchmarkPredict forecasts one query with 16 models, alone and with 20 plans of three
// steps that share ten gates, by a blend of the usual size.
func BenchmarkPredict(b *testing.B) {
	const n, models, count = 1100, 16, 20
	four, _ := world(n, 1)
	d := Data{X: four.X, Hash: four.Hash}
	for j := range models {
		d.Models = append(d.Models, string(rune('a'+j)))
	}
	for i := range n {
		for j := range models {
			d.Score, d.OutputTokens = append(d.Score, four.Score[i*4+j%4]), append(d.OutputTokens, four.OutputTokens[i*4+j%4])
		}
	}
	spec, err := ParseSpec("blend:gamma=1:noise=5:alpha=5:buckets=16384:caution=0.7")
	if err != nil {
		b.Fatal(err)
	}
	p := New(spec)
	if err := p.Fit(b.Context(), d, nil); err != nil {
		b.Fatal(err)
	}
	predict := func(name string) {
		b.Run(name, func(b *testing.B) {
			out := make([]carrot.Prediction, 1)
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Predict(d.X[:1], out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	predict("models")
	r := rand.New(rand.NewPCG(1, 2))
	var plans []Plan
	gate := make([]float64, n)
	for k := range count {
		plan := Plan{Name: "plan " + d.Models[k%models] + d.Models[k/models], Models: []string{d.Models[k/2], d.Models[k/2+1], d.Models[(k/2+2+k%2)%models]}}
		for i := range n {
			if k%2 == 0 {
				gate[i] = float64(r.IntN(2))
			}
			plan.Score, plan.CostUSD = append(plan.Score, d.Score[i*models+k%models]), append(plan.CostUSD, 1+gate[i])
			plan.Asked = append(plan.Asked, 1, 1, gate[i])
		}
		plans = append(plans, plan)
	}
	if err := p.FitPlans(b.Context(), plans, func(int, int, *carrot.Forecast) float64 { return 0.5 }, nil); err != nil {
		b.Fatal(err)
	}
	predict("plans")
}
