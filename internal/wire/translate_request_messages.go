package wire

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// messagesFields holds the readers of Anthropic's messages.
var messagesFields = map[string]fieldReader{
	"system": func(p *prompt, v gjson.Result) error {
		parts, err := p.messagesContent(v, "system", "system")
		parts = p.withoutBilling(parts)
		p.turns = append([]turn{{role: "system", parts: parts}}, p.turns...)
		return err
	},
	"messages": func(p *prompt, v gjson.Result) error { return each(v, "messages", p.messagesMessage) },
	"tools":    func(p *prompt, v gjson.Result) error { return each(v, "tools", p.messagesTool) },
	"tool_choice": func(p *prompt, v gjson.Result) (err error) {
		p.oneCall = v.Get("disable_parallel_tool_use").Bool()
		switch kind := v.Get("type").Str; kind {
		case "auto", "none", "tool":
			p.choice.kind = kind
		case "any":
			p.choice.kind = "required"
		default:
			return refuse("tool_choice", unknownType)
		}
		if p.choice.kind == "tool" {
			p.choice.name, err = textOf(v.Get("name"), "tool_choice.name")
			p.choice.name = p.names.flat(p.to, toolName{name: v.Get("name").Str}, p.choice.name)
		}
		return err
	},
	"max_tokens":     readMaxTokens,
	"stop_sequences": func(p *prompt, v gjson.Result) error { return p.stops(v, "stop_sequences") },
	"metadata": func(p *prompt, v gjson.Result) error {
		user := v.Get("user_id")                      // the only field of Anthropic's metadata
		if given(user) && user.Type != gjson.String { // a label must not keep a candidate out
			p.drop("metadata.user_id")
			return nil
		}
		p.user = rawOf(user)
		return nil
	},
	"thinking": (*prompt).thinking,
	"thread": func(p *prompt, v gjson.Result) error {
		if v.Get("previous_message_id").Str != "" {
			return refuse("thread", "one provider holds the conversation: send all of it")
		}
		p.drop("thread")
		return nil
	},
	"output_config": func(p *prompt, v gjson.Result) error {
		if effort := v.Get("effort"); given(effort) {
			p.effort = effort.Str // OpenAI's words, from low to max
		}
		if f := v.Get("format"); given(f) {
			if err := p.messagesFormat(f, "output_config.format"); err != nil {
				return err
			}
		}
		return p.known(v, "output_config", "effort", "format")
	},
	"output_format": func(p *prompt, v gjson.Result) error { return p.messagesFormat(v, "output_format") }, // its name before it left beta
}

// messagesFormat reads the format of the answer.
func (p *prompt) messagesFormat(v gjson.Result, field string) error {
	if v.Get("type").Str != "json_schema" || !v.Get("schema").IsObject() {
		return refuse(field, "want a JSON schema")
	}
	p.format = &format{schema: v.Get("schema").Raw}
	if schema, ok := openAISchema(v.Get("schema")); ok {
		p.format.schema, p.format.strict = schema, "true"
	} else {
		p.narrow(field+".strict", "false")
	}
	return nil
}

// The highest thinking budgets, in tokens, that become a low or medium effort.
const (
	lowBudget    = 4096
	mediumBudget = 16384
)

// thinking reads how much the model is to think. A budget becomes an effort,
// unless the request has one. Without a budget the model decides, which is also
// the default. Disabled thinking is left out: clients send it mostly to models that
// cannot reason, and those models would refuse the effort "none".
func (p *prompt) thinking(v gjson.Result) error {
	budget := v.Get("budget_tokens")
	switch v.Get("type").Str {
	case "enabled":
	case "disabled":
		p.drop("thinking")
		return nil
	default:
		return nil
	}
	if p.effort != "" {
		return nil
	}
	switch {
	case budget.Num <= lowBudget:
		p.effort = "low"
	case budget.Num <= mediumBudget:
		p.effort = "medium"
	default:
		p.effort = "high"
	}
	return number(budget, "thinking.budget_tokens")
}

