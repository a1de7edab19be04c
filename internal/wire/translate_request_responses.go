package wire

import (
	"cmp"
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
	"tools": func(p *prompt, v gjson.Result) error { return each(v, "tools", p.responsesTool) },
	"tool_choice": func(p *prompt, v gjson.Result) error {
		return p.openAIChoice(v, func(v gjson.Result) gjson.Result { return v.Get("name") })
	},
	"parallel_tool_calls": readParallel,
	"max_output_tokens":   readMaxTokens,
	"user":                readUser,
	"reasoning": func(p *prompt, v gjson.Result) error {
		if effort := v.Get("effort"); given(effort) {
			if err := p.openAIEffort(effort, "reasoning.effort"); err != nil {
				return err
			}
		}
		return p.known(v, "reasoning", "effort")
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
		return p.known(v, "text", "format", "verbosity")
	},
	// Clients that ask for encrypted reasoning work without it. Except for
	// probabilities, the other things to include belong to the provider's tools.
	"include": func(p *prompt, v gjson.Result) error {
		return each(v, "include", func(field string, v gjson.Result) error {
			if strings.HasSuffix(v.Str, "logprobs") {
				return refuse(field, "the other API returns no probabilities")
			}
			p.drop("include")
			return nil
		})
	},
	"store": func(p *prompt, v gjson.Result) error {
		if v.Bool() {
			p.drop("store")
		}
		return boolean(v, "store")
	},
}

// responsesTool reads a tool. Without a value of strict, the tool is strict at
// OpenAI if its schema allows that, and not strict elsewhere.
func (p *prompt) responsesTool(field string, v gjson.Result) error {
	return p.responsesToolIn("", field, v)
}

func (p *prompt) responsesToolIn(namespace, field string, v gjson.Result) error {
	switch kind := v.Get("type").Str; {
	case kind == "function":
		return p.addTool(toolName{namespace: namespace}, v, "parameters", field)
	case kind == "custom":
		return p.addCustom(namespace, v, v.Get("format"), field)
	case kind == "namespace" && namespace == "":
		return p.responsesNamespace(field, v)
	case kind == "tool_search" && v.Get("execution").Str == "client":
		t := tool{description: rawOf(v.Get("description")), schema: emptySchema}
		if parameters := v.Get("parameters"); parameters.IsObject() {
			t.schema = objectSchema(parameters.Raw)
		}
		p.add(t, toolName{kind: searchTool}, searchName)
		return nil
	case p.leaveOut(kind):
		return nil
	}
	return refuse(field, "the other API has no such kind of tool")
}

// searchName is the name of the function for the client's own search for tools.
var searchName = gjson.Parse(`"tool_search"`)

// responsesNamespace reads a namespace of tools. Its first tool gets its description.
func (p *prompt) responsesNamespace(field string, v gjson.Result) error {
	name, list := v.Get("name"), &p.tools
	if p.inItem {
		list = &p.found
	}
	before := len(*list)
	if _, err := textOf(name, field+".name"); err != nil {
		return err
	}
	err := each(v.Get("tools"), field+".tools", func(field string, v gjson.Result) error {
		return p.responsesToolIn(name.Str, field, v)
	})
	if about := v.Get("description").Str; about != "" && len(*list) > before {
		first := &(*list)[before]
		first.description = quote(strings.TrimSpace("About " + name.Str + ": " + about + "\n\n" + gjson.Parse(first.description).Str))
	}
	return err
}

