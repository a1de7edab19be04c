package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/record"
)

// Range is which attempts are asked for: those from From, before To. A zero time does not
// limit them. If there are names of clients, models or policies, only theirs.
type Range struct {
	From, To                  time.Time
	Clients, Models, Policies []string
}

// filter returns conditions for the names, and their arguments. suffixed says that names of
// policies may be followed by an objective.
func (r Range) filter(suffixed bool) (conditions []string, args []any) {
	for _, f := range []struct {
		column string
		names  []string
	}{{"client", r.Clients}, {"model", r.Models}, {"policy", r.Policies}} {
		var either []string
		for _, name := range f.names {
			if suffixed && f.column == "policy" {
				either = append(either, "policy = ? OR substr(policy, 1, ?) = ?")
				args = append(args, name, utf8.RuneCountInString(name)+1, name+":")
				continue
			}
			either = append(either, f.column+" = ?")
			args = append(args, name)
		}
		if len(either) > 0 {
			conditions = append(conditions, "("+strings.Join(either, " OR ")+")")
		}
	}
	return conditions, args
}

// days returns the condition for rows of days, of which only the dates count, and its
// arguments.
func (r Range) days() (where string, args []any) {
	conditions, args := r.filter(false)
	if !r.From.IsZero() {
		conditions, args = append(conditions, "day >= ?"), append(args, r.From.UTC().Format(time.DateOnly))
	}
	if !r.To.IsZero() {
		conditions, args = append(conditions, "day < ?"), append(args, r.To.UTC().Format(time.DateOnly))
	}
	return strings.Join(append(conditions, "1 = 1"), " AND "), args
}

// attempts returns the condition for rows of attempts, and its arguments.
func (r Range) attempts() (where string, args []any) {
	conditions, args := r.filter(true)
	from, to := r.nanoseconds()
	return strings.Join(append(conditions, "time >= ? AND time < ?"), " AND "), append(args, from, to)
}

// nanoseconds returns the range in nanoseconds since 1970.
func (r Range) nanoseconds() (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	if !r.From.IsZero() {
		from = r.From.UnixNano()
	}
	if !r.To.IsZero() {
		to = r.To.UnixNano()
	}
	return from, to
}

// By is what a summary is divided by.
type By string

// The ways to divide a summary.
const (
	ByDay      By = "day" // of UTC
	ByModel    By = "model"
	ByProvider By = "provider"
	ByPolicy   By = "policy"
	ByClient   By = "client"
)

// labelPrefix, with the name of a label behind it, divides a summary by its values.
const labelPrefix = "label:"

// Check returns an error if nothing can be divided like that.
func (by By) Check() error {
	if name, ok := strings.CutPrefix(string(by), labelPrefix); ok && name != "" {
		return nil
	}
	if !slices.Contains([]By{ByDay, ByModel, ByProvider, ByPolicy, ByClient}, by) {
		return fmt.Errorf("a summary by %q: want day, model, provider, policy, client or label:NAME", string(by))
	}
	return nil
}

// Group sums up attempts.
type Group struct {
	Name     string `json:"name"`     // of the day, model and so on; empty: those without one
	Requests int64  `json:"requests"` // whose first attempt is among them
	Attempts int64  `json:"attempts"` // calls of providers
	Served   int64  `json:"served"`   // attempts that answered a request
	Cost     Amount `json:"cost_usd"` // of the attempts whose cost is known
	Unknown  int64  `json:"unknown"`  // attempts whose cost is unknown
	// Tokens by kind, of which none is counted twice.
	Input     int64 `json:"input_tokens"`
	Cached    int64 `json:"cached_input_tokens"`
	Written   int64 `json:"cache_write_tokens"`
	Output    int64 `json:"output_tokens"`
	Reasoning int64 `json:"reasoning_tokens"`
}

func (g *Group) plus(h *Group) {
	g.Requests += h.Requests
	g.Attempts += h.Attempts
	g.Served += h.Served
	g.Cost = g.Cost.Plus(h.Cost)
	g.Unknown += h.Unknown
	g.Input += h.Input
	g.Cached += h.Cached
	g.Written += h.Written
	g.Output += h.Output
	g.Reasoning += h.Reasoning
}

// minus returns what h, which is a part of g, leaves of it.
func (g Group) minus(h *Group) Group {
	g.Requests -= h.Requests
	g.Attempts -= h.Attempts
	g.Served -= h.Served
	g.Cost = g.Cost.Minus(h.Cost)
	g.Unknown -= h.Unknown
	g.Input -= h.Input
	g.Cached -= h.Cached
	g.Written -= h.Written
	g.Output -= h.Output
	g.Reasoning -= h.Reasoning
	return g
}

