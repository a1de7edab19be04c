package ledger

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/record"
)

// rest is what few attempts have. It is one column.
type rest struct {
	Labels            map[string]string    `json:"labels,omitempty"`
	Shadow            *record.Shadow       `json:"shadow,omitempty"`
	UpstreamRequestID string               `json:"upstream_request_id,omitempty"`
	RateLimits        map[string]string    `json:"rate_limits,omitempty"`
	Dropped           []string             `json:"dropped,omitempty"`
	Narrowed          []string             `json:"narrowed,omitempty"`
	Details           *carrot.UsageDetails `json:"details,omitempty"`
	CacheMiss         string               `json:"cache_miss,omitempty"`
}

// amount is a column with a cost, NULL if it is unknown.
type amount struct {
	cost    *carrot.USD
	unknown *bool
}

// Scan implements sql.Scanner.
func (c amount) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*c.cost, *c.unknown = 0, true
	case int64:
		*c.cost, *c.unknown = carrot.USD(v), false
	default:
		return fmt.Errorf("an amount is a %T", v)
	}
	return nil
}

// nanoseconds is a column with a time.
type nanoseconds struct{ t *time.Time }

// Scan implements sql.Scanner.
func (c nanoseconds) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is a %T", v)
	}
	*c.t = time.Unix(0, n).UTC()
	return nil
}

// list is a column with names, separated by commas.
type list struct{ names *[]string }

// Scan implements sql.Scanner.
func (c list) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("a list is a %T", v)
	}
	c.set(text)
	return nil
}

func (c list) set(text string) {
	if *c.names = nil; text != "" {
		*c.names = strings.Split(text, ",")
	}
}

func (c list) String() string { return strings.Join(*c.names, ",") }

// column is a column of the table attempts.
type column struct {
	name string
	at   func(a *record.Attempt) any // where Scan stores it
}

// columns are the columns of an attempt, without id, rest, block and place.
var columns = []column{
	{"time", func(a *record.Attempt) any { return nanoseconds{&a.Time} }},
	{"request", func(a *record.Attempt) any { return &a.RequestID }},
	{"number", func(a *record.Attempt) any { return &a.Number }},
	{"client", func(a *record.Attempt) any { return &a.Client }},
	{"session", func(a *record.Attempt) any { return &a.Session }},
	{"api", func(a *record.Attempt) any { return &a.API }},
	{"stream", func(a *record.Attempt) any { return &a.Stream }},
	{"policy", func(a *record.Attempt) any { return &a.Policy }},
	{"first", func(a *record.Attempt) any { return &a.First }},
	{"reason", func(a *record.Attempt) any { return &a.Reason }},
	{"propensity", func(a *record.Attempt) any { return &a.Propensity }},
	{"decided", func(a *record.Attempt) any { return &a.DecidedIn }},
	{"provider", func(a *record.Attempt) any { return &a.Provider }},
	{"model", func(a *record.Attempt) any { return &a.Candidate }},
	{"upstream_model", func(a *record.Attempt) any { return &a.UpstreamModel }},
	{"answer", func(a *record.Attempt) any { return &a.AnswerID }},
	{"outcome", func(a *record.Attempt) any { return &a.Outcome }},
	{"status", func(a *record.Attempt) any { return &a.Status }},
	{"error_code", func(a *record.Attempt) any { return &a.ErrorCode }},
	{"error", func(a *record.Attempt) any { return &a.Error }},
	{"input", func(a *record.Attempt) any { return &a.Usage.Input }},
	{"cached", func(a *record.Attempt) any { return &a.Usage.CachedInput }},
	{"written", func(a *record.Attempt) any { return &a.Usage.CacheWrite }},
	{"output", func(a *record.Attempt) any { return &a.Usage.Output }},
	{"reasoning", func(a *record.Attempt) any { return &a.Usage.Reasoning }},
	{"estimated", func(a *record.Attempt) any { return &a.Estimated }},
	{"cost", func(a *record.Attempt) any { return amount{&a.Cost, &a.CostUnknown} }},
	{"price_date", func(a *record.Attempt) any { return &a.PriceDate }},
	{"price_above", func(a *record.Attempt) any { return &a.PriceAbove }},
	{"expected", func(a *record.Attempt) any { return amount{&a.Expected, &a.ExpectedUnknown} }},
	{"first_token", func(a *record.Attempt) any { return &a.FirstToken }},
	{"upstream", func(a *record.Attempt) any { return &a.Upstream }},
	{"overhead", func(a *record.Attempt) any { return &a.Overhead }},
	{"budgets", func(a *record.Attempt) any { return list{&a.Budgets} }},
	{"held", func(a *record.Attempt) any { return &a.Held }},
	{"end_user", func(a *record.Attempt) any { return &a.User }}, // its hash
	{"standby", func(a *record.Attempt) any { return &a.Default }},
}

