package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"

	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/svg"
)

// geometry is the shape of a chart: wide for screens and paper, narrow for
// phones, where curves are labelled with their numbers only.
type geometry struct {
	width, height            float64
	left, right, top, bottom float64
	narrow                   bool
}

var (
	wide   = geometry{960, 540, 58, 196, 14, 46, false}
	narrow = geometry{380, 430, 42, 24, 12, 44, true}
)

// view is one view of the curves.
type view struct {
	log, near bool
	geometry
}

func (v view) name() string {
	name := "linear"
	if v.log {
		name = "log"
	}
	if v.near {
		return name + " near"
	}
	return name + " all"
}

// plot draws the curves in a view.
type plot struct {
	svg.Canvas
	b    *board
	view view
	x, y svg.Axis
	id   string
}

func (b *board) newPlot(all []series, v view) *plot {
	w := b.window(all, v.log, v.near)
	size := "wide"
	if v.narrow {
		size = "narrow"
	}
	return &plot{b: b, view: v, id: size + "-" + v.name(),
		x: svg.Axis{Low: w.x0, High: w.x1, From: v.left, To: v.width - v.right, Log: v.log},
		y: svg.Axis{Low: w.y0, High: w.y1, From: v.height - v.bottom, To: v.top}}
}

// curves draws all series as inline SVG.
func (b *board) curves(all []series, v view) template.HTML {
	p := b.newPlot(all, v)
	p.begin()
	p.draw(all)
	return markup(&p.Canvas)
}

func (p *plot) draw(all []series) {
	p.grid()
	p.body(all)
	p.edgeLabels(all)
}

func (p *plot) begin() {
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" class="chart curves" role="img" aria-label="%s" data-x="%s %s %s %s" data-y="%s %s %s %s" data-log="%t">`,
		svg.Px(p.view.width), svg.Px(p.view.height), svg.Escape(p.summary()),
		number(p.x.Low), number(p.x.High), svg.Px(p.x.From), svg.Px(p.x.To), number(p.y.Low), number(p.y.High), svg.Px(p.y.From), svg.Px(p.y.To), p.view.log)
	p.window()
}

// summary describes the chart for readers who cannot see it.
func (p *plot) summary() string {
	scale := "linear"
	if p.view.log {
		scale = "logarithmic"
	}
	return fmt.Sprintf("Mean quality against mean cost of %s; %s cost axis", plural(len(p.b.Routers), "row"), scale)
}

// window defines the rectangle that curves are clipped to.
func (p *plot) window() {
	id := p.clip()
	fmt.Fprintf(p, `<clipPath id="%s">`, id)
	p.Rect(p.x.From, p.y.To, p.x.To-p.x.From, p.y.From-p.y.To, "")
	p.WriteString("</clipPath>")
}

func (p *plot) clip() string {
	id := []byte("clip-" + p.id)
	for i, c := range id {
		if c == ' ' {
			id[i] = '-'
		}
	}
	return string(id)
}

// grid draws the axes.
func (p *plot) grid() {
	across, up := 9, 8
	if p.view.narrow {
		across = 5
	}
	for _, v := range p.y.Ticks(up) {
		y := p.y.At(v)
		p.Line(p.x.From, y, p.x.To, y, "grid")
		p.Text(p.x.From-7, y+4, "tick", "end", svg.Tick(v))
	}
	for _, v := range p.x.Ticks(across) {
		x := p.x.At(v)
		p.Line(x, p.y.From, x, p.y.From+5, "axis")
		p.Text(x, p.y.From+19, "tick", "middle", svg.Tick(v))
	}
	p.Line(p.x.From, p.y.From, p.x.To, p.y.From, "axis")
	title := p.b.unit.axis()
	if p.view.log {
		title += ", log scale"
	}
	p.Text((p.x.From+p.x.To)/2, p.view.height-6, "title", "middle", title)
	p.Text(p.x.From+6, p.y.To+12, "title", "start", "mean quality")
}

