package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3/responses"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
)

// translateBody translates a request for a model of which nothing is known.
func translateBody(body []byte, from, to API) ([]byte, error) {
	t, err := TranslateRequest(body, from, to, Facts{})
	if err != nil {
		return nil, err
	}
	return t.Body, nil
}

// TestRequests translates the requests in testdata/request, which its README describes.
func TestRequests(t *testing.T) {
	files, err := filepath.Glob("testdata/request/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			names := strings.Split(filepath.Base(file), "-")
			out := &txtar.Archive{Comment: a.Comment, Files: translateRequestFile(t, a, API(names[0]), API(names[1]))}
			got := txtar.Format(out)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(a)), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// translateRequestFile returns the sections of a fixture, with new outputs.
func translateRequestFile(t *testing.T, a *txtar.Archive, client, provider API) []txtar.File {
	var out []txtar.File
	var facts Facts
	var tools *Tools
	for _, f := range a.Files {
		name, isInput := strings.CutSuffix(f.Name, ".in")
		if !isInput {
			continue
		}
		out = append(out, f)
		add := func(name string, data string) { out = append(out, txtar.File{Name: name + ".out", Data: []byte(data)}) }
		switch name {
		case "facts":
			if err := json.Unmarshal(f.Data, &facts); err != nil {
				t.Fatal(err)
			}
		case "request":
			got, err := TranslateRequest(f.Data, client, provider, facts)
			if err != nil {
				add("refused", err.Error()+"\n")
				continue
			}
			checkRequest(t, provider, got.Body)
			tools = got.Tools
			add("request", string(got.Body)+"\n")
			if n := got.Notes; n.Lost() || len(n.Added) > 0 {
				add("notes", fmt.Sprintf("dropped:  %s\nnarrowed: %s\nadded:    %s\n", strings.Join(n.Dropped, " "), strings.Join(n.Narrowed, " "), strings.Join(n.Added, " ")))
			}
		case "answer":
			got, err := TranslateAnswer(f.Data, provider, client, 0, carrot.Usage{})
			if err != nil {
				t.Fatalf("answer: %v", err)
			}
			got = tools.Answer(got)
			checkAnswer(t, client, got)
			add("answer", string(got)+"\n")
		case "stream":
			got := restoreStream(t, f.Data, provider, client, tools)
			checkRestored(t, client, got, tools != nil)
			add("stream", got)
		default:
			t.Fatalf("section %s: want facts, request, answer or stream", f.Name)
		}
	}
	return out
}

// checkRestored checks a stream with the types of OpenAI's client or, if calls have
// another form than these tests know, its numbers only.
func checkRestored(t *testing.T, client API, stream string, restored bool) {
	t.Helper()
	switch {
	case !restored || client == Messages:
		checkStream(t, client, []byte(stream))
		return
	case client == Chat: // OpenAI's client cannot read custom calls in streams
		return
	}
	d := NewDecoder(strings.NewReader(stream))
	for n := 0; ; n++ {
		e, err := d.Next()
		if err == io.EOF {
			return
		}
		var event responses.ResponseStreamEventUnion
		if err := json.Unmarshal(e.Data, &event); err != nil || event.SequenceNumber != int64(n) || event.Type != e.Name || event.AsAny() == nil {
			t.Errorf("event %d: OpenAI's client reads %s as %+v, %v", n, e, event, err)
		}
	}
}

// restoreStream translates a whole stream and restores its calls.
func restoreStream(t *testing.T, in []byte, from, to API, tools *Tools) string {
	t.Helper()
	var out []byte
	translator, restore := NewStreamTranslator(from, to, 0, 0), tools.Stream()
	decoder := NewDecoder(bytes.NewReader(in))
	for {
		e, err := decoder.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		events, err := translator.Next(e)
		if err != nil {
			t.Fatal(err)
		}
		if events, err = restore.Restore(events); err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			out = e.AppendTo(out)
		}
	}
	events, err := restore.Restore(translator.Close())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		out = e.AppendTo(out)
	}
	return string(out)
}

