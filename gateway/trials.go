package gateway

import "slices"

// trials are the candidates of a request, which are tried one after another.
type trials struct {
	left  []*candidate // not yet tried
	limit int          // on the number of candidates that are tried
	tried []*candidate
}

// next returns the next candidate, or nil if there is none. If all candidates so far are
// at one provider, the last one that may be tried is at another, so that an outage of
// one provider does not use up all trials.
func (t *trials) next() *candidate {
	if t.last() {
		return nil
	}
	at := 0
	if len(t.tried) == t.limit-1 && len(t.tried) > 0 && !slices.ContainsFunc(t.tried, func(c *candidate) bool { return c.target().provider != t.tried[0].target().provider }) {
		at = max(0, slices.IndexFunc(t.left, func(c *candidate) bool { return c.target().provider != t.tried[0].target().provider }))
	}
	c := t.left[at]
	t.left = slices.Delete(slices.Clone(t.left), at, at+1)
	t.tried = append(t.tried, c)
	return c
}

// last reports whether no candidate is left to try.
func (t *trials) last() bool { return len(t.left) == 0 || len(t.tried) >= t.limit }

// further reports whether candidates that were not in the order of a choice may be tried.
func (t *trials) further(h *choice) bool { return h.beyond != nil && len(t.tried) < t.limit }

// prefer puts the candidates with a property before the others. The order is otherwise
// the same.
func (t *trials) prefer(has func(*candidate) bool) {
	t.left = slices.Clone(t.left)
	slices.SortStableFunc(t.left, func(a, b *candidate) int {
		switch x, y := has(a), has(b); {
		case x == y:
			return 0
		case x:
			return -1
		}
		return 1
	})
}

// tooLong removes the candidates whose context is known to be no longer than that of c,
// for which the request was too long.
func (t *trials) tooLong(c *candidate) {
	have := c.Model.ContextTokens
	t.left = slices.DeleteFunc(slices.Clone(t.left), func(other *candidate) bool {
		return have > 0 && other.Model.ContextTokens > 0 && other.Model.ContextTokens <= have
	})
}