// body draws the curves, thin ones first and the report's first router last.
func (p *plot) body(all []series) {
	fmt.Fprintf(p, `<g clip-path="url(#%s)">`, p.clip())
	layers := map[string]int{"thin": 0, "oracle": 1, "mean": 1, "zero": 2, "s1": 8}
	ordered := slices.Clone(all)
	slices.SortStableFunc(ordered, func(a, b series) int {
		layer := func(s series) int {
			if l, ok := layers[s.class]; ok {
				return l
			}
			return 7 - int(s.shape)
		}
		return cmp.Compare(layer(a), layer(b))
	})
	for _, s := range ordered {
		if len(s.points) == 0 {
			continue
		}
		fmt.Fprintf(p, `<g class="curve %s" data-r="%d">`, s.class, s.index)
		p.curve(s)
		p.WriteString("</g>")
	}
	p.WriteString("</g>")
	for _, s := range all {
		if s.class == "zero" {
			p.singles(s)
		}
	}
}

func (p *plot) place(q frontier.Point) svg.XY {
	return svg.XY{X: p.x.At(1000 * q.Cost), Y: p.y.At(q.Quality)}
}

func (p *plot) curve(s series) {
	line := pointsOf(s)
	if s.class == "zero" {
		line = p.mixtures(frontier.Hull(line))
	}
	places := make([]svg.XY, len(line))
	for k, q := range line {
		places[k] = p.place(q)
	}
	switch {
	case s.class == "single":
		p.Marker(svg.Diamond, places[0], 6)
	case s.scattered():
		for _, at := range places {
			p.Marker(max(s.shape, svg.Circle), at, 4)
		}
	case len(places) == 1:
		p.Marker(svg.Circle, places[0], 3)
	default:
		p.Polyline(places, "line")
		p.markers(s.shape, places)
	}
}

// mixtures adds points along the straight lines of a hull, because a log axis
// bends them.
func (p *plot) mixtures(hull []frontier.Point) []frontier.Point {
	if !p.view.log {
		return hull
	}
	const steps = 12
	var out []frontier.Point
	for k, q := range hull {
		if k > 0 {
			before := hull[k-1]
			for s := 1; s < steps; s++ {
				t := float64(s) / steps
				out = append(out, frontier.Point{Cost: before.Cost + t*(q.Cost-before.Cost), Quality: before.Quality + t*(q.Quality-before.Quality)})
			}
		}
		out = append(out, q)
	}
	return out
}

// markers puts a series' shape along its line at even distances.
func (p *plot) markers(shape svg.Shape, places []svg.XY) {
	if shape == svg.NoShape {
		return
	}
	gap := 95.0
	if p.view.narrow {
		gap = 70
	}
	walked := gap * float64(shape) / (emphasised + 1)
	for k, at := range places {
		if k > 0 {
			walked += math.Hypot(at.X-places[k-1].X, at.Y-places[k-1].Y)
		}
		if walked >= gap {
			p.Marker(shape, at, 4)
			walked = 0
		}
	}
}

// singles draws the single models, with their names where there is room.
func (p *plot) singles(s series) {
	fmt.Fprintf(p, `<g class="singles" data-r="%d">`, s.index)
	var taken [][4]float64
	free := func(r [4]float64) bool {
		return r[0] > p.x.From && r[2] < p.x.To && r[1] > p.y.To && r[3] < p.y.From &&
			!slices.ContainsFunc(taken, func(t [4]float64) bool { return r[0] < t[2] && t[0] < r[2] && r[1] < t[3] && t[1] < r[3] })
	}
	for _, q := range s.points {
		if at := p.place(frontier.Point{Cost: q.CostUSD, Quality: q.Quality}); p.inside(at) {
			p.Marker(svg.Diamond, at, 3.4)
			taken = append(taken, [4]float64{at.X - 5, at.Y - 5, at.X + 5, at.Y + 5})
		}
	}
	for _, q := range s.points {
		at := p.place(frontier.Point{Cost: q.CostUSD, Quality: q.Quality})
		if !p.inside(at) || p.view.narrow && q.Model != p.b.BestSingle {
			continue
		}
		width := 6.3 * float64(len([]rune(q.Model)))
		for _, try := range []struct {
			anchor string
			x, y   float64
		}{{"start", 8, 4}, {"end", -8, 4}, {"start", 4, 18}, {"end", -4, 18}, {"end", -4, -9}, {"start", 4, -9}} {
			x := at.X + try.x
			if try.anchor == "end" {
				x -= width
			}
			if r := [4]float64{x, at.Y + try.y - 10, x + width, at.Y + try.y + 3}; free(r) {
				taken = append(taken, r)
				p.Text(at.X+try.x, at.Y+try.y, "name", try.anchor, q.Model)
				break
			}
		}
	}
	p.WriteString("</g>")
}

