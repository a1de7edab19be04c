package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
)

func TestReadUsage(t *testing.T) {
	for _, test := range []struct {
		name  string
		api   API
		usage string
		want  carrot.Usage
		ok    bool
	}{
		{"none", Chat, `null`, carrot.Usage{}, false},
		{"usage of another API", Chat, `{"input_tokens":3}`, carrot.Usage{}, false},
		{"chat", Chat, `{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}`, carrot.Usage{Input: 10, Output: 5}, true},
		{"cached and reasoning tokens are included in the others", Chat,
			`{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920},"completion_tokens_details":{"reasoning_tokens":200}}`,
			carrot.Usage{Input: 86, CachedInput: 1920, Output: 100, Reasoning: 200}, true},
		{"reasoning not included in the completion, as the total shows", Chat,
			`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":35,"completion_tokens_details":{"reasoning_tokens":20}}`, carrot.Usage{Input: 10, Output: 5, Reasoning: 20}, true},
		{"DeepSeek's cache", Chat, `{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":2}`, carrot.Usage{Input: 2, CachedInput: 8, Output: 5}, true},
		{"cache writes in chat", Chat, `{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":2,"cache_write_tokens":3}}`, carrot.Usage{Input: 5, CachedInput: 2, CacheWrite: 3, Output: 5}, true},
		{"more cached than sent", Chat, `{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":99}}`, carrot.Usage{CachedInput: 10, Output: 5}, true},
		{"negative", Chat, `{"prompt_tokens":10,"completion_tokens":-5}`, carrot.Usage{}, false},
		{"beyond belief", Chat, `{"prompt_tokens":10,"completion_tokens":1099511627776}`, carrot.Usage{}, false},
		{"null counts", Chat, `{"prompt_tokens":null,"completion_tokens":null}`, carrot.Usage{}, false},
		{"hidden thinking, as the total shows", Chat, `{"prompt_tokens":100,"completion_tokens":10,"total_tokens":610}`, carrot.Usage{Input: 100, Output: 10, Reasoning: 500}, true},
		{"thinking, some of it hidden", Chat, `{"prompt_tokens":100,"completion_tokens":10,"total_tokens":610,"completion_tokens_details":{"reasoning_tokens":4}}`, carrot.Usage{Input: 100, Output: 6, Reasoning: 504}, true},
		{"Moonshot's cache", Chat, `{"prompt_tokens":1336,"completion_tokens":31,"total_tokens":1367,"cached_tokens":1280}`, carrot.Usage{Input: 56, CachedInput: 1280, Output: 31}, true},
		{"cache writes beside the details", Chat, `{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_write_tokens":3}`, carrot.Usage{Input: 7, CacheWrite: 3, Output: 5}, true},
		{"sounds and pictures", Chat, `{"prompt_tokens":100,"completion_tokens":50,"prompt_tokens_details":{"audio_tokens":60,"image_tokens":30,"cached_tokens":5},"completion_tokens_details":{"audio_tokens":40}}`,
			carrot.Usage{Input: 5, CachedInput: 5, Output: 10, Details: &carrot.UsageDetails{AudioInput: 60, ImageInput: 30, AudioOutput: 40}}, true},
		{"cache writes of responses by lifetime", Responses, `{"input_tokens":100,"input_tokens_details":{"cached_tokens":10,"cache_write_tokens":80,"cache_write_tokens_details":{"ttl_30m_tokens":50,"ttl_12h_tokens":30}},"output_tokens":1,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":101}`,
			carrot.Usage{Input: 10, CachedInput: 10, Output: 1, Details: &carrot.UsageDetails{CacheWrites: map[int]int{1800: 50, 43200: 30}}}, true},
		{"cache writes of messages by lifetime", Messages, `{"input_tokens":5,"cache_creation_input_tokens":300,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},"output_tokens":1}`,
			carrot.Usage{Input: 5, Output: 1, Details: &carrot.UsageDetails{CacheWrites: map[int]int{300: 100, 3600: 200}}}, true},
		{"only some cache writes with a lifetime", Messages, `{"input_tokens":5,"cache_creation_input_tokens":300,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":200},"output_tokens":1}`,
			carrot.Usage{Input: 5, CacheWrite: 100, Output: 1, Details: &carrot.UsageDetails{CacheWrites: map[int]int{3600: 200}}}, true},
		{"tier, speed, region and searches", Messages, `{"input_tokens":5,"output_tokens":1,"service_tier":"priority","speed":"fast","inference_geo":"us","server_tool_use":{"web_search_requests":3,"web_fetch_requests":2}}`,
			carrot.Usage{Input: 5, Output: 1, Details: &carrot.UsageDetails{Tier: "priority", Speed: "fast", Region: "us", Tools: map[string]int{"web_search": 3}}}, true},
		{"nothing but standards", Messages, `{"input_tokens":5,"output_tokens":1,"service_tier":null,"inference_geo":"not_available","server_tool_use":{"web_search_requests":0}}`, carrot.Usage{Input: 5, Output: 1}, true},
		{"compaction", Messages, `{"input_tokens":23000,"output_tokens":1000,"iterations":[{"type":"compaction","input_tokens":180000,"output_tokens":3500,"cache_read_input_tokens":7,"cache_creation_input_tokens":0},{"type":"message","input_tokens":23000,"output_tokens":1000}]}`,
			carrot.Usage{Input: 203000, CachedInput: 7, Output: 4500}, true},
		{"an advisor", Messages, `{"input_tokens":10,"output_tokens":5,"iterations":[{"type":"message","input_tokens":4,"output_tokens":2},{"type":"advisor_message","model":"adviser","input_tokens":100,"output_tokens":50},{"type":"message","input_tokens":6,"output_tokens":3}]}`,
			carrot.Usage{Input: 10, Output: 5, Details: &carrot.UsageDetails{Also: map[string]carrot.Usage{"adviser": {Input: 100, Output: 50}}}}, true},
		{"another model took over", Messages, `{"input_tokens":30,"output_tokens":7,"iterations":[{"type":"message","model":"first","input_tokens":20,"output_tokens":1},{"type":"fallback_message","model":"second","input_tokens":30,"output_tokens":7}]}`,
			carrot.Usage{Input: 20, Output: 1, Details: &carrot.UsageDetails{Also: map[string]carrot.Usage{"second": {Input: 30, Output: 7}}}}, true},
		{"Anthropic counts cached tokens separately", Messages, `{"input_tokens":50,"cache_creation_input_tokens":200,"cache_read_input_tokens":1000,"output_tokens":7}`,
			carrot.Usage{Input: 50, CachedInput: 1000, CacheWrite: 200, Output: 7}, true},
		{"Anthropic's thinking is included in the output", Messages, `{"input_tokens":5,"output_tokens":70,"output_tokens_details":{"thinking_tokens":60}}`, carrot.Usage{Input: 5, Output: 10, Reasoning: 60}, true},
		{"responses", Responses, `{"input_tokens":37,"input_tokens_details":{"cached_tokens":30},"output_tokens":11,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":48}`,
			carrot.Usage{Input: 7, CachedInput: 30, Output: 7, Reasoning: 4}, true},
		{"embeddings have no output", Embeddings, `{"prompt_tokens":8,"total_tokens":8}`, carrot.Usage{Input: 8}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := readUsage(test.api, gjson.Parse(test.usage))
			if diff := cmp.Diff(test.want, got); diff != "" || ok != test.ok {
				t.Errorf("readUsage(%s), ok %v, want %v (-want +got):\n%s", test.usage, ok, test.ok, diff)
			}
		})
	}
}

