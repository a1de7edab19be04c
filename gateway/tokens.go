package gateway

import (
	"maps"
	"math"
	"sync"
	"sync/atomic"

	"github.com/carrot-router/carrot/internal/wire"
)

// tokenFactors learns how many tokens each candidate's model counts for each token that
// the gateway counts, from what providers report. The zero value knows none.
type tokenFactors struct {
	known atomic.Pointer[map[string]float64] // by candidate; never changed, only replaced

	mu   sync.Mutex
	sums map[string]*tokenSums
}

// tokenSums are sums over the latest requests of a candidate. Older ones weigh less.
type tokenSums struct {
	reported, counted float64
	requests          int
}

// How factors are learned.
const (
	learnedFrom    = 20   // requests before a factor is used
	learnedDecay   = 0.98 // the weight of the requests before the latest one
	learnedAtLeast = 50   // tokens of a request, because frames weigh too much in shorter ones
	leastFactor    = 0.5
	mostFactor     = 2.5
	factorStep     = 0.01 // smaller changes are not worth a new map
)

// of returns the factors that are known, by candidate. It may be nil.
func (f *tokenFactors) of() map[string]float64 {
	if known := f.known.Load(); known != nil {
		return *known
	}
	return nil
}

// learn takes in one request. It returns the candidate's factor if it has changed, or 0.
func (f *tokenFactors) learn(candidate string, counted, reported int) float64 {
	if ratio := float64(reported) / float64(max(counted, 1)); counted < learnedAtLeast || ratio < leastFactor || ratio > mostFactor {
		return 0 // beyond that, the request has something that is not counted here
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sums == nil {
		f.sums = map[string]*tokenSums{}
	}
	s := f.sums[candidate]
	if s == nil {
		s = &tokenSums{}
		f.sums[candidate] = s
	}
	s.reported = learnedDecay*s.reported + float64(reported)
	s.counted = learnedDecay*s.counted + float64(counted)
	if s.requests++; s.requests < learnedFrom {
		return 0
	}
	factor := min(max(s.reported/s.counted, leastFactor), mostFactor)
	if before, ok := f.of()[candidate]; ok && math.Abs(factor-before) < factorStep {
		return 0
	}
	known := maps.Clone(f.of())
	if known == nil {
		known = map[string]float64{}
	}
	known[candidate] = factor
	f.known.Store(&known)
	return factor
}

// learnTokens learns from a provider's own count of a request's input, if the request is
// only text: images and tools are not counted by a tokenizer here.
func (k *call) learnTokens(r *wire.Report) {
	q := k.x.q
	if !r.Input() || q.Images > 0 || q.ToolText > 0 || q.PreviousResponse != "" {
		return
	}
	u := r.Usage()
	if u.Details != nil && len(u.Details.Also) > 0 {
		return
	}
	if factor := k.x.g.decider.tokens.learn(k.c.Name, k.choice.inputTokens, u.Prompt()); factor > 0 {
		k.x.g.metrics.tokenFactor(k.c.Name, factor)
	}
}
