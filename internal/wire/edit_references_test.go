package wire

import (
	"testing"
)

// References to known items become these items, and nothing else changes.
func TestResolve(t *testing.T) {
	known := map[string]string{"msg_1": `{"type":"message","role":"assistant","content":[]}`, "rs_1": ""}
	find := func(id string) (string, bool) {
		item, ok := known[id]
		return item, ok
	}
	for _, test := range []struct{ name, body, want string }{
		{"an answer", `{"model": "m", "input":[{"role":"user","content":"a"} , {"type":"item_reference","id":"msg_1"},{"role":"user","content":"b"} ] }`,
			`{"model": "m", "input":[{"role":"user","content":"a"} , {"type":"message","role":"assistant","content":[]},{"role":"user","content":"b"} ] }`},
		{"without a type, twice", `{"input":[{"id":"msg_1"},{"id":"msg_1"}]}`, `{"input":[` + known["msg_1"] + `,` + known["msg_1"] + `]}`},
		{"reasoning and its answer", `{"input":[{"role":"user"},{"type":"item_reference","id":"rs_1"},{"type":"item_reference","id":"msg_1"}]}`,
			`{"input":[{"role":"user"},` + known["msg_1"] + `]}`},
		{"a last item", `{"input":[{"role":"user"} , {"type":"item_reference","id":"rs_1"} ]}`, `{"input":[{"role":"user"} ]}`},
		{"unknown", `{"input":[{"type":"item_reference","id":"msg_2"}]}`, ""},
		{"items that have ids", `{"input":[{"type":"message","id":"msg_1"},{"role":"user","id":"msg_1"},{"type":"function_call","id":"rs_1"}]}`, ""},
		{"a text", `{"input":"msg_1"}`, ""},
		{"no input", `{"previous_response_id":"msg_1"}`, ""},
	} {
		want := test.want
		if want == "" {
			want = test.body
		}
		if got := string(Resolve([]byte(test.body), find)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, want)
		}
	}
}

func TestOutputItems(t *testing.T) {
	const message = `{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi \u00e4"}]}`
	const bare = `{"type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi \u00e4"}]}`
	for _, test := range []struct{ name, data, want string }{
		{"a response", `{"id":"resp_1","output":[{"type":"reasoning","id":"rs_1","summary":[]},` + message + `,{"type":"function_call","id":"fc_1","call_id":"c"}]}`,
			"rs_1: \nmsg_1: " + bare + "\nfc_1: {\"type\":\"function_call\",\"call_id\":\"c\"}\n"},
		{"an event", `{"type":"response.output_item.done","output_index":0,"item":` + message + `}`, "msg_1: " + bare + "\n"},
		{"other events", `{"type":"response.output_item.added","item":` + message + `}`, ""},
		{"items without ids", `{"output":[{"type":"message"},1,null]}`, ""},
		{"not JSON", `{"output":[`, ""},
	} {
		got := ""
		OutputItems([]byte(test.data), func(id, item string) { got += id + ": " + item + "\n" })
		if got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

// What becomes of a valid request is valid JSON without references to known items.
func FuzzResolve(f *testing.F) {
	f.Add(`{"model":"m","input":[{"role":"user","content":"a"},{"type":"item_reference","id":"msg_1"},{"id":"rs_1"},{"id":"x"}]}`)
	f.Add(`{"model":"m","input" : [ {"id" : "rs_1"} , {"id":"rs_1" } ] }`)
	f.Fuzz(func(t *testing.T, body string) {
		if _, err := ParseRequest(Responses, []byte(body)); err != nil {
			return
		}
		find := func(id string) (string, bool) {
			return map[bool]string{true: `{"role":"user"}`}[id == "msg_1"], id != "x"
		}
		out := Resolve([]byte(body), find)
		if !valid(out) {
			t.Fatalf("%s became %s", body, out)
		}
		if again := Resolve(out, find); string(again) != string(out) {
			t.Errorf("%s became %s and then %s", body, out, again)
		}
	})
}
