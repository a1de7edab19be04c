package simulate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"
)

// Provider serves models with the APIs of OpenAI (chat/completions, responses,
// embeddings, models, files, batches) and Anthropic (messages, messages/count_tokens,
// messages/batches, models). The end of the request's path selects the API. The fields must not change after the
// first request, and a Provider must not be copied.
//
// A model answers with fixed sentences. It calls a tool if tool_choice requires it
// or the last user message contains "use the tool", with arguments that match the
// tool's schema. It answers the result of a tool with a text. If the client asks
// for JSON, the answer is JSON that matches the schema, if there is one.
//
// If a model sees the same beginning of a conversation again, and it has at least
// 1,024 tokens, it is billed as cached input. In messages, this also requires that
// the client marks what to cache. The memory for this is bounded.
type Provider struct {
	Models []Model
	// Keys are the accepted API keys. If there are none, requests need no key.
	Keys []string
	// Seed is the seed of all random values.
	Seed uint64
	// Answers, if not nil, determines what a model answers to a prompt, which is the
	// text of the last message of the user. If it returns false, the model answers with
	// its sentences. Delays, limits and failures remain those of the model. Answers must
	// be safe for concurrent use.
	Answers func(model, prompt string) (Reply, bool)
	// Limit is the limit of each key. It does not apply to batches.
	Limit Limit
	// Batching is how batches are processed. The zero value ends each of them by the
	// time that a client asks for its state.
	Batching Batching
	// Log, if not nil, is called when a call to a model has ended, before the
	// client sees the end. It must be safe for concurrent use.
	Log func(Call)

	once      sync.Once
	states    []*state
	responses memory // tokens of conversations, by the response that ended them
	calls     atomic.Uint64

	mu    sync.Mutex
	gates map[string]*gate // by key
	store store            // of files and batches
}

// maxBody is the longest request that is read.
const maxBody = 32 << 20

func (p *Provider) init() {
	for _, m := range p.Models {
		p.states = append(p.states, newState(m, p.Seed))
	}
}

// model returns the model with a name, or nil if there is none.
func (p *Provider) model(name string) *state {
	p.once.Do(p.init)
	for _, s := range p.states {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Bill returns the charges so far. Calls that ended are charged in full. If the
// client hung up, the whole input is charged, and the output that was written
// before. A stream is on the bill when its handler has returned, which is certain
// after the server has been closed. Other calls are on it before the client sees
// the end.
func (p *Provider) Bill() Bill {
	p.once.Do(p.init)
	var b Bill
	for _, s := range p.states {
		s.mu.Lock()
		b.Lines = append(b.Lines, s.line)
		s.mu.Unlock()
	}
	return b
}

// ServeHTTP answers a request.
func (p *Provider) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	api, what := route(hr)
	id := newID("req_", hashText(p.Seed, what), p.calls.Add(1))
	if api == wire.Messages {
		w.Header().Set("Request-Id", id)
	} else {
		w.Header().Set("X-Request-Id", id)
	}
	refuse := func(e *refusal) { e.write(w, api, id) }
	key, ok := p.key(hr)
	if !ok {
		refuse(badKey(api))
		return
	}
	if what == "files" || what == "batches" {
		if bad := p.serveStore(w, hr, api, what, key); bad != nil {
			refuse(bad)
		}
		return
	}
	if what == "models" {
		p.list(w, hr, api, refuse)
		return
	}
	if what == "" || hr.Method != http.MethodPost {
		e := badRequest("", "", "Invalid URL ("+hr.Method+" "+hr.URL.Path+")")
		e.status = http.StatusNotFound
		refuse(e)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, hr.Body, maxBody))
	if err != nil {
		e := badRequest("", "", "The request body could not be read.")
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			e.status, e.message = http.StatusRequestEntityTooLarge, "Request too large."
		}
		refuse(e)
		return
	}
	var bad *refusal
	if api == wire.Embeddings {
		bad = p.embed(w, body)
	} else {
		r, wrong := parse(api, body, what == "count")
		if bad = wrong; bad == nil {
			bad = p.converse(hr.Context(), w, r, key, id, what == "count")
		}
	}
	if bad != nil {
		refuse(bad)
	}
}