// billing begins the text that Claude Code puts before its system prompt. It differs
// between conversations, so that no provider's prompt cache would find the rest.
const billing = "x-anthropic-billing-header:"

// withoutBilling leaves that text out. Only Anthropic uses it.
func (p *prompt) withoutBilling(parts []part) []part {
	if len(parts) == 0 || !strings.HasPrefix(parts[0].text, `"`+billing) {
		return parts
	}
	p.drop("system.x_anthropic_billing_header")
	_, rest, _ := strings.Cut(gjson.Parse(parts[0].text).Str, "\n")
	if rest = strings.TrimLeft(rest, "\n"); rest == "" {
		return parts[1:]
	}
	first := parts[0]
	first.text = quote(rest)
	return append([]part{first}, parts[1:]...)
}

// messagesTool reads a tool.
func (p *prompt) messagesTool(field string, v gjson.Result) error {
	switch kind := v.Get("type").Str; {
	case kind == "" || kind == "custom":
		return p.addTool(toolName{}, v, "input_schema", field)
	case p.leaveOut(kind):
		return nil
	}
	return refuse(field, "the other API has no such kind of tool")
}

// messagesMessage reads a message.
func (p *prompt) messagesMessage(field string, v gjson.Result) error {
	t := turn{role: v.Get("role").Str}
	if t.role != "user" && t.role != "assistant" && t.role != "system" {
		return refuse(field+".role", unknownRole)
	}
	known := []string{"role", "content"}
	if t.role == "system" {
		known = append(known, "output_config", "clear_at")
		t.once = v.Get("clear_at").Str == "next_user_message"
		if err := p.laterOutput(v.Get("output_config")); err != nil {
			return err
		}
	}
	p.inMessage(v, known)
	var err error
	if content := v.Get("content"); given(content) || t.role != "system" {
		t.parts, err = p.messagesContent(content, field+".content", t.role)
	}
	if len(t.parts) > 0 || t.role != "system" {
		p.turns = append(p.turns, t)
	}
	return err
}

// laterOutput reads what a system message within the conversation changes about the
// answers after it.
func (p *prompt) laterOutput(v gjson.Result) error {
	if !given(v) {
		return nil
	}
	if effort := v.Get("effort"); given(effort) {
		p.laterEffort = effort.Str
	}
	return p.known(v, "messages[].output_config", "effort")
}

// What stands for a role in a tool's result, and in a document or search result, whose
// content is not nested further.
const (
	inResult   = "result"
	inDocument = "document"
)

// messagesContent reads a content of a role, which is a string or a list of blocks.
// It leaves out thinking, which is signed for the model that wrote it, and what the
// provider's own tools did. A turn that needs thinking stays with that model.
func (p *prompt) messagesContent(v gjson.Result, field, role string) ([]part, error) {
	if v.Type == gjson.String {
		return []part{{text: v.Raw}}, nil
	}
	var parts []part
	err := each(v, field, func(field string, v gjson.Result) error {
		more, err := p.messagesBlock(v, field, role)
		if n := len(more); n > 0 {
			p.cached(&more[n-1], v)
		}
		parts = append(parts, more...)
		return err
	})
	return parts, err
}

