package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/carrot-router/carrot/record"
)

// Outline is what happened to a request, without its decision and its texts.
type Outline struct {
	Time     time.Time // of the first call
	ID       string
	Client   string
	Policy   string         // empty: the client named a model
	First    string         // the model that was called first
	Model    string         // the one that answered; empty: none did
	Attempts int            // calls
	Outcome  record.Outcome // of the last call
	Cost     Amount         // of the calls whose cost is known
	Unknown  int            // calls whose cost is unknown
	Duration time.Duration  // in the gateway and at providers; of a call that has lapsed, none is known
}

// Ending is how requests ended.
type Ending string

// The endings.
const (
	Answered   Ending = "answered"   // by a model, the first or another one
	Failing    Ending = "failed"     // a call failed or was refused; another one may have answered
	Unanswered Ending = "unanswered" // by no model
)

// Which is which requests are asked for. Models are those that were called, not only those
// that answered.
type Which struct {
	Range
	Ending Ending // empty: all
}

// conditions returns the condition for the first attempts of requests, as far as it is not
// about their time, and its arguments. It is empty if there is none.
func (w Which) conditions() (where string, args []any) {
	conditions, args := Range{Clients: asStored(w.Clients), Policies: asStored(w.Policies)}.filter(true)
	// Only a call that failed before the first content is followed by another one. Its
	// number is compared with that of the first so that PostgreSQL looks it up by the
	// request, and does not read the whole table to hash the later calls of all.
	const later = "f.outcome = '" + string(record.FellBack) + "' AND EXISTS (SELECT 1 FROM attempts AS a WHERE a.request = f.request AND a.number > f.number AND "
	var either []string
	for _, name := range asStored(w.Models) {
		either = append(either, "f.model = ? OR "+later+"a.model = ?)")
		args = append(args, name, name)
	}
	if len(either) > 0 {
		conditions = append(conditions, "("+strings.Join(either, " OR ")+")")
	}
	const served = "(f.outcome = '" + string(record.Served) + "' OR " + later + "a.outcome = '" + string(record.Served) + "'))"
	switch w.Ending {
	case Answered:
		conditions = append(conditions, served)
	case Unanswered:
		conditions = append(conditions, "NOT "+served)
	case Failing:
		conditions = append(conditions, "f.outcome NOT IN ('"+string(record.Served)+"', '"+string(record.ClientGone)+"')")
	}
	return strings.Join(conditions, " AND "), args
}

// asStored returns names as the store has them.
func asStored(names []string) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = bounded(name)
	}
	return list
}

// Place is where a page of requests ends. The zero value is before the latest request.
type Place struct {
	Time int64 // nanoseconds since 1970
	Row  int64
}

// String returns the place as ParsePlace reads it.
func (p Place) String() string { return fmt.Sprintf("%d.%d", p.Time, p.Row) }

// ParsePlace reads what String has returned.
func ParsePlace(text string) (p Place, err error) {
	if n, err := fmt.Sscanf(text, "%d.%d", &p.Time, &p.Row); err != nil || n != 2 || p.String() != text {
		return Place{}, fmt.Errorf("%q is not a place in the list of requests", text)
	}
	return p, nil
}

// Page is a page of requests, the latest first.
type Page struct {
	Requests []Outline
	Older    *Place // where older ones begin; nil: there are none
	// Until is set if the search for requests that fit has stopped at that time, because
	// it had looked at many others. Older ones are before it.
	Until time.Time
}

// searched is how many attempts are looked at for one page of requests, so that a page with
// few or no requests does not take long.
var searched = 100_000

// Requests returns at most n requests of a range, the latest first, from a place on. A
// request is in the range if its first call is.
func (s *Store) Requests(ctx context.Context, w Which, from Place, n int) (page Page, err error) {
	where, args, floor, err := s.span(ctx, w, from)
	if err != nil {
		return page, fmt.Errorf("read requests: %w", err)
	}
	rows, err := s.db.QueryContext(ctx, selectOutlines(where), append(args, n+1)...)
	if err != nil {
		return page, fmt.Errorf("read requests: %w", err)
	}
	defer rows.Close()
	var last Place
	for rows.Next() {
		if len(page.Requests) == n {
			page.Older = &last
			break
		}
		one, at := Outline{}, Place{}
		if err := rows.Scan(&at.Time, &at.Row, &one.ID, &one.Client, &one.Policy, &one.First); err != nil {
			return page, fmt.Errorf("read requests: %w", err)
		}
		one.Time = time.Unix(0, at.Time).UTC()
		page.Requests, last = append(page.Requests, one), at
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return page, fmt.Errorf("read requests: %w", err)
	}
	if page.Older == nil && floor != nil {
		page.Older, page.Until = &Place{Time: *floor}, time.Unix(0, *floor).UTC()
	}
	return page, s.outline(ctx, page.Requests)
}

