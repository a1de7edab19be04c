package collect

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/simulate"
)

// withoutClaude leaves the model at Anthropic out of a configuration.
func withoutClaude(config string) string {
	return strings.Replace(config, "  - {name: claude, provider: anthropic, max_tokens: 300}\n", "", 1)
}

// TestFlex: answers at the tier flex are billed at its price, also if there is sometimes no
// capacity, and a provider without the tier is refused before anything is asked.
func TestFlex(t *testing.T) {
	w := newWorld(t, 20, func(p *simulate.Provider) {
		for i := range p.Models {
			p.Models[i].FlexUnavailable = 0.2
		}
	})
	p, _ := w.plan(t, t.TempDir(), w.config)
	if _, err := p.Run(t.Context(), RunOptions{Tier: Flex}); err == nil || !strings.Contains(err.Error(), "Anthropic has no tier flex") || w.bill() != 0 {
		t.Errorf("with a model at Anthropic: %v", err)
	}
	p.Close()
	p, _ = w.plan(t, t.TempDir(), strings.Replace(withoutClaude(w.config), "retries: 1", "retries: 3", 1))
	defer p.Close()
	report, err := p.Run(t.Context(), RunOptions{Tier: Flex})
	if err != nil {
		t.Fatal(err)
	}
	var flex int
	for _, l := range w.openAI.Bill().Lines {
		flex += l.Flex
	}
	if report.SpentUSD != w.bill() || flex != 38 || report.Complete != 18 {
		t.Errorf("spent %s, charged %s; %d answers at flex, %d prompts complete", report.SpentUSD, w.bill(), flex, report.Complete)
	}
}

// TestStates: a refusal is counted and scored only if the configuration says so, and an
// answer that the limit on tokens has cut is counted and scored.
func TestStates(t *testing.T) {
	for rule, want := range map[string]float64{"absent": math.NaN(), "zero": 0, "judge": 1} {
		t.Run(rule, func(t *testing.T) {
			w := newWorld(t, 5, nil)
			w.openAI.Answers = func(_, prompt string) (simulate.Reply, bool) {
				r := simulate.Reply{Text: "score=1\nanswer=a", InputTokens: 10, OutputTokens: 10}
				switch prompt {
				case w.set.Queries[0].Prompt:
					r.Finish = "refused"
				case w.set.Queries[1].Prompt:
					r.Finish = "length"
				}
				return r, true
			}
			dir := t.TempDir()
			p, _ := w.plan(t, dir, withoutClaude(w.config)+"refusals: "+rule+"\n")
			defer p.Close()
			report, err := p.Run(t.Context(), RunOptions{})
			if err != nil {
				t.Fatal(err)
			}
			scored := 5
			if math.IsNaN(want) {
				scored = 4
			}
			if m := report.Models[0]; m.Refused != 1 || m.Truncated != 1 || m.Scored != scored || m.Failed+m.NotJudged != 0 {
				t.Errorf("%+v", m)
			}
			set, err := dataset.Load(t.Context(), filepath.Join(dir, "out"))
			if err != nil {
				t.Fatal(err)
			}
			if got := set.Score.At(0, 0); got != want && !(math.IsNaN(got) && math.IsNaN(want)) || set.Score.At(1, 0) != 1 {
				t.Errorf("the refusal scores %v, want %v; the cut answer %v", got, want, set.Score.At(1, 0))
			}
		})
	}
}

