package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/dashboard"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/record"
)

// whatifAnswer is what the test reads of carrot.whatif/1.
type whatifAnswer struct {
	Schema string   `json:"schema"`
	Worth  *float64 `json:"usd_per_quality"`
	Facts  struct {
		Requests int            `json:"requests"`
		Decided  int            `json:"decided_again"`
		Kept     map[string]int `json:"kept"`
		Priced   int            `json:"priced"`
		Cost     float64        `json:"cost_usd"`
		Scored   int            `json:"scored"`
	} `json:"facts"`
	Estimates struct {
		Changed int     `json:"changed"`
		Paid    float64 `json:"observed_usd"`
		Cost    struct {
			Value float64    `json:"value"`
			CI    [2]float64 `json:"ci"`
		} `json:"cost_usd"`
	} `json:"estimates"`
	Repriced []string `json:"repriced"`
	Models   []struct {
		Name string `json:"name"`
		Was  int    `json:"was"`
		Then int    `json:"would_be"`
	} `json:"models"`
}

// TestWhatif: a store's decisions are made again, and their bill is that of the summary.
func TestWhatif(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		dir, start, s := trainedOnExample(t)
		frequent := s.fill(t, dsn, 0, 300, 1)
		ask := func(args ...string) (a whatifAnswer) {
			t.Helper()
			out := mustCarrot(t, append([]string{"whatif", "--store", dsn, "--json"}, args...)...)
			if err := json.Unmarshal([]byte(out), &a); err != nil {
				t.Fatalf("%s: %v", out, err)
			}
			if a.Schema != whatifSchema || a.Facts.Requests != 300 {
				t.Errorf("%v: %s", args, out)
			}
			return a
		}
		var summary struct {
			Total struct {
				Cost float64 `json:"cost_usd"`
			} `json:"total"`
		}
		if err := json.Unmarshal([]byte(mustCarrot(t, "ledger", "summary", "--store", dsn, "--json")), &summary); err != nil {
			t.Fatal(err)
		}
		near := func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }

		same := ask("--objective", fmt.Sprint("w=", s.w))
		if !near(same.Facts.Cost, summary.Total.Cost) || same.Estimates.Changed != 0 || !near(same.Estimates.Cost.Value, same.Facts.Cost) || same.Facts.Kept["named"] != 30 || same.Facts.Kept["exploration"] < 40 {
			t.Errorf("as it was: %+v, want the bill of the summary, %v", same, summary.Total.Cost)
		}
		if !database.IsPostgres(dsn) { // the dashboard has the same figures
			store, err := ledger.OpenStore(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			answers := &replays{store: store}
			shown, err := answers.answer(t.Context(), dashboard.Question{USDPerQuality: 0.0001})
			if err != nil {
				t.Fatal(err)
			}
			if printed := mustCarrot(t, "whatif", "--store", dsn, "--json", "--objective", "usd-per-quality=0.0001"); printed != string(shown.JSON) {
				t.Errorf("the dashboard says %s, the command %s", shown.JSON, printed)
			}
			if len(shown.Curve) != 25 || len(shown.Single) != len(shown.Models) || shown.Limited || shown.Curve[0].CostUSD >= shown.Curve[24].CostUSD {
				t.Errorf("the curve %+v and the models %+v", shown.Curve, shown.Single)
			}
		}
		cheap := ask("--objective", "usd-per-quality=0.0001")
		if cheap.Estimates.Changed == 0 || !(cheap.Estimates.Cost.Value < cheap.Facts.Cost && cheap.Estimates.Cost.CI[0] < cheap.Estimates.Cost.Value && cheap.Estimates.Paid > 0) {
			t.Errorf("cheap: %+v", cheap)
		}
		if a := ask("--objective", "balanced", "--router", start, "--policy", "auto"); a.Worth == nil || *a.Worth <= 0 {
			t.Errorf("by the router's frontier: %+v", a)
		}
		for _, m := range ask("--without", frequent).Models {
			if m.Name == frequent && (m.Was < 50 || m.Then == 0 || m.Then > 10) {
				t.Errorf("without %s: %+v, want it where the client named it", frequent, m)
			}
		}
		prices := filepath.Join(dir, "prices.json")
		if err := os.WriteFile(prices, []byte(`{"schema":"carrot.prices/1","unit":"USD per million tokens","models":[{"name":"`+frequent+`","input":0,"output":0,"date":"2026-11-30","source":"a test"}]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if a := ask("--prices", prices); len(a.Repriced) != 1 || a.Estimates.Cost.Value >= a.Facts.Cost {
			t.Errorf("where %s is free: %+v", frequent, a)
		}
		text := mustCarrot(t, "whatif", "--store", dsn, "--objective", "w=0.0001", "--without", frequent, "--prices", prices, "--since", "2026-11-01")
		for _, want := range []string{"what if the objective were w=0.0001 ($0.000100 per unit of quality) with the prices of ", " without " + frequent + "?\n", "300 requests: ", " keep what they were: ", "\nfacts\n", "\nestimates, with 95% intervals\n", "of it observed"} {
			if !strings.Contains(text, want) {
				t.Errorf("the answer lacks %q:\n%s", want, text)
			}
		}

		other := filepath.Join(dir, "mean.safetensors")
		mustCarrot(t, "train", "--data", filepath.Join(dir, "data"), "--out", other, "--predictor", "mean")
		empty := filepath.Join(dir, "empty.json")
		if err := os.WriteFile(empty, []byte(`{"schema":"carrot.prices/1","unit":"USD per million tokens","models":[{"name":"nobody","input":1,"output":1,"date":"2026-11-30","source":"a test"}]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			status int
			args   []string
			want   string
		}{
			{2, nil, "say what would be different"},
			{2, []string{"--objective", "best"}, "objective"},
			{2, []string{"--objective", "min-quality=0.8@0.9"}, "keep a promise"},
			{2, []string{"--objective", "mu=0.1", "--since", "yesterday"}, "--since"},
			{2, []string{"--without", "nobody"}, "want one of"},
			{1, []string{"--prices", empty}, "no price of any model in the ledger"},
			{1, []string{"--prices", filepath.Join(dir, "none.json")}, "none.json"},
			{1, []string{"--objective", "balanced"}, s.router.Fingerprint},
			{1, []string{"--objective", "balanced", "--router", other}, "carrot eval --ledger compares with another router"},
			{1, []string{"--objective", "mu=0.1", "--policy", "nobody"}, "no request of this time and policy"},
			{1, []string{"--objective", "mu=0.1", "--store", filepath.Join(dir, "nowhere.db")}, "name the store"},
		} {
			status, out, errors := carrotCommand(t, append([]string{"whatif", "--store", dsn}, c.args...)...)
			if status != c.status || out != "" || !strings.Contains(errors, c.want) {
				t.Errorf("%v: status %d, %s, want %d and %q", c.args, status, errors, c.status, c.want)
			}
		}
	})
}

