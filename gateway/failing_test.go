package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/record"
)

// replies is a provider that answers with statuses in turn, and then always with the last
// one. Status 200 comes with an answer.
type replies struct {
	statuses []int
	header   http.Header
	calls    atomic.Int32
	keys     []string // that it received
}

func (r *replies) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	n := int(r.calls.Add(1)) - 1
	r.keys = append(r.keys, strings.TrimPrefix(q.Header.Get("Authorization"), "Bearer "))
	status := r.statuses[min(n, len(r.statuses)-1)]
	for name, values := range r.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if status == 200 {
		io.WriteString(w, `{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
		return
	}
	fmt.Fprintf(w, `{"error":{"message":"no %d","type":"t","code":"c%d"}}`, n+1, status)
}

// pairConfig has a better model at $a, with keys, and a worse one at $b.
const pairConfig = `
providers:
  - {name: a, kind: openai, base_url: $a/v1, api_keys: [key-one, key-two]}
  - {name: b, kind: openai, base_url: $b/v1}
models:
  - {name: gpt-4o-2024-08-06, provider: a, context: 1000}
  - {name: gemma-2-2b-it, provider: b, context: 2000}
policies:
  - {name: auto, objective: quality}
`

// After failures, providers are called again or others are tried, with the right keys, and
// the client receives the right answer.
func TestFailures(t *testing.T) {
	for _, test := range []struct {
		name    string
		config  string
		a, b    []int // statuses of the providers
		header  http.Header
		status  int
		calls   string // of a and b
		keys    string // that a received
		message string // a part of the body
	}{
		{"a good answer", "", []int{200}, []int{200}, nil, 200, "1 0", "key-one", `"gpt-4o-2024-08-06"`},
		{"a server error is retried", "", []int{500, 200}, []int{200}, nil, 200, "2 0", "key-one key-one", `"gpt-4o-2024-08-06"`},
		{"after two server errors another model", "", []int{500}, []int{200}, nil, 200, "2 1", "key-one key-one", `"gemma-2-2b-it"`},
		{"a key over its limit: the other key", "", []int{429, 200}, []int{200}, nil, 200, "2 0", "key-one key-two", `"gpt-4o-2024-08-06"`},
		{"both keys over their limits: another model", "", []int{429}, []int{200}, nil, 200, "2 1", "key-one key-two", `"gemma-2-2b-it"`},
		{"a refused key: the other key", "", []int{401, 200}, []int{200}, nil, 200, "2 0", "key-one key-two", `"gpt-4o-2024-08-06"`},
		{"both keys refused: another model", "", []int{403}, []int{200}, nil, 200, "2 1", "key-one key-two", `"gemma-2-2b-it"`},
		{"a bad request", "", []int{422}, []int{200}, nil, 422, "1 0", "key-one", `{"error":{"message":"no 1","type":"t","code":"c422"}}`},
		{"no provider answers", "", []int{503}, []int{502}, nil, 502, "2 2", "key-one key-one", `no model could answer in 4 attempts; the last error: no 2`},
		{"all keys of all providers refused", "", []int{401}, []int{401}, nil, 502, "2 1", "key-one key-two", `provider b refused the gateway's key`},
		{"all providers over their limits", "", []int{429}, []int{429}, http.Header{"Retry-After": {"7"}}, 429, "2 1", "key-one key-two", `"code":"c429"`},
		{"the last model is over its limit for a short time", "retry: {retries: 2, max_wait: 3s, backoff: 1ms}", []int{429}, []int{429, 200}, http.Header{"Retry-After": {"1"}}, 200, "2 2", "key-one key-two", `"gemma-2-2b-it"`},
		{"no retries", "retry: {retries: 0}", []int{500}, []int{200}, nil, 200, "1 1", "key-one", `"gemma-2-2b-it"`},
		{"no budget for retries", "retry: {budget: 0}", []int{500}, []int{200}, nil, 200, "1 1", "key-one", `"gemma-2-2b-it"`},
		{"no fallbacks", "retry: {fallbacks: 0, retries: 0}", []int{500}, []int{200}, nil, 500, "1 0", "key-one", `no model could answer in one attempt: no 1`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, b := &replies{statuses: test.a, header: test.header}, &replies{statuses: test.b, header: test.header}
			config := test.config
			if config == "" {
				config = "retry: {backoff: 1ms}"
			}
			r := newRig(t, pairConfig+config, map[string]http.Handler{"a": a, "b": b})
			got := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion))
			if got.status != test.status || !strings.Contains(got.body, test.message) {
				t.Errorf("status %d, want %d with %q: %s", got.status, test.status, test.message, got.body)
			}
			if calls := fmt.Sprintf("%d %d", a.calls.Load(), b.calls.Load()); calls != test.calls || strings.Join(a.keys, " ") != test.keys {
				t.Errorf("calls %s with keys %v, want %s with %s", calls, a.keys, test.calls, test.keys)
			}
			if n := a.calls.Load() + b.calls.Load(); len(r.records.list()) != int(n) {
				t.Errorf("%d records for %d calls", len(r.records.list()), n)
			}
			if test.status == 429 && got.header.Get("Retry-After") != "7" {
				t.Errorf("Retry-After %q, want 7", got.header.Get("Retry-After"))
			}
			if strings.Contains(got.body, "key-") {
				t.Errorf("a key is in %s", got.body)
			}
		})
	}
}

