package dashboard

import (
	"context"
	"sync"
	"time"
)

// cacheLife is how long a figure of the ledger is shown before it is read again.
const cacheLife = 5 * time.Second

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
	if value, ok := one.value.(T); ok && d.Now().Before(one.until) {
		return value, nil
	}
	value, err := read(ctx)
	if err == nil {
		one.value, one.until = value, d.Now().Add(cacheLife)
	}
	return value, err
}
