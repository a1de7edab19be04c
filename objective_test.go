package carrot_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
)

func TestParseObjective(t *testing.T) {
	f := func(text string, want carrot.Objective) {
		t.Helper()
		got, err := carrot.ParseObjective(text)
		if err != nil || got != want {
			t.Errorf("ParseObjective(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	f("", carrot.Balanced)
	f("balanced", carrot.Balanced)
	f("quality", carrot.Quality)
	f("cheap", carrot.Cheap)
	f("mu=0.3", carrot.Mu(0.3))
	f("mu=0", carrot.Mu(0))
	f("mu=1", carrot.Mu(1))
	f("usd-per-quality=0.01", carrot.USDPerQuality(0.01))
	f("usd-per-quality=inf", carrot.USDPerQuality(math.Inf(1)))
	f("usd-per-quality=0", carrot.USDPerQuality(0))
	f("budget=2e-3", carrot.Budget(0.002))
	f("target=0.97", carrot.Target(0.97))
	f("balanced, max-cost=0.01@0.9", carrot.Balanced.With(promise("max-cost=0.01@0.9")))
	f("max-cost=0.01,cheap,as-good-as-best@0.8", carrot.Cheap.With(promise("as-good-as-best@0.8"), promise("max-cost=0.01")))
	f("min-quality=1@0.5,max-cost=0.01@0.9", promise("max-cost=0.01@0.9").With(promise("min-quality=1@0.5")))
}

// Promises are written in one order, without zeros that say nothing, and ask for the least
// cost or, if they are of cost alone, for the best quality.
func TestParsePromises(t *testing.T) {
	for text, want := range map[string]struct {
		written string
		worth   float64
	}{
		"min-quality=0.80@.950": {"min-quality=0.8@0.95", 0},
		"as-good-as-best@0.95":  {"as-good-as-best@0.95", 0},
		"max-cost=1e-2":         {"max-cost=0.01", math.Inf(1)},
		"max-cost=0.01@0.9":     {"max-cost=0.01@0.9", math.Inf(1)},
		"max-cost=0.01,as-good-as-best@0.5,min-quality=1@0.5": {"min-quality=1@0.5,as-good-as-best@0.5,max-cost=0.01", 0},
		"max-cost=0.01, usd-per-quality=0.2":                  {"usd-per-quality=0.2,max-cost=0.01", 0.2},
	} {
		o, err := carrot.ParseObjective(text)
		if err != nil {
			t.Fatal(err)
		}
		if w, err := o.Resolve(carrot.Frontier{}); o.String() != want.written || w != want.worth || err != nil {
			t.Errorf("%s is %s, worth %v (%v), want %s, %v", text, o, w, err, want.written, want.worth)
		}
	}
}

// A later promise of a kind replaces an earlier one, and the trade-off stays.
func TestWith(t *testing.T) {
	o := carrot.Mu(0.3).With(promise("max-cost=0.5"), promise("max-cost=0.01@0.9"), carrot.Cheap)
	if got, want := o.String(), "mu=0.3,max-cost=0.01@0.9"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestParseObjectiveErrors(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		o, err := carrot.ParseObjective(text)
		if err == nil {
			t.Errorf("ParseObjective(%q) = %v, want an error", text, o)
			return
		}
		if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), text) {
			t.Errorf("ParseObjective(%q): %q, want it to name the objective and say %q", text, err, want)
		}
	}
	f("mu=1.5", "1.5 is outside [0,1]")
	f("mu=-0.1", "-0.1 is outside [0,1]")
	f("target=97", "97 is outside (0,1]")
	f("target=0", "0 is outside (0,1]")
	f("budget=-1", "-1 is no budget")
	f("budget=0", "0 is no budget")
	f("usd-per-quality=-1", "-1 is no price of quality")
	f("usd-per-quality=1e-13", "want 0 or at least 1e-12")
	f("mu=nan", "with a number")
	f("mu=", "with a number")
	f("mu", "want quality, balanced, cheap, mu=, usd-per-quality=, budget= or target=")
	f("mu=0,3", "with a number")
	f("fastest", "want quality, balanced, cheap")
	f("lambda=3", `unknown "lambda"`)
	f("Quality", "want quality")
	f("budget=1e999", "with a number")
	f("min-quality=0.8", "lacks a probability")
	f("min-quality=8@0.9", "min-quality: the score 8 is outside (0,1]")
	f("min-quality=0.8@95", "min-quality: the probability 95 is outside (0,1)")
	f("min-quality=0.8@1", "min-quality: the probability 1 is outside (0,1)")
	f("min-quality=@0.9", "is not a number above 0")
	f("min-quality=0@0.9", "is not a number above 0")
	f("max-cost=-1", "max-cost: -1 is no cost")
	f("max-cost=inf@0.9", "max-cost: +Inf is no cost")
	f("max-cost=1@0", "is not a number above 0")
	f("max-cost=1@", "is not a number above 0")
	f("as-good-as-best", "want as-good-as-best@0.95")
	f("as-good-as-best=1@0.9", "want as-good-as-best@0.95")
	f("as-good-as-best@-1", "as-good-as-best: the probability -1 is outside (0,1)")
	f("balanced@0.9", "want quality")
	f("cheap,mu=0.3,max-cost=1", "there are two trade-offs")
	f("max-cost=1,max-cost=2", "max-cost is promised twice")
	f("max-cost=1,", "a part is empty")
	f("cheap,fastest", "want quality, balanced, cheap")
}

// What String writes, ParseObjective reads.
func TestObjectiveString(t *testing.T) {
	f := func(o carrot.Objective, want string) {
		t.Helper()
		if got := o.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
		if back, err := carrot.ParseObjective(want); err != nil || back != o {
			t.Errorf("ParseObjective(%q) = %v, %v, want %v", want, back, err, o)
		}
	}
	f(carrot.Quality, "quality")
	f(carrot.Balanced, "balanced")
	f(carrot.Cheap, "cheap")
	f(carrot.Mu(0.3), "mu=0.3")
	f(carrot.USDPerQuality(math.Inf(1)), "usd-per-quality=+Inf")
	f(carrot.USDPerQuality(0.01), "usd-per-quality=0.01")
	f(carrot.Budget(0.002), "budget=0.002")
	f(carrot.Target(0.97), "target=0.97")

	if (carrot.Objective{}) != carrot.Balanced {
		t.Error("the zero objective is not Balanced")
	}
}

// An objective made in Go is checked when it is resolved, as a parsed one is
// when it is parsed.
func TestResolveOutOfRange(t *testing.T) {
	for _, o := range []carrot.Objective{
		carrot.USDPerQuality(-1), carrot.USDPerQuality(1e-13), carrot.USDPerQuality(math.NaN()),
		carrot.Mu(7), carrot.Mu(-0.1), carrot.Mu(math.NaN()),
		carrot.Target(3), carrot.Target(0), carrot.Target(math.NaN()),
		carrot.Budget(0), carrot.Budget(-1), carrot.Budget(math.NaN()),
	} {
		if w, err := o.Resolve(handmade); err == nil || !strings.Contains(err.Error(), o.String()) {
			t.Errorf("%v resolves to %v, %v, want an error that names it", o, w, err)
		}
	}
}

func TestObjectiveText(t *testing.T) {
	type settings struct {
		Objective carrot.Objective  `json:"objective"`
		Other     *carrot.Objective `json:"other"`
	}
	mu := carrot.Mu(0.3)
	text, err := json.Marshal(settings{carrot.Cheap, &mu})
	if want := `{"objective":"cheap","other":"mu=0.3"}`; err != nil || string(text) != want {
		t.Fatalf("Marshal = %s, %v, want %s", text, err, want)
	}
	var back settings
	if err := json.Unmarshal(text, &back); err != nil || back.Objective != carrot.Cheap || *back.Other != mu {
		t.Errorf("Unmarshal(%s) = %+v, %v", text, back, err)
	}
	if err := json.Unmarshal([]byte(`{"objective":"mu=7"}`), &back); err == nil || back.Objective != carrot.Cheap {
		t.Errorf("mu=7 is read as %v, %v, want an error", back.Objective, err)
	}
}

// A frontier reads back equal, the point of +Inf too.
func TestPointJSON(t *testing.T) {
	text, err := json.Marshal(handmade)
	if err != nil {
		t.Fatal(err)
	}
	var back carrot.Frontier
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, handmade) {
		t.Errorf("Unmarshal(%s) = %+v, %v", text, back, err)
	}
}

