package journal

import (
	"io"
	"os"
)

// fill writes zeros to a file, where space cannot be allocated otherwise.
func fill(f *os.File, size int64) error {
	_, err := io.CopyN(f, zeros{}, size)
	if err != nil {
		return err
	}
	return f.Sync()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
