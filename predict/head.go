package predict

import (
	"fmt"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
)

// head turns a learner's raw outputs into forecasts. It is fitted on
// out-of-fold raw outputs, one calibration per model.
type head struct {
	// caution in (0,1] shrinks the models' differences in quality towards
	// those of their means. What all models have in common on a query decides
	// nothing and is not shrunk.
	caution float64
	models  []calibration
	// correction is what was learnt after the fit, one for each model, or nil.
	correction []correction
}

// correction changes the forecasts of one model: shift is added to its quality and
// factor multiplies its volume.
type correction struct{ shift, factor float64 }

// correct changes the forecast of model j.
func (h *head) correct(j int, f *carrot.Forecast) {
	if h.correction == nil {
		return
	}
	c := h.correction[j]
	f.Quality = min(max(f.Quality+c.shift, 0), 1)
	f.OutputTokens *= c.factor
	f.OutputTokensP90 *= c.factor
	f.CostUSD *= c.factor
	f.CostUSDP90 *= c.factor
}

// calibration holds one model's numbers. It is saved as a row of float64.
type calibration struct {
	mean   float64 // mean score
	base   float64 // mean difference from what all models have in common
	spread float64 // standard deviation of the score about the raw prediction
	noise  float64 // factor on the variance of a score about its mean
	few    float64 // in [0,1]: trust in the model's own differences
	direct float64 // 1: the volume is a cost in millionths of USD
	// between is the variance of quality between queries, which is that of the mean as
	// a forecast. It is 0 in a file of a former version.
	between float64

	// Volume: exp(a + b·raw) - 1, within [0,limit].
	a, b, limit float64
	volume      float64 // mean volume, for a novel query
	// The 90% quantile is the volume times a ratio, which is interpolated by
	// raw between the medians of its thirds, at.
	at, ratio [3]float64
}

const calibrationFields = 16

func (c *calibration) fields() [calibrationFields]*float64 {
	return [...]*float64{&c.mean, &c.base, &c.spread, &c.noise, &c.few, &c.direct,
		&c.a, &c.b, &c.limit, &c.volume, &c.at[0], &c.at[1], &c.at[2], &c.ratio[0], &c.ratio[1], &c.ratio[2]}
}

// fewOutcomes sets how far a model is trusted that was observed on n queries,
// less than half of them: its differences are shrunk by n/(n+fewOutcomes). What
// remains is the common part, learnt from all models, plus the model's mean
// difference where it was observed.
const fewOutcomes = 20

// fitHead calibrates every model on out-of-fold raw outputs. exact keeps the
// volumes as they are, for a learner whose volumes are means already.
func fitHead(o *outOfFold, caution float64, exact bool) head {
	p := o.problem
	t := p.targets()
	h := head{caution: caution, models: make([]calibration, p.models)}
	for j := range h.models {
		c := &h.models[j]
		*c = calibration{few: 1, a: 0, b: 1, ratio: [3]float64{1, 1, 1}}
		if p.direct[j] {
			c.direct = 1
		}
		var scores, volumes []sample
		for i := range p.n {
			if y := p.score(i, j); !math.IsNaN(y) {
				scores = append(scores, sample{raw: o.raw[i*t+j] + o.raw[i*t+t-1], y: y, row: i})
				c.base += p.target[i*t+j]
			}
			if y := p.target[i*t+p.models+j]; !math.IsNaN(y) {
				volumes = append(volumes, sample{raw: o.raw[i*t+p.models+j], y: math.Expm1(y), row: i})
			}
		}
		c.fitVolume(volumes, exact)
		c.mean, c.spread = moments(scores)
		c.base /= float64(max(len(scores), 1))
		if 2*len(scores) < p.n {
			c.few = float64(len(scores)) / float64(len(scores)+fewOutcomes)
		}
	}
	h.fitNoise(o)
	h.fitBetween(o)
	return h
}

// sample is a raw output and what was observed.
type sample struct {
	raw, y float64
	row    int
}

