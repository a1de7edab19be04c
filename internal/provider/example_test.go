package provider_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/internal/wire"
)

func ExampleCaller_Ask() {
	// A provider that fails at first.
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, `{"choices":[{"message":{"role":"assistant","content":"391"}}]}`)
	}))
	defer server.Close()

	target := provider.Target{
		Upstream: &provider.Upstream{Name: "openai", Kind: provider.OpenAI, BaseURL: server.URL + "/v1", Keys: []string{"sk-…"}},
		Model:    "gpt-4o-mini",
	}
	body := []byte(`{"model":"gpt-4o-mini","messages":[{"role":"user","content":"What is 17 * 23?"}]}`)
	caller := &provider.Caller{Retry: provider.Retry{Retries: 2, Backoff: 10 * time.Millisecond, MaxWait: time.Second}}
	answer, err := caller.Ask(context.Background(), target, provider.Call{API: wire.Chat, Body: body}, 64<<20)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(answer), "after", calls, "calls")
	// Output: {"choices":[{"message":{"role":"assistant","content":"391"}}]} after 2 calls
}

func ExampleEmbeddings() {
	// In place of OpenAI, Ollama or vLLM.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,4]}]}`)
	}))
	defer server.Close()

	encoder := &provider.Embeddings{BaseURL: server.URL + "/v1", Model: "all-minilm"}
	vectors, err := encoder.Encode(context.Background(), []string{"first", "second"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(vectors)
	// Output: [[0.6 0.8] [0 1]]
}

func ExampleUpstream_SubmitBatch() {
	// A simulated provider, in place of OpenAI.
	server := httptest.NewServer(&simulate.Provider{
		Models: []simulate.Model{{Name: "gpt-4o-mini"}},
		Answers: func(_, prompt string) (simulate.Reply, bool) {
			return simulate.Reply{Text: "391", InputTokens: 8, OutputTokens: 1}, prompt == "What is 17 * 23?"
		},
	})
	defer server.Close()

	ctx, began := context.Background(), time.Now()
	upstream := &provider.Upstream{Name: "openai", Kind: provider.OpenAI, BaseURL: server.URL + "/v1", Keys: []string{"sk-…"}}
	items := []provider.BatchItem{{ID: "q1", API: wire.Chat, Body: []byte(`{"model":"gpt-4o-mini","messages":[{"role":"user","content":"What is 17 * 23?"}]}`)}}
	key := "run 7, part 1" // written down before the batch is submitted
	id, err := upstream.SubmitBatch(ctx, key, items)
	if errors.Is(err, provider.ErrBatchUnclear) {
		id, _, err = upstream.FindBatch(ctx, key, began)
	}
	for ended := false; err == nil && !ended; { // a program would wait between two calls
		var state provider.BatchState
		state, err = upstream.Batch(ctx, id)
		ended = state.Ended
	}
	if err == nil {
		err = upstream.BatchResults(ctx, id, func(r provider.BatchResult) error {
			fmt.Println(r.ID, r.Status, strings.Contains(string(r.Body), `"content":"391"`))
			return nil
		})
	}
	if err != nil {
		fmt.Println(err)
	}
	// Output: q1 200 true
}
