package carrot_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
)

// fakeEmbedder represents a text by its first letter alone.
type fakeEmbedder struct{ err error }

func (e fakeEmbedder) ID() string { return "fake" }

func (e fakeEmbedder) Embed(_ context.Context, texts []string, dst []carrot.Representation) error {
	for i, text := range texts {
		dst[i].Dense = append(dst[i].Dense[:0], 0)
		if text != "" {
			dst[i].Dense[0] = float32(text[0])
		}
	}
	return e.err
}

// fakePredictor forecasts the same for every query, except that it abstains
// on those that start with a question mark.
type fakePredictor struct {
	models    []string
	forecasts []carrot.Forecast
	err       error
}

func (p fakePredictor) Models() []string { return p.models }

func (p fakePredictor) Predict(x []carrot.Representation, dst []carrot.Prediction) error {
	for i := range x {
		dst[i].Forecasts = append(dst[i].Forecasts[:0], p.forecasts...)
		dst[i].Abstained = x[i].Dense[0] == '?'
		dst[i].Novelty = 0.25
	}
	return p.err
}

// words counts a token per word.
func words(text string) int { return len(strings.Fields(text)) }

// twoModels is a router over an expensive, good model and a cheap, worse one.
// On 1,000 input tokens large costs $0.0145 and small $0.00025.
func twoModels() carrot.Config {
	small := carrot.Price{Input: carrot.PerMillion(0.1), Output: carrot.PerMillion(0.5)}
	return carrot.Config{
		Candidates: []carrot.Candidate{
			{Name: "large", Price: &gpt4o},
			{Name: "small", Price: &small},
		},
		Embedder: fakeEmbedder{},
		Predictor: fakePredictor{
			models: []string{"small", "large"}, // in another order than the pool
			forecasts: []carrot.Forecast{
				{Quality: 0.5, QualitySE: 0.02, QualityNoise: 0.4, OutputTokens: 300, OutputTokensP90: 500},
				{Quality: 0.9, QualitySE: 0.01, QualityNoise: 0.3, OutputTokens: 1200, OutputTokensP90: 2000},
			},
		},
		CountTokens: words,
		Frontier:    handmade,
	}
}

func newRouter(t *testing.T, c carrot.Config) *carrot.Router {
	t.Helper()
	r, err := carrot.NewRouter(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func route(t *testing.T, r *carrot.Router, q carrot.Query, o carrot.Objective) carrot.Decision {
	t.Helper()
	d, err := r.Route(t.Context(), q, o)
	if err != nil {
		t.Fatalf("Route(%+v, %v): %v", q, o, err)
	}
	return d
}

var best = carrot.USDPerQuality(math.Inf(1))

func TestRoute(t *testing.T) {
	got := route(t, newRouter(t, twoModels()), carrot.Query{ID: "q1", Text: "? a", InputTokens: 1000}, carrot.USDPerQuality(0.01))
	large := carrot.Assessment{
		Name: "large",
		Estimate: carrot.Estimate{
			Quality: 0.9, QualitySE: 0.01, QualityNoise: 0.3,
			InputTokens: 1000, OutputTokens: 1200, OutputTokensP90: 2000,
			Cost: carrot.Dollars(0.0145), CostP90: carrot.Dollars(0.0225),
		},
		Utility: carrot.Utility(0.9, 0.0145, 0.01),
	}
	small := carrot.Assessment{
		Name: "small",
		Estimate: carrot.Estimate{
			Quality: 0.5, QualitySE: 0.02, QualityNoise: 0.4,
			InputTokens: 1000, OutputTokens: 300, OutputTokensP90: 500,
			Cost: carrot.Dollars(0.00025), CostP90: carrot.Dollars(0.00035),
		},
		Utility: carrot.Utility(0.5, 0.00025, 0.01),
	}
	want := carrot.Decision{
		ID: "q1", Model: "small", Objective: carrot.USDPerQuality(0.01), USDPerQuality: 0.01, Novelty: 0.25, Abstained: true,
		Candidates: []carrot.Assessment{large, small},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b carrot.Objective) bool { return a == b })); diff != "" {
		t.Errorf("Route (-want +got):\n%s", diff)
	}
}

