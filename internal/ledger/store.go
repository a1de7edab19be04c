package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/carrot-router/carrot/internal/journal"
	"github.com/carrot-router/carrot/record"
)

// Store is a database of attempts. Its methods are safe for concurrent use.
type Store struct {
	path  string
	db    *sql.DB
	zip   *zstd.Encoder
	unzip *zstd.Decoder

	writing       sync.Mutex
	lines, zipped []byte // reused
}

//go:embed migrations/*.sql
var migrations embed.FS

// schemaVersion is the number of the last migration.
const schemaVersion = 1

// ErrNoStore says that a store does not exist.
var ErrNoStore = errors.New("there is no store")

// OpenStore opens a store that exists. A DSN is the path of a file of SQLite.
func OpenStore(ctx context.Context, dsn string) (*Store, error) {
	if _, err := os.Stat(dsn); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open store %s: %w", dsn, ErrNoStore)
	}
	return MakeStore(ctx, dsn)
}

// MakeStore opens a store, or makes one.
func MakeStore(ctx context.Context, dsn string) (_ *Store, err error) {
	s := &Store{path: dsn}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open store %s: %w", dsn, err)
			if s.db != nil {
				s.db.Close()
			}
		}
	}()
	if strings.Contains(dsn, "://") {
		return nil, errors.New("want the path of a file")
	}
	path, err := filepath.Abs(dsn)
	if err != nil {
		return nil, err
	}
	// Nobody but the owner may read what was spent, and perhaps said.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	options := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(NORMAL)", "busy_timeout(5000)", "foreign_keys(1)", "wal_autocheckpoint(4000)"}, "_txlock": {"immediate"}}
	if s.db, err = sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: options.Encode()}).String()); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(4)
	if s.zip, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true)); err != nil {
		return nil, err
	}
	if s.unzip, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock)); err != nil {
		return nil, err
	}
	return s, s.migrate(ctx)
}

// maxBlock is the longest block of decisions, or content, in bytes.
const maxBlock = 1 << 30

// migrate brings the schema up to date. A schema of a newer release stays as it is; it says
// itself whether this one may use it.
func (s *Store) migrate(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.db, dir)
	if err != nil {
		return err
	}
	version, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if version <= schemaVersion {
		_, err := p.Up(ctx)
		return err
	}
	var needs int64
	if err := s.db.QueryRowContext(ctx, "SELECT version FROM compatible").Scan(&needs); err != nil {
		return err
	}
	if needs > schemaVersion {
		return fmt.Errorf("it was written by a newer release: its schema needs version %d, and this release knows %d; use the newer one", needs, schemaVersion)
	}
	return nil
}

// Close closes the store.
func (s *Store) Close() error {
	s.unzip.Close()
	return s.db.Close()
}

// position returns up to where a journal is in the store.
func (s *Store) position(ctx context.Context, id string) (journal.Position, error) {
	return positionIn(ctx, s.db, id)
}

func positionIn(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, id string) (p journal.Position, err error) {
	err = db.QueryRowContext(ctx, "SELECT segment, place FROM journals WHERE id = ?", id).Scan(&p.Segment, &p.Offset)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return p, err
}

