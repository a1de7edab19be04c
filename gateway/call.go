package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/record"
)

// maxAnswer is the longest answer that is read if it is not a stream, in bytes.
const maxAnswer = 64 << 20

// call is one attempt: a call of a candidate, with its record.
type call struct {
	run    *run
	x      *exchange // the run's
	choice *choice   // the run's
	c      *candidate
	t      *target
	try    *provider.Try
	api    wire.API // the provider's
	a      *record.Attempt

	translation *wire.Translation // nil: the provider has the client's API
	foreign     bool              // the input's reasoning was encrypted for another provider

	sent     atomic.Bool // the provider has the request
	reported bool        // the provider has reported usage
	notes    provider.Notes
}

// call calls a candidate once and passes the answer on. It records the attempt exactly
// once, unless the call is not made. After an error, another call may be made if
// nothing was sent to the client.
func (r *run) call(c *candidate, try *provider.Try) *provider.Error {
	t, x := c.target(), r.x
	k := &call{run: r, x: x, choice: r.choice, c: c, t: t, try: try, api: t.provider.Speaks(x.reply.api), a: r.attempt(c)}
	k.a.Number = r.attempts + 1
	if err := k.translate(); err != nil {
		return &provider.Error{Kind: provider.Invalid, Status: http.StatusBadRequest, Message: err.Error()}
	}
	limit, e := k.reserve()
	if e != nil {
		return e
	}
	r.attempts++
	var body []byte
	e = contained(x.g.log, x.id, func() *provider.Error { // what is reserved is settled, whatever happens
		body = k.body(limit)
		k.tellLosses()
		return nil
	})

	ctx, span := x.g.tracer.attempt(try.Context, k.a, t.provider.Upstream)
	try.Context = ctx
	begun := time.Now()
	if k.a.Overhead = begun.Sub(x.start) - r.upstream; k.a.Number == 1 {
		x.g.metrics.overhead(k.a.Overhead)
	}
	if e == nil {
		e = contained(x.g.log, x.id, func() *provider.Error { return k.forward(body, begun) })
	}
	k.a.Upstream = time.Since(begun)
	r.upstream += k.a.Upstream
	if e == nil && !k.a.Stream {
		k.a.FirstToken = k.a.Upstream
	}
	k.finish(e)
	x.reply.release()
	span.end(k.a)
	return e
}

