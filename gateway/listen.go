package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/carrot-router/carrot/internal/provider"
)

// adminConnections is the number of connections of operators that may be open.
const adminConnections = 100

// Serve serves clients on one listener and operators on another until ctx is done.
// operators may be nil; admin is the handler for it, or nil for that of [Gateway.Admin]
// without options.
//
// When ctx is done, /ready fails; after the pause limits.drain no new requests are
// accepted; and requests in progress have the time limits.shutdown to end. Those that
// have not ended by then are answered with an error, and their attempts are recorded.
// Serve closes both listeners. It does not check whether other machines can reach them,
// as [ParseFile] does for the addresses in a file.
func (g *Gateway) Serve(ctx context.Context, clients, operators net.Listener, admin http.Handler) error {
	if clients == nil {
		return errors.New("serve: the listener for clients is missing")
	}
	limits := g.routes.Load().config.Limits
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	server := &http.Server{
		Handler: g, MaxHeaderBytes: limits.HeaderKB << 10, ReadTimeout: limits.patience(), IdleTimeout: 2 * time.Minute, // longer for bodies that arrive: see readBody
		ErrorLog:    slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context { return base },
	}
	servers, listeners := []*http.Server{server}, []*connections{newConnections(clients, limits.Connections)}
	if operators != nil {
		if admin == nil {
			admin = g.Admin(AdminOptions{})
		}
		servers = append(servers, &http.Server{Handler: admin, MaxHeaderBytes: server.MaxHeaderBytes, ReadTimeout: limits.patience(), IdleTimeout: 2 * time.Minute, ErrorLog: server.ErrorLog})
		listeners = append(listeners, newConnections(operators, adminConnections))
	}
	defer g.losses.end(g.log)
	failed := make(chan error, len(servers))
	for i, s := range servers {
		listeners[i].bound(s)
		go func() { failed <- s.Serve(listeners[i]) }()
	}
	var err error
	running := len(servers)
	select {
	case <-ctx.Done():
		g.draining.Store(true)
		g.log.Info("stopping: waiting for requests in progress", "within", limits.Shutdown.String(), "requests", g.active.Load())
		time.Sleep(limits.Drain) // so that load balancers notice
	case err = <-failed:
		running--
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), limits.Shutdown)
	defer cancel()
	for _, s := range servers {
		if late := s.Shutdown(grace); late != nil {
			g.log.Warn("requests were cut off", "requests", g.active.Load())
			cut(&provider.Error{Kind: provider.Timeout, Status: http.StatusServiceUnavailable, Code: provider.CodeStopping, Ours: true, Message: "the gateway is stopping"})
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			_ = s.Shutdown(last) // so that errors and records are still written
			cancel()
			s.Close()
		}
	}
	for range running {
		if e := <-failed; err == nil && !errors.Is(e, http.ErrServerClosed) {
			err = e
		}
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
