package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/provider"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/price"
)

// routeTimeout limits a decision: a remote embedder must not hold requests up.
const routeTimeout = 2 * time.Second

// plan is what will be tried for a request, in this order.
type plan struct {
	order       []*candidate
	reason      string
	decision    *carrot.Decision // nil: routing failed
	propensity  float64
	shadow      *Shadow
	decidedIn   time.Duration
	inputTokens int
	prefixes    []uint64 // hashes of the conversation's beginnings
	bodies      bodies
}

// bodies are a request's body in other APIs' words, translated once.
type bodies map[bodyKey]translated

// bodyKey is an API, and the fields of the request that are left out.
type bodyKey struct {
	api     wire.API
	without string
}

type translated struct {
	body []byte
	err  error
}

// in returns the body of q in the words of an API in which a candidate is called.
func (b *bodies) in(api wire.API, q *wire.Request, c *candidate) ([]byte, error) {
	if api == q.API {
		return q.Body, nil
	}
	key := bodyKey{api, c.without}
	if t, ok := (*b)[key]; ok {
		return t.body, t.err
	}
	body := q.Body
	if len(c.nulls) > 0 { // what it does not take must not stand in the way of a translation
		body = wire.Edit(body, wire.Edits{Settings: settingsFor(q.API, c.nulls)})
	}
	var t translated
	t.body, t.err = wire.TranslateRequest(body, q.API, api)
	if *b == nil {
		*b = bodies{}
	}
	(*b)[key] = t
	return t.body, t.err
}

// plan decides who answers a request. The error is a *wire.Error.
func (g *Gateway) plan(ctx context.Context, r *routes, q *wire.Request, s *selection, client string) (*plan, error) {
	start := time.Now()
	p := &plan{propensity: 1, inputTokens: q.InputTokens(price.CountTokens), prefixes: g.sessions.prefixes(client, q)}
	pinned, why, err := g.pinned(r, q, s, client, p.prefixes)
	if err != nil {
		return nil, err
	}
	query := carrot.Query{
		Text: q.Query(r.config.Text.System, *r.config.Text.Earlier), InputTokens: p.inputTokens, MaxOutputTokens: q.MaxOutputTokens,
		Needs: q.Needs, Answers: q.Answers, Models: s.models,
		CachedTokens: g.cached(r, q, s, client, p),
	}
	if pinned != nil {
		if !slices.Contains(s.models, pinned.Name) {
			return nil, invalid("", "%s must go on with what it began, and is not among the models asked for: %s", pinned.Name, strings.Join(s.models, ", "))
		}
		query.Models = []string{pinned.Name}
	}
	query.Excluded = g.excluded(r, q, s, query.Models, &p.bodies, pinned, true)
	d, err := g.route(ctx, r, query, s.objective)
	if errors.Is(err, carrot.ErrNoCandidate) && s.named == nil {
		// Better to try a failing model, or one that did not begin the turn, than
		// to answer nothing.
		query.Excluded = g.excluded(r, q, s, query.Models, &p.bodies, pinned, false)
		d, err = g.route(ctx, r, query, s.objective)
	}
	p.decidedIn = time.Since(start)
	if err != nil {
		return p, g.withoutDecision(r, s, p, d, &query, err)
	}
	p.decision = &d
	g.order(r, s, p)
	switch {
	case pinned != nil:
		p.reason = why
	case len(p.order) == 1 && p.reason == ReasonTradeOff:
		p.reason = ReasonOnly
	}
	return p, nil
}

// route calls the router, which may fail in any way: the gateway goes on.
func (g *Gateway) route(ctx context.Context, r *routes, query carrot.Query, o carrot.Objective) (d carrot.Decision, err error) {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the router panicked: %T", v)
		}
	}()
	return r.router.Route(ctx, query, o)
}

