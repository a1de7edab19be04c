package nearest

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestHeap: the heap returns what sorting all rows does: the k most similar ones,
// the nearest first, with ties in row order.
func TestHeap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h Heap
	for range 200 {
		n, k := 1+r.IntN(60), 1+r.IntN(20)
		sim := make([]float32, n)
		want := make([]int32, n)
		h.Reset(k)
		for i := range sim {
			sim[i], want[i] = float32(r.IntN(8)), int32(i) // many ties
			h.Offer(sim[i], int32(i))
		}
		slices.SortStableFunc(want, func(a, b int32) int { return int(sim[b] - sim[a]) })
		if got := h.Sorted(); !slices.Equal(got, want[:min(k, n)]) {
			t.Fatalf("similarities %v, k = %d: rows %v, want %v", sim, k, got, want[:min(k, n)])
		}
	}
}
