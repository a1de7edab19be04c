package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// messages is Anthropic's API.
type messages struct{ counts bool }

const extra = "%s: Extra inputs are not permitted"

var serverTools = regexp.MustCompile(`^(web_search|web_fetch|bash|text_editor|computer|code_execution|memory|advisor|tool_search_tool_regex|tool_search_tool_bm25)_(20\d{6})$`)

// The members of blocks, by their type.
var blockFields = map[string]string{
	"text":                       "type text cache_control citations",
	"image":                      "type source cache_control",
	"document":                   "type source title context citations cache_control",
	"search_result":              "type source title content citations cache_control",
	"tool_use":                   "type id name input cache_control caller",
	"tool_result":                "type tool_use_id content is_error cache_control",
	"tool_reference":             "type tool_name cache_control",
	"thinking":                   "type thinking signature",
	"redacted_thinking":          "type data",
	"server_tool_use":            "type id name input cache_control caller",
	"web_search_tool_result":     "type tool_use_id content cache_control caller",
	"web_fetch_tool_result":      "type tool_use_id content cache_control caller",
	"tool_search_tool_result":    "type tool_use_id content cache_control",
	"code_execution_tool_result": "type tool_use_id content cache_control",
	"tool_addition":              "type tool cache_control",
	"tool_removal":               "type tool cache_control",
}

// Which blocks may stand where.
var blockPlaces = map[string]string{
	"user":        "text image document search_result tool_result",
	"assistant":   "text tool_use thinking redacted_thinking server_tool_use web_search_tool_result web_fetch_tool_result tool_search_tool_result code_execution_tool_result",
	"system":      "text tool_addition tool_removal",
	"tool_result": "text image document search_result tool_reference",
}

func (m messages) read(r *http.Request, o object, who *account) (*talk, *refusal) {
	betas := strings.Join(r.Header.Values("Anthropic-Beta"), ",")
	o, refused := who.thread(o, betas)
	if refused != nil {
		return nil, refused
	}
	c := &messagesCheck{betas: betas, t: &talk{model: str(o, "model"), stream: o["stream"] == true, who: who, request: o}}
	c.must(r.Header.Get("Anthropic-Version") != "", "", "anthropic-version: header is required")
	c.known(o, "", "model messages max_tokens system metadata stop_sequences stream temperature top_k top_p tools tool_choice thinking service_tier container mcp_servers context_management output_config output_format speed inference_geo cache_control thread", extra)
	c.must(c.t.model != "", "", "model: Field required")
	if !m.counts {
		c.must(number(o, "max_tokens") >= 1, "", "max_tokens: Field required")
	}
	for _, b := range [][2]string{
		{"context_management", "context-management-2025-06-27"}, {"mcp_servers", "mcp-client-"},
		{"output_format", "structured-outputs-2025-11-13"}, {"speed", "fast-mode-"}, {"container", "code-execution-"},
	} {
		c.must(!has(o, b[0]) || c.beta(b[1]), "", extra, b[0])
	}
	c.between(o, "temperature", 0, 1)
	c.between(o, "top_p", 0, 1)
	if strings.Contains(c.t.model, "-reasoning") {
		for _, key := range []string{"temperature", "top_p", "top_k"} {
			c.must(!has(o, key), "", "`%s` is deprecated for this model.", key)
		}
	}
	if user := get(o, "metadata"); user != nil {
		c.known(user, "metadata", "user_id", extra)
		c.must(len(str(user, "user_id")) <= 256, "", "metadata.user_id: String should have at most 256 characters")
	}
	for i, v := range list(o, "stop_sequences") {
		s, _ := v.(string)
		c.must(strings.TrimSpace(s) != "", "", "stop_sequences.%d: each stop sequence must contain non-whitespace", i)
	}
	output := get(o, "output_config")
	c.known(output, "output_config", "effort format task_budget", extra)
	c.oneOf(output, "effort", "output_config.effort", "low medium high xhigh max")
	if f := get(output, "format"); f != nil {
		c.must(str(f, "type") == "json_schema" && has(f, "schema"), "", "output_config.format: only json_schema is supported")
		c.strict(get(f, "schema"), "output_config.format.schema", 0)
		c.t.json, c.t.schema = true, get(f, "schema")
	}
	c.thinking(o)
	c.tools(o)
	if _, isText := o["system"].(string); has(o, "system") && !isText {
		c.blocks(o["system"], "system", "system")
	}
	c.messages(o)
	marks := c.marks
	if has(o, "cache_control") {
		marks++
	}
	c.must(marks <= 4, "", "A maximum of 4 blocks with cache_control may be provided. Found %d.", marks)
	if c.broken != nil {
		return nil, c.broken
	}
	c.t.usage = who.measure(c.t.model+string(marshal([]any{o["tools"], o["system"], o["messages"]})), true, marks > 0)
	if n, most := c.t.usage.all(), limit(c.t.model); most > 0 && n > most && !m.counts {
		return nil, &refusal{http.StatusBadRequest, "invalid_request_error", fmt.Sprintf("prompt is too long: %d tokens > %d maximum", n, most), "", ""}
	}
	return c.t, nil
}

