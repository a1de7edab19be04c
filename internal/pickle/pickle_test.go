package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func unpickleText(t testing.TB, text string) (any, error) {
	t.Helper()
	return unpickle(t.Context(), strings.NewReader(text), int64(len(text)))
}

func TestUnpickle(t *testing.T) {
	call := &pyCall{of: pySlice, args: pyTuple{int64(1), int64(4), nil}}
	stated := &pyCall{of: pyDType, args: pyTuple{"f8"}, state: pyTuple{int64(3), "<"}}
	tests := []struct {
		name, in string
		want     any
	}{
		{"constants", "\x80\x04(N\x88\x89t.", pyTuple{nil, true, false}},
		{"numbers of protocol 0", "(I-7\nI01\nI00\nL12345678901L\nF0.5\nt.", pyTuple{int64(-7), true, false, int64(12345678901), 0.5}},
		{"binary numbers", "(K\xffM\x01\x02J\xfe\xff\xff\xffG?\xe0\x00\x00\x00\x00\x00\x00t.", pyTuple{int64(255), int64(513), int64(-2), 0.5}},
		{"long integers", "(\x8a\x00\x8a\x01\xff\x8a\x02\x00\x01\x8b\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01t.", pyTuple{int64(0), int64(-1), int64(256), pyBig(9)}},
		{"a long integer of protocol 0", "L99999999999999999999L\n.", pyBig(20)},
		{"texts", "(\x8c\x02h\xc3X\x02\x00\x00\x00hi\x8d\x01\x00\x00\x00\x00\x00\x00\x00!t.", pyTuple{"h\xc3", "hi", "!"}},
		{"a text of protocol 0", "VGr\xf6\\u00dfe \\U0001f600 \\u005cu \\x\n.", `Größe 😀 \u \x`},
		{"a long text stays in the file", "X\x01\x01\x00\x00" + strings.Repeat("x", 257) + ".", pyText{at: 5, size: 257}},
		{"bytes", "(C\x01aB\x01\x00\x00\x00b\x8e\x01\x00\x00\x00\x00\x00\x00\x00c\x96\x01\x00\x00\x00\x00\x00\x00\x00dt.", pyTuple{pyBytes("a"), pyBytes("b"), pyBytes("c"), pyBytes("d")}},
		{"tuples", "()K\x01\x85K\x01K\x02\x86NNN\x87(Kttt.", pyTuple{pyTuple{}, pyTuple{int64(1)}, pyTuple{int64(1), int64(2)}, pyTuple{nil, nil, nil}, pyTuple{int64('t')}}},
		{"lists", "(](K\x01K\x02e]K\x03a(K\x04l\x8f(K\x05\x90t.", pyTuple{&pyList{items: []any{int64(1), int64(2)}}, &pyList{items: []any{int64(3)}}, &pyList{items: []any{int64(4)}}, &pyList{items: []any{int64(5)}}}},
		{"dictionaries", "(}\x8c\x01aNs}(\x8c\x01bNu(\x8c\x01cNdt.", pyTuple{&pyDict{keys: []any{"a"}, values: []any{nil}}, &pyDict{keys: []any{"b"}, values: []any{nil}}, &pyDict{keys: []any{"c"}, values: []any{nil}}}},
		{"the memo", "(K\x05\x94K\x06q\x01K\x07p2\nh\x00j\x01\x00\x00\x00g2\nt.", pyTuple{int64(5), int64(6), int64(7), int64(5), int64(6), int64(7)}},
		{"the stack", "(K\x012K\x090(0(K\x081t.", pyTuple{int64(1), int64(1)}},
		{"frames", "\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00N.", nil},
		{"a call", "\x80\x02c__builtin__\nslice\nK\x01K\x04N\x87R.", call},
		{"a call whose global is on the stack, without named arguments", "\x80\x04\x8c\x08builtins\x8c\x05slice\x93K\x01K\x04N\x87}\x92.", call},
		{"a state", "cnumpy\ndtype\n\x8c\x02f8\x85\x81K\x03\x8c\x01<\x86b.", stated},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := unpickleText(t, tt.in)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(pyList{}, pyDict{}, pyCall{}, pyText{})); diff != "" || err != nil {
				t.Errorf("error %v, value (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestUnpickleRefuses(t *testing.T) {
	const most = "\xff\xff\xff\xff\xff\xff\xff\xff"
	tests := []struct{ name, in, want string }{
		{"os.system", "\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", "byte 15: the pickle names os.system, which no table needs: it is refused, and nothing was run"},
		{"os.system of protocol 0", "cos\nsystem\n(S'true'\ntR.", "byte 1: the pickle names os.system,"},
		{"os.system as an instance", "(S'true'\nios\nsystem\n.", "a text of Python 2"},
		{"posix.system as an instance", "(Vtrue\niposix\nsystem\n.", "names posix.system,"},
		{"builtins.eval", "\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "names builtins.eval,"},
		{"a name through an allowed module", "\x80\x04\x8c\x05numpy\x8c\x14core.multiarray.exec\x93.", "names numpy.core.multiarray.exec,"},
		{"numpy.load", "cnumpy\nload\n.", "names numpy.load, which is not supported"},
		{"pandas.eval", "cpandas\neval\n.", "names pandas.eval"},
		{"a codec that is not allowed", "c_codecs\ndecode\n.", "names _codecs.decode,"},
		{"a name with control characters", "cos\nsys\x1b[2Jtem\n.", `names os.sys\x1b[2Jtem,`},
		{"a call of a number", "K\x01)R.", "a call of an integer with a tuple"},
		{"arguments by name", "cnumpy\ndtype\n)}\x8c\x01aNs\x92.", "a call with arguments by name"},
		{"a state of a list", "]Nb.", "a list has no state"},
		{"a persistent id", "Pabc\n.", "a persistent id"},
		{"an extension", "\x82\x01.", "an extension code"},
		{"a buffer outside the file", "\x80\x05\x97.", "a buffer outside the file"},
		{"an unknown operation", "\xfe.", "0xfe is not an operation that is supported"},
		{"an unknown protocol", "\x80\x09.", "protocol 9 is not known"},
		{"a cut text", "X\xff\xff\xff\xffabc", "the file ends inside the pickle: a value has 4294967295 bytes, and 3 are left"},
		{"a huge text", "\x8d" + most + "abc", "a value has 18446744073709551615 bytes, and 3 are left"},
		{"huge bytes", "\x8e" + most, "and 0 are left"},
		{"a huge bytearray", "\x96\x00\x00\x00\x00\x00\x00\x00\x7f.", "and 1 are left"},
		{"a huge integer", "\x8b\xff\xff\xff\x7f.", "and 1 are left"},
		{"a huge frame", "\x80\x04\x95\x00\x00\x00\x00\x00\x01\x00\x00.", "and 1 are left"},
		{"a cut number", "J\x01", "the file ends inside the pickle"},
		{"a cut line", "I12", "the file ends inside the pickle"},
		{"no end", "N", "the file ends inside the pickle"},
		{"nothing", "", "the file ends inside the pickle"},
		{"nothing on the stack", ".", "the stack is empty"},
		{"too few values for a tuple", "N\x86.", "the stack is empty"},
		{"a tuple across a mark", "NN(\x86.", "the stack is empty"},
		{"no mark", "Nt.", "no container is open"},
		{"a place far beyond the memo", "Nr\xff\xff\xff\xff.", "the memo has no place 4294967295"},
		{"an empty memo", "h\x00.", "the memo has no value 0"},
		{"a dictionary without a value", "}(Nu.", "a key without a value"},
		{"items of a number", "NNa.", "None has no items"},
		{"not a whole number", "Ix\n.", `"x" is not a whole number`},
		{"not a number", "Fx\n.", `"x" is not a number`},
		{"a cut escape", "V\\u12\n.", "is not an escaped character"},
		{"deep nesting", strings.Repeat("(", 2000), "more than 1024 containers are nested"},
		{"a tall stack", strings.Repeat("]", maxStack+1), "more than 1048576 values are on the stack"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := unpickleText(t, tt.in)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// Lists in lists without a mark may be as deep as the stack allows, and do not
// crash the reader.
func TestUnpickleDeepLists(t *testing.T) {
	const deep = 500_000
	v, err := unpickleText(t, strings.Repeat("]", deep)+strings.Repeat("a", deep-1)+".")
	if err != nil {
		t.Fatal(err)
	}
	if err := new(Frame).read(v); err == nil || err.Error() != "a list instead of pandas.core.frame.DataFrame" {
		t.Errorf("error %v", err)
	}
}

// referencePickles are the tables that several versions of pandas pickled.
func referencePickles(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "importer", "testdata", "routerbench", "*.pkl"))
	if err != nil || len(paths) < 20 {
		t.Fatalf("%d pickles, %v", len(paths), err)
	}
	files := make(map[string][]byte)
	for _, path := range paths {
		if files[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// A pickle cut anywhere is an error, never half a table.
func TestReadCut(t *testing.T) {
	for path, data := range referencePickles(t) {
		for n := 0; n < len(data); n += 37 {
			if _, err := Read(t.Context(), bytes.NewReader(data[:n]), int64(n)); err == nil {
				t.Errorf("%s: no error for the first %d of %d bytes", path, n, len(data))
			}
		}
	}
}

// pickledFrame is a frame of one column of float64 in protocol 2, with the
// given parts.
func pickledFrame(shape, data, fortran, places, index string) string {
	return "\x80\x02cpandas.core.frame\nDataFrame\n)\x81}\x8c\x04_mgrcpandas.core.internals.managers\nBlockManager\n" +
		"(cpandas._libs.internals\n_unpickle_block\n" +
		"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01" + shape +
		"cnumpy\ndtype\n\x8c\x02f8\x85R" + fortran + data + "tb" + places + "K\x02\x87R\x85" +
		"](cpandas.core.indexes.base\n_new_Index\ncpandas.core.indexes.base\nIndex\n}\x8c\x04data" +
		"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01K\x01\x85cnumpy\ndtype\n\x8c\x02O8\x85R\x89]\x8c\x01xatbs\x86R" +
		"cpandas.core.indexes.base\n_new_Index\ncpandas.core.indexes.range\nRangeIndex\n}(" + index + "u\x86RetRsb."
}

func TestReadBadFrames(t *testing.T) {
	const (
		shape  = "K\x01K\x02\x86"
		data   = "C\x10\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\xe0\x3f"
		places = "cbuiltins\nslice\nK\x00K\x01K\x01\x87R"
		index  = "\x8c\x05startK\x00\x8c\x04stopK\x02\x8c\x04stepK\x01"
	)
	read := func(text string) (*Frame, error) {
		return Read(t.Context(), strings.NewReader(text), int64(len(text)))
	}
	f, err := read(pickledFrame(shape, data, "\x89", places, index))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"x"}, f.Columns()); diff != "" || f.Rows() != 2 {
		t.Fatalf("%d rows, columns (-want +got):\n%s", f.Rows(), diff)
	}
	for row, want := range []string{"1", "0.5"} {
		if text, ok, err := f.Value(row, 0); text != want || !ok || err != nil {
			t.Errorf("Value(%d, 0) = %q, %v, %v, want %s", row, text, ok, err, want)
		}
	}
	tests := []struct{ name, text, want string }{
		{"too little data", pickledFrame(shape, "C\x08\x00\x00\x00\x00\x00\x00\xf0\x3f", "\x89", places, index), "an array holds 1 values, want 2"},
		{"a huge shape", pickledFrame("J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", data, "\x89", places, index), "an array has more values than the file has bytes"},
		{"a negative shape", pickledFrame("K\x01J\xff\xff\xff\xff\x86", data, "\x89", places, index), "an array has more values than the file has bytes"},
		{"a shape larger than the data", pickledFrame("K\xffK\xff\x86", data, "\x89", places, index), "an array"},
		{"three dimensions", pickledFrame("K\x01K\x01K\x02\x87", data, "\x89", places, index), "an array has neither one nor two dimensions"},
		{"a list instead of bytes", pickledFrame(shape, "]", "\x89", places, index), "a list is not bytes"},
		{"a column that does not exist", pickledFrame(shape, data, "\x89", "cbuiltins\nslice\nK\x05K\x06K\x01\x87R", index), "fills column 6, which does not exist"},
		{"a column before the first", pickledFrame(shape, data, "\x89", "cbuiltins\nslice\nJ\xff\xff\xff\xffK\x00K\x01\x87R", index), "fills column 0, which does not exist"},
		{"more columns than there are", pickledFrame(shape, data, "\x89", "cbuiltins\nslice\nK\x00K\x09K\x01\x87R", index), "more columns than there are"},
		{"a slice with step 0", pickledFrame(shape, data, "\x89", "cbuiltins\nslice\nK\x00K\x01K\x00\x87R", index), "a range has no limits"},
		{"an index longer than the values", pickledFrame(shape, data, "\x89", places, strings.Replace(index, "K\x02", "K\x03", 1)), "a block has 1 columns of 2 values, want 1 of 3"},
		{"a huge index", pickledFrame(shape, data, "\x89", places, strings.Replace(index, "K\x02", "J\xff\xff\xff\x7f", 1)), "a range is longer than the file"},
		{"a range without numbers", pickledFrame(shape, data, "\x89", places, "\x8c\x05startN"), "a range has no limits"},
		{"an array instead of a frame", "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R.", "instead of pandas.core.frame.DataFrame"},
		{"an empty frame", "cpandas.core.frame\nDataFrame\n)\x81.", "the frame has no content"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := read(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// A text that holds the bytes of an array is decoded at most once: a small file
// could otherwise take up any amount of memory.
func TestRepeatedBytes(t *testing.T) {
	text := strings.Repeat("\x00", 4096)
	f := &Frame{size: 5000, file: strings.NewReader(text)}
	encode := &pyCall{of: pyEncode, args: pyTuple{pyText{0, int64(len(text))}, "latin1"}}
	if b, err := f.bytes(encode); err != nil || len(b) != 4096 {
		t.Errorf("%d bytes, %v, want 4096", len(b), err)
	}
	if _, err := f.bytes(encode); err == nil {
		t.Error("the same text is decoded twice")
	}
}

func FuzzPickle(f *testing.F) {
	for _, data := range referencePickles(f) {
		f.Add(data)
	}
	f.Add([]byte("\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."))
	f.Add([]byte("]\x94h\x00ah\x00a."))
	f.Add(binary.LittleEndian.AppendUint64([]byte{0x8d}, 1<<63))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := Read(t.Context(), bytes.NewReader(data), int64(len(data)))
		if err != nil {
			if bad, ok := errors.AsType[*Error](err); !ok || bad.Reason == "" || bad.Hint == "" {
				t.Fatalf("%#v is not an Error with a hint", err)
			}
			return
		}
		for i := range table.Columns() {
			if table.CheckColumn(i) != nil {
				continue
			}
			for row := range min(table.Rows(), 1000) {
				if text, ok, err := table.Value(row, i); err == nil && !ok && text != "" && text != "NaN" {
					t.Errorf("column %d, row %d: Value = %q, false, want no text", i, row, text)
				}
			}
		}
	})
}
