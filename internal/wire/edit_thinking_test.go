package wire

import (
	"slices"
	"testing"
)

// Signed and hidden reasoning of the selected turns is removed, and nothing else changes.
func TestLeaveThinking(t *testing.T) {
	for _, test := range []struct {
		name, body, want string
		api              API
		drop             []int
		plain            bool // reasoning in plain text goes too
	}{
		{"a block before a text",
			`{"messages": [{"role":"user","content":"a"}, {"role":"assistant", "content":[ {"type":"thinking","thinking":"hm","signature":"s"} , {"type":"text","text":"b"}]}, {"role":"user","content":"c"}], "model":"m"}`,
			`{"messages": [{"role":"user","content":"a"}, {"role":"assistant", "content":[ {"type":"text","text":"b"}]}, {"role":"user","content":"c"}], "model":"m"}`, Messages, []int{1}, false},
		{"blocks between and after others",
			`{"messages":[{"content":[{"type":"text","text":"b"},{"type":"redacted_thinking","data":"x"},{"type":"tool_use"},{"type":"thinking","signature":"s"}]}]}`,
			`{"messages":[{"content":[{"type":"text","text":"b"},{"type":"tool_use"}]}]}`, Messages, []int{0}, false},
		{"a message of nothing else",
			`{"messages":[{"role":"user"},{"content":[{"type":"thinking","signature":"s"}]},{"role":"user"}]}`,
			`{"messages":[{"role":"user"},{"role":"user"}]}`, Messages, []int{1}, false},
		{"a system prompt is the first turn",
			`{"system":"s","messages":[{"content":[{"type":"thinking","signature":"s"},1]},{"content":[{"type":"thinking","signature":"s"},2]}]}`,
			`{"system":"s","messages":[{"content":[{"type":"thinking","signature":"s"},1]},{"content":[2]}]}`, Messages, []int{2}, false},
		{"reasoning without a signature, and texts",
			`{"messages":[{"content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"\"signature\""}]},{"content":"t"},{}]}`, "", Messages, []int{0, 1, 2}, false},
		{"turns that are not selected",
			`{"messages":[{"content":[{"type":"thinking","signature":"s"},1]}]}`, "", Messages, nil, false},
		{"encrypted and stored reasoning, and the ids of what followed from it",
			`{"instructions":"i","input":[{"role":"user"},{"type":"reasoning","id":"rs_1","encrypted_content":"x","summary":[]},{"type":"function_call","id":"fc_1","call_id":"c"},` +
				`{"type":"function_call_output","id":"o"},{"type":"reasoning","id":"rs_2","summary":[]},{"id":"msg_1","type":"message","role":"assistant"},{"role":"user"}]}`,
			`{"instructions":"i","input":[{"role":"user"},{"type":"function_call","call_id":"c"},` +
				`{"type":"function_call_output","id":"o"},{"type":"message","role":"assistant"},{"role":"user"}]}`, Responses, []int{2, 3, 5, 6}, false},
		{"reasoning in plain text",
			`{"input":[{"type":"reasoning","id":"r","content":[{"type":"reasoning_text","text":"hm"}]},{"type":"function_call","id":"f"}]}`, "", Responses, []int{0, 1}, false},
		{"reasoning in plain text, at a provider that refuses it",
			`{"input":[{"role":"user"},{"type":"reasoning","id":"r","content":[{"type":"reasoning_text","text":"hm"}]},{"type":"function_call","id":"f"}]}`,
			`{"input":[{"role":"user"},{"type":"function_call"}]}`, Responses, []int{1, 2}, true},
		{"reasoning without a signature, at a provider that refuses it",
			`{"messages":[{"content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"a"}]},{"content":[{"type":"thinking","thinking":"hm","signature":""}]}]}`,
			`{"messages":[{"content":[{"type":"text","text":"a"}]}]}`, Messages, []int{0, 1}, true},
		{"a last item", `{"input":[{"role":"user"} , {"type":"reasoning","encrypted_content":"x"} ]}`, `{"input":[{"role":"user"} ]}`, Responses, []int{1}, false},
		{"an input that is no list", `{"input":"reasoning"}`, "", Responses, []int{0}, false},
		{"chat has no signed reasoning", `{"messages":[{"content":[{"type":"thinking","signature":"s"}]}]}`, "", Chat, []int{0}, false},
	} {
		want := test.want
		if want == "" {
			want = test.body
		}
		got := string(LeaveThinking(test.api, []byte(test.body), test.plain, func(turn int) bool { return slices.Contains(test.drop, turn) }))
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, want)
		}
		if !valid([]byte(got)) {
			t.Errorf("%s: not JSON: %s", test.name, got)
		}
	}
}

// What is left of a valid request is valid, and has nothing more to leave behind.
func FuzzLeaveThinking(f *testing.F) {
	f.Add(`{"model":"m","messages":[{"content":[{"type":"thinking","signature":"s"},{"type":"text"}]},{"content":[{"type":"redacted_thinking"}]}]}`)
	f.Add(`{"model":"m","system":"s","messages" : [ {"content" : [ 1 , {"type":"thinking","signature":"s"} ] } ] }`)
	f.Add(`{"model":"m","input":[{"type":"reasoning","encrypted_content":"x"},{"id":"m","type":"message"},{"type":"reasoning"}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		plain := len(body)%2 == 0
		for _, api := range []API{Messages, Responses} {
			if _, err := ParseRequest(api, []byte(body)); err != nil {
				continue
			}
			all := func(int) bool { return true }
			left := LeaveThinking(api, []byte(body), plain, all)
			if !valid(left) {
				t.Fatalf("%s: %s became %s", api, body, left)
			}
			if again := LeaveThinking(api, left, plain, all); string(again) != string(left) {
				t.Errorf("%s: %s became %s and then %s", api, body, left, again)
			}
		}
	})
}
