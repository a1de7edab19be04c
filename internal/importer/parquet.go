package importer

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

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/carrot-router/carrot/dataset"
)

// parquetFile is an open Parquet file.
type parquetFile struct {
	name string
	f    *os.File
	size int64
	pq   *parquet.File
}

// parquetColumn is a column of a Parquet file, so that no other source file here
// imports the library.
type parquetColumn = parquet.Column

// openParquet opens a Parquet file.
func openParquet(path string) (*parquetFile, error) {
	file, size, err := openSource(path)
	if err != nil {
		return nil, err
	}
	f := &parquetFile{name: path, f: file, size: size}
	err = noPanic(func() (err error) {
		if err := checkFooter(file, size); err != nil {
			return err
		}
		f.pq, err = parquet.OpenFile(file, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(1<<17))
		return err
	})
	if err != nil {
		file.Close()
		return nil, &dataset.FormatError{File: path, Reason: fmt.Sprintf("is not a complete Parquet file: %v", err), Hint: "copy or download the file again", Err: err}
	}
	if n := len(f.pq.Root().Columns()); n > maxColumns {
		file.Close()
		return nil, tooManyColumns(path, n)
	}
	return f, nil
}

// scanParquet calls fn with every row of a Parquet file, counted from 1, its
// values as text; r is valid until fn returns. Null and NaN are not present, and
// true is 1. The field b of a struct a is the column a.b. The value of a list of
// chat messages is their text, and of any other list its JSON. It is an error if
// hooks.columns asks for a column that is neither text nor numbers nor a list of
// them or of structs of them, and without hooks.columns such columns are skipped.
// Some pages of every column that is read are in memory.
func scanParquet(ctx context.Context, path string, hooks scanHooks, fn func(row int64, r *record) error) error {
	f, err := openParquet(path)
	if err != nil {
		return err
	}
	defer f.f.Close() // only read from
	var all []string
	var columns []cellColumn
	for _, c := range f.cellColumns() {
		if hooks.columns != nil || len(c.leaves) > 0 {
			all, columns = append(all, c.name), append(columns, c)
		}
	}
	want, at, err := hooks.choose(path, all)
	if err != nil {
		return err
	}
	chosen := make([]cellColumn, len(want))
	for i, k := range at {
		if chosen[i] = columns[k]; len(chosen[i].leaves) == 0 {
			return &dataset.FormatError{File: path, Field: want[i], Reason: "is neither text nor numbers, nor a list of them or of structs of them", Hint: "save the column as text or as numbers"}
		}
	}
	var n int64
	r := newRecord(want)
	if len(chosen) == 0 {
		return &dataset.FormatError{File: path, Reason: "has no column of text or numbers", Hint: "save the columns as text or as numbers"}
	}
	for i, group := range f.pq.RowGroups() {
		g := f.group(i)
		err := g.records(group.NumRows(), chosen, &n, func() error {
			if n%256 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if n%512 == 0 && hooks.progress != nil {
				hooks.progress(n, f.pq.NumRows())
			}
			return fn(n, r)
		}, r)
		g.close()
		if err != nil {
			return err
		}
	}
	if hooks.progress != nil {
		hooks.progress(n, n)
	}
	return nil
}

// records reads the rows of a group one by one into r, and calls fn after each.
func (g *groupReader) records(rows int64, columns []cellColumn, n *int64, fn func() error, r *record) error {
	readers := make([]*cellReader, len(columns))
	for i := range columns {
		var leaf *parquetColumn
		var err error
		if readers[i], leaf, err = g.openCell(&columns[i]); err != nil {
			return g.damaged(*n, leaf, err)
		}
	}
	for range rows {
		*n++
		for i, c := range readers {
			var err error
			if r.values[i], r.present[i], err = c.next(); err != nil {
				return g.damaged(*n, c.column.leaves[0].parquetColumn, err)
			}
		}
		if err := fn(); err != nil {
			return err
		}
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
			return false // decimals and dates are stored as integers too
		}
	}
	switch c.Type().Kind() {
	case parquet.Boolean, parquet.Int32, parquet.Int64, parquet.Float, parquet.Double:
		return true
	}
	return false
}

// groupReader reads the columns of a row group side by side.
type groupReader struct {
	name    string
	file    io.ReaderAt
	size    int64 // of the file
	meta    *format.RowGroup
	chunks  []parquet.ColumnChunk
	cursors []*cursor

	held        int64  // bytes that the pages of all columns take
	block, data []byte // of the page that is checked
	zstd        *zstd.Decoder
}

// group returns a reader of the row group at index i.
func (f *parquetFile) group(i int) *groupReader {
	return &groupReader{name: f.name, file: f.f, size: f.size, meta: &f.pq.Metadata().RowGroups[i], chunks: f.pq.RowGroups()[i].ColumnChunks()}
}

// cursor returns the values of one column chunk, one for each row.
type cursor struct {
	column *parquet.Column
	path   string
	check  *pageChecker
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
	cur := &cursor{column: c, path: columnPath(c), check: newPageChecker(g, c)}
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
	if g.zstd != nil {
		g.zstd.Close()
	}
}

func (g *groupReader) damaged(n int64, c *parquet.Column, err error) error {
	return &dataset.FormatError{File: g.name, Line: int(n), Field: columnPath(c), Reason: fmt.Sprintf("the column cannot be read: %v", err),
		Hint: "copy or download the file again", Err: err}
}

// value returns the next value, which is valid until the next call.
func (c *cursor) value() (parquet.Value, error) {
	if err := c.ready(); err != nil {
		return parquet.Value{}, err
	}
	c.next++
	return c.buf[c.next-1], nil
}

// ready makes sure that there is a next value.
func (c *cursor) ready() error {
	for c.next == len(c.buf) {
		if err := noPanic(c.fill); err != nil {
			return err
		}
	}
	return nil
}

// row calls fn with every value of the next row of a repeated column.
func (c *cursor) row(fn func(parquet.Value) error) error {
	v, err := c.value()
	if err != nil {
		return err
	}
	if v.RepetitionLevel() != 0 {
		return errors.New("it does not begin with a row")
	}
	for {
		if err := fn(v); err != nil {
			return err
		}
		switch err := c.ready(); {
		case errors.Is(err, errColumnEnds):
			return nil
		case err != nil:
			return err
		case c.buf[c.next].RepetitionLevel() == 0:
			return nil
		}
		v = c.buf[c.next]
		c.next++
	}
}

var errColumnEnds = errors.New("it ends before the last row")

// fill reads more values, from the next page if this one has no more.
func (c *cursor) fill() error {
	if c.read == nil {
		parquet.Release(c.page)
		c.page = nil
		if err := c.check.next(); err != nil {
			return err
		}
		page, err := c.pages.ReadPage()
		if err == io.EOF {
			return errColumnEnds
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

// noPanic calls fn and returns a panic as an error, since the Parquet library
// panics on some damaged files.
func noPanic(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged data: %v", p)
		}
	}()
	return fn()
}

// valueText returns a copy of a text, or a number as text. It returns "" for null
// and NaN.
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
	if v.Kind() == parquet.Float {
		return numberText(x, 32)
	}
	return numberText(x, 64)
}

// numberText writes a number of 32 or 64 bits, a whole one without an exponent.
func numberText(x float64, bits int) string {
	if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
		return strconv.FormatInt(int64(x), 10)
	}
	return strconv.FormatFloat(x, 'g', -1, bits)
}

// valueNumber returns a number or a truth value, and NaN for anything else.
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
