package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
)

// maxAnswer is the longest answer that is not streamed, in bytes.
const maxAnswer = 64 << 20

// converse answers a conversation: by the decision's candidate or, before the
// client has a byte, by those after it.
func (x *exchange) converse() error {
	if err := x.choose(); err != nil {
		return err
	}
	x.g.retries.request()
	t := trials{left: x.p.order, limit: 1 + *x.routes.config.Retry.Fallbacks}
	for {
		c := t.next()
		f := x.try(c, t.last())
		if f == nil {
			return nil
		}
		if x.ctx.Err() != nil && f.Kind != provider.Canceled { // nobody can be called any more
			return x.failed(c, provider.NetworkFailure(x.ctx, x.ctx.Err()))
		}
		level, why := slog.LevelWarn, string(f.Kind)
		switch {
		case f.Code == breakerOpen: // nobody was called
			level, why = slog.LevelDebug, breakerOpen
		case f.Kind == provider.Canceled || f.Kind == provider.Invalid: // the client's doing
			level = slog.LevelDebug
		}
		x.g.log.Log(x.ctx, level, "attempt failed", "request_id", x.id, "model", c.Name, "provider", c.provider.Name, "attempt", x.attempts, "error", f.Public())
		if f.Kind == provider.ContextLength {
			t.tooLong(c)
		}
		if f.Kind == provider.Canceled || f.Kind == provider.Invalid || t.last() {
			return x.failed(c, f)
		}
		x.g.metrics.fallback(c.Name, why)
	}
}

// failed ends a request whose last call failed.
func (x *exchange) failed(c *candidate, f *provider.Failure) error {
	switch f.Kind {
	case provider.Canceled:
		x.status = 499 // nobody reads it
		return nil
	case provider.Invalid, provider.ContextLength:
		return x.refuse(c, f)
	}
	return x.exhausted(c, f)
}

// try calls a candidate until it answers, or until trying again makes no sense.
// It returns nil when the request is over.
func (x *exchange) try(c *candidate, lastOne bool) *provider.Failure {
	retry := &x.routes.config.Retry
	keys := slices.DeleteFunc(c.provider.KeyOrder(), func(key int) bool { return x.dead[deadKey{c.provider, key}] })
	if len(keys) == 0 {
		return &provider.Failure{Kind: provider.KeyRefused, Code: "key_refused", Message: "all keys were refused before in this request"}
	}
	for key, retries := 0, 0; ; {
		f := x.guarded(c, keys[key])
		if f == nil || x.sent {
			return nil
		}
		switch f.Kind {
		case provider.KeyRefused:
			x.g.log.Error("a provider refuses its key", "request_id", x.id, "provider", c.provider.Name, "key", keys[key], "status", f.Status)
			if !f.OfModel {
				x.bury(deadKey{c.provider, keys[key]})
			}
			if key++; key == len(keys) {
				return f
			}
			continue
		case provider.RateLimited:
			if key+1 < len(keys) {
				key++
				continue
			}
			if !lastOne {
				return f
			}
		case provider.Network, provider.Server:
			if f.Code == breakerOpen || f.Code == panicked {
				return f
			}
		default:
			return f
		}
		if retries >= *retry.Retries || f.RetryAfter > retry.MaxWait || !x.g.retries.take() {
			return f
		}
		retries++
		if err := provider.Sleep(x.ctx, max(min(provider.Backoff(retry.Backoff, retries), retry.MaxWait), f.RetryAfter)); err != nil {
			return provider.NetworkFailure(x.ctx, err)
		}
	}
}

// deadKey is a key that a provider refused.
type deadKey struct {
	provider *upstream
	key      int
}

func (x *exchange) bury(key deadKey) {
	if x.dead == nil {
		x.dead = map[deadKey]bool{}
	}
	x.dead[key] = true
}

// breakerOpen is the code of a failure for which nobody was called.
const breakerOpen = "breaker_open"

// guarded makes a call unless the candidate's circuit breaker is open, and tells
// the breaker as soon as it is known whether the provider is well: at the first
// content, or with the failure.
func (x *exchange) guarded(c *candidate, key int) *provider.Failure {
	done, err := x.g.breakers.get(c).Allow()
	if err != nil {
		return &provider.Failure{Kind: provider.Server, Status: http.StatusServiceUnavailable, Code: breakerOpen, Message: c.Name + " failed too often lately and is left alone for a while"}
	}
	told := false
	tell := func(err error) {
		if !told {
			told = true
			done(err)
		}
	}
	x.answered = func() { tell(nil) }
	defer func() { tell(errPanicked) }() // if nothing was told
	f := x.call(c, key)
	tell(breakerError(f))
	return f
}

// breakerError is what a circuit breaker is told of a failure: only what says
// that the provider is unwell counts against it.
func breakerError(f *provider.Failure) error {
	if f == nil {
		return nil
	}
	switch f.Kind {
	case provider.Network, provider.Server, provider.Timeout, provider.RateLimited, provider.Canceled:
		return f
	}
	return nil
}

