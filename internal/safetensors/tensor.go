package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// DType is the format's name for the type of a tensor's elements.
type DType string

// The element types.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I8   DType = "I8"
	U8   DType = "U8"
	I16  DType = "I16"
	U16  DType = "U16"
	I32  DType = "I32"
	U32  DType = "U32"
	I64  DType = "I64"
	U64  DType = "U64"
	BOOL DType = "BOOL"
)

// layout is the order of tensors in files of the reference implementation: by
// descending element size, so that every tensor is aligned.
var layout = [...]DType{U64, I64, F64, F32, U32, I32, BF16, F16, U16, I16, I8, U8, BOOL}

// rank returns the index of d in layout, or -1 if d is unknown.
func (d DType) rank() int {
	for i, l := range layout {
		if d == l {
			return i
		}
	}
	return -1
}

// Size returns the size of an element in bytes, or 0 if the type is unknown.
func (d DType) Size() int {
	switch d {
	case F64, I64, U64:
		return 8
	case F32, I32, U32:
		return 4
	case F16, BF16, I16, U16:
		return 2
	case I8, U8, BOOL:
		return 1
	}
	return 0
}

// Tensor is a named array in row-major order.
type Tensor struct {
	Name  string
	DType DType
	Shape []int  // empty for a scalar
	Data  []byte // little-endian, as long as Shape and DType require
}

// check returns an error if t's type, shape or length is wrong.
func (t Tensor) check() error {
	size := t.DType.Size()
	if size == 0 {
		return fmt.Errorf("unknown dtype %q", string(t.DType))
	}
	want, err := byteLength(t.Shape, size)
	if err != nil {
		return err
	}
	if want != len(t.Data) {
		return fmt.Errorf("shape %v of %s needs %d bytes, got %d", t.Shape, t.DType, want, len(t.Data))
	}
	return nil
}

// byteLength returns the length of a tensor in bytes. size is that of an element.
func byteLength(shape []int, size int) (int, error) {
	n := uint64(size)
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt {
			return 0, fmt.Errorf("shape %v overflows", shape)
		}
		n = lo
	}
	return int(n), nil
}

// FromFloat32 returns an F32 tensor that holds a copy of v.
func FromFloat32(name string, v []float32, shape ...int) Tensor {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return Tensor{Name: name, DType: F32, Shape: shape, Data: b}
}

// FromFloat64 returns an F64 tensor that holds a copy of v.
func FromFloat64(name string, v []float64, shape ...int) Tensor {
	b := make([]byte, 0, 8*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return Tensor{Name: name, DType: F64, Shape: shape, Data: b}
}

// FromInt8 returns an I8 tensor that holds a copy of v.
func FromInt8(name string, v []int8, shape ...int) Tensor {
	b := make([]byte, len(v))
	for i, x := range v {
		b[i] = byte(x)
	}
	return Tensor{Name: name, DType: I8, Shape: shape, Data: b}
}

// FromUint8 returns a U8 tensor that holds a copy of v.
func FromUint8(name string, v []uint8, shape ...int) Tensor {
	return Tensor{Name: name, DType: U8, Shape: shape, Data: append([]byte{}, v...)}
}

// FromUint16 returns a U16 tensor that holds a copy of v.
func FromUint16(name string, v []uint16, shape ...int) Tensor {
	b := make([]byte, 0, 2*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint16(b, x)
	}
	return Tensor{Name: name, DType: U16, Shape: shape, Data: b}
}

// FromInt32 returns an I32 tensor that holds a copy of v.
func FromInt32(name string, v []int32, shape ...int) Tensor {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, uint32(x))
	}
	return Tensor{Name: name, DType: I32, Shape: shape, Data: b}
}

// FromUint32 returns a U32 tensor that holds a copy of v.
func FromUint32(name string, v []uint32, shape ...int) Tensor {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	return Tensor{Name: name, DType: U32, Shape: shape, Data: b}
}

// FromFloat16 returns an F16 tensor of v, rounded as [Half] does.
func FromFloat16(name string, v []float32, shape ...int) Tensor {
	b := make([]byte, 0, 2*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint16(b, bits16(x))
	}
	return Tensor{Name: name, DType: F16, Shape: shape, Data: b}
}

// Half returns the nearest number that an F16 tensor can hold, of two the even one. It is
// infinite from 65,520 on.
func Half(v float32) float32 { return float16(bits16(v)) }

// bits16 returns the bits of the nearest IEEE 754 half.
func bits16(v float32) uint16 {
	b := math.Float32bits(v)
	sign := uint16(b >> 16 & 0x8000)
	b &= 1<<31 - 1
	switch a := math.Float32frombits(b); {
	case a != a:
		return sign | 0x7e00
	case a >= 65520:
		return sign | 0x7c00
	case a < 0x1p-14: // subnormal
		return sign | uint16(math.RoundToEven(float64(a)*0x1p24))
	}
	b += 0xfff + b>>13&1
	return sign | uint16((b-(127-15)<<23)>>13)
}

// float16 converts the bits of an IEEE 754 half to float32, which is exact.
func float16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exp := uint32(h >> 10 & 0x1f)
	frac := uint32(h & 0x3ff)
	switch exp {
	case 0: // zero or subnormal: frac · 2^-24
		f := float32(frac) * 0x1p-24
		return math.Float32frombits(sign | math.Float32bits(f))
	case 31: // infinity or NaN
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}
