package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/table"
	"github.com/carrot-router/carrot/train"
)

// evaluate runs an evaluation of a set on static vectors.
func evaluate(tb testing.TB, set *dataset.Set, o Options) *Report {
	tb.Helper()
	r, err := tryEvaluate(tb, set, o)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func tryEvaluate(tb testing.TB, set *dataset.Set, o Options) (*Report, error) {
	tb.Helper()
	static, err := embed.Default()
	if err != nil {
		tb.Fatal(err)
	}
	o.Embedder = static
	return Run(tb.Context(), set, o)
}

// equalNumbers compares numbers, of which two missing ones are equal.
var equalNumbers = cmp.Comparer(func(a, b Number) bool {
	return a == b || math.IsNaN(float64(a)) && math.IsNaN(float64(b))
})

func names(r *Report) []string {
	var out []string
	for _, l := range r.Routers {
		out = append(out, l.Name)
	}
	return out
}

// byWord is a router of a user's own: it knows the mean score of each model on
// prompts that share a word. It names the pool's models in another order, and one
// model more.
type byWord struct {
	models []string
	score  map[uint32][]float64
}

func fitByWord(_ context.Context, t *table.Table, rows []int, _ func(string)) (carrot.Predictor, error) {
	p := &byWord{models: append([]string{"another"}, t.ModelNames()...), score: map[uint32][]float64{}}
	slices.Reverse(p.models)
	seen := map[uint32]float64{}
	for _, i := range rows {
		for _, word := range t.X[i].Sparse.Index {
			if p.score[word] == nil {
				p.score[word] = make([]float64, len(t.Candidates))
			}
			seen[word]++
			for m := range t.Candidates {
				p.score[word][m] += (t.Set.Score.At(i, m) - p.score[word][m]) / seen[word]
			}
		}
	}
	return p, nil
}

func (p *byWord) Models() []string { return p.models }

func (p *byWord) Predict(x []carrot.Representation, dst []carrot.Prediction) error {
	last := len(p.models) - 1
	for i := range x {
		dst[i].Forecasts = make([]carrot.Forecast, len(p.models))
		for m := range last {
			f := &dst[i].Forecasts[last-1-m]
			f.OutputTokens = 100
			n := 0.0
			for _, word := range x[i].Sparse.Index {
				if s := p.score[word]; s != nil {
					n++
					f.Quality += (s[m] - f.Quality) / n
				}
			}
		}
	}
	return nil
}

// TestRunOwn: a router of a user's own is measured beside a predictor of this
// module, rivals, and a router that was trained before.
func TestRunOwn(t *testing.T) {
	set := world(t, 400).Set
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	trained, err := train.Run(t.Context(), []*dataset.Set{set}, static, train.Options{Predictor: spec(t, quick)})
	if err != nil {
		t.Fatal(err)
	}
	others, err := Rivals("cheapest,cascade=0.8,complexity", 1)
	if err != nil {
		t.Fatal(err)
	}
	contenders := append([]Contender{
		{Name: "mine", Fit: fitByWord},
		Predictor("sparse", spec(t, quick)),
		{Name: "saved", Fitted: trained.Predictor, TrainedOn: []string{"synthetic"}},
		{Name: "twin", Fitted: trained.Predictor, TrainedOn: []string{"renamed", set.Subset(table.Trainable(set), nil).Fingerprint}},
		{Name: "stranger", Fitted: trained.Predictor, TrainedOn: []string{"other", "sha256:00"}},
		{Name: "broken", Fit: func(context.Context, *table.Table, []int, func(string)) (carrot.Predictor, error) {
			return nil, errors.New("out of ideas")
		}},
		{Name: "ignorant", Fit: func(context.Context, *table.Table, []int, func(string)) (carrot.Predictor, error) {
			return &byWord{models: []string{"small", "large"}}, nil
		}},
	}, others...)
	var shares []float64
	r := evaluate(t, set, Options{Contenders: contenders, Bootstrap: 20, Split: dataset.SplitValidation,
		Progress: func(_ string, share float64) { shares = append(shares, share) }})
	if want := []string{"mine", "sparse", "saved", "twin", "stranger", "cheapest", "complexity", "cascade:accuracy=0.8", "mean", "best-single", "zero-router", "oracle"}; !slices.Equal(names(r), want) {
		t.Fatalf("routers %q, want %q", names(r), want)
	}
	if mine, zero := line(t, r, "mine"), line(t, r, "zero-router"); !(mine.AIQ > zero.AIQ) || mine.Calibration == nil || mine.Settings != nil {
		t.Errorf("mine: AIQ %v, the zero router's %v, calibration %v, settings %q", mine.AIQ, zero.AIQ, mine.Calibration, mine.Settings)
	}
	for _, want := range []string{"broken is absent: broken: out of ideas", `does not know model "middle" of the data's pool; it knows small, large`, "saved was trained on this data", "twin was trained on this data"} {
		if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, want) }) {
			t.Errorf("notes %q, want one that says %q", r.Notes, want)
		}
	}
	if slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, "stranger") }) {
		t.Errorf("notes %q, want none about a router that was trained on other data", r.Notes)
	}
	if !slices.IsSorted(shares) || shares[0] != 0 || shares[len(shares)-1] != 1 {
		t.Errorf("shares of the fits %v, want them to rise from 0 to 1", shares)
	}
	if r.Split != "validation" || r.Fingerprint != set.Fingerprint || r.Dataset != "synthetic" {
		t.Errorf("report of %s, %s, %s", r.Dataset, r.Split, r.Fingerprint)
	}
}

