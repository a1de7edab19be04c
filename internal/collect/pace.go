package collect

import (
	"context"
	"math"
	"sync"
	"time"
)

// pace limits the calls of a provider at a time. It begins with a few and allows more
// while calls succeed. After the provider has said that there are too many it allows
// half as many, grows back to just below where that was, and from there very slowly, and
// more slowly each time.
type pace struct {
	most float64

	mu      sync.Mutex
	limit   float64
	ceiling float64 // where there were too many, less one
	beyond  float64 // by how much each success raises the limit at the ceiling
	flight  int
	until   time.Time // no call begins before
	lowered time.Time
	moved   chan struct{}
}

const (
	paceFirst  = 4
	paceBeyond = 0.04
	paceCalm   = time.Second // after a reduction, further complaints are about calls from before it
)

func newPace(most int) *pace {
	return &pace{most: float64(most), limit: min(paceFirst, float64(most)), ceiling: float64(most), beyond: paceBeyond, moved: make(chan struct{})}
}

// begin waits until a call may begin.
func (p *pace) begin(ctx context.Context) error {
	for {
		p.mu.Lock()
		wait := time.Until(p.until)
		if wait <= 0 && float64(p.flight) < max(1, p.limit) {
			p.flight++
			p.mu.Unlock()
			return nil
		}
		moved := p.moved
		p.mu.Unlock()
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		case <-timer:
		}
	}
}

// end says that a call has ended.
func (p *pace) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flight--
	p.wake()
}

// good says that a call was answered.
func (p *pace) good() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit < p.ceiling {
		p.limit = min(p.ceiling, p.limit+1/max(1, p.limit))
	} else if p.limit = min(p.most, p.limit+p.beyond); p.limit >= p.ceiling+1 {
		p.ceiling++
	}
	p.wake()
}

// tooMany says that the provider has refused a call because there are too many, and how
// long it wants no further one.
func (p *pace) tooMany(wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.lowered) > paceCalm {
		p.ceiling = max(1, math.Floor(min(p.limit, float64(p.flight)))-1)
		p.limit, p.lowered = max(1, min(p.ceiling, p.limit/2)), now
		p.beyond /= 2
	}
	if until := now.Add(min(wait, longestWait)); until.After(p.until) {
		p.until = until
	}
	p.wake()
}

func (p *pace) wake() {
	close(p.moved)
	p.moved = make(chan struct{})
}
