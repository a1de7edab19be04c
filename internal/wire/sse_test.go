package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// readAll decodes until an error, and copies the events.
func readAll(r io.Reader) ([]Event, error) {
	var out []Event
	for d := NewDecoder(r); ; {
		e, err := d.Next()
		if err != nil {
			return out, err
		}
		out = append(out, Event{e.Name, bytes.Clone(e.Data)})
	}
}

func TestDecoder(t *testing.T) {
	long := strings.Repeat("x", 10_000) // longer than the buffer
	for _, test := range []struct {
		name, in string
		want     []Event
		err      error
	}{
		{"nothing", "", nil, io.EOF},
		{"one event", "data: a\n\n", []Event{{"", []byte("a")}}, io.EOF},
		{"a name", "event: message_stop\ndata: {}\n\n", []Event{{"message_stop", []byte("{}")}}, io.EOF},
		{"several lines of data", "data: a\ndata: b\n\n", []Event{{"", []byte("a\nb")}}, io.EOF},
		{"only the first space is not data", "data:a\n\ndata:  b\n\n", []Event{{"", []byte("a")}, {"", []byte(" b")}}, io.EOF},
		{"CR LF", "event: e\r\ndata: a\r\n\r\n", []Event{{"e", []byte("a")}}, io.EOF},
		{"comments, ids and retry times", ": ping\n\nid: 7\nretry: 10\ndata: a\n\n", []Event{{"", []byte("a")}}, io.EOF},
		{"a name without data is not an event", "event: x\n\ndata: a\n\n", []Event{{"", []byte("a")}}, io.EOF},
		{"an event with empty data", "data:\n\n", []Event{{"", []byte{}}}, io.EOF},
		{"longer than the buffer", "data: " + long + "\n\ndata: b\n\n", []Event{{"", []byte(long)}, {"", []byte("b")}}, io.EOF},
		{"no empty line at the end", "data: a\n\ndata: b\n", []Event{{"", []byte("a")}, {"", []byte("b")}}, io.EOF},
		{"a byte order mark", "\ufeffdata: a\n\n", []Event{{"", []byte("a")}}, io.EOF},
		{"CR", "event: e\rdata: a\r\rdata: b\r\r", []Event{{"e", []byte("a")}, {"", []byte("b")}}, io.EOF},
		{"all line ends mixed", "data: a\rdata: b\ndata: c\r\n\r\ndata: d\n\r", []Event{{"", []byte("a\nb\nc")}, {"", []byte("d")}}, io.EOF},
		{"cut within a line", "data: a", nil, io.ErrUnexpectedEOF},
		{"cut within an object", `data: {"a":{}`, nil, io.ErrUnexpectedEOF},
		{"no line end after an object", "data: a\n\ndata: {\"b\":1}", []Event{{"", []byte("a")}, {"", []byte(`{"b":1}`)}}, io.EOF},
		{"no line end after the mark", "data: [DONE]", []Event{{"", []byte("[DONE]")}}, io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
				got, err := readAll(r)
				if diff := cmp.Diff(test.want, got); diff != "" || !errors.Is(err, test.err) {
					t.Errorf("error %v, want %v; events (-want +got):\n%s", err, test.err, diff)
				}
			}
		})
	}
}

// endless is a reader that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestDecoderLimit: a server that never ends a line or an event cannot fill the
// memory.
func TestDecoderLimit(t *testing.T) {
	if _, err := readAll(io.MultiReader(strings.NewReader("data: "), endless{})); !errors.Is(err, ErrEventTooLong) {
		t.Errorf("error %v, want ErrEventTooLong", err)
	}
	lines := io.MultiReader(iotest.DataErrReader(strings.NewReader(strings.Repeat("data: "+strings.Repeat("y", 1<<16)+"\n", 600))))
	if _, err := readAll(lines); !errors.Is(err, ErrEventTooLong) {
		t.Errorf("many lines: error %v, want ErrEventTooLong", err)
	}
}

// FuzzDecoder: events that are written and decoded again stay the same.
func FuzzDecoder(f *testing.F) {
	for _, seed := range []string{"data: a\n\n", "event: e\ndata: a\ndata: b\n\n", ":\n\n", "data\n\n", "\r\n\r\n", "event: x\r\ndata: {\"a\":1}\r\n\r\ndata: [DONE]\n\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		events, _ := readAll(bytes.NewReader(in))
		var out []byte
		for _, e := range events {
			out = e.AppendTo(out)
		}
		again, err := readAll(bytes.NewReader(out))
		if diff := cmp.Diff(events, again); diff != "" || err != io.EOF {
			t.Fatalf("%q was written as %q: error %v, events (-first +again):\n%s", in, out, err, diff)
		}
	})
}
