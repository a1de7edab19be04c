package wire

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
)

// Request holds what a gateway needs to know about a request, and the body as
// the client sent it.
type Request struct {
	API  API
	Body []byte

	Model            string
	Stream           bool
	AskUsage         bool // the client wants to see the usage of a stream
	MaxOutputTokens  int  // 0 means no limit
	Answers          int  // how many the client asked for, at least 1
	Needs            carrot.Abilities
	PreviousResponse string            // previous_response_id of responses
	Metadata         map[string]string // metadata whose keys begin with carrot_, without that prefix
	CacheControl     bool              // the client marks what the provider is to cache
	Background       bool              // responses: the answer is to be fetched later
	Threaded         bool              // messages: the provider is to hold the conversation, as a thread
	Thread           string            // messages: the answer after which the thread continues; empty begins one
	Stored           bool              // responses: an item of the input is stored at its maker's provider
	Unstored         bool              // responses: the answer is not to be stored
	Encrypted        bool              // responses: the input has reasoning, which its maker encrypted
	Images           int

	// Turns are the conversation, with the system prompt first. For embeddings
	// they are the texts to embed.
	Turns []Turn
	// TokenNumbers is how many tokens to embed were given as numbers.
	TokenNumbers int
	// ToolText is the length of the tools' definitions in bytes.
	ToolText int

	top      object
	budget   bool                // the request asks for thinking with a budget
	sampling [len(samplers)]bool // which of them the request sets
}

// samplers are the fields that models refuse which take no sampling parameters.
var samplers = [...]string{"temperature", "top_p", "top_k"}

// Sampling returns the sampling parameters that the request sets to another value
// than the default.
func (r *Request) Sampling() []string {
	var out []string
	for i, set := range r.sampling {
		if set {
			out = append(out, samplers[i])
		}
	}
	return out
}

// Samples reports whether Sampling returns any.
func (r *Request) Samples() bool { return r.sampling != [len(samplers)]bool{} }

// Turn is one message of a conversation.
type Turn struct {
	// Role is system, user, assistant or tool.
	Role string
	// Raw is the message as it was sent, for comparison with others.
	Raw string
	// Text is the message's text, its parts joined by line breaks.
	Text string
	// Thinking says that the message contains reasoning from which only the model
	// that wrote it can continue.
	Thinking bool
}

// read holds the top-level fields that a gateway reads or changes.
var read = []string{"model", "messages", "input", "stream", "stream_options", "metadata", "tools",
	"max_tokens", "max_completion_tokens", "max_output_tokens", "previous_response_id", "n", "background", "thread"}

// ParseRequest reads a request's body. Errors are of type *Error with status 400.
func ParseRequest(api API, body []byte) (*Request, error) {
	if !utf8.Valid(body) {
		return nil, badRequest("", "the body is not valid UTF-8")
	}
	if err := bounded(body); err != nil {
		return nil, err
	}
	if !valid(body) {
		return nil, badRequest("", "the body is not valid JSON")
	}
	text := string(body)
	if !gjson.Parse(text).IsObject() {
		return nil, badRequest("", "the body is not a JSON object")
	}
	r := &Request{API: api, Body: body, Answers: 1}
	o := readTop(text)
	if err := o.fits(""); err != nil {
		return nil, err
	}
	if key, twice := o.repeated(); twice {
		return nil, badRequest(key, "the field %q appears twice", key)
	}
	for _, key := range read {
		if err := o.plain("", key); err != nil {
			return nil, err
		}
	}
	if err := o.plainFor(askUsage); err != nil {
		return nil, err
	}
	r.top = o
	for i := range o.members {
		m := &o.members[i]
		if err := r.field(m); err != nil {
			return nil, err
		}
	}
	if r.Model == "" {
		return nil, badRequest("model", `the field "model" is missing: name a policy, such as "auto", or a model`)
	}
	if api == Embeddings {
		return r, r.readEmbedded(&o)
	}
	return r, r.readTurns(&o)
}

// CheckSettings returns an error, of type *Error with status 400, if the request
// gives a member that one of the settings changes twice, or under a name that differs
// from it only in case: the setting would change only one of them, and the provider
// might use the other.
func (r *Request) CheckSettings(settings []Setting) error {
	for _, s := range settings {
		if err := r.top.plainFor(s); err != nil {
			return err
		}
	}
	return nil
}

