package gateway

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
)

// keptText is how much of a stream's text is kept, in bytes. Its tokens are counted if
// the provider reports no usage.
const keptText = 64 << 10

// Bounds on what is held back of a stream before its first content, in bytes: a
// constant, and a multiple of the request's length, because a response repeats the
// request's instructions and tools in its first events.
const (
	heldBack    = 1 << 20
	heldPerByte = 4
)

// stream passes a provider's stream on to the client, event by event. Events before
// the first content are held back, because another candidate can still answer until
// the client has received something.
type stream struct {
	*call
	begun  time.Time
	answer *holding

	translator *wire.StreamTranslator // nil: the client uses the provider's API
	tools      *wire.ToolStream       // nil: the calls need no change
	keeps      bool                   // the gateway stores what the model says
	out        []byte                 // events that are not yet written
	report     wire.Report
	text       strings.Builder
	textLength int
	finished   int  // complete answers
	done       bool // the mark that ends a chat stream was passed on
	stopped    bool // the provider sent the last event of a stream
	events     int  // passed on
}

// relay passes the stream on. It returns an error even if the client has received part
// of the answer, in which case reply.sent is set.
func (s *stream) relay(ctx context.Context, response *http.Response) *provider.Error {
	take := s.pump
	if !streamed(response) {
		take = s.whole
	}
	if s.api != s.x.reply.api {
		s.translator = wire.NewStreamTranslator(s.api, s.x.reply.api, time.Now().Unix(), s.choice.inputTokens)
		s.tools = s.translation.Tools.Stream()
		s.keeps = s.stores()
		s.translator.Counted = func() (carrot.Usage, bool) {
			s.settle()
			return s.a.Usage, s.reported || s.a.Estimated
		}
	}
	log, id := s.x.g.log, s.x.id
	e := contained(log, id, func() *provider.Error { return take(ctx, response) })
	e = contained(log, id, func() *provider.Error {
		s.settle()
		if e != nil {
			return e
		}
		s.learnTokens(&s.report)
		s.remember()
		defer drain(response.Body)
		return s.end()
	})
	if sent := s.x.reply.sent; sent {
		if e != nil && e.Kind != provider.Canceled {
			s.broken(e)
		}
		s.costHeader() // a trailer
	}
	return e
}

// streamed reports whether an answer is a stream. If the header does not say so, the
// first byte does.
func streamed(response *http.Response) bool {
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return true
	}
	body := bufio.NewReaderSize(response.Body, 512)
	response.Body = struct {
		io.Reader
		io.Closer
	}{body, response.Body}
	for at := 1; ; at++ {
		head, err := body.Peek(at)
		if err != nil {
			return !strings.HasPrefix(response.Header.Get("Content-Type"), "application/json")
		}
		switch c := head[at-1]; {
		case c <= ' ', c >= 0x80: // white space or a byte order mark
		default:
			return c != '{' && c != '['
		}
	}
}

// whole passes an answer on that is not a stream, although one was asked for. It is
// often an error with status 200.
func (s *stream) whole(ctx context.Context, response *http.Response) *provider.Error {
	body, err := provider.ReadAnswer(response, maxAnswer)
	if err != nil {
		return provider.NetworkError(ctx, err)
	}
	if e := wire.ReadError(body); e != nil {
		return s.t.provider.Reported(e)
	}
	answer, ok := wire.ReadAnswer(s.api, body)
	s.report, s.textLength = answer.Report, len(answer.Text)
	s.text.WriteString(answer.Text)
	if !ok {
		return &provider.Error{Kind: provider.Server, Status: http.StatusBadGateway, Code: "no_stream", Message: "the provider sent neither a stream nor an answer"}
	}
	s.take(answer)
	events, err := wire.Events(body, s.api, s.x.reply.api, time.Now().Unix(), s.choice.inputTokens, s.a.Usage)
	if err == nil && s.api != s.x.reply.api {
		events, err = s.tools.Restore(events)
	}
	if err != nil {
		return &provider.Error{Kind: provider.Server, Status: http.StatusBadGateway, Code: "untranslatable_answer", Ours: true, Message: err.Error(), Quoted: true}
	}
	s.finished, s.stopped, s.translator = max(s.x.q.Answers, 1), true, nil
	s.try.Answered()
	s.a.FirstToken = time.Since(s.begun)
	s.answerHeaders()
	s.x.reply.begin()
	for _, e := range events {
		s.add(e)
		if len(s.out) > 32<<10 && !s.flush() {
			return errHungUp
		}
	}
	return nil
}

// flushing reads a provider's stream. Before each read, which may have to wait, it
// sends the client everything that has arrived.
type flushing struct {
	from io.Reader
	s    *stream
}

func (f flushing) Read(b []byte) (int, error) {
	if f.s.x.reply.sent && !f.s.flush() {
		return 0, errHungUp
	}
	return f.from.Read(b)
}

