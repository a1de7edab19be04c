package gateway_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot/record"
)

// one has a model at a provider of the API chat.
const one = `
providers: [{name: a, kind: openai, base_url: $a/v1, apis: [chat, embeddings], api_key: key-one}]
models: [{name: gpt-4o-2024-08-06, provider: a, context: 1000}]
embeddings: [{name: vectors, provider: a, price: {input: 0.02}}]
policies: [{name: auto, objective: quality}]
retry: {retries: 0}
`

// inEachAPI are requests with the same text.
func inEachAPI(text string) map[string]string {
	return map[string]string{
		"/v1/chat/completions": chat("auto", text),
		"/v1/messages":         `{"model":"auto","max_tokens":20,"messages":[{"role":"user","content":"` + text + `"}]}`,
		"/v1/responses":        `{"model":"auto","input":"` + text + `"}`,
	}
}

// A request that is too long is refused in the words by which clients of each API
// recognize it, whether a provider or the gateway refuses it.
func TestTooLongInEachAPI(t *testing.T) {
	const llama = `{"error":{"code":400,"message":"request (1234 tokens) exceeds the available context size (1000 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":1234,"n_ctx":1000}}`
	for name, test := range map[string]struct{ text, counts string }{
		"by the provider": {"hi", "prompt is too long: 1234 tokens > 1000 maximum"},
		"by the gateway":  {strings.Repeat("word ", 3000), "tokens > 1000 maximum"},
	} {
		r := newRig(t, one, map[string]http.Handler{"a": said(400, "application/json", llama)})
		for path, body := range inEachAPI(test.text) {
			a := r.post(t, path, body)
			e := gjson.Get(a.body, "error")
			if a.status != 400 || e.Get("type").Str != "invalid_request_error" {
				t.Errorf("%s, %s: status %d, %s", name, path, a.status, a.body)
			}
			switch message := e.Get("message").Str; path {
			case "/v1/messages":
				if !strings.HasPrefix(message, "prompt is too long: ") || !strings.Contains(message, test.counts) {
					t.Errorf("%s, %s: %q, want %q", name, path, message, test.counts)
				}
			case "/v1/responses":
				if e.Get("code").Str != "context_length_exceeded" || e.Get("param").Str != "input" || !strings.Contains(message, "exceeds the context window") {
					t.Errorf("%s, %s: %s", name, path, a.body)
				}
			default:
				if e.Get("code").Str != "context_length_exceeded" || e.Get("param").Str != "messages" || !strings.Contains(message, "maximum context length") {
					t.Errorf("%s, %s: %s", name, path, a.body)
				}
			}
		}
	}
}

// A provider's own answer goes back byte for byte if the client knows its words.
func TestTooLongAsItIs(t *testing.T) {
	const body = `{ "error":{"message":"This model's maximum context length is 8 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"} }`
	r := newRig(t, one, map[string]http.Handler{"a": said(400, "application/json", body)})
	if a := r.post(t, "/v1/chat/completions", chat("auto", "hi")); a.status != 400 || a.body != body {
		t.Errorf("status %d, %s", a.status, a.body)
	}
}

// The provider's id of the request and its rate limits reach the client and the record,
// with an answer and with an error.
func TestProviderNotes(t *testing.T) {
	const answer = `{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`
	for status, body := range map[int]string{200: answer, 400: `{"error":{"message":"no","code":"bad"}}`, 429: `{"error":{"message":"slow down"}}`} {
		r := newRig(t, one, map[string]http.Handler{"a": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h.Set("X-Request-Id", "there_1")
			h.Set("X-Ratelimit-Remaining-Requests", "7")
			h.Set("Anthropic-Ratelimit-Tokens-Limit", "100")
			h.Set("X-Other", "x")
			w.WriteHeader(status)
			io.WriteString(w, body)
		})})
		for path, body := range inEachAPI("hi") {
			a := r.post(t, path, body)
			if a.status != status || a.header.Get("X-Carrot-Upstream-Request-Id") != "there_1" || a.header.Get("X-Ratelimit-Remaining-Requests") != "7" || a.header.Get("Anthropic-Ratelimit-Tokens-Limit") != "100" {
				t.Errorf("%d, %s: status %d with %v", status, path, a.status, a.header)
			}
			if a.header.Get("X-Other") != "" || !strings.HasPrefix(a.header.Get("X-Request-Id"), "req_") {
				t.Errorf("%d, %s: headers %v", status, path, a.header)
			}
		}
		for _, a := range r.records.list() {
			if want := map[string]string{"x-ratelimit-remaining-requests": "7", "anthropic-ratelimit-tokens-limit": "100"}; a.UpstreamRequestID != "there_1" || !maps.Equal(a.RateLimits, want) {
				t.Errorf("%d: recorded %q, %v", status, a.UpstreamRequestID, a.RateLimits)
			}
		}
	}
}

