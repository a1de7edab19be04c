package dot

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func random(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// TestRows: Rows is accurate to float32, and equal to the loop in Go to the last
// bit.
func TestRows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, d := range []int{0, 1, 7, 31, 32, 33, 96, 128, 131, 1024} {
		for _, n := range []int{0, 1, 2, 33} {
			a, x := random(r, n*d+5), random(r, d) // more than needed
			y := append(random(r, n), 42)
			Rows(y[:n], a, x)
			if y[n] != 42 {
				t.Fatalf("%d rows of %d: Rows wrote past the end", n, d)
			}
			for i := range n {
				var want, size float64
				for j, v := range a[i*d : (i+1)*d] {
					want += float64(v) * float64(x[j])
					size += math.Abs(float64(v) * float64(x[j]))
				}
				if math.Abs(float64(y[i])-want) > 1e-6*size {
					t.Fatalf("%d rows of %d: row %d is %v, want %v", n, d, i, y[i], want)
				}
			}
			whole := d / lanes * lanes
			plain := make([]float32, n)
			rows(plain, a, x, whole)
			if whole == d && !slices.Equal(plain, y[:n]) {
				t.Fatalf("%d rows of %d: %v by the loop in Go, %v by Rows", n, d, plain, y[:n])
			}
		}
	}
}

// TestAddRows: sums of rows are equal, to the last bit, to products and sums of
// float32 in the order of the rows.
func TestAddRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, d := range []int{0, 1, 7, 8, 9, 33, 128} {
		for _, n := range []int{0, 1, 3, 70} {
			const rows = 11
			a, bytes, weights := random(r, rows*d), make([]byte, rows*d), random(r, max(n, rows))
			numbers := make([]int32, n)
			for k := range numbers {
				numbers[k] = int32(r.IntN(rows))
			}
			for i := range bytes {
				bytes[i] = byte(r.Uint32())
			}
			start := append(random(r, d), 42)
			want, wantInt8 := slices.Clone(start), slices.Clone(start)
			for k, row := range numbers {
				for j := range d {
					product := weights[k] * a[int(row)*d+j]
					want[j] += product
					product = weights[row] * float32(int8(bytes[int(row)*d+j]))
					wantInt8[j] += product
				}
			}
			got, gotInt8 := slices.Clone(start), slices.Clone(start)
			AddRows(got[:d], a, numbers, weights)
			AddInt8Rows(gotInt8[:d], bytes, numbers, weights[:rows])
			if !slices.Equal(got, want) {
				t.Errorf("%d rows of %d: %v, want %v", n, d, got, want)
			}
			if !slices.Equal(gotInt8, wantInt8) {
				t.Errorf("%d rows of %d int8s: %v, want %v", n, d, gotInt8, wantInt8)
			}
		}
	}
}

// TestNoSuchRow: no row is read that a matrix does not have.
func TestNoSuchRow(t *testing.T) {
	a, bytes, y := make([]float32, 6), make([]byte, 6), make([]float32, 3)
	for name, add := range map[string]func(){
		"a row after the last":            func() { AddRows(y, a, []int32{0, 2}, []float32{1, 1}) },
		"a row before the first":          func() { AddRows(y, a, []int32{-1}, []float32{1}) },
		"no weight":                       func() { AddRows(y, a, []int32{0, 1}, []float32{1}[:1:1]) },
		"a row of int8s after the last":   func() { AddInt8Rows(y, bytes, []int32{2}, []float32{1, 1, 1}) },
		"a row of int8s with no scale":    func() { AddInt8Rows(y, bytes, []int32{1}, []float32{1}) },
		"a row of int8s before the first": func() { AddInt8Rows(y, bytes, []int32{-1}, []float32{1, 1}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			add()
		}()
	}
}

func BenchmarkRows(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][2]int{{1024, 128}, {33, 1024}} {
		a, x, y := random(r, size[0]*size[1]), random(r, size[1]), make([]float32, size[0])
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			for b.Loop() {
				Rows(y, a, x)
			}
		})
	}
}

// BenchmarkRowsCold goes over matrices that are not in the nearer caches.
func BenchmarkRowsCold(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	a, x, y := random(r, 64*1024*128), random(r, 128), make([]float32, 1024)
	for i := 0; b.Loop(); i++ {
		Rows(y, a[i%64*1024*128:], x)
	}
}
