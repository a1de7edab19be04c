package carrot_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
)

var update = flag.Bool("update", false, "rewrite testdata/decision.golden.json")

func TestUtility(t *testing.T) {
	f := func(q, c, w, want float64) {
		t.Helper()
		if got := carrot.Utility(q, c, w); got != want {
			t.Errorf("Utility(%v, %v, %v) = %v, want %v", q, c, w, got, want)
		}
	}
	f(0.75, 0.5, 2, 0.5) // 50 cents at 2 USD a unit are worth a quarter unit
	f(0.75, 0.5, math.Inf(1), 0.75)
	f(0.75, 0.5, 0, -0.5)
	f(0.75, 0, 0, 0)
}

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		name          string
		quality, cost []float64
		w             float64
		want          int
	}{
		{"higher utility", []float64{0.5, 0.75}, []float64{1, 1.5}, 4, 1},
		{"equal utility: the cheaper", []float64{0.75, 0.5}, []float64{2, 1}, 4, 1},
		{"equal utility and cost: the first", []float64{0.5, 0.5}, []float64{1, 1}, 4, 0},
		{"w = 0: the cheapest, whatever its quality", []float64{1, 0}, []float64{2, 1}, 0, 1},
		{"w = 0 and equal cost: the first", []float64{0.1, 0.9}, []float64{1, 1}, 0, 0},
		{"w = +Inf: the best, whatever its cost", []float64{0.5, 0.6}, []float64{0, 1e6}, math.Inf(1), 1},
		{"w = +Inf and equal quality: the cheaper", []float64{0.5, 0.5}, []float64{2, 1}, math.Inf(1), 1},
		{"free candidates", []float64{0.5, 0.6}, []float64{0, 0}, 1, 1},
		{"one candidate", []float64{0}, []float64{9}, 1, 0},
		{"none", nil, nil, 1, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := carrot.Choose(test.quality, test.cost, test.w); got != test.want {
				t.Errorf("Choose(%v, %v, %v) = %d, want %d", test.quality, test.cost, test.w, got, test.want)
			}
		})
	}
}

// pool draws estimates on a coarse lattice, so that ties are common.
func pool(random *rand.Rand) (quality, cost []float64) {
	for range 1 + random.IntN(8) {
		quality = append(quality, float64(random.IntN(9))/8)
		cost = append(cost, float64(1+random.IntN(9))/8192)
	}
	return quality, cost
}

// settings are willingnesses to pay from +Inf down to 0.
func settings() []float64 {
	w := []float64{math.Inf(1)}
	for exponent := 10.0; exponent >= -20; exponent -= 0.25 {
		w = append(w, math.Exp2(exponent))
	}
	return append(w, 0)
}

// The less one pays for quality, the less the choice costs.
func TestCostFallsWithWillingnessToPay(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	for range 2_000 {
		quality, cost := pool(random)
		last := math.Inf(1)
		for _, w := range settings() {
			c := cost[carrot.Choose(quality, cost, w)]
			if c > last {
				t.Fatalf("quality %v, cost %v: at w = %v the choice costs %v, at the w before %v", quality, cost, w, c, last)
			}
			last = c
		}
	}
}

// A candidate that is worse and more expensive than another changes no decision,
// wherever in the pool it stands.
func TestDominatedCandidateChangesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	for range 2_000 {
		quality, cost := pool(random)
		by, at := random.IntN(len(quality)), random.IntN(len(quality)+1)
		more := slices.Insert(slices.Clone(quality), at, quality[by]-0.001)
		costlier := slices.Insert(slices.Clone(cost), at, cost[by]+1e-6)
		for _, w := range settings() {
			want := carrot.Choose(quality, cost, w)
			if want >= at {
				want++
			}
			if got := carrot.Choose(more, costlier, w); got != want {
				t.Fatalf("w = %v: Choose(%v, %v) = %d, want %d: candidate %d is dominated", w, more, costlier, got, want, at)
			}
		}
	}
}

// decision decides among candidates a, b, c… of these estimates.
func decision(quality, cost []float64, w float64) carrot.Decision {
	d := carrot.Decision{USDPerQuality: w, Objective: carrot.USDPerQuality(w)}
	for i, q := range quality {
		c := carrot.Dollars(cost[i])
		d.Candidates = append(d.Candidates, carrot.Assessment{
			Name:     string(rune('a' + i)),
			Estimate: carrot.Estimate{Quality: q, Cost: c},
			Utility:  carrot.Utility(q, c.Float(), w),
		})
	}
	if best := carrot.Choose(quality, cost, w); best >= 0 {
		d.Model = d.Candidates[best].Name
	}
	return d
}

