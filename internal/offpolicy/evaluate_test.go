package offpolicy

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// world is traffic whose truth is known: kinds of queries, four candidates with a true
// quality and cost on each, and a router whose estimates of them are wrong.
type world struct {
	quality, cost, wrong [][]float64 // kinds × candidates
}

const kinds, candidates = 40, 4

func newWorld(r *rand.Rand) *world {
	w := &world{}
	off := make([]float64, candidates) // each candidate is misjudged as a whole, too
	for m := range off {
		off[m] = 0.1 * r.NormFloat64()
	}
	for range kinds {
		q, c, e := make([]float64, candidates), make([]float64, candidates), make([]float64, candidates)
		for m := range q {
			q[m] = min(max(0.4+0.1*float64(m)+0.2*r.NormFloat64(), 0), 1)
			c[m] = 0.0004 * math.Pow(3, float64(m)) * (0.5 + r.Float64())
			e[m] = min(max(q[m]+off[m]+0.1*r.NormFloat64(), 0), 1)
		}
		w.quality, w.cost, w.wrong = append(w.quality, q), append(w.cost, c), append(w.wrong, e)
	}
	return w
}

// row returns a decision on a query of a kind.
func (w *world) row(kind int, worth float64) Row {
	x := Row{USDPerQuality: worth, Propensity: 1}
	for m := range candidates {
		x.Candidates = append(x.Candidates, Candidate{Name: strconv.Itoa(m), Quality: w.wrong[kind][m], Cost: w.cost[kind][m]})
	}
	x.Greedy = Objective(worth)(&x)
	x.Action = x.Greedy
	return x
}

// traffic draws sessions of requests, whose scores have something in common.
func (w *world) traffic(r *rand.Rand, n int, worth, rate float64) (rows []Row) {
	for s := 0; len(rows) < n; s++ {
		kind, mood := r.IntN(kinds), 0.2*r.NormFloat64()
		for range 1 + r.IntN(5) {
			x := w.row(kind, worth)
			x.Session = strconv.Itoa(s)
			x.Propensity = 1 - rate + rate/candidates
			if pick := r.IntN(candidates); r.Float64() < rate && pick != x.Greedy {
				x.Action, x.Propensity = pick, rate/candidates
			}
			q := w.quality[kind][x.Action]
			// The mood of a session moves its scores and leaves their mean as it is.
			if x.Score = 0; r.Float64() < q+min(q, 1-q)*min(max(mood, -1), 1) {
				x.Score = 1
			}
			x.Cost = w.cost[kind][x.Action] * (0.5 + r.Float64())
			rows = append(rows, x)
		}
	}
	return rows
}

// truth is the mean of what a policy is worth beyond the router's choices.
func (w *world) truth(worth float64, target Policy, value float64) float64 {
	var sum float64
	for kind := range kinds {
		x := w.row(kind, worth)
		u := func(m int) float64 { return utility(w.quality[kind][m], w.cost[kind][m], value) }
		sum += (u(target(&x)) - u(x.Greedy)) / kinds
	}
	return sum
}

// TestEvaluateKnownTruth: in simulations with known truth, the estimators conclude, and their
// 95% intervals hold the truth; runs/learn does the same on recorded outcomes. Of the three,
// the doubly robust one has the narrowest interval.
func TestEvaluateKnownTruth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 17))
	const trials, logged, asked = 100, 0.02, 0.2
	concluded, held := 0, [3]int{}
	width := [3]float64{}
	for trial := range trials {
		w := newWorld(r)
		rate := []float64{0.05, 0.1, 0.2}[trial%3]
		result := Evaluate(w.traffic(r, 4000, logged, rate), Objective(asked), asked)
		if len(result.Refusals) > 0 {
			continue
		}
		concluded++
		truth := w.truth(logged, Objective(asked), asked)
		for k, e := range []Estimate{result.Difference.Utility.IPS, result.Difference.Utility.SelfNormalised, result.Difference.Utility.DoublyRobust} {
			if !e.Excludes(truth) {
				held[k]++
			}
			width[k] += e.Interval[1] - e.Interval[0]
		}
	}
	t.Logf("%d of %d conclude; %v hold the truth; widths %.3f", concluded, trials, held, width)
	if concluded < 80 {
		t.Errorf("%d of %d conclude, want at least 80", concluded, trials)
	}
	for k, name := range []string{"IPS", "self-normalised", "doubly robust"} {
		if 10*held[k] < 9*concluded {
			t.Errorf("%s: %d of %d intervals hold the truth, want at least 90%%", name, held[k], concluded)
		}
	}
	if width[2] > width[1] || width[2] > width[0] {
		t.Errorf("widths of the intervals are %v, want the doubly robust ones narrowest", width)
	}
}

// TestMeanClustered: an interval that took requests of one session for independent would
// be too narrow.
func TestMeanClustered(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 17))
	held, naive := 0, 0
	const trials = 400
	for range trials {
		var values []float64
		var cluster, own []int
		for c := range 60 {
			common := r.NormFloat64()
			for range 5 {
				values, cluster, own = append(values, common+0.3*r.NormFloat64()), append(cluster, c), append(own, len(own))
			}
		}
		if !Mean(values, cluster).Excludes(0) {
			held++
		}
		if !Mean(values, own).Excludes(0) {
			naive++
		}
	}
	if share := float64(held) / trials; share < 0.92 || share > 0.98 {
		t.Errorf("%.1f%% of the intervals hold the truth, want about 95%%", 100*share)
	}
	if naive > trials*3/4 {
		t.Errorf("without sessions %d of %d hold it: the check cannot fail", naive, trials)
	}
}

