package learn

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/carrot-router/carrot/internal/offpolicy"
)

// look draws the outcomes of one look: on a share of the requests the candidate chooses
// another model, which is better by gain and is tried with a rate of exploration.
func look(r *rand.Rand, share, rate, gain float64) Look {
	var c offpolicy.Comparison
	for i := 0; i < Batch; i++ {
		d := 0.0
		if r.Float64() < share {
			u := r.Float64()
			score := func(q float64) float64 {
				if r.Float64() < q {
					return 1
				}
				return 0
			}
			switch { // what both are expected to be worth is 0.6
			case u < 1-rate:
				d = -(score(0.7) - 0.6) / (1 - rate)
			case u < 1-rate/2: // half of the draws are of the candidate's choice
				d = (score(0.7+gain) - 0.6) / (rate / 2)
			}
		}
		c.Rows, c.Difference, c.Cluster = append(c.Rows, i), append(c.Difference, d), append(c.Cluster, i)
	}
	c.Weight, c.Squares = Batch, Batch
	c.Tries, c.Variance = share*Batch*rate/2, share*Batch*(0.21/(rate/2)+0.21/(1-rate))
	return NewLook(time.Time{}, c)
}

// promoted returns the share of the tests of 20 looks that end in a promotion, and the
// mean number of looks until then.
func promoted(seed uint64, tests int, share, rate, gain float64) (part, looks float64) {
	r := rand.New(rand.NewPCG(seed, 17))
	for range tests {
		var p Progress
		for k := range 20 {
			p.Looks = append(p.Looks, look(r, share, rate, gain))
			if b := p.Bound(); b.Better() {
				part++
				looks += float64(k + 1)
				break
			}
		}
	}
	return part / float64(tests), looks / max(part, 1)
}

// TestFalsePromotions: in 20 looks, a router that is no better is promoted in at most 5 of
// 100 cases, one that is worse in fewer, and one that is much better nearly always.
// runs/learn repeats it with more simulations and on recorded outcomes.
func TestFalsePromotions(t *testing.T) {
	for _, c := range []struct {
		name              string
		share, rate, gain float64
		least, most       float64
	}{
		{"no difference, 20% exploration", 0.3, 0.2, 0, 0, 0.05},
		{"no difference, 5% exploration", 0.3, 0.05, 0, 0, 0.05},
		{"slightly worse", 0.3, 0.2, -0.02, 0, 0.05},
		{"better", 0.5, 0.2, 0.15, 0.8, 1},
	} {
		part, looks := promoted(1, 120, c.share, c.rate, c.gain)
		t.Logf("%s: %.3f promoted, after %.1f looks", c.name, part, looks)
		if part < c.least || part > c.most {
			t.Errorf("%s: %.3f promoted, want %v to %v", c.name, part, c.least, c.most)
		}
	}
}

// TestBound: the bound is that of the mean over all looks, and there is none without a
// difference, support or enough outcomes.
func TestBound(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 17))
	p := &Progress{Looks: []Look{look(r, 0.5, 0.2, 0.2), look(r, 0.5, 0.2, 0.2)}}
	b := p.Bound()
	if want := (p.Looks[0].Sum + p.Looks[1].Sum) / 1000; b.Outcomes != 1000 || math.Abs(b.Mean-want) > 1e-12 || !(b.Lower < b.Mean-2*b.SE) {
		t.Errorf("bound = %+v, want a mean of %v and more than two standard errors below", b, want)
	}
	for name, c := range map[string]struct {
		edit func(p *Progress)
		want string
	}{
		"none":         {func(p *Progress) { p.Looks = nil }, "no outcomes"},
		"unsupported":  {func(p *Progress) { p.Looks[1].Unsupported = 100 }, "could not have been tried"},
		"few":          {func(p *Progress) { p.Looks[0].WeightSquares = 1e6 }, "of equal weight"},
		"hardly tried": {func(p *Progress) { p.Looks[0].Tries, p.Looks[1].Tries = 3, 4 }, "tried about 7 times"},
	} {
		q := &Progress{Looks: append([]Look(nil), p.Looks...)}
		c.edit(q)
		b := q.Bound()
		if b.Better() || len(b.Refusals) == 0 || !strings.Contains(strings.Join(b.Refusals, "; "), c.want) {
			t.Errorf("%s: refusals %q, want %q", name, b.Refusals, c.want)
		}
	}
	same := NewLook(time.Time{}, offpolicy.Comparison{Rows: make([]int, 500), Difference: make([]float64, 500), Cluster: make([]int, 500), Weight: 500, Squares: 500})
	if b := (&Progress{Looks: []Look{same}}).Bound(); b.Better() || b.Mean != 0 || !math.IsInf(b.Lower, -1) {
		t.Errorf("equal choices: bound = %+v, want a difference of 0 and no promotion", b)
	}
}
