package simulate

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"
)

// conversation is a call in progress.
type conversation struct {
	p     *Provider
	s     *state
	r     *request
	a     *answer
	w     http.ResponseWriter
	ctx   context.Context
	total int // input tokens
	call  Call

	buf       []byte
	generated int // tokens whose text is in buf or was written
	sent      int // tokens whose text was written
	timer     *time.Timer
}

// format writes answers of one API.
type format interface {
	// begin appends what comes before the answer, fail an error in its place.
	begin(b []byte) []byte
	fail(b []byte, e *refusal) []byte
	// open, delta and close append events about part i of the answer.
	open(b []byte, i int) []byte
	delta(b []byte, i int, piece string) []byte
	close(b []byte, i int) []byte
	end(b []byte, u carrot.Usage) []byte
	// whole appends the answer to a request that is not streamed.
	whole(b []byte, u carrot.Usage) []byte
}

func (c *conversation) format() format {
	switch c.r.api {
	case wire.Messages:
		return &messages{r: c.r, a: c.a}
	case wire.Responses:
		return &responses{r: c.r, a: c.a}
	}
	return newChat(c.r, c.a)
}

// settle adds the call to the bill and the log.
func (c *conversation) settle() {
	c.s.charge(&c.call)
	if c.p.Log != nil {
		c.p.Log(c.call)
	}
}

// keep remembers a response, so that the client can continue from it as soon as it
// has it.
func (c *conversation) keep(u carrot.Usage) {
	if c.r.api == wire.Responses {
		c.p.responses.Put(hashText(0, c.a.id), c.total+u.Output)
	}
}

// broken settles an interrupted call, of which n tokens are billed.
func (c *conversation) broken(n int) {
	c.call.Cut, c.call.Usage = true, c.a.output(c.r, n)
	c.settle()
}

// fail handles a failure of the model. It writes a failure within a stream, and
// returns any other for the caller to write.
func (c *conversation) fail() *refusal {
	c.call.Failed, c.call.Status = true, c.a.fails.status
	if c.a.fails.status != http.StatusOK {
		c.call.ID = ""
		c.settle()
		return c.a.fails
	}
	c.header()
	f := c.format()
	c.buf = f.fail(f.begin(nil), c.a.fails)
	if c.send() != nil { // the client hung up before the failure
		c.call.Failed, c.a.parts = false, nil
		c.broken(0)
		return nil
	}
	c.settle()
	return nil
}

func (c *conversation) header() {
	h := c.w.Header()
	h["Content-Type"] = []string{"text/event-stream; charset=utf-8"}
	h["Cache-Control"] = []string{"no-cache"}
	c.w.WriteHeader(http.StatusOK)
}

// whole sends the answer in one piece.
func (c *conversation) whole() {
	start := time.Now()
	if !c.wait(c.a.generation()) {
		n := 0
		if elapsed := time.Since(start); elapsed >= c.a.first && c.a.per > 0 {
			n = 1 + int((elapsed-c.a.first)/c.a.per)
		}
		if time.Since(start) < c.a.first {
			c.a.parts = nil // no reasoning either
		}
		c.broken(n)
		return
	}
	c.call.Usage = c.a.output(c.r, c.a.tokens())
	body := c.format().whole(make([]byte, 0, 1024+len(c.a.parts[0].text)), c.call.Usage)
	if c.a.cutAt >= 0 {
		c.broken(c.a.cutAt)
		c.w.Header().Set("Content-Type", "application/json")
		c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		c.w.WriteHeader(http.StatusOK)
		c.buf = body[:len(body)/2]
		_ = c.send()
		panic(http.ErrAbortHandler)
	}
	c.keep(c.call.Usage)
	c.settle()
	writeJSON(c.w, http.StatusOK, body)
}

// stream sends the answer token by token.
func (c *conversation) stream() {
	f, n := c.format(), 0
	c.header()
	c.buf = f.begin(make([]byte, 0, bufferSize+1024))
	if c.send() != nil || !c.wait(c.a.first) {
		c.a.parts = nil
		c.broken(0)
		return
	}
	for i := range c.a.parts {
		c.buf = f.open(c.buf, i)
		for j := range c.a.parts[i].tokens() {
			if n == c.a.cutAt {
				c.broken(n)
				_ = c.send()
				panic(http.ErrAbortHandler)
			}
			if n > 0 && !c.pause() {
				c.broken(c.sent)
				return
			}
			n++
			if piece := c.a.parts[i].piece(j); piece != "" {
				c.buf = f.delta(c.buf, i, piece)
				c.generated = n
			}
		}
		c.buf = f.close(c.buf, i)
	}
	if c.generated = n; c.ctx.Err() != nil {
		c.broken(c.sent)
		return
	}
	usage := c.a.output(c.r, n)
	c.buf = f.end(c.buf, usage)
	c.keep(usage)
	before := c.sent
	if c.send() != nil {
		c.broken(before)
		return
	}
	c.call.Usage = usage
	c.settle()
}

// bufferSize is how many bytes are written at once if there are no delays.
const bufferSize = 8 << 10

// pause waits between two tokens. It reports whether the client is still connected.
func (c *conversation) pause() bool {
	if c.a.per > 0 {
		return c.send() == nil && c.wait(c.a.per)
	}
	if len(c.buf) < bufferSize {
		return true
	}
	return c.write() == nil && c.ctx.Err() == nil
}

// write writes the buffer.
func (c *conversation) write() error {
	_, err := c.w.Write(c.buf)
	c.buf = c.buf[:0]
	if err == nil {
		c.sent = c.generated
	}
	return err
}

// send writes the buffer and flushes the response.
func (c *conversation) send() error {
	err := c.write()
	if flusher, ok := c.w.(http.Flusher); ok && err == nil {
		flusher.Flush()
	}
	return err
}

// wait waits. It reports whether the client is still connected.
func (c *conversation) wait(d time.Duration) bool {
	if d <= 0 {
		return c.ctx.Err() == nil
	}
	if c.timer == nil {
		c.timer = time.NewTimer(d)
	} else {
		c.timer.Reset(d)
	}
	select {
	case <-c.timer.C:
		return true
	case <-c.ctx.Done():
		c.timer.Stop()
		return false
	}
}