// withoutDecision fills the plan of a request that the router did not decide
// on: the default answers if that can be.
func (g *Gateway) withoutDecision(r *routes, s *selection, p *plan, d carrot.Decision, query *carrot.Query, err error) error {
	p.reason = ReasonRouter
	if s.named != nil && query.Excluded[s.named.Name] == "" {
		p.order, p.reason = []*candidate{s.named}, ReasonNamed
		if !errors.Is(err, carrot.ErrNoCandidate) {
			g.log.Error("routing failed; the model named serves", "error", unquoted(err))
		}
		return nil
	}
	if errors.Is(err, carrot.ErrNoCandidate) {
		return noCandidate(d, s)
	}
	for _, c := range r.candidates {
		if c.Excludes(query) == "" {
			p.order = append(p.order, c)
		}
	}
	if len(p.order) == 0 {
		return &wire.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "router_failed", Message: "routing failed and no model of the pool can take the request"}
	}
	first(p, s.policy.standby)
	g.log.Error("routing failed; the default serves", "error", unquoted(err), "policy", s.policy.name, "model", p.order[0].Name)
	return nil
}

// unquoted is an error without what an embedder's server says, which may quote
// the prompt.
func unquoted(err error) error {
	if refused, ok := errors.AsType[*provider.Error](err); ok {
		return &provider.Error{Status: refused.Status, Code: refused.Code}
	}
	return err
}

// noCandidate says why nobody may answer.
func noCandidate(d carrot.Decision, s *selection) error {
	var why []string
	for _, a := range d.Candidates {
		if a.Excluded != "" && slices.Contains(s.models, a.Name) {
			why = append(why, a.Name+": "+a.Excluded)
		}
	}
	e := invalid("", "no model can answer this request: %s", strings.Join(why, "; "))
	e.Code = "no_candidate"
	return e
}

// order puts the decision's candidates in the order they are tried.
func (g *Gateway) order(r *routes, s *selection, p *plan) {
	d := p.decision
	p.order = append(make([]*candidate, 0, len(d.Candidates)), r.byName[d.Model])
	for _, name := range d.Fallback() {
		p.order = append(p.order, r.byName[name])
	}
	p.reason = ReasonTradeOff
	standby := s.policy.standby
	switch {
	case s.named != nil:
		p.reason = ReasonNamed
	case s.off:
		p.toDefault(standby, ReasonOff)
	case s.policy.shadow:
		p.toDefault(standby, ReasonShadow)
	case s.policy.novel > 0 && d.Novelty > s.policy.novel:
		p.toDefault(standby, ReasonNovel)
	case s.policy.exploration.Rate > 0 && !s.dry:
		explore(s.policy, p)
	}
	if s.policy.shadow && s.named == nil {
		p.shadow = compare(d, p.order[0].Name)
	}
}

// toDefault lets the policy's default serve, or if it may not answer whom the
// decision names.
func (p *plan) toDefault(standby *candidate, reason string) {
	if p.reason = reason; !first(p, standby) {
		p.reason = ReasonFallback
	}
}

// first moves a candidate to the front, if it may answer at all.
func first(p *plan, c *candidate) bool {
	at := slices.Index(p.order, c)
	if at < 0 {
		return false
	}
	copy(p.order[1:at+1], p.order[:at])
	p.order[0] = c
	return true
}

// compare says what the decision would have changed.
func compare(d *carrot.Decision, served string) *Shadow {
	out := &Shadow{Model: d.Model}
	chosen := d.Chosen()
	for i := range d.Candidates {
		if a := &d.Candidates[i]; a.Name == served {
			out.Saved, out.Gain = a.Cost-chosen.Cost, chosen.Quality-a.Quality
		}
	}
	return out
}

// explore draws, at the policy's rate, one of all candidates that may answer.
// The propensity is that of the one who comes first, whoever that is.
func explore(s *policy, p *plan) {
	n := len(p.order)
	s.mu.Lock()
	drawn, pick := s.draw.Float64() < s.exploration.Rate, s.draw.IntN(n)
	s.mu.Unlock()
	if drawn && pick > 0 {
		p.propensity = s.exploration.Rate / float64(n)
		p.reason = ReasonExploration
		first(p, p.order[pick])
		return
	}
	p.propensity = 1 - s.exploration.Rate + s.exploration.Rate/float64(n)
}