// responsesItem reads an item of the input. It leaves out reasoning, which is
// encrypted for the model that wrote it, and what the provider's own tools did.
func (p *prompt) responsesItem(field string, v gjson.Result) error {
	t := turn{role: v.Get("role").Str}
	kind := v.Get("type").Str
	if isReference(v) {
		kind = referenceItem
	}
	var err error
	switch kind {
	case "", "message":
		switch t.role {
		case "user", "assistant", "system":
		case "developer":
			t.role, t.developer = "system", true
		default:
			return refuse(field+".role", unknownRole)
		}
		t.parts, err = p.responsesContent(v.Get("content"), field+".content", t.role == "user")
	case "function_call", "custom_tool_call", "tool_search_call":
		if kind == "tool_search_call" && v.Get("execution").Str != "client" {
			p.drop("input[]." + kind)
			return nil
		}
		t.role = "assistant"
		var call part
		call, err = p.responsesCall(kind, field, v)
		t.parts = []part{call}
	case "function_call_output", "custom_tool_call_output":
		t.role = "user"
		result := part{kind: resultPart, id: p.ids.result(v.Get("call_id").Str, "")}
		if output := v.Get("output"); given(output) {
			result.result, err = p.responsesContent(output, field+".output", true)
		}
		t.parts = []part{result}
	case "tool_search_output", "additional_tools":
		before := len(p.found)
		p.inItem = true
		err = each(v.Get("tools"), field+".tools", p.responsesTool)
		p.inItem = false
		if kind == "additional_tools" || v.Get("execution").Str != "client" {
			return err
		}
		t.role = "user"
		t.parts = []part{{kind: resultPart, id: p.ids.result(v.Get("call_id").Str, ""), result: []part{{text: quote(loaded(p.found[before:]))}}}}
	case referenceItem:
		if strings.HasPrefix(v.Get("id").Str, "rs_") {
			p.drop("input[].reasoning")
			return nil
		}
		return refuse(field, "the item is stored at one provider: let the client send whole items (store: false)")
	case "reasoning":
		t.role = "assistant"
		if t.parts = p.thoughts(v); len(t.parts) == 0 {
			p.drop("input[].reasoning")
			return nil
		}
	case "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call", "mcp_list_tools":
		p.drop("input[]." + kind)
		return nil
	default:
		return refuse(field, unknownType)
	}
	p.turns = append(p.turns, t)
	return err
}

// thoughts returns the text of a reasoning, if the model wants it back.
func (p *prompt) thoughts(v gjson.Result) []part {
	if !p.facts.WantsReasoning || p.to != Chat {
		return nil
	}
	a := answer{}
	a.readReasoning(v)
	var out []part
	for i := range a.parts {
		out = append(out, part{kind: thoughtPart, text: quote(a.parts[i].text)})
	}
	return out
}

// loaded returns the result of a search for tools.
func loaded(tools []tool) string {
	if len(tools) == 0 {
		return "No tools were found."
	}
	var names []string
	for _, t := range tools {
		names = append(names, gjson.Parse(t.name).Str)
	}
	return "These tools can be called: " + strings.Join(names, ", ") + "."
}

// responsesCall reads a call of a tool of the client's.
func (p *prompt) responsesCall(kind, field string, v gjson.Result) (part, error) {
	original := toolName{namespace: v.Get("namespace").Str, name: v.Get("name").Str}
	input := argumentsOf(v.Get("arguments"))
	name, err := v.Get("name").Raw, error(nil)
	switch kind {
	case "tool_search_call":
		original, name = toolName{kind: searchTool, name: searchName.Str}, searchName.Raw
		input = cmp.Or(v.Get("arguments").Raw, "{}")
	case "custom_tool_call":
		original.kind, input = customTool, customArguments(v.Get("input").Str)
	}
	if kind != "tool_search_call" {
		name, err = textOf(v.Get("name"), field+".name")
	}
	return p.call(v.Get("call_id").Str, original, name, input), err
}

// responsesContent reads a content, which is a string or a list of parts. rich says
// that it may contain images and files.
func (p *prompt) responsesContent(v gjson.Result, field string, rich bool) ([]part, error) {
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
		case kind == "input_image" && rich && !given(v.Get("file_id")):
			next, err = image(v.Get("image_url"), field+".image_url")
			next.detail = rawOf(v.Get("detail"))
		case kind == "input_file" && rich:
			next, err = openAIFile(v, field)
		default:
			return refuse(field, unknownType)
		}
		p.cached(&next, v)
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
	if len(items) == 0 {
		return nil, refuse("messages", nothing)
	}
	b.list("input", items)
	if len(p.tools) > 0 {
		var tools []string
		for _, t := range p.tools {
			p.strictForOpenAI(&t)
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
		if x.kind == filePart {
			f := typed("input_file")
			if x.url != "" {
				f.str("file_url", x.url)
			} else {
				f.str("filename", cmp.Or(x.title, fileName)).str("file_data", x.address())
			}
			out = append(out, f.String())
			continue
		}
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
