// Package learn moves the estimates of a router by what its own traffic has shown, and
// decides when the router that results is better than the one that serves.
//
// Only the model that served a request is observed, and which one serves depends on the
// prompt and the draw alone. So the mean of score minus estimate, over the requests that a
// model served, says by how much its estimates are wrong. [Estimate] shrinks these means
// towards zero, by how much they differ between models against their standard errors.
//
// [Progress] holds a test that can be looked at after any number of outcomes: whether
// candidates that were made from earlier outcomes would have been worth more on later ones.
//
// The package holds pure functions: it knows neither stores nor HTTP.
package learn

import (
	"math"
	"slices"

	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/internal/offpolicy"
)

// Lineage knows the routers of one fit, and what each of them adds to its forecasts.
type Lineage struct {
	models  []string
	column  map[string]int
	routers map[string]artifact.Correction
}

// NewLineage returns the lineage of a router that was read from a file.
func NewLineage(a *artifact.Artifact) *Lineage {
	l := &Lineage{column: map[string]int{}, routers: map[string]artifact.Correction{}}
	for j, m := range a.Manifest.Models {
		l.models, l.column[m.Name] = append(l.models, m.Name), j
	}
	own := none(len(l.models))
	if learned := a.Manifest.Learned; learned != nil {
		own = learned.Correction
		for _, earlier := range learned.Earlier {
			l.routers[earlier.Router] = earlier
		}
	}
	l.routers[a.Fingerprint] = own
	return l
}

// none is the correction that changes nothing.
func none(models int) artifact.Correction {
	return artifact.Correction{Quality: make([]float64, models), Tokens: slices.Repeat([]float64{1}, models)}
}

// Models names the models of the fit.
func (l *Lineage) Models() []string { return l.models }

// Knows reports whether a router is of this fit.
func (l *Lineage) Knows(router string) bool { _, ok := l.routers[router]; return ok }

// Correction returns what a router of the fit adds to its forecasts.
func (l *Lineage) Correction(router string) (artifact.Correction, bool) {
	c, ok := l.routers[router]
	return c, ok
}

// Uncorrected returns a row with the estimates of the fit in place of those of the router
// that decided. It returns false if that is none of this fit. A quality that had been
// clamped to 0 or 1 comes back nearer to the middle than it was.
func (l *Lineage) Uncorrected(r offpolicy.Row) (offpolicy.Row, bool) {
	c, ok := l.routers[r.Router]
	if !ok {
		return r, false
	}
	r.Candidates = slices.Clone(r.Candidates)
	for i := range r.Candidates {
		if j, ok := l.column[r.Candidates[i].Name]; ok {
			e := &r.Candidates[i]
			e.Quality = clamp(e.Quality - c.Quality[j])
			e.OutputTokens /= c.Tokens[j]
		}
	}
	return r, true
}

func clamp(q float64) float64 { return min(max(q, 0), 1) }

// Prices says how much a token of output costs each candidate, as far as decisions tell.
type Prices map[string]float64

// PricesOf finds the prices of output tokens in the estimates that were stored with
// decisions: expected costs are sums of a price times input and one times output.
// Where the numbers do not tell the two apart, all of a cost is that of output.
func PricesOf(rows []offpolicy.Row) Prices {
	type moments struct{ ii, io, oo, ic, oc float64 }
	sums := map[string]*moments{}
	for k := range rows {
		for i := range rows[k].Candidates {
			c := &rows[k].Candidates[i]
			in, out := c.InputTokens-c.CachedTokens, c.OutputTokens
			if math.IsNaN(c.Cost) || !(out > 0) {
				continue
			}
			m := sums[c.Name]
			if m == nil {
				m = &moments{}
				sums[c.Name] = m
			}
			m.ii += in * in
			m.io += in * out
			m.oo += out * out
			m.ic += in * c.Cost
			m.oc += out * c.Cost
		}
	}
	prices := Prices{}
	for name, m := range sums {
		if det := m.ii*m.oo - m.io*m.io; det > 1e-9*m.ii*m.oo {
			prices[name] = max((m.ii*m.oc-m.io*m.ic)/det, 0)
		} else {
			prices[name] = m.oc / m.oo
		}
	}
	return prices
}

// Corrected is the policy of a router of this fit with another correction: it decides at
// the willingness to pay w by the estimates that are stored with a row, as the correction
// changes them. It chooses nothing on a row of a router that is none of the fit.
func (l *Lineage) Corrected(to artifact.Correction, prices Prices, w float64) offpolicy.Policy {
	choose := offpolicy.Objective(w)
	return func(r *offpolicy.Row) int {
		from, ok := l.routers[r.Router]
		if !ok {
			return -1
		}
		other := *r
		other.Candidates = slices.Clone(r.Candidates)
		for i := range other.Candidates {
			e := &other.Candidates[i]
			j, ok := l.column[e.Name]
			if !ok {
				continue
			}
			if to.Quality[j] != from.Quality[j] { // to the bit, so that equal corrections choose alike
				e.Quality = clamp(e.Quality + to.Quality[j] - from.Quality[j])
			}
			if to.Tokens[j] != from.Tokens[j] {
				tokens := e.OutputTokens / from.Tokens[j] * to.Tokens[j]
				e.Cost = max(e.Cost+prices[e.Name]*(tokens-e.OutputTokens), 0)
				e.OutputTokens = tokens
			}
		}
		return choose(&other)
	}
}