// TestEvaluateExact: with every number small enough to follow by hand.
func TestEvaluateExact(t *testing.T) {
	of := func(action int, propensity, score, cost float64) Row {
		return Row{Candidates: []Candidate{{Name: "a", Quality: 0.5, Cost: 1}, {Name: "b", Quality: 0.75, Cost: 2}}, Action: action, Greedy: 0, Propensity: propensity, Score: score, Cost: cost}
	}
	rows := []Row{of(0, 0.75, 1, 1), of(0, 0.75, 0, 1), of(1, 0.25, 1, 3), of(1, 0.25, math.NaN(), 2)}
	r := Evaluate(rows, func(*Row) int { return 1 }, math.Inf(1))
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("%s = %v, want %v", what, got, want)
		}
	}
	near("requests", float64(r.Requests), 4)
	near("scored", float64(r.Scored), 3)
	near("observed quality", r.ObservedQuality, 2.0/3)
	near("observed cost", r.ObservedCost, 7.0/4)
	near("IPS", r.Target.Quality.IPS.Value, 4.0/3) // 0, 0 and 1/0.25
	near("self-normalised", r.Target.Quality.SelfNormalised.Value, 1)
	near("doubly robust", r.Target.Quality.DoublyRobust.Value, 0.75+4*0.25/3)
	near("doubly robust, logged", r.Logged.Quality.DoublyRobust.Value, 0.5) // the residuals .5 and -.5 cancel
	near("difference", r.Difference.Quality.DoublyRobust.Value, 0.25+4*0.25/3)
	near("cost", r.Target.Cost.DoublyRobust.Value, 2+4*(3-2+2-2)/4)
	near("utility is quality", r.Target.Utility.IPS.Value, 4.0/3)
	near("effective sample", r.EffectiveSample, 1)
	near("agreement", r.Agreement, 0)
	near("explored", float64(r.Explored), 1)
	if len(r.Refusals) != 1 || !strings.Contains(r.Refusals[0], "count as 1 of equal weight") {
		t.Errorf("refusals = %q, want one for the effective sample", r.Refusals)
	}
}

// TestEvaluateRefuses: there is no conclusion without support, and none without outcomes.
func TestEvaluateRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 17))
	w := newWorld(r)
	t.Run("no exploration", func(t *testing.T) {
		result := Evaluate(w.traffic(r, 2000, 0.02, 0), Objective(0.2), 0.2)
		if result.Unsupported < 0.1 || len(result.Refusals) == 0 || !strings.Contains(result.Refusals[0], "could not have been tried") {
			t.Errorf("unsupported %v, refusals %q, want a refusal for lack of support", result.Unsupported, result.Refusals)
		}
	})
	t.Run("the same objective needs none", func(t *testing.T) {
		result := Evaluate(w.traffic(r, 2000, 0.02, 0), Objective(0.02), 0.02)
		d := result.Difference.Utility.DoublyRobust
		if len(result.Refusals) != 0 || result.Agreement != 1 || d.Value != 0 || d.Interval != [2]float64{} {
			t.Errorf("%+v, want a difference of exactly 0", result)
		}
	})
	t.Run("one session", func(t *testing.T) {
		rows := w.traffic(r, 2000, 0.02, 0.1)
		for i := range rows {
			rows[i].Session = "one"
		}
		result := Evaluate(rows, Objective(0.02), 0.02)
		if len(result.Refusals) != 1 || !math.IsNaN(result.Target.Utility.IPS.Interval[0]) {
			t.Errorf("refusals %q, want one for the single session", result.Refusals)
		}
	})
	t.Run("no outcomes", func(t *testing.T) {
		for _, rows := range [][]Row{nil, {w.row(0, 0.02)}} {
			for i := range rows {
				rows[i].Score = math.NaN()
			}
			if result := Evaluate(rows, Objective(0.2), 0.2); len(result.Refusals) != 1 || !math.IsNaN(result.ObservedQuality) {
				t.Errorf("%d rows: %+v, want a refusal", len(rows), result)
			}
		}
	})
	t.Run("unknown costs", func(t *testing.T) {
		rows := w.traffic(r, 2000, 0.02, 0.1)
		for i := range rows {
			rows[i].Cost = math.NaN()
		}
		if result := Evaluate(rows, Objective(0.02), 0.02); result.Valued != 0 || result.Scored != len(rows) || len(result.Refusals) != 1 {
			t.Errorf("%d valued and %d scored, refusals %q, want a refusal where the cost matters", result.Valued, result.Scored, result.Refusals)
		}
		if result := Evaluate(rows, Objective(math.Inf(1)), math.Inf(1)); result.Valued != len(rows) {
			t.Errorf("%d valued, want all where the cost does not matter", result.Valued)
		}
	})
}
