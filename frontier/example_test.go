package frontier_test

import (
	"fmt"
	"math"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
)

// A small and a large model on three queries. The router's predictions are good
// enough to leave two of the queries to the small model.
func Example() {
	score := [][]float64{{1, 1}, {1, 1}, {0, 1}}
	cost := [][]float64{{0.001, 0.01}, {0.001, 0.01}, {0.001, 0.01}} // USD
	predicted := [][]float64{{0.9, 0.8}, {0.9, 0.9}, {0.2, 0.7}}
	singles := []frontier.Point{{Cost: 0.001, Quality: 2.0 / 3}, {Cost: 0.01, Quality: 1}}

	grid := frontier.Grid()
	choose := func(query, setting int) int { return carrot.Choose(predicted[query], cost[query], grid[setting]) }
	outcome := func(query, model int) (float64, float64) { return cost[query][model], score[query][model] }
	curve := frontier.NewTrace(len(score), len(grid), choose, outcome).Curve(nil)
	metrics := frontier.NewScale(singles).Measure(curve)

	fmt.Printf("AIQ %.3f, peak %.2f, the large model's quality at %.0f%% of its cost\n", metrics.AIQ, metrics.Peak, 100*metrics.QNC)
	// Output: AIQ 0.944, peak 1.00, the large model's quality at 40% of its cost
}

// Two queries at two settings, between which the first changes its model.
func ExampleTrace_Shares() {
	choices := [][]int{{1, 0}, {1, 1}} // of each query, at each setting
	trace := frontier.NewTrace(2, 2,
		func(query, setting int) int { return choices[query][setting] },
		func(query, model int) (cost, quality float64) { return float64(1 + model), 0.5 })
	for s, point := range trace.Curve(nil) {
		fmt.Println(point, trace.Shares(s, 2))
	}
	// Output:
	// {2 0.5} [0 1]
	// {1.5 0.5} [0.5 0.5]
}

// The settings run from quality at any price to almost nothing for a unit of it.
func ExampleGrid() {
	w := frontier.Grid()
	fmt.Println(len(w), w[0], w[1])
	fmt.Printf("%.6f\n", w[400])
	// Output:
	// 401 +Inf 1000
	// 0.000001
}

// Reach mixes no settings: it returns the cost of a point, or +Inf.
func ExampleReach() {
	curve := []frontier.Point{{1, 0.5}, {2, 0.8}, {3, 0.9}}
	fmt.Println(frontier.Reach(curve, 0.7), frontier.Reach(curve, 0.95), frontier.Peak(curve))
	// Output: 2 +Inf 0.9
}

// Between the zero router's AIQ of .6 and the oracle's of .9, a router at .66 has
// closed a fifth of the gap.
func ExampleGapClosed() {
	fmt.Printf("%.2f\n", frontier.GapClosed(0.66, 0.6, 0.9))
	// Output: 0.20
}

// A weak model scores .4 and a strong one .8: at .7 a router has recovered
// three quarters of the gap.
func ExamplePGR() {
	fmt.Printf("%.2f\n", frontier.PGR(0.7, 0.4, 0.8))
	// Output: 0.75
}

// The oracle is better by .1 and costs $0.002 less. At $0.02 a unit of quality
// the saving is worth another .1.
func ExampleRegret() {
	oracle := frontier.Point{Cost: 0.001, Quality: 0.9}
	router := frontier.Point{Cost: 0.003, Quality: 0.8}
	fmt.Printf("%.1f %.1f\n", frontier.Regret(oracle, router, math.Inf(1)), frontier.Regret(oracle, router, 0.02))
	// Output: 0.1 0.2
}

func ExampleBrier() {
	predicted := []float64{0.9, 0.2}
	observed := []float64{1, 0}
	fmt.Printf("%.3f\n", frontier.Brier(predicted, observed)) // (.01 + .04) / 2
	// Output: 0.025
}

