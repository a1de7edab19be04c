// Package table holds recorded outcomes in the form that training and
// evaluation share: the models of the pool, every prompt's representation, and
// the cost of every call, past or forecast, at the price that the router itself
// would use.
//
//	t, err := table.New(context.Background(), set, static, table.Options{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	for m, name := range t.ModelNames() {
//		fmt.Printf("%s: score %.0f for $%.6f\n", name, t.Set.Score.At(0, m), t.Cost.At(0, m))
//	}
//	fmt.Printf("expected of large: $%.6f\n", t.PredictedCost(0, 1, &carrot.Forecast{OutputTokens: 80}))
package table

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/price"
)

// Table is a data set with representations and costs. Rows are queries and
// columns are models, as in Set. Programs that read a table must not change it.
type Table struct {
	// Set holds the outcomes of the pool's models only.
	Set *dataset.Set
	// X has one representation for each query.
	X []carrot.Representation
	// Embedder is the ID of the embedder that made X.
	Embedder string
	// Candidates has one for each model, with the price of its tokens. The price
	// is nil if outcomes carry costs and no price is known, or if there are no
	// tokens to price.
	Candidates []carrot.Candidate
	// Cost holds what each call cost, in USD; NaN where that is unknown.
	Cost dataset.Matrix
	// PerCall, if not nil, is the cost of a call of each model, regardless of
	// its tokens: see Options.CountCalls.
	PerCall []float64

	asides   []carrot.Representation
	unpriced []bool // by model, see Unpriced; nil if none is
}

// Options of New. The zero value works.
type Options struct {
	// Book has the prices of tokens. If it is nil, they are those in the set's
	// models.json.
	Book *price.Book
	// CountCalls, if not empty, names a model whose calls cost 1, while those of
	// all others cost 0, as RouteLLM measures a pair of models. Then neither
	// prices nor tokens are needed.
	CountCalls string
	// KeepUnpriced names models to keep although their cost is unknown, which
	// would otherwise be an UnpricedError.
	KeepUnpriced []string
}

// UnpricedError is returned for models that have neither output tokens nor
// recorded costs on any query, while other models of the pool do. The cost of a
// call of such a model is unknown, which is not the same as zero.
type UnpricedError struct {
	Set    string   // the name of the data set
	Models []string // in the order of the pool
}

// Error names the models and what to do.
func (e *UnpricedError) Error() string {
	names := make([]string, len(e.Models))
	for i, name := range e.Models {
		names[i] = strconv.Quote(name)
	}
	models, cost, them := "model "+names[0]+" has", "its cost is", "it"
	if len(names) > 1 {
		models, cost, them = "models "+strings.Join(names, ", ")+" have", "their costs are", "them"
	}
	return fmt.Sprintf("data set %s: %s scores but neither tokens nor cost_usd on any query, so %s unknown: "+
		"record tokens or cost_usd, or set \"pool\": false for %s in models.json", e.Set, models, cost, them)
}

// New restricts a set to its pool, prices the outcomes and embeds the prompts.
// The cost of an outcome is the recorded one or, without one, the price of its
// tokens. A model with tokens and no price is an error that wraps
// [price.ErrNoPrice] and names it, unless its outcomes carry costs. If some models
// have neither tokens nor costs and others do, the error is an [*UnpricedError].
func New(ctx context.Context, set *dataset.Set, embedder carrot.Embedder, o Options) (*Table, error) {
	pool := set.Pool()
	if len(pool) == 0 { // which Subset would take to mean all
		return nil, fmt.Errorf("data set %s: no model is in the pool", set.Name)
	}
	t := &Table{Set: set.Subset(nil, pool), Embedder: embedder.ID(), X: make([]carrot.Representation, len(set.Queries)),
		Candidates: make([]carrot.Candidate, len(pool)), Cost: dataset.NewMatrix(len(set.Queries), len(pool))}
	for m := range t.Candidates {
		t.Candidates[m].Name = t.Set.Models[m].Name
	}
	price := func() error { return t.price(o.Book) }
	if o.CountCalls != "" {
		price = func() error { return t.countCalls(o.CountCalls) }
	}
	if err := price(); err != nil {
		return nil, fmt.Errorf("data set %s: %w", set.Name, err)
	}
	if err := t.checkUnpriced(o.KeepUnpriced); err != nil {
		return nil, err
	}
	texts := make([]string, len(t.X))
	for i, q := range t.Set.Queries {
		texts[i] = q.Prompt
	}
	if err := embedder.Embed(ctx, texts, t.X); err != nil {
		return nil, fmt.Errorf("embed prompts of %s: %w", t.Set.Name, err)
	}
	// Other embedders may know the prompts of the set only, or charge for each text, and
	// these have been measured with static vectors.
	if strings.HasPrefix(t.Embedder, "static@") {
		t.asides = make([]carrot.Representation, len(asides))
		if err := embedder.Embed(ctx, asides, t.asides); err != nil {
			return nil, fmt.Errorf("embed sentences of courtesy: %w", err)
		}
	}
	return t, nil
}

// asides are sentences that people add to a question and that say nothing about it.
var asides = []string{
	"Hello! I hope you are well.", "Hi there, I have a question for you.", "Can you help me with this?",
	"Read the task below and solve it.", "Good morning. Could you look at this for me?", "My task is as follows.",
	"You are an assistant who replies to the questions of users.", "Thanks in advance!", "Could you tell me the result?",
	"Keep it short.", "What do you think?", "Let me know if anything is unclear.", "Explain how you got there.",
	"Take a deep breath and work on this carefully.", "I am looking forward to your reply.",
	"Write your reply in a friendly tone.", "I need this for tomorrow.", "Do not make anything up.",
}

