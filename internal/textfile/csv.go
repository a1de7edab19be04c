package textfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/carrot-router/carrot/internal/phrase"
)

// CSV splits a file into records as RFC 4180 says: fields are separated by
// commas, or by the byte in Delimiter, and a field that holds one, a quote or a line
// break stands in double quotes. Unlike encoding/csv it bounds the length of a record and can
// go on after a bad one.
type CSV struct {
	*Reader
	Delimiter byte // a comma, unless it is changed before the first record
	first     int  // line on which the record last read began
	fields    [][]byte
	rec       []byte // the lines of a record that spans several
	text      []byte // the record's fields without their quotes
}

// NewCSV returns a reader of the records that follow in l.
func NewCSV(l *Reader) *CSV { return &CSV{Reader: l, Delimiter: ','} }

// First returns the line on which the record last read began.
func (c *CSV) First() int { return c.first }

var (
	errOpenQuote  = errors.New("a quote is not closed")
	errStrayQuote = errors.New("a quote is inside an unquoted field or is followed by more text")
)

const hintQuotes = `put a field that holds a comma or a quote in double quotes and write "" for a quote in it`

// Next returns the fields of the next record, valid until the next call, and
// io.EOF after the last. It skips blank lines. An error in bad is about this
// record only: the caller can go on to the next.
func (c *CSV) Next() (fields [][]byte, bad *Error, err error) {
	var line []byte
	for len(line) == 0 {
		if line, err = c.Reader.Next(); err != nil {
			return nil, nil, err
		}
	}
	c.first = c.line
	if bad := c.CheckUTF8(line); bad != nil {
		return nil, bad, nil
	}
	if bytes.IndexByte(line, '"') < 0 {
		c.fields = c.splitPlain(c.fields[:0], line)
	} else {
		err := c.splitQuoted(line)
		if err == errOpenQuote {
			if line, err = c.join(line); err != nil && err != errOpenQuote {
				return nil, nil, err
			}
			if err == nil {
				if bad := c.CheckUTF8(line); bad != nil {
					return nil, bad, nil
				}
				err = c.splitQuoted(line)
			}
		}
		if err != nil {
			return nil, c.Fault("", err.Error(), hintQuotes), nil
		}
	}
	return c.fields, nil, nil
}

// ChooseDelimiter calls choose, before the first record is read, with a function that
// splits the first line by a delimiter, and sets the one that choose returns. The
// function returns nil if the line cannot be split, as when a quote in it is not
// closed.
func (c *CSV) ChooseDelimiter(choose func(split func(delimiter byte) []string) byte) {
	head, _ := c.r.Peek(c.r.Size())
	line, _, _ := bytes.Cut(bytes.TrimLeft(bytes.TrimPrefix(head, []byte(byteOrderMark)), "\r\n"), []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	c.Delimiter = choose(func(delimiter byte) []string {
		one := CSV{Delimiter: delimiter}
		if one.splitQuoted(line) != nil {
			return nil
		}
		names := make([]string, len(one.fields))
		for i, field := range one.fields {
			names[i] = string(field)
		}
		return names
	})
}

// Header returns the fields of the first record, which name the columns. hint
// is that of the error if the file is empty.
func (c *CSV) Header(hint string) ([]string, error) {
	fields, bad, err := c.Next()
	if err == io.EOF {
		return nil, &Error{File: c.name, Reason: "is empty: the header is missing", Hint: hint}
	}
	if err != nil {
		return nil, err
	}
	if bad != nil {
		return nil, bad
	}
	names := make([]string, len(fields))
	for i, field := range fields {
		names[i] = string(field)
	}
	return names, nil
}

// Fault returns an error about the record last read, with the line on which it
// began.
func (c *CSV) Fault(field, reason, hint string) *Error {
	return &Error{File: c.name, Line: c.first, Field: field, Reason: reason, Hint: hint}
}

// join appends lines to the first one until every quote in them is closed.
func (c *CSV) join(line []byte) ([]byte, error) {
	c.rec = append(c.rec[:0], line...)
	for quotes := bytes.Count(line, []byte{'"'}); quotes%2 == 1; {
		line, err := c.Reader.Next()
		if err == io.EOF {
			return nil, errOpenQuote
		}
		if err != nil {
			return nil, err
		}
		if len(c.rec)+len(line) > MaxLine {
			return nil, c.tooLong()
		}
		c.rec = append(append(c.rec, '\n'), line...)
		quotes += bytes.Count(line, []byte{'"'})
	}
	return c.rec, nil
}

// splitPlain splits a line without quotes.
func (c *CSV) splitPlain(fields [][]byte, line []byte) [][]byte {
	for {
		i := bytes.IndexByte(line, c.Delimiter)
		if i < 0 {
			return append(fields, line)
		}
		fields, line = append(fields, line[:i]), line[i+1:]
	}
}

// splitQuoted splits a record that holds quotes into c.fields.
func (c *CSV) splitQuoted(rec []byte) error {
	c.fields, c.text = c.fields[:0], slices.Grow(c.text[:0], len(rec))
	for {
		start := len(c.text)
		if len(rec) > 0 && rec[0] == '"' {
			rec = rec[1:]
			for {
				i := bytes.IndexByte(rec, '"')
				if i < 0 {
					return errOpenQuote
				}
				c.text, rec = append(c.text, rec[:i]...), rec[i+1:]
				if len(rec) == 0 || rec[0] != '"' {
					break
				}
				c.text, rec = append(c.text, '"'), rec[1:]
			}
			if len(rec) > 0 && rec[0] != c.Delimiter {
				return errStrayQuote
			}
		} else {
			i := bytes.IndexByte(rec, c.Delimiter)
			if i < 0 {
				i = len(rec)
			}
			if bytes.IndexByte(rec[:i], '"') >= 0 {
				return errStrayQuote
			}
			c.text, rec = append(c.text, rec[:i]...), rec[i:]
		}
		// Grow made room for the whole record, so c.text never moves.
		c.fields = append(c.fields, c.text[start:len(c.text):len(c.text)])
		if len(rec) == 0 {
			return nil
		}
		rec = rec[1:]
	}
}

// Records calls fn with every record that follows, each of the given number of
// fields. It calls report with every other record: report returns nil to go on,
// or the error to stop with.
func (c *CSV) Records(columns int, report func(*Error) error, fn func(fields [][]byte) error) error {
	for {
		fields, bad, err := c.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if bad == nil && len(fields) != columns {
			bad = c.Fault("", fmt.Sprintf("%s, but the header has %d", phrase.Count(len(fields), "field"), columns), hintQuotes)
		}
		if bad != nil {
			err = report(bad)
		} else {
			err = fn(fields)
		}
		if err != nil {
			return err
		}
	}
}
