package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/budget"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/keys"
	"github.com/carrot-router/carrot/internal/phrase"
)

type budgetsCommand struct {
	List      budgetsListCommand      `cmd:"" help:"Show what is spent, held and left."`
	Reconcile budgetsReconcileCommand `cmd:"" help:"Give back what gateways hold that will not start again."`
}

func (c *budgetsCommand) Help() string {
	return `Budgets are in the gateway's configuration (budgets:) and belong to virtual keys (carrot
keys create --budget). What is spent of them is in the store.

Example:
  carrot budgets list --store carrot.db`
}

type budgetsListCommand struct {
	storeFlags
	JSON bool `name:"json" help:"Print as JSON."`
}

func (c *budgetsListCommand) Help() string {
	return `The numbers are those that are checked, and that headers and refusals show. Spent is what
calls have cost that are over; held is reserved for calls in progress, or leased to a
gateway for the next ones; lapsed is the part of held of gateways that have not renewed
their lease for five minutes. A budget of the gateway's configuration is listed once
something was asked for in its period.

Example:
  carrot budgets list --store carrot.db`
}

func (c *budgetsListCommand) Run(ctx context.Context, t terminal) error {
	db, err := c.database(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	known, err := keysBudgets(ctx, keys.New(db))
	if err != nil {
		return fmt.Errorf("read the clients of %s: %w", db, err)
	}
	list, err := budget.List(ctx, db, known, time.Now())
	if err != nil {
		return fmt.Errorf("list the budgets of %s: %w", db, err)
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(budget.Answer(list))
	}
	if len(list) == 0 {
		fmt.Fprintln(t.out, "no client in the store has a budget, and no other one was asked for in its present period")
		return nil
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "budget\tsince\tuntil\tUSD\tspent\tunknown\theld\tlapsed\tleft")
	exact := func(u carrot.USD) string { return string(u.AppendJSON(nil)) }
	for _, f := range list {
		name := f.Name
		if f.Soft {
			name += " (soft)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, f.Began, f.Ends.Format(time.RFC3339), exact(f.Amount), exact(f.Spent), exact(f.Unknown), exact(f.Held), exact(f.Lapsed), exact(f.Left))
	}
	return w.Flush()
}

// keysBudgets returns the budgets of the valid clients in a store.
func keysBudgets(ctx context.Context, s *keys.Store) (budgets []gateway.BudgetConfig, err error) {
	all, err := s.List(ctx)
	for i := range all {
		if all[i].State == keys.Valid {
			budgets = append(budgets, all[i].Budgets...)
		}
	}
	return budgets, err
}

type budgetsReconcileCommand struct {
	storeFlags
	Older string `default:"10m" placeholder:"AGE" help:"Give back leases that ended this long ago."`
}

func (c *budgetsReconcileCommand) Help() string {
	return `What a gateway holds of a budget comes back when it starts again with its journal. If it
will not, this gives it back. What it has spent and not written to the store is then not
counted.

Example:
  carrot budgets reconcile --store carrot.db`
}

func (c *budgetsReconcileCommand) Run(ctx context.Context, t terminal) error {
	age, err := time.ParseDuration(cmp.Or(c.Older, "10m"))
	if err != nil || age < 0 {
		return usagef("--older %q: want a time such as 10m or 2h", c.Older)
	}
	db, err := c.database(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	n, err := budget.Reconcile(ctx, db, time.Now().Add(-age))
	if err != nil {
		return fmt.Errorf("reconcile the budgets of %s: %w", db, err)
	}
	if err := keys.Note(ctx, db, time.Now(), administrator(), "reconcile", "", map[string]any{"leases": n, "older": age.String()}); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s given back\n", phrase.Count(n, "lease"))
	return nil
}

// database opens the database of a store.
func (f *storeFlags) database(ctx context.Context) (*database.DB, error) {
	db, err := database.Open(ctx, f.Store)
	return db, f.hint(err)
}
