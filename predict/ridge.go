package predict

import (
	"context"
	"fmt"
	"math"

	"github.com/carrot-router/carrot"
	"gonum.org/v1/gonum/mat"
)

// ridge is linear regression on the dense vector with a penalty α|w|² and an
// intercept, as scikit-learn's Ridge.
type ridge struct {
	alpha   float64
	dim     int
	weights []float64 // d×T row-major
	center  []float64 // d×G: mean of the vectors of each coverage group
	mean    []float64 // T
	inverse []float64 // G×d×d: (XᵀX + αI)⁻¹ of each group
	group   []int32   // the coverage group of each target, -1: never observed
	counts  []float64 // G: rows in each group
}

func (l *ridge) exact() bool      { return false }
func (l *ridge) describe(s *Spec) { s.Alpha = l.alpha }

func (l *ridge) tune(ctx context.Context, p *problem, fold []int) error {
	p.progress("choosing the settings of ridge")
	if l.alpha > 0 {
		return nil
	}
	best := math.Inf(1)
	for _, alpha := range []float64{0.1, 0.3, 1, 3, 10, 30, 100} {
		raw, _, err := (&ridge{alpha: alpha}).crossfit(ctx, p, fold, foldCount, false)
		if err != nil {
			return err
		}
		if loss := p.loss(raw, sideDifference, nil) + p.loss(raw, sideVolume, nil); loss < best {
			best, l.alpha = loss, alpha
		}
	}
	return nil
}

func (l *ridge) crossfit(ctx context.Context, p *problem, part []int, parts int, _ bool) (raw, variance []float64, err error) {
	return crossfitByRefit(ctx, p, part, parts, func() learner { return &ridge{alpha: l.alpha} })
}

func (l *ridge) fit(_ context.Context, p *problem) error {
	d, t := p.dense.Cols, p.targets()
	groups := p.coverages()
	l.dim, l.mean = d, p.means(nil)
	l.weights, l.group = make([]float64, d*t), make([]int32, t)
	l.center, l.inverse = make([]float64, 0, d*len(groups)), make([]float64, 0, d*d*len(groups))
	l.counts = nil
	for c := range l.group {
		l.group[c] = -1
	}
	for g, cov := range groups {
		if err := l.fitGroup(p, int32(g), cov); err != nil {
			return err
		}
	}
	return nil
}

// fitGroup solves the normal equations of the columns that share a coverage.
func (l *ridge) fitGroup(p *problem, g int32, cov coverage) error {
	d, t := l.dim, p.targets()
	center := make([]float64, d)
	for i := range p.n {
		if cov.seen[i] {
			for k, v := range p.dense.Data[i*d:][:d] {
				center[k] += float64(v) / float64(cov.count)
			}
		}
	}
	x, y := mat.NewDense(cov.count, d, nil), mat.NewDense(cov.count, len(cov.columns), nil)
	row := 0
	for i := range p.n {
		if !cov.seen[i] {
			continue
		}
		for k, v := range p.dense.Data[i*d:][:d] {
			x.Set(row, k, float64(v)-center[k])
		}
		for k, c := range cov.columns {
			y.Set(row, k, p.target[i*t+c]-l.mean[c])
		}
		row++
	}
	var gram, moment, weights mat.Dense
	gram.Mul(x.T(), x)
	moment.Mul(x.T(), y)
	normal := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			normal.SetSym(i, j, gram.At(i, j))
		}
		normal.SetSym(i, i, gram.At(i, i)+l.alpha)
	}
	var factor mat.Cholesky
	if !factor.Factorize(normal) {
		return fmt.Errorf("ridge: normal equations are singular at alpha %g", l.alpha)
	}
	if err := factor.SolveTo(&weights, &moment); err != nil {
		return fmt.Errorf("ridge: %w", err)
	}
	var inverse mat.SymDense
	if err := factor.InverseTo(&inverse); err != nil {
		return fmt.Errorf("ridge: %w", err)
	}
	for k, c := range cov.columns {
		l.group[c] = g
		for i := range d {
			l.weights[i*t+c] = weights.At(i, k)
		}
	}
	for i := range d {
		for j := range d {
			l.inverse = append(l.inverse, inverse.At(i, j))
		}
	}
	l.center, l.counts = append(l.center, center...), append(l.counts, float64(cov.count))
	return nil
}

func (l *ridge) again() learner { return &ridge{alpha: l.alpha} }

func (l *ridge) predict(x *carrot.Representation, w *workspace, raw, variance []float64) {
	d, t := l.dim, len(l.mean)
	copy(raw, l.mean)
	for c, g := range l.group {
		if g < 0 {
			continue
		}
		for k, v := range x.Dense {
			raw[c] += (float64(v) - l.center[int(g)*d+k]) * l.weights[k*t+c]
		}
	}
	for j := range variance {
		variance[j] = 1
		if j > 0 && l.group[j] == l.group[j-1] {
			variance[j] = variance[j-1]
		} else if g := int(l.group[j]); g >= 0 {
			variance[j] = l.leverage(x.Dense, g) + 1/l.counts[g]
		}
	}
}

// leverage is zᵀ(XᵀX + αI)⁻¹z for the centred vector z.
func (l *ridge) leverage(x []float32, g int) float64 {
	d := l.dim
	center, inverse := l.center[g*d:][:d], l.inverse[g*d*d:][:d*d]
	var sum float64
	for i, v := range x {
		var dot float64
		for j, u := range x {
			dot += inverse[i*d+j] * (float64(u) - center[j])
		}
		sum += (float64(v) - center[i]) * dot
	}
	return max(sum, 0)
}

func (l *ridge) save(out *tensors, prefix string) {
	t, g := len(l.mean), len(l.counts)
	out.float64s(prefix+"weights", l.weights, l.dim, t)
	out.float64s(prefix+"center", l.center, g, l.dim)
	out.float64s(prefix+"mean", l.mean, t)
	out.float64s(prefix+"inverse", l.inverse, g, l.dim, l.dim)
	out.float64s(prefix+"counts", l.counts, g)
	out.int32s(prefix+"group", l.group, t)
}

func (l *ridge) load(in *tensors, prefix string) error {
	t := in.targets()
	l.dim = in.dense
	l.weights = in.getFloat64s(prefix+"weights", l.dim, t)
	l.mean = in.getFloat64s(prefix+"mean", t)
	l.counts = in.getFloat64s(prefix+"counts", -1)
	l.center = in.getFloat64s(prefix+"center", len(l.counts), l.dim)
	l.inverse = in.getFloat64s(prefix+"inverse", len(l.counts), l.dim, l.dim)
	l.group = in.getIndices(prefix+"group", -1, len(l.counts), t)
	return in.err
}
