package rivals

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/carrot-router/carrot"
)

// The synthetic world: topics are directions in space. Every model but the last
// is good at two of them; the last is the most expensive and fair at all of them.
const (
	testDim    = 12
	testTopics = 6
	testModels = 4
)

// world draws n queries and their outcomes, and the chance that each model has
// on each.
func world(n int, seed uint64) (d *Data, truth []float64) {
	fixed := rand.New(rand.NewPCG(1, 1))
	topics := make([][]float64, testTopics)
	for k := range topics {
		topics[k] = make([]float64, testDim)
		for j := range topics[k] {
			topics[k][j] = fixed.NormFloat64()
		}
	}
	r := rand.New(rand.NewPCG(seed, 2))
	d = &Data{Models: []string{"a", "b", "c", "large"}, Seed: 3}
	usd := []float64{1e-6, 1.2e-6, 1.5e-6, 8e-6}
	const in = 100.0
	costs := func(m int, out float64) float64 { return in*usd[m]/4 + out*usd[m] }
	d.PredictedCost = func(_, m int, f *carrot.Forecast) float64 {
		if f.Direct {
			return f.CostUSD
		}
		return costs(m, f.OutputTokens)
	}
	for i := range n {
		k := r.IntN(testTopics)
		x := make([]float32, testDim)
		var norm float64
		for j := range x {
			v := topics[k][j] + 0.5*r.NormFloat64()
			x[j] = float32(v)
			norm += v * v
		}
		for j := range x {
			x[j] /= float32(math.Sqrt(norm))
		}
		d.X, d.Hash = append(d.X, carrot.Representation{Dense: x}), append(d.Hash, uint64(i)*0x9e3779b97f4a7c15>>7)
		for m := range testModels {
			p := 0.25
			switch {
			case m == testModels-1:
				p = 0.65
			case k/2 == m:
				p = 0.9
			}
			score := 0.0
			if r.Float64() < p {
				score = 1
			}
			out := math.Round(200 * math.Exp(0.3*r.NormFloat64()))
			truth = append(truth, p)
			d.Score, d.OutputTokens, d.CostUSD = append(d.Score, score), append(d.OutputTokens, out), append(d.CostUSD, costs(m, out))
		}
	}
	return d, truth
}

// fitted fits a method by its name.
func fitted(t *testing.T, name string, d *Data) *Router {
	t.Helper()
	methods, err := Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := methods[0].Fit(t.Context(), d, nil)
	if err != nil {
		t.Fatalf("Fit(%s): %v", name, err)
	}
	return r
}

