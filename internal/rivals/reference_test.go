package rivals

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/carrot-router/carrot"
	"gonum.org/v1/gonum/blas/blas32"
)

// reference is the content of testdata/sklearn_reference.json.
type reference struct {
	Train         int         `json:"train"`
	X             [][]float32 `json:"x"`
	Score, Tokens [][]float64
	K             int         `json:"k"`
	KTokens       int         `json:"k_tokens"`
	KNN           [][]float64 `json:"knn"`
	KNNTokens     [][]float64 `json:"knn_tokens"`
	Coarse        [][]float32 `json:"coarse"`
	Label         []uint8Text `json:"label"`
	Depth, Leaf   int
	Tree          [][]float64
	C             float64
	Best          []int
	Logistic      [][]float64
	Centers       [][]float64
	Labels        []int
}

// uint8Text is a uint8 whose slices encoding/json does not take for base64.
type uint8Text uint8

func readReference(t *testing.T) reference {
	t.Helper()
	text, err := os.ReadFile("testdata/sklearn_reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// data returns the problem of the reference.
func (r *reference) data(t *testing.T) *Data {
	t.Helper()
	d := &Data{Models: []string{"a", "b", "c"}}
	for i := range r.Train {
		d.X = append(d.X, carrot.Representation{Dense: r.X[i]})
		d.Score, d.OutputTokens = append(d.Score, r.Score[i]...), append(d.OutputTokens, r.Tokens[i]...)
		d.CostUSD = append(d.CostUSD, r.Tokens[i]...)
	}
	if err := d.prepare(); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestScikitLearnKNN: the same k by unshuffled folds, and the same means of
// neighbours.
func TestScikitLearnKNN(t *testing.T) {
	r := readReference(t)
	var c carrotKNN
	if err := c.fit(t.Context(), r.data(t)); err != nil {
		t.Fatal(err)
	}
	if c.K != r.K || c.KVolume != r.KTokens {
		t.Errorf("k %d and %d, scikit-learn chooses %d and %d", c.K, c.KVolume, r.K, r.KTokens)
	}
	out := make([]carrot.Forecast, 3)
	for i, want := range r.KNN {
		c.forecast(&carrot.Representation{Dense: r.X[r.Train+i]}, &workspace{}, out)
		for m := range out {
			if math.Abs(out[m].Quality-want[m]) > 1e-8 || math.Abs(out[m].OutputTokens-r.KNNTokens[i][m]) > 1e-6 {
				t.Errorf("query %d, model %d: %v and %v tokens, scikit-learn %v and %v", i, m, out[m].Quality, out[m].OutputTokens, want[m], r.KNNTokens[i][m])
			}
		}
	}
}

// TestScikitLearnTree: the same splits, as the chances of each class show.
func TestScikitLearnTree(t *testing.T) {
	r := readReference(t)
	dim := len(r.Coarse[0])
	x := blas32.General{Rows: r.Train, Cols: dim, Stride: dim}
	var rows []int32
	class := make([]uint8, r.Train)
	for i := range r.Train {
		x.Data, rows, class[i] = append(x.Data, r.Coarse[i]...), append(rows, int32(i)), uint8(r.Label[i])
	}
	for c := range 3 {
		worth := make([]float32, 3)
		worth[c] = 1
		how := growing{depth: r.Depth, leaf: r.Leaf, classes: 3}
		f := growForest(newBins(x), slices.Clone(rows), class, worth, how, 2, false, 0)
		for i, want := range r.Tree {
			if got := f.value(r.Coarse[r.Train+i]); math.Abs(got-want[c]) > 1e-6 {
				t.Errorf("query %d: chance %v of class %d, scikit-learn %v", i, got, c, want[c])
			}
		}
	}
}

// TestScikitLearnLogistic: the same probabilities.
func TestScikitLearnLogistic(t *testing.T) {
	r := readReference(t)
	var x, y []float64
	for i := range r.Train {
		for _, v := range r.X[i] {
			x = append(x, float64(v))
		}
		row := make([]float64, 3)
		row[r.Best[i]] = 1
		y = append(y, row...)
	}
	w, err := fitLogistic(t.Context(), x, y, r.Train, len(r.X[0]), 3, r.C)
	if err != nil {
		t.Fatal(err)
	}
	c := &classifier{W: w, Cost: make([]float64, 3)}
	out := make([]carrot.Forecast, 3)
	for i, want := range r.Logistic {
		c.forecast(&carrot.Representation{Dense: r.X[r.Train+i]}, &workspace{}, out)
		for m := range out {
			if math.Abs(out[m].Quality-want[m]) > 1e-4 {
				t.Errorf("query %d: probability %v of class %d, scikit-learn %v", i, out[m].Quality, m, want[m])
			}
		}
	}
}

// TestScikitLearnKMeans: from the same centres, the same clusters.
func TestScikitLearnKMeans(t *testing.T) {
	r := readReference(t)
	d := r.data(t)
	k := len(r.Centers)
	c := clusters{general(k, d.dense.Cols, slices.Clone(d.dense.Data[:k*d.dense.Cols]))}
	label, distance := make([]int, r.Train), make([]float64, r.Train)
	for i := range label {
		label[i] = -1
	}
	for c.assign(d.dense, label, distance) > 0 {
		c.move(d.dense, label)
	}
	if !slices.Equal(label, r.Labels) {
		t.Errorf("clusters %v, scikit-learn %v", label, r.Labels)
	}
	for j, center := range r.Centers {
		for f, want := range center {
			if got := float64(c.Center.Data[j*d.dense.Cols+f]); math.Abs(got-want) > 1e-6 {
				t.Errorf("centre %d, feature %d: %v, scikit-learn %v", j, f, got, want)
			}
		}
	}
}
