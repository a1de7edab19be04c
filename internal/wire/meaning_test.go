package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
)

// The tests in this file translate generated conversations and answers, and compare
// what they mean. They read and write the APIs with their own code, which shares
// nothing with the translation. A meaning is a list of facts in the order of the
// conversation.

// utterance is a part of a conversation, or of an answer.
type utterance struct {
	role string // system, user, image, assistant, thinking, call, result
	text string // of an image, the data in base64; of a call, its arguments
	id   string // of a call or its result
	name string // of a function
}

// generated is a conversation and its answer.
type generated struct {
	conversation []utterance
	answer       []utterance
	stop         string // end, length, tools, refused
}

// generate draws a conversation.
func generate(r *rand.Rand) generated {
	texts := []string{"hi", " leading and trailing ", "line\nbreak\n\n", "héllo 😀 漢字", `"quoted" \ back`, "<&>\u2028", "tab\there", "{\"not\":\"a call\"}", "0", strings.Repeat("long ", 50)}
	n := 0
	text := func() string { n++; return texts[r.IntN(len(texts))] + strconv.Itoa(n) }
	arguments := func() string {
		values := []string{`{"n":9007199254740993}`, `{"x":1.50,"deep":{"a":[1,null,true,{"é":"\u00e9\n"}]}}`, `{"text":"` + strings.Repeat("z", r.IntN(40)) + `","t":"a\"b\\"}`, `{"e":{}}`, `{"q":"} {"}`}
		return strings.Replace(values[r.IntN(len(values))], "{", `{"number":`+strconv.Itoa(n)+`,`, 1)
	}
	calls := func(prefix string, count int) (list []utterance) {
		for i := range count {
			n++
			list = append(list, utterance{role: "call", id: prefix + strconv.Itoa(n), name: []string{"get_weather", "search"}[i%2], text: arguments()})
		}
		return list
	}
	var g generated
	if r.IntN(3) > 0 {
		g.conversation = append(g.conversation, utterance{role: "system", text: text()})
	}
	for range 1 + r.IntN(3) {
		g.conversation = append(g.conversation, utterance{role: "user", text: text()})
		if r.IntN(3) == 0 {
			g.conversation = append(g.conversation, utterance{role: "image", text: "iVBORw0KGgo" + strconv.Itoa(10+n)})
		}
		if r.IntN(3) > 0 {
			g.conversation = append(g.conversation, utterance{role: "assistant", text: text()})
		}
		made := calls("call_", r.IntN(4))
		g.conversation = append(g.conversation, made...)
		for _, c := range made {
			g.conversation = append(g.conversation, utterance{role: "result", id: c.id, text: text()})
		}
	}
	g.conversation = append(g.conversation, utterance{role: "user", text: text()})
	if r.IntN(2) == 0 {
		g.answer = append(g.answer, utterance{role: "thinking", text: text()})
	}
	if r.IntN(4) > 0 {
		g.answer = append(g.answer, utterance{role: "assistant", text: text()})
	}
	made := calls("call_a", r.IntN(4))
	g.answer = append(g.answer, made...)
	switch g.stop = "end"; {
	case r.IntN(4) == 0:
		g.stop = "length"
	case len(made) > 0:
		g.stop = "tools"
	case r.IntN(5) == 0:
		g.stop = "refused"
	}
	return g
}

