package collect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/judge"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/price"
)

const (
	connectTimeout = 10 * time.Second
	callTimeout    = 10 * time.Minute
	flexTimeout    = 20 * time.Minute
	longestWait    = time.Minute // that a provider may ask for before the next call
	longestAnswer  = 64 << 20    // bytes
	syncEvery      = 200 * time.Millisecond
	firstBackoff   = 500 * time.Millisecond // before a call is made again; it doubles
	failuresInARow = 20                     // after which a model is asked no more
	patience       = 10                     // times that all retries are made again while there are too many calls
)

// Progress is how far a run has come.
type Progress struct {
	Done, Total int // answers, with those of earlier runs
	Failed      int
	Spent, Held carrot.USD
	Cap         carrot.USD
	// Expect is what the whole run is expected to cost, from the answers so far. 0:
	// none yet.
	Expect carrot.USD
}

// RunOptions say how a plan is run.
type RunOptions struct {
	Tier     string         // Standard, Flex or Batch
	Progress func(Progress) // is called now and then; may be nil
}

// run is a plan in progress.
type run struct {
	*Plan
	tier   string
	purse  *purse
	caller *provider.Caller
	judge  judge.Judge
	cancel context.CancelCauseFunc // of everything, when the journal cannot be written
	halt   context.CancelCauseFunc // of what has not begun

	done, failed, atCap atomic.Int64
	first               int // answers that there were before
	began               carrot.USD

	taskOf  map[string]task // by key
	resumed []*pending      // batches of earlier runs
	ready   []task          // answers that were there when batches were made
}

// Run makes the calls and writes the data folder and the report. If ctx is done, it begins
// no further call, waits for those in flight, and writes what there is. The error is then
// that of ctx.
func (p *Plan) Run(ctx context.Context, o RunOptions) (*Report, error) {
	for _, b := range p.Bills {
		if b.Tier == tierName(o.Tier) && b.Problem != "" {
			return nil, errors.New(b.Problem)
		}
	}
	all, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	ctx, halt := context.WithCancelCause(ctx)
	defer halt(nil)
	r := &run{Plan: p, tier: o.Tier, purse: newPurse(p.Cap, p.Spent), cancel: cancel, halt: halt, first: p.Answered, began: p.Spent,
		caller: &provider.Caller{Retry: provider.Retry{Retries: *p.config.Retries, Backoff: p.backoff, MaxWait: longestWait, Patient: true}}}
	r.done.Store(int64(p.Answered))
	var err error
	if r.judge, err = p.newJudge(asker{r}, nil); err != nil {
		return nil, err
	}
	var beside sync.WaitGroup
	stop := make(chan struct{})
	beside.Go(func() { r.watch(stop, o.Progress) })
	r.taskOf = map[string]task{}
	for _, task := range p.tasks {
		r.taskOf[task.key] = task
	}
	r.resume()
	if o.Tier == Batch {
		r.batches(ctx, all, p.tasks)
		r.judgeAll(ctx, all, r.ready)
	} else {
		// What is in batches of earlier runs is not asked again.
		var batches sync.WaitGroup
		var left []task
		batches.Go(func() { left = r.batches(ctx, all, nil) })
		r.answers(ctx, all, slices.DeleteFunc(slices.Clone(p.tasks), func(t task) bool { return r.inBatch[t.key] }))
		batches.Wait()
		r.answers(ctx, all, left)
	}
	close(stop)
	beside.Wait()
	if cause := context.Cause(all); cause != nil {
		return nil, cause
	}
	report, err := r.write(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	return report, context.Cause(ctx)
}

// watch synchronises the journal with the disk, and tells of progress.
func (r *run) watch(stop <-chan struct{}, tell func(Progress)) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		if err := r.book.sync(); err != nil {
			r.cancel(fmt.Errorf("synchronise the journal: %w", err))
			return
		}
		if tell == nil {
			continue
		}
		spent, held := r.purse.state()
		state := Progress{Done: int(r.done.Load()), Total: r.Calls, Failed: int(r.failed.Load()), Spent: spent, Held: held, Cap: r.Cap}
		if made := state.Done - r.first; made > 0 {
			state.Expect = spent + carrot.Dollars((spent-r.began).Float()/float64(made)*float64(state.Total-state.Done))
		}
		tell(state)
	}
}

// answers gets and judges answers, those of each provider beside those of others. No call
// begins after ctx is done; all ends those in flight.
func (r *run) answers(ctx, all context.Context, tasks []task) {
	byPace := map[*pace][]task{}
	for _, task := range tasks {
		pace := r.targets[task.model].pace
		byPace[pace] = append(byPace[pace], task)
	}
	var providers sync.WaitGroup
	for pace, tasks := range byPace {
		providers.Go(func() {
			var calls sync.WaitGroup
			defer calls.Wait()
			// Answers that wait for the judge do not pile up.
			waiting := make(chan struct{}, 4*int(pace.most)+16)
			for _, task := range tasks {
				select {
				case <-ctx.Done():
					return
				case <-all.Done():
					return
				case waiting <- struct{}{}:
				}
				calls.Go(func() {
					defer func() { <-waiting }()
					r.answer(ctx, all, task)
				})
			}
		})
	}
	providers.Wait()
}

