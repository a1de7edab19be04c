package predict

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
)

// added is a learner with further models, whose raw outputs are weighted sums of those of
// the models that the base was fitted on. See [Predictor.Add].
type added struct {
	base    learner
	models  int       // of the base
	quality []float64 // for each added model a weight for each model, and what is added to the sum
	volume  []float64
	unsure  []float64 // what is added to each relative variance
}

// number returns how many models are added.
func (l *added) number() int { return len(l.unsure) }

// width is the length of a row of weights.
func (l *added) width() int { return l.models + 1 }

var errAdded = errors.New("a predictor with added models cannot be fitted: fit one on all outcomes")

func (l *added) tune(context.Context, *problem, []int) error { return errAdded }
func (l *added) fit(context.Context, *problem) error         { return errAdded }
func (l *added) crossfit(context.Context, *problem, []int, int, bool) (raw, variance []float64, err error) {
	return nil, nil, errAdded
}
func (l *added) exact() bool      { return l.base.exact() }
func (l *added) describe(s *Spec) { l.base.describe(s) }
func (l *added) again() learner   { return l.base.again() }

func (l *added) predict(x *carrot.Representation, w *workspace, raw, variance []float64) {
	m, k := l.models, l.number()
	if need := targetsOf(m); cap(w.added.raw) < need {
		w.added.raw, w.added.variance = make([]float64, need), make([]float64, m)
	}
	own, spread := w.added.raw[:targetsOf(m)], w.added.variance[:m]
	l.base.predict(x, w, own, spread)
	copy(raw, own[:m])
	copy(raw[m+k:], own[m:2*m])
	raw[len(raw)-1] = own[2*m]
	copy(variance, spread)
	for a := range k {
		q, v := l.quality[a*l.width():][:m+1], l.volume[a*l.width():][:m+1]
		difference, volume, sure := q[m], v[m], l.unsure[a]
		for j := range m {
			difference += q[j] * own[j]
			volume += v[j] * own[m+j]
			sure += math.Abs(q[j]) * spread[j]
		}
		raw[m+a], raw[m+k+m+a], variance[m+a] = difference, volume, sure
	}
}

// only keeps the base whole if it needs an added model, which is a sum over the base's.
func (l *added) only(columns []int, models int) learner {
	if slices.Max(columns) < l.models {
		return l.base.only(columns, l.models)
	}
	out := &added{base: l.base, models: l.models}
	for _, c := range columns {
		out.quality = append(out.quality, l.row(l.quality, c)...)
		out.volume = append(out.volume, l.row(l.volume, c)...)
		unsure := 0.0
		if c >= l.models {
			unsure = l.unsure[c-l.models]
		}
		out.unsure = append(out.unsure, unsure)
	}
	return &chosen{out, len(columns)}
}

// row returns the weights of a column: those of an added model, or 1 for the column itself.
func (l *added) row(weights []float64, column int) []float64 {
	if column >= l.models {
		return weights[(column-l.models)*l.width():][:l.width()]
	}
	one := make([]float64, l.width())
	one[column] = 1
	return one
}

func (l *added) save(out *tensors, prefix string) {
	l.base.save(out, prefix)
	out.float64s(addedQuality, l.quality, l.number(), l.width())
	out.float64s(addedVolume, l.volume, l.number(), l.width())
	out.float64s(addedUnsure, l.unsure, l.number())
}

func (l *added) load(in *tensors, prefix string) error {
	rows := in.rows(addedQuality)
	if in.err != nil {
		return in.err
	}
	if l.models = in.models - rows; rows < 1 || l.models < 1 {
		in.fail(addedQuality, fmt.Sprintf("%d added models of %d", rows, in.models))
		return in.err
	}
	l.quality, l.volume = in.getFloat64s(addedQuality, rows, l.width()), in.getFloat64s(addedVolume, rows, l.width())
	if l.unsure = in.getFloat64s(addedUnsure, rows); slices.ContainsFunc(l.unsure, func(v float64) bool { return v < 0 }) {
		in.fail(addedUnsure, "a variance is negative")
	}
	if in.err != nil {
		return in.err
	}
	whole := in.models
	in.models = l.models
	err := l.base.load(in, prefix)
	in.models = whole
	return err
}

// The tensors with the weights of added models.
const (
	addedQuality = "added.quality"
	addedVolume  = "added.volume"
	addedUnsure  = "added.unsure"
)

// chosen is an added learner that outputs only the added columns, for [Predictor.Only].
type chosen struct {
	*added
	columns int
}

func (l *chosen) predict(x *carrot.Representation, w *workspace, raw, variance []float64) {
	m, k := l.models, l.columns
	if need := targetsOf(m + k); cap(w.added.all) < need {
		w.added.all, w.added.spread = make([]float64, need), make([]float64, m+k)
	}
	all, spread := w.added.all[:targetsOf(m+k)], w.added.spread[:m+k]
	l.added.predict(x, w, all, spread)
	copy(raw, all[m:m+k])
	copy(raw[k:], all[2*m+k:2*(m+k)])
	raw[2*k] = all[len(all)-1]
	copy(variance, spread[m:])
}

