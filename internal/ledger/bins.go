package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/carrot-router/carrot/record"
)

// Bin sums up the attempts with a model in a part of a range.
type Bin struct {
	Start    time.Time // of the part
	Model    string
	Requests int64  // whose first attempt is among them
	Attempts int64  // calls of the model
	Served   int64  // attempts that answered a request
	Cost     Amount // of the attempts whose cost is known
	Unknown  int64  // attempts whose cost is unknown
}

// Day is the longest part into which [Store.Bins] divides a range.
const Day = 24 * time.Hour

// Bins returns the sums of a range by model and by days of UTC, or by equal parts of these, in
// the order of time and model. Days are read from daily sums, of which only the dates of the
// range count, and shorter parts from the attempts themselves, as far as they are stored.
func (s *Store) Bins(ctx context.Context, r Range, part time.Duration) ([]Bin, error) {
	var query string
	var args []any
	switch {
	case part == Day:
		where, given := r.days()
		query, args = "SELECT day, model, "+sumColumns+" FROM daily WHERE "+where+" GROUP BY day, model ORDER BY day, model", given
	case part > 0 && part < Day && Day%part == 0:
		where, given := r.attempts()
		at := fmt.Sprintf("time / %d", part.Nanoseconds())
		query = "SELECT CAST(" + at + " AS TEXT), model, SUM(CASE WHEN number = 1 THEN 1 ELSE 0 END), COUNT(*), SUM(CASE WHEN outcome = ? THEN 1 ELSE 0 END)," +
			" CAST(COALESCE(SUM(cost / 1000000), 0) AS BIGINT), CAST(COALESCE(SUM(cost % 1000000), 0) AS BIGINT), SUM(CASE WHEN cost IS NULL THEN 1 ELSE 0 END)," +
			" 0, 0, 0, 0, 0 FROM attempts WHERE " + where + " GROUP BY " + at + ", model ORDER BY " + at + ", model"
		args = given
	default:
		return nil, fmt.Errorf("bins of %v: want a day, or what divides it", part)
	}
	rows, err := s.db.QueryContext(ctx, query, append([]any{string(record.Served)}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("bins: %w", err)
	}
	defer rows.Close()
	var list []Bin
	for rows.Next() {
		var one Bin
		var start string
		var micro, rest, skip int64
		if err := rows.Scan(&start, &one.Model, &one.Requests, &one.Attempts, &one.Served, &micro, &rest, &one.Unknown, &skip, &skip, &skip, &skip, &skip); err != nil {
			return nil, fmt.Errorf("bins: %w", err)
		}
		if one.Start, err = startOf(start, part); err != nil {
			return nil, fmt.Errorf("bins: %w", err)
		}
		one.Cost = amountOf(micro, rest)
		list = append(list, one)
	}
	return list, rows.Err()
}

// startOf reads when a part begins: a date, or the number of a shorter part since 1970.
func startOf(text string, part time.Duration) (time.Time, error) {
	if part == Day {
		return time.Parse(time.DateOnly, text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(0, n*part.Nanoseconds()).UTC(), nil
}

// Latest returns the latest attempts of a range, at most n, the latest first, with their
// decisions as far as they are stored, and the latest feedback on their requests.
func (s *Store) Latest(ctx context.Context, r Range, n int) (list []*record.Attempt, said map[string]Feedback, err error) {
	where, args := r.attempts()
	rows, err := s.db.QueryContext(ctx, selectAttempts+"WHERE "+where+" ORDER BY time DESC, id DESC LIMIT ?", append(args, n)...)
	if err != nil {
		return nil, nil, fmt.Errorf("read attempts: %w", err)
	}
	if list, _, err = s.page(ctx, rows); err != nil {
		return nil, nil, fmt.Errorf("read attempts: %w", err)
	}
	said = map[string]Feedback{}
	for from := 0; from < len(list); from += pageRows {
		some, err := s.latest(ctx, list[from:min(from+pageRows, len(list))])
		if err != nil {
			return nil, nil, err
		}
		for id, f := range some {
			said[id] = f
		}
	}
	return list, said, nil
}

// Cut returns when the n-th latest request of a range began, or the zero time if there are
// fewer.
func (s *Store) Cut(ctx context.Context, r Range, n int) (time.Time, error) {
	where, args := r.attempts()
	var at int64
	err := s.db.QueryRowContext(ctx, "SELECT time FROM attempts WHERE "+where+" AND number = 1 ORDER BY time DESC LIMIT 1 OFFSET ?", append(args, n-1)...).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read attempts: %w", err)
	}
	return time.Unix(0, at).UTC(), nil
}
