package learn

import (
	"math"
	"time"

	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/internal/offpolicy"
)

const (
	// usualGap is the gap between the residuals of chosen and drawn requests that is
	// expected where nothing is known of it; wideGap is one under which inverse
	// propensities are all that counts.
	usualGap, wideGap = 0.05, 10
	// priorSessions is how many sessions the expected variance counts as, in that of one
	// model's residuals.
	priorSessions = 5
	// usualScatter is the variance of the logarithm of one answer's length about what was
	// expected of it, as far as too few are observed to know it.
	usualScatter = 0.25
	// nullCounts is the number of models that are taken to be right, beside those that
	// were observed, when the shares of the spreads are chosen.
	nullCounts = 20
	// least is the smallest correction of quality, and of the logarithm of output tokens,
	// that is made: anything less would change decisions for nothing.
	least = 0.0005
	// maxTokens bounds the factor on output tokens.
	maxTokens = 10.0
)

// spreads are the standard deviations by which models may be off: of quality, and of the
// logarithm of output tokens.
var spreads = []float64{0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64}

// Weights says how far requests are weighted by their inverse propensity.
type Weights int

// The ways to weight.
const (
	WeightsByGap  Weights = iota // as far as chosen and drawn requests are seen to differ
	WeightsNever                 // all requests alike
	WeightsAlways                // by inverse propensity alone
)

// Estimate returns the correction of a fit that rows suggest. The rows have the estimates
// of the fit; see [Lineage.Uncorrected]. Models that are not among those of the rows keep
// the estimates of the fit. The result has no Router and no Earlier.
func Estimate(rows []offpolicy.Row, models []string, use Weights) artifact.Learned {
	c := estimate(rows, models, use)
	for i := range rows {
		r := &rows[i]
		if math.IsNaN(r.Score) {
			continue
		}
		if c.From.IsZero() || r.Time.Before(c.From) {
			c.From = r.Time
		}
		if r.Time.After(c.To) {
			c.To = r.Time
		}
	}
	c.From, c.To = c.From.UTC().Truncate(time.Second), c.To.UTC().Truncate(time.Second)
	return c
}

func estimate(rows []offpolicy.Row, models []string, how Weights) artifact.Learned {
	n := len(models)
	out := artifact.Learned{Correction: none(n), QualitySE: make([]*float64, n), TokensSE: make([]*float64, n), Rows: make([]int, n)}
	column := map[string]int{}
	for j, name := range models {
		column[name] = j
	}
	quality, tokens := make([]strata, n), make([]strata, n)
	for i := range rows {
		r := &rows[i]
		if j, ok := column[r.Candidates[r.Greedy].Name]; ok {
			quality[j].chosen++
			tokens[j].chosen++
		}
		served := &r.Candidates[r.Action]
		j, ok := column[served.Name]
		if !ok {
			continue
		}
		if !math.IsNaN(r.Score) {
			quality[j].of(r).add(r, r.Score, served.Quality, served.Noise)
			out.Rows[j]++
		}
		if r.OutputTokens > 0 && served.OutputTokens > 0 {
			tokens[j].of(r).add(r, r.OutputTokens, served.OutputTokens, 0)
		}
	}
	shifts, gap := combine(quality, len(rows), how, (*sample).shift)
	for j, s := range shrink(shifts) {
		if math.Abs(s) >= least {
			out.Quality[j] = min(max(s, -1), 1)
		}
		out.QualitySE[j] = shifts[j].known()
	}
	out.Gap = gap
	factors, _ := combine(tokens, len(rows), how, (*sample).logFactor)
	for j, s := range shrink(factors) {
		if math.Abs(s) >= least {
			out.Tokens[j] = min(max(math.Exp(s), 1/maxTokens), maxTokens)
		}
		out.TokensSE[j] = factors[j].known()
	}
	return out
}

// strata are the requests that one model served: those for which the router chose it, and
// those for which it was drawn instead of the router's choice.
type strata struct {
	greedy, drawn sample
	chosen        int // requests for which the router chose it, served or not
}

func (s *strata) of(r *offpolicy.Row) *sample {
	if r.Action == r.Greedy {
		return &s.greedy
	}
	return &s.drawn
}

