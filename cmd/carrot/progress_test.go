package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// progressOf returns what a command writes that works as work does, on a clock on which
// sleeping takes no time.
func progressOf(t *testing.T, terminal bool, work func(p *progress)) (text string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := showProgress(t.Context(), &sharedWriter{w: &out}, terminal, "reading mydata")
		work(p)
		p.stop()
		p.stop()
		text = out.String()
	})
	return text
}

// TestProgressLines: without a terminal, a command says what it does after two seconds
// and then every ten: what is done, left and to go, as far as it is known.
func TestProgressLines(t *testing.T) {
	for _, c := range []struct {
		name string
		work func(p *progress)
		want []string
	}{
		{"quick", func(p *progress) { time.Sleep(1900 * time.Millisecond) }, nil},
		{"silent", func(p *progress) { time.Sleep(23 * time.Second) },
			[]string{"after 2s: reading mydata", "after 12s: reading mydata", "after 22s: reading mydata"}},
		{"unknown length", func(p *progress) {
			time.Sleep(time.Second)
			p.say("routing, 5 prompts so far")
			time.Sleep(2 * time.Second)
		}, []string{"after 2s: routing, 5 prompts so far"}},
		{"count", func(p *progress) {
			count := p.count("embedding prompts")
			for done := range 101 {
				count(done, 100)
				time.Sleep(260 * time.Millisecond)
			}
		}, []string{
			"after 2s: embedding prompts: 7 of 100 done, 93 left, about 24s to go",
			"after 12s: embedding prompts: 46 of 100 done, 54 left, about 14s to go",
			"after 22s: embedding prompts: 84 of 100 done, 16 left, about 4s to go"}},
		{"steps, with time passing in one", func(p *progress) {
			p.steps("embedding prompts", 0, 4)
			time.Sleep(5 * time.Second)
			p.steps("fitting blend", 1, 4)
			time.Sleep(20 * time.Second)
		}, []string{
			"after 2s: embedding prompts: 0 of 4 steps done, 4 left",
			"after 12s: fitting blend: 1 of 4 steps done, 3 left, about 8s to go",
			"after 22s: fitting blend: 1 of 4 steps done, 3 left"}},
		{"share, resumed at a half", func(p *progress) {
			p.share("router 2 of 4", 0.5)
			time.Sleep(10 * time.Second)
			p.share("router 3 of 4", 0.6)
			time.Sleep(3 * time.Second)
			p.share("bootstrap", 1)
			time.Sleep(10 * time.Second)
		}, []string{
			"after 2s: router 2 of 4: 50% done, 50% left",
			"after 12s: router 3 of 4: 60% done, 40% left, about 38s to go",
			"after 22s: bootstrap"}},
		{"told late, and then other work", func(p *progress) {
			count := p.count("simulating")
			count(0, 8)
			time.Sleep(8 * time.Second)
			count(4, 8)
			count(3, 8)
			time.Sleep(5 * time.Second)
			p.count("drawing")(0, 8)
			time.Sleep(10 * time.Second)
		}, []string{
			"after 2s: simulating: 0 of 8 done, 8 left",
			"after 12s: simulating: 4 of 8 done, 4 left, about 4s to go",
			"after 22s: drawing: 0 of 8 done, 8 left"}},
		{"warning", func(p *progress) { p.warn("few queries") }, []string{"warning: few queries"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := ""
			for _, line := range c.want {
				want += "carrot: " + line + "\n"
			}
			if diff := cmp.Diff(want, progressOf(t, false, c.work)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestProgressOnTerminal: a line is redrawn, fits, and is gone before anything else is
// written.
func TestProgressOnTerminal(t *testing.T) {
	text := progressOf(t, true, func(p *progress) {
		p.steps("embedding prompts", 0, 4)
		time.Sleep(2100 * time.Millisecond)
		p.steps(strings.Repeat("ß", 100), 1, 4)
		time.Sleep(200 * time.Millisecond)
		p.warn("few queries")
		time.Sleep(200 * time.Millisecond)
	})
	first, second := "2s · 0% · embedding prompts", "2s · 25% · about 6s to go · "
	second += strings.Repeat("ß", terminalWidth-len([]rune(second))-1) + "…"
	clear := "\r" + strings.Repeat(" ", terminalWidth) + "\r"
	want := "\r" + first + "\r" + second + clear + "carrot: warning: few queries\n" + "\r" + second + clear
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestProgressEnds: nothing is written any more after a command was interrupted.
func TestProgressEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := showProgress(t.Context(), &sharedWriter{w: &out}, false, "reading mydata")
		p.end()
		time.Sleep(time.Minute)
		if out.Len() > 0 {
			t.Errorf("written after the end: %q", &out)
		}
	})
}

func TestIsTerminal(t *testing.T) {
	for _, w := range []io.Writer{&bytes.Buffer{}, &sharedWriter{w: io.Discard}} {
		if isTerminal(w) {
			t.Errorf("%T is taken for a terminal", w)
		}
	}
}

func TestRoughly(t *testing.T) {
	for d, want := range map[time.Duration]string{1400 * time.Millisecond: "1s", 59*time.Second + 900*time.Millisecond: "1m00s", 61 * time.Second: "1m01s",
		59*time.Minute + 59*time.Second: "59m59s", 3*time.Hour + 7*time.Minute: "3h07m"} {
		if got := roughly(d); got != want {
			t.Errorf("roughly(%v) = %s, want %s", d, got, want)
		}
	}
}
