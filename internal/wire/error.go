package wire

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Error is an error that is reported to a client.
type Error struct {
	Status    int
	Type      string // such as "invalid_request_error"; empty means that of the status
	Code      string // may be empty
	Param     string // the field that is wrong, may be empty
	Message   string
	RequestID string
}

// Error has the form "400 invalid_request_error: the field …".
func (e *Error) Error() string {
	text := fmt.Sprintf("%d %s", e.Status, e.kind(Chat))
	if e.Code != "" {
		text += ": " + e.Code
	}
	return text + ": " + e.Message
}

// kind returns the type of the error in an API.
func (e *Error) kind(api API) string {
	if e.Type != "" && (api == Messages) == anthropicTypes[e.Type] {
		return e.Type
	}
	if api == Messages {
		switch e.Status {
		case http.StatusBadRequest, http.StatusUnprocessableEntity:
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
		case http.StatusGatewayTimeout:
			return "timeout_error"
		case http.StatusServiceUnavailable, 529:
			return "overloaded_error"
		}
		return "api_error"
	}
	switch {
	case e.Type != "" && !anthropicTypes[e.Type]:
		return e.Type
	case e.Status == http.StatusUnauthorized:
		return "authentication_error"
	case e.Status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case e.Status >= 500:
		return "server_error"
	}
	return "invalid_request_error"
}

// anthropicTypes are the types of Anthropic's errors. Of these, OpenAI has
// invalid_request_error and authentication_error too.
var anthropicTypes = map[string]bool{"permission_error": true, "not_found_error": true, "request_too_large": true,
	"api_error": true, "overloaded_error": true, "timeout_error": true, "rate_limit_error": true,
	"authentication_error": true, "invalid_request_error": true, "billing_error": true}

// Body returns the error in the envelope of an API.
func (e *Error) Body(api API) []byte {
	if api == Messages {
		return marshal(map[string]any{"type": "error", "request_id": e.RequestID,
			"error": ordered{{"type", e.kind(api)}, {"message", e.Message}}})
	}
	return marshal(map[string]any{"error": e.fields()})
}

func (e *Error) fields() ordered {
	return ordered{{"message", e.Message}, {"type", e.kind(Chat)}, {"param", orNull(e.Param)}, {"code", orNull(e.Code)}, {"request_id", e.RequestID}}
}

// Event returns the error as an event of a stream that has begun. number is the
// event's number, which only responses have.
func (e *Error) Event(api API, number int) Event {
	switch api {
	case Messages:
		return Event{Name: "error", Data: e.Body(api)}
	case Responses:
		return Event{Name: "error", Data: marshal(append(ordered{{"type", "error"}, {"code", orNull(e.Code)}}, e.fields()[0], e.fields()[2], ordered{{"sequence_number", number}}[0], e.fields()[4]))}
	}
	return Event{Data: e.Body(api)}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// ordered is a JSON object whose members keep their order.
type ordered []struct {
	Key   string
	Value any
}

// MarshalJSON writes the object.
func (o ordered) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(m.Value)
		if err != nil {
			return nil, err
		}
		b.WriteString(quote(m.Key) + ":" + string(value))
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}

// marshal encodes values made of strings, numbers and maps, which cannot fail.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