type fields = map[string]any

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// request writes a conversation as a request.
func request(api API, conversation []utterance) []byte {
	var list []any
	var system any
	last := func(role string) fields { // the message of a role to add to
		if len(list) > 0 {
			if m, _ := list[len(list)-1].(fields); m["role"] == role {
				return m
			}
		}
		m := fields{"role": role, "content": []any{}}
		list = append(list, m)
		return m
	}
	add := func(m fields, part fields) { m["content"] = append(m["content"].([]any), part) }
	for _, t := range conversation {
		switch api {
		case Chat:
			switch t.role {
			case "image":
				add(last("user"), fields{"type": "image_url", "image_url": fields{"url": "data:image/png;base64," + t.text}})
			case "user":
				list = append(list, fields{"role": "user", "content": []any{fields{"type": "text", "text": t.text}}})
			case "system", "assistant":
				list = append(list, fields{"role": t.role, "content": t.text})
			case "call":
				m := fields{}
				if len(list) > 0 {
					m, _ = list[len(list)-1].(fields)
				}
				if m["role"] != "assistant" {
					m = fields{"role": "assistant", "content": nil}
					list = append(list, m)
				}
				calls, _ := m["tool_calls"].([]any)
				m["tool_calls"] = append(calls, fields{"id": t.id, "type": "function", "function": fields{"name": t.name, "arguments": t.text}})
			case "result":
				list = append(list, fields{"role": "tool", "tool_call_id": t.id, "content": t.text})
			}
		case Messages:
			switch t.role {
			case "system":
				system = t.text
			case "user", "assistant":
				add(last(t.role), fields{"type": "text", "text": t.text})
			case "image":
				add(last("user"), fields{"type": "image", "source": fields{"type": "base64", "media_type": "image/png", "data": t.text}})
			case "call":
				add(last("assistant"), fields{"type": "tool_use", "id": t.id, "name": t.name, "input": json.RawMessage(t.text)})
			case "result":
				add(last("user"), fields{"type": "tool_result", "tool_use_id": t.id, "content": t.text})
			}
		case Responses:
			switch t.role {
			case "system":
				system = t.text
			case "user":
				list = append(list, fields{"role": "user", "content": []any{fields{"type": "input_text", "text": t.text}}})
			case "image":
				add(last("user"), fields{"type": "input_image", "image_url": "data:image/png;base64," + t.text})
			case "assistant":
				list = append(list, fields{"role": "assistant", "content": []any{fields{"type": "output_text", "text": t.text}}})
			case "call":
				list = append(list, fields{"type": "function_call", "call_id": t.id, "name": t.name, "arguments": t.text})
			case "result":
				list = append(list, fields{"type": "function_call_output", "call_id": t.id, "output": t.text})
			}
		}
	}
	switch api {
	case Messages:
		body := fields{"model": "m", "max_tokens": 100, "messages": list}
		if system != nil {
			body["system"] = system
		}
		return encode(body)
	case Responses:
		body := fields{"model": "m", "input": list}
		if system != nil {
			body["instructions"] = system
		}
		return encode(body)
	}
	return encode(fields{"model": "m", "messages": list})
}

var stopWords = map[API]map[string]string{
	Chat:     {"end": "stop", "length": "length", "tools": "tool_calls", "refused": "content_filter"},
	Messages: {"end": "end_turn", "length": "max_tokens", "tools": "tool_use", "refused": "refusal"},
}

// whole writes an answer.
func whole(api API, g *generated) []byte {
	var list []any
	message := fields{"role": "assistant", "content": nil}
	for _, t := range g.answer {
		switch t.role + " " + string(api) {
		case "thinking chat":
			message["reasoning_content"] = t.text
		case "assistant chat":
			message["content"] = t.text
		case "call chat":
			list = append(list, fields{"id": t.id, "type": "function", "function": fields{"name": t.name, "arguments": t.text}})
		case "thinking messages":
			list = append(list, fields{"type": "thinking", "thinking": t.text, "signature": "s"})
		case "assistant messages":
			list = append(list, fields{"type": "text", "text": t.text})
		case "call messages":
			list = append(list, fields{"type": "tool_use", "id": t.id, "name": t.name, "input": json.RawMessage(t.text)})
		case "thinking responses":
			list = append(list, fields{"type": "reasoning", "id": "rs", "summary": []any{fields{"type": "summary_text", "text": t.text}}})
		case "assistant responses":
			list = append(list, fields{"type": "message", "id": "msg", "role": "assistant", "content": []any{fields{"type": "output_text", "text": t.text}}})
		case "call responses":
			list = append(list, fields{"type": "function_call", "id": "fc", "call_id": t.id, "name": t.name, "arguments": t.text})
		}
	}
	if list == nil {
		list = []any{}
	}
	switch api {
	case Chat:
		if len(list) > 0 {
			message["tool_calls"] = list
		}
		return encode(fields{"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": []any{fields{"index": 0, "message": message, "finish_reason": stopWords[Chat][g.stop]}}})
	case Messages:
		return encode(fields{"id": "a", "type": "message", "role": "assistant", "model": "m", "content": list, "stop_reason": stopWords[Messages][g.stop]})
	}
	body := fields{"id": "a", "object": "response", "created_at": 1, "model": "m", "output": list, "status": "completed"}
	if reason := map[string]string{"length": "max_output_tokens", "refused": "content_filter"}[g.stop]; reason != "" {
		body["status"], body["incomplete_details"] = "incomplete", fields{"reason": reason}
	}
	return encode(body)
}