// workspaceAdded is what an added learner needs.
type workspaceAdded struct{ raw, variance, all, spread []float64 }

// Add returns a predictor with one more model, from outcomes on a few queries, and leaves
// the other models as they are. score is in [0,1] and tokens are output tokens; NaN is
// not observed. Without any outcome, the model is taken to be like the mean of the others.
//
// The new model's estimates are a weighted sum of those of the known models, each shifted
// by how the new model differs from it on average. Weights are the posterior
// probabilities that the new model is like this one, with a normal likelihood and prior
// of the shift: with few outcomes all models have a say, with many the likest ones. The
// standard error includes what is not known of the shift, and so is wide at first.
// p, which must be fitted or loaded, is not changed.
func (p *Predictor) Add(name string, x []carrot.Representation, score, tokens []float64) (*Predictor, error) {
	switch {
	case p.learner == nil:
		return nil, fmt.Errorf("add model %q: %w", name, ErrNotFitted)
	case slices.Contains(p.Models(), name):
		return nil, fmt.Errorf("add model %q: the predictor knows it already", name)
	case len(score) != len(x) || len(tokens) != len(x):
		return nil, fmt.Errorf("add model %q: %d queries, %d scores, %d numbers of tokens", name, len(x), len(score), len(tokens))
	}
	for i, y := range score {
		if y < 0 || y > 1 || tokens[i] < 0 || math.IsInf(tokens[i], 0) {
			return nil, fmt.Errorf("add model %q: query %d: score %v or tokens %v out of range", name, i, y, tokens[i])
		}
	}
	for j := range p.head.models {
		if c := &p.head.models[j]; c.direct == 1 || c.costUnknown() {
			return nil, fmt.Errorf("add model %q: tokens of %q are not known, so that costs cannot be compared", name, p.models[j])
		}
	}
	n, m := len(x), len(p.models)
	raw, variance := make([]float64, n*targetsOf(m)), make([]float64, n*m)
	var w workspace
	for i := range x {
		if err := checkRepresentation(&x[i], p.dense); err != nil {
			return nil, fmt.Errorf("add model %q: query %d: %w", name, i, err)
		}
		p.learner.predict(&x[i], &w, raw[i*targetsOf(m):][:targetsOf(m)], variance[i*m:][:m])
	}
	a := &addition{p: p, n: n, raw: raw, variance: variance, score: score, tokens: tokens}
	c, quality, volume, unsure := a.fit()
	base, models, q, v, u := p.learner, m, quality, volume, []float64{unsure}
	if before, ok := p.learner.(*added); ok { // sums of sums are sums over the base
		base, models = before.base, before.models
		q, v = slices.Clone(before.quality), slices.Clone(before.volume)
		q = append(q, before.flatten(before.quality, quality)...)
		v = append(v, before.flatten(before.volume, volume)...)
		u = append(slices.Clone(before.unsure), unsure)
	}
	h := head{caution: p.head.caution, models: append(slices.Clone(p.head.models), c)}
	if p.head.correction != nil { // the new model was compared with what was fitted
		h.correction = append(slices.Clone(p.head.correction), correction{0, 1})
	}
	names := append(slices.Clone(p.models), name)
	return &Predictor{spec: p.spec, models: names, dense: p.dense, novelty: p.novelty, holdout: p.holdout, plans: p.plans.named(names),
		learner: &added{base: base, models: models, quality: q, volume: v, unsure: u}, head: h}, nil
}

// flatten turns weights of all models into weights of the base's.
func (l *added) flatten(rows, weights []float64) []float64 {
	out := append(slices.Clone(weights[:l.models]), weights[len(weights)-1])
	for a := range l.number() {
		for j := range out {
			out[j] += weights[l.models+a] * rows[a*l.width()+j]
		}
	}
	return out
}

// addition fits an added model.
type addition struct {
	p             *Predictor
	n             int
	raw, variance []float64
	score, tokens []float64
}

// What is believed of a new model before anything is observed, as standard deviations:
// of its mean quality from that of a known model, and of the logarithm of its length.
const (
	shiftQuality = 0.15
	shiftVolume  = 0.7
)

// What is believed of how far an outcome is from an estimate, as a variance that counts
// as much as priorRows outcomes.
const (
	noiseQuality = 0.15
	noiseVolume  = 0.5
	priorRows    = 5
)