// Where all settings tie, the cheapest of them is taken, not quality at any
// price.
func TestResolveAllTied(t *testing.T) {
	var tied carrot.Frontier
	for _, w := range []float64{math.Inf(1), 10, 1, 0.1} {
		tied.Points = append(tied.Points, carrot.Point{USDPerQuality: w, CostUSD: 2, Quality: 0.5})
	}
	tied.BestSingle = carrot.Point{CostUSD: 2, Quality: 0.5}
	for _, o := range []carrot.Objective{carrot.Balanced, carrot.Quality, carrot.Cheap, carrot.Budget(3)} {
		if w, err := o.Resolve(tied); err != nil || w != 0.1 {
			t.Errorf("%v resolves to %v, %v, want 0.1", o, w, err)
		}
	}
}

func FuzzParseObjective(f *testing.F) {
	for _, seed := range []string{
		"", "quality", "balanced", "cheap", "mu=0.3", "mu=1.5", "mu=nan", "usd-per-quality=+Inf",
		"usd-per-quality=0x1p-3", "budget=1e-320", "target=-0", "target=0", "=1", "mu==1", "mu=1_0",
		"min-quality=0.8@0.95", "max-cost=1e-12@0.9,cheap", "as-good-as-best@0.5, mu=0.2", "max-cost=1e300", ",@,",
	} {
		f.Add(seed)
	}
	known := carrot.Frontier{
		Points:     []carrot.Point{{USDPerQuality: 1, CostUSD: 0, Quality: 0.5}},
		BestSingle: carrot.Point{CostUSD: 1, Quality: 0.5},
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := carrot.ParseObjective(text)
		if err != nil {
			return
		}
		if back, err := carrot.ParseObjective(o.String()); err != nil || back != o {
			t.Errorf("ParseObjective(%q) = %v, which reads back as %v, %v", text, o, back, err)
		}
		if w, err := o.Resolve(known); err != nil || !(w >= 0) {
			t.Errorf("ParseObjective(%q) resolves to %v, %v, want w >= 0", text, w, err)
		}
	})
}

