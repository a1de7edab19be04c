// Package svg writes charts as SVG: lines, text and markers on a [Canvas],
// placed by an [Axis].
//
// Elements carry CSS classes and no colours: whoever embeds a drawing styles
// it. Coordinates are in pixels, rounded to one decimal, so that equal drawings
// are equal bytes.
package svg

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Canvas collects SVG. Its methods escape text and labels; classes and
// attributes are written as given and must come from the program itself.
type Canvas struct{ strings.Builder }

// XY is a place on a canvas.
type XY struct{ X, Y float64 }

// Open begins an image whose size its surroundings decide. Screen readers take
// it as one image with the given label.
func (c *Canvas) Open(width, height float64, class, label string) {
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" class="%s" role="img" aria-label="%s">`, Px(width), Px(height), class, Escape(label))
}

// OpenFile begins an image that stands alone in a file, with its own style.
func (c *Canvas) OpenFile(width, height float64, title, description, style string) {
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %s %s" role="img">`, Px(width), Px(height), Px(width), Px(height))
	fmt.Fprintf(c, "<title>%s</title><desc>%s</desc>\n<style>\n%s</style>\n", Escape(title), Escape(description), style)
}

// Close ends the image and returns it.
func (c *Canvas) Close() string {
	c.WriteString("</svg>")
	return c.String()
}

// Text writes s at a place; anchor is start, middle or end.
func (c *Canvas) Text(x, y float64, class, anchor, s string) {
	fmt.Fprintf(c, `<text x="%s" y="%s" class="%s" text-anchor="%s">%s</text>`, Px(x), Px(y), class, anchor, Escape(s))
}

// Line draws a straight line.
func (c *Canvas) Line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(c, `<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>`, Px(x1), Px(y1), Px(x2), Px(y2), class)
}

// Rect draws a rectangle with the given attributes.
func (c *Canvas) Rect(x, y, width, height float64, attributes string) {
	fmt.Fprintf(c, `<rect x="%s" y="%s" width="%s" height="%s" %s/>`, Px(x), Px(y), Px(width), Px(height), attributes)
}

// Polyline draws a line through places. Of neighbours that round to the same
// place, only the first is written.
func (c *Canvas) Polyline(places []XY, class string) {
	c.WriteString(`<path class="` + class + `" d="`)
	last, command := "", "M"
	for _, p := range places {
		if at := Px(p.X) + " " + Px(p.Y); at != last {
			c.WriteString(command + at)
			last, command = at, "L"
		}
	}
	c.WriteString(`"/>`)
}

// Shape is a marker that tells a series apart without colour.
type Shape int

// The shapes. Charts with more series repeat the cross.
const (
	NoShape Shape = iota
	Circle
	Square
	Triangle
	Diamond
	Cross
)

// Marker draws a shape of the class mark around a place; size is about half its
// width.
func (c *Canvas) Marker(shape Shape, p XY, size float64) {
	x, y, s := p.X, p.Y, size
	switch shape {
	case NoShape:
	case Circle:
		fmt.Fprintf(c, `<circle class="mark" cx="%s" cy="%s" r="%s"/>`, Px(x), Px(y), Px(s))
	case Square:
		c.Rect(x-s*0.9, y-s*0.9, s*1.8, s*1.8, `class="mark"`)
	case Triangle:
		fmt.Fprintf(c, `<path class="mark" d="M%s %sL%s %sL%s %sZ"/>`, Px(x), Px(y-s*1.2), Px(x+s*1.15), Px(y+s), Px(x-s*1.15), Px(y+s))
	case Diamond:
		fmt.Fprintf(c, `<path class="mark" d="M%s %sL%s %sL%s %sL%s %sZ"/>`, Px(x), Px(y-s*1.3), Px(x+s*1.3), Px(y), Px(x), Px(y+s*1.3), Px(x-s*1.3), Px(y))
	default:
		fmt.Fprintf(c, `<path class="mark open" d="M%s %sL%s %sM%s %sL%s %s"/>`, Px(x-s), Px(y-s), Px(x+s), Px(y+s), Px(x-s), Px(y+s), Px(x+s), Px(y-s))
	}
}

// Escape makes a text safe within an element and within a quoted attribute.
func Escape(s string) string { return html.EscapeString(s) }

// Px writes a coordinate with at most one decimal; 0 for a number that is not
// finite.
func Px(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "0"
	}
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}
