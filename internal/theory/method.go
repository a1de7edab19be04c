package theory

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Method is a way to estimate the regression functions.
type Method int

// The methods of every scenario.
const (
	// KNN averages the right number of neighbours, Problem.Neighbours.
	KNN Method = iota
	// Kernel is the Nadaraya-Watson smoother with the Epanechnikov kernel
	// 1-|z|²/h² and the right bandwidth, Problem.Bandwidth. If no query is
	// within it, the estimate is the mean of all.
	Kernel
	// KNNFew averages 5 neighbours at every n: its variance never falls.
	KNNFew
	// KNNShare averages a fifth of all queries at every n: its bias never
	// falls.
	KNNShare
	// KNNChosen averages as many neighbours as did best on the training
	// queries, as in practice, where the smoothness is unknown. See choose.
	KNNChosen
	methods
)

// Methods lists all methods in the order of reports.
func Methods() []Method { return []Method{KNN, Kernel, KNNChosen, KNNFew, KNNShare} }

const (
	few   = 5
	share = 5 // one in five
)

// String is the method's name in reports.
func (m Method) String() string {
	switch m {
	case KNN:
		return "knn, right k"
	case Kernel:
		return "kernel, right h"
	case KNNFew:
		return fmt.Sprintf("knn, k = %d", few)
	case KNNShare:
		return fmt.Sprintf("knn, k = n/%d", share)
	case KNNChosen:
		return "knn, k chosen"
	}
	return fmt.Sprintf("Method(%d)", int(m))
}

// MarshalText writes the name.
func (m Method) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// wrong reports whether the method's k is of the wrong order in n.
func (m Method) wrong() bool { return m == KNNFew || m == KNNShare }

// neighbours is the method's k for a metric of the given smoothness. It is 0 for
// a method that has none or finds it from data.
func (m Method) neighbours(p *Problem, smoothness float64, n int) int {
	switch m {
	case KNN:
		return p.Neighbours(smoothness, n)
	case KNNFew:
		return min(few, n)
	case KNNShare:
		return max(n/share, 1)
	}
	return 0
}

// noiseAlone is the excess risk that the noise of outcomes causes by itself, to
// leading order, in units of quality; 0 for KNNChosen. The difference of the two
// best utilities is estimated with variance s² = 2σ²/k from quality, plus the
// same with its own k from an estimated cost. For a kernel, k is the number of
// queries in the ball times (d+4)/(2(d+2)), which follows from the integrals of
// the Epanechnikov kernel and its square. With P(gap <= t) = (t/A)^α and a normal
// error,
//
//	E gap·1(wrong) = ∫ g Φ(-g/s) d(g/A)^α = α/(2(1+α)) · A^(-α) · s^(1+α) · E|Z|^(1+α).
func (s *Scenario) noiseAlone(m Method, n int) float64 {
	p := &s.Problem
	variance := func(smoothness float64) float64 {
		k := float64(m.neighbours(p, smoothness, n))
		if d := float64(p.Dim); m == Kernel {
			k = math.Pow(float64(n), 2*smoothness/(2*smoothness+d)) * (d + 4) / (2 * (d + 2))
		}
		return 2 * p.Noise * p.Noise / k
	}
	if m == KNNChosen {
		return 0
	}
	s2 := variance(p.Smoothness)
	if !s.CostKnown {
		s2 += variance(p.CostSmoothness)
	}
	power := 1 + p.Margin
	moment := math.Pow(2, power/2) * math.Gamma((power+1)/2) / math.Sqrt(math.Pi) // E|Z|^power
	return p.Margin / (2 * power) * math.Pow(spread, -p.Margin) * math.Pow(s2, power/2) * moment
}

// neighbour is a training query and its squared distance.
type neighbour struct {
	distance float64
	row      int32
}

func (a neighbour) compare(b neighbour) int {
	return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.row, b.row))
}

func (a neighbour) before(b neighbour) bool {
	return a.distance < b.distance || a.distance == b.distance && a.row < b.row
}

// nearest moves the k nearest to the front, in no particular order, and returns
// them. Ties go to the lower row. It is quickselect; the pivot comes from a sample
// and lies a little beyond rank k, so that the first pass leaves little to do.
func nearest(all []neighbour, k int) []neighbour {
	lo, hi := 0, len(all)-1
	for lo < hi && k < len(all) {
		if hi-lo < 12 {
			slices.SortFunc(all[lo:hi+1], neighbour.compare)
			break
		}
		pivot := pivot(all[lo:hi+1], k-lo)
		i, j := lo, hi
		for i <= j {
			for all[i].before(pivot) {
				i++
			}
			for pivot.before(all[j]) {
				j--
			}
			if i <= j {
				all[i], all[j] = all[j], all[i]
				i++
				j--
			}
		}
		switch {
		case k-1 <= j:
			hi = j
		case k-1 >= i:
			lo = i
		default:
			return all[:k]
		}
	}
	return all[:min(k, len(all))]
}

// pivot returns one of all that is probably just beyond rank k.
func pivot(all []neighbour, k int) neighbour {
	if len(all) < 600 {
		return all[len(all)/2]
	}
	var sample [48]neighbour
	for i := range sample {
		sample[i] = all[i*len(all)/len(sample)]
	}
	slices.SortFunc(sample[:], neighbour.compare)
	return sample[min(len(sample)*k/len(all)+2, len(sample)-1)]
}
