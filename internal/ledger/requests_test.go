package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/record"
)

// outlined are the attempts of a request, and what is said of it.
func outlined(n int, r *rand.Rand) ([]*record.Attempt, Outline) {
	outcomes := [][]record.Outcome{{record.Served}, {record.FellBack, record.Served}, {record.FellBack, record.FellBack}, {record.Refused}, {record.ClientGone}, {record.Lapsed}, {record.Broken},
		{record.FellBack, record.FellBack, record.Served}}[r.IntN(8)]
	o := Outline{Time: time.Date(2026, 11, 1+n%3, 12, 0, 0, n/7, time.UTC), ID: fmt.Sprintf("req_%d", n), Client: []string{"", "support", "search"}[r.IntN(3)],
		Policy: []string{"", "auto", "auto:usd-per-quality=0.1", "automatic"}[r.IntN(4)], Attempts: len(outcomes)}
	var list []*record.Attempt
	waited := time.Duration(0)
	for i, outcome := range outcomes {
		a := &record.Attempt{Time: o.Time.Add(time.Duration(i) * time.Second), RequestID: o.ID, Number: i + 1, Client: o.Client, Policy: o.Policy, Outcome: outcome,
			Candidate: []string{"large", "small", "tiny"}[(n+i)%3], Upstream: time.Duration(r.IntN(1000)), Overhead: time.Duration(r.IntN(1000)), Cost: carrot.USD(r.IntN(1e9))}
		if r.IntN(3) == 0 {
			a.Cost, a.CostUnknown = 0, true
			o.Unknown++
		}
		a.First = []string{"large", "small", "tiny"}[n%3]
		if outcome == record.Served {
			o.Model = a.Candidate
		}
		o.First, o.Outcome = a.First, outcome
		o.Cost.Add(a.Cost)
		waited += a.Upstream
		o.Duration = a.Overhead + waited
		list = append(list, a)
	}
	return list, o
}

// TestRequests: every request that fits is on one page, the latest first, whatever the size of
// pages and however far a search looks at a time.
func TestRequests(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		r := rand.New(rand.NewPCG(5, 6))
		var all []Outline
		called := map[string][]string{}
		for _, n := range r.Perm(150) { // in no order of time
			attempts, o := outlined(n, r)
			for _, a := range attempts {
				called[o.ID] = append(called[o.ID], a.Candidate)
				if err := l.Record(t.Context(), a); err != nil {
					t.Fatal(err)
				}
			}
			all = append(all, o)
		}
		settle(t, l)
		defer func(was int) { searched = was }(searched)
		noon := time.Date(2026, 11, 2, 12, 0, 0, 3, time.UTC)
		for _, tt := range []struct {
			name string
			Which
			fits func(o Outline) bool
		}{
			{"all", Which{}, func(o Outline) bool { return true }},
			{"from a time", Which{Range: Range{From: noon}}, func(o Outline) bool { return !o.Time.Before(noon) }},
			{"until a time", Which{Range: Range{To: noon}}, func(o Outline) bool { return o.Time.Before(noon) }},
			{"client", Which{Range: Range{Clients: []string{"search"}}}, func(o Outline) bool { return o.Client == "search" }},
			{"policy with any objective", Which{Range: Range{Policies: []string{"auto"}}}, func(o Outline) bool { return o.Policy == "auto" || o.Policy == "auto:usd-per-quality=0.1" }},
			{"no policy", Which{Range: Range{Policies: []string{""}}}, func(o Outline) bool { return o.Policy == "" }},
			{"model", Which{Range: Range{Models: []string{"tiny"}}}, func(o Outline) bool { return slices.Contains(called[o.ID], "tiny") }},
			{"answered", Which{Ending: Answered}, func(o Outline) bool { return o.Model != "" }},
			{"unanswered", Which{Ending: Unanswered}, func(o Outline) bool { return o.Model == "" }},
			{"failed", Which{Ending: Failing}, func(o Outline) bool {
				return o.Attempts > 1 || o.Outcome != record.Served && o.Outcome != record.ClientGone
			}},
			{"several", Which{Range{From: noon, Clients: []string{"", "support"}, Models: []string{"large", "small"}, Policies: []string{"auto"}}, Answered}, func(o Outline) bool {
				return !o.Time.Before(noon) && o.Client != "search" && (slices.Contains(called[o.ID], "large") || slices.Contains(called[o.ID], "small")) &&
					(o.Policy == "auto" || o.Policy == "auto:usd-per-quality=0.1") && o.Model != ""
			}},
			{"nobody", Which{Range: Range{Clients: []string{"nobody"}}}, func(Outline) bool { return false }},
			{"nobody has such names", Which{Range: Range{Clients: []string{"\x00"}, Models: []string{"\xff"}, Policies: []string{strings.Repeat("x", 100_000)}}}, func(Outline) bool { return false }},
		} {
			var want []Outline
			for _, o := range all {
				if tt.fits(o) {
					want = append(want, o)
				}
			}
			if !strings.HasPrefix(tt.name, "nobody") && len(want) == 0 {
				t.Fatalf("%s: no request fits", tt.name)
			}
			byID := func(a, b Outline) int { return strings.Compare(a.ID, b.ID) }
			slices.SortFunc(want, byID)
			for _, n := range []int{7, 1000} {
				for _, searched = range []int{23, 100_000} {
					var got []Outline
					for from, pages := (Place{}), 0; ; pages++ {
						page, err := l.Store().Requests(t.Context(), tt.Which, from, n)
						if err != nil || len(page.Requests) > n || pages > 1000 {
							t.Fatalf("%s: page %d of %d: %v", tt.name, pages, n, err)
						}
						if !slices.IsSortedFunc(page.Requests, func(a, b Outline) int { return b.Time.Compare(a.Time) }) || len(got) > 0 && len(page.Requests) > 0 && page.Requests[0].Time.After(got[len(got)-1].Time) {
							t.Fatalf("%s: pages of %d are not in the order of time", tt.name, n)
						}
						got = append(got, page.Requests...)
						if page.Older == nil {
							break
						}
						if from, err = ParsePlace(page.Older.String()); err != nil {
							t.Fatal(err)
						}
					}
					slices.SortFunc(got, byID)
					if diff := cmp.Diff(want, got, cmp.AllowUnexported(Amount{})); diff != "" {
						t.Fatalf("%s: pages of %d, searched %d (-want +got):\n%s", tt.name, n, searched, diff)
					}
				}
			}
		}
		for _, bad := range []string{"", "1", "1.", "a.b", "1.2.3", " 1.2", "1.2 ", "01.2", "99999999999999999999.1"} {
			if p, err := ParsePlace(bad); err == nil {
				t.Errorf("ParsePlace(%q) = %v", bad, p)
			}
		}
	})
}

