package gateway

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// pings tell a client that waits for the first content of a stream that its connection
// lives. They are no content: until that arrives, other candidates are tried. Only the
// headers of the answer are sent with the first ping, so those that are known later
// become trailers.
type pings struct {
	r     *reply
	every time.Duration
	ping  []byte
	later http.Header // the headers of the answer; the ResponseWriter has those that are known before the first ping

	mu    sync.Mutex // held while a ping is sent
	timer *time.Timer
	sent  bool // at least one
	over  bool
}

// startPings sends a ping at the given interval until something else is sent. The
// caller must call close before its handler returns.
func (r *reply) startPings(every time.Duration) {
	ping := []byte(": ping\n\n")
	if r.api == wire.Messages {
		ping = wire.Event{Name: "ping", Data: []byte(`{"type": "ping"}`)}.AppendTo(nil)
	}
	p := &pings{r: r, every: every, ping: ping, later: r.w.Header().Clone()}
	r.pings = p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(every, p.send)
}

// send sends one ping, and the headers before the first one.
func (p *pings) send() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	if !p.sent {
		p.sent = true
		p.r.streamHeaders()
	}
	if p.over = !p.r.write(p.ping); !p.over {
		p.timer.Reset(p.every)
	}
}

// stop ends the pings. It reports whether any was sent. A nil pings sends none.
func (p *pings) stop() (sent bool) {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.timer.Stop()
	return p.sent
}

// stopPings ends the pings, before something else is sent. It reports whether the
// headers were sent with one of them.
func (r *reply) stopPings() bool {
	sent := r.pings.stop()
	if r.pings != nil && !sent {
		maps.Copy(r.w.Header(), r.pings.later)
	}
	return sent
}

// close ends the reply: it sends the headers as trailers that could not be sent before
// the first ping.
func (r *reply) close() {
	if r.pings == nil {
		return
	}
	sent, h := r.pings.stop(), r.w.Header()
	for name, values := range r.pings.later {
		switch {
		case name == costTrailer: // which every stream announces as a trailer
			h[name] = values
		case sent && !slices.Equal(h[name], values):
			h[http.TrailerPrefix+name] = values
		}
	}
}

// late writes an error as the last events of a stream that has only pings.
func (r *reply) late(status int, events ...wire.Event) {
	r.status = status
	var out []byte
	for _, e := range events {
		out = e.AppendTo(out)
	}
	r.sent = r.write(out)
}

// lateBody is late for an error in the form of the API, such as a provider's own.
func (r *reply) lateBody(status int, body []byte) {
	var line bytes.Buffer
	if json.Compact(&line, body) != nil { // impossible
		line.Reset()
	}
	e := wire.Event{Data: line.Bytes()}
	switch r.api {
	case wire.Messages:
		e.Name = "error"
	case wire.Responses: // whose events have the fields of the error themselves
		if inner := wire.ReadError(body); inner != nil {
			inner.RequestID = r.id
			r.late(status, inner.Events(r.api, 0, "", "")...)
			return
		}
	}
	r.late(status, e)
}
