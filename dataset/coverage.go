package dataset

import (
	"math"
	"slices"
)

// Coverage says on how many queries of a set the whole pool can be compared, and
// which models have no known cost.
type Coverage struct {
	Queries int
	// Complete counts the queries on which every model in the pool has a score
	// and a cost: a recorded one, or input and output tokens to compute it from.
	// Models in Uncosted need only a score. Frontiers and comparisons use complete
	// queries only.
	Complete int
	// Costed reports whether any model in the pool that has scores has output
	// tokens or a cost on some query. If not, a router trained on the set can only
	// choose by quality.
	Costed bool
	// Uncosted names the models in the pool that have scores but neither output
	// tokens nor a cost on any query, in the order of the models. Their cost is
	// unknown, which is not zero.
	Uncosted []string
}

// Coverage returns the coverage of the set by the models in its pool.
func (s *Set) Coverage() Coverage {
	var pool []namedTally
	for _, j := range s.Pool() {
		t := namedTally{model: s.Models[j].Name}
		for i := range s.Queries {
			o := NewOutcome("", "")
			o.Score, o.InputTokens, o.OutputTokens = s.Score.At(i, j), s.InputTokens.At(i, j), s.OutputTokens.At(i, j)
			if s.CostUSD.Rows > 0 {
				o.CostUSD = s.CostUSD.At(i, j)
			}
			t.add(uint32(i), &o)
		}
		pool = append(pool, t)
	}
	return coverage(len(s.Queries), pool)
}

// Coverage returns the coverage of what was written, by the models that are in
// the pool.
func (w *Writer) Coverage(models []Model) Coverage {
	var pool []namedTally
	for _, m := range models {
		if !m.Pool {
			continue
		}
		t := namedTally{model: m.Name}
		if seen := w.models[m.Name]; seen != nil {
			t.tally = seen.tally
		}
		pool = append(pool, t)
	}
	return coverage(len(w.rows), pool)
}

// tally marks the queries on which a model has a score, and those on which it
// has a score and a cost.
type tally struct {
	scored, costed bitset
	forecastable   bool // it has output tokens or a cost on some query
}

type namedTally struct {
	model string
	tally
}

// add marks query i if the outcome has a score.
func (t *tally) add(i uint32, o *Outcome) {
	t.forecastable = t.forecastable || !math.IsNaN(o.CostUSD) || !math.IsNaN(o.OutputTokens)
	if math.IsNaN(o.Score) {
		return
	}
	t.scored.add(i)
	if !math.IsNaN(o.CostUSD) || !math.IsNaN(o.InputTokens) && !math.IsNaN(o.OutputTokens) {
		t.costed.add(i)
	}
}

// coverage returns the coverage of n queries by the models of a pool.
func coverage(n int, pool []namedTally) Coverage {
	c := Coverage{Queries: n}
	var need []bitset // for each model, the queries that it does not make incomplete
	for _, t := range pool {
		c.Costed = c.Costed || t.forecastable && len(t.scored) > 0
		if t.forecastable {
			need = append(need, t.costed)
			continue
		}
		if len(t.scored) > 0 {
			c.Uncosted = append(c.Uncosted, t.model)
		}
		need = append(need, t.scored)
	}
	for i := range n {
		lacks := func(b bitset) bool { return !b.has(uint32(i)) }
		if len(need) > 0 && !slices.ContainsFunc(need, lacks) {
			c.Complete++
		}
	}
	return c
}