// contained calls f and turns a panic into an error, so that the attempt is still
// recorded.
func contained(log *slog.Logger, id string, f func() *provider.Error) (e *provider.Error) {
	defer func() {
		if v := recover(); v != nil {
			log.Error("panic", "request_id", id, "panic", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			e = &provider.Error{Kind: provider.Server, Status: http.StatusInternalServerError, Code: provider.CodePanic, Ours: true, Message: "internal error"}
		}
	}()
	return f()
}

// attempt returns the record of a call that is about to be made.
func (r *run) attempt(c *candidate) *record.Attempt {
	x, h, t := r.x, r.choice, c.target()
	a := &record.Attempt{
		Time: time.Now(), RequestID: x.id, Client: r.request.client, API: string(x.reply.api), Session: r.request.session, User: x.q.User(), Stream: x.q.Stream,
		Policy: r.request.policyName(), First: h.order[0].Name, Reason: h.why(c), Decision: h.decision, DecidedIn: h.decidedIn, Propensity: h.propensity, Shadow: h.shadow,
		Candidate: c.Name, Provider: t.provider.Name, UpstreamModel: t.model, ExpectedUnknown: true,
	}
	a.Labels = x.labels
	if a.Policy != "" && r.request.policy != nil {
		a.Default = r.request.policy.standby.Name
	}
	if e := a.Estimate(); e != nil && !e.CostUnknown {
		a.Expected, a.ExpectedUnknown = e.Cost, false
	}
	switch x.routes.config.RecordContent {
	case contentFull:
		a.Prompt = x.q.Body
	case contentJudged:
		a.Prompt = []byte(h.text)
	}
	return a
}

// recordsAnswers reports whether answers, and errors that may quote the request, are
// recorded.
func (x *exchange) recordsAnswers() bool { return x.routes.config.RecordContent == contentFull }

// translate translates the request to the provider's API, if that is another one.
func (k *call) translate() (err error) {
	k.translation, err = k.choice.bodies.in(k.api, k.x.q, k.t)
	return err
}

// body returns the request for the target, with at most limit output tokens if that is
// not 0.
func (k *call) body(limit int) []byte {
	body := k.x.q.Body
	k.foreign = k.x.unreasoned
	if k.translation != nil {
		body = k.translation.Body
	}
	if k.api == k.x.q.API {
		if foreign := k.x.g.decider.conversations.foreign(k.x.routes, k.x.q, k.choice.prefixes, k.t.provider, k.try.Key); foreign != nil {
			left := wire.LeaveThinking(k.api, body, k.t.provider.signs, func(turn int) bool { return foreign[turn] })
			k.foreign, body = k.foreign || len(left) != len(body), left
		}
	}
	k.lose()
	e := k.t.edits(k.api, k.x.q)
	if limit > 0 && (e.MaxTokens == 0 || limit < e.MaxTokens) {
		e.MaxTokens, e.MaxTokensKey = limit, wire.TokenLimitFor(k.api, cmp.Or(k.t.limitKey, k.t.chatLimit))
	}
	if k.translation == nil { // a translation has removed them already
		for _, field := range k.a.Dropped {
			if k.foreign && field == foreignReasoning {
				continue
			}
			e.Settings = append(e.Settings, wire.Setting{Key: field, Raw: "null"})
		}
	}
	switch {
	case k.api != wire.Chat:
	case k.translation != nil:
		e.RenameLimit = k.t.chatLimit
	case k.t.onlyLong && k.run.request.named == nil: // a client that is routed cannot know it
		e.RenameLimit = maxCompletionTokens
	}
	return wire.Edit(body, e)
}

// forward makes the call and passes the answer on.
func (k *call) forward(body []byte, begun time.Time) *provider.Error {
	ctx := k.try.Context
	header := k.run.passedOn(k.api)
	if k.c != k.choice.order[0] { // the first candidate's request has this key
		header.Del("Idempotency-Key")
	}
	k.x.g.tracer.inject(ctx, header)
	response, err := k.try.Send(provider.Call{API: k.api, Body: body, Header: header, Sent: &k.sent}, k.x.q.Stream)
	if err != nil {
		return provider.NetworkError(ctx, err)
	}
	defer response.Body.Close()
	k.a.Status = response.StatusCode
	k.notes = provider.NotesOf(response.Header)
	k.a.UpstreamRequestID, k.a.RateLimits = k.notes.RequestID, k.notes.Limits
	answer := &holding{ReadCloser: response.Body, held: k.x.hold()}
	defer answer.held.free()
	response.Body = answer
	if k.x.q.Stream {
		s := &stream{call: k, begun: begun, answer: answer}
		return s.relay(ctx, response)
	}
	return k.relay(ctx, response)
}

// passedOn returns the client's headers that the provider should receive.
func (r *run) passedOn(api wire.API) http.Header {
	h := http.Header{}
	if api != r.x.reply.api {
		return h
	}
	for _, name := range []string{"Anthropic-Beta", "Anthropic-Version", "Openai-Beta", "Idempotency-Key"} {
		if v := r.x.r.Header[name]; len(v) > 0 {
			h[name] = v
		}
	}
	return h
}

// relay passes an answer on that is not a stream.
func (k *call) relay(ctx context.Context, response *http.Response) *provider.Error {
	body, err := provider.ReadAnswer(response, maxAnswer)
	if err != nil {
		return provider.NetworkError(ctx, err)
	}
	var answer wire.Answer
	var ok bool
	if wire.LooksStreamed(body) { // some servers always send streams
		whole, report, err := wire.Collect(k.api, body, time.Now().Unix())
		if said, ok := errors.AsType[*wire.Error](err); ok {
			return k.t.provider.Reported(said)
		}
		if err != nil {
			if report.Input() || report.Output() { // which the provider bills
				k.account(&report, 0, "")
			}
			return &provider.Error{Kind: provider.Server, Status: http.StatusBadGateway, Code: "malformed_answer", Message: err.Error(), Quoted: true}
		}
		body = whole
		answer, ok = wire.ReadAnswer(k.api, body)
		answer.Report = report
	} else {
		answer, ok = wire.ReadAnswer(k.api, body)
	}
	if !ok {
		if e := wire.ReadError(body); e != nil {
			return k.t.provider.Reported(e)
		}
		if answer.Report.Input() || answer.Report.Output() {
			k.take(answer)
		}
		return &provider.Error{Kind: provider.Server, Status: http.StatusBadGateway, Code: "malformed_answer", Message: "the provider's answer does not follow its API"}
	}
	k.take(answer)
	reply := &k.x.reply
	if k.api != reply.api {
		if body, err = wire.TranslateAnswer(body, k.api, reply.api, time.Now().Unix(), k.a.Usage); err != nil {
			return &provider.Error{Kind: provider.Server, Status: http.StatusBadGateway, Code: "untranslatable_answer", Ours: true, Message: err.Error(), Quoted: true}
		}
		body = k.translation.Tools.Answer(body)
		if k.stores() {
			k.x.g.decider.conversations.stored.keep(k.a.Client, body)
		}
	}
	k.try.Answered()
	k.learnTokens(&answer.Report)
	k.remember()
	k.answerHeaders()
	k.costHeader()
	reply.hold(http.StatusOK, wire.SetModel(body, k.c.Name))
	if !reply.sent {
		return &provider.Error{Kind: provider.Canceled, Code: "canceled"}
	}
	return nil
}

// take records usage, id, model and text of an answer that is not a stream.
func (k *call) take(answer wire.Answer) {
	k.account(&answer.Report, len(answer.Text), answer.Text)
	k.a.AnswerID = headerSafe(answer.ID)
	if model := headerSafe(answer.Model); model != "" {
		k.a.UpstreamModel = model
	}
	if k.x.recordsAnswers() {
		k.a.Answer = answer.Text
	}
}

// remember stores which candidate answered the request.
func (k *call) remember() {
	s := served{client: k.a.Client, session: k.a.Session, key: k.try.Key, prefixes: k.choice.prefixes,
		inputTokens: k.a.Usage.Prompt()}
	if k.x.reply.api == wire.Responses || k.x.q.Threaded && k.api == wire.Messages {
		s.response = k.a.AnswerID
	}
	k.x.g.decider.conversations.remember(k.c, s)
}

// stores reports whether the gateway has to store what the model says, because no
// provider does.
func (k *call) stores() bool {
	return k.x.reply.api == wire.Responses && k.api != wire.Responses && !k.x.q.Unstored && !k.x.g.decider.conversations.stored.off
}
