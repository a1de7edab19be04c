package wire

import (
	"github.com/tidwall/gjson"
)

// chatFields holds the readers of chat completions.
var chatFields = map[string]fieldReader{
	"messages": func(p *prompt, v gjson.Result) error { return each(v, "messages", p.chatMessage) },
	"tools":    func(p *prompt, v gjson.Result) error { return each(v, "tools", p.chatTool) },
	"tool_choice": func(p *prompt, v gjson.Result) error {
		return p.openAIChoice(v, v.Get("function.name"))
	},
	"parallel_tool_calls":   readParallel,
	"max_tokens":            readMaxTokens,
	"max_completion_tokens": readMaxTokens,
	"user":                  readUser,
	"reasoning_effort":      func(p *prompt, v gjson.Result) error { return p.openAIEffort(v, "reasoning_effort") },
	"verbosity":             func(p *prompt, v gjson.Result) error { return p.openAIVerbosity(v, "verbosity") },
	"response_format": func(p *prompt, v gjson.Result) error {
		return p.openAIFormat(v, v.Get("json_schema"), "response_format")
	},
	"store": func(p *prompt, v gjson.Result) error {
		if p.store = v.Bool(); p.store && p.to == Messages {
			return refuse("store", notStored)
		}
		return boolean(v, "store")
	},
	"stop": func(p *prompt, v gjson.Result) error {
		if v.Type == gjson.String {
			p.stop = []string{v.Raw}
			return nil
		}
		return p.stops(v, "stop")
	},
}

// stops reads the stop sequences.
func (p *prompt) stops(v gjson.Result, field string) error {
	return each(v, field, func(field string, v gjson.Result) error {
		text, err := textOf(v, field)
		p.stop = append(p.stop, text)
		return err
	})
}

func readParallel(p *prompt, v gjson.Result) error {
	p.oneCall = !v.Bool()
	return boolean(v, "parallel_tool_calls")
}

func readMaxTokens(p *prompt, v gjson.Result) error {
	if p.maxTokens != "" && p.maxTokens != v.Raw {
		return refuse("max_tokens", "max_completion_tokens has a different value")
	}
	p.maxTokens = v.Raw
	return number(v, "max_tokens")
}

func readUser(p *prompt, v gjson.Result) (err error) {
	p.user, err = textOf(v, "user")
	return err
}

// notStored is the reason why a request to store the answer cannot be translated.
const notStored = "the answer would not be stored"

// openAIVerbosity reads the verbosity in the form of chat and responses. The
// default is medium.
func (p *prompt) openAIVerbosity(v gjson.Result, field string) (err error) {
	p.verbosity, err = textOf(v, field)
	if err == nil && p.to == Messages && v.Str != "medium" {
		return refuse(field, "the other API has no setting for the length of answers")
	}
	return err
}

// openAIEffort reads the reasoning effort in the form of chat and responses.
func (p *prompt) openAIEffort(v gjson.Result, field string) error {
	p.effort = v.Str
	_, err := textOf(v, field)
	return err
}

// openAIChoice reads the choice of tools in the form of chat and responses. name
// is the value of the tool's name, whose place depends on the API.
func (p *prompt) openAIChoice(v, name gjson.Result) error {
	switch {
	case v.Type == gjson.String && (v.Str == "auto" || v.Str == "none" || v.Str == "required"):
		p.choice.kind = v.Str
		return nil
	case v.Get("type").Str != "function":
		return refuse("tool_choice", "only auto, none, required and a single function can be translated")
	}
	p.choice.kind = "tool"
	var err error
	p.choice.name, err = textOf(name, "tool_choice.name")
	return err
}

// openAIFormat reads the format of the answer. schema is the object that contains
// the schema and its description, whose place depends on the API.
func (p *prompt) openAIFormat(v, schema gjson.Result, field string) error {
	switch v.Get("type").Str {
	case "text":
	case "json_object":
		p.format = &format{}
	case "json_schema":
		p.format = &format{schema: rawOf(schema.Get("schema")), name: rawOf(schema.Get("name")),
			description: rawOf(schema.Get("description")), strict: rawOf(schema.Get("strict"))}
		if !schema.Get("schema").IsObject() {
			return refuse(field, "the schema is missing")
		}
	default:
		return refuse(field, "only text, json_object and json_schema can be translated")
	}
	return nil
}