func TestFlips(t *testing.T) {
	inf := math.Inf(1)
	for _, test := range []struct {
		name          string
		quality, cost []float64
		want          []carrot.Flip
	}{
		{"one candidate never flips", []float64{0.5}, []float64{1}, []carrot.Flip{{inf, "a"}}},
		{"a quarter of quality for a dollar", []float64{0.75, 0.5}, []float64{2, 1}, []carrot.Flip{{inf, "a"}, {4, "b"}}},
		{"below the hull: never chosen", []float64{1, 0.5, 0.5}, []float64{3, 2, 1}, []carrot.Flip{{inf, "a"}, {4, "c"}}},
		{"on one line: the cheapest of them", []float64{0.75, 0.5, 0.25}, []float64{3, 2, 1}, []carrot.Flip{{inf, "a"}, {4, "c"}}},
		{"three steps", []float64{1, 0.75, 0.25}, []float64{5, 2, 1}, []carrot.Flip{{inf, "a"}, {12, "b"}, {2, "c"}}},
		{"equal quality: the cheaper", []float64{0.5, 0.5}, []float64{2, 1}, []carrot.Flip{{inf, "b"}}},
		{"equal in all: the first", []float64{0.5, 0.5}, []float64{1, 1}, []carrot.Flip{{inf, "a"}}},
		{"no candidates", nil, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := decision(test.quality, test.cost, 1)
			if diff := cmp.Diff(test.want, d.Flips()); diff != "" {
				t.Errorf("Flips() (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("excluded candidates do not count", func(t *testing.T) {
		d := decision([]float64{0.75, 0.5}, []float64{2, 1}, 1)
		d.Candidates[0].Excluded = "not among the models to choose from"
		if diff := cmp.Diff([]carrot.Flip{{inf, "b"}}, d.Flips()); diff != "" {
			t.Errorf("Flips() (-want +got):\n%s", diff)
		}
	})
}

// Flips says at every willingness to pay what Choose chooses.
func TestFlipsAgreesWithChoose(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	for range 2_000 {
		n := 1 + random.IntN(8)
		quality, cost := make([]float64, n), make([]float64, n)
		for i := range n {
			quality[i] = random.Float64()
			cost[i] = carrot.Dollars(math.Exp(random.NormFloat64()) / 1000).Float()
		}
		d := decision(quality, cost, 1)
		flips := d.Flips()
		for i := 1; i < len(flips); i++ {
			if flips[i].USDPerQuality >= flips[i-1].USDPerQuality {
				t.Fatalf("flips %v do not fall", flips)
			}
		}
		for _, w := range settings() {
			from := flips[0]
			for _, f := range flips {
				if w <= f.USDPerQuality {
					from = f
				}
			}
			if want := d.Candidates[carrot.Choose(quality, cost, w)].Name; from.Model != want {
				t.Fatalf("quality %v, cost %v, w = %v: flips %v say %s, Choose says %s", quality, cost, w, flips, from.Model, want)
			}
		}
	}
}

func TestFallback(t *testing.T) {
	f := func(quality, cost []float64, w float64, excluded string, want ...string) {
		t.Helper()
		d := decision(quality, cost, w)
		for i := range d.Candidates {
			if d.Candidates[i].Name == excluded {
				d.Candidates[i].Excluded = "for a reason"
			}
		}
		if got := d.Fallback(); !slices.Equal(got, want) {
			t.Errorf("quality %v, cost %v, w = %v: %s chosen, Fallback() = %v, want %v", quality, cost, w, d.Model, got, want)
		}
	}
	quality, cost := []float64{0.5, 1, 0.75, 0.25}, []float64{1, 8, 2, 1}
	f(quality, cost, math.Inf(1), "", "c", "a", "d") // b chosen; by falling quality
	f(quality, cost, 0, "", "d", "c", "b")           // a chosen; by rising cost, then the pool's order
	f(quality, cost, 4, "", "c", "d", "b")           // a chosen; utilities .25, -1, .25, 0
	f(quality, cost, 4, "c", "d", "b")
	f([]float64{0.5, 0.75, 0.5}, []float64{1, 2, 1}, 4, "", "c", "b") // all equal: the cheaper first
	f([]float64{0.5}, []float64{1}, 1, "")
}

func TestChosen(t *testing.T) {
	d := decision([]float64{0.5, 0.75}, []float64{1, 2}, math.Inf(1))
	if c := d.Chosen(); c == nil || c.Name != "b" || c.Quality != 0.75 {
		t.Errorf("Chosen() = %+v, want b", c)
	}
	if c := (&carrot.Decision{}).Chosen(); c != nil {
		t.Errorf("Chosen() of a zero decision = %+v, want nil", c)
	}
}

func TestReason(t *testing.T) {
	quality, cost := []float64{0.5, 0.75}, []float64{0.001, 0.025}
	f := func(d carrot.Decision, want string) {
		t.Helper()
		if got := d.Reason(); got != want {
			t.Errorf("Reason() = %q, want %q", got, want)
		}
	}
	f(decision(quality, cost, math.Inf(1)), "b has the best expected quality (0.750)")
	f(decision(quality, cost, 0.5), "b has the best trade-off at $0.500 per unit of quality")
	f(decision(quality, cost, 0.05), "a has the best trade-off at $0.0500 per unit of quality: b would add 0.250 quality for $0.0240 more")
	f(decision(quality, []float64{0, 12}, 0), "a has the least expected cost ($0): b would add 0.250 quality for $12.00 more")
	f(decision([]float64{0.5}, []float64{1}, 1), "a is the only candidate")
	f(decision([]float64{0.5, 0.5}, []float64{2, 1}, 1), "b has the best trade-off at $1.00 per unit of quality")
	f(carrot.Decision{}, "")

	d := decision(quality, cost, math.Inf(1))
	d.Abstained = true
	f(d, "abstained: unlike the training data, so by each model's mean alone: b has the best expected quality (0.750)")
}

// The form carrot.decision/1, which other programs read.
func TestDecisionGolden(t *testing.T) {
	d := carrot.Decision{
		ID: "q-17", Model: "small", Objective: carrot.USDPerQuality(0.01), USDPerQuality: 0.01, Novelty: 0.25,
		Candidates: []carrot.Assessment{
			{
				Name: "large",
				Estimate: carrot.Estimate{
					Quality: 0.875, QualitySE: 0.03125, QualityNoise: 0.25,
					InputTokens: 1200, OutputTokens: 300, OutputTokensP90: 720.5,
					Cost: expected(1200, 300), CostP90: expected(1200, 720.5),
				},
				Utility: 0.275,
			},
			{
				Name:     "small",
				Estimate: carrot.Estimate{Quality: 0.75, InputTokens: 1200, OutputTokens: 250, Cost: carrot.Dollars(0.00033)},
				Utility:  0.717,
			},
			{
				Name:     "short",
				Estimate: carrot.Estimate{Quality: 0.5, InputTokens: 1200, Cost: carrot.Dollars(0.0001)},
				Utility:  0.49,
				Excluded: "the query needs 1200 tokens of context, the model has 1024",
			},
		},
	}
	compact, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Indent(&got, compact, "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	const golden = "testdata/decision.golden.json"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", golden, diff)
	}
}

// An infinite willingness to pay is null, and lists are never null.
func TestDecisionJSONEdges(t *testing.T) {
	f := func(d carrot.Decision, want string) {
		t.Helper()
		got, err := json.Marshal(d)
		if err != nil || string(got) != want {
			t.Errorf("Marshal = %s, %v\nwant %s", got, err, want)
		}
	}
	f(carrot.Decision{}, `{"schema":"carrot.decision/1","id":"","model":"","policy":"balanced","usd_per_quality":0,"reason":"",`+
		`"novelty":0,"abstained":false,"candidates":[],"fallback":[],"flips":[]}`)
	f(decision([]float64{0.5}, []float64{0.25}, math.Inf(1)),
		`{"schema":"carrot.decision/1","id":"","model":"a","policy":"usd-per-quality=+Inf","usd_per_quality":null,"reason":"a is the only candidate",`+
			`"novelty":0,"abstained":false,"candidates":[{"name":"a","quality":0.5,"quality_se":0,"quality_noise":0,`+
			`"input_tokens":0,"output_tokens":0,"output_tokens_p90":0,"cost_usd":0.25,"cost_usd_p90":0,"utility":0.5,"excluded":null}],`+
			`"fallback":[],"flips":[{"usd_per_quality":null,"model":"a"}]}`)
}