// Summary returns the sums of the days in a range, of which only the dates count, by what
// they are divided by, and in total. Groups are ordered by name if they are days, and
// otherwise by cost, the highest first.
func (s *Store) Summary(ctx context.Context, r Range, by By) (groups []Group, total Group, err error) {
	if err := by.Check(); err != nil {
		return nil, total, err
	}
	if name, ok := strings.CutPrefix(string(by), labelPrefix); ok {
		return s.labelSummary(ctx, r, name)
	}
	where, args := r.days()
	args = append([]any{string(record.Served)}, args...)
	order := "SUM(cost_micro) DESC, SUM(cost_rest) DESC, 1"
	if by == ByDay {
		order = "1"
	}
	return s.sums(ctx, "SELECT "+string(by)+", "+sumColumns+" FROM daily WHERE "+where+" GROUP BY 1 ORDER BY "+order, args...)
}

// Request returns the attempts of a request, in order, with their decisions.
func (s *Store) Request(ctx context.Context, id string) ([]*record.Attempt, error) {
	rows, err := s.db.QueryContext(ctx, selectAttempts+"WHERE request = ? ORDER BY number, id", bounded(id))
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", id, err)
	}
	list, _, err := s.page(ctx, rows)
	return list, err
}

// maxBlocks is how many blocks of decisions are held while a page is read.
const maxBlocks = 8

// pageRows is how many attempts are read at a time.
const pageRows = 512

// Attempts returns the attempts of a range in the order in which they were recorded, with
// their decisions and contents as far as they are stored. An error is the last element.
func (s *Store) Attempts(ctx context.Context, r Range) iter.Seq2[*record.Attempt, error] {
	return func(yield func(*record.Attempt, error) bool) {
		where, args := r.attempts()
		for last := int64(0); ; {
			rows, err := s.db.QueryContext(ctx, selectAttempts+"WHERE "+where+" AND id > ? ORDER BY id LIMIT ?", append(slices.Clone(args), last, pageRows)...)
			if err != nil {
				yield(nil, fmt.Errorf("read attempts: %w", err))
				return
			}
			var page []*record.Attempt
			if page, last, err = s.page(ctx, rows); err != nil {
				yield(nil, fmt.Errorf("read attempts: %w", err))
				return
			}
			for _, a := range page {
				if !yield(a, nil) {
					return
				}
			}
			if len(page) < pageRows {
				return
			}
		}
	}
}

// page reads the rows of a query that begins with selectAttempts, and returns the attempts
// with their decisions and contents, and the id of the last one.
func (s *Store) page(ctx context.Context, rows *sql.Rows) (list []*record.Attempt, last int64, err error) {
	defer rows.Close()
	var page []*stored
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, 0, err
		}
		page = append(page, one)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, 0, err
	}
	blocks := map[int64][][]byte{} // a few, between which the rows may change
	for _, one := range page {
		lines, known := blocks[one.block.Int64]
		if one.block.Valid && !known {
			if lines, err = s.block(ctx, one.block.Int64); err != nil {
				return nil, 0, err
			}
			if len(blocks) == maxBlocks {
				clear(blocks)
			}
			blocks[one.block.Int64] = lines
		}
		if one.block.Valid && int(one.place.Int64) < len(lines) {
			one.attempt.Decision = &carrot.Decision{}
			if err := json.Unmarshal(lines[one.place.Int64], one.attempt.Decision); err != nil {
				return nil, 0, fmt.Errorf("decision of attempt %d: %w", one.id, err)
			}
		}
		if err := s.readContent(one); err != nil {
			return nil, 0, err
		}
		list, last = append(list, &one.attempt), one.id
	}
	return list, last, nil
}

// block returns the lines of a block of decisions, none if it is pruned.
func (s *Store) block(ctx context.Context, id int64) ([][]byte, error) {
	var data []byte
	err := s.db.QueryRowContext(ctx, "SELECT data FROM decisions WHERE id = ?", id).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return [][]byte{}, nil
	}
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return [][]byte{}, nil
	}
	text, err := s.unzip.DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("block %d of decisions: %w", id, err)
	}
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")), nil
}

// readContent sets what was said, if it is stored.
func (s *Store) readContent(one *stored) error {
	if one.content == nil {
		return nil
	}
	text, err := s.unzip.DecodeAll(one.content, nil)
	var c content
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return fmt.Errorf("content of attempt %d: %w", one.id, err)
	}
	one.attempt.Prompt, one.attempt.Answer = c.Prompt, c.Answer
	return nil
}

