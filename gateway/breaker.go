package gateway

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/sony/gobreaker/v2"

	"github.com/carrot-router/carrot/internal/provider"
)

// breakers hold one circuit breaker per provider and model. They outlive
// reloads.
type breakers struct {
	config  BreakerConfig
	metrics *metrics
	log     *slog.Logger

	mu sync.Mutex
	of map[breakerKey]*gobreaker.TwoStepCircuitBreaker[struct{}]
}

type breakerKey struct{ provider, model string }

func newBreakers(c BreakerConfig, m *metrics, log *slog.Logger) *breakers {
	return &breakers{config: c, metrics: m, log: log, of: map[breakerKey]*gobreaker.TwoStepCircuitBreaker[struct{}]{}}
}

func (b *breakers) get(c *candidate) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	key := breakerKey{c.provider.Name, c.upstream}
	b.mu.Lock()
	defer b.mu.Unlock()
	if breaker := b.of[key]; breaker != nil {
		return breaker
	}
	failures := uint32(b.config.Failures)
	breaker := gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:     b.config.Open,
		IsExcluded:  notTheirs,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= failures },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			b.log.Warn("circuit breaker", "provider", key.provider, "upstream_model", key.model, "from", from.String(), "to", to.String())
			b.metrics.breaker(key.provider, key.model, int(to))
		},
	})
	b.of[key] = breaker
	return breaker
}

// notTheirs says of a failure that it is not the provider's doing and counts
// neither way: the client has hung up, or the gateway stops or is at fault.
func notTheirs(err error) bool {
	f, ok := errors.AsType[*provider.Failure](err)
	return ok && (f.Kind == provider.Canceled || f.Code == shuttingDown || f.Code == panicked)
}

// open reports whether calls of the candidate are refused now.
func (b *breakers) open(c *candidate) bool { return b.get(c).State() == gobreaker.StateOpen }

// budget bounds retries to a share of requests, so that they do not pile onto
// an outage: each request adds its share, each retry takes one.
type budget struct {
	mu    sync.Mutex
	share float64
	left  float64
}

// burst is how many retries a quiet gateway may do at once.
const burst = 10

func newBudget(share float64) *budget { return &budget{share: share, left: burst} }

func (b *budget) request() {
	b.mu.Lock()
	b.left = min(b.left+b.share, burst)
	b.mu.Unlock()
}

func (b *budget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.share == 0 || b.left < 1 {
		return false
	}
	b.left--
	return true
}
