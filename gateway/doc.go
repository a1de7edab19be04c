// Package gateway is an OpenAI- and Anthropic-compatible server that routes
// every request to the candidate with the best trade-off, forwards it, falls
// back when a provider fails, and records what was decided and what it cost.
//
//	config, err := gateway.OpenConfig("carrot.yaml", os.LookupEnv)
//	g, err := gateway.New(config, gateway.Source{Router: router}, gateway.Options{Log: log})
//	err = g.Serve(ctx, listener, nil, nil) // or as an http.Handler of any server
//
// The path of a request, a file each: server.go (who calls what), select.go
// (which policy), decide.go (which candidate), trials.go (in which order others
// are tried), forward.go (attempts and retries), relay.go (the answer on its way
// to the client), headers.go (what it says of itself), record.go (what is written
// down).
//
// The package decides nothing by itself: a carrot.Router does. It knows neither
// how routers are trained nor how they are saved.
package gateway
