package rivals

import (
	"context"
	"fmt"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/parallel"
)

// pairForest is RoRF: for a pair of a stronger and a weaker model a random
// forest tells four classes apart — the stronger is better, neither answers,
// both do equally well, the weaker is better — and the first two speak for the
// stronger. Their threshold runs over all of [0,1]; a price of quality that is
// never negative is only its upper half, so that there is a setting in which
// ties speak for both alike (Even). With more than two models a model's worth is
// its mean over the pairs it is in.
//
// For time the pairs are those of the models on the hull of the training
// queries' single models, Trees is a fifth of the authors' hundred, and
// thresholds are looked for among 64 quantiles of a feature. A model off the
// hull is never chosen.
type pairForest struct {
	Trees, Depth, Leaf int
	Features           int  // looked at by a split; 0: all, as the authors'
	Even               bool // a tie is half a win for either
	Hull               []int
	Forests            []forest // of the pairs of Hull, (0,1), (0,2), …, (1,2), …
	Cost               []float64
}

func pairForests(int) []model {
	return []model{
		&pairForest{Trees: 20, Depth: 20, Leaf: 1},
		&pairForest{Trees: 20, Depth: 20, Leaf: 1, Even: true},
		&pairForest{Trees: 20, Depth: 20, Leaf: 20, Features: 16, Even: true},
		&pairForest{Trees: 40, Depth: 8, Leaf: 50, Features: 32, Even: true},
		&pairForest{Trees: 100, Depth: 20, Leaf: 100, Features: 16, Even: true},
	}
}

func (p *pairForest) String() string {
	s := fmt.Sprintf("trees=%d:depth=%d:leaf=%d:features=%d", p.Trees, p.Depth, p.Leaf, p.Features)
	if p.Even {
		s += ":even-ties"
	}
	return s
}

func (p *pairForest) fit(ctx context.Context, d *Data) error {
	p.Cost = d.meanCost
	p.Hull = hullModels(d)
	// Strongest first: of a pair the first is the stronger.
	slices.SortStableFunc(p.Hull, func(a, b int) int {
		if d.meanScore[a] > d.meanScore[b] {
			return -1
		}
		return 1
	})
	b := newBins(d.dense)
	var pairs [][2]int
	for k, strong := range p.Hull {
		for _, weak := range p.Hull[k+1:] {
			pairs = append(pairs, [2]int{strong, weak})
		}
	}
	p.Forests = make([]forest, len(pairs))
	parallel.Each(len(pairs), func(k int) {
		if ctx.Err() == nil {
			p.Forests[k] = p.grow(d, b, pairs[k][0], pairs[k][1], d.Seed+uint64(k)<<32)
		}
	})
	return ctx.Err()
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

// grow grows the forest of one pair.
func (p *pairForest) grow(d *Data, b *bins, strong, weak int, seed uint64) forest {
	m := len(d.Models)
	class := make([]uint8, len(d.X))
	var rows []int32
	for i := range d.X {
		s, w := d.Score[i*m+strong], d.Score[i*m+weak]
		switch {
		case s > w:
			class[i] = 0
		case s == w && s == 0:
			class[i] = 1
		case s == w:
			class[i] = 2
		case w > s:
			class[i] = 3
		default:
			continue // one of them was not observed
		}
		rows = append(rows, int32(i))
	}
	if len(rows) == 0 {
		return nil
	}
	worth := []float32{1, 1, 0, 0}
	if p.Even {
		worth = []float32{1, 0.5, 0.5, 0}
	}
	how := growing{depth: p.Depth, leaf: p.Leaf, features: p.Features, classes: 4}
	return growForest(b, rows, class, worth, how, p.Trees, true, seed)
}

func (p *pairForest) forecast(x *carrot.Representation, w *workspace, out []carrot.Forecast) bool {
	for j := range out {
		out[j] = static(0, p.Cost[j])
	}
	others := float64(max(len(p.Hull)-1, 1))
	pair := 0
	for k, strong := range p.Hull {
		for _, weak := range p.Hull[k+1:] {
			v := 0.5
			if f := p.Forests[pair]; f != nil {
				v = f.value(x.Dense)
			}
			out[strong].Quality += v / others
			out[weak].Quality += (1 - v) / others
			pair++
		}
	}
	return false
}
