package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tidwall/gjson"
)

// accounts is a provider of the messages and responses APIs whose answers have reasoning
// that is signed with the caller's key. It refuses reasoning with another signature, and
// is over its limit for the keys in over, with that Retry-After.
type accounts struct {
	mu     sync.Mutex
	over   map[string]string
	served []string // the keys of all calls
	bodies []string
}

func (a *accounts) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := q.Header.Get("X-Api-Key") + strings.TrimPrefix(q.Header.Get("Authorization"), "Bearer ")
	body, _ := io.ReadAll(q.Body)
	a.served, a.bodies = append(a.served, key), append(a.bodies, string(body))
	w.Header().Set("Content-Type", "application/json")
	if wait, ok := a.over[key]; ok {
		w.Header().Set("Retry-After", wait)
		w.WriteHeader(429)
		io.WriteString(w, `{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}`)
		if wait == "0" { // the limit is over when the wait is
			delete(a.over, key)
		}
		return
	}
	foreign := false
	for _, path := range []string{"messages.#.content.#.signature", "input.#.encrypted_content"} {
		for _, signature := range gjson.GetBytes(body, path+"|@flatten").Array() {
			foreign = foreign || signature.Str != key
		}
	}
	if foreign {
		w.WriteHeader(400)
		io.WriteString(w, `{"type":"error","error":{"type":"invalid_request_error","message":"Invalid signature in thinking block"}}`)
		return
	}
	if strings.HasSuffix(q.URL.Path, "responses") {
		fmt.Fprintf(w, `{"id":"resp_%d","object":"response","status":"completed","model":"m","output":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":%q},`+
			`{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"ok"}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}`, len(a.served), key)
		return
	}
	fmt.Fprintf(w, `{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"hm","signature":%q},{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`, key)
}

// limit sets the keys that are over their limits.
func (a *accounts) limit(over map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = over
}

// since returns the keys of the calls since the last call of it.
func (a *accounts) since() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	keys := strings.Join(a.served, " ")
	a.served = nil
	return keys
}

// last returns the body of the last call.
func (a *accounts) last() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bodies[len(a.bodies)-1]
}

// dialogue is a conversation of the messages or responses API that grows with each answer.
type dialogue struct {
	r     *rig
	path  string
	turns []string
}

// say sends the conversation with a further turn and adds the answer's content to it.
func (d *dialogue) say(t *testing.T, turn string, headers ...string) answer {
	t.Helper()
	list, name := "messages", "content"
	if d.path == "/v1/responses" {
		list, name = "input", "output"
	}
	d.turns = append(d.turns, turn)
	a := d.r.post(t, d.path, `{"model":"auto","max_tokens":50,"`+list+`":[`+strings.Join(d.turns, ",")+`]}`, headers...)
	switch content := gjson.Get(a.body, name).Raw; {
	case a.status != 200:
	case list == "input":
		d.turns = append(d.turns, content[1:len(content)-1])
	default:
		d.turns = append(d.turns, `{"role":"assistant","content":`+content+`}`)
	}
	return a
}

func user(text string) string { return fmt.Sprintf(`{"role":"user","content":%q}`, text) }

// accountsConfig has a model at a provider with two keys.
func accountsConfig(kind, api string) string {
	return `
providers: [{name: a, kind: ` + kind + `, base_url: $a/v1, apis: [` + api + `], api_keys: [key-one, key-two]}]
models: [{name: gpt-4o-2024-08-06, provider: a}]
retry: {retries: 1, backoff: 1ms, max_wait: 1s}
`
}

// A conversation stays on one key of its provider, and leaves it only if it fails. Then
// it stays on the other one.
func TestConversationStaysOnKey(t *testing.T) {
	a := &accounts{}
	r := newRig(t, accountsConfig("anthropic", "messages"), map[string]http.Handler{"a": a})
	first, second := &dialogue{r: r, path: "/v1/messages"}, &dialogue{r: r, path: "/v1/messages"}
	f := func(name string, d *dialogue, text string, status int, want string) {
		t.Helper()
		if got := d.say(t, user(text)); got.status != status {
			t.Errorf("%s: status %d: %s", name, got.status, got.body)
		}
		if got := a.since(); got != want {
			t.Errorf("%s: called with %q, want %q", name, got, want)
		}
	}
	f("a conversation", first, "one", 200, "key-one")
	f("another one", second, "two", 200, "key-two")
	for range 3 {
		f("the next turn", first, "and?", 200, "key-one")
	}
	f("the other's next turn", second, "and?", 200, "key-two")
	a.limit(map[string]string{"key-one": "0"})
	f("over its limit for a short time", first, "and?", 200, "key-one key-one")
	a.limit(map[string]string{"key-one": "60"})
	f("over its limit for longer", first, "and?", 200, "key-one key-two")
	if body := a.last(); strings.Contains(body, "signature") || strings.Count(body, `"text":"ok"`) != 5 {
		t.Errorf("signed thinking was not left behind, or more than that: %s", body)
	}
	a.limit(nil)
	f("after that", first, "and?", 200, "key-two")
	if body := a.last(); strings.Contains(body, "key-one") || strings.Count(body, `"key-two"`) != 1 {
		t.Errorf("of the thinking, only that of the second key should be sent: %s", body)
	}
}