// errHungUp means that writing to the client failed.
var errHungUp = &provider.Error{Kind: provider.Canceled, Code: "canceled", Message: "the client has hung up"}

// drainFor is how long the gateway waits for the end of a stream after its last event.
// A connection can be used again only if its stream was read to the end.
const drainFor = 5 * time.Millisecond

func drain(body io.ReadCloser) {
	late := time.AfterFunc(drainFor, func() { body.Close() })
	defer late.Stop()
	_, _ = io.CopyN(io.Discard, body, 4096) // errors do not matter any more
}

// lateFor is how long the gateway waits, after a complete answer, for the usage and
// for the mark that ends the stream.
const lateFor = 5 * time.Second

// pump reads events and passes them on until the stream ends.
func (s *stream) pump(ctx context.Context, response *http.Response) *provider.Error {
	body := response.Body
	decoder := wire.NewDecoder(flushing{body, s})
	for {
		e, err := decoder.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			e := provider.NetworkError(ctx, err)
			if s.complete() && e.Kind != provider.Canceled {
				return nil
			}
			if e.Kind == provider.Network {
				e.Code, e.Message = "stream_cut", "the provider's stream ended early"
			}
			return e
		}
		chunk, ok := wire.ReadChunk(s.api, e)
		switch {
		case !ok:
			return &provider.Error{Kind: provider.Server, Status: http.StatusBadGateway, Code: "malformed_chunk", Message: "the provider sent a chunk that does not follow its API"}
		case chunk.Err != nil:
			return s.t.provider.Reported(chunk.Err)
		}
		s.note(&chunk)
		if e.IsDone() && s.api != wire.Chat { // some servers end every stream with this mark
			if !s.complete() {
				return &provider.Error{Kind: provider.Network, Code: "stream_cut", Message: "the provider's stream ended early"}
			}
			return nil
		}
		s.stopped = chunk.Last
		if err := s.pass(e); err != nil {
			return &provider.Error{Kind: provider.Server, Status: http.StatusBadGateway, Code: "untranslatable_chunk", Ours: true, Message: err.Error(), Quoted: true}
		}
		if chunk.Content && !s.x.reply.sent {
			s.try.Answered()
			s.a.FirstToken = time.Since(s.begun)
			s.answerHeaders()
			s.x.reply.begin()
		}
		switch {
		case s.x.reply.sent && len(s.out) > 32<<10 && !s.flush():
			return errHungUp
		case !s.x.reply.sent && len(s.out) > heldBack+heldPerByte*len(s.x.q.Body):
			return &provider.Error{Kind: provider.Server, Status: http.StatusBadGateway, Code: "no_content", Message: "the provider's stream does not come to the answer"}
		}
		if s.x.reply.sent {
			s.answer.reset()
		}
		if chunk.Last && !s.x.reply.sent {
			return &provider.Error{Kind: provider.Server, Status: http.StatusBadGateway, Code: "empty_stream", Message: "the provider's stream contains no answer"}
		}
		if chunk.Last {
			return nil
		}
		if chunk.Finished > 0 && s.complete() {
			late := time.AfterFunc(lateFor, func() { body.Close() })
			defer late.Stop()
		}
	}
}

// complete reports whether all requested answers are complete.
func (s *stream) complete() bool {
	return s.finished > 0 && (s.api != wire.Chat || s.finished >= s.x.q.Answers)
}

// note records what an event says about the answer.
func (s *stream) note(c *wire.Chunk) {
	if c.Model != s.a.UpstreamModel { // most events repeat it, and the ID
		s.a.UpstreamModel = cmp.Or(headerSafe(c.Model), s.a.UpstreamModel)
	}
	if c.ID != s.a.AnswerID {
		s.a.AnswerID = cmp.Or(headerSafe(c.ID), s.a.AnswerID)
	}
	s.finished += c.Finished
	s.report.Add(c)
	s.textLength += len(c.Text)
	if room := keptText - s.text.Len(); room > 0 || s.x.recordsAnswers() && s.textLength <= maxAnswer {
		s.text.WriteString(c.Text)
	}
}

// pass translates a provider's event to the client's API, if necessary, and adds the
// result to the events to be written.
func (s *stream) pass(e wire.Event) error {
	if s.translator == nil {
		s.add(e)
		return nil
	}
	events, err := s.translator.Next(e)
	events, restoreErr := s.tools.Restore(events)
	for _, e := range events {
		s.add(e)
	}
	return cmp.Or(err, restoreErr)
}

// itemDone is the event with a complete item of a response.
const itemDone = "response.output_item.done"

// doneEvent ends a chat stream.
var doneEvent = wire.Event{Data: []byte(wire.Done)}

