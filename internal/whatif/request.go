// Package whatif estimates what the requests of a ledger would have cost, and how good
// their answers would have been, had another objective, other prices or fewer models
// decided.
//
// A stored decision has what it expected of every candidate, so that it can be made again.
// Where it names the model that answered, cost and score stay facts. Elsewhere they are
// what the decision expected of the other model, corrected by how that was off where the
// model did answer. Facts and estimates are told apart. See docs/decisions/0025.
//
// The package holds pure functions: it knows neither stores nor HTTP.
//
//	log := whatif.New([]whatif.Request{whatif.FromAttempt(attempt, score, nil)})
//	answer := log.Ask(whatif.Question{USDPerQuality: 0.01})
package whatif

import (
	"math"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/offpolicy"
	"github.com/carrot-router/carrot/record"
)

// Reasons for which a request keeps what it was, beside those of package offpolicy.
const (
	KeptEmbedding   = "embeddings"   // they are not routed
	KeptPromise     = "promise"      // which candidates keep it is not stored
	KeptExplored    = "exploration"  // drawn at random, as it would be again
	KeptOther       = "other-rule"   // the choice does not follow from what is stored
	KeptNoCandidate = "no-candidate" // none that could answer is left, or has a known cost
)

// Request is a request and what became of it.
type Request struct {
	// Row is the decision and what is known of its outcome, at the prices that are asked
	// about. It has no candidates if no decision counts.
	offpolicy.Row
	Kept  string  // why the request keeps what it was; empty: it can be decided again
	Model string  // that was asked last
	Was   float64 // USD of all its attempts; NaN: unknown
	Now   float64 // the same at the prices that are asked about

	promise bool // the decision was made among candidates that keep one
}

// Prices returns the price of a model, if it is among those that are asked about.
type Prices func(model string) (price carrot.Price, asked bool)

// FromAttempt returns a request by its first attempt. The score is what is known of the
// answer, nil for nothing. Prices may be nil.
func FromAttempt(a *record.Attempt, score *float64, prices Prices) Request {
	row, left := offpolicy.FromAttempt(a, score)
	if a.API == "embeddings" {
		left = KeptEmbedding
	}
	r := Request{Row: row, Kept: left, promise: a.Decision != nil && Promises(a.Decision.Objective)}
	r.Add(a, prices)
	if left != "" {
		r.Row = offpolicy.Row{Score: math.NaN()}
		if score != nil {
			r.Score = *score
		}
		return r
	}
	switch {
	case offpolicy.Objective(row.USDPerQuality)(&row) != row.Greedy:
		r.Kept = KeptOther
	case row.Action != row.Greedy:
		r.Kept = KeptExplored
	case prices != nil && r.promise:
		r.Kept = KeptPromise
	}
	r.Cost = r.Now
	if prices != nil {
		at := 0
		for i := range a.Decision.Candidates {
			if c := &a.Decision.Candidates[i]; c.Excluded == "" {
				r.Candidates[at].Cost = expected(c, prices)
				at++
			}
		}
	}
	return r
}

// Promises reports whether an objective has promises.
func Promises(o carrot.Objective) bool {
	text := o.String()
	return strings.Contains(text, "@") || strings.Contains(text, "max-cost=")
}

// Add adds another attempt of the request.
func (r *Request) Add(a *record.Attempt, prices Prices) {
	was := math.NaN()
	if !a.CostUnknown {
		was = a.Cost.Float()
	}
	now := was
	if prices != nil && a.Outcome != record.Lapsed {
		if p, asked := prices(a.Candidate); asked {
			now = usd(p.Cost(a.Usage))
		}
	}
	r.Model = a.Candidate
	r.Was, r.Now = r.Was+was, r.Now+now
}

// expected returns the expected cost of a candidate at other prices, NaN if it is unknown.
func expected(c *carrot.Assessment, prices Prices) float64 {
	for i := range c.Steps {
		if _, asked := prices(c.Steps[i].Model); asked {
			return math.NaN() // the input tokens of its calls are not stored
		}
	}
	p, asked := prices(c.Name)
	switch {
	case !asked && c.CostUnknown:
		return math.NaN()
	case !asked:
		return c.Cost.Float()
	case c.OutputTokens == 0: // its cost was forecast directly, or not at all
		return math.NaN()
	}
	return usd(p.Expected(carrot.Usage{Input: c.InputTokens - c.CachedTokens, CachedInput: c.CachedTokens}, c.OutputTokens))
}

func usd(cost carrot.USD, err error) float64 {
	if err != nil {
		return math.NaN()
	}
	return cost.Float()
}
