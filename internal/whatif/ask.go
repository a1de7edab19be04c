package whatif

import (
	"maps"
	"math"
	"slices"

	"github.com/carrot-router/carrot/internal/offpolicy"
)

// Log is a sequence of requests that can be asked about, by several goroutines at once.
type Log struct {
	requests []Request
	session  []int
	models   []string // sorted
	column   map[string]int
	ratios   []off // of costs, by model
	offsets  []off // of scores
}

// New returns a log of requests, which it keeps.
func New(requests []Request) *Log {
	l := &Log{requests: requests, session: make([]int, len(requests)), column: map[string]int{}}
	sessions, known := 0, map[string]int{}
	for i := range requests {
		r := &requests[i]
		at, ok := known[r.Session]
		if !ok || r.Session == "" { // of none
			at = sessions
			sessions++
			known[r.Session] = at
		}
		l.session[i] = at
		l.column[r.Model] = 0
		for k := range r.Candidates {
			l.column[r.Candidates[k].Name] = 0
		}
	}
	l.models = slices.Sorted(maps.Keys(l.column))
	for m, name := range l.models {
		l.column[name] = m
	}
	costs, scores := make([]sample, len(l.models)), make([]sample, len(l.models))
	for i := range requests {
		r := &requests[i]
		if len(r.Candidates) == 0 {
			continue
		}
		c := &r.Candidates[r.Action]
		m := l.column[c.Name]
		if r.Cost >= 0 && c.Cost > 0 {
			costs[m].add(l.session[i], r.Cost, c.Cost, 0)
		}
		if !math.IsNaN(r.Score) {
			scores[m].add(l.session[i], r.Score, c.Quality, scatter(c))
		}
	}
	l.ratios, l.offsets = ratios(costs), offsets(scores)
	return l
}

// scatter is the variance of a score about its mean, as far as it was expected.
func scatter(c *offpolicy.Candidate) float64 {
	if c.Noise > 0 {
		return c.Noise * c.Noise
	}
	return c.Quality * (1 - c.Quality)
}

// Models returns the candidates of the decisions and the models that were asked, sorted.
func (l *Log) Models() []string { return l.models }

// Decided returns the requests that can be decided again, by the router that decided them.
func (l *Log) Decided() map[string]int {
	out := map[string]int{}
	for i := range l.requests {
		if r := &l.requests[i]; r.Kept == "" {
			out[r.Router]++
		}
	}
	return out
}

// Question says what would be different, beside the prices of the requests.
type Question struct {
	USDPerQuality float64  // the willingness to pay; NaN: as each decision had it
	Without       []string // models that could not be chosen
}

// Estimate is an estimated amount with its 95% interval. The part of it that was observed
// is certain.
type Estimate struct {
	Value    float64
	Interval [2]float64
}

// Answer compares what was with what would be.
type Answer struct {
	Requests int
	Decided  int            // that were decided again
	Changed  int            // of these, those for which another model is chosen
	Kept     map[string]int // the others, by reason
	// Away is how many requests keep a model that could not be chosen.
	Away int

	// Priced is how many requests the bill is of: their costs are known.
	Priced int
	Was    float64 // USD that they cost: a fact
	Paid   float64 // the part of Then that follows from what was used, at the prices that are asked about
	Then   Estimate
	Saved  Estimate // Was less Then

	Rated int     // answers with a score
	Score float64 // the mean of these; NaN: there is none
	// What the mean score of the requests that were decided again was and would be, and
	// the difference; NaN if there are none.
	QualityWas, QualityThen, QualityGain Estimate

	Models []Model
}

// Model is what a model answers.
type Model struct {
	Name      string
	Was, Then int     // requests
	New       int     // those of Then that another model has answered
	WasUSD    float64 // a fact, of the requests with a known cost
	ThenUSD   float64 // an estimate if New is above 0
	// Ratio is that of costs to what was expected of them where another model answered,
	// shrunk to 1 as far as it is not certain, from Answered requests.
	Ratio    Estimate
	Answered int
	// Offset is how scores differ from what was expected there, shrunk to 0, from Rated
	// scores.
	Offset Estimate
	Rated  int
}

