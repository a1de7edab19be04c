package gateway

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"

	"github.com/carrot-router/carrot/record"
)

var tracedProvider = &provider.Upstream{Name: "main", Kind: "openai", BaseURL: "https://api.openai.com/v1"}

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// described returns a span's attributes as text.
func described(s sdktrace.ReadOnlySpan) []string {
	var all []string
	for _, a := range s.Attributes() {
		all = append(all, fmt.Sprintf("%s=%s", a.Key, a.Value.String()))
	}
	slices.Sort(all)
	return all
}

func TestTraceOfRequest(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tr := newTracer(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), nil)
	a := exampleAttempt()
	a.Outcome, a.Estimated, a.ErrorCode, a.Error = record.Served, false, "", ""
	a.UpstreamModel = "large"

	ctx, endRequest := tr.request(t.Context(), http.Header{"Traceparent": {traceparent}, "Tracestate": {"k=v"}}, wire.Chat)
	_, endDecision := tr.decision(ctx)
	endDecision(a.Decision, "balanced", string(record.TradeOff))
	called, span := tr.attempt(ctx, a, tracedProvider)
	header := http.Header{}
	tr.inject(called, header)
	a.UpstreamModel = "large-2026-11-01" // as in the answer
	a.AnswerID = "chatcmpl-1"
	span.end(a)
	endRequest(200, "balanced", "large")

	ended := spans.Ended()
	if len(ended) != 3 {
		t.Fatalf("%d spans, want 3", len(ended))
	}
	decision, attempt, request := ended[0], ended[1], ended[2]
	f := func(s sdktrace.ReadOnlySpan, name string, kind trace.SpanKind, parent trace.SpanID, attributes ...string) {
		t.Helper()
		if s.Name() != name || s.SpanKind() != kind || s.Parent().SpanID() != parent || s.Status().Code == codes.Error {
			t.Errorf("span %q of kind %v below %v, status %v, want %q, %v, %v and no error", s.Name(), s.SpanKind(), s.Parent().SpanID(), s.Status(), name, kind, parent)
		}
		if got := s.SpanContext().TraceID().String(); got != traceparent[3:35] {
			t.Errorf("span %q is in trace %s, want the client's", s.Name(), got)
		}
		if diff := cmp.Diff(attributes, described(s)); diff != "" {
			t.Errorf("attributes of %q (-want +got):\n%s", s.Name(), diff)
		}
	}
	f(request, "POST /v1/chat/completions", trace.SpanKindServer, [8]byte{0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7},
		"carrot.model=large", "carrot.policy=balanced", "http.request.method=POST", "http.response.status_code=200", "http.route=/v1/chat/completions")
	f(decision, "carrot.route", trace.SpanKindInternal, request.SpanContext().SpanID(),
		"carrot.candidates=2", "carrot.model=large", "carrot.novelty=0.25", "carrot.policy=balanced", "carrot.reason=trade-off", "carrot.usd_per_quality=0.01")
	f(attempt, "chat large", trace.SpanKindClient, request.SpanContext().SpanID(),
		"carrot.attempt=2", "carrot.cost_usd=1.234567890123", "carrot.model=large", "carrot.outcome=served", "carrot.policy=balanced",
		"carrot.request_id=req_1", "carrot.usage_estimated=false", "gen_ai.conversation.id=s-1", "gen_ai.operation.name=chat",
		"gen_ai.provider.name=openai", "gen_ai.request.model=large", "gen_ai.request.stream=true", "gen_ai.response.id=chatcmpl-1",
		"gen_ai.response.model=large-2026-11-01", "gen_ai.response.time_to_first_chunk=0.250000001",
		"gen_ai.usage.cache_read.input_tokens=40", "gen_ai.usage.cache_write.input_tokens=5", "gen_ai.usage.input_tokens=105",
		"gen_ai.usage.output_tokens=200", "gen_ai.usage.reasoning.output_tokens=20", "http.response.status_code=200",
		"server.address=api.openai.com", "server.port=443")
	want := "00-" + traceparent[3:35] + "-" + attempt.SpanContext().SpanID().String() + "-01"
	if header.Get("Traceparent") != want || header.Get("Tracestate") != "k=v" {
		t.Errorf("headers of the call %v, want traceparent %s and the tracestate", header, want)
	}
}

