// Package pickle reads tables that pandas 1 or 2 pickled, without running
// anything. A pickle is a program, and Python runs what it says; this package
// follows the program but makes no call: it knows by name what the few
// functions of numpy and pandas would make, and refuses every other name. See
// [Read].
package pickle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Error says why a pickle cannot be read, and in Hint what to do about it.
type Error struct {
	Reason string
	Hint   string
	Err    error // the cause, if there is one
}

// Error returns the reason without the hint.
func (e *Error) Error() string { return e.Reason }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

const (
	hintCut     = "copy or download the file again"
	hintParquet = "save the table as Parquet: pd.read_pickle(f).to_parquet(…)"
)

// Frame is a pandas DataFrame: named columns of equal length. A named index is
// a column too. The numbers and the short texts are in memory; the long texts
// stay in the file until [Frame.Value] reads them.
type Frame struct {
	file    io.ReaderAt
	size    int64
	decoded int64 // bytes decoded from texts: a small pickle could refer to one text many times

	rows    int
	names   []string
	columns []column
}

// column is a column inside an array: value i is number first + i·step. A
// block of pandas holds the columns of one type side by side.
type column struct {
	array       *array
	first, step int
}

// Read reads the DataFrame that the size bytes at r hold, pickled by pandas 1
// or 2 in any protocol. r must stay open while the Frame is used. Memory stays
// within a multiple of size. Errors about the content are of type *[Error].
func Read(ctx context.Context, r io.ReaderAt, size int64) (*Frame, error) {
	if err := checkPacked(r); err != nil {
		return nil, err
	}
	v, err := unpickle(ctx, r, size)
	if err != nil {
		return nil, err
	}
	f := &Frame{file: r, size: size}
	if err := f.read(v); err != nil {
		return nil, &Error{Reason: "the table cannot be read: " + err.Error(), Hint: hintParquet, Err: err}
	}
	return f, nil
}

// Rows returns the number of rows.
func (f *Frame) Rows() int { return f.rows }

// Columns returns the names of the columns.
func (f *Frame) Columns() []string { return slices.Clone(f.names) }

// CheckColumn returns an error unless the values of a column are text or
// numbers, or objects that may be. The column is given by its place in Columns.
func (f *Frame) CheckColumn(column int) error {
	if a := f.columns[column].array; !a.isPlain() {
		return &Error{Reason: "is a column of type " + a.dtype.String() + ", not of text or numbers", Hint: "save the column as text or as numbers"}
	}
	return nil
}

// Value returns a value of a column that passes CheckColumn as text, and
// whether there is one: None, NA and NaN are none, and True is 1. The column is
// given by its place in Columns.
func (f *Frame) Value(row, column int) (text string, ok bool, err error) {
	c := f.columns[column]
	if text, ok, err = f.cell(c.array, c.first+row*c.step); err != nil {
		return "", false, &Error{Reason: err.Error(), Hint: hintParquet, Err: err}
	}
	return text, ok, nil
}

// checkPacked refuses a compressed file, which pandas writes if the file's name
// asks for it.
func checkPacked(r io.ReaderAt) error {
	for _, packed := range []struct{ magic, name string }{{"\x1f\x8b", "gzip"}, {"BZh", "bzip2"}, {"\xfd7zXZ", "xz"}, {"PK\x03\x04", "zip"}, {"\x28\xb5\x2f\xfd", "zstd"}} {
		head := make([]byte, len(packed.magic))
		if n, _ := r.ReadAt(head, 0); n == len(head) && string(head) == packed.magic {
			return &Error{Reason: "is compressed with " + packed.name, Hint: "decompress it first: long texts are read from their place in the file"}
		}
	}
	return nil
}

// read sets the rows and columns of f from the unpickled DataFrame v.
func (f *Frame) read(v any) error {
	c, err := asCall(v, pyFrame)
	if err != nil {
		return err
	}
	state, ok := c.state.(*pyDict)
	if !ok {
		return errors.New("the frame has no content")
	}
	inner := state.get("_mgr")
	if inner == nil {
		inner = state.get("_data") // before pandas 1.1
	}
	m, err := asCall(inner, pyManager)
	if err != nil {
		return err
	}
	blocks, axes, err := managerParts(m)
	if err != nil {
		return err
	}
	if len(axes) != 2 {
		return fmt.Errorf("%d axes where a frame has 2", len(axes))
	}
	labels, err := f.index(axes[0])
	if err != nil {
		return err
	}
	index, err := f.index(axes[1])
	if err != nil {
		return err
	}
	f.rows = index.size
	if err := f.label(labels); err != nil {
		return err
	}
	for _, b := range blocks {
		if err := f.block(b); err != nil {
			return err
		}
	}
	if i := slices.IndexFunc(f.columns, func(c column) bool { return c.array == nil }); i >= 0 {
		return fmt.Errorf("column %s has no values", quote(f.names[i]))
	}
	if index.array != nil && index.name != "" && !slices.Contains(f.names, index.name) {
		f.names, f.columns = append(f.names, index.name), append(f.columns, column{index.array, 0, 1})
	}
	return nil
}

// block is the values of a block of pandas, and which columns they fill.
type block struct{ values, columns any }

