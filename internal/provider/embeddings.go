package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// Embeddings is an encoder behind an OpenAI-compatible /v1/embeddings
// endpoint: OpenAI, Ollama, vLLM, text-embeddings-inference. Zero values work
// except for BaseURL and Model. It is safe for concurrent use as long as its
// fields are not changed.
type Embeddings struct {
	// BaseURL is the API's address, as in "https://api.openai.com/v1" or
	// "http://localhost:11434/v1". "/embeddings" is appended unless the path
	// already ends in it; a query is kept.
	BaseURL string
	// Model is the encoder's name at the provider.
	Model string
	// APIKey is sent as a bearer token if it is not empty. It is in no error
	// and in no printed form of the value.
	APIKey string `json:"-"`
	// Dimensions, if above zero, asks for vectors of that length. An answer of
	// another length is refused.
	Dimensions int
	// Transport carries the requests. Nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout limits one request, the reading of its answer included. Zero
	// means 60 seconds.
	Timeout time.Duration
	// BatchSize is the number of texts in a request. Zero means 64. Providers
	// also limit the tokens of a request: lower it for long texts.
	BatchSize int
	// Retries is the number of further tries that a request gets. Zero means 4,
	// a negative number none.
	Retries int
	// Backoff is the wait before the first retry; it doubles with each try, up
	// to a minute, and a random part of up to half is taken off. Zero means
	// 500 ms. A longer Retry-After of the provider is respected, up to a minute.
	Backoff time.Duration
}

const (
	defaultTimeout   = 60 * time.Second
	defaultBatchSize = 64
	defaultRetries   = 4
	defaultBackoff   = 500 * time.Millisecond

	// longestWait is the longest wait before a retry.
	longestWait = time.Minute
	// maxAnswer is the longest answer that is read, in bytes.
	maxAnswer = 256 << 20
	// maxErrorAnswer is how much is read of an answer that reports an error.
	maxErrorAnswer = 64 << 10
)

// ID names the encoder, "openai:<host/path>#<model>[@dimensions]": the same for
// a base URL with and without "/embeddings", and without scheme, credentials
// and query.
func (e *Embeddings) ID() string {
	where := "invalid"
	if u, err := e.base(); err == nil {
		where = strings.ToLower(u.Host) + u.EscapedPath()
	}
	id := "openai:" + where + "#" + e.Model
	if e.Dimensions > 0 {
		id += "@" + strconv.Itoa(e.Dimensions)
	}
	return id
}

// String is the ID. The receiver is a value so that neither a printed value
// nor a printed pointer shows the key.
func (e Embeddings) String() string { return e.ID() }

// GoString is the ID, for the same reason as String.
func (e Embeddings) GoString() string { return "provider.Embeddings(" + e.ID() + ")" }

// Encode returns the unit vectors of the texts, in the order of the texts, all
// of one length. On an error it returns no vectors at all, even if some
// batches were answered.
//
// An empty text is sent as a single space, because the API refuses empty
// input; both get the same vector. A text longer than the model takes is the
// provider's error: nothing is cut here.
//
// Network errors, timeouts and statuses that may pass (408, 409, 425, 429 and
// most 5xx) are tried again. Errors of the provider or on the way are an
// [*Error]; a cancelled context returns at once, with an error that wraps the
// context's.
func (e *Embeddings) Encode(ctx context.Context, texts []string) ([][]float32, error) {
	base, err := e.base()
	if err != nil {
		return nil, fmt.Errorf("embed with %q: %w", e.Model, err)
	}
	upstream := &Upstream{Kind: OpenAI, BaseURL: base.String(), Transport: e.Transport, Timeouts: Timeouts{Total: orDefault(e.Timeout, defaultTimeout)}}
	if key := e.key(); key != "" {
		upstream.Keys = []string{key}
	}
	caller := &Caller{Retry: Retry{Backoff: orDefault(e.Backoff, defaultBackoff), MaxWait: longestWait, Patient: true}}
	if e.Retries >= 0 {
		caller.Retry.Retries = orDefault(e.Retries, defaultRetries)
	}
	vectors := make([][]float32, 0, len(texts))
	size := orDefault(e.BatchSize, defaultBatchSize)
	dim := max(e.Dimensions, 0)
	for at := 0; at < len(texts); at += size {
		batch := texts[at:min(at+size, len(texts))]
		rows, err := e.batch(ctx, caller, upstream, batch, dim)
		if err != nil {
			return nil, fmt.Errorf("embed with %q at %s: %w", e.Model, base.Host, err)
		}
		dim = len(rows[0])
		vectors = append(vectors, rows...)
	}
	return vectors, nil
}

// base checks the settings and returns the address below which the endpoint is.
// Its errors do not repeat the base URL, which may hold credentials.
func (e *Embeddings) base() (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(e.BaseURL))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New(`base URL is not of the form "https://host/v1"`)
	}
	if e.Model == "" {
		return nil, errors.New("no model is named")
	}
	if strings.ContainsFunc(e.key(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, errors.New("API key contains a control character")
	}
	trim := func(path string) string {
		return strings.TrimRight(strings.TrimSuffix(strings.TrimRight(path, "/"), "/embeddings"), "/")
	}
	u.Fragment, u.RawFragment = "", ""
	u.Path, u.RawPath = trim(u.Path), trim(u.RawPath)
	return u, nil
}

// key is the API key without the line break that reading one from a file
// leaves.
func (e *Embeddings) key() string { return strings.TrimSpace(e.APIKey) }

// batch asks for the vectors of some texts. If dim is not zero, vectors of
// another length are refused.
func (e *Embeddings) batch(ctx context.Context, caller *Caller, upstream *Upstream, texts []string, dim int) ([][]float32, error) {
	body, err := e.request(texts)
	if err != nil {
		return nil, err
	}
	answer, err := caller.Ask(ctx, Target{Upstream: upstream, Model: e.Model}, Call{API: wire.Embeddings, Body: body}, maxAnswer)
	if err != nil {
		if failed, ok := errors.AsType[*Error](err); ok && failed.Tries > 1 {
			err = fmt.Errorf("%w (gave up after %d tries)", err, failed.Tries)
		}
		return nil, err
	}
	return upstream.decodeEmbeddings(answer, len(texts), dim)
}

// request is the body of a request for the vectors of texts.
func (e *Embeddings) request(texts []string) ([]byte, error) {
	input := make([]string, len(texts))
	for i, text := range texts {
		if text == "" {
			text = " "
		}
		input[i] = text
	}
	return json.Marshal(struct {
		Model          string   `json:"model"`
		Input          []string `json:"input"`
		EncodingFormat string   `json:"encoding_format"`
		Dimensions     int      `json:"dimensions,omitempty"`
	}{e.Model, input, "float", max(e.Dimensions, 0)})
}

// orDefault is v, or def if v is not above zero.
func orDefault[T ~int | ~int64](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}
