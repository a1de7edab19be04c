package wire

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// messagesFields holds the readers of Anthropic's messages.
var messagesFields = map[string]fieldReader{
	"system": func(p *prompt, v gjson.Result) error {
		parts, err := messagesContent(v, "system", nil)
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
		}
		return err
	},
	"max_tokens":     readMaxTokens,
	"stop_sequences": func(p *prompt, v gjson.Result) error { return p.stops(v, "stop_sequences") },
	"metadata": func(p *prompt, v gjson.Result) error {
		p.user = rawOf(v.Get("user_id")) // the only field of Anthropic's metadata
		return nil
	},
	"service_tier": func(*prompt, gjson.Result) error { return nil }, // its values are not those of OpenAI
	"thinking":     (*prompt).thinking,
	"output_config": func(p *prompt, v gjson.Result) error {
		if effort := v.Get("effort"); given(effort) {
			p.effort = effort.Str // OpenAI's words, from low to max
		}
		if f := v.Get("format"); given(f) {
			if f.Get("type").Str != "json_schema" || !f.Get("schema").IsObject() {
				return refuse("output_config.format", "want a JSON schema")
			}
			p.format = &format{schema: f.Get("schema").Raw, strict: "true"}
		}
		return onlyKnown(v, "output_config", "effort", "format")
	},
}

// The highest thinking budgets, in tokens, that become a low or medium effort.
const (
	lowBudget    = 4096
	mediumBudget = 16384
)

