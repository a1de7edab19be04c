package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/internal/collect"
)

// TestCollectCommand: what collect says before anything is spent, and what its exit status
// says in the end.
func TestCollectCommand(t *testing.T) {
	recorded := simulatedFolder(t)
	_, log, stop := runUntil(t, "simulate", "--data", recorded, "--listen", "127.0.0.1:0")
	defer stop()
	url := log.find(t, `(http://[0-9.:]+)`)
	bill := func() (b simulatedBill) {
		t.Helper()
		response, err := http.Get(url + "/bill")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if err := json.NewDecoder(response.Body).Decode(&b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	saved, err := artifact.Default()
	if err != nil {
		t.Fatal(err)
	}
	known := saved.Manifest.Models[0].Name
	dir := t.TempDir()
	config := filepath.Join(dir, "collect.yaml")
	text := fmt.Sprintf(`
prompts: {from: %q}
providers: [{name: sim, kind: openai, base_url: %q}]
models:
  - {name: one, provider: sim, max_tokens: 100, price: {input: 1, output: 2}}
  - {name: unrecorded, provider: sim, max_tokens: 100, price: {input: 1, output: 2}}
  - {name: %q, provider: sim, upstream: one, max_tokens: 100, price: {input: 1, output: 2}}
judge: {kind: regexp, pattern: "score=(?P<score>[0-9.]+)"}
retries: 0
cap_usd: 1
`, recorded, url+"/v1", known)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	collecting := func(args ...string) (status int, stdout, stderr string) {
		t.Helper()
		var out, said output
		status = run(t.Context(), append([]string{"collect", "--config", config, "--yes"}, args...), terminal{strings.NewReader(""), &out, &said})
		return status, out.String(), said.String()
	}

	status, stdout, stderr := collecting("--out", filepath.Join(dir, "new"), "--estimate", "--json")
	var plan planJSON
	if err := json.Unmarshal([]byte(stdout), &plan); err != nil || status != exitOK || plan.Calls != 6 || len(plan.Bills) != 3 || plan.Bills[0].Most == 0 {
		t.Errorf("an estimate as JSON: status %d, %v: %s%s", status, err, stdout, stderr)
	}

	updated := filepath.Join(dir, "updated.safetensors")
	status, _, stderr = collecting("--out", filepath.Join(dir, "known"), "--add-model", known, "--update", updated)
	if status != exitFailed || !strings.Contains(stderr, "knows it already") || bill().CostUSD != 0 {
		t.Errorf("a known model: status %d, billed %s: %s", status, bill().CostUSD, stderr)
	}

	status, stdout, stderr = collecting("--out", filepath.Join(dir, "none"), "--add-model", "unrecorded", "--update", updated, "--json")
	if status != exitFailed || !strings.Contains(stderr, "no outcome of unrecorded was scored") || !json.Valid([]byte(stdout)) {
		t.Errorf("nothing is scored: status %d: %s%s", status, stdout, stderr)
	}
	if _, err := os.Stat(updated); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a router was written: %v", err)
	}
}

// The report names the judge if that was asked no more.
func TestCollectReportOfStoppedJudge(t *testing.T) {
	var out strings.Builder
	r := &collect.Report{Models: []collect.OfModel{{Name: "one"}}, Stopped: map[string]string{"judge": "key_refused: status 401"}}
	if err := printReport(&out, r); err != nil || !strings.Contains(out.String(), "judge was asked no more, because it only failed: key_refused: status 401") {
		t.Errorf("the report (%v):\n%s", err, out.String())
	}
}