// combine returns what the requests say of each model over all requests. A router chooses a
// model where it expects much of it, so that the residuals there, g, differ from those
// where it was drawn at random, e, by a gap that says nothing of the model as a whole:
// with π the share of the requests for which it is chosen, the mean is s = π·g + (1-π)·e,
// g = s + (1-π)·gap and e = s - π·gap. The gaps of the models are taken to be normal about
// zero. Their variance decides how the two are weighted, by generalised least squares: a
// variance of 0 weights all requests alike, and a large one by inverse propensity.
func combine(all []strata, requests int, how Weights, of func(*sample) observation) (means []observation, gap float64) {
	greedy, drawn := make([]observation, len(all)), make([]observation, len(all))
	for j := range all {
		greedy[j], drawn[j] = of(&all[j].greedy), of(&all[j].drawn)
	}
	pool(greedy, drawn)
	var between float64
	switch how {
	case WeightsNever:
	case WeightsAlways:
		between = wideGap * wideGap
	case WeightsByGap:
		between = gapVariance(greedy, drawn)
	}
	out := make([]observation, len(all))
	for j := range all {
		g, e := greedy[j], drawn[j]
		share := float64(all[j].chosen) / float64(requests)
		gg, ee, ge := g.variance+(1-share)*(1-share)*between, e.variance+share*share*between, -share*(1-share)*between
		switch {
		case g.effective == 0 && e.effective == 0:
		case e.effective == 0:
			out[j] = g
			out[j].variance = gg
		case g.effective == 0:
			out[j] = e
			out[j].variance = ee
		default:
			det := gg*ee - ge*ge
			a, b := (ee-ge)/det, (gg-ge)/det
			out[j] = observation{mean: (a*g.mean + b*e.mean) / (a + b), variance: 1 / (a + b), effective: g.effective + e.effective}
		}
	}
	return out, math.Sqrt(between)
}

// gapVariance returns the variance of the gaps between the residuals of chosen and drawn
// requests under which those of the models are most likely, in the light of one gap of
// usualGap. It is that alone if no model has both.
func gapVariance(greedy, drawn []observation) float64 {
	loss := func(v float64) float64 {
		sum := math.Log(v) + usualGap*usualGap/v
		for j := range greedy {
			if greedy[j].effective > 0 && drawn[j].effective > 0 {
				d, total := greedy[j].mean-drawn[j].mean, greedy[j].variance+drawn[j].variance+v
				sum += math.Log(total) + d*d/total
			}
		}
		return sum
	}
	best := 1e-6
	for v := best; v < 1; v *= 1.1 {
		if loss(v) < loss(best) {
			best = v
		}
	}
	return best
}

// sample are the requests that one model served.
type sample struct {
	observed, expected, noise []float64
	session                   []string
	sessions                  map[string]int
}

func (s *sample) add(r *offpolicy.Row, observed, expected, noise float64) {
	session := sessionOf(r)
	if s.sessions == nil {
		s.sessions = map[string]int{}
	}
	if _, ok := s.sessions[session]; !ok {
		s.sessions[session] = len(s.sessions)
	}
	s.observed, s.expected, s.noise = append(s.observed, observed), append(s.expected, expected), append(s.noise, noise)
	s.session = append(s.session, session)
}

// observation is what the requests of one model say: a mean, the variance of it, and
// how many independent parts that comes from.
type observation struct {
	mean, variance float64
	sessions       int
	// effective is the number of requests. scatter is the variance of one of them, were
	// they independent, as it was observed, and noise as it was expected, 0 if it was not.
	effective, scatter, noise float64
}

// known returns the standard error, or nil if fewer than two requests were observed.
func (o *observation) known() *float64 {
	if o.effective < 1.5 {
		return nil
	}
	se := math.Sqrt(o.variance)
	return &se
}

// shift is the mean of what was observed minus what was expected.
func (s *sample) shift() observation {
	n := float64(len(s.observed))
	influence, mean := make([]float64, len(s.observed)), 0.0
	for i := range influence {
		influence[i] = (s.observed[i] - s.expected[i]) / n
		mean += influence[i]
	}
	for i := range influence {
		influence[i] -= mean / n
	}
	return s.observation(mean, influence)
}