// selectOutlines returns the query for the first attempts of requests.
func selectOutlines(where string) string {
	return "SELECT time, id, request, client, policy, first FROM attempts AS f WHERE " + where + " ORDER BY time DESC, id DESC LIMIT ?"
}

// span returns the condition for the rows of a page, and its arguments. floor is the time of
// the earliest of them if the search for requests that fit does not go on to the beginning
// of the range.
func (s *Store) span(ctx context.Context, w Which, from Place) (where string, args []any, floor *int64, err error) {
	begin, end := w.nanoseconds()
	where, args = "time >= ? AND time < ?", []any{begin, end}
	if from != (Place{}) && from.Time < end {
		where, args = where+" AND (time < ? OR id < ?)", []any{begin, from.Time + 1, from.Time, from.Row}
	}
	conditions, names := w.conditions()
	if conditions == "" {
		return where + " AND number = 1", args, nil, nil
	}
	var at int64
	err = s.db.QueryRowContext(ctx, "SELECT time FROM attempts WHERE "+where+" ORDER BY time DESC LIMIT 1 OFFSET ?", append(args[:len(args):len(args)], searched-1)...).Scan(&at)
	switch {
	case err == nil:
		floor, args[0] = &at, at
	case !errors.Is(err, sql.ErrNoRows):
		return "", nil, nil, err
	}
	return where + " AND number = 1 AND " + conditions, append(args, names...), floor, nil
}

// outline sets what follows from all attempts of requests.
func (s *Store) outline(ctx context.Context, requests []Outline) error {
	if len(requests) == 0 {
		return nil
	}
	at, ids := map[string]*Outline{}, make([]any, len(requests))
	for i := range requests {
		at[requests[i].ID], ids[i] = &requests[i], requests[i].ID
	}
	rows, err := s.db.QueryContext(ctx, "SELECT request, model, outcome, cost, upstream, overhead FROM attempts WHERE request IN (?"+strings.Repeat(", ?", len(ids)-1)+") ORDER BY request, number, id", ids...)
	if err != nil {
		return fmt.Errorf("read requests: %w", err)
	}
	defer rows.Close()
	waited := map[string]time.Duration{} // for earlier calls
	for rows.Next() {
		var a record.Attempt
		if err := rows.Scan(&a.RequestID, &a.Candidate, &a.Outcome, amount{&a.Cost, &a.CostUnknown}, &a.Upstream, &a.Overhead); err != nil {
			return fmt.Errorf("read requests: %w", err)
		}
		one := at[a.RequestID]
		one.Attempts++
		one.Outcome = a.Outcome
		if one.Cost.Add(a.Cost); a.CostUnknown {
			one.Unknown++
		}
		if a.Outcome == record.Served {
			one.Model = a.Candidate
		}
		waited[a.RequestID] += a.Upstream
		one.Duration = a.Overhead + waited[a.RequestID]
	}
	return rows.Err()
}

// Decided reports whether a decision was stored for a request. It may be pruned by now.
func (s *Store) Decided(ctx context.Context, request string) (bool, error) {
	var n int
	if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM attempts WHERE request = ? AND block IS NOT NULL", bounded(request)).Scan(&n); err != nil {
		return false, fmt.Errorf("request %s: %w", request, err)
	}
	return n > 0, nil
}

// Fate sums up the attempts with a model of a provider that ended in one way.
type Fate struct {
	Model, Provider string
	Outcome         record.Outcome
	Attempts        int64
	Cost            Amount // of those whose cost is known
	Unknown         int64  // attempts whose cost is unknown
}

// Fates returns the sums of the days in a range, of which only the dates count, by model,
// provider and outcome.
func (s *Store) Fates(ctx context.Context, r Range) (list []Fate, err error) {
	where, args := r.days()
	rows, err := s.db.QueryContext(ctx, "SELECT model, provider, outcome, SUM(attempts), SUM(unknown), SUM(cost_micro), SUM(cost_rest) FROM daily WHERE "+where+
		" GROUP BY model, provider, outcome ORDER BY model, provider, outcome", args...)
	if err != nil {
		return nil, fmt.Errorf("sums of models: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var f Fate
		var micro, rest int64
		if err := rows.Scan(&f.Model, &f.Provider, &f.Outcome, &f.Attempts, &f.Unknown, &micro, &rest); err != nil {
			return nil, fmt.Errorf("sums of models: %w", err)
		}
		if f.Cost = amountOf(micro, rest); f.Attempts > 0 { // a sum from which all was taken off is 0
			list = append(list, f)
		}
	}
	return list, rows.Err()
}
