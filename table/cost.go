package table

import (
	"fmt"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/price"
)

// price sets the candidates' prices and the cost of every outcome.
func (t *Table) price(book *price.Book) error {
	t.unpriced = make([]bool, len(t.Candidates))
	for m := range t.Candidates {
		p, err := priceOf(&t.Set.Models[m], book)
		recorded, tokens := observed(t.Set.CostUSD, m), observed(t.Set.OutputTokens, m)
		if err != nil && tokens && !recorded {
			return err
		}
		if t.unpriced[m] = !recorded && !tokens; !t.unpriced[m] {
			t.Candidates[m].Price = p
		}
		for i := range t.Set.Queries {
			t.Cost.Set(i, m, t.Set.ObservedCost(i, m, t.Candidates[m].Price))
		}
	}
	return nil
}

// checkUnpriced returns an error if some models are unpriced and others are not,
// except for the models to keep.
func (t *Table) checkUnpriced(keep []string) error {
	for _, name := range keep {
		if !slices.Contains(t.ModelNames(), name) {
			return fmt.Errorf("data set %s: keep a model at an unknown cost: %w", t.Set.Name, t.unknownModel(name))
		}
	}
	unpriced := t.Unpriced()
	if len(unpriced) == len(t.Candidates) { // the table is about quality only
		return nil
	}
	unpriced = slices.DeleteFunc(unpriced, func(name string) bool { return slices.Contains(keep, name) })
	if len(unpriced) == 0 {
		return nil
	}
	return &UnpricedError{t.Set.Name, unpriced}
}

func (t *Table) isUnpriced(m int) bool { return t.unpriced != nil && t.unpriced[m] }

// priced lists the models whose cost is known.
func (t *Table) priced() []int {
	var models []int
	for m := range t.Candidates {
		if !t.isUnpriced(m) {
			models = append(models, m)
		}
	}
	return models
}

// pricesTokens reports whether the cost of a call of model m follows from its
// tokens, or is fixed.
func (t *Table) pricesTokens(m int) bool { return t.PerCall != nil || t.Candidates[m].Price != nil }

// priceOf returns the price of a model in a book or, if that is nil, in
// models.json.
func priceOf(m *dataset.Model, book *price.Book) (*carrot.Price, error) {
	if book != nil {
		p, err := book.Price(m.Name)
		if err != nil {
			return nil, err
		}
		return &p, nil
	}
	p := m.Price()
	if p == nil {
		return nil, fmt.Errorf("model %q: %w in models.json: add input_usd_per_million and output_usd_per_million, or give a price book", m.Name, price.ErrNoPrice)
	}
	return p, nil
}

// observed reports whether a matrix has a value for model m on some query.
func observed(of dataset.Matrix, m int) bool {
	for i := range of.Rows {
		if !math.IsNaN(of.At(i, m)) {
			return true
		}
	}
	return false
}

// countCalls sets the cost of a call to 1 for the model named strong and to 0 for
// every other.
func (t *Table) countCalls(strong string) error {
	at := slices.Index(t.ModelNames(), strong)
	if at < 0 {
		return t.unknownModel(strong)
	}
	t.PerCall = make([]float64, len(t.Candidates))
	t.PerCall[at] = 1
	for i := range t.Set.Queries {
		copy(t.Cost.Row(i), t.PerCall)
	}
	return nil
}

// PredictedCost returns the cost in USD that a router expects of a call of model m
// on query i, given the forecast f. It is that of [carrot.Candidate.Estimate] with
// the recorded input tokens of the query or, if this model has none, with their
// mean over the models that do. An unknown cost is [math.MaxFloat64], so that
// [carrot.Choose] picks the model only where cost does not matter, as a router
// does.
func (t *Table) PredictedCost(i, m int, f *carrot.Forecast) float64 {
	if t.PerCall != nil {
		return t.PerCall[m]
	}
	in := t.Set.InputTokens.At(i, m)
	if math.IsNaN(in) {
		in = meanObserved(t.Set.InputTokens.Row(i))
	}
	e, err := t.Candidates[m].Estimate(&carrot.Query{InputTokens: int(math.Round(in))}, f)
	if err != nil || e.CostUnknown {
		return math.MaxFloat64
	}
	return e.Cost.Float()
}

func meanObserved(row []float64) float64 {
	var sum, n float64
	for _, v := range row {
		if !math.IsNaN(v) {
			sum += v
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / n
}
