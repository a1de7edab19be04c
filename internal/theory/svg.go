package theory

import (
	"fmt"
	"io"
	"math"

	"github.com/carrot-router/carrot/internal/svg"
)

// The picture's sizes, in pixels: a grid of panels, the last cell the key.
const (
	columns                  = 3
	panelWidth, panelHeight  = 320, 250
	plotLeft, plotTop        = 52, 40
	plotWidth, plotHeight    = 252, 172
	headHeight, footerHeight = 58, 8
	markSize                 = 3.4
)

// looks tell methods apart, also without colour: by a shape, and by the dash
// pattern that the style gives the class.
var looks = [methods]struct {
	class string
	shape svg.Shape
}{
	KNN:       {"knn", svg.Circle},
	Kernel:    {"kernel", svg.Square},
	KNNChosen: {"chosen", svg.Diamond},
	KNNFew:    {"few", svg.Cross},
	KNNShare:  {"share", svg.Triangle},
}

const style = `svg{--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--page:#ffffff;--knn:#0550ae;--kernel:#1a7f37;--chosen:#6639ba;--few:#bc4c00;--share:#a40e26}
@media(prefers-color-scheme:dark){svg{--ink:#f0f6fc;--soft:#9198a1;--line:#3d444d;--page:#0d1117;--knn:#79c0ff;--kernel:#7ee787;--chosen:#d2a8ff;--few:#ffa657;--share:#ff9492}}
text{font:12px system-ui,sans-serif;fill:var(--ink)}
.head{font-size:17px;font-weight:600}.name{font-weight:600}.tick{fill:var(--soft);font-size:11px}
.page{fill:var(--page)}.grid{stroke:var(--line);fill:none}.guide{stroke:var(--ink);fill:none}.one{stroke:var(--soft);stroke-dasharray:1 4;stroke-width:2}
.line,.bar{fill:none;stroke:currentColor;stroke-width:1.6}.mark{fill:currentColor;stroke:currentColor;stroke-width:1.6}.open{fill:none}
.knn{color:var(--knn)}.kernel{color:var(--kernel)}.chosen{color:var(--chosen)}.few{color:var(--few)}.share{color:var(--share)}
.kernel .line{stroke-dasharray:7 3}.chosen .line{stroke-dasharray:2 3}.few .line{stroke-dasharray:9 3 2 3}.share .line{stroke-dasharray:4 2}
`

// WriteSVG draws excess risk against n on logarithmic axes: one panel per
// scenario, all with the same axes. A dotted line is the best single model, a thin
// one what noise alone costs at the right k, with the slope of theory. The picture
// is readable in light and dark mode and without colour.
func (r *Report) WriteSVG(w io.Writer) error {
	rows := (len(r.Scenarios) + columns) / columns // one cell more, for the key
	width, height := float64(columns*panelWidth), float64(headHeight+rows*panelHeight+footerHeight)
	var c svg.Canvas
	c.OpenFile(width, height, "Excess risk of the plug-in rule against the number of training queries",
		"One panel per scenario, with logarithmic axes: for the right k, risk falls with the slope of theory; for a wrong one, it stays.", style)
	c.Rect(0, 0, width, height, `class="page"`)
	c.Text(16, 26, "head", "start", "What the rate promises, and what happens")
	c.Text(16, 45, "tick", "start", fmt.Sprintf("excess risk (units of quality) against training queries n, both logarithmic; mean of %d training sets with 95%% bars; e is the promised exponent", r.Repetitions))
	c.WriteString("\n")
	low, high := r.risks()
	for i := range r.Scenarios {
		left, top := cell(i)
		p := panel{&c, r.Sizes,
			svg.Axis{Low: float64(r.Sizes[0]), High: float64(r.Sizes[len(r.Sizes)-1]), From: left + 10, To: left + plotWidth - 10, Log: true},
			svg.Axis{Low: low, High: high, From: top + plotHeight, To: top, Log: true}}
		p.draw(&r.Scenarios[i], left, top)
	}
	writeKey(&c, len(r.Scenarios))
	_, err := io.WriteString(w, c.Close()+"\n")
	return err
}

// cell returns the upper left corner of the plot in a cell of the grid.
func cell(i int) (left, top float64) {
	return float64(i%columns*panelWidth + plotLeft), float64(headHeight + i/columns*panelHeight + plotTop)
}

