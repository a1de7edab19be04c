// Package arena reads and writes the files of the benchmark RouterArena
// (github.com/RouteWorks/RouterArena), and computes its score.
package arena

import (
	"errors"
	"fmt"
	"io"

	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/phrase"
)

// ErrNotScored is returned for predictions none of which has both an accuracy
// and a cost.
var ErrNotScored = errors.New("no row has an accuracy and a cost")

// Report is a router's score on RouterArena (carrot.arena/1).
type Report struct {
	Schema  string  `json:"schema"`
	Queries int     `json:"queries"` // without the optimality rows, which do not count
	Scored  int     `json:"scored"`  // queries with an accuracy and a cost
	Score   float64 `json:"arena_score"`
	// Accuracy is the mean over the queries that have one, and so is
	// CostUSDPer1000: absent is not zero.
	Accuracy       float64 `json:"accuracy"`
	CostUSDPer1000 float64 `json:"cost_usd_per_1000"`
	// AsCounted is the score that RouterArena's script computes, which counts a
	// missing cost as zero. It equals Score if all queries are scored.
	AsCounted float64 `json:"arena_score_as_counted"`
	// Robustness is the share of queries whose changed prompt goes to the same
	// model; nil until CompareRobustness sets it.
	Robustness *float64   `json:"robustness"`
	Compared   int        `json:"robustness_queries"`
	Missing    []Unscored `json:"unscored"`
	Optimality int        `json:"optimality_rows"`
}

// Unscored is a row without an accuracy, a cost or both.
type Unscored struct {
	Line  int      `json:"line"`
	Index string   `json:"global_index"`
	Lacks []string `json:"lacks"`
}

// Score computes the score of scored predictions as RouterArena does. The error
// wraps [ErrNotScored] if no row is scored.
func Score(rows []Row) (*Report, error) {
	r := &Report{Schema: "carrot.arena/1", Missing: []Unscored{}}
	var accuracy, cost float64
	var accuracies, costs int
	for i := range rows {
		row := &rows[i]
		if row.Optimality {
			r.Optimality++
			continue
		}
		r.Queries++
		var lacks []string
		if row.Accuracy >= 0 {
			accuracy, accuracies = accuracy+row.Accuracy, accuracies+1
		} else {
			lacks = append(lacks, "accuracy")
		}
		if row.CostUSD >= 0 {
			cost, costs = cost+row.CostUSD, costs+1
		} else {
			lacks = append(lacks, "cost")
		}
		if lacks == nil {
			r.Scored++
			continue
		}
		r.Missing = append(r.Missing, Unscored{row.Line, row.Index, lacks})
	}
	switch {
	case r.Scored == 0:
		return nil, fmt.Errorf("score predictions: %w", ErrNotScored)
	case cost == 0:
		return nil, errors.New("score predictions: every cost is 0, for which RouterArena has no score")
	}
	r.Accuracy, r.CostUSDPer1000 = accuracy/float64(accuracies), 1000*cost/float64(costs)
	r.Score = frontier.ArenaScore(r.Accuracy, r.CostUSDPer1000)
	r.AsCounted = frontier.ArenaScore(r.Accuracy, 1000*cost/float64(r.Queries))
	return r, nil
}

// CompareRobustness sets the share of choices that stay the same when prompts
// are changed: changed holds predictions for the same indices. Queries without a
// prediction in both are left out. Names of models are compared as written.
func (r *Report) CompareRobustness(rows, changed []Row) error {
	chosen := make(map[string]string)
	for i := range rows {
		if !rows[i].Optimality {
			chosen[rows[i].Index] = rows[i].Prediction
		}
	}
	same := 0
	r.Compared = 0
	for i := range changed {
		before := chosen[changed[i].Index]
		if changed[i].Optimality || before == "" || changed[i].Prediction == "" {
			continue
		}
		r.Compared++
		if before == changed[i].Prediction {
			same++
		}
	}
	if r.Compared == 0 {
		return errors.New("compare robustness: no query has a prediction in both files")
	}
	share := float64(same) / float64(r.Compared)
	r.Robustness = &share
	return nil
}

// mostUnscored is how many rows WriteText lists.
const mostUnscored = 10

// WriteText writes the report for people; file is the file of the rows.
func (r *Report) WriteText(w io.Writer, file string) error {
	p := &printer{w: w}
	p.printf("RouterArena score      %.4f  (the leaderboard shows %.2f)\n", r.Score, 100*r.Score)
	p.printf("accuracy               %.4f\n", r.Accuracy)
	p.printf("cost of 1,000 queries  %s\n", phrase.USD(r.CostUSDPer1000))
	if r.Robustness != nil {
		p.printf("robustness             %.4f  (%s)\n", *r.Robustness, phrase.Count(r.Compared, "query"))
	}
	p.printf("queries                %d, scored %d", r.Queries, r.Scored)
	if r.Optimality > 0 {
		p.printf("; %s %s not count", phrase.Count(r.Optimality, "optimality row"), phrase.Verb(r.Optimality, "does", "do"))
	}
	p.printf("\n")
	if len(r.Missing) == 0 {
		return p.err
	}
	p.printf("\n%s %s not scored, so this is not the final score; RouterArena's script,\nwhich counts a missing cost as zero, would print %.4f:\n", phrase.Count(len(r.Missing), "row"), phrase.Verb(len(r.Missing), "is", "are"), r.AsCounted)
	for k, m := range r.Missing {
		if k == mostUnscored {
			p.printf("  … and %d more (--json lists all)\n", len(r.Missing)-k)
			break
		}
		lacks := m.Lacks[0]
		if len(m.Lacks) > 1 {
			lacks = "accuracy and cost"
		}
		p.printf("  %s:%d: %s lacks %s\n", file, m.Line, m.Index, lacks)
	}
	return p.err
}

// printer keeps the first error of several writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
