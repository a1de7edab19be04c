package predict

import (
	"context"
	"fmt"
	"math"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/dot"
	"github.com/carrot-router/carrot/internal/parallel"
	"github.com/carrot-router/carrot/internal/safetensors"
)

// sparse is ridge regression on the bag of hashed words, weighted by inverse
// document frequency and scaled to unit length, about each target's mean:
// (XᵀX + αI)w = Xᵀ(y - mean), solved by conjugate gradients. The variance is
// that of the diagonal of XᵀX + αI: it falls the more often the words were seen
// and is 1/α for words never seen.
type sparse struct {
	alpha   [3]float64 // by side
	buckets int
	rough   bool // stop early

	idf     []float32 // B
	weights []float32 // B×T row-major
	mean    []float64 // T
	seen    []float32 // G×B: Σx² of each variance class
	class   []int32   // the variance class of each model

	further bool // see again
}

const (
	cgTolerance    = 1e-3 // of the residual, relative to the right-hand side
	roughTolerance = 1e-2
	cgIterations   = 100
	cgBlock        = 16 // columns solved together
)

func (l *sparse) exact() bool { return false }

func (l *sparse) describe(s *Spec) {
	s.Alpha, s.AlphaTokens, s.AlphaCommon = l.alpha[0], l.alpha[1], l.alpha[2]
	s.Buckets = l.buckets
}

// tune tries α, for each side, then a larger table, holding out the first fold.
func (l *sparse) tune(ctx context.Context, p *problem, fold []int) error {
	p.progress("choosing the settings of sparse")
	held := func(i int) bool { return fold[i] == 0 }
	losses := func(alpha [3]float64, buckets int) (out [3]float64, err error) {
		raw := make([]float64, p.n*p.targets())
		trial := &sparse{alpha: alpha, buckets: buckets, rough: true}
		err = trial.holdOut(ctx, p, fold, 0, raw, nil, trial.bag(p))
		for side := range out {
			out[side] = p.loss(raw, side, held)
		}
		return out, err
	}
	tables := []int{1 << 14, 1 << 15}
	if l.buckets > 0 {
		tables = []int{l.buckets}
	}
	if l.alpha[0] == 0 {
		best := [3]float64{math.Inf(1), math.Inf(1), math.Inf(1)}
		for _, alpha := range []float64{2.5, 5, 10, 20, 40} {
			loss, err := losses([3]float64{alpha, alpha, alpha}, tables[0])
			if err != nil {
				return err
			}
			for side := range best {
				if loss[side] < best[side] {
					best[side], l.alpha[side] = loss[side], alpha
				}
			}
		}
	}
	best := math.Inf(1)
	for _, buckets := range tables {
		if len(tables) == 1 {
			l.buckets = buckets
			break
		}
		loss, err := losses(l.alpha, buckets)
		if err != nil {
			return err
		}
		if total := loss[0] + loss[1] + loss[2]; total < best {
			best, l.buckets = total, buckets
		}
	}
	return nil
}

// bag is the weighted bag of words of each row: compressed sparse rows.
type bag struct {
	start []int32
	index []uint32
	value []float32
}

func (b *bag) row(i int) ([]uint32, []float32) {
	lo, hi := b.start[i], b.start[i+1]
	return b.index[lo:hi], b.value[lo:hi]
}

// bag sets the inverse document frequencies, ln((1+n)/(1+df)) + 1, from the
// texts of p and returns their rows. What was never seen has no weight, so that it
// does not make the rest of a text count less.
func (l *sparse) bag(p *problem) *bag {
	mask := uint32(l.buckets - 1)
	df := make([]float64, l.buckets)
	last := make([]int, l.buckets)
	size := 0
	for i, s := range p.sparse {
		for _, j := range s.Index {
			if last[j&mask] != i+1 {
				last[j&mask] = i + 1
				df[j&mask]++
			}
		}
		size += len(s.Index)
	}
	l.idf = make([]float32, l.buckets)
	for j, n := range df {
		if n > 0 {
			l.idf[j] = float32(math.Log((1+float64(p.n))/(1+n)) + 1)
		}
	}
	b := &bag{start: make([]int32, 1, p.n+1), index: make([]uint32, 0, size), value: make([]float32, 0, size)}
	for _, s := range p.sparse {
		norm := l.norm(&s)
		for k, j := range s.Index {
			b.index = append(b.index, j&mask)
			b.value = append(b.value, s.Value[k]*l.idf[j&mask]*norm)
		}
		b.start = append(b.start, int32(len(b.index)))
	}
	return b
}

