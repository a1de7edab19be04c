package rivals

import (
	"context"
	"math"

	"github.com/carrot-router/carrot"
)

// random gives every model a worth that is drawn from the query itself, so that
// equal queries get equal draws. At λ = 0 it chooses uniformly; as λ grows it
// drifts to the cheapest model.
type random struct {
	Seed uint64
	Cost []float64
}

func (r *random) String() string { return "random" }

func (r *random) fit(_ context.Context, d *Data) error {
	r.Seed, r.Cost = d.Seed, d.meanCost
	return nil
}

func (r *random) forecast(x *carrot.Representation, _ *workspace, out []carrot.Forecast) bool {
	h := r.Seed ^ 0x9e3779b97f4a7c15
	for _, v := range x.Dense {
		h = mix(h ^ uint64(math.Float32bits(v)))
	}
	for j := range out {
		h = mix(h + 0x9e3779b97f4a7c15)
		out[j] = static(float64(h>>11)/(1<<53), r.Cost[j])
	}
	return false
}

// mix scrambles 64 bits (the finaliser of splitmix64).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// static is the forecast of a worth at a cost in USD that does not depend on the
// query.
func static(worth, cost float64) carrot.Forecast {
	return carrot.Forecast{Quality: worth, CostUSD: cost, CostUSDP90: cost, Direct: true}
}

// cheapest gives all models the same worth, so that cost alone decides.
type cheapest struct{ Cost []float64 }

func (c *cheapest) String() string { return "cheapest" }

func (c *cheapest) fit(_ context.Context, d *Data) error {
	c.Cost = d.meanCost
	return nil
}

func (c *cheapest) forecast(_ *carrot.Representation, _ *workspace, out []carrot.Forecast) bool {
	for j := range out {
		out[j] = static(0, c.Cost[j])
	}
	return false
}
