package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/atomicfile"
)

type foldsCommand struct {
	Data     []string `required:"" placeholder:"DIR" help:"Data folder; several are joined."`
	Folds    int      `placeholder:"K" help:"Number of folds by prompt hash; 5 if --leave-out is not given."`
	LeaveOut string   `enum:",source" default:"" placeholder:"source" help:"One fold for each source instead."`
	Out      string   `placeholder:"FILE" help:"Write the folds as JSON lines: {\"id\":…,\"fold\":…}."`
	JSON     bool     `name:"json" help:"Print the folds as JSON lines."`
}

func (c *foldsCommand) Help() string {
	return `Writes the folds of carrot eval --folds or --leave-out, so that a router of another
program is fitted as fairly: predict the queries of each fold by a fit on those of the
others, and give the predictions to carrot eval --predictions (docs/own-router.md).
Queries marked test have no fold. Folds depend on the prompts and the sources, and
not on a seed. Without --out and --json, their sizes are printed.

Examples:
  carrot data folds --data mydata --folds 5 --out folds.jsonl
  carrot data folds --data mydata --leave-out source --json`
}

func (c *foldsCommand) Run(ctx context.Context, t terminal) error {
	o := eval.Options{Folds: c.Folds, LeaveSourcesOut: c.LeaveOut != ""}
	switch {
	case c.Folds != 0 && c.Folds < 2:
		return usagef("--folds %d: want at least 2", c.Folds)
	case c.Folds != 0 && c.LeaveOut != "":
		return usagef("--folds and --leave-out are two ways to hold queries out: give one")
	case c.Folds == 0 && c.LeaveOut == "":
		o.Folds = 5
	}
	if c.Out != "" {
		if _, err := os.Stat(filepath.Dir(c.Out)); err != nil {
			return fmt.Errorf("write folds: %w", err)
		}
	}
	set, err := loadSet(ctx, c.Data)
	if err != nil {
		return err
	}
	folds, err := eval.Folds(set, o)
	if err != nil {
		return err
	}
	write := func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		for _, f := range folds {
			if err := encoder.Encode(f); err != nil {
				return err
			}
		}
		return nil
	}
	if c.Out != "" {
		if err := atomicfile.Write(c.Out, 0o644, write); err != nil {
			return fmt.Errorf("write folds: %w", err)
		}
		wrote(t.out, c.Out)
	}
	if c.JSON {
		return write(t.out)
	}
	return printFolds(t.out, folds, o.LeaveSourcesOut)
}

// printFolds prints how many queries each fold has and, if a fold is a source, which.
func printFolds(w io.Writer, folds []eval.Fold, bySource bool) error {
	var sizes []int
	var sources []string
	for _, f := range folds {
		for f.Fold >= len(sizes) {
			sizes, sources = append(sizes, 0), append(sources, "")
		}
		sizes[f.Fold]++
		sources[f.Fold] = f.Source
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "fold\tqueries")
	if bySource {
		fmt.Fprint(tw, "\tsource")
	}
	for k, n := range sizes {
		fmt.Fprintf(tw, "\n%d\t%d", k, n)
		if bySource {
			fmt.Fprintf(tw, "\t%s", sources[k])
		}
	}
	fmt.Fprintln(tw)
	return tw.Flush()
}
