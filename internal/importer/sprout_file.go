package importer

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

// sproutFile is an open file of SPROUT with the columns to read.
type sproutFile struct {
	*parquetFile
	split  dataset.Split
	text   [numTexts]*parquetColumn    // nil if the file has no such column
	models []string                    // names of the struct columns that are models
	values [][numFields]*parquetColumn // of each model
}

// sproutFields are the parts of a model's column, with the outcome fields that
// they hold.
var sproutFields = [numFields]struct{ name, field string }{
	{"score", fieldScore}, {"num_input_tokens", fieldInputTokens}, {"num_output_tokens", fieldOutputTokens},
}

const numFields = 3

// sproutField returns the part of a model's column that holds an outcome field.
func sproutField(field string) string {
	for _, f := range sproutFields {
		if f.field == field {
			return f.name
		}
	}
	return field
}

// openSPROUT opens a Parquet file and finds its columns.
func openSPROUT(path string) (*sproutFile, error) {
	pq, err := openParquet(path)
	if err != nil {
		return nil, err
	}
	f := &sproutFile{parquetFile: pq, split: sproutSplit(path)}
	if err := f.findColumns(); err != nil {
		f.f.Close()
		return nil, err
	}
	return f, nil
}

func (f *sproutFile) findColumns() error {
	fault := func(field, reason string) error {
		return &dataset.FormatError{File: f.name, Field: field, Reason: reason, Hint: hintSPROUT}
	}
	for _, c := range f.pq.Root().Columns() {
		var leaves [numFields]*parquetColumn
		for k, f := range sproutFields {
			leaves[k] = c.Column(f.name)
		}
		// Older copies have blanks in these names, such as "dataset level".
		t := slices.Index(textNames[:], strings.ReplaceAll(c.Name(), " ", "_"))
		isText := t >= 0
		switch {
		case isText && (!c.Leaf() || c.MaxRepetitionLevel() > 0):
			return fault(c.Name(), "is not a plain column")
		case isText && f.text[t] != nil:
			return fault(c.Name(), "is given twice, with a blank and with an underscore")
		case isText:
			f.text[t] = c
		case !slices.Contains(leaves[:], nil):
			for _, leaf := range leaves {
				if !isNumber(leaf) {
					return fault(columnPath(leaf), "is not a column of numbers")
				}
			}
			if reason := checkModel(c.Name()); reason != "" {
				return fault(c.Name(), "the name "+reason)
			}
			f.models, f.values = append(f.models, c.Name()), append(f.values, leaves)
		}
	}
	switch {
	case f.text[textPrompt] == nil:
		return fault("prompt", "the column is missing")
	case f.text[textDataset] == nil:
		return fault("dataset", "the column is missing")
	case f.text[textKey] == nil && f.text[textIdx] == nil:
		return fault("key", "the column is missing, and so is dataset_idx")
	case len(f.models) == 0:
		return fault("", "no column is a struct with score, num_input_tokens and num_output_tokens")
	}
	return nil
}

// rows calls fn with every row, counted from 1, and the values of all columns or
// only of those that ids are made of.
func (f *sproutFile) rows(ctx context.Context, all bool, fn func(n int64, r *sproutRow) error) error {
	r := &sproutRow{outcomes: make([]dataset.Outcome, len(f.models))}
	for j, model := range f.models {
		r.outcomes[j] = dataset.NewOutcome("", model)
	}
	var n int64
	for i, group := range f.pq.RowGroups() {
		g := &sproutGroup{f.group(i), f}
		err := g.rows(ctx, group.NumRows(), all, &n, r, fn)
		g.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// sproutGroup is a row group of a file of SPROUT.
type sproutGroup struct {
	*groupReader
	file *sproutFile
}

func (g *sproutGroup) rows(ctx context.Context, rows int64, all bool, n *int64, r *sproutRow, fn func(int64, *sproutRow) error) error {
	var text [numTexts]*cursor
	var err error
	for t, c := range g.file.text {
		if t == textPrompt && !all {
			continue
		}
		if text[t], err = g.open(c); err != nil {
			return g.damaged(*n, c, err)
		}
	}
	values := make([][numFields]*cursor, len(g.file.values))
	for j, leaves := range g.file.values {
		for k, c := range leaves {
			if !all {
				continue
			}
			if values[j][k], err = g.open(c); err != nil {
				return g.damaged(*n, c, err)
			}
		}
	}
	for range rows {
		if *n++; *n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r.field, r.reason = "", ""
		if err := g.row(*n, r, text, values); err != nil {
			return err
		}
		if err := fn(*n, r); err != nil {
			return err
		}
	}
	return nil
}

// row reads the next value of every open column into r.
func (g *sproutGroup) row(n int64, r *sproutRow, text [numTexts]*cursor, values [][numFields]*cursor) error {
	for t, c := range text {
		r.text[t] = ""
		if c == nil {
			continue
		}
		v, err := c.value()
		if err != nil {
			return g.damaged(n, c.column, err)
		}
		r.text[t] = valueText(v)
	}
	for j := range values {
		for k, c := range values[j] {
			if c == nil {
				continue
			}
			v, err := c.value()
			if err != nil {
				return g.damaged(n, c.column, err)
			}
			x := valueNumber(v)
			if *value(&r.outcomes[j], sproutFields[k].field) = x; math.IsNaN(x) && !v.IsNull() && r.reason == "" {
				r.field, r.reason = c.path, "is NaN"
			}
		}
	}
	return nil
}