// chatTool reads a tool.
func (p *prompt) chatTool(field string, v gjson.Result) error {
	if v.Get("type").Str != "function" {
		return refuse(field, "only functions can be translated")
	}
	t, err := newTool(v.Get("function"), "parameters", field+".function")
	p.tools = append(p.tools, t)
	return err
}

// chatMessage reads a message. It omits reasoning, which only the model that wrote
// it can use. The name in a tool's message repeats that of the call. The name in
// any other message tells the model who is speaking, so it is refused.
func (p *prompt) chatMessage(field string, v gjson.Result) error {
	t := turn{role: v.Get("role").Str}
	content := v.Get("content")
	var err error
	switch t.role {
	case "developer", "system":
		t.developer = t.role == "developer"
		t.role = "system"
		t.parts, err = chatContent(content, field+".content", false)
	case "user":
		t.parts, err = chatContent(content, field+".content", true)
	case "assistant":
		err = t.chatAssistant(v, field)
	case "tool":
		t.role = "user"
		result := part{kind: resultPart, id: v.Get("tool_call_id").Str}
		result.result, err = chatContent(content, field+".content", false)
		t.parts = []part{result}
	default:
		return refuse(field+".role", unknownRole)
	}
	if err == nil && given(v.Get("name")) && v.Get("role").Str != "tool" {
		return refuse(field+".name", "the other API cannot name the speaker")
	}
	p.turns = append(p.turns, t)
	return err
}

// chatAssistant reads an earlier answer of the model.
func (t *turn) chatAssistant(v gjson.Result, field string) error {
	for _, key := range []string{"audio", "function_call"} {
		if given(v.Get(key)) {
			return refuse(field+"."+key, noField)
		}
	}
	if content := v.Get("content"); given(content) {
		var err error
		if t.parts, err = chatContent(content, field+".content", false); err != nil {
			return err
		}
	}
	if r := v.Get("refusal"); r.Type == gjson.String {
		t.parts = append(t.parts, part{text: r.Raw})
	}
	calls := v.Get("tool_calls")
	if !given(calls) {
		return nil
	}
	return each(calls, field+".tool_calls", func(field string, call gjson.Result) error {
		function := call.Get("function")
		if kind := call.Get("type").Str; kind != "function" && kind != "" || !function.IsObject() {
			return refuse(field, "only function calls can be translated")
		}
		name, err := textOf(function.Get("name"), field+".function.name")
		t.parts = append(t.parts, part{kind: callPart, id: call.Get("id").Str, name: name, input: function.Get("arguments").Str})
		return err
	})
}

// chatContent reads a content, which is a string or a list of parts.
func chatContent(v gjson.Result, field string, images bool) ([]part, error) {
	if v.Type == gjson.String {
		return []part{{text: v.Raw}}, nil
	}
	var parts []part
	err := each(v, field, func(field string, v gjson.Result) error {
		var next part
		var err error
		switch kind := v.Get("type").Str; {
		case kind == "text":
			next.text, err = textOf(v.Get("text"), field+".text")
		case kind == "refusal":
			next.text, err = textOf(v.Get("refusal"), field+".refusal")
		case kind == "image_url" && images:
			next, err = image(v.Get("image_url.url"), field+".image_url.url")
			next.detail = rawOf(v.Get("image_url.detail"))
		default:
			return refuse(field, unknownType)
		}
		parts = append(parts, next)
		return err
	})
	return parts, err
}

