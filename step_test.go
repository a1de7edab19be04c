package carrot_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
)

// planPredictor forecasts the plan check(small,large) after the models.
type planPredictor struct {
	fakePredictor
	steps []carrot.Step
}

func (p planPredictor) Predict(x []carrot.Representation, dst []carrot.Prediction) error {
	err := p.fakePredictor.Predict(x, dst)
	for i := range dst {
		dst[i].Steps = make([][]carrot.Step, len(p.models))
		dst[i].Steps[len(p.models)-1] = p.steps
	}
	return err
}

// withPlan is twoModels with the plan check(small,large): large is asked for a query in
// four, and then writes 2,000 tokens.
func withPlan() carrot.Config {
	c := twoModels()
	c.Candidates = append(c.Candidates, carrot.Candidate{Name: "check(small,large)", Steps: []carrot.Step{{Model: "small"}, {Model: "large"}}})
	p := c.Predictor.(fakePredictor)
	p.models = append(p.models, "check(small,large)")
	p.forecasts = append(p.forecasts, carrot.Forecast{Quality: 0.85, QualitySE: 0.03, QualityNoise: 0.35, CostRatioP90: 2, TokensRatioP90: 1.5})
	c.Predictor = planPredictor{p, []carrot.Step{{Called: 1, OutputTokens: 300}, {Called: 0.25, OutputTokens: 2000}}}
	return c
}

// TestRoutePlan: a plan costs what its calls cost, each with its probability, at the prices
// and limits of the pool, so that prices change without training.
func TestRoutePlan(t *testing.T) {
	c := withPlan()
	r := newRouter(t, c)
	q := carrot.Query{Text: "hi", InputTokens: 1000}
	d := route(t, r, q, carrot.USDPerQuality(0.1))
	price := func(m int, output float64) carrot.USD {
		usd, err := c.Candidates[m].Price.Expected(carrot.Usage{Input: 1000}, output)
		if err != nil {
			t.Fatal(err)
		}
		return usd
	}
	small, large := price(1, 300), price(0, 2000)
	want := carrot.Assessment{Name: "check(small,large)", Utility: d.Candidates[2].Utility,
		Estimate: carrot.Estimate{Quality: 0.85, QualitySE: 0.03, QualityNoise: 0.35, InputTokens: 1000, OutputTokens: 800, OutputTokensP90: 1200,
			Cost: small + large/4, CostP90: 2 * (small + large/4)},
		Steps: []carrot.Step{{Model: "small", Called: 1, OutputTokens: 300, Cost: small}, {Model: "large", Called: 0.25, OutputTokens: 2000, Cost: large}}}
	if diff := cmp.Diff(want, d.Candidates[2]); diff != "" {
		t.Errorf("the plan (-want +got):\n%s", diff)
	}
	if d.Model != "check(small,large)" {
		t.Errorf("%s is chosen", d.Model)
	}
	var again carrot.Decision
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if part := `"steps":[{"model":"small","called":1,"output_tokens":300,"cost_usd":0.00025},{"model":"large","called":0.25,`; !strings.Contains(string(text), part) {
		t.Errorf("%s\nhas no %s", text, part)
	}
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.Candidates, again.Candidates); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	pool := append([]carrot.Candidate(nil), c.Candidates...)
	dear := *pool[0].Price
	dear.Input, dear.Output = 3*dear.Input, 3*dear.Output
	pool[0].Price, pool[0].MaxOutputTokens = &dear, 1000
	if r, err = r.With(pool); err != nil {
		t.Fatal(err)
	}
	d = route(t, r, q, carrot.USDPerQuality(0.1))
	if got, want := d.Candidates[2].Cost, small+3*price(0, 1000)/4; got < want-1 || got > want+1 {
		t.Errorf("with other prices and a limit the plan costs %v, want %v", got, want)
	}
	if got := d.Candidates[2].Steps[1].OutputTokens; got != 1000 {
		t.Errorf("large is expected to write %v tokens beyond its limit", got)
	}
}

// TestPlanExcluded: a plan is excluded for what excludes one of its models.
func TestPlanExcluded(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(c *carrot.Config, q *carrot.Query)
		want string // of the plan; empty: it is not excluded
	}{
		"nothing":             {func(*carrot.Config, *carrot.Query) {}, ""},
		"a model is missing":  {func(c *carrot.Config, _ *carrot.Query) { c.Candidates = c.Candidates[1:] }, "its model large is not in the pool"},
		"a model is excluded": {func(_ *carrot.Config, q *carrot.Query) { q.Excluded = map[string]string{"large": "it is down"} }, "large: it is down"},
		"the plan is excluded": {func(_ *carrot.Config, q *carrot.Query) {
			q.Excluded = map[string]string{"check(small,large)": "it is slow"}
		}, "it is slow"},
		"context": {func(c *carrot.Config, _ *carrot.Query) { c.Candidates[1].Model.ContextTokens = 999 }, "small: the query needs 1000 tokens of context, the model has 999"},
		"abilities": {func(c *carrot.Config, q *carrot.Query) {
			c.Candidates[0].Model.Abilities, q.Needs.Tools = &carrot.Abilities{}, true
		}, "large: the model lacks tools"},
		"other models are asked for": {func(_ *carrot.Config, q *carrot.Query) { q.Models = []string{"small", "large"} }, "not among the models to choose from"},
		"the plan alone is asked for": {func(_ *carrot.Config, q *carrot.Query) {
			q.Models = []string{"check(small,large)"}
		}, ""},
		"a cost is unknown": {func(c *carrot.Config, _ *carrot.Query) {
			c.Predictor.(planPredictor).forecasts[1].CostUnknown = true
		}, "its cost is unknown, so it may be chosen only where cost does not matter (usd-per-quality=inf)"},
	} {
		c, q := withPlan(), carrot.Query{Text: "hi", InputTokens: 1000}
		test.edit(&c, &q)
		d := route(t, newRouter(t, c), q, carrot.USDPerQuality(0.1))
		plan := &d.Candidates[len(d.Candidates)-1]
		if plan.Excluded != test.want || (test.want == "") != (d.Model == plan.Name) {
			t.Errorf("%s: the plan is excluded for %q, want %q; %s is chosen", name, plan.Excluded, test.want, d.Model)
		}
		if plan.CostUnknown && (plan.Cost != 0 || plan.Steps[0].Cost != 0 || plan.OutputTokens != 0) {
			t.Errorf("%s: the unknown cost is %+v", name, plan)
		}
	}
}

// TestPlanRefused: nothing is decided on a plan that is not forecast as the pool has it.
func TestPlanRefused(t *testing.T) {
	for name, steps := range map[string][]carrot.Step{
		"none":        nil,
		"too few":     {{Called: 1}},
		"another":     {{Model: "large", Called: 1}, {Model: "small", Called: 1}},
		"probability": {{Called: 1}, {Called: 1.5}},
		"tokens":      {{Called: 1, OutputTokens: math.Inf(1)}, {Called: 1}},
		"cost":        {{Called: 1}, {Called: 1, Cost: -1}},
	} {
		c := withPlan()
		p := c.Predictor.(planPredictor)
		p.steps = steps
		c.Predictor = p
		if _, err := newRouter(t, c).Route(t.Context(), carrot.Query{Text: "hi"}, carrot.Mu(0.5)); !errors.Is(err, carrot.ErrForecast) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := withPlan()
	c.Candidates[2].Steps[1].Model = "check(small,large)"
	if _, err := carrot.NewRouter(c); err == nil || !strings.Contains(err.Error(), "which is a plan itself") {
		t.Errorf("a plan of a plan: %v", err)
	}
}
