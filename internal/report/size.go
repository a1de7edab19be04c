package report

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is the size of a drawing in pixels. The zero value is the usual size, 960 by
// 540. Drawings narrower than 600 are made for a column of text.
type Size struct {
	Width, Height float64
	// plot says that Height is the plot's alone, as for the named sizes.
	plot bool
}

// narrowBelow is the width under which a drawing has numbers beside its curves and
// their names below.
const narrowBelow = 600

// The named sizes have text of about eight points when they are as wide as a column
// (8.4 cm) or as the text (17.5 cm) of a page.
var sizes = map[string]Size{"column": {380, 300, true}, "page": {760, 400, true}}

// ParseSize reads column, page, or a width and a height in pixels, as in 800x450.
func ParseSize(text string) (Size, error) {
	if s, ok := sizes[text]; ok {
		return s, nil
	}
	width, height, ok := strings.Cut(text, "x")
	w, err := strconv.Atoi(width)
	h, err2 := strconv.Atoi(height)
	if !ok || err != nil || err2 != nil {
		return Size{}, fmt.Errorf("size %q: want column, page, or WIDTHxHEIGHT in pixels, such as 800x450", text)
	}
	if w < 280 || w > 10000 || h < 200 || h > 10000 {
		return Size{}, fmt.Errorf("size %q: want a width from 280 and a height from 200, both up to 10000", text)
	}
	return Size{Width: float64(w), Height: float64(h)}, nil
}

// Column reports whether the size is that of a column.
func (s Size) Column() bool { return s.Width > 0 && s.Width < narrowBelow }

// geometry is the shape of the chart of that size.
func (s Size) geometry() geometry {
	if s == (Size{}) {
		return wide
	}
	g := wide
	if s.Column() {
		g = narrow
	}
	g.width, g.height = s.Width, s.Height
	return g
}
