package train

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
)

// TestRunPlans: plans leave what is said of models as it is, and add how good a router is
// that may choose them; the frontier of plans serves a pool that has some.
func TestRunPlans(t *testing.T) {
	set := world(300, 3)
	plans := []string{"check(small,perfect,large)", "check(middle,0.1/0.05,large)"}
	o := Options{Predictor: parse(t, quickSparse), EmbedderSpec: "static", Command: "test"}
	alone, _ := run(t, o, set)
	o.Plans = plans
	var steps []string
	o.Progress = func(doing string, done, total int) {
		if steps = append(steps, doing); done >= total {
			t.Errorf("%s is step %d of %d", doing, done, total)
		}
	}
	a, _ := run(t, o, set)
	m := a.Manifest
	if len(m.Plans) != 2 || m.Plans[0].Name != plans[0] || m.Plans[1].Steps[0].Model != "middle" || m.Plans[1].Steps[1].Model != "large" {
		t.Fatalf("plans are %+v", m.Plans)
	}
	small := m.Models[slices.IndexFunc(set.Models, func(m dataset.Model) bool { return m.Name == "small" })]
	p := m.Plans[0]
	if p.Observed != small.Observed || p.Steps[0].Called != 1 || p.Steps[1].OutputTokens < 50 || p.Steps[1].Cost < p.Steps[0].Cost || math.Abs(p.Steps[1].Called-(1-small.MeanScore)) > 0.02 || p.MeanScore < m.Plans[1].MeanScore || *p.CostP90 < 0.85 || *p.CostP90 > 0.95 {
		t.Errorf("%+v, and small alone %+v", p, small)
	}
	if m.PlanMetrics["aiq"] <= m.Metrics["aiq"] || len(m.PlanFrontier) != len(m.Frontier) {
		t.Errorf("figures are %v with plans and %v without", m.PlanMetrics, m.Metrics)
	}
	if !slices.Contains(steps, "fitting plans") {
		t.Errorf("steps are %q", steps)
	}
	without := m
	without.Plans, without.PlanFrontier, without.PlanMetrics = nil, nil, nil
	if !reflect.DeepEqual(without, alone.Manifest) {
		t.Errorf("plans change what is said of models:\n%+v\nwant\n%+v", m, alone.Manifest)
	}
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	pool := a.Pool(nil)
	for _, p := range m.Plans {
		pool = append(pool, carrot.Candidate{Name: p.Name, Steps: p.Steps})
	}
	router, err := a.Router(static, pool)
	if err != nil {
		t.Fatal(err)
	}
	if got := router.Frontier(); !reflect.DeepEqual(got, carrot.Frontier{Points: a.Manifest.PlanFrontier, BestSingle: a.Manifest.BestSingle}) {
		t.Errorf("the frontier with plans is %+v", got)
	}
	d, err := router.Route(t.Context(), carrot.Query{Text: "please about sum1 product2 root3"}, carrot.Target(0.97))
	if err != nil || len(d.Candidates) != 5 {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestRunPlansOfTasks: where costs were recorded and no tokens, though models have prices,
// plans are priced by these costs; and means are compared on the same queries as those of
// models, of which one is not observed where queries are hard.
func TestRunPlansOfTasks(t *testing.T) {
	set := world(400, 3)
	set.CostUSD = dataset.NewMatrix(len(set.Queries), len(set.Models))
	var returned, complete float64
	for i := range set.Queries {
		for m := range set.Models {
			set.CostUSD.Set(i, m, math.Pow(10, float64(m))*set.OutputTokens.At(i, m)/100)
			set.OutputTokens.Set(i, m, math.NaN())
			set.InputTokens.Set(i, m, math.NaN())
		}
		score := max(set.Score.At(i, 0), set.Score.At(i, 3))
		if set.Queries[i].Split != dataset.SplitTest && (score == 1 || i%3 == 0) {
			returned += score
			complete++
		} else {
			set.Score.Set(i, 2, math.NaN())
		}
	}
	a, _ := run(t, Options{Predictor: parse(t, "mean"), EmbedderSpec: "static", Unit: "task", Plans: []string{"check(small,perfect,large)"}}, set)
	m := a.Manifest
	p := m.Plans[0]
	if m.Unit != "task" || p.Steps[1].Cost < 500*p.Steps[0].Cost || p.Steps[0].Cost == 0 || *p.CostP90 < 0.85 || *p.CostP90 > 0.95 {
		t.Errorf("unit %q, plan %+v", m.Unit, p)
	}
	x := make([]carrot.Prediction, 1)
	if err := a.Predictor.Predict([]carrot.Representation{{Dense: make([]float32, m.Embedder.Dim)}}, x); err != nil {
		t.Fatal(err)
	}
	if got := x[0].Forecasts[3].Quality; math.Abs(got-returned/complete) > 1e-6 {
		t.Errorf("the plan's quality is %v, want the mean of %v over the queries that all models answered", got, returned/complete)
	}
	// Costs span a factor of a thousand: the points on the frontier do too.
	first, last := m.PlanFrontier[0], m.PlanFrontier[len(m.PlanFrontier)-1]
	if high, low := max(first.CostUSD, last.CostUSD), min(first.CostUSD, last.CostUSD); low > 3 || high < 100 {
		t.Errorf("the frontier goes from %v to %v USD", low, high)
	}
}

// TestRunPlansFew: a plan whose gate has too few labels is left out, with a warning.
func TestRunPlansFew(t *testing.T) {
	a, said := run(t, Options{Predictor: parse(t, "mean"), Plans: []string{"check(small,perfect,large)"}}, world(60, 3))
	if len(a.Manifest.Plans) != 0 || !slices.ContainsFunc(said, func(text string) bool {
		return strings.HasPrefix(text, "plan check(small,perfect,large) is left out: ")
	}) {
		t.Errorf("plans %+v, warned of %q", a.Manifest.Plans, said)
	}
}

func TestRunPlansErrors(t *testing.T) {
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	for plan, want := range map[string]string{
		"ask(small)":                "there is no program",
		"check(small,large)":        "want check(MODEL,VERIFIER,MODEL)",
		"check(small,1/1,large)":    "verifier",
		"check(small,perfect,huge)": `has no model "huge"`,
		"agree(small,middle,large)": "has no answers.csv",
	} {
		_, err := Run(t.Context(), []*dataset.Set{world(60, 3)}, static, Options{Predictor: parse(t, "mean"), Plans: []string{plan}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", plan, err, want)
		}
	}
}
