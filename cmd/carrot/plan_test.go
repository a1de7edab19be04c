package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/plan"
)

// answeredFolder writes a data folder with two sources, three cheap models whose wrong
// answers rarely agree, and an expensive one. A fifth model answers every tenth query.
func answeredFolder(t *testing.T, answers bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "answered")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	var queries, outcomes, found strings.Builder
	outcomes.WriteString("id,model,score,input_tokens,output_tokens\n")
	found.WriteString("id,model,answer\n")
	for i := range 300 {
		fmt.Fprintf(&queries, `{"id":"q%d","source":"%s","prompt":"question %d"}`+"\n", i, []string{"sums", "words"}[i%2], i)
		for m, model := range []string{"one", "two", "three", "large", "rare"} {
			if model == "rare" && i%10 > 0 {
				continue
			}
			score, answer := 0, fmt.Sprint("wrong", r.IntN(10))
			if r.Float64() < []float64{0.6, 0.62, 0.64, 0.9, 0.5}[m] {
				score, answer = 1, "right"
			}
			fmt.Fprintf(&outcomes, "q%d,%s,%d,100,%d\n", i, model, score, 50+r.IntN(100))
			fmt.Fprintf(&found, "q%d,%s,%s\n", i, model, answer)
		}
	}
	var models []string
	for m, model := range []string{"one", "two", "three", "large", "rare"} {
		models = append(models, fmt.Sprintf(`{"name":%q,"input_usd_per_million":%g,"output_usd_per_million":%g}`, model, []float64{1, 1.1, 1.2, 50, 1}[m], []float64{1, 1.1, 1.2, 50, 1}[m]))
	}
	files := map[string]string{"queries.jsonl": queries.String(), "outcomes.csv": outcomes.String(), "models.json": "[" + strings.Join(models, ",") + "]"}
	if answers {
		files["answers.csv"] = found.String()
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// planned runs a plan command with a quick predictor.
func planned(t *testing.T, args ...string) (out, problems string, status int) {
	t.Helper()
	var o, e bytes.Buffer
	args = append([]string{"plan"}, args...)
	status = run(t.Context(), append(args, "--predictor", "mean", "--bootstrap", "200", "--no-cache"), terminal{strings.NewReader(""), &o, &e})
	return o.String(), e.String(), status
}

// TestPlanEval: the report compares a router of models and plans with one of models, on
// the scale of single models, and is the same every time.
func TestPlanEval(t *testing.T) {
	dir := answeredFolder(t, true)
	args := []string{"eval", "--data", dir, "--folds", "3", "--min-coverage", "0.5", "--json", "-"}
	out, problems, status := planned(t, args...)
	if status != exitOK || !strings.Contains(problems, "--min-coverage 0.5 leaves out rare") {
		t.Fatalf("status %d\n%s", status, problems)
	}
	if again, _, _ := planned(t, args...); again != out {
		t.Error("a second run writes another report")
	}
	var r eval.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range r.Routers {
		names = append(names, l.Name)
	}
	if want := []string{"models+plans", "models", "oracle-plans", "mean", "best-single", "zero-router", "oracle"}; !slices.Equal(names, want) {
		t.Errorf("routers %q", names)
	}
	if want := "carrot plan eval --data answered --folds 3 --min-coverage 0.5 --predictor mean"; r.Schema != eval.Schema || r.Provenance.Command != want {
		t.Errorf("%s, made by %q", r.Schema, r.Provenance.Command)
	}
	if p := r.Pairs[0]; p.A != "models+plans" || p.B != "models" || !(p.AIQDiff > 0.02) || !(p.Interval[0] > 0) {
		t.Errorf("first pair is %+v", p)
	}
	if l := lineOf(&r, withPlans); len(l.Settings) != 3 || !strings.Contains(l.Settings[0], "agree(") || strings.Contains(l.Settings[0], "rare") {
		t.Errorf("settings %q", l.Settings)
	}
	if out, _, _ = planned(t, "eval", "--data", dir, "--min-coverage", "0.5", "--leave-out", "source"); !strings.Contains(out, "in how many of 2 fits") {
		t.Errorf("leaving sources out:\n%s", out)
	}
}

// TestPlanSuggest: plans are kept where they transfer from one source to the other, and
// none is where agreement says nothing.
func TestPlanSuggest(t *testing.T) {
	dir := answeredFolder(t, true)
	suggest := func() (s suggestion) {
		t.Helper()
		out, problems, status := planned(t, "suggest", "--data", dir, "--min-coverage", "0.5", "--max", "5", "--json")
		if status != exitOK {
			t.Fatalf("status %d\n%s", status, problems)
		}
		if err := json.Unmarshal([]byte(out), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := suggest(); !s.Kept || s.HeldOut != "leave one source out" || len(s.Plans) != 5 || s.Transfer.Interval[0] <= 0 {
		t.Errorf("%+v", s)
	}
	path := filepath.Join(dir, "answers.csv")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	equal := regexp.MustCompile(`(?m),(right|wrong\d)$`).ReplaceAll(data, []byte(",same"))
	if err := os.WriteFile(path, equal, 0o666); err != nil {
		t.Fatal(err)
	}
	// Now all answers are equal: a plan is its first model, and costs two.
	if s := suggest(); s.Kept || len(s.Plans) != 0 {
		t.Errorf("all answers are equal: %+v", s)
	}
	out, _, _ := planned(t, "suggest", "--data", dir, "--min-coverage", "0.5")
	if want := "answered: no plan is worth anything beside the models\n"; out != want {
		t.Errorf("%q, want %q", out, want)
	}
}

// TestSuggestionPrints: what is not kept is shown, with the reason.
func TestSuggestionPrints(t *testing.T) {
	right := 0.75
	s := suggestion{Dataset: "d", HeldOut: "leave one source out", Transfer: plan.Transfer{AIQ: -0.002, Interval: [2]float64{-0.004, 0.001}, Peak: -0.0015},
		Unlabelled: 2, LeastLabels: 30,
		Plans: []plan.Summary{{Plan: "check(a,perfect,c)", Quality: 0.8, CostUSD: 0.001, Accepted: 0.5, Gate: plan.Gate{Labels: 40, Right: &right, Interval: &[2]float64{0.6, 0.86}}, Rounds: 1.5, Turns: 1.5}}}
	var out bytes.Buffer
	if err := s.print(&out); err != nil {
		t.Fatal(err)
	}
	want := `2 plans are left out: their first answer is kept and scored on fewer than 30 queries, so how often it is right is not known
d, leave one source out: with 1 plan, AIQ -0.0020 [-0.0040, +0.0010], peak -0.0015: not kept
No plan is kept. Those that would have been, by the queries they were chosen on:

plan                quality  USD a query  first answer kept  right then            rounds  calls
check(a,perfect,c)  0.8000   0.001        50.0%              0.750 [0.600, 0.860]  1.50    1.50
`
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
}

func TestPlanRefuses(t *testing.T) {
	dir := answeredFolder(t, false)
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"eval --data " + dir, exitFailed, "there are no answers to compare (answers.csv) and no verifier is given"},
		{"suggest --data " + dir, exitFailed, "--verifier perfect shows what the best of verifiers would gain"},
		{"eval --data " + dir + " --verifier sometimes", exitUsage, `--verifier: verifier "sometimes": want perfect or FALSEPASS/FALSEFAIL`},
		{"eval --data " + dir + " --folds 3 --leave-out source", exitUsage, "--folds, --leave-out and --split are three ways to hold queries out: give one"},
		{"eval --data " + dir + " --folds 1", exitUsage, "--folds 1: want at least 2"},
		{"eval --data " + dir + " --max-rounds 1", exitUsage, "--max-rounds 1: every plan may wait twice"},
		{"eval --data " + dir + " --max 0", exitUsage, "--max 0: want 1 or more"},
		{"eval --data " + dir + " --min-coverage 1.5", exitUsage, "--min-coverage 1.5: want a share between 0 and 1"},
		{"eval --data " + dir + " --verifier perfect --min-coverage 1 --split validation", exitOK, ""},
	} {
		_, problems, status := planned(t, strings.Fields(test.args)...)
		if status != test.status || !strings.Contains(problems, test.want) {
			t.Errorf("%s: status %d\n%s", test.args, status, problems)
		}
	}
}
