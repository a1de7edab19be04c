package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"

	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/svg"
)

// layers is how many layers the traffic chart has at most. The models with the
// smallest shares have one together.
const layers = 8

// traffic draws which models answer along the curve of the first router with
// recorded traffic.
func (b *board) traffic() (section, bool) {
	s := section{ID: "traffic", Title: "Which model answers"}
	for k := range b.Routers {
		l := &b.Routers[k]
		at := steps(l)
		if len(at) < 2 {
			continue
		}
		s.Lead = []string{fmt.Sprintf("Share of the queries that each model answers along the curve of %s, from its cheapest recorded setting to its best. Models are stacked by cost, with the cheapest at the bottom.", l.Name)}
		s.Figures = []figure{{SVG: b.area(l, at, wide), Class: "wide"}, {SVG: b.area(l, at, narrow), Class: "narrow"}}
		s.More = []table{b.settings(l, at)} // without a title: the page has the table under the slider
		s.Notes = []string{"The table of recorded settings has the same numbers."}
		return s, true
	}
	return s, false
}

// layer is a model's share at every step.
type layer struct {
	name   string
	shares []float64
}

func (b *board) layers(at []eval.TrafficPoint) []layer {
	most := func(m int) float64 {
		top := 0.0
		for _, p := range at {
			top = max(top, part(p, m))
		}
		return top
	}
	used := b.used(at)
	ranked := slices.Clone(used)
	slices.SortStableFunc(ranked, func(i, j int) int { return -cmp.Compare(most(i), most(j)) })
	kept := ranked[:min(len(ranked), layers-1)]
	var out []layer
	rest := layer{name: "others", shares: make([]float64, len(at))}
	for s := range at {
		rest.shares[s] = 1
	}
	for _, m := range used {
		if !slices.Contains(kept, m) {
			continue
		}
		l := layer{name: b.Models[m]}
		for s, p := range at {
			l.shares = append(l.shares, part(p, m))
			rest.shares[s] -= part(p, m)
		}
		out = append(out, l)
	}
	if slices.Max(rest.shares) >= 0.005 {
		out = append(out, rest)
	}
	return out
}

// area draws stacked shares with patterns, names where there is room, and a
// legend.
func (b *board) area(l *eval.RouterLine, at []eval.TrafficPoint, g geometry) template.HTML {
	g.right, g.height = 14, g.height*0.8
	size := "wide"
	if g.narrow {
		size = "narrow"
	}
	stack := b.layers(at)
	var legend svg.Canvas
	bottom := layerLegend(&legend, stack, size, g, g.height+30)
	var c svg.Canvas
	c.Open(g.width, bottom, "chart area", fmt.Sprintf("Traffic of %s by model along its curve; the table of recorded settings has the same numbers", l.Name))
	x := svg.Axis{Low: 0, High: float64(len(at) - 1), From: g.left, To: g.width - g.right}
	y := svg.Axis{Low: 0, High: 1, From: g.height - g.bottom, To: g.top}
	patterns(&c, size)
	base := make([]float64, len(at))
	var labels svg.Canvas
	for k, layer := range stack {
		layer.draw(&c, &labels, base, x, y, size, k)
	}
	c.WriteString(labels.String())
	for _, v := range []float64{0, 0.25, 0.5, 0.75, 1} {
		c.Line(x.From-4, y.At(v), x.From, y.At(v), "axis")
		c.Text(x.From-7, y.At(v)+4, "tick", "end", share(v))
	}
	n := 7
	if g.narrow {
		n = 4
	}
	for k := range n {
		s := int(math.Round(float64(k) * float64(len(at)-1) / float64(n-1)))
		anchor := "middle"
		if k == n-1 {
			anchor = "end"
		}
		c.Line(x.At(float64(s)), y.From, x.At(float64(s)), y.From+5, "axis")
		c.Text(x.At(float64(s)), y.From+19, "tick", anchor, significant(1000*at[s].CostUSD))
		c.Text(x.At(float64(s)), y.From+34, "tick quiet", anchor, decimals(at[s].Quality, 3))
	}
	c.Text((x.From+x.To)/2, g.height+12, "title", "middle", b.unit.axis()+", and mean quality below")
	c.WriteString(legend.String())
	return markup(&c)
}

// layerLegend writes the layers' names from the given height on and returns
// where it ends.
func layerLegend(c *svg.Canvas, stack []layer, size string, g geometry, top float64) float64 {
	x, y := g.left, top
	for k, l := range stack {
		text := clipped(l.name, 40)
		width := 34 + 6.8*float64(len([]rune(text)))
		if x > g.left && x+width > g.width {
			x, y = g.left, y+20
		}
		c.Rect(x, y-1, 20, 13, fmt.Sprintf(`fill="url(#%s-p%d)" class="layer framed"`, size, k))
		c.Text(x+26, y+10, "tick", "start", text)
		x += width + 14
	}
	return y + 20
}

