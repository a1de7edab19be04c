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
	"github.com/carrot-router/carrot/table"
)

// subjects are the words of the synthetic prompts. Each subject is a source.
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

func prepare(tb testing.TB, set *dataset.Set) *table.Table {
	tb.Helper()
	static, err := embed.Default()
	if err != nil {
		tb.Fatal(err)
	}
	task, err := table.New(context.Background(), set, static, table.Options{})
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

func fit(tb testing.TB, t *table.Table, rows []int, spec string) *predict.Predictor {
	tb.Helper()
	p, err := Fit(context.Background(), t, rows, parse(tb, spec), nil)
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

// TestFitIgnoresTest: the prompts and outcomes of test rows change neither the
// fitted bytes nor the caution nor the frontier.
func TestFitIgnoresTest(t *testing.T) {
	result := func(set *dataset.Set) ([]byte, float64, carrot.Frontier) {
		task := prepare(t, set)
		rows := table.Trainable(set)
		p := fit(t, task, rows, quickBlend)
		return saved(t, p), p.Spec().Caution, Frontier(task, rows, p.OutOfFold().Predictions(0))
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

// TestCaution: a blend's caution is the default if there are few sources. If there
// are enough, it is one of the factors tried and costs at most .002 AIQ.
func TestCaution(t *testing.T) {
	for _, sources := range []int{1, 4} {
		task := prepare(t, world(200, sources))
		if got := fit(t, task, table.Trainable(task.Set), quickBlend).Spec().Caution; got != defaultCaution {
			t.Errorf("caution %v with %d sources, want %v", got, sources, defaultCaution)
		}
	}
	task := prepare(t, world(400, 6))
	rows := table.Trainable(task.Set)
	p := fit(t, task, rows, quickBlend)
	caution := p.Spec().Caution
	if !slices.Contains(cautions, caution) {
		t.Fatalf("caution %v, want one of %v", caution, cautions)
	}
	j := judge(task, rows)
	singles, _ := j.singles()
	scale := frontier.NewScale(singles)
	aiq := func(c float64) float64 {
		return frontier.AIQ(j.trace(p.OutOfFold().Predictions(c)).Curve(nil), scale.Low, scale.High)
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

// TestFrontier: every point is what routing at its setting reaches, and the
// objectives that are read off it hold.
func TestFrontier(t *testing.T) {
	task := prepare(t, world(300, 3))
	rows := table.Trainable(task.Set)
	predictions := fit(t, task, rows, quickSparse).OutOfFold().Predictions(0)
	f := Frontier(task, rows, predictions)
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

// TestFrontierOfJoinedSets: if no query has outcomes of the whole pool, the frontier
// comes from choices among the observed models.
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
	rows := table.Trainable(set)
	for i := range set.Queries {
		if task.Complete(i) {
			t.Fatalf("query %d is complete", i)
		}
	}
	f := Frontier(task, rows, fit(t, task, rows, quickSparse).OutOfFold().Predictions(0))
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
		t.Errorf("at any price it reaches %+v, at the least cost %+v: want the first better and more expensive", first, last)
	}
}

func TestFrontierOfNothing(t *testing.T) {
	task := prepare(t, world(10, 3))
	for i := range task.Set.Queries { // one model each
		task.Set.Score.Set(i, 0, math.NaN())
		task.Set.Score.Set(i, 1, math.NaN())
	}
	if f := Frontier(task, []int{0, 1, 2}, make([]carrot.Prediction, 3)); len(f.Points) != 0 {
		t.Errorf("frontier of queries with one model each: %+v, want none", f)
	}
}

// TestProgress: every step is announced before it begins, and counted.
func TestProgress(t *testing.T) {
	static, err := embed.Default()
	if err != nil {
		t.Fatal(err)
	}
	set, cautious := world(200, 5), parse(t, quickBlend)
	cautious.Caution = 0.5
	for _, c := range []struct {
		spec  predict.Spec
		steps int
	}{{parse(t, "mean"), 4}, {parse(t, "knn"), 5}, {parse(t, "ridge"), 5}, {parse(t, quickBlend), 7}, {cautious, 6},
		{parse(t, quickBlend+":parts=kernel+sparse+ridge"), 8}} {
		var said []string
		progress := func(doing string, done, steps int) {
			if done != len(said) || steps != c.steps {
				t.Errorf("%+v: %q after %d of %d steps, want %d of %d", c.spec, doing, done, steps, len(said), c.steps)
			}
			said = append(said, doing)
		}
		if _, err := Run(t.Context(), []*dataset.Set{set}, static, Options{Predictor: c.spec, EmbedderSpec: "static", Progress: progress}); err != nil {
			t.Fatal(err)
		}
		if len(said) != c.steps {
			t.Errorf("%+v: announced %q, want %d steps", c.spec, said, c.steps)
		}
	}
}
