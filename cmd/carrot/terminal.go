package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/carrot-router/carrot/internal/phrase"
)

// terminal holds the streams that a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// warn prints a warning.
func (t terminal) warn(text string) {
	fmt.Fprintf(t.err, "carrot: %s %s\n", styled(t.err, "warning:", styleWarning), text)
}

// checkedWriter remembers the first error of writing to w, such as that of a full
// disk, so that commands may print without looking at errors. It also remembers what
// was written, to say so if the command is interrupted.
type checkedWriter struct {
	w io.Writer

	mu    sync.Mutex
	err   error
	lines int
	files []string
}

func (c *checkedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines += bytes.Count(p[:n], []byte("\n"))
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}

// failure returns the first error of writing.
func (c *checkedWriter) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// written says what was written.
func (c *checkedWriter) written() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var what []string
	if c.lines > 0 {
		what = append(what, phrase.Count(c.lines, "line")+" to standard output")
	}
	what = append(what, c.files...)
	if len(what) == 0 {
		return "nothing was written"
	}
	return "written: " + strings.Join(what, ", ")
}

// wrote notes that a file or folder was written whole, of which out, the standard
// output, has not been told.
func wrote(out io.Writer, path string) {
	if c, ok := out.(*checkedWriter); ok && path != "" && path != "-" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.files = append(c.files, path)
	}
}

// Styles of text on a terminal, as numbers of ANSI's SGR.
const (
	styleHeading = "1"
	styleChosen  = "1;32"
	styleWarning = "33"
)

// styled returns a text in a style if w is a terminal that shows colours.
func styled(w io.Writer, text, style string) string {
	if style == "" || !hasColour(w) {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// printStyled writes a text; on a terminal its lines have the style that style
// returns, or none.
func printStyled(w io.Writer, text string, style func(line string) string) error {
	if !hasColour(w) {
		_, err := io.WriteString(w, text)
		return err
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		content := strings.TrimSuffix(line, "\n")
		b.WriteString(styled(w, content, style(content)))
		b.WriteString(line[len(content):])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// headed returns a style in which the first line that begins with one of the texts,
// after spaces, is a heading.
func headed(beginnings ...string) func(line string) string {
	return func(line string) string {
		for _, beginning := range beginnings {
			if strings.HasPrefix(strings.TrimLeft(line, " "), beginning) {
				return styleHeading
			}
		}
		return ""
	}
}

// hasColour reports whether w is a terminal that shows colours and whose user has not
// asked for none (no-color.org).
func hasColour(w io.Writer) bool {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" && os.Getenv("WT_SESSION") == "" {
		return false
	}
	return isTerminal(w)
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
