package rivals

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/parallel"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// clusters are the centres of K-means.
type clusters struct{ Center blas32.General } // K×d

// kMeans runs Lloyd's algorithm from k-means++ seeds until no query changes its
// cluster, or for the given number of rounds. It returns the best of several
// starts, by the sum of squared distances. An empty cluster keeps its centre.
func kMeans(ctx context.Context, x blas32.General, k, rounds, starts int, seed uint64) (clusters, error) {
	var best clusters
	least := math.Inf(1)
	k = min(k, x.Rows)
	for s := range starts {
		random := rand.New(rand.NewPCG(seed, uint64(s)))
		c := seeds(x, k, random)
		label, distance := make([]int, x.Rows), make([]float64, x.Rows)
		for i := range label {
			label[i] = -1
		}
		for range rounds {
			changed := c.assign(x, label, distance)
			if err := ctx.Err(); err != nil {
				return best, err
			}
			if changed == 0 {
				break
			}
			c.move(x, label)
		}
		var sum float64
		for _, v := range distance {
			sum += v
		}
		if sum < least {
			best, least = c, sum
		}
	}
	return best, nil
}

// seeds draws centres by k-means++: each with probability proportional to the
// squared distance from those drawn before.
func seeds(x blas32.General, k int, random *rand.Rand) clusters {
	c := clusters{general(k, x.Cols, make([]float32, k*x.Cols))}
	distance := make([]float64, x.Rows)
	for i := range distance {
		distance[i] = math.Inf(1)
	}
	at := random.IntN(x.Rows)
	for j := range k {
		copy(c.Center.Data[j*x.Cols:][:x.Cols], x.Data[at*x.Stride:][:x.Cols])
		var total float64
		for i := range distance {
			distance[i] = min(distance[i], squared(x.Data[i*x.Stride:][:x.Cols], c.Center.Data[j*x.Cols:][:x.Cols]))
			total += distance[i]
		}
		target := random.Float64() * total
		at = 0
		for i, v := range distance {
			if target -= v; target < 0 {
				at = i
				break
			}
		}
	}
	return c
}

func squared(a, b []float32) float64 {
	var sum float32
	for i, v := range a {
		sum += (v - b[i]) * (v - b[i])
	}
	return float64(sum)
}

// assign puts every row into the cluster of the nearest centre and returns how
// many rows moved. Ties go to the first centre.
func (c *clusters) assign(x blas32.General, label []int, distance []float64) int {
	const chunk = 256
	chunks := (x.Rows + chunk - 1) / chunk
	moved := make([]int, chunks)
	norms := c.norms()
	parallel.Ranges(chunks, func(lo, hi int) {
		dots := make([]float32, chunk*c.Center.Rows)
		for b := lo; b < hi; b++ {
			from, to := b*chunk, min((b+1)*chunk, x.Rows)
			rows := blas32.General{Rows: to - from, Cols: x.Cols, Stride: x.Stride, Data: x.Data[from*x.Stride:]}
			blas32.Gemm(blas.NoTrans, blas.Trans, 1, rows, c.Center, 0, general(to-from, c.Center.Rows, dots))
			for i := from; i < to; i++ {
				at, least := 0, float32(math.Inf(1))
				for j, dot := range dots[(i-from)*c.Center.Rows:][:c.Center.Rows] {
					if v := norms[j] - 2*dot; v < least {
						at, least = j, v
					}
				}
				if at != label[i] {
					moved[b]++
					label[i] = at
				}
				distance[i] = squared(x.Data[i*x.Stride:][:x.Cols], c.Center.Data[at*c.Center.Stride:][:x.Cols])
			}
		}
	})
	total := 0
	for _, m := range moved {
		total += m
	}
	return total
}

// norms are the squared lengths of the centres.
func (c *clusters) norms() []float32 {
	out := make([]float32, c.Center.Rows)
	for j := range out {
		row := blas32.Vector{N: c.Center.Cols, Inc: 1, Data: c.Center.Data[j*c.Center.Stride:]}
		out[j] = blas32.Dot(row, row)
	}
	return out
}

// distances writes the squared distance of x to every centre.
func (c *clusters) distances(x []float32, w *workspace) []float32 {
	k := c.Center.Rows
	w.a = slices.Grow(w.a[:0], k)[:k]
	for j := range k {
		w.a[j] = float32(squared(x, c.Center.Data[j*c.Center.Stride:][:len(x)]))
	}
	return w.a
}

// move puts every centre at the mean of its rows.
func (c *clusters) move(x blas32.General, label []int) {
	count := make([]float64, c.Center.Rows)
	sum := make([]float64, c.Center.Rows*x.Cols)
	for i, l := range label {
		count[l]++
		for k, v := range x.Data[i*x.Stride:][:x.Cols] {
			sum[l*x.Cols+k] += float64(v)
		}
	}
	for j, n := range count {
		if n == 0 {
			continue
		}
		for k := range x.Cols {
			c.Center.Data[j*c.Center.Stride+k] = float32(sum[j*x.Cols+k] / n)
		}
	}
}

// nearest lists the k nearest centres, nearest first.
func (c *clusters) nearest(x []float32, k int, w *workspace) []int32 {
	w.near.Reset(min(k, c.Center.Rows))
	for j, d := range c.distances(x, w) {
		w.near.Offer(-d, int32(j))
	}
	return w.near.Sorted()
}

