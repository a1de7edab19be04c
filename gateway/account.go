package gateway

import (
	"context"
	"fmt"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/record"
)

// known says which parts of the usage the provider has reported.
type known int

const (
	nothing   known = iota
	inputOnly       // as in the first event of a stream
	everything
)

// account sets the attempt's usage and cost. It counts tokens that the provider did not
// report: the text of the answer has length bytes, and sample is its beginning. A usage
// that cannot be true is ignored.
func (k *call) account(u carrot.Usage, reported known, length int, sample string) {
	if max(u.Input, u.CachedInput, u.CacheWrite, u.Output, u.Reasoning) >= incredible {
		u, reported = carrot.Usage{}, nothing
	}
	k.reported = k.reported || reported > nothing
	if reported == nothing {
		u.Input = k.choice.inputTokens
	}
	a := k.a
	if a.Estimated = reported < everything; a.Estimated {
		u.Output, u.Reasoning = 0, 0
		if len(sample) > 0 {
			u.Output = max(1, price.CountTokens(sample)*length/len(sample))
		}
	}
	a.Usage = u
	if k.t.price == nil {
		return
	}
	var err error
	a.Cost, err = k.t.price.Cost(u)
	a.CostUnknown = err != nil
}

// incredible is a number of tokens that no call can have.
const incredible = 1 << 40

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
	case e.Kind == provider.Invalid:
		a.Outcome = record.Refused
	default:
		a.Outcome = record.FellBack
	}
	switch a.Outcome {
	case record.FellBack, record.Refused:
		// Providers do not bill calls that they answer with an error. An answer
		// that the gateway could not use costs what the provider reported, if
		// anything.
		if a.Status/100 != 2 || e.Said || !k.reported {
			a.Usage, a.Estimated, a.Cost, a.CostUnknown = carrot.Usage{}, false, 0, false
		}
	case record.ClientGone:
		if a.Usage == (carrot.Usage{}) { // the provider has received the input and may bill it
			k.account(carrot.Usage{}, nothing, 0, "")
		}
	}
	if e != nil {
		a.ErrorCode, a.Error = e.Code, e.Message
		if e.Detail != "" {
			a.Error += ": " + e.Detail
		}
		if e.Quoted && a.Prompt == nil {
			a.Error = ""
		}
		if a.Status == 0 || e.Status >= 400 && !sent {
			a.Status = e.Status
		}
		if a.ErrorCode == "" {
			a.ErrorCode = string(e.Kind)
		}
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
