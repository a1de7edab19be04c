package collect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/price"
)

// FuzzConfig: a configuration that is accepted can be planned with, as far as no file is
// missing.
func FuzzConfig(f *testing.F) {
	f.Add(`prompts: {from: prompts.jsonl}
providers: [{name: openai, kind: openai, api_key: k}, {name: a, kind: anthropic}]
models:
  - {name: one, provider: openai, effort: low, settings: {temperature: 0, stop: [x]}, price: {input: 1, output: 2, batch: 0.5}}
  - {name: two, provider: a, price: {input: 1, cached_input: 0, output: 2}}
judge: {kind: model, model: judge, votes: 2}
judge_model: {name: judge, provider: openai, price: {input: 0, output: 0}}
redact: {patterns: [{pattern: "[0-9]+", with: "#"}]}
repeats: {times: 2}
cap_usd: 1
`)
	f.Add("prompts: {from: x}\nproviders: []\nmodels: []\njudge: {kind: regexp, pattern: '(?P<score>.)'}\ncap_usd: .inf\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig([]byte(text), "collect.yaml", nil)
		if err != nil || len(c.Redact.Command) > 0 || len(c.Judge.Command) > 0 || c.Judge.Schema != "" || c.Judge.Prompt != "" || c.Prompts.Format != "" || c.Prompts.References != "" || c.Prices != "" {
			return
		}
		dir := t.TempDir()
		c.Prompts.From = filepath.Join(dir, "prompts.jsonl")
		if err := os.WriteFile(c.Prompts.From, []byte(`{"prompt":"What is 1+1?","reference":"2"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := NewPlan(t.Context(), c, Options{Out: filepath.Join(dir, "out"), Book: &price.Book{}})
		if err != nil {
			return
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

// FuzzPrompts: prompts that are accepted can be asked, and redacted.
func FuzzPrompts(f *testing.F) {
	f.Add("json", `{"id":1,"prompt":"a","reference":["x"],"choices":["x"]}`+"\n"+`{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]}`)
	f.Add("json", `[{"id":"a","messages":[{"role":"system","content":"s"},{"role":"user","content":"b"}],"prompt":null}]`)
	f.Add("csv", "id,prompt,reference\n1,\"a,b\",2\n")
	f.Fuzz(func(t *testing.T, kind, text string) {
		path := filepath.Join(t.TempDir(), "prompts.jsonl")
		if kind == "csv" {
			path = strings.TrimSuffix(path, "jsonl") + "csv"
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := ReadPrompts(t.Context(), path)
		if err != nil {
			return
		}
		c := Config{Providers: []ProviderConfig{{Name: "p", Kind: "openai", BaseURL: "https://host/v1", API: "chat", Concurrency: 1}}}
		one := 1.0
		target, err := newTarget(&ModelConfig{Name: "m", Upstream: "m", Provider: "p", MaxTokens: 10, Price: &PriceConfig{Input: &one, Output: &one}}, &c.Providers[0], c.Providers[0].upstream(), newPace(1), &price.Book{})
		if err != nil {
			t.Fatal(err)
		}
		r := newRedactor(RedactConfig{Patterns: []PatternConfig{{Pattern: "[a-m]+", With: "x"}}}, "")
		for i := range all {
			if _, err := target.body(&PromptConfig{}, &all[i]); err != nil {
				t.Errorf("a request: %v", err)
			}
			_ = r.prompt(t.Context(), &all[i]) // nothing may be left
			if text := all[i].Prompt; strings.ContainsAny(text, "abcdefghijklm") {
				t.Errorf("after redaction: %q", text)
			}
		}
	})
}

// FuzzJournal: a journal is read or refused, and what was read can be continued.
func FuzzJournal(f *testing.F) {
	f.Add(`{"line":"begin","call":1,"key":"k.0.0","for":"answer","held_usd":10}` + "\n" + `{"line":"end","call":1,"outcome":"answered","text":"a","usage":{"output_tokens":1},"cost_usd":3}` + "\n" +
		`{"line":"verdict","key":"k.0.0","judge":"j","score":1}` + "\n")
	f.Add(`{"line":"batch","key":"b","state":"submitting"}` + "\n" + `{"line":"begin","call":7,"key":"k","batch":"b"}` + "\n" + `{"line":"beg`)
	f.Add(`{"line":"begin","call":1}` + "\n" + `{"line":"end","call":1,"outcome":"answered"}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journalName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := openBook(dir)
		if err != nil {
			return
		}
		for _, c := range b.answers {
			_ = c.end.Usage.Answer()
		}
		spent, pending := b.spent(), len(b.pendingBatches())
		call := b.number()
		if err := b.write(&line{Line: lineBegin, Call: call, Key: "new"}, &line{Line: lineEnd, Call: call, Outcome: outcomeFailed}); err != nil {
			t.Fatal(err)
		}
		if err := b.close(); err != nil {
			t.Fatal(err)
		}
		again, err := openBook(dir)
		if err != nil {
			t.Fatalf("it cannot be read again: %v", err)
		}
		defer again.close()
		if again.spent() != spent || len(again.pendingBatches()) != pending {
			t.Errorf("spent %s and %d batches, then %s and %d", spent, pending, again.spent(), len(again.pendingBatches()))
		}
	})
}
