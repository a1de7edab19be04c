// Command collect checks carrot collect on a recorded data folder, through real HTTP: it
// serves the recorded outcomes with carrot simulate, collects them with carrot collect,
// which it kills a number of times at random moments, and compares the set and the bill
// with what was recorded and charged. See runs/collect.sh.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "collect:", err)
		os.Exit(1)
	}
}

type check struct {
	program, data, dir, tier, source string
	kills, inFlight                  int
	cap                              float64
	seed                             uint64
	set                              *dataset.Set
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("collect", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: collect [flags]\n\nExample: collect -carrot ./carrot -data .cache/public/zeroeval -kills 30")
		flags.PrintDefaults()
	}
	var c check
	flags.StringVar(&c.program, "carrot", "carrot", "the program")
	flags.StringVar(&c.data, "data", "", "data folder")
	flags.StringVar(&c.source, "source", "", "collect only the queries whose source begins with this")
	flags.StringVar(&c.tier, "wait", "", "flex or batch")
	flags.IntVar(&c.kills, "kills", 0, "number of kills")
	flags.IntVar(&c.inFlight, "concurrency", 64, "calls at a time")
	flags.Float64Var(&c.cap, "cap", 1000, "cap in USD")
	flags.Uint64Var(&c.seed, "seed", 1, "seed of the moments of kills")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if c.data == "" {
		return errors.New("name a data folder with -data")
	}
	var err error
	if c.dir, err = os.MkdirTemp("", "carrot-collect-"); err != nil {
		return err
	}
	defer os.RemoveAll(c.dir)
	if c.set, err = dataset.Load(ctx, c.data); err != nil {
		return err
	}
	var rows []int
	seen := map[string]bool{}
	for i, q := range c.set.Queries { // of equal prompts, only the first can be replayed
		if strings.HasPrefix(q.Source, c.source) && !seen[q.Prompt] {
			rows = append(rows, i)
			seen[q.Prompt] = true
		}
	}
	if len(rows) < len(c.set.Queries) {
		cols := make([]int, len(c.set.Models))
		for j := range cols {
			cols[j] = j
		}
		c.set = c.set.Subset(rows, cols)
		c.data = filepath.Join(c.dir, "recorded")
		if err := c.set.WriteDir(c.data); err != nil {
			return err
		}
	}
	return c.run(ctx)
}

var address = regexp.MustCompile(`http://[0-9.:]+`)

func (c *check) run(ctx context.Context) error {
	began := time.Now()
	server := exec.CommandContext(ctx, c.program, "simulate", "--data", c.data, "--listen", "127.0.0.1:0", "--delay", "1ms", "--batch-time", (300*time.Millisecond + time.Duration(c.kills)*3*time.Second).String())
	said, err := server.StderrPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait() // killed
	}()
	lines := bufio.NewReader(said)
	var url string
	for url == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			return fmt.Errorf("carrot simulate ended: %w", err)
		}
		url = address.FindString(line)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // until it ends
	if err := c.configure(url); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(c.seed, 1))
	killed := 0
	for killed < c.kills {
		cmd := c.collect(ctx)
		if err := cmd.Start(); err != nil {
			return err
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("carrot collect: %w", err)
			}
			return fmt.Errorf("everything was collected after %d kills: use a larger set", killed)
		case <-time.After(time.Duration(500+random.IntN(4500)) * time.Millisecond):
			_ = cmd.Process.Kill()
			<-done
			killed++
		}
	}
	cmd := c.collect(ctx)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("carrot collect: %w", err)
	}
	return c.compare(ctx, url, killed, time.Since(began))
}

func (c *check) collect(ctx context.Context) *exec.Cmd {
	args := []string{"collect", "--config", filepath.Join(c.dir, "collect.yaml"), "--out", filepath.Join(c.dir, "out"), "--yes", "--json"}
	if c.tier != "" {
		args = append(args, "--wait", c.tier)
	}
	return exec.CommandContext(ctx, c.program, args...)
}

