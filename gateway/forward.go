package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/provider"
	"github.com/carrot-router/carrot/wire"
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
	order := x.p.order
	if limit := 1 + *x.routes.config.Retry.Fallbacks; len(order) > limit && x.s.named == nil {
		order = spread(order, limit)
	}
	var last *provider.Failure
	var from *candidate // whose failure it is
	smallest := 0       // a request was too long for a model with this context
	for i, c := range order {
		if last != nil && last.Kind == provider.ContextLength && !larger(c, smallest) {
			continue
		}
		f := x.try(c, i+1 == len(order))
		if f == nil {
			return nil
		}
		if f.Kind == provider.Canceled {
			x.status = 499 // nobody reads it
			return nil
		}
		last, from = f, c
		switch f.Kind {
		case provider.Invalid:
			return x.refuse(c, f)
		case provider.ContextLength:
			smallest = c.Model.ContextTokens
		}
		x.g.log.Warn("attempt failed", "request_id", x.id, "model", c.Name, "provider", c.provider.Name, "attempt", x.attempts, "error", f)
		if i+1 < len(order) {
			x.g.metrics.fallback(c.Name, string(f.Kind))
		}
	}
	if last.Kind == provider.ContextLength {
		return x.refuse(from, last)
	}
	return x.exhausted(from, last)
}

// larger reports whether a candidate may take what was too long for one with
// this context; 0: not known.
func larger(c *candidate, than int) bool {
	return than == 0 || c.Model.ContextTokens == 0 || c.Model.ContextTokens > than
}

// spread keeps the first candidates of the order, and in place of the last of
// them one of another provider, if they all share one: an outage of it must not
// take them all.
func spread(order []*candidate, limit int) []*candidate {
	kept := append([]*candidate(nil), order[:limit]...)
	for _, c := range kept {
		if c.provider != kept[0].provider {
			return kept
		}
	}
	for _, c := range order[limit:] {
		if limit > 1 && c.provider != kept[0].provider {
			kept[limit-1] = c
			break
		}
	}
	return kept
}

// try calls a candidate until it answers, or until trying again makes no sense.
// It returns nil when the request is over.
func (x *exchange) try(c *candidate, lastOne bool) *provider.Failure {
	retry := &x.routes.config.Retry
	keys := c.provider.KeyOrder()
	for key, retries := 0, 0; ; {
		done, err := x.g.breakers.get(c).Allow()
		if err != nil {
			return &provider.Failure{Kind: provider.Server, Status: http.StatusServiceUnavailable, Code: "breaker_open", Message: c.Name + " failed too often lately and is left alone for a while"}
		}
		f := x.call(c, keys[key])
		done(breakerError(f))
		if f == nil || x.sent {
			return nil
		}
		switch f.Kind {
		case provider.KeyRefused:
			x.g.log.Error("a provider refuses its key", "provider", c.provider.Name, "key", keys[key], "status", f.Status)
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
		default:
			return f
		}
		wait := max(backoff(retry.Backoff, retries+1, jitter()), f.RetryAfter)
		if retries >= *retry.Retries || wait > retry.MaxWait || !x.g.retries.take() {
			return f
		}
		retries++
		if !sleep(x.ctx, wait) {
			return &provider.Failure{Kind: provider.Canceled, Code: "canceled"}
		}
	}
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

func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
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
	f := x.exchangeWith(ctx, cancel, c, api, key, body, a, begun)
	a.Upstream = time.Since(begun)
	x.upstream += a.Upstream
	if f == nil && !a.Stream {
		a.FirstToken = a.Upstream
	}
	span.answered(a.AnswerID)
	x.finish(a, c, f)
	span.end(a)
	return f
}

// attempt is the record of a call that is about to be made.
func (x *exchange) attempt(c *candidate) *Attempt {
	a := &Attempt{
		Time: time.Now(), RequestID: x.id, Client: x.clientName(), API: x.api, Session: x.s.session, Stream: x.q.Stream,
		Propensity: 1, Candidate: c.Name, Provider: c.provider.Name, UpstreamModel: c.upstream,
	}
	if p := x.p; p != nil {
		a.Policy, a.Reason, a.Decision, a.DecidedIn, a.Propensity, a.Shadow = x.s.policy.name, p.reason, p.decision, p.decidedIn, p.propensity, p.shadow
	}
	if x.routes.config.Record.Content {
		a.Prompt = x.q.Body
	}
	return a
}

// body is the request in the words of the candidate's provider.
func (x *exchange) body(c *candidate, api wire.API) ([]byte, error) {
	body, err := x.p.bodies.in(api, x.q)
	if err != nil {
		return nil, err
	}
	return wire.Edit(body, c.edits(api, x.q)), nil
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
		return &provider.Failure{Kind: provider.Server, Status: http.StatusBadGateway, Code: "malformed_answer", Message: "the provider's answer is not one of its API"}
	}
	a.take(answer)
	x.account(a, c, answer.Usage, answer.HasUsage, len(answer.Text), answer.Text)
	if api != x.api {
		if body, err = wire.TranslateAnswer(body, api, x.api, time.Now().Unix()); err != nil {
			return &provider.Failure{Kind: provider.Server, Status: http.StatusBadGateway, Code: "untranslatable_answer", Message: err.Error()}
		}
	}
	x.remember(a, c, api)
	x.answerHeaders(a)
	x.w.Header()["X-Carrot-Cost"] = []string{amount(a.Cost)}
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

