// Package train fits a router on a data set: it embeds the prompts, fits and
// calibrates a predictor, chooses how cautious it should be, and records the
// frontier that named objectives are read from.
//
// It never reads rows marked test: [Trainable] leaves them out.
//
//	task, err := train.Prepare(ctx, set, embedder, nil)
//	predictor, err := task.Fit(ctx, train.Trainable(set), spec, nil)
package train

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/price"
)

// Task is a data set ready for fitting: its pool's outcomes with the queries'
// representations and the observed costs.
type Task struct {
	Set    *dataset.Set            // the pool's columns only
	X      []carrot.Representation // one per query
	Prices []*carrot.Price         // one per model; nil where outcomes carry costs
	Cost   dataset.Matrix          // observed USD per query; NaN not observed
	// Embedder names what made X.
	Embedder string
	// PerCall, if not nil, is what a call of each model counts as, whatever
	// its tokens: see PrepareCalls.
	PerCall []float64
}

// Prepare restricts set to its pool, embeds the prompts and prices the
// outcomes: a recorded cost counts as it is, else tokens are priced by book, or
// by the set's models.json if book is nil. A model without a price is an error
// that names it, unless its outcomes carry costs.
func Prepare(ctx context.Context, set *dataset.Set, embedder carrot.Embedder, book *price.Book) (*Task, error) {
	t, err := newTask(set)
	if err != nil {
		return nil, err
	}
	if err := t.Reprice(book); err != nil {
		return nil, err
	}
	return t, t.embed(ctx, embedder)
}

// newTask restricts set to its pool.
func newTask(set *dataset.Set) (*Task, error) {
	pool := set.Pool()
	if len(pool) == 0 { // to Subset it would mean all
		return nil, fmt.Errorf("data set %s: no model is in the pool", set.Name)
	}
	return &Task{Set: set.Subset(nil, pool), X: make([]carrot.Representation, len(set.Queries))}, nil
}

func (t *Task) embed(ctx context.Context, embedder carrot.Embedder) error {
	t.Embedder = embedder.ID()
	texts := make([]string, len(t.X))
	for i, q := range t.Set.Queries {
		texts[i] = q.Prompt
	}
	if err := embedder.Embed(ctx, texts, t.X); err != nil {
		return fmt.Errorf("embed prompts of %s: %w", t.Set.Name, err)
	}
	return nil
}

// PrepareCalls is Prepare with the share of calls to the model named strong as
// the cost: it needs no prices and no tokens.
func PrepareCalls(ctx context.Context, set *dataset.Set, embedder carrot.Embedder, strong string) (*Task, error) {
	t, err := newTask(set)
	if err != nil {
		return nil, err
	}
	t.Prices, t.Cost = make([]*carrot.Price, len(t.Set.Models)), dataset.NewMatrix(len(t.X), len(t.Set.Models))
	if err := t.countCalls(strong); err != nil {
		return nil, err
	}
	return t, t.embed(ctx, embedder)
}

// Reprice replaces the prices and the observed costs that follow from them.
func (t *Task) Reprice(book *price.Book) error {
	t.Prices = make([]*carrot.Price, len(t.Set.Models))
	t.Cost = dataset.NewMatrix(len(t.Set.Queries), len(t.Set.Models))
	for m := range t.Set.Models {
		p, err := priceOf(&t.Set.Models[m], book)
		if err != nil && !t.carriesCosts(m) {
			return fmt.Errorf("data set %s: %w", t.Set.Name, err)
		}
		t.Prices[m] = p
		for i := range t.Set.Queries {
			t.Cost.Set(i, m, t.observedCost(i, m))
		}
	}
	return nil
}

func priceOf(m *dataset.Model, book *price.Book) (*carrot.Price, error) {
	if book != nil {
		p, err := book.Price(m.Name)
		if err != nil {
			return nil, err
		}
		return &p, nil
	}
	if !m.Priced() {
		return nil, fmt.Errorf("model %q: %w in models.json: add input_usd_per_million and output_usd_per_million, or give --prices", m.Name, price.ErrNoPrice)
	}
	e := price.Entry{Name: m.Name, Input: m.InputUSDPerMillion, Output: m.OutputUSDPerMillion,
		CachedInput: m.CachedInputUSDPerMillion, CacheWrite: m.CacheWriteUSDPerMillion, Reasoning: m.ReasoningUSDPerMillion}
	p := e.Price()
	return &p, nil
}

// carriesCosts reports whether some outcome of model m has a recorded cost.
func (t *Task) carriesCosts(m int) bool {
	for i := range t.Set.CostUSD.Rows {
		if !math.IsNaN(t.Set.CostUSD.At(i, m)) {
			return true
		}
	}
	return false
}

