package rivals

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
)

// Cascade asks a cheap model first and a dearer one if a judge does not like
// the answer (FrugalGPT, arXiv 2305.05176; RouterBench, section 4), up to three
// in all, and pays for every call. The judge is told the truth and errs: with a
// score s it accepts with the probability Accuracy·s + (1-Accuracy)·(1-s).
// Costs and scores are expectations over the judge's errors, so nothing is
// drawn. The judge costs nothing and such a judge may not exist: this is what a
// cascade would reach if it did, and no router from the prompt alone.
//
// For every willingness to pay, the models to ask in order are those with the
// highest mean utility on the training queries. The zero value has an accuracy
// of DefaultAccuracy.
type Cascade struct {
	Accuracy float64
	Plans    [][]int // set by Fit: models in order, one plan a setting of the grid
}

// DefaultAccuracy of a cascade's judge.
const DefaultAccuracy = 0.9

// Name names the cascade with its judge.
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

// mostPlanned is how many of the best single models, by the hull and then by
// score, a plan may be made of.
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
	for p, plan := range plans {
		for _, i := range d.complete {
			cost, score := c.run(plan, d.Score[i*m:][:m], d.CostUSD[i*m:][:m])
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

// plansOf lists the sequences of one to three models, cheaper before dearer.
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

// run is the expected cost and score of a plan on a query with these outcomes.
func (c *Cascade) run(plan []int, score, cost []float64) (usd, quality float64) {
	reach := 1.0
	for k, m := range plan {
		usd += reach * cost[m]
		accept := 1.0
		if k < len(plan)-1 {
			a := c.accuracy()
			accept = a*score[m] + (1-a)*(1-score[m])
		}
		quality += reach * accept * score[m]
		reach *= 1 - accept
	}
	return usd, quality
}

// Steps says what a query with these outcomes, one a model, costs in USD and
// scores at every setting of the grid. An outcome that a plan needs and that
// was not observed makes it NaN.
func (c *Cascade) Steps(score, cost []float64) ([]frontier.Step, error) {
	if c.Plans == nil {
		return nil, ErrNotFitted
	}
	var out []frontier.Step
	for s, plan := range c.Plans {
		if s > 0 && slices.Equal(plan, c.Plans[s-1]) {
			continue
		}
		usd, quality := c.run(plan, score, cost)
		candidate := -1
		if len(plan) == 1 {
			candidate = plan[0]
		}
		out = append(out, frontier.Step{At: s, Candidate: candidate, Cost: usd, Quality: quality})
	}
	return out, nil
}

// Save writes the fitted cascade; Load reads it.
func (c *Cascade) Save(w io.Writer) error { return gob.NewEncoder(w).Encode(c) }

// Load reads what Save wrote.
func (c *Cascade) Load(r io.Reader) error {
	if err := gob.NewDecoder(r).Decode(c); err != nil {
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
