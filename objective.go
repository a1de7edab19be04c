package carrot

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot/internal/phrase"
)

// Point is one operating point of a router: the mean cost and mean quality
// per query that it reaches at one willingness to pay.
type Point struct {
	USDPerQuality float64 // w; +Inf: cost does not matter
	CostUSD       float64 // mean, USD per query
	Quality       float64 // mean score in [0,1]
}

// pointJSON is the JSON form of a Point.
type pointJSON struct {
	USDPerQuality *float64 `json:"usd_per_quality"`
	CostUSD       float64  `json:"cost_usd"`
	Quality       float64  `json:"quality"`
}

// MarshalJSON writes the point; an infinite willingness to pay is null.
func (p Point) MarshalJSON() ([]byte, error) {
	out := pointJSON{CostUSD: p.CostUSD, Quality: p.Quality}
	if !math.IsInf(p.USDPerQuality, 1) {
		out.USDPerQuality = &p.USDPerQuality
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Point) UnmarshalJSON(data []byte) error {
	var in pointJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return phrase.JSON(err)
	}
	*p = Point{USDPerQuality: math.Inf(1), CostUSD: in.CostUSD, Quality: in.Quality}
	if in.USDPerQuality != nil {
		p.USDPerQuality = *in.USDPerQuality
	}
	return nil
}

// Frontier holds the operating points a router reached on out-of-fold
// predictions. Objectives that speak of a share of quality or of a budget are
// turned into a willingness to pay with it.
type Frontier struct {
	Points     []Point
	BestSingle Point // of the model with the highest mean score; w is unused
}

// PaperK is the constant K of the paper's objective (1-μ)·q - μ·K·c, in 1/USD.
const PaperK = 100

type objectiveKind uint8

const (
	balanced objectiveKind = iota
	byTarget               // share of the best single's quality
	byUSDPerQuality
	byMu
	byBudget
	byPromise // the promises alone: the cheapest that keeps them, or the best within a cost
)

// Objective says how quality and cost trade. Inside it is one number, the
// willingness to pay w in USD per unit of quality; [Objective.Resolve] gives
// it. It may also have promises (see [ParseObjective]): then the trade-off is made among
// the candidates that keep them. The zero value is Balanced.
type Objective struct {
	kind     objectiveKind
	value    float64
	name     string
	promises promises
}

// The named objectives: the least mean cost at which the router's stored
// frontier reaches 99%, 97% and 90% of the best single model's quality.
var (
	Quality  = Objective{kind: byTarget, value: 0.99, name: "quality"}
	Balanced = Objective{}
	Cheap    = Objective{kind: byTarget, value: 0.90, name: "cheap"}
)

// balancedTarget is the share of quality that Balanced reaches.
const balancedTarget = 0.97

// USDPerQuality is the objective of paying at most w dollars for one more
// unit of expected quality, w >= 0. +Inf takes the best quality, 0 the least
// cost. A number out of range is an error of Resolve.
func USDPerQuality(w float64) Objective { return Objective{kind: byUSDPerQuality, value: w} }

// Mu is the paper's objective (1-μ)·q - μ·K·c with μ in [0,1]. A number out of
// range is an error of Resolve.
func Mu(mu float64) Objective { return Objective{kind: byMu, value: mu} }

// Budget is the objective of the best quality at a mean cost of at most usd
// dollars a query, usd > 0, by the router's stored frontier. A number out of
// range is an error of Resolve.
func Budget(usd float64) Objective { return Objective{kind: byBudget, value: usd} }

// Target is the objective of reaching a share, in (0,1], of the best single
// model's quality at the least mean cost, by the router's stored frontier. A
// number out of range is an error of Resolve.
func Target(share float64) Objective { return Objective{kind: byTarget, value: share} }

// ErrBudget is returned when a budget is below the cheapest operating point.
var ErrBudget = errors.New("budget below the cheapest operating point")

