package parallel

import (
	"slices"
	"testing"
)

// TestLoops: every index is visited once, for any number of iterations.
func TestLoops(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 100} {
		each, ranges, want := make([]int, n), make([]int, n), slices.Repeat([]int{1}, n)
		Each(n, func(i int) { each[i]++ })
		Ranges(n, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				ranges[i]++
			}
		})
		if !slices.Equal(each, want) || !slices.Equal(ranges, want) {
			t.Errorf("n = %d: Each %v, Ranges %v", n, each, ranges)
		}
	}
}
