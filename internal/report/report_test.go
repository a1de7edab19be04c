package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/eval"
)

var (
	update = flag.Bool("update", false, "write the golden files instead of comparing with them")
	render = flag.String("render", "", "a report's JSON, to write in every form beside it")
)

// forms are the forms that a report is written in, by file name extension.
var forms = []struct {
	name  string
	write func(io.Writer, *eval.Report) error
}{
	{".html", func(w io.Writer, r *eval.Report) error { return HTML(w, r, Options{}) }},
	{".domain.html", func(w io.Writer, r *eval.Report) error { return HTML(w, r, Options{OutOfDomain: r}) }},
	{".csv", CSV},
	{".md", func(w io.Writer, r *eval.Report) error { return Markdown(w, r, Options{OutOfDomain: r}) }},
	{".svg", func(w io.Writer, r *eval.Report) error { return CurvesSVG(w, r, SVGOptions{}) }},
	{".tex", func(w io.Writer, r *eval.Report) error { return LaTeX(w, r, LaTeXOptions{}) }},
	{".column.tex", func(w io.Writer, r *eval.Report) error { return LaTeX(w, r, LaTeXOptions{Column: true}) }},
	{".column.svg", func(w io.Writer, r *eval.Report) error {
		return CurvesSVG(w, r, SVGOptions{Size: sizes["column"]})
	}},
	{".linear.svg", func(w io.Writer, r *eval.Report) error {
		return CurvesSVG(w, r, SVGOptions{Linear: true, Everything: true})
	}},
}

