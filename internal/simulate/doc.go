// Package simulate holds language model providers that are not there: HTTP
// handlers that answer as OpenAI or Anthropic would, without a model, a key or
// a network.
//
// [Provider] is alive: its models have prices, lengths, delays and failures,
// answer any request and keep an exact bill. It is what the gateway's
// demonstration and its benchmark run over:
//
//	p := &simulate.Provider{Models: []simulate.Model{
//		{Name: "small", OutputTokens: 200, FirstToken: 300 * time.Millisecond, PerToken: 8 * time.Millisecond},
//	}}
//	go http.Serve(listener, p)
//	…
//	fmt.Println(p.Bill().Cost())
//
// [Script] replays one written exchange byte for byte, pauses and cut
// connections included. Tests use it for what a provider does on a bad day; the
// files are in testdata/scripts.
//
// The package says nothing about the quality of models: every answer is a few
// set sentences. Its delays are plausible and no measurement of any provider.
package simulate
