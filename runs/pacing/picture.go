package main

import (
	"fmt"
	"io"

	"github.com/carrot-router/carrot/internal/svg"
)

// The picture's sizes, in pixels: a column for each scenario, with the spending above
// and the factor below.
const (
	panelWidth               = 400
	plotLeft, plotWidth      = 56, 328
	spentTop, spentHeight    = 86, 180
	factorTop, factorHeight  = 312, 150
	pictureWidth, pictureEnd = 2*panelWidth + 8, 540
)

// drawn are the scenarios and methods of the picture, and the budget's share.
var (
	drawnScenarios = []scenario{scenarios[0], scenarios[1]}
	drawnMethods   = []method{refuse, {name: "k = 2", pacing: 2}, {name: "k = 16", pacing: 16}}
)

const drawnShare = 0.8

const style = `svg{--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--page:#ffffff;--a:#bc4c00;--b:#0550ae;--c:#1a7f37}
@media(prefers-color-scheme:dark){svg{--ink:#f0f6fc;--soft:#9198a1;--line:#3d444d;--page:#0d1117;--a:#ffa657;--b:#79c0ff;--c:#7ee787}}
text{font:12px system-ui,sans-serif;fill:var(--ink)}
.head{font-size:17px;font-weight:600}.name{font-weight:600}.tick{fill:var(--soft);font-size:11px}
.page{fill:var(--page)}.grid{stroke:var(--line);fill:none}.even{stroke:var(--soft);stroke-dasharray:1 4;stroke-width:2}
.line{fill:none;stroke:currentColor;stroke-width:1.8}
.m0{color:var(--a)}.m1{color:var(--b)}.m2{color:var(--c)}
.m0 .line{stroke-dasharray:2 3}.m1 .line{stroke-dasharray:8 3}
`

// draw draws what is spent and the factor on the willingness to pay over one month of
// the recorded queries, with a budget of 80% of what the policy would spend.
func draw(w io.Writer, data *outcomes, o options) error {
	var c svg.Canvas
	c.OpenFile(pictureWidth, pictureEnd, "A budget that is spent with and without pacing",
		"Over 30 days, in two kinds of traffic: above, the share of the budget that is spent; below, the factor on the willingness to pay.", style)
	c.Rect(0, 0, pictureWidth, pictureEnd, `class="page"`)
	c.Text(16, 26, "head", "start", "A budget that is spent with and without pacing")
	c.Text(16, 45, "tick", "start", fmt.Sprintf("one month of %d requests from %s, whose budget is %.0f%% of what the policy would spend", o.Requests, data.name, 100*drawnShare))
	c.WriteString("\n")
	ease := data.byEase()
	for i, s := range drawnScenarios {
		requests := data.month(s, o.Requests, o.Seed, 0, ease)
		amount := drawnShare * data.free(requests)
		left := float64(i*panelWidth + plotLeft)
		days := svg.Axis{High: 30, From: left, To: left + plotWidth}
		spent := svg.Axis{High: 1, From: spentTop + spentHeight, To: spentTop}
		factor := svg.Axis{Low: 1.0 / 8, High: 8, From: factorTop + factorHeight, To: factorTop, Log: true}
		c.Text(left, spentTop-12, "name", "start", s.name+" traffic: share of the budget spent")
		c.Text(left, factorTop-12, "name", "start", "factor on the willingness to pay")
		frame(&c, days, spent, []float64{0, 0.25, 0.5, 0.75, 1}, []string{"0", "25%", "50%", "75%", "100%"})
		frame(&c, days, factor, []float64{1.0 / 8, 1.0 / 4, 1.0 / 2, 1, 2, 4, 8}, []string{"1/8", "1/4", "1/2", "1", "2", "4", "8"})
		c.Line(days.From, spent.From, days.To, spent.To, "even")
		for k, m := range drawnMethods {
			var above, below []svg.XY
			data.spend(requests, amount, m, func(minute int, f, usd float64) {
				if minute%(3*60) == 0 {
					x := days.At(float64(minute) / day)
					above = append(above, svg.XY{X: x, Y: spent.At(min(usd/amount, 1))})
					below = append(below, svg.XY{X: x, Y: factor.At(f)})
				}
			})
			fmt.Fprintf(&c, `<g class="m%d">`, k)
			c.Polyline(above, "line")
			c.Polyline(below, "line")
			c.WriteString("</g>\n")
		}
	}
	x := float64(plotLeft)
	for k, m := range drawnMethods {
		fmt.Fprintf(&c, `<g class="m%d">`, k)
		c.Line(x, pictureEnd-24, x+40, pictureEnd-24, "line")
		c.WriteString("</g>")
		name := "pacing, " + m.name
		if m.pacing == 0 {
			name = "none, then refused"
		}
		c.Text(x+48, pictureEnd-20, "", "start", name)
		x += 190
	}
	c.Line(x, pictureEnd-24, x+40, pictureEnd-24, "even")
	c.Text(x+48, pictureEnd-20, "", "start", "as time passes")
	_, err := io.WriteString(w, c.Close()+"\n")
	return err
}

// frame draws the axes of a panel.
func frame(c *svg.Canvas, days, y svg.Axis, ticks []float64, names []string) {
	c.Rect(days.From, y.To, plotWidth, y.From-y.To, `class="grid"`)
	for i, v := range ticks {
		c.Line(days.From, y.At(v), days.To, y.At(v), "grid")
		c.Text(days.From-6, y.At(v)+4, "tick", "end", names[i])
	}
	for d := 0.0; d <= 30; d += 5 {
		c.Line(days.At(d), y.From, days.At(d), y.From+4, "grid")
		c.Text(days.At(d), y.From+16, "tick", "middle", fmt.Sprintf("%.0f", d))
	}
	c.Text(days.To, y.From+30, "tick", "end", "day")
	c.WriteString("\n")
}
