package gateway

import (
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

// keptText is how much of a stream's text is kept to count its tokens, in
// bytes, if no usage comes.
const keptText = 64 << 10

// stream passes a provider's stream on to the client, event by event. What
// comes before the first content is held back: until then another candidate can
// still answer.
type stream struct {
	x          *exchange
	a          *Attempt
	c          *candidate
	api        wire.API // the provider's
	begun      time.Time
	firstToken func() bool // content has come in time

	translator *wire.StreamTranslator // nil: the client speaks the provider's API
	out        []byte                 // not yet written
	usage      carrot.Usage
	known      known
	text       strings.Builder
	textLength int
	finished   int  // answers that are complete
	done       bool // the client has the mark that ends a chat's stream
	sent       int  // events that the client got or is about to
}

// relay passes the stream on. A failure is returned whether or not the client
// has a part of the answer: exchange.sent says that.
func (s *stream) relay(ctx context.Context, response *http.Response) *provider.Failure {
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		return s.noStream(ctx, response)
	}
	if s.api != s.x.api {
		s.translator = wire.NewStreamTranslator(s.api, s.x.api, time.Now().Unix(), s.x.p.inputTokens)
		s.translator.Counted = func() (carrot.Usage, bool) {
			s.settle()
			return s.a.Usage, s.known < everything
		}
	}
	f := s.x.contained(func() *provider.Failure { return s.events(ctx, response.Body) })
	f = s.x.contained(func() *provider.Failure {
		s.settle()
		if f != nil {
			return f
		}
		s.x.remember(s.a, s.c)
		defer drain(response.Body)
		return s.end()
	})
	if f != nil && s.x.sent && f.Kind != provider.Canceled {
		s.broken(f)
	}
	if s.x.sent {
		s.x.costHeader(s.a) // a trailer
	}
	return f
}

// noStream is the failure of an answer that should have been a stream: an error
// with a good status.
func (s *stream) noStream(ctx context.Context, response *http.Response) *provider.Failure {
	body, err := readAnswer(response)
	if err != nil {
		return failureOf(ctx, err)
	}
	if e := wire.ReadError(body); e != nil {
		return s.c.provider.ErrorFailure(e)
	}
	if answer, ok := wire.ReadAnswer(s.api, body); ok {
		s.x.take(s.a, s.c, answer)
	}
	return &provider.Failure{Kind: provider.Server, Status: http.StatusBadGateway, Code: "no_stream", Message: "the provider did not stream"}
}

// flushing is a provider's stream that lets the client have what has come before
// it waits for more.
type flushing struct {
	from io.Reader
	s    *stream
}

func (f flushing) Read(b []byte) (int, error) {
	if f.s.x.sent && !f.s.flush() {
		return 0, errHungUp
	}
	return f.from.Read(b)
}

// errHungUp is that a client cannot be written to.
var errHungUp = &provider.Failure{Kind: provider.Canceled, Code: "canceled", Message: "the client has hung up"}

// drainFor is how long is waited for the end of a stream after its last event,
// so that the connection can be used again.
const drainFor = 5 * time.Millisecond

func drain(body io.ReadCloser) {
	late := time.AfterFunc(drainFor, func() { body.Close() })
	defer late.Stop()
	_, _ = io.CopyN(io.Discard, body, 4096) // what is wrong with it does not matter any more
}

// lateFor is how long is waited for what may follow a whole answer: its usage,
// and the mark that ends the stream.
const lateFor = 5 * time.Second

