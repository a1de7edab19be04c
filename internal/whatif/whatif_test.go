package whatif

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/offpolicy"
	"github.com/carrot-router/carrot/record"
)

// attempt is a request that the router's own choice answered.
func attempt() *record.Attempt {
	return &record.Attempt{RequestID: "req_1", Number: 1, Client: "app", Session: "s1", API: "chat", Policy: "auto", Reason: record.TradeOff, Propensity: 1,
		First: "small", Candidate: "small", UpstreamModel: "small-2026", Outcome: record.Served, Usage: carrot.Usage{Input: 1000, Output: 500}, Cost: carrot.Dollars(0.002),
		Decision: &carrot.Decision{Model: "small", USDPerQuality: 0.01, Candidates: []carrot.Assessment{
			{Name: "old", Excluded: "its context is too short"},
			{Name: "large", Estimate: carrot.Estimate{Quality: 0.9, Cost: carrot.Dollars(0.01), InputTokens: 1000, OutputTokens: 300}},
			{Name: "small", Estimate: carrot.Estimate{Quality: 0.7, Cost: carrot.Dollars(0.001), InputTokens: 1000, CachedTokens: 200, OutputTokens: 400}},
		}}}
}

// TestKept: requests that nothing decided, or that the decision does not explain, keep what
// they were, and so does what they cost.
func TestKept(t *testing.T) {
	cheaper := func(model string) (carrot.Price, bool) {
		return carrot.Price{Input: carrot.PerMillion(1), Output: carrot.PerMillion(2)}, model == "small"
	}
	promise, err := carrot.ParseObjective("min-quality=0.5@0.9")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want   string
		edit   func(a *record.Attempt)
		prices Prices
	}{
		{"", func(*record.Attempt) {}, nil},
		{"", func(*record.Attempt) {}, cheaper},
		{offpolicy.LeftNamed, func(a *record.Attempt) { a.Reason = record.Named }, nil},
		{offpolicy.LeftPinned, func(a *record.Attempt) { a.Reason = record.ContinuesReasoning }, nil},
		{offpolicy.LeftShadow, func(a *record.Attempt) { a.Reason = record.ShadowDefault }, nil},
		{offpolicy.LeftFellBack, func(a *record.Attempt) { a.Outcome = record.FellBack }, nil},
		{offpolicy.LeftUndecided, func(a *record.Attempt) { a.Decision = nil }, nil},
		{KeptEmbedding, func(a *record.Attempt) { a.API, a.Decision, a.Reason = "embeddings", nil, record.Named }, nil},
		{KeptExplored, func(a *record.Attempt) {
			a.Reason, a.Candidate, a.First, a.Propensity = record.Exploration, "large", "large", 0.1
		}, nil},
		{KeptOther, func(a *record.Attempt) { a.Decision.USDPerQuality = 10 }, nil},
		{KeptPromise, func(a *record.Attempt) { a.Decision.Objective = promise }, cheaper},
		{"", func(a *record.Attempt) { a.Decision.Objective = promise }, nil},
	} {
		a := attempt()
		c.edit(a)
		r := FromAttempt(a, nil, c.prices)
		if r.Kept != c.want || r.Was != 0.002 || r.Model != a.Candidate || !math.IsNaN(r.Score) {
			t.Errorf("%s: kept as %q, %+v, want %q and $0.002", a.Reason, r.Kept, r, c.want)
		}
		b := New([]Request{r}).Ask(Question{USDPerQuality: 0.2})
		if len(r.Candidates) == 0 && (b.Changed != 0 || b.Then.Value != 0.002) {
			t.Errorf("%s: %+v, want what it was", a.Reason, b)
		}
	}
	a := attempt()
	a.Decision.Objective = promise
	log := New([]Request{FromAttempt(a, nil, nil)})
	if b := log.Ask(Question{USDPerQuality: 0.2}); b.Kept[KeptPromise] != 1 {
		t.Errorf("another objective than a promise: %+v, want it kept", b)
	}
	if b := log.Ask(Question{USDPerQuality: math.NaN(), Without: []string{"small"}}); b.Changed != 1 {
		t.Errorf("without the model, under a promise: %+v, want another one", b)
	}
}

