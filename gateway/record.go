package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/price"
)

// Recorder is handed every attempt at answering a request, once, when it is
// over. It must be safe for concurrent use and should not block for long: the
// request waits for it.
type Recorder interface {
	Record(ctx context.Context, a *Attempt) error
}

// AttemptSchema names the JSON form of an attempt.
const AttemptSchema = "carrot.attempt/1"

// Outcome is how an attempt ended.
type Outcome string

// The outcomes of an attempt.
const (
	Served     Outcome = "served"      // the client has the answer
	FellBack   Outcome = "failed"      // it failed before the first content; another attempt may follow
	Broken     Outcome = "broken"      // it failed when the client had a part of the answer
	Refused    Outcome = "refused"     // the provider's refusal of the request was passed on
	ClientGone Outcome = "client_gone" // the client hung up
)

// Attempt is one call of one candidate, with the decision it came from.
type Attempt struct {
	Time      time.Time
	RequestID string
	Number    int    // 1 is the first attempt of a request
	Client    string // by name; empty where clients are not told apart
	API       wire.API
	Session   string // as the client named it
	Stream    bool

	Policy    string
	First     string           // the candidate that came first; another one's attempt is a fallback
	Reason    string           // why it came first, or that this is a fallback: see the Reason constants
	Decision  *carrot.Decision // with all candidates; shared by a request's attempts
	DecidedIn time.Duration
	// Propensity is the probability with which the request's first candidate
	// was drawn, given the query: 1 without exploration.
	Propensity float64
	// Shadow is what the decision would have been, where a policy only
	// watches.
	Shadow *Shadow

	Candidate     string
	Provider      string
	UpstreamModel string // the provider's words in the answer, or else in the config
	AnswerID      string // the provider's; empty: none came

	Outcome   Outcome
	Status    int    // the provider's HTTP status, or what its failure amounts to; 0: none came
	ErrorCode string // the provider's code or type, or what failed
	Error     string // the provider's words, which may quote the prompt, only where content is recorded

	Usage carrot.Usage
	// Estimated says that the provider reported no usage, so that tokens were
	// counted.
	Estimated bool
	Cost      carrot.USD
	// CostUnknown says that the usage has tokens without a price: Cost is
	// zero and means nothing.
	CostUnknown bool
	Expected    carrot.USD // the cost that the decision expected of this candidate

	FirstToken time.Duration // from the call to the first content; 0: none came
	Upstream   time.Duration // from the call to the end of the answer
	Overhead   time.Duration // spent in the gateway before the call, waits between attempts included

	// Prompt is the request's body and Answer the answer's text; empty unless
	// content is recorded.
	Prompt []byte
	Answer string
}

// Shadow says what routing would have done in place of the policy's default.
type Shadow struct {
	Model string     `json:"model"`            // the decision's
	Saved carrot.USD `json:"saved_usd"`        // the default's estimated cost less the decision's
	Gain  float64    `json:"quality_expected"` // the decision's estimated quality less the default's
}

// Why a candidate is asked.
const (
	ReasonFallback    = "fallback"            // those before it failed, or the default could not answer
	ReasonTradeOff    = "trade-off"           // the decision
	ReasonOnly        = "only-candidate"      // nobody else could answer
	ReasonNamed       = "named"               // the client named the model
	ReasonOff         = "routing-off"         // the client asked for the default
	ReasonRouter      = "router-failed"       // the default, since routing failed
	ReasonNovel       = "novel"               // the default, since the query is unlike the training data
	ReasonShadow      = "shadow"              // the default, since the policy only watches
	ReasonExploration = "exploration"         // drawn
	ReasonResponse    = "continues-response"  // made the previous response
	ReasonThinking    = "continues-reasoning" // began the turn in progress
)

// What is known of a usage from the provider.
type known int

const (
	nothing   known = iota
	inputOnly       // of a stream that did not come to its end
	everything
)

// account sets usage and cost. What the provider did not report is counted: of
// text of length bytes, sample is the beginning.
func (x *exchange) account(a *Attempt, c *candidate, u carrot.Usage, k known, length int, sample string) {
	x.reported = x.reported || k > nothing
	if k == nothing {
		u.Input = x.p.inputTokens
	}
	if a.Estimated = k < everything; a.Estimated {
		u.Output, u.Reasoning = 0, 0
		if len(sample) > 0 {
			u.Output = max(1, price.CountTokens(sample)*length/len(sample))
		}
	}
	a.Usage = u
	if c.Price != nil {
		var err error
		a.Cost, err = c.Price.Cost(u)
		if errors.Is(err, carrot.ErrCostRange) && k > nothing { // counts that cannot be true are no report
			x.account(a, c, carrot.Usage{}, nothing, length, sample)
			return
		}
		a.CostUnknown = err != nil
	}
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
		x.served = c.Name
	case f.Kind == provider.Invalid:
		a.Outcome = Refused
	default:
		a.Outcome = FellBack
	}
	switch a.Outcome {
	case FellBack, Refused:
		// What a provider calls a failure it does not bill. What it began to
		// answer, and the gateway gave up, it bills as far as it says so.
		if a.Status/100 != 2 || f.Said || !x.reported {
			a.Usage, a.Estimated, a.Cost, a.CostUnknown = carrot.Usage{}, false, 0, false
		}
	case ClientGone:
		if a.Usage == (carrot.Usage{}) { // it has the whole input and perhaps bills it
			x.account(a, c, carrot.Usage{}, nothing, 0, "")
		}
	}
	if f != nil {
		a.ErrorCode, a.Error = f.Code, f.Message
		if f.Quoted && a.Prompt == nil {
			a.Error = ""
		}
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
	defer func() { // a recorder that panics must not cost the answer
		if v := recover(); v != nil {
			g.log.Error("the recorder panicked", "request_id", a.RequestID, "attempt", a.Number, "panic", fmt.Sprintf("%T", v))
		}
	}()
	// The client may be gone; its record is not.
	if err := g.recorder.Record(context.Background(), a); err != nil {
		g.log.Error("an attempt was not recorded", "request_id", a.RequestID, "attempt", a.Number, "error", err)
	}
}
