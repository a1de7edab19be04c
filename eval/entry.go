package eval

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/rivals"
	"github.com/carrot-router/carrot/table"
)

// entry holds what one router chooses on the queries of a table.
type entry struct {
	name string
	// table holds the data and the prices. All entries of a comparison share
	// its outcomes; they may differ in their representations.
	table *table.Table
	// worth says what the forecast of quality means; "" is a quality.
	worth rivals.Worth
	// predictions has one for each query of the table. It is empty for queries
	// that were not answered, and for a router that does not predict.
	predictions []carrot.Prediction
	// steps has, for each query that was answered, the choices along the grid
	// with their costs and scores.
	steps [][]frontier.Step
	// variants are the steps on changed prompts, one list per perturbation, and
	// abstained says on which of them the router abstained.
	variants  [][][]frontier.Step
	abstained [][]bool
	// For the search of a suffix: the embedder of the prompts, nil if there is no search,
	// and for each query the fitted router that answered it, with the number of its part.
	embedder carrot.Embedder
	asked    []carrot.Predictor
	number   []int
	settings []string // the hyperparameters that were chosen, fit by fit
	notes    []string // for the report
	fitted   int      // the mean number of queries that a fit saw

	grid   []float64 // of steps
	labels []string  // the names of the settings, for a router without a grid

	// several has, for each query that was answered, the router that may have asked
	// several models; it is nil for other routers.
	several []asksSeveral
	plans   *planned // of a router that chooses plans and forecasts; nil for others

	promises []promised // by objective

	external *PredictionsFile // nil for a router that was asked here
}

// settingCount is the number of settings of the steps.
func (e *entry) settingCount() int { return max(len(e.grid), len(e.labels)) }

// newEntry returns an entry without answers.
func newEntry(name string, t *table.Table) *entry {
	return &entry{name: name, table: t, predictions: make([]carrot.Prediction, len(t.X)), steps: make([][]frontier.Step, len(t.X)), grid: frontier.Grid()}
}

// set stores the prediction for row i.
func (e *entry) set(i int, p carrot.Prediction) {
	e.predictions[i] = p
	e.steps[i] = e.choices(i, &p)
}

// predict asks a predictor about the rows and, if variants are given, about the
// representations of changed prompts, one list of all queries per perturbation.
// The predictor must know all models of the table, and may know others.
func (e *entry) predict(p carrot.Predictor, rows []int, variants [][]carrot.Representation) error {
	columns, err := columnsOf(p, e.table)
	if err != nil {
		return err
	}
	ask := func(of []carrot.Representation) ([]carrot.Prediction, error) {
		x, out := make([]carrot.Representation, len(rows)), make([]carrot.Prediction, len(rows))
		for k, i := range rows {
			x[k] = of[i]
		}
		if err := p.Predict(x, out); err != nil {
			return nil, err
		}
		for k := range out {
			all := out[k].Forecasts
			out[k].Forecasts = make([]carrot.Forecast, len(columns))
			for m, c := range columns {
				out[k].Forecasts[m] = all[c]
			}
		}
		return out, nil
	}
	predictions, err := ask(e.table.X)
	if err != nil {
		return err
	}
	for k, i := range rows {
		e.set(i, predictions[k])
	}
	if err := e.promise(p, rows); err != nil {
		return err
	}
	for v, changed := range variants {
		if e.variants == nil {
			e.variants, e.abstained = make([][][]frontier.Step, len(variants)), make([][]bool, len(variants))
		}
		if e.variants[v] == nil {
			e.variants[v], e.abstained[v] = make([][]frontier.Step, len(e.table.X)), make([]bool, len(e.table.X))
		}
		again, err := ask(changed)
		if err != nil {
			return err
		}
		for k, i := range rows {
			e.variants[v][i], e.abstained[v][i] = e.choices(i, &again[k]), again[k].Abstained
		}
	}
	return nil
}

// columnsOf finds the predictor's column of each model of a table.
func columnsOf(p carrot.Predictor, t *table.Table) ([]int, error) {
	known := p.Models()
	var columns []int
	for _, name := range t.ModelNames() {
		at := slices.Index(known, name)
		if at < 0 {
			return nil, fmt.Errorf("the router does not know model %q of the data's pool; it knows %s", name, strings.Join(known, ", "))
		}
		columns = append(columns, at)
	}
	return columns, nil
}