// TestPrices: at other prices, what was used has another cost, and so has what was expected.
// What has no price is unknown, not free.
func TestPrices(t *testing.T) {
	prices := func(known ...string) Prices {
		return func(model string) (carrot.Price, bool) {
			return carrot.Price{Input: carrot.PerMillion(1), Output: carrot.PerMillion(2)}, slices.Contains(known, model)
		}
	}
	r := FromAttempt(attempt(), nil, prices("small"))
	if want := 0.001 + 0.001; math.Abs(r.Now-want) > 1e-12 || r.Cost != r.Now {
		t.Errorf("now %v, want %v: 1000 and 500 tokens", r.Now, want)
	}
	if want := 0.001 + 0.0008; math.Abs(r.Candidates[1].Cost-want) > 1e-12 || r.Candidates[0].Cost != 0.01 {
		t.Errorf("expected of small %v, want %v: 1000 and 400 tokens; of large as it was", r.Candidates[1].Cost, want)
	}
	if r := FromAttempt(attempt(), nil, prices("small-2026")); r.Now != 0.002 || r.Candidates[1].Cost != 0.001 {
		t.Errorf("by the provider's name: %+v, want no other price", r)
	}
	noOutput := func(model string) (carrot.Price, bool) {
		return carrot.Price{Input: carrot.PerMillion(1)}, true
	}
	r = FromAttempt(attempt(), nil, noOutput)
	if !math.IsNaN(r.Now) || !math.IsNaN(r.Candidates[0].Cost) || r.Was != 0.002 {
		t.Errorf("without a price of output: %+v, want unknown costs", r)
	}
	if b := New([]Request{r}).Ask(Question{USDPerQuality: 0.01}); b.Priced != 0 || b.Kept[KeptNoCandidate] != 1 || b.Was != 0 {
		t.Errorf("without known costs: %+v", b)
	}
	lapsed := attempt()
	lapsed.Outcome, lapsed.Cost, lapsed.CostUnknown = record.Lapsed, 0, true
	if r := FromAttempt(lapsed, nil, prices("small")); !math.IsNaN(r.Was) || !math.IsNaN(r.Now) {
		t.Errorf("lapsed: %+v, want unknown costs", r)
	}
	plan := attempt()
	plan.Decision.Candidates[1].Steps = []carrot.Step{{Model: "small"}, {Model: "large"}}
	if r := FromAttempt(plan, nil, prices("small")); !math.IsNaN(r.Candidates[0].Cost) {
		t.Errorf("a plan with a model of another price: %v, want an unknown cost", r.Candidates[0].Cost)
	}
	failed := attempt()
	failed.Outcome, failed.Cost = record.FellBack, carrot.Dollars(0.0005)
	r = FromAttempt(failed, nil, nil)
	second := attempt()
	second.Number, second.Candidate, second.Reason = 2, "large", record.Fallback
	r.Add(second, nil)
	if r.Was != 0.0025 || r.Model != "large" {
		t.Errorf("two attempts: %+v, want the sum, and the model that answered", r)
	}
}

// TestAsk: facts stay facts, and only what would change is estimated.
func TestAsk(t *testing.T) {
	score := 0.6
	a := attempt()
	requests := []Request{FromAttempt(a, &score, nil)}
	named := attempt()
	named.Reason, named.Candidate = record.Named, "large"
	requests = append(requests, FromAttempt(named, nil, nil))
	lost := attempt()
	lost.Cost, lost.CostUnknown = 0, true
	requests = append(requests, FromAttempt(lost, nil, nil))
	log := New(requests)
	same := log.Ask(Question{USDPerQuality: math.NaN()})
	if same.Changed != 0 || same.Decided != 2 || same.Priced != 2 || same.Was != 0.004 || same.Then != (Estimate{0.004, [2]float64{0.004, 0.004}}) || same.Saved.Value != 0 || same.Paid != 0.004 {
		t.Errorf("as it was: %+v", same)
	}
	if same.Rated != 1 || same.Score != 0.6 || same.QualityGain != (Estimate{}) {
		t.Errorf("as it was: %+v, want the score and no gain", same)
	}
	b := log.Ask(Question{USDPerQuality: 0.2, Without: []string{"small"}})
	if b.Changed != 2 || b.Away != 0 || b.Priced != 2 || b.Paid != 0.002 || !(b.Then.Interval[0] < b.Then.Value && b.Then.Value < b.Then.Interval[1]) || b.Then.Interval[0] <= b.Paid {
		t.Errorf("with large: %+v", b)
	}
	if math.Abs(b.Then.Value-0.012) > 1e-12 { // large answered none that was decided, so its forecast counts
		t.Errorf("with large: %v, want 0.002 paid and 0.01 expected", b.Then)
	}
	if b.QualityGain.Value <= 0.2 || b.QualityGain.Interval[0] >= b.QualityGain.Value {
		t.Errorf("quality gained %+v, want more than .2", b.QualityGain)
	}
	if c := log.Ask(Question{USDPerQuality: math.NaN(), Without: []string{"small", "large"}}); c.Kept[KeptNoCandidate] != 2 || c.Changed != 0 || c.Away != 3 {
		t.Errorf("without any: %+v, want all kept", c)
	}
	if again := log.Ask(Question{USDPerQuality: 0.2, Without: []string{"small"}}); !reflect.DeepEqual(again, b) {
		t.Errorf("asked again: %+v, want %+v", again, b)
	}
	empty := New(nil).Ask(Question{USDPerQuality: 1})
	if empty.Requests != 0 || !math.IsNaN(empty.Score) || !math.IsNaN(empty.QualityThen.Value) || empty.Then.Value != 0 {
		t.Errorf("of nothing: %+v", empty)
	}
}

