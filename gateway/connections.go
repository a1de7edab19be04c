package gateway

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// connections is a listener that bounds the connections that are open at once. If there
// are too many, it closes those that have not sent a whole request for the longest time,
// whether they are idle or stall. New connections wait until there is room.
type connections struct {
	net.Listener
	limit  int
	closed chan struct{} // when the listener is closed
	once   sync.Once

	mu   sync.Mutex
	open map[*connection]struct{}
	room chan struct{} // has an element if a connection was closed
}

// connection is one of the connections.
type connection struct {
	net.Conn
	all   *connections
	waits atomic.Int64 // for a whole request, since this time in nanoseconds since 1970; 0: it has one
}

// spared is how long a connection may wait for a request before it may be closed in
// favour of others.
const spared = time.Second

func newConnections(l net.Listener, limit int) *connections {
	return &connections{Listener: l, limit: limit, closed: make(chan struct{}), open: map[*connection]struct{}{}, room: make(chan struct{}, 1)}
}

// bound makes a server's connections tell in which state they are.
func (c *connections) bound(s *http.Server) {
	s.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, conn)
	}
	s.ConnState = func(conn net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			conn.(*connection).wait()
		}
	}
}

// Accept returns the next connection, when there is room for it.
func (c *connections) Accept() (net.Conn, error) {
	accepted, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	for !c.makeRoom() {
		select {
		case <-c.room:
		case <-time.After(spared / 10): // until another one may be closed
		case <-c.closed:
			accepted.Close()
			return nil, net.ErrClosed
		}
	}
	made := &connection{Conn: accepted, all: c}
	made.wait()
	c.mu.Lock()
	c.open[made] = struct{}{}
	c.mu.Unlock()
	return made, nil
}

// makeRoom reports whether there is room for a connection. If there is none, it closes
// up to a tenth of the connections, those that have been waiting for the longest time.
func (c *connections) makeRoom() bool {
	c.mu.Lock()
	if len(c.open) < c.limit {
		c.mu.Unlock()
		return true
	}
	type waiting struct {
		conn  *connection
		since int64
	}
	var all []waiting
	latest := time.Now().Add(-spared).UnixNano()
	for conn := range c.open {
		if since := conn.waits.Load(); since != 0 && since <= latest {
			all = append(all, waiting{conn, since})
		}
	}
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b waiting) int { return int(a.since - b.since) })
	for _, w := range all[:min(len(all), max(c.limit/10, 1))] {
		w.conn.Close()
	}
	return len(all) > 0
}

// Close closes the listener.
func (c *connections) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Listener.Close()
}

// wait says that the connection waits for a request from now on.
func (c *connection) wait() { c.waits.Store(time.Now().UnixNano()) }

// Close closes the connection.
func (c *connection) Close() error {
	c.all.mu.Lock()
	delete(c.all.open, c)
	c.all.mu.Unlock()
	select {
	case c.all.room <- struct{}{}:
	default:
	}
	return c.Conn.Close()
}
