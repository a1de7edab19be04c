package report

import (
	"fmt"
	"html/template"

	"github.com/carrot-router/carrot/internal/svg"
)

// table is a table for HTML and Markdown.
type table struct {
	Caption string
	Class   string
	Head    []cell
	Rows    []row
}

type row struct {
	Class string
	Cells []cell
}

// cell is a cell of a table; one with a Figure draws it before the text.
type cell struct {
	Text   string
	Small  string // under the text
	Class  string
	Title  string
	Figure template.HTML
	Head   bool
}

func head(texts ...string) []cell {
	out := make([]cell, len(texts))
	for k, t := range texts {
		out[k] = cell{Text: t, Head: true}
		if k > 0 {
			out[k].Class = "n"
		}
	}
	return out
}

// num is a cell with a number.
func num(text string) cell { return cell{Text: text, Class: "n"} }

// name is the cell that names a row.
func name(text string) cell { return cell{Text: text, Head: true} }

// routerName names a router with its marker, if it has one.
func routerName(s *series) cell {
	c := name(s.line.Name)
	if s.shape > 0 || s.class != "thin" {
		c.Figure = swatch(s)
	}
	return c
}

// swatch is a series' line and marker, for legends.
func swatch(s *series) template.HTML {
	var c svg.Canvas
	fmt.Fprintf(&c, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 34 12" class="swatch" aria-hidden="true"><g class="curve %s">`, s.class)
	drawSwatch(&c, s, 0, 6)
	c.WriteString("</g>")
	return markup(&c)
}

// drawSwatch draws a series' line and marker, 34 wide, around the height y.
func drawSwatch(c *svg.Canvas, s *series, x, y float64) {
	if s.class == "single" {
		c.Marker(svg.Diamond, svg.XY{X: x + 17, Y: y}, 4.5)
		return
	}
	c.Polyline([]svg.XY{{X: x + 1, Y: y}, {X: x + 33, Y: y}}, "line")
	if s.shape > 0 {
		c.Marker(s.shape, svg.XY{X: x + 17, Y: y}, 4)
	}
}

// whisker draws a value and its interval on a common axis. A line marks zero if
// the axis contains it.
func whisker(value, low, high float64, domain [2]float64, class string) template.HTML {
	if !finite(value) {
		return ""
	}
	var c svg.Canvas
	a := svg.Axis{Low: domain[0], High: domain[1], From: 6, To: 154}
	c.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 16" class="whisker ` + class + `" aria-hidden="true">`)
	if domain[0] < 0 && domain[1] > 0 {
		c.Line(a.At(0), 0, a.At(0), 16, "zeroline")
	}
	if finite(low) && finite(high) {
		c.Line(a.At(low), 8, a.At(high), 8, "bar")
		c.Line(a.At(low), 4, a.At(low), 12, "bar")
		c.Line(a.At(high), 4, a.At(high), 12, "bar")
	}
	c.Marker(svg.Circle, svg.XY{X: a.At(value), Y: 8}, 3.5)
	return markup(&c)
}

// widen widens a domain to contain the values.
func widen(domain [2]float64, values ...float64) [2]float64 {
	for _, v := range values {
		if finite(v) {
			domain[0], domain[1] = min(domain[0], v), max(domain[1], v)
		}
	}
	return domain
}

// markup ends a drawing, which escaped its texts when it wrote them.
func markup(c *svg.Canvas) template.HTML { return template.HTML(c.Close()) }
