package predict

import (
	"context"
	"math"

	"github.com/carrot-router/carrot"
)

// mean forecasts the same for every query: each model's arithmetic mean score
// and mean output tokens over the training queries that all models answered,
// or over all observed ones if there are none. It is the floor that every
// router must beat.
type mean struct {
	raw      []float64 // T
	variance []float64 // M
}

func (l *mean) tune(context.Context, *problem, []int) error { return nil }
func (l *mean) exact() bool                                 { return true }
func (l *mean) describe(*Spec)                              {}

func (l *mean) crossfit(ctx context.Context, p *problem, part []int, parts int, _ bool) (raw, variance []float64, err error) {
	return crossfitByRefit(ctx, p, part, parts, func() learner { return &mean{} })
}

func (l *mean) fit(_ context.Context, p *problem) error {
	complete := make([]bool, p.n)
	count := 0
	for i := range complete {
		complete[i] = p.complete(i)
		if complete[i] {
			count++
		}
	}
	use := func(i int) bool { return count == 0 || complete[i] }
	t := p.targets()
	l.raw, l.variance = make([]float64, t), make([]float64, p.models)
	for c := range t {
		var sum, n float64
		for i := range p.n {
			if y := p.target[i*t+c]; use(i) && !math.IsNaN(y) {
				if p.side(c) == sideVolume {
					y = math.Expm1(y)
				}
				sum += y
				n++
			}
		}
		if n > 0 {
			sum /= n
		}
		switch p.side(c) {
		case sideVolume:
			sum = math.Log1p(sum)
		case sideDifference:
			if c < p.models {
				l.variance[c] = 1 / max(n, 1)
			}
		}
		l.raw[c] = sum
	}
	return nil
}

// complete reports whether every model has a score on row i, and a volume if
// it has one on any row.
func (p *problem) complete(i int) bool {
	t := p.targets()
	if p.volumes == nil {
		p.volumes = make([]bool, p.models)
		for r := range p.n {
			for j := range p.models {
				p.volumes[j] = p.volumes[j] || !math.IsNaN(p.target[r*t+p.models+j])
			}
		}
	}
	for j := range p.models {
		if math.IsNaN(p.target[i*t+j]) || p.volumes[j] && math.IsNaN(p.target[i*t+p.models+j]) {
			return false
		}
	}
	return true
}

func (l *mean) again() learner { return &mean{} }

func (l *mean) predict(_ *carrot.Representation, _ *workspace, raw, variance []float64) {
	copy(raw, l.raw)
	copy(variance, l.variance)
}

func (l *mean) save(out *tensors, prefix string) {
	out.float64s(prefix+"raw", l.raw, len(l.raw))
	out.float64s(prefix+"variance", l.variance, len(l.variance))
}

func (l *mean) load(in *tensors, prefix string) (err error) {
	l.raw = in.getFloat64s(prefix+"raw", in.targets())
	l.variance = in.getFloat64s(prefix+"variance", in.models)
	return in.err
}
