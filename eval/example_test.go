package eval_test

import (
	"context"
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
	// knn          AIQ 0.9402  peak 1.0000
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
