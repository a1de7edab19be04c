package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
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
	// Client sends the requests. If nil, one on http.DefaultTransport that
	// follows no redirects.
	Client *http.Client
	// Timeout limits one request, the reading of its answer included. Zero
	// means 60 seconds.
	Timeout time.Duration
	// BatchSize is how many texts go into a request. Zero means 64. Providers
	// also limit the tokens of a request: lower it for long texts.
	BatchSize int
	// Retries is how many further tries a request gets. Zero means 4, a
	// negative number none.
	Retries int
	// Backoff is the wait before the first retry; it doubles with each try, up
	// to a minute, and a random part of up to half is taken off. Zero means
	// 500 ms. A longer Retry-After of the provider is kept to, up to a minute.
	Backoff time.Duration
}

const (
	defaultTimeout   = 60 * time.Second
	defaultBatchSize = 64
	defaultRetries   = 4
	defaultBackoff   = 500 * time.Millisecond

	// maxAnswer is the longest answer read, in bytes after decompression.
	maxAnswer = 256 << 20
	// maxErrorAnswer is how much is read of an answer that reports an error.
	maxErrorAnswer = 64 << 10
)

// ID names the encoder, "openai:<host/path>#<model>[@dimensions]": the same for
// a base URL with and without "/embeddings", and without scheme, credentials
// and query.
func (e *Embeddings) ID() string {
	where := "invalid"
	if u, err := e.endpoint(); err == nil {
		where = strings.ToLower(u.Host) + strings.TrimSuffix(u.EscapedPath(), "/embeddings")
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
// Network errors and the statuses 408, 409, 425, 429, 500, 502, 503 and 504
// are tried again. What the provider refused is an [*Error]; a cancelled
// context returns at once, with an error that wraps the context's.
func (e *Embeddings) Encode(ctx context.Context, texts []string) ([][]float32, error) {
	u, err := e.endpoint()
	if err != nil {
		return nil, fmt.Errorf("embed with %q: %w", e.Model, err)
	}
	vectors := make([][]float32, 0, len(texts))
	size := orDefault(e.BatchSize, defaultBatchSize)
	dim := max(e.Dimensions, 0)
	for at := 0; at < len(texts); at += size {
		batch := texts[at:min(at+size, len(texts))]
		rows, err := e.batch(ctx, u, batch, dim)
		if err != nil {
			return nil, fmt.Errorf("embed with %q at %s: %w", e.Model, u.Host, err)
		}
		dim = len(rows[0])
		vectors = append(vectors, rows...)
	}
	return vectors, nil
}

// endpoint checks the settings and returns where requests go. Its errors do
// not repeat the base URL, which may hold credentials.
func (e *Embeddings) endpoint() (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(e.BaseURL))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New(`base URL is not of the form "https://host/v1"`)
	}
	if e.Model == "" {
		return nil, errors.New("no model named")
	}
	if strings.ContainsFunc(e.key(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, errors.New("API key contains a control character")
	}
	u.Fragment, u.RawFragment = "", ""
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	if !strings.HasSuffix(u.Path, "/embeddings") {
		if u.Path == "" {
			u.Path = "/"
		}
		u = u.JoinPath("embeddings")
	}
	return u, nil
}

// key is the API key without the line break that reading one from a file
// leaves.
func (e *Embeddings) key() string { return strings.TrimSpace(e.APIKey) }

// batch sends one request, again as long as that may help, and decodes its
// answer. If dim is not zero, vectors of another length are refused.
func (e *Embeddings) batch(ctx context.Context, u *url.URL, texts []string, dim int) ([][]float32, error) {
	body, err := e.request(texts)
	if err != nil {
		return nil, err
	}
	tries := 1
	if e.Retries >= 0 {
		tries += orDefault(e.Retries, defaultRetries)
	}
	for try := 1; ; try++ {
		answer, err := e.try(ctx, u, body)
		if err == nil {
			return decodeEmbeddings(answer, len(texts), dim, e.secrets(u))
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		again, ok := errors.AsType[*retryable](err)
		if !ok {
			return nil, err
		}
		if try == tries {
			if tries > 1 {
				err = fmt.Errorf("%w (gave up after %d tries)", err, tries)
			}
			return nil, err
		}
		wait := max(Backoff(orDefault(e.Backoff, defaultBackoff), try), min(again.after, maxWait))
		if Sleep(ctx, wait) != nil {
			return nil, fmt.Errorf("%w, while waiting to try again after: %w", ctx.Err(), err)
		}
	}
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

// try sends a request once and returns the body of a good answer.
func (e *Embeddings) try(ctx context.Context, u *url.URL, body []byte) ([]byte, error) {
	timeout := orDefault(e.Timeout, defaultTimeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("make request: base URL is not usable")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	if key := e.key(); key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	client := e.Client
	if client == nil {
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, networkError(ctx, err, timeout)
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		// What can be read of the report is enough.
		report, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorAnswer))
		return nil, statusError(response, report, e.secrets(u))
	}
	if response.ContentLength > maxAnswer {
		return nil, errAnswerTooLong
	}
	answer, err := readLimited(response.Body, maxAnswer)
	if err != nil && !errors.Is(err, errAnswerTooLong) {
		return nil, networkError(ctx, err, timeout)
	}
	return answer, err
}

// errAnswerTooLong reports an answer of more than maxAnswer bytes.
var errAnswerTooLong = fmt.Errorf("answer is longer than %d MB", maxAnswer>>20)

// readLimited reads all of r, or fails with errAnswerTooLong after limit bytes.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, errAnswerTooLong
	}
	return data, err
}

// secrets lists what must not be repeated from a provider's answer.
func (e *Embeddings) secrets(u *url.URL) []string {
	secrets := []string{e.key()}
	if password, ok := u.User.Password(); ok {
		secrets = append(secrets, password)
	}
	return secrets
}

// orDefault is v, or def if v is not above zero.
func orDefault[T ~int | ~int64](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}
