package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/carrot-router/carrot/internal/database"
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

// write writes a batch to the store. What the database refuses is lost, and said: it must
// not keep everything else from the store for ever. It returns how many attempts it has
// written.
func (l *Ledger) write(ctx context.Context, b *batch) (int, error) {
	err := l.store.write(ctx, b)
	if err == nil || !database.Refused(err) {
		return len(b.entries), err
	}
	refused, err := l.store.writeEach(ctx, b)
	if err != nil {
		return 0, err
	}
	for i, why := range refused {
		l.lost.Add(1)
		a := &b.entries[i].attempt
		l.log.Error("an attempt is lost, because the store refuses it", "request_id", a.RequestID, "attempt", a.Number, "error", why)
	}
	return len(b.entries) - len(refused), nil
}

// writeEach does what write does, one entry after the other, without those that the
// database refuses. It returns why it does, by their indices.
func (s *Store) writeEach(ctx context.Context, b *batch) (refused map[int]error, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	err = s.db.Do(ctx, func(tx *database.Tx) error {
		refused = map[int]error{}
		if err := advance(ctx, tx, b); err != nil {
			return err
		}
		for i := range b.entries {
			if _, err := tx.ExecContext(ctx, "SAVEPOINT one"); err != nil {
				return err
			}
			if err := s.writeEntries(ctx, tx, b.entries[i:i+1]); err != nil {
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
		return b.writeAlso(ctx, tx) // also for those that are lost: they were paid for
	})
	if errors.Is(err, errWritten) {
		refused = nil
	}
	return refused, b.end(err)
}
