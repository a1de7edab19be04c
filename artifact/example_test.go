package artifact_test

import (
	"context"
	"fmt"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/price"
)

// The router in the binary, with the table of vectors and the prices that are
// there too, decides offline.
func ExampleDefault() {
	saved, err := artifact.Default()
	if err != nil {
		fmt.Println(err)
		return
	}
	static, err := embed.Default()
	if err != nil {
		fmt.Println(err)
		return
	}
	router, err := saved.Router(static, saved.Pool(price.Default()))
	if err != nil {
		fmt.Println(err)
		return
	}
	query := carrot.Query{Text: "A train travels 60 km in 45 minutes. What is its speed in km/h?"}
	for _, objective := range []carrot.Objective{carrot.Cheap, carrot.Balanced, carrot.Quality} {
		decision, err := router.Route(context.Background(), query, objective)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(objective, decision.Model)
	}
	// Output:
	// cheap gpt-4o-mini-2024-07-18
	// balanced gpt-4o-mini-2024-07-18
	// quality gpt-4o-2024-08-06
}
