package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/record"
)

// account sets the attempt's usage and cost. Where the provider reported no credible
// count, it counts the tokens itself: the text of the answer has length bytes, and
// sample is its beginning.
func (k *call) account(r *wire.Report, length int, sample string) {
	u := r.Usage()
	others := u.Details != nil && len(u.Details.Also) > 0
	input := r.Input() && (others || u.Prompt() > 0)
	output := r.Output() && (others || length == 0 || u.Answer() > 0) // a text is not made of nothing
	k.reported = k.reported || input || output
	if !input {
		u.Input, u.CachedInput, u.CacheWrite = k.choice.inputTokens, 0, 0
		if e := k.a.Estimate(); e != nil {
			u.Input = e.InputTokens // as the model counts
		}
		if u.Details != nil {
			own := *u.Details
			own.CacheWrites, own.AudioInput, own.ImageInput = nil, 0, 0
			u.Details = &own
		}
	}
	if !output {
		u.Output, u.Reasoning = 0, 0
		if len(sample) > 0 {
			u.Output = max(1, price.CountTokens(sample)*length/len(sample))
		}
	}
	a := k.a
	a.Estimated = !input || !output
	a.Usage = u
	a.CacheMiss = r.CacheMiss()
	if k.t.price == nil {
		return
	}
	var err error
	a.PriceDate, a.PriceAbove = k.t.price.Date, k.t.price.Threshold(u.Prompt())
	a.Cost, err = k.x.routes.cost(k.t.price, u)
	a.CostUnknown = err != nil
}

// cost returns the cost of a usage of a model with price p. What other models used
// within the same call is billed at their prices, if they are known.
func (r *routes) cost(p *carrot.Price, u carrot.Usage) (carrot.USD, error) {
	if u.Details == nil || len(u.Details.Also) == 0 {
		return p.Cost(u)
	}
	also := u.Details.Also
	own := *u.Details
	own.Also = nil
	u.Details = &own
	sum, err := p.Cost(u)
	for model, used := range also {
		other := r.priceOf(model)
		if other == nil {
			return 0, fmt.Errorf("%w: model %q, which also used tokens, has no price", carrot.ErrUnknownCost, model)
		}
		cost, e := other.Cost(used)
		if sum > math.MaxInt64-cost {
			e = carrot.ErrCostRange
		} else {
			sum += cost
		}
		err = errors.Join(err, e)
	}
	return sum, err
}

// priceOf returns the price of a model by the provider's name of it, or nil.
func (r *routes) priceOf(model string) *carrot.Price {
	for _, c := range r.candidates {
		if t := c.target(); t.model == model && t.price != nil {
			return t.price
		}
	}
	if p, err := r.prices.Price(model); err == nil {
		return &p
	}
	return nil
}

// finish sets the outcome of the attempt and records it.
func (k *call) finish(e *provider.Error) {
	a, sent := k.a, k.x.reply.sent
	switch {
	case e == nil:
		a.Outcome = record.Served
		k.x.done.served = k.c.Name
	case e.Kind == provider.Canceled:
		a.Outcome = record.ClientGone
	case sent:
		a.Outcome = record.Broken
		k.x.done.served = k.c.Name
	case e.Kind == provider.Invalid && !(k.run.more && k.run.mistranslated(k.c, e)):
		a.Outcome = record.Refused
	default:
		a.Outcome = record.FellBack
	}
	switch a.Outcome {
	case record.FellBack, record.Refused:
		// Providers do not bill calls that they answer with an error. An answer that
		// the gateway could not use costs what the provider reported. If the provider
		// has the request and has said nothing, as after a timeout, it may bill it.
		if failed := a.Status != 0 && a.Status/100 != 2; failed || e.Said || !k.reported {
			a.Usage, a.Estimated, a.Cost, a.CostUnknown = carrot.Usage{}, false, 0, !failed && !e.Said && k.sent.Load()
		}
	case record.ClientGone:
		if a.Usage == (carrot.Usage{}) { // the provider has received the input and may bill it
			k.account(&wire.Report{}, 0, "")
		}
	}
	if e != nil {
		if a.UpstreamRequestID == "" && len(a.RateLimits) == 0 {
			a.UpstreamRequestID, a.RateLimits = e.Notes.RequestID, e.Notes.Limits
		}
		a.ErrorCode, a.Error = e.Code, e.Message
		if e.Detail != "" {
			a.Error += ": " + e.Detail
		}
		if e.Quoted && !k.x.recordsAnswers() {
			a.Error = ""
		}
		if a.Status == 0 || e.Status >= 400 && !sent {
			a.Status = e.Status
		}
		if a.ErrorCode == "" {
			a.ErrorCode = string(e.Kind)
		}
	}
	if k.x.account != nil {
		k.x.account.Settle(a)
	}
	k.x.g.record(a)
}

// record counts an attempt and passes it to the recorder.
func (g *Gateway) record(a *record.Attempt) {
	g.metrics.attempt(a)
	if g.recorder == nil {
		return
	}
	// The attempt is recorded even if the request was cancelled.
	g.losses.note(g.log, a, g.recorded(a))
}

// recorded passes an attempt to the recorder. A panic is an error, because the client
// must receive its answer.
func (g *Gateway) recorded(a *record.Attempt) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the recorder panicked: %T", v)
		}
	}()
	return g.recorder.Record(context.Background(), a)
}
