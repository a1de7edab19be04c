package provider

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
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

// ErrorKind says what may be done after an error.
type ErrorKind string

// The kinds of errors.
const (
	Network       ErrorKind = "network"        // no answer, or a broken one: retry, then try another target
	Timeout       ErrorKind = "timeout"        // no answer in time: try another target
	Server        ErrorKind = "server"         // 5xx: retry, then try another target
	RateLimited   ErrorKind = "rate_limited"   // 429: try another key, then another target
	KeyRefused    ErrorKind = "key_refused"    // 401, 402, 403, or no quota is left: try another key
	ContextLength ErrorKind = "context_length" // the request is too long: try a model with a longer context
	Invalid       ErrorKind = "refused"        // the request is at fault: tell the client
	Canceled      ErrorKind = "canceled"       // the client has hung up
	Denied        ErrorKind = "denied"         // this program did not allow the call
)

// The codes of errors that do not come from a provider.
const (
	CodeBreakerOpen = "breaker_open"  // the provider was not called
	CodePanic       = "panic"         // a bug in this program
	CodeStopping    = "shutting_down" // this program is stopping
	codeTooLong     = "answer_too_long"
	codeBadAddress  = "bad_address" // the base URL is wrong
)

// CodeNoQuota is the code of an error that says that the key's account has no quota or
// credit left, whatever the provider calls that.
const CodeNoQuota = "insufficient_quota"

// Error describes a call that failed.
type Error struct {
	Kind       ErrorKind
	Status     int           // HTTP status; 0: unknown
	Code       string        // the provider's code or type, or what failed; may be empty
	Param      string        // the field of the request that is wrong, in the provider's API; may be empty
	Message    string        // shortened, without control characters and keys; may be empty
	Detail     string        // more for the log: it may have internal addresses
	Ours       bool          // the fault is this program's, not the provider's
	Quoted     bool          // the message may quote the prompt or the answer
	Said       bool          // the provider itself reported the error
	OfModel    bool          // the key is refused for this model, but perhaps not for others
	RetryAfter time.Duration // the wait that the provider asked for; 0: none
	Body       []byte        // the provider's answer with the error, without keys
	Notes      Notes         // in the headers of the provider's answer
	Tries      int           // calls that a Caller made; 0: none, or there was no Caller
	Err        error         // the context's error, if that ended the call
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Public returns the error's text without a message that may quote the prompt. It
// can be logged.
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
	parts = append(parts, e.Message, e.Detail)
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ": ")
}

// NetworkError returns the [Error] of a call that failed with err on the way to the
// provider, or while its answer was read. If err is an *Error, or ctx was cancelled
// with one as its cause, it returns that.
func NetworkError(ctx context.Context, err error) *Error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, which may contain credentials
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
	return &Error{Kind: Network, Code: "network", Message: broken(err), Detail: err.Error()}
}

// broken says what went wrong with a connection, without the addresses and names
// that the error itself may have.
func broken(err error) string {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the provider's name could not be resolved"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the provider's certificate could not be verified"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return "the provider could not be reached"
	}
	return "the connection to the provider failed"
}

// Reported returns the [Error] for one that the provider sent with a status of 2xx:
// within a stream, or instead of an answer.
func (u *Upstream) Reported(e *wire.Error) *Error {
	return u.judge(e.Status, cmp.Or(e.Code, e.Type), e.Param, e.Message)
}

// judge classifies an error that the provider reported.
func (u *Upstream) judge(status int, code, param, message string) *Error {
	code, param, message = u.clean(code), u.clean(param), u.clean(message)
	if len(code) > maxCode || strings.ContainsRune(code, ' ') {
		code = "" // several words may quote the prompt
	}
	if len(param) > maxCode {
		param = ""
	}
	kind := kindOf(status, code, message)
	if kind == KeyRefused && noQuota(status, code, message) {
		code = CodeNoQuota
	}
	return &Error{Kind: kind, Status: status, Code: code, Param: param, Message: message, Quoted: true, Said: true,
		OfModel: status == http.StatusForbidden && strings.Contains(strings.ToLower(code+" "+message), "model")}
}

// maxCode is the longest error code of a provider that is kept, in bytes.
const maxCode = 64

// refusal returns the error for an answer whose status is not 2xx.
func (u *Upstream) refusal(response *http.Response, report []byte) *Error {
	code, param, message := parseError(report)
	for _, secret := range u.secrets() {
		report = bytes.ReplaceAll(report, []byte(secret), []byte("***"))
	}
	e := u.judge(response.StatusCode, code, param, message)
	if to, err := response.Location(); err == nil && e.Status < 400 {
		e.Message = "the provider has moved to " + to.Scheme + "://" + to.Host + to.Path
	}
	if e.Message == "" { // not before judge, since the report may quote the client
		e.Message = u.clean(cmp.Or(strings.TrimSpace(string(report)), unexplained(e.Status)))
	}
	e.Body, e.RetryAfter, e.Notes = report, retryAfter(response.Header.Get("Retry-After"), time.Now()), NotesOf(response.Header)
	if o, _ := wire.TooLong(e.Code, e.Message); e.Kind == ContextLength && o.Tokens == 0 {
		var counts struct {
			Error struct {
				Tokens int `json:"n_prompt_tokens"`
				Max    int `json:"n_ctx"`
			} `json:"error"`
		}
		if json.Unmarshal(report, &counts) == nil && counts.Error.Tokens > 0 && counts.Error.Max > 0 { // llama.cpp
			e.Message += fmt.Sprintf(": request (%d tokens) exceeds the available context size (%d tokens)", counts.Error.Tokens, counts.Error.Max)
		}
	}
	return e
}

