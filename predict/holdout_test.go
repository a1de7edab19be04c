package predict

import (
	"bytes"
	"context"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The Holdout has what was forecast out of fold and what was observed, and reads back
// equal.
func TestHoldout(t *testing.T) {
	d, _ := world(200, 11)
	for _, at := range []int{0, 5, 6, 7, 42} {
		d.Score[at] = math.NaN()
	}
	d.OutputTokens[9] = math.NaN()
	p := New(Spec{Name: "knn", K: 8, KTokens: 8})
	if p.Holdout() != nil {
		t.Error("a predictor that was not fitted holds queries")
	}
	d.InputTokens = make([]float64, len(d.X))
	for i := range d.InputTokens {
		d.InputTokens[i] = float64(10 + i)
	}
	d.InputTokens[1] = math.NaN()
	if err := p.Fit(context.Background(), d, nil); err != nil {
		t.Fatal(err)
	}
	h, models := p.Holdout(), len(d.Models)
	if len(h.InputTokens) != len(d.X) || h.InputTokens[2] != 12 || !math.IsNaN(float64(h.InputTokens[1])) {
		t.Errorf("input tokens %v", h.InputTokens)
	}
	for i, prediction := range p.OutOfFold().Predictions(0) {
		for m, f := range prediction.Forecasts {
			at := i*models + m
			if got := float64(h.Quality[at]); math.Abs(got-f.Quality) > 1e-4 {
				t.Fatalf("query %d, %s: quality %v, want %v", i, d.Models[m], got, f.Quality)
			}
			if got := float64(h.Volume[at]); math.Abs(got-f.OutputTokens) > 1e-3*(1+f.OutputTokens) {
				t.Fatalf("query %d, %s: %v output tokens, want %v", i, d.Models[m], got, f.OutputTokens)
			}
			if got, want := float64(h.Score[at]), d.Score[at]; math.Abs(got-want) > 0.002 || math.IsNaN(got) != math.IsNaN(want) {
				t.Fatalf("query %d, %s: score %v, want %v", i, d.Models[m], got, want)
			}
			if got, want := float64(h.Observed[at]), d.OutputTokens[at]; math.Abs(got-want) > 1e-3*(1+want) || math.IsNaN(got) != math.IsNaN(want) {
				t.Fatalf("query %d, %s: %v tokens came, want %v", i, d.Models[m], got, want)
			}
		}
	}
	var file bytes.Buffer
	if err := p.Write(&file, nil); err != nil {
		t.Fatal(err)
	}
	parsed, err := Parse(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	back, err := parsed.Predictor(p.Spec(), p.Models(), len(d.X[0].Dense))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h, back.Holdout(), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("it reads back different (-want +got):\n%s", diff)
	}
	var again bytes.Buffer
	if err := back.Write(&again, nil); err != nil || !bytes.Equal(file.Bytes(), again.Bytes()) {
		t.Errorf("it is written different when it was read: %v", err)
	}
}
