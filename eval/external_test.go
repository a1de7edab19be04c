package eval

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
)

// external returns the contender of a file of predictions.
func externalOf(tb testing.TB, name, text string) Contender {
	tb.Helper()
	c, err := External(name, strings.NewReader(text), "folder/p.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// candidateLine is how another program writes its predictions.
type candidateLine struct {
	ID         string           `json:"id"`
	Candidates []map[string]any `json:"candidates"`
}

// outside does what another program does: it reads the folds, fits a router on the
// others for each of them, and writes what it predicts.
func outside(t *testing.T, set *dataset.Set, o Options, cost func(i, m int, p *carrot.Prediction) (key string, value float64)) string {
	t.Helper()
	folds, err := Folds(set, o)
	if err != nil {
		t.Fatal(err)
	}
	row := map[string]int{}
	for i, q := range set.Queries {
		row[q.ID] = i
	}
	all := world(t, len(set.Queries))
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	for held := range 1 + slices.MaxFunc(folds, func(a, b Fold) int { return a.Fold - b.Fold }).Fold {
		var fit []int
		for _, f := range folds {
			if f.Fold != held {
				fit = append(fit, row[f.ID])
			}
		}
		p, err := fitByWord(t.Context(), all, fit, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range folds {
			if f.Fold != held {
				continue
			}
			i := row[f.ID]
			predictions := make([]carrot.Prediction, 1)
			if err := p.Predict(all.X[i:i+1], predictions); err != nil {
				t.Fatal(err)
			}
			line := candidateLine{ID: f.ID}
			for m, name := range p.Models() {
				if name != "another" { // a model of its own, which the data do not have
					key, value := cost(i, slices.Index(all.ModelNames(), name), &predictions[0])
					line.Candidates = append(line.Candidates, map[string]any{"name": name, "quality": predictions[0].Forecasts[m].Quality, key: value})
				}
			}
			if err := encoder.Encode(line); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out.String()
}

// TestExternalCurve: a router that another program fits on our folds has the figures
// that it has when it is fitted here, whether it gives tokens or the costs that follow
// from them.
func TestExternalCurve(t *testing.T) {
	all := world(t, 400)
	set := all.Set
	for _, o := range []Options{{Folds: 3}, {LeaveSourcesOut: true}} {
		tokens := outside(t, set, o, func(_, _ int, p *carrot.Prediction) (string, float64) {
			return "output_tokens", p.Forecasts[0].OutputTokens + p.Forecasts[1].OutputTokens - 100
		})
		costs := outside(t, set, o, func(i, m int, _ *carrot.Prediction) (string, float64) {
			return "cost_usd", all.PredictedCost(i, m, &carrot.Forecast{OutputTokens: 100})
		})
		o.Bootstrap = 30
		o.Contenders = []Contender{{Name: "here", Fit: fitByWord}, externalOf(t, "tokens", tokens), externalOf(t, "costs", costs)}
		r := evaluate(t, set, o)
		here := line(t, r, "here")
		for _, name := range []string{"tokens", "costs"} {
			got := line(t, r, name)
			if got.External == nil || got.External.File != "p.jsonl" || len(got.External.SHA256) != 64 || here.External != nil {
				t.Errorf("%s: external %+v, here %+v", name, got.External, here.External)
			}
			if p90 := got.Calibration.OutputTokensP90; !math.IsNaN(float64(p90)) {
				t.Errorf("%s: %v of the answers are within the 90%% quantile, which the file does not have", name, p90)
			}
			if name == "costs" && !math.IsNaN(float64(got.Calibration.OutputTokensMAE)) {
				t.Errorf("costs: an error of output tokens %v, which the file does not have", got.Calibration.OutputTokensMAE)
			}
			want := here
			want.Name, want.External, want.Calibration = name, got.External, got.Calibration
			if diff := cmp.Diff(want, got, equalNumbers); diff != "" {
				t.Errorf("%s has other figures than here (-here +%[1]s):\n%s", name, diff)
			}
			if got.Calibration.Brier != here.Calibration.Brier || got.Calibration.CostBias != here.Calibration.CostBias {
				t.Errorf("%s: calibration %+v, here %+v", name, got.Calibration, here.Calibration)
			}
			if !slices.ContainsFunc(r.Notes, func(n string) bool {
				return strings.HasPrefix(n, name+" is external") && strings.Contains(n, "cannot be checked")
			}) {
				t.Errorf("notes %q do not say that %s is external", r.Notes, name)
			}
		}
	}
}

// TestExternalPoints: a router that says which model it chooses has a point for each
// of its settings, and no AIQ.
func TestExternalPoints(t *testing.T) {
	set := world(t, 300).Set
	var text strings.Builder
	for i, q := range set.Queries { // also of those marked test, which are not measured here
		fmt.Fprintf(&text, `{"id":%q,"setting":"all large","model":"large"}`+"\n", q.ID)
		fmt.Fprintf(&text, `{"id":%q,"setting":0.5,"model":%q}`+"\n", q.ID, []string{"small", "large"}[i%2])
		fmt.Fprintf(&text, `{"id":%q,"setting":"all small","model":"small"}`+"\n", q.ID)
	}
	r := evaluate(t, set, Options{Folds: 3, Bootstrap: 20, LearningCurve: true, Contenders: []Contender{externalOf(t, "mine", text.String()), Predictor("sparse", spec(t, quick))}})
	mine := line(t, r, "mine")
	var settings []string
	for _, p := range mine.Curve {
		settings = append(settings, p.Setting)
	}
	if want := []string{"all large", "0.5", "all small"}; !slices.Equal(settings, want) {
		t.Errorf("settings %q, want %q", settings, want)
	}
	alone := map[string]CurvePoint{}
	for _, p := range line(t, r, "zero-router").Curve {
		alone[p.Model] = p
	}
	for k, model := range map[int]string{0: "large", 2: "small"} {
		if got, want := mine.Curve[k], alone[model]; math.Abs(got.CostUSD-want.CostUSD) > 1e-12 || math.Abs(got.Quality-want.Quality) > 1e-12 {
			t.Errorf("setting %s: %+v, but %s alone has %+v", got.Setting, got, model, want)
		}
	}
	if !math.IsNaN(float64(mine.AIQ)) || mine.AIQInterval != nil || mine.Calibration != nil || mine.Worth != "setting" || len(mine.PeakCI) != 2 {
		t.Errorf("AIQ %v in %v, calibration %v, worth %q, interval of the peak %v", mine.AIQ, mine.AIQInterval, mine.Calibration, mine.Worth, mine.PeakCI)
	}
	for _, p := range r.Pairs {
		if p.A == "mine" || p.B == "mine" {
			t.Errorf("a difference of AIQ for %s and %s", p.A, p.B)
		}
	}
	var printed strings.Builder
	if err := errors.Join(r.WriteText(&printed), r.WriteDetails(&printed)); err != nil || !strings.Contains(printed.String(), "mine has no learning curve") {
		t.Errorf("WriteText: %v\n%s", err, &printed)
	}
}

// TestExternalGzip: a file may be gzipped, and its hash is that of the file as it is.
func TestExternalGzip(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, `{"id":"1","setting":"a","model":"small"}`)
	z.Close()
	whole := zipped.Bytes()
	c, err := External("x", bytes.NewReader(whole), "p.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	plain := externalOf(t, "x", `{"id":"1","setting":"a","model":"small"}`)
	if c.external().sha256 == plain.external().sha256 {
		t.Error("the hash is that of the text, want that of the file")
	}
	if _, err := External("x", bytes.NewReader(whole[:len(whole)-4]), "p.jsonl.gz"); err == nil || !strings.Contains(err.Error(), "p.jsonl.gz:1: gzip data is cut short") {
		t.Errorf("External of a file that is cut short = %v", err)
	}
}

// TestExternalSyntax: what is wrong in a file, and on which line.
func TestExternalSyntax(t *testing.T) {
	const good = `{"id":"1","candidates":[{"name":"small","quality":1,"cost_usd":0}]}` + "\n"
	f := func(text, want string) {
		t.Helper()
		_, err := External("x", strings.NewReader(text), "p.jsonl")
		bad, ok := errors.AsType[*dataset.FormatError](err)
		if !ok || bad.Error() != want || bad.Hint == "" {
			t.Errorf("External of %s = %v, want %s and a hint", text, err, want)
		}
	}
	f("", "p.jsonl: holds no prediction")
	f("\n[1]", "p.jsonl:2: is not a JSON object")
	f(`{"id":"1"`, "p.jsonl:1: is not valid JSON: the line ends inside the object")
	f(good+"{}", "p.jsonl:2: field id: is missing or empty")
	f(`{"id":1}`, "p.jsonl:1: field id: is not a text")
	f(`{"ID":"1"}`, `p.jsonl:1: field "ID": is not a field of a prediction`)
	f(`{"id":"1","id":"2"}`, "p.jsonl:1: field id: is given twice")
	f(`{"id":"1"}`, "p.jsonl:1: field setting: is missing or empty, and so are the candidates")
	f(`{"id":"1","setting":"a"}`, "p.jsonl:1: field model: is missing or empty")
	f(`{"id":"1","setting":"\u001b[2J","model":"small"}`, `p.jsonl:1: field setting: "\x1b[2J" is longer than 1024 bytes or holds a control character`)
	f(`{"id":"1","setting":true,"model":"small"}`, "p.jsonl:1: field setting: is neither a text nor a number")
	f(`{"id":"1","setting":"a","candidates":[]}`, "p.jsonl:1: has both candidates, which give a curve, and a setting or a model, which give a point")
	f(good+`{"id":"2","setting":"a","model":"small"}`, "p.jsonl:2: has a setting, but line 1 has candidates")
	f(`{"id":"2","setting":"a","model":"small"}`+"\n"+good, "p.jsonl:2: has candidates, but line 1 has a setting")
	f(good+"\n"+good, `p.jsonl:3: field id: "1" repeats line 1`)
	f(strings.Repeat(`{"id":"2","setting":"a","model":"small"}`+"\n", 2), `p.jsonl:2: field id: "2" repeats line 1 with the same setting "a"`)
	f(good+good[:20], "p.jsonl:2: is not valid JSON: the line ends inside the object")
	f(strings.TrimSpace(good)+" {}", "p.jsonl:1: text follows the JSON object")
	f("\xff", "p.jsonl:1: byte 1 of the line (0xff) is not UTF-8")
	candidate := func(text, want string) {
		t.Helper()
		f(good+`{"id":"2","candidates":`+text+`}`, "p.jsonl:2: "+want)
	}
	candidate(`{}`, "field candidates: is not a list")
	candidate(`[1]`, "field candidates[0]: is not a JSON object")
	candidate(`[{"quality":1}]`, "field candidates[0].name: is missing or empty")
	candidate(`[{"name":"small"}]`, "field candidates[0].quality: is missing")
	candidate(`[{"name":"small","quality":1},{"name":"small","quality":1}]`, `field candidates[1].name: "small" is given twice`)
	candidate(`[{"name":"small","quality":1,"cost":1}]`, `field candidates[0]."cost": is not a field of a candidate`)
	candidate(`[{"name":"small","quality":1,"quality":1}]`, "field candidates[0].quality: is given twice")
	candidate(`[{"name":"small","quality":1.01}]`, `field candidates[0].quality: "1.01" is out of range: want a quality from 0 to 1`)
	candidate(`[{"name":"small","quality":"1"}]`, "field candidates[0].quality: is not a number: want a quality from 0 to 1")
	candidate(`[{"name":"small","quality":1e999}]`, `field candidates[0].quality: "1e999" is out of range: want a quality from 0 to 1`)
	candidate(`[{"name":"small","quality":null}]`, "field candidates[0].quality: is not a number: want a quality from 0 to 1")
	candidate(`[{"name":"small","quality":1,"cost_usd":-1}]`, `field candidates[0].cost_usd: "-1" is out of range: want a cost in USD from 0 to 1e6`)
	candidate(`[{"name":"small","quality":1,"output_tokens":1e10}]`, `field candidates[0].output_tokens: "1e10" is out of range: want a number of tokens from 0 to 1e7`)
	candidate(`[{"name":"small","quality":1,"cost_usd":1,"output_tokens":1}]`, "field candidates[0]: has both cost_usd and output_tokens: give one, as a cost follows from tokens")
	_, err := External("x", strings.NewReader(`{"id":"2","candidates":[{"name":"small","quality":NaN}]}`), "p.jsonl")
	if bad, ok := errors.AsType[*dataset.FormatError](err); !ok || !strings.Contains(bad.Hint, "JSON has no NaN") {
		t.Errorf("External of NaN = %v", err)
	}
	var many strings.Builder
	for s := range maxSettings + 1 {
		fmt.Fprintf(&many, `{"id":"1","setting":%d,"model":"small"}`+"\n", s)
	}
	f(many.String(), "p.jsonl:1001: field setting: there are more than 1000")
}

// TestExternalContent: what does not fit the data is an error, and not a router that
// is left out.
func TestExternalContent(t *testing.T) {
	set := world(t, 60).Set
	set.Models = append(set.Models, dataset.Model{Name: "retired"})
	for _, m := range []*dataset.Matrix{&set.Score, &set.InputTokens, &set.OutputTokens} {
		wide := dataset.NewMatrix(m.Rows, 4)
		for i := range m.Rows {
			copy(wide.Row(i), m.Row(i))
		}
		*m = wide
	}
	const all = `{"name":"retired","quality":0},{"name":"small","quality":0.5,"cost_usd":0},{"name":"middle","quality":0.5,"output_tokens":3},{"name":"large","quality":0.5,"output_tokens":3}`
	lines := func(line func(id string) string) []string {
		var out []string
		for _, q := range set.Queries {
			out = append(out, line(q.ID))
		}
		return out
	}
	curve := lines(func(id string) string { return fmt.Sprintf(`{"id":%q,"candidates":[%s]}`, id, all) })
	points := lines(func(id string) string { return fmt.Sprintf(`{"id":%q,"setting":"a","model":"small"}`, id) })
	first := set.Rows(dataset.SplitTest)[0]
	o := Options{Bootstrap: 3}
	good := func(text []string, o Options) {
		t.Helper()
		o.Contenders = []Contender{externalOf(t, "x", strings.Join(text, "\n"))}
		evaluate(t, set, o)
	}
	bad := func(want string, text []string, at int, old, new string, o Options) {
		t.Helper()
		text = slices.Clone(text)
		if !strings.Contains(text[at], old) {
			t.Fatalf("line %s lacks %s", text[at], old)
		}
		if text[at] = strings.Replace(text[at], old, new, 1); text[at] == "" {
			text = slices.Delete(text, at, at+1)
		}
		o.Contenders = []Contender{externalOf(t, "x", strings.Join(text, "\n"))}
		if _, err := tryEvaluate(t, set, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run = %v, want an error that says %s", err, want)
		}
	}
	at := fmt.Sprintf("folder/p.jsonl:%d: ", first+1)
	good(curve, o)
	good(points, o)
	good(curve, Options{Pair: []string{"small", "large"}, CountCalls: "large"})
	bad(`x: folder/p.jsonl: no prediction for query "`+set.Queries[first].ID+`"; 1 of `, curve, first, curve[first], "", o)
	bad(`folder/p.jsonl:60: field id: "no" is not the id of a query of synthetic`, curve, 59, `"59"`, `"no"`, o)
	bad(`folder/p.jsonl:3: field candidates[1].name: "tiny" is not in models.json of synthetic`, curve, 2, "small", "tiny", o)
	bad(at+`field candidates: has no model "small", which is in the pool`, curve, first, `{"name":"small","quality":0.5,"cost_usd":0},`, "", o)
	bad(at+"field candidates[1]: has neither cost_usd nor output_tokens", curve, first, `,"cost_usd":0`, "", o)
	bad(at+`field model: "retired" is not in the pool`, points, first, "small", "retired", o)
	bad(at+`field model: "middle" is not in the pool`, points, first, "small", "middle", Options{Pair: []string{"small", "large"}})
	second := set.Rows(dataset.SplitTest)[1]
	bad(`setting "a": no prediction for query "`+set.Queries[second].ID+`"; 1 of `, points, second, `"a"`, `"b"`, o)
	bad(`folder/p.jsonl:3: field model: "tiny" is not in models.json of synthetic`, points, 2, "small", "tiny", o)
	set.CostUSD = dataset.NewMatrix(len(set.Queries), 4)
	for i := range set.Queries {
		set.CostUSD.Set(i, 1, 0.001)
		set.OutputTokens.Set(i, 1, math.NaN())
	}
	set.Models[1].InputUSDPerMillion, set.Models[1].OutputUSDPerMillion = math.NaN(), math.NaN()
	bad(at+`field candidates[2]: has output_tokens, but "middle" has no price for tokens: give cost_usd`, curve, first, "", "", o)
}

// TestFolds: folds cover the queries that are not marked test, are those that Run
// holds out, and keep equal prompts together.
func TestFolds(t *testing.T) {
	set := world(t, 200).Set
	folds, err := Folds(set, Options{Folds: 4})
	if err != nil {
		t.Fatal(err)
	}
	k := 0
	for _, q := range set.Queries {
		if q.Split == dataset.SplitTest {
			continue
		}
		if want := (Fold{ID: q.ID, Fold: dataset.Fold(q.Prompt, 4)}); folds[k] != want {
			t.Errorf("fold %+v, want %+v", folds[k], want)
		}
		k++
	}
	if k != len(folds) {
		t.Errorf("%d folds for %d queries", len(folds), k)
	}
	sources := map[int]string{}
	folds, err = Folds(set, Options{LeaveSourcesOut: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folds {
		if s, ok := sources[f.Fold]; ok && s != f.Source || f.Source == "" {
			t.Errorf("fold %d has the sources %q and %q", f.Fold, s, f.Source)
		}
		sources[f.Fold] = f.Source
	}
	if len(sources) != 3 {
		t.Errorf("sources %v, want three", sources)
	}
	for _, o := range []Options{{}, {Folds: 1}, {Folds: 2, LeaveSourcesOut: true}} {
		if _, err := Folds(set, o); err == nil {
			t.Errorf("Folds(%d, %t): no error", o.Folds, o.LeaveSourcesOut)
		}
	}
}

// FuzzExternal: no file of predictions makes the reader panic, and what it reads is
// within bounds.
func FuzzExternal(f *testing.F) {
	f.Add([]byte(`{"id":"1","candidates":[{"name":"small","quality":0.5,"cost_usd":0.1},{"name":"large","quality":1,"output_tokens":30}]}`))
	f.Add([]byte(`{"id":"1","setting":0.5,"model":"small"}` + "\n" + `{"id":"2","setting":0.5,"model":"small"}`))
	f.Add([]byte(`{"id":"1","candidates":[{"name":"small","quality":NaN}]}`))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := External("x", bytes.NewReader(data), "p.jsonl")
		if err != nil {
			return
		}
		x := c.external()
		if len(x.lines) != len(x.number) || x.forecasts != nil && len(x.forecasts) != len(x.lines) || (x.forecasts == nil) != (len(x.settings) > 0) {
			t.Fatalf("%d ids on %d lines, %d forecasts, %d settings", len(x.number), len(x.lines), len(x.forecasts), len(x.settings))
		}
		for _, candidates := range x.forecasts {
			for _, p := range candidates {
				if !(p.quality >= 0 && p.quality <= 1) || p.costUSD < 0 || p.outputTokens < 0 || math.IsInf(p.costUSD, 0) || math.IsInf(p.outputTokens, 0) || x.models[p.model] == "" {
					t.Fatalf("forecast %+v", p)
				}
			}
		}
		for at, c := range x.choices {
			if at.setting >= len(x.settings) || at.id >= len(x.lines) || x.models[c.model] == "" {
				t.Fatalf("choice %+v of %+v", c, at)
			}
		}
	})
}