// The objective is read at each request; large is worth its price above
// .01425 / .4 = .035625 USD per unit of quality.
func TestRouteObjective(t *testing.T) {
	r := newRouter(t, twoModels())
	f := func(o carrot.Objective, want string) {
		t.Helper()
		if d := route(t, r, carrot.Query{InputTokens: 1000}, o); d.Model != want || d.Objective != o {
			t.Errorf("at %v: %s chosen, at %v; want %s", o, d.Model, d.Objective, want)
		}
	}
	f(best, "large")
	f(carrot.USDPerQuality(0.0357), "large")
	f(carrot.USDPerQuality(0.0356), "small")
	f(carrot.Mu(0.2), "large") // w = .04
	f(carrot.Mu(0.3), "small") // w = .0233
	f(carrot.Balanced, "large")
	f(carrot.Budget(1), "large")
	f(carrot.USDPerQuality(0), "small")
}

func TestExcluded(t *testing.T) {
	can := func(a carrot.Abilities) carrot.Model { return carrot.Model{Abilities: &a} }
	all := carrot.Abilities{Tools: true, Vision: true, JSON: true}
	for _, test := range []struct {
		name  string
		model carrot.Model
		query carrot.Query
		want  string
	}{
		{"nothing asked", carrot.Model{}, carrot.Query{}, ""},
		{"among the models asked for", carrot.Model{}, carrot.Query{Models: []string{"small", "large"}}, ""},
		{"not among them", carrot.Model{}, carrot.Query{Models: []string{"small"}}, "not among the models to choose from"},
		{"ruled out by the caller", carrot.Model{}, carrot.Query{Excluded: map[string]string{"large": "its provider is down"}}, "its provider is down"},
		{"fits exactly", carrot.Model{ContextTokens: 1000}, carrot.Query{InputTokens: 900, MaxOutputTokens: 100}, ""},
		{"input too long", carrot.Model{ContextTokens: 1000}, carrot.Query{InputTokens: 1001}, "the query needs 1001 tokens of context, the model has 1000"},
		{"no room for the output", carrot.Model{ContextTokens: 1000}, carrot.Query{InputTokens: 900, MaxOutputTokens: 101}, "the query needs 1001 tokens of context, the model has 1000"},
		{"context not known", carrot.Model{}, carrot.Query{InputTokens: 1_000_000}, ""},
		{"abilities not known", carrot.Model{}, carrot.Query{Needs: all}, ""},
		{"able", can(all), carrot.Query{Needs: all}, ""},
		{"unable, and nothing needed", can(carrot.Abilities{}), carrot.Query{}, ""},
		{"no tools", can(carrot.Abilities{Vision: true, JSON: true}), carrot.Query{Needs: all}, "the model lacks tools"},
		{"no vision", can(carrot.Abilities{Tools: true, JSON: true}), carrot.Query{Needs: all}, "the model lacks vision"},
		{"no JSON", can(carrot.Abilities{Tools: true, Vision: true}), carrot.Query{Needs: all}, "the model lacks JSON output"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := twoModels()
			c.Candidates[0].Model = test.model
			d := route(t, newRouter(t, c), test.query, best)
			if got := d.Candidates[0].Excluded; got != test.want {
				t.Errorf("large excluded: %q, want %q", got, test.want)
			}
			if want := test.want == ""; (d.Model == "large") != want {
				t.Errorf("%s chosen", d.Model)
			}
			if slices.Contains(d.Fallback(), "large") {
				t.Errorf("Fallback() = %v names the chosen or an excluded candidate", d.Fallback())
			}
		})
	}
}

