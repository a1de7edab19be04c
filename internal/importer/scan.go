package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// record is a row of a table, read as text. A value that is null, a field that a
// JSON object does not have and an empty CSV field are not present.
type record struct {
	columns []string
	values  []string
	present []bool
}

// newRecord returns a record of which nothing is present.
func newRecord(columns []string) *record {
	return &record{columns: columns, values: make([]string, len(columns)), present: make([]bool, len(columns))}
}

// get returns a column's value, and whether there is one.
func (r *record) get(column string) (string, bool) {
	at := slices.Index(r.columns, column)
	if at < 0 || !r.present[at] {
		return "", false
	}
	return r.values[at], true
}

// scanHooks say how a table is scanned; the zero value reads every column and
// stops at the first bad row.
type scanHooks struct {
	// columns, if not nil, is called once with the names of all columns, before
	// any row. It returns those to read; the others are skipped at little cost.
	columns func(all []string) (want []string, err error)
	// delimiter, if not nil, chooses the delimiter of CSV: see
	// [textfile.CSV.ChooseDelimiter].
	delimiter func(split func(delimiter byte) []string) byte
	// bad, if not nil, is called with the fault of a row that cannot be read. It
	// returns nil to go on, or the error to stop with.
	bad func(*dataset.FormatError) error
	// progress, if not nil, is called now and then with how much of the total is
	// done: bytes of text, rows of Parquet and pickles.
	progress func(done, total int64)
}

// badText calls bad with a fault in a line of text.
func (h scanHooks) badText(e *textfile.Error) error {
	return h.badRow((*dataset.FormatError)(e))
}

// badRow calls bad, if it is not nil.
func (h scanHooks) badRow(e *dataset.FormatError) error {
	if h.bad == nil {
		return e
	}
	return h.bad(e)
}

// formatError returns err as a FormatError if it is about the text of a file.
func formatError(err error) error {
	if bad, ok := errors.AsType[*textfile.Error](err); ok {
		return (*dataset.FormatError)(bad)
	}
	return err
}

// hooks returns the hooks of an import, which report progress, count bad rows,
// and stop at a bad row or note it.
func (im *importer) hooks() scanHooks {
	return scanHooks{bad: im.unreadable, progress: im.progress}
}

// unreadable counts a row that cannot be read, and refuses it.
func (im *importer) unreadable(e *dataset.FormatError) error {
	im.report.Rows++
	if !im.opt.KeepGoing {
		return e
	}
	return im.refuse(place{e.File, int64(e.Line)}, fault{e.Field, e.Reason})
}

// maxColumns is the largest number of columns of a table.
const maxColumns = 1 << 14

func tooManyColumns(path string, n int) error {
	return &dataset.FormatError{File: path, Reason: fmt.Sprintf("has %d columns, more than the limit of %d", n, maxColumns), Hint: "keep the columns that are needed"}
}

// choose returns the columns to read and their places among all.
func (h scanHooks) choose(path string, all []string) (want []string, at []int, err error) {
	if len(all) > maxColumns {
		return nil, nil, tooManyColumns(path, len(all))
	}
	want = slices.Clone(all)
	if h.columns != nil {
		if want, err = h.columns(slices.Clone(all)); err != nil {
			return nil, nil, err
		}
	}
	first, twice := make(map[string]int, len(all)), make(map[string]bool)
	for i, name := range all {
		if _, ok := first[name]; ok {
			twice[name] = true
			continue
		}
		first[name] = i
	}
	at = make([]int, len(want))
	for i, name := range want {
		var ok bool
		if at[i], ok = first[name]; !ok {
			return nil, nil, &dataset.FormatError{File: path, Field: name, Reason: "the column is missing"}
		}
		if h.columns != nil && twice[name] {
			return nil, nil, &dataset.FormatError{File: path, Field: name, Reason: "the column is given twice", Hint: "give every column its own name"}
		}
	}
	return want, at, nil
}

// scanCSV calls fn with every record of a CSV file, plain or gzipped, with any
// header. row is the line on which the record begins, as in errors; r is valid
// until fn returns. A record that cannot be split, that is not UTF-8 or that has
// more or fewer fields than the header goes to hooks.bad. A fault of the file as
// a whole (cut gzip, a line without end, a bad header) ends the scan. Only one
// record is in memory at a time.
func scanCSV(ctx context.Context, path string, hooks scanHooks, fn func(row int64, r *record) error) error {
	f, size, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	count := &countReader{r: f}
	l, err := textfile.NewReader(ctx, count, path)
	if err != nil {
		return formatError(err)
	}
	c := textfile.NewCSV(l)
	if hooks.delimiter != nil {
		c.ChooseDelimiter(hooks.delimiter)
	}
	all, err := readHeader(c)
	if err != nil {
		return formatError(err)
	}
	want, at, err := hooks.choose(path, all)
	if err != nil {
		return err
	}
	r := newRecord(want)
	n := 0
	err = c.Records(len(all), hooks.badText, func(fields [][]byte) error {
		for i, k := range at {
			r.values[i], r.present[i] = string(fields[k]), len(fields[k]) > 0
		}
		if n++; n%512 == 0 && hooks.progress != nil {
			hooks.progress(count.n, size)
		}
		return fn(int64(c.First()), r)
	})
	if err == nil && hooks.progress != nil {
		hooks.progress(size, size)
	}
	return formatError(err)
}

// readHeader reads the first record as the names of the columns. Only an empty
// name may occur twice.
func readHeader(c *textfile.CSV) ([]string, error) {
	const hint = "the first line names the columns, separated by commas"
	names, err := c.Header(hint)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if name != "" && seen[name] {
			return nil, c.Fault("", fmt.Sprintf("header: the column %s is given twice", textfile.Quote(name)), hint)
		}
		seen[name] = true
	}
	return names, nil
}

// openSource opens a file to read, and returns its size.
func openSource(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, &dataset.FormatError{File: path, Reason: "open: " + textfile.Cause(err), Err: err}
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a folder")
	}
	if err != nil {
		f.Close()
		return nil, 0, &dataset.FormatError{File: path, Reason: "open: " + textfile.Cause(err), Err: err}
	}
	return f, info.Size(), nil
}

// countReader counts the bytes that are read.
type countReader struct {
	r io.Reader
	n int64
}

// Read reads from r and counts the bytes.
func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// isTable reports whether scanTable can read a file of this name.
func isTable(name string) bool {
	return hasEnding(name, ".csv", ".parquet", ".pkl", ".pickle")
}

// scanTable calls fn with every row of a table. The ending of its name says
// whether it is a pickle, Parquet or CSV: see scanPickle, scanParquet and scanCSV.
func scanTable(ctx context.Context, path string, hooks scanHooks, fn func(row int64, r *record) error) error {
	switch name := filepath.Base(path); {
	case hasEnding(name, ".pkl", ".pickle"):
		return scanPickle(ctx, path, hooks, fn)
	case hasEnding(name, ".parquet"):
		return scanParquet(ctx, path, hooks, fn)
	case hasEnding(name, ".csv"):
		return scanCSV(ctx, path, hooks, fn)
	}
	return &dataset.FormatError{File: path, Reason: "is not a kind of table that can be read", Hint: "its name must end in .pkl, .pickle, .parquet, .csv or .csv.gz, as its kind is read from it"}
}
