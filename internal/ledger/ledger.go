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
}

// Ledger records attempts in a store. It implements gateway.Recorder.
type Ledger struct {
	store   *Store
	journal *journal.Journal
	log     *slog.Logger
	reach   reach

	scratch sync.Pool // of *buffers
	lost    atomic.Int64
	written atomic.Int64

	cancel  context.CancelFunc
	stopped chan struct{} // nothing is moved to the store any more
	asking  sync.WaitGroup
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
	if errors.Is(err, journal.ErrBusy) {
		err = fmt.Errorf("%w: every gateway needs a journal of its own: set journal to another folder", err)
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	l := &Ledger{store: store, journal: j, log: o.Log, stopped: make(chan struct{})}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.reach.log = l.log
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	l.asking.Go(func() { l.ask(work) })
	go l.drain(work)
	return l, nil
}

// Store returns the ledger's store, which is closed with it.
func (l *Ledger) Store() *Store { return l.store }

// Lost returns how many attempts could not be recorded, because the disk of the journal is
// full or fails, or the store refuses them.
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
	retryMost  = 2 * time.Second
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
		var written int
		if !l.persist(ctx, "write to the store", func(ctx context.Context) (err error) {
			written, err = l.write(ctx, at, to, entries)
			return err
		}) {
			return
		}
		l.written.Add(int64(written))
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
	l.asking.Wait()
	if left := l.journal.Pending(); left > 0 {
		l.log.Warn("attempts wait in the journal for the next start", "bytes", left)
	}
	return errors.Join(l.journal.Close(), l.store.Close())
}