// TestWhatifAttempts: a request that fell back costs what all its attempts cost, whatever
// stands between them in the store.
func TestWhatifAttempts(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "carrot.db")
	s, err := ledger.MakeStore(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	attempt := func(request string, number int, model string, outcome record.Outcome, cost int64) *record.Attempt {
		a := &record.Attempt{Time: time.Date(2026, 11, 1, 0, 0, number, 0, time.UTC), RequestID: request, Number: number, API: "chat", Reason: record.Named, First: "a", Candidate: model, Outcome: outcome, ExpectedUnknown: true}
		if a.CostUnknown = cost < 0; cost > 0 {
			a.Cost = carrot.USD(cost)
		}
		return a
	}
	list := []*record.Attempt{attempt("r1", 1, "a", record.FellBack, 2), attempt("r2", 1, "a", record.FellBack, -1), attempt("r1", 2, "b", record.Served, 3), attempt("r2", 2, "a", record.Served, 1), attempt("r3", 2, "b", record.Served, 4)}
	if _, _, err := s.Import(t.Context(), func(yield func(*record.Attempt, error) bool) {
		for _, a := range list {
			if !yield(a, nil) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	requests, err := readRequests(t.Context(), s, ledger.Range{}, nil)
	if err != nil || len(requests) != 3 || math.Abs(requests[0].Was-5e-12) > 1e-20 || requests[0].Model != "b" || !math.IsNaN(requests[1].Was) || requests[2].Was != 4e-12 {
		t.Errorf("requests = %+v, %v, want sums of $5e-12, unknown and $4e-12", requests, err)
	}
}
