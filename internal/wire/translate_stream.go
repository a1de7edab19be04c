package wire

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
)

// StreamTranslator translates the events of a provider's stream into those of the
// client's API. It translates one stream, and is not safe for concurrent use.
type StreamTranslator struct {
	from, to API
	created  string
	input    int
	reader   streamReader
	writer   streamWriter

	begun, ended bool
	refused      bool
	cut          bool // the arguments of a call ended before they were complete
	calls        int  // calls begun so far
	head         head
	queue        []*piece       // parts that have not ended; the first one is being written
	open         map[int]*piece // calls among them
	kept         int            // bytes of the queue
	stop         stop
	sequence     string
	usage        carrot.Usage
	hasUsage     bool

	// Counted, if it is not nil, is called at the end. If it returns true, its
	// usage replaces what the provider reported.
	Counted func() (u carrot.Usage, ok bool)
}

// streamReader reads the events of one API. The data must be a valid JSON object.
type streamReader interface {
	read(v gjson.Result, take func(delta)) error
	// held is about how much the reader keeps of the stream so far, in bytes.
	held() int
}

// streamWriter writes the events of one API. Its methods are called in the order
// of the answer. Arguments always belong to the latest call.
type streamWriter interface {
	begin(h head)
	say(kind saidKind, text string)
	call(i int, id, name string)
	arguments(i int, text string)
	// own writes a whole block or item that only the writer's API has.
	own(raw string)
	finish(s stop, sequence string, u carrot.Usage, hasUsage bool)
	fail(e *Error)
	// events returns the events written since its last call.
	events() []Event
	// written is the length of those events, and held how much else the writer
	// keeps of the stream so far, in bytes.
	written() int
	held() int
}

// piece is a part of the answer that has not ended. Blocks and items of the client's
// API do not overlap, but the parallel calls of some providers do: what arrives for a
// part before its turn is held back.
type piece struct {
	kind     saidKind
	number   int // of a call
	id, name string
	held     []byte
	args     nesting
	ended    bool // the provider said so
}

// done reports whether nothing more is expected of a part after which another one
// has begun.
func (p *piece) done() bool { return p.kind != saidCall || p.ended || p.args.complete() }

// delta is a part of a stream that belongs to no API.
type delta struct {
	kind     deltaKind
	head     head
	said     saidKind // the kind of a text
	text     string   // a part of a text or of arguments
	call     int      // the call of arguments, from 0
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
	callEndDelta
	stopDelta
	usageDelta // the whole usage so far
	endDelta
	failDelta
)

