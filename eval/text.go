package eval

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// manyRouters is the largest number of routers that the text compares with each
// other. If there are more, it compares the first with the others. The JSON has
// all pairs.
const manyRouters = 6

// WriteText writes the main figures as tables for people.
func (r *Report) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s, %s: %d queries (%d incomplete skipped), %d models, best single %s\n\n",
		r.Dataset, r.Split, r.Queries, r.Skipped, len(r.Models), r.BestSingle)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "router\tAIQ\t95% interval\tpeak\tQNC\tcost@95\tgap closed\tR²\tECE\ttokens within p90")
	own := 0
	for _, l := range r.Routers {
		if !slices.Contains(references, l.Name) {
			own++
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s", l.Name, l.AIQ, span(l.AIQInterval), l.Peak, short(l.QNC), short(l.Cost95), percent(l.GapClosed))
		if c := l.Calibration; c != nil {
			fmt.Fprintf(tw, "\t%s\t%s\t%s\n", short(c.R2), short(c.ECE), percent(c.OutputTokensP90))
		} else {
			fmt.Fprintln(tw, "\t\t\t")
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if err := r.writePairs(w, own > manyRouters); err != nil {
		return err
	}
	for _, table := range []func(io.Writer) error{r.writePoints, r.writePairMetrics, r.writeProtocols, r.writeLearning, r.writeNovelty, r.writeRobustness, r.writeAbstentions, r.writeSuffixes, r.writePromises} {
		if err := table(w); err != nil {
			return err
		}
	}
	if len(r.Omitted) > 0 {
		fmt.Fprintf(w, "\nnote: measured in the same run and not shown: %s\n", strings.Join(r.Omitted, ", "))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "\nnote: %s\n", n)
	}
	return nil
}

func (r *Report) writePairs(w io.Writer, firstOnly bool) error {
	if len(r.Pairs) == 0 || r.Pairs[0].Interval == nil {
		return nil
	}
	fmt.Fprintln(w, "\npaired differences of AIQ (95% interval over queries, given these fits; not corrected for the number of pairs)")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range r.Pairs {
		if firstOnly && p.A != r.Pairs[0].A {
			continue
		}
		fmt.Fprintf(tw, "%s - %s\t%+.4f\t%s\t%s\n", p.A, p.B, float64(p.AIQDiff), span(p.Interval), p.verdict())
	}
	return tw.Flush()
}

// writePoints lists the points of routers that have no curve.
func (r *Report) writePoints(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := false
	for _, l := range r.Routers {
		for _, p := range l.Curve {
			if p.Setting == "" {
				continue
			}
			if !head {
				fmt.Fprintln(w, "\npoints of routers that only say which model they choose")
				fmt.Fprintln(tw, "router\tsetting\tUSD a query\tquality")
				head = true
			}
			fmt.Fprintf(tw, "%s\t%s\t%.3g\t%.4f\n", l.Name, p.Setting, p.CostUSD, p.Quality)
		}
	}
	return tw.Flush()
}

func (r *Report) writePairMetrics(w io.Writer) error {
	if len(r.Routers) == 0 || r.Routers[0].Pair == nil {
		return nil
	}
	p := r.Routers[0].Pair
	fmt.Fprintf(w, "\n%s against %s (RouteLLM): average gap recovered, and the share of calls to %s that recovers half and 80%% of the gap\n", p.Strong, p.Weak, p.Strong)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "router\tAPGR\t95% interval\tCPT(50%)\tCPT(80%)")
	for _, l := range r.Routers {
		if l.Pair != nil {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", l.Name, l.Pair.APGR, span(l.Pair.APGRCI), percent(l.Pair.CPT50), percent(l.Pair.CPT80))
		}
	}
	return tw.Flush()
}