// thinking reads how much the model is to think. A budget becomes an effort,
// unless the request has one. Without a budget the model decides, which is also
// the default. Disabled thinking is dropped: clients send it mostly to models that
// cannot reason, and those models would refuse the effort "none".
func (p *prompt) thinking(v gjson.Result) error {
	budget := v.Get("budget_tokens")
	if v.Get("type").Str != "enabled" || p.effort != "" {
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

// messagesTool reads a tool.
func (p *prompt) messagesTool(field string, v gjson.Result) error {
	if kind := v.Get("type").Str; kind != "" && kind != "custom" {
		return refuse(field, "only custom tools can be translated")
	}
	t, err := newTool(v, "input_schema", field)
	p.tools = append(p.tools, t)
	return err
}

// messagesMessage reads a message.
func (p *prompt) messagesMessage(field string, v gjson.Result) error {
	t := turn{role: v.Get("role").Str}
	if t.role != "user" && t.role != "assistant" && t.role != "system" {
		return refuse(field+".role", unknownRole)
	}
	var err error
	t.parts, err = messagesContent(v.Get("content"), field+".content", map[string]bool{
		"image": t.role == "user", "tool_result": t.role == "user", "tool_use": t.role == "assistant"})
	p.turns = append(p.turns, t)
	return err
}

// messagesContent reads a content, which is a string or a list of blocks: texts,
// and blocks whose type is in may. It omits thinking, which is signed for the model
// that wrote it. A turn that needs it stays with that model.
func messagesContent(v gjson.Result, field string, may map[string]bool) ([]part, error) {
	if v.Type == gjson.String {
		return []part{{text: v.Raw}}, nil
	}
	var parts []part
	err := each(v, field, func(field string, v gjson.Result) error {
		var next part
		var err error
		switch kind := v.Get("type").Str; {
		case kind == "thinking" || kind == "redacted_thinking":
			return nil
		case kind == "text":
			next.text, err = textOf(v.Get("text"), field+".text")
		case !may[kind]:
			return refuse(field, unknownType)
		case kind == "image":
			next, err = messagesImage(v.Get("source"), field+".source")
		case kind == "tool_use":
			next = part{kind: callPart, id: v.Get("id").Str, input: cmp.Or(v.Get("input").Raw, "{}")}
			next.name, err = textOf(v.Get("name"), field+".name")
		case kind == "tool_result":
			next = part{kind: resultPart, id: v.Get("tool_use_id").Str, failed: v.Get("is_error").Bool()}
			if content := v.Get("content"); given(content) {
				next.result, err = messagesContent(content, field+".content", map[string]bool{"image": true})
			}
		}
		parts = append(parts, next)
		return err
	})
	return parts, err
}

func messagesImage(v gjson.Result, field string) (part, error) {
	switch v.Get("type").Str {
	case "base64":
		return part{kind: imagePart, media: v.Get("media_type").Str, data: v.Get("data").Str}, nil
	case "url":
		return image(v.Get("url"), field+".url")
	default:
		return part{}, refuse(field, "the image is stored at one provider")
	}
}

// efforts maps OpenAI's reasoning efforts to Anthropic's, as of its API of 2026.
// Anthropic's models decide themselves when to think, and accept an effort in any
// case.
var efforts = map[string]string{"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}

// writeMessages writes the prompt for Anthropic's messages.
func (p *prompt) writeMessages() ([]byte, error) {
	if p.temperature.Num > 1 {
		return nil, refuse("temperature", "Anthropic's maximum is 1")
	}
	b := new(builder)
	b.raw("model", p.model)
	if p.maxTokens == "" {
		p.maxTokens = defaultMaxTokens
	}
	b.raw("max_tokens", p.maxTokens)
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
			tools = append(tools, new(builder).raw("name", t.name).raw("description", t.description).raw("input_schema", t.schema).raw("strict", t.strict).String())
		}
		b.list("tools", tools).raw("tool_choice", p.messagesChoice())
	}
	topP := p.topP
	if p.temperature.Exists() && gjson.Parse(topP).Num == 1 {
		topP = "" // it has no effect, and newer models refuse both together
	}
	b.raw("temperature", rawOf(p.temperature)).raw("top_p", topP)
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
	switch effort := efforts[p.effort]; {
	case p.effort == "none":
		b.raw("thinking", `{"type":"disabled"}`)
	case effort != "":
		config.str("effort", effort)
	case p.effort != "":
		return refuse("reasoning_effort", "Anthropic has no such effort")
	}
	if p.format != nil {
		if p.format.schema == "" {
			return refuse("response_format", "Anthropic supports JSON only with a schema")
		}
		config.raw("format", typed("json_schema").raw("schema", p.format.schema).String())
	}
	if len(config.b) > 0 {
		b.raw("output_config", config.String())
	}
	return nil
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
	parts := slices.DeleteFunc(slices.Clone(t.parts), func(x part) bool { return x.kind == textPart && x.text == `""` })
	slices.SortStableFunc(parts, func(a, b part) int { return a.rank() - b.rank() })
	if len(parts) == 1 && parts[0].kind == textPart {
		return parts[0].text, nil
	}
	var blocks []string
	for i := range parts {
		block, err := parts[i].messages()
		if err != nil {
			return "", err
		}
		blocks = append(blocks, block)
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

// messages writes a block.
func (x *part) messages() (string, error) {
	switch x.kind {
	case imagePart:
		source := typed("url").str("url", x.url)
		if x.url == "" {
			source = typed("base64").str("media_type", x.media).str("data", x.data)
		}
		return typed("image").raw("source", source.String()).String(), nil
	case callPart:
		input := x.input
		if strings.TrimSpace(input) == "" {
			input = "{}"
		}
		if !valid([]byte(input)) || !gjson.Parse(input).IsObject() {
			return "", refuse("messages", "the arguments of a call are not a JSON object")
		}
		return typed("tool_use").str("id", callID(x.id)).raw("name", x.name).raw("input", input).String(), nil
	case resultPart:
		result := turn{parts: x.result}
		content, err := result.messages()
		b := typed("tool_result").str("tool_use_id", callID(x.id)).raw("content", content)
		if x.failed {
			b.raw("is_error", "true")
		}
		return b.String(), err
	}
	return typed("text").raw("text", x.text).String(), nil
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
