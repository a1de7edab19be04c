package simulate

import (
	"strings"
	"sync"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/recent"
	"github.com/carrot-router/carrot/internal/wire"
	"github.com/carrot-router/carrot/price"
)

// Model behaves like a language model. Lengths, delays and failures are random. The
// generator is seeded with the provider's Seed, the model's name and the request's
// text, so that equal requests get equal answers.
type Model struct {
	// Name is the model's name in requests.
	Name string
	// Price is what the provider bills. Input and output without a rate are
	// free, cache writes without one are billed as input. The tiers flex and batch
	// without a price are billed at half of it.
	Price carrot.Price
	// OutputTokens is the mean length of an answer. 0 means 1.
	OutputTokens float64
	// FirstToken and PerToken are mean delays. Zero means no delay.
	FirstToken, PerToken time.Duration
	// FailureRate is the share of requests, 0 to 1, that fail before any part of
	// the answer is sent. They get status 500, 503 (529 for Anthropic) or 429 with
	// Retry-After, or in a stream an error in place of the first content. A
	// request that failed is answered when it is repeated, unless the rate is 1.
	// Failures are not billed.
	FailureRate float64
	// CutRate is the share of requests, 0 to 1, whose connection breaks in the
	// middle of the answer: the handler panics with http.ErrAbortHandler. They
	// are billed like requests whose client hung up.
	CutRate float64
	// FlexUnavailable is the share of requests with the service tier flex, 0 to 1, that
	// get status 429 with the code resource_unavailable, because no capacity is free. A
	// repeated request is answered, unless the share is 1.
	FlexUnavailable float64
	// Limit is the limit of the model. It does not apply to batches.
	Limit Limit
	// ContextTokens is the limit for input and output together. 0 means no limit.
	ContextTokens int
	// Dimensions, if not 0, makes this a model of embeddings with vectors of that
	// length.
	Dimensions int
}

// Call is a call to a model that has ended.
type Call struct {
	ID     string // of the answer, as the client sees it; empty if the call got an error status
	API    wire.API
	Model  string
	Stream bool
	Status int
	Usage  carrot.Usage // the billed usage
	Cost   carrot.USD
	Cut    bool // the client hung up or the connection broke; Usage is what was written before
	Failed bool // the model failed before the answer began; nothing is billed

	limited bool // it exceeded a limit
}

// Bill is what a provider charges.
type Bill struct {
	// Lines has one line per model, in the order of Provider.Models.
	Lines []Line
}

// Line is the part of a bill for one model.
type Line struct {
	Model   string       `json:"model"`
	Calls   int          `json:"calls"`   // billed calls, including cut ones
	Batch   int          `json:"batch"`   // billed calls that were part of a batch
	Flex    int          `json:"flex"`    // billed calls with the service tier flex
	Cut     int          `json:"cut"`     // billed calls that were cut
	Failed  int          `json:"failed"`  // failed calls, which are not billed, including limited ones
	Limited int          `json:"limited"` // calls that exceeded a limit
	Usage   carrot.Usage `json:"usage"`
	Cost    carrot.USD   `json:"cost_usd"`
	// CutUsage and CutCost are the parts of Usage and Cost for cut calls, of whose
	// answers the client may have seen less than was generated.
	CutUsage carrot.Usage `json:"-"`
	CutCost  carrot.USD   `json:"-"`
}

// bills returns what the provider bills for a usage, which its own counts make
// neither unknown nor out of range.
func (m *Model) bills(u carrot.Usage) carrot.USD {
	p := billable(m.Price)
	if u.Details != nil && u.Details.Tier != "" {
		t := carrot.Tariff{}
		if p.Tariff != nil {
			t = *p.Tariff
		}
		tier, ok := t.Tiers[u.Details.Tier]
		switch {
		case !ok:
			tier.Factor = 0.5
		case tier.Factor == 0:
			tier.Price = billable(tier.Price)
		}
		t.Tiers = map[string]carrot.TierPrice{u.Details.Tier: tier}
		p.Tariff = &t
	}
	cost, err := p.Cost(u)
	if err != nil {
		panic("simulate: bill a call: " + err.Error())
	}
	return cost
}

// billable returns a price that has a rate for everything that a simulated model uses.
func billable(p carrot.Price) carrot.Price {
	p.Input, p.Output = p.Input.Or(carrot.Free), p.Output.Or(carrot.Free)
	p.CacheWrite = p.CacheWrite.Or(p.Input)
	return p
}

// Cost returns the total of the bill.
func (b Bill) Cost() carrot.USD {
	var sum carrot.USD
	for _, l := range b.Lines {
		sum += l.Cost
	}
	return sum
}

// state is a model and what the provider remembers about it.
type state struct {
	Model
	seed   uint64
	corpus *corpus
	// prefixes holds the beginnings of conversations in the prompt cache, failures
	// the requests that failed the last time.
	prefixes, failures memory

	gate gate

	mu   sync.Mutex
	line Line
}

func newState(m Model, seed uint64) *state {
	s := &state{Model: m, seed: hashText(seed+1, m.Name), line: Line{Model: m.Name}}
	s.corpus = newCorpus(m.Name)
	return s
}

// charge adds a call to the model's line of the bill.
func (s *state) charge(c *Call) {
	c.Cost = s.bills(c.Usage)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Failed {
		s.line.Failed++
		if c.limited {
			s.line.Limited++
		}
		return
	}
	s.line.Calls++
	s.line.Cost += c.Cost
	add(&s.line.Usage, c.Usage)
	if d := c.Usage.Details; d != nil && d.Tier == batchTier {
		s.line.Batch++
	} else if d != nil && d.Tier == flexTier {
		s.line.Flex++
	}
	if c.Cut {
		s.line.Cut++
		s.line.CutCost += c.Cost
		add(&s.line.CutUsage, c.Usage)
	}
}

func add(sum *carrot.Usage, u carrot.Usage) {
	sum.Input += u.Input
	sum.CachedInput += u.CachedInput
	sum.CacheWrite += u.CacheWrite
	sum.Output += u.Output
	sum.Reasoning += u.Reasoning
}

// memory remembers numbers by key.
type memory = recent.Map[uint64, int]

// countedBytes is how many bytes of a text are counted. The rest is taken to have
// as many tokens per byte.
const countedBytes = 8 << 10

// count counts the tokens of a text.
func count(text string) int {
	if len(text) <= countedBytes {
		return price.CountTokens(text)
	}
	part := strings.ToValidUTF8(text[:countedBytes], "")
	return int(float64(price.CountTokens(part)) * float64(len(text)) / countedBytes)
}