// ModelNames lists the names of the pool.
func (t *Table) ModelNames() []string {
	names := make([]string, len(t.Candidates))
	for m := range t.Candidates {
		names[m] = t.Candidates[m].Name
	}
	return names
}

// Data returns a predictor's view of the given rows.
func (t *Table) Data(rows []int) predict.Data {
	models := len(t.Candidates)
	d := predict.Data{Models: t.ModelNames(), X: make([]carrot.Representation, len(rows)),
		Score: make([]float64, len(rows)*models), OutputTokens: make([]float64, len(rows)*models), Hash: make([]uint64, len(rows)), Asides: t.asides}
	if t.Set.CostUSD.Rows > 0 {
		d.CostUSD = make([]float64, len(rows)*models)
	}
	d.InputTokens = make([]float64, len(rows))
	for k, i := range rows {
		d.X[k] = t.X[i]
		if d.InputTokens[k] = math.NaN(); slices.ContainsFunc(t.Set.InputTokens.Row(i), func(v float64) bool { return v == v }) {
			d.InputTokens[k] = meanObserved(t.Set.InputTokens.Row(i))
		}
		copy(d.Score[k*models:], t.Set.Score.Row(i))
		copy(d.OutputTokens[k*models:], t.Set.OutputTokens.Row(i))
		if d.CostUSD != nil {
			copy(d.CostUSD[k*models:], t.Set.CostUSD.Row(i))
		}
		for m := range t.Candidates {
			if !t.pricesTokens(m) { // so that the cost itself is forecast
				d.OutputTokens[k*models+m] = math.NaN()
			}
		}
		h := fnv.New64a()
		h.Write([]byte(t.Set.Queries[i].Prompt))
		d.Hash[k] = h.Sum64()
	}
	return d
}

// Unpriced names the models whose cost is unknown: they have neither output
// tokens nor recorded costs on any query.
func (t *Table) Unpriced() []string {
	var names []string
	for m, unpriced := range t.unpriced {
		if unpriced {
			names = append(names, t.Candidates[m].Name)
		}
	}
	return names
}

// Observed lists the models that have a score and a cost on query i.
func (t *Table) Observed(i int) []int {
	var models []int
	for m := range t.Candidates {
		if !math.IsNaN(t.Set.Score.At(i, m)) && !math.IsNaN(t.Cost.At(i, m)) {
			models = append(models, m)
		}
	}
	return models
}

// Complete reports whether every model has a score and a cost on query i, and it was
// drawn at random, so that figures may come from it. An unpriced model needs only a score.
func (t *Table) Complete(i int) bool {
	if t.Set.Queries[i].Split == dataset.SplitExtra {
		return false
	}
	for m := range t.Candidates {
		if math.IsNaN(t.Set.Score.At(i, m)) || math.IsNaN(t.Cost.At(i, m)) && !t.isUnpriced(m) {
			return false
		}
	}
	return true
}

// CompleteOf returns those of the given rows that are complete.
func (t *Table) CompleteOf(rows []int) []int {
	return slices.DeleteFunc(slices.Clone(rows), func(i int) bool { return !t.Complete(i) })
}

// Trace records, for the given rows, the observed cost and score of the models
// that choose picks for rows[k] at each of a number of settings.
func (t *Table) Trace(rows []int, settings int, choose func(k, setting int) (model int)) frontier.Trace {
	return frontier.NewTrace(len(rows), settings, choose, func(k, m int) (float64, float64) {
		return t.Cost.At(rows[k], m), t.Set.Score.At(rows[k], m)
	})
}

// Singles traces the single models: at setting s, the s-th model whose cost is
// known answers all of the given rows.
func (t *Table) Singles(rows []int) frontier.Trace {
	models := t.priced()
	return t.Trace(rows, len(models), func(_, s int) int { return models[s] })
}

// Oracle traces the router that knows every outcome, along [frontier.Grid]. It
// chooses among the models whose cost is known.
func (t *Table) Oracle(rows []int) frontier.Trace {
	models, grid := t.priced(), frontier.Grid()
	score, cost := make([]float64, len(models)), make([]float64, len(models))
	return t.Trace(rows, len(grid), func(k, s int) int {
		for n, m := range models {
			score[n], cost[n] = t.Set.Score.At(rows[k], m), t.Cost.At(rows[k], m)
		}
		return models[carrot.Choose(score, cost, grid[s])]
	})
}

// Trainable lists the rows that may be trained on: all but those marked test.
func Trainable(set *dataset.Set) []int {
	var rows []int
	for i, q := range set.Queries {
		if q.Split != dataset.SplitTest {
			rows = append(rows, i)
		}
	}
	return rows
}

// Sources numbers the sources of rows in the order in which they first occur:
// group[k] is the source of rows[k], in [0,parts).
func Sources(set *dataset.Set, rows []int) (group []int, parts int) {
	number := map[string]int{}
	for _, i := range rows {
		s := set.Queries[i].Source
		if _, ok := number[s]; !ok {
			number[s] = len(number)
		}
		group = append(group, number[s])
	}
	return group, len(number)
}

// unknownModel is the error for a name that is not in the pool.
func (t *Table) unknownModel(name string) error {
	return fmt.Errorf("no model %q in the pool; there is %s", name, strings.Join(t.ModelNames(), ", "))
}
