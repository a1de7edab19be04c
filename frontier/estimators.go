package frontier

import (
	"math"
	"slices"
)

// The estimators below compare predictions f with observations y, element by
// element. Unless stated otherwise they are NaN for empty slices, for slices of
// different lengths, and if an element is NaN.

// paired reports whether two slices can be compared element by element.
func paired(a, b []float64) bool {
	return len(a) == len(b) && len(a) > 0 && !slices.ContainsFunc(a, math.IsNaN) && !slices.ContainsFunc(b, math.IsNaN)
}

// meanOf is the mean of f over the pairs of two slices.
func meanOf(a, b []float64, f func(a, b float64) float64) float64 {
	if !paired(a, b) {
		return math.NaN()
	}
	var sum float64
	for i := range a {
		sum += f(a[i], b[i])
	}
	return sum / float64(len(a))
}

// Brier is the mean squared error of predicted probabilities,
//
//	Σ (f - y)² / n
//
// which is half of the score that Brier (1950) sums over an event and its
// complement, as is usual today. Observations are 0, 1 or graded scores between
// them. It is NaN for empty slices, for slices of different lengths, and if an
// element is NaN; so are the other measures of predictions here, unless stated
// otherwise.
func Brier(predicted, observed []float64) float64 {
	return meanOf(predicted, observed, func(f, y float64) float64 { return (f - y) * (f - y) })
}

// Bin is one bin of a reliability diagram.
type Bin struct {
	Count     int
	Predicted float64 // mean prediction
	Observed  float64 // mean observation
}

// Reliability sorts predictions in [0,1] into n bins of equal width: bin k
// holds k/n <= f < (k+1)/n, and the last also f = 1. Predictions outside [0,1]
// fall into the nearest bin; empty bins are zero. A NaN prediction falls into the
// first bin, and a NaN prediction or observation makes that mean of its bin NaN.
// It is nil for fewer than one bin and for slices of different lengths.
func Reliability(predicted, observed []float64, bins int) []Bin {
	if bins < 1 || len(predicted) != len(observed) {
		return nil
	}
	out := make([]Bin, bins)
	for i, f := range predicted {
		b := &out[binOf(f, bins)]
		b.Count++
		b.Predicted += f
		b.Observed += observed[i]
	}
	for k := range out {
		if n := float64(out[k].Count); n > 0 {
			out[k].Predicted /= n
			out[k].Observed /= n
		}
	}
	return out
}

// binOf is the bin of a prediction. f·n may be rounded across the edge of a bin,
// so the edges k/n decide.
func binOf(f float64, bins int) int {
	if !(f > 0) {
		return 0
	}
	n := float64(bins)
	k := int(min(f, 1) * n)
	switch {
	case f < float64(k)/n:
		k--
	case f >= float64(k+1)/n:
		k++
	}
	return min(k, bins-1)
}

// ECE is the expected calibration error (Naeini, Cooper and Hauskrecht, 2015)
// over the bins of [Reliability], n_k elements in bin k:
//
//	Σ_k n_k/n · |mean f in k - mean y in k|
//
// It is also NaN for fewer than one bin.
func ECE(predicted, observed []float64, bins int) float64 {
	if bins < 1 || !paired(predicted, observed) {
		return math.NaN()
	}
	var sum float64
	for _, b := range Reliability(predicted, observed, bins) {
		sum += float64(b.Count) * math.Abs(b.Predicted-b.Observed)
	}
	return sum / float64(len(predicted))
}

// R2 is the coefficient of determination,
//
//	1 - Σ (f - y)² / Σ (y - mean y)²
//
// If all observations are equal it is 1 for exact predictions and 0 for others,
// as in scikit-learn. It is NaN for fewer than two elements.
func R2(predicted, observed []float64) float64 {
	if len(observed) < 2 || !paired(predicted, observed) {
		return math.NaN()
	}
	middle := mean(observed)
	var residual, spread float64
	for i, y := range observed {
		residual += (predicted[i] - y) * (predicted[i] - y)
		spread += (y - middle) * (y - middle)
	}
	if slices.Min(observed) < slices.Max(observed) { // not spread > 0: the mean of equal values may be rounded
		return 1 - residual/spread
	}
	if residual == 0 {
		return 1
	}
	return 0
}

// mean is the arithmetic mean, Σ x / n; NaN for no elements.
func mean(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// MAE is the mean absolute error, Σ |f - y| / n.
func MAE(predicted, observed []float64) float64 {
	return meanOf(predicted, observed, func(f, y float64) float64 { return math.Abs(f - y) })
}

// RelativeMAE is [MAE] over the mean observation, Σ |f - y| / Σ y, for
// observations of one sign, such as tokens and costs. If all observations are
// zero it is +Inf, or NaN if the predictions are zero too.
func RelativeMAE(predicted, observed []float64) float64 {
	return MAE(predicted, observed) / mean(observed)
}

// Bias is the mean prediction over the mean observation, less 1:
// Σ f / Σ y - 1. It is 0.1 for predictions that are 10% too high overall. If all
// observations are zero it is infinite, or NaN if the predictions sum to zero
// too.
func Bias(predicted, observed []float64) float64 {
	if !paired(predicted, observed) {
		return math.NaN()
	}
	return mean(predicted)/mean(observed) - 1
}

// Coverage is the share of observations that are at most the predicted bound,
// #{y <= f} / n: near 0.9 for a bound that predicts the 90th percentile well.
func Coverage(bound, observed []float64) float64 {
	return meanOf(bound, observed, func(f, y float64) float64 {
		if y <= f {
			return 1
		}
		return 0
	})
}

// RankCorrelation is Spearman's ρ (Spearman, 1904): Pearson's correlation of
// the ranks r and s of the two sides,
//
//	Σ (r - mean r)(s - mean s) / √(Σ (r - mean r)² · Σ (s - mean s)²)
//
// Equal values share their mean rank. It lies in [-1,1], and is also NaN if
// either side is constant.
func RankCorrelation(a, b []float64) float64 {
	if !paired(a, b) {
		return math.NaN()
	}
	x, y := ranks(a), ranks(b)
	mean := float64(len(a)+1) / 2
	var xy, xx, yy float64
	for i := range x {
		xy += (x[i] - mean) * (y[i] - mean)
		xx += (x[i] - mean) * (x[i] - mean)
		yy += (y[i] - mean) * (y[i] - mean)
	}
	return max(-1, min(xy/math.Sqrt(xx*yy), 1)) // rounding may exceed 1
}

// ranks are the ranks from 1 of values that are not NaN.
func ranks(v []float64) []float64 {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case v[a] < v[b]:
			return -1
		case v[a] > v[b]:
			return 1
		}
		return a - b
	})
	out := make([]float64, len(v))
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && v[order[to]] == v[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			out[i] = float64(from+to+1) / 2
		}
		from = to
	}
	return out
}

// Regret is the mean utility of the oracle minus that of a router, in units of
// quality, at a willingness to pay of w USD per unit of quality. Both are given
// as the points that they reach:
//
//	(oracle.Quality - oracle.Cost/w) - (router.Quality - router.Cost/w)
//
// At w = +Inf costs do not count. It is NaN unless w is positive.
func Regret(oracle, router Point, w float64) float64 {
	if !(w > 0) {
		return math.NaN()
	}
	return (oracle.Quality - oracle.Cost/w) - (router.Quality - router.Cost/w)
}
