package predict

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/carrot-router/carrot"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// kernel is kernel ridge regression, the mean of a Gaussian process, with the
// RBF kernel exp(-γ|x-z|²) on the Nyström features of L landmarks (training
// queries drawn at random): with K the n×L and K_LL the L×L kernel matrix,
//
//	W = (KᵀK + noise·K_LL)⁻¹ Kᵀ(y - mean),   ŷ(x) = mean + k(x)ᵀW
//
// One Cholesky factor serves all targets of equal coverage and noise. The variance is
// the process's own, on the first landmarks only:
// (1 - k(x)ᵀ[K_VV⁻¹ - noise·(KᵀK + noise·K_VV)⁻¹]k(x)) / noise, which falls
// with data nearby and rises to 1/noise away from them.
type kernel struct {
	gamma     float64
	noise     [3]float64 // by side
	landmarks int

	z      blas32.General // L×d
	w      []float32      // L×T row-major
	mean   []float64      // T
	spread [][]float32    // per variance class, V×V: R with RᵀR = K_VV⁻¹ - noise·A⁻¹
	class  []int32        // the variance class of each model
}

const (
	varianceLandmarks = 128
	kernelJitter      = 1e-6
	varianceJitter    = 1e-3
)

func (l *kernel) exact() bool { return false }

func (l *kernel) describe(s *Spec) {
	s.Gamma, s.Landmarks = l.gamma, l.landmarks
	s.Noise, s.NoiseTokens, s.NoiseCommon = l.noise[0], l.noise[1], l.noise[2]
}

// tune searches γ, and for each side the noise, by the out-of-fold loss, with
// half of the landmarks at most: the ranking is the same and four times
// quicker.
func (l *kernel) tune(ctx context.Context, p *problem, fold []int) error {
	if l.landmarks == 0 {
		l.landmarks = 1024
	}
	gammas, noises := []float64{0.5, 1, 2}, []float64{1.25, 2.5, 5, 10, 20, 40}
	if l.gamma > 0 {
		gammas = []float64{l.gamma}
	}
	fixed := l.noise[0] > 0
	if fixed {
		noises = l.noise[:]
	}
	if len(gammas) > 1 || !fixed {
		best := math.Inf(1)
		for _, gamma := range gammas {
			trial := &kernel{gamma: gamma, landmarks: min(l.landmarks, roughLandmarks)}
			losses, err := trial.losses(ctx, p, fold, noises)
			if err != nil {
				return err
			}
			total, noise := 0.0, l.noise
			for side := range losses {
				k := side
				if !fixed {
					k = slices.Index(losses[side], slices.Min(losses[side]))
				}
				total, noise[side] = total+losses[side][k], noises[k]
			}
			if total < best {
				best, l.gamma, l.noise = total, gamma, noise
			}
		}
	} else {
		l.gamma = gammas[0]
	}
	p.progress(fmt.Sprintf("kernel: gamma %g, noise %g, %d landmarks", l.gamma, l.noise, l.landmarks))
	return nil
}

// draw chooses the landmarks of a problem, by its seed.
func (l *kernel) draw(p *problem) {
	d := p.dense.Cols
	n := min(l.landmarks, p.n)
	order := rand.New(rand.NewPCG(p.seed, 0x6c616e64)).Perm(p.n)
	l.z = blas32.General{Rows: n, Cols: d, Stride: max(d, 1), Data: make([]float32, n*d)}
	for k, i := range order[:n] {
		copy(l.z.Data[k*d:][:d], p.dense.Data[i*d:][:d])
	}
}

// apply writes exp(-γ|x-z|²) for similarities x·z of unit vectors.
func (l *kernel) apply(similarity []float32) {
	g := 2 * l.gamma
	for i, s := range similarity {
		similarity[i] = float32(math.Exp(g * (float64(s) - 1)))
	}
}

