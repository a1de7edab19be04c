package provider

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"sync/atomic"
	"time"
)

// watch limits how long a stream may be silent, and how long it may be without content.
// A timer looks from time to time how long the stream has been waited for, so that
// reading costs no more than two atomic writes.
type watch struct {
	limits Timeouts
	begun  time.Time
	cancel func(error)
	body   io.ReadCloser
	timer  *time.Timer // nil: nothing is limited

	since    atomic.Int64 // when the reader began to wait, in nanoseconds from begun; 0: it does not wait
	alive    atomic.Bool  // something has arrived
	answered atomic.Bool  // the first content has arrived
	over     atomic.Bool
}

// start begins to watch a call that was made now.
func (w *watch) start(limits Timeouts, cancel func(error)) {
	w.limits, w.begun, w.cancel = limits, time.Now(), cancel
	first := time.Duration(math.MaxInt64)
	for _, limit := range []time.Duration{limits.FirstToken, limits.Thinking, limits.Idle} {
		if limit > 0 {
			first = min(first, limit)
		}
	}
	if first < math.MaxInt64 {
		w.timer = time.AfterFunc(math.MaxInt64, w.look) // which uses the timer, so it is set first
		w.timer.Reset(first)
	}
}

// stop ends the watch.
func (w *watch) stop() {
	if w.timer != nil {
		w.over.Store(true)
		w.timer.Stop()
	}
}

// look ends the call if a limit is exceeded, and looks again when the next one could be.
func (w *watch) look() {
	now := time.Since(w.begun)
	next := time.Duration(math.MaxInt64)
	exceeded := func(limit, since time.Duration, code, said string) bool {
		if limit <= 0 {
			return false
		}
		if left := since + limit - now; left > 0 {
			next = min(next, left)
			return false
		}
		w.cancel(&Error{Kind: Timeout, Status: http.StatusGatewayTimeout, Code: code, Message: fmt.Sprintf(said, limit)})
		return true
	}
	since := now
	if w.alive.Load() {
		if waits := w.since.Load(); waits > 0 {
			since = time.Duration(waits)
		}
	} else if exceeded(w.limits.FirstToken, 0, "first_token_timeout", "nothing arrived within %v") {
		return
	}
	if exceeded(w.limits.Idle, since, "idle_timeout", "nothing arrived for %v") ||
		!w.answered.Load() && exceeded(w.limits.Thinking, 0, "thinking_timeout", "no content arrived within %v") {
		return
	}
	if !w.over.Load() && next < math.MaxInt64 {
		w.timer.Reset(next)
	}
}

// watched is the body of an answer. What arrives is a sign of life.
type watched struct{ w *watch }

func (b watched) Read(p []byte) (int, error) {
	b.w.since.Store(max(int64(time.Since(b.w.begun)), 1))
	n, err := b.w.body.Read(p)
	b.w.since.Store(0)
	if n > 0 && !b.w.alive.Load() {
		b.w.alive.Store(true)
	}
	return n, err
}

func (b watched) Close() error { return b.w.body.Close() }
