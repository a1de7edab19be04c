package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// The messages API requires a token limit. If the client sent none, the candidate's own
// limit is used.
func TestLimitForMessages(t *testing.T) {
	var got string
	seen := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = string(body)
		io.WriteString(w, `{"type":"message","content":[{"type":"text","text":"x"}],"usage":{"input_tokens":1,"output_tokens":1}}`)
	})
	r := newRig(t, `
providers: [{name: a, kind: anthropic, base_url: $a}]
models: [{name: gemma-2-2b-it, provider: a, settings: {max_tokens: 16000}}]
`, map[string]http.Handler{"a": seen})
	f := func(more, want string) {
		t.Helper()
		if a := r.post(t, "/v1/chat/completions", chat("auto", "Hi", more)); a.status != 200 || !strings.Contains(got, `"max_tokens":`+want+`,`) {
			t.Errorf("%s: status %d, the provider got %s", more, a.status, got)
		}
	}
	f(`"n":1`, "16000")
	f(`"max_tokens":9`, "9")
	f(`"max_tokens":20000`, "16000")
}

// If a provider reports no usage for embeddings, the gateway counts the tokens.
func TestEmbeddingsCounted(t *testing.T) {
	vectors := said(200, "application/json", `{"object":"list","model":"m","data":[{"index":0,"embedding":[1]}]}`)
	r := newRig(t, simulatedConfig+"embeddings: [{name: e, provider: sim, price: {input: 1}}]\n", map[string]http.Handler{"sim": vectors})
	for _, input := range []string{`"one two three"`, `[1,2,3]`, `["one", "two", "three"]`} {
		a := r.post(t, "/v1/embeddings", `{"model":"e","input":`+input+`}`)
		if cost := a.header.Get("X-Carrot-Cost"); a.status != 200 || cost != "0.000003" {
			t.Errorf("%s: status %d, cost %s: %s", input, a.status, cost, a.body)
		}
	}
}
