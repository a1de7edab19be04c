package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/record"
)

// The provider receives the client's bytes, except where they must change.
func TestBytesStay(t *testing.T) {
	const answer = "A provider that answers.\n-- response --\nHTTP/1.1 200 OK\nContent-Type: application/json\n\n" +
		`{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1},"x_unknown":{"b":1,"a":[ 2 ]}}` + "\n"
	script, err := simulate.ParseScript([]byte(answer))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, `
providers:
  - {name: a, kind: openai, base_url: $a/v1, api_key: secret, headers: {X-Team: t}}
models:
  - {name: gpt-4o-2024-08-06, provider: a, upstream: deployed-name}
  - {name: high, like: gpt-4o-2024-08-06, provider: a, upstream: deployed-name, price: {input: 1, output: 2},
     settings: {reasoning_effort: high, temperature: 0, max_completion_tokens: 300, extra_body: {k: [1, two]}, top_p: null}}
`, map[string]http.Handler{"a": script})
	for _, test := range []struct{ name, sent, got string }{
		{"spaces, order, escapes and unknown fields",
			"{ \"z\":1,\n\t\"messages\" : [ {\"content\":\"h\\u00e9\\/\", \"role\":\"user\", \"x\":null} ] ,\"model\":\"gpt-4o-2024-08-06\",\"a\":{\"y\":2,\"b\":[]},\"num\":1.0e2 }",
			"{ \"z\":1,\n\t\"messages\" : [ {\"content\":\"h\\u00e9\\/\", \"role\":\"user\", \"x\":null} ] ,\"model\":\"deployed-name\",\"a\":{\"y\":2,\"b\":[]},\"num\":1.0e2 }"},
		{"our metadata is removed", `{"model":"gpt-4o-2024-08-06","metadata":{"carrot_session":"s","k":"v"},"messages":[{"role":"user","content":"x"}]}`,
			`{"model":"deployed-name","metadata":{"k":"v"},"messages":[{"role":"user","content":"x"}]}`},
		{"settings are added, and the lower token limit applies", `{"model":"high","temperature":1,"max_tokens":500,"messages":[{"role":"user","content":"x"}]}`,
			`{"reasoning_effort":"high","extra_body":{"k":[1,"two"]},"model":"deployed-name","temperature":0,"max_tokens":300,"messages":[{"role":"user","content":"x"}]}`},
		{"a setting of null removes the client's field", `{"model":"high","top_p":0.5,"temperature":0,"reasoning_effort":"high","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`,
			`{"extra_body":{"k":[1,"two"]},"model":"deployed-name","temperature":0,"reasoning_effort":"high","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`},
		{"a lower token limit of the client is kept", `{"model":"high","temperature":1,"max_tokens":50,"reasoning_effort":"low","messages":[{"role":"user","content":"x"}]}`,
			`{"extra_body":{"k":[1,"two"]},"model":"deployed-name","temperature":0,"max_tokens":50,"reasoning_effort":"high","messages":[{"role":"user","content":"x"}]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			script.Reset()
			a := r.post(t, "/v1/chat/completions", test.sent, "X-Secret: client", "Cookie: c=1", "Idempotency-Key: i-1")
			if a.status != 200 || !strings.Contains(a.body, `"x_unknown":{"b":1,"a":[ 2 ]}`) {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			got := script.Requests()[0]
			if string(got.Body) != test.got {
				t.Errorf("the provider got\n%s\nwant\n%s", got.Body, test.got)
			}
			h := got.Header
			if h.Get("Authorization") != "Bearer secret" || h.Get("X-Team") != "t" || h.Get("Idempotency-Key") != "i-1" || h.Get("X-Secret") != "" || h.Get("Cookie") != "" {
				t.Errorf("headers %v", h)
			}
		})
	}
}

// No setting of a configured model is bypassed by a second member of its name.
func TestSettingsHold(t *testing.T) {
	provider := simulated(0)
	r := newRig(t, `
providers: [{name: sim, kind: openai, base_url: $sim/v1}]
models: [{name: gpt-4o-2024-08-06, provider: sim, settings: {temperature: 0, extra_body: {k: 1, gone: null}, max_tokens: 300}}]
`, map[string]http.Handler{"sim": provider})
	for _, test := range []struct{ members, want string }{
		{`"Temperature":1`, `\"Temperature\" differs from \"temperature\" only in case`},
		{`"extra_body":{"k":1,"k":2}`, `\"extra_body.k\" appears twice`},
		{`"extra_body":{"GONE":2}`, `\"extra_body.GONE\" differs`},
		{`"MAX_TOKENS":100000`, `\"MAX_TOKENS\" differs`},
	} {
		for _, model := range []string{"auto", "gpt-4o-2024-08-06"} {
			if a := r.post(t, "/v1/chat/completions", chat(model, sumQuestion, test.members)); a.status != 400 || !strings.Contains(a.body, test.want) {
				t.Errorf("%s with %s: status %d, want 400 with %s: %s", model, test.members, a.status, test.want, a.body)
			}
		}
	}
	if cost := provider.Bill().Cost(); cost != 0 {
		t.Errorf("refused requests cost %v", cost)
	}
	if a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion, `"temperature":1,"extra_body":{"k":2,"K2":3},"chatKwargs":{"a":1,"A":2}`)); a.status != 200 {
		t.Errorf("members given once: status %d: %s", a.status, a.body)
	}
}

