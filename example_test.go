package carrot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/carrot-router/carrot"
)

// A router is an embedder, a predictor and a pool with prices. Saved routers
// bring all three; here the first two are stand-ins that forecast the same
// for every query.
func ExampleRouter_Route() {
	large := carrot.Price{Input: carrot.PerMillion(2.50), Output: carrot.PerMillion(10)}
	small := carrot.Price{Input: carrot.PerMillion(0.15), Output: carrot.PerMillion(0.60)}
	router, err := carrot.NewRouter(carrot.Config{
		Candidates: []carrot.Candidate{{Name: "large", Price: &large}, {Name: "small", Price: &small}},
		Embedder:   fakeEmbedder{},
		Predictor: fakePredictor{
			models: []string{"large", "small"},
			forecasts: []carrot.Forecast{
				{Quality: 0.92, OutputTokens: 400},
				{Quality: 0.81, OutputTokens: 350},
			},
		},
		CountTokens: words,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	query := carrot.Query{Text: "Prove that the square root of 2 is irrational.", InputTokens: 11}
	for _, w := range []float64{0.10, 0.01} { // USD per unit of quality
		decision, err := router.Route(context.Background(), query, carrot.USDPerQuality(w))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s at %v; then %v\n", decision.Model, decision.Chosen().Cost, decision.Fallback())
		fmt.Println(decision.Reason())
	}
	// Output:
	// large at $0.0040275; then [small]
	// large has the best trade-off at $0.100 per unit of quality
	// small at $0.00021165; then [large]
	// small has the best trade-off at $0.0100 per unit of quality: large would add 0.110 quality for $0.00382 more
}

// A program asks a router for a decision and acts on it. In place of printing, it
// would call the model, and on an error those of Fallback.
func Example() {
	ask := func(ctx context.Context, router *carrot.Router, prompt string) error {
		decision, err := router.Route(ctx, carrot.Query{Text: prompt}, carrot.Balanced)
		if err != nil {
			return err
		}
		fmt.Println(decision.Model, decision.Reason())
		return nil
	}
	price := carrot.Price{Input: carrot.PerMillion(2.50), Output: carrot.PerMillion(10)}
	router, err := carrot.NewRouter(carrot.Config{
		Candidates:  []carrot.Candidate{{Name: "large", Price: &price}},
		Embedder:    fakeEmbedder{},
		Predictor:   fakePredictor{models: []string{"large"}, forecasts: []carrot.Forecast{{Quality: 0.92, OutputTokens: 400}}},
		CountTokens: words,
		Frontier:    carrot.Frontier{Points: []carrot.Point{{USDPerQuality: 0.05, CostUSD: 0.002, Quality: 0.9}}, BestSingle: carrot.Point{CostUSD: 0.002, Quality: 0.9}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := ask(context.Background(), router, "What is 17 * 23?"); err != nil {
		fmt.Println(err)
	}
	// Output: large large is the only candidate
}

// A decision is written as JSON and read back equal.
func ExampleDecision_UnmarshalJSON() {
	text := `{"schema":"carrot.decision/1","model":"small","policy":"cheap","usd_per_quality":0.01,
		"candidates":[{"name":"large","quality":0.9,"cost_usd":0.02,"cost_usd_p90":0.04,"utility":-1.1},
		              {"name":"small","quality":0.8,"cost_usd":0.001,"cost_usd_p90":0.002,"utility":0.7}]}`
	var decision carrot.Decision
	if err := json.Unmarshal([]byte(text), &decision); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(decision.Model, decision.Objective, decision.Chosen().Cost, decision.Fallback())
	// Output: small cheap $0.001 [large]
}

func ExampleParseObjective() {
	for _, text := range []string{"balanced", "mu=0.5", "usd-per-quality=0.02", "mu=1.5"} {
		objective, err := carrot.ParseObjective(text)
		if err != nil {
			fmt.Println("error:", err)
			continue
		}
		frontier := carrot.Frontier{ // of a saved router
			Points: []carrot.Point{
				{USDPerQuality: math.Inf(1), CostUSD: 0.004, Quality: 0.90},
				{USDPerQuality: 0.05, CostUSD: 0.002, Quality: 0.88},
			},
			BestSingle: carrot.Point{CostUSD: 0.005, Quality: 0.90},
		}
		w, err := objective.Resolve(frontier)
		fmt.Println(objective, w, err)
	}
	// Output:
	// balanced 0.05 <nil>
	// mu=0.5 0.01 <nil>
	// usd-per-quality=0.02 0.02 <nil>
	// error: objective "mu=1.5": 1.5 is outside [0,1]
}

// Where would this decision turn out otherwise?
func ExampleDecision_Flips() {
	decision := carrot.Decision{Candidates: []carrot.Assessment{
		{Name: "large", Estimate: carrot.Estimate{Quality: 0.9, Cost: carrot.Dollars(0.010)}},
		{Name: "medium", Estimate: carrot.Estimate{Quality: 0.8, Cost: carrot.Dollars(0.002)}},
		{Name: "small", Estimate: carrot.Estimate{Quality: 0.4, Cost: carrot.Dollars(0.001)}},
	}}
	for _, flip := range decision.Flips() {
		fmt.Printf("up to %.4g USD per unit of quality: %s\n", flip.USDPerQuality, flip.Model)
	}
	// Output:
	// up to +Inf USD per unit of quality: large
	// up to 0.08 USD per unit of quality: medium
	// up to 0.0025 USD per unit of quality: small
}

// Token prices add up exactly, and a part of a price that is not set is not zero.
func ExamplePrice_Cost() {
	price := carrot.Price{Input: carrot.PerMillion(0.15), CachedInput: carrot.PerMillion(0.075), Output: carrot.PerMillion(0.60)}
	fmt.Println(price.Cost(carrot.Usage{Input: 1200, CachedInput: 300, Output: 250}))
	fmt.Println(price.Cost(carrot.Usage{Input: 1200, CacheWrite: 300, Output: 250}))
	// Output:
	// $0.0003525 <nil>
	// $0 the cost is unknown: cache write tokens have no price
}
