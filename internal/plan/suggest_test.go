package plan

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

// blind is an embedder for predictors that do not look at the prompt.
type blind struct{}

func (blind) ID() string { return "none" }

func (blind) Embed(_ context.Context, _ []string, dst []carrot.Representation) error {
	clear(dst)
	return nil
}

// world has n queries from two sources. The models one, two and three are cheap and
// right in 6 of 10, and wrong answers rarely agree; large is right in 9 of 10 and costs 50 times
// as much. Without answers, only their scores are there.
func world(tb testing.TB, n int, answers bool) *table.Table {
	tb.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	names, skill, price := []string{"one", "two", "three", "large"}, []float64{0.6, 0.62, 0.64, 0.9}, []float64{1, 1.1, 1.2, 50}
	s := &dataset.Set{Name: "world", Score: dataset.NewMatrix(n, 4), InputTokens: dataset.NewMatrix(n, 4), OutputTokens: dataset.NewMatrix(n, 4)}
	for m, name := range names {
		s.Models = append(s.Models, dataset.Model{Name: name, InputUSDPerMillion: price[m], OutputUSDPerMillion: price[m], Pool: true})
	}
	for i := range n {
		q := dataset.Query{ID: strconv.Itoa(i), Prompt: "prompt " + strconv.Itoa(i), Source: []string{"even", "odd"}[i%2], Split: dataset.SplitTrain}
		s.Queries = append(s.Queries, q)
		row := make([]string, 4)
		for m := range names {
			score, answer := 0.0, "wrong"+strconv.Itoa(r.IntN(10))
			if r.Float64() < skill[m] {
				score, answer = 1, "right"
			}
			s.Score.Set(i, m, score)
			s.InputTokens.Set(i, m, 100)
			s.OutputTokens.Set(i, m, 100)
			row[m] = answer
		}
		if answers {
			s.Answers = append(s.Answers, row)
		}
	}
	s.Fingerprint = s.ComputeFingerprint()
	t, err := table.New(tb.Context(), s, blind{}, table.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func upTo(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

func namesOf(plans []Plan) []string {
	var names []string
	for _, p := range plans {
		names = append(names, p.String())
	}
	return names
}

// TestSuggest: where cheap models that agree are right, the first plan compares two of
// them and has the large one decide in the end. Only the given rows count.
func TestSuggest(t *testing.T) {
	task := world(t, 400, true)
	rows := upTo(300)
	plans, err := Suggest(task, rows, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(plans) == 0 || len(plans) > DefaultMax || !strings.HasSuffix(plans[0].String(), ",large)") || strings.HasPrefix(plans[0].String(), "agree(large") {
		t.Fatalf("plans are %v", namesOf(plans))
	}
	for i := 300; i < 400; i++ { // the last rows are turned round
		for m := range 4 {
			task.Set.Score.Set(i, m, 1-task.Set.Score.At(i, m))
		}
	}
	again, err := Suggest(task, rows, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(namesOf(plans), namesOf(again)); diff != "" {
		t.Errorf("other rows change the plans:\n%s", diff)
	}
	few, err := Suggest(task, rows, Options{Max: 2, MaxRounds: 2})
	if err != nil || len(few) != 2 {
		t.Fatalf("%v, %v", few, err)
	}
	for _, p := range few {
		if p.Rounds() > 2 {
			t.Errorf("%s may wait %d times", p, p.Rounds())
		}
	}
}

// TestSuggestNone: answers that never agree make a plan the same as its last model, only
// more expensive.
func TestSuggestNone(t *testing.T) {
	task := world(t, 200, true)
	for _, row := range task.Set.Answers {
		for m := range row {
			row[m] = ""
		}
	}
	plans, err := Suggest(task, upTo(200), Options{})
	if err != nil || len(plans) > 0 {
		t.Errorf("plans %v, %v", namesOf(plans), err)
	}
	if _, err := Suggest(world(t, 200, false), upTo(200), Options{}); !errors.Is(err, ErrNoPrograms) {
		t.Errorf("without answers and verifier: %v", err)
	}
	few := world(t, 60, true)
	for i, row := range few.Set.Answers { // with 29 agreements, how often they are right is not known
		for m := range row {
			if row[m] = "same"; i >= LeastLabels-1 {
				row[m] = strconv.Itoa(m)
			}
		}
	}
	if plans, left, err := Search(few, upTo(60), Options{}); err != nil || len(plans) > 0 || left == 0 {
		t.Errorf("with few labels: plans %v, %d left out, %v", namesOf(plans), left, err)
	}
	for m := range few.Set.Answers[59] {
		few.Set.Answers[59][m] = "same"
	}
	if _, left, err := Search(few, upTo(60), Options{}); err != nil || left != 0 {
		t.Errorf("with labels enough: %d left out, %v", left, err)
	}
	task.Set.Score.Set(0, 0, nan)
	if _, err := Suggest(task, []int{0}, Options{}); err == nil || !strings.Contains(err.Error(), "no query to choose plans on") {
		t.Errorf("without complete queries: %v", err)
	}
}

// TestSuggestCheck: a perfect verifier needs no answers, and with it plans asking the
// cheap models first reach the quality of the large one for a part of its cost.
func TestSuggestCheck(t *testing.T) {
	task := world(t, 400, false)
	plans, err := Suggest(task, upTo(400), Options{Verifier: &Verifier{}, Max: 3})
	if err != nil {
		t.Fatal(err)
	}
	summaries, err := Summarise(task, plans, upTo(400))
	if err != nil {
		t.Fatal(err)
	}
	s := summaries[slices.IndexFunc(summaries, func(s Summary) bool { return strings.HasSuffix(s.Plan, ",large)") })]
	if large := task.Singles(upTo(400)).Curve(nil)[3]; s.Quality <= large.Quality || s.CostUSD > 0.5*large.Cost {
		t.Errorf("%+v, the large model alone has %+v", s, large)
	}
	if s.Accepted <= 0.5 || *s.QualityAccepted != 1 || *s.Gate.Right != 1 || s.Gate.Labels < 200 || s.Gate.Interval[0] < 0.98 || s.Gate.Interval[1] != 1 || s.Calls[0] != 1 || math.Abs(s.Calls[1]-(1-s.Accepted)) > 1e-12 || math.Abs(s.Rounds-(2-s.Accepted)) > 1e-12 {
		t.Errorf("%+v", s)
	}
}

// TestRouter: the plans' columns hold their recorded outcomes, the router of models and
// plans beats that of models, and no oracle gains by plans, which return a model's answer and
// cost more than it.
func TestRouter(t *testing.T) {
	task := world(t, 600, true)
	fitRows, held := upTo(600)[:400], upTo(600)[400:]
	fit := func(ctx context.Context, t *table.Table, rows []int, progress func(string)) (*predict.Predictor, error) {
		p := predict.New(predict.Spec{Name: "mean"})
		return p, p.Fit(ctx, t.Data(rows), progress)
	}
	r, err := Fit(t.Context(), task, fitRows, Options{}, fit, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Plans) == 0 || len(r.Models()) != 4+len(r.Plans) || r.Models()[4] != r.Plans[0].String() {
		t.Fatalf("router of %v", r.Models())
	}
	grid := frontier.Grid()
	steps, err := r.Steps(held, grid)
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := NewRecorded(task.Set, task.Cost).Run(r.Plans[0], held)
	if err != nil {
		t.Fatal(err)
	}
	for k, i := range held {
		if r.of.score.At(i, 0) != outcomes[k].Score || r.of.cost.At(i, 0) != outcomes[k].CostUSD {
			t.Fatalf("row %d: the column of %s does not hold its outcome", i, r.Plans[0])
		}
	}
	alone, err := fit(t.Context(), task, fitRows, nil)
	if err != nil {
		t.Fatal(err)
	}
	predictions := make([]carrot.Prediction, 1)
	if err := alone.Predict(make([]carrot.Representation, 1), predictions); err != nil {
		t.Fatal(err)
	}
	var quality, cost []float64
	for m := range predictions[0].Forecasts {
		f := &predictions[0].Forecasts[m]
		quality, cost = append(quality, f.Quality), append(cost, task.PredictedCost(0, m, f))
	}
	scale := frontier.NewScale(task.Singles(held).Curve(nil))
	models := scale.Measure(task.Trace(held, len(grid), func(_, s int) int { return carrot.Choose(quality, cost, grid[s]) }).Curve(nil))
	with := scale.Measure(frontier.Trace{Settings: len(grid), Steps: steps}.Curve(nil))
	if with.AIQ < models.AIQ+0.02 {
		t.Errorf("AIQ %.4f with plans, %.4f without", with.AIQ, models.AIQ)
	}
	o, err := FitOracle(task, fitRows, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if o.Setting() != r.Setting() || !strings.HasPrefix(o.Setting(), `{"plans":["agree(`) {
		t.Errorf("settings %s and %s", o.Setting(), r.Setting())
	}
	if steps, err = o.Steps(held, grid); err != nil {
		t.Fatal(err)
	}
	if got, want := scale.Measure(frontier.Trace{Settings: len(grid), Steps: steps}.Curve(nil)), scale.Measure(task.Oracle(held).Curve(nil)); got != want {
		t.Errorf("oracle of models and plans %+v, of models %+v", got, want)
	}
	for _, s := range steps[0] {
		if s.Candidate < -len(o.Plans) || s.Candidate > 3 {
			t.Errorf("candidate %d is neither a model nor a plan", s.Candidate)
		}
	}
}

// TestRouterDirect: where costs are recorded and not made of tokens, a plan is expected to
// cost what its calls are, also if the models have prices.
func TestRouterDirect(t *testing.T) {
	const n = 200
	set := world(t, n, true).Set
	set.CostUSD = dataset.NewMatrix(n, 4)
	for i := range n {
		for m, usd := range []float64{0.01, 0.02, 0.03, 1} {
			set.CostUSD.Set(i, m, usd)
			set.OutputTokens.Set(i, m, nan)
			set.InputTokens.Set(i, m, nan)
		}
	}
	task, err := table.New(t.Context(), set, blind{}, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := predict.New(predict.Spec{Name: "mean"})
	if err := p.Fit(t.Context(), task.Data(upTo(n)), nil); err != nil {
		t.Fatal(err)
	}
	o, err := NewOutcomes(task, []Plan{{Program: Agree, Models: []string{"one", "two", "large"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Attach(t.Context(), p, upTo(n), nil); err != nil {
		t.Fatal(err)
	}
	r, err := o.router(p)
	if err != nil {
		t.Fatal(err)
	}
	expected, err := r.Expected(0)
	if err != nil {
		t.Fatal(err)
	}
	paid := 0.0
	for i := range n {
		cost, _ := o.At(i, 0)
		paid += cost / n
	}
	if got := expected[0].CostUSD; math.Abs(got-paid) > 1e-3*paid {
		t.Errorf("the plan is expected to cost $%.4f, and costs $%.4f in the mean", got, paid)
	}
}

func TestTransferKeeps(t *testing.T) {
	for _, test := range []struct {
		transfer Transfer
		want     bool
	}{
		{Transfer{0.01, [2]float64{0.002, 0.02}, 0}, true},
		{Transfer{0.01, [2]float64{0.002, 0.02}, -0.002}, false},
		{Transfer{0.01, [2]float64{-0.002, 0.02}, 0.01}, false},
		{Transfer{0.01, [2]float64{nan, nan}, 0.01}, false},
	} {
		if got := test.transfer.Keeps(); got != test.want {
			t.Errorf("%+v: kept %v", test.transfer, got)
		}
	}
}
