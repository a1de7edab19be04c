// Package dot multiplies matrices of float32 with vectors.
package dot

// Rows writes to y the dot product of x with each row of a, which has len(y) rows
// of len(x) numbers. Numbers are added in the same order everywhere, so that sums
// are equal to the last bit on every machine.
func Rows(y, a, x []float32) {
	if len(y) == 0 {
		return
	}
	d := len(x)
	a = a[:len(y)*d]
	whole := d / lanes * lanes
	if fast && whole > 0 {
		rowsAVX(&y[0], &a[0], &x[0], len(y), whole, d-whole)
	} else {
		rows(y, a, x, whole)
	}
	if whole == d {
		return
	}
	for i := range y {
		for j, v := range a[i*d+whole : (i+1)*d] {
			y[i] += float32(v * x[whole+j]) // converted so that the compiler cannot fuse the operations
		}
	}
}

// lanes is how many partial sums are kept: four registers of eight.
const lanes = 32

// rows does what rowsAVX does.
func rows(y, a, x []float32, whole int) {
	for i := range y {
		var sum [lanes]float32
		row := a[i*len(x):][:whole]
		for j := 0; j < whole; j += lanes {
			for k := range sum {
				sum[k] += float32(row[j+k] * x[j+k])
			}
		}
		var eight [8]float32
		for k := range eight {
			eight[k] = (sum[k] + sum[k+8]) + (sum[k+16] + sum[k+24])
		}
		y[i] = ((eight[0] + eight[4]) + (eight[1] + eight[5])) + ((eight[2] + eight[6]) + (eight[3] + eight[7]))
	}
}