func TestReadChunk(t *testing.T) {
	type facts struct {
		Content, Last, InputOnly, Input, Output bool
		Finished                                int
		Status                                  int
		Text, ID, Model                         string
	}
	for _, test := range []struct {
		name string
		api  API
		data string
		want facts
	}{
		{"the role is not content", Chat, `{"id":"c","model":"m","choices":[{"delta":{"role":"assistant","content":""}}]}`, facts{ID: "c", Model: "m"}},
		{"nulls are not content", Chat, `{"choices":[{"delta":{"role":"assistant","content":null,"tool_calls":null,"function_call":null,"audio":null,"reasoning":null}}]}`, facts{}},
		{"reasoning under both names", Chat, `{"choices":[{"delta":{"reasoning_content":"hm","reasoning":"hm"}}]}`, facts{Content: true, Text: "hm"}},
		{"reasoning under one name, empty under the other", Chat, `{"choices":[{"delta":{"reasoning_content":"hm","reasoning":""}}]}`, facts{Content: true, Text: "hm"}},
		{"content", Chat, `{"choices":[{"delta":{"content":"hi"}}]}`, facts{Content: true, Text: "hi"}},
		{"reasoning", Chat, `{"choices":[{"delta":{"reasoning_content":"hm"}}]}`, facts{Content: true, Text: "hm"}},
		{"a tool call", Chat, `{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}}]}`, facts{Content: true, Text: "f"}},
		{"the end of an answer", Chat, `{"choices":[{"delta":{},"finish_reason":"stop"}]}`, facts{Content: true, Finished: 1}},
		{"usage alone", Chat, `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}`, facts{Input: true, Output: true}},
		{"usage of null", Chat, `{"choices":[{"delta":{"content":"x"}}],"usage":null}`, facts{Content: true, Text: "x"}},
		{"done", Chat, `[DONE]`, facts{Last: true}},
		{"an error", Chat, `{"error":{"message":"overloaded","type":"server_error","code":null}}`, facts{Status: 502}},
		{"an error with a status", Chat, `{"error":{"message":"slow down","code":429}}`, facts{Status: 429}},
		{"too long", Chat, `{"error":{"message":"m","code":"context_length_exceeded"}}`, facts{Status: 400}},
		{"the start of a message", Messages, `{"type":"message_start","message":{"id":"m1","model":"c","usage":{"input_tokens":3,"output_tokens":1}}}`, facts{Input: true, InputOnly: true, ID: "m1", Model: "c"}},
		{"a ping", Messages, `{"type":"ping"}`, facts{}},
		{"the start of a text", Messages, `{"type":"content_block_start","content_block":{"type":"text","text":""}}`, facts{}},
		{"the start of a tool call", Messages, `{"type":"content_block_start","content_block":{"type":"tool_use"}}`, facts{Content: true}},
		{"a part of a text", Messages, `{"type":"content_block_delta","delta":{"type":"text_delta","text":"hi"}}`, facts{Content: true, Text: "hi"}},
		{"the end of a message", Messages, `{"type":"message_stop"}`, facts{Content: true, Finished: 1, Last: true}},
		{"overloaded", Messages, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, facts{Status: 529}},
		{"a response is created", Responses, `{"type":"response.created","response":{"id":"r","model":"m","usage":null}}`, facts{ID: "r", Model: "m"}},
		{"an item begins", Responses, `{"type":"response.output_item.added","item":{"type":"message"}}`, facts{}},
		{"a part of a response", Responses, `{"type":"response.output_text.delta","delta":"hi"}`, facts{Content: true, Text: "hi"}},
		{"a response is complete", Responses, `{"type":"response.completed","response":{"id":"r","model":"m","usage":{"input_tokens":1,"output_tokens":1}}}`, facts{Content: true, Finished: 1, Last: true, Input: true, Output: true, ID: "r", Model: "m"}},
		{"a response failed", Responses, `{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"m"}}}`, facts{Status: 429}},
		{"an error event", Responses, `{"type":"error","code":"server_error","message":"m"}`, facts{Status: 502}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, ok := ReadChunk(test.api, Event{Data: []byte(test.data)})
			var r Report
			r.Add(&c)
			got := facts{c.Content, c.Last, c.InputOnly, r.Input(), r.Output(), c.Finished, 0, c.Text, c.ID, c.Model}
			if c.Err != nil {
				got.Status = c.Err.Status
			}
			if diff := cmp.Diff(test.want, got); diff != "" || !ok {
				t.Errorf("ReadChunk(%s), ok %v (-want +got):\n%s", test.data, ok, diff)
			}
		})
	}
	for _, data := range []string{``, `{`, `[1]`, `"x"`, `null`} {
		if _, ok := ReadChunk(Chat, Event{Data: []byte(data)}); ok {
			t.Errorf("ReadChunk(%q) is ok, want malformed", data)
		}
	}
}

