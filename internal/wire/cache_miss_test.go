package wire

import "testing"

// The reason of a cache miss is read in whole answers and in the events of streams.
func TestCacheMiss(t *testing.T) {
	const response = `{"id":"r","output":[],"usage":{"input_tokens":1,"output_tokens":1},"prompt_cache_diagnostics":`
	const message = `{"id":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1},"diagnostics":`
	for _, test := range []struct {
		api          API
		answer, want string
	}{
		{Responses, response + `{"type":"cache_miss","reason":"tools_changed","cache_missed_tokens":9}}`, "tools_changed"},
		{Responses, response + `{"type":"cache_hit"}}`, ""},
		{Responses, response + `{"type":"comparison_response_not_found"}}`, ""},
		{Responses, response + `null}`, ""},
		{Responses, response + `{"type":"cache_miss","reason":"a word of the \"prompt\""}}`, ""},
		{Messages, message + `{"cache_miss_reason":{"type":"messages_changed","cache_missed_input_tokens":9}}}`, "messages_changed"},
		{Messages, message + `{"cache_miss_reason":null}}`, ""},
		{Chat, `{"choices":[{}],"diagnostics":{"cache_miss_reason":{"type":"tools_changed"}}}`, ""},
	} {
		whole, ok := ReadAnswer(test.api, []byte(test.answer))
		if got := whole.Report.CacheMiss(); got != test.want || !ok {
			t.Errorf("%s: %q, want %q", test.answer, got, test.want)
		}
		var streamed Report
		events := map[API][]string{
			Responses: {`{"type":"response.completed","response":` + test.answer + `}`},
			Messages:  {`{"type":"message_start","message":` + test.answer + `}`, `{"type":"message_delta","usage":{"output_tokens":3}}`},
		}
		for _, data := range events[test.api] {
			c, ok := ReadChunk(test.api, Event{Data: []byte(data)})
			if !ok {
				t.Fatalf("%s is malformed", data)
			}
			streamed.Add(&c)
		}
		if got := streamed.CacheMiss(); got != test.want {
			t.Errorf("streamed %s: %q, want %q", test.answer, got, test.want)
		}
	}
}
