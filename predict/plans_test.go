package predict

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
)

// planned fits plans of the test's models: check asks a, and c if a is wrong; long is the
// same with d in place of c; both asks a and b always. The calls of a, b, c and d cost 1,
// 2, 10 and 20 millionths of a dollar per output token.
func planned(t *testing.T, p *Predictor, d Data) []Plan {
	t.Helper()
	n, m := len(d.X), len(d.Models)
	plans := []Plan{{Name: "check(a,c)", Models: []string{"a", "c"}}, {Name: "check(a,d)", Models: []string{"a", "d"}}, {Name: "both(a,b)", Models: []string{"a", "b"}}}
	usd := func(i, j int) float64 { return d.OutputTokens[i*m+j] * rates[j] }
	for i := range n {
		a := d.Score[i*m]
		for k, last := range []int{2, 3, 1} {
			asked, score := 1-a, max(a, d.Score[i*m+last])
			if k == 2 {
				asked = 1
			}
			plans[k].Score = append(plans[k].Score, score)
			plans[k].Asked = append(plans[k].Asked, 1, asked)
			plans[k].CostUSD = append(plans[k].CostUSD, usd(i, 0)+asked*usd(i, last))
		}
	}
	plans[0].Score[3], plans[0].CostUSD[3], plans[0].Asked[6], plans[0].Asked[7] = math.NaN(), math.NaN(), math.NaN(), math.NaN()
	if err := p.FitPlans(t.Context(), plans, func(_, j int, f *carrot.Forecast) float64 { return f.OutputTokens * rates[j] }, nil); err != nil {
		t.Fatal(err)
	}
	return plans
}

var rates = []float64{1e-6, 2e-6, 10e-6, 20e-6}

// cost is what a plan's forecast means at the rates.
func cost(steps []carrot.Step) (usd float64) {
	for _, s := range steps {
		usd += s.Called * s.OutputTokens * rates[slices.Index([]string{"a", "b", "c", "d"}, s.Model)]
	}
	return usd
}

// TestPlansLeaveModels: with plans, everything that is forecast of models stays as it is,
// to the last bit; plans are saved and loaded, and forgotten by the next fit.
func TestPlansLeaveModels(t *testing.T) {
	d, _ := world(300, 1)
	queries, _ := world(40, 2)
	for _, spec := range []string{"mean", "knn:k=16:k-tokens=8", "kernel:gamma=1:noise=5:landmarks=64", "sparse:buckets=1024:alpha=5",
		"blend:parts=kernel+sparse+knn+ridge:landmarks=32:alpha=5:buckets=1024:gamma=1:noise=5:k=16:caution=0.7"} {
		p := fit(t, spec, d)
		before, outOfFold := predictAll(t, p, queries.X), p.OutOfFold().Predictions(0)
		plans := planned(t, p, d)
		after, again := predictAll(t, p, queries.X), p.OutOfFold().Predictions(0)
		if want := []string{"a", "b", "c", "d", "check(a,c)", "check(a,d)", "both(a,b)"}; !slices.Equal(p.Models(), want) {
			t.Fatalf("%s: columns are %q", spec, p.Models())
		}
		for i := range before {
			if !slices.Equal(before[i].Forecasts, after[i].Forecasts[:4]) || before[i].Novelty != after[i].Novelty {
				t.Fatalf("%s: plans change what is forecast of models", spec)
			}
		}
		for i := range again {
			if !slices.Equal(outOfFold[i].Forecasts, again[i].Forecasts[:4]) {
				t.Fatalf("%s: plans change what is forecast of models out of fold", spec)
			}
		}
		if p.plans.steps[1].gate != p.plans.steps[3].gate || len(p.plans.gates) != 1 || p.plans.steps[5].gate != -1 {
			t.Errorf("%s: %d gates, steps %+v: the two checks of a are one gate, and both has none", spec, len(p.plans.gates), p.plans.steps)
		}
		file, err := Parse(saved(t, p))
		if err != nil {
			t.Fatal(err)
		}
		q, err := file.Predictor(p.Spec(), p.Models(), testDim)
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		if got := predictAll(t, q, queries.X); !reflect.DeepEqual(got, after) || !slices.Equal(q.Models(), p.Models()) {
			t.Errorf("%s: plans are forecast otherwise after saving and loading", spec)
		}
		if one := predictAll(t, q, queries.X[:1]); !reflect.DeepEqual(one[0], after[0]) {
			t.Errorf("%s: one query is forecast otherwise alone", spec)
		}
		var expected, paid, within, score, quality float64
		for i := range again {
			if i == 3 {
				continue
			}
			usd := cost(again[i].Steps[4])
			expected += usd
			paid += plans[0].CostUSD[i]
			score += plans[0].Score[i]
			quality += again[i].Forecasts[4].Quality
			if plans[0].CostUSD[i] <= again[i].Forecasts[4].CostRatioP90*usd {
				within++
			}
		}
		n := float64(len(again) - 1)
		if math.Abs(expected/paid-1) > 0.05 || within/n < 0.88 || within/n > 0.93 || math.Abs(score-quality)/n > 0.02 {
			t.Errorf("%s: expected cost over cost %.3f, within the quantile %.3f, quality %.3f, score %.3f", spec, expected/paid, within/n, quality/n, score/n)
		}
		if err := p.Fit(t.Context(), d, nil); err != nil || len(p.Models()) != 4 {
			t.Errorf("%s: after another fit the columns are %q (%v)", spec, p.Models(), err)
		}
	}
}

