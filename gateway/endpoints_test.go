package gateway_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/record"
)

// send sends a request to a handler and returns the answer.
func send(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Endpoints other than conversations answer according to the client's key and limits.
func TestEndpoints(t *testing.T) {
	provider := simulated(0)
	r := newRig(t, simulatedConfig+`
policies: [{name: support, models: [gemma-2-2b-it]}]
clients:
  - {name: shop, key: shop-key-0123456789, policies: [support]}
  - {name: all, key: all-key-0123456789}
`, map[string]http.Handler{"sim": provider})
	const shop, all, anthropic = "Authorization: Bearer shop-key-0123456789", "Authorization: Bearer all-key-0123456789", "Anthropic-Version: 2023-06-01"
	const count = `{"model":"support","messages":[{"role":"user","content":"Hi"}]}`
	for _, test := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want, not                string
	}{
		{"health needs no key", "GET", "/health", "", nil, 200, "ok", ""},
		{"ready needs no key", "GET", "/ready", "", nil, 200, "ready", ""},
		{"models need a key", "GET", "/v1/models", "", nil, 401, "no key was sent", ""},
		{"all models and policies", "GET", "/v1/models", "", []string{all}, 200, `"id":"gpt-4o-2024-08-06"`, ""},
		{"models that a client may use", "GET", "/v1/models", "", []string{shop}, 200, `"id":"support"`, "gpt-4o"},
		{"one model", "GET", "/v1/models/support", "", []string{shop}, 200, `"id":"support"`, "data"},
		{"auto, which means its first policy", "GET", "/v1/models/auto", "", []string{shop}, 200, `"id":"auto"`, "data"},
		{"one model that it may not use", "GET", "/v1/models/quality", "", []string{shop}, 404, `"code":"model_not_found"`, ""},
		{"estimate of tokens", "POST", "/v1/messages/count_tokens", count, []string{shop}, 200, `{"input_tokens":5}`, ""},
		{"estimate of tokens for a policy that it may not use", "POST", "/v1/messages/count_tokens", strings.Replace(count, "support", "quality", 1), []string{shop}, 403, `"type":"permission_error"`, ""},
		{"embeddings that are not configured", "POST", "/v1/embeddings", `{"model":"e","input":"x"}`, []string{all}, 404, "no embedding model is configured", ""},
		{"another method", "GET", "/v1/chat/completions", "", []string{all}, 405, "/v1/chat/completions requires POST", ""},
		{"another path", "POST", "/v1/audio/speech", "{}", []string{all}, 404, `{"error":{"message":"no endpoint POST /v1/audio/speech`, ""},
		{"another path in Anthropic's form", "POST", "/v1/messages/batches", "{}", []string{all}, 404, `{"error":{"type":"not_found_error"`, ""},
		{"another path with Anthropic's header", "GET", "/v1/files", "", []string{all, anthropic}, 404, `"type":"error"`, ""},
	} {
		w := send(r.Gateway, test.method, test.path, test.body, test.headers...)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) || test.not != "" && strings.Contains(w.Body.String(), test.not) {
			t.Errorf("%s: status %d, want %d with %q and not %q: %s", test.name, w.Code, test.status, test.want, test.not, w.Body)
		}
		if test.status == 405 && w.Header().Get("Allow") != "POST" {
			t.Errorf("%s: Allow is %q", test.name, w.Header().Get("Allow"))
		}
	}
	if cost := provider.Bill().Cost(); cost != 0 {
		t.Errorf("the provider billed %v, want nothing", cost)
	}
}

// The provider counts the tokens for a model that the request names, unless that fails.
func TestCountTokens(t *testing.T) {
	counting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.URL.Path != "/v1/messages/count_tokens" || !strings.Contains(string(body), `"model":"theirs"`):
			t.Errorf("called %s with %s", r.URL.Path, body)
		case strings.Contains(string(body), "bad"):
			w.WriteHeader(400)
			io.WriteString(w, `{"type":"error","error":{"type":"invalid_request_error","message":"as they say"}}`)
		case strings.Contains(string(body), "down"):
			w.WriteHeader(500)
		default:
			io.WriteString(w, `{"input_tokens":4711}`)
		}
	})
	r := newRig(t, `
providers: [{name: a, kind: anthropic, base_url: $a}]
models: [{name: gemma-2-2b-it, provider: a, upstream: theirs}]
`, map[string]http.Handler{"a": counting}) // without /v1, as in Anthropic's SDKs
	f := func(text string, status int, want string) {
		t.Helper()
		a := r.post(t, "/v1/messages/count_tokens", `{"model":"gemma-2-2b-it","messages":[{"role":"user","content":"`+text+`"}]}`)
		if a.status != status || !strings.Contains(a.body, want) {
			t.Errorf("%s: status %d, want %d with %s: %s", text, a.status, status, want, a.body)
		}
	}
	f("hello", 200, `{"input_tokens":4711}`)
	f("bad", 400, "as they say")
	f("down", 200, `{"input_tokens":5}`)
}

