package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A server that lost records says how many and exits with status 1.
func TestServeRecordOnFullDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /dev/full")
	}
	providers, _, stopDemo := serving(t, "--demo", "--listen", "127.0.0.1:0")
	defer stopDemo()
	upstream := providers.find(t, `simulated models at (http://\S+)\.`)
	config := filepath.Join(t.TempDir(), "carrot.yaml")
	text := fmt.Sprintf(`
listen: 127.0.0.1:0
admin_listen: 127.0.0.1:0
record: {path: /dev/full, content: true}
providers: [{name: up, kind: openai, base_url: "%s/v1"}]
models: [{name: gpt-4o-mini-2024-07-18, provider: up}]
`, upstream)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, log, stop := serving(t, "--config", config)
	url := "http://" + log.find(t, `"address":"([^"]+)"`) + "/v1/chat/completions"
	admin := "http://" + log.find(t, `"admin":"([^"]+)"`)
	if status, body := ask(t, url, "gpt-4o-mini-2024-07-18"); status != 200 {
		t.Fatalf("status %d: %s", status, body)
	}
	log.find(t, `"level":"ERROR","msg":"records cannot be written; up to 4 MiB are held back.*no space left on device`)
	if strings.Contains(log.String(), "was not recorded") {
		t.Errorf("a row that is held back is called lost:\n%s", log)
	}
	counters := func(want string) {
		t.Helper()
		response, err := http.Get(admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		metrics, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || !strings.Contains(string(metrics), want) {
			t.Errorf("%v: want %q in\n%s", err, want, metrics)
		}
	}
	counters("\ncarrot_records_lost_total 0\n")
	counters("\ncarrot_records_pruned_total 0\n")
	// Of rows of 3 MiB only one is held back. The others are one line in the log.
	long := fmt.Sprintf(`{"model":"gpt-4o-mini-2024-07-18","messages":[{"role":"user","content":"%s"}]}`, strings.Repeat("word ", 3<<20/5))
	for range 5 {
		response, err := http.Post(url, "application/json", strings.NewReader(long))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	counters("\ncarrot_records_lost_total 4\n")
	log.find(t, `"level":"ERROR","msg":"records are being lost"`)
	if n := strings.Count(log.String(), "lost"); n != 2 || strings.Contains(log.String(), "was not recorded") {
		t.Errorf("the log speaks of losses %d times, want that some will be and that some are:\n%s", n, log)
	}
	http.DefaultClient.CloseIdleConnections()
	if status := stop(); status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	log.find(t, `"level":"ERROR","msg":"records were lost","path":"/dev/full","lost":6,`)
	log.find(t, `carrot: error: close records in /dev/full: rows lost: [0-9]+: .*no space left on device`)
}

// checked runs carrot serve --check with a record at path, and returns the exit
// status and what is said.
func checked(t *testing.T, path string) (status int, said string) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "carrot.yaml")
	text := fmt.Sprintf(`
record: {path: %q}
providers: [{name: up, kind: openai, api_key: k}]
models: [{name: gpt-4o-mini-2024-07-18, provider: up}]
`, path)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out := &output{}
	status = run(t.Context(), []string{"serve", "--config", config, "--check"}, terminal{in: strings.NewReader(""), out: out, err: out})
	return status, out.String()
}

// TestServeCheckRecord: a check says whether the record can be written, and changes
// nothing.
func TestServeCheckRecord(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	const half = "{\"a row that a crash cut"
	if err := os.WriteFile(file, []byte(half), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "missing", "r.jsonl"), filepath.Join(dir, "nowhere")); err != nil {
		t.Skip(err)
	}
	for _, test := range []struct {
		name, path string
		want       string // "" if nothing is wrong
	}{
		{"a new file", filepath.Join(dir, "r.jsonl"), ""},
		{"a file that exists", file, ""},
		{"a missing folder", filepath.Join(dir, "missing", "r.jsonl"), "record.path: folder " + filepath.Join(dir, "missing") + " does not exist"},
		{"a file in place of the folder", filepath.Join(file, "r.jsonl"), "record.path: " + file + " is not a folder"},
		{"a file above the folder", filepath.Join(file, "sub", "r.jsonl"), "record.path: "},
		{"a folder in place of the file", dir, "record.path: " + dir + " is a folder"},
		{"a link to nowhere", filepath.Join(dir, "nowhere"), "record.path: "},
		{"a folder without files", "/proc/self/r.jsonl", "record.path: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := os.Stat("/proc/self"); err != nil && strings.HasPrefix(test.path, "/proc") {
				t.Skip("there is no /proc")
			}
			status, said := checked(t, test.path)
			if test.want == "" {
				if status != 0 || !strings.Contains(said, "nothing wrong") {
					t.Errorf("status %d: %s", status, said)
				}
			} else if status != 1 || !strings.Contains(said, test.want) || !strings.Contains(said, test.path) && !strings.Contains(said, filepath.Dir(test.path)) || !strings.Contains(said, "carrot: hint: ") {
				t.Errorf("status %d: %s, want 1, %q with the path, and a hint", status, said, test.want)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 2 {
				t.Errorf("the check leaves %v, %v", entries, err)
			}
			if text, err := os.ReadFile(file); string(text) != half {
				t.Errorf("the check changes the record to %q, %v", text, err)
			}
		})
	}
}

// TestServeCheckRecordPermission: a folder or a file that may not be written is found.
func TestServeCheckRecordPermission(t *testing.T) {
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("permissions do not hold for root")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "r.jsonl")
	if err := os.WriteFile(file, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if status, said := checked(t, file); status != 1 || !strings.Contains(said, file) {
		t.Errorf("a file without permission: status %d: %s", status, said)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if status, said := checked(t, filepath.Join(dir, "other.jsonl")); status != 1 || !strings.Contains(said, dir) {
		t.Errorf("a folder without permission: status %d: %s", status, said)
	}
}

// TestServeCheckShutdown: a check warns of models that were shut down, by the price book.
func TestServeCheckShutdown(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"prices.json": `{"schema": "carrot.prices/2", "unit": "USD per million tokens", "models": [{"name": "old", "input": 1, "output": 1, "date": "2024-01-01", "source": "list", "shutdown": "2025-01-01", "successor": "new"}]}`,
		"carrot.yaml": "prices: prices.json\nproviders: [{name: up, kind: openai, api_key: k}]\nmodels: [{name: mine, provider: up, upstream: old, like: gpt-4o-mini-2024-07-18}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := &output{}
	status := run(t.Context(), []string{"serve", "--config", filepath.Join(dir, "carrot.yaml"), "--check"}, terminal{in: strings.NewReader(""), out: out, err: out})
	const want = "models[0] mine: old was shut down on 2025-01-01, and its successor is new"
	if said := out.String(); status != 0 || !strings.Contains(said, want) || !strings.Contains(said, "nothing wrong") {
		t.Errorf("status %d, want 0 and %q: %s", status, want, said)
	}
}
