package simulate

import (
	"strconv"

	"github.com/carrot-router/carrot"
)

// responses writes OpenAI's responses. The output is one part. If the answer has
// hidden reasoning, an item that stands for it comes first.
type responses struct {
	r        *request
	a        *answer
	sequence int
}

// event appends the beginning of an event: its type and number.
func (f *responses) event(b []byte, name string) []byte {
	b = append(event(b, name), `,"sequence_number":`...)
	b = strconv.AppendInt(b, int64(f.sequence), 10)
	f.sequence++
	return b
}

// response appends the response object with a status. If u is nil, it has no output
// and no usage.
func (f *responses) response(b []byte, status string, u *carrot.Usage) []byte {
	b = quote(append(b, `{"id":`...), f.a.id)
	b = strconv.AppendInt(append(b, `,"object":"response","created_at":`...), f.a.created, 10)
	b = quote(append(b, `,"status":`...), status)
	b = append(b, `,"background":false,"error":null,"incomplete_details":`...)
	switch {
	case status != "incomplete":
		b = append(b, "null"...)
	case f.a.parts[0].refused:
		b = append(b, `{"reason":"content_filter"}`...)
	default:
		b = append(b, `{"reason":"max_output_tokens"}`...)
	}
	b = quote(append(b, `,"instructions":null,"max_output_tokens":null,"metadata":{},"model":`...), f.r.model)
	b = append(b, `,"output":[`...)
	if u != nil {
		b = f.items(b)
	}
	b = orNull(append(b, `],"parallel_tool_calls":true,"previous_response_id":`...), f.r.previous)
	b = append(b, `,"reasoning":{"effort":null,"summary":null},"service_tier":"`+f.r.answeredTier()+`","store":true,"temperature":1.0,`...)
	b = append(b, `"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":`...)
	if u != nil {
		b = responsesUsage(b, *u)
	} else {
		b = append(b, "null"...)
	}
	return append(b, `,"user":null}`...)
}

// items appends the output.
func (f *responses) items(b []byte) []byte {
	p := &f.a.parts[0]
	if p.reasoning > 0 {
		b = append(f.reasoning(b), ',')
	}
	return f.item(b, f.done(), p.text)
}

func (f *responses) reasoning(b []byte) []byte {
	return append(quote(append(b, `{"id":`...), "rs_"+f.a.parts[0].callID), `,"type":"reasoning","summary":[]}`...)
}

// item appends the message or the call to a tool. A message in progress has no
// content.
func (f *responses) item(b []byte, status, text string) []byte {
	p := &f.a.parts[0]
	b = quote(append(b, `{"id":`...), f.itemID())
	if p.tool != "" {
		b = quote(append(b, `,"type":"function_call","status":`...), status)
		b = quote(append(b, `,"arguments":`...), text)
		b = quote(append(b, `,"call_id":`...), "call_"+p.callID)
		return append(quote(append(b, `,"name":`...), p.tool), '}')
	}
	b = quote(append(b, `,"type":"message","status":`...), status)
	b = append(b, `,"role":"assistant","content":[`...)
	if status != "in_progress" {
		b = f.text(b, text)
	}
	return append(b, "]}"...)
}

func (f *responses) text(b []byte, text string) []byte {
	if f.a.parts[0].refuses() {
		return append(quote(append(b, `{"type":"refusal","refusal":`...), text), '}')
	}
	b = quote(append(b, `{"type":"output_text","annotations":[],"logprobs":[],"text":`...), text)
	return append(b, '}')
}

func (f *responses) itemID() string {
	if f.a.parts[0].tool != "" {
		return "fc_" + f.a.parts[0].callID
	}
	return "msg_" + f.a.parts[0].callID
}

func (f *responses) done() string {
	if p := &f.a.parts[0]; p.truncated || p.silent() {
		return "incomplete"
	}
	return "completed"
}

func (f *responses) begin(b []byte) []byte {
	for _, name := range []string{"response.created", "response.in_progress"} {
		b = append(f.event(b, name), `,"response":`...)
		b = append(f.response(b, "in_progress", nil), "}\n\n"...)
	}
	return b
}

func (f *responses) fail(b []byte, e *refusal) []byte {
	b = quote(append(f.event(b, "error"), `,"code":`...), e.kind)
	b = quote(append(b, `,"message":`...), e.message)
	return append(b, ",\"param\":null}\n\n"...)
}

