// Command newmodel measures how well a router learns a new model from few prompts, as
// carrot collect --add-model does: each model of a pool is left out, and added again from
// the outcomes of some of the training queries.
//
// The gain of a model is the AIQ of the router that knows it, less that of the router
// without it, on held-out folds by prompt hash of the rows not marked test. The share of
// the gain is that of the router with the model added to that of a router that was fitted
// on all outcomes. Equal flags give equal bytes.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/collect"
	"github.com/carrot-router/carrot/internal/parallel"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "newmodel:", err)
		os.Exit(1)
	}
}

// folds is the number of folds.
const folds = 5

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("newmodel", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() {
		fmt.Fprintln(progress, "usage: newmodel [flags] DIR…\n\nDIR is a data folder. Example: newmodel -draws 20 .cache/public/zeroeval")
		flags.PrintDefaults()
	}
	draws := flags.Int("draws", 20, "draws of prompts for each number of them")
	prompts := flags.String("prompts", "0,25,50,100,200,400", "numbers of prompts that the new model was asked")
	least := flags.Float64("least", 0.002, "the least full gain of a model that counts in the sum of gains")
	only := flags.String("models", "", "the models to leave out, with commas between them (all of the pool)")
	choose := flags.String("choose", "random", "how prompts are chosen: random, or cover, the farthest from all before them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var numbers []int
	for text := range strings.SplitSeq(*prompts, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return fmt.Errorf("-prompts: %q is not a number of prompts", text)
		}
		numbers = append(numbers, n)
	}
	if flags.NArg() == 0 || *draws < 1 || *choose != "random" && *choose != "cover" {
		return errors.New("want a data folder, at least 1 draw, and random or cover; newmodel -h explains")
	}
	embedder, err := embed.Open("static", embed.Options{})
	if err != nil {
		return err
	}
	for _, dir := range flags.Args() {
		set, err := dataset.Load(ctx, dir)
		if err != nil {
			return err
		}
		t, err := table.New(ctx, set, embedder, table.Options{})
		if err != nil {
			return err
		}
		r := &replay{t: t, rows: t.CompleteOf(table.Trainable(t.Set)), draws: *draws, numbers: numbers, least: *least, cover: *choose == "cover", only: *only,
			say: func(text string) { fmt.Fprintln(progress, text) }}
		if err := r.run(ctx, set.Name, out); err != nil {
			return fmt.Errorf("%s: %w", set.Name, err)
		}
	}
	return nil
}

// replay adds each model of a pool that was left out.
type replay struct {
	t       *table.Table
	rows    []int
	draws   int
	numbers []int
	least   float64
	cover   bool
	only    string
	say     func(string)
	scale   frontier.Scale
	spec    predict.Spec
}

// figures are what a router with the new model reaches.
type figures struct{ aiq, brier, tokens float64 }

// kept are forecasts of one model for all rows.
type kept []carrot.Forecast

