package collect

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
)

// The states of a batch in the journal.
const (
	batchSubmitting = "submitting" // it is not known whether the provider has it
	batchSubmitted  = "submitted"
	batchEnded      = "ended" // all its calls have ended
)

const (
	pollFirst = 2 * time.Second // before the state of a batch is asked for; it grows
	pollMost  = time.Minute
)

// pending are the calls of a batch that have not ended.
type pending struct {
	key   string
	state line
	since time.Time
	calls []*line // their beginnings
}

// pendingBatches returns the batches of the journal that have not ended, in order.
func (b *book) pendingBatches() []*pending {
	b.mu.Lock()
	defer b.mu.Unlock()
	byKey := map[string]*pending{}
	for key, l := range b.batches {
		if l.State != batchEnded {
			byKey[key] = &pending{key: key, state: *l, since: l.Time}
		}
	}
	for _, begin := range b.open {
		if p := byKey[begin.Batch]; p != nil {
			p.calls = append(p.calls, begin)
			if begin.Time.Before(p.since) {
				p.since = begin.Time
			}
		}
	}
	var all []*pending
	for _, p := range byKey {
		slices.SortFunc(p.calls, func(a, b *line) int { return cmp.Compare(a.Call, b.Call) })
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *pending) int { return a.since.Compare(b.since) })
	return all
}

// batches gets the answers of tasks by batches. Batches of earlier runs are continued
// first, and never submitted again. It returns when all have ended, or ctx is done; what is
// then in batches is fetched by the next run. In a run of another tier no batch is submitted,
// and the tasks are returned that have no answer after batches of earlier runs.
func (r *run) batches(ctx, all context.Context, tasks []task) (left []task) {
	ctx, leave := both(ctx, all)
	defer leave()
	left = slices.DeleteFunc(slices.Clone(tasks), func(t task) bool { return r.inBatch[t.key] })
	tries := map[string]int{}
	ended := make(chan leftover)
	flying := 0
	begin := func(p *pending) {
		flying++
		go func() { ended <- r.batch(ctx, all, p) }()
	}
	for _, p := range r.resumed {
		begin(p)
	}
	r.resumed = nil
	for {
		var chunks []*pending
		if ctx.Err() == nil && r.tier == Batch {
			chunks, left = r.chunks(left)
		}
		for _, p := range chunks {
			begin(p)
		}
		if flying == 0 {
			if r.tier != Batch {
				return left
			}
			if ctx.Err() == nil {
				r.atCap.Add(int64(len(left)))
			}
			return nil
		}
		again := <-ended
		flying--
		for _, begin := range again.calls {
			if again.tried {
				tries[begin.Key]++
			}
			if tries[begin.Key] <= *r.config.Retries {
				if t, ok := r.taskOf[begin.Key]; ok {
					left = append(left, t)
				}
			} else {
				r.failed.Add(1)
			}
		}
	}
}

// leftover are the calls of a batch that are to be made again.
type leftover struct {
	calls []*line
	tried bool // the provider had them
}

// chunks returns batches of as many of the tasks as fit under the cap and into a batch of
// their provider, and the tasks that are left. Answers that are there are judged.
func (r *run) chunks(tasks []task) (chunks []*pending, left []task) {
	size := make([]int, len(r.targets))
	open := make([]*pending, len(r.targets))
	for i, task := range tasks {
		t := r.targets[task.model]
		if r.book.answer(task.key) != nil {
			r.ready = append(r.ready, task)
			continue
		}
		if t.stop.gone.Load() != nil {
			continue
		}
		held, err := t.most(task.size, Batch)
		if err != nil || !r.purse.tryHold(held) {
			return r.closed(chunks, open), tasks[i:]
		}
		limit := t.upstream.BatchLimit()
		if p := open[task.model]; p != nil && (len(p.calls) >= limit.Requests || size[task.model]+task.size+limit.PerRequest > limit.Bytes) {
			chunks, open[task.model], size[task.model] = append(chunks, p), nil, 0
		}
		if open[task.model] == nil {
			open[task.model] = &pending{key: rand.Text(), since: time.Now()}
		}
		p := open[task.model]
		p.state.Model, p.state.Provider = t.config.Name, t.config.Provider
		p.calls = append(p.calls, &line{Line: lineBegin, Call: r.book.number(), Key: task.key, For: forAnswer, Model: t.config.Name,
			Query: r.prompts[task.prompt].ID, Tier: Batch, Held: held, Batch: p.key})
		size[task.model] += task.size + limit.PerRequest
	}
	return r.closed(chunks, open), nil
}

func (r *run) closed(chunks, open []*pending) []*pending {
	for _, p := range open {
		if p != nil {
			chunks = append(chunks, p)
		}
	}
	return chunks
}