func written(t *testing.T, write func(io.Writer, *eval.Report) error, r *eval.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestRender writes the report named by -render in every form, for inspection.
func TestRender(t *testing.T) {
	if *render == "" {
		t.Skip("no -render")
	}
	f, err := os.Open(*render)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range forms {
		if err := os.WriteFile(strings.TrimSuffix(*render, ".json")+form.name, []byte(written(t, form.write, r)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// assets matches the style and the script, which are files of their own.
var assets = regexp.MustCompile(`(?s)(<style>|<script>).*?(</style>|</script>)|sha256-[A-Za-z0-9+/=]+`)

// charts matches the charts of a page, which are long. The golden SVG covers
// curves.
var charts = regexp.MustCompile(`(?s)<svg [^>]*class="chart[^>]*>.*?</svg>`)

func TestGolden(t *testing.T) {
	for _, form := range forms {
		if form.name == ".html" || form.name == ".linear.svg" {
			continue // another form covers it
		}
		got := written(t, form.write, synthetic(3))
		if form.name == ".domain.html" {
			got = charts.ReplaceAllString(assets.ReplaceAllString(got, "$1$2"), "<svg></svg>")
		}
		path := filepath.Join("testdata", "small"+form.name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("%s differs (-want +got); go test ./internal/report -update rewrites it\n%s", path, diff)
		}
	}
}

// Equal reports give equal bytes, and so does one read back from its JSON, where
// null stands for both infinity and NaN.
func TestDeterministic(t *testing.T) {
	data, err := json.Marshal(synthetic(8))
	if err != nil {
		t.Fatal(err)
	}
	read, err := Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range forms {
		first := written(t, form.write, synthetic(8))
		if again := written(t, form.write, synthetic(8)); again != first {
			t.Errorf("%s differs from itself", form.name)
		}
		if again := written(t, form.write, read); again != first {
			t.Errorf("%s differs after a round trip through JSON:\n%s", form.name, cmp.Diff(strings.Split(first, "\n"), strings.Split(again, "\n")))
		}
	}
}

// Names are escaped in every place.
func TestHostileNames(t *testing.T) {
	for _, text := range []string{`</script><script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onload='alert(1)`, "`${alert(1)}`", `</svg><script>alert(1)</script>`,
		`]]><u>`, `<!--`, `{{.Report}}`, "a|b\n| c | d", "[x](javascript:alert(1))", "=1+1", "\u2028 \x00 \xff"} {
		r := hostile(text)
		for _, form := range forms {
			got := written(t, form.write, r)
			if form.name != ".csv" && !strings.HasSuffix(form.name, ".tex") {
				for _, bad := range []string{"<script>alert", "<img", "<u>", "<!--"} {
					if strings.Contains(got, bad) {
						t.Errorf("%s with %q has %s", form.name, text, bad)
					}
				}
			}
			switch {
			case strings.HasSuffix(form.name, ".html"):
				if visible := regexp.MustCompile(`(?s)<script.*?</script>`).ReplaceAllString(got, ""); strings.Contains(visible, `" onload=`) || strings.Contains(visible, `' onload='`) || strings.Contains(visible, `" onerror=`) {
					t.Errorf("%s with %q breaks out of an attribute", form.name, text)
				}
				if n := strings.Count(got, "<script"); n != 2 {
					t.Errorf("%s with %q has %d scripts, want 2", form.name, text, n)
				}
				if names := dataOf(t, got).Routers; names[0].Name != r.Routers[0].Name && strings.ToValidUTF8(r.Routers[0].Name, "\ufffd") != names[0].Name {
					t.Errorf("%s: the script reads %q, want %q", form.name, names[0].Name, r.Routers[0].Name)
				}
			case strings.HasSuffix(form.name, ".svg"):
				if err := wellFormed(got); err != nil && !strings.Contains(text, "\x00") {
					t.Errorf("%s with %q: %v", form.name, text, err)
				}
			case strings.HasSuffix(form.name, ".tex"):
				if err := latexStructure(got); err != nil {
					t.Errorf("%s with %q: %v", form.name, text, err)
				}
			case form.name == ".md":
				columns(t, got)
			case form.name == ".csv" && text == "=1+1" && strings.Contains(got, "\n="):
				t.Errorf("%s begins a field with a formula", form.name)
			}
		}
	}
}

// dataOf returns the data that the page's script reads.
func dataOf(t *testing.T, page string) payload {
	t.Helper()
	_, after, _ := strings.Cut(page, `<script type="application/json" id="data">`)
	text, _, _ := strings.Cut(after, "</script>")
	var p payload
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func wellFormed(svg string) error {
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// columns checks that the rows of every table have as many cells as its head.
func columns(t *testing.T, markdown string) {
	t.Helper()
	want := 0
	for line := range strings.Lines(markdown) {
		if !strings.HasPrefix(line, "|") {
			want = 0
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if want == 0 {
			want = n
		}
		if n != want {
			t.Fatalf("row with %d bars in a table with %d: %s", n, want, line)
		}
	}
}

// The page loads nothing: the only addresses in it name namespaces.
func TestNoNetwork(t *testing.T) {
	for _, form := range forms {
		got := written(t, form.write, synthetic(3))
		for _, address := range regexp.MustCompile(`[a-z]+://[^"' ]*`).FindAllString(got, -1) {
			if address != "http://www.w3.org/2000/svg" {
				t.Errorf("%s has the address %s", form.name, address)
			}
		}
		for _, pattern := range []string{`\ssrc=`, `<link`, `@import`, `url\([^#]`, `href="[^#]`, `fetch\(`, `XMLHttpRequest`} {
			if found := regexp.MustCompile(pattern).FindString(got); found != "" {
				t.Errorf("%s has %q", form.name, found)
			}
		}
	}
}

// lacking holds changes that remove parts of a report.
var lacking = map[string]func(*eval.Report){
	"no bootstrap": func(r *eval.Report) {
		r.Provenance.Bootstrap = 0
		for k := range r.Routers {
			r.Routers[k].AIQInterval, r.Routers[k].PeakCI, r.Routers[k].QNCInterval = nil, nil, nil
		}
		for k := range r.Pairs {
			r.Pairs[k].Interval = nil
		}
	},
	"no pairs":        func(r *eval.Report) { r.Pairs = nil },
	"no routers":      func(r *eval.Report) { r.Routers, r.Pairs = nil, nil },
	"references only": func(r *eval.Report) { r.Routers, r.Pairs = r.Routers[3:], nil },
	"no references":   func(r *eval.Report) { r.Routers = r.Routers[:3] },
	"no models":       func(r *eval.Report) { r.Models, r.Provenance.Prices = nil, nil },
	"calls":           func(r *eval.Report) { r.Provenance.PerCall = true },
	"free models": func(r *eval.Report) {
		r.CostRangeUSD = [2]float64{}
		for k := range r.Routers {
			for p := range r.Routers[k].Curve {
				r.Routers[k].Curve[p].CostUSD = 0
			}
		}
	},
	"no traffic": each(func(l *eval.RouterLine) { l.Traffic = nil }),
	"short traffic": each(func(l *eval.RouterLine) {
		for k := range l.Traffic {
			l.Traffic[k].Shares = nil
		}
	}),
	"no sources":     each(func(l *eval.RouterLine) { l.Sources = nil }),
	"no curve":       each(func(l *eval.RouterLine) { l.Curve = nil }),
	"no calibration": each(func(l *eval.RouterLine) { l.Calibration = nil }),
	"no bins": each(func(l *eval.RouterLine) {
		if l.Calibration != nil {
			l.Calibration.Reliability = nil
		}
	}),
	"no numbers": each(func(l *eval.RouterLine) {
		l.AIQ, l.Peak, l.QNC, l.Cost95, l.GapClosed, l.AUDC, l.Arena = nan, nan, inf, inf, nan, nan, -inf
		l.AIQInterval, l.QNCInterval = []eval.Number{nan, nan}, []eval.Number{inf, inf}
		for k := range l.Sources {
			l.Sources[k].AIQ = nan
		}
		for k := range l.Curve {
			l.Curve[k].Quality = math.NaN()
		}
		for k := range l.LearningCurve {
			l.LearningCurve[k].AIQ = nan
		}
	}),
}

func each(f func(*eval.RouterLine)) func(*eval.Report) {
	return func(r *eval.Report) {
		for k := range r.Routers {
			f(&r.Routers[k])
		}
	}
}

func TestMissing(t *testing.T) {
	bad := regexp.MustCompile(`\bNaN\b|[+-]?\bInf\b|%!`)
	for name, change := range lacking {
		r := synthetic(3)
		change(r)
		for _, form := range forms {
			got := written(t, form.write, r)
			if found := bad.FindString(assets.ReplaceAllString(got, "")); found != "" {
				t.Errorf("%s: %s has %q", name, form.name, found)
			}
			if strings.HasSuffix(form.name, ".svg") {
				if err := wellFormed(got); err != nil {
					t.Errorf("%s: %s: %v", name, form.name, err)
				}
			}
		}
	}
}

// The page stays small with twenty routers whose settings all reach different
// points.
func TestSize(t *testing.T) {
	r := synthetic(20)
	for k := range r.Routers {
		for p := range r.Routers[k].Curve {
			r.Routers[k].Curve[p].Quality += 1e-5 * float64(p)
		}
	}
	if n := len(written(t, forms[0].write, r)); n > 1_500_000 {
		t.Errorf("the page of 20 routers has %d bytes, want at most 1,500,000", n)
	}
}

// TestExternal: a router of another program is marked in every form. One that has points
// is shown as points, and nobody is said to be ahead of it.
func TestExternal(t *testing.T) {
	r := synthetic(3)
	r.Routers[0].External = &eval.PredictionsFile{File: "mine.jsonl", SHA256: "0123"}
	points := &r.Routers[2]
	points.External, points.AIQ, points.AIQInterval = r.Routers[0].External, nan, nil
	points.Curve = []eval.CurvePoint{
		{USDPerQuality: nan, CostUSD: 0.001, Quality: 0.78, Setting: "0.5"},
		{USDPerQuality: nan, CostUSD: 0.002, Quality: 0.81, Setting: "0.9"},
	}
	var pairs []eval.Pair
	for _, p := range r.Pairs {
		if p.A != points.Name && p.B != points.Name {
			pairs = append(pairs, p)
		}
	}
	r.Pairs = pairs
	page := written(t, func(w io.Writer, r *eval.Report) error { return Markdown(w, r, Options{}) }, r)
	for _, want := range []string{
		"blend is the best learned router by AIQ (0.7900), but the other one cannot be told apart from it.",
		"It is external: on which queries it was fitted cannot be checked.",
		"another program made its predictions (mine.jsonl)",
		"| a-rival | 0.5 | 1.00 | 0.7800 |",
		"| a-rival | 0.9 | 2.00 | 0.8100 |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%.3000s", want, page)
		}
	}
	drawing := written(t, func(w io.Writer, r *eval.Report) error { return CurvesSVG(w, r, SVGOptions{Everything: true}) }, r)
	_, curve, ok := strings.Cut(drawing, `data-r="2">`)
	curve, _, _ = strings.Cut(curve, "</g>")
	if !ok || strings.Contains(curve, "line") || strings.Count(curve, `class="mark"`) != 2 {
		t.Errorf("the points are drawn as %s", curve)
	}
	html := written(t, func(w io.Writer, r *eval.Report) error { return HTML(w, r, Options{}) }, r)
	if !strings.Contains(html, `"setting: 0.5"`) {
		t.Error("the page's data lack the settings of the points")
	}
	rows, err := csv.NewReader(strings.NewReader(written(t, CSV, r))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := slices.Index(rows[0], "external")
	for k, row := range rows[1:] {
		if got, want := row[column] == "true", k == 0 || k == 2; got != want {
			t.Errorf("CSV: external is %t in %s", got, row)
		}
	}
}
