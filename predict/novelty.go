package predict

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/parallel"
)

// novelty measures how unlike the training queries a query is. The similarity of
// a query is the cosine to the nearest training query, over grams (or words, where there
// are none) weighted by inverse document frequency; its novelty is the share of training
// queries, each held out in turn, that were more similar. What was never seen has no weight,
// so that a misspelt word or a courtesy does not make a query novel. But the similarity is
// scaled down if fewer than half of the words were ever seen, so that a text in another
// language is as novel as possible.
//
// The trust in a forecast falls with the similarity, not with its rank: it is 1 down to
// the similarity that all but noveltyFar of the held-out queries reach, and 0 at half
// of that. Similarities of prompts made from few templates are so close together that
// ranks would make a cliff.
//
// Grams recognise an unknown subject better than words do, and words better than dense
// neighbours or the variance of a Gaussian process (docs/log.md).
type novelty struct {
	// near is the similarity down to which forecasts are trusted. It is 0 in a file of
	// a former version: words never seen then lengthen a query's vector, and trust
	// falls from 1 to 0 where the novelty passes limit.
	near  float64
	limit float64
	grams *gramIndex // nil where queries have no grams, and in a file of a former version

	key      []uint32  // the hashes of the words seen, rising
	idf      []float32 // of each word
	start    []int32   // the postings of word k are those from start[k] to start[k+1]
	posting  []posting
	rows     int // training queries
	indexed  int // one more than the highest row with a posting
	group    groups
	quantile []float32 // sorted novelties of held-out training queries
}

// posting is a word of a training query, with its share of the query's vector.
type posting struct {
	row   int32
	value float32
}

const (
	noveltyQuantiles = 256 // points of the distribution kept
	noveltyLimit     = 0.995
	// noveltyFar is the share of held-out training queries that are trusted in part.
	noveltyFar = 0.01
	// abstainBelow is the trust below which a predictor is said to abstain.
	abstainBelow = 0.05
	// knownWords is the share of a query's words that must have been seen.
	knownWords = 0.5
	// A word found in more than the share noveltyCommon of the queries has no
	// postings: it counts as shared with whichever query is nearest.
	noveltyCommon = 0.1
)

// newNovelty indexes the training queries.
func newNovelty(x []carrot.Representation) novelty {
	n := novelty{near: 1, limit: noveltyLimit, rows: len(x)}
	if slices.ContainsFunc(x, func(x carrot.Representation) bool { return len(x.Grams) > 0 }) {
		n.grams = newGramIndex(x)
	}
	texts := make([]carrot.Sparse, len(x))
	for i := range x {
		texts[i] = x[i].Sparse
	}
	df := map[uint32]int32{}
	for _, s := range texts {
		for _, j := range words(&s) {
			df[j]++
		}
	}
	n.key = slices.Sorted(maps.Keys(df))
	n.start = make([]int32, len(n.key)+1)
	for k, j := range n.key {
		n.idf = append(n.idf, float32(inverseFrequency(len(texts), df[j])))
		n.start[k+1] = n.start[k]
		if float64(df[j]) <= max(1, noveltyCommon*float64(len(texts))) {
			n.start[k+1] += df[j]
		}
	}
	n.posting = make([]posting, n.start[len(n.key)])
	n.group = newGroups(n.key)
	next := slices.Clone(n.start)
	var place []int32
	for i := range texts {
		place = n.find(&texts[i], place)
		norm := n.norm(&texts[i], place)
		for at, k := range place {
			if n.start[k] < n.start[k+1] {
				n.posting[next[k]] = posting{int32(i), texts[i].Value[at] * n.idf[k] * norm}
				next[k]++
			}
		}
	}
	n.setIndexed()
	return n
}

// setIndexed finds the highest row with a posting.
func (n *novelty) setIndexed() {
	n.indexed = 0
	for _, p := range n.posting {
		n.indexed = max(n.indexed, int(p.row)+1)
	}
}

// groupBits is the number of a hash's first bits that choose its group.
const groupBits = 13

// groups finds hashes in a rising list: groups[g] is the number of those that begin with bits
// below g.
type groups []int32

func newGroups(key []uint32) groups {
	group := make(groups, 1<<groupBits+1)
	for _, j := range key {
		group[j>>(32-groupBits)+1]++
	}
	for g := range 1 << groupBits {
		group[g+1] += group[g]
	}
	return group
}

// find returns where a hash is in the list, -1 if it is not there.
func (group groups) find(key []uint32, j uint32) int32 {
	g := j >> (32 - groupBits)
	k, end := group[g], group[g+1]
	for k < end && key[k] < j {
		k++
	}
	if k == end || key[k] != j {
		return -1
	}
	return k
}