// estimates returns the quality and the cost in USD that a prediction for query i
// expects of each model.
func (e *entry) estimates(i int, p *carrot.Prediction) (quality, cost []float64) {
	for m := range p.Forecasts {
		quality, cost = append(quality, p.Forecasts[m].Quality), append(cost, e.table.PredictedCost(i, m, &p.Forecasts[m]))
	}
	return quality, cost
}

// choices returns the choices for query i along the grid.
func (e *entry) choices(i int, p *carrot.Prediction) []frontier.Step {
	quality, cost := e.estimates(i, p)
	return e.table.Trace([]int{i}, len(e.grid), func(_, s int) int { return carrot.Choose(quality, cost, e.grid[s]) }).Steps[0]
}

// trace returns the entry's trace on some rows, all of which must be answered.
func (e *entry) trace(rows []int) (frontier.Trace, error) {
	t := frontier.Trace{Settings: e.settingCount(), Steps: make([][]frontier.Step, len(rows))}
	for k, i := range rows {
		if e.steps[i] == nil {
			return t, fmt.Errorf("router %s has no answer for query %q", e.name, e.table.Set.Queries[i].ID)
		}
		t.Steps[k] = e.steps[i]
	}
	return t, nil
}

// calibrated reports whether the router forecasts qualities, which can be
// compared with scores.
func (e *entry) calibrated() bool {
	return e.several == nil && (e.worth == rivals.Quality || e.worth == "")
}

// measure returns the figures of the entry on those of rows that are complete.
func (e *entry) measure(rows []int) (frontier.Metrics, error) {
	complete := e.table.CompleteOf(rows)
	trace, err := e.trace(complete)
	if err != nil {
		return frontier.Metrics{}, err
	}
	if len(complete) == 0 {
		return frontier.Metrics{}, ErrNoRows
	}
	return frontier.NewScale(e.table.Singles(complete).Curve(nil)).Measure(trace.Curve(nil)), nil
}

// runOptions are the settings of runParts. The zero value works.
type runOptions struct {
	Cache cache
	// Progress, if not nil, is called with what is being done and how many of
	// the parts are done.
	Progress func(doing string, done, total int)
	// Variants are the representations of all queries with changed prompts, one
	// list per perturbation.
	Variants [][]carrot.Representation
	// Share, if not zero, is the share of the rows to fit on, by prompt hash.
	Share float64
	// Promises are the objectives whose promises are checked.
	Promises []carrot.Objective
	// Search is the embedder for the search of a suffix; nil if none is made.
	Search carrot.Embedder
}

// runParts fits a router on each part's rows and lets it answer the rows held out.
func runParts(ctx context.Context, name string, who method, t *table.Table, parts []part, o runOptions) (*entry, error) {
	e := newEntry(name, t)
	e.worth = who.worth()
	for _, o := range o.Promises {
		e.promises = append(e.promises, promised{objective: o, choice: map[int]int{}, by: map[int][]carrot.Promise{}})
	}
	if o.Search != nil {
		e.embedder, e.asked, e.number = o.Search, make([]carrot.Predictor, len(t.X)), make([]int, len(t.X))
	}
	total := 0
	for p, part := range parts {
		say := func(doing string) {
			if o.Progress != nil {
				if len(parts) > 1 {
					doing = fmt.Sprintf("part %d of %d: %s", p+1, len(parts), doing)
				}
				o.Progress(doing, p, len(parts))
			}
		}
		rows := thin(t.Set, part.Fit, o.Share)
		total += len(rows)
		f := o.Cache.load(who, t, rows)
		if f == nil {
			var err error
			if f, err = who.fit(ctx, t, rows, say); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if err := o.Cache.keep(who, t, rows, f); err != nil {
				e.notes = append(e.notes, fmt.Sprintf("%s will be fitted again the next time: %v", name, err))
			}
		}
		say("predicting")
		if setting := f.setting(); setting != "" {
			e.settings = append(e.settings, setting)
		}
		if err := f.answer(e, part.Held, o.Variants); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if o.Search != nil {
			router := asked(f)
			for _, i := range part.Held {
				e.asked[i], e.number[i] = router, p
			}
		}
	}
	e.fitted = total / max(len(parts), 1)
	return e, ctx.Err()
}

// asked returns a fitted router that is searched for a suffix: a predictor of this module
// or of the caller, nil for others.
func asked(f fitted) carrot.Predictor {
	switch f := f.(type) {
	case ownFitted:
		return f.p
	case predictor:
		return f.Predictor
	}
	return nil
}
