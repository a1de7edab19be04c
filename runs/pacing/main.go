// Command pacing measures what the pacing of a budget is worth: it lets months of
// traffic, drawn from recorded outcomes, spend a budget with and without it, and
// prints the quality over the month. See runs/pacing.sh.
//
// Qualities and costs are forecast out of fold, over the rows not marked test, by the
// router that carrot train makes. What a request costs and how good its answer is are
// the recorded ones. Equal flags give equal bytes.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/predict"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "pacing:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("pacing", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() {
		fmt.Fprintln(progress, "usage: pacing [flags] DIR…\n\nDIR is a data folder. Example: pacing -months 200 .cache/public/zeroeval")
		flags.PrintDefaults()
	}
	var o options
	flags.IntVar(&o.Months, "months", 200, "months to draw for each scenario")
	flags.IntVar(&o.Requests, "requests", 20_000, "requests in a month")
	flags.Uint64Var(&o.Seed, "seed", 0, "seed of the months")
	folds := flags.Int("folds", 5, "folds by prompt hash in which forecasts are made")
	objective := flags.String("objective", "balanced", "the policy's objective")
	predictor := flags.String("predictor", "blend", "what forecasts, as in carrot train --predictor")
	picture := flags.String("svg", "", "file for a picture of one month of the first data set")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 || o.Months < 1 || o.Requests < 1 || *folds < 2 {
		return errors.New("want a data folder, and at least 1 month, 1 request and 2 folds; pacing -h explains")
	}
	spec, err := predict.ParseSpec(*predictor)
	if err != nil {
		return err
	}
	policy, err := carrot.ParseObjective(*objective)
	if err != nil {
		return err
	}
	embedder, err := embed.Open("static", embed.Options{})
	if err != nil {
		return err
	}
	say := func(doing string) { fmt.Fprintln(progress, doing) }
	for i, dir := range flags.Args() {
		set, err := dataset.Load(ctx, dir)
		if err != nil {
			return err
		}
		data, err := forecast(ctx, set, embedder, spec, policy, *folds, say)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(dir), err)
		}
		if i == 0 && *picture != "" {
			var b bytes.Buffer
			if err := draw(&b, data, o); err != nil {
				return err
			}
			if err := os.WriteFile(*picture, b.Bytes(), 0o644); err != nil {
				return err
			}
		}
		say(data.name + ": drawing months")
		if err := measure(ctx, data, o).write(out); err != nil {
			return err
		}
	}
	return ctx.Err()
}
