package train_test

import (
	"context"
	"fmt"
	"log"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/train"
)

// From a few invented outcomes to a decision, between a small model that can add
// and a large one that can also prove.
func Example() {
	ctx, outcomes := context.Background(), invented()
	static, err := embed.Default()
	if err != nil {
		log.Fatal(err)
	}
	saved, err := train.Run(ctx, []*dataset.Set{outcomes}, static, train.Options{EmbedderSpec: "static"})
	if err != nil {
		log.Fatal(err)
	}
	router, err := saved.Router(static, saved.Pool(nil)) // at the prices of the data
	if err != nil {
		log.Fatal(err)
	}
	for _, prompt := range []string{"What is 71 + 4?", "Prove that the square root of 71 is irrational."} {
		decision, err := router.Route(ctx, carrot.Query{Text: prompt}, carrot.Balanced)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(decision.Model, "answers", prompt)
	}
	// Output:
	// small answers What is 71 + 4?
	// large answers Prove that the square root of 71 is irrational.
}

// invented returns the outcomes of two models on sums and proofs.
func invented() *dataset.Set {
	s := &dataset.Set{Name: "invented", Models: []dataset.Model{
		{Name: "small", InputUSDPerMillion: 0.1, OutputUSDPerMillion: 0.4, Pool: true},
		{Name: "large", InputUSDPerMillion: 2.5, OutputUSDPerMillion: 10, Pool: true},
	}}
	const n = 80
	s.Score, s.InputTokens, s.OutputTokens = dataset.NewMatrix(n, 2), dataset.NewMatrix(n, 2), dataset.NewMatrix(n, 2)
	for i := range n {
		source, prompt := "sums", fmt.Sprintf("What is %d + %d?", i, 3*i)
		score := []float64{1, 1}
		if i%2 == 1 {
			source, prompt = "proofs", fmt.Sprintf("Prove that the square root of %d is irrational.", i)
			score = []float64{0, 1}
		}
		s.Queries = append(s.Queries, dataset.Query{ID: fmt.Sprint(i), Split: dataset.SplitTrain, Source: source, Prompt: prompt})
		for m := range s.Models {
			s.Score.Set(i, m, score[m])
			s.InputTokens.Set(i, m, 12)
			s.OutputTokens.Set(i, m, float64(100+i%7))
		}
	}
	s.Fingerprint = s.ComputeFingerprint()
	return s
}
