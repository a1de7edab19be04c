package main

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/internal/budget"
)

// A month has 30 days and begins on a Monday.
const (
	day   = 24 * 60 // minutes
	month = 30 * day
)

// request is one query of a month's traffic.
type request struct{ minute, row int }

// scenario is a kind of traffic.
type scenario struct {
	name  string
	burst bool // there is twice as much traffic in the second half
	mix   bool // the queries get harder over the month
}

var scenarios = []scenario{
	{name: "steady"},
	{name: "burst", burst: true},
	{name: "harder", mix: true},
}

// rate is how much traffic there is in a minute, up to a factor: on working days it
// rises and falls between a tenth at 3 h and 1 at 15 h, and at weekends it is a third
// of that.
func (s scenario) rate(minute int) float64 {
	rate := 0.55 - 0.45*math.Cos(2*math.Pi*(float64(minute%day)/day-3.0/24))
	if minute/day%7 >= 5 {
		rate /= 3
	}
	if s.burst && minute >= month/2 {
		rate *= 2
	}
	return rate
}

// draw draws a month of n requests from the queries in rows, with replacement. If the
// mix gets harder, rows must be sorted from easy to hard: the chance of a query is
// then proportional to 1-rank at first and to rank at last, where rank goes from 0 for
// the easiest to 1.
func (s scenario) draw(rows []int, n int, random *rand.Rand) []request {
	until := make([]float64, month)
	var sum float64
	for minute := range until {
		sum += s.rate(minute)
		until[minute] = sum
	}
	out := make([]request, n)
	for i := range out {
		out[i].minute = min(sort.SearchFloat64s(until, random.Float64()*sum), month-1)
	}
	slices.SortFunc(out, func(a, b request) int { return cmp.Compare(a.minute, b.minute) })
	for i := range out {
		at := random.IntN(len(rows))
		if s.mix {
			other := random.IntN(len(rows))
			if random.Float64() < float64(out[i].minute)/month {
				at = max(at, other)
			} else {
				at = min(at, other)
			}
		}
		out[i].row = rows[at]
	}
	return out
}

// byEase lists the queries by falling mean score over the models.
func (o *outcomes) byEase() []int {
	mean := make([]float64, len(o.score))
	rows := make([]int, len(o.score))
	for i, scores := range o.score {
		rows[i] = i
		for _, v := range scores {
			mean[i] += v
		}
	}
	slices.SortStableFunc(rows, func(a, b int) int { return cmp.Compare(mean[b], mean[a]) })
	return rows
}

// method is a way to spend a budget.
type method struct {
	name   string
	pacing float64 // 0: the policy's willingness to pay is kept
	// cheapest says that the cheapest model answers what comes when nothing is left of
	// the budget, and is paid beyond it. Otherwise that is refused.
	cheapest bool
	// capped says that the willingness to pay is never raised above the policy's. The
	// gateway has no such setting: it shows what raising is worth.
	capped bool
}

// refuse is the method that others are compared with.
var refuse = method{name: "refuse"}

// outcome is what became of a month.
type outcome struct {
	quality float64 // mean over all requests; that of a refused one is 0
	refused float64 // share of the requests
	spent   float64 // USD
}

// tracker is called with every minute, the factor on the willingness to pay in it
// and what is spent before it.
type tracker func(minute int, factor, spent float64)

// spend lets the requests of a month, in their order, spend a budget in USD. A request
// is answered if anything is left, so at most the last one passes the budget.
func (o *outcomes) spend(requests []request, amount float64, m method, track tracker) outcome {
	var out outcome
	next := 0
	for minute := range month {
		factor := 1.0
		if m.pacing > 0 {
			factor = budget.Pace(m.pacing, float64(minute)/month, out.spent/amount)
			if m.capped {
				factor = min(factor, 1)
			}
		}
		if track != nil {
			track(minute, factor, out.spent)
		}
		for ; next < len(requests) && requests[next].minute == minute; next++ {
			row, w := requests[next].row, o.base*factor
			if out.spent >= amount {
				if !m.cheapest {
					out.refused++
					continue
				}
				w = 0
			}
			model := o.choose(row, w)
			out.quality += o.score[row][model]
			out.spent += o.paid[row][model]
		}
	}
	out.quality /= float64(len(requests))
	out.refused /= float64(len(requests))
	return out
}

// free returns what the policy spends in a month without a budget, in USD.
func (o *outcomes) free(requests []request) float64 {
	return o.spend(requests, math.Inf(1), refuse, nil).spent
}

// hindsight has, for each query, the recorded cost and score of what is chosen at each
// setting of frontier.Grid. It tells what the best mixture of two settings, kept over a
// whole month, would have reached, which no method can know before.
type hindsight [][]frontier.Point

func (o *outcomes) hindsight() hindsight {
	h := make(hindsight, len(o.score))
	for row := range h {
		for _, w := range frontier.Grid() {
			model := o.choose(row, w)
			h[row] = append(h[row], frontier.Point{Cost: o.paid[row][model], Quality: o.score[row][model]})
		}
	}
	return h
}

// curve returns the mean cost and quality of a month's requests at each setting.
func (h hindsight) curve(requests []request) []frontier.Point {
	count := make([]float64, len(h))
	for _, r := range requests {
		count[r.row] += 1 / float64(len(requests))
	}
	curve := make([]frontier.Point, len(h[0]))
	for row, share := range count {
		if share == 0 {
			continue
		}
		for s, p := range h[row] {
			curve[s].Cost += share * p.Cost
			curve[s].Quality += share * p.Quality
		}
	}
	return curve
}

// best returns what a curve reaches with an amount for each request, if none is refused.
func best(curve []frontier.Point, amount float64) outcome {
	hull := frontier.Hull(curve)
	if amount < hull[0].Cost {
		return outcome{quality: math.NaN(), spent: math.NaN()}
	}
	return outcome{quality: frontier.AIQ(hull, amount, amount), spent: min(amount, hull[len(hull)-1].Cost)}
}