// configure writes the configuration.
func (c *check) configure(url string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "prompts: {from: %s}\nproviders:\n  - {name: openai, kind: openai, base_url: %q, api_key: sk-0000, concurrency: %d}\n", c.data, url+"/v1", c.inFlight)
	fmt.Fprintf(&b, "  - {name: anthropic, kind: anthropic, base_url: %q, api_key: sk-1111, concurrency: %d}\nmodels:\n", url+"/v1", c.inFlight)
	for i, m := range c.set.Models {
		if !m.Priced() {
			return fmt.Errorf("model %s has no price", m.Name)
		}
		most := 1.0
		for k := range c.set.Queries {
			if v := c.set.OutputTokens.At(k, i); v > most {
				most = v
			}
		}
		fmt.Fprintf(&b, "  - {name: %q, provider: %s, max_tokens: %.0f, pool: %t, price: {input: %v, output: %v, batch: 0.5, flex: 0.5}}\n",
			m.Name, []string{"openai", "anthropic"}[i%2], most, m.Pool, m.InputUSDPerMillion, m.OutputUSDPerMillion)
	}
	fmt.Fprintf(&b, "judge: {kind: regexp, pattern: \"score=(?P<score>[0-9.e-]+)\\nanswer=(?P<answer>.*)\"}\nretries: 0\ncap_usd: %v\n", c.cap)
	return os.WriteFile(filepath.Join(c.dir, "collect.yaml"), []byte(b.String()), 0o600)
}

// compare compares what was collected with what is recorded.
func (c *check) compare(ctx context.Context, url string, killed int, took time.Duration) error {
	got, err := dataset.Load(ctx, filepath.Join(c.dir, "out"))
	if err != nil {
		return err
	}
	problems, outcomes := 0, 0
	differ := func(format string, args ...any) {
		if problems++; problems <= 10 {
			fmt.Printf(format+"\n", args...)
		}
	}
	if len(got.Queries) != len(c.set.Queries) || len(got.Models) != len(c.set.Models) {
		return fmt.Errorf("%d queries and %d models, want %d and %d", len(got.Queries), len(got.Models), len(c.set.Queries), len(c.set.Models))
	}
	same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
	classes, back := map[[2]string]string{}, map[[2]string]string{}
	for i, q := range c.set.Queries {
		if got.Queries[i] != q {
			differ("query %s differs", q.ID)
		}
		for j, m := range c.set.Models {
			for name, pair := range map[string][2]float64{"score": {c.set.Score.At(i, j), got.Score.At(i, j)}, "input tokens": {c.set.InputTokens.At(i, j), got.InputTokens.At(i, j)},
				"output tokens": {c.set.OutputTokens.At(i, j), got.OutputTokens.At(i, j)}} {
				if math.IsNaN(c.set.Score.At(i, j)) && name != "score" { // an outcome without a score is not one
					continue
				}
				if !same(pair[0], pair[1]) {
					differ("%s, %s: %s %v, want %v", q.ID, m.Name, name, pair[1], pair[0])
				}
			}
			if !math.IsNaN(got.Score.At(i, j)) {
				outcomes++
			}
			if c.set.Answers == nil || math.IsNaN(c.set.Score.At(i, j)) {
				continue
			}
			// Equal hashes must stay equal, and different ones different.
			a, b := c.set.Answers[i][j], got.Answers[i][j]
			if was, known := classes[[2]string{q.ID, a}]; known && was != b || (a == "") != (b == "") {
				differ("%s, %s: the answer is not that of others who gave the same", q.ID, m.Name)
			}
			if was, known := back[[2]string{q.ID, b}]; known && was != a {
				differ("%s, %s: the answer is that of others who gave another", q.ID, m.Name)
			}
			classes[[2]string{q.ID, a}], back[[2]string{q.ID, b}] = b, a
		}
	}
	var report struct {
		Spent carrot.USD `json:"spent_usd"`
		Lost  []struct {
			Counted carrot.USD `json:"counted_usd"`
		} `json:"paid_answer_lost"`
	}
	text, err := os.ReadFile(filepath.Join(c.dir, "out.collect", "report.json"))
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil {
		return err
	}
	var bill struct {
		Cost carrot.USD `json:"cost_usd"`
	}
	response, err := http.Get(url + "/bill")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&bill); err != nil {
		return err
	}
	var lost carrot.USD
	for _, l := range report.Lost {
		lost += l.Counted
	}
	if bill.Cost < report.Spent-lost || bill.Cost > report.Spent {
		differ("charged %s; known costs are %s, with lost calls at most %s", bill.Cost, report.Spent-lost, report.Spent)
	}
	if most := killed * 2 * c.inFlight; len(report.Lost) > most {
		differ("%d lost calls, more than %d in flight at %d kills", len(report.Lost), most, killed)
	}
	fmt.Printf("%s: %d outcomes, %d differences; charged %s, counted %s, of which %s for %d lost calls; %d kills; %s\n",
		c.set.Name, outcomes, problems, bill.Cost, report.Spent, lost, len(report.Lost), killed, took.Round(time.Second))
	if problems > 0 {
		return fmt.Errorf("%d differences", problems)
	}
	return nil
}
