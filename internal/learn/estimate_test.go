package learn

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/internal/offpolicy"
)

var models = []string{"a", "b", "c", "d", "e"}

// traffic draws requests that a router serves whose forecasts of quality and tokens are off:
// by wrong[j] and by the factor long[j] for model j.
func traffic(r *rand.Rand, n int, rate float64, wrong, long []float64) (rows []offpolicy.Row) {
	for k := range n {
		x := offpolicy.Row{Request: strconv.Itoa(k), Session: strconv.Itoa(k / 3), Router: "start", Propensity: 1 - rate + rate/float64(len(models)),
			Time: time.Date(2026, 11, 1, 0, 0, k, 0, time.UTC)}
		truth := make([]float64, len(models))
		for j := range models {
			truth[j] = min(max(0.6+0.15*r.NormFloat64(), 0.05), 0.95)
			x.Candidates = append(x.Candidates, offpolicy.Candidate{Name: models[j], Quality: clamp(truth[j] + wrong[j]), Noise: 0.48,
				Cost: 0.001, InputTokens: 100, OutputTokens: 200 * long[j]})
			if x.Candidates[j].Quality > x.Candidates[x.Greedy].Quality {
				x.Greedy = j
			}
		}
		x.Action = x.Greedy
		if pick := r.IntN(len(models)); r.Float64() < rate && pick != x.Greedy {
			x.Action, x.Propensity = pick, rate/float64(len(models))
		}
		if r.Float64() < truth[x.Action] {
			x.Score = 1
		}
		x.OutputTokens = 200 * math.Exp(0.3*r.NormFloat64()-0.045)
		rows = append(rows, x)
	}
	return rows
}

// TestEstimate: a model that is expected to be better than it is is corrected, and the
// others are left alone.
func TestEstimate(t *testing.T) {
	ones := []float64{1, 1, 1, 1, 1}
	for _, how := range []Weights{WeightsByGap, WeightsNever, WeightsAlways} {
		rows := traffic(rand.New(rand.NewPCG(1, 17)), 4000, 0.1, []float64{0, 0.15, 0, 0, 0}, []float64{1, 1, 1.5, 1, 1})
		l := Estimate(rows, models, how)
		for j, want := range []float64{0, -0.15, 0, 0, 0} {
			if math.Abs(l.Quality[j]-want) > 0.04 {
				t.Errorf("weights %d: model %s is shifted by %.3f, want about %v", how, models[j], l.Quality[j], want)
			}
		}
		for j, want := range []float64{1, 1, 1 / 1.5, 1, 1} {
			if math.Abs(l.Tokens[j]-want) > 0.06 {
				t.Errorf("weights %d: the tokens of model %s are multiplied by %.3f, want about %.3f", how, models[j], l.Tokens[j], want)
			}
		}
		if l.Rows[1] < 500 || *l.QualitySE[1] < 0.005 || *l.QualitySE[1] > 0.1 || !l.From.Equal(rows[0].Time) || !l.To.Equal(rows[len(rows)-1].Time) {
			t.Errorf("weights %d: %+v", how, l)
		}
		if diff := cmp.Diff(l, Estimate(rows, models, how)); diff != "" {
			t.Errorf("the same rows give two estimates:\n%s", diff)
		}
	}
	t.Run("few outcomes change nothing", func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 17))
		for range 20 {
			for j, s := range Estimate(traffic(r, 30, 0.1, make([]float64, 5), ones), models, WeightsByGap).Quality {
				if math.Abs(s) > 0.05 {
					t.Errorf("30 requests shift model %s by %.3f", models[j], s)
				}
			}
		}
	})
	t.Run("nothing known", func(t *testing.T) {
		rows := traffic(rand.New(rand.NewPCG(4, 17)), 50, 0.1, make([]float64, 5), ones)
		for i := range rows {
			rows[i].Score, rows[i].OutputTokens = math.NaN(), math.NaN()
		}
		l := Estimate(rows, models, WeightsByGap)
		if diff := cmp.Diff(none(5), l.Correction); diff != "" || l.QualitySE[0] != nil || l.Rows[0] != 0 || !l.From.IsZero() {
			t.Errorf("without outcomes: %+v", l)
		}
	})
}

