package textfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// open returns a Reader of text, which it compresses if zipped is set.
func open(t *testing.T, text string, zipped bool) *Reader {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(text)
	if zipped {
		b.Reset()
		z := gzip.NewWriter(&b)
		io.WriteString(z, text)
		z.Close()
	}
	l, err := NewReader(t.Context(), &b, "f")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	for _, zipped := range []bool{false, true} {
		var got []string
		l := open(t, "\ufeffa\r\n\n  \n"+long+"\nlast", zipped)
		err := l.Lines(func(text []byte) error { got = append(got, string(text)); return nil })
		if diff := cmp.Diff([]string{"a", long, "last"}, got); diff != "" || err != nil || l.Line() != 5 {
			t.Errorf("zipped %t: error %v, line %d, lines (-want +got):\n%s", zipped, err, l.Line(), diff)
		}
	}
}

func TestObjects(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		var got []string
		err := open(t, in, false).Objects(func(text []byte) error { got = append(got, string(text)); return nil })
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Objects of %q: error %v, texts (-want +got):\n%s", in, err, diff)
		}
	}
	f("{}\n\n{\"a\":1}", "{}", `{"a":1}`)
	f("\ufeff [ {},\n{\"a\":\n1} ] ", "{}", "{\"a\":\n1}")
	f("[]")
	f("")
}

func TestRecords(t *testing.T) {
	c := NewCSV(open(t, "a,b\n1,\"x, \"\"y\"\"\nz\"\n\n2\n3,\"4\n", false))
	names, err := c.Header("")
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" || err != nil {
		t.Fatalf("Header: error %v (-want +got):\n%s", err, diff)
	}
	var got, bad []string
	err = c.Records(len(names), func(e *Error) error { bad = append(bad, e.Error()); return nil }, func(fields [][]byte) error {
		got = append(got, string(bytes.Join(fields, []byte("|"))))
		if c.First() != 2 {
			t.Errorf("the record begins on line %d, want 2", c.First())
		}
		return nil
	})
	if diff := cmp.Diff([]string{"1|x, \"y\"\nz"}, got); diff != "" || err != nil {
		t.Errorf("error %v, records (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"f:5: 1 field, but the header has 2", "f:6: a quote is not closed"}, bad); diff != "" {
		t.Errorf("bad records (-want +got):\n%s", diff)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l, err := NewReader(ctx, strings.NewReader("a\n"), "f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("Next = %v, want %v", err, context.Canceled)
	}
}

func TestError(t *testing.T) {
	f := func(e Error, want string) {
		t.Helper()
		if got := e.Error(); got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
	}
	f(Error{File: "f", Line: 2, Field: "a", Reason: "is empty"}, "f:2: field a: is empty")
	f(Error{File: "f", Reason: "is empty"}, "f: is empty")
	f(Error{Field: "a", Reason: "is empty"}, "field a: is empty")
	if got := Quote(strings.Repeat("x", 50)); got != `"`+strings.Repeat("x", 40)+`"...` {
		t.Errorf("Quote of a long text = %s", got)
	}
}

// A list whose compressed data have a wrong checksum is damaged, not followed by text.
func TestObjectsChecksum(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, "[{}]") // a buffer returns no error
	z.Close()
	data := b.Bytes()
	data[len(data)-5] ^= 1 // of the checksum, which the length follows
	l, err := NewReader(t.Context(), bytes.NewReader(data), "a.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	err = l.Objects(func([]byte) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "gzip data is damaged") {
		t.Errorf("error %v, want one about the checksum", err)
	}
}