// Two bins: below .5, and .5 or more.
func ExampleReliability() {
	predicted := []float64{0.2, 0.4, 0.6, 0.8}
	observed := []float64{0, 1, 1, 1}
	for _, bin := range frontier.Reliability(predicted, observed, 2) {
		fmt.Printf("%d: predicted %.1f, observed %.1f\n", bin.Count, bin.Predicted, bin.Observed)
	}
	// Output:
	// 2: predicted 0.3, observed 0.5
	// 2: predicted 0.7, observed 1.0
}

func ExampleR2() {
	predicted := []float64{110, 190, 330}
	observed := []float64{100, 200, 300}
	fmt.Printf("%.3f\n", frontier.R2(predicted, observed)) // 1 - 1100/20000
	// Output: 0.945
}

// Predicted lengths of three answers: wrong by 16.7 tokens on average, which is a
// twelfth of the mean length, and 5% too long overall.
func ExampleMAE() {
	predicted := []float64{110, 190, 330}
	observed := []float64{100, 200, 300}
	fmt.Printf("%.1f %.3f %.2f\n", frontier.MAE(predicted, observed), frontier.RelativeMAE(predicted, observed), frontier.Bias(predicted, observed))
	// Output: 16.7 0.083 0.05
}

// Three of four answers are no longer than their bound.
func ExampleCoverage() {
	bound := []float64{100, 200, 300, 400}
	observed := []float64{80, 200, 350, 10}
	fmt.Println(frontier.Coverage(bound, observed))
	// Output: 0.75
}

// A setting that costs 2 and reaches .55 is useless: mixing the settings at 1
// and at 4 reaches .6 at the same cost.
func ExampleHull() {
	fmt.Println(frontier.Hull([]frontier.Point{{4, 0.8}, {1, 0.5}, {2, 0.55}, {5, 0.7}}))
	// Output: [{1 0.5} {4 0.8}]
}

// Between the cheapest model's cost of 1 and the most expensive one's of 5, the
// hull rises from .5 to .8 and is flat from there on.
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

// A line joins the router's points at 1, 2 and 4 and is flat from 4 to 5.
// ExampleAIQ measures the hull of the same curve.
func ExampleAUDC() {
	curve := []frontier.Point{{1, 0.5}, {2, 0.55}, {4, 0.8}}
	fmt.Printf("%.5f\n", frontier.AUDC(curve, 1, 5)) // (1 × .525 + 2 × .675 + 1 × .8) / 4
	// Output: 0.66875
}

// The weak model scores .4 and the strong one .8. Calling the strong one for half
// of the queries, a router reaches .7: a PGR of 3/4, where calls at random would
// recover 1/2.
func ExampleAPGR() {
	router := []frontier.Point{{0.5, 0.7}}                // share of calls, quality
	fmt.Printf("%.3f\n", frontier.APGR(router, 0.4, 0.8)) // (0 + 3/4)/2 × 1/2 + (3/4 + 1)/2 × 1/2
	fmt.Printf("%.3f\n", frontier.APGR(nil, 0.4, 0.8))
	// Output:
	// 0.625
	// 0.500
}

// The router's point recovers three quarters of the gap. Two thirds of the way
// there, half of it is recovered.
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

// In the lower bin .3 is predicted on average and .5 observed; in the upper bin,
// .7 and 1.
func ExampleECE() {
	predicted := []float64{0.2, 0.4, 0.6, 0.8}
	observed := []float64{0, 1, 1, 1}
	fmt.Printf("%.2f\n", frontier.ECE(predicted, observed, 2)) // (2 × .2 + 2 × .3) / 4
	// Output: 0.25
}

// Two of four costs are in the wrong order: 1 - 6 × (1 + 1) / (4 × 15).
func ExampleRankCorrelation() {
	predicted := []float64{0.001, 0.003, 0.002, 0.009}
	observed := []float64{0.004, 0.005, 0.007, 0.008}
	fmt.Printf("%.1f\n", frontier.RankCorrelation(predicted, observed))
	// Output: 0.8
}
