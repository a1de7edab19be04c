package theory

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func generator(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// TestMargin checks P(gap <= t) = (t/A)^α on every scenario's problem, and with
// more models and other dimensions.
func TestMargin(t *testing.T) {
	problems := []Problem{
		{Dim: 1, Smoothness: 0.5, CostSmoothness: 0.5, Margin: 2, Models: 2},
		{Dim: 3, Smoothness: 0.4, CostSmoothness: 1, Margin: 0.7, Models: 7},
		{Dim: 3, Smoothness: 1, CostSmoothness: 0.3, Margin: 1, Models: 5},
	}
	for _, s := range Scenarios() {
		problems = append(problems, s.Problem)
	}
	const n = 40000
	rng := generator(3)
	for _, p := range problems {
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		x := make([]float64, p.Dim)
		gaps := make([]float64, n)
		for i := range gaps {
			for j := range x {
				x[j] = rng.Float64()
			}
			gaps[i] = p.Gap(x)
		}
		slices.Sort(gaps)
		var worst float64 // Kolmogorov-Smirnov
		for i, gap := range gaps {
			want := math.Pow(min(gap/spread, 1), p.Margin)
			worst = max(worst, math.Abs(want-(float64(i)+0.5)/n))
		}
		if worst > 1.95/math.Sqrt(n) { // exceeded by chance once in a thousand
			t.Errorf("%+v: gaps differ from (t/A)^α by %.4f", p, worst)
		}
	}
}

// TestSmoothness checks |f(x)-f(y)| <= C·|x-y|^γ at ever smaller distances, and
// that functions are not much smoother than stated.
func TestSmoothness(t *testing.T) {
	rng := generator(4)
	for _, p := range []Problem{
		{Dim: 2, Smoothness: 1, CostSmoothness: 1, Margin: 1, Models: 3},
		{Dim: 2, Smoothness: 0.5, CostSmoothness: 0.5, Margin: 1, Models: 3},
		{Dim: 2, Smoothness: 0.5, CostSmoothness: 0.5, Margin: 2, Models: 3},
		{Dim: 2, Smoothness: 1, CostSmoothness: 0.5, Margin: 1, Models: 3},
		{Dim: 2, Smoothness: 0.5, CostSmoothness: 1, Margin: 1, Models: 3},
	} {
		a, b := p.vectors(), p.vectors()
		for metric, gamma := range []float64{p.Smoothness, p.CostSmoothness} {
			unit := []float64{1, USDPerQuality}[metric]
			var constants []float64
			for e := 4; e <= 12; e++ {
				distance := math.Exp2(-float64(e))
				var worst float64
				for range 4000 {
					x := []float64{rng.Float64(), rng.Float64()}
					angle := 2 * math.Pi * rng.Float64()
					y := []float64{x[0] + distance*math.Cos(angle), x[1] + distance*math.Sin(angle)}
					p.Means(x, a[quality], a[cost])
					p.Means(y, b[quality], b[cost])
					for m := range p.Models {
						worst = max(worst, math.Abs(a[metric][m]-b[metric][m])/unit)
					}
				}
				constants = append(constants, worst/math.Pow(distance, gamma))
			}
			if top := slices.Max(constants); top > 4 {
				t.Errorf("%+v, metric %d: Hölder constants %.3g", p, metric, constants)
			}
			if last := constants[len(constants)-1]; last < 0.1 {
				t.Errorf("%+v, metric %d: smoother than stated: Hölder constants %.3g", p, metric, constants)
			}
		}
	}
}

func TestMeansAreQualitiesAndCosts(t *testing.T) {
	rng := generator(5)
	for _, s := range Scenarios() {
		v := s.vectors()
		x := make([]float64, s.Dim)
		for range 1000 {
			for j := range x {
				x[j] = rng.Float64()
			}
			s.Means(x, v[quality], v[cost])
			for m, q := range v[quality] {
				if q < 0 || q > 1 || v[cost][m] < 0 {
					t.Fatalf("%s: quality %v, cost %v", s.Name, q, v[cost][m])
				}
			}
		}
	}
}

func TestExponent(t *testing.T) {
	f := func(d int, quality, cost, alpha float64, known bool, want float64) {
		t.Helper()
		p := Problem{Dim: d, Smoothness: quality, CostSmoothness: cost, Margin: alpha}
		if got := p.Exponent(known); math.Abs(got-want) > 1e-12 {
			t.Errorf("Exponent of %+v, known %v = %v, want %v", p, known, got, want)
		}
	}
	f(1, 1, 1, 1, true, 2./3)
	f(2, 1, 1, 1, true, 0.5)
	f(2, 0.5, 0.5, 2, true, 0.5)
	f(2, 1, 0.5, 1, true, 0.5)
	f(2, 1, 0.5, 1, false, 1./3)
	f(2, 0.5, 1, 1, false, 1./3)
}

func TestValidate(t *testing.T) {
	good := Problem{Dim: 2, Smoothness: 1, CostSmoothness: 1, Margin: 1, Noise: 0.1, Models: 2}
	f := func(want string, change func(*Scenario)) {
		t.Helper()
		s := Scenario{Name: "mine", Problem: good, Seen: 1}
		change(&s)
		_, err := Run(t.Context(), Config{Quick: true, Scenarios: []Scenario{s}})
		if err == nil || !strings.HasPrefix(err.Error(), `scenario "mine": `+want) {
			t.Errorf("Run of %+v: %v, want %s", s, err, want)
		}
	}
	f("dim 0", func(s *Scenario) { s.Dim = 0 })
	f("models 1", func(s *Scenario) { s.Models = 1 })
	f("smoothness NaN", func(s *Scenario) { s.Smoothness = math.NaN() })
	f("cost smoothness 2", func(s *Scenario) { s.CostSmoothness = 2 })
	f("smoothness 1 with margin 2: their product", func(s *Scenario) { s.Margin = 2 })
	f("margin 0", func(s *Scenario) { s.Margin = 0 })
	f("noise -1", func(s *Scenario) { s.Noise = -1 })
	f("seen 0", func(s *Scenario) { s.Seen = 0 })
}

// TestNearest compares the selection with sorting, also for equal distances.
func TestNearest(t *testing.T) {
	rng := generator(6)
	for n := 1; n < 200; n += 7 {
		all := make([]neighbour, n)
		for i := range all {
			all[i] = neighbour{float64(rng.IntN(n)), int32(i)}
		}
		want := slices.Clone(all)
		slices.SortFunc(want, neighbour.compare)
		for _, k := range []int{n, n/2 + 1, n/5 + 1, 1} {
			got := slices.Clone(nearest(all, k))
			slices.SortFunc(got, neighbour.compare)
			if !slices.Equal(got, want[:k]) {
				t.Fatalf("nearest %d of %d = %v, want %v", k, n, got, want[:k])
			}
		}
	}
}

// TestOracle: estimates without error choose as the oracle does, and no choice is
// better than the oracle's.
func TestOracle(t *testing.T) {
	rng := generator(7)
	for _, s := range Scenarios() {
		s.Noise = 0
		train := s.draw(300, 1, rng)
		estimator := newSmoother(&s, train)
		truth := s.vectors()
		for row := range 50 { // on a training query, one neighbour is exact
			x := train.x[row*s.Dim:][:s.Dim]
			s.Means(x, truth[quality], truth[cost])
			for i := range metrics {
				estimator.k[KNNFew][i] = 1
			}
			estimator.ks = []int{300, 60, 1}
			var lost [methods]float64
			estimator.excess(x, truth, &lost)
			if lost[KNNFew] != 0 {
				t.Errorf("%s: the choice by true utilities loses %v", s.Name, lost[KNNFew])
			}
			for m, l := range lost {
				if l < 0 {
					t.Errorf("%s: %s beats the oracle by %v", s.Name, Method(m), -l)
				}
			}
		}
	}
}

func TestSlope(t *testing.T) {
	sizes := []int{100, 200, 400, 800}
	risk := make([]float64, len(sizes))
	for i, n := range sizes {
		risk[i] = 3 * math.Pow(float64(n), -0.4)
	}
	if got := slope(sizes, risk); math.Abs(got+0.4) > 1e-12 {
		t.Errorf("slope = %v, want -0.4", got)
	}
	risk[2] = 0
	if got := slope(sizes, risk); math.Abs(got+0.4) > 1e-12 {
		t.Errorf("slope without one size = %v, want -0.4", got)
	}
	if got := slope(sizes, make([]float64, 4)); !math.IsNaN(got) {
		t.Errorf("slope of zeros = %v, want NaN", got)
	}
}

// TestBootstrapCovers checks intervals on lines of known slope and noise.
func TestBootstrapCovers(t *testing.T) {
	rng := generator(8)
	sizes := []int{128, 256, 512, 1024, 2048}
	const trials = 200
	covered := 0
	for range trials {
		risks := make([][]float64, len(sizes))
		for i, n := range sizes {
			for range 24 {
				risks[i] = append(risks[i], math.Pow(float64(n), -0.5)*(1+0.3*rng.NormFloat64()))
			}
		}
		if ci := bootstrap(sizes, risks, 400, rng); ci[0] <= -0.5 && -0.5 <= ci[1] {
			covered++
		}
	}
	if covered < 178 || covered == trials { // 95% of 200 is 190, standard deviation 3
		t.Errorf("%d of %d intervals of 95%% contain the slope", covered, trials)
	}
}

// TestSlopes runs all scenarios at the quick effort.
func TestSlopes(t *testing.T) {
	r := quick(t, 0)
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		for _, c := range s.Methods {
			for j, risk := range c.Risk {
				if !(risk >= 0) || risk > spread {
					t.Errorf("%s, %s: risk %v at n = %d", s.Name, c.Method, risk, r.Sizes[j])
				}
			}
			if c.Interval[0] > c.Slope || c.Interval[1] < c.Slope {
				t.Errorf("%s, %s: slope %v outside %v", s.Name, c.Method, c.Slope, c.Interval)
			}
		}
		if s.BestSingle < 0.05 || s.Hindsight < 0.03 {
			t.Errorf("%s: best single %v, hindsight %v", s.Name, s.BestSingle, s.Hindsight)
		}
	}
	within := func(scenario string, m Method, low, high float64) {
		t.Helper()
		if c := find(t, r, scenario, m); c.Slope < low || c.Slope > high {
			t.Errorf("%s, %s: slope %.3f, want within [%v, %v]", scenario, m, c.Slope, low, high)
		}
	}
	within("plane", KNN, -1, -0.35)
	within("plane", Kernel, -1, -0.35)
	within("plane", KNNFew, -0.2, 0.2)
	within("noisy", KNN, -1, -0.3)
	within("four-dim", KNN, -0.75, -0.15)
	within("eight-dim", KNN, -0.45, -0.05)
	// At n = 1024, noise alone is most of the risk of the right k in the plane.
	c := find(t, r, "plane", KNN)
	if ratio := c.Risk[3] / c.NoiseAlone[3]; ratio < 0.6 || ratio > 2.5 {
		t.Errorf("plane: the ratio of risk to that of noise alone is %.2f, want 0.6 to 2.5", ratio)
	}
}

