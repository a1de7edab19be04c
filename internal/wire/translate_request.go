package wire

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// prompt is a request of no API in particular. Strings are JSON unless they say
// otherwise; an empty one is a field that was not given.
type prompt struct {
	from, to API

	model       string
	turns       []turn
	tools       []tool
	choice      choice
	oneCall     bool // at most one tool may be called at once
	maxTokens   string
	temperature gjson.Result
	topP        string
	stop        []string
	user        string
	effort      string // of reasoning, plain, in OpenAI's words
	format      *format
	stream      bool
	store       bool
	shared      []Setting // what chat and responses have in the same words
	verbosity   string
}

// turn is what one side says.
type turn struct {
	role      string // system, user or assistant
	developer bool   // the system's role was called developer
	parts     []part
}

// part is a part of a turn.
type part struct {
	kind partKind

	text   string // of a text
	url    string // of an image, plain; empty: it is in data
	media  string // the type of the data, plain
	data   string // base64, plain
	detail string // of an image

	id    string // of a call and its result, plain
	name  string // of the function that is called
	input string // plain: what should be JSON, and in chat need not be

	result []part // texts and images
	failed bool   // the result is an error
}

type partKind int

const (
	textPart partKind = iota
	imagePart
	callPart
	resultPart
)

// tool is a function that may be called.
type tool struct{ name, description, schema, strict string }

// choice is which tools may be called.
type choice struct {
	kind string // plain: auto, none, required or tool; empty: not given
	name string // of the tool
}

// format is the form that the answer must have.
type format struct {
	schema                    string // empty: any JSON
	name, description, strict string
}

// defaultMaxTokens is the limit of an answer for Anthropic, which demands one,
// where the client gave none: what all of its models allow. Edits replace it
// with a candidate's own limit, see NoLimitAsked.
const defaultMaxTokens = "4096"

// emptySchema is of a function without parameters.
const emptySchema = `{"type":"object","properties":{}}`

// fieldReader takes one top-level field.
type fieldReader func(p *prompt, v gjson.Result) error

// shared are the fields that chat and responses have in the same words. To
// Anthropic they are hints that change nothing in what is answered, and are
// dropped.
var shared = map[string]bool{"metadata": true, "service_tier": true, "prompt_cache_key": true, "prompt_cache_options": true,
	"prompt_cache_retention": true, "safety_identifier": true}

// dropped are the fields that are left out: the answer is the same without
// them, or as near as another model's answer is. The reason stands beside each.
var dropped = map[string]bool{
	"stream_options": true, // the gateway asks for the usage by itself
	"seed":           true, // another model would not repeat the answer anyway

	"truncation":     true, // of an input that is too long, which is then an error
	"max_tool_calls": true, // counts the provider's own tools, which are refused

	"cache_control": true, // OpenAI caches by itself
	"diagnostics":   true, // about Anthropic's cache
	"speed":         true, // a wish
}

// refusal is why a field cannot be translated, and with which values it says
// nothing and can.
type refusal struct{ reason, harmless string }

const (
	onlyThere   = "only the API that the request was written for has it"
	unknownRole = "the role is not in the other API"
	unknownType = "the type is not in the other API"
)

// refused are the fields that no other API can be told. Harmless values are
// separated by spaces.
var refused = map[string]refusal{
	"n":                    {"the other API gives one answer", "1"},
	"logprobs":             {"the other API gives no probabilities", "false"},
	"top_logprobs":         {"the other API gives no probabilities", "0"},
	"logit_bias":           {onlyThere, "{}"},
	"frequency_penalty":    {onlyThere, "0 0.0"},
	"presence_penalty":     {onlyThere, "0 0.0"},
	"audio":                {"the other API does not speak", ""},
	"modalities":           {"the other API answers in text only", `["text"]`},
	"prediction":           {onlyThere, ""},
	"web_search_options":   {"the provider's own search is not in the other API", ""},
	"functions":            {"it is deprecated: use tools", "[]"},
	"function_call":        {"it is deprecated: use tool_choice", ""},
	"moderation":           {onlyThere, ""},
	"previous_response_id": {"the earlier turns lie with one provider", ""},
	"conversation":         {"the earlier turns lie with one provider", ""},
	"prompt":               {"the prompt lies with one provider", ""},
	"background":           {"the other API answers at once", "false"},
	"context_management":   {onlyThere, "[]"},
	"container":            {onlyThere, ""},
	"mcp_servers":          {"servers that the provider calls are not in the other API", "[]"},
	"inference_geo":        {"where the model runs cannot be said in the other API", ""},
	"top_k":                {onlyThere, ""},
}

func (r refusal) allows(v gjson.Result) bool {
	for _, value := range strings.Fields(r.harmless) {
		if strings.Join(strings.Fields(v.Raw), "") == value {
			return true
		}
	}
	return false
}

// readersOf are the fields that each API can be read from.
func readersOf(api API) map[string]fieldReader {
	switch api {
	case Chat:
		return chatFields
	case Messages:
		return messagesFields
	}
	return responsesFields
}

// commonFields are read alike in every API.
var commonFields = map[string]fieldReader{
	"model": func(p *prompt, v gjson.Result) (err error) {
		p.model, err = textOf(v, "model")
		return err
	},
	"temperature": func(p *prompt, v gjson.Result) error {
		p.temperature = v
		return number(v, "temperature")
	},
	"top_p": func(p *prompt, v gjson.Result) error {
		p.topP = v.Raw
		return number(v, "top_p")
	},
	"stream": func(p *prompt, v gjson.Result) error {
		p.stream = v.Bool()
		return boolean(v, "stream")
	},
}

