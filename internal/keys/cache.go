package keys

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carrot-router/carrot/gateway"
)

const (
	lookEvery    = time.Second      // how often the database is asked for changes
	lookTimeout  = 5 * time.Second  // for one answer
	reserveEvery = 30 * time.Second // how often names are reserved anew
)

// Cache has all valid keys of a store in memory. It implements gateway.Clients. A change of
// the store, by any process, takes effect within two seconds. While the database cannot be
// read, the keys that were known last stay valid, up to their ends.
type Cache struct {
	store  *Store
	log    *slog.Logger
	known  atomic.Pointer[known]
	looked atomic.Int64 // when the database was last read, in nanoseconds since 1970

	mu    sync.Mutex // one look at a time
	away  time.Time  // since when the database cannot be read; zero: it can
	named []string   // the names that the configuration has

	cancel context.CancelFunc
	ended  chan struct{}
}

// known is what the store had at some version.
type known struct {
	version  int64
	required bool // there is or was a client
	keys     map[[sha256.Size]byte]entry
	clients  map[string]*gateway.Client
	clashing []string // names that the configuration has too
	damaged  []string // clients whose settings cannot be read
}

// entry is a valid key.
type entry struct {
	client *gateway.Client
	ends   int64 // in nanoseconds since 1970; 0: never
}

// Watch reads all keys of a store, and keeps up with it until the cache is closed.
func (s *Store) Watch(ctx context.Context, log *slog.Logger) (*Cache, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Cache{store: s, log: log, ended: make(chan struct{})}
	c.known.Store(&known{version: -1})
	if err := c.Refresh(ctx); err != nil {
		return nil, err
	}
	ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go c.watch(ctx)
	return c, nil
}

// Close stops watching. The store stays open.
func (c *Cache) Close() {
	c.cancel()
	<-c.ended
}

// Client implements gateway.Clients. It asks nobody and waits for nobody.
func (c *Cache) Client(_ context.Context, key [sha256.Size]byte) (*gateway.Client, error) {
	e, ok := c.known.Load().keys[key]
	if !ok || e.ends != 0 && c.store.now().UnixNano() >= e.ends {
		return nil, nil
	}
	return e.client, nil
}

// Required reports whether the store has or had a client, so that requests need a key.
func (c *Cache) Required() bool { return c.known.Load().required }

// Keys returns how many keys are valid, as far as is known.
func (c *Cache) Keys() int {
	n, now := 0, c.store.now().UnixNano()
	for _, e := range c.known.Load().keys {
		if e.ends == 0 || now < e.ends {
			n++
		}
	}
	return n
}

// Age returns how long ago the store was last read.
func (c *Cache) Age() time.Duration {
	return max(0, c.store.now().Sub(time.Unix(0, c.looked.Load())))
}

// Reserve says which clients the configuration has. It returns an error, and changes
// nothing, if the store has any of them, too.
func (c *Cache) Reserve(ctx context.Context, names []string) error {
	if err := c.store.Reserve(ctx, names); err != nil {
		return err
	}
	names = slices.Sorted(slices.Values(names))
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.named, names) {
		again := *c.known.Load()
		again.version = -1 // clients that were in both may be in the store alone now
		c.known.Store(&again)
	}
	c.named = names
	return nil
}

// Refresh reads what has changed, at once.
func (c *Cache) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.known.Load()
	var version int64
	if err := c.store.db.QueryRowContext(ctx, "SELECT version FROM keys_version").Scan(&version); err != nil {
		return err
	}
	if version != old.version {
		is, err := c.store.read(ctx, c.named, old)
		if err != nil {
			return err
		}
		is.version = version
		is.required = is.required || old.required // also if the database is another one now
		if !slices.Equal(is.clashing, old.clashing) && len(is.clashing) > 0 {
			c.log.Error("clients are in the configuration and in the store, whose keys are refused: revoke or rename them", "clients", is.clashing)
		}
		if !slices.Equal(is.damaged, old.damaged) && len(is.damaged) > 0 {
			c.log.Error("the settings of clients in the store cannot be read, and their keys are refused: update the clients or this release", "clients", is.damaged)
		}
		c.known.Store(is)
	}
	c.looked.Store(c.store.now().UnixNano())
	return nil
}

