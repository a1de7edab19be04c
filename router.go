package carrot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
)

// ErrNoCandidate is returned when every candidate is excluded; the decision
// that comes with it says why for each.
var ErrNoCandidate = errors.New("no candidate can answer the query")

// ErrForecast is returned when a predictor's forecast cannot be true: a number that
// is not finite, a quality or a novelty outside [0,1], or a standard error, a noise,
// a number of tokens or a cost below zero. Nothing is decided on such a forecast.
var ErrForecast = errors.New("impossible forecast")

// Config holds the parts of a Router. All but Frontier, Fingerprint and Holdout are
// required.
type Config struct {
	// Candidates is the pool, in the order that breaks ties.
	Candidates []Candidate
	// Embedder represents the query's text.
	Embedder Embedder
	// Predictor has a column for each candidate.
	Predictor Predictor
	// CountTokens counts a text's input tokens.
	CountTokens func(text string) int
	// Frontier turns targets and budgets into a willingness to pay. Without
	// points, those objectives are ErrNoFrontier.
	Frontier Frontier
	// Fingerprint names the router in its decisions, so that what is learnt from them
	// is learnt for the router that made them. It may be empty.
	Fingerprint string
	// Holdout has what promises are calibrated on. Without it, objectives with a
	// probability are an error.
	Holdout *Holdout
}

// Router is the plug-in rule of CARROT: embed, predict, price, decide. It is
// safe for concurrent use.
type Router struct {
	config  Config
	predict Predictor // config.Predictor, perhaps without columns that no candidate needs
	columns []int     // the predictor's column of each candidate
	lenders []string  // the model that each candidate's forecasts are borrowed from; "": they are not
	scratch sync.Pool

	calibrations calibrations

	priceDate string // the latest of the candidates' prices

	steps [][]int // for each candidate that is a plan, the candidates it asks, -1 for none; nil without plans
	calls int     // of all plans
}

// NewRouter checks that no part is missing and that they fit: candidates have
// unique names and each has a column of the predictor. A missing price is an
// error when routing.
func NewRouter(c Config) (*Router, error) {
	switch {
	case c.Embedder == nil:
		return nil, errors.New("new router: Config.Embedder is missing")
	case c.Predictor == nil:
		return nil, errors.New("new router: Config.Predictor is missing")
	case c.CountTokens == nil:
		return nil, errors.New("new router: Config.CountTokens is missing")
	case len(c.Candidates) == 0:
		return nil, fmt.Errorf("new router: %w: the pool is empty", ErrNoCandidate)
	}
	r := &Router{config: c, columns: make([]int, len(c.Candidates)), lenders: make([]string, len(c.Candidates))}
	r.config.Candidates = slices.Clone(c.Candidates)
	known := c.Predictor.Models()
	r.predict = c.Predictor
	if p, ok := c.Predictor.(interface {
		For(models []string) Predictor
	}); ok {
		var needed []string
		for _, cand := range c.Candidates {
			needed = append(needed, cmp.Or(cand.Like, cand.Name))
		}
		r.predict = p.For(needed)
	}
	lends, _ := c.Predictor.(interface{ Lender(model string) string })
	columns := make(map[string]int, len(known))
	for i, name := range r.predict.Models() {
		if _, ok := columns[name]; !ok {
			columns[name] = i
		}
	}
	seen := make(map[string]bool, len(c.Candidates))
	for i, cand := range c.Candidates {
		if cand.Name == "" {
			return nil, fmt.Errorf("new router: candidate %d has no name", i)
		}
		if seen[cand.Name] {
			return nil, fmt.Errorf("new router: candidate %q appears twice", cand.Name)
		}
		seen[cand.Name] = true
		column := cand.Like
		if column == "" {
			column = cand.Name
		}
		var ok bool
		if cand.Price != nil {
			r.priceDate = max(r.priceDate, cand.Price.Date)
		}
		if r.columns[i], ok = columns[column]; !ok {
			own := slices.DeleteFunc(slices.Clone(known), func(name string) bool { return lends != nil && lends.Lender(name) != "" })
			return nil, fmt.Errorf("new router: the predictor does not know model %q; it knows %s", column, strings.Join(own, ", "))
		}
		if lends != nil {
			r.lenders[i] = lends.Lender(column)
		}
	}
	r.scratch.New = func() any { return &scratch{} }
	return r, r.setSteps()
}

