package simulate

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"
)

var testPrice = carrot.Price{Input: 7, CachedInput: 3, CacheWrite: 11, Output: 101, Reasoning: 103}

// bill is what a usage costs.
func bill(t *testing.T, p carrot.Price, u carrot.Usage) carrot.USD {
	t.Helper()
	cost, err := p.Cost(u)
	if err != nil && p != (carrot.Price{}) {
		t.Fatalf("Cost(%+v): %v", u, err)
	}
	return cost
}

// one returns a provider with a single model, "m".
func one(m Model) *Provider {
	m.Name = "m"
	if m.OutputTokens == 0 {
		m.OutputTokens = 60
	}
	m.Price = testPrice
	return &Provider{Models: []Model{m}}
}

// ask makes a call without a network.
func ask(p http.Handler, api wire.API, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/"+api.Path(), strings.NewReader(body)))
	return w
}

// seen is an answer as a client reads it.
type seen struct {
	Text, Tool, Finish string
	Usage              carrot.Usage
	HasUsage           bool
}

// look reads an answer, streamed or not. It does not use the gateway's code.
func look(t *testing.T, api wire.API, w *httptest.ResponseRecorder) seen {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var s seen
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") {
		v := gjson.Parse(w.Body.String())
		if !gjson.Valid(w.Body.String()) {
			t.Fatalf("not JSON: %s", w.Body)
		}
		s.whole(api, v)
		return s
	}
	d, last := wire.NewDecoder(w.Body), false
	for sequence := 0; ; sequence++ {
		e, err := d.Next()
		if err != nil {
			break
		}
		if api == wire.Chat && string(e.Data) == wire.Done {
			last = true
			continue
		}
		v := gjson.ParseBytes(e.Data)
		if !gjson.ValidBytes(e.Data) || last || api != wire.Chat && v.Get("type").Str != e.Name {
			t.Fatalf("bad event %s", e)
		}
		if n := v.Get("sequence_number"); api == wire.Responses && n.Int() != int64(sequence) {
			t.Errorf("event %d has number %s", sequence, n.Raw)
		}
		last = s.event(api, v)
	}
	if !last {
		t.Error("the stream has no end")
	}
	return s
}

func (s *seen) usage(v gjson.Result, in, out, cached, reasoning string) {
	if !v.IsObject() {
		return
	}
	s.HasUsage = true
	s.Usage = carrot.Usage{CachedInput: int(v.Get(cached).Int()), CacheWrite: int(v.Get("cache_creation_input_tokens").Int()), Reasoning: int(v.Get(reasoning).Int())}
	s.Usage.Input = int(v.Get(in).Int())
	if in != "input_tokens" || v.Get("total_tokens").Exists() {
		s.Usage.Input -= s.Usage.CachedInput
	}
	s.Usage.Output = int(v.Get(out).Int()) - s.Usage.Reasoning
}

func (s *seen) whole(api wire.API, v gjson.Result) {
	switch api {
	case wire.Messages:
		v.Get("content").ForEach(func(_, b gjson.Result) bool {
			s.Text += b.Get("thinking").Str + b.Get("text").Str + b.Get("input").Raw
			s.Tool += b.Get("name").Str
			return true
		})
		s.Finish = v.Get("stop_reason").Str
		s.usage(v.Get("usage"), "input_tokens", "output_tokens", "cache_read_input_tokens", "-")
	case wire.Responses:
		item := v.Get("output.@reverse.0")
		s.Text, s.Tool, s.Finish = item.Get("content.0.text").Str+item.Get("content.0.refusal").Str+item.Get("arguments").Str, item.Get("name").Str, v.Get("status").Str
		s.usage(v.Get("usage"), "input_tokens", "output_tokens", "input_tokens_details.cached_tokens", "output_tokens_details.reasoning_tokens")
	default:
		v.Get("choices").ForEach(func(_, c gjson.Result) bool {
			call := c.Get("message.tool_calls.0.function")
			s.Text += c.Get("message.content").Str + c.Get("message.refusal").Str + call.Get("arguments").Str
			s.Tool, s.Finish = call.Get("name").Str, c.Get("finish_reason").Str
			return true
		})
		s.usage(v.Get("usage"), "prompt_tokens", "completion_tokens", "prompt_tokens_details.cached_tokens", "completion_tokens_details.reasoning_tokens")
	}
}

