package gateway_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstandard(t *testing.T, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

// Bodies may be compressed with gzip or zstd. What they become is bounded as other
// bodies are, and a small body cannot become a very large one.
func TestCompressedBodies(t *testing.T) {
	var seen []byte
	r := newRig(t, simulatedConfig+"limits: {body_mb: 3}", map[string]http.Handler{"sim": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen, _ = io.ReadAll(r.Body)
		if r.Header.Get("Content-Encoding") != "" {
			t.Error("the provider is told of an encoding")
		}
		io.WriteString(w, hello)
	})})
	body := chat("gemma-2-2b-it", sumQuestion)
	varied := &strings.Builder{} // does not compress well
	random := rand.New(rand.NewPCG(1, 2))
	for range 1 << 20 {
		varied.WriteByte("abcdefghijklmnopqrstuvwxyz0123456789+-"[random.IntN(38)])
	}
	for _, test := range []struct {
		name, encoding, body string
		want                 int
		code                 string
	}{
		{"plain", "", body, 200, ""},
		{"identity", "identity", body, 200, ""},
		{"gzip", "gzip", gzipped(t, body), 200, ""},
		{"gzip by its old name", "X-GZIP", gzipped(t, body), 200, ""},
		{"zstd", "zstd", zstandard(t, body), 200, ""},
		{"a long body", "gzip", gzipped(t, chat("gemma-2-2b-it", varied.String())), 200, ""},
		{"too long", "gzip", gzipped(t, chat("gemma-2-2b-it", strings.Repeat(varied.String(), 3))), 413, "body_too_large"},
		{"a bomb in gzip", "gzip", gzipped(t, chat("gemma-2-2b-it", strings.Repeat("a", 2<<20))), 400, "body_too_compressed"},
		{"a bomb in zstd", "zstd", zstandard(t, chat("gemma-2-2b-it", strings.Repeat("a", 2<<20))), 400, "body_too_compressed"},
		{"not gzip", "gzip", body, 400, "could not be read"},
		{"not zstd", "zstd", body, 400, "could not be read"},
		{"cut", "gzip", gzipped(t, body)[:40], 400, "could not be read"},
		{"another encoding", "br", body, 415, "unsupported_encoding"},
		{"two encodings", "gzip, gzip", body, 415, "unsupported_encoding"},
	} {
		t.Run(test.name, func(t *testing.T) {
			seen = nil
			got := r.post(t, "/v1/chat/completions", test.body, "Content-Encoding: "+test.encoding)
			if got.status != test.want || !strings.Contains(got.body, test.code) {
				t.Errorf("status %d, want %d: %.300s", got.status, test.want, got.body)
			}
			if (test.want == 200) != bytes.Contains(seen, []byte(`"messages"`)) {
				t.Errorf("the provider received %.100q", seen)
			}
		})
	}
}

// Pages of the origins in the configuration may call the gateway from a browser, and no
// others.
func TestOrigins(t *testing.T) {
	r := newRig(t, simulatedConfig+"origins: [https://app.example]", map[string]http.Handler{"sim": said(200, "application/json", hello)})
	ask := func(method, origin string, headers ...string) *http.Response {
		t.Helper()
		request, err := http.NewRequest(method, r.url+"/v1/chat/completions", strings.NewReader(chat("auto", sumQuestion)))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", origin)
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			request.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response
	}
	preflight := ask("OPTIONS", "https://app.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type")
	if h := preflight.Header; preflight.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != "https://app.example" ||
		!strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") || h.Get("Access-Control-Allow-Headers") != "authorization,content-type" {
		t.Errorf("preflight: status %d, %v", preflight.StatusCode, h)
	}
	if got := ask("POST", "https://app.example"); got.StatusCode != 200 || got.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || got.Header.Get("Vary") != "Origin" {
		t.Errorf("status %d, %v", got.StatusCode, got.Header)
	}
	for _, origin := range []string{"https://evil.example", "http://app.example", "https://app.example.evil.example", "null"} {
		if got := ask("POST", origin); got.StatusCode != 403 || got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: status %d, %v", origin, got.StatusCode, got.Header)
		}
		if got := ask("OPTIONS", origin, "Access-Control-Request-Method: POST"); got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("preflight of %s: status %d, %v", origin, got.StatusCode, got.Header)
		}
	}
}

// An answer may take longer than the limits on reading the request, also if the request
// was compressed.
func TestSlowAnswerToCompressedBody(t *testing.T) {
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(700 * time.Millisecond)
		io.WriteString(w, hello)
	})
	_, url, stop := listening(t, simulatedConfig+"limits: {read_timeout: 900ms}", map[string]http.Handler{"sim": slow})
	defer stop()
	body := chat("gemma-2-2b-it", strings.Repeat("Say hi. ", 2000))
	for name, sent := range map[string]string{"": body, "gzip": gzipped(t, body), "zstd": zstandard(t, body)} {
		if got := (&rig{url: url}).post(t, "/v1/chat/completions", sent, "Content-Encoding: "+name); got.status != 200 || !strings.Contains(got.body, "hi") {
			t.Errorf("%q: status %d: %q, %v", name, got.status, got.body, got.err)
		}
	}
}
