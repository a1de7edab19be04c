package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/record"
)

// faulty is a recorder that fails or panics, if err or panics is set.
type faulty struct {
	err    error
	panics bool
}

func (f *faulty) Record(context.Context, *record.Attempt) error {
	if f.panics {
		panic("broken")
	}
	return f.err
}

// saysItself is an error of a recorder that logs its losses.
type saysItself struct{ error }

func (saysItself) Logged() bool { return true }

// recording returns a gateway that can only record, and its log.
func recording(r Recorder) (*Gateway, *bytes.Buffer) {
	log := new(bytes.Buffer)
	g := &Gateway{recorder: r, log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))}
	return g, log
}

// TestLosses: however many attempts are lost, the log has one line when that begins
// and one with their number when it has ended.
func TestLosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &faulty{}
		g, log := recording(r)
		attempts := func(n int) {
			for i := range n {
				g.record(&record.Attempt{RequestID: fmt.Sprint("r", i), Number: 1})
			}
		}
		attempts(3)
		r.err = errors.New("no space left")
		attempts(1000)
		for range 20 { // the recorder fails for every other attempt
			r.err = nil
			attempts(1)
			r.err = errors.New("no space left")
			attempts(1)
			time.Sleep(time.Second)
		}
		r.err, r.panics = nil, true
		attempts(5)
		r.panics = false
		attempts(10)
		time.Sleep(quietAfter)
		attempts(10)
		const began = `level=ERROR msg="an attempt was not recorded; further ones are only counted until the recorder works again" request_id=r0 attempt=1 error="%s"` + "\n"
		want := fmt.Sprintf(began, "no space left") + `level=WARN msg="attempts are recorded again" lost=1025` + "\n"
		if diff := cmp.Diff(want, log.String()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}

		log.Reset()
		r.panics = true
		attempts(7)
		g.losses.end(g.log)
		want = fmt.Sprintf(began, "the recorder panicked: string") + `level=WARN msg="attempts were not recorded" lost=7` + "\n"
		if diff := cmp.Diff(want, log.String()); diff != "" {
			t.Errorf("log until the end (-want +got):\n%s", diff)
		}
		g.losses.end(g.log)
		if got := strings.Count(log.String(), "\n"); got != 2 {
			t.Errorf("a second end logs a line:\n%s", log)
		}
	})
}

// TestLossesLoggedByRecorder: a recorder that logs its losses does not make the
// gateway log them once more.
func TestLossesLoggedByRecorder(t *testing.T) {
	g, log := recording(&faulty{err: fmt.Errorf("row lost: %w", saysItself{errors.New("no space left")})})
	for range 10 {
		g.record(&record.Attempt{})
	}
	g.losses.end(g.log)
	if log.Len() > 0 {
		t.Errorf("log %s, want none", log)
	}
}