type messagesCheck struct {
	rules
	t       *talk
	betas   string
	marks   int  // blocks with cache_control
	enabled bool // thinking with a budget
	said    bool // the user spoke in the message before, and the model has not since
}

// beta reports whether the request has the header of a beta.
func (c *messagesCheck) beta(name string) bool { return strings.Contains(c.betas, name) }

func (c *messagesCheck) thinking(o object) {
	th := get(o, "thinking")
	if th == nil {
		return
	}
	c.known(th, "thinking", "type budget_tokens display", extra)
	c.oneOf(th, "type", "thinking.type", "enabled adaptive disabled")
	c.oneOf(th, "display", "thinking.display", "summarized omitted updates")
	c.must(str(th, "display") != "updates" || c.beta("thinking-display-updates-2026-08-18"), "", "thinking.display: 'updates' needs its beta header")
	kind := str(th, "type")
	if kind == "enabled" {
		c.enabled = true
		budget := number(th, "budget_tokens")
		c.must(budget >= 1024, "", "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
		c.must(budget < number(o, "max_tokens"), "", "`max_tokens` must be greater than `thinking.budget_tokens`.")
	} else {
		c.must(!has(th, "budget_tokens"), "", extra, "thinking."+kind+".budget_tokens")
	}
	if kind != "disabled" {
		c.t.thinks, c.t.hidden = true, str(th, "display") == "omitted"
		c.must(!has(o, "temperature") || number(o, "temperature") == 1, "", "`temperature` may only be set to 1 when thinking is enabled.")
		c.must(!has(o, "top_k"), "", "`top_k` must be unset when thinking is enabled.")
		choice := str(get(o, "tool_choice"), "type")
		c.must(choice != "any" && choice != "tool", "", "Thinking may not be enabled when tool_choice forces tool use.")
	}
}

func (c *messagesCheck) tools(o object) {
	names, deferred := map[string]bool{}, 0
	for i, v := range list(o, "tools") {
		d, at := asObject(v), "tools."+strconv.Itoa(i)
		name := str(d, "name")
		if has(d, "cache_control") {
			c.marks++
		}
		c.must(!names[name], "", "tools: Tool names must be unique.")
		names[name] = true
		if kind := str(d, "type"); kind != "" && kind != "custom" {
			c.must(serverTools.MatchString(kind), "", "%s: Input tag '%s' found using 'type' does not match any of the expected tags", at, kind)
			continue
		}
		c.known(d, at+".custom", "type name description input_schema cache_control strict defer_loading allowed_callers input_examples eager_input_streaming", extra)
		c.must(toolNames.MatchString(name), "", "%s.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'", at)
		schema, ok := d["input_schema"].(object)
		c.must(ok, "", "%s.custom.input_schema: Field required", at)
		c.must(schema["type"] == "object", "", "%s.custom.input_schema.type: Input should be 'object'", at)
		for _, key := range []string{"oneOf", "allOf", "anyOf"} {
			c.must(!has(schema, key), "", "%s.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level", at)
		}
		if d["strict"] == true {
			c.strict(schema, at+".custom", 0)
		}
		if d["defer_loading"] == true {
			c.must(!has(d, "cache_control"), "", "%s: Tools with defer_loading cannot use prompt caching.", at)
			deferred++
		}
		c.t.tools = append(c.t.tools, tool{name: name, schema: schema, hidden: d["defer_loading"] == true})
	}
	n := len(list(o, "tools"))
	c.must(n == 0 || deferred < n, "", "At least one tool must have defer_loading=false.")
	choice := get(o, "tool_choice")
	c.known(choice, "tool_choice", "type name disable_parallel_tool_use", extra)
	c.oneOf(choice, "type", "tool_choice.type", "auto any tool none")
	c.must(choice == nil || n > 0, "", "tool_choice: tool_choice may only be specified while providing tools")
	switch str(choice, "type") {
	case "any":
		c.choice(c.t, "*")
	case "tool":
		c.choice(c.t, str(choice, "name"))
	}
}

// strict holds a schema to what Anthropic's structured outputs take.
func (c *messagesCheck) strict(s object, at string, depth int) {
	if depth > 32 {
		return
	}
	for _, key := range []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems", "uniqueItems", "oneOf", "patternProperties"} {
		_, present := s[key]
		c.must(!present, "", "%s: For '%v' type, property '%s' is not supported", at, s["type"], key)
	}
	if s["type"] == "object" {
		c.must(s["additionalProperties"] == false, "", "%s: For 'object' type, 'additionalProperties' must be explicitly set to false", at)
	}
	for _, v := range get(s, "properties") {
		c.strict(asObject(v), at, depth+1)
	}
	for _, v := range get(s, "$defs") {
		c.strict(asObject(v), at, depth+1)
	}
	for _, v := range append(slices.Clone(list(s, "anyOf")), list(s, "allOf")...) {
		c.strict(asObject(v), at, depth+1)
	}
	if items := get(s, "items"); items != nil {
		c.strict(items, at, depth+1)
	}
}