// add adds an event in the client's API to those to be written.
func (s *stream) add(e wire.Event) {
	if s.x.reply.api == wire.Chat && e.IsDone() {
		s.done = true
		if s.x.q.AskUsage && !s.report.Input() && !s.report.Output() && s.translator == nil && s.complete() {
			s.out = wire.Event{Data: s.counted()}.AppendTo(s.out)
		}
		s.out = doneEvent.AppendTo(s.out) // as clients accept it, without white space
		return
	}
	data, keep := wire.ForClient(s.x.reply.api, e.Data, s.c.Name, s.x.q.AskUsage, func() []byte {
		if s.translator == nil && (!s.report.Input() || !s.report.Output() || s.finished == 0 && s.x.reply.api == wire.Chat) {
			return nil
		}
		s.settle()
		return s.accountJSON()
	})
	if s.keeps && e.Name == itemDone {
		s.x.g.decider.conversations.stored.keep(s.a.Client, e.Data)
	}
	if keep {
		s.events++
		s.out = wire.Event{Name: e.Name, Data: data}.AppendTo(s.out)
	}
}

// counted returns the chunk with the gateway's own count of tokens, marked as an
// estimate. It ends a chat stream whose client asked for usage and whose provider
// reported none.
func (s *stream) counted() []byte {
	s.settle()
	u := s.a.Usage
	b, err := json.Marshal(struct {
		ID      string          `json:"id"`
		Object  string          `json:"object"`
		Created int64           `json:"created"`
		Model   string          `json:"model"`
		Choices []struct{}      `json:"choices"`
		Usage   map[string]int  `json:"usage"`
		Account json.RawMessage `json:"carrot"`
	}{s.a.AnswerID, "chat.completion.chunk", time.Now().Unix(), s.c.Name, []struct{}{},
		map[string]int{"prompt_tokens": u.Input, "completion_tokens": u.Output, "total_tokens": u.Input + u.Output}, s.accountJSON()})
	if err != nil { // impossible
		return nil
	}
	return b
}

// accountJSON returns the gateway's own fields about cost, which are written next to
// the usage.
func (k *call) accountJSON() []byte {
	a := k.a
	out := struct {
		RequestID string      `json:"request_id"`
		Model     string      `json:"model"`
		Policy    string      `json:"policy"`
		Cost      *carrot.USD `json:"cost_usd"` // null: unknown
		Estimate  *carrot.USD `json:"cost_estimate_usd,omitempty"`
		Attempts  int         `json:"attempts"`
		Estimated bool        `json:"estimated,omitempty"` // the gateway counted the tokens
	}{RequestID: a.RequestID, Model: a.Candidate, Policy: k.x.q.Model, Attempts: a.Number, Estimated: a.Estimated}
	if !a.CostUnknown {
		out.Cost = &a.Cost
	}
	if !a.ExpectedUnknown {
		out.Estimate = &a.Expected
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil
	}
	return b
}

// flush writes the waiting events to the client. It reports whether that succeeded.
func (s *stream) flush() bool {
	if len(s.out) == 0 {
		return true
	}
	ok := s.x.reply.write(s.out)
	s.out = s.out[:0]
	return ok
}

// settle updates the attempt's usage and cost.
func (s *stream) settle() {
	s.account(&s.report, s.textLength, s.text.String())
	if s.x.recordsAnswers() {
		s.a.Answer = s.text.String()
	}
}

// end writes the rest of a stream that ended without an error.
func (s *stream) end() *provider.Error {
	if s.translator != nil {
		events, _ := s.tools.Restore(s.translator.Close()) // no more is held back
		for _, e := range events {
			s.add(e)
		}
	}
	switch { // some servers omit the last event
	case s.x.reply.api == wire.Chat && !s.done:
		s.add(doneEvent)
	case s.x.reply.api == wire.Messages && s.api == wire.Messages && !s.stopped:
		s.add(wire.Event{Name: "message_stop", Data: []byte(`{"type":"message_stop"}`)})
	}
	s.x.reply.tail, s.out = s.out, nil
	return nil
}

// broken ends a stream with an error in the client's API, after the client has received
// part of the answer.
func (s *stream) broken(e *provider.Error) {
	out := wire.Error{Status: cmp.Or(e.Status, http.StatusBadGateway), Code: e.Code, Param: e.Param, Message: e.Message, RequestID: s.x.id}
	if e.Kind == provider.ContextLength {
		out.Code = wire.TooLongCode
		out.Overflow, _ = wire.TooLong(e.Code, e.Message)
	}
	for _, e := range out.Events(s.x.reply.api, s.events, s.a.AnswerID, s.c.Name) {
		s.out = e.AppendTo(s.out)
	}
	s.x.reply.tail, s.out = s.out, nil
	s.x.g.log.Warn("a stream broke after its first content", "request_id", s.x.id, "model", s.c.Name, "provider", s.t.provider.Name, "error", e.Public())
}
