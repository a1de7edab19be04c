package theory

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/parallel"
)

// Setting names a class of problems: dimension, smoothness and margin. The
// least favourable family of the class has another problem for every n.
//
// # The family
//
// Two models have the same utility everywhere but on bumps, where one of
// them, drawn at random for each bump, is better by the bump's height. A bump sits
// in a cell of a grid: its height is full within a quarter of the cell's width
// of the centre and falls to zero at half of it. Queries are uniform on the balls
// where the height is full, so that no query is between bumps. There are two
// kinds of bumps,
//
//	            number        width      height     share of queries
//	narrow      q^(d-αγ)      1/q        q^(-γ)     q^(-αγ)              q = n^(1/(2γ+d))
//	wide        constant      constant   constant   the rest
//
// up to constants that fix their values at n = 256 for all settings. The number
// of narrow bumps is rounded up or down at random, so that its mean is exact. Such
// grids of bumps are how lower bounds of this kind are proved; there, a region
// without regret is usual in the place of wide bumps.
//
// # It belongs to the class
//
// Height over width^γ is the same at every n, so all functions are Hölder of
// exponent γ <= 1 with one constant. The gap is the height of the bump, so for t
// below the height of the wide bumps P(gap <= t) is at most the share of narrow
// ones, if t is at least their height, else 0: at most a constant times t^α. The
// density of queries on a ball is the same at every n. It needs αγ <= d, or there
// would be less than one bump.
//
// # No rule does better
//
// A narrow bump gets of the order of n·q^(-d) = q^(2γ) queries, and its sign shows
// in each of them as q^(-γ) in noise of constant size. So even a rule that is told
// everything but the signs errs on every narrow bump with a probability that
// does not fall with n; see leastRisk. Its risk is that constant times height times
// share, q^(-γ(1+α)) = n^(-e).
//
// # The plug-in rule
//
// With k of the order of q^(2γ), all neighbours lie on the same bump and the rule
// errs with a constant probability as well, now a larger one: it has the
// exponent of the bound. Fewer neighbours leave noise on wide bumps, and more
// average over several of them, which costs a constant. So does leaving out cost:
// on every bump the first model has the higher quality, and cost decides.
type Setting struct {
	Dim        int     `json:"dim"`
	Smoothness float64 `json:"smoothness"` // γ of quality and cost, in (0,1]
	Margin     float64 `json:"margin"`     // α, at most Dim/Smoothness
}

// Settings returns the settings of carrot theory: every combination of four
// dimensions and five pairs of smoothness and margin.
func Settings() []Setting {
	var out []Setting
	for d := 1; d <= 4; d++ {
		for _, p := range [][2]float64{{0.5, 1}, {0.5, 2}, {0.75, 1}, {1, 0.5}, {1, 1}} {
			out = append(out, Setting{d, p[0], p[1]})
		}
	}
	return out
}

// Validate returns an error that says which number is out of range.
func (s Setting) Validate() error {
	switch {
	case s.Dim < 1:
		return fmt.Errorf("dim %d: want at least 1", s.Dim)
	case !(s.Smoothness > 0 && s.Smoothness <= 1):
		return fmt.Errorf("smoothness %v: want a number in (0,1]", s.Smoothness)
	case !(s.Margin > 0 && s.Margin*s.Smoothness <= float64(s.Dim)):
		return fmt.Errorf("margin %v: want a positive number of at most dim/smoothness = %v", s.Margin, float64(s.Dim)/s.Smoothness)
	}
	return nil
}

// Exponent is the minimax exponent e = γ(1+α)/(2γ+d).
func (s Setting) Exponent() float64 {
	return s.Smoothness * (1 + s.Margin) / (2*s.Smoothness + float64(s.Dim))
}

// The family's constants: what is the same for all settings at baseSize
// queries, the wide bumps, and the noise of an observed quality and cost, in
// units of quality.
const (
	baseSize       = 256
	baseNeighbours = 16
	baseBumps      = 4
	baseShare      = 0.5
	baseWidth      = 1. / 16
	baseHeight     = 0.1
	wideBumps      = 4
	wideWidth      = 1. / 16
	wideSpacing    = 1. / 8
	wideHeight     = 0.5
	bumpNoise      = 0.25
	// premium is by how much the first model's quality, and its cost in units of
	// USDPerQuality, exceeds the second's where utilities tie.
	premium = 0.3
)