// A client learns that no quota is left, but nothing of the key.
func TestNoQuota(t *testing.T) {
	const body = `{"error":{"message":"You exceeded your current quota of key-one","type":"insufficient_quota","code":"insufficient_quota"}}`
	r := newRig(t, one, map[string]http.Handler{"a": said(429, "application/json", body)})
	for path, body := range inEachAPI("hi") {
		a := r.post(t, path, body)
		e := gjson.Get(a.body, "error")
		if a.status != 429 || e.Get("type").Str == "rate_limit_error" || e.Get("code").Str+e.Get("details.error_code").Str != "insufficient_quota" || strings.Contains(a.body, "exceeded") {
			t.Errorf("%s: status %d, %s", path, a.status, a.body)
		}
	}
	if n := len(r.records.list()); n != 3 {
		t.Errorf("%d calls, want one for each request", n)
	}
}

// What is wrong with a request is said with the field and the code, also in another API.
func TestErrorDetails(t *testing.T) {
	const openai = `{"error":{"message":"unsupported","type":"invalid_request_error","param":"tools","code":"unsupported_value"}}`
	r := newRig(t, one, map[string]http.Handler{"a": said(400, "application/json", openai)})
	requests := inEachAPI("hi")
	if a := r.post(t, "/v1/responses", requests["/v1/responses"]); gjson.Get(a.body, "error.param").Str != "tools" || gjson.Get(a.body, "error.code").Str != "unsupported_value" {
		t.Errorf("responses: %s", a.body)
	}
	if a := r.post(t, "/v1/messages", requests["/v1/messages"]); gjson.Get(a.body, "error.details.error_code").Str != "unsupported_value" || gjson.Get(a.body, "error.type").Str != "invalid_request_error" {
		t.Errorf("messages: %s", a.body)
	}
	const anthropic = `{"type":"error","error":{"type":"invalid_request_error","message":"twice","details":{"error_code":"tool_name_conflict"}}}`
	r = newRig(t, `
providers: [{name: a, kind: anthropic, base_url: $a/v1, api_key: key-one}]
models: [{name: gpt-4o-2024-08-06, provider: a}]
policies: [{name: auto, objective: quality}]
`, map[string]http.Handler{"a": said(400, "application/json", anthropic)})
	if a := r.post(t, "/v1/chat/completions", requests["/v1/chat/completions"]); gjson.Get(a.body, "error.code").Str != "tool_name_conflict" {
		t.Errorf("chat: %s", a.body)
	}
}

// Embedding models stand among the models.
func TestListedEmbeddings(t *testing.T) {
	r := newRig(t, one, map[string]http.Handler{"a": said(200, "application/json", "{}")})
	for path, want := range map[string]string{"/v1/models": "data.#(id==vectors).owned_by", "/v1/models/vectors": "owned_by"} {
		response, err := http.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if got := gjson.GetBytes(body, want).Str; response.StatusCode != 200 || got != "a" {
			t.Errorf("%s: status %d, %s", path, response.StatusCode, body)
		}
	}
}

// Answers and streams that come compressed, although that was not asked for, are read.
func TestCompressedExchange(t *testing.T) {
	const answer = `{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1}}`
	const stream = `data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1}}` + "\n\ndata: [DONE]\n\n"
	for _, test := range []struct{ kind, body, more string }{{"application/json", answer, ""}, {"text/event-stream", stream, `"stream":true`}} {
		r := newRig(t, one, map[string]http.Handler{"a": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			io.WriteString(z, test.body)
			z.Close()
			w.Header().Set("Content-Type", test.kind)
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(b.Bytes())
		})})
		more := []string{}
		if test.more != "" {
			more = append(more, test.more)
		}
		a := r.post(t, "/v1/chat/completions", chat("auto", "x", more...))
		got := r.records.list()[0]
		if a.status != 200 || !strings.Contains(a.body, `"content":"hi"`) || a.header.Get("Content-Encoding") != "" || got.Outcome != record.Served || got.Usage.Input != 5 {
			t.Errorf("%s: status %d, %v, %s, recorded %+v", test.kind, a.status, a.header, a.body, got)
		}
	}
}
