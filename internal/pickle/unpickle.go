package pickle

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// A pickle is a program for a small stack machine. The machine here runs nothing
// else: where Python would import and call something, it notes a [pyCall] if
// the name is in allowedGlobals, and stops with an error that names it if not.
// Long texts stay in the file until they are needed.

const (
	maxStack = 1 << 20 // values on the stack at one time; Python writes items in batches of 1,000
	maxMarks = 1 << 10 // containers that are open at one time
	keepText = 256     // the longest text in bytes that is kept in memory
)

var errCut = errors.New("the file ends inside the pickle")

// unpickler is the stack machine.
type unpickler struct {
	ctx   context.Context
	r     *bufio.Reader
	size  int64 // of the file
	pos   int64 // bytes read
	op    int64 // the byte at which the operation began
	ops   int64
	stack []any
	marks []int // height of the stack below each open container
	memo  []any
	done  bool
}

// unpickle reads the pickle of size bytes at r. Memory stays within a multiple
// of size: a length that is more than the rest of the file is refused before
// anything is allocated.
func unpickle(ctx context.Context, r io.ReaderAt, size int64) (any, error) {
	p := &unpickler{ctx: ctx, size: size, r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 1<<16)}
	for !p.done {
		if p.ops++; p.ops%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		p.op = p.pos
		if err := p.step(); err != nil {
			return nil, p.fault(err)
		}
	}
	v, err := p.pop()
	if err != nil {
		return nil, p.fault(err)
	}
	return v, nil
}

// fault adds to an error where in the file it is.
func (p *unpickler) fault(err error) error {
	if bad, ok := errors.AsType[*Error](err); ok {
		return bad
	}
	e := &Error{Reason: fmt.Sprintf("byte %d: %v", p.op+1, err), Hint: hintParquet, Err: err}
	switch {
	case p.op == 0:
		e.Hint = "is the file a pickle? " + hintParquet
	case errors.Is(err, errCut):
		e.Hint = hintCut
	}
	return e
}

// step runs the next operation.
func (p *unpickler) step() error {
	op, err := p.r.ReadByte()
	if err != nil {
		return p.readError(err)
	}
	p.pos++
	do := operations[op]
	if do == nil {
		return fmt.Errorf("%s is not an operation that is supported", describeOp(op))
	}
	return do(p)
}

// describeOp names an operation that is refused.
func describeOp(op byte) string {
	switch op {
	case 'P', 'Q':
		return "a persistent id"
	case 0x82, 0x83, 0x84:
		return "an extension code"
	case 0x97, 0x98:
		return "a buffer outside the file"
	case 'S', 'T', 'U':
		return "a text of Python 2"
	}
	return fmt.Sprintf("0x%02x", op)
}

func (p *unpickler) readError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errCut
	}
	return fmt.Errorf("read: %w", err)
}

// push puts a value on the stack.
func (p *unpickler) push(v any) error {
	if len(p.stack) >= maxStack {
		return fmt.Errorf("more than %d values are on the stack", maxStack)
	}
	p.stack = append(p.stack, v)
	return nil
}

// floor is the height of the stack where the innermost open container begins.
func (p *unpickler) floor() int {
	if len(p.marks) == 0 {
		return 0
	}
	return p.marks[len(p.marks)-1]
}

// pop removes and returns the value on top of the stack.
func (p *unpickler) pop() (any, error) {
	v, err := p.top()
	if err == nil {
		p.stack = p.stack[:len(p.stack)-1]
	}
	return v, err
}

// top returns the value on top of the stack.
func (p *unpickler) top() (any, error) {
	if len(p.stack) <= p.floor() {
		return nil, errors.New("the stack is empty")
	}
	return p.stack[len(p.stack)-1], nil
}

// mark opens a container.
func (p *unpickler) mark() error {
	if len(p.marks) >= maxMarks {
		return fmt.Errorf("more than %d containers are nested", maxMarks)
	}
	p.marks = append(p.marks, len(p.stack))
	return nil
}

// popMark removes the last mark and returns the values above it, which are
// valid until the next push.
func (p *unpickler) popMark() ([]any, error) {
	if len(p.marks) == 0 {
		return nil, errors.New("no container is open")
	}
	at := p.floor()
	items := p.stack[at:]
	p.stack, p.marks = p.stack[:at], p.marks[:len(p.marks)-1]
	return items, nil
}

// popTuple replaces the n values on top by a tuple of them.
func (p *unpickler) popTuple(n int) error {
	at := len(p.stack) - n
	if at < p.floor() {
		return errors.New("the stack is empty")
	}
	t := append(pyTuple(nil), p.stack[at:]...)
	p.stack = p.stack[:at]
	return p.push(t)
}

