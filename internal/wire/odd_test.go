package wire

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

// The tests in this file translate requests that are put together from what real clients
// were seen to send (agents, editors, web applications, libraries, and the histories that
// they keep of compatible servers), and check the results by the rules by which OpenAI
// and Anthropic refuse requests. The rules are written here again, without the code of
// the translation.

// odd draws the parts of a request.
type odd struct {
	*rand.Rand
	calls int
}

func (o *odd) of(list ...string) string { return list[o.IntN(len(list))] }

// sometimes returns text in one of n cases.
func (o *odd) sometimes(n int, text string) string {
	if o.IntN(n) == 0 {
		return text
	}
	return ""
}

// words draws a text in JSON, which may be blank.
func (o *odd) words() string {
	return o.of(`"Fix the test."`, `"Wie spät ist es?"`, `" trailing "`, `""`, `"\n\n"`, `"a\u0000b"`, `"<system-reminder>\nx\n</system-reminder>"`, `"{\"a\":1}"`, `"\ud83d\ude00"`, `"x-anthropic-billing-header: cch=1;\nYou are Claude Code."`)
}

func (o *odd) said() string { return o.of(`"Go on."`, `"Read a.go, please."`, `"OK"`) }

func (o *odd) schema() string {
	return o.of(
		`{"type":"object","properties":{"path":{"type":"string","minLength":1}},"required":["path"],"additionalProperties":false,"$schema":"http://json-schema.org/draft-07/schema#"}`,
		`{}`, `{"type":"object"}`, `{"type":null,"properties":{}}`, `{"properties":{"a":{"type":["string","null"]}}}`,
		`{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"object","properties":{"b":{"type":"integer","exclusiveMinimum":0}}}}}`,
		`{"anyOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},{"type":"object","properties":{"b":{"type":"string"}},"required":["b"]}]}`,
		`{"type":"object","oneOf":[{"required":["a"]},{"required":["b"]}],"properties":{"a":{"type":"string"},"b":{"enum":["x",null]}}}`,
		`{"type":"object","properties":{"n":{"type":"number","minimum":0,"exclusiveMinimum":true},"r":{"type":"string","required":true}}}`,
		`{"type":"object","properties":{"x":{"type":"array","items":[{"type":"number"},{"type":"number"}]}}}`,
	)
}

func (o *odd) toolName() string {
	return o.of("read", "bash", "mcp__github__create_issue", "str_replace.editor", "a b", strings.Repeat("long_", 20)+o.of("x", "y"), "читать", "functions/read")
}

func (o *odd) arguments() string {
	return o.of(`"{\"path\":\"a.go\"}"`, `"{}"`, `""`, `"{\"path\":\"a"`, `{"path":"a.go"}`, `"null"`, `"\"{\\\"a\\\":1}\""`, `"not json"`, `"[]"`)
}

func (o *odd) callID() string {
	o.calls++
	return o.of("call_"+strconv.Itoa(o.calls), "toolu_"+strconv.Itoa(o.calls), "functions.read:"+strconv.Itoa(o.calls), strings.Repeat("i", 90)+strconv.Itoa(o.calls), "call_0", "", "read")
}

const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

