package whatif_test

import (
	"fmt"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/whatif"
	"github.com/carrot-router/carrot/record"
)

// The code of the package comment.
func Example() {
	attempt := &record.Attempt{RequestID: "req_1", Number: 1, Policy: "auto", Reason: record.TradeOff, Propensity: 1, First: "small", Candidate: "small",
		Outcome: record.Served, Cost: carrot.Dollars(0.002), Decision: &carrot.Decision{Model: "small", USDPerQuality: 0.01, Candidates: []carrot.Assessment{
			{Name: "large", Estimate: carrot.Estimate{Quality: 0.9, Cost: carrot.Dollars(0.01)}},
			{Name: "small", Estimate: carrot.Estimate{Quality: 0.7, Cost: carrot.Dollars(0.001)}},
		}}}
	var score *float64 // nothing is known of the answer
	log := whatif.New([]whatif.Request{whatif.FromAttempt(attempt, score, nil)})
	answer := log.Ask(whatif.Question{USDPerQuality: 0.1})
	fmt.Printf("%d of %d requests would go to another model: $%.3f instead of $%.3f\n", answer.Changed, answer.Requests, answer.Then.Value, answer.Was)
	// Output: 1 of 1 requests would go to another model: $0.010 instead of $0.002
}
