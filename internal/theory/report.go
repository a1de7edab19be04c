package theory

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteText prints the table, with one group of rows per scenario, and a summary.
func (r *Report) WriteText(w io.Writer) error {
	last := len(r.Sizes) - 1
	fmt.Fprintf(w, "excess risk of the plug-in rule: n from %d to %d, %d training sets of each size, %d test queries each, seed %d\n\n",
		r.Sizes[0], r.Sizes[last], r.Repetitions, r.Tests, r.Seed)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "scenario\td\tγ\tα\tcost\tmethod\ttheory\tslope\t95%% interval\tupper half\t95%% interval\tverdict\trisk at n = %d\tnoise alone\n", r.Sizes[last])
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		for j := range s.Methods {
			c := &s.Methods[j]
			label := "\t\t\t\t"
			if j == 0 {
				label = s.label()
			}
			noise := ""
			if c.NoiseAlone != nil {
				noise = fmt.Sprintf("%.5f", c.NoiseAlone[last])
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%.3f\t[%.3f, %.3f]\t%.3f\t[%.3f, %.3f]\t%s\t%.5f ± %.5f\t%s\n", label, c.Method, promised(c.Promised),
				c.Slope, c.Interval[0], c.Interval[1], c.Upper, c.UpperInterval[0], c.UpperInterval[1], c.Verdict, c.Risk[last], c.RiskSE[last], noise)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
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
Right k and h, no shift: of %d slopes, %d agree with theory over all n and %d more over the upper half; %d fall
faster there and %d more slowly. Theory is about large n and the worst case. At small n, bias adds to the cost of
noise and then fades, so slopes begin too steep; if hardly any query is near, they begin too flat. One 95%% interval
in twenty misses by chance. A floor with the verdict "faster" has not been reached yet.
`, total, count[Consistent], count[InLimit], count[Faster], count[Slower])
	return err
}

func promised(slope float64) string {
	if slope == 0 {
		return "0 (floor)"
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
	return fmt.Sprintf("%s\t%d\t%s\t%g\t%s", s.Name, s.Dim, smoothness, s.Margin, cost)
}
