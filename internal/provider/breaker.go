package provider

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Breakers holds one circuit breaker for each model of each provider. They are
// found by the names of both, so that they survive a change of configuration. A
// nil Breakers has none. It is safe for concurrent use as long as its exported
// fields are not changed.
type Breakers struct {
	// Failures in a row open a breaker. 0 counts as 1.
	Failures int
	// Open is how long a breaker stays open before one call is tried. 0 means 60
	// seconds.
	Open time.Duration
	// Changed, if not nil, is called when a breaker changes its state. It must
	// be safe for concurrent use and must not use the Breakers.
	Changed func(provider, model string, from, to BreakerState)

	notClosed atomic.Int64 // how many are open or half open

	mu sync.Mutex
	of map[breakerKey]*gobreaker.TwoStepCircuitBreaker[struct{}]
}

type breakerKey struct{ provider, model string }

// BreakerState is the state of a circuit breaker.
type BreakerState int

// The states of a circuit breaker.
const (
	Closed   = BreakerState(gobreaker.StateClosed)   // calls are made
	HalfOpen = BreakerState(gobreaker.StateHalfOpen) // one call is tried
	Open     = BreakerState(gobreaker.StateOpen)     // no calls are made
)

// String returns "closed", "half-open" or "open".
func (s BreakerState) String() string { return gobreaker.State(s).String() }

// State returns the state of a target's breaker.
func (b *Breakers) State(t Target) BreakerState {
	if b == nil {
		return Closed
	}
	return BreakerState(b.get(t).State())
}

// IsOpen reports whether calls of a target are refused at the moment.
func (b *Breakers) IsOpen(t Target) bool {
	return b != nil && b.notClosed.Load() > 0 && b.State(t) == Open
}

// allow reports whether a target may be called. If so, done must be called with
// the result.
func (b *Breakers) allow(t Target) (done func(error), ok bool) {
	if b == nil {
		return func(error) {}, true
	}
	done, err := b.get(t).Allow()
	return done, err == nil
}

func (b *Breakers) get(t Target) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	key := breakerKey{t.Upstream.Name, t.Model}
	b.mu.Lock()
	defer b.mu.Unlock()
	if breaker := b.of[key]; breaker != nil {
		return breaker
	}
	failures := uint32(b.Failures)
	breaker := gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:     b.Open,
		IsExcluded:  notTheirs,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= failures },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch gobreaker.StateClosed {
			case from:
				b.notClosed.Add(1)
			case to:
				b.notClosed.Add(-1)
			}
			if b.Changed != nil {
				b.Changed(key.provider, key.model, BreakerState(from), BreakerState(to))
			}
		},
	})
	if b.of == nil {
		b.of = map[breakerKey]*gobreaker.TwoStepCircuitBreaker[struct{}]{}
	}
	b.of[key] = breaker
	return breaker
}

// breakerError returns what a circuit breaker is told about a call. Only errors
// that show that the provider does not work count against it.
func breakerError(e *Error) error {
	if e == nil {
		return nil
	}
	switch e.Kind {
	case Network, Server, Timeout, RateLimited, Canceled, Denied:
		return e
	}
	return nil
}

// notTheirs reports whether an error is not the provider's doing, so that it
// counts neither for nor against it: the client has hung up, the call was not
// made, or this program is stopping or at fault.
func notTheirs(err error) bool {
	e, ok := err.(*Error)
	return ok && (e.Kind == Canceled || e.Kind == Denied || e.Ours)
}

// Budget limits retries to a share of the requests, so that they do not make an
// outage worse. Each request adds the share to the budget, and each retry takes 1
// from it. A nil Budget has no limit.
type Budget struct {
	mu    sync.Mutex
	share float64
	left  float64
}

// burst is the most that a budget holds, and what it starts with.
const burst = 10

// NewBudget returns a budget that lets a share of requests in [0,1] be retried.
func NewBudget(share float64) *Budget { return &Budget{share: share, left: burst} }

func (b *Budget) request() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.left = min(b.left+b.share, burst)
	b.mu.Unlock()
}

func (b *Budget) take() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.share == 0 || b.left < 1 {
		return false
	}
	b.left--
	return true
}
