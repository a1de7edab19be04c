package wire

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

// Error is an error that is reported to a client.
type Error struct {
	Status    int
	Type      string // such as "invalid_request_error"; empty means that of the status
	Code      string // may be empty
	Param     string // the field that is wrong, may be empty
	Message   string
	RequestID string
	// Overflow says by how much the request is too long, if the code is TooLongCode.
	Overflow Overflow
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
	if e.Code == TooLongCode {
		return "invalid_request_error"
	}
	if api == Messages && e.Type == "insufficient_quota" {
		return "billing_error"
	}
	ofStatus := api == Messages && e.Type == "invalid_request_error" && e.Status != 0 // some statuses have types of their own
	if !ofStatus && e.Type != "" && (api == Messages) == anthropicTypes[e.Type] {
		return e.Type
	}
	if api == Messages {
		switch e.Status {
		case http.StatusBadRequest, http.StatusUnprocessableEntity:
			return "invalid_request_error"
		case http.StatusUnauthorized:
			return "authentication_error"
		case http.StatusPaymentRequired:
			return "billing_error"
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
		if e.Status >= 400 && e.Status < 500 {
			return "invalid_request_error"
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

// code returns the code in an API. Anthropic's types, which stand for codes in its API,
// have other names in OpenAI's.
func (e *Error) code(api API) string {
	if api == Messages {
		if e.Code == e.kind(api) {
			return ""
		}
		return e.Code
	}
	switch e.Code {
	case "rate_limit_error":
		return "rate_limit_exceeded"
	case "overloaded_error":
		return "server_is_overloaded"
	case "api_error":
		return "server_error"
	case "invalid_request_error":
		return ""
	case "billing_error":
		return "insufficient_quota"
	}
	return e.Code
}

// words returns the message in an API. Clients of each recognize by its words that a
// request is too long.
func (e *Error) words(api API) string {
	if e.Code != TooLongCode {
		return e.Message
	}
	said, o := strings.ToLower(e.Message), e.Overflow
	known := o.Max > 0 && o.Tokens > o.Max
	switch {
	case api == Messages && known:
		return fmt.Sprintf("prompt is too long: %d tokens > %d maximum", o.Tokens, o.Max)
	case api == Messages && strings.Contains(said, "prompt is too long"):
		return e.Message
	case api == Messages:
		return "prompt is too long: " + e.Message
	case strings.Contains(said, "maximum context length"), strings.Contains(said, "exceeds the context window"):
		return e.Message
	case api == Responses:
		return "Your input exceeds the context window of this model. " + e.Message
	case known:
		return fmt.Sprintf("This model's maximum context length is %d tokens. However, your messages resulted in %d tokens. %s", o.Max, o.Tokens, e.Message)
	}
	return "The messages exceed this model's maximum context length. " + e.Message
}

// Body returns the error in the envelope of an API.
func (e *Error) Body(api API) []byte {
	if api == Messages {
		fields := ordered{{"type", e.kind(api)}, {"message", e.words(api)}}
		if code := e.code(api); code != "" {
			fields = append(fields, ordered{{"details", ordered{{"error_code", code}}}}...)
		}
		return marshal(map[string]any{"type": "error", "request_id": e.RequestID, "error": fields})
	}
	return marshal(map[string]any{"error": e.fields(api)})
}

func (e *Error) fields(api API) ordered {
	param := e.Param
	if e.Code == TooLongCode {
		param = map[API]string{Chat: "messages", Responses: "input"}[api]
	}
	return ordered{{"message", e.words(api)}, {"type", e.kind(api)}, {"param", orNull(param)}, {"code", orNull(e.code(api))}, {"request_id", e.RequestID}}
}

// Events returns the error as the last events of a stream that has begun. number is
// the number of the first one; id and model are those of the response. Only responses
// have them. Their clients wait for one of two events.
func (e *Error) Events(api API, number int, id, model string) []Event {
	switch api {
	case Messages:
		return []Event{{Name: "error", Data: e.Body(api)}}
	case Responses:
		fields := e.fields(api)
		message, param, code, requestID := fields[0], fields[2], fields[3], fields[4]
		known := cmp.Or(e.code(api), map[bool]string{true: "rate_limit_exceeded", false: "server_error"}[e.Status == http.StatusTooManyRequests])
		h := head{id: id, model: model, created: "0"}
		response := merged(gjson.Parse(h.response(nil, stopNone, "null")), map[string]string{
			"status": `"failed"`,
			"error":  string(marshal(ordered{{"code", known}, message})),
		})
		return []Event{
			{Name: "error", Data: marshal(ordered{{"type", "error"}, code, message, param, {"sequence_number", number}, requestID})},
			{Name: "response.failed", Data: typed("response.failed").raw("response", response).num("sequence_number", number+1).bytes()},
		}
	}
	return []Event{{Data: e.Body(api)}}
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
