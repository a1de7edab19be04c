package predict

import (
	"fmt"
	"math"
)

// maxFactor is the largest factor by which the volume of a model may be corrected, and
// its inverse the smallest.
const maxFactor = 1000

// Correct returns a predictor with the forecasts of p's fit, changed by what was learnt
// after it: shift[j] is added to the quality of model j, which stays within [0,1], and
// factor[j] multiplies its output tokens, or the cost of a model without tokens. A
// correction that p has already is replaced. The new predictor has no out-of-fold
// predictions, as one that was loaded. Plans keep their quality, and their calls follow the factors. It returns ErrNotFitted before Fit.
func (p *Predictor) Correct(shift, factor []float64) (*Predictor, error) {
	if p.learner == nil {
		return nil, fmt.Errorf("correct: %w", ErrNotFitted)
	}
	if len(shift) != len(p.models) || len(factor) != len(p.models) {
		return nil, fmt.Errorf("correct: %d shifts and %d factors for %d models", len(shift), len(factor), len(p.models))
	}
	h := p.head
	h.correction = make([]correction, len(shift))
	for j := range shift {
		h.correction[j] = correction{shift[j], factor[j]}
		if why := h.correction[j].wrong(); why != "" {
			return nil, fmt.Errorf("correct: model %q: %s", p.models[j], why)
		}
	}
	return &Predictor{spec: p.spec, models: p.models, dense: p.dense, learner: p.learner, head: h, novelty: p.novelty, holdout: p.holdout, plans: p.plans}, nil
}

// Correction returns what Correct was given, also after saving and loading, or nil if
// the predictor is as it was fitted.
func (p *Predictor) Correction() (shift, factor []float64) {
	for _, c := range p.head.correction {
		shift, factor = append(shift, c.shift), append(factor, c.factor)
	}
	return shift, factor
}

// wrong says which number of a correction is out of range, or "" if none is.
func (c correction) wrong() string {
	switch {
	case !(math.Abs(c.shift) <= 1):
		return fmt.Sprintf("a shift of quality of %v is outside [-1,1]", c.shift)
	case !(c.factor >= 1.0/maxFactor && c.factor <= maxFactor):
		return fmt.Sprintf("a factor of %v is outside [1/%d,%d]", c.factor, maxFactor, maxFactor)
	}
	return ""
}
