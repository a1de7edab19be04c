package provider

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carrot-router/carrot/internal/wire"
)

// ErrorKind says what an error means for what to do next.
type ErrorKind string

// The kinds of errors.
const (
	Network       ErrorKind = "network"        // no answer, or a broken one: try again, then another
	Timeout       ErrorKind = "timeout"        // no answer in time: try another
	Server        ErrorKind = "server"         // 5xx: try again, then another
	RateLimited   ErrorKind = "rate_limited"   // 429: try another key, then another candidate
	KeyRefused    ErrorKind = "key_refused"    // 401, 402, 403: the key is dead for this request
	ContextLength ErrorKind = "context_length" // the request is too long for the model
	Invalid       ErrorKind = "refused"        // the request is at fault: tell the client
	Canceled      ErrorKind = "canceled"       // the client has hung up
	Denied        ErrorKind = "denied"         // the call was not made, because it was not allowed
)

// The codes of errors that are not a provider's.
const (
	CodeBreakerOpen = "breaker_open"  // no provider was called
	CodePanic       = "panic"         // a fault of this program
	CodeStopping    = "shutting_down" // this program is stopping
	codeTooLong     = "answer_too_long"
	codeBadAddress  = "bad_address" // the base URL is wrong
)

// Error is a call that brought no answer: what the provider said, or what went
// wrong on the way.
type Error struct {
	Kind       ErrorKind
	Status     int           // the HTTP status; 0: there was no HTTP answer
	Code       string        // the provider's code or type, or what failed; may be empty
	Message    string        // shortened, without control characters and without keys; may be empty
	Quoted     bool          // the message may quote the prompt or the answer
	Said       bool          // the provider itself reported the error
	OfModel    bool          // the key is refused for this model, and perhaps not for others
	RetryAfter time.Duration // the provider asked for this wait; 0: it did not
	Body       []byte        // the provider's report as it was sent, without keys
	Tries      int           // calls that a Caller made; 0: unknown
	Err        error         // the cause, if it is of use to a caller: a context's error
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Public returns the error without the provider's own words: fit for a log.
func (e *Error) Public() string {
	if !e.Quoted {
		return e.Error()
	}
	public := *e
	public.Message = ""
	return public.Error()
}

// Error reads "rate_limited: status 429: rate_limit_exceeded: slow down".
func (e *Error) Error() string {
	parts := []string{string(e.Kind)}
	if e.Status > 0 {
		parts = append(parts, "status "+strconv.Itoa(e.Status))
	}
	if e.Code != string(e.Kind) {
		parts = append(parts, e.Code)
	}
	parts = append(parts, e.Message)
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ": ")
}

// NetworkError is what went wrong on the way to a provider, or in reading its
// answer. If ctx was ended with an *Error, it is that.
func NetworkError(ctx context.Context, err error) *Error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, which may hold credentials
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	cause := context.Cause(ctx)
	if e, ok := errors.AsType[*Error](cause); ok {
		return e
	}
	switch {
	case errors.Is(err, errAnswerTooLong):
		return &Error{Kind: Server, Status: http.StatusBadGateway, Code: codeTooLong, Message: err.Error()}
	case errors.Is(cause, context.DeadlineExceeded):
		return &Error{Kind: Timeout, Code: "timeout", Message: "no answer in time", Err: cause}
	case cause != nil:
		return &Error{Kind: Canceled, Code: "canceled", Message: "the client has hung up", Err: cause}
	}
	return &Error{Kind: Network, Code: "network", Message: err.Error()}
}

// Reported is an error that the provider sent with a good status: within a
// stream, or in place of an answer.
func (u *Upstream) Reported(e *wire.Error) *Error {
	return u.judge(e.Status, cmp.Or(e.Code, e.Type), e.Message)
}

// judge says what a provider's error means.
func (u *Upstream) judge(status int, code, message string) *Error {
	code, message = u.clean(code), u.clean(message)
	if len(code) > maxCode || strings.ContainsRune(code, ' ') {
		code = "" // a code of several words may quote anything
	}
	return &Error{Kind: kindOf(status, code, message), Status: status, Code: code, Message: message, Quoted: true, Said: true,
		OfModel: status == http.StatusForbidden && strings.Contains(strings.ToLower(code+" "+message), "model")}
}

// maxCode is how long a provider's error code may be.
const maxCode = 64

// refusal is the error of an answer with a bad status.
func (u *Upstream) refusal(response *http.Response, report []byte) *Error {
	code, message := parseError(report)
	for _, secret := range u.secrets() {
		report = bytes.ReplaceAll(report, []byte(secret), []byte("***"))
	}
	e := u.judge(response.StatusCode, code, message)
	if to, err := response.Location(); err == nil && e.Status < 400 {
		e.Message = "the provider has moved to " + to.Scheme + "://" + to.Host + to.Path
	}
	if e.Message == "" { // after it was judged: what is left may be the client's own words
		e.Message = u.clean(cmp.Or(strings.TrimSpace(string(report)), unexplained(e.Status)))
	}
	e.Body, e.RetryAfter = report, retryAfter(response.Header.Get("Retry-After"), time.Now())
	return e
}

// unexplained is the message of a refusal that has none.
func unexplained(status int) string {
	if status == http.StatusNotFound {
		return "there is nothing at this address; most base URLs end in /v1"
	}
	return "the provider does not say why"
}

// kindOf classifies a status with the provider's code and message.
func kindOf(status int, code, message string) ErrorKind {
	switch {
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusPaymentRequired:
		return KeyRefused
	case status == http.StatusRequestTimeout || status == http.StatusConflict || status == http.StatusTooEarly || status >= 500 || status < 400:
		return Server
	case tooLong(code, message):
		return ContextLength
	}
	return Invalid
}

// tooLong reports whether a refusal is for the length of the request, by what
// providers say then.
func tooLong(code, message string) bool {
	if code == "context_length_exceeded" || code == "string_above_max_length" {
		return true
	}
	message = strings.ToLower(message)
	for _, words := range []string{"context length", "context window", "prompt is too long", "input is too long", "too many input tokens",
		"maximum number of tokens", "input token count", "exceeds the maximum number of tokens"} {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}

// maxMessage is how many runes of a provider's message are kept.
const maxMessage = 500

// secrets lists what must not be repeated from a provider's answer.
func (u *Upstream) secrets() []string {
	secrets := slices.DeleteFunc(slices.Clone(u.Keys), func(key string) bool { return key == "" })
	if base, err := url.Parse(u.BaseURL); err == nil {
		if password, ok := base.User.Password(); ok && password != "" {
			secrets = append(secrets, password)
		}
	}
	return secrets
}

// clean makes what the provider wrote fit to print.
func (u *Upstream) clean(text string) string {
	for _, secret := range u.secrets() {
		text = strings.ReplaceAll(text, secret, "***")
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
	return text
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
