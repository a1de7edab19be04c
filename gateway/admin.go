package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Admin returns what is served to who operates the gateway, at another address
// than the clients': /metrics, /debug/pprof and POST /reload. Where the
// configuration has an admin_key, it must come as a bearer token.
func (g *Gateway) Admin(metrics prometheus.Gatherer, reload func() error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, _ *http.Request) {
		if err := reload(); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		io.WriteString(w, "reloaded\n")
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	// A page in the operator's browser must not be able to reload.
	return http.NewCrossOriginProtection().Handler(g.adminOnly(mux))
}

// adminOnly asks for the admin key, if there is one.
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
