// Package agreement compares the scores of a judge with those of people, and estimates
// means from many scores of a judge and few of people.
package agreement

import (
	"math"
)

// Pair is a row that both have scored.
type Pair struct {
	Judge, Human float64 // in [0,1]
	Weight       float64 // 1 over the probability with which the row was chosen for a label
}

// Confusion counts pairs by whether the judge and the person accept the answer, which is
// a score of at least ½.
type Confusion struct {
	Both    int `json:"both"`  // accept
	Judge   int `json:"judge"` // only the judge accepts
	Human   int `json:"human"` // only the person accepts
	Neither int `json:"neither"`
}

// Accepts reports whether a score counts as acceptance.
func Accepts(score float64) bool { return score >= 0.5 }

// Agreement is how far a judge and people agree on pairs.
type Agreement struct {
	Pairs     int       `json:"pairs"`
	Agreement float64   `json:"agreement"`                // weighted share of pairs on which both accept or neither does
	Kappa     *float64  `json:"kappa"`                    // Cohen's; nil where one of them always says the same
	Weighted  *float64  `json:"weighted_kappa,omitempty"` // with squared distances of graded scores; nil if all scores are 0 or 1
	Graded    bool      `json:"graded"`                   // some score is neither 0 nor 1
	Confusion Confusion `json:"confusion"`
	MeanJudge float64   `json:"mean_judge"`
	MeanHuman float64   `json:"mean_human"`
}

// Compare returns the agreement on pairs, of which there must be one at least.
func Compare(pairs []Pair) Agreement {
	a := Agreement{Pairs: len(pairs)}
	var total, agree, judgeYes, humanYes, judge, human, distance float64
	for _, p := range pairs {
		total += p.Weight
		j, h := Accepts(p.Judge), Accepts(p.Human)
		switch {
		case j && h:
			a.Confusion.Both++
		case j:
			a.Confusion.Judge++
		case h:
			a.Confusion.Human++
		default:
			a.Confusion.Neither++
		}
		if j == h {
			agree += p.Weight
		}
		if j {
			judgeYes += p.Weight
		}
		if h {
			humanYes += p.Weight
		}
		judge += p.Weight * p.Judge
		human += p.Weight * p.Human
		distance += p.Weight * (p.Judge - p.Human) * (p.Judge - p.Human)
		a.Graded = a.Graded || !whole(p.Judge) || !whole(p.Human)
	}
	a.Agreement, a.MeanJudge, a.MeanHuman = agree/total, judge/total, human/total
	jy, hy := judgeYes/total, humanYes/total
	// The total may differ from the sum of its parts by a rounding.
	if chance := jy*hy + (1-jy)*(1-hy); chance < 1-1e-12 {
		a.Kappa = new((a.Agreement - chance) / (1 - chance))
	}
	if a.Graded {
		// The expected squared distance of two independent scores is the sum of their
		// variances and of the squared difference of their means.
		var vj, vh float64
		for _, p := range pairs {
			vj += p.Weight * (p.Judge - a.MeanJudge) * (p.Judge - a.MeanJudge)
			vh += p.Weight * (p.Human - a.MeanHuman) * (p.Human - a.MeanHuman)
		}
		d := a.MeanJudge - a.MeanHuman
		if expected := (vj+vh)/total + d*d; expected > 1e-12 {
			a.Weighted = new(1 - distance/total/expected)
		}
	}
	return a
}

func whole(score float64) bool { return score == 0 || score == 1 }

// Flips is how a judge's verdict on pairs depends on their order.
type Flips struct {
	Pairs     int     `json:"pairs"`     // of votes on one answer, one in each order
	Flipped   int     `json:"flipped"`   // whose two votes differ
	Reversed  int     `json:"reversed"`  // of these, whose two votes name different winners
	Advantage float64 `json:"advantage"` // mean vote for the answer when it stands first, less that when it stands second
}

// Vote is a vote of a pairwise judge.
type Vote struct {
	First bool    `json:"first"` // the answer stood first
	Score float64 `json:"score"` // of the answer
}

// Add counts the votes on one answer: each with the first one after it in the other
// order that has no partner yet.
func (f *Flips) Add(votes []Vote) {
	var waiting []Vote
	sum := f.Advantage * float64(f.Pairs)
	for _, v := range votes {
		if len(waiting) == 0 || waiting[0].First == v.First {
			waiting = append(waiting, v)
			continue
		}
		w := waiting[0]
		waiting = waiting[1:]
		f.Pairs++
		if v.Score != w.Score {
			f.Flipped++
		}
		if (v.Score-0.5)*(w.Score-0.5) < 0 {
			f.Reversed++
		}
		if v.First {
			sum += v.Score - w.Score
		} else {
			sum += w.Score - v.Score
		}
	}
	if f.Pairs > 0 {
		f.Advantage = sum / float64(f.Pairs)
	}
}

// moments returns the mean and the unbiased variance.
func moments(v []float64) (mean, variance float64) {
	for _, x := range v {
		mean += x
	}
	mean /= float64(len(v))
	for _, x := range v {
		variance += (x - mean) * (x - mean)
	}
	if len(v) < 2 {
		return mean, math.NaN()
	}
	return mean, variance / float64(len(v)-1)
}
