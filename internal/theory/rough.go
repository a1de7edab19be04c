package theory

import "math"

const (
	// shiftSpan bounds |shift|, as a share of the circle.
	shiftSpan = 0.2
	// octaves is the number of scales of a rough function. The finest, 2^-16, is
	// far below the distance between neighbours.
	octaves = 17
)

// shift is r_ρ: the mean over the coordinates of a function that is Hölder of
// exponent ρ and, for ρ < 1, no smoother on any scale down to 2^-16. Without
// coordinates it is zero.
func shift(x []float64, rho float64) float64 {
	if len(x) == 0 {
		return 0
	}
	var sum float64
	for i, c := range x {
		sum += rough(c+golden*float64(i), rho)
	}
	return shiftSpan * sum / float64(len(x))
}

// golden spreads phases, so that scales and coordinates do not line up.
const golden = 0.6180339887498949

// rough is a Takagi-Landsberg function, Σ_j 2^(-ρj)·triangle(2^j·t), scaled
// into [-1,1]. With δ = |t-t'|, term j differs by at most 2^(-ρj)·min(2, 4·2^j·δ);
// summed on either side of 2^j = 1/δ that is at most a constant times δ^ρ for
// ρ < 1. At ρ = 1, where the series is not Lipschitz, it is one triangle wave.
func rough(t, rho float64) float64 {
	if rho >= 1 {
		return triangle(t)
	}
	ratio := math.Exp2(-rho)
	var sum, total float64
	weight, scale := 1.0, 1.0
	for j := range octaves {
		sum += weight * triangle(scale*t+golden*float64(j))
		total += weight
		weight *= ratio
		scale *= 2
	}
	return sum / total
}

// triangle is the wave of period 1 between -1 at whole numbers and 1 halfway;
// its slope is ±4.
func triangle(t float64) float64 {
	_, f := math.Modf(t)
	return 1 - 4*math.Abs(f-0.5)
}
