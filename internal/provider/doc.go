// Package provider calls upstream model providers. An [Upstream] is one
// provider's API: it passes a request on as it stands and says what an error
// means. A [Caller] makes calls dependable: keys in turn, retries within a budget,
// circuit breakers and timeouts. [Embeddings] is an encoder behind an
// OpenAI-compatible /v1/embeddings endpoint.
//
// There is one type of error, [Error]: what kind it is of says what to do next.
// Nothing here falls back to another model: whoever knows the alternatives
// decides that.
//
// Programs that pass an answer on while it comes, as a gateway does, give
// [Job.Call] a function that handles one call. Others read a whole answer:
//
//	caller := &provider.Caller{Retry: provider.Retry{Retries: 2, Backoff: time.Second, MaxWait: time.Minute}}
//	answer, err := caller.Ask(ctx, target, provider.Call{API: wire.Chat, Body: body}, 64<<20)
package provider
