package wire

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestEdit(t *testing.T) {
	for _, test := range []struct {
		name, body string
		edits      Edits
		want       string
	}{
		{"nothing to change", `{"model":"a"}`, Edits{}, `{"model":"a"}`},
		{"only the model changes", "{ \"x\" : [1 , 2],\n \"model\":\t\"auto\" ,\"messages\":[] }", Edits{Model: "gpt-4o"},
			"{ \"x\" : [1 , 2],\n \"model\":\t\"gpt-4o\" ,\"messages\":[] }"},
		{"a model with characters to escape", `{"model":"a"}`, Edits{Model: `m"é` + "\n"}, `{"model":"m\"é\n"}`},
		{"no model yet", `{"a":1}`, Edits{Model: "m"}, `{"model":"m","a":1}`},
		{"an empty object", `{}`, Edits{Model: "m"}, `{"model":"m"}`},
		{"no stream options yet", `{"model":"a","stream":true}`, Edits{AskUsage: true}, `{"stream_options":{"include_usage":true},"model":"a","stream":true}`},
		{"other stream options", `{"stream_options":{"include_obfuscation":false}}`, Edits{AskUsage: true},
			`{"stream_options":{"include_usage":true,"include_obfuscation":false}}`},
		{"usage was switched off", `{"stream_options":{"include_usage":false}}`, Edits{AskUsage: true}, `{"stream_options":{"include_usage":true}}`},
		{"empty stream options", `{"stream_options":{}}`, Edits{AskUsage: true}, `{"stream_options":{"include_usage":true}}`},
		{"stream options of null", `{"stream_options":null}`, Edits{AskUsage: true}, `{"stream_options":{"include_usage":true}}`},
		{"own metadata among others", `{"metadata":{"carrot_session":"s","user":"u","carrot_models":"a"},"n":1}`, Edits{OwnMetadata: true}, `{"metadata":{"user":"u"},"n":1}`},
		{"own metadata first and others last", `{"metadata":{"carrot_session":"s", "carrot_models":"a", "user":"u"}}`, Edits{OwnMetadata: true}, `{"metadata":{"user":"u"}}`},
		{"own metadata alone", `{"a":1,"metadata":{"carrot_session":"s"},"b":2}`, Edits{OwnMetadata: true}, `{"a":1,"b":2}`},
		{"own metadata alone, in the last member", `{"a":1, "metadata":{"carrot_session":"s"} }`, Edits{OwnMetadata: true}, `{"a":1 }`},
		{"empty metadata stays", `{"metadata":{}}`, Edits{OwnMetadata: true}, `{"metadata":{}}`},
		{"a setting replaces", `{"temperature":1}`, Edits{Settings: []Setting{{"temperature", "0"}}}, `{"temperature":0}`},
		{"an object is merged", `{"reasoning":{"summary":"auto"}}`, Edits{Settings: []Setting{SettingFor(Responses, "reasoning_effort", `"high"`)}},
			`{"reasoning":{"effort":"high","summary":"auto"}}`},
		{"several members are added to an empty object", `{"o":{}}`, Edits{Settings: []Setting{{"o", `{"a":1,"b":2}`}}}, `{"o":{"a":1,"b":2}}`},
		{"a setting replaces own metadata", `{"metadata":{"carrot_session":"s"}}`, Edits{OwnMetadata: true, Settings: []Setting{{"metadata", `{"team":"x"}`}}},
			`{"metadata":{"team":"x"}}`},
		{"a setting of null removes", `{"a":1, "temperature":1,"b":2}`, Edits{Settings: []Setting{{"temperature", "null"}}}, `{"a":1, "b":2}`},
		{"null for a missing member", `{"a":1}`, Edits{Settings: []Setting{{"temperature", "null"}, {"o", `{"b":null}`}}}, `{"a":1}`},
		{"null within an object, beside other members", `{"o":{"a":1,"b":2}}`, Edits{Settings: []Setting{{"o", `{"c":3,"b":null}`}}}, `{"o":{"c":3,"a":1}}`},
		{"null for the only member of an object", `{"reasoning":{"effort":"low"}}`, Edits{Settings: []Setting{SettingFor(Responses, "reasoning_effort", "null")}}, `{"reasoning":{}}`},
		{"no object is added for nulls", `{"a":1}`, Edits{Settings: []Setting{SettingFor(Messages, "reasoning_effort", "null")}}, `{"a":1}`},
		{"an empty object is added", `{"a":1}`, Edits{Settings: []Setting{{"o", `{}`}}}, `{"o":{},"a":1}`},
		{"a token limit keeps its name", `{"max_completion_tokens":900}`, Edits{MaxTokens: 500, MaxTokensKey: "max_tokens"}, `{"max_completion_tokens":500}`},
		{"a token limit is added", `{"a":1}`, Edits{MaxTokens: 500, MaxTokensKey: "max_tokens"}, `{"max_tokens":500,"a":1}`},
		{"a key with escapes", `{"mod\u0065l":"a"}`, Edits{Model: "m"}, `{"mod\u0065l":"m"}`},
		{"of two limits under one name the lower one stays", `{"max_tokens":5, "n":1,"max_completion_tokens":9}`, Edits{RenameLimit: "max_completion_tokens"}, `{"max_completion_tokens":5, "n":1}`},
		{"of two limits under one name the lower one stays, in place", `{"max_completion_tokens":5,"max_tokens":9 }`, Edits{RenameLimit: "max_completion_tokens"}, `{"max_completion_tokens":5 }`},
		{"of two limits that a setting lowers one stays", `{"max_tokens":50,"max_completion_tokens":90}`, Edits{RenameLimit: "max_completion_tokens", MaxTokens: 7}, `{"max_completion_tokens":7}`},
		{"a limit with escapes gets another name", `{"max_tok\u0065ns":5}`, Edits{RenameLimit: "max_completion_tokens"}, `{"max_completion_tokens":5}`},
		{"braces in strings", `{"s":"}{\"","model":"a"}`, Edits{Model: "m"}, `{"s":"}{\"","model":"m"}`},
		{"space before the object", " \n{\"model\":\"a\"}", Edits{Model: "m", AskUsage: true}, " \n{\"stream_options\":{\"include_usage\":true},\"model\":\"m\"}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(Edit([]byte(test.body), test.edits)); got != test.want {
				t.Errorf("Edit(%s)\n got %s\nwant %s", test.body, got, test.want)
			}
		})
	}
}