// When no candidate is left, the decision says why for each, and the error for
// those that were asked for.
func TestErrNoCandidate(t *testing.T) {
	c := twoModels()
	c.Candidates[0].Model.ContextTokens = 100
	c.Candidates[1].Model.Abilities = &carrot.Abilities{}
	d, err := newRouter(t, c).Route(t.Context(), carrot.Query{ID: "q1", InputTokens: 200, Needs: carrot.Abilities{Tools: true}}, best)
	if !errors.Is(err, carrot.ErrNoCandidate) || !strings.Contains(err.Error(), "large: the query needs 200 tokens") {
		t.Errorf("Route: %v, want ErrNoCandidate with a reason", err)
	}
	if d.ID != "q1" || d.Model != "" || d.Reason() != "" || len(d.Fallback()) > 0 || len(d.Flips()) > 0 {
		t.Errorf("decision %+v, want no model", d)
	}
	want := []string{"the query needs 200 tokens of context, the model has 100", "the model lacks tools"}
	for i, a := range d.Candidates {
		if a.Excluded != want[i] || a.Cost <= 0 {
			t.Errorf("%s: excluded %q at %v, want %q and an estimate", a.Name, a.Excluded, a.Cost, want[i])
		}
	}
	for _, test := range []struct {
		models     []string
		want, lack string
	}{{nil, "small", ""}, {[]string{"small"}, "small: the model lacks tools", "large"}, {[]string{"large"}, "large: the query needs", "small"}} {
		q := carrot.Query{InputTokens: 200, Needs: carrot.Abilities{Tools: true}, Models: test.models}
		_, err := newRouter(t, c).Route(t.Context(), q, best)
		if !errors.Is(err, carrot.ErrNoCandidate) || !strings.Contains(err.Error(), test.want) || test.lack != "" && strings.Contains(err.Error(), test.lack) {
			t.Errorf("of %v: %v, want it to name them and say why", test.models, err)
		}
	}
}

// A model that was trained on scores alone has no cost, which is not zero: it
// may be chosen only where cost does not matter.
func TestUnknownCost(t *testing.T) {
	c := twoModels()
	c.Predictor = fakePredictor{models: []string{"small", "large"}, forecasts: []carrot.Forecast{
		{Quality: 0.5, OutputTokens: 300, OutputTokensP90: 500}, {Quality: 0.9, CostUnknown: true}}}
	r := newRouter(t, c)
	for _, w := range []float64{0, 0.01, 1e9} {
		d := route(t, r, carrot.Query{InputTokens: 1000}, carrot.USDPerQuality(w))
		if a := d.Candidates[0]; d.Model != "small" || !a.CostUnknown || !math.IsInf(a.Utility, -1) || !strings.Contains(a.Excluded, "its cost is unknown") {
			t.Errorf("at w = %v: %s chosen, %+v", w, d.Model, a)
		}
		if len(d.Fallback()) != 0 {
			t.Errorf("at w = %v: fallback %v, want none", w, d.Fallback())
		}
	}
	d := route(t, r, carrot.Query{InputTokens: 1000}, best)
	if d.Model != "large" || !slices.Equal(d.Fallback(), []string{"small"}) || len(d.Flips()) != 1 || d.Flips()[0].Model != "small" {
		t.Errorf("where cost does not matter: %s chosen, then %v, flips %v", d.Model, d.Fallback(), d.Flips())
	}
	// At equal quality a known cost goes before an unknown one.
	c.Predictor.(fakePredictor).forecasts[0].Quality = 0.9
	if d := route(t, newRouter(t, c), carrot.Query{InputTokens: 1000}, best); d.Model != "small" {
		t.Errorf("of equal quality %s is chosen, want the one whose cost is known", d.Model)
	}
}

func TestRouteErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name      string
		change    func(*carrot.Config)
		query     carrot.Query
		objective carrot.Objective
		is        error
		want      string
	}{
		{"no price", func(c *carrot.Config) { c.Candidates[1].Price = nil }, carrot.Query{}, best,
			nil, `model "small" has no price: add it to the price book`},
		{"model not in the pool", nil, carrot.Query{Models: []string{"small", "medium"}}, best,
			nil, `unknown model "medium"; the pool is large, small`},
		{"no frontier", func(c *carrot.Config) { c.Frontier = carrot.Frontier{} }, carrot.Query{}, carrot.Balanced,
			carrot.ErrNoFrontier, "objective balanced: "},
		{"budget too small", nil, carrot.Query{}, carrot.Budget(0.1),
			carrot.ErrBudget, "$0.100 a query, the cheapest mean cost is "},
		{"embedder fails", func(c *carrot.Config) { c.Embedder = fakeEmbedder{broken} }, carrot.Query{}, best,
			broken, "embed query: broken"},
		{"predictor fails", func(c *carrot.Config) {
			p := c.Predictor.(fakePredictor)
			p.err = broken
			c.Predictor = p
		}, carrot.Query{}, best, broken, "predict: broken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := twoModels()
			if test.change != nil {
				test.change(&c)
			}
			d, err := newRouter(t, c).Route(t.Context(), test.query, test.objective)
			if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("Route: error %v, want %q", err, test.want)
			}
			if d.Model != "" || d.Candidates != nil {
				t.Errorf("Route: decision %+v beside the error, want none", d)
			}
		})
	}
}

// A router is refused when a part is missing, not at its first query.
func TestNewRouterMissingParts(t *testing.T) {
	for part, remove := range map[string]func(*carrot.Config){
		"Embedder":    func(c *carrot.Config) { c.Embedder = nil },
		"Predictor":   func(c *carrot.Config) { c.Predictor = nil },
		"CountTokens": func(c *carrot.Config) { c.CountTokens = nil },
	} {
		c := twoModels()
		remove(&c)
		if _, err := carrot.NewRouter(c); err == nil || !strings.Contains(err.Error(), part+" is missing") {
			t.Errorf("without %s: %v", part, err)
		}
	}
}

