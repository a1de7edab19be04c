package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a pseudo-terminal.
func openTerminal(t *testing.T) (control, terminal *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { control.Close() })
	if err := unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skip(err)
	}
	n, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skip(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return control, terminal
}

// TestColour: the chosen row, headings and warnings are coloured on a terminal, unless
// NO_COLOR is set or the terminal is dumb.
func TestColour(t *testing.T) {
	for _, tt := range []struct {
		name, term, noColour string
		want                 bool
	}{
		{"a terminal", "xterm-256color", "", true}, {"NO_COLOR", "xterm-256color", "1", false}, {"a dumb terminal", "dumb", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("TERM", tt.term)
			t.Setenv("NO_COLOR", tt.noColour)
			control, tty := openTerminal(t)
			text := make(chan string)
			go func() {
				var b strings.Builder
				io.Copy(&b, control) // ends with an error when the terminal is closed
				text <- b.String()
			}()
			if status := run(t.Context(), []string{"route", "What is the derivative of x^3?"}, terminal{strings.NewReader(""), tty, tty}); status != exitOK {
				t.Errorf("status %d", status)
			}
			terminal{err: tty}.warn("beware")
			tty.Close()
			select {
			case got := <-text:
				for _, part := range []string{"\x1b[1;32m→ ", "\x1b[1m", "carrot: \x1b[33mwarning:\x1b[0m beware"} {
					if strings.Contains(got, part) != tt.want {
						t.Errorf("%q: has %q: %v, want %v", got, part, !tt.want, tt.want)
					}
				}
				if !tt.want && strings.Contains(got, "\x1b") {
					t.Errorf("%q has escapes", got)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the terminal stays open")
			}
		})
	}
}
