package agreement

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Row is an answer with the scores of the judge and of each annotator.
type Row struct {
	Judge float64
	Human map[string]float64 // by annotator
}

// AltTest is the alternative annotator test (Calderon, Reichart and Dror 2025): each
// annotator in turn is compared with the judge by who agrees better with the others.
type AltTest struct {
	Epsilon   float64 `json:"epsilon"`
	Alignment string  `json:"alignment"` // accuracy, or rmse if some score is neither 0 nor 1
	// WinningRate is the share of annotators that the judge may replace; the judge
	// passes if it is at least ½.
	WinningRate float64 `json:"winning_rate"`
	Passes      bool    `json:"passes"`
	// Advantage is the mean over annotators of the probability that the judge agrees
	// with the others at least as well as the annotator.
	Advantage  float64        `json:"advantage"`
	Annotators []AltAnnotator `json:"annotators"`
	Left       []string       `json:"left_out"` // annotators with too few rows
}

// AltAnnotator is the comparison with one annotator.
type AltAnnotator struct {
	Name     string  `json:"name"`
	Rows     int     `json:"rows"` // that this annotator and another one have scored
	Judge    float64 `json:"judge_wins"`
	Human    float64 `json:"annotator_wins"` // ties count for both
	P        float64 `json:"p"`
	Replaced bool    `json:"judge_wins_test"` // after the correction for many tests
}

const (
	altRows       = 30   // fewest rows of an annotator for the t test
	altAnnotators = 3    // fewest annotators
	altRate       = 0.05 // false discovery rate
)

// RunAltTest returns the test at a level ε, which is what the judge may be worse by
// because it is cheaper. ok is false with fewer than three annotators of thirty rows
// that others have scored too; the annotators that were left out are named all the same.
func RunAltTest(rows []Row, epsilon float64) (t AltTest, ok bool) {
	t.Epsilon, t.Alignment = epsilon, "accuracy"
	names := map[string]bool{}
	for _, r := range rows {
		if !whole(r.Judge) {
			t.Alignment = "rmse"
		}
		for name, score := range r.Human {
			names[name] = true
			if !whole(score) {
				t.Alignment = "rmse"
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a := AltAnnotator{Name: name}
		var sum, squares float64
		for _, r := range rows {
			own, scored := r.Human[name]
			if !scored || len(r.Human) < 2 {
				continue
			}
			judge, human := t.align(r.Judge, r.Human, name), t.align(own, r.Human, name)
			d := 0.0
			a.Rows++
			// Sums of squares in one order or another may differ by a rounding.
			if judge >= human-1e-12 {
				a.Judge++
				d--
			}
			if human >= judge-1e-12 {
				a.Human++
				d++
			}
			sum += d
			squares += d * d
		}
		if a.Rows < altRows {
			t.Left = append(t.Left, name)
			continue
		}
		n := float64(a.Rows)
		a.Judge, a.Human = a.Judge/n, a.Human/n
		mean := sum / n
		variance := (squares - n*mean*mean) / (n - 1)
		switch {
		case variance > 1e-12:
			a.P = distuv.StudentsT{Sigma: 1, Nu: n - 1}.CDF((mean - epsilon) / math.Sqrt(variance/n))
		case mean >= epsilon:
			a.P = 1
		}
		t.Annotators = append(t.Annotators, a)
		t.Advantage += a.Judge
	}
	if len(t.Annotators) < altAnnotators {
		return t, false
	}
	t.Advantage /= float64(len(t.Annotators))
	replaced := reject(t.Annotators)
	t.WinningRate = float64(replaced) / float64(len(t.Annotators))
	t.Passes = t.WinningRate >= 0.5
	return t, true
}

// align returns how well a score agrees with those of the annotators but one.
func (t *AltTest) align(score float64, human map[string]float64, without string) float64 {
	var sum, n float64
	for name, other := range human {
		if name == without {
			continue
		}
		n++
		if t.Alignment == "rmse" {
			sum += (score - other) * (score - other)
		} else if score == other {
			sum++
		}
	}
	if t.Alignment == "rmse" {
		return -math.Sqrt(sum / n)
	}
	return sum / n
}

// reject marks the annotators whose hypotheses are rejected by the procedure of
// Benjamini and Yekutieli, and returns their number.
func reject(all []AltAnnotator) int {
	order := make([]int, len(all))
	harmonic := 0.0
	for i := range all {
		order[i] = i
		harmonic += 1 / float64(i+1)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(all[a].P, all[b].P) })
	rejected := 0
	for i, k := range order {
		if all[k].P <= float64(i+1)/float64(len(all))*altRate/harmonic {
			rejected = i + 1
		}
	}
	for _, k := range order[:rejected] {
		all[k].Replaced = true
	}
	return rejected
}