// moments returns the mean of y and the root mean square of y - raw.
func moments(s []sample) (mean, spread float64) {
	for _, v := range s {
		mean += v.y
		spread += (v.y - v.raw) * (v.y - v.raw)
	}
	n := float64(max(len(s), 1))
	return mean / n, math.Sqrt(spread / n)
}

// fitVolume fits the mean by a Poisson regression of the volume on raw with a
// logarithmic link. The mean is then right overall and along raw, whatever the
// distribution; that of a lognormal formula is not, because lengths are bimodal
// and censored. The 90% quantile is fitted by thirds of raw.
func (c *calibration) fitVolume(s []sample, exact bool) {
	if len(s) == 0 {
		c.a, c.b, c.limit = 0, 0, 0
		return
	}
	for _, v := range s {
		c.limit = max(c.limit, v.y)
		c.volume += v.y / float64(len(s))
	}
	if !exact {
		c.fitPoisson(s)
	}
	if c.limit == 0 { // all volumes are zero, which is known: see costUnknown
		c.a, c.b = 0, 1
	}
	slices.SortFunc(s, func(x, y sample) int {
		if x.raw != y.raw {
			return cmpFloat(x.raw, y.raw)
		}
		return x.row - y.row
	})
	for k := range 3 {
		part := third(s, k)
		c.at[k] = part[len(part)/2].raw
		ratios := make([]float64, len(part))
		for i, v := range part {
			ratios[i] = (v.y + 1) / (c.expected(v.raw) + 1)
		}
		c.ratio[k] = quantile90(ratios)
	}
}

// third returns the k-th third of sorted values, or all of them if it is empty.
func third[T any](sorted []T, k int) []T {
	if part := sorted[k*len(sorted)/3 : (k+1)*len(sorted)/3]; len(part) > 0 {
		return part
	}
	return sorted
}

// quantile90 returns the 90% quantile of values, which it sorts.
func quantile90(values []float64) float64 {
	slices.Sort(values)
	return values[min(len(values)-1, int(math.Ceil(0.9*float64(len(values)))))]
}

func cmpFloat(a, b float64) int {
	if a < b {
		return -1
	}
	return 1
}

// fitPoisson finds a, b by Newton's method. b stays in [0,2]: a longer raw
// prediction never means a shorter answer.
func (c *calibration) fitPoisson(s []sample) {
	var y, e float64
	for _, v := range s {
		y += v.y + 1
		e += math.Exp(v.raw)
	}
	c.a, c.b = math.Log(y/e), 1
	for range 50 {
		var g0, g1, h00, h01, h11 float64
		for _, v := range s {
			mu := math.Exp(min(c.a+c.b*v.raw, 30))
			g0 += v.y + 1 - mu
			g1 += (v.y + 1 - mu) * v.raw
			h00 += mu
			h01 += mu * v.raw
			h11 += mu * v.raw * v.raw
		}
		det := h00*h11 - h01*h01
		if !(det > 1e-9*h00*h11) {
			break
		}
		da, db := (h11*g0-h01*g1)/det, (h00*g1-h01*g0)/det
		if step := max(math.Abs(da), math.Abs(db)); step > 1 {
			da, db = da/step, db/step
		} else if step < 1e-10 {
			break
		}
		c.a, c.b = c.a+da, c.b+db
	}
	if c.b < 0 || c.b > 2 {
		c.b = min(max(c.b, 0), 2)
		e = 0
		for _, v := range s {
			e += math.Exp(c.b * v.raw)
		}
		c.a = math.Log(y / e)
	}
}

// costUnknown reports whether the model had no volumes to fit on.
func (c *calibration) costUnknown() bool { return c.b == 0 && c.limit == 0 }

// expected is the mean volume at a raw output.
func (c *calibration) expected(raw float64) float64 {
	return min(max(math.Expm1(c.a+c.b*raw), 0), c.limit)
}

// quantile is the 90% quantile of the volume at a raw output with mean v.
func (c *calibration) quantile(raw, v float64) float64 {
	ratio := interpolated(raw, &c.at, &c.ratio)
	return min(max((v+1)*ratio-1, 0), c.limit)
}

