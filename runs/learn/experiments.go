package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/carrot-router/carrot/internal/learn"
	"github.com/carrot-router/carrot/internal/offpolicy"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

// rates are the rates of exploration.
var rates = []float64{0.05, 0.10, 0.20}

// offPolicy counts how often evaluations conclude, and how often their intervals hold the
// truth: for another willingness to pay, four times and a quarter of the router's.
func offPolicy(ctx context.Context, out io.Writer, t *table.Table, spec predict.Spec, o options) error {
	type tally struct{ concluded, ips, normalised, robust, quality, cost, trials int }
	counts := make([]tally, len(rates))
	var f *fitted
	for s := range o.simulations {
		if s%max(o.simulations/min(o.seeds, 10), 1) == 0 {
			o.say("%s: simulation %d of %d", t.Set.Name, s+1, o.simulations)
			var err error
			if f, err = fit(ctx, t, spec, uint64(s), 0.4, 0.6); err != nil {
				return err
			}
		}
		k := s % len(rates)
		w := f.w * []float64{4, 0.25}[s/len(rates)%2]
		target := offpolicy.Objective(w)
		e := offpolicy.Evaluate(f.sessions(rand.New(rand.NewPCG(uint64(s), 1)), o.requests, f.w, rates[k]), target, w)
		c := &counts[k]
		c.trials++
		if len(e.Refusals) > 0 {
			continue
		}
		c.concluded++
		utility, quality, cost := f.worth(target, f.w, w)
		for _, x := range []struct {
			e     offpolicy.Estimate
			truth float64
			n     *int
		}{{e.Difference.Utility.IPS, utility, &c.ips}, {e.Difference.Utility.SelfNormalised, utility, &c.normalised}, {e.Difference.Utility.DoublyRobust, utility, &c.robust},
			{e.Difference.Quality.DoublyRobust, quality, &c.quality}, {e.Difference.Cost.DoublyRobust, cost, &c.cost}} {
			if !x.e.Excludes(x.truth) {
				*x.n++
			}
		}
	}
	fmt.Fprintf(out, "%s: %d requests in a simulation, %d models\n\n", t.Set.Name, o.requests, len(t.Candidates))
	fmt.Fprintln(out, "| exploration | simulations | conclude | IPS | self-normalised | doubly robust | quality, doubly robust | cost, doubly robust |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|")
	var all tally
	line := func(name string, c tally) {
		fmt.Fprintf(out, "| %s | %d | %d | %d | %d | %d | %d | %d |\n", name, c.trials, c.concluded, c.ips, c.normalised, c.robust, c.quality, c.cost)
	}
	for k, c := range counts {
		line(fmt.Sprintf("%.0f%%", 100*rates[k]), c)
		all = tally{all.concluded + c.concluded, all.ips + c.ips, all.normalised + c.normalised, all.robust + c.robust, all.quality + c.quality, all.cost + c.cost, all.trials + c.trials}
	}
	line("all", all)
	fmt.Fprintln(out)
	return nil
}

// training measures what corrections gain and lose in AIQ on held-out queries, and how much
// remains of a mistake of .1 in what is expected of the model that is chosen most often.
func training(ctx context.Context, out io.Writer, t *table.Table, spec predict.Spec, o options) error {
	type figures struct{ gain, high, highGain, low, lowGain []float64 }
	sizes := slices.Compact([]int{max(o.requests/10, 1), o.requests})
	ways := []learn.Weights{learn.WeightsNever, learn.WeightsAlways, learn.WeightsByGap}
	all := map[[2]int]*figures{}
	var start []float64
	var traffic, held int
	for seed := range o.seeds {
		o.say("%s: seed %d of %d", t.Set.Name, seed+1, o.seeds)
		f, err := fit(ctx, t, spec, uint64(seed), 0.4, 0.3)
		if err != nil {
			return err
		}
		base := f.aiq(nil, nil)
		start = append(start, base)
		traffic, held = len(f.traffic), len(f.held)
		for s, n := range sizes {
			draw := func(g *fitted) []offpolicy.Row {
				return g.served(rand.New(rand.NewPCG(uint64(seed), 2)), n, g.w, o.explore)
			}
			rows := draw(f)
			m := most(rows, len(f.models))
			high, low := f.off(m, 0.1-f.bias(m, 0)), f.off(m, -0.1-f.bias(m, 0))
			highRows, lowRows := draw(high), draw(low)
			for k, use := range ways {
				v := all[[2]int{s, k}]
				if v == nil {
					v = &figures{}
					all[[2]int{s, k}] = v
				}
				v.gain = append(v.gain, f.aiq(f.estimate(rows, use))-base)
				quality, tokens := high.estimate(highRows, use)
				v.high = append(v.high, high.bias(m, quality[m]))
				v.highGain = append(v.highGain, high.aiq(quality, tokens)-high.aiq(nil, nil))
				quality, tokens = low.estimate(lowRows, use)
				v.low = append(v.low, low.bias(m, quality[m]))
				v.lowGain = append(v.lowGain, low.aiq(quality, tokens)-low.aiq(nil, nil))
			}
		}
	}
	fmt.Fprintf(out, "%s: %d routers, %d queries sent, %d held out, %d models, %.0f%% exploration; mean AIQ of the start %.4f\n\n", t.Set.Name, o.seeds, traffic, held, len(t.Candidates), 100*o.explore, meanOf(start))
	fmt.Fprintln(out, "| requests | weights | AIQ - start | .1 too high: remains | AIQ gained | .1 too low: remains | AIQ gained |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|")
	for s, n := range sizes {
		for k, name := range []string{"none", "inverse propensity", "by gap"} {
			v := all[[2]int{s, k}]
			fmt.Fprintf(out, "| %d | %s | %+.4f | %.3f | %+.4f | %.3f | %+.4f |\n", n, name, meanOf(v.gain), absolute(v.high), meanOf(v.highGain), absolute(v.low), meanOf(v.lowGain))
		}
	}
	fmt.Fprintln(out)
	return nil
}

