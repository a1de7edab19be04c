package dataset_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

func Example() {
	show := func(ctx context.Context) error {
		set, err := dataset.Load(ctx, "testdata/tiny")
		if err != nil {
			return err // such as "outcomes.csv:17: field score: 1.2 is outside [0,1]"
		}
		c := set.Coverage()
		fmt.Printf("%s: %d models, %d of %d queries complete\n", set.Name, len(set.Models), c.Complete, c.Queries)
		return nil
	}
	if err := show(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: tiny: 3 models, 2 of 5 queries complete
}

func ExampleLoad() {
	set, err := dataset.Load(context.Background(), "testdata/tiny")
	if err != nil {
		log.Fatal(err)
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
		fmt.Println(dataset.SplitOf(prompt))
	}
	// Output:
	// train
	// test
	// test
}

func ExampleFold() {
	for _, prompt := range []string{"What is 2 + 3?", "Name 1 rivers.", "Name 2 rivers."} {
		fmt.Println(dataset.Fold(prompt, 5))
	}
	// Output:
	// 1
	// 3
	// 4
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
	//   pool  observed  coverage   score  output tokens   cost/query  model
	//    yes         5    100.0%  0.9500            9.6    $0.000103  acme-large
	//    yes         3     60.0%  0.3333           34.0   $0.0000150  acme-small
	//     no         1     20.0%  0.0000              -  $0.00000200  old, "quoted" model (no price)
	//
	// equal prompts: 2 queries in 1 group
	//   sum/1, sum/3
	// suspicious rows:
	//   1 outcome with zero output tokens: word/2 acme-large
	//   2 outcomes with score 1 and no answer: word/2 acme-large, sum/3 acme-large
	//   1 answer with both score 0 and score 1 on one query: sum/2
	//   1 outcome with a score and neither tokens nor cost: word/2 acme-small
}

func ExampleSet_Coverage() {
	set, err := dataset.Load(context.Background(), "testdata/tiny")
	if err != nil {
		log.Fatal(err)
	}
	c := set.Coverage()
	fmt.Println(c.Complete, "of", c.Queries, "queries are complete")
	fmt.Println("models without costs:", c.Uncosted)
	// Output:
	// 2 of 5 queries are complete
	// models without costs: []
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

// A set that is built by hand, and written as a data folder.
func ExampleSet_WriteDir() {
	const n, m = 2, 1
	set := &dataset.Set{
		Queries: []dataset.Query{{ID: "1", Prompt: "Why?"}, {ID: "2", Prompt: "How?"}},
		Models:  []dataset.Model{{Name: "acme-large", InputUSDPerMillion: 2, OutputUSDPerMillion: 8, Pool: true}},
		Score:   dataset.NewMatrix(n, m), InputTokens: dataset.NewMatrix(n, m), OutputTokens: dataset.NewMatrix(n, m),
	}
	set.Score.Set(0, 0, 1)
	set.InputTokens.Set(0, 0, 5)
	set.OutputTokens.Set(0, 0, 120) // the second query was not answered

	parent, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "why")
	if err := set.WriteDir(dir); err != nil {
		log.Fatal(err)
	}
	back, err := dataset.Load(context.Background(), dir)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(back.Name, back.Score.Data)
	// Output: why [1 NaN]
}

// A Writer writes rows as they come, so that they need not fit into memory.
func ExampleWriter() {
	parent, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "set")
	w, err := dataset.NewWriter(dir, dataset.WriteOptions{Columns: []string{dataset.ColumnCostUSD}})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()

	if err := w.Query(dataset.Query{ID: "1", Source: "why", Prompt: "Why?"}); err != nil {
		log.Fatal(err)
	}
	o := dataset.NewOutcome("1", "acme-large")
	o.Score, o.CostUSD = 1, 0.002
	if err := w.Outcome(o); err != nil {
		log.Fatal(err)
	}
	if err := w.Commit([]dataset.Model{{Name: "acme-large", Pool: true}}); err != nil {
		log.Fatal(err)
	}
	problems, err := dataset.Check(context.Background(), dir, 0)
	fmt.Println(w.Queries(), "query,", len(problems), "problems,", err)
	// Output: 1 query, 0 problems, <nil>
}

func ExampleReadOutcomes() {
	const file = "id,model,score,input_tokens,output_tokens\n1,acme-large,1,5,120\n1,acme-small,,5,\n"
	err := dataset.ReadOutcomes(strings.NewReader(file), "outcomes.csv", func(line int, o dataset.Outcome) error {
		fmt.Println(line, o.Model, o.Score, o.OutputTokens)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// 2 acme-large 1 120
	// 3 acme-small NaN NaN
}

func ExampleReadQueries() {
	const file = `{"id":"1","prompt":"Why?"}` + "\n" + `{"id":"2","prompt":""}` + "\n"
	err := dataset.ReadQueries(strings.NewReader(file), "queries.jsonl", func(line int, q dataset.Query) error {
		fmt.Println(line, q.ID, q.Split, q.Prompt)
		return nil
	})
	fmt.Println(err)
	// Output:
	// 1 1 test Why?
	// queries.jsonl:2: field prompt: is missing or empty
}

func ExampleReadAnswers() {
	const file = "id,model,answer\n1,acme-large,5f3a\n1,acme-small,5f3a\n"
	err := dataset.ReadAnswers(strings.NewReader(file), "answers.csv", func(_ int, a dataset.Answer) error {
		fmt.Println(a.ID, a.Model, a.Hash)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 acme-large 5f3a
	// 1 acme-small 5f3a
}

func ExampleParseValue() {
	fmt.Println(dataset.ParseValue("score", "0.5"))
	fmt.Println(dataset.ParseValue("score", ""))
	_, err := dataset.ParseValue("output_tokens", "-1")
	fmt.Println(err)
	// Output:
	// 0.5 <nil>
	// NaN <nil>
	// field output_tokens: -1 is negative
}

func ExampleOutcome_Validate() {
	o := dataset.NewOutcome("1", "acme-large")
	fmt.Println(o.Validate())
	o.Score = 1.2
	fmt.Println(o.Validate())
	// Output:
	// <nil>
	// field score: 1.2 is outside [0,1]
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
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS("testdata/tiny")); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "answers.csv"), []byte("id,model,answer\nsum/9,acme-large,5\n"), 0o644); err != nil {
		log.Fatal(err)
	}
	problems, err := dataset.Check(context.Background(), dir, 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range problems {
		fmt.Println(filepath.Base(p.File), p.Line, p.Field, p.Reason)
		fmt.Println("hint:", p.Hint)
	}
	// Output:
	// answers.csv 2 id "sum/9" is not in queries.jsonl
	// hint: add the query, or remove its outcomes
}
