package theory

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// USDPerQuality is the willingness to pay w at which utilities are taken.
const USDPerQuality = 0.01

// turn rotates the circle.
const turn = 0.1

// spread is A, the largest gap between the best and the second-best utility.
const spread = 0.4

// Problem is a routing problem whose difficulty is known. Queries x are uniform
// on [0,1]^Dim. Model m has expected quality q_m(x) and cost c_m(x); an
// observed score is q_m(x) plus Gaussian noise, an observed cost likewise.
//
// # Construction
//
// Let r_ρ be a function of x_2, …, x_d that is Hölder of exponent ρ (see shift).
// Let θ_ρ = x_1 + 1/10 + r_ρ modulo 1, a point on the circle; without the tenth,
// a tie would lie on the edge of the space in one dimension. Divide the circle
// into one arc per model, with lengths in the proportion 2 : 3 : 4 : …. Let D in
// [0,1] be the distance of θ from the nearest end of its arc, divided by half the
// arc's length, and
//
//	s_m(θ) = D in the arc of m; -D in the arc that borders m at that nearest end; else -1.
//
// s_m is continuous. With φ(s) = sign(s)·|s|^(1/α) let ψ_m = φ(s_m). The
// utilities are
//
//	u_m(x) = A/2 · ψ_m(θ_ρ),   ρ = γ·max(1,α),   γ = min(Smoothness, CostSmoothness).
//
// The smoother metric carries v_m = A/4·ψ_m at its own ρ, the other one the
// rest, so that q_m - c_m/w = u_m up to a constant:
//
//	Smoothness <= CostSmoothness:  q_m = 1/2 + u_m - v_m,  c_m = w(1/2 - v_m)
//	otherwise:                     q_m = 1/2 + v_m,        c_m = w(1/2 - u_m + v_m)
//
// # Smoothness
//
// s_m is Lipschitz on the circle and θ_ρ is ρ-Hölder in x (Lipschitz in x_1,
// ρ-Hölder in the rest). φ is Lipschitz on [-1,1] for α <= 1 and Hölder of
// exponent 1/α otherwise. So ψ_m(θ_ρ) is Hölder of exponent ρ/max(1,α) = γ, and
// so are q_m and c_m, each of its own exponent. This needs ρ <= 1, hence γ <= 1
// and αγ <= 1: a smoother function cannot cross zero that steeply. Because arcs
// differ in length, so do the slopes on the two sides of a tie: for α = 1 there
// is a kink where decisions are made, and no estimator gains from more smoothness
// there. With Dim 1 there is no x_2, and the functions are Hölder of exponent
// 1/max(1,α) >= γ.
//
// # Margin
//
// The gap has exponent α exactly. Given x_2, …, x_d, x_1 is uniform on a circle
// of length 1, and so is its rotation θ. Given its arc, θ is uniform on the arc
// and D is uniform on [0,1]. The model of the arc has s = D, the one across the
// nearest end has s = -D, and all others have s = -1 <= -D. So the gap is A·φ(D),
// and for 0 < t <= A
//
//	P(gap <= t) = P(D <= (t/A)^α) = (t/A)^α.
//
// # Rate
//
// With k neighbours, the difference of two estimated utilities has a standard
// deviation of order σ·k^(-1/2), which for the right k is of order
// δ = n^(-γ/(2γ+d)), and by smoothness a bias of at most that order. If the gap is
// below δ, the rule therefore errs with a probability bounded away from zero; if
// it is above, the probability falls like a Gaussian tail in gap/δ. The excess
// risk is of order δ·P(gap <= δ), that is δ^(1+α). So on these problems the
// promised exponent is that of the right k, not just a bound on it. Other choices
// of k have no such guarantee and may do better here; on the least favourable
// problem, which changes with n, none does.
type Problem struct {
	Dim            int     `json:"dim"`
	Smoothness     float64 `json:"smoothness"`      // γ of every q_m, in (0,1]
	CostSmoothness float64 `json:"cost_smoothness"` // γ of every c_m, in (0,1]
	Margin         float64 `json:"margin"`          // α
	// Noise is the standard deviation of an observed score about its
	// expectation, in units of quality, and that of an observed cost, in units
	// of USDPerQuality.
	Noise  float64 `json:"noise"`
	Models int     `json:"models"`
}

// Validate returns an error that says which of the problem's numbers is out of
// range.
func (p *Problem) Validate() error {
	rough := func(name string, g float64) error {
		switch {
		case !(g > 0 && g <= 1):
			return fmt.Errorf("%s %v: want a number in (0,1]", name, g)
		case g*p.Margin > 1:
			return fmt.Errorf("%s %v with margin %v: their product must not exceed 1, or the gap cannot cross zero", name, g, p.Margin)
		}
		return nil
	}
	switch {
	case p.Dim < 1:
		return fmt.Errorf("dim %d: want at least 1", p.Dim)
	case p.Models < 2:
		return fmt.Errorf("models %d: want at least 2", p.Models)
	case !(p.Margin > 0) || math.IsInf(p.Margin, 0):
		return fmt.Errorf("margin %v: want a positive number", p.Margin)
	case !(p.Noise >= 0) || math.IsInf(p.Noise, 0):
		return fmt.Errorf("noise %v: want a number of at least 0", p.Noise)
	}
	if err := rough("smoothness", p.Smoothness); err != nil {
		return err
	}
	return rough("cost smoothness", p.CostSmoothness)
}

