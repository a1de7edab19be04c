package provider

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// Kind is how a provider wants to be called.
type Kind string

// The kinds of providers.
const (
	OpenAI    Kind = "openai"    // and all that is compatible
	Azure     Kind = "azure"     // OpenAI's models under deployments' paths
	Anthropic Kind = "anthropic" // the messages API
)

// Upstream is a provider's API. It is safe for concurrent use as long as its
// fields are not changed.
type Upstream struct {
	Name    string
	Kind    Kind
	BaseURL string // usually ends in /v1
	// APIVersion is Azure's api-version or Anthropic's anthropic-version.
	APIVersion string
	// Keys are tried in turn. They are in no error and no printed form.
	Keys []string `json:"-"`
	// Header is sent with every call.
	Header http.Header `json:"-"`
	// APIs that the provider serves, the preferred one first.
	APIs []wire.API
	// Client holds the transport of the calls, the part of it that is used.
	Client *http.Client

	turn atomic.Uint32
}

// String is the name, so that no printed form shows a key.
func (u *Upstream) String() string { return u.Name }

// GoString is the name, for the same reason as String.
func (u *Upstream) GoString() string { return "provider.Upstream(" + u.Name + ")" }

// NewClient returns a client for Upstreams: connections are kept and
// compression is not asked for, since it would hold streams back.
func NewClient(connect time.Duration) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:   connect,
			ForceAttemptHTTP2:     true,
			MaxIdleConns:          1024,
			MaxIdleConnsPerHost:   256,
			IdleConnTimeout:       90 * time.Second,
			ExpectContinueTimeout: time.Second,
			DisableCompression:    true,
		},
	}
}

// Speaks returns the API in which the provider is called for a client of want:
// that one if it serves it, or the first of its own that can carry a
// conversation. It is empty if there is none.
func (u *Upstream) Speaks(want wire.API) wire.API {
	if slices.Contains(u.APIs, want) {
		return want
	}
	if want == wire.Embeddings {
		return ""
	}
	for _, api := range u.APIs {
		if api != wire.Embeddings {
			return api
		}
	}
	return ""
}

// KeyOrder returns the indices of the keys in the order in which this call
// should try them: each call starts with the next one. Without keys it is one
// index, 0, which stands for no key.
func (u *Upstream) KeyOrder() []int {
	n := max(len(u.Keys), 1)
	order := make([]int, n)
	first := 0
	if n > 1 {
		first = int(u.turn.Add(1)-1) % n
	}
	for i := range order {
		order[i] = (first + i) % n
	}
	return order
}

// Call is one request to a provider.
type Call struct {
	API   wire.API
	Path  string // below the API's; empty: none
	Model string // the provider's name for it
	Key   int    // index of the key
	Body  []byte
	// Header holds what is passed on of the client's.
	Header http.Header
}

// Do sends a call. An answer with a status below 300 is returned with its body
// open; everything else is a *Failure. ctx also limits reading the body.
func (u *Upstream) Do(ctx context.Context, c Call) (*http.Response, error) {
	address, err := u.address(c)
	if err != nil {
		return nil, &Failure{Kind: Network, Code: "bad_address", Message: err.Error()}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "", bytes.NewReader(c.Body))
	if err != nil {
		return nil, &Failure{Kind: Network, Code: "bad_address", Message: "base URL is not usable"}
	}
	request.URL, request.Host = address, address.Host
	for name, values := range c.Header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "carrot")
	u.authorize(request.Header, c.Key)
	for name, values := range u.Header {
		request.Header[name] = values
	}
	response, err := u.roundTrip(request)
	if err != nil {
		return nil, NetworkFailure(ctx, err)
	}
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	// What can be read of the report is enough.
	report, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorAnswer))
	return nil, u.refusal(response, report)
}

// roundTrip does without what a client adds: nothing is redirected, and nothing
// sets cookies.
func (u *Upstream) roundTrip(request *http.Request) (*http.Response, error) {
	if u.Client.Transport == nil {
		return http.DefaultTransport.RoundTrip(request)
	}
	return u.Client.Transport.RoundTrip(request)
}

// authorize puts a key where the provider looks for it.
func (u *Upstream) authorize(h http.Header, index int) {
	if u.Kind == Anthropic && h.Get("Anthropic-Version") == "" {
		version := u.APIVersion
		if version == "" {
			version = "2023-06-01"
		}
		h.Set("Anthropic-Version", version)
	}
	if index >= len(u.Keys) {
		return
	}
	switch key := u.Keys[index]; u.Kind {
	case Anthropic:
		h.Set("X-Api-Key", key)
	case Azure:
		h.Set("Api-Key", key)
	default:
		h.Set("Authorization", "Bearer "+key)
	}
}

