package gateway

import (
	"context"
	"io"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
)

// defaultMemory is the memory that requests in progress may take, in bytes, if neither
// the configuration nor the Go runtime has a limit.
const defaultMemory = 1 << 30

// memoryMB returns the default of limits.memory_mb: half of the limit of the Go
// runtime (GOMEMLIMIT), or defaultMemory if that is lower.
func memoryMB() int {
	return int(max(min(defaultMemory, debug.SetMemoryLimit(-1)/2)>>20, 1))
}

// held is the memory that a request or one of its answers takes, out of the memory for
// all requests. It is estimated from the length and the structure of what was read.
// The zero value holds nothing.
type held struct {
	all   *atomic.Int64
	limit int64
	bytes int64
}

// set changes how many bytes are held. It reports whether there is room for them; if
// not, it changes nothing.
func (h *held) set(bytes int64) bool {
	more := bytes - h.bytes
	if more == 0 {
		return true
	}
	if all := h.all.Add(more); more > 0 && all > h.limit {
		h.all.Add(-more)
		return false
	}
	h.bytes = bytes
	return true
}

// fits reports whether there is room for that many bytes now.
func (h *held) fits(bytes int64) bool { return h.all.Load()+bytes-h.bytes <= h.limit }

// free gives everything back.
func (h *held) free() {
	if h.bytes != 0 {
		h.set(0)
	}
}

// hold returns an empty share of the memory for requests in progress.
func (x *exchange) hold() held {
	return held{all: &x.g.memory, limit: int64(x.routes.config.Limits.MemoryMB) << 20}
}

// noRoom returns the error for a request that would take more memory than there is. If
// it would even if it were alone, it makes no sense to try again.
func (x *exchange) noRoom(bytes int64) *wire.Error {
	x.g.metrics.rejected("memory")
	if bytes > x.held.limit {
		return &wire.Error{Status: http.StatusRequestEntityTooLarge, Type: "invalid_request_error", Code: "body_too_large",
			Message: "the body needs more memory than the gateway may use for all requests (limits.memory_mb)"}
	}
	x.reply.header().Set("Retry-After", "1")
	return &wire.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "out_of_memory", Message: "the requests in progress take the memory that the gateway may use: try again"}
}

// freeAnswer is how many bytes of an answer are not counted as held, because nearly
// all answers are shorter.
const freeAnswer = 64 << 10

// memoryPerAnswerByte is how many bytes of memory an answer takes at most for each of
// its bytes, when it is read and translated.
const memoryPerAnswerByte = 6

// holding counts the bytes that are read of a provider's answer as held, and fails if
// there is no room for them.
type holding struct {
	io.ReadCloser
	held *held
	read int64 // since the last reset
}

func (h *holding) Read(b []byte) (int, error) {
	n, err := h.ReadCloser.Read(b)
	if h.read += int64(n); h.read > freeAnswer && !h.held.set(memoryPerAnswerByte*h.read) {
		return n, errNoRoom
	}
	return n, err
}

// reset says that everything that was read is no longer needed.
func (h *holding) reset() {
	if h.read > freeAnswer {
		h.held.free()
	}
	h.read = 0
}

// errNoRoom means that an answer would take more memory than there is. No further
// candidate is called, because its answer would probably find no room either.
var errNoRoom = &provider.Error{Kind: provider.Denied, Status: http.StatusServiceUnavailable, Code: "out_of_memory", Ours: true,
	Message: "the answer takes more memory than the gateway may use for all requests (limits.memory_mb)", RetryAfter: time.Second}

// minRate is the lowest average rate at which the body of a request may arrive, in
// bytes a second.
const minRate = 16 << 10

// patience returns how long the header of a request may take, and how long its body
// may arrive at less than minRate.
func (c *LimitConfig) patience() time.Duration { return c.ReadTimeout / 3 }

// readBody reads the body of a request. Memory for it is taken as it arrives, whatever
// length the client has announced. The client must keep to minRate, so that those that
// stall do not hold memory and connections for long.
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
		case err == io.EOF || err == nil && int64(len(body)) == announced:
			memory := wire.RequestMemory(body)
			if !x.held.set(memory) {
				return nil, x.noRoom(memory)
			}
			return body, nil
		case err != nil:
			return nil, err
		}
		end := x.start.Add(min(limits.patience()+time.Duration(len(body))*time.Second/minRate, limits.ReadTimeout))
		_ = http.NewResponseController(x.reply.w).SetReadDeadline(end) // servers without deadlines, as in tests, are not limited
	}
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
