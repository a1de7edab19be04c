// Package database opens the database in which a gateway keeps what it must remember:
// SQLite, in one file for one machine, or PostgreSQL, for several processes.
//
// Statements are written once for both. Their parameters are question marks, their columns
// are integers, floating-point numbers, texts and bytes, and their schema is in the words
// of SQLite, which [DB] translates for PostgreSQL.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite" // the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// DB is an open database. Its methods are safe for concurrent use.
type DB struct {
	sql      *sql.DB
	name     string // for people
	postgres bool
}

// ErrNone says that a database does not exist.
var ErrNone = errors.New("there is no store")

// IsPostgres reports whether a DSN names a database of PostgreSQL, and not a file.
func IsPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// Check reports what is wrong with the form of a DSN, if anything.
func Check(dsn string) error {
	if IsPostgres(dsn) {
		if _, err := pgx.ParseConfig(dsn); err != nil {
			return errors.New("want an address such as postgres://user:password@host:5432/database") // the error might show a password
		}
	} else if strings.Contains(dsn, "://") {
		return errors.New("want the path of a file, such as carrot.db, or the address of a database of PostgreSQL, postgres://…")
	}
	return nil
}

// Name returns a DSN without its password.
func Name(dsn string) string {
	if !IsPostgres(dsn) {
		return dsn
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "postgres://"
	}
	if q := u.Query(); q.Has("password") {
		q.Set("password", "xxxxx")
		u.RawQuery = q.Encode()
	}
	return u.Redacted()
}

// Open opens a database that exists, as [Make] does.
func Open(ctx context.Context, dsn string) (*DB, error) {
	if !IsPostgres(dsn) {
		if _, err := os.Stat(dsn); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("open store %s: %w", dsn, ErrNone)
		}
	}
	return Make(ctx, dsn)
}

// Make opens a database and brings its schema up to date. A DSN is an address of
// PostgreSQL, or the path of a file of SQLite, which is made if it does not exist.
func Make(ctx context.Context, dsn string) (_ *DB, err error) {
	db := &DB{name: Name(dsn), postgres: IsPostgres(dsn)}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open store %s: %w", db.name, err)
			if db.sql != nil {
				db.sql.Close()
			}
		}
	}()
	if err := Check(dsn); err != nil {
		return nil, err
	}
	if db.postgres {
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, errors.New("the address is wrong")
		}
		if config.ConnectTimeout == 0 {
			config.ConnectTimeout = connectTimeout
		}
		db.sql = stdlib.OpenDB(*config)
		db.sql.SetMaxOpenConns(8)
		db.sql.SetMaxIdleConns(4)
		db.sql.SetConnMaxIdleTime(idleTime)
	} else if db.sql, err = openFile(dsn); err != nil {
		return nil, err
	}
	return db, db.migrate(ctx)
}

// openFile opens a file of SQLite.
func openFile(name string) (*sql.DB, error) {
	path, err := filepath.Abs(name)
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
	options := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(NORMAL)", "busy_timeout(5000)", "foreign_keys(1)", "wal_autocheckpoint(4000)", "secure_delete(1)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: options.Encode()}).String())
	if err == nil {
		db.SetMaxOpenConns(4)
	}
	return db, err
}

// Postgres reports whether the database is one of PostgreSQL, which several processes on
// several machines may use.
func (db *DB) Postgres() bool { return db.postgres }

// String returns the path or address, without a password.
func (db *DB) String() string { return db.name }

// Close closes the database.
func (db *DB) Close() error { return db.sql.Close() }

// Querier runs statements, in a transaction or without one.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// ExecContext runs a statement without rows.
func (db *DB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return db.sql.ExecContext(ctx, db.bind(query), args...)
}

// QueryContext runs a statement with rows.
func (db *DB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return db.sql.QueryContext(ctx, db.bind(query), args...)
}

// QueryRowContext runs a statement with at most one row.
func (db *DB) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return db.sql.QueryRowContext(ctx, db.bind(query), args...)
}

// PrepareContext prepares a statement that is run again and again. It takes a connection,
// so it must not be called within a transaction.
func (db *DB) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return db.sql.PrepareContext(ctx, db.bind(query))
}

// Do runs f in a transaction, which is committed if f returns no error. In SQLite, no
// other transaction that Do runs is open at the same time.
func (db *DB) Do(ctx context.Context, f func(tx *Tx) error) error {
	tx, err := db.sql.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(&Tx{tx, db}); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// Snapshot runs f in a transaction that reads everything as it is at one moment, and
// writes nothing.
func (db *DB) Snapshot(ctx context.Context, f func(tx *Tx) error) error {
	var o *sql.TxOptions // in SQLite, every transaction is like that
	if db.postgres {
		o = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	tx, err := db.sql.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(f(&Tx{tx, db}), ignoreDone(tx.Rollback()))
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// Tx is a transaction.
type Tx struct {
	tx *sql.Tx
	db *DB
}

// ExecContext runs a statement without rows.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(ctx, t.db.bind(query), args...)
}

// QueryContext runs a statement with rows.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, t.db.bind(query), args...)
}

// QueryRowContext runs a statement with at most one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, t.db.bind(query), args...)
}

// PrepareContext prepares a statement, to be run several times.
func (t *Tx) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return t.tx.PrepareContext(ctx, t.db.bind(query))
}

// Statement returns a statement that [DB.PrepareContext] has prepared, for this transaction.
func (t *Tx) Statement(ctx context.Context, prepared *sql.Stmt) *sql.Stmt {
	return t.tx.StmtContext(ctx, prepared)
}

// Postgres reports whether the database is one of PostgreSQL.
func (t *Tx) Postgres() bool { return t.db.postgres }

// bind writes the parameters of a statement as the database wants them.
func (db *DB) bind(query string) string {
	if !db.postgres || !strings.Contains(query, "?") {
		return query
	}
	out := make([]byte, 0, len(query)+16)
	n := 0
	for i := range len(query) {
		if query[i] != '?' {
			out = append(out, query[i])
			continue
		}
		n++
		out = strconv.AppendInt(append(out, '$'), int64(n), 10)
	}
	return string(out)
}

// Text returns a text that both databases store: valid UTF-8 without NUL.
func Text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// Refused reports whether an error says that a statement's values cannot be stored, so that
// the same statement will fail again: they are too long, or out of range, or break a
// constraint.
func Refused(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && len(e.Code) == 5 {
		switch e.Code[:2] {
		case "22", "23", "54": // data exception, integrity constraint violation, program limit exceeded
			return true
		}
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
			return true
		}
	}
	return false
}

// Integrity looks for damage in the file of SQLite. PostgreSQL looks after its own.
func (db *DB) Integrity(ctx context.Context) (faults []string, err error) {
	if db.postgres {
		return nil, nil
	}
	said, err := texts(ctx, db, "PRAGMA integrity_check")
	for _, text := range said {
		if text != "ok" {
			faults = append(faults, "the file: "+text)
		}
	}
	return faults, err
}

// texts returns the rows of a query for one text.
func texts(ctx context.Context, q Querier, query string, args ...any) (list []string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, rows.Err()
}

// Checkpoint moves what is in SQLite's write-ahead log to the file, so that what was
// deleted is in neither. PostgreSQL needs none.
func (db *DB) Checkpoint(ctx context.Context) error {
	if db.postgres {
		return nil
	}
	var busy, log, moved int
	return db.sql.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &moved)
}
