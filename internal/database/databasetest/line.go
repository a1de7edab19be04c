package databasetest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Line is a line to a server of PostgreSQL that can be cut.
type Line struct {
	listener net.Listener
	network  string
	address  string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

// Cuttable returns the DSN of the same database over a line that can be cut.
func Cuttable(t testing.TB, dsn string) (string, *Line) {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{conns: map[net.Conn]bool{}}
	l.network, l.address = pgconn.NetworkAddress(config.Host, config.Port)
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.listener.Close()
		l.Cut()
	})
	go l.serve()
	q := u.Query()
	q.Del("host")
	q.Del("port")
	q.Set("user", config.User)
	q.Set("sslmode", "disable")
	u.Host, u.User, u.RawQuery = l.listener.Addr().String(), nil, q.Encode()
	return u.String(), l
}

func (l *Line) serve() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial(l.network, l.address)
		if err != nil || !l.add(near, far) {
			near.Close()
			if err == nil {
				far.Close()
			}
			continue
		}
		pass := func(to, from net.Conn) {
			io.Copy(to, from)
			l.end(near, far)
		}
		go pass(far, near)
		go pass(near, far)
	}
}

func (l *Line) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return false
	}
	for _, c := range conns {
		l.conns[c] = true
	}
	return true
}

func (l *Line) end(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(l.conns, c)
	}
}

// Cut ends all connections, and those that are made later.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for c := range l.conns {
		c.Close()
	}
}

// Blink ends all connections. Others can be made.
func (l *Line) Blink() {
	l.Cut()
	l.Mend()
}

// Mend allows connections again.
func (l *Line) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}
