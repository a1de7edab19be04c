package frontier

import "slices"

// Step says what a query costs and scores from setting At of the grid on.
type Step struct {
	At            int
	Candidate     int // the one chosen; -1 where several are called
	Cost, Quality float64
}

// Trace records, for each query, the steps of a router along a grid of
// Settings settings: the first step is at 0, and At rises. As a choice changes
// only a few times along hundreds of settings, a trace is small and quick to
// resample.
type Trace struct {
	Settings int
	Steps    [][]Step
}

// NewTrace builds a trace of n queries on a grid of settings. choose returns the
// candidate chosen for a query at a setting, outcome what a candidate costs (USD)
// and scores on a query.
func NewTrace(n, settings int, choose func(query, setting int) int, outcome func(query, candidate int) (cost, quality float64)) Trace {
	t := Trace{Settings: settings, Steps: make([][]Step, n)}
	var steps []Step
	for i := range n {
		steps = steps[:0]
		last := -1
		for s := range settings {
			if c := choose(i, s); s == 0 || c != last {
				cost, quality := outcome(i, c)
				steps = append(steps, Step{s, c, cost, quality})
				last = c
			}
		}
		t.Steps[i] = slices.Clone(steps)
	}
	return t
}

// Curve returns the mean cost and quality at every setting. weights says how
// often each query counts (in a bootstrap resample); nil counts each once. The
// means are NaN if no query counts.
func (t Trace) Curve(weights []float64) []Point {
	points := make([]Point, t.Settings)
	var total float64
	for i, steps := range t.Steps {
		w := 1.0
		if weights != nil {
			w = weights[i]
		}
		if w == 0 {
			continue
		}
		total += w
		var cost, quality float64
		for _, s := range steps { // differences, summed up below
			points[s.At].Cost += w * (s.Cost - cost)
			points[s.At].Quality += w * (s.Quality - quality)
			cost, quality = s.Cost, s.Quality
		}
	}
	var sum Point
	for i := range points {
		sum.Cost += points[i].Cost
		sum.Quality += points[i].Quality
		points[i] = Point{sum.Cost / total, sum.Quality / total}
	}
	return points
}

// Shares returns the share of the queries that each candidate answers at a
// setting. Queries that several answer together count for none of them. Without
// queries the shares are zero.
func (t Trace) Shares(setting, candidates int) []float64 {
	shares := make([]float64, candidates)
	for _, steps := range t.Steps {
		if c := stepAt(steps, setting).Candidate; c >= 0 {
			shares[c]++
		}
	}
	for c := range shares {
		shares[c] /= max(1, float64(len(t.Steps)))
	}
	return shares
}

// At returns the step that query i is on at a setting: the last one that begins
// at or before it. Before the first step it returns a step with candidate -1 and
// neither cost nor quality.
func (t Trace) At(i, setting int) Step { return stepAt(t.Steps[i], setting) }

func stepAt(steps []Step, setting int) Step {
	at := Step{Candidate: -1}
	for _, s := range steps {
		if s.At > setting {
			break
		}
		at = s
	}
	return at
}
