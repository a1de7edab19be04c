package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"

	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/svg"
)

func (b *board) regret() (section, bool) {
	s := section{ID: "regret", Title: "Regret", Lead: []string{"Mean utility of the oracle minus that of the router, in units of quality. The column says what a unit of quality is worth. Less is better."}}
	t := table{Caption: "Regret"}
	for k := range b.Routers {
		if at := b.Routers[k].Regret; len(at) > 0 {
			t.Head = head("router")
			for _, a := range at {
				text := a.Objective
				if finite(a.USDPerQuality) {
					text = "at " + b.unit.amount(float64(a.USDPerQuality)) + " per unit of quality"
				}
				t.Head = append(t.Head, cell{Text: text, Class: "n", Head: true})
			}
			break
		}
	}
	tuned := false
	for _, i := range b.shown {
		l := &b.Routers[i]
		if len(l.Regret) == 0 {
			continue
		}
		r := row{Cells: []cell{name(l.Name)}}
		for _, a := range l.Regret {
			text := decimals(a.Regret, 4)
			if a.OracleTuned {
				text, tuned = text+"*", true
			}
			r.Cells = append(r.Cells, num(text))
		}
		t.Rows = append(t.Rows, r)
	}
	if tuned {
		s.Notes = []string{"* Oracle-tuned: this router's setting is not a price of quality, so its best setting on these very queries was taken."}
	}
	s.Tables = []table{t}
	return s, len(t.Rows) > 0
}

func (b *board) robustness() (section, bool) {
	s := section{ID: "robustness", Title: "Robustness", Lead: []string{
		"How choices react when prompts are changed without changing what they ask, at the setting that reaches 97% of the best single model's quality: the share of choices that stay the same, and the new bill relative to the old one."}}
	t := table{Caption: "Robustness"}
	for _, i := range b.shown {
		l := &b.Routers[i]
		if len(l.Robustness) == 0 {
			continue
		}
		if t.Head == nil {
			t.Head = head("router")
			for _, p := range l.Robustness {
				t.Head = append(t.Head, cell{Text: p.Perturbation, Class: "n", Head: true})
			}
			t.Head = append(t.Head, cell{Text: "worst bill", Class: "n", Head: true})
		}
		r := row{Cells: []cell{name(l.Name)}}
		for _, p := range l.Robustness {
			r.Cells = append(r.Cells, cell{Text: share(p.Kept), Small: "bill ×" + decimals(p.Bill, 2), Class: "n"})
		}
		r.Cells = append(r.Cells, num("×"+decimals(l.Robustness[0].Worst, 2)))
		t.Rows = append(t.Rows, r)
	}
	s.Tables = []table{t}
	s.Notes = []string{"Worst bill: the bill if every query went to the most expensive model, which is the most that a crafted suffix can force."}
	return s, len(t.Rows) > 0
}

func (b *board) promises() (section, bool) {
	s := section{ID: "promises", Title: "Promises", Lead: []string{
		"How often objectives with a probability were kept, on queries that neither the fit nor the calibration has seen. Kept, quality and cost are over the queries for which all promises of the objective could be made."}}
	t := table{Caption: "Promises", Head: head("router", "objective", "promise", "feasible", "kept", "binds", "quality", "cost of 1,000")}
	for _, i := range b.shown {
		l := &b.Routers[i]
		for _, p := range l.Promises {
			binds, cost := "no", none
			if finite(p.CostUSD) {
				cost = b.unit.thousand(float64(p.CostUSD))
			}
			if p.Binds {
				binds = "yes"
			}
			t.Rows = append(t.Rows, row{"", []cell{name(l.Name), name(p.Objective), name(p.Promise), num(shareFine(eval.Number(p.Feasible))), num(shareFine(p.Kept)),
				name(binds), num(decimals(p.Quality, 4)), num(cost)}})
		}
	}
	s.Tables = []table{t}
	s.Notes = []string{"A promise binds if without it, it would have been broken more often than it states."}
	return s, len(t.Rows) > 0
}

