package plan

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carrot-router/carrot/dataset"
)

var nan = math.NaN()

// recorded has one query per way that a plan can go. The calls of a, b, c and d cost
// 1, 2, 4 and 8 dollars, read 10, 20, 30 and 40 tokens and write as many times ten.
func recorded(tb testing.TB) *Recorded {
	tb.Helper()
	rows := []struct {
		id      string
		answers string // of a, b, c, d; - is none
		scores  [4]float64
	}{
		{"all agree", "x x x x", [4]float64{1, 1, 1, 1}},
		{"a and b are wrong together", "x x y y", [4]float64{0, 0, 1, 1}},
		{"c sides with b", "x y y y", [4]float64{0, 1, 1, 1}},
		{"c sides with a", "x y x y", [4]float64{0, 1, 0, 1}},
		{"no two agree", "x y z w", [4]float64{0, 0, 0.25, 1}},
		{"nobody answers", "- - - -", [4]float64{0.5, 0, 0, 0.75}},
		{"b is unknown", "x x x x", [4]float64{1, nan, 1, 1}},
		{"c is unknown, and not needed", "x x x x", [4]float64{1, 1, nan, 1}},
		{"c is unknown, and needed", "x y x x", [4]float64{0, 1, nan, 1}},
		{"the cost of b is unknown", "x x x x", [4]float64{1, 1, 1, 1}},
	}
	n := len(rows)
	s := &dataset.Set{Name: "hand", Score: dataset.NewMatrix(n, 4), InputTokens: dataset.NewMatrix(n, 4), OutputTokens: dataset.NewMatrix(n, 4)}
	for _, name := range []string{"a", "b", "c", "d"} {
		s.Models = append(s.Models, dataset.Model{Name: name, Pool: true})
	}
	cost := dataset.NewMatrix(n, 4)
	for i, row := range rows {
		s.Queries = append(s.Queries, dataset.Query{ID: row.id, Prompt: row.id, Split: dataset.SplitTrain})
		s.Answers = append(s.Answers, strings.Fields(strings.ReplaceAll(row.answers, "-", "none")))
		for j, answer := range s.Answers[i] {
			if answer == "none" {
				s.Answers[i][j] = ""
			}
			s.Score.Set(i, j, row.scores[j])
			s.InputTokens.Set(i, j, float64(10*(j+1)))
			s.OutputTokens.Set(i, j, float64(100*(j+1)))
			cost.Set(i, j, float64(int(1)<<j))
		}
	}
	cost.Set(n-1, 1, nan)
	return NewRecorded(s, cost)
}

// TestRun compares plans with what a person works out on paper.
func TestRun(t *testing.T) {
	r := recorded(t)
	type want struct {
		score, cost   float64
		from          int
		rounds, turns int
	}
	unknown := want{score: nan, cost: nan}
	for _, test := range []struct {
		plan Plan
		want []want
	}{
		{Plan{Program: Agree, Models: []string{"a", "b", "c"}}, []want{
			{1, 3, 0, 1, 2}, {0, 3, 0, 1, 2}, {1, 7, 2, 2, 3}, {0, 7, 2, 2, 3}, {0.25, 7, 2, 2, 3}, {0, 7, 2, 2, 3},
			unknown, {1, 3, 0, 1, 2}, unknown, {1, nan, 0, 1, 2}}},
		{Plan{Program: Agree, Models: []string{"a", "b", "c", "d"}}, []want{
			{1, 3, 0, 1, 2}, {0, 3, 0, 1, 2}, {1, 7, 2, 2, 3}, {0, 7, 2, 2, 3}, {1, 15, 3, 3, 4}, {0.75, 15, 3, 3, 4},
			unknown, {1, 3, 0, 1, 2}, unknown, {1, nan, 0, 1, 2}}},
		{Plan{Program: Check, Models: []string{"a", "c"}}, []want{
			{1, 1, 0, 1, 1}, {1, 5, 1, 2, 2}, {1, 5, 1, 2, 2}, {0, 5, 1, 2, 2}, {0.25, 5, 1, 2, 2}, {0.5, 1, 0, 1, 1},
			{1, 1, 0, 1, 1}, {1, 1, 0, 1, 1}, unknown, {1, 1, 0, 1, 1}}},
		{Plan{Program: Check, Models: []string{"a", "c", "d"}}, []want{
			{1, 1, 0, 1, 1}, {1, 5, 1, 2, 2}, {1, 5, 1, 2, 2}, {1, 13, 2, 3, 3}, {1, 13, 2, 3, 3}, {0.5, 1, 0, 1, 1},
			{1, 1, 0, 1, 1}, {1, 1, 0, 1, 1}, unknown, {1, 1, 0, 1, 1}}},
	} {
		rows := make([]int, len(test.want))
		for i := range rows {
			rows[i] = i
		}
		outcomes, err := r.Run(test.plan, rows)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range outcomes {
			got := want{o.Score, o.CostUSD, o.From, o.Rounds, o.Turns}
			if diff := cmp.Diff(test.want[i], got, cmp.AllowUnexported(want{}), cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("%s, %q (-want +got):\n%s", test.plan, r.set.Queries[i].ID, diff)
			}
		}
	}
}

