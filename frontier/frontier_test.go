package frontier_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/frontier"
)

type points = []frontier.Point

var (
	inf = math.Inf(1)
	nan = math.NaN()
)

// near reports whether two figures agree to a tolerance. NaN agrees with NaN,
// and an infinity with itself.
func near(a, b, tolerance float64) bool {
	return a == b || math.Abs(a-b) <= tolerance || math.IsNaN(a) && math.IsNaN(b)
}

func TestGrid(t *testing.T) {
	w := frontier.Grid()
	if len(w) != 401 || !math.IsInf(w[0], 1) {
		t.Fatalf("Grid() has %d settings from %v, want 401 from +Inf", len(w), w[0])
	}
	if !near(1/w[1], 1e-3, 1e-15) || !near(1/w[400], 1e6, 1e-6) {
		t.Errorf("1/w runs from %v to %v, want 1e-3 to 1e6", 1/w[1], 1/w[400])
	}
	for i := 2; i < len(w); i++ {
		if step := math.Log10(w[i-1] / w[i]); !near(step, 9.0/399, 1e-12) {
			t.Errorf("step %d is 10^%v, want 10^(9/399)", i, step)
		}
	}
}

func TestHull(t *testing.T) {
	for _, test := range []struct {
		name     string
		in, want points
	}{
		{"none", nil, nil},
		{"one", points{{1, 0.5}}, points{{1, 0.5}}},
		{"by rising cost", points{{3, 0.75}, {1, 0.5}}, points{{1, 0.5}, {3, 0.75}}},
		{"below a chord", points{{1, 0.25}, {2, 0.375}, {3, 1}}, points{{1, 0.25}, {3, 1}}},
		{"on a chord", points{{1, 0.25}, {2, 0.5}, {3, 0.75}}, points{{1, 0.25}, {3, 0.75}}},
		{"above a chord", points{{1, 0.25}, {2, 0.75}, {3, 1}}, points{{1, 0.25}, {2, 0.75}, {3, 1}}},
		{"a later point hides two", points{{0, 0}, {1, 0.4}, {2, 0.6}, {3, 1.5}}, points{{0, 0}, {3, 1.5}}},
		{"more expensive and worse", points{{1, 0.5}, {2, 0.25}}, points{{1, 0.5}}},
		{"more expensive and no better", points{{1, 0.5}, {2, 0.5}}, points{{1, 0.5}}},
		{"the better of equal cost", points{{1, 0.25}, {1, 0.5}, {1, 0.375}}, points{{1, 0.5}}},
		{"repeated", points{{1, 0.5}, {1, 0.5}, {2, 0.75}, {2, 0.75}}, points{{1, 0.5}, {2, 0.75}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := slices.Clone(test.in)
			if diff := gocmp.Diff(test.want, frontier.Hull(test.in)); diff != "" {
				t.Errorf("Hull(%v) (-want +got):\n%s", test.in, diff)
			}
			if !slices.Equal(in, test.in) {
				t.Errorf("Hull changed its input %v to %v", in, test.in)
			}
		})
	}
}

func TestAIQ(t *testing.T) {
	ramp := points{{1, 0.25}, {3, 0.75}}
	for _, test := range []struct {
		name      string
		curve     points
		low, high float64
		want      float64
	}{
		{"one point", points{{2, 0.5}}, 1, 3, 0.5},
		{"a ramp over its own range", ramp, 1, 3, 0.5},
		{"flat to the left of it", ramp, 0, 1, 0.25},
		{"flat to the right of it", ramp, 3, 9, 0.75},
		{"flat on both sides", ramp, 0, 4, (0.25 + 2*0.5 + 0.75) / 4},
		{"a part of it", ramp, 2, 3, 0.625},
		{"the hull, not the points", points{{1, 0.25}, {2, 0.125}, {3, 0.75}}, 1, 3, 0.5},
		{"two segments", points{{0, 0}, {1, 0.5}, {3, 0.75}}, 0, 3, (0.25 + 1.25) / 3},
		{"an axis of one point", ramp, 2, 2, 0.5},
		{"an axis of one point left of the hull", ramp, 0, 0, 0.25},
		{"an axis of one point right of the hull", ramp, 5, 5, 0.75},
		{"no points", nil, 0, 1, nan},
		{"an empty axis", ramp, 2, 1, nan},
		{"no quality, off the axis", points{{1, 0.5}, {9, nan}}, 1, 3, nan},
		{"an infinite cost", points{{1, 0.5}, {inf, 1}}, 1, 3, nan},
		{"an infinite axis", ramp, -inf, 3, nan},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := frontier.AIQ(test.curve, test.low, test.high); !near(got, test.want, 1e-15) {
				t.Errorf("AIQ(%v, %v, %v) = %v, want %v", test.curve, test.low, test.high, got, test.want)
			}
		})
	}
}

