package rivals

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"reflect"
	"strings"
)

// A saved rival is the values of its exported fields in their order, little-endian:
// numbers with their bits, strings and slices after their length, pointers after a
// byte that is 0 for nil. Nothing names the fields, because only the build that
// wrote a file reads it. A checksum at the end finds files that are cut or damaged.

var order = binary.LittleEndian

var errDamaged = errors.New("the file is damaged")

// save writes what the pointers in from point to.
func save(w io.Writer, from ...any) error {
	var b []byte
	var err error
	for _, p := range from {
		if b, err = appendValue(b, reflect.ValueOf(p).Elem()); err != nil {
			return err
		}
	}
	_, err = w.Write(order.AppendUint32(b, crc32.ChecksumIEEE(b)))
	return err
}

// saved opens what save wrote. The reader checks it as a whole.
func saved(in io.Reader) (*savedReader, error) {
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	n := len(b) - crc32.Size
	if n < 0 || crc32.ChecksumIEEE(b[:n]) != order.Uint32(b[n:]) {
		return nil, errDamaged
	}
	return &savedReader{b[:n]}, nil
}

// savedReader holds what has not been read yet.
type savedReader struct{ rest []byte }

// read fills what the pointers point to, as save was given them.
func (r *savedReader) read(to ...any) error {
	for _, p := range to {
		if err := r.value(reflect.ValueOf(p).Elem()); err != nil {
			return err
		}
	}
	return nil
}

// asOne reports whether encoding/binary writes all values of a type, which then have
// one size.
func asOne(t reflect.Type) bool {
	return t.Kind() != reflect.Slice && binary.Size(reflect.Zero(t).Interface()) > 0
}

func appendValue(b []byte, v reflect.Value) ([]byte, error) {
	var err error
	switch {
	case v.Kind() == reflect.Int:
		return order.AppendUint64(b, uint64(v.Int())), nil
	case v.Kind() == reflect.String:
		return append(order.AppendUint64(b, uint64(v.Len())), v.String()...), nil
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			return append(b, 0), nil
		}
		return appendValue(append(b, 1), v.Elem())
	case v.Kind() == reflect.Slice:
		b = order.AppendUint64(b, uint64(v.Len()))
		if asOne(v.Type().Elem()) {
			return binary.Append(b, order, v.Interface())
		}
		for i := 0; i < v.Len() && err == nil; i++ {
			b, err = appendValue(b, v.Index(i))
		}
		return b, err
	case v.Kind() == reflect.Struct:
		for i := 0; i < v.NumField() && err == nil; i++ {
			b, err = appendValue(b, v.Field(i))
		}
		return b, err
	case asOne(v.Type()):
		return binary.Append(b, order, v.Interface())
	}
	return nil, fmt.Errorf("a value of type %s cannot be saved", v.Type())
}

// next takes n elements of the given size.
func (r *savedReader) next(n uint64, size int) ([]byte, error) {
	if n > uint64(len(r.rest)/size) {
		return nil, errDamaged
	}
	b := r.rest[:n*uint64(size)]
	r.rest = r.rest[len(b):]
	return b, nil
}

func (r *savedReader) number() (uint64, error) {
	b, err := r.next(1, 8)
	if err != nil {
		return 0, err
	}
	return order.Uint64(b), nil
}

func (r *savedReader) value(v reflect.Value) error {
	switch {
	case v.Kind() == reflect.Int:
		n, err := r.number()
		v.SetInt(int64(n))
		return err
	case v.Kind() == reflect.String:
		n, err := r.number()
		if err != nil {
			return err
		}
		b, err := r.next(n, 1)
		v.SetString(string(b))
		return err
	case v.Kind() == reflect.Pointer:
		b, err := r.next(1, 1)
		if err != nil || b[0] == 0 {
			return err
		}
		v.Set(reflect.New(v.Type().Elem()))
		return r.value(v.Elem())
	case v.Kind() == reflect.Slice:
		n, err := r.number()
		if err != nil || n == 0 {
			return err
		}
		if n > uint64(len(r.rest)) { // an element takes a byte at least
			return errDamaged
		}
		v.Set(reflect.MakeSlice(v.Type(), int(n), int(n)))
		if one := v.Type().Elem(); asOne(one) {
			b, err := r.next(n, binary.Size(reflect.Zero(one).Interface()))
			if err != nil {
				return err
			}
			_, err = binary.Decode(b, order, v.Interface())
			return err
		}
		for i := range v.Len() {
			if err := r.value(v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if err := r.value(v.Field(i)); err != nil {
				return err
			}
		}
		return nil
	case asOne(v.Type()):
		b, err := r.next(1, binary.Size(reflect.Zero(v.Type()).Interface()))
		if err != nil {
			return err
		}
		_, err = binary.Decode(b, order, v.Addr().Interface())
		return err
	}
	return fmt.Errorf("a value of type %s cannot be read", v.Type())
}

// kind names the type of a model, and newModel makes one of that type, nil if there is none.
func kind(m model) string { return strings.TrimPrefix(fmt.Sprintf("%T", m), "*rivals.") }

func newModel(name string) model {
	for _, m := range all {
		for _, t := range m.trials(2) {
			if kind(t) == name {
				return reflect.New(reflect.TypeOf(t).Elem()).Interface().(model)
			}
		}
	}
	return nil
}