// chatRequest draws a request of chat completions.
func (o *odd) chatRequest() string {
	var messages []string
	add := func(format string, a ...any) { messages = append(messages, fmt.Sprintf(format, a...)) }
	content := func() string {
		part := func() string {
			return o.of(`{"type":"text","text":`+o.said()+`}`, `{"type":"text","text":`+o.words()+o.sometimes(3, `,"cache_control":{"type":"ephemeral"}`)+`}`,
				`{"type":"image_url","image_url":{"url":"data:image/`+o.of("png", "jpg", "jpeg")+`;base64,`+pixel+`","detail":"high"}}`, `{"type":"image_url","image_url":"https://example.com/a.png"}`,
				`{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}`)
		}
		return o.of(o.said(), o.said(), o.words(), "["+part()+"]", "["+part()+","+part()+","+part()+"]")
	}
	if o.IntN(3) > 0 {
		add(`{"role":"%s","content":%s%s}`, o.of("system", "developer"), o.of(o.words(), o.said(), `null`, `[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}]`), o.sometimes(4, `,"name":"s"`))
	}
	functions := o.IntN(6) == 0
	for range o.IntN(4) {
		if o.IntN(6) > 0 {
			add(`{"role":"user","content":%s%s}`, content(), o.of("", "", `,"name":"ada"`, `,"id":"7","files":[]`))
		}
		var calls, results []string
		for range o.IntN(4) {
			name := o.toolName()
			if functions {
				add(`{"role":"assistant","content":%s,"function_call":{"name":%q,"arguments":%s}}`, o.of(`null`, `""`, o.said()), name, o.arguments())
				add(`{"role":"function","name":%q,"content":%s}`, name, o.words())
				continue
			}
			id := o.callID()
			calls = append(calls, fmt.Sprintf(`{"id":%q%s,"function":{"name":%q,"arguments":%s}%s}`, id, o.of("", `,"type":"function"`, `,"type":"function"`), name, o.arguments(), o.sometimes(4, `,"index":0`)))
			results = append(results, fmt.Sprintf(`{"role":"tool","tool_call_id":%q%s,"content":%s}`, id, o.sometimes(3, fmt.Sprintf(`,"name":%q`, name)),
				o.of(o.words(), o.said(), `null`, `[]`, `[{"type":"text","text":"ok"}]`, `[{"type":"image_url","image_url":{"url":"data:image/png;base64,`+pixel+`"}}]`)))
		}
		if len(calls) > 0 {
			add(`{"role":"assistant","content":%s,"tool_calls":[%s]%s}`, o.of(`null`, `""`, o.words(), o.said(), `[]`), strings.Join(calls, ","), o.of("", `,"reasoning_content":"Hm"`, `,"refusal":null,"annotations":[],"audio":null,"function_call":null`, `,"reasoning_details":[{"type":"reasoning.text","text":"x"}]`))
			messages = append(messages, results...)
		} else if o.IntN(2) == 0 {
			add(`{"role":"assistant","content":%s}`, o.of(o.words(), o.said(), `[{"type":"text","text":"Done. "}]`, `[{"type":"thinking","thinking":[{"type":"text","text":"x"}]},{"type":"text","text":"Yes"}]`))
		}
		if o.IntN(6) == 0 {
			add(`{"role":"system","content":%s}`, o.said())
		}
	}
	if o.IntN(4) > 0 || len(messages) == 0 {
		add(`{"role":"user","content":%s}`, o.of(o.said(), content()))
	}
	body := `{"model":"m","messages":[` + strings.Join(messages, ",") + `]`
	var tools []string
	for range o.IntN(4) {
		name, schema := o.toolName(), o.schema()
		tools = append(tools, o.of(
			fmt.Sprintf(`{"type":"function","function":{"name":%q,"description":"d","parameters":%s%s}}`, name, schema, o.of("", `,"strict":false`, `,"strict":true`, `,"strict":null`)),
			fmt.Sprintf(`{"type":"function","name":%q,"parameters":%s}`, name, schema), fmt.Sprintf(`{"name":%q,"input_schema":%s,"cache_control":{"type":"ephemeral"}}`, name, schema),
			fmt.Sprintf(`{"type":"custom","custom":{"name":%q,"format":{"type":"text"}}}`, name)))
	}
	switch {
	case functions:
		body += `,"functions":[{"name":"read","parameters":` + o.schema() + `}]` + o.of("", `,"function_call":"auto"`, `,"function_call":{"name":"read"}`, `,"function_call":"none"`)
	case len(tools) > 0:
		body += `,"tools":[` + strings.Join(tools, ",") + `]` + o.of("", `,"tool_choice":"auto"`, `,"tool_choice":"required"`, `,"tool_choice":"any"`, `,"tool_choice":"none"`, `,"parallel_tool_calls":false`, `,"parallel_tool_calls":true`)
	case o.IntN(3) == 0:
		body += `,"tools":[],"tool_choice":"auto","parallel_tool_calls":true`
	}
	return body + o.of("", `,"max_tokens":1`, `,"max_completion_tokens":64000`, `,"max_tokens":100,"max_completion_tokens":200`) +
		o.of("", `,"temperature":0`, `,"temperature":2,"top_p":1`, `,"temperature":null,"top_p":0.5`, `,"temperature":1,"top_p":0.1`) +
		o.of("", `,"stream":true,"stream_options":{"include_usage":true}`, `,"stream":false`) +
		o.of("", `,"response_format":{"type":"text"}`, `,"response_format":{"type":"json_object"}`, `,"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":`+o.schema()+`}}`) +
		o.of("", `,"reasoning_effort":"minimal"`, `,"reasoning_effort":"xhigh"`, `,"reasoning_effort":"none"`) +
		o.of("", `,"user":"`+strings.Repeat("u", 300)+`"`, `,"user":5`) +
		o.of("", `,"seed":1,"n":1,"logprobs":false,"frequency_penalty":0.5,"presence_penalty":0,"logit_bias":{}`, `,"metadata":{"chat_id":"1"},"store":true,"service_tier":"auto","prompt_cache_key":"k","safety_identifier":"s","verbosity":"low","prediction":{"type":"content","content":"x"}`) + `}`
}

