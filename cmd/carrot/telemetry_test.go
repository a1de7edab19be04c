package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// collector is a test double of an OpenTelemetry collector. It keeps what is posted to each
// path.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	posts map[string][]byte
}

func newCollector(t *testing.T) *collector {
	c := &collector{posts: map[string][]byte{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(r.Body); err != nil {
				t.Error(err)
			}
		}
		b, err := io.ReadAll(body)
		if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s: %v, Content-Type %q", r.URL.Path, err, r.Header.Get("Content-Type"))
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.posts[r.URL.Path] = append(c.posts[r.URL.Path], b...)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) paths() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	paths := make([]string, 0, len(c.posts))
	for path := range c.posts {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// emit makes a span and adds 1 to a counter. It reports whether the span is recorded.
func emit(t *testing.T, tp trace.TracerProvider, mp metric.MeterProvider) (recorded bool) {
	t.Helper()
	ctx, span := tp.Tracer("test").Start(t.Context(), "a span's name")
	defer span.End()
	counter, err := mp.Meter("test").Int64Counter("a.counter")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(ctx, 1)
	return span.IsRecording()
}

func TestTelemetry(t *testing.T) {
	const both, onlyTraces, onlyMetrics = "/v1/metrics /v1/traces", "/v1/traces", "/v1/metrics"
	for _, test := range []struct {
		name string
		env  map[string]string // URL stands for the collector's
		want string            // paths with posts
		text []string          // in every post
	}{
		{"no endpoint", nil, "", nil},
		{"endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "URL"}, both, []string{"service.name", "carrot", "service.version", "v1.2.3"}},
		{"disabled", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "URL", "OTEL_SDK_DISABLED": "TRUE"}, "", nil},
		{"no traces", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "URL", "OTEL_TRACES_EXPORTER": "none"}, onlyMetrics, nil},
		{"only traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "URL/v1/traces"}, onlyTraces, nil},
		{"only metrics", map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "URL/v1/metrics"}, onlyMetrics, nil},
		{"named", map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": "URL", "OTEL_SERVICE_NAME": "support-gateway", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=staging",
		}, both, []string{"support-gateway", "deployment.environment.name", "staging"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCollector(t)
			for name, value := range test.env {
				t.Setenv(name, strings.Replace(value, "URL", c.URL, 1))
			}
			tp, mp, shutdown, err := startTelemetry(t.Context(), "v1.2.3")
			if err != nil {
				t.Fatal(err)
			}
			recorded := emit(t, tp, mp)
			if want := strings.Contains(test.want, "traces"); recorded != want {
				t.Errorf("the span is recorded: %v, want %v", recorded, want)
			}
			if err := shutdown(context.WithoutCancel(t.Context())); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(c.paths(), " "); got != test.want {
				t.Errorf("posts to %q, want %q", got, test.want)
			}
			for path, post := range c.posts {
				for _, text := range append(test.text, map[string]string{"/v1/traces": "a span's name", "/v1/metrics": "a.counter"}[path]) {
					if !bytes.Contains(post, []byte(text)) {
						t.Errorf("post to %s has no %q", path, text)
					}
				}
			}
		})
	}
}

func TestTelemetryRefusesGRPC(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	_, _, shutdown, err := startTelemetry(t.Context(), "v1.2.3")
	if err == nil || !strings.Contains(err.Error(), `OTEL_EXPORTER_OTLP_PROTOCOL is "grpc"`) {
		t.Errorf("startTelemetry = %v, want an error with the variable", err)
	}
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