// streamed writes an answer as events, in pieces of random lengths. The calls of chat
// completions interleave.
func streamed(r *rand.Rand, api API, g *generated) []Event {
	var events []Event
	add := func(v fields) {
		name, _ := v["type"].(string)
		events = append(events, Event{Name: name, Data: encode(v)})
	}
	chunk := func(delta fields, finish any) {
		add(fields{"id": "a", "created": 1, "model": "m", "choices": []any{fields{"index": 0, "delta": delta, "finish_reason": finish}}})
	}
	pieces := func(s string) (list []string) {
		runes := []rune(s)
		for len(runes) > 0 {
			n := 1 + r.IntN(len(runes))
			list = append(list, string(runes[:n]))
			runes = runes[n:]
		}
		return list
	}
	switch api {
	case Chat:
		chunk(fields{"role": "assistant"}, nil)
		calls := 0
		waiting := map[int][]string{} // arguments by index
		for _, t := range g.answer {
			switch t.role {
			case "call":
				chunk(fields{"tool_calls": []any{fields{"index": calls, "id": t.id, "function": fields{"name": t.name, "arguments": ""}}}}, nil)
				waiting[calls] = pieces(t.text)
				calls++
			default:
				key := map[string]string{"thinking": "reasoning_content", "assistant": "content"}[t.role]
				for _, p := range pieces(t.text) {
					chunk(fields{key: p}, nil)
				}
			}
		}
		for len(waiting) > 0 {
			keys := slices.Sorted(maps.Keys(waiting))
			i := keys[r.IntN(len(keys))]
			chunk(fields{"tool_calls": []any{fields{"index": i, "function": fields{"arguments": waiting[i][0]}}}}, nil)
			if waiting[i] = waiting[i][1:]; len(waiting[i]) == 0 {
				delete(waiting, i)
			}
		}
		chunk(fields{}, stopWords[Chat][g.stop])
		events = append(events, Event{Data: []byte(Done)})
	case Messages:
		add(fields{"type": "message_start", "message": fields{"id": "a", "model": "m", "content": []any{}}})
		for i, t := range g.answer {
			block, kind, key := fields{"type": "text", "text": ""}, "text_delta", "text"
			switch t.role {
			case "thinking":
				block, kind, key = fields{"type": "thinking", "thinking": ""}, "thinking_delta", "thinking"
			case "call":
				block, kind, key = fields{"type": "tool_use", "id": t.id, "name": t.name, "input": fields{}}, "input_json_delta", "partial_json"
			}
			add(fields{"type": "content_block_start", "index": i, "content_block": block})
			for _, p := range pieces(t.text) {
				add(fields{"type": "content_block_delta", "index": i, "delta": fields{"type": kind, key: p}})
			}
			add(fields{"type": "content_block_stop", "index": i})
		}
		add(fields{"type": "message_delta", "delta": fields{"stop_reason": stopWords[Messages][g.stop]}})
		add(fields{"type": "message_stop"})
	case Responses:
		add(fields{"type": "response.created", "response": fields{"id": "a", "model": "m"}})
		for i, t := range g.answer {
			name, item := "response.output_text.delta", fields{"type": "message"}
			switch t.role {
			case "thinking":
				name, item = "response.reasoning_summary_text.delta", fields{"type": "reasoning"}
			case "call":
				name, item = "response.function_call_arguments.delta", fields{"type": "function_call", "call_id": t.id, "name": t.name}
			}
			add(fields{"type": "response.output_item.added", "output_index": i, "item": item})
			for _, p := range pieces(t.text) {
				add(fields{"type": name, "output_index": i, "delta": p})
			}
		}
		var response fields
		_ = json.Unmarshal(whole(Responses, g), &response)
		add(fields{"type": map[any]string{"completed": "response.completed", "incomplete": "response.incomplete"}[response["status"]], "response": response})
	}
	return events
}