// TestRunParts checks what is held out, and the optional parts of a report.
func TestRunParts(t *testing.T) {
	set := world(t, 300).Set
	f := func(label string, queries int, o Options) *Report {
		t.Helper()
		o.Contenders = []Contender{Predictor("sparse", spec(t, quick))}
		r := evaluate(t, set, o)
		if r.Split != label || r.Queries != queries {
			t.Errorf("%d queries of %q, want %d of %q", r.Queries, r.Split, queries, label)
		}
		return r
	}
	trainable := len(table.Trainable(set))
	f("test", len(set.Rows(dataset.SplitTest)), Options{})
	f("out of fold (3)", trainable, Options{Folds: 3})
	f("leave one source out", trainable, Options{LeaveSourcesOut: true})
	r := f("validation", len(set.Rows(dataset.SplitValidation)), Options{Split: dataset.SplitValidation, PaperProtocol: true, LearningCurve: true, Robustness: true})
	if r.Protocols == nil || len(r.Protocols.Routers) != 1 || len(r.Routers[0].LearningCurve) < 3 || len(r.Routers[0].Robustness) != len(perturbations) {
		t.Errorf("protocols %+v, learning curve %v, robustness %v", r.Protocols, r.Routers[0].LearningCurve, r.Routers[0].Robustness)
	}
	r = f("out of fold (2)", trainable, Options{Folds: 2, Pair: []string{"small", "large"}, CountCalls: "large"})
	if line(t, r, "zero-router").Pair == nil || !slices.Equal(r.Models, []string{"small", "large"}) || !r.Provenance.PerCall {
		t.Errorf("a pair of models: %+v", r)
	}
}

// TestRunCache: fitted routers are kept in a folder of this build, except a router
// of a user's own, which is fitted every time.
func TestRunCache(t *testing.T) {
	set, dir := world(t, 200).Set, t.TempDir()
	fits := 0
	o := Options{Folds: 2, CacheDir: dir, Contenders: []Contender{Predictor("sparse", spec(t, quick)),
		{Name: "mine", Fit: func(ctx context.Context, t *table.Table, rows []int, say func(string)) (carrot.Predictor, error) {
			fits++
			return fitByWord(ctx, t, rows, say)
		}}}}
	first, second := evaluate(t, set, o), evaluate(t, set, o)
	if diff := cmp.Diff(first, second, equalNumbers); diff != "" || fits != 4 {
		t.Errorf("the second run differs, or fits mine %d times in all, want 4 (-first +second):\n%s", fits, diff)
	}
	if files, err := filepath.Glob(filepath.Join(dir, programHash(), "*")); err != nil || len(files) != 4 { // two folds each of sparse and mean
		t.Errorf("kept %v, %v, want four fits", files, err)
	}
}