// Policies and requests can require tags of the models.
func TestTags(t *testing.T) {
	r := newRig(t, `
providers: [{name: sim, kind: openai, base_url: $sim/v1}]
models:
  - {name: gpt-4o-2024-08-06, provider: sim, tags: [eu, onsite]}
  - {name: gpt-4o-mini-2024-07-18, provider: sim, tags: [eu]}
  - {name: gemma-2-2b-it, provider: sim}
policies: [{name: europe, objective: usd-per-quality=0, tags: [eu]}]
`, map[string]http.Handler{"sim": simulated(0)})
	f := func(model, want string, headers ...string) {
		t.Helper()
		if a := r.post(t, "/v1/chat/completions", chat(model, sumQuestion), headers...); a.header.Get("X-Carrot-Model") != want {
			t.Errorf("%s with %v: served by %q, want %s: %.200s", model, headers, a.header.Get("X-Carrot-Model"), want, a.body)
		}
	}
	const cheapest = "auto:usd-per-quality=0"
	f(cheapest, "gemma-2-2b-it")
	f("europe", "gpt-4o-mini-2024-07-18")
	f(cheapest, "gpt-4o-mini-2024-07-18", "X-Carrot-Tags: eu")
	f(cheapest, "gpt-4o-2024-08-06", "X-Carrot-Tags: eu, onsite")
	f("europe", "gpt-4o-2024-08-06", "X-Carrot-Tags: onsite")
}

// If a provider hangs, the next candidate is tried after the timeout.
func TestWholeAnswerTimeout(t *testing.T) {
	hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	r := newRig(t, pairConfig+"timeouts: {total: 100ms}", map[string]http.Handler{"a": hang, "b": &replies{statuses: []int{200}}})
	a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion))
	if a.status != 200 || a.header.Get("X-Carrot-Model") != "gemma-2-2b-it" {
		t.Errorf("status %d from %s: %s", a.status, a.header.Get("X-Carrot-Model"), a.body)
	}
	if all := r.records.list(); len(all) != 2 || all[0].ErrorCode != "timeout" || all[1].Reason != record.Fallback || all[1].First != "gpt-4o-2024-08-06" {
		t.Errorf("records %+v", all)
	}
}