// messagesRequest draws a request of messages.
func (o *odd) messagesRequest() string {
	var messages []string
	add := func(role string, blocks ...string) {
		messages = append(messages, `{"role":"`+role+`","content":[`+strings.Join(blocks, ",")+`]}`)
	}
	cache := func() string { return o.sometimes(4, `,"cache_control":{"type":"ephemeral","ttl":"1h"}`) }
	text := func() string { return `{"type":"text","text":` + o.of(o.said(), o.words()) + cache() + `}` }
	image := `{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"` + pixel + `"}}`
	document := func() string {
		return o.of(`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="},"title":"a.pdf","citations":{"enabled":true}}`,
			`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"},"context":null}`, `{"type":"search_result","source":"s","title":"t","content":[{"type":"text","text":"x"}]}`)
	}
	user := func() []string {
		return [][]string{{`{"type":"text","text":"Hi"}`}, {text(), `{"type":"text","text":"Go"}`}, {image, `{"type":"text","text":"Look"}`}, {document(), `{"type":"text","text":"Read"}`}}[o.IntN(4)]
	}
	add("user", user()...)
	for range o.IntN(4) {
		var calls, results []string
		for range o.IntN(4) {
			o.calls++
			id := o.of("toolu_", "call_") + strconv.Itoa(o.calls) + o.sometimes(5, strings.Repeat("x", 60))
			calls = append(calls, fmt.Sprintf(`{"type":"tool_use","id":%q,"name":%q,"input":%s%s}`, id, o.of("Read", "Bash", "mcp__a__b", strings.Repeat("n", 100)), o.of(`{}`, `{"a":1}`, `{"deep":{"x":[1,"é"]}}`), o.of("", cache(), `,"caller":{"type":"direct"}`)))
			results = append(results, fmt.Sprintf(`{"type":"tool_result","tool_use_id":%q%s%s}`, id, o.of("", `,"content":"ok"`, `,"content":""`, `,"content":[]`, `,"content":[{"type":"text","text":"ok"},`+image+`]`, `,"content":[`+document()+`]`, `,"content":[{"type":"tool_reference","tool_name":"Read"}]`), o.of("", `,"is_error":true`, `,"is_error":false`, cache())))
		}
		thinking := o.of("", `{"type":"thinking","thinking":"Hm","signature":"c2ln"}`, `{"type":"redacted_thinking","data":"x"}`, `{"type":"thinking","thinking":"","signature":"c2ln"}`)
		search := o.sometimes(4, `{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"q"}},{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"type":"web_search_result","url":"https://example.com","title":"T","encrypted_content":"e"}]}`)
		blocks := slices.DeleteFunc(append([]string{thinking, search, o.of("", text())}, calls...), func(s string) bool { return s == "" })
		if len(calls) == 0 {
			blocks = append(blocks, `{"type":"text","text":"Done."}`)
		}
		add("assistant", blocks...)
		if len(results) > 0 {
			o.Shuffle(len(results), func(i, j int) { results[i], results[j] = results[j], results[i] })
			add("user", append(results, o.of("", text()))[:len(results)+o.IntN(2)]...)
			if strings.HasSuffix(messages[len(messages)-1], ",]}") {
				messages[len(messages)-1] = strings.TrimSuffix(messages[len(messages)-1], ",]}") + "]}"
			}
		} else {
			add("user", user()...)
		}
	}
	if last := messages[len(messages)-1]; strings.HasPrefix(last, `{"role":"assistant"`) {
		add("user", user()...)
	}
	body := `{"model":"m","max_tokens":` + o.of("1", "1024", "64000") + `,"messages":[` + strings.Join(messages, ",") + `]`
	body += o.of("", `,"system":"Be brief."`, `,"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2;"},{"type":"text","text":"You are Claude Code.","cache_control":{"type":"ephemeral"}}]`, `,"system":[]`)
	if o.IntN(2) == 0 {
		body += `,"tools":[{"name":"Read","description":"d","input_schema":` + o.schema() + o.of("", `,"strict":true`, `,"defer_loading":true,"eager_input_streaming":true`, `,"type":"custom"`, cache()) + `},{"name":"` + strings.Repeat("n", 100) + `","input_schema":` + o.schema() + `}` +
			o.sometimes(3, `,{"type":"web_search_20250305","name":"web_search","max_uses":5}`) + `]` + o.of("", `,"tool_choice":{"type":"auto"}`, `,"tool_choice":{"type":"any","disable_parallel_tool_use":true}`, `,"tool_choice":{"type":"tool","name":"Read"}`, `,"tool_choice":{"type":"none"}`)
	}
	return body + o.of("", `,"temperature":1`, `,"temperature":0,"top_k":5`, `,"top_p":0.9`) + o.of("", `,"stream":true`) +
		o.of("", `,"thinking":{"type":"adaptive","display":"summarized"}`, `,"thinking":{"type":"enabled","budget_tokens":1024}`, `,"thinking":{"type":"disabled"}`) +
		o.of("", `,"output_config":{"effort":"max"}`, `,"output_config":{"format":{"type":"json_schema","schema":`+o.schema()+`}}`, `,"output_format":{"type":"json_schema","schema":{"type":"object","properties":{},"additionalProperties":false}}`) +
		o.of("", `,"metadata":{"user_id":"user_`+strings.Repeat("0", 120)+`"}`, `,"metadata":{"user_id":null}`) +
		o.of("", `,"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]},"betas":["x"],"speed":"fast","service_tier":"auto","cache_control":{"type":"ephemeral"}`) + o.of("", `,"stop_sequences":[]`) + `}`
}