func TestForClient(t *testing.T) {
	account := []byte(`{"cost_usd":0.1}`)
	for _, test := range []struct {
		name, data string
		api        API
		asked      bool
		account    []byte
		want       string // "" if the event is dropped
	}{
		{"the model", `{"id":"c","model":"gpt-4o-2024","choices":[]}`, Chat, false, nil, `{"id":"c","model":"served","choices":[]}`},
		{"no model", `{"choices":[{}]}`, Chat, false, nil, `{"choices":[{}]}`},
		{"usage that was not asked for", `{"choices":[{}],"usage":null,"x":1}`, Chat, false, nil, `{"choices":[{}],"x":1}`},
		{"an event that only has such usage", `{"choices":[],"usage":{"prompt_tokens":1}}`, Chat, false, nil, ``},
		{"usage that was asked for", `{"choices":[],"usage":{"prompt_tokens":1}}`, Chat, true, account, `{"choices":[],"usage":{"prompt_tokens":1},"carrot":{"cost_usd":0.1}}`},
		{"a message's start", `{"type":"message_start","message":{"model":"x","usage":{}}}`, Messages, false, nil, `{"type":"message_start","message":{"model":"served","usage":{}}}`},
		{"a provider that is a gateway too", `{"choices":[],"usage":{"prompt_tokens":1},"carrot":{"cost_usd":0.2}}`, Chat, true, account, `{"choices":[],"usage":{"prompt_tokens":1},"carrot":{"cost_usd":0.1}}`},
		{"one of responses", `{"type":"response.completed","response":{"model":"x","usage":{"a":1},"carrot":{"cost_usd":0.2},"z":2}}`, Responses, false, account, `{"type":"response.completed","response":{"model":"served","usage":{"a":1},"carrot":{"cost_usd":0.1},"z":2}}`},
		{"a message's end", `{"type":"message_delta","usage":{"output_tokens":3}}`, Messages, false, account, `{"type":"message_delta","usage":{"output_tokens":3},"carrot":{"cost_usd":0.1}}`},
		{"a response's end", `{"type":"response.completed","response":{"model":"x","usage":{"a":1},"z":2}}`, Responses, false, account, `{"type":"response.completed","response":{"model":"served","usage":{"a":1},"carrot":{"cost_usd":0.1},"z":2}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, keep := ForClient(test.api, []byte(test.data), "served", test.asked, func() []byte { return test.account })
			if string(got) != test.want || keep != (test.want != "") {
				t.Errorf("ForClient(%s)\n got %s, keep %v\nwant %s", test.data, got, keep, test.want)
			}
		})
	}
}

// A later report of a stream completes an earlier one.
func TestReport(t *testing.T) {
	for _, test := range []struct {
		name   string
		api    API
		events []string
		want   carrot.Usage
	}{
		{"running counts of chat", Chat, []string{
			`{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":80}}}`,
			`{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":9}}`}, carrot.Usage{Input: 20, CachedInput: 80, Output: 9}},
		{"zeros at the end", Chat, []string{
			`{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":9}}`,
			`{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`}, carrot.Usage{Input: 100, Output: 9}},
		{"a count that shrinks", Chat, []string{
			`{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":9}}`,
			`{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":2}}`}, carrot.Usage{Input: 100, Output: 9}},
		{"usage in a choice", Chat, []string{
			`{"choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":1336,"completion_tokens":31,"cached_tokens":1280}}]}`}, carrot.Usage{Input: 56, CachedInput: 1280, Output: 31}},
		{"usage in x_groq", Chat, []string{
			`{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":9,"completion_tokens":3}}}`}, carrot.Usage{Input: 9, Output: 3}},
		{"the tier in every chunk", Chat, []string{
			`{"choices":[{"delta":{"content":"a"}}],"service_tier":"flex"}`, `{"choices":[],"service_tier":"flex","usage":{"prompt_tokens":9,"completion_tokens":3}}`},
			carrot.Usage{Input: 9, Output: 3, Details: &carrot.UsageDetails{Tier: "flex"}}},
		{"tier and tools of a response", Responses, []string{
			`{"type":"response.created","response":{"service_tier":"auto","output":[]}}`,
			`{"type":"response.completed","response":{"service_tier":"priority","output":[{"type":"web_search_call","action":{"type":"search"}},{"type":"web_search_call","action":{"type":"open_page"}},{"type":"file_search_call"},{"type":"message"}],"usage":{"input_tokens":9,"output_tokens":3}}}`},
			carrot.Usage{Input: 9, Output: 3, Details: &carrot.UsageDetails{Tier: "priority", Tools: map[string]int{"web_search": 1, "file_search": 1}}}},
		{"Anthropic reports the input first", Messages, []string{
			`{"type":"message_start","message":{"usage":{"input_tokens":50,"cache_read_input_tokens":1000,"cache_creation":{"ephemeral_1h_input_tokens":20},"cache_creation_input_tokens":20,"output_tokens":1}}}`,
			`{"type":"message_delta","usage":{"output_tokens":7,"cache_creation_input_tokens":20}}`}, carrot.Usage{Input: 50, CachedInput: 1000, Output: 7, Details: &carrot.UsageDetails{CacheWrites: map[int]int{3600: 20}}}},
		{"Anthropic repeats a part of the input", Messages, []string{
			`{"type":"message_start","message":{"usage":{"input_tokens":50,"cache_read_input_tokens":1000,"output_tokens":1}}}`,
			`{"type":"message_delta","usage":{"input_tokens":50,"output_tokens":7}}`}, carrot.Usage{Input: 50, CachedInput: 1000, Output: 7}},
		{"a server of Anthropic's API that reports zeros at the end", Messages, []string{
			`{"type":"message_start","message":{"usage":{"input_tokens":50,"output_tokens":1}}}`,
			`{"type":"message_delta","usage":{"input_tokens":0,"cache_read_input_tokens":0,"output_tokens":7}}`}, carrot.Usage{Input: 50, Output: 7}},
		{"searches so far", Messages, []string{
			`{"type":"message_start","message":{"usage":{"input_tokens":50,"output_tokens":1}}}`,
			`{"type":"message_delta","usage":{"output_tokens":7,"server_tool_use":{"web_search_requests":1}}}`,
			`{"type":"message_delta","usage":{"output_tokens":9,"server_tool_use":{"web_search_requests":2}}}`}, carrot.Usage{Input: 50, Output: 9, Details: &carrot.UsageDetails{Tools: map[string]int{"web_search": 2}}}},
	} {
		var r Report
		for _, e := range test.events {
			c, ok := ReadChunk(test.api, Event{Data: []byte(e)})
			if !ok {
				t.Fatalf("%s: %s is malformed", test.name, e)
			}
			r.Add(&c)
		}
		if diff := cmp.Diff(test.want, r.Usage()); diff != "" || !r.Input() || !r.Output() {
			t.Errorf("%s: input %v, output %v (-want +got):\n%s", test.name, r.Input(), r.Output(), diff)
		}
	}
}