// inverseFrequency is the weight of a word found in df of n texts.
func inverseFrequency(n int, df int32) float64 { return math.Log(float64(n+1) / float64(df+1)) }

// words returns the hashes of a text's words, without those of word pairs.
func words(s *carrot.Sparse) []uint32 {
	end, _ := slices.BinarySearch(s.Index, carrot.FirstPair)
	return s.Index[:end]
}

// find returns where the words of a text are in key, -1 for those never seen. It
// reuses the memory of place.
func (n *novelty) find(s *carrot.Sparse, place []int32) []int32 {
	place = place[:0]
	for _, j := range words(s) {
		place = append(place, n.group.find(n.key, j))
	}
	return place
}

// norm is one over the length of a text's weighted word vector, 0 for an empty
// one. place says where its words are in key.
func (n *novelty) norm(s *carrot.Sparse, place []int32) float32 {
	var unseen float32
	if n.near == 0 {
		unseen = float32(inverseFrequency(n.rows, 0))
	}
	var sum float32
	for at, k := range place {
		weight := unseen
		if k >= 0 {
			weight = n.idf[k]
		}
		sum += s.Value[at] * s.Value[at] * weight * weight
	}
	if sum == 0 {
		return 0
	}
	return float32(1 / math.Sqrt(float64(sum)))
}

// known is the factor, in [0,1], by which a similarity counts if only some of the words
// of a text were seen. place says which. In another language about a quarter of the
// words happen to be known.
func (n *novelty) known(s *carrot.Sparse, place []int32) float32 {
	if n.near == 0 {
		return 1
	}
	var seen, all float32
	for at, k := range place {
		all += s.Value[at]
		if k >= 0 {
			seen += s.Value[at]
		}
	}
	if seen >= knownWords*all {
		return 1
	}
	share := seen / (knownWords * all)
	return share * share * share * share
}

// nearest returns the highest similarity of a text to a training query for which
// skip is false (nil: to any). w.place says where the text's words are in key.
func (n *novelty) nearest(s *carrot.Sparse, w *workspace, skip func(row int32) bool) float32 {
	w.sim = grow(w.sim, n.indexed)
	norm := n.norm(s, w.place)
	if norm == 0 && n.near > 0 { // what was seen of it is in every training query
		return n.known(s, w.place)
	}
	var common, best float32
	for at, k := range w.place {
		if k < 0 {
			continue
		}
		v := s.Value[at] * n.idf[k] * norm
		postings := n.posting[n.start[k]:n.start[k+1]]
		if len(postings) == 0 {
			common += v * v
		}
		for _, p := range postings {
			sim := w.sim[p.row] + v*p.value
			w.sim[p.row] = sim
			if sim > best { // it only grows: weights are positive
				best = sim
			}
		}
	}
	if skip != nil {
		best = 0
		for row, sim := range w.sim {
			if sim > best && !skip(int32(row)) {
				best = sim
			}
		}
	}
	clear(w.sim)
	return n.known(s, w.place) * min(best+common, 1)
}

// heldOut returns one minus the similarity of each training query to the nearest of
// the others that are not held out with it: same(i, row) reports whether row is, for
// query i. What only such rows contain was not seen.
func (n *novelty) heldOut(x []carrot.Representation, same func(i int, row int32) bool) []float32 {
	out := make([]float32, len(x))
	parallel.Ranges(len(x), func(lo, hi int) {
		var w workspace
		for i := lo; i < hi; i++ {
			skip := func(row int32) bool { return same(i, row) }
			w.place = n.find(&x[i].Sparse, w.place)
			for at, k := range w.place {
				postings := n.posting[n.start[k]:n.start[k+1]]
				if len(postings) > 0 && !slices.ContainsFunc(postings, func(p posting) bool { return !skip(p.row) }) {
					w.place[at] = -1
				}
			}
			if n.grams == nil {
				out[i] = 1 - n.nearest(&x[i].Sparse, &w, skip)
				continue
			}
			known := n.known(&x[i].Sparse, w.place)
			n.grams.see(x[i].Grams, &w)
			n.grams.unsee(&w, skip)
			out[i] = 1 - known*n.grams.nearest(&w, skip)
		}
	})
	return out
}

// calibrate keeps the distribution of the training queries, each held out.
func (n *novelty) calibrate(heldOut []float32) {
	sorted := slices.Sorted(slices.Values(heldOut))
	at := func(share float64) float32 { return sorted[int(share*float64(len(sorted)-1))] }
	n.quantile = n.quantile[:0]
	for k := range noveltyQuantiles {
		n.quantile = append(n.quantile, sorted[k*(len(sorted)-1)/(noveltyQuantiles-1)])
	}
	n.near = max(1-float64(at(1-noveltyFar)), leastNear)
}

