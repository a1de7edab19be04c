package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
)

// LooksStreamed reports whether the beginning of an answer is that of server-sent
// events rather than of JSON.
func LooksStreamed(body []byte) bool {
	body = bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\ufeff")), " \t\r\n")
	for _, field := range []string{"data:", "event:", "id:", "retry:", ":"} {
		if bytes.HasPrefix(body, []byte(field)) {
			return true
		}
	}
	return false
}

// Collect returns the whole answer that is in a stream, for clients that did not ask
// for a stream, and what the stream reports of its usage. An error that the provider
// sent in the stream is an *Error. created is used if the stream has no time, in seconds
// since 1970.
func Collect(api API, stream []byte, created int64) ([]byte, Report, error) {
	var report Report
	var events []Event
	for d := NewDecoder(bytes.NewReader(stream)); ; {
		e, err := d.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, report, fmt.Errorf("read a stream of %s: %w", api, err)
		}
		c, ok := ReadChunk(api, e)
		switch {
		case !ok:
			return nil, report, fmt.Errorf("read a stream of %s: not an event of its API: %s", api, e)
		case c.Err != nil:
			return nil, report, c.Err
		}
		if report.Add(&c); isDone(e.Data) {
			break
		}
		events = append(events, Event{Name: e.Name, Data: bytes.Clone(e.Data)})
	}
	var body []byte
	err := errors.New("there is no translation of its API")
	switch api {
	case Chat:
		body, err = collectChat(events, created)
	case Messages:
		body, err = collectMessages(events)
	case Responses:
		body, err = collectResponses(events)
	}
	if err != nil {
		return nil, report, fmt.Errorf("read a stream of %s: %w", api, err)
	}
	return body, report, nil
}

var errCutStream = errors.New("it ended before the answer")

// collector is a streamWriter that keeps the answer.
type collector struct {
	answer
	texts [][]byte // of the parts
	size  int      // of the texts
	done  bool
	err   error
}

// part begins a part.
func (c *collector) part(p said) {
	if len(c.parts) <= maxParts { // one above the limit, as add does
		c.add(p)
		c.texts = append(c.texts, nil)
	}
}

func (c *collector) begin(h head) { c.head = h }

func (c *collector) say(kind saidKind, text string) {
	if last := len(c.parts) - 1; last < 0 || c.parts[last].kind != kind {
		c.part(said{kind: kind})
	}
	last := len(c.parts) - 1
	c.texts[last] = append(c.texts[last], text...)
	c.size += len(text)
}

func (c *collector) call(_ int, id, name string) { c.part(said{kind: saidCall, id: id, name: name}) }

func (c *collector) arguments(_ int, text string) { c.say(saidCall, text) }

func (c *collector) own(string) {} // streams are read without such parts

func (c *collector) finish(s stop, sequence string, u carrot.Usage, hasUsage bool) {
	c.done = true
	c.stop, c.sequence, c.usage, c.hasUsage = s, sequence, u, hasUsage
	for i := range c.parts {
		c.parts[i].text, c.texts[i] = string(c.texts[i]), nil
	}
}

func (c *collector) fail(e *Error) { c.err = e }

func (c *collector) events() []Event { return nil }

func (c *collector) written() int { return 0 }

func (c *collector) held() int { return c.size + len(c.parts)*callBytes }

// maxChoices is the most answers in one completion that are collected.
const maxChoices = 128

// collectChat reads the choices in one pass over the events.
func collectChat(events []Event, created int64) ([]byte, error) {
	type answered struct {
		reader *chatReader
		t      *StreamTranslator
		c      *collector
	}
	byIndex := map[int64]*answered{}
	at := func(i int64) *answered {
		a := byIndex[i]
		if a == nil {
			a = &answered{reader: &chatReader{choice: i}, c: &collector{}}
			a.t = &StreamTranslator{from: Chat, to: Chat, created: strconv.FormatInt(created, 10), reader: a.reader, writer: a.c}
			if byIndex[i] = a; i > 0 {
				a.t.begin(byIndex[0].t.head)
			}
		}
		return a
	}
	first := at(0) // it also reads what belongs to no choice
	for _, e := range events {
		if _, err := first.t.translate(e); err != nil {
			return nil, err
		}
		var err error
		elements(gjson.GetBytes(e.Data, "choices"), func(choice gjson.Result) {
			if i := choice.Get("index").Int(); i > 0 && i < maxChoices && err == nil {
				a := at(i)
				_, err = a.t.gather(func(take func(delta)) error {
					a.reader.part(choice, take)
					return nil
				})
			}
		})
		if err != nil {
			return nil, err
		}
	}
	var choices []string
	for _, i := range slices.Sorted(maps.Keys(byIndex)) {
		a := byIndex[i]
		switch a.t.Close(); {
		case i > 0 && len(a.c.parts) == 0 && a.t.stop == stopNone:
			continue
		case a.c.err != nil || !a.c.done:
			return nil, errCutStream
		case len(a.c.parts) > maxParts:
			return nil, errTooLong
		}
		choices = append(choices, a.c.chatChoice(int(i)))
	}
	return first.c.chatBody(choices), nil
}