// A session that the client names stays on its key even if its text changes.
func TestSessionStaysOnKey(t *testing.T) {
	a := &accounts{}
	r := newRig(t, accountsConfig("anthropic", "messages"), map[string]http.Handler{"a": a})
	for i := range 4 {
		(&dialogue{r: r, path: "/v1/messages"}).say(t, user(fmt.Sprint("question ", i)), "X-Carrot-Session: s")
	}
	if got := a.since(); got != "key-one key-one key-one key-one" {
		t.Errorf("called with %q, want the first key each time", got)
	}
}

// Encrypted reasoning stays behind too, and in the middle of a tool turn the request
// stays with its key.
func TestToolTurnStaysOnKey(t *testing.T) {
	for _, test := range []struct{ kind, path, api, result string }{
		{"anthropic", "/v1/messages", "messages", `{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"42"}]}`},
		{"openai", "/v1/responses", "responses", `{"type":"function_call_output","call_id":"c1","output":"42"}`},
	} {
		a := &accounts{}
		r := newRig(t, accountsConfig(test.kind, test.api), map[string]http.Handler{"a": a})
		d := &dialogue{r: r, path: test.path}
		d.say(t, user("one"))
		a.limit(map[string]string{"key-one": "60"})
		before := slices.Clone(d.turns)
		if got := d.say(t, test.result); got.status != 429 || got.header.Get("Retry-After") != "60" || a.since() != "key-one key-one" {
			t.Errorf("%s: in a tool turn: status %d, Retry-After %q: %s", test.api, got.status, got.header.Get("Retry-After"), got.body)
		}
		d.turns = before
		if got := d.say(t, user("Leave it.")); got.status != 200 || a.since() != "key-one key-two" {
			t.Errorf("%s: after it: status %d: %s", test.api, got.status, got.body)
		}
		if body := a.last(); strings.Contains(body, "key-one") || strings.Contains(body, `"id":`) || !strings.Contains(body, `"ok"`) || !json.Valid([]byte(body)) {
			t.Errorf("%s: sent with the other key: %s", test.api, body)
		}
	}
}

// A response is continued with the key that made it, because only its account has it.
func TestPreviousResponseStaysOnKey(t *testing.T) {
	a := &accounts{}
	r := newRig(t, accountsConfig("openai", "responses"), map[string]http.Handler{"a": a})
	first := r.post(t, "/v1/responses", `{"model":"auto","input":"one"}`)
	more := `{"model":"auto","input":"and?","previous_response_id":"` + gjson.Get(first.body, "id").Str + `"}`
	r.post(t, "/v1/responses", more)
	a.limit(map[string]string{"key-one": "60"})
	if got := r.post(t, "/v1/responses", more); got.status != 429 || a.since() != "key-one key-one key-one" {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

// A conversation is recognized although its client moves the marks of what is to be
// cached to the latest turns, with the blocks that they need.
func TestConversationRecognizedWithoutMarks(t *testing.T) {
	const mark = `,"cache_control":{"type":"ephemeral"}`
	block := func(text, mark string) string {
		return fmt.Sprintf(`{"role":"user","content":[{"type":"text","text":%q%s}]}`, text, mark)
	}
	const reply = `,{"role":"assistant","content":"ok"},`
	for name, first := range map[string][2]string{
		"a marked text":          {block(`one "more"`, mark), block(`one "more"`, "")},
		"a text without a block": {block(`one "more"`, mark), user(`one "more"`)},
		"with spaces": {`{"role": "user", "content": [{"cache_control": {"type": "ephemeral", "ttl": "1h"}, "type": "text", "text": "a"}, {"type": "text", "text": "b"}]}`,
			`{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}`},
	} {
		a := &accounts{}
		r := newRig(t, accountsConfig("anthropic", "messages"), map[string]http.Handler{"a": a})
		r.post(t, "/v1/messages", `{"model":"auto","max_tokens":5,"messages":[`+first[0]+`]}`)
		for range 2 {
			r.post(t, "/v1/messages", `{"model":"auto","max_tokens":5,"messages":[`+first[1]+reply+block("two", mark)+`]}`)
		}
		if got := a.since(); got != "key-one key-one key-one" {
			t.Errorf("%s: called with %q", name, got)
		}
		r.post(t, "/v1/messages", `{"model":"auto","max_tokens":5,"messages":[`+block("another", "")+reply+block("two", mark)+`]}`)
		if got := a.since(); got != "key-two" {
			t.Errorf("%s: another conversation: called with %q", name, got)
		}
	}
}

// What a provider says about its prompt cache is recorded.
func TestCacheMissRecorded(t *testing.T) {
	r := newRig(t, accountsConfig("openai", "responses"), map[string]http.Handler{"a": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"id":"r","object":"response","status":"completed","model":"m","output":[],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2},`+
			`"prompt_cache_diagnostics":{"type":"cache_miss","reason":"tools_changed","cache_missed_tokens":9}}`)
	})})
	if a := r.post(t, "/v1/responses", `{"model":"auto","input":"one"}`); a.status != 200 || r.records.list()[0].CacheMiss != "tools_changed" {
		t.Errorf("status %d, recorded %q: %s", a.status, r.records.list()[0].CacheMiss, a.body)
	}
}
