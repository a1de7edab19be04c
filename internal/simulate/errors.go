package simulate

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/carrot-router/carrot/internal/wire"
)

// refusal is an error in the words of a provider.
type refusal struct {
	status               int
	kind                 string // OpenAI's type of error; Anthropic's follows from the status
	param, code, message string
	retryAfter           int // seconds
}

func badRequest(param, code, message string) *refusal {
	return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", param: param, code: code, message: message}
}

func invalidJSON(api wire.API) *refusal {
	if api == wire.Messages {
		return badRequest("", "", "The request body is not valid JSON.")
	}
	return badRequest("", "", "We could not parse the JSON body of your request. The OpenAI API expects a JSON payload.")
}

func noModel(api wire.API, name string) *refusal {
	e := &refusal{status: http.StatusNotFound, kind: "invalid_request_error", code: "model_not_found",
		message: fmt.Sprintf("The model `%s` does not exist or you do not have access to it.", name)}
	if api == wire.Messages {
		e.message = "model: " + name
	}
	return e
}

func badKey(api wire.API) *refusal {
	e := &refusal{status: http.StatusUnauthorized, kind: "invalid_request_error", code: "invalid_api_key",
		message: "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."}
	if api == wire.Messages {
		e.message = "invalid x-api-key"
	}
	return e
}

func tooLong(api wire.API, tokens, most int) *refusal {
	e := badRequest("messages", "context_length_exceeded", fmt.Sprintf(
		"This model's maximum context length is %d tokens. However, your messages resulted in %d tokens. Please reduce the length of the messages.", most, tokens))
	switch api {
	case wire.Messages:
		e.message = fmt.Sprintf("prompt is too long: %d tokens > %d maximum", tokens, most)
	case wire.Responses:
		e.param = "input"
		e.message = "Your input exceeds the context window of this model. Please adjust your input and try again."
	}
	return e
}

// failures are the ways in which a model fails before its answer begins. The last
// one happens within a stream.
var failures = []refusal{
	{status: http.StatusInternalServerError, kind: "server_error", message: "The server had an error while processing your request. Sorry about that!"},
	{status: http.StatusServiceUnavailable, kind: "server_error", message: "That model is currently overloaded with other requests. Please try again later."},
	{status: http.StatusTooManyRequests, kind: "requests", code: "rate_limit_exceeded", message: "Rate limit reached for requests. Please try again in 1s.", retryAfter: 1},
	{status: http.StatusOK, kind: "server_error", message: "The server had an error while processing your request. Sorry about that!"},
}

// as returns the failure in the words of an API.
func (e refusal) as(api wire.API) *refusal {
	if api != wire.Messages {
		return &e
	}
	switch e.status {
	case http.StatusInternalServerError:
		e.message = "Internal server error"
	case http.StatusServiceUnavailable:
		e.status, e.message = 529, "Overloaded"
	case http.StatusTooManyRequests:
		e.message = "This request would exceed your account's rate limit. Please try again later."
	case http.StatusOK:
		e.message = "Overloaded"
	}
	return &e
}

// flexUnavailable is the error of OpenAI's service tier flex if no capacity is free. The
// documentation names the status and the code; such a request is not billed.
func flexUnavailable() *refusal {
	return &refusal{status: http.StatusTooManyRequests, kind: "server_error", code: "resource_unavailable",
		message: "Resource unavailable: no capacity is free for this model with the service tier flex. Please try again later, or use the default tier."}
}

// anthropicKind returns the type of Anthropic's errors with a status.
func anthropicKind(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "invalid_request_error"
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusOK, 529:
		return "overloaded_error"
	}
	return "api_error"
}

// body appends the error in the envelope of an API.
func (e *refusal) body(b []byte, api wire.API, id string) []byte {
	if api == wire.Messages {
		b = append(b, `{"type":"error","error":{"type":`...)
		b = append(quote(b, anthropicKind(e.status)), `,"message":`...)
		b = append(quote(b, e.message), `},"request_id":`...)
		return append(quote(b, id), '}')
	}
	b = append(b, `{"error":{"message":`...)
	b = append(quote(b, e.message), `,"type":`...)
	b = append(quote(b, e.kind), `,"param":`...)
	b = append(orNull(b, e.param), `,"code":`...)
	return append(orNull(b, e.code), "}}"...)
}

func orNull(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return quote(b, s)
}

// write sends the error.
func (e *refusal) write(w http.ResponseWriter, api wire.API, id string) {
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.retryAfter))
	}
	writeJSON(w, e.status, e.body(nil, api, id))
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the client has hung up
}
