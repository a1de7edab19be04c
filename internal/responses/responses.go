// Package responses remembers in a database who made which response, so that every gateway
// that uses the database can continue a conversation, also after a restart.
//
// A [Store] never makes a gateway wait for the database: it writes later, and gives up
// looking when the caller does.
package responses

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carrot-router/carrot/internal/database"
)

const (
	// keep is for how long makers are remembered: OpenAI stores responses for 30 days.
	keep = 30 * 24 * time.Hour
	// maxWaiting is how many responses wait for the database. Older ones are then lost.
	maxWaiting = 10_000
	batchRows  = 200
	// batchTime is how long responses wait for others in SQLite, which one process uses, so
	// that nobody is in a hurry.
	batchTime  = 250 * time.Millisecond
	writeLimit = 10 * time.Second
	retryFirst = 100 * time.Millisecond
	retryMost  = 5 * time.Second
	closeAfter = time.Second
	pruneEvery = time.Hour
	pruneRows  = 1000
	// lookups is how many may be made at a time, so that ids that nobody knows do not take
	// all connections.
	lookups = 4
	// restTime is how long nobody looks after the database could not be reached.
	restTime  = time.Second
	lookAgain = 10 * time.Millisecond
)

// errAway says that the database could not be reached a moment ago.
var errAway = errors.New("the store could not be reached a moment ago")

// Store remembers makers in a database. It implements gateway.Responses.
type Store struct {
	db  *database.DB
	log *slog.Logger

	mu      sync.Mutex
	waiting []row
	lost    atomic.Int64
	rest    atomic.Int64  // until when nobody looks, in nanoseconds since 1970
	slots   chan struct{} // one for each lookup

	patience time.Duration // of Close
	wake     chan struct{}
	closing  chan struct{} // closed by Close
	cancel   context.CancelFunc
	writing  sync.WaitGroup
	pruning  sync.WaitGroup
}

type row struct{ response, maker string }

// Open returns a store in a database, which must stay open for longer.
func Open(db *database.DB, log *slog.Logger) *Store {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Store{db: db, log: log, slots: make(chan struct{}, lookups), wake: make(chan struct{}, 1), closing: make(chan struct{}), cancel: cancel, patience: closeAfter}
	s.writing.Go(func() { s.write(ctx) })
	s.pruning.Go(func() { s.prune(ctx) })
	return s
}

// Keep notes who made a response. It does not wait.
func (s *Store) Keep(response, maker string) {
	s.mu.Lock()
	if len(s.waiting) >= maxWaiting {
		s.waiting = slices.Delete(s.waiting, 0, batchRows)
		s.lost.Add(batchRows)
	}
	s.waiting = append(s.waiting, row{database.Text(response), database.Text(maker)})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Lost returns how many responses could not be noted, because the database was away for too
// long.
func (s *Store) Lost() int64 { return s.lost.Load() }

// Find returns who made a response, "" if it is unknown. With PostgreSQL it waits until ctx
// is done for the gateway that may be about to note it.
func (s *Store) Find(ctx context.Context, response string) (maker string, err error) {
	if time.Now().UnixNano() < s.rest.Load() {
		return "", errAway
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-s.slots }()
	for wait := lookAgain; ; wait *= 2 {
		err := s.db.QueryRowContext(ctx, "SELECT maker FROM responses WHERE id = ? AND expires > ?", database.Text(response), time.Now().UnixNano()).Scan(&maker)
		switch {
		case err == nil:
			return maker, nil
		case errors.Is(ctx.Err(), context.Canceled): // the client has hung up, which says nothing of the database
			return "", err
		case !errors.Is(err, sql.ErrNoRows):
			s.rest.Store(time.Now().Add(restTime).UnixNano())
			return "", err
		case !s.db.Postgres():
			return "", nil
		}
		if until, ok := ctx.Deadline(); ok && time.Until(until) < 2*wait {
			return "", nil
		}
		select {
		case <-ctx.Done():
			return "", nil
		case <-time.After(wait):
		}
	}
}

// write moves what waits to the database, until ctx is done.
func (s *Store) write(ctx context.Context) {
	for {
		last := false // it is closing
		select {
		case <-s.closing:
			last = true
		case <-s.wake:
		}
		if !s.db.Postgres() {
			select {
			case <-s.closing:
			case <-time.After(batchTime):
			}
		}
		for rows := s.take(); len(rows) > 0; rows = s.take() {
			if !s.persist(ctx, rows) {
				return
			}
		}
		if last {
			return
		}
	}
}

// take takes what is to be written next: of several makers of one response, the latest.
func (s *Store) take() []row {
	s.mu.Lock()
	n := min(len(s.waiting), batchRows)
	rows := slices.Clone(s.waiting[:n])
	if s.waiting = s.waiting[n:]; len(s.waiting) == 0 {
		s.waiting = nil
	}
	s.mu.Unlock()
	slices.SortStableFunc(rows, func(a, b row) int { return strings.Compare(a.response, b.response) })
	out := rows[:0]
	for i, r := range rows {
		if i+1 == len(rows) || rows[i+1].response != r.response {
			out = append(out, r)
		}
	}
	return out
}

// persist writes rows until that succeeds. It returns false if ctx is done before.
func (s *Store) persist(ctx context.Context, rows []row) bool {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		limited, cancel := context.WithTimeout(ctx, writeLimit)
		err := s.insert(limited, rows)
		cancel()
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			s.lost.Add(int64(len(rows)))
			return false
		case database.Refused(err):
			s.lost.Add(int64(len(rows)))
			s.log.Error("who made some responses is not noted, because the store refuses it", "responses", len(rows), "error", err)
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (s *Store) insert(ctx context.Context, rows []row) error {
	expires := time.Now().Add(keep).UnixNano()
	args := make([]any, 0, 3*len(rows))
	for _, r := range rows {
		args = append(args, r.response, r.maker, expires)
	}
	_, err := s.db.ExecContext(ctx, "INSERT INTO responses (id, maker, expires) VALUES (?, ?, ?)"+strings.Repeat(", (?, ?, ?)", len(rows)-1)+
		" ON CONFLICT (id) DO UPDATE SET maker = excluded.maker, expires = excluded.expires", args...)
	return err
}

// prune deletes what has expired, from time to time.
func (s *Store) prune(ctx context.Context) {
	for wait := time.Minute; ; wait = pruneEvery { // not while everything starts
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if _, err := s.expire(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Warn("expired responses could not be deleted from the store", "error", err)
		}
	}
}

// expire deletes what has expired at a time, a part at a time, so that others can write
// meanwhile.
func (s *Store) expire(ctx context.Context, now time.Time) (deleted int64, err error) {
	for {
		limited, cancel := context.WithTimeout(ctx, writeLimit)
		result, err := s.db.ExecContext(limited, "DELETE FROM responses WHERE id IN (SELECT id FROM responses WHERE expires <= ? ORDER BY expires, id LIMIT ?)", now.UnixNano(), pruneRows)
		cancel()
		if err != nil {
			return deleted, err
		}
		n, err := result.RowsAffected()
		if deleted += n; err != nil || n < pruneRows {
			return deleted, err
		}
	}
}

// Close writes what waits, for up to a second. It does not close the database.
func (s *Store) Close() {
	close(s.closing)
	limit := time.AfterFunc(s.patience, s.cancel)
	s.writing.Wait()
	limit.Stop()
	s.cancel()
	s.pruning.Wait()
}