// messagesBlock reads a block.
func (p *prompt) messagesBlock(v gjson.Result, field, role string) ([]part, error) {
	one := func(x part, err error) ([]part, error) { return []part{x}, err }
	kind := v.Get("type").Str
	input := role == "user" || role == inResult
	switch {
	case kind == "thinking" && p.facts.WantsReasoning && p.to == Chat && v.Get("thinking").Str != "":
		return one(part{kind: thoughtPart, text: v.Get("thinking").Raw}, nil)
	case kind == "thinking" || kind == "redacted_thinking":
		p.drop("messages[].thinking")
		return nil, nil
	case kind == "text":
		text, err := textOf(v.Get("text"), field+".text")
		return one(part{text: text}, err)
	case kind == "compaction": // the provider's summary of earlier turns
		if !given(v.Get("content")) {
			return nil, nil
		}
		text, err := textOf(v.Get("content"), field+".content")
		return one(part{text: text}, err)
	case kind == "image" && (input || role == inDocument):
		return one(messagesImage(v.Get("source"), field+".source"))
	case kind == "document" && input:
		return p.messagesDocument(v, field)
	case kind == "search_result" && input:
		if v.Get("citations.enabled").Bool() {
			p.drop("messages[].citations")
		}
		title := part{text: quote(strings.TrimSpace(v.Get("title").Str + "\n" + v.Get("source").Str))}
		content, err := p.messagesContent(v.Get("content"), field+".content", inDocument)
		return append([]part{title}, content...), err
	case kind == "tool_reference" && role == inResult: // all tools are loaded
		return one(p.canCall(v.Get("tool_name"), true), nil)
	case role == "system" && (kind == "tool_addition" || kind == "tool_removal"):
		return p.toolChange(kind, v.Get("tool"), field+".tool")
	case kind == "tool_use" && role == "assistant":
		name, err := textOf(v.Get("name"), field+".name")
		input := v.Get("input")
		if inner := input.Str; isObject(inner) { // as text, as some servers send it
			input = gjson.Parse(inner)
		}
		return one(p.call(v.Get("id").Str, toolName{name: v.Get("name").Str}, name, cmp.Or(rawOf(input), "{}")), err)
	case kind == "tool_result" && role == "user":
		result := part{kind: resultPart, id: p.ids.result(v.Get("tool_use_id").Str, ""), failed: v.Get("is_error").Bool()}
		var err error
		if content := v.Get("content"); given(content) {
			result.result, err = p.messagesContent(content, field+".content", inResult)
		}
		return one(result, err)
	case role == "assistant" && (kind == "server_tool_use" || kind == "mcp_tool_use" || kind == "mcp_tool_listing" || kind == "fallback"):
		p.drop("messages[]." + kind)
		return nil, nil
	case role == "assistant" && strings.HasSuffix(kind, "_tool_result"):
		p.drop("messages[]." + fieldName(kind))
		return found(v.Get("content")), nil
	}
	return nil, refuse(field, unknownType)
}

// canCall says that a tool can be called from here on, or no longer.
func (p *prompt) canCall(name gjson.Result, can bool) part {
	flat := gjson.Parse(p.names.flat(p.to, toolName{name: name.Str}, name.Raw)).Str
	if can {
		return part{text: quote("The tool " + flat + " can be called.")}
	}
	return part{text: quote("The tool " + flat + " can no longer be called.")}
}

// toolChange reads a block by which a system message offers or withdraws a tool. Those
// of MCP servers are left out, since the other API has no such servers.
func (p *prompt) toolChange(kind string, v gjson.Result, field string) ([]part, error) {
	name := v.Get("name")
	switch v.Get("type").Str {
	case "tool_reference":
	case "tool_definition":
		name = v.Get("definition.name")
		before := len(p.found)
		p.inItem = true
		err := p.messagesTool(field+".definition", v.Get("definition"))
		p.inItem = false
		if err != nil || len(p.found) == before {
			return nil, err
		}
	default:
		p.drop("messages[]." + kind)
		return nil, nil
	}
	plain, err := textOf(name, field+".name")
	if err != nil {
		return nil, err
	}
	if p.withdrawn == nil {
		p.withdrawn = map[string]bool{}
	}
	p.withdrawn[p.names.flat(p.to, toolName{name: name.Str}, plain)] = kind == "tool_removal"
	return []part{p.canCall(name, kind == "tool_addition")}, nil
}

// found returns the titles and addresses that a provider's search found, to which the
// model's text may refer.
func found(v gjson.Result) []part {
	var b strings.Builder
	elements(v, func(v gjson.Result) {
		if v.Get("type").Str == "web_search_result" {
			b.WriteString("\n- " + v.Get("title").Str + ": " + v.Get("url").Str)
		}
	})
	if b.Len() == 0 {
		return nil
	}
	return []part{{text: quote("A web search found:" + b.String())}}
}

