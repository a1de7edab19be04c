package dot

import "golang.org/x/sys/cpu"

var fast = cpu.X86.HasAVX2

// rowsAVX writes the dot products of x with n rows of a, over the first whole
// numbers of each row. whole is a multiple of lanes; each row has rest more
// numbers.
//
//go:noescape
func rowsAVX(y, a, x *float32, n, whole, rest int)

// addRowsAVX adds n rows of a, which have d numbers, times their weights to y.
//
//go:noescape
func addRowsAVX(y, a *float32, numbers *int32, weights *float32, d, n int)

// addInt8RowsAVX adds n rows of a, which have d numbers, times their scales to y.
//
//go:noescape
func addInt8RowsAVX(y *float32, a *byte, numbers *int32, scales *float32, d, n int)
