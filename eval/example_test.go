package eval_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

// A router of one's own, which looks at the length of a prompt, is measured beside
// a predictor of this module. In these outcomes the words of a prompt matter more
// than its length.
func Example() {
	ctx, outcomes := context.Background(), invented()
	static, err := embed.Default()
	if err != nil {
		log.Fatal(err)
	}
	report, err := eval.Run(ctx, outcomes, eval.Options{
		Embedder: static,
		Folds:    5,
		Contenders: []eval.Contender{
			{Name: "by length", Fit: fitByLength},
			eval.Predictor("knn", predict.Spec{Name: "knn", K: 8}),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, router := range report.Routers {
		fmt.Printf("%-11s  AIQ %v  peak %v\n", router.Name, router.AIQ, router.Peak)
	}
	// Output:
	// by length    AIQ 0.8536  peak 1.0000
	// knn          AIQ 0.9403  peak 1.0000
	// mean         AIQ 0.8325  peak 1.0000
	// best-single  AIQ none  peak 1.0000
	// zero-router  AIQ 0.8325  peak 1.0000
	// oracle       AIQ 0.9439  peak 1.0000
}

// fitByLength learns how well each model answers short and long prompts.
func fitByLength(_ context.Context, t *table.Table, rows []int, _ func(string)) (carrot.Predictor, error) {
	p := &byLength{models: t.ModelNames(), score: make([][2]float64, len(t.Candidates))}
	var seen [2]float64
	for _, i := range rows {
		kind := p.kind(&t.X[i])
		seen[kind]++
		for m := range p.models {
			p.score[m][kind] += (t.Set.Score.At(i, m) - p.score[m][kind]) / seen[kind]
		}
	}
	return p, nil
}

// byLength implements carrot.Predictor.
type byLength struct {
	models []string
	score  [][2]float64 // of each model, on short and on long prompts
}

func (p *byLength) Models() []string { return p.models }

// kind is 0 for a prompt with few distinct words and pairs of words, and 1 for
// others.
func (p *byLength) kind(x *carrot.Representation) int {
	if len(x.Sparse.Index) < 20 {
		return 0
	}
	return 1
}

func (p *byLength) Predict(x []carrot.Representation, dst []carrot.Prediction) error {
	for i := range x {
		dst[i].Forecasts = make([]carrot.Forecast, len(p.models))
		for m := range p.models {
			dst[i].Forecasts[m] = carrot.Forecast{Quality: p.score[m][p.kind(&x[i])], OutputTokens: 100}
		}
	}
	return nil
}

// invented returns the outcomes of two models. The small one can add any number of
// numbers, but cannot prove anything.
func invented() *dataset.Set {
	s := &dataset.Set{Name: "invented", Models: []dataset.Model{
		{Name: "small", InputUSDPerMillion: 0.1, OutputUSDPerMillion: 0.4, Pool: true},
		{Name: "large", InputUSDPerMillion: 2.5, OutputUSDPerMillion: 10, Pool: true},
	}}
	const n = 200
	s.Score, s.InputTokens, s.OutputTokens = dataset.NewMatrix(n, 2), dataset.NewMatrix(n, 2), dataset.NewMatrix(n, 2)
	for i := range n {
		var numbers []string
		for k := range 2 + i%5*4 {
			numbers = append(numbers, fmt.Sprint(i*(k+3)))
		}
		source, prompt, score := "sums", "What is "+strings.Join(numbers, " + ")+"?", []float64{1, 1}
		if i%3 == 0 {
			source, prompt, score = "proofs", "Prove that none of "+strings.Join(numbers, ", ")+" is a square.", []float64{0, 1}
		}
		s.Queries = append(s.Queries, dataset.Query{ID: fmt.Sprint(i), Split: dataset.SplitTrain, Source: source, Prompt: prompt})
		for m := range s.Models {
			s.Score.Set(i, m, score[m])
			s.InputTokens.Set(i, m, 12)
			s.OutputTokens.Set(i, m, 100)
		}
	}
	s.Fingerprint = s.ComputeFingerprint()
	return s
}

// Another program fits its router on the folds that eval measures on, and writes what
// the router predicts. Here both are one program, and the router knows how well each
// model does on prompts that begin with the same word.
func ExampleExternal() {
	ctx, outcomes := context.Background(), invented()
	folds, err := eval.Folds(outcomes, eval.Options{Folds: 5})
	if err != nil {
		log.Fatal(err)
	}
	rows, word := map[string]int{}, map[string]string{} // of each query
	for i, q := range outcomes.Queries {
		rows[q.ID] = i
		word[q.ID], _, _ = strings.Cut(q.Prompt, " ")
	}
	var predictions bytes.Buffer
	for _, held := range folds {
		type candidate struct {
			Name         string  `json:"name"`
			Quality      float64 `json:"quality"`
			OutputTokens float64 `json:"output_tokens"`
		}
		candidates := make([]candidate, len(outcomes.Models))
		for m, model := range outcomes.Models {
			c, seen := candidate{Name: model.Name}, 0.0
			for _, other := range folds {
				if i := rows[other.ID]; other.Fold != held.Fold && word[other.ID] == word[held.ID] {
					seen++
					c.Quality += (outcomes.Score.At(i, m) - c.Quality) / seen
					c.OutputTokens += (outcomes.OutputTokens.At(i, m) - c.OutputTokens) / seen
				}
			}
			candidates[m] = c
		}
		if err := json.NewEncoder(&predictions).Encode(map[string]any{"id": held.ID, "candidates": candidates}); err != nil {
			log.Fatal(err)
		}
	}
	mine, err := eval.External("by first word", &predictions, "predictions.jsonl")
	if err != nil {
		log.Fatal(err)
	}
	static, err := embed.Default()
	if err != nil {
		log.Fatal(err)
	}
	report, err := eval.Run(ctx, outcomes, eval.Options{Embedder: static, Folds: 5, Contenders: []eval.Contender{mine}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: AIQ %v\n%s\n", report.Routers[0].Name, report.Routers[0].AIQ, report.Notes[0])
	// Output:
	// by first word: AIQ 0.9439
	// by first word is external: its predictions are read from predictions.jsonl, and that it was fitted outside the folds (carrot data folds writes them) cannot be checked
}

// Rivals are contenders with names of their own.
func ExampleRivals() {
	rivals, err := eval.Rivals("cheapest,routerbench-knn,cascade=0.8", 1)
	if err != nil {
		log.Fatal(err)
	}
	for _, rival := range rivals {
		fmt.Println(rival.Name)
	}
	_, err = eval.Rivals("nobody", 1)
	fmt.Println(strings.HasPrefix(err.Error(), `unknown rival "nobody"`))
	// Output:
	// cheapest
	// routerbench-knn
	// cascade:accuracy=0.8
	// true
}
