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
	facts    Facts
	notes    Notes
	names    toolNames
	ids      callIDs

	model       string
	turns       []turn
	tools       []tool
	found       []tool          // tools that the conversation added
	withdrawn   map[string]bool // the tools that the conversation withdrew, by name
	functions   int             // how many tools were declared as functions of chat
	laterEffort string          // like effort, but set within the conversation, which comes first
	inItem      bool            // an item of the conversation is being read
	leftOut     bool            // a tool was left out
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

// drop notes that a field is left out.
func (p *prompt) drop(field string) { note(&p.notes.Dropped, field) }

// narrow notes that a field has another value. Both are plain.
func (p *prompt) narrow(field, to string) { note(&p.notes.Narrowed, field+"="+to) }

// turn is a message of one side.
type turn struct {
	role      string // system, user or assistant
	developer bool   // the system role was called developer
	once      bool   // it is shown only until the user's next turn
	parts     []part
}

// part is a part of a turn.
type part struct {
	kind  partKind
	cache string // marks the end of what Anthropic is to cache

	text   string // of a text
	url    string // of an image or file, plain; empty if data is set
	media  string // the type of data, plain
	data   string // of an image or file, base64, plain
	detail string // of an image
	title  string // of a file, plain

	id    string // of a call and its result, plain
	name  string // of the function of a call
	input string // of a call, plain: should be JSON, but need not be in chat

	result []part // the content of a result, without calls and results
	failed bool   // the result is an error
}

type partKind int

const (
	textPart partKind = iota
	imagePart
	filePart
	callPart
	resultPart
	thoughtPart // reasoning, only for models that want it back
)

// tool is a function that may be called.
type tool struct{ name, description, schema, strict, cache string }

// choice says which tools may be called.
type choice struct {
	kind string          // auto, none, required or tool, plain; empty if not set
	name string          // of the tool
	only map[string]bool // the names of the tools that may be called; nil: all
}

// format is the format of the answer.
type format struct {
	schema                    string // empty means any JSON
	name, description, strict string
}

// unasked is the token limit for Anthropic, which requires one, if neither the
// client nor the candidate's settings have one. If the answer is not streamed, the
// limit is never higher, because Anthropic's clients refuse longer calls. Edits
// replace it with a candidate's own limit, see NoLimitAsked.
const unasked = 32_000

// leastOutput is the lowest limit on output tokens that responses take.
const leastOutput = 16

// emptySchema is the schema of a function without parameters.
const emptySchema = `{"type":"object","properties":{}}`

// fieldReader reads one top-level field.
type fieldReader func(p *prompt, v gjson.Result) error

// shared holds the fields that are the same in chat and responses. For Anthropic
// they are left out, because they are hints that do not change the answer.
var shared = map[string]bool{"metadata": true, "service_tier": true, "prompt_cache_key": true, "prompt_cache_options": true,
	"prompt_cache_retention": true, "safety_identifier": true}

// refusal is the reason why a field cannot be translated. A field with a harmless
// value, which has no effect, is ignored instead.
type refusal struct{ reason, harmless string }

const (
	unknownRole = "the other API has no such role"
	unknownType = "the other API has no such type"
	noField     = "the other API has no such field"
)

// refused holds the fields that the other APIs do not have, and without which the
// client would not get what it asked for. Harmless values are separated by spaces.
var refused = map[string]refusal{
	"n":                    {"the other API returns a single answer", "1"},
	"logprobs":             {"the other API returns no probabilities", "false"},
	"top_logprobs":         {"the other API returns no probabilities", "0"},
	"audio":                {"the other API has no audio output", ""},
	"modalities":           {"the other API answers in text only", `["text"]`},
	"previous_response_id": {"the earlier turns are stored at one provider", ""},
	"conversation":         {"the earlier turns are stored at one provider", ""},
	"prompt":               {"the prompt is stored at one provider", ""},
	"background":           {"the other API cannot answer in the background", "false"},
	"container":            {"the container is at one provider", ""},
	"mcp_servers":          {"the other API has no field for MCP servers", "[]"},
	"inference_geo":        {"the other API cannot choose where the model runs", ""},
}

// harmless holds the values of fields of which it need not be said that they are
// left out, because they have no effect. All other fields that are neither read nor
// refused are left out and noted.
var harmless = map[string]string{
	"logit_bias":         "{}",
	"frequency_penalty":  "0 0.0",
	"presence_penalty":   "0 0.0",
	"context_management": "[]",
	"truncation":         `"disabled"`,
	"service_tier":       `"auto" "default"`,
	"metadata":           "{}",
}

// isOneOf reports whether the JSON of a value, without white space, is one of those
// in a list that is separated by spaces.
func isOneOf(v gjson.Result, values string) bool {
	return slices.Contains(strings.Fields(values), strings.Join(strings.Fields(v.Raw), ""))
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
func readPrompt(text string, from, to API, facts Facts) (*prompt, error) {
	p := &prompt{from: from, to: to, facts: facts, ids: newCallIDs(to)}
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
		return nil, refuse("", nothing)
	}
	return p, p.finish()
}

