package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/record"
)

// stopped serves a configuration and sends a request. It stops the gateway as soon as a
// provider is called, and returns the client's answer and the records.
func stopped(t *testing.T, config string, provider http.HandlerFunc) (answer, []*record.Attempt) {
	t.Helper()
	return stoppedLogging(t, config, provider, slog.DiscardHandler)
}

func stoppedLogging(t *testing.T, config string, provider http.HandlerFunc, log slog.Handler) (answer, []*record.Attempt) {
	t.Helper()
	called := make(chan struct{}, 100)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		called <- struct{}{}
		provider(w, r)
	})
	kept := &records{}
	g, err := gateway.New(parse(t, config, map[string]http.Handler{"a": handler, "b": handler}), source(), gateway.Options{Recorder: kept, Log: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	address, stop := serving(t, g)
	served := make(chan error, 1)
	go func() {
		<-called
		served <- stop()
	}()
	got := (&rig{url: "http://" + address}).post(t, "/v1/chat/completions", chat("auto", sumQuestion))
	if err := <-served; err != nil {
		t.Error(err)
	}
	return got, kept.list()
}

// If the gateway stops while it waits for a retry, the client receives an error rather than
// an empty answer with status 200.
func TestStopWhileWaiting(t *testing.T) {
	got, all := stopped(t, pairConfig+"retry: {retries: 3, backoff: 20s, max_wait: 20s}\nlimits: {shutdown: 50ms}",
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	if got.status != 503 || !strings.Contains(got.body, `"code":"shutting_down"`) {
		t.Errorf("status %d: %q", got.status, got.body)
	}
	if len(all) != 1 {
		t.Errorf("%d records for one call", len(all))
	}
}

// If the gateway stops during a call, it makes and records no further calls.
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
		t.Errorf("%d records for one call: %+v", len(all), all)
	}
}

// slowLog is slow to log that a request has ended.
type slowLog struct{ slog.Handler }

func (slowLog) Enabled(context.Context, slog.Level) bool { return true }

func (slowLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "request" {
		time.Sleep(30 * time.Millisecond)
	}
	return nil
}

// The client receives the error when the gateway stops, even if logging takes long.
func TestStopIsTold(t *testing.T) {
	got, _ := stoppedLogging(t, pairConfig+"limits: {shutdown: 50ms}", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, slowLog{slog.DiscardHandler})
	if got.status != 503 || !strings.Contains(got.body, `"code":"shutting_down"`) {
		t.Errorf("status %d: %q", got.status, got.body)
	}
}

// If the gateway stops while a client reads slowly, it does not send a second answer.
func TestStopWhileWriting(t *testing.T) {
	long := said(200, "application/json", `{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"`+
		strings.Repeat("x", 40<<20)+`"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
	log, kept, registry := &syncBuffer{}, &records{}, prometheus.NewRegistry()
	g, err := gateway.New(parse(t, pairConfig+"limits: {shutdown: 50ms}", map[string]http.Handler{"a": long, "b": long}), source(),
		gateway.Options{Log: slog.New(slog.NewTextHandler(log, nil)), Recorder: kept, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	address, stop := serving(t, g)
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	body := chat("auto", sumQuestion)
	fmt.Fprintf(client, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if _, err := io.ReadFull(client, make([]byte, 12)); err != nil { // the answer has begun
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(5 * time.Second); len(kept.list()) == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if all := kept.list(); len(all) != 1 || all[0].Outcome != record.ClientGone || all[0].Status != 200 {
		t.Errorf("records %+v", all)
	}
	if n := statusCount(t, registry, "503"); n > 0 || strings.Contains(log.String(), "superfluous") {
		t.Errorf("%v answers with 503 in addition to one with 200; log %s", n, log)
	}
}
