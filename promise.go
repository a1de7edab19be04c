package carrot

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/promise"
)

// ErrInfeasible is returned when no candidate that could answer keeps the promises of
// the objective. The error says which promise could be kept.
var ErrInfeasible = errors.New("no candidate keeps the promise")

// promises are the promises of an objective. A zero is a promise that is not made. See
// [ParseObjective].
type promises struct {
	score, scoreAt float64 // the score is at least this, with this probability
	usd, usdAt     float64 // the cost is at most this, with this probability; 0: its mean is
	goodAt         float64 // the score is at least that of the best single model, with this probability
}

// With returns the objective with the promises of others added, which
// [ParseObjective] reads. Their trade-offs are left out, and of two promises of a kind the
// later one holds.
func (o Objective) With(others ...Objective) Objective {
	for _, other := range others {
		p := other.promises
		if p.score != 0 {
			o.promises.score, o.promises.scoreAt = p.score, p.scoreAt
		}
		if p.usd != 0 {
			o.promises.usd, o.promises.usdAt = p.usd, p.usdAt
		}
		if p.goodAt != 0 {
			o.promises.goodAt = p.goodAt
		}
	}
	return o
}

// quality reports whether there is a promise of quality.
func (p promises) quality() bool { return p.score != 0 || p.goodAt != 0 }

// parse reads a promise. known is false for a text that is no promise.
func (p *promises) parse(s string) (known bool, err error) {
	form, probability, stated := strings.Cut(s, "@")
	name, text, _ := strings.Cut(form, "=")
	number := func(text string) (v float64) {
		if v, err = strconv.ParseFloat(text, 64); err != nil || math.IsNaN(v) || v == 0 {
			err = fmt.Errorf("%q is no promise: %q is not a number above 0", s, text)
		}
		return v
	}
	value, at := 0.0, 0.0
	switch name {
	case "min-quality", "max-cost":
		if value = number(text); err != nil {
			return true, err
		}
	case "as-good-as-best":
		if form != name {
			return true, fmt.Errorf("%q is no promise: want as-good-as-best@0.95", s)
		}
	default:
		return false, nil
	}
	if stated {
		if at = number(probability); err != nil {
			return true, err
		}
	} else if name != "max-cost" {
		return true, fmt.Errorf("%q lacks a probability: want %s@0.95", s, s)
	}
	twice := fmt.Errorf("%s is promised twice", name)
	switch {
	case name == "min-quality" && p.score == 0:
		p.score, p.scoreAt = value, at
	case name == "max-cost" && p.usd == 0:
		p.usd, p.usdAt = value, at
	case name == "as-good-as-best" && p.goodAt == 0:
		p.goodAt = at
	default:
		return true, twice
	}
	return true, nil
}

// check refuses numbers out of range.
func (p promises) check() error {
	within := func(at float64) bool { return at > 0 && at < 1 }
	switch {
	case p.score != 0 && !(p.score > 0 && p.score <= 1):
		return fmt.Errorf("min-quality: the score %v is outside (0,1]", p.score)
	case p.score != 0 && !within(p.scoreAt):
		return fmt.Errorf("min-quality: the probability %v is outside (0,1)", p.scoreAt)
	case p.usd != 0 && !(p.usd > 0 && p.usd <= math.MaxFloat64):
		return fmt.Errorf("max-cost: %v is no cost: want USD a query above 0", p.usd)
	case p.usd != 0 && p.usdAt != 0 && !within(p.usdAt):
		return fmt.Errorf("max-cost: the probability %v is outside (0,1)", p.usdAt)
	case p.goodAt != 0 && !within(p.goodAt):
		return fmt.Errorf("as-good-as-best: the probability %v is outside (0,1)", p.goodAt)
	}
	return nil
}

