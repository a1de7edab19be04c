package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// file builds a safetensors file from a header and the bytes after it.
func file(header string, body ...byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), body...)
}

func sample() (map[string]string, []Tensor) {
	return map[string]string{"b": "two <&> \"é\"", "a": "one"}, []Tensor{
		FromUint8("u8", []uint8{1, 2, 255}, 3),
		FromFloat32("f32", []float32{1, -2.5, float32(math.Inf(1)), 0}, 2, 2),
		FromInt8("i8", []int8{-128, 0, 127}, 3, 1),
		FromFloat64("f64", []float64{math.Pi}, 1),
		FromInt32("i32", []int32{-1, math.MaxInt32}, 2),
		FromUint32("u32", []uint32{7, math.MaxUint32}, 1, 2),
		{Name: "u16", DType: U16, Data: []byte{9, 0}},
		FromFloat32("empty", nil, 0, 5),
		{Name: "half", DType: F16, Shape: []int{2}, Data: []byte{0x00, 0x3c, 0x01, 0x80}},
		{Name: "brain", DType: BF16, Shape: []int{2}, Data: []byte{0x80, 0x3f, 0x20, 0xc0}},
	}
}

func write(t testing.TB, metadata map[string]string, tensors []Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, metadata, tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	metadata, tensors := sample()
	data := write(t, metadata, tensors)
	f, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f.Metadata(), metadata) {
		t.Errorf("Metadata = %v, want %v", f.Metadata(), metadata)
	}
	if want := []string{"brain", "empty", "f32", "f64", "half", "i32", "i8", "u16", "u32", "u8"}; !slices.Equal(f.Names(), want) {
		t.Errorf("Names = %v, want %v", f.Names(), want)
	}
	for _, want := range tensors {
		got, ok := f.Tensor(want.Name)
		if !ok || got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("Tensor(%q) = %v, %v, want %v", want.Name, got, ok, want)
		}
	}
	if _, ok := f.Tensor("none"); ok {
		t.Error("Tensor of an unknown name reports true")
	}
	check(t, f.Float32s, "f32", []float32{1, -2.5, float32(math.Inf(1)), 0}, 2, -1)
	check(t, f.Float32s, "empty", []float32{}, 0, 5)
	check(t, f.Float32s, "half", []float32{1, -0x1p-24}, 2)
	check(t, f.Float32s, "brain", []float32{1, -2.5})
	check(t, f.Float64s, "f64", []float64{math.Pi}, -1)
	check(t, bytesOf(f, I8), "i8", []byte{0x80, 0, 127}, 3, -1)
	check(t, bytesOf(f, U8), "u8", []byte{1, 2, 255})
	check(t, f.Int32s, "i32", []int32{-1, math.MaxInt32}, 2)
	check(t, f.Uint32s, "u32", []uint32{7, math.MaxUint32}, 1, 2)
	check(t, bytesOf(f, U16), "u16", []byte{9, 0})
}

// bytesOf returns File.Bytes for a type.
func bytesOf(f *File, dtype DType) func(string, ...int) ([]byte, error) {
	return func(name string, shape ...int) ([]byte, error) { return f.Bytes(name, dtype, shape...) }
}

func check[T comparable](t *testing.T, get func(string, ...int) ([]T, error), name string, want []T, shape ...int) {
	t.Helper()
	got, err := get(name, shape...)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q = %v, %v, want %v", name, got, err, want)
	}
}

func TestGetterErrors(t *testing.T) {
	f, err := Parse(write(t, nil, []Tensor{FromFloat32("a", []float32{1, 2}, 1, 2)}))
	if err != nil {
		t.Fatal(err)
	}
	fails := func(err error, want string) {
		t.Helper()
		if err == nil || err.Error() != want {
			t.Errorf("error = %v, want %s", err, want)
		}
	}
	_, err = f.Float32s("b")
	fails(err, `tensor "b" not found`)
	_, err = f.Float32s("a", 2, 1)
	fails(err, `tensor "a" has shape [1 2], want [2 1]`)
	_, err = f.Float32s("a", -1)
	fails(err, `tensor "a" has shape [1 2], want [-1]`)
	_, err = f.Int32s("a")
	fails(err, `tensor "a" has dtype F32, want [I32]`)
	v, _ := f.Float32s("a")
	v[0] = 9
	check(t, f.Float32s, "a", []float32{1, 2})
}

