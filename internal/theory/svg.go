package theory

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// The picture's sizes, in pixels: a grid of panels, the last cell the key.
const (
	columns                  = 3
	panelWidth, panelHeight  = 320, 250
	plotLeft, plotTop        = 52, 40
	plotWidth, plotHeight    = 252, 172
	headHeight, footerHeight = 58, 8
)

// marks tell methods apart without colour: a shape and a dash pattern each.
var marks = [methods]struct{ class, shape, dash string }{
	KNN:       {"knn", `<circle r="3.4"/>`, ""},
	Kernel:    {"kernel", `<rect x="-3" y="-3" width="6" height="6"/>`, "7 3"},
	KNNChosen: {"chosen", `<path d="M0-4.2 4.2 0 0 4.2-4.2 0z"/>`, "2 3"},
	KNNFew:    {"few", `<path d="M-3.2-3.2 3.2 3.2M-3.2 3.2 3.2-3.2"/>`, "9 3 2 3"},
	KNNShare:  {"share", `<path d="M0-4.2 4 3H-4z"/>`, "4 2"},
}

const style = `<style>
svg{--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--page:#ffffff;--knn:#0550ae;--kernel:#1a7f37;--chosen:#6639ba;--few:#bc4c00;--share:#a40e26}
@media(prefers-color-scheme:dark){svg{--ink:#f0f6fc;--soft:#9198a1;--line:#3d444d;--page:#0d1117;--knn:#79c0ff;--kernel:#7ee787;--chosen:#d2a8ff;--few:#ffa657;--share:#ff9492}}
text{font:12px system-ui,sans-serif;fill:var(--ink)}
.h{font-size:17px;font-weight:600}.t{font-weight:600}.s{fill:var(--soft);font-size:11px}.e{text-anchor:end}.m{text-anchor:middle}
.page{fill:var(--page)}.grid{stroke:var(--line);fill:none}.guide{stroke:var(--ink);stroke-width:1;fill:none}.one{stroke:var(--soft);stroke-dasharray:1 4;stroke-width:2;fill:none}
.c{fill:none;stroke-width:1.6;stroke:var(--c)}.p{fill:var(--c);stroke:var(--c);stroke-width:1.6}
.knn{--c:var(--knn)}.kernel{--c:var(--kernel)}.chosen{--c:var(--chosen)}.few{--c:var(--few)}.share{--c:var(--share)}
</style>
`

