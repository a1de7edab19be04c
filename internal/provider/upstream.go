package provider

import (
	"bytes"
	"context"
	"errors"
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

// Upstream is a provider's API. Calls go through a [Caller], or directly through
// Do, which makes one. It is safe for concurrent use as long as its fields are
// not changed.
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
	// Timeouts of a [Caller]'s calls.
	Timeouts Timeouts
	// Transport carries the calls. Nil: http.DefaultTransport.
	Transport http.RoundTripper

	turn atomic.Uint32
}

// String returns the name, so that no printed form shows a key.
func (u *Upstream) String() string { return u.Name }

// GoString returns the name, for the same reason as String.
func (u *Upstream) GoString() string { return "provider.Upstream(" + u.Name + ")" }

// NewTransport returns a transport for Upstreams: connections are kept, and
// compression is not asked for, because it would delay streams.
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

// Speaks returns the API in which the provider is called for a client of want:
// that one if the provider serves it, or else the first of its APIs that can
// carry a conversation. It is empty if there is none.
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

// keyOrder returns the indices of the keys in the order in which a call should
// try them: each call starts with the next one. Without keys there is one
// index, 0, which stands for no key.
func (u *Upstream) keyOrder() []int {
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
	// Header holds the headers of the client that are passed on.
	Header http.Header
}

// Do sends a call. An answer with a status of 2xx is returned with its body
// open; everything else is an [*Error]. ctx also limits reading the body.
func (u *Upstream) Do(ctx context.Context, c Call) (*http.Response, error) {
	address, err := u.address(c)
	if err != nil {
		return nil, &Error{Kind: Network, Code: codeBadAddress, Message: err.Error()}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "", bytes.NewReader(c.Body))
	if err != nil {
		return nil, &Error{Kind: Network, Code: codeBadAddress, Message: "base URL is not usable"}
	}
	request.URL, request.Host = address, address.Host
	if password, ok := address.User.Password(); ok {
		request.SetBasicAuth(address.User.Username(), password)
	}
	for name, values := range c.Header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "carrot")
	u.authorize(request.Header, c.Key)
	for name, values := range u.Header {
		request.Header[name] = values
	}
	transport := u.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	// Not through a client: redirects are not followed, cookies are not kept.
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, NetworkError(ctx, err)
	}
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	// Whatever can be read of the report is enough.
	report, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorAnswer))
	return nil, u.refusal(response, report)
}

// CloseIdleConnections closes connections that no call uses.
func (u *Upstream) CloseIdleConnections() {
	if t, ok := u.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
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