// A model that the client named is retried but never replaced.
func TestNamedNeverReplaced(t *testing.T) {
	a, b := &replies{statuses: []int{500}}, &replies{statuses: []int{200}}
	r := newRig(t, pairConfig+"retry: {backoff: 1ms}", map[string]http.Handler{"a": a, "b": b})
	got := r.post(t, "/v1/chat/completions", chat("gpt-4o-2024-08-06", sumQuestion))
	if got.status != 500 || a.calls.Load() != 2 || b.calls.Load() != 0 {
		t.Errorf("status %d after %d and %d calls, want 500 after 2 and 0: %s", got.status, a.calls.Load(), b.calls.Load(), got.body)
	}
}

// A request that is too long falls back only to models with a longer context.
func TestContextLength(t *testing.T) {
	tooLong := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		io.WriteString(w, `{"error":{"message":"maximum context length is 8 tokens","type":"invalid_request_error","code":"context_length_exceeded"}}`)
	})
	f := func(config string, status int, served string) {
		t.Helper()
		b := &replies{statuses: []int{200}}
		r := newRig(t, config, map[string]http.Handler{"a": tooLong, "b": b})
		got := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion))
		if got.status != status || got.header.Get("X-Carrot-Model") != served {
			t.Errorf("status %d from %s, want %d from %s: %s", got.status, got.header.Get("X-Carrot-Model"), status, served, got.body)
		}
	}
	f(pairConfig, 200, "gemma-2-2b-it")
	f(strings.Replace(pairConfig, "context: 2000", "context: 900", 1), 400, "gpt-4o-2024-08-06") // the provider's own answer
}

// A model that keeps failing is not called for a while.
func TestBreaker(t *testing.T) {
	a, b := &replies{statuses: []int{500, 500, 500, 200}}, &replies{statuses: []int{200}}
	r := newRig(t, pairConfig+"retry: {retries: 0}\nbreaker: {failures: 3, open: 150ms}", map[string]http.Handler{"a": a, "b": b})
	ask := func() answer { return r.post(t, "/v1/chat/completions", chat("auto", sumQuestion)) }
	for range 3 {
		ask()
	}
	if got := ask(); a.calls.Load() != 3 || got.header.Get("X-Carrot-Attempts") != "1" || got.header.Get("X-Carrot-Model") != "gemma-2-2b-it" {
		t.Errorf("after 3 failures: %d calls, served by %s", a.calls.Load(), got.header.Get("X-Carrot-Model"))
	}
	if got := r.post(t, "/v1/route", chat("auto", sumQuestion)); !strings.Contains(got.body, "it keeps failing: its circuit breaker is open") {
		t.Errorf("the decision does not give the reason: %s", got.body)
	}
	if got := r.post(t, "/v1/chat/completions", chat("gpt-4o-2024-08-06", sumQuestion)); got.status != 503 || !strings.Contains(got.body, "breaker_open") {
		t.Errorf("the model by name: status %d: %s", got.status, got.body)
	}
	time.Sleep(160 * time.Millisecond)
	if got := ask(); got.header.Get("X-Carrot-Model") != "gpt-4o-2024-08-06" {
		t.Errorf("after a while: served by %s", got.header.Get("X-Carrot-Model"))
	}
}

