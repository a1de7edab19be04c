package gateway_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot/gateway"
)

// stopped serves a configuration, sends a request, tells the gateway to stop as
// soon as a provider was called, and returns the client's answer and the records.
func stopped(t *testing.T, config string, provider http.HandlerFunc) (answer, []*gateway.Attempt) {
	t.Helper()
	called := make(chan struct{}, 100)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		called <- struct{}{}
		provider(w, r)
	})
	kept := &records{}
	g, err := gateway.New(parse(t, config, map[string]http.Handler{"a": handler, "b": handler}), source(), gateway.Options{Recorder: kept})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, listener, nil, nil) }()
	go func() {
		<-called
		stop()
	}()
	got := (&rig{url: "http://" + listener.Addr().String()}).post(t, "/v1/chat/completions", chat("auto", sumQuestion))
	if err := <-served; err != nil {
		t.Error(err)
	}
	return got, kept.list()
}

// A stop while a retry is waited for is told to the client, who would take an
// empty answer of status 200 for one.
func TestStopWhileWaiting(t *testing.T) {
	got, all := stopped(t, pairConfig+"retry: {retries: 3, backoff: 20s, max_wait: 20s}\nlimits: {shutdown: 50ms}",
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	if got.status != 503 || !strings.Contains(got.body, `"code":"shutting_down"`) {
		t.Errorf("status %d: %q", got.status, got.body)
	}
	if len(all) != 1 {
		t.Errorf("%d records of one call", len(all))
	}
}

// A stop ends a call, and no further ones are made or recorded.
func TestStopMakesNoAttempts(t *testing.T) {
	got, all := stopped(t, pairConfig+"limits: {shutdown: 50ms}", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second):
		}
	})
	if got.status != 503 || !strings.Contains(got.body, `"code":"shutting_down"`) || got.header.Get("X-Carrot-Attempts") != "1" {
		t.Errorf("status %d after %s attempts: %q", got.status, got.header.Get("X-Carrot-Attempts"), got.body)
	}
	if len(all) != 1 || all[0].ErrorCode != "shutting_down" {
		t.Errorf("%d records of one call: %+v", len(all), all)
	}
}
