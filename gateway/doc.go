// Package gateway is a server for the APIs of OpenAI and Anthropic. It routes every
// request to the candidate with the best trade-off between quality and cost, forwards
// it to that candidate's provider, falls back to others when a provider fails, and
// records what was decided and what it cost.
//
// A gateway is made from a [Config], which is written in Go or read from a [File],
// and a router. It is an http.Handler:
//
//	config := &gateway.Config{
//		Providers: []gateway.ProviderConfig{{Name: "openai", Kind: "openai", BaseURL: simulated.URL + "/v1", APIKey: "sk-example"}},
//		Models:    []gateway.ModelConfig{{Name: "gpt-4o-mini-2024-07-18", Provider: "openai"}},
//	}
//	router := source().Router // the router in the binary
//	g, err := gateway.New(config, gateway.Source{Router: router}, gateway.Options{Recorder: printer{}})
//
// The program around it provides what it needs through small interfaces: a [Recorder]
// keeps attempts, [Budgets] decide before every call whether it may be made, and
// [Clients] find the client that sent a request. [Gateway.Serve] serves clients and
// operators until the program is told to stop.
//
// The package does not decide by itself: a [carrot.Router] does. It does not know how
// routers are trained or saved either.
//
// A request passes through these files in turn: server.go reads it, client.go finds
// its client, select.go reads what it asks for, decide.go puts the candidates that may
// answer into an order, run.go tries them, call.go makes one call, stream.go passes a
// stream on to the client, account.go computes what the call cost, and reply.go and
// headers.go write the answer. What is decided on is a candidate: a name with
// estimates. What is called is a target: a provider's model with settings.
package gateway
