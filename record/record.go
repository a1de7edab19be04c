package record

import (
	"time"

	"github.com/carrot-router/carrot"
)

// Schema names the JSON form of an attempt.
const Schema = "carrot.attempt/1"

// Outcome is how an attempt ended.
type Outcome string

// The outcomes of an attempt.
const (
	Served     Outcome = "served"      // the client has the answer
	FellBack   Outcome = "failed"      // it failed before the first content; another attempt may follow
	Broken     Outcome = "broken"      // it failed when the client had a part of the answer
	Refused    Outcome = "refused"     // the provider refused the request, and the client was told so
	ClientGone Outcome = "client_gone" // the client hung up
)

// Reason is why a candidate was called.
type Reason string

// The reasons for calling a candidate.
const (
	Fallback           Reason = "fallback"            // the candidates before it failed, or the default could not answer
	TradeOff           Reason = "trade-off"           // the decision
	OnlyCandidate      Reason = "only-candidate"      // no other candidate could answer
	Named              Reason = "named"               // the client named the model
	RoutingOff         Reason = "routing-off"         // the client asked for the policy's default
	RouterFailed       Reason = "router-failed"       // the default, because routing failed
	Novel              Reason = "novel"               // the default, because the query is unlike the training data
	ShadowDefault      Reason = "shadow"              // the default, because the policy only watches
	Exploration        Reason = "exploration"         // drawn at random
	ContinuesResponse  Reason = "continues-response"  // it made the previous response
	ContinuesReasoning Reason = "continues-reasoning" // it began the turn in progress
)

// Attempt is one call of one candidate, with the decision it came from.
type Attempt struct {
	Time      time.Time
	RequestID string
	Number    int               // 1 is the first attempt of a request
	Client    string            // its name; empty where clients are not told apart
	Labels    map[string]string // the client's
	API       string            // that the client called: chat, responses, messages or embeddings
	Session   string            // as the client named it
	Stream    bool

	Policy    string           // empty if the client named a model
	First     string           // the candidate that came first; an attempt of another one is a fallback
	Reason    Reason           // why the candidate came first, or that this is a fallback
	Decision  *carrot.Decision // with all candidates; shared by a request's attempts; nil if routing failed
	DecidedIn time.Duration
	// Propensity is the probability with which the request's first candidate
	// was drawn, given the query: 1 without exploration.
	Propensity float64
	// Shadow is what the decision would have been, where a policy only
	// watches.
	Shadow *Shadow

	Candidate     string
	Provider      string
	UpstreamModel string // as the provider names it in the answer, or else in the configuration
	AnswerID      string // the provider's; empty: none came

	Outcome   Outcome
	Status    int    // the provider's HTTP status, or the one that its failure amounts to; 0: none came
	ErrorCode string // the provider's code or type, or what failed
	Error     string // the provider's message, which may quote the prompt, only where content is recorded

	Usage carrot.Usage
	// Estimated says that the provider reported no usage that can be true, so
	// that tokens were counted here.
	Estimated bool
	Cost      carrot.USD
	// CostUnknown says that the usage has tokens without a price: Cost is
	// zero and means nothing.
	CostUnknown bool
	// Expected is the cost that the decision expected of this candidate. It is
	// zero and means nothing where ExpectedUnknown is set.
	Expected        carrot.USD
	ExpectedUnknown bool

	FirstToken time.Duration // from the call to the first content; 0: none came
	Upstream   time.Duration // from the call to the end of the answer
	Overhead   time.Duration // spent in the gateway before the call, waits between attempts included

	// Prompt is the request's body and Answer the answer's text; empty unless
	// content is recorded.
	Prompt []byte
	Answer string
}

// Estimate returns what the decision expected of the attempt's candidate, or nil
// if it expected nothing.
func (a *Attempt) Estimate() *carrot.Estimate {
	if a.Decision == nil {
		return nil
	}
	for i := range a.Decision.Candidates {
		if c := &a.Decision.Candidates[i]; c.Name == a.Candidate {
			return &c.Estimate
		}
	}
	return nil
}

// Shadow says what routing would have done in place of the policy's default.
type Shadow struct {
	Model string     `json:"model"`            // the decision's
	Saved carrot.USD `json:"saved_usd"`        // the default's estimated cost less the decision's
	Gain  float64    `json:"quality_expected"` // the decision's estimated quality less the default's
}
