package textfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// HintJSON is the hint of errors about files that Objects reads.
const HintJSON = "write one JSON object a line, or one list of objects"

// Objects calls fn with the JSON text of every object of a file: every line
// that is not blank or, if the file is one list, every element of it. The text
// is not yet checked, except that an element of a list is valid JSON.
func (l *Reader) Objects(fn func(text []byte) error) error {
	if l.beginsList() {
		return l.elements(fn)
	}
	return l.Lines(fn)
}

// beginsList reports whether the file is one JSON list.
func (l *Reader) beginsList() bool {
	head, _ := l.r.Peek(256)
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte(byteOrderMark)), " \t\r\n")
	return len(head) > 0 && head[0] == '['
}

// elements calls fn with every element of a list, one at a time; l.line counts
// the elements.
func (l *Reader) elements(fn func(text []byte) error) error {
	l.skipByteOrderMark()
	budget := &budgetReader{r: l.r, left: MaxLine}
	dec := json.NewDecoder(budget)
	if _, err := dec.Token(); err != nil {
		return l.badElement(err)
	}
	for dec.More() {
		budget.left = MaxLine
		l.line++
		if l.line%1024 == 0 && l.ctx.Err() != nil {
			return l.ctx.Err()
		}
		var raw json.RawMessage
		err := dec.Decode(&raw)
		if err == nil && len(raw) > MaxLine {
			err = errBudget // the decoder had read part of the element before
		}
		if err != nil {
			return l.badElement(err)
		}
		if err := fn(raw); err != nil {
			return err
		}
	}
	l.line++
	if _, err := dec.Token(); err != nil {
		return l.badElement(err)
	}
	_, err := dec.Token()
	_, syntax := errors.AsType[*json.SyntaxError](err)
	switch {
	case err == io.EOF:
		return nil
	case err == nil || syntax:
		return l.Fault("", "text follows the list", HintJSON)
	}
	return l.readError(err) // such as a wrong checksum
}

func (l *Reader) skipByteOrderMark() {
	if head, _ := l.r.Peek(len(byteOrderMark)); string(head) == byteOrderMark {
		l.r.Discard(len(byteOrderMark)) // cannot fail after Peek
	}
}

var errBudget = errors.New("over budget")

// budgetReader returns errBudget once the bytes left are read.
type budgetReader struct {
	r    io.Reader
	left int
}

// Read reads at most the bytes left.
func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBudget
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (l *Reader) badElement(err error) error {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	switch {
	case errors.Is(err, errBudget):
		return l.Fault("", fmt.Sprintf("element of the list is longer than %d MiB", MaxLine>>20), HintJSON)
	case syntax, errors.Is(err, io.EOF), !l.gz && errors.Is(err, io.ErrUnexpectedEOF):
		return l.BadJSON(err, "the file ends inside the list", HintJSON)
	}
	return l.readError(err)
}

// BadJSON returns err, an error of encoding/json, as an error about the line
// last read. cut is the reason if the text ended too early.
func (l *Reader) BadJSON(err error, cut, hint string) *Error {
	reason := fmt.Sprintf("is not valid JSON: %v", err)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		reason = "is not valid JSON: " + cut
	}
	e := l.Fault("", reason, hint)
	e.Err = err
	return e
}

// All returns the rest of the file without a byte order mark, at most [MaxLine]
// bytes of it.
func (l *Reader) All() ([]byte, error) {
	l.skipByteOrderMark()
	text, err := io.ReadAll(io.LimitReader(l.r, MaxLine))
	if err != nil {
		return nil, l.readError(err)
	}
	return text, nil
}
