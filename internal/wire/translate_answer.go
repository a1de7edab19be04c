package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
)

// answer is an answer that belongs to no API. Its strings are plain, not JSON.
type answer struct {
	head
	parts    []said
	stop     stop
	sequence string // the stop sequence that ended the answer, if known
	usage    carrot.Usage
	hasUsage bool
}

// head is the description of an answer.
type head struct {
	id, model string
	created   string // JSON, in seconds since 1970; empty if the API has no time
	input     int    // estimated input tokens, for the beginning of a stream
}

// said is a part of an answer.
type said struct {
	kind saidKind
	text string // the text, or the arguments of a call
	id   string // of a call
	name string // of the function of a call
}

type saidKind int

const (
	saidText saidKind = iota
	saidRefusal
	saidThinking // never written for Messages, see writeMessages
	saidCall
)

// stop is why an answer ended.
type stop int

const (
	stopNone   stop = iota // it has not ended
	stopEnd                // it is complete
	stopLength             // it reached a token limit
	stopTool               // it calls tools
	stopFilter             // the provider or the model refused
)

// chatStop reads why a choice ended. Unknown words, which some servers use, mean
// that it is complete.
func chatStop(word string) stop {
	switch word {
	case "":
		return stopNone
	case "length":
		return stopLength
	case "tool_calls", "function_call":
		return stopTool
	case "content_filter":
		return stopFilter
	}
	return stopEnd
}

// chat returns the word for chat completions.
func (s stop) chat() string {
	return map[stop]string{stopEnd: "stop", stopLength: "length", stopTool: "tool_calls", stopFilter: "content_filter"}[s]
}

// messagesStop reads why a message ended.
func messagesStop(word string) stop {
	switch word {
	case "":
		return stopNone
	case "max_tokens", "model_context_window_exceeded":
		return stopLength
	case "tool_use":
		return stopTool
	case "refusal":
		return stopFilter
	}
	return stopEnd // end_turn, stop_sequence, pause_turn
}

// messages returns Anthropic's word.
func (s stop) messages(sequence string) string {
	if s == stopEnd && sequence != "" {
		return "stop_sequence"
	}
	return map[stop]string{stopEnd: "end_turn", stopLength: "max_tokens", stopTool: "tool_use", stopFilter: "refusal"}[s]
}

// responsesStop reads why a response ended. Responses have no word for calls.
func responsesStop(r gjson.Result) stop {
	switch r.Get("status").Str {
	case "completed":
		return stopEnd
	case "incomplete":
		if r.Get("incomplete_details.reason").Str == "content_filter" {
			return stopFilter
		}
		return stopLength
	}
	return stopNone
}

// settled corrects the reason by the content of the answer. An answer with calls
// ends with stopTool, whatever word the provider used.
// Anthropic reports a refusal as the reason, OpenAI in the text.
func (s stop) settled(to API, calls, refused bool) stop {
	switch {
	case s == stopEnd && calls:
		return stopTool
	case s == stopTool && !calls, s == stopNone:
		return stopEnd
	case s == stopEnd && refused && to == Messages:
		return stopFilter
	}
	return s
}

// readAnswer reads a whole answer.
func readAnswer(api API, v gjson.Result) (*answer, error) {
	if e := v.Get("error"); e.IsObject() {
		return nil, streamError(v)
	}
	a := &answer{head: readHead(v)}
	var err error
	switch api {
	case Chat:
		err = a.readChat(v)
	case Messages:
		err = a.readMessages(v)
	default:
		err = a.readResponses(v)
	}
	a.usage, a.hasUsage = readUsage(api, v.Get("usage"))
	return a, err
}

func readHead(v gjson.Result) head {
	h := head{id: strings.Clone(v.Get("id").Str), model: strings.Clone(v.Get("model").Str)} // not the whole text
	for _, key := range []string{"created", "created_at"} {
		if c := v.Get(key); c.Type == gjson.Number {
			h.created = strconv.FormatInt(c.Int(), 10)
		}
	}
	return h
}

// maxParts is the most parts of a whole answer that are translated. A part of a few
// bytes becomes hundreds.
const maxParts = 1 << 18

// add adds a part. One above the limit shows write that there are too many.
func (a *answer) add(s said) {
	if len(a.parts) <= maxParts {
		a.parts = append(a.parts, s)
	}
}

