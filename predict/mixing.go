package predict

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// mixing shrinks raw outputs along the directions in which they vary together. Models
// differ in few ways from query to query, and a learner that fits each of them alone
// adds noise in all other directions, which decides whenever two models are close. So
// the predictions of all models are turned to their principal directions, out of fold,
// and each direction is scaled by the slope of what was observed on what was predicted,
// which is near 1 where the learner is right and 0 where it predicts noise.
type mixing [2]struct { // of differences and of volumes
	mean   []float64 // M
	matrix []float64 // M×M row-major: deviations from the mean are multiplied by it
}

// newMixing finds the directions of out-of-fold raw outputs and their slopes.
func newMixing(p *problem, raw []float64) *mixing {
	x := &mixing{}
	t, m := p.targets(), p.models
	for side := range x {
		from := side * m
		predicted, observed := make([]float64, m), p.means(nil)[from:from+m]
		for i := range p.n {
			for j := range m {
				predicted[j] += raw[i*t+from+j] / float64(p.n)
			}
		}
		covariance := mat.NewSymDense(m, nil)
		for i := range p.n {
			row := raw[i*t+from:][:m]
			for a := range m {
				for b := a; b < m; b++ {
					covariance.SetSym(a, b, covariance.At(a, b)+(row[a]-predicted[a])*(row[b]-predicted[b]))
				}
			}
		}
		x[side].mean, x[side].matrix = predicted, make([]float64, m*m)
		var eigen mat.EigenSym
		var v mat.Dense
		if !eigen.Factorize(covariance, true) {
			for j := range m {
				x[side].matrix[j*m+j] = 1
			}
			continue
		}
		eigen.VectorsTo(&v)
		for k := range m {
			var both, square float64
			for i := range p.n {
				var along float64
				for j := range m {
					along += (raw[i*t+from+j] - predicted[j]) * v.At(j, k)
				}
				for j := range m {
					if y := p.target[i*t+from+j]; !math.IsNaN(y) {
						both += along * v.At(j, k) * (y - observed[j])
						square += along * along * v.At(j, k) * v.At(j, k)
					}
				}
			}
			slope := 0.0
			if square > 0 {
				slope = min(max(both/square, 0), 1)
			}
			for a := range m {
				for b := range m {
					x[side].matrix[a*m+b] += slope * v.At(a, k) * v.At(b, k)
				}
			}
		}
	}
	x.dampen(m)
	return x
}

// ownVolume is what is left of the deviation of a model's volume from what all models
// have in common on a query. Lengths that one model alone is said to write turn more
// choices than they improve (docs/log.md).
const ownVolume = 0.25

// dampen shrinks the volumes' deviations.
func (x *mixing) dampen(models int) {
	matrix := x[sideVolume].matrix
	for k := range models {
		var common float64
		for j := range models {
			common += matrix[j*models+k] / float64(models)
		}
		for j := range models {
			at := &matrix[j*models+k]
			*at = common + ownVolume*(*at-common)
		}
	}
}

// apply changes rows of raw outputs.
func (x *mixing) apply(raw []float64, models int) {
	t := targetsOf(models)
	deviation := make([]float64, models)
	for at := 0; at < len(raw); at += t {
		for side := range x {
			part := raw[at+side*models:][:models]
			for j := range part {
				deviation[j] = part[j] - x[side].mean[j]
			}
			for j := range part {
				part[j] = x[side].mean[j]
				for k, d := range deviation {
					part[j] += x[side].matrix[j*models+k] * d
				}
			}
		}
	}
}

// scale multiplies weights, one for each target, by the matrices.
func (x *mixing) scale(weights, scratch []float64, models int) {
	for side := range x {
		part := weights[side*models:][:models]
		copy(scratch, part)
		for j := range part {
			part[j] = 0
			for k, w := range scratch[:models] {
				part[j] += x[side].matrix[j*models+k] * w
			}
		}
	}
}

// linear reports whether a learner is linear in weights that can be mixed.
func linear(l learner) bool {
	switch l := l.(type) {
	case *kernel, *sparse:
		return true
	case *blend:
		return !slices.ContainsFunc(l.parts, func(part learner) bool { return !linear(part) })
	}
	return false
}

// mixed applies a mixing to the weights of a linear learner, so that predicting takes no
// longer.
func mixed(l learner, x *mixing, models int) {
	switch l := l.(type) {
	case *kernel:
		rows := x.columns(flipped(l.w, l.z.Rows), models)
		l.w = flipped(rows, targetsOf(models))
		x.apply(l.mean, models)
	case *sparse:
		l.weights = halved(x.columns(l.weights, models))
		x.apply(l.mean, models)
	case *blend:
		for _, part := range l.parts {
			mixed(part, x, models)
		}
	}
}

// columns multiplies each row of weights, which has a column for each target.
func (x *mixing) columns(weights []float32, models int) []float32 {
	t := targetsOf(models)
	row, scratch := make([]float64, t), make([]float64, models)
	for at := 0; at < len(weights); at += t {
		for c, w := range weights[at:][:t] {
			row[c] = float64(w)
		}
		x.scale(row, scratch, models)
		for c, w := range row {
			weights[at+c] = float32(w)
		}
	}
	return weights
}