// field reads one top-level member.
func (r *Request) field(m *member) error {
	v := m.value
	wrong := func(want string) error { return badRequest(m.key, "the field %q must be %s", m.key, want) }
	switch m.key {
	case "model":
		if v.Type != gjson.String {
			return wrong("a string")
		}
		r.Model = v.Str
	case "stream":
		if !v.IsBool() && v.Type != gjson.Null {
			return wrong("true or false")
		}
		r.Stream = v.Bool()
	case "stream_options":
		inner := readObject(v, m.valueAt)
		if err := inner.fits(m.key); err != nil {
			return err
		}
		if key, twice := inner.repeated(); twice {
			return badRequest("stream_options", "the field %q appears twice", "stream_options."+key)
		}
		r.AskUsage = v.Get("include_usage").Bool()
	case "max_tokens", "max_completion_tokens", "max_output_tokens":
		if v.Type == gjson.Null {
			break
		}
		if n := v.Int(); v.Type != gjson.Number || n < 1 || n > 1<<31 || float64(n) != v.Num {
			return wrong("a whole number above 0")
		}
		if r.MaxOutputTokens == 0 || int(v.Int()) < r.MaxOutputTokens {
			r.MaxOutputTokens = int(v.Int())
		}
	case "background":
		if !v.IsBool() && v.Type != gjson.Null {
			return wrong("true or false")
		}
		r.Background = r.API == Responses && v.Bool()
	case samplers[0], samplers[1], samplers[2]:
		for i, name := range samplers {
			if name == m.key {
				r.sampling[i] = given(v) && (v.Type != gjson.Number || v.Num != 1)
			}
		}
	case "n":
		if n := v.Int(); v.Type == gjson.Number && n > 1 {
			r.Answers = int(min(n, 1<<16))
		}
	case "tools", "functions":
		if v.IsArray() && v.Get("0").Exists() {
			r.Needs.Tools = true
			r.ToolText += len(v.Raw)
			r.CacheControl = r.CacheControl || strings.Contains(v.Raw, `"cache_control"`)
		}
	case "response_format", "output_format":
		r.Needs.JSON = r.Needs.JSON || wantsJSON(v)
	case "text", "output_config":
		r.Needs.JSON = r.Needs.JSON || wantsJSON(v.Get("format"))
	case "cache_control":
		r.CacheControl = true
	case "previous_response_id":
		if r.API == Responses {
			if v.Type != gjson.String && v.Type != gjson.Null {
				return wrong("a string")
			}
			r.PreviousResponse = v.Str
		}
	case "store":
		r.Unstored = r.API == Responses && v.Type == gjson.False
	case "thinking":
		r.budget = r.API == Messages && HasBudget(v.Raw)
	case "thread":
		if r.API == Messages && v.IsObject() {
			r.Threaded = true
			r.Thread = v.Get("previous_message_id").Str
		}
	case "metadata":
		inner := readObject(v, m.valueAt)
		if err := inner.fits(m.key); err != nil {
			return err
		}
		return r.metadata(v)
	}
	return nil
}

func wantsJSON(format gjson.Result) bool {
	kind := format.Get("type").Str
	return kind == "json_object" || kind == "json_schema"
}

// metadata reads the metadata that is meant for the gateway.
func (r *Request) metadata(v gjson.Result) error {
	var err error
	v.ForEach(func(key, value gjson.Result) bool {
		name, own := strings.CutPrefix(key.Str, ownPrefix)
		if !own {
			return true
		}
		if value.Type != gjson.String {
			err = badRequest("metadata."+key.Str, "the field %q must be a string", "metadata."+key.Str)
			return false
		}
		if r.Metadata == nil {
			r.Metadata = map[string]string{}
		}
		r.Metadata[name] = value.Str
		return true
	})
	return err
}

// User returns the client's id of its end user, if the request has one.
func (r *Request) User() string {
	for _, key := range []string{"safety_identifier", "user"} {
		if m := r.top.find(key); m != nil && m.value.Type == gjson.String && m.value.Str != "" {
			return m.value.Str
		}
	}
	if m := r.top.find("metadata"); m != nil && m.value.IsObject() {
		if id := m.value.Get("user_id"); id.Type == gjson.String {
			return id.Str
		}
	}
	return ""
}

