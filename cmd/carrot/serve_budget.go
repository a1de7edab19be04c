package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/budget"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/ledger"
)

// books are the store of a gateway: the ledger of what was spent, and the budgets of what
// may be.
type books struct {
	db      *database.DB
	ledger  *ledger.Ledger // nil: there is no store
	budgets *budget.Budgets
}

// openBooks opens the store of a configuration, if it has one. Without a store, budgets
// count rates alone.
func openBooks(ctx context.Context, config *gateway.File, log *slog.Logger) (_ *books, err error) {
	b := &books{}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if config.Store != "" {
		if b.db, err = database.Make(ctx, config.Store); err != nil {
			return nil, hinted{err, "check store: in the configuration, and that the database runs if it is one of PostgreSQL"}
		}
	}
	hook := budget.Webhook{URL: config.Webhook.URL, Secret: config.Webhook.Secret.Reveal()}
	b.budgets = budget.New(budget.Options{DB: b.db, Webhook: hook, Log: log})
	if err := b.budgets.Set(config.Budgets); err != nil {
		return nil, err
	}
	var journal budget.Journal
	if b.db != nil {
		if b.ledger, err = ledger.Open(ctx, config.Store, ledger.Options{Folder: config.Journal, Log: log, Also: b.budgets.Settled, KeepDecisions: time.Duration(*config.KeepDecisions) * 24 * time.Hour}); err != nil {
			return nil, hinted{err, "check store: and journal: in the configuration, and that the database runs if it is one of PostgreSQL"}
		}
		journal = b.ledger
	}
	return b, b.budgets.Start(ctx, journal)
}

// close closes the store: the budgets first, whose leases the ledger then settles.
func (b *books) close() error {
	var problems []error
	if b.budgets != nil {
		b.budgets.Close()
	}
	if b.ledger != nil {
		problems = append(problems, b.ledger.Close())
	}
	if b.db != nil {
		problems = append(problems, b.db.Close())
	}
	return errors.Join(problems...)
}

// budgetMetrics returns the metrics of the configuration's budgets.
func budgetMetrics(b *budget.Budgets) []prometheus.Collector {
	metric := func(name, help string, value func(f budget.Figures) (v float64, known bool)) prometheus.Collector {
		return budgetMetric{b, prometheus.NewDesc(name, help, []string{"budget"}, nil), value}
	}
	return []prometheus.Collector{
		metric("carrot_budget_usd", "Amount of a budget of the configuration.", func(f budget.Figures) (float64, bool) { return f.Amount.Float(), true }),
		metric("carrot_budget_spent_usd", "What is spent of a budget of the configuration in its period, as far as this process knows.", func(f budget.Figures) (float64, bool) { return f.Spent.Float(), true }),
		metric("carrot_budget_unknown_usd", "The part of what is spent of a budget of the configuration that was reserved for calls whose cost is unknown, as far as this process knows.", func(f budget.Figures) (float64, bool) { return f.Unknown.Float(), true }),
		metric("carrot_budget_held_usd", "What is held of a budget of the configuration for calls in progress, as far as this process knows.", func(f budget.Figures) (float64, bool) { return f.Held.Float(), true }),
		metric("carrot_budget_pace", "Factor on the willingness to pay by which a budget with pacing spreads its amount over the time.", func(f budget.Figures) (float64, bool) { return f.Factor, f.Factor > 0 }),
	}
}

// budgetMetric is a metric of each budget.
type budgetMetric struct {
	budgets *budget.Budgets
	desc    *prometheus.Desc
	value   func(f budget.Figures) (v float64, known bool)
}

// Describe implements prometheus.Collector.
func (m budgetMetric) Describe(out chan<- *prometheus.Desc) { out <- m.desc }

// Collect implements prometheus.Collector.
func (m budgetMetric) Collect(out chan<- prometheus.Metric) {
	for _, f := range m.budgets.Configured() {
		if v, known := m.value(f); known {
			out <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, v, f.Name)
		}
	}
}

// checkBudgets returns an error for budgets of clients that nobody is.
func checkBudgets(config *gateway.File, known func(name string) bool) error {
	for i, b := range config.Budgets {
		if b.Client != "" && !known(b.Client) {
			return hinted{fmt.Errorf("budgets[%d].client: no client %q is in the configuration or the store", i, b.Client), "list the client, or make it with carrot keys create"}
		}
	}
	return nil
}
