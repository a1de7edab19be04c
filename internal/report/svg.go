package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// canvas collects SVG. Text and attributes from a report go through its methods
// or esc, which escape them.
type canvas struct{ strings.Builder }

func esc(s string) string { return html.EscapeString(s) }

// px writes a coordinate with one decimal at most.
func px(v float64) string {
	if !finite(v) {
		return "0"
	}
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// open begins an svg element that screen readers take as one image.
func (c *canvas) open(width, height float64, class, label string) {
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" class="%s" role="img" aria-label="%s">`, px(width), px(height), class, esc(label))
}

func (c *canvas) close() template.HTML {
	c.WriteString("</svg>")
	return template.HTML(c.String()) // all of it was escaped when written
}

func (c *canvas) text(x, y float64, class, anchor, s string) {
	fmt.Fprintf(c, `<text x="%s" y="%s" class="%s" text-anchor="%s">%s</text>`, px(x), px(y), class, anchor, esc(s))
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(c, `<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>`, px(x1), px(y1), px(x2), px(y2), class)
}

func (c *canvas) rect(x, y, w, h float64, attributes string) {
	fmt.Fprintf(c, `<rect x="%s" y="%s" width="%s" height="%s" %s/>`, px(x), px(y), px(w), px(h), attributes)
}

// xy is a place on a canvas.
type xy struct{ x, y float64 }

// polyline draws a line through places, without those that round to the same.
func (c *canvas) polyline(places []xy, class string) {
	c.WriteString(`<path class="` + class + `" d="`)
	last, command := "", "M"
	for _, p := range places {
		if at := px(p.x) + " " + px(p.y); at != last {
			c.WriteString(command + at)
			last, command = at, "L"
		}
	}
	c.WriteString(`"/>`)
}

// marker draws one of the shapes that tell series apart without colour.
func (c *canvas) marker(shape int, p xy, size float64) {
	x, y, s := p.x, p.y, size
	switch shape {
	case 0:
	case 1:
		fmt.Fprintf(c, `<circle class="mark" cx="%s" cy="%s" r="%s"/>`, px(x), px(y), px(s))
	case 2:
		c.rect(x-s*0.9, y-s*0.9, s*1.8, s*1.8, `class="mark"`)
	case 3:
		fmt.Fprintf(c, `<path class="mark" d="M%s %sL%s %sL%s %sZ"/>`, px(x), px(y-s*1.2), px(x+s*1.15), px(y+s), px(x-s*1.15), px(y+s))
	case 4:
		fmt.Fprintf(c, `<path class="mark" d="M%s %sL%s %sL%s %sL%s %sZ"/>`, px(x), px(y-s*1.3), px(x+s*1.3), px(y), px(x), px(y+s*1.3), px(x-s*1.3), px(y))
	default:
		fmt.Fprintf(c, `<path class="mark open" d="M%s %sL%s %sM%s %sL%s %s"/>`, px(x-s), px(y-s), px(x+s), px(y+s), px(x-s), px(y+s), px(x+s), px(y-s))
	}
}

// axis maps values to places.
type axis struct {
	low, high float64 // values
	from, to  float64 // places
	log       bool
}

func (a axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		low, high, v = math.Log(low), math.Log(high), math.Log(max(v, a.low))
	}
	if high == low {
		return (a.from + a.to) / 2
	}
	return a.from + (v-low)/(high-low)*(a.to-a.from)
}

// ticks are round values within the axis, about n of them.
func (a axis) ticks(n int) []float64 {
	if a.log {
		return a.logTicks(n)
	}
	if !(a.high > a.low) || math.IsInf(a.high-a.low, 0) {
		return []float64{a.low}
	}
	step := math.Pow(10, math.Floor(math.Log10((a.high-a.low)/float64(n))))
	for _, f := range []float64{1, 2, 2.5, 5, 10} {
		if (a.high-a.low)/(f*step) <= float64(n) {
			step *= f
			break
		}
	}
	var out []float64
	first := math.Ceil(a.low/step - 1e-9)
	for k := range n + 2 {
		if v := (first + float64(k)) * step; v <= a.high+step*1e-9 {
			out = append(out, v)
		}
	}
	return out
}

func (a axis) logTicks(n int) []float64 {
	var out []float64
	for _, factors := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
		out = out[:0]
		for e := math.Floor(math.Log10(max(a.low, 1e-300))); e <= math.Ceil(math.Log10(min(a.high, 1e300))); e++ {
			for _, f := range factors {
				if v := f * math.Pow(10, e); v >= a.low*(1-1e-9) && v <= a.high*(1+1e-9) {
					out = append(out, v)
				}
			}
		}
		if len(out) <= n+1 {
			break
		}
	}
	return out
}

// tick writes a tick's value.
func tick(v float64) string {
	if math.Abs(v) < 1e-12 {
		return "0"
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 3, 64), 64)
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// spread moves labels apart: the places, rising, keep at least gap and stay
// between low and high where they can.
func spread(at []float64, gap, low, high float64) {
	for i := range at {
		at[i] = max(at[i], low)
		if i > 0 {
			at[i] = max(at[i], at[i-1]+gap)
		}
	}
	for i := len(at) - 1; i >= 0; i-- {
		at[i] = min(at[i], high)
		if i < len(at)-1 {
			at[i] = min(at[i], at[i+1]-gap)
		}
	}
}
