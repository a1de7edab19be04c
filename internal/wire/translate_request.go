package wire

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// prompt is a request that belongs to no API. Its strings are JSON unless they
// are called plain. An empty string is a field that is not set.
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
	effort      string // of reasoning, in OpenAI's words, plain
	format      *format
	stream      bool
	store       bool
	shared      []Setting // the fields that are the same in chat and responses
	verbosity   string
}

// turn is a message of one side.
type turn struct {
	role      string // system, user or assistant
	developer bool   // the system role was called developer
	parts     []part
}

// part is a part of a turn.
type part struct {
	kind partKind

	text   string // of a text
	url    string // of an image, plain; empty if data is set
	media  string // the type of data, plain
	data   string // of an image, base64, plain
	detail string // of an image

	id    string // of a call and its result, plain
	name  string // of the function of a call
	input string // of a call, plain: should be JSON, but need not be in chat

	result []part // texts and images of a result
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

// choice says which tools may be called.
type choice struct {
	kind string // auto, none, required or tool, plain; empty if not set
	name string // of the tool
}

// format is the format of the answer.
type format struct {
	schema                    string // empty means any JSON
	name, description, strict string
}

// defaultMaxTokens is the token limit for Anthropic, which requires one, if the
// client set none. All of its models allow it. Edits replace it with a candidate's
// own limit, see NoLimitAsked.
const defaultMaxTokens = "4096"

// emptySchema is the schema of a function without parameters.
const emptySchema = `{"type":"object","properties":{}}`

// fieldReader reads one top-level field.
type fieldReader func(p *prompt, v gjson.Result) error

// shared holds the fields that are the same in chat and responses. For Anthropic
// they are dropped, because they are hints that do not change the answer.
var shared = map[string]bool{"metadata": true, "service_tier": true, "prompt_cache_key": true, "prompt_cache_options": true,
	"prompt_cache_retention": true, "safety_identifier": true}

// dropped holds the fields that are dropped, because the answer is the same
// without them, or as close as an answer of another model can be.
var dropped = map[string]bool{
	"stream_options": true, // the gateway asks for the usage itself
	"seed":           true, // another model would not repeat the answer anyway

	"truncation":     true, // without it, an input that is too long is an error
	"max_tool_calls": true, // limits the provider's own tools, which are refused

	"cache_control": true, // OpenAI caches without it
	"diagnostics":   true, // about Anthropic's cache
	"speed":         true, // a preference
}

// refusal is the reason why a field cannot be translated. A field with a harmless
// value, which has no effect, is dropped instead.
type refusal struct{ reason, harmless string }

const (
	noField     = "the other API has no such field"
	unknownRole = "the other API has no such role"
	unknownType = "the other API has no such type"
)

// refused holds the fields that the other APIs do not have. Harmless values are
// separated by spaces.
var refused = map[string]refusal{
	"n":                    {"the other API returns a single answer", "1"},
	"logprobs":             {"the other API returns no probabilities", "false"},
	"top_logprobs":         {"the other API returns no probabilities", "0"},
	"logit_bias":           {noField, "{}"},
	"frequency_penalty":    {noField, "0 0.0"},
	"presence_penalty":     {noField, "0 0.0"},
	"audio":                {"the other API has no audio output", ""},
	"modalities":           {"the other API answers in text only", `["text"]`},
	"prediction":           {noField, ""},
	"web_search_options":   {"the other API does not have the provider's web search", ""},
	"functions":            {"it is deprecated: use tools", "[]"},
	"function_call":        {"it is deprecated: use tool_choice", ""},
	"moderation":           {noField, ""},
	"previous_response_id": {"the earlier turns are stored at one provider", ""},
	"conversation":         {"the earlier turns are stored at one provider", ""},
	"prompt":               {"the prompt is stored at one provider", ""},
	"background":           {"the other API cannot answer in the background", "false"},
	"context_management":   {noField, "[]"},
	"container":            {noField, ""},
	"mcp_servers":          {"the other API has no field for MCP servers", "[]"},
	"inference_geo":        {"the other API cannot choose where the model runs", ""},
	"top_k":                {noField, ""},
}

func (r refusal) allows(v gjson.Result) bool {
	for _, value := range strings.Fields(r.harmless) {
		if strings.Join(strings.Fields(v.Raw), "") == value {
			return true
		}
	}
	return false
}

// readersOf returns the readers of an API's fields.
func readersOf(api API) map[string]fieldReader {
	switch api {
	case Chat:
		return chatFields
	case Messages:
		return messagesFields
	}
	return responsesFields
}

// commonFields holds the readers of fields that are the same in every API.
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
		return refuse(field, "want a number")
	}
	return nil
}

