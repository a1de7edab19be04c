// Command borrowed measures how far the forecasts for one model are from those of its
// successor, on recorded outcomes of both: what borrowed forecasts of models of today are
// widened by.
//
// For each pair of an older and a newer model of one family, the newer one borrows from
// the out-of-fold forecasts for the older one, once on the assumption that it is as good,
// and once from the difference of the two on one source of the set, judged on the others.
// Equal data give equal bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "borrowed:", err)
		os.Exit(1)
	}
}

// successors are the pairs of zeroeval.
const successors = "gpt-3.5-turbo-0125=gpt-4o-mini-2024-07-18,gpt-4o-2024-05-13=gpt-4o-2024-08-06," +
	"claude-3-haiku-20240307=claude-3-5-haiku-20241022,claude-3-opus-20240229=claude-3-5-sonnet-20240620," +
	"claude-3-5-sonnet-20240620=claude-3-5-sonnet-20241022," +
	"Meta-Llama-3-8B-Instruct=Meta-Llama-3.1-8B-Instruct,Meta-Llama-3-70B-Instruct=Meta-Llama-3.1-70B-Instruct"

// folds is the number of folds by prompt hash.
const folds = 5

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("borrowed", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() {
		fmt.Fprintln(progress, "usage: borrowed [flags] DIR\n\nDIR is a data folder. Example: borrowed .cache/public/zeroeval")
		flags.PrintDefaults()
	}
	list := flags.String("pairs", successors, "pairs OLDER=NEWER, with commas between them")
	predictor := flags.String("predictor", "blend", "the predictor whose forecasts are borrowed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("want a data folder; borrowed -h explains")
	}
	set, err := dataset.Load(ctx, flags.Arg(0))
	if err != nil {
		return err
	}
	var pairs [][2]string
	for text := range strings.SplitSeq(*list, ",") {
		older, newer, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("-pairs: %q: want OLDER=NEWER", text)
		}
		pairs = append(pairs, [2]string{older, newer})
	}
	for m := range set.Models {
		name := set.Models[m].Name
		set.Models[m].Pool = slices.ContainsFunc(pairs, func(p [2]string) bool { return p[0] == name || p[1] == name })
	}
	embedder, err := embed.Open("static", embed.Options{})
	if err != nil {
		return err
	}
	t, err := table.New(ctx, set, embedder, table.Options{})
	if err != nil {
		return err
	}
	r := &replay{whole: set, t: t, rows: t.CompleteOf(table.Trainable(t.Set)), names: t.ModelNames()}
	for _, p := range pairs {
		for _, name := range p {
			if !slices.Contains(r.names, name) {
				return fmt.Errorf("-pairs: the set has no model %q", name)
			}
		}
	}
	fmt.Fprintln(progress, "fitting", *predictor)
	if err := r.fit(ctx, *predictor); err != nil {
		return err
	}
	r.write(out, pairs)
	return nil
}

// replay holds out-of-fold forecasts and outcomes of the rows.
type replay struct {
	whole     *dataset.Set // with the models of no pair too
	t         *table.Table
	rows      []int
	names     []string
	forecasts []carrot.Prediction
}

// fit forecasts each row by a predictor that was fitted without its fold.
func (r *replay) fit(ctx context.Context, name string) error {
	r.forecasts = make([]carrot.Prediction, len(r.rows))
	for f := range folds {
		var rows, held []int
		for k, i := range r.rows {
			if dataset.Fold(r.t.Set.Queries[i].Prompt, folds) == f {
				held = append(held, k)
			} else {
				rows = append(rows, i)
			}
		}
		p := predict.New(predict.Spec{Name: name})
		if err := p.Fit(ctx, r.t.Data(rows), nil); err != nil {
			return err
		}
		x, out := make([]carrot.Representation, len(held)), make([]carrot.Prediction, len(held))
		for h, k := range held {
			x[h] = r.t.X[r.rows[k]]
		}
		if err := p.Predict(x, out); err != nil {
			return err
		}
		for h, k := range held {
			r.forecasts[k] = out[h]
		}
	}
	return nil
}

// mean returns the mean score of a model on the rows for which use is true.
func (r *replay) mean(m int, use func(source string) bool) float64 {
	return mean(r.t.Set, r.rows, m, use)
}

func mean(set *dataset.Set, rows []int, m int, use func(source string) bool) float64 {
	sum, n := 0.0, 0
	for _, i := range rows {
		if s := set.Score.At(i, m); s == s && use(set.Queries[i].Source) {
			sum += s
			n++
		}
	}
	return sum / float64(n)
}

// rules are ways to carry the difference between a known model's share a of right answers
// on one source and another's, b, over to the known model's share q on others.
var rules = []struct {
	name  string
	apply func(a, b, q float64) float64
}{
	{"difference of right answers", func(a, b, q float64) float64 { return q + b - a }},
	{"ratio of wrong answers", func(a, b, q float64) float64 { return 1 - (1-q)*(1-b)/(1-a) }},
	{"difference of log-odds", func(a, b, q float64) float64 { return 1 / (1 + math.Exp(-logit(q)-logit(b)+logit(a))) }},
}

