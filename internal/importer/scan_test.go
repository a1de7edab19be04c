package importer

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/dataset"
)

// scanner is scanCSV, scanParquet or scanPickle.
type scanner func(ctx context.Context, path string, hooks scanHooks, fn func(row int64, r *record) error) error

// scanned returns every row as "row column=value …" with the values that are
// present.
func scanned(t *testing.T, scan scanner, path string, hooks scanHooks) ([]string, error) {
	t.Helper()
	var rows []string
	err := scan(t.Context(), path, hooks, func(row int64, r *record) error {
		text := fmt.Sprint(row)
		for _, c := range r.columns {
			if v, ok := r.get(c); ok {
				text += fmt.Sprintf(" %s=%q", c, v)
			}
		}
		rows = append(rows, text)
		return nil
	})
	return rows, err
}

func writeFile(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestScanCSV(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"any header", "b,a\n1,2\n", []string{`2 b="1" a="2"`}},
		{"an empty field is not present", "a,b\n,x\n\"\",y\n", []string{`2 b="x"`, `3 b="y"`}},
		{"a field over several lines", "a,b\n\"x\ny, \"\"z\"\"\",1\nw,2\n", []string{`2 a="x\ny, \"z\"" b="1"`, `4 a="w" b="2"`}},
		{"byte order mark, CRLF, blank lines", "\ufeffa,b\r\n\r\n1,2\r\n", []string{`3 a="1" b="2"`}},
		{"a column without a name", ",a\n0,x\n", []string{`2 ="0" a="x"`}},
		{"header only", "a,b\n", nil},
	}
	for _, tt := range tests {
		for _, zipped := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, gz %t", tt.name, zipped), func(t *testing.T) {
				data := []byte(tt.in)
				if zipped {
					data = gzipped(t, data)
				}
				got, err := scanned(t, scanCSV, writeFile(t, filepath.Join(t.TempDir(), "t.csv"), data), scanHooks{})
				if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
					t.Errorf("error %v, rows (-want +got):\n%s", err, diff)
				}
			})
		}
	}
}

func TestScanCSVBadRows(t *testing.T) {
	path := writeFile(t, filepath.Join(t.TempDir(), "t.csv"), []byte("a,b\n1,2\n3\nx,\"y\nz\",4\n\xff,5\n\"6\" ,7\n8,9\n"))
	var bad []string
	got, err := scanned(t, scanCSV, path, scanHooks{bad: func(e *dataset.FormatError) error {
		bad = append(bad, strings.TrimPrefix(e.Error(), path))
		return nil
	}})
	if diff := cmp.Diff([]string{`2 a="1" b="2"`, `8 a="8" b="9"`}, got); diff != "" || err != nil {
		t.Errorf("error %v, rows (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{":3: 1 field, but the header has 2", ":4: 3 fields, but the header has 2",
		":6: byte 1 of the line (0xff) is not UTF-8", ":7: a quote is inside an unquoted field or is followed by more text"}, bad); diff != "" {
		t.Errorf("bad rows (-want +got):\n%s", diff)
	}
	_, err = scanned(t, scanCSV, path, scanHooks{})
	if e, ok := errors.AsType[*dataset.FormatError](err); !ok || e.Line != 3 || e.Hint == "" {
		t.Errorf("without hooks.bad the error is %v, want one about line 3 with a hint", err)
	}
}

func TestScanCSVBadFiles(t *testing.T) {
	dir := t.TempDir()
	whole := gzipped(t, []byte("a,b\n"+strings.Repeat("1,2\n", 5000)))
	tests := []struct {
		name, want string
		data       []byte
	}{
		{"empty", ": is empty: the header is missing", nil},
		{"twice", `:1: header: the column "a" is given twice`, []byte("a,b,a\n")},
		{"not UTF-8", ":1: byte 1 of the line (0xff) is not UTF-8", []byte("\xffa,b\n")},
		{"cut gzip", ": gzip data is cut short", whole[:len(whole)-12]},
		{"open quote", ":2: a quote is not closed", []byte("a,b\n\"1,2\n")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := scanned(t, scanCSV, writeFile(t, filepath.Join(dir, "t"), tt.data), scanHooks{})
			if e, ok := errors.AsType[*dataset.FormatError](err); !ok || !strings.Contains(err.Error(), tt.want) || e.Hint == "" {
				t.Errorf("error %v, want %q with a hint", err, tt.want)
			}
		})
	}
	for _, path := range []string{filepath.Join(dir, "absent"), dir} {
		if _, err := scanned(t, scanCSV, path, scanHooks{}); err == nil || !strings.Contains(err.Error(), "open: ") {
			t.Errorf("%s: error %v, want an error from opening it", path, err)
		}
	}
}

type plainRow struct {
	Text   string   `parquet:"text"`
	Maybe  *string  `parquet:"maybe,optional"`
	Whole  int64    `parquet:"whole"`
	Part   float64  `parquet:"part"`
	Single float32  `parquet:"single"`
	Yes    bool     `parquet:"yes"`
	List   []string `parquet:"list"`
	Nested struct {
		X int64 `parquet:"x"`
	} `parquet:"nested"`
	Map map[string]string `parquet:"map"`
}

