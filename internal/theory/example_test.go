package theory_test

import (
	"context"
	"fmt"

	"github.com/carrot-router/carrot/internal/theory"
)

func ExampleProblem_Exponent() {
	p := theory.Problem{Dim: 2, Smoothness: 1, CostSmoothness: 0.5, Margin: 1, Noise: 0.25, Models: 3}
	fmt.Printf("cost known:     n^-%.3f with k = %d of 10000\n", p.Exponent(true), p.Neighbours(p.Smoothness, 10000))
	fmt.Printf("cost estimated: n^-%.3f with k = %d for cost\n", p.Exponent(false), p.Neighbours(p.CostSmoothness, 10000))
	// Output:
	// cost known:     n^-0.500 with k = 100 of 10000
	// cost estimated: n^-0.333 with k = 22 for cost
}

func ExampleRun() {
	plane := theory.Scenario{Name: "mine", CostKnown: true, Seen: 1,
		Problem: theory.Problem{Dim: 2, Smoothness: 1, CostSmoothness: 1, Margin: 1, Noise: 0.25, Models: 3}}
	report, err := theory.Run(context.Background(), theory.Config{Quick: true, Scenarios: []theory.Scenario{plane}, Settings: []theory.Setting{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range report.Scenarios[0].Methods {
		if c.Method == theory.KNN || c.Method == theory.KNNFew {
			fmt.Printf("%s: promised slope %.1f, risk falls by half: %v\n", c.Method, c.Promised, c.Risk[3] < c.Risk[0]/2)
		}
	}
	// Output:
	// knn, right k: promised slope -0.5, risk falls by half: true
	// knn, k = 5: promised slope 0.0, risk falls by half: false
}
