package ledger

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/record"
)

// reopened closes a ledger, so that all is in its store, and opens the store.
func reopened(t *testing.T, l *Ledger, dsn string) *Store {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := OpenStore(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestBins: hours and days have the sums of the attempts in them.
func TestBins(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		r := rand.New(rand.NewPCG(1, 1))
		for n := range 300 {
			a := attempt(t, r, n)
			a.Time = time.Date(2026, 11, 1+n%3, n%24, n%60, 0, n, time.UTC)
			a.Number = 1 + n%7/6
			if err := l.Record(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		s := reopened(t, l, dsn)
		within := Range{From: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)}
		for _, part := range []time.Duration{10 * time.Minute, time.Hour, Day} {
			type key struct {
				start time.Time
				model string
			}
			want := map[key]Bin{}
			for _, a := range all(t, s) {
				if a.Time.Before(within.From) {
					continue
				}
				k := key{a.Time.Truncate(part), a.Candidate}
				b := want[k]
				b.Start, b.Model = k.start, k.model
				b.Attempts++
				if a.Number == 1 {
					b.Requests++
				}
				if a.Outcome == record.Served {
					b.Served++
				}
				if a.CostUnknown {
					b.Unknown++
				} else {
					b.Cost.Add(a.Cost)
				}
				want[k] = b
			}
			got, err := s.Bins(t.Context(), within, part)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) || len(got) == 0 {
				t.Fatalf("%v: %d bins, want %d", part, len(got), len(want))
			}
			for _, b := range got {
				if w := want[key{b.Start, b.Model}]; b != w {
					t.Errorf("%v: %+v, want %+v", part, b, w)
				}
			}
			if !slices.IsSortedFunc(got, func(a, b Bin) int { return a.Start.Compare(b.Start) }) {
				t.Errorf("%v: bins are not in the order of time", part)
			}
		}
		for _, part := range []time.Duration{0, 7 * time.Minute, 2 * Day} {
			if _, err := s.Bins(t.Context(), within, part); err == nil {
				t.Errorf("bins of %v: no error", part)
			}
		}
	})
}

// TestLatest: the latest attempts come first, with their decisions and what was said, and a
// range can be cut to so many requests.
func TestLatest(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		both := map[string][2]float64{"large": {0.9, 0.10}, "small": {0.6, 0.01}}
		start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		for n := range 700 {
			a := routedAttempt(n, "small", both, 1)
			a.Time = start.Add(time.Duration(n) * time.Minute)
			if err := l.Record(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		s := reopened(t, l, dsn)
		score := 0.25
		if err := s.AddFeedback(t.Context(), Feedback{Time: start, RequestID: "req_100", Client: "support", Kind: "score", Score: &score}); err != nil {
			t.Fatal(err)
		}
		list, said, err := s.Latest(t.Context(), Range{}, 650)
		if err != nil || len(list) != 650 {
			t.Fatalf("%d attempts, %v", len(list), err)
		}
		for i, a := range list {
			if want := start.Add(time.Duration(699-i) * time.Minute); !a.Time.Equal(want) || a.Decision == nil || len(a.Decision.Candidates) != 2 {
				t.Fatalf("attempt %d: of %v with the decision %v, want one of %v", i, a.Time, a.Decision, want)
			}
		}
		if f := said["req_100"]; len(said) != 1 || f.Score == nil || *f.Score != score {
			t.Errorf("said: %v", said)
		}
		for _, tt := range []struct {
			n    int
			want time.Time
		}{{1, start.Add(699 * time.Minute)}, {700, start}, {701, time.Time{}}} {
			if at, err := s.Cut(t.Context(), Range{}, tt.n); err != nil || !at.Equal(tt.want) {
				t.Errorf("the latest %d begin at %v, %v; want %v", tt.n, at, err, tt.want)
			}
		}
	})
}
