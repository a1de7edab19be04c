package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	content := func(text string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		}
	}
	for _, text := range []string{"first", "second"} { // the second time it replaces the first
		if err := Write(path, content(text)); err != nil {
			t.Fatal(err)
		}
	}
	broken := errors.New("broken")
	if err := Write(path, func(w io.Writer) error { return errors.Join(content("third")(w), broken) }); !errors.Is(err, broken) {
		t.Errorf("Write with a failing function = %v, want %v", err, broken)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "second" {
		t.Errorf("after a failed Write the file holds %q, %v, want what was there before", got, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("folder holds %v, %v, want only the file", entries, err)
	}
	if err := Write(filepath.Join(dir, "none", "x"), content("")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Write to a missing folder = %v, want not exist", err)
	}
}
