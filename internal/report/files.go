package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"

	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/svg"
)

// CSV writes a row for every router, in the report's order. A field is empty if
// its figure is missing or was never reached, or if there is no interval; those of the
// paper's protocol are empty unless it was asked for. A name that a spreadsheet would
// take for a formula is prefixed with an apostrophe.
func CSV(w io.Writer, r *eval.Report) error {
	b := newBoard(r, Options{})
	protocols := map[string]eval.Protocol{}
	if r.Protocols != nil {
		for _, p := range r.Protocols.Routers {
			protocols[p.Router] = p
		}
	}
	out := csv.NewWriter(w)
	rows := [][]string{{"dataset", "split", "queries", "router", "reference", "forecasts", "group", "aiq", "aiq_low", "aiq_high", "peak", "peak_low", "peak_high",
		"qnc", "qnc_low", "qnc_high", "cost95", "gap_closed", "audc", "routerarena_best", "brier", "ece", "r2", "output_tokens_relative_mae", "cost_relative_mae", "external",
		"paper_routed_accuracy", "paper_quality_of_best_single", "paper_cost_of_best_single", "paper_setting",
		"ours_routed_accuracy", "ours_quality_of_best_single", "ours_cost_of_best_single", "ours_setting"}}
	for k := range r.Routers {
		l := &r.Routers[k]
		group := ""
		if g, ok := b.groups[l.Name]; ok && b.intervals() {
			group = letter(g)
		}
		fields := []string{harmless(r.Dataset), harmless(r.Split), fmt.Sprint(r.Queries), harmless(l.Name), fmt.Sprint(isReference(l.Name)), harmless(l.Worth), group}
		fields = append(fields, withInterval(l.AIQ, l.AIQInterval)...)
		fields = append(fields, withInterval(l.Peak, l.PeakCI)...)
		fields = append(fields, withInterval(l.QNC, l.QNCInterval)...)
		fields = append(fields, field(l.Cost95), field(l.GapClosed), field(l.AUDC), field(l.Arena))
		if c := l.Calibration; c != nil {
			fields = append(fields, field(c.Brier), field(c.ECE), field(c.R2), field(c.OutputTokensRelativeMAE), field(c.CostRelativeMAE))
		} else {
			fields = append(fields, "", "", "", "", "")
		}
		fields = append(fields, fmt.Sprint(l.External != nil))
		if p, ok := protocols[l.Name]; ok {
			for _, line := range []eval.ProtocolLine{p.Paper, p.Ours} {
				fields = append(fields, field(line.RoutedAccuracy), field(line.Quality), field(line.Cost), harmless(line.Setting))
			}
		} else {
			fields = append(fields, "", "", "", "", "", "", "", "")
		}
		rows = append(rows, fields)
	}
	return out.WriteAll(rows)
}

func field(n eval.Number) string {
	if !finite(n) {
		return ""
	}
	return number(n)
}

func withInterval(n eval.Number, ci []eval.Number) []string {
	if len(ci) != 2 {
		return []string{field(n), "", ""}
	}
	return []string{field(n), field(ci[0]), field(ci[1])}
}

