package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Event is one server-sent event.
type Event struct {
	Name string // the event field, empty if there is none
	Data []byte // the data fields, joined by line breaks
}

// Done is the data of the event that ends a stream of chat completions.
const Done = "[DONE]"

// ErrEventTooLong reports an event longer than a Decoder's limit.
var ErrEventTooLong = errors.New("server-sent event is too long")

// maxEvent is the longest event that is read, in bytes. An event may contain an
// image.
const maxEvent = 32 << 20

// Decoder reads server-sent events.
type Decoder struct {
	r    *bufio.Reader
	line []byte
	data []byte
	used bool // a line was read
}

// NewDecoder returns a decoder that reads from r.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{r: bufio.NewReaderSize(r, 4096)} }

// Next returns the next event that has data. It skips comments, ids and retry
// times. The event's data are valid until the next call. At the end, the error is
// io.EOF, or io.ErrUnexpectedEOF if the stream ends within a line. A last event of
// whole lines is returned even without its empty line, which some servers omit.
func (d *Decoder) Next() (Event, error) {
	var e Event
	d.data = d.data[:0]
	seen := false
	for {
		line, err := d.readLine()
		if err != nil {
			switch {
			case err == io.EOF && len(line) > 0:
				err = io.ErrUnexpectedEOF
			case err == io.EOF && seen:
				e.Data = d.data[:len(d.data)-1]
				return e, nil
			}
			return Event{}, err
		}
		if !d.used {
			d.used, line = true, bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(line) == 0 {
			if !seen {
				e = Event{}
				continue
			}
			e.Data = d.data[:len(d.data)-1]
			return e, nil
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "data":
			seen = true
			if len(d.data)+len(value) > maxEvent {
				return Event{}, ErrEventTooLong
			}
			d.data = append(append(d.data, value...), '\n')
		case "event":
			e.Name = string(value)
		}
	}
}

// readLine returns a line without its LF or CR LF. Unlike the standard, it does
// not end a line at a lone CR: JSON contains none, and no provider sends it.
func (d *Decoder) readLine() ([]byte, error) {
	d.line = d.line[:0]
	for {
		part, err := d.r.ReadSlice('\n')
		if err == nil && len(d.line) == 0 {
			return trimEnd(part), nil // most lines fit into the buffer
		}
		d.line = append(d.line, part...)
		switch {
		case err == nil:
			return trimEnd(d.line), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return d.line, err
		case len(d.line) > maxEvent:
			return nil, ErrEventTooLong
		}
	}
}

func trimEnd(line []byte) []byte {
	return bytes.TrimRight(line, "\r\n")
}

// AppendTo appends the event in its wire form, including the empty line.
func (e Event) AppendTo(b []byte) []byte {
	if e.Name != "" {
		b = append(append(append(b, "event: "...), e.Name...), '\n')
	}
	for line := range bytes.SplitSeq(e.Data, []byte("\n")) {
		b = append(append(append(b, "data: "...), line...), '\n')
	}
	return append(b, '\n')
}

// String describes the event, for use in an error.
func (e Event) String() string { return fmt.Sprintf("event %q: %.200q", e.Name, e.Data) }
