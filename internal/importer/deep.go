package importer

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// scanDeep reads one JSON object, plain or gzipped, as a stream. It calls element with every
// element of the list at a path of names, such as results.results, counted from 1, and value
// with every other value that stands beside the path, with its own path. Only one of them is in
// memory at a time, and none may be longer than [textfile.MaxLine]. What they are given is
// valid until they return.
func scanDeep(ctx context.Context, r io.Reader, path, list string, value func(name string, raw []byte) error, element func(n int64, raw []byte) error) error {
	buffered := bufio.NewReader(r)
	r = buffered
	if magic, _ := buffered.Peek(2); string(magic) == "\x1f\x8b" {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return &dataset.FormatError{File: path, Reason: "is not a complete gzip file", Hint: "copy the file again", Err: err}
		}
		r = unzipped
	} else if mark, _ := buffered.Peek(3); string(mark) == "\ufeff" {
		_, _ = buffered.Discard(3) // which was read already
	}
	d := &deep{ctx: ctx, path: path, list: list, value: value, element: element, budget: &budget{r: r}}
	d.dec = json.NewDecoder(textfile.PlainNumbers(d.budget))
	return d.scan()
}

// deep is a scan of scanDeep.
type deep struct {
	ctx     context.Context
	path    string
	list    string
	value   func(name string, raw []byte) error
	element func(n int64, raw []byte) error
	budget  *budget
	dec     *json.Decoder
	raw     json.RawMessage
	n       int64
}

// budget ends a reader after a number of bytes.
type budget struct {
	r    io.Reader
	left int
}

var errBudget = fmt.Errorf("has a value of more than %d bytes", textfile.MaxLine)

// Read reads from r.
func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBudget
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (d *deep) scan() error {
	d.budget.left = textfile.MaxLine
	first, err := d.dec.Token()
	if err != nil {
		return d.fault(err)
	}
	if first != json.Delim('{') {
		return d.wrong("is not a JSON object")
	}
	if err := d.object(""); err != nil {
		return err
	}
	if _, err := d.dec.Token(); err != io.EOF {
		return d.wrong("text follows the object")
	}
	return nil
}

// object reads the rest of an object.
func (d *deep) object(prefix string) error {
	for {
		d.budget.left = textfile.MaxLine
		token, err := d.dec.Token()
		if err != nil {
			return d.fault(err)
		}
		key, ok := token.(string)
		if !ok {
			return nil // the object ends
		}
		name := prefix + key
		switch {
		case name == d.list:
			err = d.elements()
		case strings.HasPrefix(d.list, name+"."):
			if token, err = d.dec.Token(); err != nil {
				return d.fault(err)
			}
			if token != json.Delim('{') {
				return d.wrong(name + " is not an object")
			}
			err = d.object(name + ".")
		default:
			if err := d.dec.Decode(&d.raw); err != nil {
				return d.fault(err)
			}
			err = d.value(name, d.raw)
		}
		if err != nil {
			return err
		}
	}
}

// elements reads the list.
func (d *deep) elements() error {
	token, err := d.dec.Token()
	if err != nil {
		return d.fault(err)
	}
	if token == nil { // null
		return nil
	}
	if token != json.Delim('[') {
		return d.wrong(d.list + " is not a list")
	}
	for d.dec.More() {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		d.budget.left = textfile.MaxLine
		if err := d.dec.Decode(&d.raw); err != nil {
			return d.fault(err)
		}
		d.n++
		if err := d.element(d.n, d.raw); err != nil {
			return err
		}
	}
	if _, err = d.dec.Token(); err != nil {
		return d.fault(err)
	}
	return nil
}

// wrong returns an error about the file.
func (d *deep) wrong(reason string) error {
	return &dataset.FormatError{File: d.path, Line: int(d.n), Reason: reason, Hint: "the file must be one JSON object, as the program writes it"}
}

// fault returns an error of the decoder, without what it may quote of the text.
func (d *deep) fault(err error) error {
	switch {
	case errors.Is(err, errBudget):
		return d.wrong(errBudget.Error())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return d.wrong("is not valid JSON: the file ends inside the object")
	case d.ctx.Err() != nil:
		return d.ctx.Err()
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return d.wrong(fmt.Sprintf("is not valid JSON at byte %d", syntax.Offset))
	}
	return &dataset.FormatError{File: d.path, Line: int(d.n), Reason: "read: " + textfile.Cause(err), Hint: "copy the file again", Err: err}
}