func boolean(v gjson.Result, field string) error {
	if !v.IsBool() {
		return refuse(field, "want true or false")
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

// field reads one top-level field.
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

// onlyKnown refuses a value that is not an object or has other members.
func onlyKnown(v gjson.Result, field string, known ...string) (err error) {
	if !v.IsObject() {
		return refuse(field, "want an object")
	}
	v.ForEach(func(key, value gjson.Result) bool {
		if given(value) && !slices.Contains(known, key.Str) {
			err = refuse(field+"."+fieldName(key.Str), unknownField)
		}
		return err == nil
	})
	return err
}

// finish puts the turns in the order that the other API wants.
func (p *prompt) finish() error {
	if p.from == Messages && p.turns[len(p.turns)-1].role == "assistant" {
		return refuse("messages", "only Anthropic's models continue an answer that the request begins")
	}
	if p.to == Messages {
		// The system prompt must come first. Anthropic's own endpoint for chat
		// clients moves later system turns there too.
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

// rank orders system turns before the others.
func (t *turn) rank() int {
	if t.role == "system" {
		return 0
	}
	return 1
}

// merges reports whether consecutive turns of a role become one. Anthropic wants
// the roles to alternate. Responses have an item for each call, while chat and
// messages have all calls of a turn in one message.
func (p *prompt) merges(role string) bool {
	return p.to == Messages || p.from == Responses && role == "assistant"
}

// write writes the prompt for the API that it goes to.
func (p *prompt) write() ([]byte, error) {
	switch p.to {
	case Chat:
		return p.writeChat()
	case Messages:
		return p.writeMessages()
	}
	return p.writeResponses()
}

// image reads an image's URL, which may hold the data.
func image(url gjson.Result, field string) (part, error) {
	if url.Type != gjson.String {
		return part{}, refuse(field, "want a string")
	}
	data, ok := strings.CutPrefix(url.Str, "data:")
	if !ok {
		if !strings.HasPrefix(url.Str, "https://") && !strings.HasPrefix(url.Str, "http://") {
			return part{}, refuse(field, "want a URL that begins with https:// or data:")
		}
		return part{kind: imagePart, url: url.Str}, nil
	}
	head, data, ok := strings.Cut(data, ",")
	head, base64 := strings.CutSuffix(head, ";base64")
	if !ok || !base64 {
		return part{}, refuse(field, "want data in base64")
	}
	media, _, _ := strings.Cut(head, ";")
	return part{kind: imagePart, media: media, data: data}, nil
}

// address returns the image's URL or, if it has none, a URL with the data.
func (p *part) address() string {
	if p.url != "" {
		return p.url
	}
	return "data:" + p.media + ";base64," + p.data
}

// newTool reads a tool. Only its name is required. schema is the name of the field
// with its schema.
func newTool(v gjson.Result, schema, field string) (tool, error) {
	t := tool{description: rawOf(v.Get("description")), schema: rawOf(v.Get(schema)), strict: rawOf(v.Get("strict"))}
	if t.schema == "" {
		t.schema = emptySchema
	}
	if !v.Get(schema).IsObject() && t.schema != emptySchema {
		return t, refuse(field+"."+schema, "want a JSON schema")
	}
	var err error
	t.name, err = textOf(v.Get("name"), field+".name")
	return t, err
}
