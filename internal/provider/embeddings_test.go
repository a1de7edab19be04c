package provider

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The answers here are written from OpenAI's published description of the
// embeddings endpoint; no test calls a provider.

// wireRequest is the body of a request.
type wireRequest struct {
	Model          string   `json:"model"`
	Input          []string `json:"input"`
	EncodingFormat string   `json:"encoding_format"`
	Dimensions     *int     `json:"dimensions"`
}

// readRequest reads a request and checks its method and type.
func readRequest(t *testing.T, r *http.Request) wireRequest {
	t.Helper()
	var got wireRequest
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
		t.Errorf("request body: %v", err)
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("request is %s of %q, want POST of application/json", r.Method, r.Header.Get("Content-Type"))
	}
	return got
}

// direction returns a unit vector from which its text can be told: the texts of
// these tests are numbers, which are used as angles.
func direction(text string) []float32 {
	var angle float64
	fmt.Sscan(text, &angle)
	return []float32{float32(math.Cos(angle)), float32(math.Sin(angle))}
}

// answer writes the vectors of texts in reverse order, each scaled to length 3.
func answer(w http.ResponseWriter, texts []string) {
	type item struct {
		Object    string    `json:"object"`
		Index     int       `json:"index"`
		Embedding []float32 `json:"embedding"`
	}
	items := make([]item, 0, len(texts))
	for i := len(texts) - 1; i >= 0; i-- {
		v := direction(texts[i])
		items = append(items, item{"embedding", i, []float32{3 * v[0], 3 * v[1]}})
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": items, "model": "m", "usage": map[string]int{"prompt_tokens": 1}})
}

// serve starts a server and returns a client of it that does not retry.
func serve(t *testing.T, handler http.HandlerFunc) *Embeddings {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &Embeddings{BaseURL: server.URL + "/v1", Model: "m", Transport: server.Client().Transport, Retries: -1}
}

func numbers(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprint(float64(i) / 100)
	}
	return texts
}

func checkVectors(t *testing.T, texts []string, got [][]float32) {
	t.Helper()
	if len(got) != len(texts) {
		t.Fatalf("Encode of %d texts = %d vectors", len(texts), len(got))
	}
	for i, text := range texts {
		want := direction(text)
		for k := range want {
			if len(got[i]) != len(want) || math.Abs(float64(got[i][k]-want[k])) > 1e-6 {
				t.Fatalf("vector of text %d = %v, want %v", i, got[i], want)
			}
		}
	}
}

func TestEncodeOrderAndBatches(t *testing.T) {
	for _, test := range []struct{ texts, size, wantRequests int }{
		{0, 0, 0}, {1, 0, 1}, {64, 0, 1}, {65, 0, 2}, {7, 3, 3}, {6, 3, 2}, {3, 1, 3},
	} {
		var sizes []int
		e := serve(t, func(w http.ResponseWriter, r *http.Request) {
			request := readRequest(t, r)
			sizes = append(sizes, len(request.Input))
			answer(w, request.Input)
		})
		e.BatchSize = test.size
		texts := numbers(test.texts)
		got, err := e.Encode(t.Context(), texts)
		if err != nil {
			t.Fatalf("Encode(%d texts): %v", test.texts, err)
		}
		checkVectors(t, texts, got)
		if len(sizes) != test.wantRequests {
			t.Errorf("Encode of %d texts by %d made requests of %v texts, want %d requests", test.texts, test.size, sizes, test.wantRequests)
		}
	}
}

func TestRequest(t *testing.T) {
	var got wireRequest
	var path, query, authorization string
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		path, query, authorization = r.URL.Path, r.URL.RawQuery, r.Header.Get("Authorization")
		got = readRequest(t, r)
		answer(w, got.Input)
	})
	texts := []string{"", "1 <&>\n\"é\""}
	encode := func() {
		t.Helper()
		if _, err := e.Encode(t.Context(), texts); err != nil {
			t.Fatal(err)
		}
	}
	encode()
	if diff := cmp.Diff(wireRequest{Model: "m", Input: []string{" ", texts[1]}, EncodingFormat: "float"}, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if path != "/v1/embeddings" || query != "" || authorization != "" {
		t.Errorf("request to %q?%q with Authorization %q, want /v1/embeddings, no query, no header", path, query, authorization)
	}
	if texts[0] != "" {
		t.Errorf("Encode changed its input to %q", texts)
	}

	e.BaseURL += "/embeddings/?api-version=1"
	e.APIKey = "sk-secret\n"
	e.Dimensions = 2
	encode()
	if got.Dimensions == nil || *got.Dimensions != 2 {
		t.Errorf("request has dimensions %v, want 2", got.Dimensions)
	}
	if path != "/v1/embeddings" || query != "api-version=1" || authorization != "Bearer sk-secret" {
		t.Errorf("request to %q?%q with Authorization %q", path, query, authorization)
	}
}

func TestEncodeBase64(t *testing.T) {
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		data := binary.LittleEndian.AppendUint32(nil, math.Float32bits(-3))
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(4))
		fmt.Fprintf(w, `{"data":[{"index":0,"embedding":%q}]}`, base64.StdEncoding.EncodeToString(data))
	})
	got, err := e.Encode(t.Context(), []string{"x"})
	if diff := cmp.Diff([][]float32{{-0.6, 0.8}}, got); err != nil || diff != "" {
		t.Errorf("Encode: %v (-want +got):\n%s", err, diff)
	}
}

func TestEncodeConcurrent(t *testing.T) {
	e := serve(t, func(w http.ResponseWriter, r *http.Request) { answer(w, readRequest(t, r).Input) })
	e.BatchSize = 4
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			texts := numbers(5 + g)
			got, err := e.Encode(t.Context(), texts)
			if err != nil {
				t.Error(err)
				return
			}
			checkVectors(t, texts, got)
		})
	}
	group.Wait()
}

