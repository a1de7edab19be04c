package predict

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/parallel"
	"gonum.org/v1/gonum/blas/blas32"
)

// learner regresses the targets of a problem on representations. Its raw
// outputs are the T targets and, for each model, a relative variance: the
// squared standard error of the score in units of the score's residual
// variance.
type learner interface {
	// tune chooses the hyperparameters that are zero, by the given folds.
	tune(ctx context.Context, p *problem, fold []int) error
	// crossfit predicts every row with a model fitted on the other parts. If
	// rough is set, it may trade a little accuracy for speed.
	crossfit(ctx context.Context, p *problem, part []int, parts int, rough bool) (raw, variance []float64, err error)
	// fit fits on all rows.
	fit(ctx context.Context, p *problem) error
	// predict writes raw outputs and variances; it allocates nothing once
	// the workspace has grown.
	predict(x *carrot.Representation, w *workspace, raw, variance []float64)
	// exact reports whether volumes are final and not to be calibrated.
	exact() bool
	// describe writes the chosen hyperparameters to s.
	describe(s *Spec)
	// again returns an unfitted learner of further targets, with the settings of this one
	// and, if it is fitted, its view of a query. Right after a prediction of this one, it predicts the
	// same query from what that has left in the workspace. It predicts no variances, and
	// saves and loads only what this one does not have.
	again() learner
	// only returns the fitted learner restricted to the models in the given
	// columns; models is the number that it was fitted on.
	only(columns []int, models int) learner
	// save and load write and read the fitted state under a prefix.
	save(out *tensors, prefix string)
	load(in *tensors, prefix string) error
}

func newLearner(s Spec) (learner, error) {
	switch s.Name {
	case "mean":
		return &mean{}, nil
	case "knn":
		return &knn{k: sides(s.K, s.KTokens, s.KCommon)}, nil
	case "kernel":
		return &kernel{gamma: s.Gamma, noise: sides(s.Noise, s.NoiseTokens, s.NoiseCommon), landmarks: s.Landmarks}, nil
	case "sparse":
		return &sparse{alpha: sides(s.Alpha, s.AlphaTokens, s.AlphaCommon), buckets: s.Buckets}, nil
	case "ridge":
		return &ridge{alpha: s.Alpha}, nil
	case "blend":
		return newBlend(s)
	}
	return nil, fmt.Errorf("unknown predictor %q: want one of %s", s.Name, strings.Join(names, ", "))
}

// sides completes a hyperparameter that has one value for each side: a side
// without a value gets the one for scores.
func sides[T int | float64](scores, tokens, common T) [3]T {
	v := [3]T{scores, tokens, common}
	for k := range v {
		if v[k] == 0 {
			v[k] = scores
		}
	}
	return v
}

// problem is a regression with several targets: Data in the form that learners
// work on. A score is split in two: what all models have in common on a query
// (its ease, the mean deviation from each model's mean) and the model's
// difference from it. Only differences decide a routing; they are small and
// noisy and need much more regularisation than the common part
// (docs/decisions). The targets of M models are, in order,
//
//	M differences | M log volumes | 1 common part
type problem struct {
	n, models int
	dense     blas32.General // n×d
	x         []carrot.Representation
	sparse    []carrot.Sparse
	target    []float64 // n×T, row-major; NaN not observed
	direct    []bool    // per model: the volume is a cost, not tokens
	volumes   []bool    // per model: some volume is observed (see complete)
	hash      []uint64
	asides    []carrot.Representation
	seed      uint64
	progress  func(string)
	// sides are those of targets in another order than the above, for a problem without
	// models; nil otherwise.
	sides []int
}

// The sides of the targets, which are tuned separately.
const (
	sideDifference = iota
	sideVolume
	sideCommon
)

func targetsOf(models int) int { return 2*models + 1 }

func (p *problem) targets() int {
	if p.sides != nil {
		return len(p.sides)
	}
	return targetsOf(p.models)
}

// side returns the side of a target column.
func (p *problem) side(c int) int {
	if p.sides != nil {
		return p.sides[c]
	}
	return c / p.models
}

// columns returns the range of columns of a side.
func (p *problem) columns(side int) (from, to int) {
	return side * p.models, min((side+1)*p.models, p.targets())
}

// microUSD scales direct costs before the logarithm.
const microUSD = 1e6

