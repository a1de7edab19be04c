package dashboard

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/svg"
)

// chart draws for a wide and for a narrow window, of which the style shows one.
func chart(draw func(width float64) string) template.HTML {
	return template.HTML(`<div class="wide">` + draw(760) + `</div><div class="narrow">` + draw(330) + `</div>`)
}

// colours is how many series have a colour of their own; others share one.
const colours = 7

func colour(i int) string {
	if i < colours {
		return fmt.Sprintf("m%d", i)
	}
	return "more"
}

// bar is a bar of a chart, with a part for every series.
type bar struct {
	Name  string // for people
	Tick  string // below the bar; empty: nothing
	Parts []float64
}

// stacked draws bars one after the other. label is what screen readers say.
func stacked(label string, bars []bar, value func(float64) string) template.HTML {
	return chart(func(width float64) string {
		const height, left, right, top, bottom = 220, 52, 6, 10, 24
		most := 0.0
		for _, b := range bars {
			most = max(most, sum(b.Parts))
		}
		if most == 0 {
			most = 1
		}
		y := svg.Axis{Low: 0, High: most * 1.05, From: height - bottom, To: top}
		c := &svg.Canvas{}
		c.Open(width, height, "chart", label)
		for _, t := range y.Ticks(4) {
			c.Line(left, y.At(t), width-right, y.At(t), "grid")
			c.Text(left-6, y.At(t)+4, "tick", "end", value(t))
		}
		step := (width - left - right) / float64(max(len(bars), 1))
		every := int(math.Ceil(46 / step))
		for i, b := range bars {
			x, base := left+step*float64(i), 0.0
			fmt.Fprintf(c, "<g><title>%s: %s</title>", svg.Escape(b.Name), svg.Escape(value(sum(b.Parts))))
			for k, part := range b.Parts {
				if part > 0 {
					c.Rect(x+step*.08, y.At(base+part), step*.84, y.At(base)-y.At(base+part), `class="`+colour(k)+`"`)
					base += part
				}
			}
			c.WriteString("</g>")
			if b.Tick != "" && i%every == 0 {
				c.Text(x+step/2, height-6, "tick", "middle", b.Tick)
			}
		}
		c.Line(left, y.At(0), width-right, y.At(0), "axis")
		return c.Close()
	})
}

func sum(list []float64) (total float64) {
	for _, v := range list {
		total += v
	}
	return total
}

// spot is a marked place on a curve.
type spot struct {
	X, Y        float64
	Name, Class string
	Shape       svg.Shape
}

// curve draws costs and qualities: a line through places, and marked ones.
func curve(label string, line []svg.XY, spots []spot) template.HTML {
	return chart(func(width float64) string {
		const height, left, right, top, bottom = 300, 46, 16, 12, 42
		lowX, highX, lowY, highY := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
		add := func(x, y float64) {
			if !math.IsNaN(x + y) {
				lowX, highX, lowY, highY = min(lowX, x), max(highX, x), min(lowY, y), max(highY, y)
			}
		}
		for _, p := range line {
			add(p.X, p.Y)
		}
		for _, s := range spots {
			add(s.X, s.Y)
		}
		c := &svg.Canvas{}
		c.Open(width, height, "chart", label)
		if lowX > highX {
			return c.Close()
		}
		padX, padY := max((highX-lowX)*.06, highX*.02, 1e-12), max((highY-lowY)*.1, .005)
		x := svg.Axis{Low: max(lowX-padX, 0), High: highX + padX, From: left, To: width - right}
		y := svg.Axis{Low: lowY - padY, High: highY + padY, From: height - bottom, To: top}
		for _, t := range y.Ticks(5) {
			c.Line(left, y.At(t), width-right, y.At(t), "grid")
			c.Text(left-6, y.At(t)+4, "tick", "end", svg.Tick(t))
		}
		for _, t := range x.Ticks(max(int(width/110), 2)) {
			c.Line(x.At(t), top, x.At(t), height-bottom, "grid")
			c.Text(x.At(t), height-bottom+16, "tick", "middle", phrase.USD(t))
		}
		c.Text(width-right, height-6, "title", "end", "USD per request →")
		c.Text(left, height-6, "title", "start", "↑ expected quality")
		places := make([]svg.XY, 0, len(line))
		for _, p := range line {
			if !math.IsNaN(p.X + p.Y) {
				places = append(places, svg.XY{X: x.At(p.X), Y: y.At(p.Y)})
			}
		}
		c.Polyline(places, "line")
		for _, s := range spots {
			if math.IsNaN(s.X + s.Y) {
				continue
			}
			fmt.Fprintf(c, `<g class="%s"><title>%s</title>`, s.Class, svg.Escape(s.Name))
			c.Marker(s.Shape, svg.XY{X: x.At(s.X), Y: y.At(s.Y)}, 6)
			c.WriteString("</g>")
		}
		return c.Close()
	})
}

