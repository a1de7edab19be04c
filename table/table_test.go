package table_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/price"
	"github.com/carrot-router/carrot/table"
)

// world is a set of n queries on a number of sources, with three models in the
// pool and one outside it.
func world(n, sources int) *dataset.Set {
	nan := math.NaN()
	s := &dataset.Set{Name: "synthetic", Models: []dataset.Model{
		{Name: "small", InputUSDPerMillion: 0.1, OutputUSDPerMillion: 0.5, Pool: true},
		{Name: "watched", InputUSDPerMillion: nan, OutputUSDPerMillion: nan},
		{Name: "middle", InputUSDPerMillion: 1, OutputUSDPerMillion: 4, Pool: true},
		{Name: "large", InputUSDPerMillion: 5, OutputUSDPerMillion: 20, Pool: true},
	}}
	models := len(s.Models)
	s.Score, s.InputTokens, s.OutputTokens = dataset.NewMatrix(n, models), dataset.NewMatrix(n, models), dataset.NewMatrix(n, models)
	for i := range n {
		prompt := fmt.Sprintf("tell me about subject %d, part %d", i%sources, i)
		s.Queries = append(s.Queries, dataset.Query{ID: fmt.Sprint(i), Split: dataset.SplitOf(prompt), Source: fmt.Sprintf("subject %d", i%sources), Prompt: prompt})
		for m := range models {
			s.Score.Set(i, m, float64((i+m)%2))
			s.InputTokens.Set(i, m, 10)
			s.OutputTokens.Set(i, m, float64(50+10*(i%7)))
		}
	}
	s.Fingerprint = s.ComputeFingerprint()
	return s
}

func static(tb testing.TB) *embed.Static {
	tb.Helper()
	e, err := embed.Default()
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func newTable(tb testing.TB, set *dataset.Set, o table.Options) *table.Table {
	tb.Helper()
	t, err := table.New(tb.Context(), set, static(tb), o)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// TestTrainable: rows marked test are never among those that may be trained on.
func TestTrainable(t *testing.T) {
	set := world(300, 3)
	rows := table.Trainable(set)
	if want := len(set.Rows(dataset.SplitTrain, dataset.SplitValidation)); len(rows) != want || want == 300 {
		t.Errorf("Trainable has %d of 300 rows, want the %d of train and validation", len(rows), want)
	}
	for _, i := range rows {
		if set.Queries[i].Split == dataset.SplitTest {
			t.Errorf("row %d is marked test", i)
		}
	}
}

// TestNew: the pool's columns stay, every prompt is embedded.
func TestNew(t *testing.T) {
	tab := newTable(t, world(20, 3), table.Options{})
	if got := tab.ModelNames(); !slices.Equal(got, []string{"small", "middle", "large"}) {
		t.Errorf("ModelNames() = %v, want the pool", got)
	}
	for i, x := range tab.X {
		if len(x.Dense) == 0 || len(x.Sparse.Index) == 0 {
			t.Errorf("query %d is not embedded", i)
		}
	}
}

func TestNewErrors(t *testing.T) {
	unpriced := func(s *dataset.Set) {
		s.Models[2].InputUSDPerMillion, s.Models[2].OutputUSDPerMillion = math.NaN(), math.NaN()
	}
	book := &price.Book{}
	if err := book.Set(price.Entry{Name: "small", Price: carrot.Price{Input: carrot.PerMillion(1), Output: carrot.PerMillion(1)}, Date: "2026-01-01", Source: "test"}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		edit func(*dataset.Set)
		book *price.Book
		want string
		is   error
	}{
		{"no price in models.json", unpriced, nil, `model "middle"`, price.ErrNoPrice},
		{"no price in the book", func(*dataset.Set) {}, book, `model "middle"`, price.ErrNoPrice},
		{"empty pool", func(s *dataset.Set) {
			for m := range s.Models {
				s.Models[m].Pool = false
			}
		}, nil, "no model is in the pool", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := world(5, 3)
			test.edit(set)
			_, err := table.New(t.Context(), set, static(t), table.Options{Book: test.book})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "synthetic") || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("New = %v, want an error with %q and the set's name", err, test.want)
			}
		})
	}
	t.Run("recorded costs need no price", func(t *testing.T) {
		set := world(5, 3)
		unpriced(set)
		set.CostUSD = dataset.NewMatrix(5, 4)
		for i := range 5 {
			set.CostUSD.Set(i, 2, 0.25)
		}
		tab := newTable(t, set, table.Options{})
		if tab.Candidates[1].Price != nil || tab.Cost.At(3, 1) != 0.25 {
			t.Errorf("price %v and cost %v, want none and the recorded .25", tab.Candidates[1].Price, tab.Cost.At(3, 1))
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := table.New(cancelled, world(200, 3), static(t), table.Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("New with a cancelled context = %v, want context.Canceled", err)
		}
	})
}

