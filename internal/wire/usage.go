package wire

import (
	"cmp"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
)

// usageKeys are the names in a usage object.
type usageKeys struct {
	input, output           string
	cached, written         string // counts beside the input
	inputParts, outputParts string // objects of counts within input and output
	reasoning               string // in outputParts
}

// none stands for the name of what an API does not have.
const none = ""

var usageKeysOf = map[API]usageKeys{
	Chat: {"prompt_tokens", "completion_tokens", "prompt_cache_hit_tokens", none, // the third is DeepSeek's
		"prompt_tokens_details", "completion_tokens_details", "reasoning_tokens"},
	Responses: {"input_tokens", "output_tokens", none, none,
		"input_tokens_details", "output_tokens_details", "reasoning_tokens"},
	Messages: {"input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
		none, "output_tokens_details", "thinking_tokens"},
	Embeddings: {"prompt_tokens", none, none, none, none, none, none},
}

// readUsage reads a usage object in an API's terms. Parts do not overlap in the
// result: OpenAI counts cached tokens within the prompt's and reasoning within
// the completion's, Anthropic counts cached tokens apart.
func readUsage(api API, v gjson.Result) (u carrot.Usage, ok bool) {
	if !v.IsObject() {
		return u, false
	}
	keys := usageKeysOf[api]
	cached, total := 0, 0
	v.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case none:
		case keys.input:
			u.Input, ok = count(value), true
		case keys.output:
			u.Output, ok = count(value), ok || api == Messages
		case keys.cached:
			cached = count(value)
		case keys.written:
			u.CacheWrite = count(value)
		case keys.inputParts:
			value.ForEach(func(key, value gjson.Result) bool {
				switch key.Str {
				case "cached_tokens":
					u.CachedInput = count(value)
				case "cache_write_tokens":
					u.CacheWrite = count(value)
				}
				return true
			})
		case keys.outputParts:
			value.ForEach(func(key, value gjson.Result) bool {
				if key.Str == keys.reasoning {
					u.Reasoning = count(value)
				}
				return true
			})
		case "total_tokens":
			total = count(value)
		}
		return true
	})
	if u.CachedInput == 0 {
		u.CachedInput = cached
	}
	if api != Messages {
		u.CachedInput = min(u.CachedInput, u.Input)
		u.CacheWrite = min(u.CacheWrite, u.Input-u.CachedInput)
		u.Input -= u.CachedInput + u.CacheWrite
	}
	// Some servers count reasoning beside the completion, as their total shows.
	beside := api == Chat && u.Reasoning > 0 && total == u.Input+u.CachedInput+u.CacheWrite+u.Output+u.Reasoning
	if !beside {
		u.Reasoning = min(u.Reasoning, u.Output)
		u.Output -= u.Reasoning
	}
	return u, ok
}

// count is a number of tokens, within reason.
func count(v gjson.Result) int { return int(min(max(v.Int(), 0), 1<<40)) }

// addUsage brings a stream's usage up to date with a later report of it. That
// holds, but for what Anthropic leaves out of the input because it said so
// before. ok is false if v is no usage.
func addUsage(api API, old carrot.Usage, v gjson.Result) (u carrot.Usage, ok bool) {
	u, ok = readUsage(api, v)
	if !ok {
		return old, false
	}
	if api != Messages {
		return u, true
	}
	for _, part := range []struct {
		key       string
		old, told *int
	}{
		{"input_tokens", &old.Input, &u.Input},
		{"cache_read_input_tokens", &old.CachedInput, &u.CachedInput},
		{"cache_creation_input_tokens", &old.CacheWrite, &u.CacheWrite},
	} {
		if !given(v.Get(part.key)) {
			*part.told = *part.old
		}
	}
	return u, true
}

// ReadError reads an error that came with a good status in place of an answer;
// nil if it is none.
func ReadError(body []byte) *Error {
	if !valid(body) {
		return nil
	}
	v := gjson.ParseBytes(body)
	if e := v.Get("error"); e.IsObject() || e.Type == gjson.String {
		return streamError(v)
	}
	return nil
}

// Answer is what a gateway must know of a whole answer.
type Answer struct {
	ID       string
	Model    string // in the provider's words
	Usage    carrot.Usage
	HasUsage bool
	// Text of the answer; of several, all of them.
	Text string
}

