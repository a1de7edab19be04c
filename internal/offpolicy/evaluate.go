package offpolicy

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Limits beyond which there is no conclusion.
const (
	MaxUnsupported     = 0.05
	MinEffectiveSample = 100
)

// Estimate is an estimated mean with its 95% interval.
type Estimate struct {
	Value    float64
	SE       float64    // clustered by session
	Interval [2]float64 // NaN where there are fewer than two sessions
	freedom  float64
}

// Excludes reports whether a value lies outside the interval.
func (e Estimate) Excludes(v float64) bool { return v < e.Interval[0] || v > e.Interval[1] }

// Estimates are three estimates of one mean.
type Estimates struct{ IPS, SelfNormalised, DoublyRobust Estimate }

// Worth are the estimates for a policy, or for the difference of two.
type Worth struct {
	Quality Estimates
	Cost    Estimates // USD a request
	Utility Estimates // at the willingness to pay
}

// Result compares a policy with the router's own choices, on the traffic of the router.
type Result struct {
	Requests int // rows
	Sessions int
	Scored   int // rows whose score is known, on which quality is estimated
	Valued   int // and whose cost is known too if it matters, on which utility is

	// Observed are the means of what was observed, exploration included.
	ObservedQuality, ObservedCost float64

	Agreement       float64 // share of the valued rows on which the policy chooses as the router did
	Unsupported     float64 // share on which the policy's choice could not have been drawn
	EffectiveSample float64 // of the valued rows, for the policy: (Σw)²/Σw²
	Explored        int     // valued rows on which the router's choice was not the one drawn

	Target, Logged, Difference Worth
	// Refusals say why there is no conclusion, in words; empty if there is one.
	Refusals []string
}

// Evaluate estimates what a policy's decisions would have been worth on the rows, at the
// willingness to pay w, in comparison with the router's own choices without exploration.
func Evaluate(rows []Row, target Policy, w float64) Result {
	r := Result{Requests: len(rows), ObservedQuality: math.NaN(), ObservedCost: math.NaN()}
	all := make([]int, len(rows))
	choice := make([]int, len(rows))
	for i := range rows {
		all[i], choice[i] = i, target(&rows[i])
	}
	cluster, sessions := clusters(rows)
	r.Sessions = sessions

	keep := func(ok func(*Row) bool) []int {
		return slices.DeleteFunc(slices.Clone(all), func(i int) bool { return !ok(&rows[i]) })
	}
	scored := keep(func(x *Row) bool { return !math.IsNaN(x.Score) })
	costed := keep(func(x *Row) bool { return !math.IsNaN(x.Cost) && x.priced() })
	valued := keep(func(x *Row) bool { return x.valued(w) })
	r.Scored, r.Valued = len(scored), len(valued)
	var quality, cost float64
	for _, i := range scored {
		quality += rows[i].Score
	}
	for _, i := range costed {
		cost += rows[i].Cost
	}
	if len(scored) > 0 {
		r.ObservedQuality = quality / float64(len(scored))
	}
	if len(costed) > 0 {
		r.ObservedCost = cost / float64(len(costed))
	}
	var sum, squares float64
	for _, i := range valued {
		x := &rows[i]
		if choice[i] == x.Greedy {
			r.Agreement++
		}
		if x.Action != x.Greedy {
			r.Explored++
		}
		if !x.supports(choice[i]) {
			r.Unsupported++
		}
		if choice[i] == x.Action {
			sum += 1 / x.Propensity
			squares += 1 / (x.Propensity * x.Propensity)
		}
	}
	if squares > 0 {
		r.EffectiveSample = sum * sum / squares
	}
	if n := float64(len(valued)); n > 0 {
		r.Agreement /= n
		r.Unsupported /= n
	}

	for _, part := range []struct {
		rows                       []int
		seen                       func(*Row) float64
		expected                   func(*Candidate) float64
		target, logged, difference *Estimates
	}{
		{scored, func(x *Row) float64 { return x.Score }, func(c *Candidate) float64 { return c.Quality },
			&r.Target.Quality, &r.Logged.Quality, &r.Difference.Quality},
		{costed, func(x *Row) float64 { return x.Cost }, func(c *Candidate) float64 { return c.Cost },
			&r.Target.Cost, &r.Logged.Cost, &r.Difference.Cost},
		{valued, func(x *Row) float64 { return utility(x.Score, x.Cost, w) }, func(c *Candidate) float64 { return utility(c.Quality, c.Cost, w) },
			&r.Target.Utility, &r.Logged.Utility, &r.Difference.Utility},
	} {
		p := problem{rows: rows, use: part.rows, cluster: cluster, seen: part.seen, expected: part.expected}
		greedy := make([]int, len(rows))
		for i := range rows {
			greedy[i] = rows[i].Greedy
		}
		t, l := p.terms(choice), p.terms(greedy)
		*part.target, *part.logged, *part.difference = p.estimates(t, nil), p.estimates(l, nil), p.estimates(t, l)
	}
	r.Refusals = r.refusals()
	return r
}