// changes follows what system messages say of tools.
func (c *messagesCheck) changes(blocks []object, at string) {
	for _, b := range blocks {
		kind, of := str(b, "type"), get(b, "tool")
		if kind == "text" {
			continue
		}
		c.must(c.beta("mid-conversation-tool-changes-2026-07-01") || c.beta("inline-tools-2026-09-15"), "", "%s: Input tag '%s' found using 'type' does not match any of the expected tags: text", at, kind)
		if str(of, "type") == "tool_definition" {
			c.must(c.beta("inline-tools-2026-09-15"), "", "%s: tool_definition needs its beta header", at)
			d := get(of, "definition")
			c.t.tools = append(c.t.tools, tool{name: str(d, "name"), schema: get(d, "input_schema")})
			continue
		}
		c.show(str(of, "name"), kind == "tool_removal", at)
	}
}

// show lets the model see a tool that was deferred, or hides a tool.
func (c *messagesCheck) show(name string, hide bool, at string) {
	i := slices.IndexFunc(c.t.tools, func(t tool) bool { return t.name == name })
	if c.must(i >= 0, "", "%s: Tool reference '%s' not found in available tools", at, name) {
		c.t.tools[i].hidden = hide
	}
}

// texts returns the texts of blocks.
func texts(blocks []object) []string {
	var out []string
	for _, b := range blocks {
		if str(b, "type") == "text" {
			out = append(out, str(b, "text"))
		}
	}
	return out
}

// blocks checks content and returns its blocks.
func (c *messagesCheck) blocks(content any, place, at string) []object {
	if s, ok := content.(string); ok {
		c.must(s != "" || place == "tool_result", "", "%s: text content blocks must be non-empty", at)
		c.must(strings.TrimSpace(s) != "" || s == "", "", "%s: text content blocks must contain non-whitespace text", at)
		return []object{{"type": "text", "text": s}}
	}
	l, ok := content.([]any)
	c.must(ok, "", "%s.content: Input should be a valid string or list", at)
	c.must(len(l) > 0 || place == "tool_result", "", "%s: content must be non-empty", at)
	var out []object
	for i, v := range l {
		b := asObject(v)
		kind, here := str(b, "type"), at+".content."+strconv.Itoa(i)
		if !c.must(slices.Contains(strings.Fields(blockPlaces[place]), kind), "", "%s: Input tag '%s' found using 'type' does not match any of the expected tags: %s", here, kind, blockPlaces[place]) {
			continue
		}
		c.known(b, here+"."+kind, blockFields[kind], extra)
		if has(b, "cache_control") {
			c.marks++
			mark := get(b, "cache_control")
			c.must(str(mark, "type") == "ephemeral", "", "%s.cache_control.type: Input should be 'ephemeral'", here)
			c.oneOf(mark, "ttl", here+".cache_control.ttl", "5m 1h")
		}
		switch kind {
		case "text":
			s, isText := b["text"].(string)
			c.must(isText, "", "%s.text.text: Field required", here)
			c.must(s != "", "", "messages: text content blocks must be non-empty")
			c.must(strings.TrimSpace(s) != "", "", "messages: text content blocks must contain non-whitespace text")
		case "image", "document":
			source := get(b, "source")
			c.must(source != nil, "", "%s.%s.source: Field required", here, kind)
			c.oneOf(source, "type", here+".source.type", "base64 url file text content")
			if str(source, "type") == "base64" {
				c.must(str(source, "data") != "" && str(source, "media_type") != "", "", "%s.%s.source: data and media_type are required", here, kind)
			}
		case "thinking":
			s := str(b, "signature")
			c.must(s == c.t.who.seal(str(b, "thinking")) || str(b, "thinking") == "" && strings.HasPrefix(s, c.t.who.seal("omitted")), "", "%s: Invalid `signature` in `thinking` block", here)
		case "tool_reference":
			c.show(str(b, "tool_name"), false, here)
		case "redacted_thinking":
			c.must(false, "", "%s: Invalid `data` in `redacted_thinking` block", here) // this vendor redacts nothing
		}
		out = append(out, b)
	}
	return out
}

