package promise

import "math"

// Logit is log(q/(1-q)) of a probability that is kept away from 0 and 1.
func Logit(q float64) float64 {
	const edge = 0.005
	q = min(max(q, edge), 1-edge)
	return math.Log(q / (1 - q))
}

// Logistic is a probability of the form 1/(1+exp(-b·x)).
type Logistic []float64

// At returns the probability at x, which has as many entries as the coefficients.
func (b Logistic) At(x ...float64) float64 {
	var z float64
	for k, v := range b {
		z += v * x[k]
	}
	return 1 / (1 + math.Exp(-z))
}

// newtonSteps is far more than are needed: the penalty keeps the problem convex.
const newtonSteps = 30

// FitLogistic fits coefficients to outcomes y, which are 1 or 0, at the rows of x, which
// has len(prior) entries for each. Coefficients are drawn to prior with a weight in
// queries; without any outcome, they are prior.
func FitLogistic(x, y []float64, prior Logistic, weight float64) Logistic {
	k := len(prior)
	b := append(Logistic(nil), prior...)
	for range newtonSteps {
		gradient, hessian := make([]float64, k), make([]float64, k*k)
		for a := range k {
			gradient[a] = weight * (prior[a] - b[a])
			hessian[a*k+a] = weight
		}
		for i, v := range y {
			row := x[i*k:][:k]
			p := b.At(row...)
			for a := range k {
				gradient[a] += (v - p) * row[a]
				for c := range k {
					hessian[a*k+c] += p * (1 - p) * row[a] * row[c]
				}
			}
		}
		step := solve(hessian, gradient)
		var largest float64
		for a := range k {
			largest = max(largest, math.Abs(step[a]))
		}
		for a := range k {
			b[a] += step[a] / max(largest, 1) // far steps overshoot
		}
		if largest < 1e-9 {
			break
		}
	}
	return b
}

// solve solves a positive definite system, which it overwrites.
func solve(a, b []float64) []float64 {
	n := len(b)
	for i := range n {
		for j := i + 1; j < n; j++ {
			f := a[j*n+i] / a[i*n+i]
			for k := i; k < n; k++ {
				a[j*n+k] -= f * a[i*n+k]
			}
			b[j] -= f * b[i]
		}
	}
	for i := n - 1; i >= 0; i-- {
		for j := i + 1; j < n; j++ {
			b[i] -= a[i*n+j] * b[j]
		}
		b[i] /= a[i*n+i]
	}
	return b
}
