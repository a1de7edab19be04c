// Package gateway is an OpenAI- and Anthropic-compatible server that routes every
// request to the candidate with the best trade-off, forwards it, falls back when a
// provider fails, and records what was decided and what it cost.
//
// A gateway is made from a [Config], written in Go or read from a [File], and the
// router that it uses. It is an http.Handler:
//
//	g, err := gateway.New(&gateway.Config{
//		Providers: []gateway.ProviderConfig{{Name: "openai", Kind: "openai", APIKey: key}},
//		Models:    []gateway.ModelConfig{{Name: "gpt-4o-mini-2024-07-18", Provider: "openai"}},
//	}, gateway.Source{Router: router}, gateway.Options{Recorder: records})
//	if err != nil {
//		return err
//	}
//	return http.ListenAndServe("127.0.0.1:8080", g)
//
// What surrounds it is given by small interfaces: a [Recorder] that keeps attempts,
// [Budgets] that are asked before every call, [Clients] that finds who sent a
// request.
//
// The path of a request, a file each: server.go (reads it and answers), client.go
// (which client sent it), select.go (what it asks for), decide.go (which candidates
// may answer, in which order), run.go (tries them), call.go (one call), stream.go
// (a streamed answer on its way to the client), account.go (what it cost),
// reply.go and headers.go (what the client gets).
//
// What is decided is a candidate: a name with estimates, and steps. What is called
// is a target: a model of a provider, with settings. The package decides nothing by
// itself, a [carrot.Router] does; it knows neither how routers are trained nor how
// they are saved.
package gateway
