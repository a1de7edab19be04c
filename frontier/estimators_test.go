package frontier_test

import (
	"math"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/frontier"
)

// Metrics of four predictions that a reader can check by hand.
func TestEstimators(t *testing.T) {
	predicted, observed := []float64{0.25, 0.5, 0.75, 1}, []float64{0, 1, 0, 1}
	f := func(name string, got, want float64) {
		t.Helper()
		if !near(got, want, 1e-15) {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	f("Brier", frontier.Brier(predicted, observed), (1.0/16+4.0/16+9.0/16)/4)
	f("R2", frontier.R2(predicted, observed), 1-(14.0/16)/1)
	f("Mean", frontier.Mean(predicted), 0.625)
	f("MAE", frontier.MAE(predicted, observed), (0.25+0.5+0.75)/4)
	f("RelativeMAE", frontier.RelativeMAE(predicted, observed), 1.5/2)
	f("Bias", frontier.Bias(predicted, observed), 2.5/2-1)
	f("Coverage", frontier.Coverage(predicted, observed), 0.75)                             // all but .5 < 1
	f("RankCorrelation", frontier.RankCorrelation(predicted, observed), 2/4.47213595499958) // ranks 1 2 3 4 and 1.5 3.5 1.5 3.5: 2/√(5·4)

	f("R2 of the mean", frontier.R2([]float64{2, 2}, []float64{1, 3}), 0)
	f("R2 worse than the mean", frontier.R2([]float64{3, 1}, []float64{1, 3}), -3)
	f("R2, exact and constant", frontier.R2([]float64{0.1, 0.1, 0.1}, []float64{0.1, 0.1, 0.1}), 1)
	f("R2, constant", frontier.R2([]float64{0.1, 0.1, 0.2}, []float64{0.1, 0.1, 0.1}), 0)
	f("R2 of one", frontier.R2([]float64{1}, []float64{1}), nan)
	f("RelativeMAE of zeros", frontier.RelativeMAE([]float64{1}, []float64{0}), inf)
	f("RelativeMAE of zeros, exact", frontier.RelativeMAE([]float64{0}, []float64{0}), nan)
	f("Bias of zeros", frontier.Bias([]float64{1}, []float64{0}), inf)
	f("Bias of zeros, exact", frontier.Bias([]float64{0}, []float64{0}), nan)
	f("Coverage at the bound", frontier.Coverage([]float64{1}, []float64{1}), 1)
	f("ECE without bins", frontier.ECE(predicted, observed, 0), nan)
	f("ECE of one bin", frontier.ECE(predicted, observed, 1), 0.125) // |.625 - .5|
	f("ECE of two bins", frontier.ECE(predicted, observed, 2), (0.25+3*(0.75-2.0/3))/4)
}

// Slices that cannot be compared give NaN.
func TestEstimatorsOfNothing(t *testing.T) {
	ok := []float64{0.25, 0.5}
	for name, pair := range map[string][2][]float64{
		"none":                 {nil, nil},
		"fewer predictions":    {ok[:1], ok},
		"fewer observations":   {ok, ok[:1]},
		"a missing prediction": {{0.5, nan}, ok},
		"a missing outcome":    {ok, {nan, 0.5}},
	} {
		for figure, f := range map[string]func(a, b []float64) float64{
			"Brier": frontier.Brier, "R2": frontier.R2, "MAE": frontier.MAE, "RelativeMAE": frontier.RelativeMAE,
			"Bias": frontier.Bias, "Coverage": frontier.Coverage, "RankCorrelation": frontier.RankCorrelation,
			"ECE": func(a, b []float64) float64 { return frontier.ECE(a, b, 10) },
		} {
			if got := f(pair[0], pair[1]); !near(got, nan, 0) {
				t.Errorf("%s: %s(%v, %v) = %v, want NaN", name, figure, pair[0], pair[1], got)
			}
		}
	}
	if got := frontier.Mean(nil); !near(got, nan, 0) {
		t.Errorf("Mean(nil) = %v, want NaN", got)
	}
}

func TestReliability(t *testing.T) {
	type bins = []frontier.Bin
	f := func(name string, predicted, observed []float64, n int, want bins) {
		t.Helper()
		if diff := gocmp.Diff(want, frontier.Reliability(predicted, observed, n)); diff != "" {
			t.Errorf("%s: Reliability(%v, %v, %d) (-want +got):\n%s", name, predicted, observed, n, diff)
		}
	}
	f("two in a bin, and none", []float64{0.125, 0.375, 1}, []float64{0, 1, 1}, 3, bins{{1, 0.125, 0}, {1, 0.375, 1}, {1, 1, 1}})
	f("means", []float64{0.5, 0.75}, []float64{0, 1}, 2, bins{{}, {2, 0.625, 0.5}})
	f("edges", []float64{0, 0.25, 0.5, 0.75, 1}, []float64{0, 0, 0, 0, 1}, 4, bins{{1, 0, 0}, {1, 0.25, 0}, {1, 0.5, 0}, {2, 0.875, 0.5}})
	f("beyond", []float64{-2, 3, inf, -inf}, []float64{0, 1, 1, 0}, 2, bins{{2, -inf, 0}, {2, inf, 1}})
	f("none", nil, nil, 2, bins{{}, {}})
	f("no bins", []float64{1}, []float64{1}, 0, nil)
	f("fewer than no bins", []float64{1}, []float64{1}, -1, nil)
	f("different lengths", []float64{1}, nil, 2, nil)

	missing := frontier.Reliability([]float64{nan, 0.75}, []float64{1, nan}, 2)
	if missing[0].Count != 1 || !math.IsNaN(missing[0].Predicted) || !math.IsNaN(missing[1].Observed) {
		t.Errorf("Reliability with NaN = %v, want NaN for the first prediction and the second observation", missing)
	}

	// k/n is the lower edge of bin k, even if k/n times n is rounded to less than
	// k, or the float below it times n to k.
	for _, n := range []int{3, 7, 10, 49, 100, 1000} {
		for k := range n {
			edge := float64(k) / float64(n)
			if b := frontier.Reliability([]float64{edge}, []float64{0}, n); b[k].Count != 1 {
				t.Errorf("%d bins: %v is not in bin %d", n, edge, k)
			}
			below := math.Nextafter(edge, 0)
			if b := frontier.Reliability([]float64{below}, []float64{0}, n); k > 0 && b[k-1].Count != 1 {
				t.Errorf("%d bins: %v is not in bin %d", n, below, k-1)
			}
		}
	}
}

func TestRankCorrelation(t *testing.T) {
	f := func(a, b []float64, want float64) {
		t.Helper()
		if got := frontier.RankCorrelation(a, b); !near(got, want, 1e-15) {
			t.Errorf("RankCorrelation(%v, %v) = %v, want %v", a, b, got, want)
		}
	}
	f([]float64{1, 2, 3}, []float64{5, 6, 70}, 1)
	f([]float64{1, 2, 3}, []float64{7, 6, 5}, -1)
	f([]float64{1, 2, 3, 4}, []float64{1, 3, 2, 4}, 0.8)              // 1 - 6·2/(4·15)
	f([]float64{1, 2, 3}, []float64{1, 1, 2}, 1.5/1.7320508075688772) // ranks 1.5, 1.5, 3: 1.5/√(2·1.5)
	f([]float64{-inf, 0, inf}, []float64{1, 2, 3}, 1)
	f([]float64{1, 1}, []float64{1, 2}, nan)
	f([]float64{1}, []float64{1}, nan)
}

func TestRegret(t *testing.T) {
	oracle, router := frontier.Point{Cost: 0.25, Quality: 0.875}, frontier.Point{Cost: 0.5, Quality: 0.75}
	f := func(w, want float64) {
		t.Helper()
		if got := frontier.Regret(oracle, router, w); !near(got, want, 0) {
			t.Errorf("Regret(%v, %v, %v) = %v, want %v", oracle, router, w, got, want)
		}
	}
	f(inf, 0.125)
	f(1, 0.375)   // .125 + .25
	f(0.5, 0.625) // .125 + .25/.5
	f(0, nan)
	f(-1, nan)
	f(nan, nan)
}
