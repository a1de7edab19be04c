package promise_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carrot-router/carrot/internal/promise"
)

// world draws queries on which four candidates, from the cheapest to the dearest, succeed
// with a probability that depends on the query, and confidences in them that are right in
// the mean but noisy.
func world(n int, seed uint64) (order [][]int32, confidence, kept [][]float64) {
	r := rand.New(rand.NewPCG(seed, 7))
	for range n {
		hard := 2 * r.NormFloat64()
		var c, k []float64
		for m := range 4 {
			p := 1 / (1 + math.Exp(hard-float64(m)-r.NormFloat64()))
			c = append(c, 1/(1+math.Exp(hard-float64(m)-2*r.NormFloat64())))
			if k = append(k, 0); r.Float64() < p {
				k[m] = 1
			}
		}
		order, confidence, kept = append(order, []int32{0, 1, 2, 3}), append(confidence, c), append(kept, k)
	}
	return order, confidence, kept
}

// A promise that was calibrated on some queries is kept on others, neither less often than
// stated nor much more often. Confidences taken at their word are broken too often.
func TestCalibrate(t *testing.T) {
	order, confidence, kept := world(4000, 1)
	_, fresh, came := world(40_000, 2)
	share := func(threshold float64) (made, good float64) {
		for i := range fresh {
			for m, c := range fresh[i] {
				if c >= threshold {
					made++
					good += came[i][m]
					break
				}
			}
		}
		return made / float64(len(fresh)), good / made
	}
	for _, stated := range []float64{0.7, 0.8, 0.9, 0.95} {
		r := promise.Calibrate(order, confidence, kept, stated)
		made, good := share(r.Threshold)
		if good < stated-0.01 || good > stated+0.05 {
			t.Errorf("stated %v: kept on %.3f of other queries", stated, good)
		}
		if !r.Binds || math.Abs(made-r.Made) > 0.03 || math.Abs(good-r.Kept) > 0.03 {
			t.Errorf("stated %v: binds %v, made for %.3f and kept on %.3f of the queries, but for %.3f and on %.3f of others", stated, r.Binds, r.Made, r.Kept, made, good)
		}
		if _, naive := share(stated); stated > 0.7 && naive >= stated-0.01 {
			t.Errorf("stated %v: without calibration it is kept on %.3f: this test shows nothing", stated, naive)
		}
		if at := r.Promised(r.Threshold); at < stated-0.002 {
			t.Errorf("stated %v: at its threshold only %v can be promised", stated, at)
		}
		if at := r.Promised(0.5 * r.Threshold); at >= stated {
			t.Errorf("stated %v: at half its threshold %v can be promised", stated, at)
		}
	}
}

func TestCalibrateLimits(t *testing.T) {
	order, confidence, kept := world(400, 3)
	never := promise.Calibrate(order, confidence, kept, 0.9999)
	if !math.IsInf(never.Threshold, 1) || never.Made != 0 || !(never.Most() > 0.9 && never.Most() < 0.9999) {
		t.Errorf("what cannot be promised: %+v, at most %v", never, never.Most())
	}
	easy := promise.Calibrate(order, confidence, kept, 0.01)
	if easy.Binds || easy.Made != 1 {
		t.Errorf("a promise that anybody keeps binds: %+v", easy)
	}
	few := promise.Calibrate(order[:29], confidence[:29], kept[:29], 0.1)
	if !math.IsInf(few.Threshold, 1) || few.Most() != 0 {
		t.Errorf("29 queries are enough: %+v", few)
	}
	for i := range kept {
		kept[i] = []float64{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	}
	if unknown := promise.Calibrate(order, confidence, kept, 0.1); !math.IsInf(unknown.Threshold, 1) {
		t.Errorf("nothing is known, and yet promised: %+v", unknown)
	}
	if none := promise.Calibrate(nil, nil, nil, 0.5); !math.IsInf(none.Threshold, 1) {
		t.Errorf("no query at all: %+v", none)
	}
}

// The coefficients are scikit-learn's: LogisticRegression(C=1/weight, fit_intercept=False,
// tol=1e-12) on the same rows, for a prior of zeros.
func TestFitLogistic(t *testing.T) {
	x := []float64{1, -2, 1, -1, 1, -0.5, 1, 0, 1, 0.5, 1, 1, 1, 2, 1, 3}
	y := []float64{0, 0, 1, 0, 1, 0, 1, 1}
	got := promise.FitLogistic(x, y, promise.Logistic{0, 0}, 2)
	want := []float64{-0.093225732688, 0.566281849507}
	for k := range want {
		if math.Abs(got[k]-want[k]) > 1e-6 {
			t.Errorf("coefficients %v, want %v", got, want)
		}
	}
	prior := promise.Logistic{0.3, 1}
	if got := promise.FitLogistic(nil, nil, prior, 5); got[0] != 0.3 || got[1] != 1 {
		t.Errorf("without outcomes: %v, want the prior %v", got, prior)
	}
	same := promise.FitLogistic([]float64{1, 4, 1, 5}, []float64{1, 1}, prior, 5)
	if p := same.At(1, 5); !(p > 0.99 && p < 1) {
		t.Errorf("outcomes that are all alike give %v", p)
	}
}

func TestRatios(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	var forecast, observed []float64
	draw := func() (f, o float64) {
		f = math.Exp(3 + 4*r.Float64())
		return f, f * math.Exp((2-math.Log(f)/4)*r.NormFloat64()) // short ones scatter more
	}
	for range 6000 {
		f, o := draw()
		forecast, observed = append(forecast, f), append(observed, o)
	}
	forecast, observed = append(forecast, math.NaN(), 5), append(observed, 5, math.NaN())
	ratios := promise.NewRatios(forecast, observed)
	var sum, within float64
	const n = 20_000
	for range n {
		f, o := draw()
		limit := f * math.Exp(r.NormFloat64())
		sum += ratios.Within(f, limit)
		if o <= limit {
			within++
		}
	}
	if math.Abs(sum-within)/n > 0.01 {
		t.Errorf("within the limit %.3f of the time, said %.3f", within/n, sum/n)
	}
	if p := ratios.Within(100, math.Inf(1)); p != 1 {
		t.Errorf("without a limit: %v", p)
	}
	if p := ratios.Within(100, -1); p != 0 {
		t.Errorf("below nothing: %v", p)
	}
	few := promise.NewRatios([]float64{1, 2}, []float64{1, 2})
	if few.Known() || few.Within(1, 100) != 0 {
		t.Error("two volumes are not enough for thirds")
	}
}
