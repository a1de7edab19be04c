package predict

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/carrot-router/carrot"
)

// TestScikitLearn compares knn and ridge with scikit-learn on the fixture of
// testdata/sklearn_reference.py: raw outputs within 1e-6, the rounding of
// float32 vectors.
func TestScikitLearn(t *testing.T) {
	data, err := os.ReadFile("testdata/sklearn_reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref struct {
		K             int         `json:"k"`
		KTokens       int         `json:"k_tokens"`
		Alpha         float64     `json:"alpha"`
		X             [][]float32 `json:"x"`
		Train         int         `json:"train"`
		Score, Tokens [][]float64
		KNN, Ridge    [][]float64
	}
	if err := json.Unmarshal(data, &ref); err != nil {
		t.Fatal(err)
	}
	d := Data{Models: []string{"a", "b", "c"}}
	for i := range ref.Train {
		d.X = append(d.X, carrot.Representation{Dense: ref.X[i]})
		d.Score = append(d.Score, ref.Score[i]...)
		d.OutputTokens = append(d.OutputTokens, ref.Tokens[i]...)
	}
	problem, err := newProblem(&d, 0, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	compare := func(name string, l learner, want [][]float64) {
		t.Helper()
		if err := l.fit(t.Context(), problem); err != nil {
			t.Fatal(err)
		}
		var w workspace
		raw, variance := make([]float64, 7), make([]float64, 3)
		for i, row := range want {
			l.predict(&carrot.Representation{Dense: ref.X[ref.Train+i]}, &w, raw, variance)
			for c, v := range row {
				got := raw[c]
				if c < 3 {
					got += raw[6]
				}
				if math.Abs(got-v) > 1e-6 {
					t.Errorf("%s: query %d, output %d = %.9f, scikit-learn %.9f", name, i, c, got, v)
				}
			}
		}
	}
	compare("knn", &knn{k: [3]int{ref.K, ref.KTokens, ref.K}}, ref.KNN)
	compare("ridge", &ridge{alpha: ref.Alpha}, ref.Ridge)
}