// matrix returns the kernel of the rows of x against the landmarks, n×L.
func (l *kernel) matrix(x blas32.General) blas32.General {
	k := blas32.General{Rows: x.Rows, Cols: l.z.Rows, Stride: l.z.Rows, Data: make([]float32, x.Rows*l.z.Rows)}
	if x.Cols > 0 {
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, x, l.z, 0, k)
	}
	parallel(len(k.Data), func(lo, hi int) { l.apply(k.Data[lo:hi]) })
	return k
}

// system is the normal equations of one problem, by part and coverage group,
// so that leaving a part out is a subtraction.
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
}

func (l *kernel) system(ctx context.Context, p *problem, part []int, parts int) (*system, error) {
	l.draw(p)
	s := &system{p: p, part: part, parts: parts, k: l.matrix(p.dense), groups: p.coverages()}
	s.kll = symmetric(l.matrix(l.z))
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

// gram is KᵀK over the rows of part f that group g observes. When most of them
// are those of the first group, it is that group's with the others taken away.
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

// gramChunk is how many rows are turned into double precision at a time.
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

// solve returns the weights L×T and column means without one part (-1: none),
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
			w, err := regularised(gram, s.kll, v, b)
			if err != nil {
				return nil, nil, err
			}
			for k, c := range columns {
				for i := range n {
					weights[i*t+c] = float32(w.At(i, k))
				}
			}
		}
	}
	return weights, mean, nil
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

// variances adds the variance factor of a coverage group, unless a group seen
// before covers nearly the same rows: then it shares that one's.
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

// losses returns the out-of-fold loss of each side at each noise.
func (l *kernel) losses(ctx context.Context, p *problem, fold []int, noises []float64) (losses [3][]float64, err error) {
	s, err := l.system(ctx, p, fold, Folds)
	if err != nil {
		return losses, err
	}
	raw := make([]float64, p.n*p.targets())
	for _, noise := range noises {
		for f := range Folds {
			weights, mean, err := s.solve(f, [3]float64{noise, noise, noise}, nil, nil)
			if err != nil {
				return losses, err
			}
			s.predict(f, weights, mean, raw)
		}
		for side := range losses {
			losses[side] = append(losses[side], p.loss(raw, side, nil))
		}
	}
	return losses, ctx.Err()
}

// predict writes the predictions of the rows of part f.
func (s *system) predict(f int, weights []float32, mean []float64, raw []float64) {
	t := s.p.targets()
	rows := s.rows(f, func(int) bool { return true })
	parallel(len(rows), func(lo, hi int) {
		y := make([]float32, t)
		for _, i := range rows[lo:hi] {
			project(s.k.Data[i*s.k.Stride:][:s.k.Cols], weights, y)
			for c := range t {
				raw[i*t+c] = mean[c] + float64(y[c])
			}
		}
	})
}

// project writes kᵀW.
func project(k, weights, y []float32) {
	t := len(y)
	blas32.Gemv(blas.Trans, 1, blas32.General{Rows: len(k), Cols: t, Stride: t, Data: weights},
		blas32.Vector{N: len(k), Inc: 1, Data: k}, 0, blas32.Vector{N: t, Inc: 1, Data: y})
}

// roughLandmarks is enough to compare settings.
const roughLandmarks = 512

func (l *kernel) crossfit(ctx context.Context, p *problem, part []int, parts int, rough bool) (raw, variance []float64, err error) {
	if rough {
		l = &kernel{gamma: l.gamma, noise: l.noise, landmarks: min(l.landmarks, roughLandmarks)}
	}
	s, err := l.system(ctx, p, part, parts)
	if err != nil {
		return nil, nil, err
	}
	raw, variance = make([]float64, p.n*p.targets()), make([]float64, p.n*p.models)
	for f := range parts {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		trial := kernel{noise: l.noise, class: make([]int32, p.models)}
		weights, mean, err := s.solve(f, l.noise, &trial.spread, trial.class)
		if err != nil {
			return nil, nil, err
		}
		s.predict(f, weights, mean, raw)
		rows := s.rows(f, func(int) bool { return true })
		parallel(len(rows), func(lo, hi int) {
			var w workspace
			for _, i := range rows[lo:hi] {
				trial.variances(s.k.Data[i*s.k.Stride:][:s.k.Cols], &w, variance[i*p.models:][:p.models])
			}
		})
	}
	return raw, variance, nil
}

