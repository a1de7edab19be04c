package textfile

import (
	"bufio"
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
	if l.nan {
		budget.r = PlainNumbers(l.r)
	}
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

// AcceptNaN makes Objects read the elements of a list through [PlainNumbers].
func (l *Reader) AcceptNaN() { l.nan = true }

// PlainNumbers returns a reader of the JSON of r in which NaN, which Python and others
// write though JSON has no such number, is null, and Infinity and -Infinity are texts.
// It changes nothing within texts.
func PlainNumbers(r io.Reader) io.Reader { return &plainNumbers{r: bufio.NewReader(r)} }

type plainNumbers struct {
	r       *bufio.Reader
	inText  bool
	escaped bool   // the next byte of the text is
	pending []byte // was replaced and not yet read
}

// nonNumbers are what JSON has no numbers for, with their replacements.
var nonNumbers = []struct{ word, plain string }{{"NaN", "null"}, {"Infinity", `"Infinity"`}, {"-Infinity", `"-Infinity"`}}

// Read reads at least one byte, unless the input has ended.
func (p *plainNumbers) Read(out []byte) (n int, err error) {
	for n < len(out) {
		if len(p.pending) > 0 {
			k := copy(out[n:], p.pending)
			p.pending, n = p.pending[k:], n+k
			continue
		}
		if n > 0 && p.r.Buffered() == 0 {
			return n, nil
		}
		c, err := p.r.ReadByte()
		if err != nil {
			if n > 0 {
				return n, nil // the error comes again
			}
			return 0, err
		}
		switch {
		case p.escaped:
			p.escaped = false
		case p.inText:
			p.escaped, p.inText = c == '\\', c != '"'
		case c == '"':
			p.inText = true
		case c == 'N' || c == 'I' || c == '-':
			p.replace(c)
			if len(p.pending) > 0 {
				continue
			}
		}
		out[n], n = c, n+1
	}
	return n, nil
}

// replace replaces a word that begins with c, if it is one of nonNumbers.
func (p *plainNumbers) replace(c byte) {
	for _, one := range nonNumbers {
		if one.word[0] != c {
			continue
		}
		if rest, _ := p.r.Peek(len(one.word) - 1); string(rest) == one.word[1:] {
			p.r.Discard(len(rest)) // cannot fail after Peek
			p.pending = []byte(one.plain)
		}
	}
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
