package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/strictyaml"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/record"
)

// Recorder is given every attempt at answering a request, once, when it is over. It
// must be safe for concurrent use and should not block for long, because the
// request waits for it. [record.JSONL] is one.
type Recorder interface {
	Record(ctx context.Context, a *record.Attempt) error
}

// Budgets is asked before every call whether it may be made. Attempt has
// everything that is known before the call; Decision and Estimate say what it is
// expected to cost. After every call for which Reserve returned nil, the Recorder
// gets the same attempt with its true cost. An error means that the call is not
// made and that no other candidate is tried; a [*Denial] says what the client is
// told. It must be safe for concurrent use: the request waits for it.
type Budgets interface {
	Reserve(ctx context.Context, a *record.Attempt) error
}

// Denial is an error of [Budgets]: why a call may not be made, for the client.
type Denial struct {
	Status     int    // HTTP status, such as 402 or 429
	Code       string // for programs, such as budget_exceeded
	Message    string // for people
	RetryAfter time.Duration
}

// Error returns the message.
func (d *Denial) Error() string { return d.Message }

// Options are the parts that a gateway is given from outside. The zero value
// works: nothing is logged, recorded or measured.
type Options struct {
	Log      *slog.Logger
	Recorder Recorder
	Budgets  Budgets
	// Clients finds the clients, in place of those that the configuration
	// lists, of which there must be none.
	Clients Clients
	// Registerer takes the metrics. Gateways that share one share the series
	// too; to tell them apart, wrap it with prometheus.WrapRegistererWith.
	Registerer prometheus.Registerer
	Tracer     trace.TracerProvider
	Meter      metric.MeterProvider
	// Transport carries the calls to providers. Nil: one that keeps connections,
	// for each provider.
	Transport http.RoundTripper
	// Now is the clock of sessions. Nil: time.Now.
	Now func() time.Time
}

// Gateway serves clients. It is an http.Handler, safe for concurrent use. Several
// gateways may run in one process.
type Gateway struct {
	routes    atomic.Pointer[routes]
	log       *slog.Logger
	recorder  Recorder
	budgets   Budgets
	clients   Clients
	metrics   *metrics
	tracer    *tracer
	transport http.RoundTripper
	bound     *Config // that it was started with
	decider   *decider
	breakers  *provider.Breakers
	retries   *provider.Budget
	active    atomic.Int64 // requests under way
	draining  atomic.Bool  // no new requests are wanted
	mux       *http.ServeMux
}

// New returns a gateway for a configuration and the router that it uses. It checks
// the configuration and fills in its defaults, without changing it; the error names
// every field that is wrong.
func New(c *Config, source Source, o Options) (*Gateway, error) {
	if c == nil {
		return nil, errors.New("gateway: no configuration")
	}
	g := &Gateway{log: o.Log, recorder: o.Recorder, budgets: o.Budgets, clients: o.Clients, transport: o.Transport, tracer: newTracer(o.Tracer, o.Meter)}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	c, err := g.checked(c)
	if err != nil {
		return nil, err
	}
	if o.Registerer != nil {
		if g.metrics, err = newMetrics(o.Registerer); err != nil {
			return nil, err
		}
	}
	now := o.Now
	if now == nil {
		now = time.Now
	}
	g.bound = c
	g.breakers = newBreakers(c.Breaker, g.metrics, g.log)
	g.retries = provider.NewBudget(*c.Retry.Budget)
	g.decider = &decider{conversations: newConversations(c.Sessions, now), breakers: g.breakers, log: g.log}
	r, err := newRoutes(c, source, g.transport, g.breakers, g.retries)
	if err != nil {
		return nil, err
	}
	g.routes.Store(r)
	g.metrics.started()
	price.CountTokens("warm") // the first count builds the vocabulary
	g.mux = g.handlers()
	return g, nil
}

// checked returns a configuration with its defaults, if nothing is wrong with it.
func (g *Gateway) checked(c *Config) (*Config, error) {
	p := new(strictyaml.Problems)
	out := c.prepared(p, func(string) {})
	if g.clients != nil && len(c.Clients) > 0 {
		p.Add("clients", "are listed, but the gateway was given Options.Clients in their place: omit them")
	}
	return out, p.Err()
}

// Reload serves new requests with another configuration; requests under way finish
// with the one they began with. A configuration that is wrong changes nothing and
// is an error. What is bound when the gateway starts stays as it is (limits on
// reading, breakers, sessions, the budget of retries): Reload returns the names of
// the fields that differ from that and need a restart.
func (g *Gateway) Reload(c *Config, source Source) (restart []string, err error) {
	c, err = g.checked(c)
	var r *routes
	if err == nil {
		r, err = newRoutes(c, source, g.transport, g.breakers, g.retries)
	}
	if err != nil {
		g.Refused()
		return nil, err
	}
	old := g.routes.Swap(r)
	g.metrics.reload(true)
	for _, c := range old.byName {
		c.target().provider.CloseIdleConnections()
	}
	was, limits := g.bound, g.bound.Limits
	return changedFields([]changedField{
		{"sessions", was.Sessions != c.Sessions},
		{"breaker", was.Breaker != c.Breaker},
		{"retry.budget", *was.Retry.Budget != *c.Retry.Budget},
		{"limits.header_kb", limits.HeaderKB != c.Limits.HeaderKB},
		{"limits.read_timeout", limits.ReadTimeout != c.Limits.ReadTimeout},
		{"limits.drain", limits.Drain != c.Limits.Drain},
		{"limits.shutdown", limits.Shutdown != c.Limits.Shutdown},
	}), nil
}

// Refused counts a configuration that could not be read as a failed reload.
func (g *Gateway) Refused() { g.metrics.reload(false) }

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.mux.ServeHTTP(w, r) }