// Import adds attempts, such as those of a file of records. Those that are in the store
// already, by request and number, are left out. It returns how many were added.
func (s *Store) Import(ctx context.Context, attempts iter.Seq2[*record.Attempt, error]) (added, known int, err error) {
	var list []*entry
	var scratch []byte
	flush := func() error {
		err := s.write(ctx, &batch{entries: list})
		if err == nil {
			added += len(list)
		}
		list = list[:0]
		return err
	}
	seen := map[string]bool{}
	for a, err := range attempts {
		if err != nil {
			return added, known, err
		}
		key := fmt.Sprintf("%s/%d", a.RequestID, a.Number)
		var there int
		if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM attempts WHERE request = ? AND number = ?", bounded(a.RequestID), a.Number).Scan(&there); err != nil {
			return added, known, err
		}
		if there > 0 || seen[key] {
			known++
			continue
		}
		seen[key] = true
		e, err := readEntry(appendEntry(nil, a, &scratch))
		if err != nil {
			return added, known, err
		}
		if list = append(list, e); len(list) == pageRows {
			if err := flush(); err != nil {
				return added, known, err
			}
			clear(seen)
		}
	}
	return added, known, flush()
}

// Prune deletes what is older than a time: decisions, contents and the notes of feedback, and
// with attempts also the attempts and the feedback on them. Daily sums stay. It returns how many rows it deleted.
func (s *Store) Prune(ctx context.Context, before time.Time, attempts bool) (deleted int64, err error) {
	at := before.UnixNano()
	statements := []string{
		// The latest block stays without its content, so that its number is not given to
		// another one, to which attempts would then refer.
		"DELETE FROM decisions WHERE time < ? AND id < (SELECT MAX(id) FROM decisions)",
		"UPDATE decisions SET rows = 0, data = ? WHERE time < ? AND rows > 0",
		"DELETE FROM contents WHERE attempt IN (SELECT c.attempt FROM contents AS c JOIN attempts AS a ON a.id = c.attempt WHERE a.time < ?)",
	}
	statements = append(statements, "UPDATE feedback SET note = '' WHERE time < ? AND note <> ''")
	if attempts {
		statements = append(statements, "DELETE FROM attempts WHERE time < ?",
			"DELETE FROM feedback WHERE time < ? AND NOT EXISTS (SELECT 1 FROM attempts AS a WHERE a.request = feedback.request)")
	}
	err = s.db.Do(ctx, func(tx *database.Tx) error {
		for _, statement := range statements {
			args := []any{at}
			if strings.HasPrefix(statement, "UPDATE decisions") {
				args = []any{[]byte{}, at}
			}
			result, err := tx.ExecContext(ctx, statement, args...)
			if err != nil {
				return fmt.Errorf("prune: %w", err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return err
			}
			deleted += n
		}
		return nil
	})
	return deleted, err
}

// Check looks for damage: in the file, between attempts and daily sums of the days on which
// attempts are stored, and in decisions that cannot be read. It returns what it found.
func (s *Store) Check(ctx context.Context) (faults []string, err error) {
	if faults, err = s.db.Integrity(ctx); err != nil || len(faults) > 0 {
		return faults, err
	}
	var wrong int
	if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM feedback WHERE score < 0 OR score > 1").Scan(&wrong); err != nil {
		return nil, err
	}
	if wrong > 0 {
		faults = append(faults, fmt.Sprintf("feedback: %d scores are not between 0 and 1", wrong))
	}
	sums := days{}
	for a, err := range s.Attempts(ctx, Range{}) {
		if err != nil {
			return append(faults, err.Error()), nil
		}
		sums.add(a)
	}
	first := "" // earlier days are pruned
	for key := range sums {
		if first == "" || key.day < first {
			first = key.day
		}
	}
	if first == "" {
		return faults, nil
	}
	// Of the first day, some attempts may be pruned.
	for _, query := range []string{"SELECT '', '', " + dayColumns + " FROM daily WHERE day > ?", "SELECT label, value, " + dayColumns + " FROM labelled WHERE day > ?"} {
		wrong, err := s.compare(ctx, sums, query, first)
		if err != nil {
			return nil, err
		}
		faults = append(faults, wrong...)
	}
	for k := range sums {
		if k.day > first {
			faults = append(faults, fmt.Sprintf("the sums of %s are missing", k))
		}
	}
	slices.Sort(faults)
	return faults, nil
}

// compare compares stored sums with those of the attempts, and removes them from the latter.
func (s *Store) compare(ctx context.Context, sums days, query string, after string) (faults []string, err error) {
	rows, err := s.db.QueryContext(ctx, query, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var k dayKey
		var d daySums
		if err := rows.Scan(&k.label, &k.value, &k.day, &k.client, &k.policy, &k.provider, &k.model, &k.outcome, &d.attempts, &d.requests, &d.unknown, &d.cost.micro, &d.cost.rest,
			&d.input, &d.cached, &d.written, &d.output, &d.thought); err != nil {
			return nil, err
		}
		if have := sums[k]; (have == nil || *have != d) && d != (daySums{}) {
			faults = append(faults, fmt.Sprintf("the sums of %s do not follow from its attempts", k))
		}
		delete(sums, k)
	}
	return faults, rows.Err()
}
