package gateway

import (
	"strconv"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
)

// answerHeaders are what a client is told about the answer, known before it
// begins.
func (x *exchange) answerHeaders(a *Attempt) {
	h, values := x.w.Header(), make([]string, 0, 9) // one allocation for all
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	set("X-Carrot-Model", a.Candidate)
	set("X-Carrot-Upstream-Model", a.UpstreamModel)
	set("X-Carrot-Attempts", strconv.Itoa(a.Number))
	set("X-Carrot-Overhead-Ms", milliseconds(a.Overhead))
	set("X-Carrot-Policy", x.q.Model) // the policy or alias asked for
	set("X-Carrot-Reason", a.Reason)
	if e := x.p.estimate(a.Candidate); e != nil {
		set("X-Carrot-Quality", strconv.FormatFloat(e.Quality, 'f', 4, 64))
		if !e.CostUnknown {
			set("X-Carrot-Cost-Estimate", amount(e.Cost))
		}
	}
	if x.s.debug && x.p.decision != nil {
		set("X-Carrot-Explanation", x.p.decision.Reason())
	}
}

// costHeader tells the client what the answer cost, if that is known.
func (x *exchange) costHeader(a *Attempt) {
	if !a.CostUnknown {
		x.w.Header()["X-Carrot-Cost"] = []string{amount(a.Cost)}
	}
}

// estimate is what the decision expected of a candidate; nil without one.
func (p *plan) estimate(name string) *carrot.Estimate {
	if p.decision == nil {
		return nil
	}
	for i := range p.decision.Candidates {
		if a := &p.decision.Candidates[i]; a.Name == name {
			return &a.Estimate
		}
	}
	return nil
}

// why says why a candidate is asked.
func (p *plan) why(c *candidate) string {
	if c != p.order[0] {
		return ReasonFallback
	}
	return p.reason
}

// amount writes USD without the sign of the currency, exactly.
func amount(u carrot.USD) string { return string(u.AppendJSON(nil)) }

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds()*1000, 'f', 3, 64)
}

// retryAfter tells the client when to come again, if that is known.
func (x *exchange) retryAfter(f *provider.Failure) {
	if f.RetryAfter > 0 {
		x.w.Header().Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
	}
}

// failureHeaders are what a client is told when there is no answer.
func (x *exchange) failureHeaders(c *candidate) {
	h := x.w.Header()
	h["X-Carrot-Model"] = []string{c.Name}
	h["X-Carrot-Policy"] = []string{x.q.Model}
	if x.p != nil {
		h["X-Carrot-Reason"] = []string{x.p.why(c)}
	}
	h["X-Carrot-Attempts"] = []string{strconv.Itoa(x.attempts)}
}
