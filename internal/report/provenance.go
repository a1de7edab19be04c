package report

import (
	"slices"
	"strconv"

	"github.com/carrot-router/carrot/eval"
)

// fact is a line of the provenance or of the glossary.
type fact struct{ Name, Text string }

func (b *board) facts() []fact {
	p := b.Provenance
	intervals := "none"
	switch {
	case p.Bootstrap > 0:
		intervals = plural(p.Bootstrap, "resample") + " of the queries, the same for all routers"
	case b.intervals():
		intervals = "resamples of the queries, whose number is not recorded"
	}
	seed := ""
	if b.recorded() {
		seed = strconv.FormatUint(p.Seed, 10)
	}
	out := []fact{
		{"Data", b.Dataset},
		{"Fingerprint", b.Fingerprint},
		{"Measured on", b.Split},
		{"Queries", grouped(b.Queries) + "; " + grouped(b.Skipped) + " skipped because a model was not observed"},
		{"Models", plural(len(b.Models), "model") + "; the best single model is " + b.BestSingle + " (" + b.singleQuality() + ")"},
		{"Cost range", b.unit.thousand(b.CostRangeUSD[0]) + " to " + b.unit.thousand(b.CostRangeUSD[1]) + " for 1,000 queries: the cheapest and the most expensive model alone, from observed tokens"},
		{"Intervals", intervals},
		{"Seed", seed},
		{"Version", p.Version},
		{"Command", p.Command},
		{"Embedder", p.Embedder},
		{"Form", b.Schema},
	}
	if len(b.Omitted) > 0 {
		out = append(out, fact{"Not shown", joinNames(b.Omitted) + ", which were measured in the same run"})
	}
	if p.PerCall {
		out = append(out, fact{"Cost", "the share of calls, not money"})
	}
	return slices.DeleteFunc(out, func(f fact) bool { return f.Text == "" })
}

// recorded reports whether the report says what made it, as those of the first
// version do not.
func (b *board) recorded() bool {
	p := b.Provenance
	return p.Command != "" || p.Version != "" || p.Embedder != ""
}

func (b *board) prices() table {
	t := table{Caption: "Prices, USD per million tokens", Head: head("model", "input", "output", "cost alone, "+b.unit.axis(), "quality alone")}
	alone := map[string]eval.CurvePoint{}
	if zero := b.router(zeroName); zero != nil {
		for _, p := range zero.Curve {
			alone[p.Model] = p
		}
	}
	for _, p := range b.Provenance.Prices {
		r := row{Cells: []cell{name(p.Model), num(price(p.InputUSDPerMillion)), num(price(p.OutputUSDPerMillion)), num(none), num(none)}}
		if q, ok := alone[p.Model]; ok {
			r.Cells[3], r.Cells[4] = num(significant(1000*q.CostUSD)), num(decimals(q.Quality, 4))
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

func price(n eval.Number) string {
	if !finite(n) {
		return none
	}
	return strconv.FormatFloat(float64(n), 'f', -1, 64)
}

// hyperparameters lists the settings chosen for each router.
func (b *board) hyperparameters() table {
	t := table{Caption: "Settings chosen on the queries fitted on (in the first part)", Class: "settings", Head: []cell{{Text: "router", Head: true}, {Text: "forecasts", Head: true}, {Text: "settings", Head: true}}}
	for k := range b.Routers {
		if l := &b.Routers[k]; len(l.Settings) > 0 {
			t.Rows = append(t.Rows, row{"", []cell{name(l.Name), {Text: l.Worth}, {Text: l.Settings[0], Class: "code"}}})
		}
	}
	return t
}

var glossary = []fact{
	{"quality", "a score from 0 to 1; for a router, the mean score of the answers it chooses"},
	{"curve", "the points (mean cost, mean quality) that a router reaches as its setting varies"},
	{"willingness to pay", "the setting: USD per unit of quality. A unit is the difference between an entirely right and an entirely wrong answer"},
	{"hull, zero router", "the upper convex hull of the single models, which mixing two of them reaches without looking at the query"},
	{"AIQ", "average improvement in quality: the mean height of a curve's hull over the cost range from the cheapest to the most expensive single model"},
	{"peak", "the highest mean quality on the curve"},
	{"QNC", "quality-neutral cost: the least cost on the curve that reaches the best single model's quality, relative to that model's cost; missing if no point reaches it"},
	{"cost@95", "the same for 95% of that quality, also relative to the best single model's cost"},
	{"gap closed", "how much of the gap between the zero router's AIQ and the oracle's a router closes"},
	{"AUDC", "the area under the deferral curve: mean quality over the same cost range, without mixing settings"},
	{"Arena", "the highest RouterArena score along the curve, chosen on these queries (oracle-tuned)"},
	{"best single", "the model with the highest mean score on these very queries: the strictest reference"},
	{"mean", "the router that forecasts the same for every query: each model's means"},
	{"oracle", "the router that knows every outcome: no router that chooses one model per query can do better"},
	{"regret", "mean utility of the oracle minus that of the router, at one price of quality"},
	{"Brier, ECE, R²", "how well forecasts of quality agree with outcomes: mean squared error; mean distance from the diagonal; share of variance explained, averaged over models"},
	{"paired difference", "both routers are measured on the same resampled queries, so that differences between queries cancel out"},
}
