package predict

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
)

// withGrams gives the queries grams: most from one of four subjects of 300 grams, the rest
// from 30 that all subjects use.
func withGrams(d *Data, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range d.X {
		d.X[i].Grams = nil
		for range 30 {
			d.X[i].Grams = append(d.X[i].Grams, 7919*uint32(1+r.IntN(30)), 104729*uint32(1000+300*(i%4)+r.IntN(300)))
		}
	}
}

func gramSet(x *carrot.Representation) []uint32 {
	set := slices.Clone(x.Grams)
	slices.Sort(set)
	return slices.Compact(set)
}

// TestGramIndex: the index finds the similarity to the nearest query that comparing with all
// finds, where it compares with few and where it compares with all.
func TestGramIndex(t *testing.T) {
	d, _ := world(240, 81)
	withGrams(&d, 81)
	g := newGramIndex(d.X)
	if len(g.often) == 0 || len(g.row) == 0 {
		t.Fatalf("%d frequent grams, %d postings: want some of each", len(g.often), len(g.row))
	}
	df := map[uint32]int32{}
	for i := range d.X {
		for _, j := range gramSet(&d.X[i]) {
			df[j]++
		}
	}
	var w workspace
	for _, i := range []int{0, 1, 2, 3, 50, 239} {
		for _, all := range []bool{false, true} {
			x := d.X[i]
			if all {
				x.Grams = slices.DeleteFunc(slices.Clone(x.Grams), func(j uint32) bool { return j > 7919*30 })
			}
			want := 0.0
			for row := range d.X {
				if row != i {
					want = max(want, similarityIn(d.X, df, &x, row))
				}
			}
			g.see(x.Grams, &w)
			got := float64(g.nearest(&w, func(row int32) bool { return int(row) == i }))
			if math.Abs(got-want) > 1e-5 {
				t.Errorf("query %d, frequent grams only %v: similarity %v, want %v", i, all, got, want)
			}
		}
	}
}

// similarityIn is the cosine to a row of x that a gramIndex of x finds, without the index.
func similarityIn(x []carrot.Representation, df map[uint32]int32, query *carrot.Representation, row int) float64 {
	weight := func(j uint32) float64 { w := inverseFrequency(len(x), df[j]); return w * w }
	var both, a, b float64
	for _, j := range gramSet(query) {
		if df[j] == 0 {
			continue
		}
		a += weight(j)
		if slices.Contains(x[row].Grams, j) {
			both += weight(j)
		}
	}
	for _, j := range gramSet(&x[row]) {
		b += weight(j)
	}
	return both / math.Sqrt(a*b)
}

// TestUnseenGrams: grams that were never seen do not make a query novel, but if all are, or
// all words, it is. A subject that was left out is novel.
func TestUnseenGrams(t *testing.T) {
	d, _ := world(240, 82)
	withGrams(&d, 82)
	known := d
	known.X, known.Score, known.OutputTokens, known.Hash = nil, nil, nil, nil
	m := len(d.Models)
	for i := range d.X {
		if i%4 != 3 {
			known.X, known.Hash = append(known.X, d.X[i]), append(known.Hash, d.Hash[i])
			known.Score, known.OutputTokens = append(known.Score, d.Score[i*m:][:m]...), append(known.OutputTokens, d.OutputTokens[i*m:][:m]...)
		}
	}
	p := fit(t, "sparse:alpha=5:buckets=1024", known)
	of := func(grams ...uint32) carrot.Prediction {
		return predictAll(t, p, []carrot.Representation{{Dense: d.X[0].Dense, Sparse: d.X[0].Sparse, Grams: grams}})[0]
	}
	unseen := func(n int) (out []uint32) {
		for k := range uint32(n) {
			out = append(out, 1<<31+k)
		}
		return out
	}
	plain := d.X[0].Grams
	before := of(plain...)
	if got := of(append(unseen(3*len(plain)), plain...)...); got.Novelty != before.Novelty || got.Abstained {
		t.Errorf("with unseen grams: novelty %v, abstained %v; before %v", got.Novelty, got.Abstained, before.Novelty)
	}
	for name, got := range map[string]carrot.Prediction{"unseen": of(unseen(20)...), "no": of()} {
		if got.Novelty != 1 || !got.Abstained || got.Forecasts[0].QualitySE <= before.Forecasts[0].QualitySE {
			t.Errorf("%s grams: novelty %v, abstained %v", name, got.Novelty, got.Abstained)
		}
	}
	foreign := d.X[0]
	foreign.Sparse = carrot.Sparse{Index: []uint32{1 << 30, 1<<30 + 1, 1<<30 + 2}, Value: []float32{1, 1, 1}}
	if got := predictAll(t, p, []carrot.Representation{foreign})[0]; got.Novelty != 1 || !got.Abstained {
		t.Errorf("known grams of words never seen: novelty %v, abstained %v", got.Novelty, got.Abstained)
	}
	left := predictAll(t, p, []carrot.Representation{d.X[3], d.X[7], d.X[11]})
	for _, x := range left {
		if x.Novelty < 0.99 {
			t.Errorf("a subject that was left out has novelty %v", x.Novelty)
		}
	}
	// Held out with its subject, a training query is as novel.
	g := make([]int, len(known.X))
	for i := range g {
		g[i] = i % 3
	}
	cf, err := p.CrossFit(t.Context(), g, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range cf.Predictions(0) {
		if x.Novelty < 0.99 {
			t.Fatalf("query %d, held out with its subject, has novelty %v", i, x.Novelty)
		}
	}
}

// TestGramFile: a predictor with grams predicts the same after saving and loading, and a
// damaged file is refused or predicts without a panic.
func TestGramFile(t *testing.T) {
	d, _ := world(240, 83)
	withGrams(&d, 83)
	p := fit(t, "sparse:alpha=5:buckets=256", d)
	var buf bytes.Buffer
	if err := p.Write(&buf, nil); err != nil {
		t.Fatal(err)
	}
	load := func(data []byte) (*Predictor, error) {
		f, err := Parse(data)
		if err != nil {
			return nil, err
		}
		return f.Predictor(p.Spec(), p.Models(), len(d.X[0].Dense))
	}
	q, err := load(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want, got := predictAll(t, p, d.X), predictAll(t, q, d.X)
	for i := range want {
		if want[i].Novelty != got[i].Novelty || !slices.Equal(want[i].Forecasts, got[i].Forecasts) {
			t.Fatalf("query %d: %v after loading, %v before", i, got[i], want[i])
		}
	}
	for _, test := range []struct {
		damage func(g *gramIndex)
		want   string
	}{
		{func(g *gramIndex) { g.row[0] = 240 }, "gram.row"},
		{func(g *gramIndex) { g.start[1] = g.start[len(g.start)-1] + 1 }, "gram.start"},
		{func(g *gramIndex) { g.start[1], g.start[2] = 9, 3 }, "gram.start"},
		{func(g *gramIndex) { g.key[0], g.key[1] = g.key[1], g.key[0] }, "gram.start"},
		{func(g *gramIndex) { g.bits[0] |= 1 << 63 }, "gram.often"},
		{func(g *gramIndex) { g.norm = g.norm[:100]; g.bits = g.bits[:100*len(g.bits)/240] }, "gram.often"},
	} {
		p.novelty.grams = newGramIndex(d.X)
		test.damage(p.novelty.grams)
		buf.Reset()
		if err := p.Write(&buf, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := load(buf.Bytes()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want one about %s", err, test.want)
		}
	}
}