// member is the family's problem for n queries, but for the signs.
type member struct {
	Setting
	n             int
	k             int     // the right number of neighbours
	bandwidth     float64 // the right bandwidth: just the bump's other end
	bumps         float64 // mean number of narrow bumps
	each          float64 // share of queries on one of them
	width, height float64
}

func (s Setting) member(n int) member {
	power := func(a float64) float64 {
		return math.Pow(float64(n)/baseSize, a/(2*s.Smoothness+float64(s.Dim)))
	}
	d := float64(s.Dim)
	width := baseWidth * power(-1)
	return member{
		Setting: s, n: n,
		k:         int(math.Round(baseNeighbours * power(2*s.Smoothness))),
		bandwidth: width / 2,
		bumps:     baseBumps * power(d-s.Margin*s.Smoothness),
		each:      baseShare / baseBumps * power(-d),
		width:     width,
		height:    baseHeight * power(-s.Smoothness),
	}
}

// share is the mean share of queries on narrow bumps.
func (m *member) share() float64 { return m.bumps * m.each }

// bump is a region where one of two models is better.
type bump struct {
	centre []float64
	width  float64
	height float64 // negative if the second model is better
}

// at is the difference of utilities that the bump makes at x.
func (b *bump) at(x []float64) float64 {
	var square float64
	for j, c := range b.centre {
		square += (x[j] - c) * (x[j] - c)
	}
	return b.height * min(max(2-4*math.Sqrt(square)/b.width, 0), 1)
}

// query writes a query on the bump.
func (b *bump) query(x []float64, rng *rand.Rand) {
	var square float64
	for j := range x {
		x[j] = rng.NormFloat64()
		square += x[j] * x[j]
	}
	radius := b.width / 4 * math.Pow(rng.Float64(), 1/float64(len(x))) / math.Sqrt(square)
	for j, c := range b.centre {
		x[j] = c + radius*x[j]
	}
}

// draw draws positions and signs of bumps, first the wide ones.
func (m *member) draw(rng *rand.Rand) (wide, narrow []bump) {
	signed := func(height float64) float64 {
		if rng.IntN(2) == 0 {
			return -height
		}
		return height
	}
	for i := range wideBumps {
		centre := slices.Repeat([]float64{0.5}, m.Dim)
		centre[0] += (float64(i) + 0.5) * wideSpacing
		wide = append(wide, bump{centre, wideWidth, signed(wideHeight)})
	}
	// Cells in the half of the space that has no wide bumps.
	cells := make([]int, m.Dim)
	taken := map[string]bool{}
	for count := int(m.bumps + rng.Float64()); len(narrow) < count; {
		centre := make([]float64, m.Dim)
		for j := range cells {
			side := 1.0
			if j == 0 {
				side = 0.5
			}
			cells[j] = rng.IntN(int(side / m.width))
			centre[j] = (float64(cells[j]) + 0.5) * m.width
		}
		if key := fmt.Sprint(cells); !taken[key] {
			taken[key] = true
			narrow = append(narrow, bump{centre, m.width, signed(m.height)})
		}
	}
	return wide, narrow
}

// means writes quality and cost (USD) of both models where the first is better
// by gap.
func means(gap float64, quality, cost []float64) {
	q, c := premium+gap/2, premium-gap/2
	quality[0], quality[1] = 0.5+q/2, 0.5-q/2
	cost[0], cost[1] = USDPerQuality*(0.5+c/2), USDPerQuality*(0.5-c/2)
}

// Rule is a router of the lower-bound experiment.
type Rule int

// The rules, in the order of reports.
const (
	RightK     Rule = iota // the plug-in rule on as many neighbours as the rate asks for
	RightH                 // the plug-in rule on a kernel of the right bandwidth
	OneNearest             // the plug-in rule on one neighbour at every n
	HalfOfAll              // the plug-in rule on half of all queries at every n
	IgnoreCost             // RightK, but the best quality at any cost
	rules
)

// String is the rule's name in reports.
func (r Rule) String() string {
	return [...]string{"knn, right k", "kernel, right h", "knn, k = 1", "knn, k = n/2", "right k, cost ignored"}[r]
}

