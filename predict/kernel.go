package predict

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/dot"
	"github.com/carrot-router/carrot/internal/parallel"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// kernel is kernel ridge regression, the mean of a Gaussian process, with the
// RBF kernel exp(-γ|x-z|²) on the Nyström features of L landmarks (training
// queries drawn at random): with K the n×L and K_LL the L×L kernel matrix,
//
//	W = (KᵀK + noise·K_LL)⁻¹ Kᵀ(y - mean),   ŷ(x) = mean + k(x)ᵀW
//
// One Cholesky factor serves all targets of equal coverage and noise. The
// variance is that of the process on the first landmarks V alone,
//
//	(1 - k(x)ᵀ[K_VV⁻¹ - noise·(KᵀK + noise·K_VV)⁻¹]k(x)) / noise
//
// which falls with data nearby and rises to 1/noise away from them.
type kernel struct {
	gamma     float64
	noise     [3]float64 // by side
	landmarks int

	z      blas32.General // L×d
	w      []float32      // T×L row-major
	mean   []float64      // T
	spread [][]float32    // per variance class, V×V: R with RᵀR = K_VV⁻¹ - noise·A⁻¹
	class  []int32        // the variance class of each model

	further bool // see again
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

// tune searches γ, and for each side the noise, by the out-of-fold loss. With at
// most roughLandmarks landmarks the ranking is the same and found four times as
// fast.
func (l *kernel) tune(ctx context.Context, p *problem, fold []int) error {
	p.progress("choosing the settings of kernel")
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
	return nil
}

// draw chooses the landmarks of a problem, by its seed, if there are none yet.
func (l *kernel) draw(p *problem) {
	if l.further {
		return
	}
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
		similarity[i] = float32(exp(g * (float64(s) - 1)))
	}
}

const expSteps = 256

// expTable holds the bits of 2^(k/256).
var expTable = func() (t [expSteps]uint64) {
	for k := range t {
		t[k] = math.Float64bits(math.Exp2(float64(k) / expSteps))
	}
	return t
}()

// exp is e^x = 2^(k/256)·e^r to 11 digits, of which a float32 keeps 7, in a third
// of the time of math.Exp. x is clamped to [-700,700].
func exp(x float64) float64 {
	if x < -700 {
		x = -700
	}
	if x > 700 {
		x = 700
	}
	k := int(x*(expSteps/math.Ln2) - 0.5)
	r := x - float64(k)*(math.Ln2/expSteps)
	return math.Float64frombits(expTable[k&(expSteps-1)]+uint64(k>>8)<<52) * (1 + r + r*r*(0.5+r*(1.0/6)))
}

// matrix returns the kernel of the rows of x against the landmarks, n×L.
func (l *kernel) matrix(x blas32.General) blas32.General {
	k := blas32.General{Rows: x.Rows, Cols: l.z.Rows, Stride: l.z.Rows, Data: make([]float32, x.Rows*l.z.Rows)}
	if x.Cols > 0 {
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, x, l.z, 0, k)
	}
	parallel.Ranges(len(k.Data), func(lo, hi int) { l.apply(k.Data[lo:hi]) })
	return k
}

// losses returns the out-of-fold loss of each side at each noise.
func (l *kernel) losses(ctx context.Context, p *problem, fold []int, noises []float64) (losses [3][]float64, err error) {
	s, err := l.system(ctx, p, fold, foldCount)
	if err != nil {
		return losses, err
	}
	raw := make([]float64, p.n*p.targets())
	for _, noise := range noises {
		for f := range foldCount {
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

// flipped returns the columns of a row-major matrix as rows.
func flipped(a []float32, columns int) []float32 {
	rows, out := len(a)/columns, make([]float32, len(a))
	for i := range rows {
		for j := range columns {
			out[j*rows+i] = a[i*columns+j]
		}
	}
	return out
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
		parallel.Ranges(len(rows), func(lo, hi int) {
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

func (l *kernel) again() learner {
	return &kernel{gamma: l.gamma, noise: l.noise, landmarks: l.landmarks, z: l.z, further: true}
}

func (l *kernel) predict(x *carrot.Representation, w *workspace, raw, variance []float64) {
	n, t := l.z.Rows, len(l.mean)
	if !l.further {
		w.kernel = grow(w.kernel, n)
		if l.z.Cols > 0 {
			dot.Rows(w.kernel, l.z.Data, x.Dense)
		}
		l.apply(w.kernel)
	}
	w.y = grow(w.y, t)
	dot.Rows(w.y, l.w, w.kernel)
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
		dot.Rows(w.proj, r, k[:v])
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
	if l.further {
		out.float32s(prefix+"weights", flipped(l.w, l.z.Rows), l.z.Rows, len(l.mean))
		out.float64s(prefix+"mean", l.mean, len(l.mean))
		return
	}
	out.float32s(prefix+"landmarks", l.z.Data, l.z.Rows, l.z.Cols)
	out.float32s(prefix+"weights", flipped(l.w, l.z.Rows), l.z.Rows, len(l.mean))
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
	if l.further {
		weights := in.getFloat32s(prefix+"weights", l.z.Rows, in.targets())
		if l.mean = in.getFloat64s(prefix+"mean", in.targets()); in.err == nil {
			l.w = flipped(weights, in.targets())
		}
		return in.err
	}
	data := in.getFloat32s(prefix+"landmarks", -1, in.dense)
	n := in.rows(prefix + "landmarks")
	l.z = blas32.General{Rows: n, Cols: in.dense, Stride: max(in.dense, 1), Data: data}
	l.landmarks = n
	weights := in.getFloat32s(prefix+"weights", n, targetsOf(in.models))
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
	l.w = flipped(weights, targetsOf(in.models))
	for c := range classes {
		l.spread = append(l.spread, all[c*v*v:][:v*v])
	}
	return nil
}
