package predict_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/predict"
)

// Two models on invented queries: both can add, only the large one can prove.
func Example() {
	data := predict.Data{Models: []string{"small", "large"}}
	for i := range 40 {
		sum, proof := query(0, i), query(1, i)
		data.X = append(data.X, sum, proof)
		data.Score = append(data.Score, 1, 1, 0, 1) // small and large on the sum, then on the proof
		data.OutputTokens = append(data.OutputTokens, 10, 30, 200, 600)
	}

	p := predict.New(predict.Spec{Name: "blend"})
	if err := p.Fit(context.Background(), data, nil); err != nil {
		fmt.Println(err)
		return
	}
	queries := []carrot.Representation{query(0, 100), query(1, 100)}
	predictions := make([]carrot.Prediction, len(queries))
	if err := p.Predict(queries, predictions); err != nil {
		fmt.Println(err)
		return
	}

	for i, kind := range []string{"sum", "proof"} {
		for m, f := range predictions[i].Forecasts {
			fmt.Printf("%-5s %s: quality %.1f, %3.0f tokens\n", kind, p.Models()[m], f.Quality, f.OutputTokens)
		}
	}
	// Output:
	// sum   small: quality 1.0,  10 tokens
	// sum   large: quality 1.0,  29 tokens
	// proof small: quality 0.0, 200 tokens
	// proof large: quality 1.0, 600 tokens
}

func ExampleParseSpec() {
	spec, err := predict.ParseSpec("knn:k=128:k-tokens=64")
	fmt.Println(spec.Name, spec.K, spec.KTokens, err)
	_, err = predict.ParseSpec("knn:gamma=1")
	fmt.Println(err)
	// Output:
	// knn 128 64 <nil>
	// predictor "knn:gamma=1": unknown hyperparameter "gamma": want caution, k, k-tokens
}

// The file is complete with what the metadata say of it.
func ExamplePredictor_Write() {
	data := predict.Data{Models: []string{"small", "large"}, X: []carrot.Representation{query(0, 1), query(1, 2)},
		Score: []float64{1, 1, 0, 1}, OutputTokens: []float64{10, 30, 200, 600}}
	p := predict.New(predict.Spec{Name: "mean"})
	if err := p.Fit(context.Background(), data, nil); err != nil {
		fmt.Println(err)
		return
	}
	var out bytes.Buffer
	if err := p.Write(&out, map[string]string{"predictor": p.Spec().Name, "models": strings.Join(p.Models(), ",")}); err != nil {
		fmt.Println(err)
		return
	}

	file, err := predict.Parse(out.Bytes())
	if err != nil {
		fmt.Println(err)
		return
	}
	about := file.Metadata()
	q, err := file.Predictor(predict.Spec{Name: about["predictor"]}, strings.Split(about["models"], ","), 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(q.Models())
	// Output: [small large]
}

// query stands in for an embedder: a unit vector that points to the subject, and
// the hashes of two words of the subject and of one other.
func query(subject, i int) carrot.Representation {
	dense := []float32{1, 0}
	if subject == 1 {
		dense = []float32{0, 1}
	}
	first := uint32(100 * (subject + 1))
	return carrot.Representation{Dense: dense, Sparse: carrot.Sparse{
		Index: []uint32{first, first + 1, 1000 + uint32(i%7)}, Value: []float32{1, 1, 1}}}
}
