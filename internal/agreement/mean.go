package agreement

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is an estimate of a mean with its 95% interval.
type Interval struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// normalQuantile is the 97.5% quantile of the normal distribution.
const normalQuantile = 1.959963984540054

// minLabels is the number of labels below which there is no interval.
const minLabels = 20

func quantileT(df float64) float64 {
	return distuv.StudentsT{Sigma: 1, Nu: df}.Quantile(0.975)
}

// Classical returns the mean of the labels alone, which are those of pairs, with its
// interval: Wilson's if all labels are 0 or 1 and have one weight, else Student's.
// ok is false with fewer labels than two.
func Classical(pairs []Pair) (i Interval, ok bool) {
	n := float64(len(pairs))
	if len(pairs) < 2 {
		return Interval{}, false
	}
	weights, even := relative(pairs)
	binary := true
	var mean float64
	for k, p := range pairs {
		binary = binary && whole(p.Human)
		mean += weights[k] * p.Human
	}
	mean /= n
	if binary && even {
		z2 := normalQuantile * normalQuantile
		center := (mean + z2/(2*n)) / (1 + z2/n)
		half := normalQuantile / (1 + z2/n) * math.Sqrt(mean*(1-mean)/n+z2/(4*n*n))
		return Interval{mean, math.Max(0, center-half), math.Min(1, center+half)}, true
	}
	var ss float64
	for k, p := range pairs {
		d := weights[k] * (p.Human - mean)
		ss += d * d
	}
	half := quantileT(n-1) * math.Sqrt(ss/(n-1)/n)
	return Interval{mean, math.Max(0, mean-half), math.Min(1, mean+half)}, true
}

// relative returns the weights of pairs with mean 1, and whether they are equal.
func relative(pairs []Pair) (weights []float64, even bool) {
	weights = make([]float64, len(pairs))
	var sum float64
	even = true
	for _, p := range pairs {
		sum += p.Weight
		even = even && p.Weight == pairs[0].Weight
	}
	for i, p := range pairs {
		weights[i] = p.Weight * float64(len(pairs)) / sum
		if even {
			weights[i] = 1
		}
	}
	return weights, even
}

// Powered is a prediction-powered estimate of a mean: the judge's mean over many rows,
// corrected by the difference between people and judge on few.
type Powered struct {
	Interval
	Lambda float64 `json:"lambda"` // how much the judge's mean counts, from 0 to 1
	// Halve is the number of labels in all with which the interval would be half as
	// wide; nil if labels on all rows would not do.
	Halve *int `json:"labels_to_halve"`
	// Full is the half-width of the interval with a label on each row, as far as the
	// figures at hand tell.
	Full float64 `json:"half_width_with_all_labels"`
}

// spread holds what the width of an interval depends on, beside the number of labels.
type spread struct {
	rows                 float64 // that the judge has scored
	human, judge, shared float64 // variances of both, and covariance
	binary               bool    // all labels are 0 or 1
}

// A judge that agrees with nearly all of few labels leaves residuals of zero and a rare
// one near ±1: their sample variance is too small if the rare one did not come. So a
// residual of the size of a whole disagreement is added to the variance with the weight
// prior, and both ends move by what the skewness of the residuals calls for (the first
// term of Edgeworth's expansion, (1+2z²)/6 · μ₃/(σ²n)). Student's quantile and the
// bootstrap know nothing of what did not come; docs/decisions/0015 compares them.
const (
	prior = 0.9
	skew  = (1 + 2*normalQuantile*normalQuantile) / 6
)

// lambda returns the weight of the judge's mean for n labels that makes the interval
// narrowest.
func (s spread) lambda(n float64) float64 {
	if s.judge <= 1e-12 || s.rows <= n { // scores that are all the same differ by roundings
		return 0
	}
	return math.Max(0, math.Min(1, s.shared/s.judge*(s.rows-n)/s.rows))
}

