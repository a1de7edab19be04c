package dataset_test

import (
	"context"
	"fmt"
	"log"

	"github.com/carrot-router/carrot/dataset"
)

func ExampleLoad() {
	set, err := dataset.Load(context.Background(), "testdata/tiny")
	if err != nil {
		log.Fatal(err) // file, line, field and reason
	}
	fmt.Println(len(set.Queries), "queries,", len(set.Models), "models")
	for _, j := range set.Pool() {
		fmt.Println(set.Models[j].Name, set.Score.At(0, j), set.OutputTokens.At(0, j))
	}
	fmt.Println("not observed:", set.Score.At(2, 1))
	// Output:
	// 5 queries, 3 models
	// acme-large 1 4
	// acme-small 1 8
	// not observed: NaN
}

func ExampleSplitOf() {
	for _, prompt := range []string{"What is 2 + 3?", "Name 1 rivers.", "Name 2 rivers."} {
		fmt.Println(dataset.SplitOf(prompt), dataset.Fold(prompt, 5))
	}
	// Output:
	// train 1
	// test 3
	// test 4
}

func ExampleSet_Describe() {
	set, err := dataset.Load(context.Background(), "testdata/tiny")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(set.Describe())
	// Output:
	// tiny: 5 queries, 3 models, 9 outcomes, 6 missing
	// fingerprint sha256:8bbf8ad35e29ba72ca327b6fe489df510f36cd36967949159d6127e62b0166e0
	// queries without a score of every pool model: 2
	// complete queries (every pool model has a score, and tokens or a cost): 2
	//
	//   train  validation  test  all  source
	//       1           0     0    1  (none)
	//       1           1     0    2  sums
	//       1           0     1    2  words
	//       3           1     1    5  (all)
	//
	//   pool  observed  coverage   score  output tokens  USD/query  model
	//    yes         5    100.0%  0.9500            9.6   0.000103  acme-large
	//    yes         3     60.0%  0.3333           34.0    1.5e-05  acme-small
	//     no         1     20.0%  0.0000              -      2e-06  old, "quoted" model (no price)
	//
	// equal prompts: 2 queries in 1 groups
	//   sum/1, sum/3
	// suspicious rows:
	//   1 outcomes with zero output tokens: word/2 acme-large
	//   2 outcomes of score 1 without an answer: word/2 acme-large, sum/3 acme-large
	//   1 equal answers to one query with both scores: sum/2
	//   1 outcomes with a score and neither tokens nor cost: word/2 acme-small
}

func ExampleSet_Subset() {
	set, err := dataset.Load(context.Background(), "testdata/tiny")
	if err != nil {
		log.Fatal(err)
	}
	train := set.Subset(set.Rows(dataset.SplitTrain), set.Pool())
	for i, q := range train.Queries {
		fmt.Println(q.ID, train.Score.Row(i))
	}
	// Output:
	// sum/1 [1 1]
	// word/1 [0.75 NaN]
	// sum/3 [1 NaN]
}

func ExampleJoin() {
	ctx := context.Background()
	set, err := dataset.Load(ctx, "testdata/tiny")
	if err != nil {
		log.Fatal(err)
	}
	sums, words := set.Subset([]int{0, 1, 4}, []int{0}), set.Subset([]int{2, 3}, []int{1, 2})
	joined, err := dataset.Join([]*dataset.Set{sums, words}, dataset.JoinOptions{
		Name:   "both",
		Rename: map[string]string{"acme-small": "acme-mini"},
		Pool:   []string{"acme-large"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range joined.Models {
		fmt.Println(m.Name, m.Pool)
	}
	fmt.Println(len(joined.Queries), "queries")
	// Output:
	// acme-large true
	// acme-mini false
	// old, "quoted" model false
	// 5 queries
}

func ExampleCheck() {
	problems, err := dataset.Check(context.Background(), "testdata/tiny", 10)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(problems), "problems")
	// Output: 0 problems
}