func (r *Report) writeLearning(w io.Writer) error {
	var sizes []int // of all routers, as some may not have been fitted on the smallest
	for _, l := range r.Routers {
		for _, p := range l.LearningCurve {
			sizes = append(sizes, p.Queries)
		}
	}
	if len(sizes) == 0 {
		return nil
	}
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	fmt.Fprintln(w, "\nlearning curve: AIQ by queries fitted on")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "router")
	for _, n := range sizes {
		fmt.Fprintf(tw, "\t%d", n)
	}
	fmt.Fprintln(tw)
	for _, l := range r.Routers {
		if len(l.LearningCurve) == 0 {
			continue
		}
		fmt.Fprint(tw, l.Name)
		for _, n := range sizes {
			at := slices.IndexFunc(l.LearningCurve, func(p LearningPoint) bool { return p.Queries == n })
			if at < 0 {
				fmt.Fprint(tw, "\t")
				continue
			}
			fmt.Fprintf(tw, "\t%s", l.LearningCurve[at].AIQ)
		}
		fmt.Fprintln(tw)
	}
	return tw.Flush()
}

func (r *Report) writeRobustness(w io.Writer) error {
	head := false
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range r.Routers {
		if len(l.Robustness) == 0 {
			continue
		}
		if !head {
			fmt.Fprintf(w, "\nrobustness at 97%% of the best single's quality, the setting picked on these queries: share of choices kept, and the bill against the bill before\n")
			fmt.Fprint(tw, "router")
			for _, p := range l.Robustness {
				fmt.Fprintf(tw, "\t%s", p.Perturbation)
			}
			fmt.Fprintln(tw, "\tworst bill")
			head = true
		}
		fmt.Fprint(tw, l.Name)
		for _, p := range l.Robustness {
			fmt.Fprintf(tw, "\t%.0f%% ×%.2f", 100*p.Kept, p.Bill)
		}
		fmt.Fprintf(tw, "\t×%.2f\n", l.Robustness[0].Worst)
	}
	return tw.Flush()
}

// writeNovelty writes how well routers tell the queries of a source left out from others.
func (r *Report) writeNovelty(w io.Writer) error {
	head := false
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range r.Routers {
		if l.NoveltyAUC == nil || l.Name == "mean" {
			continue
		}
		if !head {
			fmt.Fprintln(w, "\nnovelty: probability (AUC) that a query of the source left out is more novel than one of the others, held out in turn")
			fmt.Fprintln(tw, "router\tall sources\tlowest\t\thighest")
			head = true
		}
		fmt.Fprintf(tw, "%s\t%s", l.Name, short(*l.NoveltyAUC))
		of := slices.Clone(l.Sources)
		of = slices.DeleteFunc(of, func(s SourceLine) bool { return s.NoveltyAUC == nil })
		slices.SortStableFunc(of, func(a, b SourceLine) int { return cmp.Compare(*a.NoveltyAUC, *b.NoveltyAUC) })
		if len(of) > 0 {
			fmt.Fprintf(tw, "\t%s\t%s\t%s\t%s", short(*of[0].NoveltyAUC), of[0].Source, short(*of[len(of)-1].NoveltyAUC), of[len(of)-1].Source)
		}
		fmt.Fprintln(tw)
	}
	return tw.Flush()
}

// writeAbstentions writes on which share of the prompts routers abstain, before and after
// each change.
func (r *Report) writeAbstentions(w io.Writer) error {
	head := false
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range r.Routers {
		if !slices.ContainsFunc(l.Robustness, func(p Robustness) bool { return max(p.AbstainedBefore, p.Abstained) > 0 }) {
			continue
		}
		if !head {
			fmt.Fprintln(w, "\nabstentions: share of the prompts on which the router decides by each model's mean, as they are and changed")
			fmt.Fprint(tw, "router\tunchanged")
			for _, p := range l.Robustness {
				fmt.Fprintf(tw, "\t%s", p.Perturbation)
			}
			fmt.Fprintln(tw)
			head = true
		}
		fmt.Fprintf(tw, "%s\t%.1f%%", l.Name, 100*l.Robustness[0].AbstainedBefore)
		for _, p := range l.Robustness {
			fmt.Fprintf(tw, "\t%.1f%%", 100*p.Abstained)
		}
		fmt.Fprintln(tw)
	}
	return tw.Flush()
}