// managerParts returns the blocks and axes of a manager. Since pandas 1.3 they
// are its arguments; before, they are in a state that names its version.
func managerParts(m *pyCall) (blocks []block, axes []any, err error) {
	if _, args := m.made(); len(args) == 2 {
		for _, v := range items(args[0]) {
			c, err := asCall(v, pyBlock)
			if err != nil {
				return nil, nil, err
			}
			if len(c.args) != 3 {
				return nil, nil, errors.New("a block has no content")
			}
			blocks = append(blocks, block{c.args[0], c.args[1]})
		}
		return blocks, items(args[1]), nil
	}
	state := items(m.state)
	if len(state) == 0 {
		return nil, nil, errors.New("the frame has no blocks")
	}
	all, _ := state[len(state)-1].(*pyDict)
	if all == nil {
		return nil, nil, errors.New("the frame has no blocks")
	}
	inner, _ := all.get("0.14.1").(*pyDict)
	if inner == nil {
		return nil, nil, errors.New("the frame is from before pandas 1")
	}
	for _, v := range items(inner.get("blocks")) {
		d, ok := v.(*pyDict)
		if !ok {
			return nil, nil, errors.New("a block has no content")
		}
		blocks = append(blocks, block{d.get("values"), d.get("mgr_locs")})
	}
	return blocks, items(inner.get("axes")), nil
}

// axis is an index of pandas: its length, its name, and its values unless it is
// a range.
type axis struct {
	size  int
	name  string
	array *array
}

// index returns the index of pandas that v is.
func (f *Frame) index(v any) (axis, error) {
	c, err := asCall(v, pyNewIndex)
	if err != nil {
		return axis{}, err
	}
	if len(c.args) != 2 {
		return axis{}, errors.New("an index has no content")
	}
	d, ok := c.args[1].(*pyDict)
	if !ok {
		return axis{}, errors.New("an index has no content")
	}
	var x axis
	x.name, _ = d.get("name").(string)
	if c.args[0] == any(pyRangeIndex) {
		x.size, err = f.span(d.get("start"), d.get("stop"), d.get("step"))
		return x, err
	}
	if x.array, err = f.array(d.get("data")); err != nil {
		return axis{}, err
	}
	if len(x.array.shape) != 1 || !x.array.isPlain() {
		return axis{}, errors.New("an index has values other than text and numbers")
	}
	x.size = x.array.shape[0]
	return x, nil
}

// span returns how many numbers a range has. A range longer than the file is
// refused: no array can have more values than the file has bytes.
func (f *Frame) span(start, stop, step any) (int, error) {
	a, ok1 := start.(int64)
	b, ok2 := stop.(int64)
	by, ok3 := step.(int64)
	const most = 1 << 40
	if !ok1 || !ok2 || !ok3 || by == 0 || max(a, -a, b, -b, by, -by) > most || min(a, b, by) < -most {
		return 0, errors.New("a range has no limits, or impossible ones")
	}
	if by < 0 {
		a, b, by = -a, -b, -by
	}
	n := max(0, (b-a+by-1)/by)
	if n > f.size {
		return 0, errors.New("a range is longer than the file")
	}
	return int(n), nil
}

// label names the columns.
func (f *Frame) label(labels axis) error {
	if labels.array == nil && labels.size > 0 {
		return errors.New("the columns have no names")
	}
	for i := range labels.size {
		name, _, err := f.cell(labels.array, i)
		if err != nil {
			return fmt.Errorf("the name of column %d %w", i+1, err)
		}
		f.names = append(f.names, name)
	}
	f.columns = make([]column, labels.size)
	return nil
}

// block puts the values of a block into its columns.
func (f *Frame) block(b block) error {
	a, err := f.array(b.values)
	if err != nil {
		return err
	}
	places, err := f.places(b.columns)
	if err != nil {
		return err
	}
	wide, long := 1, a.shape[len(a.shape)-1]
	if len(a.shape) == 2 {
		wide = a.shape[0]
	}
	if wide != len(places) || long != f.rows {
		return fmt.Errorf("a block has %d columns of %d values, want %d of %d", wide, long, len(places), f.rows)
	}
	for i, at := range places {
		if at < 0 || at >= len(f.columns) || f.columns[at].array != nil {
			return fmt.Errorf("a block fills column %d, which does not exist or is already full", at+1)
		}
		f.columns[at] = column{a, i * long, 1}
		if a.fortran {
			f.columns[at] = column{a, i, wide}
		}
	}
	return nil
}

// places returns which columns a block fills: a slice or an array of numbers.
func (f *Frame) places(v any) ([]int, error) {
	if c, err := asCall(v, pySlice); err == nil {
		if len(c.args) != 3 {
			return nil, errors.New("a slice has no limits")
		}
		step := c.args[2]
		if step == nil {
			step = int64(1)
		}
		n, err := f.span(c.args[0], c.args[1], step)
		if err != nil || n > len(f.columns) {
			return nil, errors.Join(err, errors.New("a block fills more columns than there are"))
		}
		places := make([]int, n)
		for i := range places {
			places[i] = int(c.args[0].(int64) + int64(i)*step.(int64))
		}
		return places, nil
	}
	a, err := f.array(v)
	if err != nil {
		return nil, err
	}
	if len(a.shape) != 1 || a.kind != 'i' || a.size != 8 {
		return nil, errors.New("a block does not say which columns it fills")
	}
	places := make([]int, a.shape[0])
	for i := range places {
		places[i] = int(a.order.Uint64(a.data[i*8:]))
	}
	return places, nil
}
