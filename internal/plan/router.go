package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/table"
)

// Outcomes are those of plans on all queries of a table.
type Outcomes struct {
	t           *table.Table
	plans       []Plan
	models      [][]int // of each plan, the columns of the table
	score, cost dataset.Matrix
	calls       [][]Step // of each plan, queries × models
}

// NewOutcomes runs plans on all queries of a table.
func NewOutcomes(t *table.Table, plans []Plan) (*Outcomes, error) {
	if t.PerCall != nil {
		return nil, errors.New("plans cost what their calls cost: calls of one model cannot be counted")
	}
	all := make([]int, len(t.X))
	for i := range all {
		all[i] = i
	}
	o := &Outcomes{t: t, plans: plans, score: dataset.NewMatrix(len(all), len(plans)), cost: dataset.NewMatrix(len(all), len(plans))}
	recorded := NewRecorded(t.Set, t.Cost)
	for k, p := range plans {
		run, err := recorded.Run(p, all)
		if err != nil {
			return nil, err
		}
		calls := make([]Step, 0, len(all)*len(p.Models))
		for i, one := range run {
			o.score.Set(i, k, one.Score)
			o.cost.Set(i, k, one.CostUSD)
			for s := range p.Models {
				if math.IsNaN(one.Score) {
					one.Steps[s].Calls = math.NaN()
				}
				calls = append(calls, one.Steps[s])
			}
		}
		var models []int
		for _, name := range p.Models {
			models = append(models, recorded.columns[name])
		}
		o.calls, o.models = append(o.calls, calls), append(o.models, models)
	}
	return o, nil
}

// At returns the cost in USD and the score of plan k on query i, NaN if they are unknown.
func (o *Outcomes) At(i, k int) (cost, score float64) { return o.cost.At(i, k), o.score.At(i, k) }

// Calls returns what plan k spends on each of its models on query i. How often it asks one
// is NaN if the plan's outcome is unknown.
func (o *Outcomes) Calls(i, k int) []Step {
	n := len(o.plans[k].Models)
	return o.calls[k][i*n:][:n]
}

// Labels counts the given queries on which plan k returns the answer of its first round,
// and its score is known.
func (o *Outcomes) Labels(k int, rows []int) (n int) {
	first := 1 // calls of the first round
	if o.plans[k].Program == Agree {
		first = 2
	}
	for _, i := range rows {
		if !math.IsNaN(o.score.At(i, k)) && o.Calls(i, k)[first].Calls == 0 {
			n++
		}
	}
	return n
}

// Observed lists the plans that have a score and a cost on query i.
func (o *Outcomes) Observed(i int) []int {
	var plans []int
	for k := range o.plans {
		if !math.IsNaN(o.score.At(i, k)) && !math.IsNaN(o.cost.At(i, k)) {
			plans = append(plans, k)
		}
	}
	return plans
}

// PredictedCost returns the cost in USD that is expected of plan k on query i at the
// table's prices, as [table.Table.PredictedCost] does for a call of a model. columns are those of
// the prediction: of each model of the table, then of each plan.
func (o *Outcomes) PredictedCost(i, k int, p *carrot.Prediction, columns []int) float64 {
	column := columns[len(o.t.Candidates)+k]
	if p.Forecasts[column].CostUnknown {
		return math.MaxFloat64
	}
	cost := 0.0
	for s, step := range p.Steps[column] {
		model := o.models[k][s]
		call := p.Forecasts[columns[model]] // which says whether costs or tokens are forecast
		call.OutputTokens, call.CostUSD = step.OutputTokens, step.Cost.Float()
		cost += step.Called * o.t.PredictedCost(i, model, &call)
	}
	return cost
}

// Columns are those of a predictor that was fitted on the table, and to which the plans
// were attached.
func (o *Outcomes) Columns() []int {
	columns := make([]int, len(o.t.Candidates)+len(o.plans))
	for c := range columns {
		columns[c] = c
	}
	return columns
}

// Attach adds the plans to a predictor that was fitted on the given rows of the table.
func (o *Outcomes) Attach(ctx context.Context, p *predict.Predictor, rows []int, progress func(doing string)) error {
	var columns []predict.Plan
	for k, plan := range o.plans {
		c := predict.Plan{Name: plan.String(), Models: plan.Models}
		for _, i := range rows {
			c.Score, c.CostUSD = append(c.Score, o.score.At(i, k)), append(c.CostUSD, o.cost.At(i, k))
			for _, call := range o.Calls(i, k) {
				c.Asked = append(c.Asked, call.Calls)
			}
		}
		columns = append(columns, c)
	}
	return p.FitPlans(ctx, columns, func(row, model int, f *carrot.Forecast) float64 {
		return o.t.PredictedCost(rows[row], model, f)
	}, progress)
}

// Router chooses between the models of a table and plans of them.
type Router struct {
	carrot.Predictor
	Plans   []Plan // that it may choose, after the models
	of      *Outcomes
	columns []int // of the predictor: for each model of the table, then for each plan
	seen    []*prediction
}

