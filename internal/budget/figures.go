package budget

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/database"
)

// Figures are what is known of a period of a budget. Headers, refusals, the command and the
// admin address show these numbers, which are those that are checked.
type Figures struct {
	Name    string     // of the budget
	Began   string     // the day on which the period began
	Ends    time.Time  // when the next one begins
	Soft    bool       // more may be spent
	Amount  carrot.USD // that may be spent
	Spent   carrot.USD // of calls that are over
	Unknown carrot.USD // the part of it that is reserves of calls whose cost is unknown
	Held    carrot.USD // for calls that are in progress, or will be
	Lapsed  carrot.USD // the part of it that is held for processes that have gone
	Left    carrot.USD // neither spent nor held; below 0 if more was spent than the amount
	Factor  float64    // on the willingness to pay, of this process; 0: there is no pacing
}

// figuresJSON is the JSON form of Figures.
type figuresJSON struct {
	Name    string          `json:"name"`
	Began   string          `json:"began"`
	Ends    time.Time       `json:"ends"`
	Soft    bool            `json:"soft"`
	Amount  json.RawMessage `json:"amount_usd"`
	Spent   json.RawMessage `json:"spent_usd"`
	Unknown json.RawMessage `json:"unknown_usd"`
	Held    json.RawMessage `json:"held_usd"`
	Lapsed  json.RawMessage `json:"lapsed_usd"`
	Left    json.RawMessage `json:"left_usd"`
}

// MarshalJSON writes amounts exactly, as numbers in USD.
func (f Figures) MarshalJSON() ([]byte, error) {
	exact := func(u carrot.USD) json.RawMessage { return u.AppendJSON(nil) }
	return json.Marshal(figuresJSON{f.Name, f.Began, f.Ends, f.Soft, exact(f.Amount), exact(f.Spent), exact(f.Unknown), exact(f.Held), exact(f.Lapsed), exact(f.Left)})
}

// Answer returns what the command and the admin address write about budgets as JSON, in the
// form carrot.budgets/1.
func Answer(list []Figures) any {
	return struct {
		Schema  string    `json:"schema"`
		Budgets []Figures `json:"budgets"`
	}{"carrot.budgets/1", append([]Figures{}, list...)}
}

// figures returns what this process knows of a period.
func (w *window) figures() Figures {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.state
	f := Figures{Name: w.limit.name, Began: w.began.Format(time.DateOnly), Ends: w.ends, Soft: w.limit.soft,
		Amount: carrot.USD(s.amount), Spent: carrot.USD(s.spent), Unknown: carrot.USD(s.unknown), Held: carrot.USD(s.held), Left: carrot.USD(s.left())}
	if w.limit.pacing > 0 {
		f.Factor = w.pace
	}
	return f
}

// Configured returns what this process knows of the budgets of the configuration, in their
// present periods.
func (b *Budgets) Configured() []Figures {
	all := b.rules.Load().every()
	now := b.now()
	figures := make([]Figures, len(all))
	for i, l := range all {
		figures[i] = b.window(l, now).figures()
	}
	slices.SortFunc(figures, func(a, b Figures) int { return strings.Compare(a.Name, b.Name) })
	return figures
}

// List returns the periods of all budgets that are not over at a time, by name: those in
// which something was asked for, with the amount that was checked last, and those of the
// budgets that are known to be in force, with their present amount.
func List(ctx context.Context, db *database.DB, known []gateway.BudgetConfig, now time.Time) ([]Figures, error) {
	rows, err := db.QueryContext(ctx, `SELECT period, ends, soft, amount, spent, unknown, held,
		COALESCE((SELECT SUM(leases.held) FROM leases WHERE leases.period = budgets.period AND expires < ?), 0)
		FROM budgets WHERE ends > ? AND period NOT LIKE '~%' ORDER BY period`, now.UnixNano(), now.UnixNano())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []Figures{}
	for rows.Next() {
		var f Figures
		var key string
		var ends, soft int64
		if err := rows.Scan(&key, &ends, &soft, &f.Amount, &f.Spent, &f.Unknown, &f.Held, &f.Lapsed); err != nil {
			return nil, err
		}
		f.Name, f.Began, _ = strings.Cut(key, "@")
		f.Ends, f.Soft, f.Left = time.Unix(0, ends).UTC(), soft == 1, f.Amount-f.Spent-f.Held
		list = append(list, f)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	at := make(map[[2]string]int, len(list)) // of a name and the day on which a period began
	for i, f := range list {
		at[[2]string{f.Name, f.Began}] = i
	}
	for _, c := range known {
		l, err := newLimit(c)
		if err != nil {
			return nil, fmt.Errorf("budget %s: %w", c.Name, err)
		}
		began, ends := l.period(now)
		f := Figures{Name: l.name, Began: began.Format(time.DateOnly)}
		i, found := at[[2]string{f.Name, f.Began}]
		if !found {
			i, list = len(list), append(list, f)
			at[[2]string{f.Name, f.Began}] = i
		}
		shown := &list[i]
		shown.Ends, shown.Soft, shown.Amount, shown.Left = ends.UTC(), l.soft, l.amount, l.amount-shown.Spent-shown.Held
	}
	slices.SortFunc(list, func(a, b Figures) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Began, b.Began))
	})
	return list, nil
}

// Reconcile gives back what processes hold that have gone: whose leases ended before a
// time. What they have spent and not written to the store is then not counted. It returns
// the number of leases.
func Reconcile(ctx context.Context, db *database.DB, before time.Time) (int, error) {
	return giveBack(ctx, db, "", before, "%")
}
