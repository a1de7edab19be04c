package eval

import (
	"math"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
)

// TestProtocolsByHand: two queries and two models, worked out on paper.
func TestProtocolsByHand(t *testing.T) {
	task, _ := hand()
	// Scores: model 0 answers the second query, model 1 nothing; costs 2, 4 and
	// 1, 1. Forecasts cost 1 for either.
	e := newEntry("hand", task)
	forecast := func(a, b float64) carrot.Prediction {
		return carrot.Prediction{Forecasts: []carrot.Forecast{{Quality: a, CostUSD: 3, Direct: true}, {Quality: b, CostUSD: 1, Direct: true}}}
	}
	e.set(0, forecast(0.4, 0.3))
	e.set(1, forecast(0.9, 0.2))
	r, err := protocols(task, []int{0, 1}, []*entry{e}, []*entry{e})
	if err != nil {
		t.Fatal(err)
	}
	if r.BestSingleQuality != 0.5 || r.OracleQuality != 0.5 {
		t.Errorf("best single %v, oracle %v, want a half each", r.BestSingleQuality, r.OracleQuality)
	}
	// By the forecasts the first query leaves model 0 where its .1 is worth less
	// than 2 USD, (1-μ)·.1 < μ·100·2, and the second where its .7 is; at the
	// first setting after that (μ = .001) the first is asked of model 1, which
	// saves 1 of 6, and the second not yet: .7·.999 > .001·200.
	p := r.Routers[0]
	if want := 0.5; float64(p.Paper.RoutedAccuracy) != want || float64(p.Ours.RoutedAccuracy) != want {
		t.Errorf("routed accuracy %v and %v, want %v", p.Paper.RoutedAccuracy, p.Ours.RoutedAccuracy, want)
	}
	if math.Abs(float64(p.Paper.Cost)-5./6) > 1e-12 || p.Paper.Quality != 1 || p.Paper.Setting != "mu=0.001" {
		t.Errorf("paper: %+v, want the best single's quality at 5/6 of its cost", p.Paper)
	}
	// Ours has a finer grid and, as it is picked on these very queries here, the
	// same point.
	if math.Abs(float64(p.Ours.Cost)-5./6) > 1e-12 || p.Ours.Quality != 1 || !strings.HasPrefix(p.Ours.Setting, "usd-per-quality=") {
		t.Errorf("ours: %+v", p.Ours)
	}
}

// TestProtocols: on rows that were not fitted on, the paper's choice of the
// setting on them reaches the best single by construction or says none, and ours
// is what the setting picked elsewhere gives.
func TestProtocols(t *testing.T) {
	task := world(t, 400)
	held := splitParts(task.Set, dataset.SplitValidation)
	who := contender(t, quick)
	e := run(t, task, who, held)
	out, err := runOutOfFold(t.Context(), who.name, who.how, task, held[0].Fit, runOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range held[0].Held {
		if out.predictions[i].Forecasts != nil {
			t.Fatal("a measured row is answered out of fold of the rows fitted on")
		}
	}
	r, err := protocols(task, held[0].Held, []*entry{e}, []*entry{out})
	if err != nil {
		t.Fatal(err)
	}
	p := r.Routers[0]
	if q := float64(p.Paper.Quality); !math.IsNaN(q) && q < 1-1e-9 {
		t.Errorf("paper: matches the best single with %v of its quality", q)
	}
	if !(p.Ours.Quality > 0.5) || !(p.Ours.Cost > 0) {
		t.Errorf("ours: %+v", p.Ours)
	}
	if _, err := protocols(task, nil, nil, nil); err == nil {
		t.Error("protocols of no rows")
	}
	e.predictions[held[0].Held[0]] = carrot.Prediction{}
	if _, err := protocols(task, held[0].Held, []*entry{e}, []*entry{out}); err == nil || !strings.Contains(err.Error(), "has no forecast for query") {
		t.Errorf("an entry that misses a row = %v", err)
	}
}