// TestLayout fixes the bytes of a file, so that equal routers stay equal files.
func TestLayout(t *testing.T) {
	metadata, tensors := sample()
	data := write(t, metadata, tensors)
	slices.Reverse(tensors)
	if !bytes.Equal(write(t, metadata, tensors), data) {
		t.Error("Write depends on the order of tensors")
	}
	want := `{"__metadata__":{"a":"one","b":"two <&> \"é\""},"f64":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},` +
		`"empty":{"dtype":"F32","shape":[0,5],"data_offsets":[8,8]},"f32":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]},` +
		`"u32":{"dtype":"U32","shape":[1,2],"data_offsets":[24,32]},"i32":{"dtype":"I32","shape":[2],"data_offsets":[32,40]},` +
		`"brain":{"dtype":"BF16","shape":[2],"data_offsets":[40,44]},"half":{"dtype":"F16","shape":[2],"data_offsets":[44,48]},` +
		`"u16":{"dtype":"U16","shape":[],"data_offsets":[48,50]},"i8":{"dtype":"I8","shape":[3,1],"data_offsets":[50,53]},` +
		`"u8":{"dtype":"U8","shape":[3],"data_offsets":[53,56]}}`
	n := binary.LittleEndian.Uint64(data)
	head := string(data[8 : 8+n])
	if strings.TrimRight(head, " ") != want || n%8 != 0 || len(head)-len(want) > 7 {
		t.Errorf("header = %q, want %q padded to 8 bytes", head, want)
	}
	if got := write(t, nil, nil); string(got) != "\x08\x00\x00\x00\x00\x00\x00\x00{}      " {
		t.Errorf("Write of nothing = %q", got)
	}
}

