package collect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/judge"
)

// Report says what a folder holds and what it cost. It is about all runs into the folder.
type Report struct {
	Schema  string `json:"schema"` // carrot.collect/1
	Prompts int    `json:"prompts"`
	Random  int    `json:"random"` // of them drawn at random; the others only train
	Equal   int    `json:"equal"`  // prompts that are equal to an earlier one
	// Complete counts the prompts on which every model has a score.
	Complete int        `json:"complete"`
	Models   []OfModel  `json:"models"`
	Bill     []BillLine `json:"bill"`
	SpentUSD carrot.USD `json:"spent_usd"`
	CapUSD   carrot.USD `json:"cap_usd"`
	AtCap    int        `json:"not_asked_at_cap"`
	// InBatches are calls in batches that have not ended, which the next run fetches,
	// and HeldUSD is the most that they can cost.
	InBatches int        `json:"in_batches,omitempty"`
	HeldUSD   carrot.USD `json:"held_usd,omitempty"`
	// Lost are calls that were in flight when a run ended without being told to. They
	// may have been billed, their answers are lost, and they were asked again.
	Lost    []LostCall        `json:"paid_answer_lost"`
	Stopped map[string]string `json:"stopped,omitempty"` // models that only failed, with the error
	Noise   *Noise            `json:"noise,omitempty"`
}

// OfModel is what was observed of a model.
type OfModel struct {
	Name      string   `json:"name"`
	Scored    int      `json:"scored"`
	Failed    int      `json:"failed"`     // asked and not answered: absent
	Refused   int      `json:"refused"`    // with or without a score, as the configuration says
	Truncated int      `json:"truncated"`  // answers that the limit on tokens has cut; they are scored
	NotJudged int      `json:"not_judged"` // answers that the judge could not score, or has not yet: absent
	Estimated int      `json:"estimated"`  // answers without a report of their tokens, which we counted
	MeanScore *float64 `json:"mean_score"` // over the prompts drawn at random; null: none is scored
	StdErr    *float64 `json:"mean_score_se"`
}

// BillLine is a part of the bill.
type BillLine struct {
	Model   string     `json:"model"`
	For     string     `json:"for"` // answer or judge
	Tier    string     `json:"tier"`
	Calls   int        `json:"calls"`
	Cost    carrot.USD `json:"cost_usd"`              // of calls whose cost is known
	Unknown int        `json:"unknown,omitempty"`     // calls whose cost is not known
	Counted carrot.USD `json:"counted_usd,omitempty"` // what those count: the most that they can have cost
	Failed  int        `json:"failed,omitempty"`      // calls that failed and are not billed
}

// LostCall is a call whose answer is lost.
type LostCall struct {
	Query   string     `json:"query"`
	Model   string     `json:"model"`
	For     string     `json:"for"`
	Counted carrot.USD `json:"counted_usd"`
}

// Noise is how scores vary when the same is asked again, as a standard deviation.
type Noise struct {
	Queries int `json:"queries"`
	// Answers is the deviation between the scores of several answers to one prompt;
	// it includes that of the judge.
	Answers *float64 `json:"answers_sd"`
	// Judge is the deviation between several judgements of one answer, null if the
	// judge is a rule.
	Judge *float64 `json:"judge_sd"`
}

// Schema names the form of a report.
const Schema = "carrot.collect/1"

// outcome is what is known of a model's answer to a prompt.
type outcome struct {
	call    *call
	verdict *line
}

// outcome returns what the journal knows of a task.
func (p *Plan) outcome(t task) outcome {
	return outcome{p.book.answer(t.key), p.book.verdict(p.verdictKey(t, 0))}
}

// score returns the score, and whether there is one.
func (p *Plan) score(o outcome) (float64, bool) {
	switch {
	case o.call == nil:
		return 0, false
	case o.call.end.Refused && p.config.Refusals == refusalZero:
		return 0, true
	case o.call.end.Refused && p.config.Refusals == refusalAbsent, o.verdict == nil, o.verdict.Unknown:
		return 0, false
	}
	return o.verdict.Score, true
}

