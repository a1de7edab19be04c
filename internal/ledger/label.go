package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/record"
)

// labelSummary returns the sums of days by the values of a label. The group without a name
// are the attempts that do not have the label.
func (s *Store) labelSummary(ctx context.Context, r Range, name string) (groups []Group, total Group, err error) {
	where, args := r.days()
	groups, some, err := s.sums(ctx, "SELECT value, "+sumColumns+" FROM labelled WHERE label = ? AND "+where+" GROUP BY 1",
		append([]any{string(record.Served), boundedTo(name, maxLabel)}, args...)...)
	if err != nil {
		return nil, total, err
	}
	if _, total, err = s.Summary(ctx, r, ByDay); err != nil {
		return nil, total, err
	}
	if others := total.minus(&some); others.Attempts > 0 {
		groups = append(groups, others)
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Cost.micro, a.Cost.micro), cmp.Compare(b.Cost.rest, a.Cost.rest), strings.Compare(a.Name, b.Name))
	})
	return groups, total, nil
}

// sumColumns are the sums of a group, after its name. The first parameter is the outcome of
// attempts that answered a request.
const sumColumns = `SUM(requests), SUM(attempts), SUM(CASE WHEN outcome = ? THEN attempts ELSE 0 END),
	SUM(cost_micro), SUM(cost_rest), SUM(unknown), SUM(input), SUM(cached), SUM(written), SUM(output), SUM(reasoning)`

// sums reads the rows of a query for a name and sumColumns, and adds them up.
func (s *Store) sums(ctx context.Context, query string, args ...any) (groups []Group, total Group, err error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, total, fmt.Errorf("summary: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var g Group
		var micro, rest int64
		if err := rows.Scan(&g.Name, &g.Requests, &g.Attempts, &g.Served, &micro, &rest, &g.Unknown, &g.Input, &g.Cached, &g.Written, &g.Output, &g.Reasoning); err != nil {
			return nil, total, fmt.Errorf("summary: %w", err)
		}
		g.Cost = amountOf(micro, rest)
		groups = append(groups, g)
		total.plus(&g)
	}
	return groups, total, rows.Err()
}
