package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/internal/parallel"
)

// options of measure.
type options struct {
	Months, Requests int
	Seed             uint64
}

// shares are the budgets, over what the policy spends in the same month without one.
var shares = []float64{0.5, 0.8, 1, 1.2}

// methods are the columns of the tables. After them comes what hindsight knows.
var methods = []method{refuse, {name: "cheapest", cheapest: true},
	{name: "k=1", pacing: 1}, {name: "k=2", pacing: 2}, {name: "k=4", pacing: 4}, {name: "k=8", pacing: 8},
	{name: "k=16", pacing: 16}, {name: "k=32", pacing: 32}, {name: "k=64", pacing: 64},
	{name: "k=16, ≤1", pacing: 16, capped: true}, {name: "k=64, ≤1", pacing: 64, capped: true}}

// compared are the methods whose difference from refuse is shown.
var compared = []string{"k=1", "k=2", "k=4", "k=8", "k=16", "k=32", "k=64", "k=64, ≤1"}

// afterwards is the column of what could have been reached, as it is known afterwards.
const afterwards = "hindsight"

// report has the outcomes by scenario, share, method and month.
type report struct {
	data     *outcomes
	options  options
	columns  []string
	alone    [][]outcome // without a budget, by scenario and month
	outcomes [][][][]outcome
}

// month draws a month: first the queries, as a bootstrap resample of the recorded
// ones, then the requests from these.
func (o *outcomes) month(s scenario, n int, seed uint64, number int, ease []int) []request {
	random := rand.New(rand.NewPCG(seed, uint64(number)))
	ranks := make([]int, len(ease))
	for i := range ranks {
		ranks[i] = random.IntN(len(ease))
	}
	slices.Sort(ranks)
	rows := make([]int, len(ease))
	for i, rank := range ranks {
		rows[i] = ease[rank]
	}
	return s.draw(rows, n, random)
}

// measure lets every method spend every budget in each of a number of months.
func measure(ctx context.Context, data *outcomes, o options) *report {
	r := &report{data: data, options: o}
	for _, m := range methods {
		r.columns = append(r.columns, m.name)
	}
	r.columns = append(r.columns, afterwards)
	ease, all := data.byEase(), data.hindsight()
	for k, s := range scenarios {
		r.alone = append(r.alone, make([]outcome, o.Months))
		of := make([][][]outcome, len(shares))
		for b := range of {
			of[b] = make([][]outcome, len(r.columns))
			for c := range of[b] {
				of[b][c] = make([]outcome, o.Months)
			}
		}
		parallel.Each(o.Months, func(number int) {
			if ctx.Err() != nil {
				return
			}
			requests := data.month(s, o.Requests, o.Seed, number, ease)
			alone := data.spend(requests, math.Inf(1), refuse, nil)
			r.alone[k][number] = alone
			curve := all.curve(requests)
			for b, share := range shares {
				amount := share * alone.spent
				for c, m := range methods {
					out := data.spend(requests, amount, m, nil)
					out.spent /= amount
					of[b][c][number] = out
				}
				most := best(curve, amount/float64(len(requests)))
				most.spent *= float64(len(requests)) / amount
				of[b][len(methods)][number] = most
			}
		})
		r.outcomes = append(r.outcomes, of)
	}
	return r
}

// interval returns the mean and the 95% interval of values over months.
func interval(values []float64) (mean, low, high float64) {
	values = slices.Clone(values)
	slices.Sort(values)
	for _, v := range values {
		mean += v / float64(len(values))
	}
	at := func(p float64) float64 { return values[int(math.Round(p*float64(len(values)-1)))] }
	return mean, at(0.025), at(0.975)
}

// values picks a figure of a method over the months.
func values(of []outcome, figure func(outcome) float64) []float64 {
	out := make([]float64, len(of))
	for i := range of {
		out[i] = figure(of[i])
	}
	return out
}

func quality(o outcome) float64 { return o.quality }

// write prints the tables.
func (r *report) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, out of fold: %d queries, %d models, %s (w = $%.4g); %d months of %d requests, seed %d\n",
		r.data.name, len(r.data.score), len(r.data.models), r.data.objective, r.data.base, r.options.Months, r.options.Requests, r.options.Seed)
	for k, s := range scenarios {
		reached, _, _ := interval(values(r.alone[k], quality))
		cost, _, _ := interval(values(r.alone[k], func(o outcome) float64 { return o.spent / float64(r.options.Requests) }))
		fmt.Fprintf(&b, "%s, without a budget: quality %.4f for $%.4g a request\n", s.name, reached, cost)
	}
	plain := func(title, format string, factor float64, figure func(outcome) float64) {
		r.table(&b, title, 10, func(of [][]outcome, c int) string {
			mean, _, _ := interval(values(of[c], figure))
			if math.IsNaN(mean) { // no setting is cheap enough in some month
				return "none"
			}
			return fmt.Sprintf(format, factor*mean)
		}, r.columns)
	}
	plain("quality over the month; a refused request counts as 0", "%.4f", 1, quality)
	plain("requests refused", "%.1f%%", 100, func(o outcome) float64 { return o.refused })
	plain("share of the budget spent", "%.1f%%", 100, func(o outcome) float64 { return o.spent })
	r.table(&b, "quality over that of refuse, paired by month (95% interval over queries and months)", 21, func(of [][]outcome, c int) string {
		differences := make([]float64, len(of[c]))
		for i := range differences {
			differences[i] = of[c][i].quality - of[0][i].quality
		}
		mean, low, high := interval(differences)
		return fmt.Sprintf("%s [%s, %s]", signed(mean), signed(low), signed(high))
	}, compared)
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// signed writes a difference with three decimals and without the zero before them.
func signed(v float64) string {
	if v = math.Round(v * 1000); v == 0 {
		return "0"
	}
	return strings.Replace(fmt.Sprintf("%.3f", v/1000), "0.", ".", 1)
}

// table prints one table, whose columns are among those of the report.
func (r *report) table(b *strings.Builder, title string, width int, cell func(of [][]outcome, c int) string, columns []string) {
	fmt.Fprintf(b, "\n%s\n", title)
	line := func(first, second string, cells []string) {
		text := fmt.Sprintf("%-8s  %-6s  ", first, second)
		for _, c := range cells {
			text += fmt.Sprintf("%-*s", width, c)
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	line("traffic", "budget", columns)
	for s := range scenarios {
		for k, share := range shares {
			var cells []string
			for _, name := range columns {
				cells = append(cells, cell(r.outcomes[s][k], slices.Index(r.columns, name)))
			}
			line(scenarios[s].name, fmt.Sprintf("%.0f%%", 100*share), cells)
		}
	}
}
