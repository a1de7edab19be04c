package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// Each kind of provider has its own addresses and its own header for the key.
func TestUpstreamCall(t *testing.T) {
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	for _, test := range []struct {
		name     string
		upstream *Upstream
		call     Call
		url      string
		headers  []string // Name=value
	}{
		{"OpenAI", &Upstream{Kind: OpenAI, BaseURL: server.URL + "/v1", Keys: []string{"k"}}, Call{API: wire.Chat}, "/v1/chat/completions", []string{"Authorization=Bearer k", "X-Api-Key="}},
		{"a slash at the end", &Upstream{Kind: OpenAI, BaseURL: server.URL + "/v1/"}, Call{API: wire.Responses}, "/v1/responses", []string{"Authorization="}},
		{"another path, and a query that is kept", &Upstream{Kind: OpenAI, BaseURL: server.URL + "/v1beta/openai?x=1"}, Call{API: wire.Embeddings}, "/v1beta/openai/embeddings?x=1", nil},
		{"Anthropic", &Upstream{Kind: Anthropic, BaseURL: server.URL + "/v1", Keys: []string{"k"}}, Call{API: wire.Messages}, "/v1/messages", []string{"X-Api-Key=k", "Anthropic-Version=2023-06-01", "Authorization="}},
		{"Anthropic's count, and the client's version", &Upstream{Kind: Anthropic, BaseURL: server.URL + "/v1"}, Call{API: wire.Messages, Path: "count_tokens", Header: http.Header{"Anthropic-Version": {"2024-01-01"}}},
			"/v1/messages/count_tokens", []string{"Anthropic-Version=2024-01-01"}},
		{"Azure", &Upstream{Kind: Azure, BaseURL: server.URL, APIVersion: "2024-10-21", Keys: []string{"k"}}, Call{API: wire.Chat, Model: "my gpt/4"},
			"/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21", []string{"Api-Key=k", "Authorization="}},
		{"Azure's responses", &Upstream{Kind: Azure, BaseURL: server.URL, APIVersion: "preview"}, Call{API: wire.Responses, Model: "m"}, "/openai/responses?api-version=preview", nil},
		{"headers of the config replace others", &Upstream{Kind: OpenAI, BaseURL: server.URL, Keys: []string{"k"}, Header: http.Header{"Authorization": {"Basic x"}, "X-Team": {"t"}}}, Call{API: wire.Chat},
			"/chat/completions", []string{"Authorization=Basic x", "X-Team=t"}},
		{"the second key", &Upstream{Kind: OpenAI, BaseURL: server.URL, Keys: []string{"k1", "k2"}}, Call{API: wire.Chat, Key: 1}, "/chat/completions", []string{"Authorization=Bearer k2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.upstream.Transport = NewTransport(time.Second)
			defer test.upstream.CloseIdleConnections()
			test.call.Body = []byte(`{"a": 1}`)
			response, err := test.upstream.Do(t.Context(), test.call)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if got.URL.String() != test.url || string(body) != `{"a": 1}` || got.Header.Get("Accept-Encoding") != "" {
				t.Errorf("called %s with %s, encoding %q, want %s", got.URL, body, got.Header.Get("Accept-Encoding"), test.url)
			}
			for _, h := range test.headers {
				if name, value, _ := strings.Cut(h, "="); got.Header.Get(name) != value {
					t.Errorf("header %s is %q, want %q", name, got.Header.Get(name), value)
				}
			}
			if shown := fmt.Sprintf("%v %+v %#v", test.upstream, test.upstream, test.upstream); strings.Contains(shown, "k1") {
				t.Errorf("a key is shown in %s", shown)
			}
		})
	}
}

// Errors are classified by status, code and message.
func TestErrorKinds(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		want   ErrorKind
		code   string
	}{
		{400, `{"error":{"message":"bad","type":"invalid_request_error","code":"unsupported"}}`, Invalid, "unsupported"},
		{400, `{"error":{"message":"This model's maximum context length is 8192 tokens.","code":"context_length_exceeded"}}`, ContextLength, "context_length_exceeded"},
		{400, `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}`, ContextLength, "invalid_request_error"},
		{413, `{"error":{"message":"Input is too long for requested model."}}`, ContextLength, ""},
		{401, `{"error":{"message":"Incorrect API key provided: secret-key"}}`, KeyRefused, ""},
		{403, ``, KeyRefused, ""},
		{402, `{"error":{"message":"Insufficient Balance","code":"a code of words"}}`, KeyRefused, "insufficient_quota"},
		{429, `{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`, KeyRefused, "insufficient_quota"},
		{429, `{"error":{"message":"Your account is not active, please check your billing details","type":"exceeded_current_quota_error"}}`, KeyRefused, "insufficient_quota"},
		{400, `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}`, KeyRefused, "insufficient_quota"},
		{413, `{"error":{"message":"Request too large for model on tokens per minute (TPM): Limit 6000, Requested 9000","type":"tokens","code":"rate_limit_exceeded"}}`, RateLimited, "rate_limit_exceeded"},
		{400, `{"type":"error","error":{"type":"invalid_request_error","message":"m","details":{"error_code":"tool_name_conflict"}}}`, Invalid, "tool_name_conflict"},
		{400, `[{"error":{"code":400,"message":"The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).","status":"INVALID_ARGUMENT"}}]`, ContextLength, "400"},
		{500, `{"error":{"message":"the request exceeds the available context size, try increasing it"}}`, ContextLength, ""},
		{404, `{"error":{"message":"no such model","code":"model_not_found"}}`, Invalid, "model_not_found"},
		{422, `{"detail":"bad"}`, Invalid, ""},
		{408, ``, Server, ""},
		{429, `{"error":{"message":"slow down","code":"rate_limit_exceeded"}}`, RateLimited, "rate_limit_exceeded"},
		{500, `<html>oops</html>`, Server, ""},
		{529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, Server, "overloaded_error"},
		{302, ``, Server, ""},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(test.status)
			io.WriteString(w, test.body)
		}))
		u := &Upstream{Name: "p", BaseURL: server.URL, Keys: []string{"secret-key"}, Transport: NewTransport(time.Second)}
		_, err := u.Do(t.Context(), Call{API: wire.Chat})
		u.CloseIdleConnections()
		server.Close()
		f, ok := errors.AsType[*Error](err)
		if !ok || f.Kind != test.want || f.Code != test.code || f.Status != test.status || f.RetryAfter != 3*time.Second {
			t.Errorf("status %d, %s: %+v, want %s with code %q", test.status, test.body, f, test.want, test.code)
			continue
		}
		if strings.Contains(f.Error()+string(f.Body), "secret-key") {
			t.Errorf("the key is in %v, %s", f, f.Body)
		}
	}
}

