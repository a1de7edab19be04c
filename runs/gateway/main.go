// Command gateway does the measuring of runs/gateway.sh. It is three programs in
// one: the upstream that every proxy calls, the bare proxy that the others are
// compared with, and the program that starts them all and puts them under load:
//
//	gateway upstream ADDRESS
//	gateway bare ADDRESS UPSTREAM
//	gateway measure [flags]
//
// Each proxy is a process of its own, so that its processor time and memory can
// be read from /proc, which needs Linux.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gateway: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "upstream":
		u, err := newUpstream()
		if err != nil {
			return err
		}
		return serve(ctx, args[1], u)
	case len(args) == 3 && args[0] == "bare":
		handler, err := bare(args[2])
		if err != nil {
			return err
		}
		return serve(ctx, args[1], handler)
	case len(args) > 0 && args[0] == "measure":
		var m measurement
		m.flags(flag.CommandLine)
		if err := flag.CommandLine.Parse(args[1:]); err != nil {
			return err
		}
		return m.run(ctx)
	}
	return fmt.Errorf("want upstream ADDRESS, bare ADDRESS UPSTREAM or measure; runs/gateway.sh calls this")
}

func serve(ctx context.Context, address string, handler http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// bare returns the standard library's reverse proxy with two changes. By default
// it keeps only two idle connections to the upstream, so a load of sixteen would
// mostly measure how fast connections open. And without full duplex, a stream that
// begins before the request's body has been read to its end is cut off, which
// happens to about one request in a thousand here.
func bare(upstream string) (http.Handler, error) {
	target, err := url.Parse(upstream)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 1024, 256
	transport.DisableCompression = true
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	}), nil
}
