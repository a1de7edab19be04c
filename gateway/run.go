package gateway

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
)

// run answers a request: it tries the candidates of a choice, one after another.
type run struct {
	x       *exchange
	request request
	choice  *choice
	job     *provider.Job

	more     bool // another candidate may be tried after this one
	attempts int
	upstream time.Duration // spent in calls of providers
}

// converse answers a request of the chat, responses or messages API.
func (x *exchange) converse() error {
	r, err := x.choose(false)
	if err != nil {
		return err
	}
	return r.answer()
}

// answer tries candidates until one answers. It stops as soon as the client has
// received part of an answer.
func (r *run) answer() error {
	x := r.x
	if every := x.routes.config.Pings; every > 0 && x.q.Stream {
		x.reply.startPings(every)
	}
	t := trials{left: r.choice.order, limit: 1 + *x.routes.config.Retry.Fallbacks}
	for {
		c := t.next()
		r.more = !t.last() || t.further(r.choice)
		e := r.try(c, !r.more)
		if e == nil {
			return nil
		}
		if x.ctx.Err() != nil && e.Kind != provider.Canceled { // no further call is possible
			return r.failed(c, provider.NetworkError(x.ctx, x.ctx.Err()))
		}
		level, why := slog.LevelWarn, string(e.Kind)
		switch {
		case e.Code == provider.CodeBreakerOpen: // no provider was called
			level, why = slog.LevelDebug, provider.CodeBreakerOpen
		case e.Kind == provider.Canceled || e.Kind == provider.Invalid || e.Kind == provider.Denied: // not the provider's fault
			level = slog.LevelDebug
		}
		x.g.log.Log(x.ctx, level, "attempt failed", "request_id", x.id, "model", c.Name, "provider", c.target().provider.Name, "attempt", r.attempts, "error", e.Public())
		switch e.Kind {
		case provider.Canceled, provider.Denied:
			return r.failed(c, e)
		case provider.Invalid:
			if !r.mistranslated(c, e) {
				return r.failed(c, e)
			}
			t.prefer(func(c *candidate) bool { return c.target().provider.Speaks(x.reply.api) == x.reply.api })
		case provider.ContextLength:
			t.tooLong(c)
		}
		if t.last() && t.further(r.choice) {
			t.left, r.choice.beyond = r.choice.beyond(x.ctx), nil
		}
		if t.last() {
			return r.failed(c, e)
		}
		x.g.metrics.fallback(c.Name, why)
	}
}

// mistranslated reports whether a provider refused a request that the client did not
// write in this form, so that another candidate may accept it.
func (r *run) mistranslated(c *candidate, e *provider.Error) bool {
	return e.Kind == provider.Invalid && e.Said && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity) &&
		c.target().provider.Speaks(r.x.reply.api) != r.x.reply.api
}

// try calls a candidate until it answers or a further call makes no sense. last says
// that it is the last candidate. It returns nil if the client has received an answer or
// part of one.
func (r *run) try(c *candidate, last bool) *provider.Error {
	if r.job == nil {
		r.job = r.x.routes.caller.Job(r.x.ctx)
		r.job.KeyRefused = r.keyRefused
	}
	target := c.target().call()
	target.Stay, target.Bound = r.x.g.decider.conversations.stay(r.x.routes, &r.request, r.choice.prefixes, c.target().provider)
	e := r.job.Call(target, last, func(t *provider.Try) *provider.Error {
		e := r.call(c, t)
		if r.x.reply.sent {
			return nil
		}
		return e
	})
	r.x.done.attempts = r.attempts
	return e
}

func (r *run) keyRefused(t provider.Target, key int, e *provider.Error) {
	r.x.g.log.Error("a provider refused the gateway's key", "request_id", r.x.id, "provider", t.Upstream.Name, "key", key, "status", e.Status)
}

// failed answers a request that no candidate answered. e is the last error, of c.
func (r *run) failed(c *candidate, e *provider.Error) error {
	switch e.Kind {
	case provider.Canceled:
		r.x.reply.status = 499 // for logs and metrics; nothing is sent
		return nil
	case provider.Invalid, provider.ContextLength:
		return r.refuse(c, e)
	case provider.Denied:
		return r.deny(c, e)
	}
	return r.exhausted(c, e)
}

// refuse tells the client why the provider refused the request. If the client uses the
// provider's API, it receives the provider's own answer, unless that says in words of its
// own that the request is too long: clients shorten their conversation only if they
// recognize the words.
func (r *run) refuse(c *candidate, e *provider.Error) error {
	r.failureHeaders(c, e)
	reply, tooLong := &r.x.reply, e.Kind == provider.ContextLength
	if c.target().provider.Speaks(reply.api) == reply.api && wire.Has(e.Body, "error") && (!tooLong || wire.SaysTooLong(reply.api, e.Body)) {
		reply.whole(e.Status, e.Body)
		return nil
	}
	out := &wire.Error{Status: e.Status, Code: e.Code, Param: e.Param, Message: e.Message}
	if tooLong {
		out.Status, out.Code = http.StatusBadRequest, wire.TooLongCode
		out.Overflow, _ = wire.TooLong(e.Code, e.Message)
	}
	return out
}

// deny tells the client why the gateway did not allow the call.
func (r *run) deny(c *candidate, e *provider.Error) error {
	r.failureHeaders(c, e)
	r.x.retryAfter(e.RetryAfter)
	return denial(e)
}

// exhausted returns the error for a request that no candidate could answer. It
// contains the last error.
func (r *run) exhausted(c *candidate, e *provider.Error) error {
	r.failureHeaders(c, e)
	said := "no model could answer in one attempt"
	switch {
	case r.attempts == 0:
		said = "no model was called"
	case r.attempts > 1:
		said = fmt.Sprintf("no model could answer in %d attempts; the last error", r.attempts)
	}
	out := &wire.Error{Status: e.Status, Type: "server_error", Code: e.Code, Message: said + ": " + e.Message}
	wait := e.RetryAfter
	if e.Code == provider.CodeBreakerOpen {
		wait = r.x.routes.config.Breaker.Open
	}
	r.x.retryAfter(wait)
	switch {
	case e.Kind == provider.RateLimited:
		out.Status, out.Type = http.StatusTooManyRequests, "rate_limit_error"
	case e.Kind == provider.KeyRefused && e.Code == provider.CodeNoQuota:
		out.Status, out.Type = http.StatusTooManyRequests, "insufficient_quota"
		out.Message = fmt.Sprintf("%s: provider %s has no quota left for the gateway's key", said, c.target().provider.Name)
	case e.Kind == provider.KeyRefused: // the details are not for the client
		out.Status, out.Code, out.Message = http.StatusBadGateway, "key_refused", fmt.Sprintf("provider %s refused the gateway's key", c.target().provider.Name)
	case e.Kind == provider.Timeout:
		out.Status = cmp.Or(e.Status, http.StatusGatewayTimeout)
	default:
		if out.Status < 500 || out.Status > 599 {
			out.Status = http.StatusBadGateway
		}
	}
	return out
}