// handmade is a frontier of four settings. The best single costs 10 and
// reaches .8, so 97% of it is .776.
var handmade = carrot.Frontier{
	Points: []carrot.Point{
		{USDPerQuality: math.Inf(1), CostUSD: 9, Quality: 0.82},
		{USDPerQuality: 30, CostUSD: 6, Quality: 0.80},
		{USDPerQuality: 20, CostUSD: 4, Quality: 0.78},
		{USDPerQuality: 10, CostUSD: 2, Quality: 0.73},
		{USDPerQuality: 1, CostUSD: 1, Quality: 0.50},
	},
	BestSingle: carrot.Point{CostUSD: 10, Quality: 0.8},
}

func TestResolve(t *testing.T) {
	inf := math.Inf(1)
	f := func(o carrot.Objective, want float64) {
		t.Helper()
		got, err := o.Resolve(handmade)
		if err != nil || got != want && math.Abs(got-want) > 1e-15*want {
			t.Errorf("%v resolves to w = %v, %v, want %v", o, got, err, want)
		}
	}
	// The paper's (1-μ)·q - μ·K·c with K = 100 per USD: w = (1-μ)/(μ·K).
	f(carrot.Mu(0), inf)
	f(carrot.Mu(0.5), 0.01)
	f(carrot.Mu(0.2), 0.04)
	f(carrot.Mu(0.9), 1.0/900)
	f(carrot.Mu(1), 0)

	f(carrot.USDPerQuality(0.25), 0.25)
	f(carrot.USDPerQuality(inf), inf)
	f(carrot.USDPerQuality(0), 0)

	// A target takes the cheapest point of enough quality.
	f(carrot.Quality, 30)  // .792
	f(carrot.Balanced, 20) // .776
	f(carrot.Cheap, 10)    // .72
	f(carrot.Target(0.97), 20)
	f(carrot.Target(1), 30)
	f(carrot.Target(0.1), 1)
	f(carrot.Objective{}, 20) // the zero objective is Balanced

	// A budget takes the best point of no more cost.
	f(carrot.Budget(1), 1)
	f(carrot.Budget(3.99), 10)
	f(carrot.Budget(4), 20)
	f(carrot.Budget(inf), inf)
}

// Of points of one cost the better is taken, of points of one quality the
// cheaper.
func TestResolveTies(t *testing.T) {
	frontier := carrot.Frontier{
		Points: []carrot.Point{
			{USDPerQuality: 1, CostUSD: 1, Quality: 0.8},
			{USDPerQuality: 2, CostUSD: 1, Quality: 0.9},
			{USDPerQuality: 3, CostUSD: 2, Quality: 0.9},
		},
		BestSingle: carrot.Point{CostUSD: 2, Quality: 0.8},
	}
	for _, o := range []carrot.Objective{carrot.Target(1), carrot.Budget(5)} {
		if w, err := o.Resolve(frontier); err != nil || w != 2 {
			t.Errorf("%v resolves to w = %v, %v, want 2", o, w, err)
		}
	}
}

// A target out of reach takes the best quality there is.
func TestResolveTargetOutOfReach(t *testing.T) {
	weak := carrot.Frontier{Points: handmade.Points[3:], BestSingle: handmade.BestSingle}
	if w, err := carrot.Quality.Resolve(weak); err != nil || !math.IsInf(w, 1) {
		t.Errorf("quality resolves to w = %v, %v, want +Inf", w, err)
	}
}

func TestResolveErrors(t *testing.T) {
	_, err := carrot.Budget(0.5).Resolve(handmade)
	if !errors.Is(err, carrot.ErrBudget) || !strings.Contains(err.Error(), "cheapest mean cost is $1") {
		t.Errorf("budget=0.5: %v, want ErrBudget naming the cheapest mean cost", err)
	}
	for _, o := range []carrot.Objective{{}, carrot.Quality, carrot.Target(0.5), carrot.Budget(1)} {
		if _, err := o.Resolve(carrot.Frontier{}); !errors.Is(err, carrot.ErrNoFrontier) || !strings.Contains(err.Error(), o.String()) {
			t.Errorf("%v without a frontier: %v, want ErrNoFrontier naming the objective", o, err)
		}
	}
	for _, o := range []carrot.Objective{carrot.Mu(0.3), carrot.USDPerQuality(1)} {
		if _, err := o.Resolve(carrot.Frontier{}); err != nil {
			t.Errorf("%v needs no frontier: %v", o, err)
		}
	}
}