func TestTraceOfFailures(t *testing.T) {
	f := func(change func(*record.Attempt), want string) {
		t.Helper()
		spans := tracetest.NewSpanRecorder()
		tr := newTracer(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), nil)
		a := exampleAttempt()
		a.Prompt, a.Answer, a.Error = []byte("SECRET"), "SECRET", "SECRET"
		change(a)
		ctx, endRequest := tr.request(t.Context(), http.Header{"Authorization": {"Bearer SECRET"}}, wire.Messages)
		_, endDecision := tr.decision(ctx)
		endDecision(nil, "balanced", string(record.RouterFailed))
		_, span := tr.attempt(ctx, a, tracedProvider)
		span.end(a)
		endRequest(502, "", "")
		for i, want := range []string{string(record.RouterFailed), want, "502"} {
			s := spans.Ended()[i]
			if got := s.Status(); got.Code != codes.Error || got.Description != want || !slices.Contains(described(s), "error.type="+want) {
				t.Errorf("span %q has status %v and attributes %v, want an error of type %s", s.Name(), got, described(s), want)
			}
			if strings.Contains(fmt.Sprint(s), "SECRET") || strings.Contains(strings.Join(described(s), " "), "SECRET") {
				t.Errorf("span %q contains content: %v", s.Name(), described(s))
			}
		}
	}
	f(func(a *record.Attempt) { a.Outcome, a.Status, a.ErrorCode = record.FellBack, 500, "server_error" }, "server_error")
	f(func(a *record.Attempt) { a.Outcome, a.Status, a.ErrorCode = record.Refused, 404, "" }, "404")
	f(func(a *record.Attempt) { a.Outcome, a.Status, a.ErrorCode = record.FellBack, 0, "" }, "failed")
	f(func(a *record.Attempt) { a.Outcome, a.Status, a.ErrorCode = record.ClientGone, 200, "" }, "client_gone")
}

func TestConventionalProviderNames(t *testing.T) {
	f := func(kind, base, want string) {
		t.Helper()
		host, _ := address(base)
		if got := conventional(kind, host, "mine"); got != want {
			t.Errorf("provider name of %s at %s = %q, want %q", kind, base, got, want)
		}
	}
	f("openai", "https://api.openai.com/v1", "openai")
	f("openai", "https://api.mistral.ai/v1", "mistral_ai")
	f("openai", "https://generativelanguage.googleapis.com/v1beta/openai", "gcp.gemini")
	f("openai", "http://localhost:11434/v1", "mine")
	f("azure", "https://x.openai.azure.com/openai", "azure.ai.openai")
	f("anthropic", "https://proxy.example/v1", "anthropic")
	f("openai", "::", "mine")
}

func TestAddress(t *testing.T) {
	f := func(base, host string, port int) {
		t.Helper()
		if h, p := address(base); h != host || p != port {
			t.Errorf("address(%q) = %q, %d, want %q, %d", base, h, p, host, port)
		}
	}
	f("https://api.openai.com/v1", "api.openai.com", 443)
	f("http://localhost:11434/v1", "localhost", 11434)
	f("http://[::1]/v1", "::1", 80)
	f("%", "", 0)
}

