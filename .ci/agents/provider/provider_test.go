package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// post sends a request and returns the status and the answer.
func post(t *testing.T, url, api, account, betas, body string) (int, string) {
	t.Helper()
	path := map[string]string{"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages", "count": "/v1/messages/count_tokens"}[api]
	r, err := http.NewRequest(http.MethodPost, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+account)
	r.Header.Set("Anthropic-Version", "2023-06-01")
	if betas != "" {
		r.Header.Set("Anthropic-Beta", betas)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// What a vendor refuses, and requests that differ from those in nothing else. An
// empty want means that the request is accepted.
func TestRules(t *testing.T) {
	const (
		user  = `"messages":[{"role":"user","content":"hi"}]`
		input = `"input":[{"role":"user","content":"hi"}]`
		max   = `"max_tokens":4096`
		fn    = `{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}`
		fnR   = `{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}`
		fnM   = `{"name":"f","input_schema":{"type":"object"}}`
	)
	for _, c := range []struct{ name, api, betas, body, want string }{
		{"chat", "chat", "", user, ""},
		{"an unknown field", "chat", "", user + `,"thread":"x"`, "Unknown parameter: 'thread'"},
		{"a field of another API", "chat", "", user + `,"client_metadata":{}`, "Unknown parameter: 'client_metadata'"},
		{"an unknown field of a message", "chat", "", `"messages":[{"role":"user","content":"hi","reasoning_content":"x"}]`, "messages[0].reasoning_content"},
		{"an unknown role", "chat", "", `"messages":[{"role":"critic","content":"hi"}]`, "Invalid value: 'critic'"},
		{"an unknown part", "chat", "", `"messages":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}]`, "Invalid value: 'input_text'"},
		{"an image in a result", "chat", "", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":[{"type":"image_url","image_url":{"url":"x"}}]}]`, "Invalid value: 'image_url'"},
		{"both limits", "chat", "", user + `,"max_tokens":9,"max_completion_tokens":9`, "at the same time"},
		{"a user of 64 bytes", "chat", "", user + `,"user":"` + strings.Repeat("u", 64) + `"`, ""},
		{"a user of 65 bytes", "chat", "", user + `,"user":"` + strings.Repeat("u", 65) + `"`, "string too long"},
		{"long metadata", "chat", "", user + `,"metadata":{"a":"` + strings.Repeat("u", 513) + `"}`, "metadata.a"},
		{"metadata that is no string", "chat", "", user + `,"metadata":{"a":1}`, "expected a string"},
		{"a tool", "chat", "", user + `,"tools":[` + fn + `]`, ""},
		{"an unknown tool", "chat", "", user + `,"tools":[{"type":"namespace","name":"n"}]`, "Invalid value: 'namespace'"},
		{"a name with a dot", "chat", "", user + `,"tools":[` + strings.Replace(fn, `"f"`, `"f.g"`, 1) + `]`, "does not match pattern"},
		{"a schema that is no object", "chat", "", user + `,"tools":[` + strings.Replace(fn, `"object"`, `"string"`, 1) + `]`, "type: \\\"object\\\""},
		{"a choice without tools", "chat", "", user + `,"tool_choice":"auto"`, "only allowed when 'tools'"},
		{"no answer to a call", "chat", "", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"user","content":"?"}]`, "did not have response messages: 1"},
		{"an answer to no call", "chat", "", `"messages":[{"role":"user","content":"hi"},{"role":"tool","tool_call_id":"1","content":"x"}]`, "must be a response to a preceeding message"},
		{"a name with a space", "chat", "", `"messages":[{"role":"user","name":"a b","content":"hi"}]`, "messages[0].name"},
		{"null content", "chat", "", `"messages":[{"role":"assistant","content":null}]`, "expected a string, got null"},
		{"JSON without the word", "chat", "", user + `,"response_format":{"type":"json_object"}`, "must contain the word 'json'"},
		{"options of no stream", "chat", "", user + `,"stream_options":{"include_usage":true}`, "only allowed when 'stream'"},

		{"responses", "responses", "", input, ""},
		{"background", "responses", "", input + `,"background":true`, "Background mode"},
		{"Codex's labels", "responses", "", input + `,"client_metadata":{"a":"b"}`, ""},
		{"an unknown item", "responses", "", `"input":[{"type":"thought"}]`, "Invalid value: 'thought'"},
		{"an unknown kind of tool", "responses", "", input + `,"tools":[{"type":"telepathy"}]`, "Invalid value: 'telepathy'"},
		{"all kinds of tools", "responses", "", input + `,"tools":[` + fnR + `,{"type":"custom","name":"c"},{"type":"namespace","name":"n","tools":[` + fnR + `]},{"type":"web_search"}]`, ""},
		{"an id of another item", "responses", "", `"input":[{"role":"user","content":"hi"},{"type":"function_call","id":"call_1","call_id":"1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"1","output":"x"}]`, "begins with 'fc'"},
		{"a call without an output", "responses", "", `"input":[{"type":"function_call","call_id":"1","name":"f","arguments":"{}"}]`, "No tool output found for function call 1"},
		{"an output without a call", "responses", "", `"input":[{"type":"function_call_output","call_id":"1","output":"x"}]`, "No tool call found for function call output"},
		{"tools in the input", "responses", "", `"input":[{"type":"additional_tools","role":"developer","tools":[{"type":"namespace","name":"n","tools":[` + fnR + `]}]},{"role":"user","content":"hi"}]`, ""},
		{"a search for tools", "responses", "", `"input":[{"type":"tool_search_call","call_id":"1","execution":"client","arguments":{}},{"type":"tool_search_output","call_id":"1","execution":"client","tools":[` + fnR + `]}]`, ""},
		{"a search without an output", "responses", "", `"input":[{"type":"tool_search_call","call_id":"1","execution":"client","arguments":{}}]`, "No tool output found"},
		{"a reference to nothing", "responses", "", `"input":[{"type":"item_reference","id":"rs_1"}]`, "Item with id 'rs_1' not found"},
		{"reasoning of another", "responses", "", `"input":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"},{"role":"user","content":"hi"}]`, "could not be verified"},
		{"an unknown response", "responses", "", input + `,"previous_response_id":"resp_1"`, "not found"},
		{"a part of chat", "responses", "", `"input":[{"role":"user","content":[{"type":"text","text":"hi"}]}]`, "Invalid value: 'text'"},

		{"messages", "messages", "", max + "," + user, ""},
		{"no max_tokens", "messages", "", user, "max_tokens: Field required"},
		{"counting needs no max_tokens", "count", "", user, ""},
		{"an unknown field", "messages", "", max + "," + user + `,"seed":1`, "seed: Extra inputs are not permitted"},
		{"an unknown field of a message", "messages", "", max + `,"messages":[{"role":"user","name":"x","content":"hi"}]`, "messages.0.name: Extra inputs"},
		{"an unknown block", "messages", "", max + `,"messages":[{"role":"user","content":[{"type":"video"}]}]`, "Input tag 'video'"},
		{"an empty block", "messages", "", max + `,"messages":[{"role":"user","content":[{"type":"text","text":""}]}]`, "must be non-empty"},
		{"a blank block", "messages", "", max + `,"messages":[{"role":"user","content":[{"type":"text","text":" "}]}]`, "non-whitespace"},
		{"a role", "messages", "", max + `,"messages":[{"role":"tool","content":"hi"}]`, "messages.0.role"},
		{"a model that begins", "messages", "", max + `,"messages":[{"role":"assistant","content":"hi"}]`, "first message"},
		{"the system later", "messages", "", max + `,"messages":[{"role":"user","content":"hi"},{"role":"system","content":"x"}]`, ""},
		{"the system before the user", "messages", "", max + `,"messages":[{"role":"user","content":"hi"},{"role":"system","content":"x"},{"role":"user","content":"hi"}]`, "must be followed by"},
		{"an effort for a turn", "messages", "", max + `,"messages":[{"role":"user","content":"hi"},{"role":"system","content":"x","output_config":{"effort":"low"}}]`, "messages.1.output_config: Extra inputs"},
		{"an effort for a turn with its beta", "messages", "mid-conversation-output-config-2026-07-01", max + `,"messages":[{"role":"user","content":"hi"},{"role":"system","content":[],"output_config":{"effort":"low"}},{"role":"user","content":"hi"}]`, ""},
		{"a tool later", "messages", "", max + `,"tools":[` + fnM + `],"messages":[{"role":"user","content":"hi"},{"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_reference","name":"f"}}]}]`, "Input tag 'tool_addition'"},
		{"a tool later with its beta", "messages", "mid-conversation-tool-changes-2026-07-01", max + `,"tools":[` + fnM + `],"messages":[{"role":"user","content":"hi"},{"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_reference","name":"f"}}]}]`, ""},
		{"a tool that is not there", "messages", "mid-conversation-tool-changes-2026-07-01", max + `,"tools":[` + fnM + `],"messages":[{"role":"user","content":"hi"},{"role":"system","content":[{"type":"tool_removal","tool":{"type":"tool_reference","name":"g"}}]}]`, "Tool reference 'g' not found"},
		{"context_management", "messages", "", max + "," + user + `,"context_management":{"edits":[]}`, "context_management: Extra inputs"},
		{"context_management with its beta", "messages", "context-management-2025-06-27", max + "," + user + `,"context_management":{"edits":[]}`, ""},
		{"small budget", "messages", "", max + "," + user + `,"thinking":{"type":"enabled","budget_tokens":10}`, "greater than or equal to 1024"},
		{"thinking at another temperature", "messages", "", max + "," + user + `,"temperature":0,"thinking":{"type":"adaptive"}`, "may only be set to 1"},
		{"sampling", "messages", "", max + "," + user + `,"temperature":0`, ""},
		{"a foreign signature", "messages", "", max + `,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"text","text":"hi"}]},{"role":"user","content":"hi"}]`, "Invalid `signature` in `thinking` block"},
		{"a tool", "messages", "", max + "," + user + `,"tools":[` + fnM + `]`, ""},
		{"equal names", "messages", "", max + "," + user + `,"tools":[` + fnM + `,` + fnM + `]`, "Tool names must be unique"},
		{"a tool of OpenAI", "messages", "", max + "," + user + `,"tools":[` + fn + `]`, "Input tag 'function'"},
		{"a schema without a type", "messages", "", max + "," + user + `,"tools":[{"name":"f","input_schema":{}}]`, "Input should be 'object'"},
		{"no answer to a call", "messages", "", max + `,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]},{"role":"user","content":"?"}]`, "ids were found without `tool_result` blocks immediately after: 1"},
		{"an answer to no call", "messages", "", max + `,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"x"}]}]`, "unexpected `tool_use_id`"},
		{"a text before a result", "messages", "", max + `,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]},{"role":"user","content":[{"type":"text","text":"x"},{"type":"tool_result","tool_use_id":"1"}]}]`, "must come first"},
		{"five marks", "messages", "", max + `,"messages":[{"role":"user","content":[` + strings.TrimSuffix(strings.Repeat(`{"type":"text","text":"x","cache_control":{"type":"ephemeral"}},`, 5), ",") + `]}]`, "maximum of 4 blocks"},
	} {
		t.Run(c.api+"/"+c.name, func(t *testing.T) {
			server := httptest.NewServer(newProvider())
			defer server.Close()
			status, body := post(t, server.URL, c.api, "a", c.betas, `{"model":"m",`+c.body+`}`)
			if c.want == "" && status != http.StatusOK || c.want != "" && (status/100 != 4 || !strings.Contains(body, c.want)) {
				t.Errorf("%d %s, want %q", status, body, c.want)
			}
		})
	}
	for api, body := range map[string]string{"chat": user, "responses": input, "messages": max + "," + user} {
		t.Run(api+"/sampling of a reasoning model", func(t *testing.T) {
			server := httptest.NewServer(newProvider())
			defer server.Close()
			if status, answer := post(t, server.URL, api, "a", "", `{"model":"o-reasoning","temperature":0,`+body+`}`); status != http.StatusBadRequest {
				t.Errorf("%d %s", status, answer)
			}
		})
	}
}

// conversation is a client that keeps a conversation in the form of one API.
type conversation struct {
	t              *testing.T
	url, api       string
	account, extra string
	turns          []any
}

// turn sends what the user says and answers calls with results until the model
// answers with a text, which it returns, with the names that were called.
func (c *conversation) turn(user string, results ...string) (text string, called []string) {
	c.t.Helper()
	c.turns = append(c.turns, object{"role": "user", "content": user})
	key := "messages"
	if c.api == "responses" {
		key = "input"
	}
	for {
		status, body := post(c.t, c.url, c.api, c.account, "", `{"model":"m",`+c.extra+`"`+key+`":`+string(marshal(c.turns))+`}`)
		if status != http.StatusOK {
			c.t.Fatalf("%d %s", status, body)
		}
		var o object
		if err := json.Unmarshal([]byte(body), &o); err != nil {
			c.t.Fatal(err)
		}
		n := len(called)
		result := func() string {
			called = append(called, "")
			return results[len(called)-1]
		}
		switch c.api {
		case "chat":
			m := get(asObject(list(o, "choices")[0]), "message")
			delete(m, "annotations")
			c.turns = append(c.turns, m)
			text = str(m, "content")
			for _, v := range list(m, "tool_calls") {
				d := asObject(v)
				c.turns = append(c.turns, object{"role": "tool", "tool_call_id": d["id"], "content": result()})
				called[len(called)-1] = str(get(d, "function"), "name") + str(get(d, "function"), "arguments")
			}
		case "responses":
			var outputs []any
			for _, v := range list(o, "output") {
				d := asObject(v)
				c.turns = append(c.turns, d)
				switch str(d, "type") {
				case "message":
					text = str(asObject(list(d, "content")[0]), "text")
				case "function_call":
					outputs = append(outputs, object{"type": "function_call_output", "call_id": d["call_id"], "output": result()})
					called[len(called)-1] = str(d, "name") + str(d, "arguments")
				}
			}
			c.turns = append(c.turns, outputs...)
		case "messages":
			c.turns = append(c.turns, object{"role": "assistant", "content": o["content"]})
			var outputs []any
			for _, v := range list(o, "content") {
				d := asObject(v)
				switch str(d, "type") {
				case "text":
					text = str(d, "text")
				case "tool_use":
					outputs = append(outputs, object{"type": "tool_result", "tool_use_id": d["id"], "content": result()})
					called[len(called)-1] = str(d, "name") + string(marshal(d["input"]))
				}
			}
			if outputs != nil {
				c.turns = append(c.turns, object{"role": "user", "content": outputs})
			}
		}
		if len(called) == n {
			return text, called
		}
	}
}

// The model carries out directives in order, in each API, thinking where it is asked
// to, and what it thought is accepted from the account that got it and no other.
func TestDirectives(t *testing.T) {
	extra := map[string]string{
		"chat":      `"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}],`,
		"responses": `"tools":[{"type":"function","name":"f"},{"type":"function","name":"g"}],"store":false,"include":["reasoning.encrypted_content"],"reasoning":{"effort":"low","summary":"auto"},`,
		"messages":  `"tools":[{"name":"f","input_schema":{"type":"object"}},{"name":"g","input_schema":{"type":"object"}}],"max_tokens":4096,"thinking":{"type":"enabled","budget_tokens":2000},`,
	}
	for api, extra := range extra {
		t.Run(api, func(t *testing.T) {
			server := httptest.NewServer(newProvider())
			defer server.Close()
			c := &conversation{t: t, url: server.URL, api: api, account: "a", extra: extra}
			text, called := c.turn(`Do this: [[call f {"x":[["a"]]}]] and then [[call f {"y":2}]]+[[call g {}]] please`, "one", "two", "three")
			if got := strings.Join(called, " "); text != "Done: three" || got != `f{"x":[["a"]]} f{"y":2} g{}` {
				t.Errorf("%q after %s", text, got)
			}
			if text, _ := c.turn("What now?"); text != "You said: What now?" {
				t.Error(text)
			}
			if text, _ := c.turn("[[call h {}]]"); text != "no tool h, but: f, g" {
				t.Error(text)
			}
			key := "messages"
			if api == "responses" {
				key = "input"
			}
			status, body := post(t, server.URL, api, "b", "", `{"model":"m",`+extra+`"`+key+`":`+string(marshal(append(c.turns, object{"role": "user", "content": "hi"})))+`}`)
			if want := map[string]int{"chat": 200, "responses": 400, "messages": 400}[api]; status != want {
				t.Errorf("another account got %d %s", status, body)
			}
		})
	}
}

// An API can be down from the second answer of a turn on, while the others are not.
func TestDown(t *testing.T) {
	server := httptest.NewServer(newProvider())
	defer server.Close()
	const turn = `"messages":[{"role":"user","content":"[[call f {}]] [[down chat]]"}`
	const rest = `,{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"x"}`
	for body, want := range map[string]int{turn: http.StatusOK, turn + rest: http.StatusServiceUnavailable, strings.Replace(turn, "down chat", "down messages", 1) + rest: http.StatusOK} {
		if status, answer := post(t, server.URL, "chat", "a", "", `{"model":"m","tools":[{"type":"function","function":{"name":"f"}}],`+body+`]}`); status != want {
			t.Errorf("%d %s, want %d", status, answer, want)
		}
	}
}

// What a response stored can be referred to, by this account and no other, and calls
// need the reasoning that led to them.
func TestStored(t *testing.T) {
	server := httptest.NewServer(newProvider())
	defer server.Close()
	const head = `{"model":"m","tools":[{"type":"function","name":"f"}],"reasoning":{"effort":"low"},`
	_, body := post(t, server.URL, "responses", "a", "", head+`"input":"[[call f {}]]"}`)
	var o object
	if err := json.Unmarshal([]byte(body), &o); err != nil {
		t.Fatal(err)
	}
	output := list(o, "output")
	reasoning, call := asObject(output[0]), asObject(output[1])
	refer := func(items ...object) string {
		all := []object{{"role": "user", "content": "[[call f {}]]"}}
		for _, item := range items {
			all = append(all, object{"type": "item_reference", "id": item["id"]})
		}
		return head + `"input":` + string(marshal(append(all, object{"type": "function_call_output", "call_id": call["call_id"], "output": "ran"}))) + `}`
	}
	for _, c := range []struct{ name, account, body, want string }{
		{"both", "a", refer(reasoning, call), "Done: ran"},
		{"the response", "a", head + `"previous_response_id":"` + str(o, "id") + `","input":[{"type":"function_call_output","call_id":"` + str(call, "call_id") + `","output":"ran"}]}`, "Done: ran"},
		{"the call alone", "a", refer(call), "without its required 'reasoning' item"},
		{"by another account", "b", refer(reasoning, call), "not found"},
	} {
		if _, body := post(t, server.URL, "responses", c.account, "", c.body); !strings.Contains(body, c.want) {
			t.Errorf("%s: %s, want %s", c.name, body, c.want)
		}
	}
}

// A stream of each API has the vendor's events in the vendor's order.
func TestStreams(t *testing.T) {
	server := httptest.NewServer(newProvider())
	defer server.Close()
	for _, c := range []struct{ api, body, want string }{
		{"chat", `"messages":[{"role":"user","content":"[[call f {\"a\":1}]]"}],"tools":[{"type":"function","function":{"name":"f"}}],"stream_options":{"include_usage":true}`, "data data data data data [DONE]"},
		{"responses", `"input":"[[call f {\"a\":1}]]","tools":[{"type":"function","name":"f"}],"reasoning":{"summary":"auto"}`, "response.created response.in_progress response.output_item.added response.reasoning_summary_part.added response.reasoning_summary_text.delta response.reasoning_summary_text.delta response.reasoning_summary_text.done response.reasoning_summary_part.done response.output_item.done response.output_item.added response.function_call_arguments.delta response.function_call_arguments.done response.output_item.done response.completed"},
		{"responses", `"input":"hi"`, "response.created response.in_progress response.output_item.added response.content_part.added response.output_text.delta response.output_text.done response.content_part.done response.output_item.done response.completed"},
		{"messages", `"max_tokens":9999,"messages":[{"role":"user","content":"[[call f {\"a\":1}]]"}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"thinking":{"type":"adaptive"}`, "message_start content_block_start ping content_block_delta content_block_delta content_block_delta content_block_stop content_block_start content_block_delta content_block_delta content_block_stop message_delta message_stop"},
	} {
		status, body := post(t, server.URL, c.api, "a", "", `{"model":"m","stream":true,`+c.body+`}`)
		var got []string
		for line := range strings.Lines(body) {
			line = strings.TrimSuffix(line, "\n")
			if name, ok := strings.CutPrefix(line, "event: "); ok {
				got = append(got, name)
			} else if line == "data: [DONE]" {
				got = append(got, "[DONE]")
			} else if c.api == "chat" && line != "" {
				got = append(got, "data")
			}
		}
		if got := strings.Join(got, " "); status != http.StatusOK || got != c.want {
			t.Errorf("%s: %d %s\nwant %s", c.api, status, got, c.want)
		}
	}
}

// Answers in JSON follow the schema, and forced tools are called.
func TestForms(t *testing.T) {
	server := httptest.NewServer(newProvider())
	defer server.Close()
	const schema = `{"type":"object","properties":{"s":{"type":"string"},"n":{"$ref":"#/$defs/n"}},"required":["s","n"],"additionalProperties":false,"$defs":{"n":{"type":"integer"}}}`
	for _, c := range []struct{ api, body, want string }{
		{"chat", `"messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":` + schema + `}}`, `"{\"n\":1,\"s\":\"You said: hi\"}"`},
		{"responses", `"input":"hi","text":{"format":{"type":"json_schema","name":"a","strict":true,"schema":` + schema + `}}`, `"{\"n\":1,\"s\":\"You said: hi\"}"`},
		{"messages", `"max_tokens":9,"messages":[{"role":"user","content":"hi"}],"output_config":{"format":{"type":"json_schema","schema":` + schema + `}}`, `"{\"n\":1,\"s\":\"You said: hi\"}"`},
		{"chat", `"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","parameters":` + schema + `}}],"tool_choice":"required"`, `"arguments":"{\"n\":1,\"s\":\"You said: hi\"}"`},
		{"messages", `"max_tokens":9,"messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","input_schema":` + schema + `}],"tool_choice":{"type":"tool","name":"f"}`, `"input":{"n":1,"s":"You said: hi"}`},
	} {
		if _, body := post(t, server.URL, c.api, "a", "", `{"model":"m",`+c.body+`}`); !strings.Contains(body, c.want) {
			t.Errorf("%s: %s\nwant %s", c.api, body, c.want)
		}
	}
}

// The log has what arrived and how it was answered; a prompt that comes again is cached.
func TestLogAndCache(t *testing.T) {
	server := httptest.NewServer(newProvider())
	defer server.Close()
	long := strings.Repeat("a long text ", 1000)
	for range 2 {
		post(t, server.URL, "chat", "a", "", `{"model":"m","messages":[{"role":"user","content":"`+long+`"}]}`)
	}
	_, body := post(t, server.URL, "chat", "a", "", `{"model":"m","messages":[{"role":"user","content":"`+long+`"}]}`)
	if !strings.Contains(body, `"cached_tokens":2944`) {
		t.Error(body)
	}
	post(t, server.URL, "chat", "a", "", `{"model":"needle","thread":1}`)
	answer, err := http.Get(server.URL + "/log?with=needle")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var e entry
	if err := json.NewDecoder(answer.Body).Decode(&e); err != nil || e.Status != 400 || e.API != "chat" || e.Error != "Unknown parameter: 'thread'." {
		t.Errorf("%+v, %v", e, err)
	}
}
