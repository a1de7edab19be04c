package gateway

import (
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
	held held
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
