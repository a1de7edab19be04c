//go:build !amd64

package dot

const fast = false

func rowsAVX(y, a, x *float32, n, whole, rest int) {}

func addRowsAVX(y, a *float32, numbers *int32, weights *float32, d, n int) {}

func addInt8RowsAVX(y *float32, a *byte, numbers *int32, scales *float32, d, n int) {}