// draw draws a layer on top of base, which it raises, and writes its name to
// labels if there is room.
func (l layer) draw(chart, labels *svg.Canvas, base []float64, x, y svg.Axis, size string, index int) {
	fmt.Fprintf(chart, `<path class="layer" fill="url(#%s-p%d)" d="`, size, index)
	command := "M"
	for s := range base {
		chart.WriteString(command + svg.Px(x.At(float64(s))) + " " + svg.Px(y.At(base[s])))
		command = "L"
	}
	for s := len(base) - 1; s >= 0; s-- {
		chart.WriteString(command + svg.Px(x.At(float64(s))) + " " + svg.Px(y.At(base[s]+l.shares[s])))
	}
	fmt.Fprintf(chart, `Z"><title>%s</title></path>`, svg.Escape(l.name))
	text := clipped(l.name, 32)
	if at, ok := l.room(base, x, y, 3.9*float64(len([]rune(text)))+4); ok {
		labels.Text(at.X, at.Y+4, "label", "middle", text)
	}
	for s := range base {
		base[s] += l.shares[s]
	}
}

// room finds the place within a layer where a text that extends half to both
// sides has the most height. ok is false if a line of text fits nowhere.
func (l layer) room(base []float64, x, y svg.Axis, half float64) (at svg.XY, ok bool) {
	most := 16.0
	for s := range base {
		middle := x.At(float64(s))
		if middle-half < x.From || middle+half > x.To {
			continue
		}
		top, bottom := y.To, y.From
		for k := range base {
			// Edges slant between steps, so the next step beside the text counts too.
			if step := (x.To - x.From) / float64(len(base)-1); math.Abs(x.At(float64(k))-middle) < half+step {
				top, bottom = max(top, y.At(base[k]+l.shares[k])), min(bottom, y.At(base[k]))
			}
		}
		if bottom-top > most {
			most, at, ok = bottom-top, svg.XY{X: middle, Y: (top + bottom) / 2}, true
		}
	}
	return at, ok
}

// patterns defines the fills of layers: a tint and a texture each.
func patterns(c *svg.Canvas, prefix string) {
	textures := [layers]string{"", `<path d="M0 8L8 0"/>`, `<circle cx="4" cy="4" r="1.1"/>`, `<path d="M0 0L8 8"/>`, `<path d="M0 4H8"/>`,
		`<path d="M0 8L8 0M0 0L8 8"/>`, `<path d="M4 0V8"/>`, `<path d="M0 4H8M4 0V8"/>`}
	c.WriteString("<defs>")
	for k, texture := range textures {
		fmt.Fprintf(c, `<pattern id="%s-p%d" width="8" height="8" patternUnits="userSpaceOnUse" class="texture t%d"><rect width="8" height="8"/>%s</pattern>`, prefix, k, k, texture)
	}
	c.WriteString("</defs>")
}

// calibration shows how well forecasts of quality agree with outcomes.
func (b *board) calibration() (section, bool) {
	s := section{ID: "calibration", Title: "Calibration", Lead: []string{
		"For routers that forecast quality: the forecast (across) against what was observed (up), in bins of equal width. The area of a dot is its share of the forecasts. On the diagonal, forecasts are right on average."}}
	t := table{Caption: "Calibration", Head: head("router", "Brier", "ECE", "R²", "residual / deviation", "tokens: error", "bias", "within p90", "cost: error", "bias", "rank correlation")}
	for _, i := range b.shown {
		l := &b.Routers[i]
		c := l.Calibration
		if c == nil {
			continue
		}
		if len(c.Reliability) > 0 {
			s.Figures = append(s.Figures, figure{reliability(l), l.Name + ", ECE " + decimals(c.ECE, 3), "small"})
		}
		t.Rows = append(t.Rows, row{"", []cell{name(l.Name), num(decimals(c.Brier, 4)), num(decimals(c.ECE, 3)), num(decimals(c.R2, 3)), num(decimals(c.QualityZ, 2)),
			num(shareFine(c.OutputTokensRelativeMAE)), num(shareFine(c.OutputTokensBias)), num(shareFine(c.OutputTokensP90)),
			num(shareFine(c.CostRelativeMAE)), num(shareFine(c.CostBias)), num(decimals(c.CostRankCorrelation, 3))}})
	}
	s.Tables = []table{t}
	return s, len(t.Rows) > 0
}

// reliability draws the bins of one router.
func reliability(l *eval.RouterLine) template.HTML {
	var c svg.Canvas
	c.Open(200, 200, "chart reliability", fmt.Sprintf("Reliability of %s: Brier score %s, ECE %s", l.Name, decimals(l.Calibration.Brier, 4), decimals(l.Calibration.ECE, 3)))
	x, y := svg.Axis{Low: 0, High: 1, From: 30, To: 192}, svg.Axis{Low: 0, High: 1, From: 172, To: 10}
	for _, v := range []float64{0, 0.5, 1} {
		c.Line(x.From, y.At(v), x.To, y.At(v), "grid")
		c.Line(x.At(v), y.From, x.At(v), y.To, "grid")
		c.Text(x.From-5, y.At(v)+4, "tick", "end", svg.Tick(v))
		c.Text(x.At(v), y.From+16, "tick", "middle", svg.Tick(v))
	}
	c.Line(x.From, y.From, x.To, y.To, "diagonal")
	total := 0
	var places []svg.XY
	for _, bin := range l.Calibration.Reliability {
		total += bin.Count
		places = append(places, svg.XY{X: x.At(bin.Predicted), Y: y.At(bin.Observed)})
	}
	c.Polyline(places, "joined")
	for k, bin := range l.Calibration.Reliability {
		c.Marker(svg.Circle, places[k], 2+9*math.Sqrt(float64(bin.Count)/float64(total)))
	}
	return markup(&c)
}
