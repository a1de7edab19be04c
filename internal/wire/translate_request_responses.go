package wire

import (
	"strings"

	"github.com/tidwall/gjson"
)

// responsesFields holds the readers of OpenAI's responses.
var responsesFields = map[string]fieldReader{
	"instructions": func(p *prompt, v gjson.Result) error {
		text, err := textOf(v, "instructions")
		p.turns = append([]turn{{role: "system", parts: []part{{text: text}}}}, p.turns...)
		return err
	},
	"input": func(p *prompt, v gjson.Result) error {
		if v.Type == gjson.String {
			p.turns = append(p.turns, turn{role: "user", parts: []part{{text: v.Raw}}})
			return nil
		}
		return each(v, "input", p.responsesItem)
	},
	"tools":               func(p *prompt, v gjson.Result) error { return each(v, "tools", p.responsesTool) },
	"tool_choice":         func(p *prompt, v gjson.Result) error { return p.openAIChoice(v, v.Get("name")) },
	"parallel_tool_calls": readParallel,
	"max_output_tokens":   readMaxTokens,
	"user":                readUser,
	// The answer has a summary of the reasoning if the provider returns one, so the
	// request for it is dropped. The context concerns earlier reasoning, which is
	// omitted.
	"reasoning": func(p *prompt, v gjson.Result) error {
		if effort := v.Get("effort"); given(effort) {
			if err := p.openAIEffort(effort, "reasoning.effort"); err != nil {
				return err
			}
		}
		return onlyKnown(v, "reasoning", "effort", "summary", "generate_summary", "context")
	},
	"text": func(p *prompt, v gjson.Result) error {
		if verbosity := v.Get("verbosity"); given(verbosity) {
			if err := p.openAIVerbosity(verbosity, "text.verbosity"); err != nil {
				return err
			}
		}
		if f := v.Get("format"); given(f) {
			if err := p.openAIFormat(f, f, "text.format"); err != nil {
				return err
			}
		}
		return onlyKnown(v, "text", "format", "verbosity")
	},
	// Only OpenAI has encrypted reasoning, and clients that ask for it work
	// without it. Except for probabilities, the other things to include belong to
	// tools that are refused.
	"include": func(_ *prompt, v gjson.Result) error {
		return each(v, "include", func(field string, v gjson.Result) error {
			if strings.HasSuffix(v.Str, "logprobs") {
				return refuse(field, "the other API returns no probabilities")
			}
			return nil
		})
	},
	"store": func(_ *prompt, v gjson.Result) error {
		if v.Bool() {
			return refuse("store", notStored)
		}
		return boolean(v, "store")
	},
}

// responsesTool reads a tool. Without a value of strict, the tool is strict at
// OpenAI if its schema allows that, and not strict elsewhere.
func (p *prompt) responsesTool(field string, v gjson.Result) error {
	if v.Get("type").Str != "function" {
		return refuse(field, "only functions can be translated")
	}
	t, err := newTool(v, "parameters", field)
	p.tools = append(p.tools, t)
	return err
}

// responsesItem reads an item of the input. It omits reasoning, which is encrypted
// for the model that wrote it.
func (p *prompt) responsesItem(field string, v gjson.Result) error {
	t := turn{role: v.Get("role").Str}
	var err error
	switch v.Get("type").Str {
	case "", "message":
		switch t.role {
		case "user", "assistant", "system":
		case "developer":
			t.role, t.developer = "system", true
		default:
			return refuse(field+".role", unknownRole)
		}
		t.parts, err = responsesContent(v.Get("content"), field+".content", t.role == "user")
	case "function_call":
		t.role = "assistant"
		call := part{kind: callPart, id: v.Get("call_id").Str, input: v.Get("arguments").Str}
		call.name, err = textOf(v.Get("name"), field+".name")
		t.parts = []part{call}
	case "function_call_output":
		t.role = "user"
		result := part{kind: resultPart, id: v.Get("call_id").Str}
		result.result, err = responsesContent(v.Get("output"), field+".output", true)
		t.parts = []part{result}
	case "reasoning":
		return nil
	default:
		return refuse(field, unknownType)
	}
	p.turns = append(p.turns, t)
	return err
}