// Exponent is the e of the rate n^(-e): γ(1+α)/(2γ+d), where γ is the smoothness of
// the least smooth metric that is estimated.
func (p *Problem) Exponent(costKnown bool) float64 {
	g := p.Smoothness
	if !costKnown {
		g = min(g, p.CostSmoothness)
	}
	return g * (1 + p.Margin) / (2*g + float64(p.Dim))
}

// Neighbours is the right number of neighbours, among n queries, for a metric of
// smoothness γ: n^(2γ/(2γ+d)), rounded. The constant is 1.
func (p *Problem) Neighbours(smoothness float64, n int) int {
	k := math.Round(math.Pow(float64(n), 2*smoothness/(2*smoothness+float64(p.Dim))))
	return min(max(int(k), 1), n)
}

// Bandwidth is the radius of the ball of volume k/n with k = Neighbours. It is of
// order n^(-1/(2γ+d)), and the ball holds about as many queries as KNN has
// neighbours.
func (p *Problem) Bandwidth(smoothness float64, n int) float64 {
	d := float64(p.Dim)
	lg, _ := math.Lgamma(d/2 + 1)
	ball := math.Exp(d/2*math.Log(math.Pi) - lg) // volume of the unit ball
	return math.Pow(math.Pow(float64(n), -d/(2*smoothness+d))/ball, 1/d)
}

// Means writes every model's expected quality and cost (USD) at x, which has
// Dim coordinates in [0,1]. quality and cost have one entry per model.
func (p *Problem) Means(x, quality, cost []float64) {
	rough := p.angle(x, min(p.Smoothness, p.CostSmoothness))
	smooth := p.angle(x, max(p.Smoothness, p.CostSmoothness))
	for m := range quality {
		u, v := spread/2*p.bump(m, rough), spread/4*p.bump(m, smooth)
		if p.Smoothness <= p.CostSmoothness {
			quality[m], cost[m] = 0.5+u-v, USDPerQuality*(0.5-v)
		} else {
			quality[m], cost[m] = 0.5+v, USDPerQuality*(0.5-u+v)
		}
	}
}

// angle is θ_ρ for a function of smoothness γ.
func (p *Problem) angle(x []float64, smoothness float64) float64 {
	_, theta := math.Modf(x[0] + turn + 1 + shift(x[1:], smoothness*max(1, p.Margin)))
	return theta
}

// bump is ψ_m.
func (p *Problem) bump(m int, theta float64) float64 {
	arc, depth, across := p.locate(theta)
	s := -1.0
	switch m {
	case arc:
		s = depth
	case across:
		s = -depth
	}
	return math.Copysign(math.Pow(math.Abs(s), 1/p.Margin), s)
}

// locate returns the arc of θ, D, and the model across the nearest end.
func (p *Problem) locate(theta float64) (arc int, depth float64, across int) {
	unit := 1 / float64(p.Models*(p.Models+3)/2) // 2 + 3 + … + (Models+1)
	end := 0.0
	for m := range p.Models {
		start, length := end, unit*float64(m+2)
		if end += length; theta >= end && m < p.Models-1 {
			continue
		}
		if left, right := theta-start, end-theta; left < right {
			return m, max(2*left/length, 0), (m + p.Models - 1) % p.Models
		} else {
			return m, max(2*right/length, 0), (m + 1) % p.Models
		}
	}
	panic("unreachable")
}

// Gap is the difference between the best and the second-best utility at x.
func (p *Problem) Gap(x []float64) float64 {
	quality, cost := make([]float64, p.Models), make([]float64, p.Models)
	p.Means(x, quality, cost)
	first, second := math.Inf(-1), math.Inf(-1)
	for m, q := range quality {
		switch u := q - cost[m]/USDPerQuality; {
		case u > first:
			first, second = u, first
		case u > second:
			second = u
		}
	}
	return first - second
}

// sample holds n queries and the outcomes of all models on them.
type sample struct {
	x []float64          // n×Dim
	y [metrics][]float64 // quality and cost (USD), each n×Models
}

// draw draws n queries with x_1 in [1-seen,1] and observes all models on them.
func (p *Problem) draw(n int, seen float64, rng *rand.Rand) *sample {
	s := &sample{x: make([]float64, n*p.Dim)}
	for i := range s.y {
		s.y[i] = make([]float64, n*p.Models)
	}
	for i := range n {
		x := s.x[i*p.Dim:][:p.Dim]
		for j := range x {
			x[j] = rng.Float64()
		}
		x[0] = 1 - seen*(1-x[0])
		q, c := s.y[quality][i*p.Models:][:p.Models], s.y[cost][i*p.Models:][:p.Models]
		p.Means(x, q, c)
		for m := range q {
			q[m] += p.Noise * rng.NormFloat64()
			c[m] += USDPerQuality * p.Noise * rng.NormFloat64()
		}
	}
	return s
}