// valued reports whether the utility that was observed on a row is known, at the
// willingness to pay w, and that of its candidates can be estimated.
func (x *Row) valued(w float64) bool {
	switch {
	case math.IsInf(w, 1):
		return !math.IsNaN(x.Score)
	case w == 0:
		return !math.IsNaN(x.Cost) && x.priced()
	}
	return !math.IsNaN(x.Score) && !math.IsNaN(x.Cost) && x.priced()
}

// priced reports whether the costs of a row's candidates are known.
func (x *Row) priced() bool {
	return !slices.ContainsFunc(x.Candidates, func(c Candidate) bool { return math.IsNaN(c.Cost) })
}

// refusals says why there is no conclusion.
func (r *Result) refusals() (why []string) {
	if r.Valued == 0 {
		return []string{"no request has what is needed: a decision of a router, an answer and feedback with a score"}
	}
	if r.Sessions < 2 {
		why = append(why, "all requests are of one session, so that no interval is known")
	}
	if r.Unsupported > MaxUnsupported {
		why = append(why, fmt.Sprintf("on %.1f%% of the requests the policy chooses a candidate that could not have been tried (at most %.0f%%): explore, so that every candidate is tried now and then",
			100*r.Unsupported, 100*MaxUnsupported))
	}
	if r.EffectiveSample < MinEffectiveSample {
		why = append(why, fmt.Sprintf("the requests on which the policy's choice was tried count as %.0f of equal weight (at least %d): wait for more feedback, or explore more", r.EffectiveSample, MinEffectiveSample))
	}
	return why
}

// clusters numbers the sessions of rows. A row without a session is one of its own.
func clusters(rows []Row) (cluster []int, n int) {
	cluster, known := make([]int, len(rows)), map[string]int{}
	for i := range rows {
		c, ok := known[rows[i].Session]
		if !ok || rows[i].Session == "" {
			c = n
			n++
			known[rows[i].Session] = c
		}
		cluster[i] = c
	}
	return cluster, n
}

// problem is a mean to estimate on some of the rows.
type problem struct {
	rows     []Row
	use      []int
	cluster  []int
	seen     func(*Row) float64
	expected func(*Candidate) float64
}

// terms are the contributions of the rows to the estimates for one policy: the values
// whose mean the estimate is, and for the self-normalised one, ratio, those of mean zero
// with which it varies.
type terms struct {
	ips, robust, influence []float64
	ratio                  float64
}

func (p *problem) terms(choice []int) *terms {
	n := len(p.use)
	t := &terms{ips: make([]float64, n), robust: make([]float64, n), influence: make([]float64, n)}
	weight := make([]float64, n)
	var sum float64
	for k, i := range p.use {
		x := &p.rows[i]
		c := choice[i]
		if c < 0 { // none of the candidates, of which nothing is known
			c = x.Greedy
		}
		t.robust[k] = p.expected(&x.Candidates[c])
		if choice[i] == x.Action {
			weight[k] = 1 / x.Propensity
			t.ips[k] = weight[k] * p.seen(x)
			t.robust[k] += weight[k] * (p.seen(x) - p.expected(&x.Candidates[c]))
			sum += weight[k]
			t.ratio += t.ips[k]
		}
	}
	t.ratio /= sum // NaN if the policy's choice was never tried
	for k, i := range p.use {
		if weight[k] > 0 {
			t.influence[k] = weight[k] * (p.seen(&p.rows[i]) - t.ratio) * float64(n) / sum
		}
	}
	return t
}

// estimates returns the estimates for a policy or, unless other is nil, for its
// difference from another one.
func (p *problem) estimates(t, other *terms) Estimates {
	ips, robust, influence, ratio := t.ips, t.robust, t.influence, t.ratio
	if other != nil {
		ips, robust, influence, ratio = minus(ips, other.ips), minus(robust, other.robust), minus(influence, other.influence), ratio-other.ratio
	}
	e := Estimates{IPS: p.mean(ips), DoublyRobust: p.mean(robust), SelfNormalised: p.mean(influence)}
	e.SelfNormalised = estimate(ratio, e.SelfNormalised.SE, e.SelfNormalised.freedom)
	return e
}