// bare removes the tokens of model m.
func bare(set *dataset.Set, m int) {
	for i := range set.Queries {
		set.InputTokens.Set(i, m, math.NaN())
		set.OutputTokens.Set(i, m, math.NaN())
	}
}

// TestUnpriced: models without tokens and costs beside others are refused by
// name unless they are kept on purpose; a set that has none at all is one of
// qualities.
func TestUnpriced(t *testing.T) {
	f := func(name string, without []int, o table.Options, refused, unpriced []string) *table.Table {
		t.Helper()
		set := world(6, 2)
		for _, m := range without {
			bare(set, m)
		}
		tab, err := table.New(t.Context(), set, static(t), o)
		if refused != nil {
			e, ok := errors.AsType[*table.UnpricedError](err)
			if !ok || e.Set != "synthetic" || !slices.Equal(e.Models, refused) {
				t.Errorf("%s: New = %v, want an UnpricedError of %v", name, err, refused)
			}
			return nil
		}
		if err != nil || !slices.Equal(tab.Unpriced(), unpriced) {
			t.Fatalf("%s: New = %v, unpriced %v, want %v", name, err, tab.Unpriced(), unpriced)
		}
		return tab
	}
	f("all priced", nil, table.Options{}, nil, nil)
	f("outside the pool", []int{1}, table.Options{}, nil, nil)
	f("one", []int{2}, table.Options{}, []string{"middle"}, nil)
	f("two", []int{0, 3}, table.Options{}, []string{"small", "large"}, nil)
	f("two, one of them kept", []int{0, 3}, table.Options{KeepUnpriced: []string{"large"}}, []string{"small"}, nil)
	f("calls are counted", []int{0, 3}, table.Options{CountCalls: "large"}, nil, nil)
	f("all", []int{0, 2, 3}, table.Options{}, nil, []string{"small", "middle", "large"})

	kept := f("kept", []int{3}, table.Options{KeepUnpriced: []string{"large"}}, nil, []string{"large"})
	if got := kept.Observed(0); !slices.Equal(got, []int{0, 1}) || !kept.Complete(0) || kept.Candidates[2].Price != nil {
		t.Errorf("observed %v, complete %v, price %v, want the others, complete and no price", got, kept.Complete(0), kept.Candidates[2].Price)
	}
	rows := []int{0, 1, 2, 3}
	singles, oracle := kept.Singles(rows).Curve(nil), kept.Oracle(rows).Curve(nil)
	if len(singles) != 2 || math.IsNaN(singles[1].Cost) || math.IsNaN(oracle[0].Cost) {
		t.Errorf("singles %v, oracle %v, want the models whose cost is known", singles, oracle[0])
	}
	_, err := table.New(t.Context(), world(6, 2), static(t), table.Options{KeepUnpriced: []string{"watched"}})
	if err == nil || !strings.Contains(err.Error(), `no model "watched" in the pool`) {
		t.Errorf("New that keeps a model outside the pool = %v", err)
	}
	for want, e := range map[string]*table.UnpricedError{
		`data set d: model "a" has scores but neither tokens nor cost_usd on any query, so its cost is unknown: record tokens or cost_usd, or set "pool": false for it in models.json`:              {Set: "d", Models: []string{"a"}},
		`data set d: models "a", "b" have scores but neither tokens nor cost_usd on any query, so their costs are unknown: record tokens or cost_usd, or set "pool": false for them in models.json`: {Set: "d", Models: []string{"a", "b"}},
	} {
		if e.Error() != want {
			t.Errorf("Error() = %q, want %q", e.Error(), want)
		}
	}
}

