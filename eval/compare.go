package eval

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/parallel"
	"github.com/carrot-router/carrot/table"
)

// compareOptions are the settings of compare. The zero value draws no bootstrap.
type compareOptions struct {
	Split     string // for the report
	Bootstrap int    // resamples; 0: no intervals
	Seed      uint64
	Progress  func(done, total int) // never called concurrently
	LeftOut   bool                  // sources are left out
	Say       func(doing string)    // with what is done, in words; may be nil
	// Objectives of regret: see Options.
	Objectives []carrot.Objective
}

// contestant is one line of the comparison.
type contestant struct {
	name        string
	entry       *entry // nil for references other than the mean
	trace       frontier.Trace
	grid        []float64 // nil: settings are single models
	single      bool      // one point
	labels      []string  // the names of settings that are points of their own
	calibration *Calibration
	metrics     frontier.Metrics
	samples     []frontier.Metrics // bootstrap
	shares      *frontier.Trace    // for a pair of models: see callShares
	apgr        []float64          // bootstrap, with shares
}

func newContestant(e *entry, complete, rows []int) (*contestant, error) {
	trace, err := e.trace(complete)
	if err != nil {
		return nil, err
	}
	c := &contestant{name: e.name, entry: e, trace: trace, grid: e.grid, labels: e.labels}
	if e.calibrated() || e.plans != nil {
		c.calibration = calibrate(e.table, complete, rows, e.predictions)
		if e.external != nil { // its file has no quantiles
			c.calibration.OutputTokensP90 = Number(math.NaN())
		}
	}
	return c, nil
}

// curved reports whether the settings form a curve that has an AIQ. Points do not:
// nothing is known of what the router would do at a lower cost.
func (c *contestant) curved() bool { return !c.single && c.labels == nil }

// compare measures entries, and after them the reference rows mean (given by
// the caller; nil if it could not be fitted), best-single, zero-router and
// oracle, on the complete ones of rows. All models of t are priced.
func compare(ctx context.Context, t *table.Table, rows []int, entries []*entry, mean *entry, o compareOptions) (*Report, error) {
	complete := t.CompleteOf(rows)
	if len(complete) == 0 {
		return nil, fmt.Errorf("%w: of %d, none has a score and a cost for every model of the pool", ErrNoRows, len(rows))
	}
	var all []*contestant
	for _, e := range entries {
		c, err := newContestant(e, complete, rows)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if mean != nil {
		c, err := newContestant(mean, complete, rows)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	singles := t.Singles(complete)
	scale := frontier.NewScale(singles.Curve(nil))
	all = append(all,
		&contestant{name: "best-single", trace: t.Trace(complete, 1, func(_, _ int) int { return scale.Best }), single: true},
		&contestant{name: "zero-router", trace: singles},
		&contestant{name: "oracle", trace: t.Oracle(complete), grid: frontier.Grid()})
	for _, c := range all {
		c.metrics = scale.Measure(c.trace.Curve(nil))
		if singles.Settings == 2 && c.curved() && (t.PerCall == nil || t.PerCall[scale.Best] == 1) {
			if shares, ok := callShares(c.trace, scale.Best, t.PerCall != nil); ok {
				c.shares = &shares
			}
		}
	}
	if err := bootstrap(ctx, all, singles, scale, len(complete), o); err != nil {
		return nil, err
	}
	r := newReport(t, all, scale, o)
	r.Queries, r.Skipped = len(complete), len(rows)-len(complete)
	r.Notes = append(r.Notes, fewNotes(len(complete), len(rows))...)
	if t.PerCall != nil && t.PerCall[scale.Best] != 1 {
		r.Notes = append(r.Notes, fmt.Sprintf("APGR and CPT are left out: --count-calls should name %s, the better model on these queries", r.BestSingle))
	}
	d := details{t, complete, all, scale, singles}
	return r, d.write(ctx, r, o)
}

// fewComplete is the number of complete queries below which figures say little.
const fewComplete = 50

// fewNotes says what the figures are worth if few queries are complete.
func fewNotes(complete, of int) []string {
	var notes []string
	have := fmt.Sprintf("%d of %d queries have a score and a cost for every model of the pool: ", complete, of)
	if 2*complete < of {
		notes = append(notes, have+"all figures come from these only")
	}
	if complete < fewComplete {
		notes = append(notes, have+fmt.Sprintf("figures from fewer than %d are little more than noise", fewComplete))
	}
	return notes
}

// bootstrap measures every contestant on the same resamples of the queries, so
// that differences are paired. Which model is the best single, and the cost
// range, stay those of the full sample; the best single's quality and cost are
// those on the resample.
func bootstrap(ctx context.Context, all []*contestant, singles frontier.Trace, scale frontier.Scale, n int, o compareOptions) error {
	for _, c := range all {
		c.samples = make([]frontier.Metrics, o.Bootstrap)
		if c.shares != nil {
			c.apgr = make([]float64, o.Bootstrap)
		}
	}
	var mu sync.Mutex
	begun := 0
	pool := sync.Pool{New: func() any { weights := make([]float64, n); return &weights }}
	parallel.Each(o.Bootstrap, func(b int) {
		if ctx.Err() != nil {
			return
		}
		if o.Progress != nil {
			mu.Lock()
			o.Progress(begun, o.Bootstrap)
			begun++
			mu.Unlock()
		}
		pooled := pool.Get().(*[]float64)
		defer pool.Put(pooled)
		weights := *pooled
		random := rand.New(rand.NewPCG(o.Seed, uint64(b)))
		clear(weights)
		for range n {
			weights[random.IntN(n)]++
		}
		resampled, alone := scale, singles.Curve(weights)
		resampled.Single = alone[scale.Best]
		for _, c := range all {
			c.samples[b] = resampled.Measure(c.trace.Curve(weights))
			if c.apgr != nil {
				c.apgr[b] = frontier.APGR(c.shares.Curve(weights), alone[1-scale.Best].Quality, alone[scale.Best].Quality)
			}
		}
	})
	return ctx.Err()
}

// interval returns the central 95% of the values, which it sorts in place.
func interval(values []float64) []float64 {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	at := func(q float64) float64 { return values[int(math.Round(q*float64(len(values)-1)))] }
	return []float64{at(0.025), at(0.975)}
}

func (c *contestant) interval(of func(frontier.Metrics) float64) []float64 {
	values := make([]float64, len(c.samples))
	for i, m := range c.samples {
		values[i] = of(m)
	}
	return interval(values)
}
