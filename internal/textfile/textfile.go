// Package textfile reads lines, CSV records and JSON texts from files that may
// be gzipped. It holds one of them at a time, bounds their length, and says in
// its errors which file, line and field is wrong and what to do about it.
package textfile

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// MaxLine is the length in bytes of the longest line, CSV record or element of
// a JSON list that is read.
const MaxLine = 64 << 20

// Error says what is wrong in which file, line and field, and in Hint what to
// do about it.
type Error struct {
	File   string // the file's name as it was opened
	Line   int    // counted from 1; 0 when no line is at fault
	Field  string // the column or JSON field; "" when the whole line is at fault
	Reason string // what is wrong, with the offending value
	Hint   string // what to do; may be empty
	Err    error  // the cause, if there is one
}

// Error returns the message without the hint:
// "outcomes.csv.gz:17: field score: 1.2 is outside [0,1]".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	if e.Field != "" {
		fmt.Fprintf(&b, "field %s: ", e.Field)
	}
	b.WriteString(e.Reason)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Quote returns a value in quotes for an error message, shortened so that a
// prompt never appears whole.
func Quote[T string | []byte](v T) string {
	const most = 40
	if len(v) > most {
		return fmt.Sprintf("%.*q...", most, string(v[:most]))
	}
	return fmt.Sprintf("%q", string(v))
}

// Cause returns the message of err without the path, for an error that names
// the file anyway.
func Cause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// Reader returns the lines of a plain or gzipped text file one by one.
type Reader struct {
	ctx  context.Context
	name string
	r    *bufio.Reader
	gz   bool
	nan  bool   // AcceptNaN was called
	line int    // number of the line last read
	buf  []byte // holds a line longer than the buffer of r
}

// NewReader returns a Reader of r, which it decompresses if it begins as gzip
// does. name is the file's name in errors. Reading stops with the error of ctx
// once ctx is done.
func NewReader(ctx context.Context, r io.Reader, name string) (*Reader, error) {
	const size = 64 << 10
	l := &Reader{ctx: ctx, name: name, r: bufio.NewReaderSize(r, size)}
	// The gzip magic is not UTF-8, so no text file is mistaken for it.
	if head, _ := l.r.Peek(2); !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return l, nil
	}
	l.gz = true
	z, err := gzip.NewReader(l.r)
	if err != nil {
		return nil, l.readError(err)
	}
	l.r = bufio.NewReaderSize(z, size)
	return l, nil
}

// Line returns the number of the line last read, counted from 1, or of the
// element last read if the file is one JSON list.
func (l *Reader) Line() int { return l.line }

// Next returns the next line without its end, valid until the next call, and
// io.EOF after the last. It leaves out a byte order mark on the first line.
func (l *Reader) Next() ([]byte, error) {
	if l.line%1024 == 0 {
		if err := l.ctx.Err(); err != nil {
			return nil, err
		}
	}
	text, err := l.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		l.buf = append(l.buf[:0], text...)
		for err == bufio.ErrBufferFull {
			text, err = l.r.ReadSlice('\n')
			if len(l.buf)+len(text) > MaxLine {
				l.line++
				return nil, l.tooLong()
			}
			l.buf = append(l.buf, text...)
		}
		text = l.buf
	}
	if err != nil && (err != io.EOF || len(text) == 0) {
		if err == io.EOF {
			return nil, io.EOF
		}
		l.line++
		return nil, l.readError(err)
	}
	l.line++
	text = bytes.TrimSuffix(text, []byte("\n"))
	text = bytes.TrimSuffix(text, []byte("\r"))
	if l.line == 1 {
		text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	}
	return text, nil
}

const byteOrderMark = "\xef\xbb\xbf"

// Lines calls fn with every line that is not blank, until fn returns an error.
func (l *Reader) Lines(fn func(text []byte) error) error {
	for {
		text, err := l.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if err := fn(text); err != nil {
			return err
		}
	}
}

func (l *Reader) tooLong() *Error {
	return l.Fault("", fmt.Sprintf("line is longer than %d MiB", MaxLine>>20),
		"is a line break missing, or is this another kind of file?")
}

// Fault returns an error about the line last read.
func (l *Reader) Fault(field, reason, hint string) *Error {
	return &Error{File: l.name, Line: l.line, Field: field, Reason: reason, Hint: hint}
}

// readError explains an error of the file or of its compression.
func (l *Reader) readError(err error) error {
	e := &Error{File: l.name, Line: l.line, Err: err, Reason: fmt.Sprintf("read: %v", err)}
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	switch {
	case !l.gz:
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		e.Reason, e.Hint = "gzip data is cut short", "copy or download the file again"
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), corrupt:
		e.Reason, e.Hint = fmt.Sprintf("gzip data is damaged: %v", err), "copy or download the file again"
	}
	return e
}

// CheckUTF8 returns an error that names the first byte of text that is not
// UTF-8, or nil. text is the line last read.
func (l *Reader) CheckUTF8(text []byte) *Error {
	if utf8.Valid(text) {
		return nil
	}
	at := 0
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return l.Fault("", fmt.Sprintf("byte %d of the line (0x%02x) is not UTF-8", at+1, text[at]),
		"convert the file to UTF-8")
}
