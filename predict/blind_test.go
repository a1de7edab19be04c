package predict

import (
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
)

// TestWithoutRepresentation: queries of which nothing is known have means that are never
// novel, also loaded again; predictors that need vectors refuse them.
func TestWithoutRepresentation(t *testing.T) {
	d, _ := world(200, 43)
	d.X = make([]carrot.Representation, len(d.X))
	for _, text := range []string{"mean", "sparse"} {
		p := fit(t, text, d)
		file, err := Parse(saved(t, p))
		if err != nil {
			t.Fatal(err)
		}
		again, err := file.Predictor(p.Spec(), p.Models(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for name, p := range map[string]*Predictor{"fitted": p, "loaded": again} {
			for i, prediction := range append(predictAll(t, p, d.X[:2]), fit(t, text, d).OutOfFold().Predictions(0)[:2]...) {
				if prediction.Novelty != 0 || prediction.Abstained {
					t.Errorf("%s, %s: prediction %d has novelty %v, abstained %v, want none", text, name, i, prediction.Novelty, prediction.Abstained)
				}
			}
		}
	}
	for _, text := range []string{"blend", "kernel", "knn", "ridge"} {
		err := New(Spec{Name: text}).Fit(t.Context(), d, nil)
		if err == nil || !strings.Contains(err.Error(), "queries have no dense vectors, which "+text+" needs") {
			t.Errorf("Fit of %s without vectors: %v", text, err)
		}
	}
}
