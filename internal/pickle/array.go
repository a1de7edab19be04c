package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// array is an array of numpy of one or two dimensions. An array of objects has
// items; every other has data.
type array struct {
	dtype
	shape   []int
	fortran bool // values of the first dimension are neighbours
	data    []byte
	items   []any
}

// dtype is a type of numpy: its letter, the size of a value in bytes, and their
// order.
type dtype struct {
	kind  byte
	size  int
	order binary.ByteOrder
}

// String returns the type as numpy writes it, such as f8.
func (d dtype) String() string { return fmt.Sprintf("%c%d", d.kind, d.size) }

// isPlain reports whether values of the type can be read.
func (d dtype) isPlain() bool {
	switch d.kind {
	case 'O':
		return true
	case 'f':
		return d.size == 4 || d.size == 8
	case 'i', 'u':
		return d.size == 1 || d.size == 2 || d.size == 4 || d.size == 8
	case 'b':
		return d.size == 1
	}
	return false
}

// parseType returns the type of numpy that v is: numpy.dtype("f8", False, True)
// with its state (3, "<", …).
func parseType(v any) (dtype, error) {
	bad := fmt.Errorf("%s is not a type of numpy", kindOf(v))
	c, ok := v.(*pyCall)
	if !ok || c.of != pyDType || len(c.args) == 0 {
		return dtype{}, bad
	}
	code, ok := c.args[0].(string)
	if !ok || code == "" {
		return dtype{}, bad
	}
	d := dtype{kind: code[0], order: binary.LittleEndian}
	if size, err := strconv.ParseUint(code[1:], 10, 31); err == nil {
		d.size = int(size)
	} else if code != "O" {
		return dtype{}, bad
	}
	if state, ok := c.state.(pyTuple); ok && len(state) > 1 && state[1] == any(">") {
		d.order = binary.BigEndian
	}
	return d, nil
}

// array returns the array of numpy that v is, written in either of the two ways
// that numpy has, or that an array of texts of pandas holds.
func (f *Frame) array(v any) (*array, error) {
	c, ok := v.(*pyCall)
	if !ok {
		return nil, fmt.Errorf("%s is not an array", kindOf(v))
	}
	var shape, kind, data any
	a := &array{}
	switch class, _ := c.made(); class {
	case pyReconstruct: // state: version, shape, type, order, data
		state, _ := c.state.(pyTuple)
		if len(state) != 5 {
			return nil, errors.New("an array has no content")
		}
		shape, kind, data = state[1], state[2], state[4]
		a.fortran = state[3] == any(true)
	case pyFromBuffer: // data, type, shape, order
		if len(c.args) < 4 || c.args[3] != any("C") && c.args[3] != any("F") {
			return nil, errors.New("an array has no content, or an order that is neither C nor F")
		}
		data, kind, shape = c.args[0], c.args[1], c.args[2]
		a.fortran = c.args[3] == any("F")
	case pyBacked, pyStringArray:
		inner, err := stringArray(c)
		if err != nil {
			return nil, err
		}
		return f.array(inner)
	default:
		return nil, fmt.Errorf("%s is not an array", kindOf(v))
	}
	if err := f.fill(a, shape, kind, data); err != nil {
		return nil, err
	}
	return a, nil
}

// stringArray returns the array of numpy inside an array of texts of pandas. Its
// state is (type, array, {}) in pandas 1.3 and 2, and a dictionary before.
func stringArray(c *pyCall) (*pyCall, error) {
	if c.of == pyBacked && (len(c.args) == 0 || c.args[0] != any(pyStringArray)) {
		return nil, errors.New("an array of pandas is not one of texts")
	}
	var inner any
	switch state := c.state.(type) {
	case pyTuple:
		if len(state) > 1 {
			inner = state[1]
		}
	case *pyDict:
		inner = state.get("_ndarray")
	}
	a, ok := inner.(*pyCall)
	if !ok || a.of != pyReconstruct && a.of != pyFromBuffer {
		return nil, errors.New("an array of texts has no content")
	}
	return a, nil
}

// fill sets type, shape and content of an array, which must have as many values
// as the shape says.
func (f *Frame) fill(a *array, shape, kind, data any) (err error) {
	if a.dtype, err = parseType(kind); err != nil {
		return err
	}
	dims, ok := shape.(pyTuple)
	if !ok || len(dims) == 0 || len(dims) > 2 {
		return errors.New("an array has neither one nor two dimensions")
	}
	count := int64(1)
	for _, dim := range dims {
		n, ok := dim.(int64)
		if !ok || n < 0 || n > f.size {
			return errors.New("an array has more values than the file has bytes")
		}
		// Both factors are at most the file's size, and the product is checked
		// before it can overflow.
		if n > 0 && count > f.size/n {
			return errors.New("an array has more values than the file has bytes")
		}
		count *= n
		a.shape = append(a.shape, int(n))
	}
	have := int64(0)
	if a.kind == 'O' {
		list, ok := data.(*pyList)
		if !ok {
			return errors.New("an array of objects has no list of objects")
		}
		a.items, have = list.items, int64(len(list.items))
	} else {
		if a.data, err = f.bytes(data); err != nil {
			return err
		}
		if a.size > 0 {
			have = int64(len(a.data) / a.size)
		}
	}
	if have != count {
		return fmt.Errorf("an array holds %d values, want %d", have, count)
	}
	return nil
}

