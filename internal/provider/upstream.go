package provider

import (
	"bytes"
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

// Kind is the kind of API that a provider has.
type Kind string

// The kinds of providers.
const (
	OpenAI    Kind = "openai"    // and everything compatible with it
	Azure     Kind = "azure"     // OpenAI's models, with the deployment in the path
	Anthropic Kind = "anthropic" // the messages API
)

// Upstream is a provider's API. A [Caller] calls it, or a program does with Do. It is
// safe for concurrent use as long as its fields are not changed.
type Upstream struct {
	Name    string
	Kind    Kind
	BaseURL string // usually ends in /v1
	// APIVersion is Azure's api-version or Anthropic's anthropic-version.
	APIVersion string
	// Keys are used in turn. No error and no printed form shows them.
	Keys []string `json:"-"`
	// Header is sent with every call.
	Header http.Header `json:"-"`
	// APIs that the provider serves. Translated requests use the first one that
	// suits them.
	APIs []wire.API
	// Timeouts limit the calls of a [Caller].
	Timeouts Timeouts
	// BatchRetry is for calls about batches, which are made without a [Caller]. Zero:
	// four retries that wait for half a second at first and for a minute at most.
	BatchRetry Retry
	// Transport sends the calls. Nil: http.DefaultTransport.
	Transport http.RoundTripper

	turn atomic.Uint32
}

// String returns the name, so that printing the Upstream shows no key.
func (u *Upstream) String() string { return u.Name }

// GoString returns the name, for the same reason as String.
func (u *Upstream) GoString() string { return "provider.Upstream(" + u.Name + ")" }

// NewTransport returns a transport for Upstreams. It keeps connections open, and does
// not ask for compressed answers, because compression would delay streams.
func NewTransport(connect time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   connect,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
	}
}

// Speaks returns the API by which the provider is called for a client of the API
// want: the same one if the provider serves it, or else the first of its APIs that
// is for conversations. It is empty if there is none.
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

// keyOrder returns the indices of the keys in the order in which a call should try
// them: first the given key, if there is one with that index, and then those that
// follow it. Otherwise each call starts with the next key. Without keys it returns the
// single index 0, which stands for no key.
func (u *Upstream) keyOrder(first int) []int {
	n := max(len(u.Keys), 1)
	order := make([]int, n)
	switch {
	case first >= 0 && first < n:
	case n == 1:
		first = 0
	default:
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
	Path  string // appended to the API's path; may be empty
	Model string // the provider's name for it
	Key   int    // index of the key
	Body  []byte
	// Header holds further headers, such as those of the client.
	Header http.Header
	// Sent, if not nil, becomes true once all of the body was sent, after which the
	// provider may bill the call.
	Sent *atomic.Bool
}

// sending is the body of a request that notes when all of it was sent.
type sending struct {
	*bytes.Reader
	sent *atomic.Bool
}

// body returns the body of a call.
func body(c Call) io.ReadCloser { return sending{bytes.NewReader(c.Body), c.Sent} }

// Read implements io.Reader.
func (s sending) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if s.Len() == 0 {
		s.sent.Store(true)
	}
	return n, err
}

// WriteTo implements io.WriterTo.
func (s sending) WriteTo(w io.Writer) (int64, error) {
	n, err := s.Reader.WriteTo(w)
	if s.Len() == 0 {
		s.sent.Store(true)
	}
	return n, err
}

// Close implements io.Closer.
func (sending) Close() error { return nil }

// Do makes a call. If the status of the answer is 2xx, Do returns it, and the caller
// must close its body; otherwise it returns an [*Error]. ctx also limits the reading
// of the body.
func (u *Upstream) Do(ctx context.Context, c Call) (*http.Response, error) {
	address, err := u.address(c)
	if err != nil {
		return nil, &Error{Kind: Network, Code: codeBadAddress, Message: err.Error()}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "", bytes.NewReader(c.Body))
	if err != nil {
		return nil, &Error{Kind: Network, Code: codeBadAddress, Message: "base URL is not usable"}
	}
	if c.Sent != nil {
		request.Body, request.GetBody = body(c), func() (io.ReadCloser, error) { return body(c), nil }
	}
	return u.send(request, address, c.Key, c.Header, "application/json")
}

// send sends a request to an address with the key of an index, further headers, and the
// type of the body, if it has one. If the status of the answer is 2xx, send returns it,
// otherwise an [*Error].
func (u *Upstream) send(request *http.Request, address *url.URL, key int, more http.Header, contentType string) (*http.Response, error) {
	request.URL, request.Host = address, address.Host
	if password, ok := address.User.Password(); ok {
		request.SetBasicAuth(address.User.Username(), password)
	}
	for name, values := range more {
		request.Header[name] = values
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	request.Header.Set("User-Agent", "carrot")
	u.authorize(request.Header, key)
	for name, values := range u.Header {
		request.Header[name] = values
	}
	transport := u.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	// A Client would follow redirects.
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, NetworkError(request.Context(), err)
	}
	if err := decoded(response); err != nil {
		response.Body.Close()
		return nil, err
	}
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	if response.StatusCode < 200 { // a switch of protocols, which nobody asked for: its body never ends
		return nil, &Error{Kind: Server, Status: http.StatusBadGateway, Code: "malformed_answer", Message: fmt.Sprintf("the provider answered with status %d, which is not an answer", response.StatusCode)}
	}
	late := time.AfterFunc(maxErrorWait, func() { response.Body.Close() })
	defer late.Stop()
	// An incomplete report is better than none.
	report, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorAnswer))
	return nil, u.refusal(response, withoutMark(report))
}

// maxErrorWait limits the reading of an answer that reports an error, so that its
// body cannot delay the next call.
const maxErrorWait = 5 * time.Second

// CloseIdleConnections closes the connections that no call uses.
func (u *Upstream) CloseIdleConnections() {
	if t, ok := u.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// authorize sets the header in which the provider expects a key.
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

// address returns the URL of a call.
func (u *Upstream) address(c Call) (*url.URL, error) {
	path := c.API.Path()
	if u.Kind == Azure && c.API != wire.Responses {
		path = "openai/deployments/" + url.PathEscape(c.Model) + "/" + path
	} else if u.Kind == Azure {
		path = "openai/" + path
	}
	if c.Path != "" {
		path += "/" + c.Path
	}
	return u.at(path)
}

// at returns the URL of a path, which is escaped, below the base URL.
func (u *Upstream) at(path string) (*url.URL, error) {
	base, err := url.Parse(u.BaseURL)
	if err != nil || base.Host == "" {
		return nil, errors.New(`base URL is not of the form "https://host/v1"`)
	}
	// JoinPath would change escapes in the deployment's name.
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
