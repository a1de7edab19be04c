package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipeListener accepts connections in memory, so that a server and its clients can
// run in a synctest bubble.
type pipeListener struct {
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.connections:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error { l.once.Do(func() { close(l.closed) }); return nil }

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.connections <- server:
		return client, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// bubble runs f in a synctest bubble with a server and a client of it.
func bubble(t *testing.T, handler http.HandlerFunc, f func(t *testing.T, e *Embeddings)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		listener := &pipeListener{connections: make(chan net.Conn), closed: make(chan struct{})}
		server := httptest.NewUnstartedServer(handler)
		server.Listener.Close()
		server.Listener = listener
		server.Start()
		transport := &http.Transport{DialContext: listener.dial}
		f(t, &Embeddings{BaseURL: "http://upstream/v1", Model: "m", Transport: transport})
		transport.CloseIdleConnections()
		server.Close()
	})
}

// between checks how long something took.
func between(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s took %v, want %v to %v", what, got, least, most)
	}
}

func TestRetryStatuses(t *testing.T) {
	for status, want := range map[int]int{
		408: 3, 409: 3, 425: 3, 429: 3, 500: 3, 502: 3, 503: 3, 504: 3,
		301: 1, 307: 1, 400: 1, 401: 1, 403: 1, 404: 1, 413: 1, 422: 1, 501: 1,
	} {
		requests := 0
		bubble(t, func(w http.ResponseWriter, r *http.Request) {
			requests++
			w.WriteHeader(status)
			io.WriteString(w, `{"error":{"message":"overloaded","type":"some_type","code":"some_code"}}`)
		}, func(t *testing.T, e *Embeddings) {
			e.Retries = 2
			start := time.Now()
			_, err := e.Encode(t.Context(), []string{"x"})
			refused, ok := errors.AsType[*Error](err)
			if !ok || refused.Status != status || refused.Code != "some_code" || refused.Message != "overloaded" {
				t.Errorf("Encode with status %d: %v, want an *Error with status, code and message", status, err)
			}
			for _, part := range []string{"upstream", `"m"`, "some_code", "overloaded", fmt.Sprint(status)} {
				if err != nil && !strings.Contains(err.Error(), part) {
					t.Errorf("Encode with status %d: %v, want %q in the error", status, err, part)
				}
			}
			if requests != want {
				t.Errorf("status %d: %d requests, want %d", status, requests, want)
			}
			if want == 1 && time.Since(start) != 0 {
				t.Errorf("status %d: waited %v", status, time.Since(start))
			}
		})
	}
}

func TestRetrySucceeds(t *testing.T) {
	requests := 0
	bubble(t, func(w http.ResponseWriter, r *http.Request) {
		request := readRequest(t, r)
		if requests++; requests <= 4 {
			w.WriteHeader(503)
			return
		}
		answer(w, request.Input)
	}, func(t *testing.T, e *Embeddings) {
		start := time.Now()
		got, err := e.Encode(t.Context(), numbers(3))
		if err != nil {
			t.Fatal(err)
		}
		checkVectors(t, numbers(3), got)
		// 0.5 + 1 + 2 + 4 seconds, of each at least half.
		between(t, "four retries", time.Since(start), 3750*time.Millisecond, 7500*time.Millisecond)
	})
}