func TestNewRouterErrors(t *testing.T) {
	for _, test := range []struct {
		name       string
		candidates []carrot.Candidate
		want       string
	}{
		{"no candidates", nil, "the pool is empty"},
		{"twice", []carrot.Candidate{{Name: "small"}, {Name: "small"}}, `candidate "small" appears twice`},
		{"without a name", []carrot.Candidate{{Name: "small"}, {}}, `candidate 1 has no name`},
		{"unknown", []carrot.Candidate{{Name: "new"}}, `the predictor does not know model "new"; it knows small, large`},
		{"like unknown", []carrot.Candidate{{Name: "new", Like: "old"}}, `the predictor does not know model "old"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := twoModels()
			c.Candidates = test.candidates
			if _, err := carrot.NewRouter(c); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("NewRouter: error %v, want %q", err, test.want)
			}
		})
	}
}

// A candidate that was never observed borrows a known one's forecasts and
// pays its own price.
func TestLikeBorrowsAColumn(t *testing.T) {
	known := newRouter(t, twoModels())
	free := carrot.Price{Input: carrot.Free, Output: carrot.Free}
	r, err := known.With(append(slices.Clone(known.Candidates()), carrot.Candidate{Name: "new", Like: "large", Price: &free}))
	if err != nil {
		t.Fatal(err)
	}
	d := route(t, r, carrot.Query{InputTokens: 1000}, best)
	large, added := d.Candidates[0], d.Candidates[2]
	if d.Model != "new" || added.Cost != 0 || added.Quality != large.Quality || added.OutputTokensP90 != large.OutputTokensP90 {
		t.Errorf("%s chosen: %+v, want new, as good as %+v and free", d.Model, added, large)
	}
	if len(known.Candidates()) != 2 {
		t.Errorf("With changed the router it was called on: %v", known.Candidates())
	}
	if r.Embedder() != known.Embedder() || r.Predictor() == nil || len(r.Frontier().Points) != len(handmade.Points) {
		t.Error("With did not keep the embedder, the predictor and the frontier")
	}
}

// trimmable is a predictor that can leave models out.
type trimmable struct{ carrot.Predictor }

func (n trimmable) Only(models []string) carrot.Predictor { return only{n.Predictor, models} }

type only struct {
	carrot.Predictor
	models []string
}

func (o only) Models() []string { return o.models }

func (o only) Predict(x []carrot.Representation, dst []carrot.Prediction) error {
	if err := o.Predictor.Predict(x, dst); err != nil {
		return err
	}
	for i := range dst {
		var kept []carrot.Forecast
		for _, model := range o.models {
			kept = append(kept, dst[i].Forecasts[slices.Index(o.Predictor.Models(), model)])
		}
		dst[i].Forecasts = kept
	}
	return nil
}

// newer forecasts one more model, like large, of which nothing was observed.
type newer struct{ hardness }

func (newer) Models() []string { return append(slices.Clone(hardnessModels), "newer") }

func (newer) Lender(model string) string {
	if model == "newer" {
		return "large"
	}
	return ""
}

func (n newer) Predict(x []carrot.Representation, dst []carrot.Prediction) error {
	err := n.hardness.Predict(x, dst)
	for i := range dst {
		dst[i].Forecasts = append(dst[i].Forecasts, dst[i].Forecasts[2])
	}
	return err
}

// A decision says whose forecasts a candidate borrows, and nothing is promised of it.
func TestBorrowed(t *testing.T) {
	c, _ := promising(t, 500)
	c.Predictor = newer{}
	c.Candidates = append(c.Candidates, carrot.Candidate{Name: "today", Like: "newer", Price: c.Candidates[0].Price})
	r := newRouter(t, c)
	q := carrot.Query{Text: "0.5"}
	d := route(t, r, q, best)
	for _, a := range d.Candidates {
		if want := map[string]string{"today": "large"}[a.Name]; a.Borrowed != want {
			t.Errorf("%s: borrowed from %q, want %q", a.Name, a.Borrowed, want)
		}
	}
	if want := "; its estimates are borrowed from large, as it was never observed"; d.Model != "today" || !strings.HasSuffix(d.Reason(), want) {
		t.Errorf("%s: %q, want today and a reason that ends in %q", d.Model, d.Reason(), want)
	}
	for _, text := range []string{"min-quality=0.8@0.6", "max-cost=0.01@0.6", "as-good-as-best@0.6"} {
		o, err := carrot.ParseObjective(text)
		if err != nil {
			t.Fatal(err)
		}
		if d, err = r.Route(t.Context(), q, o); err != nil {
			t.Fatal(err)
		}
		if a := d.Candidates[3]; d.Model == "today" || !strings.Contains(a.Excluded, "nothing is known to promise it on") {
			t.Errorf("%s: chose %s, today is excluded because %q", text, d.Model, a.Excluded)
		}
	}
	c.Candidates[3].Like = "nobody"
	if _, err := carrot.NewRouter(c); err == nil || !strings.HasSuffix(err.Error(), "it knows small, medium, large") {
		t.Errorf("error %v, want one that lists what was observed", err)
	}
}

// A trimmed router decides as the whole one does, from the models of its pool.
func TestTrim(t *testing.T) {
	c := twoModels()
	whole := newRouter(t, c)
	if whole.Trim() != whole {
		t.Error("a predictor that cannot leave models out is left alone")
	}
	c.Predictor = trimmable{c.Predictor}
	c.Candidates = append(slices.Clone(c.Candidates[1:]), carrot.Candidate{Name: "new", Like: c.Candidates[1].Name, Price: c.Candidates[1].Price})
	pool := newRouter(t, c)
	trimmed := pool.Trim()
	if got := trimmed.Predictor().Models(); !slices.Equal(got, []string{c.Candidates[0].Name}) {
		t.Errorf("it knows %v", got)
	}
	if got, want := route(t, trimmed, carrot.Query{InputTokens: 1000}, best), route(t, pool, carrot.Query{InputTokens: 1000}, best); !reflect.DeepEqual(got, want) {
		t.Errorf("decision %+v, want %+v", got, want)
	}
}

// The pool belongs to the router: a later change to the caller's slice is not
// seen.
func TestRouterKeepsItsPool(t *testing.T) {
	c := twoModels()
	r := newRouter(t, c)
	c.Candidates[0].Name = "renamed"
	if d := route(t, r, carrot.Query{}, best); d.Model != "large" {
		t.Errorf("%s chosen, want large", d.Model)
	}
}

func TestMaxOutputTokens(t *testing.T) {
	r := newRouter(t, twoModels())
	f := func(limit int, mean, p90 float64) {
		t.Helper()
		a := route(t, r, carrot.Query{InputTokens: 1000, MaxOutputTokens: limit}, best).Candidates[0]
		if a.OutputTokens != mean || a.OutputTokensP90 != p90 || a.Cost != expected(1000, mean) || a.CostP90 != expected(1000, p90) {
			t.Errorf("limit %d: %v (90%%: %v) output tokens for %v (%v), want %v (%v)", limit, a.OutputTokens, a.OutputTokensP90, a.Cost, a.CostP90, mean, p90)
		}
	}
	f(0, 1200, 2000) // no limit
	f(5000, 1200, 2000)
	f(1500, 1200, 1500)
	f(100, 100, 100)
}

// A candidate's own limit caps its forecast too, and several answers add up.
func TestAnswersAndOwnLimit(t *testing.T) {
	c := twoModels()
	c.Candidates[0].MaxOutputTokens = 700
	a := route(t, newRouter(t, c), carrot.Query{InputTokens: 1000, MaxOutputTokens: 900, Answers: 3}, best).Candidates[0]
	if a.OutputTokens != 2100 || a.OutputTokensP90 != 2100 || a.Cost != expected(1000, 2100) {
		t.Errorf("%v (90%%: %v) output tokens for %v, want 3 × 700 for %v", a.OutputTokens, a.OutputTokensP90, a.Cost, expected(1000, 2100))
	}
}

// A candidate with settings of its own differs from the model it is like by what
// it is said to.
func TestAdjusted(t *testing.T) {
	for _, test := range []struct{ shift, factor, quality, output float64 }{{0, 0, 0.9, 1200}, {0.05, 2, 0.95, 2400}, {0.5, 1, 1, 1200}, {-2, 0.5, 0, 600}} {
		c := twoModels()
		c.Candidates[0].QualityShift, c.Candidates[0].OutputFactor = test.shift, test.factor
		a := route(t, newRouter(t, c), carrot.Query{InputTokens: 1000}, best).Candidates[0]
		if math.Abs(a.Quality-test.quality) > 1e-12 || a.OutputTokens != test.output || a.Cost != expected(1000, test.output) {
			t.Errorf("shift %v, factor %v: quality %v with %v output tokens for %v, want %v with %v", test.shift, test.factor, a.Quality, a.OutputTokens, a.Cost, test.quality, test.output)
		}
	}
}

// A model's own count of the input decides its cost and whether the query fits.
func TestInputFactor(t *testing.T) {
	price := &carrot.Price{Input: 1_000_000, Output: 1_000_000}
	c := carrot.Candidate{Name: "large", Price: price, InputFactor: 1.2, Model: carrot.Model{ContextTokens: 1500}}
	for _, test := range []struct {
		query    carrot.Query
		want     int
		excluded bool
	}{
		{carrot.Query{InputTokens: 1000}, 1200, false},
		{carrot.Query{InputTokens: 1000, InputFactors: map[string]float64{"small": 9}}, 1200, false},
		{carrot.Query{InputTokens: 1000, InputFactors: map[string]float64{"large": 1.6}}, 1600, true},
		{carrot.Query{InputTokens: 1000, InputFactors: map[string]float64{"large": 1}}, 1000, false},
	} {
		e, err := c.Estimate(&test.query, &carrot.Forecast{})
		if err != nil || e.InputTokens != test.want || e.Cost != carrot.USD(test.want)*1_000_000 {
			t.Errorf("%+v: %d input tokens for %v, %v, want %d", test.query, e.InputTokens, e.Cost, err, test.want)
		}
		if why := c.Excludes(&test.query); (why != "") != test.excluded {
			t.Errorf("%+v: excluded because %q, want %v", test.query, why, test.excluded)
		}
	}
}

// Tokens in a candidate's prompt cache are estimated at the cached price, so
// that leaving the model that served last must pay for itself.
func TestCachedTokens(t *testing.T) {
	c := twoModels()
	c.Candidates[0].Price = &carrot.Price{Input: carrot.PerMillion(10), CachedInput: carrot.PerMillion(1), Output: carrot.Free}
	r := newRouter(t, c)
	for _, test := range []struct{ cached, want int }{{0, 0}, {800, 800}, {5000, 1000}} {
		d := route(t, r, carrot.Query{InputTokens: 1000, CachedTokens: map[string]int{"large": test.cached}}, best)
		a := d.Candidates[0]
		want := cost(t, *c.Candidates[0].Price, carrot.Usage{Input: 1000 - test.want, CachedInput: test.want})
		if a.CachedTokens != test.want || a.Cost != want || a.CostP90 != want {
			t.Errorf("%d cached: estimated %d cached for %v (%v), want %d for %v", test.cached, a.CachedTokens, a.Cost, a.CostP90, test.want, want)
		}
		if d.Candidates[1].CachedTokens != 0 {
			t.Errorf("small has %d cached tokens, want none", d.Candidates[1].CachedTokens)
		}
	}
}

// Recorded input tokens are taken as they are; without them the text is
// counted.
func TestInputTokens(t *testing.T) {
	c := twoModels()
	counted := 0
	c.CountTokens = func(text string) int { counted++; return words(text) }
	r := newRouter(t, c)
	if a := route(t, r, carrot.Query{Text: "one two three"}, best).Candidates[0]; a.InputTokens != 3 || counted != 1 {
		t.Errorf("none recorded: %d input tokens after %d counts, want 3 after 1", a.InputTokens, counted)
	}
	if a := route(t, r, carrot.Query{Text: "one two three", InputTokens: 7}, best).Candidates[0]; a.InputTokens != 7 || counted != 1 {
		t.Errorf("7 recorded: %d input tokens after %d counts, want 7 after 1", a.InputTokens, counted)
	}
}

// Data that carry costs and no tokens need no price.
func TestDirectCosts(t *testing.T) {
	c := twoModels()
	c.Candidates = []carrot.Candidate{{Name: "large"}, {Name: "small", Price: &gpt4o}}
	direct := carrot.Forecast{Quality: 0.5, CostUSD: 0.002, CostUSDP90: 0.005, Direct: true}
	c.Predictor = fakePredictor{models: []string{"small", "large"}, forecasts: []carrot.Forecast{direct, direct}}
	for _, a := range route(t, newRouter(t, c), carrot.Query{InputTokens: 1000}, best).Candidates {
		if a.Cost != carrot.Dollars(0.002) || a.CostP90 != carrot.Dollars(0.005) {
			t.Errorf("%s costs %v (90%%: %v), want $0.002 ($0.005)", a.Name, a.Cost, a.CostP90)
		}
	}
}

// Many callers share a router; the race detector watches, and no decision
// sees another's scratch.
func TestRouteConcurrently(t *testing.T) {
	r := newRouter(t, twoModels())
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			text := []string{"known", "? unknown"}[i%2]
			for n := range 200 {
				d, err := r.Route(context.Background(), carrot.Query{Text: text, InputTokens: 1 + n}, best)
				if err != nil || d.Model != "large" || d.Abstained != (i%2 == 1) || d.Candidates[0].InputTokens != 1+n {
					t.Errorf("Route(%q, %d tokens) = %+v, %v", text, 1+n, d, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// Routing itself allocates little more than the decision it returns.
func TestRouteAllocations(t *testing.T) {
	r := newRouter(t, twoModels())
	ctx, q := t.Context(), carrot.Query{Text: "one two three", InputTokens: 3}
	if got := testing.AllocsPerRun(1000, func() {
		if _, err := r.Route(ctx, q, carrot.Balanced); err != nil {
			t.Fatal(err)
		}
	}); got > 5 {
		t.Errorf("Route allocates %v times, want at most 5", got)
	}
}

func BenchmarkRoute(b *testing.B) {
	r, err := carrot.NewRouter(twoModels())
	if err != nil {
		b.Fatal(err)
	}
	q := carrot.Query{Text: "one two three", InputTokens: 3}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Route(b.Context(), q, carrot.Balanced); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRouteImpossibleForecast: nothing is decided on a forecast that cannot be true.
func TestRouteImpossibleForecast(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	good := carrot.Forecast{Quality: 0.5, QualitySE: 0.02, QualityNoise: 0.4, OutputTokens: 300, OutputTokensP90: 500}
	for name, edit := range map[string]func(*carrot.Forecast){
		"quality NaN":          func(f *carrot.Forecast) { f.Quality = nan },
		"quality above 1":      func(f *carrot.Forecast) { f.Quality = 1.001 },
		"quality below 0":      func(f *carrot.Forecast) { f.Quality = -0.001 },
		"error NaN":            func(f *carrot.Forecast) { f.QualitySE = nan },
		"error negative":       func(f *carrot.Forecast) { f.QualitySE = -1 },
		"noise NaN":            func(f *carrot.Forecast) { f.QualityNoise = nan },
		"noise negative":       func(f *carrot.Forecast) { f.QualityNoise = -1 },
		"tokens negative":      func(f *carrot.Forecast) { f.OutputTokens = -1 },
		"tokens infinite":      func(f *carrot.Forecast) { f.OutputTokens = inf },
		"tokens P90 NaN":       func(f *carrot.Forecast) { f.OutputTokensP90 = nan },
		"cost negative":        func(f *carrot.Forecast) { f.Direct, f.CostUSD = true, -1 },
		"cost infinite":        func(f *carrot.Forecast) { f.Direct, f.CostUSD = true, inf },
		"cost P90 not finite":  func(f *carrot.Forecast) { f.Direct, f.CostUSDP90 = true, nan },
		"of a model not asked": func(f *carrot.Forecast) { f.Quality = nan },
	} {
		bad := good
		edit(&bad)
		c := twoModels()
		c.Predictor = fakePredictor{models: []string{"small", "large"}, forecasts: []carrot.Forecast{good, bad}}
		query := carrot.Query{Text: "x"}
		if name == "of a model not asked" {
			query.Models = []string{"small"}
		}
		d, err := newRouter(t, c).Route(t.Context(), query, carrot.Balanced)
		if !errors.Is(err, carrot.ErrForecast) || !strings.Contains(err.Error(), `"large"`) || d.Model != "" {
			t.Errorf("%s: Route = %q, %v, want ErrForecast that names the model", name, d.Model, err)
		}
	}
	c := twoModels()
	c.Predictor = fakePredictor{models: []string{"small", "large"}, forecasts: []carrot.Forecast{good}}
	if _, err := newRouter(t, c).Route(t.Context(), carrot.Query{Text: "x"}, carrot.Balanced); !errors.Is(err, carrot.ErrForecast) {
		t.Errorf("Route with one forecast for two models = %v, want ErrForecast", err)
	}
}
