package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/journal"
)

// maxText is the longest text in a column, in bytes, but for that of an error. PostgreSQL
// refuses rows whose indexed columns have more than about 2,700 bytes together.
const maxText = 400

// bounded returns a text as a column has it. A longer one ends with a part of its hash, so
// that different ones stay different.
func bounded(s string) string {
	s = database.Text(s)
	if len(s) <= maxText {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	end := fmt.Sprintf("…%x", sum[:8])
	n := maxText - len(end)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + end
}

// write writes entries of the journal to the store. What the database refuses is lost, and
// said: it must not keep everything else from the store for ever. It returns how many it
// has written.
func (l *Ledger) write(ctx context.Context, from, to journal.Position, entries []*entry) (int, error) {
	err := l.store.write(ctx, l.journal.ID(), from, to, entries)
	if err == nil || !database.Refused(err) {
		return len(entries), err
	}
	refused, err := l.store.writeEach(ctx, l.journal.ID(), from, to, entries)
	if err != nil {
		return 0, err
	}
	for i, why := range refused {
		l.lost.Add(1)
		l.log.Error("an attempt is lost, because the store refuses it", "request_id", entries[i].attempt.RequestID, "attempt", entries[i].attempt.Number, "error", why)
	}
	return len(entries) - len(refused), nil
}

// writeEach does what write does, one entry after the other, without those that the
// database refuses. It returns why it does, by their indices.
func (s *Store) writeEach(ctx context.Context, id string, from, to journal.Position, entries []*entry) (refused map[int]error, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	err = s.db.Do(ctx, func(tx *database.Tx) error {
		refused = map[int]error{}
		if err := advance(ctx, tx, id, from, to); err != nil {
			return err
		}
		for i := range entries {
			if _, err := tx.ExecContext(ctx, "SAVEPOINT one"); err != nil {
				return err
			}
			err := s.writeEntries(ctx, tx, entries[i:i+1])
			if err != nil {
				if !database.Refused(err) {
					return err
				}
				refused[i] = err
				if _, err := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT one"); err != nil {
					return err
				}
			}
			if _, err := tx.ExecContext(ctx, "RELEASE SAVEPOINT one"); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errWritten) {
		return nil, nil
	}
	return refused, err
}
