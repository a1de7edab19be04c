// Package provider calls model providers. An [Upstream] is the API of one
// provider: it sends a request unchanged and classifies errors. A [Caller] makes
// calls reliable with several keys, retries within a budget, circuit breakers and
// timeouts. [Embeddings] is an encoder behind an OpenAI-compatible /v1/embeddings
// endpoint.
//
// All failed calls are of one type, [Error], whose kind says what may be done
// next. The package never falls back to another model: that is for its callers,
// who know the alternatives.
//
// Most programs read a whole answer:
//
//	target := provider.Target{
//		Upstream: &provider.Upstream{Name: "openai", Kind: provider.OpenAI, BaseURL: server.URL + "/v1", Keys: []string{"sk-…"}},
//		Model:    "gpt-4o-mini",
//	}
//	body := []byte(`{"model":"gpt-4o-mini","messages":[{"role":"user","content":"What is 17 * 23?"}]}`)
//	caller := &provider.Caller{Retry: provider.Retry{Retries: 2, Backoff: 10 * time.Millisecond, MaxWait: time.Second}}
//	answer, err := caller.Ask(context.Background(), target, provider.Call{API: wire.Chat, Body: body}, 64<<20)
//
// An Upstream also submits batches of requests, finds them after a crash, and reads their
// results: see [Upstream.SubmitBatch].
//
// Those that pass an answer on while it arrives, as a gateway does, give [Job.Call]
// a function that handles one call.
package provider