// answer gets an answer, if there is none yet, and has it judged.
func (r *run) answer(ctx, all context.Context, task task) {
	c := r.book.answer(task.key)
	if c == nil {
		t, prompt := r.targets[task.model], &r.prompts[task.prompt]
		body, err := t.body(&r.config.Prompts, prompt)
		if err != nil {
			r.cancel(err) // it was made before
			return
		}
		c, err = r.ask(ctx, all, t, body, task.size, line{Key: task.key, For: forAnswer, Model: t.config.Name, Query: prompt.ID, Tier: r.tier})
		switch {
		case errors.Is(err, errCap):
			r.atCap.Add(1)
			return
		case err != nil:
			if ctx.Err() == nil {
				r.failed.Add(1)
			}
			return
		}
		r.done.Add(1)
	}
	r.judged(ctx, all, task, c)
}

// stopper stops asking a model that only fails.
type stopper struct {
	row  atomic.Int64
	gone atomic.Pointer[provider.Error]
}

// errGone says that a model is asked no more.
var errGone = errors.New("the model is asked no more")

// ask makes a call and its repetitions, and returns the answered call. The error is errCap
// if it did not fit under the cap. size bounds the tokens of the request.
func (r *run) ask(ctx, all context.Context, t *target, body []byte, size int, l line) (answered *call, err error) {
	if t.stop.gone.Load() != nil {
		return nil, errGone
	}
	held, err := t.most(size, l.Tier)
	if err != nil {
		return nil, err
	}
	if err := t.pace.begin(ctx); err != nil {
		return nil, err
	}
	defer t.pace.end()
	body = t.withTier(body, l.Tier)
	capped := false
	joined, leave := both(ctx, all)
	defer leave()
	call := func() *provider.Error {
		return r.caller.Job(joined).Call(provider.Target{Upstream: t.upstream, Model: t.config.Upstream}, true, func(try *provider.Try) *provider.Error {
			if err := r.purse.hold(joined, held); err != nil {
				capped = errors.Is(err, errCap)
				return &provider.Error{Kind: provider.Denied, Ours: true, Code: "cap_reached", Err: err}
			}
			c, e := r.try(all, t, body, l, held, try)
			if e != nil {
				if e.Kind == provider.RateLimited {
					t.pace.tooMany(e.RetryAfter)
				}
				return e
			}
			t.pace.good()
			answered = c
			return nil
		})
	}
	failed := call()
	for again := 0; again < patience && failed != nil && failed.Kind == provider.RateLimited && failed.Code != provider.CodeNoQuota && !capped; again++ {
		failed = call()
	}
	switch {
	case capped:
		return nil, errCap
	case failed != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case failed != nil && failed.Kind == provider.Denied: // the model is not at fault
		return nil, failed
	case failed != nil:
		// What has failed in an earlier run stands together at the beginning of this one,
		// and says nothing new of the model.
		fresh := failed.Kind != provider.ContextLength && !r.book.failing[l.Key]
		if failed.Kind == provider.KeyRefused || fresh && t.stop.row.Add(1) >= failuresInARow {
			t.stop.gone.CompareAndSwap(nil, failed)
		}
		return nil, failed
	}
	t.stop.row.Store(0)
	return answered, nil
}

// both returns a context that ends with either: no call is repeated after an interruption,
// while one that was sent is waited for. leave releases it.
func both(ctx, all context.Context) (joined context.Context, leave func()) {
	joined, cancel := context.WithCancelCause(all)
	stop := context.AfterFunc(ctx, func() { cancel(ctx.Err()) })
	return joined, func() {
		stop()
		cancel(nil)
	}
}

// try makes one call, which is in the journal before it is sent.
func (r *run) try(all context.Context, t *target, body []byte, l line, held carrot.USD, try *provider.Try) (*call, *provider.Error) {
	begin := l
	begin.Line, begin.Call, begin.Held = lineBegin, r.book.number(), held
	end := &line{Line: lineEnd, Call: begin.Call}
	if err := r.book.write(&begin); err != nil {
		r.purse.settle(held, 0)
		r.cancel(err)
		return nil, &provider.Error{Kind: provider.Denied, Ours: true, Code: "journal", Err: err}
	}
	timeout := callTimeout
	if l.Tier == Flex {
		timeout = flexTimeout
	}
	sending, cancel := context.WithTimeout(all, timeout) // not that of the try: what was sent is waited for
	defer cancel()
	var sent atomic.Bool
	var failure *provider.Error
	response, err := t.upstream.Do(sending, provider.Call{API: t.api, Model: t.config.Upstream, Key: try.Key, Body: body, Sent: &sent})
	if err == nil {
		var answer []byte
		if answer, err = provider.ReadAnswer(response, longestAnswer); err == nil {
			failure = r.read(t, body, answer, l.Tier, end)
		}
	}
	if err != nil {
		failure = provider.NetworkError(sending, err)
		if end.Outcome = outcomeFailed; sent.Load() && !failure.Said {
			end.Outcome, end.CostUnknown = outcomeUnknown, true
		}
	}
	if failure != nil {
		end.Error = failure.Public()
	}
	c := &call{&begin, end}
	amount, _ := c.cost()
	r.purse.settle(held, amount)
	if err := r.book.write(end); err != nil {
		r.cancel(err)
		return nil, &provider.Error{Kind: provider.Denied, Ours: true, Code: "journal", Err: err}
	}
	if failure != nil {
		return nil, failure
	}
	try.Answered()
	return c, nil
}

