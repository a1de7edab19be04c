package report

import (
	"encoding/csv"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/eval"
)

func names(r *eval.Report) (out []string) {
	for _, l := range r.Routers {
		out = append(out, l.Name)
	}
	return out
}

// The named routers are in the order given, with the references after them; pairs are
// seen from the one that is before the other.
func TestSelect(t *testing.T) {
	whole := synthetic(5)
	before := written(t, JSON, whole)
	r, err := Select(whole, []string{"rival-4", "knn", "mean"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"rival-4", "knn", meanName, singleName, zeroName, oracleName}, names(r)); diff != "" {
		t.Errorf("routers (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"blend", "a-rival", "rival-3"}, r.Omitted); diff != "" {
		t.Errorf("omitted (-want +got)\n%s", diff)
	}
	at := slices.IndexFunc(whole.Pairs, func(p eval.Pair) bool { return p.A == "knn" && p.B == "rival-4" })
	p := whole.Pairs[at]
	want := eval.Pair{A: "rival-4", B: "knn", AIQDiff: -p.AIQDiff, Interval: []eval.Number{-p.Interval[1], -p.Interval[0]}}
	if diff := cmp.Diff(want, r.Pairs[0]); diff != "" {
		t.Errorf("the first pair (-want +got)\n%s", diff)
	}
	if n := len(r.Pairs); n != 5 { // with each other, and each with mean and the zero router
		t.Errorf("%d pairs, want 5: %v", n, r.Pairs)
	}
	if n := len(r.Protocols.Routers); n != 1 || r.Protocols.Routers[0].Router != "knn" {
		t.Errorf("protocols of %v, want those of knn", r.Protocols.Routers)
	}
	if written(t, JSON, whole) != before {
		t.Error("Select changes the report that it selects from")
	}
	all, err := Select(whole, []string{"blend", "knn", "a-rival", "rival-3", "rival-4"})
	if err != nil || written(t, JSON, all) != before {
		t.Errorf("a selection of everything differs (%v)", err)
	}
	again, err := Select(r, []string{"knn"})
	if err != nil || !slices.Equal(again.Omitted, []string{"blend", "a-rival", "rival-3", "rival-4"}) {
		t.Errorf("a selection from a selection omits %q, %v", again.Omitted, err)
	}
	for name, want := range map[string]string{
		"kn":      `no router "kn" in the report: did you mean "knn"?`,
		"nothing": `no router "nothing" in the report: want one of blend, knn, `,
		"":        `no router "" in the report: want one of blend, `,
	} {
		if _, err := Select(whole, []string{name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Select(%q) = %v, want %q", name, err, want)
		}
	}
	if _, err := Select(whole, []string{"knn", "knn"}); err == nil || !strings.Contains(err.Error(), `"knn" is named twice`) {
		t.Errorf("Select(knn, knn) = %v", err)
	}
	if _, err := Select(r, []string{"blend"}); err == nil || !strings.Contains(err.Error(), "was left out when this file was made") {
		t.Errorf("Select of an omitted router = %v", err)
	}
}

// A selection keeps its order in every form, says that it is one, and claims nothing
// about routers that it does not show.
func TestSelectedForms(t *testing.T) {
	r, err := Select(synthetic(5), []string{"rival-4", "knn"}) // knn has the higher AIQ
	if err != nil {
		t.Fatal(err)
	}
	const omitted = "blend, a-rival and rival-3"
	html := written(t, func(w io.Writer, r *eval.Report) error {
		return HTML(w, r, Options{InOrder: true, OutOfDomain: synthetic(5)})
	}, r)
	markdown := written(t, func(w io.Writer, r *eval.Report) error {
		return Markdown(w, r, Options{InOrder: true, OutOfDomain: synthetic(5)})
	}, r)
	latex := written(t, func(w io.Writer, r *eval.Report) error { return LaTeX(w, r, LaTeXOptions{InOrder: true}) }, r)
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for form, has := range map[string][]string{
		html:          {"Of the routers shown, knn is the best learned router", omitted, "Selected routers", "In the order asked for"},
		markdown:      {"Of the routers shown, knn is the best learned router", omitted, "## Selected routers"},
		latex:         {"Measured in the same run and not shown: " + omitted},
		text.String(): {"note: measured in the same run and not shown: blend, a-rival, rival-3"},
	} {
		for _, want := range has {
			if !strings.Contains(form, want) {
				t.Errorf("no %q in\n%.3000s", want, form)
			}
		}
	}
	svg := written(t, func(w io.Writer, r *eval.Report) error { return CurvesSVG(w, r, SVGOptions{InOrder: true}) }, r)
	if !strings.Contains(svg, ">1 rival-4<") || !strings.Contains(svg, ">2 knn<") || strings.Contains(svg, "blend") {
		t.Error("the drawing does not number the routers in the order given")
	}
	// Every table of Markdown and LaTeX, out of domain too.
	_, tables, _ := strings.Cut(markdown, "## Selected routers")
	for _, table := range append(strings.Split(tables, "\n\n|"), latex) {
		first, second := strings.Index(table, "\n| rival-4 |"), strings.Index(table, "\n| knn |")
		if first >= 0 && second >= 0 && first > second || strings.Contains(table, "\n| blend |") {
			t.Errorf("another order, or more routers, in\n%s", table)
		}
	}
	if a, b := strings.Index(latex, "\nrival-4 &"), strings.Index(latex, "\nknn &"); a < 0 || b < a {
		t.Errorf("another order in\n%s", latex)
	}
}

// Every form has the results by the paper's protocol if they were asked for, and
// nothing about it otherwise.
func TestProtocolEverywhere(t *testing.T) {
	with, without := synthetic(3), synthetic(3)
	with.Protocols.Routers[0].Paper.Cost = 0.3141
	without.Protocols = nil
	for _, form := range forms {
		want := map[bool]string{true: "31.4%", false: "0.3141"}[form.name != ".csv"]
		if strings.HasSuffix(form.name, ".tex") {
			want = `31.4\%`
		}
		if text := written(t, form.write, with); !strings.Contains(text, want) {
			t.Errorf("%s lacks the cost by the paper's protocol, %s", form.name, want)
		}
		if text := written(t, form.write, without); strings.Contains(text, "aper's protocol") || strings.Contains(text, "mu=0.42") {
			t.Errorf("%s has the paper's protocol although it was not asked for", form.name)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(written(t, CSV, with))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got := rows[1][slices.Index(rows[0], "paper_routed_accuracy"):]
	if diff := cmp.Diff([]string{"0.84", "1.001", "0.3141", "mu=0.42", "0.84", "0.99", "0.55", "usd-per-quality=0.01"}, got); diff != "" {
		t.Errorf("CSV (-want +got)\n%s", diff)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{"column": sizes["column"], "page": sizes["page"], "800x450": {Width: 800, Height: 450}} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "800", "800x", "800 x 450", "-800x450", "10x10", "800x1000000", "800x450px", "columns", "NaNxNaN"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %v, want an error", text, got)
		}
	}
}

// A drawing is as large as asked for, with all its text inside.
func TestSVGSize(t *testing.T) {
	plain := synthetic(3)
	plain.Protocols = nil
	for _, test := range []struct {
		size Size
		r    *eval.Report
		want string
	}{
		{Size{}, plain, `width="960" height="540"`},
		{Size{}, synthetic(3), `width="960" height="636"`},
		{sizes["page"], plain, `width="760" height="400"`},
		{Size{Width: 800, Height: 450}, synthetic(3), `width="800" height="450"`},
		{Size{Width: 300, Height: 600}, synthetic(3), `width="300" height="600"`},
	} {
		got := written(t, func(w io.Writer, r *eval.Report) error { return CurvesSVG(w, r, SVGOptions{Size: test.size}) }, test.r)
		if !strings.Contains(got[:200], test.want) {
			t.Errorf("size %v: %.120s, want %s", test.size, got, test.want)
		}
	}
	column := written(t, func(w io.Writer, r *eval.Report) error { return CurvesSVG(w, r, SVGOptions{Size: sizes["column"]}) }, plain)
	for _, want := range []string{">1 blend<", ">2 knn<", ">3 a-rival<", ">zero-router<", ">oracle<"} {
		if !strings.Contains(column, want) {
			t.Errorf("a column's drawing does not name %s", want)
		}
	}
}

// Learning curves need not have the same sizes: each figure is under its own.
func TestLearningSizes(t *testing.T) {
	r := synthetic(2)
	r.Routers[1].LearningCurve = []eval.LearningPoint{{Queries: 1000, AIQ: 0.7654}}
	got := written(t, func(w io.Writer, r *eval.Report) error { return Markdown(w, r, Options{}) }, r)
	if want := "| knn | – | 0.7654 |"; !strings.Contains(got, want) {
		t.Errorf("no %q in the table of learning curves", want)
	}
	columns(t, got)
}

// Every table can be scrolled and focused, has a label, and has the edges that show
// that there is more; no script is needed.
func TestTablesScroll(t *testing.T) {
	page := written(t, func(w io.Writer, r *eval.Report) error { return HTML(w, r, Options{}) }, synthetic(3))
	tables, regions := strings.Count(page, "<table"), strings.Count(page, `<div class="scroll" tabindex="0" role="region" aria-label="`)
	if tables < 8 || regions != tables || strings.Count(page, `"><i class="before"></i><table`) != tables || strings.Count(page, `</table><i class="after"></i></div>`) != tables {
		t.Errorf("%d tables in %d regions", tables, regions)
	}
	if strings.Contains(page, `aria-label=""`) {
		t.Error("a region has no label")
	}
	if strings.Contains(asset("report.js"), "scroll") {
		t.Error("the script takes part in scrolling")
	}
}
