package simulate

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"
)

// answer is the answer of a model and its timing.
type answer struct {
	id        string
	requestID string
	created   int64
	input     carrot.Usage
	parts     []part // the choices of chat, or the successive blocks of other APIs
	first     time.Duration
	per       time.Duration
	fails     *refusal
	// cutAt is the token before which the connection breaks, or -1.
	cutAt int
	// given is the output that is billed for the whole answer, if it is not the
	// tokens of the parts.
	given *carrot.Usage
}

// part is a text, a tool call or a thought.
type part struct {
	passage
	tool      string // the name of the tool that is called
	callID    string
	thinking  bool
	reasoning int  // hidden tokens before the part
	truncated bool // by the limit of output tokens
	refused   bool // the model refuses to answer
}

// output returns the usage after n tokens of the parts.
func (a *answer) output(r *request, n int) carrot.Usage {
	u := a.input
	if a.given != nil && a.parts == nil { // nothing was written
		return u
	}
	if all := a.tokens(); a.given != nil {
		u.Reasoning = a.given.Reasoning
		if u.Output = a.given.Output; n < all {
			u.Output = u.Output * n / all
		}
		return u
	}
	for i := range a.parts {
		if n > 0 || i == 0 {
			u.Reasoning += a.parts[i].reasoning
		}
		here := min(n, a.parts[i].tokens())
		u.Output += here
		n -= here
	}
	return u
}

// tokens returns the number of tokens in all parts.
func (a *answer) tokens() int {
	n := 0
	for i := range a.parts {
		n += a.parts[i].tokens()
	}
	return n
}

// generation returns how long the whole answer takes.
func (a *answer) generation() time.Duration {
	return a.first + a.per*time.Duration(max(a.tokens()-1, 0))
}

// plan draws the answer to a request.
func (s *state) plan(r *request, input carrot.Usage, answers func(model, prompt string) (Reply, bool)) *answer {
	draw := rand.New(rand.NewPCG(s.seed, r.hash))
	a := &answer{input: input, cutAt: -1}
	if draw.Float64() < s.FailureRate && !s.failedBefore(r, s.FailureRate) {
		kinds := len(failures)
		if !r.stream {
			kinds-- // the last one happens only in streams
		}
		a.fails = failures[draw.IntN(kinds)].as(r.api)
	}
	if a.fails == nil && r.tier == flexTier && s.FlexUnavailable > 0 && draw.Float64() < s.FlexUnavailable && !s.failedBefore(r, s.FlexUnavailable) {
		a.fails = flexUnavailable()
	}
	if r.tier != "" {
		a.input.Details = &carrot.UsageDetails{Tier: r.tier}
	}
	cut, where := draw.Float64() < s.CutRate, draw.Float64()
	a.first = spread(draw, s.FirstToken, 0.4)
	a.per = spread(draw, s.PerToken, 0.2)
	n := r.n
	if r.api != wire.Chat {
		n = 1
	}
	for i := range n {
		if r.thinking {
			if s.think(a, r, draw) {
				break
			}
		}
		p := s.part(r, draw)
		p.callID = strconv.FormatUint(hashText(r.hash, s.Name)+uint64(i), 36)
		a.parts = append(a.parts, p)
		a.first += a.per * time.Duration(p.reasoning)
	}
	if answers != nil && a.fails == nil {
		if reply, ok := answers(s.Name, r.prompt()); ok {
			a.use(r, reply)
		}
	}
	if r.tier == batchTier {
		a.first, a.per, cut = 0, 0, false
	}
	if cut {
		a.cutAt = int(where * float64(a.tokens()))
	}
	return a
}

// failedBefore reports whether the request failed the last time. If not, it
// records that it fails now, so that a client that retries gets an answer. If the rate
// of failures is 1, it always fails.
func (s *state) failedBefore(r *request, rate float64) bool {
	if rate >= 1 {
		return false
	}
	if _, ok := s.failures.Get(r.hash); ok {
		s.failures.Forget(r.hash)
		return true
	}
	s.failures.Put(r.hash, 0)
	return false
}

// length draws the number of tokens of an answer from a lognormal distribution
// with the model's mean.
func (s *state) length(draw *rand.Rand) int {
	const sigma = 0.5
	if s.OutputTokens <= 1 {
		return 1
	}
	n := s.OutputTokens * math.Exp(sigma*draw.NormFloat64()-sigma*sigma/2)
	return int(min(max(math.Round(n), 1), 1<<16))
}

// spread draws a delay around a mean.
func spread(draw *rand.Rand, mean time.Duration, sigma float64) time.Duration {
	return time.Duration(float64(mean) * math.Exp(sigma*draw.NormFloat64()-sigma*sigma/2))
}

// think adds a thought that the client sees. It reports whether the limit of tokens
// is then reached.
func (s *state) think(a *answer, r *request, draw *rand.Rand) bool {
	p := part{passage: s.corpus.passage(s.length(draw), draw.IntN(1<<16)), thinking: true}
	if r.limit > 0 && p.tokens() >= r.limit {
		p.passage, p.truncated = p.cut(r.limit), true
	}
	r.limit = max(r.limit-p.tokens(), 0)
	a.parts = append(a.parts, p)
	return p.truncated
}

// part draws the content of an answer.
func (s *state) part(r *request, draw *rand.Rand) part {
	n, start := s.length(draw), draw.IntN(1<<16)
	var p part
	switch {
	case r.tool != nil:
		p.tool = r.tool.Get("name").Str
		p.passage = split(string(fill(toolSchema(*r.tool))))
	case r.json && r.schema.IsObject():
		p.passage = split(string(fill(r.schema)))
	case r.json:
		text := s.corpus.passage(n, start).text
		p.passage = split(string(append(quote([]byte(`{"answer":`), text), '}')))
	default:
		p.passage = s.corpus.passage(n, start)
	}
	if r.effort > 0 && !r.thinking {
		p.reasoning = int(math.Round(float64(p.tokens()) * r.effort / (1 - r.effort)))
	}
	if r.limit > 0 && p.reasoning+p.tokens() > r.limit {
		p.reasoning = min(p.reasoning, r.limit)
		p.passage, p.truncated = p.cut(r.limit-p.reasoning), true
	}
	return p
}

// idPrefix begins an answer's id.
var idPrefix = map[wire.API]string{wire.Chat: "chatcmpl-", wire.Responses: "resp_", wire.Messages: "msg_"}

// newID returns an id that is unique as long as call is.
func newID(prefix string, hash, call uint64) string {
	b := append(make([]byte, 0, 48), prefix...)
	b = append(b, "sim"...)
	b = strconv.AppendUint(b, hash, 36)
	b = append(b, 'x')
	return string(strconv.AppendUint(b, call, 36))
}