// TestExpect: what a check plan is expected to cost and score is the mean over many
// draws of the verifier's errors, within four standard errors.
func TestExpect(t *testing.T) {
	r := recorded(t)
	rows, models := []int{0, 1, 3}, []int{0, 2, 3}
	p := Plan{Program: Check, Models: []string{"a", "c", "d"}, Verifier: Verifier{FalsePass: 0.3, FalseFail: 0.2}}
	const draws = 4000
	cost, score := make([]float64, len(rows)), make([]float64, len(rows))
	for seed := range uint64(draws) {
		p.Verifier.Seed = seed
		outcomes, err := r.Run(p, rows)
		if err != nil {
			t.Fatal(err)
		}
		for k, o := range outcomes {
			cost[k] += o.CostUSD / draws
			score[k] += o.Score / draws
		}
	}
	for k, i := range rows {
		usd, quality := p.Verifier.Expect(models, r.set.Score.Row(i), r.cost.Row(i))
		if math.Abs(usd-cost[k]) > 4*6.5/math.Sqrt(draws) || math.Abs(quality-score[k]) > 4*0.5/math.Sqrt(draws) {
			t.Errorf("query %d: expected $%.3f and %.3f, the mean of %d draws is $%.3f and %.3f", i, usd, quality, draws, cost[k], score[k])
		}
	}
}

