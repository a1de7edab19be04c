// Package borrow forecasts models of today that no router has outcomes of, from the
// forecasts for a model that it knows and a table that says which one that is. Such a
// forecast is borrowed: it has wide intervals, and is named as such in every decision.
//
// The table holds for each model a known one, and what is published of the difference
// between the two. Where nothing is, the prior is that the model is as good as the known
// one, and its answers as long, which is stated as an assumption.
package borrow

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carrot-router/carrot/internal/phrase"
)

// Schema names the form of the table.
const Schema = "carrot.borrowed/1"

// Table says from which models others borrow their forecasts.
type Table struct {
	Schema  string            `json:"schema"`
	Date    string            `json:"date"`    // YYYY-MM-DD
	Sources map[string]Source `json:"sources"` // by the name that figures refer to
	Rows    []Row             `json:"models"`
}

// Source is where figures were published.
type Source struct {
	Title string `json:"title"`
	URL   string `json:"url"`
	Date  string `json:"date"` // of what was read, YYYY-MM-DD
}

// Row is a model that borrows.
type Row struct {
	Model string `json:"model"` // its name in the catalogue
	Known string `json:"known"` // the model whose forecasts it borrows
	// Quality holds the shares of right answers of both models in one published table.
	// Nil: the model is assumed to be as good as the known one.
	Quality *Figures `json:"quality,omitempty"`
	// OutputTokens holds the mean output tokens of both in one published table. Nil: the
	// answers are assumed to be as long as those of the known one.
	OutputTokens *Figures `json:"output_tokens,omitempty"`
}

// Figures are two numbers of one published table.
type Figures struct {
	Benchmark string  `json:"benchmark"`
	Source    string  `json:"source"`
	Model     float64 `json:"model"`
	Known     float64 `json:"known"`
	// Of is the model whose figure Model is, if nothing is published of the row's own:
	// an older one, which it is assumed to be like, and KnownAs is the same for Known.
	Of      string `json:"of,omitempty"`
	KnownAs string `json:"known_as,omitempty"`
}

// Assumed reports whether the prior of quality rests on an assumption beside figures, or
// on nothing else.
func (r *Row) Assumed() bool { return r.Quality == nil || r.Quality.Of != "" }

//go:embed table.json
var embedded []byte

// Default returns the table in the binary, which must not be changed.
var Default = sync.OnceValue(func() *Table {
	t, err := Parse(embedded)
	if err != nil {
		panic("table of borrowed estimates in the binary: " + err.Error())
	}
	return t
})

// Parse reads a table. Unknown fields are errors, and so are rows that name no source, a
// model twice or one that borrows itself.
func Parse(data []byte) (*Table, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	t := &Table{}
	if err := decoder.Decode(t); err != nil {
		return nil, phrase.JSON(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("there is more after the table")
	}
	if t.Schema != Schema {
		return nil, fmt.Errorf("field schema: %q, want %q", t.Schema, Schema)
	}
	if err := checkDate("date", t.Date); err != nil {
		return nil, err
	}
	for name, s := range t.Sources {
		if s.Title == "" || !strings.HasPrefix(s.URL, "https://") {
			return nil, fmt.Errorf("sources: %s: want a title and an address that begins with https://", name)
		}
		if err := checkDate("date", s.Date); err != nil {
			return nil, fmt.Errorf("sources: %s: %w", name, err)
		}
	}
	names := map[string]bool{}
	for i := range t.Rows {
		r := &t.Rows[i]
		if r.Model == "" || r.Known == "" || names[r.Model] {
			return nil, fmt.Errorf("models[%d]: model %q, known %q: want two names, the first of which no other row has", i, r.Model, r.Known)
		}
		names[r.Model] = true
		if err := t.check(r); err != nil {
			return nil, fmt.Errorf("models[%d] %s: %w", i, r.Model, err)
		}
	}
	for i := range t.Rows {
		if r := &t.Rows[i]; names[r.Known] {
			return nil, fmt.Errorf("models[%d] %s: known: %s borrows too", i, r.Model, r.Known)
		}
	}
	return t, nil
}

// check returns what is wrong with the figures of a row.
func (t *Table) check(r *Row) error {
	for _, one := range []struct {
		field string
		f     *Figures
		most  float64
	}{{"quality", r.Quality, 1}, {"output_tokens", r.OutputTokens, 1e6}} {
		if one.f == nil {
			continue
		}
		if _, ok := t.Sources[one.f.Source]; !ok {
			return fmt.Errorf("%s: source %q is not among the sources", one.field, one.f.Source)
		}
		if one.f.Benchmark == "" {
			return fmt.Errorf("%s: benchmark: missing", one.field)
		}
		for _, v := range []float64{one.f.Model, one.f.Known} {
			if !(v > 0 && v < one.most) {
				return fmt.Errorf("%s: %v: want a number above 0 and below %v", one.field, v, one.most)
			}
		}
	}
	return nil
}

func checkDate(field, date string) error {
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return fmt.Errorf("%s: %q is not a date, want YYYY-MM-DD", field, date)
	}
	return nil
}

// Find returns the row of a model, or nil.
func (t *Table) Find(model string) *Row {
	if i := slices.IndexFunc(t.Rows, func(r Row) bool { return r.Model == model }); i >= 0 {
		return &t.Rows[i]
	}
	return nil
}
