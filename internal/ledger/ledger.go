package ledger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
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
	Also          Also // default: nothing
}

// Also is what happens in the transaction that writes attempts of a journal to the store.
// committed, if it is not nil, is called once they are there.
type Also func(ctx context.Context, tx *database.Tx, journal string, attempts []*record.Attempt) (committed func(), err error)

// Ledger records attempts in a store. It implements gateway.Recorder.
type Ledger struct {
	store   *Store
	lock    io.Closer // of a store of SQLite
	journal *journal.Journal
	log     *slog.Logger
	reach   reach

	scratch sync.Pool // of *buffers
	salt    []byte    // of the hashes of end users
	lost    atomic.Int64
	written atomic.Int64

	also    Also
	at      journal.Position // up to where the journal is in the store
	begun   map[key][]byte   // entries of the calls that are in progress there
	cancel  context.CancelFunc
	stopped chan struct{} // nothing is moved to the store any more
	tidying sync.WaitGroup
	asking  sync.WaitGroup
}

// buffers are reused to encode entries.
type buffers struct{ entry, text []byte }

// Open opens the ledger of a gateway, or begins one. Attempts that an earlier process has
// left in the journal are written to the store first. Every process needs a journal of its
// own.
func Open(ctx context.Context, dsn string, o Options) (_ *Ledger, err error) {
	if o.Folder == "" && database.IsPostgres(dsn) {
		return nil, errors.New("a store of PostgreSQL needs a folder for the journal")
	}
	l := &Ledger{log: o.Log, also: o.Also, begun: map[key][]byte{}, stopped: make(chan struct{})}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.reach.log = l.log
	defer func() {
		if err != nil {
			err = errors.Join(err, l.closeAll())
		}
	}()
	if l.store, err = MakeStore(ctx, dsn); err != nil {
		return nil, err
	}
	if !l.store.db.Postgres() { // in which processes would not share what is spent
		if l.lock, err = journal.Lock(dsn + ".lock"); errors.Is(err, journal.ErrBusy) {
			return nil, fmt.Errorf("open store %s: another gateway uses it: several gateways need a store of PostgreSQL", dsn)
		} else if err != nil {
			return nil, fmt.Errorf("open store %s: %w", dsn, err)
		}
	}
	l.journal, err = journal.Open(cmp.Or(o.Folder, dsn+".journal"), o.Journal)
	if errors.Is(err, journal.ErrBusy) {
		err = fmt.Errorf("%w: every gateway needs a journal of its own: set journal to another folder", err)
	}
	if err != nil {
		return nil, err
	}
	if l.salt, err = l.store.salt(ctx); err != nil {
		return nil, err
	}
	if err := l.catchUp(ctx); err != nil {
		return nil, err
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	l.asking.Go(func() { l.ask(work) })
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

// catchUp writes to the store what an earlier process has left in the journal. Calls that
// it had begun and not ended have lapsed.
func (l *Ledger) catchUp(ctx context.Context) error {
	var begun []byte
	var err error
	if l.at, begun, err = l.store.position(ctx, l.journal.ID()); err != nil {
		return err
	}
	if err := l.setBegun(begun); err != nil {
		return err
	}
	l.release() // the earlier process may not have come to it
	for l.journal.Has(l.at) {
		if err := l.step(ctx); err != nil {
			return fmt.Errorf("write to the store what the journal has: %w", err)
		}
	}
	if len(l.begun) == 0 {
		return nil
	}
	var lapsed []*entry
	for _, raw := range l.begun {
		e, err := readEntry(raw)
		if err != nil {
			return err
		}
		e.begun, e.attempt.Outcome, e.attempt.CostUnknown = false, record.Lapsed, true
		lapsed = append(lapsed, e)
	}
	slices.SortFunc(lapsed, func(a, b *entry) int { return a.attempt.Time.Compare(b.attempt.Time) })
	clear(l.begun)
	l.log.Warn("calls were in progress when the gateway ended; their costs are unknown", "calls", len(lapsed))
	_, err = l.write(ctx, &batch{journal: l.journal.ID(), from: l.at, to: l.at, entries: lapsed, also: l.also})
	return err
}

// setBegun reads what appendBegun has written.
func (l *Ledger) setBegun(text []byte) error {
	for r := (reader{left: text}); len(r.left) > 0; {
		raw := r.text()
		e, err := readEntry(raw)
		if err != nil {
			return fmt.Errorf("the calls in progress of journal %s: %w", l.journal.ID(), err)
		}
		l.begun[e.key()] = raw
	}
	return nil
}

// appendBegun appends the entries of the calls in progress.
func (l *Ledger) appendBegun(b []byte) []byte {
	for _, raw := range l.begun {
		b = appendText(b, raw)
	}
	return b
}

// Journal returns the id of the ledger's journal, which identifies this process also after
// a restart.
func (l *Ledger) Journal() string { return l.journal.ID() }

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
	if err := l.append(a.Bounded(), entryVersion); err != nil {
		l.lost.Add(1)
		return fmt.Errorf("record an attempt: %w", err)
	}
	return nil
}

// Begin says that an attempt begins. If the process ends before it is recorded, the ledger
// has it as lapsed.
func (l *Ledger) Begin(a *record.Attempt) error {
	begun := *a.Bounded()
	begun.Decision, begun.Prompt = nil, nil // which nobody needs without an answer
	if err := l.append(&begun, entryVersion|entryBegun); err != nil {
		return fmt.Errorf("record the beginning of an attempt: %w", err)
	}
	return nil
}

// append appends an attempt to the journal.
func (l *Ledger) append(a *record.Attempt, version byte) error {
	if a.User != "" {
		hashed := *a
		hashed.User = userHash(l.salt, a.User)
		a = &hashed
	}
	b, ok := l.scratch.Get().(*buffers)
	if !ok {
		b = &buffers{}
	}
	b.entry = appendEntry(b.entry[:0], a, &b.text)
	b.entry[0] = version
	err := l.journal.Append(b.entry)
	if cap(b.entry) <= 1<<16 {
		l.scratch.Put(b)
	}
	return err
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
	for {
		if err := l.step(ctx); err != nil {
			if ctx.Err() == nil {
				l.log.Error("the journal of the ledger cannot be read; attempts stay in it", "error", err)
			}
			return
		}
		if l.journal.Pending() < batchBytes/2 {
			select {
			case <-ctx.Done(): // Read says so, after what is left
			case <-time.After(batchTime):
			}
		}
	}
}

// step moves a batch of attempts from the journal to the store.
func (l *Ledger) step(ctx context.Context) error {
	raw, to, err := l.journal.Read(ctx, l.at, batchBytes)
	if err != nil {
		return err
	}
	entries := make([]*entry, 0, len(raw))
	var begun []key // in raw
	for _, b := range raw {
		if isBegun(b) {
			k, err := readKey(b)
			if err != nil {
				l.loseEntry(err)
				continue
			}
			l.begun[k] = b
			begun = append(begun, k)
			continue
		}
		e, err := readEntry(b)
		if err != nil {
			l.loseEntry(err)
			continue
		}
		delete(l.begun, e.key())
		entries = append(entries, e)
	}
	for _, k := range begun { // most have ended by now
		if b, ok := l.begun[k]; ok {
			l.begun[k] = bytes.Clone(b) // raw is used again
		}
	}
	b := &batch{journal: l.journal.ID(), from: l.at, to: to, entries: entries, begun: l.appendBegun(nil), also: l.also}
	var written int
	if err := l.persist(ctx, func(ctx context.Context) (err error) {
		written, err = l.write(ctx, b)
		return err
	}); err != nil {
		return err
	}
	l.written.Add(int64(written))
	l.at = to
	l.release()
	return nil
}

// loseEntry notes that an entry of the journal cannot be read.
func (l *Ledger) loseEntry(err error) {
	l.lost.Add(1)
	l.log.Error("an attempt in the journal is lost", "error", err)
}

// release lets the journal use again what is in the store.
func (l *Ledger) release() {
	if err := l.journal.Release(l.at); err != nil {
		l.log.Error("the journal of the ledger", "error", err)
	}
}

// closeAll closes what is open.
func (l *Ledger) closeAll() error {
	var problems []error
	if l.journal != nil {
		problems = append(problems, l.journal.Close())
	}
	if l.store != nil {
		problems = append(problems, l.store.Close())
	}
	if l.lock != nil {
		problems = append(problems, l.lock.Close())
	}
	return errors.Join(problems...)
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
	l.asking.Wait()
	if left := l.journal.Pending(); left > 0 {
		l.log.Warn("attempts wait in the journal for the next start", "bytes", left)
	}
	return l.closeAll()
}
