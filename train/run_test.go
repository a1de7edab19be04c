package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

// run trains on sets and returns the artefact, read back from its bytes, and the
// warnings.
func run(tb testing.TB, o Options, sets ...*dataset.Set) (*artifact.Artifact, []string) {
	tb.Helper()
	static, err := embed.Default()
	if err != nil {
		tb.Fatal(err)
	}
	var said []string
	o.Warn = func(text string) { said = append(said, text) }
	a, err := Run(tb.Context(), sets, static, o)
	if err != nil {
		tb.Fatal(err)
	}
	var out bytes.Buffer
	if err := a.Write(&out); err != nil {
		tb.Fatal(err)
	}
	if a, err = artifact.Parse(out.Bytes()); err != nil {
		tb.Fatal(err)
	}
	return a, said
}

// bare removes the tokens of model m.
func bare(set *dataset.Set, m int) *dataset.Set {
	for i := range set.Queries {
		set.InputTokens.Set(i, m, math.NaN())
		set.OutputTokens.Set(i, m, math.NaN())
	}
	return set
}

// decide routes a prompt with an artefact.
func decide(tb testing.TB, a *artifact.Artifact, o carrot.Objective) (carrot.Decision, error) {
	tb.Helper()
	static, err := embed.Default()
	if err != nil {
		tb.Fatal(err)
	}
	router, err := a.Router(static, a.Pool(nil))
	if err != nil {
		tb.Fatal(err)
	}
	return router.Route(context.Background(), carrot.Query{Text: "please about sum1 product2 root3"}, o)
}

// TestRun: the manifest says what was trained, on what and how well it did.
func TestRun(t *testing.T) {
	set := world(300, 3)
	a, said := run(t, Options{Predictor: parse(t, quickSparse), EmbedderSpec: "static", Command: "test", Licence: "CC0-1.0", Description: "invented"}, set)
	m := a.Manifest
	if said != nil || m.Format != artifact.Format || m.Embedder.Spec != "static" || m.Command != "test" || m.Licence != "CC0-1.0" || m.Description != "invented" {
		t.Errorf("manifest %+v, warned of %q", m, said)
	}
	trainable := len(table.Trainable(set))
	if len(m.Data) != 1 || m.Data[0].Queries != trainable || m.Data[0].Fingerprint != set.Fingerprint || len(m.Data[0].Sources) != 3 {
		t.Errorf("data %+v, want %d queries of 3 sources", m.Data, trainable)
	}
	if len(m.Models) != 3 || m.Models[2].Name != "large" || m.Models[2].Observed != trainable || m.Models[2].TokensP90 == nil || m.Models[2].Price == nil {
		t.Errorf("models %+v", m.Models)
	}
	if m.Metrics["queries"] != float64(trainable) || len(m.Frontier) == 0 {
		t.Errorf("metrics %v, %d points of the frontier", m.Metrics, len(m.Frontier))
	}
	if d, err := decide(t, a, carrot.Balanced); err != nil || d.Model == "" {
		t.Errorf("Route: %+v, %v", d, err)
	}
}

// TestRunJoins: several sets are joined, and each is noted.
func TestRunJoins(t *testing.T) {
	one, two := world(200, 2), world(201, 3)
	two.Name = "other"
	for i := range two.Queries {
		two.Queries[i].ID = "other/" + two.Queries[i].ID
	}
	a, _ := run(t, Options{Predictor: predict.Spec{Name: "mean"}}, one, two)
	if d := a.Manifest.Data; len(d) != 2 || d[0].Name != "synthetic" || d[1].Name != "other" || a.Manifest.Models[0].Observed != d[0].Queries+d[1].Queries {
		t.Errorf("data %+v, models %+v", d, a.Manifest.Models)
	}
}

