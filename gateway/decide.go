package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/record"
)

// routeTimeout limits a decision, so that a slow embedder does not delay requests.
const routeTimeout = 2 * time.Second

// decider decides which candidate answers a request. It is safe for concurrent use.
type decider struct {
	conversations *conversations
	tokens        tokenFactors
	breakers      *provider.Breakers
	log           *slog.Logger
}

// choice says which candidates may answer a request, in which order, and why.
type choice struct {
	order       []*candidate
	reason      record.Reason    // for the first candidate
	decision    *carrot.Decision // nil: routing failed
	propensity  float64
	shadow      *record.Shadow
	watched     *carrot.Decision // that the shadow router would have made; nil: there is none
	canary      bool             // the policy's canary has decided
	decidedIn   time.Duration
	inputTokens int
	prefixes    []uint64 // hashes of the conversation's beginnings
	text        string   // by which the router judged the request
	bodies      bodies
	// beyond returns, best first, candidates that may answer if all in order fail. It
	// is nil if there are none.
	beyond func(context.Context) []*candidate
}

// why returns the reason for calling a candidate.
func (h *choice) why(c *candidate) record.Reason {
	if c != h.order[0] {
		return record.Fallback
	}
	return h.reason
}

// bodies are translations of a request's body to other APIs. Each is made once.
type bodies map[bodyKey]translated

// bodyKey is an API, the fields that are removed before the translation, and what is
// known about the model.
type bodyKey struct {
	api     wire.API
	without string
	facts   wire.Facts
}

type translated struct {
	*wire.Translation
	err error
}

// in returns q translated for a target and the API by which that is called. It is nil
// if that is the client's API.
func (b *bodies) in(api wire.API, q *wire.Request, t *target) (*wire.Translation, error) {
	if api == q.API {
		return nil, nil
	}
	key := bodyKey{api, t.without, q.Relevant(t.facts, api)}
	if done, ok := (*b)[key]; ok {
		return done.Translation, done.err
	}
	body := q.Body
	if len(t.nulls) > 0 { // fields that are removed must not prevent the translation
		body = wire.Edit(body, wire.Edits{Settings: settingsFor(q.API, t.nulls)})
	}
	var done translated
	done.Translation, done.err = wire.TranslateRequest(body, q.API, api, key.facts)
	if *b == nil {
		*b = bodies{}
	}
	(*b)[key] = done
	return done.Translation, done.err
}

// request is a client's request, with what it asks for.
type request struct {
	*wire.Request
	selection
	client string // the client's name
	strict bool   // candidates of unknown cost may not answer
	// began is the candidate that began the turn of tools which is in progress. It is
	// set only if the turn lacks the thinking that the request asks for.
	began *candidate
}

// unsigned reports whether a target would refuse to continue the turn of tools that is
// in progress, because that lacks the thinking which the request asks for.
func (q *request) unsigned(t *target) bool {
	return q.named == nil && q.Unsigned() && t.provider.Speaks(wire.Messages) == wire.Messages && (q.began == nil || q.began.target() != t)
}