// TestObservedCost: what an outcome of "large" (5 and 20 USD per million) costs.
func TestObservedCost(t *testing.T) {
	nan := math.NaN()
	tenth, double := 0.5, 40.0
	for _, test := range []struct {
		name                                   string
		in, out, cached, reasoning, recorded   float64
		cachedPrice, writePrice, reasoningRate *float64
		want                                   float64 // in millionths of a USD
	}{
		{"tokens × price", 100, 10, nan, nan, nan, nil, nil, nil, 100*5 + 10*20},
		{"recorded goes before", 100, 10, nan, nan, 0.125, nil, nil, nil, 125_000},
		{"recorded zero is free", 100, 10, nan, nan, 0, nil, nil, nil, 0},
		{"cached input at its price", 100, 10, 60, nan, nan, &tenth, nil, nil, 40*5 + 60*0.5 + 10*20},
		{"cached input without a price is input", 100, 10, 60, nan, nan, nil, nil, nil, 100*5 + 10*20},
		{"reasoning at its price", 100, 10, nan, 4, nan, nil, nil, &double, 100*5 + 6*20 + 4*40},
		{"reasoning without a price is output", 100, 10, nan, 4, nan, nil, nil, nil, 100*5 + 10*20},
		{"both", 100, 10, 60, 4, nan, &tenth, nil, &double, 40*5 + 60*0.5 + 6*20 + 4*40},
		{"more cached than input", 100, 10, 500, nan, nan, &tenth, nil, nil, 100*0.5 + 10*20},
		{"no tokens", 0, 0, nan, nan, nan, nil, nil, nil, 0},
		{"input not observed", nan, 10, nan, nan, nan, nil, nil, nil, nan},
		{"output not observed", 100, nan, nan, nan, nan, nil, nil, nil, nan},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := world(2, 3)
			set.CachedTokens, set.ReasoningTokens, set.CostUSD = dataset.NewMatrix(2, 4), dataset.NewMatrix(2, 4), dataset.NewMatrix(2, 4)
			large := &set.Models[3]
			large.CachedInputUSDPerMillion, large.CacheWriteUSDPerMillion, large.ReasoningUSDPerMillion = test.cachedPrice, test.writePrice, test.reasoningRate
			set.InputTokens.Set(1, 3, test.in)
			set.OutputTokens.Set(1, 3, test.out)
			set.CachedTokens.Set(1, 3, test.cached)
			set.ReasoningTokens.Set(1, 3, test.reasoning)
			set.CostUSD.Set(1, 3, test.recorded)
			got := newTable(t, set, table.Options{}).Cost.At(1, 2) * 1e6
			if math.Abs(got-test.want) > 1e-6 || math.IsNaN(got) != math.IsNaN(test.want) {
				t.Errorf("cost %v millionths of a USD, want %v", got, test.want)
			}
		})
	}
}

