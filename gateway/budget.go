package gateway

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/record"
)

// Budgets decides what clients may spend, and how much they may ask for at a time. It
// must be safe for concurrent use and should not block for long, because requests wait
// for it.
type Budgets interface {
	// Admit is asked once for every request that would call a provider, before a model
	// is chosen. client is nil if requests need no key. A [*Denial] says what the client
	// is told; an Account that is returned beside it says the limits and is closed. A nil
	// Account means that nothing is limited.
	Admit(ctx context.Context, client *Client, labels map[string]string) (Account, error)
}

// Account is what one request takes from budgets and rates. Its methods are called one
// after another.
type Account interface {
	// Terms returns whether candidates of unknown cost are excluded, and the factor by
	// which the policy's willingness to pay is multiplied; 1 leaves it as it is.
	Terms() (strict bool, pace float64)
	// Reserve is asked before every call of a provider. The attempt holds everything
	// that is known before the call; its Decision and Estimate say what the call is
	// expected to cost, unless routing failed. least is what the call costs with the
	// shortest useful answer, and most with the longest one that is allowed; both are 0
	// if its cost is unknown, and a pico-dollar if it is free. If Reserve returns nil, the call is made, with its output
	// limited so that it costs at most limit, if that is less than most. If Reserve
	// returns an error, neither this candidate nor another one is called; a [*Denial]
	// says what the client is told.
	Reserve(ctx context.Context, a *record.Attempt, least, most carrot.USD) (limit carrot.USD, err error)
	// Settle is told the true cost of an attempt that was reserved, before the
	// [Recorder] gets it.
	Settle(a *record.Attempt)
	// Header sets the headers in which the client sees its limits, in the form of the
	// API that it called (chat, responses or messages).
	Header(api string, h http.Header)
	// Close is called when the request is over.
	Close()
}

// Denial is an error that [Budgets] and [Account] may return: it tells the client why its
// request is not answered.
type Denial struct {
	Status     int           // HTTP status from 400 to 599, such as 402 or 429; others are sent as 402
	Code       string        // for programs, such as budget_exceeded
	Message    string        // for people
	RetryAfter time.Duration // sent in the header Retry-After; 0: not sent
}

// Error returns the message.
func (d *Denial) Error() string { return d.Message }

// admit opens the account of a request.
func (x *exchange) admit() error {
	if x.g.budgets == nil {
		return nil
	}
	account, err := x.g.budgets.Admit(x.ctx, x.client, x.labels)
	if err != nil {
		x.g.metrics.rejected("budget")
		e := x.g.denied(err, x.id)
		x.retryAfter(e.RetryAfter)
		if account != nil {
			account.Header(string(x.reply.api), x.reply.header())
			account.Close()
		}
		return denial(e)
	}
	x.account = account
	return nil
}

// leave closes the account of a request.
func (x *exchange) leave() {
	if x.account != nil {
		x.account.Close()
	}
}

// denied returns an error of budgets as that of a call that is not made.
func (g *Gateway) denied(err error, id string) *provider.Error {
	if d, ok := errors.AsType[*Denial](err); ok {
		status := d.Status
		if status < 400 || status > 599 {
			status = http.StatusPaymentRequired
		}
		return &provider.Error{Kind: provider.Denied, Status: status, Code: d.Code, Message: d.Message, RetryAfter: d.RetryAfter, Err: err}
	}
	g.log.Error("a call was not made, because its cost could not be reserved", "request_id", id, "error", err)
	return &provider.Error{Kind: provider.Denied, Status: http.StatusServiceUnavailable, Code: "not_reserved", Message: "the cost of the request could not be reserved: try again", Err: err}
}

// denial returns the error that tells a client why a call was not made.
func denial(e *provider.Error) *wire.Error {
	out := &wire.Error{Status: e.Status, Type: "permission_error", Code: e.Code, Message: e.Message}
	switch e.Status {
	case http.StatusPaymentRequired:
		out.Type = "insufficient_quota"
	case http.StatusTooManyRequests:
		out.Type = "rate_limit_error"
	case http.StatusServiceUnavailable:
		out.Type = "server_error"
	}
	return out
}

// paced multiplies the willingness to pay of a policy by the account's factor. What the
// request itself asks for is never raised.
func (x *exchange) paced(s *selection) {
	if x.account == nil {
		return
	}
	_, factor := x.account.Terms()
	if s.objective != s.policy.objective {
		factor = min(factor, 1)
	}
	if factor == 1 {
		return
	}
	if w, err := s.objective.Resolve(x.routes.router.Frontier()); err == nil && !math.IsInf(w, 1) {
		s.objective = carrot.USDPerQuality(w * factor).With(s.objective)
	}
}

// leastOutput is the shortest answer that is worth a call, in tokens.
const leastOutput = 16

// mostOutput is the longest answer that is reckoned with where nothing says how long
// answers may be, in tokens.
const mostOutput = 32_768

// reserve reserves what a call may cost. It returns the limit of output tokens that the
// budgets demand, or 0.
func (k *call) reserve() (limit int, e *provider.Error) {
	account := k.x.account
	if account == nil {
		return 0, nil
	}
	longest := k.longest()
	least, most := k.costs(min(leastOutput, longest), longest)
	afford, err := account.Reserve(k.x.ctx, k.a, least, most)
	switch {
	case err != nil && k.x.ctx.Err() != nil:
		return 0, provider.NetworkError(k.x.ctx, err)
	case err != nil:
		k.x.g.metrics.rejected("budget")
		return 0, k.x.g.denied(err, k.a.RequestID)
	case afford >= most:
		return 0, nil
	}
	return k.affordable(afford, longest), nil
}

// longest returns the most output tokens that a call may have.
func (k *call) longest() int {
	longest := k.t.facts.MaxOutput
	for _, limit := range []int{k.t.maxTokens, k.x.q.MaxOutputTokens} {
		if limit > 0 && (longest == 0 || limit < longest) {
			longest = limit
		}
	}
	if k.api == wire.Embeddings {
		return 0
	}
	return cmp.Or(longest, mostOutput)
}

// costs returns what a call costs with two lengths of its answer, or 0 if that is unknown.
func (k *call) costs(short, long int) (least, most carrot.USD) {
	return k.costOf(short), k.costOf(long)
}

// costOf returns what a call costs with a number of output tokens, or 0 if that is unknown.
// What is known to be free costs the smallest amount, so that it is told from the unknown.
func (k *call) costOf(output int) carrot.USD {
	if k.t.price == nil {
		return 0
	}
	used := carrot.Usage{Input: k.choice.inputTokens}
	if e := k.a.Estimate(); e != nil {
		used = carrot.Usage{Input: e.InputTokens - e.CachedTokens, CachedInput: e.CachedTokens}
	}
	cost, err := k.t.price.Expected(used, float64(output*max(1, k.x.q.Answers)))
	if err != nil {
		return 0
	}
	return max(cost, 1)
}

// affordable returns the most output tokens of a call that cost at most an amount.
func (k *call) affordable(limit carrot.USD, longest int) int {
	low, high := min(leastOutput, longest), longest // costs of low fit
	for low < high {
		if middle := (low + high + 1) / 2; k.costOf(middle) <= limit {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low
}

// unpriced returns the candidates of a decision whose cost is unknown although they could
// be called.
func unpriced(d *carrot.Decision) []string {
	var names []string
	for i := range d.Candidates {
		if c := &d.Candidates[i]; c.Excluded == "" && c.CostUnknown {
			names = append(names, c.Name)
		}
	}
	return slices.Clip(names)
}