// merged returns an object with some members replaced or added. Their values are JSON.
func merged(v gjson.Result, members map[string]string) string {
	b := new(builder)
	seen := map[string]bool{}
	v.ForEach(func(key, value gjson.Result) bool {
		raw, ok := members[key.Str]
		if !ok {
			raw = value.Raw
		}
		seen[key.Str] = true
		b.raw(key.Raw[1:len(key.Raw)-1], raw)
		return true
	})
	for _, key := range slices.Sorted(maps.Keys(members)) {
		if !seen[key] {
			b.raw(key, members[key])
		}
	}
	return b.String()
}

// collectMessages puts the blocks of a message together, with everything that only
// Anthropic has.
func collectMessages(events []Event) ([]byte, error) {
	type block struct {
		start                              gjson.Result
		text, thinking, signature, partial []byte
		citations                          []string
	}
	var message gjson.Result
	var blocks []*block
	byIndex := map[int64]*block{}
	members, usage := map[string]string{}, map[string]string{}
	for _, e := range events {
		v := gjson.ParseBytes(e.Data)
		switch v.Get("type").Str {
		case "message_start":
			message = v.Get("message")
		case "content_block_start":
			b := &block{start: v.Get("content_block")}
			blocks, byIndex[v.Get("index").Int()] = append(blocks, b), b
		case "content_block_delta":
			b, d := byIndex[v.Get("index").Int()], v.Get("delta")
			if b == nil {
				return nil, errors.New("a part belongs to no block")
			}
			b.text = append(b.text, d.Get("text").Str...)
			b.thinking = append(b.thinking, d.Get("thinking").Str...)
			b.signature = append(b.signature, d.Get("signature").Str...)
			b.partial = append(b.partial, d.Get("partial_json").Str...)
			if c := d.Get("citation"); c.IsObject() {
				b.citations = append(b.citations, c.Raw)
			}
		case "message_delta":
			v.Get("delta").ForEach(func(key, value gjson.Result) bool {
				members[key.Str] = value.Raw
				return true
			})
			v.Get("usage").ForEach(func(key, value gjson.Result) bool {
				usage[key.Str] = value.Raw
				return true
			})
		}
	}
	if !message.IsObject() || members["stop_reason"] == "" || members["stop_reason"] == "null" {
		return nil, errCutStream
	}
	content := make([]string, len(blocks))
	for i, b := range blocks {
		own := map[string]string{}
		for key, value := range map[string][]byte{"text": b.text, "thinking": b.thinking, "signature": b.signature} {
			if len(value) > 0 {
				own[key] = quote(b.start.Get(key).Str + string(value))
			}
		}
		if len(b.partial) > 0 {
			call := said{kind: saidCall, name: b.start.Get("name").Str, text: string(b.partial)}
			input, err := call.arguments()
			if err != nil {
				return nil, err
			}
			own["input"] = input
		}
		if len(b.citations) > 0 {
			own["citations"] = list(b.citations)
		}
		content[i] = merged(b.start, own)
	}
	members["content"] = list(content)
	members["usage"] = merged(message.Get("usage"), usage)
	return []byte(merged(message, members)), nil
}

