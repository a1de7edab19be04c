package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/token"
)

// place is where something is in the file; the zero place is nowhere.
type place struct{ line, column int }

func placeOf(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{}
	}
	return place{t.Position.Line, t.Position.Column}
}

// problem is one thing wrong with a configuration.
type problem struct {
	file   string
	at     place
	field  string // such as models[2].provider; empty if it is about the whole
	reason string
}

// Error is FILE:LINE:COLUMN: FIELD: REASON, less what is not known.
func (p *problem) Error() string {
	var b strings.Builder
	where := p.file
	if p.at != (place{}) {
		where = strings.TrimPrefix(fmt.Sprintf("%s:%d:%d", p.file, p.at.line, p.at.column), ":")
	}
	for _, part := range []string{where, p.field} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	return b.String() + p.reason
}

// problems collects what is wrong with a configuration.
type problems struct {
	file      string
	at        map[string]place // of the fields given in the file
	list      []*problem
	malformed bool // of form, not of meaning
}

// add notes a problem with a field, at its place or that of what holds it. Of
// several with one field the first counts.
func (p *problems) add(field, format string, args ...any) {
	if slices.ContainsFunc(p.list, func(other *problem) bool { return other.field == field }) {
		return
	}
	holder := field
	for holder != "" && !p.given(holder) {
		holder = holder[:max(0, strings.LastIndexAny(holder, ".["))]
	}
	p.addAt(p.at[holder], field, format, args...)
}

func (p *problems) addAt(at place, field, format string, args ...any) {
	p.list = append(p.list, &problem{p.file, at, field, fmt.Sprintf(format, args...)})
}

// given reports whether the file has the field.
func (p *problems) given(field string) bool {
	_, ok := p.at[field]
	return ok
}

// err joins the problems in the file's order; nil if there are none.
func (p *problems) err() error {
	slices.SortStableFunc(p.list, func(a, b *problem) int {
		return cmp.Or(cmp.Compare(a.at.line, b.at.line), cmp.Compare(a.at.column, b.at.column))
	})
	errs := make([]error, len(p.list))
	for i, one := range p.list {
		errs[i] = one
	}
	return errors.Join(errs...)
}

// child is the path of a key below a field.
func child(field, key string) string {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool {
		return r > 'z' || !strings.ContainsRune("_-", r) && !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r)
	}) {
		return field + "[" + strconv.Quote(key) + "]"
	}
	return strings.TrimPrefix(field+"."+key, ".")
}

// element is the path of a list's element.
func element(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// suggest is what to write instead of a name that is not among valid, to end an
// error with.
func suggest(name string, valid []string) string {
	if near := nearest(name, valid); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	switch len(valid) {
	case 0:
		return "there are none"
	case 1:
		return "want " + valid[0]
	}
	return "want one of " + strings.Join(valid, ", ")
}

// nearest returns the valid name that a mistyped one most likely means: the one at
// the least edit distance of at most a third of its length, or else the closest in
// length of those that it begins, or that begin it; the first of equals, "" if
// none is near. Case does not count.
func nearest(name string, valid []string) string {
	const longest = 128 // names come from clients too
	if len(name) > longest {
		return ""
	}
	folded := []rune(strings.ToLower(name))
	best, least := "", longest
	prefixed, gap := "", longest
	for _, v := range valid {
		other := []rune(strings.ToLower(v))
		if len(other) > longest {
			continue
		}
		if d := editDistance(folded, other); d < min(least, len(folded), len(other)) && d <= max(1, min(len(folded), len(other))/3) {
			best, least = v, d
		}
		short, long := folded, other
		if len(short) > len(long) {
			short, long = long, short
		}
		if d := len(long) - len(short); d < gap && len(short) >= 3 && slices.Equal(short, long[:len(short)]) {
			prefixed, gap = v, d
		}
	}
	return cmp.Or(best, prefixed)
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func editDistance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row[0] = i + 1
		for j := range b {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
