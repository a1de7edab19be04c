package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/record"
)

// canned is a transport that answers every call immediately with the same body.
type canned struct{ body, kind string }

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {c.kind}}, Body: io.NopCloser(strings.NewReader(c.body)),
		ContentLength: int64(len(c.body)), Request: r}, nil
}

// quiet is a ResponseWriter that discards the answer.
type quiet struct{ header http.Header }

func (q *quiet) Header() http.Header         { return q.header }
func (q *quiet) Write(b []byte) (int, error) { return len(b), nil }
func (q *quiet) WriteHeader(int)             {}

// BenchmarkGateway measures the work of the gateway itself for a request of about 100
// tokens, without a network: parse it, route it among sixteen models, forward it, and
// compute, measure and record what it cost.
func BenchmarkGateway(b *testing.B) {
	const answer = `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"The answer is 391, since 17 times 23 is 17 times 20 and 17 times 3."},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":30,"total_tokens":130}}`
	var stream strings.Builder
	for range 30 {
		stream.WriteString(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}],"usage":null}` + "\n\n")
	}
	stream.WriteString(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}` + "\n\n" +
		`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":30,"total_tokens":130}}` + "\n\ndata: [DONE]\n\n")
	for _, test := range []struct{ name, more, body, kind string }{
		{"whole", "", answer, "application/json"},
		{"stream", `,"stream":true`, stream.String(), "text/event-stream"},
	} {
		b.Run(test.name, func(b *testing.B) {
			var config strings.Builder
			config.WriteString("providers: [{name: up, kind: openai, base_url: \"http://up/v1\", api_key: k}]\nmodels:\n")
			for _, m := range source().Router.Candidates() {
				fmt.Fprintf(&config, "  - {name: %q, provider: up, context: 100000}\n", m.Name)
			}
			file, err := record.OpenJSONL(filepath.Join(b.TempDir(), "d.jsonl"), 64<<20, 1)
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			g, err := gateway.New(parse(b, config.String(), nil), source(), gateway.Options{Recorder: file, Registerer: prometheus.NewRegistry(), Transport: canned{test.body, test.kind}})
			if err != nil {
				b.Fatal(err)
			}
			const prompt = `A cyclist leaves town A at 8 am at 18 km/h and a runner leaves town B, 63 km away on the same road, at 9 am at 12 km/h towards her. ` +
				`When they meet they rest for half an hour, and then each goes on to the other's starting point at the same speed as before. ` +
				`At what time does the cyclist arrive at town B, how far from town A did they meet, and how many kilometres has the runner covered when the cyclist arrives? %d`
			var n atomic.Int64
			b.ReportAllocs()
			for b.Loop() {
				body := fmt.Sprintf(`{"model":"auto","messages":[{"role":"user","content":%q}]%s}`, fmt.Sprintf(prompt, n.Add(1)), test.more)
				request := httptest.NewRequest("POST", "/v1/chat/completions", bytes.NewReader([]byte(body)))
				g.ServeHTTP(&quiet{http.Header{}}, request)
			}
		})
	}
}
