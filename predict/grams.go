package predict

import (
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/safetensors"
)

// gramIndex finds the training query whose grams are most like a query's: by the cosine of
// which grams they have, weighted by inverse document frequency. Grams of a subject's
// words recognise it in words that were not seen.
//
// The most alike query is sought among the few that share the most weight of rare
// grams, which have postings. Grams of many queries have a bit of each, and count only in the
// exact comparison with those few.
type gramIndex struct {
	key   []uint32  // the hashes of the grams seen, rising
	start []int32   // the postings of gram k are those from start[k] to start[k+1]
	gram  []indexed // of each key
	row   []int32   // training queries
	bits  []uint64  // n×w: which of these a training query has
	often []float32 // of each bit, idf squared
	norm  []float32 // of each training query, one over the length of its vector
	group groups
}

// indexed is what is known of a gram.
type indexed struct {
	key    uint32
	weight float32 // inverse document frequency, squared
	at, n  int32   // its postings; if n is 0, at is its bit
}

const (
	// A gram has postings if at most this share or this number of the queries have it.
	rareShare, rareNumber = 0.02, 32
	// gramCandidates is how many queries are compared exactly.
	gramCandidates = 8
	// All queries are compared exactly if the rare grams of a query weigh less than the
	// others and all bits take at most fewBits words, or if they weigh a quarter.
	fewBits, littleRare = 1 << 16, 4
	// A similarity above allGrams is 1, whatever the order of the sums.
	allGrams = 0.99999
)

// newGramIndex indexes the training queries.
func newGramIndex(x []carrot.Representation) *gramIndex {
	g := &gramIndex{}
	df := map[uint32]int32{}
	sets := make([][]uint32, len(x))
	for i := range x {
		set := slices.Clone(x[i].Grams)
		slices.Sort(set)
		sets[i] = slices.Clip(slices.Compact(set))
		for _, j := range sets[i] {
			df[j]++
		}
	}
	g.key = slices.Sorted(maps.Keys(df))
	g.start = make([]int32, len(g.key)+1)
	for k, j := range g.key {
		g.start[k+1] = g.start[k]
		if float64(df[j]) <= max(rareNumber, rareShare*float64(len(x))) {
			g.start[k+1] += df[j]
		}
	}
	g.row = make([]int32, g.start[len(g.key)])
	g.number()
	words := g.words()
	g.bits = make([]uint64, len(x)*words)
	next := slices.Clone(g.start)
	for i, set := range sets {
		for _, j := range set {
			k, _ := slices.BinarySearch(g.key, j)
			if b := g.gram[k].at; g.gram[k].n == 0 {
				g.bits[i*words+int(b/64)] |= 1 << (b % 64)
			} else {
				g.row[next[k]] = int32(i)
				next[k]++
			}
		}
	}
	g.weigh(len(x))
	return g
}

// words returns how many words of bits a training query has.
func (g *gramIndex) words() int { return (len(g.often) + 63) / 64 }

// number numbers the grams without postings.
func (g *gramIndex) number() {
	g.gram = make([]indexed, len(g.key))
	n := int32(0)
	for k, j := range g.key {
		g.gram[k] = indexed{key: j, at: g.start[k], n: g.start[k+1] - g.start[k]}
		if g.gram[k].n == 0 {
			g.gram[k].at = n
			n++
		}
	}
	g.often = make([]float32, n)
	g.group = newGroups(g.key)
}

// weigh finds the weights of the grams and the lengths of the vectors of n queries.
func (g *gramIndex) weigh(n int) {
	words := g.words()
	count := make([]int32, 64*words)
	for at, set := range g.bits {
		for ; set != 0; set &= set - 1 {
			count[at%words*64+bits.TrailingZeros64(set)]++
		}
	}
	sum := make([]float32, n)
	for k := range g.gram {
		e := &g.gram[k]
		df := e.n
		if e.n == 0 {
			df = count[e.at]
		}
		w := inverseFrequency(n, df)
		if e.weight = float32(w * w); e.n == 0 {
			g.often[e.at] = e.weight
			continue
		}
		for _, row := range g.row[e.at:][:e.n] {
			sum[row] += e.weight
		}
	}
	g.norm = make([]float32, n)
	for i := range sum {
		for w, set := range g.bits[i*words:][:words] {
			sum[i] += common(g.often[64*w:], set)
		}
		if sum[i] > 0 {
			g.norm[i] = float32(1 / math.Sqrt(float64(sum[i])))
		}
	}
}

