package borrow_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/internal/borrow"
	"github.com/carrot-router/carrot/price"
)

var update = flag.Bool("update", false, "rewrite the table in docs/default-router.md")

// Every row of the table names a model that the default router knows, and borrows for one
// that it does not and that has a price in the catalogue.
func TestTable(t *testing.T) {
	a, err := artifact.Default()
	if err != nil {
		t.Fatal(err)
	}
	known, book := a.Predictor.Models(), price.Default()
	for _, r := range borrow.Default().Rows {
		if !slices.Contains(known, r.Known) || slices.Contains(known, r.Model) {
			t.Errorf("%s borrows from %s, but the default router knows %v", r.Model, r.Known, known)
		}
		if e, err := book.Lookup(r.Model); err != nil || e.Name != r.Model {
			t.Errorf("%s: the catalogue has %q, %v", r.Model, e.Name, err)
		}
		if _, err := book.Price(r.Model); err != nil {
			t.Error(err)
		}
	}
	for name := range borrow.Default().Sources {
		if !slices.ContainsFunc(borrow.Default().Rows, func(r borrow.Row) bool {
			return r.Quality != nil && r.Quality.Source == name || r.OutputTokens != nil && r.OutputTokens.Source == name
		}) {
			t.Errorf("nothing is from the source %s", name)
		}
	}
}

// The page of the default router lists the table.
func TestDocs(t *testing.T) {
	const page, begin, end = "../../docs/default-router.md", "<!-- table of borrowed estimates, by go test ./internal/borrow -update -->\n", "<!-- end of the table -->\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks %q or %q", page, begin, end)
	}
	want := before + begin + "\n" + listed(t) + "\n" + end + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", page, diff)
	}
}

// listed is the table in Markdown.
func listed(t *testing.T) string {
	a, err := artifact.Default()
	if err != nil {
		t.Fatal(err)
	}
	means := map[string]float64{}
	for _, m := range a.Manifest.Models {
		means[m.Name] = m.MeanScore
	}
	table := borrow.Default()
	p := borrow.Wrap(a.Predictor, means, table).(*borrow.Predictor)
	var b strings.Builder
	figures := func(f *borrow.Figures, otherwise, form string) string {
		if f == nil {
			return otherwise
		}
		of, as := "", ""
		if f.Of != "" {
			of = f.Of + ", "
		}
		if f.KnownAs != "" {
			as = f.KnownAs + ", "
		}
		return fmt.Sprintf("%s: %s"+form+" to %s"+form+" [%s]", f.Benchmark, of, f.Model, as, f.Known, f.Source)
	}
	fmt.Fprintf(&b, "As of %s. The mean is that over the training queries.\n\n| model | borrows from | mean quality | from | output tokens | from |\n|---|---|---|---|---|---|\n", table.Date)
	for i := range table.Rows {
		r := &table.Rows[i]
		mean, se, _ := p.Mean(r.Model)
		times := 1.0
		if o := r.OutputTokens; o != nil {
			times = o.Model / o.Known
		}
		fmt.Fprintf(&b, "| %s | %s | %.3f → %.3f ± %.3f | %s | × %.3g | %s |\n", r.Model, r.Known, means[r.Known], mean, se,
			figures(r.Quality, "assumed", "%.4g"), times, figures(r.OutputTokens, "assumed", "%.0f"))
	}
	fmt.Fprintln(&b)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range table.Sources {
			if !yield(name) {
				return
			}
		}
	}) {
		s := table.Sources[name]
		fmt.Fprintf(&b, "- [%s]: %s, as of %s, <%s>\n", name, s.Title, s.Date, s.URL)
	}
	return b.String()
}

// fixed forecasts the same for any query.
type fixed struct {
	models    []string
	forecasts []carrot.Forecast
}

func (f fixed) Models() []string { return f.models }

func (f fixed) Predict(x []carrot.Representation, dst []carrot.Prediction) error {
	for i := range dst {
		dst[i].Novelty = 0.5
		dst[i].Forecasts = append(dst[i].Forecasts[:0], f.forecasts...)
	}
	return nil
}

func (f fixed) Only(models []string) carrot.Predictor {
	out := fixed{models: models}
	for _, model := range models {
		out.forecasts = append(out.forecasts, f.forecasts[slices.Index(f.models, model)])
	}
	return out
}

