package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/agreement"
	"github.com/carrot-router/carrot/table"
)

// Options of Suggest. The zero value searches agree plans of the 8 cheapest models
// for at most 20.
type Options struct {
	// Max is the largest number of plans; 0 means 20.
	Max int
	// Cheap is the number of cheapest models of which two may be compared; 0 means 8.
	Cheap int
	// MaxRounds, if not zero, leaves out plans that may wait more often.
	MaxRounds int
	// Verifier, if not nil, adds check plans.
	Verifier *Verifier
}

// Defaults of Options.
const (
	DefaultMax   = 20
	DefaultCheap = 8
)

// ErrNoPrograms is returned if the data allow neither program.
var ErrNoPrograms = errors.New("no plan can be run: there are no answers to compare (answers.csv) and no verifier is given")

// library lists the plans that a pool allows. Models are columns of t.
func library(t *table.Table, cost, score []float64, o Options) []Plan {
	names := t.ModelNames()
	order := make([]int, len(names)) // cheapest first
	for m := range order {
		order[m] = m
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case cost[a] < cost[b]:
			return -1
		case cost[a] > cost[b]:
			return 1
		}
		return 0
	})
	best := carrot.Choose(score, cost, math.Inf(1))
	var plans []Plan
	add := func(p Plan) {
		if o.MaxRounds == 0 || p.Rounds() <= o.MaxRounds {
			plans = append(plans, p)
		}
	}
	if t.Set.Answers != nil {
		cheap := order[:min(len(order), o.Cheap)]
		for i, a := range cheap {
			for _, b := range cheap[i+1:] {
				for _, c := range order {
					if c == a || c == b {
						continue
					}
					add(Plan{Program: Agree, Models: []string{names[a], names[b], names[c]}})
					if best != a && best != b && best != c {
						add(Plan{Program: Agree, Models: []string{names[a], names[b], names[c], names[best]}})
					}
				}
			}
		}
	}
	if o.Verifier != nil {
		for i, a := range order {
			for _, c := range order[i+1:] {
				add(Plan{Program: Check, Models: []string{names[a], names[c]}, Verifier: *o.Verifier})
			}
		}
	}
	return plans
}

// LeastLabels is the number of scored queries on which a plan must return the answer of its
// first round, so that its gate is known: of fewer, the share of right answers says little.
const LeastLabels = 30

// Suggest returns the plans that raise the AIQ most, over the complete ones of the
// rows, if for every source the candidates' means on it are known. They are chosen one
// after the other, the first among equals, until none is worth anything or there are
// o.Max. Then plans are added by their distance from the hull of the means of all. Plans
// with fewer than LeastLabels are left out. Equal tables, rows and options give equal plans.
func Suggest(t *table.Table, rows []int, o Options) ([]Plan, error) {
	plans, _, err := Search(t, rows, o)
	return plans, err
}

// Search does what Suggest does, and counts the plans that are left out for their few
// labels.
func Search(t *table.Table, rows []int, o Options) (chosen []Plan, left int, err error) {
	if o.Max == 0 {
		o.Max = DefaultMax
	}
	if o.Cheap == 0 {
		o.Cheap = DefaultCheap
	}
	if t.Set.Answers == nil && o.Verifier == nil {
		return nil, 0, fmt.Errorf("data set %s: %w", t.Set.Name, ErrNoPrograms)
	}
	complete := t.CompleteOf(rows)
	if len(complete) == 0 {
		return nil, 0, fmt.Errorf("data set %s: no query to choose plans on has a score and a cost for every model", t.Set.Name)
	}
	s := newSearch(t, complete)
	models := len(t.Candidates)
	for m := range models {
		s.add(func(k int) (float64, float64) {
			return t.Cost.At(complete[k], m), t.Set.Score.At(complete[k], m)
		})
	}
	var cost, score []float64
	for _, p := range s.mean {
		cost, score = append(cost, p.Cost), append(score, p.Quality)
	}
	all := library(t, cost, score, o)
	plans := all[:0]
	recorded := NewRecorded(t.Set, t.Cost)
	for _, p := range all {
		outcomes, err := recorded.Run(p, complete)
		if err != nil {
			return nil, 0, err
		}
		if known, _ := labels(outcomes); known < LeastLabels {
			left++
			continue
		}
		plans = append(plans, p)
		s.add(func(k int) (float64, float64) { return outcomes[k].CostUSD, outcomes[k].Score })
	}
	for _, at := range s.greedy(models, o.Max) {
		chosen = append(chosen, plans[at-models])
	}
	return chosen, left, nil
}

