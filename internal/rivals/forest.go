package rivals

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/blas/blas32"
)

// node is a node of a tree. A leaf has Feature -1 and a Value; any other node
// leads to Left if the feature is at most Threshold, else to Left+1.
type node struct {
	Feature   int16
	Left      int32
	Threshold float64 // not float32, as in scikit-learn: rounded, it could equal a value
	Value     float32
}

// tree is a decision tree, grown as by scikit-learn's DecisionTreeClassifier: by
// the split that lowers the Gini impurity most, with thresholds halfway between
// values, until leaves are pure or the depth is reached.
type tree []node

// growing is how trees are grown.
type growing struct {
	depth    int // at most
	leaf     int // rows of a leaf, at least
	features int // how many features are drawn for each split; 0 means all
	classes  int
}

// value returns the value of the leaf that x falls into.
func (t tree) value(x []float32) float32 {
	at := int32(0)
	for t[at].Feature >= 0 {
		n := &t[at]
		at = n.Left
		if float64(x[n.Feature]) > n.Threshold {
			at++
		}
	}
	return t[at].Value
}

// bins holds features cut into at most mostBins ranges each, so that a split is
// found by counting. A feature with no more distinct values than that loses
// nothing.
type bins struct {
	x      [][]uint8   // by feature, then row
	border [][]float64 // by feature: border[b] separates range b from range b+1
}

const mostBins = 64

// newBins cuts the features of x at quantiles of their distinct values.
func newBins(x blas32.General) *bins {
	b := &bins{x: make([][]uint8, x.Cols), border: make([][]float64, x.Cols)}
	values := make([]float32, x.Rows)
	for f := range x.Cols {
		for i := range values {
			values[i] = x.Data[i*x.Stride+f]
		}
		sorted := slices.Clone(values)
		slices.Sort(sorted)
		distinct := slices.Compact(slices.Clone(sorted))
		var border []float64
		if len(distinct) <= mostBins {
			for k := 1; k < len(distinct); k++ {
				border = append(border, middle(distinct[k-1], distinct[k]))
			}
		} else {
			for k := 1; k < mostBins; k++ {
				at := k * len(sorted) / mostBins
				next, _ := slices.BinarySearch(distinct, sorted[at])
				if next == 0 {
					continue
				}
				border = append(border, middle(distinct[next-1], distinct[next]))
			}
			border = slices.Compact(border)
		}
		b.border[f], b.x[f] = border, make([]uint8, x.Rows)
		for i, v := range values {
			at, _ := slices.BinarySearch(border, float64(v))
			b.x[f][i] = uint8(at)
		}
	}
	return b
}

func middle(a, b float32) float64 { return (float64(a) + float64(b)) / 2 }

// grower grows one tree.
type grower struct {
	bins   *bins
	class  []uint8
	worth  []float32 // of each class; a leaf's value is the mean worth of its rows
	how    growing
	random *rand.Rand
	tree   tree
	order  []int // of features

	// The state of the feature under examination.
	counts  []float64 // ranges × classes; all zero between features
	held    [4]uint64 // bit set of the ranges that hold a row
	present []uint8   // the same as a list
	side    []float64 // counts of the classes to the left of a split
}

// grow grows a tree on the rows, which may repeat. It reorders them.
func (g *grower) grow(rows []int32) tree {
	g.tree = append(g.tree[:0], node{})
	g.counts, g.side = make([]float64, mostBins*g.how.classes), make([]float64, g.how.classes)
	g.order = make([]int, len(g.bins.x))
	for f := range g.order {
		g.order[f] = f
	}
	g.node(0, rows, 0)
	return slices.Clone(g.tree)
}

