package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// sproutFile is one open Parquet file with the columns that are read.
type sproutFile struct {
	name   string
	split  Split
	f      *os.File
	pq     *parquet.File
	text   [numTexts]*parquet.Column    // nil where the file lacks the column
	models []string                     // names of struct columns of the shape
	values [][numTokens]*parquet.Column // of each model
}

// openSPROUT opens a Parquet file and finds its columns.
func openSPROUT(path string) (_ *sproutFile, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, &FormatError{File: path, Reason: "open: " + pathCause(err), Err: err}
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, &FormatError{File: path, Reason: "open: " + pathCause(err), Err: err}
	}
	f := &sproutFile{name: path, split: sproutSplit(path), f: file}
	err = noPanic(func() (err error) {
		f.pq, err = parquet.OpenFile(file, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(1<<17))
		return err
	})
	if err != nil {
		return nil, &FormatError{File: path, Reason: fmt.Sprintf("is not a whole Parquet file: %v", err), Hint: "copy or download the file again", Err: err}
	}
	return f, f.findColumns()
}

func (f *sproutFile) findColumns() error {
	fault := func(field, reason string) error {
		return &FormatError{File: f.name, Field: field, Reason: reason, Hint: hintSPROUT}
	}
	for _, c := range f.pq.Root().Columns() {
		score, in, out := c.Column("score"), c.Column("num_input_tokens"), c.Column("num_output_tokens")
		// Older copies write "dataset level" and the like.
		t := slices.Index(textNames[:], strings.ReplaceAll(c.Name(), " ", "_"))
		isText := t >= 0
		switch {
		case isText && (!c.Leaf() || c.MaxRepetitionLevel() > 0):
			return fault(c.Name(), "is not a plain column")
		case isText && f.text[t] != nil:
			return fault(c.Name(), "is given twice, once with a blank and once with an underscore")
		case isText:
			f.text[t] = c
		case score != nil && in != nil && out != nil:
			leaves := [numTokens]*parquet.Column{score, in, out}
			for _, leaf := range leaves {
				if !isNumber(leaf) {
					return fault(columnPath(leaf), "is not a column of numbers")
				}
			}
			if reason := checkName(c.Name()); reason != "" {
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

func columnPath(c *parquet.Column) string { return strings.Join(c.Path(), ".") }

func isNumber(c *parquet.Column) bool {
	if !c.Leaf() || c.MaxRepetitionLevel() > 0 {
		return false
	}
	if l := c.Type().LogicalType(); l != nil {
		if _, ok := l.Value.(*format.IntType); !ok && l.Value != nil {
			return false // a decimal or a date is stored as an integer too
		}
	}
	switch c.Type().Kind() {
	case parquet.Boolean, parquet.Int32, parquet.Int64, parquet.Float, parquet.Double:
		return true
	}
	return false
}

// rows calls fn with every row, counted from 1, and its columns: all of them,
// or only those that ids are made of.
func (f *sproutFile) rows(ctx context.Context, all bool, fn func(n int64, r *sproutRow) error) error {
	r := &sproutRow{values: make([][numTokens]float64, len(f.models))}
	var n int64
	for _, group := range f.pq.RowGroups() {
		g := &groupReader{file: f, chunks: group.ColumnChunks()}
		err := g.rows(ctx, group.NumRows(), all, &n, r, fn)
		g.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// groupReader reads the columns of a row group side by side.
type groupReader struct {
	file    *sproutFile
	chunks  []parquet.ColumnChunk
	cursors []*cursor
}

// cursor hands out the values of one column chunk, one a row.
type cursor struct {
	column *parquet.Column
	path   string
	pages  parquet.Pages
	page   parquet.Page
	read   parquet.ValueReader
	buf    []parquet.Value
	next   int
}

func (g *groupReader) open(c *parquet.Column) (*cursor, error) {
	if c == nil {
		return nil, nil
	}
	cur := &cursor{column: c, path: columnPath(c)}
	err := noPanic(func() error { cur.pages = g.chunks[c.Index()].Pages(); return nil })
	g.cursors = append(g.cursors, cur)
	return cur, err
}

func (g *groupReader) close() {
	for _, c := range g.cursors {
		parquet.Release(c.page)
		if c.pages != nil {
			c.pages.Close() // only read from
		}
	}
}

func (g *groupReader) rows(ctx context.Context, rows int64, all bool, n *int64, r *sproutRow, fn func(int64, *sproutRow) error) error {
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
	values := make([][numTokens]*cursor, len(g.file.values))
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
func (g *groupReader) row(n int64, r *sproutRow, text [numTexts]*cursor, values [][numTokens]*cursor) error {
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
			x, reason := math.NaN(), ""
			if !v.IsNull() {
				if x = valueNumber(v); math.IsNaN(x) {
					reason = "is NaN"
				} else {
					reason = checkValue(k, x)
				}
			}
			if r.values[j][k] = x; reason != "" && r.reason == "" {
				r.field, r.reason = c.path, reason
			}
		}
	}
	return nil
}

func (g *groupReader) damaged(n int64, c *parquet.Column, err error) error {
	return &FormatError{File: g.file.name, Line: int(n), Field: columnPath(c), Reason: fmt.Sprintf("the column cannot be read: %v", err),
		Hint: "copy or download the file again", Err: err}
}

// value returns the next value, which is valid until the next call.
func (c *cursor) value() (parquet.Value, error) {
	for c.next == len(c.buf) {
		if err := noPanic(c.fill); err != nil {
			return parquet.Value{}, err
		}
	}
	c.next++
	return c.buf[c.next-1], nil
}

// fill reads more values, of the next page if there are none on this one.
func (c *cursor) fill() error {
	if c.read == nil {
		parquet.Release(c.page)
		c.page = nil
		page, err := c.pages.ReadPage()
		if err == io.EOF {
			return errors.New("it ends before the last row")
		}
		if err != nil {
			return err
		}
		c.page, c.read = page, page.Values()
	}
	c.buf, c.next = slices.Grow(c.buf[:0], 128)[:128], 0
	n, err := c.read.ReadValues(c.buf)
	if c.buf = c.buf[:n]; err == io.EOF {
		c.read, err = nil, nil
	}
	return err
}

// noPanic calls fn and turns a panic into an error: the Parquet reader panics
// on some damaged files.
func noPanic(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged data: %v", p)
		}
	}()
	return fn()
}

// valueText returns a copy of a text, or a number as text; null is "".
func valueText(v parquet.Value) string {
	switch {
	case v.IsNull():
		return ""
	case v.Kind() == parquet.ByteArray, v.Kind() == parquet.FixedLenByteArray:
		return string(v.ByteArray())
	}
	if v.Kind() == parquet.Int64 {
		return strconv.FormatInt(v.Int64(), 10) // exact above 2^53 too
	}
	x := valueNumber(v)
	if math.IsNaN(x) {
		return ""
	}
	if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
		return strconv.FormatInt(int64(x), 10)
	}
	return formatFloat(x)
}

func valueNumber(v parquet.Value) float64 {
	switch v.Kind() {
	case parquet.Boolean:
		if v.Boolean() {
			return 1
		}
		return 0
	case parquet.Int32:
		return float64(v.Int32())
	case parquet.Int64:
		return float64(v.Int64())
	case parquet.Float:
		return float64(v.Float())
	case parquet.Double:
		return v.Double()
	}
	return math.NaN()
}
