package importer

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// Limits on the pages of a Parquet file. Programs write pages of about 1 MiB and at
// most some 100,000 values.
const (
	maxPage       = 256 << 20 // bytes, compressed or not
	maxPageValues = 1 << 24
	maxPageHeader = 16 << 20 // bytes; a header may hold the least and the greatest text
	maxPages      = 1 << 30  // about how many bytes the pages of all columns take at once
)

// plainDictionary is the older name of two encodings, of dictionaries and of the indexes
// into them, which many programs still write.
const plainDictionary format.Encoding = 2

// pageChecker reads the pages of a column chunk before the Parquet library does. The
// library makes room for what the headers, the compressed blocks and the encodings of
// a page claim to hold. The checker refuses a page that claims more than is there.
type pageChecker struct {
	group   *groupReader
	column  *parquet.Column
	at, end int64 // the rest of the chunk in the file
	dict    int64 // bytes that the dictionary takes
	held    int64 // bytes that the dictionary and the current page take
}

// newPageChecker returns a checker of a column in a row group.
func newPageChecker(g *groupReader, c *parquet.Column) *pageChecker {
	m := &g.meta.Columns[c.Index()].MetaData
	at := m.DataPageOffset
	if m.DictionaryPageOffset != 0 {
		at = m.DictionaryPageOffset
	}
	at = max(at, 0)
	return &pageChecker{group: g, column: c, at: at, end: at + min(max(m.TotalCompressedSize, 0), max(g.size-at, 0))}
}

// next checks the pages that the library reads for its next page of data. At the end
// of the chunk there are none.
func (p *pageChecker) next() error {
	for p.at < p.end {
		h, n, err := p.header()
		if err != nil {
			return err
		}
		p.at += int64(n)
		size := int64(h.CompressedPageSize)
		switch left := p.end - p.at; {
		case size < 0 || h.UncompressedPageSize < 0:
			return errors.New("a page has a negative size")
		case size > left:
			return fmt.Errorf("a page claims %d bytes, more than the %d that are left", size, left)
		case max(size, int64(h.UncompressedPageSize)) > maxPage:
			return fmt.Errorf("a page claims %d bytes, more than the limit of %d", max(size, int64(h.UncompressedPageSize)), maxPage)
		}
		p.group.block = slices.Grow(p.group.block[:0], int(size))[:size]
		if _, err := p.group.file.ReadAt(p.group.block, p.at); err != nil {
			return err
		}
		p.at += size
		if err := p.check(h, p.group.block); err != nil {
			return err
		}
		if h.Type != format.DictionaryPage {
			return nil
		}
	}
	return nil
}

// header reads the header of the next page and returns its length.
func (p *pageChecker) header() (*format.PageHeader, int, error) {
	for size := int64(4 << 10); ; size *= 8 {
		data := make([]byte, min(size, p.end-p.at))
		if _, err := p.group.file.ReadAt(data, p.at); err != nil {
			return nil, 0, err
		}
		rest := compact{data: data, what: "page header"}
		if err := rest.skip(compactStruct, 0, 0); err != nil {
			if size < min(maxPageHeader, p.end-p.at) {
				continue // it is longer
			}
			return nil, 0, err
		}
		n := len(data) - len(rest.data)
		r := new(thrift.CompactProtocol).NewReaderFromBytes(data[:n])
		h := new(format.PageHeader)
		if err := thrift.NewDecoder(r).Decode(h); err != nil {
			return nil, 0, fmt.Errorf("its page header is damaged: %w", err)
		}
		if r.BytesRead() != n { // the library would look for the page elsewhere
			return nil, 0, rest.damaged()
		}
		return h, n, nil
	}
}

