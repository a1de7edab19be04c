package whatif

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/carrot-router/carrot/internal/offpolicy"
)

// BenchmarkAsk: a position of a slider, on 100,000 requests among ten models.
func BenchmarkAsk(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	requests := make([]Request, 100_000)
	for i := range requests {
		one := Request{Row: offpolicy.Row{Session: fmt.Sprint(i / 3), USDPerQuality: 0.01, Propensity: 1}}
		for m := range 10 {
			one.Candidates = append(one.Candidates, offpolicy.Candidate{Name: fmt.Sprint("model ", m), Quality: r.Float64(), Cost: 0.01 * r.Float64()})
		}
		one.Greedy = offpolicy.Objective(0.01)(&one.Row)
		one.Action = one.Greedy
		one.Model, one.Was, one.Now, one.Cost, one.Score = one.Candidates[one.Action].Name, 0.01, 0.01, 0.01, 1
		requests[i] = one
	}
	log := New(requests)
	b.ReportAllocs()
	for b.Loop() {
		log.Ask(Question{USDPerQuality: 0.02})
	}
}
