package ledger

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/record"
)

// labelSums are sums of the attempts with one value of a label.
type labelSums struct {
	daySums
	served int64
}

// labelSummary returns the sums of stored attempts by a label. No sums of days are kept of
// labels, because clients may choose their values.
func (s *Store) labelSummary(ctx context.Context, r Range, name string) (groups []Group, total Group, err error) {
	where, args := r.attempts()
	rows, err := s.db.QueryContext(ctx, "SELECT rest, CASE WHEN outcome = ? THEN 1 ELSE 0 END, number, cost, input, cached, written, output, reasoning FROM attempts WHERE "+where,
		append([]any{string(record.Served)}, args...)...)
	if err != nil {
		return nil, total, fmt.Errorf("summary: %w", err)
	}
	defer rows.Close()
	var a record.Attempt
	u := &a.Usage
	var more sql.RawBytes
	var numbers [8]any // which are scanned without being converted
	at := []any{&more}
	for i := range numbers {
		at = append(at, &numbers[i])
	}
	sums, parts := map[string]*labelSums{}, newRestParts()
	for rows.Next() {
		if err := rows.Scan(at...); err != nil {
			return nil, total, fmt.Errorf("summary: %w", err)
		}
		var n [8]int64
		for i, v := range numbers {
			n[i], _ = v.(int64) // a cost may be NULL
		}
		a.Number, a.Cost, a.CostUnknown = int(n[1]), carrot.USD(n[2]), numbers[2] == nil
		u.Input, u.CachedInput, u.CacheWrite, u.Output, u.Reasoning = int(n[3]), int(n[4]), int(n[5]), int(n[6]), int(n[7])
		labels, details, err := parts.read(more)
		if err != nil {
			return nil, total, fmt.Errorf("summary: column rest: %w", err)
		}
		u.Details = details
		value := labels[name]
		if sums[value] == nil {
			sums[value] = &labelSums{}
		}
		sums[value].served += n[0]
		sums[value].add(&a)
	}
	if err := rows.Err(); err != nil {
		return nil, total, fmt.Errorf("summary: %w", err)
	}
	for value, d := range sums {
		g := Group{Name: value, Requests: d.requests, Attempts: d.attempts, Served: d.served, Cost: d.cost, Unknown: d.unknown,
			Input: d.input, Cached: d.cached, Written: d.written, Output: d.output, Reasoning: d.thought}
		groups = append(groups, g)
		total.plus(&g)
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Cost.micro, a.Cost.micro), cmp.Compare(b.Cost.rest, a.Cost.rest), strings.Compare(a.Name, b.Name))
	})
	return groups, total, nil
}

// restParts reads labels and details of usage from texts of the column rest. It remembers
// them, because attempts have few different ones.
type restParts struct {
	labels  map[string]map[string]string
	details map[string]*carrot.UsageDetails
}

func newRestParts() *restParts {
	return &restParts{map[string]map[string]string{}, map[string]*carrot.UsageDetails{}}
}

// How texts that restOf has written have these parts. A text has no quotation mark without
// a backslash, and no other member with this name is an object.
var (
	labelsBegin  = []byte(`{"labels":`)
	detailsBegin = []byte(`"details":{`)
)

const partsKept = 10_000

func (p *restParts) read(text []byte) (labels map[string]string, details *carrot.UsageDetails, err error) {
	if bytes.HasPrefix(text, labelsBegin) {
		part := text[len(labelsBegin):]
		part = part[:objectLength(part)]
		known := false
		if labels, known = p.labels[string(part)]; !known {
			if err := json.Unmarshal(part, &labels); err != nil {
				return nil, nil, err
			}
			if len(p.labels) == partsKept {
				clear(p.labels)
			}
			p.labels[string(part)] = labels
		}
	}
	if i := bytes.Index(text, detailsBegin); i >= 0 {
		part := text[i:]
		known := false
		if details, known = p.details[string(part)]; !known {
			var r rest
			if err := json.Unmarshal(append([]byte("{"), part...), &r); err != nil {
				return nil, nil, err
			}
			details = r.Details
			if len(p.details) == partsKept {
				clear(p.details)
			}
			p.details[string(part)] = details
		}
	}
	return labels, details, nil
}

// objectLength returns the length of the object of texts with which a text begins.
func objectLength(text []byte) int {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case '}':
			if !quoted {
				return i + 1
			}
		}
	}
	return len(text)
}