// TestNotes: each field or value that the other API does not have, or that the model
// refuses, is named, and those without effect are not.
func TestNotes(t *testing.T) {
	bodies := map[API]string{
		Chat:      `{"model":"m","messages":[{"role":"user","content":"hi"}],%s}`,
		Messages:  `{"model":"m","max_tokens":90,"messages":[{"role":"user","content":"hi"}],%s}`,
		Responses: `{"model":"m","input":"hi",%s}`,
	}
	long := strings.Repeat("u", 65)
	for _, test := range []struct {
		from, to         API
		facts            Facts
		member           string
		dropped, changed string
		want             string // in the translation; "!" before it: not in it
	}{
		{Chat, Messages, Facts{}, `"max_tokens":9,"seed":7,"stream_options":{"include_usage":true},"logit_bias":{},"n":1`, "seed", "", ""},
		{Chat, Messages, Facts{}, `"max_tokens":9,"brand_new":1,"a b":2`, "brand_new ?", "", ""},
		{Chat, Messages, Facts{}, `"max_tokens":9,"frequency_penalty":0.5,"presence_penalty":0,"logit_bias":{"1":2}`, "frequency_penalty logit_bias", "", ""},
		{Chat, Messages, Facts{}, `"max_tokens":9,"metadata":{"carrot_session":"s"},"service_tier":"auto"`, "", "", ""},
		{Chat, Messages, Facts{}, `"max_tokens":9,"metadata":{"a":"s"},"service_tier":"flex","safety_identifier":"s","prompt_cache_key":"k"`, "metadata service_tier safety_identifier prompt_cache_key", "", ""},
		{Chat, Messages, Facts{}, `"max_tokens":9,"store":true,"verbosity":"low","prediction":{},"web_search_options":{}`, "store verbosity prediction web_search_options", "", ""},
		{Chat, Messages, Facts{}, `"max_tokens":9,"verbosity":"medium","store":false`, "", "", ""},
		{Chat, Messages, Facts{}, `"max_tokens":9,"temperature":1.5`, "", "temperature=1", `"temperature":1}`},
		{Chat, Messages, Facts{NoSampling: true}, `"max_tokens":9,"temperature":0,"top_p":0.9`, "temperature top_p", "", `!"temp`},
		{Chat, Messages, Facts{NoSampling: true}, `"max_tokens":9,"temperature":1,"top_p":1.0`, "", "", `!"temp`},
		{Chat, Messages, Facts{OneSampling: true}, `"max_tokens":9,"temperature":0,"top_p":0.9`, "top_p", "", `"temperature":0`},
		{Chat, Messages, Facts{}, `"max_tokens":9,"temperature":0,"top_p":0.9`, "", "", `"top_p":0.9`},
		{Chat, Responses, Facts{NoSampling: true}, `"temperature":0`, "temperature", "", `!"temp`},
		{Chat, Messages, Facts{}, `"max_tokens":9,"max_completion_tokens":5`, "", "max_tokens=5", `"max_tokens":5,`},
		{Chat, Messages, Facts{}, `"max_completion_tokens":5,"max_tokens":9`, "", "max_tokens=5", `"max_tokens":5,`},
		{Chat, Messages, Facts{}, `"max_tokens":5,"max_completion_tokens":5`, "", "", `"max_tokens":5,`},
		{Chat, Messages, Facts{}, `"seed":1`, "seed", "+max_tokens=32000", `"max_tokens":32000`},
		{Chat, Messages, Facts{MaxOutput: 8192}, `"seed":1`, "seed", "", `"max_tokens":8192`},
		{Chat, Messages, Facts{MaxOutput: 128000}, `"seed":1`, "seed", "+max_tokens=32000", `"max_tokens":32000`},
		{Chat, Messages, Facts{MaxOutput: 128000}, `"stream":true`, "", "", `"max_tokens":128000`},
		{Chat, Messages, Facts{MaxOutput: 128000, Limit: 50000}, `"seed":1`, "seed", "", `"max_tokens":50000`},
		{Messages, Chat, Facts{MaxOutput: 16384}, `"top_k":1`, "top_k", "", `"max_completion_tokens":90`},
		{Messages, Chat, Facts{MaxOutput: 50}, `"top_k":1`, "top_k", "max_tokens=50", `"max_completion_tokens":50`},
		{Responses, Chat, Facts{MaxOutput: 50}, `"max_output_tokens":80`, "", "max_tokens=50", `"max_completion_tokens":50`},
		{Chat, Responses, Facts{}, `"max_tokens":1`, "", "max_output_tokens=16", `"max_output_tokens":16`},
		{Chat, Messages, Facts{}, `"max_tokens":9,"reasoning_effort":"minimal"`, "", "reasoning_effort=low", `"effort":"low"`},
		{Chat, Messages, Facts{NoEffort: true}, `"max_tokens":9,"reasoning_effort":"high"`, "reasoning_effort", "", `!effort`},
		{Chat, Messages, Facts{NoEffort: true}, `"max_tokens":9,"reasoning_effort":"none"`, "", "", `!thinking`},
		{Chat, Messages, Facts{Efforts: "low medium high"}, `"max_tokens":9,"reasoning_effort":"none"`, "", "", `"thinking":{"type":"disabled"}`},
		{Chat, Messages, Facts{Efforts: "low medium high"}, `"max_tokens":9,"reasoning_effort":"xhigh"`, "", "reasoning_effort=high", `"effort":"high"`},
		{Chat, Responses, Facts{Efforts: "low medium high"}, `"reasoning_effort":"none"`, "", "reasoning_effort=low", `"effort":"low"`},
		{Messages, Chat, Facts{NoEffort: true}, `"output_config":{"effort":"high"}`, "reasoning_effort", "", `!effort`},
		{Messages, Chat, Facts{}, `"thinking":{"type":"disabled"}`, "thinking", "", ""},
		{Messages, Chat, Facts{}, `"thinking":{"type":"adaptive"}`, "", "", ""},
		{Messages, Chat, Facts{}, `"context_management":{"edits":[]},"speed":"fast","cache_control":{"type":"ephemeral"},"diagnostics":{},"service_tier":"standard_only"`, "context_management speed cache_control diagnostics service_tier", "", ""},
		{Messages, Chat, Facts{}, `"thread":{"type":"create"}`, "thread", "", ""},
		{Messages, Chat, Facts{}, `"output_config":{"task_budget":{}}`, "output_config.task_budget", "", ""},
		{Messages, Chat, Facts{}, `"metadata":{"user_id":"` + long + `"}`, "", "user=sha256", `!uuu`},
		{Chat, Messages, Facts{}, `"max_tokens":9,"user":"` + long + `"`, "", "", `"user_id":"` + long},
		{Chat, Responses, Facts{}, `"user":"` + long + `"`, "", "user=sha256", `!uuu`},
		{Responses, Chat, Facts{}, `"client_metadata":{"a":1},"thread":"t","context_management":[],"store":true,"truncation":"auto","max_tool_calls":1,"include":["reasoning.encrypted_content"]`, "client_metadata thread store truncation max_tool_calls include", "", ""},
		{Responses, Chat, Facts{}, `"text":{"verbosity":"low","brand_new":1},"reasoning":{"summary":"auto","effort":"low"}`, "text.brand_new reasoning.summary", "", `"verbosity":"low"`},
		{Chat, Messages, Facts{}, `"max_tokens":9,"stop":["\n","END"," "]`, "", "stop=1", `"stop_sequences":["END"]`},
		{Chat, Messages, Facts{}, `"max_tokens":9,"stop":"\n"`, "stop", "", `!stop`},
		{Chat, Messages, Facts{}, `"max_tokens":9,"response_format":{"type":"json_object"}`, "", "response_format=prompt", `Answer with a single JSON object`},
		{Chat, Messages, Facts{}, `"max_tokens":9,"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object","properties":{"a":{}}}}}`, "", "response_format=prompt", `It must follow this JSON schema`},
		{Chat, Messages, Facts{}, `"max_tokens":9,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":true}},"strict":true}}]`, "tools[].strict", "", `!strict`},
	} {
		body := fmt.Appendf(nil, bodies[test.from], test.member)
		r, err := ParseRequest(test.from, body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := TranslateRequest(body, test.from, test.to, r.Relevant(test.facts, test.to))
		if err != nil {
			t.Errorf("%s to %s, %s: %v", test.from, test.to, test.member, err)
			continue
		}
		changed := strings.Join(got.Notes.Narrowed, " ")
		if len(got.Notes.Added) > 0 {
			changed += "+" + strings.Join(got.Notes.Added, " ")
		}
		if dropped := strings.Join(got.Notes.Dropped, " "); dropped != test.dropped || changed != test.changed {
			t.Errorf("%s to %s, %s: dropped %q, changed %q, want %q and %q", test.from, test.to, test.member, dropped, changed, test.dropped, test.changed)
		}
		want, not := strings.CutPrefix(test.want, "!")
		if want != "" && strings.Contains(string(got.Body), want) == not {
			t.Errorf("%s to %s, %s: the translation is %s, which should contain %q: %v", test.from, test.to, test.member, got.Body, want, !not)
		}
	}
}

// TestManyNotes: a client cannot make the notes long.
func TestManyNotes(t *testing.T) {
	var body strings.Builder
	body.WriteString(`{"model":"m","messages":[{"role":"user","content":"x"}]`)
	for i := range 500 {
		fmt.Fprintf(&body, `,"field_%d":1`, i)
	}
	got, err := TranslateRequest([]byte(body.String()+"}"), Chat, Responses, Facts{})
	if err != nil || len(got.Notes.Dropped) != maxNotes+1 || got.Notes.Dropped[maxNotes] != othersNoted {
		t.Errorf("500 unknown fields have the notes %v, %v", got.Notes.Dropped, err)
	}
}

// TestAnthropicSchema: schemas become those that Anthropic's own client for Python makes
// of them.
func TestAnthropicSchema(t *testing.T) {
	for _, test := range []struct {
		in, want string
		moved    bool
	}{
		{`{"type":"integer","minimum":1,"maximum":10,"description":"A number"}`, `{"type":"integer","description":"A number\n\n{minimum: 1, maximum: 10}"}`, true},
		{`{"type":"object","properties":{"a":{"type":"string","format":"date"},"b":{"type":"string","format":"phone"}},"required":["a"],"additionalProperties":true}`,
			`{"type":"object","properties":{"a":{"type":"string","format":"date"},"b":{"type":"string","description":"{format: phone}"}},"additionalProperties":false,"required":["a"],"description":"{additionalProperties: true}"}`, true},
		{`{"$ref":"#/$defs/A","$defs":{"A":{"type":"array","items":{"type":"null"},"minItems":1}}}`, `{"$defs":{"A":{"type":"array","items":{"type":"null"},"minItems":1}},"$ref":"#/$defs/A"}`, false},
		{`{"oneOf":[{"type":"string"},{"const":5}]}`, `{"anyOf":[{"type":"string"},{"const":5}]}`, false},
		{`{"type":"string","enum":["a","b"],"title":"T"}`, `{"enum":["a","b"],"title":"T"}`, false},
		{`{"type":["string","null"],"description":"d"}`, `{"anyOf":[{"type":"string"},{"type":"null"}],"description":"d"}`, false},
		{`{"type":"array","items":{"type":"string"},"minItems":3}`, `{"type":"array","items":{"type":"string"},"description":"{minItems: 3}"}`, true},
	} {
		got, moved, ok := anthropicSchema(gjson.Parse(test.in))
		if got != test.want || moved != test.moved || !ok {
			t.Errorf("anthropicSchema(%s) =\n%s, %v, %v, want\n%s, %v, true", test.in, got, moved, ok, test.want, test.moved)
		}
	}
	deep := strings.Repeat(`{"type":"array","items":`, 200) + `{"type":"null"}` + strings.Repeat("}", 200)
	for _, in := range []string{`{}`, `true`, `{"type":"object","properties":{"a":{}}}`, deep} {
		if got, _, ok := anthropicSchema(gjson.Parse(in)); ok {
			t.Errorf("anthropicSchema(%.50s) = %.50s, want none", in, got)
		}
	}
}

// TestOpenAISchema: schemas become those that OpenAI's own client for Python makes of
// them.
func TestOpenAISchema(t *testing.T) {
	for in, want := range map[string]string{
		`{"type":"object","properties":{"a":{"type":"string","default":null},"b":{"type":"object","properties":{}}},"required":["a"]}`: `{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"object","properties":{},"required":[],"additionalProperties":false}},"required":["a","b"],"additionalProperties":false}`,
		`{"type":"object"}`: `{"type":"object","properties":{},"required":[],"additionalProperties":false}`,
		`{"type":"object","properties":{"a":{"$ref":"#/$defs/A","description":"d"}},"$defs":{"A":{"oneOf":[{"type":"null"},{"type":"array","items":{"type":"string"}}]}},"additionalProperties":false}`: `{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"anyOf":[{"type":"null"},{"type":"array","items":{"type":"string"}}]}},"required":["a"],"additionalProperties":false}`,
		`{"type":"object","additionalProperties":{"type":"string"}}`: "",
		`{"type":"object","properties":{"a":true}}`:                  "",
	} {
		got, ok := openAISchema(gjson.Parse(in))
		if ok != (want != "") || ok && got != want {
			t.Errorf("openAISchema(%s) =\n%s, %v, want\n%s", in, got, ok, want)
		}
	}
}

func TestObjectSchema(t *testing.T) {
	for in, want := range map[string]string{
		`{}`: `{"type":"object","properties":{}}`,
		`{"type":"object","additionalProperties":false}`:  `{"properties":{},"type":"object","additionalProperties":false}`,
		`{"type":"object", "properties":{"b":{},"a":{}}}`: `{"type":"object", "properties":{"b":{},"a":{}}}`,
		`{ "properties":{"a":{}}}`:                        `{"type":"object", "properties":{"a":{}}}`,
		`{"description":"d"}`:                             `{"type":"object","properties":{},"description":"d"}`,
	} {
		got := objectSchema(in)
		if got != want || !json.Valid([]byte(got)) {
			t.Errorf("objectSchema(%s) = %s, want %s", in, got, want)
		}
	}
}

// TestToolNames: the names of functions fit the other API and tell all tools apart.
func TestToolNames(t *testing.T) {
	var n toolNames
	long := strings.Repeat("n", 100)
	for _, test := range []struct {
		to       API
		original toolName
		want     string
	}{
		{Chat, toolName{name: "get"}, `"get"`},
		{Chat, toolName{name: "get", namespace: "crm"}, `"crm__get"`},
		{Chat, toolName{name: "put", namespace: "mcp__crm__"}, `"mcp__crm__put"`},
		{Chat, toolName{name: "crm__get"}, `"crm__get_2"`},
		{Chat, toolName{name: "get", kind: customTool}, `"get_2"`},
		{Chat, toolName{name: "a.b"}, `"a_b_2e7336dc"`},
		{Chat, toolName{name: long}, `"` + long[:55] + `_4e9d8231"`},
		{Messages, toolName{name: long + "x"}, `"` + long + `x"`},
	} {
		if got := n.flat(test.to, test.original, ""); got != test.want {
			t.Errorf("flat(%+v) = %s, want %s", test.original, got, test.want)
		}
		if again := n.flat(test.to, test.original, ""); again != test.want {
			t.Errorf("the second name of %+v is %s, want %s", test.original, again, test.want)
		}
	}
	if got := new(toolNames).tools(Chat); got != nil {
		t.Errorf("without tools, there is %v to restore", got)
	}
}

// FuzzTranslateRequest: for no request and no facts is the translation not JSON, or a note
// one that cannot stand in a header, and no answer is broken when its calls are restored.
func FuzzTranslateRequest(f *testing.F) {
	files, err := filepath.Glob("testdata/request/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		sections := map[string][]byte{}
		for _, section := range a.Files {
			sections[section.Name] = section.Data
		}
		f.Add(sections["request.in"], sections["answer.in"], true, 8192)
	}
	f.Fuzz(func(t *testing.T, body, answer []byte, refuses bool, most int) {
		facts := Facts{NoSampling: refuses, OneSampling: refuses, MaxOutput: most, Efforts: "low high",
			NoPrefill: refuses, WantsReasoning: refuses, WantsSignature: refuses, Foreign: refuses}
		for _, pair := range pairs {
			got, err := TranslateRequest(body, pair[0], pair[1], facts)
			if err != nil {
				continue
			}
			if r, err := ParseRequest(pair[0], body); err == nil { // other facts do not matter
				less, err := TranslateRequest(body, pair[0], pair[1], r.Relevant(facts, pair[1]))
				if err != nil || !bytes.Equal(less.Body, got.Body) || fmt.Sprint(less.Notes) != fmt.Sprint(got.Notes) {
					t.Errorf("with the relevant facts, TranslateRequest(%q, %s, %s) = %+v, %v, want %+v", body, pair[0], pair[1], less, err, got)
				}
			}
			if !json.Valid(got.Body) {
				t.Errorf("TranslateRequest(%q, %s, %s) = %q, which is not JSON", body, pair[0], pair[1], got.Body)
			}
			for _, n := range [][]string{got.Notes.Dropped, got.Notes.Narrowed, got.Notes.Added} {
				for _, note := range n {
					if strings.ContainsFunc(note, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }) || len(note) > 100 {
						t.Errorf("TranslateRequest(%q, %s, %s) has the note %q", body, pair[0], pair[1], note)
					}
				}
			}
			out, err := TranslateAnswer(answer, pair[1], pair[0], 0, carrot.Usage{})
			if err == nil && !json.Valid(got.Tools.Answer(out)) {
				t.Errorf("the calls in %q are restored to %q, which is not JSON", out, got.Tools.Answer(out))
			}
			events, _ := got.Tools.Stream().Restore([]Event{{Data: answer}, {Data: []byte(Done)}})
			for _, e := range events {
				if json.Valid(answer) && string(e.Data) != Done && !json.Valid(e.Data) {
					t.Errorf("the event %q is restored to %q, which is not JSON", answer, e.Data)
				}
			}
		}
	})
}