// risks returns the lowest and the highest risk of the panels' common axis.
func (r *Report) risks() (low, high float64) {
	low, high = -3, -1 // decimal exponents
	for i := range r.Scenarios {
		high = max(high, math.Log10(r.Scenarios[i].BestSingle)+0.1)
		for _, c := range r.Scenarios[i].Methods {
			for _, risk := range c.Risk {
				if risk > 0 {
					low = min(low, math.Log10(risk)-0.15)
					high = max(high, math.Log10(risk)+0.15)
				}
			}
		}
	}
	return math.Pow(10, low), math.Pow(10, high)
}

// panel draws one scenario.
type panel struct {
	*svg.Canvas
	sizes []int
	n     svg.Axis
	risk  svg.Axis
}

// y places a risk; those outside the axis are placed on its edge.
func (p *panel) y(risk float64) float64 { return p.risk.At(min(risk, p.risk.High)) }

func (p *panel) draw(s *Result, left, top float64) {
	exponent := fmt.Sprintf("e = %.3f", s.Exponent)
	if s.Seen < 1 {
		exponent = "no promise"
	}
	p.Text(left, top-24, "name", "start", s.Name)
	p.Text(left, top-8, "tick", "start", s.caption()+exponent)
	p.Rect(left, top, plotWidth, plotHeight, `class="grid"`)
	for _, risk := range p.risk.Ticks(2) {
		p.Line(left, p.y(risk), left+plotWidth, p.y(risk), "grid")
		p.Text(left-6, p.y(risk)+4, "tick", "end", svg.Tick(risk))
	}
	for i, n := range p.sizes {
		x := p.n.At(float64(n))
		p.Line(x, top+plotHeight, x, top+plotHeight+4, "grid")
		if (len(p.sizes)-1-i)%2 == 0 {
			p.Text(x, top+plotHeight+16, "tick", "middle", fmt.Sprint(n))
		}
	}
	p.Line(left, p.y(s.BestSingle), left+plotWidth, p.y(s.BestSingle), "one")
	for _, c := range s.Methods {
		if c.Method == KNN && s.Seen == 1 {
			p.Polyline(p.places(c.NoiseAlone), "guide")
		}
	}
	for i := range s.Methods {
		p.curve(&s.Methods[i])
	}
	p.WriteString("\n")
}

// caption gives the parameters of a scenario.
func (s *Result) caption() string {
	smoothness := fmt.Sprint(s.Smoothness)
	if s.CostSmoothness != s.Smoothness {
		smoothness = fmt.Sprintf("%g, cost %g", s.Smoothness, s.CostSmoothness)
	}
	return fmt.Sprintf("d = %d, γ = %s, α = %g, ", s.Dim, smoothness, s.Margin)
}

// places returns where the risks at the sizes go.
func (p *panel) places(risk []float64) []svg.XY {
	out := make([]svg.XY, len(risk))
	for i, v := range risk {
		out[i] = svg.XY{X: p.n.At(float64(p.sizes[i])), Y: p.y(v)}
	}
	return out
}

func (p *panel) curve(c *Curve) {
	look, places := looks[c.Method], p.places(c.Risk)
	p.WriteString(`<g class="` + look.class + `">`)
	p.Polyline(places, "line")
	for i, at := range places {
		p.Line(at.X, p.y(c.Risk[i]-1.96*c.RiskSE[i]), at.X, p.y(c.Risk[i]+1.96*c.RiskSE[i]), "bar")
	}
	for _, at := range places {
		p.Marker(look.shape, at, markSize)
	}
	p.WriteString("</g>")
}

// writeKey explains the lines in a cell of the grid.
func writeKey(c *svg.Canvas, i int) {
	left, top := cell(i)
	y := top + 12
	line := func(class, text string) {
		c.Line(left, y, left+46, y, class)
		c.Text(left+58, y+4, "", "start", text)
		y += 24
	}
	for _, m := range Methods() {
		c.WriteString(`<g class="` + looks[m].class + `">`)
		c.Marker(looks[m].shape, svg.XY{X: left + 23, Y: y}, markSize)
		line("line", m.String())
		c.WriteString("</g>")
	}
	line("guide", "theory, right k: noise alone")
	line("one", "the best single model")
}