// TestRunUnpriced: a model without tokens and costs is refused by name if others
// have them. If it is kept at an unknown cost, it is chosen only where cost does
// not matter.
func TestRunUnpriced(t *testing.T) {
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	set := bare(world(300, 3), 3)
	for i := range set.Queries {
		set.Score.Set(i, 3, 1) // the best by far
	}
	_, err = Run(t.Context(), []*dataset.Set{set}, static, Options{})
	unpriced, ok := errors.AsType[*table.UnpricedError](err)
	if !ok || !slices.Equal(unpriced.Models, []string{"large"}) || !strings.Contains(err.Error(), "keep it at an unknown cost") {
		t.Fatalf("Run = %v, want an UnpricedError that names large and what to do", err)
	}
	a, said := run(t, Options{Predictor: parse(t, quickSparse), KeepUnpriced: []string{"large"}}, set)
	if len(said) != 1 || !strings.Contains(said[0], "the router chooses large only where cost does not matter") {
		t.Errorf("warned of %q", said)
	}
	if p := a.Manifest.Frontier; len(p) == 0 || math.IsInf(p[0].USDPerQuality, 1) {
		t.Errorf("frontier %v, want points at finite prices of quality only", p)
	}
	for _, o := range []carrot.Objective{carrot.Quality, carrot.Balanced, carrot.Cheap, carrot.USDPerQuality(1e6)} {
		d, err := decide(t, a, o)
		if err != nil || d.Model == "large" || !d.Candidates[2].CostUnknown || !strings.Contains(d.Candidates[2].Excluded, "its cost is unknown") {
			t.Errorf("%v: %+v, %v", o, d, err)
		}
	}
	if d, err := decide(t, a, carrot.Mu(0)); err != nil || d.Model != "large" {
		t.Errorf("mu=0: %+v, %v, want the best quality", d, err)
	}
}

// TestRunQualityOnly: a set without any tokens and costs trains a router for
// quality only, and a warning says which objectives it has.
func TestRunQualityOnly(t *testing.T) {
	set := world(300, 3)
	for m := range set.Models {
		bare(set, m)
		set.Models[m].InputUSDPerMillion, set.Models[m].OutputUSDPerMillion = math.NaN(), math.NaN()
	}
	a, said := run(t, Options{Predictor: parse(t, quickSparse)}, set)
	if len(said) != 1 || !strings.Contains(said[0], "usd-per-quality=inf and mu=0") || len(a.Manifest.Frontier) != 0 || len(a.Manifest.Metrics) != 0 {
		t.Errorf("warned of %q, manifest %+v", said, a.Manifest)
	}
	if d, err := decide(t, a, carrot.USDPerQuality(math.Inf(1))); err != nil || d.Model == "" {
		t.Errorf("Route for quality: %+v, %v", d, err)
	}
	if _, err := decide(t, a, carrot.Balanced); !errors.Is(err, carrot.ErrNoFrontier) {
		t.Errorf("Route balanced = %v, want ErrNoFrontier", err)
	}
	if _, err := decide(t, a, carrot.USDPerQuality(0.01)); !errors.Is(err, carrot.ErrNoCandidate) {
		t.Errorf("Route at a price of quality = %v, want ErrNoCandidate", err)
	}
}

// TestRunInputUnknown: without input tokens there is no frontier, but calls can
// still be priced.
func TestRunInputUnknown(t *testing.T) {
	set := world(300, 3)
	for i := range set.InputTokens.Data {
		set.InputTokens.Data[i] = math.NaN()
	}
	a, said := run(t, Options{Predictor: parse(t, quickSparse)}, set)
	if len(said) != 1 || !strings.Contains(said[0], "its objectives are usd-per-quality= and mu=") {
		t.Errorf("warned of %q", said)
	}
	if d, err := decide(t, a, carrot.USDPerQuality(0.01)); err != nil || d.Chosen().Cost <= 0 {
		t.Errorf("Route = %+v, %v", d, err)
	}
}

