package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// responses is OpenAI's responses.
type responses struct{}

// The members of items of the input, by their type, and how their ids begin.
var itemFields = map[string]struct{ prefix, fields string }{
	"message":                 {"msg", "type id role content status phase"},
	"function_call":           {"fc", "type id call_id name namespace arguments status"},
	"function_call_output":    {"fc", "type id call_id output status"},
	"custom_tool_call":        {"ctc", "type id call_id name namespace input status"},
	"custom_tool_call_output": {"ctc", "type id call_id output status"},
	"reasoning":               {"rs", "type id summary content encrypted_content status"},
	"item_reference":          {"", "type id"},
	"web_search_call":         {"ws", "type id action status"},
	"tool_search_call":        {"tsc", "type id call_id execution arguments status"},
	"tool_search_output":      {"tso", "type id call_id execution tools status"},
	"additional_tools":        {"at", "type id role tools"},
}

var inputParts = map[string]string{
	"input_text":  "type text",
	"input_image": "type image_url file_id detail",
	"input_file":  "type file_data file_id file_url filename detail",
	"output_text": "type text annotations logprobs",
	"refusal":     "type refusal",
}

const kinds = "function custom namespace web_search web_search_preview file_search code_interpreter image_generation mcp local_shell shell apply_patch computer computer_use_preview tool_search"

func (responses) read(_ *http.Request, o object, who *account) (*talk, *refusal) {
	c := &responsesCheck{chatCheck: chatCheck{t: &talk{model: str(o, "model"), stream: o["stream"] == true, who: who, request: o}}}
	// Codex sends client_metadata, and OpenAI accepts it.
	c.known(o, "", "background client_metadata conversation context_management include input instructions max_output_tokens max_tool_calls metadata model parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options temperature text tool_choice tools top_logprobs top_p truncation user", unknown)
	c.must(c.t.model != "", "model", "Missing required parameter: 'model'.")
	c.must(o["background"] != true, "background", "Background mode is not supported for this organization.")
	c.between(o, "temperature", 0, 2)
	c.between(o, "top_p", 0, 1)
	c.between(o, "max_output_tokens", 16, 1<<20)
	for _, key := range []string{"user", "prompt_cache_key", "safety_identifier"} {
		c.short(o, key, 64)
	}
	c.labels(o)
	if strings.Contains(c.t.model, "-reasoning") {
		for _, key := range []string{"temperature", "top_p", "top_logprobs"} {
			c.must(!has(o, key), key, "Unsupported parameter: '%s' is not supported with this model.", key)
		}
	}
	c.known(get(o, "stream_options"), "stream_options", "include_obfuscation", unknown)
	c.must(!has(o, "stream_options") || c.t.stream, "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	for _, v := range list(o, "include") {
		s, _ := v.(string)
		c.oneOf(object{"include": s}, "include", "include", "file_search_call.results web_search_call.results web_search_call.action.sources message.input_image.image_url computer_call_output.output.image_url code_interpreter_call.outputs reasoning.encrypted_content message.output_text.logprobs")
	}
	if r := get(o, "reasoning"); r != nil {
		c.known(r, "reasoning", "effort summary generate_summary context mode", unknown)
		c.oneOf(r, "effort", "reasoning.effort", "none minimal low medium high xhigh max")
		c.oneOf(r, "summary", "reasoning.summary", "auto concise detailed none")
		c.t.thinks = str(r, "effort") != "none"
	}
	text := get(o, "text")
	c.known(text, "text", "format verbosity", unknown)
	c.oneOf(text, "verbosity", "text.verbosity", "low medium high")
	c.format(get(text, "format"), string(marshal(o["input"]))+str(o, "instructions"))
	c.tools(o)
	input := c.input(o)
	if c.broken != nil {
		return nil, c.broken
	}
	c.t.usage = who.measure(c.t.model+string(marshal([]any{o["tools"], o["instructions"], input})), false, false)
	if most := limit(c.t.model); most > 0 && c.t.usage.all() > most {
		return nil, &refusal{http.StatusBadRequest, "invalid_request_error", "Your input exceeds the context window of this model. Please adjust your input and try again.", "input", "context_length_exceeded"}
	}
	return c.t, nil
}

