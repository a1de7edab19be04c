package gateway_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/record"
)

// source returns the router in the binary, with the mean qualities of its models.
var source = sync.OnceValue(func() gateway.Source {
	a, err := artifact.Default()
	if err != nil {
		panic(err)
	}
	static, err := embed.Default()
	if err != nil {
		panic(err)
	}
	router, err := a.Router(static, a.Pool(price.Default()))
	if err != nil {
		panic(err)
	}
	s := gateway.Source{Router: router, MeanQuality: map[string]float64{}}
	for _, m := range a.Manifest.Models {
		s.MeanQuality[m.Name] = m.MeanScore
	}
	return s
})

// records is a recorder that keeps the attempts in order.
type records struct {
	mu  sync.Mutex
	all []*record.Attempt
}

func (r *records) Record(_ context.Context, a *record.Attempt) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	copied := *a
	r.all = append(r.all, &copied)
	return nil
}

func (r *records) list() []*record.Attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*record.Attempt(nil), r.all...)
}

// syncBuffer is a buffer to which several goroutines can write.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// rig is a gateway with a server, and the records of its attempts.
type rig struct {
	*gateway.Gateway
	url     string
	records *records
}

// parse reads a configuration in which $NAME stands for the address of a provider.
func parse(t testing.TB, config string, providers map[string]http.Handler) *gateway.Config {
	t.Helper()
	for name, handler := range providers {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		config = strings.ReplaceAll(config, "$"+name, server.URL)
	}
	c, err := gateway.ParseFile([]byte(config), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatalf("config: %v\n%s", err, config)
	}
	return &c.Config
}

// newRig returns a gateway that serves a configuration.
func newRig(t testing.TB, config string, providers map[string]http.Handler) *rig {
	t.Helper()
	r := &rig{records: &records{}}
	g, err := gateway.New(parse(t, config, providers), source(), gateway.Options{Recorder: r.records, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	r.serve(t, g)
	return r
}

// serve starts a server for g.
func (r *rig) serve(t testing.TB, g *gateway.Gateway) {
	t.Helper()
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	r.Gateway, r.url = g, server.URL
}

// answer is what a client received.
type answer struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	err     error // from reading the body
}

// post sends a body; headers are "Name: value".
func (r *rig) post(t testing.TB, path, body string, headers ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Add(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, response.Trailer, string(data), err}
}
