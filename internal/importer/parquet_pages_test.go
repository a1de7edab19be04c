package importer

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/carrot-router/carrot/dataset"
)

// crafted is a Parquet file with one column and one row group, whose parts can claim
// anything.
type crafted struct {
	kind     format.Type
	optional bool
	codec    format.CompressionCodec
	pages    []craftedPage
	rows     int64
	footer   func(m *format.FileMetaData) // changes it
}

type craftedPage struct {
	header format.PageHeader
	body   []byte
}

// dataPage is a page of n values, with the true sizes.
func dataPage(n int32, encoding format.Encoding, body []byte) craftedPage {
	return craftedPage{format.PageHeader{Type: format.DataPage, UncompressedPageSize: int32(len(body)), CompressedPageSize: int32(len(body)),
		DataPageHeader: thrift.New(format.DataPageHeader{NumValues: n, Encoding: encoding, DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE})}, body}
}

func dictionaryPage(n int32, body []byte) craftedPage {
	return craftedPage{format.PageHeader{Type: format.DictionaryPage, UncompressedPageSize: int32(len(body)), CompressedPageSize: int32(len(body)),
		DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{NumValues: n, Encoding: format.Plain})}, body}
}

// with changes the header of a page.
func (p craftedPage) with(change func(h *format.PageHeader)) craftedPage {
	change(&p.header)
	return p
}

