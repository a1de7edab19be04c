// Package gateway is an OpenAI- and Anthropic-compatible server that routes
// every request to the candidate with the best trade-off, forwards it, falls
// back when a provider fails, and records what was decided and what it cost.
//
//	config, err := gateway.OpenConfig("carrot.yaml", os.LookupEnv)
//	g, err := gateway.New(config, source, gateway.Options{Log: log})
//	defer g.Close()
//	http.ListenAndServe(config.Listen, g)
//
// The path of a request, a file each: server.go (who calls what), select.go
// (which policy), decide.go (which candidate), forward.go (attempts, retries,
// fallback), relay.go (the answer on its way to the client), record.go (what is
// written down).
//
// The package decides nothing by itself: a carrot.Router does. It knows neither
// how routers are trained nor how they are saved.
package gateway
