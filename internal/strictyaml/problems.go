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

// place is a position in the file. The zero place is unknown.
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
	field  string // such as models[2].provider; empty: the whole file
	reason string
}

// Error returns FILE:LINE:COLUMN: FIELD: REASON, without unknown parts.
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

// Problems collects everything that is wrong with a file. The zero value serves for
// values that do not come from a file: its problems have no places.
type Problems struct {
	file      string
	at        map[string]place // of the fields in the file
	list      []*problem
	malformed bool // some problems are of form
}

// Add adds a problem of a field, such as models[2].provider. If the field is not in
// the file, the problem's place is that of the nearest field around it. If a field
// has several problems, only the first is kept.
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

// Given reports whether the field is in the file.
func (p *Problems) Given(field string) bool {
	_, ok := p.at[field]
	return ok
}

// Malformed reports whether some problems are of form, such as unknown keys and
// wrong types. The decoded value is then incomplete and need not be checked further.
func (p *Problems) Malformed() bool { return p.malformed }

// Err returns an error with all problems in the order of the file, one on each line.
// It is nil if there are none.
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

// Child returns the path of a key in a field.
func Child(field, key string) string {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool {
		return r > 'z' || !strings.ContainsRune("_-", r) && !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r)
	}) {
		return field + "[" + strconv.Quote(key) + "]"
	}
	return strings.TrimPrefix(field+"."+key, ".")
}

// Element returns the path of an element of a list.
func Element(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