// Gate says how often the answers that a plan returns after its first round are right,
// that is, score 0.5 or more.
type Gate struct {
	Labels int `json:"labels"` // queries with such an answer and its score
	// Right is the share of them that are right, with its 95% interval by Wilson; null
	// with fewer than two.
	Right    *float64    `json:"right"`
	Interval *[2]float64 `json:"right_ci"`
}

// labels counts the queries on which a plan returns the answer of its first round, and
// those of them on which it is right.
func labels(outcomes []Outcome) (all, good int) {
	for i := range outcomes {
		if o := &outcomes[i]; o.Rounds == 1 && !math.IsNaN(o.Score) {
			if all++; o.Score >= right {
				good++
			}
		}
	}
	return all, good
}

func gateOf(outcomes []Outcome) Gate {
	all, good := labels(outcomes)
	drawn := make([]agreement.Pair, all)
	for i := range drawn {
		if drawn[i].Weight = 1; i < good {
			drawn[i].Human = 1
		}
	}
	g := Gate{Labels: all}
	if i, ok := agreement.Classical(drawn); ok {
		g.Right, g.Interval = &i.Mean, &[2]float64{i.Low, i.High}
	}
	return g
}

// search is over candidates that are known by their means: first the models, then
// the plans.
type search struct {
	group  []int     // the source of each query
	weight []float64 // of each source, in queries
	mean   []frontier.Point
	// bySource has, for each candidate, its means on each source.
	bySource [][]frontier.Point
	grid     []float64
}

// shrinkage is the number of queries at which the mean of a source counts as much as
// the mean of all.
const shrinkage = 25

// searchEvery is the step between the settings of the grid that a search looks at.
const searchEvery = 8

func newSearch(t *table.Table, rows []int) *search {
	s := &search{}
	var sources int
	s.group, sources = table.Sources(t.Set, rows)
	s.weight = make([]float64, sources)
	for _, g := range s.group {
		s.weight[g]++
	}
	for k, w := range frontier.Grid() {
		if k%searchEvery == 0 {
			s.grid = append(s.grid, w)
		}
	}
	return s
}

// add adds a candidate by its cost and score on each query.
func (s *search) add(outcome func(k int) (cost, score float64)) {
	var sum frontier.Point
	sums := make([]frontier.Point, len(s.weight))
	for k, g := range s.group {
		cost, score := outcome(k)
		sum.Cost += cost
		sum.Quality += score
		sums[g].Cost += cost
		sums[g].Quality += score
	}
	n := float64(len(s.group))
	mean := frontier.Point{Cost: sum.Cost / n, Quality: sum.Quality / n}
	for g := range sums {
		sums[g].Cost = (sums[g].Cost + shrinkage*mean.Cost) / (s.weight[g] + shrinkage)
		sums[g].Quality = (sums[g].Quality + shrinkage*mean.Quality) / (s.weight[g] + shrinkage)
	}
	s.mean = append(s.mean, mean)
	s.bySource = append(s.bySource, sums)
}

// leastGain is the AIQ for which a plan is worth having.
const leastGain = 1e-5

// greedy chooses at most most candidates beside the first ones, the models.
func (s *search) greedy(models, most int) []int {
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range s.mean[:models] {
		low, high = min(low, p.Cost), max(high, p.Cost)
	}
	// best has the best candidate so far for each source and setting.
	best := make([][]int, len(s.weight))
	for g := range best {
		best[g] = make([]int, len(s.grid))
		for m := range models {
			for k, w := range s.grid {
				if s.better(m, best[g][k], g, w) {
					best[g][k] = m
				}
			}
		}
	}
	with := func(c int) float64 { // the AIQ with candidate c; -1 for none
		points := make([]frontier.Point, len(s.grid))
		for g, weight := range s.weight {
			for k, w := range s.grid {
				at := best[g][k]
				if c >= 0 && s.better(c, at, g, w) {
					at = c
				}
				points[k].Cost += weight / float64(len(s.group)) * s.bySource[at][g].Cost
				points[k].Quality += weight / float64(len(s.group)) * s.bySource[at][g].Quality
			}
		}
		return frontier.AIQ(points, low, high)
	}
	var chosen []int
	reached := with(-1)
	for len(chosen) < most {
		next, height := -1, reached+leastGain
		for c := models; c < len(s.mean); c++ {
			if slices.Contains(chosen, c) {
				continue
			}
			if aiq := with(c); aiq > height {
				next, height = c, aiq
			}
		}
		if next < 0 {
			break
		}
		chosen, reached = append(chosen, next), height
		for g := range best {
			for k, w := range s.grid {
				if s.better(next, best[g][k], g, w) {
					best[g][k] = next
				}
			}
		}
	}
	if len(chosen) == 0 {
		return nil
	}
	return append(chosen, s.nearest(models, most-len(chosen), chosen)...)
}

