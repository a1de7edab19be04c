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
	// BaseURL is the API's address, such as "https://api.openai.com/v1" or
	// "http://localhost:11434/v1". "/embeddings" is appended unless the path
	// already ends in it; a query is kept.
	BaseURL string
	// Model is the encoder's name at the provider.
	Model string
	// APIKey is sent as a bearer token if it is not empty. No error and no
	// printed form shows it.
	APIKey string `json:"-"`
	// Dimensions, if positive, is the length of vectors that the provider is
	// asked for. Vectors of another length are an error.
	Dimensions int
	// Transport sends the requests. Nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout limits one request, including the reading of its answer. Zero
	// means 60 seconds.
	Timeout time.Duration
	// BatchSize is the number of texts in a request. Zero means 64. Providers
	// also limit the tokens of a request: lower it for long texts.
	BatchSize int
	// Retries is the number of further tries after one that failed. Zero means
	// 4, a negative number none.
	Retries int
	// Backoff is the wait before the first retry. It doubles with each retry, up
	// to a minute, and a random part of up to half is taken off. Zero means
	// 500 ms. If the provider asks for a longer wait in Retry-After, that is
	// used, up to a minute.
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
	// maxErrorAnswer is how much of an answer with an error is read, in bytes.
	maxErrorAnswer = 64 << 10
)

// ID returns the name of the encoder, "openai:<host/path>#<model>[@dimensions]". The
// path does not end in "/embeddings"; scheme, credentials and query are omitted.
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

// String returns the ID. The receiver is a value, so that printing shows the key
// neither of a value nor of a pointer.
func (e Embeddings) String() string { return e.ID() }

// GoString returns the ID, for the same reason as String.
func (e Embeddings) GoString() string { return "provider.Embeddings(" + e.ID() + ")" }

// Encode returns unit vectors of the texts, in the order of the texts and all of
// one length. If it returns an error, it returns no vectors, even if some batches
// were answered.
//
// An empty text is sent as a single space, because the API refuses empty input; both
// have the same vector. Texts are not cut: if one is too long for the model, the
// provider's error is returned.
//
// Network errors, timeouts and temporary statuses (408, 409, 425, 429 and most 5xx)
// are retried. Errors of the provider and of the network wrap an [*Error]. When the
// context is done, Encode returns at once, with an error that wraps the context's.
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

// base checks the settings and returns the address to which "/embeddings" is
// appended. Its errors do not quote the base URL, which may contain credentials.
func (e *Embeddings) base() (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(e.BaseURL))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New(`base URL is not of the form "https://host/v1"`)
	}
	if e.Model == "" {
		return nil, errors.New("the model's name is missing")
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

// key returns the API key without the line break that it has if it was read from a
// file.
func (e *Embeddings) key() string { return strings.TrimSpace(e.APIKey) }

// batch returns the vectors of some texts. If dim is not 0, vectors of another
// length are an error.
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

// request returns the body of a request for the vectors of texts.
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

// orDefault returns v if it is positive, and def otherwise.
func orDefault[T ~int | ~int64](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}