// common adds the weights of the bits that are set.
func common(weight []float32, set uint64) (sum float32) {
	for ; set != 0; set &= set - 1 {
		sum += weight[bits.TrailingZeros64(set)]
	}
	return sum
}

// find returns where a gram is in the list, -1 if it was never seen.
func (g *gramIndex) find(j uint32) int32 {
	at := j >> (32 - groupBits)
	k, end := g.group[at], g.group[at+1]
	for k < end && g.gram[k].key < j {
		k++
	}
	if k == end || g.gram[k].key != j {
		return -1
	}
	return k
}

// see lists in w.place, and marks in w.seen, where the distinct grams that were seen are in
// the list.
func (g *gramIndex) see(grams []uint32, w *workspace) {
	w.seen, w.place = grow(w.seen, len(g.key)), w.place[:0]
	for _, j := range grams {
		if k := g.find(j); k >= 0 && !w.seen[k] {
			w.seen[k] = true
			w.place = append(w.place, k)
		}
	}
}

// nearest returns the highest similarity of a query to a training query for which skip is
// false (nil: to any), by what see has listed. It clears the marks of see.
func (g *gramIndex) nearest(w *workspace, skip func(row int32) bool) float32 {
	words := g.words()
	w.sim, w.set = grow(w.sim, len(g.norm)), grow(w.set, words)
	var rare, often float32
	for _, k := range w.place {
		w.seen[k] = false
		e := g.gram[k]
		if e.n == 0 {
			w.set[e.at/64] |= 1 << (e.at % 64)
			often += e.weight
			continue
		}
		rare += e.weight
		for _, row := range g.row[e.at:][:e.n] {
			w.sim[row] += e.weight
		}
	}
	exact := func(row int32) float32 {
		sum := w.sim[row]
		for at, set := range g.bits[int(row)*words:][:words] {
			if set &= w.set[at]; set != 0 {
				sum += common(g.often[64*at:], set)
			}
		}
		return sum * g.norm[row]
	}
	var best float32
	if rare < often && len(g.bits) <= fewBits || littleRare*rare < often { // too little to go by
		for row := range int32(len(g.norm)) {
			if skip == nil || !skip(row) {
				best = max(best, exact(row))
			}
		}
	} else {
		top, n := g.candidates(w.sim, skip)
		for _, row := range top[:n] {
			best = max(best, exact(row))
		}
	}
	clear(w.sim)
	clear(w.set)
	if len(w.place) == 0 {
		return 0
	}
	if rare+often == 0 { // what was seen of it is in every training query
		return 1
	}
	similarity := best / float32(math.Sqrt(float64(rare+often)))
	if similarity > allGrams {
		return 1
	}
	return similarity
}

// candidates returns the n rows of the highest sums over the lengths of their vectors.
func (g *gramIndex) candidates(sum []float32, skip func(row int32) bool) (top [gramCandidates]int32, n int) {
	var value [gramCandidates]float32 // falling
	least := float32(0)
	offer := func(row int, v float32) {
		if v <= least || skip != nil && skip(int32(row)) {
			return
		}
		n = min(n+1, gramCandidates)
		at := n - 1
		for ; at > 0 && value[at-1] < v; at-- {
			top[at], value[at] = top[at-1], value[at-1]
		}
		top[at], value[at] = int32(row), v
		least = value[gramCandidates-1]
	}
	row := 0
	for ; row+4 <= len(sum); row += 4 { // most fours have none, which this tells quickly
		s, l, m := (*[4]float32)(sum[row:]), (*[4]float32)(g.norm[row:]), least
		if s[0]*l[0] > m || s[1]*l[1] > m || s[2]*l[2] > m || s[3]*l[3] > m {
			for k := range s {
				offer(row+k, s[k]*l[k])
			}
		}
	}
	for ; row < len(sum); row++ {
		offer(row, sum[row]*g.norm[row])
	}
	return top, n
}