// columnsOfVersion is how many of the columns an entry of the journal has, by its version.
var columnsOfVersion = map[byte]int{1: 33, 2: 35, 3: 37}

// columnNames are the names of all columns but id.
var columnNames = func() string {
	var names []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	return strings.Join(append(names, "rest", "block", "place"), ", ")
}()

// values appends the values of an attempt's columns, without rest, block and place.
func values(v []any, a *record.Attempt) ([]any, error) {
	for i := range columns {
		switch at := columns[i].at(a).(type) {
		case nanoseconds:
			v = append(v, at.t.UnixNano())
		case amount:
			if *at.unknown {
				v = append(v, nil)
			} else {
				v = append(v, int64(*at.cost))
			}
		case *string:
			if columns[i].name == "error" { // which is in no index
				v = append(v, database.Text(*at))
			} else {
				v = append(v, bounded(*at))
			}
		case *int:
			v = append(v, int64(*at))
		case *bool:
			n := int64(0)
			if *at {
				n = 1
			}
			v = append(v, n)
		case *float64:
			v = append(v, finite(*at))
		case *time.Duration:
			v = append(v, int64(*at))
		case *carrot.USD:
			v = append(v, int64(*at))
		case list:
			v = append(v, database.Text(at.String()))
		case *record.Outcome:
			v = append(v, bounded(string(*at)))
		case *record.Reason:
			v = append(v, bounded(string(*at)))
		default:
			return nil, fmt.Errorf("column %s: a %T", columns[i].name, at)
		}
	}
	return v, nil
}

// finite returns a number that databases store: SQLite stores NaN as NULL.
func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return x
}

// restOf returns what few attempts have as JSON, or nil.
func restOf(a *record.Attempt) []byte {
	if a.Labels == nil && a.Shadow == nil && a.UpstreamRequestID == "" && a.RateLimits == nil && a.Dropped == nil && a.Narrowed == nil && a.Usage.Details == nil && a.CacheMiss == "" {
		return nil
	}
	text, err := json.Marshal(rest{a.Labels, a.Shadow, a.UpstreamRequestID, a.RateLimits, a.Dropped, a.Narrowed, a.Usage.Details, a.CacheMiss})
	if err != nil { // impossible
		return nil
	}
	return bytes.ReplaceAll(text, []byte(`\u0000`), []byte(`\ufffd`)) // which JSON in PostgreSQL cannot have
}

// stored is a row of the table attempts, with the content that belongs to it.
type stored struct {
	id           int64
	attempt      record.Attempt
	block, place sql.NullInt64
	content      []byte // compressed; nil: none is stored
}

// selectAttempts begins a query whose rows scan reads.
var selectAttempts = "SELECT id, " + columnNames + ", data FROM attempts LEFT JOIN contents ON attempt = id "

// scan reads a row of a query that begins with selectAttempts.
func scan(rows *sql.Rows) (*stored, error) {
	s := &stored{}
	var more sql.NullString
	at := []any{&s.id}
	for i := range columns {
		at = append(at, columns[i].at(&s.attempt))
	}
	if err := rows.Scan(append(at, &more, &s.block, &s.place, &s.content)...); err != nil {
		return nil, err
	}
	if more.Valid {
		if err := setRest(&s.attempt, []byte(more.String)); err != nil {
			return nil, fmt.Errorf("attempt %d: column rest: %w", s.id, err)
		}
	}
	return s, nil
}

// setRest sets what restOf has returned.
func setRest(a *record.Attempt, text []byte) error {
	var r rest
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	a.Labels, a.Shadow, a.UpstreamRequestID, a.RateLimits, a.Dropped, a.Narrowed, a.Usage.Details, a.CacheMiss =
		r.Labels, r.Shadow, r.UpstreamRequestID, r.RateLimits, r.Dropped, r.Narrowed, r.Details, r.CacheMiss
	return nil
}
