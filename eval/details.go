package eval

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/table"
)

// RegretAt is a router's regret at one objective: the mean utility of the
// oracle minus the router's, in units of quality.
type RegretAt struct {
	Objective     string `json:"objective"`
	USDPerQuality Number `json:"usd_per_quality"`
	Regret        Number `json:"regret"`
	// OracleTuned says that the setting is the best one on the measured queries.
	// The router forecasts no quality, so an objective does not name a setting.
	OracleTuned bool `json:"oracle_tuned"`
}

// SourceLine measures a router on the queries of one source, on that source's
// scale.
type SourceLine struct {
	Source  string `json:"source"`
	Queries int    `json:"queries"`
	AIQ     Number `json:"aiq"`
	Peak    Number `json:"peak"`
	QNC     Number `json:"qnc"`
	// NoveltyAUC is RouterLine's, of this source.
	NoveltyAUC *Number `json:"novelty_auc,omitempty"`
}

// TrafficPoint has the share of the queries that each model answers at one
// setting, in the order of the report's models, and the share for which each plan is
// chosen, in the order of the router's plans.
type TrafficPoint struct {
	USDPerQuality Number    `json:"usd_per_quality"`
	CostUSD       float64   `json:"cost_usd"`
	Quality       float64   `json:"quality"`
	Shares        []float64 `json:"shares"`
	Plans         []float64 `json:"plans,omitempty"`
}

// Robustness compares a router's choices on prompts with those on the same
// prompts after a change that does not change what is asked. The setting is the
// cheapest that reaches 97% of the best single's quality or, if none does, that
// of the peak.
type Robustness struct {
	Perturbation string  `json:"perturbation"`
	Kept         float64 `json:"kept"` // share of the queries whose model stays the same
	// Bill is the cost of the choices on the changed prompts over that of the
	// choices before, both from the outcomes on the original prompts.
	Bill float64 `json:"bill"`
	// Worst is the bill if every query went to the most expensive single model,
	// which is the most that a change can cause.
	Worst float64 `json:"worst_bill"`
	// AbstainedBefore and Abstained are the shares of the queries on which the router
	// abstains, before and after the change.
	AbstainedBefore float64 `json:"abstained_before"`
	Abstained       float64 `json:"abstained"`
	// Suffix, only of a search, is appended to every prompt. It was found on FoundOn
	// queries and measured on Queries others.
	Suffix  string `json:"suffix,omitempty"`
	FoundOn int    `json:"found_on,omitempty"`
	Queries int    `json:"queries,omitempty"`
}

// LearningPoint measures a router that was fitted on a part of the queries.
type LearningPoint struct {
	Queries int    `json:"queries"` // fitted on, in the mean over parts
	AIQ     Number `json:"aiq"`
	Peak    Number `json:"peak"`
}

// PairMetrics are RouteLLM's figures for a pair of models. The strong one is the
// better one on the measured queries. Intervals are bootstrapped.
type PairMetrics struct {
	Strong string   `json:"strong"`
	Weak   string   `json:"weak"`
	APGR   Number   `json:"apgr"`
	APGRCI []Number `json:"apgr_ci"`
	CPT50  Number   `json:"cpt50"` // null if never reached
	CPT80  Number   `json:"cpt80"`
}

// details fills in what a report has beside the main figures.
type details struct {
	t       *table.Table
	rows    []int
	all     []*contestant
	scale   frontier.Scale
	singles frontier.Trace
}

