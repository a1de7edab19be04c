package rivals

import (
	"testing"

	"github.com/carrot-router/carrot"
)

// BenchmarkFit fits each method at its authors' setting on 1,500 queries.
func BenchmarkFit(b *testing.B) {
	for _, m := range all {
		b.Run(m.Name, func(b *testing.B) {
			d, _ := world(1500, 1)
			d = features(m.Name, d)
			first := Method{Name: m.Name, trials: func(n int) []model { return m.trials(n)[:1] }}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := first.Fit(b.Context(), d, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPredict asks each method, at its authors' setting, about one query.
func BenchmarkPredict(b *testing.B) {
	for _, m := range all {
		b.Run(m.Name, func(b *testing.B) {
			d, _ := world(1500, 1)
			d = features(m.Name, d)
			first := Method{Name: m.Name, trials: func(n int) []model { return m.trials(n)[:1] }}
			r, err := first.Fit(b.Context(), d, nil)
			if err != nil {
				b.Fatal(err)
			}
			out := make([]carrot.Prediction, 1)
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Predict(d.X[:1], out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
