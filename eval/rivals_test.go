package eval

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/internal/rivals"
	"github.com/carrot-router/carrot/table"
)

// rivalOf is the rival with the given name.
func rivalOf(tb testing.TB, name string) router {
	tb.Helper()
	methods, err := rivals.Parse(name)
	if err != nil {
		tb.Fatal(err)
	}
	return router{name, rival{methods[0], 0}}
}

// TestRivalsCompared: a predictor, two rivals and a cascade on the same queries.
// Only those that forecast a quality are calibrated. All beat the mean, which
// cannot tell subjects apart.
func TestRivalsCompared(t *testing.T) {
	task := world(t, 300)
	var entries []*entry
	for _, who := range []router{contender(t, quick), rivalOf(t, "routerbench-knn"), rivalOf(t, "routellm-sw"), {"cascade", cascade{rivals.Cascade{Accuracy: 0.9}}}} {
		entries = append(entries, run(t, task, who, parts(t, task)))
	}
	r, err := compare(t.Context(), task, table.Trainable(task.Set), entries, outOfFold(t, task, "mean"), compareOptions{Bootstrap: 51})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		worth      string
		calibrated bool
	}{quick: {"quality", true}, "routerbench-knn": {"quality", true}, "routellm-sw": {"win rate", false}, "cascade": {"share", false}} {
		l := line(t, r, name)
		if l.Worth != want.worth || (l.Calibration != nil) != want.calibrated || len(l.Settings) != 3 {
			t.Errorf("%s: worth %q, calibrated %v, %d settings", name, l.Worth, l.Calibration != nil, len(l.Settings))
		}
		if mean := line(t, r, "mean"); !(l.AIQ > mean.AIQ) {
			t.Errorf("%s has AIQ %v, the mean %v", name, l.AIQ, mean.AIQ)
		}
	}
	if l := line(t, r, "routerbench-knn"); !math.IsNaN(float64(l.Calibration.OutputTokensMAE)) || math.IsNaN(float64(l.Calibration.CostBias)) {
		t.Errorf("routerbench-knn forecasts costs, not tokens: %+v", l.Calibration)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Errorf("report: %v", err)
	}
}