// start is a router as it was fitted, and next one that was corrected after it.
func lineage() *Lineage {
	a := &artifact.Artifact{Fingerprint: "next", Manifest: artifact.Manifest{Models: []artifact.Model{{Name: "a"}, {Name: "b"}},
		Learned: &artifact.Learned{Correction: artifact.Correction{Quality: []float64{0.1, 0}, Tokens: []float64{1, 2}},
			Earlier: []artifact.Correction{{Router: "start", Quality: []float64{0, 0}, Tokens: []float64{1, 1}}}}}}
	return NewLineage(a)
}

func TestLineage(t *testing.T) {
	l := lineage()
	row := offpolicy.Row{Router: "next", Candidates: []offpolicy.Candidate{
		{Name: "a", Quality: 0.7, OutputTokens: 100, InputTokens: 50, Cost: 0.3}, {Name: "b", Quality: 0.65, OutputTokens: 100, InputTokens: 50, Cost: 0.2}, {Name: "other", Quality: 0.1, Cost: 0.1}}}
	base, ok := l.Uncorrected(row)
	if !ok || math.Abs(base.Candidates[0].Quality-0.6) > 1e-12 || base.Candidates[1].OutputTokens != 50 || base.Candidates[2].Quality != 0.1 || row.Candidates[0].Quality != 0.7 {
		t.Errorf("Uncorrected = %+v, %v", base, ok)
	}
	if _, ok := l.Uncorrected(offpolicy.Row{Router: "other"}); ok || l.Knows("other") || !l.Knows("start") {
		t.Error("a router of another fit is taken for one of this fit")
	}
	inf := math.Inf(1)
	own, _ := l.Correction("next")
	if got := l.Corrected(own, nil, inf)(&row); got != 0 {
		t.Errorf("the router itself chooses %d, want 0", got)
	}
	first, _ := l.Correction("start")
	if got := l.Corrected(first, nil, inf)(&row); got != 1 {
		t.Errorf("the start chooses %d, want 1: 0.65 against 0.6", got)
	}
	if got := l.Corrected(artifact.Correction{Quality: []float64{-0.1, 0}, Tokens: []float64{1, 1}}, nil, inf)(&row); got != 1 {
		t.Errorf("a lower quality of a chooses %d, want 1", got)
	}
	// Twice the tokens at $0.002 each make a cost $0.2 more.
	dear := artifact.Correction{Quality: []float64{0.1, 0}, Tokens: []float64{2, 2}}
	if got := l.Corrected(dear, Prices{"a": 0.002}, 5)(&row); got != 1 {
		t.Errorf("a longer answer of a chooses %d, want 1", got)
	}
	if got := l.Corrected(own, Prices{"a": 0.002}, 5)(&row); got != 0 {
		t.Errorf("an answer of the same length chooses %d, want 0", got)
	}
	if got := l.Corrected(own, nil, inf)(&offpolicy.Row{Router: "other"}); got != -1 {
		t.Errorf("on a row of another fit it chooses %d, want -1", got)
	}
}

func TestPricesOf(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 17))
	var rows []offpolicy.Row
	for range 50 {
		in, out := float64(r.IntN(1000)), 1+float64(r.IntN(500))
		rows = append(rows, offpolicy.Row{Candidates: []offpolicy.Candidate{
			{Name: "both", InputTokens: in, OutputTokens: out, Cost: 1e-6*in + 4e-6*out},
			{Name: "fixed", InputTokens: 10, OutputTokens: 20, Cost: 1e-4},
			{Name: "unknown", InputTokens: 10, OutputTokens: 20, Cost: math.NaN()},
		}})
	}
	p := PricesOf(rows)
	if math.Abs(p["both"]-4e-6) > 1e-12 || math.Abs(p["fixed"]-5e-6) > 1e-12 || len(p) != 2 {
		t.Errorf("PricesOf = %v, want 4e-6 and 5e-6", p)
	}
}

// TestEstimateFew: a request or two with answers much shorter than expected and no score of
// use say next to nothing.
func TestEstimateFew(t *testing.T) {
	rows := traffic(rand.New(rand.NewPCG(1, 17)), 3, 0.1, make([]float64, 5), []float64{1, 1, 1, 1, 1})
	for n := 1; n <= len(rows); n++ {
		for i := range rows[:n] {
			rows[i].OutputTokens = 100 + float64(i) // 200 were expected
		}
		l := Estimate(rows[:n], models, WeightsByGap)
		for j := range models {
			if math.Abs(l.Quality[j]) > 0.02 || math.Abs(math.Log(l.Tokens[j])) > 0.1 {
				t.Errorf("%d requests: model %s is corrected by %+.3f and × %.3f", n, models[j], l.Quality[j], l.Tokens[j])
			}
		}
	}
}
