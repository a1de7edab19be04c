package provider

import (
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Breakers hold one circuit breaker for each model of each provider, by their
// names, so that they outlive a change of configuration. A nil Breakers has none.
type Breakers struct {
	// Failures in a row that open a breaker.
	Failures int
	// Open is how long it stays open before one call tries again.
	Open time.Duration
	// Changed, if not nil, is told of every change of a breaker's state.
	Changed func(provider, model string, from, to BreakerState)

	mu sync.Mutex
	of map[breakerKey]*gobreaker.TwoStepCircuitBreaker[struct{}]
}

type breakerKey struct{ provider, model string }

// BreakerState is the state of a circuit breaker.
type BreakerState int

// The states of a circuit breaker.
const (
	Closed   = BreakerState(gobreaker.StateClosed)   // calls are made
	HalfOpen = BreakerState(gobreaker.StateHalfOpen) // one call tries again
	Open     = BreakerState(gobreaker.StateOpen)     // no calls are made
)

// String returns "closed", "half-open" or "open".
func (s BreakerState) String() string { return gobreaker.State(s).String() }

// IsOpen reports whether calls of a target are refused at the moment.
func (b *Breakers) IsOpen(t Target) bool {
	return b != nil && b.get(t).State() == gobreaker.StateOpen
}

// allow reports whether a target may be called. If so, done is told how the call
// ended.
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

// breakerError is what a circuit breaker is told of an error: only one that
// shows that the provider does not work counts against it.
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
// counts neither way: the client has hung up, the call was not made, or this
// program is stopping or at fault.
func notTheirs(err error) bool {
	e, ok := err.(*Error)
	return ok && (e.Kind == Canceled || e.Kind == Denied || e.Code == CodeStopping || e.Code == CodePanic)
}

// Budget bounds retries to a share of requests, so that they do not add to an
// outage: each request adds its share, each retry takes one. A nil Budget has no
// bounds.
type Budget struct {
	mu    sync.Mutex
	share float64
	left  float64
}

// burst is how many retries may be made at once after a quiet time.
const burst = 10

// NewBudget returns a budget of retries for a share of requests in [0,1].
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
