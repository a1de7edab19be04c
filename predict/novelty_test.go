package predict

import (
	"math"
	"testing"

	"github.com/carrot-router/carrot"
)

// TestTrust: trust falls smoothly with the similarity, and in a file of a former version
// where the novelty passes the limit.
func TestTrust(t *testing.T) {
	n := novelty{near: 0.4}
	last := 1.0
	for similarity := 1.0; similarity >= 0; similarity -= 0.01 {
		got := n.trust(float32(1 - similarity))
		if got > last+1e-9 || last-got > 0.1 {
			t.Fatalf("trust falls from %v to %v at %v", last, got, similarity)
		}
		last = got
	}
	if n.trust(0.6) < 1-1e-6 || n.trust(0.8) != 0 || math.Abs(n.trust(0.7)-0.5) > 1e-6 {
		t.Errorf("trust %v, %v, %v", n.trust(0.6), n.trust(0.7), n.trust(0.8))
	}
	old := novelty{limit: 0.5, quantile: []float32{0.2, 0.4}}
	if old.trust(0.3) != 1 || old.trust(0.5) != 0 {
		t.Errorf("former version: trust %v, %v", old.trust(0.3), old.trust(0.5))
	}
}

// TestUnseenWords: unseen words do not lower the similarity until they are most of a
// text.
func TestUnseenWords(t *testing.T) {
	d, _ := world(200, 61)
	p := fit(t, "sparse:alpha=5:buckets=1024", d)
	x := d.X[3]
	before := predictAll(t, p, []carrot.Representation{x})[0]
	with := func(unseen int) carrot.Prediction {
		words := x.Sparse.Index
		y := x
		y.Sparse = carrot.Sparse{}
		for k := range unseen {
			y.Sparse.Index = append(y.Sparse.Index, carrot.FirstPair-uint32(unseen)+uint32(k))
			y.Sparse.Value = append(y.Sparse.Value, 1)
		}
		end := len(wordsOf(words))
		y.Sparse.Index = append(append(append([]uint32{}, words[:end]...), y.Sparse.Index...), words[end:]...)
		y.Sparse.Value = append(append(append([]float32{}, x.Sparse.Value[:end]...), y.Sparse.Value...), x.Sparse.Value[end:]...)
		return predictAll(t, p, []carrot.Representation{y})[0]
	}
	if got := with(1); got.Novelty != before.Novelty || got.Abstained {
		t.Errorf("with an unseen word: novelty %v, abstained %v; before %v", got.Novelty, got.Abstained, before.Novelty)
	}
	if got := with(20 * len(x.Sparse.Index)); !got.Abstained || got.Forecasts[0].QualitySE <= before.Forecasts[0].QualitySE {
		t.Errorf("among unseen words: abstained %v, standard error %v, before %v", got.Abstained, got.Forecasts[0].QualitySE, before.Forecasts[0].QualitySE)
	}
}

func wordsOf(index []uint32) []uint32 { return words(&carrot.Sparse{Index: index}) }
