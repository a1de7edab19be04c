package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/record"
)

// nextRelease builds the command with one more step of the schema.
func nextRelease(t *testing.T, statements string) string {
	t.Helper()
	steps, err := filepath.Glob("../../internal/database/schema/*.sql")
	if err != nil || len(steps) == 0 {
		t.Fatalf("%q, %v, want the steps of the schema", steps, err)
	}
	var last int
	if _, err := fmt.Sscanf(filepath.Base(steps[len(steps)-1]), "%d_", &last); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	step := filepath.Join(dir, "step.sql")
	if err := os.WriteFile(step, []byte(strings.ReplaceAll(statements, "NEXT", fmt.Sprint(last+1))), 0o600); err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs("../../internal/database/schema")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(folder, fmt.Sprintf("%04d_next.sql", last+1)): step}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "carrot")
	if out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	return path
}

// TestReleases: two releases, of which the newer one has a step of the schema more, read
// and write one store together. If the step says that the older one may not, that refuses
// the store and says why.
func TestReleases(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command twice")
	}
	this := program(t)
	compatible := nextRelease(t, "ALTER TABLE attempts ADD COLUMN region TEXT NOT NULL DEFAULT '';\nCREATE TABLE regions (name TEXT PRIMARY KEY) WITHOUT ROWID;\n")
	incompatible := nextRelease(t, "ALTER TABLE attempts RENAME COLUMN session TO conversation;\nINSERT INTO compatible VALUES (NEXT);\n")
	databasetest.Each(t, func(t *testing.T, dsn string) {
		dir := t.TempDir()
		do := func(want int, name string, args ...string) string {
			t.Helper()
			command := exec.Command(name, append([]string{"ledger"}, args...)...)
			command.Env = append(os.Environ(), "CARROT_STORE="+dsn)
			var out, errs bytes.Buffer
			command.Stdout, command.Stderr = &out, &errs
			if err := command.Run(); command.ProcessState == nil || command.ProcessState.ExitCode() != want {
				t.Fatalf("%s ledger %q: %v, want status %d: %s%s", name, args, err, want, &out, &errs)
			}
			return out.String() + errs.String()
		}
		lines := ""
		add := func(name string, n int) {
			t.Helper()
			a := record.Attempt{Time: time.Date(2026, 11, 29, 12, n, 0, 0, time.UTC), RequestID: fmt.Sprintf("req_%d", n), Number: 1, Session: "s", Candidate: "m", Outcome: record.Served, Cost: 5, ExpectedUnknown: true}
			line := string(a.AppendJSON(nil)) + "\n"
			file := filepath.Join(dir, "records.jsonl")
			if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
				t.Fatal(err)
			}
			if text := do(0, name, "import", file); !strings.Contains(text, ": 1 attempt added") {
				t.Fatal(text)
			}
			lines += line
		}
		add(this, 0) // and the newer release finds a store of this one
		for n, name := range []string{compatible, this, compatible, this} {
			add(name, n+1)
			for _, reads := range []string{this, compatible} {
				if got := do(0, reads, "export"); got != lines {
					t.Errorf("%s exports\n%s, want\n%s", reads, got, lines)
				}
				do(0, reads, "check")
				if text := do(0, reads, "summary"); !strings.Contains(text, "total") {
					t.Errorf("%s sums up: %s", reads, text)
				}
			}
		}
		if database.IsPostgres(dsn) {
			if text := do(1, this, "backup", "--out", filepath.Join(dir, "backup.db")); !strings.Contains(text, "use the newer release") {
				t.Errorf("a backup that would forget what the newer release keeps: %s", text)
			}
		}
		do(0, compatible, "backup", "--out", filepath.Join(dir, "whole.db"))
	})
	databasetest.Each(t, func(t *testing.T, dsn string) {
		run := func(name string, args ...string) (string, error) {
			command := exec.Command(name, args...)
			command.Env = append(os.Environ(), "CARROT_STORE="+dsn)
			out, err := command.CombinedOutput()
			return string(out), err
		}
		empty := filepath.Join(t.TempDir(), "none.jsonl")
		if err := os.WriteFile(empty, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{this, "ledger", "import", empty}, {incompatible, "ledger", "summary"}} {
			if out, err := run(args[0], args[1:]...); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		config := filepath.Join(t.TempDir(), "carrot.yaml")
		if err := os.WriteFile(config, []byte("admin_listen: off\nstore: "+dsn+"\njournal: journal\nproviders: [{name: sim, kind: openai, base_url: \"http://127.0.0.1:1/v1\"}]\nmodels: [{name: gpt-4o-2024-08-06, provider: sim}]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"ledger", "summary"}, {"ledger", "import", empty}, {"serve", "--config", config, "--listen", "127.0.0.1:0"}} {
			if out, err := run(this, args...); err == nil || !strings.Contains(out, "it was written by a newer release: its schema needs version") {
				t.Errorf("%q: %v, %s, want a refusal", args, err, out)
			}
		}
	})
}