// MarshalText writes the name.
func (r Rule) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// simulate draws a problem and n training queries and returns each rule's excess
// risk over tests queries on narrow bumps and half as many on wide ones, weighted
// by their share.
func (m *member) simulate(tests int, rng *rand.Rand) [rules]float64 {
	wide, narrow := m.draw(rng)
	share := float64(len(narrow)) * m.each
	e := bumpEstimator{member: m, x: make([]float64, m.n*m.Dim), all: make([]neighbour, m.n)}
	for i := range e.y {
		e.y[i] = make([]float64, m.n*2)
	}
	for i := range m.n {
		of := wide
		if rng.Float64() < share {
			of = narrow
		}
		b := &of[rng.IntN(len(of))]
		b.query(e.x[i*m.Dim:][:m.Dim], rng)
		q, c := e.y[quality][i*2:][:2], e.y[cost][i*2:][:2]
		means(b.height, q, c)
		for j := range q {
			q[j] += bumpNoise * rng.NormFloat64()
			c[j] += USDPerQuality * bumpNoise * rng.NormFloat64()
		}
	}
	var risk [rules]float64
	x := make([]float64, m.Dim)
	add := func(of []bump, weight float64, tests int) {
		for range tests {
			b := &of[rng.IntN(len(of))]
			b.query(x, rng)
			for r, chosen := range e.choices(x) {
				if (chosen == 0) != (b.height > 0) {
					risk[r] += math.Abs(b.height) * weight / float64(tests)
				}
			}
		}
	}
	add(wide, 1-share, max(tests/2, 1))
	if len(narrow) > 0 {
		add(narrow, share, tests)
	}
	return risk
}

// bumpEstimator is the plug-in rule on a training set of two models.
type bumpEstimator struct {
	*member
	x   []float64          // n×Dim
	y   [metrics][]float64 // n×2
	all []neighbour
}

// choices returns what each rule chooses at x.
func (e *bumpEstimator) choices(x []float64) (out [rules]int) {
	h2 := e.bandwidth * e.bandwidth
	var local weighted
	for i := range e.all {
		var square float64
		for j, c := range e.x[i*e.Dim:][:e.Dim] {
			square += (c - x[j]) * (c - x[j])
		}
		e.all[i] = neighbour{square, int32(i)}
		if square < h2 {
			e.add(&local, i, 1-square/h2)
		}
	}
	near := nearest(e.all, e.n/2)
	half := e.mean(near)
	out[HalfOfAll] = half.choice(USDPerQuality)
	near = nearest(near, e.k)
	right := e.mean(near)
	out[RightK] = right.choice(USDPerQuality)
	out[IgnoreCost] = right.choice(math.Inf(1))
	one := e.mean(nearest(near, 1))
	out[OneNearest] = one.choice(USDPerQuality)
	if local.weight == 0 {
		local = e.mean(e.all)
	}
	out[RightH] = local.choice(USDPerQuality)
	return out
}

// weighted is a weighted sum of the metrics of both models.
type weighted struct {
	y      [metrics][2]float64
	weight float64
}

func (e *bumpEstimator) add(to *weighted, row int, weight float64) {
	for i := range to.y {
		for j := range to.y[i] {
			to.y[i][j] += weight * e.y[i][row*2+j]
		}
	}
	to.weight += weight
}

func (e *bumpEstimator) mean(of []neighbour) (out weighted) {
	for _, a := range of {
		e.add(&out, int(a.row), 1)
	}
	return out
}

// choice is the model with the highest estimated utility at a willingness to pay.
func (w *weighted) choice(usdPerQuality float64) int {
	for i := range w.y {
		for j := range w.y[i] {
			w.y[i][j] /= w.weight
		}
	}
	w.weight = 1
	return carrot.Choose(w.y[quality][:], w.y[cost][:], usdPerQuality)
}

