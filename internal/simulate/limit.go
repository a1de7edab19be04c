package simulate

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"
)

// Limit is what a provider allows one key or one model. The zero value limits nothing.
// Requests beyond a limit get status 429 and Retry-After, and are not billed.
type Limit struct {
	// RatePerMinute is the number of requests a minute. A sixtieth of it may be made
	// at once, but at least one: like providers, the limit holds for shorter times too.
	RatePerMinute int
	// Concurrent is the number of requests at the same time.
	Concurrent int
}

// gate enforces a limit.
type gate struct {
	mu      sync.Mutex
	started bool
	left    float64   // requests that may be made at once
	at      time.Time // when left was computed
	open    int       // requests in progress
}

// enter begins a request. If that is allowed, leave must be called at its end. If not,
// wait is the time after which it would be.
func (g *gate) enter(l Limit, now time.Time) (leave func(), wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.Concurrent > 0 && g.open >= l.Concurrent {
		return nil, time.Second
	}
	if l.RatePerMinute > 0 {
		perSecond := float64(l.RatePerMinute) / 60
		burst := max(perSecond, 1)
		if !g.started {
			g.started, g.left, g.at = true, burst, now
		}
		g.left = min(g.left+now.Sub(g.at).Seconds()*perSecond, burst)
		g.at = now
		if g.left < 1-1e-9 {
			return nil, time.Duration((1 - g.left) / perSecond * float64(time.Second))
		}
		g.left--
	}
	g.open++
	return g.leave, 0
}

func (g *gate) leave() {
	g.mu.Lock()
	g.open--
	g.mu.Unlock()
}

// limited is the answer to a request that exceeds a limit.
func limited(wait time.Duration) *refusal {
	seconds := max(int(math.Ceil(wait.Seconds())), 1)
	return &refusal{status: http.StatusTooManyRequests, kind: "requests", code: "rate_limit_exceeded", retryAfter: seconds,
		message: fmt.Sprintf("Rate limit reached for requests. Please try again in %ds.", seconds)}
}

// gate returns the gate of a key.
func (p *Provider) gate(key string) *gate {
	if p.Limit == (Limit{}) {
		return &gate{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gates == nil {
		p.gates = map[string]*gate{}
	}
	if p.gates[key] == nil {
		p.gates[key] = &gate{}
	}
	return p.gates[key]
}

// admit lets a call pass the limits of its key and its model. It returns a refusal, or
// a function that must be called at the end of the call.
func (p *Provider) admit(key string, s *state) (leave func(), bad *refusal) {
	now := time.Now()
	leaveKey, wait := p.gate(key).enter(p.Limit, now)
	if leaveKey == nil {
		return nil, limited(wait)
	}
	leaveModel, wait := s.gate.enter(s.Limit, now)
	if leaveModel == nil {
		leaveKey()
		return nil, limited(wait)
	}
	return func() { leaveModel(); leaveKey() }, nil
}

// refuseLimited settles a call that exceeds a limit.
func (s *state) refuseLimited(p *Provider, r *request, bad *refusal) *refusal {
	c := &conversation{p: p, s: s, call: Call{API: r.api, Model: s.Name, Stream: r.stream, Status: bad.status, Failed: true, limited: true}}
	c.settle()
	return bad
}