// event reads one event. It reports whether it must be the last.
func (s *seen) event(api wire.API, v gjson.Result) bool {
	switch api {
	case wire.Messages:
		d := v.Get("delta")
		s.Text += d.Get("thinking").Str + d.Get("text").Str + d.Get("partial_json").Str
		s.Tool += v.Get("content_block.name").Str
		s.Finish += d.Get("stop_reason").Str
		s.usage(v.Get("usage"), "input_tokens", "output_tokens", "cache_read_input_tokens", "-")
		return v.Get("type").Str == "message_stop"
	case wire.Responses:
		if strings.HasSuffix(v.Get("type").Str, ".delta") {
			s.Text += v.Get("delta").Str
		}
		if v.Get("response.usage").IsObject() {
			text := s.Text
			s.whole(api, v.Get("response"))
			if s.Text != text {
				s.Text = fmt.Sprintf("the deltas add up to %q, but the whole is %q", text, s.Text)
			}
			return true
		}
	default:
		v.Get("choices").ForEach(func(_, c gjson.Result) bool {
			call := c.Get("delta.tool_calls.0.function")
			s.Text += c.Get("delta.content").Str + c.Get("delta.refusal").Str + call.Get("arguments").Str
			s.Tool += call.Get("name").Str
			if c.Get("finish_reason").Str != "" {
				s.Finish = c.Get("finish_reason").Str
			}
			return true
		})
		s.usage(v.Get("usage"), "prompt_tokens", "completion_tokens", "prompt_tokens_details.cached_tokens", "completion_tokens_details.reasoning_tokens")
	}
	return false
}

// asks are requests of each API, without the opening brace and the model.
var asks = []struct {
	name   string
	api    wire.API
	body   string
	tool   string
	finish string
	json   bool
	more   func(t *testing.T, s seen)
}{
	{name: "text", api: wire.Chat, body: `"messages":[{"role":"user","content":"hello there"}]`, finish: "stop"},
	{name: "text", api: wire.Messages, body: `"max_tokens":500,"messages":[{"role":"user","content":"hello there"}]`, finish: "end_turn"},
	{name: "text", api: wire.Responses, body: `"input":"hello there"`, finish: "completed"},
	{name: "limit", api: wire.Chat, body: `"max_completion_tokens":5,"messages":[{"role":"user","content":"x"}]`, finish: "length", more: output(5)},
	{name: "limit", api: wire.Messages, body: `"max_tokens":5,"messages":[{"role":"user","content":"x"}]`, finish: "max_tokens", more: output(5)},
	{name: "limit", api: wire.Responses, body: `"max_output_tokens":5,"input":[{"role":"user","content":[{"type":"input_text","text":"x"}]}]`, finish: "incomplete", more: output(5)},
	{name: "tool by words", api: wire.Chat, tool: "f", finish: "tool_calls", json: true,
		body: `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"}},"required":["a"]}}}],"messages":[{"role":"user","content":"Please USE the tool."}]`},
	{name: "tool by name", api: wire.Messages, tool: "g", finish: "tool_use", json: true,
		body: `"max_tokens":500,"tools":[{"name":"f","input_schema":{"type":"object"}},{"name":"g","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"g"},"messages":[{"role":"user","content":"x"}]`},
	{name: "tool required", api: wire.Responses, tool: "f", finish: "completed", json: true,
		body: `"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{"a":{"enum":["é\"1","2"]}},"required":["a"]}}],"tool_choice":"required","input":"x"`},
	{name: "tool not asked for", api: wire.Chat, finish: "stop",
		body: `"tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"x"}]`},
	{name: "tool forbidden", api: wire.Chat, finish: "stop",
		body: `"tool_choice":"none","tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"use the tool"}]`},
	{name: "after the tool", api: wire.Chat, finish: "stop", body: `"tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"use the tool"},` +
		`{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"done"}]`},
	{name: "after the tool", api: wire.Messages, finish: "end_turn", body: `"max_tokens":500,"tools":[{"name":"f","input_schema":{"type":"object"}}],"messages":[{"role":"user","content":"use the tool"},` +
		`{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"done"}]}]`},
	{name: "after the tool", api: wire.Responses, finish: "completed", body: `"tools":[{"type":"function","name":"f"}],"tool_choice":"required","input":[{"role":"user","content":"use the tool"},` +
		`{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"done"}]`},
	{name: "json", api: wire.Chat, finish: "stop", json: true, body: `"response_format":{"type":"json_object"},"messages":[{"role":"user","content":"x"}]`},
	{name: "schema", api: wire.Chat, finish: "stop", json: true,
		body: `"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object","properties":{"a":{"type":"array","items":{"type":"string"}}},"required":["a"]}}},"messages":[{"role":"user","content":"x"}]`,
		more: func(t *testing.T, s seen) {
			if s.Text != `{"a":[]}` {
				t.Errorf("text = %s", s.Text)
			}
		}},
	{name: "schema", api: wire.Messages, finish: "end_turn", json: true,
		body: `"max_tokens":500,"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"]}}},"messages":[{"role":"user","content":"x"}]`},
	{name: "schema", api: wire.Responses, finish: "completed", json: true,
		body: `"text":{"format":{"type":"json_schema","name":"s","schema":{"type":"object","properties":{"a":{"type":"number"}},"required":["a"]}}},"input":"x"`},
	{name: "three answers", api: wire.Chat, finish: "stop", body: `"n":3,"messages":[{"role":"user","content":"x"}]`},
	{name: "reasoning", api: wire.Chat, finish: "stop", body: `"reasoning_effort":"high","messages":[{"role":"user","content":"x"}]`,
		more: func(t *testing.T, s seen) {
			if s.Usage.Reasoning != 4*s.Usage.Output {
				t.Errorf("usage %+v, want four times as much reasoning as output", s.Usage)
			}
		}},
	{name: "reasoning", api: wire.Responses, finish: "completed", body: `"reasoning":{"effort":"medium"},"input":"x"`,
		more: func(t *testing.T, s seen) {
			if s.Usage.Reasoning != s.Usage.Output {
				t.Errorf("usage %+v, want as much reasoning as output", s.Usage)
			}
		}},
	{name: "reasoning beyond the limit", api: wire.Chat, finish: "length", body: `"max_tokens":3,"reasoning_effort":"high","messages":[{"role":"user","content":"x"}]`},
	{name: "thinking", api: wire.Messages, finish: "end_turn", body: `"max_tokens":900,"thinking":{"type":"enabled","budget_tokens":100},"messages":[{"role":"user","content":"x"}]`},
	{name: "thinking beyond the limit", api: wire.Messages, finish: "max_tokens", body: `"max_tokens":4,"thinking":{"type":"enabled"},"messages":[{"role":"user","content":"x"}]`, more: output(4)},
	{name: "image", api: wire.Chat, finish: "stop", body: `"messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]`, more: input(4 + 1 + 765)},
	{name: "image", api: wire.Messages, finish: "end_turn", body: `"max_tokens":500,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"AAAA"}},{"type":"text","text":"x"}]}]`, more: input(4 + 1 + 765)},
	{name: "image", api: wire.Responses, finish: "completed", body: `"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://example.com/a.png"}]}]`, more: input(4 + 765)},
	{name: "system", api: wire.Messages, finish: "end_turn", body: `"max_tokens":500,"system":"be brief","messages":[{"role":"user","content":"x"}]`, more: input(4 + 2 + 4 + 1)},
}

