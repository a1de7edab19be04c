package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// step is a part of a stream that is sent after a pause.
type step struct {
	pause time.Duration
	text  string
}

// steps is a provider that sends a stream in steps and then nothing more, until the
// client is gone.
type steps struct {
	steps []step
	calls atomic.Int32
}

func (s *steps) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	io.Copy(io.Discard, r.Body) // so that the server notices that the client is gone
	w.Header().Set("Content-Type", "text/event-stream")
	for _, step := range s.steps {
		select {
		case <-time.After(step.pause):
		case <-r.Context().Done():
			return
		}
		io.WriteString(w, step.text)
		http.NewResponseController(w).Flush()
		if strings.Contains(step.text, "[DONE]") {
			return
		}
	}
	<-r.Context().Done()
}

const (
	lifeComment = ": PROCESSING\n\n"
	roleChunk   = `data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n"
	helloChunk  = `data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"hello"}}]}` + "\n\n"
	lastChunks  = `data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}` + "\n\ndata: [DONE]\n\n"
)

// lifeConfig has a better model at $a and a worse one at $b. The times are as far apart as
// a loaded machine needs.
const lifeConfig = `
providers:
  - {name: a, kind: openai, base_url: $a/v1, apis: [chat]}
  - {name: b, kind: openai, base_url: $b/v1, apis: [chat]}
models:
  - {name: gpt-4o-2024-08-06, provider: a}
  - {name: gemma-2-2b-it, provider: b}
policies: [{name: auto, objective: quality}]
retry: {retries: 0}
`

// Whatever a provider sends is a sign of life. While there are signs of life, its first
// content is waited for longer than for the first of them.
func TestSignsOfLife(t *testing.T) {
	beat := func(n int, text string) (out []step) {
		for range n {
			out = append(out, step{200 * time.Millisecond, text})
		}
		return out
	}
	answered := []step{{0, helloChunk}, {0, lastChunks}}
	for _, test := range []struct {
		name, timeouts string
		steps          []step
		served, code   string // by whom, and the code of the error of the first attempt
	}{
		{"comments before the content", "{first_token: 1s, thinking: 30s, idle: 5s}", append(beat(8, lifeComment), answered...), "gpt-4o-2024-08-06", ""},
		{"events before the content", "{first_token: 1s, thinking: 30s, idle: 5s}", append(beat(8, roleChunk), answered...), "gpt-4o-2024-08-06", ""},
		{"silence", "{first_token: 600ms, thinking: 30s, idle: 30s}", nil, "gemma-2-2b-it", "first_token_timeout"},
		{"silence after a sign of life", "{first_token: 30s, thinking: 30s, idle: 600ms}", beat(1, roleChunk), "gemma-2-2b-it", "idle_timeout"},
		{"signs of life for too long", "{first_token: 5s, thinking: 900ms, idle: 5s}", append(beat(20, lifeComment), answered...), "gemma-2-2b-it", "thinking_timeout"},
		{"silence after content", "{first_token: 30s, thinking: 30s, idle: 600ms}", []step{{0, helloChunk}}, "gpt-4o-2024-08-06", "idle_timeout"},
		{"comments after content", "{first_token: 30s, thinking: 900ms, idle: 5s}", append(append([]step{{0, helloChunk}}, beat(6, lifeComment)...), step{0, lastChunks}), "gpt-4o-2024-08-06", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lifeConfig+"timeouts: "+test.timeouts, map[string]http.Handler{"a": &steps{steps: test.steps}, "b": &steps{steps: answered}})
			got := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion, `"stream":true`))
			if got.status != 200 || got.header.Get("X-Carrot-Model") != test.served || !strings.Contains(got.body, "hello") {
				t.Errorf("status %d from %q: %s", got.status, got.header.Get("X-Carrot-Model"), got.body)
			}
			if code := r.records.list()[0].ErrorCode; code != test.code {
				t.Errorf("the first attempt ended with %q, want %q", code, test.code)
			}
			if broken := strings.Contains(got.body, "idle_timeout"); broken != (test.name == "silence after content") {
				t.Errorf("the client received %s", got.body)
			}
		})
	}
}
