// Package wire knows the formats that clients and providers of language models
// speak: OpenAI's chat completions and responses, Anthropic's messages, and the
// server-sent events they stream.
//
// It reads the facts that a gateway needs about a request, edits the bytes that
// must change and no others, reads the usage that is billed, and translates
// requests, answers and streams from one API to another.
//
// The package works on bytes only. It knows no network, no routing and no prices.
package wire

// API is the format of an endpoint.
type API string

// The APIs.
const (
	Chat       API = "chat"       // OpenAI's POST /v1/chat/completions
	Responses  API = "responses"  // OpenAI's POST /v1/responses
	Messages   API = "messages"   // Anthropic's POST /v1/messages
	Embeddings API = "embeddings" // OpenAI's POST /v1/embeddings
)

// Path is the path of the endpoint below a provider's base URL, which ends in
// /v1.
func (a API) Path() string {
	if a == Chat {
		return "chat/completions"
	}
	return string(a)
}
