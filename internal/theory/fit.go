package theory

import (
	"math"
	"math/rand/v2"
	"slices"
)

// slope is the slope of the least-squares line through (log n, log risk). Sizes
// with a risk of zero are left out; with fewer than two others it is NaN.
func slope(sizes []int, risk []float64) float64 {
	var count, sx, sy float64
	for i, n := range sizes {
		if risk[i] > 0 {
			count++
			sx += math.Log(float64(n))
			sy += math.Log(risk[i])
		}
	}
	if count < 2 {
		return math.NaN()
	}
	var sxx, sxy float64
	for i, n := range sizes {
		if risk[i] > 0 {
			x := math.Log(float64(n)) - sx/count
			sxx += x * x
			sxy += x * (math.Log(risk[i]) - sy/count)
		}
	}
	return sxy / sxx
}

// bootstrap is the 95% percentile interval of the slope when repetitions are
// resampled, independently for each size, as they were simulated. risks is
// sizes×repetitions.
func bootstrap(sizes []int, risks [][]float64, resamples int, rng *rand.Rand) [2]float64 {
	slopes := make([]float64, 0, resamples)
	risk := make([]float64, len(sizes))
	for range resamples {
		for i, of := range risks {
			risk[i] = 0
			for range of {
				risk[i] += of[rng.IntN(len(of))] / float64(len(of))
			}
		}
		if s := slope(sizes, risk); !math.IsNaN(s) {
			slopes = append(slopes, s)
		}
	}
	if len(slopes) == 0 {
		return [2]float64{math.NaN(), math.NaN()}
	}
	slices.Sort(slopes)
	at := func(q float64) float64 { return slopes[int(math.Round(q*float64(len(slopes)-1)))] }
	return [2]float64{at(0.025), at(0.975)}
}

// meanError is the mean and its standard error, which is 0 for a single value.
func meanError(of []float64) (mean, se float64) {
	for _, v := range of {
		mean += v / float64(len(of))
	}
	for _, v := range of {
		se += (v - mean) * (v - mean)
	}
	if len(of) > 1 {
		se = math.Sqrt(se / float64(len(of)-1) / float64(len(of)))
	}
	return mean, se
}
