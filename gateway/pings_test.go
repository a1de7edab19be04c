package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// clients are a request for a stream in each API, and the ping that its clients ignore.
var clients = []struct{ api, path, body, ping string }{
	{"chat", "/v1/chat/completions", `{"model":"auto","stream":true,"messages":[{"role":"user","content":"hi"}]}`, ": ping\n\n"},
	{"responses", "/v1/responses", `{"model":"auto","stream":true,"input":"hi"}`, ": ping\n\n"},
	{"messages", "/v1/messages", `{"model":"auto","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, "event: ping\ndata: {\"type\": \"ping\"}\n\n"},
}

// While a client waits for content it is sent pings, and another candidate can still
// answer. Headers that were not known before the first ping are trailers.
func TestPings(t *testing.T) {
	slow := []step{{900 * time.Millisecond, helloChunk}, {300 * time.Millisecond, lastChunks}}
	for _, client := range clients {
		t.Run(client.api, func(t *testing.T) {
			t.Parallel()
			a, b := &steps{}, &steps{steps: slow}
			r := newRig(t, lifeConfig+"timeouts: {first_token: 5s}\npings: 100ms\n"+
				"origins: [https://app.example]", map[string]http.Handler{"a": &steps{steps: slow}, "b": b})
			got := r.post(t, client.path, client.body, "Origin: https://app.example")
			before, after, ok := strings.Cut(got.body, "hello")
			if got.status != 200 || got.err != nil || !ok || !strings.HasPrefix(got.body, client.ping+client.ping) || strings.Contains(after, client.ping) {
				t.Errorf("status %d, %v: %s", got.status, got.err, got.body)
			}
			for strings.HasPrefix(before, client.ping) {
				before = strings.TrimPrefix(before, client.ping)
			}
			if strings.Contains(before, client.ping) {
				t.Errorf("pings are among the events: %s", got.body)
			}
			if got.header.Get("X-Carrot-Request-Id") == "" || got.header.Get("Content-Type") != "text/event-stream" || got.header.Get("Access-Control-Allow-Origin") == "" || got.header.Get("X-Carrot-Model") != "" {
				t.Errorf("headers %v", got.header)
			}
			if got.trailer.Get("X-Carrot-Model") != "gpt-4o-2024-08-06" || got.trailer.Get("X-Carrot-Attempts") != "1" || got.trailer.Get("X-Carrot-Cost") == "" || len(got.trailer["X-Carrot-Cost"]) != 1 || got.trailer.Get("X-Carrot-Request-Id") != "" {
				t.Errorf("trailers %v", got.trailer)
			}

			// Another candidate answers after pings.
			r = newRig(t, lifeConfig+"timeouts: {first_token: 700ms}\npings: 100ms", map[string]http.Handler{"a": a, "b": &steps{steps: []step{{0, helloChunk}, {0, lastChunks}}}})
			got = r.post(t, client.path, client.body)
			if !strings.HasPrefix(got.body, client.ping) || !strings.Contains(got.body, "hello") || got.trailer.Get("X-Carrot-Model") != "gemma-2-2b-it" || got.trailer.Get("X-Carrot-Attempts") != "2" {
				t.Errorf("after a fallback: trailers %v: %s", got.trailer, got.body)
			}
			if all := r.records.list(); len(all) != 2 || all[1].Outcome != "served" {
				t.Errorf("records:\n%s", summary(all))
			}
		})
	}
}

// A failure after pings is an event of the stream, in the client's API; before them it is
// an answer with its status.
func TestFailureAfterPings(t *testing.T) {
	late := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(500 * time.Millisecond)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})
	}
	const refusal = "{\"error\":{\"message\":\"no such thing\",\r\n\"type\":\"invalid_request_error\",\"code\":\"odd\"}}"
	for _, client := range clients {
		t.Run(client.api, func(t *testing.T) {
			t.Parallel()
			for _, test := range []struct {
				status  int
				body    string
				message string
			}{
				{503, `{"error":{"message":"overloaded","code":"busy"}}`, "no model could answer in 2 attempts; the last error: overloaded"},
				{400, refusal, "no such thing"},
			} {
				config := strings.Replace(lifeConfig, "kind: openai, base_url: $a/v1, apis: [chat]", "kind: openai, base_url: $a/v1, apis: ["+strings.Replace(client.api, "messages", "chat", 1)+"]", 1)
				r := newRig(t, config+"pings: 100ms", map[string]http.Handler{"a": late(test.status, test.body), "b": late(test.status, test.body)})
				got := r.post(t, client.path, client.body)
				event, ok := strings.CutPrefix(strings.ReplaceAll(got.body, client.ping, ""), "event: error\n")
				if client.api == "chat" {
					ok = !ok
				}
				data, isData := strings.CutPrefix(event, "data: ")
				path := "error.message"
				if client.api == "responses" {
					path = "message"
				}
				if before, last, two := strings.Cut(data, "event: response.failed\n"); client.api == "responses" {
					ok, data = ok && two && strings.Contains(last, `"status":"failed"`), before // its clients wait for this one
				}
				if got.status != 200 || !ok || !isData || !strings.HasPrefix(got.body, client.ping) || strings.Count(data, "\n") != 2 ||
					!gjson.Valid(data) || gjson.Get(data, path).Str != test.message {
					t.Errorf("%d: status %d: %q", test.status, got.status, got.body)
				}
				if got.trailer.Get("X-Carrot-Attempts") == "" || got.trailer.Get("X-Carrot-Model") == "" || test.status == 503 && got.trailer.Get("Retry-After") != "7" {
					t.Errorf("%d: trailers %v", test.status, got.trailer)
				}

				r = newRig(t, config+"pings: 1h", map[string]http.Handler{"a": late(test.status, test.body), "b": late(test.status, test.body)})
				if got := r.post(t, client.path, client.body); got.status != test.status || got.header.Get("X-Carrot-Attempts") == "" || gjson.Get(got.body, "error.message").Str != test.message {
					t.Errorf("%d without pings: status %d, headers %v: %s", test.status, got.status, got.header, got.body)
				}
			}
		})
	}
}

// Answers that are no streams, and streams that begin in time, have no pings.
func TestNoPings(t *testing.T) {
	r := newRig(t, simulatedConfig+"pings: 1ms", map[string]http.Handler{"sim": http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		time.Sleep(50 * time.Millisecond)
		simulated(0).ServeHTTP(w, q)
	})})
	if got := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion)); strings.Contains(got.body, "ping") || got.header.Get("X-Carrot-Model") == "" {
		t.Errorf("no stream: %s", got.body)
	}
	r = newRig(t, simulatedConfig+"pings: 1h", map[string]http.Handler{"sim": simulated(0)})
	got := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion, `"stream":true`))
	if strings.Contains(got.body, "ping") || got.header.Get("X-Carrot-Model") == "" || got.trailer.Get("X-Carrot-Cost") == "" || len(got.trailer) != 1 {
		t.Errorf("headers %v, trailers %v: %s", got.header, got.trailer, got.body)
	}
}