type responsesCheck struct{ chatCheck }

func (c *responsesCheck) tools(o object) {
	for i, v := range list(o, "tools") {
		c.tool(asObject(v), index("tools", i), "")
	}
	c.toolChoice(o, func(choice object) string { return str(choice, "name") })
}

func (c *responsesCheck) tool(d object, at, namespace string) {
	kind := str(d, "type")
	if !c.must(slices.Contains(strings.Fields(kinds), kind), at+".type", "Invalid value: '%s'. Supported values are: %s.", kind, kinds) {
		return
	}
	switch kind {
	case "function", "custom":
		c.known(d, at, "type name description parameters strict format defer_loading output_schema allowed_callers", unknown)
		t := c.openAITool(d, kind, at)
		t.namespace = namespace
		c.t.tools = append(c.t.tools, t)
	case "tool_search":
		c.known(d, at, "type execution description parameters", unknown)
		if str(d, "execution") == "client" {
			c.t.tools = append(c.t.tools, tool{name: "tool_search", search: true, schema: get(d, "parameters")})
		}
	case "namespace":
		c.known(d, at, "type name description tools", unknown)
		c.must(toolNames.MatchString(str(d, "name")) && namespace == "", at+".name", "Invalid '%s.name'.", at)
		for i, v := range list(d, "tools") {
			c.tool(asObject(v), index(at+".tools", i), str(d, "name"))
		}
	}
}

// input checks the items of the input and returns all that the model sees, including
// the conversation before.
func (c *responsesCheck) input(o object) []any {
	var items []any
	switch input := o["input"].(type) {
	case string:
		items = []any{object{"role": "user", "content": input}}
	case []any:
		items = input
	default:
		c.must(has(o, "previous_response_id"), "input", "Missing required parameter: 'input'.")
	}
	var all []any
	if id := str(o, "previous_response_id"); id != "" {
		c.t.who.mu.Lock()
		before, ok := c.t.who.responses[id]
		c.t.who.mu.Unlock()
		if !ok {
			c.must(false, "previous_response_id", "Previous response with id '%s' not found.", id)
		}
		all = slices.Clone(before)
	}
	for i, v := range items {
		d, at := asObject(v), index("input", i)
		if str(d, "type") == "item_reference" {
			id := str(d, "id")
			c.t.who.mu.Lock()
			stored, ok := c.t.who.items[id]
			c.t.who.mu.Unlock()
			if !ok {
				c.missing(id)
				continue
			}
			d = stored
		} else {
			c.item(d, at)
		}
		all = append(all, d)
	}
	c.pairs(all)
	c.reasoned(all)
	c.follow(all)
	c.t.history = all
	return all
}

// missing refuses an item that is not stored.
func (c *responsesCheck) missing(id string) {
	if c.broken == nil {
		c.broken = &refusal{http.StatusNotFound, "invalid_request_error", fmt.Sprintf("Item with id '%s' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input.", id), "input", ""}
	}
}

