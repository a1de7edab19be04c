package strictyaml

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

// problem is one thing that is wrong with a file.
type problem struct {
	file   string
	at     place
	field  string // such as models[2].provider; empty if it is about the whole
	reason string
}

// Error returns FILE:LINE:COLUMN: FIELD: REASON, without the parts that are
// unknown.
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

// Problems collects what is wrong with a file, or with a value that was made
// without one: the zero Problems knows no places.
type Problems struct {
	file      string
	at        map[string]place // of the fields that the file gives
	list      []*problem
	malformed bool // of form, not of meaning
}

// Add notes a problem with a field, such as models[2].provider, at its place in
// the file or at that of the field that holds it. Only the first problem of a
// field is kept.
func (p *Problems) Add(field, format string, args ...any) {
	if slices.ContainsFunc(p.list, func(other *problem) bool { return other.field == field }) {
		return
	}
	holder := field
	for holder != "" && !p.Given(holder) {
		holder = holder[:max(0, strings.LastIndexAny(holder, ".["))]
	}
	p.addAt(p.at[holder], field, format, args...)
}

func (p *Problems) addAt(at place, field, format string, args ...any) {
	p.list = append(p.list, &problem{p.file, at, field, fmt.Sprintf(format, args...)})
}

// Given reports whether the file gives the field.
func (p *Problems) Given(field string) bool {
	_, ok := p.at[field]
	return ok
}

// Malformed reports whether the file's form is wrong, so that its meaning need
// not be checked.
func (p *Problems) Malformed() bool { return p.malformed }

// Err joins the problems, in the file's order; it is nil if there are none.
func (p *Problems) Err() error {
	slices.SortStableFunc(p.list, func(a, b *problem) int {
		return cmp.Or(cmp.Compare(a.at.line, b.at.line), cmp.Compare(a.at.column, b.at.column))
	})
	errs := make([]error, len(p.list))
	for i, one := range p.list {
		errs[i] = one
	}
	return errors.Join(errs...)
}

// Child is the path of a key below a field.
func Child(field, key string) string {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool {
		return r > 'z' || !strings.ContainsRune("_-", r) && !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r)
	}) {
		return field + "[" + strconv.Quote(key) + "]"
	}
	return strings.TrimPrefix(field+"."+key, ".")
}

// Element is the path of an element of a list.
func Element(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