func minus(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] - b[i]
	}
	return out
}

// mean estimates the mean of values, one for each row in use.
func (p *problem) mean(values []float64) Estimate {
	cluster := make([]int, len(values))
	for k, i := range p.use {
		cluster[k] = p.cluster[i]
	}
	return Mean(values, cluster)
}

// Mean estimates a mean with an interval that is robust to dependence within clusters.
// cluster[i] says which cluster values[i] belongs to. The interval is that of Student's t,
// with the degrees of freedom that the spread of the clusters' sums leaves: where few
// clusters make up most of it, it is wider.
func Mean(values []float64, cluster []int) Estimate {
	n := float64(len(values))
	var mean float64
	for _, v := range values {
		mean += v / n
	}
	sums := map[int]float64{}
	var order []int
	for i, v := range values {
		if _, ok := sums[cluster[i]]; !ok {
			order = append(order, cluster[i])
		}
		sums[cluster[i]] += v - mean
	}
	var squares, fourths float64
	for _, c := range order { // in order, so that equal rows give equal bits
		s := sums[c] * sums[c]
		squares += s
		fourths += s * s
	}
	g := float64(len(order))
	if g < 2 {
		return Estimate{Value: mean, SE: math.NaN(), Interval: [2]float64{math.NaN(), math.NaN()}}
	}
	freedom := g - 1
	if fourths > 0 {
		freedom = min(freedom, max(squares*squares/fourths, 1))
	}
	return estimate(mean, math.Sqrt(squares*g/(g-1))/n, freedom)
}

// estimate returns a value with its standard error and interval.
func estimate(value, se, freedom float64) Estimate {
	if !(freedom > 0) {
		return Estimate{Value: value, SE: se, Interval: [2]float64{math.NaN(), math.NaN()}}
	}
	half := se * distuv.StudentsT{Sigma: 1, Nu: freedom}.Quantile(0.975)
	return Estimate{Value: value, SE: se, Interval: [2]float64{value - half, value + half}, freedom: freedom}
}

// Comparison is what rows say of two policies, one by one.
type Comparison struct {
	Rows []int // those on which utility is known
	// Difference has an estimate of the utility of the first policy minus that of the
	// second for each of them, doubly robust. Their mean is that of the policies.
	Difference []float64
	Cluster    []int // the session of each, numbered
	// Unsupported is the number of rows on which the first policy's choice could not have
	// been drawn. Weight and Squares are the sums of the weights of the others, and of
	// the squares.
	Unsupported     int
	Weight, Squares float64
	// Tries is how often, by the probabilities of the draws, the first policy's choice is
	// tried on the rows on which the two differ, and Variance the variance of the sum of
	// the differences that the probabilities imply with the scatter of scores that was
	// expected. Where draws are rare, what was observed tells neither.
	Tries, Variance float64
}

// Compare compares two policies at the willingness to pay w.
func Compare(rows []Row, first, second Policy, w float64) Comparison {
	var c Comparison
	a, b := make([]int, len(rows)), make([]int, len(rows))
	cluster, _ := clusters(rows)
	for i := range rows {
		x := &rows[i]
		if !x.valued(w) {
			continue
		}
		a[i], b[i] = first(x), second(x)
		c.Rows, c.Cluster = append(c.Rows, i), append(c.Cluster, cluster[i])
		switch {
		case !x.supports(a[i]):
			c.Unsupported++
		case a[i] == x.Action:
			c.Weight += 1 / x.Propensity
			c.Squares += 1 / (x.Propensity * x.Propensity)
		}
		if a[i] != b[i] && a[i] >= 0 && b[i] >= 0 {
			c.Tries += x.probability(a[i])
			for _, k := range []int{a[i], b[i]} {
				if p := x.probability(k); p > 0 && w != 0 {
					c.Variance += x.Candidates[k].scatter() / p
				}
			}
		}
	}
	p := problem{rows: rows, use: c.Rows, cluster: cluster, seen: func(x *Row) float64 { return utility(x.Score, x.Cost, w) },
		expected: func(k *Candidate) float64 { return utility(k.Quality, k.Cost, w) }}
	c.Difference = minus(p.terms(a).robust, p.terms(b).robust)
	return c
}
