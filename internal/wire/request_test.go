package wire

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
)

func TestSpoken(t *testing.T) {
	for body, want := range map[string]API{
		`{"messages":[{"role":"user","content":"x"}]}`: Chat,
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}],"tools":[{"type":"function","function":{"name":"f"}}]}`: Chat,
		`{"input":"x"}`:                Responses,
		`{"system":"s","messages":[]}`: Messages,
		`{"tools":[{"name":"w","input_schema":{}}],"messages":[]}`:                Messages,
		`{"messages":[{"role":"user","content":[{"type":"tool_result"}]}]}`:       Messages,
		`{"messages":[{"role":"assistant","content":[{"type":"thinking"}]}]}`:     Messages,
		`{"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]}`: Messages,
		`no JSON`:          Chat,
		`{"messages":"x"}`: Chat,
		`[]`:               Chat,
	} {
		if got := Spoken([]byte(body)); got != want {
			t.Errorf("Spoken(%s) = %s, want %s", body, got, want)
		}
	}
}

func TestParseRequestRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		api  API
		body string
		want string // of the message
	}{
		{"nothing", Chat, ``, "not valid JSON"},
		{"truncated", Chat, `{"model":"a"`, "not valid JSON"},
		{"a list", Chat, `[]`, "not a JSON object"},
		{"no model", Chat, `{"messages":[{"role":"user","content":"x"}]}`, `"model" is missing`},
		{"a model that is a number", Chat, `{"model":7,"messages":[]}`, `"model" must be a string`},
		{"an empty model", Chat, `{"model":"","messages":[{}]}`, `"model" is missing`},
		{"no messages", Chat, `{"model":"a"}`, `"messages" is missing`},
		{"messages of null", Messages, `{"model":"a","messages":null}`, `"messages" is missing`},
		{"empty messages", Chat, `{"model":"a","messages":[]}`, `"messages" must be a list that is not empty`},
		{"messages that are a string", Messages, `{"model":"a","messages":"x"}`, `"messages" must be a list`},
		{"a message that is a string", Chat, `{"model":"a","messages":["x"]}`, `messages[0] must be an object`},
		{"no input", Responses, `{"model":"a"}`, `"input" is missing`},
		{"empty input", Responses, `{"model":"a","input":""}`, `"input" must be a string or list`},
		{"a prompt of null in place of the input", Responses, `{"model":"a","prompt":null}`, `"input" is missing`},
		{"a previous response that is a number", Responses, `{"model":"a","input":"x","previous_response_id":5}`, `"previous_response_id" must be a string`},
		{"nothing to embed", Embeddings, `{"model":"a"}`, `"input" is missing`},
		{"null to embed", Embeddings, `{"model":"a","input":null}`, `"input" is missing`},
		{"an empty text to embed", Embeddings, `{"model":"a","input":""}`, `"input" must be a string or list that is not empty`},
		{"an empty list to embed", Embeddings, `{"model":"a","input":[]}`, `"input" must be a string or list that is not empty`},
		{"a number to embed", Embeddings, `{"model":"a","input":7}`, `"input" must be a string or list that is not empty`},
		{"stream that is a string", Chat, `{"model":"a","stream":"yes","messages":[{}]}`, `"stream" must be true or false`},
		{"a limit of zero tokens", Chat, `{"model":"a","max_tokens":0,"messages":[{}]}`, `"max_tokens" must be a whole number above 0`},
		{"a fractional limit of tokens", Chat, `{"model":"a","max_tokens":1.5,"messages":[{}]}`, `"max_tokens" must be a whole number above 0`},
		{"two models", Chat, `{"model":"cheap","messages":[{}],"model":"expensive"}`, `"model" appears twice`},
		{"two models, one with escapes", Chat, `{"model":"cheap","messages":[{}],"mod\u0065l":"expensive"}`, `"model" appears twice`},
		{"a limit in another case beside the limit", Chat, `{"model":"a","max_tokens":5,"MAX_TOKENS":9000,"messages":[{}]}`, `"MAX_TOKENS" differs from "max_tokens" only in case`},
		{"a limit in another case alone", Chat, `{"model":"a","Max_Tokens":9000,"messages":[{}]}`, `"Max_Tokens" differs from "max_tokens" only in case`},
		{"a limit with a long s, which Go's decoder takes for an s", Chat, `{"model":"a","max_token\u017f":9000,"messages":[{}]}`, `differs from "max_tokens" only in case`},
		{"a stream option twice", Chat, `{"model":"a","messages":[{}],"stream_options":{"include_usage":true,"include_usage":false}}`, `"stream_options.include_usage" appears twice`},
		{"another stream option twice", Chat, `{"model":"a","messages":[{}],"stream_options":{"include_obfuscation":true,"include_obfuscation":false}}`, `"stream_options.include_obfuscation" appears twice`},
		{"a stream option in two cases", Chat, `{"model":"a","messages":[{}],"stream_options":{"include_usage":true,"Include_Usage":false}}`,
			`"stream_options.Include_Usage" differs from "stream_options.include_usage" only in case`},
		{"own metadata that is a list", Chat, `{"model":"a","messages":[{}],"metadata":{"carrot_models":["a"]}}`, `"metadata.carrot_models" must be a string`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseRequest(test.api, []byte(test.body))
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Status != 400 || !strings.Contains(e.Message, test.want) {
				t.Errorf("ParseRequest(%s) = %v, want status 400 with %q", test.body, err, test.want)
			}
		})
	}
}