// TestRequestsPlan: a page of requests is read in the order of the index of times, and other
// calls of a request by its id, whatever the filter.
func TestRequestsPlan(t *testing.T) {
	s := open(t, databasetest.SQLite(t)).Store()
	for _, w := range []Which{{}, {Range: Range{From: time.Unix(1, 0), Clients: []string{"a"}, Models: []string{"b"}, Policies: []string{"c"}}, Ending: Unanswered}} {
		where, args, _, err := s.span(t.Context(), w, Place{Time: 7, Row: 8})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := s.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+selectOutlines(where), append(args, 50)...)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var a, b, c int
			var step string
			if err := rows.Scan(&a, &b, &c, &step); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(step, "attempts_time (time>? AND time<?)") && !strings.Contains(step, "attempts_request (request=?)") && !strings.HasPrefix(step, "CORRELATED") {
				t.Errorf("%+v: %s", w, step)
			}
		}
	}
}

// TestFates: sums by model, provider and outcome are those of the attempts of the days.
func TestFates(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		r := rand.New(rand.NewPCG(7, 8))
		want := map[string]Fate{}
		for n := range 60 {
			attempts, _ := outlined(n, r)
			for _, a := range attempts {
				a.Provider = []string{"openai", "other"}[r.IntN(2)]
				if err := l.Record(t.Context(), a); err != nil {
					t.Fatal(err)
				}
				if a.Time.Day() == 2 {
					k := a.Candidate + a.Provider + string(a.Outcome)
					f := want[k]
					f.Model, f.Provider, f.Outcome = a.Candidate, a.Provider, a.Outcome
					f.Attempts++
					if f.Cost.Add(a.Cost); a.CostUnknown {
						f.Unknown++
					}
					want[k] = f
				}
			}
		}
		settle(t, l)
		list, err := l.Store().Fates(t.Context(), Range{From: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]Fate{}
		for _, f := range list {
			got[f.Model+f.Provider+string(f.Outcome)] = f
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(Amount{})); diff != "" || len(list) != len(got) {
			t.Errorf("%d sums (-want +got):\n%s", len(list), diff)
		}
	})
}

// TestDecided: a store knows that a request had a decision, also after it was pruned.
func TestDecided(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		with := routedAttempt(1, "large", map[string][2]float64{"large": {.9, .1}}, 1)
		without := routedAttempt(2, "large", nil, 1)
		without.Decision = nil
		for _, a := range []*record.Attempt{with, without} {
			if err := l.Record(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		settle(t, l)
		for range 2 {
			for id, want := range map[string]bool{with.RequestID: true, without.RequestID: false, "req_other": false} {
				if got, err := l.Store().Decided(t.Context(), id); got != want || err != nil {
					t.Errorf("%s: %v, %v, want %v", id, got, err, want)
				}
			}
			if _, err := l.Store().Prune(t.Context(), time.Now().AddDate(10, 0, 0), false); err != nil {
				t.Fatal(err)
			}
		}
		if list, err := l.Store().Request(t.Context(), with.RequestID); err != nil || len(list) != 1 || list[0].Decision != nil {
			t.Errorf("%v, %v, want an attempt without its decision", list, err)
		}
	})
}