// TestBook: a price book replaces the set's prices, and the costs follow.
func TestBook(t *testing.T) {
	set, book := world(10, 3), &price.Book{}
	before := newTable(t, set, table.Options{})
	for _, name := range before.ModelNames() {
		if err := book.Set(price.Entry{Name: name, Price: carrot.Price{Input: carrot.PerMillion(0.2), Output: carrot.PerMillion(1)}, Date: "2026-01-01", Source: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	after := newTable(t, set, table.Options{Book: book})
	if got, want := after.Cost.At(4, 0), 2*before.Cost.At(4, 0); math.Abs(got-want) > 1e-12 {
		t.Errorf("cost %v at twice the price, want %v", got, want)
	}
}

// TestCountCalls: a call of the counted model costs 1 and any other 0, without
// prices and tokens.
func TestCountCalls(t *testing.T) {
	set := world(4, 2)
	for m := range set.Models {
		set.Models[m].InputUSDPerMillion, set.Models[m].OutputUSDPerMillion = math.NaN(), math.NaN()
		for i := range set.Queries {
			set.InputTokens.Set(i, m, math.NaN())
			set.OutputTokens.Set(i, m, math.NaN())
		}
	}
	tab := newTable(t, set, table.Options{CountCalls: "middle"})
	if diff := cmp.Diff([]float64{0, 1, 0}, tab.Cost.Row(3)); diff != "" {
		t.Errorf("costs (-want +got):\n%s", diff)
	}
	if got := tab.PredictedCost(2, 1, &carrot.Forecast{OutputTokens: 9}); got != 1 {
		t.Errorf("PredictedCost of the counted model = %v, want 1", got)
	}
	_, err := table.New(t.Context(), set, static(t), table.Options{CountCalls: "nobody"})
	if err == nil || !strings.Contains(err.Error(), `data set synthetic: no model "nobody" in the pool; there is small, middle, large`) {
		t.Errorf("New that counts an unknown model's calls = %v", err)
	}
}

// TestObserved: a query is complete if every model has a score and a cost.
func TestObserved(t *testing.T) {
	set := world(5, 2)
	set.Score.Set(1, 0, math.NaN())
	set.OutputTokens.Set(3, 3, math.NaN())
	set.Score.Set(4, 1, math.NaN()) // outside the pool
	tab := newTable(t, set, table.Options{})
	for i, want := range [][]int{{0, 1, 2}, {1, 2}, {0, 1, 2}, {0, 1}, {0, 1, 2}} {
		if got := tab.Observed(i); !slices.Equal(got, want) || tab.Complete(i) != (len(want) == 3) {
			t.Errorf("query %d: observed %v, complete %v, want %v", i, got, tab.Complete(i), want)
		}
	}
	if got := tab.CompleteOf([]int{4, 3, 0}); !slices.Equal(got, []int{4, 0}) {
		t.Errorf("CompleteOf = %v, want the first and the last", got)
	}
}

func TestSources(t *testing.T) {
	group, parts := table.Sources(world(6, 3), []int{2, 3, 5, 4})
	if want := []int{0, 1, 0, 2}; parts != 3 || !slices.Equal(group, want) {
		t.Errorf("Sources = %v, %d, want %v, 3", group, parts, want)
	}
}

// TestTraces: a single model answers everything, and the oracle takes the best
// score where cost does not matter and the cheapest model where quality hardly
// does.
func TestTraces(t *testing.T) {
	tab := newTable(t, world(6, 2), table.Options{})
	rows := []int{0, 1, 2, 3}
	singles := tab.Singles(rows).Curve(nil)
	if len(singles) != 3 || singles[1].Quality != 0.5 || !(singles[0].Cost < singles[1].Cost && singles[1].Cost < singles[2].Cost) {
		t.Errorf("Singles: %v, want three models, each right on half of the queries", singles)
	}
	oracle := tab.Oracle(rows).Curve(nil)
	if first, last := oracle[0], oracle[len(oracle)-1]; first.Quality != 1 || math.Abs(last.Cost-singles[0].Cost) > 1e-12 {
		t.Errorf("Oracle: %v to %v, want all right, and the cost of the cheapest model %v", first, last, singles[0].Cost)
	}
	last := tab.Trace(rows, 2, func(k, s int) int { return 2 * s }).Curve(nil)[1]
	if last != singles[2] {
		t.Errorf("Trace of the last model = %v, want %v", last, singles[2])
	}
}

// TestData: equal prompts share a hash, and tokens without a price are left out,
// so that a predictor forecasts the cost itself.
func TestData(t *testing.T) {
	set := world(4, 2)
	set.Queries[3].Prompt = set.Queries[0].Prompt
	set.Models[3].InputUSDPerMillion, set.Models[3].OutputUSDPerMillion = math.NaN(), math.NaN()
	set.CostUSD = dataset.NewMatrix(4, 4)
	set.CostUSD.Set(0, 3, 0.5)
	d := newTable(t, set, table.Options{}).Data([]int{3, 0, 1})
	if d.Hash[0] != d.Hash[1] || d.Hash[1] == d.Hash[2] {
		t.Errorf("hashes %v, want the first two equal and the third another", d.Hash)
	}
	if !math.IsNaN(d.OutputTokens[3+2]) || d.CostUSD[3+2] != 0.5 || d.OutputTokens[3+1] != 50 || d.Score[3] != 0 {
		t.Errorf("tokens %v, costs %v, scores %v", d.OutputTokens, d.CostUSD, d.Score)
	}
}

func TestPredictedCost(t *testing.T) {
	tab := newTable(t, world(3, 3), table.Options{})
	tab.Set.InputTokens.Set(0, 0, math.NaN()) // small
	tab.Set.InputTokens.Set(0, 1, 20)
	tab.Set.InputTokens.Set(0, 2, 40)
	f := func(name string, m int, forecast carrot.Forecast, want float64) {
		t.Helper()
		if got := 1e6 * tab.PredictedCost(0, m, &forecast); math.Abs(got-want) > 1e-6 {
			t.Errorf("%s: PredictedCost = %v millionths of a USD, want %v", name, got, want)
		}
	}
	f("recorded input, forecast output", 2, carrot.Forecast{OutputTokens: 2.5}, 40*5+2.5*20)
	f("the other models' mean input where this one's is not recorded", 0, carrot.Forecast{OutputTokens: 10}, 30*0.1+10*0.5)
	f("cost forecast directly", 2, carrot.Forecast{Direct: true, CostUSD: 3e-6}, 3)
	if got := tab.PredictedCost(0, 1, &carrot.Forecast{CostUnknown: true}); got != math.MaxFloat64 {
		t.Errorf("PredictedCost = %v where the cost is unknown, want the largest number", got)
	}
}
