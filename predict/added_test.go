package predict

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
)

// outcomesLike returns outcomes of a model that answers as model j does, with scores that
// are lower and answers that are longer, for every step-th query.
func outcomesLike(d Data, j, step int) (x []carrot.Representation, score, tokens []float64) {
	for i := 0; i < len(d.X); i += step {
		x = append(x, d.X[i])
		score = append(score, max(0, d.Score[i*testModels+j]-0.1))
		tokens = append(tokens, 2*d.OutputTokens[i*testModels+j])
	}
	return x, score, tokens
}

// TestAdd: a model that is like a known one gets its estimates with a shift, the others
// keep theirs, and all of it survives saving, loading, Only and the addition of another.
func TestAdd(t *testing.T) {
	d, _ := world(600, 5)
	for _, text := range conforming {
		t.Run(text, func(t *testing.T) {
			p := fit(t, text, d)
			p, err := p.Correct([]float64{0.01, 0, 0, 0}, []float64{1.1, 1, 1, 1})
			if err != nil {
				t.Fatal(err)
			}
			before := predictAll(t, p, d.X)
			x, score, tokens := outcomesLike(d, 2, 2)
			grown, err := p.Add("new", x, score, tokens)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, predictAll(t, p, d.X)); diff != "" {
				t.Errorf("Add changed the predictor:\n%s", diff)
			}
			after := predictAll(t, grown, d.X)
			var quality, wantQuality, volume, wantVolume float64
			for i := range after {
				if diff := cmp.Diff(before[i].Forecasts, after[i].Forecasts[:testModels]); diff != "" {
					t.Fatalf("query %d: the known models changed:\n%s", i, diff)
				}
				quality += after[i].Forecasts[testModels].Quality / float64(len(after))
				volume += after[i].Forecasts[testModels].OutputTokens / float64(len(after))
			}
			for k := range score {
				wantQuality += score[k] / float64(len(score))
				wantVolume += tokens[k] / float64(len(score))
			}
			if math.Abs(quality-wantQuality) > 0.03 || math.Abs(volume/wantVolume-1) > 0.15 {
				t.Errorf("mean quality %.3f and tokens %.1f, observed %.3f and %.1f", quality, volume, wantQuality, wantVolume)
			}
			if diff := cmp.Diff(after, predictAll(t, loaded(t, saved(t, grown), grown), d.X)); diff != "" {
				t.Errorf("loaded again (-saved +loaded):\n%s", diff)
			}
			names := []string{"new", d.Models[1]}
			small := make([]carrot.Prediction, len(d.X))
			if err := grown.Only(names).Predict(d.X, small); err != nil {
				t.Fatal(err)
			}
			for i := range small {
				if small[i].Forecasts[0] != after[i].Forecasts[testModels] || small[i].Forecasts[1] != after[i].Forecasts[1] {
					t.Fatalf("query %d: Only forecasts %+v, want those of the new model and model 1 in %+v", i, small[i].Forecasts, after[i].Forecasts)
				}
			}
			twice, err := grown.Add("newer", x, score, tokens)
			if err != nil {
				t.Fatal(err)
			}
			for i, prediction := range predictAll(t, loaded(t, saved(t, twice), twice), d.X) {
				newer, old := prediction.Forecasts[testModels+1], after[i].Forecasts[testModels]
				if diff := cmp.Diff(after[i].Forecasts, prediction.Forecasts[:testModels+1]); diff != "" || math.Abs(newer.Quality-old.Quality) > 0.05 {
					t.Fatalf("query %d: after another addition %+v, before %+v", i, prediction.Forecasts, after[i].Forecasts)
				}
			}
		})
	}
}

// TestAddLittle: with few outcomes a new model is taken to be like the mean of the others,
// and its standard error is wide, and narrower with more of them.
func TestAddLittle(t *testing.T) {
	d, _ := world(600, 5)
	p := fit(t, "blend:landmarks=64:buckets=4096", d)
	last := math.Inf(1)
	for _, n := range []int{0, 10, 50, 300} {
		x, score, tokens := outcomesLike(d, 2, 2)
		grown, err := p.Add("new", x[:n], score[:n], tokens[:n])
		if err != nil {
			t.Fatal(err)
		}
		var se float64
		for i, prediction := range predictAll(t, grown, d.X) {
			f := prediction.Forecasts[testModels]
			if se += f.QualitySE / float64(len(d.X)); !(f.OutputTokens > 0 && f.OutputTokensP90 >= f.OutputTokens && f.Quality >= 0 && f.Quality <= 1) {
				t.Fatalf("%d outcomes: query %d: %+v", n, i, f)
			}
		}
		if n == 0 && se < 0.1 || se >= last {
			t.Errorf("%d outcomes: standard error %.3f, with fewer %.3f", n, se, last)
		}
		last = se
	}
}

func TestAddRefuses(t *testing.T) {
	d, _ := world(60, 5)
	p := fit(t, "mean", d)
	for name, add := range map[string]func() (*Predictor, error){
		"a known model":        func() (*Predictor, error) { return p.Add(d.Models[0], nil, nil, nil) },
		"too few tokens":       func() (*Predictor, error) { return p.Add("new", d.X[:2], []float64{1, 1}, []float64{5}) },
		"a score out of range": func() (*Predictor, error) { return p.Add("new", d.X[:1], []float64{1.5}, []float64{5}) },
		"tokens below zero":    func() (*Predictor, error) { return p.Add("new", d.X[:1], []float64{1}, []float64{-5}) },
		"vectors of other size": func() (*Predictor, error) {
			return p.Add("new", make([]carrot.Representation, 1), []float64{1}, []float64{5})
		},
	} {
		if grown, err := add(); err == nil {
			t.Errorf("%s: %v, want an error", name, grown.Models())
		}
	}
	if _, err := New(Spec{Name: "mean"}).Add("new", nil, nil, nil); !errors.Is(err, ErrNotFitted) {
		t.Errorf("not fitted: %v", err)
	}
}