// messagesDocument reads a document. One of text becomes a text with its title.
func (p *prompt) messagesDocument(v gjson.Result, field string) ([]part, error) {
	source, title := v.Get("source"), v.Get("title").Str
	if v.Get("citations.enabled").Bool() {
		p.drop("messages[].citations")
	}
	named := func(parts []part, err error) ([]part, error) {
		for _, about := range []string{v.Get("context").Str, title} {
			if about != "" {
				parts = append([]part{{text: quote(about)}}, parts...)
			}
		}
		return parts, err
	}
	switch source.Get("type").Str {
	case "text":
		text, err := textOf(source.Get("data"), field+".source.data")
		return named([]part{{text: text}}, err)
	case "content":
		return named(p.messagesContent(source.Get("content"), field+".source.content", inDocument))
	}
	x, err := messagesImage(source, field+".source")
	x.kind, x.title = filePart, title
	title = "" // it is the file's name
	return named([]part{x}, err)
}

func messagesImage(v gjson.Result, field string) (part, error) {
	switch v.Get("type").Str {
	case "base64":
		return part{kind: imagePart, media: v.Get("media_type").Str, data: v.Get("data").Str}, nil
	case "url":
		return image(v.Get("url"), field+".url")
	default:
		return part{}, refuse(field, storedFile)
	}
}

