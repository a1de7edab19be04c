//go:build !linux

package journal

import "os"

// allocate gives a file size bytes of the disk.
func allocate(f *os.File, size int64) error { return fill(f, size) }
