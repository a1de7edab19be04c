package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/whatif"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

const (
	// rated is the share of simulated answers with a score.
	rated = 0.3
	// mistake is the standard deviation of the logarithm by which forecasts of each
	// model's output tokens are off as a whole, where they are made to be off.
	mistake = 0.3
)

// whatIf counts how often the intervals of carrot whatif hold the truth: what the recorded
// outcomes of the other choices cost, and scored, on the same requests.
func whatIf(ctx context.Context, out io.Writer, t *table.Table, spec predict.Spec, o options) error {
	type tally struct {
		trials, bill, then, gain   int
		changed, off, width, plain float64
	}
	questions := []struct {
		name    string
		worth   float64 // times that of the router
		without bool    // the model that is chosen most often
	}{{"w × 4", 4, false}, {"w / 4", 0.25, false}, {"w × 16", 16, false}, {"w / 16", 1.0 / 16, false}, {"without the most frequent model", math.NaN(), true}}
	worlds := []struct{ rate, off float64 }{{0, 0}, {0.05, 0}, {0, mistake}, {0.05, mistake}}
	counts := make([]tally, len(questions)*len(worlds))
	var f *fitted
	for s := range o.simulations {
		if s%max(o.simulations/min(o.seeds, 10), 1) == 0 {
			o.say("%s: simulation %d of %d", t.Set.Name, s+1, o.simulations)
			var err error
			if f, err = fit(ctx, t, spec, uint64(s), 0.4, 0.6); err != nil {
				return err
			}
		}
		for e, world := range worlds {
			g := f.mistaken(rand.New(rand.NewPCG(uint64(s), 4)), world.off)
			requests, query := g.requests(rand.New(rand.NewPCG(uint64(s), 3)), o.requests, world.rate)
			log := whatif.New(requests)
			column := map[string]int{}
			for m, name := range f.models {
				column[name] = m
			}
			for k, question := range questions {
				q := whatif.Question{USDPerQuality: f.w * question.worth}
				if question.without {
					q.Without = []string{frequent(log)}
				}
				a := log.Ask(q)
				var bill, plain, was, then, judged float64
				for i := range requests {
					name, decided := log.Choice(i, q)
					m := column[name]
					bill += f.t.Cost.At(query[i], m)
					if decided {
						judged++
						was += f.t.Set.Score.At(query[i], column[requests[i].Model])
						then += f.t.Set.Score.At(query[i], m)
					}
					if name == requests[i].Model {
						plain += f.t.Cost.At(query[i], m)
						continue
					}
					for _, c := range requests[i].Candidates {
						if c.Name == name {
							plain += c.Cost
						}
					}
				}
				c := &counts[e*len(questions)+k]
				c.trials++
				for _, x := range []struct {
					of    whatif.Estimate
					truth float64
					n     *int
				}{{a.Then, bill, &c.bill}, {a.QualityThen, then / judged, &c.then}, {a.QualityGain, (then - was) / judged, &c.gain}} {
					if x.truth >= x.of.Interval[0] && x.truth <= x.of.Interval[1] {
						*x.n++
					}
				}
				c.changed += float64(a.Changed) / float64(a.Requests)
				c.off += math.Abs(a.Then.Value-bill) / bill
				c.plain += math.Abs(plain-bill) / bill
				c.width += (a.Then.Interval[1] - a.Then.Interval[0]) / bill
			}
		}
	}
	fmt.Fprintf(out, "%s: %d requests in a simulation, %d models, %.0f%% of the answers with a score\n\n", t.Set.Name, o.requests, len(f.models), 100*rated)
	fmt.Fprintln(out, "| exploration | mistake | question | other model | bill holds | off by | as expected | width | quality holds | gain holds |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|---|")
	var all tally
	line := func(rate, name string, c tally) {
		n := float64(c.trials)
		fmt.Fprintf(out, "| %s | %s | %.0f%% | %d of %d | %.1f%% | %.1f%% | %.1f%% | %d | %d |\n", rate, name, 100*c.changed/n, c.bill, c.trials, 100*c.off/n, 100*c.plain/n, 100*c.width/n, c.then, c.gain)
	}
	for k, c := range counts {
		world := worlds[k/len(questions)]
		line(fmt.Sprintf("%.0f%% | %.1f", 100*world.rate, world.off), questions[k%len(questions)].name, c)
		all = tally{all.trials + c.trials, all.bill + c.bill, all.then + c.then, all.gain + c.gain, all.changed + c.changed, all.off + c.off, all.width + c.width, all.plain + c.plain}
	}
	line("all |", "", all)
	fmt.Fprintln(out)
	return nil
}

// mistaken multiplies the forecasts of each model's costs with a factor, the logarithm of
// which has the standard deviation sd.
func (f *fitted) mistaken(r *rand.Rand, sd float64) *fitted {
	out := *f
	out.forecast = make([]carrot.Prediction, len(f.forecast))
	factor := make([]float64, len(f.models))
	for m := range factor {
		factor[m] = math.Exp(sd * r.NormFloat64())
	}
	for i, p := range f.forecast {
		out.forecast[i] = carrot.Prediction{Forecasts: slices.Clone(p.Forecasts)}
		for m := range factor {
			e := &out.forecast[i].Forecasts[m]
			e.OutputTokens *= factor[m]
			e.CostUSD *= factor[m]
		}
	}
	return &out
}

// requests draws requests and the query of each, a row of the table.
func (f *fitted) requests(r *rand.Rand, n int, rate float64) (requests []whatif.Request, query []int) {
	for range n {
		i := f.traffic[r.IntN(len(f.traffic))]
		x := f.row(i, f.w)
		f.serve(&x, r, i, rate)
		if r.Float64() >= rated {
			x.Score = math.NaN()
		}
		one := whatif.Request{Row: x, Model: x.Candidates[x.Action].Name, Was: x.Cost, Now: x.Cost}
		if x.Action != x.Greedy {
			one.Kept = whatif.KeptExplored
		}
		requests, query = append(requests, one), append(query, i)
	}
	return requests, query
}

// frequent returns the model that answers most often.
func frequent(log *whatif.Log) string {
	models := log.Ask(whatif.Question{USDPerQuality: math.NaN()}).Models
	best := 0
	for m := range models {
		if models[m].Was > models[best].Was {
			best = m
		}
	}
	return models[best].Name
}