// nothing is the reason why a request without any content cannot be translated.
const nothing = "there is nothing to answer"

// field reads one top-level field.
func (p *prompt) field(key string, v gjson.Result) error {
	if read := commonFields[key]; read != nil {
		return read(p, v)
	}
	if read := readersOf(p.from)[key]; read != nil {
		return read(p, v)
	}
	if shared[key] && p.to != Messages && p.from != Messages && !p.facts.Foreign {
		p.shared = append(p.shared, Setting{key, v.Raw})
		return nil
	}
	if r, ok := refused[key]; ok {
		if isOneOf(v, r.harmless) {
			return nil
		}
		return refuse(key, r.reason)
	}
	switch {
	case key == "stream_options": // the gateway asks for the usage itself
	case isOneOf(v, harmless[key]):
	case key == "metadata" && onlyOwn(v):
	default:
		p.drop(fieldName(key))
	}
	return nil
}

// onlyOwn reports whether all metadata is meant for the gateway.
func onlyOwn(v gjson.Result) bool {
	own := v.IsObject()
	v.ForEach(func(key, _ gjson.Result) bool {
		own = own && strings.HasPrefix(key.Str, ownPrefix)
		return own
	})
	return own
}

// known refuses a value that is not an object, and notes that its other members are
// left out.
func (p *prompt) known(v gjson.Result, field string, known ...string) error {
	if !v.IsObject() {
		return refuse(field, "want an object")
	}
	p.others(v, field, known, given)
	return nil
}

// others notes that the members of an object which are not known, and have an effect, are
// left out.
func (p *prompt) others(v gjson.Result, field string, known []string, effective func(gjson.Result) bool) {
	v.ForEach(func(key, value gjson.Result) bool {
		if !slices.Contains(known, key.Str) && effective(value) {
			p.drop(field + "." + fieldName(key.Str))
		}
		return true
	})
}

// inMessage notes that the members of a message which are not known are left out. Empty
// ones, which clients add to the answers that they send back, have no effect.
func (p *prompt) inMessage(v gjson.Result, known []string) {
	p.others(v, "messages[]", known, func(value gjson.Result) bool { return given(value) && !isOneOf(value, `[] {} ""`) })
}

// finish makes the prompt one that the other API and the model accept.
func (p *prompt) finish() error {
	if p.from == Messages && p.turns[len(p.turns)-1].role == "assistant" {
		return refuse("messages", "only Anthropic's models continue an answer that the request begins")
	}
	if err := p.fitTools(); err != nil {
		return err
	}
	p.fitOnce()
	p.fitNumbers()
	p.effort = cmp.Or(p.laterEffort, p.effort)
	p.fitEffort()
	p.fitUser()
	if p.to == Messages {
		p.fitFormat()
		p.fitBlank()
		// The system prompt must come first. Anthropic's own endpoint for chat
		// clients moves later system turns there too.
		slices.SortStableFunc(p.turns, func(a, b turn) int { return cmp.Compare(a.rank(), b.rank()) })
		p.fitMarks()
		p.fitRoles()
		p.fitInputs()
	} else {
		p.fitEmpty()
	}
	if p.to == Chat && p.facts.Foreign {
		p.fitSystem()
	}
	p.turns = p.merged(p.turns)
	if p.facts.WantsReasoning {
		p.fitReasoning()
	}
	if p.to != Responses {
		p.fitResults()
	}
	return nil
}

// merged returns turns in which consecutive ones are one, if the API wants that.
func (p *prompt) merged(turns []turn) []turn {
	var out []turn
	results := false // the last turn has nothing else
	for _, t := range turns {
		last := len(out) - 1
		if last >= 0 && out[last].role == t.role && (p.merges(t.role) || p.to == Chat && results && t.results()) {
			out[last].parts = append(out[last].parts, t.parts...)
			results = results && t.results()
			continue
		}
		out = append(out, t)
		results = t.results()
	}
	return out
}

// rank orders system turns before the others.
func (t *turn) rank() int {
	if t.role == "system" {
		return 0
	}
	return 1
}

// results reports whether a turn has nothing but results of calls. In chat, images of one
// result come after all results.
func (t *turn) results() bool {
	return t.role == "user" && len(t.parts) > 0 && !slices.ContainsFunc(t.parts, func(x part) bool { return x.kind != resultPart })
}

// merges reports whether consecutive turns of a role become one. Anthropic wants
// the roles to alternate, and so do the templates of many models. Responses have an item
// for each call, while chat and messages have all calls of a turn in one message.
func (p *prompt) merges(role string) bool {
	return p.to == Messages || p.from == Responses && role == "assistant" || p.to == Chat && p.facts.Foreign && role != "assistant"
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
	return file(imagePart, url, field)
}