func (c crafted) bytes(t testing.TB) []byte {
	t.Helper()
	marshal := func(v any) []byte {
		b, err := thrift.Marshal(new(thrift.CompactProtocol), v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	data := []byte("PAR1")
	for _, p := range c.pages {
		data = append(append(data, marshal(p.header)...), p.body...)
	}
	repetition := format.Required
	if c.optional {
		repetition = format.Optional
	}
	m := format.FileMetaData{Version: 1, NumRows: c.rows,
		Schema: thrift.Slice[format.SchemaElement]{{Name: "root", NumChildren: thrift.New(int32(1))}, {Name: "x", Type: thrift.New(c.kind), RepetitionType: thrift.New(repetition)}},
		RowGroups: thrift.Slice[format.RowGroup]{{NumRows: c.rows, Columns: thrift.Slice[format.ColumnChunk]{{FileOffset: 4, MetaData: format.ColumnMetaData{Type: c.kind,
			Encoding: thrift.Slice[format.Encoding]{format.Plain}, PathInSchema: thrift.Slice[string]{"x"}, Codec: c.codec, NumValues: c.rows,
			TotalUncompressedSize: int64(len(data) - 4), TotalCompressedSize: int64(len(data) - 4), DataPageOffset: 4}}}}}}
	if c.footer != nil {
		c.footer(&m)
	}
	footer := marshal(m)
	data = append(data, footer...)
	return append(binary.LittleEndian.AppendUint32(data, uint32(len(footer))), "PAR1"...)
}

// texts returns plain texts.
func texts(all ...string) (b []byte) {
	for _, text := range all {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	return b
}

// prefixed returns a block with its length before it.
func prefixed(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// run returns a run of one value of at most eight bits in the hybrid encoding.
func run(n uint64, value byte) []byte { return append(binary.AppendUvarint(nil, n<<1), value) }

// deltas returns n equal numbers in the delta encoding: the first one and no
// difference.
func deltas(n uint64, value int64) []byte {
	b := binary.AppendVarint(binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, 128), 4), n), value)
	for at := uint64(1); at < n; at += 128 {
		b = append(b, 0, 0, 0, 0, 0)
	}
	return b
}

// snappyText is a snappy block of one literal, which claims n bytes.
func snappyText(n uint64, text string) []byte {
	return append(append(binary.AppendUvarint(nil, n), byte(len(text)-1)<<2), text...)
}

// scanAlloc scans a file and returns its rows and how many bytes that allocates.
func scanAlloc(t *testing.T, data []byte) (rows []string, taken uint64, err error) {
	t.Helper()
	path := writeFile(t, filepath.Join(t.TempDir(), "x.parquet"), data)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rows, err = scanned(t, scanParquet, path, scanHooks{})
	runtime.ReadMemStats(&after)
	return rows, after.TotalAlloc - before.TotalAlloc, err
}

const giga = 1<<31 - 1

// TestPageClaims: a page that claims more than it holds, or more than any page may, is
// refused before memory is taken for it.
func TestPageClaims(t *testing.T) {
	hello := dataPage(1, format.Plain, texts("hello"))
	one := dataPage(1, format.RLEDictionary, append([]byte{1}, run(1, 0)...))
	zeros := bytes.Repeat([]byte{0}, 64<<20)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(zeros); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	v2 := func(h format.DataPageHeaderV2, body []byte) craftedPage {
		return craftedPage{format.PageHeader{Type: format.DataPageV2, UncompressedPageSize: int32(len(body)), CompressedPageSize: int32(len(body)), DataPageHeaderV2: thrift.New(h)}, body}
	}
	longName := strings.Repeat("n", 100)
	for _, test := range []struct {
		name string
		file crafted
		want string // in the error; "" if the file is whole
	}{
		{"whole", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{hello}}, ""},
		{"whole, with a dictionary", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{dictionaryPage(1, texts("hello")), one}}, ""},
		{"compressed size", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{hello.with(func(h *format.PageHeader) { h.CompressedPageSize = giga })}}, "2147483647 bytes"},
		{"uncompressed size", crafted{kind: format.ByteArray, rows: 1, codec: format.Snappy, pages: []craftedPage{hello.with(func(h *format.PageHeader) { h.UncompressedPageSize = giga })}}, "2147483647 bytes"},
		{"uncompressed size of 200 MB", crafted{kind: format.ByteArray, rows: 1, codec: format.Gzip, pages: []craftedPage{hello.with(func(h *format.PageHeader) { h.UncompressedPageSize = 200_000_000 })}}, "200000000 bytes"},
		{"snappy's own length", crafted{kind: format.ByteArray, rows: 1, codec: format.Snappy, pages: []craftedPage{dataPage(1, format.Plain, snappyText(giga, "hello")).with(func(h *format.PageHeader) { h.UncompressedPageSize = 9 })}}, "claims 2147483647 bytes"},
		{"a bomb", crafted{kind: format.ByteArray, rows: 1, codec: format.Gzip, pages: []craftedPage{dataPage(1, format.Plain, zipped.Bytes()).with(func(h *format.PageHeader) { h.UncompressedPageSize = 9 })}}, "more than the 9 bytes that its header states"},
		{"damaged lz4", crafted{kind: format.ByteArray, rows: 1, codec: format.Lz4Raw, pages: []craftedPage{dataPage(1, format.Plain, []byte("\xff\xff\xff\x00\x00")).with(func(h *format.PageHeader) { h.UncompressedPageSize = 900 })}}, "cannot be decompressed"},
		{"no lz4", crafted{kind: format.ByteArray, rows: 1, codec: format.Lz4Raw, pages: []craftedPage{dataPage(1, format.Plain, nil).with(func(h *format.PageHeader) { h.UncompressedPageSize = 9 })}}, "has 0 bytes, not the 9"},
		{"values of a plain page", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{hello.with(func(h *format.PageHeader) { h.DataPageHeader.V.NumValues = giga })}}, "2147483647 values"},
		{"10 million values of a plain page", crafted{kind: format.Double, rows: 1, pages: []craftedPage{dataPage(10_000_000, format.Plain, make([]byte, 8))}}, "10000000 values"},
		{"values of a dictionary", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{dictionaryPage(10_000_000, texts("hello")), one}}, "10000000 values"},
		{"values of a dictionary of numbers", crafted{kind: format.Int64, rows: 1, pages: []craftedPage{dictionaryPage(giga, make([]byte, 8)), one}}, "2147483647 values"},
		{"two dictionaries, the second false", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{dictionaryPage(1, texts("hello")), dictionaryPage(giga, texts("hello")), one}}, "2147483647 values"},
		{"a dictionary in the header of a data page", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{one.with(func(h *format.PageHeader) {
			h.DictionaryPageHeader = thrift.New(format.DictionaryPageHeader{NumValues: giga, Encoding: format.Plain})
		})}}, "not the header of that type"},
		{"a run of levels", crafted{kind: format.ByteArray, optional: true, rows: 1, pages: []craftedPage{dataPage(1, format.Plain, prefixed(run(giga, 0)))}}, "2147483647 values"},
		{"runs of levels", crafted{kind: format.ByteArray, optional: true, rows: 1, pages: []craftedPage{dataPage(1, format.Plain, prefixed(bytes.Repeat(run(10_000_000, 0), 100)))}}, "claims "},
		{"a run of levels in a page of version 2", crafted{kind: format.ByteArray, optional: true, rows: 1, pages: []craftedPage{v2(format.DataPageHeaderV2{NumValues: 1, NumNulls: 1, NumRows: 1, DefinitionLevelsByteLength: 6}, run(giga, 0))}}, "2147483647 values"},
		{"levels longer than the page", crafted{kind: format.ByteArray, optional: true, rows: 1, pages: []craftedPage{v2(format.DataPageHeaderV2{NumValues: 1, NumRows: 1, DefinitionLevelsByteLength: giga, RepetitionLevelsByteLength: giga}, texts("hello"))}}, "levels"},
		{"more nulls than values", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{v2(format.DataPageHeaderV2{NumValues: 1, NumNulls: giga, NumRows: 1}, texts("hello"))}}, "2147483647 nulls"},
		{"a run of indexes", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{dictionaryPage(1, texts("hello")), dataPage(1, format.RLEDictionary, append([]byte{1}, run(giga, 0)...))}}, "2147483647 values"},
		{"a run of truth values", crafted{kind: format.Boolean, rows: 1, pages: []craftedPage{dataPage(1, format.RLE, prefixed(run(giga, 1)))}}, "2147483647 values"},
		{"deltas", crafted{kind: format.Int64, rows: 1, pages: []craftedPage{dataPage(1, format.DeltaBinaryPacked, append(deltas(0, 0)[:3], append(binary.AppendUvarint(nil, giga), 0)...))}}, "values"},
		{"lengths", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{dataPage(1, format.DeltaLengthByteArray, deltas(2000, 0))}}, "2000 values"},
		{"texts that repeat their beginning", crafted{kind: format.ByteArray, rows: 2_000_000, pages: []craftedPage{dataPage(2_000_000, format.DeltaByteArray, slices.Concat(
			// The first text has 1,000 bytes, and every other one begins with them.
			repeatingPrefix(2_000_000, 1000), append(firstOnly(2_000_000, 1000), strings.Repeat("x", 1000)...)))}}, "texts of 2000000000 bytes"},
		{"a negative length", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{dataPage(1, format.DeltaByteArray, append(deltas(1, -5), deltas(1, 5)...))}}, "the column cannot be read"},
		{"a statistic", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{{body: append(append([]byte{0x15, 0, 0x15, 0x0a, 0x15, 0x0a, 0x2c, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c, 0x18},
			binary.AppendUvarint(nil, giga)...), "hello"...)}}}, "the column cannot be read"},
		{"a type of page", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{hello.with(func(h *format.PageHeader) { h.Type = 77 })}}, "type"},
		{"rows", crafted{kind: format.ByteArray, rows: 1 << 60, pages: []craftedPage{hello}}, "ends before the last row"},
		{"an end of the chunk beyond the file", crafted{kind: format.ByteArray, rows: 2, pages: []craftedPage{hello}, footer: func(m *format.FileMetaData) { m.RowGroups[0].Columns[0].MetaData.TotalCompressedSize = 1 << 60 }}, "the column cannot be read"},
		{"nested too deeply", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{hello}, footer: func(m *format.FileMetaData) {
			deep := m.Schema[:0:0]
			for range 60_000 {
				deep = append(deep, format.SchemaElement{Name: "g", NumChildren: thrift.New(int32(1))})
			}
			m.Schema = append(deep, m.Schema[1])
		}}, "nested"},
		{"columns times row groups", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{hello}, footer: func(m *format.FileMetaData) {
			m.Schema[0].NumChildren = thrift.New(int32(30_000))
			for range 29_999 {
				m.Schema = append(m.Schema, m.Schema[1])
			}
			m.RowGroups = append(m.RowGroups, make(thrift.Slice[format.RowGroup], 30_000)...)
		}}, "row group"},
		{"many empty structs", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{hello}, footer: func(m *format.FileMetaData) {
			m.RowGroups[0].Columns = make(thrift.Slice[format.ColumnChunk], 1_000_000)
		}}, "needs more than"},
		{"no plain column", crafted{kind: format.Int96, rows: 1 << 60, pages: []craftedPage{hello}}, "no column of text or numbers"},
		{"a long name", crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{hello}, footer: func(m *format.FileMetaData) { m.Schema[1].Name = longName }}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, taken, err := scanAlloc(t, test.file.bytes(t))
			if test.want == "" {
				if err != nil || len(rows) != 1 || !strings.HasSuffix(rows[0], `="hello"`) {
					t.Fatalf("scanParquet = %q, %v, want a row", rows, err)
				}
				return
			}
			if _, ok := errors.AsType[*dataset.FormatError](err); !ok || !strings.Contains(err.Error(), test.want) {
				t.Errorf("scanParquet = %v, want %q", err, test.want)
			}
			if taken > 48<<20 {
				t.Errorf("%d bytes were allocated", taken)
			}
		})
	}
}