// TestRestoreHoldsLittle: what is held back of a stream is limited.
func TestRestoreHoldsLittle(t *testing.T) {
	s := (&Tools{api: Chat, originals: map[string]toolName{"f": {kind: customTool, name: "f"}}}).Stream()
	chunk := func(call string) []Event {
		return []Event{{Data: []byte(`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,` + call + `}]}}]}`)}}
	}
	if _, err := s.Restore(chunk(`"id":"a","function":{"name":"f","arguments":""}`)); err != nil {
		t.Fatal(err)
	}
	part := chunk(`"function":{"arguments":"` + strings.Repeat("x", 1<<20) + `"}`)
	n, err := 0, error(nil)
	for ; err == nil && n < 100; n++ {
		_, err = s.Restore(part)
	}
	if n != 64 {
		t.Errorf("after %d parts of 1 MiB, Restore = %v, want an error after 64", n, err)
	}
}

// TestTranslationIsLinear: the work for many tools, and for what is nested deeply, does not
// grow faster than the request. Otherwise, this test takes many minutes.
func TestTranslationIsLinear(t *testing.T) {
	const n = 90_000
	var tools, allowed, found []string
	for i := range n / 3 {
		tools = append(tools, fmt.Sprintf(`{"type":"function","name":"f%d"}`, i))
		allowed = append(allowed, fmt.Sprintf(`{"type":"function","name":"f%d"}`, i))
		found = append(found, fmt.Sprintf(`{"type":"function","name":"g%d"}`, i))
	}
	body := `{"model":"m","input":[{"role":"user","content":"x"},{"type":"additional_tools","tools":` + list(found) + `}],"tools":` + list(tools) + `,"tool_choice":{"type":"allowed_tools","mode":"auto","tools":` + list(allowed) + `}}`
	got, err := TranslateRequest([]byte(body), Responses, Chat, Facts{})
	if err != nil || gjson.GetBytes(got.Body, "tools.#").Int() != n/3 {
		t.Errorf("%d tools are translated to %d, %v", n, gjson.GetBytes(got.Body, "tools.#").Int(), err)
	}
	deep := strings.Repeat(`[{"type":"document","source":{"type":"content","content":`, 2000) + `"` + strings.Repeat("x", 1<<20) + `"` + strings.Repeat("}}]", 2000)
	_, err = TranslateRequest([]byte(`{"model":"m","messages":[{"role":"user","content":`+deep+`}]}`), Messages, Chat, Facts{})
	if err == nil || !strings.Contains(err.Error(), "content[0].source.content[0]: "+unknownType) {
		t.Errorf("documents in documents: %v", err)
	}
}
