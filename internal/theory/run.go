package theory

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/carrot-router/carrot/internal/parallel"
)

// Schema names the form of a Report as JSON.
const Schema = "carrot.theory/1"

// Config says how much to simulate. The zero value is the full run with seed 0.
type Config struct {
	Seed  uint64
	Quick bool // fewer sizes, repetitions and test queries: seconds, wide intervals
	// Scenarios and settings to run; nil: all of Scenarios and of Settings.
	Scenarios []Scenario
	Settings  []Setting
	// Progress, if set, is called with the number of simulations done and of
	// all. Several goroutines call it.
	Progress func(done, total int)
}

// effort is how much is simulated, full or Quick.
type effort struct {
	sizes       []int // training queries, ascending
	repetitions int   // training sets per size
	tests       int   // test queries per training set, fresh for each
	resamples   int   // of the bootstrap
	truth       int   // queries for a scenario's constants
	lower       lowerEffort
}

// lowerEffort is how much of the least favourable family is simulated.
type lowerEffort struct {
	sizes              []int
	repetitions, tests int
}

func (c *Config) effort() effort {
	if c.Quick {
		return effort{[]int{128, 256, 512, 1024}, 8, 200, 400, 4000,
			lowerEffort{[]int{256, 1024, 4096}, 24, 12}}
	}
	sizes := []int{256, 512, 1024, 2048, 4096, 8192, 16384}
	return effort{sizes, 24, 400, 2000, 50000, lowerEffort{sizes, 128, 24}}
}

// Report is the outcome of Run.
type Report struct {
	Schema      string     `json:"schema"`
	Seed        uint64     `json:"seed"`
	Quick       bool       `json:"quick"`
	Sizes       []int      `json:"sizes"`
	Repetitions int        `json:"repetitions"`
	Tests       int        `json:"test_queries"` // per repetition
	Scenarios   []Result   `json:"scenarios"`
	LowerBound  LowerBound `json:"lower_bound"`
}

// Result is the outcome of one scenario. Risks and worths are in units of
// quality.
type Result struct {
	Scenario
	Exponent float64 `json:"exponent"` // promised
	// BestSingle is the excess risk of sending every query to the best single
	// model.
	BestSingle float64 `json:"best_single"`
	// Hindsight is what a router that saw the outcomes would gain over the best
	// possible router. It is noise, which no router that sees only x can reach.
	Hindsight float64 `json:"hindsight"`
	Methods   []Curve `json:"methods"`
}

// Curve is a method's excess risk against n.
type Curve struct {
	Method Method    `json:"method"`
	Risk   []float64 `json:"risk"`    // one per size, mean over repetitions
	RiskSE []float64 `json:"risk_se"` // standard error over repetitions
	// NoiseAlone is the part of Risk that noise causes by itself, to leading
	// order; the rest is bias. It is absent if k is found from data.
	NoiseAlone []float64 `json:"noise_alone,omitempty"`
	// Promised, Slope and Interval are slopes of log risk against log n: that of
	// theory, that by least squares over all sizes, and the 95% bootstrap
	// interval of the latter over repetitions.
	Promised float64    `json:"promised"`
	Slope    float64    `json:"slope"`
	Interval [2]float64 `json:"interval"`
	// Upper is the slope over the upper half of the sizes, where asymptotics
	// show first, and UpperInterval its interval.
	Upper         float64    `json:"upper_slope"`
	UpperInterval [2]float64 `json:"upper_interval"`
	Verdict       Verdict    `json:"verdict"`
}

// Verdict compares a fitted slope with the promised one.
type Verdict string

// The verdicts.
const (
	Consistent Verdict = "consistent" // the interval over all sizes contains the promised slope
	InLimit    Verdict = "upper half" // only the interval over the upper half of the sizes does
	Faster     Verdict = "faster"     // neither does; over the upper half, risk falls faster
	Slower     Verdict = "slower"     // neither does; over the upper half, risk falls more slowly
	// Undetermined: the risk is zero at too many sizes to fit a slope; slopes
	// are 0.
	Undetermined Verdict = "undetermined"
)

