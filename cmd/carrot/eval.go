package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/train"
)

type evalCommand struct {
	Data      []string `required:"" placeholder:"DIR" help:"Data folder; several are joined."`
	Router    []string `placeholder:"FILE" help:"Saved routers to measure on --split."`
	Split     string   `enum:"train,validation,test" default:"test" help:"Rows to measure on: train, validation or test."`
	Folds     int      `placeholder:"K" help:"Measure predictors out of fold over train and validation instead, with K folds by prompt hash."`
	LeaveOut  string   `enum:",source" default:"" placeholder:"source" help:"The same, leaving one source out at a time."`
	Predictor []string `placeholder:"NAME" help:"Predictors to fit on the rows not measured: blend, knn:k=128, …; blend if neither this nor --router is given."`
	Embedder  []string `default:"static" help:"Embedders for --predictor: static, bert:DIR, …"`
	Caution   float64  `placeholder:"X" help:"Factor in (0,1] that shrinks the fitted predictors' quality estimates."`
	Prices    string   `placeholder:"FILE" help:"Price book; else the prices of the data's models.json."`
	Bootstrap int      `default:"1000" help:"Resamples for the intervals; 0 for none."`
	Seed      uint64   `placeholder:"N" help:"Seed of fits and resamples."`
	JSON      string   `name:"json" placeholder:"FILE" help:"Write the report as JSON (carrot.eval/1); - for standard output."`
}

func (c *evalCommand) Help() string {
	return `Prints AIQ, peak quality, QNC, cost@95 and calibration with bootstrap intervals
and paired differences, beside four reference rows: mean, best-single,
zero-router and oracle.

Examples:
  carrot eval --data mydata --router router.safetensors
  carrot eval --data mydata --folds 5 --predictor blend,knn
  carrot eval --data mydata --leave-out source --json report.json`
}

// evaluation is one run of the command.
type evaluation struct {
	*evalCommand
	book  *price.Book
	set   *dataset.Set
	p     *progress
	tasks map[string]*train.Task // by embedder spec
	rows  []int
	notes []string
}

func (c *evalCommand) check() error {
	switch {
	case c.Folds != 0 && c.Folds < 2:
		return usagef("--folds %d: want at least 2", c.Folds)
	case c.Folds != 0 && c.LeaveOut != "":
		return usagef("--folds and --leave-out are two ways to hold queries out: give one")
	case c.outOfFold() && len(c.Router) > 0:
		return usagef("--router is fitted already; --folds and --leave-out fit: use --predictor")
	case c.Bootstrap < 0:
		return usagef("--bootstrap %d: want 0 or more", c.Bootstrap)
	}
	return nil
}

func (c *evalCommand) outOfFold() bool { return c.Folds > 0 || c.LeaveOut != "" }

func (c *evalCommand) Run(ctx context.Context, t terminal) error {
	if err := c.check(); err != nil {
		return err
	}
	book, err := openBook(c.Prices)
	if err != nil {
		return err
	}
	e := &evaluation{evalCommand: c, book: book, p: newProgress(t.err), tasks: map[string]*train.Task{}}
	defer e.p.done()
	if e.set, _, err = loadSets(ctx, c.Data); err != nil {
		return err
	}
	if err := e.choose(); err != nil {
		return err
	}
	report, err := e.compare(ctx)
	if err != nil {
		return err
	}
	e.p.done()
	return c.write(t.out, report)
}

// choose sets the rows to measure on.
func (e *evaluation) choose() error {
	if e.outOfFold() {
		e.set = e.set.Subset(train.Trainable(e.set), nil)
		e.rows = train.Trainable(e.set)
		return nil
	}
	e.rows = e.set.Rows(dataset.Split(e.Split))
	if len(e.rows) == 0 {
		return hinted{fmt.Errorf("data set %s has no rows marked %s", e.set.Name, e.Split),
			"--split validation, or --folds 5 to measure out of fold over train and validation"}
	}
	return nil
}

// task prepares the data with an embedder, once.
func (e *evaluation) task(ctx context.Context, spec string) (*train.Task, carrot.Embedder, error) {
	embedder, err := openEmbedder(spec, e.p.count("embedding prompts with "+spec))
	if err != nil {
		return nil, nil, err
	}
	if t := e.tasks[spec]; t != nil {
		return t, embedder, nil
	}
	e.p.say("embedding prompts with " + spec)
	t, err := train.Prepare(ctx, e.set, embedder, e.book)
	e.tasks[spec] = t
	return t, embedder, err
}