// facts says what turns mean. Texts of one role that follow each other are one.
func facts(turns []utterance, stop string) []string {
	var list []string
	before := ""
	for _, t := range turns {
		switch t.role {
		case "call":
			list = append(list, fmt.Sprintf("call %s: %s(%s)", t.id, t.name, canonical(t.text)))
		case "result":
			list = append(list, "result "+t.id+": "+t.text)
		default:
			if t.role == before {
				list[len(list)-1] += "\x1f" + t.text // a border of parts that is kept
			} else {
				list = append(list, t.role+": "+t.text)
			}
		}
		before = t.role
	}
	if stop != "" {
		list = append(list, "stop: "+stop)
	}
	return list
}

// canonical returns JSON with sorted keys and the digits of its numbers.
func canonical(text string) string {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.More() {
		return "not JSON: " + text
	}
	return string(encode(v))
}

// decoded reads JSON whose arguments keep their digits.
func decoded(data []byte) fields {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v fields
	if err := d.Decode(&v); err != nil {
		return fields{}
	}
	return v
}

func items(v any) []fields {
	var list []fields
	all, _ := v.([]any)
	for _, element := range all {
		if o, ok := element.(fields); ok {
			list = append(list, o)
		}
	}
	return list
}

func word(v any) string { s, _ := v.(string); return s }

// parts reads content of any API.
func parts(role string, content any) []utterance {
	if s, ok := content.(string); ok {
		return []utterance{{role: role, text: s}}
	}
	var list []utterance
	for _, p := range items(content) {
		switch word(p["type"]) {
		case "text", "input_text", "output_text":
			list = append(list, utterance{role: role, text: word(p["text"])})
		case "thinking":
			list = append(list, utterance{role: "thinking", text: word(p["thinking"])})
		case "image_url":
			list = append(list, utterance{role: "image", text: strings.TrimPrefix(word(p["image_url"].(fields)["url"]), "data:image/png;base64,")})
		case "input_image":
			list = append(list, utterance{role: "image", text: strings.TrimPrefix(word(p["image_url"]), "data:image/png;base64,")})
		case "image":
			list = append(list, utterance{role: "image", text: word(p["source"].(fields)["data"])})
		case "tool_use":
			list = append(list, utterance{role: "call", id: word(p["id"]), name: word(p["name"]), text: string(encode(p["input"]))})
		case "tool_result":
			list = append(list, utterance{role: "result", id: word(p["tool_use_id"]), text: joined(p["content"])})
		default:
			list = append(list, utterance{role: "unknown " + word(p["type"])})
		}
	}
	return list
}

// joined returns a text that may be a list of parts.
func joined(content any) string {
	var all []string
	for _, t := range parts("", content) {
		all = append(all, t.text)
	}
	return strings.Join(all, "\x1f")
}

// toolCalls reads the calls of a chat message.
func toolCalls(v any) []utterance {
	var list []utterance
	for _, c := range items(v) {
		f, _ := c["function"].(fields)
		list = append(list, utterance{role: "call", id: word(c["id"]), name: word(f["name"]), text: word(f["arguments"])})
	}
	return list
}