// No usage, however false, gives counts that are negative or beyond belief, or a sum
// that is more than what was reported.
func FuzzUsage(f *testing.F) {
	f.Add(`{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":3},"completion_tokens_details":{"reasoning_tokens":200}}`)
	f.Add(`{"input_tokens":5,"cache_creation_input_tokens":300,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},"output_tokens":1,"iterations":[{"type":"compaction","input_tokens":1}]}`)
	f.Add(`{"input_tokens":1e30,"output_tokens":-1}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, api := range []API{Chat, Responses, Messages, Embeddings} {
			if !gjson.Valid(text) {
				return
			}
			u, _ := readUsage(api, gjson.Parse(text))
			d := u.Details
			if d == nil {
				d = &carrot.UsageDetails{}
			}
			if least := min(u.Input, u.CachedInput, u.CacheWrite, u.Output, u.Reasoning, d.AudioInput, d.AudioOutput, d.ImageInput, d.ImageOutput); least < 0 {
				t.Errorf("%s: %s gives %+v", api, text, u)
			}
		}
	})
}

// TestReadAnswerText: the text is everything that the model wrote, in order.
func TestReadAnswerText(t *testing.T) {
	for _, test := range []struct {
		api        API
		body, want string
	}{
		{Chat, `{"choices":[{"message":{"content":"answer","reasoning_content":"thought ","tool_calls":null}},{"message":{"content":" two"}}]}`, "thought answer two"},
		{Chat, `{"choices":[{"message":{"content":null,"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}`, "f{}"},
		{Messages, `{"content":[{"type":"thinking","thinking":"thought "},{"type":"text","text":"answer "},{"type":"tool_use","name":"f","input":{"a":1}}]}`, `thought answer f{"a":1}`},
		{Responses, `{"output":[{"type":"reasoning","summary":[],"content":null},{"type":"message","content":[{"text":"answer "}]},{"type":"function_call","name":"f","arguments":"{}"}]}`, "answer f{}"},
		{Embeddings, `{"data":[{"embedding":[1,2]}]}`, ""},
	} {
		if a, ok := ReadAnswer(test.api, []byte(test.body)); !ok || a.Text != test.want {
			t.Errorf("%s: the text is %q, ok %v, want %q", test.body, a.Text, ok, test.want)
		}
	}
}

// TestReadAnswerNot: a body without parts, or one that failed, is not an answer.
func TestReadAnswerNot(t *testing.T) {
	for body, api := range map[string]API{`{"choices":[]}`: Chat, `{"choices":[null]}`: Chat, `{"choices":null}`: Chat, `{"content":null}`: Messages, `{"output":[],"status":"failed"}`: Responses, `{"data":{}}`: Embeddings} {
		if a, ok := ReadAnswer(api, []byte(body)); ok {
			t.Errorf("ReadAnswer(%s) = %+v, want no answer", body, a)
		}
	}
}

// TestHostile: neither deep nesting nor many fields exhaust time or memory.
func TestHostile(t *testing.T) {
	deep := Event{Data: []byte(strings.Repeat("[", 1<<24))}
	if _, ok := ReadChunk(Chat, deep); ok {
		t.Error("a chunk of brackets is ok")
	}
	if _, ok := ReadAnswer(Messages, deep.Data); ok {
		t.Error("an answer of brackets is ok")
	}
	if _, err := NewStreamTranslator(Chat, Messages, 0, 0).Next(deep); err == nil {
		t.Error("a stream of brackets is translated")
	}
	var many strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&many, `"k%d":1,`, i)
	}
	if _, err := ParseRequest(Chat, []byte(`{`+many.String()+`"model":"m","messages":[{"role":"user","content":"x"}]}`)); err == nil {
		t.Error("many fields are not refused")
	}
	nested := `"` + strings.Repeat("x", 1<<20) + `"`
	for range 4000 {
		nested = `[{"type":"tool_result","content":` + nested + `}]`
	}
	r, err := ParseRequest(Messages, []byte(`{"model":"m","messages":[{"role":"user","content":`+nested+`}]}`))
	if err != nil || len(r.Turns[0].Text) > 0 {
		t.Errorf("nested results: %v with %d bytes of text", err, len(r.Turns[0].Text))
	}
}

// FuzzForClient: no event makes reading panic, and valid JSON stays valid JSON.
func FuzzForClient(f *testing.F) {
	for _, seed := range []string{`{"id":"c","model":"m","choices":[{"delta":{"content":"x"}}],"usage":null}`, `{"usage" : {"prompt_tokens":1} , "choices":[]}`,
		`{"\u0075sage":{},"a":1}`, `{"usage":1}`, `{"a":",\"usage\":","usage":{},"usage":null}`, `{"type":"message_start","message":{"model":"m","usage":{}}}`, `{"response":{"usage":{},"model":1}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, api := range []API{Chat, Messages, Responses} {
			if _, ok := ReadChunk(api, Event{Data: data}); !ok || string(data) == Done {
				continue
			}
			for _, asked := range []bool{false, true} {
				out, keep := ForClient(api, data, "served", asked, func() []byte { return []byte(`{"cost_usd":1}`) })
				if keep && !gjson.ValidBytes(out) {
					t.Fatalf("ForClient(%s, %q) = %q, which is not JSON", api, data, out)
				}
			}
			ReadAnswer(api, data)
		}
	})
}

// TestErrorMessage: the message is found under every name, and never empty.
func TestErrorMessage(t *testing.T) {
	for _, test := range []struct{ body, want string }{
		{`{"error":{"message":"m"}}`, "m"},
		{`{"error":"m"}`, "m"},
		{`{"error":{"detail":"m"}}`, "m"},
		{`{"error":{"detail":[{"loc":["body"],"msg":"m"}]}}`, "m"},
		{`{"error":{"msg":"m","code":7}}`, "m"},
		{`{"error":{"code":7},"message":"m"}`, "m"},
		{`{"error":"","detail":"m"}`, "m"},
		{`{"error":{"message":null,"reason":"r"}}`, `{"error":{"message":null,"reason":"r"}}`},
	} {
		if e := ReadError([]byte(test.body)); e == nil || e.Message != test.want {
			t.Errorf("ReadError(%s) = %v, want the message %q", test.body, e, test.want)
		}
	}
	for _, test := range []struct {
		api        API
		data, want string
	}{
		{Messages, `{"type":"error"}`, `{"type":"error"}`},
		{Responses, `{"type":"error","detail":"m"}`, "m"},
		{Responses, `{"type":"response.failed"}`, "the provider gave no reason"},
	} {
		c, ok := ReadChunk(test.api, Event{Data: []byte(test.data)})
		if !ok || c.Err == nil || c.Err.Message != test.want {
			t.Errorf("ReadChunk(%s) = %+v, want an error with the message %q", test.data, c, test.want)
		}
	}
}
