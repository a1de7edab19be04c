package predict

import (
	"slices"

	"github.com/carrot-router/carrot"
)

// Only returns a predictor of some of p's models, in the order given. Its
// predictions for them are p's to the last bit, in less time and memory. If p is
// not fitted or does not know one of the models, or one is a plan, Only returns p itself. The
// result has no Holdout.
func (p *Predictor) Only(models []string) carrot.Predictor {
	columns := make([]int, len(models))
	for i, model := range models {
		if columns[i] = slices.Index(p.models, model); columns[i] < 0 {
			return p
		}
	}
	if p.learner == nil {
		return p
	}
	small := head{caution: p.head.caution, models: pick(p.head.models, columns)}
	if p.head.correction != nil {
		small.correction = pick(p.head.correction, columns)
	}
	return &Predictor{spec: p.spec, models: slices.Clone(models), dense: p.dense, learner: p.learner.only(columns, len(p.models)),
		head: small, novelty: p.novelty}
}

// pick returns the elements at the given places.
func pick[T any](list []T, places []int) []T {
	out := make([]T, len(places))
	for i, at := range places {
		out[i] = list[at]
	}
	return out
}

// pickColumns returns the given columns of a row-major matrix.
func pickColumns[T any](matrix []T, width int, columns []int) []T {
	out := make([]T, 0, len(matrix)/width*len(columns))
	for row := range slices.Chunk(matrix, width) {
		for _, c := range columns {
			out = append(out, row[c])
		}
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

func (l *mean) only(columns []int, models int) learner {
	return &mean{raw: pick(l.raw, targetsAt(columns, models)), variance: pick(l.variance, columns)}
}

func (l *knn) only(columns []int, models int) learner {
	at := targetsAt(columns, models)
	out := *l
	out.targets, out.mean, out.target = len(at), pick(l.mean, at), pickColumns(l.target, l.targets, at)
	return &out
}

func (l *ridge) only(columns []int, models int) learner {
	at := targetsAt(columns, models)
	out := *l
	out.mean, out.group, out.weights = pick(l.mean, at), pick(l.group, at), pickColumns(l.weights, len(l.mean), at)
	return &out
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
	at := targetsAt(columns, models)
	out := *l
	out.mean, out.class, out.weights = pick(l.mean, at), pick(l.class, columns), pickColumns(l.weights, len(l.mean), at)
	return &out
}

func (l *blend) only(columns []int, models int) learner {
	out := &blend{names: l.names}
	for _, part := range l.parts {
		out.parts = append(out.parts, part.only(columns, models))
	}
	return out
}
