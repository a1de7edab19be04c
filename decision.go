package carrot

import (
	"math"
	"slices"
	"strconv"
)

// Assessment is what a decision says of one candidate: what is expected of it
// and what that is worth.
type Assessment struct {
	Name string
	Estimate
	// Borrowed names the model whose forecasts the estimate follows from, if nothing
	// was observed of the candidate's own (see [Predictor]). It is empty for a
	// candidate with forecasts of its own, or those that Candidate.Like says are.
	Borrowed string
	// Utility is Quality - Cost/w; at w = 0, minus the cost in USD. It is -Inf
	// where the cost is unknown and w is not +Inf.
	Utility float64
	// Excluded says why the candidate may not be chosen; empty if it may.
	Excluded string
	// Steps of a plan. Its tokens and cost are those of all calls that are made.
	Steps []Step
}

// Decision is a choice with everything it was made from.
type Decision struct {
	ID            string       // the query's
	Model         string       // the chosen candidate's name
	Objective     Objective    // as it was asked for
	Policy        string       // the name by which it was asked for; empty: the objective's own
	USDPerQuality float64      // the willingness to pay that the objective resolved to; may be +Inf
	Novelty       float64      // see Prediction
	Abstained     bool         // see Prediction
	PriceDate     string       // the latest date of the candidates' prices; empty: unknown
	Router        string       // Config.Fingerprint of the router that decided; empty: it has none
	Candidates    []Assessment // in pool order
}

// Utility is the worth of quality q at cost c under the willingness to pay w,
// both in USD: q - c/w (the paper's plug-in rule, section 3). At w = 0 quality
// counts for nothing and utility is minus the cost.
func Utility(q, c, w float64) float64 {
	if w == 0 {
		return -c
	}
	return q - c/w
}

// Choose returns the index of the candidate with the highest utility at the
// willingness to pay w; ties go to the lower cost, then to the lower index.
// quality and cost (USD) have one entry per candidate. It returns -1 when
// there is none.
func Choose(quality, cost []float64, w float64) int {
	best := -1
	var top float64
	for m, q := range quality {
		u := Utility(q, cost[m], w)
		if best < 0 || u > top || u == top && cost[m] < cost[best] {
			best, top = m, u
		}
	}
	return best
}

// before reports whether a is preferred to b, wherever they stand in the pool:
// it has the higher utility, or else the lower cost, which must be known.
func (a *Assessment) before(b *Assessment) bool {
	if a.Utility != b.Utility || a.CostUnknown {
		return a.Utility > b.Utility
	}
	return b.CostUnknown || a.Cost < b.Cost
}

// compare is negative if a is preferred to b, and positive if b is to a.
func (a *Assessment) compare(b *Assessment) int {
	switch {
	case a.before(b):
		return -1
	case b.before(a):
		return 1
	}
	return 0
}

// chosen returns the index of the best candidate not excluded, or -1.
func chosen(candidates []Assessment) int {
	best := -1
	for i := range candidates {
		a := &candidates[i]
		if a.Excluded == "" && (best < 0 || a.before(&candidates[best])) {
			best = i
		}
	}
	return best
}

// Chosen returns the chosen candidate's assessment, or nil in a zero decision.
func (d *Decision) Chosen() *Assessment {
	for i := range d.Candidates {
		if d.Candidates[i].Name == d.Model {
			return &d.Candidates[i]
		}
	}
	return nil
}

// Fallback names the candidates to try, in order, if the chosen one fails:
// the others that were not excluded, by decreasing utility.
func (d *Decision) Fallback() []string {
	rest := make([]*Assessment, 0, len(d.Candidates))
	for i := range d.Candidates {
		if a := &d.Candidates[i]; a.Excluded == "" && a.Name != d.Model {
			rest = append(rest, a)
		}
	}
	slices.SortStableFunc(rest, (*Assessment).compare)
	names := make([]string, len(rest))
	for i, a := range rest {
		names[i] = a.Name
	}
	return names
}