func (l *kernel) fit(ctx context.Context, p *problem) error {
	s, err := l.system(ctx, p, make([]int, p.n), 1)
	if err != nil {
		return err
	}
	l.spread, l.class = nil, make([]int32, p.models)
	l.w, l.mean, err = s.solve(-1, l.noise, &l.spread, l.class)
	return err
}

func (l *kernel) predict(x *carrot.Representation, w *workspace, raw, variance []float64) {
	n, t := l.z.Rows, len(l.mean)
	w.kernel = grow(w.kernel, n)
	if l.z.Cols > 0 {
		blas32.Gemv(blas.NoTrans, 1, l.z, blas32.Vector{N: l.z.Cols, Inc: 1, Data: x.Dense}, 0,
			blas32.Vector{N: n, Inc: 1, Data: w.kernel})
	}
	l.apply(w.kernel)
	w.y = grow(w.y, t)
	project(w.kernel, l.w, w.y)
	for c := range t {
		raw[c] = l.mean[c] + float64(w.y[c])
	}
	l.variances(w.kernel, w, variance)
}

// variances writes the relative variance of each model at kernel values k.
func (l *kernel) variances(k []float32, w *workspace, variance []float64) {
	for class, r := range l.spread {
		v := min(varianceLandmarks, len(k))
		w.proj = grow(w.proj, v)
		blas32.Gemv(blas.NoTrans, 1, blas32.General{Rows: v, Cols: v, Stride: v, Data: r},
			blas32.Vector{N: v, Inc: 1, Data: k[:v]}, 0, blas32.Vector{N: v, Inc: 1, Data: w.proj})
		var known float64
		for _, u := range w.proj {
			known += float64(u) * float64(u)
		}
		value := max(1-known, 1e-4) / l.noise[sideDifference]
		for m, c := range l.class {
			if int(c) == class {
				variance[m] = value
			}
		}
	}
}

func (l *kernel) save(out *tensors, prefix string) {
	out.float32s(prefix+"landmarks", l.z.Data, l.z.Rows, l.z.Cols)
	out.float32s(prefix+"weights", l.w, l.z.Rows, len(l.mean))
	out.float64s(prefix+"mean", l.mean, len(l.mean))
	out.float64s(prefix+"settings", []float64{l.gamma, l.noise[0], l.noise[1], l.noise[2]}, 4)
	out.int32s(prefix+"class", l.class, len(l.class))
	v := min(varianceLandmarks, l.z.Rows)
	all := make([]float32, 0, len(l.spread)*v*v)
	for _, r := range l.spread {
		all = append(all, r...)
	}
	out.float32s(prefix+"spread", all, len(l.spread), v, v)
}

func (l *kernel) load(in *tensors, prefix string) error {
	data := in.getFloat32s(prefix+"landmarks", -1, in.dense)
	n := in.rows(prefix + "landmarks")
	l.z = blas32.General{Rows: n, Cols: in.dense, Stride: max(in.dense, 1), Data: data}
	l.landmarks = n
	l.w = in.getFloat32s(prefix+"weights", n, targetsOf(in.models))
	l.mean = in.getFloat64s(prefix+"mean", targetsOf(in.models))
	settings := in.getFloat64s(prefix+"settings", 4)
	v := min(varianceLandmarks, n)
	all := in.getFloat32s(prefix+"spread", -1, v, v)
	classes := in.rows(prefix + "spread")
	l.class = in.getIndices(prefix+"class", 0, classes, in.models)
	if in.err != nil {
		return in.err
	}
	l.gamma, l.noise = settings[0], [3]float64(settings[1:])
	if !(l.gamma > 0) || !(min(l.noise[0], l.noise[1], l.noise[2]) > 0) || n == 0 {
		return fmt.Errorf("%ssettings: gamma %v, noise %v, %d landmarks", prefix, l.gamma, l.noise, n)
	}
	for c := range classes {
		l.spread = append(l.spread, all[c*v*v:][:v*v])
	}
	return nil
}