// decide decides which candidate answers a request. The error is a *wire.Error.
func (d *decider) decide(ctx context.Context, r *routes, q *request) (*choice, error) {
	start := time.Now()
	h := &choice{propensity: 1, inputTokens: q.InputTokens(price.CountTokens), prefixes: d.conversations.sessions.prefixes(q.client, q.Request)}
	if q.Thread != "" { // the turns are not the beginning of the conversation
		h.prefixes = nil
	}
	if err := d.conversations.recall(ctx, r, q); err != nil {
		d.log.Debug("who made the previous response could not be looked up", "error", err)
	}
	if q.Unsigned() {
		q.began = d.conversations.beganTurn(r, h.prefixes)
	}
	pinned, why, err := d.pinned(r, q, h.prefixes)
	if err != nil {
		return nil, err
	}
	query := carrot.Query{
		Text: q.Query(r.config.Text.System, *r.config.Text.Earlier), InputTokens: h.inputTokens, MaxOutputTokens: q.MaxOutputTokens,
		Needs: q.Needs, Answers: q.Answers, Models: q.models, InputFactors: d.tokens.of(),
		CachedTokens: d.conversations.cached(r, q.Request, q.client, q.session, h.prefixes, h.inputTokens),
	}
	h.text = query.Text
	if pinned != nil {
		if !slices.Contains(q.models, pinned.Name) {
			if q.Thread != "" {
				return nil, noThread()
			}
			return nil, invalid("", "%s must continue this conversation, but is not among the models of the request: %s", pinned.Name, strings.Join(q.models, ", "))
		}
		query.Models = []string{pinned.Name}
	}
	query.Excluded = d.excluded(r, q, query.Models, &h.bodies, pinned, true)
	router := r.router
	if q.canaried() {
		router, h.canary = q.policy.canary, true
	}
	decision, err := r.route(ctx, router, query, q.objective)
	if h.canary && err != nil && !errors.Is(err, carrot.ErrNoCandidate) {
		d.log.Error("the canary's router failed; the other one decides", "error", unquoted(err), "policy", q.policy.name)
		router, h.canary = r.router, false
		decision, err = r.route(ctx, router, query, q.objective)
	}
	if errors.Is(err, carrot.ErrNoCandidate) && q.named == nil {
		// Trying a model that keeps failing, or that did not begin the turn, is
		// better than not answering.
		query.Excluded = d.excluded(r, q, query.Models, &h.bodies, pinned, false)
		decision, err = r.route(ctx, router, query, q.objective)
	}
	if q.strict && err == nil {
		decision, err = priced(ctx, r, router, query, q.objective, decision)
	}
	h.decidedIn = time.Since(start)
	if err != nil {
		return h, d.undecided(r, q, h, decision, &query, err)
	}
	h.decision = &decision
	h.arrange(r, &q.selection)
	if q.policy != nil && q.policy.watcher != nil && q.named == nil && !q.dry {
		d.watch(ctx, r, q, h, query)
	}
	switch {
	case pinned != nil:
		h.reason = why
	case len(h.order) == 1 && h.reason == record.TradeOff:
		h.reason = record.OnlyCandidate
	}
	if q.InThinking() && h.reason != record.Named && h.reason != record.ContinuesResponse {
		h.beyond = d.beyond(r, q, h, query)
	}
	return h, nil
}

// canaried reports whether the policy's canary decides the request, which is drawn.
func (q *request) canaried() bool {
	p := q.policy
	if p == nil || p.canary == nil || q.named != nil || q.off || q.dry {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.draw.Float64() < p.share
}

// watch notes what the policy's shadow router would have decided.
func (d *decider) watch(ctx context.Context, r *routes, q *request, h *choice, query carrot.Query) {
	decision, err := r.route(ctx, q.policy.watcher, query, q.objective)
	if err != nil {
		d.log.Warn("the shadow router failed", "error", unquoted(err), "policy", q.policy.name)
		return
	}
	h.watched = &decision
	h.shadow = compare(&decision, h.order[0].Name)
	h.shadow.Router = decision.Router
}

// priced decides again without the candidates whose cost is unknown, if there are any.
func priced(ctx context.Context, r *routes, router *carrot.Router, query carrot.Query, o carrot.Objective, decision carrot.Decision) (carrot.Decision, error) {
	names := unpriced(&decision)
	if len(names) == 0 {
		return decision, nil
	}
	query.Excluded = maps.Clone(query.Excluded)
	if query.Excluded == nil {
		query.Excluded = map[string]string{}
	}
	for _, name := range names {
		query.Excluded[name] = "its cost is unknown, and a hard budget applies to the request"
	}
	return r.route(ctx, router, query, o)
}

// beyond returns what finds the candidates that finish a turn of tools if all those fail
// that can read the reasoning with which it began. Their providers get a translated
// conversation, which leaves that out. Most requests need none, so nothing is translated
// before.
func (d *decider) beyond(r *routes, q *request, h *choice, query carrot.Query) func(context.Context) []*candidate {
	query.Models = slices.DeleteFunc(slices.Clone(q.models), func(name string) bool {
		c := r.byName[name]
		return slices.Contains(h.order, c) || c.target().provider.Speaks(q.API) == q.API
	})
	if len(query.Models) == 0 {
		return nil
	}
	return func(ctx context.Context) []*candidate {
		query.Excluded = d.excluded(r, q, query.Models, &h.bodies, nil, false)
		decision, err := r.route(ctx, r.router, query, q.objective)
		if err != nil {
			return nil
		}
		out := []*candidate{r.byName[decision.Model]}
		for _, name := range decision.Fallback() {
			out = append(out, r.byName[name])
		}
		return out
	}
}

// undecided completes the choice for a request on which the router failed: the model
// that the client named answers, or the policy's default if it can.
func (d *decider) undecided(r *routes, q *request, h *choice, decision carrot.Decision, query *carrot.Query, err error) error {
	h.reason = record.RouterFailed
	if q.named != nil && query.Excluded[q.named.Name] == "" {
		h.order, h.reason = []*candidate{q.named}, record.Named
		if !errors.Is(err, carrot.ErrNoCandidate) {
			d.log.Error("routing failed; the model that the client named answers", "error", unquoted(err))
		}
		return nil
	}
	if errors.Is(err, carrot.ErrNoCandidate) {
		return noCandidate(decision, &q.selection, err)
	}
	for _, c := range r.candidates {
		if c.Excludes(query) == "" {
			h.order = append(h.order, c)
		}
	}
	if len(h.order) == 0 {
		return &wire.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "router_failed", Message: "routing failed, and no model can answer the request"}
	}
	h.first(q.policy.standby)
	d.log.Error("routing failed; the default answers", "error", unquoted(err), "policy", q.policy.name, "model", h.order[0].Name)
	return nil
}