// Flip says that from the willingness to pay USDPerQuality downwards, Model
// is chosen.
type Flip struct {
	USDPerQuality float64
	Model         string
}

// Flips lists, from the highest willingness to pay (+Inf) to the lowest, which
// candidate would be chosen for this query and where the choice changes: the
// upper envelope of the lines q_m - λ·c_m over λ = 1/w. Candidates of unknown
// cost are left out.
func (d *Decision) Flips() []Flip {
	at := -1
	for i := range d.Candidates {
		a := &d.Candidates[i]
		if a.Excluded != "" || a.CostUnknown {
			continue
		}
		if at < 0 || a.Quality > d.Candidates[at].Quality ||
			a.Quality == d.Candidates[at].Quality && a.Cost < d.Candidates[at].Cost {
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	flips := []Flip{{math.Inf(1), d.Candidates[at].Name}}
	for {
		next, lambda := -1, math.Inf(1)
		from := &d.Candidates[at]
		for i := range d.Candidates {
			a := &d.Candidates[i]
			if a.Excluded != "" || a.CostUnknown || a.Cost >= from.Cost {
				continue
			}
			l := (from.Quality - a.Quality) / (from.Cost - a.Cost).Float()
			if l < lambda || l == lambda && next >= 0 && a.Cost < d.Candidates[next].Cost {
				next, lambda = i, l
			}
		}
		if next < 0 {
			return flips
		}
		flips = append(flips, Flip{1 / lambda, d.Candidates[next].Name})
		at = next
	}
}

// Reason says in one sentence why the model was chosen.
func (d *Decision) Reason() string {
	c := d.Chosen()
	if c == nil {
		return ""
	}
	b := make([]byte, 0, 256)
	if d.Abstained {
		b = append(b, "abstained: unlike the training data, so by each model's mean alone: "...)
	}
	b = append(b, c.Name...)
	switch {
	case d.alone():
		b = append(b, " is the only candidate"...)
	case math.IsInf(d.USDPerQuality, 1):
		b = strconv.AppendFloat(append(b, " has the best expected quality ("...), c.Quality, 'f', 3, 64)
		b = append(b, ')')
	case d.USDPerQuality == 0:
		b = appendShort(append(b, " has the least expected cost ("...), c.Cost)
		b = append(b, ')')
	default:
		b = appendShort(append(b, " has the best trade-off at "...), Dollars(d.USDPerQuality))
		b = append(b, " per unit of quality"...)
	}
	if p := d.Objective.promises; p != (promises{}) {
		b = append(append(b, " of those that keep "...), p.String()...)
	}
	if top := d.best(); top != nil && top.Quality > c.Quality && !math.IsInf(d.USDPerQuality, 1) {
		b = append(append(append(b, ": "...), top.Name...), " would add "...)
		b = strconv.AppendFloat(b, top.Quality-c.Quality, 'f', 3, 64)
		b = appendShort(append(b, " quality for "...), top.Cost-c.Cost)
		b = append(b, " more"...)
	}
	if c.Borrowed != "" {
		b = append(append(append(b, "; its estimates are borrowed from "...), c.Borrowed...), ", as it was never observed"...)
	}
	return string(b)
}

// alone reports whether no other candidate could answer.
func (d *Decision) alone() bool {
	return !slices.ContainsFunc(d.Candidates, func(a Assessment) bool { return a.Excluded == "" && a.Name != d.Model })
}

// best returns the candidate of the highest expected quality.
func (d *Decision) best() *Assessment {
	var top *Assessment
	for i := range d.Candidates {
		if a := &d.Candidates[i]; a.Excluded == "" && (top == nil || a.Quality > top.Quality) {
			top = a
		}
	}
	return top
}

// appendShort writes an amount with three significant digits.
func appendShort(b []byte, u USD) []byte {
	v := u.Float()
	if v == 0 {
		return append(b, "$0"...)
	}
	digits := max(2, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	return strconv.AppendFloat(append(b, '$'), v, 'f', digits, 64)
}