func (d details) write(ctx context.Context, r *Report, o compareOptions) error {
	objectives := o.Objectives
	if objectives == nil {
		for _, calls := range []float64{1, 10, 100} {
			objectives = append(objectives, carrot.USDPerQuality(twoDigits(calls*d.scale.High)))
		}
	}
	sources, groups := d.sources()
	for k, c := range d.all {
		l := &r.Routers[k]
		curve := c.trace.Curve(nil)
		l.AUDC = number(frontier.AUDC(curve, d.scale.Low, d.scale.High))
		if !c.curved() {
			l.AUDC = Number(math.NaN())
		}
		arena := math.Inf(-1)
		for _, p := range curve {
			arena = max(arena, frontier.ArenaScore(p.Quality, 1000*p.Cost))
		}
		l.Arena = number(arena)
		for _, objective := range objectives {
			at, err := d.regret(c, objective)
			if err != nil {
				return err
			}
			l.Regret = append(l.Regret, at)
		}
		for s, source := range sources {
			line := d.source(c, source, groups[s])
			if o.LeftOut {
				line.NoveltyAUC = d.noveltyAUC(c, groups[s])
			}
			l.Sources = append(l.Sources, line)
		}
		if o.LeftOut {
			l.NoveltyAUC = d.noveltyAUC(c, nil)
		}
		if d.singles.Settings == 2 {
			l.Pair = d.pair(c, r.Models)
		}
		if c.entry == nil {
			continue
		}
		l.Worth, l.Settings = string(c.entry.worth), c.entry.settings
		if c.grid != nil {
			l.Traffic = d.traffic(c, curve, len(r.Models))
		}
		if c.entry.plans != nil {
			l.Plans = d.plans(c.entry.plans)
		}
		l.Robustness = d.robustness(c, curve)
		l.Promises = d.promises(c)
		if c.grid != nil {
			var err error
			if l.SuffixSearch, err = d.searchSuffix(ctx, c, d.balanced(curve), o); err != nil {
				return fmt.Errorf("%s: search a suffix: %w", c.name, err)
			}
		}
	}
	return nil
}

// twoDigits rounds to two significant digits.
func twoDigits(v float64) float64 {
	if v <= 0 {
		return v
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(math.Round(v/unit)*unit, 'g', 2, 64), 64)
	if err != nil {
		return v
	}
	return rounded
}

// regret measures a router at an objective.
func (d details) regret(c *contestant, objective carrot.Objective) (RegretAt, error) {
	w, err := objective.Resolve(carrot.Frontier{})
	if err != nil {
		return RegretAt{}, err
	}
	at := RegretAt{Objective: objective.String(), USDPerQuality: number(w)}
	best := d.t.Trace(d.rows, 1, func(k, _ int) int {
		return carrot.Choose(d.t.Set.Score.Row(d.rows[k]), d.t.Cost.Row(d.rows[k]), w)
	}).Curve(nil)[0]
	least := math.Inf(1)
	if e := c.entry; e != nil && e.several != nil {
		reached := frontier.Trace{Settings: 1}
		for _, i := range d.rows {
			steps, err := e.several[i].Steps([]int{i}, []float64{w})
			if err != nil {
				return RegretAt{}, err
			}
			reached.Steps = append(reached.Steps, steps[0])
		}
		least = frontier.Regret(best, reached.Curve(nil)[0], w)
	} else if e != nil && e.calibrated() {
		reached := d.t.Trace(d.rows, 1, func(k, _ int) int {
			i := d.rows[k]
			quality, cost := e.estimates(i, &e.predictions[i])
			return carrot.Choose(quality, cost, w)
		}).Curve(nil)[0]
		least = frontier.Regret(best, reached, w)
	} else {
		for _, p := range c.trace.Curve(nil) {
			least = min(least, frontier.Regret(best, p, w))
		}
		at.OracleTuned = !c.single && c.name != "oracle"
		if c.name == "oracle" {
			least = 0
		}
	}
	at.Regret = number(least)
	return at, nil
}