// A request that cannot be translated to a provider's API excludes the provider's models,
// and the decision says why.
func TestUntranslatable(t *testing.T) {
	both := simulated(0)
	r := newRig(t, `
providers:
  - {name: a, kind: anthropic, base_url: $sim/v1}
  - {name: o, kind: openai, base_url: $sim/v1}
models:
  - {name: gpt-4o-2024-08-06, provider: o}
  - {name: gemma-2-2b-it, provider: a}
`, map[string]http.Handler{"sim": both})
	const cheapest = "auto:usd-per-quality=0"
	if a := r.post(t, "/v1/chat/completions", chat(cheapest, "Hi")); a.status != 200 || a.header.Get("X-Carrot-Model") != "gemma-2-2b-it" {
		t.Errorf("translated: status %d, served by %s: %s", a.status, a.header.Get("X-Carrot-Model"), a.body)
	}
	body := chat(cheapest, "Hi", `"logprobs":true`)
	if a := r.post(t, "/v1/chat/completions", body); a.status != 200 || a.header.Get("X-Carrot-Model") != "gpt-4o-2024-08-06" || a.header.Get("X-Carrot-Reason") != "only-candidate" {
		t.Errorf("logprobs: status %d, served by %s for %s", a.status, a.header.Get("X-Carrot-Model"), a.header.Get("X-Carrot-Reason"))
	}
	if a := r.post(t, "/v1/route", body); !strings.Contains(a.body, "chat cannot be sent as messages: field logprobs") {
		t.Errorf("the decision does not give the reason: %s", a.body)
	}
	if a := r.post(t, "/v1/chat/completions", chat("gemma-2-2b-it", "Hi", `"logprobs":true`)); a.status != 400 || !strings.Contains(a.body, "field logprobs") {
		t.Errorf("the model by name: status %d: %s", a.status, a.body)
	}
}