// writeSuffixes writes what searched suffixes do.
func (r *Report) writeSuffixes(w io.Writer) error {
	head := false
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range r.Routers {
		p := l.SuffixSearch
		if p == nil {
			continue
		}
		if !head {
			fmt.Fprintf(w, "\nsearched suffix: at most %d common words for all prompts, found on %d queries and measured on %d others\n", suffixWords, p.FoundOn, p.Queries)
			fmt.Fprintln(tw, "router\tchoices kept\tbill\tworst bill\tabstentions\tafter\tsuffix")
			head = true
		}
		fmt.Fprintf(tw, "%s\t%.0f%%\t×%.2f\t×%.2f\t%.1f%%\t%.1f%%\t%s\n", l.Name, 100*p.Kept, p.Bill, p.Worst, 100*p.AbstainedBefore, 100*p.Abstained, cmp.Or(p.Suffix, "none found"))
	}
	return tw.Flush()
}

// WriteDetails writes the longer tables: chosen settings, regret, calibration,
// traffic and sources.
func (r *Report) WriteDetails(w io.Writer) error {
	for _, table := range []func(io.Writer) error{r.writeSettings, r.writeRegret, r.writeCalibration, r.writeTraffic, r.writePlans, r.writeSources} {
		if err := table(w); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) writeSettings(w io.Writer) error {
	fmt.Fprintln(w, "\nsettings chosen on the queries fitted on (of the first part)")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range r.Routers {
		if len(l.Settings) > 0 {
			fmt.Fprintf(tw, "%s\t%s\n", l.Name, l.Settings[0])
		}
	}
	return tw.Flush()
}

func (r *Report) writeRegret(w io.Writer) error {
	fmt.Fprintln(w, "\nregret against the oracle, in units of quality (* oracle-tuned: the best setting on these very queries)")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "router")
	for _, at := range r.Routers[0].Regret {
		fmt.Fprintf(tw, "\tat %s", at.Objective)
	}
	fmt.Fprintln(tw)
	for _, l := range r.Routers {
		fmt.Fprint(tw, l.Name)
		for _, at := range l.Regret {
			star := ""
			if at.OracleTuned {
				star = "*"
			}
			fmt.Fprintf(tw, "\t%s%s", at.Regret, star)
		}
		fmt.Fprintln(tw)
	}
	return tw.Flush()
}

func (r *Report) writeCalibration(w io.Writer) error {
	fmt.Fprintln(w, "\ncalibration")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "router\tBrier\tECE\tR²\tresidual / deviation\ttokens: relative error\tbias\twithin p90\tcost: relative error\tbias\trank correlation\twithin p90\tby model\toutside 99.9%")
	for _, l := range r.Routers {
		if c := l.Calibration; c != nil {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, c.Brier, short(c.ECE), short(c.R2), short(c.QualityZ),
				short(c.OutputTokensRelativeMAE), percent(c.OutputTokensBias), percent(c.OutputTokensP90), short(c.CostRelativeMAE), percent(c.CostBias), short(c.CostRankCorrelation), percent(c.CostP90), c.costP90())
		}
	}
	return tw.Flush()
}

// costP90 writes the range of the models' coverage, and how many are outside the band.
func (c *Calibration) costP90() string {
	var known []float64
	for _, v := range c.CostP90ByModel {
		if v := float64(v); !math.IsNaN(v) {
			known = append(known, v)
		}
	}
	if known == nil {
		return "\t"
	}
	return fmt.Sprintf("%s to %s\t%d of %d", percent(Number(slices.Min(known))), percent(Number(slices.Max(known))), c.CostP90Outside, len(known))
}

