package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
)

// callIDs gives calls ids that the other API takes, and that differ: clients of servers
// that are only compatible send calls without ids, or with the same id in every turn.
// Such a call and its result belong together by their order, and by the name of the
// function if the result has it.
type callIDs struct {
	longest int                   // bytes
	plain   bool                  // only letters, digits, _ and -
	taken   map[string]int        // the ids, with the last number that was added to them
	open    map[string][]madeCall // calls without a result, by the client's id
	latest  map[string]string     // the latest id, by the client's
}

// madeCall is a call in the conversation.
type madeCall struct{ id, name string }

// The longest ids of calls that the APIs take, in bytes.
const (
	longestChatCallID = 40
	longestCallID     = 64
)

// newCallIDs returns no ids yet for requests to an API.
func newCallIDs(to API) callIDs {
	c := callIDs{longest: longestCallID, plain: to == Messages}
	if to == Chat {
		c.longest = longestChatCallID
	}
	return c
}

// call returns the id for a call, whose function has the name.
func (c *callIDs) call(id, name string) string {
	if c.taken == nil {
		c.taken, c.open, c.latest = map[string]int{}, map[string][]madeCall{}, map[string]string{}
	}
	begin := c.fit(id)
	made := begin
	for c.taken[made] > 0 {
		c.taken[begin]++
		end := "_" + strconv.Itoa(c.taken[begin])
		made = begin[:min(len(begin), c.longest-len(end))] + end
	}
	c.taken[made], c.latest[id] = 1, made
	c.open[id] = append(c.open[id], madeCall{made, name})
	return made
}

// result returns the id for the result of a call. The name may be empty.
func (c *callIDs) result(id, name string) string {
	open := c.open[id]
	if len(open) == 0 {
		if made, ok := c.latest[id]; ok {
			return made
		}
		return c.fit(id)
	}
	at := 0
	if name != "" {
		at = max(0, slices.IndexFunc(open[:min(len(open), maxParallel)], func(m madeCall) bool { return m.name == name }))
	}
	made := open[at].id
	copy(open[1:at+1], open[:at])
	c.open[id] = open[1:]
	return made
}

// maxParallel is how many calls are looked at for the one that a result belongs to.
const maxParallel = 128

// fit returns an id that the other API takes.
func (c *callIDs) fit(id string) string {
	if id == "" {
		return "call_1"
	}
	if c.plain {
		id = callID(id)
	}
	if len(id) <= c.longest {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "call_" + hex.EncodeToString(sum[:16])
}
