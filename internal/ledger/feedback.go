package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/record"
)

// Feedback is what was said of the answer to a request.
type Feedback = record.Feedback

// ErrUnknownRequest says that the store has no request with an id, or that it is another
// client's.
var ErrUnknownRequest = record.ErrUnknownRequest

// maxNote is the longest note that is kept, in bytes.
const maxNote = 4096

// feedbackColumns are the columns of feedback, as scanFeedback reads them.
const feedbackColumns = "time, request, client, kind, score, label, note, said_by"

// scanFeedback reads a row of feedback.
func scanFeedback(rows *sql.Rows) (f Feedback, err error) {
	var score sql.NullFloat64
	err = rows.Scan(nanoseconds{&f.Time}, &f.RequestID, &f.Client, &f.Kind, &score, &f.Label, &f.Note, &f.By)
	if score.Valid {
		f.Score = &score.Float64
	}
	return f, err
}

// AddFeedback adds feedback to a request, whose client it sets. If f.By is empty, the client
// of the request has said it, so that the request must be of f.Client. The error is
// ErrUnknownRequest if it is not, or if the store does not have the request. What is there
// already, at the same time, is not added again.
func (s *Store) AddFeedback(ctx context.Context, f Feedback) error {
	_, _, err := s.addFeedback(ctx, f)
	return err
}

// AddFeedbackOnce adds feedback as AddFeedback does, and reports whether it was not there
// already.
func (s *Store) AddFeedbackOnce(ctx context.Context, f Feedback) (added bool, err error) {
	_, added, err = s.addFeedback(ctx, f)
	return added, err
}

