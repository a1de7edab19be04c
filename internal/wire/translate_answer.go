package wire

import (
	"cmp"
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
	calls    int  // number of calls
	own      bool // parts that only the provider's API has are kept
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
	saidOwn // a block or item that only the provider's API has; its text is its JSON
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
	case "length", "max_tokens", "model_length", "model_context_window_exceeded": // the last ones are Mistral's and Z.ai's
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
// ends with stopTool, whatever word the provider used, unless the arguments of one
// are cut: then it reached a limit, and no client may make the call.
// Anthropic reports a refusal as the reason, OpenAI in the text.
func (s stop) settled(to API, calls, refused, cut bool) stop {
	switch {
	case cut && s != stopFilter:
		return stopLength
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
	return readParts(api, v, false)
}

// readParts reads a whole answer. own says that it is for a client of the same API,
// so that what no other API has is kept.
func readParts(api API, v gjson.Result, own bool) (*answer, error) {
	a := &answer{head: readHead(v), own: own}
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
func (a *answer) addText(kind saidKind, text string) {
	if text != "" {
		a.add(said{kind: kind, text: text})
	}
}

// addCall adds a call.
func (a *answer) addCall(id, name string, arguments gjson.Result) {
	a.calls++
	a.add(said{kind: saidCall, id: cmp.Or(id, a.callID(a.calls-1)), name: name, text: argumentsOf(arguments)})
}

// callID makes an id for a call that has none, from the id of its answer: the id of
// a call must differ from those of earlier answers.
func (h *head) callID(i int) string {
	id := callID(cmp.Or(h.id, h.created))
	return "call_" + id[max(0, len(id)-40):] + "_" + strconv.Itoa(i)
}

// argumentsOf returns the arguments of a call, which some servers send as an object
// in place of its JSON in a string.
func argumentsOf(v gjson.Result) string {
	if v.IsObject() || v.IsArray() {
		return v.Raw
	}
	return v.Str
}

func (a *answer) readChat(v gjson.Result) error {
	choice := v.Get("choices.0")
	m := choice.Get("message")
	if !m.IsObject() {
		return errors.New("the answer has no message")
	}
	a.stop = chatStop(choice.Get("finish_reason").Str)
	a.addText(saidThinking, reasoningOf(m).Str)
	eachContent(m.Get("content"), a.addText)
	a.addText(saidRefusal, m.Get("refusal").Str)
	elements(m.Get("tool_calls"), func(c gjson.Result) {
		a.addCall(c.Get("id").Str, c.Get("function.name").Str, c.Get("function.arguments"))
	})
	if f := m.Get("function_call"); f.IsObject() && !m.Get("tool_calls.0").Exists() { // some servers send both
		a.addCall("", f.Get("name").Str, f.Get("arguments"))
	}
	return nil
}

// eachContent calls f with the texts in the content of a chat message, or of a part
// of one. Some servers send a list of parts, in which reasoning may be a list too.
func eachContent(content gjson.Result, f func(kind saidKind, text string)) {
	if !content.IsArray() {
		f(saidText, content.Str)
		return
	}
	elements(content, func(part gjson.Result) {
		switch part.Get("type").Str {
		case "thinking", "reasoning":
			for _, key := range []string{"thinking", "reasoning", "text"} {
				thought := part.Get(key)
				f(saidThinking, thought.Str)
				elements(thought, func(inner gjson.Result) { f(saidThinking, inner.Get("text").Str) })
			}
		case "refusal":
			f(saidRefusal, part.Get("refusal").Str)
		default:
			if part.Type == gjson.String {
				f(saidText, part.Str)
				return
			}
			f(saidText, part.Get("text").Str)
		}
	})
}

// reasoningOf returns the reasoning in a message of chat completions, or in a
// part of one. OpenAI shows none. Other servers use one of two names for it.
func reasoningOf(m gjson.Result) gjson.Result {
	if r := m.Get("reasoning_content"); r.Str != "" {
		return r
	}
	if r := m.Get("reasoning"); r.Str != "" {
		return r
	}
	return m.Get("reasoning_text") // GitHub Copilot
}

func (a *answer) readMessages(v gjson.Result) error {
	if !v.Get("content").IsArray() {
		return errors.New("the answer has no content")
	}
	a.stop, a.sequence = messagesStop(v.Get("stop_reason").Str), v.Get("stop_sequence").Str
	elements(v.Get("content"), func(block gjson.Result) {
		switch block.Get("type").Str {
		case "text":
			if a.own && given(block.Get("citations")) {
				a.add(said{kind: saidOwn, text: block.Raw})
				return
			}
			a.addText(saidText, block.Get("text").Str)
		case "thinking":
			if a.own { // with its signature
				a.add(said{kind: saidOwn, text: block.Raw})
				return
			}
			a.addText(saidThinking, block.Get("thinking").Str)
		case "tool_use":
			a.addCall(block.Get("id").Str, block.Get("name").Str, block.Get("input"))
		default:
			if a.own {
				a.add(said{kind: saidOwn, text: block.Raw})
			}
		}
	})
	if why := refusalIn(v); why != "" {
		if last := len(a.parts) - 1; last >= 0 && a.parts[last].kind == saidText && a.parts[last].text == why {
			a.parts[last].kind = saidRefusal // as writeMessages writes it
		} else {
			a.addText(saidRefusal, why)
		}
	}
	return nil
}

// refusalIn returns Anthropic's explanation of a refusal, which stands beside the
// reason why a message ended.
func refusalIn(v gjson.Result) string {
	if v.Get("stop_reason").Str != "refusal" {
		return ""
	}
	return v.Get("stop_details.explanation").Str
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
				a.addText(saidText, part.Get("text").Str)
				a.addText(saidRefusal, part.Get("refusal").Str)
			})
		case "reasoning":
			if a.own && given(item.Get("encrypted_content")) {
				a.add(said{kind: saidOwn, text: item.Raw})
				return
			}
			a.readReasoning(item)
		case "function_call":
			a.addCall(item.Get("call_id").Str, item.Get("name").Str, item.Get("arguments"))
		default:
			if a.own {
				a.add(said{kind: saidOwn, text: item.Raw})
			}
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
	a.stop = a.stop.settled(api, a.has(saidCall), a.has(saidRefusal), a.cut())
	switch api {
	case Chat:
		return a.writeChat(), nil
	case Messages:
		return a.writeMessages()
	}
	return a.writeResponses(), nil
}

// cut reports whether the arguments of a call end before they are complete.
func (a *answer) cut() bool {
	for i := range a.parts {
		if a.parts[i].cut() {
			return true
		}
	}
	return false
}

// cut reports whether the part is a call whose arguments end before they are complete.
func (s *said) cut() bool {
	if s.kind != saidCall {
		return false
	}
	var n nesting
	n.add(s.text)
	return n.cut()
}

// arguments returns the arguments of a call as a JSON object, as Anthropic wants
// them. Of arguments that are cut it returns what is there. It is an error if the
// model wrote something else.
func (s *said) arguments() (string, error) {
	switch text := strings.TrimSpace(s.text); {
	case text == "" || text == "null":
		return "{}", nil
	case text[0] == '"' && valid([]byte(text)): // some servers encode the object twice
		if inner := gjson.Parse(text).Str; isObject(inner) {
			return inner, nil
		}
	case isObject(text):
		return s.text, nil
	case s.cut():
		if whole := completed(text); isObject(whole) {
			return whole, nil
		}
	}
	return "", fmt.Errorf("the arguments of the call to %s are not a JSON object", s.name)
}

// isObject reports whether text is a JSON object.
func isObject(text string) bool {
	return valid([]byte(text)) && gjson.Parse(text).IsObject()
}