// readTurns reads the conversation, which must not be empty.
func (r *Request) readTurns(o *object) error {
	name, system := "messages", "system"
	if r.API == Responses {
		name, system = "input", "instructions"
	}
	if m := o.find(system); m != nil && (r.API != Chat) && m.value.Type != gjson.Null {
		r.Turns = append(r.Turns, r.turn("system", m.value))
	}
	m := o.find(name)
	switch {
	case m == nil || m.value.Type == gjson.Null:
		if prompt := o.find("prompt"); r.API == Responses && (prompt != nil && given(prompt.value) || r.PreviousResponse != "") {
			return nil // the provider stores the prompt or the conversation
		}
		return badRequest(name, "the field %q is missing", name)
	case r.API == Responses && m.value.Type == gjson.String && m.value.Str != "":
		r.Turns = append(r.Turns, Turn{Role: "user", Raw: m.value.Raw, Text: m.value.Str})
		return nil
	case r.API == Responses && m.value.Type == gjson.String:
		return badRequest(name, "the field %q must be a string or list that is not empty", name)
	case !m.value.IsArray():
		return badRequest(name, "the field %q must be a list that is not empty", name)
	}
	before := len(r.Turns)
	var err error
	m.value.ForEach(func(_, item gjson.Result) bool {
		if !item.IsObject() {
			err = badRequest(name, "%s[%d] must be an object", name, len(r.Turns)-before)
			return false
		}
		r.Turns = append(r.Turns, r.turn("", item))
		return true
	})
	if err == nil && len(r.Turns) == before && r.Thread == "" { // a thread continues an answer that was paused
		return badRequest(name, "the field %q must be a list that is not empty", name)
	}
	return err
}

// readEmbedded reads the input to embed, which must not be empty: a text, a list
// of texts, a list of token numbers or several such lists. It leaves it to the
// provider to judge other input, such as images.
func (r *Request) readEmbedded(o *object) error {
	m := o.find("input")
	if m == nil || !given(m.value) {
		return badRequest("input", "the field %q is missing", "input")
	}
	if m.value.Str == "" && !(m.value.IsArray() && m.value.Get("0").Exists()) {
		return badRequest("input", "the field %q must be a string or list that is not empty", "input")
	}
	r.embedded(m.value, 0)
	return nil
}

// embedded reads a text, a token number, or a list of either.
func (r *Request) embedded(v gjson.Result, depth int) {
	switch {
	case v.Type == gjson.String:
		r.Turns = append(r.Turns, Turn{Role: "user", Raw: v.Raw, Text: v.Str})
	case v.Type == gjson.Number:
		r.TokenNumbers++
	case v.IsArray() && depth < 2:
		v.ForEach(func(_, inner gjson.Result) bool {
			r.embedded(inner, depth+1)
			return true
		})
	}
}

// turn reads one message. If role is not empty, v is only the content of a
// message with that role.
func (r *Request) turn(role string, v gjson.Result) Turn {
	t := Turn{Role: role, Raw: v.Raw}
	var text strings.Builder
	if role != "" {
		r.content(&t, &text, v, 0)
		t.Text = text.String()
		return t
	}
	var kind string
	var arguments, output, reasoning, call, calls, content gjson.Result
	v.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "role":
			t.Role = v.Str
		case "type":
			kind = v.Str
		case "arguments":
			arguments = v
		case "output":
			output = v
		case "reasoning_content":
			reasoning = v
		case "function_call":
			call = v
		case "tool_calls":
			calls = v
		case "content":
			content = v
		}
		return true
	})
	switch {
	case t.Role == "developer":
		t.Role = "system"
	case t.Role == "function":
		t.Role = "tool"
	case kind == "function_call", kind == "custom_tool_call":
		t.Role = "assistant"
		r.write(&text, arguments.Str)
	case strings.HasSuffix(kind, "_call_output"):
		t.Role = "tool"
		r.content(&t, &text, output, 0)
	case kind == "reasoning":
		t.Role, t.Thinking = "assistant", true
		r.Encrypted = true
	case kind == referenceItem, kind == "" && t.Role == "" && isReference(v):
		t.Role = "assistant"
		r.Stored = true
	case t.Role == "":
		t.Role = "assistant" // left in the input by a provider's own tools
	}
	if reasoning.Str != "" {
		t.Thinking = true
	}
	// A model that continues from calls and results must support tools, even if it
	// may not call any.
	if t.Role == "tool" || strings.HasSuffix(kind, "_call") || call.IsObject() || calls.Get("0").Exists() {
		r.Needs.Tools = true
	}
	calls.ForEach(func(_, call gjson.Result) bool {
		r.write(&text, call.Get("function.arguments").Str)
		return true
	})
	r.content(&t, &text, content, 0)
	t.Text = text.String()
	return t
}

