package ledger

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	askEvery = 5 * time.Second // how often the store is asked whether it is there
	// writeLimit is how long writing to the store, or asking it something, may take. A
	// connection that was cut without a word would otherwise be waited for for many minutes.
	writeLimit = time.Minute
	askLimit   = 5 * time.Second
)

// reach knows whether the store works, and says when that changes: once when it has failed
// twice, because a single connection may be cut, and once when it works again.
type reach struct {
	log *slog.Logger

	mu     sync.Mutex
	errors map[string]error // of what fails, by what was tried
	since  time.Time        // when the first of them began to fail
	said   bool
}

// tried notes how something went that was tried with the store.
func (r *reach) tried(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.errors, what)
		if r.said && len(r.errors) == 0 {
			r.said = false
			r.log.Info("the store works again", "after", time.Since(r.since).Round(time.Second).String())
		}
		return
	}
	switch {
	case len(r.errors) == 0:
		r.errors, r.since = map[string]error{}, time.Now()
	case !r.said:
		r.said = true
		r.log.Error("the store does not work; attempts wait in the journal", "task", what, "error", err)
	}
	r.errors[what] = err
}

// up reports whether nothing fails.
func (r *reach) up() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.errors) == 0
}

// Up reports whether the store works, as far as is known: it is asked every five seconds.
func (l *Ledger) Up() bool { return l.reach.up() }

// ask asks the store from time to time whether it is there, until ctx is done, because
// there may be nothing to write.
func (l *Ledger) ask(ctx context.Context) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		limited, cancel := context.WithTimeout(ctx, askLimit)
		_, _, err := l.store.position(limited, l.journal.ID())
		cancel()
		if ctx.Err() == nil {
			l.reach.tried("ask the store", err)
		}
	}
}

// persist writes to the store until that succeeds. It returns an error if ctx is done
// before that.
func (l *Ledger) persist(ctx context.Context, do func(context.Context) error) error {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		limited, cancel := context.WithTimeout(ctx, writeLimit)
		err := do(limited)
		cancel()
		if err != nil && ctx.Err() != nil {
			return err
		}
		l.reach.tried("write to the store", err)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}