func (b *board) pairMetrics() (section, bool) {
	s := section{ID: "pair", Title: "Two models (RouteLLM)"}
	t := table{Caption: "RouteLLM's figures", Head: head("router", "APGR", "95% interval", "CPT(50%)", "CPT(80%)")}
	for _, i := range b.shown {
		l := &b.Routers[i]
		if l.Pair == nil || l.Name == singleName {
			continue
		}
		if s.Lead == nil {
			s.Lead = []string{fmt.Sprintf("%s against %s: APGR is the average share of the quality gap that is recovered; CPT is the share of calls to %s that recovers 50%% or 80%% of it.", l.Pair.Strong, l.Pair.Weak, l.Pair.Strong)}
		}
		t.Rows = append(t.Rows, row{"", []cell{name(l.Name), num(decimals(l.Pair.APGR, 4)), num(span(l.Pair.APGRCI, 3)), num(shareFine(l.Pair.CPT50)), num(shareFine(l.Pair.CPT80))}})
	}
	s.Tables = []table{t}
	return s, len(t.Rows) > 0
}

// learning shows AIQ against the queries fitted on.
func (b *board) learning(all []series) (section, bool) {
	s := section{ID: "learning", Title: "Learning curve", Lead: []string{"AIQ by the number of queries fitted on. Where a curve still rises, more outcomes would help."}}
	t := table{Caption: "AIQ by queries fitted on"}
	var with []series
	var sizes []int // of all routers, as some may not have been fitted on the smallest
	for _, i := range b.shown {
		l := &b.Routers[i]
		if len(l.LearningCurve) == 0 {
			continue
		}
		with = append(with, all[i])
		for _, p := range l.LearningCurve {
			sizes = append(sizes, p.Queries)
		}
	}
	if len(with) == 0 {
		return s, false
	}
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	t.Head = head("router")
	for _, n := range sizes {
		t.Head = append(t.Head, cell{Text: grouped(n), Class: "n", Head: true})
	}
	for k := range with {
		r := row{Cells: []cell{routerName(&with[k])}}
		for _, n := range sizes {
			text := none
			for _, p := range with[k].line.LearningCurve {
				if p.Queries == n {
					text = decimals(p.AIQ, 4)
				}
			}
			r.Cells = append(r.Cells, num(text))
		}
		t.Rows = append(t.Rows, r)
	}
	s.Figures = []figure{{learningChart(with, wide), "", "wide"}, {learningChart(with, narrow), "", "narrow"}}
	s.Tables = []table{t}
	return s, true
}

// learningAxes returns axes that span the learning curves of all series.
func learningAxes(with []series, g geometry) (x, y svg.Axis) {
	x = svg.Axis{Low: math.Inf(1), High: 0, From: g.left, To: g.width - g.right, Log: true}
	y = svg.Axis{Low: 1, High: 0, From: g.height - g.bottom, To: g.top}
	for _, s := range with {
		for _, p := range s.line.LearningCurve {
			x.Low, x.High = min(x.Low, max(1, float64(p.Queries))), max(x.High, float64(p.Queries))
			if finite(p.AIQ) {
				y.Low, y.High = min(y.Low, float64(p.AIQ)), max(y.High, float64(p.AIQ))
			}
		}
	}
	pad := max(0.002, (y.High-y.Low)*0.08)
	y.Low, y.High, x.Low, x.High = y.Low-pad, y.High+pad, x.Low/1.1, x.High*1.1
	return x, y
}

