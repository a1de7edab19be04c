package frontier_test

import (
	"testing"

	"github.com/carrot-router/carrot/frontier"
)

func TestAUDC(t *testing.T) {
	ramp := points{{1, 0.25}, {3, 0.75}}
	for _, test := range []struct {
		name      string
		curve     points
		low, high float64
		want      float64
	}{
		{"one point", points{{2, 0.5}}, 1, 3, 0.5},
		{"one point below the axis", points{{0, 0.5}}, 1, 3, 0.5},
		{"one point beyond the axis", points{{9, 0.5}}, 1, 3, 0.5},
		{"a ramp over its own range", ramp, 1, 3, 0.5},
		{"flat on both sides", ramp, 0, 4, (0.25 + 2*0.5 + 0.75) / 4},
		{"a part of it", ramp, 2, 3, 0.625},
		{"in any order", points{{3, 0.75}, {1, 0.25}}, 1, 3, 0.5},
		{"the points, not the hull", points{{1, 0.25}, {2, 0.25}, {3, 0.75}}, 1, 3, (0.25 + 0.5) / 2},
		{"it may fall", points{{1, 0.75}, {3, 0.25}}, 1, 4, (2*0.5 + 0.25) / 3},
		{"the best of equal cost", points{{1, 0.125}, {1, 0.25}, {3, 0.75}, {3, 0}}, 1, 3, 0.5},
		{"an axis of one cost", ramp, 2, 2, 0.5},
		{"no points", nil, 0, 1, nan},
		{"an empty axis", ramp, 2, 1, nan},
		{"no cost", points{{nan, 0.5}, {3, 0.75}}, 1, 3, nan},
		{"no quality, off the axis", points{{1, 0.5}, {9, nan}}, 1, 3, nan},
		{"an infinite cost", points{{1, 0.5}, {inf, 1}}, 1, 3, nan},
		{"an infinite axis", ramp, 1, inf, nan},
		{"no axis", ramp, nan, 3, nan},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := frontier.AUDC(test.curve, test.low, test.high); !near(got, test.want, 1e-15) {
				t.Errorf("AUDC(%v, %v, %v) = %v, want %v", test.curve, test.low, test.high, got, test.want)
			}
		})
	}
}

func TestPGR(t *testing.T) {
	f := func(quality, weak, strong, want float64) {
		t.Helper()
		if got := frontier.PGR(quality, weak, strong); !near(got, want, 1e-15) {
			t.Errorf("PGR(%v, %v, %v) = %v, want %v", quality, weak, strong, got, want)
		}
	}
	f(0.5, 0.5, 0.75, 0)
	f(0.75, 0.5, 0.75, 1)
	f(0.625, 0.5, 0.75, 0.5)
	f(0.875, 0.5, 0.75, 1.5) // better than the strong model
	f(0.25, 0.5, 0.75, -1)   // worse than the weak
	f(0.5, 0.75, 0.75, nan)
	f(nan, 0.5, 0.75, nan)
}

func TestAPGR(t *testing.T) {
	f := func(curve points, weak, strong, want float64) {
		t.Helper()
		if got := frontier.APGR(curve, weak, strong); !near(got, want, 1e-15) {
			t.Errorf("APGR(%v, %v, %v) = %v, want %v", curve, weak, strong, got, want)
		}
	}
	f(nil, 0.5, 0.75, 0.5)                          // the line between the two
	f(points{{0.5, 0.75}}, 0.5, 0.75, 0.75)         // all of the gap at half the calls: (1/4 + 1/2)
	f(points{{0.5, 0.5}}, 0.5, 0.75, 0.25)          // none of it
	f(points{{0.5, 0.5}, {0.5, 0.75}}, 0.5, 1, 0.5) // the better of two
	f(points{{-1, 9}, {2, 9}}, 0.5, 0.75, 0.5)      // no shares
	f(nil, 0.5, 0.5, nan)
	f(nil, nan, 0.5, nan)
	f(points{{0.5, nan}}, 0.5, 0.75, nan)
	f(points{{nan, 0.5}}, 0.5, 0.75, nan)
}

func TestCPT(t *testing.T) {
	curve := points{{0.5, 0.6875}, {0.75, 0.625}} // PGR 0, 3/4, 1/2, 1
	f := func(curve points, weak, strong, x, want float64) {
		t.Helper()
		if got := frontier.CPT(curve, weak, strong, x); !near(got, want, 1e-12) {
			t.Errorf("CPT(%v, %v, %v, %v) = %v, want %v", curve, weak, strong, x, got, want)
		}
	}
	f(curve, 0.5, 0.75, -1, 0)
	f(curve, 0.5, 0.75, 0, 0)
	f(curve, 0.5, 0.75, 0.375, 0.25)
	f(curve, 0.5, 0.75, 0.5, 1.0/3) // the first of two places
	f(curve, 0.5, 0.75, 0.75, 0.5)
	f(curve, 0.5, 0.75, 0.875, 0.9375) // 0.75 + 0.25·(3/8)/(1/2)
	f(curve, 0.5, 0.75, 1, 1)
	f(curve, 0.5, 0.75, 1.25, inf)
	f(points{{0.5, 0.875}}, 0.5, 0.75, 1.25, 0.5*1.25/1.5) // better than the strong model
	f(points{{0, 0.625}}, 0.5, 0.75, 0.5, 0)               // for free
	f(points{{-1, 1}, {2, 1}}, 0.5, 0.75, 0.5, 0.5)        // no shares
	f(nil, 0.75, 0.5, 0.25, 0.25)                          // the more expensive one is weaker
	f(nil, 0.5, 0.5, 0.5, nan)
	f(nil, nan, 0.5, 0.5, nan)
	f(curve, 0.5, 0.75, nan, nan)
	f(points{{0.5, nan}}, 0.5, 0.75, 0.5, nan)
}

func TestArenaScore(t *testing.T) {
	const middle = 0.9380831519646859 // √(200·0.0044), C = 1/2
	f := func(accuracy, usd, want, tolerance float64) {
		t.Helper()
		if got := frontier.ArenaScore(accuracy, usd); !near(got, want, tolerance) {
			t.Errorf("ArenaScore(%v, %v) = %v, want %v", accuracy, usd, got, want)
		}
	}
	f(1, 0.0044, 1, 1e-15)
	f(0.5, middle, 0.5, 1e-15)         // 1.1·0.25/0.55: the mean of two equal numbers
	f(1, middle, 0.55/0.6, 1e-15)      // 1.1·1·0.5 / (0.1 + 0.5)
	f(0.5, 0.0044, 0.55/1.05, 1e-15)   // 1.1·0.5·1 / (0.05 + 1)
	f(0.5, 0.000001, 0.55/1.05, 1e-15) // clamped
	f(0.5, 0, 0.55/1.05, 1e-15)
	f(0.9, 200, 0, 0)
	f(0.9, 1e6, 0, 0) // clamped
	f(0.9, inf, 0, 0)
	f(0, 0.1, 0, 0)
	f(0, 200, 0, 0)
	f(-0.1, 1, nan, 0)
	f(0.5, -1, nan, 0)
	f(nan, 1, nan, 0)
	f(0.5, nan, nan, 0)
	// Rows of the public leaderboard, rounded as shown there.
	f(0.6688, 0.15, 0.6689, 2e-4) // MIRT-BERT
	f(0.6809, 0.54, 0.6666, 2e-4) // Azure's router
	f(0.7396, 10.02, 0.6432, 2e-4)
}
