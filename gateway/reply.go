package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// reply writes the answer to a client, in the API that it called.
type reply struct {
	w       http.ResponseWriter
	api     wire.API
	id      string        // of the request
	timeout time.Duration // for each write, in case the client does not read

	status int
	sent   bool   // the client has received part of the answer, and not only pings
	tail   []byte // the end of the answer, which is written once the attempt is recorded
	pings  *pings // nil: none are sent
}

// costTrailer is the header with the cost of the answer, a trailer of streams.
const costTrailer = "X-Carrot-Cost"

// newReply begins a reply. It sends the id of the request in the gateway's own header
// and in those that the providers' SDKs read.
func newReply(w http.ResponseWriter, api wire.API, id string, timeout time.Duration) reply {
	ids, h := []string{id}, w.Header()
	h["X-Carrot-Request-Id"], h["X-Request-Id"], h["Request-Id"] = ids, ids, ids
	return reply{w: w, api: api, id: id, timeout: timeout, status: http.StatusOK}
}

// header returns the headers that will be sent, some of them as trailers if a ping was
// sent.
func (r *reply) header() http.Header {
	if r.pings != nil {
		return r.pings.later
	}
	return r.w.Header()
}

// whole writes a complete answer.
func (r *reply) whole(status int, body []byte) {
	r.hold(status, body)
	r.release()
}

// hold writes a complete answer, except for its end, which release writes.
func (r *reply) hold(status int, body []byte) {
	if r.stopPings() { // as only streams have them, it is an error
		r.lateBody(status, body)
		return
	}
	r.status = status
	h := r.w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	r.w.WriteHeader(status)
	r.deadline()
	end := max(len(body)-1, 0)
	if _, err := r.w.Write(body[:end]); err == nil {
		r.sent, r.tail = true, body[end:]
	}
}

// release writes the end of an answer. Only when the client has it may it count on the
// attempt being recorded.
func (r *reply) release() {
	if len(r.tail) > 0 {
		r.deadline()
		_, _ = r.w.Write(r.tail) // the client has hung up: the attempt is recorded as served
		r.tail = nil
	}
}

// failed writes an error as the answer, in the form of the API.
func (r *reply) failed(e *wire.Error) {
	out := *e
	out.RequestID = r.id
	if r.stopPings() {
		r.late(e.Status, out.Events(r.api, 0, "", "")...)
		return
	}
	r.whole(e.Status, out.Body(r.api))
}

// begin sends the headers of a stream, unless a ping was sent. After that, no other
// candidate can answer.
func (r *reply) begin() {
	if !r.stopPings() {
		r.streamHeaders()
	}
	r.sent = true
}

// streamHeaders sends the headers of a stream.
func (r *reply) streamHeaders() {
	h := r.w.Header()
	h["Content-Type"] = []string{"text/event-stream"}
	h["Cache-Control"] = []string{"no-cache"}
	h["X-Accel-Buffering"] = []string{"no"}
	h["Trailer"] = []string{costTrailer}
	r.w.WriteHeader(http.StatusOK)
}

// write sends part of a stream to the client immediately. It reports whether that
// succeeded.
func (r *reply) write(part []byte) bool {
	r.deadline()
	_, err := r.w.Write(part)
	if err == nil {
		err = http.NewResponseController(r.w).Flush()
	}
	return err == nil || errors.Is(err, http.ErrNotSupported)
}

// deadline limits the next write, so that a client that does not read cannot block it
// for long.
func (r *reply) deadline() {
	// Writers without deadlines, as in tests, are not limited.
	_ = http.NewResponseController(r.w).SetWriteDeadline(time.Now().Add(r.timeout))
}
