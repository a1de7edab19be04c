// Package dot multiplies matrices of float32 with vectors.
//
// Numbers are multiplied and added in the same order everywhere, and no operations are
// fused, so that sums are equal to the last bit on every machine.
package dot

// Rows writes to y the dot product of x with each row of a, which has len(y) rows
// of len(x) numbers.
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

// AddRows adds to y the rows of a with the given numbers, times their weights. a has
// rows of len(y) numbers; it panics if a row is not there, or has no weight.
func AddRows(y, a []float32, numbers []int32, weights []float32) {
	weights = weights[:len(numbers)]
	if len(y) == 0 || len(numbers) == 0 {
		return
	}
	check(numbers, len(a)/len(y))
	if fast {
		addRowsAVX(&y[0], &a[0], &numbers[0], &weights[0], len(y), len(numbers))
		return
	}
	for k, number := range numbers {
		for j, v := range a[int(number)*len(y):][:len(y)] {
			y[j] += float32(weights[k] * v)
		}
	}
}

// AddInt8Rows adds to y the rows of a with the given numbers, times their scales. a has
// rows of len(y) int8s, and each of them a scale; it panics if a row is not there.
func AddInt8Rows(y []float32, a []byte, numbers []int32, scales []float32) {
	if len(y) == 0 || len(numbers) == 0 {
		return
	}
	check(numbers, min(len(a)/len(y), len(scales)))
	if fast {
		addInt8RowsAVX(&y[0], &a[0], &numbers[0], &scales[0], len(y), len(numbers))
		return
	}
	for _, number := range numbers {
		scale := scales[number]
		for j, v := range a[int(number)*len(y):][:len(y)] {
			y[j] += float32(scale * float32(int8(v)))
		}
	}
}

// check panics unless all numbers are at least 0 and less than n.
func check(numbers []int32, n int) {
	for _, number := range numbers {
		if uint(number) >= uint(n) {
			panic("dot: the matrix has no such row")
		}
	}
}
