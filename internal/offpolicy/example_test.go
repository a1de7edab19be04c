package offpolicy_test

import (
	"fmt"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/offpolicy"
	"github.com/carrot-router/carrot/record"
)

// Two requests are not enough for a conclusion.
func Example() {
	var rows []offpolicy.Row
	for i, score := range []float64{1, 0} {
		attempt := &record.Attempt{RequestID: fmt.Sprint(i), Time: time.Now(), Reason: record.TradeOff, Propensity: 0.95, Candidate: "small", Outcome: record.Served,
			Decision: &carrot.Decision{Model: "small", Candidates: []carrot.Assessment{
				{Name: "small", Estimate: carrot.Estimate{Quality: 0.5, Cost: carrot.Dollars(0.001)}},
				{Name: "large", Estimate: carrot.Estimate{Quality: 0.9, Cost: carrot.Dollars(0.003)}},
			}}}
		row, left := offpolicy.FromAttempt(attempt, &score)
		if left == "" {
			rows = append(rows, row)
		}
	}
	result := offpolicy.Evaluate(rows, offpolicy.Objective(0.01), 0.01)
	fmt.Println(result.Requests, result.Agreement, result.Target.Quality.DoublyRobust.Value)
	fmt.Println(result.Refusals[0])
	// Output:
	// 2 0 0.9
	// the requests on which the policy's choice was tried count as 0 of equal weight (at least 100): wait for more feedback, or explore more
}