// collectResponses returns the response in the event that ends a stream.
func collectResponses(events []Event) ([]byte, error) {
	for _, e := range slices.Backward(events) {
		v := gjson.ParseBytes(e.Data)
		switch v.Get("type").Str {
		case "response.completed", "response.incomplete":
			if r := v.Get("response"); r.Get("output.0").Exists() {
				return []byte(r.Raw), nil
			}
			// The items are in the events before.
			c := &collector{}
			t := &StreamTranslator{from: Responses, to: Responses, created: "0", reader: &responsesReader{}, writer: c}
			for _, e := range events {
				if _, err := t.translate(e); err != nil {
					return nil, err
				}
			}
			if !c.done {
				return nil, errCutStream
			}
			return c.write(Responses)
		}
	}
	return nil, errCutStream
}

// Events returns a whole answer as the events of a stream in the client's API, for
// clients that asked for a stream. created, input and counted are used as by
// NewStreamTranslator and TranslateAnswer.
func Events(body []byte, from, to API, created int64, input int, counted carrot.Usage) ([]Event, error) {
	fail := func(err error) ([]Event, error) {
		return nil, fmt.Errorf("send an answer of %s as a stream of %s: %w", from, to, err)
	}
	if !translated(from) || !translated(to) || !valid(body) {
		return fail(errors.New("it is not an answer that can be translated"))
	}
	v := gjson.ParseBytes(body)
	a, err := readParts(from, v, from == to)
	if err != nil {
		return fail(err)
	}
	if len(a.parts) > maxParts {
		return fail(fmt.Errorf("it has more than %d parts", maxParts))
	}
	if from == Chat && to == Chat {
		return chatEvents(v), nil
	}
	if !a.hasUsage && counted != (carrot.Usage{}) {
		a.usage, a.hasUsage = counted, true
	}
	t := NewStreamTranslator(from, to, created, input)
	t.usage, t.hasUsage, t.stop, t.sequence = a.usage, a.hasUsage, a.stop, a.sequence
	t.begin(a.head)
	for i := range a.parts {
		switch p := &a.parts[i]; p.kind {
		case saidOwn:
			t.flush()
			t.writer.own(p.text)
		case saidCall:
			err = t.take(delta{kind: callDelta, id: p.id, name: p.name})
			if err == nil {
				err = t.take(delta{kind: argumentsDelta, call: t.calls - 1, text: p.text})
			}
			t.flush()
		default:
			err = t.take(delta{kind: saidDelta, said: p.kind, text: p.text})
		}
		if err == nil && t.writer.written()+t.writer.held() > maxHeld {
			err = errTooLong
		}
		if err != nil {
			return fail(err)
		}
	}
	t.finish()
	return t.writer.events(), nil
}

// chatEvents returns a completion as chunks: of each choice the message and why it
// ended. Everything in them is kept; what is beside the choices is in the first chunk,
// and only what names the answer in the others.
func chatEvents(v gjson.Result) []Event {
	var events []Event
	head := new(builder)
	for _, name := range []string{"id", "object", "created", "model", "service_tier", "system_fingerprint"} {
		head.raw(name, v.Get(name).Raw)
	}
	beside := v
	chunk := func(members map[string]string) {
		members["object"] = `"chat.completion.chunk"`
		if u := v.Get("usage"); len(events) > 0 && members["usage"] == "" {
			members["usage"] = u.Raw
		}
		events = append(events, Event{Data: []byte(merged(beside, members))})
		if len(events) == 1 {
			beside = gjson.Parse(head.String())
		}
	}
	elements(v.Get("choices"), func(choice gjson.Result) {
		message := choice.Get("message")
		own := map[string]string{}
		var calls []string
		elements(message.Get("tool_calls"), func(c gjson.Result) {
			calls = append(calls, merged(c, map[string]string{"index": strconv.Itoa(len(calls))}))
		})
		if len(calls) > 0 {
			own["tool_calls"] = list(calls)
		}
		for _, part := range []struct{ delta, finish string }{{merged(message, own), "null"}, {"{}", choice.Get("finish_reason").Raw}} {
			b := new(builder).raw("index", strconv.FormatInt(choice.Get("index").Int(), 10)).raw("delta", part.delta)
			if l := choice.Get("logprobs"); part.finish == "null" && given(l) {
				b.raw("logprobs", l.Raw)
			}
			b.raw("finish_reason", part.finish)
			chunk(map[string]string{"choices": list([]string{b.String()}), "usage": "null"})
		}
	})
	if u := v.Get("usage"); u.IsObject() {
		chunk(map[string]string{"choices": "[]"})
	}
	return append(events, Event{Data: []byte(Done)})
}
