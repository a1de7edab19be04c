package simulate

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot/internal/wire"
)

// request is the part of a request that a model uses. It is not read with the
// gateway's code, so that neither hides a mistake of the other.
type request struct {
	api    wire.API
	model  string
	stream bool
	usage  bool // the client asks for the usage of a stream
	turns  []turn
	hash   uint64 // of the conversation
	extra  int    // tokens of tools and formats
	limit  int    // of output tokens, 0 if there is none
	n      int    // number of answers
	// effort is the share of reasoning in the output.
	effort   float64
	thinking bool // reasoning is shown
	cache    bool // the client marks what to cache
	tool     *gjson.Result
	json     bool
	schema   gjson.Result
	previous string // the response from which this one continues
	// tier is the service tier that is billed and that the answer names, if it is not
	// the default.
	tier string
}

// turn is one message.
type turn struct {
	tokens int
	hash   uint64 // of this and all turns before it
	result bool   // the result of a tool
	user   bool
	text   string // its parts of text, in lines
}

// Tokens of what is not text.
const (
	turnTokens  = 4
	imageTokens = 765
)

// parse reads a request of chat, messages or responses. If count is set, it only
// asks for a count of tokens, and needs no limit.
func parse(api wire.API, body []byte, count bool) (*request, *refusal) {
	if !json.Valid(body) { // unlike gjson, json limits the depth
		return nil, invalidJSON(api)
	}
	v := gjson.ParseBytes(body)
	r := &request{api: api, n: 1}
	var turns, system, tools, choice gjson.Result
	v.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "model":
			r.model = v.Str
		case "messages", "input":
			turns = v
		case "system", "instructions":
			system = v
		case "tools":
			tools = v
		case "tool_choice":
			choice = v
		case "functions", "function_call":
			r.extra += len(v.Raw) / 4
		default:
			r.option(key.Str, v)
		}
		return true
	})
	if bad := r.check(v, turns, count); bad != nil {
		return nil, bad
	}
	r.readTurns(system, turns)
	if tools.IsArray() {
		r.extra += len(tools.Raw) / 4
		r.chooseTool(tools, choice)
	}
	return r, nil
}

// option reads a top-level field that is not part of the conversation or the tools.
func (r *request) option(key string, v gjson.Result) {
	switch key {
	case "stream":
		r.stream = v.Bool()
	case "stream_options":
		r.usage = v.Get("include_usage").Bool()
	case "max_tokens", "max_completion_tokens", "max_output_tokens":
		r.limit = int(min(max(v.Int(), 0), 1<<30))
	case "n":
		r.n = int(min(max(v.Int(), 1), 128))
	case "reasoning_effort":
		r.effort = effortShare(v.Str)
	case "reasoning":
		r.effort = effortShare(v.Get("effort").Str)
	case "thinking":
		if kind := v.Get("type").Str; kind == "enabled" || kind == "adaptive" {
			r.effort, r.thinking = 0.5, true
		}
	case "cache_control":
		r.cache = true
	case "service_tier":
		if v.Str == flexTier && r.api != wire.Messages {
			r.tier = flexTier
		}
	case "previous_response_id":
		r.previous = v.Str
	case "response_format":
		r.format(v, v.Get("json_schema.schema"))
	case "text":
		r.format(v.Get("format"), v.Get("format.schema"))
	case "output_config":
		r.format(v.Get("format"), v.Get("format.schema"))
	case "output_format":
		r.format(v, v.Get("schema"))
	}
}

func effortShare(effort string) float64 {
	switch effort {
	case "low":
		return 0.2
	case "medium":
		return 0.5
	case "high":
		return 0.8
	case "xhigh", "max":
		return 0.9
	}
	return 0
}

func (r *request) format(v, schema gjson.Result) {
	switch v.Get("type").Str {
	case "json_object":
		r.json = true
	case "json_schema":
		r.json, r.schema = true, schema
		r.extra += len(schema.Raw) / 4
	}
}

