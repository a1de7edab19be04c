package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/journal"
	"github.com/carrot-router/carrot/record"
)

// Store is a database of attempts. Its methods are safe for concurrent use.
type Store struct {
	db    *database.DB
	zip   *zstd.Encoder
	unzip *zstd.Decoder

	writing       sync.Mutex
	lines, zipped []byte // reused
	inserts       [len(insertRows)]*sql.Stmt
}

// OpenStore opens a store that exists. A DSN is the path of a file of SQLite, or the
// address of a database of PostgreSQL.
func OpenStore(ctx context.Context, dsn string) (*Store, error) {
	db, err := database.Open(ctx, dsn)
	if err != nil {
		return nil, err
	}
	return NewStore(db)
}

// MakeStore opens a store, or makes one.
func MakeStore(ctx context.Context, dsn string) (*Store, error) {
	db, err := database.Make(ctx, dsn)
	if err != nil {
		return nil, err
	}
	return NewStore(db)
}

// NewStore returns the store of a database, which is closed with it.
func NewStore(db *database.DB) (s *Store, err error) {
	s = &Store{db: db}
	if s.zip, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if s.unzip, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// DB returns the database of the store.
func (s *Store) DB() *database.DB { return s.db }

// maxBlock is the longest block of decisions, or content, in bytes.
const maxBlock = 1 << 30

// Close closes the store.
func (s *Store) Close() error {
	s.unzip.Close()
	return s.db.Close()
}

// position returns up to where a journal is in the store, and which calls were in progress
// there.
func (s *Store) position(ctx context.Context, id string) (p journal.Position, begun []byte, err error) {
	return positionIn(ctx, s.db, id)
}

func positionIn(ctx context.Context, db database.Querier, id string) (p journal.Position, begun []byte, err error) {
	err = db.QueryRowContext(ctx, "SELECT segment, place, begun FROM journals WHERE id = ?", id).Scan(&p.Segment, &p.Offset, &begun)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return p, begun, err
}

// batch is a part of a journal that is written to the store, all or nothing.
type batch struct {
	journal  string // its id; empty: the entries are not from a journal
	from, to journal.Position
	entries  []*entry
	begun    []byte // the calls that are in progress at the end
	also     Also

	committed func() // what also has returned at the latest try
}

// write writes a batch. It is an error if the store is not where the batch begins.
func (s *Store) write(ctx context.Context, b *batch) (err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	err = s.db.Do(ctx, func(tx *database.Tx) error {
		if b.journal != "" {
			if err := advance(ctx, tx, b); err != nil {
				return err
			}
		}
		if err := s.writeEntries(ctx, tx, b.entries); err != nil {
			return err
		}
		return b.writeAlso(ctx, tx)
	})
	return b.end(err)
}

// writeAlso does what else happens in the transaction of a batch.
func (b *batch) writeAlso(ctx context.Context, tx *database.Tx) (err error) {
	if b.also == nil {
		return nil
	}
	attempts := make([]*record.Attempt, len(b.entries))
	for i, e := range b.entries {
		attempts[i] = &e.attempt
	}
	b.committed, err = b.also(ctx, tx, b.journal, attempts)
	return err
}

// end says that the batch is written, unless err says that it is not. If an earlier try
// has written it, without being told so, it is that try that has committed.
func (b *batch) end(err error) error {
	if errors.Is(err, errWritten) {
		err = nil
	}
	if err == nil && b.committed != nil {
		b.committed()
	}
	return err
}

// writeEntries writes attempts and adds them to the sums.
func (s *Store) writeEntries(ctx context.Context, tx *database.Tx, entries []*entry) error {
	if err := s.writeAttempts(ctx, tx, entries); err != nil {
		return err
	}
	if err := writeDays(ctx, tx, entries); err != nil {
		return err
	}
	return writeForecasts(ctx, tx, entries)
}

// insertRows is how many attempts are inserted with one statement: as many as possible.
var insertRows = [...]int{32, 8, 1}

// prepare prepares the statements that insert attempts.
func (s *Store) prepare(ctx context.Context) (err error) {
	for i, rows := range insertRows {
		if s.inserts[i] != nil {
			continue
		}
		if s.inserts[i], err = s.db.PrepareContext(ctx, insertAttempts(rows)); err != nil {
			return err
		}
	}
	return nil
}

// insertAttempts returns the statement that inserts a number of attempts.
func insertAttempts(rows int) string {
	row := "(?" + strings.Repeat(", ?", strings.Count(columnNames, ",")) + ")"
	return "INSERT INTO attempts (" + columnNames + ") VALUES " + row + strings.Repeat(", "+row, rows-1)
}

// writeAttempts writes attempts with their decisions and contents.
func (s *Store) writeAttempts(ctx context.Context, tx *database.Tx, entries []*entry) error {
	block, err := s.writeDecisions(ctx, tx, entries)
	if err != nil {
		return err
	}
	place := int64(0)
	next := func(v []any, e *entry) ([]any, error) {
		if v, err = values(v, &e.attempt); err != nil {
			return nil, err
		}
		if v = append(v, nil); len(e.rest) > 0 {
			v[len(v)-1] = string(e.rest)
		}
		if len(e.decision) == 0 {
			return append(v, nil, nil), nil
		}
		place++
		return append(v, block, place-1), nil
	}
	var v []any
	for len(entries) > 0 {
		n := 0 // attempts without content are inserted together
		for n < min(len(entries), insertRows[0]) && len(entries[n].content) == 0 {
			n++
		}
		size := 0
		for insertRows[size] > max(n, 1) {
			size++
		}
		rows := entries[:insertRows[size]]
		v = v[:0]
		for _, e := range rows {
			if v, err = next(v, e); err != nil {
				return err
			}
		}
		if n == 0 {
			err = s.writeContent(ctx, tx, entries[0], v)
		} else {
			_, err = tx.Statement(ctx, s.inserts[size]).ExecContext(ctx, v...)
		}
		if err != nil {
			return err
		}
		entries = entries[len(rows):]
	}
	return nil
}

// writeContent writes an attempt with its content.
func (s *Store) writeContent(ctx context.Context, tx *database.Tx, e *entry, values []any) error {
	var row int64
	if err := tx.QueryRowContext(ctx, insertAttempts(1)+" RETURNING id", values...).Scan(&row); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO contents (attempt, data) VALUES (?, ?)", row, s.zip.EncodeAll(e.content, nil))
	return err
}

// errMoved says that somebody else has written entries of the journal.
var errMoved = errors.New("the store does not stand where this journal does: its folder was copied, or the store replaced")

// errWritten says that the entries are in the store: an earlier try has written them, and
// the connection was cut before the database could say so.
var errWritten = errors.New("the entries are written already")

// advance moves the position of a journal.
func advance(ctx context.Context, tx *database.Tx, b *batch) error {
	was, _, err := positionIn(ctx, tx, b.journal)
	if err != nil {
		return err
	}
	switch was {
	case b.from:
	case b.to:
		return errWritten
	default:
		return errMoved
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO journals (id, segment, place, begun) VALUES (?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET segment = excluded.segment, place = excluded.place, begun = excluded.begun`,
		b.journal, b.to.Segment, b.to.Offset, b.begun)
	return err
}

// writeDecisions writes the decisions of entries as one block, and returns its id.
func (s *Store) writeDecisions(ctx context.Context, tx *database.Tx, entries []*entry) (int64, error) {
	lines, rows, latest := s.lines[:0], 0, int64(0)
	for _, e := range entries {
		if len(e.decision) > 0 {
			lines = append(append(lines, e.decision...), '\n')
			latest = max(latest, e.attempt.Time.UnixNano())
			rows++
		}
	}
	if rows == 0 {
		return 0, nil
	}
	s.lines, s.zipped = lines, s.zip.EncodeAll(lines, s.zipped[:0])
	var id int64
	err := tx.QueryRowContext(ctx, "INSERT INTO decisions (time, rows, data) VALUES (?, ?, ?) RETURNING id", latest, rows, s.zipped).Scan(&id)
	return id, err
}

// writeDays adds attempts to the sums of their days.
func writeDays(ctx context.Context, tx *database.Tx, entries []*entry) error {
	days := map[dayKey]*daySums{}
	for _, e := range entries {
		key := dayOf(&e.attempt)
		if days[key] == nil {
			days[key] = &daySums{}
		}
		days[key].add(&e.attempt)
	}
	return addDays(ctx, tx, days)
}

// addDays adds sums to those of days.
func addDays(ctx context.Context, tx *database.Tx, days map[dayKey]*daySums) error {
	// In one order, so that processes that write at the same time wait for each other and
	// do not lock each other out.
	for _, key := range slices.SortedFunc(maps.Keys(days), dayKey.compare) {
		if err := days[key].write(ctx, tx, key); err != nil {
			return err
		}
	}
	return nil
}

// dayKey is what daily sums are kept by.
type dayKey struct{ day, client, policy, provider, model, outcome string }

// dayOf returns the key of an attempt. Its policy is without an objective that a client has
// added, so that clients cannot make as many sums as requests.
func dayOf(a *record.Attempt) dayKey {
	policy, _, _ := strings.Cut(a.Policy, ":")
	return dayKey{a.Time.UTC().Format(time.DateOnly), bounded(a.Client), bounded(policy), bounded(a.Provider), bounded(a.Candidate), bounded(string(a.Outcome))}
}

// daySums are sums of attempts.
type daySums struct {
	attempts, requests, unknown             int64
	cost                                    Amount
	input, cached, written, output, thought int64
}

// maxTokens is the most tokens of one attempt that are added to a sum, so that a count that
// cannot be true does not make the sum overflow.
const maxTokens = 1 << 40

func (d *daySums) add(a *record.Attempt) {
	tokens := func(n int) int64 { return min(max(int64(n), 0), maxTokens) }
	d.attempts++
	if a.Number == 1 {
		d.requests++
	}
	if a.CostUnknown {
		d.unknown++
	}
	d.cost.Add(a.Cost)
	u := &a.Usage
	d.input += tokens(u.Prompt() - u.CachedInput - u.Written())
	d.cached += tokens(u.CachedInput)
	d.written += tokens(u.Written())
	d.output += tokens(u.Answer() - u.Reasoning)
	d.thought += tokens(u.Reasoning)
}

func (k dayKey) compare(l dayKey) int {
	return cmp.Or(strings.Compare(k.day, l.day), strings.Compare(k.client, l.client), strings.Compare(k.policy, l.policy),
		strings.Compare(k.provider, l.provider), strings.Compare(k.model, l.model), strings.Compare(k.outcome, l.outcome))
}

// dayColumns are the columns of the table daily.
const dayColumns = "day, client, policy, provider, model, outcome, attempts, requests, unknown, cost_micro, cost_rest, input, cached, written, output, reasoning"

// addDay adds to the sums of a day.
var addDay = func() string {
	add := func(name string) string { return name + " = daily." + name + " + excluded." + name }
	return "INSERT INTO daily (" + dayColumns + ") VALUES (?" + strings.Repeat(", ?", strings.Count(dayColumns, ",")) + `)
		ON CONFLICT (day, client, policy, provider, model, outcome) DO UPDATE SET
		cost_micro = daily.cost_micro + excluded.cost_micro + (daily.cost_rest + excluded.cost_rest) / 1000000,
		cost_rest = (daily.cost_rest + excluded.cost_rest) % 1000000, ` +
		strings.Join([]string{add("attempts"), add("requests"), add("unknown"), add("input"), add("cached"), add("written"), add("output"), add("reasoning")}, ", ")
}()

func (d *daySums) write(ctx context.Context, tx *database.Tx, k dayKey) error {
	_, err := tx.ExecContext(ctx, addDay, k.day, k.client, k.policy, k.provider, k.model, k.outcome,
		d.attempts, d.requests, d.unknown, d.cost.micro, d.cost.rest, d.input, d.cached, d.written, d.output, d.thought)
	return err
}