func TestPeak(t *testing.T) {
	f := func(in points, want float64) {
		t.Helper()
		if got := frontier.Peak(in); !near(got, want, 0) {
			t.Errorf("Peak(%v) = %v, want %v", in, got, want)
		}
	}
	f(points{{1, 0.25}, {3, 0.75}, {2, 0.5}}, 0.75)
	f(points{{1, 0.25}}, 0.25)
	f(points{{1, -inf}}, -inf)
	f(points{{1, 0.75}, {2, nan}, {3, 0.5}}, nan)
	f(nil, nan)
}

func TestReach(t *testing.T) {
	curve := points{{3, 0.75}, {1, 0.25}, {2, 0.75}}
	f := func(quality, want float64) {
		t.Helper()
		if got := frontier.Reach(curve, quality); got != want {
			t.Errorf("Reach(%v, %v) = %v, want %v", curve, quality, got, want)
		}
	}
	f(0, 1)
	f(0.25, 1)
	f(0.5, 2) // no mixing: half of the quality costs as much as all of it
	f(0.75, 2)
	f(0.8, inf)
}

func TestScale(t *testing.T) {
	for _, test := range []struct {
		name    string
		singles points
		want    frontier.Scale
	}{
		{"the best is not the most expensive", points{{1, 0.5}, {3, 0.8}, {4, 0.6}}, frontier.Scale{Low: 1, High: 4, Best: 1, Single: frontier.Point{Cost: 3, Quality: 0.8}}},
		{"equal quality: the cheaper", points{{4, 0.8}, {2, 0.8}}, frontier.Scale{Low: 2, High: 4, Best: 1, Single: frontier.Point{Cost: 2, Quality: 0.8}}},
		{"equal in both: the first", points{{2, 0.8}, {2, 0.8}}, frontier.Scale{Low: 2, High: 2, Best: 0, Single: frontier.Point{Cost: 2, Quality: 0.8}}},
		{"none", nil, frontier.Scale{Low: inf, High: -inf, Best: -1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := frontier.NewScale(test.singles); got != test.want {
				t.Errorf("NewScale(%v) = %+v, want %+v", test.singles, got, test.want)
			}
		})
	}
}

func TestMeasure(t *testing.T) {
	scale := frontier.NewScale(points{{1, 0.5}, {4, 0.8}, {5, 0.7}})
	f := func(name string, curve points, want frontier.Metrics) {
		t.Helper()
		got := scale.Measure(curve)
		if !near(got.AIQ, want.AIQ, 1e-15) || got.Peak != want.Peak || got.QNC != want.QNC || got.Cost95 != want.Cost95 {
			t.Errorf("%s: Measure(%v) = %+v, want %+v", name, curve, got, want)
		}
	}
	f("saves half", points{{1, 0.5}, {2, 0.8}}, frontier.Metrics{AIQ: (0.65 + 3*0.8) / 4, Peak: 0.8, QNC: 0.5, Cost95: 0.5})
	f("95% is enough for cost@95", points{{1, 0.77}}, frontier.Metrics{AIQ: 0.77, Peak: 0.77, QNC: inf, Cost95: 0.25})
	f("QNC may exceed 1", points{{5, 0.9}}, frontier.Metrics{AIQ: 0.9, Peak: 0.9, QNC: 1.25, Cost95: 1.25})
	f("reached but for rounding", points{{4, 0.8 - 1e-15}}, frontier.Metrics{AIQ: 0.8 - 1e-15, Peak: 0.8 - 1e-15, QNC: 1, Cost95: 1})
	f("never reached", points{{1, 0.5}}, frontier.Metrics{AIQ: 0.5, Peak: 0.5, QNC: inf, Cost95: inf})
}

func TestMeasureNoPoints(t *testing.T) {
	if m := frontier.NewScale(points{{1, 0.5}}).Measure(nil); !math.IsNaN(m.Peak) || !math.IsNaN(m.AIQ) || m.QNC != inf || m.Cost95 != inf {
		t.Errorf("Measure(nil) = %+v, want NaN for AIQ and peak, +Inf for the others", m)
	}
}

