package carrot_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
)

// promise reads an objective that is known to be right.
func promise(text string) carrot.Objective {
	o, err := carrot.ParseObjective(text)
	if err != nil {
		panic(err)
	}
	return o
}

// hardness predicts three models by how hard the query is, which its text says as a
// number: small, medium and large succeed with a probability that falls with it.
type hardness struct{ abstain bool }

var hardnessModels = []string{"small", "medium", "large"}

// chance is how likely a model succeeds.
func (hardness) chance(m int, hard float64) float64 {
	return 1 / (1 + math.Exp(6*hard-2*float64(m)-1))
}

func (hardness) tokens(m int, hard float64) float64 { return 50 * float64(m+1) * (1 + 4*hard) }

func (hardness) Models() []string { return hardnessModels }

func (h hardness) Predict(x []carrot.Representation, dst []carrot.Prediction) error {
	for i := range x {
		hard := float64(x[i].Dense[0])
		dst[i] = carrot.Prediction{Abstained: h.abstain, Forecasts: make([]carrot.Forecast, 3)}
		for m := range 3 {
			dst[i].Forecasts[m] = carrot.Forecast{Quality: h.chance(m, hard), OutputTokens: h.tokens(m, hard), OutputTokensP90: 2 * h.tokens(m, hard)}
		}
	}
	return nil
}

// numbers embeds a text that is a number.
type numbers struct{ fakeEmbedder }

func (numbers) Embed(_ context.Context, texts []string, dst []carrot.Representation) error {
	for i, text := range texts {
		v, err := strconv.ParseFloat(text, 32)
		if err != nil {
			return err
		}
		dst[i].Dense = []float32{float32(v)}
	}
	return nil
}

// promising is a router of three models with n held-out queries. outcome draws what
// happens on further ones.
func promising(t *testing.T, n int) (c carrot.Config, outcome func(hard float64, m int) (score, tokens float64)) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var h hardness
	outcome = func(hard float64, m int) (score, tokens float64) {
		if r.Float64() < h.chance(m, hard) {
			score = 1
		}
		return score, h.tokens(m, hard) * math.Exp(0.5*r.NormFloat64()-0.125)
	}
	hold := &carrot.Holdout{Models: hardnessModels, Direct: make([]bool, 3)}
	for range n {
		hard := r.Float64()
		hold.InputTokens = append(hold.InputTokens, 100)
		for m := range 3 {
			score, tokens := outcome(hard, m)
			hold.Quality, hold.Score = append(hold.Quality, float32(h.chance(m, hard))), append(hold.Score, float32(score))
			hold.Volume, hold.Observed = append(hold.Volume, float32(h.tokens(m, hard))), append(hold.Observed, float32(tokens))
		}
	}
	price := func(usd float64) *carrot.Price {
		return &carrot.Price{Input: carrot.PerMillion(usd), Output: carrot.PerMillion(4 * usd)}
	}
	return carrot.Config{Embedder: numbers{}, Predictor: h, CountTokens: func(string) int { return 100 }, Holdout: hold, Frontier: handmade,
		Candidates: []carrot.Candidate{{Name: "small", Price: price(0.1)}, {Name: "medium", Price: price(1)}, {Name: "large", Price: price(10)}}}, outcome
}

// Promises are kept on queries that nobody has seen, about as often as stated.
func TestPromisesAreKept(t *testing.T) {
	c, outcome := promising(t, 4000)
	r := newRouter(t, c)
	draw := rand.New(rand.NewPCG(3, 3))
	for _, text := range []string{"min-quality=0.8@0.8", "min-quality=1@0.9", "as-good-as-best@0.8", "as-good-as-best@0.9",
		"max-cost=0.001@0.9", "max-cost=0.004@0.8", "usd-per-quality=0.02,max-cost=0.002@0.9", "min-quality=1@0.7,max-cost=0.001@0.9"} {
		o, err := carrot.ParseObjective(text)
		if err != nil {
			t.Fatal(err)
		}
		promises, err := r.Promises(o, nil)
		if err != nil {
			t.Fatal(err)
		}
		const n = 4000
		made := 0.0
		kept := make([]float64, len(promises))
		for range n {
			hard := draw.Float64()
			d, err := r.Route(t.Context(), carrot.Query{Text: strconv.FormatFloat(hard, 'g', -1, 32)}, o)
			if errors.Is(err, carrot.ErrInfeasible) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			made++
			best, _ := outcome(hard, 2)
			for k, p := range promises {
				score, tokens := best, 0.0
				for m, a := range d.Candidates {
					if a.Name == d.Model && a.Name != p.AsGoodAs {
						score, tokens = outcome(hard, m)
					}
				}
				price := d.Chosen().Cost.Float() / (100 + 4*d.Chosen().OutputTokens) // of an input token
				ok := score >= p.MinScore
				if p.MaxCostUSD > 0 {
					ok = price*(100+4*tokens) <= p.MaxCostUSD
				} else if p.AsGoodAs != "" {
					ok = score >= best
				}
				if ok {
					kept[k]++
				}
			}
		}
		if made == 0 {
			t.Fatalf("%s: never feasible", text)
		}
		for k, p := range promises {
			share := kept[k] / made
			if share < p.Stated-0.02 || p.Binds && share > p.Stated+0.05 { // a point for calibration, one for 4,000 draws
				t.Errorf("%s: %s was kept on %.3f of the queries", text, p.Promise, share)
			}
			if math.Abs(p.Feasible-made/n) > 0.03 || math.Abs(p.Kept-share) > 0.03 {
				t.Errorf("%s: %s is said to be feasible for %.3f and kept on %.3f, but was for %.3f and on %.3f", text, p.Promise, p.Feasible, p.Kept, made/n, share)
			}
		}
	}
}

