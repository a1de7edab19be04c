// Package provider holds the clients of upstream model providers: [Upstream]
// passes a request on as it stands and says what a failure means, and
// [Embeddings] is an encoder behind an OpenAI-compatible /v1/embeddings endpoint.
//
//	encoder := &provider.Embeddings{
//		BaseURL: "https://api.openai.com/v1", // or "http://localhost:11434/v1"
//		Model:   "text-embedding-3-small",
//		APIKey:  os.Getenv("OPENAI_API_KEY"),
//	}
//	vectors, err := encoder.Encode(ctx, []string{"What is 2+2?"})
//	if refused, ok := errors.AsType[*provider.Error](err); ok {
//		log.Printf("status %d, code %s", refused.Status, refused.Code)
//	}
//
// A client keeps nothing: wrap an encoder in embed.Encoded for a cache on
// disk. Routing through a remote encoder adds a network round trip to every
// decision; the embedded static encoder takes microseconds.
//
// An Upstream neither retries nor falls back: it makes one call, and whoever
// knows the alternatives decides what a [Failure] leads to.
package provider
