package simulate

import (
	"strconv"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"
)

// chat writes OpenAI's chat completions.
type chat struct {
	r *request
	a *answer
	// head is the text of each chunk before its choice, tail the text after it.
	head, tail string
}

// fingerprint returns the service tier and the fingerprint of an answer.
func (f *chat) fingerprint() string {
	return `,"service_tier":"` + f.r.answeredTier() + `","system_fingerprint":"fp_simulated"`
}

func newChat(r *request, a *answer) *chat {
	f := &chat{r: r, a: a, tail: "}\n\n"}
	b := append(make([]byte, 0, 256), "data: "...)
	b = append(f.top(b, "chat.completion.chunk"), f.fingerprint()+`,"choices":[`...)
	f.head = string(b)
	if r.usage {
		f.tail = ",\"usage\":null}\n\n"
	}
	return f
}

func (f *chat) top(b []byte, object string) []byte {
	b = append(quote(append(b, `{"id":`...), f.a.id), `,"object":"`...)
	b = append(append(b, object...), `","created":`...)
	b = append(strconv.AppendInt(b, f.a.created, 10), `,"model":`...)
	return quote(b, f.r.model)
}

func (f *chat) begin(b []byte) []byte { return b }

// fail sends the chunk with the role, as providers do, and then the error.
func (f *chat) fail(b []byte, e *refusal) []byte {
	b = f.chunk(b, 0, `{"role":"assistant","content":"","refusal":null}`, "")
	return append(e.body(append(b, "data: "...), wire.Chat, ""), "\n\n"...)
}

// chunk appends an event. An empty reason is written as null.
func (f *chat) chunk(b []byte, i int, delta, reason string) []byte {
	b = append(f.choice(b, i), delta...)
	return f.ended(b, reason)
}

func (f *chat) choice(b []byte, i int) []byte {
	b = append(append(b, f.head...), `{"index":`...)
	return append(strconv.AppendInt(b, int64(i), 10), `,"delta":`...)
}

func (f *chat) ended(b []byte, reason string) []byte {
	b = orNull(append(b, `,"logprobs":null,"finish_reason":`...), reason)
	return append(append(b, "}]"...), f.tail...)
}

func (f *chat) open(b []byte, i int) []byte {
	p := &f.a.parts[i]
	if p.tool == "" {
		return f.chunk(b, i, `{"role":"assistant","content":"","refusal":null}`, "")
	}
	b = append(f.choice(b, i), `{"role":"assistant","content":null,"tool_calls":[{"index":0,`...)
	b = append(f.tool(b, p, ""), `],"refusal":null}`...)
	return f.ended(b, "")
}

// tool appends a call to a tool, without its opening brace.
func (f *chat) tool(b []byte, p *part, arguments string) []byte {
	b = append(quote(append(b, `"id":`...), "call_"+p.callID), `,"type":"function","function":{"name":`...)
	b = append(quote(b, p.tool), `,"arguments":`...)
	return append(quote(b, arguments), "}}"...)
}

func (f *chat) delta(b []byte, i int, piece string) []byte {
	b = f.choice(b, i)
	switch p := &f.a.parts[i]; {
	case p.refused:
		b = append(quote(append(b, `{"refusal":`...), piece), '}')
	case p.tool == "":
		b = append(quote(append(b, `{"content":`...), piece), '}')
	default:
		b = append(quote(append(b, `{"tool_calls":[{"index":0,"function":{"arguments":`...), piece), "}}]}"...)
	}
	return f.ended(b, "")
}

func (f *chat) close(b []byte, i int) []byte {
	return f.chunk(b, i, "{}", f.reason(i))
}

func (f *chat) reason(i int) string {
	switch p := &f.a.parts[i]; {
	case p.truncated:
		return "length"
	case p.silent():
		return "content_filter"
	case p.tool != "":
		return "tool_calls"
	}
	return "stop"
}

func (f *chat) end(b []byte, u carrot.Usage) []byte {
	if f.r.usage {
		b = append(append(b, f.head...), `],"usage":`...)
		b = append(chatUsage(b, u), "}\n\n"...)
	}
	return append(b, "data: "+wire.Done+"\n\n"...)
}

func (f *chat) whole(b []byte, u carrot.Usage) []byte {
	b = append(f.top(b, "chat.completion"), `,"choices":[`...)
	for i := range f.a.parts {
		p := &f.a.parts[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"index":`...), int64(i), 10)
		b = append(b, `,"message":{"role":"assistant","content":`...)
		refusal := ""
		switch {
		case p.refuses():
			b, refusal = append(b, "null"...), p.text
		case p.tool == "":
			b = quote(b, p.text)
		default:
			b = append(f.tool(append(b, `null,"tool_calls":[{`...), p, p.text), ']')
		}
		b = orNull(append(b, `,"refusal":`...), refusal)
		b = append(b, `,"annotations":[]},"logprobs":null,"finish_reason":`...)
		b = append(quote(b, f.reason(i)), '}')
	}
	b = chatUsage(append(b, `],"usage":`...), u)
	return append(b, f.fingerprint()+"}\n"...)
}

// chatUsage appends the usage in OpenAI's older form: the prompt's tokens include
// cached ones, and the completion's include reasoning.
func chatUsage(b []byte, u carrot.Usage) []byte {
	in, out := u.Input+u.CachedInput+u.CacheWrite, u.Output+u.Reasoning
	b = strconv.AppendInt(append(b, `{"prompt_tokens":`...), int64(in), 10)
	b = strconv.AppendInt(append(b, `,"completion_tokens":`...), int64(out), 10)
	b = strconv.AppendInt(append(b, `,"total_tokens":`...), int64(in+out), 10)
	b = strconv.AppendInt(append(b, `,"prompt_tokens_details":{"cached_tokens":`...), int64(u.CachedInput), 10)
	b = strconv.AppendInt(append(b, `,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":`...), int64(u.Reasoning), 10)
	return append(b, `,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`...)
}
