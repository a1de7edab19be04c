package main

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// terminal holds the streams that a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// warn prints a warning.
func (t terminal) warn(text string) { fmt.Fprintf(t.err, "carrot: warning: %s\n", text) }

// checkedWriter remembers the first error of writing to w, such as that of a full
// disk, so that commands may print without looking at errors.
type checkedWriter struct {
	w   io.Writer
	err error
}

func (c *checkedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}

// sharedWriter lets a command and its progress write at the same time.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sharedWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// endingReader reads r until ctx is done, even while it waits for input. It is not
// safe for concurrent use.
type endingReader struct {
	ctx  context.Context
	r    io.Reader
	buf  []byte
	rest []byte // of buf: what was read and not returned
	err  error  // that came with it
}

func (e *endingReader) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	if len(e.rest) == 0 && e.err == nil {
		if e.buf == nil {
			e.buf = make([]byte, 1<<16)
		}
		read := make(chan struct{})
		var n int
		var err error
		go func() {
			defer close(read)
			n, err = e.r.Read(e.buf)
		}()
		select {
		case <-read:
			e.rest, e.err = e.buf[:n], err
		case <-e.ctx.Done():
			return 0, e.ctx.Err() // and never read into buf again
		}
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	if len(e.rest) > 0 {
		return n, nil
	}
	return n, e.err
}