// address is where a call goes.
func (u *Upstream) address(c Call) (*url.URL, error) {
	base, err := url.Parse(u.BaseURL)
	if err != nil || base.Host == "" {
		return nil, errors.New(`base URL is not of the form "https://host/v1"`)
	}
	path := c.API.Path()
	if u.Kind == Azure && c.API != wire.Responses {
		path = "openai/deployments/" + url.PathEscape(c.Model) + "/" + path
	} else if u.Kind == Azure {
		path = "openai/" + path
	}
	if c.Path != "" {
		path += "/" + c.Path
	}
	// JoinPath would clean the escaped deployment's name.
	base.RawPath = strings.TrimRight(base.EscapedPath(), "/") + "/" + path
	if base.Path, err = url.PathUnescape(base.RawPath); err != nil {
		return nil, errors.New("base URL has a bad escape")
	}
	if u.Kind == Azure {
		query := base.Query()
		query.Set("api-version", u.APIVersion)
		base.RawQuery = query.Encode()
	}
	return base, nil
}

// FailureKind says what a failure means for what to do next.
type FailureKind string

// The kinds of failures.
const (
	Network       FailureKind = "network"        // no answer, or a broken one: try again, then another
	Timeout       FailureKind = "timeout"        // none in time: another
	Server        FailureKind = "server"         // 5xx: try again, then another
	RateLimited   FailureKind = "rate_limited"   // 429: another key, then another candidate
	KeyRefused    FailureKind = "key_refused"    // 401, 402, 403: the key is dead for this request
	ContextLength FailureKind = "context_length" // the request is too long for the model
	Invalid       FailureKind = "refused"        // the request is at fault: tell the client
	Canceled      FailureKind = "canceled"       // the client has hung up
)

// Failure is a call that brought no answer.
type Failure struct {
	Kind       FailureKind
	Status     int           // 0: no HTTP answer
	Code       string        // the provider's code or type, or what failed
	Message    string        // without keys
	Quoted     bool          // the message may quote the prompt or the answer
	Said       bool          // the provider itself says that it failed
	OfModel    bool          // the key is refused for this model, and perhaps not for others
	RetryAfter time.Duration // the provider asked for this wait; 0: it did not
	Body       []byte        // the provider's report, as it came
}

// Public is the failure without what a provider said in words: fit for a log.
func (f *Failure) Public() string {
	if !f.Quoted {
		return f.Error()
	}
	public := *f
	public.Message = ""
	return public.Error()
}

// Error reads "rate_limited: status 429: rate_limit_exceeded: slow down".
func (f *Failure) Error() string {
	text := string(f.Kind)
	if f.Status > 0 {
		text += fmt.Sprintf(": status %d", f.Status)
	}
	for _, part := range []string{f.Code, f.Message} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

// NetworkFailure is what went wrong on the way, or in reading an answer.
func NetworkFailure(ctx context.Context, err error) *Failure {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, which may hold credentials
	}
	cause := context.Cause(ctx)
	if f, ok := errors.AsType[*Failure](cause); ok {
		return f // what the caller ended the call for
	}
	switch {
	case errors.Is(cause, context.DeadlineExceeded):
		return &Failure{Kind: Timeout, Code: "timeout", Message: "no answer in time"}
	case cause != nil:
		return &Failure{Kind: Canceled, Code: "canceled", Message: "the client has hung up"}
	}
	return &Failure{Kind: Network, Code: "network", Message: err.Error()}
}

// ErrorFailure is an error that the provider sent with a good status: within a
// stream, or in place of an answer.
func (u *Upstream) ErrorFailure(e *wire.Error) *Failure {
	said := &Error{Status: e.Status, Code: e.Code, Message: e.Message}
	if said.Code == "" {
		said.Code = e.Type
	}
	return u.failure(said)
}

// failure is what a provider's error means.
func (u *Upstream) failure(e *Error) *Failure {
	e.clean(u.Keys)
	if len(e.Code) > maxCode || strings.ContainsRune(e.Code, ' ') {
		e.Code = "" // a code of words may quote anything
	}
	return &Failure{Kind: kindOf(e.Status, e.Code, e.Message), Status: e.Status, Code: e.Code, Message: e.Message, Quoted: true, Said: true,
		OfModel: e.Status == http.StatusForbidden && strings.Contains(strings.ToLower(e.Code+" "+e.Message), "model")}
}

// maxCode is how long a provider's error code may be.
const maxCode = 64

// refusal is the failure of an answer with a bad status.
func (u *Upstream) refusal(response *http.Response, report []byte) *Failure {
	e := &Error{Status: response.StatusCode}
	e.Code, e.Message = parseError(report)
	for _, key := range u.Keys {
		if key != "" {
			report = bytes.ReplaceAll(report, []byte(key), []byte("***"))
		}
	}
	f := u.failure(e)
	if f.Message == "" { // after it was judged: what is left may be the client's own words
		e.Message = cmp.Or(strings.TrimSpace(string(report)), "the provider does not say why")
		e.clean(u.Keys)
		f.Message = e.Message
	}
	f.Body, f.RetryAfter = report, retryAfter(response.Header.Get("Retry-After"), time.Now())
	return f
}

// kindOf classifies a status with the provider's code and message.
func kindOf(status int, code, message string) FailureKind {
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
