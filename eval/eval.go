// Package eval runs routers over recorded outcomes and says how good they
// are: curves, AIQ and the other metrics of package frontier with bootstrap
// intervals, paired differences, calibration, and tables by source, along the
// curve and under changes of the prompt.
//
// A router is an [Entry]: what it chooses on each query. [Run] makes honest
// entries by fitting a [Contender] — a predictor of this module or a rival — on
// some rows and asking it about others: [Folds], [Sources] and [Split] say
// which. [Compare] measures entries on the queries on which the whole pool was
// observed.
package eval

import (
	"context"
	"fmt"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/rivals"
	"github.com/carrot-router/carrot/table"
)

// Entry is one router on the queries of a task.
type Entry struct {
	Name string
	// Task holds the data and the prices; all entries of a comparison share
	// its outcomes and may differ in their representations.
	Task *table.Table
	// Worth says what the forecast of quality is; "" is a quality.
	Worth rivals.Worth
	// Predictions has one per query of the task, empty where there is none,
	// and for a router that does not predict.
	Predictions []carrot.Prediction
	// Steps has, for every query that was answered, the choices along the
	// grid with what they cost and score.
	Steps [][]frontier.Step
	// Variants are the steps with the prompt changed, by Perturbations.
	Variants [][][]frontier.Step
	// Settings are the hyperparameters that were chosen, part by part.
	Settings []string
	// Notes are what a reader of the figures should know.
	Notes []string
	// Fitted is how many queries a fit saw, in the mean over parts.
	Fitted int

	grid []float64 // of Steps
}

// NewEntry returns an entry without answers.
func NewEntry(name string, t *table.Table) *Entry {
	return &Entry{Name: name, Task: t, Predictions: make([]carrot.Prediction, len(t.X)), Steps: make([][]frontier.Step, len(t.X)), grid: frontier.Grid()}
}

// Set gives the prediction for row i.
func (e *Entry) Set(i int, p carrot.Prediction) {
	e.Predictions[i] = p
	e.Steps[i] = e.steps(i, &p)
}

// Predict asks a predictor whose models are the task's about the rows.
func (e *Entry) Predict(p carrot.Predictor, rows []int) error { return e.predict(p, rows, nil) }

// PredictVaried also asks it about the representations of changed prompts, one
// list of all queries for each of Perturbations.
func (e *Entry) PredictVaried(p carrot.Predictor, rows []int, variants [][]carrot.Representation) error {
	return e.predict(p, rows, variants)
}

func (e *Entry) predict(p carrot.Predictor, rows []int, variants [][]carrot.Representation) error {
	x, predictions := make([]carrot.Representation, len(rows)), make([]carrot.Prediction, len(rows))
	for k, i := range rows {
		x[k] = e.Task.X[i]
	}
	if err := p.Predict(x, predictions); err != nil {
		return err
	}
	for k, i := range rows {
		e.Set(i, predictions[k])
	}
	for v, changed := range variants {
		if e.Variants == nil {
			e.Variants = make([][][]frontier.Step, len(variants))
		}
		if e.Variants[v] == nil {
			e.Variants[v] = make([][]frontier.Step, len(e.Task.X))
		}
		for k, i := range rows {
			x[k] = changed[i]
		}
		again := make([]carrot.Prediction, len(rows))
		if err := p.Predict(x, again); err != nil {
			return err
		}
		for k, i := range rows {
			e.Variants[v][i] = e.steps(i, &again[k])
		}
	}
	return nil
}

// steps records the choices for query i along the grid.
func (e *Entry) steps(i int, p *carrot.Prediction) []frontier.Step {
	t, grid := e.Task, e.grid
	models := len(t.Set.Models)
	quality, cost := make([]float64, models), make([]float64, models)
	for m := range models {
		quality[m], cost[m] = p.Forecasts[m].Quality, t.PredictedCost(i, m, &p.Forecasts[m])
	}
	return t.Trace([]int{i}, len(grid), func(_, s int) int { return carrot.Choose(quality, cost, grid[s]) }).Steps[0]
}

// trace is the entry's trace on some rows.
func (e *Entry) trace(rows []int) (frontier.Trace, error) {
	t := frontier.Trace{Settings: len(frontier.Grid()), Steps: make([][]frontier.Step, len(rows))}
	for k, i := range rows {
		if e.Steps[i] == nil {
			return t, fmt.Errorf("router %s has no answer for query %q", e.Name, e.Task.Set.Queries[i].ID)
		}
		t.Steps[k] = e.Steps[i]
	}
	return t, nil
}

// RunOptions are the settings of Run. The zero value works.
type RunOptions struct {
	Cache Cache
	// Progress is told what is being done and how many of the contender's
	// parts are done.
	Progress func(doing string, done, total int)
	// Variants are the representations of all queries with the prompt
	// changed, one list for each of Perturbations.
	Variants [][]carrot.Representation
	// Share fits on this share of the rows only, by prompt hash, for a
	// learning curve; 0 is all.
	Share float64
}

// Run fits the contender on each part's rows and lets it answer the rows held
// out.
func Run(ctx context.Context, who Contender, t *table.Table, parts []Part, o RunOptions) (*Entry, error) {
	e := NewEntry(who.Name(), t)
	e.Worth = who.Worth()
	fitted := 0
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
		fitted += len(rows)
		f := o.Cache.load(who, t, rows)
		if f == nil {
			var err error
			if f, err = who.fit(ctx, t, rows, say); err != nil {
				return nil, fmt.Errorf("%s: %w", who.Name(), err)
			}
			if err := o.Cache.keep(who, t, rows, f); err != nil {
				e.Notes = append(e.Notes, fmt.Sprintf("%s would be fitted anew the next time: %v", who.Name(), err))
			}
		}
		say("predicting")
		e.Settings = append(e.Settings, f.setting())
		if err := f.answer(e, part.Held, o.Variants); err != nil {
			return nil, fmt.Errorf("%s: %w", who.Name(), err)
		}
	}
	e.Fitted = fitted / max(len(parts), 1)
	return e, ctx.Err()
}