func number(v gjson.Result, field string) error {
	if v.Type != gjson.Number {
		return refuse(field, "a number is wanted")
	}
	return nil
}

func boolean(v gjson.Result, field string) error {
	if !v.IsBool() {
		return refuse(field, "true or false is wanted")
	}
	return nil
}

// readPrompt reads a request, which must be valid JSON.
func readPrompt(text string, from, to API) (*prompt, error) {
	p := &prompt{from: from, to: to}
	if !gjson.Parse(text).IsObject() {
		return nil, refuse("", "the body is not a JSON object")
	}
	top := readTop(text)
	if key, twice := top.repeated(); twice {
		return nil, refuse(fieldName(key), "the field appears twice")
	}
	for i := range top.members {
		m := &top.members[i]
		if given(m.value) {
			if err := p.field(m.key, m.value); err != nil {
				return nil, err
			}
		}
	}
	if len(p.turns) == 0 {
		return nil, refuse("", "there is nothing to answer")
	}
	return p, p.finish()
}

// field takes one top-level field.
func (p *prompt) field(key string, v gjson.Result) error {
	if read := commonFields[key]; read != nil {
		return read(p, v)
	}
	if read := readersOf(p.from)[key]; read != nil {
		return read(p, v)
	}
	if shared[key] {
		if p.to != Messages && p.from != Messages {
			p.shared = append(p.shared, Setting{key, v.Raw})
		}
		return nil
	}
	if dropped[key] {
		return nil
	}
	if r, ok := refused[key]; ok {
		if r.allows(v) {
			return nil
		}
		return refuse(key, r.reason)
	}
	return refuse(fieldName(key), unknownField)
}

const unknownField = "the field is unknown, so it cannot be translated"

// onlyKnown refuses what is not an object, and one with other members than these.
func onlyKnown(v gjson.Result, field string, known ...string) (err error) {
	if !v.IsObject() {
		return refuse(field, "an object is wanted")
	}
	v.ForEach(func(key, value gjson.Result) bool {
		if given(value) && !slices.Contains(known, key.Str) {
			err = refuse(field+"."+fieldName(key.Str), unknownField)
		}
		return err == nil
	})
	return err
}

// finish brings the turns into the order that the other API wants.
func (p *prompt) finish() error {
	if p.from == Messages && p.turns[len(p.turns)-1].role == "assistant" {
		return refuse("messages", "only Anthropic's models go on from the beginning of an answer")
	}
	if p.to == Messages {
		// Its system prompt stands before the turns. Anthropic's own endpoint for
		// chat clients moves later ones there too.
		slices.SortStableFunc(p.turns, func(a, b turn) int { return cmp.Compare(a.rank(), b.rank()) })
	}
	var out []turn
	for _, t := range p.turns {
		if last := len(out) - 1; last >= 0 && out[last].role == t.role && p.merges(t.role) {
			out[last].parts = append(out[last].parts, t.parts...)
			continue
		}
		out = append(out, t)
	}
	p.turns = out
	return nil
}

// rank puts the system before the others.
func (t *turn) rank() int {
	if t.role == "system" {
		return 0
	}
	return 1
}

// merges reports whether turns of a role that follow each other become one.
// Anthropic wants the sides to take turns. Responses has an item for each call,
// where chat and messages have all calls of a turn in one message.
func (p *prompt) merges(role string) bool {
	return p.to == Messages || p.from == Responses && role == "assistant"
}

// write writes the prompt in the words of the API it goes to.
func (p *prompt) write() ([]byte, error) {
	switch p.to {
	case Chat:
		return p.writeChat()
	case Messages:
		return p.writeMessages()
	}
	return p.writeResponses()
}

// image reads an image's address, which may be data.
func image(url gjson.Result, field string) (part, error) {
	if url.Type != gjson.String {
		return part{}, refuse(field, "a string is wanted")
	}
	data, ok := strings.CutPrefix(url.Str, "data:")
	if !ok {
		if !strings.HasPrefix(url.Str, "https://") && !strings.HasPrefix(url.Str, "http://") {
			return part{}, refuse(field, "an image's address begins with https:// or data:")
		}
		return part{kind: imagePart, url: url.Str}, nil
	}
	head, data, ok := strings.Cut(data, ",")
	head, base64 := strings.CutSuffix(head, ";base64")
	if !ok || !base64 {
		return part{}, refuse(field, "an image's data are base64")
	}
	media, _, _ := strings.Cut(head, ";")
	return part{kind: imagePart, media: media, data: data}, nil
}

// address is an image's address, with the data in it if it has none.
func (p *part) address() string {
	if p.url != "" {
		return p.url
	}
	return "data:" + p.media + ";base64," + p.data
}

// newTool makes a tool of its fields, some of which may be missing.
func newTool(v gjson.Result, schema, field string) (tool, error) {
	t := tool{description: rawOf(v.Get("description")), schema: rawOf(v.Get(schema)), strict: rawOf(v.Get("strict"))}
	if t.schema == "" {
		t.schema = emptySchema
	}
	if !v.Get(schema).IsObject() && t.schema != emptySchema {
		return t, refuse(field+"."+schema, "a schema is wanted")
	}
	var err error
	t.name, err = textOf(v.Get("name"), field+".name")
	return t, err
}