// scratch is what one routing needs and the next can use again.
type scratch struct {
	text [1]string
	x    [1]Representation
	p    [1]Prediction
}

// Candidates returns the pool. The caller must not change it.
func (r *Router) Candidates() []Candidate { return r.config.Candidates }

// Embedder returns the router's embedder.
func (r *Router) Embedder() Embedder { return r.config.Embedder }

// Predictor returns the router's predictor.
func (r *Router) Predictor() Predictor { return r.config.Predictor }

// Frontier returns the stored operating points.
func (r *Router) Frontier() Frontier { return r.config.Frontier }

// With returns a router with the same estimates and another pool, for other
// prices or models that borrow a known one's forecasts.
func (r *Router) With(candidates []Candidate) (*Router, error) {
	c := r.config
	c.Candidates = candidates
	return NewRouter(c)
}

// Trim returns a router that decides as r does, in less time and memory: its
// predictor holds the models of the pool only, so it is for programs that never
// route with another pool. A predictor without a method Only (see [Predictor])
// stays whole.
func (r *Router) Trim() *Router {
	whole, ok := r.config.Predictor.(interface {
		Only(models []string) Predictor
	})
	if !ok {
		return r
	}
	var models []string
	for _, column := range r.columns {
		models = append(models, r.predict.Models()[column])
	}
	slices.Sort(models)
	c := r.config
	c.Predictor = whole.Only(slices.Compact(models))
	trimmed, err := NewRouter(c)
	if err != nil { // the predictor kept other models than it was asked to
		return r
	}
	return trimmed
}

// Route decides which candidate answers q under the objective o. When all are
// excluded the error wraps ErrNoCandidate and the decision says why; it also wraps
// ErrInfeasible if the promises of the objective left none. A forecast that
// cannot be true, for any model of the pool, is an error that wraps ErrForecast.
func (r *Router) Route(ctx context.Context, q Query, o Objective) (Decision, error) {
	w, err := o.Resolve(r.config.Frontier)
	if err != nil {
		return Decision{}, err
	}
	if err := r.checkModels(q.Models); err != nil {
		return Decision{}, err
	}
	if q.InputTokens == 0 {
		q.InputTokens = r.config.CountTokens(q.Text)
	}
	s := r.scratch.Get().(*scratch)
	defer r.scratch.Put(s)
	defer func() { s.text[0] = "" }()
	s.text[0] = q.Text
	if err := r.config.Embedder.Embed(ctx, s.text[:], s.x[:]); err != nil {
		return Decision{}, fmt.Errorf("embed query: %w", err)
	}
	if err := r.predict.Predict(s.x[:], s.p[:]); err != nil {
		return Decision{}, fmt.Errorf("predict: %w", err)
	}
	return r.decide(&q, o, w, &s.p[0])
}

// checkModels refuses a restriction to names that are not in the pool.
func (r *Router) checkModels(names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(r.config.Candidates, func(c Candidate) bool { return c.Name == name }) {
			pool := make([]string, len(r.config.Candidates))
			for i, c := range r.config.Candidates {
				pool[i] = c.Name
			}
			return fmt.Errorf("unknown model %q; the pool is %s", name, strings.Join(pool, ", "))
		}
	}
	return nil
}

