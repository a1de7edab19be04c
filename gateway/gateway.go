package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
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

// Recorder keeps attempts. Record is called once for every call of a provider, when
// the call is over. A Recorder must be safe for concurrent use and should not block
// for long, because the request waits for it. [record.JSONL] is a Recorder.
//
// An error means that the attempt is lost. The gateway logs when that begins and when
// it has ended, with the number of attempts, but not each of them. It leaves that to the
// recorder if the error has, or wraps one that has, a method Logged() bool that returns
// true.
type Recorder interface {
	Record(ctx context.Context, a *record.Attempt) error
}

// Responses lets several gateways know who made a response of OpenAI's responses API, or
// holds a thread of Anthropic's messages API, so that each of them can continue what another
// has begun. Without it, a gateway knows only what it has served itself since it began.
//
// Both texts are short and opaque: they hold no text, no key and no name of a client.
// Responses must be safe for concurrent use.
type Responses interface {
	// Keep notes who made a response. It must not block, because the request waits for
	// it. Others should know soon, because the client may continue at once.
	Keep(response, maker string)
	// Find returns who made a response, "" if it is unknown. It is called for responses
	// that the gateway does not know itself, and has 200 ms. After an error, the response
	// counts as unknown.
	Find(ctx context.Context, response string) (maker string, err error)
}

// Options are the parts of a gateway that the program around it provides. The zero
// value works: nothing is logged, recorded, limited or measured.
type Options struct {
	// Log receives the gateway's messages, which contain no prompts, answers or
	// keys.
	Log *slog.Logger
	// Recorder keeps the attempts.
	Recorder Recorder
	// Budgets decides whether a call may be made.
	Budgets Budgets
	// Clients finds the client that sent a request, unless it is one that the
	// configuration lists. If neither has clients, requests need no key.
	Clients Clients
	// Responses tells other gateways, and this one after a restart, who made a
	// response.
	Responses Responses
	// Feedback keeps what clients say of answers. Nil: POST /v1/feedback is answered with
	// status 503.
	Feedback Feedback
	// Registerer registers the Prometheus metrics. Gateways with the same
	// Registerer share their series; to tell them apart, wrap it with
	// prometheus.WrapRegistererWith.
	Registerer prometheus.Registerer
	// Tracer and Meter send OpenTelemetry spans and metrics.
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
	// Transport carries the calls to providers. Nil: a transport for each
	// provider, which keeps connections open.
	Transport http.RoundTripper
	// Now is the clock by which conversations are forgotten. Nil: time.Now.
	Now func() time.Time
}

// Gateway is an http.Handler that serves the APIs of OpenAI and Anthropic. It is safe
// for concurrent use. Several gateways may run in one process.
type Gateway struct {
	routes    atomic.Pointer[routes]
	log       *slog.Logger
	recorder  Recorder
	losses    losses
	budgets   Budgets
	clients   Clients // beside those of the configuration; nil: none
	said      Feedback
	metrics   *metrics
	tracer    *tracer
	transport http.RoundTripper
	bound     *Config // with which it was started
	decider   *decider
	breakers  *provider.Breakers
	retries   *provider.Budget
	active    atomic.Int64 // requests in progress
	memory    atomic.Int64 // held by them, in bytes
	draining  atomic.Bool  // it is about to stop
	handler   http.Handler
}

// New returns a gateway for a configuration and a router. It does not change the
// configuration; it checks a copy and fills in the defaults there. The error names
// every field that is wrong.
func New(c *Config, source Source, o Options) (*Gateway, error) {
	g := &Gateway{log: o.Log, recorder: o.Recorder, budgets: o.Budgets, clients: o.Clients, said: o.Feedback, transport: o.Transport, tracer: newTracer(o.Tracer, o.Meter)}
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
	g.decider = &decider{conversations: newConversations(c.Sessions, now, o.Responses), breakers: g.breakers, log: g.log}
	r, err := g.newRoutes(c, source)
	if err != nil {
		return nil, err
	}
	g.routes.Store(r)
	g.warn(r)
	g.metrics.started()
	g.metrics.serves(nil, r, g.breakers)
	price.CountTokens("warm") // builds the vocabulary
	g.handler = guarded(g.handlers(), func() bool { return !g.routes.Load().clients.required() },
		func(origin string) bool { return slices.Contains(g.routes.Load().config.Origins, origin) },
		func(w http.ResponseWriter, r *http.Request, why string) {
			g.metrics.rejected("origin")
			g.side(w, r).fail(forbidden("%s", why))
		})
	return g, nil
}

// checked returns a copy of a configuration with its defaults, or an error if
// anything is wrong with it.
func (g *Gateway) checked(c *Config) (*Config, error) {
	if c == nil {
		return nil, errors.New("gateway: the configuration is missing")
	}
	p := new(strictyaml.Problems)
	out := c.prepared(p, func(string) {})
	if g.budgets == nil && len(c.Budgets) > 0 {
		p.Add("budgets", "cannot be kept, because Options.Budgets is missing")
	}
	for i := range c.Clients {
		if g.budgets == nil && c.Clients[i].Rates != (RateConfig{}) {
			p.Add(strictyaml.Element("clients", i)+".rates", "cannot be kept, because Options.Budgets is missing")
		}
	}
	return out, p.Err()
}

// Reload replaces the configuration and the router for new requests; requests in
// progress keep those with which they began. If anything is wrong with the new ones,
// Reload changes nothing and returns an error. Some settings take effect only when a
// gateway is made: breakers, sessions, the budget of retries and the limits that
// [Gateway.Serve] applies. Reload returns the fields of these that have changed since
// then.
func (g *Gateway) Reload(c *Config, source Source) (restart []string, err error) {
	c, err = g.checked(c)
	var r *routes
	if err == nil {
		r, err = g.newRoutes(c, source)
	}
	if err != nil {
		g.ReloadFailed()
		return nil, err
	}
	old := g.routes.Swap(r)
	g.metrics.reload(true)
	g.metrics.serves(old, r, g.breakers)
	g.warn(r)
	for _, p := range old.providers {
		p.CloseIdleConnections()
	}
	was, limits := g.bound, g.bound.Limits
	return changedFields([]changedField{
		{"sessions", was.Sessions != c.Sessions},
		{"breaker", was.Breaker != c.Breaker},
		{"retry.budget", *was.Retry.Budget != *c.Retry.Budget},
		{"limits.connections", limits.Connections != c.Limits.Connections},
		{"limits.header_kb", limits.HeaderKB != c.Limits.HeaderKB},
		{"limits.read_timeout", limits.ReadTimeout != c.Limits.ReadTimeout},
		{"limits.drain", limits.Drain != c.Limits.Drain},
		{"limits.shutdown", limits.Shutdown != c.Limits.Shutdown},
	}), nil
}

// ReloadFailed counts a failed reload in the metrics. [Gateway.Reload] does so
// itself; call ReloadFailed if the configuration could not even be read.
func (g *Gateway) ReloadFailed() { g.metrics.reload(false) }

// ServeHTTP answers a request of a client.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.handler.ServeHTTP(w, r) }
