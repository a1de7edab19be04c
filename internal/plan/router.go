package plan

import (
	"context"
	"encoding/json"
	"errors"
	"math"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/table"
)

// Extend returns a table with plans as further columns, after the models. Their cost
// is recorded, and not made of tokens. It shares the rest with t.
func Extend(t *table.Table, plans []Plan) (*table.Table, error) {
	if t.PerCall != nil {
		return nil, errors.New("plans cost what their calls cost: calls of one model cannot be counted")
	}
	models, all := len(t.Candidates), make([]int, len(t.X))
	for i := range all {
		all[i] = i
	}
	set := *t.Set
	set.Models = append([]dataset.Model(nil), t.Set.Models...)
	wide := &table.Table{Set: &set, X: t.X, Embedder: t.Embedder, Candidates: append([]carrot.Candidate(nil), t.Candidates...)}
	widen := func(m dataset.Matrix) dataset.Matrix {
		out := dataset.NewMatrix(len(all), models+len(plans))
		for i := range m.Rows {
			copy(out.Row(i), m.Row(i))
		}
		return out
	}
	set.Score, set.InputTokens, set.OutputTokens = widen(set.Score), widen(set.InputTokens), widen(set.OutputTokens)
	set.CostUSD, wide.Cost = widen(set.CostUSD), widen(t.Cost)
	set.CachedTokens, set.ReasoningTokens, set.Answers = dataset.Matrix{}, dataset.Matrix{}, nil
	recorded := NewRecorded(t.Set, t.Cost)
	for k, p := range plans {
		outcomes, err := recorded.Run(p, all)
		if err != nil {
			return nil, err
		}
		set.Models = append(set.Models, dataset.Model{Name: p.String(), InputUSDPerMillion: math.NaN(), OutputUSDPerMillion: math.NaN(), Pool: true})
		wide.Candidates = append(wide.Candidates, carrot.Candidate{Name: p.String()})
		for i, o := range outcomes {
			set.Score.Set(i, models+k, o.Score)
			set.CostUSD.Set(i, models+k, o.CostUSD)
			wide.Cost.Set(i, models+k, o.CostUSD)
		}
	}
	set.Fingerprint = set.ComputeFingerprint()
	return wide, nil
}

// Router chooses between models and plans. It predicts them as one pool.
type Router struct {
	carrot.Predictor
	// Plans that were chosen, in the order of their columns after the models.
	Plans []Plan
	wide  *table.Table
}

// FitFunc fits a predictor on some rows of a table.
type FitFunc func(ctx context.Context, t *table.Table, rows []int, progress func(doing string)) (carrot.Predictor, error)

// Fit chooses plans on the given rows of a table and fits a predictor of models and
// plans on them.
func Fit(ctx context.Context, t *table.Table, rows []int, o Options, fit FitFunc, progress func(doing string)) (*Router, error) {
	progress("choosing plans")
	plans, err := Suggest(t, rows, o)
	if err != nil {
		return nil, err
	}
	wide, err := Extend(t, plans)
	if err != nil {
		return nil, err
	}
	p, err := fit(ctx, wide, rows, progress)
	if err != nil {
		return nil, err
	}
	return &Router{p, plans, wide}, nil
}

// Setting names the plans, as JSON.
func (r *Router) Setting() string { return settingOf(r.Plans) }

func settingOf(plans []Plan) string {
	names := []string{}
	for _, p := range plans {
		names = append(names, p.String())
	}
	text, err := json.Marshal(map[string][]string{"plans": names})
	if err != nil {
		return ""
	}
	return string(text)
}

// Steps returns, for each of the rows of the table that the router was fitted on, what
// it pays and scores at every willingness to pay, in falling order. The candidate of a
// plan is -1.
func (r *Router) Steps(rows []int, willing []float64) ([][]frontier.Step, error) {
	x, predictions := make([]carrot.Representation, len(rows)), make([]carrot.Prediction, len(rows))
	for k, i := range rows {
		x[k] = r.wide.X[i]
	}
	if err := r.Predict(x, predictions); err != nil {
		return nil, err
	}
	quality, cost := make([][]float64, len(rows)), make([][]float64, len(rows))
	for k, i := range rows {
		for m := range predictions[k].Forecasts {
			f := &predictions[k].Forecasts[m]
			quality[k], cost[k] = append(quality[k], f.Quality), append(cost[k], r.wide.PredictedCost(i, m, f))
		}
	}
	return trace(r.wide, len(r.Plans), rows, willing, func(k int, w float64) int { return carrot.Choose(quality[k], cost[k], w) }), nil
}

// Oracle knows every outcome, of models and of the plans that were chosen.
type Oracle struct {
	Plans []Plan
	wide  *table.Table
}

// FitOracle chooses plans on the given rows of a table, as Fit does.
func FitOracle(t *table.Table, rows []int, o Options) (*Oracle, error) {
	plans, err := Suggest(t, rows, o)
	if err != nil {
		return nil, err
	}
	wide, err := Extend(t, plans)
	if err != nil {
		return nil, err
	}
	return &Oracle{plans, wide}, nil
}

// Models names the oracle's candidates.
func (o *Oracle) Models() []string { return o.wide.ModelNames() }

// Predict returns an error: an oracle knows rows of its table, and no others.
func (o *Oracle) Predict([]carrot.Representation, []carrot.Prediction) error {
	return errors.New("an oracle does not predict")
}

// Setting names the plans, as JSON.
func (o *Oracle) Setting() string { return settingOf(o.Plans) }

// Steps is as that of Router.
func (o *Oracle) Steps(rows []int, willing []float64) ([][]frontier.Step, error) {
	return trace(o.wide, len(o.Plans), rows, willing, func(k int, w float64) int {
		return carrot.Choose(o.wide.Set.Score.Row(rows[k]), o.wide.Cost.Row(rows[k]), w)
	}), nil
}

// trace returns the steps of choices in a table whose last columns are plans.
func trace(wide *table.Table, plans int, rows []int, willing []float64, choose func(k int, w float64) int) [][]frontier.Step {
	t := wide.Trace(rows, len(willing), func(k, s int) int { return choose(k, willing[s]) })
	for _, steps := range t.Steps {
		for s := range steps {
			if steps[s].Candidate >= len(wide.Candidates)-plans {
				steps[s].Candidate = -1
			}
		}
	}
	return t.Steps
}
