package report

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carrot-router/carrot/eval"
)

// A report that is read and written again has the same bytes.
func TestRoundTrip(t *testing.T) {
	bare := synthetic(2)
	bare.Pairs, bare.Protocols, bare.Notes, bare.Provenance.Seed = nil, nil, nil, 1<<64-1
	for name, r := range map[string]*eval.Report{"everything": synthetic(8), "little": bare, "names": hostile("<&> \u2028 é")} {
		text := written(t, JSON, r)
		read, err := Read(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(strings.Split(text, "\n"), strings.Split(written(t, JSON, read), "\n")); diff != "" {
			t.Errorf("%s differs (-written +read and written again)\n%s", name, diff)
		}
	}
	// Infinity and NaN are both null, and nothing else changes.
	read, err := Read(strings.NewReader(written(t, JSON, synthetic(3))))
	if err != nil {
		t.Fatal(err)
	}
	equal := cmp.Comparer(func(a, b eval.Number) bool { return a == b || !finite(a) && !finite(b) })
	if diff := cmp.Diff(synthetic(3), read, equal, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("read (-want +got)\n%s", diff)
	}
}

// A file of the first version has no provenance, worth or regret. What it does not say
// is unknown, not zero.
func TestReadOlder(t *testing.T) {
	text, err := os.ReadFile("testdata/first-version.json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Read(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if l := r.Routers[0]; finite(l.AUDC) || finite(l.Arena) || l.AIQ != 0.81 {
		t.Errorf("AUDC %v and Arena %v of a file without them, AIQ %v", l.AUDC, l.Arena, l.AIQ)
	}
	for _, form := range forms {
		written(t, form.write, r)
	}
	page := written(t, forms[0].write, r)
	if strings.Contains(page, "<dt>Seed</dt>") || !strings.Contains(page, "whose number is not recorded") {
		t.Error("the page has a seed or a number of resamples that the file does not have")
	}
}

// Errors name the line and the place.
func TestReadErrors(t *testing.T) {
	whole := written(t, JSON, synthetic(2))
	change := func(old, new string) string {
		t.Helper()
		if !strings.Contains(whole, old) {
			t.Fatalf("the report has no %s", old)
		}
		return strings.Replace(whole, old, new, 1)
	}
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", "line 1: the file ends before the report does: was it cut?"},
		{"cut", whole[:len(whole)/2], "the file ends before the report does: was it cut?"},
		{"cut at its end", whole[:len(whole)-2], "the file ends before the report does: was it cut?"},
		{"text behind", whole + "{}", "not JSON: invalid character '{' after top-level value"},
		{"NaN", change(`"queries": 1200`, `"queries": NaN`), "line 6: not JSON: invalid character 'N'"},
		{"infinity", change(`"aiq": 0.79`, `"aiq": 1e999`), "routers[0].aiq: want a number within the range of float64, got 1e999"},
		{"another schema", change(eval.Schema, "carrot.eval/2"), `schema "carrot.eval/2": not a report`},
		{"schema of another type", change(`"carrot.eval/1"`, `1`), `schema 1: not a report`},
		{"no schema", `{}`, "no schema: not a report in the form carrot.eval/1"},
		{"a list", `[]`, "no schema: not a report in the form carrot.eval/1"},
		{"text for a number", change(`"aiq": 0.79`, `"aiq": "high"`), `routers[0].aiq: want a number, got "high"`},
		{"an object for a list", change(`"models": [`, `"models": {}, "notes": [`), "line 8: models: want a list, got an object"},
		{"null for a name", change(`"name": "blend"`, `"name": null`), "routers[0].name: want text, got null"},
		{"a fraction of a query", change(`"queries": 1200`, `"queries": 1.5`), "line 6: queries: want a count, got 1.5"},
		{"fewer than no queries", change(`"queries": 1200`, `"queries": -1`), "queries: want a count, got -1"},
		{"a seed below 0", change(`"seed": 7`, `"seed": -7`), "provenance.seed: want a whole number"},
		{"no queries", change(`"queries": 1200,`, ``), "report: queries: is missing"},
		{"a point without quality", change(`"usd_per_quality": null,`, `"model": "a"},{`), "routers[0].curve[0].cost_usd: is missing"},
		{"one end of the range", change(`"cost_range_usd": [`, `"cost_range_usd": [1], "notes": [`), "cost_range_usd: want 2 values, got 1"},
		{"a wrong key", change(`"aiq":`, `"aiqq":`), `routers[0].aiqq: unknown key; did you mean "aiq"?`},
		{"another case", change(`"aiq":`, `"AIQ":`), `routers[0].AIQ: unknown key; did you mean "aiq"?`},
		{"a newer key", change(`"queries":`, `"hologram": 1, "queries":`), "hologram: unknown key; was it written by a newer version?"},
		{"a key twice", change(`"queries": 1200`, `"queries": 1200, "queries": 1`), "queries: is there twice"},
		{"no name", change(`"name": "blend"`, `"name": ""`), "routers[0].name: is missing or empty"},
		{"a name twice", change(`"name": "knn"`, `"name": "blend"`), `routers[1].name: a router before it is named "blend" too`},
		{"an interval of one", change(`"aiq_ci": [`, `"aiq_ci": [1], "settings": [], "peak_ci": [`), "there twice"},
		{"a pair of a stranger", change(`"a": "blend"`, `"a": "nobody"`), `pairs[0]: there is no router "nobody"`},
		{"a protocol of a stranger", change(`"router": "blend"`, `"router": "nobody"`), `protocols.routers[0]: there is no router "nobody"`},
	} {
		r, err := Read(strings.NewReader(test.text))
		if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(test.want, "report: ")) {
			t.Errorf("%s: Read = %v, %v, want an error with %q", test.name, r, err, test.want)
		}
		if isSchema := strings.Contains(test.want, "not a report"); isSchema != errors.Is(err, ErrSchema) {
			t.Errorf("%s: errors.Is(%v, ErrSchema) = %t", test.name, err, !isSchema)
		}
	}
}

// Parts that contradict each other are errors, since everything that writes a report
// relies on them.
func TestCheck(t *testing.T) {
	for want, change := range map[string]func(*eval.Report){
		"routers: there are none":                              func(r *eval.Report) { r.Routers = nil },
		"routers[1].peak_ci: want null or two numbers, got 1":  func(r *eval.Report) { r.Routers[1].PeakCI = []eval.Number{1} },
		"routers[2].sources: has 1 source, and routers[0] has": func(r *eval.Report) { r.Routers[2].Sources = r.Routers[2].Sources[:1] },
		"traffic[1].shares: has 0 shares of 3 models":          func(r *eval.Report) { r.Routers[0].Traffic[1].Shares = nil },
		"routers[0].pair.apgr_ci: want null or two numbers":    func(r *eval.Report) { r.Routers[0].Pair = &eval.PairMetrics{APGRCI: []eval.Number{1, 2, 3}} },
		"pairs[1].ci: some pairs have intervals":               func(r *eval.Report) { r.Pairs[1].Interval = nil },
	} {
		r := synthetic(2)
		change(r)
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Read(strings.NewReader(string(data))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read = %v, want an error with %q", err, want)
		}
	}
}
