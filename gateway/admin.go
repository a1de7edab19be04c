package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/carrot-router/carrot/internal/wire"
)

// AdminOptions say what the handler of [Gateway.Admin] serves.
type AdminOptions struct {
	// Metrics are served at /metrics. Nil: there is no such endpoint.
	Metrics prometheus.Gatherer
	// Reload is called by POST /reload. Nil: there is no such endpoint.
	Reload func() error
	// Handlers are further handlers by pattern, such as "GET /ledger/". A
	// pattern that conflicts with one of the gateway's own causes a panic.
	Handlers map[string]http.Handler
}

// Admin returns the handler for operators, which must be served at another address than
// the one for clients. It serves /metrics, /debug/pprof, /health, POST /reload, dry runs at
// POST /v1/route without a client's key, the prices of models at /models, and further
// handlers. If the configuration has an admin key, requests need it as a bearer
// token. Requests from web pages of other origins are refused.
func (g *Gateway) Admin(o AdminOptions) http.Handler {
	mux := http.NewServeMux()
	if o.Metrics != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{}))
	}
	if o.Reload != nil {
		mux.HandleFunc("POST /reload", func(w http.ResponseWriter, _ *http.Request) {
			if err := o.Reload(); err != nil {
				http.Error(w, err.Error(), http.StatusUnprocessableEntity)
				return
			}
			io.WriteString(w, "reloaded\n")
		})
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /models", g.pricing)
	explain := g.serve(wire.Chat, (*exchange).explain)
	mux.HandleFunc("POST "+routePath, func(w http.ResponseWriter, r *http.Request) {
		explain(w, r.WithContext(context.WithValue(r.Context(), operatorKey{}, true)))
	})
	for pattern, handler := range o.Handlers {
		mux.Handle(pattern, handler)
	}
	return guarded(g.adminOnly(mux), func() bool { return g.routes.Load().config.AdminKey == "" }, func(string) bool { return false },
		func(w http.ResponseWriter, _ *http.Request, why string) { http.Error(w, why, http.StatusForbidden) })
}

// operatorKey is the key of a request's context that says that an operator has sent it, who
// needs no client's key.
type operatorKey struct{}

// adminOnly requires the admin key, if the configuration has one.
func (g *Gateway) adminOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want := g.routes.Load().config.AdminKey.Reveal(); want != "" {
			given, wanted := sha256.Sum256([]byte(bearer(r.Header))), sha256.Sum256([]byte(want))
			if subtle.ConstantTimeCompare(given[:], wanted[:]) != 1 {
				http.Error(w, "the admin key is missing or wrong: send it as Authorization: Bearer KEY", http.StatusUnauthorized)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
