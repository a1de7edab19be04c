package frontier_test

import (
	"math/rand/v2"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/frontier"
)

// A trace keeps where the choice changes, not every setting.
func TestNewTrace(t *testing.T) {
	choices := [][]int{{2, 2, 1, 1, 0}, {0, 0, 0, 0, 0}, {1, 0, 1, 0, 1}}
	got := frontier.NewTrace(3, 5,
		func(query, setting int) int { return choices[query][setting] },
		func(query, candidate int) (cost, quality float64) { return float64(candidate), float64(query) })
	want := frontier.Trace{Settings: 5, Steps: [][]frontier.Step{
		{{0, 2, 2, 0}, {2, 1, 1, 0}, {4, 0, 0, 0}},
		{{0, 0, 0, 1}},
		{{0, 1, 1, 2}, {1, 0, 0, 2}, {2, 1, 1, 2}, {3, 0, 0, 2}, {4, 1, 1, 2}},
	}}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("NewTrace (-want +got):\n%s", diff)
	}
}

// A curve from a trace is the mean over queries at each setting, with each
// query counted as often as its weight says.
func TestTraceCurve(t *testing.T) {
	const queries, candidates, settings = 50, 4, 30
	random := rand.New(rand.NewPCG(1, 1))
	cost, quality := make([][candidates]float64, queries), make([][candidates]float64, queries)
	choice := make([][settings]int, queries)
	counts, none := make([]float64, queries), make([]float64, queries)
	for i := range queries {
		counts[i] = float64(random.IntN(4)) // a bootstrap resample leaves some out
		none[i] = 1
		for m := range candidates {
			cost[i][m], quality[i][m] = random.ExpFloat64(), random.Float64()
		}
		for s := range settings {
			choice[i][s] = random.IntN(candidates)
		}
	}
	trace := frontier.NewTrace(queries, settings,
		func(query, setting int) int { return choice[query][setting] },
		func(query, candidate int) (float64, float64) {
			return cost[query][candidate], quality[query][candidate]
		})

	for _, test := range []struct {
		name          string
		weights, each []float64
	}{
		{"no weights", nil, none},
		{"weights of one", none, none},
		{"a resample", counts, counts},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := trace.Curve(test.weights)
			if len(got) != settings {
				t.Fatalf("Curve has %d points, want %d", len(got), settings)
			}
			for s, p := range got {
				var want frontier.Point
				var n float64
				for i, w := range test.each {
					want.Cost += w * cost[i][choice[i][s]]
					want.Quality += w * quality[i][choice[i][s]]
					n += w
				}
				if !near(p.Cost, want.Cost/n, 1e-12) || !near(p.Quality, want.Quality/n, 1e-12) {
					t.Errorf("setting %d: %v, want (%v, %v)", s, p, want.Cost/n, want.Quality/n)
				}
			}
		})
	}
}