// Clients need a key, and may do only what their limits allow.
func TestClients(t *testing.T) {
	r := newRig(t, simulatedConfig+`
policies:
  - {name: support, objective: usd-per-quality=0}
clients:
  - {name: shop, key: shop-key-0123456789, policies: [support, cheap]}
  - {name: research, key: research-key-0123456789}
`, map[string]http.Handler{"sim": simulated(0)})
	const shop, research = "Authorization: Bearer shop-key-0123456789", "X-Api-Key: research-key-0123456789"
	f := func(name, model string, status int, want string, headers ...string) {
		t.Helper()
		if got := r.post(t, "/v1/chat/completions", chat(model, sumQuestion), headers...); got.status != status || !strings.Contains(got.body, want) {
			t.Errorf("%s: status %d, want %d with %q: %s", name, got.status, status, want, got.body)
		}
	}
	f("no key", "support", 401, "no key was sent")
	f("a wrong key", "support", 401, "the key is unknown", "Authorization: Bearer shop-key-0123456780")
	f("its policy", "support", 200, "choices", shop)
	f("auto, which means its first policy", "auto", 200, "choices", shop)
	f("auto with an objective", "auto:usd-per-quality=1e9", 403, `may not set an objective`, shop)
	f("another policy", "quality", 403, `may not use the policy \"quality\", only support, cheap`, shop)
	f("an unknown one", "suport", 404, `did you mean \"support\"? Valid models: support, cheap"`, shop)
	f("a model by name", "gemma-2-2b-it", 403, `may not name a model`, shop)
	f("another objective", "support:usd-per-quality=1e9", 403, `may not set an objective`, shop)
	f("an objective in a header", "support", 403, `may not set an objective`, shop, "X-Carrot-Objective: quality")
	f("a model by name, without limits", "gemma-2-2b-it", 200, "choices", research)
	names := map[string]string{}
	for _, a := range r.records.list() {
		names[a.Client] = a.Candidate
		if a.Client == "shop" && a.Policy != "support" {
			t.Errorf("the policy of shop is %q", a.Policy)
		}
	}
	if len(names) != 2 || names["shop"] == "" || names["research"] == "" {
		t.Errorf("recorded clients %v", names)
	}
}

// Requests over the limits are refused.
func TestLimits(t *testing.T) {
	provider, entered, leave := simulated(0), make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-leave
		provider.ServeHTTP(w, r)
	})
	r := newRig(t, simulatedConfig+"limits: {body_mb: 1, requests: 1}", map[string]http.Handler{"sim": slow})
	if got := r.post(t, "/v1/chat/completions", chat("auto", strings.Repeat("x", 1<<20))); got.status != 413 || !strings.Contains(got.body, "limits.body_mb") {
		t.Errorf("a long body: status %d: %s", got.status, got.body)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		response, err := http.Post(r.url+"/v1/chat/completions", "application/json", strings.NewReader(chat("auto", sumQuestion)))
		if err != nil || response.StatusCode != 200 {
			t.Errorf("the first request: %v, %v", response, err)
			return
		}
		response.Body.Close()
	}()
	<-entered
	if got := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion)); got.status != 503 || got.header.Get("Retry-After") != "1" {
		t.Errorf("one request more than the limit: status %d: %s", got.status, got.body)
	}
	close(leave)
	<-ended
}

// listening runs a gateway as the command does, until stop is called.
func listening(t *testing.T, config string, providers map[string]http.Handler) (g *gateway.Gateway, url string, stop func() error) {
	t.Helper()
	g, err := gateway.New(parse(t, config, providers), source(), gateway.Options{Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	address, stop := serving(t, g)
	return g, "http://" + address, stop
}

// serving lets a gateway serve until stop is called.
func serving(t *testing.T, g *gateway.Gateway) (address string, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, listener, nil, nil) }()
	return listener.Addr().String(), func() error {
		cancel()
		return <-served
	}
}