// check checks a page. The library looks at all parts of a header, whatever the page's
// type is.
func (p *pageChecker) check(h *format.PageHeader, block []byte) error {
	size := int(h.UncompressedPageSize)
	dict, v1, v2 := &h.DictionaryPageHeader, &h.DataPageHeader, &h.DataPageHeaderV2
	switch {
	case h.Type == format.DictionaryPage && dict.Valid && !v1.Valid && !v2.Valid:
		data, err := p.decompress(block, size)
		if err != nil {
			return err
		}
		n := int64(dict.V.NumValues)
		if dict.V.Encoding != format.Plain && dict.V.Encoding != plainDictionary {
			return fmt.Errorf("a dictionary has the encoding %s, want %s", dict.V.Encoding, format.Plain)
		}
		p.dict = int64(len(data)) + 8*n
		return p.plain("a dictionary", n, len(data))
	case h.Type == format.DataPage && v1.Valid && !dict.Valid && !v2.Valid:
		if err := p.values(int64(v1.V.NumValues)); err != nil {
			return err
		}
		data, err := p.decompress(block, size)
		if err != nil {
			return err
		}
		for _, one := range []struct {
			most     int
			encoding format.Encoding
		}{{p.column.MaxRepetitionLevel(), v1.V.RepetitionLevelEncoding}, {p.column.MaxDefinitionLevel(), v1.V.DefinitionLevelEncoding}} {
			if one.most == 0 {
				continue
			}
			levels, rest, err := cutPrefixed(data)
			if err != nil {
				return err
			}
			if one.encoding == format.RLE {
				if err := checkLevels(levels, one.most, int64(v1.V.NumValues)); err != nil {
					return err
				}
			}
			data = rest
		}
		return p.data(v1.V.Encoding, int64(v1.V.NumValues), data)
	case h.Type == format.DataPageV2 && v2.Valid && !dict.Valid && !v1.Valid:
		return p.version2(&v2.V, block, size)
	}
	return fmt.Errorf("a page has the type %d, or not the header of that type", h.Type)
}

// version2 checks a data page of version 2, whose levels are not compressed.
func (p *pageChecker) version2(h *format.DataPageHeaderV2, block []byte, size int) error {
	n := int64(h.NumValues)
	if err := p.values(n); err != nil {
		return err
	}
	if h.NumNulls < 0 || int64(h.NumNulls) > n {
		return fmt.Errorf("a page claims %d nulls among %d values", h.NumNulls, n)
	}
	r, d := int64(h.RepetitionLevelsByteLength), int64(h.DefinitionLevelsByteLength)
	if r < 0 || d < 0 || r+d > int64(len(block)) {
		return fmt.Errorf("a page of %d bytes claims levels of %d and %d bytes", len(block), r, d)
	}
	if most := p.column.MaxRepetitionLevel(); most > 0 {
		if err := checkLevels(block[:r], most, n); err != nil {
			return err
		}
	}
	if most := p.column.MaxDefinitionLevel(); most > 0 {
		if err := checkLevels(block[r:r+d], most, n); err != nil {
			return err
		}
	}
	data, err := block[r+d:], error(nil)
	if !h.IsCompressed.Valid || h.IsCompressed.V {
		if data, err = p.decompress(data, size-int(r+d)); err != nil {
			return err
		}
	}
	return p.data(h.Encoding, n, data)
}

// values checks how many values a data page claims to have.
func (p *pageChecker) values(n int64) error {
	if n < 0 || n > maxPageValues {
		return fmt.Errorf("a page claims %d values, more than the limit of %d", n, maxPageValues)
	}
	return nil
}

// checkLevels checks the levels of n values, which are at most most.
func checkLevels(data []byte, most int, n int64) error {
	return checkRuns(data, bits.Len(uint(most)), n)
}

// data checks the values of a data page, of which n at most are not null.
func (p *pageChecker) data(encoding format.Encoding, n int64, data []byte) error {
	texts := int64(0) // bytes that the values take decoded, in addition to data
	var err error
	switch encoding {
	case format.Plain:
		if p.column.MaxDefinitionLevel() == 0 {
			err = p.plain("a page", n, len(data))
		}
	case plainDictionary, format.RLEDictionary:
		if len(data) > 0 {
			err = checkRuns(data[1:], int(data[0]), n)
		}
	case format.RLE: // truth values
		if data, _, err = cutPrefixed(data); err == nil {
			err = checkRuns(data, 1, n)
		}
	case format.DeltaBinaryPacked, format.DeltaLengthByteArray:
		_, err = cutDeltas(data, n)
	case format.DeltaByteArray:
		texts, err = checkDeltaTexts(data, n)
	case format.ByteStreamSplit:
	default:
		err = fmt.Errorf("its encoding %s cannot be read", encoding)
	}
	if err != nil {
		return err
	}
	p.group.held -= p.held
	p.held = p.dict + int64(len(data)) + texts + 13*n // levels, offsets and numbers of up to eight bytes
	p.group.held += p.held
	if p.group.held > maxPages {
		return fmt.Errorf("the pages of all columns take more than the limit of %d bytes", maxPages)
	}
	return nil
}