func TestScanParquet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.parquet")
	some := "s\n"
	writeParquet(t, path, []plainRow{
		{Text: "a", Maybe: &some, Whole: 1<<53 + 1, Part: 0.5, Single: 0.1, Yes: true, List: []string{"x", "y"}},
		{Text: "", Whole: -2, Part: math.NaN(), Single: 3},
	})
	got, err := scanned(t, scanParquet, path, scanHooks{})
	want := []string{`1 text="a" maybe="s\n" whole="9007199254740993" part="0.5" single="0.1" yes="1" list="[\"x\",\"y\"]" nested.x="0"`,
		`2 text="" whole="-2" single="3" yes="0" nested.x="0"`}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, rows (-want +got):\n%s", err, diff)
	}
	hooks := scanHooks{columns: func([]string) ([]string, error) { return []string{"map"}, nil }}
	if _, err := scanned(t, scanParquet, path, hooks); err == nil || err.Error() != path+": field map: is neither text nor numbers, nor a list of them or of structs of them" {
		t.Errorf("reading a map: error %v", err)
	}
}

// Both scanners read only the columns that hooks.columns returns, report
// progress, and stop when ctx is done or the callback returns an error.
func TestScanHooks(t *testing.T) {
	dir := t.TempDir()
	rows, text := make([]plainRow, 3000), "text,whole\n"
	for i := range rows {
		rows[i].Text, rows[i].Whole = "t", int64(i)
		text += fmt.Sprintf("t,%d\n", i)
	}
	writeParquet(t, filepath.Join(dir, "t.parquet"), rows)
	writeFile(t, filepath.Join(dir, "t.csv"), []byte(text))
	for path, scan := range map[string]scanner{filepath.Join(dir, "t.csv"): scanCSV, filepath.Join(dir, "t.parquet"): scanParquet} {
		var all []string
		var done, total int64
		hooks := scanHooks{progress: func(d, n int64) { done, total = d, n }, columns: func(names []string) ([]string, error) {
			all = names
			return []string{"whole"}, nil
		}}
		got, err := scanned(t, scan, path, hooks)
		if err != nil || len(got) != 3000 || !strings.HasSuffix(got[2999], ` whole="2999"`) {
			t.Errorf("%s: %d rows, %v, want 3000", path, len(got), err)
		}
		if !slices.Contains(all, "text") || done != total || total == 0 {
			t.Errorf("%s: columns %v, progress %d of %d", path, all, done, total)
		}
		hooks.columns = func([]string) ([]string, error) { return []string{"absent"}, nil }
		if _, err := scanned(t, scan, path, hooks); err == nil || err.Error() != path+": field absent: the column is missing" {
			t.Errorf("%s: reading an absent column: error %v", path, err)
		}
		stop := errors.New("stop")
		if err := scan(t.Context(), path, scanHooks{}, func(int64, *record) error { return stop }); err != stop {
			t.Errorf("%s: error %v, want that of the callback", path, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if err := scan(ctx, path, scanHooks{}, func(int64, *record) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want %v", path, err, context.Canceled)
		}
	}
}

// A damaged Parquet file gives rows or an error, never a panic.
func TestScanParquetDamaged(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join("testdata", "routerbench", "table.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		data := slices.Clone(whole)
		if i%3 == 0 {
			data = data[:random.IntN(len(data))]
		} else {
			data[random.IntN(len(data))] ^= 1 << random.IntN(8)
		}
		path := writeFile(t, filepath.Join(t.TempDir(), "t.parquet"), data)
		if _, err := scanned(t, scanParquet, path, scanHooks{}); err != nil {
			if _, ok := errors.AsType[*dataset.FormatError](err); !ok {
				t.Errorf("error %v is not a FormatError", err)
			}
		}
	}
}

func FuzzScanCSV(f *testing.F) {
	for _, text := range []string{"a,b\n1,2\n", "a\n\"x\ny\"\n", "\ufeffa,\"b\"\"\"\r\n,\r\n", "a,a\n", "a,b\n1\n\"\n", "\x1f\x8b"} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, keepGoing bool) {
		path := writeFile(t, filepath.Join(t.TempDir(), "t.csv"), data)
		var hooks scanHooks
		if keepGoing {
			hooks.bad = func(e *dataset.FormatError) error {
				if e.Line == 0 || e.Reason == "" {
					t.Errorf("bad row without a line or a reason: %v", e)
				}
				return nil
			}
		}
		last := int64(0)
		err := scanCSV(t.Context(), path, hooks, func(row int64, r *record) error {
			if row <= last || len(r.values) != len(r.columns) || len(r.present) != len(r.columns) {
				t.Errorf("row %d after %d: %d values of %d columns", row, last, len(r.values), len(r.columns))
			}
			last = row
			return nil
		})
		if err != nil {
			if bad, ok := errors.AsType[*dataset.FormatError](err); !ok || bad.File != path {
				t.Errorf("error %v is not a FormatError about the file", err)
			}
		}
	})
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
