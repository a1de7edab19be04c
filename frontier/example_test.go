package frontier_test

import (
	"fmt"

	"github.com/carrot-router/carrot/frontier"
)

// A setting that costs 2 and reaches .55 is not worth having: mixing those at
// 1 and at 4 gives .6 at the same cost.
func ExampleHull() {
	fmt.Println(frontier.Hull([]frontier.Point{{4, 0.8}, {1, 0.5}, {2, 0.55}, {5, 0.7}}))
	// Output: [{1 0.5} {4 0.8}]
}

// Between the cheapest model's cost of 1 and the dearest's of 5, the hull
// rises from .5 to .8 and then is flat.
func ExampleAIQ() {
	curve := []frontier.Point{{1, 0.5}, {4, 0.8}}
	fmt.Printf("%.4f\n", frontier.AIQ(curve, 1, 5)) // (3 × .65 + 1 × .8) / 4
	// Output: 0.6875
}

func ExampleScale_Measure() {
	singles := []frontier.Point{{1, 0.5}, {4, 0.8}, {5, 0.7}}
	router := []frontier.Point{{1, 0.5}, {2, 0.8}, {3, 0.85}}
	m := frontier.NewScale(singles).Measure(router)
	fmt.Printf("the best single's quality at %.0f%% of its cost, at most %.2f\n", 100*m.QNC, m.Peak)
	// Output: the best single's quality at 50% of its cost, at most 0.85
}

// The router's own points at 1, 2 and 4 are joined by a line, flat from 4 to 5;
// ExampleAIQ has the same curve mixed.
func ExampleAUDC() {
	curve := []frontier.Point{{1, 0.5}, {2, 0.55}, {4, 0.8}}
	fmt.Printf("%.5f\n", frontier.AUDC(curve, 1, 5)) // (1 × .525 + 2 × .675 + 1 × .8) / 4
	// Output: 0.66875
}

// The weak model scores .4 and the strong .8. Calling the strong one for half
// of the queries, a router reaches .7, so a PGR of 3/4; at random it would be
// 1/2.
func ExampleAPGR() {
	router := []frontier.Point{{0.5, 0.7}}                // share of calls, quality
	fmt.Printf("%.3f\n", frontier.APGR(router, 0.4, 0.8)) // (0 + 3/4)/2 × 1/2 + (3/4 + 1)/2 × 1/2
	fmt.Printf("%.3f\n", frontier.APGR(nil, 0.4, 0.8))
	// Output:
	// 0.625
	// 0.500
}

// Half of the gap is recovered two thirds of the way to the point that
// recovers three quarters of it.
func ExampleCPT() {
	router := []frontier.Point{{0.5, 0.7}} // share of calls, quality
	fmt.Printf("%.3f %.3f\n", frontier.CPT(router, 0.4, 0.8, 0.5), frontier.CPT(router, 0.4, 0.8, 0.75))
	// Output: 0.333 0.500
}

// A router that is right on 66.88% of the queries at $0.15 per 1,000.
func ExampleArenaScore() {
	fmt.Printf("%.2f\n", 100*frontier.ArenaScore(0.6688, 0.15)) // C = .6709
	fmt.Printf("%.2f\n", 100*frontier.ArenaScore(0.6688, 200))  // C = 0
	// Output:
	// 66.90
	// 0.00
}

// In the lower half .3 is predicted and .5 observed, in the upper .7 and 1.
func ExampleECE() {
	predicted := []float64{0.2, 0.4, 0.6, 0.8}
	observed := []float64{0, 1, 1, 1}
	fmt.Printf("%.2f\n", frontier.ECE(predicted, observed, 2)) // (2 × .2 + 2 × .3) / 4
	// Output: 0.25
}

// Of four costs two are in the wrong order: 1 - 6 × (1 + 1) / (4 × 15).
func ExampleRankCorrelation() {
	predicted := []float64{0.001, 0.003, 0.002, 0.009}
	observed := []float64{0.004, 0.005, 0.007, 0.008}
	fmt.Printf("%.1f\n", frontier.RankCorrelation(predicted, observed))
	// Output: 0.8
}