// writeTraffic shows which models answer at a few points along the first router's
// curve.
func (r *Report) writeTraffic(w io.Writer) error {
	for _, l := range r.Routers {
		if len(l.Traffic) == 0 {
			continue
		}
		fmt.Fprintf(w, "\ntraffic of %s along its curve\n", l.Name)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "USD per unit of quality\tUSD a query\tquality\tmodels")
		last := -1.0
		for _, p := range l.Traffic {
			if p.CostUSD == last {
				continue
			}
			last = p.CostUSD
			var mix []string
			for m, share := range p.Shares {
				if share >= 0.005 {
					mix = append(mix, fmt.Sprintf("%s %.0f%%", r.Models[m], 100*share))
				}
			}
			for k, share := range p.Plans {
				if share >= 0.005 {
					mix = append(mix, fmt.Sprintf("%s %.0f%%", l.Plans[k].Plan, 100*share))
				}
			}
			worth := "best quality"
			if v := float64(p.USDPerQuality); v < 1e300 {
				worth = fmt.Sprintf("%.3g", v)
			}
			fmt.Fprintf(tw, "%s\t%.3g\t%.4f\t%s\n", worth, p.CostUSD, p.Quality, strings.Join(mix, ", "))
		}
		return tw.Flush()
	}
	return nil
}

// writePromises shows how well promises were kept.
func (r *Report) writePromises(w io.Writer) error {
	if !slices.ContainsFunc(r.Routers, func(l RouterLine) bool { return len(l.Promises) > 0 }) {
		return nil
	}
	fmt.Fprintln(w, "\npromises, on queries that neither the fit nor the calibration saw; kept, quality and cost are of the feasible queries")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "router\tobjective\tpromise\tfeasible\tkept\tbinds\tquality\tUSD a query")
	for _, l := range r.Routers {
		for _, p := range l.Promises {
			binds, cost := "no", p.CostUSD.String()
			if p.Binds {
				binds = "yes"
			}
			if cost != "none" {
				cost = fmt.Sprintf("%.3g", float64(p.CostUSD))
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%.1f%%\t%s\t%s\t%s\t%s\n", l.Name, p.Objective, p.Promise, 100*p.Feasible, percent(p.Kept), binds, p.Quality, cost)
		}
	}
	return tw.Flush()
}

func (r *Report) writeSources(w io.Writer) error {
	if len(r.Routers) == 0 || len(r.Routers[0].Sources) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\nAIQ by source, each on its own scale, given these fits")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "source\tqueries")
	for _, l := range r.Routers {
		if l.Name != "best-single" {
			fmt.Fprintf(tw, "\t%s", l.Name)
		}
	}
	fmt.Fprintln(tw)
	for s, line := range r.Routers[0].Sources {
		fmt.Fprintf(tw, "%s\t%d", line.Source, line.Queries)
		for _, l := range r.Routers {
			if l.Name != "best-single" {
				fmt.Fprintf(tw, "\t%s", l.Sources[s].AIQ)
			}
		}
		fmt.Fprintln(tw)
	}
	return tw.Flush()
}

// verdict says in words whether the two can be told apart.
func (p *Pair) verdict() string {
	switch {
	case p.Interval[0] > 0:
		return p.A + " is better"
	case p.Interval[1] < 0:
		return p.B + " is better"
	}
	return "cannot be told apart"
}

func span(v []Number) string {
	if len(v) != 2 {
		return ""
	}
	return fmt.Sprintf("[%s, %s]", v[0], v[1])
}

func short(n Number) string {
	if s := n.String(); s == "none" {
		return s
	}
	return fmt.Sprintf("%.3f", float64(n))
}

func percent(n Number) string {
	if s := n.String(); s == "none" {
		return ""
	}
	return fmt.Sprintf("%.1f%%", 100*float64(n))
}