// TestCheckSettings: a member that a setting changes is given once, under its own name.
func TestCheckSettings(t *testing.T) {
	settings := []Setting{{"temperature", "0"}, {"top_k", "null"}, {"reasoning", `{"effort":"high","summary":null}`}, {"seed", "1"}}
	for _, test := range []struct {
		name, members string
		want          string // in the error; "" means that there is none
	}{
		{"each once", `"temperature":1,"top_k":5,"reasoning":{"effort":"low","summary":"auto"}`, ""},
		{"others in any case", `"temperature":1,"chatKwargs":{"A":1,"a":2},"reasoning":{"Other":1,"other":2}`, ""},
		{"an object that the setting replaces", `"seed":{"a":1,"a":2}`, ""},
		{"a number that the setting's object replaces", `"reasoning":5`, ""},
		{"a setting in another case", `"Temperature":1`, `"Temperature" differs from "temperature" only in case`},
		{"a setting in two cases", `"temperature":1,"TEMPERATURE":2`, `"TEMPERATURE" differs from "temperature" only in case`},
		{"a setting in another case, with escapes", `"\u0054emperature":1`, `"Temperature" differs from "temperature" only in case`},
		{"a setting with the sign for kelvin", `"top_\u212a":1`, `differs from "top_k" only in case`},
		{"a removed setting in another case", `"TOP_K":5`, `"TOP_K" differs from "top_k" only in case`},
		{"a member of an object twice", `"reasoning":{"effort":"low","effort":"low"}`, `"reasoning.effort" appears twice`},
		{"a member of an object in two cases", `"reasoning":{"effort":"low","Effort":"low"}`, `"reasoning.Effort" differs from "reasoning.effort" only in case`},
		{"a removed member of an object twice", `"reasoning":{"summary":"a","summary":"b"}`, `"reasoning.summary" appears twice`},
	} {
		t.Run(test.name, func(t *testing.T) {
			q, err := ParseRequest(Responses, []byte(`{"model":"a","input":"x",`+test.members+`}`))
			if err != nil {
				t.Fatal(err)
			}
			err = q.CheckSettings(settings)
			if test.want == "" {
				if err != nil {
					t.Errorf("CheckSettings = %v, want no error", err)
				}
				return
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Status != 400 || !strings.Contains(e.Message, test.want) {
				t.Errorf("CheckSettings = %v, want status 400 with %q", err, test.want)
			}
		})
	}
}

func TestParseRequest(t *testing.T) {
	type facts struct {
		Stream, AskUsage, CacheControl bool
		MaxOutputTokens, Answers       int
		Images                         int
		Needs                          carrot.Abilities
		Previous                       string
		Roles                          string
		Query                          string
		Metadata                       map[string]string
	}
	for _, test := range []struct {
		name string
		api  API
		body string
		want facts
	}{
		{"plain chat", Chat, `{"model":"auto","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"What is 2+2, in words?"}]}`,
			facts{Answers: 1, Roles: "system user", Query: "What is 2+2, in words?"}},
		{"a stream with usage and limits", Chat, `{"model":"auto","stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":7,"n":3,"messages":[{"role":"user","content":"x"}]}`,
			facts{Stream: true, AskUsage: true, MaxOutputTokens: 7, Answers: 3, Roles: "user", Query: "x"}},
		{"parts, an image, tools and a schema", Chat, `{"model":"auto","tools":[{"type":"function"}],"response_format":{"type":"json_schema"},
			"messages":[{"role":"user","content":[{"type":"text","text":"What is"},{"type":"image_url","image_url":{"url":"u"}},{"type":"text","text":"this?"}]}]}`,
			facts{Answers: 1, Images: 1, Needs: carrot.Abilities{Tools: true, Vision: true, JSON: true}, Roles: "user", Query: "What is\nthis?"}},
		{"text is not JSON mode, and an empty list is no tools", Chat, `{"model":"auto","tools":[],"response_format":{"type":"text"},"messages":[{"role":"user","content":"x"}]}`,
			facts{Answers: 1, Roles: "user", Query: "x"}},
		{"a tool's result", Chat, `{"model":"auto","messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"rain"}]}`,
			facts{Answers: 1, Needs: carrot.Abilities{Tools: true}, Roles: "user assistant tool", Query: "Weather?"}},
		{"a short turn is joined with the one before", Chat, `{"model":"auto","messages":[{"role":"user","content":"Prove it."},{"role":"assistant","content":"So."},{"role":"user","content":"And why?"}]}`,
			facts{Answers: 1, Roles: "user assistant user", Query: "Prove it.\nAnd why?"}},
		{"own metadata and other metadata", Chat, `{"model":"auto","metadata":{"carrot_session":"s1","user":"u"},"messages":[{"role":"user","content":"x"}]}`,
			facts{Answers: 1, Roles: "user", Query: "x", Metadata: map[string]string{"session": "s1"}}},
		{"Anthropic's messages", Messages, `{"model":"auto","max_tokens":9,"system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],
			"messages":[{"role":"user","content":[{"type":"image","source":{}},{"type":"text","text":"Describe."}]}]}`,
			facts{Answers: 1, MaxOutputTokens: 9, CacheControl: true, Images: 1, Needs: carrot.Abilities{Vision: true}, Roles: "system user", Query: "Describe."}},
		{"Anthropic's tool result", Messages, `{"model":"auto","max_tokens":9,"messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"tool_use","id":"t","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"rain"}]}]}`,
			facts{Answers: 1, MaxOutputTokens: 9, Needs: carrot.Abilities{Tools: true}, Roles: "user assistant tool", Query: "Weather?"}},
		{"an input that is a string", Responses, `{"model":"auto","instructions":"Be brief.","input":"Why?","text":{"format":{"type":"json_schema"}},"previous_response_id":"resp_1"}`,
			facts{Answers: 1, Needs: carrot.Abilities{JSON: true}, Previous: "resp_1", Roles: "system user", Query: "Why?"}},
		{"an input of items", Responses, `{"model":"auto","max_output_tokens":8,"input":[{"role":"user","content":[{"type":"input_text","text":"Weather?"},{"type":"input_image"}]},{"type":"reasoning","encrypted_content":"x"},{"type":"function_call","name":"f","arguments":"{}"},{"type":"function_call_output","output":"rain"}]}`,
			facts{Answers: 1, MaxOutputTokens: 8, Images: 1, Needs: carrot.Abilities{Tools: true, Vision: true}, Roles: "user assistant assistant tool", Query: "Weather?"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := ParseRequest(test.api, []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			var roles []string
			for _, turn := range r.Turns {
				roles = append(roles, turn.Role)
			}
			got := facts{r.Stream, r.AskUsage, r.CacheControl, r.MaxOutputTokens, r.Answers, r.Images, r.Needs, r.PreviousResponse,
				strings.Join(roles, " "), r.Query(0, 200), r.Metadata}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestNeedsTools: a model without tools cannot continue from calls and results,
// even if the request defines no tools.
func TestNeedsTools(t *testing.T) {
	for _, test := range []struct {
		api  API
		turn string
		want bool
	}{
		{Chat, `{"role":"assistant","content":"x","tool_calls":[{"id":"c","function":{"name":"f"}}]}`, true},
		{Chat, `{"role":"assistant","content":"x","tool_calls":[]}`, false},
		{Chat, `{"role":"assistant","function_call":{"name":"f","arguments":"{}"}}`, true},
		{Chat, `{"role":"assistant","content":"x","tool_calls":null,"function_call":null}`, false},
		{Chat, `{"role":"tool","tool_call_id":"c","content":"x"}`, true},
		{Chat, `{"role":"function","name":"f","content":"x"}`, true},
		{Messages, `{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]}`, true},
		{Messages, `{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"x"}]}`, true},
		{Messages, `{"role":"user","content":[{"type":"text","text":"x"}]}`, false},
		{Responses, `{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}`, true},
		{Responses, `{"type":"custom_tool_call","call_id":"c","name":"f","input":"x"}`, true},
		{Responses, `{"type":"function_call_output","call_id":"c","output":"x"}`, true},
		{Responses, `{"type":"message","role":"user","content":"x"}`, false},
	} {
		list := "messages"
		if test.api == Responses {
			list = "input"
		}
		r, err := ParseRequest(test.api, []byte(`{"model":"a","`+list+`":[`+test.turn+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		if r.Needs.Tools != test.want {
			t.Errorf("%s %s: needs tools is %v, want %v", test.api, test.turn, r.Needs.Tools, test.want)
		}
	}
}

func TestQueryText(t *testing.T) {
	r, err := ParseRequest(Chat, []byte(`{"model":"a","messages":[{"role":"system","content":"You are a tutor."},{"role":"user","content":"first"},
		{"role":"assistant","content":"answer"},{"role":"user","content":"second één"},{"role":"user","content":"last"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	f := func(system, earlier int, want string) {
		t.Helper()
		if got := r.Query(system, earlier); got != want {
			t.Errorf("Query(%d, %d) = %q, want %q", system, earlier, got, want)
		}
	}
	f(0, 0, "last")
	f(0, 4, "last") // long enough
	f(0, 8, "één\nlast"[2:])
	f(0, 9, "één\nlast")
	f(0, 100, "first\nsecond één\nlast")
	f(7, 0, "You are\nlast")
	f(100, 0, "You are a tutor.\nlast")
}

func TestInProgress(t *testing.T) {
	f := func(body string, tool, thinking bool) {
		t.Helper()
		r, err := ParseRequest(Messages, []byte(`{"model":"a","max_tokens":1,"messages":[`+body+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		if r.InTool() != tool || r.InThinking() != thinking {
			t.Errorf("%s: in tool %v, in thinking %v, want %v, %v", body, r.InTool(), r.InThinking(), tool, thinking)
		}
	}
	const (
		user   = `{"role":"user","content":"x"}`
		think  = `{"role":"assistant","content":[{"type":"thinking","thinking":"hm"},{"type":"tool_use","id":"t","input":{}}]}`
		call   = `{"role":"assistant","content":[{"type":"tool_use","id":"t","input":{}}]}`
		result = `{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"r"}]}`
	)
	f(user, false, false)
	f(user+","+call+","+result, true, false)
	f(user+","+think+","+result, true, true)
	f(user+","+think+","+result+","+user, false, false) // that turn is over
	f(user+","+think+","+result+","+user+","+call+","+result, true, false)
}

// TestInputTokens: a long conversation is counted by its beginning and its end.
func TestInputTokens(t *testing.T) {
	words := func(s string) int { return len(strings.Fields(s)) }
	f := func(content string, want int) {
		t.Helper()
		r, err := ParseRequest(Chat, []byte(`{"model":"a","messages":[{"role":"system","content":"a b"},{"role":"user","content":`+quote(content)+`}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.InputTokens(words); got < want*99/100 || got > want*101/100 {
			t.Errorf("%d bytes: %d tokens, want about %d", len(content), got, want)
		}
	}
	f("x y z", 2*tokensPerTurn+4) // b and x are one word
	f(strings.Repeat("word ", 100_000), 2*tokensPerTurn+100_002)
}

// TestInputTokensOfEmbeddings: the input is texts or the numbers of tokens.
func TestInputTokensOfEmbeddings(t *testing.T) {
	words := func(s string) int { return len(strings.Fields(s)) }
	f := func(input string, want int) {
		t.Helper()
		r, err := ParseRequest(Embeddings, []byte(`{"model":"a","input":`+input+`}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.InputTokens(words); got != want {
			t.Errorf("%.40s: %d tokens, want %d", input, got, want)
		}
	}
	f(`"a b c"`, 3)
	f(`["a b", "c", "d"]`, 4)
	f(`[1, 2, 3, 4, 5]`, 5)
	f(`[[1, 2], [], [3]]`, 3)
	f(`[[[1, 2]], {"text":"a"}, null]`, 0) // unknown input is not counted
	f(`[`+strings.Repeat(`"word",`, 400)+`"word"]`, 401)
}

// TestResponsesWithoutInput: a response may continue from a stored prompt or from
// an earlier response without input.
func TestResponsesWithoutInput(t *testing.T) {
	for _, body := range []string{`{"model":"a","prompt":{"id":"p"}}`, `{"model":"a","previous_response_id":"r"}`, `{"model":"a","previous_response_id":null,"input":"x"}`} {
		if _, err := ParseRequest(Responses, []byte(body)); err != nil {
			t.Errorf("ParseRequest(%s) = %v", body, err)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, seed := range []string{`{"model":"a","messages":[{"role":"user","content":[{"type":"tool_result","content":[{}]}]}]}`,
		`{"model":"a","input":[{"type":"x_call_output","output":[1]}]}`, `{"model":"a","input":"é","metadata":{"carrot_a":"b"}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, api := range []API{Chat, Messages, Responses, Embeddings} {
			r, err := ParseRequest(api, body)
			if err != nil {
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Fatalf("error %v is not an *Error", err)
				}
				continue
			}
			r.Query(100, 100)
			if n := r.InputTokens(func(s string) int { return len(s) }); n < 0 {
				t.Fatalf("%d tokens", n)
			}
		}
	})
}

// TestUser: clients name their end users in several places.
func TestUser(t *testing.T) {
	for fields, want := range map[string]string{
		``:                                      "",
		`,"user":"a"`:                           "a",
		`,"user":"a","safety_identifier":"b"`:   "b",
		`,"metadata":{"user_id":"c"}`:           "c",
		`,"user":"","metadata":{"user_id":"c"}`: "c",
		`,"user":7,"metadata":{"user_id":{"a":1}}`: "",
		`,"user":null,"metadata":null`:             "",
		`,"user":"a","metadata":{"user_id":"c"}`:   "a",
	} {
		r, err := ParseRequest(Chat, []byte(`{"model":"auto","messages":[{"role":"user","content":"x"}]`+fields+`}`))
		if err != nil || r.User() != want {
			t.Errorf("%s: %v, want user %q", fields, err, want)
		}
	}
}