// batch submits a batch, or finds it, waits for its end and takes in its results. It
// returns the calls that are to be made again.
func (r *run) batch(ctx, all context.Context, p *pending) leftover {
	t := r.targets[r.targetOf(p)]
	own := p.state.State == "" // submitted by this run
	if own {
		if !r.submit(ctx, t, p) {
			return leftover{}
		}
	}
	if p.state.ID == "" {
		if found, ok := r.find(ctx, t, p); !ok {
			return leftover{} // the next run looks again
		} else if !found {
			return leftover{r.dropped(p, "the provider does not have the batch", true), own}
		}
	}
	refused, ok := r.wait(ctx, t, p)
	switch {
	case !ok:
		return leftover{}
	case refused != "": // all of it, perhaps because too much waits already
		r.opt.Warn("batch " + p.state.ID + " of " + t.config.Name + ": " + refused)
		sleep(ctx, r.poll)
		return leftover{r.dropped(p, refused, true), true}
	}
	return leftover{r.results(ctx, all, t, p), true}
}

// note writes the state of a batch to the journal, with the beginnings of its calls if it
// is new.
func (r *run) note(p *pending, state string) bool {
	lines := []*line{}
	if p.state.State == "" {
		lines = append(lines, p.calls...)
	}
	p.state.State = state
	l := line{Line: lineBatch, Key: p.key, Provider: p.state.Provider, Model: p.state.Model, ID: p.state.ID, State: state}
	// The batch before its calls, so that they are never taken for lost.
	if err := r.book.write(append([]*line{&l}, lines...)...); err != nil {
		r.cancel(err)
		return false
	}
	return true
}

// submit submits a batch, which is in the journal before. It reports whether to go on.
func (r *run) submit(ctx context.Context, t *target, p *pending) bool {
	items := make([]provider.BatchItem, len(p.calls))
	for k, begin := range p.calls {
		task := r.taskOf[begin.Key]
		body, err := t.body(&r.config.Prompts, &r.prompts[task.prompt])
		if err != nil {
			r.cancel(err) // it was made before
			return false
		}
		items[k] = provider.BatchItem{ID: itemID(begin), API: t.api, Body: body}
	}
	if !r.note(p, batchSubmitting) {
		return false
	}
	if err := r.book.sync(); err != nil { // a batch of which nothing is known would be submitted again
		r.cancel(fmt.Errorf("synchronise the journal: %w", err))
		return false
	}
	id, err := t.upstream.SubmitBatch(context.WithoutCancel(ctx), p.key, items)
	switch {
	case errors.Is(err, provider.ErrBatchUnclear):
		return true
	case err != nil:
		r.dropped(p, public(err), false)
		failed, ok := errors.AsType[*provider.Error](err)
		if !ok {
			failed = &provider.Error{Kind: provider.Invalid, Ours: true, Message: err.Error()}
		}
		t.stop.gone.CompareAndSwap(nil, failed) // every other batch of it would fail too
		return false
	}
	p.state.ID = id
	return r.note(p, batchSubmitted)
}

func itemID(begin *line) string { return "call" + strconv.FormatInt(begin.Call, 10) }

// find looks for a batch of which it is not known whether the provider has it. ok is false
// if that stays unknown.
func (r *run) find(ctx context.Context, t *target, p *pending) (found, ok bool) {
	for wait := r.poll; ; wait = min(2*wait, pollMost) {
		id, found, err := t.upstream.FindBatch(ctx, p.key, p.since)
		switch {
		case err == nil && found:
			p.state.ID = id
			return true, r.note(p, batchSubmitted)
		case err == nil:
			return false, true
		case ctx.Err() != nil:
			return false, false
		case !errors.Is(err, provider.ErrBatchUnclear):
			r.opt.Warn("batches of " + t.config.Name + ": " + public(err))
			if hopeless(err) {
				return false, false
			}
		}
		if !sleep(ctx, wait) {
			return false, false
		}
	}
}

// wait waits for the end of a batch. It returns why the provider has refused all of it,
// and whether the batch has ended.
func (r *run) wait(ctx context.Context, t *target, p *pending) (refused string, ended bool) {
	for wait := r.poll; ; wait = min(wait*3/2, pollMost) {
		state, err := t.upstream.Batch(ctx, p.state.ID)
		switch {
		case err == nil && state.Ended:
			return state.Reason, true
		case err != nil && ctx.Err() == nil:
			r.opt.Warn("a batch of " + t.config.Name + ": " + public(err))
			if hopeless(err) {
				return "", false
			}
		}
		if !sleep(ctx, wait) {
			return "", false
		}
	}
}

// hopeless reports whether an error stays the same however often the provider is asked: it
// refuses the key, or does not know the batch. The calls stay in the batch, and the next run
// asks again, perhaps with another key.
func hopeless(err error) bool {
	e, ok := errors.AsType[*provider.Error](err)
	return ok && (e.Kind == provider.KeyRefused || e.Kind == provider.Invalid)
}