// writeChat writes the prompt for chat completions.
func (p *prompt) writeChat() ([]byte, error) {
	var messages []string
	for i := range p.turns {
		next, err := p.turns[i].chat()
		if err != nil {
			return nil, err
		}
		messages = append(messages, next...)
	}
	if len(p.stop) > 4 {
		return nil, refuse("stop_sequences", "chat takes at most four stop sequences")
	}
	b := new(builder)
	b.raw("model", p.model).list("messages", messages)
	if len(p.tools) > 0 {
		var tools []string
		for _, t := range p.tools {
			function := new(builder).raw("name", t.name).raw("description", t.description).raw("parameters", t.schema).raw("strict", t.strict)
			tools = append(tools, typed("function").raw("function", function.String()).String())
		}
		b.list("tools", tools)
	}
	switch {
	case p.choice.kind == "tool":
		b.raw("tool_choice", typed("function").raw("function", new(builder).raw("name", p.choice.name).String()).String())
	case p.choice.kind != "":
		b.str("tool_choice", p.choice.kind)
	}
	if p.oneCall && len(p.tools) > 0 {
		b.raw("parallel_tool_calls", "false")
	}
	b.raw("max_completion_tokens", p.maxTokens).raw("temperature", rawOf(p.temperature)).raw("top_p", p.topP)
	if len(p.stop) > 0 {
		b.raw("stop", list(p.stop))
	}
	if p.effort != "" {
		b.str("reasoning_effort", p.effort)
	}
	if p.format != nil {
		b.raw("response_format", p.format.chat())
	}
	b.raw("verbosity", p.verbosity).raw("user", p.user)
	for _, s := range p.shared {
		b.raw(s.Key, s.Raw)
	}
	if p.stream {
		b.raw("stream", "true").raw("stream_options", `{"include_usage":true}`)
	}
	return b.bytes(), nil
}

// formatName is the name of a schema without one, because OpenAI requires a name.
const formatName = `"answer"`

// chat writes the format of the answer.
func (f *format) chat() string {
	if f.schema == "" {
		return `{"type":"json_object"}`
	}
	return typed("json_schema").raw("json_schema", f.members(new(builder)).String()).String()
}

// members adds the members that describe a schema in chat and responses.
func (f *format) members(b *builder) *builder {
	if f.name == "" {
		b.raw("name", formatName)
	}
	return b.raw("name", f.name).raw("description", f.description).raw("schema", f.schema).raw("strict", f.strict)
}

// chat writes a turn as one or more messages, because each result of a tool is a
// message of its own. The system role is always called system, which all servers
// know.
func (t *turn) chat() ([]string, error) {
	var messages []string
	var rest []part
	var calls []string
	for i := range t.parts {
		switch x := &t.parts[i]; x.kind {
		case callPart:
			function := new(builder).raw("name", x.name).str("arguments", x.input)
			calls = append(calls, new(builder).str("id", x.id).str("type", "function").raw("function", function.String()).String())
		case resultPart:
			for _, r := range x.result {
				if r.kind != textPart {
					return nil, refuse("messages", "in chat, the result of a tool must be text")
				}
			}
			messages = append(messages, new(builder).str("role", "tool").str("tool_call_id", x.id).raw("content", chatParts(x.results())).String())
		default:
			rest = append(rest, *x)
		}
	}
	if len(rest) == 0 && len(calls) == 0 {
		return messages, nil
	}
	b := new(builder).str("role", t.role)
	if len(rest) > 0 {
		b.raw("content", chatParts(rest))
	} else {
		b.raw("content", "null")
	}
	if len(calls) > 0 {
		b.list("tool_calls", calls)
	}
	return append(messages, b.String()), nil
}

// results returns the parts of a tool's result for an API without a field for
// errors: the text of an error begins with "Error".
func (x *part) results() []part {
	if !x.failed {
		return x.result
	}
	if len(x.result) > 0 && x.result[0].kind == textPart {
		first := x.result[0]
		first.text = `"Error: ` + first.text[1:]
		return append([]part{first}, x.result[1:]...)
	}
	return append([]part{{text: `"Error"`}}, x.result...)
}

// chatParts writes a content, as a string if it is a single text.
func chatParts(parts []part) string {
	switch {
	case len(parts) == 0:
		return `""`
	case len(parts) == 1 && parts[0].kind == textPart:
		return parts[0].text
	}
	var out []string
	for i := range parts {
		x := &parts[i]
		if x.kind == imagePart {
			out = append(out, typed("image_url").raw("image_url", new(builder).str("url", x.address()).raw("detail", x.detail).String()).String())
			continue
		}
		out = append(out, typed("text").raw("text", x.text).String())
	}
	return list(out)
}
