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

// isDone reports whether data end a stream of chat completions. Some servers add white
// space.
func isDone(data []byte) bool {
	return len(data) < 64 && string(bytes.TrimSpace(data)) == Done
}

// IsDone reports whether the event ends a stream of chat completions.
func (e Event) IsDone() bool { return isDone(e.Data) }

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

	afterCR bool // the last line ended with CR, so that LF belongs to its end
}

// NewDecoder returns a decoder that reads from r.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{r: bufio.NewReaderSize(r, 4096)} }

// Next returns the next event that has data. It skips comments, ids and retry
// times. The event's data are valid until the next call. At the end, the error is
// io.EOF, or io.ErrUnexpectedEOF if the stream was cut. A last event is returned
// even without its empty line or its line end, which some servers omit, if its data
// are whole.
func (d *Decoder) Next() (Event, error) {
	var e Event
	d.data = d.data[:0]
	seen := false
	for {
		line, err := d.readLine()
		if err == io.EOF && len(line) > 0 && wholeData(line) { // some servers omit the last line end
			err = nil
		}
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

// readLine returns a line without its end, which is LF, CR LF or CR. At the end of the
// stream it returns what follows the last line end.
func (d *Decoder) readLine() ([]byte, error) {
	d.line = d.line[:0]
	for {
		if d.r.Buffered() == 0 {
			if _, err := d.r.Peek(1); err != nil {
				return d.line, err
			}
		}
		part, _ := d.r.Peek(d.r.Buffered()) // does not read, so it cannot fail
		if d.afterCR {
			if d.afterCR = false; part[0] == '\n' {
				_, _ = d.r.Discard(1)
				continue
			}
		}
		end := bytes.IndexByte(part, '\n')
		if end < 0 {
			end = len(part)
		}
		if cr := bytes.IndexByte(part[:end], '\r'); cr >= 0 {
			end, d.afterCR = cr, true
		}
		whole := end < len(part)
		_, _ = d.r.Discard(min(end+1, len(part)))
		if whole && len(d.line) == 0 {
			return part[:end], nil // most lines fit into the buffer
		}
		if d.line = append(d.line, part[:end]...); whole {
			return d.line, nil
		}
		if len(d.line) > maxEvent {
			return nil, ErrEventTooLong
		}
	}
}

// wholeData reports whether a last line without a line end is data that were not cut.
func wholeData(line []byte) bool {
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	data = bytes.TrimSpace(data)
	return ok && (string(data) == Done || len(data) > 0 && data[len(data)-1] == '}' && valid(data))
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
