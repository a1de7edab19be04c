package wire

import (
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

func TestStreamErrors(t *testing.T) {
	const begun = `{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}},{"index":1,"id":"b","function":{"name":"g"}}]}}]}`
	for _, test := range []struct {
		name     string
		from, to API
		events   []string
		want     string // in the error of the last event
	}{
		{"truncated JSON", Chat, Messages, []string{`{"choices":[`}, "not an event of"},
		{"not an object", Messages, Chat, []string{`[1]`}, "not an event of"},
		{"no data", Responses, Chat, []string{``}, "not an event of"},
		{"arguments of a call that has ended", Chat, Messages, []string{begun, `{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}}]}`, `{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"2"}}]}}]}`}, "arguments of call 0"},
		{"another API", Embeddings, Chat, []string{`{}`}, "no translation"},
		{"the same API", Chat, Chat, []string{`{`}, "not an event of"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := NewStreamTranslator(test.from, test.to, 0, 0)
			var err error
			for _, data := range test.events {
				_, err = s.Next(Event{Data: []byte(data)})
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Next = %v, want an error with %q", err, test.want)
			}
			if end := s.Close(); len(end) != 1 || !strings.Contains(string(end[0].Data), "error") {
				t.Errorf("Close() = %v, want an error", end)
			}
		})
	}
}

// TestStreamEvents checks the last event that the client gets.
func TestStreamEvents(t *testing.T) {
	for _, test := range []struct {
		name       string
		from, to   API
		events     []string
		path, want string
	}{
		{"a response that failed", Responses, Messages, []string{`{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"slow down"}}}`}, "error.type", "rate_limit_error"},
		{"an error of responses", Responses, Chat, []string{`{"type":"error","code":"server_error","message":"oh"}`}, "error.message", "oh"},
		{"an error that is a string", Chat, Messages, []string{`{"error":"oh"}`}, "error.message", "oh"},
		{"unknown events", Messages, Chat, []string{`{"type":"new_event"}`, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"early"}}`}, "choices.0.delta.content", "early"},
		{"another choice", Chat, Messages, []string{`{"choices":[{"index":0,"delta":{"content":"a"}}]}`, `{"choices":[{"index":1,"delta":{"content":"b"}}]}`, `{"choices":[{"index":0,"delta":{"content":"c"}}]}`}, "delta.text", "c"},
		{"reasoning under its other name", Chat, Responses, []string{`{"choices":[{"delta":{"reasoning":"hm"}}]}`}, "delta", "hm"},
		{"open reasoning", Responses, Chat, []string{`{"type":"response.reasoning_text.delta","delta":"hm"}`}, "choices.0.delta.reasoning_content", "hm"},
		{"calls without an index", Chat, Responses, []string{`{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"g","arguments":"[]"}}]}}]}`}, "delta", "[]"},
		{"arguments only at the end", Responses, Chat, []string{`{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"a","name":"f"}}`, `{"type":"response.function_call_arguments.done","output_index":0,"arguments":"{1}"}`}, "choices.0.delta.tool_calls.0.function.arguments", "{1}"},
		{"an input only at the beginning", Messages, Chat, []string{`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{"q": 1}}}`, `{"type":"content_block_stop","index":0}`}, "choices.0.delta.tool_calls.0.function.arguments", `{"q": 1}`},
		{"a refusal after a text", Chat, Responses, []string{`{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"refusal":"no"}}]}`}, "content_index", "1"},
		{"a refusal ends a message", Chat, Messages, []string{`{"choices":[{"delta":{"refusal":"no"},"finish_reason":"stop"}]}`, Done}, "type", "message_stop"},
		{"a response at its token limit", Chat, Responses, []string{`{"choices":[{"delta":{"content":"a"},"finish_reason":"length"}]}`, Done}, "response.incomplete_details.reason", "max_output_tokens"},
		{"the input reported again", Messages, Responses, []string{`{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":7,"output_tokens":2,"output_tokens_details":{"thinking_tokens":1}}}`, `{"type":"message_stop"}`},
			"response.usage", `{"input_tokens":7,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":9}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := NewStreamTranslator(test.from, test.to, 0, 0)
			var last Event
			for _, data := range test.events {
				events, err := s.Next(Event{Data: []byte(data)})
				if err != nil {
					t.Fatalf("Next(%s): %v", data, err)
				}
				if len(events) > 0 {
					last = events[len(events)-1]
				}
			}
			if got := gjson.GetBytes(last.Data, test.path).String(); got != test.want {
				t.Errorf("%s of the last event %s is %q, want %q", test.path, last.Data, got, test.want)
			}
		})
	}
}

func TestEfforts(t *testing.T) {
	for _, test := range []struct {
		from, to               API
		member, wantKey, value string // an empty value means that the key is absent
	}{
		{Chat, Messages, `"reasoning_effort":"none"`, "thinking", `{"type":"disabled"}`},
		{Chat, Messages, `"reasoning_effort":"minimal"`, "output_config", `{"effort":"low"}`},
		{Chat, Messages, `"reasoning_effort":"xhigh"`, "output_config", `{"effort":"xhigh"}`},
		{Chat, Responses, `"reasoning_effort":"none"`, "reasoning", `{"effort":"none"}`},
		{Messages, Chat, `"thinking":{"type":"enabled","budget_tokens":4096}`, "reasoning_effort", `"low"`},
		{Messages, Chat, `"thinking":{"type":"enabled","budget_tokens":16384}`, "reasoning_effort", `"medium"`},
		{Messages, Chat, `"thinking":{"type":"enabled","budget_tokens":16385}`, "reasoning_effort", `"high"`},
		{Messages, Chat, `"thinking":{"type":"disabled"}`, "reasoning_effort", ``},
		{Messages, Chat, `"thinking":{"type":"adaptive"}`, "reasoning_effort", ``},
		{Messages, Chat, `"thinking":{"type":"enabled","budget_tokens":1},"output_config":{"effort":"max"}`, "reasoning_effort", `"max"`},
		{Messages, Responses, `"output_config":{"effort":"max"},"thinking":{"type":"enabled","budget_tokens":1}`, "reasoning", `{"effort":"max"}`},
	} {
		body := `{"messages":[{"role":"user","content":"hi"}],` + test.member + `}`
		got, err := translateBody([]byte(body), test.from, test.to)
		if value := gjson.GetBytes(got, test.wantKey).Raw; err != nil || value != test.value {
			t.Errorf("TranslateRequest(%s, %s, %s) = %s, %v, want %s: %s", body, test.from, test.to, got, err, test.wantKey, test.value)
		}
	}
}