func (c *responsesCheck) item(d object, at string) {
	kind := str(d, "type")
	if kind == "" && has(d, "role") {
		kind = "message"
	}
	f, ok := itemFields[kind]
	if !c.must(ok, at+".type", "Invalid value: '%s'. Supported values are: %s.", kind, strings.Join(slices.Sorted(maps.Keys(itemFields)), ", ")) {
		return
	}
	c.known(d, at, f.fields, unknown)
	if id, present := d["id"]; present && id != nil {
		s, _ := id.(string)
		c.must(strings.HasPrefix(s, f.prefix), at+".id", "Invalid '%s.id': '%s'. Expected an ID that begins with '%s'.", at, s, f.prefix)
		c.must(len(s) <= 64 && ids.MatchString(s), at+".id", "Invalid '%s.id': expected a string with maximum length 64 of letters, numbers, underscores, or dashes.", at)
	}
	c.oneOf(d, "status", at+".status", "in_progress completed incomplete")
	if has(d, "call_id") {
		s := str(d, "call_id")
		c.must(s != "" && len(s) <= 64, at+".call_id", "Invalid '%s.call_id': string too long. Expected a string with maximum length 64, but got a string with length %d instead.", at, len(s))
	}
	switch kind {
	case "message":
		c.oneOf(d, "role", at+".role", "assistant system developer user")
		places := "input_text input_image input_file"
		if str(d, "role") == "assistant" {
			places = "output_text refusal"
		}
		c.content(d["content"], at+".content", places)
	case "function_call":
		_, isText := d["arguments"].(string)
		c.must(isText && str(d, "call_id") != "" && str(d, "name") != "", at, "Missing required parameter: '%s.call_id', '%s.name' or '%s.arguments'.", at, at, at)
	case "custom_tool_call":
		_, isText := d["input"].(string)
		c.must(isText && str(d, "call_id") != "" && str(d, "name") != "", at, "Missing required parameter: '%s.call_id', '%s.name' or '%s.input'.", at, at, at)
	case "function_call_output", "custom_tool_call_output":
		c.must(str(d, "call_id") != "", at+".call_id", "Missing required parameter: '%s.call_id'.", at)
		c.content(d["output"], at+".output", "input_text input_image input_file")
	case "additional_tools", "tool_search_output":
		for i, v := range list(d, "tools") {
			c.tool(asObject(v), index(at+".tools", i), "")
		}
	case "reasoning":
		_, isList := d["summary"].([]any)
		c.must(isList, at+".summary", "Missing required parameter: '%s.summary'.", at)
		id := str(d, "id")
		c.t.who.mu.Lock()
		_, stored := c.t.who.items[id]
		c.t.who.mu.Unlock()
		if sealed := str(d, "encrypted_content"); sealed != "" {
			c.must(sealed == c.t.who.seal(id), at, "The encrypted content for item %s could not be verified. Reason: Encrypted content could not be decrypted or parsed.", id)
		} else if !stored {
			c.missing(id)
		}
	}
}

func (c *responsesCheck) content(v any, at, places string) {
	switch v := v.(type) {
	case string:
	case []any:
		for i, p := range v {
			p, here := asObject(p), index(at, i)
			kind := str(p, "type")
			if c.must(slices.Contains(strings.Fields(places), kind), here+".type", "Invalid value: '%s'. Supported values are: %s.", kind, places) {
				c.known(p, here, inputParts[kind], unknown)
			}
		}
	default:
		c.must(false, at, "Missing required parameter: '%s'.", at)
	}
}

