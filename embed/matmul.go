package embed

import (
	"runtime"

	"github.com/carrot-router/carrot/internal/parallel"
	"gonum.org/v1/gonum/blas/gonum"
)

// fastBLAS reports whether gonum's vector routines are assembly on this
// processor. On amd64, rows of dot products in cache-sized tiles reach 8 to 9
// billion multiply-adds per second and core; gonum's own Sgemm reaches 4.6, and
// dotsGo 3.7.
const fastBLAS = runtime.GOARCH == "amd64"

var blas gonum.Implementation

// matrix is a view of numbers in row-major order.
type matrix struct {
	data               []float32
	rows, cols, stride int
}

func newMatrix(data []float32, rows, cols int) matrix {
	return matrix{data, rows, cols, cols}
}

func (m matrix) row(i int) []float32 { return m.data[i*m.stride : i*m.stride+m.cols] }

// columns returns a view of n columns, starting at column from.
func (m matrix) columns(from, n int) matrix {
	return matrix{m.data[from:], m.rows, n, m.stride}
}

// tileFloats is the size of a tile of b that fits into the first-level cache.
const tileFloats = 6 << 10

// product sets c to a·bᵀ plus a bias for every column, then applies act, if it is
// not nil, to stretches of c's rows. If spread is set, it uses all cores, which
// changes no value.
func product(c, a, b matrix, bias []float32, act func([]float32), spread bool) {
	width := min(max(tileFloats/b.cols&^3, 4), 64)
	tiles := (b.rows + width - 1) / width
	each(spread, tiles, func(tile int) {
		from := tile * width
		to := min(from+width, b.rows)
		for i := range a.rows {
			out := c.row(i)[from:to]
			if fastBLAS {
				dots(out, a.row(i), b, from)
			} else {
				dotsGo(out, a.row(i), b, from)
			}
			for j := range out {
				out[j] += bias[from+j]
			}
			if act != nil {
				act(out)
			}
		}
	})
}

// dots sets out[j] to the inner product of x and b's row from+j.
func dots(out, x []float32, b matrix, from int) {
	for j := range out {
		out[j] = blas.Sdot(len(x), x, 1, b.row(from+j), 1)
	}
}

// dotsGo is dots in plain Go. It takes four rows at a time, which share the loads
// of x.
func dotsGo(out, x []float32, b matrix, from int) {
	n := len(x)
	j := 0
	for ; j+4 <= len(out); j += 4 {
		b0, b1 := b.row(from + j)[:n], b.row(from + j + 1)[:n]
		b2, b3 := b.row(from + j + 2)[:n], b.row(from + j + 3)[:n]
		var s0, s1, s2, s3 float32
		for k, v := range x {
			s0 += v * b0[k]
			s1 += v * b1[k]
			s2 += v * b2[k]
			s3 += v * b3[k]
		}
		out[j], out[j+1], out[j+2], out[j+3] = s0, s1, s2, s3
	}
	for ; j < len(out); j++ {
		var s float32
		for k, v := range b.row(from + j)[:n] {
			s += x[k] * v
		}
		out[j] = s
	}
}

// addScaled adds a·x to y.
func addScaled(y []float32, a float32, x []float32) {
	if fastBLAS {
		blas.Saxpy(len(x), a, x, 1, y, 1)
		return
	}
	y = y[:len(x)]
	for i, v := range x {
		y[i] += a * v
	}
}

// each calls do(0) … do(n-1), on all cores if spread is set.
func each(spread bool, n int, do func(int)) {
	if spread {
		parallel.Each(n, do)
		return
	}
	for i := range n {
		do(i)
	}
}