// content adds the text of a message's content, which is a string or a list of
// parts. Only the results of tools contain further content: texts and images.
func (r *Request) content(t *Turn, text *strings.Builder, v gjson.Result, depth int) {
	if v.Type == gjson.String {
		r.write(text, v.Str)
		return
	}
	if !v.IsArray() {
		return
	}
	v.ForEach(func(_, part gjson.Result) bool {
		if part.Get("cache_control").Exists() {
			r.CacheControl = true
		}
		switch kind := part.Get("type").Str; kind {
		case "image_url", "image", "input_image":
			r.Images++
			r.Needs.Vision = true
		case "tool_result":
			r.Needs.Tools = true
			if t.Role == "user" {
				t.Role = "tool"
			}
			if depth == 0 {
				r.content(t, text, part.Get("content"), depth+1)
			}
		case "tool_use":
			r.Needs.Tools = true
			r.write(text, part.Get("input").Raw)
		case "thinking", "redacted_thinking":
			t.Thinking = true
		default: // text, input_text, output_text
			r.write(text, part.Get("text").Str)
		}
		return true
	})
}

func (r *Request) write(text *strings.Builder, s string) {
	if s == "" {
		return
	}
	if text.Len() > 0 {
		text.WriteByte('\n')
	}
	text.WriteString(s)
}

// Query returns the text that a router embeds: the latest user turn. If that has
// fewer bytes than the argument earlier, the ends of previous user turns are put
// before it, up to that length. The system prompt comes first, cut off after as
// many bytes as the argument system says.
func (r *Request) Query(system, earlier int) string {
	last := len(r.Turns) - 1
	for last >= 0 && r.Turns[last].Role != "user" {
		last--
	}
	if last < 0 {
		last = len(r.Turns) - 1 // there is only a system prompt, or only results
		if last < 0 {
			return ""
		}
		return r.Turns[last].Text
	}
	text := r.Turns[last].Text
	for i := last - 1; i >= 0 && len(text) < earlier; i-- {
		if r.Turns[i].Role == "user" && r.Turns[i].Text != "" {
			text = cutFront(r.Turns[i].Text, earlier-len(text)) + "\n" + text
		}
	}
	if system > 0 && last > 0 && r.Turns[0].Role == "system" {
		text = cutBack(r.Turns[0].Text, system) + "\n" + text
	}
	return text
}

// cutFront returns the end of s: at most n bytes, in whole runes.
func cutFront(s string, n int) string {
	if len(s) <= n {
		return s
	}
	at := len(s) - n
	for at < len(s) && s[at]&0xC0 == 0x80 {
		at++
	}
	return s[at:]
}

