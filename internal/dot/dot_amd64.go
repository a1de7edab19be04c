package dot

import "golang.org/x/sys/cpu"

var fast = cpu.X86.HasAVX

// rowsAVX writes n dot products of x with rows of a, over their first whole
// numbers, which are a multiple of lanes; rest more follow in each row.
//
//go:noescape
func rowsAVX(y, a, x *float32, n, whole, rest int)