func TestDeterministic(t *testing.T) {
	text := func(seed uint64, processors int) []byte {
		t.Helper()
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		data, err := json.Marshal(quick(t, seed, "line", "cost-estimated"))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if one, many := text(1, 1), text(1, 4); !bytes.Equal(one, many) {
		t.Errorf("the same seed on another number of processors: %s", cmp.Diff(string(one), string(many)))
	}
	if bytes.Equal(text(1, 2), text(2, 2)) {
		t.Error("another seed gives the same report")
	}
}

func TestRunCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, Config{Quick: true, Progress: func(int, int) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want %v", err, context.Canceled)
	}
}

func TestWriteSVG(t *testing.T) {
	r := quick(t, 0, "plane", "shift")
	var b bytes.Buffer
	if err := r.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"prefers-color-scheme:dark", ">plane<", "γ = 1, α = 1, no promise<", ">knn, k = n/5<", "theory, right k"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
	if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
		t.Error("the picture has a coordinate that is not a number")
	}
}

// quick runs the named scenarios, or all, at the quick effort.
func quick(t *testing.T, seed uint64, names ...string) *Report {
	t.Helper()
	settings := []Setting{{2, 1, 1}}
	var some []Scenario
	for _, s := range Scenarios() {
		if len(names) == 0 || slices.Contains(names, s.Name) {
			some = append(some, s)
		}
	}
	r, err := Run(t.Context(), Config{Seed: seed, Quick: true, Scenarios: some, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func find(t *testing.T, r *Report, scenario string, m Method) *Curve {
	t.Helper()
	for i := range r.Scenarios {
		if r.Scenarios[i].Name != scenario {
			continue
		}
		for j := range r.Scenarios[i].Methods {
			if c := &r.Scenarios[i].Methods[j]; c.Method == m {
				return c
			}
		}
	}
	t.Fatalf("no %s in %s", m, scenario)
	return nil
}