// TestRepeats: prompts that are asked again tell how scores vary between answers, and how
// between judgements of one answer. What the judge costs is on the bill.
func TestRepeats(t *testing.T) {
	w := newWorld(t, 6, func(p *simulate.Provider) {
		if len(p.Models) == 2 {
			p.Models = append(p.Models, simulate.Model{Name: "judge", Price: p.Models[0].Price})
		}
	})
	answers, judgements := make(chan int, 1), make(chan int, 1)
	answers <- 0
	judgements <- 0
	w.openAI.Answers = func(model, _ string) (simulate.Reply, bool) {
		if model != "judge" {
			n := <-answers
			answers <- n + 1
			return simulate.Reply{Text: "an answer", InputTokens: 10, OutputTokens: 5}, true
		}
		n := <-judgements
		judgements <- n + 1
		return simulate.Reply{Text: fmt.Sprintf("0.%02d", n), InputTokens: 50, OutputTokens: 3}, true
	}
	config := withoutClaude(w.config)
	judge := config[strings.Index(config, "judge:"):strings.Index(config, "retries:")]
	config = strings.Replace(config, judge, "judge: {kind: model, model: judge}\njudge_model: {name: judge, provider: openai, max_tokens: 50, price: {input: 1, output: 4}}\n", 1)
	p, _ := w.plan(t, t.TempDir(), config+"repeats: {times: 2, queries: 2}\n")
	defer p.Close()
	report, err := p.Run(t.Context(), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Two models, six prompts, of which two are asked twice; their first answers are judged twice.
	if a, j := <-answers, <-judgements; a != 16 || j != 20 {
		t.Errorf("%d answers and %d judgements", a, j)
	}
	if n := report.Noise; n == nil || n.Queries != 2 || n.Answers == nil || n.Judge == nil || !(*n.Judge > 0) {
		t.Errorf("noise %+v", n)
	}
	if report.SpentUSD != w.bill() || len(report.Bill) != 3 || report.Bill[2].For != forJudge || report.Bill[2].Calls != 20 {
		t.Errorf("spent %s, charged %s: %+v", report.SpentUSD, w.bill(), report.Bill)
	}
}

// lettered embeds a text by its letters.
type lettered struct{}

func (lettered) ID() string { return "lettered" }

func (lettered) Embed(_ context.Context, texts []string, dst []carrot.Representation) error {
	for i, text := range texts {
		dst[i].Dense = make([]float32, 10)
		for _, c := range text {
			if c >= '0' && c <= '9' {
				dst[i].Dense[c-'0']++
			}
		}
	}
	return nil
}

// TestLabels: of fewer labels than prompts, a third is drawn at random and measured; the
// others are chosen, and only train.
func TestLabels(t *testing.T) {
	w := newWorld(t, 40, nil)
	dir := t.TempDir()
	w.write(t, dir, strings.Replace(w.config, "from: prompts.jsonl", "from: prompts.jsonl, labels: 12", 1))
	c, err := OpenConfig(filepath.Join(dir, "collect.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(t.Context(), c, Options{Out: filepath.Join(dir, "out"), Book: w.book, Embedder: lettered{}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	report, err := p.Run(t.Context(), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Load(t.Context(), filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	extra := 0
	for _, q := range set.Queries {
		if q.Split == dataset.SplitExtra {
			extra++
		}
	}
	if report.Prompts != 12 || report.Random != 4 || len(set.Queries) != 12 || extra != 8 {
		t.Errorf("%d prompts, %d at random; the set has %d, of which %d extra", report.Prompts, report.Random, len(set.Queries), extra)
	}
}

// TestFailingBefore: prompts that a model always fails on do not stop it in a later run, in
// which they come first, while a model that only fails is stopped.
func TestFailingBefore(t *testing.T) {
	w := newWorld(t, 60, nil)
	answers := w.openAI.Answers
	w.openAI.Answers = func(model, prompt string) (simulate.Reply, bool) {
		for i, q := range w.set.Queries {
			if q.Prompt == prompt && model == "large" && i%2 == 0 {
				return simulate.Reply{Status: 500, Text: "always"}, true
			}
		}
		return answers(model, prompt)
	}
	dir := t.TempDir()
	for run := range 2 {
		p, _ := w.plan(t, dir, w.config)
		report, err := p.Run(t.Context(), RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
		if m := report.Models[1]; len(report.Stopped) > 0 || m.Failed != 36 || m.Scored != 24 { // 6 of them are not recorded
			t.Errorf("run %d: %+v, stopped %v", run, m, report.Stopped)
		}
	}
	w.openAI.Answers = func(string, string) (simulate.Reply, bool) { return simulate.Reply{Status: 500}, true }
	p, _ := w.plan(t, t.TempDir(), w.config)
	defer p.Close()
	if report, err := p.Run(t.Context(), RunOptions{}); err != nil || len(report.Stopped) != 2 {
		t.Errorf("stopped %v, %v", report.Stopped, err)
	}
}