// logFactor is the logarithm of the sum of what was observed over that of what was expected.
func (s *sample) logFactor() observation {
	var observed, expected float64
	for i := range s.observed {
		observed += s.observed[i]
		expected += s.expected[i]
	}
	ratio := observed / expected
	influence := make([]float64, len(s.observed))
	for i := range influence {
		influence[i] = (s.observed[i] - ratio*s.expected[i]) / observed
	}
	return s.observation(math.Log(ratio), influence)
}

func (s *sample) observation(mean float64, influence []float64) observation {
	if len(s.observed) == 0 {
		return observation{}
	}
	o := observation{mean: mean, sessions: len(s.sessions), effective: float64(len(s.observed))}
	sums := make([]float64, len(s.sessions))
	for i, v := range influence {
		sums[s.sessions[s.session[i]]] += v
		o.scatter += v * v * o.effective
		o.noise += s.noise[i] * s.noise[i] / o.effective
	}
	for _, v := range sums {
		o.variance += v * v
	}
	if g := float64(o.sessions); g > 1 {
		o.variance *= g / (g - 1)
	}
	return o
}

// pool moves the variances of samples with few sessions towards what was expected of them
// or, where nothing was, what all samples have in common: a few equal outcomes do not make
// a mean certain.
func pool(lists ...[]observation) {
	var scatter, effective float64
	for _, list := range lists {
		for _, o := range list {
			scatter += o.scatter * o.effective
			effective += o.effective
		}
	}
	for _, list := range lists {
		for i := range list {
			o := &list[i]
			if o.effective == 0 {
				continue
			}
			expected := o.noise
			if expected == 0 {
				expected = (scatter + priorSessions*usualScatter) / (effective + priorSessions)
			}
			own := float64(o.sessions - 1)
			o.variance = max((own*o.variance+priorSessions*expected/float64(o.sessions))/(own+priorSessions), o.noise/o.effective, 1e-12)
		}
	}
}

// shrink returns the means, each shrunk towards zero by what all of them suggest about how
// far models are off: a mixture of normals about zero with the standard deviations of
// spreads, whose shares are chosen by likelihood with a preference for no difference
// (adaptive shrinkage, Stephens 2017). A model that is far off by many standard errors is
// not held back by the others, as it would be by one variance.
func shrink(all []observation) []float64 {
	shares := make([]float64, len(spreads))
	for k := range shares {
		shares[k] = 1 / float64(len(shares))
	}
	density := make([][]float64, len(all))
	for i, o := range all {
		if o.effective == 0 {
			continue
		}
		density[i] = make([]float64, len(spreads))
		for k, s := range spreads {
			v := o.variance + s*s
			density[i][k] = math.Exp((o.mean*o.mean/(o.variance+spreads[len(spreads)-1]*spreads[len(spreads)-1])-o.mean*o.mean/v)/2) / math.Sqrt(v)
		}
	}
	posterior := func(i int) []float64 {
		out, sum := make([]float64, len(spreads)), 0.0
		for k := range out {
			out[k] = shares[k] * density[i][k]
			sum += out[k]
		}
		for k := range out {
			out[k] /= sum
		}
		return out
	}
	for range 500 {
		next := make([]float64, len(spreads))
		next[0] = nullCounts
		total := float64(nullCounts)
		for i := range all {
			if density[i] == nil {
				continue
			}
			for k, p := range posterior(i) {
				next[k] += p
			}
			total++
		}
		for k := range next {
			shares[k] = next[k] / total
		}
	}
	out := make([]float64, len(all))
	for i, o := range all {
		if density[i] == nil {
			continue
		}
		for k, p := range posterior(i) {
			out[i] += p * o.mean * spreads[k] * spreads[k] / (o.variance + spreads[k]*spreads[k])
		}
	}
	return out
}

// sessionOf names what a row's request is alike with: its session, or itself.
func sessionOf(r *offpolicy.Row) string {
	if r.Session == "" {
		return "\x00" + r.Request
	}
	return r.Session
}
