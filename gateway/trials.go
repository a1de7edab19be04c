package gateway

import "slices"

// trials are the candidates of a request, tried one after the other.
type trials struct {
	left  []*candidate // not tried yet
	limit int          // of trials
	tried []*candidate
}

// next takes the candidate to try, nil if there is none. If all trials so far were
// of one provider, the last one is of another, so that an outage of one provider
// does not use up all trials.
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

// tooLong removes the candidates that are known to have no more context than c, for
// which the request was too long.
func (t *trials) tooLong(c *candidate) {
	have := c.Model.ContextTokens
	t.left = slices.DeleteFunc(slices.Clone(t.left), func(other *candidate) bool {
		return have > 0 && other.Model.ContextTokens > 0 && other.Model.ContextTokens <= have
	})
}
