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

// resolve puts items in the place of references to them. It returns nil if it knows
// none of them. leftOut says that there were references to reasoning, which are left
// out: only its maker could read it.
func (s *stored) resolve(client string, body []byte) (out []byte, leftOut bool) {
	found := false
	out = wire.Resolve(body, func(id string) (string, bool) {
		item, ok := s.items.Get(s.keys.key(client, "item", id))
		ok = ok && item != ambiguous
		found, leftOut = found || ok, leftOut || ok && item == ""
		return item, ok
	})
	if !found {
		return nil, false
	}
	return out, leftOut
}
