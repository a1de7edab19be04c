package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/internal/exampledata"
	"github.com/carrot-router/carrot/internal/learn"
	"github.com/carrot-router/carrot/internal/ledger"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/record"
)

// carrotCommand runs a command and returns its status and what it prints.
func carrotCommand(t *testing.T, args ...string) (status int, out, errors string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), args, terminal{strings.NewReader(""), &o, &e})
	return status, o.String(), e.String()
}

// mustCarrot runs a command that succeeds and returns what it prints.
func mustCarrot(t *testing.T, args ...string) string {
	t.Helper()
	status, out, errors := carrotCommand(t, args...)
	if status != 0 {
		t.Fatalf("carrot %s: status %d: %s", strings.Join(args, " "), status, errors)
	}
	return out
}

// simulatedTraffic are requests to a router on the example data, with feedback.
type simulatedTraffic struct {
	router *artifact.Artifact
	set    *dataset.Set
	w      float64
	rate   float64 // of exploration
	// worse is a model that is right less often than in the data: the share of its scores
	// that are lost.
	worse string
	lost  float64
	text  bool // the judged text is recorded
}

// fill adds requests to a store, the first of which has the given number, and returns the
// model that the router chooses most often.
func (s *simulatedTraffic) fill(t *testing.T, dsn string, first, requests int, seed uint64) (most string) {
	t.Helper()
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	router, err := s.router.Router(static, s.router.Pool(nil))
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for j, m := range s.set.Models {
		column[m.Name] = j
	}
	r := rand.New(rand.NewPCG(seed, 17))
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	var attempts []*record.Attempt
	var said []ledger.Feedback
	chosen := map[string]int{}
	for k := range requests {
		i := r.IntN(len(s.set.Queries))
		d, err := router.Route(context.Background(), carrot.Query{Text: s.set.Queries[i].Prompt}, carrot.USDPerQuality(s.w))
		if err != nil {
			t.Fatal(err)
		}
		if chosen[d.Model]++; chosen[d.Model] > chosen[most] {
			most = d.Model
		}
		a := &record.Attempt{Time: start.Add(time.Duration(first+k) * time.Second), RequestID: fmt.Sprintf("req_%05d", first+k), Number: 1, API: "chat", Client: "app",
			Session: fmt.Sprint((first + k) / 2), Policy: "auto", Reason: record.TradeOff, Decision: &d, Propensity: 1, Provider: "sim", Outcome: record.Served, Status: 200}
		a.Candidate = d.Model
		if n := float64(len(d.Candidates)); s.rate > 0 {
			a.Propensity = 1 - s.rate + s.rate/n
			if pick := d.Candidates[r.IntN(len(d.Candidates))].Name; r.Float64() < s.rate && pick != d.Model {
				a.Candidate, a.Reason, a.Propensity = pick, record.Exploration, s.rate/n
			}
		}
		a.First, a.UpstreamModel = a.Candidate, a.Candidate
		if s.text {
			a.Prompt = []byte(s.set.Queries[i].Prompt)
		}
		a.Cost, a.Expected = a.Estimate().Cost, a.Estimate().Cost
		m := column[a.Candidate]
		if tokens := s.set.OutputTokens.At(i, m); !math.IsNaN(tokens) {
			a.Usage = carrot.Usage{Input: 10, Output: int(tokens)}
		}
		if k%10 == 9 {
			a.Reason = record.Named
		}
		attempts = append(attempts, a)
		score := s.set.Score.At(i, m)
		if math.IsNaN(score) || k%20 == 0 {
			continue
		}
		if a.Candidate == s.worse && r.Float64() < s.lost {
			score = 0
		}
		said = append(said, ledger.Feedback{Time: a.Time.Add(time.Minute), RequestID: a.RequestID, Kind: "score", Score: &score, By: "test"})
	}
	store, err := ledger.MakeStore(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	all := iter.Seq2[*record.Attempt, error](func(yield func(*record.Attempt, error) bool) {
		for _, a := range attempts {
			if !yield(a, nil) {
				return
			}
		}
	})
	if _, _, err := store.Import(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for _, f := range said {
		if err := store.AddFeedback(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	return most
}

// trainedOnExample trains a router on the example data.
func trainedOnExample(t *testing.T) (dir, path string, s *simulatedTraffic) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("CARROT_CACHE", dir)
	set := exampledata.New(price.CountTokens)
	if err := set.WriteDir(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "start.safetensors")
	mustCarrot(t, "train", "--data", filepath.Join(dir, "data"), "--out", path, "--predictor", "ridge:alpha=5")
	a, err := artifact.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return dir, path, &simulatedTraffic{router: a, set: set, w: 0.02, rate: 0.3}
}

// TestLearnFromLedger: on a gateway's requests, other decisions are evaluated, the router is
// corrected, and a better one is promoted, after a look at outcomes that it was not made from.
func TestLearnFromLedger(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		dir, start, s := trainedOnExample(t)
		s.worse = s.fill(t, dsn, 0, 400, 1)
		if out := mustCarrot(t, "learn", "--ledger", dsn, "--router", start, "--out", filepath.Join(dir, "none"), "--policy", "auto"); !strings.Contains(out, "waiting: 3") || !strings.Contains(out, "scores of 1000: half of them to learn from") {
			t.Errorf("with few scores: %s", out)
		}
		s.lost = 0.6
		s.fill(t, dsn, 400, 2400, 2)

		t.Run("eval", func(t *testing.T) {
			out := mustCarrot(t, "eval", "--ledger", dsn, "--objective", "w=0.001", "--json", "-")
			var r offPolicyReport
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatal(err)
			}
			f := r.Facts
			if r.Schema != offPolicySchema || f.Requests != 2800 || f.LeftOut["named"] != 280 || f.Evaluated != 2520 || f.Scored < 2200 || f.Scored > 2520 || len(r.Refusals) != 0 {
				t.Errorf("report = %s", out)
			}
			if d := r.Estimates.Difference.Cost.DoublyRobust; !(d.CI[1] < 0) {
				t.Errorf("difference in cost = %+v, want less at a lower willingness to pay", d)
			}
			text := mustCarrot(t, "eval", "--ledger", dsn, "--router", start, "--objective", "balanced", "--policy", "auto")
			for _, want := range []string{"facts\n", "left out          280: named 280", "\nestimates for the router start under the objective balanced ($", "doubly robust", "\ntried first", "\nconclusion: "} {
				if !strings.Contains(text, want) {
					t.Errorf("report lacks %q:\n%s", want, text)
				}
			}
		})

		t.Run("train", func(t *testing.T) {
			next := filepath.Join(dir, "next.safetensors")
			mustCarrot(t, "train", "--ledger", dsn, "--router", start, "--out", next)
			a, err := artifact.Open(next)
			if err != nil {
				t.Fatal(err)
			}
			l := a.Manifest.Learned
			for j, m := range a.Manifest.Models {
				if m.Name == s.worse && !(l.Quality[j] < -0.1 && l.Rows[j] > 100) {
					t.Errorf("%s, which became worse, is shifted by %.3f from %d requests", m.Name, l.Quality[j], l.Rows[j])
				}
			}
			if out := mustCarrot(t, "inspect", next); !strings.Contains(out, "learnt from ") || !strings.Contains(out, s.worse) || !strings.Contains(out, "earlier routers of the same fit: "+s.router.Fingerprint) {
				t.Errorf("inspect:\n%s", out)
			}
			again := filepath.Join(dir, "again.safetensors")
			mustCarrot(t, "train", "--ledger", dsn, "--router", next, "--out", again) // the same requests are not counted twice
			b, err := artifact.Open(again)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(b.Manifest.Learned.Quality) != fmt.Sprint(l.Quality) {
				t.Errorf("learnt again from the same requests: %v, want %v", b.Manifest.Learned.Quality, l.Quality)
			}
			data := filepath.Join(dir, "fresh.safetensors")
			mustCarrot(t, "train", "--data", filepath.Join(dir, "data"), "--predictor", "ridge:alpha=5", "--ledger", dsn, "--out", data)
			if one, other := read(t, next), read(t, data); !bytes.Equal(one, other) {
				t.Error("the router that was trained and corrected at once differs from the one that was corrected later")
			}
			status, _, errors := carrotCommand(t, "train", "--data", filepath.Join(dir, "data"), "--predictor", "mean", "--ledger", dsn, "--out", data)
			if status != 1 || !strings.Contains(errors, "no decision in the ledger is of this router") || !strings.Contains(errors, s.router.Fingerprint) {
				t.Errorf("another router: status %d, %s", status, errors)
			}
		})

		t.Run("learn", func(t *testing.T) {
			next := filepath.Join(dir, "promoted.safetensors")
			args := []string{"learn", "--ledger", dsn, "--router", start, "--out", next, "--policy", "auto", "--json"}
			var r learnReport
			decide := func(args ...string) {
				t.Helper()
				r = learnReport{}
				out := mustCarrot(t, args...)
				if err := json.Unmarshal([]byte(out), &r); err != nil {
					t.Fatalf("%s: %v", out, err)
				}
			}
			decide(append(args, "--dry-run")...)
			onTraffic := r
			heldOut := filepath.Join(dir, "heldout") // where the model is as good as it was
			if err := s.set.Subset(s.set.Rows(dataset.SplitValidation), nil).WriteDir(heldOut); err != nil {
				t.Fatal(err)
			}
			decide(append(args, "--dry-run", "--data", heldOut)...)
			if r.HeldOut == nil || r.HeldOut.Changed == 0 || float64(r.HeldOut.Utility) >= 0 || onTraffic.Traffic.Utility <= 0 {
				t.Errorf("on held-out outcomes: %+v, on requests: %+v, want worse and better", r.HeldOut, onTraffic.Traffic)
			}
			if want := map[bool]string{true: learnKept, false: onTraffic.Decision}[r.HeldOut.Upper < 0]; r.Decision != want {
				t.Errorf("decision %q, want %q: %+v", r.Decision, want, r.HeldOut)
			}
			config := configured(t, dsn, "router: "+start+"\nproviders: [{name: sim, kind: openai, base_url: \"http://127.0.0.1:1/v1\"}]\nmodels: [{name: pumpkin-large, provider: sim}]\n")
			decide("learn", "--config", config, "--policy", "auto", "--dry-run", "--json")
			if r.Router != s.router.Fingerprint || r.Decision != onTraffic.Decision {
				t.Errorf("by the configuration: %+v, want %+v", r, onTraffic)
			}
			if _, err := os.Stat(next + ".learn.json"); err == nil || !r.DryRun {
				t.Error("--dry-run wrote the state")
			}
			decide(args...)
			if r.Decision == learnWaiting || r.Looks != 1 || r.Traffic.Outcomes < 1000 {
				t.Fatalf("first look: %+v, %+v", r, r.Traffic)
			}
			for k := 0; r.Decision != learnPromoted && k < 6; k++ {
				s.fill(t, dsn, 10_000+1000*k, 700, uint64(k))
				decide(args...)
			}
			if r.Decision != learnPromoted || r.Traffic.Lower <= 0 {
				t.Fatalf("after all looks: %+v, %+v, want a promotion", r, r.Traffic)
			}
			a, err := artifact.Open(next)
			if err != nil || a.Fingerprint != r.Promoted {
				t.Errorf("promoted %q: %v", r.Promoted, err)
			}
			state, err := readLearnState(next + ".learn.json")
			if err != nil || len(state.Promotions) != 1 || len(state.Looks) != 0 || state.Live != r.Promoted || state.Promotions[0].From != s.router.Fingerprint {
				t.Errorf("state = %+v, %v", state, err)
			}
			decide("learn", "--ledger", dsn, "--router", next, "--out", next, "--policy", "auto", "--json")
			if r.Decision != learnWaiting || r.New != 0 || r.Scores < 2000 {
				t.Errorf("after the promotion: %+v, want to wait for new scores, and to know those of the earlier router", r)
			}
			status, _, errors := carrotCommand(t, "learn", "--ledger", dsn, "--router", start, "--out", filepath.Join(dir, "x.safetensors"), "--policy", "auto", "--data", filepath.Join(dir, "data"))
			if status != 1 || !strings.Contains(errors, "was trained on this data set") {
				t.Errorf("held out from itself: status %d, %s", status, errors)
			}
		})
	})
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestLedgerOfAnotherRouter: what another router would have decided is known where the text
// was recorded, and requests without it are left out, not taken for unsupported.
func TestLedgerOfAnotherRouter(t *testing.T) {
	dir, start, s := trainedOnExample(t)
	dsn, other := filepath.Join(dir, "carrot.db"), filepath.Join(dir, "mean.safetensors")
	mustCarrot(t, "train", "--data", filepath.Join(dir, "data"), "--out", other, "--predictor", "mean")
	s.fill(t, dsn, 0, 200, 1)
	s.text = true
	s.fill(t, dsn, 200, 600, 2)
	status, out, errors := carrotCommand(t, "eval", "--ledger", dsn, "--router", other, "--objective", "w=0.02", "--json", "-")
	var r offPolicyReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 {
		t.Fatalf("status %d, %v: %s", status, err, errors)
	}
	if r.Facts.LeftOut["no-text"] != 180 || r.Facts.Evaluated != 540 || r.Facts.Unsupported != 0 || !strings.Contains(errors, "180 requests cannot be decided again") {
		t.Errorf("facts = %+v, %s", r.Facts, errors)
	}
	next := filepath.Join(dir, "next.safetensors")
	_, _, errors = carrotCommand(t, "train", "--ledger", dsn, "--router", other, "--out", next)
	a, err := artifact.Open(next)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, n := range a.Manifest.Learned.Rows {
		rows += n
	}
	if rows < 450 || rows > 540 || !strings.Contains(errors, "180 requests left out, because other routers decided them") {
		t.Errorf("learnt from %d requests: %s", rows, errors)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"eval", "--ledger", dsn, "--objective", "balanced"}, "--router names the saved router whose frontier says what it means"},
		{[]string{"eval", "--ledger", dsn}, "--ledger needs an --objective or a --router"},
		{[]string{"eval", "--ledger", dsn, "--objective", "w=-1"}, "usd-per-quality=-1"},
		{[]string{"eval", "--ledger", dsn, "--data", dir, "--objective", "w=1"}, "give one"},
		{[]string{"eval", "--ledger", dsn, "--objective", "w=1", "--since", "yesterday"}, "want an age such as 30d or a day"},
		{[]string{"eval", "--data", dir, "--policy", "auto"}, "choose requests of a --ledger"},
		{[]string{"eval"}, "missing flags: --data=DIR,... or --ledger=DSN"},
		{[]string{"train", "--out", next, "--ledger", dsn}, "give either --router FILE or --data DIR"},
		{[]string{"train", "--out", next, "--router", start}, "go with --ledger"},
		{[]string{"learn", "--ledger", dsn}, "give --config FILE, or"},
	} {
		if status, _, errors := carrotCommand(t, c.args...); status != 2 || !strings.Contains(errors, c.want) {
			t.Errorf("carrot %s: status %d, %s, want %q", strings.Join(c.args, " "), status, errors, c.want)
		}
	}
	if status, _, errors := carrotCommand(t, "learn", "--ledger", dsn, "--router", other, "--out", next); status != 1 || !strings.Contains(errors, "no decision in the ledger is of this router") {
		t.Errorf("learn for another router: status %d, %s", status, errors)
	}
}

