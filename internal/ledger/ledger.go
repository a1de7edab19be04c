package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/journal"
	"github.com/carrot-router/carrot/record"
)

// Options change how a ledger works. The zero value has the defaults.
type Options struct {
	Journal journal.Options
	Folder  string       // of the journal; default: beside the store's file, with .journal at the end of its name
	Log     *slog.Logger // default: none
	// KeepDecisions is how long decisions and texts are kept. Default: for ever.
	KeepDecisions time.Duration
}

// Ledger records attempts in a store. It implements gateway.Recorder.
type Ledger struct {
	store   *Store
	journal *journal.Journal
	log     *slog.Logger

	scratch sync.Pool // of *buffers
	lost    atomic.Int64
	written atomic.Int64

	cancel  context.CancelFunc
	stopped chan struct{}
	tidying sync.WaitGroup
}

// buffers are reused to encode entries.
type buffers struct{ entry, text []byte }

// Open opens the ledger of a gateway, or begins one. Attempts that an earlier process has
// left in the journal are written to the store first. Every process needs a journal of its
// own.
func Open(ctx context.Context, dsn string, o Options) (*Ledger, error) {
	if o.Folder == "" && database.IsPostgres(dsn) {
		return nil, errors.New("a store of PostgreSQL needs a folder for the journal")
	}
	store, err := MakeStore(ctx, dsn)
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(cmp.Or(o.Folder, dsn+".journal"), o.Journal)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	l := &Ledger{store: store, journal: j, log: o.Log, stopped: make(chan struct{})}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	go l.drain(work)
	if o.KeepDecisions > 0 {
		l.tidying.Go(func() { l.tidy(work, o.KeepDecisions) })
	}
	return l, nil
}

// tidyEvery is how often old decisions are deleted.
const tidyEvery = time.Hour

// tidy deletes decisions and texts that are older than keep, until ctx is done.
func (l *Ledger) tidy(ctx context.Context, keep time.Duration) {
	for wait := time.Duration(0); ; wait = tidyEvery { // at once, for processes that do not live for an hour
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		deleted, err := l.store.Prune(ctx, time.Now().Add(-keep), false)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			l.log.Warn("old decisions were not deleted from the store", "error", err)
		case deleted > 0:
			l.log.Info("deleted old decisions and texts from the store", "rows", deleted)
		}
	}
}

// Store returns the ledger's store, which is closed with it.
func (l *Ledger) Store() *Store { return l.store }

// Lost returns how many attempts could not be recorded, because the disk of the journal is
// full or fails.
func (l *Ledger) Lost() int64 { return l.lost.Load() }

// Written returns how many attempts the ledger has written to the store.
func (l *Ledger) Written() int64 { return l.written.Load() }

// Pending returns how many bytes of the journal are not in the store yet.
func (l *Ledger) Pending() int64 { return l.journal.Pending() }

// Record records an attempt. When it returns without an error, the attempt survives the
// end of the process.
func (l *Ledger) Record(_ context.Context, a *record.Attempt) error {
	b, ok := l.scratch.Get().(*buffers)
	if !ok {
		b = &buffers{}
	}
	b.entry = appendEntry(b.entry[:0], a.Bounded(), &b.text)
	err := l.journal.Append(b.entry)
	if cap(b.entry) <= 1<<16 {
		l.scratch.Put(b)
	}
	if err != nil {
		l.lost.Add(1)
		return fmt.Errorf("record an attempt: %w", err)
	}
	return nil
}

const (
	batchBytes = 1 << 20                // of the journal, written to the store together
	batchTime  = 250 * time.Millisecond // how long attempts wait for others
	retryFirst = 100 * time.Millisecond
	retryMost  = 5 * time.Second
	closeAfter = 5 * time.Second
)

// drain moves attempts from the journal to the store until ctx is done.
func (l *Ledger) drain(ctx context.Context) {
	defer close(l.stopped)
	var at journal.Position
	if !l.persist(ctx, "read up to where the store has the journal", func(ctx context.Context) (err error) {
		at, err = l.store.position(ctx, l.journal.ID())
		return err
	}) {
		return
	}
	l.release(at) // an earlier process may not have come to it
	for {
		raw, to, err := l.journal.Read(ctx, at, batchBytes)
		if err != nil {
			if ctx.Err() == nil {
				l.log.Error("the journal of the ledger cannot be read; attempts stay in it", "error", err)
			}
			return
		}
		entries := make([]*entry, 0, len(raw))
		for _, b := range raw {
			e, err := readEntry(b)
			if err != nil {
				l.lost.Add(1)
				l.log.Error("an attempt in the journal is lost", "error", err)
				continue
			}
			entries = append(entries, e)
		}
		if !l.persist(ctx, "write to the store", func(ctx context.Context) error {
			return l.store.write(ctx, l.journal.ID(), at, to, entries)
		}) {
			return
		}
		l.written.Add(int64(len(entries)))
		at = to
		l.release(at)
		if l.journal.Pending() < batchBytes/2 {
			select {
			case <-ctx.Done(): // Read says so, after what is left
			case <-time.After(batchTime):
			}
		}
	}
}

// release lets the journal use again what is in the store.
func (l *Ledger) release(at journal.Position) {
	if err := l.journal.Release(at); err != nil {
		l.log.Error("the journal of the ledger", "error", err)
	}
}

// persist does something with the store until it succeeds, and says when that begins to
// fail and when it works again. It returns false if ctx is done before that.
func (l *Ledger) persist(ctx context.Context, what string, do func(context.Context) error) bool {
	since, wait := time.Now(), retryFirst
	for tried := 0; ; tried++ {
		err := do(ctx)
		if err == nil {
			if tried > 0 {
				l.log.Info("the store of the ledger works again", "after", time.Since(since).Round(time.Second).String())
			}
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if tried == 0 {
			l.log.Error("the store of the ledger does not work; attempts wait in the journal", "task", what, "error", err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
		wait = min(2*wait, retryMost)
	}
}

// Close writes what is in the journal to the store, for up to five seconds, and closes
// both. What is left is written when the ledger is opened again.
func (l *Ledger) Close() error {
	until := time.Now().Add(closeAfter)
	for l.journal.Pending() > 0 && time.Now().Before(until) {
		select {
		case <-l.stopped:
			until = time.Now()
		case <-time.After(5 * time.Millisecond):
		}
	}
	l.cancel()
	<-l.stopped
	l.tidying.Wait()
	if left := l.journal.Pending(); left > 0 {
		l.log.Warn("attempts wait in the journal for the next start", "bytes", left)
	}
	return errors.Join(l.journal.Close(), l.store.Close())
}
