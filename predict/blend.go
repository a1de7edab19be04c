package predict

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
)

// blend is the plain mean of several learners: words and neighbourhoods err
// differently, and equal weights are hard to beat with a few thousand queries
// (docs/log.md).
type blend struct {
	names []string
	parts []learner
}

// defaultParts of a blend on static vectors.
const defaultParts = "kernel+sparse"

func newBlend(s Spec) (*blend, error) {
	if s.Parts == "" {
		s.Parts = defaultParts
	}
	b := &blend{names: strings.Split(s.Parts, "+")}
	for i, name := range b.names {
		if !slices.Contains([]string{"kernel", "sparse", "knn", "ridge"}, name) || slices.Contains(b.names[:i], name) {
			return nil, fmt.Errorf("parts of a blend: %q: want some of kernel, sparse, knn and ridge, joined by +", s.Parts)
		}
		part := s
		part.Name = name
		l, err := newLearner(part)
		if err != nil {
			return nil, err
		}
		b.parts = append(b.parts, l)
	}
	return b, nil
}

func (l *blend) exact() bool { return false }

func (l *blend) describe(s *Spec) {
	s.Parts = strings.Join(l.names, "+")
	for _, part := range l.parts {
		part.describe(s)
	}
}

func (l *blend) tune(ctx context.Context, p *problem, fold []int) error {
	for _, part := range l.parts {
		if err := part.tune(ctx, p, fold); err != nil {
			return err
		}
	}
	return nil
}

func (l *blend) crossfit(ctx context.Context, p *problem, part []int, parts int, rough bool) (raw, variance []float64, err error) {
	raw, variance = make([]float64, p.n*p.targets()), make([]float64, p.n*p.models)
	for _, learner := range l.parts {
		r, v, err := learner.crossfit(ctx, p, part, parts, rough)
		if err != nil {
			return nil, nil, err
		}
		l.add(raw, variance, r, v)
	}
	return raw, variance, nil
}

// add adds one part's share of the mean.
func (l *blend) add(raw, variance, r, v []float64) {
	share := 1 / float64(len(l.parts))
	for i, y := range r {
		raw[i] += share * y
	}
	for i, y := range v {
		variance[i] += share * y
	}
}

func (l *blend) fit(ctx context.Context, p *problem) error {
	for _, part := range l.parts {
		if err := part.fit(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (l *blend) again() learner {
	out := &blend{names: l.names}
	for _, part := range l.parts {
		out.parts = append(out.parts, part.again())
	}
	return out
}

func (l *blend) predict(x *carrot.Representation, w *workspace, raw, variance []float64) {
	w.part.raw, w.part.variance = grow(w.part.raw, len(raw)), grow(w.part.variance, len(variance))
	clear(raw)
	clear(variance)
	for _, part := range l.parts {
		part.predict(x, w, w.part.raw, w.part.variance)
		l.add(raw, variance, w.part.raw, w.part.variance)
	}
}

func (l *blend) save(out *tensors, prefix string) {
	for i, part := range l.parts {
		part.save(out, prefix+l.names[i]+".")
	}
}

func (l *blend) load(in *tensors, prefix string) error {
	for i, part := range l.parts {
		if err := part.load(in, prefix+l.names[i]+"."); err != nil {
			return err
		}
	}
	return nil
}