// route determines the API and the operation by the end of the path, so that the
// base path does not matter.
func route(r *http.Request) (api wire.API, what string) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	if _, what, _ = storePath(path); what != "" {
		if strings.Contains(path, "/messages/batches") {
			return wire.Messages, what
		}
		return wire.Chat, what
	}
	for _, end := range []struct {
		path string
		api  wire.API
		what string
	}{
		{"/chat/completions", wire.Chat, "call"},
		{"/responses", wire.Responses, "call"},
		{"/embeddings", wire.Embeddings, "call"},
		{"/messages/count_tokens", wire.Messages, "count"},
		{"/messages", wire.Messages, "call"},
	} {
		if strings.HasSuffix(path, end.path) {
			return end.api, end.what
		}
	}
	api = wire.Chat
	if r.Header.Get("Anthropic-Version") != "" {
		api = wire.Messages
	}
	if strings.HasSuffix(path, "/models") || strings.Contains(path, "/models/") {
		return api, "models"
	}
	return api, ""
}

// key returns the request's key, which is in a header that OpenAI, Anthropic or Azure
// uses, and whether it is accepted.
func (p *Provider) key(r *http.Request) (string, bool) {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	for _, key := range []string{bearer, r.Header.Get("X-Api-Key"), r.Header.Get("Api-Key")} {
		if key != "" && (len(p.Keys) == 0 || slices.Contains(p.Keys, key)) {
			return key, true
		}
	}
	return "", len(p.Keys) == 0
}

// converse answers a request of chat, messages or responses. It returns a refusal
// for the caller to write.
func (p *Provider) converse(ctx context.Context, w http.ResponseWriter, r *request, key, requestID string, count bool) *refusal {
	api := r.api
	s := p.model(r.model)
	if s == nil || s.Dimensions > 0 {
		return noModel(api, r.model)
	}
	before := 0
	if r.previous != "" {
		n, ok := p.responses.Get(hashText(0, r.previous))
		if !ok {
			return badRequest("previous_response_id", "previous_response_not_found", "Previous response with id '"+r.previous+"' not found.")
		}
		before = n
	}
	input := s.input(r, before)
	total := input.Input + input.CachedInput + input.CacheWrite
	if count {
		writeJSON(w, http.StatusOK, append(strconv.AppendInt([]byte(`{"input_tokens":`), int64(total), 10), '}'))
		return nil
	}
	if r.tier != batchTier {
		leave, bad := p.admit(key, s)
		if bad != nil {
			return s.refuseLimited(p, r, bad.as(api))
		}
		defer leave()
	}
	if s.ContextTokens > 0 && total > s.ContextTokens {
		return tooLong(api, total, s.ContextTokens)
	}
	if left := s.ContextTokens - total; s.ContextTokens > 0 && (r.limit == 0 || r.limit > left) {
		r.limit = max(left, 1)
	}
	a := s.plan(r, input, p.Answers)
	total = a.input.Input + a.input.CachedInput + a.input.CacheWrite
	a.requestID, a.created = requestID, time.Now().Unix()
	a.id = newID(idPrefix[api], r.hash, p.calls.Add(1))
	c := &conversation{p: p, s: s, r: r, a: a, w: w, ctx: ctx, total: total,
		call: Call{ID: a.id, API: api, Model: s.Name, Stream: r.stream, Status: http.StatusOK}}
	if a.fails != nil {
		return c.fail()
	}
	s.remember(r)
	if r.stream {
		c.stream()
	} else {
		c.whole()
	}
	return nil
}

// remember adds the conversation to the prompt cache.
func (s *state) remember(r *request) {
	sum := r.extra
	for i := range r.turns {
		if sum += r.turns[i].tokens; sum >= cacheTokens {
			s.prefixes.Put(r.turns[i].hash, sum)
		}
	}
}

// cacheTokens is the length of the shortest beginning that is cached.
const cacheTokens = 1024

// input returns the billed usage of the request's input and of before tokens from
// earlier responses.
func (s *state) input(r *request, before int) carrot.Usage {
	sum, cached, prefix := r.extra+before, 0, 0
	for i := range r.turns {
		sum += r.turns[i].tokens
		if i == len(r.turns)-1 || sum < cacheTokens {
			continue
		}
		prefix = sum
		if _, ok := s.prefixes.Get(r.turns[i].hash); ok {
			cached = sum
		}
	}
	u := carrot.Usage{Input: sum}
	switch {
	case r.api == wire.Messages && r.cache:
		u.CachedInput, u.CacheWrite = cached, prefix-cached
	case r.api != wire.Messages:
		u.CachedInput = cached / 128 * 128 // as OpenAI counts
	}
	u.Input -= u.CachedInput + u.CacheWrite
	return u
}