// TestDetails checks regret, sources and traffic.
func TestDetails(t *testing.T) {
	task := world(t, 300)
	rows := table.Trainable(task.Set)
	entries := []*entry{outOfFold(t, task, quick), run(t, task, rivalOf(t, "routellm-sw"), parts(t, task))}
	r, err := compare(t.Context(), task, rows, entries, nil, compareOptions{Objectives: []carrot.Objective{carrot.Mu(0), carrot.USDPerQuality(0.01)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range r.Routers {
		if len(l.Regret) != 2 || l.Regret[0].Objective != "mu=0" || !math.IsNaN(float64(l.Regret[0].USDPerQuality)) {
			t.Fatalf("%s: regret %+v", l.Name, l.Regret)
		}
		for _, at := range l.Regret {
			if v := float64(at.Regret); !(v >= 0) || (v == 0) != (l.Name == "oracle") || at.OracleTuned != (l.Name == "routellm-sw" || l.Name == "zero-router") {
				t.Errorf("%s: regret %+v", l.Name, at)
			}
		}
		if got, want := float64(line(t, r, "oracle").Peak-l.Peak), float64(l.Regret[0].Regret); l.Name == "best-single" && math.Abs(got-want) > 1e-12 {
			t.Errorf("regret %v of the best single where cost does not matter, want %v", want, got)
		}
		queries := 0
		for _, s := range l.Sources {
			queries += s.Queries
		}
		if len(l.Sources) != len(subjects) || queries != r.Queries {
			t.Errorf("%s: %d sources with %d queries, want %d with %d", l.Name, len(l.Sources), queries, len(subjects), r.Queries)
		}
	}
	for _, p := range line(t, r, quick).Traffic {
		var sum float64
		for _, s := range p.Shares {
			sum += s
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("traffic at %v sums to %v", p.USDPerQuality, sum)
		}
	}
	if line(t, r, "zero-router").Traffic != nil {
		t.Error("the zero router has traffic")
	}
	if _, err := compare(t.Context(), task, rows, entries, nil, compareOptions{Objectives: []carrot.Objective{carrot.Balanced}}); err == nil {
		t.Error("an objective that needs a stored frontier is taken")
	}
}

// TestPairMetrics: with two models and shares of calls as costs, the oracle recovers
// the gap with few calls, and mixing the two models recovers half of it with half
// of the calls.
func TestPairMetrics(t *testing.T) {
	whole := world(t, 300)
	set := whole.Set.Subset(nil, []int{0, 2})
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	task, err := table.New(t.Context(), set, static, table.Options{CountCalls: "large"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := compare(t.Context(), task, table.Trainable(set), []*entry{outOfFold(t, task, "knn:k=8:k-tokens=8")}, nil, compareOptions{Bootstrap: 51})
	if err != nil {
		t.Fatal(err)
	}
	zero, oracle, knn := line(t, r, "zero-router").Pair, line(t, r, "oracle").Pair, line(t, r, "knn:k=8:k-tokens=8").Pair
	if math.Abs(float64(zero.APGR)-0.5) > 1e-12 || math.Abs(float64(zero.CPT80)-0.8) > 1e-9 {
		t.Errorf("zero router: %+v, want an average gap of a half", zero)
	}
	if !(oracle.APGR > knn.APGR && knn.APGR > zero.APGR) || !(oracle.CPT50 < knn.CPT50) {
		t.Errorf("oracle %+v, knn %+v", oracle, knn)
	}
	if len(knn.APGRCI) != 2 || !(knn.APGRCI[0] <= knn.APGR && knn.APGR <= knn.APGRCI[1]) {
		t.Errorf("interval %v of %v", knn.APGRCI, knn.APGR)
	}
	if line(t, r, "best-single").Pair != nil || line(t, r, "oracle").Pair.Strong == line(t, r, "oracle").Pair.Weak {
		t.Error("best-single has figures of a pair, or the two are one")
	}
	if _, err := table.New(t.Context(), set, static, table.Options{CountCalls: "nobody"}); err == nil || !strings.Contains(err.Error(), `no model "nobody" in the pool; there is small, large`) {
		t.Errorf("PrepareCalls of an unknown model = %v", err)
	}
}

// TestCache: a second run answers from the folder, the same to the bit. With other
// rows, or a file that was cut short, it fits again.
func TestCache(t *testing.T) {
	task := world(t, 200)
	dir := t.TempDir()
	fits := 0
	answer := func(who router, parts []part) *entry {
		t.Helper()
		fits = 0
		e, err := runParts(t.Context(), who.name, who.how, task, parts, runOptions{Cache: cache{Dir: dir}, Progress: func(doing string, _, _ int) {
			if strings.Contains(doing, "fitting") || strings.Contains(doing, "choosing") {
				fits++
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	for _, who := range []router{contender(t, quick), rivalOf(t, "uniroute"), {"cascade", cascade{}}} {
		t.Run(who.name, func(t *testing.T) {
			first := answer(who, parts(t, task))
			if fits == 0 {
				t.Fatal("the first run does not fit")
			}
			second := answer(who, parts(t, task))
			if fits != 0 || !reflect.DeepEqual(first.steps, second.steps) || !reflect.DeepEqual(first.predictions, second.predictions) {
				t.Errorf("the second run fits %d times, or answers otherwise", fits)
			}
			if answer(who, splitParts(task.Set, dataset.SplitValidation)); fits == 0 {
				t.Error("other rows are answered from the cache")
			}
			files, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if err := os.Truncate(file, 20); err != nil {
					t.Fatal(err)
				}
			}
			if third := answer(who, parts(t, task)); fits == 0 || !reflect.DeepEqual(first.steps, third.steps) {
				t.Errorf("files cut short: %d fits", fits)
			}
		})
	}
	nowhere := filepath.Join(dir, "file")
	if err := os.WriteFile(nowhere, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := runParts(t.Context(), "mean", contender(t, "mean").how, task, parts(t, task), runOptions{Cache: cache{Dir: filepath.Join(nowhere, "x")}})
	if err != nil || len(e.notes) == 0 || !strings.Contains(e.notes[0], "mean will be fitted again the next time: keep fitted router") {
		t.Errorf("a folder that cannot be made: %v, notes %q", err, e.notes)
	}
}

// TestPerturbations checks what some of them do to a prompt, and that choices are
// compared with those on the original prompt.
func TestPerturbations(t *testing.T) {
	got := map[string]string{}
	for _, p := range perturbations {
		got[p.Name] = p.Apply("Compute the Integral of x")
	}
	want := map[string]string{
		"lower case":  "compute the integral of x",
		"upper case":  "COMPUTE THE INTEGRAL OF X",
		"white space": "\n  Compute  the  Integral  of  x \n",
		"typo":        "Copmute the Integral of x",
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %q, want %q", name, got[name], text)
		}
	}
	task := world(t, 150)
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	variants, err := vary(t.Context(), task, static)
	if err != nil {
		t.Fatal(err)
	}
	e, err := runParts(t.Context(), quick, contender(t, quick).how, task, parts(t, task), runOptions{Variants: variants})
	if err != nil {
		t.Fatal(err)
	}
	r, err := compare(t.Context(), task, table.Trainable(task.Set), []*entry{e}, nil, compareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lines := r.Routers[0].Robustness
	if len(lines) != len(perturbations) {
		t.Fatalf("%d lines for %d perturbations", len(lines), len(perturbations))
	}
	for _, l := range lines {
		if l.Kept < 0 || l.Kept > 1+1e-9 || l.Bill <= 0 || l.Worst < 1 {
			t.Errorf("%+v", l)
		}
		if l.Perturbation == "white space" && math.Abs(l.Kept-1) > 1e-9 {
			t.Errorf("white space changes choices: %+v", l)
		}
	}
}

// TestThin: a smaller share is part of a larger one, and equal prompts stay
// together.
func TestThin(t *testing.T) {
	task := world(t, 400)
	rows := table.Trainable(task.Set)
	quarter, half := thin(task.Set, rows, 0.25), thin(task.Set, rows, 0.5)
	for _, i := range quarter {
		if !slices.Contains(half, i) {
			t.Fatalf("row %d is in a quarter and not in a half", i)
		}
	}
	if n := len(rows); len(quarter) < n/6 || len(quarter) > n/3 || len(half) < n/3 || len(half) > 2*n/3 {
		t.Errorf("%d and %d of %d rows", len(quarter), len(half), n)
	}
	if diff := cmp.Diff(rows, thin(task.Set, rows, 0)); diff != "" {
		t.Errorf("no share (-want +got):\n%s", diff)
	}
	kept := map[string]bool{}
	for _, i := range half {
		kept[task.Set.Queries[i].Prompt] = true
	}
	for _, i := range rows {
		if kept[task.Set.Queries[i].Prompt] != slices.Contains(half, i) {
			t.Errorf("equal prompts are parted: %q", task.Set.Queries[i].Prompt)
		}
	}
}

// TestMeasure: the figures of one entry are those of a comparison.
func TestMeasure(t *testing.T) {
	task := world(t, 200)
	rows := table.Trainable(task.Set)
	e := outOfFold(t, task, quick)
	m, err := e.measure(rows)
	if err != nil {
		t.Fatal(err)
	}
	r, err := compare(t.Context(), task, rows, []*entry{e}, nil, compareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if l := r.Routers[0]; Number(m.AIQ) != l.AIQ || Number(m.Peak) != l.Peak {
		t.Errorf("Measure %+v, Compare %v and %v", m, l.AIQ, l.Peak)
	}
	e.steps[rows[0]] = nil
	if _, err := e.measure(rows); err == nil || !strings.Contains(err.Error(), "has no answer for query") {
		t.Errorf("Measure of an entry that misses a row = %v", err)
	}
	if m, err := e.measure(nil); err == nil {
		t.Errorf("Measure of no rows = %v", m)
	}
}

// TestRecordedCosts: if outcomes have costs and tokens, and models have no prices,
// the costs themselves are forecast.
func TestRecordedCosts(t *testing.T) {
	priced := world(t, 300)
	set := priced.Set.Subset(nil, nil)
	set.CostUSD = dataset.NewMatrix(len(set.Queries), len(set.Models))
	for m := range set.Models {
		for i := range set.Queries {
			set.CostUSD.Set(i, m, priced.Cost.At(i, m))
		}
		set.Models[m].InputUSDPerMillion, set.Models[m].OutputUSDPerMillion = math.NaN(), math.NaN()
	}
	set.Fingerprint = set.ComputeFingerprint()
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	task, err := table.New(t.Context(), set, static, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []router{contender(t, "knn:k=8:k-tokens=8"), contender(t, "mean"), rivalOf(t, "carrot-knn"), rivalOf(t, "carrot-mlp")} {
		r, err := compare(t.Context(), task, table.Trainable(task.Set), []*entry{run(t, task, who, parts(t, task))}, nil, compareOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if bias := float64(r.Routers[0].Calibration.CostBias); !(math.Abs(bias) < 0.2) {
			t.Errorf("%s: cost bias %v", who.name, bias)
		}
	}
}

// TestPairCountsStronger: if the counted calls are not those of the better model,
// the figures of a pair are left out, and a note says why.
func TestPairCountsStronger(t *testing.T) {
	set := world(t, 200).Set.Subset(nil, []int{0, 2})
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	task, err := table.New(t.Context(), set, static, table.Options{CountCalls: "small"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := compare(t.Context(), task, table.Trainable(set), []*entry{outOfFold(t, task, "mean")}, nil, compareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Routers[0].Pair != nil || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "--count-calls should name large") {
		t.Errorf("pair %+v, notes %q", r.Routers[0].Pair, r.Notes)
	}
}

// TestLearningTable: the column of a share on which a router could not be fitted
// is empty.
func TestLearningTable(t *testing.T) {
	r := Report{Routers: []RouterLine{
		{Name: "a", LearningCurve: []LearningPoint{{Queries: 50, AIQ: 0.5}, {Queries: 100, AIQ: 0.6}}},
		{Name: "b", LearningCurve: []LearningPoint{{Queries: 100, AIQ: 0.7}}},
	}}
	var out strings.Builder
	if err := r.writeLearning(&out); err != nil {
		t.Fatal(err)
	}
	if want := "\nlearning curve: AIQ by queries fitted on\nrouter  50      100\na       0.5000  0.6000\nb               0.7000\n"; out.String() != want {
		t.Errorf("learning curve:\n%q\nwant\n%q", out.String(), want)
	}
}