func (r *replay) run(ctx context.Context, name string, out io.Writer) error {
	r.scale = frontier.NewScale(r.t.Singles(r.rows).Curve(nil))
	chosen := predict.New(predict.Spec{Name: "blend"})
	r.say(name + ": choosing hyperparameters")
	if err := chosen.Fit(ctx, r.t.Data(r.rows), nil); err != nil {
		return err
	}
	r.spec = chosen.Spec()
	fold := make([]int, len(r.rows))
	for k, i := range r.rows {
		fold[k] = dataset.Fold(r.t.Set.Queries[i].Prompt, folds)
	}
	models := r.t.ModelNames()
	full, err := r.crossfit(ctx, fold, -1)
	if err != nil {
		return err
	}
	whole := r.measure(full.forecasts, -1, -1)
	fmt.Fprintf(out, "%s: %d queries, %d models, AIQ %.4f\n\n", name, len(r.rows), len(models), whole.aiq)
	fmt.Fprint(out, "| model | full gain | Brier, tokens of the full fit |")
	for _, n := range r.numbers {
		fmt.Fprintf(out, " %d prompts: gain, Brier, tokens |", n)
	}
	fmt.Fprint(out, "\n|---|---|---|"+strings.Repeat("---|", len(r.numbers))+"\n")
	sums := make([]float64, len(r.numbers))
	var fullSum float64
	counted := 0
	for m, model := range models {
		if r.only != "" && !slices.Contains(strings.Split(r.only, ","), model) {
			continue
		}
		r.say(name + ": leaving out " + model)
		without, err := r.crossfit(ctx, fold, m)
		if err != nil {
			return err
		}
		alone := r.measure(without.forecasts, m, -1)
		fitted := r.measure(full.forecasts, -1, m)
		gain := fitted.aiq - alone.aiq
		counts := gain > r.least
		if counts {
			fullSum += gain
			counted++
		}
		fmt.Fprintf(out, "| %s | %+.4f | %.4f, %.3f |", model, gain, fitted.brier, fitted.tokens)
		for k, n := range r.numbers {
			mean, err := r.added(without, fold, m, n)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, " %+.4f, %.4f, %.3f |", mean.aiq-alone.aiq, mean.brier, mean.tokens)
			if counts {
				sums[k] += mean.aiq - alone.aiq
			}
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "\nShare of the gain, over the %d models whose full gain exceeds %g:", counted, r.least)
	for k, n := range r.numbers {
		fmt.Fprintf(out, " %d prompts %.0f%%;", n, 100*sums[k]/fullSum)
	}
	fmt.Fprintln(out)
	fmt.Fprintln(out)
	return ctx.Err()
}

// crossfitted are predictors of folds and their forecasts for the rows that they were not
// fitted on.
type crossfitted struct {
	predictors []*predict.Predictor
	forecasts  []kept // by model of the pool; nil for the one that was left out
}

// crossfit fits a predictor without each fold, on all models but one.
func (r *replay) crossfit(ctx context.Context, fold []int, without int) (*crossfitted, error) {
	models := r.t.ModelNames()
	c := &crossfitted{forecasts: make([]kept, len(models))}
	for m := range models {
		if m != without {
			c.forecasts[m] = make(kept, len(r.rows))
		}
	}
	for f := range folds {
		var rows, held []int
		for k, i := range r.rows {
			if fold[k] == f {
				held = append(held, k)
			} else {
				rows = append(rows, i)
			}
		}
		p := predict.New(r.spec)
		if err := p.Fit(ctx, dropped(r.t.Data(rows), without), nil); err != nil {
			return nil, err
		}
		c.predictors = append(c.predictors, p)
		out, err := r.predict(p, held)
		if err != nil {
			return nil, err
		}
		for h, k := range held {
			at := 0
			for m := range models {
				if m != without {
					c.forecasts[m][k] = out[h].Forecasts[at]
					at++
				}
			}
		}
	}
	return c, nil
}

func (r *replay) predict(p *predict.Predictor, rows []int) ([]carrot.Prediction, error) {
	x, out := make([]carrot.Representation, len(rows)), make([]carrot.Prediction, len(rows))
	for h, k := range rows {
		x[h] = r.t.X[r.rows[k]]
	}
	return out, p.Predict(x, out)
}

// dropped returns data without a column; -1 drops none.
func dropped(d predict.Data, column int) predict.Data {
	if column < 0 {
		return d
	}
	m := len(d.Models)
	out := d
	out.Models = slices.Delete(slices.Clone(d.Models), column, column+1)
	drop := func(values []float64) (kept []float64) {
		for i, v := range values {
			if i%m != column {
				kept = append(kept, v)
			}
		}
		return kept
	}
	out.Score, out.OutputTokens = drop(d.Score), drop(d.OutputTokens)
	if d.CostUSD != nil {
		out.CostUSD = drop(d.CostUSD)
	}
	return out
}