// put stores the value on top in the memo. Python numbers the memo without
// gaps, so a number above that of the bytes read means that the file is damaged.
func (p *unpickler) put(at uint64) error {
	v, err := p.top()
	if err != nil {
		return err
	}
	if at >= uint64(p.pos) {
		return fmt.Errorf("the memo has no place %d", at)
	}
	for uint64(len(p.memo)) <= at {
		p.memo = append(p.memo, nil)
	}
	p.memo[at] = v
	return nil
}

// get pushes a value from the memo.
func (p *unpickler) get(at uint64) error {
	if at >= uint64(len(p.memo)) {
		return fmt.Errorf("the memo has no value %d", at)
	}
	return p.push(p.memo[at])
}

// uint reads an unsigned little-endian number of n bytes.
func (p *unpickler) uint(n int) (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(p.r, b[:n]); err != nil {
		return 0, p.readError(err)
	}
	p.pos += int64(n)
	return binary.LittleEndian.Uint64(b[:]), nil
}

// length reads the length of a value in a number of n bytes, and refuses one
// that is more than the rest of the file.
func (p *unpickler) length(n int) (int64, error) {
	size, err := p.uint(n)
	if err != nil {
		return 0, err
	}
	if left := p.size - p.pos; size > uint64(left) {
		return 0, fmt.Errorf("%w: a value has %d bytes, and %d are left", errCut, size, left)
	}
	return int64(size), nil
}

// bytes reads n bytes; length has checked that they exist.
func (p *unpickler) bytes(n int64) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(p.r, b); err != nil {
		return nil, p.readError(err)
	}
	p.pos += n
	return b, nil
}

// line reads a line of protocol 0 without its end.
func (p *unpickler) line() ([]byte, error) {
	b, err := p.r.ReadBytes('\n')
	if err != nil {
		return nil, p.readError(err)
	}
	p.pos += int64(len(b))
	return b[:len(b)-1], nil
}

// text pushes a text whose length is a number of n bytes.
func (p *unpickler) text(n int) error {
	size, err := p.length(n)
	if err != nil {
		return err
	}
	if size > keepText {
		t := pyText{p.pos, size}
		for size > 0 {
			skipped, err := p.r.Discard(int(min(size, 1<<30)))
			if err != nil {
				return p.readError(err)
			}
			size, p.pos = size-int64(skipped), p.pos+int64(skipped)
		}
		return p.push(t)
	}
	b, err := p.bytes(size)
	if err != nil {
		return err
	}
	return p.push(string(b))
}

// sized reads bytes whose length is a number of n bytes.
func (p *unpickler) sized(n int) ([]byte, error) {
	size, err := p.length(n)
	if err != nil {
		return nil, err
	}
	return p.bytes(size)
}

// binary pushes bytes whose length is a number of n bytes.
func (p *unpickler) binary(n int) error {
	b, err := p.sized(n)
	if err != nil {
		return err
	}
	return p.push(pyBytes(b))
}

// long pushes an integer of any size; its length in bytes is a number of n
// bytes.
func (p *unpickler) long(n int) error {
	b, err := p.sized(n)
	if err != nil {
		return err
	}
	if len(b) > 8 {
		return p.push(pyBig(len(b)))
	}
	var v [8]byte
	if len(b) > 0 && b[len(b)-1]&0x80 != 0 {
		v = [8]byte{255, 255, 255, 255, 255, 255, 255, 255}
	}
	copy(v[:], b)
	return p.push(int64(binary.LittleEndian.Uint64(v[:])))
}

// float pushes a big-endian number of eight bytes.
func (p *unpickler) float() error {
	b, err := p.bytes(8)
	if err != nil {
		return err
	}
	return p.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
}

// number pushes the number on a line of protocol 0, on which 00 and 01 are
// false and true.
func (p *unpickler) number(float bool) error {
	b, err := p.line()
	if err != nil {
		return err
	}
	text := string(b)
	switch {
	case float:
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%s is not a number", quote(text))
		}
		return p.push(v)
	case text == "00" || text == "01":
		return p.push(text == "01")
	}
	if n := len(text); n > 0 && text[n-1] == 'L' {
		text = text[:n-1]
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return p.push(pyBig(len(text)))
	}
	if err != nil {
		return fmt.Errorf("%s is not a whole number", quote(text))
	}
	return p.push(v)
}

// quote returns a value in quotes for an error message, shortened if it is long.
func quote[T string | []byte](v T) string {
	const most = 40
	if len(v) > most {
		return fmt.Sprintf("%.*q...", most, string(v[:most]))
	}
	return fmt.Sprintf("%q", string(v))
}
