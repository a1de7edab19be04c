package simulate

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Conversations are varied, complete, and the same for the same seed.
func TestTrafficConversations(t *testing.T) {
	traffic := Traffic{Seed: 1, Senders: []Sender{{Key: "a", Models: []string{"auto", "cheap"}, Share: 3}, {Models: []string{"quality"}, Share: 1}}}
	again := traffic
	kinds, texts, bySender := map[string]int{}, map[string]bool{}, map[string]int{}
	for i := range uint64(400) {
		c := traffic.invent(i)
		if diff := cmp.Diff(c, again.invent(i), cmp.AllowUnexported(talk{})); diff != "" {
			t.Fatalf("conversation %d differs (-first +second):\n%s", i, diff)
		}
		if !slices.Contains(c.sender.Models, c.model) {
			t.Errorf("sender %+v asks for %s", c.sender, c.model)
		}
		bySender[c.sender.Key]++
		kinds[c.path]++
		for name, is := range map[string]bool{"stream": c.stream, "limit": c.limit > 0, "turns": len(c.turns) > 1, "feedback": c.opinion < .35} {
			if is {
				kinds[name]++
			}
		}
		for _, text := range c.turns {
			if left := regexp.MustCompile(`#|\b(?:THINGS|PLACE|PERSON|TOPIC|FIELD)\b`).FindString(text); left != "" {
				t.Errorf("%q is left in %q", left, text)
			}
		}
		texts[c.turns[0]] = true
		if c.path == "messages" && c.limit == 0 {
			t.Error("a request of the API messages has no limit, which it needs")
		}
	}
	for _, kind := range []string{"chat/completions", "responses", "messages", "stream", "limit", "turns", "feedback"} {
		if kinds[kind] < 20 {
			t.Errorf("%d conversations of 400 are of the kind %s", kinds[kind], kind)
		}
	}
	if len(texts) < 300 {
		t.Errorf("only %d of 400 prompts differ", len(texts))
	}
	if bySender["a"] < 2*bySender[""] || bySender[""] == 0 {
		t.Errorf("conversations by sender, of which one has three times as many: %v", bySender)
	}
	if traffic.Seed = 2; traffic.invent(0).turns[0] == again.invent(0).turns[0] {
		t.Error("another seed says the same")
	}
}

// Requests go on until the context ends, and none is on its way then. Feedback names the
// request that it is about.
func TestTrafficRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	n := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		var body struct {
			Model     string
			RequestID string `json:"request_id"`
			Thumb     string
		}
		if err := json.Unmarshal(text, &body); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if r.Header.Get("Authorization") != "Bearer key" {
			t.Errorf("the key is %q", r.Header.Get("Authorization"))
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case !strings.HasSuffix(r.URL.Path, "/feedback"):
			if body.Model != "auto" {
				t.Errorf("%s asks for %q", r.URL.Path, body.Model)
			}
			w.Header().Set("X-Carrot-Request-Id", "req_1")
			w.Header().Set("X-Carrot-Quality", "0.7")
			n["request"]++
		case body.RequestID != "req_1" || body.Thumb != "up" && body.Thumb != "down":
			t.Errorf("feedback is %s", text)
		default:
			n["feedback"]++
		}
		if n["request"] >= 3 && n["feedback"] >= 1 {
			cancel()
		}
	}))
	defer server.Close()
	traffic := Traffic{URL: server.URL, Seed: 1, Senders: []Sender{{Key: "key", Models: []string{"auto"}, Share: 1}}}
	traffic.Run(ctx)
	if n["request"] < 3 || n["feedback"] < 1 {
		t.Errorf("sent: %v", n)
	}
}