// meaningOfRequest reads a request.
func meaningOfRequest(api API, body []byte) []string {
	v := decoded(body)
	var turns []utterance
	for _, key := range []string{"system", "instructions"} {
		if v[key] != nil {
			turns = append(turns, parts("system", v[key])...)
		}
	}
	list := items(v["messages"])
	if api == Responses {
		list = items(v["input"])
	}
	for _, m := range list {
		role := word(m["role"])
		if role == "developer" {
			role = "system"
		}
		switch {
		case role == "tool":
			turns = append(turns, utterance{role: "result", id: word(m["tool_call_id"]), text: joined(m["content"])})
		case m["type"] == "function_call":
			turns = append(turns, utterance{role: "call", id: word(m["call_id"]), name: word(m["name"]), text: word(m["arguments"])})
		case m["type"] == "function_call_output":
			turns = append(turns, utterance{role: "result", id: word(m["call_id"]), text: joined(m["output"])})
		default:
			turns = append(append(turns, parts(role, m["content"])...), toolCalls(m["tool_calls"])...)
		}
	}
	return facts(turns, "")
}

// stopOf returns the reason in the words of this test.
func stopOf(api API, said string) string {
	for own, theirs := range stopWords[api] {
		if theirs == said {
			return own
		}
	}
	return "unknown " + said
}

// meaningOfAnswer reads a whole answer.
func meaningOfAnswer(api API, body []byte) []string {
	v := decoded(body)
	var turns []utterance
	switch api {
	case Chat:
		choice := items(v["choices"])[0]
		m := choice["message"].(fields)
		if thought := word(m["reasoning_content"]); thought != "" {
			turns = append(turns, utterance{role: "thinking", text: thought})
		}
		turns = append(append(turns, parts("assistant", m["content"])...), toolCalls(m["tool_calls"])...)
		return facts(turns, stopOf(Chat, word(choice["finish_reason"])))
	case Messages:
		return facts(parts("assistant", v["content"]), stopOf(Messages, word(v["stop_reason"])))
	}
	stop := "end"
	for _, item := range items(v["output"]) {
		switch item["type"] {
		case "reasoning":
			for _, s := range items(item["summary"]) {
				turns = append(turns, utterance{role: "thinking", text: word(s["text"])})
			}
		case "message":
			turns = append(turns, parts("assistant", item["content"])...)
		case "function_call":
			stop = "tools"
			turns = append(turns, utterance{role: "call", id: word(item["call_id"]), name: word(item["name"]), text: word(item["arguments"])})
		}
	}
	if v["status"] != "completed" {
		details, _ := v["incomplete_details"].(fields)
		stop = map[string]string{"max_output_tokens": "length", "content_filter": "refused"}[word(details["reason"])]
	}
	return facts(turns, stop)
}

// meaningOfStream reads a stream as clients do.
func meaningOfStream(api API, events []Event) []string {
	var turns []utterance
	at := map[string]int{} // turns by index
	say := func(key, role, text string) {
		i, ok := at[key]
		if !ok {
			i = len(turns)
			at[key] = i
			turns = append(turns, utterance{role: role})
		}
		turns[i].text += text
	}
	stop := "none"
	for _, e := range events {
		v := decoded(e.Data)
		index := fmt.Sprint(v["index"], v["output_index"])
		d, _ := v["delta"].(fields)
		switch kind := word(v["type"]); kind {
		case "content_block_start":
			if b := v["content_block"].(fields); b["type"] == "tool_use" {
				at[index] = len(turns)
				turns = append(turns, utterance{role: "call", id: word(b["id"]), name: word(b["name"])})
			}
		case "content_block_delta":
			if thought := word(d["thinking"]); thought != "" {
				say(index, "thinking", thought)
			} else {
				say(index, "assistant", word(d["text"])+word(d["partial_json"]))
			}
		case "message_delta":
			stop = stopOf(Messages, word(d["stop_reason"]))
		case "response.output_item.added":
			if item := v["item"].(fields); item["type"] == "function_call" {
				at[index] = len(turns)
				turns = append(turns, utterance{role: "call", id: word(item["call_id"]), name: word(item["name"])})
			}
		case "response.output_text.delta", "response.function_call_arguments.delta":
			say(index, "assistant", word(v["delta"]))
		case "response.reasoning_summary_text.delta":
			say(index, "thinking", word(v["delta"]))
		case "response.completed", "response.incomplete":
			all := meaningOfAnswer(Responses, encode(v["response"]))
			stop = strings.TrimPrefix(all[len(all)-1], "stop: ")
			if parts := facts(turns, stop); !slices.Equal(parts, all) {
				return append(all, "but the parts are "+strings.Join(parts, "; "))
			}
		}
		for _, choice := range items(v["choices"]) {
			d, _ := choice["delta"].(fields)
			if s := word(d["reasoning_content"]); s != "" {
				say("thinking", "thinking", s)
			}
			if s := word(d["content"]); s != "" {
				say("content", "assistant", s)
			}
			for _, c := range items(d["tool_calls"]) {
				f, _ := c["function"].(fields)
				key := fmt.Sprint("call ", c["index"])
				if id := word(c["id"]); id != "" {
					at[key] = len(turns)
					turns = append(turns, utterance{role: "call", id: id, name: word(f["name"])})
				}
				say(key, "call", word(f["arguments"]))
			}
			if s := word(choice["finish_reason"]); s != "" {
				stop = stopOf(Chat, s)
			}
		}
	}
	return facts(turns, stop)
}

