package collect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/judge"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/price"
)

// Options are what a plan needs beside its configuration.
type Options struct {
	Out           string // the data folder; what is not data is in Out.collect
	Book          *price.Book
	AllowCommands bool // the judge may run a command
	// Only is the one model that is asked. What others have answered in earlier runs is
	// kept. Empty: all are asked.
	Only string
	// Embedder and Predictor are those of the present router, which forecasts how long
	// answers are and says where it is uncertain. Nil: nothing is known.
	Embedder  carrot.Embedder
	Predictor carrot.Predictor
	// Import writes the data folder dst from a source in a format of carrot data
	// import. Nil: there are no such formats.
	Import func(ctx context.Context, format, src, dst string) error
	// Warn is told what does no harm by itself. May be nil.
	Warn func(text string)
}

// Plan is what is to be collected. Close it.
type Plan struct {
	Prompts  int // that are asked
	Of       int // that there are
	Random   int // drawn at random
	Calls    int // for answers, in all
	Answered int // of them in earlier runs
	// Judgements are those that a model is to make of answers of earlier runs.
	Judgements int
	Lost       int // calls of an earlier run that were in flight when it ended
	Pending    int // calls of an earlier run that are in batches
	Cap        carrot.USD
	Spent      carrot.USD // in earlier runs
	Bills      []Bill     // what is left is expected to cost, by service tier

	config  *Config
	opt     Options
	book    *book
	prompts []Prompt // that are asked, in order of the file
	random  []bool   // by prompt
	order   []int    // of prompts
	targets []*target
	asks    *target     // of the judge
	judge   judge.Judge // which cannot ask its model
	judgeID string
	redact  *redactor
	tasks   []task
	repeats []bool          // by prompt: it is asked several times
	inBatch map[string]bool // keys of calls that are in batches of earlier runs
	backoff time.Duration
	poll    time.Duration // before the state of a batch is asked for
}

// Bill is what calls are expected to cost at a service tier.
type Bill struct {
	Tier     string     `json:"tier"`
	Expected carrot.USD `json:"expected_usd"`
	Low      carrot.USD `json:"low_usd"`  // of an interval that allows for errors of the forecasts of
	High     carrot.USD `json:"high_usd"` // lengths, at 1.64 standard deviations
	Most     carrot.USD `json:"most_usd"` // if every answer has as many tokens as it may
	Problem  string     `json:"problem,omitempty"`
}

// task is an answer to get.
type task struct {
	prompt, model, repeat int
	key                   string
	size                  int // bound of the request's tokens; at least its bytes
}

// folder returns the folder of what is not data.
func folder(out string) string { return filepath.Clean(out) + ".collect" }