// responsesRequest draws a request of responses.
func (o *odd) responsesRequest() string {
	var items, late []string
	add := func(format string, a ...any) { items = append(items, fmt.Sprintf(format, a...)) }
	part := func() string {
		return o.of(`{"type":"input_text","text":`+o.said()+`}`, `{"type":"input_text","text":`+o.words()+`}`, `{"type":"input_image","image_url":"data:image/png;base64,`+pixel+`","detail":"auto"}`,
			`{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}`)
	}
	message := func() {
		add(`{%s"role":"%s","content":%s}`, o.of("", `"type":"message",`), o.of("user", "user", "developer"), o.of(o.said(), `[{"type":"input_text","text":`+o.said()+`}]`))
		if o.IntN(3) == 0 {
			add(`{"type":"message","role":"user","content":[%s,%s]}`, part(), part())
		}
	}
	message()
	for range o.IntN(4) {
		if o.IntN(2) == 0 {
			add(`{"type":"reasoning","id":"rs_1","summary":%s,"encrypted_content":%s,"content":null}`, o.of(`[]`, `[{"type":"summary_text","text":"Hm"}]`), o.of(`null`, `"gAAAA"`))
		}
		if o.IntN(3) == 0 {
			add(`{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":%s,"annotations":[],"logprobs":[]}],"phase":"commentary"}`, o.of(o.said(), o.words()))
		}
		for range o.IntN(4) {
			o.calls++
			id := "call_" + strconv.Itoa(o.calls) + o.sometimes(4, strings.Repeat("z", 50))
			output := o.of(o.said(), o.words(), `[{"type":"input_text","text":"ok"}]`, `[`+part()+`]`, `""`)
			kind := "function_call"
			switch o.IntN(5) {
			case 0:
				kind = "custom_tool_call"
				add(`{"type":"custom_tool_call","id":"ctc_1","status":"completed","call_id":%q,"name":"apply_patch","input":"*** Begin Patch"}`, id)
			default:
				add(`{"type":"function_call","id":"fc_1","call_id":%q,"name":%q,"arguments":%s%s}`, id, o.of("shell", "update_plan", "a.b"), o.arguments(), o.sometimes(5, `,"namespace":"mcp__x__"`))
			}
			result := fmt.Sprintf(`{"type":"%s_output","call_id":%q,"output":%s}`, kind, id, output)
			if o.IntN(2) == 0 {
				late = append(late, result)
			} else {
				items = append(items, result)
			}
		}
		if o.IntN(4) == 0 {
			message()
		}
		o.Shuffle(len(late), func(i, j int) { late[i], late[j] = late[j], late[i] })
		items, late = append(items, late...), nil
	}
	if o.IntN(3) == 0 {
		message()
	}
	body := `{"model":"m","input":[` + strings.Join(items, ",") + `]` + o.of("", `,"instructions":"You are Codex."`, `,"instructions":null`, `,"instructions":""`)
	if o.IntN(2) == 0 {
		body += `,"tools":[{"type":"function","name":"shell","description":"d","strict":` + o.of("false", "true", "null") + `,"parameters":` + o.schema() + `},{"type":"custom","name":"apply_patch","description":"d","format":{"type":"grammar","syntax":"lark","definition":"start: x"}}` +
			o.of("", `,{"type":"web_search","external_web_access":true}`, `,{"type":"namespace","name":"mcp__x__","description":"d","tools":[{"type":"function","name":"a.b","parameters":`+o.schema()+`}]}`, `,{"type":"tool_search","execution":"client","description":"d","parameters":{"type":"object","properties":{}}}`, `,{"type":"image_generation"}`) +
			`]` + o.of("", `,"tool_choice":"auto"`, `,"tool_choice":"required"`, `,"tool_choice":{"type":"function","name":"shell"}`) + o.of("", `,"parallel_tool_calls":true`, `,"parallel_tool_calls":false`)
	}
	return body + o.of("", `,"max_output_tokens":1`, `,"max_output_tokens":64000`) + o.of("", `,"temperature":0.2`, `,"temperature":2`) +
		o.of("", `,"reasoning":{"effort":"high","summary":"auto"}`, `,"reasoning":null`, `,"reasoning":{"effort":null,"generate_summary":"auto"}`) +
		o.of("", `,"text":{"verbosity":"low"}`, `,"text":{"format":{"type":"json_schema","name":"a","strict":true,"schema":`+o.schema()+`}}`, `,"text":{"format":{"type":"text"}}`) +
		o.of("", `,"store":false,"stream":true,"include":["reasoning.encrypted_content"],"prompt_cache_key":"k","client_metadata":{"a":"b"},"truncation":"auto","max_tool_calls":5,"service_tier":"priority","safety_identifier":"s","metadata":{"a":"b"},"user":"u","background":false,"previous_response_id":null`) + `}`
}