func newProblem(d *Data, seed uint64, progress func(string)) (*problem, error) {
	n, m := len(d.X), len(d.Models)
	if n == 0 || m == 0 {
		return nil, errors.New("fit: no queries or no models")
	}
	if len(d.Score) != n*m || len(d.OutputTokens) != n*m || d.CostUSD != nil && len(d.CostUSD) != n*m {
		return nil, fmt.Errorf("fit: outcomes are not %d×%d", n, m)
	}
	p := &problem{n: n, models: m, x: d.X, target: make([]float64, n*targetsOf(m)), direct: make([]bool, m),
		hash: d.Hash, asides: d.Asides, seed: seed, progress: progress, sparse: make([]carrot.Sparse, n)}
	dim := len(d.X[0].Dense)
	p.dense = blas32.General{Rows: n, Cols: dim, Stride: max(dim, 1), Data: make([]float32, n*dim)}
	for i := range d.X {
		if err := checkRepresentation(&d.X[i], dim); err != nil {
			return nil, fmt.Errorf("fit: query %d: %w", i, err)
		}
		copy(p.dense.Data[i*dim:], d.X[i].Dense)
		p.sparse[i] = d.X[i].Sparse
	}
	for i := range d.Asides {
		if err := checkRepresentation(&d.Asides[i], dim); err != nil {
			return nil, fmt.Errorf("fit: aside %d: %w", i, err)
		}
	}
	for j := range m {
		if err := p.column(d, j); err != nil {
			return nil, err
		}
	}
	p.split()
	return p, nil
}

// split turns the scores into differences and the common part.
func (p *problem) split() {
	t, mean := p.targets(), p.means(nil)
	for i := range p.n {
		row := p.target[i*t:][:t]
		var common, n float64
		for j, y := range row[:p.models] {
			if !math.IsNaN(y) {
				common += y - mean[j]
				n++
			}
		}
		if n == 0 {
			row[2*p.models] = math.NaN()
			continue
		}
		row[2*p.models] = common / n
		for j := range row[:p.models] {
			row[j] -= common / n
		}
	}
}

// column fills the targets of model j.
func (p *problem) column(d *Data, j int) error {
	scores, tokens := 0, 0
	for i := range p.n {
		if !math.IsNaN(d.Score[i*p.models+j]) {
			scores++
		}
		if !math.IsNaN(d.OutputTokens[i*p.models+j]) {
			tokens++
		}
	}
	if scores == 0 {
		return fmt.Errorf("fit: model %q has no scores among the training queries", d.Models[j])
	}
	p.direct[j] = tokens == 0 && d.CostUSD != nil
	for i := range p.n {
		at := i*p.models + j
		volume := d.OutputTokens[at]
		if p.direct[j] {
			volume = d.CostUSD[at] * microUSD
		}
		if s := d.Score[at]; s < 0 || s > 1 || volume < 0 || math.IsInf(volume, 0) {
			return fmt.Errorf("fit: query %d, model %q: score %v or volume %v out of range", i, d.Models[j], s, volume)
		}
		p.target[i*p.targets()+j] = d.Score[at]
		p.target[i*p.targets()+p.models+j] = math.Log1p(volume)
	}
	return nil
}

// folds assigns each row to a fold by its hash, so that equal prompts stay
// together.
func folds(hash []uint64, n, k int) []int {
	fold := make([]int, n)
	for i := range fold {
		h := uint64(i)
		if hash != nil {
			h = hash[i]
		}
		fold[i] = int(h % uint64(k))
	}
	return fold
}

// coverage groups the target columns that are observed on the same rows.
type coverage struct {
	columns []int
	seen    []bool // per row
	count   int
}

// coverages lists the groups by falling count, then first column. Columns that
// are never observed are left out.
func (p *problem) coverages() []coverage {
	t := p.targets()
	byKey := map[string]int{}
	var groups []coverage
	key := make([]byte, p.n)
	for c := range t {
		count := 0
		for i := range p.n {
			key[i] = 0
			if !math.IsNaN(p.target[i*t+c]) {
				key[i] = 1
				count++
			}
		}
		if count == 0 {
			continue
		}
		g, ok := byKey[string(key)]
		if !ok {
			g = len(groups)
			byKey[string(key)] = g
			seen := make([]bool, p.n)
			for i, k := range key {
				seen[i] = k == 1
			}
			groups = append(groups, coverage{seen: seen, count: count})
		}
		groups[g].columns = append(groups[g].columns, c)
	}
	slices.SortStableFunc(groups, func(a, b coverage) int { return b.count - a.count })
	return groups
}