// added returns the mean figures over draws of n prompts.
func (r *replay) added(c *crossfitted, fold []int, m, n int) (figures, error) {
	draws := r.draws
	if n == 0 || r.cover {
		draws = 1
	}
	all, errs := make([]figures, draws), make([]error, draws)
	parallel.Ranges(draws, func(lo, hi int) {
		for d := lo; d < hi; d++ {
			all[d], errs[d] = r.draw(c, fold, m, n, uint64(d))
		}
	})
	var mean figures
	for _, f := range all {
		mean.aiq += f.aiq / float64(draws)
		mean.brier += f.brier / float64(draws)
		mean.tokens += f.tokens / float64(draws)
	}
	return mean, errors.Join(errs...)
}

// draw adds a model from n prompts of each fold's training queries.
func (r *replay) draw(c *crossfitted, fold []int, m, n int, seed uint64) (figures, error) {
	forecasts := slices.Clone(c.forecasts)
	forecasts[m] = make(kept, len(r.rows))
	models := r.t.ModelNames()
	for f, p := range c.predictors {
		var rows, held []int
		for k := range r.rows {
			if fold[k] == f {
				held = append(held, k)
			} else {
				rows = append(rows, k)
			}
		}
		some, err := r.choose(rows, n, seed)
		if err != nil {
			return figures{}, err
		}
		var x []carrot.Representation
		var score, tokens []float64
		for _, k := range some {
			i := r.rows[k]
			x = append(x, r.t.X[i])
			score, tokens = append(score, r.t.Set.Score.At(i, m)), append(tokens, r.t.Set.OutputTokens.At(i, m))
		}
		grown, err := p.Add(models[m], x, score, tokens)
		if err != nil {
			return figures{}, err
		}
		out, err := r.predict(grown, held)
		if err != nil {
			return figures{}, err
		}
		for h, k := range held {
			forecasts[m][k] = out[h].Forecasts[len(models)-1]
		}
	}
	return r.measure(forecasts, -1, m), nil
}

// choose returns n of the rows.
func (r *replay) choose(rows []int, n int, seed uint64) ([]int, error) {
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	n = min(n, len(rows))
	if !r.cover || n == 0 {
		some := make([]int, n)
		for k, at := range random.Perm(len(rows))[:n] {
			some[k] = rows[at]
		}
		return some, nil
	}
	vectors := make([][]float32, len(rows))
	for k, row := range rows {
		vectors[k] = r.t.X[r.rows[row]].Dense
	}
	order, err := collect.Cover(context.Background(), vectors, []int{random.IntN(len(rows))}, n)
	if err != nil {
		return nil, err
	}
	some := make([]int, n)
	for k, at := range order {
		some[k] = rows[at]
	}
	return some, nil
}

// measure returns the AIQ of the router with forecasts, without a model, and how good the
// forecasts of another one are.
func (r *replay) measure(forecasts []kept, without, of int) figures {
	weights := frontier.Grid()
	models := len(forecasts)
	quality, cost := make([]float64, 0, models), make([]float64, 0, models)
	who := make([]int, 0, models)
	last := -1
	trace := r.t.Trace(r.rows, len(weights), func(k, setting int) int {
		if k != last {
			last = k
			quality, cost, who = quality[:0], cost[:0], who[:0]
			for m := range models {
				if m == without {
					continue
				}
				f := &forecasts[m][k]
				quality, cost, who = append(quality, f.Quality), append(cost, r.t.PredictedCost(r.rows[k], m, f)), append(who, m)
			}
		}
		return who[carrot.Choose(quality, cost, weights[setting])]
	})
	out := figures{aiq: r.scale.Measure(trace.Curve(nil)).AIQ}
	if of < 0 {
		return out
	}
	var absolute, total float64
	for k, i := range r.rows {
		f := &forecasts[of][k]
		out.brier += math.Pow(f.Quality-r.t.Set.Score.At(i, of), 2) / float64(len(r.rows))
		absolute += math.Abs(f.OutputTokens - r.t.Set.OutputTokens.At(i, of))
		total += r.t.Set.OutputTokens.At(i, of)
	}
	out.tokens = absolute / cmp.Or(total, 1)
	return out
}