// longer is what a router has learnt that expects all answers to be half as long again.
func longer(a *artifact.Artifact) artifact.Learned {
	n := len(a.Manifest.Models)
	return artifact.Learned{Correction: artifact.Correction{Quality: make([]float64, n), Tokens: slices.Repeat([]float64{1.5}, n)},
		QualitySE: make([]*float64, n), TokensSE: make([]*float64, n), Rows: make([]int, n)}
}

// TestCorrectedRouterGetsAModel: a router that has learnt from traffic can get another model,
// and still learns from the decisions that were made before.
func TestCorrectedRouterGetsAModel(t *testing.T) {
	_, path, _ := trainedOnExample(t)
	start, err := artifact.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	n, learned := len(start.Manifest.Models), longer(start)
	saved, err := (&learnCommand{Out: path}).promote(terminal{}, &lesson{live: start, next: learned})
	if err != nil {
		t.Fatal(err)
	}
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	x := make([]carrot.Representation, 3)
	if err := static.Embed(t.Context(), []string{"Add 3 to 5.", "Write a poem.", "Sort a list."}, x); err != nil {
		t.Fatal(err)
	}
	next := *saved
	if next.Predictor, err = saved.Predictor.Add("new", x, []float64{1, 0, 1}, []float64{10, 20, 30}); err != nil {
		t.Fatal(err)
	}
	next.Manifest.Models = append(slices.Clone(next.Manifest.Models), artifact.Model{Name: "new"})
	next.Manifest.Learned = learnedOfOneMore(saved)
	if err := next.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	read, err := artifact.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	l := learn.NewLineage(read)
	for _, router := range []string{start.Fingerprint, saved.Fingerprint, read.Fingerprint} {
		if c, ok := l.Correction(router); !ok || len(c.Quality) != n+1 || c.Tokens[n] != 1 {
			t.Errorf("router %s: %+v, %v, want a correction of %d models", router, c, ok, n+1)
		}
	}
	if learnedOfOneMore(start) != nil {
		t.Error("a router that has learnt nothing gets a correction")
	}
}
