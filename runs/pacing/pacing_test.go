package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/exampledata"
)

// invented returns outcomes of three models: one that is cheap and rarely right, one
// in between and one that is expensive and often right.
func invented(n int) *outcomes {
	random := rand.New(rand.NewPCG(1, 2))
	o := &outcomes{name: "invented", models: []string{"small", "medium", "large"}, objective: "usd-per-quality=0.1", base: 0.1}
	for range n {
		hard := random.Float64()
		var quality, cost, score, paid []float64
		for m, skill := range []float64{0.5, 0.8, 0.95} {
			q := skill * (1 - hard/2)
			c := 0.001 * math.Pow(5, float64(m)) * (0.5 + hard) * math.Exp(random.NormFloat64())
			quality, cost = append(quality, q), append(cost, c)
			right := 0.0
			if random.Float64() < q {
				right = 1
			}
			score, paid = append(score, right), append(paid, c*(0.5+random.Float64()))
		}
		o.quality, o.cost, o.score, o.paid = append(o.quality, quality), append(o.cost, cost), append(o.score, score), append(o.paid, paid)
	}
	return o
}

// A month's budget is never passed by more than one request, and if it is short, pacing
// gives a better month than spending until nothing is left. A weak pacing may not: before
// a burst, it raises the willingness to pay, and after it, lowers that too little.
func TestMonths(t *testing.T) {
	data := invented(500)
	ease := data.byEase()
	most := 0.0
	for _, paid := range data.paid {
		most = max(most, slices.Max(paid))
	}
	for _, s := range scenarios {
		for number := range 5 {
			requests := data.month(s, 3000, 7, number, ease)
			free := data.free(requests)
			for _, share := range shares {
				amount := share * free
				base := data.spend(requests, amount, refuse, nil)
				for _, m := range methods {
					out := data.spend(requests, amount, m, nil)
					switch {
					case m.cheapest:
						if out.refused > 0 {
							t.Errorf("%s %v %s refuses %v of the requests", s.name, share, m.name, out.refused)
						}
					case out.spent >= amount+most:
						t.Errorf("%s %v %s spends %v of %v, and no request costs more than %v", s.name, share, m.name, out.spent, amount, most)
					case out.refused > 0 && out.spent < amount:
						t.Errorf("%s %v %s refuses requests with %v left", s.name, share, m.name, amount-out.spent)
					case share <= 0.8 && (m.pacing >= 4 || m.pacing > 0 && !s.burst) && (out.quality <= base.quality || out.refused >= base.refused):
						t.Errorf("%s %v %s: quality %v with %v refused, without pacing %v with %v", s.name, share, m.name, out.quality, out.refused, base.quality, base.refused)
					}
				}
				if share >= 1 && (base.refused > 1.0/3000 || math.Abs(base.spent-free) > 1e-9*free) {
					t.Errorf("%s %v: without pacing %v are refused and %v of %v spent", s.name, share, base.refused, base.spent, free)
				}
			}
		}
	}
}

// The factor follows from the shares of the time and of the budget, minute by minute,
// and stays within its bounds.
func TestFactor(t *testing.T) {
	data := invented(200)
	requests := data.month(scenarios[1], 2000, 0, 0, data.byEase())
	amount := 0.5 * data.free(requests)
	minutes, lowest := 0, 1.0
	data.spend(requests, amount, method{pacing: 16}, func(minute int, factor, spent float64) {
		want := min(max(math.Exp(16*(float64(minute)/month-spent/amount)), 1.0/8), 8)
		if minute != minutes || math.Abs(factor-want) > 1e-12 {
			t.Fatalf("minute %d (the %d-th): factor %v, want %v", minute, minutes, factor, want)
		}
		minutes++
		lowest = min(lowest, factor)
	})
	if minutes != month || lowest > 0.5 {
		t.Errorf("%d minutes, lowest factor %v: pacing did nothing", minutes, lowest)
	}
	data.spend(requests, 10*amount, method{pacing: 16, capped: true}, func(_ int, factor, _ float64) {
		if factor > 1 {
			t.Fatalf("a capped factor is %v", factor)
		}
	})
}

