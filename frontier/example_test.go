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
