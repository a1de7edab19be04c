package wire

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// chatFields holds the readers of chat completions.
var chatFields = map[string]fieldReader{
	"messages": func(p *prompt, v gjson.Result) error { return each(v, "messages", p.chatMessage) },
	"tools":    func(p *prompt, v gjson.Result) error { return each(v, "tools", p.chatTool) },
	"tool_choice": func(p *prompt, v gjson.Result) error {
		return p.openAIChoice(v, func(v gjson.Result) gjson.Result { return v.Get(v.Get("type").Str + ".name") })
	},
	"functions": func(p *prompt, v gjson.Result) error {
		return each(v, "functions", func(field string, v gjson.Result) error {
			p.functions++
			return p.addTool(toolName{}, v, "parameters", field)
		})
	},
	"function_call": func(p *prompt, v gjson.Result) error {
		if v.Type == gjson.String && (v.Str == "auto" || v.Str == "none") {
			p.choice.kind = v.Str
			return nil
		}
		p.choice.kind = "tool"
		name, err := textOf(v.Get("name"), "function_call.name")
		p.choice.name = p.names.flat(p.to, toolName{name: v.Get("name").Str}, name)
		return err
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
			p.drop("store")
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

// readMaxTokens reads a limit on output tokens. If there are two, the lower one
// applies.
func readMaxTokens(p *prompt, v gjson.Result) error {
	if p.maxTokens != "" {
		higher := max(gjson.Parse(p.maxTokens).Num, v.Num)
		if gjson.Parse(p.maxTokens).Num < v.Num {
			v = gjson.Parse(p.maxTokens)
		}
		if v.Num != higher {
			p.narrow("max_tokens", v.Raw)
		}
	}
	p.maxTokens = v.Raw
	return number(v, "max_tokens")
}

func readUser(p *prompt, v gjson.Result) error {
	if v.Type != gjson.String { // a label must not keep a candidate out
		p.drop("user")
		return nil
	}
	p.user = v.Raw
	return nil
}

// openAIVerbosity reads the verbosity in the form of chat and responses. The
// default is medium.
func (p *prompt) openAIVerbosity(v gjson.Result, field string) (err error) {
	p.verbosity, err = textOf(v, field)
	if p.to == Messages || p.facts.Foreign {
		if p.verbosity = ""; v.Str != "medium" {
			p.drop(field)
		}
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
// returns the name of a tool, whose place depends on the API.
func (p *prompt) openAIChoice(v gjson.Result, name func(gjson.Result) gjson.Result) error {
	const only = "only auto, none, required, functions, custom tools and lists of them can be translated"
	one := func(field string, v gjson.Result) error {
		original := toolName{namespace: v.Get("namespace").Str}
		switch v.Get("type").Str {
		case "custom":
			original.kind = customTool
		case "function":
		default:
			return refuse("tool_choice", only)
		}
		plain, err := textOf(name(v), field+".name")
		original.name = name(v).Str
		p.choice.name = p.names.flat(p.to, original, plain)
		return err
	}
	switch {
	case v.Type == gjson.String && (v.Str == "auto" || v.Str == "none" || v.Str == "required"):
		p.choice.kind = v.Str
		return nil
	case v.Str == "any": // as Mistral calls it
		p.choice.kind = "required"
		return nil
	case v.Get("type").Str == "allowed_tools":
		if inner := v.Get("allowed_tools"); inner.IsObject() {
			v = inner
		}
		p.choice.only = map[string]bool{}
		if p.choice.kind = v.Get("mode").Str; p.choice.kind != "auto" && p.choice.kind != "required" {
			return refuse("tool_choice", only)
		}
		return each(v.Get("tools"), "tool_choice.tools", func(field string, v gjson.Result) error {
			err := one(field, v)
			p.choice.only[p.choice.name] = true
			p.choice.name = ""
			return err
		})
	}
	p.choice.kind = "tool"
	return one("tool_choice", v)
}

// openAIFormat reads the format of the answer. schema is the object that contains
// the schema and its description, whose place depends on the API.
func (p *prompt) openAIFormat(v, schema gjson.Result, field string) error {
	switch v.Get("type").Str {
	case "text":
	case "json_object":
		p.format = &format{schema: objectOf(v.Get("schema"))} // which some servers take
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
	switch kind := v.Get("type").Str; kind {
	case "function", "":
		function := v.Get("function")
		if !function.IsObject() && given(v.Get("input_schema")) { // in the form of messages
			return p.addTool(toolName{}, v, "input_schema", field)
		}
		if !function.IsObject() { // in the form of responses
			return p.addTool(toolName{}, v, "parameters", field)
		}
		if cache := v.Get("cache_control"); given(cache) && !given(function.Get("cache_control")) {
			function = gjson.Parse(with(function.Raw, "cache_control", cache.Raw))
		}
		return p.addTool(toolName{}, function, "parameters", field+".function")
	case "custom":
		return p.addCustom("", v.Get("custom"), v.Get("custom.format.grammar"), field+".custom")
	default:
		if p.leaveOut(kind) {
			return nil
		}
		return refuse(field, "the other API has no such kind of tool")
	}
}

// chatMessage reads a message. It leaves out reasoning, which only the model that
// wrote it can use. The name in a tool's message repeats that of the call.
func (p *prompt) chatMessage(field string, v gjson.Result) error {
	t := turn{role: v.Get("role").Str}
	content := v.Get("content")
	var err error
	switch t.role {
	case "developer", "system":
		t.developer = t.role == "developer"
		t.role = "system"
		t.parts, err = p.chatContent(content, field+".content", false)
	case "user":
		t.parts, err = p.chatContent(content, field+".content", true)
	case "assistant":
		err = p.chatAssistant(&t, v, field)
	case "tool", "function":
		t.role = "user"
		result := part{kind: resultPart, id: p.ids.result(v.Get("tool_call_id").Str, v.Get("name").Str)}
		if given(content) {
			result.result, err = p.chatContent(content, field+".content", true)
		}
		t.parts = []part{result}
	default:
		return refuse(field+".role", unknownRole)
	}
	if role := v.Get("role").Str; given(v.Get("name")) && role != "tool" && role != "function" {
		p.drop("messages[].name")
	}
	p.inMessage(v, chatMembers)
	if n := len(t.parts); n > 0 {
		p.cached(&t.parts[n-1], v)
	}
	p.turns = append(p.turns, t)
	return err
}

// chatMembers are the members of messages that are read, or that need not be, or of which
// it is noted elsewhere that they are left out.
var chatMembers = []string{"role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "audio",
	"reasoning_content", "reasoning", "reasoning_details", "cache_control", "annotations"}

// cached reads the mark on a part, or on its message, that Anthropic is to cache what
// ends there.
func (p *prompt) cached(x *part, v gjson.Result) {
	switch mark := v.Get("cache_control"); {
	case !given(mark):
	case p.to == Messages:
		x.cache = mark.Raw
	default:
		p.drop("cache_control")
	}
}

// chatAssistant reads an earlier answer of the model.
func (p *prompt) chatAssistant(t *turn, v gjson.Result, field string) error {
	if given(v.Get("audio")) {
		return refuse(field+".audio", noField)
	}
	for _, key := range []string{"reasoning_content", "reasoning", "reasoning_details"} {
		if given(v.Get(key)) {
			p.drop("messages[]." + key)
		}
	}
	if content := v.Get("content"); given(content) {
		var err error
		if t.parts, err = p.chatContent(content, field+".content", false); err != nil {
			return err
		}
	}
	if r := v.Get("refusal"); r.Type == gjson.String {
		t.parts = append(t.parts, part{text: r.Raw})
	}
	calls := v.Get("tool_calls")
	if f := v.Get("function_call"); f.IsObject() && !calls.Get("0").Exists() { // some clients send both
		name, err := textOf(f.Get("name"), field+".function_call.name")
		t.parts = append(t.parts, p.call("", toolName{name: f.Get("name").Str}, name, argumentsOf(f.Get("arguments"))))
		return err
	}
	if !given(calls) {
		return nil
	}
	return each(calls, field+".tool_calls", func(field string, call gjson.Result) error {
		var original toolName
		function, input := call.Get("function"), argumentsOf(call.Get("function.arguments"))
		switch kind := call.Get("type").Str; {
		case kind == "custom":
			function = call.Get("custom")
			original.kind, input = customTool, customArguments(function.Get("input").Str)
		case kind != "function" && kind != "" || !function.IsObject():
			return refuse(field, "only function calls and custom calls can be translated")
		}
		name, err := textOf(function.Get("name"), field+".function.name")
		original.name = function.Get("name").Str
		t.parts = append(t.parts, p.call(call.Get("id").Str, original, name, input))
		return err
	})
}

// call returns the part for a call. raw is the JSON of the function's name.
func (p *prompt) call(id string, original toolName, raw, input string) part {
	return part{kind: callPart, id: p.ids.call(id, original.name), name: p.names.flat(p.to, original, raw), input: input}
}

// customArguments returns the arguments of the function that stands for a tool whose
// input is text.
func customArguments(input string) string { return new(builder).str("input", input).String() }

// chatContent reads a content, which is a string or a list of parts. rich says that
// it may contain images and files.
func (p *prompt) chatContent(v gjson.Result, field string, rich bool) ([]part, error) {
	switch {
	case v.Type == gjson.String:
		return []part{{text: v.Raw}}, nil
	case !given(v):
		return nil, nil
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
		case kind == "image_url" && rich:
			url := v.Get("image_url")
			if url.IsObject() {
				url = url.Get("url")
			}
			next, err = image(url, field+".image_url.url")
			next.detail = rawOf(v.Get("image_url.detail"))
		case kind == "file" && rich:
			next, err = openAIFile(v.Get("file"), field+".file")
		case kind == "thinking" || kind == "reasoning": // Mistral's
			p.drop("messages[].thinking")
			return nil
		default:
			return refuse(field, unknownType)
		}
		p.cached(&next, v)
		parts = append(parts, next)
		return err
	})
	return parts, err
}

// writeChat writes the prompt for chat completions.
func (p *prompt) writeChat() ([]byte, error) {
	var messages []string
	for i := range p.turns {
		next, err := p.chatTurn(&p.turns[i])
		if err != nil {
			return nil, err
		}
		messages = append(messages, next...)
	}
	if len(messages) == 0 {
		return nil, refuse("messages", nothing)
	}
	if len(p.stop) > 4 {
		return nil, refuse("stop_sequences", "chat takes at most four stop sequences")
	}
	b := new(builder)
	b.raw("model", p.model).list("messages", messages)
	if len(p.tools) > 0 {
		var tools []string
		for _, t := range p.tools {
			p.strictForOpenAI(&t)
			function := new(builder).raw("name", t.name).raw("description", t.description).raw("parameters", t.schema).raw("strict", t.strict)
			tools = append(tools, typed("function").raw("function", function.String()).String())
		}
		b.list("tools", tools)
	}
	switch { // without tools, there is no choice
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

// strictForOpenAI rewrites the schema of a strict tool that was written for Anthropic.
// If that is not possible, the tool is not strict.
func (p *prompt) strictForOpenAI(t *tool) {
	if t.strict != "true" || p.from != Messages {
		return
	}
	schema, ok := openAISchema(gjson.Parse(t.schema))
	if !ok {
		t.strict = ""
		p.drop("tools[].strict")
		return
	}
	t.schema = schema
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

// chatTurn writes a turn as one or more messages, because each result of a tool is a
// message of its own. The system role is always called system, which all servers
// know.
func (p *prompt) chatTurn(t *turn) ([]string, error) {
	var messages []string
	var thoughts strings.Builder
	var rest []part
	var calls []string
	for i := range t.parts {
		switch x := &t.parts[i]; x.kind {
		case callPart:
			function := new(builder).raw("name", x.name).str("arguments", x.input)
			call := new(builder).str("id", x.id).str("type", "function").raw("function", function.String())
			if p.facts.WantsSignature && len(calls) == 0 {
				call.raw("extra_content", unsigned)
			}
			calls = append(calls, call.String())
		case resultPart:
			content, others := x.textual()
			messages = append(messages, new(builder).str("role", "tool").str("tool_call_id", x.id).raw("content", p.chatParts(content)).String())
			rest = append(rest, others...)
		case thoughtPart:
			thoughts.WriteString(gjson.Parse(x.text).Str)
		default:
			rest = append(rest, *x)
		}
	}
	if len(rest) == 0 && len(calls) == 0 {
		return messages, nil
	}
	for i := range rest {
		if rest[i].kind == filePart && rest[i].data == "" {
			return nil, refuse("messages", "chat takes no files by their address")
		}
	}
	b := new(builder).str("role", t.role)
	if len(rest) > 0 {
		b.raw("content", p.chatParts(rest))
	} else {
		b.raw("content", "null")
	}
	if len(calls) > 0 {
		if p.facts.WantsReasoning { // or at least a text that is not empty in its place
			b.str("reasoning_content", cmp.Or(thoughts.String(), " "))
		}
		b.list("tool_calls", calls)
	}
	return append(messages, b.String()), nil
}

// textual returns the content of a tool's result for chat, whose tools return text
// only, and its images and files, which the user's next message then has.
func (x *part) textual() (content, others []part) {
	content = x.results()
	if !slices.ContainsFunc(content, func(r part) bool { return r.kind != textPart }) {
		return content, nil
	}
	var texts []part
	for _, r := range content {
		if r.kind == textPart {
			texts = append(texts, r)
		} else {
			others = append(others, r)
		}
	}
	texts = append(texts, part{text: quote("The user's next message contains the images and files of this result.")})
	return texts, append([]part{{text: quote("From the result of the call " + x.id + ":")}}, others...)
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

// unsigned is what Google's models take in place of the signature of the first call in a
// message, if it is unknown.
const unsigned = `{"google":{"thought_signature":"skip_thought_signature_validator"}}`

// paragraphs returns texts as one text, in paragraphs.
func paragraphs(parts []part) part {
	var b strings.Builder
	for i := range parts {
		if i > 0 {
			b.WriteString(`\n\n`)
		}
		b.WriteString(bare(parts[i].text))
	}
	return part{text: `"` + b.String() + `"`}
}

// texts reports whether all parts are texts.
func texts(parts []part) bool {
	return !slices.ContainsFunc(parts, func(x part) bool { return x.kind != textPart })
}

// chatParts writes a content, as a string if it is a single text. Not all servers take
// several texts.
func (p *prompt) chatParts(parts []part) string {
	switch {
	case len(parts) == 0:
		return `""`
	case p.facts.Foreign && texts(parts):
		return paragraphs(parts).text
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
		if x.kind == filePart {
			name := cmp.Or(x.title, fileName)
			out = append(out, typed("file").raw("file", new(builder).str("filename", name).str("file_data", x.address()).String()).String())
			continue
		}
		out = append(out, typed("text").raw("text", x.text).String())
	}
	return list(out)
}

// fileName is the name of a file without one, because OpenAI requires a name.
const fileName = "document.pdf"
