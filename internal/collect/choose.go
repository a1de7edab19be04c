package collect

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
)

// choose returns which prompts are asked, in order. random of them are those that were
// drawn, the first in drawn; every mean comes from them. Half of the others are the ones
// farthest from all before them (a greedy cover), and half those on which the present
// router is least certain. n, the length of drawn, is how many there are in all.
func (p *Plan) choose(ctx context.Context, all []Prompt, drawn []int, random int) ([]int, error) {
	n := len(drawn)
	order := slices.Clone(drawn[:random])
	texts := make([]string, len(all))
	for i := range all {
		texts[i] = all[i].Prompt
	}
	observed := p.opt.observed()
	dense, doubt := make([][]float32, len(all)), make([]float64, len(all))
	err := p.opt.predict(ctx, texts, func(i int, x *carrot.Representation, prediction *carrot.Prediction) {
		dense[i] = slices.Clone(x.Dense)
		for m, f := range prediction.Forecasts {
			if observed[m] {
				doubt[i] += f.QualitySE
			}
		}
	})
	if err != nil {
		return nil, err
	}
	cover := random + (n-random+1)/2
	if p.opt.Predictor == nil {
		cover = n
	}
	if order, err = Cover(ctx, dense, order, cover); err != nil {
		return nil, err
	}
	taken := make([]bool, len(all))
	for _, i := range order {
		taken[i] = true
	}
	var left []int
	for i := range all {
		if !taken[i] {
			left = append(left, i)
		}
	}
	slices.SortStableFunc(left, func(a, b int) int { return cmp.Compare(doubt[b], doubt[a]) })
	return append(order, left[:n-len(order)]...), nil
}

// Cover returns the vectors of taken and further ones, up to n in all: one after the other
// the one farthest from all before it, and of equal ones the first. n is at most the number
// of vectors.
func Cover(ctx context.Context, vectors [][]float32, taken []int, n int) ([]int, error) {
	order, out := slices.Clone(taken), make([]bool, len(vectors))
	near := make([]float64, len(vectors)) // the squared distance to the nearest one that is taken
	for i := range near {
		near[i] = math.Inf(1)
	}
	take := func(i int) {
		out[i] = true
		for k := range vectors {
			near[k] = min(near[k], distance(vectors[k], vectors[i]))
		}
	}
	for _, i := range order {
		take(i)
	}
	for len(order) < n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		farthest := -1
		for i := range near {
			if !out[i] && (farthest < 0 || near[i] > near[farthest]) {
				farthest = i
			}
		}
		order = append(order, farthest)
		take(farthest)
	}
	return order, nil
}

// distance returns the squared distance of two vectors.
func distance(a, b []float32) (sum float64) {
	for i := range a {
		d := float64(a[i] - b[i])
		sum += d * d
	}
	return sum
}
