package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/carrot-router/carrot/internal/simulate"
)

// upstream answers every chat completion with the same answer, which it gets from
// a simulate.Provider at the start. That provider itself would be too slow: it
// parses each request and counts its tokens, which takes more processor time than
// the proxies under test.
type upstream struct {
	whole             []byte
	stream, withUsage [][]byte // events
	served            atomic.Int64
}

// model is the name in the upstream's answers; answerTokens is their length.
const (
	model        = "gpt-4o-mini-2024-07-18"
	answerTokens = 30
)

func newUpstream() (*upstream, error) {
	p := &simulate.Provider{Models: []simulate.Model{{Name: model, OutputTokens: 4 * answerTokens}}}
	ask := func(more string) ([]byte, error) {
		body := fmt.Sprintf(`{"model":%q,"max_tokens":%d,"messages":[{"role":"user","content":"Hello"}]%s}`, model, answerTokens, more)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
		if w.Code != http.StatusOK {
			return nil, fmt.Errorf("simulated answer: status %d: %s", w.Code, w.Body)
		}
		return w.Body.Bytes(), nil
	}
	u := &upstream{}
	var err error
	if u.whole, err = ask(""); err != nil {
		return nil, err
	}
	for more, events := range map[string]*[][]byte{`,"stream":true`: &u.stream, `,"stream":true,"stream_options":{"include_usage":true}`: &u.withUsage} {
		answer, err := ask(more)
		if err != nil {
			return nil, err
		}
		*events = bytes.SplitAfter(answer, []byte("\n\n"))
	}
	return u, nil
}

// says reports whether a JSON text contains "key":true, with or without a space.
func says(body []byte, key string) bool {
	return bytes.Contains(body, []byte(`"`+key+`":true`)) || bytes.Contains(body, []byte(`"`+key+`": true`))
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/served" {
		fmt.Fprint(w, u.served.Load())
		return
	}
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/chat/completions") {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	u.served.Add(1)
	if !says(body, "stream") {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(u.whole)))
		w.Write(u.whole)
		return
	}
	events := u.stream
	if says(body, "include_usage") {
		events = u.withUsage
	}
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for _, event := range events {
		if _, err := w.Write(event); err != nil {
			return // the client is gone
		}
		if err := flush.Flush(); err != nil {
			return
		}
	}
}
