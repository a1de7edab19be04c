package wire

import "testing"

func TestReadReply(t *testing.T) {
	for name, test := range map[string]struct {
		api  API
		body string
		want Reply
	}{
		"chat":                         {Chat, `{"choices":[{"message":{"role":"assistant","content":"B"},"finish_reason":"stop"}]}`, Reply{Text: "B"}},
		"chat, at the token limit":     {Chat, `{"choices":[{"message":{"content":"The answer"},"finish_reason":"length"}]}`, Reply{Text: "The answer", Truncated: true}},
		"chat, filtered":               {Chat, `{"choices":[{"message":{"content":null},"finish_reason":"content_filter"}]}`, Reply{Refused: true}},
		"chat, refusal":                {Chat, `{"choices":[{"message":{"content":null,"refusal":"I cannot."},"finish_reason":"stop"}]}`, Reply{Text: "I cannot.", Refused: true}},
		"chat, parts":                  {Chat, `{"choices":[{"message":{"content":[{"type":"text","text":"4"},{"type":"text","text":"2"}]}}]}`, Reply{Text: "42"}},
		"chat, reasoning is not text":  {Chat, `{"choices":[{"message":{"content":"7","reasoning_content":"3 and 4"}}]}`, Reply{Text: "7"}},
		"messages":                     {Messages, `{"content":[{"type":"thinking","thinking":"3 and 4"},{"type":"text","text":"7"}],"stop_reason":"end_turn"}`, Reply{Text: "7"}},
		"messages, at the token limit": {Messages, `{"content":[{"type":"text","text":"7"}],"stop_reason":"max_tokens"}`, Reply{Text: "7", Truncated: true}},
		"messages, refused":            {Messages, `{"content":[],"stop_reason":"refusal"}`, Reply{Refused: true}},
		"responses": {Responses, `{"status":"completed","output":[{"type":"reasoning","summary":[]},{"type":"message","content":[{"type":"output_text","text":"7"}]}]}`,
			Reply{Text: "7"}},
		"responses, at the token limit": {Responses, `{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[{"type":"message","content":[{"type":"output_text","text":"7"}]}]}`,
			Reply{Text: "7", Truncated: true}},
		"responses, refusal": {Responses, `{"output":[{"type":"message","content":[{"type":"refusal","refusal":"No."}]}]}`, Reply{Text: "No.", Refused: true}},
		"not JSON":           {Chat, `{"choices":`, Reply{}},
		"embeddings":         {Embeddings, `{"data":[]}`, Reply{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ReadReply(test.api, []byte(test.body)); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}
