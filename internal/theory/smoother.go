package theory

import (
	"math"
	"slices"

	"github.com/carrot-router/carrot"
)

// The metrics of a smoother.
const (
	quality = iota
	cost
	metrics
)

// smoother estimates quality and cost at one query at a time, by all methods in
// one pass over the training queries. It is not safe for concurrent use.
type smoother struct {
	problem *Problem
	train   *sample
	metrics int // how many are estimated: 1 if the cost is known, else 2
	all     []neighbour
	near    [metrics][]neighbour // within the bandwidth
	radius2 [metrics]float64     // squared bandwidths
	means   [metrics][]float64
	k       [methods][metrics]int
	ks      []int // all of k, descending

	estimates [methods][metrics][]float64 // at the last query
}

func newSmoother(s *Scenario, train *sample) *smoother {
	p := &s.Problem
	n := len(train.x) / p.Dim
	out := &smoother{problem: p, train: train, metrics: metrics, all: make([]neighbour, n)}
	if s.CostKnown {
		out.metrics = 1
	}
	smoothness := [metrics]float64{p.Smoothness, p.CostSmoothness}
	for i := range out.metrics {
		out.radius2[i] = math.Pow(p.Bandwidth(smoothness[i], n), 2)
		out.means[i] = make([]float64, p.Models)
		for j, v := range train.y[i] {
			out.means[i][j%p.Models] += v / float64(n)
		}
		for _, m := range Methods() {
			out.k[m][i] = m.neighbours(p, smoothness[i], n)
		}
		out.k[KNNChosen][i] = out.choose(i)
	}
	for _, m := range Methods() {
		for i := range metrics {
			out.estimates[m][i] = make([]float64, p.Models)
			if out.k[m][i] > 0 {
				out.ks = append(out.ks, out.k[m][i])
			}
		}
	}
	slices.Sort(out.ks)
	slices.Reverse(out.ks)
	out.ks = slices.Compact(out.ks)
	return out
}

// leaveOut is the largest number of training queries that k is chosen on.
const leaveOut = 150

// choose returns the k, among the powers of two up to a quarter of the queries,
// that best predicts a metric of the first training queries from the others, by
// the squared error of the differences between models.
func (s *smoother) choose(metric int) int {
	n, models := len(s.all), s.problem.Models
	var ks []int
	for k := 1; k <= max(n/4, 1); k *= 2 {
		ks = append(ks, k)
	}
	lost, sum := make([]float64, len(ks)), make([]float64, models)
	y := s.train.y[metric]
	for row := range min(leaveOut, n) {
		s.measure(s.train.x[row*s.problem.Dim:][:s.problem.Dim])
		s.all[row], s.all[n-1] = s.all[n-1], s.all[row]
		others := s.all[:n-1]
		for _, k := range slices.Backward(ks) {
			others = nearest(others, k)
		}
		clear(sum)
		done := 0
		for i, k := range ks { // nearer ones are at the front
			addTo(sum, s.all[done:k], y)
			done = k
			lost[i] += difference(sum, float64(k), y[row*models:][:models])
		}
	}
	best := len(ks) - 1
	for i, l := range slices.Backward(lost) { // ties go to the larger k
		if l < lost[best] {
			best = i
		}
	}
	return ks[best]
}

// difference is the squared error of sum/k as an estimate of y, after removing
// what all models have in common.
func difference(sum []float64, k float64, y []float64) (out float64) {
	var common float64
	for m, v := range sum {
		common += (v/k - y[m]) / float64(len(sum))
	}
	for m, v := range sum {
		out += (v/k - y[m] - common) * (v/k - y[m] - common)
	}
	return out
}

// addTo adds the outcomes of neighbours to sum.
func addTo(sum []float64, of []neighbour, y []float64) {
	for _, a := range of {
		for j, v := range y[int(a.row)*len(sum):][:len(sum)] {
			sum[j] += v
		}
	}
}

// measure computes the distances to x: all in row order, and near.
func (s *smoother) measure(x []float64) {
	d := s.problem.Dim
	for i := range s.near {
		s.near[i] = s.near[i][:0]
	}
	for i := range s.all {
		var sum float64
		for j, c := range s.train.x[i*d:][:d] {
			sum += (c - x[j]) * (c - x[j])
		}
		s.all[i] = neighbour{sum, int32(i)}
		for metric := range s.metrics {
			if sum < s.radius2[metric] {
				s.near[metric] = append(s.near[metric], s.all[i])
			}
		}
	}
}

// at computes all estimates at x. known is the cost there, for scenarios in which
// it is known.
func (s *smoother) at(x, known []float64) {
	s.measure(x)
	near := s.all
	for _, k := range s.ks { // descending, so each selects within the previous
		near = nearest(near, k)
	}
	for _, m := range Methods() {
		for i := range s.metrics {
			if m == Kernel {
				s.kernel(i, s.estimates[m][i])
			} else {
				s.average(s.all[:s.k[m][i]], i, s.estimates[m][i])
			}
		}
		if s.metrics == 1 {
			copy(s.estimates[m][cost], known)
		}
	}
}

// average writes the mean of a metric over neighbours.
func (s *smoother) average(of []neighbour, metric int, out []float64) {
	clear(out)
	addTo(out, of, s.train.y[metric])
	for j := range out {
		out[j] /= float64(len(of))
	}
}

// kernel writes the Nadaraya-Watson estimate.
func (s *smoother) kernel(metric int, out []float64) {
	clear(out)
	y := s.train.y[metric]
	var total float64
	for _, a := range s.near[metric] {
		weight := 1 - a.distance/s.radius2[metric]
		total += weight
		for j, v := range y[int(a.row)*len(out):][:len(out)] {
			out[j] += weight * v
		}
	}
	if total == 0 {
		copy(out, s.means[metric])
		return
	}
	for j := range out {
		out[j] /= total
	}
}

// excess adds to out the utility that each method's choice at x loses against the
// best choice.
func (s *smoother) excess(x []float64, truth [metrics][]float64, out *[methods]float64) {
	s.at(x, truth[cost])
	best := worth(truth, choice(truth))
	for _, m := range Methods() {
		out[m] += best - worth(truth, choice(s.estimates[m]))
	}
}

// choice is the plug-in rule's choice by estimates of quality and cost.
func choice(e [metrics][]float64) int { return carrot.Choose(e[quality], e[cost], USDPerQuality) }

// worth is the utility of a model.
func worth(e [metrics][]float64, m int) float64 {
	return carrot.Utility(e[quality][m], e[cost][m], USDPerQuality)
}
