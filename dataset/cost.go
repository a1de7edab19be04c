package dataset

import (
	"math"

	"github.com/carrot-router/carrot"
)

// Price returns the model's price per token, or nil if it has no input or output
// price. Prices of cached input, cache writes and reasoning that models.json does
// not give are not set, which is not zero: see [carrot.Price].
func (m *Model) Price() *carrot.Price {
	if !m.Priced() {
		return nil
	}
	rate := func(usd *float64) carrot.Rate {
		if usd == nil {
			return 0
		}
		return carrot.PerMillion(*usd)
	}
	return &carrot.Price{Input: carrot.PerMillion(m.InputUSDPerMillion), CachedInput: rate(m.CachedInputUSDPerMillion), CacheWrite: rate(m.CacheWriteUSDPerMillion),
		Output: carrot.PerMillion(m.OutputUSDPerMillion), Reasoning: rate(m.ReasoningUSDPerMillion)}
}

// ObservedCost returns what model j cost on query i, in USD: the recorded cost, or
// else that of its tokens at price p; NaN if neither is known. Cached tokens are
// part of the input tokens, reasoning tokens part of the output tokens.
func (s *Set) ObservedCost(i, j int, p *carrot.Price) float64 {
	at := func(t Matrix) float64 {
		if t.Rows == 0 {
			return math.NaN()
		}
		return t.At(i, j)
	}
	if usd := at(s.CostUSD); !math.IsNaN(usd) {
		return usd
	}
	in, out := at(s.InputTokens), at(s.OutputTokens)
	if p == nil || math.IsNaN(in) || math.IsNaN(out) {
		return math.NaN()
	}
	part := func(t Matrix, whole float64) int {
		if n := at(t); !math.IsNaN(n) {
			return int(min(n, whole))
		}
		return 0
	}
	cached, reasoning := part(s.CachedTokens, in), part(s.ReasoningTokens, out)
	usd, err := p.Cost(carrot.Usage{Input: int(in) - cached, CachedInput: cached, Output: int(out) - reasoning, Reasoning: reasoning})
	if err != nil {
		return math.NaN()
	}
	return usd.Float()
}
