package eval

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/plan"
)

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

// plans compares what a router expected of its plans, on the measured queries for which
// they were candidates, with what was recorded.
func (d details) plans(p *planned) []plan.Line {
	out := make([]plan.Line, len(p.names))
	for k, name := range p.names {
		var expected []plan.Expected
		for _, i := range d.rows {
			if x, ok := p.expected[k][i]; ok {
				expected = append(expected, x)
			}
		}
		out[k] = plan.Compare(name, expected)
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
			fmt.Fprintf(tw, "%s\t%d\t%.4f\t%.4f\t%.3g\t%.3g\t%.1f%%\t%.0f%%\n", p.Plan, p.Queries, p.Quality, p.Score, p.CostUSD, p.RecordedUSD, 100*p.CostP90, 100*best[k])
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
