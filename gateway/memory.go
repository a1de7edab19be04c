package gateway

import (
	"hash/maphash"
	"time"

	"github.com/carrot-router/carrot/internal/recent"
	"github.com/carrot-router/carrot/internal/wire"
)

// memory remembers who served what, to know which candidate's provider holds a
// conversation in its prompt cache, and who must go on with one. It holds
// hashes and names, no text.
type memory struct {
	ttl   time.Duration // 0: for as long as there is room
	seed  maphash.Seed
	memos recent.Map[uint64, memo]
}

// memo is who served, with how many input tokens. It holds no pointer: the
// collector need not look at a hundred thousand of them.
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

// number returns a name's number, a new one for a new name.
func (n *names) number(name string) int32 {
	return n.numbers.get(name, func(name string) int32 {
		n.list = append(n.list, name)
		return int32(len(n.list) - 1)
	})
}

// of returns the name that a memo means, empty for a number that there is not.
func (n *names) of(m memo) string {
	n.numbers.mu.RLock()
	defer n.numbers.mu.RUnlock()
	if int(m.candidate) >= len(n.list) {
		return ""
	}
	return n.list[m.candidate]
}

// newMemory returns a memory of at most so many memos.
func newMemory(ttl time.Duration, limit int) *memory {
	return &memory{ttl: ttl, seed: maphash.MakeSeed(), memos: recent.Map[uint64, memo]{Size: max(limit/2, 1)}}
}

// get returns a memo that is not older than the memory's limit.
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
// have equal hashes. Tools come before the turns in a provider's cache; their
// length stands for them.
func (m *memory) prefixes(client string, r *wire.Request) []uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	h.WriteString(client)
	h.WriteByte(byte(r.ToolText))
	h.WriteByte(byte(r.ToolText >> 8))
	out := make([]uint64, len(r.Turns))
	for i := range r.Turns {
		h.WriteByte(0)
		if raw := r.Turns[i].Raw; raw[:min(len(raw), 1)] == `"` && r.Turns[i].Role == "user" { // what is sent next time as a list
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
