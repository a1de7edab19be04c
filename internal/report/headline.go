package report

import (
	"fmt"
	"slices"

	"github.com/carrot-router/carrot/eval"
	"github.com/carrot-router/carrot/frontier"
)

// nearly is the share of the best single's quality that the default objective
// aims at.
const nearly = 0.97

// headline states the result in plain words, one sentence per entry.
func (b *board) headline() []string {
	l := b.bestLearned()
	if l == nil {
		if slices.ContainsFunc(b.Routers, func(l eval.RouterLine) bool { return isLearned(l.Name) }) {
			return []string{"No learned router has a curve, so none has an AIQ: their settings are single points."}
		}
		return []string{"No learned router was measured: the report has only reference rows."}
	}
	lead := ""
	if len(b.Omitted) > 0 {
		lead = "Of the routers shown, "
	}
	out := []string{fmt.Sprintf("%s%s is the best learned router by AIQ (%s)%s.", lead, l.Name, decimals(l.AIQ, 4), b.company(l.Name))}
	if l.External != nil {
		out = append(out, "It is external: on which queries it was fitted cannot be checked.")
	}
	out = append(out, b.savings(l)...)
	zero, ok := b.difference(l.Name, zeroName)
	switch {
	case ok && zero.verdict() == better:
		out = append(out, fmt.Sprintf("It is ahead of the zero router, which mixes single models without looking at the query, by %s AIQ (%s to %s).",
			decimals(zero.value, 4), decimals(zero.low, 4), decimals(zero.high, 4)))
	case ok && zero.verdict() == same:
		out = append(out, fmt.Sprintf("It cannot be told apart from the zero router, which mixes single models without looking at the query (%s AIQ, %s): these queries give no evidence that learning pays.",
			signed(zero.value, 4), zero.span()))
	case ok:
		out = append(out, fmt.Sprintf("It is worse than the zero router, which mixes single models without looking at the query (%s AIQ, %s).", signed(zero.value, 4), zero.span()))
	}
	if !b.intervals() {
		out = append(out, "Without a bootstrap, it is unknown which differences are noise.")
	}
	return out
}

// company says how many learned routers cannot be told apart from one.
func (b *board) company(leader string) string {
	if !b.intervals() {
		return ""
	}
	level, others := 0, 0
	for k := range b.Routers {
		name := b.Routers[k].Name
		if name == leader || !isLearned(name) || !finite(b.Routers[k].AIQ) {
			continue
		}
		others++
		if d, ok := b.difference(leader, name); ok && d.verdict() == same {
			level++
		}
	}
	switch {
	case others == 0:
		return ""
	case level == 0 && others == 1:
		return ", ahead of the other one"
	case level == 0:
		return fmt.Sprintf(", ahead of all %d others", others)
	case others == 1:
		return ", but the other one cannot be told apart from it"
	case level == others:
		return fmt.Sprintf(", but none of the %d others can be told apart from it", others)
	}
	return fmt.Sprintf(", but %d of the %d others cannot be told apart from it", level, others)
}

// savings states at what cost a router reaches the best single model's quality
// and 97% of it.
func (b *board) savings(l *eval.RouterLine) []string {
	single, ok := b.single()
	if !ok || single.Cost <= 0 {
		return nil
	}
	ratio := frontier.Reach(points(l.Curve), nearly*single.Quality-1e-12) / single.Cost
	nearlyText := ""
	if finite(ratio) {
		nearlyText = fmt.Sprintf("It reaches 97%% of that quality at %s of that model's cost (no interval recorded).", share(ratio))
	}
	if !finite(l.QNC) {
		text := fmt.Sprintf("It does not reach the quality of %s, the best single model, on these queries.", b.BestSingle)
		if nearlyText != "" {
			text = fmt.Sprintf("It does not reach the quality of %s, the best single model; it reaches 97%% of it at %s of that model's cost (no interval recorded).", b.BestSingle, share(ratio))
		}
		return []string{text}
	}
	q := float64(l.QNC)
	text := fmt.Sprintf("It reaches the quality of %s, the best single model, at %s of its cost", b.BestSingle, share(q))
	if ci := l.QNCInterval; len(ci) == 2 && finite(ci[0]) {
		if finite(ci[1]) {
			text += fmt.Sprintf(" (95%% interval %s to %s)", share(ci[0]), share(ci[1]))
		} else {
			text += fmt.Sprintf(" (95%% interval from %s; some resamples never reach it)", share(ci[0]))
		}
	}
	if q < 1 {
		text += ": it saves " + share(1-q)
		if ci := l.QNCInterval; len(ci) == 2 && finite(ci[0]) && finite(ci[1]) {
			text += fmt.Sprintf(" (%s to %s)", share(max(0, 1-ci[1])), share(1-ci[0]))
		}
	}
	if nearlyText == "" {
		return []string{text + "."}
	}
	return []string{text + ".", nearlyText}
}

// tile is a figure in large type.
type tile struct{ Value, Label, Detail string }

// tiles are the headline's figures.
func (b *board) tiles() []tile {
	l := b.bestLearned()
	single, ok := b.single()
	if l == nil || !ok {
		return nil
	}
	var out []tile
	if finite(l.QNC) && l.QNC < 1 {
		t := tile{share(1 - float64(l.QNC)), "saved at the best single model's quality", "with " + l.Name}
		if ci := l.QNCInterval; len(ci) == 2 && finite(ci[0]) && finite(ci[1]) {
			t.Detail += fmt.Sprintf("; interval %s to %s", share(max(0, 1-ci[1])), share(1-ci[0]))
		}
		out = append(out, t)
	}
	if r := frontier.Reach(points(l.Curve), nearly*single.Quality-1e-12) / single.Cost; finite(r) && r < 1 {
		out = append(out, tile{share(1 - r), "saved at 97% of that quality", "chosen on these queries; no interval recorded"})
	}
	if d, ok := b.difference(l.Name, zeroName); ok {
		out = append(out, tile{signed(d.value, 3), "AIQ against the zero router", "interval " + signed(d.low, 3) + " to " + signed(d.high, 3)})
	}
	return append(out, tile{grouped(b.Queries), "queries measured", fmt.Sprintf("%s, %s", plural(len(b.Models), "model"), plural(len(b.Routers), "row"))})
}