// NewPlan reads the prompts, and what earlier runs have left, and says what is to be done.
// It sends nothing.
func NewPlan(ctx context.Context, c *Config, o Options) (_ *Plan, err error) {
	p := &Plan{config: c, opt: o, Cap: carrot.Dollars(c.CapUSD), redact: newRedactor(c.Redact, c.dir), backoff: firstBackoff, poll: pollFirst}
	if p.opt.Warn == nil {
		p.opt.Warn = func(string) {}
	}
	if err := p.connect(); err != nil {
		return nil, err
	}
	if o.Only != "" && !slices.ContainsFunc(p.targets, func(t *target) bool { return t.config.Name == o.Only }) {
		return nil, fmt.Errorf("no model %q in the configuration: add it to models", o.Only)
	}
	if err := p.checkOut(); err != nil {
		return nil, err
	}
	if err := p.readPrompts(ctx); err != nil {
		return nil, err
	}
	if p.book, err = openBook(folder(o.Out)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	p.inBatch = map[string]bool{}
	batches := p.book.pendingBatches()
	if err := p.checkPending(batches); err != nil {
		return nil, err
	}
	for _, b := range batches {
		for _, begin := range b.calls {
			p.inBatch[begin.Key] = true
			p.Pending++
		}
	}
	if err := p.list(); err != nil {
		return nil, err
	}
	p.Spent, p.Lost = p.book.spent(), p.book.lost
	if p.Bills, err = p.bills(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// checkOut says whether the data folder can be written in the end, before anything is
// spent. A folder that no earlier run has written is not replaced.
func (p *Plan) checkOut() error {
	if base := filepath.Base(filepath.Clean(p.opt.Out)); base == "." || base == ".." || base == string(filepath.Separator) {
		return fmt.Errorf("%s: cannot be replaced by a data folder: name a new folder", p.opt.Out)
	}
	if _, err := os.Stat(filepath.Join(folder(p.opt.Out), journalName)); errors.Is(err, fs.ErrNotExist) {
		if entries, err := os.ReadDir(p.opt.Out); err == nil && len(entries) > 0 {
			return fmt.Errorf("%s: holds data that carrot collect has not written: name a new folder", p.opt.Out)
		}
	}
	w, err := dataset.NewWriter(p.opt.Out, p.writeOptions(nil))
	if err != nil {
		return err
	}
	return w.Close()
}

func (p *Plan) writeOptions(columns []string) dataset.WriteOptions {
	return dataset.WriteOptions{Force: true, Keep: []string{folder(p.opt.Out), p.config.Prompts.From}, Columns: columns}
}

// Close closes the journal.
func (p *Plan) Close() error { return p.book.close() }

// connect makes the targets and the judge.
func (p *Plan) connect() (err error) {
	upstreams, paces := map[string]*provider.Upstream{}, map[string]*pace{}
	providers := map[string]*ProviderConfig{}
	for i := range p.config.Providers {
		u := &p.config.Providers[i]
		upstreams[u.Name], paces[u.Name], providers[u.Name] = u.upstream(), newPace(u.Concurrency), u
	}
	connect := func(m *ModelConfig) (*target, error) {
		return newTarget(m, providers[m.Provider], upstreams[m.Provider], paces[m.Provider], p.opt.Book)
	}
	for i := range p.config.Models {
		t, err := connect(&p.config.Models[i])
		if err != nil {
			return err
		}
		p.targets = append(p.targets, t)
	}
	if m := p.config.judge(); m != nil {
		own := *m
		if p.config.Judge.MaxTokens > 0 {
			own.MaxTokens = p.config.Judge.MaxTokens
		}
		if p.asks, err = connect(&own); err != nil {
			return err
		}
	}
	if p.judgeID, err = judgeID(&p.config.Judge, p.config.dir); err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	if p.judge, err = p.newJudge(asker{}, p.opt.Warn); err != nil {
		return err
	}
	if p.asks != nil { // another model, or other settings of it, is another judge
		body, err := p.asks.question("", "")
		if err != nil {
			return err
		}
		p.judgeID = p.asks.keyOf([]byte(p.judgeID + string(body)))
	}
	return nil
}

// readPrompts reads, redacts and chooses the prompts.
func (p *Plan) readPrompts(ctx context.Context) error {
	c := &p.config.Prompts
	from := c.From
	if c.Format != "" {
		if p.opt.Import == nil {
			return fmt.Errorf("prompts.format: %q cannot be read here", c.Format)
		}
		// What is read is not redacted yet, and so is not kept.
		dir, err := os.MkdirTemp("", "carrot-collect-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		from = filepath.Join(dir, "prompts")
		if err := p.opt.Import(ctx, c.Format, c.From, from); err != nil {
			return err
		}
	}
	all, err := ReadPrompts(ctx, from)
	if err != nil {
		return err
	}
	if c.References != "" {
		if err := addReferences(ctx, all, c.References); err != nil {
			return err
		}
	}
	for i := range all {
		if err := p.redact.prompt(ctx, &all[i]); err != nil {
			return err
		}
	}
	p.Of = len(all)
	n := len(all)
	if c.Labels > 0 {
		n = min(n, c.Labels)
	}
	order, random := rand.New(rand.NewPCG(p.config.Seed, 1)).Perm(len(all))[:n], n
	if n < len(all) && p.opt.Embedder != nil && p.opt.Only == "" { // a new model is compared on prompts drawn at random
		random = (n + 2) / 3
		if order, err = p.choose(ctx, all, order, random); err != nil {
			return err
		}
	}
	chosen := map[int]bool{} // by index in all: drawn at random
	for k, i := range order {
		chosen[i] = k < random
	}
	at := map[int]int{} // index in all to that in p.prompts
	for i := range all {
		if drawn, ok := chosen[i]; ok {
			at[i] = len(p.prompts)
			p.prompts, p.random = append(p.prompts, all[i]), append(p.random, drawn)
		}
	}
	for _, i := range order {
		p.order = append(p.order, at[i])
	}
	p.Prompts, p.Random = len(p.prompts), random
	return nil
}

// list lists the answers to get: prompt by prompt, so that a run that ends early has
// asked all models about the same prompts.
func (p *Plan) list() error {
	seen := map[string]int{} // equal prompts have answers of their own
	repeated := 0
	p.repeats = make([]bool, len(p.prompts))
	for _, i := range p.order {
		times := 1
		if p.config.Repeats.Times > 0 && p.random[i] && repeated < p.config.Repeats.Queries {
			times, repeated, p.repeats[i] = p.config.Repeats.Times, repeated+1, true
		}
		for m, t := range p.targets {
			body, err := t.body(&p.config.Prompts, &p.prompts[i])
			if err != nil {
				return fmt.Errorf("prompt %s: %w", p.prompts[i].ID, err)
			}
			key, size := t.keyOf(body), p.prompts[i].bound(len(body))
			number := seen[key]
			seen[key]++
			for r := range times {
				own := fmt.Sprintf("%s.%d.%d", key, number, r)
				answered := p.book.answer(own) != nil
				if !answered && p.opt.Only != "" && t.config.Name != p.opt.Only {
					continue
				}
				p.tasks = append(p.tasks, task{i, m, r, own, size})
				p.Calls++
				if answered {
					p.Answered++
				}
			}
		}
	}
	return nil
}

// How far forecasts of the length of answers are off for a whole model, as the standard
// deviation of the logarithm: for a model that the forecast knows, and for another one.
const (
	knownError = 0.25
	guessError = 0.7
)

// estimating adds up what calls are expected to cost at a tier.
type estimating struct {
	Bill
	expected, independent float64
	ofModel, errorOf      []float64 // the output of each model, and the judge
}

// bills returns what the calls that are left are expected to cost at each tier.
func (p *Plan) bills(ctx context.Context) ([]Bill, error) {
	var tiers []*estimating
	for _, tier := range []string{Standard, Flex, Batch} {
		e := &estimating{Bill: Bill{Tier: tierName(tier)}, ofModel: make([]float64, len(p.targets)+1), errorOf: make([]float64, len(p.targets)+1)}
		tiers = append(tiers, e)
		for _, t := range p.targets {
			if err := t.serves(tier); err != nil {
				e.Problem = err.Error()
			}
		}
	}
	forecasts, err := p.forecasts(ctx)
	if err != nil {
		return nil, err
	}
	tokens := make([]int, len(p.prompts)) // of the input
	for _, task := range p.tasks {
		c := p.book.answer(task.key)
		there, times := c != nil || p.inBatch[task.key], p.toJudge(task, c)
		if c != nil && p.asks != nil {
			p.Judgements += times
		}
		if there && times == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t, prompt := p.targets[task.model], &p.prompts[task.prompt]
		f := forecasts.of(task.prompt, t.config)
		f.output = min(f.output, float64(t.config.MaxTokens))
		if tokens[task.prompt] == 0 {
			tokens[task.prompt] = 8 + price.CountTokens(p.config.Prompts.System+prompt.text(&p.config.Prompts))
		}
		if c != nil {
			f.output = float64(c.end.Usage.Answer())
		}
		judged, judgedMost, err := p.judging(prompt, f.output, times)
		for _, e := range tiers {
			if e.Problem == "" && err != nil {
				e.Problem = err.Error()
			}
			if e.Problem == "" && !there {
				e.add(t, task, tokens[task.prompt], f)
			}
			if e.Problem == "" {
				e.addJudging(judged, judgedMost)
			}
		}
	}
	var bills []Bill
	for _, e := range tiers {
		bills = append(bills, e.bill())
	}
	return bills, nil
}

// add adds an answer.
func (e *estimating) add(t *target, task task, input int, f forecast) {
	tier := e.Tier
	if tier == tierName(Standard) {
		tier = Standard
	}
	most, err := t.most(task.size, tier)
	if err != nil {
		e.Problem = err.Error()
		return
	}
	whole, err := t.expected(input, f.output, tier)
	if err == nil {
		var without carrot.USD
		if without, err = t.expected(input, 0, tier); err == nil {
			output := (whole - without).Float()
			e.ofModel[task.model] += output
			if f.output > 0 {
				spread := max(0, f.p90-f.output) / 1.2816 / f.output * output
				e.independent += spread * spread
			}
		}
	}
	if err != nil {
		e.Problem = err.Error()
		return
	}
	e.errorOf[task.model] = guessError
	if f.known {
		e.errorOf[task.model] = knownError
	}
	e.Most += most
	e.expected += whole.Float()
}

// addJudging adds what judging an answer costs.
func (e *estimating) addJudging(judged, most carrot.USD) {
	last := len(e.ofModel) - 1
	e.errorOf[last] = knownError
	e.ofModel[last] += judged.Float()
	e.Most += most
	e.expected += judged.Float()
}

// judgements returns how often the answer of a task is judged.
func (p *Plan) judgements(t task) int {
	if p.asks != nil && t.repeat == 0 && p.repeats[t.prompt] {
		return p.config.Repeats.Times // the same answer, for the noise of the judge
	}
	return 1
}

// toJudge returns how many judgements of the answer of a task are missing. c is nil if the
// answer is not there yet.
func (p *Plan) toJudge(t task, c *call) (missing int) {
	if c != nil && c.end.Refused && p.config.Refusals != refusalJudge {
		return 0
	}
	for n := range p.judgements(t) {
		if p.book.verdict(p.verdictKey(t, n)) == nil {
			missing++
		}
	}
	return missing
}

// bill returns the sum with its interval.
func (e *estimating) bill() Bill {
	if e.Problem != "" {
		return Bill{Tier: e.Tier, Problem: e.Problem}
	}
	var common float64
	for m, cost := range e.ofModel {
		common += math.Pow(cost*e.errorOf[m], 2)
	}
	half := 1.6449 * math.Sqrt(common+e.independent)
	e.Expected = carrot.Dollars(e.expected)
	e.Low, e.High = carrot.Dollars(max(e.expected/4, e.expected-half)), min(e.Most, carrot.Dollars(e.expected+half))
	return e.Bill
}

// judgeOutput is how many tokens a judge's reply is taken to have.
const judgeOutput = 150

// judging returns what it is expected to cost to judge an answer with that many tokens a
// number of times, and what it can cost at most.
func (p *Plan) judging(prompt *Prompt, tokens float64, times int) (expected, most carrot.USD, err error) {
	q, ok := p.judge.(judge.Questioner)
	if !ok {
		return 0, 0, nil
	}
	it := p.item(prompt, "", strings.Repeat("x ", int(tokens)))
	questions, err := q.Questions(it)
	if err != nil {
		return 0, 0, nil //nolint:nilerr // an item that cannot be judged costs nothing
	}
	for _, question := range questions {
		body, err := p.asks.question(question.System, question.Prompt)
		if err != nil {
			return 0, 0, err
		}
		cost, err := p.asks.expected(price.CountTokens(string(body)), judgeOutput, Standard)
		if err != nil {
			return 0, 0, err
		}
		highest, err := p.asks.most(len(body), Standard)
		if err != nil {
			return 0, 0, err
		}
		expected, most = expected+cost*carrot.USD(times), most+highest*carrot.USD(times)
	}
	return expected, most, nil
}

// newJudge returns the judge.
func (p *Plan) newJudge(asker judge.Asker, warn func(string)) (judge.Judge, error) {
	var names []string
	for _, t := range p.targets {
		names = append(names, t.config.Name)
	}
	j, err := judge.New(p.config.Judge, judge.Options{Asker: asker, Dir: p.config.dir, AllowCommands: p.opt.AllowCommands, Models: names, Warn: warn})
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	return j, nil
}

// item returns what a judge gets.
func (p *Plan) item(prompt *Prompt, model, answer string) judge.Item {
	return judge.Item{ID: prompt.ID, Model: model, Prompt: prompt.Prompt, Reference: prompt.Reference, Choices: prompt.Choices, Answer: answer}
}

// all returns all targets, with that of the judge.
func (p *Plan) all() []*target {
	if p.asks == nil {
		return p.targets
	}
	return append(slices.Clone(p.targets), p.asks)
}

// verdictKey returns the key of a verdict on the answer of a task. Who judges against
// another reference is another judge.
func (p *Plan) verdictKey(t task, number int) verdictKey {
	prompt := &p.prompts[t.prompt]
	id := p.judgeID
	if prompt.Reference != "" || len(prompt.Choices) > 0 {
		h := sha256.New()
		for _, text := range append([]string{id, prompt.Reference}, prompt.Choices...) {
			fmt.Fprintf(h, "%d %s", len(text), text)
		}
		id = hex.EncodeToString(h.Sum(nil)[:8])
	}
	return verdictKey{t.key, id, number}
}

// judgeID identifies a judge: its configuration and the files that it names.
func judgeID(c *judge.Config, dir string) (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(c); err != nil {
		return "", err
	}
	for _, name := range []string{c.Schema, c.Prompt} {
		if name == "" {
			continue
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		h.Write(text)
	}
	for _, name := range c.Command { // the program itself, or a script that another one runs
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}
