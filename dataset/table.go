package dataset

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// scanHooks say how a table is scanned; the zero value reads every column,
// stops at the first bad row and tells nobody.
type scanHooks struct {
	// columns, if not nil, is called once with the columns of the table, before
	// any row. It returns those to read: the others cost little.
	columns func(all []string) (want []string, err error)
	// bad, if not nil, is told of a row that cannot be read: see reporter.
	bad reporter
	// progress, if not nil, is called now and then: bytes of CSV, rows of
	// Parquet.
	progress func(done, total int64)
}

// hooks returns the hooks of an import, with which bad rows are counted and
// end it or are noted, and progress is told.
func (im *importer) hooks() scanHooks {
	return scanHooks{bad: im.unreadable, progress: im.progress}
}

// unreadable is the reporter of an import.
func (im *importer) unreadable(e *FormatError) error {
	im.report.Rows++
	if !im.opt.KeepGoing {
		return e
	}
	return im.refuse(place{e.File, int64(e.Line)}, fault{e.Field, e.Reason})
}

// choose returns the columns to read, and their places among all.
func (h scanHooks) choose(path string, all []string) (want []string, at []int, err error) {
	want = slices.Clone(all)
	if h.columns != nil {
		if want, err = h.columns(slices.Clone(all)); err != nil {
			return nil, nil, err
		}
	}
	at = make([]int, len(want))
	for i, name := range want {
		if at[i] = slices.Index(all, name); at[i] < 0 {
			return nil, nil, &FormatError{File: path, Field: name, Reason: "the column is missing"}
		}
		if h.columns != nil && slices.Contains(all[at[i]+1:], name) {
			return nil, nil, &FormatError{File: path, Field: name, Reason: "the column is given twice", Hint: "give every column a name of its own"}
		}
	}
	return want, at, nil
}

// scanCSV calls fn with every record of a CSV file, plain or gzipped, with any
// header. row is the line on which the record begins, as in the errors; r is
// valid until fn returns. A record that cannot be split, that is not UTF-8 or
// that has more or fewer fields than the header goes to hooks.bad; an error of
// the file as a whole (cut gzip, a line without end, a bad header) ends the
// scan. It holds one record at a time.
func scanCSV(ctx context.Context, path string, hooks scanHooks, fn func(row int64, r *record) error) error {
	f, size, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	count := &countReader{r: f}
	l, err := newLineReader(ctx, count, path)
	if err != nil {
		return err
	}
	c := &csvReader{lineReader: l}
	all, err := c.anyHeader()
	if err != nil {
		return err
	}
	want, at, err := hooks.choose(path, all)
	if err != nil {
		return err
	}
	bad := hooks.bad
	if bad == nil {
		bad = stopAtFirst
	}
	r := newRecord(want)
	n := 0
	err = c.records(len(all), bad, func(fields [][]byte) error {
		for i, k := range at {
			r.values[i], r.present[i] = string(fields[k]), len(fields[k]) > 0
		}
		if n++; n%512 == 0 && hooks.progress != nil {
			hooks.progress(count.n, size)
		}
		return fn(int64(c.first), r)
	})
	if err == nil && hooks.progress != nil {
		hooks.progress(size, size)
	}
	return err
}

// anyHeader reads the first record as the names of the columns. Only a blank
// name may stand twice.
func (c *csvReader) anyHeader() ([]string, error) {
	const hint = "the first line names the columns, divided by commas"
	fields, bad, err := c.next()
	if err == io.EOF {
		return nil, &FormatError{File: c.name, Reason: "is empty: the header is missing", Hint: hint}
	}
	if err != nil {
		return nil, err
	}
	if bad != nil {
		return nil, bad
	}
	names := make([]string, 0, len(fields))
	for _, name := range fields {
		if len(name) > 0 && slices.Contains(names, string(name)) {
			return nil, c.faultAt("", fmt.Sprintf("header: the column %s is given twice", quote(name)), hint)
		}
		names = append(names, string(name))
	}
	return names, nil
}

// newRecord returns a record of which nothing is present.
func newRecord(columns []string) *record {
	return &record{columns: columns, values: make([]string, len(columns)), present: make([]bool, len(columns))}
}

// numberText writes a number of 32 or 64 bits, a whole one without exponent.
func numberText(x float64, bits int) string {
	if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
		return strconv.FormatInt(int64(x), 10)
	}
	return strconv.FormatFloat(x, 'g', -1, bits)
}

// openSource opens a file that is read, and returns its size.
func openSource(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, &FormatError{File: path, Reason: "open: " + pathCause(err), Err: err}
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("is a folder")
	}
	if err != nil {
		f.Close()
		return nil, 0, &FormatError{File: path, Reason: "open: " + pathCause(err), Err: err}
	}
	return f, info.Size(), nil
}

// countReader counts the bytes read.
type countReader struct {
	r io.Reader
	n int64
}

// Read reads and counts.
func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// isTable reports whether scanTable knows a file by its name.
func isTable(name string) bool {
	return hasEnding(name, ".csv", ".parquet", ".pkl", ".pickle")
}

// scanTable calls fn with every row of a table, which its name says to be a
// pickle, Parquet, or CSV that may be gzipped: see scanPickle, scanParquet and
// scanCSV.
func scanTable(ctx context.Context, path string, hooks scanHooks, fn func(row int64, r *record) error) error {
	switch name := filepath.Base(path); {
	case hasEnding(name, ".pkl", ".pickle"):
		return scanPickle(ctx, path, hooks, fn)
	case hasEnding(name, ".parquet"):
		return scanParquet(ctx, path, hooks, fn)
	case hasEnding(name, ".csv"):
		return scanCSV(ctx, path, hooks, fn)
	}
	return &FormatError{File: path, Reason: "is no table that is read here", Hint: "name it .pkl, .pickle, .parquet, .csv or .csv.gz after what it is"}
}