// call is one attempt: it calls the candidate once, passes the answer on, and
// records how that ended, exactly once. A failure with nothing sent to the
// client may be tried again.
func (x *exchange) call(c *candidate, key int) *provider.Failure {
	a := x.attempt(c)
	api := c.provider.Speaks(x.api)
	body, err := x.body(c, api)
	if err != nil {
		return &provider.Failure{Kind: provider.Invalid, Status: http.StatusBadRequest, Message: err.Error()}
	}
	x.attempts++
	a.Number = x.attempts
	ctx, cancel := context.WithCancelCause(x.ctx)
	defer cancel(nil)
	timeouts := &c.provider.timeouts
	total := time.AfterFunc(timeouts.Total, func() {
		cancel(&provider.Failure{Kind: provider.Timeout, Status: http.StatusGatewayTimeout, Code: "timeout", Message: fmt.Sprintf("no whole answer within %v", timeouts.Total)})
	})
	defer total.Stop()

	ctx, span := x.g.tracer.attempt(ctx, a)
	span.calls(c.provider.Upstream)
	begun := time.Now()
	if a.Number == 1 {
		a.Overhead = begun.Sub(x.start)
		x.g.metrics.overhead(a.Overhead)
	} else {
		a.Overhead = begun.Sub(x.start) - x.upstream
	}
	x.reported = false
	f := x.contained(func() *provider.Failure { return x.exchangeWith(ctx, cancel, c, api, key, body, a, begun) })
	a.Upstream = time.Since(begun)
	x.upstream += a.Upstream
	if f == nil && !a.Stream {
		a.FirstToken = a.Upstream
	}
	x.finish(a, c, f)
	span.end(a)
	return f
}

// panicked is the code of the gateway's own fault.
const panicked = "panic"

// errPanicked is that a call did not come to an end that a breaker could judge.
var errPanicked = &provider.Failure{Kind: provider.Server, Code: panicked}