// events reads and passes on until the stream ends.
func (s *stream) events(ctx context.Context, body io.ReadCloser) *provider.Failure {
	decoder := wire.NewDecoder(flushing{body, s})
	for {
		e, err := decoder.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			f := failureOf(ctx, err)
			if s.complete() && f.Kind != provider.Canceled {
				return nil
			}
			if f.Kind == provider.Network {
				f.Code, f.Message = "stream_cut", "the provider's stream ended early"
			}
			return f
		}
		chunk, ok := wire.ReadChunk(s.api, e)
		switch {
		case !ok:
			return &provider.Failure{Kind: provider.Server, Status: http.StatusBadGateway, Code: "malformed_chunk", Message: "the provider sent a chunk that is not one of its API"}
		case chunk.Err != nil:
			return s.c.provider.ErrorFailure(chunk.Err)
		}
		s.note(&chunk)
		if err := s.pass(e); err != nil {
			return &provider.Failure{Kind: provider.Server, Status: http.StatusBadGateway, Code: "untranslatable_chunk", Message: err.Error(), Quoted: true}
		}
		if chunk.Content && !s.x.sent {
			s.firstToken()
			s.x.answered()
			s.a.FirstToken = time.Since(s.begun)
			s.begin()
		}
		if s.x.sent && len(s.out) > 32<<10 && !s.flush() {
			return errHungUp
		}
		if chunk.Last && !s.x.sent {
			return &provider.Failure{Kind: provider.Server, Status: http.StatusBadGateway, Code: "empty_stream", Message: "the provider's stream holds no answer"}
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

// complete reports whether all answers that were asked for have come.
func (s *stream) complete() bool {
	return s.finished > 0 && (s.api != wire.Chat || s.finished >= s.x.q.Answers)
}

// note keeps what an event says of the answer.
func (s *stream) note(c *wire.Chunk) {
	if c.Model != "" {
		s.a.UpstreamModel = c.Model
	}
	if c.ID != "" {
		s.a.AnswerID = c.ID
	}
	s.finished += c.Finished
	if c.HasUsage {
		s.usage = c.AddUsage(s.usage)
		if c.InputOnly {
			s.known = max(s.known, inputOnly)
		} else {
			s.known = everything
		}
	}
	s.textLength += len(c.Text)
	if room := keptText - s.text.Len(); room > 0 || s.a.Prompt != nil {
		s.text.WriteString(c.Text)
	}
}

// pass turns a provider's event into what the client gets, and keeps it until
// it is written.
func (s *stream) pass(e wire.Event) error {
	if s.translator == nil {
		s.add(e)
		return nil
	}
	events, err := s.translator.Next(e)
	for _, e := range events {
		s.add(e)
	}
	return err
}

// add appends an event of the client's API.
func (s *stream) add(e wire.Event) {
	if s.x.api == wire.Chat && string(e.Data) == wire.Done {
		s.done = true
		if s.x.q.AskUsage && s.known == nothing && s.translator == nil && s.complete() {
			s.out = wire.Event{Data: s.counted()}.AppendTo(s.out)
		}
		s.out = e.AppendTo(s.out)
		return
	}
	data, keep := wire.ForClient(s.x.api, e.Data, s.c.Name, s.x.q.AskUsage, func() []byte {
		if s.translator == nil && (s.known < everything || s.finished == 0 && s.x.api == wire.Chat) {
			return nil
		}
		s.settle()
		return s.x.accountJSON(s.a)
	})
	if keep {
		s.sent++
		s.out = wire.Event{Name: e.Name, Data: data}.AppendTo(s.out)
	}
}

// counted is the last chunk of a chat whose client asked for the usage and whose
// provider reports none: what was counted here, which the account says.
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
		map[string]int{"prompt_tokens": u.Input, "completion_tokens": u.Output, "total_tokens": u.Input + u.Output}, s.x.accountJSON(s.a)})
	if err != nil { // of strings and numbers there is none
		return nil
	}
	return b
}

// accountJSON is the gateway's account beside a usage.
func (x *exchange) accountJSON(a *Attempt) []byte {
	out := struct {
		RequestID string      `json:"request_id"`
		Model     string      `json:"model"`
		Policy    string      `json:"policy"`
		Cost      *carrot.USD `json:"cost_usd"` // null: unknown
		Estimate  *carrot.USD `json:"cost_estimate_usd,omitempty"`
		Attempts  int         `json:"attempts"`
		Estimated bool        `json:"estimated,omitempty"` // the tokens were counted here
	}{RequestID: x.id, Model: a.Candidate, Policy: x.q.Model, Attempts: a.Number, Estimated: a.Estimated}
	if !a.CostUnknown {
		out.Cost = &a.Cost
	}
	if e := x.p.estimate(a.Candidate); e != nil && !e.CostUnknown {
		out.Estimate = &e.Cost
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil
	}
	return b
}

// begin sends the headers: from here on nobody else can answer.
func (s *stream) begin() {
	x := s.x
	x.answerHeaders(s.a)
	h := x.w.Header()
	h["Content-Type"] = []string{"text/event-stream"}
	h["Cache-Control"] = []string{"no-cache"}
	h["X-Accel-Buffering"] = []string{"no"}
	h["Trailer"] = []string{"X-Carrot-Cost"}
	x.w.WriteHeader(http.StatusOK)
	x.sent = true
}

// flush writes what is kept to the client, and reports whether it could.
func (s *stream) flush() bool {
	if len(s.out) == 0 {
		return true
	}
	s.x.deadline()
	_, err := s.x.w.Write(s.out)
	s.out = s.out[:0]
	if err == nil {
		err = http.NewResponseController(s.x.w).Flush()
	}
	return err == nil || errors.Is(err, http.ErrNotSupported)
}

// settle brings usage and cost up to date.
func (s *stream) settle() {
	s.x.account(s.a, s.c, s.usage, s.known, s.textLength, s.text.String())
	if s.a.Prompt != nil {
		s.a.Answer = s.text.String()
	}
}

// end writes what is left of a stream that ended well.
func (s *stream) end() *provider.Failure {
	if s.translator != nil {
		for _, e := range s.translator.Close() {
			s.add(e)
		}
	}
	if s.x.api == wire.Chat && !s.done { // not all servers send it
		s.add(wire.Event{Data: []byte(wire.Done)})
	}
	if !s.flush() {
		return errHungUp
	}
	return nil
}

// broken ends a stream that the client has a part of with an error in its API.
func (s *stream) broken(f *provider.Failure) {
	status := f.Status
	if status == 0 {
		status = http.StatusBadGateway
	}
	e := wire.Error{Status: status, Code: f.Code, Message: f.Message, RequestID: s.x.id}
	s.out = e.Event(s.x.api, s.sent).AppendTo(s.out)
	if s.flush() {
		s.x.g.log.Warn("a stream broke after its first content", "request_id", s.x.id, "model", s.c.Name, "provider", s.c.provider.Name, "error", f.Public())
	}
}
