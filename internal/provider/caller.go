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
	FirstToken time.Duration // the wait for the first content of a stream; 0: no limit
	Total      time.Duration // a whole answer; 0: no limit
}

// Retry says when a call is made again.
type Retry struct {
	// Retries is the number of further calls after network errors and 5xx, and
	// after 429 where no other target is left.
	Retries int
	// Backoff is the wait before the first retry; it doubles, with jitter.
	Backoff time.Duration
	// MaxWait is the longest wait. If a provider asks for a longer one by
	// Retry-After, the call is not retried.
	MaxWait time.Duration
	// Patient is for work that nobody waits for: timeouts are retried too, and
	// a Retry-After that is longer than MaxWait is cut to it.
	Patient bool
}

// Caller calls models of providers: it takes a provider's keys in turn, retries
// within a budget, leaves failing models alone and limits every call in time.
// The zero Caller calls once. It is safe for concurrent use as long as its
// fields are not changed.
type Caller struct {
	Retry    Retry
	Budget   *Budget   // of retries; nil: no limit but Retry's
	Breakers *Breakers // nil: none
}

// Target is what is called: a model of a provider.
type Target struct {
	Upstream *Upstream
	Model    string // the provider's name for it
}

// Try is one call of a target, under way.
type Try struct {
	Target Target
	// Context is the caller's, and ends with the call's timeouts.
	Context context.Context

	key    int
	cancel context.CancelCauseFunc
	first  *time.Timer // of the first token; nil: no limit
	tell   func(error) // the breaker
}

// Send makes the call; its model and key are the try's. The answer of a stream
// must begin within the target's timeout, which [Try.Answered] ends.
func (t *Try) Send(c Call, stream bool) (*http.Response, error) {
	c.Model, c.Key = t.Target.Model, t.key
	if limit := t.Target.Upstream.Timeouts.FirstToken; stream && limit > 0 {
		t.first = time.AfterFunc(limit, func() {
			t.cancel(&Error{Kind: Timeout, Status: http.StatusGatewayTimeout, Code: "first_token_timeout", Message: fmt.Sprintf("no content within %v", limit)})
		})
	}
	return t.Target.Upstream.Do(t.Context, c)
}

// Answered says, as soon as that is known, that the target works: the first
// content has come.
func (t *Try) Answered() {
	if t.first != nil {
		t.first.Stop()
	}
	t.tell(nil)
}

// Job is a request on its way to one target or, if that fails, to others. It
// remembers which keys were refused. It is not safe for concurrent use.
type Job struct {
	// KeyRefused, if not nil, is told of each refused key, by its index.
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

// Call calls a target by way of once, which makes one call and reports whether
// it brought an answer, until it did or until calling again makes no sense. once
// must not return an error that may be retried when a part of the answer has
// been passed on; it then returns nil. last says that no other target is left,
// so that waiting for this one is better than giving up. Call returns nil when
// once did.
func (j *Job) Call(t Target, last bool, once func(*Try) *Error) *Error {
	retry := &j.caller.Retry
	keys := t.Upstream.keyOrder()
	if len(j.dead) > 0 {
		keys = slices.DeleteFunc(keys, func(key int) bool { return j.dead[deadKey{t.Upstream, key}] })
	}
	if len(keys) == 0 {
		return &Error{Kind: KeyRefused, Code: "key_refused", Message: "all keys were refused before in this request"}
	}
	for key, retries, tries := 0, 0, 0; ; {
		e := j.try(t, keys[key], once)
		if e == nil {
			return nil
		}
		tries++
		e.Tries = tries
		switch {
		case e.Kind == KeyRefused:
			if j.KeyRefused != nil {
				j.KeyRefused(t, keys[key], e)
			}
			if !e.OfModel {
				j.bury(deadKey{t.Upstream, keys[key]})
			}
			if key++; key == len(keys) {
				return e
			}
			continue
		case e.Kind == RateLimited && key+1 < len(keys):
			key++
			continue
		case !j.again(e, last):
			return e
		}
		wait := e.RetryAfter
		if retry.Patient {
			wait = min(wait, retry.MaxWait)
		}
		if retries >= retry.Retries || wait > retry.MaxWait || j.ctx.Err() != nil || !j.caller.Budget.take() {
			return e
		}
		retries++
		if err := sleep(j.ctx, max(min(backoff(retry.Backoff, retries), retry.MaxWait), wait)); err != nil {
			return NetworkError(j.ctx, err)
		}
	}
}

// again reports whether another call of the same target may succeed.
func (j *Job) again(e *Error, last bool) bool {
	switch e.Kind {
	case Network:
		return e.Code != CodePanic
	case Server:
		switch e.Code {
		case CodeBreakerOpen, CodePanic, codeTooLong:
			return false
		}
		// A redirection, and what is not implemented, stays as it is.
		return (e.Status < 300 || e.Status > 399) && e.Status != http.StatusNotImplemented && e.Status != http.StatusHTTPVersionNotSupported
	case RateLimited:
		return last
	case Timeout:
		return j.caller.Retry.Patient
	}
	return false
}

func (j *Job) bury(key deadKey) {
	if j.dead == nil {
		j.dead = map[deadKey]bool{}
	}
	j.dead[key] = true
}

// try makes a call unless the target's circuit breaker is open, and tells the
// breaker as soon as it is known whether the target works: at the first content,
// or with the error.
func (j *Job) try(target Target, key int, once func(*Try) *Error) *Error {
	done, ok := j.caller.Breakers.allow(target)
	if !ok {
		return &Error{Kind: Server, Status: http.StatusServiceUnavailable, Code: CodeBreakerOpen, Message: target.Model + " failed too often lately and is not called for a while"}
	}
	ctx, cancel := context.WithCancelCause(j.ctx)
	defer cancel(nil)
	t := &Try{Target: target, Context: ctx, key: key, cancel: cancel}
	told := false
	t.tell = func(err error) {
		if !told {
			told = true
			done(err)
		}
	}
	defer func() { // after a panic nothing was told
		if t.first != nil {
			t.first.Stop()
		}
		t.tell(errPanicked)
	}()
	if limit := target.Upstream.Timeouts.Total; limit > 0 {
		total := time.AfterFunc(limit, func() {
			cancel(&Error{Kind: Timeout, Status: http.StatusGatewayTimeout, Code: "timeout", Message: fmt.Sprintf("no whole answer within %v", limit)})
		})
		defer total.Stop()
	}
	e := once(t)
	t.tell(breakerError(e))
	return e
}

// errPanicked is that a call did not come to an end that a breaker could judge.
var errPanicked = &Error{Kind: Server, Code: CodePanic}

// Ask makes a call and reads its whole answer, of at most limit bytes: for
// programs without a client of their own to pass an answer on to.
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

// ReadAnswer reads a whole answer of at most limit bytes into memory and closes
// its body.
func ReadAnswer(response *http.Response, limit int64) ([]byte, error) {
	defer response.Body.Close()
	n := response.ContentLength
	if n >= 0 && n <= min(1<<20, limit) {
		body := make([]byte, n)
		_, err := io.ReadFull(response.Body, body)
		return body, err
	}
	if n <= limit {
		body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
		if err != nil || int64(len(body)) <= limit {
			return body, err
		}
	}
	return nil, fmt.Errorf("%w than %d MB", errAnswerTooLong, limit>>20)
}

// errAnswerTooLong is that an answer is longer than may be read.
var errAnswerTooLong = errors.New("the answer is longer")