// translatedEvents translates a stream.
func translatedEvents(events []Event, from, to API) ([]Event, error) {
	t := NewStreamTranslator(from, to, 1, 1)
	var out []Event
	for _, e := range events {
		list, err := t.Next(e)
		if out = append(out, list...); err != nil {
			return nil, err
		}
	}
	return append(out, t.Close()...), nil
}

// translatedRequest is the body of a translated request.
func translatedRequest(body []byte, from, to API) ([]byte, error) {
	t, err := TranslateRequest(body, from, to, Facts{})
	if err != nil {
		return nil, err
	}
	return t.Body, nil
}

// differences translates everything that is generated, there and back, and returns where
// its meaning changes. what is given to the translation; want is what it must mean.
func differences(r *rand.Rand, want, given *generated, spoil func([]Event) []Event) (list []string) {
	note := func(what string, want, got []string, err error) {
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			list = append(list, fmt.Sprintf("%s (-want +got): %v\n%s", what, err, diff))
		}
	}
	for _, pair := range pairs {
		from, to := pair[0], pair[1]
		name := fmt.Sprintf(" from %s to %s", from, to)
		there, err := translatedRequest(request(from, given.conversation), from, to)
		note("request"+name, facts(want.conversation, ""), meaningOfRequest(to, there), err)
		back, err := translatedRequest(there, to, from)
		note("request and back"+name, facts(want.conversation, ""), meaningOfRequest(from, back), err)

		answer := want.answer
		if to == Messages { // without its maker's signature, reasoning must not stay in a conversation
			answer = slices.DeleteFunc(slices.Clone(answer), func(t utterance) bool { return t.role == "thinking" })
		}
		wanted := facts(answer, want.stop)
		there, err = TranslateAnswer(whole(from, given), from, to, 1, carrot.Usage{})
		note("answer"+name, wanted, safely(meaningOfAnswer, to, there), err)
		back, err = TranslateAnswer(there, to, from, 1, carrot.Usage{})
		if to == Messages || from == Messages {
			wanted = facts(slices.DeleteFunc(slices.Clone(want.answer), func(t utterance) bool { return t.role == "thinking" }), want.stop)
		}
		note("answer and back"+name, wanted, safely(meaningOfAnswer, from, back), err)

		events := streamed(r, from, given)
		if spoil != nil {
			events = spoil(events)
		}
		out, err := translatedEvents(events, from, to)
		note("stream"+name, facts(answer, want.stop), meaningOfStream(to, out), err)
		all, err := Events(whole(from, given), from, to, 1, 1, carrot.Usage{})
		note("answer as a stream"+name, facts(answer, want.stop), meaningOfStream(to, all), err)
	}
	for _, api := range []API{Chat, Messages, Responses} {
		events := streamed(r, api, given)
		if spoil != nil {
			events = spoil(events)
		}
		var stream []byte
		for _, e := range events {
			stream = e.AppendTo(stream)
		}
		body, _, err := Collect(api, stream, 1)
		note(fmt.Sprintf("stream of %s as an answer", api), facts(want.answer, want.stop), safely(meaningOfAnswer, api, body), err)
	}
	return list
}

