package carrot

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Point is one operating point of a router: the mean cost and mean quality
// per query that it reaches at one willingness to pay.
type Point struct {
	USDPerQuality float64 // w; +Inf: cost does not matter
	CostUSD       float64 // mean, USD per query
	Quality       float64 // mean score in [0,1]
}

// Frontier holds the operating points a router reached on out-of-fold
// predictions. Objectives that speak of a share of quality or of a budget are
// turned into a willingness to pay with it.
type Frontier struct {
	Points     []Point
	BestSingle Point // of the model with the highest mean score; w is unused
}

// K is the constant of the paper's objective, in 1/USD.
const K = 100

type objectiveKind uint8

const (
	_        objectiveKind = iota // of the zero Objective, which is Balanced
	byTarget                      // share of the best single's quality
	byUSDPerQuality
	byMu
	byBudget
)

// Objective says how quality and cost trade. Inside it is one number, the
// willingness to pay w in USD per unit of quality; [Objective.Resolve] gives
// it. The zero value is Balanced.
type Objective struct {
	kind  objectiveKind
	value float64
	name  string
}

// The named objectives: the least mean cost at which the router's stored
// frontier reaches 99%, 97% and 90% of the best single model's quality.
var (
	Quality  = Objective{byTarget, 0.99, "quality"}
	Balanced = Objective{byTarget, 0.97, "balanced"}
	Cheap    = Objective{byTarget, 0.90, "cheap"}
)

// USDPerQuality is the objective of paying at most w dollars for one more
// unit of expected quality. +Inf takes the best quality, 0 the least cost.
func USDPerQuality(w float64) Objective { return Objective{kind: byUSDPerQuality, value: w} }

// Mu is the paper's objective (1-μ)·q - μ·K·c with μ in [0,1].
func Mu(mu float64) Objective { return Objective{kind: byMu, value: mu} }

// Budget is the objective of the best quality at a mean cost of at most usd
// dollars a query, by the router's stored frontier.
func Budget(usd float64) Objective { return Objective{kind: byBudget, value: usd} }

// Target is the objective of reaching a share of the best single model's
// quality at the least mean cost, by the router's stored frontier.
func Target(share float64) Objective { return Objective{kind: byTarget, value: share} }

// ErrBudget is returned when a budget is below the cheapest operating point.
var ErrBudget = errors.New("budget below the cheapest operating point")

// ErrNoFrontier is returned when an objective needs a stored frontier and the
// router has none.
var ErrNoFrontier = errors.New("router has no stored frontier")

// leastWorth is the smallest willingness to pay above zero, a pico-dollar.
const leastWorth = 1e-12

// ParseObjective reads "quality", "balanced", "cheap", "mu=0.3",
// "usd-per-quality=0.01", "budget=0.002" or "target=0.97".
func ParseObjective(s string) (Objective, error) {
	switch s {
	case "quality":
		return Quality, nil
	case "balanced", "":
		return Balanced, nil
	case "cheap":
		return Cheap, nil
	}
	key, text, found := strings.Cut(s, "=")
	value, err := strconv.ParseFloat(text, 64)
	if !found || err != nil || math.IsNaN(value) {
		return Objective{}, fmt.Errorf("objective %q: want quality, balanced, cheap, mu=, usd-per-quality=, budget= or target= with a number", s)
	}
	var o Objective
	low, high := 0.0, math.Inf(1)
	switch key {
	case "mu":
		o, high = Mu(value), 1
	case "usd-per-quality":
		o = USDPerQuality(value)
	case "budget":
		o = Budget(value)
	case "target":
		o, high = Target(value), 1
	default:
		return Objective{}, fmt.Errorf("objective %q: unknown %q, want quality, balanced, cheap, or a number for mu, usd-per-quality, budget or target", s, key)
	}
	if key == "usd-per-quality" && value > 0 && value < leastWorth {
		return Objective{}, fmt.Errorf("objective %q: want 0 or at least %g", s, leastWorth)
	}
	if value < low || value > high {
		return Objective{}, fmt.Errorf("objective %q: %v is outside [%v,%v]", s, value, low, high)
	}
	return o, nil
}

// String writes the objective in the form that ParseObjective reads.
func (o Objective) String() string {
	value := strconv.FormatFloat(o.value, 'g', -1, 64)
	switch {
	case o == Objective{}:
		return Balanced.name
	case o.name != "":
		return o.name
	case o.kind == byUSDPerQuality:
		return "usd-per-quality=" + value
	case o.kind == byMu:
		return "mu=" + value
	case o.kind == byBudget:
		return "budget=" + value
	default:
		return "target=" + value
	}
}

// Resolve returns the willingness to pay in USD per unit of quality: +Inf
// takes the best quality, 0 the cheapest candidate. A target or a budget is
// read off the frontier f; a target that no point reaches gives +Inf, a budget
// below the cheapest point is ErrBudget.
func (o Objective) Resolve(f Frontier) (float64, error) {
	if (o == Objective{}) {
		o = Balanced
	}
	switch o.kind {
	case byUSDPerQuality:
		return o.value, nil
	case byMu:
		if o.value == 0 {
			return math.Inf(1), nil
		}
		return (1 - o.value) / (o.value * K), nil
	}
	if len(f.Points) == 0 {
		return 0, fmt.Errorf("objective %s: %w", o, ErrNoFrontier)
	}
	if o.kind == byBudget {
		return f.within(o.value)
	}
	return f.reaching(o.value * f.BestSingle.Quality), nil
}

// reaching returns the w of the cheapest point of at least this quality; of
// equals, the better one.
func (f Frontier) reaching(quality float64) float64 {
	best := Point{USDPerQuality: math.Inf(1), CostUSD: math.Inf(1)}
	for _, p := range f.Points {
		if p.Quality >= quality && (p.CostUSD < best.CostUSD || p.CostUSD == best.CostUSD && p.Quality > best.Quality) {
			best = p
		}
	}
	return best.USDPerQuality
}

// within returns the w of the best point of at most this mean cost; of
// equals, the cheaper one.
func (f Frontier) within(usd float64) (float64, error) {
	best, cheapest := Point{Quality: -1}, math.Inf(1)
	for _, p := range f.Points {
		cheapest = min(cheapest, p.CostUSD)
		if p.CostUSD <= usd && (p.Quality > best.Quality || p.Quality == best.Quality && p.CostUSD < best.CostUSD) {
			best = p
		}
	}
	if best.Quality < 0 {
		return 0, fmt.Errorf("%w: $%.3g a query, the cheapest mean cost is $%.3g: ask for more, or for usd-per-quality=0", ErrBudget, usd, cheapest)
	}
	return best.USDPerQuality, nil
}