// prediction is what is expected on a query, first of the models and then of the plans.
type prediction struct {
	carrot.Prediction // of the models of the table
	quality, cost     []float64
	ratio             []float64 // of the 90% quantile of each plan's cost to its cost
}

// On returns a router that chooses between the models of a table and some plans, all of
// which the predictor must know.
func On(t *table.Table, p carrot.Predictor, plans []Plan) (*Router, error) {
	o, err := NewOutcomes(t, plans)
	if err != nil {
		return nil, err
	}
	return o.router(p)
}

func (o *Outcomes) router(p carrot.Predictor) (*Router, error) {
	r := &Router{Predictor: p, Plans: o.plans, of: o, seen: make([]*prediction, len(o.t.X))}
	names := o.t.ModelNames()
	for _, plan := range o.plans {
		names = append(names, plan.String())
	}
	for _, name := range names {
		at := slices.Index(p.Models(), name)
		if at < 0 {
			return nil, fmt.Errorf("the router does not know %q", name)
		}
		r.columns = append(r.columns, at)
	}
	return r, nil
}

// Saved is a predictor that was fitted before, and the plans it knows.
type Saved struct {
	carrot.Predictor
	Plans []Plan
}

// On returns the router of the models of a table and of the plans.
func (s Saved) On(t *table.Table) (carrot.Predictor, error) { return On(t, s.Predictor, s.Plans) }

// FitFunc fits a predictor on some rows of a table.
type FitFunc func(ctx context.Context, t *table.Table, rows []int, progress func(doing string)) (*predict.Predictor, error)

// Fit chooses plans on the given rows of a table and fits a predictor of models and
// plans on them.
func Fit(ctx context.Context, t *table.Table, rows []int, o Options, fit FitFunc, progress func(doing string)) (*Router, error) {
	progress("choosing plans")
	plans, err := Suggest(t, rows, o)
	if err != nil {
		return nil, err
	}
	of, err := NewOutcomes(t, plans)
	if err != nil {
		return nil, err
	}
	p, err := fit(ctx, t, rows, progress)
	if err != nil {
		return nil, err
	}
	if err := of.Attach(ctx, p, rows, progress); err != nil {
		return nil, err
	}
	return of.router(p)
}

// Setting names the plans, as JSON.
func (r *Router) Setting() string { return settingOf(r.Plans) }

func settingOf(plans []Plan) string {
	text, err := json.Marshal(map[string][]string{"plans": Names(plans)})
	if err != nil {
		return ""
	}
	return string(text)
}

// Names lists the names of plans.
func Names(plans []Plan) []string {
	names := []string{}
	for _, p := range plans {
		names = append(names, p.String())
	}
	return names
}

// Names lists the names of the router's plans.
func (r *Router) Names() []string { return Names(r.Plans) }

// predict asks the predictor about rows that it was not asked about before.
func (r *Router) predict(rows []int) error {
	var ask []int
	var x []carrot.Representation
	for _, i := range rows {
		if r.seen[i] == nil {
			ask, x = append(ask, i), append(x, r.of.t.X[i])
		}
	}
	out := make([]carrot.Prediction, len(x))
	if err := r.Predict(x, out); err != nil {
		return err
	}
	for k, i := range ask {
		r.seen[i] = r.of.expected(i, &out[k], r.columns)
	}
	return nil
}

// expected returns what a prediction expects on query i at the table's prices.
func (o *Outcomes) expected(i int, p *carrot.Prediction, columns []int) *prediction {
	models := len(o.t.Candidates)
	e := &prediction{Prediction: carrot.Prediction{Novelty: p.Novelty, Abstained: p.Abstained}}
	for m, c := range columns {
		f := &p.Forecasts[c]
		e.quality = append(e.quality, f.Quality)
		if m < models {
			e.Forecasts = append(e.Forecasts, *f)
			e.cost = append(e.cost, o.t.PredictedCost(i, m, f))
		} else {
			e.cost = append(e.cost, o.PredictedCost(i, m-models, p, columns))
			e.ratio = append(e.ratio, f.CostRatioP90)
		}
	}
	return e
}

// Steps returns, for each of some rows of the table, what the router pays and scores at
// every willingness to pay, in falling order. The candidate of plan k is -1-k.
func (r *Router) Steps(rows []int, willing []float64) ([][]frontier.Step, error) {
	if err := r.predict(rows); err != nil {
		return nil, err
	}
	return r.of.trace(rows, willing, func(i int, w float64) int { return carrot.Choose(r.seen[i].quality, r.seen[i].cost, w) }), nil
}

// Forecasts returns what is predicted of the models on some rows of the table.
func (r *Router) Forecasts(rows []int) ([]carrot.Prediction, error) {
	if err := r.predict(rows); err != nil {
		return nil, err
	}
	out := make([]carrot.Prediction, len(rows))
	for k, i := range rows {
		out[k] = r.seen[i].Prediction
	}
	return out, nil
}

