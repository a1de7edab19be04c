package safetensors

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/carrot-router/carrot/internal/readfile"
)

// maxHeader is the longest header that the format allows, in bytes.
const maxHeader = 100_000_000

// File is a parsed safetensors file. It is safe for concurrent use.
type File struct {
	path     string // "" if parsed from memory
	metadata map[string]string
	names    []string
	tensors  map[string]Tensor
}

// MaxFile is the largest file that Open reads, in bytes.
const MaxFile = 16 << 30

// Open reads and parses the file at path. Anything but a regular file of at most
// [MaxFile] bytes is an error.
func Open(path string) (*File, error) {
	data, err := readfile.Read(path, MaxFile)
	if err != nil {
		return nil, fmt.Errorf("read safetensors: %w", err)
	}
	f, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f.path = path
	return f, nil
}

// Parse reads a safetensors file from memory. The tensors alias data, which
// must not change while the File is in use.
func Parse(data []byte) (*File, error) {
	if len(data) < 8 {
		return nil, fmt.Errorf("parse safetensors: %d bytes are too few for the header length", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxHeader {
		return nil, fmt.Errorf("parse safetensors: header of %d bytes is over the limit of %d", n, maxHeader)
	}
	if n > uint64(len(data)-8) {
		return nil, fmt.Errorf("parse safetensors: header of %d bytes is longer than the file", n)
	}
	h, err := parseHeader(data[8 : 8+n])
	if err != nil {
		return nil, fmt.Errorf("parse safetensors: header: %w", err)
	}
	f := &File{metadata: h.metadata, tensors: make(map[string]Tensor, len(h.entries))}
	if err := f.bind(h.entries, data[8+n:]); err != nil {
		return nil, fmt.Errorf("parse safetensors: %w", err)
	}
	return f, nil
}

// bind checks that the entries cover body without gaps and overlaps, and assigns
// each its bytes.
func (f *File) bind(entries []entry, body []byte) error {
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
	})
	var at uint64
	for _, e := range entries {
		switch {
		case e.end < e.start:
			return fmt.Errorf("tensor %q: data offsets [%d,%d] are reversed", e.name, e.start, e.end)
		case e.end > uint64(len(body)):
			return fmt.Errorf("tensor %q: data offsets [%d,%d] are beyond the %d bytes of data", e.name, e.start, e.end, len(body))
		case e.start < at:
			return fmt.Errorf("tensor %q: data offsets [%d,%d] overlap the tensor before", e.name, e.start, e.end)
		case e.start > at:
			return fmt.Errorf("tensor %q: there is a gap of %d bytes before it", e.name, e.start-at)
		}
		t := Tensor{Name: e.name, DType: e.dtype, Shape: e.shape, Data: body[e.start:e.end:e.end]}
		if err := t.check(); err != nil {
			return fmt.Errorf("tensor %q: %w", e.name, err)
		}
		f.tensors[e.name] = t
		at = e.end
	}
	if at != uint64(len(body)) {
		return fmt.Errorf("%d bytes follow the last tensor", uint64(len(body))-at)
	}
	f.names = slices.Sorted(maps.Keys(f.tensors))
	return nil
}

// Metadata returns a copy of the file's metadata, which may be empty.
func (f *File) Metadata() map[string]string {
	m := make(map[string]string, len(f.metadata))
	maps.Copy(m, f.metadata)
	return m
}

// Names returns the names of the tensors, sorted.
func (f *File) Names() []string { return slices.Clone(f.names) }

// Tensor returns the tensor with a name. Its Data aliases the file's bytes.
func (f *File) Tensor(name string) (Tensor, bool) {
	t, ok := f.tensors[name]
	t.Shape = slices.Clone(t.Shape)
	return t, ok
}

// find returns the tensor with a name and checks its type and, if shape is not
// empty, its shape. -1 matches any dimension.
func (f *File) find(name string, shape []int, types ...DType) (Tensor, error) {
	t, ok := f.tensors[name]
	switch {
	case !ok:
		return t, f.errorf(name, "not found")
	case !slices.Contains(types, t.DType):
		return t, f.errorf(name, "has dtype %s, want %v", t.DType, types)
	case len(shape) > 0 && !slices.EqualFunc(t.Shape, shape, func(got, want int) bool { return want == -1 || got == want }):
		return t, f.errorf(name, "has shape %v, want %v", t.Shape, shape)
	}
	return t, nil
}

func (f *File) errorf(name, format string, args ...any) error {
	err := fmt.Errorf("tensor %q "+format, append([]any{name}, args...)...)
	if f.path != "" {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return err
}

// Float32s returns a copy of an F32, F16 or BF16 tensor as float32. If shape is not
// empty, the tensor must have it; -1 matches any dimension.
func (f *File) Float32s(name string, shape ...int) ([]float32, error) {
	t, err := f.find(name, shape, F32, F16, BF16)
	if err != nil {
		return nil, err
	}
	switch t.DType {
	case F16:
		return convert(t.Data, 2, func(b []byte) float32 { return float16(binary.LittleEndian.Uint16(b)) }), nil
	case BF16:
		return convert(t.Data, 2, func(b []byte) float32 {
			return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
		}), nil
	}
	v := make([]float32, len(t.Data)/4) // without convert, for speed with large tables
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return v, nil
}

// Float64s is like Float32s for an F64 tensor.
func (f *File) Float64s(name string, shape ...int) ([]float64, error) {
	t, err := f.find(name, shape, F64)
	if err != nil {
		return nil, err
	}
	return convert(t.Data, 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }), nil
}

// Bytes returns the data of a tensor with a type. The data alias the file's bytes.
// The shape is checked as in Float32s.
func (f *File) Bytes(name string, dtype DType, shape ...int) ([]byte, error) {
	t, err := f.find(name, shape, dtype)
	if err != nil {
		return nil, err
	}
	return t.Data, nil
}

// Int32s is like Float32s for an I32 tensor.
func (f *File) Int32s(name string, shape ...int) ([]int32, error) {
	t, err := f.find(name, shape, I32)
	if err != nil {
		return nil, err
	}
	return convert(t.Data, 4, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) }), nil
}

// Uint32s is like Float32s for a U32 tensor.
func (f *File) Uint32s(name string, shape ...int) ([]uint32, error) {
	t, err := f.find(name, shape, U32)
	if err != nil {
		return nil, err
	}
	return convert(t.Data, 4, binary.LittleEndian.Uint32), nil
}

// Uint16s is like Float32s for a U16 tensor.
func (f *File) Uint16s(name string, shape ...int) ([]uint16, error) {
	t, err := f.find(name, shape, U16)
	if err != nil {
		return nil, err
	}
	return convert(t.Data, 2, binary.LittleEndian.Uint16), nil
}

// convert decodes elements of size bytes.
func convert[T any](data []byte, size int, decode func([]byte) T) []T {
	v := make([]T, len(data)/size)
	for i := range v {
		v[i] = decode(data[i*size : i*size+size])
	}
	return v
}
