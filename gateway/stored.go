package gateway

import (
	"math"

	"github.com/carrot-router/carrot/internal/recent"
	"github.com/carrot-router/carrot/internal/wire"
)

// stored keeps items of translated answers of the responses API: no provider has them,
// but clients refer to them by their ids, as they may with an answer that is stored.
type stored struct {
	keys  *memory // makes the keys
	items recent.Map[uint64, string]
	off   bool
}

// ambiguous stands for different items with the same id: some providers use the id of an
// answer, from which the ids of its items are made, again and again.
const ambiguous = "?"

// perItem is about what an item takes in memory besides its text, in bytes.
const perItem = 100

func newStored(c SessionConfig, keys *memory) *stored {
	out := &stored{keys: keys, off: c.StoreMB <= 0}
	out.items.Size = min(c.StoreMB, math.MaxInt>>20) << 20 / 2
	out.items.Weigh = func(item string) int { return len(item) + perItem }
	return out
}

// keep stores the items of a response, or of an event of one.
func (s *stored) keep(client string, data []byte) {
	wire.OutputItems(data, func(id, item string) {
		key := s.keys.key(client, "item", id)
		if before, ok := s.items.Get(key); ok && before != item {
			item = ambiguous
		}
		if len(item) <= s.items.Size/8 { // a few long items must not displace all others
			s.items.Put(key, item)
		}
	})
}

// resolve puts items in the place of references to them, as long as the body does not
// become longer than limit. It returns nil if it can replace none of them. leftOut says
// that there were references to reasoning, which are left out: only its maker could read
// it.
func (s *stored) resolve(client string, body []byte, limit int) (out []byte, leftOut bool) {
	found, size := false, len(body)
	out = wire.Resolve(body, func(id string) (string, bool) {
		item, ok := s.items.Get(s.keys.key(client, "item", id))
		if !ok || item == ambiguous || size+len(item) > limit {
			return "", false
		}
		size += len(item)
		found, leftOut = true, leftOut || item == ""
		return item, true
	})
	if !found {
		return nil, false
	}
	return out, leftOut
}

// resolve returns a request with the items that the gateway stores in the place of
// references to them. It is bounded like a request that a client sent.
func (x *exchange) resolve(q *wire.Request) (*wire.Request, error) {
	body, leftOut := x.g.decider.conversations.stored.resolve(x.clientName(), q.Body, x.routes.config.Limits.BodyMB<<20)
	if body == nil {
		return q, nil
	}
	if memory := wire.RequestMemory(body); !x.held.set(memory) {
		return nil, x.noRoom(memory)
	}
	x.unreasoned = leftOut
	return wire.ParseRequest(q.API, body)
}
