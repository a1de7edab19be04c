package importer

import (
	"encoding/binary"
	"fmt"
	"io"
	"reflect"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// maxFooter is the longest footer of a Parquet file that is read, in bytes.
const maxFooter = 32 << 20

// checkFooter refuses a Parquet file whose footer is not in the file, or claims
// texts and lists longer than itself. The Parquet library makes room for what a
// footer claims before it reads it.
func checkFooter(r io.ReaderAt, size int64) error {
	const head, tail = 4, 8 // "PAR1"; the length of the footer and "PAR1"
	if size < head+tail {
		return nil // the library says what is wrong
	}
	var end [tail]byte
	if _, err := r.ReadAt(end[:], size-tail); err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(end[:]))
	switch {
	case n > size-head-tail:
		return fmt.Errorf("its footer claims %d bytes, more than the file has", n)
	case n > maxFooter:
		return fmt.Errorf("its footer has %d bytes, more than the limit of %d", n, maxFooter)
	}
	footer := make([]byte, n)
	if _, err := r.ReadAt(footer, size-tail-n); err != nil {
		return err
	}
	t := compact{data: footer, what: "footer", limit: maxMetadata}
	if err := t.skip(compactStruct, 0, 0); err != nil {
		return err
	}
	m := new(format.FileMetaData)
	if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReaderFromBytes(footer)).Decode(m); err != nil {
		return fmt.Errorf("its footer is damaged: %w", err)
	}
	return checkSchema(m)
}

// Limits on what a footer describes. A footer of few bytes can describe very much.
const (
	maxMetadata = 512 << 20 // bytes that it takes in memory
	maxSchema   = 1 << 17   // columns and groups of columns
	maxNesting  = 64        // groups within groups
)

// checkSchema refuses a schema that is very large or nested deeply, and row groups that
// have other columns than it has: the library makes room for every column in every row
// group.
func checkSchema(m *format.FileMetaData) error {
	if n := len(m.Schema); n > maxSchema {
		return fmt.Errorf("its schema has %d columns and groups, more than the limit of %d", n, maxSchema)
	}
	leaves := 0
	var open []int32 // columns that the groups around the next one still lack
	for i := range m.Schema {
		if m.Schema[i].Type.Valid {
			leaves++
		}
		if n := m.Schema[i].NumChildren; n.Valid && n.V > 0 {
			open = append(open, n.V)
		} else {
			for k := len(open) - 1; k >= 0; k-- {
				if open[k]--; open[k] > 0 {
					break
				}
				open = open[:k]
			}
		}
		if len(open) > maxNesting {
			return fmt.Errorf("its columns are nested more than %d times", maxNesting)
		}
	}
	for i := range m.RowGroups {
		if n := len(m.RowGroups[i].Columns); n != leaves {
			return fmt.Errorf("row group %d has %d columns, but the schema has %d", i, n, leaves)
		}
	}
	return nil
}

// compact is what remains of a value in Thrift's compact protocol.
type compact struct {
	data   []byte
	what   string // the value is called in errors
	limit  int64  // on memory; 0: none
	memory int64  // bytes that the lists so far take in memory
}

func (t *compact) damaged() error { return fmt.Errorf("its %s is damaged", t.what) }

// Paths of lists in a footer: the numbers of the fields on the way, each in a byte.
const (
	schemaPath      = 0x02
	rowGroupsPath   = 0x04
	columnChunkPath = 0x0401
)

// itemSize returns how much memory an item of a list takes.
func itemSize(path uint32) int64 {
	switch path {
	case schemaPath:
		return int64(reflect.TypeFor[format.SchemaElement]().Size())
	case rowGroupsPath:
		return int64(reflect.TypeFor[format.RowGroup]().Size())
	case columnChunkPath:
		return int64(reflect.TypeFor[format.ColumnChunk]().Size())
	}
	return 32 // two texts; others have less
}

// Types of the compact protocol.
const (
	compactTrue, compactFalse, compactByte = 1, 2, 3
	compactDouble, compactBinary           = 7, 8
	compactList, compactSet, compactMap    = 9, 10, 11
	compactStruct                          = 12
)

// skip skips a value and checks that it does not claim to be longer than what
// remains.
func (t *compact) skip(kind byte, depth int, path uint32) error {
	if depth > 32 {
		return t.damaged()
	}
	switch kind {
	case compactTrue, compactFalse:
		return nil // a field of a struct; its type is its value
	case compactByte:
		_, err := t.take(1)
		return err
	case 4, 5, 6: // integers of 16, 32 and 64 bits
		_, err := t.varint()
		return err
	case compactDouble:
		_, err := t.take(8)
		return err
	case compactBinary:
		n, err := t.varint()
		if err == nil {
			_, err = t.take(n)
		}
		return err
	case compactList, compactSet:
		return t.skipList(depth, path)
	case compactMap:
		return t.skipMap(depth, path)
	case compactStruct:
		return t.skipStruct(depth, path)
	}
	return t.damaged()
}

func (t *compact) skipStruct(depth int, path uint32) error {
	field := uint64(0)
	for {
		head, err := t.take(1)
		if err != nil || head[0] == 0 {
			return err
		}
		field += uint64(head[0] >> 4)
		if head[0]>>4 == 0 { // the number of the field follows
			if field, err = t.varint(); err != nil {
				return err
			}
			field >>= 1 // no field has a negative number
		}
		if err := t.skip(head[0]&0xf, depth+1, path<<8|uint32(field&0xff)); err != nil {
			return err
		}
	}
}

func (t *compact) skipList(depth int, path uint32) error {
	head, err := t.take(1)
	if err != nil {
		return err
	}
	n := uint64(head[0] >> 4)
	if n == 15 {
		if n, err = t.varint(); err != nil {
			return err
		}
	}
	return t.skipItems(n, depth, path, head[0]&0xf)
}

func (t *compact) skipMap(depth int, path uint32) error {
	n, err := t.varint()
	if err != nil || n == 0 {
		return err
	}
	kinds, err := t.take(1)
	if err != nil {
		return err
	}
	return t.skipItems(n, depth, path, kinds[0]>>4, kinds[0]&0xf)
}

// skipItems skips n times one value of each kind.
func (t *compact) skipItems(n uint64, depth int, path uint32, kinds ...byte) error {
	if n > uint64(len(t.data)) { // each takes a byte at least
		return fmt.Errorf("its %s claims a list of %d items, more than it has room for", t.what, n)
	}
	if t.memory += int64(n) * itemSize(path); t.limit > 0 && t.memory > t.limit {
		return fmt.Errorf("its %s needs more than the limit of %d bytes of memory", t.what, t.limit)
	}
	for range n {
		for _, kind := range kinds {
			if kind == compactTrue || kind == compactFalse {
				kind = compactByte // outside a struct
			}
			if err := t.skip(kind, depth+1, path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *compact) take(n uint64) ([]byte, error) {
	if n > uint64(len(t.data)) {
		return nil, t.damaged()
	}
	taken := t.data[:n]
	t.data = t.data[n:]
	return taken, nil
}

func (t *compact) varint() (uint64, error) {
	v, n := binary.Uvarint(t.data)
	if n <= 0 {
		return 0, t.damaged()
	}
	t.data = t.data[n:]
	return v, nil
}