// read returns what the store has, without the clients that are named. Clients that have not
// changed since old stay the same.
func (s *Store) read(ctx context.Context, named []string, old *known) (*known, error) {
	is := &known{keys: map[[sha256.Size]byte]entry{}, clients: map[string]*gateway.Client{}}
	var clients int64
	if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM clients").Scan(&clients); err != nil {
		return nil, err
	}
	is.required = clients > 0
	now := s.now().UnixNano()
	rows, err := s.db.QueryContext(ctx, `SELECT k.hash, k.ends, c.name, c.labels, c.policies, c.rates, c.budgets, c.expires FROM keys k JOIN clients c ON c.name = k.client
		WHERE k.revoked = 0 AND c.revoked = 0 AND (k.ends = 0 OR k.ends > ?) AND (c.expires = 0 OR c.expires > ?)`, now, now)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	clashing, damaged := map[string]bool{}, map[string]bool{}
	for rows.Next() {
		var text, name, labels, policies, rates, budgets string
		var ends, expires int64
		if err := rows.Scan(&text, &ends, &name, &labels, &policies, &rates, &budgets, &expires); err != nil {
			return nil, err
		}
		sum, err := hex.DecodeString(text)
		if err != nil || len(sum) != sha256.Size {
			continue // it is not one that this package wrote
		}
		if slices.Contains(named, name) {
			clashing[name] = true
			continue
		}
		client := is.clients[name]
		if client == nil {
			var set Settings
			if err := set.parse(labels, policies, rates, budgets); err != nil { // which must not keep other keys from being revoked
				damaged[name] = true
				continue
			}
			for i := range set.Budgets {
				b := &set.Budgets[i]
				b.Client, b.Name = name, budgetName(name, b)
			}
			client = &gateway.Client{Name: name, Labels: set.Labels, Limits: gateway.ClientLimits{Policies: set.Policies, Rates: set.Rates, Budgets: set.Budgets}}
			if was := old.clients[name]; was != nil && reflect.DeepEqual(was, client) {
				client = was // what was computed for it holds
			}
			is.clients[name] = client
		}
		if expires != 0 && (ends == 0 || expires < ends) {
			ends = expires
		}
		is.keys[[sha256.Size]byte(sum)] = entry{client, ends}
	}
	is.clashing, is.damaged = slices.Sorted(maps.Keys(clashing)), slices.Sorted(maps.Keys(damaged))
	return is, rows.Err()
}

// watch keeps up with the store until ctx is done.
func (c *Cache) watch(ctx context.Context) {
	defer close(c.ended)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	reserve := time.NewTicker(reserveEvery)
	defer reserve.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			err := c.Refresh(ctx)
			if ctx.Err() != nil {
				return
			}
			c.said(err)
		case <-reserve.C:
			c.mu.Lock()
			names := c.named
			c.mu.Unlock()
			late, cancel := context.WithTimeout(ctx, lookTimeout)
			if err := c.store.Reserve(late, names); errors.Is(err, ErrTaken) { // others are said when the store is read
				c.log.Warn("revoke or rename clients", "error", err)
			}
			cancel()
		}
	}
}

// said logs when the store cannot be read any more, and when it can again.
func (c *Cache) said(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil && c.away.IsZero():
		c.away = c.store.now()
		c.log.Warn("the store cannot be read: keys that are known stay valid, and changes wait", "error", err)
	case err == nil && !c.away.IsZero():
		c.log.Info("the store can be read again, and keys are up to date", "after", c.store.now().Sub(c.away).Round(time.Second).String())
		c.away = time.Time{}
	}
}