// take keeps what an answer says of itself.
func (a *Attempt) take(answer wire.Answer) {
	a.AnswerID = answer.ID
	if answer.Model != "" {
		a.UpstreamModel = answer.Model
	}
	if a.Prompt != nil {
		a.Answer = answer.Text
	}
}

// account sets usage and cost. What the provider did not report is counted: of
// text of length bytes, sample is the beginning.
func (x *exchange) account(a *Attempt, c *candidate, u carrot.Usage, reported bool, length int, sample string) {
	if !reported {
		a.Estimated = true
		if x.p != nil {
			u.Input = x.p.inputTokens
		}
		if len(sample) > 0 {
			u.Output = max(1, price.CountTokens(sample)*length/len(sample))
		}
	}
	a.Usage = u
	if c.Price != nil {
		a.Cost = c.Price.Cost(u)
	}
}

// remember notes who served the conversation.
func (x *exchange) remember(a *Attempt, c *candidate, api wire.API) {
	id := ""
	if api == wire.Responses {
		id = a.AnswerID
	}
	u := a.Usage
	x.g.remember(x.p, &x.s, a.Client, c, u.Input+u.CachedInput+u.CacheWrite, id)
}

// finish decides how an attempt ended and records it.
func (x *exchange) finish(a *Attempt, c *candidate, f *provider.Failure) {
	switch {
	case f == nil:
		a.Outcome = Served
		x.served = c.Name
	case f.Kind == provider.Canceled:
		a.Outcome = ClientGone
	case x.sent:
		a.Outcome = Broken
	case f.Kind == provider.Invalid:
		a.Outcome = Refused
	default:
		a.Outcome = FellBack
	}
	switch a.Outcome {
	case FellBack, Refused: // providers bill no failures
		a.Usage, a.Estimated, a.Cost = carrot.Usage{}, false, 0
	case ClientGone:
		if a.Usage == (carrot.Usage{}) { // it has the whole input and perhaps bills it
			x.account(a, c, carrot.Usage{}, false, 0, "")
		}
	}
	if f != nil {
		a.ErrorCode, a.Error = f.Code, f.Message
		if a.Status == 0 || f.Status >= 400 && !x.sent {
			a.Status = f.Status
		}
		if a.ErrorCode == "" {
			a.ErrorCode = string(f.Kind)
		}
	}
	x.g.record(a)
}

// record hands an attempt to who keeps it.
func (g *Gateway) record(a *Attempt) {
	g.metrics.attempt(a)
	if g.recorder == nil {
		return
	}
	// The client may be gone; its record is not.
	if err := g.recorder.Record(context.Background(), a); err != nil {
		g.log.Error("an attempt was not recorded", "request_id", a.RequestID, "attempt", a.Number, "error", err)
	}
}

// refuse passes on what the provider has against the request: as it came, if
// the client speaks its API.
func (x *exchange) refuse(c *candidate, f *provider.Failure) error {
	x.failureHeaders(c)
	if c.provider.Speaks(x.api) == x.api && len(f.Body) > 0 && f.Body[0] == '{' {
		x.reply(f.Status, f.Body)
		return nil
	}
	return &wire.Error{Status: f.Status, Code: f.Code, Message: f.Message}
}

// exhausted is the error when nobody could answer; what the last one said is in
// it.
func (x *exchange) exhausted(c *candidate, f *provider.Failure) error {
	x.failureHeaders(c)
	e := &wire.Error{Status: f.Status, Type: "server_error", Code: f.Code,
		Message: fmt.Sprintf("no model could answer (%d attempts); the last one: %s", x.attempts, f.Message)}
	switch f.Kind {
	case provider.RateLimited:
		e.Type = "rate_limit_error"
		if f.RetryAfter > 0 {
			x.w.Header().Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
		}
	case provider.KeyRefused: // the gateway's key, not the client's
		e.Status, e.Message = http.StatusBadGateway, fmt.Sprintf("provider %s refuses the gateway's key: %s", c.provider.Name, f.Message)
	case provider.Timeout:
		e.Status = http.StatusGatewayTimeout
	default:
		if e.Status < 500 || e.Status > 599 {
			e.Status = http.StatusBadGateway
		}
	}
	return e
}

// failureHeaders are what a client is told when there is no answer.
func (x *exchange) failureHeaders(c *candidate) {
	h := x.w.Header()
	h["X-Carrot-Model"] = []string{c.Name}
	h["X-Carrot-Policy"] = []string{x.s.policy.name}
	h["X-Carrot-Attempts"] = []string{strconv.Itoa(x.attempts)}
}
