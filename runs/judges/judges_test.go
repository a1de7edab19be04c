package main

import "testing"

// TestCoverage draws fewer and smaller sets than the program does by itself; a coverage
// of 1,500 draws is known to about .006.
func TestCoverage(t *testing.T) {
	for _, j := range judges[:3] { // timid, sharp, noisy
		for _, labels := range []int{30, 100} {
			var powered, width, plain float64
			for _, mean := range []float64{0.2, 0.4, 0.6, 0.8} {
				r := setting{judge: j, mean: mean, labels: labels, rows: 300}.simulate(1500, 1)
				if r.powered < 0.92 || r.powered > 0.98 {
					t.Errorf("%s judge, %d labels, mean %v: the interval holds the mean in %.3f of the draws", j.name, labels, mean, r.powered)
				}
				powered, width, plain = powered+r.powered/4, width+r.width/4, plain+r.plain/4
			}
			if powered < 0.93 || powered > 0.97 {
				t.Errorf("%s judge, %d labels: the interval holds the mean in %.3f of the draws", j.name, labels, powered)
			}
			if j.name == "sharp" && width > 0.85*plain {
				t.Errorf("%d labels: width %.3f, of labels alone %.3f", labels, width, plain)
			}
		}
	}
}
