package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/carrot-router/carrot"
)

var update = flag.Bool("update", false, "rewrite the translations in testdata")

// TestFixtures translates the fixtures named CLIENT-PROVIDER-topic.txtar, which
// their README describes.
func TestFixtures(t *testing.T) {
	files, err := filepath.Glob("testdata/translate/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			names := strings.Split(filepath.Base(file), "-")
			client, provider := API(names[0]), API(names[1])
			in, want := map[string][]byte{}, map[string][]byte{}
			for _, f := range a.Files {
				if name, ok := strings.CutSuffix(f.Name, ".in"); ok {
					in[name] = f.Data
				} else {
					want[strings.TrimSuffix(f.Name, ".out")] = f.Data
				}
			}
			out := &txtar.Archive{Comment: a.Comment}
			for _, f := range a.Files {
				name, ok := strings.CutSuffix(f.Name, ".in")
				if !ok {
					continue
				}
				got := translateSection(t, name, f.Data, client, provider)
				out.Files = append(out.Files, f, txtar.File{Name: name + ".out", Data: got})
				if diff := cmp.Diff(string(want[name]), string(got)); diff != "" && !*update {
					t.Errorf("%s of %s (-want +got):\n%s", name, file, diff)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// translateSection translates a section of a fixture, and checks the result with
// the types of OpenAI's client if it has the API.
func translateSection(t *testing.T, name string, in []byte, client, provider API) []byte {
	switch name {
	case "request":
		got, err := translateBody(in, client, provider)
		if err != nil {
			t.Fatalf("request: %v", err)
		}
		checkRequest(t, provider, got)
		return append(got, '\n')
	case "answer":
		got, err := TranslateAnswer(in, provider, client, 0, carrot.Usage{})
		if err != nil {
			t.Fatalf("answer: %v", err)
		}
		checkAnswer(t, client, got)
		return append(got, '\n')
	case "stream":
		got := translateStream(t, in, provider, client)
		checkStream(t, client, got)
		return got
	}
	t.Fatalf("section %s.in: want request, answer or stream", name)
	return nil
}

// translateStream translates a whole stream.
func translateStream(t *testing.T, in []byte, from, to API) []byte {
	t.Helper()
	var out []byte
	translator := NewStreamTranslator(from, to, 0, 0)
	d := NewDecoder(bytes.NewReader(in))
	for {
		e, err := d.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("stream: %v", err)
		}
		events, err := translator.Next(e)
		if err != nil {
			t.Fatalf("Next(%v): %v", e, err)
		}
		for _, e := range events {
			out = e.AppendTo(out)
		}
	}
	for _, e := range translator.Close() {
		out = e.AppendTo(out)
	}
	if again := translator.Close(); len(again) != 0 {
		t.Errorf("the second Close() = %v, want nothing", again)
	}
	return out
}

func TestUntranslatable(t *testing.T) {
	bodies := map[API]string{
		Chat:      `{"model":"m","messages":[{"role":"user","content":"hi"}],%s}`,
		Messages:  `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}],%s}`,
		Responses: `{"model":"m","input":"hi",%s}`,
	}
	for _, test := range []struct {
		from, to API
		member   string // added to a request
		field    string // "" if it can be translated
	}{
		{Chat, Messages, `"n":2`, "n"},
		{Chat, Responses, `"n":2`, "n"},
		{Chat, Messages, `"n":1`, ""},
		{Chat, Messages, `"logprobs":true`, "logprobs"},
		{Chat, Messages, `"logprobs":false,"top_logprobs":null`, ""},
		{Chat, Responses, `"logit_bias":{"1":2}`, ""},
		{Chat, Messages, `"logit_bias":{ }`, ""},
		{Chat, Messages, `"frequency_penalty":0.5`, ""},
		{Chat, Messages, `"presence_penalty":0`, ""},
		{Chat, Messages, `"audio":{"voice":"alloy"}`, "audio"},
		{Chat, Messages, `"modalities":["text","audio"]`, "modalities"},
		{Chat, Messages, `"modalities":[ "text" ]`, ""},
		{Chat, Responses, `"prediction":{"type":"content"}`, ""},
		{Chat, Messages, `"web_search_options":{}`, ""},
		{Chat, Messages, `"functions":[{"name":"f"}]`, ""},
		{Chat, Responses, `"functions":[{"name":"f"}],"function_call":"enormous"`, "function_call.name"},
		{Chat, Messages, `"seed":7,"metadata":{"a":"b"},"store":false,"service_tier":"flex","prompt_cache_key":"k","safety_identifier":"s","user":"u"`, ""},
		{Chat, Messages, `"store":true`, ""},
		{Chat, Messages, `"store":null,"verbosity":null`, ""},
		{Chat, Responses, `"store":true`, ""},
		{Chat, Messages, `"verbosity":"low"`, ""},
		{Chat, Messages, `"verbosity":"medium"`, ""},
		{Chat, Messages, `"verbosity":2`, "verbosity"},
		{Chat, Responses, `"verbosity":"high"`, ""},
		{Chat, Messages, `"temperature":1.2`, ""},
		{Chat, Messages, `"temperature":1`, ""},
		{Chat, Responses, `"temperature":1.2`, ""},
		{Chat, Responses, `"stop":["x"]`, "stop"},
		{Chat, Messages, `"response_format":{"type":"json_object"}`, ""},
		{Chat, Responses, `"response_format":{"type":"json_object"}`, ""},
		{Chat, Responses, `"response_format":{"type":"grammar"}`, "response_format"},
		{Chat, Messages, `"reasoning_effort":"enormous"`, "reasoning_effort"},
		{Chat, Messages, `"tools":[{"type":"custom","custom":{"name":"c"}}]`, ""},
		{Chat, Messages, `"tool_choice":{"type":"allowed_tools"}`, "tool_choice"},
		{Chat, Messages, `"max_tokens":5,"max_completion_tokens":6`, ""},
		{Chat, Messages, `"max_tokens":5,"max_completion_tokens":5`, ""},
		{Chat, Messages, `"brand_new":1`, ""},
		{Chat, Messages, `"brand_new":null`, ""},
		{Chat, Messages, `"top_p":"much"`, "top_p"},
		{Chat, Messages, `"messages":[{"role":"user","content":"again"}]`, "messages"},
		{Messages, Chat, `"top_k":5`, ""},
		{Messages, Chat, `"container":"c"`, "container"},
		{Messages, Chat, `"mcp_servers":[{"type":"url"}]`, "mcp_servers"},
		{Messages, Responses, `"inference_geo":"eu"`, "inference_geo"},
		{Messages, Chat, `"tools":[{"type":"web_search_20250305","name":"web_search"}]`, ""},
		{Messages, Chat, `"tools":[{"type":"custom","name":"f","input_schema":{"type":"object"}}]`, ""},
		{Messages, Chat, `"tools":[{"name":"f","input_schema":5}]`, "tools[0].input_schema"},
		{Messages, Chat, `"stop_sequences":["a","b","c","d","e"]`, "stop_sequences"},
		{Messages, Responses, `"stop_sequences":["a"]`, "stop"},
		{Messages, Chat, `"cache_control":{"type":"ephemeral"},"service_tier":"auto","speed":"fast"`, ""},
		{Messages, Chat, `"output_config":{"format":{"type":"grammar"}}`, "output_config.format"},
		{Messages, Chat, `"thinking":{"type":"enabled"}`, "thinking.budget_tokens"},
		{Responses, Chat, `"previous_response_id":"r"`, "previous_response_id"},
		{Responses, Chat, `"conversation":"c"`, "conversation"},
		{Responses, Chat, `"background":true`, "background"},
		{Responses, Chat, `"background":false`, ""},
		{Responses, Chat, `"store":true`, ""},
		{Responses, Chat, `"store":false,"truncation":"auto","include":["reasoning.encrypted_content"]`, ""},
		{Responses, Chat, `"include":["message.output_text.logprobs"]`, "include[0]"},
		{Responses, Chat, `"prompt":{"id":"p"}`, "prompt"},
		{Responses, Chat, `"tools":[{"type":"web_search"}]`, ""},
		{Responses, Messages, `"tools":[{"type":"file_search"}]`, "tools[0]"},
		{Responses, Messages, `"tools":[{"type":"computer_use_preview"}]`, "tools[0]"},
		{Responses, Messages, `"tool_choice":{"type":"mcp"}`, "tool_choice"},
		{Responses, Messages, `"text":{"format":{"type":"json_object"}}`, ""},
		{Responses, Messages, `"text":{"verbosity":"high"}`, ""},
		{Responses, Messages, `"text":{"verbosity":"medium"}`, ""},
		{Responses, Chat, `"text":{"verbosity":"high","format":{"type":"text"}}`, ""},
		{Responses, Chat, `"text":{"brand_new":1}`, ""},
		{Responses, Chat, `"text":{"brand_new":null},"reasoning":{"effort":"low","summary":"auto","generate_summary":"auto","context":"auto"}`, ""},
		{Responses, Chat, `"reasoning":{"brand_new":1}`, ""},
		{Responses, Chat, `"reasoning":"high"`, "reasoning"},
		{Messages, Chat, `"output_config":{"effort":"low","task_budget":{"type":"tokens","total":20000}}`, ""},
		{Embeddings, Chat, ``, "-"},
	} {
		body := strings.Replace(bodies[test.from], "%s", test.member, 1)
		_, err := translateBody([]byte(body), test.from, test.to)
		checkRefusal(t, body, test.from, test.to, test.field, err)
	}
}

// checkRefusal checks that the error is about a field. "-" means the whole request,
// and "" no error.
func checkRefusal(t *testing.T, body string, from, to API, field string, err error) {
	t.Helper()
	if field == "" {
		if err != nil {
			t.Errorf("TranslateRequest(%s, %s, %s) = %v, want no error", body, from, to, err)
		}
		return
	}
	u, ok := errors.AsType[*Untranslatable](err)
	if field == "-" {
		field = ""
	}
	if !ok || u.Field != field || u.From != from || u.To != to || u.Reason == "" {
		t.Errorf("TranslateRequest(%s, %s, %s) = %v, want an Untranslatable of field %q", body, from, to, err, field)
	}
}

func TestUntranslatableContent(t *testing.T) {
	user := func(part string) string { return `{"role":"user","content":[` + part + `]}` }
	for _, test := range []struct {
		from, to       API
		message, field string
	}{
		{Chat, Messages, user(`{"type":"input_audio"}`), "messages[0].content[0]"},
		{Chat, Messages, user(`{"type":"text","text":"a"},{"type":"file","file":{}}`), "messages[0].content[1].file.file_data"},
		{Chat, Messages, user(`{"type":"image_url","image_url":{"url":"ftp://x"}}`), "messages[0].content[0].image_url.url"},
		{Chat, Messages, user(`{"type":"image_url","image_url":{"url":"data:image/png,abc"}}`), "messages[0].content[0].image_url.url"},
		{Chat, Messages, user(`{"type":"text","text":5}`), "messages[0].content[0].text"},
		{Chat, Messages, `{"role":"assistant","audio":{"id":"a"}}`, "messages[0].audio"},
		{Chat, Responses, `{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{"}}]}`, ""},
		{Chat, Messages, `{"role":"user"}`, "messages"},
		{Chat, Messages, `{"role":"user","name":"Ann","content":"x"}`, ""},
		{Chat, Responses, `{"role":"system","name":"example_user","content":"x"}`, ""},
		{Chat, Responses, `{"role":"assistant","name":null,"content":"x"}`, ""},
		{Chat, Messages, `{"role":"tool","tool_call_id":"c","name":"f","content":"x"}`, ""},
		{Messages, Chat, user(`{"type":"document","source":{}}`), "messages[0].content[0].source"},
		{Messages, Chat, user(`{"type":"image","source":{"type":"file","file_id":"f"}}`), "messages[0].content[0].source"},
		{Messages, Chat, `{"role":"user","content":[{"type":"server_tool_use"}]}`, "messages[0].content[0]"},
		{Messages, Chat, `{"role":"assistant","content":"The answer is"}`, "messages"},
		{Messages, Chat, user(`{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"url","url":"https://x/y.png"}}]}`), ""},
		{Messages, Responses, user(`{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"url","url":"https://x/y.png"}}]}`), ""},
		{Responses, Chat, user(`{"type":"input_file","file_id":"f"}`), "input[0].content[0].file_id"},
		{Responses, Chat, user(`{"type":"input_image","file_id":"f"}`), "input[0].content[0]"},
		{Responses, Chat, `{"type":"item_reference","id":"i"}`, "input[0]"},
		{Responses, Chat, `{"type":"computer_call","id":"i"}`, "input[0]"},
		{Responses, Chat, `{"role":"critic","content":"x"}`, "input[0].role"},
	} {
		list := "messages"
		if test.from == Responses {
			list = "input"
		}
		body := `{"model":"m","` + list + `":[` + test.message + `]}`
		_, err := translateBody([]byte(body), test.from, test.to)
		checkRefusal(t, body, test.from, test.to, test.field, err)
	}
	for _, body := range []string{``, `[]`, `{`, `"x"`, `{}`, `{"messages":[]}`} {
		_, err := translateBody([]byte(body), Chat, Messages)
		checkRefusal(t, body, Chat, Messages, "-", err)
	}
	const want = "chat cannot be sent as messages: field logprobs: the other API returns no probabilities"
	if _, err := translateBody([]byte(`{"logprobs":true}`), Chat, Messages); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestInventedLimit: if the client sets no limit, the one added for Anthropic gives
// way to a candidate's own limit, even to a higher one.
func TestInventedLimit(t *testing.T) {
	f := func(member string, edits Edits, want string) {
		t.Helper()
		body, err := translateBody([]byte(`{"model":"m",`+member+`"messages":[{"role":"user","content":"x"}]}`), Chat, Messages)
		if err != nil {
			t.Fatal(err)
		}
		edits.MaxTokensKey = "max_tokens"
		if got := Edit(body, edits); !strings.Contains(string(got), `"max_tokens":`+want+`,`) {
			t.Errorf("%s with %+v became %s, want a limit of %s", member, edits, got, want)
		}
	}
	f("", Edits{}, "32000")
	f("", Edits{NoLimitAsked: true}, "32000")
	f("", Edits{NoLimitAsked: true, MaxTokens: 16000}, "16000")
	f("", Edits{NoLimitAsked: true, MaxTokens: 300}, "300")
	f(`"max_tokens":4096,`, Edits{MaxTokens: 16000}, "4096")
}

// TestReasonsQuoteNothing: reasons name fields but do not quote the client's text,
// because decisions are recorded.
func TestReasonsQuoteNothing(t *testing.T) {
	const secret = "SECRET"
	for _, test := range []struct {
		from, to API
		body     string
	}{
		{Chat, Messages, `"messages":[{"role":"SECRET","content":"x"}]`},
		{Chat, Messages, `"messages":[{"role":"user","name":"SECRET","content":"x"}]`},
		{Chat, Messages, `"messages":[{"role":"user","content":[{"type":"SECRET"}]}]`},
		{Chat, Messages, `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"SECRET"}}]}]`},
		{Chat, Messages, `"messages":[{"role":"assistant","tool_calls":[{"id":"SECRET","type":"function","function":{"name":"SECRET","arguments":"SECRET"}}]}]`},
		{Chat, Messages, `"reasoning_effort":"SECRET","messages":[{"role":"user","content":"x"}]`},
		{Chat, Messages, `"verbosity":"SECRET","messages":[{"role":"user","content":"x"}]`},
		{Chat, Messages, `"tool_choice":"SECRET","messages":[{"role":"user","content":"x"}]`},
		{Chat, Messages, `"response_format":{"type":"SECRET"},"messages":[{"role":"user","content":"x"}]`},
		{Chat, Messages, `"a SECRET":1,"messages":[{"role":"user","content":"x"}]`},
		{Chat, Messages, `"a SECRET":1,"a SECRET":1,"messages":[{"role":"user","content":"x"}]`},
		{Messages, Chat, `"output_config":{"a SECRET":1},"messages":[{"role":"user","content":"x"}]`},
		{Messages, Chat, `"tools":[{"type":"SECRET"}],"messages":[{"role":"user","content":"x"}]`},
		{Messages, Chat, `"tool_choice":{"type":"SECRET"},"messages":[{"role":"user","content":"x"}]`},
		{Messages, Chat, `"messages":[{"role":"SECRET","content":"x"}]`},
		{Messages, Chat, `"messages":[{"role":"user","content":[{"type":"SECRET"}]}]`},
		{Messages, Chat, `"messages":[{"role":"user","content":[{"type":"image","source":{"type":"SECRET"}}]}]`},
		{Responses, Chat, `"tools":[{"type":"SECRET"}],"input":"x"`},
		{Responses, Chat, `"input":[{"role":"SECRET","content":"x"}]`},
		{Responses, Chat, `"input":[{"type":"SECRET","content":"x"}]`},
		{Responses, Chat, `"input":[{"role":"user","content":[{"type":"SECRET"}]}]`},
		{Responses, Messages, `"reasoning":{"effort":"SECRET"},"input":"x"`},
	} {
		got, err := TranslateRequest([]byte(`{"model":"m",`+test.body+`}`), test.from, test.to, Facts{})
		if err == nil && !got.Notes.Lost() || strings.Contains(fmt.Sprint(err), secret) || err == nil && strings.Contains(fmt.Sprint(got.Notes), secret) {
			t.Errorf("TranslateRequest(%s, %s, %s) = %v, %v, want an error or notes that do not quote the client", test.body, test.from, test.to, got, err)
		}
	}
}

// TestRequestRoundTrip: a request is the same after translation to another API and
// back.
func TestRequestRoundTrip(t *testing.T) {
	const tools = `"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object", "properties":{"b":{},"a":{}}},"strict":false}}]`
	for _, test := range []struct {
		via  API
		body string
	}{
		{Messages, `{"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":[{"type":"text","text":"what \u003c é 😀?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0/+A=="}},{"type":"image_url","image_url":{"url":"https://example.com/a.png?b=1"}}]},` +
			`{"role":"assistant","content":"looking","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\": 1.0}"}},{"id":"call_2","type":"function","function":{"name":"f","arguments":"{}"}}]},` +
			`{"role":"tool","tool_call_id":"call_1","content":"one"},{"role":"tool","tool_call_id":"call_2","content":"two"},{"role":"user","content":"go on"}],` + tools +
			`,"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false,"max_completion_tokens":100,"temperature":0.70,"top_p":0.9,"stop":["a","b"],"reasoning_effort":"high","user":"u","stream":true,"stream_options":{"include_usage":true}}`},
		{Responses, `{"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":[{"type":"text","text":"what?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0/+A==","detail":"low"}}]},` +
			`{"role":"assistant","content":"looking","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\": 1.0}"}},{"id":"call_2","type":"function","function":{"name":"f","arguments":"{}"}}]},` +
			`{"role":"tool","tool_call_id":"call_1","content":"one"},{"role":"tool","tool_call_id":"call_2","content":"two"},{"role":"user","content":"go on"}],` + tools +
			`,"tool_choice":"required","parallel_tool_calls":false,"max_completion_tokens":100,"temperature":1.70,"top_p":0.9,"reasoning_effort":"none","response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d","schema":{"type":"object"},"strict":true}},"verbosity":"low","user":"u","metadata":{"z":"1","a":"2"},"prompt_cache_key":"k"}`},
	} {
		there, err := translateBody([]byte(test.body), Chat, test.via)
		if err != nil {
			t.Fatalf("to %s: %v", test.via, err)
		}
		back, err := translateBody(there, test.via, Chat)
		if err != nil {
			t.Fatalf("back from %s: %v\n%s", test.via, err, there)
		}
		if diff := cmp.Diff(test.body, string(back)); diff != "" {
			t.Errorf("there and back via %s (-want +got):\n%s\n%s", test.via, diff, there)
		}
	}
}

func TestAnswerRoundTrip(t *testing.T) {
	const body = `{"id":"chatcmpl-1","object":"chat.completion","created":0,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hé","refusal":null,"tool_calls":[` +
		`{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},{"id":"call_2","type":"function","function":{"name":"g","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],` +
		`"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":30},"completion_tokens_details":{"reasoning_tokens":15}}}`
	for _, via := range []API{Messages, Responses} {
		there, err := TranslateAnswer([]byte(body), Chat, via, 0, carrot.Usage{})
		if err != nil {
			t.Fatal(err)
		}
		back, err := TranslateAnswer(there, via, Chat, 0, carrot.Usage{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(body, string(back)); diff != "" {
			t.Errorf("there and back via %s (-want +got):\n%s", via, diff)
		}
	}
}

func TestAnswerErrors(t *testing.T) {
	for _, test := range []struct {
		from, to   API
		body, want string
	}{
		{Chat, Messages, `{`, "not valid JSON"},
		{Chat, Messages, `{"error":{"message":"no such model","code":"model_not_found"}}`, "no such model"},
		{Chat, Messages, `{"choices":[]}`, "no message"},
		{Chat, Messages, `{"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"[1]"}}]},"finish_reason":"tool_calls"}]}`, "the call to f are not a JSON object"},
		{Messages, Chat, `{"type":"message"}`, "no content"},
		{Responses, Chat, `{"id":"r"}`, "no output"},
		{Responses, Chat, `{"output":[],"status":"in_progress"}`, "status is in_progress"},
		{Embeddings, Chat, `{}`, "no translation"},
	} {
		if _, err := TranslateAnswer([]byte(test.body), test.from, test.to, 0, carrot.Usage{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("TranslateAnswer(%s, %s, %s) = %v, want an error with %q", test.body, test.from, test.to, err, test.want)
		}
	}
}

// TestNulls: null in place of a missing value, as some servers send it, is not a
// call.
func TestNulls(t *testing.T) {
	const message = `{"role":"assistant","content":"hi","refusal":null,"reasoning":null,"tool_calls":null,"function_call":null,"audio":null,"annotations":null}`
	for _, to := range []API{Messages, Responses} {
		got, err := TranslateAnswer([]byte(`{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":`+message+`,"logprobs":null,"finish_reason":"stop"}],"usage":null}`), Chat, to, 0, carrot.Usage{})
		if err != nil || bytes.Contains(got, []byte("tool_use")) || bytes.Contains(got, []byte("function_call")) {
			t.Errorf("translated to %s it is %s, %v", to, got, err)
		}
		translator := NewStreamTranslator(Chat, to, 0, 0)
		var all []byte
		for _, data := range []string{
			`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":` + message + `,"finish_reason":null}],"usage":null}`,
			`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":null},"finish_reason":"stop"}]}`, Done,
		} {
			events, err := translator.Next(Event{Data: []byte(data)})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				all = e.AppendTo(all)
			}
		}
		if bytes.Contains(all, []byte("tool_use")) || bytes.Contains(all, []byte("function_call")) {
			t.Errorf("translated to %s the stream is %s", to, all)
		}
	}
}

// TestStopReasons covers every reason why an answer ends.
func TestStopReasons(t *testing.T) {
	in := map[API]string{
		Chat:      `{"choices":[{"message":{"content":"x"},"finish_reason":"%"}]}`,
		Messages:  `{"content":[{"type":"text","text":"x"}],"stop_reason":"%"}`,
		Responses: `{"output":[],%}`,
	}
	for _, test := range []struct {
		from       API
		word       string
		to         API
		path, want string
	}{
		{Chat, "stop", Messages, "stop_reason", "end_turn"},
		{Chat, "length", Messages, "stop_reason", "max_tokens"},
		{Chat, "content_filter", Messages, "stop_reason", "refusal"},
		{Chat, "tool_calls", Messages, "stop_reason", "end_turn"}, // because no tool is called
		{Chat, "eos", Messages, "stop_reason", "end_turn"},
		{Chat, "length", Responses, "incomplete_details", "reason"},
		{Messages, "end_turn", Chat, "finish_reason", "stop"},
		{Messages, "stop_sequence", Chat, "finish_reason", "stop"},
		{Messages, "max_tokens", Chat, "finish_reason", "length"},
		{Messages, "model_context_window_exceeded", Chat, "finish_reason", "length"},
		{Messages, "refusal", Chat, "finish_reason", "content_filter"},
		{Messages, "refusal", Responses, "status", "incomplete"},
		{Responses, `"status":"completed"`, Chat, "finish_reason", "stop"},
		{Responses, `"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}`, Chat, "finish_reason", "length"},
		{Responses, `"status":"incomplete","incomplete_details":{"reason":"content_filter"}`, Messages, "stop_reason", "refusal"},
	} {
		body := strings.Replace(in[test.from], "%", test.word, 1)
		got, err := TranslateAnswer([]byte(body), test.from, test.to, 0, carrot.Usage{})
		if want := `"` + test.path + `":"` + test.want; err != nil || !strings.Contains(strings.ReplaceAll(string(got), `{"`, `"`), want) {
			t.Errorf("TranslateAnswer(%s, %s, %s) = %s, %v, want %s", body, test.from, test.to, got, err, want)
		}
	}
}

func TestSameAPI(t *testing.T) {
	for _, api := range []API{Chat, Messages, Responses, Embeddings} {
		body := []byte(` { "x" : 1 } `)
		if got, err := translateBody(body, api, api); err != nil || !bytes.Equal(got, body) {
			t.Errorf("TranslateRequest(%s, %s) = %s, %v", api, api, got, err)
		}
		if got, err := TranslateAnswer(body, api, api, 0, carrot.Usage{}); err != nil || !bytes.Equal(got, body) {
			t.Errorf("TranslateAnswer(%s, %s) = %s, %v", api, api, got, err)
		}
	}
	data := []byte(`{"choices":[{"delta":{"content":"x"}}]}`)
	s := NewStreamTranslator(Chat, Chat, 0, 0)
	got, err := s.Next(Event{Data: data})
	copy(data, "XXXX") // Next must have copied the data
	if err != nil || len(got) != 1 || !json.Valid(got[0].Data) {
		t.Errorf("Next = %v, %v, want a copy of the event", got, err)
	}
	if end := s.Close(); len(end) != 1 || !strings.Contains(string(end[0].Data), `"error"`) {
		t.Errorf("Close() of a stream that was cut = %v, want an error", end)
	}
}

// TestTopPOfOne: a top_p of 1 has no effect, and is dropped beside a temperature,
// because Anthropic's newer models refuse both together.
func TestTopPOfOne(t *testing.T) {
	f := func(more, want string) {
		t.Helper()
		got, err := translateBody([]byte(`{"model":"m","max_tokens":1,`+more+`"messages":[{"role":"user","content":"x"}]}`), Chat, Messages)
		if err != nil || strings.Contains(string(got), `"top_p"`) != (want != "") || want != "" && !strings.Contains(string(got), want) {
			t.Errorf("%s became %s, %v, want %q", more, got, err, want)
		}
	}
	f(`"temperature":0.5,"top_p":1,`, "")
	f(`"temperature":0.5,"top_p":0.9,`, `"top_p":0.9`)
	f(`"top_p":1,`, `"top_p":1`)
}
