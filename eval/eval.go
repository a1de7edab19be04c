// Package eval measures routers on recorded outcomes: their curves, AIQ and the
// other metrics of package frontier with bootstrap intervals, paired
// differences, calibration, and tables by source, along the curve and under
// changes of the prompt.
//
// A router to be measured is a [Contender]: a predictor of this module, a rival
// from the literature, a router that was trained before, or one of your own.
// [Run] fits contenders on some queries of a data set, lets them answer others,
// and compares them, beside four reference rows, on the queries on which every
// model of the pool was observed:
//
//	report, err := eval.Run(ctx, outcomes, eval.Options{
//		Embedder: static,
//		Folds:    5,
//		Contenders: []eval.Contender{
//			{Name: "by length", Fit: fitByLength},
//			eval.Predictor("knn", predict.Spec{Name: "knn", K: 8}),
//		},
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	for _, router := range report.Routers {
//		fmt.Printf("%-11s  AIQ %v  peak %v\n", router.Name, router.AIQ, router.Peak)
//	}
package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/rivals"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/table"
)

// Options of Run. Only Embedder is required. By default, the reference rows are
// measured on the queries marked test.
type Options struct {
	// Contenders are the routers to measure. Their names must differ.
	Contenders []Contender
	// Embedder makes the vectors for contenders that bring no embedder, and for
	// the reference rows.
	Embedder carrot.Embedder

	// Split has the queries to measure on, by default test. Contenders are
	// fitted on the other queries that are not marked test.
	Split dataset.Split
	// Folds, if not zero, is the number of folds, by prompt hash, into which the
	// queries that are not marked test are split. They are measured instead of
	// Split, each fold by contenders that were fitted on the others.
	Folds int
	// LeaveSourcesOut measures in the same way, with one source at a time in
	// place of a fold: how well routers do on a subject they have never seen.
	LeaveSourcesOut bool

	// Book has the prices of tokens. If it is nil, they are those in the set's
	// models.json.
	Book *price.Book
	// Pair, if not empty, restricts the pool to these two models, and adds the
	// figures of RouteLLM.
	Pair []string
	// CountCalls, if not empty, names a model whose calls cost 1, while those of
	// others cost 0. Then neither prices nor tokens are needed.
	CountCalls string

	// LearningCurve also fits on growing shares of the queries.
	LearningCurve bool
	// Robustness also changes every prompt in several ways, and compares the
	// choices.
	Robustness bool
	// PaperProtocol also measures by the protocol of the paper's code. It cannot
	// be combined with Folds or LeaveSourcesOut.
	PaperProtocol bool
	// Objectives are those at which regret is measured. They must not need a
	// stored frontier. By default, a unit of quality is worth 1, 10 and 100
	// calls of the most expensive model.
	Objectives []carrot.Objective

	// Promises are objectives with promises. How often these were kept is measured for
	// routers that hold what they are calibrated on: predictors of this module.
	Promises []carrot.Objective

	Bootstrap int    // number of resamples; 0 means no intervals
	Seed      uint64 // of the resamples, and of the fit of mean

	// CacheDir, if not empty, is a folder in which fitted routers are kept, so
	// that an interrupted comparison resumes where it stopped. A build of the
	// program never uses what another build has kept.
	CacheDir string
	// Progress, if not nil, is called with what is being done, in words, and
	// with the share of the fits that is done. It is never called concurrently.
	Progress func(doing string, share float64)
}

// ErrNoRows is returned if there is no query to measure on.
var ErrNoRows = errors.New("no query to compare on")

// ErrNoCosts is returned if no model has tokens or costs.
var ErrNoCosts = errors.New("no model has tokens or costs")

// ErrSameName is returned for two contenders with the same name.
var ErrSameName = errors.New("two routers would be named alike")

// references are the reference rows, with which every report ends.
var references = []string{"mean", "best-single", "zero-router", "oracle"}

// plansOracle is the name of the contender that knows every outcome of models and
// plans. Like the oracle, it is not compared pair by pair.
const plansOracle = "oracle-plans"