// repeatingPrefix returns the lengths of prefixes: none for the first of n texts, size
// for every other.
func repeatingPrefix(n uint64, size int64) []byte {
	head := binary.AppendVarint(binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, 128), 4), n), 0)
	// The first difference is size, the others are 0: 16 bits in the first miniblock.
	block := append(binary.AppendVarint(nil, 0), 16, 0, 0, 0)
	block = append(block, byte(size), byte(size>>8))
	block = append(block, make([]byte, 62)...)
	return slices.Concat(head, block, make([]byte, 5*((n-1+127)/128-1)))
}

// firstOnly returns the lengths of suffixes: size for the first of n texts, none for
// every other.
func firstOnly(n uint64, size int64) []byte {
	head := binary.AppendVarint(binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, 128), 4), n), size)
	// The first difference is -size, the others are 0.
	block := append(binary.AppendVarint(nil, -size), 16, 16, 16, 16)
	for k := range 128 {
		x := size
		if k == 0 {
			x = 0
		}
		block = append(block, byte(x), byte(x>>8))
	}
	return slices.Concat(head, block, make([]byte, 5*((n-1+127)/128-1)))
}

// codecs are those that the library can read. It reads LZ4 only in part: see
// TestPagesLZ4.
var codecs = []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Brotli, &parquet.Zstd}

