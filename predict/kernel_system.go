package predict

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/carrot-router/carrot/internal/dot"
	"github.com/carrot-router/carrot/internal/parallel"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// system holds the normal equations of one problem, by part and coverage group,
// so that those without a part are a sum over the others.
type system struct {
	p       *problem
	part    []int
	parts   int
	k       blas32.General // n×L
	kll     *mat.SymDense  // L×L
	groups  []coverage
	grams   [][]*mat.SymDense // group, part: L×L
	moments []*mat.Dense      // part: L×T, sum of k·y
	sums    [][]*mat.VecDense // group, part: L, sum of k
	aside   *mat.SymDense     // L×L, see asides; nil for none
}

func (l *kernel) system(ctx context.Context, p *problem, part []int, parts int) (*system, error) {
	l.draw(p)
	s := &system{p: p, part: part, parts: parts, k: l.matrix(p.dense), groups: p.coverages()}
	s.kll = symmetric(l.matrix(l.z))
	s.aside = l.asides(p)
	s.moments = make([]*mat.Dense, parts)
	for f := range parts {
		s.moments[f] = s.moment(f)
	}
	for g, cov := range s.groups {
		grams, sums := make([]*mat.SymDense, parts), make([]*mat.VecDense, parts)
		for f := range parts {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			rows := s.rows(f, func(i int) bool { return cov.seen[i] })
			sums[f] = s.sum(rows)
			grams[f] = s.gram(g, f, rows, cov)
		}
		s.grams, s.sums = append(s.grams, grams), append(s.sums, sums)
	}
	return s, nil
}

const (
	asideRows   = 512 // training queries to which an aside is added
	asideWeight = 10  // of a change of the prediction against a residual
)

// asides is the penalty for predictions that change when something that says nothing is
// added to a prompt: wᵀ(asides)w is asideWeight times the sum over queries of the squared
// change of kᵀw. No outcome is used. The vector of a text is a mean over its words, so
// that of two texts together is the normalised sum, weighted by their lengths.
func (l *kernel) asides(p *problem) *mat.SymDense {
	d := p.dense.Cols
	if len(p.asides) == 0 || d == 0 {
		return nil
	}
	n := min(p.n, asideRows)
	as := blas32.General{Rows: n, Cols: d, Stride: d, Data: make([]float32, n*d)}
	with := blas32.General{Rows: n, Cols: d, Stride: d, Data: make([]float32, n*d)}
	random := rand.New(rand.NewPCG(p.seed, 0x6173696465))
	all := make([]int, n)
	for k, i := range random.Perm(p.n)[:n] {
		x, g, share := as.Data[k*d:][:d], p.asides[random.IntN(len(p.asides))].Dense, 0.2+0.4*random.Float32()
		copy(x, p.dense.Data[i*d:][:d])
		both, norm := with.Data[k*d:][:d], 0.0
		for j := range both {
			both[j] = x[j] + share*g[j]
			norm += float64(both[j] * both[j])
		}
		if norm > 0 {
			blas32.Scal(float32(1/math.Sqrt(norm)), blas32.Vector{N: d, Inc: 1, Data: both})
		}
		all[k] = k
	}
	change, before := l.matrix(with), l.matrix(as)
	for i := range change.Data {
		change.Data[i] -= before.Data[i]
	}
	out := gram(change, all)
	out.ScaleSym(asideWeight*float64(p.n)/float64(n), out)
	return out
}

// gram is KᵀK over the rows of part f that group g observes. If these are mostly
// the rows of the first group, it is computed from that group's, by subtracting
// and adding the rows that differ.
func (s *system) gram(g, f int, rows []int, cov coverage) *mat.SymDense {
	if g > 0 {
		first := s.groups[0]
		minus := s.rows(f, func(i int) bool { return first.seen[i] && !cov.seen[i] })
		plus := s.rows(f, func(i int) bool { return !first.seen[i] && cov.seen[i] })
		if len(minus)+len(plus) < len(rows) {
			out := gram(s.k, minus)
			out.ScaleSym(-1, out)
			out.AddSym(out, s.grams[0][f])
			if len(plus) > 0 {
				out.AddSym(out, gram(s.k, plus))
			}
			return out
		}
	}
	return gram(s.k, rows)
}

func (s *system) rows(f int, use func(i int) bool) []int {
	var rows []int
	for i, g := range s.part {
		if g == f && use(i) {
			rows = append(rows, i)
		}
	}
	return rows
}

// gramChunk is how many rows are converted to double precision at a time.
const gramChunk = 512

