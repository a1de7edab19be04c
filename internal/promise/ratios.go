package promise

import (
	"cmp"
	"math"
	"slices"
)

// Ratios holds how much larger than forecast the volumes of a candidate were, by thirds
// of the forecast: long answers scatter less about their forecast than short ones.
type Ratios struct {
	at     [3]float64 // the logarithm of the median forecast of each third
	sorted [3][]float64
}

// NewRatios returns the ratios of volumes that were forecast and observed, without those
// that are NaN.
func NewRatios(forecast, observed []float64) Ratios {
	var order []int
	for i := range forecast {
		if !math.IsNaN(forecast[i]) && !math.IsNaN(observed[i]) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(forecast[a], forecast[b]) })
	var r Ratios
	for k := range r.sorted {
		third := order[k*len(order)/3 : (k+1)*len(order)/3]
		if len(third) == 0 {
			return Ratios{}
		}
		r.at[k] = math.Log1p(forecast[third[len(third)/2]])
		for _, i := range third {
			r.sorted[k] = append(r.sorted[k], ratio(forecast[i], observed[i]))
		}
		slices.Sort(r.sorted[k])
	}
	return r
}

// ratio is that of volumes, of which one more keeps zeros apart from nothing.
func ratio(forecast, observed float64) float64 { return (observed + 1) / (forecast + 1) }

// Known reports whether there is anything to tell from.
func (r *Ratios) Known() bool { return r.sorted[0] != nil }

// Within returns the probability that a volume is at most limit, given its forecast.
func (r *Ratios) Within(forecast, limit float64) float64 {
	if !r.Known() || limit < 0 {
		return 0
	}
	most, x := ratio(forecast, limit), math.Log1p(forecast)
	k := 0
	for k < 2 && x > r.at[k+1] {
		k++
	}
	if x <= r.at[0] || k == 2 {
		return r.share(k, most)
	}
	f := (x - r.at[k]) / (r.at[k+1] - r.at[k])
	return (1-f)*r.share(k, most) + f*r.share(k+1, most)
}

// share returns the share of the ratios of a third that are at most some ratio.
func (r *Ratios) share(k int, most float64) float64 {
	all := r.sorted[k]
	at, _ := slices.BinarySearchFunc(all, most, func(v, most float64) int {
		if v <= most {
			return -1
		}
		return 1
	})
	return float64(at) / float64(len(all))
}
