package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/record"
)

// noveltyBuckets are fine towards the end of the scale, where predictors abstain.
var noveltyBuckets = []float64{0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 1}

// choiceKey is a policy, the candidate that comes first, and why.
type choiceKey struct {
	policy, model string
	reason        record.Reason
}

type policySeries struct {
	duration, novelty prometheus.Observer
	abstained         prometheus.Counter
}

// shadowSeries are the sums over the requests of a shadow policy, with its default and
// with the router's choice.
type shadowSeries struct {
	cost, quality [2]prometheus.Counter
}

// chose counts a decision and how long it took. Of a dry run, only the time counts.
func (m *metrics) chose(policy string, h *choice, dry bool) {
	if m == nil {
		return
	}
	policy = policyLabel(policy)
	s := m.policies.get(policy, func(p string) policySeries {
		return policySeries{m.decisions.WithLabelValues(p), m.novelty.WithLabelValues(p), m.abstained.WithLabelValues(p)}
	})
	s.duration.Observe(h.decidedIn.Seconds())
	if dry {
		return
	}
	m.choices.get(choiceKey{policy, h.order[0].Name, h.reason}, func(k choiceKey) prometheus.Counter {
		return m.decided.WithLabelValues(k.policy, k.model, string(k.reason))
	}).Inc()
	if h.canary {
		m.canaries.WithLabelValues(policy).Inc()
	}
	if h.decision == nil {
		return
	}
	s.novelty.Observe(h.decision.Novelty)
	if h.decision.Abstained {
		s.abstained.Inc()
	}
	if h.shadow != nil {
		d := h.decision
		if h.watched != nil {
			d = h.watched
		}
		m.shadowed(policy, d, h.order[0].Name)
	}
}

// shadowed adds up what a request of a shadow policy is expected to cost and to be worth
// with its first candidate and with the router's choice. The saving is not counted as
// such, because it can be negative.
func (m *metrics) shadowed(policy string, d *carrot.Decision, first string) {
	router := d.Chosen()
	var standby *carrot.Assessment
	for i := range d.Candidates {
		if d.Candidates[i].Name == first {
			standby = &d.Candidates[i]
		}
	}
	if router == nil || standby == nil || router.CostUnknown || standby.CostUnknown {
		return
	}
	s := m.shadows.get(policy, func(p string) (s shadowSeries) {
		for i, choice := range [2]string{"default", "router"} {
			s.cost[i], s.quality[i] = m.shadowCost.WithLabelValues(p, choice), m.shadowQual.WithLabelValues(p, choice)
		}
		return s
	})
	for i, a := range [2]*carrot.Assessment{standby, router} {
		s.cost[i].Add(a.Cost.Float())
		s.quality[i].Add(a.Quality)
	}
}

// comparison are the series that compare a model's estimates with what was true.
type comparison struct {
	estimated                 prometheus.Counter // also of calls that cannot be compared
	costRatio, outRatio       prometheus.Observer
	costWithin, outWithin     inInterval
	costSum, inputSum, outSum sums
}

// inInterval counts values up to the 90% quantile of their estimate, and above it.
type inInterval struct{ within, above prometheus.Counter }

func (c *inInterval) count(within bool) {
	if within {
		c.within.Inc()
	} else {
		c.above.Inc()
	}
}

// sums add up values and their estimates.
type sums struct{ truth, estimate prometheus.Counter }

func (s *sums) add(truth, estimate float64) {
	if truth >= 0 { // counters panic otherwise
		s.truth.Add(truth)
		s.estimate.Add(estimate)
	}
}

// comparison returns the series of a model.
func (m *metrics) comparison(k modelKey) comparison {
	interval := func(quantity string) inInterval {
		return inInterval{m.intervals.WithLabelValues(k.model, quantity, "within"), m.intervals.WithLabelValues(k.model, quantity, "above")}
	}
	tokens := func(kind string) sums {
		return sums{m.tokenSums.WithLabelValues(k.model, kind, "true"), m.tokenSums.WithLabelValues(k.model, kind, "estimated")}
	}
	return comparison{
		estimated:  m.estimated.WithLabelValues(k.provider, k.model),
		costRatio:  m.costRatio.WithLabelValues(k.model),
		outRatio:   m.tokenRatio.WithLabelValues(k.model),
		costWithin: interval("cost"),
		outWithin:  interval("output_tokens"),
		costSum:    sums{m.costSums.WithLabelValues(k.model, "true"), m.costSums.WithLabelValues(k.model, "estimated")},
		inputSum:   tokens("input"),
		outSum:     tokens("output"),
	}
}

// add compares the cost and the tokens of a served call with their estimates, unless the
// gateway counted the tokens itself.
func (c *comparison) add(a *record.Attempt) {
	e := a.Estimate()
	if a.Outcome != record.Served || e == nil {
		return
	}
	if e.Cost > 0 {
		c.estimated.Add(e.Cost.Float())
	}
	if a.Estimated {
		return
	}
	if e.Cost > 0 && !a.CostUnknown {
		c.costRatio.Observe(a.Cost.Float() / e.Cost.Float())
		c.costSum.add(a.Cost.Float(), e.Cost.Float())
		if e.CostP90 > 0 {
			c.costWithin.count(a.Cost <= e.CostP90)
		}
	}
	if e.OutputTokens > 0 {
		output := float64(a.Usage.Output + a.Usage.Reasoning)
		c.outRatio.Observe(output / e.OutputTokens)
		c.outSum.add(output, e.OutputTokens)
		if e.OutputTokensP90 > 0 {
			c.outWithin.count(output <= e.OutputTokensP90)
		}
	}
	if e.InputTokens > 0 {
		c.inputSum.add(float64(a.Usage.Prompt()), float64(e.InputTokens))
	}
}
