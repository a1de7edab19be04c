package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"

	"github.com/carrot-router/carrot/eval"
)

// section is a part of the page.
type section struct {
	ID, Title string
	Lead      []string
	Figures   []figure
	Tables    []table
	More      []table // folded away
	MoreTitle string
	Notes     []string
}

type figure struct {
	SVG     template.HTML
	Caption string
	Class   string
}

// ratings is the main table.
func (b *board) ratings(all []series) section {
	s := section{ID: "table", Title: "All routers", Lead: []string{
		"Sorted by AIQ, with 95% intervals over queries. The references are at the end."}}
	if b.given {
		s.Lead = []string{"In the order asked for, with 95% intervals over queries. The references are at the end."}
	}
	if n := len(b.Omitted); n > 0 {
		s.Title = "Selected routers"
		s.Notes = []string{fmt.Sprintf("Measured in the same run and not shown: %s.", joinNames(b.Omitted))}
	}
	t := table{Caption: "Routers by AIQ", Class: "ratings", Head: head("router", "group", "AIQ", "interval", "peak", "QNC", "cost@95", "gap closed", "AUDC", "Arena")}
	if b.given {
		t.Caption = "Routers"
	}
	domain := [2]float64{math.Inf(1), math.Inf(-1)}
	for k := range b.Routers {
		if l := &b.Routers[k]; len(l.AIQInterval) == 2 && l.Name != oracleName && isLearnedOrReference(l.Name) {
			domain = widen(domain, float64(l.AIQ), float64(l.AIQInterval[0]), float64(l.AIQInterval[1]))
		}
	}
	last := -1
	for _, i := range b.shown {
		l := &b.Routers[i]
		group, class := "", "reference"
		if g, ok := b.groups[l.Name]; ok && b.intervals() {
			group, class = letter(g), fmt.Sprintf("group g%d", g%2)
			if g != last {
				class += " first"
			}
			last = g
		} else if !isReference(l.Name) {
			class = ""
		}
		interval := cell{}
		if len(l.AIQInterval) == 2 && finite(l.AIQ) && float64(l.AIQInterval[0]) >= domain[0] && float64(l.AIQInterval[1]) <= domain[1] {
			interval.Figure = whisker(float64(l.AIQ), float64(l.AIQInterval[0]), float64(l.AIQInterval[1]), domain, all[i].class)
		}
		t.Rows = append(t.Rows, row{class, []cell{routerName(&all[i]), {Text: group, Class: "c"}, {Text: decimals(l.AIQ, 4), Small: span(l.AIQInterval, 3), Class: "n"}, interval,
			{Text: decimals(l.Peak, 4), Small: span(l.PeakCI, 3), Class: "n"}, {Text: decimals(l.QNC, 3), Small: span(l.QNCInterval, 2), Class: "n"},
			num(decimals(l.Cost95, 3)), num(shareFine(l.GapClosed)), num(decimals(l.AUDC, 4)), num(decimals(l.Arena, 4))}})
	}
	s.Tables = []table{t}
	if b.intervals() {
		s.Notes = append(s.Notes, "Group: routers with the same letter cannot be told apart from the first one with that letter, by the interval of their paired difference. The intervals of two routers may overlap although their paired difference is clear, because all routers answer the same queries.")
	} else {
		s.Notes = append(s.Notes, "Without a bootstrap there are no intervals, and it is unknown which of these differences are noise.")
	}
	if points := b.points(); len(points.Rows) > 0 {
		s.Tables = append(s.Tables, points)
	}
	for k := range b.Routers {
		if l := &b.Routers[k]; l.External != nil {
			text := fmt.Sprintf("%s is external: another program made its predictions (%s), and on which queries it was fitted cannot be checked.", l.Name, l.External.File)
			if all[k].scattered() {
				text += " It says which model it chooses at each of its settings. These are points, which have no AIQ."
			}
			s.Notes = append(s.Notes, text)
		}
	}
	if slices.ContainsFunc(b.Routers, func(l eval.RouterLine) bool { return isCascade(l.Name) }) {
		s.Notes = append(s.Notes, "A cascade asks several models and a judge that sees their answers. Its row shows what it could reach with such a judge; it does not decide by the prompt alone.")
	}
	return s
}

// points lists the settings of routers that have points instead of a curve.
func (b *board) points() table {
	t := table{Caption: "Points", Head: head("router", "setting", b.unit.axis(), "quality")}
	t.Head[1].Class = ""
	for k := range b.Routers {
		for _, p := range b.Routers[k].Curve {
			if p.Setting != "" {
				t.Rows = append(t.Rows, row{"", []cell{name(b.Routers[k].Name), {Text: p.Setting}, num(significant(1000 * p.CostUSD)), num(decimals(p.Quality, 4))}})
			}
		}
	}
	return t
}

func isLearnedOrReference(name string) bool { return isLearned(name) || isReference(name) }

// beyond stands for a value outside an axis.
const beyond = "beyond the axis"

