package gateway

import (
	"fmt"
	"log/slog"
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
	bound     *Config // what it was started with
	now       func() time.Time

	sessions  *memory // conversations
	responses *memory // who made which response
	names     names   // of the candidates in both
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
	g := &Gateway{bound: c, log: o.Log, recorder: o.Recorder, transport: o.Transport, now: o.Now, tracer: newTracer(o.Tracer, o.Meter)}
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
	g.breakers = newBreakers(c.Breaker, g.metrics, g.log)
	g.retries = newBudget(*c.Retry.Budget)
	r, err := newRoutes(c, source, g.transport)
	if err != nil {
		return nil, err
	}
	g.routes.Store(r)
	g.metrics.started()
	price.CountTokens("warm") // the first count builds the vocabulary
	g.mux = g.handlers()
	return g, nil
}

// Reload serves new requests by another configuration; those under way end by
// the one they began with. One that does not hold changes nothing and is an
// error. What is bound when the gateway starts stays (addresses, the record,
// limits on reading, breakers, sessions): the names of what differs from that and
// would need a restart are returned.
func (g *Gateway) Reload(c *Config, source Source) (restart []string, err error) {
	r, err := g.reloaded(c, source)
	if err != nil {
		g.Refused()
		return nil, err
	}
	old := g.routes.Swap(r)
	g.metrics.reload(true)
	for _, m := range old.byName {
		m.provider.Client.CloseIdleConnections()
	}
	for _, f := range []struct {
		name    string
		changed bool
	}{
		{"listen", g.bound.Listen != c.Listen}, {"admin_listen", g.bound.AdminListen != c.AdminListen},
		{"record", g.bound.Record.Path != c.Record.Path || g.bound.Record.MaxMB != c.Record.MaxMB || *g.bound.Record.Keep != *c.Record.Keep},
		{"sessions", g.bound.Sessions != c.Sessions}, {"breaker", g.bound.Breaker != c.Breaker}, {"retry.budget", *g.bound.Retry.Budget != *c.Retry.Budget},
		{"limits.header_kb", g.bound.Limits.HeaderKB != c.Limits.HeaderKB}, {"limits.read_timeout", g.bound.Limits.ReadTimeout != c.Limits.ReadTimeout},
		{"limits.drain", g.bound.Limits.Drain != c.Limits.Drain}, {"limits.shutdown", g.bound.Limits.Shutdown != c.Limits.Shutdown},
	} {
		if f.changed {
			restart = append(restart, f.name)
		}
	}
	return restart, nil
}

// reloaded makes the routes of another configuration, which must do for the
// addresses that stay: one that other machines can reach needs keys.
func (g *Gateway) reloaded(c *Config, source Source) (*routes, error) {
	bound := *c
	bound.Listen, bound.AdminListen = g.bound.Listen, g.bound.AdminListen
	p := &problems{}
	if bound.checkAddresses(p); p.err() != nil {
		return nil, fmt.Errorf("the addresses stay as they are until a restart: %w", p.err())
	}
	return newRoutes(c, source, g.transport)
}

// Refused counts a configuration that could not be read, for who watches
// reloads.
func (g *Gateway) Refused() { g.metrics.reload(false) }
