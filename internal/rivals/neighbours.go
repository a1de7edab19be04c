package rivals

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/nearest"
	"github.com/carrot-router/carrot/internal/parallel"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// memory holds the training queries' unit vectors for exact search by cosine.
type memory struct{ X blas32.General }

// similarities writes x's similarity to every row.
func (m *memory) similarities(x []float32, w *workspace) {
	w.similarity = slices.Grow(w.similarity[:0], m.X.Rows)[:m.X.Rows]
	if m.X.Cols == 0 {
		clear(w.similarity)
		return
	}
	blas32.Gemv(blas.NoTrans, 1, m.X, blas32.Vector{N: m.X.Cols, Inc: 1, Data: x}, 0,
		blas32.Vector{N: m.X.Rows, Inc: 1, Data: w.similarity})
}

// near returns the k nearest rows, nearest first; ties go to the earlier row.
func (m *memory) near(x []float32, k int, w *workspace) []int32 {
	m.similarities(x, w)
	w.near.Reset(min(k, m.X.Rows))
	for i, s := range w.similarity {
		w.near.Offer(s, int32(i))
	}
	return w.near.Sorted()
}

// average returns the mean of each column over the given rows of a table, or the
// fallback if the column is observed on none of them.
func average(table []float64, models int, rows []int32, fallback []float64, w *workspace) []float64 {
	w.sum = slices.Grow(w.sum[:0], models)[:models]
	w.count = slices.Grow(w.count[:0], models)[:models]
	clear(w.sum)
	clear(w.count)
	for _, i := range rows {
		for j, v := range table[int(i)*models:][:models] {
			if !math.IsNaN(v) {
				w.sum[j], w.count[j] = w.sum[j]+v, w.count[j]+1
			}
		}
	}
	for j := range w.sum {
		if w.count[j] > 0 {
			w.sum[j] /= w.count[j]
		} else {
			w.sum[j] = fallback[j]
		}
	}
	return w.sum
}

// carrotKNN is the paper's CARROT-KNN as in its code: scikit-learn's
// KNeighborsRegressor with cosine distance and uniform weights, one k for the
// scores and one for the output tokens. Each k that is zero is chosen: the
// smallest of 2^1 to 2^9 with the highest mean R² over five folds of consecutive
// rows, not shuffled. Tokens are averaged without a logarithm (costs, if no
// tokens were recorded).
type carrotKNN struct {
	K, KVolume            int
	Memory                memory
	Score, Volume         []float64 // n×M
	MeanScore, MeanVolume []float64
	Costs                 bool // Volume is in USD
}

func (c *carrotKNN) String() string { return fmt.Sprintf("k=%d:k-tokens=%d", c.K, c.KVolume) }

func (c *carrotKNN) fit(ctx context.Context, d *Data) error {
	c.Memory, c.Score, c.MeanScore = memory{d.dense}, d.Score, d.meanScore
	c.Volume, c.MeanVolume = d.OutputTokens, d.meanTokens
	c.Costs = d.forecastsCosts()
	if c.Costs {
		c.Volume, c.MeanVolume = d.CostUSD, d.meanCost
	}
	if c.K == 0 || c.KVolume == 0 {
		near := unshuffledNeighbours(d)
		c.K = bestK(near, c.Score, len(d.Models))
		c.KVolume = bestK(near, c.Volume, len(d.Models))
	}
	return ctx.Err()
}

func (c *carrotKNN) forecast(x *carrot.Representation, w *workspace, out []carrot.Forecast) bool {
	rows := c.Memory.near(x.Dense, max(c.K, c.KVolume), w)
	for j, q := range average(c.Score, len(out), rows[:min(c.K, len(rows))], c.MeanScore, w) {
		out[j].Quality = q
	}
	for j, v := range average(c.Volume, len(out), rows[:min(c.KVolume, len(rows))], c.MeanVolume, w) {
		if c.Costs {
			out[j] = static(out[j].Quality, v)
		} else {
			out[j].OutputTokens, out[j].OutputTokensP90 = v, v
		}
	}
	return false
}

// unshuffledFolds is the number of folds of scikit-learn's default
// cross-validation for a regressor: runs of consecutive rows, of which the first
// ones may be longer by one.
const unshuffledFolds = 5

func unshuffledFold(i, n int) int {
	long := n % unshuffledFolds // folds with one row more
	size := n / unshuffledFolds
	if i < long*(size+1) {
		return i / (size + 1)
	}
	return long + (i-long*(size+1))/size
}

// unshuffledNeighbours lists, for every row, the nearest rows of other folds.
func unshuffledNeighbours(d *Data) [][]int32 {
	n, most := len(d.X), 1<<9
	near := make([][]int32, n)
	m := memory{d.dense}
	parallel.Ranges(n, func(lo, hi int) {
		var w workspace
		var h nearest.Heap
		for i := lo; i < hi; i++ {
			m.similarities(d.X[i].Dense, &w)
			h.Reset(most)
			for r, s := range w.similarity {
				if unshuffledFold(r, n) != unshuffledFold(i, n) {
					h.Offer(s, int32(r))
				}
			}
			near[i] = slices.Clone(h.Sorted())
		}
	})
	return near
}

