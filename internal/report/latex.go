package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/carrot-router/carrot/eval"
)

// LaTeXOptions say how LaTeX writes its tables.
type LaTeXOptions struct {
	InOrder bool // as in Options
	// Column writes tables for a column of text, with fewer figures. By default they
	// are as wide as the page.
	Column bool
}

// LaTeX writes the main table, and that of the paper's protocol if the report has one,
// as floats for \input into a document that loads booktabs. The first lines are a
// comment that says so. Names are escaped; a character that plain pdfLaTeX does not have
// is written as its code point.
func LaTeX(w io.Writer, r *eval.Report, o LaTeXOptions) error {
	b := newBoard(r, Options{InOrder: o.InOrder})
	var out strings.Builder
	out.WriteString("% Made by carrot: \\input this file. Needs \\usepackage{booktabs}.\n")
	fmt.Fprintf(&out, "%% Data: %s, %s. Fingerprint: %s\n", comment(r.Dataset), comment(r.Split), comment(r.Fingerprint))
	fmt.Fprintf(&out, "%% Command: %s\n", comment(r.Provenance.Command))
	b.latexRatings(&out, o)
	if len(b.protocolLines()) > 0 {
		out.WriteString("\n")
		b.latexProtocol(&out, o)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// latexTable is a float with a table whose cells are LaTeX.
type latexTable struct {
	label   string
	short   string   // for the list of tables
	caption []string // sentences
	columns string
	head    []string
	rows    [][]string // nil for a rule
}

func (t latexTable) write(out *strings.Builder, o LaTeXOptions) {
	float := "table*"
	if o.Column {
		float = "table"
	}
	fmt.Fprintf(out, "\\begin{%s}[tb]\n\\centering\n\\caption[{%s}]{%s}\n\\label{%s}\n", float, t.short, strings.Join(t.caption, "\n"), t.label)
	if o.Column {
		out.WriteString("\\footnotesize\n\\setlength{\\tabcolsep}{3pt}\n")
	} else {
		out.WriteString("\\small\n")
	}
	fmt.Fprintf(out, "\\begin{tabular}{@{}%s@{}}\n\\toprule\n%s \\\\\n\\midrule\n", t.columns, strings.Join(t.head, " & "))
	for _, r := range t.rows {
		if r == nil {
			out.WriteString("\\midrule\n")
			continue
		}
		out.WriteString(strings.Join(r, " & ") + " \\\\\n")
	}
	fmt.Fprintf(out, "\\bottomrule\n\\end{tabular}\n\\end{%s}\n", float)
}

// latexRatings writes the main table.
func (b *board) latexRatings(out *strings.Builder, o LaTeXOptions) {
	t := latexTable{label: "tab:carrot-routers", short: "Routers on " + tex(b.Dataset), columns: "lrrrrr", head: []string{"Router", "AIQ", "Peak", "QNC", "Cost@95", "Gap closed"}}
	if o.Column {
		t.columns, t.head = "lrrr", t.head[:4]
	}
	groups := b.intervals()
	if groups {
		t.columns, t.head = "lc"+t.columns[1:], append([]string{t.head[0], "Group"}, t.head[1:]...)
	}
	t.caption = b.latexCaption(groups)
	for k, i := range b.shown {
		l := &b.Routers[i]
		if k > 0 && isReference(l.Name) && !isReference(b.Routers[b.shown[k-1]].Name) {
			t.rows = append(t.rows, nil)
		}
		cells := []string{tex(l.Name)}
		if groups {
			group := ""
			if g, ok := b.groups[l.Name]; ok {
				group = letter(g)
			}
			cells = append(cells, group)
		}
		below := make([]string, len(cells), len(cells)+3)
		for _, f := range []struct{ text, interval string }{{decimals(l.AIQ, 4), texInterval(l.AIQInterval)}, {decimals(l.Peak, 4), texInterval(l.PeakCI)}, {decimals(l.QNC, 3), texInterval(l.QNCInterval)}} {
			text := tex(f.text)
			if !o.Column && f.interval != "" {
				text += " " + f.interval
			}
			cells, below = append(cells, text), append(below, f.interval)
		}
		if !o.Column {
			cells = append(cells, tex(decimals(l.Cost95, 3)), tex(shareFine(l.GapClosed)))
		}
		t.rows = append(t.rows, cells)
		if o.Column && strings.Join(below, "") != "" {
			t.rows = append(t.rows, below) // where there is no room beside a figure
		}
	}
	t.write(out, o)
}

// latexCaption says what was measured, how, and by which command.
func (b *board) latexCaption(groups bool) []string {
	p := b.Provenance
	out := []string{fmt.Sprintf("Routers on %s, %s: %s, %s; the best single model is %s.",
		tex(b.Dataset), tex(b.Split), plural(b.Queries, "query"), plural(len(b.Models), "model"), tex(b.BestSingle))}
	if b.Skipped > 0 {
		out = append(out, fmt.Sprintf("%s left out because a model was not observed.", tex(plural(b.Skipped, "query"))))
	}
	if groups {
		resamples := "a bootstrap over the queries"
		if p.Bootstrap > 0 {
			resamples = plural(p.Bootstrap, "bootstrap resample") + " of the queries"
		}
		out = append(out, "Brackets: the central 95\\% of "+resamples+", given these fits; $\\infty$: some resamples never reach it.",
			"Routers with one group letter cannot be told apart from the first with that letter by the interval of their paired difference.")
	} else {
		out = append(out, "No bootstrap was drawn, so it is unknown which differences are noise.")
	}
	if p.PerCall {
		out = append(out, "Cost is the share of calls, not money.")
	}
	for k := range b.Routers {
		if l := &b.Routers[k]; l.External != nil {
			out = append(out, tex(l.Name)+" is external: on which queries it was fitted cannot be checked.")
		}
	}
	for _, n := range b.Notes {
		out = append(out, tex(strings.TrimSuffix(n, "."))+".")
	}
	if len(b.Omitted) > 0 {
		out = append(out, "Measured in the same run and not shown: "+tex(joinNames(b.Omitted))+".")
	}
	return append(out, b.latexMade()...)
}

// latexMade says how to make the report again.
func (b *board) latexMade() []string {
	p := b.Provenance
	var parts []string
	if p.Version != "" {
		parts = append(parts, "version "+tex(p.Version))
	}
	if b.recorded() {
		parts = append(parts, fmt.Sprintf("seed %d", p.Seed))
	}
	if b.Fingerprint != "" {
		parts = append(parts, "data "+tex(clipped(b.Fingerprint, 20)))
	}
	text := strings.Join(parts, ", ")
	switch {
	case p.Command != "" && text != "":
		return []string{"Made by " + texCode(p.Command) + " (" + text + ")."}
	case p.Command != "":
		return []string{"Made by " + texCode(p.Command) + "."}
	case text != "":
		return []string{"Made with " + text + "."}
	}
	return nil
}

// latexProtocol writes both protocols side by side.
func (b *board) latexProtocol(out *strings.Builder, o LaTeXOptions) {
	t := latexTable{label: "tab:carrot-protocol", short: "The paper's protocol on " + tex(b.Dataset), columns: "llrrrl",
		head: []string{"Router", "Protocol", "At $\\mu=0$", "Quality", "Cost", "Setting"}}
	if o.Column {
		t.columns, t.head = "llrrr", t.head[:5]
	}
	t.caption = append([]string{tex(b.protocolLead()), "Measured on " + tex(b.Dataset) + ", " + tex(b.Split) + "."}, b.latexMade()...)
	for _, l := range b.protocolLines() {
		cells := []string{tex(l.router), l.protocol, tex(decimals(l.RoutedAccuracy, 4)), tex(shareFine(l.Quality)), tex(shareFine(l.Cost))}
		if !o.Column {
			cells = append(cells, texCode(l.Setting))
		}
		t.rows = append(t.rows, cells)
	}
	t.write(out, o)
}

// texInterval writes an interval in small type, "" if there is none.
func texInterval(ci []eval.Number) string {
	if len(ci) != 2 || !finite(ci[0]) && !finite(ci[1]) {
		return ""
	}
	high := "$\\infty$"
	if finite(ci[1]) {
		high = tex(decimals(ci[1], 3))
	}
	return "{\\scriptsize {[}" + tex(decimals(ci[0], 3)) + ", " + high + "{]}}"
}

// comment keeps text on the line of a comment.
func comment(s string) string { return strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ") }

// texSpecial has what stands for characters with a meaning in LaTeX, and for those
// outside ASCII that our own texts use.
var texSpecial = map[rune]string{
	'\\': `\textbackslash{}`, '{': `\{`, '}': `\}`, '$': `\$`, '&': `\&`, '#': `\#`, '%': `\%`, '_': `\_`,
	'~': `\textasciitilde{}`, '^': `\textasciicircum{}`, '<': `\textless{}`, '>': `\textgreater{}`, '|': `\textbar{}`,
	'"': `\char34{}`, '`': "{`}", '[': "{[}", ']': "{]}", '*': "{*}",
	'−': "$-$", '–': "--", '×': `$\times$`, 'μ': `$\mu$`, '…': `\dots{}`, '·': `$\cdot$`, '±': `$\pm$`, '²': "$^2$",
}

// tex escapes a text for LaTeX. Hyphens, commas and quotes do not join into other
// characters, and no name begins an option of the row before it.
func tex(s string) string {
	var out strings.Builder
	last := ' '
	for _, c := range strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ") {
		if c == last && strings.ContainsRune("-,'", c) {
			out.WriteString("{}")
		}
		last = c
		special, ok := texSpecial[c]
		switch {
		case ok:
			out.WriteString(special)
		case c >= ' ' && c < 0x7f, c >= 0xc0 && c <= 0xff && c != '÷':
			out.WriteRune(c)
		default:
			fmt.Fprintf(&out, "{[}U+%04X{]}", c)
		}
	}
	return out.String()
}

// texCode writes a command, which may break after a comma, colon or equals sign.
func texCode(s string) string {
	text := tex(s)
	for _, mark := range []string{",", ":", "="} {
		text = strings.ReplaceAll(text, mark, mark+`\allowbreak{}`)
	}
	return `\texttt{` + text + "}"
}
