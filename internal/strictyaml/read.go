package strictyaml

import (
	"fmt"
	"io"
	"os"
)

// Read returns the content of a configuration file for [Decode], which refuses it if it is
// too long: not more than that is read.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open config: %w", err)
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return data, nil
}
