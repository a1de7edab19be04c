package frontier

import (
	"math"
	"slices"
)

// The estimators below compare predictions with what was observed, element by
// element; the slices are of one length. They are NaN for no elements unless
// said otherwise.

// Brier is the mean squared error of predicted probabilities (Brier, 1950).
func Brier(predicted, observed []float64) float64 {
	var sum float64
	for i, p := range predicted {
		sum += (p - observed[i]) * (p - observed[i])
	}
	return sum / float64(len(predicted))
}

// Bin is one bin of a reliability diagram.
type Bin struct {
	Count     int
	Predicted float64 // mean prediction
	Observed  float64 // mean observation
}

// Reliability sorts predictions in [0,1] into bins of equal width, the last
// closed at 1; empty bins have zeros.
func Reliability(predicted, observed []float64, bins int) []Bin {
	out := make([]Bin, bins)
	for i, p := range predicted {
		b := &out[min(max(int(p*float64(bins)), 0), bins-1)]
		b.Count++
		b.Predicted += p
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

// ECE is the expected calibration error (Naeini et al., 2015): the mean over
// the bins of |mean prediction - mean observation|, weighed by their counts.
func ECE(predicted, observed []float64, bins int) float64 {
	var sum float64
	for _, b := range Reliability(predicted, observed, bins) {
		sum += float64(b.Count) * math.Abs(b.Predicted-b.Observed)
	}
	return sum / float64(len(predicted))
}

// R2 is 1 - Σ(predicted - observed)² / Σ(observed - mean)², as scikit-learn has
// it: 1 where both sums are zero, 0 where only the second is.
func R2(predicted, observed []float64) float64 {
	mean := Mean(observed)
	var residual, spread float64
	for i, y := range observed {
		residual += (predicted[i] - y) * (predicted[i] - y)
		spread += (y - mean) * (y - mean)
	}
	switch {
	case len(observed) == 0:
		return math.NaN()
	case spread > 0:
		return 1 - residual/spread
	case residual == 0:
		return 1
	}
	return 0
}

// Mean is the arithmetic mean.
func Mean(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// MAE is the mean absolute error.
func MAE(predicted, observed []float64) float64 {
	var sum float64
	for i, p := range predicted {
		sum += math.Abs(p - observed[i])
	}
	return sum / float64(len(predicted))
}

// RelativeMAE is the mean absolute error over the mean observation.
func RelativeMAE(predicted, observed []float64) float64 {
	return MAE(predicted, observed) / Mean(observed)
}

// Bias is the mean prediction over the mean observation, less 1.
func Bias(predicted, observed []float64) float64 { return Mean(predicted)/Mean(observed) - 1 }

// Coverage is the share of observations that are at most the predicted bound.
func Coverage(bound, observed []float64) float64 {
	within := 0.0
	for i, b := range bound {
		if observed[i] <= b {
			within++
		}
	}
	return within / float64(len(bound))
}

// RankCorrelation is Spearman's ρ: Pearson's correlation of the ranks, equal
// values sharing their mean rank. It is NaN where either side is constant.
func RankCorrelation(a, b []float64) float64 {
	x, y := ranks(a), ranks(b)
	meanX, meanY := Mean(x), Mean(y)
	var xy, xx, yy float64
	for i := range x {
		xy += (x[i] - meanX) * (y[i] - meanY)
		xx += (x[i] - meanX) * (x[i] - meanX)
		yy += (y[i] - meanY) * (y[i] - meanY)
	}
	return xy / math.Sqrt(xx*yy)
}

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

// Regret is the mean utility of the oracle minus that of a router at one
// willingness to pay w, in units of quality: both given as the point they reach.
func Regret(oracle, router Point, w float64) float64 {
	if math.IsInf(w, 1) {
		return oracle.Quality - router.Quality
	}
	return (oracle.Quality - oracle.Cost/w) - (router.Quality - router.Cost/w)
}