// unquoted returns an error without the message of an embedder's server, which may
// quote the prompt.
func unquoted(err error) error {
	if e, ok := errors.AsType[*provider.Error](err); ok && e.Quoted {
		return errors.New(e.Public())
	}
	return err
}

// noCandidate returns the error that says why no model may answer.
func noCandidate(d carrot.Decision, s *selection, err error) error {
	if errors.Is(err, carrot.ErrInfeasible) {
		e := invalid("", "%v", err)
		e.Code = "infeasible"
		return e
	}
	var why []string
	for _, a := range d.Candidates {
		if a.Excluded != "" && slices.Contains(s.models, a.Name) {
			why = append(why, a.Name+": "+a.Excluded)
		}
	}
	e := invalid("", "no model can answer this request: %s", strings.Join(why, "; "))
	e.Code = "no_candidate"
	for _, a := range d.Candidates { // a shorter conversation could be answered
		if o, ok := wire.TooLong("", a.Excluded); ok && slices.Contains(s.models, a.Name) && o.Max >= e.Overflow.Max {
			e.Code, e.Overflow = wire.TooLongCode, o
		}
	}
	return e
}

// arrange sets the order of the candidates: that of the decision, unless the request,
// the policy or a draw puts another one first.
func (h *choice) arrange(r *routes, s *selection) {
	d := h.decision
	h.order = append(make([]*candidate, 0, len(d.Candidates)), r.byName[d.Model])
	for _, name := range d.Fallback() {
		h.order = append(h.order, r.byName[name])
	}
	h.breakTie(r, s)
	h.reason = record.TradeOff
	standby := s.policy.standby
	switch {
	case s.named != nil:
		h.reason = record.Named
	case s.off:
		h.toDefault(standby, record.RoutingOff)
	case s.policy.shadow:
		h.toDefault(standby, record.ShadowDefault)
	case s.policy.novel > 0 && d.Novelty > s.policy.novel:
		h.toDefault(standby, record.Novel)
	case s.policy.exploration.Rate > 0 && !s.dry:
		h.explore(s.policy)
	}
	if s.policy.shadow && s.named == nil {
		h.shadow = compare(d, h.order[0].Name)
	}
}

// breakTie chooses, of the candidates with the same utility and cost as the router's
// choice, the one that comes first in the policy's pool. The router knows only the order
// of all models.
func (h *choice) breakTie(r *routes, s *selection) {
	d := h.decision
	chosen := d.Chosen()
	for _, name := range s.models {
		if name == d.Model {
			return
		}
		for i := range d.Candidates {
			if a := &d.Candidates[i]; a.Name == name && a.Excluded == "" && a.Utility == chosen.Utility && a.Cost == chosen.Cost {
				d.Model = name
				h.first(r.byName[name])
				return
			}
		}
	}
}

// toDefault puts the policy's default first. If it may not answer, the router's choice
// stays first, as a fallback.
func (h *choice) toDefault(standby *candidate, reason record.Reason) {
	if h.reason = reason; !h.first(standby) {
		h.reason = record.Fallback
	}
}

// first moves a candidate to the front. It reports whether the candidate may answer.
func (h *choice) first(c *candidate) bool {
	at := slices.Index(h.order, c)
	if at < 0 {
		return false
	}
	copy(h.order[1:at+1], h.order[:at])
	h.order[0] = c
	return true
}

// compare compares the router's choice with the candidate that is tried first.
func compare(d *carrot.Decision, first string) *record.Shadow {
	out := &record.Shadow{Model: d.Model}
	chosen := d.Chosen()
	for i := range d.Candidates {
		if a := &d.Candidates[i]; a.Name == first {
			out.Saved, out.Gain = a.Cost-chosen.Cost, chosen.Quality-a.Quality
		}
	}
	return out
}

