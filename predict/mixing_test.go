package predict

import (
	"math"
	"slices"
	"testing"
)

// TestMixedWeights: a learner whose weights were mixed predicts what a mixing makes of
// its raw outputs, and other learners are left alone.
func TestMixedWeights(t *testing.T) {
	d, _ := world(200, 7)
	for _, text := range []string{"kernel:gamma=1:noise=5:landmarks=64", "sparse:alpha=5:buckets=1024", "blend:gamma=1:noise=5:landmarks=64:alpha=5:buckets=1024"} {
		s, err := ParseSpec(text)
		if err != nil {
			t.Fatal(err)
		}
		problem, err := newProblem(&d, 0, func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		l, err := newLearner(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.tune(t.Context(), problem, folds(nil, 200, foldCount)); err != nil {
			t.Fatal(err)
		}
		if err := l.fit(t.Context(), problem); err != nil {
			t.Fatal(err)
		}
		m, n := problem.models, problem.n
		predictions := func() (raw []float64) {
			var w workspace
			for i := range n {
				row, variance := make([]float64, problem.targets()), make([]float64, m)
				l.predict(&d.X[i], &w, row, variance)
				raw = append(raw, row...)
			}
			return raw
		}
		want := predictions()
		before := slices.Clone(want)
		x := newMixing(problem, want)
		if !linear(l) {
			t.Fatalf("%s is not linear", text)
		}
		mixed(l, x, m)
		x.apply(want, m)
		changed := 0.0
		for k, got := range predictions() {
			if math.Abs(got-want[k]) > 1e-4 {
				t.Fatalf("%s: output %d is %v, want %v", text, k, got, want[k])
			}
			changed = max(changed, math.Abs(got-before[k]))
		}
		if changed < 1e-7 {
			t.Errorf("%s: mixing changes nothing", text)
		}
	}
	if linear(&knn{}) || linear(&blend{parts: []learner{&kernel{}, &knn{}}}) {
		t.Error("nearest neighbours are linear")
	}
}
