package gateway

import (
	"hash/maphash"
	"math"
	"time"

	"github.com/carrot-router/carrot/internal/recent"
	"github.com/carrot-router/carrot/internal/wire"
)

// conversations remember which candidate served what: to know whose provider
// holds a conversation in its prompt cache, and which candidate must continue one.
// They hold hashes and names, no text.
type conversations struct {
	sessions  *memory // by the beginnings of conversations, and by their names
	responses *memory // by the ids of responses
	names     names   // of the candidates in both
	now       func() time.Time
}

// responsesKept is the number of responses whose makers are remembered.
const responsesKept = 200_000

func newConversations(c SessionConfig, now func() time.Time) *conversations {
	return &conversations{sessions: newMemory(c.TTL, c.Entries), responses: newMemory(0, responsesKept), now: now}
}

// maker is the candidate that made a response.
func (v *conversations) maker(r *routes, client, response string) *candidate {
	m, ok := v.responses.get(v.responses.key(client, "response", response), v.now())
	if !ok {
		return nil
	}
	return r.byName[v.names.of(m)]
}

// beganTurn is the candidate that served the longest known beginning of a
// conversation. The provider's prompt cache may have forgotten it, the model has
// not.
func (v *conversations) beganTurn(r *routes, prefixes []uint64) *candidate {
	for i := len(prefixes) - 2; i >= 0; i-- {
		if m, ok := v.sessions.memos.Get(prefixes[i]); ok {
			if c := r.byName[v.names.of(m)]; c != nil {
				return c
			}
		}
	}
	return nil
}

// cached says how many of a request's input tokens each candidate's provider
// should hold in its prompt cache: the longest beginning of the conversation that
// it served lately.
func (v *conversations) cached(r *routes, q *wire.Request, client, session string, prefixes []uint64, inputTokens int) map[string]int {
	var out map[string]int
	now := v.now()
	note := func(m memo) {
		c := r.byName[v.names.of(m)]
		tokens := int(m.tokens)
		if c == nil || out[c.Name] > 0 {
			return
		}
		p := c.target().provider
		if p.cacheMinTokens < 0 || tokens < p.cacheMinTokens {
			return
		}
		if p.Speaks(wire.Messages) == wire.Messages && !q.CacheControl {
			return // Anthropic caches only what it is told to
		}
		if out == nil {
			out = map[string]int{}
		}
		out[c.Name] = min(tokens, inputTokens)
	}
	for i := len(prefixes) - 2; i >= 0; i-- {
		if m, ok := v.sessions.get(prefixes[i], now); ok {
			note(m)
		}
	}
	if session != "" {
		if m, ok := v.sessions.get(v.sessions.key(client, "session", session), now); ok {
			note(m)
		}
	}
	return out
}

// served is a conversation that a candidate has continued.
type served struct {
	client, session string
	response        string // the id of the answer, where it can be referred to
	prefixes        []uint64
	inputTokens     int
}

// remember notes which candidate continued a conversation.
func (v *conversations) remember(c *candidate, s served) {
	m := memo{candidate: v.names.number(c.Name), tokens: int32(min(s.inputTokens, math.MaxInt32)), at: v.now().Unix()}
	if n := len(s.prefixes); n > 0 {
		v.sessions.memos.Put(s.prefixes[n-1], m)
	}
	if s.session != "" {
		v.sessions.memos.Put(v.sessions.key(s.client, "session", s.session), m)
	}
	if s.response != "" {
		v.responses.memos.Put(v.responses.key(s.client, "response", s.response), m)
	}
}

// memory keeps memos by keys, of which it forgets the oldest.
type memory struct {
	ttl   time.Duration // 0: for as long as there is room
	seed  maphash.Seed
	memos recent.Map[uint64, memo]
}

// memo is which candidate served, with how many input tokens. It holds no
// pointer, so that the collector need not look at a hundred thousand of them.
type memo struct {
	candidate int32 // see names
	tokens    int32
	at        int64 // seconds since 1970
}

// names numbers the names of candidates, of all configurations so far.
type names struct {
	numbers lookup[string, int32]
	list    []string // by number, under numbers' lock
}

// number returns a name's number; a new name gets a new one.
func (n *names) number(name string) int32 {
	return n.numbers.get(name, func(name string) int32 {
		n.list = append(n.list, name)
		return int32(len(n.list) - 1)
	})
}

// of returns the name that a memo means, or "" for an unknown number.
func (n *names) of(m memo) string {
	n.numbers.mu.RLock()
	defer n.numbers.mu.RUnlock()
	if int(m.candidate) >= len(n.list) {
		return ""
	}
	return n.list[m.candidate]
}

// newMemory returns a memory of at most limit memos.
func newMemory(ttl time.Duration, limit int) *memory {
	return &memory{ttl: ttl, seed: maphash.MakeSeed(), memos: recent.Map[uint64, memo]{Size: max(limit/2, 1)}}
}

// get returns a memo that is no older than the memory's limit.
func (m *memory) get(key uint64, now time.Time) (memo, bool) {
	v, ok := m.memos.Get(key)
	return v, ok && (m.ttl == 0 || now.Unix()-v.at <= int64(m.ttl/time.Second))
}

// key is the hash of a name within a client's space.
func (m *memory) key(client, kind, name string) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	for _, part := range []string{client, kind, name} {
		h.WriteString(part)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// prefixes hashes the conversation up to and with each turn: equal beginnings
// have equal hashes. In a provider's cache the tools come before the turns; the
// length of the tools stands for them.
func (m *memory) prefixes(client string, r *wire.Request) []uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	h.WriteString(client)
	h.WriteByte(byte(r.ToolText))
	h.WriteByte(byte(r.ToolText >> 8))
	out := make([]uint64, len(r.Turns))
	for i := range r.Turns {
		h.WriteByte(0)
		if raw := r.Turns[i].Raw; raw[:min(len(raw), 1)] == `"` && r.Turns[i].Role == "user" { // next time it is sent as a list
			h.WriteString(`{"role":"user","content":`)
			h.WriteString(raw)
			h.WriteByte('}')
		} else {
			h.WriteString(raw)
		}
		out[i] = h.Sum64()
	}
	return out
}
