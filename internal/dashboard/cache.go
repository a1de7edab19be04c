package dashboard

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// cacheLife is how long a figure of the ledger is shown before it is read again.
	cacheLife = 5 * time.Second
	// failedLife is how long nothing is read after the ledger could not be, so that of
	// several that wait only one does so for as long as a database that hangs may take.
	failedLife = time.Second
)

// cache keeps what pages read of a store for a short time, so that several pages that are open
// do not read it as often.
type cache struct {
	mu   sync.Mutex
	kept map[string]*cached
}

type cached struct {
	mu    sync.Mutex
	until time.Time
	value any
	err   error // why there is no value
}

// remember returns what read returned for a key in the last seconds, or calls it. Calls for
// one key wait for each other.
func remember[T any](d *Dashboard, ctx context.Context, key string, read func(context.Context) (T, error)) (T, error) {
	d.cache.mu.Lock()
	if d.cache.kept == nil || len(d.cache.kept) > 200 {
		d.cache.kept = map[string]*cached{}
	}
	one := d.cache.kept[key]
	if one == nil {
		one = &cached{}
		d.cache.kept[key] = one
	}
	d.cache.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	value, ok := one.value.(T)
	if (ok || one.err != nil) && d.Now().Before(one.until) {
		return value, one.err
	}
	value, err := read(ctx)
	switch {
	case err == nil:
		one.value, one.err, one.until = value, nil, d.Now().Add(cacheLife)
	case !errors.Is(ctx.Err(), context.Canceled): // and not because someone has closed a page
		one.value, one.err, one.until = nil, err, d.Now().Add(failedLife)
	}
	return value, err
}
