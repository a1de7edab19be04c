// Command learn measures what is learnt from traffic, on recorded outcomes whose truth is
// known: how often the intervals of carrot eval --ledger hold the truth, what carrot train
// --ledger gains and loses, how often carrot learn promotes a router that is no better, and
// how often the intervals of carrot whatif hold the truth. See runs/learn.sh.
//
// Routers are fitted on a part of the rows not marked test, and serve simulated requests
// with the queries of another part. Equal flags give equal bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "learn:", err)
		os.Exit(1)
	}
}

// options are those of every experiment.
type options struct {
	seeds, simulations, requests int
	explore                      float64
	say                          func(format string, args ...any)
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("learn", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() {
		fmt.Fprintln(progress, "usage: learn [flags] offpolicy|train|promote|whatif DIR…\n\nDIR is a data folder. Example: learn -seeds 20 train .cache/public/zeroeval")
		flags.PrintDefaults()
	}
	o := options{say: func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) }}
	flags.IntVar(&o.seeds, "seeds", 20, "routers to fit, each on another part of the data")
	flags.IntVar(&o.simulations, "simulations", 100, "simulations of offpolicy and whatif; promote runs ten times as many")
	flags.IntVar(&o.requests, "requests", 20_000, "requests in a simulation of offpolicy or whatif, and the most in train")
	predictor := flags.String("predictor", "blend:gamma=1:noise=20:landmarks=512:alpha=10:buckets=16384:caution=0.8", "what forecasts, as in carrot train --predictor")
	flags.Float64Var(&o.explore, "explore", 0.05, "rate of exploration in train")
	models := flags.String("models", "", "models of the pool, joined by commas; by default all")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() < 2 || o.seeds < 1 || o.simulations < 1 || o.requests < 1 || !(o.explore > 0 && o.explore <= 1) {
		return errors.New("want an experiment, a data folder, and at least 1 seed, 1 simulation and 1 request; learn -h explains")
	}
	spec, err := predict.ParseSpec(*predictor)
	if err != nil {
		return err
	}
	experiment, ok := map[string]func(context.Context, io.Writer, *table.Table, predict.Spec, options) error{"offpolicy": offPolicy, "train": training, "promote": promotions, "whatif": whatIf}[flags.Arg(0)]
	if !ok {
		return fmt.Errorf("unknown experiment %q: want offpolicy, train, promote or whatif", flags.Arg(0))
	}
	static, err := embed.Default()
	if err != nil {
		return err
	}
	for _, dir := range flags.Args()[1:] {
		set, err := dataset.Load(ctx, dir)
		if err != nil {
			return err
		}
		o.say("%s: embedding", set.Name)
		pool, err := columns(set, *models)
		if err != nil {
			return err
		}
		t, err := table.New(ctx, set.Subset(table.Trainable(set), pool), static, table.Options{})
		if err != nil {
			return err
		}
		if err := experiment(ctx, out, t, spec, o); err != nil {
			return err
		}
	}
	return nil
}

// columns returns the columns of the named models, nil for all of the pool.
func columns(set *dataset.Set, names string) (columns []int, err error) {
	if names == "" {
		return nil, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		j := slices.IndexFunc(set.Models, func(m dataset.Model) bool { return m.Name == name })
		if j < 0 {
			return nil, fmt.Errorf("data set %s: there is no model %q", set.Name, name)
		}
		columns = append(columns, j)
	}
	return columns, nil
}
