package wire

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot"
)

// writeChat writes the answer as a chat completion.
func (a *answer) writeChat() []byte { return a.chatBody([]string{a.chatChoice(0)}) }

// chatBody writes a chat completion with choices.
func (a *answer) chatBody(choices []string) []byte {
	b := a.head.chat("chat.completion").raw("choices", list(choices))
	if a.hasUsage {
		b.raw("usage", chatUsage(a.usage))
	}
	return b.bytes()
}

// chatChoice writes the answer as a choice.
func (a *answer) chatChoice(index int) string {
	var texts [saidCall]strings.Builder // by kind
	var calls []string
	for i := range a.parts {
		switch s := &a.parts[i]; s.kind {
		case saidCall:
			calls = append(calls, chatCall(s, cmp.Or(s.text, "{}")).String())
		case saidOwn: // chat completions have no such parts
		default:
			texts[s.kind].WriteString(s.text)
		}
	}
	m := new(builder).str("role", "assistant")
	if texts[saidText].Len() > 0 {
		m.str("content", texts[saidText].String())
	} else {
		m.raw("content", "null")
	}
	if texts[saidRefusal].Len() > 0 {
		m.str("refusal", texts[saidRefusal].String())
	} else {
		m.raw("refusal", "null")
	}
	if texts[saidThinking].Len() > 0 {
		m.str("reasoning_content", texts[saidThinking].String())
	}
	if len(calls) > 0 {
		m.raw("tool_calls", list(calls))
	}
	return new(builder).num("index", index).raw("message", m.String()).raw("logprobs", "null").str("finish_reason", a.stop.chat()).String()
}

// chat begins a chat completion or a chunk of one.
func (h *head) chat(object string) *builder {
	return new(builder).str("id", h.id).str("object", object).raw("created", h.created).str("model", h.model)
}

// chatCall writes a call.
func chatCall(s *said, arguments string) *builder {
	function := new(builder).str("name", s.name).str("arguments", arguments)
	return new(builder).str("id", s.id).str("type", "function").raw("function", function.String())
}

// chatUsage writes a usage. The prompt's tokens include cached tokens, and the
// completion's include reasoning tokens.
func chatUsage(u carrot.Usage) string {
	in, out := u.Prompt(), u.Answer()
	return new(builder).num("prompt_tokens", in).num("completion_tokens", out).num("total_tokens", in+out).
		raw("prompt_tokens_details", new(builder).num("cached_tokens", u.CachedInput).num("cache_write_tokens", u.Written()).String()).
		raw("completion_tokens_details", new(builder).num("reasoning_tokens", u.Reasoning).String()).String()
}

// writeMessages writes the answer as a message of Anthropic's. It omits reasoning:
// a block of thinking without Anthropic's signature would stay in the
// conversation, and Anthropic's models would refuse to continue it.
func (a *answer) writeMessages() ([]byte, error) {
	var blocks []string
	refusal := ""
	for i := range a.parts {
		switch s := &a.parts[i]; s.kind {
		case saidText, saidRefusal:
			if s.kind == saidRefusal {
				refusal += s.text
			}
			blocks = append(blocks, typed("text").str("text", s.text).String())
		case saidOwn:
			blocks = append(blocks, s.text)
		case saidCall:
			input, err := s.arguments()
			if err != nil {
				return nil, err
			}
			blocks = append(blocks, messagesCall(s, input))
		}
	}
	b := new(builder).str("id", a.id).str("type", "message").str("role", "assistant").str("model", a.model).raw("content", list(blocks))
	return b.raw("stop_reason", quote(a.stop.messages(a.sequence))).raw("stop_sequence", textOrNull(a.sequence)).
		raw("stop_details", stopDetails(a.stop, refusal)).raw("usage", messagesUsage(a.usage)).bytes(), nil
}

// stopDetails writes why a model refused, or nothing if it did not.
func stopDetails(s stop, refusal string) string {
	if s != stopFilter {
		return ""
	}
	return typed("refusal").raw("category", "null").raw("explanation", textOrNull(refusal)).String()
}

// messagesCall writes a call as a block.
func messagesCall(s *said, input string) string {
	return typed("tool_use").str("id", callID(s.id)).str("name", s.name).raw("input", input).String()
}

// textOrNull writes a text that may be unknown.
func textOrNull(s string) string {
	if s == "" {
		return "null"
	}
	return quote(s)
}