// addText adds a text, unless it is empty.
func (a *answer) addText(kind saidKind, v gjson.Result) {
	if v.Str != "" {
		a.add(said{kind: kind, text: v.Str})
	}
}

func (a *answer) readChat(v gjson.Result) error {
	choice := v.Get("choices.0")
	m := choice.Get("message")
	if !m.IsObject() {
		return errors.New("the answer has no message")
	}
	a.stop = chatStop(choice.Get("finish_reason").Str)
	a.addText(saidThinking, reasoningOf(m))
	a.addText(saidText, m.Get("content"))
	a.addText(saidRefusal, m.Get("refusal"))
	elements(m.Get("tool_calls"), func(c gjson.Result) {
		a.add(said{kind: saidCall, id: c.Get("id").Str, name: c.Get("function.name").Str, text: c.Get("function.arguments").Str})
	})
	return nil
}

// reasoningOf returns the reasoning in a message of chat completions, or in a
// part of one. OpenAI shows none. Other servers use one of two names for it.
func reasoningOf(m gjson.Result) gjson.Result {
	if r := m.Get("reasoning_content"); r.Str != "" {
		return r
	}
	return m.Get("reasoning")
}

func (a *answer) readMessages(v gjson.Result) error {
	if !v.Get("content").IsArray() {
		return errors.New("the answer has no content")
	}
	a.stop, a.sequence = messagesStop(v.Get("stop_reason").Str), v.Get("stop_sequence").Str
	elements(v.Get("content"), func(block gjson.Result) {
		switch block.Get("type").Str {
		case "text":
			a.addText(saidText, block.Get("text"))
		case "thinking":
			a.addText(saidThinking, block.Get("thinking"))
		case "tool_use":
			a.add(said{kind: saidCall, id: block.Get("id").Str, name: block.Get("name").Str, text: block.Get("input").Raw})
		}
	})
	return nil
}

func (a *answer) readResponses(v gjson.Result) error {
	if !v.Get("output").IsArray() {
		return errors.New("the answer has no output")
	}
	a.stop = responsesStop(v)
	if status := v.Get("status").Str; a.stop == stopNone && status != "" {
		return fmt.Errorf("the answer's status is %s", status)
	}
	elements(v.Get("output"), func(item gjson.Result) {
		switch item.Get("type").Str {
		case "message":
			elements(item.Get("content"), func(part gjson.Result) {
				a.addText(saidText, part.Get("text"))
				a.addText(saidRefusal, part.Get("refusal"))
			})
		case "reasoning":
			a.readReasoning(item)
		case "function_call":
			a.add(said{kind: saidCall, id: item.Get("call_id").Str, name: item.Get("name").Str, text: item.Get("arguments").Str})
		}
	})
	return nil
}

// readReasoning reads the summary of a reasoning or, if there is none, the
// reasoning itself, which open models show.
func (a *answer) readReasoning(item gjson.Result) {
	for _, key := range []string{"summary", "content"} {
		var texts []string
		elements(item.Get(key), func(part gjson.Result) {
			texts = append(texts, part.Get("text").Str)
		})
		if all := strings.Join(texts, "\n\n"); all != "" {
			a.add(said{kind: saidThinking, text: all})
			return
		}
	}
}

// has reports whether the answer has a part of a kind.
func (a *answer) has(kind saidKind) bool {
	for i := range a.parts {
		if a.parts[i].kind == kind {
			return true
		}
	}
	return false
}

// write writes the answer for a client of an API.
func (a *answer) write(api API) ([]byte, error) {
	if len(a.parts) > maxParts {
		return nil, fmt.Errorf("it has more than %d parts", maxParts)
	}
	a.stop = a.stop.settled(api, a.has(saidCall), a.has(saidRefusal))
	switch api {
	case Chat:
		return a.writeChat(), nil
	case Messages:
		return a.writeMessages()
	}
	return a.writeResponses(), nil
}

// arguments returns the arguments of a call as a JSON object, as Anthropic wants
// them. It is an error if the model wrote something else.
func (s *said) arguments() (string, error) {
	if strings.TrimSpace(s.text) == "" {
		return "{}", nil
	}
	if !valid([]byte(s.text)) || !gjson.Parse(s.text).IsObject() {
		return "", fmt.Errorf("the arguments of the call to %s are not a JSON object", s.name)
	}
	return s.text, nil
}
