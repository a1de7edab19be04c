package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
)

// frame is a pandas DataFrame: named columns of equal length. A block of pandas
// holds the columns of one type side by side.
type frame struct {
	*pickled
	rows    int
	names   []string
	columns []frameColumn
}

// frameColumn is a column inside an array: value i is number first + i·step.
type frameColumn struct {
	array       *ndarray
	first, step int
}

// scanPickle calls fn with every row of a DataFrame that pandas 1 or 2 pickled,
// counted from 1, its values as text; r is valid until fn returns. None, NA and
// NaN are not present, true is 1. Nothing of the pickle is run: see unpickler.
// A named index is a column too. It holds the numbers and the short texts in
// memory, and leaves the long ones in the file until they are read.
func scanPickle(ctx context.Context, path string, hooks scanHooks, fn func(row int64, r *record) error) error {
	f, size, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	if err := checkPacked(f, path); err != nil {
		return err
	}
	v, err := unpickle(ctx, path, f, size)
	if err != nil {
		return err
	}
	t := &frame{pickled: &pickled{name: path, file: f, size: size}}
	if err := t.read(v); err != nil {
		return &FormatError{File: path, Reason: "the table cannot be read: " + err.Error(), Hint: hintPickleOther, Err: err}
	}
	want, at, err := hooks.choose(path, t.names)
	if err != nil {
		return err
	}
	for i, k := range at {
		if a := t.columns[k].array; !a.isPlain() {
			return &FormatError{File: path, Field: want[i], Reason: "is a column of type " + a.dtype.String() + ", not of text or numbers", Hint: "save the column as text or as numbers"}
		}
	}
	return t.scan(ctx, hooks, newRecord(want), at, fn)
}

// checkPacked refuses a file that is packed, as pandas does by a file's ending.
func checkPacked(f *os.File, path string) error {
	for _, packed := range []struct{ magic, name string }{{"\x1f\x8b", "gzip"}, {"BZh", "bzip2"}, {"\xfd7zXZ", "xz"}, {"PK\x03\x04", "zip"}, {"\x28\xb5\x2f\xfd", "zstd"}} {
		head := make([]byte, len(packed.magic))
		if n, _ := f.ReadAt(head, 0); n == len(head) && string(head) == packed.magic {
			return &FormatError{File: path, Reason: "is packed with " + packed.name, Hint: "unpack it first: long texts are read from where they lie in the file"}
		}
	}
	return nil
}

func (t *frame) scan(ctx context.Context, hooks scanHooks, r *record, at []int, fn func(row int64, r *record) error) error {
	bad := hooks.bad
	if bad == nil {
		bad = stopAtFirst
	}
	for row := range t.rows {
		if row%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if row%512 == 0 && hooks.progress != nil {
			hooks.progress(int64(row), int64(t.rows))
		}
		var fault *FormatError
		for i, k := range at {
			var err error
			c := t.columns[k]
			if r.values[i], r.present[i], err = t.cell(c.array, c.first+row*c.step); err != nil {
				fault = &FormatError{File: t.name, Line: row + 1, Field: r.columns[i], Reason: err.Error(), Hint: hintPickleOther, Err: err}
				break
			}
		}
		var err error
		if fault != nil {
			err = bad(fault)
		} else {
			err = fn(int64(row+1), r)
		}
		if err != nil {
			return err
		}
	}
	if hooks.progress != nil {
		hooks.progress(int64(t.rows), int64(t.rows))
	}
	return nil
}

// made returns the class of what a call makes, and the arguments; protocols 0
// and 1 say it as copyreg._reconstructor(class, object, None).
func (c *pyCall) made() (pyGlobal, pyTuple) {
	if c.of == pyRebuild && len(c.args) > 0 {
		class, _ := c.args[0].(pyGlobal)
		return class, nil
	}
	return c.of, c.args
}