func learningChart(with []series, g geometry) template.HTML {
	g.height *= 0.75
	x, y := learningAxes(with, g)
	var c svg.Canvas
	c.Open(g.width, g.height, "chart curves", "AIQ by the number of queries fitted on; the table has the same numbers")
	for _, v := range y.Ticks(6) {
		c.Line(x.From, y.At(v), x.To, y.At(v), "grid")
		c.Text(x.From-7, y.At(v)+4, "tick", "end", svg.Tick(v))
	}
	for _, p := range with[0].line.LearningCurve {
		at := x.At(float64(p.Queries))
		c.Line(at, y.From, at, y.From+5, "axis")
		c.Text(at, y.From+19, "tick", "middle", grouped(p.Queries))
	}
	c.Text((x.From+x.To)/2, g.height-6, "title", "middle", "queries fitted on, log scale")
	c.Text(x.From+6, y.To+12, "title", "start", "AIQ")
	var ends []edgeLabel
	for _, s := range with {
		var places []svg.XY
		for _, p := range s.line.LearningCurve {
			if finite(p.AIQ) {
				places = append(places, svg.XY{X: x.At(float64(p.Queries)), Y: y.At(float64(p.AIQ))})
			}
		}
		if len(places) == 0 {
			continue
		}
		fmt.Fprintf(&c, `<g class="curve %s">`, s.class)
		c.Polyline(places, "line")
		for _, p := range places {
			c.Marker(max(svg.Circle, s.shape), p, 4)
		}
		c.WriteString("</g>")
		l := edgeLabel{s: s, from: places[len(places)-1], text: g.fit(s.line.Name, 8)}
		if g.narrow {
			l.text = s.key()
		}
		ends = append(ends, l)
	}
	for k, at := range settle(ends, 16, y.To, y.From) {
		fmt.Fprintf(&c, `<g class="edge %s">`, ends[k].s.class)
		c.Text(x.To+6, at+4, "label", "start", ends[k].text)
		c.WriteString("</g>")
	}
	return markup(&c)
}

// outOfDomain shows a second report's rows beside this one's.
func (b *board) outOfDomain(other *eval.Report) (section, bool) {
	s := section{ID: "domain", Title: "Out of domain"}
	if other == nil {
		return s, false
	}
	o := newBoard(other, Options{})
	s.Lead = []string{fmt.Sprintf("The same routers on %s, %s: %s, best single model %s (%s). A router that is ahead in domain and behind here has learnt the sources, not the models.",
		other.Dataset, other.Split, plural(other.Queries, "query"), other.BestSingle, o.singleQuality())}
	t := table{Caption: "In and out of domain", Head: head("router", "AIQ in domain", "AIQ out of domain", "95% interval", "against the zero router there", "peak in", "peak out", "QNC out")}
	for _, i := range b.sameRows(o) {
		l := &o.Routers[i]
		in, inPeak := none, none
		if home := b.router(l.Name); home != nil {
			in, inPeak = decimals(home.AIQ, 4), decimals(home.Peak, 4)
		}
		verdict := ""
		if d, ok := o.difference(l.Name, zeroName); ok {
			verdict = signed(d.value, 4) + " " + d.sign()
		}
		class := ""
		if isReference(l.Name) {
			class = "reference"
		}
		t.Rows = append(t.Rows, row{class, []cell{name(l.Name), num(in), num(decimals(l.AIQ, 4)), num(span(l.AIQInterval, 4)), num(verdict), num(inPeak), num(decimals(l.Peak, 4)), num(decimals(l.QNC, 3))}})
	}
	s.Tables = []table{t}
	s.Notes = []string{"▲ better, ▼ worse, = cannot be told apart, by the paired interval."}
	if p := other.Provenance; p.Command != "" {
		s.Notes = append(s.Notes, "Made by: "+p.Command+" (seed "+strconv.FormatUint(p.Seed, 10)+", data "+other.Fingerprint+").")
	}
	return s, len(t.Rows) > 0
}

// sameRows lists the rows of another report without those that this one does not
// show, in the order of this one if that was asked for.
func (b *board) sameRows(o *board) []int {
	rows := slices.DeleteFunc(slices.Clone(o.order), func(i int) bool { return slices.Contains(b.Omitted, o.Routers[i].Name) })
	if !b.given {
		return rows
	}
	place := map[string]int{}
	for k, i := range b.shown {
		place[b.Routers[i].Name] = k - len(b.shown) // below 0: routers that only the other has come last
	}
	slices.SortStableFunc(rows, func(i, j int) int { return cmp.Compare(place[o.Routers[i].Name], place[o.Routers[j].Name]) })
	return rows
}

func (b *board) singleQuality() string {
	if p, ok := b.single(); ok {
		return decimals(p.Quality, 4)
	}
	return none
}
