package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/judge"
	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/price"
)

// world is a recorded data set, and simulated providers that answer as it says.
type world struct {
	set    *dataset.Set
	openAI *simulate.Provider
	claude *simulate.Provider
	config string // with addresses
	book   *price.Book
}

// replay returns what a model answers: the recorded score and answer as a text, with the
// recorded tokens. An outcome that is not recorded fails.
func (w *world) replay(model, prompt string) (simulate.Reply, bool) {
	for i, q := range w.set.Queries {
		if q.Prompt != prompt {
			continue
		}
		for j, m := range w.set.Models {
			if m.Name != model {
				continue
			}
			score := w.set.Score.At(i, j)
			if math.IsNaN(score) {
				return simulate.Reply{Status: 500, Text: "not recorded"}, true
			}
			return simulate.Reply{Text: fmt.Sprintf("score=%v\nanswer=%s\n", score, w.set.Answers[i][j]),
				InputTokens: int(w.set.InputTokens.At(i, j)), OutputTokens: int(w.set.OutputTokens.At(i, j))}, true
		}
	}
	return simulate.Reply{}, false
}

// newWorld makes a set of some prompts and three models, of which some outcomes are not
// recorded, and serves it.
func newWorld(t *testing.T, prompts int, change func(*simulate.Provider)) *world {
	t.Helper()
	random := rand.New(rand.NewPCG(7, 7))
	names := []string{"small", "large", "claude"}
	w := &world{set: &dataset.Set{Name: "recorded"}, book: &price.Book{}}
	for i := range prompts {
		text := fmt.Sprintf("Question %d: what is %d times %d?", i, random.IntN(90), random.IntN(90))
		w.set.Queries = append(w.set.Queries, dataset.Query{ID: fmt.Sprintf("q%03d", i), Prompt: text, Source: "invented", Split: dataset.SplitOf(text)})
	}
	for k, name := range names {
		w.set.Models = append(w.set.Models, dataset.Model{Name: name, InputUSDPerMillion: float64(k + 1), OutputUSDPerMillion: float64(4 * (k + 1)), Pool: true})
	}
	w.set.Score, w.set.InputTokens, w.set.OutputTokens = dataset.NewMatrix(prompts, 3), dataset.NewMatrix(prompts, 3), dataset.NewMatrix(prompts, 3)
	for i := range prompts {
		answers := make([]string, 3)
		for j := range names {
			if i%10 == 9 && j == 1 {
				for _, m := range []dataset.Matrix{w.set.Score, w.set.InputTokens, w.set.OutputTokens} {
					m.Set(i, j, math.NaN())
				}
				continue
			}
			answers[j] = fmt.Sprintf("h%d", random.IntN(3))
			w.set.Score.Set(i, j, float64(random.IntN(5))/4)
			w.set.InputTokens.Set(i, j, float64(10+random.IntN(40)))
			w.set.OutputTokens.Set(i, j, float64(random.IntN(200)))
		}
		w.set.Answers = append(w.set.Answers, answers)
	}
	models := func(which ...int) (out []simulate.Model) {
		for _, j := range which {
			p := w.set.Models[j].Price()
			p.Tariff = &carrot.Tariff{Tiers: map[string]carrot.TierPrice{Batch: {Factor: 0.5}, Flex: {Factor: 0.5}}}
			out = append(out, simulate.Model{Name: names[j], Price: *p})
			if err := w.book.Set(price.Entry{Name: names[j], Price: *p, Date: "2026-11-01", Source: "a test"}); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	w.openAI = &simulate.Provider{Models: models(0, 1), Answers: w.replay}
	w.claude = &simulate.Provider{Models: models(2), Answers: w.replay}
	for _, p := range []*simulate.Provider{w.openAI, w.claude} {
		if change != nil {
			change(p)
		}
	}
	one, two := httptest.NewServer(w.openAI), httptest.NewServer(w.claude)
	t.Cleanup(one.Close)
	t.Cleanup(two.Close)
	w.config = strings.NewReplacer("OPENAI", one.URL, "CLAUDE", two.URL).Replace(`
prompts: {from: prompts.jsonl}
providers:
  - {name: openai, kind: openai, base_url: OPENAI/v1, api_key: sk-secret-one, concurrency: 8}
  - {name: anthropic, kind: anthropic, base_url: CLAUDE/v1, api_key: sk-secret-two}
models:
  - {name: small, provider: openai, max_tokens: 300}
  - {name: large, provider: openai, max_tokens: 300}
  - {name: claude, provider: anthropic, max_tokens: 300}
judge: {kind: regexp, pattern: "score=(?P<score>[0-9.]+)\nanswer=(?P<answer>.*)"}
retries: 1
cap_usd: 5
`)
	return w
}

// bill returns what the providers charge.
func (w *world) bill() carrot.USD { return w.openAI.Bill().Cost() + w.claude.Bill().Cost() }

// plan writes the prompts and the configuration, and returns the plan for a folder.
func (w *world) plan(t *testing.T, dir, config string) (*Plan, *Config) {
	t.Helper()
	w.write(t, dir, config)
	c, err := OpenConfig(filepath.Join(dir, "collect.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(t.Context(), c, Options{Out: filepath.Join(dir, "out"), Book: w.book})
	if err != nil {
		t.Fatal(err)
	}
	p.backoff, p.poll = time.Millisecond, 5*time.Millisecond
	return p, c
}

func (w *world) write(t *testing.T, dir, config string) {
	t.Helper()
	var lines strings.Builder
	for _, q := range w.set.Queries {
		b, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%s\n", b)
	}
	for name, text := range map[string]string{"prompts.jsonl": lines.String(), "collect.yaml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// check compares the folder that was written with the recorded set.
func (w *world) check(t *testing.T, dir string) {
	t.Helper()
	got, err := dataset.Load(t.Context(), filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	for i, answers := range w.set.Answers {
		for j, answer := range answers {
			if got.Answers[i][j] != judge.FinalHash(answer) {
				t.Errorf("%s, %s: the answer is %q", w.set.Queries[i].ID, w.set.Models[j].Name, got.Answers[i][j])
			}
		}
	}
	got.Answers, got.Name = w.set.Answers, w.set.Name
	if got.ComputeFingerprint() != w.set.ComputeFingerprint() {
		t.Errorf("the set that was collected differs from the recorded one:\n%s\n%s", got.Describe(), w.set.Describe())
	}
}

// TestCollect: the set that is collected equals the recorded one, the bill equals that of
// the providers, and a second run asks nobody.
func TestCollect(t *testing.T) {
	w := newWorld(t, 40, nil)
	dir := t.TempDir()
	p, _ := w.plan(t, dir, w.config)
	report, err := p.Run(t.Context(), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	w.check(t, dir)
	if bill := w.bill(); report.SpentUSD != bill || bill == 0 {
		t.Errorf("spent %s, the providers charge %s", report.SpentUSD, bill)
	}
	if report.Complete != 36 || report.Models[1].Failed != 4 || report.Models[1].Scored != 36 {
		t.Errorf("the report: %+v", report)
	}
	again, _ := w.plan(t, dir, w.config)
	if again.Answered != 116 || again.Calls != 120 {
		t.Errorf("%d of %d answers are there", again.Answered, again.Calls)
	}
	before := w.bill()
	if _, err := again.Run(t.Context(), RunOptions{}); err != nil {
		t.Fatal(err)
	}
	if w.bill() != before {
		t.Error("what was answered was asked again")
	}
	again.Close()
	w.check(t, dir)
	journal, err := os.ReadFile(filepath.Join(dir, "out.collect", journalName))
	if err != nil || strings.Contains(string(journal), "sk-secret") || strings.Contains(string(journal), "what is") {
		t.Errorf("the journal has a key or a prompt (%v)", err)
	}
}

// TestCap: with many calls at a time, the providers never charge more than the cap.
func TestCap(t *testing.T) {
	w := newWorld(t, 60, func(p *simulate.Provider) {
		for i := range p.Models {
			p.Models[i].FirstToken = 5 * time.Millisecond
		}
	})
	dir := t.TempDir()
	config := strings.Replace(strings.Replace(w.config, "cap_usd: 5", "cap_usd: 0.05", 1), "concurrency: 8", "concurrency: 64", 1)
	p, _ := w.plan(t, dir, config)
	report, err := p.Run(t.Context(), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	bill, limit := w.bill(), carrot.Dollars(0.05)
	if bill != report.SpentUSD || bill > limit || bill < limit*8/10 || report.AtCap == 0 {
		t.Errorf("charged %s, spent %s of %s; %d not asked", bill, report.SpentUSD, limit, report.AtCap)
	}
}

// TestRateLimits: a provider that refuses calls beyond its limits is asked more slowly,
// and answers everything in the end.
func TestRateLimits(t *testing.T) {
	w := newWorld(t, 30, func(p *simulate.Provider) {
		p.Limit = simulate.Limit{Concurrent: 2}
		for i := range p.Models {
			p.Models[i].FirstToken = 2 * time.Millisecond
		}
	})
	dir := t.TempDir()
	p, _ := w.plan(t, dir, w.config)
	for _, u := range p.targets {
		u.pace.limit = 8 // as after a while
	}
	if _, err := p.Run(t.Context(), RunOptions{}); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	w.check(t, dir)
}

// TestInterrupt: after an interruption calls in flight are waited for, and a later run
// makes the rest.
func TestInterrupt(t *testing.T) {
	w := newWorld(t, 40, func(p *simulate.Provider) {
		for i := range p.Models {
			p.Models[i].FirstToken = 3 * time.Millisecond
		}
	})
	dir := t.TempDir()
	p, _ := w.plan(t, dir, w.config)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if report, err := p.Run(ctx, RunOptions{}); err == nil || report == nil || len(report.Lost) > 0 || report.SpentUSD != w.bill() {
		t.Errorf("interrupted: %+v, %v; charged %s", report, err, w.bill())
	}
	p.Close()
	p, _ = w.plan(t, dir, w.config)
	if p.Answered == p.Calls || p.Lost > 0 {
		t.Errorf("%d of %d are there, %d lost", p.Answered, p.Calls, p.Lost)
	}
	report, err := p.Run(t.Context(), RunOptions{})
	if err != nil || report.SpentUSD != w.bill() {
		t.Errorf("spent %s, charged %s: %v", report.SpentUSD, w.bill(), err)
	}
	p.Close()
	w.check(t, dir)
}

// TestKill: a process that is killed loses the answers of the calls in flight and nothing
// else.
func TestKill(t *testing.T) {
	if dir := os.Getenv("CARROT_COLLECT"); dir != "" {
		w := &world{book: &price.Book{}}
		for name, k := range map[string]float64{"small": 1, "large": 2, "claude": 3} {
			p := carrot.Price{Input: carrot.PerMillion(k), Output: carrot.PerMillion(4 * k),
				Tariff: &carrot.Tariff{Tiers: map[string]carrot.TierPrice{Batch: {Factor: 0.5}}}}
			if err := w.book.Set(price.Entry{Name: name, Price: p, Date: "2026-11-01", Source: "a test"}); err != nil {
				t.Fatal(err)
			}
		}
		c, err := OpenConfig(filepath.Join(dir, "collect.yaml"), nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewPlan(t.Context(), c, Options{Out: filepath.Join(dir, "out"), Book: w.book})
		if err != nil {
			t.Fatal(err)
		}
		p.backoff, p.poll = time.Millisecond, 5*time.Millisecond
		if _, err := p.Run(t.Context(), RunOptions{Tier: os.Getenv("CARROT_COLLECT_TIER")}); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Run("calls", func(t *testing.T) {
		testKill(t, Standard, newWorld(t, 120, func(p *simulate.Provider) {
			for i := range p.Models {
				p.Models[i].FirstToken = 20 * time.Millisecond
			}
		}))
	})
	t.Run("batches", func(t *testing.T) {
		testKill(t, Batch, newWorld(t, 40, func(p *simulate.Provider) {
			p.Batching = simulate.Batching{Polls: 5, After: 60 * time.Millisecond, Shuffle: true, Duplicates: true}
		}))
	})
}

func testKill(t *testing.T, tier string, w *world) {
	dir := t.TempDir()
	w.write(t, dir, w.config)
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	kills := 0
	for range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), "CARROT_COLLECT="+dir, "CARROT_COLLECT_TIER="+tier)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(30+random.IntN(70)) * time.Millisecond)
		if cmd.Process.Kill() == nil {
			kills++
		}
		_ = cmd.Wait() // killed
	}
	p, _ := w.plan(t, dir, w.config)
	answered, inBatches := p.Answered, p.Pending
	report, err := p.Run(t.Context(), RunOptions{Tier: tier})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	w.check(t, dir)
	var lost carrot.USD
	for _, l := range report.Lost {
		lost += l.Counted
	}
	// The providers charge every answer once, and of those that are lost some once more.
	known := report.SpentUSD - lost
	if bill := w.bill(); bill < known || bill > report.SpentUSD {
		t.Errorf("charged %s; known costs are %s, with lost calls at most %s", bill, known, report.SpentUSD)
	}
	if most := kills * (8 + defaultConcurrency); len(report.Lost) > most || tier == Batch && lost > 0 {
		t.Errorf("%d lost calls in %d kills", len(report.Lost), kills)
	}
	t.Logf("%d kills, %d answers and %d in batches before the last run, %d lost calls", kills, answered, inBatches, len(report.Lost))
}

// TestBatches: whatever happens to batches, the set equals the recorded one, nothing is
// submitted twice, and the bill equals that of the providers, under the cap.
func TestBatches(t *testing.T) {
	for name, test := range map[string]struct {
		batching simulate.Batching
		cap      string
	}{
		"in order":               {simulate.Batching{Polls: 2}, "5"},
		"shuffled, with doubles": {simulate.Batching{Shuffle: true, Duplicates: true}, "5"},
		"partly expired":         {simulate.Batching{Expiring: 0.3, Shuffle: true}, "5"},
		"partly failed":          {simulate.Batching{Failing: 0.2}, "5"},
		"answer lost":            {simulate.Batching{LoseAnswers: 2, After: 20 * time.Millisecond}, "5"},
		"download cut":           {simulate.Batching{CutResults: 2}, "5"},
		"several under the cap":  {simulate.Batching{Polls: 1}, "0.06"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 40, func(p *simulate.Provider) { p.Batching = test.batching })
			dir := t.TempDir()
			p, _ := w.plan(t, dir, strings.NewReplacer("cap_usd: 5", "cap_usd: "+test.cap, "retries: 1", "retries: 8").Replace(w.config))
			defer p.Close()
			report, err := p.Run(t.Context(), RunOptions{Tier: Batch})
			if err != nil {
				t.Fatal(err)
			}
			if bill := w.bill(); bill != report.SpentUSD || bill > p.Cap || bill == 0 {
				t.Errorf("charged %s, spent %s of %s", bill, report.SpentUSD, p.Cap)
			}
			if test.cap == "5" {
				w.check(t, dir)
			} else if report.Complete < 10 {
				t.Errorf("%d prompts are complete", report.Complete)
			}
		})
	}
}

// TestPurse: whatever calls hold, spent and held stay under the cap.
func TestPurse(t *testing.T) {
	p := newPurse(1000, 0)
	var calls sync.WaitGroup
	for i := range 64 {
		calls.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for {
				held := carrot.USD(1 + random.IntN(40))
				if p.hold(t.Context(), held) != nil {
					return
				}
				if spent, held := p.state(); spent+held > 1000 {
					t.Errorf("%d spent and %d held", spent, held)
				}
				p.settle(held, held/2)
			}
		})
	}
	calls.Wait()
	if spent, held := p.state(); held != 0 || spent < 900 {
		t.Errorf("in the end %d spent, %d held", spent, held)
	}
}
