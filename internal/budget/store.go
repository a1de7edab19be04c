package budget

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/database"
)

// state is what the store knows of a period of a budget.
type state struct {
	amount, spent, unknown, held int64
	mine                         int64 // of held, for this process
	took                         int64 // of mine, by the change that returned the state
	unsure                       bool  // after an error: the change may have been made
	version                      int64 // of two states, the one with the higher version is newer
}

// left returns what is neither spent nor held.
func (s *state) left() int64 { return s.amount - s.spent - s.held }

// change is a change of a process's lease.
type change struct {
	period      string
	ends        time.Time
	amount      int64
	soft        bool
	process     string
	want, least int64 // to take; if less than least is left, nothing is taken
	back        int64 // to give back
	until       time.Time
}

// forever is when the periods of rates that have none end.
var forever = time.Unix(0, math.MaxInt64)

// lease changes a lease and says what the store knows then. Nothing is taken that is not
// left. The row of the budget is locked from the beginning, so that processes that change
// it at the same time wait for each other.
func lease(ctx context.Context, db *database.DB, c change) (s state, err error) {
	err = db.Do(ctx, func(tx *database.Tx) error {
		s = state{}
		soft := int64(0)
		if c.soft {
			soft = 1
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO budgets (period, ends, amount, soft, spent, unknown, held, version) VALUES (?, ?, ?, ?, 0, 0, 0, 1)
			ON CONFLICT (period) DO UPDATE SET ends = excluded.ends, amount = excluded.amount, soft = excluded.soft, version = budgets.version + 1`,
			c.period, c.ends.UnixNano(), c.amount, soft); err != nil {
			return err
		}
		if err := s.read(ctx, tx, c.period, c.process); err != nil {
			return err
		}
		switch left := s.left(); {
		case left >= c.want:
			s.took = c.want
		case left >= c.least:
			s.took = max(left, 0)
		}
		delta := s.took - min(c.back, s.mine)
		if delta != 0 {
			result, err := tx.ExecContext(ctx, "UPDATE budgets SET held = held + ? WHERE period = ? AND (spent + held + ? <= amount OR held + ? <= held)", delta, c.period, delta, delta)
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err != nil || n != 1 {
				return errors.Join(err, fmt.Errorf("the budget %s changed meanwhile", c.period))
			}
			s.held += delta
			s.mine += delta
		}
		err := s.write(ctx, tx, c.period, c.process, c.until)
		s.unsure = err == nil
		return err
	})
	s.unsure = s.unsure && err != nil // the database has not said whether it has committed
	return s, err
}

// read reads the state of a budget and of a process's lease.
func (s *state) read(ctx context.Context, tx *database.Tx, period, process string) error {
	lock := ""
	if tx.Postgres() {
		lock = " FOR UPDATE"
	}
	if err := tx.QueryRowContext(ctx, "SELECT amount, spent, unknown, held, version FROM budgets WHERE period = ?"+lock, period).Scan(&s.amount, &s.spent, &s.unknown, &s.held, &s.version); err != nil {
		return err
	}
	err := tx.QueryRowContext(ctx, "SELECT held FROM leases WHERE period = ? AND process = ?", period, process).Scan(&s.mine)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return err
}

// write writes a process's lease.
func (s *state) write(ctx context.Context, tx *database.Tx, period, process string, until time.Time) error {
	if s.mine == 0 {
		_, err := tx.ExecContext(ctx, "DELETE FROM leases WHERE period = ? AND process = ?", period, process)
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO leases (period, process, held, expires) VALUES (?, ?, ?, ?)
		ON CONFLICT (period, process) DO UPDATE SET held = excluded.held, expires = excluded.expires`, period, process, s.mine, until.UnixNano())
	return err
}

// settle counts an amount as spent. What the process's lease has of it is no longer held.
func settle(ctx context.Context, tx *database.Tx, period, process string, spent, unknown int64) (s state, err error) {
	if _, err := tx.ExecContext(ctx, `INSERT INTO budgets (period, ends, amount, soft, spent, unknown, held, version) VALUES (?, 0, 0, 1, ?, ?, 0, 1)
		ON CONFLICT (period) DO UPDATE SET spent = budgets.spent + excluded.spent, unknown = budgets.unknown + excluded.unknown, version = budgets.version + 1`, period, spent, unknown); err != nil {
		return s, err
	}
	if err := s.read(ctx, tx, period, process); err != nil {
		return s, err
	}
	if back := min(spent, s.mine); back > 0 {
		s.mine -= back
		s.held -= back
		if _, err := tx.ExecContext(ctx, "UPDATE budgets SET held = held - ? WHERE period = ?", back, period); err != nil {
			return s, err
		}
		statement, args := "UPDATE leases SET held = ? WHERE period = ? AND process = ?", []any{s.mine, period, process}
		if s.mine == 0 {
			statement, args = "DELETE FROM leases WHERE period = ? AND process = ?", args[1:]
		}
		if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
			return s, err
		}
	}
	return s, nil
}

// giveBack gives back all that a process holds, or all whose leases ended before a time if
// process is empty. It returns the number of leases.
func giveBack(ctx context.Context, db *database.DB, process string, before time.Time, like string) (n int, err error) {
	err = db.Do(ctx, func(tx *database.Tx) error {
		n = 0
		rows, err := tx.QueryContext(ctx, "SELECT period, process FROM leases WHERE (process = ? OR ? = '' AND expires < ?) AND period LIKE ?", process, process, before.UnixNano(), like)
		if err != nil {
			return err
		}
		defer rows.Close()
		type one struct{ period, process string }
		var list []one
		for rows.Next() {
			var o one
			if err := rows.Scan(&o.period, &o.process); err != nil {
				return err
			}
			list = append(list, o)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		// In the order of sums.keys, whatever the database's order of texts is, so that processes
		// do not lock each other out.
		slices.SortFunc(list, func(a, b one) int {
			return cmp.Or(strings.Compare(a.period, b.period), strings.Compare(a.process, b.process))
		})
		for _, o := range list {
			var s state
			if err := s.read(ctx, tx, o.period, o.process); errors.Is(err, sql.ErrNoRows) {
				continue // it was a rate, which was over and is forgotten
			} else if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "UPDATE budgets SET held = held - ?, version = version + 1 WHERE period = ?", s.mine, o.period); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "DELETE FROM leases WHERE period = ? AND process = ?", o.period, o.process); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}
