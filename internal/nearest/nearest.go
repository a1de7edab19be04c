// Package nearest keeps the nearest neighbours of an exact scan.
package nearest

// Heap keeps the k most similar of the rows offered, as a heap with the least
// similar on top. Ties go to the earlier row.
type Heap struct {
	k   int
	sim []float32
	row []int32
}

// Reset empties the heap and sets how many rows it keeps.
func (h *Heap) Reset(k int) {
	h.k = k
	h.sim, h.row = h.sim[:0], h.row[:0]
}

// worse reports whether entry a is less similar than b, or equally similar and a
// later row.
func (h *Heap) worse(a, b int) bool {
	return h.sim[a] < h.sim[b] || h.sim[a] == h.sim[b] && h.row[a] > h.row[b]
}

func (h *Heap) swap(a, b int) {
	h.sim[a], h.sim[b] = h.sim[b], h.sim[a]
	h.row[a], h.row[b] = h.row[b], h.row[a]
}

// Offer adds a row. Rows must be offered in rising order.
func (h *Heap) Offer(sim float32, row int32) {
	if len(h.sim) == h.k {
		if sim <= h.sim[0] {
			return
		}
		h.sim[0], h.row[0] = sim, row
		h.down(0, h.k)
		return
	}
	h.sim, h.row = append(h.sim, sim), append(h.row, row)
	for at := len(h.sim) - 1; at > 0; {
		up := (at - 1) / 2
		if !h.worse(at, up) {
			return
		}
		h.swap(at, up)
		at = up
	}
}

func (h *Heap) down(at, n int) {
	for {
		child := 2*at + 1
		if child >= n {
			return
		}
		if child+1 < n && h.worse(child+1, child) {
			child++
		}
		if !h.worse(child, at) {
			return
		}
		h.swap(at, child)
		at = child
	}
}

// Sorted returns the rows, the nearest first. It destroys the heap: call Reset
// before using it again.
func (h *Heap) Sorted() []int32 {
	for n := len(h.sim) - 1; n > 0; n-- {
		h.swap(0, n)
		h.down(0, n)
	}
	return h.row
}
