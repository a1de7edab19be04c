package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/adminapi"
	"github.com/carrot-router/carrot/internal/budget"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/keys"
)

// virtualKeys are the keys in the store of a running gateway.
type virtualKeys struct {
	store *keys.Store
	cache *keys.Cache
	log   *slog.Logger
}

// openKeys opens the keys in a store.
func openKeys(ctx context.Context, db *database.DB, log *slog.Logger) (*virtualKeys, error) {
	v := &virtualKeys{store: keys.New(db), log: log}
	var err error
	if v.cache, err = v.store.Watch(ctx, log); err != nil {
		return nil, fmt.Errorf("read the keys in the store: %w", err)
	}
	return v, nil
}

// close stops following the store, which stays open.
func (v *virtualKeys) close() { v.cache.Close() }

// reserve keeps the names of a configuration's clients out of the store. It returns an error
// if any of them is there, or if a budget is for a client that is in neither. While the store
// is away, it only says so.
func (v *virtualKeys) reserve(config *gateway.File) error {
	var names []string
	for _, c := range config.Clients {
		names = append(names, c.Name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if v != nil {
		err := v.cache.Reserve(ctx, names)
		if errors.Is(err, keys.ErrTaken) {
			return inBoth(err)
		}
		if err != nil {
			v.log.Warn("whether clients of the configuration are in the store, too, is not known", "error", err)
			return nil
		}
	}
	return checkBudgets(config, func(name string) bool {
		if slices.Contains(names, name) || v == nil {
			return slices.Contains(names, name)
		}
		_, err := v.store.Client(ctx, name)
		return !errors.Is(err, keys.ErrUnknown)
	})
}

// inBoth is the error that clients are in the configuration and in the store.
func inBoth(err error) error {
	return hinted{fmt.Errorf("clients: %w", err), "leave them out of the configuration, or revoke those in the store: carrot keys revoke NAME"}
}

// admin returns what changes the keys of a service.
func (v *virtualKeys) admin(s *service) *keys.Admin {
	return &keys.Admin{Store: v.store, Config: s.config, Changed: func(ctx context.Context) { v.changed(ctx, s) }}
}

// administer adds the admin API of a service's keys.
func (v *virtualKeys) administer(s *service, o gateway.AdminOptions) gateway.AdminOptions {
	if v == nil {
		return o
	}
	handlers := adminapi.Handlers(v.admin(s), adminapi.Options{
		Log:     s.log,
		Budgets: func(ctx context.Context) ([]budget.Figures, error) { return v.budgets(ctx, s) },
	})
	maps.Copy(handlers, o.Handlers)
	o.Handlers = handlers
	return o
}

// changed makes a change of the store known to this process.
func (v *virtualKeys) changed(ctx context.Context, s *service) {
	if err := v.cache.Refresh(context.WithoutCancel(ctx)); err != nil {
		s.log.Warn("a change takes effect only when the store can be read", "error", err)
	}
}

// budgets returns what is known of the budgets of the store and of the configuration.
func (v *virtualKeys) budgets(ctx context.Context, s *service) ([]budget.Figures, error) {
	known, err := keysBudgets(ctx, v.store)
	if err != nil {
		return nil, err
	}
	return budget.List(ctx, s.books.db, append(known, s.config().Budgets...), time.Now())
}

// keysMetrics returns the metrics of the keys in the store.
func keysMetrics(cache *keys.Cache) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "carrot_keys", Help: "Valid keys in the store, as far as is known."}, func() float64 { return float64(cache.Keys()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "carrot_keys_age_seconds", Help: "Time since the keys in the store were last read. It grows while the store is away: known keys stay valid, and changes wait."},
			func() float64 { return cache.Age().Seconds() }),
	}
}