// Streams in progress can end after a signal to stop.
func TestShutdown(t *testing.T) {
	slow := &simulate.Provider{Models: []simulate.Model{{Name: "gpt-4o-2024-08-06", OutputTokens: 30, PerToken: 5 * time.Millisecond},
		{Name: "gpt-4o-mini-2024-07-18"}, {Name: "gemma-2-2b-it"}}}
	_, url, stop := listening(t, simulatedConfig, map[string]http.Handler{"sim": slow})
	response, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(chat("gpt-4o-2024-08-06", sumQuestion, `"stream":true`)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
		t.Errorf("the stream ended with %v: …%q", err, body[max(0, len(body)-200):])
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := http.Get(url + "/health"); err == nil {
		t.Error("the gateway still serves after it has stopped")
	}
}

// A stream that does not end in time is cut off with an error.
func TestShutdownCuts(t *testing.T) {
	hang := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	_, url, stop := listening(t, simulatedConfig+"limits: {shutdown: 50ms}", map[string]http.Handler{"sim": hang})
	response, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(chat("gpt-4o-2024-08-06", sumQuestion, `"stream":true`)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	begun := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if body, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(body), `"code":"shutting_down"`) {
		t.Errorf("the stream that was cut off ends with %v: %s", err, body)
	}
}

// A reload applies to new requests. A bad configuration changes nothing.
func TestReload(t *testing.T) {
	provider := simulated(0)
	g, url, stop := listening(t, simulatedConfig, map[string]http.Handler{"sim": provider})
	defer stop()
	moved := parse(t, strings.Replace(simulatedConfig, "breaker: {failures: 1000}", "breaker: {failures: 7}\nlisten: 127.0.0.1:9999", 1), map[string]http.Handler{"sim": provider})
	if restart, err := g.Reload(moved, source()); err != nil || strings.Join(restart, " ") != "breaker" {
		t.Errorf("Reload = %v, %v, want breaker", restart, err)
	}
	ask := func(model string) int {
		response, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(chat(model, sumQuestion)))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if status := ask("fresh"); status != 404 {
		t.Fatalf("status %d before the reload", status)
	}
	c := parse(t, simulatedConfig+"policies:\n  - {name: fresh}\n", map[string]http.Handler{"sim": provider})
	if restart, err := g.Reload(c, source()); err != nil || len(restart) > 0 {
		t.Fatalf("Reload = %v, %v, want no restart", restart, err)
	}
	if status := ask("fresh"); status != 200 {
		t.Errorf("status %d after the reload", status)
	}
	bad := parse(t, strings.Replace(simulatedConfig, "gemma-2-2b-it", "gemma-9-9b-it", 1), map[string]http.Handler{"sim": provider})
	if _, err := g.Reload(bad, source()); err == nil || !strings.Contains(err.Error(), `did you mean "gemma-2-9b-it"?`) && !strings.Contains(err.Error(), `did you mean "gemma-2-2b-it"?`) {
		t.Errorf("a bad configuration: %v", err)
	}
	if status := ask("fresh"); status != 200 {
		t.Errorf("status %d after the bad reload", status)
	}
}

// The limit on reading a request does not apply to the answer. Clients that are slow to
// send a request are disconnected.
func TestSlowClients(t *testing.T) {
	slow := &simulate.Provider{Models: []simulate.Model{{Name: "gpt-4o-2024-08-06", OutputTokens: 60, PerToken: 10 * time.Millisecond},
		{Name: "gpt-4o-mini-2024-07-18"}, {Name: "gemma-2-2b-it"}}}
	_, url, stop := listening(t, simulatedConfig+"limits: {read_timeout: 100ms}", map[string]http.Handler{"sim": slow})
	defer stop()
	response, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(chat("gpt-4o-2024-08-06", sumQuestion, `"stream":true`)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	begun := time.Now()
	body, err := io.ReadAll(response.Body)
	if err != nil || !strings.HasSuffix(string(body), "data: [DONE]\n\n") || time.Since(begun) < 200*time.Millisecond {
		t.Errorf("a stream of %v ended with %v: …%q", time.Since(begun), err, body[max(0, len(body)-200):])
	}
	for _, half := range []string{"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n", "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"} {
		connection, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(connection, half)
		connection.SetReadDeadline(time.Now().Add(5 * time.Second))
		if answer, err := io.ReadAll(connection); err != nil {
			t.Errorf("the gateway waits for the rest of a request: %v after %q", err, answer)
		}
		connection.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

// The gateway gives up on a client that does not read its answer, and records that.
func TestClientDoesNotRead(t *testing.T) {
	flood := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		line := "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + strings.Repeat("x", 32<<10) + "\"}}]}\n\n"
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, line); err != nil {
				return
			}
		}
	})
	r := newRig(t, simulatedConfig+"limits: {write_timeout: 200ms}", map[string]http.Handler{"sim": flood})
	connection, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	body := chat("gpt-4o-2024-08-06", sumQuestion, `"stream":true`)
	fmt.Fprintf(connection, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	waitFor(t, func() bool { return len(r.records.list()) == 1 })
	if a := r.records.list()[0]; a.Outcome != record.ClientGone || a.Usage.Output == 0 || !a.Estimated {
		t.Errorf("outcome %s with %+v", a.Outcome, a.Usage)
	}
}

// If the provider reports no usage, a client of another API receives the gateway's count.
func TestCountedUsage(t *testing.T) {
	const whole = `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"one two three"},"finish_reason":"stop"}]}`
	const streamed = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one two three\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	for _, test := range []struct{ path, body, want string }{
		{"/v1/messages", `{"model":"auto","max_tokens":9,"messages":[{"role":"user","content":"Count."}]}`, `"usage":{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":3}`},
		{"/v1/messages", `{"model":"auto","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Count."}]}`, `"usage":{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":3},"carrot":{`},
		{"/v1/responses", `{"model":"auto","input":"Count."}`, `"usage":{"input_tokens":6,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":3`},
		{"/v1/responses", `{"model":"auto","stream":true,"input":"Count."}`, `"usage":{"input_tokens":6,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":3`},
	} {
		kind, answer := "application/json", whole
		if strings.Contains(test.body, `"stream"`) {
			kind, answer = "text/event-stream", streamed
		}
		r := newRig(t, "providers: [{name: a, kind: openai, base_url: $a/v1, apis: [chat]}]\nmodels: [{name: gemma-2-2b-it, provider: a}]", map[string]http.Handler{"a": said(200, kind, answer)})
		got := r.post(t, test.path, test.body)
		if got.status != 200 || !strings.Contains(got.body, test.want) {
			t.Errorf("%s: status %d: %s\nwant %s", test.path, got.status, got.body, test.want)
		}
		if a := r.records.list()[0]; a.Usage.Input != 6 || a.Usage.Output != 3 || !a.Estimated {
			t.Errorf("recorded %+v, estimated %v", a.Usage, a.Estimated)
		}
	}
}

// The usage of an unusable answer is recorded, because the provider bills it.
func TestUnusableAnswerIsBilled(t *testing.T) {
	r := newRig(t, pairConfig+"retry: {retries: 0}", map[string]http.Handler{
		"a": said(200, "application/json", `{"id":"c","choices":[],"usage":{"prompt_tokens":5000,"completion_tokens":900}}`),
		"b": said(200, "application/json", `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`)})
	if got := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion)); got.status != 200 || !strings.Contains(got.body, "hi") {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if a := r.records.list()[0]; a.ErrorCode != "malformed_answer" || a.Usage.Input != 5000 || a.Usage.Output != 900 || a.Cost == 0 {
		t.Errorf("recorded %s with %+v at %v", a.ErrorCode, a.Usage, a.Cost)
	}
}