// TestReference reads a file of the reference implementation, and writes the same
// bytes.
func TestReference(t *testing.T) {
	data, err := os.ReadFile("testdata/reference.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open("testdata/reference.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	check(t, f.Float32s, "f32", []float32{0, 0.5, 1, 1.5, 2, 2.5}, 2, 3)
	check(t, f.Float32s, "f16", []float32{1, -2, 65504, 0x1p-24}, 4)
	check(t, f.Float64s, "f64", []float64{1e300}, 1)
	check(t, bytesOf(f, I8), "i8", []byte{0xff, 0, 1}, 3)
	check(t, bytesOf(f, U16), "u16", []byte{1, 0, 0xff, 0xff}, 2)
	check(t, f.Int32s, "i32", []int32{-5}, 1, 1)
	check(t, f.Uint32s, "u32", []uint32{4e9}, 1)
	var tensors []Tensor
	for _, name := range f.Names() {
		tensor, _ := f.Tensor(name)
		tensors = append(tensors, tensor)
	}
	if got := write(t, f.Metadata(), tensors); !bytes.Equal(got, data) {
		t.Errorf("Write = %q, want the reference's %q", got, data)
	}
}

func TestFloat16(t *testing.T) {
	for h := range 1 << 16 {
		sign, exp, frac := float64(1), h>>10&31, float64(h&1023)
		if h >= 1<<15 {
			sign = -1
		}
		var want float64
		switch {
		case exp == 31 && frac == 0:
			want = math.Inf(int(sign))
		case exp == 31:
			want = math.NaN()
		case exp == 0:
			want = math.Copysign(math.Ldexp(frac, -24), sign)
		default:
			want = sign * math.Ldexp(1024+frac, exp-25)
		}
		got := float64(float16(uint16(h)))
		if math.IsNaN(want) && math.IsNaN(got) {
			continue
		}
		if got != want || math.Signbit(got) != math.Signbit(want) {
			t.Fatalf("float16(%#04x) = %v, want %v", h, got, want)
		}
		if back := bits16(float32(got)); back != uint16(h) {
			t.Fatalf("bits16(%v) = %#04x, want %#04x", got, back, h)
		}
		// What lies between two neighbours goes to the nearer, and from the middle to the even one.
		if next := float64(float16(uint16(h) + 1)); exp < 31 && frac < 1023 && !math.IsInf(next, 0) {
			middle, even := (got+next)/2, uint16(h)+uint16(h)&1
			below, above := math.Nextafter32(float32(middle), float32(got)), math.Nextafter32(float32(middle), float32(next))
			if bits16(below) != uint16(h) || bits16(above) != uint16(h)+1 || bits16(float32(middle)) != even {
				t.Fatalf("around %v: %#04x, %#04x and %#04x", middle, bits16(below), bits16(float32(middle)), bits16(above))
			}
		}
	}
	if !math.IsInf(float64(Half(65520)), 1) || Half(65519) != 65504 {
		t.Errorf("Half(65520) = %v, Half(65519) = %v", Half(65520), Half(65519))
	}
}

// badFiles returns files with one fault each, and a part of the expected error.
func badFiles() []badFile {
	one := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"x":{"dtype":"%s","shape":%s,"data_offsets":%s}}`, dtype, shape, offsets)
	}
	huge := binary.LittleEndian.AppendUint64(nil, math.MaxUint64)
	return []badFile{
		{"nothing", nil, "0 bytes are too few"},
		{"short", []byte{1, 2, 3}, "3 bytes are too few"},
		{"header of 2^64", huge, "over the limit"},
		{"header of 101 MB", append(binary.LittleEndian.AppendUint64(nil, 101e6), '{'), "over the limit"},
		{"header cut off", file(`{}`)[:9], "longer than the file"},
		{"empty header", file(``), "does not begin with {"},
		{"space first", file(` {}`), "does not begin with {"},
		{"not json", file(`{"x"`), "unexpected EOF"},
		{"bad token", file(`{x}`), "invalid character"},
		{"not utf-8", file("{\"\xff\":1}"), "not valid utf-8"},
		{"after the end", file(`{} {}`), "continues after"},
		{"repeated tensor", file(`{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`), `"x" appears twice`},
		{"repeated tensor with an escape", file(`{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0078":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`), `"x" appears twice`},
		{"repeated field", file(`{"x":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}`), `"dtype" appears twice`},
		{"repeated metadata", file(`{"__metadata__":{"a":"1","a":"2"}}`), `"a" appears twice`},
		{"metadata not a string", file(`{"__metadata__":{"a":1}}`), `value of "a" is not a string`},
		{"metadata a list", file(`{"__metadata__":[]}`), `__metadata__: got [, want an object`},
		{"tensor a number", file(`{"x":3}`), "got 3, want an object"},
		{"unknown dtype", file(one("F8", "[1]", "[0,1]"), 0), `tensor "x": unknown dtype "F8"`},
		{"dtype a number", file(`{"x":{"dtype":4,"shape":[0],"data_offsets":[0,0]}}`), `tensor "x": unknown dtype "4"`},
		{"no dtype", file(`{"x":{"shape":[0],"data_offsets":[0,0]}}`), `tensor "x": dtype is missing`},
		{"no shape", file(`{"x":{"dtype":"U8","data_offsets":[0,0]}}`), `tensor "x": shape is missing`},
		{"no offsets", file(`{"x":{"dtype":"U8","shape":[0]}}`), `tensor "x": data_offsets is missing`},
		{"shape a number", file(one("U8", "1", "[0,1]"), 0), `tensor "x": shape: got 1, want a list`},
		{"negative dimension", file(one("U8", "[-1]", "[0,1]"), 0), `tensor "x": shape: -1 is not a length`},
		{"fraction", file(one("U8", "[1.5]", "[0,1]"), 0), `tensor "x": shape: 1.5 is not a length`},
		{"exponent", file(one("U8", "[1e0]", "[0,1]"), 0), `tensor "x": shape: 1e0 is not a length`},
		{"dimension of 2^63", file(one("U8", "[9223372036854775808]", "[0,1]"), 0), "is not a length"},
		{"nested shape", file(one("U8", "[[1]]", "[0,1]"), 0), "is not a length"},
		{"overflow", file(one("F64", "[4294967296,4294967296]", "[0,0]")), `tensor "x": shape [4294967296 4294967296] overflows`},
		{"overflow by size", file(one("F64", "[2305843009213693952]", "[0,0]")), "overflows"},
		{"shape too large", file(one("F32", "[2]", "[0,4]"), 0, 0, 0, 0), `tensor "x": shape [2] of F32 needs 8 bytes, got 4`},
		{"three offsets", file(one("U8", "[1]", "[0,1,2]"), 0), `data_offsets has 3 numbers, want 2`},
		{"reversed offsets", file(one("U8", "[1]", "[1,0]"), 0), `tensor "x": data offsets [1,0] are reversed`},
		{"offsets beyond the end", file(one("U8", "[2]", "[0,2]"), 0), `tensor "x": data offsets [0,2] are beyond the 1 bytes`},
		{"offset of 2^62", file(one("U8", "[1]", "[0,4611686018427387904]"), 0), "are beyond"},
		{"gap at the start", file(one("U8", "[1]", "[1,2]"), 0, 0), `tensor "x": there is a gap of 1 bytes`},
		{"bytes after the last tensor", file(one("U8", "[1]", "[0,1]"), 0, 0), "1 bytes follow the last tensor"},
		{"overlap", file(`{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 0, 0, 0), `tensor "y": data offsets [1,3] overlap`},
	}
}

type badFile struct {
	name string
	data []byte
	want string
}

func TestParseErrors(t *testing.T) {
	for _, c := range badFiles() {
		t.Run(c.name, func(t *testing.T) {
			f, err := Parse(c.data)
			if err == nil || !strings.Contains(err.Error(), c.want) || f != nil {
				t.Errorf("Parse = %v, %v, want …%s", f, err, c.want)
			}
		})
	}
	good := `{"x":{"dtype":"U8","shape":[1],"later":{"a":[1,{}]},"data_offsets":[0,1]}}   `
	if _, err := Parse(file(good, 7)); err != nil {
		t.Errorf("Parse with an unknown key: %v", err)
	}
}

func TestWriteErrors(t *testing.T) {
	f := func(want string, metadata map[string]string, tensors ...Tensor) {
		t.Helper()
		var b bytes.Buffer
		err := Write(&b, metadata, tensors)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Write = %v, want …%s", err, want)
		}
		if b.Len() > 0 {
			t.Errorf("Write wrote %d bytes before its error", b.Len())
		}
	}
	x := FromUint8("x", []uint8{1}, 1)
	f(`tensor "x": appears twice`, nil, x, x)
	f(`tensor "__metadata__": the name is reserved`, nil, FromUint8("__metadata__", nil, 0))
	f(`tensor "\xff": the name is not valid utf-8`, nil, FromUint8("\xff", nil, 0))
	f(`tensor "x": shape [2] of U8 needs 2 bytes, got 1`, nil, FromUint8("x", []uint8{1}, 2))
	f(`tensor "x": shape [-1] has a negative dimension`, nil, FromUint8("x", []uint8{1}, -1))
	f(`tensor "x": unknown dtype "F8"`, nil, Tensor{Name: "x", DType: "F8"})
	f(`metadata "k" is not valid utf-8`, map[string]string{"k": "\xff"}, x)
	broken := errors.New("disk full")
	if err := Write(failing{broken}, nil, []Tensor{x}); !errors.Is(err, broken) {
		t.Errorf("Write to a broken writer = %v, want %v", err, broken)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func FuzzParse(f *testing.F) {
	metadata, tensors := sample()
	f.Add(write(f, metadata, tensors))
	f.Add(write(f, nil, nil))
	f.Add(file(`{"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`))
	f.Add(file(`{"x":{"dtype":"U8","shape":[0,9],"data_offsets":[0,0]},"y":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			return
		}
		var all []Tensor
		size := 0
		for _, name := range file.Names() {
			tensor, ok := file.Tensor(name)
			if !ok || tensor.Name != name {
				t.Fatalf("Tensor(%q) = %v, %v", name, tensor, ok)
			}
			all = append(all, tensor)
			size += len(tensor.Data)
		}
		if n := binary.LittleEndian.Uint64(data); size+8+int(n) != len(data) {
			t.Fatalf("tensors have %d bytes in a file of %d with a header of %d", size, len(data), n)
		}
		var out bytes.Buffer
		if err := Write(&out, file.Metadata(), all); err != nil {
			t.Fatalf("Write after Parse: %v", err)
		}
		again, err := Parse(out.Bytes())
		if err != nil {
			t.Fatalf("Parse after Write: %v", err)
		}
		before, _ := json.Marshal(file.tensors)
		after, _ := json.Marshal(again.tensors)
		if !bytes.Equal(before, after) || !reflect.DeepEqual(file.Metadata(), again.Metadata()) {
			t.Fatalf("round trip changed %s to %s", before, after)
		}
	})
}