// A setting of null removes a field before the request is translated, so that the field
// neither prevents the translation nor appears under another name.
func TestNullBeforeTranslation(t *testing.T) {
	script, err := simulate.ParseScript([]byte("-- response --\nHTTP/1.1 200 OK\nContent-Type: application/json\n\n" +
		`{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}` + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, `
providers: [{name: a, kind: anthropic, base_url: $a/v1}]
models:
  - {name: strict, like: gpt-4o-2024-08-06, provider: a, price: {input: 1, output: 2}}
  - {name: lenient, like: gpt-4o-2024-08-06, provider: a, price: {input: 2, output: 3}, settings: {logprobs: null, include: null, reasoning_effort: null, stop: null, text: {verbosity: null}}}
`, map[string]http.Handler{"a": script})
	const want = `{"model":"lenient","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}`
	for path, body := range map[string]string{
		"/v1/chat/completions": chat("auto", "Hi", `"logprobs":true,"reasoning_effort":"none","stop":["x"],"max_tokens":9`),
		"/v1/responses":        `{"model":"auto","max_output_tokens":9,"input":"Hi","include":["message.output_text.logprobs"],"text":{"verbosity":"low"},"reasoning":{"effort":"high"}}`,
	} {
		script.Reset()
		a := r.post(t, path, body)
		if a.status != 200 || a.header.Get("X-Carrot-Model") != "lenient" {
			t.Errorf("%s: status %d by %q: %s", path, a.status, a.header.Get("X-Carrot-Model"), a.body)
			continue
		}
		if got := string(script.Requests()[0].Body); got != want {
			t.Errorf("%s: the provider got\n%s\nwant\n%s", path, got, want)
		}
	}
}

// The configuration says which texts are recorded: none, what the router judged, or all.
func TestRecordedContent(t *testing.T) {
	body := `{"model":"auto","user":"ada","max_tokens":5,"stream":%t,"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"What is 17 * 23?"}]}`
	for content, want := range map[string]struct {
		prompt string // has this
		answer bool
	}{
		"": {}, "content: none": {}, "content: false": {}, "content: judged": {prompt: "What is 17 * 23?"},
		"content: full": {`"role":"system"`, true}, "content: true": {`"role":"system"`, true},
	} {
		r := newRig(t, simulatedConfig+"record: {path: unused.jsonl, "+content+"}", map[string]http.Handler{"sim": simulated(0)})
		for _, stream := range []bool{false, true} {
			r.post(t, "/v1/chat/completions", fmt.Sprintf(body, stream))
		}
		list := r.records.list()
		if len(list) != 2 {
			t.Fatalf("%q: %d attempts", content, len(list))
		}
		for _, a := range list {
			if !strings.Contains(string(a.Prompt), want.prompt) || want.prompt == "" && a.Prompt != nil || content == "content: judged" && string(a.Prompt) != want.prompt || (a.Answer != "") != want.answer {
				t.Errorf("%q: prompt %q, answer %q", content, a.Prompt, a.Answer)
			}
			if a.User != "ada" || a.Default == "" || content != "content: full" && content != "content: true" && strings.Contains(string(a.AppendJSON(nil)), "ada") {
				t.Errorf("%q: user %q, default %q: %s", content, a.User, a.Default, a.AppendJSON(nil))
			}
		}
	}
}

// Prompts and answers are recorded if the configuration says so, and clients can ask for
// an explanation.
func TestContentAndDebug(t *testing.T) {
	r := newRig(t, simulatedConfig+"record: {path: unused.jsonl, content: true}", map[string]http.Handler{"sim": simulated(0)})
	for _, stream := range []string{`"stream":false`, `"stream":true`} {
		a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion, stream, `"max_tokens":5`), "X-Carrot-Debug: true")
		if why := a.header.Get("X-Carrot-Explanation"); !strings.Contains(why, "best trade-off") {
			t.Errorf("explanation %q", why)
		}
	}
	for _, a := range r.records.list() {
		line, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var back record.Attempt
		if err := json.Unmarshal(line, &back); err != nil || !strings.Contains(string(back.Prompt), "17 * 23") || len(back.Answer) < 5 {
			t.Errorf("%v: prompt %s, answer %q", err, back.Prompt, back.Answer)
		}
	}
}

