package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNotEmpty says that a database has rows already.
var ErrNotEmpty = errors.New("it is not empty")

// bookkeeping are the tables that say which schema a database has.
var bookkeeping = []string{"goose_db_version", "compatible"}

// begun are the tables that the schema begins with rows, which are replaced.
var begun = []string{"keys_version"}

// Copy copies the rows of all tables of a schema to a database whose tables are empty. One
// of the two must be of SQLite, which remembers the order in which its tables were made, so
// that rows are there before others refer to them. Copy is a transaction in both.
func Copy(ctx context.Context, to, from *DB) error {
	return from.Snapshot(ctx, func(source *Tx) error {
		return to.Do(ctx, func(target *Tx) error { return copyTables(ctx, target, source) })
	})
}

func copyTables(ctx context.Context, to, from *Tx) error {
	var versions [2]int64
	for i, t := range []*Tx{to, from} {
		if err := t.QueryRowContext(ctx, "SELECT MAX(version_id) FROM goose_db_version").Scan(&versions[i]); err != nil {
			return err
		}
	}
	if versions[1] > versions[0] {
		return fmt.Errorf("its schema has version %d, and this release copies up to version %d: use the newer release", versions[1], versions[0])
	}
	theirs, err := from.tables(ctx)
	if err != nil {
		return err
	}
	order, err := to.tables(ctx)
	if err != nil {
		return err
	}
	if !from.Postgres() {
		order, theirs = theirs, order
	}
	order = slices.DeleteFunc(order, func(table string) bool { return !slices.Contains(theirs, table) }) // of other programs
	for _, table := range order {
		if slices.Contains(begun, table) {
			continue
		}
		if empty, err := to.empty(ctx, table); err != nil {
			return err
		} else if !empty {
			return fmt.Errorf("%w: its table %s has rows", ErrNotEmpty, table)
		}
	}
	for _, table := range begun {
		if slices.Contains(order, table) {
			if _, err := to.ExecContext(ctx, "DELETE FROM "+quoted(table)); err != nil {
				return err
			}
		}
	}
	for _, table := range order {
		if err := copyTable(ctx, to, from, table); err != nil {
			return fmt.Errorf("copy table %s: %w", table, err)
		}
	}
	return to.resetIdentities(ctx, order)
}

// tables returns the names of the tables of the schema: in SQLite, in the order in which
// they were made.
func (t *Tx) tables(ctx context.Context) ([]string, error) {
	query := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY rowid"
	if t.Postgres() {
		query = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY table_name"
	}
	names, err := texts(ctx, t, query)
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(bookkeeping, name) }), err
}

func (t *Tx) empty(ctx context.Context, table string) (bool, error) {
	var one int
	err := t.QueryRowContext(ctx, "SELECT 1 FROM "+quoted(table)+" LIMIT 1").Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	return false, err
}

// quoted returns a name for a statement.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

const (
	copyValues = 4096    // in one statement; the databases allow 32,766 and more
	copyBytes  = 4 << 20 // of texts and bytes in one statement, about
)

// copyTable copies the rows of a table.
func copyTable(ctx context.Context, to, from *Tx, table string) error {
	rows, err := from.QueryContext(ctx, "SELECT * FROM "+quoted(table))
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	names := make([]string, len(columns))
	for i, name := range columns {
		names[i] = quoted(name)
	}
	row := "(?" + strings.Repeat(", ?", len(columns)-1) + ")"
	insert := func(n int) string {
		return "INSERT INTO " + quoted(table) + " (" + strings.Join(names, ", ") + ") VALUES " + row + strings.Repeat(", "+row, n-1)
	}
	most := max(1, copyValues/len(columns))
	whole, err := to.PrepareContext(ctx, insert(most))
	if err != nil {
		return err
	}
	defer whole.Close()
	var values []any
	size := 0
	flush := func() (err error) {
		switch n := len(values) / len(columns); n {
		case 0:
		case most:
			_, err = whole.ExecContext(ctx, values...)
		default:
			_, err = to.ExecContext(ctx, insert(n), values...)
		}
		values, size = values[:0], 0
		return err
	}
	one := make([]any, len(columns))
	at := make([]any, len(columns))
	for i := range one {
		at[i] = &one[i]
	}
	for rows.Next() {
		if err := rows.Scan(at...); err != nil {
			return err
		}
		for _, v := range one {
			switch v := v.(type) {
			case string:
				size += len(v)
				values = append(values, Text(v))
			case []byte:
				size += len(v)
				values = append(values, v)
			default:
				values = append(values, v)
			}
		}
		if len(values) == most*len(columns) || size > copyBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return flush()
}

// resetIdentities makes the numbers that PostgreSQL gives to rows begin after those that
// the tables have. SQLite does so by itself.
func (t *Tx) resetIdentities(ctx context.Context, tables []string) error {
	if !t.Postgres() {
		return nil
	}
	columns, err := texts(ctx, t, "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = current_schema() AND is_identity = 'YES' ORDER BY 1")
	if err != nil {
		return err
	}
	for _, name := range columns {
		table, column, _ := strings.Cut(name, ".")
		if !slices.Contains(tables, table) {
			continue
		}
		_, err := t.ExecContext(ctx, "SELECT setval(pg_get_serial_sequence(?, ?), MAX("+quoted(column)+")) FROM "+quoted(table)+" HAVING MAX("+quoted(column)+") > 0", quoted(table), column)
		if err != nil {
			return fmt.Errorf("numbers of the rows of table %s: %w", table, err)
		}
	}
	return nil
}
