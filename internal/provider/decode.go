package provider

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is the most memory that the decompression of one answer may take for what
// it refers back to, in bytes. Servers are to use at most 8 MB (RFC 9659).
const maxWindow = 8 << 20

// decoded replaces the body of an answer that came compressed, although no call asks
// for that, by its content. Some servers and the proxies before them compress anyway.
func decoded(response *http.Response) error {
	codings := strings.Join(response.Header["Content-Encoding"], ",")
	if codings == "" {
		return nil
	}
	body := io.Reader(response.Body)
	closer := closers{response.Body}
	list := strings.Split(codings, ",")
	for i := len(list) - 1; i >= 0; i-- { // the last one was applied last
		coding := strings.ToLower(strings.TrimSpace(list[i]))
		if coding == "" || coding == "identity" {
			continue
		}
		open := openers[coding]
		if open == nil || len(closer) > 2 {
			return &Error{Kind: Server, Status: http.StatusBadGateway, Code: "unknown_encoding", Message: "the provider's answer is compressed in a way that was not asked for and cannot be read"}
		}
		made := &opened{from: body, open: open}
		body, closer = made, append(closer, made)
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{body, closer}
	response.ContentLength = -1
	response.Header.Del("Content-Encoding")
	response.Header.Del("Content-Length")
	return nil
}

// openers return readers of what is compressed with a coding of HTTP.
var openers = map[string]func(io.Reader) (io.Reader, error){
	"gzip":    func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"x-gzip":  func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"deflate": inflate,
	"zstd": func(r io.Reader) (io.Reader, error) {
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	},
}

// inflate reads zlib's format, as HTTP says, or else bare deflate, as some servers send
// it.
func inflate(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(r)
	head, _ := buffered.Peek(2)
	if len(head) == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		return zlib.NewReader(buffered)
	}
	return flate.NewReader(buffered), nil
}

// opened opens its reader with the first read, so that the wait for an answer is no
// longer than without compression. It may be closed while it is read.
type opened struct {
	from io.Reader
	open func(io.Reader) (io.Reader, error)

	mu  sync.Mutex
	r   io.Reader
	err error
}

func (o *opened) Read(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.r == nil && o.err == nil {
		r, err := o.open(o.from)
		switch err {
		case nil:
			o.r = r
		case io.EOF: // an empty body
			err = io.ErrUnexpectedEOF
		}
		o.err = err
	}
	if o.err != nil {
		return 0, o.err
	}
	return o.r.Read(b)
}

// Close frees what the decompression took.
func (o *opened) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = http.ErrBodyReadAfterClose
	if c, ok := o.r.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// closers closes all, the first one first: it is what a read of the others waits for.
type closers []io.Closer

func (c closers) Close() error {
	var first error
	for _, closer := range c {
		if err := closer.Close(); first == nil {
			first = err
		}
	}
	return first
}

var byteOrderMark = []byte("\ufeff")

// withoutMark returns an answer without a byte order mark.
func withoutMark(body []byte) []byte { return bytes.TrimPrefix(body, byteOrderMark) }