// A stream without an answer is a failure, even if it ends correctly.
func TestEmptyStream(t *testing.T) {
	const whole = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	r := newRig(t, pairConfig+"retry: {retries: 0}", map[string]http.Handler{"a": said(200, "text/event-stream", "data: [DONE]\n\n"), "b": said(200, "text/event-stream", whole)})
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		if got := r.post(t, path, chat("auto", sumQuestion, `"stream":true`, `"max_tokens":9`)); !strings.Contains(got.body, "hi") {
			t.Errorf("%s: status %d from %s: %q", path, got.status, got.header.Get("X-Carrot-Model"), got.body)
		}
	}
	if first := r.records.list()[0]; first.Outcome != record.FellBack || first.ErrorCode != "empty_stream" || first.Cost != 0 {
		t.Errorf("record %+v", first)
	}
}

// A complete answer is served even if the provider does not end its stream correctly.
func TestCompleteThenBroken(t *testing.T) {
	const whole = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi there\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
	for name, after := range map[string]http.HandlerFunc{
		"silence": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"reset": func(w http.ResponseWriter, _ *http.Request) {
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		},
	} {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			said(200, "text/event-stream", whole).ServeHTTP(w, r)
			http.NewResponseController(w).Flush()
			time.Sleep(50 * time.Millisecond)
			after(w, r)
		})
		r := newRig(t, pairConfig+"timeouts: {total: 300ms}", map[string]http.Handler{"a": handler, "b": handler})
		got := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion, `"stream":true`))
		if a := r.records.list()[0]; a.Outcome != record.Served || !strings.HasSuffix(got.body, "data: [DONE]\n\n") || strings.Contains(got.body, `"error"`) {
			t.Errorf("%s: recorded as %s %s; the client got %s", name, a.Outcome, a.ErrorCode, got.body)
		}
	}
}