// transposed returns the kernel values of rows in double precision, L×rows,
// using the memory of buffer.
func transposed(k blas32.General, rows []int, buffer []float64) *mat.Dense {
	kt := mat.NewDense(k.Cols, len(rows), buffer[:k.Cols*len(rows)])
	for c, i := range rows {
		for r, v := range k.Data[i*k.Stride:][:k.Cols] {
			kt.Set(r, c, float64(v))
		}
	}
	return kt
}

// gram is KᵀK over the given rows, in double precision.
func gram(k blas32.General, rows []int) *mat.SymDense {
	n := k.Cols
	const block = 256
	out := mat.NewDense(n, n, nil)
	buffer := make([]float64, n*min(gramChunk, len(rows)))
	var product mat.Dense
	for part := range slices.Chunk(rows, gramChunk) {
		kt := transposed(k, part, buffer)
		for i := 0; i < n; i += block { // the upper triangle, block by block
			for j := i; j < n; j += block {
				iEnd, jEnd := min(i+block, n), min(j+block, n)
				product.Reset()
				product.Mul(kt.Slice(i, iEnd, 0, len(part)), kt.Slice(j, jEnd, 0, len(part)).T())
				target := out.Slice(i, iEnd, j, jEnd).(*mat.Dense)
				target.Add(target, &product)
			}
		}
	}
	return mat.NewSymDense(n, out.RawMatrix().Data)
}

// symmetric copies the upper triangle of a square matrix.
func symmetric(k blas32.General) *mat.SymDense {
	data := make([]float64, len(k.Data))
	for i, v := range k.Data {
		data[i] = float64(v)
	}
	return mat.NewSymDense(k.Rows, data)
}

func (s *system) sum(rows []int) *mat.VecDense {
	out := mat.NewVecDense(s.k.Cols, nil)
	for _, i := range rows {
		for r, v := range s.k.Data[i*s.k.Stride:][:s.k.Cols] {
			out.SetVec(r, out.AtVec(r)+float64(v))
		}
	}
	return out
}

// moment is the sum of k·y over the observed rows of part f, L×T.
func (s *system) moment(f int) *mat.Dense {
	t := s.p.targets()
	rows := s.rows(f, func(int) bool { return true })
	out := mat.NewDense(s.k.Cols, t, nil)
	buffer := make([]float64, s.k.Cols*min(gramChunk, len(rows)))
	var product mat.Dense
	for part := range slices.Chunk(rows, gramChunk) {
		y := mat.NewDense(len(part), t, nil)
		for r, i := range part {
			for c, v := range s.p.target[i*t:][:t] {
				if !math.IsNaN(v) {
					y.Set(r, c, v)
				}
			}
		}
		product.Mul(transposed(s.k, part, buffer), y)
		out.Add(out, &product)
		product.Reset()
	}
	return out
}

// without adds up the gram matrix and the sum of k of group g over all parts
// but the given one (-1: all).
func (s *system) without(g, out int) (*mat.SymDense, *mat.VecDense) {
	n := s.k.Cols
	a, sum := mat.NewSymDense(n, nil), mat.NewVecDense(n, nil)
	for f := range s.parts {
		if f != out {
			a.AddSym(a, s.grams[g][f])
			sum.AddVec(sum, s.sums[g][f])
		}
	}
	return a, sum
}

// momentsWithout adds up the moments over all parts but the given one.
func (s *system) momentsWithout(out int) *mat.Dense {
	total := mat.NewDense(s.k.Cols, s.p.targets(), nil)
	for f := range s.parts {
		if f != out {
			total.Add(total, s.moments[f])
		}
	}
	return total
}

// errSingular is returned when a kernel matrix cannot be factored.
var errSingular = errors.New("kernel matrix is singular: raise the noise")

// solve returns the weights T×L and column means without one part (-1: none),
// for each side's noise; spread, if not nil, collects the variance factors.
func (s *system) solve(out int, noise [3]float64, spread *[][]float32, class []int32) ([]float32, []float64, error) {
	n, t := s.k.Cols, s.p.targets()
	mean := s.p.means(func(i int) bool { return s.part[i] != out })
	weights := make([]float32, n*t)
	moments := s.momentsWithout(out)
	var classes []coverage
	for g, cov := range s.groups {
		gram, sum := s.without(g, out)
		if spread != nil {
			classes = s.variances(cov, gram, noise[sideDifference], classes, spread, class)
		}
		byNoise := map[float64][]int{}
		for _, c := range cov.columns {
			v := noise[s.p.side(c)]
			byNoise[v] = append(byNoise[v], c)
		}
		for _, v := range slices.Sorted(maps.Keys(byNoise)) {
			columns := byNoise[v]
			b := mat.NewDense(n, len(columns), nil)
			for k, c := range columns {
				for i := range n {
					b.Set(i, k, moments.At(i, c)-mean[c]*sum.AtVec(i))
				}
			}
			w, err := regularised(s.penalised(gram), s.kll, v, b)
			if err != nil {
				return nil, nil, err
			}
			for k, c := range columns {
				for i := range n {
					weights[c*n+i] = float32(w.At(i, k))
				}
			}
		}
	}
	return weights, mean, nil
}