// bestK is the first of 2, 4, …, 512 with the highest R², averaged over models
// and folds. Each fold's variance is taken about its own mean.
func bestK(near [][]int32, table []float64, models int) int {
	n := len(near)
	best, chosen := math.Inf(-1), 2
	predicted := make([]float64, len(table))
	for k := 2; k <= 1<<9; k *= 2 {
		if k > n-(n+unshuffledFolds-1)/unshuffledFolds {
			break // a fold trains on fewer rows than k
		}
		parallel.Ranges(n, func(lo, hi int) {
			var w workspace
			fallback := make([]float64, models)
			for j := range fallback {
				fallback[j] = math.NaN()
			}
			for i := lo; i < hi; i++ {
				copy(predicted[i*models:], average(table, models, near[i][:min(k, len(near[i]))], fallback, &w))
			}
		})
		var total float64
		for f := range unshuffledFolds {
			for j := range models {
				total += foldR2(predicted, table, models, j, func(i int) bool { return unshuffledFold(i, n) == f })
			}
		}
		if total > best {
			best, chosen = total, k
		}
	}
	return chosen
}

// foldR2 is R² of column j on the rows that in picks, 0 where it is undefined.
func foldR2(predicted, table []float64, models, j int, in func(i int) bool) float64 {
	var residual, sum, squares, count float64
	for i := range len(table) / models {
		y, p := table[i*models+j], predicted[i*models+j]
		if !in(i) || math.IsNaN(y) || math.IsNaN(p) {
			continue
		}
		residual += (y - p) * (y - p)
		sum, squares, count = sum+y, squares+y*y, count+1
	}
	if spread := squares - sum*sum/count; spread > 0 {
		return 1 - residual/spread
	}
	return 0
}

// BenchKNN is RouterBench's nearest-neighbour router: the mean score of the k
// nearest queries, with a fixed cost for each model.
type BenchKNN struct {
	K                     int
	Memory                memory
	Score                 []float64
	MeanScore, StaticCost []float64
}

func benchNeighbours(int) []model {
	var out []model
	for _, k := range []int{50, 5, 10, 40, 100, 200, 400} { // 50: the class's default; 5, 10, 40: the paper's
		out = append(out, &BenchKNN{K: k})
	}
	return out
}

func (b *BenchKNN) String() string { return fmt.Sprintf("k=%d", b.K) }

func (b *BenchKNN) fit(_ context.Context, d *Data) error {
	b.Memory, b.Score, b.MeanScore, b.StaticCost = memory{d.dense}, d.Score, d.meanScore, d.meanCost
	return nil
}

func (b *BenchKNN) forecast(x *carrot.Representation, w *workspace, out []carrot.Forecast) bool {
	for j, q := range average(b.Score, len(out), b.Memory.near(x.Dense, b.K, w), b.MeanScore, w) {
		out[j] = static(q, b.StaticCost[j])
	}
	return false
}

// abstainer is otari's router: the mean score of the k nearest queries, unless
// the model that is best on average was the best on too small a share of them,
// the Floor. Then it falls back to each model's mean over all queries, so that
// the best of these is the default.
type abstainer struct {
	BenchKNN
	Floor float64
}

func abstainers(int) []model {
	var out []model
	for _, s := range []struct {
		k     int
		floor float64
	}{{5, 0}, {5, 0.4}, {20, 0.2}, {20, 0.4}, {80, 0}, {80, 0.2}, {80, 0.3}, {200, 0.2}} {
		out = append(out, &abstainer{BenchKNN{K: s.k}, s.floor})
	}
	return out
}

func (a *abstainer) String() string { return fmt.Sprintf("k=%d:floor=%g", a.K, a.Floor) }

func (a *abstainer) forecast(x *carrot.Representation, w *workspace, out []carrot.Forecast) bool {
	rows := a.Memory.near(x.Dense, a.K, w)
	scores := average(a.Score, len(out), rows, a.MeanScore, w)
	winner := first(scores)
	agree := 0
	for _, i := range rows {
		if first(a.Score[int(i)*len(out):][:len(out)]) == winner {
			agree++
		}
	}
	abstained := float64(agree) < a.Floor*float64(len(rows))
	if abstained {
		scores = a.MeanScore
	}
	for j, q := range scores {
		out[j] = static(q, a.StaticCost[j])
	}
	return abstained
}

// first is the index of the first largest number.
func first(v []float64) int {
	at := -1
	for j, x := range v {
		if !math.IsNaN(x) && (at < 0 || x > v[at]) {
			at = j
		}
	}
	return at
}