// rules are those of one API, which a request breaks.
type rules struct {
	foreign bool // the server is not OpenAI's
	broken  []string
}

func (r *rules) want(ok bool, format string, a ...any) {
	if !ok {
		r.broken = append(r.broken, fmt.Sprintf(format, a...))
	}
}

func (r *rules) members(v gjson.Result, where string, allowed ...string) {
	v.ForEach(func(key, _ gjson.Result) bool {
		r.want(slices.Contains(allowed, key.Str), "%s: unknown member %s", where, key.Str)
		return true
	})
}

var (
	plainName = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
	mediaType = regexp.MustCompile(`^image/(png|jpeg|gif|webp)$`)
)

// schema checks the schema of a tool's parameters.
func (r *rules) schema(v gjson.Result) {
	r.want(v.Get("type").Str == "object", "a schema of tools has the type %s", v.Get("type").Raw)
	for _, key := range []string{"anyOf", "oneOf", "allOf"} {
		r.want(!v.Get(key).Exists(), "a schema of tools has %s at its top", key)
	}
}

// draft checks that a schema is one of draft 2020-12.
func (r *rules) draft(v gjson.Result) {
	v.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "items":
			r.want(!value.IsArray(), "items is a list")
		case "exclusiveMinimum", "exclusiveMaximum":
			r.want(!value.IsBool(), "%s is %s", key.Str, value.Raw)
		case "required":
			r.want(!value.IsBool(), "required is %s", value.Raw)
		}
		if value.IsObject() || value.IsArray() {
			r.draft(value)
		}
		return true
	})
}