// fit returns the calibration of the new model, its weights of the known ones, and what is
// added to its relative variance.
func (a *addition) fit() (c calibration, quality, volume []float64, unsure float64) {
	m, t, h := len(a.p.models), targetsOf(len(a.p.models)), &a.p.head
	rows, long := observed(a.score), observed(a.tokens)
	like := likeness(m, len(rows), shiftQuality, noiseQuality, func(i, j int) float64 {
		return a.score[rows[i]] - h.quality(&h.models[j], a.raw[rows[i]*t+j], a.raw[rows[i]*t+t-1])
	})
	c = calibration{few: 1, b: 1}
	quality, volume = make([]float64, m+1), make([]float64, m+1)
	for j, w := range like.weight {
		known := &h.models[j]
		quality[j] = w * known.few // its trust in its own differences
		c.base += w * (known.base + like.shift[j])
		c.mean += w * min(max(known.mean+like.shift[j], 0), 1)
		c.spread += w * known.spread
		c.noise += w * known.noise
		c.between += w * known.between
	}
	// The head takes the base off the difference before it shrinks it, so that the sum
	// must be the base where each model is at its own.
	quality[m] = c.base
	unsure = like.variance
	for j, w := range like.weight {
		quality[m] -= quality[j] * h.models[j].base
		unsure += w * math.Pow(h.models[j].base+like.shift[j]-c.base, 2)
	}
	unsure /= max(c.spread*c.spread, 1e-9)
	like = likeness(m, len(long), shiftVolume, noiseVolume, func(i, j int) float64 {
		return math.Log1p(a.tokens[long[i]]) - math.Log1p(h.models[j].expected(a.raw[long[i]*t+m+j]))
	})
	for j, w := range like.weight {
		known := &h.models[j]
		volume[j] = w * known.b
		c.a += w * (known.a + like.shift[j])
		c.limit += w * known.limit * math.Exp(max(like.shift[j], 0))
		c.volume += w * known.volume * math.Exp(like.shift[j])
		for k := range c.ratio {
			c.ratio[k] += w * known.ratio[k]
		}
	}
	a.fitVolume(&c, volume, long)
	return c, quality, volume, unsure
}

// fitVolume has the mean length and its 90% quantile agree with what was observed.
func (a *addition) fitVolume(c *calibration, volume []float64, long []int) {
	m, t := len(a.p.models), targetsOf(len(a.p.models))
	most := 1.0
	for _, r := range c.ratio { // the places between them differ by model
		most = max(most, r)
	}
	c.ratio = [3]float64{most, most, most}
	var got, expected float64
	for _, i := range long {
		c.limit = max(c.limit, a.tokens[i])
		got += a.tokens[i]
		expected += c.expected(a.sum(volume, i*t+m))
	}
	if len(long) < priorRows || expected == 0 || got == 0 {
		return
	}
	// The mean of a skewed length is not that of its logarithm.
	n := float64(len(long))
	scale := math.Exp(math.Log(got/expected) * n / (n + priorRows))
	c.a += math.Log(scale)
	c.volume = (c.volume*priorRows + got) / (priorRows + n)
	ratios := make([]float64, len(long))
	for k, i := range long {
		ratios[k] = (a.tokens[i] + 1) / (c.expected(a.sum(volume, i*t+m)) + 1)
	}
	slices.Sort(ratios)
	at := ratios[min(len(ratios)-1, int(math.Ceil(0.9*n)))]
	few := (most*priorRows + at*n) / (priorRows + n)
	c.ratio = [3]float64{few, few, few}
}

// sum returns the weighted sum of the raw outputs from a place on.
func (a *addition) sum(weights []float64, at int) float64 {
	m := len(a.p.models)
	sum := weights[m]
	for j := range m {
		sum += weights[j] * a.raw[at+j]
	}
	return sum
}

// observed returns the places of the values that are observed.
func observed(values []float64) (at []int) {
	for i, v := range values {
		if !math.IsNaN(v) {
			at = append(at, i)
		}
	}
	return at
}

// likenesses say how like known models a new one is.
type likenesses struct {
	weight   []float64 // the probability that the new model is like this one
	shift    []float64 // by how much it differs then
	variance float64   // of the shift
}

// likeness compares a new model with m known ones by the residuals of n outcomes from what
// each known model was expected to have. prior is the standard deviation of a shift, and
// noise what is believed of the variance of residuals about it.
func likeness(m, n int, prior, noise float64, residual func(i, j int) float64) likenesses {
	mean, within := make([]float64, m), make([]float64, m)
	for j := range m {
		for i := range n {
			mean[j] += residual(i, j) / float64(n)
		}
		for i := range n {
			within[j] += math.Pow(residual(i, j)-mean[j], 2)
		}
	}
	least := math.Inf(1)
	for _, w := range within {
		least = min(least, w)
	}
	variance := (noise*priorRows + least) / (priorRows + float64(max(n-1, 0)))
	l := likenesses{weight: make([]float64, m), shift: make([]float64, m)}
	total := variance + float64(n)*prior*prior
	best := math.Inf(-1)
	for j := range m {
		l.shift[j] = float64(n) * mean[j] * prior * prior / total
		l.weight[j] = -(within[j]/variance + float64(n)*mean[j]*mean[j]/total) / 2
		best = max(best, l.weight[j])
	}
	var sum float64
	for j := range l.weight {
		l.weight[j] = math.Exp(l.weight[j] - best)
		sum += l.weight[j]
	}
	for j := range l.weight {
		l.weight[j] /= sum
	}
	l.variance = prior * prior * variance / total
	return l
}
