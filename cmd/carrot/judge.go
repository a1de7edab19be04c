package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/agreement"
)

type judgeCommand struct {
	Check judgeCheckCommand `cmd:"" help:"Compare a judge's scores with people's."`
}

func (c *judgeCommand) Help() string {
	return `A judge scores answers: by a rule, with a program, or by asking a model. Its scores
are as good as they agree with people.

Example:
  carrot judge check --data mydata --human labels.csv`
}

type judgeCheckCommand struct {
	Data    string  `required:"" placeholder:"DIR" help:"Data folder whose scores are the judge's."`
	Human   string  `required:"" placeholder:"FILE.csv" help:"Scores of people: id,model,score, and optionally annotator, and weight or probability."`
	Epsilon float64 `default:"0.15" placeholder:"X" help:"What the judge may be worse by in the alternative annotator test, because it is cheaper: 0.2 against experts, 0.15 against skilled annotators, 0.1 against crowd workers."`
	JSON    bool    `name:"json" help:"Print as JSON."`
}

func (c *judgeCheckCommand) Help() string {
	return `Prints agreement, Cohen's kappa and confusion; for each model its mean score with an
interval, from the judge's scores of all answers and people's of some; how many labels
would halve the interval; and, with three annotators or more, the alternative annotator
test (Calderon and others 2025). If DIR holds judgements.jsonl with votes in both orders,
also how often the order decides.

Draw the answers that people score at random. If some were likelier to be drawn, say so
in a column probability, or weight, which is 1 over it.

Examples:
  carrot judge check --data mydata --human labels.csv
  carrot judge check --data mydata --human labels.csv --json | jq '.models[].prediction_powered'`
}

func (c *judgeCheckCommand) Run(ctx context.Context, t terminal) error {
	if !(c.Epsilon >= 0 && c.Epsilon < 1) || math.IsNaN(c.Epsilon) {
		return usagef("--epsilon %v: want a number from 0 to below 1", c.Epsilon)
	}
	p := startProgress(ctx, t.err, "reading "+c.Data)
	defer p.stop()
	file, err := os.Open(c.Human)
	if err != nil {
		return err
	}
	defer file.Close() // only read from
	labels, err := agreement.ReadLabels(ctx, file, c.Human)
	if err != nil {
		return err
	}
	set, err := dataset.Load(ctx, c.Data)
	if err != nil {
		return err
	}
	flips, err := c.flips(ctx)
	if err != nil {
		return err
	}
	r, err := agreement.Check(set, labels, c.Human, flips, c.Epsilon)
	if err != nil {
		return err
	}
	p.stop()
	if c.JSON {
		return json.NewEncoder(t.out).Encode(r)
	}
	return r.WriteText(t.out)
}

// flips reads the votes of the judge, if the folder has them.
func (c *judgeCheckCommand) flips(ctx context.Context) (*agreement.Flips, error) {
	beside := filepath.Clean(c.Data) + ".collect" // where carrot collect writes them
	for _, path := range []string{filepath.Join(beside, "judgements.jsonl"), filepath.Join(c.Data, "judgements.jsonl"), filepath.Join(c.Data, "judgements.jsonl.gz")} {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		defer file.Close() // only read from
		var f agreement.Flips
		err = agreement.ReadJudgements(ctx, file, path, func(j agreement.Judgement) error {
			f.Add(j.Votes)
			return nil
		})
		return &f, err
	}
	return nil, nil
}
