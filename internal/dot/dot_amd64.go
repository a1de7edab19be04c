package dot

import "golang.org/x/sys/cpu"

var fast = cpu.X86.HasAVX

// rowsAVX writes the dot products of x with n rows of a, over the first whole
// numbers of each row. whole is a multiple of lanes; each row has rest more
// numbers.
//
//go:noescape
func rowsAVX(y, a, x *float32, n, whole, rest int)
