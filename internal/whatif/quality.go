package whatif

import "math"

// balance sums up the quality of the requests that are decided again: scores where they
// are known, and otherwise what was expected, corrected by how it was off.
type balance struct {
	n, sum    float64
	was, then side
	gain      side // then less was
}

// side is a sum of scores and of expectations.
type side struct {
	fixed float64   // scores, and expectations that are not corrected yet
	here  []float64 // expectations, by model, where it answered
	gone  []float64 // and where it did not
	noise float64   // variance of the scores that are not known
}

func newBalance(models int) *balance {
	newSide := func() side { return side{here: make([]float64, models), gone: make([]float64, models)} }
	return &balance{was: newSide(), then: newSide(), gain: newSide()}
}

// add adds a request that model was has answered, as its candidate then, of model m.
func (b *balance) add(r *Request, then, was, m int) {
	b.n++
	b.was.add(1, r, r.Action, was)
	b.then.add(1, r, then, m)
	if m != was {
		b.gain.add(1, r, then, m)
		b.gain.add(-1, r, r.Action, was)
	}
}

func (s *side) add(sign float64, r *Request, candidate, model int) {
	if candidate == r.Action && !math.IsNaN(r.Score) {
		s.fixed += sign * r.Score
		return
	}
	c := &r.Candidates[candidate]
	s.fixed += sign * c.Quality
	if candidate == r.Action {
		s.here[model] += sign
	} else {
		s.gone[model] += sign
	}
	s.noise += scatter(c)
}

func (b *balance) estimates(offsets []off) (was, then, gain Estimate) {
	of := func(s *side) Estimate {
		if b.n == 0 {
			return Estimate{math.NaN(), [2]float64{math.NaN(), math.NaN()}}
		}
		value, variance := s.fixed, s.noise
		for m, o := range offsets {
			value += s.here[m]*o.here + s.gone[m]*o.value
			variance += s.here[m]*s.here[m]*o.hereVariance + s.gone[m]*s.gone[m]*o.variance
		}
		return normal(value/b.n, variance/(b.n*b.n))
	}
	return within(of(&b.was), 0, 1), within(of(&b.then), 0, 1), within(of(&b.gain), -1, 1)
}

// within cuts what cannot be off an interval.
func within(e Estimate, low, high float64) Estimate {
	e.Interval = [2]float64{max(e.Interval[0], low), min(e.Interval[1], high)}
	return e
}