func TestLaterBatchOfAnotherLength(t *testing.T) {
	var requests atomic.Int32
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		vector := "[1,0]"
		if requests.Add(1) == 2 {
			vector = "[1,0,0]"
		}
		fmt.Fprintf(w, `{"data":[{"index":0,"embedding":%s}]}`, vector)
	})
	e.BatchSize = 1
	got, err := e.Encode(t.Context(), numbers(2))
	if err == nil || got != nil || !strings.Contains(err.Error(), "length 3, want 2") {
		t.Errorf("Encode = %v, %v, want no vectors and the lengths 3 and 2 in the error", got, err)
	}
}

func TestID(t *testing.T) {
	check := func(e Embeddings, want string) {
		t.Helper()
		if got := e.ID(); got != want {
			t.Errorf("ID of %q = %q, want %q", e.BaseURL, got, want)
		}
	}
	check(Embeddings{BaseURL: "https://api.openai.com/v1", Model: "text-embedding-3-small"}, "openai:api.openai.com/v1#text-embedding-3-small")
	check(Embeddings{BaseURL: "https://API.openai.com/v1/embeddings/", Model: "m", Dimensions: 256}, "openai:api.openai.com/v1#m@256")
	check(Embeddings{BaseURL: "http://localhost:11434/v1/", Model: "org/m:latest"}, "openai:localhost:11434/v1#org/m:latest")
	check(Embeddings{BaseURL: "http://localhost:11434", Model: "m"}, "openai:localhost:11434#m")
	check(Embeddings{BaseURL: "https://me:hunter2@host/v1?key=hunter2#hunter2", Model: "m"}, "openai:host/v1#m")
	check(Embeddings{BaseURL: "me:hunter2@host/v1", Model: "m"}, "openai:invalid#m")
}

func TestBadSettings(t *testing.T) {
	refused := roundTrip(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("request to %s", r.URL.Host)
	})
	check := func(e Embeddings, want string) {
		t.Helper()
		e.Transport = refused
		_, err := e.Encode(t.Context(), []string{"x"})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Encode with %q, %q: %v, want %q and no secret", e.BaseURL, e.Model, err, want)
		}
	}
	check(Embeddings{Model: "m"}, "base URL")
	check(Embeddings{BaseURL: "localhost:11434/v1", Model: "m"}, "base URL")
	check(Embeddings{BaseURL: "ftp://host/v1", Model: "m"}, "base URL")
	check(Embeddings{BaseURL: "https://", Model: "m"}, "base URL")
	check(Embeddings{BaseURL: "https://a:b:hunter2/v1", Model: "m"}, "base URL")
	check(Embeddings{BaseURL: "https://a:hunter2 @host/v1", Model: "m"}, "base URL")
	check(Embeddings{BaseURL: "https://host/v1"}, "model's name is missing")
	check(Embeddings{BaseURL: "https://host/v1", Model: "m", APIKey: "hunter2\nhunter2"}, "control character")
}

// No error shows a key, even if the provider repeats everything it was sent.
func TestKeyStaysSecret(t *testing.T) {
	const secret = "sk-very-secret"
	for _, status := range []int{200, 307, 400, 401, 429, 500} {
		e := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if status == 307 {
				w.Header().Set("Location", "http://elsewhere/v1?key="+secret)
			}
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"error":{"code":%[1]q,"message":"no key %[1]s"}}`, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		})
		e.Transport = nil
		e.APIKey = secret
		e.BaseURL = strings.Replace(e.BaseURL, "//", "//user:pass-"+secret+"@", 1)
		_, err := e.Encode(t.Context(), []string{"x"})
		if err == nil {
			t.Fatalf("Encode with status %d: no error", status)
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("Encode with status %d: %v is not an *Error", status, err)
		}
		var logs bytes.Buffer
		slog.New(slog.NewJSONHandler(&logs, nil)).Info("", "error", err)
		slog.New(slog.NewTextHandler(&logs, nil)).Info("", "encoder", e, "value", *e)
		printed := fmt.Sprintf("%v %+v %#v %s %v %+v %#v %q %s", err, err, err, e.ID(), e, e, e, *e, logs.String())
		printed += fmt.Sprintf("%v %+v %#v", *e, *e, *e)
		if strings.Contains(printed, secret) {
			t.Errorf("status %d: the key is in %s", status, printed)
		}
	}
	// Without an answer, only the URL could be shown.
	e := &Embeddings{BaseURL: "http://user:" + secret + "@127.0.0.1:1/v1?key=" + secret, Model: "m", APIKey: secret, Retries: -1}
	if _, err := e.Encode(t.Context(), []string{"x"}); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("Encode without a server: %v, want an error without the key", err)
	}
}

func TestAnswerTooLong(t *testing.T) {
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(maxAnswer+1))
		io.WriteString(w, `{"data":[`)
	})
	if _, err := e.Encode(t.Context(), []string{"x"}); err == nil || !strings.Contains(err.Error(), errAnswerTooLong.Error()) {
		t.Errorf("Encode: %v, want %v", err, errAnswerTooLong)
	}
	for _, limit := range []int64{2, 3, 4} {
		for _, length := range []int64{3, -1} {
			data, err := ReadAnswer(&http.Response{ContentLength: length, Body: io.NopCloser(strings.NewReader("abc"))}, limit)
			if (err == nil) != (limit >= 3) || err == nil && string(data) != "abc" {
				t.Errorf("ReadAnswer(abc of length %d, %d) = %q, %v", length, limit, data, err)
			}
		}
	}
}

// roundTrip is a function as a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var _ interface {
	ID() string
	Encode(context.Context, []string) ([][]float32, error)
} = (*Embeddings)(nil)
