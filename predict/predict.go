// Package predict forecasts every model's quality and output length for a
// query from its representation: the statistical heart of CARROT.
//
// A [Predictor] is a learner (mean, knn, kernel, sparse, ridge or a blend of
// them) with a head on top. The learner regresses scores and log lengths on
// the representation; the head, fitted on out-of-fold predictions of the
// learner, turns them into calibrated forecasts: shrunk quality with standard
// error and noise, mean and 90% quantile of the output tokens.
//
// The contract is scikit-learn's: New takes hyperparameters and does no work,
// Fit takes data and forgets what was fitted before, Predict is safe for
// concurrent use and predicts the same for a batch as for its rows.
//
//	p := predict.New(predict.Spec{Name: "blend"})
//	if err := p.Fit(context.Background(), data, nil); err != nil {
//		fmt.Println(err)
//		return
//	}
//	queries := []carrot.Representation{query(0, 100), query(1, 100)}
//	predictions := make([]carrot.Prediction, len(queries))
//	if err := p.Predict(queries, predictions); err != nil {
//		fmt.Println(err)
//		return
//	}
package predict

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/nearest"
	"github.com/carrot-router/carrot/internal/parallel"
)

// ErrNotFitted is returned by methods that need Fit to have been called first:
// Predict and Write need it unless the predictor was loaded, SetCaution and
// CrossFit always.
var ErrNotFitted = errors.New("predictor is not fitted")

// foldCount is the number of folds of all cross-validation here.
const foldCount = 5

// Data is what a predictor is fitted on: n queries and the outcomes of M
// models on them. Outcomes are row-major n×M; NaN means not observed.
type Data struct {
	Models       []string
	X            []carrot.Representation // n; dense vectors of one length
	Score        []float64               // in [0,1]
	OutputTokens []float64
	// CostUSD is used for models without any output tokens, whose cost is
	// then predicted directly. It is nil if no outcome carries a cost. The cost
	// of a model without tokens and costs is unknown.
	CostUSD []float64
	// Hash assigns queries to folds: equal prompts should have equal hashes,
	// so that they share a fold. If it is nil, the row numbers serve.
	Hash []uint64
	// InputTokens has the input tokens of each query, in the mean over models, NaN where
	// nothing is known. They are kept with what was held out, and not fitted on. It may
	// be nil.
	InputTokens []float64
	// Asides are sentences that say nothing about a question, such as a greeting. What is
	// learnt from dense vectors changes little if one is added to a prompt. It may be nil.
	Asides []carrot.Representation
}

// Predictor is a carrot.Predictor that can be fitted and saved. Make one with
// New and Fit, or load one with [Parse] and [File.Predictor].
type Predictor struct {
	spec    Spec
	models  []string
	dense   int // length of the dense vectors
	learner learner
	head    head
	novelty novelty
	plans   *plans // nil without plans
	scratch sync.Pool
	oof     *outOfFold // of the last Fit; nil after Load
	holdout *carrot.Holdout
}

// outOfFold is what Fit keeps to calibrate the head again, and to report figures
// on queries that were not fitted on.
type outOfFold struct {
	problem  *problem
	raw      []float64 // n×T
	variance []float64 // n×M
	input    []float64 // n: see Data.InputTokens
	distance []float32 // n: from the nearest other query
	mixing   *mixing   // applied to the learner and to raw; nil if none was
}

// New returns an unfitted predictor. Hyperparameters that are zero in spec are
// chosen by Fit.
func New(spec Spec) *Predictor { return &Predictor{spec: spec} }

// Spec returns the predictor's hyperparameters: after Fit, the chosen ones.
func (p *Predictor) Spec() Spec { return p.spec }

// Models names the columns of a prediction: the models, and after them the plans.
func (p *Predictor) Models() []string {
	if p.plans != nil {
		return p.plans.columns
	}
	return p.models
}