// Operators can read metrics and reload, with the admin key if there is one. Web pages of
// other origins cannot.
func TestAdmin(t *testing.T) {
	for _, key := range []string{"", "admin-key-0123456789"} {
		config := simulatedConfig
		if key != "" {
			config += "admin_key: " + key + "\n"
		}
		registry := prometheus.NewRegistry()
		g, err := gateway.New(parse(t, config, map[string]http.Handler{"sim": simulated(0)}), source(), gateway.Options{Registerer: registry})
		if err != nil {
			t.Fatal(err)
		}
		reloads, bad := 0, error(nil)
		admin := g.Admin(gateway.AdminOptions{Metrics: registry, Reload: func() error { reloads++; return bad },
			Handlers: map[string]http.Handler{"GET /ledger/": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a page") })}})
		right := "Authorization: bearer " + key
		for _, path := range []string{"/metrics", "/debug/pprof/", "/health", "/ledger/today"} {
			if w := send(admin, "GET", path, "", right); w.Code != 200 {
				t.Errorf("%s with the key %q: status %d", path, key, w.Code)
			}
			if w := send(admin, "GET", path, "", "Authorization: Bearer wrong-key-012345678"); (w.Code == 401) != (key != "") {
				t.Errorf("%s with another key than %q: status %d", path, key, w.Code)
			}
		}
		if w := send(admin, "POST", "/reload", "", right); w.Code != 200 || reloads != 1 {
			t.Errorf("reload: status %d, %d reloads", w.Code, reloads)
		}
		if w := send(admin, "POST", "/reload", "", right, "Origin: https://example.org", "Sec-Fetch-Site: cross-site"); w.Code != 403 || reloads != 1 {
			t.Errorf("reload from a web page: status %d, %d reloads", w.Code, reloads)
		}
		bad = errors.New("models[0]: wrong")
		if w := send(admin, "POST", "/reload", "", right); w.Code != 422 || !strings.Contains(w.Body.String(), "models[0]: wrong") {
			t.Errorf("a bad reload: status %d: %s", w.Code, w.Body)
		}
	}
}

// Operators can ask for a decision at their address without a client's key. Clients cannot do
// without one, and operators cannot without theirs.
func TestAdminRoute(t *testing.T) {
	config := simulatedConfig + "clients: [{name: a, key: client-key-0123456789}]\nadmin_key: admin-key-0123456789\n"
	g, err := gateway.New(parse(t, config, map[string]http.Handler{"sim": simulated(0)}), source(), gateway.Options{})
	if err != nil {
		t.Fatal(err)
	}
	admin, body := g.Admin(gateway.AdminOptions{}), chat("auto", sumQuestion)
	for _, tt := range []struct {
		name    string
		handler http.Handler
		key     string
		want    int
	}{
		{"an operator", admin, "admin-key-0123456789", 200},
		{"a client at the operators' address", admin, "client-key-0123456789", 401},
		{"nobody at the operators' address", admin, "", 401},
		{"a client", g, "client-key-0123456789", 200},
		{"an operator at the clients' address", g, "admin-key-0123456789", 401},
	} {
		w := send(tt.handler, "POST", "/v1/route", body, "Authorization: Bearer "+tt.key)
		if w.Code != tt.want || tt.want == 200 && !strings.Contains(w.Body.String(), `"schema":"carrot.decision/1"`) {
			t.Errorf("%s: status %d: %s", tt.name, w.Code, w.Body)
		}
	}
	if w := send(admin, "POST", "/v1/chat/completions", body, "Authorization: Bearer admin-key-0123456789"); w.Code != 404 {
		t.Errorf("a request that calls a model: status %d", w.Code)
	}
}

// After a signal to stop, /ready fails at once, but requests are accepted for a while.
func TestDrain(t *testing.T) {
	_, url, stop := listening(t, simulatedConfig+"limits: {drain: 500ms}", map[string]http.Handler{"sim": simulated(0)})
	defer http.DefaultClient.CloseIdleConnections()
	stopped := make(chan error, 1)
	get := func(path string) int {
		response, err := http.Get(url + path)
		if err != nil {
			return 0
		}
		response.Body.Close()
		return response.StatusCode
	}
	if status := get("/ready"); status != 200 {
		t.Fatalf("/ready is %d", status)
	}
	go func() { stopped <- stop() }()
	waitFor(t, func() bool { return get("/ready") == 503 })
	response, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(chat("auto", sumQuestion)))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 {
		t.Errorf("a request after the signal: status %d", response.StatusCode)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// Without a handler for operators, the gateway's own serves them.
func TestServeOperators(t *testing.T) {
	g, err := gateway.New(parse(t, simulatedConfig, map[string]http.Handler{"sim": simulated(0)}), source(), gateway.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var listeners [2]net.Listener
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, listeners[0], listeners[1], nil) }()
	defer http.DefaultClient.CloseIdleConnections()
	for path, want := range map[string]int{"/health": 200, "/metrics": 404, "/reload": 404} {
		response, err := http.Get("http://" + listeners[1].Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: status %d, want %d", path, response.StatusCode, want)
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// Headers longer than the limit are refused.
func TestHeaderLimit(t *testing.T) {
	_, url, stop := listening(t, simulatedConfig+"limits: {header_kb: 1}", map[string]http.Handler{"sim": simulated(0)})
	defer stop()
	connection, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(connection, "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: "+strings.Repeat("x", 8<<10)+"\r\n\r\n")
	answer, _ := io.ReadAll(connection)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
		t.Errorf("answered %.60q", answer)
	}
}

// The gateway estimates the tokens if the provider cannot count them.
func TestCountTokensWithoutEndpoint(t *testing.T) {
	r := newRig(t, `
providers: [{name: a, kind: anthropic, base_url: $a}]
models: [{name: gemma-2-2b-it, provider: a}]
`, map[string]http.Handler{"a": http.NotFoundHandler()})
	if a := r.post(t, "/v1/messages/count_tokens", `{"model":"gemma-2-2b-it","messages":[{"role":"user","content":"hello"}]}`); a.status != 200 || a.body != "{\"input_tokens\":5}\n" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}
