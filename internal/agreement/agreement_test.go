package agreement

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-7) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func repeat(n int, p Pair) (all []Pair) {
	p.Weight = 1
	for range n {
		all = append(all, p)
	}
	return all
}

func join(lists ...[]Pair) (all []Pair) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// TestKappa has the example with which kappa is usually explained: of 50 proposals, two
// readers accept 20 and reject 15 both, and differ on 5 and 10. They agree on .7 of them,
// would on .5 by chance, and so κ is .4.
func TestKappa(t *testing.T) {
	a := Compare(join(repeat(20, Pair{Judge: 1, Human: 1}), repeat(5, Pair{Judge: 1}), repeat(10, Pair{Human: 1}), repeat(15, Pair{})))
	if a.Confusion != (Confusion{20, 5, 10, 15}) || a.Graded || a.Weighted != nil {
		t.Errorf("%+v", a)
	}
	near(t, "agreement", a.Agreement, 0.7)
	near(t, "kappa", *a.Kappa, 0.4)
	near(t, "mean of the judge", a.MeanJudge, 0.5)
	near(t, "mean of people", a.MeanHuman, 0.6)

	if a := Compare(repeat(3, Pair{Judge: 1, Human: 1})); a.Kappa != nil || a.Agreement != 1 {
		t.Errorf("all accepted: %+v", a)
	}
	// Scores 0, ½, 1 by both, of which one pair is half a step off: the observed squared
	// distance is .25/3; that of independent scores is 1/6 + 1/18 + (1/2 - 2/3)² = 1/4.
	a = Compare([]Pair{{0, 0.5, 1}, {0.5, 0.5, 1}, {1, 1, 1}})
	near(t, "weighted kappa", *a.Weighted, 1-(0.25/3)/0.25)
}

func TestFlips(t *testing.T) {
	var f Flips
	f.Add([]Vote{{true, 1}, {false, 1}})   // the same winner
	f.Add([]Vote{{true, 1}, {false, 0}})   // the first wins twice
	f.Add([]Vote{{true, 0.5}, {false, 0}}) // a tie and a loss
	f.Add([]Vote{{true, 1}, {true, 0}, {false, 1}, {false, 0}})
	f.Add([]Vote{{true, 1}})
	f.Add(nil)
	if f.Pairs != 5 || f.Flipped != 2 || f.Reversed != 1 {
		t.Errorf("%+v", f)
	}
	near(t, "advantage", f.Advantage, (0+1+0.5+0+0)/5)
}

// TestReference compares with scikit-learn, scipy and numpy: testdata/reference.py.
func TestReference(t *testing.T) {
	data, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var reference struct {
		Agreement []struct {
			Judge, Human, Weight []float64
			Kappa, Agreement     float64
			Weighted             float64 `json:"weighted_kappa"`
			Confusion            Confusion
		}
		Powered []struct {
			Judge, Human       []float64
			Lambda             float64
			Powered, Classical []float64
		}
		Alt []struct {
			Rows        []Row
			Epsilon     float64
			P, Wins     []float64
			WinningRate float64 `json:"winning_rate"`
			Advantage   float64
		} `json:"alt_test"`
	}
	if err := json.Unmarshal(data, &reference); err != nil {
		t.Fatal(err)
	}
	for i, r := range reference.Agreement {
		var pairs []Pair
		for k := range r.Judge {
			pairs = append(pairs, Pair{r.Judge[k], r.Human[k], r.Weight[k]})
		}
		a := Compare(pairs)
		near(t, "kappa", *a.Kappa, r.Kappa)
		near(t, "agreement", a.Agreement, r.Agreement)
		if a.Graded != (i >= 2) {
			t.Errorf("case %d: graded %v", i, a.Graded)
		}
		if a.Graded {
			near(t, "weighted kappa", *a.Weighted, r.Weighted)
		} else {
			near(t, "weighted kappa of two levels", r.Weighted, r.Kappa)
		}
		if a.Confusion != r.Confusion {
			t.Errorf("case %d: %+v, want %+v", i, a.Confusion, r.Confusion)
		}
	}
	for _, r := range reference.Powered {
		var pairs []Pair
		for k, human := range r.Human {
			pairs = append(pairs, Pair{r.Judge[k], human, 1})
		}
		p, ok := PoweredMean(r.Judge, pairs)
		c, ok2 := Classical(pairs)
		if !ok || !ok2 {
			t.Fatal("no interval")
		}
		near(t, "lambda", p.Lambda, r.Lambda)
		for k, got := range []float64{p.Mean, p.Low, p.High} {
			near(t, "prediction-powered interval", got, r.Powered[k])
		}
		for k, got := range []float64{c.Mean, c.Low, c.High} {
			near(t, "interval of labels", got, r.Classical[k])
		}
		// Equal weights of any size change nothing.
		for k := range pairs {
			pairs[k].Weight = 3
		}
		if again, _ := PoweredMean(r.Judge, pairs); again.Interval != p.Interval {
			t.Errorf("with equal weights %+v, want %+v", again.Interval, p.Interval)
		}
	}
	for i, r := range reference.Alt {
		a, ok := RunAltTest(r.Rows, r.Epsilon)
		if !ok || len(a.Annotators) != len(r.P) {
			t.Fatalf("case %d: %+v", i, a)
		}
		for k, one := range a.Annotators {
			near(t, "p of "+one.Name, one.P, r.P[k])
			near(t, "wins against "+one.Name, one.Judge, r.Wins[k])
		}
		near(t, "winning rate", a.WinningRate, r.WinningRate)
		near(t, "advantage", a.Advantage, r.Advantage)
	}
}