func predictions(t *testing.T, r *Router, x []carrot.Representation) []carrot.Prediction {
	t.Helper()
	out := make([]carrot.Prediction, len(x))
	if err := r.Predict(x, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// features replaces the vectors of a rival that reads features of the text.
func features(name string, d *Data) *Data {
	if name != "complexity" {
		return d
	}
	own := *d
	own.X = nil
	for i := range d.X {
		text := "What is 2 + 2?"
		if i%3 == 0 {
			text = "Think step by step and prove that the algorithm of the api endpoint has the latency and throughput of its protocol."
		}
		own.X = append(own.X, carrot.Representation{Dense: complexityOf(text)})
	}
	return &own
}

// TestContract holds every rival to the contract of predictors.
func TestContract(t *testing.T) {
	for _, m := range all {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			train, _ := world(240, 10)
			test, _ := world(40, 11)
			train, test = features(m.Name, train), features(m.Name, test)
			before := fmt.Sprint(train.X, train.Score, train.CostUSD)
			r := fitted(t, m.Name, train)
			want := predictions(t, r, test.X)

			if fmt.Sprint(train.X, train.Score, train.CostUSD) != before {
				t.Error("Fit changed its data")
			}
			for _, p := range want {
				for _, f := range p.Forecasts {
					if math.IsNaN(f.Quality) || f.Quality < 0 || f.Quality > 1 || f.Direct == (f.OutputTokens > 0) || f.Direct && !(f.CostUSD > 0) {
						t.Fatalf("forecast %+v", f)
					}
				}
			}
			if again := predictions(t, fitted(t, m.Name, train), test.X); !reflect.DeepEqual(again, want) {
				t.Error("two fits with one seed differ")
			}
			for i := range test.X {
				if one := predictions(t, r, test.X[i:i+1]); !reflect.DeepEqual(one[0], want[i]) {
					t.Fatalf("row %d alone is predicted differently than in a batch", i)
				}
			}
			var file bytes.Buffer
			if err := r.Save(&file); err != nil {
				t.Fatal(err)
			}
			loaded, err := Load(&file)
			if err != nil {
				t.Fatal(err)
			}
			if got := predictions(t, loaded, test.X); !reflect.DeepEqual(got, want) || loaded.Setting() != r.Setting() {
				t.Error("a saved and loaded router predicts differently")
			}
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					out := make([]carrot.Prediction, len(test.X))
					if err := r.Predict(test.X, out); err != nil || !reflect.DeepEqual(out, want) {
						t.Error("concurrent predictions differ")
					}
				})
			}
			wg.Wait()

			bad := []carrot.Representation{{Dense: slices.Repeat([]float32{float32(math.NaN())}, len(test.X[0].Dense))}}
			if err := r.Predict(bad, make([]carrot.Prediction, 1)); err == nil || !strings.Contains(err.Error(), "query 0: vector holds a number that is not finite") {
				t.Errorf("Predict of NaN = %v", err)
			}
			if err := r.Predict([]carrot.Representation{{Dense: make([]float32, 3)}}, make([]carrot.Prediction, 1)); err == nil || !strings.Contains(err.Error(), "length 3") {
				t.Errorf("Predict of a short vector = %v", err)
			}
		})
	}
}

// TestMissing: outcomes that were not observed are left out and not taken for
// zero. A model that was asked half of the queries is predicted to be as good as
// if it had been asked all of them.
func TestMissing(t *testing.T) {
	for _, m := range all {
		if m.Worth != Quality {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			mean := func(every int) (sum float64) {
				d, _ := world(600, 20)
				d = features(m.Name, d)
				for i := range d.X {
					at := i * testModels // of model a
					d.Score[at] = 0.95
					if i%every != 0 {
						d.Score[at], d.CostUSD[at], d.OutputTokens[at] = math.NaN(), math.NaN(), math.NaN()
					}
				}
				last := Method{Name: m.Name, trials: func(int) []model { all := m.trials(testModels); return all[len(all)-1:] }}
				r, err := last.Fit(t.Context(), d, nil) // one setting, so that the two fits are comparable
				if err != nil {
					t.Fatal(err)
				}
				p := predictions(t, r, d.X)
				for i := range p {
					sum += p[i].Forecasts[0].Quality / float64(len(p))
				}
				return sum
			}
			if whole, half := mean(1), mean(2); math.Abs(whole-half) > 0.1 || half < 0.6 {
				t.Errorf("mean quality %.3f for a model that was asked half of the queries, %.3f if it was asked all", half, whole)
			}
		})
	}
}

// TestSucceeds: on a problem that is easy to route, every rival that learns from
// the query covers most of the way from the best fixed choice to the router that
// knows each model's chance on each query.
func TestSucceeds(t *testing.T) {
	train, _ := world(1500, 30)
	test, truth := world(1000, 31)
	if err := test.prepare(); err != nil {
		t.Fatal(err)
	}
	rows := make([]int, len(test.X))
	for i := range rows {
		rows[i] = i
	}
	fixed, knowing := judged{rows: rows}, judged{rows: rows, worth: truth}
	for range rows {
		fixed.worth, fixed.cost = append(fixed.worth, test.meanScore...), append(fixed.cost, test.meanCost...)
	}
	knowing.cost = fixed.cost
	low, high := fixed.aiq(test), knowing.aiq(test)
	if high-low < 0.1 {
		t.Fatalf("AIQ %.3f of a fixed choice, %.3f of knowing the chances: nothing to learn", low, high)
	}
	for _, m := range all {
		switch m.Name {
		case "random", "cheapest", "complexity":
			continue // see the tests below
		}
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			own := *train
			var out judged
			if err := out.add(test, fitted(t, m.Name, &own), rows); err != nil {
				t.Fatal(err)
			}
			if share := (out.aiq(test) - low) / (high - low); share < 0.7 {
				t.Errorf("AIQ %.3f covers %.0f%% of the way from %.3f to %.3f, want 70%%", out.aiq(test), 100*share, low, high)
			}
		})
	}
}

