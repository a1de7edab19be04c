package collect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/simulate"
)

// TestJournalCannotBeWritten: when the journal cannot be written, a run ends with that
// error, although a batch of an earlier run goes on.
func TestJournalCannotBeWritten(t *testing.T) {
	w := newWorld(t, 10, func(p *simulate.Provider) { p.Batching.After = time.Hour })
	dir := t.TempDir()
	one := strings.Replace(w.config, "  - {name: large,", "  # {name: large,", 1)
	submit(t, w, dir, one)
	p, _ := w.plan(t, dir, w.config)
	defer p.Close()
	full := errors.New("write the journal: no space is left")
	p.book.failed = full
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := p.Run(ctx, RunOptions{}); !errors.Is(err, full) || ctx.Err() != nil {
		t.Errorf("the run = %v (%v)", err, ctx.Err())
	}
}

// submit begins a run of batches and ends it when all are submitted.
func submit(t *testing.T, w *world, dir, config string) {
	t.Helper()
	p, _ := w.plan(t, dir, config)
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			submitted := 0
			for _, b := range p.book.pendingBatches() {
				if b.state.State == batchSubmitted {
					submitted++
				}
			}
			if submitted == len(p.targets) {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if _, err := p.Run(ctx, RunOptions{Tier: Batch}); !errors.Is(err, context.Canceled) {
		t.Fatalf("the interrupted run = %v", err)
	}
}

// newPlan returns the plan for a folder whose configuration may be wrong.
func newPlan(t *testing.T, w *world, dir, config string) (*Plan, error) {
	t.Helper()
	w.write(t, dir, config)
	c, err := OpenConfig(filepath.Join(dir, "collect.yaml"), nil)
	if err != nil {
		return nil, err
	}
	return NewPlan(t.Context(), c, Options{Out: filepath.Join(dir, "out"), Book: w.book})
}

// TestPendingBatchOfAnotherConfig: a configuration that cannot fetch a batch in progress is
// refused before anything is asked.
func TestPendingBatchOfAnotherConfig(t *testing.T) {
	w := newWorld(t, 4, func(p *simulate.Provider) { p.Batching.After = time.Hour })
	dir := t.TempDir()
	submit(t, w, dir, w.config)
	for name, test := range map[string]struct{ old, new, want string }{
		"model removed":  {"  - {name: small,", "  # {name: small,", "has no such model any more"},
		"model moved":    {"{name: small, provider: openai", "{name: small, provider: other", "is in progress at provider openai, but the model is now at other"},
		"nothing at all": {"retries: 1", "retries: 2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			config := strings.Replace(w.config, "providers:\n", "providers:\n  - {name: other, kind: openai}\n", 1)
			p, err := newPlan(t, w, dir, strings.Replace(config, test.old, test.new, 1))
			if err == nil {
				defer p.Close()
			}
			if got := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(got, test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}

// TestBatchThatTheProviderDoesNotKnow: a run does not wait for ever for a batch that the
// provider denies to have, and keeps it for a later run.
func TestBatchThatTheProviderDoesNotKnow(t *testing.T) {
	w := newWorld(t, 4, func(p *simulate.Provider) { p.Batching.Polls = 3 })
	dir := t.TempDir()
	submit(t, w, dir, w.config)
	p, _ := w.plan(t, dir, strings.NewReplacer("sk-secret-one", "sk-another", "sk-secret-two", "sk-another").Replace(w.config))
	report, err := p.Run(t.Context(), RunOptions{})
	if err != nil || report.InBatches != 12 || report.SpentUSD != 0 {
		t.Errorf("with other keys: %+v, %v", report, err)
	}
	p.Close()
	p, _ = w.plan(t, dir, w.config)
	defer p.Close()
	if report, err = p.Run(t.Context(), RunOptions{}); err != nil || report.Complete != 4 || report.SpentUSD != w.bill() {
		t.Errorf("with the keys: %+v, %v", report, err)
	}
}

// TestStandardAfterBatch: what a batch of an earlier run has not answered is asked at the
// tier of this run.
func TestStandardAfterBatch(t *testing.T) {
	w := newWorld(t, 4, func(p *simulate.Provider) { p.Batching = simulate.Batching{Polls: 3, Expiring: 1} })
	dir := t.TempDir()
	submit(t, w, dir, w.config)
	p, _ := w.plan(t, dir, w.config)
	defer p.Close()
	report, err := p.Run(t.Context(), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.check(t, dir)
	for _, l := range report.Bill {
		if l.Tier == Batch && l.Calls > 0 || l.Tier == "standard" && l.Calls != 4 {
			t.Errorf("the bill: %+v", l)
		}
	}
	if report.SpentUSD != w.bill() {
		t.Errorf("spent %s, charged %s", report.SpentUSD, w.bill())
	}
}

// TestFolderOfOthers: data that collect has not written are not replaced.
func TestFolderOfOthers(t *testing.T) {
	w := newWorld(t, 2, nil)
	for name, file := range map[string]string{"data": "out/queries.jsonl", "no data": "out/thesis.tex", "a file": "out"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := newPlan(t, w, dir, w.config); err == nil || !strings.Contains(err.Error(), "out") {
				t.Errorf("the plan: %v", err)
			}
			if data, err := os.ReadFile(path); string(data) != "precious" {
				t.Errorf("it is %q (%v)", data, err)
			}
		})
	}
}

// TestOtherJudge: after a change of references, or of the model that judges, answers are
// judged again, and not asked again.
func TestOtherJudge(t *testing.T) {
	w := newWorld(t, 6, func(p *simulate.Provider) {
		p.Models = append(p.Models, simulate.Model{Name: "judge", Price: p.Models[0].Price})
		replay := p.Answers
		p.Answers = func(model, prompt string) (simulate.Reply, bool) {
			if model == "judge" {
				return simulate.Reply{Text: "Score: 0.5", InputTokens: 10, OutputTokens: 3}, true
			}
			return replay(model, prompt)
		}
	})
	dir := t.TempDir()
	run := func(refer, config string) (*Plan, *Report) {
		t.Helper()
		var lines strings.Builder
		lines.WriteString("id,reference\n")
		for i, q := range w.set.Queries {
			fmt.Fprintf(&lines, "%s,%s\n", q.ID, strings.ReplaceAll(refer, "ANSWER", w.set.Answers[i][0]))
		}
		if err := os.WriteFile(filepath.Join(dir, "refs.csv"), []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		p, _ := w.plan(t, dir, config)
		defer p.Close()
		report, err := p.Run(t.Context(), RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return p, report
	}
	head, _, _ := strings.Cut(w.config, "judge:")
	head = strings.Replace(head, "from: prompts.jsonl", "from: prompts.jsonl, references: refs.csv", 1)
	rule := head + "judge: {kind: regexp, pattern: 'answer={{reference}}'}\ncap_usd: 5\n"
	if _, report := run("wrong", rule); *report.Models[0].MeanScore != 0 {
		t.Errorf("wrong references: %+v", report.Models[0])
	}
	calls := w.bill()
	if _, report := run("ANSWER", rule); *report.Models[0].MeanScore != 1 || w.bill() != calls {
		t.Errorf("right references: %+v", report.Models[0])
	}
	price := "price: {input: 1, output: 4}"
	model := head + "judge: {kind: model, model: judge}\njudge_model: {name: judge, provider: openai, max_tokens: 50, " + price + "}\nrepeats: {times: 3, queries: 2}\ncap_usd: 5\n"
	p, report := run("ANSWER", model)
	if p.Judgements != 30 || p.Bills[0].Expected == 0 || p.Bills[0].Most < report.SpentUSD-calls { // 2 of 6 prompts are judged three times, for 3 models
		t.Errorf("%d judgements, expected to cost %+v", p.Judgements, p.Bills[0])
	}
	other := strings.Replace(model, price, "settings: {temperature: 0}, "+price, 1)
	if q, _ := run("ANSWER", other); q.Judgements != 42 || q.judgeID == p.judgeID || q.Bills[0].Expected == 0 {
		t.Errorf("another setting of the judge: %d judgements", q.Judgements)
	}
	if q, _ := run("ANSWER", other); q.Judgements != 0 || q.Bills[0].Most != 0 {
		t.Errorf("nothing is left, but %d judgements are, for %+v", q.Judgements, q.Bills[0])
	}
}

// TestJudgeCommandChanged: a script that is changed is another judge.
func TestJudgeCommandChanged(t *testing.T) {
	w := newWorld(t, 2, nil)
	dir := t.TempDir()
	head, _, _ := strings.Cut(w.config, "judge:")
	id := func(script string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "judge.sh"), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		w.write(t, dir, head+"judge: {kind: command, command: [sh, judge.sh], network: true}\ncap_usd: 1\n")
		c, err := OpenConfig(filepath.Join(dir, "collect.yaml"), nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewPlan(t.Context(), c, Options{Out: filepath.Join(dir, "out"), Book: w.book, AllowCommands: true})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		return p.judgeID
	}
	if a, b, again := id("echo 0"), id("echo 1"), id("echo 0"); a == b || a != again {
		t.Errorf("the ids are %s, %s, %s", a, b, again)
	}
}

// TestJudgeDoesNotAnswer: when the key of the judge's provider is refused, the report says
// so, and answers that were not judged are counted.
func TestJudgeDoesNotAnswer(t *testing.T) {
	w := newWorld(t, 3, nil)
	dir := t.TempDir()
	refuse := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":{"message":"no such key","code":"invalid_api_key"}}`, http.StatusUnauthorized)
	}))
	defer refuse.Close()
	head, _, _ := strings.Cut(w.config, "judge:")
	head = strings.Replace(head, "providers:\n", "providers:\n  - {name: other, kind: openai, base_url: "+refuse.URL+"}\n", 1)
	p, _ := w.plan(t, dir, head+"judge: {kind: model, model: judge}\njudge_model: {name: judge, provider: other, price: {input: 1, output: 4}}\ncap_usd: 5\n")
	defer p.Close()
	report, err := p.Run(t.Context(), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if m := report.Models[0]; m.NotJudged != 3 || m.Scored != 0 || !strings.Contains(report.Stopped["judge"], "401") || report.SpentUSD != w.bill() {
		t.Errorf("the report: %+v", report)
	}
}

// TestJudgedAgain: an answer that could not be judged is judged by the next run.
func TestJudgedAgain(t *testing.T) {
	w := newWorld(t, 2, nil)
	dir := t.TempDir()
	p, _ := w.plan(t, dir, w.config)
	if _, err := p.Run(t.Context(), RunOptions{}); err != nil {
		t.Fatal(err)
	}
	of := p.verdictKey(p.tasks[0], 0)
	if err := p.book.write(&line{Line: lineVerdict, Key: of.answer, Judge: of.judge, Unknown: true, Note: "the command took longer than 10s"}); err != nil {
		t.Fatal(err)
	}
	p.Close()
	p, _ = w.plan(t, dir, w.config)
	if report, err := p.Run(t.Context(), RunOptions{}); err != nil || report.Complete != 2 {
		t.Errorf("the report: %+v, %v", report, err)
	}
	p.Close()
	w.check(t, dir)
}

// TestReportOfJudge: a model that judges has not failed to answer what it was only asked
// to judge, and both of its prices are written if they are equal.
func TestReportOfJudge(t *testing.T) {
	w := newWorld(t, 2, nil)
	p, _ := w.plan(t, t.TempDir(), w.config)
	defer p.Close()
	p.targets[0].price.CachedInput, p.targets[0].price.Reasoning = carrot.PerMillion(1), carrot.PerMillion(1)
	if err := p.book.write(&line{Line: lineBegin, Call: 1, For: forJudge, Model: "large", Query: "q000"}, &line{Line: lineEnd, Call: 1, Outcome: outcomeFailed}); err != nil {
		t.Fatal(err)
	}
	r := &run{Plan: p}
	if got := r.report(r.sorted()).Models[1]; got.Failed != 0 {
		t.Errorf("the judge as a model: %+v", got)
	}
	if err := r.writeData(r.sorted()); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Load(t.Context(), p.opt.Out)
	if err != nil {
		t.Fatal(err)
	}
	if m := set.Models[0]; m.CachedInputUSDPerMillion == nil || m.ReasoningUSDPerMillion == nil {
		t.Errorf("the prices: %+v", m)
	}
}

// TestRedaction: no text of a prompt is kept before it is redacted.
func TestRedaction(t *testing.T) {
	w := newWorld(t, 1, nil)
	dir := t.TempDir()
	secret := "bob@example.com"
	long := strings.Repeat("x", embeddedEarlier-4) + " " + secret // a prompt is cut within it
	text, err := json.Marshal([]map[string]any{
		{"role": "system", "name": secret, "content": "Serve " + secret},
		{"role": "assistant", "refusal": secret, "content": long},
		{"role": "user", "content": []any{map[string]any{"type": "text", "text": "ask " + secret}, map[string]any{"type": "image_url", "image_url": map[string]any{"url": "https://host/" + secret}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	config := strings.Replace(w.config, "{from: prompts.jsonl}", "{from: collect.yaml, format: ours}", 1) +
		"redact: {patterns: [{pattern: '[a-z]+@example[.]com', with: '<mail>'}]}\n"
	w.write(t, dir, config)
	c, err := OpenConfig(filepath.Join(dir, "collect.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var imported string
	p, err := NewPlan(t.Context(), c, Options{Out: filepath.Join(dir, "out"), Book: w.book, Import: func(_ context.Context, _, _, dst string) error {
		imported = dst
		line := fmt.Sprintf(`{"id":"a","messages":%s,"reference":"%s","choices":["%s"]}`, text, secret, secret)
		if err := os.MkdirAll(dst, 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dst, "queries.jsonl"), []byte(line), 0o600)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := os.Stat(imported); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was imported is kept: %v", err)
	}
	prompt := p.prompts[0]
	all := fmt.Sprintf("%s %s %s %s", prompt.Prompt, prompt.Messages, prompt.Reference, prompt.Choices)
	if strings.Contains(all, "bob") || !strings.Contains(all, "<mail>") && !strings.Contains(all, `\u003cmail`) {
		t.Errorf("after redaction: %s", all)
	}
	if bytes.Count(prompt.Messages, []byte("mail")) != 6 {
		t.Errorf("the messages: %s", prompt.Messages)
	}
}

// TestRedactionFails: when an answer cannot be redacted, no further one is asked for, what
// is in flight is kept, and nothing is counted that was not charged.
func TestRedactionFails(t *testing.T) {
	w := newWorld(t, 20, nil)
	dir := t.TempDir()
	p, _ := w.plan(t, dir, w.config+`redact: {command: [sh, -c, 'x=$(cat); case "$x" in *score=0.5*) exit 1;; esac; printf %s "$x"']}`+"\n")
	defer p.Close()
	report, err := p.Run(t.Context(), RunOptions{})
	if err == nil || !strings.Contains(err.Error(), "redact.command") || report == nil {
		t.Fatalf("the run = %v", err)
	}
	if report.SpentUSD != w.bill() || report.Complete == 20 {
		t.Errorf("spent %s, charged %s: %+v", report.SpentUSD, w.bill(), report)
	}
}

// TestBadJudge: what is wrong with a judge is said before anything is asked.
func TestBadJudge(t *testing.T) {
	w := newWorld(t, 1, nil)
	head, _, _ := strings.Cut(w.config, "judge:")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "judge.md"), []byte("no placeholder"), 0o600); err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{
		"{kind: model, model: small, prompt: judge.md}": "{{answer}} is missing",
		"{kind: command, command: [judge]}":             "unless commands are allowed",
	} {
		if _, err := newPlan(t, w, dir, head+"judge: "+config+"\ncap_usd: 1\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
}

// TestBound: what a request can cost at most includes images, and writing to a cache.
func TestBound(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		want    int // for 1,000 bytes; 0: an error
	}{
		"text":   {`"hi"`, 1000},
		"image":  {`[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"https://host/a.png"}}]`, 1000 + imageTokens},
		"cached": {`[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]`, 2000},
		"file":   {`[{"type":"text","text":"hi"},{"type":"file","file":{"file_id":"file-1"}}]`, 0},
		"audio":  {`[{"type":"text","text":"hi"},{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "prompts.jsonl")
			if err := os.WriteFile(path, fmt.Appendf(nil, `{"messages":[{"role":"user","content":%s}]}`, test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			all, err := ReadPrompts(t.Context(), path)
			var bad *dataset.FormatError
			switch {
			case test.want == 0:
				if !errors.As(err, &bad) || bad.Line != 1 || bad.Field != "messages" {
					t.Errorf("the error is %v", err)
				}
			case err != nil:
				t.Error(err)
			case all[0].bound(1000) != test.want:
				t.Errorf("the bound is %d, want %d", all[0].bound(1000), test.want)
			}
		})
	}
}

// TestBadInput: errors name the file or the field.
func TestBadInput(t *testing.T) {
	w := newWorld(t, 1, nil)
	dir := t.TempDir()
	if _, err := newPlan(t, w, dir, strings.Replace(w.config, "max_tokens: 300}", "max_tokens: 300, settings: {temperature: .inf}}", 1)); err == nil || !strings.Contains(err.Error(), "models[0].settings.temperature") {
		t.Errorf("an infinite setting: %v", err)
	}
	path := filepath.Join(dir, "two.csv")
	if err := os.WriteFile(path, []byte("id,prompt,prompt\n1,a,b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var bad *dataset.FormatError
	if _, err := ReadPrompts(t.Context(), path); !errors.As(err, &bad) || bad.Field != "prompt" || bad.Line != 1 {
		t.Errorf("two columns of one name: %v", err)
	}
}

// TestOutIsHere: the folder that a run is in, or one above it, is no data folder.
func TestOutIsHere(t *testing.T) {
	w := newWorld(t, 1, nil)
	dir := t.TempDir()
	w.write(t, dir, w.config)
	c, err := OpenConfig(filepath.Join(dir, "collect.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{".", "./", "..", "/", "a/../.."} {
		if _, err := NewPlan(t.Context(), c, Options{Out: out, Book: w.book}); err == nil || !strings.Contains(err.Error(), "name a new folder") {
			t.Errorf("%s: %v", out, err)
		}
	}
}

// TestDamagedJournal: what a crash can leave is read, and other damage is named with its
// line.
func TestDamagedJournal(t *testing.T) {
	whole := `{"line":"begin","call":1,"key":"k","for":"answer","held_usd":10}` + "\n"
	end := `{"line":"end","call":1,"outcome":"answered","text":"a","usage":{"output_tokens":1},"cost_usd":3}` + "\n"
	for name, test := range map[string]struct {
		text string
		lost int
		want string // of the error
	}{
		"cut":             {whole + end[:40], 1, ""},
		"zeros":           {whole + end + "\x00\x00\x00", 0, ""},
		"garbage":         {whole + "{\"li\n" + end, 0, "calls.jsonl:2: not a line"},
		"ended twice":     {whole + end + end, 0, "calls.jsonl:3: call 1 ends without a beginning"},
		"without a usage": {whole + `{"line":"end","call":1,"outcome":"answered"}` + "\n", 0, "calls.jsonl:2: call 1 is answered without a usage"},
		"of the future":   {whole + `{"line":"plan"}` + "\n", 0, `calls.jsonl:2: no line is called "plan"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, journalName), []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			b, err := openBook(dir)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer b.close()
			if b.lost != test.lost {
				t.Errorf("%d calls are lost, want %d", b.lost, test.lost)
			}
		})
	}
}