// said is a provider that answers every call with a status and a body.
func said(status int, kind, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

// A provider's error may quote the prompt or a key. The client receives it without the
// key, and neither the log nor the record contains it.
func TestQuotedErrors(t *testing.T) {
	const words = `bad key Bearer key-one for \"my secret prompt\"`
	for name, handler := range map[string]http.Handler{
		"a status":            said(422, "application/json", `{"error":{"message":"`+words+`","code":"c"}}`),
		"in a stream":         said(200, "text/event-stream", `data: {"error":{"message":"`+words+`","code":"invalid_request"}}`+"\n\n"),
		"instead of a stream": said(200, "application/json", `{"error":{"message":"`+words+`","code":422}}`),
		"another form":        said(422, "text/html", `<p>`+words+`</p>`),
		"a server error":      said(500, "application/json", `{"error":{"message":"`+words+`","code":"c"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			r := &rig{records: &records{}}
			g, err := gateway.New(parse(t, pairConfig+"retry: {retries: 0, fallbacks: 0}", map[string]http.Handler{"a": handler, "b": handler}), source(),
				gateway.Options{Recorder: r.records, Log: slog.New(slog.NewJSONHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			r.serve(t, g)
			a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion, `"stream":true`))
			if a.status < 400 || !strings.Contains(a.body, "my secret prompt") || strings.Contains(a.body, "key-one") {
				t.Errorf("status %d: %s", a.status, a.body)
			}
			record, err := json.Marshal(r.records.list()[0])
			if err != nil {
				t.Fatal(err)
			}
			if kept := log.String() + string(record); strings.Contains(kept, "secret") || strings.Contains(kept, "key-one") {
				t.Errorf("the log or the record contains it: %s", kept)
			}
		})
	}
}

// The client receives everything that has arrived before the gateway waits for more, even
// if an incomplete event is in the buffer.
func TestFlushBeforeWait(t *testing.T) {
	for _, after := range []string{"", ": keepalive\n\n", "\n", "data: {\"choices\""} {
		seen := make(chan struct{})
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"first\"}}]}\n\n"+after)
			w.(http.Flusher).Flush()
			select {
			case <-seen:
			case <-r.Context().Done():
			}
		})
		r := newRig(t, pairConfig, map[string]http.Handler{"a": handler, "b": handler})
		response, err := http.Post(r.url+"/v1/chat/completions", "application/json", strings.NewReader(chat("auto", sumQuestion, `"stream":true`)))
		if err != nil {
			t.Fatal(err)
		}
		line := make(chan string, 1)
		go func() {
			text, _ := bufio.NewReader(response.Body).ReadString('\n')
			line <- text
		}()
		select {
		case text := <-line:
			if !strings.Contains(text, "first") {
				t.Errorf("%q: the client got %q", after, text)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%q: the client did not receive what has arrived", after)
		}
		close(seen)
		response.Body.Close()
	}
}

// A chat stream ends with its mark even if the provider omits it.
func TestDoneIsAdded(t *testing.T) {
	const chunk = `data: {"id":"c","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}` + "\n\n"
	for _, stream := range []string{chunk, chunk + "data: [DONE]\n", chunk + "data: [DONE]\n\n"} {
		handler := said(200, "text/event-stream", stream)
		r := newRig(t, pairConfig, map[string]http.Handler{"a": handler, "b": handler})
		a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion, `"stream":true`))
		if a.body != chunk+"data: [DONE]\n\n" || r.records.list()[0].Outcome != record.Served {
			t.Errorf("the provider sent %q, the client received %q, outcome %s", stream, a.body, r.records.list()[0].Outcome)
		}
	}
}

// A refused key is not used again in the same request. A request that is too long reaches
// the only model with a longer context, although others would come before it.
func TestTrials(t *testing.T) {
	const models = `
models:
  - {name: gpt-4o-2024-08-06, provider: a, context: 1000}
  - {name: claude-3-5-sonnet-20241022, provider: a, context: 1000}
  - {name: gpt-4o-mini-2024-07-18, provider: a, context: 1000}
  - {name: Mistral-Large-2, provider: a, context: 1000}
  - {name: gemma-2-2b-it, provider: b, context: 2000}
policies: [{name: auto, objective: quality}]
`
	const providers = `
providers:
  - {name: a, kind: openai, base_url: $a/v1, api_key: key-one}
  - {name: b, kind: openai, base_url: $b/v1}
`
	refused, answering := &replies{statuses: []int{401}}, &replies{statuses: []int{200}}
	r := newRig(t, providers+models, map[string]http.Handler{"a": refused, "b": answering})
	if a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion)); a.status != 200 || refused.calls.Load() != 1 {
		t.Errorf("status %d after %d calls with one key", a.status, refused.calls.Load())
	}
	tooLong := said(400, "application/json", `{"error":{"message":"too long","code":"context_length_exceeded"}}`)
	answering = &replies{statuses: []int{200}}
	r = newRig(t, providers+models+"retry: {fallbacks: 1}", map[string]http.Handler{"a": tooLong, "b": answering})
	if a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion)); a.status != 200 || a.header.Get("X-Carrot-Model") != "gemma-2-2b-it" || a.header.Get("X-Carrot-Attempts") != "2" {
		t.Errorf("too long: status %d from %s in %s attempts: %s", a.status, a.header.Get("X-Carrot-Model"), a.header.Get("X-Carrot-Attempts"), a.body)
	}
}

