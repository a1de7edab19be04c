package artifact_test

import (
	"bytes"
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/internal/safetensors"
	"github.com/carrot-router/carrot/predict"
)

// tinyPlans is tiny with the plan check(abacus,perfect,bard), which asks bard if abacus is
// wrong.
func tinyPlans(tb testing.TB, spec string) *artifact.Artifact {
	tb.Helper()
	a := tiny(tb, spec)
	holdout := a.Predictor.Holdout()
	plan := predict.Plan{Name: "check(abacus,perfect,bard)", Models: []string{"abacus", "bard"}}
	for i := range holdout.InputTokens {
		first, second := float64(holdout.Score[3*i]), float64(holdout.Score[3*i+1])
		plan.Score, plan.Asked = append(plan.Score, max(first, second)), append(plan.Asked, 1, 1-first)
		plan.CostUSD = append(plan.CostUSD, float64(holdout.Observed[3*i])*5e-6+(1-first)*float64(holdout.Observed[3*i+1])*8e-6)
	}
	price := func(_, model int, f *carrot.Forecast) float64 {
		return f.OutputTokens * []float64{5e-6, 8e-6, 0}[model]
	}
	if err := a.Predictor.FitPlans(context.Background(), []predict.Plan{plan}, price, nil); err != nil {
		tb.Fatal(err)
	}
	within := 0.9
	a.Manifest.Plans = []artifact.Model{{Name: plan.Name, Observed: 90, MeanScore: 0.7, Steps: []carrot.Step{{Model: "abacus", Called: 1}, {Model: "bard", Called: 0.5}}, CostP90: &within}}
	a.Manifest.PlanFrontier = slices.Clone(a.Manifest.Frontier)
	a.Manifest.PlanMetrics = map[string]float64{"aiq": 0.9}
	return a
}

// pool is that of a router with its plans.
func pool(a *artifact.Artifact) []carrot.Candidate {
	all := a.Pool(nil)
	for _, p := range a.Manifest.Plans {
		all = append(all, carrot.Candidate{Name: p.Name, Steps: p.Steps})
	}
	return all
}

// TestPlans: a router with plans is read back whole, and decides among models as the
// router without; its plans are candidates beside the models that they ask.
func TestPlans(t *testing.T) {
	for _, spec := range []string{"mean", tinySpec} {
		without, a := tiny(t, spec), tinyPlans(t, spec)
		data := encode(t, a)
		b, err := artifact.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(b.Manifest, a.Manifest) || !bytes.Equal(encode(t, b), data) {
			t.Errorf("%s: the router is read back or written again otherwise", spec)
		}
		alone := decisions(t, without)
		if got := decisions(t, b); !reflect.DeepEqual(got, alone) {
			t.Errorf("%s: plans change what is decided among models", spec)
		}
		router, err := b.Router(wordVectors{}, pool(b))
		if err != nil {
			t.Fatal(err)
		}
		trimmed := router.Trim()
		texts, _ := prompts(8, 9)
		for _, text := range texts {
			d, err := router.Route(t.Context(), carrot.Query{Text: text, InputTokens: 10}, carrot.Mu(0.5))
			if err != nil {
				t.Fatal(err)
			}
			if n := len(d.Candidates); n != 4 || len(d.Candidates[3].Steps) != 2 || d.Candidates[3].Steps[0].Called != 1 {
				t.Fatalf("%s: candidates are %+v", spec, d.Candidates)
			}
			same, err := trimmed.Route(t.Context(), carrot.Query{Text: text, InputTokens: 10}, carrot.Mu(0.5))
			if err != nil || !reflect.DeepEqual(same, d) {
				t.Errorf("%s: a router that was trimmed decides otherwise (%v)", spec, err)
			}
		}
	}
}

// TestPlansParseErrors: plans that do not fit the predictor are refused with the reason.
func TestPlansParseErrors(t *testing.T) {
	good := encode(t, tinyPlans(t, tinySpec))
	plan := func(key string, value any) func(map[string]any, tensors) {
		return func(m map[string]any, _ tensors) { m["plans"].([]any)[0].(map[string]any)[key] = value }
	}
	for name, test := range map[string]struct {
		edit func(m map[string]any, x tensors)
		want string
	}{
		"no name":            {plan("name", ""), "is empty or appears twice"},
		"the name of models": {plan("name", "bard"), `"bard" is empty or appears twice`},
		"unknown model":      {plan("steps", []any{map[string]any{"model": "zed"}}), `asks "zed"`},
		"no models":          {plan("steps", []any{}), "has no steps"},
		"no plans":           {func(m map[string]any, _ tensors) { delete(m, "plans") }, "tensor"},
		"no tensors": {func(_ map[string]any, x tensors) {
			for name := range x {
				if strings.HasPrefix(name, "plans.") {
					delete(x, name)
				}
			}
		}, "tensor"},
		"no weights": {func(_ map[string]any, x tensors) { delete(x, "plans.blend.kernel.weights") }, "plans.blend.kernel.weights"},
		"no steps":   {func(_ map[string]any, x tensors) { delete(x, "plans.steps") }, "plans.steps"},
		"unknown step": {func(_ map[string]any, x tensors) {
			x["plans.steps"] = safetensors.FromInt32("plans.steps", []int32{0, 0, -1, 0, 3, 0}, 2, 3)
		}, "model 3 or gate 0 does not exist"},
		"unknown gate": {func(_ map[string]any, x tensors) {
			x["plans.steps"] = safetensors.FromInt32("plans.steps", []int32{0, 0, -1, 0, 1, 1}, 2, 3)
		}, "model 1 or gate 1 does not exist"},
		"step of another plan": {func(_ map[string]any, x tensors) {
			x["plans.steps"] = safetensors.FromInt32("plans.steps", []int32{0, 0, -1, 1, 1, 0}, 2, 3)
		}, "out of order"},
		"mean above 1": {func(_ map[string]any, x tensors) {
			x["plans.gates"] = safetensors.FromFloat64("plans.gates", []float64{0, 1, 2}, 1, 3)
		}, "plans.gates: row 0: mean 2"},
		"negative ratio": {func(_ map[string]any, x tensors) {
			x["plans.ratios"] = safetensors.FromFloat64("plans.ratios", []float64{0, 0, 0, 1, -1, 1, 1, 1, 1}, 1, 9)
		}, "plans.ratios: row 0"},
	} {
		if _, err := artifact.Parse(rewrite(t, good, test.edit)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Parse = %v, want an error with %q", name, err, test.want)
		}
	}
}
