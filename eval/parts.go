package eval

import (
	"errors"
	"fmt"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/table"
)

// Part is one fit of a comparison: a router fitted on the rows Fit answers the
// rows Held, of which it saw nothing.
type Part struct {
	Fit, Held []int
}

// Folds parts the rows that are not marked test into k folds by prompt hash,
// each held out once.
func Folds(set *dataset.Set, k int) ([]Part, error) {
	return foldsOf(set, table.Trainable(set), k)
}

func foldsOf(set *dataset.Set, rows []int, k int) ([]Part, error) {
	return partsOf(rows, k, func(i int) int { return dataset.Fold(set.Queries[i].Prompt, k) })
}

// Sources holds out one source at a time of the rows that are not marked test:
// how a router fares on a subject it never saw.
func Sources(set *dataset.Set) ([]Part, error) {
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

// Split holds out the rows of a split; all rows outside it that are not marked
// test are fitted on. There is no part where there are none.
func Split(set *dataset.Set, split dataset.Split) []Part {
	var fit []int
	for _, i := range table.Trainable(set) {
		if set.Queries[i].Split != split {
			fit = append(fit, i)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return []Part{{fit, set.Rows(split)}}
}

func partsOf(rows []int, n int, part func(row int) int) ([]Part, error) {
	parts := make([]Part, n)
	for _, i := range rows {
		for f := range parts {
			if part(i) == f {
				parts[f].Held = append(parts[f].Held, i)
			} else {
				parts[f].Fit = append(parts[f].Fit, i)
			}
		}
	}
	var used []Part
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

// Held lists the rows that parts hold out.
func Held(parts []Part) []int {
	var rows []int
	for _, p := range parts {
		rows = append(rows, p.Held...)
	}
	return rows
}

// thin keeps a share of the rows, by prompt hash, so that a smaller share is
// part of a larger one. 0 keeps all.
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