// contained turns a panic into a failure: one broken answer must not cost the
// record, nor the breaker's count.
func (x *exchange) contained(f func() *provider.Failure) (failure *provider.Failure) {
	defer func() {
		if v := recover(); v != nil {
			x.g.log.Error("panic", "request_id", x.id, "panic", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			failure = &provider.Failure{Kind: provider.Server, Status: http.StatusInternalServerError, Code: panicked, Message: "internal error"}
		}
	}()
	return f()
}

// attempt is the record of a call that is about to be made.
func (x *exchange) attempt(c *candidate) *Attempt {
	p := x.p
	a := &Attempt{
		Time: time.Now(), RequestID: x.id, Client: x.clientName(), API: x.api, Session: x.s.session, Stream: x.q.Stream,
		Policy: x.s.policyName(), First: p.order[0].Name, Reason: p.why(c), Decision: p.decision, DecidedIn: p.decidedIn, Propensity: p.propensity, Shadow: p.shadow,
		Candidate: c.Name, Provider: c.provider.Name, UpstreamModel: c.upstream,
	}
	if e := p.estimate(c.Name); e != nil {
		a.Expected = e.Cost
	}
	if x.routes.config.Record.Content {
		a.Prompt = x.q.Body
	}
	return a
}

// body is the request in the words of the candidate's provider.
func (x *exchange) body(c *candidate, api wire.API) ([]byte, error) {
	body, err := x.p.bodies.in(api, x.q, c)
	if err != nil {
		return nil, err
	}
	e := c.edits(api, x.q)
	if api == wire.Chat && x.api != wire.Chat {
		e.RenameLimit = c.provider.limitKey
	}
	return wire.Edit(body, e), nil
}

// exchangeWith makes the call and passes on what comes.
func (x *exchange) exchangeWith(ctx context.Context, cancel context.CancelCauseFunc, c *candidate, api wire.API, key int, body []byte, a *Attempt, begun time.Time) *provider.Failure {
	firstToken := func() bool { return true }
	if x.q.Stream {
		limit := c.provider.timeouts.FirstToken
		timer := time.AfterFunc(limit, func() {
			cancel(&provider.Failure{Kind: provider.Timeout, Status: http.StatusGatewayTimeout, Code: "first_token_timeout", Message: fmt.Sprintf("no content within %v", limit)})
		})
		defer timer.Stop()
		firstToken = timer.Stop
	}
	header := x.passedOn(api)
	if c != x.p.order[0] { // the key is of another request now
		header.Del("Idempotency-Key")
	}
	x.g.tracer.inject(ctx, header)
	response, err := c.provider.Do(ctx, provider.Call{API: api, Model: c.upstream, Key: key, Body: body, Header: header})
	if err != nil {
		return failureOf(ctx, err)
	}
	defer response.Body.Close()
	a.Status = response.StatusCode
	if x.q.Stream {
		s := &stream{x: x, a: a, c: c, api: api, begun: begun, firstToken: firstToken}
		return s.relay(ctx, response)
	}
	return x.relay(ctx, response, c, api, a)
}

// passedOn are the client's headers that concern the provider.
func (x *exchange) passedOn(api wire.API) http.Header {
	h := http.Header{}
	if api != x.api {
		return h
	}
	for _, name := range []string{"Anthropic-Beta", "Anthropic-Version", "Openai-Beta", "Idempotency-Key"} {
		if v := x.r.Header[name]; len(v) > 0 {
			h[name] = v
		}
	}
	return h
}

func failureOf(ctx context.Context, err error) *provider.Failure {
	if f, ok := errors.AsType[*provider.Failure](err); ok {
		return f
	}
	return provider.NetworkFailure(ctx, err)
}

// relay passes a whole answer on.
func (x *exchange) relay(ctx context.Context, response *http.Response, c *candidate, api wire.API, a *Attempt) *provider.Failure {
	body, err := readAnswer(response)
	if err != nil {
		return failureOf(ctx, err)
	}
	answer, ok := wire.ReadAnswer(api, body)
	if !ok {
		if e := wire.ReadError(body); e != nil {
			return c.provider.ErrorFailure(e)
		}
		if answer.HasUsage {
			x.take(a, c, answer)
		}
		return &provider.Failure{Kind: provider.Server, Status: http.StatusBadGateway, Code: "malformed_answer", Message: "the provider's answer is not one of its API"}
	}
	x.take(a, c, answer)
	if api != x.api {
		if body, err = wire.TranslateAnswer(body, api, x.api, time.Now().Unix(), a.Usage); err != nil {
			return &provider.Failure{Kind: provider.Server, Status: http.StatusBadGateway, Code: "untranslatable_answer", Message: err.Error(), Quoted: true}
		}
	}
	x.answered()
	x.remember(a, c)
	x.answerHeaders(a)
	x.costHeader(a)
	x.reply(http.StatusOK, wire.SetModel(body, c.Name))
	if !x.sent {
		return &provider.Failure{Kind: provider.Canceled, Code: "canceled"}
	}
	return nil
}

// readAnswer reads a whole answer into memory.
func readAnswer(response *http.Response) ([]byte, error) {
	if n := response.ContentLength; n >= 0 && n <= 1<<20 {
		body := make([]byte, n)
		_, err := io.ReadFull(response.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer is longer than %d MB", maxAnswer>>20)
	}
	return body, err
}

// take keeps what a whole answer says of itself.
func (x *exchange) take(a *Attempt, c *candidate, answer wire.Answer) {
	known := nothing
	if answer.HasUsage {
		known = everything
	}
	x.account(a, c, answer.Usage, known, len(answer.Text), answer.Text)
	a.AnswerID = answer.ID
	if answer.Model != "" {
		a.UpstreamModel = answer.Model
	}
	if a.Prompt != nil {
		a.Answer = answer.Text
	}
}

// remember notes who served the conversation.
func (x *exchange) remember(a *Attempt, c *candidate) {
	id := ""
	if x.api == wire.Responses {
		id = a.AnswerID
	}
	u := a.Usage
	x.g.remember(x.p, &x.s, a.Client, c, u.Input+u.CachedInput+u.CacheWrite, id)
}

// refuse passes on what the provider has against the request: as it came, if
// the client speaks its API.
func (x *exchange) refuse(c *candidate, f *provider.Failure) error {
	x.failureHeaders(c)
	if c.provider.Speaks(x.api) == x.api && wire.Has(f.Body, "error") {
		x.reply(f.Status, f.Body)
		return nil
	}
	return &wire.Error{Status: f.Status, Code: f.Code, Message: f.Message}
}

// exhausted is the error when nobody could answer; what the last one said is in
// it.
func (x *exchange) exhausted(c *candidate, f *provider.Failure) error {
	x.failureHeaders(c)
	said := "no model could answer in one attempt"
	switch {
	case x.attempts == 0:
		said = "no model was called"
	case x.attempts > 1:
		said = fmt.Sprintf("no model could answer in %d attempts, the last one", x.attempts)
	}
	e := &wire.Error{Status: f.Status, Type: "server_error", Code: f.Code, Message: said + ": " + f.Message}
	if f.Code == breakerOpen {
		f.RetryAfter = x.routes.config.Breaker.Open
	}
	x.retryAfter(f)
	switch f.Kind {
	case provider.RateLimited:
		e.Type = "rate_limit_error"
	case provider.KeyRefused: // the gateway's key, not the client's, and what is said of it neither
		e.Status, e.Code, e.Message = http.StatusBadGateway, "key_refused", fmt.Sprintf("provider %s refuses the gateway's key", c.provider.Name)
	case provider.Timeout:
		e.Status = cmp.Or(f.Status, http.StatusGatewayTimeout)
	default:
		if e.Status < 500 || e.Status > 599 {
			e.Status = http.StatusBadGateway
		}
	}
	return e
}
