package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/record"
)

// do runs a command and returns what it prints.
func do(t *testing.T, args ...string) (out, errs string, status int) {
	t.Helper()
	var o, e strings.Builder
	status = run(t.Context(), args, terminal{strings.NewReader(""), &o, &e})
	return o.String(), e.String(), status
}

// rated makes a store with three answered requests, req_0 to req_2.
func rated(t *testing.T) (dsn string) {
	t.Helper()
	dsn = filepath.Join(t.TempDir(), "carrot.db")
	s, err := ledger.MakeStore(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, _, err := s.Import(t.Context(), func(yield func(*record.Attempt, error) bool) {
		for i := range 3 {
			a := &record.Attempt{Time: time.Date(2026, 11, 2, 8, i, 0, 0, time.UTC), RequestID: fmt.Sprint("req_", i), Number: 1, Client: "support", API: "chat", Policy: "auto",
				First: "small", Candidate: "small", Provider: "p", Reason: record.TradeOff, Outcome: record.Served, Propensity: 1}
			if i == 2 {
				a.First, a.Candidate = "large", "large"
			}
			if !yield(a, nil) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	return dsn
}

// writeOn writes a file, which was last changed on a day of 2026.
func writeOn(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, day, day); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFeedbackImport: feedback in CSV or JSON is added once, is shown with its request and
// summed up, and a bad row is refused with its place before anything is added.
func TestFeedbackImport(t *testing.T) {
	dsn := rated(t)
	good := writeOn(t, "good.csv", "rater,request_id,score,label,thumb,time,note\nann,req_0,0.5,,,2026-11-02T09:00:00Z,\nbob,req_0,,,Up,2026-11-02T10:00:00+01:00,\"fine, really\"\nann,req_2,,odd,,,\n")
	lines := writeOn(t, "good.jsonl", `{"request_id": "req_0", "score": 0.25, "time": "2026-11-02T11:00:00Z"}
{"request_id": "req_1", "success": true, "thumb": null}
`)
	mixed := writeOn(t, "mixed.csv", "request_id,score,success,time\nreq_1,1,,\nreq_1,2,,\n,1,,\nreq_9,1,,\nreq_1,1,true,\nreq_1,,,\nreq_1,1,,yesterday\nreq_1\nreq_2,0.75,,2026-11-02T12:00:00Z\n")
	for _, c := range []struct {
		args   string
		status int
		want   string // in the output
	}{
		{"feedback import " + mixed, exitFailed, `mixed.csv:3: field score: "2": want a number from 0 to 1`},
		{"ledger show req_1", exitOK, "attempt 1"},
		{"feedback import " + good + " --label odd=0.1 --label even=2", exitUsage, "--label even=2: want a score from 0 to 1"},
		{"feedback import " + good, exitOK, "3 rows: 3 added, 0 known already, 1 label without a score\n"},
		{"feedback import " + good, exitOK, "3 rows: 0 added, 3 known already\n"},
		{"feedback import " + lines + " --json", exitOK, `{"rows":2,"added":2,"known":0,"rejected":0,"unscored":0}`},
		{"feedback import " + mixed + " --keep-going", exitOK, "9 rows: 2 added, 0 known already\n7 bad rows are listed in " + mixed + ".rejected.jsonl\n"},
		{"feedback import " + writeOn(t, "none.csv", "id,score\nreq_1,1\n"), exitFailed, `field request_id: the column is missing`},
		{"feedback import " + filepath.Join(t.TempDir(), "none"), exitFailed, "no such file"},
		{"ledger check", exitOK, "nothing wrong"},
	} {
		out, errOut, status := do(t, append(strings.Fields(c.args), "--store", dsn)...)
		if status != c.status || !strings.Contains(out+errOut, c.want) {
			t.Errorf("carrot %s: status %d\n%s%s\nwant %d, %s", c.args, status, out, errOut, c.status, c.want)
		}
	}
	side, err := os.ReadFile(mixed + ".rejected.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for line := range strings.Lines(string(side)) {
		places = append(places, fmt.Sprint(gjson.Get(line, "row"), " ", gjson.Get(line, "column")))
	}
	if diff := cmp.Diff([]string{"3 score", "4 request_id", "5 request_id", "6 success", "7 score", "8 time", "9 "}, places); diff != "" {
		t.Errorf("rejected rows (-want +got):\n%s", diff)
	}

	shown, _, _ := do(t, "ledger", "show", "req_0", "--store", dsn)
	_, shown, _ = strings.Cut(shown, "\n\nfeedback")
	by := administrator()
	if diff := cmp.Diff(", of which the last counts\n"+
		"  2026-11-02T09:00:00Z  score: 0.5, by import by "+by+"\n"+
		"  2026-11-02T09:00:00Z  thumb: 1, by import by "+by+": \"fine, really\"\n"+
		"  2026-11-02T11:00:00Z  score: 0.25, by import by "+by+"\n", shown); diff != "" {
		t.Errorf("ledger show (-want +got):\n%s", diff)
	}
	asJSON, _, _ := do(t, "ledger", "show", "req_0", "--json", "--store", dsn)
	if n := strings.Count(asJSON, `"schema":"carrot.feedback/1"`); n != 3 || gjson.Get(asJSON, "schema").Str != record.Schema {
		t.Errorf("ledger show --json: %s", asJSON)
	}
	summary, _, _ := do(t, "ledger", "summary", "--by", "model", "--store", dsn)
	for _, row := range []string{`(?m)^ *model .* feedback +score$`, `(?m)^ *small .* 100\.0% +0\.625$`, `(?m)^ *large .* 100\.0% +- *$`, `(?m)^ *total .* 100\.0% +0\.625$`} {
		if !regexp.MustCompile(row).MatchString(summary) {
			t.Errorf("ledger summary lacks %s:\n%s", row, summary)
		}
	}
	asJSON, _, _ = do(t, "ledger", "summary", "--by", "model", "--json", "--store", dsn)
	var sums struct {
		Groups []struct {
			Name     string
			Feedback *ledger.Rated
		}
		Feedback ledger.Rated
	}
	if err := json.Unmarshal([]byte(asJSON), &sums); err != nil || sums.Feedback.Served != 3 || sums.Feedback.Feedback != 3 || len(sums.Groups) != 2 || sums.Groups[0].Feedback == nil {
		t.Errorf("ledger summary --json: %v: %s", err, asJSON)
	}
}

// TestServeFeedback: a client says how good an answer was as soon as it has it, the store has
// that, and the traffic is imported as an outcome with that score.
func TestServeFeedback(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "carrot.db")
	_, rest := simulated(t)
	s := startServing(t, configured(t, dsn, rest+"feedback: {labels: {good: 0.9}}\nrecord: {content: judged}\n"))
	answer, err := http.Post(s.url+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"auto","messages":[{"role":"user","content":"What is 17 * 23?"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	id := answer.Header.Get("X-Carrot-Request-Id")
	for _, c := range []struct {
		body   string
		status int
	}{{`{"request_id":"` + id + `","label":"good","note":"quick"}`, 200}, {`{"request_id":"req_none","thumb":"up"}`, 404}} {
		r, err := http.NewRequest("POST", s.url+"/v1/feedback", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if status, body := sent(t, r); status != c.status {
			t.Errorf("%s: status %d: %s", c.body, status, body)
		}
	}
	out, errs, status := do(t, "ledger", "show", id, "--store", dsn)
	if status != exitOK || !strings.Contains(out, `label "good": 0.9, by its client: "quick"`) {
		t.Errorf("ledger show: %s%s", out, errs)
	}
	set := filepath.Join(t.TempDir(), "traffic")
	if out, errs, status := do(t, "data", "import", "carrot", dsn, set); status != exitOK || !strings.Contains(out, "imported 1 of 1 row: 1 query, 1 model, 1 outcome") {
		t.Fatalf("import: status %d: %s%s", status, out, errs)
	}
	imported, err := dataset.Load(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	cost, err := strconv.ParseFloat(answer.Header.Get("X-Carrot-Cost"), 64)
	if err != nil || imported.Queries[0].Prompt != "What is 17 * 23?" || imported.Score.At(0, 0) != 0.9 || imported.CostUSD.At(0, 0) != cost || !(imported.InputTokens.At(0, 0) > 0) {
		t.Errorf("imported %+v, score %v, cost %v (%v)", imported.Queries, imported.Score.At(0, 0), imported.CostUSD.At(0, 0), err)
	}
}