// asCall returns v as a call that makes the class.
func asCall(v any, class pyGlobal) (*pyCall, error) {
	if c, ok := v.(*pyCall); ok {
		if made, _ := c.made(); made == class {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%s where %s is wanted", pyKind(v), class)
}

// pyItems returns the items of a list or tuple.
func pyItems(v any) []any {
	switch v := v.(type) {
	case *pyList:
		return v.items
	case pyTuple:
		return v
	}
	return nil
}

// read understands the DataFrame v.
func (t *frame) read(v any) error {
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
	blocks, axes, err := pandasParts(m)
	if err != nil {
		return err
	}
	if len(axes) != 2 {
		return fmt.Errorf("%d axes where a frame has 2", len(axes))
	}
	labels, err := t.index(axes[0])
	if err != nil {
		return err
	}
	index, err := t.index(axes[1])
	if err != nil {
		return err
	}
	t.rows = index.size
	if err := t.label(labels); err != nil {
		return err
	}
	for _, b := range blocks {
		if err := t.block(b); err != nil {
			return err
		}
	}
	if i := slices.IndexFunc(t.columns, func(c frameColumn) bool { return c.array == nil }); i >= 0 {
		return fmt.Errorf("column %s has no values", quote(t.names[i]))
	}
	if index.array != nil && index.name != "" && !slices.Contains(t.names, index.name) {
		t.names, t.columns = append(t.names, index.name), append(t.columns, frameColumn{index.array, 0, 1})
	}
	return nil
}

// pandasBlock is a block's values and which columns they are.
type pandasBlock struct{ values, columns any }

// pandasParts returns the blocks and axes of a manager. Since pandas 1.3 they are its
// arguments; before, a state that names its version.
func pandasParts(m *pyCall) (blocks []pandasBlock, axes []any, err error) {
	if _, args := m.made(); len(args) == 2 {
		for _, v := range pyItems(args[0]) {
			c, err := asCall(v, pyBlock)
			if err != nil {
				return nil, nil, err
			}
			if len(c.args) != 3 {
				return nil, nil, errors.New("a block has no content")
			}
			blocks = append(blocks, pandasBlock{c.args[0], c.args[1]})
		}
		return blocks, pyItems(args[1]), nil
	}
	state := pyItems(m.state)
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
	for _, v := range pyItems(inner.get("blocks")) {
		d, ok := v.(*pyDict)
		if !ok {
			return nil, nil, errors.New("a block has no content")
		}
		blocks = append(blocks, pandasBlock{d.get("values"), d.get("mgr_locs")})
	}
	return blocks, pyItems(inner.get("axes")), nil
}

// pandasAxis is an index: its length and name, and its values unless it only counts.
type pandasAxis struct {
	size  int
	name  string
	array *ndarray
}

// index understands an index of pandas.
func (t *frame) index(v any) (pandasAxis, error) {
	c, err := asCall(v, pyNewIndex)
	if err != nil {
		return pandasAxis{}, err
	}
	if len(c.args) != 2 {
		return pandasAxis{}, errors.New("an index has no content")
	}
	d, ok := c.args[1].(*pyDict)
	if !ok {
		return pandasAxis{}, errors.New("an index has no content")
	}
	var x pandasAxis
	x.name, _ = d.get("name").(string)
	if c.args[0] == any(pyRangeIndex) {
		places, err := t.span(d.get("start"), d.get("stop"), d.get("step"))
		x.size = places
		return x, err
	}
	if x.array, err = t.array(d.get("data")); err != nil {
		return pandasAxis{}, err
	}
	if len(x.array.shape) != 1 || !x.array.isPlain() {
		return pandasAxis{}, errors.New("an index is not of plain values")
	}
	x.size = x.array.shape[0]
	return x, nil
}

// span returns how many numbers a range has. No array of the file has more
// values than the file has bytes, so that a longer one is refused.
func (t *frame) span(start, stop, step any) (int, error) {
	a, ok1 := start.(int64)
	b, ok2 := stop.(int64)
	by, ok3 := step.(int64)
	const most = 1 << 40
	if !ok1 || !ok2 || !ok3 || by == 0 || max(a, -a, b, -b, by, -by) > most || min(a, b, by) < -most {
		return 0, errors.New("a range has no limits, or none that fit")
	}
	if by < 0 {
		a, b, by = -a, -b, -by
	}
	n := max(0, (b-a+by-1)/by)
	if n > t.size {
		return 0, errors.New("a range is longer than the file")
	}
	return int(n), nil
}

// label names the columns.
func (t *frame) label(labels pandasAxis) error {
	if labels.array == nil && labels.size > 0 {
		return errors.New("the columns have no names")
	}
	for i := range labels.size {
		name, _, err := t.cell(labels.array, i)
		if err != nil {
			return fmt.Errorf("the name of column %d %w", i+1, err)
		}
		t.names = append(t.names, name)
	}
	t.columns = make([]frameColumn, labels.size)
	return nil
}

// block puts the values of a block into its columns.
func (t *frame) block(b pandasBlock) error {
	a, err := t.array(b.values)
	if err != nil {
		return err
	}
	places, err := t.places(b.columns)
	if err != nil {
		return err
	}
	wide, long := 1, a.shape[len(a.shape)-1]
	if len(a.shape) == 2 {
		wide = a.shape[0]
	}
	if wide != len(places) || long != t.rows {
		return fmt.Errorf("a block has %d columns of %d values where %d of %d are wanted", wide, long, len(places), t.rows)
	}
	for i, at := range places {
		if at < 0 || at >= len(t.columns) || t.columns[at].array != nil {
			return fmt.Errorf("a block fills column %d, which is not there or full", at+1)
		}
		t.columns[at] = frameColumn{a, i * long, 1}
		if a.fortran {
			t.columns[at] = frameColumn{a, i, wide}
		}
	}
	return nil
}

// places returns which columns a block fills: a slice or an array of numbers.
func (t *frame) places(v any) ([]int, error) {
	if c, err := asCall(v, pySlice); err == nil {
		if len(c.args) != 3 {
			return nil, errors.New("a slice has no limits")
		}
		step := c.args[2]
		if step == nil {
			step = int64(1)
		}
		n, err := t.span(c.args[0], c.args[1], step)
		if err != nil || n > len(t.columns) {
			return nil, errors.Join(err, errors.New("a block fills more columns than there are"))
		}
		places := make([]int, n)
		for i := range places {
			places[i] = int(c.args[0].(int64) + int64(i)*step.(int64))
		}
		return places, nil
	}
	a, err := t.array(v)
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