func (r *rules) messages(v gjson.Result) {
	r.members(v, "request", "model", "max_tokens", "messages", "system", "tools", "tool_choice", "temperature", "top_p", "stop_sequences", "metadata", "thinking", "output_config", "stream")
	r.want(v.Get("max_tokens").Int() > 0, "max_tokens")
	r.want(v.Get("temperature").Num <= 1, "temperature")
	r.want(len(v.Get("metadata.user_id").Str) <= 256, "metadata.user_id")
	r.want(strings.Count(v.Raw, `"cache_control"`) <= 4, "more than 4 blocks with cache_control")
	var blocks func(content gjson.Result, where string, allowed ...string)
	blocks = func(content gjson.Result, where string, allowed ...string) {
		if content.Type == gjson.String {
			r.want(strings.TrimSpace(content.Str) != "", "%s: blank text", where)
			return
		}
		r.want(content.IsArray() && content.Get("0").Exists(), "%s: content %s", where, content.Raw)
		elements(content, func(b gjson.Result) {
			kind := b.Get("type").Str
			r.want(slices.Contains(allowed, kind), "%s: block %s", where, kind)
			switch kind {
			case "text":
				r.want(strings.TrimSpace(b.Get("text").Str) != "", "%s: blank text", where)
			case "image":
				r.want(b.Get("source.url").Exists() || mediaType.MatchString(b.Get("source.media_type").Str), "%s: image %s", where, b.Raw)
				r.want(b.Get("source.data").Str != pixel || b.Get("source.media_type").Str == "image/png", "%s: the type is not that of the data", where)
			case "tool_result":
				if b.Get("content").Exists() {
					blocks(b.Get("content"), where+" result", "text", "image", "document")
				}
			}
		})
	}
	if v.Get("system").Exists() {
		blocks(v.Get("system"), "system", "text")
	}
	r.want(v.Get("messages.0.role").Str == "user", "the first role is %s", v.Get("messages.0.role").Str)
	ids, open, role := map[string]bool{}, []string(nil), ""
	elements(v.Get("messages"), func(m gjson.Result) {
		r.members(m, "message", "role", "content")
		r.want(m.Get("role").Str != role, "two turns of %s", role)
		role = m.Get("role").Str
		blocks(m.Get("content"), role, map[string][]string{"user": {"text", "image", "document", "tool_result"}, "assistant": {"text", "tool_use"}}[role]...)
		answered, others := []string{}, false
		elements(m.Get("content"), func(b gjson.Result) {
			switch id := b.Get("id").Str; b.Get("type").Str {
			case "tool_use":
				r.want(plainName.MatchString(id) && !ids[id], "id %q", id)
				r.want(plainName.MatchString(b.Get("name").Str) && len(b.Get("name").Str) <= 128 && b.Get("input").IsObject(), "call %s", b.Raw)
				ids[id] = true
			case "tool_result":
				r.want(!others, "a result after other blocks")
				answered = append(answered, b.Get("tool_use_id").Str)
			default:
				others = true
			}
		})
		if role == "user" {
			slices.Sort(open)
			slices.Sort(answered)
			r.want(slices.Equal(open, answered), "calls %q have the results %q", open, answered)
			open = nil
		}
		elements(m.Get("content"), func(b gjson.Result) {
			if b.Get("type").Str == "tool_use" {
				open = append(open, b.Get("id").Str)
			}
		})
	})
	names := map[string]bool{}
	elements(v.Get("tools"), func(t gjson.Result) {
		r.members(t, "tool", "name", "description", "input_schema", "strict", "cache_control")
		r.want(!names[t.Get("name").Str] && plainName.MatchString(t.Get("name").Str) && len(t.Get("name").Str) <= 128, "tool %q", t.Get("name").Str)
		names[t.Get("name").Str] = true
		r.schema(t.Get("input_schema"))
		r.draft(t.Get("input_schema"))
	})
	r.want(!v.Get("tool_choice").Exists() || len(names) > 0, "tool_choice without tools")
}