// meter draws how much of a whole is used, with a mark for what is due by now; NaN: no mark.
func meter(label string, used, due float64) template.HTML {
	const width, height = 160, 14
	c := &svg.Canvas{}
	c.Open(width, height, "meter", label)
	c.Rect(0, 2, width, height-4, `class="track" rx="3"`)
	class := "fill"
	if used > 1 {
		class = "over"
	}
	if used > 0 {
		c.Rect(0, 2, width*min(used, 1), height-4, `class="`+class+`" rx="3"`)
	}
	if due >= 0 && due <= 1 {
		c.Line(width*due, 0, width*due, height, "due")
	}
	return template.HTML(c.Close())
}

// whisker draws a value and a margin on either side of it on a scale.
func whisker(value, margin, low, high float64) template.HTML {
	const width, height, edge = 120, 14, 5
	x := svg.Axis{Low: low, High: high, From: edge, To: width - edge}
	place := func(v float64) float64 { return x.At(min(max(v, low), high)) }
	c := &svg.Canvas{}
	c.Open(width, height, "whisker", fmt.Sprintf("from %s to %s", decimals(max(value-margin, 0), 3), decimals(min(value+margin, 1), 3)))
	c.Line(edge, height/2, width-edge, height/2, "edge")
	c.Line(place(value-margin), height/2, place(value+margin), height/2, "range")
	fmt.Fprintf(c, `<circle class="spot" cx="%.1f" cy="%d" r="4.5"/>`, place(value), height/2)
	return template.HTML(c.Close())
}

// swatch draws the colour of a series for a legend.
func swatch(i int) template.HTML {
	return template.HTML(`<svg class="swatch" viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" rx="2" class="` + colour(i) + `"/></svg>`)
}

// functions are those of all templates.
var functions = template.FuncMap{
	"usd":     usd,
	"share":   share,
	"count":   func(n any, one string) string { return counted(n, one) },
	"quality": func(v float64) string { return decimals(v, 3) },
	"swatch":  swatch,
	"join":    strings.Join,
	"ms":      milliseconds,
	"day":     func(t time.Time) string { return t.UTC().Format(time.DateOnly) },
	"moment":  moment,
	"clock":   func(t time.Time) string { return t.UTC().Format(time.TimeOnly) },
	"when":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
}

// moment writes a time in UTC, without seconds that nobody asks for.
func moment(v any) string {
	t, ok := v.(time.Time)
	if p, isPointer := v.(*time.Time); isPointer && p != nil {
		t, ok = *p, true
	}
	switch t = t.UTC(); {
	case !ok:
		return "unknown"
	case t.Equal(t.Truncate(ledger.Day)):
		return t.Format(time.DateOnly)
	}
	return t.Format("2006-01-02 15:04 UTC")
}

func usd(v any) string {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) {
			return "unknown"
		}
		if v < 0 {
			return "−" + phrase.USD(-v)
		}
		return phrase.USD(v)
	case interface{ Float() float64 }:
		return usd(v.Float())
	}
	return "unknown"
}

// share writes a share in percent.
func share(v float64) string {
	switch {
	case math.IsNaN(v):
		return "unknown"
	case math.Abs(v) < .0995:
		return strings.Replace(fmt.Sprintf("%.1f%%", 100*v), "-", "−", 1)
	}
	return strings.Replace(fmt.Sprintf("%.0f%%", 100*v), "-", "−", 1)
}

func decimals(v float64, n int) string {
	if math.IsNaN(v) {
		return "unknown"
	}
	return strings.Replace(fmt.Sprintf("%.*f", n, v), "-", "−", 1)
}

func counted(n any, one string) string {
	switch n := n.(type) {
	case int:
		return phrase.Count(n, one)
	case int64:
		return phrase.Count(n, one)
	}
	return fmt.Sprint(n, " ", one)
}

func milliseconds(seconds float64) string {
	switch {
	case math.IsNaN(seconds):
		return "unknown"
	case seconds >= 10:
		return fmt.Sprintf("%.0f s", seconds)
	case seconds >= 1:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < .00995:
		return fmt.Sprintf("%.1f ms", 1000*seconds)
	}
	return fmt.Sprintf("%.0f ms", 1000*seconds)
}