// cutBack returns the beginning of s: at most n bytes, in whole runes.
func cutBack(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// InTool reports whether the conversation ends with the result of a tool, from
// which a model is to continue.
func (r *Request) InTool() bool {
	return len(r.Turns) > 0 && r.Turns[len(r.Turns)-1].Role == "tool"
}

// DemandsCall reports whether the request does not leave it to the model whether it calls
// a tool.
func (r *Request) DemandsCall() bool {
	for _, key := range []string{"tool_choice", "function_call"} {
		m := r.top.find(key)
		if m == nil || !given(m.value) {
			continue
		}
		kind := m.value.Str
		if m.value.IsObject() {
			kind = m.value.Get("type").Str
		}
		return kind != "auto" && kind != "none" && (kind != "allowed_tools" || strings.Contains(m.value.Raw, `"required"`))
	}
	return false
}

// InThinking reports whether the model that began the current turn must also
// continue it, because the turn contains its reasoning.
func (r *Request) InThinking() bool {
	if !r.InTool() {
		return false
	}
	for i := len(r.Turns) - 1; i >= 0 && r.Turns[i].Role != "user"; i-- {
		if r.Turns[i].Thinking {
			return true
		}
	}
	return false
}

// HasBudget reports whether a field thinking of the messages API makes models think in
// every turn.
func HasBudget(thinking string) bool { return gjson.Get(thinking, "type").Str == "enabled" }

// Unsigned reports whether a request of the messages API asks for thinking with a
// budget within a turn of tools that was begun without thinking, as by a model of
// another API. Anthropic's models refuse that.
func (r *Request) Unsigned() bool { return r.budget && r.Unthought() }

// Unthought reports whether a turn of tools is in progress that was begun without
// thinking. Of a turn in a thread it is unknown how it began.
func (r *Request) Unthought() bool { return r.InTool() && !r.InThinking() && r.Thread == "" }

// Estimates for input that is not counted, and how much of the text is counted.
const (
	tokensPerTurn  = 4    // for the frame of a message
	tokensPerImage = 765  // for an image of 1024 by 1024 at OpenAI's high detail
	bytesPerToken  = 4    // in the definitions of tools
	countedBytes   = 2048 // of a conversation's text
)

// InputTokens estimates the tokens of the whole input. count returns the tokens
// of a text. In a long conversation, it is called for the first and the last
// 1,024 bytes, and the rest is taken to have as many tokens per byte.
func (r *Request) InputTokens(count func(string) int) int {
	return r.textTokens(count) + r.TokenNumbers + r.ToolText/bytesPerToken + r.Images*tokensPerImage
}

// textTokens estimates the tokens of the turns.
func (r *Request) textTokens(count func(string) int) int {
	turns := r.Turns
	var sample strings.Builder
	total := 0
	for i := range turns {
		total += len(turns[i].Text)
	}
	frames := len(turns) * tokensPerTurn
	if r.API == Embeddings { // the texts have no frames
		frames = 0
	}
	if total <= countedBytes {
		counted := 0
		for i := range turns {
			if r.API == Embeddings { // each text is counted by itself
				counted += count(turns[i].Text)
			} else {
				sample.WriteString(turns[i].Text)
			}
		}
		return frames + counted + count(sample.String())
	}
	for i := 0; i < len(turns) && sample.Len() < countedBytes/2; i++ {
		sample.WriteString(cutBack(turns[i].Text, countedBytes/2-sample.Len()))
	}
	head := sample.Len()
	tail := ""
	for i := len(turns) - 1; i >= 0 && len(tail) < countedBytes/2; i-- {
		tail = cutFront(turns[i].Text, countedBytes/2-len(tail)) + tail
	}
	counted := count(sample.String()) + count(tail)
	return frames + int(float64(counted)*float64(total)/float64(head+len(tail))+0.5)
}

// Spoken guesses the API of a request's body. A body with an input is one of
// responses. A body with a system prompt of its own, a tool with an input_schema or
// a block that only Anthropic has is one of messages.
func Spoken(body []byte) API {
	if !valid(body) {
		return Chat
	}
	v := gjson.ParseBytes(body)
	if v.Get("input").Exists() {
		return Responses
	}
	messages := v.Get("system").Exists()
	elements(v.Get("tools"), func(tool gjson.Result) {
		messages = messages || tool.Get("input_schema").Exists()
	})
	elements(v.Get("messages"), func(m gjson.Result) {
		elements(m.Get("content"), func(block gjson.Result) {
			switch block.Get("type").Str {
			case "tool_use", "tool_result", "thinking", "redacted_thinking", "image", "document":
				messages = true
			}
		})
	})
	if messages {
		return Messages
	}
	return Chat
}

// badRequest returns the error for a request that is not forwarded.
func badRequest(param, format string, args ...any) *Error {
	return &Error{Status: 400, Type: "invalid_request_error", Param: param, Message: fmt.Sprintf(format, args...)}
}
