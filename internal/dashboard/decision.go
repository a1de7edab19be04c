package dashboard

import (
	"cmp"
	"html/template"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/phrase"
)

// decisionView explains a decision.
type decisionView struct {
	*carrot.Decision
	Chosen     *carrot.Assessment
	Reason     string
	Worth      string // the willingness to pay, in words
	Better     string // what a higher willingness to pay would choose, and from where; empty: nothing else
	Cheaper    string // what a lower one would choose
	Candidates []candidateView
	Low, High  float64 // quality at the ends of the pictures of intervals
}

// candidateView is a candidate of a decision.
type candidateView struct {
	*carrot.Assessment
	IsChosen bool
	Cost     float64 // USD; NaN: unknown
	P90      float64 // USD, which the cost exceeds once in ten times; NaN: unknown
	Interval template.HTML
	IsWorse  bool // than the chosen one, by its utility
}

// Margin returns two standard errors of the expected quality.
func (c candidateView) Margin() float64 { return 2 * c.QualitySE }

// explain returns what a page says of a decision, with the best candidates first.
func explain(d *carrot.Decision) decisionView {
	v := decisionView{Decision: d, Chosen: d.Chosen(), Reason: d.Reason()}
	switch {
	case math.IsInf(d.USDPerQuality, 1):
		v.Worth = "quality at any price"
	case d.USDPerQuality == 0:
		v.Worth = "the least cost"
	default:
		v.Worth = phrase.USD(d.USDPerQuality/100) + " for each 0.01 of quality"
	}
	flips, at := d.Flips(), 0
	for k, f := range flips {
		if d.USDPerQuality <= f.USDPerQuality {
			at = k
		}
	}
	if at > 0 {
		v.Better = flips[at-1].Model + " from " + phrase.USD(flips[at].USDPerQuality) + " for a unit of quality"
	}
	if at+1 < len(flips) {
		v.Cheaper = flips[at+1].Model + " below " + phrase.USD(flips[at+1].USDPerQuality) + " for a unit of quality"
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		one := candidateView{Assessment: c, IsChosen: c.Name == d.Model, Cost: c.Cost.Float(), P90: c.CostP90.Float()}
		one.IsWorse = v.Chosen != nil && c.Utility < v.Chosen.Utility
		if c.CostUnknown {
			one.Cost, one.P90 = math.NaN(), math.NaN()
		}
		v.Candidates = append(v.Candidates, one)
	}
	v.drawIntervals()
	rank := func(c candidateView) int {
		switch {
		case c.IsChosen:
			return 0
		case c.Excluded == "":
			return 1
		}
		return 2
	}
	slices.SortStableFunc(v.Candidates, func(a, b candidateView) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.Utility, a.Utility))
	})
	return v
}

// drawIntervals draws the expected quality of each candidate, with two standard errors on
// either side, on one scale.
func (v *decisionView) drawIntervals() {
	v.Low, v.High = 1, 0
	for _, c := range v.Candidates {
		if m := c.Margin(); !math.IsNaN(c.Quality + m) {
			v.Low, v.High = min(v.Low, max(c.Quality-m, 0)), max(v.High, min(c.Quality+m, 1))
		}
	}
	for i := range v.Candidates {
		if c := &v.Candidates[i]; !math.IsNaN(c.Quality + c.Margin()) {
			c.Interval = whisker(c.Quality, c.Margin(), v.Low, v.High)
		}
	}
}
