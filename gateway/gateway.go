package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/carrot-router/carrot/price"
)

// Options are the parts that a gateway is given from outside. The zero value
// works: nothing is logged, recorded or measured.
type Options struct {
	Log        *slog.Logger
	Recorder   Recorder
	Registerer prometheus.Registerer
	Tracer     trace.TracerProvider
	Meter      metric.MeterProvider
	// Transport carries the calls to providers. Nil: connections are kept.
	Transport http.RoundTripper
	// Now is the clock of sessions. Nil: time.Now.
	Now func() time.Time
}

// Gateway serves clients. It is an http.Handler, safe for concurrent use.
type Gateway struct {
	routes    atomic.Pointer[routes]
	log       *slog.Logger
	recorder  Recorder
	metrics   *metrics
	tracer    *tracer
	transport http.RoundTripper
	now       func() time.Time

	sessions  *memory // conversations
	responses *memory // who made which response
	breakers  *breakers
	retries   *budget
	active    atomic.Int64 // requests under way
	draining  atomic.Bool  // no new requests are wanted
	mux       *http.ServeMux
}

// responsesKept is for how many responses it is remembered who made them.
const responsesKept = 200_000

// New returns a gateway for a configuration, which ParseConfig has checked,
// and the router that it names.
func New(c *Config, source Source, o Options) (*Gateway, error) {
	g := &Gateway{log: o.Log, recorder: o.Recorder, transport: o.Transport, now: o.Now, tracer: newTracer(o.Tracer, o.Meter)}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if o.Registerer != nil {
		g.metrics = newMetrics(o.Registerer)
	}
	if g.now == nil {
		g.now = time.Now
	}
	g.sessions = newMemory(c.Sessions.TTL, c.Sessions.Entries)
	g.responses = newMemory(0, responsesKept)
	g.breakers = newBreakers(c.Breaker, g.metrics)
	g.retries = newBudget(*c.Retry.Budget)
	r, err := newRoutes(c, source, g.transport)
	if err != nil {
		return nil, err
	}
	g.routes.Store(r)
	price.CountTokens("warm") // the first count builds the vocabulary
	g.mux = g.handlers()
	return g, nil
}

// Reload serves new requests by another configuration; those under way end by
// the one they began with. A configuration that does not hold changes nothing.
// What is bound when the gateway starts stays: addresses, the record, limits on
// reading, breakers and sessions; it is an error that names what would need
// a restart, and the rest is taken over.
func (g *Gateway) Reload(c *Config, source Source) error {
	r, err := newRoutes(c, source, g.transport)
	if err != nil {
		g.metrics.reload(false)
		return err
	}
	old := g.routes.Swap(r)
	g.metrics.reload(true)
	for _, m := range old.byName {
		m.provider.Client.CloseIdleConnections()
	}
	var fixed []error
	for _, f := range []struct {
		name    string
		changed bool
	}{
		{"listen", old.config.Listen != c.Listen}, {"admin_listen", old.config.AdminListen != c.AdminListen},
		{"record.path", old.config.Record.Path != c.Record.Path}, {"sessions", old.config.Sessions != c.Sessions},
		{"breaker", old.config.Breaker != c.Breaker},
		{"limits.header_kb", old.config.Limits.HeaderKB != c.Limits.HeaderKB}, {"limits.read_timeout", old.config.Limits.ReadTimeout != c.Limits.ReadTimeout}, {"retry.budget", *old.config.Retry.Budget != *c.Retry.Budget},
	} {
		if f.changed {
			fixed = append(fixed, fmt.Errorf("%s changes only with a restart", f.name))
		}
	}
	return errors.Join(fixed...)
}

// jitter is a random number in [0,1).
func jitter() float64 { return rand.Float64() }
