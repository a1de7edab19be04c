package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// Timeouts limit a call.
type Timeouts struct {
	FirstToken time.Duration // until anything of a stream arrives; 0: no limit
	Thinking   time.Duration // until the first content of a stream; 0: no limit
	Idle       time.Duration // of silence, after something of a stream has arrived; 0: no limit
	Total      time.Duration // until the end of the answer; 0: no limit
}

// Retry says when a failed call is made again.
type Retry struct {
	// Retries is the number of further calls after network errors and 5xx, and
	// after 429 if no other target is left.
	Retries int
	// Backoff is the wait before the first retry. It doubles with each retry;
	// a random part of up to half is taken off.
	Backoff time.Duration
	// MaxWait limits every wait; 0: retries are made at once. If the provider
	// asks for a longer wait in Retry-After, the call is not retried.
	MaxWait time.Duration
	// Patient is for work that no client waits for: timeouts are retried too,
	// and a Retry-After longer than MaxWait is cut to MaxWait.
	Patient bool
}

// Caller calls models of providers. It uses a provider's keys in turn, retries
// within a budget, stops calling models that keep failing, and limits the time
// of every call. The zero Caller does not retry. A Caller is safe for concurrent
// use as long as its fields are not changed.
type Caller struct {
	Retry    Retry
	Budget   *Budget   // of retries; nil: only Retry limits them
	Breakers *Breakers // nil: none
}

// Target is what is called: a model of a provider.
type Target struct {
	Upstream *Upstream
	Model    string // the provider's name for it
	// Stay is 1 plus the index of the key that calls stay on, because the provider
	// has the conversation in that key's account; 0: none, keys are used in turn. If
	// the key is over its limit for a short time, it is waited for, whether or not
	// another target is left. Only if that fails, other keys are tried.
	Stay int
	// Bound says that no other key can continue the conversation. Others are tried
	// only if the key to stay on is refused.
	Bound bool
}

// Try is one call of a target in progress. It is not safe for concurrent use.
type Try struct {
	Target Target
	Key    int // the index of the key
	// Context is the context of the job. It also ends when the call exceeds one
	// of the target's timeouts.
	Context context.Context

	cancel context.CancelCauseFunc
	watch  watch       // of a stream
	tell   func(error) // tells the circuit breaker, once
}

// Send makes the call with the target's model and the key of this try. If the answer
// is a stream, whatever arrives is a sign of life, and the limit on its first content
// applies until [Try.Answered] is called.
func (t *Try) Send(c Call, stream bool) (*http.Response, error) {
	c.Model, c.Key = t.Target.Model, t.Key
	if !stream {
		return t.Target.Upstream.Do(t.Context, c)
	}
	t.watch.start(t.Target.Upstream.Timeouts, t.cancel)
	response, err := t.Target.Upstream.Do(t.Context, c)
	if err != nil {
		return nil, err
	}
	t.watch.body, response.Body = response.Body, watched{&t.watch}
	return response, nil
}

// Answered tells the circuit breaker that the target works. Call it as soon as
// the first content of the answer has arrived.
func (t *Try) Answered() {
	t.watch.alive.Store(true)
	t.watch.answered.Store(true)
	t.tell(nil)
}

// Job is one request, sent to a target and, if that fails, to others. It
// remembers which keys were refused. It is not safe for concurrent use.
type Job struct {
	// KeyRefused, if not nil, is called for each refused key, with its index.
	KeyRefused func(t Target, key int, e *Error)

	caller *Caller
	ctx    context.Context
	dead   map[deadKey]bool
}

// deadKey is a key that a provider refused.
type deadKey struct {
	upstream *Upstream
	key      int
}

// Job begins a request and adds its share to the budget of retries.
func (c *Caller) Job(ctx context.Context) *Job {
	c.Budget.request()
	return &Job{caller: c, ctx: ctx}
}

// Call calls a target until once succeeds or a further call makes no sense. Each
// time, once makes a single call and handles its answer; it returns nil when it
// succeeded, and also when it failed after part of the answer was passed on, since
// the call cannot be repeated then. last says that no other target is left, so
// that waiting for this one is better than giving up. Call returns nil if once
// did, and otherwise a copy of the last error with the number of tries.
func (j *Job) Call(t Target, last bool, once func(*Try) *Error) *Error {
	keys := t.Upstream.keyOrder(t.Stay - 1)
	if len(j.dead) > 0 {
		keys = slices.DeleteFunc(keys, func(key int) bool { return j.dead[deadKey{t.Upstream, key}] })
	}
	if len(keys) == 0 {
		return &Error{Kind: KeyRefused, Code: "key_refused", Message: "all keys were already refused in this request"}
	}
	key, tries, retries := 0, 0, 0
	fail := func(e *Error) *Error { // requests share the errors of their contexts
		failed := *e
		failed.Tries = tries
		return &failed
	}
	var limited *Error // of the previous key, which is over its limit
	for {
		e := j.try(t, keys[key], once)
		if e == nil {
			return nil
		}
		if e.Code != CodeBreakerOpen || e.Said {
			tries++
		}
		another := false // key is to be tried
		staying := t.Stay > 0 && keys[key] == t.Stay-1
		waits := false // for the key to stay on
		if staying && e.Kind == RateLimited {
			_, again := j.wait(e, true)
			waits = again && retries < j.caller.Retry.Retries && j.caller.Budget.take()
		}
		switch {
		case waits:
		case e.Kind == KeyRefused:
			j.refused(t, keys[key], e)
			keys = slices.Delete(keys, key, key+1)
			if another = key < len(keys); !another && limited != nil {
				e, key = limited, key-1 // the remaining keys are over their limits
			}
		case staying && t.Bound && e.Kind == RateLimited:
			return fail(e)
		case e.Kind == RateLimited && key+1 < len(keys):
			limited, another = e, true
			key++
		}
		wait, again := j.wait(e, last || waits)
		if !another && (!again || retries >= j.caller.Retry.Retries) {
			return fail(e)
		}
		if err := j.ctx.Err(); err != nil {
			return fail(NetworkError(j.ctx, err))
		}
		if another {
			continue
		}
		if !waits && !j.caller.Budget.take() {
			return fail(e)
		}
		retries++
		wait = max(wait, min(backoff(j.caller.Retry.Backoff, retries), j.caller.Retry.MaxWait))
		if err := sleep(j.ctx, wait); err != nil {
			return fail(NetworkError(j.ctx, err))
		}
	}
}

