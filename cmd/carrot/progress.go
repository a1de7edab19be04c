package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// progressAfter is how long a command may take without saying what it does.
	progressAfter = 2 * time.Second
	// progressEvery is the time between two lines where there is no terminal.
	progressEvery = 10 * time.Second
	// redrawEvery is the time between two states of the line on a terminal, and
	// terminalWidth its greatest length: a line that is wrapped cannot be redrawn.
	redrawEvery   = 200 * time.Millisecond
	terminalWidth = 79
)

// progress says what a command is doing if it takes over two seconds: on a terminal in
// one line that is redrawn, elsewhere in a line every ten seconds. Its methods may be
// called concurrently.
type progress struct {
	out      io.Writer
	terminal bool
	started  time.Time
	end      context.CancelFunc
	ended    sync.WaitGroup

	mu    sync.Mutex
	work  work
	width int // of the line on the terminal
}

// work is what is being done, and how much of it is done.
type work struct {
	doing       string
	done, total float64 // total is 0 if nobody knows
	unit        string  // "", " steps" or "%"
	at          time.Time
	first       float64   // done, when counting began
	began       time.Time // when that was
}

// startProgress begins to show on w what is being done, until it is stopped or ctx is
// done.
func startProgress(ctx context.Context, w io.Writer, doing string) *progress {
	return showProgress(ctx, w, isTerminal(w), doing)
}

// showProgress is startProgress where it is known whether w is a terminal.
func showProgress(ctx context.Context, w io.Writer, terminal bool, doing string) *progress {
	ctx, end := context.WithCancel(ctx)
	p := &progress{out: w, terminal: terminal, started: time.Now(), end: end, work: work{doing: doing}}
	p.ended.Go(func() { p.run(ctx) })
	return p
}

func (p *progress) run(ctx context.Context) {
	every := progressEvery
	if p.terminal {
		every = redrawEvery
	}
	for next := time.NewTimer(progressAfter); ; next.Reset(every) {
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
			p.show()
		}
	}
}

// say sets what is being done, of which the length is unknown.
func (p *progress) say(doing string) { p.set(doing, 0, 0, "") }

// count returns a function that sets how many of a number of things are done.
func (p *progress) count(doing string) func(done, total int) {
	return func(done, total int) { p.set(doing, float64(done), float64(total), "") }
}

// steps sets what is being done, and how many of the steps before it are.
func (p *progress) steps(doing string, done, steps int) {
	p.set(doing, float64(done), float64(steps), " steps")
}

// share sets what is being done, and the share of all that is to do.
func (p *progress) share(doing string, share float64) { p.set(doing, 100*share, 100, "%") }

func (p *progress) set(doing string, done, total float64, unit string) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	w, last := work{doing, done, total, unit, now, p.work.first, p.work.began}, p.work
	switch {
	case total != last.total || unit != last.unit || done < last.done/2: // other work
		w.first, w.began = done, now
	case done < last.done: // told late by another goroutine
		return
	}
	p.work = w
}

// show writes the line.
func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	passed := roughly(now.Sub(p.started))
	if !p.terminal {
		fmt.Fprintf(p.out, "carrot: after %s: %s\n", passed, p.work.line(now))
		return
	}
	line := passed + " · " + p.work.short(now)
	if n := utf8.RuneCountInString(line); n > terminalWidth {
		line = string([]rune(line)[:terminalWidth-1]) + "…"
	}
	fmt.Fprintf(p.out, "\r%-*s", p.width, line)
	p.width = utf8.RuneCountInString(line)
}

// line says what is being done, and then what is done, left and to go.
func (w *work) line(now time.Time) string {
	if w.total == 0 || w.done >= w.total {
		return w.doing
	}
	var text string
	if w.unit == "%" {
		text = fmt.Sprintf("%s: %.0f%% done, %.0f%% left", w.doing, w.done, w.total-w.done)
	} else {
		text = fmt.Sprintf("%s: %.0f of %.0f%s done, %.0f left", w.doing, w.done, w.total, w.unit, w.total-w.done)
	}
	if eta := w.eta(now); eta != "" {
		text += ", about " + eta + " to go"
	}
	return text
}

// short says the same in fewer words, with what is most important first.
func (w *work) short(now time.Time) string {
	if w.total == 0 || w.done >= w.total {
		return w.doing
	}
	text := fmt.Sprintf("%.0f%%", 100*w.done/w.total)
	if eta := w.eta(now); eta != "" {
		text += " · about " + eta + " to go"
	}
	return text + " · " + w.doing
}

// eta estimates how long the rest takes, from how long what is done took. It is empty
// while that says little.
func (w *work) eta(now time.Time) string {
	took := w.at.Sub(w.began)
	if w.done == w.first || took < progressAfter/2 {
		return ""
	}
	left := time.Duration(float64(took)*(w.total-w.done)/(w.done-w.first)) - now.Sub(w.at)
	if left < time.Second {
		return "" // it takes longer than was thought
	}
	return roughly(left)
}

// roughly writes a duration with the precision that matters.
func roughly(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// warn prints a warning.
func (p *progress) warn(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	terminal{err: p.out}.warn(text)
}

// clear removes the line from the terminal. The caller holds mu.
func (p *progress) clear() {
	if p.width > 0 {
		fmt.Fprintf(p.out, "\r%*s\r", p.width, "")
		p.width = 0
	}
}

// stop ends the progress and clears the line. It may be called twice.
func (p *progress) stop() {
	p.end()
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	switch wrapped := w.(type) {
	case *sharedWriter:
		w = wrapped.w
	case *checkedWriter:
		w = wrapped.w
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
