package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/plan"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

// TestPlansMeasured: a router of models and plans is calibrated on models as the one of models
// is, and for each plan the report has what was expected and recorded and how often
// it is chosen, in folds that choose other plans and for a router that was fitted before.
func TestPlansMeasured(t *testing.T) {
	task := world(t, 240)
	names := []string{"check(small,perfect,large)", "check(small,perfect,middle)"}
	if at := slices.IndexFunc(task.Candidates, func(c carrot.Candidate) bool { return c.Name == "middle" }); at < 0 {
		t.Fatalf("the world has the models %v", task.ModelNames())
	}
	spec := predict.Spec{Name: "kernel", Gamma: 1, Noise: 5, Landmarks: 32}
	fold := 0
	fit := func(ctx context.Context, t *table.Table, rows []int, _ func(string)) (carrot.Predictor, error) {
		p := predict.New(spec)
		if err := p.Fit(ctx, t.Data(rows), nil); err != nil {
			return nil, err
		}
		plans, err := plan.ParseAll(names[fold%2:], 0)
		if err != nil {
			return nil, err
		}
		fold++
		of, err := plan.NewOutcomes(t, plans)
		if err != nil {
			return nil, err
		}
		if err := of.Attach(ctx, p, rows, nil); err != nil {
			return nil, err
		}
		return plan.On(t, p, plans)
	}
	r := evaluate(t, task.Set, Options{Folds: 3, Contenders: []Contender{{Name: "plans", Fit: fit}, Predictor("models", spec)}})
	with, without := line(t, r, "plans"), line(t, r, "models")
	if diff := cmp.Diff(without.Calibration, with.Calibration, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("models are calibrated otherwise beside plans (-models +plans):\n%s", diff)
	}
	if len(with.Plans) != 2 || with.Plans[0].Plan != names[0] || with.Plans[1].Queries != r.Queries || with.Plans[0].Queries >= r.Queries || without.Plans != nil {
		t.Fatalf("plans are %+v", with.Plans)
	}
	for _, p := range with.Plans {
		if math.Abs(p.Quality-p.Score) > 0.05 || math.Abs(p.CostUSD/p.RecordedUSD-1) > 0.1 || p.CostP90 < 0.8 || p.CostP90 > 0.99 || !(p.Brier < 0.25) {
			t.Errorf("%+v", p)
		}
	}
	for _, p := range with.Traffic {
		sum := 0.0
		for _, share := range append(slices.Clone(p.Shares), p.Plans...) {
			sum += share
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("at %v the shares add up to %v", p.USDPerQuality, sum)
		}
	}
	if with.AIQ <= without.AIQ {
		t.Errorf("AIQ %v with a perfect verifier, %v without", with.AIQ, without.AIQ)
	}
	var text bytes.Buffer
	if err := r.WriteDetails(&text); err != nil || !strings.Contains(text.String(), "plans of plans: expected and recorded") || !strings.Contains(text.String(), names[0]+" ") {
		t.Errorf("%v:\n%s", err, text.String())
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(with.Plans, line(t, &again, "plans").Plans); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}

	p := predict.New(spec)
	rows := table.Trainable(task.Set)
	if err := p.Fit(t.Context(), task.Data(rows), nil); err != nil {
		t.Fatal(err)
	}
	plans, err := plan.ParseAll(names, 0)
	if err != nil {
		t.Fatal(err)
	}
	of, err := plan.NewOutcomes(task, plans)
	if err != nil {
		t.Fatal(err)
	}
	if err := of.Attach(t.Context(), p, rows, nil); err != nil {
		t.Fatal(err)
	}
	r = evaluate(t, task.Set, Options{Contenders: []Contender{{Name: "saved", Fitted: plan.Saved{Predictor: p, Plans: plans}}, {Name: plansOracle, Fitted: plan.SavedOracle{Plans: plans}}}})
	if l := line(t, r, "saved"); len(l.Plans) != 2 || l.Calibration == nil {
		t.Errorf("a saved router has the plans %+v", l.Plans)
	}
	if l, oracle := line(t, r, plansOracle), line(t, r, "oracle"); l.AIQ != oracle.AIQ || l.Plans != nil {
		t.Errorf("the oracle of models and plans has AIQ %v, that of models %v", l.AIQ, oracle.AIQ)
	}
}