// plain checks that size bytes have room for n values without an encoding.
func (p *pageChecker) plain(what string, n int64, size int) error {
	perByte, perValue := int64(1), int64(4) // a text has four bytes for its length
	switch p.column.Type().Kind() {
	case parquet.Boolean:
		perByte, perValue = 8, 1
	case parquet.Int64, parquet.Double:
		perValue = 8
	case parquet.FixedLenByteArray:
		perValue = max(1, int64(p.column.Type().Length()))
	}
	if n < 0 || n > int64(size)*perByte/perValue {
		return fmt.Errorf("%s of %d bytes claims %d values", what, size, n)
	}
	return nil
}

// expansion is the most bytes that a compressed byte of a codec can stand for.
var expansion = map[format.CompressionCodec]int{
	format.Snappy: 22,      // a copy of 64 bytes takes three
	format.Gzip:   1040,    // a copy of 258 bytes takes two bits
	format.Lz4Raw: 256,     // a byte of a length stands for 255
	format.Zstd:   1 << 15, // a block of 128 KiB takes four bytes
}

// decompress decompresses a block, which must have the size that its header states. The
// result is valid until the next call.
func (p *pageChecker) decompress(block []byte, size int) ([]byte, error) {
	codec := p.column.Compression().CompressionCodec()
	if codec == format.Uncompressed || len(block) == 0 && size == 0 {
		return block, nil
	}
	if most, ok := expansion[codec]; size < 0 || ok && size > most*len(block)+64 {
		return nil, fmt.Errorf("a page claims %d bytes, more than %d compressed ones can hold", size, len(block))
	}
	if codec == format.Lz4Raw && size < 3*len(block) {
		// The library (v0.32.0) decompresses such a page into a buffer that it then
		// forgets, and goes on with what another one happens to hold.
		return nil, errors.New("LZ4 pages that are not a third of their size cannot be read: save the file with another compression, such as zstd")
	}
	out, err := p.group.unpack(codec, block, size)
	switch {
	case errors.Is(err, errLonger):
		return nil, fmt.Errorf("a page has more than the %d bytes that its header states", size)
	case err != nil:
		return nil, fmt.Errorf("a page cannot be decompressed: %w", err)
	case len(out) != size:
		return nil, fmt.Errorf("a page has %d bytes, not the %d that its header states", len(out), size)
	}
	return out, nil
}

var errLonger = errors.New("longer than its header states")

// unpack decompresses a block into at most size bytes.
func (g *groupReader) unpack(codec format.CompressionCodec, block []byte, size int) ([]byte, error) {
	var r io.Reader
	var err error
	switch codec {
	case format.Snappy:
		if n, width := binary.Uvarint(block); width <= 0 || n != uint64(size) {
			return nil, fmt.Errorf("it claims %d bytes, not the %d that its header states", n, size)
		}
		g.data = slices.Grow(g.data[:0], size)
		return parquet.Snappy.Decode(g.data[:size], block)
	case format.Zstd:
		if g.zstd == nil {
			if g.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true)); err != nil {
				return nil, err
			}
		}
		out, err := g.zstd.DecodeAll(block, make([]byte, 0, size))
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			err = errLonger
		}
		return out, err
	case format.Lz4Raw: // the library tries ever larger buffers if this fails
		g.data = slices.Grow(g.data[:0], size)[:size]
		n, err := lz4.UncompressBlock(block, g.data)
		return g.data[:max(n, 0)], err
	case format.Gzip:
		if r, err = gzip.NewReader(bytes.NewReader(block)); err != nil {
			return nil, err
		}
	case format.Brotli:
		r = brotli.NewReader(bytes.NewReader(block))
	default:
		return nil, fmt.Errorf("its compression %s is not known", codec)
	}
	for g.data = g.data[:0]; ; {
		g.data = slices.Grow(g.data, 512)
		n, err := r.Read(g.data[len(g.data):cap(g.data)])
		g.data = g.data[:len(g.data)+n]
		switch {
		case len(g.data) > size:
			return nil, errLonger
		case err == io.EOF:
			return g.data, nil
		case err != nil:
			return nil, err
		}
	}
}