// TestIntervalsHold: where the truth is known, the 95% intervals hold it in at least 90 of
// 100 resamples, although what is expected of each model is off as a whole, single costs
// scatter, and requests of one session are alike. runs/learn measures it on recorded
// outcomes.
func TestIntervalsHold(t *testing.T) {
	const models, resamples = 5, 100
	for name, q := range map[string]Question{"more": {USDPerQuality: 0.05}, "less": {USDPerQuality: 0.001}, "without": {USDPerQuality: math.NaN(), Without: []string{"model 1"}}} {
		bill, gain, changed := 0, 0, 0
		for s := range resamples {
			r := rand.New(rand.NewPCG(uint64(s), 5))
			ratio, offset := make([]float64, models), make([]float64, models)
			for m := range models {
				ratio[m], offset[m] = math.Exp(0.2*r.NormFloat64()), 0.04*r.NormFloat64()
			}
			var requests []Request
			var costs, scores [][]float64
			for session := 0; len(requests) < 400; session++ {
				mood := 0.2 * r.NormFloat64()
				for range 1 + r.IntN(4) {
					one := Request{Row: offpolicy.Row{Session: fmt.Sprint(session), USDPerQuality: 0.01, Propensity: 1}}
					cost, score := make([]float64, models), make([]float64, models)
					for m := range models {
						quality, expected := min(max(0.5+0.08*float64(m)+0.15*r.NormFloat64(), 0), 1), 0.0003*math.Pow(2, float64(m))*math.Exp(0.5*r.NormFloat64())
						one.Candidates = append(one.Candidates, offpolicy.Candidate{Name: fmt.Sprint("model ", m), Quality: quality, Cost: expected})
						cost[m] = expected * ratio[m] * math.Exp(mood+0.4*r.NormFloat64()-0.1)
						if r.Float64() < quality+offset[m] {
							score[m] = 1
						}
					}
					one.Greedy = offpolicy.Objective(0.01)(&one.Row)
					one.Action = one.Greedy
					if r.Float64() < 0.1 {
						one.Action, one.Kept = r.IntN(models), KeptExplored
					}
					one.Model, one.Was, one.Now, one.Cost, one.Score = one.Candidates[one.Action].Name, cost[one.Action], cost[one.Action], cost[one.Action], math.NaN()
					if r.Float64() < 0.5 {
						one.Score = score[one.Action]
					}
					requests, costs, scores = append(requests, one), append(costs, cost), append(scores, score)
				}
			}
			log := New(requests)
			a := log.Ask(q)
			var truth, more float64
			for i := range requests {
				model, decided := log.Choice(i, q)
				m := slices.IndexFunc(requests[i].Candidates, func(c offpolicy.Candidate) bool { return c.Name == model })
				truth += costs[i][m]
				if decided {
					more += (scores[i][m] - scores[i][requests[i].Action]) / float64(a.Decided)
				}
			}
			if truth >= a.Then.Interval[0] && truth <= a.Then.Interval[1] {
				bill++
			}
			if more >= a.QualityGain.Interval[0] && more <= a.QualityGain.Interval[1] {
				gain++
			}
			changed += a.Changed
		}
		t.Logf("%s: of %d intervals %d hold the bill and %d the quality gained; %d requests changed", name, resamples, bill, gain, changed)
		if bill < 90 || gain < 90 || changed < 50*resamples {
			t.Errorf("%s: of %d intervals %d hold the bill and %d the quality gained, want 90; %d requests changed", name, resamples, bill, gain, changed)
		}
	}
}