// write writes the data folder, the answers, the judgements and the report.
func (r *run) write(ctx context.Context) (*Report, error) {
	tasks := r.sorted()
	report := r.report(tasks)
	if err := r.writeData(tasks); err != nil {
		return nil, err
	}
	dir := folder(r.opt.Out)
	var answers, judgements bytes.Buffer
	ea, ej := json.NewEncoder(&answers), json.NewEncoder(&judgements)
	ea.SetEscapeHTML(false)
	for _, t := range tasks {
		o := r.outcome(t)
		if o.call == nil {
			continue
		}
		id, model := r.prompts[t.prompt].ID, r.targets[t.model].config.Name
		if err := ea.Encode(answerLine{id, model, t.repeat, o.call.end.Text, o.call.end.Truncated, o.call.end.Refused}); err != nil {
			return nil, err
		}
		for n := 0; ; n++ {
			v := r.book.verdict(r.verdictKey(t, n))
			if v == nil {
				break
			}
			if v.Unknown {
				continue
			}
			if err := ej.Encode(judgementLine{id, model, t.repeat, n, v.Score, v.Final, v.Votes}); err != nil {
				return nil, err
			}
		}
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return nil, err
	}
	for name, data := range map[string][]byte{"answers.jsonl": answers.Bytes(), "judgements.jsonl": judgements.Bytes(), "report.json": append(text, '\n')} {
		err := atomicfile.Write(filepath.Join(dir, name), 0o600, func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return report, ctx.Err()
}

// answerLine is a line of answers.jsonl.
type answerLine struct {
	ID        string `json:"id"`
	Model     string `json:"model"`
	Repeat    int    `json:"repeat"`
	Answer    string `json:"answer"`
	Truncated bool   `json:"truncated,omitempty"`
	Refused   bool   `json:"refused,omitempty"`
}

// judgementLine is a line of judgements.jsonl.
type judgementLine struct {
	ID     string       `json:"id"`
	Model  string       `json:"model"`
	Repeat int          `json:"repeat"`
	Again  int          `json:"again,omitempty"` // the same answer, judged again
	Score  float64      `json:"score"`
	Final  string       `json:"final,omitempty"`
	Votes  []judge.Vote `json:"votes,omitempty"`
}

// sorted returns the tasks in the order of the prompts and models.
func (p *Plan) sorted() []task {
	tasks := slices.Clone(p.tasks)
	slices.SortStableFunc(tasks, func(a, b task) int {
		return cmp.Or(a.prompt-b.prompt, a.model-b.model, a.repeat-b.repeat)
	})
	return tasks
}

// writeData writes the data folder.
func (r *run) writeData(tasks []task) error {
	columns := r.columns()
	w, err := dataset.NewWriter(r.opt.Out, r.writeOptions(columns))
	if err != nil {
		return err
	}
	defer w.Close()
	for i, p := range r.prompts {
		if !r.random[i] && r.opt.Only == "" {
			p.Split = dataset.SplitExtra // no figure may come from it
		}
		if err := w.Query(p.Query); err != nil {
			return err
		}
	}
	for _, t := range tasks {
		o := r.outcome(t)
		if t.repeat > 0 || o.call == nil {
			continue
		}
		end := o.call.end
		out := dataset.NewOutcome(r.prompts[t.prompt].ID, r.targets[t.model].config.Name)
		out.InputTokens, out.OutputTokens = float64(end.Usage.Prompt()), float64(end.Usage.Answer())
		if slices.Contains(columns, dataset.ColumnCachedTokens) {
			out.CachedTokens = float64(end.Usage.CachedInput)
		}
		if slices.Contains(columns, dataset.ColumnReasoningTokens) {
			out.ReasoningTokens = float64(end.Usage.Reasoning)
		}
		if score, ok := r.score(o); ok {
			out.Score = score
		}
		if err := w.Outcome(out); err != nil {
			return err
		}
		if o.verdict != nil && !o.verdict.Unknown && o.verdict.Final != "" {
			if err := w.Answer(dataset.Answer{ID: out.ID, Model: out.Model, Hash: judge.FinalHash(o.verdict.Final)}); err != nil {
				return err
			}
		}
	}
	var models []dataset.Model
	for _, t := range r.targets {
		m := dataset.Model{Name: t.config.Name, InputUSDPerMillion: math.NaN(), OutputUSDPerMillion: math.NaN(), Pool: t.config.Pool == nil || *t.config.Pool}
		in, known := t.price.Input.PerMillion()
		if out, both := t.price.Output.PerMillion(); known && both {
			m.InputUSDPerMillion, m.OutputUSDPerMillion = in, out
		}
		if usd, ok := t.price.CachedInput.PerMillion(); ok {
			m.CachedInputUSDPerMillion = &usd
		}
		if usd, ok := t.price.Reasoning.PerMillion(); ok {
			m.ReasoningUSDPerMillion = &usd
		}
		models = append(models, m)
	}
	return w.Commit(models)
}

// columns returns the optional columns that some answer has a value for.
func (r *run) columns() []string {
	var cached, reasoning bool
	for _, t := range r.tasks {
		if c := r.book.answer(t.key); c != nil {
			cached = cached || c.end.Usage.CachedInput > 0
			reasoning = reasoning || c.end.Usage.Reasoning > 0
		}
	}
	var names []string
	if cached {
		names = append(names, dataset.ColumnCachedTokens)
	}
	if reasoning {
		names = append(names, dataset.ColumnReasoningTokens)
	}
	return names
}

// report returns the report.
func (r *run) report(tasks []task) *Report {
	report := &Report{Schema: Schema, Prompts: r.Prompts, Random: r.Random, CapUSD: r.Cap, AtCap: int(r.atCap.Load()), Stopped: r.stopped(), Lost: []LostCall{}}
	for _, p := range r.book.pendingBatches() {
		report.InBatches += len(p.calls)
		for _, begin := range p.calls {
			report.HeldUSD += begin.Held
		}
	}
	seen := map[string]bool{}
	for _, p := range r.prompts {
		if key := string(p.Messages) + p.Prompt; seen[key] {
			report.Equal++
		} else {
			seen[key] = true
		}
	}
	asked := map[string]bool{} // model and query that a call was begun for
	lines := map[BillLine]*BillLine{}
	for _, c := range r.book.ended {
		if c.begin.For == forAnswer {
			asked[c.begin.Model+"\x00"+c.begin.Query] = true
		}
		key := BillLine{Model: c.begin.Model, For: c.begin.For, Tier: tierName(c.begin.Tier)}
		l := lines[key]
		if l == nil {
			l = &BillLine{Model: key.Model, For: key.For, Tier: key.Tier}
			lines[key] = l
		}
		amount, known := c.cost()
		report.SpentUSD += amount
		switch {
		case !known:
			l.Unknown++
			l.Counted += amount
		case c.end.Outcome == outcomeFailed:
			l.Failed++
		default:
			l.Calls++
			l.Cost += amount
		}
		if c.end == nil {
			report.Lost = append(report.Lost, LostCall{c.begin.Query, c.begin.Model, c.begin.For, amount})
		}
	}
	for _, l := range lines {
		report.Bill = append(report.Bill, *l)
	}
	slices.SortFunc(report.Bill, func(a, b BillLine) int {
		return cmp.Or(cmp.Compare(a.For, b.For), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Tier, b.Tier))
	})
	slices.SortFunc(report.Lost, func(a, b LostCall) int {
		return cmp.Or(cmp.Compare(a.Query, b.Query), cmp.Compare(a.Model, b.Model), cmp.Compare(a.For, b.For))
	})
	r.reportModels(report, tasks, asked)
	report.Noise = r.noise(tasks)
	return report
}

// reportModels adds what was observed of each model.
func (r *run) reportModels(report *Report, tasks []task, asked map[string]bool) {
	complete, scores := make([]int, len(r.prompts)), make([][]float64, len(r.targets))
	report.Models = make([]OfModel, len(r.targets))
	for m, t := range r.targets {
		report.Models[m].Name = t.config.Name
	}
	for _, task := range tasks {
		if task.repeat > 0 {
			continue
		}
		one, o := &report.Models[task.model], r.outcome(task)
		score, scored := r.score(o)
		switch {
		case o.call == nil:
			if asked[one.Name+"\x00"+r.prompts[task.prompt].ID] {
				one.Failed++
			}
			continue
		case !scored && (!o.call.end.Refused || r.config.Refusals == refusalJudge):
			one.NotJudged++
		}
		if o.call.end.Refused {
			one.Refused++
		}
		if o.call.end.Truncated {
			one.Truncated++
		}
		if o.call.end.Estimated {
			one.Estimated++
		}
		if scored {
			one.Scored++
			complete[task.prompt]++
			if r.random[task.prompt] {
				scores[task.model] = append(scores[task.model], score)
			}
		}
	}
	for m := range report.Models {
		report.Models[m].MeanScore, report.Models[m].StdErr = meanOf(scores[m])
	}
	for _, n := range complete {
		if n == len(r.targets) {
			report.Complete++
		}
	}
}

// meanOf returns the mean of values and its standard error, nil where there is none.
func meanOf(values []float64) (mean, se *float64) {
	n := float64(len(values))
	if n == 0 {
		return nil, nil
	}
	var sum, squares float64
	for _, v := range values {
		sum += v
	}
	m := sum / n
	for _, v := range values {
		squares += (v - m) * (v - m)
	}
	if n < 2 {
		return &m, nil
	}
	s := math.Sqrt(squares / (n - 1) / n)
	return &m, &s
}

// noise returns how scores vary when the same is asked, or judged, again.
func (r *run) noise(tasks []task) *Noise {
	if r.config.Repeats.Times == 0 {
		return nil
	}
	n := &Noise{}
	for _, repeated := range r.repeats {
		if repeated {
			n.Queries++
		}
	}
	var answers, judged within
	var group []float64 // the scores of a model on a prompt
	var of task
	for _, t := range tasks {
		if !r.repeats[t.prompt] {
			continue
		}
		if t.prompt != of.prompt || t.model != of.model {
			answers.add(group)
			group, of = nil, t
		}
		if s, ok := r.score(r.outcome(t)); ok {
			group = append(group, s)
		}
		var again []float64
		for k := 0; t.repeat == 0; k++ {
			v := r.book.verdict(r.verdictKey(t, k))
			if v == nil {
				break
			}
			if !v.Unknown {
				again = append(again, v.Score)
			}
		}
		judged.add(again)
	}
	answers.add(group)
	n.Answers = answers.sd()
	if r.asks != nil {
		n.Judge = judged.sd()
	}
	return n
}

// within is the pooled variance within groups.
type within struct{ squares, free float64 }

func (w *within) add(group []float64) {
	if len(group) < 2 {
		return
	}
	var sum float64
	for _, v := range group {
		sum += v
	}
	mean := sum / float64(len(group))
	for _, v := range group {
		w.squares += (v - mean) * (v - mean)
	}
	w.free += float64(len(group) - 1)
}

func (w *within) sd() *float64 {
	if w.free == 0 {
		return nil
	}
	sd := math.Sqrt(w.squares / w.free)
	return &sd
}

// Summary says in one line what a report holds.
func (r *Report) Summary() string {
	return fmt.Sprintf("%d of %d prompts complete, %s of %s USD spent", r.Complete, r.Prompts, r.SpentUSD, r.CapUSD)
}