// Traffic comes as a scenario says: less at night and at weekends, twice as much in
// the second half, with harder queries at the end.
func TestTraffic(t *testing.T) {
	data := invented(500)
	ease := data.byEase()
	rank := make([]int, len(ease))
	for r, row := range ease {
		rank[row] = r
	}
	for _, s := range scenarios {
		requests := data.month(s, 20_000, 0, 0, ease)
		var night, noon, late, weekend float64
		var first, last, firsts, lasts float64
		for i, r := range requests {
			if i > 0 && r.minute < requests[i-1].minute || r.minute < 0 || r.minute >= month {
				t.Fatalf("%s: request %d comes at minute %d", s.name, i, r.minute)
			}
			switch hour := r.minute % day / 60; {
			case hour < 6:
				night++
			case hour >= 12 && hour < 18:
				noon++
			}
			if r.minute/day%7 >= 5 {
				weekend++
			}
			if r.minute >= month/2 {
				late++
			}
			switch r.minute / (month / 10) {
			case 0:
				first, firsts = first+float64(rank[r.row]), firsts+1
			case 9:
				last, lasts = last+float64(rank[r.row]), lasts+1
			}
		}
		if night > noon/3 || weekend > 0.2*20_000 {
			t.Errorf("%s: %v requests from 0 to 6 h, %v from 12 to 18 h, %v at weekends", s.name, night, noon, weekend)
		}
		if late > 0.6*20_000 != s.burst {
			t.Errorf("%s: %v requests in the second half", s.name, late)
		}
		if harder := last/lasts-first/firsts > 0.2*500; harder != s.mix {
			t.Errorf("%s: mean rank %v at first, %v at last", s.name, first/firsts, last/lasts)
		}
	}
}

// Equal flags give equal bytes, and rows marked test do not matter.
func TestRun(t *testing.T) {
	set := exampledata.New(func(text string) int { return len(text) / 4 })
	table := func(set *dataset.Set) (string, string) {
		t.Helper()
		dir := t.TempDir()
		folder, picture := filepath.Join(dir, "example"), filepath.Join(dir, "pacing.svg")
		if err := set.WriteDirWith(folder, dataset.WriteOptions{Plain: true}); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := run(t.Context(), []string{"-months", "3", "-requests", "500", "-predictor", "mean", "-objective", "usd-per-quality=0.01", "-svg", picture, folder}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		drawing, err := os.ReadFile(picture)
		if err != nil {
			t.Fatal(err)
		}
		return out.String(), string(drawing)
	}
	out, drawing := table(set)
	for i, q := range set.Queries {
		if q.Split == dataset.SplitTest {
			for m := range set.Models {
				set.Score.Set(i, m, 1-set.Score.At(i, m))
			}
		}
	}
	if again, same := table(set); again != out || same != drawing {
		t.Errorf("other scores of test rows give another table or picture:\n%s\nbefore\n%s", again, out)
	}
	if lines := strings.Count(out, "\n"); lines != 1+len(scenarios)+4*(2+1+len(scenarios)*len(shares))+1 || strings.Contains(out, "NaN") {
		t.Errorf("%d lines:\n%s", lines, out)
	}
	for decoder := xml.NewDecoder(strings.NewReader(drawing)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// What hindsight knows is at least what the policy reaches where its budget is enough, and
// nothing is known of a budget that is below what the cheapest models cost.
func TestHindsight(t *testing.T) {
	data := invented(300)
	requests := data.month(scenarios[0], 2000, 0, 0, data.byEase())
	curve := data.hindsight().curve(requests)
	alone := data.spend(requests, math.Inf(1), refuse, nil)
	if got := best(curve, alone.spent/2000); got.quality < alone.quality-0.01 || got.spent > alone.spent/2000 {
		t.Errorf("hindsight reaches %v for %v a request, the policy %v for %v", got.quality, got.spent, alone.quality, alone.spent/2000)
	}
	if got := best(curve, 1e-9); !math.IsNaN(got.quality) {
		t.Errorf("hindsight reaches %v for nothing", got.quality)
	}
}

// Flags and folders that make no sense are refused.
func TestRefused(t *testing.T) {
	for _, args := range [][]string{nil, {"-months", "0", "x"}, {"-folds", "1", "x"}, {"-predictor", "?", "x"}, {"-objective", "?", "x"}, {filepath.Join(t.TempDir(), "absent")}, {"-x"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q is not refused", args)
		}
	}
}