// pairs refuses calls without outputs and the reverse.
func (c *responsesCheck) pairs(all []any) {
	open := map[string]string{}
	for _, v := range all {
		d := asObject(v)
		kind, id := str(d, "type"), str(d, "call_id")
		switch kind {
		case "function_call", "custom_tool_call":
			open[id] = kind
		case "tool_search_call", "tool_search_output":
			if str(d, "execution") != "client" {
				continue
			}
			if kind == "tool_search_call" {
				open[id] = "tool_search"
				continue
			}
			fallthrough
		case "function_call_output", "custom_tool_call_output":
			c.must(open[id] != "", "input", "No tool call found for %s with call_id %s.", strings.ReplaceAll(strings.TrimSuffix(kind, "_output"), "_", " ")+" output", id)
			c.must(open[id] == "" || open[id]+"_output" == kind, "input", "The output of %s is a %s.", open[id], kind)
			delete(open, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(open)) {
		c.must(false, "input", "No tool output found for function call %s.", id)
	}
}

// reasoned refuses calls that were made after reasoning if they come back without it,
// and reasoning without what follows it.
func (c *responsesCheck) reasoned(all []any) {
	present := map[string]bool{}
	c.t.who.mu.Lock()
	defer c.t.who.mu.Unlock()
	for i, v := range all {
		d := asObject(v)
		id := str(d, "id")
		present[id] = true
		if need := c.t.who.reasoned[id]; need != "" {
			c.must(present[need], "input", "Item '%s' of type '%s' was provided without its required 'reasoning' item: '%s'.", id, str(d, "type"), need)
		}
		if str(d, "type") == "reasoning" {
			c.must(i+1 < len(all), "input", "Item '%s' of type 'reasoning' was provided without its required following item.", id)
		}
	}
}

// follow notes what the user said and which results there are.
func (c *responsesCheck) follow(all []any) {
	said := false
	for _, v := range all {
		d := asObject(v)
		switch kind := str(d, "type"); {
		case strings.HasSuffix(kind, "_output"):
			c.t.answers(strings.Join(c.texts(d["output"]), "\n"))
		case kind != "" && kind != "message" || str(d, "role") == "assistant":
			said, c.t.resulted = false, false
		case str(d, "role") == "user":
			said = c.t.said(c.texts(d["content"]), said) || said
		}
	}
}

func (c *responsesCheck) texts(v any) []string {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	var out []string
	l, _ := v.([]any)
	for _, p := range l {
		if str(asObject(p), "type") == "input_text" {
			out = append(out, str(asObject(p), "text"))
		}
	}
	return out
}

func (responses) refuse(e *refusal) any { return chat{}.refuse(e) }

// items returns the output of an answer.
func (responses) items(t *talk, a *answer) []object {
	var out []object
	reasoning := ""
	if a.thinking != "" {
		reasoning = "rs_" + a.id
		item := object{"id": reasoning, "type": "reasoning", "summary": []any{}}
		if get(t.request, "reasoning")["summary"] != nil {
			item["summary"] = []any{object{"type": "summary_text", "text": a.thinking}}
		}
		if slices.Contains(list(t.request, "include"), any("reasoning.encrypted_content")) {
			item["encrypted_content"] = t.who.seal(reasoning)
		}
		out = append(out, item)
	}
	if a.text != "" {
		out = append(out, object{"id": "msg_" + a.id, "type": "message", "status": "completed", "role": "assistant", "content": []any{
			object{"type": "output_text", "text": a.text, "annotations": []any{}, "logprobs": []any{}},
		}})
	}
	for _, c := range a.calls {
		item := object{"id": "fc_" + c.id, "type": "function_call", "status": "completed", "call_id": "call_" + c.id, "name": c.tool.name, "arguments": c.arguments}
		if c.tool.custom {
			item = object{"id": "ctc_" + c.id, "type": "custom_tool_call", "status": "completed", "call_id": "call_" + c.id, "name": c.tool.name, "input": c.arguments}
		}
		if c.tool.search {
			item = object{"id": "tsc_" + c.id, "type": "tool_search_call", "status": "completed", "call_id": "call_" + c.id, "execution": "client", "arguments": json.RawMessage(c.arguments)}
		}
		if c.tool.namespace != "" {
			item["namespace"] = c.tool.namespace
		}
		out = append(out, item)
	}
	t.who.mu.Lock()
	defer t.who.mu.Unlock()
	if reasoning != "" {
		for _, item := range out[1:] {
			if str(item, "type") != "message" {
				t.who.reasoned[str(item, "id")] = reasoning
			}
		}
	}
	if t.request["store"] != false {
		all := slices.Clone(t.history)
		for _, item := range out {
			t.who.items[str(item, "id")] = item
			all = append(all, item)
		}
		t.who.responses["resp_"+a.id] = all
	}
	return out
}

func (v responses) response(t *talk, a *answer, status string, output []object) object {
	r := object{
		"id": "resp_" + a.id, "object": "response", "created_at": 1764000000, "status": status, "background": false, "error": nil, "incomplete_details": nil,
		"instructions": t.request["instructions"], "max_output_tokens": t.request["max_output_tokens"], "model": t.model, "output": output,
		"parallel_tool_calls": true, "previous_response_id": t.request["previous_response_id"], "reasoning": object{"effort": get(t.request, "reasoning")["effort"], "summary": nil},
		"service_tier": "default", "store": t.request["store"] != false, "temperature": 1.0, "text": object{"format": object{"type": "text"}},
		"tool_choice": "auto", "tools": []any{}, "top_p": 1.0, "truncation": "disabled", "usage": nil, "user": nil, "metadata": object{},
	}
	if output == nil {
		r["output"] = []any{}
		return r
	}
	in, out := t.usage.input+t.usage.cached, a.tokens()
	r["usage"] = object{
		"input_tokens": in, "input_tokens_details": object{"cached_tokens": t.usage.cached},
		"output_tokens": out, "output_tokens_details": object{"reasoning_tokens": len(a.thinking) / 4}, "total_tokens": in + out,
	}
	return r
}

func (v responses) whole(t *talk, a *answer) any {
	return v.response(t, a, "completed", v.items(t, a))
}

func (v responses) stream(e *events, t *talk, a *answer) {
	number := 0
	event := func(name string, o object) {
		o["sequence_number"] = number
		number++
		e.named(name, o)
	}
	event("response.created", object{"response": v.response(t, a, "in_progress", nil)})
	event("response.in_progress", object{"response": v.response(t, a, "in_progress", nil)})
	output := v.items(t, a)
	for i, item := range output {
		id, kind := str(item, "id"), str(item, "type")
		at := func(more object) object {
			o := object{"item_id": id, "output_index": i}
			maps.Copy(o, more)
			return o
		}
		// at first, an item has nothing in it
		begun := maps.Clone(item)
		for _, key := range []string{"summary", "content"} {
			if has(item, key) {
				begun[key] = []any{}
			}
		}
		for _, key := range []string{"arguments", "input"} {
			if has(item, key) && kind != "tool_search_call" {
				begun[key] = ""
			}
		}
		if has(item, "status") {
			begun["status"] = "in_progress"
		}
		event("response.output_item.added", object{"output_index": i, "item": begun})
		switch kind {
		case "reasoning":
			for j, p := range list(item, "summary") {
				text := str(asObject(p), "text")
				event("response.reasoning_summary_part.added", at(object{"summary_index": j, "part": object{"type": "summary_text", "text": ""}}))
				for _, d := range pieces(text) {
					event("response.reasoning_summary_text.delta", at(object{"summary_index": j, "delta": d}))
				}
				event("response.reasoning_summary_text.done", at(object{"summary_index": j, "text": text}))
				event("response.reasoning_summary_part.done", at(object{"summary_index": j, "part": p}))
			}
		case "message":
			event("response.content_part.added", at(object{"content_index": 0, "part": object{"type": "output_text", "text": "", "annotations": []any{}, "logprobs": []any{}}}))
			for _, d := range pieces(a.text) {
				event("response.output_text.delta", at(object{"content_index": 0, "delta": d, "logprobs": []any{}}))
			}
			event("response.output_text.done", at(object{"content_index": 0, "text": a.text, "logprobs": []any{}}))
			event("response.content_part.done", at(object{"content_index": 0, "part": list(item, "content")[0]}))
		case "function_call":
			for _, d := range pieces(str(item, "arguments")) {
				event("response.function_call_arguments.delta", at(object{"delta": d}))
			}
			event("response.function_call_arguments.done", at(object{"name": item["name"], "arguments": item["arguments"]}))
		case "custom_tool_call":
			for _, d := range pieces(str(item, "input")) {
				event("response.custom_tool_call_input.delta", at(object{"delta": d}))
			}
			event("response.custom_tool_call_input.done", at(object{"input": item["input"]}))
		case "tool_search_call": // it has no events of its own
		default:
			panic(fmt.Sprintf("an item of type %s", kind))
		}
		event("response.output_item.done", object{"output_index": i, "item": item})
	}
	event("response.completed", object{"response": v.response(t, a, "completed", output)})
}
