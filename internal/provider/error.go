package provider

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Error is a provider's refusal of a request.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is the provider's error code, as "rate_limit_exceeded", or its error
	// type if it gave no code. It may be empty.
	Code string
	// Message is the provider's text, shortened, without control characters
	// and without the API key. It may be empty.
	Message string
}

// Error reads "status 429 Too Many Requests: rate_limit_exceeded: slow down".
func (e *Error) Error() string {
	text := strings.TrimSpace(fmt.Sprintf("status %d %s", e.Status, http.StatusText(e.Status)))
	if e.Code != "" {
		text += ": " + e.Code
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// maxMessage is how many runes of a provider's message are kept.
const maxMessage = 500

// statusError is the error of an answer with a bad status.
func statusError(response *http.Response, body []byte, secrets []string) error {
	e := &Error{Status: response.StatusCode}
	e.Code, e.Message = parseError(body)
	if to, err := response.Location(); err == nil && e.Status < 400 {
		e.Message = "the provider has moved to " + to.Scheme + "://" + to.Host + to.Path
	}
	if e.Message == "" && e.Status == http.StatusNotFound {
		e.Message = "nothing at this address; most base URLs end in /v1"
	}
	e.clean(secrets)
	if retryStatus(e.Status) {
		return &retryable{err: e, after: retryAfter(response.Header.Get("Retry-After"), time.Now())}
	}
	return e
}

// clean makes what the provider wrote fit to print.
func (e *Error) clean(secrets []string) {
	for _, field := range []*string{&e.Code, &e.Message} {
		text := *field
		for _, secret := range secrets {
			if secret != "" {
				text = strings.ReplaceAll(text, secret, "***")
			}
		}
		text = strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return ' '
			}
			if !unicode.IsGraphic(r) {
				return -1
			}
			return r
		}, text)
		text = strings.Join(strings.Fields(text), " ")
		if utf8.RuneCountInString(text) > maxMessage {
			text = string([]rune(text)[:maxMessage]) + "…"
		}
		*field = text
	}
}

// parseError finds code and message in the report of an error. Besides
// OpenAI's envelope, {"error":{"message","type","code"}}, it knows those of
// servers that only resemble it: {"error":"message"}, the envelope's content
// without the envelope, and detail or msg in place of message, also in a list, as
// validators have it. Of other JSON and of HTML it takes nothing, since that may
// repeat the prompt.
func parseError(body []byte) (code, message string) {
	var envelope struct {
		Error json.RawMessage `json:"error"`
		errorFields
	}
	if json.Unmarshal(body, &envelope) != nil {
		if text := strings.TrimSpace(string(body)); !json.Valid(body) && text != "" && !strings.ContainsAny(text[:1], "<{[") {
			return "", text
		}
		return "", ""
	}
	fields := envelope.errorFields
	var inner errorFields
	if text := jsonText(envelope.Error); text != "" {
		fields.Message = envelope.Error
	} else if json.Unmarshal(envelope.Error, &inner) == nil && inner.code()+inner.words(0) != "" {
		fields = inner
	}
	return fields.code(), fields.words(0)
}

// errorFields is what describes an error. Servers differ in their types: a
// code may be a string, a number or null.
type errorFields struct {
	Message json.RawMessage `json:"message"`
	Type    json.RawMessage `json:"type"`
	Code    json.RawMessage `json:"code"`
	Detail  json.RawMessage `json:"detail"`
	Msg     json.RawMessage `json:"msg"`
}

func (f *errorFields) code() string { return cmp.Or(jsonText(f.Code), jsonText(f.Type)) }

// words is the message, by whichever name.
func (f *errorFields) words(depth int) string {
	return cmp.Or(jsonWords(f.Message, depth), jsonWords(f.Detail, depth), jsonWords(f.Msg, depth))
}

// jsonWords is the text of a message that may also be an object with a message
// in it, or a list of either.
func jsonWords(raw json.RawMessage, depth int) string {
	var list []json.RawMessage
	var fields errorFields
	switch text := jsonText(raw); {
	case text != "" || depth > 1:
		return text
	case json.Unmarshal(raw, &list) == nil:
		var all []string
		for _, element := range list {
			if text := jsonWords(element, depth+1); text != "" {
				all = append(all, text)
			}
		}
		return strings.Join(all, "; ")
	case json.Unmarshal(raw, &fields) == nil:
		return fields.words(depth + 1)
	}
	return ""
}

// jsonText is a JSON string's or number's text, and empty for anything else.
func jsonText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var number json.Number
	if json.Unmarshal(raw, &number) == nil {
		return number.String()
	}
	return ""
}
