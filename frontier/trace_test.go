package frontier_test

import (
	"math/rand/v2"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/frontier"
)

// A trace keeps only the settings at which the choice changes.
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

func TestTraceShares(t *testing.T) {
	trace := frontier.Trace{Settings: 4, Steps: [][]frontier.Step{
		{{0, 2, 3, 1}, {2, 0, 1, 0.5}},
		{{0, 2, 3, 1}},
		{{0, 0, 1, 0}, {3, -1, 4, 1}}, // the second step is answered by several candidates together
		{{0, 1, 2, 0}, {1, 2, 3, 1}},
	}}
	f := func(setting int, want ...float64) {
		t.Helper()
		if diff := gocmp.Diff(want, trace.Shares(setting, 3)); diff != "" {
			t.Errorf("Shares(%d, 3) (-want +got):\n%s", setting, diff)
		}
	}
	f(0, 0.25, 0.25, 0.5)
	f(1, 0.25, 0, 0.75)
	f(2, 0.5, 0, 0.5)
	f(3, 0.25, 0, 0.5)
	trace.Steps = nil
	f(0, 0, 0, 0)
}

func TestTraceAt(t *testing.T) {
	trace := frontier.Trace{Settings: 4, Steps: [][]frontier.Step{{{0, 2, 3, 1}, {2, 0, 1, 0.5}}, {}}}
	f := func(query, setting int, want frontier.Step) {
		t.Helper()
		if got := trace.At(query, setting); got != want {
			t.Errorf("At(%d, %d) = %+v, want %+v", query, setting, got, want)
		}
	}
	f(0, 0, frontier.Step{At: 0, Candidate: 2, Cost: 3, Quality: 1})
	f(0, 1, frontier.Step{At: 0, Candidate: 2, Cost: 3, Quality: 1})
	f(0, 2, frontier.Step{At: 2, Candidate: 0, Cost: 1, Quality: 0.5})
	f(0, 9, frontier.Step{At: 2, Candidate: 0, Cost: 1, Quality: 0.5})
	f(0, -1, frontier.Step{Candidate: -1})
	f(1, 0, frontier.Step{Candidate: -1})
}

// At and Shares agree with Curve and with the choices.
func TestTraceAgreesWithChoices(t *testing.T) {
	const queries, candidates, settings = 40, 3, 20
	random := rand.New(rand.NewPCG(4, 4))
	choice := make([][settings]int, queries)
	for i := range choice {
		for s := range settings {
			choice[i][s] = random.IntN(candidates)
		}
	}
	trace := frontier.NewTrace(queries, settings,
		func(query, setting int) int { return choice[query][setting] },
		func(query, candidate int) (float64, float64) {
			return float64(query + candidate), float64(query * candidate)
		})
	curve := trace.Curve(nil)
	for s := range settings {
		var mean frontier.Point
		want := make([]float64, candidates)
		for i := range queries {
			at := trace.At(i, s)
			if at.Candidate != choice[i][s] {
				t.Fatalf("At(%d, %d) has candidate %d, want %d", i, s, at.Candidate, choice[i][s])
			}
			mean.Cost += at.Cost / queries
			mean.Quality += at.Quality / queries
			want[at.Candidate] += 1.0 / queries
		}
		if !near(mean.Cost, curve[s].Cost, 1e-12) || !near(mean.Quality, curve[s].Quality, 1e-12) {
			t.Errorf("setting %d: Curve has %v, At has %v on average", s, curve[s], mean)
		}
		for c, share := range trace.Shares(s, candidates) {
			if !near(share, want[c], 1e-12) {
				t.Errorf("setting %d: candidate %d has share %v, want %v", s, c, share, want[c])
			}
		}
	}
}