// compare prints what each rule gets wrong: for the pairs, and for all pairs of models of
// which one is better by less than closeBy.
func (r *replay) compare(out io.Writer, pairs [][2]string, sources []string) {
	const closeBy = 0.25
	models := len(r.whole.Models)
	share := func(m int, use func(string) bool) float64 { return mean(r.whole, r.rows, m, use) }
	in, others, all := make([][]float64, models), make([][]float64, models), make([]float64, models)
	for m := range models {
		for _, s := range sources {
			in[m] = append(in[m], share(m, func(source string) bool { return source == s }))
			others[m] = append(others[m], share(m, func(source string) bool { return source != s }))
		}
		all[m] = share(m, func(string) bool { return true })
	}
	given := map[[2]string]bool{}
	for _, p := range pairs {
		given[p] = true
	}
	fmt.Fprintf(out, "\n| rule | these pairs | %s | all pairs |\n|---|---|%s---|\n", strings.Join(sources, " | "), strings.Repeat("---|", len(sources)))
	for _, rule := range rules {
		var these, every []float64
		by := make([][]float64, len(sources))
		for a := range models {
			for b := range models {
				own := given[[2]string{r.whole.Models[a].Name, r.whole.Models[b].Name}]
				near := all[b] > all[a] && all[b]-all[a] < closeBy
				for s := range sources {
					e := others[b][s] - rule.apply(in[a][s], in[b][s], others[a][s])
					if own {
						these, by[s] = append(these, e), append(by[s], e)
					}
					if near {
						every = append(every, e)
					}
				}
			}
		}
		fmt.Fprintf(out, "| %s | %.3f |", rule.name, rms(these))
		for _, errs := range by {
			fmt.Fprintf(out, " %.3f |", rms(errs))
		}
		fmt.Fprintf(out, " %.3f of %d |\n", rms(every), len(every)/len(sources))
	}
}

// rms is the root mean square.
func rms(errs []float64) float64 {
	sum := 0.0
	for _, e := range errs {
		sum += e * e
	}
	return math.Sqrt(sum / float64(len(errs)))
}

func all(string) bool { return true }

func logit(q float64) float64 { return math.Log(q / (1 - q)) }

// write prints what borrowing gets wrong, by pair and over all pairs.
func (r *replay) write(out io.Writer, pairs [][2]string) {
	var sources []string
	for _, i := range r.rows {
		if s := r.t.Set.Queries[i].Source; !slices.Contains(sources, s) {
			sources = append(sources, s)
		}
	}
	slices.Sort(sources)
	fmt.Fprintf(out, "%d queries\n\n| known | borrows | mean score | error if as good | error by the figures of one source, on the others | effect of the query on the known model, on the other | output tokens | within the known model's P90 |\n|---|---|---|---|---|---|---|---|\n", len(r.rows))
	var assumed, cited, above, base, known float64
	var tokens []float64 // output tokens, for each of the known model's 90% quantile
	figures := 0
	for _, p := range pairs {
		a, b := slices.Index(r.names, p[0]), slices.Index(r.names, p[1])
		meanA, meanB := r.mean(a, all), r.mean(b, all)
		assumed += (meanB - meanA) * (meanB - meanA)
		var errs []string
		for _, s := range sources {
			in := func(source string) bool { return source == s }
			others := func(source string) bool { return source != s }
			shift := logit(r.mean(b, in)) - logit(r.mean(a, in))
			e := r.mean(b, others) - 1/(1+math.Exp(-logit(r.mean(a, others))-shift))
			errs = append(errs, fmt.Sprintf("%s %+.3f", s, e))
			cited += e * e
			figures++
		}
		var xy, xx, own, within, lengthA, lengthB float64
		for k, i := range r.rows {
			f := &r.forecasts[k].Forecasts[a]
			d := f.Quality - meanA
			xy += d * (r.t.Set.Score.At(i, b) - meanB)
			xx += d * d
			own += d * (r.t.Set.Score.At(i, a) - meanA)
			length := r.t.Set.OutputTokens.At(i, b)
			lengthA, lengthB = lengthA+r.t.Set.OutputTokens.At(i, a), lengthB+length
			ratio := length / f.OutputTokensP90
			tokens = append(tokens, ratio)
			if ratio <= 1 {
				within++
			}
		}
		above, base, known = above+xy, base+xx, known+own
		fmt.Fprintf(out, "| %s | %s | %.3f → %.3f | %+.3f | %s | %.2f, %.2f | × %.2f | %.1f%% |\n", p[0], p[1], meanA, meanB, meanB-meanA, strings.Join(errs, ", "), own/xx, xy/xx, lengthB/lengthA, 100*within/float64(len(r.rows)))
	}
	slices.Sort(tokens)
	n := float64(len(pairs))
	fmt.Fprintf(out, "\nRoot mean square of the error: %.3f if the newer model is assumed to be as good, %.3f by the figures of one source.\n", math.Sqrt(assumed/n), math.Sqrt(cited/float64(figures)))
	fmt.Fprintf(out, "Over all pairs, a score moves with the known model's forecast by %.2f of the known model and by %.2f of the other: %.2f of the effect is kept.\n", known/base, above/base, above/known)
	fmt.Fprintf(out, "90%% of the answers are within %.2f times the known model's 90%% quantile of output tokens.\n", tokens[int(math.Ceil(0.9*float64(len(tokens))))-1])
	r.compare(out, pairs, sources)
}
