package predict

import (
	"slices"

	"github.com/carrot-router/carrot"
)

// Only returns a predictor of some of p's models, in the order given: it gives
// them what p does, to the last bit, and reads fewer weights for it. If a learner
// cannot leave models out, or p does not know one, it is p itself.
func (p *Predictor) Only(models []string) carrot.Predictor {
	part, ok := p.learner.(narrower)
	if !ok {
		return p
	}
	columns := make([]int, len(models))
	for i, model := range models {
		if columns[i] = slices.Index(p.models, model); columns[i] < 0 {
			return p
		}
	}
	learner := part.only(columns, len(p.models))
	if learner == nil {
		return p
	}
	return &Predictor{spec: p.spec, models: slices.Clone(models), dense: p.dense, learner: learner,
		head: head{caution: p.head.caution, models: pick(p.head.models, columns)}, novelty: p.novelty}
}

// narrower is a learner that can leave models out.
type narrower interface {
	// only returns the fitted learner of the models of these columns among so
	// many, or nil if there is none.
	only(columns []int, models int) learner
}

// pick returns the elements at the given places.
func pick[T any](list []T, places []int) []T {
	out := make([]T, len(places))
	for i, at := range places {
		out[i] = list[at]
	}
	return out
}

// targetsAt lists where the targets of some models are: their differences, their
// volumes and the common part.
func targetsAt(columns []int, models int) []int {
	at := slices.Clone(columns)
	for _, c := range columns {
		at = append(at, models+c)
	}
	return append(at, targetsOf(models)-1)
}

func (l *kernel) only(columns []int, models int) learner {
	at, n := targetsAt(columns, models), l.z.Rows
	out := *l
	out.w, out.mean, out.class = nil, pick(l.mean, at), pick(l.class, columns)
	for _, c := range at {
		out.w = append(out.w, l.w[c*n:][:n]...)
	}
	return &out
}

func (l *sparse) only(columns []int, models int) learner {
	at, t := targetsAt(columns, models), len(l.mean)
	out := *l
	out.mean, out.class = pick(l.mean, at), pick(l.class, columns)
	out.weights = make([]float32, 0, len(l.idf)*len(at))
	for b := range l.idf {
		for _, c := range at {
			out.weights = append(out.weights, l.weights[b*t+c])
		}
	}
	return &out
}

func (l *blend) only(columns []int, models int) learner {
	out := &blend{names: l.names}
	for _, part := range l.parts {
		narrow, ok := part.(narrower)
		if !ok {
			return nil
		}
		kept := narrow.only(columns, models)
		if kept == nil {
			return nil
		}
		out.parts = append(out.parts, kept)
	}
	return out
}
