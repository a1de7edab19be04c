package table_test

import (
	"context"
	"fmt"
	"log"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/table"
)

// What two recorded calls cost, and what a router would have expected of one.
func Example() {
	set := &dataset.Set{Name: "invented",
		Queries: []dataset.Query{{ID: "1", Split: dataset.SplitTrain, Source: "sums", Prompt: "What is 2 + 3?"}},
		Models: []dataset.Model{
			{Name: "small", InputUSDPerMillion: 0.1, OutputUSDPerMillion: 0.4, Pool: true},
			{Name: "large", InputUSDPerMillion: 2.5, OutputUSDPerMillion: 10, Pool: true},
		},
		Score:        dataset.Matrix{Rows: 1, Cols: 2, Data: []float64{0, 1}},
		InputTokens:  dataset.Matrix{Rows: 1, Cols: 2, Data: []float64{10, 10}},
		OutputTokens: dataset.Matrix{Rows: 1, Cols: 2, Data: []float64{5, 100}},
	}
	static, err := embed.Default()
	if err != nil {
		log.Fatal(err)
	}
	t, err := table.New(context.Background(), set, static, table.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for m, name := range t.ModelNames() {
		fmt.Printf("%s: score %.0f for $%.6f\n", name, t.Set.Score.At(0, m), t.Cost.At(0, m))
	}
	fmt.Printf("expected of large: $%.6f\n", t.PredictedCost(0, 1, &carrot.Forecast{OutputTokens: 80}))
	// Output:
	// small: score 0 for $0.000003
	// large: score 1 for $0.001025
	// expected of large: $0.000825
}