// unexplained returns a message for a refusal without one.
func unexplained(status int) string {
	if status == http.StatusNotFound {
		return "the provider has no such endpoint; most base URLs end in /v1"
	}
	return "the provider gave no reason"
}

// kindOf classifies an error by its status, code and message.
func kindOf(status int, code, message string) ErrorKind {
	_, tooLong := wire.TooLong(code, message)
	switch {
	case noQuota(status, code, message):
		return KeyRefused
	case status == http.StatusTooManyRequests, status == http.StatusRequestEntityTooLarge && strings.Contains(code, "rate_limit"): // Groq
		return RateLimited
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusPaymentRequired:
		return KeyRefused
	case tooLong:
		return ContextLength
	case status == http.StatusRequestTimeout || status == http.StatusConflict || status == http.StatusTooEarly || status >= 500 || status < 400:
		return Server
	}
	return Invalid
}

// noQuota reports whether the account of the key has no quota or credit left. Some
// providers say so with the status of a bad request or of a rate limit.
func noQuota(status int, code, message string) bool {
	switch strings.ToLower(code) {
	case CodeNoQuota, "exceeded_current_quota_error", "billing_error", "billing_not_active", "billing_hard_limit_reached", "insufficient_balance",
		"insufficient_credits", "credits_required", "arrearage", "1113": // OpenAI, Kimi, Anthropic, DeepSeek and others, Qwen, Z.ai
		return true
	}
	if status != http.StatusBadRequest && status != http.StatusPaymentRequired && status != http.StatusForbidden {
		return false
	}
	message = strings.ToLower(message)
	for _, words := range []string{"credit balance is too low", "insufficient balance", "insufficient credits", "used all available credits", "account is in good standing"} { // Anthropic, DeepSeek, OpenRouter, xAI, Qwen
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}

// maxMessage is the number of runes that are kept of a provider's message.
const maxMessage = 500

// secrets returns the texts that must be removed from a provider's answer.
func (u *Upstream) secrets() []string {
	secrets := slices.Clone(u.Keys)
	for _, values := range u.Header {
		for _, value := range values {
			_, word, _ := strings.Cut(value, " ") // of Authorization: Basic WORD
			for _, secret := range []string{value, word} {
				if len(secret) >= minSecret { // shorter ones would blank out common words
					secrets = append(secrets, secret)
				}
			}
		}
	}
	if base, err := url.Parse(u.BaseURL); err == nil {
		if password, ok := base.User.Password(); ok && password != "" {
			secrets = append(secrets, password)
		}
	}
	for _, secret := range slices.Clone(secrets) {
		escaped, _ := json.Marshal(secret) // strings can always be written
		secrets = append(secrets, strings.Trim(string(escaped), `"`), url.QueryEscape(secret), url.PathEscape(secret))
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // so that no part of a longer one is left
	return slices.Compact(slices.DeleteFunc(secrets, func(secret string) bool { return secret == "" }))
}

// minSecret is the length of the shortest header that is taken for a secret.
const minSecret = 8

// clean returns a provider's text without secrets, control characters and repeated
// spaces, and shortens it.
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

// parseError finds code, parameter and message in the body of an error. It understands
// OpenAI's form, {"error":{"message","type","param","code"}}, and similar ones:
// {"error":"message"}, the fields without the outer object, detail or msg instead of
// message, which may also be lists, Anthropic's code within details, and a list of
// which the first element is the error. It returns nothing of other JSON or of HTML,
// since these may repeat the prompt.
func parseError(body []byte) (code, param, message string) {
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil && len(list) > 0 { // Gemini
		body = list[0]
	}
	var envelope struct {
		Error json.RawMessage `json:"error"`
		errorFields
	}
	if json.Unmarshal(body, &envelope) != nil {
		if text := strings.TrimSpace(string(body)); !json.Valid(body) && text != "" && !strings.ContainsAny(text[:1], "<{[") {
			return "", "", text
		}
		return "", "", ""
	}
	fields := envelope.errorFields
	var inner errorFields
	if text := jsonText(envelope.Error); text != "" {
		fields.Message = envelope.Error
	} else if json.Unmarshal(envelope.Error, &inner) == nil && inner.code()+inner.words(0) != "" {
		fields = inner
	}
	return fields.code(), jsonText(fields.Param), fields.words(0)
}

// errorFields are the fields that describe an error. Their types differ between
// servers: a code may be a string, a number or null.
type errorFields struct {
	Message json.RawMessage `json:"message"`
	Type    json.RawMessage `json:"type"`
	Code    json.RawMessage `json:"code"`
	Param   json.RawMessage `json:"param"`
	Details json.RawMessage `json:"details"`
	Detail  json.RawMessage `json:"detail"`
	Msg     json.RawMessage `json:"msg"`
}

func (f *errorFields) code() string {
	var details struct {
		Code json.RawMessage `json:"error_code"`
	}
	_ = json.Unmarshal(f.Details, &details) // of other forms, nothing is read
	return cmp.Or(jsonText(details.Code), jsonText(f.Code), jsonText(f.Type))
}

// words returns the message, whichever field it is in.
func (f *errorFields) words(depth int) string {
	return cmp.Or(jsonWords(f.Message, depth), jsonWords(f.Detail, depth), jsonWords(f.Msg, depth))
}

// jsonWords returns the text of a message, which may also be an object with a
// message in it, or a list of either.
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

// jsonText returns the text of a JSON string or number; it is empty for other values.
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