// unsee removes what see has found only in training queries for which skip is true.
func (g *gramIndex) unsee(w *workspace, skip func(row int32) bool) {
	words := g.words()
	w.place = slices.DeleteFunc(w.place, func(k int32) bool {
		elsewhere := false
		if e := g.gram[k]; e.n > 0 {
			elsewhere = slices.ContainsFunc(g.row[e.at:][:e.n], func(row int32) bool { return !skip(row) })
		} else {
			b := e.at
			for row := int32(0); !elsewhere && int(row) < len(g.norm); row++ {
				elsewhere = g.bits[int(row)*words+int(b/64)]>>(b%64)&1 == 1 && !skip(row)
			}
		}
		w.seen[k] = elsewhere
		return !elsewhere
	})
}

func (g *gramIndex) save(out *tensors, prefix string) {
	n, words := len(g.norm), g.words()
	out.uint32s(prefix+"gram", g.key, len(g.key))
	out.int32s(prefix+"gram.start", g.start, len(g.start))
	if n <= 1<<16 {
		row := make([]uint16, len(g.row))
		for i, r := range g.row {
			row[i] = uint16(r)
		}
		out.uint16s(prefix+"gram.row", row, len(row))
	} else {
		out.int32s(prefix+"gram.row", g.row, len(g.row))
	}
	set := make([]uint8, 0, 8*len(g.bits))
	for _, b := range g.bits {
		for at := range 8 {
			set = append(set, uint8(b>>(8*at)))
		}
	}
	out.uint8s(prefix+"gram.often", set, n, 8*words)
}

// loadGramIndex reads what save wrote, of n training queries.
func loadGramIndex(in *tensors, prefix string, n int) *gramIndex {
	g := &gramIndex{key: in.getUint32s(prefix+"gram", -1)}
	if t, ok := in.file.Tensor(prefix + "gram.row"); ok && t.DType == safetensors.U16 {
		for _, r := range in.getUint16s(prefix+"gram.row", -1) {
			if g.row = append(g.row, int32(r)); int(r) >= n {
				in.fail(prefix+"gram.row", fmt.Sprintf("index %d is outside [0,%d)", r, n))
				return nil
			}
		}
	} else {
		g.row = in.getIndices(prefix+"gram.row", 0, n, -1)
	}
	g.start = in.getIndices(prefix+"gram.start", 0, len(g.row)+1, len(g.key)+1)
	if in.err != nil {
		return nil
	}
	if !slices.IsSorted(g.start) || g.start[len(g.key)] != int32(len(g.row)) || !slices.IsSorted(g.key) {
		in.fail(prefix+"gram.start", "keys or offsets are not in rising order")
		return nil
	}
	g.number()
	words := g.words()
	// The bits also bound n, so that a hostile file cannot claim memory for rows that it
	// does not have.
	if words == 0 && n > 1<<16 || n < 1 {
		in.fail(prefix+"gram.often", fmt.Sprintf("has no bits of %d queries", n))
		return nil
	}
	set := in.getUint8s(prefix+"gram.often", n, 8*words)
	if in.err != nil {
		return nil
	}
	g.bits = make([]uint64, n*words)
	for at, b := range set {
		g.bits[at/8] |= uint64(b) << (at % 8 * 8)
	}
	for at, b := range g.bits {
		if rest := len(g.often) - at%words*64; rest < 64 && b>>rest != 0 {
			in.fail(prefix+"gram.often", "has bits of no gram")
			return nil
		}
	}
	g.weigh(n)
	return g
}
