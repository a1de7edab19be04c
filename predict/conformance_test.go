package predict

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/carrot-router/carrot"
)

// The synthetic world: topics are directions in space and words; each model is
// good at some topics and long-winded in others.
const (
	testDim    = 16
	testTopics = 6
	testModels = 4
)

// world draws n queries and their outcomes. truth holds the expected scores.
func world(n int, seed uint64) (d Data, truth []float64) {
	fixed := rand.New(rand.NewPCG(1, 1))
	topics := make([][]float64, testTopics)
	skill, length := make([][]float64, testTopics), make([][]float64, testTopics)
	for k := range topics {
		topics[k], skill[k], length[k] = make([]float64, testDim), make([]float64, testModels), make([]float64, testModels)
		for j := range topics[k] {
			topics[k][j] = fixed.NormFloat64()
		}
		for m := range testModels {
			skill[k][m], length[k][m] = 0.15+0.7*fixed.Float64(), 20+200*fixed.Float64()
		}
	}
	r := rand.New(rand.NewPCG(seed, 2))
	d.Models = []string{"a", "b", "c", "d"}
	for i := range n {
		k := r.IntN(testTopics)
		x := carrot.Representation{Dense: make([]float32, testDim)}
		var norm float64
		for j := range x.Dense {
			v := topics[k][j] + 0.6*r.NormFloat64()
			x.Dense[j] = float32(v)
			norm += v * v
		}
		for j := range x.Dense {
			x.Dense[j] /= float32(math.Sqrt(norm))
		}
		words := map[uint32]bool{}
		for range 12 {
			words[uint32(1000*k+r.IntN(40))*2654435761] = true
		}
		for w := range words {
			x.Sparse.Index = append(x.Sparse.Index, w)
		}
		slices.Sort(x.Sparse.Index)
		for range x.Sparse.Index {
			x.Sparse.Value = append(x.Sparse.Value, 1)
		}
		d.X, d.Hash = append(d.X, x), append(d.Hash, uint64(i)*0x9e3779b97f4a7c15>>7)
		for m := range testModels {
			truth = append(truth, skill[k][m])
			score := 0.0
			if r.Float64() < skill[k][m] {
				score = 1
			}
			d.Score = append(d.Score, score)
			d.OutputTokens = append(d.OutputTokens, math.Round(length[k][m]*math.Exp(0.4*r.NormFloat64())))
		}
	}
	return d, truth
}

// conforming lists specs that fit quickly: hyperparameters are given where a
// search would be slow.
var conforming = []string{
	"mean", "knn", "knn:k=16:k-tokens=8", "ridge", "kernel:landmarks=64", "kernel:gamma=1:noise=5:landmarks=2000",
	"sparse:buckets=4096", "blend:landmarks=64:buckets=4096:caution=0.7", "blend:parts=kernel+sparse+knn+ridge:landmarks=32:alpha=5:buckets=1024",
}

func fit(t *testing.T, text string, d Data) *Predictor {
	t.Helper()
	spec, err := ParseSpec(text)
	if err != nil {
		t.Fatal(err)
	}
	p := New(spec)
	if err := p.Fit(t.Context(), d, nil); err != nil {
		t.Fatalf("Fit(%s): %v", text, err)
	}
	return p
}