// An infeasible promise is an error that names one that is feasible.
func TestInfeasible(t *testing.T) {
	c, _ := promising(t, 2000)
	r := newRouter(t, c)
	refused := func(r *carrot.Router, q carrot.Query, objective string, want ...string) {
		t.Helper()
		o, err := carrot.ParseObjective(objective)
		if err != nil {
			t.Fatal(err)
		}
		d, err := r.Route(t.Context(), q, o)
		if !errors.Is(err, carrot.ErrInfeasible) || !errors.Is(err, carrot.ErrNoCandidate) || d.Model != "" {
			t.Fatalf("%s: %v chooses %q, want ErrInfeasible", objective, err, d.Model)
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q, want it to say %q", objective, err, part)
			}
		}
	}
	hard := carrot.Query{Text: "0.9"}
	refused(r, hard, "min-quality=1@0.9", "no candidate keeps the promise min-quality=1@0.9", "large comes closest, and min-quality=1@0.", "could be promised of it")
	refused(r, hard, "max-cost=0.0000001@0.9", "small could be held to about $0.0001")
	refused(r, hard, "max-cost=0.0000001", "small could be held to about $0.0001")
	refused(r, hard, "min-quality=1@0.6,max-cost=0.0001@0.9", "min-quality=1@0.6 cannot be promised", "small could be held to about $0.0001")
	refused(r, hard, "cheap,min-quality=1@0.9999999", "large comes closest, and min-quality=1@0.")

	// What the error offers is accepted.
	_, err := r.Route(t.Context(), hard, promise("min-quality=1@0.9"))
	offer := err.Error()[strings.LastIndex(err.Error(), "and ")+4:]
	offer, _, _ = strings.Cut(offer, " ")
	o, err := carrot.ParseObjective(offer)
	if err != nil {
		t.Fatalf("the offer %q: %v", offer, err)
	}
	if d := route(t, r, hard, o); d.Model != "large" {
		t.Errorf("%s chooses %s, want large, of which it was offered", offer, d.Model)
	}

	novel := c
	novel.Predictor = hardness{abstain: true}
	refused(newRouter(t, novel), carrot.Query{Text: "0.1"}, "min-quality=1@0.7", "not promised for a query unlike the training data")
	if d := route(t, newRouter(t, novel), carrot.Query{Text: "0.1"}, promise("as-good-as-best@0.9")); d.Model != "large" {
		t.Errorf("on a novel query %s is as good as the best, want the best itself", d.Model)
	}

	// A model that borrows its estimates has shown nothing.
	like := c
	like.Candidates = []carrot.Candidate{{Name: "new", Like: "large", Price: c.Candidates[2].Price}}
	refused(newRouter(t, like), carrot.Query{Text: "0.1"}, "min-quality=1@0.7", "it cannot be promised of any model")

	// A model without a price matters only where it may answer.
	unpriced := c
	unpriced.Candidates = append([]carrot.Candidate{{Name: "large"}}, c.Candidates[:2]...)
	easy := carrot.Query{Text: "0.1", Models: []string{"small", "medium"}}
	if d := route(t, newRouter(t, unpriced), easy, promise("min-quality=1@0.7")); d.Model != "small" {
		t.Errorf("without large %s is chosen, want small", d.Model)
	}

	without := c
	without.Holdout = nil
	if _, err := newRouter(t, without).Route(t.Context(), hard, promise("min-quality=1@0.5")); err == nil || !strings.Contains(err.Error(), "no held-out queries") {
		t.Errorf("without a holdout: %v", err)
	}
	if d := route(t, newRouter(t, without), hard, promise("max-cost=0.002")); d.Model != "medium" {
		t.Errorf("a cap on the expected cost chooses %s, want medium: it needs no holdout", d.Model)
	}
}

// A decision says which promise each candidate does not keep, and the request's own limit
// of tokens makes a cost certain.
func TestPromiseInDecision(t *testing.T) {
	c, _ := promising(t, 2000)
	r := newRouter(t, c)
	o := promise("max-cost=0.0008@0.95")
	d := route(t, r, carrot.Query{Text: "0.5"}, o)
	if d.Model != "small" || !strings.HasSuffix(d.Reason(), "of those that keep max-cost=0.0008@0.95") {
		t.Errorf("%s: %s", d.Model, d.Reason())
	}
	if why := d.Candidates[1].Excluded; !strings.HasPrefix(why, "max-cost=0.0008@0.95: its own probability is 0.") {
		t.Errorf("medium is excluded because %q", why)
	}
	if d := route(t, r, carrot.Query{Text: "0.5", MaxOutputTokens: 150}, o); d.Model != "medium" {
		t.Errorf("with at most 150 tokens, of $0.0007, %s is chosen, want medium", d.Model)
	}
	if d := route(t, r, carrot.Query{Text: "0.5", MaxOutputTokens: 150, Answers: 2}, o); d.Model != "small" {
		t.Errorf("with two answers %s is chosen, want small", d.Model)
	}
}