func (r *rules) chat(v gjson.Result) {
	role := ""
	elements(v.Get("messages"), func(m gjson.Result) { // other servers than OpenAI's
		r.want(!r.foreign || m.Get("role").Str != role || role == "tool" || role == "assistant", "two messages of %s", role)
		r.want(!r.foreign || m.Get("role").Str != "system" || role == "", "a system prompt after %s", role)
		if role = m.Get("role").Str; r.foreign && m.Get("content").IsArray() {
			r.want(strings.Contains(m.Get("content").Raw, `"image_url"`) || strings.Contains(m.Get("content").Raw, `"file"`), "a list of texts")
		}
	})
	r.members(v, "request", "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "max_completion_tokens", "temperature", "top_p", "stop", "reasoning_effort", "response_format",
		"verbosity", "user", "stream", "stream_options", "metadata", "service_tier", "prompt_cache_key", "safety_identifier")
	r.want(v.Get("messages.0").Exists(), "no messages")
	r.want(len(v.Get("user").Str) <= 64, "user")
	var open []string
	elements(v.Get("messages"), func(m gjson.Result) {
		role, content := m.Get("role").Str, m.Get("content")
		r.members(m, "message", "role", "content", "tool_calls", "tool_call_id")
		r.want(len(open) == 0 || role == "tool", "calls %q without results", open)
		calls := m.Get("tool_calls")
		r.want(content.Type == gjson.String || content.IsArray() && content.Get("0").Exists() || role == "assistant" && calls.Get("0").Exists(), "%s: content %s", role, content.Raw)
		elements(content, func(p gjson.Result) {
			kind := p.Get("type").Str
			r.want(kind == "text" || role == "user" && (kind == "image_url" || kind == "file"), "%s: part %s", role, kind)
		})
		switch role {
		case "tool":
			at := slices.Index(open, m.Get("tool_call_id").Str)
			r.want(at >= 0, "a result of no call: %q", m.Get("tool_call_id").Str)
			if at >= 0 {
				open = slices.Delete(open, at, at+1)
			}
		case "assistant":
			elements(calls, func(c gjson.Result) {
				r.want(c.Get("id").Str != "" && len(c.Get("id").Str) <= 40 && c.Get("type").Str == "function" && c.Get("function.arguments").Type == gjson.String, "call %s", c.Raw)
				r.want(plainName.MatchString(c.Get("function.name").Str) && len(c.Get("function.name").Str) <= 64, "name %s", c.Get("function.name").Str)
				open = append(open, c.Get("id").Str)
			})
		case "system", "user":
		default:
			r.want(false, "role %s", role)
		}
	})
	elements(v.Get("tools"), func(t gjson.Result) {
		r.members(t, "tool", "type", "function")
		r.want(len(t.Get("function.name").Str) <= 64 && plainName.MatchString(t.Get("function.name").Str), "tool %s", t.Get("function.name").Str)
		r.schema(t.Get("function.parameters"))
	})
	r.want(!v.Get("tool_choice").Exists() || v.Get("tools.0").Exists(), "tool_choice without tools")
}