// Expected is what was expected of a plan on a query, and what was recorded.
type Expected struct {
	Quality, CostUSD, CostP90USD float64
	Score, RecordedUSD           float64 // NaN if unknown
}

// Expected returns what was expected of each plan on a row of the table.
func (r *Router) Expected(i int) ([]Expected, error) {
	if err := r.predict([]int{i}); err != nil {
		return nil, err
	}
	p, models := r.seen[i], len(r.of.t.Candidates)
	out := make([]Expected, len(r.Plans))
	for k := range out {
		out[k] = Expected{Quality: p.quality[models+k], CostUSD: p.cost[models+k], CostP90USD: p.ratio[k] * p.cost[models+k],
			Score: r.of.score.At(i, k), RecordedUSD: r.of.cost.At(i, k)}
	}
	return out, nil
}

// Line compares what a router expected of a plan with what was recorded, in the mean over
// some queries.
type Line struct {
	Plan    string  `json:"plan"`
	Queries int     `json:"queries"`
	Quality float64 `json:"quality"` // expected
	Score   float64 `json:"score"`
	Brier   float64 `json:"brier"` // mean squared error of quality
	// CostUSD is what a query was expected to cost, RecordedUSD what it cost, and CostP90
	// the share of the queries whose cost is within the 90% quantile.
	CostUSD     float64 `json:"cost_usd"`
	RecordedUSD float64 `json:"recorded_cost_usd"`
	CostP90     float64 `json:"cost_p90_coverage"`
}

// Compare compares what was expected of a plan with what was recorded, on the queries on
// which this is known.
func Compare(name string, all []Expected) Line {
	l := Line{Plan: name}
	for _, x := range all {
		if math.IsNaN(x.Score) || math.IsNaN(x.RecordedUSD) {
			continue
		}
		l.Queries++
		l.Quality += x.Quality
		l.Score += x.Score
		l.Brier += (x.Quality - x.Score) * (x.Quality - x.Score)
		l.CostUSD += x.CostUSD
		l.RecordedUSD += x.RecordedUSD
		if x.RecordedUSD <= x.CostP90USD {
			l.CostP90++
		}
	}
	for _, sum := range []*float64{&l.Quality, &l.Score, &l.Brier, &l.CostUSD, &l.RecordedUSD, &l.CostP90} {
		*sum /= float64(max(l.Queries, 1))
	}
	return l
}

// Oracle knows every outcome, of models and of plans.
type Oracle struct {
	Plans []Plan
	of    *Outcomes
}

// FitOracle chooses plans on the given rows of a table, as Fit does.
func FitOracle(t *table.Table, rows []int, o Options) (*Oracle, error) {
	plans, err := Suggest(t, rows, o)
	if err != nil {
		return nil, err
	}
	return NewOracle(t, plans)
}

// SavedOracle is the oracle of plans that were chosen before.
type SavedOracle struct {
	carrot.Predictor // not asked
	Plans            []Plan
}

// On returns the oracle of the models of a table and of the plans.
func (s SavedOracle) On(t *table.Table) (carrot.Predictor, error) { return NewOracle(t, s.Plans) }

// NewOracle returns the oracle of the models of a table and of plans.
func NewOracle(t *table.Table, plans []Plan) (*Oracle, error) {
	of, err := NewOutcomes(t, plans)
	return &Oracle{plans, of}, err
}

// Models names the oracle's candidates.
func (o *Oracle) Models() []string { return append(o.of.t.ModelNames(), Names(o.Plans)...) }

// Predict returns an error: an oracle knows rows of its table, and no others.
func (o *Oracle) Predict([]carrot.Representation, []carrot.Prediction) error {
	return errors.New("an oracle does not predict")
}

// Setting names the plans, as JSON.
func (o *Oracle) Setting() string { return settingOf(o.Plans) }

// Steps is as that of Router.
func (o *Oracle) Steps(rows []int, willing []float64) ([][]frontier.Step, error) {
	var score, cost []float64
	return o.of.trace(rows, willing, func(i int, w float64) int {
		score = append(append(score[:0], o.of.t.Set.Score.Row(i)...), o.of.score.Row(i)...)
		cost = append(append(cost[:0], o.of.t.Cost.Row(i)...), o.of.cost.Row(i)...)
		return carrot.Choose(score, cost, w)
	}), nil
}

// trace returns the steps of choices among models and plans, by their place.
func (o *Outcomes) trace(rows []int, willing []float64, choose func(i int, w float64) int) [][]frontier.Step {
	models := len(o.t.Candidates)
	t := frontier.NewTrace(len(rows), len(willing), func(k, s int) int { return choose(rows[k], willing[s]) }, func(k, c int) (float64, float64) {
		if c >= models {
			return o.cost.At(rows[k], c-models), o.score.At(rows[k], c-models)
		}
		return o.t.Cost.At(rows[k], c), o.t.Set.Score.At(rows[k], c)
	})
	for _, steps := range t.Steps {
		for s := range steps {
			if c := steps[s].Candidate; c >= models {
				steps[s].Candidate = models - 1 - c
			}
		}
	}
	return t.Steps
}