// String writes the promises in the form that ParseObjective reads.
func (p promises) String() string {
	var parts []string
	number := func(v float64) string {
		if v >= 1e-9 {
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	if p.score != 0 {
		parts = append(parts, "min-quality="+number(p.score)+"@"+number(p.scoreAt))
	}
	if p.goodAt != 0 {
		parts = append(parts, "as-good-as-best@"+number(p.goodAt))
	}
	switch {
	case p.usd == 0:
	case p.usdAt == 0:
		parts = append(parts, "max-cost="+number(p.usd))
	default:
		parts = append(parts, "max-cost="+number(p.usd)+"@"+number(p.usdAt))
	}
	return strings.Join(parts, ",")
}

// Holdout has, for queries that were held out of training, what a predictor said of each
// model and what happened. Promises are calibrated on it. Matrices are row-major, with a
// column for each model, and NaN where nothing is known.
type Holdout struct {
	Models []string
	// InputTokens has the number of input tokens of each query, in the mean over models.
	InputTokens []float32
	// Quality is forecast, and Score observed.
	Quality, Score []float32
	// Volume is the mean that was forecast, and Observed what came: output tokens or, for
	// the models in Direct, USD.
	Volume, Observed []float32
	Direct           []bool
}

// Promise says how well a promise was kept on held-out queries of the router.
type Promise struct {
	Promise string  `json:"promise"` // such as "min-quality=0.8@0.95"
	Stated  float64 `json:"stated"`  // its probability
	// One of these is what is promised: a score, a cost, or the score of a model.
	MinScore   float64 `json:"min_score,omitempty"`
	MaxCostUSD float64 `json:"max_cost_usd,omitempty"`
	AsGoodAs   string  `json:"as_good_as,omitempty"`
	// Feasible is the share of the queries for which it could be made, and Kept the
	// share of these on which it was kept.
	Feasible float64 `json:"feasible"`
	Kept     float64 `json:"kept"`
	// Binds says that without the promise it would have been broken more often than it
	// states.
	Binds bool `json:"binds"`
	// Most is the highest probability that could be stated.
	Most float64 `json:"most"`
}

// kind is one kind of promise.
type kind int

const (
	minQuality kind = iota
	asGoodAsBest
	maxCost
	kinds
)

// only returns the promise of a kind.
func (p promises) only(k kind) promises {
	switch k {
	case minQuality:
		return promises{score: p.score, scoreAt: p.scoreAt}
	case asGoodAsBest:
		return promises{goodAt: p.goodAt}
	default:
		return promises{usd: p.usd, usdAt: p.usdAt}
	}
}

// at returns the probability of the promise of a kind, 0 if it has none.
func (p promises) at(k kind) float64 {
	return [...]float64{minQuality: p.scoreAt, asGoodAsBest: p.goodAt, maxCost: p.usdAt}[k]
}

// restated returns promises with another probability.
func (p promises) restated(at float64) promises {
	for _, stated := range []*float64{&p.scoreAt, &p.goodAt, &p.usdAt} {
		if *stated > 0 {
			*stated = at
		}
	}
	return p
}

// calibrations keeps what was calibrated for the objectives and pools last asked for.
type calibrations struct {
	mu   sync.Mutex
	kept map[calibrationKey]*calibrated
}

type calibrationKey struct {
	objective Objective
	models    string
}

// mostKept bounds the memory of calibrations: clients may ask for any objective.
const mostKept = 64

// Promises says how well the promises of an objective, which may choose among the named
// models (nil: all), were kept on queries that were held out when the router was trained.
// It is empty for an objective without promises that have a probability. It is an error
// if the router holds no such queries.
func (r *Router) Promises(o Objective, models []string) ([]Promise, error) {
	w, err := o.Resolve(r.config.Frontier)
	if err != nil || o.promises == (promises{}) {
		return nil, err
	}
	if err := r.checkModels(models); err != nil {
		return nil, err
	}
	c, err := r.calibrate(o, w, models)
	if err != nil {
		return nil, err
	}
	var out []Promise
	for k := range kinds {
		if one := c.promises.only(k); one.at(k) > 0 {
			f := &c.results[k]
			p := Promise{Promise: one.String(), Stated: one.at(k), MinScore: one.score, MaxCostUSD: one.usd,
				Feasible: f.Made, Kept: f.Kept, Binds: f.Binds, Most: f.Most()}
			if k == asGoodAsBest && c.reference >= 0 {
				p.AsGoodAs = r.config.Candidates[c.reference].Name
			}
			out = append(out, p)
		}
	}
	return out, nil
}

// calibrate returns how the promises of an objective are kept, which it works out once.
func (r *Router) calibrate(o Objective, w float64, models []string) (*calibrated, error) {
	fresh := &calibrated{promises: o.promises, router: r, reference: -1}
	if fresh.scoreAt == 0 && fresh.usdAt == 0 && fresh.goodAt == 0 {
		return fresh, nil // only expected costs are promised
	}
	key, all := calibrationKey{o, strings.Join(models, "\x00")}, &r.calibrations
	all.mu.Lock()
	c := all.kept[key]
	all.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c = fresh
	if h := r.config.Holdout; h == nil || len(h.InputTokens) == 0 {
		return nil, fmt.Errorf("objective %s: the router holds no held-out queries to calibrate promises on: train it again", o)
	}
	if err := c.fit(w, models); err != nil {
		return nil, fmt.Errorf("objective %s: %w", o, err)
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.kept == nil || len(all.kept) >= mostKept {
		all.kept = map[calibrationKey]*calibrated{}
	}
	all.kept[key] = c
	return c, nil
}

// calibrated is how a router keeps the promises of one objective.
type calibrated struct {
	promises
	router    *Router
	columns   []int              // of the Holdout, for each candidate; -1 for none
	reference int                // the best single model, or -1
	high      []promise.Logistic // for each candidate: that it reaches score; nil if nothing is known
	good      []promise.Logistic // the same: that it is as good as the reference
	ratios    []promise.Ratios
	results   [kinds]promise.Result
}

// heldOut is a query of the Holdout as it would be decided on, and what happened.
type heldOut struct {
	candidates  []Assessment
	score, cost []float64 // by candidate; NaN: unknown
}

// confidence is the probability that candidate m of some assessed for q keeps a promise
// of a kind, -Inf if nothing is known.
func (c *calibrated) confidence(k kind, q *Query, candidates []Assessment, m int) float64 {
	a, unknown := &candidates[m], math.Inf(-1)
	switch {
	case k == minQuality && c.high[m] != nil:
		return c.high[m].At(1, promise.Logit(a.Quality))
	case k == asGoodAsBest && m == c.reference:
		return 1
	case k == asGoodAsBest && c.good[m] != nil:
		return c.good[m].At(1, promise.Logit(a.Quality), promise.Logit(candidates[c.reference].Quality))
	case k == maxCost && !a.CostUnknown && c.ratios[m].Known():
		return c.within(q, a, m)
	}
	return unknown
}

// within is the probability that a call costs at most the promised cost.
func (c *calibrated) within(q *Query, a *Assessment, m int) float64 {
	candidate := &c.router.config.Candidates[m]
	if c.router.config.Holdout.Direct[c.columns[m]] {
		return c.ratios[m].Within(microUSD*a.Cost.Float(), microUSD*c.usd)
	}
	const step = 1000 // tokens, so that rounding does not count
	more, err := candidate.Price.Expected(Usage{Input: a.InputTokens - a.CachedTokens, CachedInput: a.CachedTokens}, a.OutputTokens+step)
	if err != nil {
		return math.Inf(-1)
	}
	perToken, left := (more-a.Cost).Float()/step, c.usd-a.Cost.Float()
	if perToken <= 0 {
		if left >= 0 {
			return 1
		}
		return 0
	}
	limit := a.OutputTokens + left/perToken
	if limit >= candidate.longest(q)*float64(max(q.Answers, 1)) {
		return 1
	}
	return c.ratios[m].Within(a.OutputTokens, limit)
}

// microUSD is the number of units of a cost that are forecast in place of tokens.
const microUSD = 1e6

// queries assesses the queries of the Holdout at a willingness to pay.
func (c *calibrated) queries(w float64, models []string) ([]heldOut, error) {
	r, h, n, columns := c.router, c.router.config.Holdout, len(c.columns), c.columns
	out := make([]heldOut, len(h.InputTokens))
	for i := range out {
		x := heldOut{make([]Assessment, n), make([]float64, n), make([]float64, n)}
		out[i] = x
		input := float64(h.InputTokens[i])
		q := Query{Models: models, InputTokens: int(max(math.Round(input), 0))}
		for m := range n {
			x.score[m], x.cost[m] = math.NaN(), math.NaN()
			c, a := &r.config.Candidates[m], &x.candidates[m]
			a.Name, a.CostUnknown = c.Name, true
			if columns[m] < 0 {
				a.Excluded = "it has no held-out outcomes"
				continue
			}
			if a.Excluded = c.excludes(&q, c.inputTokens(&q)); a.Excluded != "" {
				continue
			}
			at := i*len(h.Models) + columns[m]
			x.score[m] = float64(h.Score[at])
			direct := h.Direct[columns[m]]
			of := func(volume float32) Forecast {
				f := Forecast{Quality: float64(h.Quality[at])}
				switch known := volume >= 0 && (direct || input >= 0); {
				case !known:
					f.CostUnknown = true
				case direct:
					f.Direct, f.CostUSD = true, float64(volume)
				default:
					f.OutputTokens = float64(volume)
				}
				return f
			}
			forecast, observed := of(h.Volume[at]), of(h.Observed[at])
			var err error
			if a.Estimate, err = c.Estimate(&q, &forecast); err != nil {
				return nil, err
			}
			a.value(w)
			real, err := c.Estimate(&q, &observed)
			if err != nil {
				return nil, err
			}
			if !real.CostUnknown {
				x.cost[m] = real.Cost.Float()
			}
		}
	}
	return out, nil
}

// pull is the weight, in queries, with which what a candidate's outcomes say is drawn to
// what those of all say.
const pull = 5

// fit fits the probabilities and calibrates the thresholds for a pool.
func (c *calibrated) fit(w float64, models []string) error {
	n := len(c.router.config.Candidates)
	for _, candidate := range c.router.config.Candidates {
		c.columns = append(c.columns, slices.Index(c.router.config.Holdout.Models, cmp.Or(candidate.Like, candidate.Name)))
	}
	queries, err := c.queries(w, models)
	if err != nil {
		return err
	}
	c.ratios = make([]promise.Ratios, n)
	best := -1.0
	for m := range n {
		var sum, count float64
		forecast, observed := make([]float64, len(queries)), make([]float64, len(queries))
		for i := range queries {
			forecast[i], observed[i] = c.volumes(i, m)
			if s := queries[i].score[m]; s == s && c.own(&queries[i].candidates[m], m) {
				sum += s
				count++
			}
		}
		c.ratios[m] = promise.NewRatios(forecast, observed)
		if count > 0 && sum/count > best {
			best, c.reference = sum/count, m
		}
	}
	c.high = c.probabilities(queries, 2, func(x *heldOut, m int) (y bool, features []float64, ok bool) {
		return x.score[m] >= c.score, []float64{1, promise.Logit(x.candidates[m].Quality)}, c.scoreAt > 0
	})
	c.good = c.probabilities(queries, 3, func(x *heldOut, m int) (y bool, features []float64, ok bool) {
		if c.goodAt == 0 || m == c.reference {
			return false, nil, false
		}
		of := x.score[c.reference]
		return x.score[m] >= of, []float64{1, promise.Logit(x.candidates[m].Quality), promise.Logit(x.candidates[c.reference].Quality)}, of == of
	})
	c.settle(queries)
	return nil
}

// own reports whether a candidate's quality may be promised: what another model's answers
// scored says nothing of a candidate that borrows its estimates.
func (c *calibrated) own(a *Assessment, m int) bool {
	like := c.router.config.Candidates[m].Like
	return a.Excluded == "" && (like == "" || like == a.Name)
}

// volumes returns the volume of held-out query i that was forecast and that came.
func (c *calibrated) volumes(i, m int) (forecast, observed float64) {
	h, column := c.router.config.Holdout, c.columns[m]
	if column < 0 {
		return math.NaN(), math.NaN()
	}
	unit, at := 1.0, i*len(h.Models)+column
	if h.Direct[column] {
		unit = microUSD
	}
	return unit * float64(h.Volume[at]), unit * float64(h.Observed[at])
}

// probabilities fits, for each candidate whose quality may be promised, the probability
// of an event. of says whether it happened to a candidate on a query, and by what it is
// predicted.
func (c *calibrated) probabilities(queries []heldOut, features int, of func(x *heldOut, m int) (y bool, features []float64, ok bool)) []promise.Logistic {
	out := make([]promise.Logistic, len(c.ratios))
	collect := func(m int, x, y []float64) ([]float64, []float64) {
		for i := range queries {
			if s := queries[i].score[m]; s != s || !c.own(&queries[i].candidates[m], m) {
				continue
			}
			if happened, row, ok := of(&queries[i], m); ok {
				x = append(x, row...)
				if y = append(y, 0); happened {
					y[len(y)-1] = 1
				}
			}
		}
		return x, y
	}
	var x, y []float64
	for m := range out {
		x, y = collect(m, x, y)
	}
	if len(y) == 0 {
		return out
	}
	prior := make(promise.Logistic, features)
	prior[1] = 1 // the forecast itself
	common := promise.FitLogistic(x, y, prior, 1)
	for m := range out {
		if x, y := collect(m, nil, nil); len(y) > 0 {
			out[m] = promise.FitLogistic(x, y, common, pull)
		}
	}
	return out
}

// settle calibrates the thresholds. Each promise is calibrated on the choices that the
// others leave, in turn, until nothing changes.
func (c *calibrated) settle(queries []heldOut) {
	order := make([][]int32, len(queries))
	var confidence, kept [kinds][][]float64
	for k := range kinds {
		confidence[k], kept[k] = make([][]float64, len(queries)), make([][]float64, len(queries))
		c.results[k].Threshold = math.Inf(-1)
	}
	for i := range queries {
		x := &queries[i]
		for m := range x.candidates {
			a := &x.candidates[m]
			if a.Excluded == "" && (c.usd == 0 || c.usdAt > 0 || !a.CostUnknown && a.Cost.Float() <= c.usd) {
				order[i] = append(order[i], int32(m))
			}
		}
		slices.SortStableFunc(order[i], func(a, b int32) int { return x.candidates[a].compare(&x.candidates[b]) })
		for k := range kinds {
			if c.at(k) == 0 {
				continue
			}
			for m := range x.candidates {
				confidence[k][i] = append(confidence[k][i], c.confidence(k, &Query{}, x.candidates, m))
				kept[k][i] = append(kept[k][i], c.keeps(k, x, m))
			}
		}
	}
	const rounds = 10
	for range rounds {
		before := c.results
		for k := range kinds {
			if c.at(k) > 0 {
				left := c.left(k, order, confidence)
				c.results[k] = promise.Calibrate(left, confidence[k], kept[k], c.at(k))
			}
		}
		if !slices.ContainsFunc([]kind{minQuality, asGoodAsBest, maxCost}, func(k kind) bool { return c.results[k].Threshold != before[k].Threshold }) {
			return
		}
	}
}

// left returns the candidates that keep the promises of other kinds.
func (c *calibrated) left(k kind, order [][]int32, confidence [kinds][][]float64) [][]int32 {
	var others []kind
	for other := range kinds {
		if c.at(other) > 0 && other != k {
			others = append(others, other)
		}
	}
	if len(others) == 0 {
		return order
	}
	out := make([][]int32, len(order))
	for i, candidates := range order {
		for _, m := range candidates {
			if !slices.ContainsFunc(others, func(o kind) bool { return confidence[o][i][m] < c.results[o].Threshold }) {
				out[i] = append(out[i], m)
			}
		}
	}
	return out
}

// keeps returns 1 if candidate m kept a promise of a kind on a held-out query, 0 if it
// did not, and NaN if that is unknown.
func (c *calibrated) keeps(k kind, x *heldOut, m int) float64 {
	value, least := x.score[m], c.score
	switch k {
	case asGoodAsBest:
		least = math.NaN()
		if c.reference >= 0 {
			least = x.score[c.reference]
		}
	case maxCost:
		value, least = -x.cost[m], -c.usd
	}
	switch {
	case value != value || least != least:
		return math.NaN()
	case value >= least:
		return 1
	}
	return 0
}

// exclude excludes the candidates of a decision that do not keep the promises. If none
// is left it returns an error, which says what could be promised.
func (c *calibrated) exclude(d *Decision, q *Query) error {
	var able []int // the candidates that could answer
	left := false
	for m := range d.Candidates {
		if a := &d.Candidates[m]; a.Excluded == "" {
			able = append(able, m)
			a.Excluded = c.broken(d, q, m)
			left = left || a.Excluded == ""
		}
	}
	if left || able == nil {
		return nil
	}
	return fmt.Errorf("route: %w: %w %s: %s", ErrNoCandidate, ErrInfeasible, c.promises, strings.Join(c.offers(d, q, able), "; "))
}

// broken says which promise candidate m of a decision does not keep, or "" if it keeps
// all.
func (c *calibrated) broken(d *Decision, q *Query, m int) string {
	a := &d.Candidates[m]
	if c.usd > 0 && c.usdAt == 0 && (a.CostUnknown || a.Cost.Float() > c.usd) {
		return c.promises.only(maxCost).String() + ": its expected cost is higher"
	}
	for k := range kinds {
		one := c.promises.only(k)
		if one.at(k) == 0 {
			continue
		}
		confidence, least := c.in(d, q, k, m), c.results[k].Threshold
		switch {
		case confidence >= least:
		case math.IsInf(least, 1):
			return one.String() + ": it cannot be promised of any model"
		case !math.IsInf(confidence, -1):
			return fmt.Sprintf("%s: its own probability is %.3f, and the promise is kept from %.3f on", one, confidence, least)
		case d.Abstained && k != maxCost:
			return one.String() + ": quality is not promised for a query unlike the training data"
		default:
			return one.String() + ": nothing is known to promise it on"
		}
	}
	return ""
}

// in is the confidence in candidate m of a decision. The calibration says nothing of the
// quality on a query unlike those that it was made on.
func (c *calibrated) in(d *Decision, q *Query, k kind, m int) float64 {
	if d.Abstained && k != maxCost && (k != asGoodAsBest || m != c.reference) {
		return math.Inf(-1)
	}
	return c.confidence(k, q, d.Candidates, m)
}

// offers says, for each promise that none of some candidates keeps, what could be promised.
func (c *calibrated) offers(d *Decision, q *Query, able []int) []string {
	var out []string
	for k := range kinds {
		one := c.promises.only(k)
		if one == (promises{}) {
			continue
		}
		if k == maxCost {
			if who, usd := c.leastCost(d, q, able); usd > c.usd {
				out = append(out, fmt.Sprintf("%s could be held to about %s", d.Candidates[who].Name, phrase.USD(usd)))
			}
			continue
		}
		who, best := -1, math.Inf(-1)
		for _, m := range able {
			if confidence := c.in(d, q, k, m); confidence > best {
				who, best = m, confidence
			}
		}
		switch at := math.Floor(1000*c.results[k].Promised(best)) / 1000; {
		case who < 0:
			out = append(out, c.broken(d, q, able[0]))
		case at <= 0:
			out = append(out, one.String()+" cannot be promised at any probability")
		case at < one.at(k):
			out = append(out, fmt.Sprintf("%s comes closest, and %s could be promised of it", d.Candidates[who].Name, one.restated(at)))
		}
	}
	if out == nil {
		out = append(out, "each promise could be kept, but not all of them by one candidate")
	}
	return out
}

// leastCost returns the candidate that could be held to the least cost, and about what
// that is; -1 and 0 if that is known of none.
func (c *calibrated) leastCost(d *Decision, q *Query, able []int) (who int, usd float64) {
	who = -1
	for _, m := range able {
		a := &d.Candidates[m]
		if a.CostUnknown {
			continue
		}
		least := a.Cost.Float()
		if c.usdAt > 0 {
			need, trial := c.results[maxCost].Threshold, *c
			if math.IsInf(need, 1) {
				need = c.usdAt
			}
			low, high := 0.0, 1e-9
			reaches := func(usd float64) bool {
				trial.usd = usd
				return trial.confidence(maxCost, q, d.Candidates, m) >= need
			}
			for !reaches(high) && high < 1e9 {
				low, high = high, 2*high
			}
			for range 20 {
				if middle := (low + high) / 2; reaches(middle) {
					high = middle
				} else {
					low = middle
				}
			}
			least = high
		}
		if who < 0 || least < usd {
			who, usd = m, least
		}
	}
	return who, usd
}