// safely reads an answer that may be missing.
func safely(read func(API, []byte) []string, api API, body []byte) []string {
	if len(body) == 0 {
		return nil
	}
	return read(api, body)
}

// TestMeaning: conversations, answers and streams keep their meaning over all APIs.
func TestMeaning(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 15))
		g := generate(r)
		for _, d := range differences(r, &g, &g, nil) {
			t.Errorf("seed %d: %s", seed, d)
		}
		if t.Failed() {
			return
		}
	}
}

// pick returns the indices of the turns with a role.
func pick(turns []utterance, role string) (list []int) {
	for i := range turns {
		if turns[i].role == role {
			list = append(list, i)
		}
	}
	return list
}

// faults are what a translation might do wrong. Each changes what is given to the
// translation, which is the same as a translation that makes the fault, and reports
// whether it could.
var faults = []struct {
	name  string
	turns func(g *generated) bool
}{
	{"the system prompt is lost", drop(conversationOf, "system", 0)},
	{"a user's text is lost", drop(conversationOf, "user", 0)},
	{"an image is lost", drop(conversationOf, "image", 0)},
	{"an earlier answer is lost", drop(conversationOf, "assistant", 0)},
	{"a call and its result are lost", func(g *generated) bool {
		calls := pick(g.conversation, "call")
		if len(calls) == 0 {
			return false
		}
		id := g.conversation[calls[0]].id
		g.conversation = slices.DeleteFunc(g.conversation, func(t utterance) bool { return t.id == id })
		return true
	}},
	{"two results are exchanged", swap(conversationOf, "result", func(a, b *utterance) { a.id, b.id = b.id, a.id })},
	{"the text of a result is cut", change(conversationOf, "result", func(t *utterance) { t.text = t.text[:len(t.text)-1] })},
	{"white space around a user's text is trimmed", change(conversationOf, "user", func(t *utterance) { t.text = strings.TrimSpace(t.text) })},
	{"characters outside ASCII are replaced", change(conversationOf, "user", func(t *utterance) {
		t.text = strings.Map(func(r rune) rune {
			if r > 0x7f {
				return '?'
			}
			return r
		}, t.text)
	})},
	{"the data of an image are changed", change(conversationOf, "image", func(t *utterance) { t.text += "AA" })},
	{"a call of the answer is lost", drop(answerOf, "call", 1)},
	{"the calls of the answer change their order", swap(answerOf, "call", func(a, b *utterance) { *a, *b = *b, *a })},
	{"the ids of two calls are exchanged", swap(answerOf, "call", func(a, b *utterance) { a.id, b.id = b.id, a.id })},
	{"the arguments of two calls are exchanged", swap(answerOf, "call", func(a, b *utterance) { a.text, b.text = b.text, a.text })},
	{"the arguments of a call are lost", change(answerOf, "call", func(t *utterance) { t.text = "{}" })},
	{"long numbers are rounded", change(answerOf, "call", func(t *utterance) {
		t.text = strings.Replace(t.text, "9007199254740993", "9007199254740992", 1)
	})},
	{"the name of a function is changed", change(answerOf, "call", func(t *utterance) { t.name += "_" })},
	{"the text of the answer is lost", drop(answerOf, "assistant", 0)},
	{"the text of the answer is doubled", change(answerOf, "assistant", func(t *utterance) { t.text += t.text })},
	{"reasoning becomes a part of the answer", change(answerOf, "thinking", func(t *utterance) { t.role = "assistant" })},
	{"an answer at its limit looks complete", func(g *generated) bool {
		was := g.stop
		if g.stop = "end"; len(pick(g.answer, "call")) > 0 {
			g.stop = "tools"
		}
		return was == "length"
	}},
	{"a refusal looks complete", func(g *generated) bool {
		was := g.stop
		g.stop = "end"
		return was == "refused"
	}},
}