// explore puts a random candidate first, at the policy's rate. It sets the propensity,
// the probability of the candidate that is then first.
func (h *choice) explore(p *policy) {
	n := len(h.order)
	p.mu.Lock()
	drawn, pick := p.draw.Float64() < p.exploration.Rate, p.draw.IntN(n)
	p.mu.Unlock()
	if drawn && pick > 0 {
		h.propensity = p.exploration.Rate / float64(n)
		h.reason = record.Exploration
		h.first(h.order[pick])
		return
	}
	h.propensity = 1 - p.exploration.Rate + p.exploration.Rate/float64(n)
}

// excluded returns why candidates may not answer, for reasons that the router does not
// know. If strict, it includes those that could answer but should not.
func (d *decider) excluded(r *routes, q *request, models []string, b *bodies, pinned *candidate, strict bool) map[string]string {
	var out map[string]string
	for _, c := range r.candidates {
		if !slices.Contains(models, c.Name) {
			continue
		}
		why, t := "", c.target()
		api := t.provider.Speaks(q.API)
		translation, err := b.in(api, q.Request, t)
		var lost wire.Notes
		if r.config.Translation == strictly {
			lost = q.losses(t, translation)
		}
		switch {
		case api == "":
			why = "its provider does not serve conversations"
		case err != nil:
			why = err.Error()
		case lost.Lost():
			why = "translation is strict, and these fields would be left out or changed: " + said(lost)
		case q.named == nil && !t.tagged(q.tags):
			why = "it lacks requested tags: " + strings.Join(q.tags, ", ")
		case strict && q.InThinking() && api != q.API && q.named == nil && c != pinned:
			why = "it cannot continue another model's reasoning"
		case strict && q.unsigned(t):
			why = "it cannot continue a turn of tools that another model began without thinking"
		case strict && q.named == nil && d.breakers.IsOpen(t.call()):
			why = "it keeps failing: its circuit breaker is open"
		default:
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[c.Name] = why
	}
	return out
}

// noThread returns the error for a thread that no candidate can continue. By its code,
// clients know that they have to send the whole conversation again, as they do if
// Anthropic no longer holds a thread. Any candidate may answer that.
func noThread() *wire.Error {
	return &wire.Error{Status: http.StatusNotFound, Code: "thread_not_found", Param: "thread.previous_message_id",
		Message: "no model that may answer holds this thread: send the whole conversation"}
}

// threaded returns the candidate that holds the thread which a request continues.
func (d *decider) threaded(r *routes, q *request) (*candidate, error) {
	c := q.named
	if c == nil {
		c = d.conversations.maker(r, q.client, q.Thread)
	}
	if c == nil || c.target().provider.Speaks(wire.Messages) != wire.Messages || d.breakers.IsOpen(c.target().call()) {
		return nil, noThread()
	}
	return c, nil
}

// pinned returns the candidate that must continue the conversation, and why: the one
// that made the previous response, holds the thread, or made the reasoning in the
// current turn. It is nil if any candidate may.
func (d *decider) pinned(r *routes, q *request, prefixes []uint64) (*candidate, record.Reason, error) {
	if q.Thread != "" {
		c, err := d.threaded(r, q)
		if err != nil || q.named != nil {
			return nil, "", err
		}
		return c, record.ContinuesResponse, nil
	}
	if q.named != nil {
		return nil, "", nil
	}
	if id := q.PreviousResponse; id != "" {
		c := d.conversations.maker(r, q.client, id)
		e := invalid("previous_response_id", "it is unknown which model made response %q: name that model instead of %q", id, q.Model)
		e.Code = "unknown_previous_response"
		switch {
		case c == nil:
			return nil, "", e
		case c.target().provider.Speaks(wire.Responses) != wire.Responses:
			e.Message = fmt.Sprintf("%s made response %q through an API that does not keep responses: send the earlier turns in input", c.Name, id)
			return nil, "", e
		}
		return c, record.ContinuesResponse, nil
	}
	if q.Stored && q.API == wire.Responses {
		if c := d.conversations.beganTurn(r, prefixes); c != nil && c.target().provider.Speaks(wire.Responses) == wire.Responses {
			return c, record.ContinuesResponse, nil
		}
	}
	if q.InThinking() {
		if c := d.conversations.beganTurn(r, prefixes); c != nil {
			return c, record.ContinuesReasoning, nil
		}
	}
	return nil, "", nil
}
