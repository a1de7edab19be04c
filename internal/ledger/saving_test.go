package ledger

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/record"
)

// routedAttempt is an attempt that answered a request, with forecasts of quality and cost
// of the models large and small.
func routedAttempt(n int, model string, forecasts map[string][2]float64, cost carrot.USD) *record.Attempt {
	d := &carrot.Decision{Model: model}
	for _, name := range []string{"large", "small"} {
		f, ok := forecasts[name]
		a := carrot.Assessment{Name: name, Estimate: carrot.Estimate{Quality: f[0], Cost: carrot.Dollars(f[1])}}
		if !ok {
			a.Excluded = "too long"
		}
		if f[1] < 0 {
			a.Cost, a.CostUnknown = 0, true
		}
		d.Candidates = append(d.Candidates, a)
	}
	return &record.Attempt{Time: time.Date(2026, 11, 1+n%3, 0, 0, 0, n, time.UTC), RequestID: fmt.Sprintf("req_%d", n), Number: 1, Client: "support", Policy: "auto:usd-per-quality=0.1", Default: "small",
		Candidate: model, Decision: d, Outcome: record.Served, Cost: cost, ExpectedUnknown: true}
}

// TestSaving: a saving is the cost of a reference less that of the same requests, and what
// cannot be compared is counted.
func TestSaving(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		s := l.Store()
		if total, _, err := s.Saving(t.Context(), Range{}, ByDay); err != nil || total != nil {
			t.Fatalf("%v, %v, want none in an empty store", total, err)
		}
		both := map[string][2]float64{"large": {0.9, 0.10}, "small": {0.6, 0.01}}
		n := 0
		add := func(a *record.Attempt) {
			t.Helper()
			n++
			if err := l.Record(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		for range 60 { // the forecasts of large are a fifth too low, those of small are right
			add(routedAttempt(n, "large", both, carrot.Dollars(0.12)))
			add(routedAttempt(n, "small", both, carrot.Dollars(0.01)))
			add(routedAttempt(n, "small", both, carrot.Dollars(0.01)))
		}
		unknown := routedAttempt(n, "small", both, 0)
		unknown.CostUnknown = true
		add(unknown)
		add(routedAttempt(n, "small", map[string][2]float64{"small": {0.6, 0.01}}, carrot.Dollars(0.01)))                     // large could not answer
		add(routedAttempt(n, "small", map[string][2]float64{"large": {0.9, -1}, "small": {0.6, 0.01}}, carrot.Dollars(0.01))) // its cost was unknown
		failed := routedAttempt(n, "small", both, carrot.Dollars(0.5))
		failed.Outcome = record.Broken
		add(failed)
		gone := routedAttempt(n, "small", both, carrot.Dollars(100))
		gone.Outcome = record.ClientGone
		add(gone)
		named := routedAttempt(n, "small", both, carrot.Dollars(100))
		named.Policy, named.Default = "", ""
		add(named)
		settle(t, l)

		total, groups, err := s.Saving(t.Context(), Range{}, ByDay)
		if err != nil || len(total) != 2 || len(groups) != 3 {
			t.Fatalf("%+v, %+v, %v", total, groups, err)
		}
		near := func(what string, got, want float64) {
			t.Helper()
			if math.Abs(got-want) > 1e-9 {
				t.Errorf("%s is %v, want %v", what, got, want)
			}
		}
		best := total[0]
		if fmt.Sprint(best.Models) != "[large]" || best.Requests != 180 || best.Own != 60 || best.LeftOut != 3 || best.Cost.String() != "8.4" || best.Failed.String() != "0.5" || best.Fitted != 60 || best.Bias == nil || best.Interval == nil {
			t.Fatalf("against the best single model: %+v", best)
		}
		near("the forecast", best.Forecast, 12)
		near("the bias", *best.Bias, 1.2)
		near("the cost of the reference", best.Reference, 60*0.12+120*0.12)
		near("the saving", best.Saved, 60*0.12+120*0.12-8.4-0.5)
		if best.Interval[0] > best.Saved || best.Interval[1]-best.Interval[0] > 1e-6 {
			t.Errorf("interval %v of forecasts that are always off by the same", *best.Interval)
		}
		standby := total[1]
		if fmt.Sprint(standby.Models) != "[small]" || standby.Requests != 182 || standby.Own != 122 || standby.LeftOut != 1 {
			t.Fatalf("against the default: %+v", standby)
		}
		near("the saving against the default", standby.Saved, 60*0.01-60*0.12-0.5)
		saved := 0.0
		for day, g := range groups {
			if g.Models != nil && fmt.Sprint(g.Models) != "[large]" {
				t.Errorf("%s is compared with %q", day, g.Models)
			}
			saved += g.Saved
		}
		near("the saving of all days", saved, best.Saved)

		few, _, err := s.Saving(t.Context(), Range{From: time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC), Policies: []string{"auto"}}, ByModel)
		if err != nil || len(few) != 2 || few[0].Requests != 60 || few[0].Bias != nil || few[0].Interval != nil {
			t.Errorf("%+v, %v, want 60 requests without an interval", few, err)
		}
		for _, r := range []Range{{Policies: []string{"cheap"}}, {Clients: []string{"search"}}, {Models: []string{"small"}}} {
			if none, _, err := s.Saving(t.Context(), r, ByDay); err != nil || none != nil {
				t.Errorf("%+v: %+v, %v, want none", r, none, err)
			}
		}
		if _, _, err := s.Erase(t.Context(), Whose{Client: "support"}); err != nil {
			t.Fatal(err)
		}
		if again, _, err := s.Saving(t.Context(), Range{Clients: []string{Erased}}, ByDay); err != nil || len(again) != 2 || again[0].Cost != best.Cost || again[0].LeftOut != best.LeftOut {
			t.Errorf("after the client was erased: %+v, %v", again, err)
		}
	})
}

