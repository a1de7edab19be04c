package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/table"
)

// PromiseLine says how well a promise of an objective was kept on queries that neither
// the router nor the calibration of the promise has seen.
type PromiseLine struct {
	Objective string  `json:"objective"`
	Promise   string  `json:"promise"` // one of the objective's
	Stated    float64 `json:"stated"`  // its probability
	// Feasible is the share of the queries for which all promises of the objective could
	// be made. The next three are over these, and null if there are none.
	Feasible float64 `json:"feasible"`
	Kept     Number  `json:"kept"` // share
	Quality  Number  `json:"quality"`
	CostUSD  Number  `json:"cost_usd"`
	// Binds says that without the promise it would have been broken more often than it
	// states, in every fit.
	Binds bool `json:"binds"`
}

// promised has what a router chose under an objective with promises.
type promised struct {
	objective carrot.Objective
	choice    map[int]int // by row; -1 where the promises cannot be kept
	// promises are those of the last fit, and by has those of the fit that answered a row.
	promises []carrot.Promise
	by       map[int][]carrot.Promise
	binds    []bool
}

// promised returns the objectives whose promises are checked, for a fit on all rows.
func (o *Options) promised(share float64) []carrot.Objective {
	if share > 0 || o.CountCalls != "" {
		return nil
	}
	return o.Promises
}

// rows represents a query that is the number of a row.
type rows struct{ *table.Table }

func (r rows) ID() string { return r.Embedder }

func (r rows) Embed(_ context.Context, texts []string, dst []carrot.Representation) error {
	for k, text := range texts {
		i, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		dst[k] = r.X[i]
	}
	return nil
}

// promise lets a router that holds what promises are calibrated on decide on rows.
func (e *entry) promise(p carrot.Predictor, at []int) error {
	holds, ok := p.(interface{ Holdout() *carrot.Holdout })
	if !ok || holds.Holdout() == nil || len(e.promises) == 0 {
		e.promises = nil
		return nil
	}
	r, err := carrot.NewRouter(carrot.Config{Candidates: e.table.Candidates, Embedder: rows{e.table}, Predictor: p,
		CountTokens: func(string) int { return 0 }, Holdout: holds.Holdout()})
	if err != nil {
		return err
	}
	columns, input := columnsByName(e.table), e.table.Data(at).InputTokens
	for k := range e.promises {
		x := &e.promises[k]
		if x.promises, err = r.Promises(x.objective, nil); err != nil {
			return err
		}
		for n, one := range x.promises {
			if len(x.binds) == n {
				x.binds = append(x.binds, true)
			}
			x.binds[n] = x.binds[n] && one.Binds
		}
		for n, i := range at {
			x.by[i] = x.promises
			q := carrot.Query{Text: strconv.Itoa(i)}
			if tokens := input[n]; tokens > 0 { // not NaN
				q.InputTokens = int(math.Round(tokens))
			}
			d, err := r.Route(context.Background(), q, x.objective)
			switch {
			case errors.Is(err, carrot.ErrInfeasible):
				x.choice[i] = -1
			case err != nil:
				return fmt.Errorf("query %q: %w", e.table.Set.Queries[i].ID, err)
			default:
				x.choice[i] = columns[d.Model]
			}
		}
	}
	return nil
}

func columnsByName(t *table.Table) map[string]int {
	columns := map[string]int{}
	for m, name := range t.ModelNames() {
		columns[name] = m
	}
	return columns
}

// promises measures how well a router kept its promises.
func (d details) promises(c *contestant) []PromiseLine {
	columns := columnsByName(d.t)
	var out []PromiseLine
	for _, x := range c.entry.promises {
		for n, one := range x.promises {
			line := PromiseLine{Objective: x.objective.String(), Promise: one.Promise, Stated: one.Stated, Binds: x.binds[n]}
			var made, kept, quality, cost float64
			for _, i := range d.rows {
				m := x.choice[i]
				if m < 0 {
					continue
				}
				made++
				score, usd, one := d.t.Set.Score.At(i, m), d.t.Cost.At(i, m), x.by[i][n]
				quality += score
				cost += usd
				switch {
				case one.MinScore > 0 && score < one.MinScore,
					one.MaxCostUSD > 0 && usd > one.MaxCostUSD,
					one.AsGoodAs != "" && score < d.t.Set.Score.At(i, columns[one.AsGoodAs]):
				default:
					kept++
				}
			}
			line.Feasible = made / float64(len(d.rows))
			line.Kept, line.Quality, line.CostUSD = number(kept/made), number(quality/made), number(cost/made)
			if made == 0 {
				line.Kept, line.Quality, line.CostUSD = Number(math.NaN()), Number(math.NaN()), Number(math.NaN())
			}
			out = append(out, line)
		}
	}
	return out
}
