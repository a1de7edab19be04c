package frontier_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
)

// problem is a set of outcomes with the metrics that
// testdata/metrics_reference.py computed for three routers on it.
type problem struct {
	Seed       int
	Score      [][]float64
	Cost       [][]float64
	NoisyScore [][]float64 `json:"noisy_score"`
	NoisyCost  [][]float64 `json:"noisy_cost"`
	Want       map[string]struct {
		AIQ, Peak   float64
		QNC, Cost95 *float64
	}
}

func problems(t *testing.T) []problem {
	t.Helper()
	text, err := os.ReadFile("testdata/metrics_reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var p []problem
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// route is the curve of the router with these estimates.
func (p *problem) route(quality, cost [][]float64) points {
	w := frontier.Grid()
	return frontier.NewTrace(len(p.Score), len(w),
		func(query, setting int) int { return carrot.Choose(quality[query], cost[query], w[setting]) },
		func(query, candidate int) (float64, float64) {
			return p.Cost[query][candidate], p.Score[query][candidate]
		},
	).Curve(nil)
}

// singles are the points of the models alone.
func (p *problem) singles() points {
	s := make(points, len(p.Score[0]))
	for m := range s {
		for i := range p.Score {
			s[m].Cost += p.Cost[i][m] / float64(len(p.Score))
			s[m].Quality += p.Score[i][m] / float64(len(p.Score))
		}
	}
	return s
}

// The metrics agree with an independent computation: to 1e-3 for AIQ, which is
// exact here and a mean over 4,000 places there, and to rounding for the others,
// which are read off points of the curve.
func TestReference(t *testing.T) {
	for _, p := range problems(t) {
		singles := p.singles()
		scale := frontier.NewScale(singles)
		for name, curve := range map[string]points{
			"zero-router": singles,
			"oracle":      p.route(p.Score, p.Cost),
			"noisy":       p.route(p.NoisyScore, p.NoisyCost),
		} {
			got, want := scale.Measure(curve), p.Want[name]
			check := func(figure string, got float64, want *float64, tolerance float64) {
				t.Helper()
				if want == nil {
					want = &inf
				}
				if !near(got, *want, tolerance) {
					t.Errorf("problem %d, %s: %s = %v, want %v", p.Seed, name, figure, got, *want)
				}
			}
			check("AIQ", got.AIQ, &want.AIQ, 1e-3)
			check("peak", got.Peak, &want.Peak, 1e-9)
			check("QNC", got.QNC, want.QNC, 1e-9)
			check("cost@95", got.Cost95, want.Cost95, 1e-9)
		}
	}
}

// The oracle knows every outcome: no router has a higher mean utility, at any
// willingness to pay.
func TestRegretIsNotNegative(t *testing.T) {
	for _, p := range problems(t) {
		oracle, noisy := p.route(p.Score, p.Cost), p.route(p.NoisyScore, p.NoisyCost)
		for s, w := range frontier.Grid() {
			best := carrot.Utility(oracle[s].Quality, oracle[s].Cost, w)
			rivals := append(p.singles(), noisy[s])
			for r, rival := range rivals {
				// A tolerance for the rounding of means, which grows with 1/w.
				tolerance := 1e-12 * math.Max(1, 1/w)
				if u := carrot.Utility(rival.Quality, rival.Cost, w); best-u < -tolerance {
					t.Fatalf("problem %d, w = %v: regret of router %d is %v", p.Seed, w, r, best-u)
				}
			}
		}
	}
}