func (g *grower) node(at int, rows []int32, depth int) {
	total := make([]float64, g.how.classes)
	for _, i := range rows {
		total[g.class[i]]++
	}
	feature, bin := -1, 0
	if pure := slices.Max(total) == float64(len(rows)); !pure && depth < g.how.depth && len(rows) >= 2*g.how.leaf {
		feature, bin = g.split(rows, total)
	}
	if feature < 0 {
		var sum float64
		for c, n := range total {
			sum += n * float64(g.worth[c])
		}
		g.tree[at] = node{Feature: -1, Value: float32(sum / float64(len(rows)))}
		return
	}
	left := 0
	column := g.bins.x[feature]
	for k, i := range rows {
		if int(column[i]) <= bin {
			rows[k], rows[left] = rows[left], rows[k]
			left++
		}
	}
	child := len(g.tree)
	g.tree = append(g.tree, node{}, node{})
	g.tree[at] = node{Feature: int16(feature), Left: int32(child), Threshold: g.bins.border[feature][bin]}
	g.node(child, rows[:left], depth+1)
	g.node(child+1, rows[left:], depth+1)
}

// split finds the feature and the bin after which to split the rows. The best
// split by Gini impurity maximises (Σ_c n_c²)/n, summed over both sides; ties go
// to the first one examined. The feature is -1 if no split leaves enough rows on
// both sides and makes them purer.
func (g *grower) split(rows []int32, total []float64) (feature, bin int) {
	n, classes := float64(len(rows)), g.how.classes
	best := 0.0
	for _, t := range total {
		best += t * t / n
	}
	best += 1e-9 * n
	feature = -1
	looked := len(g.order)
	if g.how.features > 0 && g.how.features < looked {
		looked = g.how.features
		for k := range looked {
			j := k + g.random.IntN(len(g.order)-k)
			g.order[k], g.order[j] = g.order[j], g.order[k]
		}
	}
	for _, f := range g.order[:looked] {
		g.count(f, rows)
		clear(g.side)
		var left float64
		for _, b := range g.present[:len(g.present)-1] {
			for c, v := range g.counts[int(b)*classes:][:classes] {
				g.side[c] += v
				left += v
			}
			if left < float64(g.how.leaf) || n-left < float64(g.how.leaf) {
				continue
			}
			var l, r float64
			for c, v := range g.side {
				l += v * v
				r += (total[c] - v) * (total[c] - v)
			}
			if purity := l/left + r/(n-left); purity > best {
				best, feature, bin = purity, f, int(b)
			}
		}
		for _, b := range g.present {
			clear(g.counts[int(b)*classes:][:classes])
		}
	}
	return feature, bin
}

// count counts the rows' classes in every range of a feature and lists, in rising
// order, the ranges that hold rows. Most nodes are small and their rows are in few
// ranges.
func (g *grower) count(f int, rows []int32) {
	column, classes := g.bins.x[f], g.how.classes
	clear(g.held[:])
	for _, i := range rows {
		b := column[i]
		g.held[b>>6] |= 1 << (b & 63)
		g.counts[int(b)*classes+int(g.class[i])]++
	}
	g.present = g.present[:0]
	for w, word := range g.held {
		for ; word != 0; word &= word - 1 {
			g.present = append(g.present, uint8(w<<6+bits.TrailingZeros64(word)))
		}
	}
}

// forest predicts the mean of its trees.
type forest []tree

// growForest grows count trees, with bootstrap each on a resample of the rows.
// Without, trees differ only by the features drawn for their splits.
func growForest(b *bins, rows []int32, class []uint8, worth []float32, how growing, count int, bootstrap bool, seed uint64) forest {
	out := make(forest, count)
	for t := range out {
		random := rand.New(rand.NewPCG(seed, uint64(t)))
		sample := slices.Clone(rows)
		if bootstrap {
			for k := range sample {
				sample[k] = rows[random.IntN(len(rows))]
			}
		}
		g := grower{bins: b, class: class, worth: worth, how: how, random: random}
		out[t] = g.grow(sample)
	}
	return out
}

func (f forest) value(x []float32) float64 {
	var sum float64
	for _, t := range f {
		sum += float64(t.value(x))
	}
	return sum / math.Max(float64(len(f)), 1)
}