// Calls that get no answer are classified too.
func TestNetworkError(t *testing.T) {
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }))
	defer hang.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	f := func(name, address string, ctx context.Context, want ErrorKind) {
		t.Helper()
		u := &Upstream{BaseURL: address, Transport: NewTransport(time.Second)}
		defer u.CloseIdleConnections()
		_, err := u.Do(ctx, Call{API: wire.Chat, Body: []byte("{}")})
		if failure, ok := errors.AsType[*Error](err); !ok || failure.Kind != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	late, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	gone, hangUp := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, hangUp)
	ended, end := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { end(&Error{Kind: Timeout, Code: "first_token_timeout"}) })
	f("refused", closed.URL, t.Context(), Network)
	f("no address", "not an address", t.Context(), Network)
	f("late", hang.URL, late, Timeout)
	f("the client has hung up", hang.URL, gone, Canceled)
	f("cancelled with a cause", hang.URL, ended, Timeout)
}

func TestSpeaks(t *testing.T) {
	f := func(apis []wire.API, want, speaks wire.API) {
		t.Helper()
		if got := (&Upstream{APIs: apis}).Speaks(want); got != speaks {
			t.Errorf("Speaks(%s) of %v = %q, want %q", want, apis, got, speaks)
		}
	}
	f([]wire.API{wire.Chat, wire.Responses}, wire.Responses, wire.Responses)
	f([]wire.API{wire.Chat, wire.Responses}, wire.Messages, wire.Chat)
	f([]wire.API{wire.Embeddings, wire.Messages}, wire.Chat, wire.Messages)
	f([]wire.API{wire.Embeddings}, wire.Chat, "")
	f([]wire.API{wire.Chat}, wire.Embeddings, "")
}

func TestKeyOrder(t *testing.T) {
	u := &Upstream{Keys: []string{"a", "b", "c"}}
	for _, want := range [][]int{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}, {0, 1, 2}} {
		if got := u.keyOrder(-1); !slices.Equal(got, want) {
			t.Errorf("keyOrder(-1) = %v, want %v", got, want)
		}
	}
	for _, n := range []int{-1, 0, 1} {
		if got := (&Upstream{}).keyOrder(n); !slices.Equal(got, []int{0}) {
			t.Errorf("keyOrder(%d) without keys = %v, want [0]", n, got)
		}
	}
	for first, want := range [][]int{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}} {
		if got := u.keyOrder(first); !slices.Equal(got, want) {
			t.Errorf("keyOrder(%d) = %v, want %v", first, got, want)
		}
	}
	if got := u.keyOrder(3); !slices.Equal(got, []int{1, 2, 0}) { // the key is no longer configured
		t.Errorf("keyOrder(3) = %v, want the next key's turn", got)
	}
}

// An answer that is none, and an error whose body does not end, are over at once or
// within seconds.
func TestStalledErrors(t *testing.T) {
	stalled := roundTrip(func(r *http.Request) (*http.Response, error) {
		body, _ := io.Pipe() // nothing is ever written
		return &http.Response{StatusCode: 500, Header: http.Header{}, Body: body}, nil
	})
	switched := roundTrip(func(r *http.Request) (*http.Response, error) {
		body, _ := io.Pipe()
		return &http.Response{StatusCode: 101, Header: http.Header{}, Body: body}, nil
	})
	for _, test := range []struct {
		name      string
		transport http.RoundTripper
		within    time.Duration
		code      string
	}{{"an error without an end", stalled, maxErrorWait, ""}, {"another protocol", switched, 0, "malformed_answer"}} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			_, err := (&Upstream{BaseURL: "http://upstream/v1", Transport: test.transport}).Do(t.Context(), Call{API: wire.Chat})
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != Server || e.Code != test.code || time.Since(begun) > test.within {
				t.Errorf("%s: %v after %v", test.name, err, time.Since(begun))
			}
		})
	}
}