// NewStreamTranslator returns a translator of one stream from the provider's API to
// the client's. created, in seconds since 1970, and input, a number of input
// tokens, are used where the client's stream begins with values that the provider
// does not report.
func NewStreamTranslator(from, to API, created int64, input int) *StreamTranslator {
	t := &StreamTranslator{from: from, to: to, created: strconv.FormatInt(created, 10), input: input}
	switch {
	case from == to: // events are passed on
	case from == Chat:
		t.reader = &chatReader{}
	case from == Messages:
		t.reader = &messagesReader{}
	case from == Responses:
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

// maxHeld limits what a translation keeps in memory, in bytes: of a stream, for its
// end or for a call that has no name yet, and of one event, for the client.
const maxHeld = 64 << 20

var errTooLong = fmt.Errorf("it needs more than %d bytes of memory", maxHeld)

// Next translates one event, whose data may change after the call. It returns any
// number of events, even together with an error. After the end of the answer, or
// after an error of the provider, it returns none. The work for an event does not
// grow with the number of events before it.
func (t *StreamTranslator) Next(e Event) ([]Event, error) {
	if t.from == t.to {
		return t.pass(e)
	}
	if t.reader == nil || t.writer == nil {
		return nil, fmt.Errorf("translate a stream from %s to %s: there is no translation between them", t.from, t.to)
	}
	return t.translate(e)
}

// translate is Next for a stream that has a reader and a writer.
func (t *StreamTranslator) translate(e Event) ([]Event, error) {
	if t.ended {
		return nil, nil
	}
	if isDone(e.Data) {
		if t.from != Chat && t.stop == stopNone {
			return t.Close(), nil
		}
		t.finish()
		return t.writer.events(), nil
	}
	v, err := t.parse(e)
	if err != nil {
		return nil, err
	}
	return t.gather(func(take func(delta)) error { return t.reader.read(v, take) })
}

// gather takes the deltas that read calls its argument with, and returns the events for
// them.
func (t *StreamTranslator) gather(read func(take func(delta)) error) ([]Event, error) {
	var err error
	readErr := read(func(d delta) {
		switch {
		case err != nil: // the rest of the event is lost
		case t.writer.written()+t.kept > maxHeld:
			err = errTooLong
		default:
			err = t.take(d)
		}
	})
	err = cmp.Or(err, readErr)
	if err == nil && t.reader.held()+t.writer.held()+t.kept > maxHeld {
		err = errTooLong
	}
	if err != nil {
		err = fmt.Errorf("translate a stream from %s to %s: %w", t.from, t.to, err)
	}
	return t.writer.events(), err
}

// parse reads an event's data. The result does not refer to its memory.
func (t *StreamTranslator) parse(e Event) (gjson.Result, error) {
	v := gjson.ParseBytes(e.Data)
	if !valid(e.Data) || !v.IsObject() {
		return v, fmt.Errorf("translate a stream from %s to %s: not an event of %s: %s", t.from, t.to, t.from, e)
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

// Close ends the client's stream when the provider's stream has ended. It returns
// the events that the answer still lacks, or an error event if the provider's
// stream ended before the answer. If the client's stream has already ended, it
// returns none.
func (t *StreamTranslator) Close() []Event {
	switch {
	case t.ended:
		return nil
	case t.stop == stopNone:
		t.ended = true
		e := &Error{Status: 502, Code: "stream_cut", Message: "the provider's stream ended early"}
		if t.writer == nil {
			return e.Events(t.to, 0, "", "")
		}
		t.writer.fail(e)
	case t.from == t.to && t.reader == nil:
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

// take passes a delta on to the writer.
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
		t.refused = t.refused || d.said == saidRefusal
		last := len(t.queue) - 1
		if last < 0 || t.queue[last].kind != d.said {
			t.enqueue(&piece{kind: d.said})
			last = len(t.queue) - 1
		}
		t.add(t.queue[last], d.text)
	case callDelta:
		t.begin(head{})
		p := &piece{kind: saidCall, number: t.calls, id: strings.Clone(cmp.Or(d.id, t.head.callID(t.calls))), name: strings.Clone(d.name)}
		if t.open == nil {
			t.open = map[int]*piece{}
		}
		t.open[t.calls] = p
		t.calls++
		t.enqueue(p)
	case argumentsDelta:
		return t.arguments(d.call, d.text)
	case callEndDelta:
		if p := t.open[d.call]; p != nil {
			p.ended = true
			t.advance()
		}
	}
	return nil
}

// arguments adds to the arguments of a call.
func (t *StreamTranslator) arguments(i int, text string) error {
	p := t.open[i]
	switch {
	case p == nil && strings.TrimSpace(text) != "":
		return fmt.Errorf("arguments of call %d arrive out of turn", i)
	case p == nil || text == "":
		return nil
	}
	p.args.add(text)
	t.add(p, text)
	t.advance()
	return nil
}

// add adds text to a part, and writes it if it is the part's turn.
func (t *StreamTranslator) add(p *piece, text string) {
	switch {
	case p != t.queue[0]:
		p.held = append(p.held, text...)
		t.kept += len(text)
	case p.kind == saidCall:
		t.writer.arguments(p.number, text)
	default:
		t.writer.say(p.kind, text)
	}
}

// enqueue adds a part behind those that have not ended.
func (t *StreamTranslator) enqueue(p *piece) {
	t.kept += p.size()
	if t.queue = append(t.queue, p); len(t.queue) == 1 {
		t.turn()
	} else {
		t.advance()
	}
}

// size is about how much memory a part needs besides the text that it holds.
func (p *piece) size() int { return callBytes + len(p.id) + len(p.name) }

// turn begins the first part of the queue, and writes what was held back of it.
func (t *StreamTranslator) turn() {
	p := t.queue[0]
	if p.kind == saidCall {
		t.writer.call(p.number, p.id, p.name)
	}
	if len(p.held) > 0 {
		t.kept -= len(p.held)
		text := string(p.held)
		p.held = nil
		t.add(p, text)
	}
}

// advance ends the parts at the front of the queue that are done and after which
// another part has begun.
func (t *StreamTranslator) advance() {
	for len(t.queue) > 1 && t.queue[0].done() && t.writer.written() <= maxHeld {
		t.endPart()
		t.turn()
	}
}

// endPart ends the first part of the queue. A call without arguments gets an empty
// object, because clients decode the arguments.
func (t *StreamTranslator) endPart() {
	p := t.queue[0]
	t.queue[0], t.queue = nil, t.queue[1:]
	t.kept -= p.size()
	if p.kind != saidCall {
		return
	}
	delete(t.open, p.number)
	t.cut = t.cut || p.args.cut()
	if !p.args.begun {
		t.writer.arguments(p.number, "{}")
	}
}

// begin begins the answer, once.
func (t *StreamTranslator) begin(h head) {
	if !t.begun {
		t.begun = true
		h.created, h.input = cmp.Or(h.created, t.created), t.input
		t.head = h
		t.writer.begin(h)
	}
}

// flush ends all parts.
func (t *StreamTranslator) flush() {
	for len(t.queue) > 0 {
		if t.endPart(); len(t.queue) > 0 {
			t.turn()
		}
	}
}

// finish ends the answer.
func (t *StreamTranslator) finish() {
	t.ended = true
	t.begin(head{})
	t.flush()
	if t.Counted != nil {
		if u, ok := t.Counted(); ok {
			t.usage, t.hasUsage = u, true
		}
	}
	t.writer.finish(t.stop.settled(t.to, t.calls > 0, t.refused, t.cut), t.sequence, t.usage, t.hasUsage)
}

// output collects the events of a writer.
type output struct {
	list []Event
	size int // of the events, in bytes
}

func (o *output) add(name string, data []byte) {
	o.list = append(o.list, Event{Name: name, Data: data})
	o.size += len(data)
}

func (o *output) events() []Event {
	list := o.list
	o.list, o.size = nil, 0
	return list
}

func (o *output) written() int { return o.size }

// held is nothing, except for a writer that repeats the answer at its end.
func (o *output) held() int { return 0 }
