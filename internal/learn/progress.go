package learn

import (
	"fmt"
	"math"
	"time"

	"github.com/carrot-router/carrot/internal/offpolicy"
)

const (
	// Batch is the number of new outcomes from which a look is allowed.
	Batch = 500
	// alpha is the probability with which a router that is no better is ever promoted,
	// after however many looks.
	alpha = 0.05
	// minTries is how often the candidates' choices must have been tried, by the
	// probabilities of the draws, where they differ from those of the live router. With
	// fewer, a bound that takes sums to be normal is not to be trusted.
	minTries = 20
)

// Look is what one look at new outcomes has seen: sums over the outcomes, of the utility
// of a candidate that was made from earlier ones minus that of the live router.
type Look struct {
	Time      time.Time `json:"time"`
	Candidate string    `json:"candidate,omitempty"` // what it was made from, in words
	Outcomes  int       `json:"outcomes"`
	Changed   int       `json:"changed"` // outcomes on which the two choose differently
	Sum       float64   `json:"sum"`
	// Squares, Products and Counts are sums over sessions: of the square of its sum of
	// differences, of that sum times its number of outcomes, and of the square of that number.
	Squares  float64 `json:"squares"`
	Products float64 `json:"products"`
	Counts   float64 `json:"counts"`
	// Variance is that of the sum which the probabilities of the draws imply, and Tries how
	// often by them the candidate's choice is tried where it is another.
	Variance float64 `json:"variance"`
	Tries    float64 `json:"tries"`

	Unsupported   int     `json:"unsupported"`
	Weight        float64 `json:"weight"`
	WeightSquares float64 `json:"weight_squares"`

	Lower    *float64 `json:"lower"`    // of the mean difference over all looks, see Progress.Bound; null: unknown
	Decision string   `json:"decision"` // promoted or kept
}

// NewLook returns the look of a comparison.
func NewLook(at time.Time, c offpolicy.Comparison) Look {
	l := Look{Time: at.UTC(), Outcomes: len(c.Rows), Unsupported: c.Unsupported, Weight: c.Weight, WeightSquares: c.Squares, Variance: c.Variance, Tries: c.Tries}
	type session struct{ sum, n float64 }
	sessions, order := map[int]*session{}, []*session(nil)
	for k, d := range c.Difference {
		s := sessions[c.Cluster[k]]
		if s == nil {
			s = &session{}
			sessions[c.Cluster[k]] = s
			order = append(order, s)
		}
		s.sum += d
		s.n++
		l.Sum += d
		if d != 0 {
			l.Changed++
		}
	}
	for _, s := range order {
		l.Squares += s.sum * s.sum
		l.Products += s.sum * s.n
		l.Counts += s.n * s.n
	}
	return l
}

// Progress is a test of whether candidates are better than the live router, which may be
// looked at after every batch of outcomes. Each candidate is made from outcomes before
// those that it is tested on, so that under no difference the sums of all looks are a
// martingale.
type Progress struct{ Looks []Look }

// Bound is the state of the test after all looks.
type Bound struct {
	Outcomes int
	Mean     float64 // utility of the candidates minus that of the live router
	SE       float64
	// Lower bounds the true mean from below with a confidence of 95% at all looks
	// together, however many there will be. It is -Inf if nothing is known.
	Lower           float64
	Unsupported     float64 // share
	EffectiveSample float64
	Refusals        []string // why there is no conclusion
}

// Bound returns the mean difference and its bound: a mixture boundary for one-sided tests
// (Howard, Ramdas, McAuliffe and Sekhon 2021), with the variance of what was observed, or
// that which the probabilities of the draws imply if it is larger: as long as a rare draw
// has not happened, what was observed varies too little. It is tightest when the variance has grown to several times that of the
// first look with any.
func (p *Progress) Bound() Bound {
	b := Bound{Mean: math.NaN(), SE: math.NaN(), Lower: math.Inf(-1)}
	var sum, squares, products, counts, implied, tries, weight, weights, unsupported float64
	for _, l := range p.Looks {
		b.Outcomes += l.Outcomes
		sum, squares, products, counts = sum+l.Sum, squares+l.Squares, products+l.Products, counts+l.Counts
		implied, tries = implied+l.Variance, tries+l.Tries
		weight, weights, unsupported = weight+l.Weight, weights+l.WeightSquares, unsupported+float64(l.Unsupported)
	}
	n := float64(b.Outcomes)
	if n == 0 {
		b.Refusals = []string{"there are no outcomes yet"}
		return b
	}
	b.Mean, b.Unsupported = sum/n, unsupported/n
	if weights > 0 {
		b.EffectiveSample = weight * weight / weights
	}
	variance := max(squares-2*b.Mean*products+b.Mean*b.Mean*counts, implied)
	b.SE = math.Sqrt(max(variance, 0)) / n
	scale := p.first()
	if variance > 0 && scale > 0 {
		b.Lower = b.Mean - boundary(variance, scale)/n
	}
	if b.Unsupported > offpolicy.MaxUnsupported {
		b.Refusals = append(b.Refusals, fmt.Sprintf("on %.1f%% of the outcomes the candidate's choice could not have been tried (at most %.0f%%): explore", 100*b.Unsupported, 100*offpolicy.MaxUnsupported))
	}
	if b.EffectiveSample < offpolicy.MinEffectiveSample {
		b.Refusals = append(b.Refusals, fmt.Sprintf("the outcomes on which the candidate's choice was tried count as %.0f of equal weight (at least %d)", b.EffectiveSample, offpolicy.MinEffectiveSample))
	}
	if tries < minTries {
		b.Refusals = append(b.Refusals, fmt.Sprintf("where the candidates choose otherwise, their choices were tried about %.0f times (at least %d)", tries, minTries))
	}
	return b
}

// first returns the variance of the sum of the first look that has any.
func (p *Progress) first() float64 {
	for _, l := range p.Looks {
		mean := l.Sum / float64(max(l.Outcomes, 1))
		if v := max(l.Squares-2*mean*l.Products+mean*mean*l.Counts, l.Variance); v > 1e-12*l.Squares && v > 0 {
			return v
		}
	}
	return 0
}

// boundary is what a sum of mean zero and the given variance stays below at all times,
// with probability 1-alpha.
func boundary(variance, scale float64) float64 {
	v := variance + scale
	return math.Sqrt(2 * v * math.Log(1+math.Sqrt(v/scale)/(2*alpha)))
}

// Better reports whether the candidates are better than the live router: whether the
// bound is above 0 and nothing stands against a conclusion.
func (b *Bound) Better() bool { return len(b.Refusals) == 0 && b.Lower > 0 }
