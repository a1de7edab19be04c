package eval

import (
	"errors"
	"fmt"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/table"
)

// part is one fit of a comparison: a router that is fitted on the rows Fit answers
// the rows Held, which it has not seen.
type part struct {
	Fit, Held []int
}

// foldParts splits rows into k folds by prompt hash, and holds each out once.
func foldParts(set *dataset.Set, rows []int, k int) ([]part, error) {
	return partsOf(rows, k, func(i int) int { return dataset.Fold(set.Queries[i].Prompt, k) })
}

// sourceParts holds out one source at a time, among the rows that are not marked
// test: how well a router does on a subject that it has never seen.
func sourceParts(set *dataset.Set) ([]part, error) {
	rows := table.Trainable(set)
	group, n := table.Sources(set, rows)
	if n < 2 {
		return nil, fmt.Errorf("data set %s has %d source: leaving one out needs two", set.Name, n)
	}
	of := make(map[int]int, len(rows))
	for k, i := range rows {
		of[i] = group[k]
	}
	return partsOf(rows, n, func(i int) int { return of[i] })
}

// splitParts holds out the rows of a split. The other rows that are not marked
// test are fitted on; if there are none, there is no part.
func splitParts(set *dataset.Set, split dataset.Split) []part {
	var fit []int
	for _, i := range table.Trainable(set) {
		if set.Queries[i].Split != split {
			fit = append(fit, i)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return []part{{fit, set.Rows(split)}}
}

func partsOf(rows []int, n int, of func(row int) int) ([]part, error) {
	parts := make([]part, n)
	for _, i := range rows {
		for f := range parts {
			if of(i) == f {
				parts[f].Held = append(parts[f].Held, i)
			} else {
				parts[f].Fit = append(parts[f].Fit, i)
			}
		}
	}
	var used []part
	for _, p := range parts {
		if len(p.Held) == 0 {
			continue
		}
		if len(p.Fit) == 0 {
			return nil, errors.New("all queries are in one part: nothing is left to fit on")
		}
		used = append(used, p)
	}
	return used, nil
}

// thin keeps a share of the rows, by prompt hash, so that a smaller share is part
// of a larger one. A share of 0 keeps all.
func thin(set *dataset.Set, rows []int, share float64) []int {
	if share <= 0 || share >= 1 {
		return rows
	}
	const parts = 4096
	var kept []int
	for _, i := range rows {
		if float64(dataset.Fold(set.Queries[i].Prompt+"\x00thin", parts)) < share*parts {
			kept = append(kept, i)
		}
	}
	return kept
}

// Fold is the fold of a query. Folds are numbered from 0; the routers that answer the
// queries of a fold are fitted on those of all others.
type Fold struct {
	ID     string `json:"id"` // of the query
	Fold   int    `json:"fold"`
	Source string `json:"source,omitempty"` // left out, if it is sources that are left out
}

// Folds lists, in the order of set, the queries that Run measures with the same
// o.Folds or o.LeaveSourcesOut, one of which must be set, so that a router that is
// fitted by another program (see [External]) can be fitted as fairly. Queries marked
// test have no fold. A fold depends on the prompt or the source alone, not on a seed.
func Folds(set *dataset.Set, o Options) ([]Fold, error) {
	if err := o.checkFolds(); err != nil {
		return nil, err
	}
	if !o.outOfFold() {
		return nil, errors.New("list folds: neither folds nor leaving sources out is asked for")
	}
	e := &evaluation{Options: o, set: set}
	if err := e.choose(); err != nil {
		return nil, err
	}
	out := make([]Fold, len(e.set.Queries))
	for number, p := range e.parts {
		for _, i := range p.Held {
			out[i] = Fold{ID: e.set.Queries[i].ID, Fold: number}
			if o.LeaveSourcesOut {
				out[i].Source = e.set.Queries[i].Source
			}
		}
	}
	return out, nil
}