func (e *evaluation) compare(ctx context.Context) (*eval.Report, error) {
	var entries []eval.Entry
	for _, path := range e.Router {
		entry, err := e.saved(ctx, path)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	predictors := e.Predictor
	if len(predictors) == 0 && len(e.Router) == 0 {
		predictors = []string{"blend"}
	}
	for _, text := range predictors {
		if text == "mean" {
			continue // always there, among the reference rows
		}
		for _, embedder := range e.Embedder {
			entry, err := e.fitted(ctx, text, embedder)
			if err != nil {
				return nil, err
			}
			if entry.Predictions != nil {
				entries = append(entries, entry)
			}
		}
	}
	first := e.Embedder[0]
	if len(entries) > 0 && len(e.Router) > 0 {
		first = "static"
	}
	base, _, err := e.task(ctx, first)
	if err != nil {
		return nil, err
	}
	mean, err := e.predictions(ctx, base, predict.Spec{Name: "mean", Seed: e.Seed})
	if err != nil {
		return nil, err
	}
	if mean == nil {
		e.notes = append(e.notes, fmt.Sprintf("mean is absent: the data has no queries outside %s to fit it on", e.Split))
	}
	e.p.say("bootstrap")
	report, err := eval.Compare(ctx, base, e.rows, entries, mean,
		eval.Options{Split: e.label(), Bootstrap: e.Bootstrap, Seed: e.Seed, Progress: e.p.count("bootstrap")})
	if err != nil {
		return nil, err
	}
	report.Notes = e.notes
	return report, nil
}

func (e *evaluation) label() string {
	switch {
	case e.Folds > 0:
		return fmt.Sprintf("out of fold (%d)", e.Folds)
	case e.LeaveOut != "":
		return "leave one source out"
	}
	return e.Split
}

// saved predicts the rows with a saved router.
func (e *evaluation) saved(ctx context.Context, path string) (eval.Entry, error) {
	a, err := openRouter(path)
	if err != nil {
		return eval.Entry{}, err
	}
	spec := a.Manifest.Embedder.Spec
	t, embedder, err := e.task(ctx, spec)
	if err != nil {
		return eval.Entry{}, err
	}
	if embedder.ID() != a.Manifest.Embedder.ID {
		return eval.Entry{}, fmt.Errorf("router %s: embedder %s: %w, %s", path, embedder.ID(), artifact.ErrEmbedder, a.Manifest.Embedder.ID)
	}
	columns, err := columnsOf(path, a.Predictor.Models(), t.ModelNames())
	if err != nil {
		return eval.Entry{}, err
	}
	if e.overlaps(a) {
		e.notes = append(e.notes, fmt.Sprintf("%s was trained on this data: outside test its figures are optimistic", filepath.Base(path)))
	}
	x, raw := make([]carrot.Representation, len(e.rows)), make([]carrot.Prediction, len(e.rows))
	for k, i := range e.rows {
		x[k] = t.X[i]
	}
	if err := a.Predictor.Predict(x, raw); err != nil {
		return eval.Entry{}, err
	}
	out := make([]carrot.Prediction, len(t.X))
	for k, i := range e.rows {
		out[i] = carrot.Prediction{Novelty: raw[k].Novelty, Abstained: raw[k].Abstained}
		for _, c := range columns {
			out[i].Forecasts = append(out[i].Forecasts, raw[k].Forecasts[c])
		}
	}
	return eval.Entry{Name: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), Task: t, Predictions: out}, nil
}

// columnsOf finds the router's column of each model of the data's pool.
func columnsOf(path string, known, wanted []string) ([]int, error) {
	columns := make([]int, len(wanted))
	for k, name := range wanted {
		if columns[k] = slices.Index(known, name); columns[k] < 0 {
			return nil, fmt.Errorf("router %s does not know model %q of the data's pool; it knows %s", path, name, strings.Join(known, ", "))
		}
	}
	return columns, nil
}

// overlaps reports whether the router was trained on rows that are measured:
// by the fingerprint of the training data, which covers all splits of a folder
// that has them.
func (e *evaluation) overlaps(a *artifact.Artifact) bool {
	return e.Split != "test" && slices.ContainsFunc(a.Manifest.Data, func(d artifact.Data) bool {
		return d.Fingerprint == e.set.Fingerprint || d.Name == e.set.Name
	})
}

// fitted predicts the rows with a predictor fitted on the others.
func (e *evaluation) fitted(ctx context.Context, text, embedder string) (eval.Entry, error) {
	spec, err := specOf(text, e.Caution, e.Seed)
	if err != nil {
		return eval.Entry{}, err
	}
	t, _, err := e.task(ctx, embedder)
	if err != nil {
		return eval.Entry{}, err
	}
	name := text
	if len(e.Embedder) > 1 || embedder != "static" {
		kind, _, _ := strings.Cut(embedder, ":")
		name += "/" + kind
	}
	predictions, err := e.predictions(ctx, t, partsFor(spec, embedder))
	if err != nil {
		return eval.Entry{}, fmt.Errorf("%s: %w", name, err)
	}
	if predictions == nil {
		e.notes = append(e.notes, fmt.Sprintf("%s is absent: the data has no queries outside %s to fit it on", name, e.Split))
	}
	return eval.Entry{Name: name, Task: t, Predictions: predictions}, nil
}

func (e *evaluation) predictions(ctx context.Context, t *train.Task, spec predict.Spec) ([]carrot.Prediction, error) {
	say := func(s string) { e.p.say(spec.Name + ": " + s) }
	switch {
	case e.Folds > 0:
		return eval.OutOfFold(ctx, t, spec, e.Folds, say)
	case e.LeaveOut != "":
		return eval.LeaveOut(ctx, t, spec, say)
	}
	return eval.Split(ctx, t, spec, dataset.Split(e.Split), say)
}

func (c *evalCommand) write(w io.Writer, r *eval.Report) error {
	if c.JSON == "" {
		return r.WriteText(w)
	}
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if c.JSON == "-" {
		_, err = w.Write(data)
		return err
	}
	if err := os.WriteFile(c.JSON, data, 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return r.WriteText(w)
}
