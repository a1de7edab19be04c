package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/arena"
	"github.com/carrot-router/carrot/internal/phrase"
)

type arenaCommand struct {
	File       string `arg:"" help:"Scored predictions; - reads standard input."`
	Robustness string `placeholder:"FILE" help:"Predictions for RouterArena's changed prompts, to count how many choices stay the same."`
	JSON       bool   `name:"json" help:"Print as JSON (carrot.arena/1)."`
}

func (c *arenaCommand) Help() string {
	return `Prints a router's score on RouterArena, with its accuracy and cost, and which
rows are not scored (docs/protocol.md). carrot route --format routerarena makes the
predictions; RouterArena's own scripts ask the models and score the answers.

Examples:
  carrot route --batch router_data.json --format routerarena > carrot.json
  carrot arena carrot.json --robustness carrot-robustness.json`
}

func (c *arenaCommand) Run(t terminal) error {
	if c.File == "-" && c.Robustness == "-" {
		return usagef("only one of the two files can be standard input")
	}
	rows, err := readPredictions(t, c.File)
	if err != nil {
		return err
	}
	r, err := arena.Score(rows)
	if errors.Is(err, arena.ErrNotScored) {
		return hinted{fmt.Errorf("%s: %w", c.File, err), "let RouterArena's llm_inference/run.py ask the models and llm_evaluation/run.py score the answers first"}
	} else if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Robustness != "" {
		changed, err := readPredictions(t, c.Robustness)
		if err != nil {
			return err
		}
		if err := r.CompareRobustness(rows, changed); err != nil {
			return hinted{fmt.Errorf("%s: %w", c.Robustness, err), "route RouterArena's dataset/router_robustness.json with the same router"}
		}
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(r)
	}
	return r.WriteText(t.out, c.File)
}

// readArena reads a file of RouterArena.
func readArena(t terminal, path string) ([]arena.Row, error) {
	if path == "-" {
		return arena.Read(t.in, "standard input")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	return arena.Read(f, path)
}

// readPredictions reads a file of RouterArena in which every query has a model.
func readPredictions(t terminal, path string) ([]arena.Row, error) {
	rows, err := readArena(t, path)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if rows[i].Prediction == "" {
			return nil, &dataset.FormatError{File: path, Line: rows[i].Line, Field: "prediction", Reason: "is missing or empty (" + rows[i].Index + ")",
				Hint: "carrot route --batch " + path + " --format routerarena fills it in"}
		}
	}
	return rows, nil
}

// arenaFormat is the name of RouterArena's format.
const arenaFormat = "routerarena"

// checkFormat refuses flags that do not go together.
func (c *routeCommand) checkFormat() error {
	switch {
	case c.Format == arenaFormat && c.Batch == "":
		return usagef("--format routerarena: name RouterArena's prompts by --batch FILE")
	case c.Format == arenaFormat && c.JSON:
		return usagef("--json and --format routerarena are two ways to write decisions: give one")
	case c.Format != arenaFormat && len(c.ModelName) > 0:
		return usagef("--model-name is for --format routerarena only")
	}
	return nil
}

// arena routes RouterArena's prompts and writes its predictions.
func (c *routeCommand) arena(ctx context.Context, t terminal, router *carrot.Router, objective carrot.Objective) error {
	var pool []string
	for _, candidate := range router.Candidates() {
		pool = append(pool, candidate.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.ModelName)) {
		if !slices.Contains(pool, name) {
			return hinted{fmt.Errorf("--model-name: unknown model %q; the pool is %s", name, strings.Join(pool, ", ")), "give CARROT=ROUTERARENA, the router's name of the model first"}
		}
	}
	rows, err := readArena(t, c.Batch)
	if err != nil {
		return err
	}
	p := startProgress(ctx, t.err, "routing")
	defer p.stop()
	count := p.count("routing")
	cleared := 0
	for i := range rows {
		row := &rows[i]
		if row.Optimality {
			continue
		}
		decision, err := router.Route(ctx, carrot.Query{ID: row.Index, Text: row.Prompt, Models: c.Models}, objective)
		if err != nil {
			return fmt.Errorf("%s:%d: %s: %w", c.Batch, row.Line, row.Index, err)
		}
		name := decision.Model
		if other, ok := c.ModelName[name]; ok {
			name = other
		}
		if row.Choose(name) {
			cleared++
		}
		count(i+1, len(rows))
	}
	p.stop()
	if cleared > 0 {
		fmt.Fprintf(t.err, "carrot: %s had another model's answer, cost or accuracy: cleared\n", phrase.Count(cleared, "row"))
	}
	return arena.Write(t.out, rows)
}