func (p *plot) inside(at svg.XY) bool {
	return at.X >= p.x.From-0.1 && at.X <= p.x.To+0.1 && at.Y >= p.y.To-0.1 && at.Y <= p.y.From+0.1
}

// edgeLabel names a series at the right edge.
type edgeLabel struct {
	s     series
	from  svg.XY // the last of its points in the window
	text  string
	above bool // the series leaves the window at the top
}

// edgeLabel finds where a series is to be named. ok is false for one that is
// named only on demand.
func (p *plot) edgeLabel(s series) (l edgeLabel, ok bool) {
	l = edgeLabel{s: s, text: s.label}
	l.above = finite(s.line.Peak) && float64(s.line.Peak) > p.y.High
	if len(s.points) == 0 || s.label == "" && !l.above || p.view.narrow && s.shape == 0 {
		return l, false
	}
	if l.above {
		if l.text == "" {
			l.text = s.line.Name
		}
		l.text, l.from = "↑ "+l.text+", "+decimals(s.line.Peak, 3), svg.XY{X: p.x.To, Y: p.y.To}
		return l, true
	}
	if s.shape > 0 {
		l.text = s.key() + " " + l.text
	}
	for _, q := range pointsOf(s) {
		if at := p.place(q); p.inside(at) && (!ok || at.X > l.from.X) {
			l.from, ok = at, true
		}
	}
	return l, ok
}

// edgeLabels names, at the right edge, the emphasised series, the references and
// the series that leave the window at the top.
func (p *plot) edgeLabels(all []series) {
	var labels []edgeLabel
	for _, s := range all {
		if l, ok := p.edgeLabel(s); ok {
			labels = append(labels, l)
		}
	}
	at := settle(labels, 18, p.y.To+2, p.y.From-4)
	for k, l := range labels {
		fmt.Fprintf(p, `<g class="edge %s" data-r="%d">`, l.s.class, l.s.index)
		x := p.x.To + 8
		switch {
		case p.view.narrow:
			p.Text(x+4, at[k]+4, "label", "start", l.s.key())
		case l.above:
			p.Text(x+8, at[k]+4, "label", "start", p.view.fit(l.text, 16))
		default:
			p.Polyline([]svg.XY{{X: l.from.X + 4, Y: l.from.Y}, {X: x, Y: at[k]}, {X: x + 8, Y: at[k]}}, "lead")
			p.Marker(l.s.shape, svg.XY{X: x + 14, Y: at[k]}, 4)
			p.Text(x+23, at[k]+4, "label", "start", p.view.fit(l.text, 31))
		}
		p.WriteString("</g>")
	}
}

// settle sorts labels from top to bottom and returns their places, at least gap
// apart.
func settle(labels []edgeLabel, gap, low, high float64) []float64 {
	slices.SortStableFunc(labels, func(a, b edgeLabel) int { return cmp.Compare(a.from.Y, b.from.Y) })
	at := make([]float64, len(labels))
	for k := range labels {
		at[k] = labels[k].from.Y
	}
	spread(at, gap, low, high)
	return at
}

// spread moves labels apart: their places, which rise, keep a distance of at
// least gap and stay between low and high if there is room.
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

// fit shortens a label to the room in the right margin beyond from.
func (g geometry) fit(s string, from float64) string { return clipped(s, int((g.right-from)/8.2)) }

// clipped shortens a name to n characters.
func clipped(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