func TestAltTestNeedsAnnotators(t *testing.T) {
	var rows []Row
	for i := range 40 {
		r := Row{Judge: float64(i % 2), Human: map[string]float64{"a": 1, "b": float64(i % 2)}}
		if i < 29 {
			r.Human["c"] = 0
		}
		rows = append(rows, r)
	}
	if a, ok := RunAltTest(rows, 0.15); ok || len(a.Annotators) != 2 || len(a.Left) != 1 || a.Left[0] != "c" {
		t.Errorf("%+v", a)
	}
	// A judge that always agrees as well as anybody replaces all; its differences have no
	// variance.
	for i := range rows {
		rows[i] = Row{Judge: 1, Human: map[string]float64{"a": 1, "b": 1, "c": 1}}
	}
	if a, ok := RunAltTest(rows, 0.15); !ok || !a.Passes || a.WinningRate != 1 || a.Advantage != 1 {
		t.Errorf("%+v", a)
	}
	if a, ok := RunAltTest(rows, 0); !ok || a.Passes {
		t.Errorf("without a bonus: %+v", a)
	}
}

// TestLabelsToHalve looks at how many labels would halve an interval.
func TestLabelsToHalve(t *testing.T) {
	// Labels 0 and 1 in turn, a judge that always says ½: it does not help, so half the
	// width needs four times the labels, and the added residual makes it a little less.
	scores := make([]float64, 10000)
	var pairs []Pair
	for i := range scores {
		scores[i] = 0.5
		if i < 100 {
			pairs = append(pairs, Pair{0.5, float64(i % 2), 1})
		}
	}
	p, ok := PoweredMean(scores, pairs)
	if !ok || p.Lambda != 0 || p.Halve == nil || *p.Halve < 385 || *p.Halve > 405 {
		t.Fatalf("%+v", p)
	}
	near(t, "half-width with all labels", p.Full, 1.959963984540054*math.Sqrt((9998*0.25*100/99+0.9)/(9998+0.9)/10000))
	// With 300 answers, labels on all of them leave more than half.
	p, ok = PoweredMean(scores[:300], pairs)
	if !ok || p.Halve != nil {
		t.Fatalf("%+v", p)
	}
	if _, ok := PoweredMean(scores, pairs[:19]); ok {
		t.Error("an interval of nineteen labels")
	}
	// A judge that is as good as people: the interval is that of all its scores.
	for i := range scores {
		scores[i] = float64(i % 2)
	}
	for i := range pairs {
		pairs[i].Judge = pairs[i].Human
	}
	p, ok = PoweredMean(scores, pairs)
	if !ok || p.Lambda < 0.98 || p.High-p.Low > 0.05 {
		t.Errorf("%+v", p)
	}
	near(t, "mean", p.Mean, 0.5)
}

func TestClassicalFew(t *testing.T) {
	if _, ok := Classical([]Pair{{1, 1, 1}}); ok {
		t.Error("an interval of one label")
	}
	// Of labels that are all 1, Wilson's interval still has a width.
	if i, ok := Classical(repeat(10, Pair{Judge: 1, Human: 1})); !ok || i.High != 1 || i.Low > 0.8 {
		t.Errorf("%+v", i)
	}
}
