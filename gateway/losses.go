package gateway

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/carrot-router/carrot/record"
)

// quietAfter is how long a recorder must have lost nothing to be said to work again.
const quietAfter = 10 * time.Second

// losses logs that attempts are not recorded: once when that begins and once, with
// their number, when it has ended. A full disk would otherwise fill the log with a line
// for each request. The zero value works.
type losses struct {
	mu   sync.Mutex
	lost int       // since the line that said so
	last time.Time // the latest loss
}

// note takes the result of recording an attempt. Losses that the recorder logs itself
// are not counted.
func (l *losses) note(log *slog.Logger, a *record.Attempt, err error) {
	if err != nil {
		var itself interface{ Logged() bool }
		if errors.As(err, &itself) && itself.Logged() {
			return
		}
	}
	now := time.Now()
	l.mu.Lock()
	lost := l.lost
	switch {
	case err != nil:
		l.lost, l.last = l.lost+1, now
	case lost == 0 || now.Sub(l.last) < quietAfter:
		lost = 0 // nothing to say
	default:
		l.lost = 0
	}
	l.mu.Unlock()
	switch {
	case err != nil && lost == 0:
		log.Error("an attempt was not recorded; further ones are only counted until the recorder works again",
			"request_id", a.RequestID, "attempt", a.Number, "error", err)
	case err == nil && lost > 0:
		log.Warn("attempts are recorded again", "lost", lost)
	}
}

// end logs the losses of which the log does not know the number yet.
func (l *losses) end(log *slog.Logger) {
	l.mu.Lock()
	lost := l.lost
	l.lost = 0
	l.mu.Unlock()
	if lost > 0 {
		log.Warn("attempts were not recorded", "lost", lost)
	}
}