// TestSavingInterval: where forecasts are off by a factor and costs scatter, the interval
// has the truth about as often as it says.
func TestSavingInterval(t *testing.T) {
	const runs = 400
	covered := 0
	r := rand.New(rand.NewPCG(11, 12))
	for range runs {
		sum := routed{}
		truth := 0.0
		for n := range 500 {
			f := 0.001 * math.Exp(r.NormFloat64())
			cost := f * 1.3 * math.Exp(0.5*r.NormFloat64()-0.125)
			model := "small"
			if r.IntN(5) == 0 {
				model = "large"
			}
			forecasts := map[string][2]float64{"large": {0.9, f}, "small": {0.6, f / 10}}
			paid := map[string]float64{"large": cost, "small": f / 10}[model]
			truth += cost - paid
			a := routedAttempt(n, model, forecasts, carrot.Dollars(paid))
			sum.add(&entry{attempt: *a, forecasts: appendForecasts(nil, a)})
		}
		got := savingOf(BestSingle, map[string]*forecastSums{"large": sum["large"]}, sum, sum[""])
		if got.Interval == nil {
			t.Fatalf("no interval: %+v", got)
		}
		if got.Interval[0] <= truth && truth <= got.Interval[1] {
			covered++
		}
	}
	t.Logf("%d of %d intervals have the truth", covered, runs)
	if covered < runs*90/100 || covered > runs*99/100 {
		t.Errorf("%d of %d intervals of 95%% have the truth", covered, runs)
	}
}

// TestFilters: names limit summaries and exports, and a label divides a summary.
func TestFilters(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		s := l.Store()
		r := rand.New(rand.NewPCG(6, 6))
		var list []*record.Attempt
		for n := range 300 {
			a := attempt(t, r, n)
			if a.Labels != nil {
				a.Labels = map[string]string{"team": []string{"red", "blue \"navy\""}[r.IntN(2)], "env": "prod"}
			}
			list = append(list, a)
			if err := l.Record(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		settle(t, l)
		for _, c := range []struct {
			r    Range
			want func(a *record.Attempt) bool
		}{
			{Range{}, func(*record.Attempt) bool { return true }},
			{Range{Clients: []string{"support"}}, func(a *record.Attempt) bool { return a.Client == "support" }},
			{Range{Clients: []string{"support", ""}, Models: []string{"large"}}, func(a *record.Attempt) bool { return a.Client != "search" && a.Candidate == "large" }},
			{Range{Policies: []string{"auto"}}, func(a *record.Attempt) bool { return a.Policy == "auto" || a.Policy == "auto:usd-per-quality=0.001" }},
			{Range{Policies: []string{"aut", "%"}}, func(*record.Attempt) bool { return false }},
			{Range{Policies: []string{"cheap"}, From: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 4, 0, 0, 0, 0, time.UTC)},
				func(a *record.Attempt) bool { return a.Policy == "cheap" && (a.Time.Day() == 2 || a.Time.Day() == 3) }},
		} {
			var want, cost = 0, Amount{}
			teams := map[string]int64{}
			for _, a := range list {
				if c.want(a) {
					want++
					cost.Add(a.Cost)
					teams[a.Labels["team"]]++
				}
			}
			n := 0
			for a, err := range s.Attempts(t.Context(), c.r) {
				if err != nil || !c.want(a) {
					t.Fatalf("%+v: %v, %v", c.r, a, err)
				}
				n++
			}
			if n != want {
				t.Errorf("%+v: %d attempts, want %d", c.r, n, want)
			}
			_, daily, err := s.Summary(t.Context(), c.r, ByModel)
			if err != nil || daily.Attempts != int64(want) || daily.Cost != cost {
				t.Errorf("%+v: %+v, %v, want %d attempts of %v", c.r, daily, err, want, cost)
			}
			groups, total, err := s.Summary(t.Context(), c.r, By("label:team"))
			if err != nil || total != daily {
				t.Errorf("%+v by label: %+v (%v), want %+v", c.r, total, err, daily)
			}
			for _, g := range groups {
				if teams[g.Name] != g.Attempts {
					t.Errorf("%+v: team %q has %d attempts, want %d", c.r, g.Name, g.Attempts, teams[g.Name])
				}
				delete(teams, g.Name)
			}
			if len(teams) > 0 {
				t.Errorf("%+v: no sums of teams %v", c.r, teams)
			}
		}
		if _, _, err := s.Summary(context.Background(), Range{}, "label:"); err == nil {
			t.Error("a summary by a label without a name")
		}
	})
}