// leastRisk is a bound below the mean risk of every rule over the signs of
// narrow bumps. A rule that knows all but the signs does best by the sign of the
// mean observed gap between utilities on a bump, which has variance 4σ²/N with N
// queries there: it errs with probability Φ(-height·√N/(2σ)), and N is binomial.
// Wide bumps are taken to cost nothing.
func (m *member) leastRisk() float64 {
	var wrong float64
	n := float64(m.n)
	lgamma := func(x float64) float64 { v, _ := math.Lgamma(x); return v }
	for i := range m.n + 1 {
		k := float64(i)
		probability := math.Exp(lgamma(n+1) - lgamma(k+1) - lgamma(n-k+1) + k*math.Log(m.each) + (n-k)*math.Log1p(-m.each))
		wrong += probability * math.Erfc(m.height*math.Sqrt(k)/(2*bumpNoise)/math.Sqrt2) / 2
	}
	return m.share() * m.height * wrong
}

// LowerBound is the outcome of the lower-bound experiment.
type LowerBound struct {
	Sizes       []int         `json:"sizes"`
	Repetitions int           `json:"repetitions"`
	Tests       int           `json:"test_queries"` // per repetition, on narrow bumps; half as many on wide ones
	Settings    []LeastResult `json:"settings"`
}

// LeastResult is the outcome of one setting.
type LeastResult struct {
	Setting
	Exponent float64 `json:"exponent"`
	// LeastRisk is, for each size, what no rule's risk can be below.
	LeastRisk []float64   `json:"least_risk"`
	Rules     []RuleCurve `json:"rules"`
}

// RuleCurve is a rule's excess risk against n, as in Curve.
type RuleCurve struct {
	Rule     Rule       `json:"rule"`
	Risk     []float64  `json:"risk"`
	RiskSE   []float64  `json:"risk_se"`
	Slope    float64    `json:"slope"`
	Interval [2]float64 `json:"interval"`
	// Minimax reports whether the interval contains minus the exponent.
	Minimax bool `json:"minimax"`
}

// lowerBound simulates the settings. After a cancellation its result is of no use.
func lowerBound(ctx context.Context, seed uint64, settings []Setting, all effort, progress func()) LowerBound {
	e := all.lower
	out := LowerBound{e.sizes, e.repetitions, e.tests, make([]LeastResult, len(settings))}
	risks := make([][][rules]float64, len(settings)*len(e.sizes))
	for i := range risks {
		risks[i] = make([][rules]float64, e.repetitions)
	}
	parallel.Each(len(risks)*e.repetitions, func(i int) {
		if ctx.Err() != nil {
			return
		}
		// The largest first, as in Run. Streams differ from those of Run by a bit.
		repetition, setting := i%e.repetitions, i/e.repetitions%len(settings)
		size := len(e.sizes) - 1 - i/e.repetitions/len(settings)
		m := settings[setting].member(e.sizes[size])
		risks[setting*len(e.sizes)+size][repetition] = m.simulate(e.tests,
			rand.New(rand.NewPCG(seed, 1<<62|uint64(setting)<<40|uint64(size)<<32|uint64(repetition))))
		progress()
	})
	if ctx.Err() != nil {
		return out
	}
	parallel.Each(len(settings), func(i int) {
		rng := rand.New(rand.NewPCG(seed, 3<<62|uint64(i)))
		out.Settings[i] = settings[i].leastResult(e.sizes, risks[i*len(e.sizes):][:len(e.sizes)], all.resamples, rng)
	})
	return out
}

// leastResult fits the slopes. risks is sizes×repetitions.
func (s Setting) leastResult(sizes []int, risks [][][rules]float64, resamples int, rng *rand.Rand) LeastResult {
	out := LeastResult{Setting: s, Exponent: s.Exponent()}
	for _, n := range sizes {
		m := s.member(n)
		out.LeastRisk = append(out.LeastRisk, m.leastRisk())
	}
	for rule := range rules {
		of := make([][]float64, len(sizes))
		c := RuleCurve{Rule: rule}
		for i := range of {
			for _, risk := range risks[i] {
				of[i] = append(of[i], risk[rule])
			}
			mean, se := meanError(of[i])
			c.Risk, c.RiskSE = append(c.Risk, mean), append(c.RiskSE, se)
		}
		c.Slope, c.Interval = slope(sizes, c.Risk), bootstrap(sizes, of, resamples, rng)
		if math.IsNaN(c.Slope) || math.IsNaN(c.Interval[0]) {
			c.Slope, c.Interval = 0, [2]float64{}
		}
		c.Minimax = c.Interval[0] <= -s.Exponent() && -s.Exponent() <= c.Interval[1]
		out.Rules = append(out.Rules, c)
	}
	return out
}