// clusterMeans returns the mean of a table's rows in every cluster, K×M; where
// a model has no outcome in a cluster, its mean over all.
func (c *clusters) clusterMeans(x blas32.General, table []float64, fallback []float64) []float64 {
	m, k := len(fallback), c.Center.Rows
	label := make([]int, x.Rows)
	c.assign(x, label, make([]float64, x.Rows))
	sum, count := make([]float64, k*m), make([]float64, k*m)
	for i, l := range label {
		for j, v := range table[i*m:][:m] {
			if !math.IsNaN(v) {
				sum[l*m+j], count[l*m+j] = sum[l*m+j]+v, count[l*m+j]+1
			}
		}
	}
	for at := range sum {
		if count[at] > 0 {
			sum[at] /= count[at]
		} else {
			sum[at] = fallback[at%m]
		}
	}
	return sum
}

const (
	kMeansRounds = 30
	kMeansStarts = 2
)

// uniRoute is UniRoute with K-means: the score of a model is its mean score in
// the query's cluster, its cost is fixed. The clusters do not depend on the
// models, so that a model added later needs only a few hundred outcomes of its
// own.
type uniRoute struct {
	K        int
	Clusters clusters
	Score    []float64 // K×M
	Cost     []float64
}

func uniRoutes(int) []model {
	var out []model
	for _, k := range []int{32, 5, 10, 20, 50, 100, 200, 300} {
		out = append(out, &uniRoute{K: k})
	}
	return out
}

func (u *uniRoute) String() string { return fmt.Sprintf("clusters=%d", u.K) }

func (u *uniRoute) fit(ctx context.Context, d *Data) (err error) {
	if u.Clusters, err = kMeans(ctx, d.dense, u.K, kMeansRounds, kMeansStarts, d.Seed); err != nil {
		return err
	}
	u.Score, u.Cost = u.Clusters.clusterMeans(d.dense, d.Score, d.meanScore), d.meanCost
	return nil
}

func (u *uniRoute) forecast(x *carrot.Representation, w *workspace, out []carrot.Forecast) bool {
	at := int(u.Clusters.nearest(x.Dense, 1, w)[0])
	for j := range out {
		out[j] = static(u.Score[at*len(out)+j], u.Cost[j])
	}
	return false
}

// avengersPro is Avengers-Pro: in every cluster, scores are normalised between
// the worst and the best model, and costs by the most expensive. A query sums
// α·score + (1-α)·(1-cost) over its nearest clusters, weighted by
// exp(-β·distance), which is linear in λ = (1-α)/α. This is the sum in their
// paper; the released code sums reciprocal ranks, which is not linear.
type avengersPro struct {
	K, Near     int
	Beta        float64
	Clusters    clusters
	Score, Cost []float64 // K×M, normalised
	Unit        float64   // USD of a normalised cost of 1
}

func avengers(int) []model {
	var out []model
	for _, s := range []avengersPro{{K: 60, Near: 4}, {K: 25, Near: 3}, {K: 32, Near: 1}, {K: 10, Near: 3}, {K: 20, Near: 8}, {K: 60, Near: 16}, {K: 120, Near: 8}, {K: 120, Near: 32}} {
		s.Beta = 9
		out = append(out, &s)
	}
	return out
}

func (a *avengersPro) String() string { return fmt.Sprintf("clusters=%d:nearest=%d", a.K, a.Near) }

func (a *avengersPro) fit(ctx context.Context, d *Data) (err error) {
	if a.Clusters, err = kMeans(ctx, d.dense, a.K, kMeansRounds, kMeansStarts, d.Seed); err != nil {
		return err
	}
	m := len(d.Models)
	a.Score, a.Cost = a.Clusters.clusterMeans(d.dense, d.Score, d.meanScore), a.Clusters.clusterMeans(d.dense, d.CostUSD, d.meanCost)
	for c := range a.Clusters.Center.Rows {
		score, cost := a.Score[c*m:][:m], a.Cost[c*m:][:m]
		low, high, most := slices.Min(score), slices.Max(score), slices.Max(cost)
		for j := range m {
			if score[j] = (score[j] - low) / (high - low); high == low {
				score[j] = 1
			}
			if most > 0 {
				cost[j] /= most
			}
		}
	}
	a.Unit = slices.Max(d.meanCost)
	return nil
}

func (a *avengersPro) forecast(x *carrot.Representation, w *workspace, out []carrot.Forecast) bool {
	m := len(out)
	var total float64
	w.sum = slices.Grow(w.sum[:0], 2*m)[:2*m]
	clear(w.sum)
	for _, c := range a.Clusters.nearest(x.Dense, a.Near, w) {
		center := a.Clusters.Center.Data[int(c)*a.Clusters.Center.Stride:][:len(x.Dense)]
		dot := blas32.Dot(blas32.Vector{N: len(x.Dense), Inc: 1, Data: x.Dense}, blas32.Vector{N: len(center), Inc: 1, Data: center})
		weight := math.Exp(-a.Beta * (1 - float64(dot)))
		total += weight
		for j := range m {
			w.sum[j] += weight * a.Score[int(c)*m+j]
			w.sum[m+j] += weight * a.Cost[int(c)*m+j]
		}
	}
	for j := range out {
		out[j] = static(w.sum[j]/total, a.Unit*w.sum[m+j]/total)
	}
	return false
}