// A breaker closes when the call that it lets through has its first content, not at the
// end of the stream.
func TestBreakerClosesAtFirstContent(t *testing.T) {
	calls := 0
	hold := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls <= 2 {
			w.WriteHeader(500)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}`+"\n\n")
		w.(http.Flusher).Flush()
		<-hold
	})
	r := newRig(t, pairConfig+"retry: {retries: 0}\nbreaker: {failures: 2, open: 50ms}", map[string]http.Handler{"a": handler, "b": &replies{statuses: []int{200}}})
	for range 2 {
		r.post(t, "/v1/chat/completions", chat("gpt-4o-2024-08-06", sumQuestion))
	}
	time.Sleep(60 * time.Millisecond)
	var streams []*http.Response
	for range 2 {
		response, err := http.Post(r.url+"/v1/chat/completions", "application/json", strings.NewReader(chat("gpt-4o-2024-08-06", sumQuestion, `"stream":true`)))
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, response)
	}
	close(hold)
	for i, s := range streams {
		if s.StatusCode != 200 {
			t.Errorf("stream %d: status %d", i, s.StatusCode)
		}
		s.Body.Close()
	}
}

// Clients receive their answers even if the recorder panics.
func TestRecorderPanics(t *testing.T) {
	g, err := gateway.New(parse(t, simulatedConfig, map[string]http.Handler{"sim": simulated(0)}), source(), gateway.Options{Recorder: panicking{}})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{records: &records{}}
	r.serve(t, g)
	for range 2 {
		if a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion)); a.status != 200 {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	}
}

type panicking struct{}

func (panicking) Record(context.Context, *record.Attempt) error { panic("broken") }

// oneKey has two models at a provider with one key.
const oneKey = `
providers: [{name: a, kind: openai, base_url: $a/v1, api_key: key-one}]
models:
  - {name: gpt-4o-2024-08-06, provider: a}
  - {name: gemma-2-2b-it, provider: a}
policies: [{name: auto, objective: quality}]
`

// A key that is refused for one model is used for another model of the same provider.
func TestForbiddenModel(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), `"model":"gpt-4o-2024-08-06"`) {
			w.WriteHeader(403)
			io.WriteString(w, `{"error":{"message":"no access to this model"}}`)
			return
		}
		(&replies{statuses: []int{200}}).ServeHTTP(w, r)
	})
	r := newRig(t, oneKey, map[string]http.Handler{"a": handler})
	if a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion)); a.status != 200 || a.header.Get("X-Carrot-Model") != "gemma-2-2b-it" {
		t.Errorf("status %d from %s: %s", a.status, a.header.Get("X-Carrot-Model"), a.body)
	}
}

// A key that is refused altogether is not tried with another model.
func TestForbiddenKey(t *testing.T) {
	r := newRig(t, oneKey, map[string]http.Handler{"a": said(403, "application/json", `{"error":{"message":"this account is suspended"}}`)})
	if a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion)); a.status != 502 || len(r.records.list()) != 1 {
		t.Errorf("status %d after %d calls: %s", a.status, len(r.records.list()), a.body)
	}
}

// An answer that the gateway cannot pass on is recorded with the usage that the provider
// reports, because it is billed.
func TestBilledAndLost(t *testing.T) {
	const usage = `"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}`
	const badCall = `{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"[1]"}}]},"finish_reason":"tool_calls"}],` + usage + `}`
	const none = `{"id":"c","model":"m","choices":[],` + usage + `}`
	for _, test := range []struct{ name, path, body, answer, code string }{
		{"an answer that cannot be translated", "/v1/messages", `{"model":"auto","max_tokens":9,"tools":[{"name":"f","input_schema":{"type":"object"}}],"messages":[{"role":"user","content":"x"}]}`, badCall, "untranslatable_answer"},
		{"neither a stream nor an answer", "/v1/chat/completions", chat("auto", "x", `"stream":true`), none, "no_stream"},
	} {
		handler := said(200, "application/json", test.answer)
		r := newRig(t, strings.NewReplacer("/v1, api_keys: [key-one, key-two]}", "/v1, apis: [chat]}").Replace(pairConfig)+"retry: {retries: 0, fallbacks: 0}", map[string]http.Handler{"a": handler, "b": handler})
		got := r.post(t, test.path, test.body)
		a := r.records.list()[0]
		if want := (carrot.Usage{Input: 1000, Output: 500}); got.status != 502 || a.ErrorCode != test.code || a.Usage != want || a.Cost == 0 || a.Estimated {
			t.Errorf("%s: status %d, %s, recorded %s with %+v for %v, want %+v", test.name, got.status, got.body, a.ErrorCode, a.Usage, a.Cost, want)
		}
	}
}