func TestRetryAfterHeader(t *testing.T) {
	for _, test := range []struct {
		header      string
		least, most time.Duration
	}{
		{"7", 7 * time.Second, 7 * time.Second},
		{"date", 19 * time.Second, 20 * time.Second},
		{"3600", time.Minute, time.Minute},
		{"0", 250 * time.Millisecond, 500 * time.Millisecond},
		{"soon", 250 * time.Millisecond, 500 * time.Millisecond},
		{"-5", 250 * time.Millisecond, 500 * time.Millisecond},
	} {
		requests := 0
		bubble(t, func(w http.ResponseWriter, r *http.Request) {
			if requests++; requests > 1 {
				answer(w, readRequest(t, r).Input)
				return
			}
			header := test.header
			if header == "date" {
				header = time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat)
			}
			w.Header().Set("Retry-After", header)
			w.WriteHeader(429)
		}, func(t *testing.T, e *Embeddings) {
			start := time.Now()
			if _, err := e.Encode(t.Context(), numbers(1)); err != nil {
				t.Fatal(err)
			}
			between(t, "Retry-After "+test.header, time.Since(start), test.least, test.most)
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	check := func(value string, want time.Duration) {
		t.Helper()
		if got := retryAfter(value, now); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", value, got, want)
		}
	}
	check("", 0)
	check(" 3 ", 3*time.Second)
	check("61", 61*time.Second)
	check("18446744073709551615", 24*time.Hour)
	check("99999999999999999999999", 24*time.Hour)
	check("1.5", 0)
	check("Fri, 02 Jan 2026 03:04:35 GMT", 30*time.Second)
	check("Fri, 02 Jan 2026 03:04:00 GMT", 0)
	check("Sat, 02 Jan 2027 03:04:05 GMT", 24*time.Hour)
}

func TestBackoff(t *testing.T) {
	for _, first := range []time.Duration{1, time.Second, time.Hour, math.MaxInt64} {
		for _, try := range []int{1, 2, 5, 1000} {
			whole := time.Duration(math.Min(float64(first)*math.Pow(2, float64(try-1)), float64(maxBackoff)))
			if got := backoff(first, try); got < whole/2 || got > whole {
				t.Errorf("backoff(%v, %d) = %v, want %v to %v", first, try, got, whole/2, whole)
			}
		}
	}
}

func TestTimeout(t *testing.T) {
	for _, slow := range []string{"header", "body"} {
		requests := 0
		bubble(t, func(w http.ResponseWriter, r *http.Request) {
			request := readRequest(t, r)
			if requests++; requests > 1 {
				answer(w, request.Input)
				return
			}
			if slow == "body" {
				io.WriteString(w, `{"data":[`)
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		}, func(t *testing.T, e *Embeddings) {
			start := time.Now()
			_, err := e.Encode(t.Context(), numbers(1))
			if err != nil || requests != 2 {
				t.Errorf("slow %s: %v after %d requests, want success after 2", slow, err, requests)
			}
			between(t, "slow "+slow, time.Since(start), defaultTimeout+defaultBackoff/2, defaultTimeout+defaultBackoff)

			requests, e.Timeout, e.Retries = 0, time.Second, -1
			if _, err = e.Encode(t.Context(), numbers(1)); err == nil || !strings.Contains(err.Error(), "no complete answer within 1s") {
				t.Errorf("slow %s, no retries: %v, want no complete answer within 1s", slow, err)
			}
		})
	}
}

func TestNetworkErrors(t *testing.T) {
	requests := 0
	bubble(t, func(w http.ResponseWriter, r *http.Request) {
		switch requests++; requests {
		case 1:
			panic(http.ErrAbortHandler) // no answer
		case 2:
			w.Header().Set("Content-Length", "1000") // an incomplete answer
			io.WriteString(w, `{"data":[`)
		default:
			answer(w, readRequest(t, r).Input)
		}
	}, func(t *testing.T, e *Embeddings) {
		if _, err := e.Encode(t.Context(), numbers(1)); err != nil || requests != 3 {
			t.Errorf("Encode: %v after %d requests, want success after 3", err, requests)
		}
	})
	tries := 0
	e := &Embeddings{BaseURL: "http://user:hunter2@upstream/v1", Model: "m", Backoff: 1,
		Transport: roundTrip(func(*http.Request) (*http.Response, error) { tries++; return nil, errors.New("no route") })}
	_, err := e.Encode(t.Context(), numbers(1))
	if want := `embed with "m" at upstream: network: the connection to the provider failed: no route (gave up after 5 tries)`; err == nil || err.Error() != want || tries != 5 {
		t.Errorf("Encode: %v after %d tries, want %s", err, tries, want)
	}
}

func TestCancel(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"in a request": func(w http.ResponseWriter, r *http.Request) {
			readRequest(t, r)
			<-r.Context().Done()
		},
		"in a wait": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(429)
		},
	} {
		bubble(t, handler, func(t *testing.T, e *Embeddings) {
			start := time.Now()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(3*time.Second, cancel)
			_, err := e.Encode(ctx, numbers(1))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled %s: %v, want %v", name, err, context.Canceled)
			}
			between(t, "cancel "+name, time.Since(start), 3*time.Second, 3*time.Second)

			start = time.Now()
			ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if _, err = e.Encode(ctx, numbers(1)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("deadline %s: %v, want %v", name, err, context.DeadlineExceeded)
			}
			between(t, "deadline "+name, time.Since(start), 2*time.Second, 2*time.Second)
		})
	}
}
