// Package provider holds the clients of upstream model providers. Today that
// is [Embeddings], an encoder behind an OpenAI-compatible /v1/embeddings
// endpoint; chat clients come with the gateway.
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
// The package knows HTTP and the providers' wire formats. It imports no other
// package of this module.
package provider
