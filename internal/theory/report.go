package theory

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/carrot-router/carrot/internal/phrase"
)

// WriteText prints the table of fixed problems, with one group of rows per
// scenario, that of the least favourable family, with a row per setting, and what
// each of them says.
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
	r.writeSummary(w)
	return r.LowerBound.writeText(w)
}

// writeText prints a row per setting and a summary.
func (b *LowerBound) writeText(w io.Writer) error {
	last := len(b.Sizes) - 1
	fmt.Fprintf(w, `
least favourable family: bumps of width n^(-1/(2γ+d)) and height n^(-γ/(2γ+d)) with random signs; n from %d to %d,
%d problems and training sets of each size, %d test queries each on narrow bumps and %d on wide ones

`, b.Sizes[0], b.Sizes[last], b.Repetitions, b.Tests, b.Tests/2)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "d\tγ\tα\ttheory\tknn, right k\tkernel, right h\tk = 1\tk = n/2\tno cost\trisk, right k\tleast\n")
	minimax := [rules]int{}
	for i := range b.Settings {
		s := &b.Settings[i]
		fmt.Fprintf(tw, "%d\t%g\t%g\t%.3f", s.Dim, s.Smoothness, s.Margin, -s.Exponent)
		for j := range s.Rules {
			c := &s.Rules[j]
			if c.Rule == RightK || c.Rule == RightH {
				fmt.Fprintf(tw, "\t%s", fitted(c.Slope, c.Interval))
			} else {
				fmt.Fprintf(tw, "\t%.3f", c.Slope)
			}
			if c.Minimax {
				minimax[c.Rule]++
			}
		}
		fmt.Fprintf(tw, "\t%.5f\t%.5f\n", s.Rules[RightK].Risk[last], s.LeastRisk[last])
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	of := phrase.Count(len(b.Settings), "setting")
	_, err := fmt.Fprintf(w, `
least: no rule has a smaller risk at n = %d, averaged over the signs, whatever it does with the training queries.

The interval of the slope contains the one of theory in so many of %s:
  plug-in rule, right k                   %2d
  plug-in rule, kernel of the right h     %2d
  one neighbour at every n                %2d
  half of all queries at every n          %2d
  right k, the best quality at any cost   %2d
This is the lower statement: the problem changes with n so that no rule can have a faster rate, and the plug-in rule
of the right bandwidth has this rate. One 95%% interval in twenty misses by chance.
`, b.Sizes[last], of, minimax[RightK], minimax[RightH], minimax[OneNearest], minimax[HalfOfAll], minimax[IgnoreCost])
	return err
}

// writeSummary counts the verdicts of the methods that theory covers.
func (r *Report) writeSummary(w io.Writer) {
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
	fmt.Fprintf(w, `
verdict: consistent if the interval of the slope holds the one of theory; upper half if only that of the slope over
the upper half of the sizes does; else faster or slower, as risk falls there; undetermined if the risk is zero at too
many sizes to fit a slope. noise is the part of the risk that noise alone would cause.

Right k and h, no shift: of %s, %d %s with theory over all n and %d more over the upper half; %d %s
faster there and %d more slowly. This is the upper statement: on one fixed problem, risk falls in the long run at
least as fast as theory says, and it may fall faster. At small n, bias adds to the cost of noise and then fades, so
slopes begin too steep; if hardly any query is near, they begin too flat. One 95%% interval in twenty misses by
chance. A floor with the verdict "faster" has not been reached yet.
`, phrase.Count(total, "slope"), count[Consistent], phrase.Verb(count[Consistent], "agrees", "agree"), count[InLimit],
		count[Faster], phrase.Verb(count[Faster], "falls", "fall"), count[Slower])
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