// ErrNoFrontier is returned when an objective needs a stored frontier and the
// router has none: it was made without one, or trained on outcomes that have
// no costs.
var ErrNoFrontier = errors.New("the router has no stored frontier")

// leastWorth is the smallest willingness to pay above zero, a pico-dollar.
const leastWorth = 1e-12

// objectiveForms lists what ParseObjective reads.
const objectiveForms = "quality, balanced, cheap, mu=, usd-per-quality=, budget= or target= with a number, " +
	"and the promises min-quality=SCORE@P, max-cost=USD, max-cost=USD@P and as-good-as-best@P"

// ParseObjective reads a trade-off: "quality", "balanced", "cheap", "mu=0.3",
// "usd-per-quality=0.01", "budget=0.002" or "target=0.97"; promises; or several of these,
// separated by commas, of which at most one is a trade-off. Promises are
//
//   - "min-quality=0.8@0.95": a score of at least 0.8, with probability 0.95,
//   - "as-good-as-best@0.95": a score of at least that of the best single model, which is
//     the candidate with the highest mean score on the held-out queries,
//   - "max-cost=0.01@0.9": a cost of at most $0.01, with probability 0.9,
//   - "max-cost=0.01": an expected cost of at most $0.01.
//
// The probability is over the queries for which the promise is made. Promises of quality
// without a trade-off ask for the cheapest candidate that keeps them, those of cost alone
// for the best one.
func ParseObjective(s string) (Objective, error) {
	if s == "" {
		return Balanced, nil
	}
	o, given := Objective{kind: byPromise}, false
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		known, err := o.promises.parse(part)
		switch {
		case err != nil:
			return Objective{}, fmt.Errorf("objective %q: %w", s, err)
		case known:
			continue
		case part == "":
			return Objective{}, fmt.Errorf("objective %q: a part is empty", s)
		}
		base, err := parseTradeOff(part)
		if err != nil {
			return Objective{}, fmt.Errorf("objective %q: %w", s, err)
		}
		if given {
			return Objective{}, fmt.Errorf("objective %q: there are two trade-offs: want one, and promises", s)
		}
		given = true
		o.kind, o.value, o.name = base.kind, base.value, base.name
	}
	if err := o.check(); err != nil {
		return Objective{}, fmt.Errorf("objective %q: %w", s, err)
	}
	return o, nil
}

// parseTradeOff reads an objective without promises.
func parseTradeOff(s string) (Objective, error) {
	switch s {
	case "quality":
		return Quality, nil
	case "balanced":
		return Balanced, nil
	case "cheap":
		return Cheap, nil
	}
	key, text, found := strings.Cut(s, "=")
	value, err := strconv.ParseFloat(text, 64)
	if !found || err != nil || math.IsNaN(value) {
		return Objective{}, fmt.Errorf("want %s", objectiveForms)
	}
	var o Objective
	switch key {
	case "mu":
		o = Mu(value)
	case "usd-per-quality":
		o = USDPerQuality(value)
	case "budget":
		o = Budget(value)
	case "target":
		o = Target(value)
	default:
		return Objective{}, fmt.Errorf("unknown %q, want %s", key, objectiveForms)
	}
	return o, nil
}

// check refuses numbers out of range.
func (o Objective) check() error {
	v := o.value
	switch {
	case o.kind == byMu && !(v >= 0 && v <= 1):
		return fmt.Errorf("%v is outside [0,1]", v)
	case o.kind == byTarget && !(v > 0 && v <= 1):
		return fmt.Errorf("%v is outside (0,1]", v)
	case o.kind == byBudget && !(v > 0):
		return fmt.Errorf("%v is no budget: want USD a query above 0", v)
	case o.kind == byUSDPerQuality && !(v >= leastWorth || v == 0):
		return fmt.Errorf("%v is no price of quality: want 0 or at least %g", v, leastWorth)
	}
	return o.promises.check()
}

