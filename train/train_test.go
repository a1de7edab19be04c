package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/frontier"
	"github.com/carrot-router/carrot/predict"
	"github.com/carrot-router/carrot/price"
)

// subjects are what the synthetic prompts are about; a subject is a source.
var subjects = [][]string{
	strings.Fields("sum product integral prime root angle number divide"),
	strings.Fields("poem rhyme story novel verse sonnet drama metaphor"),
	strings.Fields("loop array compile function pointer stack recursion bug"),
	strings.Fields("court law contract judge appeal statute verdict tort"),
	strings.Fields("cell protein gene enzyme virus tissue blood nerve"),
	strings.Fields("river mountain desert climate ocean island valley glacier"),
}

// world draws a set of n queries on a number of subjects, with three models in
// the pool, each good at some of them, and one outside it.
func world(n, sources int) *dataset.Set {
	r := rand.New(rand.NewPCG(4, uint64(n)))
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
		subject := r.IntN(sources)
		words := []string{"please", "about"}
		for range 6 {
			words = append(words, subjects[subject][r.IntN(len(subjects[subject]))]+strconv.Itoa(r.IntN(6)))
		}
		prompt := strings.Join(words, " ")
		s.Queries = append(s.Queries, dataset.Query{ID: strings.Repeat("q", i+1), Split: dataset.SplitOf(prompt), Source: subjects[subject][0], Prompt: prompt})
		for m := range models {
			skill := 0.25 + 0.15*float64(m)
			if subject%models == m {
				skill = 0.9
			}
			score := 0.0
			if r.Float64() < skill {
				score = 1
			}
			s.Score.Set(i, m, score)
			s.InputTokens.Set(i, m, 10)
			s.OutputTokens.Set(i, m, math.Round(100*math.Exp(r.NormFloat64()/3)))
		}
	}
	s.Fingerprint = s.ComputeFingerprint()
	return s
}

func prepare(tb testing.TB, set *dataset.Set) *Task {
	tb.Helper()
	static, err := embed.Default()
	if err != nil {
		tb.Fatal(err)
	}
	task, err := Prepare(context.Background(), set, static, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return task
}

func parse(tb testing.TB, text string) predict.Spec {
	tb.Helper()
	spec, err := predict.ParseSpec(text)
	if err != nil {
		tb.Fatal(err)
	}
	return spec
}

func fit(tb testing.TB, t *Task, rows []int, spec string) *predict.Predictor {
	tb.Helper()
	p, err := t.Fit(context.Background(), rows, parse(tb, spec), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

const (
	quickSparse = "sparse:alpha=5:buckets=1024"
	quickBlend  = "blend:gamma=1:noise=5:landmarks=32:alpha=5:buckets=1024"
)

func saved(tb testing.TB, p *predict.Predictor) []byte {
	tb.Helper()
	var out bytes.Buffer
	if err := p.Write(&out, nil); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// TestTrainable: rows marked test are never among those that may be trained on.
func TestTrainable(t *testing.T) {
	set := world(300, 3)
	rows := Trainable(set)
	if want := len(set.Rows(dataset.SplitTrain, dataset.SplitValidation)); len(rows) != want || want == 300 {
		t.Errorf("Trainable has %d of 300 rows, want the %d of train and validation", len(rows), want)
	}
	for _, i := range rows {
		if set.Queries[i].Split == dataset.SplitTest {
			t.Errorf("row %d is marked test", i)
		}
	}
}

// TestFitIgnoresTest: whatever is written in the outcomes and prompts of test
// rows, the fitted bytes, the caution and the frontier stay the same.
func TestFitIgnoresTest(t *testing.T) {
	result := func(set *dataset.Set) ([]byte, float64, carrot.Frontier) {
		task := prepare(t, set)
		rows := Trainable(set)
		p := fit(t, task, rows, quickBlend)
		return saved(t, p), p.Spec().Caution, task.Frontier(rows, p.OutOfFold().Predictions(0))
	}
	bytesA, cautionA, frontierA := result(world(300, 5))
	changed := world(300, 5)
	for _, i := range changed.Rows(dataset.SplitTest) {
		changed.Queries[i].Prompt = "something else entirely"
		for m := range changed.Models {
			changed.Score.Set(i, m, 1-changed.Score.At(i, m))
			changed.OutputTokens.Set(i, m, 1e6)
		}
	}
	bytesB, cautionB, frontierB := result(changed)
	if !bytes.Equal(bytesA, bytesB) || cautionA != cautionB || !slices.Equal(frontierA.Points, frontierB.Points) {
		t.Error("the outcomes of test rows changed what was fitted")
	}
}

// TestPrepare: the pool's columns stay, every prompt is embedded.
func TestPrepare(t *testing.T) {
	task := prepare(t, world(20, 3))
	if got := task.ModelNames(); !slices.Equal(got, []string{"small", "middle", "large"}) {
		t.Errorf("ModelNames() = %v, want the pool", got)
	}
	for i, x := range task.X {
		if len(x.Dense) == 0 || len(x.Sparse.Index) == 0 {
			t.Errorf("query %d is not embedded", i)
		}
	}
}

func TestPrepareErrors(t *testing.T) {
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	unpriced := func(s *dataset.Set) {
		s.Models[2].InputUSDPerMillion, s.Models[2].OutputUSDPerMillion = math.NaN(), math.NaN()
	}
	book := &price.Book{}
	if err := book.Set(price.Entry{Name: "small", Input: 1, Output: 1, Date: "2026-01-01", Source: "test"}); err != nil {
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
			_, err := Prepare(t.Context(), set, static, test.book)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "synthetic") || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("Prepare = %v, want an error with %q and the set's name", err, test.want)
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
		task, err := Prepare(t.Context(), set, static, nil)
		if err != nil {
			t.Fatal(err)
		}
		if task.Prices[1] != nil || task.Cost.At(3, 1) != 0.25 {
			t.Errorf("price %v and cost %v, want none and the recorded .25", task.Prices[1], task.Cost.At(3, 1))
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Prepare(cancelled, world(200, 3), static, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Prepare with a cancelled context = %v, want context.Canceled", err)
		}
	})
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
			got := prepare(t, set).Cost.At(1, 2) * 1e6
			if math.Abs(got-test.want) > 1e-6 || math.IsNaN(got) != math.IsNaN(test.want) {
				t.Errorf("cost %v millionths of a USD, want %v", got, test.want)
			}
		})
	}
}

