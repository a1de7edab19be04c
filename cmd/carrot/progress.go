package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress shows what a command is doing, in one line, on a terminal only and
// from the third second on. The zero value shows nothing.
type progress struct {
	mu      sync.Mutex
	out     io.Writer
	started time.Time
	shown   time.Time
	width   int
}

// newProgress shows progress on w if it is a terminal.
func newProgress(w io.Writer) *progress {
	p := &progress{started: time.Now()}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.out = w
		}
	}
	return p
}

// say shows what is being done.
func (p *progress) say(what string) {
	p.show(func() string { return what }, true)
}

// count returns a function that shows how many of a number of things are done.
func (p *progress) count(what string) func(done, total int) {
	return func(done, total int) {
		p.show(func() string { return bar(what, done, total) }, false)
	}
}

// bar draws how many of total are done.
func bar(what string, done, total int) string {
	const width = 24
	filled := width * done / max(total, 1)
	cells := make([]byte, width)
	for i := range cells {
		cells[i] = '.'
		if i < filled {
			cells[i] = '#'
		}
	}
	return fmt.Sprintf("%s [%s] %d of %d", what, cells, done, total)
}

func (p *progress) show(text func() string, now bool) {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.started) < 2*time.Second || !now && time.Since(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown = time.Now()
	line := fmt.Sprintf("%s (%s)", text(), time.Since(p.started).Round(time.Second))
	fmt.Fprintf(p.out, "\r%-*s", p.width, line)
	p.width = len(line)
}

// done clears the line.
func (p *progress) done() {
	if p.out == nil || p.width == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "\r%*s\r", p.width, "")
	p.width = 0
}