// harmless keeps a spreadsheet from reading a name as a formula.
func harmless(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// Markdown writes the headline, the tables and the provenance.
func Markdown(w io.Writer, r *eval.Report, o Options) error {
	b := newBoard(r, o)
	all := b.series()
	var out strings.Builder
	fmt.Fprintf(&out, "# %s, %s\n\n", plain(r.Dataset), plain(r.Split))
	for k, s := range b.headline() {
		if k == 0 {
			s = "**" + plain(s) + "**"
		} else {
			s = plain(s)
		}
		out.WriteString(s + "\n")
	}
	for _, s := range b.sections(all, o) {
		if len(s.Tables) == 0 && len(s.More) == 0 {
			continue
		}
		fmt.Fprintf(&out, "\n## %s\n", plain(s.Title))
		for _, text := range s.Lead {
			fmt.Fprintf(&out, "\n%s\n", plain(text))
		}
		tables := s.Tables
		if len(tables) == 0 {
			tables = s.More
		}
		for _, t := range tables {
			writeTable(&out, t)
		}
		for _, text := range s.Notes {
			fmt.Fprintf(&out, "\n%s\n", plain(text))
		}
	}
	out.WriteString("\n## Provenance\n\n")
	for _, f := range b.facts() {
		fmt.Fprintf(&out, "- %s: %s\n", plain(f.Name), plain(f.Text))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&out, "- Note: %s\n", plain(n))
	}
	if t := b.prices(); len(t.Rows) > 0 {
		fmt.Fprintf(&out, "\n%s\n", plain(t.Caption))
		writeTable(&out, t)
	}
	out.WriteString("\n## Glossary\n\n")
	for _, f := range glossary {
		fmt.Fprintf(&out, "- %s: %s\n", plain(f.Name), plain(f.Text))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// writeTable writes a table without the columns that hold only drawings.
func writeTable(out *strings.Builder, t table) {
	keep := make([]bool, len(t.Head))
	for _, r := range t.Rows {
		for k, c := range r.Cells {
			keep[k] = keep[k] || c.Text != "" && c.Text != beyond
		}
	}
	out.WriteString("\n|")
	for k, c := range t.Head {
		if keep[k] {
			out.WriteString(" " + plain(c.Text) + " |")
		}
	}
	out.WriteString("\n|")
	for k, c := range t.Head {
		switch {
		case !keep[k]:
		case c.Class == "n" || c.Class == "tilt":
			out.WriteString("---:|")
		default:
			out.WriteString("---|")
		}
	}
	out.WriteString("\n")
	for _, r := range t.Rows {
		out.WriteString("|")
		for k, c := range r.Cells {
			if !keep[k] {
				continue
			}
			text := plain(c.Text)
			if c.Small != "" {
				text += " (" + plain(c.Small) + ")"
			}
			out.WriteString(" " + text + " |")
		}
		out.WriteString("\n")
	}
}

// plain escapes characters that have a meaning in Markdown.
func plain(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	var out strings.Builder
	for _, c := range s {
		switch {
		case c == '&':
			out.WriteString("&amp;")
		case c == '<':
			out.WriteString("&lt;")
		case strings.ContainsRune("\\`*_[]|>#~", c):
			out.WriteString("\\" + string(c))
		default:
			out.WriteRune(c)
		}
	}
	return out.String()
}

// SVGOptions say what CurvesSVG shows. By default the cost axis is logarithmic
// and shows qualities near the best single model's.
type SVGOptions struct {
	Linear     bool // cost axis
	Everything bool // the whole range of quality
	InOrder    bool // as in Options: the first routers are emphasised, not the best
	// Size is that of the drawing. What is below the plot makes it higher if the size is
	// a named one or the usual one, and otherwise only if too little is left of the plot.
	Size Size
}

// leastHeight is the height of a plot, whatever is below it.
const leastHeight = 180

// CurvesSVG writes the curves as one SVG file for papers: light, with its style
// inside and all routers in it. Below the plot are, in a column, the names of the
// curves, and the results by the paper's protocol if the report has them.
func CurvesSVG(w io.Writer, r *eval.Report, o SVGOptions) error {
	b := newBoard(r, Options{InOrder: o.InOrder})
	all := b.series()
	g := o.Size.geometry()
	below := func(c *svg.Canvas, top float64) float64 {
		if g.narrow {
			top = b.names(c, all, g, top)
		}
		return b.protocolChart(c, g, top)
	}
	total := g.height
	if needed := below(new(svg.Canvas), 0); needed > 0 {
		if o.Size == (Size{}) || o.Size.plot {
			total += needed
		}
		g.height = max(total-needed, leastHeight)
		total = g.height + needed
	}
	p := b.newPlot(all, view{!o.Linear, !o.Everything, g})
	p.OpenFile(g.width, total, r.Dataset+", "+r.Split, p.summary()+". "+strings.Join(b.headline(), " "), asset("curves.css"))
	p.Rect(0, 0, g.width, total, `fill="#fff"`)
	p.window()
	p.draw(all)
	below(&p.Canvas, g.height)
	_, err := io.WriteString(w, p.Close()+"\n")
	return err
}

// names lists the emphasised curves and the references below a chart, from the given
// height on, and returns where they end. Other curves are thin and have no names.
func (b *board) names(c *svg.Canvas, all []series, g geometry, top float64) float64 {
	x, y := g.left, top+12
	for _, l := range b.legend(all) {
		s := &all[l.Index]
		if !l.Emphasis || len(s.points) == 0 {
			continue
		}
		text := clipped(strings.TrimSpace(s.key()+" "+s.line.Name), 34)
		width := 40 + 6.8*float64(len([]rune(text)))
		if x > g.left && x+width > g.width {
			x, y = g.left, y+18
		}
		fmt.Fprintf(c, `<g class="curve %s">`, s.class)
		drawSwatch(c, s, x, y)
		c.WriteString("</g>")
		c.Text(x+38, y+4, "tick", "start", text)
		x += width + 12
	}
	return y + 12
}