// penalised adds the penalty of asides to a gram matrix.
func (s *system) penalised(gram *mat.SymDense) *mat.SymDense {
	if s.aside == nil {
		return gram
	}
	var out mat.SymDense
	out.AddSym(gram, s.aside)
	return &out
}

// regularised solves (gram + noise·K)w = b.
func regularised(gram, k *mat.SymDense, noise float64, b *mat.Dense) (*mat.Dense, error) {
	n := gram.SymmetricDim()
	a := mat.NewSymDense(n, nil)
	a.ScaleSym(noise, k)
	a.AddSym(a, gram)
	for i := range n {
		a.SetSym(i, i, a.At(i, i)+noise*kernelJitter)
	}
	var factor mat.Cholesky
	if !factor.Factorize(a) {
		return nil, errSingular
	}
	var w mat.Dense
	if err := factor.SolveTo(&w, b); err != nil {
		return nil, fmt.Errorf("%w (%v)", errSingular, err)
	}
	return &w, nil
}

// variances adds the variance factor of a coverage group. If an earlier group
// covers nearly the same rows, the two share one.
func (s *system) variances(cov coverage, a *mat.SymDense, noise float64, classes []coverage, spread *[][]float32, class []int32) []coverage {
	var models []int
	for _, c := range cov.columns {
		if c < s.p.models {
			models = append(models, c)
		}
	}
	if len(models) == 0 {
		return classes
	}
	at := -1
	for k, other := range classes {
		if jaccard(cov.seen, other.seen) >= 0.8 {
			at = k
			break
		}
	}
	if at < 0 {
		at = len(classes)
		classes = append(classes, cov)
		*spread = append(*spread, varianceFactor(a, s.kll, noise))
	}
	for _, m := range models {
		class[m] = int32(at)
	}
	return classes
}

// varianceFactor returns the upper triangular R, V×V row-major, with
// RᵀR = K_VV⁻¹ - noise·(A_VV + noise·K_VV)⁻¹.
func varianceFactor(a, kll *mat.SymDense, noise float64) []float32 {
	v := min(varianceLandmarks, kll.SymmetricDim())
	prior, posterior := mat.NewSymDense(v, nil), mat.NewSymDense(v, nil)
	for i := range v {
		for j := i; j < v; j++ {
			k := kll.At(i, j)
			if i == j {
				k += varianceJitter
			}
			prior.SetSym(i, j, k)
			posterior.SetSym(i, j, a.At(i, j)+noise*k)
		}
	}
	var difference, inverse mat.SymDense
	var factor mat.Cholesky
	out := make([]float32, v*v)
	if !factor.Factorize(prior) || factor.InverseTo(&difference) != nil {
		return out // nothing known: the variance stays at its prior
	}
	if !factor.Factorize(posterior) || factor.InverseTo(&inverse) != nil {
		return out
	}
	inverse.ScaleSym(-noise, &inverse)
	difference.AddSym(&difference, &inverse)
	for i := range v {
		difference.SetSym(i, i, difference.At(i, i)*(1+1e-9)+1e-9)
	}
	if !factor.Factorize(&difference) {
		return out
	}
	var r mat.TriDense
	factor.UTo(&r)
	for i := range v {
		for j := i; j < v; j++ {
			out[i*v+j] = float32(r.At(i, j))
		}
	}
	return out
}

// predict writes the predictions of the rows of part f.
func (s *system) predict(f int, weights []float32, mean []float64, raw []float64) {
	t := s.p.targets()
	rows := s.rows(f, func(int) bool { return true })
	parallel.Ranges(len(rows), func(lo, hi int) {
		y := make([]float32, t)
		for _, i := range rows[lo:hi] {
			dot.Rows(y, weights, s.k.Data[i*s.k.Stride:][:s.k.Cols])
			for c := range t {
				raw[i*t+c] = mean[c] + float64(y[c])
			}
		}
	})
}
