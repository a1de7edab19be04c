package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// csvReader splits the records of a CSV file after RFC 4180: comma, and double
// quotes around fields that hold commas, quotes or line breaks. Other than
// encoding/csv it bounds the length of a record and can go on behind a bad one.
type csvReader struct {
	*lineReader
	first  int // line on which the record last read began
	fields [][]byte
	rec    []byte // the lines of a record that spans several
	text   []byte // the record's fields without their quotes
}

var (
	errOpenQuote  = errors.New("a quote is not closed")
	errStrayQuote = errors.New("a quote stands inside an unquoted field or before more text")
)

const hintQuotes = `put a field that holds a comma or a quote in double quotes and write "" for a quote in it`

// next returns the fields of the next record, valid until the next call;
// blank lines are passed over. A *FormatError from bad is about this record
// only: the reader can go on behind it.
func (c *csvReader) next() (fields [][]byte, bad *FormatError, err error) {
	var line []byte
	for len(line) == 0 {
		if line, err = c.lineReader.next(); err != nil {
			return nil, nil, err
		}
	}
	c.first = c.line
	if bad := c.checkUTF8(line); bad != nil {
		return nil, bad, nil
	}
	if bytes.IndexByte(line, '"') < 0 {
		c.fields = splitCommas(c.fields[:0], line)
	} else {
		err := c.splitQuoted(line)
		if err == errOpenQuote {
			if line, err = c.join(line); err != nil && err != errOpenQuote {
				return nil, nil, err
			}
			if err == nil {
				if bad := c.checkUTF8(line); bad != nil {
					return nil, bad, nil
				}
				err = c.splitQuoted(line)
			}
		}
		if err != nil {
			return nil, c.faultAt("", err.Error(), hintQuotes), nil
		}
	}
	return c.fields, nil, nil
}

// faultAt makes an error about the record last read.
func (c *csvReader) faultAt(field, reason, hint string) *FormatError {
	return &FormatError{File: c.name, Line: c.first, Field: field, Reason: reason, Hint: hint}
}

// join appends lines to the first one until every quote in them is closed.
func (c *csvReader) join(line []byte) ([]byte, error) {
	c.rec = append(c.rec[:0], line...)
	for quotes := bytes.Count(line, []byte{'"'}); quotes%2 == 1; {
		line, err := c.lineReader.next()
		if err == io.EOF {
			return nil, errOpenQuote
		}
		if err != nil {
			return nil, err
		}
		if len(c.rec)+len(line) > maxLine {
			return nil, c.tooLong()
		}
		c.rec = append(append(c.rec, '\n'), line...)
		quotes += bytes.Count(line, []byte{'"'})
	}
	return c.rec, nil
}

func splitCommas(fields [][]byte, line []byte) [][]byte {
	for {
		i := bytes.IndexByte(line, ',')
		if i < 0 {
			return append(fields, line)
		}
		fields, line = append(fields, line[:i]), line[i+1:]
	}
}

// splitQuoted splits a record that holds quotes into c.fields.
func (c *csvReader) splitQuoted(rec []byte) error {
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
			if len(rec) > 0 && rec[0] != ',' {
				return errStrayQuote
			}
		} else {
			i := bytes.IndexByte(rec, ',')
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

// header reads the first record: the required columns in their order, then
// optional ones in any. It returns, for every known column (required, then
// optional), its place in a record or -1.
func (c *csvReader) header(required, optional []string) ([]int, error) {
	hint := "the first line is " + strings.Join(required, ",")
	if len(optional) > 0 {
		hint += "; after these may follow " + strings.Join(optional, ", ")
	}
	names, bad, err := c.next()
	if err == io.EOF {
		return nil, &FormatError{File: c.name, Reason: "is empty: the header is missing", Hint: hint}
	}
	if err != nil {
		return nil, err
	}
	if bad != nil {
		return nil, bad
	}
	known := slices.Concat(required, optional)
	at := make([]int, len(known))
	for i := range at {
		at[i] = -1
	}
	for i, name := range names {
		k := slices.Index(known, string(name))
		if k < 0 {
			return nil, c.faultAt("", fmt.Sprintf("header: unknown column %s", quote(name)), hint)
		}
		if at[k] >= 0 {
			return nil, c.faultAt(known[k], "header: the column is given twice", hint)
		}
		at[k] = i
	}
	for k, name := range required {
		if at[k] < 0 {
			return nil, c.faultAt(name, "header: the column is missing", hint)
		}
	}
	for k, name := range required {
		if at[k] != k {
			return nil, c.faultAt(name, fmt.Sprintf("header: is column %d, not %d", at[k]+1, k+1), hint)
		}
	}
	return at, nil
}

// records calls fn with every record after the header, of as many fields as it.
func (c *csvReader) records(columns int, report reporter, fn func(fields [][]byte) error) error {
	for {
		fields, bad, err := c.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if bad == nil && len(fields) != columns {
			bad = c.faultAt("", fmt.Sprintf("%d fields where the header has %d", len(fields), columns), hintQuotes)
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
