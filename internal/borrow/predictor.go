package borrow

import (
	"maps"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
)

// How borrowed forecasts differ from those that they are made from. All four numbers are
// measured on models of zeroeval and their successors by runs/borrowed; docs/results.md
// has the table.
const (
	// kept is the part that is kept of what a query changes in the known model's
	// quality: it is evidence of another model.
	kept = 0.82
	// assumedError and citedError are the standard errors of a prior of quality that is
	// assumed, or follows from published figures, which are of hard mathematics.
	assumedError, citedError = 0.11, 0.083
	// wider multiplies the 90% quantile of output tokens.
	wider = 1.34
)

// Predictor is a predictor with a column for each model that borrows from one of its own.
// It is safe for concurrent use if the other is.
type Predictor struct {
	base     carrot.Predictor
	models   []string
	borrowed []column
	means    map[string]float64 // of quality, by model
}

// column is a model that borrows.
type column struct {
	row   *Row
	known int     // the column of the known model
	mean  float64 // the known model's mean quality
	shift float64 // of the log-odds of quality
	se    float64 // of the prior
	times float64 // output tokens for each of the known model's
}

// Wrap returns a predictor that also forecasts the models of the table that base does not
// know, as far as it knows those that they borrow from. means are the mean qualities of
// base's models, by name: a model without one lends nothing. If nothing can be borrowed,
// Wrap returns base.
func Wrap(base carrot.Predictor, means map[string]float64, t *Table) carrot.Predictor {
	p := &Predictor{base: base, models: slices.Clone(base.Models()), means: means}
	for i := range t.Rows {
		r := &t.Rows[i]
		known := slices.Index(base.Models(), r.Known)
		mean, ok := means[r.Known]
		if known >= 0 && ok && !slices.Contains(p.models, r.Model) {
			p.add(r, known, mean)
		}
	}
	if len(p.borrowed) == 0 {
		return base
	}
	return p
}

func (p *Predictor) add(r *Row, known int, mean float64) {
	c := column{row: r, known: known, mean: mean, se: assumedError, times: 1}
	if q := r.Quality; q != nil {
		c.shift = logit(q.Model) - logit(q.Known)
		if c.se = citedError; q.Of != "" {
			c.se = math.Hypot(citedError, assumedError)
		}
	}
	if o := r.OutputTokens; o != nil {
		c.times = o.Model / o.Known
	}
	p.models, p.borrowed = append(p.models, r.Model), append(p.borrowed, c)
}

// Models names the columns: those of the other predictor, then those that borrow.
func (p *Predictor) Models() []string { return p.models }

// Lender names the model whose forecasts a model borrows; it is empty for a model with
// its own.
func (p *Predictor) Lender(model string) string {
	if c := p.column(model); c != nil {
		return c.row.Known
	}
	return ""
}

// Mean returns the mean quality that is expected of a model which borrows, and its
// standard error; ok says whether it is one.
func (p *Predictor) Mean(model string) (mean, se float64, ok bool) {
	c := p.column(model)
	if c == nil {
		return 0, 0, false
	}
	return c.quality(c.mean), c.se, true
}

func (p *Predictor) column(model string) *column {
	if i := slices.IndexFunc(p.borrowed, func(c column) bool { return c.row.Model == model }); i >= 0 {
		return &p.borrowed[i]
	}
	return nil
}

// Predict is that of the other predictor, with the borrowed forecasts added.
func (p *Predictor) Predict(x []carrot.Representation, dst []carrot.Prediction) error {
	if err := p.base.Predict(x, dst); err != nil {
		return err
	}
	for i := range dst {
		for j := range p.borrowed {
			c := &p.borrowed[j]
			dst[i].Forecasts = append(dst[i].Forecasts, c.forecast(dst[i].Forecasts[c.known]))
		}
	}
	return nil
}

// forecast returns what is borrowed of a forecast for the known model.
func (c *column) forecast(f carrot.Forecast) carrot.Forecast {
	was := c.mean + kept*(f.Quality-c.mean)
	q := c.quality(was)
	slope := variance(between(q, 0.001)) / variance(between(was, 0.001))
	f.QualitySE = math.Hypot(kept*slope*f.QualitySE, c.se)
	f.QualityNoise *= math.Sqrt(variance(between(q, 0.05)) / variance(between(f.Quality, 0.05))) // as predictors scale it
	f.Quality = q
	f.OutputTokens *= c.times
	f.OutputTokensP90 *= c.times * wider
	if f.Direct { // the price of the known model is in its cost
		f.Direct, f.CostUSD, f.CostUSDP90, f.CostUnknown = false, 0, 0, true
	}
	return f
}

// quality shifts the log-odds of a quality of the known model by the prior.
func (c *column) quality(q float64) float64 {
	if c.shift == 0 {
		return q
	}
	return 1 / (1 + math.Exp(-logit(q)-c.shift))
}

func logit(q float64) float64 {
	q = between(q, 0.001)
	return math.Log(q / (1 - q))
}

// variance is that of a score that is 0 or 1, and q on average.
func variance(q float64) float64 { return q * (1 - q) }

// between returns q, or else what is closest to it of the qualities that are at least edge
// away from 0 and 1.
func between(q, edge float64) float64 { return min(max(q, edge), 1-edge) }

// For returns a predictor with the same forecasts and without the models that borrow and
// are not among those given, which takes less time.
func (p *Predictor) For(models []string) carrot.Predictor {
	out := &Predictor{base: p.base, models: slices.Clone(p.base.Models()), means: p.means}
	for _, c := range p.borrowed {
		if slices.Contains(models, c.row.Model) {
			out.models, out.borrowed = append(out.models, c.row.Model), append(out.borrowed, c)
		}
	}
	if out.borrowed == nil {
		return p.base
	}
	return out
}

// Only returns a predictor of the given models, which borrow as they did.
func (p *Predictor) Only(models []string) carrot.Predictor {
	whole, ok := p.base.(interface {
		Only(models []string) carrot.Predictor
	})
	if !ok {
		return p
	}
	var own []string
	table := &Table{}
	for _, model := range models {
		if c := p.column(model); c != nil {
			table.Rows = append(table.Rows, *c.row)
			own = append(own, c.row.Known)
		} else {
			own = append(own, model)
		}
	}
	slices.Sort(own)
	return Wrap(whole.Only(slices.Compact(own)), maps.Clone(p.means), table)
}