// norm is one over the length of the weighted vector, 0 for an empty one.
func (l *sparse) norm(s *carrot.Sparse) float32 {
	mask := uint32(len(l.idf) - 1)
	var sum float32
	for k, j := range s.Index {
		v := s.Value[k] * l.idf[j&mask]
		sum += v * v
	}
	if sum == 0 {
		return 0
	}
	return float32(1 / math.Sqrt(float64(sum)))
}

// solve fits the weights on the rows for which use is true. It starts from
// zero: a start from weights that saw a held-out row would leak its outcome.
func (l *sparse) solve(ctx context.Context, p *problem, b *bag, use func(i int) bool) error {
	l.mean = p.means(use)
	l.weights = make([]float32, l.buckets*p.targets())
	l.class, l.seen = make([]int32, p.models), nil
	var jobs []cgJob
	for class, columns := range p.classes() {
		job := cgJob{}
		for i := range p.n {
			if use(i) && p.observes(i, columns) {
				job.rows = append(job.rows, int32(i))
			}
		}
		job.seen = b.squares(job.rows, l.buckets)
		if p.models > 0 {
			l.seen = append(l.seen, job.seen...)
		}
		for at := 0; at < len(columns); at += cgBlock {
			job.columns = columns[at:min(at+cgBlock, len(columns))]
			for k, c := range job.columns {
				job.alpha[k] = float32(l.alpha[p.side(c)])
			}
			jobs = append(jobs, job)
		}
		for _, c := range columns {
			if c < p.models {
				l.class[c] = int32(class)
			}
		}
	}
	parallel.Each(len(jobs), func(k int) {
		if ctx.Err() == nil {
			l.conjugate(p, b, jobs[k])
		}
	})
	return ctx.Err()
}

// squares sums the squared values of each bucket over the given rows.
func (b *bag) squares(rows []int32, buckets int) []float32 {
	seen := make([]float32, buckets)
	for _, i := range rows {
		index, value := b.row(int(i))
		for k, j := range index {
			seen[j] += value[k] * value[k]
		}
	}
	return seen
}

// holdOut fits without part f and predicts its rows.
func (l *sparse) holdOut(ctx context.Context, p *problem, part []int, f int, raw, variance []float64, b *bag) error {
	if err := l.solve(ctx, p, b, func(i int) bool { return part[i] != f }); err != nil {
		return err
	}
	t := p.targets()
	parallel.Ranges(p.n, func(lo, hi int) {
		var w workspace
		ignored := make([]float64, p.models)
		for i := lo; i < hi; i++ {
			if part[i] != f {
				continue
			}
			v := ignored
			if variance != nil {
				v = variance[i*p.models:][:p.models]
			}
			l.predict(&p.x[i], &w, raw[i*t:][:t], v)
		}
	})
	return nil
}

func (l *sparse) crossfit(ctx context.Context, p *problem, part []int, parts int, rough bool) (raw, variance []float64, err error) {
	raw, variance = make([]float64, p.n*p.targets()), make([]float64, p.n*p.models)
	trial := &sparse{alpha: l.alpha, buckets: l.buckets, rough: rough}
	b := trial.bag(p)
	for f := range parts {
		if err := trial.holdOut(ctx, p, part, f, raw, variance, b); err != nil {
			return nil, nil, err
		}
	}
	return raw, variance, nil
}

