package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// reply is the answer to a client, in the API that it called.
type reply struct {
	w       http.ResponseWriter
	api     wire.API
	id      string        // of the request
	timeout time.Duration // of one write, for clients that do not read

	status int
	sent   bool // the client has a part of the answer
}

// newReply begins a reply. It tells the client the request's id, also in the
// headers where SDKs look for it.
func newReply(w http.ResponseWriter, api wire.API, id string, timeout time.Duration) reply {
	ids, h := []string{id}, w.Header()
	h["X-Carrot-Request-Id"], h["X-Request-Id"], h["Request-Id"] = ids, ids, ids
	return reply{w: w, api: api, id: id, timeout: timeout, status: http.StatusOK}
}

// header is the header that the client will get.
func (r *reply) header() http.Header { return r.w.Header() }

// whole writes a whole answer.
func (r *reply) whole(status int, body []byte) {
	r.status = status
	h := r.w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	r.w.WriteHeader(status)
	r.deadline()
	if _, err := r.w.Write(body); err == nil {
		r.sent = true
	}
}

// failed answers with an error, in the envelope of the API.
func (r *reply) failed(e *wire.Error) {
	out := *e
	out.RequestID = r.id
	r.whole(e.Status, out.Body(r.api))
}

// begin sends the headers of a stream: from here on no other candidate can
// answer.
func (r *reply) begin() {
	h := r.w.Header()
	h["Content-Type"] = []string{"text/event-stream"}
	h["Cache-Control"] = []string{"no-cache"}
	h["X-Accel-Buffering"] = []string{"no"}
	h["Trailer"] = []string{"X-Carrot-Cost"}
	r.w.WriteHeader(http.StatusOK)
	r.sent = true
}

// write sends a part of a stream to the client at once, and reports whether that
// succeeded.
func (r *reply) write(part []byte) bool {
	r.deadline()
	_, err := r.w.Write(part)
	if err == nil {
		err = http.NewResponseController(r.w).Flush()
	}
	return err == nil || errors.Is(err, http.ErrNotSupported)
}

// deadline limits the next write, so that a client that does not read holds
// nothing up for long.
func (r *reply) deadline() {
	// A connection that cannot have a deadline works without one.
	_ = http.NewResponseController(r.w).SetWriteDeadline(time.Now().Add(r.timeout))
}