// TestParse: a plan is read as it is written.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"agree(a,b,c)": "", "agree(a,b,c,d)": "", "check(a,perfect,c)": "", "check(a,0.1/0.05,c)": "", "check(a,0/0.2,b,c)": "",
		"": "want PROGRAM", "agree": "want PROGRAM", "agree(a,b,c": "want PROGRAM", "agree()": "has 1 models", "agree(a,b,)": "a model without a name",
		"agree(a,b,a)": "asks a twice", "vote(a,b,c)": "there is no program", "check(a,c)": "want check(", "check(a,c,d)": "verifier \"c\"",
	} {
		p, err := Parse(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && p.String() != text {
			t.Errorf("%q is read as %s (%v), want %q", text, p, err, want)
		}
	}
	all, err := ParseAll([]string{"check(a,0.1/0.05,c)", "agree(a,b,c)"}, 7)
	if err != nil || all[0].Verifier.Seed != 7 || all[1].Verifier != (Verifier{}) {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := ParseAll([]string{"agree(a,b,c)", "agree(a,b,c)"}, 0); err == nil {
		t.Error("a plan is given twice")
	}
}

// TestSteps: what is spent on each model, and nothing on those that are not asked.
func TestSteps(t *testing.T) {
	r := recorded(t)
	out, err := r.Run(Plan{Program: Agree, Models: []string{"b", "a", "d"}}, []int{2, 0})
	if err != nil {
		t.Fatal(err)
	}
	want := [][mostModels]Step{
		{{1, 2, 20, 200}, {1, 1, 10, 100}, {1, 8, 40, 400}},
		{{1, 2, 20, 200}, {1, 1, 10, 100}, {}},
	}
	for k := range out {
		if diff := cmp.Diff(want[k], out[k].Steps); diff != "" {
			t.Errorf("query %d (-want +got):\n%s", k, diff)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	r := recorded(t)
	silent := *r.set
	silent.Answers = nil
	for _, test := range []struct {
		of   *Recorded
		plan Plan
		want string
	}{
		{r, Plan{Program: Agree, Models: []string{"a", "b"}}, "plan agree(a,b) has 2 models: want 3 to 4"},
		{r, Plan{Program: Agree, Models: []string{"a", "b", "e"}}, `plan agree(a,b,e): data set hand has no model "e"`},
		{r, Plan{Program: Agree, Models: []string{"a", "b", "a"}}, "plan agree(a,b,a) asks a twice"},
		{r, Plan{Program: Check, Models: []string{"a"}}, "plan check(a) has 1 models: want 2 to 4"},
		{r, Plan{Program: "vote", Models: []string{"a", "b"}}, `there is no program "vote": want agree or check`},
		{NewRecorded(&silent, r.cost), Plan{Program: Agree, Models: []string{"a", "b", "c"}}, "plan agree(a,b,c): data set hand has no answers.csv to compare answers by"},
	} {
		_, err := test.of.Run(test.plan, []int{0})
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %q", test.plan.Program, err, test.want)
		}
	}
}

func TestParseVerifier(t *testing.T) {
	for _, test := range []struct {
		text string
		want Verifier
		err  string
	}{
		{"perfect", Verifier{}, ""},
		{"0.1/0.05", Verifier{FalsePass: 0.1, FalseFail: 0.05}, ""},
		{"0/0.2", Verifier{FalseFail: 0.2}, ""},
		{"0.1", Verifier{}, "want perfect or FALSEPASS/FALSEFAIL"},
		{"0.1/NaN", Verifier{}, `"NaN" is not a share`},
		{"-0.1/0", Verifier{}, `"-0.1" is not a share`},
		{"0.6/0.4", Verifier{}, "at least as often as right ones"},
	} {
		v, err := ParseVerifier(test.text)
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) || v != test.want {
			t.Errorf("%s: %+v, %v, want %+v, %q", test.text, v, err, test.want, test.err)
		}
		if err == nil && v.String() != test.text {
			t.Errorf("%s is written as %s", test.text, v)
		}
	}
}

// TestVerifierErrs: a verifier errs as often as it says, on the same queries each time.
// The bounds are four standard errors.
func TestVerifierErrs(t *testing.T) {
	const n = 20000
	for _, v := range []Verifier{{}, {FalsePass: 0.1, FalseFail: 0.05}, {FalsePass: 0.2, FalseFail: 0.1, Seed: 1}} {
		var pass, fail float64
		for i := range n {
			id := fmt.Sprint("query ", i)
			if v.Passes(id, "m", 0) {
				pass++
			}
			if !v.Passes(id, "m", 1) {
				fail++
			}
			if v.Passes(id, "m", 0.49) != v.Passes(id, "m", 0) {
				t.Fatal("a score below one half is wrong")
			}
		}
		for _, one := range []struct{ got, want float64 }{{pass / n, v.FalsePass}, {fail / n, v.FalseFail}} {
			if math.Abs(one.got-one.want) > 4*math.Sqrt(one.want*(1-one.want)/n) {
				t.Errorf("verifier %s errs on %.4f, want %.4f", v, one.got, one.want)
			}
		}
	}
	// Another model's answer to the same query is drawn apart, and so is another seed.
	v, w := Verifier{FalsePass: 0.5, FalseFail: 0.4}, Verifier{FalsePass: 0.5, FalseFail: 0.4, Seed: 1}
	var models, seeds int
	for i := range n {
		id := fmt.Sprint(i)
		if v.Passes(id, "m", 0) != v.Passes(id, "o", 0) {
			models++
		}
		if v.Passes(id, "m", 0) != w.Passes(id, "m", 0) {
			seeds++
		}
	}
	for what, differ := range map[string]int{"models": models, "seeds": seeds} {
		if share := float64(differ) / n; math.Abs(share-0.5) > 0.02 {
			t.Errorf("two %s are judged differently in %.3f, want one half", what, share)
		}
	}
}

// FuzzParseVerifier: what is accepted is better than chance, and reads back equal.
func FuzzParseVerifier(f *testing.F) {
	for _, text := range []string{"perfect", "0.1/0.05", "1/0", "0x1p-2/1e-3", "/", "NaN/0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ParseVerifier(text)
		if err != nil {
			return
		}
		if !(v.FalsePass >= 0 && v.FalseFail >= 0 && v.FalsePass+v.FalseFail < 1) {
			t.Errorf("%q is read as %+v", text, v)
		}
		if again, err := ParseVerifier(v.String()); err != nil || again.FalsePass != v.FalsePass || again.FalseFail != v.FalseFail {
			t.Errorf("%q is written as %s, which is read as %+v, %v", text, v, again, err)
		}
	})
}
