package wire

import (
	"cmp"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
)

// readUsage reads a usage object of an API.
func readUsage(api API, v gjson.Result) (u carrot.Usage, ok bool) {
	var r Report
	ok = r.add(api, v)
	return r.Usage(), ok && !r.unbelievable
}

// ReadError reads an error that was sent in place of an answer, with a status of
// success. It returns nil if body is not an error.
func ReadError(body []byte) *Error {
	if !valid(body) {
		return nil
	}
	v := unlisted(gjson.ParseBytes(body))
	if e := v.Get("error"); e.IsObject() || e.Type == gjson.String {
		return streamError(v)
	}
	return nil
}

// unlisted returns the first element of a list, in which Gemini puts errors.
func unlisted(v gjson.Result) gjson.Result {
	if v.IsArray() {
		return v.Get("0")
	}
	return v
}

// Answer holds what a gateway needs to know about a whole answer.
type Answer struct {
	ID     string
	Model  string // the provider's name of it
	Report Report
	// Text is the text of the answer, or of all answers if there are several.
	Text string
}

// ReadAnswer reads a whole answer. ok is false if body is not an answer of the
// API.
func ReadAnswer(api API, body []byte) (a Answer, ok bool) {
	if !valid(body) {
		return a, false
	}
	var parts, status, inner gjson.Result
	whole, partsKey := Chunk{api: api}, answerKey[api]
	answer := gjson.ParseBytes(body)
	answer.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "id":
			a.ID = v.Str
		case "model":
			a.Model = v.Str
		case "status":
			status = v
		case "usage":
			whole.usage = v
		case "service_tier":
			whole.tier = v.Str
		case "x_groq":
			inner = v.Get("usage")
		case partsKey:
			parts = v
		}
		return true
	})
	if api == Chat && !whole.usage.IsObject() {
		if whole.usage = inner; !inner.IsObject() {
			whole.usage = parts.Get("0.usage")
		}
	}
	if api == Responses {
		whole.items = parts
	}
	whole.miss = cacheMiss(api, answer)
	a.Report.Add(&whole)
	if api == Embeddings { // the answer is long and has no text
		return a, parts.IsArray()
	}
	var text pieces
	elements(parts, func(part gjson.Result) {
		switch api {
		case Chat:
			text.addDelta(part.Get("message"))
		case Messages:
			text.add(part.Get("text").Str)
			text.add(part.Get("thinking").Str)
			text.add(part.Get("name").Str)
			text.add(part.Get("input").Raw)
		case Responses:
			elements(part.Get("content"), func(content gjson.Result) {
				text.add(content.Get("text").Str)
				text.add(content.Get("refusal").Str)
			})
			text.add(part.Get("name").Str)
			text.add(argumentsOf(part.Get("arguments")))
		}
	})
	a.Text = text.String()
	switch {
	case !parts.IsArray(), api == Responses && (status.Str == "failed" || status.Str == "cancelled"), api == Chat && !parts.Get("0").IsObject():
		return a, false
	}
	return a, true
}

// answerKey holds the key of the parts of a whole answer.
var answerKey = map[API]string{Chat: "choices", Messages: "content", Responses: "output", Embeddings: "data"}

// pieces is a text made of parts. It copies nothing as long as there is only one, as in
// most events of a stream.
type pieces struct {
	only string
	all  []byte // nil: there is at most one part
}

func (t *pieces) add(part string) {
	switch {
	case part == "":
	case t.all != nil:
		t.all = append(t.all, part...)
	case t.only == "":
		t.only = part
	default:
		t.all = append([]byte(t.only), part...)
	}
}

func (t *pieces) String() string {
	if t.all != nil {
		return string(t.all)
	}
	return t.only
}

// addDelta adds the text of a chat message or of a part of one, with reasoning first.
// more reports whether it contains more than text.
func (t *pieces) addDelta(m gjson.Result) (more bool) {
	var thought, refusal, called string
	var content pieces
	var calls gjson.Result
	m.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "reasoning_content", "reasoning", "reasoning_text": // some servers send it under both names
			thought = cmp.Or(thought, value.Str)
		case "content":
			eachContent(value, func(_ saidKind, part string) { content.add(part) })
		case "refusal":
			refusal = value.Str
		case "tool_calls":
			calls = value
		case "audio", "function_call": // some servers send null with every chunk
			more = more || given(value)
			called = value.Get("name").Str + argumentsOf(value.Get("arguments"))
		}
		return true
	})
	t.add(thought)
	t.add(content.String())
	t.add(refusal)
	elements(calls, func(call gjson.Result) {
		more = true
		t.add(call.Get("function.name").Str)
		t.add(argumentsOf(call.Get("function.arguments")))
	})
	if called != "" && !calls.Get("0").Exists() {
		t.add(called)
	}
	return more
}

// Chunk holds what a gateway needs to know about one event of a stream.
type Chunk struct {
	// Content says that the event contains a part of the answer. Once the client
	// has it, no other model can answer.
	Content bool
	// Finished is how many answers the event completes. A usage may follow.
	Finished int
	// Last says that no event follows.
	Last bool
	// Err is an error within the stream.
	Err *Error

	ID    string
	Model string // the provider's name of it, empty if the event has none
	// InputOnly says that the usage does not include the output yet.
	InputOnly bool
	// Text is the text of this part.
	Text string

	// What the chunk reports, for a [Report].
	api   API
	usage gjson.Result
	items gjson.Result // the output of a complete response
	tier  string
	miss  string // see Report.CacheMiss
}

