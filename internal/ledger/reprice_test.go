package ledger

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/database/databasetest"
)

// TestReprice: attempts of unknown cost get one where there is a price with a date, once,
// and the sums of their days follow; the others are counted by what is missing.
func TestReprice(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		s := l.Store()
		r := rand.New(rand.NewPCG(3, 3))
		dated := carrot.Price{Input: carrot.PerMillion(1), Output: carrot.PerMillion(2), CachedInput: carrot.PerMillion(1), Reasoning: carrot.PerMillion(2), Date: "2026-11-30"}
		undated := dated
		undated.Date = ""
		short := dated
		short.Output = *new(carrot.Rate)
		book := map[string]carrot.Price{"answers": dated, "asked": dated, "undated": undated, "short": short}
		price := func(model string) (carrot.Price, error) {
			if p, ok := book[model]; ok {
				return p, nil
			}
			return carrot.Price{}, fmt.Errorf("model %q: no price", model)
		}
		models := []struct{ upstream, candidate string }{{"answers", "any"}, {"unknown", "asked"}, {"unknown", "other"}, {"undated", "any"}, {"also", "answers"}}
		want, known := Amount{}, Amount{}
		for n := range 500 {
			a := attempt(t, r, n)
			m := models[n%len(models)]
			a.UpstreamModel, a.Candidate = m.upstream, m.candidate
			a.Usage = carrot.Usage{Input: 1000 + n, CachedInput: 10, Output: 50, Reasoning: 5}
			a.CostUnknown = n%3 == 0
			if a.CostUnknown {
				a.Cost, a.PriceDate = 0, ""
			} else {
				a.PriceDate = "2026-11-01"
			}
			if n%len(models) == 4 {
				a.Usage.Details = &carrot.UsageDetails{Also: map[string]carrot.Usage{"missing": {Input: 1}}}
				if n%2 == 0 {
					a.Usage.Details.Also = map[string]carrot.Usage{"answers": {Input: 1000}}
				}
			}
			known.Add(a.Cost)
			if cost, err := dated.Cost(carrot.Usage{Input: 1000 + n, CachedInput: 10, Output: 50, Reasoning: 5}); err != nil {
				t.Fatal(err)
			} else if a.CostUnknown && n%len(models) != 2 && n%len(models) != 3 && (n%len(models) != 4 || n%2 == 0) {
				want.Add(cost)
				if n%len(models) == 4 {
					want.Add(1_000_000_000)
				}
			}
			if err := l.Record(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		settle(t, l)
		_, before, err := s.Summary(t.Context(), Range{}, ByDay)
		if err != nil || before.Cost != known {
			t.Fatalf("%+v, %v, want %v", before, err, known)
		}
		dry, err := s.Reprice(t.Context(), Range{}, price, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, after, err := s.Summary(t.Context(), Range{}, ByDay); err != nil || after != before {
			t.Errorf("a dry run has changed the sums to %+v (%v)", after, err)
		}
		half := time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)
		first, err := s.Reprice(t.Context(), Range{To: half}, price, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.Reprice(t.Context(), Range{From: half}, price, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := first.Cost.Plus(second.Cost); got != want || dry.Cost != want || first.Priced+second.Priced != dry.Priced || first.Priced == 0 || second.Priced == 0 {
			t.Errorf("%+v and %+v, in a dry run %+v, want %v", first, second, dry, want)
		}
		wantLeft := map[string]int{`model "unknown": no price`: 33, `model "undated": its price has no date`: 34, `model "answers": it also used another one: model "missing": no price`: 17}
		left := map[string]int{}
		for _, l := range dry.Left {
			left[l.Why] = l.Attempts
		}
		if !reflect.DeepEqual(left, wantLeft) {
			t.Errorf("left are %v, want %v", left, wantLeft)
		}
		sound(t, s)
		_, after, err := s.Summary(t.Context(), Range{}, ByDay)
		if err != nil || after.Cost != known.Plus(want) || after.Unknown != before.Unknown-int64(dry.Priced) {
			t.Errorf("sums %+v (%v), want %v more", after, err, want)
		}
		again, err := s.Reprice(t.Context(), Range{}, price, false, nil)
		if err != nil || again.Priced != 0 || !reflect.DeepEqual(again.Left, dry.Left) {
			t.Errorf("again: %+v, %v", again, err)
		}
		for _, a := range all(t, s) {
			if a.CostUnknown != (a.PriceDate == "") {
				t.Fatalf("%s: cost %v, price of %q", a.RequestID, a.Cost, a.PriceDate)
			}
		}
		book["unknown"] = short // without a price of output
		if got, err := s.Reprice(t.Context(), Range{}, price, true, nil); err != nil || len(got.Left) != 3 || got.Left[0].Attempts+got.Left[1].Attempts+got.Left[2].Attempts != 84 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