// better reports whether candidate a is better than b on source g at willingness w.
func (s *search) better(a, b, g int, w float64) bool {
	p, q := s.bySource[a][g], s.bySource[b][g]
	u, v := p.Quality-p.Cost/w, q.Quality-q.Cost/w
	return u > v || u == v && p.Cost < q.Cost
}

// nearest lists n more plans: those on the hull of what is not chosen yet, then those
// on the hull of the rest, and so on.
func (s *search) nearest(models, n int, chosen []int) []int {
	var rest, out []int
	for c := models; c < len(s.mean); c++ {
		if !slices.Contains(chosen, c) {
			rest = append(rest, c)
		}
	}
	for len(out) < n && len(rest) > 0 {
		points := make([]frontier.Point, len(rest))
		for k, c := range rest {
			points[k] = s.mean[c]
		}
		var layer []int
		for _, p := range frontier.Hull(points) {
			layer = append(layer, rest[slices.Index(points, p)])
		}
		if len(layer) == 0 {
			break
		}
		rest = slices.DeleteFunc(rest, func(c int) bool { return slices.Contains(layer, c) })
		out = append(out, layer[:min(len(layer), n-len(out))]...)
	}
	return out
}

// Summary says what a plan does on some queries, in the mean over them.
type Summary struct {
	Plan    string  `json:"plan"`
	Quality float64 `json:"quality"`
	CostUSD float64 `json:"cost_usd"`
	// Accepted is the share of the queries on which the answer of the first round is
	// returned, and QualityAccepted the mean score of these answers; null if there are none.
	Accepted        float64  `json:"accepted"`
	QualityAccepted *float64 `json:"quality_accepted"`
	Gate            Gate     `json:"gate"`
	// Calls has one for each model of the plan, in their order: how often it is asked.
	Calls []float64 `json:"calls"`
	// Rounds is how often the plan waits if it asks side by side what it can, Turns
	// if it asks one model after the other.
	Rounds float64 `json:"rounds"`
	Turns  float64 `json:"turns"`
}

// Summarise describes plans on those of the given rows on which their outcomes are
// known, of which there must be some.
func Summarise(t *table.Table, plans []Plan, rows []int) ([]Summary, error) {
	recorded := NewRecorded(t.Set, t.Cost)
	var out []Summary
	for _, p := range plans {
		outcomes, err := recorded.Run(p, rows)
		if err != nil {
			return nil, err
		}
		outcomes = slices.DeleteFunc(outcomes, func(o Outcome) bool { return math.IsNaN(o.Score) || math.IsNaN(o.CostUSD) })
		if len(outcomes) == 0 {
			return nil, fmt.Errorf("plan %s: its outcome is known on no query", p)
		}
		s := Summary{Plan: p.String(), Calls: make([]float64, len(p.Models)), Gate: gateOf(outcomes)}
		var accepted float64
		for _, o := range outcomes {
			s.Quality += o.Score
			s.CostUSD += o.CostUSD
			s.Rounds += float64(o.Rounds)
			s.Turns += float64(o.Turns)
			for k := range s.Calls {
				s.Calls[k] += o.Steps[k].Calls
			}
			if o.Rounds == 1 {
				s.Accepted++
				accepted += o.Score
			}
		}
		if s.Accepted > 0 {
			right := accepted / s.Accepted
			s.QualityAccepted = &right
		}
		for _, sum := range []*float64{&s.Quality, &s.CostUSD, &s.Rounds, &s.Turns, &s.Accepted} {
			*sum /= float64(len(outcomes))
		}
		for k := range s.Calls {
			s.Calls[k] /= float64(len(outcomes))
		}
		out = append(out, s)
	}
	return out, nil
}

// Transfer says how a router of models and plans did beside one of models alone on
// queries unlike those that both were fitted on.
type Transfer struct {
	AIQ      float64    `json:"aiq_diff"`
	Interval [2]float64 `json:"ci"` // 95%, paired
	Peak     float64    `json:"peak_diff"`
}

// mostPeakLost is how far plans may lower the peak and still be kept.
const mostPeakLost = 0.001

// Keeps reports whether plans are worth keeping: the AIQ rises by more than chance, and
// the peak does not fall by more than 0.001.
func (t Transfer) Keeps() bool { return t.Interval[0] > 0 && t.Peak >= -mostPeakLost }
