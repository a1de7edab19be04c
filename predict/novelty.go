package predict

import (
	"cmp"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
)

// novelty says how unlike the training queries a query is: one minus the
// cosine to the nearest of them, over their most telling words, as the share
// of training queries for which it was less (each held out in turn).
//
// Sparse neighbours tell a subject never seen better than dense ones or a
// process's variance do (docs/log.md).
type novelty struct {
	limit float64 // abstain above this share

	idf      []float32 // B
	start    []int32   // B+1: the postings of each bucket
	row      []int32
	value    []float32
	rows     int
	quantile []float32 // sorted novelties of held-out training queries
}

const (
	noveltyBuckets   = 1 << 15
	noveltyWords     = 32  // telling words kept of a training query
	noveltyQuantiles = 256 // points of the distribution kept
	noveltyLimit     = 0.995
)

// newNovelty indexes the training queries.
func newNovelty(texts []carrot.Sparse) novelty {
	n := novelty{limit: noveltyLimit, idf: make([]float32, noveltyBuckets), rows: len(texts)}
	df := make([]float64, noveltyBuckets)
	for _, s := range texts {
		for _, j := range s.Index {
			df[j&(noveltyBuckets-1)]++
		}
	}
	for j := range df {
		n.idf[j] = float32(max(0, math.Log((1+float64(len(texts)))/(1+df[j]))))
	}
	type posting struct {
		bucket uint32
		row    int32
		value  float32
	}
	var all []posting
	for i := range texts {
		words := n.telling(&texts[i], nil)
		for _, w := range words[:min(noveltyWords, len(words))] {
			all = append(all, posting{w.bucket, int32(i), w.value})
		}
	}
	slices.SortStableFunc(all, func(a, b posting) int { return cmp.Compare(a.bucket, b.bucket) })
	n.start = make([]int32, noveltyBuckets+1)
	for _, p := range all {
		n.start[p.bucket+1]++
		n.row, n.value = append(n.row, p.row), append(n.value, p.value)
	}
	for j := range noveltyBuckets {
		n.start[j+1] += n.start[j]
	}
	return n
}

// word is a weighted bucket of a text.
type word struct {
	bucket uint32
	value  float32
}

// telling returns the words of a text, most telling first, as a unit vector.
func (n *novelty) telling(s *carrot.Sparse, words []word) []word {
	words = words[:0]
	var sum float32
	for k, j := range s.Index {
		j &= noveltyBuckets - 1
		if v := s.Value[k] * n.idf[j]; v > 0 {
			words = append(words, word{j, v})
			sum += v * v
		}
	}
	norm := float32(1 / math.Sqrt(max(float64(sum), 1e-30)))
	for k := range words {
		words[k].value *= norm
	}
	slices.SortFunc(words, func(a, b word) int {
		return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.bucket, b.bucket))
	})
	return words
}

// nearest returns the highest similarity of a text to a training query for
// which skip is false.
func (n *novelty) nearest(s *carrot.Sparse, w *workspace, skip func(row int32) bool) float32 {
	w.sim = grow(w.sim, n.rows)
	w.touched = w.touched[:0]
	w.words = n.telling(s, w.words)
	for _, word := range w.words[:min(noveltyWords, len(w.words))] {
		for at := n.start[word.bucket]; at < n.start[word.bucket+1]; at++ {
			row := n.row[at]
			if w.sim[row] == 0 {
				w.touched = append(w.touched, row)
			}
			w.sim[row] += word.value * n.value[at]
		}
	}
	var best float32
	for _, row := range w.touched {
		if w.sim[row] > best && (skip == nil || !skip(row)) {
			best = w.sim[row]
		}
		w.sim[row] = 0
	}
	return min(best, 1)
}

// heldOut returns the novelty of each training query against the others that
// do not share its hash.
func (n *novelty) heldOut(texts []carrot.Sparse, hash []uint64) []float64 {
	out := make([]float64, len(texts))
	parallel(len(texts), func(lo, hi int) {
		var w workspace
		for i := lo; i < hi; i++ {
			out[i] = 1 - float64(n.nearest(&texts[i], &w, func(row int32) bool {
				return int(row) == i || hash != nil && hash[row] == hash[i]
			}))
		}
	})
	return out
}

// calibrate keeps the distribution of the held-out novelties and returns each
// as a share.
func (n *novelty) calibrate(heldOut []float64) []float64 {
	sorted := slices.Sorted(slices.Values(heldOut))
	n.quantile = n.quantile[:0]
	for k := range noveltyQuantiles {
		n.quantile = append(n.quantile, float32(sorted[k*(len(sorted)-1)/(noveltyQuantiles-1)]))
	}
	share := make([]float64, len(heldOut))
	for i, v := range heldOut {
		share[i] = n.share(float32(v))
	}
	return share
}

// share is the share of held-out training queries that were less novel.
func (n *novelty) share(v float32) float64 {
	at, _ := slices.BinarySearch(n.quantile, v)
	return float64(at) / float64(len(n.quantile))
}

// of returns the novelty of a query; 1 if it shares no telling word with any
// training query.
func (n *novelty) of(s *carrot.Sparse, w *workspace) float64 {
	similarity := n.nearest(s, w, nil)
	if similarity == 0 {
		return 1
	}
	return n.share(1 - similarity)
}

func (n *novelty) save(out *tensors, prefix string) {
	out.float32s(prefix+"idf", n.idf, len(n.idf))
	out.int32s(prefix+"start", n.start, len(n.start))
	out.int32s(prefix+"row", n.row, len(n.row))
	out.float32s(prefix+"value", n.value, len(n.value))
	out.float32s(prefix+"quantile", n.quantile, len(n.quantile))
	out.float64s(prefix+"settings", []float64{n.limit, float64(n.rows)}, 2)
}

func (n *novelty) load(in *tensors, prefix string) error {
	settings := in.getFloat64s(prefix+"settings", 2)
	if in.err != nil {
		return in.err
	}
	n.limit, n.rows = settings[0], int(settings[1])
	n.idf = in.getFloat32s(prefix+"idf", noveltyBuckets)
	n.value = in.getFloat32s(prefix+"value", -1)
	n.quantile = in.getFloat32s(prefix+"quantile", noveltyQuantiles)
	n.start = in.getIndices(prefix+"start", 0, len(n.value)+1, noveltyBuckets+1)
	// The rows are at most the postings, so a hostile count costs no memory.
	n.row = in.getIndices(prefix+"row", 0, min(n.rows, len(n.value)+1), len(n.value))
	if in.err == nil && !slices.IsSorted(n.start) {
		in.fail(prefix+"start", "offsets fall")
	}
	n.rows = min(n.rows, len(n.value)+1)
	return in.err
}
