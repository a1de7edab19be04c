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
	Broken     Outcome = "broken"      // it failed after the client had received part of the answer
	Refused    Outcome = "refused"     // the provider refused the request, and the client was told so
	ClientGone Outcome = "client_gone" // the client hung up
	Lapsed     Outcome = "lapsed"      // the gateway ended during the call, so its cost is unknown
)

// Reason is why a candidate was called.
type Reason string

// The reasons for calling a candidate.
const (
	Fallback           Reason = "fallback"            // the candidates before it failed, or the default could not answer
	TradeOff           Reason = "trade-off"           // the router chose it
	OnlyCandidate      Reason = "only-candidate"      // no other candidate could answer
	Named              Reason = "named"               // the client named the model
	RoutingOff         Reason = "routing-off"         // the client asked for the policy's default
	RouterFailed       Reason = "router-failed"       // the default, because routing failed
	Novel              Reason = "novel"               // the default, because the query is unlike the training data
	ShadowDefault      Reason = "shadow"              // the default, because the policy only records decisions
	Exploration        Reason = "exploration"         // drawn at random
	ContinuesResponse  Reason = "continues-response"  // it made the previous response
	ContinuesReasoning Reason = "continues-reasoning" // its reasoning in the current turn must be continued
)

// Attempt is one call of one candidate, with the decision that led to it.
type Attempt struct {
	Time      time.Time // of the call
	RequestID string
	Number    int               // 1 for the first attempt of a request
	Client    string            // the client's name; empty if requests need no key
	Labels    map[string]string // the client's labels
	API       string            // that the client called: chat, responses, messages or embeddings
	Session   string            // that the client named
	// User is the client's id of its end user: safety_identifier, user or
	// metadata.user_id of the request. It is not part of the JSON form. A store keeps a
	// keyed hash of it, to erase by.
	User   string
	Stream bool // the client asked for a stream

	Policy    string           // empty if the client named a model
	Default   string           // the policy's default; empty if the client named a model
	First     string           // the request's first candidate; attempts of others are fallbacks
	Reason    Reason           // why this candidate was called
	Decision  *carrot.Decision // with all candidates; shared by the attempts of a request; nil if routing failed
	DecidedIn time.Duration    // how long the decision took
	// Propensity is the probability that the request's first candidate was
	// chosen, given the query. Without exploration it is 1.
	Propensity float64
	// Shadow says what the router would have changed, if the policy records
	// decisions without applying them.
	Shadow *Shadow

	Candidate     string
	Provider      string
	UpstreamModel string // the model's name in the answer, or else in the configuration
	AnswerID      string // the provider's id of the answer, if it sent one
	// UpstreamRequestID is the provider's id of the request, and RateLimits are its
	// headers about rate limits, by their names in lower case. Both are from the
	// headers of its answer, if that has them.
	UpstreamRequestID string
	RateLimits        map[string]string

	// Dropped are the fields of the request that were left out for this
	// candidate, and Narrowed those that were changed or added, as FIELD=VALUE.
	Dropped, Narrowed []string

	Outcome   Outcome
	Status    int    // the provider's HTTP status, or the one that describes the failure; 0: none
	ErrorCode string // the provider's code or type of the error, or what failed
	Error     string // the message; empty if it may quote the prompt and content is not recorded

	Usage carrot.Usage
	// Estimated says that the provider reported no credible usage, so the
	// gateway counted the tokens itself.
	Estimated bool
	// CacheMiss is the provider's word for why it could not use its prompt cache,
	// such as tools_changed. It is empty unless the client asked for that.
	CacheMiss string
	Cost      carrot.USD
	// CostUnknown says that a price is missing for some of the tokens; Cost is
	// then 0 and has no meaning.
	CostUnknown bool
	// PriceDate is the date of the price that Cost follows from, YYYY-MM-DD, and
	// PriceAbove the number of tokens beyond which its rates begin; empty or 0 if
	// there is none. The tier is in Usage.Details.
	PriceDate  string
	PriceAbove int
	// Expected is the cost that the decision expected for this candidate. If
	// ExpectedUnknown is set, it is 0 and has no meaning.
	Expected        carrot.USD
	ExpectedUnknown bool

	// Budgets are the budgets that the attempt counts against, each with the day on
	// which its period began, as in client-search-month@2026-11-01. Held is what was
	// reserved in them before the call.
	Budgets []string
	Held    carrot.USD

	FirstToken time.Duration // from the call to the first content; 0: there was none
	Upstream   time.Duration // from the call to the end of the answer
	Overhead   time.Duration // in the gateway before the call, with the waits between attempts

	// Prompt is the body of the request and Answer the text of the answer. Both
	// are empty unless content is recorded.
	Prompt []byte
	Answer string
}

// Estimate returns the decision's estimate for the attempt's candidate, or nil if
// there is none.
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

// Shadow compares a router's choice with the request's first candidate. That is the
// policy's default, unless the default may not answer, or the choice is of a shadow router.
type Shadow struct {
	Model string     `json:"model"`            // the router's choice
	Saved carrot.USD `json:"saved_usd"`        // estimated cost of the first candidate, minus that of the choice
	Gain  float64    `json:"quality_expected"` // estimated quality of the choice, minus that of the first candidate
	// Router is the fingerprint of the shadow router whose choice it is; empty: it is
	// the choice of the router that decided.
	Router string `json:"router,omitempty"`
}