// excluded says why candidates may not answer, beyond what the router knows; if
// strict, also why they had better not.
func (g *Gateway) excluded(r *routes, q *wire.Request, s *selection, models []string, b *bodies, pinned *candidate, strict bool) map[string]string {
	var out map[string]string
	for _, c := range r.candidates {
		if !slices.Contains(models, c.Name) {
			continue
		}
		why := ""
		api := c.provider.Speaks(q.API)
		switch _, err := b.in(api, q, c); {
		case api == "":
			why = "its provider serves no conversations"
		case err != nil:
			why = err.Error()
		case s.named == nil && !c.tagged(s.tags):
			why = "it has not the tags asked for: " + strings.Join(s.tags, ", ")
		case strict && q.InThinking() && api != q.API && s.named == nil && c != pinned:
			why = "it cannot go on from another model's reasoning"
		case strict && s.named == nil && g.breakers.open(c):
			why = "it fails: its circuit breaker is open"
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

// pinned is the candidate that must go on with what it began: the maker of the
// previous response, or of the reasoning of the turn in progress.
func (g *Gateway) pinned(r *routes, q *wire.Request, s *selection, client string, prefixes []uint64) (*candidate, string, error) {
	if s.named != nil {
		return nil, "", nil
	}
	if id := q.PreviousResponse; id != "" {
		m, ok := g.responses.get(g.responses.key(client, "response", id), g.now())
		c := r.byName[g.names.of(m)]
		e := invalid("previous_response_id", "it is not known here which model made response %q: name that model instead of %q", id, q.Model)
		e.Code = "unknown_previous_response"
		switch {
		case !ok || c == nil:
			return nil, "", e
		case c.provider.Speaks(wire.Responses) != wire.Responses:
			e.Message = fmt.Sprintf("%s made response %q by an API that keeps none: send the earlier turns in input", c.Name, id)
			return nil, "", e
		}
		return c, ReasonResponse, nil
	}
	if !q.InThinking() {
		return nil, "", nil
	}
	for i := len(prefixes) - 2; i >= 0; i-- {
		// The prompt cache may have forgotten it, the model has not.
		if m, ok := g.sessions.memos.Get(prefixes[i]); ok {
			if c := r.byName[g.names.of(m)]; c != nil {
				return c, ReasonThinking, nil
			}
		}
	}
	return nil, "", nil
}

// cached says how many tokens of the input each candidate's provider should
// hold in its prompt cache: the longest beginning of the conversation that it
// served lately.
func (g *Gateway) cached(r *routes, q *wire.Request, s *selection, client string, p *plan) map[string]int {
	var out map[string]int
	now := g.now()
	note := func(m memo) {
		c := r.byName[g.names.of(m)]
		tokens := int(m.tokens)
		if c == nil || out[c.Name] > 0 || c.provider.cacheMinTokens < 0 || tokens < c.provider.cacheMinTokens {
			return
		}
		if c.provider.Speaks(wire.Messages) == wire.Messages && !q.CacheControl {
			return // Anthropic caches what it is told to
		}
		if out == nil {
			out = map[string]int{}
		}
		out[c.Name] = min(tokens, p.inputTokens)
	}
	for i := len(p.prefixes) - 2; i >= 0; i-- {
		if m, ok := g.sessions.get(p.prefixes[i], now); ok {
			note(m)
		}
	}
	if s.session != "" {
		if m, ok := g.sessions.get(g.sessions.key(client, "session", s.session), now); ok {
			note(m)
		}
	}
	return out
}

// remember notes who served a conversation.
func (g *Gateway) remember(p *plan, s *selection, client string, c *candidate, inputTokens int, responseID string) {
	m := memo{candidate: g.names.number(c.Name), tokens: int32(min(inputTokens, math.MaxInt32)), at: g.now().Unix()}
	if n := len(p.prefixes); n > 0 {
		g.sessions.memos.Put(p.prefixes[n-1], m)
	}
	if s.session != "" {
		g.sessions.memos.Put(g.sessions.key(client, "session", s.session), m)
	}
	if responseID != "" {
		g.responses.memos.Put(g.responses.key(client, "response", responseID), m)
	}
}
