package embed

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
)

// npyFile is a file in NumPy's format with the given header and numbers.
func npyFile(version byte, header string, numbers ...float32) []byte {
	b := append([]byte(npyMagic), version, 0)
	if version == 1 {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	} else {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	}
	b = append(b, header...)
	for _, v := range numbers {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// npyMatrix is the header that NumPy writes for a matrix of float32.
func npyMatrix(rows, columns int) string {
	return fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }          \n", rows, columns)
}

func TestParseNPY(t *testing.T) {
	for name, data := range map[string][]byte{
		"version 1":                 npyFile(1, npyMatrix(2, 3), 1, 2, 3, 4, 5, 6),
		"version 2":                 npyFile(2, npyMatrix(2, 3), 1, 2, 3, 4, 5, 6),
		"version 3":                 npyFile(3, npyMatrix(2, 3), 1, 2, 3, 4, 5, 6),
		"another order, no padding": npyFile(1, `{"shape":(2,3),"descr":"<f4","fortran_order":False}`, 1, 2, 3, 4, 5, 6),
	} {
		n, err := parseNPY(data)
		if err != nil || n.rows != 2 || n.columns != 3 || n.at(0) != 1 || n.at(5) != 6 {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
	if n, err := parseNPY(npyFile(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 3), }", 1, 2, 3)); err != nil || n.columns != 3 {
		t.Errorf("one row in Fortran order, which is the same as in C order: %+v, %v", n, err)
	}
}

// TestParseNPYRefuses: the error for another file says what it is, and how to convert
// it.
func TestParseNPYRefuses(t *testing.T) {
	f := func(data []byte, want string) {
		t.Helper()
		if n, err := parseNPY(data); err == nil || err.Error() != want {
			t.Errorf("parseNPY = %v, %v, want the error %s", n, err, want)
		}
	}
	const save = ` numpy.save("vectors.npy", numpy.load(FILE)`
	header := func(descr, order, shape string) []byte {
		return npyFile(1, fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n", descr, order, shape), make([]float32, 6)...)
	}
	f(nil, "it is empty: want a file that numpy.save has written")
	f([]byte("0.1,0.2\n"), "it does not begin as NumPy's format does: want a file that numpy.save has written")
	f([]byte("PK\x03\x04"), `it is a zip archive, such as numpy.savez writes: save its array alone, numpy.save("vectors.npy", numpy.load(FILE)["arr_0"])`)
	f([]byte("\x1f\x8b\x08"), "it is gzipped: unpack it first")
	f([]byte("\x89HDF\r\n"), "it is an HDF5 file: want a file that numpy.save has written")
	f([]byte("PAR1"), "it is a Parquet file: want a file that numpy.save has written")
	f([]byte(npyMagic), "the file is cut short: it ends in the header")
	f([]byte(npyMagic+"\x01\x00\x10"), "the file is cut short: it ends in the header")
	f([]byte(npyMagic+"\x01\x00\x10\x00{"), "the file is cut short: it ends in the header")
	f([]byte(npyMagic+"\x04\x00"), "version 4.0 of NumPy's format is not known: want 1.0, 2.0 or 3.0")
	f([]byte(npyMagic+"\x02\x00\xff\xff\xff\xff"), "a header of 4294967295 bytes is longer than 65536")
	f(header("'<f8'", "False", "(2, 3)"), `it holds "<f8" (float64), want '<f4', little-endian float32:`+save+`.astype("<f4"))`)
	f(header("'>f4'", "False", "(2, 3)"), `it holds ">f4" (big-endian float32), want '<f4', little-endian float32:`+save+`.astype("<f4"))`)
	f(header("'|i1'", "False", "(2, 3)"), `it holds "|i1" (int8), want '<f4', little-endian float32:`+save+`.astype("<f4"))`)
	f(header("'<U7'", "False", "(2, 3)"), `it holds "<U7", want '<f4', little-endian float32:`+save+`.astype("<f4"))`)
	f(header("'|O'", "False", "(2,)"), `it holds Python objects, which are pickled and not read here: stack the vectors first, numpy.save("vectors.npy", numpy.stack(vectors).astype("<f4"))`)
	f(header("[('a', '<f4'), ('b', [('c', '<i4')])]", "False", "(2,)"), "it holds records with named fields: save the field with the vectors as a matrix of float32")
	f(header("'<f4'", "True", "(2, 3)"), `it is in Fortran order, column by column: numpy.save("vectors.npy", numpy.ascontiguousarray(numpy.load(FILE)))`)
	f(header("'<f4'", "False", "(6,)"), "its shape has 1 dimension, want 2:"+save+".reshape(QUERIES, -1))")
	f(header("'<f4'", "False", "()"), "its shape has 0 dimensions, want 2:"+save+".reshape(QUERIES, -1))")
	f(header("'<f4'", "False", "(2, 0)"), "vectors of length 0: want 1 to 65536")
	f(header("'<f4'", "False", "(1, 65537)"), "vectors of length 65537: want 1 to 65536")
	f(header("'<f4'", "False", "(3, 3)"), "the file is cut short: it has 24 bytes of numbers, too few for 3 × 3 float32")
	f(header("'<f4'", "False", "(4611686018427387903, 3)"), "the file is cut short: it has 24 bytes of numbers, too few for 4611686018427387903 × 3 float32")
	f(header("'<f4'", "False", "(1, 3)"), "12 bytes follow the numbers")
	f(header("'<f4'", "False", "(9223372036854775808, 3)"), `header: the value of "shape" cannot be read from "9223372036854775808," on`)
	f(header("'<f4'", "False", "(2, -3)"), `header: the value of "shape" cannot be read from "-3), }" on`)
	f(header("'<f4'", "false", "(2, 3)"), `header: the value of "fortran_order" cannot be read from "false, 'shape': (2, " on`)
	f(npyFile(1, "[1, 2]"), "header: is no dictionary")
	f(npyFile(1, "{'descr': '<f4', 'descr': '<f4'}"), `header: cannot be read from "'<f4'}" on`)
	f(npyFile(1, "{'descr': '<f4'}"), "header: want descr, fortran_order and shape")
	f(npyFile(1, "{'other': 1}"), `header: the value of "other" cannot be read from "1}" on`)
	f(npyFile(1, npyMatrix(1, 1)+"x", 1), `header: "x" follows the dictionary`)
	f(npyFile(1, npyMatrix(2, 2), 1, 2, float32(math.NaN()), 4), "row 1, counted from 0, holds NaN: want finite numbers")
	f(npyFile(1, npyMatrix(1, 2), 1, float32(math.Inf(-1))), "row 0, counted from 0, holds -Inf: want finite numbers")
}

// TestRecorded: the rows of a file are the vectors of the texts, at unit length, beside
// their words.
func TestRecorded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.npy")
	write := func(data []byte) string {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		return hex.EncodeToString(sum[:])
	}
	hash := write(npyFile(1, npyMatrix(4, 2), 3, 4, 0, 0, 6, 8, 1e-45, 0))
	e, err := Open("npy:"+path, Options{Texts: []string{"a text", "zeros", "a text", "tiny"}})
	if err != nil {
		t.Fatal(err)
	}
	if e.ID() != "npy@"+hash {
		t.Errorf("ID %s, want npy@%s", e.ID(), hash)
	}
	x := make([]carrot.Representation, 4)
	x[0].Dense = []float32{9, 9, 9}
	if err := e.Embed(t.Context(), []string{"tiny", "zeros", "a text", "a text"}, x); err != nil {
		t.Fatal(err)
	}
	var got [][]float32
	for i := range x {
		got = append(got, x[i].Dense)
	}
	if diff := cmp.Diff([][]float32{{1, 0}, {0, 0}, {0.6, 0.8}, {0.6, 0.8}}, got); diff != "" {
		t.Errorf("vectors (-want +got):\n%s", diff)
	}
	if len(x[2].Sparse.Index) != 3 {
		t.Errorf("%d words and pairs of \"a text\", want 3", len(x[2].Sparse.Index))
	}
	if err := e.Embed(t.Context(), []string{"new"}, x[:1]); err == nil || !strings.Contains(err.Error(), "no row for a text") {
		t.Errorf("Embed of a text without a row = %v", err)
	}
	if err := e.Embed(t.Context(), []string{"zeros"}, x); err == nil {
		t.Error("Embed of one text into four representations: no error")
	}
	if _, err := Open("npy:"+path, Options{}); !errors.Is(err, ErrSpec) {
		t.Errorf("Open without texts = %v, want ErrSpec", err)
	}
	f := func(texts []string, want string) {
		t.Helper()
		if _, err := Open("npy:"+path, Options{Texts: texts}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %v, want an error that says %s", err, want)
		}
	}
	f([]string{"a"}, path+": 4 rows, but 1 query")
	write(npyFile(1, npyMatrix(3, 2), 3, 4, 1, 0, 4, 3))
	f([]string{"a", "b", "a"}, "rows 0 and 2, counted from 0, are of the same prompt and differ (cosine 0.960)")
	write([]byte("no"))
	f([]string{"a"}, path+": it does not begin as NumPy's format does")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f([]string{"a"}, "open vectors: ")
}

// FuzzNPY: no file makes the reader panic, and a matrix that is read holds as many
// finite numbers as it says.
func FuzzNPY(f *testing.F) {
	f.Add(npyFile(1, npyMatrix(2, 2), 1, 2, 3, 4))
	f.Add(npyFile(2, npyMatrix(1, 1), 1))
	f.Add(npyFile(3, "{'descr': [('a', '<f4')], 'fortran_order': True, 'shape': (), }"))
	f.Add([]byte(npyMagic + "\x02\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := parseNPY(data)
		if err != nil {
			if n != nil || err.Error() == "" {
				t.Fatalf("parseNPY = %v, %q", n, err)
			}
			return
		}
		if 4*n.rows*n.columns != len(n.data) || !bytes.HasSuffix(data, n.data) {
			t.Fatalf("%d × %d numbers in %d bytes", n.rows, n.columns, len(n.data))
		}
		for row := range n.rows {
			for _, v := range n.appendUnit(nil, row) {
				if !(v >= -1.001 && v <= 1.001) {
					t.Fatalf("row %d has the number %v at unit length", row, v)
				}
			}
		}
	})
}
