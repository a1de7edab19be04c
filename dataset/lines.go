package dataset

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxLine is the longest line, and the longest CSV record, that is read.
const maxLine = 64 << 20

// lineReader hands out the lines of a plain or gzipped text file, never
// holding more than one of them.
type lineReader struct {
	ctx  context.Context
	name string
	r    *bufio.Reader
	gz   bool
	line int    // number of the line last read
	buf  []byte // holds a line longer than the buffer of r
}

func newLineReader(ctx context.Context, r io.Reader, name string) (*lineReader, error) {
	const size = 64 << 10
	l := &lineReader{ctx: ctx, name: name, r: bufio.NewReaderSize(r, size)}
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

// next returns the next line without its end, valid until the next call, and
// io.EOF after the last. A byte order mark on the first line is left out.
func (l *lineReader) next() ([]byte, error) {
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
			if len(l.buf)+len(text) > maxLine {
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
		text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	}
	return text, nil
}

func (l *lineReader) tooLong() *FormatError {
	return l.fault("", fmt.Sprintf("line is longer than %d MiB", maxLine>>20),
		"is a line break missing, or is this another kind of file?")
}

// fault makes an error about the line last read.
func (l *lineReader) fault(field, reason, hint string) *FormatError {
	return &FormatError{File: l.name, Line: l.line, Field: field, Reason: reason, Hint: hint}
}

// readError explains an error of the file or of its compression.
func (l *lineReader) readError(err error) error {
	e := &FormatError{File: l.name, Line: l.line, Err: err, Reason: fmt.Sprintf("read: %v", err)}
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

// checkUTF8 returns an error that names the first byte of text that is not UTF-8.
func (l *lineReader) checkUTF8(text []byte) *FormatError {
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
	return l.fault("", fmt.Sprintf("byte %d of the line (0x%02x) is not UTF-8", at+1, text[at]),
		"convert the file to UTF-8")
}