func TestRunErrors(t *testing.T) {
	set := world(t, 200).Set
	mine := Contender{Name: "mine", Fit: fitByWord}
	f := func(want string, is error, o Options) {
		t.Helper()
		if _, err := tryEvaluate(t, set, o); err == nil || !strings.Contains(err.Error(), want) || is != nil && !errors.Is(err, is) {
			t.Errorf("Run = %v, want an error that says %q", err, want)
		}
	}
	f("alike: mine", ErrSameName, Options{Contenders: []Contender{mine, mine}})
	f("alike: oracle", ErrSameName, Options{Contenders: []Contender{{Name: "oracle", Fit: fitByWord}}})
	f("has no name", nil, Options{Contenders: []Contender{{Fit: fitByWord}}})
	f("contender x has neither Fit nor Fitted", nil, Options{Contenders: []Contender{{Name: "x"}}})
	f("1 folds", nil, Options{Folds: 1})
	f("choose one", nil, Options{Folds: 2, LeaveSourcesOut: true})
	f("without folds", nil, Options{Folds: 2, PaperProtocol: true})
	f("want two different models", nil, Options{Pair: []string{"small", "small"}})
	f(`no model "huge"; it has small, middle, large`, nil, Options{Pair: []string{"small", "huge"}})
	f(`no model "huge" in the pool`, nil, Options{CountCalls: "huge"})
	f("no rows marked other", ErrNoRows, Options{Split: "other"})
	f("the router has no stored frontier", carrot.ErrNoFrontier, Options{Objectives: []carrot.Objective{carrot.Balanced}, Split: dataset.SplitValidation})
	if _, err := Run(t.Context(), set, Options{}); err == nil || !strings.Contains(err.Error(), "Options.Embedder is missing") {
		t.Errorf("Run without an embedder = %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(cancelled, set, Options{Embedder: static, Contenders: []Contender{mine}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Run with a cancelled context = %v", err)
	}
}

// TestRunUnpriced: figures need costs, unless calls are counted.
func TestRunUnpriced(t *testing.T) {
	set := world(t, 200).Set
	bare := func(m int) {
		for i := range set.Queries {
			set.OutputTokens.Set(i, m, math.NaN())
		}
	}
	bare(1)
	_, err := tryEvaluate(t, set, Options{})
	if e, ok := errors.AsType[*table.UnpricedError](err); !ok || !slices.Equal(e.Models, []string{"middle"}) {
		t.Errorf("Run = %v, want an UnpricedError of middle", err)
	}
	bare(0)
	bare(2)
	if _, err := tryEvaluate(t, set, Options{}); !errors.Is(err, ErrNoCosts) || !errors.Is(err, ErrNoRows) {
		t.Errorf("Run without any costs = %v, want ErrNoCosts", err)
	}
	evaluate(t, set, Options{Folds: 2, CountCalls: "large", Contenders: []Contender{Predictor("mine", spec(t, quick))}})
}

// TestFewComplete: the notes say what the figures are worth if few queries are
// complete.
func TestFewComplete(t *testing.T) {
	set := world(t, 200).Set
	rows := table.Trainable(set)
	for _, i := range rows[40:] {
		set.Score.Set(i, 1, math.NaN())
	}
	r := evaluate(t, set, Options{Folds: 2})
	have := fmt.Sprintf("40 of %d queries have a score and a cost for every model of the pool: ", len(rows))
	if want := []string{have + "all figures come from these only", have + "figures from fewer than 50 are little more than noise"}; !slices.Equal(r.Notes, want) {
		t.Errorf("notes %q, want %q", r.Notes, want)
	}
}

// TestReportReadsBackEqual: a report read from its JSON form is the report that
// was written, and prints the same.
func TestReportReadsBackEqual(t *testing.T) {
	set := world(t, 300).Set
	others, err := Rivals("routellm-sw,cascade", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{
		{Folds: 2, Bootstrap: 21, Robustness: true, LearningCurve: true, Objectives: []carrot.Objective{carrot.Mu(0), carrot.Mu(0.2)}},
		{Split: dataset.SplitValidation, PaperProtocol: true},
		{Folds: 2, Bootstrap: 11, Pair: []string{"small", "large"}, CountCalls: "large"},
	} {
		o.Contenders = append([]Contender{Predictor("sparse", spec(t, quick)), {Name: "mine", Fit: fitByWord}}, others...)
		r := evaluate(t, set, o)
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back Report
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*r, back, equalNumbers); diff != "" {
			t.Errorf("%s reads back differently (-want +got):\n%s", r.Split, diff)
		}
		if again, err := json.Marshal(back); err != nil || !bytes.Equal(again, text) {
			t.Errorf("%s is written differently the second time: %v", r.Split, err)
		}
		var printed, again strings.Builder
		if err := errors.Join(r.WriteText(&printed), back.WriteText(&again), r.WriteDetails(&printed), back.WriteDetails(&again)); err != nil || printed.String() != again.String() {
			t.Errorf("%s is printed differently after it was read: %v", r.Split, err)
		}
	}
}