const example = `{"schema":"carrot.borrowed/1","date":"2026-11-30","sources":{"s":{"title":"S","url":"https://s.example","date":"2026-01-01"}},"models":[
	{"model":"as-good","known":"old"},
	{"model":"better","known":"old","quality":{"benchmark":"B","source":"s","model":0.9,"known":0.7},"output_tokens":{"benchmark":"B","source":"s","model":800,"known":400}},
	{"model":"like-better","known":"old","quality":{"benchmark":"B","source":"s","model":0.9,"known":0.7,"of":"better"}},
	{"model":"worse","known":"old","quality":{"benchmark":"B","source":"s","model":0.5,"known":0.7}},
	{"model":"of-costs","known":"costs"},
	{"model":"of-nobody","known":"nobody"},
	{"model":"unpriced","known":"old"}]}`

func wrapped(t *testing.T, f carrot.Forecast) carrot.Predictor {
	t.Helper()
	table, err := borrow.Parse([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	base := fixed{[]string{"old", "costs", "unpriced"}, []carrot.Forecast{f, {Quality: 0.5, Direct: true, CostUSD: 1, CostUSDP90: 2}, {Quality: 0.4}}}
	return borrow.Wrap(base, map[string]float64{"old": 0.8, "costs": 0.5, "unpriced": 0.4}, table)
}

func predict(t *testing.T, p carrot.Predictor) map[string]carrot.Forecast {
	t.Helper()
	dst := make([]carrot.Prediction, 2)
	for range 2 { // reusing what was there
		if err := p.Predict(make([]carrot.Representation, 2), dst); err != nil {
			t.Fatal(err)
		}
	}
	out := map[string]carrot.Forecast{}
	for i, model := range p.Models() {
		if len(dst[1].Forecasts) != len(p.Models()) {
			t.Fatalf("%d forecasts for %v", len(dst[1].Forecasts), p.Models())
		}
		out[model] = dst[1].Forecasts[i]
	}
	return out
}

// A borrowed forecast keeps a part of what the query changes for the known model, is
// shifted by the prior in its log-odds, and is never surer than the prior.
func TestForecast(t *testing.T) {
	f := carrot.Forecast{Quality: 0.7, QualitySE: 0.05, QualityNoise: 0.4, OutputTokens: 100, OutputTokensP90: 200}
	p := wrapped(t, f)
	if got, want := p.Models(), []string{"old", "costs", "unpriced", "as-good", "better", "like-better", "worse", "of-costs"}; !slices.Equal(got, want) {
		t.Fatalf("it knows %v, want %v", got, want)
	}
	got := predict(t, p)
	if got["old"] != f {
		t.Errorf("the known model's own forecast became %+v", got["old"])
	}
	kept := 0.8 + 0.82*(0.7-0.8)
	near := func(name, what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %s %.9f, want %.9f", name, what, got, want)
		}
	}
	same := got["as-good"]
	near("as-good", "quality", same.Quality, kept)
	near("as-good", "standard error", same.QualitySE, math.Hypot(0.82*0.05, 0.11))
	near("as-good", "tokens", same.OutputTokens, 100)
	near("as-good", "90% quantile of tokens", same.OutputTokensP90, 268)
	odds := 0.9 / 0.1 / (0.7 / 0.3)
	better := got["better"]
	near("better", "odds", better.Quality/(1-better.Quality), odds*kept/(1-kept))
	near("better", "tokens", better.OutputTokens, 200)
	near("better", "90% quantile of tokens", better.OutputTokensP90, 2*268)
	if better.QualitySE < 0.083 || better.QualitySE >= same.QualitySE || better.QualityNoise >= 0.4 {
		t.Errorf("better: standard error %v, noise %v", better.QualitySE, better.QualityNoise)
	}
	if like := got["like-better"]; like.Quality != better.Quality || like.QualitySE <= same.QualitySE || like.OutputTokens != 100 {
		t.Errorf("like-better: %+v, want the quality of better with a larger standard error", like)
	}
	if worse := got["worse"]; worse.Quality >= kept || worse.Quality <= 0 {
		t.Errorf("worse: quality %v, want one below %v", worse.Quality, kept)
	}
	if c := got["of-costs"]; !c.CostUnknown || c.Direct || c.CostUSD != 0 {
		t.Errorf("of-costs: %+v, want an unknown cost: that of the other model has its prices in it", c)
	}
	for _, q := range []float64{0, 1} {
		f.Quality = q
		for name, f := range predict(t, wrapped(t, f)) {
			if !(f.Quality >= 0 && f.Quality <= 1 && f.QualitySE >= 0 && f.QualitySE < 1 && f.QualityNoise >= 0 && f.QualityNoise <= 1) {
				t.Errorf("at quality %v, %s has %+v", q, name, f)
			}
		}
	}
}

// Where the known model's forecast is its mean, as for a query unlike the training data,
// the borrowed one is the mean that the prior expects.
func TestMean(t *testing.T) {
	p := wrapped(t, carrot.Forecast{Quality: 0.8}).(*borrow.Predictor)
	got := predict(t, p)
	for _, model := range []string{"as-good", "better", "worse"} {
		mean, se, ok := p.Mean(model)
		if !ok || math.Abs(mean-got[model].Quality) > 1e-12 || se != got[model].QualitySE {
			t.Errorf("%s: mean %v ± %v, %v, forecast %+v", model, mean, se, ok, got[model])
		}
	}
	if _, _, ok := p.Mean("old"); ok || p.Lender("old") != "" || p.Lender("better") != "old" {
		t.Error("a known model borrows nothing")
	}
}

// Only keeps the models that are asked for, with their forecasts and lenders.
func TestOnly(t *testing.T) {
	whole := wrapped(t, carrot.Forecast{Quality: 0.7, QualitySE: 0.05, OutputTokens: 100, OutputTokensP90: 200}).(*borrow.Predictor)
	small := whole.Only([]string{"better", "costs"}).(*borrow.Predictor)
	if got, want := small.Models(), []string{"costs", "old", "better"}; !slices.Equal(got, want) || small.Lender("better") != "old" {
		t.Errorf("it knows %v, want %v", got, want)
	}
	before, after := predict(t, whole), predict(t, small)
	for _, model := range small.Models() {
		if before[model] != after[model] {
			t.Errorf("%s: %+v became %+v", model, before[model], after[model])
		}
	}
	if _, ok := whole.Only([]string{"costs"}).(fixed); !ok {
		t.Error("without a model that borrows, the other predictor is enough")
	}
}

func TestParseErrors(t *testing.T) {
	for _, test := range []struct{ name, old, new, want string }{
		{"JSON", `{"schema"`, `{schema`, "invalid character"},
		{"more", `}]}`, `}]} {}`, "more after the table"},
		{"schema", "carrot.borrowed/1", "carrot.borrowed/2", `field schema: "carrot.borrowed/2"`},
		{"date", `"2026-11-30"`, `"today"`, `date: "today" is not a date`},
		{"unknown field", `"known":"old"}`, `"known":"old","note":1}`, "note"},
		{"no model", `"model":"as-good"`, `"model":""`, "models[0]"},
		{"twice", `"model":"worse"`, `"model":"better"`, `models[3]: model "better"`},
		{"chain", `"known":"nobody"`, `"known":"better"`, "models[5] of-nobody: known: better borrows too"},
		{"source", `"source":"s"`, `"source":"t"`, `quality: source "t" is not among the sources`},
		{"address", `https://s.example`, `s.example`, "sources: s: want a title and an address"},
		{"share", `"model":0.9`, `"model":1`, "quality: 1: want a number above 0 and below 1"},
		{"benchmark", `"benchmark":"B"`, `"benchmark":""`, "benchmark: missing"},
	} {
		text := strings.Replace(example, test.old, test.new, 1)
		if _, err := borrow.Parse([]byte(text)); text == example || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := borrow.Parse(data)
		if err != nil {
			return
		}
		base := fixed{[]string{"old"}, []carrot.Forecast{{Quality: 0.7, QualitySE: 0.1, QualityNoise: 0.4, OutputTokens: 1e6, OutputTokensP90: 1e7}}}
		for name, f := range predict(t, borrow.Wrap(base, map[string]float64{"old": 0.8}, table)) {
			if !(f.Quality >= 0 && f.Quality <= 1) || math.IsInf(f.OutputTokensP90, 0) {
				t.Errorf("%s: %+v", name, f)
			}
		}
	})
}

// For keeps the other predictor's models, and of those that borrow the ones asked for.
func TestFor(t *testing.T) {
	whole := wrapped(t, carrot.Forecast{Quality: 0.7, QualitySE: 0.05, OutputTokens: 100, OutputTokensP90: 200}).(*borrow.Predictor)
	some := whole.For([]string{"costs", "better"})
	if got, want := some.Models(), []string{"old", "costs", "unpriced", "better"}; !slices.Equal(got, want) {
		t.Errorf("it knows %v, want %v", got, want)
	}
	before, after := predict(t, whole), predict(t, some)
	for model, f := range after {
		if before[model] != f {
			t.Errorf("%s: %+v became %+v", model, before[model], f)
		}
	}
	if _, ok := whole.For([]string{"costs"}).(fixed); !ok {
		t.Error("without a model that borrows, the other predictor is enough")
	}
}
