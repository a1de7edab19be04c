package gateway

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/carrot-router/carrot/internal/wire"
)

// minRate is the lowest average rate at which the body of a request may arrive, in
// bytes a second.
const minRate = 16 << 10

// patience returns how long the header of a request may take, and how long its body
// may arrive at less than minRate.
func (c *LimitConfig) patience() time.Duration { return c.ReadTimeout / 3 }

// readBody reads the body of a request, and decompresses it. Memory for it is taken as
// it arrives, whatever length the client has announced. The client must keep to
// minRate, so that those that stall do not hold memory and connections for long.
func (x *exchange) readBody() ([]byte, error) {
	limits := &x.routes.config.Limits
	limit := limits.BodyMB << 20
	announced := x.r.ContentLength
	if announced > int64(limit) {
		return nil, &http.MaxBytesError{Limit: int64(limit)}
	}
	if least := wire.LeastMemory(announced); !x.held.fits(least) { // refused before it is sent
		return nil, x.noRoom(least)
	}
	source := http.MaxBytesReader(x.reply.w, x.r.Body, int64(limit))
	var compressed *counted // nil: the body is not compressed
	if encoding := strings.ToLower(strings.Join(x.r.Header["Content-Encoding"], ",")); encoding != "" && encoding != "identity" {
		compressed = &counted{Reader: source}
		content, err := decompressed(encoding, compressed)
		if err != nil {
			return nil, err
		}
		defer content.Close()
		source, announced = content, -1
	}
	size := 4 << 10
	if announced >= 0 {
		size = int(min(announced, 64<<10))
	}
	body := make([]byte, 0, size)
	for {
		if len(body) == cap(body) && int64(len(body)) != announced {
			size := min(2*cap(body), limit)
			if announced > 0 {
				size = min(size, int(announced))
			}
			size = max(size, len(body)+1) // to find out whether the body ends here
			if !x.held.set(int64(size)) {
				return nil, x.noRoom(int64(size))
			}
			body = append(make([]byte, 0, size), body...)
		}
		n, err := source.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > limit:
			return nil, &http.MaxBytesError{Limit: int64(limit)}
		case compressed != nil && len(body) > 1<<20 && int64(len(body)) > maxRatio*compressed.n:
			return nil, &wire.Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Code: "body_too_compressed",
				Message: fmt.Sprintf("the body is compressed to less than 1/%d, more than any conversation: send it without compression", maxRatio)}
		case err == io.EOF || err == nil && int64(len(body)) == announced:
			memory := wire.RequestMemory(body)
			if !x.held.set(memory) {
				return nil, x.noRoom(memory)
			}
			return body, nil
		case err != nil:
			return nil, err
		}
		arrived := int64(len(body))
		if compressed != nil {
			if arrived = compressed.n; compressed.ended { // the server has lifted its deadline, and watches the connection from now on
				continue
			}
		}
		end := x.start.Add(min(limits.patience()+time.Duration(arrived)*time.Second/minRate, limits.ReadTimeout))
		_ = http.NewResponseController(x.reply.w).SetReadDeadline(end) // servers without deadlines, as in tests, are not limited
	}
}

// maxRatio is the most bytes that a compressed body may become for each of its bytes,
// beyond the first MiB.
const maxRatio = 200

// counted counts the bytes that have arrived.
type counted struct {
	io.Reader
	n     int64
	ended bool // everything has arrived
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += int64(n)
	c.ended = c.ended || err == io.EOF
	return n, err
}

// decompressed returns the content of a body with an encoding.
func decompressed(encoding string, body io.Reader) (io.ReadCloser, error) {
	switch encoding {
	case "gzip", "x-gzip":
		return gzip.NewReader(body)
	case "zstd":
		r, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, err
		}
		return r.IOReadCloser(), nil
	}
	return nil, &wire.Error{Status: http.StatusUnsupportedMediaType, Type: "invalid_request_error", Code: "unsupported_encoding",
		Message: "the body has an encoding that is not supported: send it with Content-Encoding gzip or zstd, or without compression"}
}

// unreadable returns the error for a body that could not be read.
func (x *exchange) unreadable(err error) error {
	if refused, ok := errors.AsType[*wire.Error](err); ok {
		return refused
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		x.g.metrics.rejected("size")
		return &wire.Error{Status: http.StatusRequestEntityTooLarge, Type: "invalid_request_error", Code: "body_too_large",
			Message: fmt.Sprintf("the body is longer than %d MB, the gateway's limit (limits.body_mb)", tooLarge.Limit>>20)}
	}
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		x.g.metrics.rejected("slow")
		return &wire.Error{Status: http.StatusRequestTimeout, Type: "invalid_request_error", Code: "body_too_slow", Message: "the body of the request arrives too slowly"}
	}
	return invalid("", "the body could not be read: %v", err)
}

// connectionKey is the key of a request's context whose value is its *connection.
type connectionKey struct{}

// received says that the request was read as a whole, so that its connection is not
// closed in favour of others.
func received(ctx context.Context) {
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		c.waits.Store(0)
	}
}