// leastNear is what near is at least, so that it is not 0 where training queries share
// no words.
const leastNear = 0.01

// share is the share of held-out training queries that were less novel.
func (n *novelty) share(v float32) float64 {
	at, _ := slices.BinarySearch(n.quantile, v)
	return float64(at) / float64(len(n.quantile))
}

// trust is how far the forecast for a query of a distance counts, from 0 to 1. It falls
// smoothly.
func (n *novelty) trust(v float32) float64 {
	if n.near == 0 {
		if n.share(v) > n.limit {
			return 0
		}
		return 1
	}
	x := min(max(2*(1-float64(v))/n.near-1, 0), 1)
	return x * x * (3 - 2*x)
}

// of returns the novelty of a query and the trust in a forecast for it: 1 and 0 if it has
// no word that was ever seen, and 0 and 1 if the training queries have no words, so that
// none can be missing.
func (n *novelty) of(x *carrot.Representation, w *workspace) (share, trust float64) {
	s := &x.Sparse
	if len(n.key) == 0 {
		return 0, 1
	}
	w.place = n.find(s, w.place)
	if !slices.ContainsFunc(w.place, func(k int32) bool { return k >= 0 }) {
		return 1, 0
	}
	var distance float32
	if n.grams == nil {
		distance = 1 - n.nearest(s, w, nil)
	} else {
		known := n.known(s, w.place)
		n.grams.see(x.Grams, w)
		distance = 1 - known*n.grams.nearest(w, nil)
	}
	return n.share(distance), n.trust(distance)
}

func (n *novelty) save(out *tensors, prefix string) {
	out.uint32s(prefix+"key", n.key, len(n.key))
	if n.grams != nil {
		n.grams.save(out, prefix)
	} else {
		n.saveWords(out, prefix)
	}
	out.float32s(prefix+"quantile", n.quantile, len(n.quantile))
	settings := []float64{n.limit, float64(n.rows)}
	if n.near > 0 { // else it was loaded from a file of a former version
		settings = append(settings, n.near)
	}
	out.float64s(prefix+"settings", settings, len(settings))
}

func (n *novelty) saveWords(out *tensors, prefix string) {
	out.float32s(prefix+"idf", n.idf, len(n.idf))
	out.int32s(prefix+"start", n.start, len(n.start))
	row, value := make([]int32, len(n.posting)), make([]float32, len(n.posting))
	for i, p := range n.posting {
		row[i], value[i] = p.row, p.value
	}
	out.int32s(prefix+"row", row, len(row))
	out.float32s(prefix+"value", value, len(value))
}

func (n *novelty) load(in *tensors, prefix string) error {
	numbers := 2 // of a former version
	if in.err == nil && in.rows(prefix+"settings") == 3 {
		numbers = 3
	}
	settings := in.getFloat64s(prefix+"settings", numbers)
	if in.err != nil {
		return in.err
	}
	n.limit, n.rows = settings[0], int(settings[1])
	if numbers == 3 {
		if n.near = settings[2]; !(n.near > 0 && n.near <= 1) {
			in.fail(prefix+"settings", fmt.Sprintf("a similarity of %v is outside (0,1]", n.near))
		}
	}
	n.quantile = in.getFloat32s(prefix+"quantile", noveltyQuantiles)
	n.key = in.getUint32s(prefix+"key", -1)
	if _, ok := in.file.Tensor(prefix + "gram"); ok && in.err == nil {
		if n.grams, n.group = loadGramIndex(in, prefix, n.rows), newGroups(n.key); !slices.IsSorted(n.key) {
			in.fail(prefix+"key", "is not in rising order")
		}
		return in.err
	}
	n.idf = in.getFloat32s(prefix+"idf", len(n.key))
	value := in.getFloat32s(prefix+"value", -1)
	n.start = in.getIndices(prefix+"start", 0, len(value)+1, len(n.key)+1)
	// Row numbers are also bounded by the number of values, so that a hostile
	// file cannot claim memory for rows that it does not have.
	row := in.getIndices(prefix+"row", 0, min(n.rows, 64*len(value)+1), len(value))
	if in.err == nil && !(slices.IsSorted(n.start) && slices.IsSorted(n.key)) {
		in.fail(prefix+"start", "keys or offsets are not in rising order")
	}
	if in.err != nil {
		return in.err
	}
	n.posting = make([]posting, len(row))
	for i := range row {
		n.posting[i] = posting{row[i], value[i]}
	}
	n.setIndexed()
	n.group = newGroups(n.key)
	return nil
}
