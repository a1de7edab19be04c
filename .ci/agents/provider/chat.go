package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// chat is OpenAI's chat completions.
type chat struct{}

const unknown = "Unknown parameter: '%s'."

// The members of messages, by role.
var messageFields = map[string]string{
	"system":    "role content name",
	"developer": "role content name",
	"user":      "role content name",
	"assistant": "role content name refusal audio tool_calls function_call",
	"tool":      "role content tool_call_id",
	"function":  "role content name",
}

// Which parts of content may stand where, by role.
var partPlaces = map[string]string{
	"system":    "text",
	"developer": "text",
	"user":      "text image_url input_audio file",
	"assistant": "text refusal",
	"tool":      "text",
}

var partFields = map[string]string{
	"text":        "type text",
	"refusal":     "type refusal",
	"image_url":   "type image_url",
	"input_audio": "type input_audio",
	"file":        "type file",
}

func (chat) read(_ *http.Request, o object, who *account) (*talk, *refusal) {
	c := &chatCheck{t: &talk{model: str(o, "model"), stream: o["stream"] == true, who: who, request: o}}
	c.known(o, "", "messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens metadata modalities n parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options", unknown)
	c.must(c.t.model != "", "model", "you must provide a model parameter")
	c.must(!has(o, "max_tokens") || !has(o, "max_completion_tokens"), "max_tokens", "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
	c.between(o, "temperature", 0, 2)
	c.between(o, "top_p", 0, 1)
	c.between(o, "presence_penalty", -2, 2)
	c.between(o, "frequency_penalty", -2, 2)
	c.between(o, "n", 1, 128)
	c.between(o, "max_tokens", 1, 1<<20)
	c.between(o, "max_completion_tokens", 1, 1<<20)
	for _, key := range []string{"user", "prompt_cache_key", "safety_identifier"} {
		c.short(o, key, 64)
	}
	c.labels(o)
	if strings.Contains(c.t.model, "-reasoning") {
		c.must(!has(o, "max_tokens"), "max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
		for _, key := range []string{"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias", "stop"} {
			c.must(!has(o, key), key, "Unsupported parameter: '%s' is not supported with this model.", key)
		}
	}
	c.oneOf(o, "reasoning_effort", "reasoning_effort", "none minimal low medium high xhigh")
	c.oneOf(o, "verbosity", "verbosity", "low medium high")
	c.must(!has(o, "stream_options") || c.t.stream, "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	c.known(get(o, "stream_options"), "stream_options", "include_usage include_obfuscation", unknown)
	if l, ok := o["stop"].([]any); ok {
		c.must(len(l) <= 4, "stop", "Invalid 'stop': array too long. Expected an array with maximum length 4.")
	}
	c.tools(o)
	c.format(get(o, "response_format"), string(marshal(o["messages"])))
	c.messages(list(o, "messages"))
	if c.broken != nil {
		return nil, c.broken
	}
	c.t.usage = who.measure(c.t.model+string(marshal([]any{o["tools"], o["messages"]})), false, false)
	if n, most := c.t.usage.all(), limit(c.t.model); most > 0 && n > most {
		return nil, &refusal{http.StatusBadRequest, "invalid_request_error", fmt.Sprintf("This model's maximum context length is %d tokens. However, your messages resulted in %d tokens. Please reduce the length of the messages.", most, n), "messages", "context_length_exceeded"}
	}
	return c.t, nil
}

type chatCheck struct {
	rules
	t *talk
}

func (c *chatCheck) tools(o object) {
	for i, v := range list(o, "tools") {
		d, at := asObject(v), index("tools", i)
		kind := str(d, "type")
		if !c.must(kind == "function" || kind == "custom", at+".type", "Invalid value: '%s'. Supported values are: 'function' and 'custom'.", kind) {
			continue
		}
		c.known(d, at, "type "+kind, unknown)
		inner := get(d, kind)
		c.known(inner, at+"."+kind, "name description parameters strict format", unknown)
		c.t.tools = append(c.t.tools, c.openAITool(inner, kind, at+"."+kind))
	}
	for i, v := range list(o, "functions") {
		c.t.tools = append(c.t.tools, c.openAITool(asObject(v), "function", index("functions", i)))
	}
	n := len(c.t.tools)
	c.must(n <= 128, "tools", "Invalid 'tools': array too long. Expected an array with maximum length 128, but got an array with length %d instead.", n)
	c.must(!has(o, "tools") || len(list(o, "tools")) > 0, "tools", "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	c.must(n > 0 || !has(o, "tool_choice"), "tool_choice", "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.")
	c.must(n > 0 || !has(o, "parallel_tool_calls"), "parallel_tool_calls", "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are specified.")
	c.toolChoice(o, func(choice object) string {
		kind := str(choice, "type")
		c.must(kind == "function" || kind == "custom" || kind == "allowed_tools", "tool_choice", "Invalid value for 'tool_choice'.")
		return str(get(choice, kind), "name")
	})
}

// toolChoice checks which tool must be called. name returns the name in a choice that is
// an object.
func (c *chatCheck) toolChoice(o object, name func(choice object) string) {
	switch choice := o["tool_choice"].(type) {
	case string:
		c.oneOf(o, "tool_choice", "tool_choice", "none auto required")
		if choice == "required" {
			c.choice(c.t, "*")
		}
	case object:
		c.choice(c.t, name(choice))
	}
}

// format reads response_format, or text.format of responses.
func (c *chatCheck) format(f object, prompt string) {
	switch kind := str(f, "type"); kind {
	case "", "text":
	case "json_object":
		c.must(strings.Contains(strings.ToLower(prompt), "json"), "messages", "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
		c.t.json = true
	case "json_schema":
		inner := f
		if has(f, "json_schema") {
			inner = get(f, "json_schema")
		}
		c.must(toolNames.MatchString(str(inner, "name")), "response_format.json_schema.name", "Missing or invalid parameter: 'response_format.json_schema.name'.")
		c.schema(inner["schema"], "response_format", str(inner, "name"), inner["strict"] == true)
		c.t.json, c.t.schema = true, get(inner, "schema")
	default:
		c.must(false, "response_format.type", "Invalid value: '%s'. Supported values are: 'json_object', 'json_schema', and 'text'.", kind)
	}
}

func (c *chatCheck) messages(l []any) {
	c.must(len(l) > 0, "messages", "Invalid 'messages': empty array. Expected an array with minimum length 1.")
	var open []string
	said := false
	for i, v := range l {
		m, at := asObject(v), index("messages", i)
		role := str(m, "role")
		fields, ok := messageFields[role]
		if !c.must(ok, at+".role", "Invalid value: '%s'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.", role) {
			return
		}
		c.known(m, at, fields, unknown)
		if has(m, "name") {
			name := str(m, "name")
			c.must(name != "" && !strings.ContainsAny(name, " <|\\/>\n\t"), at+".name", "Invalid '%s.name': string does not match pattern. Expected a string that matches the pattern '^[^\\s<|\\\\/>]+$'.", at)
		}
		called := has(m, "tool_calls") || has(m, "function_call")
		texts := c.parts(m["content"], role, at, role == "assistant" && (called || has(m, "refusal") || has(m, "audio")))
		if role == "tool" {
			id := str(m, "tool_call_id")
			k := slices.Index(open, id)
			if c.must(k >= 0, at+".role", "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.") {
				open = slices.Delete(open, k, k+1)
			}
			c.t.answers(strings.Join(texts, "\n"))
			continue
		}
		c.must(len(open) == 0, at+".role", "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: %s", strings.Join(open, ", "))
		switch role {
		case "function":
			c.t.answers(strings.Join(texts, "\n"))
		case "user":
			var apart []string
			for _, text := range texts {
				apart = append(apart, paragraphs(text)...)
			}
			said = c.t.said(apart, said) || said
		case "assistant":
			said, c.t.resulted = false, false
			open = c.calls(m, at)
		}
	}
	c.must(len(open) == 0, "messages", "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: %s", strings.Join(open, ", "))
}

func (c *chatCheck) calls(m object, at string) (open []string) {
	c.must(!has(m, "tool_calls") || len(list(m, "tool_calls")) > 0, at+".tool_calls", "Invalid '%s.tool_calls': empty array. Expected an array with minimum length 1, but got an empty array instead.", at)
	for j, v := range list(m, "tool_calls") {
		d, here := asObject(v), index(at+".tool_calls", j)
		kind, id := str(d, "type"), str(d, "id")
		c.must(kind == "function" || kind == "custom", here+".type", "Invalid value: '%s'. Supported values are: 'function' and 'custom'.", kind)
		c.known(d, here, "id type "+kind, unknown)
		inner := get(d, kind)
		c.must(str(inner, "name") != "", here+"."+kind+".name", "Missing required parameter: '%s.%s.name'.", here, kind)
		if kind == "function" {
			_, isText := inner["arguments"].(string)
			c.must(isText, here+".function.arguments", "Invalid type for '%s.function.arguments': expected a string.", here)
		}
		c.must(id != "" && len(id) <= 64 && !slices.Contains(open, id), here+".id", "Invalid '%s.id': expected a unique string with maximum length 64.", here)
		open = append(open, id)
	}
	return open
}

// parts checks content and returns its texts.
func (c *chatCheck) parts(content any, role, at string, optional bool) []string {
	switch content := content.(type) {
	case nil:
		c.must(optional || role == "function", at+".content", "Invalid value for 'content': expected a string, got null.")
	case string:
		return []string{content}
	case []any:
		c.must(len(content) > 0, at+".content", "Invalid '%s.content': empty array. Expected an array with minimum length 1.", at)
		var out []string
		for j, v := range content {
			p, here := asObject(v), index(at+".content", j)
			kind := str(p, "type")
			if !c.must(slices.Contains(strings.Fields(partPlaces[role]), kind), here+".type", "Invalid value: '%s'. Supported values are: %s.", kind, partPlaces[role]) {
				continue
			}
			c.known(p, here, partFields[kind], unknown)
			switch kind {
			case "text":
				_, isText := p["text"].(string)
				c.must(isText, here+".text", "Missing required parameter: '%s.text'.", here)
				out = append(out, str(p, "text"))
			case "image_url":
				c.must(str(get(p, "image_url"), "url") != "", here+".image_url.url", "Missing required parameter: '%s.image_url.url'.", here)
			case "file":
				f := get(p, "file")
				c.must(str(f, "file_id") != "" || str(f, "file_data") != "" && str(f, "filename") != "", here+".file", "Missing required parameter: '%s.file.file_id'.", here)
			}
		}
		return out
	default:
		c.must(false, at+".content", "Invalid type for '%s.content': expected one of a string or array of objects.", at)
	}
	return nil
}

func (chat) refuse(e *refusal) any {
	var param, code any
	if e.param != "" {
		param = e.param
	}
	if e.code != "" {
		code = e.code
	}
	return object{"error": object{"message": e.message, "type": e.kind, "param": param, "code": code}}
}

func (chat) usage(t *talk, a *answer) object {
	in, out := t.usage.input+t.usage.cached, a.tokens()
	return object{
		"prompt_tokens": in, "completion_tokens": out, "total_tokens": in + out,
		"prompt_tokens_details":     object{"cached_tokens": t.usage.cached, "audio_tokens": 0},
		"completion_tokens_details": object{"reasoning_tokens": len(a.thinking) / 4, "audio_tokens": 0},
	}
}

func (chat) call(c call, arguments string) object {
	if c.tool.custom {
		return object{"id": "call_" + c.id, "type": "custom", "custom": object{"name": c.tool.name, "input": arguments}}
	}
	return object{"id": "call_" + c.id, "type": "function", "function": object{"name": c.tool.name, "arguments": arguments}}
}

// legacy reports whether the client declared functions in place of tools.
func (chat) legacy(t *talk) bool { return has(t.request, "functions") }

func (v chat) whole(t *talk, a *answer) any {
	message, reason := object{"role": "assistant", "content": a.text, "refusal": nil, "annotations": []any{}}, "stop"
	if len(a.calls) > 0 {
		message["content"], reason = nil, "tool_calls"
		var calls []any
		for _, c := range a.calls {
			calls = append(calls, v.call(c, c.arguments))
		}
		message["tool_calls"] = calls
		if v.legacy(t) {
			delete(message, "tool_calls")
			message["function_call"], reason = object{"name": a.calls[0].tool.name, "arguments": a.calls[0].arguments}, "function_call"
		}
	}
	return object{
		"id": "chatcmpl-" + a.id, "object": "chat.completion", "created": 1764000000, "model": t.model, "service_tier": "default",
		"choices": []any{object{"index": 0, "message": message, "logprobs": nil, "finish_reason": reason}},
		"usage":   v.usage(t, a), "system_fingerprint": nil,
	}
}

func (v chat) stream(e *events, t *talk, a *answer) {
	counted := get(t.request, "stream_options")["include_usage"] == true
	chunk := func(choices []any, usage any) {
		c := object{"id": "chatcmpl-" + a.id, "object": "chat.completion.chunk", "created": 1764000000, "model": t.model, "service_tier": "default", "system_fingerprint": nil, "choices": choices}
		if counted {
			c["usage"] = usage
		}
		e.data(c)
	}
	delta := func(d object, reason any) {
		chunk([]any{object{"index": 0, "delta": d, "logprobs": nil, "finish_reason": reason}}, nil)
	}
	first := object{"role": "assistant", "content": "", "refusal": nil}
	if len(a.calls) > 0 {
		first["content"] = nil
	}
	delta(first, nil)
	for _, p := range pieces(a.text) {
		delta(object{"content": p}, nil)
	}
	reason := "stop"
	for i, c := range a.calls {
		if v.legacy(t) {
			reason = "function_call"
			delta(object{"function_call": object{"name": c.tool.name, "arguments": c.arguments}}, nil)
			break
		}
		reason = "tool_calls"
		start := v.call(c, "")
		start["index"] = i
		delta(object{"tool_calls": []any{start}}, nil)
		kind, key := "function", "arguments"
		if c.tool.custom {
			kind, key = "custom", "input"
		}
		for _, p := range pieces(c.arguments) {
			delta(object{"tool_calls": []any{object{"index": i, kind: object{key: p}}}}, nil)
		}
	}
	delta(object{}, reason)
	if counted {
		chunk([]any{}, v.usage(t, a))
	}
	e.done()
}
