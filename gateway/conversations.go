package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"hash/maphash"
	"io"
	"math"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/recent"
	"github.com/carrot-router/carrot/internal/wire"
)

// conversations remembers which candidates served which conversations, with which of
// their provider's keys. That says which provider has a conversation in its prompt cache,
// and which candidate must continue it. It holds hashes and names, but no text except what
// clients asked to be stored.
type conversations struct {
	sessions  *memory   // by the beginnings of conversations, and by the names of sessions
	responses *memory   // by the ids of responses, and of messages in threads
	stored    *stored   // items of responses that no provider stores
	shared    Responses // nil: there are no others
	names     names     // of the candidates in both memories
	now       func() time.Time
}

// responsesKept is the number of responses whose makers are remembered.
const responsesKept = 200_000

func newConversations(c SessionConfig, now func() time.Time, shared Responses) *conversations {
	v := &conversations{sessions: newMemory(c.TTL, c.Entries), responses: newMemory(0, responsesKept), shared: shared, now: now}
	v.stored = newStored(c, v.responses)
	return v
}

// maker returns the candidate that made a response, or nil if it is unknown.
func (v *conversations) maker(r *routes, client, response string) *candidate {
	m, ok := v.responses.get(v.responses.key(client, "response", response), v.now())
	if !ok {
		return nil
	}
	return r.byName[v.names.of(m)]
}

// beganTurn returns the candidate that served the longest known beginning of a
// conversation, or nil if none is known. Its age does not matter here.
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