// decide prices the prediction and chooses.
func (r *Router) decide(q *Query, o Objective, w float64, p *Prediction) (Decision, error) {
	var promised *calibrated
	if o.promises != (promises{}) {
		var err error
		if promised, err = r.calibrate(o, w, q.Models); err != nil {
			return Decision{}, err
		}
	}
	d := Decision{ID: q.ID, Objective: o, USDPerQuality: w, Novelty: p.Novelty, Abstained: p.Abstained,
		PriceDate: r.priceDate, Router: r.config.Fingerprint, Candidates: make([]Assessment, len(r.config.Candidates))}
	if !(p.Novelty >= 0 && p.Novelty <= 1) {
		return Decision{}, fmt.Errorf("route: %w: novelty %v is outside [0,1]", ErrForecast, p.Novelty)
	}
	var steps []Step
	if r.calls > 0 {
		steps = make([]Step, 0, r.calls)
	}
	for i := range r.config.Candidates {
		c, a := &r.config.Candidates[i], &d.Candidates[i]
		if r.columns[i] >= len(p.Forecasts) {
			return Decision{}, fmt.Errorf("route: %w: the predictor forecasts %d models, want %d", ErrForecast, len(p.Forecasts), len(r.predict.Models()))
		}
		if why := p.Forecasts[r.columns[i]].impossible(); why != "" {
			return Decision{}, fmt.Errorf("route: %w: model %q: %s", ErrForecast, c.Name, why)
		}
		a.Name, a.Borrowed = c.Name, r.lenders[i]
		if len(c.Steps) > 0 {
			var err error
			if steps, err = r.assessPlan(i, q, p, a, steps); err != nil {
				return Decision{}, err
			}
		} else {
			input := c.inputTokens(q)
			a.Excluded = c.excludes(q, input)
			estimate, err := c.estimate(q, &p.Forecasts[r.columns[i]], input)
			if err != nil && a.Excluded == "" {
				return Decision{}, err
			}
			a.Estimate = estimate
		}
		a.value(w)
	}
	if promised != nil {
		if err := promised.exclude(&d, q); err != nil {
			return d, err
		}
	}
	best := chosen(d.Candidates)
	if best < 0 {
		return d, fmt.Errorf("route: %w: %s", ErrNoCandidate, d.refusals(q.Models))
	}
	d.Model = d.Candidates[best].Name
	return d, nil
}

// value sets the utility of a candidate, and excludes one without a cost where cost
// matters.
func (a *Assessment) value(w float64) {
	if !a.CostUnknown || math.IsInf(w, 1) {
		a.Utility = Utility(a.Quality, a.Cost.Float(), w)
		return
	}
	a.Utility = math.Inf(-1)
	if a.Excluded == "" {
		a.Excluded = unknownCost
	}
}

// unknownCost is why a candidate without a cost is excluded.
const unknownCost = "its cost is unknown, so it may be chosen only where cost does not matter (usd-per-quality=inf)"

// refusals says why each candidate that was asked for is excluded.
func (d *Decision) refusals(asked []string) string {
	var why []string
	for i := range d.Candidates {
		if a := &d.Candidates[i]; a.Excluded != "" && (len(asked) == 0 || slices.Contains(asked, a.Name)) {
			why = append(why, a.Name+": "+a.Excluded)
		}
	}
	return strings.Join(why, "; ")
}

// Estimate puts the candidate's price on a forecast for q, whose InputTokens
// must be set. It is the only place where a call is priced before it is made.
// Estimates have nine decimals, so that what is decided on can be written down
// whole and short. A missing price is an error, unless the forecast is of the
// cost itself or says that the cost is unknown.
func (c *Candidate) Estimate(q *Query, f *Forecast) (Estimate, error) {
	return c.estimate(q, f, c.inputTokens(q))
}

