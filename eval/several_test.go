package eval

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/table"
)

// both asks small and large for every query where cost does not matter much, and else
// small alone. It says what that costs, and does not predict.
type both struct{ t *table.Table }

// bothFrom is the least willingness to pay at which both are asked.
const bothFrom = 0.001

func (b both) Models() []string { return b.t.ModelNames() }

func (b both) Predict([]carrot.Representation, []carrot.Prediction) error {
	return errors.New("this router does not predict")
}

func (b both) Setting() string { return "small and large" }

func (b both) Steps(rows []int, willing []float64) ([][]frontier.Step, error) {
	out := make([][]frontier.Step, len(rows))
	for k, i := range rows {
		small, large := b.t.Cost.At(i, 0), b.t.Cost.At(i, 2)
		for s, w := range willing {
			step := frontier.Step{At: s, Candidate: -1, Cost: small + large, Quality: max(b.t.Set.Score.At(i, 0), b.t.Set.Score.At(i, 2))}
			if w < bothFrom {
				step = frontier.Step{At: s, Candidate: 0, Cost: small, Quality: b.t.Set.Score.At(i, 0)}
			}
			out[k] = append(out[k], step)
		}
	}
	return out, nil
}

// TestAsksSeveral: a router that asks several models is measured by what it says that it
// pays and scores, at every objective, and its calls are no model's traffic. An oracle of plans is not compared pair by
// pair.
func TestAsksSeveral(t *testing.T) {
	task := world(t, 240)
	fit := func(_ context.Context, t *table.Table, _ []int, _ func(string)) (carrot.Predictor, error) {
		return both{t}, nil
	}
	r := evaluate(t, task.Set, Options{Folds: 3, Bootstrap: 11, Contenders: []Contender{{Name: "both", Fit: fit}, {Name: plansOracle, Fit: fit}},
		Objectives: []carrot.Objective{carrot.USDPerQuality(bothFrom), carrot.USDPerQuality(bothFrom / 2)}})
	if want := []string{"both", "oracle-plans", "mean", "best-single", "zero-router", "oracle"}; !slices.Equal(names(r), want) {
		t.Fatalf("routers are %q", names(r))
	}
	var small, together frontier.Point
	rows := table.Trainable(task.Set)
	n := float64(len(rows))
	for _, i := range rows {
		if task.Set.Queries[i].Split == dataset.SplitTest {
			t.Fatal("a test row is trainable")
		}
		small.Cost += task.Cost.At(i, 0) / n
		small.Quality += task.Set.Score.At(i, 0) / n
		together.Cost += (task.Cost.At(i, 0) + task.Cost.At(i, 2)) / n
		together.Quality += max(task.Set.Score.At(i, 0), task.Set.Score.At(i, 2)) / n
	}
	l := line(t, r, "both")
	near := func(p CurvePoint, q frontier.Point) bool {
		return math.Abs(p.CostUSD-q.Cost) < 1e-12 && math.Abs(p.Quality-q.Quality) < 1e-9
	}
	if first, last := l.Curve[0], l.Curve[len(l.Curve)-1]; !near(first, together) || !near(last, small) {
		t.Errorf("the curve goes from %+v to %+v, want %+v to %+v", first, last, together, small)
	}
	for _, p := range l.Traffic {
		sum := 0.0
		for _, share := range p.Shares {
			sum += share
		}
		if want := 0.0; float64(p.USDPerQuality) < bothFrom && sum != 1 || !(float64(p.USDPerQuality) < bothFrom) && sum != want {
			t.Errorf("at %v the shares are %v", p.USDPerQuality, p.Shares)
		}
	}
	if l.Calibration != nil || !slices.Equal(l.Settings, []string{"small and large", "small and large", "small and large"}) {
		t.Errorf("calibration %v, settings %q", l.Calibration, l.Settings)
	}
	utility := func(p frontier.Point, w float64) float64 { return p.Quality - p.Cost/w }
	for k, p := range []frontier.Point{together, small} {
		w := float64(l.Regret[k].USDPerQuality)
		best := 0.0
		for _, i := range rows {
			best += slices.Max([]float64{task.Set.Score.At(i, 0) - task.Cost.At(i, 0)/w, task.Set.Score.At(i, 1) - task.Cost.At(i, 1)/w, task.Set.Score.At(i, 2) - task.Cost.At(i, 2)/w}) / n
		}
		if want := best - utility(p, w); math.Abs(float64(l.Regret[k].Regret)-want) > 1e-9 || l.Regret[k].OracleTuned {
			t.Errorf("regret %+v, want %.6f", l.Regret[k], want)
		}
	}
	for _, p := range r.Pairs {
		if p.A == plansOracle || p.B == plansOracle {
			t.Errorf("pair %s - %s", p.A, p.B)
		}
	}
}