// Run fits the contenders and compares them. A contender that cannot be fitted is
// left out, and the report's notes say why. Unless calls are counted, it is a
// [*table.UnpricedError] if some models have neither tokens nor costs, and
// ErrNoCosts if no model has.
func Run(ctx context.Context, set *dataset.Set, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	for _, c := range o.Contenders {
		if x := c.external(); x != nil {
			if err := x.check(set); err != nil {
				return nil, err
			}
		}
	}
	e := &evaluation{Options: o, set: set, cache: newCache(o.CacheDir),
		tables: map[string]*table.Table{}, variants: map[*table.Table][][]carrot.Representation{}}
	if e.Progress == nil {
		e.Progress = func(string, float64) {}
	}
	if len(o.Pair) > 0 {
		if err := e.restrict(); err != nil {
			return nil, err
		}
	}
	if err := e.choose(); err != nil {
		return nil, err
	}
	r, err := e.compare(ctx)
	if err != nil {
		return nil, err
	}
	r.Notes, r.Fingerprint = append(r.Notes, e.notes...), set.Fingerprint
	return r, nil
}

func (o *Options) check() error {
	seen := map[string]bool{}
	for _, name := range references {
		seen[name] = true
	}
	for _, c := range o.Contenders {
		switch {
		case c.Name == "":
			return errors.New("evaluate: a contender has no name")
		case seen[c.Name]:
			return fmt.Errorf("evaluate: %w: %s", ErrSameName, c.Name)
		case c.method() == nil:
			return fmt.Errorf("evaluate: contender %s has neither Fit nor Fitted", c.Name)
		}
		seen[c.Name] = true
	}
	switch {
	case o.Embedder == nil:
		return errors.New("evaluate: Options.Embedder is missing")
	case o.checkFolds() != nil:
		return o.checkFolds()
	case o.PaperProtocol && o.outOfFold():
		return errors.New("evaluate: the paper's protocol fits on one split and measures on another, without folds")
	case len(o.Pair) != 0 && (len(o.Pair) != 2 || o.Pair[0] == o.Pair[1]):
		return fmt.Errorf("evaluate: pair %s: want two different models", strings.Join(o.Pair, ","))
	}
	return nil
}

func (o *Options) checkFolds() error {
	switch {
	case o.Folds < 0 || o.Folds == 1:
		return fmt.Errorf("evaluate: %d folds: want at least 2", o.Folds)
	case o.Folds > 0 && o.LeaveSourcesOut:
		return errors.New("evaluate: folds and leaving sources out are two ways to hold queries out: choose one")
	}
	return nil
}

func (o *Options) outOfFold() bool { return o.Folds > 0 || o.LeaveSourcesOut }

// label is the report's name for the measured queries.
func (o *Options) label() string {
	switch {
	case o.Folds > 0:
		return fmt.Sprintf("out of fold (%d)", o.Folds)
	case o.LeaveSourcesOut:
		return "leave one source out"
	}
	return string(o.split())
}

func (o *Options) split() dataset.Split {
	if o.Split == "" {
		return dataset.SplitTest
	}
	return o.Split
}

// evaluation is one run.
type evaluation struct {
	Options
	set      *dataset.Set
	rows     []int  // to measure on
	parts    []part // one per fit; none if there is nothing to fit on
	tables   map[string]*table.Table
	variants map[*table.Table][][]carrot.Representation
	cache    cache
	notes    []string
	done     float64 // share of the fits
}

func (e *evaluation) say(doing string) { e.Progress(doing, e.done) }

func (e *evaluation) note(format string, args ...any) {
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

// restrict keeps the two models of Pair.
func (e *evaluation) restrict() error {
	var columns []int
	for _, name := range e.Pair {
		at := slices.IndexFunc(e.set.Models, func(m dataset.Model) bool { return m.Name == name })
		if at < 0 {
			var names []string
			for _, m := range e.set.Models {
				names = append(names, m.Name)
			}
			return fmt.Errorf("pair: data set %s has no model %q; it has %s", e.set.Name, name, strings.Join(names, ", "))
		}
		columns = append(columns, at)
	}
	e.set = e.set.Subset(nil, columns)
	for j := range e.set.Models {
		e.set.Models[j].Pool = true
	}
	return nil
}

// choose sets the rows to fit and to measure on.
func (e *evaluation) choose() (err error) {
	if !e.outOfFold() {
		e.parts, e.rows = splitParts(e.set, e.split()), e.set.Rows(e.split())
		if len(e.rows) == 0 {
			return fmt.Errorf("%w: data set %s has no rows marked %s", ErrNoRows, e.set.Name, e.split())
		}
		return nil
	}
	e.set = e.set.Subset(table.Trainable(e.set), nil)
	if e.rows = table.Trainable(e.set); e.LeaveSourcesOut {
		e.parts, err = sourceParts(e.set)
	} else {
		e.parts, err = foldParts(e.set, e.rows, e.Folds)
	}
	return err
}

// table returns the data with the vectors of an embedder, made once.
func (e *evaluation) table(ctx context.Context, embedder carrot.Embedder) (*table.Table, error) {
	id := embedder.ID()
	if t := e.tables[id]; t != nil {
		return t, nil
	}
	e.say("embedding prompts with " + id)
	t, err := table.New(ctx, e.set, embedder, table.Options{Book: e.Book, CountCalls: e.CountCalls})
	if err != nil {
		return nil, err
	}
	if len(t.Unpriced()) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrNoRows, ErrNoCosts)
	}
	if e.Robustness {
		e.say("embedding changed prompts with " + id)
		if e.variants[t], err = vary(ctx, t, embedder); err != nil {
			return nil, err
		}
	}
	e.tables[id] = t
	return t, nil
}