// ReadChunk reads one event of a stream. ok is false if it is malformed.
func ReadChunk(api API, e Event) (c Chunk, ok bool) {
	if isDone(e.Data) { // some servers end streams of other APIs with it too
		return Chunk{Last: true}, true
	}
	if !valid(e.Data) {
		return c, false
	}
	v := gjson.ParseBytes(e.Data)
	if !v.IsObject() {
		if e := ReadError(e.Data); e != nil {
			return Chunk{Err: e}, true
		}
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
	c := Chunk{api: Chat}
	var text pieces
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
			if value.IsObject() {
				c.usage = value
			}
		case "x_groq":
			if inner := value.Get("usage"); inner.IsObject() && !c.usage.IsObject() {
				c.usage = inner
			}
		case "service_tier":
			c.tier = value.Str
		case "choices":
			elements(value, func(choice gjson.Result) {
				c.choice(choice, &text)
			})
		}
		return true
	})
	if c.Err != nil {
		return c
	}
	c.Text = text.String()
	c.Content = c.Content || c.Finished > 0 || c.Text != ""
	return c
}

// choice reads one choice of a chunk, and adds its text.
func (c *Chunk) choice(choice gjson.Result, text *pieces) {
	choice.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "message": // of servers that send the answer in one chunk
			if value.IsObject() && !choice.Get("delta").IsObject() {
				c.Content = text.addDelta(value) || c.Content
			}
		case "finish_reason":
			if value.Str != "" {
				c.Finished++
			}
		case "delta":
			c.Content = text.addDelta(value) || c.Content
		case "usage": // Moonshot
			if value.IsObject() && !c.usage.IsObject() {
				c.usage = value
			}
		}
		return true
	})
}

func readMessagesChunk(v gjson.Result) Chunk {
	c := Chunk{api: Messages}
	switch v.Get("type").Str {
	case "error":
		c.Err = streamError(v)
	case "message_start":
		m := v.Get("message")
		c.ID, c.Model = m.Get("id").Str, m.Get("model").Str
		c.usage = m.Get("usage")
		c.miss = cacheMiss(Messages, m)
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
		c.usage = v.Get("usage")
		if v.Get("delta.stop_reason").Str != "" { // some servers omit the event after it
			c.Finished = 1
		}
	case "message_stop":
		c.Content, c.Finished, c.Last = true, 1, true
	}
	return c
}

func readResponsesChunk(v gjson.Result) Chunk {
	c := Chunk{api: Responses}
	kind := v.Get("type").Str
	if r := v.Get("response"); r.Exists() {
		c.ID, c.Model = r.Get("id").Str, r.Get("model").Str
		c.usage, c.items, c.tier = r.Get("usage"), r.Get("output"), r.Get("service_tier").Str
		c.miss = cacheMiss(Responses, r)
	}
	switch kind {
	case "error":
		c.Err = streamError(v)
	case "response.failed", "response.cancelled":
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

// streamError reads an error that was sent in place of an answer or a part of one.
// It derives the status from the error, because the status decides whether to try
// another provider.
func streamError(v gjson.Result) *Error {
	inner := v
	if e := v.Get("error"); e.IsObject() {
		inner = e
	} else if e.Type == gjson.String {
		return &Error{Status: 502, Type: "server_error", Message: cmp.Or(e.Str, errorText(v, v))}
	}
	code := cmp.Or(inner.Get("details.error_code").Str, inner.Get("code").String())
	e := &Error{Status: 502, Type: inner.Get("type").Str, Code: code, Param: inner.Get("param").Str, Message: errorText(inner, v)}
	if e.Type == "error" {
		e.Type = ""
	}
	kind := e.Type + " " + e.Code
	for _, k := range []struct {
		of     string
		status int
	}{
		{"overloaded", 529}, {"rate_limit", 429}, {"insufficient_quota", 429}, {"exceeded_current_quota", 429}, {"timeout", 504}, {TooLongCode, 400},
		{"invalid_request", 400}, {"invalid_prompt", 400}, {"content_filter", 400}, {"content_policy", 400}, {"authentication", 401}, {"billing", 402},
		{"permission", 403}, {"not_found", 404}, {"request_too_large", 413},
	} {
		if strings.Contains(kind, k.of) {
			e.Status = k.status
			break
		}
	}
	for _, status := range []gjson.Result{inner.Get("code"), inner.Get("status"), inner.Get("status_code"), inner.Get("http_status")} {
		if status.Type == gjson.Number && status.Num >= 400 && status.Num < 600 {
			e.Status = int(status.Num)
			break
		}
	}
	return e
}

// maxErrorText limits the text of an error without a message, in bytes.
const maxErrorText = 4096

// errorText returns the message of an error, which servers put under various names
// inside the error or beside it. Without a message, it returns the beginning of the
// whole body.
func errorText(inner, whole gjson.Result) string {
	for _, v := range []gjson.Result{inner, whole} {
		for _, path := range []string{"message", "detail", "detail.message", "detail.0.msg", "msg"} {
			if text := v.Get(path).Str; text != "" {
				return text
			}
		}
	}
	return cmp.Or(cutBack(strings.TrimSpace(whole.Raw), maxErrorText), "the provider gave no reason")
}