// read reads an answer into the line of the call's end.
func (r *run) read(t *target, request, body []byte, tier string, end *line) *provider.Error {
	answer, ok := wire.ReadAnswer(t.api, body)
	if !ok {
		end.Outcome, end.CostUnknown = outcomeUnknown, true
		return &provider.Error{Kind: provider.Server, Code: "malformed_answer", Message: "the answer is not one of " + string(t.api)}
	}
	usage := answer.Report.Usage()
	if !answer.Report.Input() {
		usage.Input, end.Estimated = price.CountTokens(string(request)), true
	}
	if !answer.Report.Output() {
		usage.Output, end.Estimated = price.CountTokens(answer.Text), true
	}
	if tier == Batch { // which answers do not name
		details := carrot.UsageDetails{}
		if usage.Details != nil {
			details = *usage.Details
		}
		details.Tier = Batch
		usage.Details = &details
	}
	var err error
	if end.Cost, err = t.price.Cost(usage); err != nil {
		end.Cost, end.CostUnknown = 0, true
	}
	said := wire.ReadReply(t.api, body)
	text, err := r.redact.text(context.Background(), said.Text)
	if err != nil { // it is paid and cannot be kept
		end.Outcome = outcomeUnknown
		r.halt(err)
		return &provider.Error{Kind: provider.Denied, Ours: true, Code: "redact", Err: err}
	}
	end.Outcome, end.Text, end.Truncated, end.Refused, end.Usage = outcomeAnswered, text, said.Truncated, said.Refused, &usage
	return nil
}

// judged has an answer judged, unless it was before.
func (r *run) judged(ctx, all context.Context, task task, c *call) {
	if c.end.Refused && r.config.Refusals != refusalJudge {
		return
	}
	for n := range r.judgements(task) {
		of := r.verdictKey(task, n)
		before := r.book.verdict(of)
		if before != nil && !before.Unknown {
			continue
		}
		it := r.item(&r.prompts[task.prompt], r.targets[task.model].config.Name, c.end.Text)
		joined, leave := both(ctx, all)
		v, err := r.judge.Judge(context.WithValue(joined, judging{}, judging{task.key, n}), it)
		stopped := joined.Err() != nil
		leave()
		if stopped || errors.Is(err, errCap) || errors.Is(err, errNotAsked) {
			return // the next run judges it
		}
		l := &line{Line: lineVerdict, Key: task.key, Judge: of.judge, Number: n, Score: v.Score, Final: v.Final, Votes: v.Votes, Note: v.Note}
		if err != nil {
			l.Unknown, l.Score, l.Note = true, 0, err.Error()
			if before != nil && before.Note == l.Note {
				continue // it was tried again, in vain
			}
		}
		if err := r.book.write(l); err != nil {
			r.cancel(err)
			return
		}
	}
}

// judging says which verdict a question of the judge is for.
type judging struct {
	key    string
	number int
}

// asker asks the model of a judge, as any other model is asked.
type asker struct{ r *run }

// errNotAsked says that the judge's model did not answer, and may answer later.
var errNotAsked = errors.New("the judge's model did not answer")

// Ask implements judge.Asker.
func (a asker) Ask(ctx context.Context, q judge.Question) (string, error) {
	of, _ := ctx.Value(judging{}).(judging)
	body, err := a.r.asks.question(q.System, q.Prompt)
	if err != nil {
		return "", err
	}
	key := fmt.Sprintf("%s.%s.%d.%d", a.r.asks.keyOf(body), of.key, of.number, q.Number)
	c := a.r.book.answer(key)
	if c == nil {
		c, err = a.r.ask(ctx, context.WithoutCancel(ctx), a.r.asks, body, len(body), line{Key: key, For: forJudge, Model: a.r.asks.config.Name, Query: q.Item.ID})
		if errors.Is(err, errCap) {
			a.r.atCap.Add(1)
			return "", err
		}
		if err != nil {
			return "", fmt.Errorf("%w: %w", errNotAsked, err)
		}
	}
	return c.end.Text, nil
}

// stopped returns the models that were asked no more, with the reason.
func (r *run) stopped() map[string]string {
	out := map[string]string{}
	for _, t := range r.all() {
		if e := t.stop.gone.Load(); e != nil {
			out[t.config.Name] = e.Public()
		}
	}
	return out
}
