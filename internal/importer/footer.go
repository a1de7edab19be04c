package importer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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
	t := thrift(footer)
	return t.skip(thriftStruct, 0)
}

// thrift is what remains of a value in Thrift's compact protocol.
type thrift []byte

// Types of the compact protocol.
const (
	thriftTrue, thriftFalse, thriftByte = 1, 2, 3
	thriftDouble, thriftBinary          = 7, 8
	thriftList, thriftSet, thriftMap    = 9, 10, 11
	thriftStruct                        = 12
)

var errFooter = errors.New("its footer is damaged")

// skip skips a value and checks that it does not claim to be longer than what
// remains.
func (t *thrift) skip(kind byte, depth int) error {
	if depth > 32 {
		return errFooter
	}
	switch kind {
	case thriftTrue, thriftFalse:
		return nil // a field of a struct; its type is its value
	case thriftByte:
		_, err := t.take(1)
		return err
	case 4, 5, 6: // integers of 16, 32 and 64 bits
		_, err := t.varint()
		return err
	case thriftDouble:
		_, err := t.take(8)
		return err
	case thriftBinary:
		n, err := t.varint()
		if err == nil {
			_, err = t.take(n)
		}
		return err
	case thriftList, thriftSet:
		return t.skipList(depth)
	case thriftMap:
		return t.skipMap(depth)
	case thriftStruct:
		return t.skipStruct(depth)
	}
	return errFooter
}

func (t *thrift) skipStruct(depth int) error {
	for {
		head, err := t.take(1)
		if err != nil || head[0] == 0 {
			return err
		}
		if head[0]>>4 == 0 { // the number of the field follows
			if _, err := t.varint(); err != nil {
				return err
			}
		}
		if err := t.skip(head[0]&0xf, depth+1); err != nil {
			return err
		}
	}
}

func (t *thrift) skipList(depth int) error {
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
	return t.skipItems(n, depth, head[0]&0xf)
}

func (t *thrift) skipMap(depth int) error {
	n, err := t.varint()
	if err != nil || n == 0 {
		return err
	}
	kinds, err := t.take(1)
	if err != nil {
		return err
	}
	return t.skipItems(n, depth, kinds[0]>>4, kinds[0]&0xf)
}

// skipItems skips n times one value of each kind.
func (t *thrift) skipItems(n uint64, depth int, kinds ...byte) error {
	if n > uint64(len(*t)) { // each takes a byte at least
		return fmt.Errorf("its footer claims a list of %d items, more than it has room for", n)
	}
	for range n {
		for _, kind := range kinds {
			if kind == thriftTrue || kind == thriftFalse {
				kind = thriftByte // outside a struct
			}
			if err := t.skip(kind, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *thrift) take(n uint64) ([]byte, error) {
	if n > uint64(len(*t)) {
		return nil, errFooter
	}
	taken := (*t)[:n]
	*t = (*t)[n:]
	return taken, nil
}

func (t *thrift) varint() (uint64, error) {
	v, n := binary.Uvarint(*t)
	if n <= 0 {
		return 0, errFooter
	}
	*t = (*t)[n:]
	return v, nil
}
