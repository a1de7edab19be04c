package predict

import "math"

// cgJob is a block of columns to solve on the same rows, with the squares of
// their buckets. A column ignores the rows on which it was not observed.
type cgJob struct {
	rows    []int32
	columns []int
	alpha   block // of each column
	seen    []float32
}

type block = [cgBlock]float32

// conjugate solves (XᵀX + αI)w = Xᵀ(y - mean) for one block of columns, by
// conjugate gradients preconditioned with the diagonal.
func (l *sparse) conjugate(p *problem, b *bag, job cgJob) {
	w, r := make([]block, l.buckets), make([]block, l.buckets)
	direction, image := make([]block, l.buckets), make([]block, l.buckets)
	inverse := make([]float32, l.buckets)
	for j, s := range job.seen {
		inverse[j] = 1 / (s + job.alpha[0])
	}
	mask := l.rightHandSide(p, b, job, r)
	for j := range direction {
		for k := range direction[j] {
			direction[j][k] = inverse[j] * r[j][k]
		}
	}
	tolerance := cgTolerance
	if l.rough {
		tolerance = roughTolerance
	}
	goal := dots(r, direction)
	rz := goal
	for range cgIterations {
		if converged(rz, goal, tolerance) {
			break
		}
		b.normal(job.rows, mask, direction, image, &job.alpha)
		curve := dots(direction, image)
		var step, back block
		for k := range step {
			if curve[k] > 0 {
				step[k] = float32(rz[k] / curve[k])
			}
		}
		next := advance(w, r, direction, image, inverse, &step)
		for k := range back {
			if rz[k] > 0 {
				back[k] = float32(next[k] / rz[k])
			}
		}
		rz = next
		for j := range direction {
			for k := range back {
				direction[j][k] = inverse[j]*r[j][k] + back[k]*direction[j][k]
			}
		}
	}
	t := p.targets()
	for j := range w {
		for k, c := range job.columns {
			l.weights[j*t+c] = w[j][k]
		}
	}
}

// advance steps w along the directions, updates the residual r and returns its
// product with the preconditioned residual.
func advance(w, r, direction, image []block, inverse []float32, step *block) (rz [cgBlock]float64) {
	for j := range w {
		for k := range step {
			w[j][k] += step[k] * direction[j][k]
			r[j][k] -= step[k] * image[j][k]
			rz[k] += float64(r[j][k]) * float64(r[j][k]) * float64(inverse[j])
		}
	}
	return rz
}

// rightHandSide writes Xᵀ(y - mean) and returns a mask for each row: 1 for the
// columns that were observed on it, 0 for the others.
func (l *sparse) rightHandSide(p *problem, b *bag, job cgJob, out []block) []block {
	t := p.targets()
	mask := make([]block, len(job.rows))
	for at, i := range job.rows {
		var y block
		for k, c := range job.columns {
			if v := p.target[int(i)*t+c]; !math.IsNaN(v) {
				y[k], mask[at][k] = float32(v-l.mean[c]), 1
			}
		}
		index, value := b.row(int(i))
		for at, j := range index {
			v, o := value[at], &out[j]
			for k := range y {
				o[k] += v * y[k]
			}
		}
	}
	return mask
}

// normal writes (XᵀX + αI)v over the given rows, of which each counts for the
// columns in its mask.
func (b *bag) normal(rows []int32, mask, v, out []block, alpha *block) {
	for j := range out {
		for k := range out[j] {
			out[j][k] = alpha[k] * v[j][k]
		}
	}
	for at, i := range rows {
		index, value := b.row(int(i))
		var y block
		for n, j := range index {
			x, p := value[n], &v[j]
			for k := range y {
				y[k] += x * p[k]
			}
		}
		m := &mask[at]
		for k := range y {
			y[k] *= m[k]
		}
		for n, j := range index {
			x, o := value[n], &out[j]
			for k := range y {
				o[k] += x * y[k]
			}
		}
	}
}

// dots returns the dot product of each column of a and b.
func dots(a, b []block) (sum [cgBlock]float64) {
	for j := range a {
		for k := range sum {
			sum[k] += float64(a[j][k]) * float64(b[j][k])
		}
	}
	return sum
}

func converged(rz, goal [cgBlock]float64, tolerance float64) bool {
	for k := range rz {
		if rz[k] > tolerance*tolerance*goal[k] {
			return false
		}
	}
	return true
}