// promotions counts how often 20 looks end in a promotion: of a correction that has learnt
// of a mistake of .1, as it is, and as if its decisions were worth as much as those of the
// live router, or slightly less.
func promotions(ctx context.Context, out io.Writer, t *table.Table, spec predict.Spec, o options) error {
	const looks = 20
	f, err := fit(ctx, t, spec, 0, 0.4, 0.6)
	if err != nil {
		return err
	}
	// The live router expects .1 too much of the model that it chooses most often, and the
	// candidate has learnt that from requests.
	first := f.served(rand.New(rand.NewPCG(0, 2)), o.requests, f.w, rates[0])
	m := most(first, len(f.models))
	f = f.off(m, 0.1-f.bias(m, 0))
	shift, _ := f.estimate(f.served(rand.New(rand.NewPCG(0, 2)), o.requests, f.w, rates[0]), learn.WeightsByGap)
	target := func(r *offpolicy.Row) int {
		other := *r
		other.Candidates = slices.Clone(r.Candidates)
		for m := range other.Candidates {
			q := &other.Candidates[m].Quality
			*q = min(max(*q+shift[m], 0), 1)
		}
		return offpolicy.Objective(f.w)(&other)
	}
	truth, _, _ := f.worth(target, f.w, f.w)
	fmt.Fprintf(out, "%s: %d simulations of %d looks at %d outcomes\n\n", t.Set.Name, 10*o.simulations, looks, learn.Batch)
	fmt.Fprintln(out, "| exploration | true difference in utility | promoted | looks until then |")
	fmt.Fprintln(out, "|---|---|---|---|")
	for _, rate := range rates {
		differences, choices, all := f.differences(target, rate)
		for _, beyond := range []float64{0, -0.002, truth} {
			o.say("%s: exploration %v, difference %v", t.Set.Name, rate, beyond)
			r := rand.New(rand.NewPCG(uint64(1000*rate), 3))
			promoted, until := 0, 0
			for range 10 * o.simulations {
				var p learn.Progress
				for k := range looks {
					// Support and its share are those of all queries.
					c := offpolicy.Comparison{Weight: learn.Batch, Squares: learn.Batch, Tries: all.Tries * learn.Batch, Variance: all.Variance * learn.Batch}
					for i := range learn.Batch {
						q := r.IntN(len(f.traffic))
						action := choices[q]
						if r.Float64() < rate {
							action = r.IntN(len(f.models))
						}
						c.Rows, c.Cluster = append(c.Rows, i), append(c.Cluster, i)
						c.Difference = append(c.Difference, differences[q][action]-truth+beyond)
					}
					p.Looks = append(p.Looks, learn.NewLook(f.start, c))
					if b := p.Bound(); b.Better() {
						promoted++
						until += k + 1
						break
					}
				}
			}
			after := "–"
			if promoted > 0 {
				after = strconv.FormatFloat(float64(until)/float64(promoted), 'f', 1, 64)
			}
			fmt.Fprintf(out, "| %.0f%% | %+.4f | %.2f%% | %s |\n", 100*rate, beyond, 100*float64(promoted)/float64(10*o.simulations), after)
		}
	}
	fmt.Fprintln(out)
	return nil
}

// differences returns, for each query that is sent and each model that may be drawn, the
// doubly robust difference of a policy from the router's choices, and these; and what
// the probabilities say of a request.
func (f *fitted) differences(target offpolicy.Policy, rate float64) (differences [][]float64, choices []int, mean offpolicy.Comparison) {
	n := float64(len(f.models))
	own := func(r *offpolicy.Row) int { return r.Greedy }
	for _, i := range f.traffic {
		var rows []offpolicy.Row
		for m := range f.models {
			x := f.row(i, f.w)
			x.Action, x.Propensity = m, rate/n
			if m == x.Greedy {
				x.Propensity = 1 - rate + rate/n
			}
			x.Score, x.Cost = f.t.Set.Score.At(i, m), f.t.Cost.At(i, m)
			rows = append(rows, x)
		}
		c := offpolicy.Compare(rows, target, own, f.w)
		choices, differences = append(choices, rows[0].Greedy), append(differences, c.Difference)
		mean.Tries += c.Tries / float64(len(rows)*len(f.traffic))
		mean.Variance += c.Variance / float64(len(rows)*len(f.traffic))
	}
	return differences, choices, mean
}

// sessions draws requests with exploration, in sessions of one to five that begin with any
// query and go on with those that follow it in the data, which are alike.
func (f *fitted) sessions(r *rand.Rand, n int, w, rate float64) (rows []offpolicy.Row) {
	order := slices.Clone(f.traffic)
	slices.Sort(order)
	decided := map[int]offpolicy.Row{}
	for s := 0; len(rows) < n; s++ {
		at := r.IntN(len(order))
		for range 1 + r.IntN(5) {
			i := order[at%len(order)]
			at++
			x, ok := decided[i]
			if !ok {
				x = f.row(i, w)
				decided[i] = x
			}
			x.Session = strconv.Itoa(s)
			f.serve(&x, r, i, rate)
			rows = append(rows, x)
		}
	}
	return rows
}