// estimate is Estimate for a number of input tokens as the candidate's model counts
// them.
func (c *Candidate) estimate(q *Query, f *Forecast, input int) (Estimate, error) {
	e := Estimate{Quality: f.Quality, QualitySE: f.QualitySE, QualityNoise: f.QualityNoise,
		InputTokens: input, CachedTokens: min(q.CachedTokens[c.Name], input),
		OutputTokens: f.OutputTokens, OutputTokensP90: f.OutputTokensP90}
	if c.QualityShift != 0 {
		e.Quality = min(max(e.Quality+c.QualityShift, 0), 1)
	}
	if c.OutputFactor > 0 {
		e.OutputTokens, e.OutputTokensP90 = c.OutputFactor*e.OutputTokens, c.OutputFactor*e.OutputTokensP90
	}
	limit := c.longest(q)
	e.OutputTokens, e.OutputTokensP90 = min(e.OutputTokens, limit), min(e.OutputTokensP90, limit)
	if answers := float64(q.Answers); answers > 1 {
		e.OutputTokens, e.OutputTokensP90 = answers*e.OutputTokens, answers*e.OutputTokensP90
	}
	for _, v := range []*float64{&e.Quality, &e.QualitySE, &e.QualityNoise, &e.OutputTokens, &e.OutputTokensP90} {
		*v = round9(*v)
	}
	switch {
	case f.CostUnknown:
		e.CostUnknown = true
		return e, nil
	case f.Direct:
		e.Cost, e.CostP90 = Dollars(f.CostUSD), Dollars(f.CostUSDP90)
		return e, nil
	case c.Price == nil:
		return e, fmt.Errorf("model %q has no price: add it to the price book", c.Name)
	}
	used := Usage{Input: e.InputTokens - e.CachedTokens, CachedInput: e.CachedTokens}
	e.PriceAbove = c.Price.Threshold(e.InputTokens)
	var err, errP90 error
	e.Cost, err = c.Price.Expected(used, e.OutputTokens)
	e.CostP90, errP90 = c.Price.Expected(used, e.OutputTokensP90)
	if err := cmp.Or(err, errP90); err != nil {
		return e, fmt.Errorf("price a call of %q: %w", c.Name, err)
	}
	return e, nil
}

// longest returns the largest number of output tokens that one answer may have, +Inf if
// nothing limits it.
func (c *Candidate) longest(q *Query) float64 {
	limit := math.Inf(1)
	for _, n := range []int{q.MaxOutputTokens, c.MaxOutputTokens} {
		if n > 0 {
			limit = min(limit, float64(n))
		}
	}
	return limit
}

// inputTokens returns the number of input tokens of q as the candidate's model counts
// them.
func (c *Candidate) inputTokens(q *Query) int {
	factor := c.InputFactor
	if len(q.InputFactors) > 0 {
		if f, ok := q.InputFactors[c.Name]; ok {
			factor = f
		}
	}
	if factor <= 0 || factor == 1 {
		return q.InputTokens
	}
	return int(math.Round(factor * float64(q.InputTokens)))
}

// Excludes says why the candidate may not answer q, whose InputTokens must be
// set, or "".
func (c *Candidate) Excludes(q *Query) string { return c.excludes(q, c.inputTokens(q)) }

// excludes is Excludes for a number of input tokens as the candidate's model counts
// them.
func (c *Candidate) excludes(q *Query, input int) string {
	if len(q.Models) > 0 && !slices.Contains(q.Models, c.Name) {
		return notAmong
	}
	return c.refuses(q, input)
}

// notAmong is why a candidate is excluded that the query does not name.
const notAmong = "not among the models to choose from"

// refuses is excludes for a query that may be answered by any model.
func (c *Candidate) refuses(q *Query, input int) string {
	if why := q.Excluded[c.Name]; why != "" {
		return why
	}
	if limit := c.Model.ContextTokens; limit > 0 {
		if need := input + q.MaxOutputTokens; need > limit {
			return fmt.Sprintf("the query needs %d tokens of context, the model has %d", need, limit)
		}
	}
	if c.Model.Abilities != nil {
		if missing := c.Model.Abilities.lacks(q.Needs); missing != "" {
			return "the model lacks " + missing
		}
	}
	return ""
}
