package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/carrot-router/carrot/eval"
)

// steps are the settings at which a router's traffic was recorded, the cheapest
// first, without those that equal the one before.
func steps(l *eval.RouterLine) []eval.TrafficPoint {
	var out []eval.TrafficPoint
	for k := len(l.Traffic) - 1; k >= 0; k-- {
		p := l.Traffic[k]
		if !finite(p.CostUSD) || !finite(p.Quality) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].CostUSD == p.CostUSD && out[n-1].Quality == p.Quality && slices.Equal(out[n-1].Shares, p.Shares) {
			continue
		}
		out = append(out, p)
	}
	return out
}

// part is a model's share of the traffic.
func part(p eval.TrafficPoint, m int) float64 {
	if m < len(p.Shares) && finite(p.Shares[m]) {
		return p.Shares[m]
	}
	return 0
}

// willing names a setting: a price of quality, or a value of w.
func (b *board) willing(l *eval.RouterLine, w eval.Number) string {
	if !finite(w) {
		return "any price"
	}
	if l.Worth != "" && l.Worth != "quality" {
		return "w = " + significant(float64(w))
	}
	return b.unit.amount(float64(w))
}

// payBar is a model's share of the traffic.
type payBar struct {
	Model, Share string
	Width        string // percent
}

// payView is the slider at its first position, with a table of the other
// positions.
type payView struct {
	Router        string
	Routers       []payOption
	Steps, At     int // of the slider
	Worth         string
	Cost, Quality string
	CostShare     string
	QualityShare  string
	Bars          []payBar
	Settings      table
}

type payOption struct {
	Index int
	Name  string
}

// pay returns the slider of the first router with traffic, nil if there is none.
func (b *board) pay() *payView {
	var v *payView
	for k := range b.Routers {
		l := &b.Routers[k]
		s := steps(l)
		if len(s) == 0 {
			continue
		}
		if v == nil {
			v = b.payFor(l, s)
		}
		v.Routers = append(v.Routers, payOption{k, l.Name})
	}
	return v
}

func (b *board) payFor(l *eval.RouterLine, s []eval.TrafficPoint) *payView {
	v := &payView{Router: l.Name, Steps: len(s) - 1, At: b.balanced(s)}
	p := s[v.At]
	v.Worth, v.Cost, v.Quality = b.willing(l, p.USDPerQuality), b.unit.thousand(p.CostUSD), decimals(p.Quality, 4)
	if single, ok := b.single(); ok && single.Cost > 0 && single.Quality > 0 {
		v.CostShare, v.QualityShare = share(p.CostUSD/single.Cost), shareFine(p.Quality/single.Quality)
	}
	for _, m := range b.used(s) {
		x := part(p, m)
		v.Bars = append(v.Bars, payBar{b.Models[m], share(x), decimals(100*x, 1)})
	}
	v.Settings = b.settings(l, s)
	return v
}

// balanced is the cheapest step that reaches 97% of the best single model's
// quality, or the best step if none does.
func (b *board) balanced(s []eval.TrafficPoint) int {
	single, ok := b.single()
	at, best := -1, 0
	for k, p := range s {
		if ok && p.Quality >= nearly*single.Quality && (at < 0 || p.CostUSD < s[at].CostUSD) {
			at = k
		}
		if p.Quality > s[best].Quality {
			best = k
		}
	}
	if at < 0 {
		return best
	}
	return at
}

// byCost lists the models by rising cost, each alone on these queries.
func (b *board) byCost() []int {
	cost := map[string]float64{}
	if zero := b.router(zeroName); zero != nil {
		for _, p := range zero.Curve {
			cost[p.Model] = p.CostUSD
		}
	}
	out := make([]int, len(b.Models))
	for m := range out {
		out[m] = m
	}
	slices.SortStableFunc(out, func(i, j int) int { return cmp.Compare(cost[b.Models[i]], cost[b.Models[j]]) })
	return out
}

// used lists the models that answer at least one query in a hundred at some
// step, the cheapest first.
func (b *board) used(s []eval.TrafficPoint) []int {
	var out []int
	for _, m := range b.byCost() {
		if slices.ContainsFunc(s, func(p eval.TrafficPoint) bool { return part(p, m) >= 0.01 }) {
			out = append(out, m)
		}
	}
	return out
}

// settings lists up to a dozen steps.
func (b *board) settings(l *eval.RouterLine, s []eval.TrafficPoint) table {
	t := table{Caption: "Recorded settings of " + l.Name, Head: head("willing to pay", b.unit.axis(), "quality", "models")}
	t.Head[3].Class = ""
	every := max(1, (len(s)+11)/12)
	for k := range s {
		if k%every != 0 && k != len(s)-1 {
			continue
		}
		p := s[k]
		var mix []string
		for _, m := range b.used(s) {
			if part(p, m) >= 0.01 {
				mix = append(mix, fmt.Sprintf("%s %s", b.Models[m], share(part(p, m))))
			}
		}
		t.Rows = append(t.Rows, row{"", []cell{name(b.willing(l, p.USDPerQuality)), num(significant(1000 * p.CostUSD)), num(decimals(p.Quality, 4)), {Text: joinNames(mix)}}})
	}
	return t
}

// compact is a number that JSON has with six significant digits.
type compact float64

// MarshalJSON writes null for a number that is not finite.
func (c compact) MarshalJSON() ([]byte, error) { return []byte(number(c)), nil }

// payload is what the page's script reads.
type payload struct {
	PerCall bool            `json:"perCall"`
	Axis    string          `json:"axis"`
	Best    payloadSingle   `json:"best"`
	Models  []string        `json:"models"`
	Routers []payloadRouter `json:"routers"`
}

type payloadSingle struct {
	Model   string  `json:"model"`
	Cost    compact `json:"cost"`
	Quality compact `json:"quality"`
}

type payloadRouter struct {
	Name    string `json:"name"`
	Key     string `json:"key"`
	Quality bool   `json:"quality"` // whether its settings are prices of quality
	// Points are [cost of 1,000 queries, quality, setting or model].
	Points [][3]any `json:"points"`
	// Steps are [setting, cost of 1,000 queries, quality, [model, share, …]],
	// cheap first; Used are the models in them.
	Steps [][4]any `json:"steps,omitempty"`
	Used  []int    `json:"used,omitempty"`
}

func (b *board) payload(all []series) payload {
	out := payload{PerCall: b.unit.perCall, Axis: b.unit.axis(), Models: b.Models, Best: payloadSingle{Model: b.BestSingle}}
	if s, ok := b.single(); ok {
		out.Best.Cost, out.Best.Quality = compact(1000*s.Cost), compact(s.Quality)
	}
	for k := range all {
		l := all[k].line
		r := payloadRouter{Name: l.Name, Key: all[k].key(), Quality: l.Worth == "" || l.Worth == "quality", Points: [][3]any{}}
		for _, p := range all[k].points {
			var setting any = compact(p.USDPerQuality)
			switch {
			case p.Model != "":
				setting = p.Model
			case p.Setting != "":
				setting = "setting: " + p.Setting
			}
			r.Points = append(r.Points, [3]any{compact(1000 * p.CostUSD), compact(p.Quality), setting})
		}
		s := steps(l)
		r.Used = b.used(s)
		for _, p := range s {
			shares := []any{}
			for _, m := range r.Used {
				shares = append(shares, compact(part(p, m)))
			}
			r.Steps = append(r.Steps, [4]any{compact(p.USDPerQuality), compact(1000 * p.CostUSD), compact(p.Quality), shares})
		}
		out.Routers = append(out.Routers, r)
	}
	return out
}