// WriteSVG draws excess risk against n on logarithmic axes, one panel per
// scenario and equal axes in all. Dotted: one model for all queries. Thin: what
// noise alone costs at the right k, a line with the slope of theory. It reads
// in light and in dark, and without colour.
func (r *Report) WriteSVG(w io.Writer) error {
	rows := (len(r.Scenarios) + columns) / columns // one cell more, for the key
	width, height := columns*panelWidth, headHeight+rows*panelHeight+footerHeight
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc">`+"\n", width, height, width, height)
	b.WriteString(`<title id="title">Excess risk of the plug-in rule against the number of training queries</title>` + "\n")
	b.WriteString(`<desc id="desc">One panel per scenario, logarithmic axes: risk falls along the slope of theory for the right k and stays for a wrong one.</desc>` + "\n")
	b.WriteString(style)
	fmt.Fprintf(&b, `<rect class="page" width="%d" height="%d"/>`+"\n", width, height)
	b.WriteString(`<text class="h" x="16" y="26">What the rate promises, and what comes out</text>` + "\n")
	fmt.Fprintf(&b, `<text class="s" x="16" y="45">excess risk (units of quality) against training queries n, both logarithmic; mean of %d training sets, 95%% bars; e is the promised exponent</text>`+"\n", r.Repetitions)
	scale := r.axes()
	for i := range r.Scenarios {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", i%columns*panelWidth, headHeight+i/columns*panelHeight)
		r.panel(&b, &r.Scenarios[i], scale)
		b.WriteString("</g>\n")
	}
	last := len(r.Scenarios)
	fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", last%columns*panelWidth, headHeight+last/columns*panelHeight)
	writeKey(&b)
	b.WriteString("</g>\n</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// axes are the decimal exponents of risk that all panels span.
type axes struct{ low, high float64 }

func (r *Report) axes() axes {
	a := axes{-3, -1}
	for i := range r.Scenarios {
		a.high = max(a.high, math.Log10(r.Scenarios[i].BestSingle)+0.1)
		for _, c := range r.Scenarios[i].Methods {
			for _, risk := range c.Risk {
				if risk > 0 {
					a.low = min(a.low, math.Log10(risk)-0.15)
					a.high = max(a.high, math.Log10(risk)+0.15)
				}
			}
		}
	}
	return a
}

// y places a risk; what lies outside the axes, on their edge.
func (a axes) y(risk float64) float64 {
	at := (a.high - math.Log10(max(risk, 1e-300))) / (a.high - a.low)
	return plotTop + plotHeight*min(max(at, 0), 1)
}

// x places a number of queries.
func (r *Report) x(n int) float64 {
	low, high := math.Log(float64(r.Sizes[0])), math.Log(float64(r.Sizes[len(r.Sizes)-1]))
	return plotLeft + 10 + (plotWidth-20)*(math.Log(float64(n))-low)/(high-low)
}

func (r *Report) panel(b *strings.Builder, s *Result, a axes) {
	exponent := "e = " + fmt.Sprintf("%.3f", s.Exponent)
	if s.Seen < 1 {
		exponent = "no promise"
	}
	fmt.Fprintf(b, `<text class="t" x="%d" y="16">%s</text><text class="s" x="%d" y="32">%s</text>`+"\n", plotLeft, s.Name, plotLeft, s.caption()+exponent)
	fmt.Fprintf(b, `<rect class="grid" x="%d" y="%d" width="%d" height="%d"/>`+"\n", plotLeft, plotTop, plotWidth, plotHeight)
	for e := math.Ceil(a.low); e <= a.high; e++ {
		y := a.y(math.Pow(10, e))
		fmt.Fprintf(b, `<path class="grid" d="M%d %.1fh%d"/><text class="s e" x="%d" y="%.1f">%g</text>`+"\n", plotLeft, y, plotWidth, plotLeft-6, y+4, math.Pow(10, e))
	}
	for i, n := range r.Sizes {
		x := r.x(n)
		fmt.Fprintf(b, `<path class="grid" d="M%.1f %dv4"/>`, x, plotTop+plotHeight)
		if (len(r.Sizes)-1-i)%2 == 0 {
			fmt.Fprintf(b, `<text class="s m" x="%.1f" y="%d">%d</text>`, x, plotTop+plotHeight+16, n)
		}
	}
	b.WriteString("\n")
	fmt.Fprintf(b, `<path class="one" d="M%d %.1fh%d"/>`+"\n", plotLeft, a.y(s.BestSingle), plotWidth)
	for _, c := range s.Methods {
		if c.Method == KNN && s.Seen == 1 {
			fmt.Fprintf(b, `<path class="guide" d="%s"/>`+"\n", r.path(c.NoiseAlone, a))
		}
	}
	for i := range s.Methods {
		r.curve(b, &s.Methods[i], a)
	}
}

// caption says what is special about a scenario, in a few signs.
func (s *Result) caption() string {
	smoothness := fmt.Sprint(s.Smoothness)
	if s.CostSmoothness != s.Smoothness {
		smoothness = fmt.Sprintf("%g, cost %g", s.Smoothness, s.CostSmoothness)
	}
	return fmt.Sprintf("d = %d, γ = %s, α = %g, ", s.Dim, smoothness, s.Margin)
}

func (r *Report) path(risk []float64, a axes) string {
	var d strings.Builder
	for i, v := range risk {
		fmt.Fprintf(&d, "%c%.1f %.1f", "ML"[min(i, 1)], r.x(r.Sizes[i]), a.y(v))
	}
	return d.String()
}

func (r *Report) curve(b *strings.Builder, c *Curve, a axes) {
	mark := marks[c.Method]
	fmt.Fprintf(b, `<g class="%s"><path class="c" stroke-dasharray="%s" d="%s"/><path class="c" d="`, mark.class, mark.dash, r.path(c.Risk, a))
	for i, v := range c.Risk {
		fmt.Fprintf(b, "M%.1f %.1fV%.1f", r.x(r.Sizes[i]), a.y(v-1.96*c.RiskSE[i]), a.y(v+1.96*c.RiskSE[i]))
	}
	b.WriteString(`"/>`)
	for i, v := range c.Risk {
		fmt.Fprintf(b, `<g class="p" transform="translate(%.1f %.1f)">%s</g>`, r.x(r.Sizes[i]), a.y(v), mark.shape)
	}
	b.WriteString("</g>\n")
}

// writeKey explains the lines.
func writeKey(b *strings.Builder) {
	y := plotTop + 12
	line := func(path, mark, text string) {
		fmt.Fprintf(b, `%s%s<text x="%d" y="%d">%s</text>`+"\n", path, mark, plotLeft+58, y+4, text)
		y += 24
	}
	for _, m := range Methods() {
		line(fmt.Sprintf(`<g class="%s"><path class="c" stroke-dasharray="%s" d="M%d %dh46"/>`, marks[m].class, marks[m].dash, plotLeft, y),
			fmt.Sprintf(`<g class="p" transform="translate(%d %d)">%s</g></g>`, plotLeft+23, y, marks[m].shape), m.String())
	}
	line(fmt.Sprintf(`<path class="guide" d="M%d %dh46"/>`, plotLeft, y), "", "theory, right k: noise alone")
	line(fmt.Sprintf(`<path class="one" d="M%d %dh46"/>`, plotLeft, y), "", "the best single model for all")
}
