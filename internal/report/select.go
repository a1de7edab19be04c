package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/internal/spelling"
)

// Select returns a report with the named routers only, in the given order, and the
// reference rows after them. The names of the others are in its Omitted, so that every
// form can say that it does not show all that was measured. r stays as it is.
func Select(r *eval.Report, names []string) (*eval.Report, error) {
	out := *r
	out.Routers, out.Omitted, out.Pairs = nil, slices.Clone(r.Omitted), nil
	if r.Pairs != nil {
		out.Pairs = []eval.Pair{}
	}
	var valid []string
	byName := map[string]*eval.RouterLine{}
	for k := range r.Routers {
		l := &r.Routers[k]
		valid, byName[l.Name] = append(valid, l.Name), l
	}
	place := map[string]int{}
	add := func(l *eval.RouterLine) {
		place[l.Name] = len(out.Routers)
		out.Routers = append(out.Routers, *l)
	}
	given := map[string]bool{}
	for _, name := range names {
		l := byName[name]
		switch {
		case l == nil && slices.Contains(r.Omitted, name):
			return nil, fmt.Errorf("router %q was left out when this file was made: take it from the file that carrot eval --json wrote", name)
		case l == nil:
			return nil, fmt.Errorf("no router %q in the report: %s", name, spelling.Suggest(name, valid))
		case given[name]:
			return nil, fmt.Errorf("router %q is named twice", name)
		}
		given[name] = true
		if !isReference(name) { // those are there anyway
			add(l)
		}
	}
	for k := range r.Routers {
		switch l := &r.Routers[k]; {
		case isReference(l.Name):
			add(l)
		case !given[l.Name]:
			out.Omitted = append(out.Omitted, l.Name)
		}
	}
	for _, p := range r.Pairs {
		if _, ok := place[p.A]; !ok {
			continue
		}
		if _, ok := place[p.B]; !ok {
			continue
		}
		if place[p.A] > place[p.B] {
			p = swapped(p)
		}
		out.Pairs = append(out.Pairs, p)
	}
	slices.SortStableFunc(out.Pairs, func(p, q eval.Pair) int {
		return cmp.Or(cmp.Compare(place[p.A], place[q.A]), cmp.Compare(place[p.B], place[q.B]))
	})
	if r.Protocols != nil {
		protocols := *r.Protocols
		protocols.Routers = nil
		for _, p := range r.Protocols.Routers {
			if _, ok := place[p.Router]; ok {
				protocols.Routers = append(protocols.Routers, p)
			}
		}
		slices.SortStableFunc(protocols.Routers, func(p, q eval.Protocol) int { return cmp.Compare(place[p.Router], place[q.Router]) })
		out.Protocols = &protocols
	}
	return &out, nil
}

// swapped is the same comparison from the other side.
func swapped(p eval.Pair) eval.Pair {
	out := eval.Pair{A: p.B, B: p.A, AIQDiff: 0 - p.AIQDiff}
	if len(p.Interval) == 2 {
		out.Interval = []eval.Number{0 - p.Interval[1], 0 - p.Interval[0]}
	}
	return out
}