// ReadAnswer reads a whole answer. ok is false if it is not an answer of the
// API.
func ReadAnswer(api API, body []byte) (a Answer, ok bool) {
	if !valid(body) {
		return a, false
	}
	var parts, status gjson.Result
	gjson.ParseBytes(body).ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "id":
			a.ID = v.Str
		case "model":
			a.Model = v.Str
		case "status":
			status = v
		case "usage":
			a.Usage, a.HasUsage = readUsage(api, v)
		case answerKey[api]:
			parts = v
		}
		return true
	})
	var text []byte
	add := func(s string) {
		text = append(text, s...)
	}
	if api == Embeddings { // long, and without text
		return a, parts.IsArray()
	}
	elements(parts, func(part gjson.Result) {
		switch api {
		case Chat:
			text, _ = addDelta(part.Get("message"), text)
		case Messages:
			add(part.Get("text").Str)
			add(part.Get("thinking").Str)
			add(part.Get("name").Str)
			add(part.Get("input").Raw)
		case Responses:
			elements(part.Get("content"), func(content gjson.Result) {
				add(content.Get("text").Str)
			})
			add(part.Get("name").Str)
			add(part.Get("arguments").Str)
		}
	})
	a.Text = string(text)
	switch {
	case !parts.IsArray(), api == Responses && status.Str == "failed", api == Chat && !parts.Get("0").IsObject():
		return a, false
	}
	return a, true
}

// answerKey is what holds the parts of a whole answer.
var answerKey = map[API]string{Chat: "choices", Messages: "content", Responses: "output", Embeddings: "data"}

// addDelta adds the text of a chat message or of a part of one, reasoning first,
// and reports whether it holds more than text.
func addDelta(m gjson.Result, text []byte) (_ []byte, more bool) {
	var thought, content, refusal string
	var calls gjson.Result
	m.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "reasoning_content", "reasoning": // some servers say it under both names
			thought = cmp.Or(thought, value.Str)
		case "content":
			content = value.Str
		case "refusal":
			refusal = value.Str
		case "tool_calls":
			calls = value
		case "audio", "function_call":
			more = more || given(value) // some servers send null with every chunk
		}
		return true
	})
	text = append(append(append(text, thought...), content...), refusal...)
	elements(calls, func(call gjson.Result) {
		more = true
		text = append(text, call.Get("function.name").Str...)
		text = append(text, call.Get("function.arguments").Str...)
	})
	return text, more
}

// Chunk is what a gateway must know of one event of a stream.
type Chunk struct {
	// Content says that the event carries a part of the answer: once it is
	// with the client nobody else can answer.
	Content bool
	// Finished is how many answers are complete; a usage may follow.
	Finished int
	// Last says that nothing follows.
	Last bool
	// Err is an error within the stream.
	Err *Error

	ID       string
	Model    string // in the provider's words; empty if the event names none
	HasUsage bool   // see AddUsage
	// InputOnly says that of the usage only the input is known yet.
	InputOnly bool
	// Text of this part.
	Text string

	api   API
	usage gjson.Result // as it came
}

// AddUsage brings the usage of a stream so far up to date with the chunk's.
func (c *Chunk) AddUsage(sofar carrot.Usage) carrot.Usage {
	u, _ := addUsage(c.api, sofar, c.usage)
	return u
}

// report keeps a report of usage.
func (c *Chunk) report(api API, v gjson.Result) {
	c.api, c.usage = api, v
	_, c.HasUsage = readUsage(api, v)
}

// ReadChunk reads one event of a stream. ok is false if it is malformed.
func ReadChunk(api API, e Event) (c Chunk, ok bool) {
	if api == Chat && string(e.Data) == Done {
		return Chunk{Last: true}, true
	}
	if !valid(e.Data) {
		return c, false
	}
	v := gjson.ParseBytes(e.Data)
	if !v.IsObject() {
		return c, false
	}
	switch api {
	case Messages:
		return readMessagesChunk(v), true
	case Responses:
		return readResponsesChunk(v), true
	}
	return readChatChunk(v), true
}

func readChatChunk(v gjson.Result) Chunk {
	var c Chunk
	var text []byte
	v.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "error":
			if value.IsObject() || value.Type == gjson.String {
				c = Chunk{Err: streamError(v)}
				return false
			}
		case "id":
			c.ID = value.Str
		case "model":
			c.Model = value.Str
		case "usage":
			c.report(Chat, value)
		case "choices":
			elements(value, func(choice gjson.Result) {
				text = c.choice(choice, text)
			})
		}
		return true
	})
	if c.Err != nil {
		return c
	}
	c.Text = string(text)
	c.Content = c.Content || c.Finished > 0 || c.Text != ""
	return c
}

