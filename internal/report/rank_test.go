package report

import (
	"strings"
	"testing"

	"github.com/carrot-router/carrot/eval"
)

// Routers are ordered by AIQ, with the references last; a group holds those that
// cannot be told apart from its best.
func TestGroups(t *testing.T) {
	r := synthetic(4)
	r.Routers[0], r.Routers[2] = r.Routers[2], r.Routers[0]
	b := newBoard(r, Options{})
	var got []string
	for _, i := range b.order {
		name := b.Routers[i].Name
		if g, ok := b.groups[name]; ok {
			name += " " + letter(g)
		}
		got = append(got, name)
	}
	// AIQ falls by .010 and differences have intervals of ±.015.
	if want := "blend A, knn A, a-rival B, rival-3 B, mean, best-single, zero-router, oracle"; strings.Join(got, ", ") != want {
		t.Errorf("order and groups = %s, want %s", strings.Join(got, ", "), want)
	}
}

func TestDifference(t *testing.T) {
	b := newBoard(&eval.Report{Pairs: []eval.Pair{{A: "a", B: "b", AIQDiff: -0.02, Interval: []eval.Number{-0.03, -0.01}}}}, Options{})
	if d, ok := b.difference("a", "b"); !ok || d != (difference{-0.02, -0.03, -0.01}) || d.verdict() != worse {
		t.Errorf("difference(a, b) = %v, %t", d, ok)
	}
	if d, ok := b.difference("b", "a"); !ok || d != (difference{0.02, 0.01, 0.03}) || d.verdict() != better {
		t.Errorf("difference(b, a) = %v, %t", d, ok)
	}
	if _, ok := b.difference("a", "c"); ok {
		t.Error("difference(a, c) exists, want none")
	}
}

// The headline names no cascade and no constant, and says what is unknown.
func TestHeadline(t *testing.T) {
	r := synthetic(3)
	r.Routers[0].Name = "cascade=0.8"
	check := func(want string) {
		t.Helper()
		if got := strings.Join(newBoard(r, Options{}).headline(), " "); !strings.Contains(got, want) {
			t.Errorf("headline = %q, want %q in it", got, want)
		}
	}
	check("knn is the best learned router by AIQ (0.7800), but the other one cannot be told apart from it.")
	check("at 51% of its cost (95% interval from 40%; some resamples never reach it): it saves 49%.")
	check("It is ahead of the zero router")
	r.Routers[1].QNC = nan
	check("It does not reach the quality of acme-large")
	for k := range r.Pairs {
		r.Pairs[k].Interval = []eval.Number{-0.1, 0.1}
	}
	check("no evidence that learning pays")
	r.Pairs = nil
	check("it is unknown which differences are noise")
	r.Routers = r.Routers[3:]
	check("No learned router was measured")
}

func TestFormat(t *testing.T) {
	check := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check(significant(0.028724), "0.0287")
	check(significant(1234.5), "1234")
	check(significant(0), "0")
	check(signed(-0.00001, 4), "0.0000")
	check(signed(-0.0123, 3), "−0.012")
	check(short(0.0123), "+.012")
	check(share(0.004), "<1%")
	check(grouped(1234567), "1,234,567")
	check(plural(1, "query"), "1 query")
	check(plural(2000, "query"), "2,000 queries")
	check(letter(27), "AB")
	check(span([]eval.Number{0.4, inf}, 2), "0.40 to never")
	check(plain("a|b <c>"), `a\|b &lt;c\>`)
}