// TestRandomAndCheapest: at any price of quality random takes all models equally
// often, at a tiny one the cheapest, which cheapest always takes.
func TestRandomAndCheapest(t *testing.T) {
	d, _ := world(2000, 40)
	count := func(name string, w float64) (shares [testModels]float64) {
		for _, p := range predictions(t, fitted(t, name, d), d.X) {
			var q, c [testModels]float64
			for m, f := range p.Forecasts {
				q[m], c[m] = f.Quality, f.CostUSD
			}
			shares[carrot.Choose(q[:], c[:], w)] += 1. / 2000
		}
		return shares
	}
	for m, share := range count("random", math.Inf(1)) {
		if math.Abs(share-0.25) > 0.04 {
			t.Errorf("random takes model %d for %.3f of the queries, want a quarter", m, share)
		}
	}
	if got := count("random", 1e-9); got[0] < 0.9999 {
		t.Errorf("random at a tiny price of quality takes %v, want the cheapest", got)
	}
	if got := count("cheapest", math.Inf(1)); got[0] < 0.9999 {
		t.Errorf("cheapest takes %v, want the cheapest", got)
	}
}

// TestComplexity: tiers separate hard texts from easy ones if the hard ones use
// the listed words.
func TestComplexity(t *testing.T) {
	d, _ := world(300, 50)
	d = features("complexity", d)
	for i := range d.X {
		for m := range testModels {
			d.Score[i*testModels+m] = 1
			if i%3 == 0 && m < testModels-1 {
				d.Score[i*testModels+m] = 0 // only the most expensive model solves the hard ones
			}
		}
	}
	for i, p := range predictions(t, fitted(t, "complexity", d), d.X[:6]) {
		if easy, hard := p.Forecasts[0].Quality, i%3 == 0; (easy > 0.5) == hard || p.Forecasts[testModels-1].Quality < 0.9 {
			t.Errorf("query %d, hard %v: forecasts %+v", i, hard, p.Forecasts)
		}
	}
	f := func(text string, want ...float32) {
		t.Helper()
		if got := complexityOf(text); !slices.Equal(got, want) {
			t.Errorf("features of %q = %v, want %v", text, got, want)
		}
	}
	f("", -1, 0, 0, 0, 0, 0, 0)
	f("What is 2 + 2?", -1, 0, 0, 0, -1, 0, 0)
	f("Refactor this function", -1, 1, 0, 0, 0, 0, 0)
	f("Classy functionality", -1, 0, 0, 0, 0, 0, 0) // not whole words
	f("First do this, then prove that. Really? Why? How? When? And infer why.", 0, 0, 1, 0, 0, 0.5, 0.5)
}