// choice reads one choice of a chunk, and appends its text.
func (c *Chunk) choice(choice gjson.Result, text []byte) []byte {
	choice.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "finish_reason":
			if value.Str != "" {
				c.Finished++
			}
		case "delta":
			var more bool
			text, more = addDelta(value, text)
			c.Content = c.Content || more
		}
		return true
	})
	return text
}

func readMessagesChunk(v gjson.Result) Chunk {
	var c Chunk
	switch v.Get("type").Str {
	case "error":
		c.Err = streamError(v)
	case "message_start":
		m := v.Get("message")
		c.ID, c.Model = m.Get("id").Str, m.Get("model").Str
		c.report(Messages, m.Get("usage"))
		c.InputOnly = true
	case "content_block_start":
		kind := v.Get("content_block.type").Str
		c.Content = kind != "text" && kind != "thinking"
	case "content_block_delta":
		d := v.Get("delta")
		c.Content = true
		c.Text = d.Get("text").Str + d.Get("thinking").Str + d.Get("partial_json").Str
	case "message_delta":
		c.Content = true
		c.report(Messages, v.Get("usage"))
	case "message_stop":
		c.Content, c.Finished, c.Last = true, 1, true
	}
	return c
}

func readResponsesChunk(v gjson.Result) Chunk {
	var c Chunk
	kind := v.Get("type").Str
	if r := v.Get("response"); r.Exists() {
		c.ID, c.Model = r.Get("id").Str, r.Get("model").Str
		c.report(Responses, r.Get("usage"))
	}
	switch kind {
	case "error":
		c.Err = streamError(v)
	case "response.failed":
		c.Err = streamError(v.Get("response"))
	case "response.created", "response.in_progress", "response.queued", "response.output_item.added", "response.content_part.added",
		"response.reasoning_summary_part.added", "keepalive":
		c.Content = kind == "response.output_item.added" && v.Get("item.type").Str == "function_call"
	case "response.completed", "response.incomplete":
		c.Content, c.Finished, c.Last = true, 1, true
	case "response.output_text.delta", "response.function_call_arguments.delta", "response.refusal.delta",
		"response.reasoning_summary_text.delta", "response.reasoning_text.delta":
		c.Content, c.Text = true, v.Get("delta").Str
	default:
		c.Content = true
	}
	return c
}

// streamError reads an error that came in place of a part of an answer. The
// status is what the provider would have answered with: it says whether to try
// another.
func streamError(v gjson.Result) *Error {
	inner := v
	if e := v.Get("error"); e.IsObject() {
		inner = e
	} else if e.Type == gjson.String {
		return &Error{Status: 502, Type: "server_error", Message: cmp.Or(e.Str, errorText(v, v))}
	}
	e := &Error{Status: 502, Type: inner.Get("type").Str, Code: inner.Get("code").String(), Param: inner.Get("param").Str, Message: errorText(inner, v)}
	if e.Type == "error" {
		e.Type = ""
	}
	kind := e.Type + " " + e.Code
	for _, k := range []struct {
		of     string
		status int
	}{
		{"overloaded_error", 529}, {"rate_limit", 429}, {"timeout", 504}, {"context_length_exceeded", 400}, {"invalid_request", 400},
		{"invalid_prompt", 400}, {"content_filter", 400}, {"authentication", 401}, {"permission", 403}, {"not_found", 404},
	} {
		if strings.Contains(kind, k.of) {
			e.Status = k.status
			break
		}
	}
	if status := inner.Get("code"); status.Type == gjson.Number && status.Num >= 400 && status.Num < 600 {
		e.Status = int(status.Num)
	}
	return e
}

// maxErrorText is how much is kept of an error that cannot be read, in bytes.
const maxErrorText = 4096

// errorText is what an error says, in it or beside it, by whichever name a
// server has for that, and else the beginning of the whole.
func errorText(inner, whole gjson.Result) string {
	for _, v := range []gjson.Result{inner, whole} {
		for _, path := range []string{"message", "detail", "detail.message", "detail.0.msg", "msg"} {
			if text := v.Get(path).Str; text != "" {
				return text
			}
		}
	}
	return cmp.Or(cutBack(strings.TrimSpace(whole.Raw), maxErrorText), "the provider does not say why")
}