// String writes the objective in the form that ParseObjective reads.
func (o Objective) String() string {
	if o.promises == (promises{}) {
		return o.tradeOff()
	}
	if o.kind == byPromise {
		return o.promises.String()
	}
	return o.tradeOff() + "," + o.promises.String()
}

// tradeOff writes the objective without its promises.
func (o Objective) tradeOff() string {
	value := strconv.FormatFloat(o.value, 'g', -1, 64)
	switch {
	case o.name != "":
		return o.name
	case o.kind == balanced:
		return "balanced"
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

// MarshalText writes what String writes.
func (o Objective) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what ParseObjective reads.
func (o *Objective) UnmarshalText(text []byte) error {
	parsed, err := ParseObjective(string(text))
	if err == nil {
		*o = parsed
	}
	return err
}

// Resolve returns the willingness to pay in USD per unit of quality: +Inf
// takes the best quality, 0 the cheapest candidate. A target or a budget is
// read off the frontier f, which is ErrNoFrontier if it is empty; a target that
// no point reaches gives +Inf, a budget below the cheapest point is ErrBudget.
// Promises without a trade-off give 0 if they are of quality, +Inf if they are of cost
// alone. An objective with a number out of range is an error.
func (o Objective) Resolve(f Frontier) (float64, error) {
	if err := o.check(); err != nil {
		return 0, fmt.Errorf("objective %s: %w", o, err)
	}
	switch o.kind {
	case byUSDPerQuality:
		return o.value, nil
	case byMu:
		if o.value == 0 {
			return math.Inf(1), nil
		}
		return (1 - o.value) / (o.value * PaperK), nil
	case byPromise:
		if o.promises.quality() {
			return 0, nil
		}
		return math.Inf(1), nil
	}
	if len(f.Points) == 0 {
		return 0, fmt.Errorf("objective %s: %w: ask for usd-per-quality= or mu=, which need none", o, ErrNoFrontier)
	}
	switch o.kind {
	case byBudget:
		return f.within(o.value)
	case balanced:
		return f.reaching(balancedTarget * f.BestSingle.Quality), nil
	default:
		return f.reaching(o.value * f.BestSingle.Quality), nil
	}
}

// reaching returns the w of the cheapest point of at least this quality; of
// points of equal cost, that of the better one.
func (f Frontier) reaching(quality float64) float64 {
	best := Point{USDPerQuality: math.Inf(1), CostUSD: math.Inf(1)}
	for _, p := range f.Points {
		if p.Quality >= quality && (p.CostUSD < best.CostUSD || p.CostUSD == best.CostUSD && p.Quality > best.Quality) {
			best = p
		}
	}
	return f.settle(best)
}

// within returns the w of the best point of at most this mean cost; of points
// of equal quality, that of the cheaper one.
func (f Frontier) within(usd float64) (float64, error) {
	best, cheapest := Point{Quality: -1}, math.Inf(1)
	for _, p := range f.Points {
		cheapest = min(cheapest, p.CostUSD)
		if p.CostUSD <= usd && (p.Quality > best.Quality || p.Quality == best.Quality && p.CostUSD < best.CostUSD) {
			best = p
		}
	}
	if best.Quality < 0 {
		return 0, fmt.Errorf("%w: %s a query, the cheapest mean cost is %s: ask for more, or for usd-per-quality=0", ErrBudget, phrase.USD(usd), phrase.USD(cheapest))
	}
	return f.settle(best), nil
}

// settle returns the w of a point of the frontier, or the lowest w if all points
// have its cost and quality: where nothing tells settings apart, more money buys
// nothing.
func (f Frontier) settle(best Point) float64 {
	w := best.USDPerQuality
	for _, p := range f.Points {
		if p.CostUSD != best.CostUSD || p.Quality != best.Quality {
			return best.USDPerQuality
		}
		w = min(w, p.USDPerQuality)
	}
	return w
}
