package database_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/database/databasetest"
)

// TestNewerSchema: a store that a newer release has made is refused, unless that says that
// this one may use it.
func TestNewerSchema(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		open := func() (*database.DB, error) { return database.Make(t.Context(), dsn) }
		run := func(db *database.DB, statement string) {
			t.Helper()
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			db.Close()
		}
		db, err := open()
		if err != nil {
			t.Fatal(err)
		}
		applied := "1"
		if db.Postgres() {
			applied = "true"
		}
		run(db, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1000, "+applied+")")
		if db, err = open(); err != nil {
			t.Fatalf("a schema that this release may use: %v", err)
		}
		run(db, "INSERT INTO compatible VALUES (1000)")
		if db, err = open(); err == nil || !strings.Contains(err.Error(), "newer release") {
			t.Fatalf("%v, %v, want a refusal", db, err)
		}
	})
}

// TestMadeOnce: processes that open an empty database at the same time make one schema.
func TestMadeOnce(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				db, err := database.Make(t.Context(), dsn)
				if err != nil {
					t.Error(err)
					return
				}
				defer db.Close()
				var n int
				if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM compatible WHERE version = 1").Scan(&n); err != nil || n != 1 {
					t.Errorf("the schema was made %d times (%v)", n, err)
				}
			})
		}
		wg.Wait()
	})
}

// TestDo: a transaction is whole or not there, and reads what it wrote.
func TestDo(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		db, err := database.Make(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		count := func(q database.Querier) (n int) {
			if err := q.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM journals WHERE id = ? AND place > ?", "a", 1).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		stop := errors.New("stop")
		for want, end := range []error{stop, nil} {
			err := db.Do(t.Context(), func(tx *database.Tx) error {
				if _, err := tx.ExecContext(t.Context(), "INSERT INTO journals (id, segment, place) VALUES (?, ?, ?)", "a", 1, 2); err != nil {
					return err
				}
				if n := count(tx); n != 1 {
					t.Errorf("%d rows within the transaction", n)
				}
				return end
			})
			if !errors.Is(err, end) || count(db) != want {
				t.Errorf("%v, %d rows, want %v, %d", err, count(db), end, want)
			}
		}
	})
}

// TestErrors: what cannot be opened is an error that names it, without its password.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("This is not a database. ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for dsn, want := range map[string]string{
		filepath.Join(dir, "none.db"): "there is no store",
		dir:                           dir,
		text:                          "not a database",
		"mysql://localhost/carrot":    "there is no store",
		"postgres://carrot:secret@127.0.0.1:1/carrot?sslmode=disable":            "127.0.0.1:1",
		"postgres://127.0.0.1:1/carrot?password=secret&sslmode=disable":          "127.0.0.1:1",
		"postgres://carrot:secret@127.0.0.1:1/carrot?sslmode=any&x=%zz":          "want an address",
		"postgres:///carrot?host=" + dir + "&user=carrot&password=secret&port=1": "xxxxx",
	} {
		db, err := database.Open(context.Background(), dsn)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, %v, want %q", dsn, db, err, want)
		}
	}
	if content, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(content), "This is not a database. ") {
		t.Error("a file that is not a store was changed")
	}
}
