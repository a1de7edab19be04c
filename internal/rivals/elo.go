package rivals

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// weightedElo is RouteLLM's similarity-weighted ranking: for every query, all
// training queries count as battles between the models, with the weight
//
//	Base · Base^(similarity / largest similarity)
//
// and Bradley-Terry ratings are fitted to them; a tie is half a win for each
// side. With two models, the chance of winning is the weighted mean of wins; with
// more, a model's worth is its mean chance of beating another. The authors first
// sort the models into ten tiers, which a pool of this size does not need.
type weightedElo struct {
	Base   float64
	Memory memory
	Models int
	Wins   []float32 // n × M(M-1): for each ordered pair (a,b) 1 if a won, 0.5 for a tie
	Cost   []float64
}

func weightedElos(int) []model {
	var out []model
	for _, base := range []float64{10, 100, 1e3, 1e4, 1e6, 1e8} {
		out = append(out, &weightedElo{Base: base})
	}
	return out
}

func (e *weightedElo) String() string { return fmt.Sprintf("base=%g", e.Base) }

func (e *weightedElo) fit(_ context.Context, d *Data) error {
	m := len(d.Models)
	e.Memory, e.Models, e.Cost = memory{d.dense}, m, d.meanCost
	e.Wins = make([]float32, len(d.X)*m*(m-1))
	for i := range d.X {
		at := e.Wins[i*m*(m-1):]
		score := d.Score[i*m:][:m]
		for a := range m {
			for b := range m {
				if a == b {
					continue
				}
				switch {
				case score[a] > score[b]:
					at[0] = 1
				case score[a] == score[b]:
					at[0] = 0.5
				}
				at = at[1:]
			}
		}
	}
	return nil
}

func (e *weightedElo) forecast(x *carrot.Representation, w *workspace, out []carrot.Forecast) bool {
	if e.Models == 1 {
		out[0] = static(0.5, e.Cost[0])
		return false
	}
	e.Memory.similarities(x.Dense, w)
	top := max(slices.Max(w.similarity), 1e-6)
	for i, s := range w.similarity {
		// Divided by Base², which changes no ratio and keeps weights at most 1.
		w.similarity[i] = float32(math.Pow(e.Base, float64(s/top)-1))
	}
	pairs := e.Models * (e.Models - 1)
	w.a = slices.Grow(w.a[:0], pairs)[:pairs]
	blas32.Gemv(blas.Trans, 1, blas32.General{Rows: len(w.similarity), Cols: pairs, Stride: pairs, Data: e.Wins},
		blas32.Vector{N: len(w.similarity), Inc: 1, Data: w.similarity}, 0, blas32.Vector{N: pairs, Inc: 1, Data: w.a})
	w.b = slices.Grow(w.b[:0], e.Models)[:e.Models]
	w.sum = slices.Grow(w.sum[:0], e.Models)[:e.Models]
	bradleyTerry(w.a, w.b, w.sum)
	for j := range out {
		out[j] = static(meanWin(w.b, j), e.Cost[j])
	}
	return false
}

// bradleyTerry writes to strength the logarithms of the ratings under which the
// wins are most likely; wins holds the ordered pairs (a,b), a ≠ b, row by row. It
// iterates the equation of Newman (arXiv 2207.00076) to convergence.
func bradleyTerry(wins []float32, strength []float32, rating []float64) {
	m := len(strength)
	at := func(a, b int) float64 {
		if b > a {
			b--
		}
		return float64(wins[a*(m-1)+b])
	}
	for a := range rating {
		rating[a] = 1
	}
	const tiny = 1e-9 // keeps ratings finite if a model wins nothing, or everything
	for range 200 {
		moved, product := 0.0, 0.0
		for a := range m {
			won, lost := tiny, tiny
			for b := range m {
				if a == b {
					continue
				}
				won += at(a, b) * rating[b] / (rating[a] + rating[b])
				lost += at(b, a) / (rating[a] + rating[b])
			}
			next := won / lost
			moved = max(moved, math.Abs(math.Log(next/rating[a])))
			rating[a] = next
			product += math.Log(next)
		}
		scale := math.Exp(-product / float64(m))
		for a := range rating {
			rating[a] *= scale
		}
		if moved < 1e-6 {
			break
		}
	}
	for a, r := range rating {
		strength[a] = float32(math.Log(r))
	}
}