// differences compares the report's first router with every other.
func (b *board) differences() section {
	s := section{ID: "differences", Title: "Paired differences"}
	if !b.intervals() || len(b.Routers) == 0 {
		s.Lead = []string{"There are no paired differences: no bootstrap was drawn, or there is only one router."}
		return s
	}
	first := b.Routers[0].Name
	s.Lead = []string{fmt.Sprintf("AIQ of %s minus that of the other router, with the 95%% interval over the same resampled queries. If the interval contains zero, the two cannot be told apart.", first)}
	near, far := [2]float64{0, 0}, [2]float64{0, 0}
	for _, i := range b.shown {
		if d, ok := b.difference(first, b.Routers[i].Name); ok {
			far = widen(far, d.low, d.high)
			if isLearnedOrReference(b.Routers[i].Name) {
				near = widen(near, d.low, d.high)
			}
		}
	}
	if near == [2]float64{} {
		near = far
	}
	t := table{Caption: "Differences of " + first, Class: "differences", Head: head("against", "difference", "on an axis", "95% interval", "verdict")}
	t.Head[4].Class = ""
	for _, i := range b.shown {
		other := b.Routers[i].Name
		d, ok := b.difference(first, other)
		if !ok || other == first {
			continue
		}
		plot := cell{Class: "n"}
		if d.low >= near[0] && d.high <= near[1] {
			plot.Figure = whisker(d.value, d.low, d.high, near, [...]string{"down", "even", "up"}[d.verdict()+1])
		} else {
			plot.Text, plot.Class = beyond, "n quiet"
		}
		t.Rows = append(t.Rows, row{"", []cell{name(other), num(signed(d.value, 4) + " " + d.sign()), plot, num(d.span()), {Text: d.words(first, other)}}})
	}
	s.Tables = []table{t}
	if len(b.Pairs) > len(t.Rows) {
		s.More, s.MoreTitle = []table{b.allPairs()}, fmt.Sprintf("All %d pairs", len(b.Pairs))
	}
	return s
}

func (d difference) span() string { return signed(d.low, 4) + " to " + signed(d.high, 4) }

// sign is the verdict in one character.
func (d difference) sign() string { return [...]string{"▼", "=", "▲"}[d.verdict()+1] }

// words is the verdict in words.
func (d difference) words(a, other string) string {
	switch d.verdict() {
	case better:
		return d.sign() + " " + a + " is better"
	case worse:
		return d.sign() + " " + other + " is better"
	}
	return d.sign() + " cannot be told apart"
}

func (b *board) allPairs() table {
	t := table{Caption: "Every pair", Head: head("first", "second", "difference", "95% interval", "verdict")}
	t.Head[1].Class, t.Head[4].Class = "", ""
	for _, p := range b.Pairs {
		if d, ok := b.difference(p.A, p.B); ok {
			t.Rows = append(t.Rows, row{"", []cell{name(p.A), {Text: p.B}, num(signed(d.value, 4)), num(d.span()), {Text: d.words(p.A, p.B)}}})
		}
	}
	return t
}

// heat compares routers with the zero router, source by source.
func (b *board) heat() (section, bool) {
	s := section{ID: "sources", Title: "By source"}
	zero := b.router(zeroName)
	if zero == nil || len(zero.Sources) == 0 {
		return s, false
	}
	var rows []int
	for _, i := range b.shown {
		if l := &b.Routers[i]; len(l.Sources) == len(zero.Sources) && l.Name != zeroName && l.Name != singleName {
			rows = append(rows, i)
		}
	}
	s.Lead = []string{"AIQ minus that of the zero router, on the queries of each source and on the cost range of that source. Above zero, looking at the query helps there. No intervals are recorded by source, and sources with few queries are noisy."}
	t := table{Caption: "AIQ minus the zero router's, by source", Class: "heat", Head: []cell{{Text: "source", Head: true}, {Text: "queries", Head: true, Class: "n"}}}
	for _, i := range rows {
		t.Head = append(t.Head, cell{Text: b.Routers[i].Name, Head: true, Class: "tilt"})
	}
	for k, z := range zero.Sources {
		r := row{Cells: []cell{name(z.Source), num(grouped(z.Queries))}}
		for _, i := range rows {
			d := float64(b.Routers[i].Sources[k].AIQ - z.AIQ)
			r.Cells = append(r.Cells, cell{Text: short(d), Class: heatClass(d), Title: b.Routers[i].Name + ", " + z.Source})
		}
		t.Rows = append(t.Rows, r)
	}
	s.Tables = []table{t}
	return s, true
}

// short writes a difference of AIQ without the leading zero.
func short(v float64) string {
	text := signed(v, 3)
	if len(text) > 2 {
		for k, c := range text {
			if c == '0' && k+1 < len(text) && text[k+1] == '.' {
				return text[:k] + text[k+1:]
			}
		}
	}
	return text
}

// heatClass is one of seven colours.
func heatClass(v float64) string {
	if !finite(v) {
		return "n"
	}
	level := 0
	for k, step := range []float64{0.005, 0.02, 0.05} {
		if math.Abs(v) >= step {
			level = k + 1
		}
	}
	switch {
	case level == 0:
		return "n"
	case v < 0:
		return fmt.Sprintf("n down%d", level)
	}
	return fmt.Sprintf("n up%d", level)
}
