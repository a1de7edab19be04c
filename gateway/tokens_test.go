package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
)

// If a provider counts more tokens than the gateway, later forecasts expect that. It is
// learned from texts only, and from credible factors only.
func TestTokenFactors(t *testing.T) {
	text := strings.Repeat("This sentence has about ten tokens in it. ", 20)
	for _, test := range []struct {
		name   string
		times  float64 // what the provider reports, as a multiple of the gateway's count
		more   string  // in the request
		answer int
		want   float64
	}{
		{"more tokens", 1.5, "", 25, 1.5},
		{"fewer tokens", 0.8, "", 25, 0.8},
		{"not known yet", 1.5, "", 10, 1},
		{"beyond belief", 40, "", 25, 1},
		{"with tools", 1.5, `"tools":[{"type":"function","function":{"name":"f"}}]`, 25, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			counted := 0
			r := newRig(t, simulatedConfig, map[string]http.Handler{"sim": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				fmt.Fprintf(w, `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":1}}`,
					int(math.Round(test.times*float64(max(counted, 1)))))
			})})
			more := []string{}
			if test.more != "" {
				more = append(more, test.more)
			}
			expected := func() int {
				got := r.post(t, "/v1/route", chat("gemma-2-2b-it", text, more...))
				var d struct {
					Candidates []struct {
						Name        string
						InputTokens int `json:"input_tokens"`
					}
				}
				if err := json.Unmarshal([]byte(got.body), &d); err != nil {
					t.Fatalf("%v: %s", err, got.body)
				}
				for _, c := range d.Candidates {
					if c.Name == "gemma-2-2b-it" {
						return c.InputTokens
					}
				}
				t.Fatalf("no candidate: %s", got.body)
				return 0
			}
			counted = expected()
			for range test.answer {
				if got := r.post(t, "/v1/chat/completions", chat("gemma-2-2b-it", text, more...)); got.status != 200 {
					t.Fatalf("status %d: %s", got.status, got.body)
				}
			}
			if got := expected(); math.Abs(float64(got)-test.want*float64(counted)) > 2 {
				t.Errorf("%d tokens are expected after %d were counted, want %v times as many", got, counted, test.want)
			}
		})
	}
}
