package eval

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/plan"
)

// PlanLine compares what a router expected of a plan with what was recorded, in the mean
// over the measured queries for which the plan was a candidate.
type PlanLine struct {
	Plan    string `json:"plan"`
	Queries int    `json:"queries"`
	Quality Number `json:"quality"` // expected
	Score   Number `json:"score"`
	Brier   Number `json:"brier"` // mean squared error of quality
	// CostUSD is what a query was expected to cost, RecordedUSD what it cost, and CostP90
	// the share of the queries whose cost is within the 90% quantile.
	CostUSD     Number `json:"cost_usd"`
	RecordedUSD Number `json:"recorded_cost_usd"`
	CostP90     Number `json:"cost_p90_coverage"`
}

// forecasting is a router that asks several models by plans, and says what it expects of
// each model and plan. The candidate of a step is -1-k for the plan with Names()[k].
type forecasting interface {
	asksSeveral
	Names() []string
	// Forecasts returns what is expected of the models of the table on some rows of it.
	Forecasts(rows []int) ([]carrot.Prediction, error)
	// Expected returns what is expected of each plan on a row of the table.
	Expected(row int) ([]plan.Expected, error)
}

// planned are the plans of a router, in the order in which its fits first have them.
type planned struct {
	names    []string
	expected []map[int]plan.Expected // of each plan, by row
}

// number returns the place of a plan, which is added if it is new.
func (p *planned) number(name string) int {
	at := slices.Index(p.names, name)
	if at < 0 {
		at = len(p.names)
		p.names, p.expected = append(p.names, name), append(p.expected, map[int]plan.Expected{})
	}
	return at
}

// forecast stores what a router expects on rows that it has answered, and numbers its
// plans as those of all fits.
func (e *entry) forecast(r forecasting, rows []int) error {
	if e.plans == nil {
		e.plans = &planned{}
	}
	var numbers []int
	for _, name := range r.Names() {
		numbers = append(numbers, e.plans.number(name))
	}
	predictions, err := r.Forecasts(rows)
	if err != nil {
		return err
	}
	for k, i := range rows {
		e.predictions[i] = predictions[k]
		for s := range e.steps[i] {
			if c := &e.steps[i][s].Candidate; *c < 0 {
				*c = -1 - numbers[-1-*c]
			}
		}
		expected, err := r.Expected(i)
		if err != nil {
			return err
		}
		for n, one := range expected {
			e.plans.expected[numbers[n]][i] = one
		}
	}
	return nil
}

// plans compares what a router expected of its plans with what was recorded.
func (d details) plans(p *planned) []PlanLine {
	var out []PlanLine
	for k, name := range p.names {
		line := PlanLine{Plan: name}
		var quality, score, brier, cost, recorded, within float64
		for _, i := range d.rows {
			x, ok := p.expected[k][i]
			if !ok || math.IsNaN(x.Score) || math.IsNaN(x.RecordedUSD) {
				continue
			}
			line.Queries++
			quality += x.Quality
			score += x.Score
			brier += (x.Quality - x.Score) * (x.Quality - x.Score)
			cost += x.CostUSD
			recorded += x.RecordedUSD
			if x.RecordedUSD <= x.CostP90USD {
				within++
			}
		}
		n := float64(line.Queries)
		for to, sum := range map[*Number]float64{&line.Quality: quality, &line.Score: score, &line.Brier: brier, &line.CostUSD: cost, &line.RecordedUSD: recorded, &line.CostP90: within} {
			*to = number(sum / n)
		}
		out = append(out, line)
	}
	return out
}

// planShares returns the share of the queries on which each plan is chosen at a setting.
func (d details) planShares(c *contestant, setting int) []float64 {
	shares := make([]float64, len(c.entry.plans.names))
	for k := range d.rows {
		if at := c.trace.At(k, setting).Candidate; at < 0 {
			shares[-1-at] += 1 / float64(len(d.rows))
		}
	}
	return shares
}

// mostPlans is how many plans of a router are shown.
const mostPlans = 20

// writePlans shows what was expected of plans.
func (r *Report) writePlans(w io.Writer) error {
	for _, l := range r.Routers {
		if len(l.Plans) == 0 {
			continue
		}
		best := make([]float64, len(l.Plans)) // the largest share at a shown setting
		for _, p := range l.Traffic {
			for k, share := range p.Plans {
				best[k] = max(best[k], share)
			}
		}
		order := make([]int, len(l.Plans))
		for k := range order {
			order[k] = k
		}
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case best[a] > best[b]:
				return -1
			case best[a] < best[b]:
				return 1
			}
			return 0
		})
		fmt.Fprintf(w, "\nplans of %s: expected and recorded, and the largest share of the queries for which each is chosen along the curve\n", l.Name)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "plan\tqueries\tquality\tscore\tUSD a query\trecorded\twithin p90\tchosen")
		for _, k := range order[:min(len(order), mostPlans)] {
			p := &l.Plans[k]
			fmt.Fprintf(tw, "%s\t%d\t%s\t%s\t%.3g\t%.3g\t%s\t%.0f%%\n", p.Plan, p.Queries, p.Quality, p.Score, float64(p.CostUSD), float64(p.RecordedUSD), percent(p.CostP90), 100*best[k])
		}
		if more := len(order) - mostPlans; more > 0 {
			fmt.Fprintf(tw, "and %d more\n", more)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	return nil
}
