package theory

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
)

var allSizes = (&Config{}).effort().lower.sizes

// TestFamilyBelongsToItsClass checks, at every size, what the comment of Setting
// claims: one Hölder constant, one constant of the margin, bumps that do not
// overlap, and queries only where heights are full.
func TestFamilyBelongsToItsClass(t *testing.T) {
	rng := generator(11)
	for _, s := range Settings() {
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, n := range allSizes {
			m := s.member(n)
			wide, narrow := m.draw(rng)
			if d := math.Abs(float64(len(narrow)) - m.bumps); d >= 1 {
				t.Errorf("%v, n = %d: %d narrow bumps, want %.2f, rounded", s, n, len(narrow), m.bumps)
			}
			// P(gap <= height of narrow bumps) against height^α.
			if c := float64(len(narrow)) * m.each / math.Pow(m.height, s.Margin); c > 2*baseShare/math.Pow(baseHeight, s.Margin) {
				t.Errorf("%v, n = %d: margin constant %v", s, n, c)
			}
			if count := m.each * float64(n) / float64(m.k); math.Abs(count-2) > 0.1 {
				t.Errorf("%v, n = %d: %.2f times k queries on a bump, want 2", s, n, count)
			}
			all := slices.Concat(wide, narrow)
			x, y := make([]float64, s.Dim), make([]float64, s.Dim)
			for i, b := range all {
				for range 20 {
					b.query(x, rng)
					if got := b.at(x); math.Abs(got-b.height) > 1e-9 {
						t.Fatalf("%v, n = %d: a query where the gap is %v, want %v", s, n, got, b.height)
					}
					for j := range all {
						if other := all[j].at(x); j != i && other != 0 {
							t.Fatalf("%v, n = %d: bump %d has %v on bump %d", s, n, j, other, i)
						}
					}
					// Hölder, from inside the bump to its foot.
					square := 0.0
					for j := range y {
						y[j] = b.centre[j] + b.width*(rng.Float64()-0.5)*1.2
						square += (x[j] - y[j]) * (x[j] - y[j])
					}
					bound := math.Pow(4, s.Smoothness) * max(baseHeight/math.Pow(baseWidth, s.Smoothness), wideHeight/math.Pow(wideWidth, s.Smoothness))
					if got := math.Abs(b.at(x)-b.at(y)) / math.Pow(square, s.Smoothness/2); got > bound*(1+1e-9) {
						t.Fatalf("%v, n = %d: Hölder constant %v, want at most %v", s, n, got, bound)
					}
				}
			}
		}
	}
}

// TestLeastRiskHasTheExponent: the bound below every rule falls at the minimax
// rate.
func TestLeastRiskHasTheExponent(t *testing.T) {
	for _, s := range Settings() {
		var risk []float64
		for _, n := range allSizes {
			m := s.member(n)
			risk = append(risk, m.leastRisk())
		}
		if got := slope(allSizes, risk); math.Abs(got+s.Exponent()) > 0.01 {
			t.Errorf("%v: slope of the bound %.3f, want %.3f", s, got, -s.Exponent())
		}
	}
}

// TestRightKAgainstFormula: with all k neighbours on the bump, the plug-in rule
// errs with probability Φ(-height·√k/(2σ)), and no rule beats the bound.
func TestRightKAgainstFormula(t *testing.T) {
	for _, s := range []Setting{{1, 1, 1}, {3, 0.5, 2}} {
		m := s.member(512)
		want := m.share() * m.height * math.Erfc(m.height*math.Sqrt(float64(m.k))/(2*bumpNoise)/math.Sqrt2) / 2
		rng := generator(12)
		var risks [rules][]float64
		for range 400 {
			for r, risk := range m.simulate(12, rng) {
				risks[r] = append(risks[r], risk)
			}
		}
		mean, se := meanError(risks[RightK])
		if math.Abs(mean-want) > 4*se {
			t.Errorf("%v: risk of the right k %.5f ± %.5f, want %.5f", s, mean, se, want)
		}
		for r, of := range risks {
			if mean, se := meanError(of); mean < m.leastRisk()-4*se {
				t.Errorf("%v: the risk of %q is %.5f ± %.5f, below the least, %.5f", s, Rule(r), mean, se, m.leastRisk())
			}
		}
	}
}

// TestLowerBound: at the quick effort the right bandwidths have slopes near that
// of theory in most settings, and the other rules do not fall like it anywhere.
func TestLowerBound(t *testing.T) {
	r, err := Run(t.Context(), Config{Quick: true, Scenarios: []Scenario{}})
	if err != nil {
		t.Fatal(err)
	}
	var minimax [rules]int
	for _, s := range r.LowerBound.Settings {
		for _, c := range s.Rules {
			if c.Minimax {
				minimax[c.Rule]++
			}
		}
		last := len(r.LowerBound.Sizes) - 1
		right := s.Rules[RightK].Risk[last]
		for _, wrong := range []Rule{OneNearest, HalfOfAll, IgnoreCost} {
			if risk := s.Rules[wrong].Risk[last]; risk < 3*right {
				t.Errorf("%v: the risk of %q is %v, that of the right k %v", s.Setting, wrong, risk, right)
			}
		}
		if c := s.Rules[IgnoreCost]; c.Minimax {
			t.Errorf("%v: ignoring cost has the rate of theory: slope %v", s.Setting, c.Slope)
		}
	}
	if minimax[RightK] < 15 || minimax[RightH] < 15 || minimax[OneNearest] > 5 {
		t.Errorf("settings with the slope of theory: %v", minimax)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "\n4  1     1    -0.333  ") {
		t.Errorf("the table lacks the last setting:\n%s", text.String())
	}
}

func TestSettingRefused(t *testing.T) {
	for want, s := range map[string]Setting{
		"dim 0":        {0, 1, 1},
		"smoothness 2": {1, 2, 0.5},
		"margin 2: want a positive number of at most dim/smoothness = 1": {1, 1, 2},
	} {
		_, err := Run(t.Context(), Config{Quick: true, Settings: []Setting{s}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run of %v: %v, want %q", s, err, want)
		}
	}
}