func predictAll(t *testing.T, p *Predictor, x []carrot.Representation) []carrot.Prediction {
	t.Helper()
	out := make([]carrot.Prediction, len(x))
	if err := p.Predict(x, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func saved(t *testing.T, p *Predictor) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := p.Write(&out, map[string]string{"note": "kept"}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func loaded(t *testing.T, data []byte, p *Predictor) *Predictor {
	t.Helper()
	file, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if note := file.Metadata()["note"]; note != "kept" {
		t.Errorf("metadata after a round trip = %q, want %q", note, "kept")
	}
	q, err := file.Predictor(p.Spec(), p.Models(), testDim)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// TestConformance holds every predictor to the contract of the package.
func TestConformance(t *testing.T) {
	train, _ := world(400, 10)
	test, _ := world(50, 11)
	for _, text := range conforming {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			p := fit(t, text, train)
			want := predictAll(t, p, test.X)

			t.Run("forecasts make sense", func(t *testing.T) {
				for _, prediction := range want {
					for _, f := range prediction.Forecasts {
						if !(f.Quality >= 0 && f.Quality <= 1 && f.QualitySE > 0 && f.QualityNoise > 0 &&
							f.OutputTokens > 0 && f.OutputTokensP90 >= 0 && !f.Direct) {
							t.Fatalf("forecast %+v", f)
						}
					}
					if !(prediction.Novelty >= 0 && prediction.Novelty <= 1) {
						t.Fatalf("novelty %v", prediction.Novelty)
					}
				}
			})
			t.Run("deterministic", func(t *testing.T) {
				if !bytes.Equal(saved(t, p), saved(t, fit(t, text, train))) {
					t.Error("two fits with one seed differ")
				}
			})
			t.Run("refit forgets", func(t *testing.T) {
				other, _ := world(120, 12)
				q := fit(t, text, other)
				q.spec = New(mustSpec(text)).spec
				if err := q.Fit(t.Context(), train, nil); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(saved(t, p), saved(t, q)) {
					t.Error("a refit remembers what was fitted before")
				}
			})
			t.Run("only some models", func(t *testing.T) {
				only := p.Only([]string{"c", "a"})
				got := make([]carrot.Prediction, len(test.X))
				if err := only.Predict(test.X, got); err != nil {
					t.Fatal(err)
				}
				for i := range got {
					for k, model := range only.Models() {
						if at := slices.Index(p.Models(), model); got[i].Forecasts[k] != want[i].Forecasts[at] || got[i].Novelty != want[i].Novelty {
							t.Fatalf("query %d, model %s: %+v, want %+v", i, model, got[i].Forecasts[k], want[i].Forecasts[at])
						}
					}
				}
				if only == carrot.Predictor(p) {
					t.Error("Only of two models returned the whole predictor")
				}
				part := only.(*Predictor)
				if again := predictAll(t, loaded(t, saved(t, part), part), test.X); !reflect.DeepEqual(again, got) {
					t.Error("a part that was saved and loaded predicts something else")
				}
				if p.Only([]string{"nobody"}) != carrot.Predictor(p) {
					t.Error("Only of an unknown model did not return the predictor itself")
				}
			})
			t.Run("batch equals rows", func(t *testing.T) {
				for i := range test.X {
					if got := predictAll(t, p, test.X[i:i+1]); !reflect.DeepEqual(got[0], want[i]) {
						t.Fatalf("row %d alone = %+v, in a batch %+v", i, got[0], want[i])
					}
				}
			})
			t.Run("save and load give the same bits", func(t *testing.T) {
				data := saved(t, p)
				q := loaded(t, data, p)
				if got := predictAll(t, q, test.X); !reflect.DeepEqual(got, want) {
					t.Error("a loaded predictor predicts differently")
				}
				if !bytes.Equal(saved(t, q), data) {
					t.Error("a loaded predictor saves different bytes")
				}
			})
			t.Run("input untouched", func(t *testing.T) {
				again, _ := world(400, 10)
				if !reflect.DeepEqual(again, train) {
					t.Error("Fit or Predict changed its input")
				}
			})
			t.Run("not finite refused", func(t *testing.T) {
				bad := test.X[0]
				bad.Dense = slices.Clone(bad.Dense)
				bad.Dense[3] = float32(math.NaN())
				err := p.Predict([]carrot.Representation{bad}, make([]carrot.Prediction, 1))
				if err == nil || !strings.Contains(err.Error(), "not finite") {
					t.Errorf("Predict of a NaN vector: %v", err)
				}
			})
			t.Run("concurrent", func(t *testing.T) {
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						out := make([]carrot.Prediction, len(test.X))
						if err := p.Predict(test.X, out); err != nil || !reflect.DeepEqual(out, want) {
							t.Errorf("concurrent predictions differ (%v)", err)
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

func mustSpec(text string) Spec {
	s, err := ParseSpec(text)
	if err != nil {
		panic(err)
	}
	return s
}

// TestMissingOutcomes: a model is fitted on its observed outcomes, and one that
// was observed on easy queries does not look better for it.
func TestMissingOutcomes(t *testing.T) {
	train, _ := world(1200, 20)
	test, testTruth := world(300, 21)
	full := train
	train.Score, train.OutputTokens = slices.Clone(full.Score), slices.Clone(full.OutputTokens)
	r := rand.New(rand.NewPCG(5, 5))
	for i := range train.X {
		if r.Float64() < 0.15 { // any model may be missing
			m := r.IntN(testModels)
			train.Score[i*testModels+m], train.OutputTokens[i*testModels+m] = math.NaN(), math.NaN()
		}
		if i%8 != 0 { // model d was asked one query in eight
			train.Score[i*testModels+3], train.OutputTokens[i*testModels+3] = math.NaN(), math.NaN()
		}
	}
	for _, text := range conforming {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			p := fit(t, text, train)
			var mse [testModels]float64
			for i, prediction := range predictAll(t, p, test.X) {
				for m, f := range prediction.Forecasts {
					d := f.Quality - testTruth[i*testModels+m]
					mse[m] += d * d / 300
				}
			}
			limit := 0.025
			if text == "mean" || text == "knn:k=16:k-tokens=8" { // two neighbours know model d
				limit = 0.08
			}
			for m, e := range mse {
				if e > limit {
					t.Errorf("model %d: mean squared error %.4f of the expected score, want at most %v", m, e, limit)
				}
			}
		})
	}
}

// TestUncertainty: standardised residuals on fresh queries have about unit
// variance, the standard error falls with more data and rises away from it,
// and the 90% quantile holds about 90% of the time.
func TestUncertainty(t *testing.T) {
	small, _ := world(250, 30)
	large, _ := world(2500, 31)
	test, _ := world(1000, 32)
	for _, text := range []string{"knn:k=32:k-tokens=32", "ridge", "kernel", "sparse:buckets=4096", "blend:buckets=4096:caution=1"} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			few, many := predictAll(t, fit(t, text, small), test.X), fit(t, text, large)
			predictions := predictAll(t, many, test.X)
			var z, within, seFew, seMany float64
			for i, p := range predictions {
				for m, f := range p.Forecasts {
					y := test.Score[i*testModels+m]
					z += (y - f.Quality) * (y - f.Quality) / (f.QualitySE*f.QualitySE + f.QualityNoise*f.QualityNoise)
					seMany += f.QualitySE
					seFew += few[i].Forecasts[m].QualitySE
					if test.OutputTokens[i*testModels+m] <= f.OutputTokensP90 {
						within++
					}
				}
			}
			n := float64(len(test.Score))
			if z /= n; z < 0.8 || z > 1.25 {
				t.Errorf("variance of standardised residuals %.3f, want 0.8 to 1.25", z)
			}
			if within /= n; within < 0.87 || within > 0.93 {
				t.Errorf("90%% quantile holds %.1f%% of the time, want 87%% to 93%%", 100*within)
			}
			if strings.HasPrefix(text, "knn") {
				return // its k is given, so its error does not fall
			}
			if seMany >= seFew {
				t.Errorf("mean standard error %.4f with 2,500 queries, %.4f with 250: want it to fall", seMany/n, seFew/n)
			}
			away := carrot.Representation{Dense: make([]float32, testDim), Sparse: carrot.Sparse{Index: []uint32{77777, 123456789, 987654321, 3333333333}, Value: []float32{1, 1, 1, 1}}}
			away.Dense[0] = 1
			for j := range away.Dense { // opposite to the mean of the data
				away.Dense[j] = 0
				for i := range large.X {
					away.Dense[j] -= large.X[i].Dense[j] / float32(len(large.X))
				}
			}
			var norm float64
			for _, v := range away.Dense {
				norm += float64(v * v)
			}
			for j := range away.Dense {
				away.Dense[j] /= float32(math.Sqrt(norm))
			}
			far := predictAll(t, many, []carrot.Representation{away})[0]
			if far.Forecasts[0].QualitySE <= seMany/n {
				t.Errorf("standard error away from the data %.4f, within %.4f: want it to rise", far.Forecasts[0].QualitySE, seMany/n)
			}
			if far.Novelty != 1 || !far.Abstained {
				t.Errorf("novelty %v of words never seen, abstained %v: want 1 and true", far.Novelty, far.Abstained)
			}
		})
	}
}

// TestTemplatedPrompts: if every prompt is made of the same few words, none of
// them is novel; a prompt in other words is.
func TestTemplatedPrompts(t *testing.T) {
	d, _ := world(200, 60)
	template := carrot.Sparse{Index: []uint32{3, 5, 8}, Value: []float32{1, 1, 1}}
	for i := range d.X {
		d.X[i].Sparse = template
	}
	p := fit(t, "knn:k=8", d)
	if got := predictAll(t, p, d.X[:1])[0]; got.Abstained || got.Novelty > 0.5 {
		t.Errorf("the template itself: novelty %v, abstained %v", got.Novelty, got.Abstained)
	}
	other := d.X[0]
	other.Sparse = carrot.Sparse{Index: []uint32{9}, Value: []float32{1}}
	if got := predictAll(t, p, []carrot.Representation{other})[0]; !got.Abstained || got.Novelty != 1 {
		t.Errorf("other words: novelty %v, abstained %v, want 1 and true", got.Novelty, got.Abstained)
	}
}

// TestDirectCosts: a model whose outcomes carry costs and no tokens gets its
// cost forecast directly.
func TestDirectCosts(t *testing.T) {
	train, _ := world(400, 40)
	train.CostUSD = make([]float64, len(train.Score))
	for at := range train.CostUSD {
		train.CostUSD[at] = math.NaN()
		if at%testModels == 1 {
			train.CostUSD[at] = train.OutputTokens[at] * 3e-6
			train.OutputTokens[at] = math.NaN()
		}
	}
	p := fit(t, "blend:landmarks=64:alpha=5:buckets=1024", train)
	var predicted, observed float64
	for i, prediction := range p.OutOfFold().Predictions(0) {
		f := prediction.Forecasts[1]
		if !f.Direct || f.OutputTokens != 0 || !(f.CostUSDP90 >= f.CostUSD*0.5) {
			t.Fatalf("forecast %+v, want a direct cost", f)
		}
		predicted += f.CostUSD
		observed += train.CostUSD[i*testModels+1]
	}
	if r := predicted / observed; r < 0.95 || r > 1.05 {
		t.Errorf("the mean cost forecast is %.3f of the mean observed cost, want 0.95 to 1.05", r)
	}
}

// TestFitErrors: data that cannot be fitted are refused with the reason.
func TestFitErrors(t *testing.T) {
	for _, row := range []struct {
		name string
		edit func(d *Data)
		want string
	}{
		{"no queries", func(d *Data) { d.X = nil }, "no queries"},
		{"wrong size", func(d *Data) { d.Score = d.Score[1:] }, "not 30×4"},
		{"score out of range", func(d *Data) { d.Score[5] = 1.2 }, `model "b": score 1.2`},
		{"negative tokens", func(d *Data) { d.OutputTokens[0] = -1 }, "out of range"},
		{"model without scores", func(d *Data) {
			for i := range d.X {
				d.Score[i*testModels+2] = math.NaN()
			}
		}, `model "c" has no scores`},
		{"not finite", func(d *Data) { d.X[3].Dense[0] = float32(math.Inf(1)) }, "query 3: vector holds a number that is not finite"},
		{"vectors of two lengths", func(d *Data) { d.X[3].Dense = d.X[3].Dense[1:] }, "query 3: dense vector of length 15, want 16"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, _ := world(30, 50)
			row.edit(&d)
			err := New(Spec{Name: "mean"}).Fit(t.Context(), d, nil)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("Fit = %v, want an error with %q", err, row.want)
			}
		})
	}
	if err := New(Spec{Name: "mean"}).Predict(nil, nil); err != ErrNotFitted {
		t.Errorf("Predict before Fit = %v, want ErrNotFitted", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	d, _ := world(100, 50)
	if err := New(Spec{Name: "blend"}).Fit(cancelled, d, nil); err == nil {
		t.Error("Fit with a cancelled context succeeded")
	}
}

// TestSetCaution: after Fit the caution can be changed, with the result of a fit
// that began with it; without out-of-fold predictions it is an error.
func TestSetCaution(t *testing.T) {
	d, _ := world(120, 70)
	p, want := fit(t, "sparse:alpha=5:buckets=1024", d), fit(t, "sparse:alpha=5:buckets=1024:caution=0.5", d)
	if err := p.SetCaution(0.5); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(saved(t, p), saved(t, want)) || p.Spec() != want.Spec() {
		t.Error("SetCaution(0.5) after Fit differs from Fit with a caution of 0.5")
	}
	for _, c := range []float64{-1, 1.5, math.NaN()} {
		if err := p.SetCaution(c); err == nil {
			t.Errorf("SetCaution(%v) succeeded, want an error", c)
		}
		if err := New(Spec{Name: "mean", Caution: c}).Fit(t.Context(), d, nil); err == nil {
			t.Errorf("Fit with a caution of %v succeeded, want an error", c)
		}
	}
	before := saved(t, p)
	q := loaded(t, before, p)
	for name, q := range map[string]*Predictor{"loaded": q, "unfitted": New(mustSpec("sparse"))} {
		if err := q.SetCaution(0.9); !errors.Is(err, ErrNotFitted) {
			t.Errorf("SetCaution of the %s predictor = %v, want ErrNotFitted", name, err)
		}
	}
	if !bytes.Equal(saved(t, q), before) || q.Spec() != p.Spec() {
		t.Error("a SetCaution that failed changed the predictor")
	}
}
