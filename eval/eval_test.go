package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

// subjects are the words of the synthetic prompts. Each subject is a source.
var subjects = [][]string{
	strings.Fields("sum product integral prime root angle number divide"),
	strings.Fields("poem rhyme story novel verse sonnet drama metaphor"),
	strings.Fields("loop array compile function pointer stack recursion bug"),
}

// world draws a table of n queries and three models, each good at one subject.
// Every tenth prompt occurs twice.
func world(tb testing.TB, n int) *table.Table {
	tb.Helper()
	r := rand.New(rand.NewPCG(6, uint64(n)))
	s := &dataset.Set{Name: "synthetic", Models: []dataset.Model{
		{Name: "small", InputUSDPerMillion: 0.1, OutputUSDPerMillion: 0.5, Pool: true},
		{Name: "middle", InputUSDPerMillion: 1, OutputUSDPerMillion: 4, Pool: true},
		{Name: "large", InputUSDPerMillion: 5, OutputUSDPerMillion: 20, Pool: true},
	}}
	s.Score, s.InputTokens, s.OutputTokens = dataset.NewMatrix(n, 3), dataset.NewMatrix(n, 3), dataset.NewMatrix(n, 3)
	for i := range n {
		subject := r.IntN(len(subjects))
		words := []string{"please", "about"}
		for range 6 {
			words = append(words, subjects[subject][r.IntN(len(subjects[subject]))]+strconv.Itoa(r.IntN(6)))
		}
		q := dataset.Query{ID: strconv.Itoa(i), Source: subjects[subject][0], Prompt: strings.Join(words, " ")}
		if i%10 == 9 {
			q.Prompt, q.Source = s.Queries[i-1].Prompt, s.Queries[i-1].Source
		}
		q.Split = dataset.SplitOf(q.Prompt)
		s.Queries = append(s.Queries, q)
		for m := range 3 {
			skill := 0.2 + 0.1*float64(m)
			if subject == m {
				skill = 0.9
			}
			score := 0.0
			if r.Float64() < skill {
				score = 1
			}
			s.Score.Set(i, m, score)
			s.InputTokens.Set(i, m, 10)
			s.OutputTokens.Set(i, m, math.Round(100*math.Exp(r.NormFloat64()/3)))
		}
	}
	s.Fingerprint = s.ComputeFingerprint()
	static, err := embed.Default()
	if err != nil {
		tb.Fatal(err)
	}
	task, err := table.New(context.Background(), s, static, table.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return task
}

func spec(tb testing.TB, text string) predict.Spec {
	tb.Helper()
	s, err := predict.ParseSpec(text)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// router is a method with the name of its entry.
type router struct {
	name string
	how  method
}

// contender is the predictor that a spec describes.
func contender(tb testing.TB, text string) router {
	tb.Helper()
	return router{text, own{spec(tb, text)}}
}

// parts are three folds of a table.
func parts(tb testing.TB, t *table.Table) []part {
	tb.Helper()
	p, err := foldParts(t.Set, table.Trainable(t.Set), 3)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// run lets a router answer rows that it was not fitted on.
func run(tb testing.TB, t *table.Table, who router, parts []part) *entry {
	tb.Helper()
	e, err := runParts(context.Background(), who.name, who.how, t, parts, runOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// outOfFold lets a predictor answer the trainable rows out of fold.
func outOfFold(tb testing.TB, t *table.Table, text string) *entry {
	tb.Helper()
	return run(tb, t, contender(tb, text), parts(tb, t))
}

const quick = "sparse:alpha=5:buckets=1024"

// compared measures two routers on the trainable rows of a small world.
func compared(tb testing.TB, o compareOptions, names ...string) *Report {
	tb.Helper()
	t := world(tb, 240)
	var entries []*entry
	for _, name := range names {
		entries = append(entries, outOfFold(tb, t, name))
	}
	o.Split = "train and validation"
	r, err := compare(tb.Context(), t, table.Trainable(t.Set), entries, outOfFold(tb, t, "mean"), o)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func line(tb testing.TB, r *Report, name string) RouterLine {
	tb.Helper()
	for _, l := range r.Routers {
		if l.Name == name {
			return l
		}
	}
	tb.Fatalf("no router %q in the report", name)
	return RouterLine{}
}

// TestCompareReferences: the reference rows follow the routers and are what their
// names say.
func TestCompareReferences(t *testing.T) {
	r := compared(t, compareOptions{}, quick, "knn:k=8:k-tokens=8")
	var names []string
	for _, l := range r.Routers {
		names = append(names, l.Name)
	}
	if want := []string{quick, "knn:k=8:k-tokens=8", "mean", "best-single", "zero-router", "oracle"}; !reflect.DeepEqual(names, want) {
		t.Fatalf("routers %q, want %q", names, want)
	}
	best := line(t, r, "best-single")
	if !math.IsNaN(float64(best.AIQ)) || !math.IsNaN(float64(best.GapClosed)) || math.Abs(float64(best.QNC)-1) > 1e-12 || len(best.Curve) != 1 || best.Curve[0].Model != r.BestSingle {
		t.Errorf("best-single = %+v, want one point of %s, no AIQ and QNC 1", best, r.BestSingle)
	}
	zero, oracle := line(t, r, "zero-router"), line(t, r, "oracle")
	if len(zero.Curve) != 3 || zero.Curve[2].Model != "large" || zero.GapClosed != 0 || zero.Peak != best.Peak {
		t.Errorf("zero-router = %+v, want the three single models", zero)
	}
	if math.Abs(float64(oracle.GapClosed)-1) > 1e-12 || oracle.QNC >= 1 {
		t.Errorf("oracle closes %v of the gap at QNC %v", oracle.GapClosed, oracle.QNC)
	}
	if learned := line(t, r, quick); learned.AIQ <= zero.AIQ || learned.Calibration == nil || oracle.Calibration != nil {
		t.Errorf("a learned router has AIQ %v, the zero router %v", learned.AIQ, zero.AIQ)
	}
	if lo, hi := r.CostRangeUSD[0], r.CostRangeUSD[1]; !(0 < lo && lo < hi) || best.AIQInterval != nil {
		t.Errorf("cost range %v, intervals without a bootstrap %v", r.CostRangeUSD, best.AIQInterval)
	}
}

// TestOracle: no router has more utility than the oracle at any setting, or a
// higher peak.
func TestOracle(t *testing.T) {
	r := compared(t, compareOptions{}, quick, "knn:k=8:k-tokens=8")
	oracle := line(t, r, "oracle")
	for _, name := range []string{quick, "knn:k=8:k-tokens=8", "mean"} {
		l := line(t, r, name)
		for s, p := range l.Curve {
			best, w := oracle.Curve[s], float64(p.USDPerQuality)
			if math.IsNaN(w) && math.IsNaN(float64(best.USDPerQuality)) && s == 0 { // null stands for +Inf
				w = math.Inf(1)
			} else if math.IsNaN(w) || w != float64(best.USDPerQuality) {
				t.Fatalf("setting %d is w = %v for %s and %v for the oracle", s, w, name, best.USDPerQuality)
			}
			if p.Quality-p.CostUSD/w > best.Quality-best.CostUSD/w+1e-9 {
				t.Errorf("w = %v: %s has %+v, the oracle %+v", w, name, p, best)
			}
		}
		if l.Peak > oracle.Peak || l.AIQ > oracle.AIQ {
			t.Errorf("%s has AIQ %v and peak %v, the oracle %v and %v", name, l.AIQ, l.Peak, oracle.AIQ, oracle.Peak)
		}
	}
}

// TestBootstrap: intervals contain their points, and equal seeds give equal
// reports.
func TestBootstrap(t *testing.T) {
	encode := func(o compareOptions) []byte {
		text, err := json.Marshal(compared(t, o, quick, "knn:k=8:k-tokens=8"))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	calls := 0
	o := compareOptions{Bootstrap: 101, Seed: 5, Progress: func(done, total int) { calls++ }}
	first := encode(o)
	if calls != 101 {
		t.Errorf("progress told %d times, want 101", calls)
	}
	if !bytes.Equal(first, encode(compareOptions{Bootstrap: 101, Seed: 5})) {
		t.Error("two comparisons with one seed differ")
	}
	if bytes.Equal(first, encode(compareOptions{Bootstrap: 101, Seed: 6})) {
		t.Error("another seed draws the same resamples")
	}
	r := compared(t, o, quick, "knn:k=8:k-tokens=8")
	holds := func(name, what string, point Number, ci []Number) {
		t.Helper()
		if len(ci) != 2 || !(ci[0] <= point && point <= ci[1]) {
			t.Errorf("%s: %s %v is not within its interval %v", name, what, point, ci)
		}
	}
	for _, l := range r.Routers {
		if l.Name == "best-single" {
			if l.AIQInterval != nil {
				t.Errorf("best-single has an interval of AIQ: %v", l.AIQInterval)
			}
			continue
		}
		holds(l.Name, "AIQ", l.AIQ, l.AIQInterval)
		if l.Name == "oracle" {
			holds(l.Name, "peak", l.Peak, l.PeakCI)
		}
	}
	for _, p := range r.Pairs {
		holds(p.A+" - "+p.B, "difference", p.AIQDiff, p.Interval)
	}
}

// TestPairs: every router is compared with every other and with the references
// that have an AIQ, except the oracle. In the opposite order the sign is opposite.
func TestPairs(t *testing.T) {
	const a, b = quick, "knn:k=8:k-tokens=8"
	o := compareOptions{Bootstrap: 201, Seed: 1}
	r, reverse := compared(t, o, a, b), compared(t, o, b, a)
	var names []string
	for _, p := range r.Pairs {
		names = append(names, p.A+" "+p.B)
		if got, want := float64(p.AIQDiff), float64(line(t, r, p.A).AIQ-line(t, r, p.B).AIQ); got != want {
			t.Errorf("%s - %s = %v, want the difference of AIQ %v", p.A, p.B, got, want)
		}
	}
	if want := []string{a + " " + b, a + " mean", a + " zero-router", b + " mean", b + " zero-router"}; !reflect.DeepEqual(names, want) {
		t.Errorf("pairs %q, want %q", names, want)
	}
	there, back := r.Pairs[0], reverse.Pairs[0]
	if there.AIQDiff != -back.AIQDiff || there.Interval[0] != -back.Interval[1] || there.Interval[1] != -back.Interval[0] {
		t.Errorf("%+v and the other way round %+v", there, back)
	}
}

// TestCompareIncomplete: a query on which a model was not observed is skipped
// and counted.
func TestCompareIncomplete(t *testing.T) {
	task := world(t, 60)
	mean := outOfFold(t, task, "mean")
	task.Set.Score.Set(3, 1, math.NaN())
	task.Cost.Set(4, 2, math.NaN())
	rows := table.Trainable(task.Set)
	skipped := 0
	for _, i := range rows {
		if i == 3 || i == 4 {
			skipped++
		}
	}
	r, err := compare(t.Context(), task, rows, nil, mean, compareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Queries != len(rows)-skipped || r.Skipped != skipped || skipped == 0 {
		t.Errorf("%d queries, %d skipped, want %d and %d", r.Queries, r.Skipped, len(rows)-skipped, skipped)
	}
	if _, err := compare(t.Context(), task, []int{3, 4}, nil, nil, compareOptions{}); !errors.Is(err, ErrNoRows) {
		t.Errorf("Compare of incomplete queries = %v, want ErrNoRows", err)
	}
	if _, err := compare(t.Context(), task, nil, nil, nil, compareOptions{}); !errors.Is(err, ErrNoRows) {
		t.Errorf("Compare of no queries = %v, want ErrNoRows", err)
	}
	if r, err := compare(t.Context(), task, rows, nil, nil, compareOptions{}); err != nil || len(r.Routers) != 3 {
		t.Errorf("Compare without a mean: %v, want three reference rows", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := compare(cancelled, task, rows, nil, nil, compareOptions{Bootstrap: 10}); !errors.Is(err, context.Canceled) {
		t.Errorf("Compare with a cancelled context = %v, want context.Canceled", err)
	}
}

// TestHonest: no row is predicted by a model that saw it, or a row held out with
// it. If the outcomes of the held-out rows are inverted, their predictions stay the
// same to the bit, and others change. The nearest neighbour remembers everything,
// so a leak would show.
func TestHonest(t *testing.T) {
	memory := contender(t, "knn:k=1:k-tokens=1")
	for _, test := range []struct {
		name  string
		parts func(*dataset.Set) ([]part, error)
		held  func(dataset.Query) bool
	}{
		{"Folds", func(s *dataset.Set) ([]part, error) { return foldParts(s, table.Trainable(s), 4) },
			func(q dataset.Query) bool { return dataset.Fold(q.Prompt, 4) == 2 }},
		{"Sources", sourceParts, func(q dataset.Query) bool { return q.Source == subjects[1][0] }},
	} {
		t.Run(test.name, func(t *testing.T) {
			task, turned := world(t, 240), world(t, 240)
			for i, q := range turned.Set.Queries {
				if test.held(q) || q.Split == dataset.SplitTest {
					for m := range 3 {
						turned.Set.Score.Set(i, m, 1-turned.Set.Score.At(i, m))
						turned.Set.OutputTokens.Set(i, m, 3*turned.Set.OutputTokens.At(i, m))
					}
				}
			}
			parts, err := test.parts(task.Set)
			if err != nil {
				t.Fatal(err)
			}
			want, got := run(t, task, memory, parts).predictions, run(t, turned, memory, parts).predictions
			held, changed := 0, 0
			for i, q := range task.Set.Queries {
				same := reflect.DeepEqual(got[i], want[i])
				switch {
				case q.Split == dataset.SplitTest:
					if got[i].Forecasts != nil {
						t.Errorf("row %d is marked test and has a prediction", i)
					}
				case test.held(q):
					held++
					if !same {
						t.Errorf("row %d is predicted by a model that saw it", i)
					}
				case !same:
					changed++
				}
			}
			if held == 0 || changed == 0 {
				t.Errorf("%d rows held out, %d others changed: the test tests nothing", held, changed)
			}
		})
	}
}

// TestSplit: a split is predicted from the other splits, and never from test.
func TestSplit(t *testing.T) {
	task, turned := world(t, 240), world(t, 240)
	for i, q := range turned.Set.Queries {
		if q.Split != dataset.SplitTrain {
			for m := range 3 {
				turned.Set.Score.Set(i, m, 1-turned.Set.Score.At(i, m))
			}
		}
	}
	held := splitParts(task.Set, dataset.SplitValidation)
	a, b := run(t, task, contender(t, quick), held).predictions, run(t, turned, contender(t, quick), held).predictions
	if !reflect.DeepEqual(a, b) {
		t.Error("validation is predicted otherwise when its outcomes or test's change")
	}
	for i, q := range task.Set.Queries {
		if (a[i].Forecasts != nil) != (q.Split == dataset.SplitValidation) {
			t.Errorf("row %d of %s: predicted %v", i, q.Split, a[i].Forecasts != nil)
		}
	}
	for i := range task.Set.Queries {
		task.Set.Queries[i].Split = dataset.SplitTest
	}
	if p := splitParts(task.Set, dataset.SplitTest); p != nil {
		t.Errorf("Split with nothing to fit on = %v, want none", p)
	}
}

func TestPartsErrors(t *testing.T) {
	task := world(t, 40)
	for i := range task.Set.Queries {
		task.Set.Queries[i].Source = "one"
	}
	if _, err := sourceParts(task.Set); err == nil || !strings.Contains(err.Error(), "has 1 source: leaving one out needs two") {
		t.Errorf("Sources of one source = %v, want an error that says so", err)
	}
	if _, err := foldParts(task.Set, table.Trainable(task.Set), 1); err == nil || !strings.Contains(err.Error(), "nothing is left to fit on") {
		t.Errorf("Folds of one fold = %v, want an error that says so", err)
	}
}

// hand is a table of two queries and two models, small enough to be worked out by
// hand, with predictions for it.
func hand() (*table.Table, []carrot.Prediction) {
	nan := math.NaN()
	matrix := func(v ...float64) dataset.Matrix { return dataset.Matrix{Rows: 2, Cols: 2, Data: v} }
	task := &table.Table{
		Set: &dataset.Set{Name: "hand", Queries: make([]dataset.Query, 2), Models: []dataset.Model{{Name: "a"}, {Name: "b"}},
			Score: matrix(0, 0, 1, 0), InputTokens: matrix(1, 1, 1, 1), OutputTokens: matrix(120, 50, 300, nan)},
		X: make([]carrot.Representation, 2), Candidates: make([]carrot.Candidate, 2), Cost: matrix(2, 1, 4, 1),
	}
	forecast := func(quality, tokens, p90 float64) carrot.Forecast {
		return carrot.Forecast{Quality: quality, QualitySE: 0.3, QualityNoise: 0.4, OutputTokens: tokens, OutputTokensP90: p90, CostUSD: 1}
	}
	direct := forecast(0.2, 0, 0)
	direct.Direct = true
	return task, []carrot.Prediction{
		{Forecasts: []carrot.Forecast{forecast(0.5, 100, 150), direct}},
		{Forecasts: []carrot.Forecast{forecast(0.9, 200, 250), forecast(0.2, 10, 20)}},
	}
}

func TestCalibrate(t *testing.T) {
	task, predictions := hand()
	task.PerCall = []float64{1, 1}
	got := calibrate(task, []int{0, 1}, []int{0, 1}, predictions)
	want := Calibration{
		Brier:            (0.25 + 0.01 + 0.04 + 0.04) / 4,
		ECE:              (0.5 + 0.1 + 0.4) / 4,    // bins of .5, of .9 and of both .2
		R2:               (1 - 0.26/0.5 + 0) / 2,   // b's scores are all 0, so there is nothing to explain
		OutputTokensMAE:  (20. + 100) / 2,          // one cost is direct, one outcome not observed
		OutputTokensBias: 300./420 - 1,             //
		OutputTokensP90:  0.5,                      // 120 ≤ 150, 300 > 250
		QualityZ:         0.34 / (0.09 + 0.16) / 4, //

		OutputTokensRelativeMAE: 60. / 210,
		CostBias:                4./8 - 1,             // forecasts of 1 USD
		CostRelativeMAE:         (1 + 3 + 0 + 0) / 8., //
		CostRankCorrelation:     Number(math.NaN()),   // all forecasts are equal
	}
	a, b := reflect.ValueOf(*got), reflect.ValueOf(want)
	for i := range a.NumField() {
		if a.Field(i).Kind() == reflect.Float64 && math.Abs(a.Field(i).Float()-b.Field(i).Float()) > 1e-12 {
			t.Errorf("%s = %v, want %v", a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	}
	bins := []ReliabilityBin{{2, 0.2, 0}, {1, 0.5, 0}, {1, 0.9, 1}}
	if diff := cmp.Diff(bins, got.Reliability); diff != "" {
		t.Errorf("reliability (-want +got):\n%s", diff)
	}
}

// TestCalibrateCertain: where forecasts have no deviation, residuals cannot be
// divided by it, and the report is still written.
func TestCalibrateCertain(t *testing.T) {
	task, predictions := hand()
	for i := range predictions {
		for m := range predictions[i].Forecasts {
			f := &predictions[i].Forecasts[m]
			f.QualitySE, f.QualityNoise = 0, 0
		}
	}
	sure := newEntry("sure", task)
	for i, p := range predictions {
		sure.set(i, p)
	}
	r, err := compare(t.Context(), task, []int{0, 1}, []*entry{sure}, nil, compareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Errorf("report of a router that is sure: %v", err)
	}
}

// missing lists the keys that are missing in a JSON object.
func missing(object any, keys string) (absent []string) {
	m, _ := object.(map[string]any)
	for _, key := range strings.Fields(keys) {
		if _, ok := m[key]; !ok {
			absent = append(absent, key)
		}
	}
	return absent
}

// TestReportJSON: the keys that other programs rely on.
func TestReportJSON(t *testing.T) {
	text, err := json.Marshal(compared(t, compareOptions{Bootstrap: 11}, quick))
	if err != nil {
		t.Fatal(err)
	}
	var r map[string]any
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	routers, pairs := r["routers"].([]any), r["pairs"].([]any)
	first := routers[0].(map[string]any)
	for _, test := range []struct {
		what   string
		object any
		keys   string
	}{
		{"report", r, "schema dataset fingerprint split queries skipped_incomplete models cost_range_usd routers pairs"},
		{"router", first, "name aiq aiq_ci peak peak_ci qnc qnc_ci cost95 gap_closed calibration curve"},
		{"calibration", first["calibration"], "brier ece r2 output_tokens_mae"},
		{"curve", first["curve"].([]any)[0], "usd_per_quality cost_usd quality"},
		{"pair", pairs[0], "a b aiq_diff ci"},
	} {
		if absent := missing(test.object, test.keys); absent != nil {
			t.Errorf("%s lacks %v", test.what, absent)
		}
	}
	if r["schema"] != "carrot.eval/1" {
		t.Errorf("schema %v", r["schema"])
	}
	if w := first["curve"].([]any)[0].(map[string]any)["usd_per_quality"]; w != nil {
		t.Errorf("usd_per_quality %v of the first setting, want null for +Inf", w)
	}
	for _, l := range routers {
		if l := l.(map[string]any); l["name"] == "best-single" && l["aiq"] != nil {
			t.Errorf("best-single has AIQ %v, want null", l["aiq"])
		}
	}
}

func TestWriteText(t *testing.T) {
	nan, inf := Number(math.NaN()), Number(math.Inf(1))
	r := Report{Dataset: "zeroeval", Split: "test", Queries: 563, Skipped: 8, Models: []string{"a", "b"}, BestSingle: "b",
		Notes: []string{"one fold only"},
		Routers: []RouterLine{
			{Name: "blend", AIQ: 0.8383, AIQInterval: []Number{0.81, 0.86}, Peak: 0.8549, QNC: 0.485, Cost95: 0.1, GapClosed: 0.25,
				Calibration: &Calibration{R2: 0.1234, ECE: 0.0456, OutputTokensP90: 0.9}},
			{Name: "best-single", AIQ: nan, Peak: 0.8, QNC: 1, Cost95: inf, GapClosed: nan},
		},
		Pairs: []Pair{
			{A: "blend", B: "mean", AIQDiff: 0.02, Interval: []Number{0.01, 0.03}},
			{A: "blend", B: "knn", AIQDiff: 0.001, Interval: []Number{-0.01, 0.01}},
			{A: "blend", B: "mlp", AIQDiff: -0.02, Interval: []Number{-0.03, -0.01}},
		}}
	var out strings.Builder
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	const want = `zeroeval, test: 563 queries (8 incomplete skipped), 2 models, best single b

router       AIQ     95% interval      peak    QNC    cost@95  gap closed  R²     ECE    tokens within p90
blend        0.8383  [0.8100, 0.8600]  0.8549  0.485  0.100    25.0%       0.123  0.046  90.0%
best-single  none                      0.8000  1.000  none

paired differences of AIQ (95% interval over queries, given these fits; not corrected for the number of pairs)
blend - mean  +0.0200  [0.0100, 0.0300]    blend is better
blend - knn   +0.0010  [-0.0100, 0.0100]   cannot be told apart
blend - mlp   -0.0200  [-0.0300, -0.0100]  mlp is better

note: one fold only
`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("WriteText:\n%s\nwant:\n%s", got, want)
	}
}

// bags is an embedder for predictors that look at no dense vector.
type bags struct{}

func (bags) ID() string { return "bags" }
func (bags) Embed(_ context.Context, texts []string, dst []carrot.Representation) error {
	for i := range texts {
		embed.Words(texts[i], &dst[i].Sparse)
	}
	return nil
}

// TestReferenceFigures compares the metrics with figures that were computed
// independently, on the validation splits of two public sets.
func TestReferenceFigures(t *testing.T) {
	folder := os.Getenv("CARROT_DATA")
	if folder == "" {
		t.Skip("CARROT_DATA does not name the folder of the data sets, so the reference figures are not checked")
	}
	type figures struct{ aiq, peak, qnc, cost95 float64 }
	for _, test := range []struct {
		set     string
		queries int
		best    string
		want    map[string]figures
	}{
		{"zeroeval", 286, "Llama-3.1-405B-Inst@sambanova", map[string]figures{
			"zero-router": {0.80655, 0.81469, 1, 0.1189},
			"oracle":      {0.94647, 0.94755, 0.0297, 0.0282},
			"mean":        {0.80858, 0.82517, 1.8246, 0.0771},
		}},
		{"mmlu-pro", 1176, "gemini-1.5-pro-002", map[string]figures{
			"zero-router": {0.65771, 0.69048, 1, 1},
			"oracle":      {0.9059, 0.90901, 0.0435, 0.0422},
			"mean":        {0.66077, 0.69048, 0.9945, 0.5921},
		}},
	} {
		t.Run(test.set, func(t *testing.T) {
			set, err := dataset.Load(t.Context(), filepath.Join(folder, test.set))
			if err != nil {
				t.Fatal(err)
			}
			task, err := table.New(t.Context(), set, bags{}, table.Options{})
			if err != nil {
				t.Fatal(err)
			}
			mean := run(t, task, contender(t, "mean"), splitParts(set, dataset.SplitValidation))
			r, err := compare(t.Context(), task, set.Rows(dataset.SplitValidation), nil, mean, compareOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Queries != test.queries || r.BestSingle != test.best {
				t.Errorf("%d queries, best single %s, want %d and %s", r.Queries, r.BestSingle, test.queries, test.best)
			}
			for name, want := range test.want {
				l := line(t, r, name)
				f := func(what string, got Number, want float64) {
					if math.Abs(float64(got)-want) > 1e-3 {
						t.Errorf("%s: %s %v, want %v", name, what, got, want)
					}
				}
				f("AIQ", l.AIQ, want.aiq)
				f("peak", l.Peak, want.peak)
				f("QNC", l.QNC, want.qnc)
				f("cost@95", l.Cost95, want.cost95)
			}
		})
	}
}
