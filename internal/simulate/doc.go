// Package simulate simulates providers of language models: HTTP handlers that
// answer as OpenAI or Anthropic would, without a model, a key or a network.
//
// [Provider] answers any request. Its models have prices, lengths, delays and
// failures, and it keeps an exact bill. The gateway's demonstration and benchmark
// use it:
//
//	p := &simulate.Provider{Models: []simulate.Model{
//		{Name: "small", OutputTokens: 200, FirstToken: 300 * time.Millisecond, PerToken: 8 * time.Millisecond},
//	}}
//	go http.Serve(listener, p)
//	…
//	fmt.Println(p.Bill().Cost())
//
// The answers are drawn, or given by [Provider.Answers]; [NewRecorded] gives those of a
// recorded data set. Files, batches, message batches and the service tier flex are
// simulated too, and [Batching] says what happens to batches: they may be slow, expire,
// or lose their answers.
//
// [Script] replays a written exchange byte for byte, including pauses and broken
// connections. Tests use it for a provider's failures. The files are in
// testdata/scripts.
//
// The package does not simulate the quality of models: every answer that is not given is
// made of the same few sentences. Its delays are plausible, but not measured at any provider.
package simulate