// messagesUsage writes a usage. The input's tokens do not include cached tokens.
func messagesUsage(u carrot.Usage) string {
	b := new(builder).num("input_tokens", u.Prompt()-u.CachedInput-u.Written()).num("cache_creation_input_tokens", u.Written()).
		num("cache_read_input_tokens", u.CachedInput).num("output_tokens", u.Answer())
	if u.Reasoning > 0 {
		b.raw("output_tokens_details", new(builder).num("thinking_tokens", u.Reasoning).String())
	}
	return b.String()
}

// writeResponses writes the answer as a response. Consecutive texts become parts
// of one message.
func (a *answer) writeResponses() []byte {
	var items []string
	for i := 0; i < len(a.parts); i++ {
		s := &a.parts[i]
		id := a.itemID(s.kind, len(items))
		switch s.kind {
		case saidThinking:
			items = append(items, reasoningItem(id, []string{summaryPart(s.text)}))
		case saidCall:
			items = append(items, callItem(id, s, cmp.Or(s.text, "{}"), itemStatus(s)))
		case saidOwn:
			items = append(items, s.text)
		default:
			parts := []string{contentPart(s.kind, s.text)}
			for i+1 < len(a.parts) && (a.parts[i+1].kind == saidText || a.parts[i+1].kind == saidRefusal) {
				i++
				parts = append(parts, contentPart(a.parts[i].kind, a.parts[i].text))
			}
			items = append(items, messageItem(id, parts, "completed"))
		}
	}
	return []byte(a.response(items, a.stop, a.usageOrNull()))
}

func (a *answer) usageOrNull() string {
	if !a.hasUsage {
		return "null"
	}
	return responsesUsage(a.usage)
}

// itemID makes the id of an item from the id of its response. Clients send items
// back to OpenAI, which expects the prefix and at most 64 characters.
func (h *head) itemID(kind saidKind, i int) string {
	id := callID(h.id)
	prefix := map[saidKind]string{saidText: "msg_", saidRefusal: "msg_", saidThinking: "rs_", saidCall: "fc_"}[kind]
	return prefix + id[max(0, len(id)-40):] + "_" + strconv.Itoa(i)
}

func reasoningItem(id string, summary []string) string {
	return new(builder).str("id", id).str("type", "reasoning").raw("summary", list(summary)).String()
}

func messageItem(id string, parts []string, status string) string {
	return new(builder).str("id", id).str("type", "message").str("status", status).str("role", "assistant").raw("content", list(parts)).String()
}

func callItem(id string, s *said, arguments, status string) string {
	return new(builder).str("id", id).str("type", "function_call").str("status", status).
		str("arguments", arguments).str("call_id", s.id).str("name", s.name).String()
}

// itemStatus returns the status of an item with a call that has ended.
func itemStatus(s *said) string {
	if s.cut() {
		return "incomplete"
	}
	return "completed"
}

func summaryPart(s string) string { return typed("summary_text").str("text", s).String() }

func contentPart(kind saidKind, s string) string {
	if kind == saidRefusal {
		return typed("refusal").str("refusal", s).String()
	}
	return typed("output_text").raw("annotations", "[]").raw("logprobs", "[]").str("text", s).String()
}

// response writes a response. OpenAI repeats the request's settings in it. They
// are unknown here, so it has the defaults.
func (h *head) response(items []string, s stop, usage string) string {
	status, details := "completed", "null"
	switch s {
	case stopNone:
		status = "in_progress"
	case stopLength:
		status, details = "incomplete", `{"reason":"max_output_tokens"}`
	case stopFilter:
		status, details = "incomplete", `{"reason":"content_filter"}`
	}
	return new(builder).str("id", h.id).str("object", "response").raw("created_at", h.created).str("status", status).
		raw("error", "null").raw("incomplete_details", details).raw("instructions", "null").raw("max_output_tokens", "null").
		str("model", h.model).raw("output", list(items)).raw("parallel_tool_calls", "true").raw("previous_response_id", "null").
		raw("reasoning", `{"effort":null,"summary":null}`).raw("store", "false").raw("temperature", "null").
		raw("text", `{"format":{"type":"text"}}`).str("tool_choice", "auto").raw("tools", "[]").raw("top_p", "null").
		str("truncation", "disabled").raw("usage", usage).raw("metadata", "{}").String()
}

// responsesUsage writes a usage, with counts as in chat.
func responsesUsage(u carrot.Usage) string {
	in, out := u.Prompt(), u.Answer()
	return new(builder).num("input_tokens", in).
		raw("input_tokens_details", new(builder).num("cached_tokens", u.CachedInput).num("cache_write_tokens", u.Written()).String()).
		num("output_tokens", out).raw("output_tokens_details", new(builder).num("reasoning_tokens", u.Reasoning).String()).
		num("total_tokens", in+out).String()
}