func TestRunErrors(t *testing.T) {
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	held := world(20, 2)
	for i := range held.Queries {
		held.Queries[i].Split = dataset.SplitTest
	}
	if _, err := Run(t.Context(), []*dataset.Set{held}, static, Options{}); err == nil || !strings.Contains(err.Error(), "all queries are marked test") {
		t.Errorf("Run on test rows only = %v", err)
	}
	if _, err := Run(t.Context(), nil, static, Options{}); err == nil {
		t.Error("Run on no sets succeeds")
	}
}

// TestMetrics: the figures of an artefact are finite, and there are none
// without complete queries.
func TestMetrics(t *testing.T) {
	task := prepare(t, world(120, 3))
	rows := table.Trainable(task.Set)
	predictions := fit(t, task, rows, quickSparse).OutOfFold().Predictions(0)
	m := metrics(task, rows, predictions)
	for _, key := range []string{"queries", "aiq", "peak", "brier", "ece", "r2", "output_tokens_mae", "output_tokens_p90_coverage", "quality_z_variance", "gap_closed"} {
		if v, ok := m[key]; !ok || math.IsNaN(v) {
			t.Errorf("metric %s = %v, %v", key, v, ok)
		}
	}
	if got := metrics(task, nil, nil); len(got) != 0 {
		t.Errorf("metrics of no queries = %v, want none", got)
	}
}

func TestModelOf(t *testing.T) {
	nan := math.NaN()
	matrix := func(v ...float64) dataset.Matrix { return dataset.Matrix{Rows: 2, Cols: 2, Data: v} }
	task := &table.Table{Set: &dataset.Set{Queries: make([]dataset.Query, 2), Score: matrix(0, nan, 1, 0), OutputTokens: matrix(120, nan, 300, nan)},
		Candidates: []carrot.Candidate{{Name: "a"}, {Name: "b"}}}
	forecast := func(p90 float64) carrot.Prediction {
		return carrot.Prediction{Forecasts: []carrot.Forecast{{OutputTokensP90: p90}, {}}}
	}
	predictions := []carrot.Prediction{forecast(150), forecast(250)}
	if got := modelOf(task, []int{0, 1}, predictions, 0); got.Name != "a" || got.Observed != 2 || got.MeanScore != 0.5 || *got.TokensP90 != 0.5 {
		t.Errorf("modelOf = %+v, want two scores with a mean of a half, and half of the tokens within", got)
	}
	if got := modelOf(task, []int{0, 1}, predictions, 1); got.Observed != 1 || got.MeanScore != 0 || got.TokensP90 != nil {
		t.Errorf("modelOf = %+v, want one score and no tokens", got)
	}
}

// TestRunExtra: queries that were not drawn at random are trained on, and no figure comes
// from them.
func TestRunExtra(t *testing.T) {
	set := world(300, 3)
	options := Options{Predictor: parse(t, quickSparse), EmbedderSpec: "static"}
	plain, _ := run(t, options, set)
	extra := *set
	extra.Queries = slices.Clone(set.Queries)
	for i := range extra.Queries {
		if i%3 == 0 && extra.Queries[i].Split != dataset.SplitTest {
			extra.Queries[i].Split = dataset.SplitExtra
		}
	}
	extra.Fingerprint = extra.ComputeFingerprint()
	with, _ := run(t, options, &extra)
	if a, b := plain.Manifest.Data[0].Queries, with.Manifest.Data[0].Queries; a != b {
		t.Errorf("trained on %d queries, with extra ones on %d", a, b)
	}
	if a, b := plain.Manifest.Metrics["queries"], with.Manifest.Metrics["queries"]; b == 0 || b >= a {
		t.Errorf("measured on %v queries, with extra ones on %v", a, b)
	}
	if a, b := plain.Manifest.Models[0], with.Manifest.Models[0]; a.MeanScore == b.MeanScore || b.Observed >= a.Observed {
		t.Errorf("model %+v, with extra queries %+v", a, b)
	}
}