// interpolated returns the value at x on the line through three points, rising in x, which
// is level beyond its ends.
func interpolated(x float64, at, value *[3]float64) float64 {
	switch {
	case x <= at[0]:
		return value[0]
	case x < at[1]:
		return between(x, at[0], at[1], value[0], value[1])
	case x < at[2]:
		return between(x, at[1], at[2], value[1], value[2])
	}
	return value[2]
}

func between(x, x0, x1, y0, y1 float64) float64 { return y0 + (y1-y0)*(x-x0)/(x1-x0) }

// quality is the quality at a raw difference and common part, clamped to [0,1].
func (h *head) quality(c *calibration, difference, common float64) float64 {
	return min(max(c.base+h.caution*c.few*(difference-c.base)+common, 0), 1)
}

// scatter is the variance of a score about a quality, before the noise factor:
// that of a yes-or-no score, kept away from zero.
func scatter(q float64) float64 {
	q = min(max(q, 0.05), 0.95)
	return q * (1 - q)
}

// fitNoise scales each model's noise so that the squared residuals of quality,
// out of fold and over their predicted variances, have a mean of 1.
func (h *head) fitNoise(o *outOfFold) {
	p := o.problem
	t := p.targets()
	for j := range h.models {
		c := &h.models[j]
		standardised := func(noise float64) float64 {
			var sum, n float64
			for i := range p.n {
				y := p.score(i, j)
				if math.IsNaN(y) {
					continue
				}
				q := h.quality(c, o.raw[i*t+j], o.raw[i*t+t-1])
				se := c.spread * math.Sqrt(o.variance[i*p.models+j])
				sum += (y - q) * (y - q) / (se*se + noise*scatter(q))
				n++
			}
			return sum / n
		}
		low, high := 1e-6, 16.0
		for range 60 {
			middle := math.Sqrt(low * high)
			if standardised(middle) > 1 {
				low = middle
			} else {
				high = middle
			}
		}
		c.noise = high
	}
}

// score is the observed score of model j on row i, NaN if there is none.
func (p *problem) score(i, j int) float64 {
	row := p.target[i*p.targets():][:p.targets()]
	return row[j] + row[len(row)-1]
}

// fitBetween takes from the variance of each model's scores what is noise about the
// quality of a query.
func (h *head) fitBetween(o *outOfFold) {
	p := o.problem
	t := p.targets()
	for j := range h.models {
		c := &h.models[j]
		var sum, n float64
		for i := range p.n {
			if y := p.score(i, j); !math.IsNaN(y) {
				sum += (y-c.mean)*(y-c.mean) - c.noise*scatter(h.quality(c, o.raw[i*t+j], o.raw[i*t+t-1]))
				n++
			}
		}
		c.between = max(sum/n, 0)
	}
}

// apply writes the forecasts for one query's raw outputs and variances. With probability
// trust the query is like those fitted on, and else nothing is known of it but each
// model's mean: the forecast is the mean of both, and its standard error that of the
// mixture.
func (h *head) apply(raw, variance []float64, trust float64, out []carrot.Forecast) {
	for j := range h.models {
		c := &h.models[j]
		q, se := h.trusted(c, raw[j], raw[len(raw)-1], variance[j], trust)
		v := raw[len(h.models)+j]
		mean := c.expected(v)
		p90 := c.quantile(v, mean)
		if trust < 1 {
			mean, p90 = toMean(mean, c.volume, trust), toMean(p90, c.farthest(), trust)
		}
		out[j] = carrot.Forecast{Quality: q, QualitySE: se, QualityNoise: math.Sqrt(c.noise * scatter(q))}
		c.setVolume(&out[j], mean, p90)
		h.correct(j, &out[j])
	}
}

