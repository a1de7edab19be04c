package predict

import (
	"context"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/nearest"
	"github.com/carrot-router/carrot/internal/parallel"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// maxK is the largest k tried; the paper's grid is 2^1 to 2^9.
const maxK = 512

// knn averages the outcomes of the nearest training queries by cosine, with
// uniform weights: the paper's CARROT-KNN (section 4). Each side has its own k,
// chosen by 5-fold R²; one k for both parts of a score is the paper's. Ties in
// similarity go to the earlier row. A model not observed among the neighbours
// gets its mean.
type knn struct {
	k       [3]int         // by side
	x       blas32.General // n×d
	target  []float32      // n×T, NaN not observed
	mean    []float64      // T
	targets int

	further bool  // see again
	sides   []int // of the targets, as those of a problem
}

func (l *knn) exact() bool      { return false }
func (l *knn) describe(s *Spec) { s.K, s.KTokens, s.KCommon = l.k[0], l.k[1], l.k[2] }

// tune picks k, for each side that has none, from the powers of two by the
// out-of-fold loss.
func (l *knn) tune(ctx context.Context, p *problem, fold []int) error {
	p.progress("choosing the settings of knn")
	if min(l.k[0], l.k[1], l.k[2]) > 0 {
		return nil
	}
	t := p.targets()
	best := [3]float64{math.Inf(1), math.Inf(1), math.Inf(1)}
	var chosen [3]int
	near := l.neighbourLists(p, fold, maxK)
	raw := make([]float64, p.n*t)
	for k := 2; k <= maxK && k < p.n; k *= 2 {
		l.average(p, near, [3]int{k, k, k}, fold, raw, nil)
		for side := range chosen {
			if loss := p.loss(raw, side, nil); loss < best[side] {
				best[side], chosen[side] = loss, k
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for side, k := range chosen {
		if l.k[side] == 0 {
			l.k[side] = max(k, 1)
		}
	}
	return nil
}

func (l *knn) crossfit(ctx context.Context, p *problem, part []int, parts int, _ bool) (raw, variance []float64, err error) {
	raw, variance = make([]float64, p.n*p.targets()), make([]float64, p.n*p.models)
	l.average(p, l.neighbourLists(p, part, slices.Max(l.k[:])), l.k, part, raw, variance)
	return raw, variance, ctx.Err()
}

// neighbourLists returns, for every row, the nearest k rows of other parts,
// nearest first.
func (l *knn) neighbourLists(p *problem, part []int, k int) [][]int32 {
	lists := make([][]int32, p.n)
	const chunk = 128
	d := p.dense.Cols
	parallel.Ranges((p.n+chunk-1)/chunk, func(lo, hi int) {
		sim := make([]float32, chunk*p.n)
		var near nearest.Heap
		for c := lo; c < hi; c++ {
			from, to := c*chunk, min((c+1)*chunk, p.n)
			rows := blas32.General{Rows: to - from, Cols: d, Stride: max(d, 1), Data: p.dense.Data[from*d : to*d]}
			out := blas32.General{Rows: to - from, Cols: p.n, Stride: p.n, Data: sim[:(to-from)*p.n]}
			blas32.Gemm(blas.NoTrans, blas.Trans, 1, rows, p.dense, 0, out)
			for i := from; i < to; i++ {
				near.Reset(k)
				for j, s := range out.Data[(i-from)*p.n:][:p.n] {
					if part[j] != part[i] {
						near.Offer(s, int32(j))
					}
				}
				lists[i] = append([]int32(nil), near.Sorted()...)
			}
		}
	})
	return lists
}

// average writes to raw the mean target of the first k[side] neighbours of each
// row.
func (l *knn) average(p *problem, near [][]int32, k [3]int, part []int, raw, variance []float64) {
	t := p.targets()
	partMeans := map[int][]float64{}
	for _, f := range part {
		if partMeans[f] == nil {
			partMeans[f] = p.means(func(i int) bool { return part[i] != f })
		}
	}
	parallel.Ranges(p.n, func(lo, hi int) {
		count := make([]float64, t)
		for i := lo; i < hi; i++ {
			averageInto(raw[i*t:][:t], count, near[i], k, p.sides, partMeans[part[i]],
				func(row int32, c int) float64 { return p.target[int(row)*t+c] })
			for m := range p.models {
				if variance != nil {
					variance[i*p.models+m] = 1 / max(count[m], 1)
				}
			}
		}
	})
}

// averageInto averages targets over the first k[side] of the neighbours.
func averageInto(out, count []float64, near []int32, k [3]int, sides []int, mean []float64, target func(row int32, c int) float64) {
	models := (len(out) - 1) / 2
	for c := range out {
		var side int
		if sides != nil {
			side = sides[c]
		} else {
			side = c / models
		}
		out[c], count[c] = 0, 0
		for _, row := range near[:min(k[side], len(near))] {
			if y := target(row, c); !math.IsNaN(y) {
				out[c] += y
				count[c]++
			}
		}
		if count[c] > 0 {
			out[c] /= count[c]
		} else {
			out[c] = mean[c]
		}
	}
}

func (l *knn) fit(_ context.Context, p *problem) error {
	l.x, l.targets, l.mean, l.sides = p.dense, p.targets(), p.means(nil), p.sides
	for side := range l.k {
		l.k[side] = min(max(l.k[side], 1), p.n)
	}
	l.target = make([]float32, len(p.target))
	for i, v := range p.target {
		l.target[i] = float32(v)
	}
	return nil
}

// parallelScan is the size of a scan, in multiplications, from which it pays to
// spread a single query over the processors.
const parallelScan = 1 << 20

func (l *knn) again() learner { return &knn{k: l.k, x: l.x, further: true} }

func (l *knn) predict(x *carrot.Representation, w *workspace, raw, variance []float64) {
	if !l.further {
		w.rows = l.neighbours(x, w)
	}
	w.y = grow(w.y, l.targets)
	w.counts = grow(w.counts, l.targets)
	averageInto(raw, w.counts, w.rows, l.k, l.sides, l.mean,
		func(row int32, c int) float64 { return float64(l.target[int(row)*l.targets+c]) })
	for m := range variance {
		variance[m] = 1 / max(w.counts[m], 1)
	}
}

// neighbours returns the rows nearest to a query, nearest first. They stay in the
// workspace.
func (l *knn) neighbours(x *carrot.Representation, w *workspace) []int32 {
	n := l.x.Rows
	w.similar = grow(w.similar, n)
	if n*l.x.Cols < parallelScan {
		l.scan(x, w, 0, n)
	} else {
		parallel.Ranges(n, func(lo, hi int) { l.scan(x, w, lo, hi) })
	}
	w.near.Reset(slices.Max(l.k[:]))
	for j, s := range w.similar {
		w.near.Offer(s, int32(j))
	}
	return w.near.Sorted()
}

// scan writes the similarities of rows [lo,hi) to the workspace.
func (l *knn) scan(x *carrot.Representation, w *workspace, lo, hi int) {
	d := l.x.Cols
	if lo == hi || d == 0 {
		clear(w.similar[lo:hi])
		return
	}
	rows := blas32.General{Rows: hi - lo, Cols: d, Stride: d, Data: l.x.Data[lo*d : hi*d]}
	blas32.Gemv(blas.NoTrans, 1, rows, blas32.Vector{N: d, Inc: 1, Data: x.Dense}, 0,
		blas32.Vector{N: hi - lo, Inc: 1, Data: w.similar[lo:hi]})
}

func (l *knn) save(out *tensors, prefix string) {
	if l.further {
		out.float32s(prefix+"target", l.target, l.x.Rows, l.targets)
		out.float64s(prefix+"mean", l.mean, l.targets)
		return
	}
	out.float32s(prefix+"x", l.x.Data, l.x.Rows, l.x.Cols)
	out.float32s(prefix+"target", l.target, l.x.Rows, l.targets)
	out.float64s(prefix+"mean", l.mean, l.targets)
	out.int32s(prefix+"k", []int32{int32(l.k[0]), int32(l.k[1]), int32(l.k[2])}, 3)
}

func (l *knn) load(in *tensors, prefix string) error {
	if l.further {
		l.targets, l.sides = in.targets(), in.sides
		l.target = in.getFloat32sOrNaN(prefix+"target", l.x.Rows, l.targets)
		l.mean = in.getFloat64s(prefix+"mean", l.targets)
		return in.err
	}
	l.targets = targetsOf(in.models)
	data := in.getFloat32s(prefix+"x", -1, in.dense)
	n := 0
	if in.dense > 0 {
		n = len(data) / in.dense
	}
	l.x = blas32.General{Rows: n, Cols: in.dense, Stride: max(in.dense, 1), Data: data}
	l.target = in.getFloat32sOrNaN(prefix+"target", n, l.targets)
	l.mean = in.getFloat64s(prefix+"mean", l.targets)
	k := in.getIndices(prefix+"k", 1, n+1, 3)
	if in.err == nil {
		l.k = [3]int{int(k[0]), int(k[1]), int(k[2])}
	}
	return in.err
}

// grow returns a slice of length n, reusing s if it is large enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