// compare lets all contenders answer and measures their answers.
func (e *evaluation) compare(ctx context.Context) (*Report, error) {
	base, err := e.table(ctx, e.Embedder)
	if err != nil {
		return nil, err
	}
	answers, err := e.answers(ctx)
	if err != nil {
		return nil, err
	}
	mean, err := e.mean(ctx, base)
	if err != nil {
		return nil, err
	}
	var entries []*entry
	curves := map[string][]LearningPoint{}
	for _, a := range answers {
		entries = append(entries, a.entry)
		curves[a.contender.Name] = a.learning
	}
	r, err := compare(ctx, base, e.rows, entries, mean, compareOptions{Split: e.label(), Bootstrap: e.Bootstrap, Seed: e.Seed, Objectives: e.Objectives, Say: e.say, LeftOut: e.LeaveSourcesOut,
		Progress: func(done, total int) {
			if done%max(total/100, 1) == 0 {
				e.say(fmt.Sprintf("bootstrap: %d of %d resamples", done, total))
			}
		}})
	if err != nil {
		return nil, err
	}
	for k := range r.Routers {
		r.Routers[k].LearningCurve = curves[r.Routers[k].Name]
	}
	if e.PaperProtocol && len(e.parts) > 0 {
		if r.Protocols, err = e.protocols(ctx, base, answers); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// answer is what a contender made of the measured rows.
type answer struct {
	contender Contender
	entry     *entry
	learning  []LearningPoint
}

// answers fits the contenders and lets them answer. A contender that fails is
// noted, so that the figures of the others, which may have taken hours, are not
// lost.
func (e *evaluation) answers(ctx context.Context) ([]answer, error) {
	var total float64
	for _, c := range e.Contenders {
		total += c.method().weight()
	}
	var out []answer
	ready := 0.0
	for k, c := range e.Contenders {
		who := c.method()
		embedder := c.Embedder
		if embedder == nil {
			embedder = e.Embedder
		}
		t, err := e.table(ctx, embedder)
		if err != nil {
			return nil, err
		}
		var search carrot.Embedder // others are too slow for a quarter of a million prompts
		if e.Robustness && strings.HasPrefix(embedder.ID(), "static@") {
			search = embedder
		}
		fit := func(share float64) (*entry, error) {
			return runParts(ctx, c.Name, who, t, e.partsOf(c), runOptions{Cache: e.cache, Share: share, Variants: e.variants[t], Promises: e.promised(share), Search: search,
				Progress: func(doing string, done, parts int) {
					e.done = (ready + who.weight()*float64(done)/float64(max(parts, 1))) / total
					e.say(fmt.Sprintf("router %d of %d, %s: %s", k+1, len(e.Contenders), c.Name, doing))
				}})
		}
		switch {
		case c.fixed():
			entry, err := fit(0)
			if err != nil {
				return nil, err
			}
			e.noteFixed(c)
			out = append(out, answer{contender: c, entry: entry})
		case len(e.parts) == 0:
			e.note("%s is absent: the data has no queries outside %s to fit it on", c.Name, e.split())
		default:
			a, err := e.fitted(ctx, c, fit)
			if err != nil {
				return nil, err
			}
			if a.entry != nil {
				out = append(out, a)
			}
		}
		ready += who.weight()
		e.done = ready / total
	}
	return out, nil
}

// partsOf returns e's parts or, for a router that is fitted already, one part with
// all the rows to measure on.
func (e *evaluation) partsOf(c Contender) []part {
	if c.fixed() {
		return []part{{Held: e.rows}}
	}
	return e.parts
}

// noteFixed notes what is known of the rows on which a router was fitted before. Its
// data may have been this set without the test rows, which have a fingerprint of
// their own.
func (e *evaluation) noteFixed(c Contender) {
	if x := c.external(); x != nil {
		e.noteExternal(c.Name, x)
		return
	}
	if !e.outOfFold() && e.split() == dataset.SplitTest || c.Name == plansOracle {
		return
	}
	if len(c.TrainedOn) == 0 {
		e.note("%s was fitted before, and it is not known on which queries: if they are among these, its figures are optimistic", c.Name)
		return
	}
	trainable := e.set.Subset(table.Trainable(e.set), nil).Fingerprint
	for _, set := range c.TrainedOn {
		if set == e.set.Fingerprint || set == e.set.Name || set == trainable {
			e.note("%s was trained on this data: outside test its figures are optimistic", c.Name)
			return
		}
	}
}

// noteExternal says what cannot be known of an external router.
func (e *evaluation) noteExternal(name string, x *external) {
	fitted := "on queries outside " + string(e.split())
	if e.outOfFold() {
		fitted = "outside the folds (carrot data folds writes them)"
	}
	e.note("%s is external: its predictions are read from %s, and that it was fitted %s cannot be checked", name, x.base(), fitted)
	if e.LearningCurve {
		e.note("%s has no learning curve: it is not fitted here", name)
	}
	if e.Robustness {
		e.note("%s has no line under robustness: its file has no predictions for changed prompts", name)
	}
	if e.PaperProtocol {
		e.note("%s is not measured by the paper's protocol: it is not fitted here", name)
	}
}

// fitted fits a contender, lets it answer and, if that was asked for, makes its
// learning curve. If the fit fails, the answer has no entry.
func (e *evaluation) fitted(ctx context.Context, c Contender, fit func(share float64) (*entry, error)) (answer, error) {
	whole, err := fit(0)
	if ctx.Err() != nil {
		return answer{}, ctx.Err()
	}
	if err != nil {
		e.note("%s is absent: %v", c.Name, err)
		return answer{}, nil
	}
	e.notes = append(e.notes, whole.notes...)
	a := answer{contender: c, entry: whole}
	if !e.LearningCurve {
		return a, nil
	}
	for _, share := range learningShares {
		entry := whole
		if share < 1 {
			if entry, err = fit(share); ctx.Err() != nil {
				return answer{}, ctx.Err()
			} else if err != nil {
				e.note("%s cannot be fitted on 1/%.0f of the queries: %v", c.Name, 1/share, err)
				continue
			}
		}
		m, err := entry.measure(e.rows)
		if err != nil {
			return answer{}, err
		}
		a.learning = append(a.learning, LearningPoint{Queries: entry.fitted, AIQ: number(m.AIQ), Peak: number(m.Peak)})
	}
	return a, nil
}

// learningShares are the shares of the queries in a learning curve.
var learningShares = []float64{1. / 32, 1. / 16, 1. / 8, 1. / 4, 1. / 2, 1}

// mean fits the reference row of that name. It is nil if there is nothing to fit
// on.
func (e *evaluation) mean(ctx context.Context, base *table.Table) (*entry, error) {
	if len(e.parts) == 0 {
		e.note("mean is absent: the data has no queries outside %s to fit it on", e.split())
		return nil, nil
	}
	who := own{predict.Spec{Name: "mean", Seed: e.Seed}}
	return runParts(ctx, "mean", who, base, e.parts, runOptions{Cache: e.cache, Variants: e.variants[base],
		Progress: func(doing string, _, _ int) { e.say("mean: " + doing) }})
}

// protocols measures the contenders that forecast qualities by the protocol of
// the paper's code and by ours.
func (e *evaluation) protocols(ctx context.Context, base *table.Table, answers []answer) (*ProtocolReport, error) {
	var measured, outOfFold []*entry
	for _, a := range answers {
		who := a.contender.method()
		if who.worth() != rivals.Quality || a.contender.fixed() {
			continue
		}
		entry, err := runOutOfFold(ctx, a.contender.Name, who, a.entry.table, e.parts[0].Fit, runOptions{Cache: e.cache,
			Progress: func(doing string, _, _ int) { e.say(a.contender.Name + " out of fold: " + doing) }})
		if err != nil {
			return nil, err
		}
		measured, outOfFold = append(measured, a.entry), append(outOfFold, entry)
	}
	return protocols(base, e.rows, measured, outOfFold)
}

// number returns v, or NaN if v is infinite: both are null in a report.
func number(v float64) Number {
	if math.IsInf(v, 0) {
		v = math.NaN()
	}
	return Number(v)
}
