package database_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/database/databasetest"
)

// tables returns the tables of a file of SQLite with the types of their columns.
func tables(t *testing.T, db *database.DB) map[string][]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT m.name, c.type FROM sqlite_master AS m, pragma_table_info(m.name) AS c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' AND m.name NOT IN ('goose_db_version', 'compatible') ORDER BY m.name, c.cid`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string][]string{}
	for rows.Next() {
		var table, kind string
		if err := rows.Scan(&table, &kind); err != nil {
			t.Fatal(err)
		}
		out[table] = append(out[table], kind)
	}
	if err := rows.Err(); err != nil || len(out) < 5 {
		t.Fatalf("%v, %v", out, err)
	}
	return out
}

// content returns all rows of a table as text, sorted.
func content(t *testing.T, db *database.DB, table string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, at := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		at[i] = &values[i]
	}
	var out []string
	for rows.Next() {
		if err := rows.Scan(at...); err != nil {
			t.Fatal(err)
		}
		line := ""
		for i, v := range values {
			line += fmt.Sprintf("%s=%T %v ", columns[i], v, v)
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// TestCopy: every table of the schema is copied, with values of every kind, and the numbers
// of rows go on after those that were copied.
func TestCopy(t *testing.T) {
	open := func(dsn string) *database.DB {
		t.Helper()
		db, err := database.Make(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	first := open(databasetest.SQLite(t))
	schema := tables(t, first)
	for table, kinds := range schema {
		if _, err := first.ExecContext(t.Context(), "DELETE FROM "+table); err != nil { // what is there from the beginning
			t.Fatal(err)
		}
		for n := range 1000 {
			var values []any
			for i, kind := range kinds {
				values = append(values, map[string]any{
					"INTEGER": int64(n+1) * 1_234_567_891_011, "REAL": float64(n) / 3, "TEXT": fmt.Sprintf("text é 😀 %d %d", i, n), "BLOB": []byte{0, 0xff, byte(n)},
				}[kind])
			}
			if _, err := first.ExecContext(t.Context(), "INSERT INTO "+table+" VALUES (?"+strings.Repeat(", ?", len(kinds)-1)+")", values...); err != nil {
				t.Fatalf("%s: %v", table, err)
			}
		}
	}
	databasetest.Each(t, func(t *testing.T, dsn string) {
		second := open(dsn)
		third := open(filepath.Join(t.TempDir(), "third.db"))
		if err := database.Copy(t.Context(), second, first); err != nil {
			t.Fatal(err)
		}
		if err := database.Copy(t.Context(), third, second); err != nil {
			t.Fatal(err)
		}
		for table := range schema {
			if want, got := content(t, first, table), content(t, third, table); !slices.Equal(want, got) || len(got) != 1000 {
				t.Errorf("table %s: %d rows differ from %d, such as %.300q and %.300q", table, len(got), len(want), got, want)
			}
		}
		if err := database.Copy(t.Context(), third, first); !errors.Is(err, database.ErrNotEmpty) {
			t.Errorf("to a database with rows: %v", err)
		}
		var highest, next int64
		if err := second.QueryRowContext(t.Context(), "SELECT MAX(id) FROM decisions").Scan(&highest); err != nil {
			t.Fatal(err)
		}
		if err := second.QueryRowContext(t.Context(), "INSERT INTO decisions (time, rows, data) VALUES (1, 1, ?) RETURNING id", []byte("x")).Scan(&next); err != nil || next != highest+1 {
			t.Errorf("the next row has number %d (%v), want %d", next, err, highest+1)
		}
	})
}
