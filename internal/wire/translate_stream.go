package wire

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
)

// StreamTranslator translates the events of a provider's stream into those of a
// client's API. It is for one stream, and not for concurrent use.
type StreamTranslator struct {
	from, to API
	created  string
	input    int
	reader   streamReader
	writer   streamWriter

	begun, ended  bool
	refused       bool
	calls         int  // how many have begun
	inCall, empty bool // a call is open; it has no arguments yet
	stop          stop
	sequence      string
	usage         carrot.Usage
	hasUsage      bool

	// Counted, if it is not nil, is asked at the end for the usage of a provider
	// that has not reported all of it.
	Counted func() (u carrot.Usage, ok bool)
}

// streamReader reads the events of one API. The data are a valid JSON object.
type streamReader interface {
	read(v gjson.Result, take func(delta)) error
}

// streamWriter writes the events of one API. What it is told of comes in the
// order of the answer, and of calls only the latest gets arguments.
type streamWriter interface {
	begin(h head)
	say(kind saidKind, text string)
	call(i int, id, name string)
	arguments(i int, text string)
	finish(s stop, sequence string, u carrot.Usage, hasUsage bool)
	fail(e *Error)
	// events returns what was written since it was last asked.
	events() []Event
}

// delta is what an event of no API in particular says.
type delta struct {
	kind     deltaKind
	head     head
	said     saidKind // of a part of a text
	text     string   // of a part of a text or of arguments
	call     int      // of arguments: of which call, from 0
	id, name string   // of a call that begins
	stop     stop
	sequence string
	usage    carrot.Usage
	err      *Error
}

type deltaKind int

const (
	beginDelta deltaKind = iota
	saidDelta
	callDelta
	argumentsDelta
	stopDelta
	usageDelta // all that is known of the usage
	endDelta
	failDelta
)

// NewStreamTranslator returns a translator of one stream of the API that a
// provider speaks for a client of another. created and input stand in for what
// the provider does not say at the beginning: the time, in seconds since 1970,
// and the number of input tokens.
func NewStreamTranslator(from, to API, created int64, input int) *StreamTranslator {
	t := &StreamTranslator{from: from, to: to, created: strconv.FormatInt(created, 10), input: input}
	switch from {
	case Chat:
		t.reader = &chatReader{}
	case Messages:
		t.reader = &messagesReader{}
	case Responses:
		t.reader = &responsesReader{}
	}
	switch to {
	case Chat:
		t.writer = &chatWriter{}
	case Messages:
		t.writer = &messagesWriter{}
	case Responses:
		t.writer = &responsesWriter{}
	}
	return t
}

// Next translates one event, whose data need be valid during the call only. It
// may return no events or several; those that came before an error in the event
// are returned with the error. After the end of the answer, or an error of the
// provider's, nothing follows.
func (t *StreamTranslator) Next(e Event) ([]Event, error) {
	if t.from == t.to {
		return t.pass(e)
	}
	if t.reader == nil || t.writer == nil {
		return nil, fmt.Errorf("translate a stream of %s for %s: there is no translation between them", t.from, t.to)
	}
	if t.ended {
		return nil, nil
	}
	if t.from == Chat && string(e.Data) == Done {
		t.finish()
		return t.writer.events(), nil
	}
	v, err := t.parse(e)
	if err != nil {
		return nil, err
	}
	if e := t.reader.read(v, func(d delta) { err = errors.Join(err, t.take(d)) }); e != nil {
		err = e
	}
	if err != nil {
		err = fmt.Errorf("translate a stream of %s: %w", t.from, err)
	}
	return t.writer.events(), err
}

// parse reads an event's data, which may change after the call.
func (t *StreamTranslator) parse(e Event) (gjson.Result, error) {
	v := gjson.ParseBytes(e.Data)
	if !valid(e.Data) || !v.IsObject() {
		return v, fmt.Errorf("translate a stream of %s: %s is not one of its events", t.from, e)
	}
	return v, nil
}

// pass copies an event of the client's own API.
func (t *StreamTranslator) pass(e Event) ([]Event, error) {
	c, ok := ReadChunk(t.from, e)
	if !ok {
		_, err := t.parse(e)
		return nil, err
	}
	t.ended = t.ended || c.Last || c.Err != nil
	if c.Finished > 0 {
		t.stop = stopEnd
	}
	return []Event{{Name: e.Name, Data: bytes.Clone(e.Data)}}, nil
}

// Close ends the client's stream after the provider's ended. It returns what is
// still missing of a whole answer, or an error if the provider's stream ended
// before its answer did, and nothing if the client has its end already.
func (t *StreamTranslator) Close() []Event {
	switch {
	case t.ended:
		return nil
	case t.stop == stopNone:
		t.ended = true
		e := &Error{Status: 502, Code: "stream_cut", Message: "the provider's stream ended early"}
		if t.writer == nil {
			return []Event{e.Event(t.to, 0)}
		}
		t.writer.fail(e)
	case t.from == t.to:
		t.ended = true
		if t.to == Chat {
			return []Event{{Data: []byte(Done)}}
		}
		return nil
	default:
		t.finish()
	}
	return t.writer.events()
}

// take passes on what an event says.
func (t *StreamTranslator) take(d delta) error {
	if t.ended {
		return nil
	}
	switch d.kind {
	case beginDelta:
		t.begin(d.head)
	case stopDelta:
		t.stop, t.sequence = d.stop, d.sequence
	case usageDelta:
		t.usage, t.hasUsage = d.usage, true
	case endDelta:
		t.finish()
	case failDelta:
		t.ended = true
		t.writer.fail(d.err)
	case saidDelta:
		if d.text == "" {
			return nil
		}
		t.begin(head{})
		t.endCall()
		t.refused = t.refused || d.said == saidRefusal
		t.writer.say(d.said, d.text)
	case callDelta:
		t.begin(head{})
		t.endCall()
		t.writer.call(t.calls, d.id, d.name)
		t.calls++
		t.inCall, t.empty = true, true
	case argumentsDelta:
		return t.arguments(d.call, d.text)
	}
	return nil
}

func (t *StreamTranslator) arguments(i int, text string) error {
	if text == "" {
		return nil
	}
	if !t.inCall || i != t.calls-1 {
		return fmt.Errorf("arguments of call %d come when it is not its turn", i)
	}
	t.empty = false
	t.writer.arguments(i, text)
	return nil
}

// begin begins the answer, once.
func (t *StreamTranslator) begin(h head) {
	if !t.begun {
		t.begun = true
		h.created, h.input = cmp.Or(h.created, t.created), t.input
		t.writer.begin(h)
	}
}

// endCall ends the call that is open. One without arguments gets an empty object:
// clients decode what they get.
func (t *StreamTranslator) endCall() {
	if t.inCall && t.empty {
		t.writer.arguments(t.calls-1, "{}")
	}
	t.inCall = false
}

// finish ends the answer.
func (t *StreamTranslator) finish() {
	t.ended = true
	t.begin(head{})
	t.endCall()
	if t.Counted != nil {
		if u, ok := t.Counted(); ok {
			t.usage, t.hasUsage = u, true
		}
	}
	t.writer.finish(t.stop.settled(t.to, t.calls > 0, t.refused), t.sequence, t.usage, t.hasUsage)
}

// output collects the events of a writer.
type output struct{ list []Event }

func (o *output) add(name string, data []byte) {
	o.list = append(o.list, Event{Name: name, Data: data})
}

func (o *output) events() []Event {
	list := o.list
	o.list = nil
	return list
}
