package rivals

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/plan"
)

// Cascade asks a cheap model first and a more expensive one if a judge rejects
// the answer (FrugalGPT, arXiv 2305.05176; RouterBench, section 4), up to three
// in all, and pays for every call. The judge knows the score and errs: it accepts
// an answer of score s with probability Accuracy·s + (1-Accuracy)·(1-s). Costs
// and scores are expectations over its errors, so nothing is drawn. The judge is
// free and may not exist: this is what a cascade could reach with one, and not a
// router that decides by the prompt alone. Its sequences are check plans of package plan,
// whose verifier errs as often either way.
//
// For every willingness to pay, Fit chooses the sequence of models with the
// highest mean utility on the training queries. The zero value has an accuracy of
// DefaultAccuracy.
type Cascade struct {
	Accuracy float64
	Plans    [][]int // set by Fit: for each setting of the grid, the models in order
}

// DefaultAccuracy is the usual accuracy of a cascade's judge.
const DefaultAccuracy = 0.9

// Name names the cascade, with the accuracy of its judge unless it is the default.
func (c *Cascade) Name() string {
	if a := c.accuracy(); a != DefaultAccuracy {
		return fmt.Sprintf("cascade:accuracy=%g", a)
	}
	return "cascade"
}

func (c *Cascade) accuracy() float64 {
	if c.Accuracy == 0 {
		return DefaultAccuracy
	}
	return c.Accuracy
}

// mostPlanned is how many models plans are made of: those on the hull of the
// single models, then those with the best scores.
const mostPlanned = 8

// Fit chooses the plans on the complete queries of d.
func (c *Cascade) Fit(ctx context.Context, d *Data) error {
	if err := d.prepare(); err != nil {
		return err
	}
	if len(d.complete) == 0 {
		return errors.New("cascade: no query was answered by every model")
	}
	plans := plansOf(planned(d))
	points := make([]frontier.Point, len(plans))
	m := len(d.Models)
	judge := c.judge()
	for p, models := range plans {
		for _, i := range d.complete {
			cost, score := judge.Expect(models, d.Score[i*m:][:m], d.CostUSD[i*m:][:m])
			points[p].Cost += cost / float64(len(d.complete))
			points[p].Quality += score / float64(len(d.complete))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	quality, cost := make([]float64, len(plans)), make([]float64, len(plans))
	for p, point := range points {
		quality[p], cost[p] = point.Quality, point.Cost
	}
	c.Plans = nil
	for _, w := range frontier.Grid() {
		c.Plans = append(c.Plans, plans[carrot.Choose(quality, cost, w)])
	}
	return nil
}

// planned lists the models that plans are made of, cheapest first.
func planned(d *Data) []int {
	use := hullModels(d)
	rest := make([]int, 0, len(d.Models))
	for j := range d.Models {
		if !slices.Contains(use, j) {
			rest = append(rest, j)
		}
	}
	slices.SortStableFunc(rest, func(a, b int) int {
		if d.meanScore[a] > d.meanScore[b] {
			return -1
		}
		return 1
	})
	use = append(use, rest[:max(0, min(len(rest), mostPlanned-len(use)))]...)
	slices.SortStableFunc(use, func(a, b int) int {
		if d.meanCost[a] < d.meanCost[b] {
			return -1
		}
		return 1
	})
	return use
}

// plansOf lists the sequences of one to three models, in the given order.
func plansOf(models []int) [][]int {
	var out [][]int
	for i, a := range models {
		out = append(out, []int{a})
		for j, b := range models[i+1:] {
			out = append(out, []int{a, b})
			for _, c := range models[i+1+j+1:] {
				out = append(out, []int{a, b, c})
			}
		}
	}
	return out
}

// judge is the verifier of the plans.
func (c *Cascade) judge() plan.Verifier {
	return plan.Verifier{FalsePass: 1 - c.accuracy(), FalseFail: 1 - c.accuracy()}
}

// Steps returns what a query costs in USD and scores at every setting of the
// grid, from the outcomes of each model on it. A step whose plan needs an outcome
// that was not observed is NaN.
func (c *Cascade) Steps(score, cost []float64) ([]frontier.Step, error) {
	if c.Plans == nil {
		return nil, ErrNotFitted
	}
	var out []frontier.Step
	judge := c.judge()
	for s, models := range c.Plans {
		if s > 0 && slices.Equal(models, c.Plans[s-1]) {
			continue
		}
		usd, quality := judge.Expect(models, score, cost)
		candidate := -1
		if len(models) == 1 {
			candidate = models[0]
		}
		out = append(out, frontier.Step{At: s, Candidate: candidate, Cost: usd, Quality: quality})
	}
	return out, nil
}

// Save writes the fitted cascade; Load reads it.
func (c *Cascade) Save(w io.Writer) error { return save(w, c) }

// Load reads what Save wrote.
func (c *Cascade) Load(r io.Reader) error {
	file, err := saved(r)
	if err == nil {
		err = file.read(c)
	}
	if err != nil {
		return fmt.Errorf("load cascade: %w", err)
	}
	return nil
}

// hullModels lists the models on the hull of the single models.
func hullModels(d *Data) []int {
	var points []frontier.Point
	for j := range d.Models {
		points = append(points, frontier.Point{Cost: d.meanCost[j], Quality: d.meanScore[j]})
	}
	var out []int
	for _, p := range frontier.Hull(points) {
		out = append(out, slices.Index(points, p))
	}
	return out
}