// check refuses requests that a provider would refuse.
func (r *request) check(v, turns gjson.Result, count bool) *refusal {
	name := "messages"
	if r.api == wire.Responses {
		name = "input"
	}
	switch {
	case !v.IsObject():
		return invalidJSON(r.api)
	case r.model == "" && r.api == wire.Messages:
		return badRequest("model", "", "model: Field required")
	case r.model == "":
		return badRequest("", "", "you must provide a model parameter")
	case r.api == wire.Messages && r.limit < 1 && !count:
		return badRequest("max_tokens", "", "max_tokens: Field required")
	case r.api == wire.Messages && !turns.IsArray():
		return badRequest(name, "", "messages: Field required")
	case r.api == wire.Messages && !turns.Get("0").IsObject():
		return badRequest(name, "", "messages: at least one message is required")
	case r.api == wire.Responses && (turns.Type == gjson.String && turns.Str != "" || r.previous != "" && !turns.Exists()):
		return nil
	case !turns.Exists() || turns.Type == gjson.Null:
		return badRequest(name, "missing_required_parameter", "Missing required parameter: '"+name+"'.")
	case !turns.IsArray():
		return badRequest(name, "invalid_type", "Invalid type for '"+name+"': expected an array of objects.")
	case !turns.Get("0").IsObject():
		return badRequest(name, "empty_array", "Invalid '"+name+"': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	}
	return nil
}

// readTurns reads the conversation and counts its tokens.
func (r *request) readTurns(system, turns gjson.Result) {
	h := uint64(0)
	add := func(t turn, role string, v gjson.Result) {
		t.hash = hashText(h, role)
		t.tokens += turnTokens
		r.readContent(&t, v)
		h = t.hash
		r.turns = append(r.turns, t)
	}
	if system.Type == gjson.String || system.IsArray() {
		add(turn{}, "system", system)
	}
	if turns.Type == gjson.String {
		add(turn{user: true}, "user", turns)
	}
	if turns.IsArray() {
		turns.ForEach(func(_, v gjson.Result) bool {
			role, kind := v.Get("role").Str, v.Get("type").Str
			t := turn{user: role == "user", result: role == "tool" || role == "function" || strings.HasSuffix(kind, "_call_output")}
			add(t, role, v)
			return true
		})
	}
	r.hash = hashText(h, r.previous)
}

// readContent adds content to a turn: a text, a part, a list of parts or a whole
// message.
func (r *request) readContent(t *turn, v gjson.Result) {
	switch {
	case v.Type == gjson.String:
		if t.text != "" {
			t.text += "\n"
		}
		t.text += v.Str
		readText(t, v.Str)
	case v.IsArray():
		v.ForEach(func(_, part gjson.Result) bool {
			r.readContent(t, part)
			return true
		})
	case v.IsObject():
		v.ForEach(func(key, field gjson.Result) bool {
			r.readField(t, key.Str, field)
			return true
		})
	}
}

// readField adds a field of a message or a part.
func (r *request) readField(t *turn, key string, v gjson.Result) {
	switch key {
	case "type":
		switch v.Str {
		case "image_url", "image", "input_image":
			t.tokens += imageTokens
		case "tool_result":
			t.result = true
		}
	case "content", "text", "refusal", "reasoning_content", "thinking", "arguments", "output":
		r.readContent(t, v)
	case "tool_calls", "input":
		readText(t, v.Raw)
	case "image_url", "source":
		t.hash = hashText(t.hash, v.Raw)
	case "cache_control":
		r.cache = true
	}
}

// readText adds a text. The hash does not depend on the structure around it.
func readText(t *turn, text string) {
	t.hash = hashText(t.hash^hashText(0, text), "")
	t.tokens += count(text)
}

// chooseTool selects the tool that the model calls, if any. After the result of a
// tool, the model calls none. Otherwise it does what the request asks for.
func (r *request) chooseTool(tools, choice gjson.Result) {
	if len(r.turns) == 0 || r.turns[len(r.turns)-1].result {
		return
	}
	kind := choice.Str
	if choice.IsObject() {
		kind = choice.Get("type").Str
	}
	named := choice.Get("function.name").Str
	if named == "" {
		named = choice.Get("name").Str
	}
	asked := kind == "required" || kind == "any" || named != ""
	for i := len(r.turns) - 1; i >= 0 && !asked && kind != "none"; i-- {
		if r.turns[i].user {
			asked = strings.Contains(strings.ToLower(r.turns[i].text), "use the tool")
			break
		}
	}
	if !asked {
		return
	}
	tools.ForEach(func(_, tool gjson.Result) bool {
		if f := tool.Get("function"); f.IsObject() {
			tool = f
		}
		if name := tool.Get("name").Str; name == "" || named != "" && name != named {
			return true
		}
		r.tool = &tool
		return false
	})
}

// toolSchema returns the schema of a tool's arguments, in the form of any API.
func toolSchema(tool gjson.Result) gjson.Result {
	for _, field := range []string{"parameters", "input_schema"} {
		if schema := tool.Get(field); schema.IsObject() {
			return schema
		}
	}
	return gjson.Result{}
}