// Fit chooses the hyperparameters that are zero in the Spec, calibrates on
// out-of-fold predictions and fits on all of d. progress, if not nil, is told what
// Fit does next: before the settings of each learner are chosen (a blend has several,
// mean has none), before the predictions and before the fit. d is not changed, but must not change while the predictor
// is in use.
func (p *Predictor) Fit(ctx context.Context, d Data, progress func(string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	if err := checkCaution(p.spec.Caution); err != nil {
		return fmt.Errorf("fit: %w", err)
	}
	problem, err := newProblem(&d, p.spec.Seed, progress)
	if err != nil {
		return err
	}
	learner, err := newLearner(p.spec)
	if err != nil {
		return err
	}
	if name := p.spec.Name; problem.dense.Cols == 0 && name != "mean" && name != "sparse" {
		return fmt.Errorf("fit: queries have no dense vectors, which %s needs: use mean or, where they have words, sparse", name)
	}
	fold := folds(d.Hash, len(d.X), foldCount)
	if err := learner.tune(ctx, problem, fold); err != nil {
		return fmt.Errorf("tune %s: %w", p.spec.Name, err)
	}
	progress("out-of-fold predictions of " + p.spec.Name)
	raw, variance, err := learner.crossfit(ctx, problem, fold, foldCount, false)
	if err != nil {
		return fmt.Errorf("cross-fit %s: %w", p.spec.Name, err)
	}
	progress("fitting " + p.spec.Name)
	if err := learner.fit(ctx, problem); err != nil {
		return fmt.Errorf("fit %s: %w", p.spec.Name, err)
	}
	p.models, p.dense, p.learner, p.plans = d.Models, problem.dense.Cols, learner, nil
	p.novelty = newNovelty(problem.x)
	p.oof = &outOfFold{problem: problem, raw: raw, variance: variance, input: d.InputTokens}
	if linear(learner) {
		p.oof.mixing = newMixing(problem, raw)
		p.oof.mixing.apply(raw, problem.models)
		mixed(learner, p.oof.mixing, problem.models)
	}
	p.oof.distance = p.novelty.heldOut(problem.x, func(i int, row int32) bool {
		return int(row) == i || d.Hash != nil && d.Hash[row] == d.Hash[i]
	})
	p.novelty.calibrate(p.oof.distance)
	learner.describe(&p.spec)
	return p.SetCaution(p.spec.Caution)
}

// SetCaution calibrates again, with the models' differences in quality shrunk
// towards those of their means by the factor c in (0,1]; 0 means 1, no
// shrinkage. It needs the out-of-fold predictions of Fit: before Fit, and on a
// predictor that was loaded, it returns an error that wraps ErrNotFitted. It
// must not be called while other goroutines predict.
func (p *Predictor) SetCaution(c float64) error {
	if p.oof == nil {
		return fmt.Errorf("set caution: no out-of-fold predictions, which only Fit makes: %w", ErrNotFitted)
	}
	if err := checkCaution(c); err != nil {
		return err
	}
	if c == 0 {
		c = 1
	}
	p.spec.Caution = c
	p.head = fitHead(p.oof, c, p.learner.exact())
	if p.plans != nil {
		p.plans.calibrate(p)
	}
	p.holdout = p.holdOut()
	return nil
}

func checkCaution(c float64) error {
	if !(c >= 0 && c <= 1) {
		return fmt.Errorf("caution %v: want a number in (0,1]", c)
	}
	return nil
}

// CrossFit holds predictions of the queries of a Fit, each made by a model that
// was fitted without that query.
type CrossFit struct {
	p             *Predictor
	raw, variance []float64
	plans         []float64 // raw outputs for plans; nil without
	distance      []float32
}

// OutOfFold returns the predictions that the last Fit calibrated on, by folds of
// Data.Hash. It is nil before Fit and for a predictor that was loaded.
func (p *Predictor) OutOfFold() *CrossFit {
	if p.oof == nil {
		return nil
	}
	c := &CrossFit{p: p, raw: p.oof.raw, variance: p.oof.variance, distance: p.oof.distance}
	if p.plans != nil {
		c.plans = p.plans.oof.raw
	}
	return c
}

// CrossFit predicts the queries of the last Fit by another partition, with the
// hyperparameters it chose: query i is held out with part group[i], which is in
// [0,parts). It predicts no plans. It trades a little of OutOfFold's accuracy for speed and is meant
// for comparing settings.
func (p *Predictor) CrossFit(ctx context.Context, group []int, parts int) (*CrossFit, error) {
	if p.oof == nil {
		return nil, ErrNotFitted
	}
	raw, variance, err := p.learner.crossfit(ctx, p.oof.problem, group, parts, true)
	if err != nil {
		return nil, err
	}
	if p.oof.mixing != nil {
		p.oof.mixing.apply(raw, p.oof.problem.models)
	}
	distance := p.novelty.heldOut(p.oof.problem.x, func(i int, row int32) bool { return group[row] == group[i] })
	return &CrossFit{p: p, raw: raw, variance: variance, distance: distance}, nil
}

// Predictions returns one prediction per query, with the given caution; 0 means
// the predictor's own. It is nil for a nil CrossFit.
func (c *CrossFit) Predictions(caution float64) []carrot.Prediction {
	if c == nil {
		return nil
	}
	h := c.p.head
	if caution > 0 {
		h.caution = caution
	}
	m, t := len(h.models), targetsOf(len(h.models))
	out := make([]carrot.Prediction, len(c.distance))
	for i := range out {
		trust := c.p.novelty.trust(c.distance[i])
		out[i].Novelty, out[i].Abstained = c.p.novelty.share(c.distance[i]), trust < abstainBelow
		out[i].Forecasts = make([]carrot.Forecast, m)
		if c.p.learner.exact() {
			trust = 1
		}
		h.apply(c.raw[i*t:][:t], c.variance[i*m:][:m], trust, out[i].Forecasts)
		if c.plans != nil {
			l := c.p.plans
			width := len(l.names) + len(l.gates)
			out[i].Forecasts = append(out[i].Forecasts, make([]carrot.Forecast, len(l.names))...)
			out[i].Steps = make([][]carrot.Step, len(out[i].Forecasts))
			l.apply(c.raw[i*t:][:t], c.variance[i*m:][:m], c.plans[i*width:][:width], trust, h.correction, out[i].Forecasts[m:], out[i].Steps[m:])
		}
	}
	return out
}

// workspace is the memory that one prediction needs.
type workspace struct {
	raw, variance []float64
	counts        []float64
	y             []float32 // raw outputs of one learner
	kernel        []float32 // similarities
	proj          []float32 // for the kernel's variance
	similar       []float32 // similarities to the rows, for the nearest of them
	near          nearest.Heap
	rows          []int32 // the nearest ones
	part          workspacePart
	place         []int32   // novelty: where the query's words are in its key
	sim           []float32 // novelty: similarity to each training query
	seen          []bool    // novelty: whether the query has each gram
	set           []uint64  // novelty: the query's frequent grams
	bucket        []int32   // sparse: the buckets of the query's words
	value         []float32 // sparse: and their weights
	added         workspaceAdded
	plans         []float64 // raw outputs for plans
}

// workspacePart is what a blend needs to collect its learners' outputs.
type workspacePart struct{ raw, variance []float64 }

// Predict implements carrot.Predictor. It returns ErrNotFitted before Fit, and
// an error that names the query if a vector has another length than those
// fitted on or holds a number that is not finite.
func (p *Predictor) Predict(x []carrot.Representation, dst []carrot.Prediction) error {
	if p.learner == nil {
		return ErrNotFitted
	}
	if len(x) != len(dst) {
		return fmt.Errorf("predict: %d representations for %d predictions", len(x), len(dst))
	}
	for i := range x {
		if err := checkRepresentation(&x[i], p.dense); err != nil {
			return fmt.Errorf("predict: query %d: %w", i, err)
		}
	}
	if len(x) == 1 { // the hot path: no goroutines
		p.one(&x[0], &dst[0])
		return nil
	}
	parallel.Ranges(len(x), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			p.one(&x[i], &dst[i])
		}
	})
	return nil
}

