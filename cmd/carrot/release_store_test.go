package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
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
	if testing.Short() || raceEnabled() {
		t.Skip("builds the command twice, and runs no two parts of it at once")
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
	t.Run("replaced under load", func(t *testing.T) { testRolling(t, this, compatible) })
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

// balancer passes requests to gateways in turn, as long as they say that they are ready. It
// repeats none, so that a client sees every failure.
type balancer struct {
	mu       sync.Mutex
	gateways map[string]*httputil.ReverseProxy // by address
	ready    []string
	next     int
	served   map[string]int
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A ReverseProxy fails if an answer begins before it has seen the end of the body.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	b.mu.Lock()
	if len(b.ready) == 0 {
		b.mu.Unlock()
		http.Error(w, "no gateway is ready", http.StatusServiceUnavailable)
		return
	}
	address := b.ready[b.next%len(b.ready)]
	b.next++
	b.served[address]++
	proxy := b.gateways[address]
	b.mu.Unlock()
	proxy.ServeHTTP(w, r)
}

// add makes the balancer ask a gateway whether it is ready until ctx ends.
func (b *balancer) add(ctx context.Context, address string) {
	target, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	b.mu.Lock()
	b.gateways[address] = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1}
	b.mu.Unlock()
	go func() {
		for ctx.Err() == nil {
			response, err := http.Get(address + "/ready")
			if err == nil {
				response.Body.Close()
			}
			ok := err == nil && response.StatusCode == http.StatusOK
			b.mu.Lock()
			b.ready = slices.DeleteFunc(b.ready, func(a string) bool { return a == address })
			if ok {
				b.ready = append(b.ready, address)
			}
			b.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
}

// count returns how many requests a gateway was sent.
func (b *balancer) count(address string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.served[address]
}

// testRolling replaces two gateways with one store of PostgreSQL by those of another release,
// one after the other and under load. No request fails, and each is in the store once.
func testRolling(t *testing.T, releases ...string) {
	dsn := databasetest.Postgres(t)
	bills, rest := simulatedSlowly(t, 3*time.Millisecond)
	rest += "limits: {drain: 400ms, shutdown: 20s}\n"
	configs := []string{configured(t, dsn, rest), configured(t, dsn, rest)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := &balancer{gateways: map[string]*httputil.ReverseProxy{}, served: map[string]int{}}
	front := httptest.NewServer(b)
	defer front.Close()
	begin := func(release, config string) *process {
		p := startRelease(t, release, config, "127.0.0.1:0")
		b.add(ctx, p.url)
		return p
	}
	gateways := []*process{begin(releases[0], configs[0]), begin(releases[0], configs[1])}
	// serve waits until every gateway has been sent some requests more.
	serve := func() {
		t.Helper()
		for _, g := range gateways {
			for before, until := b.count(g.url), time.Now().Add(time.Minute); b.count(g.url) < before+20; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(until) {
					t.Fatalf("a gateway is sent nothing: %s", g.log)
				}
			}
		}
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		b.mu.Lock()
		n := len(b.ready)
		b.mu.Unlock()
		if n == len(gateways) {
			break
		}
		if time.Now().After(until) {
			t.Fatal("the gateways are not ready")
		}
	}

	got := &acknowledged{costs: map[string]string{}}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 12 {
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := got.call(http.DefaultClient, front.URL, (n+i)%2 == 0); err != nil {
					t.Errorf("a request failed: %v", err)
					return
				}
			}
		})
	}
	serve()
	for i := range gateways {
		gateways[i].Process.Signal(syscall.SIGTERM)
		if err := gateways[i].Wait(); err != nil {
			t.Errorf("%v: %s", err, gateways[i].log)
		}
		gateways[i] = begin(releases[1], configs[i])
		serve()
	}
	close(stop)
	clients.Wait()
	for _, g := range gateways {
		g.Process.Signal(syscall.SIGTERM)
		if err := g.Wait(); err != nil {
			t.Errorf("%v: %s", err, g.log)
		}
	}
	got.verify(t, dsn, bills)
}
