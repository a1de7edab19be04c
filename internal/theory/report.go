package theory

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/carrot-router/carrot/internal/phrase"
)

// WriteText prints the table, with one group of rows per scenario, and a summary.
func (r *Report) WriteText(w io.Writer) error {
	last := len(r.Sizes) - 1
	fmt.Fprintf(w, "excess risk of the plug-in rule: n from %d to %d, %d training sets of each size, %d test queries each, seed %d\n\n",
		r.Sizes[0], r.Sizes[last], r.Repetitions, r.Tests, r.Seed)
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "method\ttheory\tslope [95%% interval]\tover the upper half\tverdict\trisk at n = %d\tnoise\n", r.Sizes[last])
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		for j := range s.Methods {
			c := &s.Methods[j]
			noise := ""
			if c.NoiseAlone != nil {
				noise = fmt.Sprintf("%.5f", c.NoiseAlone[last])
			}
			fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s\t%.5f ± %.5f\t%s\n", c.Method, promised(c.Promised),
				fitted(c.Slope, c.Interval), fitted(c.Upper, c.UpperInterval), c.Verdict, c.Risk[last], c.RiskSE[last], noise)
		}
	}
	tw.Flush() // returns no error, as it writes to a strings.Builder
	rows := strings.SplitAfter(table.String(), "\n")
	fmt.Fprint(w, rows[0])
	rows = rows[1:]
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		fmt.Fprintf(w, "%s\n%s", s.label(), strings.Join(rows[:len(s.Methods)], ""))
		rows = rows[len(s.Methods):]
	}
	return r.writeSummary(w)
}

// writeSummary counts the verdicts of the methods that theory covers.
func (r *Report) writeSummary(w io.Writer) error {
	count := map[Verdict]int{}
	total := 0
	for i := range r.Scenarios {
		for j := range r.Scenarios[i].Methods {
			if c := &r.Scenarios[i].Methods[j]; c.Promised < 0 && c.Method != KNNChosen {
				count[c.Verdict]++
				total++
			}
		}
	}
	_, err := fmt.Fprintf(w, `
verdict: consistent if the interval of the slope holds the one of theory; upper half if only that of the slope over
the upper half of the sizes does; else faster or slower, as risk falls there; undetermined if the risk is zero at too
many sizes to fit a slope. noise is the part of the risk that noise alone would cause.

Right k and h, no shift: of %s, %d %s with theory over all n and %d more over the upper half; %d %s
faster there and %d more slowly. Theory is about large n and the worst case. At small n, bias adds to the cost of
noise and then fades, so slopes begin too steep; if hardly any query is near, they begin too flat. One 95%% interval
in twenty misses by chance. A floor with the verdict "faster" has not been reached yet.
`, phrase.Count(total, "slope"), count[Consistent], phrase.Verb(count[Consistent], "agrees", "agree"), count[InLimit],
		count[Faster], phrase.Verb(count[Faster], "falls", "fall"), count[Slower])
	return err
}

// fitted writes a slope and its interval.
func fitted(x float64, interval [2]float64) string {
	return fmt.Sprintf("%.3f [%.2f, %.2f]", x, interval[0], interval[1])
}

func promised(slope float64) string {
	if slope == 0 {
		return "floor"
	}
	return fmt.Sprintf("%.3f", slope)
}

func (s *Result) label() string {
	smoothness := fmt.Sprintf("%g", s.Smoothness)
	if s.CostSmoothness != s.Smoothness {
		smoothness = fmt.Sprintf("%g, cost %g", s.Smoothness, s.CostSmoothness)
	}
	cost := "known"
	if !s.CostKnown {
		cost = "estimated"
	}
	return fmt.Sprintf("%s: d = %d, γ = %s, α = %g, cost %s", s.Name, s.Dim, smoothness, s.Margin, cost)
}
