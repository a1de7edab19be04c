package dashboard

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestRemember: what was read is shown for a time, and an error for a shorter one, unless it is
// that of someone who has gone.
func TestRemember(t *testing.T) {
	now := noon
	d := &Dashboard{Options: Options{Now: func() time.Time { return now }}}
	reads, failure := 0, error(nil)
	ask := func(ctx context.Context) (int, error) {
		return remember(d, ctx, "key", func(ctx context.Context) (int, error) {
			reads++
			return reads, errors.Join(failure, ctx.Err())
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i, step := range []struct {
		name   string
		ctx    context.Context
		fails  error
		passed time.Duration
		reads  int
		err    bool
	}{
		{"nothing is known", t.Context(), nil, 0, 1, false},
		{"it is known", t.Context(), errors.New("away"), cacheLife - 1, 1, false},
		{"it is old, and someone has gone", gone, errors.New("away"), 1, 2, true},
		{"the next one asks", t.Context(), errors.New("away"), 0, 3, true},
		{"the error is known", t.Context(), nil, failedLife - 1, 3, true},
		{"it is old", t.Context(), nil, 1, 4, false},
		{"it is known again", gone, nil, 0, 4, false},
	} {
		now, failure = now.Add(step.passed), step.fails
		if _, err := ask(step.ctx); reads != step.reads || (err != nil) != step.err {
			t.Errorf("step %d, %s: %d reads and %v, want %d and an error: %v", i, step.name, reads, err, step.reads, step.err)
		}
	}
}
