// Package offpolicy estimates from the decisions of a router, and from what became of
// them, what other decisions would have been worth.
//
// A logged decision was drawn: with a rate of exploration ε, every candidate was tried
// first with probability ε/n, and the router's choice with the rest. Only the candidate
// that was drawn was observed. Three estimators correct for that: inverse propensity
// scores, unbiased and noisy; the same divided by the sum of their weights; and the
// doubly robust one, which adds to the router's own estimates the weighted residuals of
// what was observed. Intervals are clustered by session, because requests of one session
// are alike.
//
// The package holds pure functions: it knows neither stores nor HTTP.
//
//	row, left := offpolicy.FromAttempt(attempt, score)
//	if left == "" {
//		rows = append(rows, row)
//	}
//	result := offpolicy.Evaluate(rows, offpolicy.Objective(0.01), 0.01)
package offpolicy

import (
	"math"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/record"
)

// Candidate is what a decision expected of one candidate that could have been drawn.
type Candidate struct {
	Name         string
	Quality      float64
	Noise        float64 // standard deviation of a score about its mean; 0: unknown
	Cost         float64 // USD; NaN: unknown
	InputTokens  float64 // with those in the prompt cache
	CachedTokens float64
	OutputTokens float64 // 0: unknown
}

// Row is a decision and what became of it.
type Row struct {
	Request    string
	Session    string // requests of one session are not independent; empty: of none
	Time       time.Time
	Router     string // fingerprint of the router that decided
	Candidates []Candidate
	// Action is the candidate that was drawn first, Greedy the router's own choice.
	Action, Greedy int
	// Propensity is the probability with which Action was drawn. Below 1, every
	// candidate could have been drawn; at 1, no other.
	Propensity    float64
	USDPerQuality float64 // the willingness to pay that the router decided with

	// What was observed of Action; NaN: unknown.
	Score, Cost, OutputTokens float64
}

// Reasons for which a request is left out.
const (
	LeftNamed      = "named"       // the client named the model
	LeftOff        = "routing-off" // the client asked for the default
	LeftShadow     = "shadow"      // the policy only records decisions
	LeftNovel      = "novel"       // the default, because the query is unlike the training data
	LeftPinned     = "pinned"      // the model that began had to continue
	LeftFailed     = "router-failed"
	LeftUndecided  = "no-decision" // that is stored
	LeftFellBack   = "fell-back"   // the candidate failed, and the outcome is another's
	LeftUnanswered = "unanswered"  // refused, broken, or the client was gone
	LeftUnknown    = "no-estimate" // of the candidate that was drawn, or no probability
)

// FromAttempt returns the row of a request's first attempt, or why the request is left
// out. The score is what is known of the answer, nil for nothing.
func FromAttempt(a *record.Attempt, score *float64) (row Row, left string) {
	switch a.Reason {
	case record.TradeOff, record.Exploration, record.OnlyCandidate:
	case record.Named:
		return row, LeftNamed
	case record.RoutingOff:
		return row, LeftOff
	case record.ShadowDefault:
		return row, LeftShadow
	case record.Novel:
		return row, LeftNovel
	case record.ContinuesResponse, record.ContinuesReasoning:
		return row, LeftPinned
	case record.RouterFailed:
		return row, LeftFailed
	default: // another candidate than the first, or the default could not answer
		return row, LeftFellBack
	}
	switch {
	case a.Decision == nil:
		return row, LeftUndecided
	case a.Outcome == record.FellBack || a.First != "" && a.First != a.Candidate:
		return row, LeftFellBack
	case a.Outcome != record.Served:
		return row, LeftUnanswered
	}
	d, nan := a.Decision, math.NaN()
	row = Row{Request: a.RequestID, Session: a.Session, Time: a.Time, Router: d.Router, Action: -1, Greedy: -1,
		Propensity: a.Propensity, USDPerQuality: d.USDPerQuality, Score: nan, Cost: nan, OutputTokens: nan}
	if a.Session != "" && a.Client != "" {
		row.Session = a.Client + "\x00" + a.Session // clients may use the same names
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		if c.Excluded != "" {
			continue
		}
		if c.Name == a.Candidate {
			row.Action = len(row.Candidates)
		}
		if c.Name == d.Model {
			row.Greedy = len(row.Candidates)
		}
		row.Candidates = append(row.Candidates, candidateOf(c))
	}
	if row.Action < 0 || row.Greedy < 0 || !(row.Propensity > 0 && row.Propensity <= 1) || math.IsNaN(row.Candidates[row.Action].Quality) {
		return Row{}, LeftUnknown
	}
	if score != nil {
		row.Score = *score
	}
	if !a.CostUnknown {
		row.Cost = a.Cost.Float()
	}
	if n := a.Usage.Answer(); n > 0 {
		row.OutputTokens = float64(n)
	}
	return row, ""
}

func candidateOf(a *carrot.Assessment) Candidate {
	c := Candidate{Name: a.Name, Quality: a.Quality, Noise: a.QualityNoise, Cost: a.Cost.Float(), InputTokens: float64(a.InputTokens),
		CachedTokens: float64(a.CachedTokens), OutputTokens: a.OutputTokens}
	if a.CostUnknown {
		c.Cost = math.NaN()
	}
	return c
}

// Policy returns the candidate that a policy chooses on a row, or -1 if that is none of
// the row's.
type Policy func(r *Row) int

// Objective is the policy that has the willingness to pay w and the estimates of the
// rows. Where w makes a cost matter, a candidate of unknown cost is not chosen.
func Objective(w float64) Policy {
	return func(r *Row) int {
		best := -1
		var top float64
		for i := range r.Candidates {
			c := &r.Candidates[i]
			u := utility(c.Quality, c.Cost, w)
			if math.IsNaN(u) {
				continue
			}
			if best < 0 || u > top || u == top && c.Cost < r.Candidates[best].Cost {
				best, top = i, u
			}
		}
		return best
	}
}

// utility is carrot.Utility, where a cost that does not matter may be unknown.
func utility(quality, cost, w float64) float64 {
	switch {
	case math.IsInf(w, 1):
		return quality
	case w == 0:
		return -cost
	}
	return carrot.Utility(quality, cost, w)
}

// supports reports whether a candidate could have been drawn on a row.
func (r *Row) supports(candidate int) bool {
	return candidate >= 0 && (candidate == r.Action || r.Propensity < 1)
}

// probability returns the probability with which a candidate was drawn on a row: each with
// the same, and the router's choice with what is left.
func (r *Row) probability(candidate int) float64 {
	if r.Propensity == 1 || len(r.Candidates) < 2 {
		if candidate == r.Action {
			return 1
		}
		return 0
	}
	n := float64(len(r.Candidates))
	each := r.Propensity
	if r.Action == r.Greedy {
		each = (1 - r.Propensity) / (n - 1)
	}
	if candidate == r.Greedy {
		return 1 - (n-1)*each
	}
	return each
}

// scatter is the variance of a score about its mean, as far as it was expected.
func (c *Candidate) scatter() float64 {
	if c.Noise > 0 {
		return c.Noise * c.Noise
	}
	return c.Quality * (1 - c.Quality)
}