func (c *messagesCheck) messages(o object) {
	l := list(o, "messages")
	c.must(len(l) > 0, "", "messages: at least one message is required")
	var open []string // calls of the last message of the assistant that have no results yet
	seen := map[string]bool{}
	before := ""
	for i, v := range l {
		m, at := asObject(v), "messages."+strconv.Itoa(i)
		role, fields := str(m, "role"), "role content"
		if role == "system" && (c.beta("per-turn-control-2026-07-01") || c.beta("mid-conversation-output-config-2026-07-01")) {
			fields += " output_config"
			c.oneOf(get(m, "output_config"), "effort", at+".output_config.effort", "low medium high xhigh max")
		}
		if role == "system" && c.beta("mid-conversation-system-clear-at-2026-08-21") {
			fields += " clear_at"
		}
		c.known(m, at, fields, extra)
		if !c.must(role == "user" || role == "assistant" || role == "system", "", "%s.role: Input should be 'user', 'assistant' or 'system'", at) {
			return
		}
		c.must(i > 0 || role == "user", "", "messages: first message must use the \"user\" role")
		if l, ok := m["content"].([]any); ok && len(l) == 0 && has(m, "output_config") {
			continue // it sets the effort and says nothing
		}
		blocks := c.blocks(m["content"], role, at)
		switch role {
		case "system":
			c.changes(blocks, at)
			c.must(before != "assistant" && len(open) == 0, "", "%s: a system message must follow a user message", at)
		case "user":
			c.must(before != "system", "", "%s: a system message must be followed by an assistant message or end the conversation", at)
			open = c.results(blocks, at, open)
		case "assistant":
			c.must(len(open) == 0, "", unanswered, at, strings.Join(open, ", "))
			open = c.calls(blocks, at, seen)
			c.said, c.t.resulted = false, false
			if i == len(l)-1 {
				t := texts(blocks)
				c.must(len(t) == 0 || strings.TrimRight(t[len(t)-1], " \n\t") == t[len(t)-1], "", "messages: final assistant content cannot end with trailing whitespace")
				c.must(!strings.Contains(c.t.model, "-reasoning"), "", "This model does not support assistant message prefill. The conversation must end with a user message.")
			}
			if c.enabled && len(open) > 0 && c.last(l, i) {
				kind := str(blocks[0], "type")
				c.must(strings.HasSuffix(kind, "thinking"), "", "%s.content.0.type: Expected `thinking` or `redacted_thinking`, but found `%s`. When `thinking` is enabled, a final `assistant` message must start with a thinking block.", at, kind)
			}
		}
		before = role
	}
	c.must(len(open) == 0, "", unanswered, "messages", strings.Join(open, ", "))
}

const unanswered = "%s: `tool_use` ids were found without `tool_result` blocks immediately after: %s. Each `tool_use` block must have a corresponding `tool_result` block in the next message."

// calls checks the calls of an assistant's message and returns their ids.
func (c *messagesCheck) calls(blocks []object, at string, seen map[string]bool) (open []string) {
	for j, b := range blocks {
		if str(b, "type") != "tool_use" {
			continue
		}
		id, here := str(b, "id"), at+".content."+strconv.Itoa(j)
		_, isObject := b["input"].(object)
		c.must(isObject, "", "%s.tool_use.input: Input should be a valid dictionary", here)
		c.must(ids.MatchString(id), "", "%s.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", here)
		c.must(len(str(b, "name")) >= 1 && len(str(b, "name")) <= 200, "", "%s.tool_use.name: String should have 1 to 200 characters", here)
		c.must(!seen[id], "", "messages: `tool_use` ids must be unique")
		seen[id] = true
		open = append(open, id)
	}
	return open
}

// last reports whether no assistant message follows message i.
func (c *messagesCheck) last(l []any, i int) bool {
	return !slices.ContainsFunc(l[i+1:], func(v any) bool { return str(asObject(v), "role") == "assistant" })
}