// TestPlansOfOthers: plans follow a model that is added, and corrections of tokens; a
// predictor of some models has none.
func TestPlansOfOthers(t *testing.T) {
	d, _ := world(200, 1)
	queries, _ := world(10, 2)
	p := fit(t, "kernel:gamma=1:noise=5:landmarks=64", d)
	planned(t, p, d)
	before := predictAll(t, p, queries.X)
	more, err := p.Add("e", d.X[:9], d.Score[:9], d.OutputTokens[:9])
	if err != nil {
		t.Fatal(err)
	}
	if got := more.Models(); got[4] != "e" || got[5] != "check(a,c)" {
		t.Errorf("columns with an added model are %q", got)
	}
	for i, x := range predictAll(t, more, queries.X) {
		if x.Forecasts[5] != before[i].Forecasts[4] || !slices.Equal(x.Steps[5], before[i].Steps[4]) {
			t.Fatalf("the added model changes a plan: %+v", x.Steps[5])
		}
	}
	if _, err := p.Add("check(a,c)", nil, nil, nil); err == nil {
		t.Error("a model is added under the name of a plan")
	}
	dear, err := p.Correct([]float64{0, 0, 0, 0}, []float64{1, 1, 3, 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range predictAll(t, dear, queries.X) {
		if got, want := x.Steps[4][1].OutputTokens, 3*before[i].Steps[4][1].OutputTokens; math.Abs(got-want) > 1e-9*want {
			t.Fatalf("c writes %v tokens in the plan, want %v", got, want)
		}
	}
	if few := p.Only([]string{"c", "a"}); !slices.Equal(few.Models(), []string{"c", "a"}) {
		t.Errorf("Only has the columns %q", few.Models())
	}
	if whole := p.Only([]string{"a", "both(a,b)"}); whole != p {
		t.Error("a predictor of a plan is not whole")
	}
	if err := more.FitPlans(t.Context(), nil, nil, nil); err == nil {
		t.Error("plans are fitted without the outcomes of a fit")
	}
}

// TestPlansAbstain: of a query unlike all others, a plan's means are known.
func TestPlansAbstain(t *testing.T) {
	d, _ := world(200, 1)
	p := fit(t, "kernel:gamma=1:noise=5:landmarks=64", d)
	plans := planned(t, p, d)
	x := d.X[0]
	x.Sparse = carrot.Sparse{Index: []uint32{7, 8, 9}, Value: []float32{1, 1, 1}}
	out := predictAll(t, p, []carrot.Representation{x})[0]
	if !out.Abstained {
		t.Skip("the query is not novel")
	}
	mean, asked := 0.0, 0.0
	for i, s := range plans[1].Score {
		mean += s / float64(len(plans[1].Score))
		asked += plans[1].Asked[2*i+1] / float64(len(plans[1].Score))
	}
	if got := out.Forecasts[5].Quality; math.Abs(got-mean) > 0.01 {
		t.Errorf("quality %.3f, want the mean %.3f", got, mean)
	}
	if got := out.Steps[5][1].Called; math.Abs(got-asked) > 0.01 {
		t.Errorf("d is called with probability %.3f, want the mean %.3f", got, asked)
	}
}

func TestPlansRefused(t *testing.T) {
	d, _ := world(60, 1)
	p := fit(t, "mean", d)
	n := len(d.X)
	nan := slices.Repeat([]float64{math.NaN()}, n)
	ones := slices.Repeat([]float64{1}, 2*n)
	for name, plan := range map[string]Plan{
		"are not those of 60 queries": {Name: "x", Models: []string{"a"}, Score: ones[:3], Asked: ones[:n], CostUSD: ones[:n]},
		"asks 0 models":               {Name: "x", Score: ones[:n], CostUSD: ones[:n]},
		"the name is taken":           {Name: "b", Models: []string{"a"}, Score: ones[:n], Asked: ones[:n], CostUSD: ones[:n]},
		"does not know":               {Name: "x", Models: []string{"a", "z"}, Score: ones[:n], Asked: ones, CostUSD: ones[:n]},
		"has no scores":               {Name: "x", Models: []string{"a"}, Score: nan, Asked: ones[:n], CostUSD: ones[:n]},
		"out of range":                {Name: "x", Models: []string{"a"}, Score: slices.Repeat([]float64{2}, n), Asked: ones[:n], CostUSD: ones[:n]},
	} {
		err := p.FitPlans(t.Context(), []Plan{plan}, nil, nil)
		if err == nil || !strings.Contains(err.Error(), name) || len(p.Models()) != 4 {
			t.Errorf("%v, want an error with %q", err, name)
		}
	}
}
