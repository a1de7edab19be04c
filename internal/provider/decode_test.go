package provider

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/carrot-router/carrot/internal/wire"
)

// compressed returns text in a coding of HTTP.
func compressed(t *testing.T, coding, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "bare deflate":
		w, _ = flate.NewWriter(&b, flate.BestSpeed)
	case "zstd":
		w, _ = zstd.NewWriter(&b)
	default:
		return []byte(text)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// encodedBy returns an upstream whose every answer is this.
func encodedBy(t *testing.T, status int, coding string, body []byte) *Upstream {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if coding != "" {
			w.Header().Set("Content-Encoding", coding)
		}
		w.WriteHeader(status)
		w.Write(body)
	}))
	u := &Upstream{Name: "p", BaseURL: server.URL, Transport: NewTransport(time.Second)}
	t.Cleanup(func() {
		u.CloseIdleConnections()
		server.Close()
	})
	return u
}

// Some servers compress answers although no call asks for it, and some begin with a byte
// order mark.
func TestCompressedAnswers(t *testing.T) {
	text := `{"error":{"message":"` + strings.Repeat("no ", 100) + `","code":"c"}}`
	for _, test := range []struct{ as, coding string }{
		{"gzip", "gzip"}, {"gzip", "X-GZIP"}, {"deflate", "deflate"}, {"bare deflate", "deflate"}, {"zstd", "zstd"}, {"", "identity"}, {"gzip", "identity, gzip"},
	} {
		data := compressed(t, test.as, "\ufeff"+text)
		response, err := encodedBy(t, 200, test.coding, data).Do(t.Context(), Call{API: wire.Chat})
		if err != nil {
			t.Fatalf("%s: %v", test.coding, err)
		}
		if got, err := ReadAnswer(response, 1<<20); err != nil || string(got) != text {
			t.Errorf("%s: the answer is %q, %v", test.coding, got, err)
		}
		if _, err := encodedBy(t, 400, test.coding, data).Do(t.Context(), Call{API: wire.Chat}); err == nil || err.(*Error).Code != "c" {
			t.Errorf("%s: the error is %v", test.coding, err)
		}
	}
	twice := compressed(t, "gzip", string(compressed(t, "zstd", text)))
	response, err := encodedBy(t, 200, "zstd, gzip", twice).Do(t.Context(), Call{API: wire.Chat})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ReadAnswer(response, 1<<20); err != nil || string(got) != text {
		t.Errorf("compressed twice: %q, %v", got, err)
	}
}

func TestBadCompression(t *testing.T) {
	for _, test := range []struct {
		name, coding string
		body         []byte
		want         string
	}{
		{"an unknown coding", "br", []byte("x"), "cannot be read"},
		{"too many codings", "gzip, gzip, gzip", []byte("x"), "cannot be read"},
		{"not compressed at all", "gzip", []byte(`{"id":"c"}`), "failed"},
		{"nothing", "gzip", nil, "failed"},
		{"cut", "gzip", compressed(t, "gzip", strings.Repeat("text", 1000))[:30], "failed"},
		{"a bomb", "gzip", compressed(t, "gzip", strings.Repeat("\x00", 4<<20)), "longer than 1 MB"},
	} {
		response, err := encodedBy(t, 200, test.coding, test.body).Do(t.Context(), Call{API: wire.Chat})
		if err == nil {
			_, err = ReadAnswer(response, 1<<20)
			err = NetworkError(t.Context(), err)
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error with %q", test.name, err, test.want)
		}
	}
}

// A body may be closed while it is read, as the gateway does with streams that do not
// end.
func TestCloseWhileReading(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "zstd"} {
		hold := make(chan struct{})
		data := compressed(t, coding, strings.Repeat("some text ", 5000))
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", coding)
			w.Write(data[:len(data)/2])
			w.(http.Flusher).Flush()
			<-hold
		}))
		u := &Upstream{Name: "p", BaseURL: server.URL, Transport: NewTransport(time.Second)}
		response, err := u.Do(t.Context(), Call{API: wire.Chat})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			_, err := io.Copy(io.Discard, response.Body)
			ended <- err
		}()
		response.Body.Close()
		if err := <-ended; err == nil {
			t.Errorf("%s: half an answer is read without an error", coding)
		}
		close(hold)
		u.CloseIdleConnections()
		server.Close()
	}
}
