package gateway_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/gateway"
)

// A web page can neither spend money through a gateway without keys nor reach its
// operators' endpoints: not across origins, and not by a name that was made to
// resolve to the loopback address.
func TestWebPages(t *testing.T) {
	const keys = "clients: [{name: a, key: client-key-0123456789}]\nadmin_key: admin-key-0123456789\n"
	for _, config := range []string{"", keys} {
		g, err := gateway.New(parse(t, simulatedConfig+config, map[string]http.Handler{"sim": simulated(0)}), source(), gateway.Options{})
		if err != nil {
			t.Fatal(err)
		}
		admin := g.Admin(gateway.AdminOptions{Reload: func() error { return nil }})
		ask := func(handler http.Handler, path, local, host, origin string) int {
			r := httptest.NewRequest("POST", path, strings.NewReader(chat("gemma-2-2b-it", sumQuestion)))
			r.Header.Set("Content-Type", "text/plain")
			r.Header.Set("Authorization", "Bearer client-key-0123456789")
			if path == "/reload" {
				r.Header.Set("Authorization", "Bearer admin-key-0123456789")
			}
			r.Host = host
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
			address, err := net.ResolveTCPAddr("tcp", local)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, address)))
			return w.Code
		}
		for _, test := range []struct {
			name, local, host, origin string
			want                      int
		}{
			{"a program", "127.0.0.1:8080", "127.0.0.1:8080", "", 200},
			{"a program by name", "127.0.0.1:8080", "localhost:8080", "", 200},
			{"a program by a name of its own", "[::1]:8080", "carrot.localhost:8080", "", 200},
			{"its own page", "127.0.0.1:8080", "localhost:8080", "http://localhost:8080", 200},
			{"a page of another origin", "127.0.0.1:8080", "127.0.0.1:8080", "https://evil.example", 403},
			{"a page of another origin, at a public address", "10.0.0.1:8080", "10.0.0.1:8080", "https://evil.example", 403},
			{"a rebound name", "127.0.0.1:8080", "evil.example:8080", "http://evil.example:8080", 403},
			{"a proxy at a public address", "10.0.0.1:8080", "carrot.example", "", 200},
		} {
			want := test.want
			if test.name == "a rebound name" && config != "" { // a key is required, which the page does not have
				want = 200
			}
			if got := ask(g, "/v1/chat/completions", test.local, test.host, test.origin); got != want {
				t.Errorf("%s, keys %v: status %d, want %d", test.name, config != "", got, want)
			}
			if got := ask(admin, "/reload", test.local, test.host, test.origin); got != want {
				t.Errorf("%s at the admin address, keys %v: status %d, want %d", test.name, config != "", got, want)
			}
		}
	}
}

// Names that others give are bounded before they are recorded or passed on.
func TestBoundedNames(t *testing.T) {
	long := strings.Repeat("m", 1<<20)
	for _, model := range []string{long, `a\u0000b`, "käse", `a\nb`} {
		answer := said(200, "application/json", `{"id":"`+model+`","object":"chat.completion","model":"`+model+`","choices":[{"index":0,"message":{"role":"assistant","content":"391"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
		r := newRig(t, simulatedConfig, map[string]http.Handler{"sim": answer})
		a := r.post(t, "/v1/chat/completions", chat("gpt-4o-2024-08-06", sumQuestion))
		waitFor(t, func() bool { return len(r.records.list()) == 1 }) // the client has all of a long answer before it is recorded
		kept := r.records.list()[0]
		if got := a.header.Get("X-Carrot-Upstream-Model"); a.status != 200 || got != "gpt-4o-2024-08-06" || kept.UpstreamModel != got || kept.AnswerID != "" {
			t.Errorf("%.20q: status %d, upstream model %.40q, recorded %.40q with id %.40q", model, a.status, got, kept.UpstreamModel, kept.AnswerID)
		}
	}
	r := newRig(t, simulatedConfig, map[string]http.Handler{"sim": simulated(0)})
	a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion, `"metadata":{"carrot_session":"`+strings.Repeat("s", 300)+`"}`))
	if a.status != 400 || !strings.Contains(a.body, "longer than 256 bytes") || len(r.records.list()) != 0 {
		t.Errorf("a long session: status %d: %.300s", a.status, a.body)
	}
}

// A body that is not UTF-8 is refused, and opens no breaker.
func TestInvalidUTF8(t *testing.T) {
	r := newRig(t, strings.Replace(simulatedConfig, "failures: 1000", "failures: 2", 1), map[string]http.Handler{"sim": simulated(0)})
	for range 5 {
		if a := r.post(t, "/v1/chat/completions", strings.Replace(chat("gemma-2-2b-it", "café"), "é", "\xe9", 1)); a.status != 400 || !strings.Contains(a.body, "not valid UTF-8") {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	if a := r.post(t, "/v1/chat/completions", chat("gemma-2-2b-it", "café")); a.status != 200 {
		t.Errorf("afterwards: status %d: %s", a.status, a.body)
	}
}

// A provider that switches protocols is a failure like any other: another model
// answers.
func TestSwitchingProtocols(t *testing.T) {
	switching := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		io.Copy(io.Discard, connection) // until the gateway gives up
		connection.Close()
	})
	r := newRig(t, pairConfig+"retry: {retries: 0}\n", map[string]http.Handler{"a": switching, "b": simulated(0)})
	a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion))
	all := r.records.list()
	if a.status != 200 || len(all) == 0 || all[len(all)-1].Provider != "b" {
		t.Errorf("status %d after %d attempts: %s", a.status, len(all), a.body)
	}
}

// A web page that is refused gets an error in the form of the API, with the request's id.
func TestRefusedWebPage(t *testing.T) {
	r := newRig(t, simulatedConfig, map[string]http.Handler{"sim": simulated(0)})
	for _, test := range []struct{ path, want string }{
		{"/v1/chat/completions", `"error":{"message":"web pages of other origins may not call this address","type":"invalid_request_error","param":null,"code":"not_allowed","request_id":"req_`},
		{"/v1/responses", `"code":"not_allowed"`},
		{"/v1/messages", `{"error":{"type":"permission_error","message":"web pages of other origins may not call this address","details":{"error_code":"not_allowed"}},"request_id":"req_`},
		{"/v1/messages/count_tokens", `"type":"error"`},
	} {
		a := r.post(t, test.path, chat("auto", sumQuestion), "Origin: https://evil.example")
		if a.status != 403 || !strings.Contains(a.body, test.want) || a.header.Get("X-Carrot-Request-Id") == "" || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: status %d, %v: %s, want %s", test.path, a.status, a.header, a.body, test.want)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/chat/completions", strings.NewReader(chat("auto", sumQuestion)))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "evil.example"
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); response.StatusCode != 403 || err != nil || !strings.Contains(string(body), `"code":"not_allowed"`) {
		t.Errorf("a rebound name: status %d: %s, %v", response.StatusCode, body, err)
	}
}
