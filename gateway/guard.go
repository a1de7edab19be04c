package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guarded refuses requests that a web page makes a browser send. Those from
// another origin are always refused. Where no key is required, so that reaching
// the address is enough, a loopback address answers only to its own names: a page
// whose name was made to resolve to it (DNS rebinding) has another one.
func guarded(next http.Handler, keyless func() bool) http.Handler {
	byName := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && isLoopbackAddr(local) && !isLocalName(r.Host) && keyless() {
			http.Error(w, "this address answers only to localhost, as long as no key is required: call it by that name, or require keys", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
	return http.NewCrossOriginProtection().Handler(byName)
}

func isLoopbackAddr(a net.Addr) bool {
	at, err := netip.ParseAddrPort(a.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// isLocalName reports whether a Host header names this machine's loopback: an
// address, or localhost.
func isLocalName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	return isLoopback(host) || strings.HasSuffix(host, ".localhost")
}
