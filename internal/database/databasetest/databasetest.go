// Package databasetest gives tests empty databases of every kind that a store can be in.
package databasetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Variable is the environment variable with the address of a server of PostgreSQL, on
// which tests may make databases. Without it, they use SQLite alone.
const Variable = "CARROT_TEST_POSTGRES"

// Each runs a test with each kind of database.
func Each(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// SQLite returns the DSN of a file that does not exist.
func SQLite(t testing.TB) string { return filepath.Join(t.TempDir(), "carrot.db") }

// Postgres returns the DSN of an empty database, or skips the test.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv(Variable)
	if server == "" {
		t.Skip("no server of PostgreSQL: set " + Variable + " to its address")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s: %v", Variable, err)
	}
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	name := "carrot_" + strings.ToLower(rand.Text())
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("%s: %v", Variable, err)
	}
	t.Cleanup(func() {
		if _, err := db.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the database of the test: %v", err)
		}
		db.Close()
	})
	u.Path = "/" + name
	return u.String()
}