// TestReprice: a price book replaces the set's prices, and the costs follow.
func TestReprice(t *testing.T) {
	task, book := prepare(t, world(10, 3)), &price.Book{}
	before := task.Cost.At(4, 0)
	for _, name := range task.ModelNames() {
		if err := book.Set(price.Entry{Name: name, Input: 0.2, Output: 1, Date: "2026-01-01", Source: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := task.Reprice(book); err != nil {
		t.Fatal(err)
	}
	if got := task.Cost.At(4, 0); math.Abs(got-2*before) > 1e-12 {
		t.Errorf("cost %v at twice the price, want %v", got, 2*before)
	}
}

func TestPredictedCost(t *testing.T) {
	task := prepare(t, world(3, 3))
	task.Set.InputTokens.Set(0, 0, math.NaN()) // small
	task.Set.InputTokens.Set(0, 1, 20)
	task.Set.InputTokens.Set(0, 2, 40)
	f := func(name string, m int, forecast carrot.Forecast, want float64) {
		t.Helper()
		if got := 1e6 * task.PredictedCost(0, m, &forecast); math.Abs(got-want) > 1e-6 {
			t.Errorf("%s: PredictedCost = %v millionths of a USD, want %v", name, got, want)
		}
	}
	f("recorded input, forecast output", 2, carrot.Forecast{OutputTokens: 2.5}, 40*5+2.5*20)
	f("the other models' mean input where this one's is not recorded", 0, carrot.Forecast{OutputTokens: 10}, 30*0.1+10*0.5)
	f("cost forecast directly", 2, carrot.Forecast{Direct: true, CostUSD: 3e-6}, 3)
}

// TestCaution: a blend's caution is the default where the sources are few, one
// of the factors tried where there are enough, and costs at most .002 AIQ.
func TestCaution(t *testing.T) {
	for _, sources := range []int{1, 4} {
		task := prepare(t, world(200, sources))
		if got := fit(t, task, Trainable(task.Set), quickBlend).Spec().Caution; got != defaultCaution {
			t.Errorf("caution %v with %d sources, want %v", got, sources, defaultCaution)
		}
	}
	task := prepare(t, world(400, 6))
	rows := Trainable(task.Set)
	p := fit(t, task, rows, quickBlend)
	caution := p.Spec().Caution
	if !slices.Contains(cautions, caution) {
		t.Fatalf("caution %v, want one of %v", caution, cautions)
	}
	j := task.judge(rows)
	singles, _ := task.singles(j, rows)
	scale := frontier.NewScale(singles)
	aiq := func(c float64) float64 {
		return frontier.AIQ(task.trace(j, rows, p.OutOfFold().Predictions(c)).Curve(nil), scale.Low, scale.High)
	}
	if loss := aiq(1) - aiq(caution); loss > cautionLoss {
		t.Errorf("caution %v loses %.4f AIQ out of fold, want at most %v", caution, loss, cautionLoss)
	}
	if got := fit(t, task, rows, quickBlend+":caution=0.35").Spec().Caution; got != 0.35 {
		t.Errorf("caution %v, want the one given", got)
	}
	if got := fit(t, task, rows, quickSparse).Spec().Caution; got != 1 {
		t.Errorf("caution of sparse %v, want 1", got)
	}
}

// TestFrontier: every point is what routing at its setting reaches, and
// objectives that are read off it keep their word.
func TestFrontier(t *testing.T) {
	task := prepare(t, world(300, 3))
	rows := Trainable(task.Set)
	predictions := fit(t, task, rows, quickSparse).OutOfFold().Predictions(0)
	f := task.Frontier(rows, predictions)
	if len(f.Points) != len(frontier.Grid()) {
		t.Fatalf("%d points, want one per setting", len(f.Points))
	}
	reach := func(w float64) (usd, score float64) {
		for k, i := range rows {
			quality, cost := make([]float64, 3), make([]float64, 3)
			for m := range 3 {
				quality[m] = predictions[k].Forecasts[m].Quality
				cost[m] = task.PredictedCost(i, m, &predictions[k].Forecasts[m])
			}
			m := carrot.Choose(quality, cost, w)
			usd += task.Cost.At(i, m) / float64(len(rows))
			score += task.Set.Score.At(i, m) / float64(len(rows))
		}
		return usd, score
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
	for s, p := range f.Points {
		if usd, score := reach(p.USDPerQuality); !near(usd, p.CostUSD) || !near(score, p.Quality) {
			t.Errorf("point %d (w = %v) says cost %v and quality %v, routing gives %v and %v", s, p.USDPerQuality, p.CostUSD, p.Quality, usd, score)
		}
	}
	for m := range 3 {
		var score float64
		for _, i := range rows {
			score += task.Set.Score.At(i, m) / float64(len(rows))
		}
		if score > f.BestSingle.Quality+1e-9 {
			t.Errorf("model %d has quality %v, the best single %v", m, score, f.BestSingle.Quality)
		}
	}
	for _, share := range []float64{0.5, 0.8, 0.9, 0.97} {
		w, err := carrot.Target(share).Resolve(f)
		if _, score := reach(w); err != nil || score < share*f.BestSingle.Quality {
			t.Errorf("target %v of %v: quality %v (%v)", share, f.BestSingle.Quality, score, err)
		}
	}
	for _, usd := range []float64{0.0001, 0.0005, 0.01} {
		w, err := carrot.Budget(usd).Resolve(f)
		if got, _ := reach(w); err != nil || got > usd {
			t.Errorf("budget %v: cost %v (%v)", usd, got, err)
		}
	}
	if _, err := carrot.Budget(1e-9).Resolve(f); !errors.Is(err, carrot.ErrBudget) {
		t.Errorf("budget below the cheapest point: %v, want ErrBudget", err)
	}
}

// TestFrontierOfJoinedSets: where no query has outcomes of the whole pool, the
// frontier is made of choices among the observed.
func TestFrontierOfJoinedSets(t *testing.T) {
	set := world(300, 3)
	for i := range set.Queries {
		m := 0 // one half without "small", the other without "large"
		if i%2 == 0 {
			m = 3
		}
		set.Score.Set(i, m, math.NaN())
		set.OutputTokens.Set(i, m, math.NaN())
	}
	task := prepare(t, set)
	rows := Trainable(set)
	for i := range set.Queries {
		if task.Complete(i) {
			t.Fatalf("query %d is complete", i)
		}
	}
	f := task.Frontier(rows, fit(t, task, rows, quickSparse).OutOfFold().Predictions(0))
	if len(f.Points) == 0 || !(f.BestSingle.Quality > 0 && f.BestSingle.CostUSD > 0) {
		t.Fatalf("frontier of %d points, best single %+v", len(f.Points), f.BestSingle)
	}
	for _, p := range f.Points {
		if !(p.Quality > 0 && p.Quality <= 1 && p.CostUSD > 0) {
			t.Errorf("point %+v", p)
		}
	}
	first, last := f.Points[0], f.Points[len(f.Points)-1]
	if first.Quality <= last.Quality || first.CostUSD <= last.CostUSD {
		t.Errorf("cost no object reaches %+v, quality no object %+v: want the first better and dearer", first, last)
	}
}

func TestFrontierOfNothing(t *testing.T) {
	task := prepare(t, world(10, 3))
	for i := range task.Set.Queries { // one model each
		task.Set.Score.Set(i, 0, math.NaN())
		task.Set.Score.Set(i, 1, math.NaN())
	}
	if f := task.Frontier([]int{0, 1, 2}, make([]carrot.Prediction, 3)); len(f.Points) != 0 {
		t.Errorf("frontier of queries with one model each: %+v, want none", f)
	}
}

// TestFitReportsProgress: what takes long says what it is doing.
func TestFitReportsProgress(t *testing.T) {
	task := prepare(t, world(200, 5))
	var said []string
	if _, err := task.Fit(t.Context(), Trainable(task.Set), parse(t, quickBlend), func(s string) { said = append(said, s) }); err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(said, "\n"); !strings.Contains(all, "leaving each of 5 sources out") || !strings.Contains(all, "caution ") {
		t.Errorf("progress %q, want the caution's", said)
	}
}
