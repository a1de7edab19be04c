package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/carrot-router/carrot/internal/budget"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/internal/phrase"
)

type ledgerRepriceCommand struct {
	storeFlags
	rangeFlags
	Prices string `required:"" placeholder:"FILE" help:"Price book, over the one in the binary; default for that alone."`
	DryRun bool   `help:"Only say what would be done."`
	JSON   bool   `name:"json" help:"Print as JSON."`
}

func (c *ledgerRepriceCommand) Help() string {
	return `Gives attempts whose cost is unknown a cost, at the price that the book has for the model
that answered, or else for the one that was asked for. The price must have a date, which
is noted in the attempt. Sums follow. A cost that is known does not change.

Example:
  carrot ledger reprice --store carrot.db --prices prices.json --from 2026-11-01 --dry-run`
}

func (c *ledgerRepriceCommand) Run(ctx context.Context, t terminal) error {
	r, err := c.parse()
	if err != nil {
		return err
	}
	prices := routerFlags{Prices: c.Prices}
	if c.Prices == "default" {
		prices.Prices = ""
	}
	book, err := prices.book()
	if err != nil {
		return err
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	p := startProgress(ctx, t.err, "pricing attempts")
	defer p.stop()
	done, err := s.Reprice(ctx, r, book.Price, c.DryRun, budget.Repriced)
	if err != nil {
		return err
	}
	if !c.DryRun && done.Priced > 0 {
		if err := noted(ctx, s, "reprice", "", map[string]any{"attempts": done.Priced, "cost_usd": done.Cost.String()}); err != nil {
			return err
		}
	}
	p.stop()
	left := 0
	for _, l := range done.Left {
		left += l.Attempts
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(struct {
			Schema string        `json:"schema"`
			DryRun bool          `json:"dry_run"`
			Priced int           `json:"priced"`
			Cost   ledger.Amount `json:"cost_usd"`
			Left   int           `json:"unknown"`
			Why    []ledger.Left `json:"reasons"`
		}{"carrot.ledger-reprice/1", c.DryRun, done.Priced, done.Cost, left, append([]ledger.Left{}, done.Left...)})
	}
	got := "got a cost"
	if c.DryRun {
		got = "would get a cost"
	}
	fmt.Fprintf(t.out, "%s %s, %v USD in all; the cost of %d stays unknown\n", phrase.Count(done.Priced, "attempt"), got, done.Cost, left)
	for _, l := range done.Left {
		fmt.Fprintf(t.out, "  %d  %s\n", l.Attempts, l.Why)
	}
	return nil
}