func (p *Predictor) one(x *carrot.Representation, dst *carrot.Prediction) {
	w, ok := p.scratch.Get().(*workspace)
	if !ok {
		m := len(p.models)
		w = &workspace{raw: make([]float64, targetsOf(m)), variance: make([]float64, m)}
	}
	p.learner.predict(x, w, w.raw, w.variance)
	if p.plans != nil {
		w.plans = grow(w.plans, len(p.plans.names)+len(p.plans.gates))
		p.plans.learner.predict(x, w, w.plans, nil)
	}
	columns := len(p.Models())
	if cap(dst.Forecasts) < columns {
		dst.Forecasts = make([]carrot.Forecast, columns)
	}
	dst.Forecasts = dst.Forecasts[:columns]
	novelty, trust := p.novelty.of(x, w)
	dst.Novelty, dst.Abstained = novelty, trust < abstainBelow
	if p.learner.exact() {
		trust = 1
	}
	p.head.apply(w.raw, w.variance, trust, dst.Forecasts)
	if p.plans != nil {
		dst.Steps = slices.Grow(dst.Steps[:0], columns)[:columns]
		clear(dst.Steps[:len(p.models)])
		p.plans.apply(w.raw, w.variance, w.plans, trust, p.head.correction, dst.Forecasts[len(p.models):], dst.Steps[len(p.models):])
	} else {
		dst.Steps = nil
	}
	p.scratch.Put(w)
}

// checkRepresentation refuses vectors of another length and numbers that are
// not finite.
func checkRepresentation(x *carrot.Representation, dim int) error {
	if len(x.Dense) != dim {
		return fmt.Errorf("dense vector of length %d, want %d", len(x.Dense), dim)
	}
	if len(x.Sparse.Index) != len(x.Sparse.Value) {
		return fmt.Errorf("sparse vector with %d indices and %d values", len(x.Sparse.Index), len(x.Sparse.Value))
	}
	var sum float32
	for _, v := range x.Dense {
		sum += v * v
	}
	for _, v := range x.Sparse.Value {
		sum += v * v
	}
	if s := float64(sum); math.IsNaN(s) || math.IsInf(s, 0) {
		return errors.New("vector holds a number that is not finite")
	}
	return nil
}