// TestPagesLZ4: a page that LZ4 has not made three times smaller, which the library
// would replace by other data, is refused. Others are read.
func TestPagesLZ4(t *testing.T) {
	type row struct {
		Text string `parquet:"text"`
	}
	read := func(text func(i int) string) (rows []string, err error) {
		var b bytes.Buffer
		w := parquet.NewGenericWriter[row](&b, parquet.Compression(&parquet.Lz4Raw))
		for i := range 1000 {
			if _, err := w.Write([]row{{text(i)}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return scanned(t, scanParquet, writeFile(t, filepath.Join(t.TempDir(), "x.parquet"), b.Bytes()), scanHooks{})
	}
	rows, err := read(func(int) string { return strings.Repeat("again ", 20) })
	if err != nil || len(rows) != 1000 || !strings.HasSuffix(rows[999], strings.Repeat("again ", 20)+`"`) {
		t.Errorf("texts that LZ4 makes smaller: %d rows, %v", len(rows), err)
	}
	random := rand.New(rand.NewPCG(7, 8))
	if rows, err = read(func(int) string { return fmt.Sprint(random.Uint64()) }); err == nil || !strings.Contains(err.Error(), "another compression") {
		t.Errorf("texts that LZ4 makes hardly smaller: %d rows, %v, want an error", len(rows), err)
	}
}

// mixedRow has columns of all kinds that can be read, in all encodings.
type mixedRow struct {
	Plain   string   `parquet:"plain"`
	Dict    string   `parquet:"dict,dict"`
	Maybe   *string  `parquet:"maybe,optional,dict"`
	Lengths string   `parquet:"lengths,delta"`
	Int     int64    `parquet:"int,delta"`
	Short   int32    `parquet:"short,dict"`
	Float   float32  `parquet:"float"`
	Split   float64  `parquet:"split,split"`
	Yes     bool     `parquet:"yes"`
	Null    *float64 `parquet:"null,optional"`
}

// writeMixed writes n rows, some of them empty.
func writeMixed(t testing.TB, n int, options ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[mixedRow](&b, options...)
	for i := range n {
		r := mixedRow{Plain: strings.Repeat("p", i%50), Dict: fmt.Sprint("d", i%7), Lengths: fmt.Sprint("common beginning ", i), Int: int64(i) * 1000 * int64(1-i%2*2), Short: int32(i % 3),
			Float: float32(i) / 2, Split: float64(i) / 3, Yes: i%5 == 0}
		if i%3 > 0 {
			r.Maybe = &r.Dict
		}
		if i%2 > 0 {
			r.Null = &r.Split
		}
		if _, err := w.Write([]mixedRow{r}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestPagesOfAllKinds: whole files of every codec and encoding, in pages of both
// versions, are read.
func TestPagesOfAllKinds(t *testing.T) {
	var want []string
	for _, codec := range codecs {
		for version := 1; version <= 2; version++ {
			data := writeMixed(t, 3000, parquet.Compression(codec), parquet.DataPageVersion(version), parquet.PageBufferSize(4000), parquet.MaxRowsPerRowGroup(1000))
			rows, err := scanned(t, scanParquet, writeFile(t, filepath.Join(t.TempDir(), "x.parquet"), data), scanHooks{})
			if err != nil || len(rows) != 3000 {
				t.Fatalf("%s, version %d: %d rows, %v", codec, version, len(rows), err)
			}
			if want == nil {
				want = rows
			}
			if diff := cmp.Diff(want, rows); diff != "" {
				t.Errorf("%s, version %d (-want +got):\n%s", codec, version, diff)
			}
		}
	}
}

// TestPagesDamaged: a file with any changed bytes gives rows or an error, and takes
// little memory.
func TestPagesDamaged(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, codec := range codecs {
		for version := 1; version <= 2; version++ {
			whole := writeMixed(t, 200, parquet.Compression(codec), parquet.DataPageVersion(version), parquet.PageBufferSize(1000))
			for range 300 {
				data := slices.Clone(whole)
				for range 1 + random.IntN(3) {
					at := random.IntN(len(data))
					if random.IntN(2) == 0 {
						at = min(at, 200) // the first page's header
					}
					data[at] = byte(random.Uint32())
				}
				readsSafely(t, data)
			}
		}
	}
}

// readsSafely scans a file of any bytes.
func readsSafely(t *testing.T, data []byte) {
	t.Helper()
	path := writeFile(t, filepath.Join(t.TempDir(), "x.parquet"), data)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rows := 0
	stop := errors.New("enough")
	err := scanParquet(t.Context(), path, scanHooks{}, func(int64, *record) error {
		if rows++; rows > 10_000 {
			return stop
		}
		return nil
	})
	runtime.ReadMemStats(&after)
	if _, ok := errors.AsType[*dataset.FormatError](err); err != nil && !ok && err != stop {
		t.Errorf("error %v is not a FormatError", err)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 1<<30 {
		t.Errorf("%d bytes of a file of %d were allocated: %v", taken, len(data), err)
	}
}

func FuzzScanParquet(f *testing.F) {
	for _, codec := range codecs {
		for version := 1; version <= 2; version++ {
			f.Add(writeMixed(f, 20, parquet.Compression(codec), parquet.DataPageVersion(version)))
		}
	}
	f.Add(crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{dataPage(1, format.Plain, texts("hello"))}}.bytes(f))
	f.Add(crafted{kind: format.ByteArray, rows: 1, pages: []craftedPage{dictionaryPage(1, texts("hello")), dataPage(1, format.RLEDictionary, append([]byte{1}, run(1, 0)...))}}.bytes(f))
	f.Fuzz(readsSafely)
}