// bytes returns the bytes that v is. Protocols 0 to 2 write them as a call of
// _codecs.encode on a text.
func (f *Frame) bytes(v any) ([]byte, error) {
	if b, ok := v.(pyBytes); ok {
		return b, nil
	}
	c, ok := v.(*pyCall)
	if !ok || c.of != pyEncode || len(c.args) != 2 || c.args[1] != any("latin1") {
		return nil, fmt.Errorf("%s is not bytes", kindOf(v))
	}
	text, ok, err := f.text(c.args[0])
	if err != nil {
		return nil, err
	}
	if len(text) > keepText { // many cells may share a short one
		f.decoded += int64(len(text))
	}
	if !ok || f.decoded > f.size {
		return nil, errors.New("the bytes of an array are those of another")
	}
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, errors.New("a text that should hold bytes has other characters")
		}
		b = append(b, byte(r))
	}
	return b, nil
}

// text returns the text that v is, read from the file if it is long, and
// whether v is a text.
func (f *Frame) text(v any) (string, bool, error) {
	switch v := v.(type) {
	case string:
		return v, true, nil
	case pyText:
		b := make([]byte, v.size)
		if _, err := f.file.ReadAt(b, v.at); err != nil {
			return "", false, fmt.Errorf("read: %w", err)
		}
		return string(b), true, nil
	}
	return "", false, nil
}

// cell returns value i of an array as Frame.Value does.
func (f *Frame) cell(a *array, i int) (string, bool, error) {
	if a.kind != 'O' {
		text, ok := a.number(a.data[i*a.size:])
		return text, ok, nil
	}
	switch v := a.items[i].(type) {
	case nil:
		return "", false, nil
	case bool:
		return map[bool]string{false: "0", true: "1"}[v], true, nil
	case int64:
		return strconv.FormatInt(v, 10), true, nil
	case float64:
		return numberText(v, 64), !math.IsNaN(v), nil
	case pyGlobal:
		if v == pyNA {
			return "", false, nil
		}
	case *pyCall:
		if v.of == pyScalar {
			return f.scalar(v)
		}
	case string, pyText:
		text, _, err := f.text(v)
		if err == nil && !utf8.ValidString(text) {
			err = errors.New("is not UTF-8")
		}
		return text, true, err
	}
	return "", false, fmt.Errorf("is %s, not a text or a number", kindOf(a.items[i]))
}

// scalar returns a single value of numpy as text.
func (f *Frame) scalar(c *pyCall) (string, bool, error) {
	if len(c.args) != 2 {
		return "", false, errors.New("is a value of numpy that has no content")
	}
	d, err := parseType(c.args[0])
	if err != nil {
		return "", false, err
	}
	b, err := f.bytes(c.args[1])
	if err != nil {
		return "", false, err
	}
	if d.kind == 'U' {
		var text strings.Builder
		for ; len(b) >= 4; b = b[4:] {
			text.WriteRune(rune(d.order.Uint32(b)))
		}
		return text.String(), true, nil
	}
	if d.kind == 'O' || !d.isPlain() || len(b) != d.size {
		return "", false, fmt.Errorf("is a value of numpy of type %s, not a text or a number", d)
	}
	text, ok := d.number(b)
	return text, ok, nil
}

// number returns the number at the start of b as text, and false if it is NaN.
func (d dtype) number(b []byte) (string, bool) {
	var bits uint64
	switch d.size {
	case 1:
		bits = uint64(b[0])
	case 2:
		bits = uint64(d.order.Uint16(b))
	case 4:
		bits = uint64(d.order.Uint32(b))
	case 8:
		bits = d.order.Uint64(b)
	}
	switch d.kind {
	case 'f':
		x := math.Float64frombits(bits)
		if d.size == 4 {
			x = float64(math.Float32frombits(uint32(bits)))
		}
		return numberText(x, d.size*8), !math.IsNaN(x)
	case 'i':
		unused := 64 - 8*d.size
		return strconv.FormatInt(int64(bits<<unused)>>unused, 10), true
	}
	return strconv.FormatUint(bits, 10), true
}

// numberText writes a number of 32 or 64 bits, a whole one without an exponent.
func numberText(x float64, bits int) string {
	if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
		return strconv.FormatInt(int64(x), 10)
	}
	return strconv.FormatFloat(x, 'g', -1, bits)
}