// classes groups the target columns whose observed rows are nearly the same.
// The columns of a class share a variance and parts of their equations.
func (p *problem) classes() [][]int {
	var first []coverage
	var classes [][]int
	for _, cov := range p.coverages() {
		at := slices.IndexFunc(first, func(c coverage) bool { return jaccard(c.seen, cov.seen) >= 0.8 })
		if at < 0 {
			at = len(first)
			first, classes = append(first, cov), append(classes, nil)
		}
		classes[at] = append(classes[at], cov.columns...)
	}
	return classes
}

// jaccard is the share of the rows in either set that are in both.
func jaccard(a, b []bool) float64 {
	both, any := 0, 0
	for i := range a {
		if a[i] && b[i] {
			both++
		}
		if a[i] || b[i] {
			any++
		}
	}
	return float64(both) / float64(any)
}

// observes reports whether any of the columns is observed on row i.
func (p *problem) observes(i int, columns []int) bool {
	for _, c := range columns {
		if !math.IsNaN(p.target[i*p.targets()+c]) {
			return true
		}
	}
	return false
}

// means returns each column's mean over the observed rows for which use is
// true (nil: all); 0 where none is observed.
func (p *problem) means(use func(row int) bool) []float64 {
	t := p.targets()
	sum, count := make([]float64, t), make([]float64, t)
	for i := range p.n {
		if use != nil && !use(i) {
			continue
		}
		for c, v := range p.target[i*t:][:t] {
			if !math.IsNaN(v) {
				sum[c] += v
				count[c]++
			}
		}
	}
	for c := range sum {
		if count[c] > 0 {
			sum[c] /= count[c]
		}
	}
	return sum
}

// subset returns the problem of the given rows.
func (p *problem) subset(rows []int) *problem {
	t, d := p.targets(), p.dense.Cols
	q := *p
	q.n = len(rows)
	q.x = make([]carrot.Representation, len(rows))
	q.sparse = make([]carrot.Sparse, len(rows))
	q.target = make([]float64, len(rows)*t)
	q.dense = blas32.General{Rows: len(rows), Cols: d, Stride: max(d, 1), Data: make([]float32, len(rows)*d)}
	q.hash = nil
	for k, i := range rows {
		q.x[k], q.sparse[k] = p.x[i], p.sparse[i]
		copy(q.target[k*t:][:t], p.target[i*t:][:t])
		copy(q.dense.Data[k*d:][:d], p.dense.Data[i*d:][:d])
	}
	return &q
}

// crossfitByRefit is crossfit for learners that have no quicker way: for each
// part it fits a fresh learner on all other rows.
func crossfitByRefit(ctx context.Context, p *problem, part []int, parts int, fresh func() learner) (raw, variance []float64, err error) {
	t := p.targets()
	raw, variance = make([]float64, p.n*t), make([]float64, p.n*p.models)
	for f := range parts {
		var train, test []int
		for i, g := range part {
			if g == f {
				test = append(test, i)
			} else {
				train = append(train, i)
			}
		}
		if len(test) == 0 {
			continue
		}
		if len(train) == 0 {
			return nil, nil, errors.New("all queries are in one fold: too few distinct prompts")
		}
		l := fresh()
		if err := l.fit(ctx, p.subset(train)); err != nil {
			return nil, nil, err
		}
		parallel.Ranges(len(test), func(lo, hi int) {
			var w workspace
			for _, i := range test[lo:hi] {
				l.predict(&p.x[i], &w, raw[i*t:][:t], variance[i*p.models:][:p.models])
			}
		})
	}
	return raw, variance, ctx.Err()
}

// loss is the share of variance that raw leaves unexplained (1 - R²), averaged
// over the columns of a side. It counts the observed rows for which use is true
// (nil: all). Columns without variance are left out.
func (p *problem) loss(raw []float64, side int, use func(row int) bool) float64 {
	t := p.targets()
	from, to := p.columns(side)
	mean := p.means(use)
	var total float64
	columns := 0
	for c := from; c < to; c++ {
		var residual, spread float64
		for i := range p.n {
			y := p.target[i*t+c]
			if math.IsNaN(y) || use != nil && !use(i) {
				continue
			}
			residual += (y - raw[i*t+c]) * (y - raw[i*t+c])
			spread += (y - mean[c]) * (y - mean[c])
		}
		if spread > 0 {
			total += residual / spread
			columns++
		}
	}
	if columns == 0 {
		return 0
	}
	return total / float64(columns)
}