func output(n int) func(*testing.T, seen) {
	return func(t *testing.T, s seen) {
		if s.Usage.Output != n {
			t.Errorf("usage %+v, want %d tokens of output", s.Usage, n)
		}
	}
}

func input(n int) func(*testing.T, seen) {
	return func(t *testing.T, s seen) {
		if s.Usage.Input != n {
			t.Errorf("usage %+v, want %d tokens of input", s.Usage, n)
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, a := range asks {
		t.Run(string(a.api)+"/"+a.name, func(t *testing.T) {
			p := one(Model{})
			whole := look(t, a.api, ask(p, a.api, `{"model":"m",`+a.body+`}`))
			streamed := look(t, a.api, ask(p, a.api, `{"model":"m","stream":true,"stream_options":{"include_usage":true},`+a.body+`}`))
			if diff := cmp.Diff(whole, streamed); diff != "" {
				t.Errorf("streamed differently (-whole +streamed):\n%s", diff)
			}
			if whole.Tool != a.tool || whole.Finish != a.finish || whole.Text == "" && whole.Usage.Output > 0 {
				t.Errorf("got %+v, want tool %q and finish %q", whole, a.tool, a.finish)
			}
			if a.json && (!gjson.Valid(whole.Text) || !gjson.Parse(whole.Text).IsObject()) {
				t.Errorf("text %q is not a JSON object", whole.Text)
			}
			if a.more != nil {
				a.more(t, whole)
			}
			b := p.Bill()
			if want := 2 * bill(t, testPrice, whole.Usage); b.Cost() != want || b.Lines[0].Calls != 2 || b.Lines[0].Cut != 0 {
				t.Errorf("bill %+v, want %s for 2 calls of %+v", b, want, whole.Usage)
			}
		})
	}
}

func TestUsageOnlyIfAsked(t *testing.T) {
	w := ask(one(Model{}), wire.Chat, `{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}`)
	if strings.Contains(w.Body.String(), "usage") {
		t.Errorf("usage without being asked for: %s", w.Body)
	}
}

// TestDeterministic checks that equal requests get equal answers, and that another
// seed gives other answers.
func TestDeterministic(t *testing.T) {
	say := func(p *Provider, text string) string {
		return look(t, wire.Chat, ask(p, wire.Chat, `{"model":"m","messages":[{"role":"user","content":"`+text+`"}]}`)).Text
	}
	a, b := one(Model{}), one(Model{})
	other := one(Model{})
	other.Seed = 1
	differ := 0
	for i := range 20 {
		q := fmt.Sprint("question ", i)
		first := say(a, q)
		if first != say(b, q) || first != say(a, q) {
			t.Errorf("%q gets different answers", q)
		}
		if first != say(other, q) {
			differ++
		}
	}
	if differ < 15 {
		t.Errorf("another seed changes %d of 20 answers", differ)
	}
	wrapped := look(t, wire.Chat, ask(a, wire.Chat, `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"question 1"}]}]}`)).Text
	if wrapped != say(a, "question 1") {
		t.Error("a text in parts gets another answer than a plain text")
	}
}
