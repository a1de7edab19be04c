package agreement

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/dataset"
)

// TestReport has a judge that is wrong on every tenth answer, and three annotators.
func TestReport(t *testing.T) {
	const n = 200
	set := &dataset.Set{Name: "answers", Models: []dataset.Model{{Name: "m"}, {Name: "idle"}}, Score: dataset.NewMatrix(n, 2)}
	var labels []Label
	for i := range n {
		set.Queries = append(set.Queries, dataset.Query{ID: fmt.Sprint("q", i)})
		right := float64(i % 2)
		set.Score.Set(i, 0, right)
		if i%10 == 0 {
			set.Score.Set(i, 0, 1)
		}
		for k, annotator := range []string{"ann", "bob", "cem"} {
			if i >= 60 {
				break
			}
			score := right
			if i%10 == k+1 {
				score = 1 - right
			}
			labels = append(labels, Label{ID: set.Queries[i].ID, Model: "m", Annotator: annotator, Score: score, Weight: 1, Line: len(labels) + 2})
		}
	}
	flips := &Flips{}
	r, err := Check(set, labels, "h.csv", flips, 0.2)
	if err != nil {
		t.Fatal(err)
	}
	m := r.Models[0]
	if r.Labels != 180 || r.Answers != 60 || r.Unjudged != 0 || r.Weighted || r.Flips != nil || len(r.Models) != 1 || m.Rows != n || m.Powered == nil || m.Classical == nil || m.Compared.Pairs != 60 {
		t.Errorf("%+v", r)
	}
	near(t, "mean of the judge", m.MeanJudge, 0.6)
	near(t, "agreement", r.Agreement.Agreement, 0.9)
	if !(m.Powered.High-m.Powered.Low < m.Classical.High-m.Classical.Low) || !(m.Powered.Low < 0.5 && 0.5 < m.Powered.High) {
		t.Errorf("%+v, of labels %+v", m.Powered, m.Classical)
	}
	if a := r.AltTest; a == nil || !a.Passes || len(a.Annotators) != 3 || r.NoAlt != "" {
		t.Errorf("%+v, %s", a, r.NoAlt)
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"180 scores of people on 60 answers in answers\n", "\nm      200      60      0.900      0.600 ", "by accuracy: the judge passes; winning rate ω 1.00", "\n  bob  60 answers  judge "} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, b.String())
		}
	}
	// Weights are kept apart from the scores.
	for i := range labels {
		labels[i].Weight = 1 + math.Floor(float64(i/3)/30)
	}
	if r, err := Check(set, labels, "h.csv", nil, 0.2); err != nil || !r.Weighted || r.Models[0].Powered == nil {
		t.Errorf("%+v, %v", r, err)
	}
}