// public returns the text of an error without what a provider may have quoted of a prompt.
func public(err error) string {
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || !e.Quoted {
		return err.Error()
	}
	return strings.Replace(err.Error(), e.Error(), e.Public(), 1)
}

// targetOf returns the index of a batch's model among the targets, -1 if there is none.
func (p *Plan) targetOf(b *pending) int {
	return slices.IndexFunc(p.targets, func(t *target) bool { return t.config.Name == b.state.Model })
}

// checkPending says whether the batches of earlier runs can be fetched.
func (p *Plan) checkPending(batches []*pending) error {
	for _, b := range batches {
		name := b.state.ID
		if name == "" {
			name = "whose id is not known yet"
		}
		i := p.targetOf(b)
		if i < 0 {
			return fmt.Errorf("a batch (%s) of model %s is in progress, but the configuration has no such model any more: add it until the batch has ended", name, b.state.Model)
		}
		if now := p.targets[i].config.Provider; now != b.state.Provider {
			return fmt.Errorf("a batch (%s) of model %s is in progress at provider %s, but the model is now at %s: change that when the batch has ended", name, b.state.Model, b.state.Provider, now)
		}
	}
	return nil
}

// sleep waits, and reports whether ctx is not done.
func sleep(ctx context.Context, wait time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}

// results takes in the results of a batch that has ended, and has the answers judged. It
// returns the calls without an answer.
func (r *run) results(ctx, all context.Context, t *target, p *pending) (again []*line) {
	byID := map[string]*line{}
	for _, begin := range p.calls {
		byID[itemID(begin)] = begin
	}
	var got []task
	var broken error // of the journal
	take := func(result provider.BatchResult) error {
		begin := byID[result.ID]
		if begin == nil {
			return nil // taken in by an earlier run
		}
		delete(byID, result.ID)
		end := &line{Line: lineEnd, Call: begin.Call}
		failure := t.upstream.ResultError(result)
		if failure == nil {
			failure = r.read(t, nil, result.Body, Batch, end)
		} else {
			end.Outcome = outcomeFailed
		}
		if failure != nil {
			end.Error = failure.Public()
			if result.Expired || failure.Kind == provider.Server || failure.Kind == provider.RateLimited {
				again = append(again, begin)
			} else {
				r.failed.Add(1)
			}
		}
		amount, _ := (&call{begin, end}).cost()
		r.purse.settle(begin.Held, amount)
		if err := r.book.write(end); err != nil {
			broken = err
			return err
		}
		if end.Outcome == outcomeAnswered {
			r.done.Add(1)
			if task, ok := r.taskOf[begin.Key]; ok {
				got = append(got, task)
			}
		}
		return nil
	}
	for try := 0; ; try++ {
		err := t.upstream.BatchResults(ctx, p.state.ID, take)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return nil
		}
		if broken != nil {
			r.cancel(broken)
			return nil
		}
		if try == *r.config.Retries { // the next run fetches the rest
			r.opt.Warn("a batch of " + t.config.Name + ": " + public(err))
			r.judgeAll(ctx, all, got)
			return nil
		}
		if !sleep(ctx, r.poll) {
			return nil
		}
	}
	p.calls = p.calls[:0]
	for _, begin := range byID { // without a result
		p.calls = append(p.calls, begin)
	}
	slices.SortFunc(p.calls, func(a, b *line) int { return cmp.Compare(a.Call, b.Call) })
	again = append(again, r.dropped(p, "the batch has ended without a result", true)...)
	r.judgeAll(ctx, all, got)
	return again
}

// dropped ends the calls of a batch that have no result, for which nothing is billed, and
// then the batch. It returns them if they are to be made again.
func (r *run) dropped(p *pending, why string, again bool) []*line {
	for _, begin := range p.calls {
		r.purse.settle(begin.Held, 0)
		if err := r.book.write(&line{Line: lineEnd, Call: begin.Call, Outcome: outcomeFailed, Error: why}); err != nil {
			r.cancel(err)
			return nil
		}
	}
	calls := p.calls
	if p.calls = nil; !r.note(p, batchEnded) {
		return nil
	}
	if !again {
		r.failed.Add(int64(len(calls)))
		return nil
	}
	return calls
}

// judgeAll has answers judged, some at a time.
func (r *run) judgeAll(ctx, all context.Context, tasks []task) {
	var calls sync.WaitGroup
	some := make(chan struct{}, defaultConcurrency)
	for _, task := range tasks {
		some <- struct{}{}
		calls.Go(func() {
			defer func() { <-some }()
			if c := r.book.answer(task.key); c != nil {
				r.judged(ctx, all, task, c)
			}
		})
	}
	calls.Wait()
}

// resume prepares the batches of earlier runs: what their calls can cost is held.
func (r *run) resume() {
	for _, p := range r.book.pendingBatches() {
		var held carrot.USD
		for _, begin := range p.calls {
			held += begin.Held
		}
		r.purse.force(held)
		r.resumed = append(r.resumed, p)
	}
}