// write adds the entries of a journal between two positions, all or none. It is an error
// if the store is not at the first position.
func (s *Store) write(ctx context.Context, id string, from, to journal.Position, entries []*entry) (err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tx.Rollback()
		}
	}()
	if id != "" {
		if err := advance(ctx, tx, id, from, to); err != nil {
			return err
		}
	}
	block, err := s.writeDecisions(ctx, tx, entries)
	if err != nil {
		return err
	}
	insert, err := tx.PrepareContext(ctx, "INSERT INTO attempts ("+columnNames+") VALUES (?"+strings.Repeat(", ?", strings.Count(columnNames, ","))+")")
	if err != nil {
		return err
	}
	defer insert.Close()
	days := map[dayKey]*daySums{}
	var v []any
	place := int64(0)
	for _, e := range entries {
		a := &e.attempt
		if v, err = values(v[:0], a); err != nil {
			return err
		}
		if v = append(v, nil); len(e.rest) > 0 {
			v[len(v)-1] = string(e.rest)
		}
		if len(e.decision) > 0 {
			v = append(v, block, place)
			place++
		} else {
			v = append(v, nil, nil)
		}
		result, err := insert.ExecContext(ctx, v...)
		if err != nil {
			return err
		}
		if len(e.content) > 0 {
			row, err := result.LastInsertId()
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO contents (attempt, data) VALUES (?, ?)", row, s.zip.EncodeAll(e.content, nil)); err != nil {
				return err
			}
		}
		key := dayOf(a)
		if days[key] == nil {
			days[key] = &daySums{}
		}
		days[key].add(a)
	}
	for key, sums := range days {
		if err := sums.write(ctx, tx, key); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// journalStart is the beginning of a journal.
var journalStart journal.Position

// errMoved says that somebody else has written entries of the journal.
var errMoved = errors.New("the store does not stand where this journal does: its folder was copied, or the store replaced")

// advance moves the position of a journal.
func advance(ctx context.Context, tx *sql.Tx, id string, from, to journal.Position) error {
	was, err := positionIn(ctx, tx, id)
	if err != nil {
		return err
	}
	if was != from {
		return errMoved
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO journals (id, segment, place) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET segment = excluded.segment, place = excluded.place",
		id, to.Segment, to.Offset)
	return err
}

// writeDecisions writes the decisions of entries as one block, and returns its id.
func (s *Store) writeDecisions(ctx context.Context, tx *sql.Tx, entries []*entry) (int64, error) {
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
	result, err := tx.ExecContext(ctx, "INSERT INTO decisions (time, rows, data) VALUES (?, ?, ?)", latest, rows, s.zipped)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// dayKey is what daily sums are kept by.
type dayKey struct{ day, client, policy, provider, model, outcome string }

// dayOf returns the key of an attempt. Its policy is without an objective that a client has
// added, so that clients cannot make as many sums as requests.
func dayOf(a *record.Attempt) dayKey {
	policy, _, _ := strings.Cut(a.Policy, ":")
	return dayKey{a.Time.UTC().Format(time.DateOnly), a.Client, policy, a.Provider, a.Candidate, string(a.Outcome)}
}

// daySums are sums of attempts.
type daySums struct {
	attempts, requests, unknown             int64
	cost                                    Amount
	input, cached, written, output, thought int64
}

func (d *daySums) add(a *record.Attempt) {
	d.attempts++
	if a.Number == 1 {
		d.requests++
	}
	if a.CostUnknown {
		d.unknown++
	}
	d.cost.Add(a.Cost)
	u := &a.Usage
	d.input += int64(u.Prompt() - u.CachedInput - u.Written())
	d.cached += int64(u.CachedInput)
	d.written += int64(u.Written())
	d.output += int64(u.Answer() - u.Reasoning)
	d.thought += int64(u.Reasoning)
}

func (d *daySums) write(ctx context.Context, tx *sql.Tx, k dayKey) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO daily VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET attempts = attempts + excluded.attempts, requests = requests + excluded.requests, unknown = unknown + excluded.unknown,
		cost_micro = cost_micro + excluded.cost_micro + (cost_rest + excluded.cost_rest) / 1000000, cost_rest = (cost_rest + excluded.cost_rest) % 1000000,
		input = input + excluded.input, cached = cached + excluded.cached, written = written + excluded.written, output = output + excluded.output, reasoning = reasoning + excluded.reasoning`,
		k.day, k.client, k.policy, k.provider, k.model, k.outcome, d.attempts, d.requests, d.unknown, d.cost.micro, d.cost.rest, d.input, d.cached, d.written, d.output, d.thought)
	return err
}