// file reads the URL of an image or file, which may hold the data.
func file(kind partKind, url gjson.Result, field string) (part, error) {
	if url.Type != gjson.String {
		return part{}, refuse(field, "want a string")
	}
	data, ok := strings.CutPrefix(url.Str, "data:")
	if !ok {
		if !strings.HasPrefix(url.Str, "https://") && !strings.HasPrefix(url.Str, "http://") {
			return part{}, refuse(field, "want a URL that begins with https:// or data:")
		}
		return part{kind: kind, url: url.Str}, nil
	}
	head, data, ok := strings.Cut(data, ",")
	head, base64 := strings.CutSuffix(head, ";base64")
	if !ok || !base64 {
		return part{}, refuse(field, "want data in base64")
	}
	media, _, _ := strings.Cut(head, ";")
	return part{kind: kind, media: media, data: data}, nil
}

// imageTypes holds the types of images by the beginning of their data in base64.
var imageTypes = map[string]string{"/9j/": "image/jpeg", "iVBORw0KGgo": "image/png", "R0lGOD": "image/gif", "UklGR": "image/webp"}

// imageType returns the type of an image, which must be right for Anthropic.
func (p *part) imageType() string {
	for begin, media := range imageTypes {
		if strings.HasPrefix(p.data, begin) {
			return media
		}
	}
	if p.media == "image/jpg" {
		return "image/jpeg"
	}
	return p.media
}

const pdf = "application/pdf"

// openAIFile reads a file in the form of chat and responses.
func openAIFile(v gjson.Result, field string) (part, error) {
	if given(v.Get("file_id")) {
		return part{}, refuse(field+".file_id", storedFile)
	}
	data := v.Get("file_data")
	var f part
	var err error
	switch {
	case given(v.Get("file_url")):
		f, err = file(filePart, v.Get("file_url"), field+".file_url")
	case data.Type == gjson.String && !strings.HasPrefix(data.Str, "data:"): // without a type, it is a PDF
		f = part{kind: filePart, media: pdf, data: data.Str}
	default:
		f, err = file(filePart, data, field+".file_data")
	}
	f.title = v.Get("filename").Str
	return f, err
}

// storedFile is the reason why a file cannot be translated.
const storedFile = "the file is stored at one provider"

// address returns the URL of an image or file or, if it has none, a URL with the
// data.
func (p *part) address() string {
	if p.url != "" {
		return p.url
	}
	return "data:" + p.media + ";base64," + p.data
}

// addTool reads a tool and adds it. Only its name is required. schema is the name of
// the field with its schema.
func (p *prompt) addTool(original toolName, v gjson.Result, schema, field string) error {
	name := v.Get("name")
	if _, err := textOf(name, field+".name"); err != nil {
		return err
	}
	t := tool{description: rawOf(v.Get("description")), schema: rawOf(v.Get(schema)), strict: rawOf(v.Get("strict")), cache: rawOf(v.Get("cache_control"))}
	if t.schema != "" && !v.Get(schema).IsObject() {
		return refuse(field+"."+schema, "want a JSON schema")
	}
	moved := false
	if t.schema, moved = withoutUnions(objectSchema(cmp.Or(t.schema, emptySchema))); moved {
		p.narrow("tools[].parameters", "description")
	}
	if p.to == Messages {
		t.schema = current(t.schema)
	}
	p.others(v, "tools[]", []string{"type", "name", "description", schema, "strict", "cache_control"}, given)
	p.add(t, original, name)
	return nil
}

// add adds a tool.
func (p *prompt) add(t tool, original toolName, name gjson.Result) {
	original.name = name.Str
	t.name = p.names.flat(p.to, original, name.Raw)
	if t.cache != "" && p.to != Messages {
		p.drop("tools[].cache_control")
		t.cache = ""
	}
	if p.inItem {
		p.found = append(p.found, t)
	} else {
		p.tools = append(p.tools, t)
	}
}

// addCustom adds a tool whose input is text: a function with one parameter. Its
// grammar, if any, becomes part of the description.
func (p *prompt) addCustom(namespace string, v, grammar gjson.Result, field string) error {
	if _, err := textOf(v.Get("name"), field+".name"); err != nil {
		return err
	}
	description := v.Get("description").Str
	if definition := grammar.Get("definition"); definition.Type == gjson.String {
		description += "\n\nThe input must follow this grammar (" + grammar.Get("syntax").Str + "):\n" + definition.Str
		p.narrow("tools[].format", "description")
	}
	p.others(v, "tools[]", []string{"type", "name", "description", "format"}, given)
	t := tool{schema: customSchema}
	if description = strings.TrimSpace(description); description != "" {
		t.description = quote(description)
	}
	p.add(t, toolName{kind: customTool, namespace: namespace}, v.Get("name"))
	return nil
}

// customSchema is the schema of a function that stands for a tool whose input is
// text.
const customSchema = `{"type":"object","properties":{"input":{"type":"string","description":"The whole input of the tool, as text."}},"required":["input"],"additionalProperties":false}`

// leaveOut reports whether a kind of tool is run by the provider and can be left out,
// because the model can answer without it, and notes that.
func (p *prompt) leaveOut(kind string) bool {
	for _, begin := range []string{"web_search", "web_fetch", "tool_search", "image_generation"} {
		if strings.HasPrefix(kind, begin) {
			p.drop("tools[]." + fieldName(kind))
			p.leftOut = true
			return true
		}
	}
	return false
}
