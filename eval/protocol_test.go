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
	// Model 0 answers the second query right and costs 2 and 4; model 1 answers
	// neither and costs 1 and 1.
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
	// By the forecasts, model 0 is better by .1 on the first query and by .7 on
	// the second, for 2 USD more. At the first setting above 0 (μ = .001), the
	// first query goes to model 1, as .1·.999 < .001·100·2, which saves 1 of 6;
	// the second does not, as .7·.999 > .001·200.
	p := r.Routers[0]
	if want := 0.5; float64(p.Paper.RoutedAccuracy) != want || float64(p.Ours.RoutedAccuracy) != want {
		t.Errorf("routed accuracy %v and %v, want %v", p.Paper.RoutedAccuracy, p.Ours.RoutedAccuracy, want)
	}
	if math.Abs(float64(p.Paper.Cost)-5./6) > 1e-12 || p.Paper.Quality != 1 || p.Paper.Setting != "mu=0.001" {
		t.Errorf("paper: %+v, want the best single's quality at 5/6 of its cost", p.Paper)
	}
	// Our grid is finer, and as the setting is picked on these same queries here,
	// the point is the same.
	if math.Abs(float64(p.Ours.Cost)-5./6) > 1e-12 || p.Ours.Quality != 1 || !strings.HasPrefix(p.Ours.Setting, "usd-per-quality=") {
		t.Errorf("ours: %+v", p.Ours)
	}
}

// TestProtocols: on rows that were not fitted on, the setting that the paper picks
// on these rows reaches the best single by construction, or there is none. Ours
// was picked elsewhere and reaches what it reaches.
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