// Bad requests cause no warnings in the log.
func TestWarnings(t *testing.T) {
	var log bytes.Buffer
	handler := said(422, "application/json", `{"error":{"message":"no"}}`)
	g, err := gateway.New(parse(t, pairConfig, map[string]http.Handler{"a": handler, "b": handler}), source(), gateway.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{}
	r.serve(t, g)
	if a := r.post(t, "/v1/chat/completions", chat("auto", sumQuestion)); a.status != 422 || strings.Contains(log.String(), "WARN") {
		t.Errorf("status %d, log %s", a.status, &log)
	}
}

// If the provider reports no usage, a client that asks for it receives the gateway's count,
// which is marked as an estimate.
func TestUsageIsCounted(t *testing.T) {
	const whole = "data: {\"id\":\"c-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"The capital\"},\"finish_reason\":\"stop\"}]}\n\n"
	for _, done := range []string{"", "data: [DONE]\n\n"} {
		r := newRig(t, simulatedConfig, map[string]http.Handler{"sim": said(200, "text/event-stream", whole+done)})
		a := r.post(t, "/v1/chat/completions", chat("gpt-4o-2024-08-06", sumQuestion, `"stream":true`, `"stream_options":{"include_usage":true}`))
		events := strings.Split(strings.TrimSpace(a.body), "\n\n")
		var last struct {
			ID, Model string
			Choices   []any
			Usage     struct {
				Completion int `json:"completion_tokens"`
			}
			Carrot struct {
				Cost      float64 `json:"cost_usd"`
				Estimated bool
			}
		}
		if len(events) != 3 || json.Unmarshal([]byte(strings.TrimPrefix(events[1], "data: ")), &last) != nil {
			t.Fatalf("events %q", events)
		}
		if last.ID != "c-1" || last.Model != "gpt-4o-2024-08-06" || last.Choices == nil || last.Usage.Completion != 2 || last.Carrot.Cost == 0 || !last.Carrot.Estimated {
			t.Errorf("the last chunk is %s", events[1])
		}
		if a := r.post(t, "/v1/chat/completions", chat("gpt-4o-2024-08-06", sumQuestion, `"stream":true`)); strings.Contains(a.body, "usage") {
			t.Errorf("usage that was not asked for: %s", a.body)
		}
	}
}

// The client's idempotency key is sent only to the first candidate, because the requests
// to others are different.
func TestIdempotencyKey(t *testing.T) {
	var keys []string
	keep := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			keys = append(keys, r.Header.Get("Idempotency-Key"))
			(&replies{statuses: []int{status}}).ServeHTTP(w, r)
		})
	}
	r := newRig(t, pairConfig+"retry: {retries: 1, backoff: 1ms}", map[string]http.Handler{"a": keep(500), "b": keep(200)})
	r.post(t, "/v1/chat/completions", chat("auto", sumQuestion), "Idempotency-Key: i-1")
	if got := strings.Join(keys, ","); got != "i-1,i-1," {
		t.Errorf("keys %q", got)
	}
}
