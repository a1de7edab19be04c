package rivals

import (
	"context"
	"fmt"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/parallel"
)

// pairForest is RoRF: for a pair of a stronger and a weaker model, a random
// forest distinguishes four classes — the stronger is better, neither answers,
// both do equally well, the weaker is better — of which the first two count for
// the stronger. The authors' threshold covers all of [0,1]; a price of quality,
// which is never negative, covers only the upper half of it. So there is a
// setting, Even, in which ties count for both models equally. With more than two
// models, each is paired with the best single model of the training queries: its
// worth is its chance of beating that one, whose own worth is a half.
//
// To save time, models are paired with the best single model only, Trees is a
// fifth of the authors' hundred if a split looks at all features, and thresholds
// are chosen among 64 quantiles of a feature.
type pairForest struct {
	Trees, Depth, Leaf int
	Features           int  // how many a split looks at; 0 means all, as in the authors' code
	Even               bool // a tie is half a win for each
	Strong             int
	Forests            []forest // of each model against Strong, nil for Strong itself
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
	p.Cost, p.Strong = d.meanCost, first(d.meanScore)
	b := newBins(d.dense)
	p.Forests = make([]forest, len(d.Models))
	parallel.Each(len(d.Models), func(weak int) {
		if ctx.Err() == nil && weak != p.Strong {
			p.Forests[weak] = p.grow(d, b, p.Strong, weak, d.Seed+uint64(weak)<<32)
		}
	})
	return ctx.Err()
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

func (p *pairForest) forecast(x *carrot.Representation, _ *workspace, out []carrot.Forecast) bool {
	for j := range out {
		worth := 0.5
		if f := p.Forests[j]; f != nil {
			worth = 1 - f.value(x.Dense)
		}
		out[j] = static(worth, p.Cost[j])
	}
	return false
}