// responsesContent reads a content, which is a string or a list of parts.
func responsesContent(v gjson.Result, field string, images bool) ([]part, error) {
	if v.Type == gjson.String {
		return []part{{text: v.Raw}}, nil
	}
	var parts []part
	err := each(v, field, func(field string, v gjson.Result) error {
		var next part
		var err error
		switch kind := v.Get("type").Str; {
		case kind == "input_text" || kind == "output_text" || kind == "text":
			next.text, err = textOf(v.Get("text"), field+".text")
		case kind == "refusal":
			next.text, err = textOf(v.Get("refusal"), field+".refusal")
		case kind == "input_image" && images && !given(v.Get("file_id")):
			next, err = image(v.Get("image_url"), field+".image_url")
			next.detail = rawOf(v.Get("detail"))
		default:
			return refuse(field, unknownType)
		}
		parts = append(parts, next)
		return err
	})
	return parts, err
}

// writeResponses writes the prompt for OpenAI's responses. The answer is stored
// only if the client asked for that.
func (p *prompt) writeResponses() ([]byte, error) {
	if len(p.stop) > 0 {
		return nil, refuse("stop", "responses have no stop sequences")
	}
	b := new(builder)
	b.raw("model", p.model)
	turns := p.turns
	if first := turns[0]; len(turns) > 1 && first.role == "system" && len(first.parts) == 1 {
		b.raw("instructions", first.parts[0].text)
		turns = turns[1:]
	}
	var items []string
	for i := range turns {
		items = append(items, turns[i].responses()...)
	}
	b.list("input", items)
	if len(p.tools) > 0 {
		var tools []string
		for _, t := range p.tools {
			if t.strict == "" {
				t.strict = "false" // the default of responses is true
			}
			tools = append(tools, typed("function").raw("name", t.name).raw("description", t.description).raw("parameters", t.schema).raw("strict", t.strict).String())
		}
		b.list("tools", tools)
	}
	switch {
	case p.choice.kind == "tool":
		b.raw("tool_choice", typed("function").raw("name", p.choice.name).String())
	case p.choice.kind != "":
		b.str("tool_choice", p.choice.kind)
	}
	if p.oneCall && len(p.tools) > 0 {
		b.raw("parallel_tool_calls", "false")
	}
	b.raw("max_output_tokens", p.maxTokens).raw("temperature", rawOf(p.temperature)).raw("top_p", p.topP)
	if p.effort != "" {
		b.raw("reasoning", new(builder).str("effort", p.effort).String())
	}
	if text := p.responsesText(); len(text.b) > 0 {
		b.raw("text", text.String())
	}
	b.raw("user", p.user)
	for _, s := range p.shared {
		b.raw(s.Key, s.Raw)
	}
	if p.store {
		b.raw("store", "true")
	} else {
		b.raw("store", "false")
	}
	if p.stream {
		b.raw("stream", "true")
	}
	return b.bytes(), nil
}

// responsesText writes the format and verbosity of the answer.
func (p *prompt) responsesText() *builder {
	b := new(builder)
	switch {
	case p.format == nil:
	case p.format.schema == "":
		b.raw("format", `{"type":"json_object"}`)
	default:
		b.raw("format", p.format.members(typed("json_schema")).String())
	}
	return b.raw("verbosity", p.verbosity)
}

// responses writes a turn as one or more items, because each call and each result
// is an item of its own.
func (t *turn) responses() []string {
	var items []string
	var said []part
	flush := func() {
		if len(said) == 0 {
			return
		}
		role := t.role
		if t.developer {
			role = "developer"
		}
		// The model's own texts are written as strings, because parts of an answer
		// have ids in this API.
		if role == "assistant" {
			for i := range said {
				items = append(items, new(builder).str("role", role).raw("content", said[i].text).String())
			}
		} else {
			items = append(items, new(builder).str("role", role).raw("content", responsesParts(said)).String())
		}
		said = nil
	}
	for i := range t.parts {
		switch x := &t.parts[i]; x.kind {
		case callPart:
			flush()
			items = append(items, typed("function_call").str("call_id", x.id).raw("name", x.name).str("arguments", x.input).String())
		case resultPart:
			flush()
			items = append(items, typed("function_call_output").str("call_id", x.id).raw("output", responsesParts(x.results())).String())
		default:
			said = append(said, *x)
		}
	}
	flush()
	return items
}

// responsesParts writes a content, as a string if it is a single text.
func responsesParts(parts []part) string {
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
			if x.detail == "" {
				x.detail = `"auto"`
			}
			out = append(out, typed("input_image").str("image_url", x.address()).raw("detail", x.detail).String())
			continue
		}
		out = append(out, typed("input_text").raw("text", x.text).String())
	}
	return list(out)
}
