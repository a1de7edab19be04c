package offpolicy

import (
	"math"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/record"
)

// attempt is a request that the router's own choice answered.
func attempt() record.Attempt {
	return record.Attempt{RequestID: "req_1", Number: 1, Client: "app", Session: "s1", Policy: "auto", Reason: record.TradeOff, Propensity: 0.95,
		First: "small", Candidate: "small", Outcome: record.Served, Usage: carrot.Usage{Output: 20}, Cost: carrot.Dollars(0.002),
		Decision: &carrot.Decision{Model: "small", Router: "0123", USDPerQuality: 0.01, Candidates: []carrot.Assessment{
			{Name: "old", Excluded: "its context is too short"},
			{Name: "large", Estimate: carrot.Estimate{Quality: 0.9, Cost: carrot.Dollars(0.01), OutputTokens: 300}},
			{Name: "small", Estimate: carrot.Estimate{Quality: 0.7, CostUnknown: true}},
		}}}
}

func TestFromAttempt(t *testing.T) {
	a, score := attempt(), 0.5
	row, left := FromAttempt(&a, &score)
	if left != "" || len(row.Candidates) != 2 || row.Action != 1 || row.Greedy != 1 || row.Score != 0.5 || row.Cost != 0.002 || row.OutputTokens != 20 ||
		row.Router != "0123" || row.Propensity != 0.95 || !math.IsNaN(row.Candidates[1].Cost) || row.Candidates[0].Cost != 0.01 {
		t.Errorf("row = %+v, %q", row, left)
	}
	other := attempt()
	other.Client = "chat"
	if again, _ := FromAttempt(&other, nil); again.Session == row.Session || !math.IsNaN(again.Score) {
		t.Errorf("row = %+v, want another session of another client, and no score", again)
	}
	a.Reason, a.Candidate, a.First, a.Propensity = record.Exploration, "large", "large", 0.01
	if row, left = FromAttempt(&a, nil); left != "" || row.Action != 0 || row.Greedy != 1 {
		t.Errorf("explored: row = %+v, %q, want large tried and small chosen", row, left)
	}
}

// TestLeftOut: every request whose action the router did not draw, or whose outcome is not
// that action's, is left out with its reason.
func TestLeftOut(t *testing.T) {
	for _, c := range []struct {
		want string
		edit func(a *record.Attempt)
	}{
		{LeftNamed, func(a *record.Attempt) { a.Reason = record.Named }},
		{LeftOff, func(a *record.Attempt) { a.Reason = record.RoutingOff }},
		{LeftShadow, func(a *record.Attempt) { a.Reason = record.ShadowDefault }},
		{LeftNovel, func(a *record.Attempt) { a.Reason = record.Novel }},
		{LeftPinned, func(a *record.Attempt) { a.Reason = record.ContinuesResponse }},
		{LeftPinned, func(a *record.Attempt) { a.Reason = record.ContinuesReasoning }},
		{LeftFailed, func(a *record.Attempt) { a.Reason, a.Decision = record.RouterFailed, nil }},
		{LeftFellBack, func(a *record.Attempt) { a.Reason = record.Fallback }},
		{LeftFellBack, func(a *record.Attempt) { a.Outcome = record.FellBack }},
		{LeftFellBack, func(a *record.Attempt) { a.First = "large" }},
		{LeftUndecided, func(a *record.Attempt) { a.Decision = nil }},
		{LeftUnanswered, func(a *record.Attempt) { a.Outcome = record.Broken }},
		{LeftUnanswered, func(a *record.Attempt) { a.Outcome = record.Refused }},
		{LeftUnanswered, func(a *record.Attempt) { a.Outcome = record.ClientGone }},
		{LeftUnanswered, func(a *record.Attempt) { a.Outcome = record.Lapsed }},
		{LeftUnknown, func(a *record.Attempt) { a.Propensity = 0 }},
		{LeftUnknown, func(a *record.Attempt) { a.Candidate, a.First = "gone", "gone" }},
		{LeftUnknown, func(a *record.Attempt) { a.Decision.Candidates[2].Quality = math.NaN() }},
		{"", func(a *record.Attempt) { a.Reason = record.OnlyCandidate }},
		{"", func(a *record.Attempt) { a.Reason = record.Exploration }},
	} {
		a := attempt()
		c.edit(&a)
		if _, left := FromAttempt(&a, nil); left != c.want {
			t.Errorf("%s, %s: left out as %q, want %q", a.Reason, a.Outcome, left, c.want)
		}
	}
}