// cached returns how many input tokens of a request are probably in the prompt cache of
// each candidate's provider: those of the longest beginning of the conversation that
// the candidate served recently, or another candidate that calls the same model with
// other settings, such as another effort.
func (v *conversations) cached(r *routes, q *wire.Request, client, session string, prefixes []uint64, inputTokens int) map[string]int {
	var out map[string]int
	now := v.now()
	note := func(m memo) {
		c := r.byName[v.names.of(m)]
		tokens := int(m.tokens)
		if c == nil || out[c.Name] > 0 {
			return
		}
		t := c.target()
		p := t.provider
		if t.cacheMinTokens < 0 || tokens < t.cacheMinTokens {
			return
		}
		if p.Speaks(wire.Messages) == wire.Messages && !q.CacheControl {
			return // Anthropic caches only what requests mark
		}
		if out == nil {
			out = map[string]int{}
		}
		for _, other := range r.candidates {
			if t := other.target(); t.provider == p && t.model == c.target().model && out[other.Name] == 0 {
				out[other.Name] = min(tokens, inputTokens)
			}
		}
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

// stay returns the key of p that has the latest known part of a conversation, as in
// [provider.Target]. bound says that only this key can continue it, because its account
// keeps the previous response or can read the reasoning of the current turn. Its age
// does not matter here.
func (v *conversations) stay(r *routes, q *request, prefixes []uint64, p *upstream) (stay int, bound bool) {
	at := func(m memo) bool {
		c := r.byName[v.names.of(m)]
		return c != nil && c.target().provider == p
	}
	if previous := cmp.Or(q.PreviousResponse, q.Thread); previous != "" {
		if m, ok := v.responses.get(v.responses.key(q.client, "response", previous), v.now()); ok && at(m) {
			return int(m.key) + 1, m.key >= 0
		}
	}
	for i := len(prefixes) - 2; i >= 0; i-- {
		if m, ok := v.sessions.memos.Get(prefixes[i]); ok && at(m) {
			signed := q.API != wire.Chat && p.Speaks(q.API) == q.API
			return int(m.key) + 1, signed && q.InThinking() && i >= lastUser(q.Request)
		}
	}
	if q.session != "" {
		if m, ok := v.sessions.memos.Get(v.sessions.key(q.client, "session", q.session)); ok && at(m) {
			return int(m.key) + 1, false
		}
	}
	return 0, false
}

// lastUser returns the index of the last turn of the user, or 0 if there is none.
func lastUser(q *wire.Request) int {
	for i := len(q.Turns) - 1; i > 0; i-- {
		if q.Turns[i].Role == "user" {
			return i
		}
	}
	return 0
}

// foreign returns which turns were answers of another account than that of a key of p,
// or nil if no reasoning is known to be among them. It leaves out the turn that is in
// progress, which cannot be continued without its reasoning.
func (v *conversations) foreign(r *routes, q *wire.Request, prefixes []uint64, p *upstream, key int) []bool {
	if q.API == wire.Chat || len(prefixes) != len(q.Turns) {
		return nil
	}
	var out []bool
	other := false // the turns so far were answered by another account
	for i := range q.Turns[:lastUser(q)] {
		if q.Turns[i].Role != "assistant" {
			m, ok := v.sessions.memos.Get(prefixes[i])
			c := r.byName[v.names.of(m)]
			other = ok && c != nil && !c.target().provider.sameAccount(int(m.key), p, key)
			continue
		}
		if other && out == nil && q.Turns[i].Thinking {
			out = make([]bool, len(q.Turns))
		}
		if out != nil {
			out[i] = other
		}
	}
	return out
}

// served is a request that a candidate has answered.
type served struct {
	client, session string
	key             int    // the index of the key with which it was called
	response        string // the id of the answer, if later requests may refer to it
	prefixes        []uint64
	inputTokens     int
}

// remember stores which candidate answered a request.
func (v *conversations) remember(c *candidate, s served) {
	m := memo{candidate: v.names.number(c.Name), tokens: int32(min(s.inputTokens, math.MaxInt32)), key: int32(s.key), at: uint32(v.now().Unix())}
	if n := len(s.prefixes); n > 0 {
		v.sessions.memos.Put(s.prefixes[n-1], m)
	}
	if s.session != "" {
		v.sessions.memos.Put(v.sessions.key(s.client, "session", s.session), m)
	}
	if s.response != "" {
		v.responses.memos.Put(v.responses.key(s.client, "response", s.response), m)
		if v.shared != nil {
			v.shared.Keep(sharedResponse(s.client, s.response), sharedMaker(c, s.key))
		}
	}
}

// recallTimeout limits how long a request waits for what others know about the response
// that it continues.
const recallTimeout = 200 * time.Millisecond

// recall asks others who made the response, or holds the thread, that a request continues,
// if that is unknown here.
func (v *conversations) recall(ctx context.Context, r *routes, q *request) error {
	response := cmp.Or(q.PreviousResponse, q.Thread)
	if v.shared == nil || response == "" {
		return nil
	}
	key := v.responses.key(q.client, "response", response)
	if _, known := v.responses.get(key, v.now()); known {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, recallTimeout)
	defer cancel()
	maker, err := v.shared.Find(limited, sharedResponse(q.client, response))
	if err != nil {
		return err
	}
	number, name, _ := strings.Cut(maker, " ")
	if c := r.byName[name]; c != nil {
		v.responses.memos.Put(key, memo{candidate: v.names.number(name), key: sharedKey(c, number), at: uint32(v.now().Unix())})
	}
	return nil
}

// sharedResponse returns what stands for a response of a client among several gateways.
func sharedResponse(client, response string) string {
	return shortHash("response", client, response)
}

// sharedMaker returns what stands for a candidate with one of its provider's keys among
// several gateways. The order of keys in their configurations does not matter.
func sharedMaker(c *candidate, key int) string {
	return sharedKeyName(c.target().provider, key) + " " + c.Name
}

func sharedKeyName(u *upstream, key int) string {
	secret := ""
	if key >= 0 && key < len(u.Keys) {
		secret = u.Keys[key]
	}
	return shortHash("key", u.BaseURL, secret)
}

// sharedKey returns the index of the key that sharedMaker has named, -1 if no key of the
// candidate's provider is it.
func sharedKey(c *candidate, name string) int32 {
	u := c.target().provider
	for i := range max(len(u.Keys), 1) {
		if sharedKeyName(u, i) == name {
			return int32(i)
		}
	}
	return -1
}

// shortHash returns a hash of texts that nobody can reverse.
func shortHash(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		io.WriteString(h, text)
		h.Write([]byte{0})
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// memory keeps a limited number of memos by key. It forgets the oldest ones.
type memory struct {
	ttl   time.Duration // after which a memo is ignored; 0: never
	seed  maphash.Seed
	memos recent.Map[uint64, memo]
}

// memo says which candidate served a request, with which key of its provider and with
// how many input tokens. It holds no pointers, so that the garbage collector need not
// scan a hundred thousand memos.
type memo struct {
	candidate int32 // see names
	key       int32 // -1: unknown
	tokens    int32
	at        uint32 // seconds since 1970, until 2106
}

// names assigns numbers to the names of candidates in all configurations so far.
type names struct {
	numbers lookup[string, int32]
	list    []string // by number; protected by the lock of numbers
}

// number returns the number of a name. A new name gets a new number.
func (n *names) number(name string) int32 {
	return n.numbers.get(name, func(name string) int32 {
		n.list = append(n.list, name)
		return int32(len(n.list) - 1)
	})
}

// of returns the name of the candidate in a memo, or "" if its number is unknown.
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

// get returns the memo of a key, unless it is too old.
func (m *memory) get(key uint64, now time.Time) (memo, bool) {
	v, ok := m.memos.Get(key)
	return v, ok && (m.ttl == 0 || now.Unix()-int64(v.at) <= int64(m.ttl/time.Second))
}

// key returns the key for something that a client names, such as a session.
func (m *memory) key(client, kind, name string) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	for _, part := range []string{client, kind, name} {
		h.WriteString(part)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// prefixes returns a hash for each turn, of the conversation up to and including that
// turn. Equal beginnings have equal hashes. In a provider's cache the tools precede the
// turns; their length stands for them here.
func (m *memory) prefixes(client string, r *wire.Request) []uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	h.WriteString(client)
	h.WriteByte(byte(r.ToolText))
	h.WriteByte(byte(r.ToolText >> 8))
	out := make([]uint64, len(r.Turns))
	for i := range r.Turns {
		h.WriteByte(0)
		if raw := r.Turns[i].Raw; raw[:min(len(raw), 1)] == `"` && r.Turns[i].Role == "user" { // the next request has it in a list
			h.WriteString(`{"role":"user","content":`)
			h.WriteString(raw)
			h.WriteByte('}')
		} else {
			writeTurn(&h, raw, r)
		}
		out[i] = h.Sum64()
	}
	return out
}

// writeTurn adds a turn to a hash, without the marks of what is to be cached: clients
// move them to the latest turns of each request. A text that is the only block of a
// message, because it had a mark, counts like one without a block.
func writeTurn(h *maphash.Hash, raw string, r *wire.Request) {
	if r.API != wire.Messages {
		h.WriteString(raw)
		return
	}
	if r.CacheControl {
		raw = unmarked(raw)
	}
	const frame = `[{"type":"text","text":`
	if before, text, ok := strings.Cut(raw, frame); ok {
		if end := stringEnd(text); strings.HasPrefix(text[end:], "}]") {
			h.WriteString(before)
			h.WriteString(text[:end])
			raw = text[end+2:]
		}
	}
	h.WriteString(raw)
}

// unmarked returns a turn without its members cache_control.
func unmarked(raw string) string {
	const mark, blanks = `"cache_control"`, " \t\r\n"
	if !strings.Contains(raw, mark) {
		return raw
	}
	var out strings.Builder
	for {
		before, after, ok := strings.Cut(raw, mark)
		value, colon := strings.CutPrefix(strings.TrimLeft(after, blanks), ":")
		end := strings.IndexByte(value, '}') // marks hold no objects
		if !ok || !colon || end < 0 || !strings.HasPrefix(strings.TrimLeft(value, blanks), "{") {
			out.WriteString(raw)
			return out.String()
		}
		before, raw = strings.TrimRight(before, blanks), value[end+1:]
		if head, ok := strings.CutSuffix(before, ","); ok {
			before = head
		} else if tail, ok := strings.CutPrefix(strings.TrimLeft(raw, blanks), ","); ok {
			raw = strings.TrimLeft(tail, blanks)
		}
		out.WriteString(before)
	}
}

// stringEnd returns the length of the JSON string with which a text begins, or 0.
func stringEnd(text string) int {
	if !strings.HasPrefix(text, `"`) {
		return 0
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}
