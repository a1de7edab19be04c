package frontier_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/carrot-router/carrot/frontier"
)

// references are the problems and figures of testdata/estimators_reference.py.
type references struct {
	Curves     []curveProblem
	Pairs      []pairProblem
	Estimators []estimatorProblem
}

type curveProblem struct {
	Name            string
	Points, Singles [][2]float64
	Want            struct {
		AUDC, AIQ, Peak float64
		QNC, Cost95     *float64
		Arena, Regret   []float64
	}
}

type pairProblem struct {
	Name         string
	Points       [][2]float64
	Weak, Strong float64
	Want         struct {
		APGR float64
		X    []float64
		CPT  []*float64
	}
}

type estimatorProblem struct {
	Name                string
	Predicted, Observed []float64
	Bins                int
	Want                struct {
		Brier, ECE, Mean, MAE, Bias, Coverage float64
		RelativeMAE                           float64 `json:"relative_mae"`
		R2, Rank                              *float64
		Count                                 []int
		MeanPredicted                         []float64 `json:"mean_predicted"`
		MeanObserved                          []float64 `json:"mean_observed"`
	}
}

func pointsOf(rows [][2]float64) points {
	p := make(points, len(rows))
	for i, row := range rows {
		p[i] = frontier.Point{Cost: row[0], Quality: row[1]}
	}
	return p
}

// or returns a figure of the fixture, or a default if the fixture has null.
func or(figure *float64, other float64) float64 {
	if figure == nil {
		return other
	}
	return *figure
}

// Every figure agrees to 1e-9 with numpy, scipy and scikit-learn.
func TestEstimatorsReference(t *testing.T) {
	text, err := os.ReadFile("testdata/estimators_reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var r references
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Curves) == 0 || len(r.Pairs) == 0 || len(r.Estimators) == 0 {
		t.Fatalf("%d curves, %d pairs and %d estimators, want some of each", len(r.Curves), len(r.Pairs), len(r.Estimators))
	}
	for _, p := range r.Curves {
		t.Run("curve/"+p.Name, p.check)
	}
	for _, p := range r.Pairs {
		t.Run("pair/"+p.Name, p.check)
	}
	for _, p := range r.Estimators {
		t.Run("estimator/"+p.Name, p.check)
	}
}

// agree compares two figures, with a tolerance relative to sizes above 1.
func agree(t *testing.T, figure string, got, want float64) {
	t.Helper()
	if !near(got, want, 1e-9*max(1, want, -want)) {
		t.Errorf("%s = %v, want %v", figure, got, want)
	}
}

func (p curveProblem) check(t *testing.T) {
	curve := pointsOf(p.Points)
	scale := frontier.NewScale(pointsOf(p.Singles))
	got := scale.Measure(curve)
	agree(t, "AUDC", frontier.AUDC(curve, scale.Low, scale.High), p.Want.AUDC)
	agree(t, "AIQ", got.AIQ, p.Want.AIQ)
	agree(t, "peak", got.Peak, p.Want.Peak)
	agree(t, "QNC", got.QNC, or(p.Want.QNC, inf))
	agree(t, "cost@95", got.Cost95, or(p.Want.Cost95, inf))
	for i, at := range curve {
		agree(t, "ArenaScore", frontier.ArenaScore(at.Quality, 1000*at.Cost), p.Want.Arena[i])
		agree(t, "Regret", frontier.Regret(scale.Single, at, 0.5), p.Want.Regret[i])
	}
}

func (p pairProblem) check(t *testing.T) {
	agree(t, "APGR", frontier.APGR(pointsOf(p.Points), p.Weak, p.Strong), p.Want.APGR)
	for i, x := range p.Want.X {
		agree(t, "CPT", frontier.CPT(pointsOf(p.Points), p.Weak, p.Strong, x), or(p.Want.CPT[i], inf))
	}
}

func (p estimatorProblem) check(t *testing.T) {
	f, y, want := p.Predicted, p.Observed, p.Want
	agree(t, "Brier", frontier.Brier(f, y), want.Brier)
	agree(t, "ECE", frontier.ECE(f, y, p.Bins), want.ECE)
	agree(t, "R2", frontier.R2(f, y), or(want.R2, nan))
	agree(t, "Mean", frontier.Mean(y), want.Mean)
	agree(t, "MAE", frontier.MAE(f, y), want.MAE)
	agree(t, "RelativeMAE", frontier.RelativeMAE(f, y), want.RelativeMAE)
	agree(t, "Bias", frontier.Bias(f, y), want.Bias)
	agree(t, "Coverage", frontier.Coverage(f, y), want.Coverage)
	agree(t, "RankCorrelation", frontier.RankCorrelation(f, y), or(want.Rank, nan))
	bins := frontier.Reliability(f, y, p.Bins)
	if len(bins) != len(want.Count) {
		t.Fatalf("Reliability has %d bins, want %d", len(bins), len(want.Count))
	}
	for k, b := range bins {
		agree(t, "count of a bin", float64(b.Count), float64(want.Count[k]))
		agree(t, "mean prediction of a bin", b.Predicted, want.MeanPredicted[k])
		agree(t, "mean observation of a bin", b.Observed, want.MeanObserved[k])
	}
}