// sources lists the sources of the measured queries by name, and for each the
// weights that pick its queries. A single source is not listed.
func (d details) sources() (names []string, weights [][]float64) {
	for _, i := range d.rows {
		if s := d.t.Set.Queries[i].Source; !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	slices.Sort(names)
	if len(names) < 2 {
		return nil, nil
	}
	for _, name := range names {
		w := make([]float64, len(d.rows))
		for k, i := range d.rows {
			if d.t.Set.Queries[i].Source == name {
				w[k] = 1
			}
		}
		weights = append(weights, w)
	}
	return names, weights
}

func (d details) source(c *contestant, name string, weights []float64) SourceLine {
	line := SourceLine{Source: name}
	for _, w := range weights {
		line.Queries += int(w)
	}
	m := frontier.NewScale(d.singles.Curve(weights)).Measure(c.trace.Curve(weights))
	line.AIQ, line.Peak, line.QNC = number(m.AIQ), number(m.Peak), number(m.QNC)
	if !c.curved() {
		line.AIQ = Number(math.NaN())
	}
	return line
}

// trafficEvery is the step between the settings of the grid at which traffic is
// reported.
const trafficEvery = 10

func (d details) traffic(c *contestant, curve []frontier.Point, models int) []TrafficPoint {
	var out []TrafficPoint
	for s := 0; s < len(curve); s += trafficEvery {
		p := TrafficPoint{USDPerQuality: number(c.grid[s]), CostUSD: curve[s].Cost, Quality: curve[s].Quality, Shares: c.trace.Shares(s, models)}
		if c.entry.plans != nil {
			p.Plans = d.planShares(c, s)
		}
		out = append(out, p)
	}
	return out
}

// balanced returns the cheapest setting of the curve that reaches 97% of the best
// single's quality, or the setting of the peak if none does.
func (d details) balanced(curve []frontier.Point) int {
	at, peak := -1, 0
	for s, p := range curve {
		if p.Quality >= 0.97*d.scale.Single.Quality && (at < 0 || p.Cost < curve[at].Cost) {
			at = s
		}
		if p.Quality > curve[peak].Quality {
			peak = s
		}
	}
	if at < 0 {
		return peak
	}
	return at
}

// noveltyAUC is the mean novelty of the queries with weights (nil: of all). As a novelty
// is the share of the queries fitted on that were less novel when held out, this is the
// probability that one of those is less novel than a query measured: the area under the
// ROC curve. It is nil for a router that does not tell novelty.
func (d details) noveltyAUC(c *contestant, weights []float64) *Number {
	if c.entry == nil || !c.entry.calibrated() || c.entry.external != nil {
		return nil
	}
	var sum, n float64
	told := false
	for k, i := range d.rows {
		novelty := c.entry.predictions[i].Novelty
		told = told || novelty > 0
		if weights == nil || weights[k] > 0 {
			sum, n = sum+novelty, n+1
		}
	}
	if !told || n == 0 {
		return nil
	}
	auc := Number(sum / n)
	return &auc
}

func (d details) robustness(c *contestant, curve []frontier.Point) []Robustness {
	if c.entry.variants == nil {
		return nil
	}
	s := d.balanced(curve)
	var out []Robustness
	for v, p := range perturbations {
		changed := frontier.Trace{Settings: c.trace.Settings}
		for _, i := range d.rows {
			changed.Steps = append(changed.Steps, c.entry.variants[v][i])
		}
		line := Robustness{Perturbation: p.Name, Worst: d.scale.High / curve[s].Cost}
		var cost float64
		for k, i := range d.rows {
			if c.entry.predictions[i].Abstained {
				line.AbstainedBefore += 1 / float64(len(d.rows))
			}
			if c.entry.abstained[v][i] {
				line.Abstained += 1 / float64(len(d.rows))
			}
			before, after := c.trace.At(k, s), changed.At(k, s)
			if before.Candidate == after.Candidate {
				line.Kept += 1 / float64(len(d.rows))
			}
			cost += after.Cost / float64(len(d.rows))
		}
		line.Bill = cost / curve[s].Cost
		out = append(out, line)
	}
	return out
}

// callShares returns a trace of two models with the share of calls to the strong
// one as its cost. Where several models answer together, the cost is kept as it
// is, which is right if cost is a share of calls already; ok is false if not.
func callShares(t frontier.Trace, strong int, perCall bool) (shares frontier.Trace, ok bool) {
	out := frontier.Trace{Settings: t.Settings, Steps: make([][]frontier.Step, len(t.Steps))}
	for i, steps := range t.Steps {
		out.Steps[i] = slices.Clone(steps)
		for k := range out.Steps[i] {
			switch s := &out.Steps[i][k]; {
			case s.Candidate == strong:
				s.Cost = 1
			case s.Candidate >= 0:
				s.Cost = 0
			case !perCall:
				return out, false
			}
		}
	}
	return out, true
}

func (d details) pair(c *contestant, models []string) *PairMetrics {
	if c.shares == nil {
		return nil
	}
	strong := d.scale.Best
	alone := d.singles.Curve(nil)
	weak, best := alone[1-strong].Quality, alone[strong].Quality
	points := c.shares.Curve(nil)
	return &PairMetrics{Strong: models[strong], Weak: models[1-strong],
		APGR: number(frontier.APGR(points, weak, best)), APGRCI: numbers(interval(slices.Clone(c.apgr))),
		CPT50: number(frontier.CPT(points, weak, best, 0.5)), CPT80: number(frontier.CPT(points, weak, best, 0.8))}
}
