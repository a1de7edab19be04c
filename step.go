package carrot

import (
	"fmt"
	"math"
	"slices"
)

// Step is one of the calls that a candidate of several calls, a plan, may make. Which
// of them are made depends on the answers.
type Step struct {
	// Model names the candidate of the same pool that is asked.
	Model string `json:"model"`
	// Called is the probability that it is asked. It and what follows do not count in
	// Candidate.Steps.
	Called float64 `json:"called"`
	// OutputTokens are expected of the answer if it is asked.
	OutputTokens float64 `json:"output_tokens"`
	// Cost is expected of the call if it is made. In a forecast it is zero, unless the
	// model's costs are forecast directly; in an assessment, if the plan's cost is unknown.
	Cost USD `json:"cost_usd"`
}

// impossible says why a step of a forecast cannot be true, or "" if it can.
func (s *Step) impossible() string {
	if !(s.Called >= 0 && s.Called <= 1) {
		return fmt.Sprintf("the probability %v of asking %s is outside [0,1]", s.Called, s.Model)
	}
	if !(s.OutputTokens >= 0 && s.OutputTokens <= math.MaxFloat64) || s.Cost < 0 {
		return fmt.Sprintf("%v output tokens of %s, or their cost, are negative or not finite", s.OutputTokens, s.Model)
	}
	return ""
}

// setSteps finds the candidates that a plan asks.
func (r *Router) setSteps() error {
	for i := range r.config.Candidates {
		c := &r.config.Candidates[i]
		if len(c.Steps) == 0 {
			continue
		}
		if r.steps == nil {
			r.steps = make([][]int, len(r.config.Candidates))
		}
		for _, s := range c.Steps {
			at := slices.IndexFunc(r.config.Candidates, func(o Candidate) bool { return o.Name == s.Model })
			if at >= 0 && len(r.config.Candidates[at].Steps) > 0 {
				return fmt.Errorf("new router: plan %q asks %q, which is a plan itself", c.Name, s.Model)
			}
			r.steps[i] = append(r.steps[i], at)
		}
		r.calls += len(c.Steps)
	}
	return nil
}

// assessPlan fills in what is expected of candidate i, a plan, and appends its steps
// to steps. It is excluded if one of its models is, except by the query's restriction
// to some candidates: this is about the plan.
func (r *Router) assessPlan(i int, q *Query, p *Prediction, a *Assessment, steps []Step) ([]Step, error) {
	c, f := &r.config.Candidates[i], &p.Forecasts[r.columns[i]]
	a.Estimate = Estimate{Quality: f.Quality, QualitySE: f.QualitySE, QualityNoise: f.QualityNoise, InputTokens: q.InputTokens}
	if len(q.Models) > 0 && !slices.Contains(q.Models, c.Name) {
		a.Excluded = notAmong
	} else {
		a.Excluded = q.Excluded[c.Name]
	}
	var forecast []Step
	if r.columns[i] < len(p.Steps) {
		forecast = p.Steps[r.columns[i]]
	}
	if len(forecast) != len(c.Steps) {
		return steps, fmt.Errorf("route: %w: plan %q has %d steps, and %d are forecast", ErrForecast, c.Name, len(c.Steps), len(forecast))
	}
	first := len(steps)
	var cost, tokens float64
	for k, at := range r.steps[i] {
		s := forecast[k]
		if s.Model != "" && s.Model != c.Steps[k].Model {
			return steps, fmt.Errorf("route: %w: plan %q asks %s, and %s is forecast", ErrForecast, c.Name, c.Steps[k].Model, s.Model)
		}
		if why := s.impossible(); why != "" {
			return steps, fmt.Errorf("route: %w: plan %q: %s", ErrForecast, c.Name, why)
		}
		if s.Model = c.Steps[k].Model; at < 0 {
			if a.CostUnknown = true; a.Excluded == "" {
				a.Excluded = "its model " + s.Model + " is not in the pool"
			}
			steps = append(steps, s)
			continue
		}
		m := &r.config.Candidates[at]
		input := m.inputTokens(q)
		if why := m.refuses(q, input); why != "" && a.Excluded == "" {
			a.Excluded = s.Model + ": " + why
		}
		call := p.Forecasts[r.columns[at]]
		call.OutputTokens, call.CostUSD = s.OutputTokens, s.Cost.Float()
		e, err := m.estimate(q, &call, input)
		if err != nil {
			if a.Excluded == "" {
				return steps, err
			}
			e.CostUnknown = true
		}
		s.Called, s.OutputTokens, s.Cost = round9(s.Called), e.OutputTokens, e.Cost
		a.CostUnknown = a.CostUnknown || e.CostUnknown
		a.PriceAbove = max(a.PriceAbove, e.PriceAbove)
		cost += s.Called * float64(e.Cost)
		tokens += s.Called * e.OutputTokens
		steps = append(steps, s)
	}
	a.Steps = steps[first:len(steps):len(steps)]
	a.OutputTokens, a.OutputTokensP90 = tokens, f.TokensRatioP90*tokens
	if a.CostUnknown {
		a.OutputTokens, a.OutputTokensP90 = 0, 0
		for k := range a.Steps {
			a.Steps[k].Cost = 0
		}
	}
	for _, v := range []*float64{&a.Quality, &a.QualitySE, &a.QualityNoise, &a.OutputTokens, &a.OutputTokensP90} {
		*v = round9(*v)
	}
	if !a.CostUnknown {
		if high := f.CostRatioP90 * cost; !(max(cost, high) < math.MaxInt64) {
			return steps, fmt.Errorf("price plan %q: %w: %v", c.Name, ErrCostRange, max(cost, high))
		}
		a.Cost, a.CostP90 = USD(math.Round(cost)), USD(math.Round(f.CostRatioP90*cost))
	}
	return steps, nil
}

// round9 rounds to the nine decimals of estimates.
func round9(v float64) float64 { return math.Round(v*1e9) / 1e9 }
