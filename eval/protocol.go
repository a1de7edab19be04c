package eval

import (
	"context"
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/table"
	"github.com/carrot-router/carrot/train"
)

// Protocol says what a router reaches by the protocol of the paper's code and by
// ours. The predictions are the same; the setting is chosen in another way
// (docs/protocol.md).
type Protocol struct {
	Router string       `json:"router"`
	Paper  ProtocolLine `json:"paper"`
	Ours   ProtocolLine `json:"ours"`
}

// ProtocolLine has the figures of one protocol.
type ProtocolLine struct {
	// RoutedAccuracy is the mean score where cost does not matter (μ = 0).
	RoutedAccuracy Number `json:"routed_accuracy"`
	// Quality and Cost, over those of the best single model, are at the setting
	// meant to match that model's quality at the least cost; they are null if
	// no setting does. The paper's code picks the setting on the measured
	// queries themselves, and we pick it out of fold on the queries fitted on.
	Quality Number `json:"quality_of_best_single"`
	Cost    Number `json:"cost_of_best_single"`
	// Setting is μ or the willingness to pay.
	Setting string `json:"setting"`
}

// ProtocolReport compares routers by both protocols.
type ProtocolReport struct {
	BestSingleQuality float64    `json:"best_single_quality"`
	OracleQuality     float64    `json:"oracle_quality"` // mean of the best score on each query
	Routers           []Protocol `json:"routers"`
}

// paperGrid is the number of steps of μ from 0 to 1 in the reference code.
const paperGrid = 1000

// protocols measures routers by both protocols on the complete ones of rows. For
// each entry, outOfFold has the same contender's out-of-fold answers to the rows
// it was fitted on.
func protocols(t *table.Table, rows []int, entries, outOfFold []*entry) (*ProtocolReport, error) {
	complete := t.CompleteOf(rows)
	if len(complete) == 0 {
		return nil, ErrNoRows
	}
	scale := frontier.NewScale(t.Singles(complete).Curve(nil))
	r := &ProtocolReport{BestSingleQuality: scale.Single.Quality,
		OracleQuality: frontier.Peak(t.Oracle(complete).Curve(nil))}
	for k, e := range entries {
		p := Protocol{Router: e.name}
		var err error
		if p.Paper, err = e.paper(complete, scale); err != nil {
			return nil, err
		}
		if p.Ours, err = e.ours(complete, scale, outOfFold[k]); err != nil {
			return nil, err
		}
		r.Routers = append(r.Routers, p)
	}
	return r, nil
}

// allEstimates returns the estimates for some rows.
func (e *entry) allEstimates(rows []int) (quality, cost [][]float64, err error) {
	for _, i := range rows {
		if e.predictions[i].Forecasts == nil {
			return nil, nil, fmt.Errorf("router %s has no forecast for query %q", e.name, e.table.Set.Queries[i].ID)
		}
		q, c := e.estimates(i, &e.predictions[i])
		quality, cost = append(quality, q), append(cost, c)
	}
	return quality, cost, nil
}

// paper follows the reference code: it takes the argmax of (1-μ)·q - μ·K·c at
// μ = 0, .001, …, 1, the first among equals, and reports the cheapest point that
// matches the best single on the measured queries.
func (e *entry) paper(rows []int, scale frontier.Scale) (ProtocolLine, error) {
	quality, cost, err := e.allEstimates(rows)
	if err != nil {
		return ProtocolLine{}, err
	}
	curve := e.table.Trace(rows, paperGrid+1, func(k, s int) int {
		mu, best := float64(s)/paperGrid, 0
		utility := func(m int) float64 { return (1-mu)*quality[k][m] - mu*carrot.PaperK*cost[k][m] }
		for m := range quality[k] {
			if utility(m) > utility(best) {
				best = m
			}
		}
		return best
	}).Curve(nil)
	line := ProtocolLine{RoutedAccuracy: Number(curve[0].Quality), Quality: Number(math.NaN()), Cost: Number(math.NaN()), Setting: "none"}
	least := math.Inf(1)
	for s, p := range curve {
		if p.Quality >= scale.Single.Quality-1e-12 && p.Cost < least {
			least = p.Cost
			line.Quality, line.Cost = number(p.Quality/scale.Single.Quality), number(p.Cost/scale.Single.Cost)
			line.Setting = fmt.Sprintf("mu=%g", float64(s)/paperGrid)
		}
	}
	return line, nil
}

// ours picks the setting that matched the best single at the least cost out of
// fold on the queries fitted on, and measures it on rows.
func (e *entry) ours(rows []int, scale frontier.Scale, outOfFold *entry) (ProtocolLine, error) {
	var fitted []int
	var predictions []carrot.Prediction
	for i, p := range outOfFold.predictions {
		if p.Forecasts != nil {
			fitted, predictions = append(fitted, i), append(predictions, p)
		}
	}
	w, err := carrot.Target(1).Resolve(train.Frontier(outOfFold.table, fitted, predictions))
	if err != nil {
		return ProtocolLine{}, fmt.Errorf("router %s: %w", e.name, err)
	}
	quality, cost, err := e.allEstimates(rows)
	if err != nil {
		return ProtocolLine{}, err
	}
	settings := []float64{math.Inf(1), w}
	curve := e.table.Trace(rows, 2, func(k, s int) int { return carrot.Choose(quality[k], cost[k], settings[s]) }).Curve(nil)
	return ProtocolLine{RoutedAccuracy: Number(curve[0].Quality), Quality: number(curve[1].Quality / scale.Single.Quality),
		Cost: number(curve[1].Cost / scale.Single.Cost), Setting: fmt.Sprintf("usd-per-quality=%.3g", w)}, nil
}

// runOutOfFold lets a router answer the rows it is fitted on, by folds of prompt
// hash, for protocols.
func runOutOfFold(ctx context.Context, name string, who method, t *table.Table, rows []int, o runOptions) (*entry, error) {
	parts, err := foldParts(t.Set, rows, protocolFolds)
	if err != nil {
		return nil, err
	}
	o.Variants = nil
	return runParts(ctx, name, who, t, parts, o)
}

// protocolFolds is the number of folds on which our setting is picked.
const protocolFolds = 5

// writeProtocols writes both protocols side by side.
func (r *Report) writeProtocols(w io.Writer) error {
	if r.Protocols == nil {
		return nil
	}
	fmt.Fprintf(w, "\nthe paper's protocol beside ours: best single %.4f, oracle %.4f\n", r.Protocols.BestSingleQuality, r.Protocols.OracleQuality)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "router\tprotocol\trouted accuracy at mu=0\tto match the best single: quality\tcost\tsetting\tpicked on")
	for _, p := range r.Protocols.Routers {
		for _, l := range []struct {
			name, on string
			ProtocolLine
		}{{"paper", "the measured queries", p.Paper}, {"ours", "the queries fitted on, out of fold", p.Ours}} {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Router, l.name, l.RoutedAccuracy, percent(l.Quality), percent(l.Cost), l.Setting, l.on)
		}
	}
	return tw.Flush()
}