// Ask decides the requests again, and estimates what that would have been.
func (l *Log) Ask(q Question) Answer {
	a := Answer{Requests: len(l.requests), Kept: map[string]int{}, Score: math.NaN()}
	models := make([]Model, len(l.models))
	for m, name := range l.models {
		models[m] = Model{Name: name, Answered: l.ratios[m].n, Rated: l.offsets[m].n}
		models[m].Ratio = lognormal(math.Exp(l.ratios[m].value), l.ratios[m].variance)
		models[m].Offset = normal(l.offsets[m].value, l.offsets[m].variance)
	}
	costs := make([]sample, len(l.models)) // of other choices, whose observed costs are 0
	score := newBalance(len(l.models))
	for i := range l.requests {
		r := &l.requests[i]
		was := l.column[r.Model]
		then, kept := l.decide(r, q)
		models[was].Was++
		m := was
		if kept == "" {
			a.Decided++
			m = l.column[r.Candidates[then].Name]
			score.add(r, then, was, m)
		} else {
			a.Kept[kept]++
			if slices.Contains(q.Without, r.Model) {
				a.Away++
			}
		}
		models[m].Then++
		if !math.IsNaN(r.Score) {
			a.Rated++
			score.sum += r.Score
		}
		if m != was {
			a.Changed++
			models[m].New++
		}
		estimate := r.Now
		if m != was {
			estimate = r.Candidates[then].Cost * math.Exp(l.ratios[m].value)
		}
		if math.IsNaN(r.Was) || math.IsNaN(estimate) {
			continue
		}
		a.Priced++
		a.Was += r.Was
		models[was].WasUSD += r.Was
		models[m].ThenUSD += estimate
		if m == was {
			a.Paid += r.Now
		} else {
			costs[m].add(l.session[i], 0, r.Candidates[then].Cost, 0)
		}
	}
	var guess, variance float64
	for m := range costs {
		ratio := math.Exp(l.ratios[m].value)
		all := costs[m].sum()
		guess += ratio * all.expected
		variance += ratio * ratio * all.expected * all.expected * l.ratios[m].variance
		for _, one := range costs[m].sessions {
			variance += ratio * ratio * l.ratios[m].scatter * one.expected * one.expected
		}
	}
	e := lognormal(guess, variance/(guess*guess))
	a.Then = Estimate{a.Paid + guess, [2]float64{a.Paid + e.Interval[0], a.Paid + e.Interval[1]}}
	a.Saved = Estimate{a.Was - a.Then.Value, [2]float64{a.Was - a.Then.Interval[1], a.Was - a.Then.Interval[0]}}
	if a.Rated > 0 {
		a.Score = score.sum / float64(a.Rated)
	}
	a.QualityWas, a.QualityThen, a.QualityGain = score.estimates(l.offsets)
	a.Models = slices.DeleteFunc(models, func(m Model) bool { return m.Was == 0 && m.Then == 0 })
	return a
}

// Choice returns the model that would answer a request, by its number, and whether that is
// decided again.
func (l *Log) Choice(request int, q Question) (model string, decided bool) {
	r := &l.requests[request]
	then, kept := l.decide(r, q)
	if kept != "" {
		return r.Model, false
	}
	return r.Candidates[then].Name, true
}

// decide returns the candidate that would be chosen, or why a request keeps what it was.
func (l *Log) decide(r *Request, q Question) (choice int, kept string) {
	switch {
	case r.Kept != "" && (r.Kept != KeptExplored || !slices.Contains(q.Without, r.Model)):
		return 0, r.Kept
	case r.promise && !math.IsNaN(q.USDPerQuality):
		return 0, KeptPromise
	}
	w := q.USDPerQuality
	if math.IsNaN(w) {
		w = r.USDPerQuality
	}
	row := &r.Row
	if len(q.Without) > 0 {
		fewer := r.Row
		fewer.Candidates = slices.Clone(r.Candidates)
		for k := range fewer.Candidates {
			if c := &fewer.Candidates[k]; slices.Contains(q.Without, c.Name) {
				c.Quality, c.Cost = math.NaN(), math.NaN() // so that it is not chosen
			}
		}
		row = &fewer
	}
	if choice = offpolicy.Objective(w)(row); choice < 0 {
		return 0, KeptNoCandidate
	}
	return choice, ""
}

// lognormal returns an estimate of what cannot be negative, with the relative variance.
func lognormal(value, variance float64) Estimate {
	if value == 0 {
		return Estimate{}
	}
	half := normal95 * math.Sqrt(math.Log1p(variance))
	return Estimate{value, [2]float64{value * math.Exp(-half), value * math.Exp(half)}}
}

func normal(value, variance float64) Estimate {
	half := normal95 * math.Sqrt(variance)
	return Estimate{value, [2]float64{value - half, value + half}}
}
