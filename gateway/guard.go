package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// guarded refuses requests that a web page makes a browser send, unless the page's
// origin is allowed to. Where no key is required, so that reaching the address is
// enough, a loopback address answers only to its own names: a page whose name was made
// to resolve to it (DNS rebinding) has another one. refuse answers with status 403.
func guarded(next http.Handler, keyless func() bool, allowed func(origin string) bool, refuse func(w http.ResponseWriter, r *http.Request, why string)) http.Handler {
	byName := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && isLoopbackAddr(local) && !isLocalName(r.Host) && keyless() {
			refuse(w, r, "this address answers only to localhost, as long as no key is required: call it by that name, or require keys")
			return
		}
		next.ServeHTTP(w, r)
	})
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, "web pages of other origins may not call this address")
	}))
	others := protection.Handler(byName)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		switch {
		case origin == "" || !allowed(origin):
			others.ServeHTTP(w, r)
		case r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "":
			allow(w.Header(), origin)
			h := w.Header()
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			h.Set("Access-Control-Allow-Headers", strings.Join(r.Header.Values("Access-Control-Request-Headers"), ", "))
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
		default:
			allow(w.Header(), origin)
			byName.ServeHTTP(w, r)
		}
	})
}

// allow lets a page of an origin read the answer with all its headers.
func allow(h http.Header, origin string) {
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "*")
	h.Add("Vary", "Origin")
}

// isOrigin reports whether text is the origin of web pages, as browsers write it.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && text == u.Scheme+"://"+strings.ToLower(u.Host)
}

func isLoopbackAddr(a net.Addr) bool {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.IP.IsLoopback()
	}
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