// streamFaults are faults within streams.
var streamFaults = []struct {
	name  string
	spoil func([]Event) []Event
}{
	{"a part of a text is lost", withoutPart},
	{"a part arrives twice", func(events []Event) []Event {
		for i, e := range events {
			if isPart(e) {
				return slices.Insert(slices.Clone(events), i, e)
			}
		}
		return events
	}},
	{"the end of the stream is lost", func(events []Event) []Event {
		return slices.DeleteFunc(slices.Clone(events), func(e Event) bool {
			s := string(e.Data)
			return s == Done || strings.Contains(s, `"finish_reason":"`) || strings.Contains(s, `"stop_reason"`) || strings.Contains(s, "message_stop") || strings.Contains(s, `"output":[`)
		})
	}},
}

// isPart reports whether an event has a part of a text or of arguments.
func isPart(e Event) bool {
	s := string(e.Data)
	return strings.Contains(s, `"content":"`) || strings.Contains(s, `"text":"`) && strings.Contains(s, "text_delta") || strings.Contains(s, "output_text.delta")
}

// withoutPart removes the first event that has a part of a text.
func withoutPart(events []Event) []Event {
	for i, e := range events {
		if isPart(e) {
			return slices.Delete(slices.Clone(events), i, i+1)
		}
	}
	return events
}

func conversationOf(g *generated) *[]utterance { return &g.conversation }

func answerOf(g *generated) *[]utterance { return &g.answer }

// drop loses the utterance of a role at a position.
func drop(of func(*generated) *[]utterance, role string, position int) func(*generated) bool {
	return func(g *generated) bool {
		turns := of(g)
		at := pick(*turns, role)
		if len(at) <= position {
			return false
		}
		*turns = slices.Delete(*turns, at[position], at[position]+1)
		return true
	}
}

// change changes the first utterance of a role that it can change.
func change(of func(*generated) *[]utterance, role string, f func(*utterance)) func(*generated) bool {
	return func(g *generated) bool {
		turns := *of(g)
		for _, i := range pick(turns, role) {
			was := turns[i]
			if f(&turns[i]); turns[i] != was {
				return true
			}
		}
		return false
	}
}

// swap changes the first two turns of a role.
func swap(of func(*generated) *[]utterance, role string, f func(a, b *utterance)) func(*generated) bool {
	return func(g *generated) bool {
		turns := *of(g)
		at := pick(turns, role)
		if len(at) < 2 {
			return false
		}
		a, b := turns[at[0]], turns[at[1]]
		f(&turns[at[0]], &turns[at[1]])
		return a != turns[at[0]] || b != turns[at[1]]
	}
}

// TestPlantedFaults: the test above notices every fault, wherever it can be made.
func TestPlantedFaults(t *testing.T) {
	if n := len(faults) + len(streamFaults); n < 20 {
		t.Fatalf("%d faults, want at least 20", n)
	}
	plant := func(name string, made func(g *generated) (func([]Event) []Event, bool)) {
		times := 0
		for seed := uint64(0); seed < 400 && times < 5; seed++ {
			r := rand.New(rand.NewPCG(seed, 15))
			want := generate(r)
			given := generated{slices.Clone(want.conversation), slices.Clone(want.answer), want.stop}
			spoil, ok := made(&given)
			if !ok {
				continue
			}
			times++
			if len(differences(r, &want, &given, spoil)) == 0 {
				t.Errorf("%s, with seed %d: not noticed", name, seed)
			}
		}
		if times == 0 {
			t.Errorf("%s: no generated conversation has it", name)
		}
	}
	for _, f := range faults {
		plant(f.name, func(g *generated) (func([]Event) []Event, bool) { return nil, f.turns(g) })
	}
	for _, f := range streamFaults {
		plant(f.name, func(g *generated) (func([]Event) []Event, bool) { return f.spoil, len(pick(g.answer, "assistant")) > 0 })
	}
}
