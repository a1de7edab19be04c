package predict

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
)

// TestCorrect: a correction shifts qualities within [0,1] and multiplies volumes. It
// survives saving, stays with its models in Only, and replaces the one before.
func TestCorrect(t *testing.T) {
	d, _ := world(200, 5)
	for _, text := range conforming {
		t.Run(text, func(t *testing.T) {
			p := fit(t, text, d)
			if shift, factor := p.Correction(); shift != nil || factor != nil {
				t.Errorf("Correction after Fit = %v, %v, want none", shift, factor)
			}
			shift, factor := make([]float64, testModels), make([]float64, testModels)
			for j := range shift {
				shift[j], factor[j] = 0.3-0.2*float64(j), 1+0.5*float64(j)
			}
			other, err := p.Correct(factorsOf(0.9), factorsOf(7))
			if err != nil {
				t.Fatal(err)
			}
			corrected, err := other.Correct(shift, factor)
			if err != nil {
				t.Fatal(err)
			}
			gotShift, gotFactor := corrected.Correction()
			if !cmp.Equal(gotShift, shift) || !cmp.Equal(gotFactor, factor) {
				t.Errorf("Correction = %v, %v, want %v, %v", gotShift, gotFactor, shift, factor)
			}
			before, after := predictAll(t, p, d.X), predictAll(t, corrected, d.X)
			for i := range before {
				for j := range shift {
					b, a := before[i].Forecasts[j], after[i].Forecasts[j]
					b.Quality = min(max(b.Quality+shift[j], 0), 1)
					b.OutputTokens *= factor[j]
					b.OutputTokensP90 *= factor[j]
					b.CostUSD *= factor[j]
					b.CostUSDP90 *= factor[j]
					if a != b {
						t.Fatalf("query %d, model %d: %+v, want %+v", i, j, a, b)
					}
				}
			}
			reload := loaded(t, saved(t, corrected), corrected)
			if diff := cmp.Diff(after, predictAll(t, reload, d.X)); diff != "" {
				t.Errorf("loaded again (-corrected +loaded):\n%s", diff)
			}
			names := []string{d.Models[2], d.Models[0]}
			small := make([]carrot.Prediction, len(d.X))
			if err := corrected.Only(names).Predict(d.X, small); err != nil {
				t.Fatal(err)
			}
			for i := range small {
				if small[i].Forecasts[0] != after[i].Forecasts[2] || small[i].Forecasts[1] != after[i].Forecasts[0] {
					t.Fatalf("query %d: Only forecasts %+v, want those of models 2 and 0 in %+v", i, small[i].Forecasts, after[i].Forecasts)
				}
			}
		})
	}
}

func factorsOf(v float64) []float64 {
	out := make([]float64, testModels)
	for j := range out {
		out[j] = v
	}
	return out
}

func TestCorrectRefused(t *testing.T) {
	d, _ := world(60, 5)
	p := fit(t, "mean", d)
	for _, c := range []struct {
		name          string
		shift, factor []float64
		want          string
	}{
		{"too few", factorsOf(0)[1:], factorsOf(1), "3 shifts"},
		{"not a number", factorsOf(math.NaN()), factorsOf(1), "shift of quality of NaN"},
		{"large shift", factorsOf(1.5), factorsOf(1), "outside [-1,1]"},
		{"no factor", factorsOf(0), factorsOf(0), "factor of 0"},
		{"infinite factor", factorsOf(0), factorsOf(math.Inf(1)), "factor of +Inf"},
	} {
		if _, err := p.Correct(c.shift, c.factor); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Correct = %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := New(Spec{Name: "mean"}).Correct(nil, nil); !errors.Is(err, ErrNotFitted) {
		t.Errorf("Correct before Fit = %v, want %v", err, ErrNotFitted)
	}
}