// cutPrefixed cuts off a block with its length before it.
func cutPrefixed(data []byte) (block, rest []byte, err error) {
	if len(data) < 4 {
		return nil, nil, errors.New("a page is cut short")
	}
	n := binary.LittleEndian.Uint32(data)
	if data = data[4:]; int64(n) > int64(len(data)) {
		return nil, nil, fmt.Errorf("a page claims a block of %d bytes, more than it has", n)
	}
	return data[:n], data[n:], nil
}

// checkRuns checks numbers in the hybrid of runs and packed bits: there must not be
// more than n, except for those that fill the last group.
func checkRuns(data []byte, width int, n int64) error {
	if width > 32 {
		return fmt.Errorf("a page claims numbers of %d bits", width)
	}
	const filling = 504 // a group of at most 63 times eight numbers
	for total := uint64(0); len(data) > 0; {
		head, size := binary.Uvarint(data)
		if size <= 0 {
			return errors.New("a page is cut short")
		}
		data = data[size:]
		count, bytes := head>>1, uint64(width+7)/8
		if head&1 != 0 {
			count, bytes = min(count, 1<<40)*8, min(count, 1<<40)*uint64(width)
		}
		if total += min(count, 1<<40); total > uint64(n)+filling {
			return fmt.Errorf("a page of %d values claims %d values", n, total)
		}
		data = data[min(bytes, uint64(len(data))):] // the library says that they are missing
	}
	return nil
}

// cutDeltas cuts off numbers in the delta encoding, of which there must not be more
// than n.
func cutDeltas(data []byte, n int64) (rest []byte, err error) {
	if len(data) == 0 { // the library knows whether all values are null
		return nil, nil
	}
	cut := func() uint64 {
		v, size := binary.Uvarint(data)
		if size <= 0 {
			err = errors.New("a page is cut short")
			return 0
		}
		data = data[size:]
		return v
	}
	block, minis, total := cut(), cut(), cut()
	cut() // the first number
	switch {
	case err != nil:
		return nil, err
	case total > uint64(n):
		return nil, fmt.Errorf("a page of %d values claims %d values", n, total)
	case block > 1<<20 || minis == 0 || block/minis == 0:
		return nil, fmt.Errorf("a page claims %d blocks of %d values", minis, block)
	}
	each := block / minis
	for left := int64(total) - 1; left > 0 && len(data) > 0; {
		if cut(); err != nil {
			return nil, err
		}
		widths := data[:min(minis, uint64(len(data)))]
		data = data[len(widths):]
		for _, width := range widths {
			data = data[min(each*uint64(width)/8, uint64(len(data))):]
			if left -= int64(each); left <= 0 {
				break
			}
		}
	}
	return data, nil
}

// checkDeltaTexts checks at most n texts that state how much of the one before they
// repeat, and returns how long they are together.
func checkDeltaTexts(data []byte, n int64) (size int64, err error) {
	for range 2 { // the lengths of what is repeated and of what follows
		rest, err := cutDeltas(data, n)
		if err != nil {
			return 0, err
		}
		lengths, err := new(delta.BinaryPackedEncoding).DecodeInt32(nil, data[:len(data)-len(rest)])
		if err != nil {
			return 0, err
		}
		for _, length := range lengths {
			size += int64(max(length, 0)) // a negative one is an error of the library's
		}
		data = rest
	}
	if size > maxPage {
		return 0, fmt.Errorf("a page claims texts of %d bytes, more than the limit of %d", size, maxPage)
	}
	return size, nil
}
