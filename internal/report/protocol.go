package report

import (
	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/svg"
)

// protocolLine is a router's result by one of the two protocols.
type protocolLine struct {
	router, protocol, pickedOn string
	eval.ProtocolLine
}

// protocolLines lists the results by the paper's protocol and by ours, two lines for
// each router in the order of the tables. There are none if the protocol was not asked for.
func (b *board) protocolLines() []protocolLine {
	if b.Protocols == nil {
		return nil
	}
	var out []protocolLine
	for _, i := range b.shown {
		for _, p := range b.Protocols.Routers {
			if p.Router == b.Routers[i].Name {
				out = append(out, protocolLine{p.Router, "paper", "the measured queries", p.Paper},
					protocolLine{p.Router, "ours", "the queries fitted on, out of fold", p.Ours})
			}
		}
	}
	return out
}

// protocolLead explains the table of both protocols.
func (b *board) protocolLead() string {
	return "The same forecasts by the protocol of the paper's code and by ours: quality where cost does not matter (μ = 0), and quality and cost, both relative to the best single model's, at the setting meant to match that model at the least cost. The paper's code picks that setting on the measured queries themselves; ours is picked on the queries fitted on. The best single model reaches " +
		decimals(b.Protocols.BestSingleQuality, 4) + " and the oracle " + decimals(b.Protocols.OracleQuality, 4) + "."
}

// protocols shows what routers reach by the paper's protocol beside ours.
func (b *board) protocols() (section, bool) {
	s := section{ID: "protocol", Title: "The paper's protocol, and ours"}
	lines := b.protocolLines()
	if len(lines) == 0 {
		return s, false
	}
	s.Lead = []string{b.protocolLead()}
	t := table{Caption: "Both protocols", Head: head("router", "protocol", "routed accuracy", "quality", "cost", "setting", "picked on")}
	for _, k := range []int{1, 5, 6} {
		t.Head[k].Class = ""
	}
	for _, l := range lines {
		t.Rows = append(t.Rows, row{"", []cell{name(l.router), {Text: l.protocol}, num(decimals(l.RoutedAccuracy, 4)),
			num(shareFine(l.Quality)), num(shareFine(l.Cost)), {Text: l.Setting}, {Text: l.pickedOn}}})
	}
	s.Tables = []table{t}
	return s, true
}

// protocolChart writes both protocols as rows of text below a chart, from the given
// height on, and returns where they end.
func (b *board) protocolChart(c *svg.Canvas, g geometry, top float64) float64 {
	lines := b.protocolLines()
	if len(lines) == 0 {
		return top
	}
	title := "Matching the best single model at the least cost, by the paper's protocol and by ours"
	if g.width < sizes["page"].Width {
		title = "Matching the best single model"
	}
	y := top + 16
	c.Text(g.left, y, "label", "start", title)
	at := func(share float64) float64 { return g.left + share*(g.width-g.left-14) }
	write := func(columns []float64, class, first string, texts ...string) {
		if first != "" {
			c.Text(g.left, y, class, "start", first)
		}
		for k, text := range texts {
			if text != "" {
				c.Text(columns[k], y, class, "end", text)
			}
		}
	}
	figures := func(l eval.ProtocolLine) []string {
		return []string{decimals(l.RoutedAccuracy, 4), shareFine(l.Quality), shareFine(l.Cost)}
	}
	y += 18
	if g.narrow { // a row for each protocol
		columns := []float64{at(0.46), at(0.64), at(0.82), at(1)}
		write(columns, "tick", "", "protocol", "at μ = 0", "quality", "cost")
		c.Line(g.left, y+5, g.width-14, y+5, "axis")
		for k, l := range lines {
			y += 18
			first := ""
			if k%2 == 0 {
				first = clipped(l.router, int((columns[0]-g.left-44)/6.5))
			}
			write(columns, "name", first, append([]string{l.protocol}, figures(l.ProtocolLine)...)...)
		}
		return y + 10
	}
	columns := []float64{at(0.44), at(0.55), at(0.66), at(0.78), at(0.89), at(1)}
	write(columns, "tick", "", "", "", "the paper's", "", "", "ours")
	y += 16
	write(columns, "tick", "", "at μ = 0", "quality", "cost", "at μ = 0", "quality", "cost")
	c.Line(g.left, y+5, g.width-14, y+5, "axis")
	for k := 0; k < len(lines); k += 2 {
		y += 18
		write(columns, "name", clipped(lines[k].router, int((columns[0]-g.left-44)/6.5)), append(figures(lines[k].ProtocolLine), figures(lines[k+1].ProtocolLine)...)...)
	}
	return y + 10
}