// FuzzEdit: Edit changes no byte except the model, and the result is valid JSON
// with that model.
func FuzzEdit(f *testing.F) {
	for _, seed := range []string{`{"model":"auto","messages":[{"role":"user","content":"hi"}]}`, `{ "a" : {"model":"x"} , "model":"y"}`,
		`{"metadata":{"carrot_x":"1","b":"2"},"stream_options":{"include_usage":false,"z":1}}`, `{}`, ` {"\u006dodel":1,"":{}}`} {
		f.Add([]byte(seed), "gpt-4o")
	}
	f.Fuzz(func(t *testing.T, body []byte, model string) {
		var before map[string]json.RawMessage
		if json.Unmarshal(body, &before) != nil || before == nil || model == "" {
			return
		}
		if _, err := ParseRequest(Chat, body); err != nil {
			return // ParseRequest refuses repeated keys
		}
		out := Edit(body, Edits{Model: model})
		at := strings.Index(string(out), quote(model))
		if at < 0 {
			t.Fatalf("Edit(%q) = %q does not contain the model %q", body, out, model)
		}
		var got struct{ Model string }
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("Edit(%q) = %q: %v", body, out, err)
		}
		// The bytes before and after the value must be unchanged.
		old := before["model"]
		for _, where := range indices(string(body), string(old)) {
			if string(body[:where])+quote(model)+string(body[where+len(old):]) == string(out) {
				all := Edit(body, Edits{Model: model, AskUsage: true, OwnMetadata: true, Settings: []Setting{{"temperature", "0"}, {"o", `{"a":1,"b":null}`}, {"n", "null"}}})
				if !json.Valid(all) {
					t.Fatalf("Edit(%q) with all edits = %q, which is not JSON", body, all)
				}
				return
			}
		}
		t.Fatalf("Edit(%q) = %q changed more than the model", body, out)
	})
}

// indices returns the offsets at which part occurs in s.
func indices(s, part string) []int {
	var out []int
	for at := 0; ; at++ {
		next := strings.Index(s[at:], part)
		if next < 0 {
			return out
		}
		at += next
		out = append(out, at)
	}
}

// FuzzValid: valid agrees with encoding/json.
func FuzzValid(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e+3,"\u00e9\n",true,false,null]}`, " [] ", "", "01", "-", "1.", "1e", "\"\x00\"", "\"\xff\"", "tru", "{}}", "{,}", `{"a"}`, "[1,]", "\ufeff1", `"\ud800"`, `"\x"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, want := valid(data), json.Valid(data); got != want {
			t.Errorf("valid(%q) is %v, encoding/json says %v", data, got, want)
		}
	})
}

// TestValidDepth: deep nesting is not valid, but a long list is.
func TestValidDepth(t *testing.T) {
	for depth, want := range map[int]bool{9_999: true, 10_001: false, 1 << 24: false} {
		if got := valid([]byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))); got != want {
			t.Errorf("valid at a depth of %d = %v", depth, got)
		}
	}
	if !valid([]byte("[" + strings.Repeat("{},", 100_000) + "{}]")) {
		t.Error("a long list is not valid")
	}
}
