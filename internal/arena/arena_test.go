package arena

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func row(index, model string, accuracy, cost float64) Row {
	return Row{Index: index, Prediction: model, Accuracy: accuracy, CostUSD: cost, Line: 7}
}

// The file and its score were computed by RouterArena's formula in Python.
func TestScoreFile(t *testing.T) {
	f, err := os.Open("testdata/scored.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := Read(f, f.Name())
	if err != nil {
		t.Fatal(err)
	}
	r, err := Score(rows)
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("%s = %v, want %v", what, got, want)
		}
	}
	near("accuracy", r.Accuracy, 1.25/3)
	near("cost", r.CostUSDPer1000, (0.1334+0.0579+0.1226)/3)
	near("score", r.Score, 0.4327402699570893)
	near("score as counted", r.AsCounted, r.Score)
	if r.Queries != 3 || r.Scored != 3 || r.Optimality != 1 || len(r.Missing) != 0 {
		t.Errorf("counts of %+v", r)
	}
}

// The row of CARROT on RouterArena's leaderboard: accuracy, cost and score.
func TestScorePublished(t *testing.T) {
	r, err := Score([]Row{row("A_1", "m", .6721, .00206)})
	if err != nil || math.Round(1e4*r.Score) != 6387 {
		t.Errorf("Score(accuracy .6721, $2.06 per 1,000) = %+v, %v, want .6387", r, err)
	}
}

func TestScoreMissing(t *testing.T) {
	none := math.NaN()
	rows := []Row{row("A_1", "m", 1, .001), row("A_2", "m", none, .003), row("A_3", "m", .5, none), row("A_4", "m", none, none)}
	r, err := Score(rows)
	if err != nil {
		t.Fatal(err)
	}
	if r.Accuracy != .75 || r.CostUSDPer1000 != 2 || r.Scored != 1 || r.AsCounted <= r.Score {
		t.Errorf("Score = %+v, want accuracy .75 of two, $2 of two, and a higher score as counted", r)
	}
	want := []Unscored{{7, "A_2", []string{"accuracy"}}, {7, "A_3", []string{"cost"}}, {7, "A_4", []string{"accuracy", "cost"}}}
	if diff := cmp.Diff(want, r.Missing); diff != "" {
		t.Errorf("unscored (-want +got):\n%s", diff)
	}
	for range mostUnscored {
		rows = append(rows, row("A_9", "m", none, none))
	}
	if r, err = Score(rows); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := r.WriteText(&out, "p.json"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"13 rows are not scored", "p.json:7: A_2 lacks accuracy\n", "A_4 lacks accuracy and cost\n", "… and 3 more"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("WriteText does not write %q:\n%s", text, &out)
		}
	}
	if _, err := Score(rows[1:]); !errors.Is(err, ErrNotScored) {
		t.Errorf("Score(unscored) = %v", err)
	}
	if _, err := Score([]Row{row("A_1", "m", 1, 0)}); err == nil {
		t.Error("Score(free) returns a score")
	}
}

func TestCompareRobustness(t *testing.T) {
	rows := []Row{row("A_1", "m", 1, 1), row("A_2", "m", 1, 1), row("A_3", "n", 1, 1)}
	other := row("A_2", "n", 1, 1)
	other.Optimality = true
	r := &Report{}
	err := r.CompareRobustness(append(rows, other), []Row{row("A_2", "m", 0, 0), row("A_3", "m", 0, 0), row("B_1", "m", 0, 0), row("A_1", "", 0, 0)})
	if err != nil || r.Compared != 2 || *r.Robustness != .5 {
		t.Errorf("CompareRobustness = %+v, %v, want .5 of 2 queries", r, err)
	}
	if err := r.CompareRobustness(rows, []Row{row("B_1", "m", 0, 0)}); err == nil {
		t.Error("CompareRobustness without a common query returns a share")
	}
}