// Run simulates the scenarios and the settings. The same seed gives the same report on any number
// of processors.
func Run(ctx context.Context, c Config) (*Report, error) {
	scenarios, settings, e := c.Scenarios, c.Settings, c.effort()
	if scenarios == nil {
		scenarios = Scenarios()
	}
	if settings == nil {
		settings = Settings()
	}
	for _, s := range settings {
		if err := s.Validate(); err != nil {
			return nil, fmt.Errorf("setting %v: %w", s, err)
		}
	}
	for i := range scenarios {
		if err := scenarios[i].Validate(); err != nil {
			return nil, fmt.Errorf("scenario %q: %w", scenarios[i].Name, err)
		}
		if s := scenarios[i].Seen; !(s > 0 && s <= 1) {
			return nil, fmt.Errorf("scenario %q: seen %v: want a number in (0,1]", scenarios[i].Name, s)
		}
	}
	risks := make([][]([methods]float64), len(scenarios)*len(e.sizes))
	for i := range risks {
		risks[i] = make([][methods]float64, e.repetitions)
	}
	first := len(risks) * e.repetitions
	total := first + len(settings)*len(e.lower.sizes)*e.lower.repetitions
	var done atomic.Int64
	progress := func() {
		if c.Progress != nil {
			c.Progress(int(done.Add(1)), total)
		}
	}
	parallel.Each(first, func(i int) {
		if ctx.Err() != nil {
			return
		}
		// The largest first, so that processors finish at about the same time.
		repetition, scenario := i%e.repetitions, i/e.repetitions%len(scenarios)
		size := len(e.sizes) - 1 - i/e.repetitions/len(scenarios)
		risks[scenario*len(e.sizes)+size][repetition] = scenarios[scenario].simulate(e.sizes[size], e.tests,
			rand.New(rand.NewPCG(c.Seed, uint64(scenario)<<40|uint64(size)<<32|uint64(repetition))))
		progress()
	})
	lower := lowerBound(ctx, c.Seed, settings, e, progress)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &Report{Schema, c.Seed, c.Quick, e.sizes, e.repetitions, e.tests, make([]Result, len(scenarios)), lower}
	parallel.Each(len(scenarios), func(i int) {
		rng := rand.New(rand.NewPCG(c.Seed, 1<<63|uint64(i)))
		r.Scenarios[i] = scenarios[i].result(risks[i*len(e.sizes):][:len(e.sizes)], e, rng)
	})
	return r, nil
}

// simulate draws n training queries and returns each method's mean excess risk
// over fresh test queries.
func (s *Scenario) simulate(n, tests int, rng *rand.Rand) [methods]float64 {
	var risk [methods]float64
	p := &s.Problem
	smoother := newSmoother(s, p.draw(n, s.Seen, rng))
	x, truth := make([]float64, p.Dim), p.vectors()
	for range tests {
		for j := range x {
			x[j] = rng.Float64()
		}
		p.Means(x, truth[quality], truth[cost])
		smoother.excess(x, truth, &risk)
	}
	for m := range risk {
		risk[m] /= float64(tests)
	}
	return risk
}

// result fits the slopes. risks is sizes×repetitions.
func (s *Scenario) result(risks [][][methods]float64, e effort, rng *rand.Rand) Result {
	r := Result{Scenario: *s, Exponent: s.Exponent(), Methods: make([]Curve, 0, methods)}
	r.BestSingle, r.Hindsight = s.constants(e.truth, rng)
	half := len(e.sizes) / 2
	for _, m := range Methods() {
		of := make([][]float64, len(e.sizes))
		c := Curve{Method: m, Promised: s.Promised(m)}
		for i := range of {
			for _, risk := range risks[i] {
				of[i] = append(of[i], risk[m])
			}
			mean, se := meanError(of[i])
			c.Risk, c.RiskSE = append(c.Risk, mean), append(c.RiskSE, se)
			if m != KNNChosen {
				c.NoiseAlone = append(c.NoiseAlone, s.noiseAlone(m, e.sizes[i]))
			}
		}
		c.Slope, c.Interval = slope(e.sizes, c.Risk), bootstrap(e.sizes, of, e.resamples, rng)
		c.Upper, c.UpperInterval = slope(e.sizes[half:], c.Risk[half:]), bootstrap(e.sizes[half:], of[half:], e.resamples, rng)
		c.judge()
		r.Methods = append(r.Methods, c)
	}
	return r
}

func (c *Curve) judge() {
	if math.IsNaN(c.Slope) || math.IsNaN(c.Upper) || math.IsNaN(c.Interval[0]) || math.IsNaN(c.UpperInterval[0]) {
		c.Slope, c.Upper, c.Interval, c.UpperInterval, c.Verdict = 0, 0, [2]float64{}, [2]float64{}, Undetermined
		return
	}
	holds := func(i [2]float64) bool { return i[0] <= c.Promised && c.Promised <= i[1] }
	switch {
	case holds(c.Interval):
		c.Verdict = Consistent
	case holds(c.UpperInterval):
		c.Verdict = InLimit
	case c.Upper < c.Promised:
		c.Verdict = Faster
	default:
		c.Verdict = Slower
	}
}

// constants are the excess risk of the best single model and the worth of
// hindsight, by Monte Carlo over n queries.
func (s *Scenario) constants(n int, rng *rand.Rand) (single, hindsight float64) {
	p := &s.Problem
	x, truth := make([]float64, p.Dim), p.vectors()
	alone := make([]float64, p.Models)
	var best, seen float64
	for range n {
		for j := range x {
			x[j] = rng.Float64()
		}
		p.Means(x, truth[quality], truth[cost])
		best += worth(truth, choice(truth))
		for m := range alone {
			alone[m] += worth(truth, m)
		}
		for m := range alone {
			truth[quality][m] += p.Noise * rng.NormFloat64()
			if !s.CostKnown {
				truth[cost][m] += USDPerQuality * p.Noise * rng.NormFloat64()
			}
		}
		seen += worth(truth, choice(truth))
	}
	return (best - slices.Max(alone)) / float64(n), math.Max(seen-best, 0) / float64(n)
}

// vectors allocates quality and cost of all models.
func (p *Problem) vectors() [metrics][]float64 {
	return [metrics][]float64{make([]float64, p.Models), make([]float64, p.Models)}
}