func (r *rules) responses(v gjson.Result) {
	r.members(v, "request", "model", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens", "temperature", "top_p", "reasoning", "text", "user", "store", "stream",
		"metadata", "service_tier", "prompt_cache_key", "safety_identifier")
	r.want(v.Get("input.0").Exists(), "no input")
	r.want(len(v.Get("user").Str) <= 64, "user")
	r.want(!v.Get("max_output_tokens").Exists() || v.Get("max_output_tokens").Int() >= 16, "max_output_tokens")
	open := map[string]int{}
	elements(v.Get("input"), func(item gjson.Result) {
		id := item.Get("call_id").Str
		switch kind := item.Get("type").Str; kind {
		case "function_call":
			r.want(id != "" && len(id) <= 64 && open[id] == 0 && plainName.MatchString(item.Get("name").Str) && len(item.Get("name").Str) <= 64 && item.Get("arguments").Type == gjson.String, "call %s", item.Raw)
			open[id] = 1
		case "function_call_output":
			r.want(open[id] == 1, "the result of %q", id)
			open[id] = 2
		default:
			r.want(kind == "" && item.Get("role").Exists(), "item %s", kind)
			content := item.Get("content")
			r.want(content.Type == gjson.String || content.Get("0").Exists(), "content %s", item.Raw)
			elements(content, func(p gjson.Result) { r.want(strings.HasPrefix(p.Get("type").Str, "input_"), "part %s", p.Raw) })
		}
	})
	for id, state := range open {
		r.want(state == 2, "the call %q has no result", id)
	}
	elements(v.Get("tools"), func(t gjson.Result) {
		r.members(t, "tool", "type", "name", "description", "parameters", "strict")
		r.want(t.Get("strict").IsBool() && plainName.MatchString(t.Get("name").Str), "tool %s", t.Raw)
		r.schema(t.Get("parameters"))
	})
	r.want(!v.Get("tool_choice").Exists() || v.Get("tools.0").Exists(), "tool_choice without tools")
}

// Requests that real clients send can be sent to providers of other APIs, in a form that
// these accept.
func TestOddRequests(t *testing.T) {
	const each = 300
	draw := map[API]func(*odd) string{Chat: (*odd).chatRequest, Messages: (*odd).messagesRequest, Responses: (*odd).responsesRequest}
	check := map[API]func(*rules, gjson.Result){Chat: (*rules).chat, Messages: (*rules).messages, Responses: (*rules).responses}
	for from := range draw {
		refused := 0
		for seed := range uint64(each) {
			body := []byte(draw[from](&odd{Rand: rand.New(rand.NewPCG(seed, 1))}))
			if !gjson.ValidBytes(body) {
				t.Fatalf("the test made no JSON: %s", body)
			}
			if _, err := ParseRequest(from, body); err != nil {
				t.Fatalf("%s %d: %v: %s", from, seed, err, body)
			}
			for to := range draw {
				if to == from {
					continue
				}
				facts := Facts{NoPrefill: true, Foreign: seed%2 == 1}
				got, err := TranslateRequest(body, from, to, facts)
				if u, ok := errors.AsType[*Untranslatable](err); ok && (strings.Contains(u.Reason, "Anthropic wants a message besides") || u.Reason == nothing) {
					refused++ // all texts are blank
					continue
				}
				if err != nil {
					t.Errorf("%s %d: %v\n%s", from, seed, err, body)
					continue
				}
				r := rules{foreign: facts.Foreign}
				if check[to](&r, gjson.ParseBytes(got.Body)); len(r.broken) > 0 {
					t.Errorf("%s %d to %s: %s\nfrom %s\nto   %s", from, seed, to, strings.Join(r.broken, "; "), body, got.Body)
				}
			}
		}
		if refused > each/10 {
			t.Errorf("%s: %d of %d requests have nothing to send", from, refused, each)
		}
	}
}