// enlarge adds to the variance of the residuals what rare ones may be missing.
func (s spread) enlarge(n, residual float64) float64 {
	size := 1.0
	if !s.binary {
		size = 4 * s.human // 1 for labels half of which are 0 and half 1
	}
	return ((n-2)*residual + prior*size) / (n - 2 + prior)
}

// half returns the half-width of the interval with n labels, from the variance of the
// residuals.
func (s spread) half(n, residual, lambda float64) float64 {
	variance := s.enlarge(n, residual) / n
	if s.rows > n {
		variance += lambda * lambda * s.judge / (s.rows - n)
	}
	return normalQuantile * math.Sqrt(variance)
}

// expected returns the half-width with n labels, as far as the variances tell.
func (s spread) expected(n float64) float64 {
	l := s.lambda(n)
	return s.half(n, math.Max(0, s.human-2*l*s.shared+l*l*s.judge), l)
}

// PoweredMean returns the prediction-powered mean of the human score (Angelopoulos and
// others 2023, with the tuned λ of PPI++). judge holds the judge's scores of all rows,
// and pairs the rows with labels, of which judge holds those too. ok is false with fewer
// than twenty labels, with which coverage is as it should be (docs/log.md).
//
// With labels on rows drawn uniformly, the judge's mean is over the rows without a
// label. With weights that differ it is over all rows, because the others are then no
// fair sample.
func PoweredMean(judge []float64, pairs []Pair) (p Powered, ok bool) {
	if len(pairs) < minLabels || len(judge) < len(pairs) {
		return Powered{}, false
	}
	weights, even := relative(pairs)
	n := float64(len(pairs))
	s := spread{rows: float64(len(judge)), binary: true}
	var meanHuman, meanJudge float64
	for i, one := range pairs {
		meanHuman += weights[i] * one.Human / n
		meanJudge += weights[i] * one.Judge / n
		s.binary = s.binary && whole(one.Human)
	}
	var labelled float64 // variance of the judge's scores on the labelled rows
	for i, one := range pairs {
		h, j := one.Human-meanHuman, one.Judge-meanJudge
		s.human += weights[i] * h * h / (n - 1)
		s.shared += weights[i] * h * j / (n - 1)
		labelled += weights[i] * j * j / (n - 1)
	}
	all, variance := moments(judge)
	s.judge = labelled
	p.Lambda = s.lambda(n)
	s.judge = variance

	residual := func(i int) float64 { return pairs[i].Human - p.Lambda*pairs[i].Judge }
	mean := meanHuman - p.Lambda*meanJudge
	var squares, cubes float64
	for i := range pairs {
		d := weights[i] * (residual(i) - mean)
		squares += d * d
		cubes += d * d * d
	}
	other := all
	if even && s.rows > n {
		var sum float64
		for _, one := range pairs {
			sum += one.Judge
		}
		other = (all*s.rows - sum) / (s.rows - n)
	}
	p.Mean = p.Lambda*other + mean
	half := s.half(n, squares/(n-2), p.Lambda)
	if !even {
		// The labelled rows are among those of the judge's mean.
		residual := squares / (n - 2)
		h := s.enlarge(n, residual)/n + math.Max(0, 2*p.Lambda*s.shared-p.Lambda*p.Lambda*s.judge)/s.rows
		half = normalQuantile * math.Sqrt(h)
	}
	shift := 0.0
	if v := s.enlarge(n, squares/(n-2)); v > 0 {
		shift = skew * cubes / n / v / n
	}
	p.Low, p.High = math.Max(0, p.Mean+shift-half), math.Min(1, p.Mean+shift+half)
	p.Mean = math.Max(0, math.Min(1, p.Mean))
	p.Low, p.High = math.Min(p.Low, p.Mean), math.Max(p.High, p.Mean)
	if s.rows > n {
		p.Full = s.expected(s.rows)
	} else {
		p.Full = half
	}
	want := s.expected(n) / 2
	steps := len(judge) - len(pairs)
	more := sort.Search(steps+1, func(k int) bool { return s.expected(n+float64(k)) <= want })
	if more <= steps {
		p.Halve = new(len(pairs) + more)
	}
	return p, true
}