// TestAbstains: if fewer neighbours than the floor agree about the best model,
// the router falls back to each model's mean.
func TestAbstains(t *testing.T) {
	d, _ := world(200, 60)
	if err := d.prepare(); err != nil {
		t.Fatal(err)
	}
	for _, floor := range []float64{0, 1} {
		a := &abstainer{BenchKNN{K: 20}, floor}
		if err := a.fit(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		out := make([]carrot.Forecast, testModels)
		abstained := a.forecast(&carrot.Representation{Dense: make([]float32, testDim)}, &workspace{}, out)
		if abstained != (floor == 1) {
			t.Errorf("floor %v: abstained %v", floor, abstained)
		}
		for m := range out {
			if abstained && out[m].Quality != d.meanScore[m] {
				t.Errorf("abstained with quality %v of model %d, want its mean %v", out[m].Quality, m, d.meanScore[m])
			}
		}
	}
}

// TestUniRouteNewModel: a model added with a few hundred outcomes is routed to
// where it is good, without refitting the others.
func TestUniRouteNewModel(t *testing.T) {
	d, _ := world(2000, 70)
	for i := range d.X {
		if i >= 300 { // model b was added late
			at := i*testModels + 1
			d.Score[at], d.CostUSD[at], d.OutputTokens[at] = math.NaN(), math.NaN(), math.NaN()
		}
	}
	test, truth := world(300, 71)
	right := 0
	for i, p := range predictions(t, fitted(t, "uniroute", d), test.X) {
		if (p.Forecasts[1].Quality > 0.6) == (truth[i*testModels+1] > 0.6) {
			right++
		}
	}
	if right < 270 {
		t.Errorf("the new model is predicted right on %d of 300 queries, want 270", right)
	}
}

// TestBradleyTerry: ratings recover the chances that the wins were made from; for
// two models, these are the weighted mean of wins.
func TestBradleyTerry(t *testing.T) {
	chance := func(s []float32, a, b int) float64 { return float64(sigmoid(s[a] - s[b])) }
	two, rating := make([]float32, 2), make([]float64, 2)
	bradleyTerry([]float32{3, 1}, two, rating)
	if got := chance(two, 0, 1); math.Abs(got-0.75) > 1e-5 {
		t.Errorf("3 wins of 4 give a chance of %v", got)
	}
	truth := []float64{0.3, -0.2, 1.1}
	var wins []float32
	for a := range truth {
		for b := range truth {
			if a != b {
				wins = append(wins, float32(100/(1+math.Exp(truth[b]-truth[a]))))
			}
		}
	}
	three := make([]float32, 3)
	bradleyTerry(wins, three, make([]float64, 3))
	for a := range truth {
		if got, want := float64(three[a]-three[0]), truth[a]-truth[0]; math.Abs(got-want) > 1e-3 {
			t.Errorf("strength %d = %v above the first, want %v", a, got, want)
		}
	}
}

// TestCascade: the cost and score of a plan under a judge that errs are those
// worked out by hand. With a perfect judge, the setting of the highest quality
// beats the most expensive model alone, at less than twice its cost.
func TestCascade(t *testing.T) {
	c := &Cascade{Accuracy: 0.9}
	usd, quality := c.judge().Expect([]int{0, 1}, []float64{0, 1}, []float64{1, 10})
	// The wrong answer is accepted with probability .1; otherwise the second model is asked.
	if want := 1 + 0.9*10; math.Abs(usd-want) > 1e-12 || math.Abs(quality-0.9) > 1e-12 {
		t.Errorf("cost %v and score %v, want %v and 0.9", usd, quality, want)
	}
	d, _ := world(500, 80)
	perfect := &Cascade{Accuracy: 1}
	if err := perfect.Fit(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	var cost, score, aloneCost, aloneScore float64
	for i := range d.X {
		steps, err := perfect.Steps(d.Score[i*testModels:][:testModels], d.CostUSD[i*testModels:][:testModels])
		if err != nil {
			t.Fatal(err)
		}
		cost, score = cost+steps[0].Cost, score+steps[0].Quality
		aloneCost, aloneScore = aloneCost+d.CostUSD[i*testModels+3], aloneScore+d.Score[i*testModels+3]
	}
	if score <= aloneScore || cost >= 2*aloneCost {
		t.Errorf("a perfect judge reaches %v at a cost of %v, the most expensive model alone %v at %v", score, cost, aloneScore, aloneCost)
	}
	var file bytes.Buffer
	var loaded Cascade
	if err := errors.Join(perfect.Save(&file), loaded.Load(&file)); err != nil || !reflect.DeepEqual(loaded, *perfect) {
		t.Errorf("a saved and loaded cascade differs (%v)", err)
	}
	if _, err := (&Cascade{}).Steps(nil, nil); !errors.Is(err, ErrNotFitted) {
		t.Errorf("Steps before Fit = %v, want ErrNotFitted", err)
	}
}

// testDamaged cuts a saved rival everywhere and changes each of its bytes; those that
// are read in spite of it, with a checksum that fits, must not cause a panic.
func testDamaged(t *testing.T, d *Data) {
	var file bytes.Buffer
	if err := fitted(t, "uniroute", d).Save(&file); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	for n := range whole {
		if _, err := Load(bytes.NewReader(whole[:n])); err == nil {
			t.Fatalf("the first %d of %d bytes are loaded", n, len(whole))
		}
	}
	for i := range whole {
		damaged := slices.Clone(whole)
		damaged[i] ^= 0xff
		if _, err := Load(bytes.NewReader(damaged)); !errors.Is(err, errDamaged) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		content := damaged[:len(damaged)-crc32.Size]
		Load(bytes.NewReader(order.AppendUint32(slices.Clone(content), crc32.ChecksumIEEE(content))))
	}
}

func TestErrors(t *testing.T) {
	if _, err := Parse("rorf,nobody"); err == nil || !strings.Contains(err.Error(), `unknown rival "nobody": want all, fast or some of random, cheapest, `) {
		t.Errorf("Parse = %v", err)
	}
	if err := (&Router{}).Predict(nil, nil); !errors.Is(err, ErrNotFitted) {
		t.Errorf("Predict before Fit = %v", err)
	}
	if err := (&Router{}).Save(nil); !errors.Is(err, ErrNotFitted) {
		t.Errorf("Save before Fit = %v", err)
	}
	d, _ := world(30, 90)
	testDamaged(t, d)
	for i := range d.X {
		d.Score[i*testModels+2] = math.NaN()
	}
	methods, _ := Parse("routerbench-knn")
	if _, err := methods[0].Fit(t.Context(), d, nil); err == nil || !strings.Contains(err.Error(), `model "c" has no scores`) {
		t.Errorf("Fit without scores of a model = %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	d, _ = world(60, 91)
	for _, m := range all {
		own := *features(m.Name, d)
		if _, err := m.Fit(cancelled, &own, nil); len(m.trials(2)) > 1 && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Fit with a cancelled context = %v", m.Name, err)
		}
	}
}

// mostTrials is the number of settings that a method may try.
const mostTrials = 8

// TestBudget: no method tries more settings than the others may, and all settings
// have different names.
func TestBudget(t *testing.T) {
	for _, m := range all {
		seen := map[string]bool{}
		for _, trial := range m.trials(3) {
			if s := trial.String(); seen[s] {
				t.Errorf("%s: setting %s is tried twice", m.Name, s)
			} else {
				seen[s] = true
			}
		}
		if len(seen) > mostTrials {
			t.Errorf("%s tries %d settings, the budget is %d", m.Name, len(seen), mostTrials)
		}
	}
}

// TestPerCall: where a call costs the same whatever its tokens, settings are
// compared at that cost.
func TestPerCall(t *testing.T) {
	d, _ := world(600, 95)
	perCall := []float64{0, 0, 0, 1}
	d.PredictedCost = func(_, j int, _ *carrot.Forecast) float64 { return perCall[j] }
	for i := range d.CostUSD {
		d.CostUSD[i] = perCall[i%testModels]
	}
	var out judged
	if err := out.add(d, fitted(t, "carrot-knn", d), []int{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	for k := range out.rows {
		if costs := out.cost[k*testModels:][:testModels]; !slices.Equal(costs, perCall) {
			t.Errorf("row %d: costs %v, want %v", k, costs, perCall)
		}
	}
	if d.forecastsCosts() {
		t.Error("costs are forecast, want tokens")
	}
}