func TestGapClosed(t *testing.T) {
	if got := frontier.GapClosed(0.75, 0.5, 1); got != 0.5 {
		t.Errorf("GapClosed(.75, .5, 1) = %v, want .5", got)
	}
	if got := frontier.GapClosed(0.75, 0.5, 0.5); !near(got, nan, 0) {
		t.Errorf("GapClosed(.75, .5, .5) = %v, want NaN", got)
	}
}

// curve draws random points, some of equal cost or quality.
func curve(random *rand.Rand) points {
	p := make(points, 1+random.IntN(40))
	for i := range p {
		p[i] = frontier.Point{Cost: random.ExpFloat64(), Quality: random.Float64()}
		if random.IntN(2) == 0 {
			p[i] = frontier.Point{Cost: math.Round(8*p[i].Cost) / 8, Quality: math.Round(8*p[i].Quality) / 8}
		}
	}
	return p
}

// interpolate is numpy.interp: the height, at a cost, of the line through points
// of rising cost, flat beyond its ends.
func interpolate(line points, cost float64) float64 {
	at, _ := slices.BinarySearchFunc(line, cost, func(p frontier.Point, cost float64) int { return cmp.Compare(p.Cost, cost) })
	switch {
	case at == 0:
		return line[0].Quality
	case at == len(line):
		return line[at-1].Quality
	}
	a, b := line[at-1], line[at]
	return a.Quality + (b.Quality-a.Quality)*(cost-a.Cost)/(b.Cost-a.Cost)
}

// The hull is a frontier: none of its points is more expensive than another
// without being better, and none of the points it was made of lies above it.
func TestHullIsAFrontier(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 2_000 {
		in := curve(random)
		hull := frontier.Hull(in)
		for i := 1; i < len(hull); i++ {
			if hull[i].Cost <= hull[i-1].Cost || hull[i].Quality <= hull[i-1].Quality {
				t.Fatalf("Hull(%v) = %v: point %d is dominated", in, hull, i)
			}
			if i > 1 {
				a, b, c := hull[i-2], hull[i-1], hull[i]
				if (b.Quality-a.Quality)/(b.Cost-a.Cost) <= (c.Quality-b.Quality)/(c.Cost-b.Cost) {
					t.Fatalf("Hull(%v) = %v: not concave at point %d", in, hull, i-1)
				}
			}
		}
		for _, p := range hull {
			if !slices.Contains(in, p) {
				t.Fatalf("Hull(%v) = %v: %v is not one of the points", in, hull, p)
			}
		}
		for _, p := range in {
			if p.Quality > interpolate(hull, p.Cost)+1e-12 {
				t.Fatalf("Hull(%v) = %v: %v lies above it", in, hull, p)
			}
		}
	}
}

// The exact area agrees with the mean height at 200,000 places.
func TestAIQIsTheMeanHeight(t *testing.T) {
	const places = 200_000
	random := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		in := curve(random)
		low := 2 * random.Float64()
		high := low + 2*random.Float64()
		hull, sum := frontier.Hull(in), 0.0
		for i := range places {
			sum += interpolate(hull, low+(high-low)*(float64(i)+0.5)/places)
		}
		if got, want := frontier.AIQ(in, low, high), sum/places; !near(got, want, 1e-6) {
			t.Errorf("AIQ(%v, %v, %v) = %v, want %v", in, low, high, got, want)
		}
	}
}

// One more setting cannot lower AIQ, because it need not be used. The exception
// is a setting cheaper than all others: the curve is flat to the left of it.
func TestAIQRisesWithPoints(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	for range 5_000 {
		in := curve(random)
		more := append(in, frontier.Point{Cost: in[0].Cost + random.ExpFloat64(), Quality: random.Float64()})
		if before, after := frontier.AIQ(in, 0.1, 2), frontier.AIQ(more, 0.1, 2); after < before-1e-12 {
			t.Fatalf("AIQ falls from %v to %v when %v joins %v", before, after, more[len(in)], in)
		}
	}
	flat := points{{1, 0.75}}
	if before, after := frontier.AIQ(flat, 0, 2), frontier.AIQ(append(flat, frontier.Point{Cost: 0, Quality: 0.25}), 0, 2); after >= before {
		t.Errorf("AIQ = %v with a cheap and bad setting, %v without: want less", after, before)
	}
}