func (l *sparse) fit(ctx context.Context, p *problem) error {
	if err := l.solve(ctx, p, l.bag(p), func(int) bool { return true }); err != nil {
		return err
	}
	l.weights = halved(l.weights)
	return nil
}

// halved rounds weights to numbers of 16 bits: half the size of a file, for an error of a
// two-thousandth of a weight.
func halved(weights []float32) []float32 {
	const largest = 65504
	for k, w := range weights {
		weights[k] = safetensors.Half(min(max(w, -largest), largest))
	}
	return weights
}

func (l *sparse) again() learner {
	return &sparse{alpha: l.alpha, buckets: l.buckets, idf: l.idf, further: true}
}

// weigh writes the query's words to the workspace.
func (l *sparse) weigh(x *carrot.Representation, w *workspace) (norm float32) {
	norm = l.norm(&x.Sparse)
	mask := uint32(len(l.idf) - 1)
	w.bucket, w.value = w.bucket[:0], w.value[:0]
	for k, j := range x.Sparse.Index {
		j &= mask
		v := x.Sparse.Value[k] * l.idf[j] * norm
		w.bucket, w.value = append(w.bucket, int32(j)), append(w.value, v)
	}
	return norm
}

func (l *sparse) predict(x *carrot.Representation, w *workspace, raw, variance []float64) {
	t, norm := len(l.mean), float32(1)
	if !l.further {
		norm = l.weigh(x, w)
	}
	w.y = grow(w.y, t)
	clear(w.y)
	dot.AddRows(w.y, l.weights, w.bucket, w.value)
	for c, y := range w.y {
		raw[c] = l.mean[c] + float64(y)
	}
	for class := range len(l.seen) / len(l.idf) {
		seen := l.seen[class*len(l.idf):][:len(l.idf)]
		var sum float32
		for k, j := range w.bucket {
			sum += w.value[k] * w.value[k] / (seen[j] + float32(l.alpha[sideDifference]))
		}
		for m, c := range l.class {
			if int(c) == class {
				variance[m] = float64(sum)
			}
		}
	}
	if norm == 0 {
		for m := range variance {
			variance[m] = 1 / l.alpha[sideDifference]
		}
	}
}

func (l *sparse) save(out *tensors, prefix string) {
	b := len(l.idf)
	if l.further {
		out.float16sOr32s(prefix+"weights", l.weights, b, len(l.mean))
		out.float64s(prefix+"mean", l.mean, len(l.mean))
		return
	}
	out.float32s(prefix+"idf", l.idf, b)
	out.float16sOr32s(prefix+"weights", l.weights, b, len(l.mean))
	out.float64s(prefix+"mean", l.mean, len(l.mean))
	out.float32s(prefix+"seen", l.seen, len(l.seen)/b, b)
	out.int32s(prefix+"class", l.class, len(l.class))
	out.float64s(prefix+"alpha", l.alpha[:], 3)
}

func (l *sparse) load(in *tensors, prefix string) error {
	if l.further {
		l.weights = in.getFloat32s(prefix+"weights", len(l.idf), in.targets())
		l.mean = in.getFloat64s(prefix+"mean", in.targets())
		return in.err
	}
	l.idf = in.getFloat32s(prefix+"idf", -1)
	b := len(l.idf)
	l.weights = in.getFloat32s(prefix+"weights", b, targetsOf(in.models))
	l.mean = in.getFloat64s(prefix+"mean", targetsOf(in.models))
	l.seen = in.getFloat32s(prefix+"seen", -1, b)
	l.class = in.getIndices(prefix+"class", 0, in.rows(prefix+"seen"), in.models)
	alpha := in.getFloat64s(prefix+"alpha", 3)
	if in.err != nil {
		return in.err
	}
	if b == 0 || b&(b-1) != 0 || !(min(alpha[0], alpha[1], alpha[2]) > 0) {
		return fmt.Errorf("%sidf: %d buckets, alpha %v: want a power of two and a positive number", prefix, b, alpha)
	}
	l.alpha, l.buckets = [3]float64(alpha), b
	return nil
}