// genAIMetrics counts attempts and returns the metrics as text.
func genAIMetrics(t *testing.T, attempts ...*record.Attempt) []string {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	tr := newTracer(nil, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	for _, a := range attempts {
		_, span := tr.attempt(t.Context(), a, tracedProvider)
		span.end(a)
	}
	var got metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range got.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				all = append(all, fmt.Sprintf("%s %s %d {%s}", m.Name, m.Unit, p.Value, p.Attributes.Encoded(attribute.DefaultEncoder())))
			}
		case metricdata.Histogram[int64]:
			for _, p := range data.DataPoints {
				all = append(all, fmt.Sprintf("%s %s n=%d sum=%d bounds=%d {%s}", m.Name, m.Unit, p.Count, p.Sum, len(p.Bounds), p.Attributes.Encoded(attribute.DefaultEncoder())))
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				all = append(all, fmt.Sprintf("%s %s n=%d sum=%.3f bounds=%d {%s}", m.Name, m.Unit, p.Count, p.Sum, len(p.Bounds), p.Attributes.Encoded(attribute.DefaultEncoder())))
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestGenAIMetrics(t *testing.T) {
	served := exampleAttempt()
	served.Outcome, served.Estimated, served.UpstreamModel = record.Served, false, "large"
	failed := *served
	failed.Outcome, failed.Status, failed.Usage, failed.FirstToken = record.FellBack, 529, carrot.Usage{}, 0
	embedded := *served
	embedded.API, embedded.Stream, embedded.Usage = string(wire.Embeddings), false, carrot.Usage{Input: 7}

	const call = "gen_ai.operation.name=chat,gen_ai.provider.name=openai,gen_ai.request.model=large,server.address=api.openai.com,server.port=443"
	const failure = "error.type=529," + call
	token := strings.Replace(call, "large,", "large,gen_ai.token.modality=unknown,", 1)
	embeddings := strings.Replace(call, "=chat", "=embeddings", 1)
	want := []string{
		"gen_ai.client.embeddings.duration s n=1 sum=3.000 bounds=14 {" + embeddings + "}",
		"gen_ai.client.embeddings.operation.input_tokens {token} n=1 sum=7 bounds=14 {" + embeddings + "}",
		"gen_ai.client.inference.duration s n=1 sum=3.000 bounds=14 {" + failure + "}",
		"gen_ai.client.inference.duration s n=1 sum=3.000 bounds=14 {" + call + "}",
		"gen_ai.client.inference.operation.input_tokens {token} n=1 sum=0 bounds=14 {" + failure + "}",
		"gen_ai.client.inference.operation.input_tokens {token} n=1 sum=105 bounds=14 {" + call + "}",
		"gen_ai.client.inference.operation.output_tokens {token} n=1 sum=0 bounds=14 {" + failure + "}",
		"gen_ai.client.inference.operation.output_tokens {token} n=1 sum=200 bounds=14 {" + call + "}",
		"gen_ai.client.inference.time_to_first_chunk s n=1 sum=0.250 bounds=14 {" + call + "}",
		"gen_ai.client.inference.usage.cache_read.input_tokens {token} 40 {" + token + "}",
		"gen_ai.client.inference.usage.cache_write.input_tokens {token} 5 {" + token + "}",
		"gen_ai.client.inference.usage.input_tokens {token} 105 {" + token + "}",
		"gen_ai.client.inference.usage.output_tokens {token} 200 {" + token + "}",
		"gen_ai.client.inference.usage.reasoning.output_tokens {token} 20 {" + token + "}",
	}
	if diff := cmp.Diff(want, genAIMetrics(t, served, &failed, &embedded)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	counted := *served
	counted.Estimated = true
	for _, line := range genAIMetrics(t, &counted) {
		if strings.Contains(line, "usage.input_tokens") && !strings.Contains(line, " 0 {") {
			t.Errorf("%s: tokens that the provider did not report are counted", line)
		}
	}
}

// Without an SDK there are no spans, and the client's trace is passed on to the provider.
func TestTracerOff(t *testing.T) {
	for name, tr := range map[string]*tracer{
		"nil":  newTracer(nil, nil),
		"noop": newTracer(tracenoop.NewTracerProvider(), metricnoop.NewMeterProvider()),
	} {
		t.Run(name, func(t *testing.T) {
			a := exampleAttempt()
			ctx, endRequest := tr.request(t.Context(), http.Header{"Traceparent": {traceparent}}, wire.Chat)
			ctx, endDecision := tr.decision(ctx)
			endDecision(a.Decision, "p", "r")
			ctx, span := tr.attempt(ctx, a, tracedProvider)
			a.AnswerID = "x"
			header := http.Header{}
			tr.inject(ctx, header)
			span.end(a)
			endRequest(200, "p", "m")
			if got := header.Get("Traceparent"); got != traceparent {
				t.Errorf("traceparent of the call %q, want the client's", got)
			}
			header = http.Header{}
			tr.inject(t.Context(), header)
			if len(header) != 0 {
				t.Errorf("headers %v outside a trace, want none", header)
			}
		})
	}
}

// An infinite willingness to pay is omitted, because some backends cannot store it.
func TestTraceOfInfiniteWorth(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tr := newTracer(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), nil)
	_, end := tr.decision(t.Context())
	end(&carrot.Decision{Model: "m", USDPerQuality: math.Inf(1)}, "quality", string(record.TradeOff))
	if got := described(spans.Ended()[0]); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "carrot.usd_per_quality") }) {
		t.Errorf("attributes %v, want no usd_per_quality", got)
	}
}

func traced(ctx context.Context, tr *tracer, a *record.Attempt, header http.Header) {
	ctx, endRequest := tr.request(ctx, header, wire.Chat)
	_, endDecision := tr.decision(ctx)
	endDecision(a.Decision, a.Policy, string(a.Reason))
	called, span := tr.attempt(ctx, a, tracedProvider)
	tr.inject(called, http.Header{})
	span.end(a)
	endRequest(200, a.Policy, a.Candidate)
}

// BenchmarkTracer measures everything that is traced for one request.
func BenchmarkTracer(b *testing.B) {
	a := exampleAttempt()
	run := func(name string, tr *tracer) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				traced(b.Context(), tr, a, nil)
			}
		})
	}
	run("off", newTracer(nil, nil))
	never := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	run("not sampled", newTracer(never, nil))
	all := sdktrace.NewTracerProvider(sdktrace.WithBatcher(discard{}, sdktrace.WithBatchTimeout(time.Second)))
	run("sampled", newTracer(all, nil))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	run("metrics", newTracer(nil, meters))
	_ = all.Shutdown(context.Background())
}

// discard is an exporter that drops all spans.
type discard struct{}

func (discard) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (discard) Shutdown(context.Context) error                             { return nil }