// results checks the results at the beginning of a user's message and notes what the
// user said. It returns the calls that are still without a result.
func (c *messagesCheck) results(blocks []object, at string, open []string) []string {
	calls, other := 0, false
	for j, b := range blocks {
		if str(b, "type") != "tool_result" {
			other = true
			continue
		}
		here, id := at+".content."+strconv.Itoa(j), str(b, "tool_use_id")
		k := slices.Index(open, id)
		if c.must(k >= 0, "", "%s: unexpected `tool_use_id` found in `tool_result` blocks: %s. Each `tool_result` block must have a corresponding `tool_use` block in the previous message.", here, id) {
			open = slices.Delete(open, k, k+1)
		}
		c.must(!other, "", "%s: `tool_result` blocks must come first in the content", here)
		var inner []object
		if has(b, "content") {
			inner = c.blocks(b["content"], "tool_result", here)
		}
		c.t.answers(strings.Join(texts(inner), "\n"))
		calls++
	}
	c.must(len(open) == 0, "", unanswered, at, strings.Join(open, ", "))
	if calls == 0 {
		c.said = c.t.said(texts(blocks), c.said) || c.said
	}
	return nil
}

func (messages) refuse(e *refusal) any {
	failure := object{"type": e.kind, "message": e.message}
	if e.code != "" {
		failure["details"] = object{"error_code": e.code}
	}
	return object{"type": "error", "error": failure, "request_id": "req_provider"}
}

func (messages) usage(t *talk, output int) object {
	return object{
		"input_tokens": t.usage.input, "cache_read_input_tokens": t.usage.cached, "cache_creation_input_tokens": t.usage.written,
		"cache_creation": object{"ephemeral_5m_input_tokens": t.usage.written, "ephemeral_1h_input_tokens": 0},
		"output_tokens":  output, "service_tier": "standard",
	}
}

func (m messages) whole(t *talk, a *answer) any {
	content, reason := []any{}, "end_turn"
	if a.thinking != "" {
		content = append(content, m.thought(t, a))
	}
	if a.text != "" {
		content = append(content, object{"type": "text", "text": a.text})
	}
	for _, c := range a.calls {
		content = append(content, object{"type": "tool_use", "id": "toolu_" + c.id, "name": c.tool.name, "input": json.RawMessage(c.arguments)})
		reason = "tool_use"
	}
	t.who.hold(t.request, "msg_"+a.id, content)
	return object{
		"id": "msg_" + a.id, "type": "message", "role": "assistant", "model": t.model, "content": content,
		"stop_reason": reason, "stop_sequence": nil, "usage": m.usage(t, a.tokens()),
	}
}

func (m messages) thought(t *talk, a *answer) object {
	if t.hidden {
		return object{"type": "thinking", "thinking": "", "signature": t.who.seal("omitted") + a.id}
	}
	return object{"type": "thinking", "thinking": a.thinking, "signature": t.who.seal(a.thinking)}
}

func (m messages) stream(e *events, t *talk, a *answer) {
	m.whole(t, a) // which holds the thread
	e.named("message_start", object{"message": object{
		"id": "msg_" + a.id, "type": "message", "role": "assistant", "model": t.model, "content": []any{},
		"stop_reason": nil, "stop_sequence": nil, "usage": m.usage(t, 1),
	}})
	index := 0
	block := func(start object, deltas ...object) {
		e.named("content_block_start", object{"index": index, "content_block": start})
		if index == 0 {
			e.named("ping", object{})
		}
		for _, d := range deltas {
			e.named("content_block_delta", object{"index": index, "delta": d})
		}
		e.named("content_block_stop", object{"index": index})
		index++
	}
	deltas := func(kind, key, s string) []object {
		var out []object
		for _, p := range pieces(s) {
			out = append(out, object{"type": kind, key: p})
		}
		return out
	}
	if a.thinking != "" {
		thought := m.thought(t, a)
		d := deltas("thinking_delta", "thinking", str(thought, "thinking"))
		d = append(d, object{"type": "signature_delta", "signature": thought["signature"]})
		block(object{"type": "thinking", "thinking": "", "signature": ""}, d...)
	}
	if a.text != "" {
		block(object{"type": "text", "text": ""}, deltas("text_delta", "text", a.text)...)
	}
	reason := "end_turn"
	for _, c := range a.calls {
		reason = "tool_use"
		d := append([]object{{"type": "input_json_delta", "partial_json": ""}}, deltas("input_json_delta", "partial_json", c.arguments)...)
		block(object{"type": "tool_use", "id": "toolu_" + c.id, "name": c.tool.name, "input": object{}}, d...)
	}
	e.named("message_delta", object{"delta": object{"stop_reason": reason, "stop_sequence": nil}, "usage": m.usage(t, a.tokens())})
	e.named("message_stop", object{})
}