// refused notes that a key was refused. A key that is refused for one model may
// be accepted for others.
func (j *Job) refused(t Target, key int, e *Error) {
	if j.KeyRefused != nil {
		j.KeyRefused(t, key, e)
	}
	if e.OfModel {
		return
	}
	if j.dead == nil {
		j.dead = map[deadKey]bool{}
	}
	j.dead[deadKey{t.Upstream, key}] = true
}

// wait reports whether another call of the same target may succeed, and the
// shortest wait before it.
func (j *Job) wait(e *Error, last bool) (time.Duration, bool) {
	retry := &j.caller.Retry
	wait := e.RetryAfter
	if retry.Patient {
		wait = min(wait, retry.MaxWait)
	}
	return wait, wait <= retry.MaxWait && j.transient(e, last)
}

// transient reports whether the same call may succeed when it is made again.
func (j *Job) transient(e *Error, last bool) bool {
	switch e.Kind {
	case Network:
		return e.Code != codeBadAddress
	case Server:
		switch e.Code {
		case CodeBreakerOpen, CodePanic, codeTooLong:
			return false
		}
		// The provider would answer with the same redirect, and does not learn
		// what it has not implemented.
		return (e.Status < 300 || e.Status > 399) && e.Status != http.StatusNotImplemented && e.Status != http.StatusHTTPVersionNotSupported
	case RateLimited:
		return last
	case Timeout:
		return j.caller.Retry.Patient
	}
	return false
}

// try makes a call unless the target's circuit breaker is open. It tells the
// breaker whether the target works as soon as that is known: at the first content,
// or with the error.
func (j *Job) try(target Target, key int, once func(*Try) *Error) *Error {
	done, ok := j.caller.Breakers.allow(target)
	if !ok {
		return &Error{Kind: Server, Status: http.StatusServiceUnavailable, Code: CodeBreakerOpen, Message: target.Model + " failed too often recently and is not called for a while"}
	}
	ctx, cancel := context.WithCancelCause(j.ctx)
	defer cancel(nil)
	t := &Try{Target: target, Context: ctx, Key: key, cancel: cancel}
	told := false
	t.tell = func(err error) {
		if !told {
			told = true
			done(err)
		}
	}
	defer func() {
		t.watch.stop()
		t.tell(errPanicked) // no effect unless once panicked
	}()
	if limit := target.Upstream.Timeouts.Total; limit > 0 {
		total := time.AfterFunc(limit, func() {
			cancel(&Error{Kind: Timeout, Status: http.StatusGatewayTimeout, Code: "timeout", Message: fmt.Sprintf("no complete answer within %v", limit)})
		})
		defer total.Stop()
	}
	e := once(t)
	t.tell(breakerError(e))
	return e
}

// errPanicked stands for the outcome of a call that panicked, which says nothing
// about the provider.
var errPanicked = &Error{Kind: Server, Code: CodePanic, Ours: true}

// Ask calls a target and returns its whole answer, of at most limit bytes. It is
// for programs that do not pass the answer on while it arrives. The error is an
// [*Error].
func (c *Caller) Ask(ctx context.Context, t Target, call Call, limit int64) ([]byte, error) {
	var answer []byte
	e := c.Job(ctx).Call(t, true, func(try *Try) *Error {
		response, err := try.Send(call, false)
		if err == nil {
			answer, err = ReadAnswer(response, limit)
		}
		if err != nil {
			return NetworkError(try.Context, err)
		}
		try.Answered()
		return nil
	})
	if e != nil {
		return nil, e
	}
	return answer, nil
}

// ReadAnswer returns the whole body of an answer, of at most limit bytes, and
// closes it.
func ReadAnswer(response *http.Response, limit int64) ([]byte, error) {
	defer response.Body.Close()
	n := response.ContentLength
	if n >= 0 && n <= min(1<<20, limit) {
		body := make([]byte, n)
		_, err := io.ReadFull(response.Body, body)
		return withoutMark(body), err
	}
	if n <= limit {
		body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
		if err != nil || int64(len(body)) <= limit {
			return withoutMark(body), err
		}
	}
	if limit < 1<<20 {
		return nil, fmt.Errorf("%w than %d bytes", errAnswerTooLong, limit)
	}
	return nil, fmt.Errorf("%w than %d MB", errAnswerTooLong, limit>>20)
}

var errAnswerTooLong = errors.New("the answer is longer")
