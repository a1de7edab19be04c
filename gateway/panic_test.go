package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/record"
)

// breaking is a stream that panics when it is read after its first part.
type breaking struct{ first io.Reader }

func (b *breaking) Read(p []byte) (int, error) {
	n, err := b.first.Read(p)
	if err == io.EOF {
		panic("broken")
	}
	return n, err
}

func (b *breaking) Close() error { return nil }

func (b *breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	const first = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi there\"}}]}\n\n"
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: &breaking{strings.NewReader(first)}, Request: r}, nil
}

// If something panics during a stream, the stream ends with an error and the attempt is
// recorded.
func TestPanicInStream(t *testing.T) {
	kept := &records{}
	g, err := gateway.New(parse(t, strings.ReplaceAll(simulatedConfig, "$sim", "http://simulated"), nil), source(), gateway.Options{Recorder: kept, Transport: &breaking{}})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{}
	r.serve(t, g)
	a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion, `"stream":true`))
	if !strings.Contains(a.body, "hi there") || !strings.Contains(a.body, `"code":"panic"`) {
		t.Errorf("the client got %q", a.body)
	}
	if all := kept.list(); len(all) != 1 || all[0].Outcome != record.Broken || all[0].Cost == 0 || all[0].Usage.Output == 0 {
		t.Errorf("records %+v", all)
	}
}

// statusCount returns how many requests ended with a status, according to the metrics.
func statusCount(t *testing.T, registry *prometheus.Registry, status string) (n float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "carrot_requests_total" && l.GetName() == "status" && l.GetValue() == status {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

// If a handler panics, the answer has status 500 and is counted as such.
func TestPanicIsCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	g, err := gateway.New(parse(t, simulatedConfig, map[string]http.Handler{"sim": simulated(0)}), source(),
		gateway.Options{Registerer: registry, Now: func() time.Time { panic("broken") }})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{}
	r.serve(t, g)
	if a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion)); a.status != 500 || !strings.Contains(a.body, "internal error") {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if n := statusCount(t, registry, "500"); n != 1 {
		t.Errorf("%v requests of status 500 counted, and %v of 200", n, statusCount(t, registry, "200"))
	}
}

// tracers panic at calls of providers while panics is set.
type tracers struct {
	tracenoop.TracerProvider
	panics atomic.Bool
}

func (p *tracers) Tracer(string, ...trace.TracerOption) trace.Tracer { return panickingTracer{of: p} }

type panickingTracer struct {
	tracenoop.Tracer
	of *tracers
}

func (p panickingTracer) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	if p.of.panics.Load() && strings.HasPrefix(name, "chat ") {
		panic("broken")
	}
	return p.Tracer.Start(ctx, name, o...)
}

// After a panic during the one call that a breaker lets through, it lets another call
// through.
func TestPanicWhileBreakerIsHalfOpen(t *testing.T) {
	tracer := &tracers{}
	failing := &replies{statuses: []int{500, 200}}
	g, err := gateway.New(parse(t, pairConfig+"retry: {retries: 0}\nbreaker: {failures: 1, open: 30ms}", map[string]http.Handler{"a": failing, "b": failing}), source(),
		gateway.Options{Tracer: tracer})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{}
	r.serve(t, g)
	ask := func() answer { return r.post(t, "/v1/chat/completions", chat("gpt-4o-2024-08-06", sumQuestion)) }
	if a := ask(); a.status != 500 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	time.Sleep(40 * time.Millisecond) // half open
	tracer.panics.Store(true)
	if a := ask(); a.status != 500 || !strings.Contains(a.body, "internal error") {
		t.Errorf("while it panics: status %d: %s", a.status, a.body)
	}
	tracer.panics.Store(false)
	if a := ask(); a.status != 200 {
		t.Errorf("after the panic: status %d: %s", a.status, a.body)
	}
}

// If something panics after the last event of a stream, the answer does not count as
// complete.
func TestPanicAfterStream(t *testing.T) {
	const whole = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi there\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	var calls atomic.Int32
	kept := &records{}
	g, err := gateway.New(parse(t, simulatedConfig, map[string]http.Handler{"sim": said(200, "text/event-stream", whole)}), source(),
		gateway.Options{Recorder: kept, Now: func() time.Time {
			if calls.Add(1) > 1 { // the first call is that of the decision
				panic("broken")
			}
			return time.Now()
		}})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{}
	r.serve(t, g)
	a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion, `"stream":true`))
	if !strings.Contains(a.body, `"code":"panic"`) || kept.list()[0].Outcome != record.Broken {
		t.Errorf("recorded as %s; the client got %q, %v", kept.list()[0].Outcome, a.body, a.err)
	}
}