// trusted is the quality, with its standard error, of a query that is trusted so far.
func (h *head) trusted(c *calibration, difference, common, variance, trust float64) (q, se float64) {
	q, se = h.quality(c, difference, common), c.spread*math.Sqrt(variance)
	if trust < 1 {
		se = math.Sqrt(trust*se*se + (1-trust)*c.between + trust*(1-trust)*(q-c.mean)*(q-c.mean))
		q = toMean(q, c.mean, trust)
	}
	return q, se
}

func (c *calibration) setVolume(f *carrot.Forecast, mean, p90 float64) {
	switch {
	case c.costUnknown():
		f.CostUnknown = true
	case c.direct == 1:
		f.Direct, f.CostUSD, f.CostUSDP90 = true, mean/microUSD, p90/microUSD
	default:
		f.OutputTokens, f.OutputTokensP90 = mean, p90
	}
}

// toMean moves v towards a mean. It is the mean itself where trust is 0.
func toMean(v, mean, trust float64) float64 { return mean + trust*(v-mean) }

// farthest is the 90% quantile of the volume of a query of which nothing is known.
func (c *calibration) farthest() float64 { return c.volume * max(1, slices.Max(c.ratio[:])) }

func (h *head) save(out *tensors, prefix string) {
	var all []float64
	for j := range h.models {
		for _, f := range h.models[j].fields() {
			all = append(all, *f)
		}
	}
	out.float64s(prefix+"calibration", all, len(h.models), calibrationFields)
	out.float64s(prefix+"caution", []float64{h.caution}, 1)
	var between []float64
	for j := range h.models {
		between = append(between, h.models[j].between)
	}
	if slices.Max(between) > 0 {
		out.float64s(prefix+"between", between, len(h.models))
	}
	if h.correction != nil {
		var both []float64
		for _, c := range h.correction {
			both = append(both, c.shift, c.factor)
		}
		out.float64s(prefix+"correction", both, len(h.models), 2)
	}
}

func (h *head) load(in *tensors, prefix string) error {
	all := in.getFloat64s(prefix+"calibration", in.models, calibrationFields)
	caution := in.getFloat64s(prefix+"caution", 1)
	var between []float64 // none in a file of a former version
	if _, ok := in.file.Tensor(prefix + "between"); ok {
		between = in.getFloat64s(prefix+"between", in.models)
	}
	if in.err != nil {
		return in.err
	}
	h.caution = caution[0]
	h.models = make([]calibration, in.models)
	for j := range h.models {
		for k, f := range h.models[j].fields() {
			*f = all[j*calibrationFields+k]
		}
		if between != nil {
			h.models[j].between = between[j]
		}
		if why := h.models[j].wrong(); why != "" {
			in.fail(prefix+"calibration", fmt.Sprintf("row %d: %s", j, why))
		}
	}
	if c := h.caution; !(c > 0 && c <= 1) {
		in.fail(prefix+"caution", fmt.Sprintf("%v is outside (0,1]", c))
	}
	if _, ok := in.file.Tensor(prefix + "correction"); ok {
		both := in.getFloat64s(prefix+"correction", in.models, 2)
		for j := 0; in.err == nil && j < in.models; j++ {
			c := correction{both[2*j], both[2*j+1]}
			if why := c.wrong(); why != "" {
				in.fail(prefix+"correction", fmt.Sprintf("row %d: %s", j, why))
			}
			h.correction = append(h.correction, c)
		}
	}
	return in.err
}

// wrong says which number of a calibration is out of range, or "" if none is.
func (c *calibration) wrong() string {
	switch {
	case !(c.mean >= 0 && c.mean <= 1):
		return fmt.Sprintf("mean score %v is outside [0,1]", c.mean)
	case !(c.few >= 0 && c.few <= 1):
		return fmt.Sprintf("trust %v is outside [0,1]", c.few)
	case c.direct != 0 && c.direct != 1:
		return fmt.Sprintf("%v is neither 0, for tokens, nor 1, for a cost", c.direct)
	case min(c.spread, c.noise, c.limit, c.volume, c.between) < 0 || slices.Min(c.ratio[:]) < 0:
		return "a spread, a noise, a limit, a volume or a ratio is negative"
	}
	return ""
}