// efforts maps OpenAI's reasoning efforts to Anthropic's, as of its API of 2026.
// Anthropic's models decide themselves when to think, and accept an effort in any
// case.
var efforts = map[string]string{"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}

// writeMessages writes the prompt for Anthropic's messages.
func (p *prompt) writeMessages() ([]byte, error) {
	b := new(builder)
	b.raw("model", p.model).raw("max_tokens", p.maxTokens)
	var messages []string
	for i := range p.turns {
		t := &p.turns[i]
		content, err := t.messages()
		switch {
		case err != nil:
			return nil, err
		case content == "":
		case t.role == "system":
			b.raw("system", content)
		default:
			messages = append(messages, new(builder).str("role", t.role).raw("content", content).String())
		}
	}
	if len(messages) == 0 {
		return nil, refuse("messages", "Anthropic wants a message besides the system prompt")
	}
	b.list("messages", messages)
	if len(p.tools) > 0 {
		var tools []string
		for _, t := range p.tools {
			p.strictForAnthropic(&t)
			tools = append(tools, new(builder).raw("name", t.name).raw("description", t.description).raw("input_schema", t.schema).raw("strict", t.strict).
				raw("cache_control", t.cache).String())
		}
		b.list("tools", tools).raw("tool_choice", p.messagesChoice())
	}
	b.raw("temperature", rawOf(p.temperature)).raw("top_p", p.topP)
	if len(p.stop) > 0 {
		b.raw("stop_sequences", list(p.stop))
	}
	if p.user != "" {
		b.raw("metadata", new(builder).raw("user_id", p.user).String())
	}
	if err := p.messagesOutput(b); err != nil {
		return nil, err
	}
	if p.stream {
		b.raw("stream", "true")
	}
	return b.bytes(), nil
}

// messagesOutput writes the reasoning effort and the format of the answer. Since
// Anthropic's structured outputs left beta, output_config has both. It supports
// only schemas.
func (p *prompt) messagesOutput(b *builder) error {
	config := new(builder)
	effort := efforts[p.effort]
	if effort != "" && effort != p.effort {
		p.narrow("reasoning_effort", effort)
	}
	switch {
	case p.effort == "none":
		b.raw("thinking", `{"type":"disabled"}`)
	case effort != "":
		config.str("effort", effort)
	case p.effort != "":
		return refuse("reasoning_effort", "Anthropic has no such effort")
	}
	if p.format != nil { // it has a schema, see fitFormat
		config.raw("format", typed("json_schema").raw("schema", p.format.schema).String())
	}
	if len(config.b) > 0 {
		b.raw("output_config", config.String())
	}
	return nil
}

// strictForAnthropic rewrites the schema of a strict tool. If that is not possible,
// the tool is not strict.
func (p *prompt) strictForAnthropic(t *tool) {
	if t.strict != "true" {
		return
	}
	schema, moved, ok := anthropicSchema(gjson.Parse(t.schema))
	switch {
	case !ok:
		t.strict = ""
		p.drop("tools[].strict")
		return
	case moved:
		p.narrow("tools[].parameters", "description")
	}
	t.schema = schema
}

// messagesChoice writes which tools may be called. It returns "" if the request
// does not say.
func (p *prompt) messagesChoice() string {
	kind := p.choice.kind
	switch {
	case kind == "required":
		kind = "any"
	case kind == "" && p.oneCall:
		kind = "auto"
	case kind == "":
		return ""
	}
	b := typed(kind).raw("name", p.choice.name)
	if p.oneCall && kind != "none" {
		b.raw("disable_parallel_tool_use", "true")
	}
	return b.String()
}

// messages writes the content of a turn, as a string if it is a single text. It
// returns "" for an empty content, which Anthropic refuses. Results come first, as
// Anthropic requires.
func (t *turn) messages() (string, error) {
	parts := slices.Clone(t.parts)
	slices.SortStableFunc(parts, func(a, b part) int { return a.rank() - b.rank() })
	if len(parts) == 1 && parts[0].kind == textPart && parts[0].cache == "" {
		return parts[0].text, nil
	}
	var blocks []string
	for i := range parts {
		block, err := parts[i].messages()
		if err != nil {
			return "", err
		}
		blocks = append(blocks, block.raw("cache_control", parts[i].cache).String())
	}
	if len(blocks) == 0 {
		return "", nil
	}
	return list(blocks), nil
}

// rank orders results before other parts.
func (x *part) rank() int {
	if x.kind == resultPart {
		return 0
	}
	return 1
}

// messages begins a block.
func (x *part) messages() (*builder, error) {
	switch x.kind {
	case imagePart:
		return typed("image").raw("source", x.source()), nil
	case filePart:
		return x.document()
	case callPart:
		input := x.input
		if strings.TrimSpace(input) == "" {
			input = "{}"
		}
		if !valid([]byte(input)) || !gjson.Parse(input).IsObject() {
			return nil, refuse("messages", "the arguments of a call are not a JSON object")
		}
		return typed("tool_use").str("id", x.id).raw("name", x.name).raw("input", input), nil
	case resultPart:
		result := turn{parts: x.result}
		content, err := result.messages()
		b := typed("tool_result").str("tool_use_id", x.id).raw("content", content)
		if x.failed {
			b.raw("is_error", "true")
		}
		return b, err
	}
	return typed("text").raw("text", x.text), nil
}

// source writes where an image or file is.
func (x *part) source() string {
	if x.url != "" {
		return typed("url").str("url", x.url).String()
	}
	if x.kind == imagePart {
		return typed("base64").str("media_type", x.imageType()).str("data", x.data).String()
	}
	return typed("base64").str("media_type", x.media).str("data", x.data).String()
}

// document writes a file. Anthropic takes PDFs and texts.
func (x *part) document() (*builder, error) {
	source := x.source()
	switch {
	case x.url != "" || x.media == pdf:
	case strings.HasPrefix(x.media, "text/") || x.media == "application/json":
		text, err := base64.StdEncoding.DecodeString(x.data)
		if err != nil || !utf8.Valid(text) {
			return nil, refuse("messages", "the data of a file are not text in base64")
		}
		source = typed("text").str("media_type", "text/plain").str("data", string(text)).String()
	default:
		return nil, refuse("messages", "Anthropic takes only PDFs and texts as files")
	}
	b := typed("document").raw("source", source)
	if x.title != "" {
		b.str("title", x.title)
	}
	return b, nil
}

// callID replaces the characters of a call's id that Anthropic does not allow.
func callID(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, id)
}
