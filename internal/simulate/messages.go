package simulate

import (
	"strconv"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"
)

// messages writes Anthropic's messages.
type messages struct {
	r *request
	a *answer
}

// event appends the beginning of an event, including its type.
func event(b []byte, name string) []byte {
	b = append(append(append(b, "event: "...), name...), "\ndata: {\"type\":\""...)
	return append(append(b, name...), '"')
}

func (f *messages) top(b []byte) []byte {
	b = quote(append(b, `{"id":`...), f.a.id)
	b = quote(append(b, `,"type":"message","role":"assistant","model":`...), f.r.model)
	return append(b, `,"content":[`...)
}

func (f *messages) begin(b []byte) []byte {
	b = f.top(append(event(b, "message_start"), `,"message":`...))
	b = append(b, `],"stop_reason":null,"stop_sequence":null,"usage":`...)
	u := f.a.input
	u.Output = 1 // as Anthropic begins; the billed count comes at the end
	if f.a.given != nil {
		u.Output = min(f.a.given.Output, 1)
	}
	return append(messagesUsage(b, u), "}}\n\n"...)
}

func (f *messages) fail(b []byte, e *refusal) []byte {
	b = append(b, "event: error\ndata: "...)
	return append(e.body(b, wire.Messages, f.a.requestID), "\n\n"...)
}

func (f *messages) index(b []byte, name string, i int) []byte {
	return strconv.AppendInt(append(event(b, name), `,"index":`...), int64(i), 10)
}

func (f *messages) open(b []byte, i int) []byte {
	if f.a.parts[i].silent() {
		return b
	}
	b = append(f.index(b, "content_block_start", i), `,"content_block":`...)
	switch p := &f.a.parts[i]; {
	case p.thinking:
		b = append(b, `{"type":"thinking","thinking":"","signature":""}`...)
	case p.tool != "":
		b = append(f.tool(b, p), `{}}`...)
	default:
		b = append(b, `{"type":"text","text":""}`...)
	}
	b = append(b, "}\n\n"...)
	if i == 0 {
		b = append(event(b, "ping"), "}\n\n"...)
	}
	return b
}

// tool appends a call to a tool, without its input.
func (f *messages) tool(b []byte, p *part) []byte {
	b = quote(append(b, `{"type":"tool_use","id":`...), "toolu_"+p.callID)
	return append(quote(append(b, `,"name":`...), p.tool), `,"input":`...)
}

func (f *messages) delta(b []byte, i int, piece string) []byte {
	b = append(f.index(b, "content_block_delta", i), `,"delta":{"type":"`...)
	switch p := &f.a.parts[i]; {
	case p.thinking:
		b = append(b, `thinking_delta","thinking":`...)
	case p.tool != "":
		b = append(b, `input_json_delta","partial_json":`...)
	default:
		b = append(b, `text_delta","text":`...)
	}
	return append(quote(b, piece), "}}\n\n"...)
}

func (f *messages) close(b []byte, i int) []byte {
	if f.a.parts[i].silent() {
		return b
	}
	if f.a.parts[i].thinking {
		b = append(f.index(b, "content_block_delta", i), `,"delta":{"type":"signature_delta","signature":`...)
		b = append(quote(b, f.signature()), "}}\n\n"...)
	}
	return append(f.index(b, "content_block_stop", i), "}\n\n"...)
}

func (f *messages) signature() string { return "sim" + strconv.FormatUint(f.r.hash, 36) }

func (f *messages) reason() string {
	switch p := &f.a.parts[len(f.a.parts)-1]; {
	case p.truncated:
		return "max_tokens"
	case p.refused:
		return "refusal"
	case p.tool != "":
		return "tool_use"
	}
	return "end_turn"
}

// stopped appends the reason, and what else is said about the end.
func (f *messages) stopped(b []byte) []byte {
	reason := f.reason()
	b = append(append(b, reason...), `","stop_sequence":null`...)
	if reason == "refusal" {
		b = append(b, `,"stop_details":{"type":"refusal","category":null,"explanation":null}`...)
	}
	return b
}

func (f *messages) end(b []byte, u carrot.Usage) []byte {
	b = append(event(b, "message_delta"), `,"delta":{"stop_reason":"`...)
	b = append(f.stopped(b), `},"usage":`...)
	b = append(messagesUsage(b, u), "}\n\n"...)
	return append(event(b, "message_stop"), "}\n\n"...)
}

func (f *messages) whole(b []byte, u carrot.Usage) []byte {
	b = f.top(b)
	for i := range f.a.parts {
		p := &f.a.parts[i]
		if p.silent() {
			continue
		}
		if i > 0 {
			b = append(b, ',')
		}
		switch {
		case p.thinking:
			b = quote(append(b, `{"type":"thinking","thinking":`...), p.text)
			b = quote(append(b, `,"signature":`...), f.signature())
		case p.tool != "" && p.truncated:
			b = append(f.tool(b, p), "{}"...) // a part of an object is not JSON
		case p.tool != "":
			b = append(f.tool(b, p), p.text...)
		default:
			b = quote(append(b, `{"type":"text","text":`...), p.text)
		}
		b = append(b, '}')
	}
	b = append(f.stopped(append(b, `],"stop_reason":"`...)), `,"usage":`...)
	return append(messagesUsage(b, u), '}')
}

// messagesUsage appends the usage in Anthropic's form: the parts of the input are
// counted separately, and the output includes thinking.
func messagesUsage(b []byte, u carrot.Usage) []byte {
	b = strconv.AppendInt(append(b, `{"input_tokens":`...), int64(u.Input), 10)
	b = strconv.AppendInt(append(b, `,"cache_creation_input_tokens":`...), int64(u.CacheWrite), 10)
	b = strconv.AppendInt(append(b, `,"cache_read_input_tokens":`...), int64(u.CachedInput), 10)
	b = strconv.AppendInt(append(b, `,"output_tokens":`...), int64(u.Output), 10)
	if u.Details != nil {
		b = quote(append(b, `,"service_tier":`...), u.Details.Tier)
	}
	return append(b, '}')
}
