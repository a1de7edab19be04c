//go:build !amd64

package dot

const fast = false

func rowsAVX(y, a, x *float32, n, whole, rest int) {}
