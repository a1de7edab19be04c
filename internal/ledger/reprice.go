package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/record"
)

// Repriced says what Reprice has done.
type Repriced struct {
	Priced int    // attempts that have a cost now
	Cost   Amount // of these
	Left   []Left // the others, most attempts first
}

// Left is a number of attempts whose cost stays unknown for the same reason.
type Left struct {
	Why      string `json:"why"`
	Attempts int    `json:"attempts"`
}

// Reprice gives the attempts of a range whose cost is unknown a cost, with the dated price
// that a book has for the model which answered, or else for the candidate. The sums of days
// follow in the same transaction, and so does what also does, which may be nil. If dry,
// nothing is changed. No cost that is known changes, so that a second call does nothing that
// the first has done.
func (s *Store) Reprice(ctx context.Context, r Range, book func(model string) (carrot.Price, error), dry bool, also func(context.Context, *database.Tx, []*record.Attempt) error) (done Repriced, err error) {
	where, args := r.attempts()
	left := map[string]int{}
	for last := int64(0); ; {
		page, err := s.unpriced(ctx, last, where, args)
		if err != nil {
			return done, fmt.Errorf("reprice: %w", err)
		}
		if len(page) == 0 {
			break
		}
		last = page[len(page)-1].id
		page = slices.DeleteFunc(page, func(one *stored) bool {
			err := price(&one.attempt, book)
			if err != nil {
				left[err.Error()]++
			}
			return err != nil
		})
		n, cost := len(page), Amount{}
		if dry {
			for _, one := range page {
				cost.Add(one.attempt.Cost)
			}
		} else if n, cost, err = s.setCosts(ctx, page, also); err != nil {
			return done, fmt.Errorf("reprice: %w", err)
		}
		done.Priced += n
		done.Cost = done.Cost.Plus(cost)
	}
	for why, n := range left {
		done.Left = append(done.Left, Left{why, n})
	}
	slices.SortFunc(done.Left, func(a, b Left) int { return cmp.Or(b.Attempts-a.Attempts, strings.Compare(a.Why, b.Why)) })
	return done, nil
}

// unpriced returns attempts of unknown cost after the one with id last.
func (s *Store) unpriced(ctx context.Context, last int64, where string, args []any) (page []*stored, err error) {
	rows, err := s.db.QueryContext(ctx, selectAttempts+"WHERE cost IS NULL AND "+where+" AND id > ? ORDER BY id LIMIT ?", append(slices.Clone(args), last, pageRows)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		page = append(page, one)
	}
	return page, rows.Err()
}

// price sets the cost of an attempt, and which price it follows from. The error says why
// the cost stays unknown.
func price(a *record.Attempt, book func(model string) (carrot.Price, error)) error {
	if a.Outcome == record.Lapsed {
		return errors.New("the gateway ended during the call, so that its tokens are unknown")
	}
	model := a.UpstreamModel
	p, err := book(model)
	if err != nil && a.Candidate != model {
		if other, e := book(a.Candidate); e == nil {
			p, model, err = other, a.Candidate, nil
		}
	}
	if err != nil {
		return err
	}
	if p.Date == "" {
		return fmt.Errorf("model %q: its price has no date", model)
	}
	cost, err := costOf(p, a.Usage, book)
	if err != nil {
		return fmt.Errorf("model %q: %w", model, err)
	}
	a.Cost, a.CostUnknown, a.PriceDate, a.PriceAbove = cost, false, p.Date, p.Threshold(a.Usage.Prompt())
	return nil
}

// costOf returns the cost of a usage, as a gateway bills it: what other models used within
// the call costs what it costs at their prices.
func costOf(p carrot.Price, u carrot.Usage, book func(model string) (carrot.Price, error)) (carrot.USD, error) {
	if u.Details == nil || len(u.Details.Also) == 0 {
		return p.Cost(u)
	}
	own := *u.Details
	also := own.Also
	own.Also = nil
	u.Details = &own
	sum, err := p.Cost(u)
	if err != nil {
		return 0, err
	}
	for model, used := range also {
		other, err := book(model)
		if err != nil {
			return 0, fmt.Errorf("it also used another one: %w", err)
		}
		cost, err := other.Cost(used)
		if err == nil && sum > math.MaxInt64-cost {
			err = carrot.ErrCostRange
		}
		if err != nil {
			return 0, fmt.Errorf("it also used model %q: %w", model, err)
		}
		sum += cost
	}
	return sum, nil
}

// setCosts stores the costs of attempts, unless they have got one meanwhile. It returns how
// many it stored, and their sum.
func (s *Store) setCosts(ctx context.Context, page []*stored, also func(context.Context, *database.Tx, []*record.Attempt) error) (n int, sum Amount, err error) {
	err = s.db.Do(ctx, func(tx *database.Tx) error {
		n, sum = 0, Amount{}
		sums := days{}
		var priced []*record.Attempt
		for _, one := range page {
			a := &one.attempt
			result, err := tx.ExecContext(ctx, "UPDATE attempts SET cost = ?, price_date = ?, price_above = ? WHERE id = ? AND cost IS NULL", int64(a.Cost), database.Text(a.PriceDate), a.PriceAbove, one.id)
			if err != nil {
				return err
			}
			changed, err := result.RowsAffected()
			if err != nil {
				return err
			}
			if changed == 0 {
				continue
			}
			n++
			priced = append(priced, a)
			sum.Add(a.Cost)
			for _, key := range keysOf(a) {
				d := sums.of(key)
				d.unknown--
				d.cost.Add(a.Cost)
			}
		}
		if err := sums.write(ctx, tx); err != nil || also == nil {
			return err
		}
		return also(ctx, tx, priced)
	})
	return n, sum, err
}