// observedCost is the cost of an outcome in USD: recorded, or tokens × price;
// NaN if neither is known. Cached tokens are part of the input, reasoning
// tokens of the output.
func (t *Task) observedCost(i, m int) float64 {
	if t.Set.CostUSD.Rows > 0 {
		if c := t.Set.CostUSD.At(i, m); !math.IsNaN(c) {
			return c
		}
	}
	in, out, p := t.Set.InputTokens.At(i, m), t.Set.OutputTokens.At(i, m), t.Prices[m]
	if p == nil || math.IsNaN(in) || math.IsNaN(out) {
		return math.NaN()
	}
	part := func(table dataset.Matrix, of float64) int {
		if table.Rows == 0 || math.IsNaN(table.At(i, m)) {
			return 0
		}
		return int(min(table.At(i, m), of))
	}
	cached, reasoning := part(t.Set.CachedTokens, in), part(t.Set.ReasoningTokens, out)
	cost, err := p.Cost(carrot.Usage{Input: int(in) - cached, CachedInput: cached, Output: int(out) - reasoning, Reasoning: reasoning})
	if err != nil {
		return math.NaN()
	}
	return cost.Float()
}

// PredictedCost is the cost in USD that forecast f means for model m on query
// i, with the query's recorded input tokens (their mean over the models that
// have them, where this one's are not recorded).
func (t *Task) PredictedCost(i, m int, f *carrot.Forecast) float64 {
	if t.PerCall != nil {
		return t.PerCall[m]
	}
	if f.Direct || t.Prices[m] == nil {
		return f.CostUSD
	}
	in := t.Set.InputTokens.At(i, m)
	if math.IsNaN(in) {
		in = meanObserved(t.Set.InputTokens.Row(i))
	}
	candidate := carrot.Candidate{Price: t.Prices[m]}
	e, err := candidate.Estimate(&carrot.Query{InputTokens: int(math.Round(in))}, f)
	if err != nil || e.CostUnknown {
		return math.NaN()
	}
	return e.Cost.Float()
}

// countCalls makes cost the share of calls to the model named strong: 1 for a
// call of it, 0 for another's, as RouteLLM measures a pair.
func (t *Task) countCalls(strong string) error {
	at := slices.Index(t.ModelNames(), strong)
	if at < 0 {
		return fmt.Errorf("data set %s: no model %q in the pool; there is %s", t.Set.Name, strong, strings.Join(t.ModelNames(), ", "))
	}
	t.PerCall = make([]float64, len(t.Set.Models))
	t.PerCall[at] = 1
	for i := range t.Set.Queries {
		for m, cost := range t.PerCall {
			t.Cost.Set(i, m, cost)
		}
	}
	return nil
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

// Trainable lists the rows that may be trained on: all but those marked test.
func Trainable(set *dataset.Set) []int {
	var rows []int
	for i, q := range set.Queries {
		if q.Split != "test" {
			rows = append(rows, i)
		}
	}
	return rows
}

// ModelNames lists the names of the pool.
func (t *Task) ModelNames() []string {
	names := make([]string, len(t.Set.Models))
	for m := range t.Set.Models {
		names[m] = t.Set.Models[m].Name
	}
	return names
}

// Data is the predictor's view of the given rows.
func (t *Task) Data(rows []int) predict.Data {
	models := len(t.Set.Models)
	d := predict.Data{Models: t.ModelNames(), X: make([]carrot.Representation, len(rows)),
		Score: make([]float64, len(rows)*models), OutputTokens: make([]float64, len(rows)*models), Hash: make([]uint64, len(rows))}
	if t.Set.CostUSD.Rows > 0 {
		d.CostUSD = make([]float64, len(rows)*models)
	}
	for k, i := range rows {
		d.X[k] = t.X[i]
		copy(d.Score[k*models:], t.Set.Score.Row(i))
		copy(d.OutputTokens[k*models:], t.Set.OutputTokens.Row(i))
		if d.CostUSD != nil {
			copy(d.CostUSD[k*models:], t.Set.CostUSD.Row(i))
		}
		for m, p := range t.Prices {
			if p == nil && t.PerCall == nil { // tokens without a price forecast no cost: its own is forecast
				d.OutputTokens[k*models+m] = math.NaN()
			}
		}
		h := fnv.New64a()
		h.Write([]byte(t.Set.Queries[i].Prompt))
		d.Hash[k] = h.Sum64()
	}
	return d
}

// Fit fits a predictor on the given rows. A blend without a caution of its own
// gets the one of Caution.
func (t *Task) Fit(ctx context.Context, rows []int, spec predict.Spec, progress func(string)) (*predict.Predictor, error) {
	if progress == nil {
		progress = func(string) {}
	}
	p := predict.New(spec)
	if err := p.Fit(ctx, t.Data(rows), progress); err != nil {
		return nil, err
	}
	if spec.Name == "blend" && spec.Caution == 0 {
		caution, err := t.caution(ctx, p, rows, progress)
		if err != nil {
			return nil, err
		}
		progress(fmt.Sprintf("caution %g", caution))
		if err := p.SetCaution(caution); err != nil {
			return nil, err
		}
	}
	return p, nil
}