// Has reports whether the store has a request.
func (s *Store) Has(ctx context.Context, request string) (bool, error) {
	var one int
	err := s.db.QueryRowContext(ctx, "SELECT 1 FROM attempts WHERE request = ? LIMIT 1", bounded(request)).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// addFeedback adds feedback and returns the policy of the request, and whether the feedback
// was not there already.
func (s *Store) addFeedback(ctx context.Context, f Feedback) (policy string, added bool, err error) {
	if f.Score != nil && !(*f.Score >= 0 && *f.Score <= 1) {
		return "", false, fmt.Errorf("feedback on request %s: the score %v is not in [0,1]", f.RequestID, *f.Score)
	}
	query, args := "SELECT client, policy FROM attempts WHERE request = ?", []any{bounded(f.RequestID)}
	if f.By == "" {
		query, args = query+" AND client = ?", append(args, bounded(f.Client))
	}
	err = s.db.Do(ctx, func(tx *database.Tx) error {
		added = false
		var client string
		if err := tx.QueryRowContext(ctx, query+" ORDER BY number, id LIMIT 1", args...).Scan(&client, &policy); err != nil {
			if errors.Is(err, sql.ErrNoRows) {
				err = ErrUnknownRequest
			}
			return err
		}
		var score any
		if f.Score != nil {
			score = *f.Score
		}
		row := []any{f.Time.UnixNano(), bounded(f.RequestID), client, bounded(f.Kind), score, bounded(f.Label), boundedTo(f.Note, maxNote), bounded(f.By)}
		same := `SELECT COUNT(*) FROM feedback WHERE request = ? AND time = ? AND kind = ? AND label = ? AND note = ? AND said_by = ? AND `
		sameArgs := []any{row[1], row[0], row[3], row[5], row[6], row[7]}
		if score == nil {
			same += "score IS NULL"
		} else {
			same, sameArgs = same+"score = ?", append(sameArgs, score)
		}
		var there int
		if err := tx.QueryRowContext(ctx, same, sameArgs...).Scan(&there); err != nil || there > 0 {
			return err
		}
		added = true
		_, err := tx.ExecContext(ctx, "INSERT INTO feedback ("+feedbackColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row...)
		return err
	})
	if err != nil {
		return "", false, fmt.Errorf("feedback on request %s: %w", f.RequestID, err)
	}
	return policy, added, nil
}

// Feedback returns what was said of the answer to a request, the last of which counts.
func (s *Store) Feedback(ctx context.Context, request string) ([]Feedback, error) {
	return s.feedback(ctx, []any{bounded(request)})
}

// feedback returns what was said of the answers to requests, in order.
func (s *Store) feedback(ctx context.Context, requests []any) (list []Feedback, err error) {
	if len(requests) == 0 {
		return nil, nil
	}
	rows, err := s.db.QueryContext(ctx, "SELECT "+feedbackColumns+" FROM feedback WHERE request IN (?"+strings.Repeat(", ?", len(requests)-1)+") ORDER BY time, id", requests...)
	if err != nil {
		return nil, fmt.Errorf("read feedback: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		f, err := scanFeedback(rows)
		if err != nil {
			return nil, fmt.Errorf("read feedback: %w", err)
		}
		list = append(list, f)
	}
	return list, rows.Err()
}

// Scored calls each with every request of a time, in the order in which they were recorded:
// with its first attempt, which has the decision as far as that is stored, and the latest
// feedback on it, if known says that there is any. The request's first candidate has answered
// it if the attempt's outcome is record.Served and its candidate is a.First. An error that
// each returns ends it. A zero time does not limit the requests.
func (s *Store) Scored(ctx context.Context, from, to time.Time, each func(a *record.Attempt, f Feedback, known bool) error) error {
	return s.withFeedback(ctx, Range{From: from, To: to}, "number = 1", each)
}

// Answered is Scored with the attempt that has answered the request. Requests that none has
// answered are left out.
func (s *Store) Answered(ctx context.Context, from, to time.Time, each func(a *record.Attempt, f Feedback, known bool) error) error {
	return s.withFeedback(ctx, Range{From: from, To: to}, "outcome = '"+string(record.Served)+"'", each)
}

// Reviewed is Scored with every attempt of a range.
func (s *Store) Reviewed(ctx context.Context, r Range, each func(a *record.Attempt, f Feedback, known bool) error) error {
	return s.withFeedback(ctx, r, "1 = 1", each)
}

// withFeedback calls each with the attempts of a range for which a condition holds, and the
// latest feedback on their requests.
func (s *Store) withFeedback(ctx context.Context, r Range, condition string, each func(a *record.Attempt, f Feedback, known bool) error) error {
	where, args := r.attempts()
	for last := int64(0); ; {
		rows, err := s.db.QueryContext(ctx, selectAttempts+"WHERE "+where+" AND "+condition+" AND id > ? ORDER BY id LIMIT ?", append(args[:len(args):len(args)], last, pageRows)...)
		if err != nil {
			return fmt.Errorf("read requests: %w", err)
		}
		var page []*record.Attempt
		if page, last, err = s.page(ctx, rows); err != nil {
			return fmt.Errorf("read requests: %w", err)
		}
		latest, err := s.latest(ctx, page)
		if err != nil {
			return err
		}
		for _, a := range page {
			f, known := latest[a.RequestID]
			if err := each(a, f, known); err != nil {
				return err
			}
		}
		if len(page) < pageRows {
			return nil
		}
	}
}

// latest returns the latest feedback on each request that has any.
func (s *Store) latest(ctx context.Context, attempts []*record.Attempt) (map[string]Feedback, error) {
	requests := make([]any, len(attempts))
	for i, a := range attempts {
		requests[i] = a.RequestID
	}
	list, err := s.feedback(ctx, requests)
	latest := make(map[string]Feedback, len(list))
	for _, f := range list {
		latest[f.RequestID] = f
	}
	return latest, err
}

// Rated sums up what was said of answers.
type Rated struct {
	Served   int64    `json:"served"`   // requests that were answered, as far as they are stored
	Feedback int64    `json:"feedback"` // those of them with feedback
	Scored   int64    `json:"scored"`   // and those whose score is known
	Score    *float64 `json:"score"`    // its mean; null if there is none
}

// Ratings returns what was said of the answers of the days in a range, by model, provider,
// policy, client or day: the latest of each request. A group is there if any request in it
// was answered. There are none if nothing was ever said.
func (s *Store) Ratings(ctx context.Context, r Range, by By) (groups map[string]*Rated, total Rated, err error) {
	if err := by.Check(); err != nil {
		return nil, total, err
	}
	var said int
	if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM feedback LIMIT 1) AS f").Scan(&said); err != nil || said == 0 {
		return nil, total, err
	}
	column := string(by)
	switch {
	case by == ByDay:
		column = "time / 86400000000000"
	case strings.HasPrefix(column, labelPrefix):
		return nil, total, nil // which are in no column of their own
	}
	day := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.UTC().Truncate(24 * time.Hour)
	}
	r.From, r.To = day(r.From), day(r.To)
	where, args := r.attempts()
	rows, err := s.db.QueryContext(ctx, `SELECT CAST(`+column+` AS TEXT), COUNT(*), COUNT(said), COUNT(score), COALESCE(SUM(score), 0) FROM (
			SELECT a.*, f.id AS said, f.score FROM (SELECT * FROM attempts WHERE outcome = ? AND `+where+`) AS a
			LEFT JOIN feedback AS f ON f.id = (SELECT g.id FROM feedback AS g WHERE g.request = a.request ORDER BY g.time DESC, g.id DESC LIMIT 1)
		) AS rated GROUP BY 1 ORDER BY 1`, append([]any{string(record.Served)}, args...)...)
	if err != nil {
		return nil, total, fmt.Errorf("sum up feedback: %w", err)
	}
	defer rows.Close()
	groups, sums := map[string]*Rated{}, map[string]float64{}
	whole := 0.0
	for rows.Next() {
		var g Rated
		var name string
		var sum float64
		if err := rows.Scan(&name, &g.Served, &g.Feedback, &g.Scored, &sum); err != nil {
			return nil, total, fmt.Errorf("sum up feedback: %w", err)
		}
		switch by {
		case ByPolicy:
			name, _, _ = strings.Cut(name, ":")
		case ByDay:
			var n int64
			if _, err := fmt.Sscan(name, &n); err != nil {
				return nil, total, fmt.Errorf("sum up feedback: %w", err)
			}
			name = time.Unix(n*24*60*60, 0).UTC().Format(time.DateOnly)
		}
		if groups[name] == nil {
			groups[name] = &Rated{}
		}
		for _, to := range []*Rated{groups[name], &total} {
			to.Served, to.Feedback, to.Scored = to.Served+g.Served, to.Feedback+g.Feedback, to.Scored+g.Scored
		}
		sums[name] += sum
		whole += sum
	}
	mean := func(sum float64, n int64) *float64 {
		if n == 0 {
			return nil
		}
		m := sum / float64(n)
		return &m
	}
	for name, g := range groups {
		g.Score = mean(sums[name], g.Scored)
	}
	total.Score = mean(whole, total.Scored)
	return groups, total, rows.Err()
}

// feedbackWaits are how long AddFeedback waits for a request that the store does not have,
// before it looks again. Attempts are in the store after batchTime, those of other gateways
// too.
var feedbackWaits = []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}

// AddFeedback adds feedback as [Store.AddFeedback] does, and returns the policy of the request.
// It waits for a request that has just been answered, which may still be in a journal.
func (l *Ledger) AddFeedback(ctx context.Context, f *Feedback) (policy string, err error) {
	for _, wait := range feedbackWaits {
		policy, _, err = l.store.addFeedback(ctx, *f)
		if !errors.Is(err, ErrUnknownRequest) {
			return policy, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(wait):
		}
	}
	policy, _, err = l.store.addFeedback(ctx, *f)
	if errors.Is(err, ErrUnknownRequest) && l.Pending() > batchBytes {
		return "", fmt.Errorf("feedback on request %s: the store is behind by %d bytes of the journal, in which the request may be", f.RequestID, l.Pending())
	}
	return policy, err
}