// at appends an event about the item.
func (f *responses) at(b []byte, name string) []byte {
	b = quote(append(f.event(b, name), `,"item_id":`...), f.itemID())
	b = strconv.AppendInt(append(b, `,"output_index":`...), f.index(), 10)
	if f.a.parts[0].tool == "" {
		b = append(b, `,"content_index":0`...)
	}
	return b
}

// index returns the index of the item in the output.
func (f *responses) index() int64 {
	if f.a.parts[0].reasoning > 0 {
		return 1
	}
	return 0
}

func (f *responses) open(b []byte, _ int) []byte {
	if f.index() > 0 {
		for _, name := range []string{"response.output_item.added", "response.output_item.done"} {
			b = append(f.event(b, name), `,"output_index":0,"item":`...)
			b = append(f.reasoning(b), "}\n\n"...)
		}
	}
	b = f.whose(f.event(b, "response.output_item.added"), "in_progress", "")
	if f.a.parts[0].tool == "" {
		b = append(f.at(b, "response.content_part.added"), `,"part":`...)
		b = append(f.text(b, ""), "}\n\n"...)
	}
	return b
}

// whose completes an event with the item.
func (f *responses) whose(b []byte, status, text string) []byte {
	b = strconv.AppendInt(append(b, `,"output_index":`...), f.index(), 10)
	return append(f.item(append(b, `,"item":`...), status, text), "}\n\n"...)
}

func (f *responses) delta(b []byte, _ int, piece string) []byte {
	if f.a.parts[0].tool != "" {
		b = quote(append(f.at(b, "response.function_call_arguments.delta"), `,"delta":`...), piece)
		return append(b, "}\n\n"...)
	}
	if f.a.parts[0].refuses() {
		b = quote(append(f.at(b, "response.refusal.delta"), `,"delta":`...), piece)
		return append(b, "}\n\n"...)
	}
	b = quote(append(f.at(b, "response.output_text.delta"), `,"delta":`...), piece)
	return append(b, ",\"logprobs\":[]}\n\n"...)
}

func (f *responses) close(b []byte, _ int) []byte {
	p := &f.a.parts[0]
	if p.tool != "" {
		b = quote(append(f.at(b, "response.function_call_arguments.done"), `,"name":`...), p.tool)
		b = append(quote(append(b, `,"arguments":`...), p.text), "}\n\n"...)
	} else {
		if p.refuses() {
			b = quote(append(f.at(b, "response.refusal.done"), `,"refusal":`...), p.text)
			b = append(b, "}\n\n"...)
		} else {
			b = quote(append(f.at(b, "response.output_text.done"), `,"text":`...), p.text)
			b = append(b, ",\"logprobs\":[]}\n\n"...)
		}
		b = append(f.at(b, "response.content_part.done"), `,"part":`...)
		b = append(f.text(b, p.text), "}\n\n"...)
	}
	return f.whose(f.event(b, "response.output_item.done"), f.done(), p.text)
}

func (f *responses) end(b []byte, u carrot.Usage) []byte {
	b = append(f.event(b, "response."+f.done()), `,"response":`...)
	return append(f.response(b, f.done(), &u), "}\n\n"...)
}

func (f *responses) whole(b []byte, u carrot.Usage) []byte {
	return f.response(b, f.done(), &u)
}

// responsesUsage appends the usage in OpenAI's newer form.
func responsesUsage(b []byte, u carrot.Usage) []byte {
	in, out := u.Input+u.CachedInput+u.CacheWrite, u.Output+u.Reasoning
	b = strconv.AppendInt(append(b, `{"input_tokens":`...), int64(in), 10)
	b = strconv.AppendInt(append(b, `,"input_tokens_details":{"cached_tokens":`...), int64(u.CachedInput), 10)
	b = strconv.AppendInt(append(b, `},"output_tokens":`...), int64(out), 10)
	b = strconv.AppendInt(append(b, `,"output_tokens_details":{"reasoning_tokens":`...), int64(u.Reasoning), 10)
	b = strconv.AppendInt(append(b, `},"total_tokens":`...), int64(in+out), 10)
	return append(b, '}')
}
